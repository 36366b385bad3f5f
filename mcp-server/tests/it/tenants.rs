//! Row-level security by settings that are bound for each statement's transaction.

use futures_util::StreamExt;
use harness::PgBouncer;
use harness::shared_postgres;
use serde_json::json;

use crate::database_of;
use crate::runner::Runner;

/// Two tenants with rows of their own.
const TENANTS: &str = "CREATE TABLE notes (tenant text, note text);
    INSERT INTO notes SELECT tenant, 'of ' || tenant FROM unnest(ARRAY['a', 'b', 'it''s \\ é']) AS tenant, generate_series(1, 3);
    ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
    CREATE POLICY own ON notes USING (tenant = current_setting('app.tenant', true));";

const QUERY: &str = "SELECT DISTINCT tenant FROM notes";

/// As three tenants and as nobody at once, over fewer connections than there are statements.
async fn check_that_none_sees_another(runner: &Runner) {
    let tenants = ["a", "b", "it's \\ é"];
    let runs = futures_util::stream::iter(0..200).map(|number| async move {
        let rows = match tenants.get(number % 4) {
            Some(tenant) => (runner.rows(QUERY, &[("app.tenant", tenant)]).await, json!([{ "tenant": tenant }])),
            None => (runner.rows(QUERY, &[]).await, json!([])),
        };
        assert_eq!(rows.0, rows.1, "run {number}");
    });
    runs.buffer_unordered(12).collect::<Vec<()>>().await;
}

#[tokio::test]
async fn tenants_never_see_each_others_rows() {
    let postgres = shared_postgres().await;
    let name = database_of(postgres, TENANTS).await;
    let url = postgres.reader_url(&name);
    check_that_none_sees_another(&Runner::new(&url, &["--pool-size", "3"])).await;
}

#[tokio::test]
async fn tenants_never_see_each_others_rows_through_a_pooler() {
    let postgres = shared_postgres().await;
    let name = database_of(postgres, TENANTS).await;
    let Some(pgbouncer) = PgBouncer::start(&postgres.reader_url(&name), 3).await.unwrap() else { return };
    let flags = ["--postgres-mode", "pooler", "--pool-size", "8"];
    check_that_none_sees_another(&Runner::new(pgbouncer.url(), &flags)).await;
}
