//! The typed plan between question and SQL: what a reading wants, in terms of the schema.

use chrono::NaiveDate;
use serde_json::Value;

use super::lexicon::{Aggregate, Comparison, Direction};
use super::scope::{ColumnRef, Schema};

/// What one statement is to compute.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Plan {
    /// The table whose rows are listed or measured.
    pub(super) entity: usize,
    /// The link along which the other table is joined, by position.
    pub(super) join: Option<usize>,
    pub(super) distinct: bool,
    /// The columns shown before the measures.
    pub(super) columns: Vec<ColumnRef>,
    pub(super) measures: Vec<Measure>,
    /// Whether measures are shown, or only ordered by.
    pub(super) shows_measures: bool,
    pub(super) groups: Vec<ColumnRef>,
    pub(super) filters: Vec<Filter>,
    pub(super) related: Option<Related>,
    pub(super) order: Vec<Order>,
    pub(super) limit: Option<u64>,
    /// What was taken for granted.
    pub(super) assumptions: Vec<String>,
    /// How well the question's words were placed, at most 1.
    pub(super) score: f64,
}

/// A figure over many rows.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Measure {
    /// The number of rows.
    Rows,
    /// The number of rows of a table that the join multiplies: distinct keys.
    Keys(Vec<ColumnRef>),
    /// The number of different values.
    Values(ColumnRef),
    Of(Aggregate, ColumnRef),
}

/// A condition on one column.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Filter {
    Compare(ColumnRef, Comparison, Operand),
    Between(ColumnRef, Operand, Operand),
    /// One of these, or none of them.
    Among(ColumnRef, bool, Vec<Operand>),
    /// From the first day up to, not including, the second.
    During(ColumnRef, Option<NaiveDate>, Option<NaiveDate>),
    /// NULL, or not.
    Missing(ColumnRef, bool),
    Flag(ColumnRef, bool),
}

impl Filter {
    pub(super) fn column(&self) -> ColumnRef {
        match self {
            Self::Compare(column, ..)
            | Self::Between(column, ..)
            | Self::Among(column, ..)
            | Self::During(column, ..)
            | Self::Missing(column, _)
            | Self::Flag(column, _) => *column,
        }
    }
}

/// A value to be bound.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Operand {
    /// What is sent: numbers as numbers, exact decimals and dates as strings.
    pub(super) value: Value,
    /// Whether an integer column is compared with a fraction, so that PostgreSQL must be told its type.
    pub(super) is_fraction: bool,
}

impl Operand {
    pub(super) fn new(value: impl Into<Value>) -> Self {
        Self { value: value.into(), is_fraction: false }
    }

    /// The value as a person writes it.
    pub(super) fn words(&self) -> String {
        self.value.as_str().map_or_else(|| self.value.to_string(), str::to_string)
    }
}

/// A condition that rows exist, or don't, on the other side of a link.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Related {
    pub(super) link: usize,
    pub(super) table: usize,
    pub(super) exists: bool,
    pub(super) filters: Vec<Filter>,
}

/// One key of the order.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Order {
    pub(super) by: OrderKey,
    pub(super) direction: Direction,
    /// Whether the order is one of time, so that it reads "newest first".
    pub(super) in_time: bool,
}

/// What an order goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OrderKey {
    Column(ColumnRef),
    /// The measure at this position.
    Measure(usize),
}

/// The end of a link that isn't `table`.
pub(super) fn other_end(schema: &Schema<'_>, link: usize, table: usize) -> usize {
    let link = &schema.links[link];
    if link.from == table { link.to } else { link.from }
}
