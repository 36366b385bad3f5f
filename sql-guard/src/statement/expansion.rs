//! What PostgreSQL makes of a statement while it plans it: it puts the expressions of subqueries in place of what refers to them, and
//! moves conditions down to every SELECT and partition that they speak of. A short text may so come to stand for gigabytes.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use shared_protocol::error::ErrorCode;

use super::{Mode, Walk};
use crate::access::Access;
use crate::columns::{Columns, MAX_COLUMNS};
use crate::rejection::Rejection;
use crate::scope::{self, CteSize};
use crate::weight::Weight;

/// Most nodes that PostgreSQL may put in place of a statement's references, and copy with its conditions: some 1 to 1.5 KB of its memory
/// for each.
const MAX_EXPANSION: u64 = 500_000;

/// As how many nodes a SELECT counts: each is planned by itself.
const SELECT_SIZE: u64 = 200;

/// As how many nodes one counts for each place that its condition is moved to: it is kept there with what is known of it.
const MOVED_SIZE: u64 = 2;

/// As how many nodes each column counts for each further SELECT of a union: it is known there by its own expression.
const UNITED_SIZE: u64 = 12;

/// How many nodes that are copied by themselves, with the subquery in which they stand, count as one.
const COPIED: u64 = 4;

/// As how many nodes a SELECT is copied, besides what stands in it.
const BARE_SELECT: u64 = 4;

/// As how many nodes each window counts for every other.
const WINDOW: u64 = 2;

/// For how many of the columns that joins have merged before the next one counts a node: each makes an equation, and PostgreSQL looks
/// for it among all others.
const MERGED: u64 = 8;

/// As how many nodes each relation counts for each other.
const JOINED: u64 = 4;

/// As how many nodes four partitions of a table count where it is read.
const PARTS_SIZE: u64 = 32;

/// As how many constants of a list count as a node: PostgreSQL makes one of all of them.
const CONSTANTS: u64 = 8;

/// What has been counted so far.
#[derive(Debug, Default)]
pub(super) struct Expansion {
    /// The expression that is being walked.
    current: RefCell<Measure>,
    /// How many nodes have been written so far, those of inner queries also where they are named.
    written: Cell<u64>,
    /// How many columns joins have merged so far.
    merged: Cell<u64>,
    /// How many windows have been written where they are used.
    windows: Cell<u64>,
    /// How many relations are read.
    relations: Cell<u64>,
    /// How many conjuncts conditions have that are no OR, and how many arms those have that are one.
    conjuncts: Cell<u64>,
    arms: Cell<u64>,
    /// How many nodes there are beyond those that are written.
    total: Cell<u64>,
}

/// What has been counted of an expression.
#[derive(Debug, Default)]
struct Measure {
    /// How many nodes it has, with those that stand in place of its references.
    nodes: u64,
    /// How many SELECTs are in it.
    selects: u64,
    /// The columns in it with which a condition is moved to several places, by the query level that they belong to, and to how many.
    moving: BTreeMap<(usize, String), u32>,
}

impl Measure {
    /// What a reference to it would stand for.
    fn weight(&self) -> Weight {
        let copies = self.moving.values().map(|copies| u64::from(*copies)).sum();
        Weight::of(self.nodes.saturating_add(self.selects.saturating_mul(SELECT_SIZE)), copies)
    }

    /// The same of a condition: each SELECT in it is planned once, wherever it is moved.
    fn weight_moved(&self) -> Weight {
        Weight { nodes: Weight::of(self.nodes, 1).nodes, ..self.weight() }
    }

    /// Counts what stands in it.
    fn take_in(&mut self, inner: Self) {
        self.nodes = self.nodes.saturating_add(inner.nodes);
        self.selects = self.selects.saturating_add(inner.selects);
        self.moving.extend(inner.moving);
    }
}

impl Expansion {
    /// Counts a node.
    pub(super) fn enter(&self) {
        self.add(1);
        self.write(1);
    }

    /// Counts a SELECT.
    pub(super) fn enter_select(&self) {
        self.current.borrow_mut().selects += 1;
        self.add(BARE_SELECT);
        self.write(BARE_SELECT);
    }

    /// Counts nodes that PostgreSQL writes: the columns that `*` stands for, or a query that is put in place of its name.
    pub(super) fn write(&self, nodes: u64) {
        self.written.set(self.written.get().saturating_add(nodes));
    }

    /// How many nodes have been written so far.
    pub(super) fn written(&self) -> u64 {
        self.written.get()
    }

    /// Ends a SELECT around which there are so many query levels: nothing further out knows its columns.
    pub(super) fn leave_select(&self, levels: usize) {
        self.current.borrow_mut().moving.retain(|(level, _), _| *level < levels);
    }

    /// Counts as many constants of one list, which were nodes before, as what PostgreSQL makes of them.
    pub(super) fn fold(&self, constants: usize) {
        let constants = constants as u64;
        let mut current = self.current.borrow_mut();
        current.nodes = current.nodes.saturating_sub(constants - constants / CONSTANTS);
    }

    fn add(&self, nodes: u64) {
        let mut current = self.current.borrow_mut();
        current.nodes = current.nodes.saturating_add(nodes);
    }
}

impl Walk<'_> {
    /// What is judged, and what a reference to it would stand for.
    pub(super) fn measured<T>(
        &mut self,
        judge: impl FnOnce(&mut Self) -> Result<T, Rejection>,
    ) -> Result<(T, Weight), Rejection> {
        let (judged, measure) = self.measuring(judge)?;
        let weight = measure.weight();
        self.expansion.current.borrow_mut().take_in(measure);
        Ok((judged, weight))
    }

    fn measuring<T>(
        &mut self,
        judge: impl FnOnce(&mut Self) -> Result<T, Rejection>,
    ) -> Result<(T, Measure), Rejection> {
        let around = self.expansion.current.take();
        let judged = judge(self)?;
        Ok((judged, self.expansion.current.replace(around)))
    }

    /// Judges what PostgreSQL moves to every place that it speaks of: a condition, or what rows are sorted or grouped by.
    pub(super) fn moved<T>(&mut self, judge: impl FnOnce(&mut Self) -> Result<T, Rejection>) -> Result<T, Rejection> {
        let (judged, measure) = self.measuring(judge)?;
        let weight = measure.weight_moved();
        self.expansion.current.borrow_mut().take_in(measure);
        self.count_moved(weight)?;
        Ok(judged)
    }

    /// Counts an output column that rows are sorted, grouped or compared by.
    pub(super) fn count_moved(&self, Weight { nodes, copies }: Weight) -> Result<(), Rejection> {
        self.count(u64::from(nodes).saturating_mul(u64::from(copies - 1)).saturating_mul(MOVED_SIZE))
    }

    /// Judges a query that stands in another. PostgreSQL copies it whole when it comes to it, and what stands in it once more then.
    pub(super) fn copied<T>(&mut self, judge: impl FnOnce(&mut Self) -> Result<T, Rejection>) -> Result<T, Rejection> {
        let before = self.expansion.written();
        let judged = judge(self)?;
        self.count((self.expansion.written() - before) / COPIED)?;
        Ok(judged)
    }

    /// Counts a reference to a common table expression, of that place at that level.
    pub(super) fn refer_to_cte(&mut self, level: usize, at: usize) -> Result<(), Rejection> {
        let size = &mut self.levels[level].ctes[at].size;
        match *size {
            CteSize::Computed => Ok(()),
            CteSize::Once(written) => {
                *size = CteSize::Computed;
                self.put_in(written)
            }
            CteSize::Always { nodes, written } => {
                self.put_in(written)?;
                self.expand(nodes)
            }
        }
    }

    /// Counts as many more relations of the statement: PostgreSQL compares each with all the others.
    pub(super) fn join_in(&self, relations: usize) -> Result<(), Rejection> {
        let relations = relations as u64;
        let before = self.expansion.relations.get();
        self.expansion.relations.set(before.saturating_add(relations));
        self.count(before.saturating_mul(relations).saturating_mul(JOINED))
    }

    /// Counts the partitions of a relation that is read.
    pub(super) fn read_parts(&self, heaviest: Weight) -> Result<(), Rejection> {
        self.count(u64::from(heaviest.copies - 1).saturating_mul(PARTS_SIZE))
    }

    /// Counts a column that is put out, for each place that its rows come from.
    pub(super) fn put_out(&self, Weight { nodes, copies }: Weight) -> Result<(), Rejection> {
        self.count(u64::from(nodes - 1).saturating_mul(u64::from(copies - 1)) / 2)
    }

    /// Counts a conjunct of a condition, or the arms of an OR that is one: PostgreSQL looks for each arm among all others.
    pub(super) fn compare_conjunct(&self, arms: usize) -> Result<(), Rejection> {
        let Expansion { arms: all_arms, conjuncts, .. } = &self.expansion;
        match arms as u64 {
            0 => {
                conjuncts.update(|conjuncts| conjuncts + 1);
                self.count(all_arms.get())
            }
            arms => {
                all_arms.update(|all| all + arms);
                self.count(conjuncts.get().saturating_mul(arms))
            }
        }
    }

    /// Counts a call of a function of the database's own whose body, an expression, PostgreSQL may put in its place, with its arguments
    /// wherever they stand there.
    pub(super) fn inline_body(&self, body: &str, arguments: Weight) -> Result<(), Rejection> {
        const BYTES: usize = 200;
        const MOST: usize = 8;
        let times = (1 + body.len() / BYTES).min(MOST) as u64;
        self.expand(u64::from(arguments.nodes).saturating_mul(times) + 1)
    }

    /// Counts a query of so many nodes that is put in place of its name.
    fn put_in(&self, written: u64) -> Result<(), Rejection> {
        self.expansion.write(written);
        self.count(written / COPIED)
    }

    /// Counts what a set operation makes of its sides: what their columns stand for, wherever their values come from.
    pub(super) fn unite(&self, sides: [&Columns; 2]) -> Result<(), Rejection> {
        let copied = |Weight { nodes, copies }: Weight| u64::from(nodes - 1).saturating_mul(u64::from(copies - 1));
        for side in sides.into_iter().filter(|side| side.has_weight()) {
            side.known().iter().try_for_each(|column| self.count(copied(column.weight)))?;
        }
        self.count((sides[1].known().len() as u64).saturating_mul(UNITED_SIZE))
    }

    /// Counts a column that a join merges.
    pub(super) fn merge_column(&self) -> Result<(), Rejection> {
        self.expansion.merged.update(|merged| merged + 1);
        self.count(self.expansion.merged.get() / MERGED)
    }

    /// Counts a window that is written where it is used: what each gives is carried through all the others.
    pub(super) fn open_window(&self) -> Result<(), Rejection> {
        self.expansion.windows.update(|windows| windows + 1);
        self.count(self.expansion.windows.get().saturating_mul(WINDOW))
    }

    /// Counts `(row).*`, whose row stands in place of each of its fields, and tells what all of them stand for together.
    pub(super) fn expand_fields(&self, row: Weight) -> Result<Weight, Rejection> {
        let fields = self.access.map_or(MAX_COLUMNS, Access::widest);
        let nodes = u64::from(row.nodes).saturating_mul(fields as u64);
        self.expand(nodes)?;
        Ok(Weight::of(nodes, row.copies.into()))
    }

    /// Counts a reference to a column by its name, which may be qualified.
    pub(super) fn refer(&self, weight: Weight, alias: Option<&str>, column: &str) -> Result<(), Rejection> {
        if weight.copies > 1 {
            let level = scope::level_of(&self.levels, alias, column);
            let written = alias.map_or_else(|| column.to_owned(), |alias| format!("{alias}.{column}"));
            self.expansion.current.borrow_mut().moving.insert((level, written), weight.copies);
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
        self.expansion.write(row.known().len() as u64);
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
