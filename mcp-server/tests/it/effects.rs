//! The guard's own corpus end to end: through the real program over WebSocket, as a role that may only read and as a
//! superuser. Attacks end in an error and leave nothing that a second session could find; honest statements give rows.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use harness::{McpServer, ServerOptions, ThrowawayPostgres, random_secret, shared_postgres};
use serde_json::{Value, json};
use shared_protocol::tool::run_sql::RunSqlOutput;
use sqlx::postgres::PgListener;
use sqlx::{AssertSqlSafe, PgConnection, Row};

use crate::client::Client;
use crate::rows::{Installation, is_expected, statement};

/// The role that `schema.sql` makes.
const READER: &str = "guard_reader";

/// How long statements may run that never end.
const SHORT_TIMEOUT_MS: u64 = 200;

/// What a session of the server looks like to a statement that may ask for settings.
const SETTINGS: &str = "SELECT current_setting('search_path') AS path, current_setting('app.tenant', true) AS tenant, \
     current_setting('TimeZone') AS zone, current_setting('transaction_read_only') AS read_only, \
     current_setting('statement_timeout') AS timeout, current_setting('role') AS role";

/// The key of a caller who may ask for settings.
const WATCHER: &str = "watcher";

/// Everything outside the tables that a statement could leave behind, for a second session.
const OBJECTS: &str = "
    SELECT 'sequences' AS what, (SELECT string_agg(sequencename || '=' || coalesce(last_value, 0), ' ' ORDER BY sequencename) FROM pg_sequences) AS state
    UNION ALL SELECT 'large objects', (SELECT md5(string_agg(loid || data::text, ' ' ORDER BY loid, pageno)) FROM pg_largeobject)
    UNION ALL SELECT 'roles', (SELECT md5(string_agg(r::text, ' ' ORDER BY r::text)) FROM pg_roles AS r WHERE rolname IN ('postgres', 'guard_reader', 'pgmcp_reader'))
    UNION ALL SELECT 'settings', (SELECT string_agg(s::text, ' ' ORDER BY s::text) FROM pg_db_role_setting AS s
        WHERE setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
        AND (setrole = 0 OR setrole::regrole::text IN ('postgres', 'guard_reader', 'pgmcp_reader')))
    UNION ALL SELECT 'relations', (SELECT md5(string_agg(oid || relname || relacl::text, ' ' ORDER BY oid)) FROM pg_class)
    UNION ALL SELECT 'functions', (SELECT md5(string_agg(oid || proname, ' ' ORDER BY oid)) FROM pg_proc)
    UNION ALL SELECT 'schemas', (SELECT string_agg(nspname, ' ' ORDER BY nspname) FROM pg_namespace)
    UNION ALL SELECT 'locks', (SELECT string_agg(objid::text, ' ') FROM pg_locks WHERE locktype = 'advisory'
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))
    UNION ALL SELECT 'prepared', (SELECT string_agg(gid, ' ') FROM pg_prepared_xacts)";

/// A file of the corpus without what can't run here.
fn runnable(installation: &Installation, file: &str) -> Vec<Value> {
    let (mut rows, mut left_out) = installation.rows(file);
    left_out += rows.iter().filter(|row| !installation.knows(row)).count();
    rows.retain(|row| installation.knows(row));
    println!("{file}: {} run, {left_out} are left out for what this PostgreSQL hasn't", rows.len());
    rows
}

/// What stands on the search_path of a row's session.
fn search_path(row: &Value) -> &str {
    row["search_path"].as_str().unwrap_or("public")
}

fn on<'r>(rows: &'r [Value], path: &str) -> Vec<&'r Value> {
    rows.iter().filter(|row| search_path(row) == path).collect()
}

/// The policies of all rows, each with the key that it is for.
struct Policies(Vec<(Value, String)>);

impl Policies {
    fn of(rows: &[&Value]) -> Self {
        let distinct: BTreeMap<String, Value> =
            rows.iter().map(|row| (row["policy"].to_string(), row["policy"].clone())).collect();
        Self(distinct.into_values().map(|policy| (policy, random_secret())).collect())
    }

    fn key(&self, row: &Value) -> &str {
        &self.0.iter().find(|(policy, _)| *policy == row["policy"]).expect("every row was looked at").1
    }

    /// The keys as WS_API_KEY takes them.
    fn keys(&self, watcher: &str) -> String {
        let mut keys = format!("{WATCHER}:{watcher}");
        for (number, (_, key)) in self.0.iter().enumerate() {
            write!(keys, ",p{number}:{key}").unwrap();
        }
        keys
    }

    /// The policy file: a section for each key.
    fn file(&self) -> String {
        let mut file = format!("[keys.{WATCHER}]\nallow_functions = [\"pg_catalog.current_setting\"]\n");
        for (number, (policy, _)) in self.0.iter().enumerate() {
            writeln!(file, "[keys.p{number}]").unwrap();
            for (name, list) in policy.as_object().into_iter().flatten() {
                // Lists of strings are written alike in JSON and TOML.
                writeln!(file, "{name} = {list}").unwrap();
            }
        }
        file
    }
}

/// A server over one database as one role, and a second session that looks for what its statements leave behind.
struct Scene {
    role: &'static str,
    server: McpServer,
    /// By their keys, and when each was last heard.
    clients: BTreeMap<String, (Client, Instant)>,
    watcher: String,
    settings: String,
    second: PgConnection,
    listener: PgListener,
    tables: String,
    state: BTreeMap<String, String>,
    _policy: tempfile::TempDir,
}

impl Scene {
    async fn new(postgres: &ThrowawayPostgres, role: &'static str, database: &str, policies: &Policies) -> Self {
        let url = match role {
            "superuser" => postgres.superuser_url(database),
            _ => format!("postgres://{READER}:p@127.0.0.1:{}/{database}?sslmode=disable", postgres.port()),
        };
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("policy.toml");
        std::fs::write(&file, policies.file()).unwrap();
        let watcher = random_secret();
        let options = ServerOptions { api_key: policies.keys(&watcher), ..ServerOptions::new(url) }
            .with_env("POLICY_FILE", file.display().to_string())
            .with_env("ALLOW_PRIVILEGED_ROLE", "true")
            .with_env("RATE_LIMIT_PER_MINUTE", "0")
            // Every statement runs on the connection of the one before.
            .with_env("POOL_SIZE", "1");
        let server = McpServer::start(options).await.unwrap();
        let mut second = postgres.superuser(database).await.unwrap();
        // What it calls must be PostgreSQL's own, whatever the database's search_path is.
        sqlx::raw_sql("SET search_path = pg_catalog").execute(&mut second).await.unwrap();
        let mut listener = PgListener::connect(&postgres.superuser_url(database)).await.unwrap();
        listener.listen("guard_channel").await.unwrap();
        let tables = sqlx::query_scalar(
            "SELECT string_agg(format('SELECT %L AS what, (SELECT md5(string_agg(t::text, '','' ORDER BY t::text)) FROM %s AS t) AS state', \
             oid::regclass, oid::regclass), ' UNION ALL ') FROM pg_class WHERE relkind IN ('r', 'm') \
             AND relnamespace::regnamespace::text !~ '^(pg_|information_schema)'",
        );
        let tables = tables.fetch_one(&mut second).await.unwrap();
        let settings = settings(&server, &watcher).await;
        let (clients, state) = (BTreeMap::new(), BTreeMap::new());
        let mut scene =
            Self { role, server, clients, watcher, settings, second, listener, tables, state, _policy: folder };
        scene.state = scene.look().await;
        scene
    }

    /// What a second session sees of the database.
    async fn look(&mut self) -> BTreeMap<String, String> {
        let sql = format!("{} UNION ALL {OBJECTS}", self.tables);
        let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(&mut self.second).await.unwrap();
        rows.iter().map(|row| (row.get(0), row.get::<Option<String>, _>(1).unwrap_or_default())).collect()
    }

    /// What the statements since the last look have left behind, if anything.
    async fn effects(&mut self, of: &str) -> Vec<String> {
        let mut found = Vec::new();
        let now = self.look().await;
        for (what, state) in &now {
            if self.state.get(what) != Some(state) {
                found.push(format!("{of} as {}: {what} were {:?} and are {state:?}", self.role, self.state.get(what)));
            }
        }
        self.state = now;
        let settings = settings(&self.server, &self.watcher).await;
        if settings != self.settings {
            found.push(format!("{of} as {}: the session had {} and has {settings}", self.role, self.settings));
        }
        while let Ok(notification) = tokio::time::timeout(Duration::from_millis(5), self.listener.recv()).await {
            found.push(format!("{of} as {}: {notification:?}", self.role));
        }
        found
    }

    /// The answer to a statement under the policy of that key: its content, and whether that is an error.
    async fn run(&mut self, key: &str, arguments: Value) -> (Value, bool) {
        // A client that says nothing for a minute is let go, and where the machine is slow the next of a policy comes after that.
        self.clients.retain(|_, (_, last)| last.elapsed() < Duration::from_secs(20));
        if !self.clients.contains_key(key) {
            let client = Client::open_with_key(&self.server, key).await;
            self.clients.insert(key.to_owned(), (client, Instant::now()));
        }
        let (client, last) = self.clients.get_mut(key).unwrap();
        let (content, is_error) = client.run(arguments).await;
        *last = Instant::now();
        (serde_json::from_str(&content).unwrap(), is_error)
    }
}

/// What the session of the next statement looks like; an error says so, where the server serves no such session.
async fn settings(server: &McpServer, watcher: &str) -> String {
    let (content, _) = Client::open_with_key(server, watcher).await.run(json!({ "query": SETTINGS })).await;
    let answer: Value = serde_json::from_str(&content).unwrap();
    format!("{}{}", answer["rows"], answer["error"])
}

/// How many statements of each category ended how.
#[derive(Default)]
struct Counts(BTreeMap<String, BTreeMap<&'static str, usize>>);

impl Counts {
    fn add(&mut self, row: &Value, end: &'static str) {
        *self.0.entry(row["category"].as_str().unwrap().to_owned()).or_default().entry(end).or_default() += 1;
    }

    fn print(&self, title: &str) {
        let mut all = BTreeMap::new();
        for (end, count) in self.0.values().flatten() {
            *all.entry(*end).or_default() += count;
        }
        println!("{title}: {}; by category:", told(&all));
        for (category, ends) in &self.0 {
            println!("  {category}: {}", told(ends));
        }
    }
}

fn told(ends: &BTreeMap<&str, usize>) -> String {
    let ends: Vec<String> = ends.iter().map(|(end, count)| format!("{count} {end}")).collect();
    ends.join(", ")
}

/// The output positions, from 1, that are masked.
fn masked(answer: &Value) -> Value {
    let output: RunSqlOutput = serde_json::from_value(answer.clone()).unwrap();
    let columns = output.columns.iter().enumerate();
    columns.filter(|(_, column)| column.masked).map(|(at, _)| at + 1).collect::<Vec<_>>().into()
}

/// Whether an attack may end with this code. A limit ends what only takes too much, whichever is met first; PostgreSQL itself
/// refuses what is harmless.
fn is_right(row: &Value, code: &str) -> bool {
    let by_a_limit = row["wall"] == 4 && ["QUERY_TIMEOUT", "RESULT_TOO_LARGE"].contains(&code);
    let by_postgresql = row.get("harmless_on").is_some() && code == "EXECUTION_ERROR";
    is_expected(row, code) || by_a_limit || by_postgresql
}

async fn attack(scene: &mut Scene, row: &Value, key: &str, counts: &mut Counts) -> Option<String> {
    let mut arguments = json!({ "query": statement(row) });
    if row["wall"] == 4 {
        arguments["timeoutMs"] = SHORT_TIMEOUT_MS.into();
    }
    let (answer, is_error) = scene.run(key, arguments).await;
    let id = row["id"].as_str().unwrap();
    if is_error {
        let code = answer["error"]["code"].as_str().unwrap();
        counts.add(row, "refused");
        return (!is_right(row, code)).then(|| {
            let message = &answer["error"]["message"];
            format!("{id} as {} isn't to be {code}: {message:.200}: {:.200}", scene.role, statement(row))
        });
    }
    if row["wall"] == 4 && answer["truncated"] == true {
        counts.add(row, "cut short");
        return None;
    }
    if row.get("or_masked").is_some_and(|places| *places == masked(&answer)) {
        counts.add(row, "masked");
        return None;
    }
    counts.add(row, "answered");
    Some(format!("{id} as {} is answered: {:.300}: {:.300}", scene.role, statement(row), answer.to_string()))
}

async fn honest(scene: &mut Scene, row: &Value, key: &str, counts: &mut Counts) -> Option<String> {
    let params = row.get("params").cloned().unwrap_or_else(|| json!([]));
    let sql = statement(row);
    let (mut answer, mut is_error) = scene.run(key, json!({ "query": sql, "params": params })).await;
    if answer["error"]["code"] == "PARAMETER_ERROR" {
        // The corpus has values as text, which the error says how to send.
        let sql = sql.replace("$1::", "$1::text::");
        (answer, is_error) = scene.run(key, json!({ "query": sql, "params": params })).await;
    }
    counts.add(row, if is_error { "refused" } else { "answered" });
    let id = row["id"].as_str().unwrap();
    if is_error {
        return Some(format!("{id} as {}: {:.300}: {:.600}", scene.role, statement(row), answer.to_string()));
    }
    let expected = row.get("masked").cloned().unwrap_or_else(|| json!([]));
    (masked(&answer) != expected).then(|| format!("{id} as {} masks {}, not {expected}", scene.role, masked(&answer)))
}

/// How all rows ended as one role, and what went wrong.
#[derive(Default)]
struct Ends {
    attacks: Counts,
    honests: Counts,
    failures: Vec<String>,
}

/// All rows of one search_path as one role.
async fn play(role: &'static str, database: &str, attacks: &[&Value], honests: &[&Value], ends: &mut Ends) {
    let policies = Policies::of(&[attacks, honests].concat());
    let mut scene = Scene::new(shared_postgres().await, role, database, &policies).await;
    let Ends { attacks: refusals, honests: answers, failures } = ends;
    let mut category = "";
    for row in attacks {
        if row["category"] != category {
            failures.extend(scene.effects(category).await);
            category = row["category"].as_str().unwrap();
        }
        failures.extend(attack(&mut scene, row, policies.key(row), refusals).await);
    }
    failures.extend(scene.effects(category).await);
    for row in honests {
        failures.extend(honest(&mut scene, row, policies.key(row), answers).await);
    }
    failures.extend(scene.effects("honest statements").await);
}

#[tokio::test]
async fn no_attack_has_an_effect_and_honest_statements_give_rows() {
    let postgres = shared_postgres().await;
    let installation = Installation::of(postgres).await;
    let schema = installation.schema();
    let schema: Vec<&Path> = schema.iter().map(PathBuf::as_path).collect();
    let (attacks, honests) = (runnable(&installation, "attacks.jsonl"), runnable(&installation, "honest.jsonl"));
    let paths: BTreeSet<&str> = attacks.iter().chain(&honests).map(search_path).collect();
    let (mut by_reader, mut by_superuser) = (Ends::default(), Ends::default());
    for (number, path) in paths.into_iter().enumerate() {
        let (attacks, honests) = (on(&attacks, path), on(&honests, path));
        let as_role = async |role: &'static str, ends: &mut Ends| {
            let database = format!("effects_{number}_{role}");
            postgres.create_database(&database, &schema).await.unwrap();
            let password = if role == "reader" { format!("ALTER ROLE {READER} PASSWORD 'p'") } else { String::new() };
            let sql = format!("ALTER DATABASE {database} SET search_path = {path}; {password}");
            let mut superuser = postgres.superuser(&database).await.unwrap();
            sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut superuser).await.unwrap();
            play(role, &database, &attacks, &honests, ends).await;
        };
        // One after the other they would take twice as long.
        tokio::join!(as_role("reader", &mut by_reader), as_role("superuser", &mut by_superuser));
    }
    for (role, ends) in [("reader", &by_reader), ("superuser", &by_superuser)] {
        ends.attacks.print(&format!("attacks as {role}"));
        ends.honests.print(&format!("honest statements as {role}"));
    }
    let failures = [by_reader.failures, by_superuser.failures].concat();
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}
