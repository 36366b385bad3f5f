//! Terms read from left to right into a draft of what the question asks; the first term that has no place ends the reading.

use super::columns::{self, Family};
use super::draft::{Connection, Draft, Pending, Rank, Stuck};
use super::evidence::{Evidence, Literal, Meaning, Term};
use super::lexicon::{self, Aggregate, Direction, Role};
use super::places;
use super::plan::{Measure, Plan};
use super::scope::{ColumnRef, Schema, Scope};
use super::words::{is_plural as is_plural_noun, split_identifier, stem};

/// Reads terms into a draft.
pub(super) struct Reader<'a> {
    pub(super) schema: &'a Schema<'a>,
    pub(super) scope: Scope,
    pub(super) terms: Vec<Term>,
    pub(super) at: usize,
    pub(super) draft: Draft,
    /// Columns named now are to be shown.
    pub(super) selecting: bool,
    /// `not` was read and waits for its condition.
    pub(super) negated: bool,
    /// `sort` was read, so that "by" names the order.
    pub(super) sorting: bool,
    /// How rows of the table in focus came to be was spoken of: "users who joined".
    pub(super) creation_named: bool,
    /// The direction that was named before the column.
    pub(super) sort_direction: Option<Direction>,
    /// How many terms with meaning have been placed.
    pub(super) placed: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(schema: &'a Schema<'a>, scope: Scope, terms: Vec<Term>) -> Self {
        let draft = Draft::default();
        Self {
            schema,
            scope,
            terms,
            at: 0,
            draft,
            selecting: true,
            negated: false,
            sorting: false,
            creation_named: false,
            sort_direction: None,
            placed: 0,
        }
    }

    /// The plan, if every term has a place in it.
    pub(super) fn read(mut self) -> Result<Plan, Stuck> {
        while self.at < self.terms.len() {
            let before = self.at;
            self.step()?;
            debug_assert!(self.at > before, "every step takes a term");
            let meaningful = |term: &&Term| {
                !term.meanings.is_empty() || matches!(term.literal, Some(Literal::Number(_) | Literal::Name(_)))
            };
            self.placed += self.terms[before..self.at.min(self.terms.len())].iter().filter(meaningful).count();
        }
        let last = self.terms.iter().rposition(|term| term.literal != Some(Literal::Stop)).unwrap_or_default();
        // A preposition or "and" at the end leads nowhere.
        if matches!(self.terms[last].role, Some(Role::Link | Role::Of | Role::And | Role::Each)) {
            self.at = last;
            return self.stuck();
        }
        self.finish()
    }

    /// The reading ends here: the current term has no place.
    pub(super) fn stuck<T>(&self) -> Result<T, Stuck> {
        Err(Stuck { at: self.at, placed: self.placed, reason: None })
    }

    pub(super) fn stuck_because<T>(&self, reason: impl Into<String>) -> Result<T, Stuck> {
        Err(Stuck { at: self.at, placed: self.placed, reason: Some(reason.into()) })
    }

    fn step(&mut self) -> Result<(), Stuck> {
        let term = &self.terms[self.at];
        match &term.literal {
            Some(Literal::Comma) => {
                self.at += 1;
                return Ok(());
            }
            Some(Literal::Stop) => {
                self.at += 1;
                self.selecting = true;
                return Ok(());
            }
            Some(Literal::Number(number)) => {
                let number = number.clone();
                return self.number(&number);
            }
            Some(Literal::Period(_)) => return self.time_condition(lexicon::Comparison::Equal),
            Some(Literal::Quoted(_) | Literal::Name(_)) => return self.loose_name(),
            Some(Literal::Word(_)) => return self.stuck(),
            None => {}
        }
        match term.role {
            Some(role) if term.meanings.is_empty() || !self.prefers_meaning(role) => self.role(role),
            _ => self.mention(),
        }
    }

    /// Whether a word that is both a function word and a name is the name here.
    fn prefers_meaning(&self, role: Role) -> bool {
        let next_is_mention = self.mention_after(self.at).is_some();
        match role {
            Role::Show => self.at > 0 && !self.starts_clause(self.at),
            // "total price" is a figure, "total of orders" is their column of that name.
            Role::Aggregate(_) => self.mention_after(self.at).is_none_or(|next| self.column_at(next).is_none()),
            Role::Distinct | Role::Count => !next_is_mention,
            Role::OutOfScope | Role::Created | Role::Everything => true,
            _ => false,
        }
    }

    fn starts_clause(&self, at: usize) -> bool {
        let previous = at.checked_sub(1).map(|before| &self.terms[before]);
        previous.is_none_or(|term| {
            matches!(term.literal, Some(Literal::Stop | Literal::Comma))
                || matches!(term.role, Some(Role::And | Role::Filler))
        })
    }

    fn role(&mut self, role: Role) -> Result<(), Stuck> {
        match role {
            Role::Filler | Role::Indefinite | Role::Of | Role::And => self.at += 1,
            Role::Show => {
                self.selecting = true;
                self.at += 1;
            }
            Role::Count => return self.count(),
            Role::Aggregate(aggregate) => return self.aggregate(aggregate),
            Role::Extreme(direction) => return self.extreme(direction),
            Role::Ranked(direction, quality) => return self.rank(Rank::Quality(direction, quality)),
            Role::Newest => return self.rank_in_time(Direction::Descending),
            Role::Earliest => return self.rank_in_time(Direction::Ascending),
            Role::Top(direction) => return self.rank(Rank::Open(direction)),
            Role::Distinct => {
                self.draft.distinct = true;
                self.at += 1;
            }
            Role::Each => return self.each(),
            Role::By => return self.by(),
            Role::SortBy => return self.sort_by(),
            Role::Sort => {
                self.sorting = true;
                self.selecting = true;
                self.at += 1;
            }
            Role::Order(direction) => return self.in_order(direction),
            Role::NewestFirst(direction) => {
                self.at += 1;
                self.draft.rank = Some(Rank::Time(direction));
            }
            Role::Compare(comparison) => return self.leading_comparison(comparison),
            Role::CompareQuality(comparison, quality) => return self.quality_condition(comparison, quality),
            Role::Between => return self.leading_between(),
            Role::Not => {
                self.negated = true;
                self.at += 1;
            }
            Role::Without => return self.without(),
            Role::Link => return self.link(),
            Role::Place => return self.place(),
            Role::Named => return self.named(),
            Role::Created => return self.created(),
            Role::Everything => {
                self.draft.everything = true;
                self.at += 1;
            }
            Role::Or | Role::OutOfScope => return self.stuck(),
        }
        Ok(())
    }

    /// A term that means a table, a column or a value.
    fn mention(&mut self) -> Result<(), Stuck> {
        let evidence = self.choose(self.at, self.prefers_column())?;
        match evidence.meaning.clone() {
            Meaning::Table(table) => self.table(table, &evidence),
            Meaning::Column(column) => self.column(column, &evidence),
            Meaning::Flag(column, value) => self.flag(column, value, &evidence),
            Meaning::Label(column, _) => self.label(column, &evidence),
        }
    }

    fn table(&mut self, table: usize, evidence: &Evidence) -> Result<(), Stuck> {
        self.note(evidence);
        // "which of the users has": the verb tells that one is wanted.
        let one = self.terms.get(self.at + 1).is_some_and(|t| matches!(t.text.as_str(), "has" | "is" | "was" | "does"));
        let is_plural = self.terms[self.at].is_plural && !one;
        let had = self.at > 0 && matches!(self.terms[self.at - 1].text.to_lowercase().as_str(), "have" | "has" | "had");
        let previous = if had { Some(Role::Link) } else { self.role_before(self.at) };
        let qualifies_column = self.terms.get(self.at + 1).is_some_and(|term| {
            term.role.is_none()
                && term.meanings.iter().any(|m| matches!(m.meaning, Meaning::Column(c) if c.table == table))
        });
        self.connect(table, previous, is_plural);
        match &self.draft.pending {
            Pending::Count if !qualifies_column => {
                self.draft.pending = Pending::Nothing;
                self.measure(Measure::Rows, table)?;
            }
            Pending::Aggregates(aggregates) if aggregates == &[Aggregate::Sum] && !qualifies_column => {
                if let Some(column) = self.schema.columns_of(table).find(|c| self.schema.family(*c) == Family::Decimal)
                {
                    let (table, column) = (&self.schema.table(table).table_name, &self.schema.column(column).name);
                    return self.stuck_because(format!(
                        "it may ask how many {table} there are, or for the sum of their {column}"
                    ));
                }
                self.draft.pending = Pending::Nothing;
                self.measure(Measure::Rows, table)?;
            }
            _ => {}
        }
        self.selecting = qualifies_column && self.draft.pending == Pending::Nothing;
        self.at += 1;
        self.name_after(table)
    }

    /// Records that a table was named, and how.
    pub(super) fn connect(&mut self, table: usize, previous: Option<Role>, is_plural: bool) {
        if self.draft.entity.is_none() {
            self.draft.entity = Some(table);
            self.draft.entity_is_plural = is_plural;
        } else if self.draft.entity != Some(table) {
            let connection = match previous {
                Some(Role::Without) => Connection::Lacking,
                Some(Role::Link) => Connection::Having,
                Some(Role::Of | Role::Place | Role::Each) => Connection::Belonging,
                _ => Connection::Loose,
            };
            self.draft.connection = self.draft.connection.or(Some(connection));
        }
        self.draft.focus = Some(table);
        self.creation_named = false;
    }

    fn column(&mut self, column: ColumnRef, evidence: &Evidence) -> Result<(), Stuck> {
        let start = self.at;
        let is_plural = self.terms[start].is_plural;
        self.connect_by_name(start, column.table);
        if self.draft.pending == Pending::Nothing && self.condition_on(column)? {
            self.note(evidence);
            return Ok(());
        }
        self.at = start;
        self.note(evidence);
        match std::mem::replace(&mut self.draft.pending, Pending::Nothing) {
            Pending::Count => {
                let family = self.schema.family(column);
                if family.is_number() && self.schema.link_of(column).is_none() {
                    return self
                        .stuck_because(format!("'{}' is a number, not something to count", self.terms[start].text));
                }
                if !self.draft.distinct && !is_plural {
                    return self.stuck();
                }
                if !self.draft.distinct {
                    self.draft.assumptions.push(format!("each {} is counted once", self.schema.column(column).name));
                    self.draft.scores.push(0.8);
                }
                self.draft.distinct = false;
                self.measure(Measure::Values(column), column.table)?;
            }
            Pending::Aggregates(aggregates) => {
                for aggregate in aggregates {
                    self.aggregate_of(aggregate, column)?;
                }
            }
            Pending::Nothing => return self.show(column),
        }
        self.at += 1;
        Ok(())
    }

    /// Records the table that a column's term names as well: "order status".
    pub(super) fn connect_by_name(&mut self, at: usize, table: usize) {
        if let Some(noun) = self.table_word(at, table).filter(|_| self.draft.entity != Some(table)) {
            self.connect(table, None, is_plural_noun(&noun));
        }
    }

    /// The table's own word in a term that says it beside the column: "user names", "names of users".
    fn table_word(&self, at: usize, table: usize) -> Option<String> {
        let last = split_identifier(&self.schema.table(table).table_name).pop()?;
        let words = split_identifier(&self.terms[at].text);
        let several = words.len() > 1;
        words.into_iter().find(|word| several && stem(word) == stem(&last))
    }

    /// A column that stands free: to be shown, if the sentence is at a place for that.
    fn show(&mut self, column: ColumnRef) -> Result<(), Stuck> {
        let before = self.at.checked_sub(1).map(|index| &self.terms[index]);
        let owned = before.is_some_and(|t| matches!(t.text.to_lowercase().as_str(), "its" | "their" | "his" | "her"));
        if !self.selecting && !owned {
            return self.stuck();
        }
        if self.draft.entity.is_none() {
            let one = self.terms.get(self.at + 1).is_some_and(|t| t.text == "has");
            self.draft.entity_is_plural = self.terms[self.at].is_plural && !one;
        }
        // "users with their phones" are still users.
        if let (true, true, Some(entity)) = (owned, self.draft.columns.is_empty(), self.draft.entity) {
            let naming = self.schema.naming(entity);
            self.draft.columns = if naming.is_empty() { self.schema.primary_key(entity) } else { naming };
        }
        if !self.draft.columns.contains(&column) {
            self.draft.columns.push(column);
        }
        if self.lists_values(column) {
            self.draft.listed = Some(column);
        }
        // "total amount" may be a column, or the sum of amounts.
        let first_word = self.terms[self.at].text.split(' ').next().unwrap_or_default().to_lowercase();
        if let (Some(Role::Aggregate(aggregate)), true) =
            (lexicon::role(&first_word), self.schema.family(column).is_number())
        {
            self.draft.ambiguous_figure = Some((aggregate, column));
        }
        self.selecting = true;
        self.at += 1;
        Ok(())
    }

    /// Whether the current term asks for the different values of `column`: "what carriers", "countries of users".
    fn lists_values(&self, column: ColumnRef) -> bool {
        let (table, definition) = (self.schema.table(column.table), self.schema.column(column));
        let is_value = self.schema.family(column) == Family::Text || definition.enum_values.is_some();
        let identifies = definition.is_primary_key || definition.is_unique;
        if !is_value || identifies || self.schema.naming(column.table).contains(&column) {
            return false;
        }
        let table_words = split_identifier(&table.table_name);
        let of_table = |word: &String| table_words.iter().any(|t| stem(t) == stem(word));
        let is_plural =
            split_identifier(&self.terms[self.at].text).iter().any(|word| !of_table(word) && is_plural_noun(word));
        let asked = self
            .at
            .checked_sub(1)
            .is_some_and(|before| matches!(self.terms[before].text.to_lowercase().as_str(), "what" | "which"));
        let few = columns::labels(table, definition).is_some()
            || places::kind_of_column(&columns::own_words(table, definition)).is_some();
        is_plural && (asked || few)
    }

    /// `created`, `placed`: rows come to be so; only a time, a table or the end may follow.
    fn created(&mut self) -> Result<(), Stuck> {
        self.at += 1;
        self.creation_named = true;
        let fits = self.terms.get(self.at).is_none_or(|term| {
            matches!(term.role, Some(Role::Place | Role::Compare(_) | Role::Between | Role::By | Role::Filler))
                || matches!(term.literal, Some(Literal::Period(_) | Literal::Stop))
        });
        if fits { Ok(()) } else { self.stuck() }
    }

    /// Keeps a mention's score and what was taken for granted.
    pub(super) fn note(&mut self, evidence: &Evidence) {
        self.draft.scores.push(evidence.score);
        if let Some(assumption) = &evidence.assumption
            && !self.draft.assumptions.contains(assumption)
        {
            self.draft.assumptions.push(assumption.clone());
        }
    }

    pub(super) fn skip_filler(&mut self) {
        while self.terms.get(self.at).is_some_and(|t| {
            matches!(t.role, Some(Role::Filler | Role::Indefinite | Role::Of)) && t.meanings.is_empty()
        }) {
            self.at += 1;
        }
    }

    /// The last role before `at`, filler left out; `None` where something else stands there.
    pub(super) fn role_before(&self, at: usize) -> Option<Role> {
        let before =
            self.terms[..at].iter().rev().find(|t| !matches!(t.role, Some(Role::Filler | Role::Indefinite)))?;
        before.role
    }

    /// The position of the next term with a meaning, over filler.
    pub(super) fn mention_after(&self, at: usize) -> Option<usize> {
        let skip =
            |term: &&Term| matches!(term.role, Some(Role::Filler | Role::Indefinite | Role::Of | Role::Distinct));
        let offset = self.terms[at + 1..].iter().take_while(skip).count();
        let next = at + 1 + offset;
        self.terms.get(next).filter(|t| !t.meanings.is_empty()).map(|_| next)
    }

    /// Whether a value stands at `at`, over forms of "to be".
    pub(super) fn value_follows(&self, mut at: usize) -> bool {
        while self.terms.get(at).is_some_and(|t| t.role == Some(Role::Filler)) {
            at += 1;
        }
        self.terms.get(at).is_some_and(|t| {
            matches!(t.literal, Some(Literal::Number(_) | Literal::Quoted(_)))
                || matches!(t.role, Some(Role::Compare(_) | Role::Between))
        })
    }
}
