//! Reading conditions: comparisons, labels, places, times, and what is missing.

use super::columns;
use super::draft::Stuck;
use super::evidence::{Evidence, Literal, Meaning, Term};
use super::lexicon::{self, Comparison, Quality, Role};
use super::plan::{Filter, Operand};
use super::reader::Reader;
use super::scope::ColumnRef;

impl Reader<'_> {
    /// Reads a condition on `column`, which the current term names; false where none follows.
    pub(super) fn condition_on(&mut self, column: ColumnRef) -> Result<bool, Stuck> {
        let start = self.at;
        self.at += 1;
        let verb = self.skip_to_be();
        if self.role_here() == Some(Role::Not) {
            self.negated = !self.negated;
            self.at += 1;
        }
        // "a price of at least 9".
        let compares =
            |term: Option<&Term>| matches!(term.and_then(|t| t.role), Some(Role::Compare(_) | Role::Between));
        if self.role_here() == Some(Role::Of) && compares(self.terms.get(self.at + 1)) {
            self.at += 1;
        }
        if self.missing(column)? {
            return Ok(true);
        }
        let is_time = self.schema.family(column).is_time();
        // "suppliers since 2020", where `since` is the column, compares as the word does.
        if is_time && self.at == start + 1 && self.period_here().is_some() {
            let last_word = self.terms[start].text.rsplit([' ', '_']).next().unwrap_or_default().to_lowercase();
            match lexicon::role(&last_word) {
                Some(Role::Compare(comparison)) => return self.compare(column, comparison),
                Some(Role::Place) if last_word == "from" => return self.stuck(),
                _ => {}
            }
        }
        let read = match self.role_here() {
            Some(Role::Compare(comparison) | Role::CompareQuality(comparison, _)) => {
                self.at += 1;
                self.compare(column, comparison)?
            }
            Some(Role::Between) => {
                self.at += 1;
                self.between(column)?
            }
            Some(Role::Place | Role::Of) if is_time || self.literal_number(self.at + 1) => {
                self.at += 1;
                self.equality(column, verb)?
            }
            // "in the region of Central Africa".
            Some(Role::Of) if self.name_at(self.at + 1) && self.role_before(start) == Some(Role::Place) => {
                self.at += 1;
                self.equality(column, verb)?
            }
            _ => self.equality(column, verb)?,
        };
        if !read {
            self.at = start;
        }
        Ok(read)
    }

    /// `is null`, `is not empty`: the value isn't there, or is. In quotes the word would be a value.
    fn missing(&mut self, column: ColumnRef) -> Result<bool, Stuck> {
        let says_so = self.terms.get(self.at).is_some_and(|term| {
            term.meanings.is_empty()
                && !matches!(term.literal, Some(Literal::Quoted(_)))
                && matches!(term.text.to_lowercase().as_str(), "null" | "empty" | "missing")
        });
        if says_so {
            let definition = self.schema.column(column);
            if !definition.is_nullable {
                return self.stuck_because(format!("{} is never missing", definition.name));
            }
            let is_missing = !std::mem::take(&mut self.negated);
            self.draft.filters.push(Filter::Missing(column, is_missing));
            self.at += 1;
        }
        Ok(says_so)
    }

    fn compare(&mut self, column: ColumnRef, comparison: Comparison) -> Result<bool, Stuck> {
        let comparison = if std::mem::take(&mut self.negated) { comparison.negated() } else { comparison };
        let ordered = !matches!(comparison, Comparison::Equal | Comparison::NotEqual);
        let family = self.schema.family(column);
        if family.is_time() {
            let Some(period) = self.period_here() else { return self.stuck() };
            self.at += 1;
            return self.during(column, comparison, &period).map(|()| true);
        }
        if ordered && !family.is_number() {
            return self.stuck_because(format!("{} can't be compared by size", self.schema.column(column).name));
        }
        self.skip_filler_words();
        let Some(value) = self.operand(column, true)? else { return self.stuck() };
        self.draft.filters.push(Filter::Compare(column, comparison, value));
        Ok(true)
    }

    fn between(&mut self, column: ColumnRef) -> Result<bool, Stuck> {
        if std::mem::take(&mut self.negated) {
            return self.stuck();
        }
        if self.schema.family(column).is_time() {
            return self.time_between(column).map(|()| true);
        }
        if !self.schema.family(column).is_number() {
            return self.stuck_because(format!("{} can't be compared by size", self.schema.column(column).name));
        }
        let Some(low) = self.operand(column, true)? else { return self.stuck() };
        if self.role_here() != Some(Role::And) && self.terms.get(self.at).is_none_or(|t| t.text != "to") {
            return self.stuck();
        }
        self.at += 1;
        let Some(high) = self.operand(column, true)? else { return self.stuck() };
        self.draft.filters.push(in_bounds(column, low, high));
        Ok(true)
    }

    /// One value or a list of them right behind the column.
    pub(super) fn equality(&mut self, column: ColumnRef, verb: bool) -> Result<bool, Stuck> {
        if self.schema.family(column).is_time() {
            let Some(period) = self.period_here() else { return Ok(false) };
            self.at += 1;
            return self.during(column, Comparison::Equal, &period).map(|()| true);
        }
        let Some(first) = self.operand(column, verb)? else { return Ok(false) };
        let mut values = vec![first];
        while let Some(next) = self.next_in_list(column)? {
            values.push(next);
        }
        let negated = std::mem::take(&mut self.negated);
        let comparison = if negated { Comparison::NotEqual } else { Comparison::Equal };
        let single = (values.len() == 1).then(|| values[0].clone());
        self.draft.filters.push(match single {
            Some(value) => Filter::Compare(column, comparison, value),
            None => Filter::Among(column, !negated, values),
        });
        self.warn_of_missing(column, negated);
        Ok(true)
    }

    /// Adds `column = value`, or `<>` where "not" was read before.
    pub(super) fn filter_equal(&mut self, column: ColumnRef, value: Operand) {
        let negated = std::mem::take(&mut self.negated);
        let comparison = if negated { Comparison::NotEqual } else { Comparison::Equal };
        self.draft.filters.push(Filter::Compare(column, comparison, value));
        self.warn_of_missing(column, negated);
    }

    fn warn_of_missing(&mut self, column: ColumnRef, negated: bool) {
        let definition = self.schema.column(column);
        if negated && definition.is_nullable {
            self.draft.assumptions.push(format!("rows without {} are left out", definition.name));
        }
    }

    /// The next value of "a, b or c"; a number that belongs to the next noun isn't one.
    fn next_in_list(&mut self, column: ColumnRef) -> Result<Option<Operand>, Stuck> {
        let start = self.at;
        let mut joined = false;
        while self
            .terms
            .get(self.at)
            .is_some_and(|t| matches!(t.role, Some(Role::Or | Role::And)) || t.literal == Some(Literal::Comma))
        {
            self.at += 1;
            joined = true;
        }
        let value = if joined { self.operand(column, false)? } else { None };
        if value.is_none() {
            self.at = start;
        }
        Ok(value)
    }

    /// `more than 4 cylinders`, `before 2024`, `not shipped`.
    pub(super) fn leading_comparison(&mut self, comparison: Comparison) -> Result<(), Stuck> {
        self.at += 1;
        self.skip_filler_words();
        let Some(term) = self.terms.get(self.at) else { return self.stuck_at_end() };
        if let Some(Literal::Number(number)) = term.literal.clone()
            && let Some((column, evidence)) = self.column_at(self.at + 1)
        {
            if !self.schema.family(column).is_number() {
                return self.stuck();
            }
            let comparison = if std::mem::take(&mut self.negated) { comparison.negated() } else { comparison };
            let Some(value) = self.number_for(column, &number)? else { return self.stuck() };
            self.draft.filters.push(Filter::Compare(column, comparison, value));
            self.note(&evidence);
            self.at += 2;
            return Ok(());
        }
        // "below age 30".
        if let (Some((column, evidence)), true) = (self.column_at(self.at), self.literal_number(self.at + 1)) {
            self.at += 1;
            self.note(&evidence);
            return if self.compare(column, comparison)? { Ok(()) } else { self.stuck() };
        }
        if comparison == Comparison::NotEqual && !term.meanings.is_empty() {
            self.negated = !self.negated;
            return Ok(());
        }
        self.time_condition(comparison)
    }

    /// `between 10 and 20 points`, `between March and May 2024`.
    pub(super) fn leading_between(&mut self) -> Result<(), Stuck> {
        self.at += 1;
        if let (Some(low), Some(high), Some((column, evidence))) =
            (self.number_at(self.at), self.number_at(self.at + 2), self.column_at(self.at + 3))
            && self.schema.family(column).is_number()
        {
            let (Some(low), Some(high)) = (self.number_for(column, &low)?, self.number_for(column, &high)?) else {
                return self.stuck();
            };
            self.draft.filters.push(in_bounds(column, low, high));
            self.note(&evidence);
            self.at += 4;
            return Ok(());
        }
        let Some(column) = self.time_column()? else { return self.stuck() };
        self.time_between(column)
    }

    /// `older than 30`.
    pub(super) fn quality_condition(&mut self, comparison: Comparison, quality: Quality) -> Result<(), Stuck> {
        let Some(number) = self.number_at(self.at + 1) else { return self.stuck() };
        let tables = [self.draft.focus, self.draft.entity];
        let Some((column, reversed)) =
            tables.into_iter().flatten().find_map(|table| self.quality_column(table, quality))
        else {
            return self.stuck();
        };
        if reversed || !self.schema.family(column).is_number() {
            return self.stuck();
        }
        let Some(value) = self.number_for(column, &number)? else { return self.stuck() };
        let comparison = if std::mem::take(&mut self.negated) { comparison.negated() } else { comparison };
        self.draft.filters.push(Filter::Compare(column, comparison, value));
        self.at += 2;
        Ok(())
    }

    /// The only column of `table` that holds a quality, or its opposite (then true).
    pub(super) fn quality_column(&self, table: usize, quality: Quality) -> Option<(ColumnRef, bool)> {
        let (direct, opposite) = lexicon::columns_of(quality);
        let own = |c: ColumnRef| columns::own_words(self.schema.table(table), self.schema.column(c)).join(" ");
        let find = |wanted: &[&str]| {
            let is = |c: &ColumnRef| wanted.contains(&own(*c).as_str());
            let ends = |c: &ColumnRef| wanted.iter().any(|w| own(*c).ends_with(&format!(" {w}")));
            let measurable = |c: &ColumnRef| self.schema.family(*c).is_number() || self.schema.family(*c).is_time();
            let exact = self.schema.columns_of(table).filter(measurable).find(is);
            let mut ending = self.schema.columns_of(table).filter(measurable).filter(ends);
            exact.or_else(|| ending.next().filter(|_| ending.next().is_none()))
        };
        find(direct).map(|c| (c, false)).or_else(|| find(opposite).map(|c| (c, true)))
    }

    /// `without a phone`, `without reviews`.
    pub(super) fn without(&mut self) -> Result<(), Stuck> {
        let Some(next) = self.mention_after(self.at) else { return self.stuck() };
        let evidence = self.choose(next, false)?;
        match evidence.meaning {
            Meaning::Table(_) if self.draft.entity.is_none() => return self.stuck(),
            // The table's own turn comes next; it sees that "without" stands before it.
            Meaning::Table(_) => self.at = next,
            // "that do not have the nationality USA".
            Meaning::Column(column) if self.name_at(next + 1) || self.literal_number(next + 1) => {
                self.note(&evidence);
                self.negated = !self.negated;
                self.at = next;
                self.condition_on(column)?;
            }
            Meaning::Column(column) if self.schema.column(column).is_nullable => {
                self.note(&evidence);
                self.draft.filters.push(Filter::Missing(column, true));
                self.at = next + 1;
            }
            Meaning::Column(column) => {
                return self.stuck_because(format!("{} is never missing", self.schema.column(column).name));
            }
            Meaning::Flag(column, value) => {
                self.note(&evidence);
                self.draft.filters.push(Filter::Flag(column, !value));
                self.at = next + 1;
            }
            Meaning::Label(..) => return self.stuck(),
        }
        Ok(())
    }

    /// `with a phone`: the value is there. Other links only lead to the condition behind them.
    pub(super) fn link(&mut self) -> Result<(), Stuck> {
        let indefinite = self.terms.get(self.at + 1).is_some_and(|t| t.role == Some(Role::Indefinite));
        self.at += 1;
        if !indefinite || self.number_at(self.at + 1).is_some() {
            return Ok(());
        }
        let start = self.at;
        let Some((column, evidence)) = self.column_at(self.at + 1) else { return Ok(()) };
        self.at += 1;
        if self.condition_on(column)? {
            self.note(&evidence);
            return Ok(());
        }
        if self.schema.column(column).is_nullable {
            self.note(&evidence);
            self.draft.filters.push(Filter::Missing(column, false));
            self.at = start + 2;
            return Ok(());
        }
        self.at = start + 1;
        self.stuck()
    }

    /// A boolean column that is to be `value`, or its opposite after "not".
    pub(super) fn flag(&mut self, column: ColumnRef, value: bool, evidence: &Evidence) -> Result<(), Stuck> {
        let value = value != std::mem::take(&mut self.negated);
        self.note(evidence);
        self.draft.filters.push(Filter::Flag(column, value));
        self.at += 1;
        Ok(())
    }

    /// The current term is one of the column's labels, or the first of several.
    pub(super) fn label(&mut self, column: ColumnRef, evidence: &Evidence) -> Result<(), Stuck> {
        self.note(evidence);
        if self.equality(column, false)? { Ok(()) } else { self.stuck() }
    }

    /// A number: how many rows, a year, or how much of the column behind it.
    pub(super) fn number(&mut self, number: &str) -> Result<(), Stuck> {
        let next = self.terms.get(self.at + 1);
        let ranks = next.is_some_and(|t| {
            matches!(t.role, Some(Role::Extreme(_) | Role::Ranked(..) | Role::Newest | Role::Earliest | Role::Top(_)))
        });
        let rows = next.is_some_and(|t| t.meanings.iter().any(|m| !matches!(m.meaning, Meaning::Column(_))))
            && self.draft.entity.is_none();
        if (ranks || rows || (self.draft.rank.is_some() && self.draft.limit.is_none() && self.follows_rank()))
            && self.draft.limit.is_none()
        {
            return self.set_limit(number);
        }
        let Some((column, evidence)) = self.column_at(self.at + 1).filter(|(c, _)| self.schema.family(*c).is_number())
        else {
            return self.stuck();
        };
        let Some(value) = self.number_for(column, number)? else { return self.stuck() };
        self.note(&evidence);
        self.filter_equal(column, value);
        self.at += 2;
        Ok(())
    }

    fn follows_rank(&self) -> bool {
        let before = self.at.checked_sub(1).map(|before| &self.terms[before]);
        before.is_some_and(|t| {
            matches!(t.role, Some(Role::Extreme(_) | Role::Ranked(..) | Role::Newest | Role::Earliest | Role::Top(_)))
        })
    }

    /// The column that the term at `at` means.
    pub(super) fn column_at(&self, at: usize) -> Option<(ColumnRef, Evidence)> {
        let term = self.terms.get(at)?;
        if !term.meanings.iter().any(|m| matches!(m.meaning, Meaning::Column(_))) {
            return None;
        }
        let evidence = self.choose(at, true).ok()?;
        match evidence.meaning {
            Meaning::Column(column) => Some((column, evidence)),
            _ => None,
        }
    }

    pub(super) fn number_at(&self, at: usize) -> Option<String> {
        match self.terms.get(at)?.literal.as_ref()? {
            Literal::Number(number) => Some(number.clone()),
            _ => None,
        }
    }

    pub(super) fn name_at(&self, at: usize) -> bool {
        self.terms.get(at).is_some_and(|t| matches!(t.literal, Some(Literal::Name(_) | Literal::Quoted(_))))
    }

    pub(super) fn literal_number(&self, at: usize) -> bool {
        self.number_at(at).is_some()
    }

    pub(super) fn role_here(&self) -> Option<Role> {
        self.terms.get(self.at).and_then(|t| t.role)
    }

    /// Skips forms of "to be" and the like; true where there were any.
    fn skip_to_be(&mut self) -> bool {
        let is_verb = |term: &Term| {
            term.role == Some(Role::Filler)
                && matches!(term.text.to_lowercase().as_str(), "is" | "are" | "was" | "were" | "be")
        };
        let start = self.at;
        while self.terms.get(self.at).is_some_and(is_verb) {
            self.at += 1;
        }
        self.at > start
    }

    pub(super) fn skip_filler_words(&mut self) {
        while matches!(self.role_here(), Some(Role::Filler | Role::Indefinite)) {
            self.at += 1;
        }
    }

    pub(super) fn stuck_at_end<T>(&self) -> Result<T, Stuck> {
        let mut stuck = self.stuck();
        if let Err(stuck) = &mut stuck {
            stuck.at = stuck.at.min(self.terms.len().saturating_sub(1));
        }
        stuck
    }
}

/// Between the two, the lower first: SQL finds nothing between 20 and 10.
fn in_bounds(column: ColumnRef, low: Operand, high: Operand) -> Filter {
    let size = |bound: &Operand| bound.words().parse::<f64>().ok();
    if size(&low) > size(&high) { Filter::Between(column, high, low) } else { Filter::Between(column, low, high) }
}
