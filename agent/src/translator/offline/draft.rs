//! What has been read of a question so far, before it is known to be whole.

use super::lexicon::{Aggregate, Direction, Quality};
use super::plan::{Filter, Measure};
use super::scope::ColumnRef;

/// Why a reading ended, and at which term.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Stuck {
    /// Position of the term without a place.
    pub(super) at: usize,
    /// How many of the terms that carry meaning had been placed before.
    pub(super) placed: usize,
    /// What was wrong, where it is more than a word too many.
    pub(super) reason: Option<String>,
}

impl Stuck {
    /// How near the reading came, for the one that is reported: by what it placed, then by what it has to say.
    pub(super) fn rank(&self) -> (usize, bool, usize) {
        (self.placed, self.reason.is_some(), self.at)
    }
}

/// A figure that was announced and waits for what it is of.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) enum Pending {
    #[default]
    Nothing,
    Count,
    Aggregates(Vec<Aggregate>),
}

/// The end of an order that was asked for, as far as the words named it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Rank {
    /// By time of creation.
    Time(Direction),
    Quality(Direction, Quality),
    Column(Direction, ColumnRef),
    /// By the number of rows of the other table.
    CountOf(Direction, usize),
    /// By the measure that is asked for.
    Measure(Direction),
    /// `top 5`: what by is still to come.
    Open(Direction),
}

/// What rows are grouped by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Group {
    Table(usize),
    Column(ColumnRef),
}

/// How the other table came into the sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Connection {
    /// `orders of users`.
    Belonging,
    /// `users with orders`.
    Having,
    /// `users without orders`.
    Lacking,
    /// Any other way; something else must then tie the tables together.
    Loose,
}

/// What has been read so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Draft {
    /// The table that was named first.
    pub(super) entity: Option<usize>,
    pub(super) entity_is_plural: bool,
    /// The table that was named last.
    pub(super) focus: Option<usize>,
    /// How the second table is connected.
    pub(super) connection: Option<Connection>,
    pub(super) pending: Pending,
    pub(super) distinct: bool,
    pub(super) columns: Vec<ColumnRef>,
    pub(super) everything: bool,
    /// A shown column whose different values are asked for: "what statuses".
    pub(super) listed: Option<ColumnRef>,
    /// A shown column whose name is also a figure's, like `total`.
    pub(super) ambiguous_figure: Option<(Aggregate, ColumnRef)>,
    pub(super) measures: Vec<Measure>,
    /// The table whose rows or columns the measures are of.
    pub(super) measured: Option<usize>,
    pub(super) groups: Vec<Group>,
    pub(super) filters: Vec<Filter>,
    pub(super) order: Vec<(ColumnRef, Direction)>,
    /// Order by the first measure.
    pub(super) order_by_measure: Option<Direction>,
    pub(super) rank: Option<Rank>,
    /// The word that asked for the rank.
    pub(super) rank_word: String,
    pub(super) limit: Option<u64>,
    pub(super) assumptions: Vec<String>,
    pub(super) scores: Vec<f64>,
}
