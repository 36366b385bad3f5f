//! The catalog as a resource: JSON in pages that every client takes.

use shared_protocol::catalog::CatalogPage;

use super::Visible;

/// Why there is no such page.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// The cursor belongs to a catalog that is no longer served.
    #[error("the catalog has changed since that cursor was given: start again without a cursor")]
    Stale,
    /// The cursor isn't one of ours.
    #[error("the cursor is not one that this server gave: start again without a cursor")]
    Foreign,
}

/// The page of `catalog` at `cursor`, or the first, as JSON of at most about `bytes` (a single table may be longer).
///
/// # Errors
/// [`PageError`] where the cursor doesn't lead into this catalog.
pub fn page(catalog: &Visible, cursor: Option<&str>, bytes: usize) -> Result<String, PageError> {
    let start = match cursor {
        None => 0,
        Some(cursor) => {
            let (fingerprint, start) = cursor.split_once('-').ok_or(PageError::Foreign)?;
            let start: usize = start.parse().map_err(|_| PageError::Foreign)?;
            if fingerprint != catalog.fingerprint() {
                return Err(PageError::Stale);
            }
            if start > catalog.tables.len() {
                return Err(PageError::Foreign);
            }
            start
        }
    };
    let mut page = CatalogPage {
        fingerprint: catalog.fingerprint().to_owned(),
        database: catalog.snapshot.database.clone(),
        description: catalog.description().map(str::to_owned),
        server_version: catalog.snapshot.server_version.clone(),
        timezone: catalog.snapshot.timezone.clone(),
        search_path: catalog.search_path().to_vec(),
        samples: catalog.samples(),
        tables: Vec::new(),
        functions: if start == 0 { catalog.functions.clone() } else { Vec::new() },
        next_cursor: None,
    };
    let mut used = json_in_string(&page);
    for table in &catalog.tables[start..] {
        used += json_in_string(table) + 1;
        if used > bytes && !page.tables.is_empty() {
            page.next_cursor = Some(format!("{}-{}", catalog.fingerprint(), start + page.tables.len()));
            break;
        }
        page.tables.push(table.clone());
    }
    Ok(serde_json::to_string(&page).expect("a catalog is plain data"))
}

/// Bytes that `value` takes as JSON text inside a JSON string: quotes and backslashes count twice.
fn json_in_string(value: &impl serde::Serialize) -> usize {
    let json = serde_json::to_vec(value).expect("a catalog is plain data");
    json.len() + json.iter().filter(|byte| matches!(byte, b'"' | b'\\')).count()
}
