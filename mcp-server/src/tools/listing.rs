//! Listings in pages: as many entries as were asked for and have room, and a cursor for the rest.

use serde::Serialize;

use super::{Call, ToolContext, ToolError, ToolOutput};
use crate::digest::digest;
use crate::executor::Copies;

/// Bytes of a message that are not entries: the envelope, counts, names.
const ENVELOPE_BYTES: usize = 2048;

/// What a cursor belongs to: one tool, its arguments, and the state of what it lists.
pub(crate) struct Listing {
    /// Changes when anything that is listed changes.
    fingerprint: String,
    /// Which entries, and in which order.
    arguments: String,
}

/// One page of a listing.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page<T> {
    pub(super) entries: Vec<T>,
    /// Number on all pages.
    pub(super) total: usize,
    pub(super) next_cursor: Option<String>,
}

impl Listing {
    /// A listing by `tool` of what has this fingerprint; `arguments` choose the entries.
    pub(crate) fn new(tool: &str, fingerprint: &str, arguments: &impl Serialize) -> Self {
        let arguments = serde_json::to_string(&(tool, arguments)).expect("arguments are plain data");
        Self { fingerprint: fingerprint.to_owned(), arguments: digest(&arguments) }
    }

    /// Where the page at `cursor` starts.
    ///
    /// # Errors
    /// [`ToolError::Arguments`] where the cursor isn't one of this listing's, or what is listed has changed since.
    pub(crate) fn start(&self, cursor: Option<&str>) -> Result<usize, ToolError> {
        let Some(cursor) = cursor else { return Ok(0) };
        let mut parts = cursor.split('.');
        let parts = (parts.next(), parts.next(), parts.next(), parts.next());
        let (Some(fingerprint), Some(arguments), Some(start), None) = parts else { return Err(foreign()) };
        let start = start.parse().map_err(|_| foreign())?;
        match (arguments == self.arguments, fingerprint == self.fingerprint) {
            (false, _) => Err(foreign()),
            (true, false) => Err(ToolError::Arguments {
                message: "argument \"cursor\": what is listed has changed since that cursor was given".to_owned(),
                suggestion: Some("Start again without a cursor.".to_owned()),
            }),
            (true, true) => Ok(start),
        }
    }

    /// At most `most` of `entries`, from `start` on, and no more than the call has room for.
    pub(super) fn page<T: Serialize>(&self, entries: Vec<T>, start: usize, most: usize, call: &Call) -> Page<T> {
        let total = entries.len();
        self.cut(entries.into_iter().skip(start).take(most).collect(), start, total, call)
    }

    /// Those of `entries`, which stand from `start` on among `total`, that the call has room for.
    pub(super) fn cut<T: Serialize>(&self, mut entries: Vec<T>, start: usize, total: usize, call: &Call) -> Page<T> {
        let mut used = ENVELOPE_BYTES;
        let bytes = |entry: &T| bytes_of(&serde_json::to_vec(entry).expect("entries are plain data"), call.copies) + 1;
        let too_many = entries.iter().position(|entry| {
            used += bytes(entry);
            used > call.page_bytes
        });
        // One at least, or nobody would ever get past it.
        entries.truncate(too_many.unwrap_or(entries.len()).max(1));
        let end = start + entries.len();
        Page { entries, total, next_cursor: self.next(end, total) }
    }

    /// The cursor of what follows `end` among `total`, where anything does.
    pub(crate) fn next(&self, end: usize, total: usize) -> Option<String> {
        (end < total).then(|| format!("{}.{}.{end}", self.fingerprint, self.arguments))
    }
}

/// The answer as a tool's output, with its place in the memory for results.
///
/// # Errors
/// [`ToolError::TooLarge`] where it has no room in a message; [`ToolError::MemoryFull`] where memory has none.
pub(super) async fn answer(
    output: &impl Serialize,
    rows: usize,
    context: &ToolContext,
    call: &Call,
) -> Result<ToolOutput, ToolError> {
    let json = serde_json::to_string(output).expect("outputs are plain data");
    let bytes = bytes_of(json.as_bytes(), call.copies);
    if bytes > call.page_bytes {
        return Err(ToolError::TooLarge { bytes, most: call.page_bytes });
    }
    let memory = context.executor.memory().reserve(bytes).await?;
    Ok(ToolOutput { json, rows: rows.try_into().unwrap_or(u64::MAX), memory })
}

/// Bytes that a result's JSON takes in a message: once more with its quotes and backslashes escaped, where it goes as text, too.
fn bytes_of(json: &[u8], copies: Copies) -> usize {
    let escaped = || json.len() + json.iter().filter(|byte| matches!(byte, b'"' | b'\\')).count();
    match copies {
        Copies::Structured => json.len(),
        Copies::StructuredAndText => json.len() + escaped(),
    }
}

fn foreign() -> ToolError {
    ToolError::Arguments {
        message: "argument \"cursor\" is not one that this server gave for these arguments".to_owned(),
        suggestion: Some(
            "Send next_cursor of the page before with the same arguments, or leave cursor out.".to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::caller::Caller;

    fn call(page_bytes: usize, copies: Copies) -> Call {
        let (caller, cancel, touched) = (Caller::default(), CancellationToken::new(), Arc::default());
        Call { caller, cancel, page_bytes, copies, touched }
    }

    fn walk(listing: &Listing, most: usize, call: &Call) -> Vec<Vec<u32>> {
        let mut pages = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let start = listing.start(cursor.as_deref()).unwrap();
            let page = listing.page((0..10).collect(), start, most, call);
            assert_eq!(page.total, 10);
            pages.push(page.entries);
            cursor = page.next_cursor;
            if cursor.is_none() {
                return pages;
            }
        }
    }

    #[test]
    fn pages_come_one_after_another() {
        let listing = Listing::new("list", "f", &"public");
        let wide = call(1 << 20, Copies::Structured);
        assert_eq!(walk(&listing, 4, &wide), [vec![0, 1, 2, 3], vec![4, 5, 6, 7], vec![8, 9]]);
        assert_eq!(walk(&listing, 10, &wide).len(), 1);
        // Two bytes an entry, and four where each stands there twice.
        let narrow = |copies| walk(&listing, 10, &call(ENVELOPE_BYTES + 6, copies))[0].len();
        assert_eq!((narrow(Copies::Structured), narrow(Copies::StructuredAndText)), (3, 2));
        assert_eq!(walk(&listing, 10, &call(1, Copies::Structured)).len(), 10, "one at least");
    }

    #[test]
    fn a_cursor_of_another_listing_or_time_leads_nowhere() {
        let listing = Listing::new("list", "f", &"public");
        let page = listing.page((0..10).collect::<Vec<u32>>(), 0, 4, &call(1 << 20, Copies::Structured));
        let cursor = page.next_cursor.unwrap();
        assert_eq!(listing.start(Some(&cursor)).unwrap(), 4);
        let check = |listing: &Listing, cursor: &str, said: &str| {
            let error = listing.start(Some(cursor)).unwrap_err().to_string();
            assert!(error.contains(said), "{cursor}: {error}");
        };
        check(&Listing::new("list", "g", &"public"), &cursor, "has changed since");
        check(&Listing::new("list", "f", &"other"), &cursor, "not one that this server gave");
        check(&Listing::new("find", "f", &"public"), &cursor, "not one that this server gave");
        for cursor in ["", "4", "f.x.4", &format!("{cursor}.1"), &cursor.replace(".4", ".x")] {
            check(&listing, cursor, "not one that this server gave");
        }
    }
}
