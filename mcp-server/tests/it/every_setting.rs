//! Each variable of the server is changed, and something else happens: no setting is decoration.

use futures_util::{StreamExt, stream};
use harness::process::Process;
use harness::{McpServer, PgBouncer, SHOP, ServerOptions, Until, free_port, shared_postgres};
use mcp_server::config::VARIABLES;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::client::{Client, handshake, until};
use crate::http_client::HttpClient;
use crate::{database_of, shop_server, shop_server_with};

/// Minutes of work.
const ENDLESS: &str = "SELECT count(*) FROM order_items a, order_items b, order_items c";

const KEY: &str = "another-key-of-22-or-more-characters";

#[tokio::test]
async fn each_setting_has_its_effect() {
    stream::iter(VARIABLES).for_each_concurrent(4, |variable| effect_of(variable.name)).await;
}

async fn effect_of(variable: &str) {
    match variable {
        "DATABASE_URL" => a_url_names_the_database().await,
        "POSTGRES_DB" => the_name_of_the_database_counts().await,
        "POSTGRES_DATABASES" => listed_databases_are_served().await,
        "DATABASES_FILE" => databases_of_a_file_are_served().await,
        "POSTGRES_DEFAULT_SCHEMA" => tools_mean_a_schema().await,
        "MAX_SERVER_CONNECTIONS" => connections_of_a_host_are_counted().await,
        name @ "POSTGRES_HOST" => only_the_right_one_reaches_the_database(name, "127.0.0.2").await,
        name @ "POSTGRES_PORT" => only_the_right_one_reaches_the_database(name, "1").await,
        name @ "POSTGRES_USER" => only_the_right_one_reaches_the_database(name, "nobody").await,
        name @ "POSTGRES_PASSWORD" => only_the_right_one_reaches_the_database(name, "wrong").await,
        name @ "POSTGRES_SSLMODE" => only_the_right_one_reaches_the_database(name, "require").await,
        "POSTGRES_SSLROOTCERT" => the_authority_is_read_from_its_file().await,
        "POSTGRES_MODE" => only_the_right_mode_gets_through_a_pooler().await,
        "POOL_SIZE" | "POOL_TIMEOUT_MS" => calls_wait_for_a_connection_only_so_long().await,
        "STATEMENT_TIMEOUT_MS" => statements_have_their_time(json!({ "query": ENDLESS })).await,
        "MAX_STATEMENT_TIMEOUT_MS" => {
            statements_have_their_time(json!({ "query": ENDLESS, "timeoutMs": 99_999 })).await;
        }
        "MAX_ROWS" => rows_are_capped().await,
        "MAX_PAGE_BYTES" => pages_are_capped().await,
        "MAX_RESULT_BYTES" => results_are_capped().await,
        "MAX_TOTAL_RESULT_BYTES" => all_results_together_are_capped().await,
        "CATALOG_TTL_S" => a_catalog_ages().await,
        "TIMEZONE" => times_are_shown_in_their_zone().await,
        "WS_HOST" => it_listens_where_it_is_told().await,
        "WS_PORT" => it_listens_on_its_port().await,
        name @ ("WS_TLS_CERT" | "WS_TLS_KEY") => one_without_the_other_is_refused(name).await,
        "HTTP_STATELESS" => no_sessions_are_kept().await,
        "WS_API_KEY" => the_key_opens().await,
        "WS_PUSH_REGISTRY" => the_push_can_be_switched_off().await,
        "WS_ALLOWED_ORIGINS" => listed_origins_come_in().await,
        "WS_ALLOWED_HOSTS" => other_hosts_stay_out().await,
        "TRUSTED_PROXIES" => proxies_are_believed().await,
        "METRICS_PUBLIC" => metrics_are_for_all().await,
        "ALLOW_PRIVILEGED_ROLE" => a_superuser_is_served().await,
        "MAX_CONCURRENT_QUERIES" => statements_wait_for_their_turn().await,
        "RATE_LIMIT_PER_MINUTE" => calls_are_counted_by_the_minute().await,
        "MAX_CONNECTIONS" => connections_are_counted().await,
        "MAX_MESSAGE_BYTES" => messages_are_measured().await,
        "REQUIRE_PARAMETERS" => values_may_have_to_be_parameters().await,
        "GUARD_STRICT_COMMENTS" => comments_may_be_judged_too().await,
        "POLICY_FILE" => a_policy_is_read().await,
        "QUERIES_DIR" => saved_queries_are_offered().await,
        "AUDIT_LOG" => assert!(audited(&[]).await.contains("SELECT $1")),
        "AUDIT_VALUES" => assert!(audited(&[("AUDIT_VALUES", "true")]).await.contains("SELECT 12345")),
        "SHUTDOWN_GRACE_MS" => the_grace_ends().await,
        "LOG_FORMAT" => the_log_is_for_people().await,
        "LOG_LEVEL" => the_log_tells_less().await,
        unknown => panic!("nothing is known that {unknown} changes: add its effect here"),
    }
}

/// A server for the shop by the single variables, some of them changed.
async fn server_by_parts(changed: &[(&str, &str)]) -> McpServer {
    let postgres = shared_postgres().await;
    let url: url::Url = postgres.reader_url(SHOP).parse().unwrap();
    let port = postgres.port().to_string();
    let parts = [
        ("POSTGRES_HOST", "127.0.0.1"),
        ("POSTGRES_PORT", &port),
        ("POSTGRES_DB", SHOP),
        ("POSTGRES_USER", url.username()),
        ("POSTGRES_PASSWORD", url.password().unwrap()),
    ];
    let options = ServerOptions::new("").until(Until::Listening);
    let options = parts.iter().chain(changed).fold(options, |options, (name, value)| options.with_env(name, *value));
    McpServer::start(options).await.unwrap()
}

/// Status of a plain request.
async fn status(server: &McpServer, path: &str) -> u16 {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    client.get(server.http_url(path)).send().await.unwrap().status().as_u16()
}

/// The databases that are served.
async fn databases(server: &McpServer) -> Vec<String> {
    let list = Client::open(server).await.call("list_databases", json!({})).await;
    let databases = list["databases"].as_array().unwrap();
    databases.iter().map(|database| database["name"].as_str().unwrap().to_owned()).collect()
}

/// The code that a call fails with.
async fn code_of(server: &McpServer, arguments: Value) -> Value {
    Client::open(server).await.error(arguments).await["code"].clone()
}

/// A client whose statement runs until it is dropped.
async fn busy(server: &McpServer) -> Client {
    let mut client = Client::open(server).await;
    let arguments = json!({ "query": ENDLESS, "timeoutMs": 120_000 });
    client.start("tools/call", json!({ "name": "run_sql", "arguments": arguments })).await;
    let url = server.http_url("/metrics");
    let key = server.api_key();
    until("the statement runs", async || {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let metrics = client.get(&url).header("x-api-key", key).send().await.unwrap().text().await.unwrap();
        metrics.lines().any(|line| line == "pgmcp_statements_running 1")
    })
    .await;
    client
}

async fn a_url_names_the_database() {
    let postgres = shared_postgres().await;
    let other = database_of(postgres, "CREATE TABLE t (id int);").await;
    let server = McpServer::start(ServerOptions::new(postgres.reader_url(&other))).await.unwrap();
    assert_eq!(databases(&server).await, [other]);
}

async fn the_name_of_the_database_counts() {
    let other = database_of(shared_postgres().await, "CREATE TABLE t (id int);").await;
    let server = server_by_parts(&[("POSTGRES_DB", &other)]).await;
    assert_eq!(databases(&server).await, [other]);
}

async fn listed_databases_are_served() {
    let postgres = shared_postgres().await;
    let other = database_of(postgres, "CREATE TABLE t (id int);").await;
    let server = shop_server_with(&[("POSTGRES_DATABASES", &format!("{SHOP},{other}"))]).await;
    assert_eq!(databases(&server).await, [SHOP, &other]);
}

async fn databases_of_a_file_are_served() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("databases.toml");
    std::fs::write(&file, format!("[databases.again]\ndatabase = \"{SHOP}\"\n")).unwrap();
    let server = shop_server_with(&[("DATABASES_FILE", file.to_str().unwrap())]).await;
    assert_eq!(databases(&server).await, ["again", SHOP]);
}

async fn tools_mean_a_schema() {
    let postgres = shared_postgres().await;
    let sql = "CREATE SCHEMA aside; CREATE TABLE aside.t (id int); GRANT USAGE ON SCHEMA aside TO PUBLIC; GRANT SELECT ON aside.t TO PUBLIC;";
    let name = database_of(postgres, sql).await;
    let options = ServerOptions::new(postgres.reader_url(&name)).with_env("POSTGRES_DEFAULT_SCHEMA", "aside");
    let server = McpServer::start(options).await.unwrap();
    assert_eq!(Client::open(&server).await.call("list_tables", json!({})).await["schema_name"], "aside");
}

async fn connections_of_a_host_are_counted() {
    let env = [("MAX_SERVER_CONNECTIONS", "1"), ("POOL_TIMEOUT_MS", "300")];
    let server = shop_server_with(&env).await;
    let _busy = busy(&server).await;
    assert_eq!(code_of(&server, json!({ "query": "SELECT 1 AS one" })).await, "SERVER_BUSY");
}

async fn only_the_right_one_reaches_the_database(name: &str, wrong: &str) {
    assert_eq!(status(&server_by_parts(&[]).await, "/ready").await, 200, "{name} is right");
    assert_eq!(status(&server_by_parts(&[(name, wrong)]).await, "/ready").await, 503, "{name} is {wrong}");
}

async fn the_authority_is_read_from_its_file() {
    let url = shared_postgres().await.reader_url(SHOP);
    let options = ServerOptions::new(url).with_env("POSTGRES_SSLROOTCERT", "/no/such/authority.pem");
    let said = McpServer::start(options).await.err().expect("there is no such file").to_string();
    assert!(said.contains("POSTGRES_SSLROOTCERT is \"/no/such/authority.pem\""), "{said}");
}

async fn only_the_right_mode_gets_through_a_pooler() {
    let url = shared_postgres().await.reader_url(SHOP);
    let Some(pgbouncer) = PgBouncer::start(&url, 2).await.unwrap() else { return };
    for (mode, expected) in [("pooler", 200), ("direct", 503)] {
        let options = ServerOptions::new(pgbouncer.url()).with_env("POSTGRES_MODE", mode).until(Until::Listening);
        assert_eq!(status(&McpServer::start(options).await.unwrap(), "/ready").await, expected, "{mode}");
    }
}

async fn calls_wait_for_a_connection_only_so_long() {
    let server = shop_server_with(&[("POOL_SIZE", "1"), ("POOL_TIMEOUT_MS", "2500")]).await;
    let _busy = busy(&server).await;
    let error = Client::open(&server).await.error(json!({ "query": "SELECT 1" })).await;
    assert_eq!(error["message"], "all 1 connections to the database stayed busy for 2500 ms");
}

async fn statements_have_their_time(arguments: Value) {
    let server = shop_server_with(&[("STATEMENT_TIMEOUT_MS", "1000"), ("MAX_STATEMENT_TIMEOUT_MS", "1000")]).await;
    assert_eq!(code_of(&server, arguments).await, "QUERY_TIMEOUT");
}

async fn rows_are_capped() {
    let server = shop_server_with(&[("MAX_ROWS", "3")]).await;
    let result = Client::open(&server).await.rows("SELECT id FROM users", json!([])).await;
    assert_eq!((result.row_count, result.truncated), (3, true));
}

async fn pages_are_capped() {
    let server = shop_server_with(&[("MAX_PAGE_BYTES", "2048")]).await;
    let result = Client::open(&server).await.rows("SELECT id, email FROM users", json!([])).await;
    assert!(result.truncated && result.row_count < 100, "{} rows", result.row_count);
}

async fn results_are_capped() {
    let server = shop_server_with(&[("MAX_PAGE_BYTES", "2048"), ("MAX_RESULT_BYTES", "2048")]).await;
    assert_eq!(code_of(&server, json!({ "query": "SELECT repeat('x', 5000)" })).await, "RESULT_TOO_LARGE");
}

async fn all_results_together_are_capped() {
    let settings =
        [("MAX_TOTAL_RESULT_BYTES", "4194304"), ("MAX_RESULT_BYTES", "2097152"), ("POOL_TIMEOUT_MS", "1000")];
    let server = shop_server_with(&settings).await;
    let big = json!({ "query": "SELECT repeat('x', 1900000)" });
    let params = json!({ "name": "run_sql", "arguments": big, "_meta": { "pgmcp/maxPageBytes": 2_097_152, "pgmcp/structuredOnly": true } });
    let mut reading = Client::open(&server).await;
    let mut silent = Vec::new();
    // A busy machine may also be slow to connect to the database.
    while reading.request("tools/call", params.clone()).await["result"]["structuredContent"]["error"]["code"]
        != "SERVER_BUSY"
    {
        let mut client = Client::open(&server).await;
        for _ in 0..8 {
            client.start("tools/call", params.clone()).await;
        }
        silent.push(client);
    }
}

async fn a_catalog_ages() {
    let postgres = shared_postgres().await;
    let database = database_of(postgres, "CREATE TABLE old (id int);").await;
    let options = ServerOptions::new(postgres.reader_url(&database)).with_env("CATALOG_TTL_S", "1");
    let server = McpServer::start(options).await.unwrap();
    let mut superuser = postgres.superuser(&database).await.unwrap();
    let sql = format!("CREATE TABLE young (id int); GRANT SELECT ON young TO {}", harness::postgres::READER);
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut superuser).await.unwrap();
    let read = json!({ "uri": format!("postgres://{database}/catalog") });
    until("the new table is listed", async || {
        let page = Client::open(&server).await.request_text("resources/read", read.clone()).await;
        page.contains("young")
    })
    .await;
}

async fn times_are_shown_in_their_zone() {
    let server = shop_server_with(&[("TIMEZONE", "Asia/Tokyo")]).await;
    let query = "SELECT '2024-01-01T00:00:00Z'::timestamptz::text AS shown";
    let result = Client::open(&server).await.rows(query, json!([])).await;
    assert_eq!(serde_json::to_value(&result.rows).unwrap()[0]["shown"], "2024-01-01 09:00:00+09");
}

async fn it_listens_where_it_is_told() {
    assert!(shop_server_with(&[("WS_HOST", "0.0.0.0")]).await.address.ip().is_unspecified());
}

async fn it_listens_on_its_port() {
    let port = free_port();
    assert_eq!(shop_server_with(&[("WS_PORT", &port.to_string())]).await.address.port(), port);
}

async fn one_without_the_other_is_refused(name: &str) {
    let url = shared_postgres().await.reader_url(SHOP);
    let said =
        McpServer::start(ServerOptions::new(url).with_env(name, "/etc/hosts")).await.err().expect("TLS needs both");
    assert!(said.to_string().contains(&format!("{name} is given and WS_TLS_")), "{said}");
}

async fn no_sessions_are_kept() {
    for (stateless, kept) in [("true", false), ("false", true)] {
        let server = shop_server_with(&[("HTTP_STATELESS", stateless)]).await;
        let mut client = HttpClient::new(&server);
        client.initialize("2025-11-25").await;
        assert_eq!(client.session.is_some(), kept, "HTTP_STATELESS={stateless}");
    }
}

async fn the_key_opens() {
    let server = shop_server_with(&[("WS_API_KEY", KEY)]).await;
    handshake(&server.ws_url(), &[("x-api-key", KEY)]).await.unwrap();
    assert!(handshake(&shop_server().await.ws_url(), &[("x-api-key", KEY)]).await.is_err());
}

async fn the_push_can_be_switched_off() {
    let server = shop_server_with(&[("WS_PUSH_REGISTRY", "false")]).await;
    let mut client = Client::connect(&server).await;
    let id = client.start("ping", json!({})).await;
    assert_eq!(client.receive().await["id"], id);
}

async fn listed_origins_come_in() {
    let page = "https://app.example";
    for (allowed, opens) in [(page, true), ("", false)] {
        let server = shop_server_with(&[("WS_ALLOWED_ORIGINS", allowed)]).await;
        let headers = [("x-api-key", server.api_key()), ("origin", page)];
        assert_eq!(handshake(&server.ws_url(), &headers).await.is_ok(), opens, "{allowed:?}");
    }
}

async fn other_hosts_stay_out() {
    let server = shop_server_with(&[("WS_ALLOWED_HOSTS", "mcp.example")]).await;
    assert!(handshake(&server.ws_url(), &[("x-api-key", server.api_key())]).await.is_err());
}

async fn proxies_are_believed() {
    // Each from an address of its own, if the proxy is believed; else all from one, and too many.
    for (trusted, flooded) in [("127.0.0.0/8", false), ("", true)] {
        let server = shop_server_with(&[("TRUSTED_PROXIES", trusted), ("MAX_CONNECTIONS", "16")]).await;
        let addresses = (0..24).map(|number| format!("192.0.2.{number}"));
        let statuses: Vec<u16> = stream::iter(addresses)
            .map(|address| crate::keys::metrics_with_wrong_key(&server, Some(address)))
            .buffer_unordered(24)
            .collect()
            .await;
        assert_eq!(statuses.contains(&429), flooded, "{trusted:?}: {statuses:?}");
    }
}

async fn metrics_are_for_all() {
    assert_eq!(status(&shop_server_with(&[("METRICS_PUBLIC", "true")]).await, "/metrics").await, 200);
    assert_eq!(status(&shop_server().await, "/metrics").await, 401);
}

async fn a_superuser_is_served() {
    let url = shared_postgres().await.superuser_url(SHOP);
    let server = McpServer::start(ServerOptions::new(&url).with_env("ALLOW_PRIVILEGED_ROLE", "true")).await;
    assert_eq!(status(&server.unwrap(), "/ready").await, 200);
    assert!(McpServer::start(ServerOptions::new(url)).await.is_err());
}

async fn statements_wait_for_their_turn() {
    let server = shop_server_with(&[("MAX_CONCURRENT_QUERIES", "1"), ("POOL_TIMEOUT_MS", "2500")]).await;
    let _busy = busy(&server).await;
    assert_eq!(code_of(&server, json!({ "query": "SELECT 1" })).await, "SERVER_BUSY");
}

async fn calls_are_counted_by_the_minute() {
    let server = shop_server_with(&[("RATE_LIMIT_PER_MINUTE", "2")]).await;
    for code in [Value::Null, Value::Null, json!("RATE_LIMITED")] {
        let (answer, _) = Client::open(&server).await.run(json!({ "query": "SELECT 1" })).await;
        assert_eq!(serde_json::from_str::<Value>(&answer).unwrap()["error"]["code"], code, "{answer}");
    }
}

async fn connections_are_counted() {
    let server = shop_server_with(&[("MAX_CONNECTIONS", "1")]).await;
    let _first = Client::open(&server).await;
    assert!(handshake(&server.ws_url(), &[("x-api-key", server.api_key())]).await.is_err());
}

async fn messages_are_measured() {
    let server = shop_server_with(&[("MAX_MESSAGE_BYTES", "1024")]).await;
    let mut client = Client::open(&server).await;
    client.send_frame(Message::text("x".repeat(2000))).await;
    assert_eq!(client.close_code().await, Some(CloseCode::Size));
}

/// What stands in the audit log after one call.
async fn audited(changed: &[(&str, &str)]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("audit.jsonl");
    let settings = [&[("AUDIT_LOG", file.to_str().unwrap())], changed].concat();
    let mut server = shop_server_with(&settings).await;
    Client::open(&server).await.rows("SELECT 12345", json!([])).await;
    server.terminate().await.unwrap();
    std::fs::read_to_string(&file).unwrap()
}

async fn the_grace_ends() {
    let mut server = shop_server_with(&[("SHUTDOWN_GRACE_MS", "150")]).await;
    let _busy = busy(&server).await;
    assert!(server.terminate().await.unwrap().success());
    assert!(server.logs().contains("calls still run after 150 ms"), "{}", server.logs());
}

async fn the_log_is_for_people() {
    let log = log_of_a_start("LOG_FORMAT", "text").await;
    assert!(log.contains("listening on") && !log.starts_with('{'), "{log}");
}

async fn the_log_tells_less() {
    assert_eq!(log_of_a_start("LOG_LEVEL", "error").await, "");
    assert!(log_of_a_start("LOG_LEVEL", "info").await.contains("listening on"));
}

async fn comments_may_be_judged_too() {
    let server = shop_server_with(&[("GUARD_STRICT_COMMENTS", "true")]).await;
    let error = Client::open(&server).await.error(json!({ "query": "SELECT 1 -- drop it" })).await;
    assert_eq!((&error["code"], &error["context"]["refused"]), (&json!("WRITE_OPERATION_DENIED"), &json!("drop")));
}

async fn values_may_have_to_be_parameters() {
    let server = shop_server_with(&[("REQUIRE_PARAMETERS", "true")]).await;
    let mut client = Client::open(&server).await;
    let error = client.error(json!({ "query": "SELECT id FROM users WHERE id = 1" })).await;
    assert_eq!(
        (&error["code"], &error["context"]["position"]["column"]),
        (&json!("PARAMETER_ERROR"), &json!(33)),
        "{error}"
    );
    assert_eq!(client.rows("SELECT id FROM users WHERE id = $1", json!([1])).await.row_count, 1);
}

async fn a_policy_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.toml");
    std::fs::write(&file, "[default]\ndeny_tables = [\"public.no_such_table\"]\n").unwrap();
    let log = log_of_a_start("POLICY_FILE", file.to_str().unwrap()).await;
    assert!(log.contains("[default] deny_tables: public.no_such_table matches nothing"), "{log}");
}

async fn saved_queries_are_offered() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("last.sql"), "SELECT max(id) AS last FROM users").unwrap();
    let server = shop_server_with(&[("QUERIES_DIR", folder.path().to_str().unwrap())]).await;
    let uri = format!("postgres://{SHOP}/queries/last");
    let answer = Client::open(&server).await.request("resources/read", json!({ "uri": uri })).await;
    assert_eq!(answer["result"]["contents"][0]["text"], "SELECT max(id) AS last FROM users", "{answer}");
}

/// Everything that is logged until the server is ready, which the harness can't read for itself in this form.
async fn log_of_a_start(name: &str, value: &str) -> String {
    let url = shared_postgres().await.reader_url(SHOP);
    let port = free_port();
    let environment = [
        ("DATABASE_URL", url.as_str()),
        ("POSTGRES_DATABASES", SHOP),
        ("WS_HOST", "127.0.0.1"),
        ("WS_PORT", &port.to_string()),
        ("WS_API_KEY", KEY),
        (name, value),
    ];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let mut process = Process::start("mcp-server", &environment).unwrap();
    process.answers(&format!("http://127.0.0.1:{port}/ready")).await.unwrap();
    process.terminate().await.unwrap();
    process.logs()
}
