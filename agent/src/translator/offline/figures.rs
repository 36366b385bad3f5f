//! Reading figures: counts, sums, averages and the like.

use super::draft::{Pending, Stuck};
use super::lexicon::Aggregate;
use super::plan::Measure;
use super::reader::Reader;
use super::scope::ColumnRef;

impl Reader<'_> {
    pub(super) fn count(&mut self) -> Result<(), Stuck> {
        if self.draft.pending != Pending::Nothing {
            return self.stuck_because("one figure at a time is what can be computed yet");
        }
        self.at += 1;
        self.draft.pending = Pending::Count;
        Ok(())
    }

    /// `average`, or the next of `minimum, average and maximum`.
    pub(super) fn aggregate(&mut self, aggregate: Aggregate) -> Result<(), Stuck> {
        match &mut self.draft.pending {
            Pending::Nothing => self.draft.pending = Pending::Aggregates(vec![aggregate]),
            Pending::Aggregates(aggregates) if !aggregates.contains(&aggregate) => aggregates.push(aggregate),
            _ => return self.stuck(),
        }
        self.at += 1;
        Ok(())
    }

    /// Adds a measure that isn't there yet; all measures of a question are of one table.
    pub(super) fn measure(&mut self, measure: Measure, table: usize) -> Result<(), Stuck> {
        if self.draft.measures.contains(&measure) {
            return Ok(());
        }
        if self.draft.measured.is_some_and(|measured| measured != table) {
            return self.stuck_because("figures of two tables can't be computed in one question yet");
        }
        self.draft.measured = Some(table);
        self.draft.measures.push(measure);
        Ok(())
    }

    pub(super) fn aggregate_of(&mut self, aggregate: Aggregate, column: ColumnRef) -> Result<(), Stuck> {
        let family = self.schema.family(column);
        let name = &self.schema.column(column).name;
        let adds = matches!(aggregate, Aggregate::Sum | Aggregate::Average);
        let is_key = self.schema.column(column).is_primary_key || self.schema.link_of(column).is_some();
        if is_key || !(family.is_number() || (!adds && family.is_time())) {
            return self.stuck_because(format!("{name} is not a column to compute with"));
        }
        self.measure(Measure::Of(aggregate, column), column.table)
    }
}
