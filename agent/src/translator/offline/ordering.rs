//! The order and the number of rows of a plan, from what was read of them.

use super::columns;
use super::draft::{Rank, Stuck};
use super::lexicon::{Direction, Quality};
use super::plan::{Measure, Order, OrderKey, Plan};
use super::reader::Reader;
use super::scope::ColumnRef;

impl Reader<'_> {
    pub(super) fn default_limit(&mut self, plan: &mut Plan) {
        if plan.limit.is_some() {
            return;
        }
        if self.draft.entity_is_plural {
            self.draft.assumptions.push("all rows in that order, as no number was given".into());
        } else {
            plan.limit = Some(1);
        }
    }

    pub(super) fn add_order(&mut self, plan: &mut Plan) -> Result<(), Stuck> {
        for &(column, direction) in &self.draft.order {
            let grouped = plan.measures.is_empty() || plan.groups.contains(&column);
            let key = match plan.measures.iter().position(|m| matches!(m, Measure::Of(_, of) if *of == column)) {
                Some(index) if !grouped => OrderKey::Measure(index),
                _ if grouped => OrderKey::Column(column),
                _ => return self.stuck_because("groups can't be ordered by a column that isn't one of theirs"),
            };
            plan.order.push(Order { by: key, direction, in_time: true });
        }
        if let Some(direction) = self.draft.order_by_measure {
            plan.order.push(Order { by: OrderKey::Measure(0), direction, in_time: false });
        }
        match self.draft.rank {
            Some(rank) => self.add_rank(plan, rank),
            None if plan.limit.is_some() && plan.order.is_empty() => {
                if !plan.measures.is_empty() {
                    return self.stuck_because("the number of rows needs an order");
                }
                self.order_by_key(plan, Direction::Ascending)
            }
            None => Ok(()),
        }
    }

    pub(super) fn add_rank(&mut self, plan: &mut Plan, rank: Rank) -> Result<(), Stuck> {
        let entity = plan.entity;
        match rank {
            Rank::Measure(_) if plan.measures.is_empty() => return self.stuck(),
            Rank::Measure(direction) => plan.order.push(Order { by: OrderKey::Measure(0), direction, in_time: false }),
            Rank::Open(_) => return self.stuck_because("'top' needs an order: say 'by' and a column"),
            Rank::CountOf(..) => return self.stuck(),
            _ if !plan.measures.is_empty() => {
                let by_measure = match rank {
                    Rank::Column(direction, column) => plan
                        .measures
                        .iter()
                        .position(|m| matches!(m, Measure::Of(_, of) if *of == column))
                        .map(|i| (i, direction)),
                    _ => None,
                };
                let Some((index, direction)) = by_measure else {
                    return self.stuck_because("a figure over the first rows only can't be computed yet");
                };
                plan.order.push(Order { by: OrderKey::Measure(index), direction, in_time: false });
            }
            Rank::Column(direction, column) => {
                plan.order.push(Order { by: OrderKey::Column(column), direction, in_time: true });
            }
            Rank::Quality(direction, quality) => match self.quality_column(entity, quality) {
                Some((column, reversed)) => {
                    let direction = if reversed { opposite(direction) } else { direction };
                    plan.order.push(Order { by: OrderKey::Column(column), direction, in_time: true });
                }
                // The oldest order has no age, but it was made first.
                None if quality == Quality::Age => self.order_in_time(plan, opposite(direction))?,
                None => {
                    return self.stuck_because(format!(
                        "{} has no column for that order",
                        self.schema.table(entity).table_name
                    ));
                }
            },
            Rank::Time(direction) => self.order_in_time(plan, direction)?,
        }
        self.default_limit(plan);
        Ok(())
    }

    /// Newest or oldest first: by the time of creation, else by a key that counts up.
    pub(super) fn order_in_time(&mut self, plan: &mut Plan, direction: Direction) -> Result<(), Stuck> {
        let table = self.schema.table(plan.entity);
        let Some(column) = columns::creation_time(table) else { return self.order_by_key(plan, direction) };
        let column = ColumnRef { table: plan.entity, column };
        let word = if direction == Direction::Descending { "newest" } else { "oldest" };
        let read = format!("{word} by {}", self.schema.column(column).name);
        self.draft.assumptions.push(match self.draft.rank_word.as_str() {
            "" => format!("the order is {read}"),
            asked if asked == word => format!("'{asked}' goes by {}", self.schema.column(column).name),
            asked => format!("'{asked}' read as {read}"),
        });
        plan.order.push(Order { by: OrderKey::Column(column), direction, in_time: true });
        Ok(())
    }

    pub(super) fn order_by_key(&mut self, plan: &mut Plan, direction: Direction) -> Result<(), Stuck> {
        let key = self.schema.primary_key(plan.entity);
        if key.is_empty()
            || (direction == Direction::Descending && !key.iter().all(|c| self.schema.family(*c).is_number()))
        {
            return self.stuck_because(format!(
                "{} has neither a time of creation nor a counting key to order by",
                self.schema.table(plan.entity).table_name
            ));
        }
        let names: Vec<&str> = key.iter().map(|c| self.schema.column(*c).name.as_str()).collect();
        self.draft.assumptions.push(format!("the order is that of {}", names.join(", ")));
        plan.order.extend(key.into_iter().map(|column| Order {
            by: OrderKey::Column(column),
            direction,
            in_time: false,
        }));
        Ok(())
    }
}

fn opposite(direction: Direction) -> Direction {
    match direction {
        Direction::Ascending => Direction::Descending,
        Direction::Descending => Direction::Ascending,
    }
}
