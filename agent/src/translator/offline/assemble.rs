//! The end of a reading: a draft whose words are all placed becomes a plan, or shows that something doesn't fit.

use super::columns;
use super::draft::{Group, Pending, Rank, Stuck};
use super::lexicon::{Aggregate, Direction};
use super::plan::{Filter, Measure, Order, OrderKey, Plan};
use super::reader::Reader;
use super::scope::ColumnRef;

/// Most columns that a list shows when the question names none.
const MOST_COLUMNS: usize = 8;

impl Reader<'_> {
    /// The plan of what was read.
    pub(super) fn finish(mut self) -> Result<Plan, Stuck> {
        self.at = self.terms.len().saturating_sub(1);
        if self.draft.pending != Pending::Nothing || self.negated || self.sorting {
            return self.stuck_because("the question ends before it says what is wanted");
        }
        // A column alone must be called by its very name to tell which table is meant.
        if self.draft.entity.is_none() && self.score() < 0.9 {
            return self.stuck_because("the question names no table");
        }
        let own = self.draft.entity.or(self.draft.columns.first().map(|c| c.table));
        let Some(named) = own.or(self.draft.measured) else {
            return self.stuck_because("the question names no table");
        };
        let mut plan = match self.draft.rank {
            Some(Rank::CountOf(direction, counted)) => self.ranked_by_count(named, counted, direction)?,
            _ if !self.draft.measures.is_empty() => self.figures()?,
            _ => self.list(named)?,
        };
        self.check_whole(&plan)?;
        plan.assumptions = self.draft.assumptions;
        Ok(plan)
    }

    fn empty(&self, entity: usize) -> Plan {
        Plan {
            entity,
            join: None,
            distinct: false,
            columns: Vec::new(),
            measures: Vec::new(),
            shows_measures: true,
            groups: Vec::new(),
            filters: Vec::new(),
            related: None,
            order: Vec::new(),
            limit: self.draft.limit,
            assumptions: Vec::new(),
            score: self.score(),
        }
    }

    fn score(&self) -> f64 {
        let scores = &self.draft.scores;
        let mean = if scores.is_empty() { 0.0 } else { scores.iter().sum::<f64>() / scores.len() as f64 };
        // The simpler reading wins where both explain the words alike.
        if self.scope.link.is_some() { mean - 0.02 } else { mean }
    }

    /// Rows of a table, each as it is.
    fn list(&mut self, entity: usize) -> Result<Plan, Stuck> {
        if let Some((aggregate, column)) = self.draft.ambiguous_figure
            && self.draft.columns == [column]
            && !self.picks_rows(entity)
        {
            return self.figure_or_column(aggregate, column);
        }
        let mut plan = self.empty(entity);
        // "the name of each battle" lists battles.
        if self.draft.groups.iter().any(|group| *group != Group::Table(entity)) {
            return self.counted_groups(entity);
        }
        plan.distinct = self.draft.distinct;
        if let Some(column) = self.draft.listed {
            let tells_apart = !self.schema.column(column).masked;
            plan.distinct |= tells_apart && self.draft.columns == [column] && !self.picks_rows(entity);
        }
        if plan.distinct && self.draft.columns.is_empty() {
            plan.distinct = false;
        }
        let sorted_by_hidden = self.draft.order.iter().any(|(column, _)| !self.draft.columns.contains(column));
        if plan.distinct && (sorted_by_hidden || self.draft.rank.is_some() || self.draft.limit.is_some()) {
            return self.stuck_because("different values can be ordered only by themselves");
        }
        self.add_order(&mut plan)?;
        plan.columns = self.draft.columns.clone();
        if plan.columns.is_empty() || self.draft.everything {
            plan.columns = self.default_columns(&plan);
            let (shown, all) = (plan.columns.len(), self.schema.table(entity).columns.len());
            if shown < all {
                self.draft.assumptions.push(format!("{shown} of {all} columns are shown"));
            }
        }
        self.place_conditions(&mut plan)?;
        Ok(plan)
    }

    /// `total of orders per user`, where orders have a column "total": over groups it is summed, else either could be meant.
    fn figure_or_column(&mut self, aggregate: Aggregate, column: ColumnRef) -> Result<Plan, Stuck> {
        let name = &self.schema.column(column).name;
        if self.draft.groups.is_empty() {
            return self.stuck_because(format!("'{name}' may ask for one figure or for the column of that name"));
        }
        self.draft.columns.clear();
        self.measure(Measure::Of(aggregate, column), column.table)?;
        self.figures()
    }

    /// Whether the question picks single rows, so that a column's own values are meant.
    fn picks_rows(&self, entity: usize) -> bool {
        let key = self.schema.primary_key(entity);
        let by_key = self.draft.filters.iter().any(|filter| key.contains(&filter.column()));
        by_key || self.draft.rank.is_some() || self.draft.limit.is_some() || !self.draft.order.is_empty()
    }

    /// `orders per status`: counted, as nothing else is said.
    fn counted_groups(&mut self, entity: usize) -> Result<Plan, Stuck> {
        if !self.draft.columns.is_empty() || self.draft.everything || self.draft.groups.contains(&Group::Table(entity))
        {
            return self.stuck();
        }
        self.draft.assumptions.push(format!("{} are counted in each group", self.schema.table(entity).table_name));
        self.measure(Measure::Rows, entity)?;
        self.figures()
    }

    /// Counts, sums and the like, in all or per group.
    fn figures(&mut self) -> Result<Plan, Stuck> {
        let Some(entity) = self.draft.measured else { return self.stuck() };
        let mut plan = self.empty(entity);
        plan.measures = self.draft.measures.clone();
        if self.draft.distinct {
            if plan.measures != [Measure::Rows] {
                return self.stuck();
            }
            // Rows of a table are different by themselves.
            self.draft.distinct = false;
        }
        for group in self.draft.groups.clone() {
            self.add_group(&mut plan, group)?;
        }
        self.show_with_groups(&mut plan)?;
        let multiplied = plan.groups.iter().any(|c| self.multiplies(entity, c.table));
        if multiplied {
            let key = self.schema.primary_key(entity);
            if plan.measures != [Measure::Rows] || key.is_empty() {
                return self.stuck_because("the join would count rows more than once");
            }
            plan.measures = vec![Measure::Keys(key)];
        }
        self.add_order(&mut plan)?;
        if plan.groups.is_empty() && (plan.limit.is_some() || !plan.order.is_empty()) {
            return self.stuck_because("one figure has no order and no number of rows");
        }
        self.place_conditions(&mut plan)?;
        Ok(plan)
    }

    fn add_group(&self, plan: &mut Plan, group: Group) -> Result<(), Stuck> {
        match group {
            Group::Column(column) => {
                plan.columns.push(column);
                plan.groups.push(column);
            }
            Group::Table(table) => {
                let key = self.schema.primary_key(table);
                // Rows whose name is masked are told apart by their key alone.
                let mut naming = self.schema.naming(table);
                naming.retain(|column| !self.schema.column(*column).masked);
                if table == plan.entity || (key.is_empty() && naming.is_empty()) {
                    return self
                        .stuck_because(format!("{} has nothing to group by", self.schema.table(table).table_name));
                }
                plan.columns.extend(if naming.is_empty() { key.clone() } else { naming.clone() });
                // By the key too: two rows of one name stay two.
                plan.groups.extend(key);
                plan.groups.extend(naming.into_iter().filter(|c| !plan.groups.contains(c)).collect::<Vec<_>>());
            }
        }
        Ok(())
    }

    /// Columns named beside grouped figures take the place of the group's own, where they belong to it.
    fn show_with_groups(&self, plan: &mut Plan) -> Result<(), Stuck> {
        let shown = &self.draft.columns;
        if shown.is_empty() {
            return Ok(());
        }
        let belongs = |column: &ColumnRef| {
            plan.groups.contains(column) || self.draft.groups.contains(&Group::Table(column.table))
        };
        if plan.groups.is_empty() || !shown.iter().all(belongs) {
            return self.stuck_because("single values can't stand beside a figure of many rows");
        }
        let keyed = plan.groups.iter().any(|c| self.schema.column(*c).is_primary_key);
        let missing: Vec<ColumnRef> = shown.iter().copied().filter(|c| !plan.groups.contains(c)).collect();
        if keyed {
            // What only named the group gives way to what was asked for; the key keeps groups apart.
            plan.groups.retain(|c| {
                self.schema.column(*c).is_primary_key
                    || shown.contains(c)
                    || self.draft.groups.contains(&Group::Column(*c))
            });
        }
        plan.groups.extend(missing);
        plan.columns = shown.clone();
        Ok(())
    }

    /// `users with the most orders`.
    fn ranked_by_count(&mut self, named: usize, counted: usize, direction: Direction) -> Result<Plan, Stuck> {
        let along = self.scope.link.map(|position| &self.schema.links[position]);
        let fits = along.is_some_and(|link| link.from == counted && link.to == named && !link.is_one_to_one);
        if !self.draft.order.is_empty() || self.draft.order_by_measure.is_some() {
            return self.stuck_because("the rows are in the order of their number already");
        }
        if !fits || !self.draft.measures.is_empty() || self.draft.columns.iter().any(|c| c.table != named) {
            return self.stuck_because(format!(
                "{} has no {} of its own to count",
                self.schema.table(named).table_name,
                self.schema.table(counted).table_name
            ));
        }
        if direction == Direction::Ascending {
            self.draft.assumptions.push(format!(
                "{} without any {} are left out",
                self.schema.table(named).table_name,
                self.schema.table(counted).table_name
            ));
        }
        let mut plan = self.empty(counted);
        plan.measures = vec![Measure::Rows];
        self.draft.groups.retain(|group| *group != Group::Table(named));
        if !self.draft.groups.is_empty() {
            return self.stuck();
        }
        self.draft.groups = vec![Group::Table(named)];
        self.add_group(&mut plan, Group::Table(named))?;
        plan.shows_measures = self.draft.columns.is_empty();
        self.show_with_groups(&mut plan)?;
        plan.order.push(Order { by: OrderKey::Measure(0), direction, in_time: false });
        self.default_limit(&mut plan);
        self.place_conditions(&mut plan)?;
        Ok(plan)
    }

    /// The columns of a list that names none: key, name, what conditions and order speak of, then others as room is left.
    fn default_columns(&self, plan: &Plan) -> Vec<ColumnRef> {
        let entity = plan.entity;
        let all: Vec<ColumnRef> = self.schema.columns_of(entity).collect();
        let open: Vec<ColumnRef> =
            all.iter().copied().filter(|c| !columns::is_withheld(self.schema.column(*c))).collect();
        if self.draft.everything {
            return all.into_iter().filter(|c| !columns::is_secret(self.schema.column(*c))).collect();
        }
        let mut wanted = self.schema.primary_key(entity);
        wanted.extend(self.schema.naming(entity));
        wanted.extend(plan.order.iter().filter_map(|order| match order.by {
            OrderKey::Column(column) => Some(column),
            OrderKey::Measure(_) => None,
        }));
        wanted.extend(self.draft.filters.iter().map(Filter::column));
        wanted.retain(|c| c.table == entity);
        let wanted: Vec<ColumnRef> = all.iter().copied().filter(|c| wanted.contains(c)).collect();
        let room = MOST_COLUMNS.saturating_sub(wanted.len());
        let others: Vec<ColumnRef> = open.into_iter().filter(|c| !wanted.contains(c)).take(room).collect();
        all.into_iter().filter(|c| wanted.contains(c) || others.contains(c)).collect()
    }
}
