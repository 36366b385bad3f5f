//! ORDER BY, GROUP BY and DISTINCT ON, which may also speak of output columns, by name or place.

use pg_query::NodeEnum;
use pg_query::protobuf::a_const::Val;
use pg_query::protobuf::{GroupingSet, Node, SortBy};

use super::{Place, Walk, string};
use crate::columns::{Columns, Found};
use crate::rejection::Rejection;
use crate::scope::Level;

/// Which names count first where an output column and an input column are called the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Clause {
    /// ORDER BY and DISTINCT ON: the output's.
    Order,
    /// GROUP BY: the input's.
    Group,
}

impl<'a> Walk<'a> {
    /// Judges the items of a clause, given the output columns of its query level.
    pub(super) fn clause(&mut self, items: &'a [Node], clause: Clause, output: &Columns) -> Result<(), Rejection> {
        items.iter().try_for_each(|item| self.moved(|walk| walk.item(item, clause, output)))
    }

    fn item(&mut self, item: &'a Node, clause: Clause, output: &Columns) -> Result<(), Rejection> {
        match &item.node {
            Some(NodeEnum::SortBy(sort)) => {
                let SortBy { node, sortby_dir: _, sortby_nulls: _, use_op, location } = sort.as_ref();
                if !use_op.is_empty() {
                    self.operator(use_op, *location)?;
                }
                node.as_deref().map_or(Ok(()), |node| self.item(node, clause, output))
            }
            Some(NodeEnum::GroupingSet(GroupingSet { kind: _, content, location: _ })) => {
                self.enter()?;
                self.clause(content, clause, output)?;
                self.leave();
                Ok(())
            }
            // `GROUP BY (a, b)` is a list of two.
            Some(NodeEnum::RowExpr(row)) if clause == Clause::Group => {
                self.enter()?;
                self.clause(&row.args, clause, output)?;
                self.leave();
                self.expression(item)
            }
            Some(NodeEnum::AConst(constant)) => match &constant.val {
                Some(Val::Ival(place)) => self.place(place.ival, constant.location, output),
                _ => self.expression(item),
            },
            Some(NodeEnum::ColumnRef(reference)) => match reference.fields.as_slice() {
                [name] => match string(name) {
                    Some(name) => self.output_or_column(name, item, reference.location, clause, output),
                    None => self.expression(item),
                },
                _ => self.expression(item),
            },
            _ => self.expression(item),
        }
    }

    /// A whole number is the place of an output column.
    fn place(&self, place: i32, location: i32, output: &Columns) -> Result<(), Rejection> {
        let at = usize::try_from(place).ok().and_then(|place| place.checked_sub(1));
        let (restriction, weight) = match at.and_then(|at| output.placed().get(at)) {
            Some(column) => (column.restriction, column.weight),
            None => (output.worst(), output.heaviest()),
        };
        self.count_moved(weight)?;
        self.admit(restriction, Place::Combined, &format!("column {place} of the result"), location).map(drop)
    }

    fn output_or_column(
        &mut self,
        name: &str,
        item: &'a Node,
        location: i32,
        clause: Clause,
        output: &Columns,
    ) -> Result<(), Rejection> {
        let input = || self.levels.last().map_or(Found::Nothing, |level: &Level<'_>| level.find(name));
        let is_output = match clause {
            Clause::Order => output.find(name) != Found::Nothing,
            Clause::Group => !matches!(input(), Found::Column(_)) && output.find(name) != Found::Nothing,
        };
        if !is_output {
            return self.expression(item);
        }
        self.count_moved(output.weight(name).unwrap_or_default())?;
        let restriction = match output.find(name) {
            Found::Column(restriction) => restriction,
            // It may be an output column of unknown name, or an input column.
            _ if matches!(input(), Found::Column(_)) => return self.expression(item),
            _ => output.worst(),
        };
        // Where an input column may be meant as well, it counts too.
        let restriction = match input() {
            Found::Perhaps(other) => restriction.max(other).max(output.worst()),
            _ => restriction,
        };
        self.admit(restriction, Place::Combined, name, location).map(drop)
    }
}
