//! What a statement costs by what stands around it, and how long a cancel takes until the statement has ended on PostgreSQL:
//! on a throwaway server over loopback, and through PgBouncer where it is installed. The goal for a cancel is 200 ms at the
//! 99th percentile.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use benches::database;
use harness::{PgBouncer, SHOP, ThrowawayPostgres};
use mcp_server::caller::Caller;
use mcp_server::catalog::CatalogCache;
use mcp_server::databases::{Database, Frame};
use mcp_server::executor::{Copies, CostLimits, Executor, PageLimit, ResultMemory, Run, RunLimits};
use mcp_server::policy::{Known, Policies};
use sql_guard::{Guard, Limits};
use sqlx::PgConnection;
use tokio_util::sync::CancellationToken;

/// Statements measured, after as many that warm up.
const STATEMENTS: usize = 500;

/// Cancels measured.
const CANCELS: usize = 200;

/// Minutes of work that only a cancel ends early.
const ENDLESS: &str = "SELECT count(*) AS endless FROM order_items a, order_items b, order_items c";

#[tokio::main]
async fn main() -> Result<()> {
    let postgres = ThrowawayPostgres::start().await?;
    postgres.load_shop().await?;
    let url = postgres.reader_url(SHOP);
    let mut superuser = postgres.superuser(SHOP).await?;
    println!("{:<52} {:>9} {:>9} {:>9}", "", "p50 ms", "p99 ms", "max ms");

    let direct = database(&url, "direct")?;
    let tenant = Frame { settings: vec![("app.tenant".to_owned(), "a".to_owned())], ..Frame::default() };
    let user_code = Frame { runs_user_code: true, ..Frame::default() };
    report("SELECT 1, alone", statements(&direct, &Frame::default()).await?);
    report("SELECT 1, with a setting for its transaction", statements(&direct, &tenant).await?);
    report("SELECT 1, as if it called a user's function", statements(&direct, &user_code).await?);
    report("cancel", cancels(&direct, &mut superuser).await?);
    if let Some(pgbouncer) = PgBouncer::start(&url, 4).await? {
        let pooled = database(pgbouncer.url(), "pooler")?;
        report("through PgBouncer: SELECT 1", statements(&pooled, &Frame::default()).await?);
        report("through PgBouncer: cancel", cancels(&pooled, &mut superuser).await?);
    }
    Ok(())
}

/// Times of a warm statement with all that `frame` puts around it.
async fn statements(database: &Database, frame: &Frame) -> Result<Vec<Duration>> {
    let mut times = Vec::new();
    for _ in 0..2 * STATEMENTS {
        let mut session = database.session().await?;
        let begun = Instant::now();
        session.begin(frame).await?;
        // As the executor does it: behind a pooler the statement is prepared each time.
        sqlx::query("SELECT 1").fetch_one(session.connection()).await?;
        session.end(frame).await;
        times.push(begun.elapsed());
        ensure!(!session.is_broken(), "the session is kept");
    }
    Ok(times.split_off(STATEMENTS))
}

/// Times from a cancel until its call has its answer, which comes when the statement has ended on PostgreSQL.
async fn cancels(database: &Arc<Database>, superuser: &mut PgConnection) -> Result<Vec<Duration>> {
    let guard = Guard::new(Limits::default());
    let catalogs = CatalogCache::new(Arc::clone(database), guard.clone(), Duration::from_secs(3600));
    let rules = Policies::load(None, Known::default())?.rules(database.name(), &Caller::default());
    let visible = catalogs.visible(&catalogs.current().await?, &rules).await?;
    let query = guard.check(ENDLESS, visible.access()).await.context("check it")?;
    let memory = ResultMemory::new(16 << 20, 1, Duration::from_secs(5));
    let executor = Executor::new(1, Duration::from_secs(30), memory, None);
    let limits = RunLimits {
        max_rows: 10,
        page: PageLimit { bytes: 1 << 20, copies: Copies::Structured },
        timeout: Duration::from_secs(100),
        cost: CostLimits::default(),
    };
    let mut times = Vec::new();
    for number in 0..CANCELS {
        let cancel = CancellationToken::new();
        let run = {
            let (executor, database, query, cancel) =
                (executor.clone(), Arc::clone(database), query.clone(), cancel.clone());
            let directory = Arc::clone(&visible);
            let run = Run {
                query,
                params: Vec::new(),
                offset: 0,
                explain: None,
                tells_estimates: true,
                settings: Vec::new(),
                limits,
            };
            async move {
                let turn = executor.turn(&Caller::of_key("bench"), None).await?;
                executor.run(turn, &database, run, directory, &cancel).await
            }
        };
        let run = tokio::spawn(run);
        while running(superuser).await? == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        // Anywhere from its first moment, when it may still be compiled, to well within.
        tokio::time::sleep(Duration::from_millis(number as u64 % 20 * 10)).await;
        let begun = Instant::now();
        cancel.cancel();
        ensure!(run.await?.is_err(), "it was cancelled");
        times.push(begun.elapsed());
        ensure!(running(superuser).await? == 0, "the statement has ended when its call has");
    }
    Ok(times)
}

async fn running(superuser: &mut PgConnection) -> Result<i64> {
    let sql = "SELECT count(*) FROM pg_stat_activity \
               WHERE state = 'active' AND query LIKE '%AS endless%' AND pid <> pg_backend_pid()";
    Ok(sqlx::query_scalar(sql).fetch_one(superuser).await?)
}

fn report(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |share: usize| times[(times.len() * share / 100).min(times.len() - 1)].as_secs_f64() * 1000.0;
    println!("{what:<52} {:>9.3} {:>9.3} {:>9.3}", at(50), at(99), at(100));
}
