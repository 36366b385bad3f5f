//! How much a reference to a column stands for.

/// What PostgreSQL may make of a reference to a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Weight {
    /// How many nodes it puts in its place: those of the expression that the column stands for, with all that stands in place of the
    /// references there.
    pub(crate) nodes: u32,
    /// To how many places it moves a condition that has the reference in it: every SELECT of a union, and every partition of a table.
    pub(crate) copies: u32,
}

impl Weight {
    /// Nothing but the reference.
    pub(crate) const ONE: Self = Self { nodes: 1, copies: 1 };

    /// So many nodes, and as many copies; at least one of each.
    pub(crate) fn of(nodes: u64, copies: u64) -> Self {
        let bounded = |number: u64| u32::try_from(number.max(1)).unwrap_or(u32::MAX);
        Self { nodes: bounded(nodes), copies: bounded(copies) }
    }

    /// The greater one in each way.
    pub(crate) fn most(self, other: Self) -> Self {
        Self { nodes: self.nodes.max(other.nodes), copies: self.copies.max(other.copies) }
    }

    /// That of a column whose values come from either.
    pub(crate) fn united(self, other: Self) -> Self {
        Self { nodes: self.nodes.max(other.nodes), copies: self.copies.saturating_add(other.copies) }
    }
}

impl Default for Weight {
    fn default() -> Self {
        Self::ONE
    }
}
