//! Reading conditions in time: "in 2024", "since May", "between two days".

use super::columns::{self, Family};
use super::dates::{self, Period};
use super::draft::{Connection, Stuck};
use super::evidence::Literal;
use super::lexicon::{Comparison, Role};
use super::plan::{Filter, Operand};
use super::reader::Reader;
use super::scope::ColumnRef;
use super::words::split_identifier;

impl Reader<'_> {
    pub(super) fn time_between(&mut self, column: ColumnRef) -> Result<(), Stuck> {
        let Some(first) = self.period_here() else { return self.stuck() };
        self.at += 1;
        if self.role_here() != Some(Role::And) {
            return self.stuck();
        }
        self.at += 1;
        let Some(last) = self.period_here() else { return self.stuck() };
        self.at += 1;
        let (first, last) = if last.from < first.from { (last, first) } else { (first, last) };
        self.note_clock(&first);
        self.draft.filters.push(Filter::During(column, Some(first.from), Some(last.until)));
        Ok(())
    }

    /// A period that says when the rows came to be.
    pub(super) fn time_condition(&mut self, comparison: Comparison) -> Result<(), Stuck> {
        let Some(period) = self.period_here() else { return self.stuck() };
        if let (Some(number), Some(column)) = (self.number_at(self.at), self.year_column()) {
            let Some(value) = self.number_for(column, &number)? else { return self.stuck() };
            self.at += 1;
            self.draft.scores.push(0.9);
            self.draft.filters.push(Filter::Compare(column, comparison, value));
            return Ok(());
        }
        let Some(column) = self.time_column()? else { return self.stuck() };
        self.at += 1;
        self.draft.scores.push(0.9);
        self.draft.assumptions.push(format!("the time is that of {}", self.schema.column(column).name));
        self.during(column, comparison, &period)
    }

    /// The creation time of the entity, or of the table in focus where its creation was spoken of.
    pub(super) fn time_column(&self) -> Result<Option<ColumnRef>, Stuck> {
        // "orders of users in 2024" asks when orders were made; "of users who joined in 2024" when users did.
        // "users with orders in 2024" and "without orders in 2024" ask for the orders of that year.
        let grouped = matches!(self.draft.connection, Some(Connection::Having | Connection::Lacking));
        let joined = if self.creation_named || grouped { self.draft.focus } else { None };
        let tables = [joined, self.draft.entity, self.draft.focus, Some(self.scope.first)];
        let Some(table) = tables.into_iter().flatten().next() else { return self.stuck() };
        if !self.creation_named
            && let Some(column) = self.time_of_label(table)?
        {
            return Ok(Some(column));
        }
        Ok(columns::creation_time(self.schema.table(table)).map(|column| ColumnRef { table, column }))
    }

    /// The time column that a label read before speaks of: `delivered_at` after "delivered".
    fn time_of_label(&self, table: usize) -> Result<Option<ColumnRef>, Stuck> {
        let time_of = |label: &Operand| {
            let label = split_identifier(&label.words());
            let times = self.schema.columns_of(table).filter(|c| self.schema.family(*c).is_time());
            let tells = |c: &ColumnRef| {
                let words = split_identifier(&self.schema.column(*c).name);
                words.split_last().is_some_and(|(_, event)| event == label)
            };
            times.into_iter().find(tells)
        };
        for filter in self.draft.filters.iter().filter(|filter| filter.column().table == table) {
            match filter {
                Filter::Compare(_, Comparison::Equal, label) => {
                    if let Some(column) = time_of(label) {
                        return Ok(Some(column));
                    }
                }
                // Of several events, or of none, the time could be that of any.
                Filter::Compare(_, _, label) if time_of(label).is_some() => return self.stuck(),
                Filter::Among(_, _, labels) if labels.iter().any(|label| time_of(label).is_some()) => {
                    return self.stuck();
                }
                _ => {}
            }
        }
        Ok(None)
    }

    /// An integer column that holds a year, where the table has no time of its own.
    fn year_column(&self) -> Option<ColumnRef> {
        let table = self.draft.focus.or(self.draft.entity).unwrap_or(self.scope.first);
        if columns::creation_time(self.schema.table(table)).is_some() {
            return None;
        }
        let is_year = |column: &ColumnRef| {
            self.schema.family(*column) == Family::Integer
                && split_identifier(&self.schema.column(*column).name).last().is_some_and(|word| word == "year")
        };
        let mut years = self.schema.columns_of(table).filter(is_year);
        years.next().filter(|_| years.next().is_none())
    }

    pub(super) fn during(&mut self, column: ColumnRef, comparison: Comparison, period: &Period) -> Result<(), Stuck> {
        let comparison = if std::mem::take(&mut self.negated) { comparison.negated() } else { comparison };
        let (from, until) = match comparison {
            Comparison::Equal => (Some(period.from), Some(period.until)),
            Comparison::Less => (None, Some(period.from)),
            Comparison::LessOrEqual => (None, Some(period.until)),
            Comparison::Greater => (Some(period.until), None),
            Comparison::GreaterOrEqual => (Some(period.from), None),
            Comparison::NotEqual => return self.stuck(),
        };
        self.note_clock(period);
        self.draft.filters.push(Filter::During(column, from, until));
        Ok(())
    }

    fn note_clock(&mut self, period: &Period) {
        if period.by_clock {
            let context = self.schema.context;
            self.draft.assumptions.push(format!("today is {} in {}", context.today, context.timezone));
        }
    }

    /// The period that the current term names; a bare number may be a year.
    pub(super) fn period_here(&self) -> Option<Period> {
        match self.terms.get(self.at)?.literal.as_ref()? {
            Literal::Period(period) => Some(period.clone()),
            // "2000 orders" is no year.
            Literal::Number(number)
                if number.len() == 4 && self.terms.get(self.at + 1).is_none_or(|t| t.meanings.is_empty()) =>
            {
                dates::year(number.parse().ok()?)
            }
            _ => None,
        }
    }
}
