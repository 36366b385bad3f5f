//! The walker: which statements, and which parts of them, may run. What isn't named here is refused.

mod expression;
mod from;
mod json;
mod kind;
#[cfg(test)]
mod tests;
mod with;

use std::collections::BTreeMap;

use pg_query::NodeEnum;
use pg_query::protobuf::{LockClauseStrength, Node, ResTarget, SelectStmt, SetOperation};
use shared_protocol::error::ErrorCode;

use crate::catalog::{Catalog, RelationName};
use crate::columns::{Columns, output_name};
use crate::parse::{FLATTEN, first_token, only_place};
use crate::placeholders::Placeholders;
use crate::policy::Limits;
use crate::pool::Abandoned;
use crate::rejection::Rejection;
use crate::relations::Level;
use kind::{not_a_query, variant, write_denied};

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// The server, before it runs the statement: what isn't surely harmless is refused.
    Final,
    /// The agent, before it sends the statement: only what no server could accept is refused.
    Advisory,
}

/// What becomes of an expression's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// It is put out or turned into text.
    Shown,
    /// Other expressions may take it.
    Combined,
}

/// One statement on its way through the guard, and what has been found in it.
pub(crate) struct Walk<'a> {
    pub(crate) text: &'a str,
    pub(crate) mode: Mode,
    pub(crate) catalog: Option<&'a dyn Catalog>,
    pub(crate) placeholders: Placeholders,
    /// The relations read, each with its columns, so that the catalog is asked for them once.
    pub(crate) relations: BTreeMap<RelationName, Columns>,
    /// The query levels around the present place, innermost last.
    pub(crate) levels: Vec<Level>,
    depth: usize,
    max_depth: usize,
    /// How many column names the lists made so far hold.
    columns: usize,
    abandoned: Abandoned,
}

/// Most column names in all lists of a statement together: some 16 MB.
const MAX_COLUMN_NAMES: usize = 1_000_000;

impl<'a> Walk<'a> {
    /// A walk that has seen nothing yet.
    pub(crate) fn new(
        text: &'a str,
        mode: Mode,
        catalog: Option<&'a dyn Catalog>,
        limits: &Limits,
        abandoned: &Abandoned,
    ) -> Self {
        Self {
            text,
            mode,
            catalog,
            placeholders: Placeholders::default(),
            relations: BTreeMap::new(),
            levels: Vec::new(),
            depth: 0,
            max_depth: limits.max_depth,
            columns: 0,
            abandoned: abandoned.clone(),
        }
    }

    /// Judges a whole statement.
    pub(crate) fn statement(&mut self, statement: &Node) -> Result<(), Rejection> {
        match &statement.node {
            Some(NodeEnum::SelectStmt(select)) => self.select(select).map(drop),
            _ => Err(not_a_query(statement, self.text).at(self.text, first_token(self.text, 0))),
        }
    }

    /// Judges a query at any depth and tells what is known of its output columns.
    pub(crate) fn select(&mut self, select: &SelectStmt) -> Result<Columns, Rejection> {
        self.enter()?;
        self.levels.push(Level::default());
        let output = self.query_level(select);
        self.levels.pop();
        self.leave();
        output
    }

    fn query_level(&mut self, select: &SelectStmt) -> Result<Columns, Rejection> {
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
                self.set_operation(*op)?;
                let output = self.select(left)?;
                self.select(right)?;
                output
            }
            (None, None) if !values_lists.is_empty() => self.values(values_lists)?,
            (None, None) => {
                for item in from_clause {
                    self.row_source(item)?;
                }
                self.outputs(target_list)?
            }
            _ => return Err(self.unknown("half a set operation", -1)),
        };
        self.count_columns(&output)?;
        // What the outermost SELECT puts out, nothing else in the statement can compare or combine.
        let place = if self.levels.len() == 1 { Place::Shown } else { Place::Combined };
        for target in target_list {
            self.target(target, place)?;
        }
        self.optional(where_clause.as_deref())?;
        self.optional(having_clause.as_deref())?;
        self.expressions(window_clause)?;
        // Only these clauses may speak of output columns.
        self.level().outputs = output.clone();
        for clause in distinct_clause {
            // A plain DISTINCT is a list of one empty node.
            if clause.node.is_some() {
                self.expression(clause)?;
            }
        }
        self.expressions(group_clause)?;
        self.expressions(sort_clause)?;
        self.optional(limit_offset.as_deref())?;
        self.optional(limit_count.as_deref())?;
        Ok(output)
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
            .at(self.text, only_place(self.text, last))
    }

    fn set_operation(&self, operation: i32) -> Result<(), Rejection> {
        match SetOperation::try_from(operation) {
            Ok(SetOperation::SetopUnion | SetOperation::SetopIntersect | SetOperation::SetopExcept) => Ok(()),
            _ => Err(self.unknown("a set operation", -1)),
        }
    }

    fn values(&mut self, rows: &[Node]) -> Result<Columns, Rejection> {
        let mut width = 0;
        for row in rows {
            let Some(NodeEnum::List(row)) = &row.node else { return Err(self.unexpected(row, -1)) };
            width = width.max(row.items.len());
            self.expressions(&row.items)?;
        }
        Columns::all((1..=width).map(|number| format!("column{number}")))
    }

    /// What is known of the output columns of a SELECT list, once FROM has been walked.
    fn outputs(&mut self, targets: &[Node]) -> Result<Columns, Rejection> {
        let mut outputs = Columns::default();
        for target in targets {
            let Some(NodeEnum::ResTarget(target)) = &target.node else { return Err(self.unexpected(target, -1)) };
            let Some(value) = &target.val else { return Err(self.unknown("an output column", target.location)) };
            self.still_wanted()?;
            if !target.name.is_empty() {
                outputs.push(Some(&target.name))?;
            } else if let Some(relation) = star(value) {
                let items = std::mem::take(&mut self.level().items);
                for item in items.iter().filter(|item| relation.is_none_or(|name| item.name == name)) {
                    outputs.extend(&item.columns).map_err(|rejection| rejection.at(self.text, target.location))?;
                }
                // `alias.*` may also mean an item of an outer level.
                outputs.open |= relation.is_some_and(|name| !items.iter().any(|item| item.name == name));
                self.level().items = items;
            } else {
                outputs.push(output_name(value))?;
            }
        }
        Ok(outputs)
    }

    fn target(&mut self, target: &Node, place: Place) -> Result<(), Rejection> {
        let Some(NodeEnum::ResTarget(target)) = &target.node else { return Err(self.unexpected(target, -1)) };
        let ResTarget { name: _, indirection, val, location } = target.as_ref();
        if !indirection.is_empty() {
            return Err(self.unknown("an assignment", *location));
        }
        match val.as_deref() {
            Some(value) => self.expression_in(value, place),
            None => Ok(()),
        }
    }

    /// The innermost query level.
    pub(crate) fn level(&mut self) -> &mut Level {
        self.levels.last_mut().expect("a query is walked inside its level")
    }

    /// Counts one more level of nesting.
    pub(crate) fn enter(&mut self) -> Result<(), Rejection> {
        self.still_wanted()?;
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
        self.columns += columns.known.len();
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

/// `Some(None)` for `*`, `Some(Some(alias))` for `alias.*`.
fn star(value: &Node) -> Option<Option<&str>> {
    let Some(NodeEnum::ColumnRef(reference)) = &value.node else { return None };
    let (last, relation) = reference.fields.split_last()?;
    matches!(&last.node, Some(NodeEnum::AStar(_))).then(|| relation.last().and_then(string))
}
