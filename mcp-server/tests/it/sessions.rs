//! Sessions as statements meet them: read-only and pinned, whatever the database's own settings say.

use harness::shared_postgres;
use mcp_server::databases::Frame;
use sqlx::{PgConnection, Row};

use crate::database_of;
use crate::runner::database;

async fn show(connection: &mut PgConnection, setting: &str) -> String {
    sqlx::query_scalar(sqlx::AssertSqlSafe(format!("SHOW {setting}"))).fetch_one(connection).await.unwrap()
}

#[tokio::test]
async fn every_session_is_read_only_and_pinned() {
    let postgres = shared_postgres().await;
    let name = database_of(postgres, "CREATE TABLE notes (id int);").await;
    let mut superuser = postgres.superuser(&name).await.unwrap();
    let pins = [
        ("default_transaction_read_only", "off", "on"),
        ("TimeZone", "'Asia/Tokyo'", "Europe/Berlin"),
        ("DateStyle", "'German'", "ISO, MDY"),
        ("IntervalStyle", "iso_8601", "postgres"),
        ("geqo_threshold", "12", "8"),
        ("jit", "on", "off"),
        ("bytea_output", "escape", "hex"),
        ("extra_float_digits", "0", "1"),
        ("client_encoding", "'LATIN1'", "UTF8"),
        ("standard_conforming_strings", "off", "on"),
        ("row_security", "off", "on"),
        ("statement_timeout", "'1h'", "2min"),
        ("lock_timeout", "'1h'", "10s"),
        ("idle_in_transaction_session_timeout", "'1h'", "1min"),
    ];
    for (setting, value, _) in pins {
        let sql = format!("ALTER DATABASE {name} SET {setting} = {value}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut superuser).await.unwrap();
    }
    // The superuser, whom no missing grant keeps from writing.
    let database = database(&postgres.superuser_url(&name), &["--timezone", "Europe/Berlin"]);
    let mut session = database.session().await.unwrap();
    for (setting, _, pinned) in pins {
        assert_eq!(show(session.connection(), setting).await, pinned, "{setting}");
    }
    let error = sqlx::query("INSERT INTO notes VALUES (1)").execute(session.connection()).await.unwrap_err();
    assert_eq!(error.as_database_error().unwrap().code().as_deref(), Some("25006"), "{error}");
}

#[tokio::test]
async fn names_are_not_looked_up_where_the_role_could_create() {
    let postgres = shared_postgres().await;
    let reader = harness::postgres::READER;
    let sql = format!("CREATE SCHEMA theirs; GRANT USAGE, CREATE ON SCHEMA theirs TO {reader};");
    let name = database_of(postgres, &sql).await;
    let mut superuser = postgres.superuser(&name).await.unwrap();
    let sql = format!("ALTER DATABASE {name} SET search_path = theirs, public");
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut superuser).await.unwrap();

    let database = database(&postgres.reader_url(&name), &[]);
    let mut session = database.session().await.unwrap();
    assert_eq!(show(session.connection(), "search_path").await, "\"public\", pg_temp");
    assert_eq!(database.profile().unwrap().search_path, ["public"]);
}

#[tokio::test]
async fn settings_that_work_against_the_pins_bring_a_transaction() {
    let postgres = shared_postgres().await;
    for (setting, expected) in [
        ("work_mem = '8MB'", false),
        ("search_path = public", false),
        ("default_transaction_read_only = on", false),
        ("default_transaction_read_only = off", true),
        ("row_security = off", true),
    ] {
        let name = database_of(postgres, "CREATE TABLE notes (id int);").await;
        let mut superuser = postgres.superuser(&name).await.unwrap();
        let sql = format!("ALTER DATABASE {name} SET {setting}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut superuser).await.unwrap();

        let database = database(&postgres.reader_url(&name), &[]);
        let mut session = database.session().await.unwrap();
        session.begin(&Frame::default()).await.unwrap();
        // A statement by itself is a transaction that begins with it.
        let moments = sqlx::raw_sql("SELECT now() <> statement_timestamp()").fetch_one(session.connection()).await;
        let in_transaction: bool = moments.unwrap().get(0);
        assert_eq!(in_transaction, expected, "{setting}");
        session.end(&Frame::default()).await;
        assert!(!session.is_broken());
    }
}
