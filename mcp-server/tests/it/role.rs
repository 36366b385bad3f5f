//! A role that could do more than read is refused at the start.

use harness::postgres::READER;
use harness::{McpServer, SHOP, ServerOptions, ThrowawayPostgres, Until, shared_postgres};
use mcp_server::databases::{Grade, RoleReport};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::client::{Client, until};
use crate::database_of;

#[tokio::test]
async fn a_superuser_is_refused_unless_that_is_wanted() {
    let postgres = shared_postgres().await;
    let error =
        McpServer::start(ServerOptions::new(postgres.superuser_url(SHOP))).await.err().expect("it ends").to_string();
    assert!(error.contains("is a superuser") && error.contains("ALLOW_PRIVILEGED_ROLE"), "{error}");

    let allowed = ServerOptions::new(postgres.superuser_url(SHOP)).with_env("ALLOW_PRIVILEGED_ROLE", "true");
    let server = McpServer::start(allowed).await.unwrap();
    let mut client = Client::open(&server).await;
    assert_eq!(client.rows("SELECT 1 AS one FROM users LIMIT 1", json!([])).await.row_count, 1);
    assert_eq!(client.error(json!({ "query": "DELETE FROM users" })).await["code"], "WRITE_OPERATION_DENIED");
}

#[tokio::test]
async fn a_role_that_can_write_is_refused() {
    let postgres = shared_postgres().await;
    let database = database_of(postgres, "CREATE TABLE notes (id int, note text);").await;
    let mut superuser = postgres.superuser(&database).await.unwrap();
    for (role, grant) in [
        ("writer", "GRANT INSERT ON notes TO writer"),
        ("column_writer", "GRANT UPDATE (note) ON notes TO column_writer"),
        ("owner", "ALTER TABLE notes OWNER TO owner"),
    ] {
        let sql = format!("CREATE ROLE {role} LOGIN PASSWORD 'p'; {grant}");
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut superuser).await.unwrap();
        let url = format!("postgres://{role}:p@127.0.0.1:{}/{database}", postgres.port());
        let error = McpServer::start(ServerOptions::new(url)).await.err().expect("it ends").to_string();
        assert!(error.contains("public.notes"), "{role}: {error}");
    }
}

#[tokio::test]
async fn a_role_with_powers_beyond_tables_is_refused() {
    let postgres = shared_postgres().await;
    let database = database_of(postgres, "CREATE TABLE notes (id int);").await;
    let mut superuser = postgres.superuser(&database).await.unwrap();
    for (role, power, named) in [
        ("row_security_bypasser", "BYPASSRLS", "BYPASSRLS"),
        ("replicator", "REPLICATION", "REPLICATION"),
        ("database_maker", "CREATEDB", "CREATEDB"),
        ("role_maker", "CREATEROLE", "CREATEROLE"),
        ("file_reader", "IN ROLE pg_read_server_files", "pg_read_server_files"),
        ("file_writer", "IN ROLE pg_write_server_files", "pg_write_server_files"),
        ("program_runner", "IN ROLE pg_execute_server_program", "pg_execute_server_program"),
        ("data_writer", "IN ROLE pg_write_all_data", "pg_write_all_data"),
    ] {
        let sql = format!("CREATE ROLE {role} LOGIN PASSWORD 'p' {power}");
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut superuser).await.unwrap();
        let url = format!("postgres://{role}:p@127.0.0.1:{}/{database}", postgres.port());
        let error = McpServer::start(ServerOptions::new(url)).await.err().expect("it ends").to_string();
        assert!(error.contains(named) && error.contains("ALLOW_PRIVILEGED_ROLE"), "{role}: {error}");
    }
}

/// Makes `role` by `sql` and gives what the report says of it in `database`.
async fn report(postgres: &ThrowawayPostgres, database: &str, role: &str, sql: &str) -> RoleReport {
    let mut superuser = postgres.superuser(database).await.unwrap();
    let sql = format!("CREATE ROLE {role} LOGIN PASSWORD 'p'; {sql}");
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut superuser).await.unwrap();
    let url = format!("postgres://{role}:p@127.0.0.1:{}/{database}?sslmode=disable", postgres.port());
    RoleReport::of(&mut PgConnection::connect(&url).await.unwrap()).await.unwrap()
}

fn findings(report: &RoleReport, grade: Grade) -> Vec<&str> {
    report.findings().iter().filter(|finding| finding.grade == grade).map(|finding| finding.text.as_str()).collect()
}

#[tokio::test]
async fn rights_that_a_role_can_take_count_as_its_own() {
    let postgres = shared_postgres().await;
    let database = database_of(postgres, "CREATE TABLE notes (id int, note text);").await;
    for (role, sql, expected) in [
        (
            "r_heir",
            "CREATE ROLE r_giver; GRANT DELETE ON notes TO r_giver; GRANT r_giver TO r_heir",
            "may write to 1 relation(s)",
        ),
        (
            "r_taker",
            "ALTER ROLE r_taker NOINHERIT; CREATE ROLE r_holder; GRANT UPDATE (note) ON notes TO r_holder; GRANT r_holder TO r_taker",
            "may write to 1 relation(s)",
        ),
        ("r_public", "CREATE TABLE open (id int); GRANT TRUNCATE ON open TO PUBLIC", "among them public.open"),
        (
            "r_climber",
            "CREATE ROLE r_top SUPERUSER; GRANT r_top TO r_climber",
            "may become r_top, which is a superuser",
        ),
        (
            "r_maker",
            "CREATE ROLE r_makers CREATEROLE; GRANT r_makers TO r_maker",
            "may become r_makers, which may create roles",
        ),
        (
            "r_owner",
            "CREATE ROLE r_owners; CREATE VIEW seen AS SELECT 1; ALTER VIEW seen OWNER TO r_owners; GRANT r_owners TO r_owner",
            "owns 1 relation(s), among them public.seen",
        ),
    ] {
        let report = report(postgres, &database, role, sql).await;
        assert!(report.is_refused(), "{role}: {report:?}");
        assert!(findings(&report, Grade::Refused).iter().any(|found| found.contains(expected)), "{role}: {report:?}");
        sqlx::raw_sql("DROP TABLE IF EXISTS open")
            .execute(&mut postgres.superuser(&database).await.unwrap())
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn what_is_only_worth_knowing_is_warned_of() {
    let postgres = shared_postgres().await;
    let database = database_of(postgres, "CREATE TABLE notes (id int); CREATE SEQUENCE numbers;").await;
    for (role, sql, expected) in [
        (
            "w_creator",
            "CREATE SCHEMA theirs; GRANT CREATE ON SCHEMA theirs TO w_creator",
            "may create objects in schema(s) theirs",
        ),
        ("w_temp", &*format!("GRANT TEMP ON DATABASE {database} TO w_temp"), "may create temporary tables (TEMP)"),
        (
            "w_schemas",
            &*format!("GRANT CREATE ON DATABASE {database} TO w_schemas"),
            "may create schemas in the database (CREATE)",
        ),
        (
            "w_numbers",
            "GRANT USAGE ON SEQUENCE numbers TO w_numbers",
            "may change 1 sequence(s), among them public.numbers",
        ),
        ("w_watcher", "GRANT pg_monitor TO w_watcher", "is a member of pg_monitor: it sees what other sessions run"),
        ("w_reader", "GRANT pg_read_all_data TO w_reader", "is a member of pg_read_all_data"),
        ("w_killer", "GRANT pg_signal_backend TO w_killer", "is a member of pg_signal_backend"),
        (
            "w_object",
            "SELECT lo_create(4711); GRANT UPDATE ON LARGE OBJECT 4711 TO w_object",
            "may change 1 large object(s)",
        ),
        (
            "w_definer",
            "CREATE FUNCTION theirs() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'",
            "(SECURITY DEFINER), among them public.theirs",
        ),
        (
            "w_setting",
            "ALTER ROLE w_setting SET default_transaction_read_only = off",
            "has the setting default_transaction_read_only=off",
        ),
        ("w_plain", "", "may execute lo_creat"),
    ] {
        let report = report(postgres, &database, role, sql).await;
        assert!(!report.is_refused(), "{role}: {report:?}");
        assert!(findings(&report, Grade::Warned).iter().any(|found| found.contains(expected)), "{role}: {report:?}");
    }
    let plain = report(postgres, &database, "w_plainest", "DROP FUNCTION theirs").await;
    assert_eq!(plain.findings().len(), 1, "only functions of PUBLIC: {plain:?}");
}

#[tokio::test]
async fn schemas_in_which_names_are_not_looked_up_are_told() {
    let postgres = shared_postgres().await;
    let database = database_of(postgres, "CREATE TABLE notes (id int);").await;
    let own = format!("CREATE SCHEMA {READER}; GRANT CREATE, USAGE ON SCHEMA {READER} TO {READER}");
    sqlx::raw_sql(AssertSqlSafe(own)).execute(&mut postgres.superuser(&database).await.unwrap()).await.unwrap();
    let server = McpServer::start(ServerOptions::new(postgres.reader_url(&database))).await.unwrap();
    let told = format!("names without a schema are not looked up in {READER}, where it may create objects");
    assert!(server.logs().contains(&told), "{}", server.logs());
    assert_eq!(Client::open(&server).await.rows("SELECT * FROM notes", json!([])).await.row_count, 0);
}

/// Starts while the database is away: a server that serves already stays up.
#[tokio::test]
async fn a_refused_role_is_named_and_served_once_it_is_mended() {
    let postgres = ThrowawayPostgres::start().await.unwrap();
    postgres.load_shop().await.unwrap();
    let mut superuser = postgres.superuser(SHOP).await.unwrap();
    sqlx::raw_sql("GRANT INSERT ON users TO pgmcp_reader").execute(&mut superuser).await.unwrap();
    postgres.stop_server().await.unwrap();
    let options = ServerOptions::new(postgres.reader_url(SHOP)).until(Until::Listening);
    let server = McpServer::start(options).await.unwrap();
    postgres.start_server().await.unwrap();

    let mut client = Client::open(&server).await;
    let error = client.error(json!({ "query": "SELECT 1 AS one" })).await;
    assert_eq!(error["code"], "CONNECTION_ERROR", "{error}");
    for said in ["may write to 1 relation(s), among them public.users", "mcp-server role-sql", "ALLOW_PRIVILEGED_ROLE"]
    {
        assert!(error.to_string().contains(said), "{said}: {error}");
    }
    let ready = async || {
        let answer = reqwest::get(server.http_url("/ready")).await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap()["database"].clone())
    };
    assert_eq!(ready().await, (503, json!("refused")));

    let mut superuser = postgres.superuser(SHOP).await.unwrap();
    sqlx::raw_sql("REVOKE INSERT ON users FROM pgmcp_reader").execute(&mut superuser).await.unwrap();
    until("the mended role is served", async || ready().await == (200, json!("ok"))).await;
    assert_eq!(client.rows("SELECT 1 AS one", json!([])).await.row_count, 1);
}
