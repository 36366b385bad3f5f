//! What is in scope at a place of a statement: the query levels around it, with their common table expressions and FROM items.

use pg_query::protobuf::CommonTableExpr;

use crate::columns::{Columns, Found, Restriction};
use crate::weight::Weight;

/// One query level.
#[derive(Debug, Default)]
pub(crate) struct Level<'a> {
    /// The names of its WITH clause.
    pub(crate) ctes: Vec<Cte<'a>>,
    /// What columns may be qualified with.
    pub(crate) items: Vec<Item>,
    /// The rows that `*` and unqualified names mean: those of its FROM items, with the columns that joins merge counted once.
    pub(crate) rows: Vec<Columns>,
}

/// An item of FROM by the name that its columns are qualified with.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) name: String,
    pub(crate) columns: Columns,
}

/// A common table expression.
#[derive(Debug)]
pub(crate) struct Cte<'a> {
    pub(crate) name: &'a str,
    pub(crate) state: CteState<'a>,
    pub(crate) size: CteSize,
}

/// What a reference to a common table expression stands for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum CteSize {
    /// Nothing but its rows: they are computed once.
    Computed,
    /// So many written nodes at the first reference, where there may be no other; nothing but its rows at others.
    Once(u64),
    /// All of its query at each reference: so many nodes, of which so many are written.
    Always { nodes: u64, written: u64 },
}

/// How far a common table expression has been judged. WITH RECURSIVE makes the later ones visible to the earlier ones, so one may
/// be needed before its turn.
#[derive(Debug)]
pub(crate) enum CteState<'a> {
    /// Not yet.
    Waiting(&'a CommonTableExpr),
    /// Right now: whoever names it stands inside it. What is known of its columns meanwhile.
    Begun(Columns),
    /// Wholly.
    Judged(Columns),
}

/// What an unqualified name means.
#[derive(Debug)]
pub(crate) enum Meaning<'s> {
    /// A column.
    Column(Restriction),
    /// A column of something whose columns nobody knows, at most so restricted, or nothing.
    Perhaps(Restriction),
    /// The row of an item as a whole.
    Row(&'s Item),
    /// Nothing.
    Nothing,
}

impl Level<'_> {
    /// What this level alone says of a column.
    pub(crate) fn find(&self, name: &str) -> Found {
        let mut found = Found::Nothing;
        let mut before: Option<&Columns> = None;
        for row in &self.rows {
            // The same table often stands in FROM many times in a row.
            if before.replace(row).is_some_and(|before| before.is_same(row)) {
                continue;
            }
            found = match (found, row.find(name)) {
                (Found::Column(one), Found::Column(other)) => Found::Column(one.max(other)),
                (Found::Column(one), Found::Perhaps(other)) | (Found::Perhaps(other), Found::Column(one)) => {
                    Found::Column(one.max(other))
                }
                (Found::Column(one), Found::Nothing) | (Found::Nothing, Found::Column(one)) => Found::Column(one),
                (Found::Perhaps(one), Found::Perhaps(other)) => Found::Perhaps(one.max(other)),
                (Found::Perhaps(one), Found::Nothing) | (Found::Nothing, Found::Perhaps(one)) => Found::Perhaps(one),
                (Found::Nothing, Found::Nothing) => Found::Nothing,
            };
        }
        found
    }
}

/// What an unqualified name means inside these levels, innermost last: a column of the innermost level that has one, or else a
/// whole row.
pub(crate) fn meaning<'s>(levels: &'s [Level<'_>], name: &str) -> Meaning<'s> {
    let mut perhaps = None;
    for level in levels.iter().rev() {
        match level.find(name) {
            // What stands further in may be the one that is meant.
            Found::Column(restriction) => return Meaning::Column(restriction.max(perhaps.unwrap_or_default())),
            Found::Perhaps(restriction) => perhaps = perhaps.max(Some(restriction)),
            Found::Nothing => {}
        }
    }
    match (item(levels, name), perhaps) {
        (Some(item), None | Some(Restriction::Free)) => Meaning::Row(item),
        (_, Some(restriction)) => Meaning::Perhaps(restriction),
        (None, None) => Meaning::Nothing,
    }
}

/// What a reference by that name stands for, at most.
pub(crate) fn weight(levels: &[Level<'_>], name: &str) -> Weight {
    let of_level = |level: &Level<'_>| {
        let mut before: Option<&Columns> = None;
        let mut rows = level.rows.iter().filter(|row| !before.replace(row).is_some_and(|before| before.is_same(row)));
        rows.by_ref().filter(|row| row.has_weight()).filter_map(|row| row.weight(name)).reduce(Weight::most)
    };
    levels.iter().rev().find_map(of_level).unwrap_or_default()
}

/// The place of the innermost level that has an item of that name, or else such a column.
pub(crate) fn level_of(levels: &[Level<'_>], alias: Option<&str>, column: &str) -> usize {
    let knows = |level: &Level<'_>| match alias {
        Some(alias) => level.items.iter().any(|item| item.name == alias),
        None => level.rows.iter().any(|row| row.has_weight() && row.weight(column).is_some()),
    };
    levels.iter().rposition(knows).unwrap_or_default()
}

/// All items of that name, innermost first. With a schema before it a name means a relation, and which item that is only PostgreSQL
/// can tell.
pub(crate) fn items<'s>(levels: &'s [Level<'_>], name: &str) -> Vec<&'s Item> {
    levels.iter().rev().flat_map(|level| level.items.iter().rev()).filter(|item| item.name == name).collect()
}

/// The innermost item of that name.
pub(crate) fn item<'s>(levels: &'s [Level<'_>], name: &str) -> Option<&'s Item> {
    levels.iter().rev().flat_map(|level| level.items.iter().rev()).find(|item| item.name == name)
}
