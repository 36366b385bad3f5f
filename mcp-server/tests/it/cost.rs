//! Cost limits: what the planner expects too much of is refused before it runs.

use harness::{ThrowawayPostgres, shared_postgres};
use mcp_server::executor::{CostLimits, ExecuteError, OverLimit, RowSet, RunLimits};
use serde_json::{Value, json};

use crate::database_of;
use crate::runner::{Runner, limits};

const SCHEMA: &str = "CREATE TABLE facts (id int PRIMARY KEY, kind int, note text);
    INSERT INTO facts SELECT n, n % 100, 'note ' || n FROM generate_series(1, 20000) AS n;
    CREATE TABLE young (id int, note text) WITH (autovacuum_enabled = false);
    INSERT INTO young SELECT n, 'note ' || n FROM generate_series(1, 20000) AS n;
    CREATE TABLE owned (id int, tenant text);
    INSERT INTO owned SELECT n, 'a' FROM generate_series(1, 20000) AS n;
    ALTER TABLE owned ENABLE ROW LEVEL SECURITY;
    CREATE POLICY own ON owned USING (tenant = current_setting('app.tenant', true));
    CREATE VIEW shown AS SELECT id, kind FROM facts;
    ANALYZE facts; ANALYZE owned;";

/// Runs statements within limits on what they cost.
struct Planner(Runner);

impl Planner {
    async fn new(postgres: &ThrowawayPostgres) -> Self {
        let name = database_of(postgres, SCHEMA).await;
        Self(Runner::new(&postgres.reader_url(&name), &[]))
    }

    async fn run(&self, sql: &str, params: Value, cost: CostLimits) -> Result<RowSet, ExecuteError> {
        let limits = RunLimits { cost, ..limits() };
        let Value::Array(params) = params else { panic!("{params}") };
        self.0.run_within(sql, params, limits).await
    }

    async fn passes(&self, sql: &str, params: Value, cost: CostLimits) {
        self.run(sql, params, cost).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    async fn over(&self, sql: &str, params: Value, cost: CostLimits) -> OverLimit {
        match self.run(sql, params, cost).await {
            Err(ExecuteError::OverLimit(over)) => *over,
            other => panic!("{sql}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn what_costs_too_much_is_not_run() {
    let planner = Planner::new(shared_postgres().await).await;
    let limits = CostLimits { max_cost: Some(1000.0), ..CostLimits::default() };
    planner.passes("SELECT note FROM facts WHERE id = $1", json!([7]), limits).await;
    let over = planner.over("SELECT count(*) FROM facts a, facts b", json!([]), limits).await;
    assert_eq!((over.limit, over.allowed), ("max_cost", 1000.0));
    assert!(over.estimate.unwrap() > 1_000_000.0, "{over:?}");
    // Inside a WITH query and a sub-select too.
    let hidden = "WITH w AS MATERIALIZED (SELECT count(*) AS n FROM facts a, facts b) SELECT (SELECT n FROM w)";
    planner.over(hidden, json!([]), limits).await;
}

#[tokio::test]
async fn what_reads_too_many_rows_is_not_run() {
    let planner = Planner::new(shared_postgres().await).await;
    let limits = CostLimits { max_estimated_rows: Some(5000), ..CostLimits::default() };
    planner.passes("SELECT id FROM facts WHERE kind = 3", json!([]), limits).await;
    planner.passes("SELECT id FROM facts LIMIT 10", json!([]), limits).await;
    let over = planner.over("SELECT id FROM facts ORDER BY note LIMIT 10", json!([]), limits).await;
    assert_eq!((over.limit, over.table.as_deref()), ("max_estimated_rows", Some("public.facts")));
    assert!((19_000.0..21_000.0).contains(&over.estimate.unwrap()), "{over:?}");
    // The values count: the planner is given them.
    planner.passes("SELECT id FROM facts WHERE id < $1", json!([100]), limits).await;
    planner.over("SELECT id FROM facts WHERE id < $1", json!([15_000]), limits).await;
}

#[tokio::test]
async fn big_tables_are_not_read_from_their_beginning() {
    let planner = Planner::new(shared_postgres().await).await;
    let limits = CostLimits { deny_seq_scan_over_rows: Some(5000), ..CostLimits::default() };
    planner.passes("SELECT note FROM facts WHERE id = 7", json!([]), limits).await;
    planner.passes("SELECT note FROM facts LIMIT 10", json!([]), limits).await;
    // It gives few rows and reads all.
    let over = planner.over("SELECT id FROM facts WHERE note = $1", json!(["note 7"]), limits).await;
    assert_eq!((over.step.as_str(), over.table.as_deref()), ("Seq Scan", Some("public.facts")));
    assert!((19_000.0..21_000.0).contains(&over.estimate.unwrap()), "{over:?}");
    // Nobody has counted its rows yet.
    let over = planner.over("SELECT id FROM young WHERE note = 'note 7'", json!([]), limits).await;
    assert!((5_000.0..80_000.0).contains(&over.estimate.unwrap()), "{over:?}");
    // What stands behind a view stays unnamed.
    let over = planner.over("SELECT id FROM shown WHERE kind = 3", json!([]), limits).await;
    assert_eq!(over.table, None);
    let higher = CostLimits { deny_seq_scan_over_rows: Some(100_000), ..limits };
    planner.passes("SELECT id FROM facts WHERE note = 'note 7'", json!([]), higher).await;
}

#[tokio::test]
async fn plans_that_nest_deep_are_held_against_the_limits_too() {
    let planner = Planner::new(shared_postgres().await).await;
    let limits = CostLimits { max_cost: Some(1000.0), deny_seq_scan_over_rows: Some(5000), ..CostLimits::default() };
    for depth in [70, 200] {
        let nested = |inner: &str| format!("{}{inner}{}", "SELECT * FROM (".repeat(depth), " LIMIT 1) q".repeat(depth));
        planner.passes(&nested("SELECT id FROM facts"), json!([]), limits).await;
        let over = planner.over(&nested("SELECT id FROM facts ORDER BY note"), json!([]), limits).await;
        assert_eq!(over.limit, "deny_seq_scan_over_rows");
        let over = planner.over(&nested("SELECT count(*) FROM facts a, facts b"), json!([]), limits).await;
        assert_eq!(over.limit, "max_cost");
    }
}

#[tokio::test]
async fn of_rows_that_not_everybody_may_see_no_estimate_is_told() {
    let planner = Planner::new(shared_postgres().await).await;
    for limits in [
        CostLimits { deny_seq_scan_over_rows: Some(100), ..CostLimits::default() },
        CostLimits { max_cost: Some(1.0), ..CostLimits::default() },
    ] {
        let over = planner.over("SELECT count(*) FROM owned", json!([]), limits).await;
        assert_eq!(over.estimate, None, "{over:?}");
    }
}
