//! How the second table of a plan takes part: joined, asked about with EXISTS, or not needed.

use super::draft::{Connection, Stuck};
use super::plan::{Filter, OrderKey, Plan, Related};
use super::reader::Reader;
use super::scope::ColumnRef;

impl Reader<'_> {
    /// Puts each filter beside the rows or into an EXISTS, and decides whether the other table is joined.
    pub(super) fn place_conditions(&self, plan: &mut Plan) -> Result<(), Stuck> {
        let Some((position, other)) = self.scope.link.zip(self.scope.other(plan.entity)) else {
            plan.filters = self.draft.filters.clone();
            return Ok(());
        };
        let order_columns = plan.order.iter().filter_map(|order| match order.by {
            OrderKey::Column(column) => Some(column),
            OrderKey::Measure(_) => None,
        });
        let shown = plan.columns.iter().chain(&plan.groups).copied().chain(order_columns).any(|c| c.table == other);
        let (there, here): (Vec<Filter>, Vec<Filter>) =
            self.draft.filters.iter().cloned().partition(|f| f.column().table == other);
        let link = &self.schema.links[position];
        let many = self.multiplies(plan.entity, other);
        // What belongs to one row is its own ("orders from Germany"); among many, the table must be named.
        if many && self.draft.connection.is_none() && (shown || !there.is_empty()) {
            return self.stuck_because(format!("{} aren't named in the question", self.schema.table(other).table_name));
        }
        plan.filters = here;
        let connection = self.draft.connection;
        let optional = link.from == plan.entity && matches!(connection, Some(Connection::Lacking | Connection::Having));
        if optional && there.is_empty() && !shown && !link.is_mandatory {
            // "orders with a coupon": the reference is there, or not.
            let lacks = connection == Some(Connection::Lacking);
            let missing =
                |&(column, _): &(usize, usize)| Filter::Missing(ColumnRef { table: link.from, column }, lacks);
            plan.filters.extend(link.columns.iter().take(1).map(missing));
        } else if connection == Some(Connection::Lacking) {
            if shown {
                return self.stuck();
            }
            plan.related = Some(Related { link: position, table: other, exists: false, filters: there });
        } else if shown || (!there.is_empty() && !many) {
            plan.join = Some(position);
            plan.filters = self.draft.filters.clone();
        } else if !there.is_empty() || (link.to == plan.entity && connection == Some(Connection::Having)) {
            plan.related = Some(Related { link: position, table: other, exists: true, filters: there });
        } else if !(link.from == plan.entity && link.is_mandatory && connection == Some(Connection::Belonging)) {
            // "orders of users" are all orders; anything else would drop a word's meaning.
            return self
                .stuck_because(format!("what {} has to do with it is not clear", self.schema.table(other).table_name));
        }
        Ok(())
    }

    /// Whether joining `other` may repeat rows of `entity`.
    pub(super) fn multiplies(&self, entity: usize, other: usize) -> bool {
        let link = self.scope.link.map(|position| &self.schema.links[position]);
        link.is_some_and(|link| other != entity && link.to == entity && !link.is_one_to_one)
    }

    /// Nothing that was read may be missing from the plan.
    pub(super) fn check_whole(&self, plan: &Plan) -> Result<(), Stuck> {
        let uses_second = plan.join.is_some() || plan.related.is_some();
        let vacuous =
            matches!(self.draft.connection, Some(Connection::Belonging | Connection::Having | Connection::Lacking));
        let in_scope = |c: &ColumnRef| c.table == plan.entity || plan.join.is_some();
        let reachable = plan.columns.iter().chain(&plan.groups).all(in_scope);
        if !reachable || (self.scope.link.is_some() && !uses_second && !vacuous) {
            return self.stuck_because("the tables named have no use for each other here");
        }
        if self.draft.everything && !plan.measures.is_empty() {
            return self.stuck();
        }
        Ok(())
    }
}
