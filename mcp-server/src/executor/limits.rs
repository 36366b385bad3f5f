//! The byte cap of a page, counted as the rows come, so that no row past it is kept.

use shared_protocol::tool::run_sql::ResultColumn;

/// Bytes kept free in a page for everything that is neither row nor column: the envelope, counts, times, the next cursor, warnings.
const ENVELOPE_BYTES: usize = 1200;

/// How often a result's text stands in the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Copies {
    /// As structured content alone.
    Structured,
    /// As structured content and once more as text, with its quotes and backslashes escaped.
    StructuredAndText,
}

/// How big a message may be.
#[derive(Debug, Clone, Copy)]
pub struct PageLimit {
    /// Most bytes of the whole message.
    pub bytes: usize,
    /// How often the result stands in it.
    pub copies: Copies,
}

/// Counts what the rows take of a page.
#[derive(Debug)]
pub(super) struct PageBudget {
    limit: PageLimit,
    used: usize,
}

impl PageBudget {
    /// A page that holds nothing yet but the names and types of `columns`, which stand in it as the rows do.
    pub(super) fn new(limit: PageLimit, columns: &[ResultColumn]) -> Self {
        let columns = serde_json::to_vec(columns).expect("names and types are plain data");
        let mut budget = Self { limit, used: ENVELOPE_BYTES };
        budget.used += budget.cost(&columns);
        budget
    }

    /// Takes `row` into the page, or says that it has no place there.
    pub(super) fn take(&mut self, row: &[u8]) -> bool {
        let used = self.used + self.cost(row);
        let fits = used <= self.limit.bytes;
        if fits {
            self.used = used;
        }
        fits
    }

    /// What the page takes so far, of the message that it goes into.
    pub(super) fn used(&self) -> usize {
        self.used
    }

    fn cost(&self, row: &[u8]) -> usize {
        let once = row.len() + 1;
        match self.limit.copies {
            Copies::Structured => once,
            Copies::StructuredAndText => 2 * once + row.iter().filter(|byte| matches!(byte, b'"' | b'\\')).count(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_both_copies_with_their_escapes() {
        let check = |copies: Copies, row: &str, cost: usize| {
            let budget = PageBudget::new(PageLimit { bytes: 10_000, copies }, &[]);
            assert_eq!(budget.cost(row.as_bytes()), cost, "{row} as {copies:?}");
        };
        check(Copies::Structured, r#"{"a":"\n"}"#, 11);
        check(Copies::StructuredAndText, r#"{"a":"\n"}"#, 2 * 11 + 5);
    }

    #[test]
    fn a_row_past_the_limit_leaves_the_page_as_it_was() {
        let mut budget = PageBudget::new(PageLimit { bytes: ENVELOPE_BYTES + 20, copies: Copies::Structured }, &[]);
        assert!(!budget.take(&[b'x'; 30]));
        assert!(budget.take(&[b'x'; 10]));
    }
}
