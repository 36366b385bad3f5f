//! The offline translator: reads an English question against the catalog and answers what it understood wholly.
//!
//! A question becomes tokens, then, for every table and every pair of tables that a foreign key joins, terms with all
//! that they may mean there (evidence). Each such scope is read into a plan; one that places every word is a reading.
//! The best reading is rendered as SQL, unless another one is as good: then it abstains and names both.

mod assemble;
mod called;
mod choose;
mod columns;
mod conditions;
mod dates;
mod draft;
mod evidence;
mod explain;
mod figures;
mod grouping;
mod joining;
mod lexicon;
mod masked;
mod names;
mod ordering;
mod places;
mod plan;
mod ranking;
mod reader;
mod reading;
mod render;
mod scope;
mod script;
mod suggest;
#[cfg(test)]
mod tests;
mod times;
mod tokens;
mod values;
mod words;

use async_trait::async_trait;

use self::draft::Stuck;
use self::evidence::{Findings, Term};
use self::names::Names;
use self::plan::Plan;
use self::reader::Reader;
use self::scope::{Schema, Scope, scopes};
use super::{Abstention, Candidate, TranslateError, TranslationRequest, Translator, Usage};

/// Readings that score within this share of the best are rivals.
const RIVAL_MARGIN: f64 = 0.1;

/// Most questions that an abstention offers.
const MOST_QUESTIONS: usize = 3;

/// The translator that needs no key, no network and no model. It holds no state.
#[derive(Debug, Clone, Copy, Default)]
pub struct Offline;

impl Offline {
    /// A translator; all are alike.
    pub fn new() -> Self {
        Self
    }
}

#[async_trait]
impl Translator for Offline {
    fn label(&self) -> String {
        "offline".into()
    }

    /// The same question gives the same statement.
    fn learns_from_feedback(&self) -> bool {
        false
    }

    async fn translate(&self, request: &TranslationRequest<'_>) -> Result<Candidate, TranslateError> {
        translate(request).map_err(TranslateError::Abstained)
    }
}

fn translate(request: &TranslationRequest<'_>) -> Result<Candidate, Abstention> {
    // The same question gives the same statement, so another attempt can't do better.
    if let Some(last) = request.feedback.last() {
        let reason =
            format!("the offline translator reads this question in one way only, and that failed: {}", last.problem);
        return Err(Abstention { reason, ..Abstention::default() });
    }
    let schema = Schema::new(request.context);
    let names = Names::new(&schema);
    let read = read(&schema, &names, request.question);
    read.and_then(|readings| choose(&schema, readings)).map_err(|mut abstention| {
        let near = mentioned(&schema, &names, request.question);
        abstention.questions = answerable(&schema, &names, &near);
        abstention
    })
}

/// Every plan that places all words of the question, best first.
fn read(schema: &Schema<'_>, names: &Names, question: &str) -> Result<Vec<Plan>, Abstention> {
    if let Some(language) = script::foreign_language(question) {
        return Err(Abstention {
            reason: format!("the offline translator reads English only, and the question seems to be in {language}"),
            ..Abstention::default()
        });
    }
    let tokens = tokens::tokenize(question, schema.context.today);
    if tokens.is_empty() {
        return Err(Abstention { reason: "the question has no words".into(), ..Abstention::default() });
    }
    let findings = Findings::new(&tokens, names);
    let mut plans: Vec<Plan> = Vec::new();
    let mut nearest: Option<(Stuck, Vec<Term>)> = None;
    for scope in scopes(schema) {
        if !findings.touch(schema, &scope) {
            continue;
        }
        let terms = findings.terms(schema, &scope);
        match Reader::new(schema, scope, terms.clone()).read() {
            Ok(plan) => plans.push(plan),
            Err(stuck) if nearest.as_ref().is_none_or(|(best, _)| stuck.rank() > best.rank()) => {
                nearest = Some((stuck, terms));
            }
            Err(_) => {}
        }
    }
    if plans.is_empty() {
        return Err(not_understood(&findings, nearest));
    }
    plans.sort_by(|a, b| b.score.total_cmp(&a.score));
    Ok(plans)
}

/// The best plan as a candidate, unless a rival says something else as well.
fn choose(schema: &Schema<'_>, plans: Vec<Plan>) -> Result<Candidate, Abstention> {
    let Some(best) = plans.first() else { return Err(Abstention::default()) };
    // The next best reading is not what was asked.
    if let Some(reason) = masked::misuse(schema, best) {
        return Err(Abstention { reason, ..Abstention::default() });
    }
    let (sql, params) = render::render(schema, best);
    let close = plans.iter().filter(|plan| plan.score >= best.score * (1.0 - RIVAL_MARGIN));
    let rival = close.into_iter().find(|plan| render::render(schema, plan) != (sql.clone(), params.clone()));
    if let Some(rival) = rival {
        return Err(Abstention {
            reason: "the question can be read in more than one way".into(),
            readings: vec![reading::reading_of_rival(schema, best), reading::reading_of_rival(schema, rival)],
            ..Abstention::default()
        });
    }
    let reading = reading::reading(schema, best);
    Ok(Candidate {
        sql,
        params,
        summary: Some(reading::sentence(&reading)),
        reading: Some(reading),
        assumptions: best.assumptions.clone(),
        warnings: Vec::new(),
        plan: Some(explain::json(schema, best)),
        usage: Usage::default(),
    })
}

fn not_understood(findings: &Findings<'_>, nearest: Option<(Stuck, Vec<Term>)>) -> Abstention {
    let mut unexplained = findings.unknown();
    let mut reason = None;
    if let Some((stuck, terms)) = nearest {
        let word = terms.get(stuck.at).map(|term| term.text.clone()).unwrap_or_default();
        // A word that means nothing at all says more than where the reading ended.
        if unexplained.iter().all(|unknown| *unknown == word) {
            unexplained.clear();
            unexplained.extend(Some(word).filter(|word| word.contains(char::is_alphanumeric)));
            reason = stuck.reason;
        }
    }
    let reason = match (reason, unexplained.as_slice()) {
        (Some(reason), _) => reason,
        (None, []) => "nothing in the question is in this database".into(),
        (None, words) => {
            let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
            format!("no place was found for {}", quoted.join(", "))
        }
    };
    Abstention { reason, unexplained, ..Abstention::default() }
}

/// The tables that the question's words may mean, the likeliest first.
fn mentioned(schema: &Schema<'_>, names: &Names, question: &str) -> Vec<usize> {
    let tokens = tokens::tokenize(question, schema.context.today);
    let findings = Findings::new(&tokens, names);
    let nearness = |table: usize| findings.nearness(schema, &Scope { first: table, link: None, second: None });
    let scored = (0..schema.context.tables.len()).map(|table| (table, nearness(table)));
    let mut near: Vec<(usize, f64)> = scored.filter(|(_, score)| *score > 0.0).collect();
    near.sort_by(|a, b| b.1.total_cmp(&a.1));
    near.into_iter().map(|(table, _)| table).collect()
}

/// Suggestions that this translator does answer.
fn answerable(schema: &Schema<'_>, names: &Names, near: &[usize]) -> Vec<String> {
    let answers = |question: &String| read(schema, names, question).is_ok_and(|plans| choose(schema, plans).is_ok());
    suggest::questions(schema, near).into_iter().filter(answers).take(MOST_QUESTIONS).collect()
}
