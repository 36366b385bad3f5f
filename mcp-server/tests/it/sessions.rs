//! Sessions as statements meet them: read-only and pinned, whatever the database's own settings say.

use std::sync::Arc;

use daemon::settings::Source;
use harness::shared_postgres;
use mcp_server::config::{Config, VARIABLES, command};
use mcp_server::databases::{Database, SessionPins};
use sqlx::PgConnection;

use crate::database_of;

/// The database at `url`, with this time zone and a statement timeout of two minutes; any role may serve it.
fn database(url: &str, timezone: &str) -> Arc<Database> {
    let flags = ["mcp-server", "--ws-api-key", "0123456789abcdefghijkl", "--postgres-sslmode", "disable"];
    let flags = flags.into_iter().chain(["--database-url", url]);
    let config = Config::from_source(Source::from_parts(command(), VARIABLES, flags, |_| None).unwrap()).unwrap();
    let pins = SessionPins {
        timezone: timezone.to_owned(),
        statement_timeout: config.limits.max_statement_timeout,
        allow_privileged_role: true,
    };
    Database::new(&config.database, pins)
}

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
    let database = database(&postgres.superuser_url(&name), "Europe/Berlin");
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

    let database = database(&postgres.reader_url(&name), "UTC");
    let mut session = database.session().await.unwrap();
    assert_eq!(show(session.connection(), "search_path").await, "\"public\", pg_temp");
    assert_eq!(database.profile().unwrap().search_path, ["public"]);
}
