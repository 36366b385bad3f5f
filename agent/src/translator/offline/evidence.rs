//! A question's tokens joined into terms, each with all that it may mean within one scope.

use std::collections::HashMap;

use super::dates::Period;
use super::lexicon::{self, Role};
use super::names::{Named, Names, Target};
use super::scope::{ColumnRef, Schema, Scope};
use super::tokens::{Token, TokenKind};

/// A word or phrase of the question.
#[derive(Debug, Clone)]
pub(super) struct Term {
    /// As it was written.
    pub(super) text: String,
    /// What it does in the sentence, where it is a function word.
    pub(super) role: Option<Role>,
    /// What it may mean in the scope, best first.
    pub(super) meanings: Vec<Evidence>,
    /// What it is as a value.
    pub(super) literal: Option<Literal>,
    /// Whether it is a noun in the plural.
    pub(super) is_plural: bool,
}

/// A meaning within the scope.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Evidence {
    pub(super) meaning: Meaning,
    pub(super) score: f64,
    /// What was taken for granted to find it.
    pub(super) assumption: Option<String>,
}

/// What a term means.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Meaning {
    Table(usize),
    Column(ColumnRef),
    Flag(ColumnRef, bool),
    Label(ColumnRef, String),
}

/// A value as the question gives it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Literal {
    Number(String),
    Quoted(String),
    Period(Period),
    /// Capitalised words that mean nothing in the scope: a name.
    Name(String),
    /// A word that means nothing in the scope.
    Word(String),
    Comma,
    Stop,
}

/// Most words of a name that are read together.
const LONGEST_NAME: usize = 5;

/// What every phrase of the question may mean, looked up once for all scopes.
#[derive(Debug)]
pub(super) struct Findings<'a> {
    tokens: &'a [Token],
    /// By first token and length: tiers of meanings, the first that holds anything for a scope counts.
    tiers: HashMap<(usize, usize), Vec<Vec<Named>>>,
    title_case: bool,
}

impl<'a> Findings<'a> {
    pub(super) fn new(tokens: &'a [Token], names: &Names) -> Self {
        let mut tiers = HashMap::new();
        for start in 0..tokens.len() {
            for length in 1..=LONGEST_NAME.min(tokens.len() - start) {
                let span = &tokens[start..start + length];
                if span.iter().any(|token| !matches!(token.kind, TokenKind::Word)) {
                    break;
                }
                let found = look_up(span, names);
                if !found.is_empty() {
                    tiers.insert((start, length), found);
                }
            }
        }
        let words: Vec<&Token> = tokens.iter().filter(|token| token.kind == TokenKind::Word).collect();
        let capitals = words.iter().filter(|token| token.is_capitalised()).count();
        Self { tokens, tiers, title_case: words.len() > 3 && capitals * 10 > words.len() * 7 }
    }

    /// How well the question's words fit the scope's tables: the sum of each phrase's best score, names of tables counting most.
    pub(super) fn nearness(&self, schema: &Schema<'_>, scope: &Scope) -> f64 {
        let best = |&(start, length): &(usize, usize)| {
            let meanings = self.meanings(schema, scope, start, length);
            let weighed =
                meanings.iter().map(|m| if matches!(m.meaning, Meaning::Table(_)) { m.score * 3.0 } else { m.score });
            weighed.fold(0.0, f64::max)
        };
        let mut spans: Vec<&(usize, usize)> = self.tiers.keys().collect();
        spans.sort();
        spans.into_iter().map(best).sum()
    }

    /// Whether any phrase means something in the scope.
    pub(super) fn touch(&self, schema: &Schema<'_>, scope: &Scope) -> bool {
        self.tiers.keys().any(|&(start, length)| !self.meanings(schema, scope, start, length).is_empty())
    }

    /// The words that mean nothing anywhere and can't be values either.
    pub(super) fn unknown(&self) -> Vec<String> {
        let covered = |index: usize| {
            self.tiers.keys().any(|&(start, length)| (start..start + length).contains(&index))
                || (0..self.tokens.len()).any(|start| {
                    (1..=lexicon::LONGEST).any(|length| {
                        (start..start + length).contains(&index)
                            && self
                                .phrase(start, length)
                                .is_some_and(|p| lexicon::role(&p).is_some_and(|r| r != Role::OutOfScope))
                    })
                })
        };
        // What is capitalised may be a value, and only its place is missing.
        let is_word = |index: &usize| {
            let token = &self.tokens[*index];
            token.kind == TokenKind::Word && (!token.is_capitalised() || *index == 0 || self.title_case)
        };
        let mut unknown: Vec<String> = Vec::new();
        for index in (0..self.tokens.len()).filter(is_word) {
            let word = &self.tokens[index].text;
            if !covered(index) && !unknown.contains(word) {
                unknown.push(word.clone());
            }
        }
        unknown
    }

    /// The question as terms of this scope: the longest phrase first, from left to right.
    pub(super) fn terms(&self, schema: &Schema<'_>, scope: &Scope) -> Vec<Term> {
        let mut terms: Vec<Term> = Vec::new();
        let mut at = 0;
        while at < self.tokens.len() {
            let (term, taken) = self.term(schema, scope, at);
            terms.push(term);
            at += taken;
        }
        terms
    }

    fn term(&self, schema: &Schema<'_>, scope: &Scope, at: usize) -> (Term, usize) {
        let token = &self.tokens[at];
        let literal = match &token.kind {
            TokenKind::Number(number) => Some(Literal::Number(number.clone())),
            TokenKind::Quoted(text) => Some(Literal::Quoted(text.clone())),
            TokenKind::Period(period) => Some(Literal::Period(period.clone())),
            TokenKind::Comma => Some(Literal::Comma),
            TokenKind::Stop => Some(Literal::Stop),
            TokenKind::Word | TokenKind::Sign => None,
        };
        if literal.is_some() {
            return (self.build(at, 1, None, Vec::new(), literal), 1);
        }
        let rest = self.tokens.len() - at;
        let role = (1..=lexicon::LONGEST.min(rest)).rev().find_map(|n| Some((n, lexicon::role(&self.phrase(at, n)?)?)));
        let name = (1..=LONGEST_NAME.min(rest)).rev().find_map(|n| {
            let meanings = self.meanings(schema, scope, at, n);
            (!meanings.is_empty()).then_some((n, meanings))
        });
        let name = name.filter(|(_, meanings)| !self.is_rather_a_name(at, meanings));
        // "share of" may be out of scope, but not where `share` is a column.
        let exact = name.as_ref().is_some_and(|(_, meanings)| meanings[0].score >= 0.95);
        let role = role.filter(|(_, role)| *role != Role::OutOfScope || !exact);
        match (role, name) {
            (Some((long, role)), Some((n, _))) if long > n => {
                (self.build(at, long, Some(role), Vec::new(), None), long)
            }
            (Some((long, role)), Some((n, meanings))) if long == n => {
                // A weak match doesn't take a function word's place, an exact one stands beside it.
                let exact: Vec<Evidence> = meanings.into_iter().filter(|m| m.score >= 0.95).collect();
                let idle = matches!(role, Role::Filler | Role::Indefinite | Role::Everything);
                let role = (exact.is_empty() || !idle).then_some(role);
                (self.build(at, n, role, exact, None), n)
            }
            (_, Some((n, meanings))) => (self.build(at, n, None, meanings, None), n),
            (Some((n, role)), None) => (self.build(at, n, Some(role), Vec::new(), None), n),
            (None, None) => self.literal(at),
        }
    }

    fn build(
        &self,
        at: usize,
        taken: usize,
        role: Option<Role>,
        meanings: Vec<Evidence>,
        literal: Option<Literal>,
    ) -> Term {
        let words = &self.tokens[at..at + taken];
        let text = words.iter().map(|t| t.text.as_str()).collect::<Vec<_>>().join(" ");
        let is_plural = super::words::is_plural(&words[taken - 1].lower);
        Term { text, role, meanings, literal, is_plural }
    }

    /// A capitalised word inside a sentence is a name unless it is called just so in the schema.
    fn is_rather_a_name(&self, at: usize, meanings: &[Evidence]) -> bool {
        let capital = self.tokens[at].is_capitalised()
            && !self.title_case
            && at > 0
            && self.tokens[at - 1].kind != TokenKind::Stop;
        capital && meanings.iter().all(|m| m.score < 0.9)
    }

    /// A word without meaning: part of a name where it is capitalised, else itself.
    fn literal(&self, at: usize) -> (Term, usize) {
        let token = &self.tokens[at];
        if token.kind == TokenKind::Sign || !self.names_something(at) {
            return (self.build(at, 1, None, Vec::new(), Some(Literal::Word(token.text.clone()))), 1);
        }
        let mut end = at + 1;
        while end < self.tokens.len() {
            let joins = matches!(self.tokens[end].lower.as_str(), "of" | "de" | "la" | "van" | "von" | "du");
            if self.names_something(end) {
                end += 1;
            } else if joins && end + 1 < self.tokens.len() && self.names_something(end + 1) {
                end += 2;
            } else {
                break;
            }
        }
        let name = self.tokens[at..end].iter().map(|t| t.text.as_str()).collect::<Vec<_>>().join(" ");
        (self.build(at, end - at, None, Vec::new(), Some(Literal::Name(name))), end - at)
    }

    fn names_something(&self, at: usize) -> bool {
        let token = &self.tokens[at];
        let code = token.text.chars().any(|c| c.is_ascii_digit()) || token.text.contains('@');
        token.kind == TokenKind::Word && (code || (token.is_capitalised() && !self.title_case))
    }

    fn phrase(&self, at: usize, length: usize) -> Option<String> {
        let tokens = self.tokens.get(at..at + length)?;
        let spoken = |token: &Token| matches!(token.kind, TokenKind::Word | TokenKind::Sign);
        tokens.iter().all(spoken).then(|| tokens.iter().map(|t| t.lower.as_str()).collect::<Vec<_>>().join(" "))
    }

    fn meanings(&self, schema: &Schema<'_>, scope: &Scope, start: usize, length: usize) -> Vec<Evidence> {
        let Some(tiers) = self.tiers.get(&(start, length)) else { return Vec::new() };
        let written = self.tokens[start..start + length].iter().map(|t| t.text.as_str()).collect::<Vec<_>>().join(" ");
        for tier in tiers {
            let mut found: Vec<Evidence> = Vec::new();
            for named in tier {
                let Some(meaning) = within(schema, scope, &named.target) else { continue };
                let assumption = named.respelt.as_ref().map(|spelling| format!("'{written}' read as '{spelling}'"));
                match found.iter_mut().find(|evidence| evidence.meaning == meaning) {
                    Some(known) => known.score = known.score.max(named.score),
                    None => found.push(Evidence { meaning, score: named.score, assumption }),
                }
            }
            found.sort_by(|a, b| b.score.total_cmp(&a.score));
            if !found.is_empty() {
                return found;
            }
        }
        Vec::new()
    }
}

fn look_up(span: &[Token], names: &Names) -> Vec<Vec<Named>> {
    let stems: Vec<&str> = span.iter().map(|token| token.stem.as_str()).collect();
    let mut tiers = vec![names.find(&stems).to_vec()];
    let [token] = span else {
        tiers.retain(|tier| !tier.is_empty());
        return tiers;
    };
    if lexicon::role(&token.lower).is_none() {
        tiers.push(names.find_by_root(&token.lower));
        // A word that names a table is never another word for something else.
        if !tiers[0].iter().any(|named| matches!(named.target, Target::Table(_)) && named.score >= 0.9) {
            let other = |word: &String| {
                names.find(&[word.as_str()]).iter().filter(|n| n.score >= 0.9).cloned().collect::<Vec<_>>()
            };
            let scaled = |named: Named| Named { score: named.score * 0.7, ..named };
            tiers.push(lexicon::synonyms(&token.stem).iter().flat_map(other).map(scaled).collect());
        }
        if token.stem.len() >= 5 && tiers.iter().all(Vec::is_empty) {
            tiers.push(names.find_by_spelling(&token.stem));
        }
        // Comments speak only where no name does.
        if tiers.iter().all(Vec::is_empty) {
            tiers.push(names.find_by_comment(&token.stem).to_vec());
        }
    }
    tiers.retain(|tier| !tier.is_empty());
    tiers
}

fn within(schema: &Schema<'_>, scope: &Scope, target: &Target) -> Option<Meaning> {
    match target {
        Target::Table(table) => scope.holds(*table).then_some(Meaning::Table(*table)),
        Target::Column(column) => scope.holds(column.table).then_some(Meaning::Column(*column)),
        Target::Flag(column, value) => scope.holds(column.table).then_some(Meaning::Flag(*column, *value)),
        Target::Label(column, label) => scope.holds(column.table).then(|| Meaning::Label(*column, label.clone())),
        Target::Role(link) => (scope.link == Some(*link)).then(|| Meaning::Table(schema.links[*link].to)),
    }
}
