//! What a large catalog costs: read from PostgreSQL, made into a caller's view, searched, and told. On a throwaway server over
//! loopback. The goals for reading are 1 s for 1,000 tables with 15,000 columns and 10 s for 10,000 tables.

use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use benches::database;
use harness::ThrowawayPostgres;
use mcp_server::caller::Caller;
use mcp_server::catalog::{CatalogCache, ddl, page, search};
use mcp_server::policy::{Known, Policies};
use sql_guard::{Guard, Limits};

/// Columns of each table.
const COLUMNS: usize = 15;

/// How often each thing is done; the median counts.
const TIMES: usize = 7;

#[tokio::main]
async fn main() -> Result<()> {
    let postgres = ThrowawayPostgres::start().await?;
    println!("{:<52} {:>11} {:>11}", "", "median ms", "worst ms");
    for tables in [1_000, 10_000] {
        let name = format!("of_{tables}");
        let folder = tempfile::tempdir()?;
        // Each table is locked until its transaction ends, and locks are few.
        let mut files = Vec::new();
        for part in 0..tables / 250 {
            let file = folder.path().join(format!("{part}.sql"));
            std::fs::write(&file, schema(part * 250..(part + 1) * 250))?;
            files.push(file);
        }
        let files: Vec<_> = files.iter().map(std::path::PathBuf::as_path).collect();
        postgres.create_database(&name, &files).await?;
        measure(&postgres.reader_url(&name), tables).await?;
    }
    Ok(())
}

async fn measure(url: &str, tables: usize) -> Result<()> {
    let guard = Guard::new(Limits::default());
    let catalog = CatalogCache::new(database(url, "direct")?, guard, Duration::from_secs(3600));
    let rules = Policies::load(None, Known::default())?.rules("bench", &Caller::default());
    let (mut loads, mut views, mut searches, mut texts, mut pages) = (vec![], vec![], vec![], vec![], vec![]);
    for _ in 0..TIMES {
        let begun = Instant::now();
        let snapshot = catalog.reload().await?;
        loads.push(begun.elapsed());
        let begun = Instant::now();
        let visible = catalog.visible(&snapshot, &rules).await.map_err(|rejection| anyhow::anyhow!("{rejection}"))?;
        views.push(begun.elapsed());
        let begun = Instant::now();
        let found = search(visible.tables(), "customer status");
        searches.push(begun.elapsed());
        anyhow::ensure!(!found.is_empty(), "the search finds something");
        let begun = Instant::now();
        let text = ddl::ddl(&visible, 768 << 10);
        texts.push(begun.elapsed());
        let begun = Instant::now();
        let first = page(&visible, None, 768 << 10)?;
        pages.push(begun.elapsed());
        anyhow::ensure!(!text.is_empty() && !first.is_empty(), "both say something");
        drop(Arc::clone(&snapshot));
    }
    let of = format!("{tables} tables, {} columns", tables * COLUMNS);
    report(&format!("{of}: read"), loads);
    report(&format!("{of}: a caller's view"), views);
    report(&format!("{of}: search_schema"), searches);
    report(&format!("{of}: as text"), texts);
    report(&format!("{of}: the first page for machines"), pages);
    Ok(())
}

/// Tables with keys, comments and indexes, and a view for every tenth.
fn schema(tables: std::ops::Range<usize>) -> String {
    let mut sql = String::new();
    for number in tables {
        let columns: Vec<String> = (2..COLUMNS).map(|column| format!("value_{column} text DEFAULT 'none'")).collect();
        let parent = number.saturating_sub(1);
        let _ = writeln!(
            sql,
            "CREATE TABLE customer_status_{number} (id int PRIMARY KEY, parent int, {});",
            columns.join(", ")
        );
        if number > 0 {
            let key = format!("FOREIGN KEY (parent) REFERENCES customer_status_{parent}");
            let _ = writeln!(sql, "ALTER TABLE customer_status_{number} ADD {key};");
        }
        let _ = writeln!(sql, "COMMENT ON TABLE customer_status_{number} IS 'Where customers stand, part {number}';");
        if number.is_multiple_of(10) {
            let _ = writeln!(
                sql,
                "CREATE VIEW seen_{number} AS SELECT id, value_2 FROM customer_status_{number} WHERE parent > 0;"
            );
        }
    }
    sql
}

fn report(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    let (median, worst) = (times[times.len() / 2], times[times.len() - 1]);
    println!("{what:<52} {:>11.1} {:>11.1}", ms(median), ms(worst));
}
