//! What PostgreSQL makes of a statement while it plans it: it puts the expressions of subqueries in place of what refers to them, and
//! moves conditions down to every SELECT and partition that they speak of. A short text may so come to stand for gigabytes.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use shared_protocol::error::ErrorCode;

use super::{Mode, Walk};
use crate::columns::Columns;
use crate::rejection::Rejection;
use crate::scope;
use crate::weight::Weight;

/// Most nodes that PostgreSQL may put in place of a statement's references, and copy with its conditions: some 2 KB of its memory for
/// each.
const MAX_EXPANSION: u64 = 250_000;

/// As how many nodes a SELECT counts: each is planned by itself.
const SELECT_SIZE: u64 = 50;

/// As how many nodes one counts for each place that its condition is moved to: it is kept there with what is known of it.
const MOVED_SIZE: u64 = 2;

/// As how many constants of a list count as a node: PostgreSQL makes one of all of them.
const CONSTANTS: u64 = 8;

/// What has been counted so far.
#[derive(Debug, Default)]
pub(super) struct Expansion {
    /// How many nodes the expression that is being walked has, with those that stand in place of its references.
    size: Cell<u64>,
    /// The columns in it with which a condition is moved to several places, by the query level that they belong to, and to how many.
    moving: RefCell<HashMap<(usize, String), u32>>,
    /// How many nodes there are beyond those that are written.
    total: Cell<u64>,
}

impl Expansion {
    /// Counts a node.
    pub(super) fn enter(&self) {
        self.add(1);
    }

    /// Counts a SELECT.
    pub(super) fn enter_select(&self) {
        self.add(SELECT_SIZE);
    }

    /// Ends a SELECT around which there are so many query levels: nothing further out knows its columns.
    pub(super) fn leave_select(&self, levels: usize) {
        self.moving.borrow_mut().retain(|(level, _), _| *level < levels);
    }

    /// Counts as many constants of one list, which were nodes before, as what PostgreSQL makes of them.
    pub(super) fn fold(&self, constants: usize) {
        let constants = constants as u64;
        self.size.set(self.size.get().saturating_sub(constants - constants / CONSTANTS));
    }

    fn add(&self, nodes: u64) {
        self.size.set(self.size.get().saturating_add(nodes));
    }

    /// Begins an expression, and tells what has been counted of the one around it.
    fn begin(&self) -> (u64, HashMap<(usize, String), u32>) {
        (self.size.take(), self.moving.take())
    }

    /// Ends an expression, which is part of the one around it, and tells its weight.
    fn end(&self, (size, moving): (u64, HashMap<(usize, String), u32>)) -> Weight {
        let own = self.moving.replace(moving);
        let copies = own.values().map(|copies| u64::from(*copies)).sum();
        self.moving.borrow_mut().extend(own);
        let nodes = self.size.replace(size);
        self.add(nodes);
        Weight::of(nodes, copies)
    }
}

impl Walk<'_> {
    /// What is judged, and what a reference to it would stand for.
    pub(super) fn measured<T>(
        &mut self,
        judge: impl FnOnce(&mut Self) -> Result<T, Rejection>,
    ) -> Result<(T, Weight), Rejection> {
        let around = self.expansion.begin();
        let judged = judge(self)?;
        Ok((judged, self.expansion.end(around)))
    }

    /// Judges what PostgreSQL moves to every place that it speaks of: a condition, or what rows are sorted or grouped by.
    pub(super) fn moved<T>(&mut self, judge: impl FnOnce(&mut Self) -> Result<T, Rejection>) -> Result<T, Rejection> {
        let (judged, weight) = self.measured(judge)?;
        self.count_moved(weight)?;
        Ok(judged)
    }

    /// Counts an output column that rows are sorted, grouped or compared by.
    pub(super) fn count_moved(&self, Weight { nodes, copies }: Weight) -> Result<(), Rejection> {
        self.count(u64::from(nodes).saturating_mul(u64::from(copies - 1)).saturating_mul(MOVED_SIZE))
    }

    /// Counts what becomes of one side of a set operation: what its columns stand for, wherever their values come from.
    pub(super) fn unite(&self, side: &Columns) -> Result<(), Rejection> {
        if !side.has_weight() {
            return Ok(());
        }
        let copied = |Weight { nodes, copies }: Weight| u64::from(nodes - 1).saturating_mul(u64::from(copies - 1));
        side.known().iter().try_for_each(|column| self.count(copied(column.weight)))
    }

    /// Counts a reference to a column by its name, which may be qualified.
    pub(super) fn refer(&self, weight: Weight, alias: Option<&str>, column: &str) -> Result<(), Rejection> {
        if weight.copies > 1 {
            let level = scope::level_of(&self.levels, alias, column);
            let written = alias.map_or_else(|| column.to_owned(), |alias| format!("{alias}.{column}"));
            self.expansion.moving.borrow_mut().insert((level, written), weight.copies);
        }
        self.expand(weight.nodes.into())
    }

    /// Counts the nodes that stand in place of a reference.
    pub(super) fn expand(&self, nodes: u64) -> Result<(), Rejection> {
        let more = nodes.saturating_sub(1);
        self.expansion.add(more);
        self.count(more)
    }

    /// Counts the nodes that stand in place of the columns of a row.
    pub(super) fn expand_row(&self, row: &Columns) -> Result<(), Rejection> {
        self.expand((u64::from(row.whole_weight().nodes) + 1).saturating_sub(row.known().len() as u64))
    }

    fn count(&self, more: u64) -> Result<(), Rejection> {
        if more == 0 {
            return Ok(());
        }
        let total = self.expansion.total.get().saturating_add(more);
        self.expansion.total.set(total);
        if total <= MAX_EXPANSION || self.mode == Mode::Definition {
            return Ok(());
        }
        let message = format!(
            "The statement stands for too much: PostgreSQL would put over {MAX_EXPANSION} parts in place of references to columns of \
             subqueries, and copy with conditions over unions and partitions."
        );
        Err(Rejection::new(ErrorCode::QueryTooComplex, message)
            .suggest("Compute inner results once: WITH name AS MATERIALIZED (SELECT …)."))
    }
}
