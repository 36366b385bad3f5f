//! Context: what a translator is shown of the database. In this version, all of it.

use std::sync::Arc;

use chrono::Utc;
use chrono_tz::Tz;

use super::Reason;
use crate::answer::{ShownContext, ShownTable};
use crate::mcp::behalf::Behalf;
use crate::mcp::catalogs::{Catalog, Catalogs};
use crate::mcp::client::Error;
use crate::schema_context::SchemaContext;

/// A catalog, and what is shown of it.
pub(super) struct Shown {
    pub(super) catalog: Arc<Catalog>,
    pub(super) context: SchemaContext,
}

/// The schema of `database` as this caller may see it, with today's date there.
pub(super) async fn context(catalogs: &Catalogs, database: &str, behalf: &Behalf) -> Result<Shown, Reason> {
    let catalog = match catalogs.catalog(database, behalf).await {
        Ok(catalog) => catalog,
        Err(error) if matches!(*error, Error::UnknownDatabase) => {
            return Err(Reason::UnknownDatabase { asked: database.to_owned(), known: Vec::new() });
        }
        Err(error) => return Err(error.into()),
    };
    let page = catalog.page();
    let (timezone, today) = today_in(&page.timezone);
    let context = SchemaContext {
        database: page.database.clone(),
        description: page.description.clone(),
        search_path: page.search_path.clone(),
        tables: page.tables.clone(),
        timezone,
        today,
    };
    Ok(Shown { catalog, context })
}

/// Tables and columns of `context`, for `explain`.
pub(super) fn shown(context: &SchemaContext) -> ShownContext {
    let tables = context.tables.iter().map(|table| ShownTable {
        name: format!("{}.{}", table.schema_name, table.table_name),
        columns: table.columns.iter().map(|column| column.name.clone()).collect(),
    });
    ShownContext { tables: tables.collect() }
}

/// Today's date in a time zone; in UTC, and saying so, where the zone has no entry in the time zone database.
fn today_in(timezone: &str) -> (String, chrono::NaiveDate) {
    let now = Utc::now();
    match timezone.parse::<Tz>() {
        Ok(zone) => (timezone.to_owned(), now.with_timezone(&zone).date_naive()),
        Err(_) => ("UTC".to_owned(), now.date_naive()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_time_zone_is_read_as_utc() {
        let check = |timezone: &str, expected: &str| assert_eq!(today_in(timezone).0, expected, "{timezone}");
        check("UTC", "UTC");
        check("Europe/Berlin", "Europe/Berlin");
        check("<+02>-02", "UTC");
        // A day apart at every moment of the year.
        assert_ne!(today_in("Etc/GMT+12").1, today_in("Pacific/Kiritimati").1);
    }
}
