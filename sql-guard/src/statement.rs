//! The walker: which statements, and which parts of them, may run. What isn't named here is refused.

mod call;
mod condition;
pub(crate) mod definition;
mod expansion;
mod expression;
mod from;
mod join;
mod json;
mod kind;
mod naming;
mod operator;
mod order;
mod reference;
mod relation;
#[cfg(test)]
mod tests;
mod type_name;
mod with;

use std::cell::Cell;
use std::collections::BTreeSet;

use pg_query::NodeEnum;
use pg_query::protobuf::{LockClauseStrength, Node, ResTarget, SelectStmt, SetOperation};
use shared_protocol::error::ErrorCode;

use crate::access::Access;
use crate::catalog::{ObjectId, RelationName};
use crate::columns::{Column, Columns, Restriction};
use crate::limits::Limits;
use crate::parse::{FLATTEN, first_token, only_key_word};
use crate::placeholders::Placeholders;
use crate::pool::Abandoned;
use crate::rejection::Rejection;
use crate::scope::Level;
use crate::weight::Weight;
use expansion::Expansion;
use kind::{not_a_query, variant, write_denied};
use order::Clause;

/// For whom a statement is walked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// The server, before it runs the statement: what isn't surely harmless is refused.
    Final,
    /// The agent, before it sends the statement: only what no server could accept is refused.
    Advisory,
    /// Nobody: the statement is a view's, whose owner answers for what it calls. Asked is what its columns show.
    Definition,
}

/// What becomes of an expression's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// It is a column of the statement's output, as it is.
    Output,
    /// It is a column of a subquery's output, as it is.
    Inner,
    /// It is turned into text.
    Text,
    /// It is only asked whether there is one.
    Tested,
    /// It is only counted.
    Counted,
    /// Other expressions may take it.
    Combined,
}

impl Place {
    /// Whether a value of that restriction may come here.
    fn admits(self, restriction: Restriction) -> bool {
        match restriction {
            Restriction::Free => true,
            Restriction::Fixed => self != Self::Combined,
            Restriction::Masked => matches!(self, Self::Output | Self::Inner | Self::Counted),
            Restriction::Hidden => false,
        }
    }
}

/// Whether a statement asks for an order of its rows.
pub(crate) fn is_ordered(statement: &Node) -> bool {
    matches!(&statement.node, Some(NodeEnum::SelectStmt(select)) if !select.sort_clause.is_empty())
}

/// One statement on its way through the guard, and what has been found in it.
pub(crate) struct Walk<'a> {
    pub(crate) text: &'a str,
    pub(crate) mode: Mode,
    pub(crate) access: Option<&'a Access>,
    pub(crate) placeholders: Placeholders,
    /// The relations read.
    pub(crate) relations: BTreeSet<RelationName>,
    /// Whether the statement may run code of the database's own.
    pub(crate) runs_code: Cell<bool>,
    /// The database's own functions in FROM, for which PostgreSQL may plan what their bodies read.
    pub(crate) in_from: BTreeSet<ObjectId>,
    /// The query levels around the present place, innermost last.
    levels: Vec<Level<'a>>,
    depth: usize,
    max_depth: usize,
    /// Whether a literal here would be a value of a condition.
    in_condition: bool,
    /// Whether such a value has to be a parameter.
    require_parameters: bool,
    /// How many column names the lists made so far hold.
    columns: usize,
    /// What PostgreSQL makes of it.
    expansion: Expansion,
    abandoned: Abandoned,
}

/// Most column names in all lists of a statement together: some 8 MB here, and 200 MB of PostgreSQL's.
const MAX_COLUMN_NAMES: usize = 500_000;

impl<'a> Walk<'a> {
    /// A walk that has seen nothing yet.
    pub(crate) fn new(
        text: &'a str,
        mode: Mode,
        access: Option<&'a Access>,
        limits: &Limits,
        abandoned: &Abandoned,
    ) -> Self {
        Self {
            text,
            mode,
            access,
            placeholders: Placeholders::default(),
            relations: BTreeSet::new(),
            runs_code: Cell::new(false),
            in_from: BTreeSet::new(),
            levels: Vec::new(),
            depth: 0,
            max_depth: limits.max_depth,
            in_condition: false,
            require_parameters: limits.require_parameters && mode == Mode::Final,
            columns: 0,
            expansion: Expansion::default(),
            abandoned: abandoned.clone(),
        }
    }

    /// Judges a whole statement and tells what is known of its output columns.
    pub(crate) fn statement(&mut self, statement: &'a Node) -> Result<Columns, Rejection> {
        let output = match &statement.node {
            Some(NodeEnum::SelectStmt(select)) => self.select(select)?,
            _ => return Err(not_a_query(statement, self.text).at(self.text, first_token(self.text, 0))),
        };
        if let (Mode::Final, Some(access)) = (self.mode, self.access) {
            if let Some(why) = access.hook_denied() {
                let message = format!("in this database {why}, wherever values of such types stand");
                return Err(Rejection::new(ErrorCode::FunctionDenied, message)
                    .suggest("An administrator has to drop it, or to allow its function by name in the policy file."));
            }
            self.runs_code.set(self.runs_code.get() || access.hooks_leave_traces());
        }
        let certain = output.placed().len();
        if output.known()[certain..].iter().any(|column| column.restriction >= Restriction::Masked) {
            let message =
                "a masked column stands behind columns that only PostgreSQL knows, so its place can't be told";
            return Err(Rejection::new(ErrorCode::AccessDenied, message)
                .suggest("Name the columns that you need instead of *."));
        }
        Ok(output)
    }

    /// Judges a query at any depth and tells what is known of its output columns.
    pub(crate) fn select(&mut self, select: &'a SelectStmt) -> Result<Columns, Rejection> {
        self.enter()?;
        self.expansion.enter_select();
        self.levels.push(Level::default());
        let output = self.outside_condition(|walk| walk.query_level(select));
        self.levels.pop();
        self.expansion.leave_select(self.levels.len());
        self.leave();
        output
    }

    fn query_level(&mut self, select: &'a SelectStmt) -> Result<Columns, Rejection> {
        let SelectStmt {
            distinct_clause,
            into_clause,
            target_list,
            from_clause,
            where_clause,
            group_clause,
            group_distinct: _,
            having_clause,
            window_clause,
            values_lists,
            sort_clause,
            limit_offset,
            limit_count,
            limit_option: _,
            locking_clause,
            with_clause,
            op,
            all: _,
            larg,
            rarg,
        } = select;
        if let Some(into) = into_clause {
            let location = into.rel.as_ref().map_or(-1, |relation| relation.location);
            return Err(write_denied("SELECT INTO creates a table", "INTO")
                .suggest("Leave out INTO.")
                .at(self.text, location));
        }
        if !locking_clause.is_empty() {
            return Err(self.lock_denied(locking_clause));
        }
        if let Some(with) = with_clause {
            self.with(with)?;
        }
        let output = match (larg, rarg) {
            (Some(left), Some(right)) => {
                let operation = self.set_operation(*op)?;
                let output = self.select(left)?;
                let other = self.select(right)?;
                self.combined(&output, operation)?;
                self.combined(&other, operation)?;
                self.unite([&output, &other])?;
                output.united(&other)
            }
            (None, None) if !values_lists.is_empty() => self.values(values_lists)?,
            (None, None) => {
                for item in from_clause {
                    let row = self.row_source(item)?;
                    self.level().rows.push(row);
                }
                self.outputs(target_list)?
            }
            _ => return Err(self.unknown("half a set operation", -1)),
        };
        self.count_columns(&output)?;
        self.moved_condition(where_clause.as_deref())?;
        self.moved_condition(having_clause.as_deref())?;
        self.expressions(window_clause)?;
        match distinct_clause.as_slice() {
            [] => {}
            // A plain DISTINCT is a list of one empty node.
            [Node { node: None }] => {
                self.combined(&output, "DISTINCT")?;
                output.known().iter().try_for_each(|column| self.count_moved(column.weight))?;
            }
            clauses => self.clause(clauses, Clause::Order, &output)?,
        }
        self.clause(group_clause, Clause::Group, &output)?;
        self.clause(sort_clause, Clause::Order, &output)?;
        self.optional(limit_offset.as_deref())?;
        self.optional(limit_count.as_deref())?;
        // Nothing from outside is moved into what is cut off.
        Ok(if limit_offset.is_some() || limit_count.is_some() { output.computed() } else { output })
    }

    /// Whether nobody minds what conversions to a column's type would run.
    fn lets_convert(&self, restriction: Restriction) -> bool {
        restriction == Restriction::Fixed && self.mode != Mode::Final
    }

    /// Refuses restricted columns where others are compared or combined with them, by the word that does it.
    fn combined(&self, columns: &Columns, what: &str) -> Result<(), Rejection> {
        let restriction = columns.worst();
        if Place::Combined.admits(restriction) || self.lets_convert(restriction) {
            return Ok(());
        }
        let restricted = columns.known().iter().find(|column| column.restriction == restriction);
        let column = restricted.and_then(|column| column.name.as_deref()).unwrap_or("one of its columns");
        let rejection = match restriction {
            Restriction::Fixed => {
                let message = format!("{what} would turn other values into the type of {column}");
                Rejection::new(ErrorCode::FunctionDenied, message)
                    .suggest("Turn the column into text first: column::text.")
            }
            _ => {
                let message = format!("{what} would compare or combine values of {column}, which is masked");
                Rejection::new(ErrorCode::AccessDenied, message)
                    .suggest("Leave the masked column out here; it may only be put out as it is, or counted.")
            }
        };
        Err(rejection.refused(column).at(self.text, only_key_word(self.text, what)))
    }

    fn lock_denied(&self, clauses: &[Node]) -> Rejection {
        let strength = match clauses.first().and_then(|clause| clause.node.as_ref()) {
            Some(NodeEnum::LockingClause(clause)) => LockClauseStrength::try_from(clause.strength).ok(),
            _ => None,
        };
        let (clause, last) = match strength {
            Some(LockClauseStrength::LcsForkeyshare) => ("FOR KEY SHARE", "SHARE"),
            Some(LockClauseStrength::LcsForshare) => ("FOR SHARE", "SHARE"),
            Some(LockClauseStrength::LcsFornokeyupdate) => ("FOR NO KEY UPDATE", "UPDATE"),
            _ => ("FOR UPDATE", "UPDATE"),
        };
        write_denied(&format!("{clause} locks rows"), clause)
            .suggest("Leave out the locking clause.")
            .at(self.text, only_key_word(self.text, last))
    }

    /// The word of a set operation.
    fn set_operation(&self, operation: i32) -> Result<&'static str, Rejection> {
        match SetOperation::try_from(operation) {
            Ok(SetOperation::SetopUnion) => Ok("UNION"),
            Ok(SetOperation::SetopIntersect) => Ok("INTERSECT"),
            Ok(SetOperation::SetopExcept) => Ok("EXCEPT"),
            _ => Err(self.unknown("a set operation", -1)),
        }
    }

    fn values(&mut self, rows: &'a [Node]) -> Result<Columns, Rejection> {
        let mut weights: Vec<Weight> = Vec::new();
        let mut has_rows = false;
        for row in rows {
            let Some(NodeEnum::List(row)) = &row.node else { return Err(self.unexpected(row, -1)) };
            weights.resize(weights.len().max(row.items.len()), Weight::ONE);
            for (item, weight) in row.items.iter().zip(&mut weights) {
                *weight = weight.most(self.item_of_row(item)?);
                has_rows |= reference::is_row_expansion(item);
            }
        }
        if has_rows {
            let mut columns = Columns::unknown();
            columns.push_unknown_of(weights.into_iter().reduce(Weight::most).unwrap_or_default());
            return Ok(columns);
        }
        let named = |(at, weight): (usize, Weight)| Column { weight, ..Column::free(format!("column{}", at + 1)) };
        Columns::all(weights.into_iter().enumerate().map(named))
    }

    /// Judges a SELECT list, once FROM has been walked, and tells what is known of its columns.
    fn outputs(&mut self, targets: &'a [Node]) -> Result<Columns, Rejection> {
        let place = if self.levels.len() == 1 { Place::Output } else { Place::Inner };
        let mut outputs = Columns::default();
        for target in targets {
            let Some(NodeEnum::ResTarget(target)) = &target.node else { return Err(self.unexpected(target, -1)) };
            let ResTarget { name, indirection, val, location } = target.as_ref();
            let Some(value) = val else { return Err(self.unknown("an output column", *location)) };
            if !indirection.is_empty() {
                return Err(self.unknown("an assignment", *location));
            }
            self.still_wanted()?;
            if let Some(star) = reference::star(value) {
                let columns = self.star(star, *location)?;
                outputs.extend(&columns).map_err(|rejection| rejection.at(self.text, *location))?;
                continue;
            }
            let (restriction, weight) = self.measured(|walk| walk.value(value, place))?;
            self.put_out(weight)?;
            if reference::is_row_expansion(value) {
                outputs.push_unknown_of(self.expand_fields(weight)?);
                continue;
            }
            let name = match name.as_str() {
                "" => naming::output_name(value),
                name => Some(name),
            };
            let column = Column { name: name.map(Into::into), restriction, weight };
            outputs.push(column).map_err(|rejection| rejection.at(self.text, *location))?;
        }
        Ok(outputs)
    }

    /// Judges a list of named values within an expression, such as the attributes of an XML element.
    fn target(&mut self, target: &'a Node) -> Result<(), Rejection> {
        let Some(NodeEnum::ResTarget(target)) = &target.node else { return Err(self.unexpected(target, -1)) };
        let ResTarget { name: _, indirection, val, location } = target.as_ref();
        if !indirection.is_empty() {
            return Err(self.unknown("an assignment", *location));
        }
        self.optional(val.as_deref())
    }

    /// The innermost query level.
    fn level(&mut self) -> &mut Level<'a> {
        self.levels.last_mut().expect("a query is walked inside its level")
    }

    /// Counts one more level of nesting.
    pub(crate) fn enter(&mut self) -> Result<(), Rejection> {
        self.still_wanted()?;
        self.expansion.enter();
        self.depth += 1;
        if self.depth <= self.max_depth {
            return Ok(());
        }
        let message = format!("The statement is nested too deep; at most {} levels are allowed.", self.max_depth);
        Err(Rejection::new(ErrorCode::QueryTooComplex, message).suggest(FLATTEN))
    }

    /// Ends the walk where nobody waits for its verdict any more, so that the thread is free for others.
    pub(crate) fn still_wanted(&self) -> Result<(), Rejection> {
        if self.abandoned.get() { Err(self.abandoned.rejection()) } else { Ok(()) }
    }

    /// Counts the names of a list that was made.
    pub(crate) fn count_columns(&mut self, columns: &Columns) -> Result<(), Rejection> {
        self.columns += columns.known().len();
        if self.columns <= MAX_COLUMN_NAMES {
            return Ok(());
        }
        let message = format!(
            "The statement's subqueries have too many columns; at most {MAX_COLUMN_NAMES} are allowed in all of them."
        );
        Err(Rejection::new(ErrorCode::QueryTooComplex, message).suggest("Name the columns that you need instead of *."))
    }

    /// Ends a level of nesting.
    pub(crate) fn leave(&mut self) {
        self.depth -= 1;
    }

    /// The refusal of a node in a place where it isn't expected.
    pub(crate) fn unexpected(&self, node: &Node, location: i32) -> Rejection {
        self.unknown(&variant(node), location)
    }

    /// The refusal of something that the guard has no rule for.
    pub(crate) fn unknown(&self, what: &str, location: i32) -> Rejection {
        Rejection::new(ErrorCode::InvalidSql, format!("{what} is not allowed in a query"))
            .refused(what)
            .suggest("Write the query with plain SELECT, FROM, WHERE, GROUP BY, ORDER BY and expressions.")
            .at(self.text, location)
    }
}

/// The strings of a list of name parts; parts that are no strings are left out.
pub(crate) fn names(parts: &[Node]) -> Vec<&str> {
    parts.iter().filter_map(string).collect()
}

/// A node's text, where it is a string.
pub(crate) fn string(node: &Node) -> Option<&str> {
    match &node.node {
        Some(NodeEnum::String(value)) => Some(&value.sval),
        _ => None,
    }
}
