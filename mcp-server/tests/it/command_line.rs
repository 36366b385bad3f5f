//! The subcommands: statements judged, a policy explained, a role written, the tools listed.

use std::io::Write;
use std::process::{Command, Stdio};

use harness::{ThrowawayPostgres, process::binary, shared_postgres};
use serde_json::{Value, json};

use crate::client::Client;
use crate::{database_of, shop_server};

const SCHEMA: &str = "
    CREATE TABLE people (id int PRIMARY KEY, name text, ssn text, mail text, password_hash text);
    CREATE TABLE payroll (person int REFERENCES people, salary int);
    CREATE SCHEMA sales; CREATE TABLE sales.orders (id int, \"Total\" numeric);";

const POLICY: &str = "[default]\nmask_columns = [\"public.people.mail\"]\ndeny_columns = [\"public.people.ssn\"]\n\
                      deny_tables = [\"public.payrol\"]\n[keys.web]\ndeny_tables = [\"public.payroll\"]\nmax_rows = 9\n";

/// How a run ended and what it printed, on stdout and on stderr.
struct Ended {
    code: Option<i32>,
    out: String,
    err: String,
}

/// Runs the program over a database, with more variables and something on its standard input.
fn run(url: Option<&str>, arguments: &[&str], env: &[(&str, &str)], input: &str) -> Ended {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(binary("mcp-server").unwrap());
    command.env_clear().current_dir(folder.path()).args(arguments).envs(env.iter().copied());
    command.envs(url.map(|url| ("DATABASE_URL", url))).env("POSTGRES_SSLMODE", "disable");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ended { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

async fn database(postgres: &ThrowawayPostgres) -> String {
    database_of(postgres, SCHEMA).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_is_judged_for_people() {
    let postgres = shared_postgres().await;
    let url = postgres.reader_url(&database(postgres).await);
    let check = |sql: &str| run(Some(&url), &["check", sql], &[], "");
    let passed = check("SELECT name, password_hash FROM people");
    assert_eq!((passed.code, passed.out.as_str()), (Some(0), "accepted: reads public.people; shows *** in column 2\n"));
    let refused = check("SELECT name,\n       pg_sleep(1)\nFROM people");
    let shown = "refused: FUNCTION_DENIED: pg_sleep() is not allowed: it makes the server wait (line 2, column 8)\n\
                 2 |        pg_sleep(1)\n  |        ^\nLeave the call out; the rest of the statement may pass.\n";
    assert_eq!((refused.code, refused.out.as_str()), (Some(1), shown));
    let alone = run(None, &["check", "--no-database", "SELECT * FROM anything WHERE lower(x) = 'a'"], &[], "");
    assert_eq!((alone.code, alone.out.as_str()), (Some(0), "accepted: reads anything\n"));
    let nothing = check("SELECT * FROM poeple");
    assert!(nothing.out.contains("TABLE_NOT_FOUND") && nothing.out.contains("Did you mean people?"), "{}", nothing.out);
    let without = run(None, &["check", "SELECT 1"], &[], "");
    assert!(without.code == Some(2) && without.err.contains("POSTGRES_USER"), "{}", without.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_statements_is_judged_line_by_line() {
    let postgres = shared_postgres().await;
    let name = database(postgres).await;
    let url = postgres.superuser_url(&name);
    let lines = [
        json!({ "id": "a", "sql": "SELECT mail FROM people" }),
        json!({ "id": 2, "sql": "SELECT \"Total\" FROM orders", "search_path": "sales, public" }),
        json!({ "id": "c", "sql": "SELECT ssn\nFROM people WHERE upper(nothing) = 'A'" }),
    ];
    let input: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let folder = tempfile::tempdir().unwrap();
    let policy = folder.path().join("policy.toml");
    std::fs::write(&policy, POLICY.split("[keys").next().unwrap()).unwrap();
    let policy = policy.to_str().unwrap();
    let answer = run(Some(&url), &["check", "--file", "-", "--json", "--policy", policy], &[], &input);
    assert_eq!(answer.code, Some(1), "{}", answer.err);
    let verdicts: Vec<Value> = answer.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let facts = |verdict: &Value| (verdict["id"].clone(), verdict["accepted"].clone(), verdict["code"].clone());
    assert_eq!(facts(&verdicts[0]), (json!("a"), json!(true), Value::Null));
    assert_eq!(verdicts[0]["masked"], json!([1]));
    assert_eq!(facts(&verdicts[1]), (json!(2), json!(true), Value::Null));
    assert_eq!(facts(&verdicts[2]), (json!("c"), json!(false), json!("COLUMN_NOT_FOUND")));
    assert_eq!((&verdicts[2]["line"], &verdicts[2]["column"]), (&json!(1), &json!(8)));
    let counted = run(Some(&url), &["check", "--file", "-"], &[], &input);
    assert!(counted.out.ends_with("\n2 accepted, 1 refused\n"), "{}", counted.out);
    let bad = run(Some(&url), &["check", "--file", "-"], &[], "{\"id\": 1}\n");
    assert!(bad.code == Some(2) && bad.err.contains("line 1 of -"), "{}", bad.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_says_what_each_key_sees() {
    let postgres = shared_postgres().await;
    let name = database(postgres).await;
    let url = postgres.superuser_url(&name);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.toml");
    std::fs::write(&file, POLICY).unwrap();
    let keys = [("WS_API_KEY", "web:web-key-of-22-characters,ops:ops-key-of-22-characters")];
    let said = run(Some(&url), &["policy", "check", file.to_str().unwrap()], &keys, "");
    assert_eq!(said.code, Some(0), "{}", said.err);
    let expected = format!(
        "The policy is sound.\n\
         Warning: [default] deny_tables: public.payrol matches nothing in the database.\n\
         \nKey ops on {name}:\n  tables (3): public.payroll, public.people, sales.orders\n  hidden tables: none\n  \
         hidden columns (1): public.people.ssn\n  masked columns (2): public.people.mail, public.people.password_hash\n\
         \nKey web on {name}:\n  tables (2): public.people, sales.orders\n  hidden tables (1): public.payroll\n  \
         hidden columns (1): public.people.ssn\n  masked columns (2): public.people.mail, public.people.password_hash\n  \
         limits: max_rows = 9\n"
    );
    assert_eq!(said.out, expected);
    std::fs::write(&file, "[keys.wbe]\n").unwrap();
    let bad = run(Some(&url), &["policy", "check", file.to_str().unwrap()], &keys, "");
    assert!(bad.code == Some(2) && bad.err.contains("there is no key wbe; there is ops, stdio, web"), "{}", bad.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_role_that_is_written_may_read_what_the_keys_see_and_no_more() {
    let postgres = shared_postgres().await;
    let name = database(postgres).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.toml");
    std::fs::write(&file, POLICY).unwrap();
    let keys = [("WS_API_KEY", "web:web-key-of-22-characters"), ("POLICY_FILE", file.to_str().unwrap())];
    let said = run(Some(&postgres.superuser_url(&name)), &["role-sql", "--role", "narrow_reader"], &keys, "");
    assert_eq!(said.code, Some(0), "{}", said.err);
    let mut superuser = postgres.superuser(&name).await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(said.out.clone())).execute(&mut superuser).await.unwrap();
    sqlx::raw_sql("SET ROLE narrow_reader").execute(&mut superuser).await.unwrap();
    let mut may = async |sql: &'static str| sqlx::raw_sql(sql).execute(&mut superuser).await.is_ok();
    assert!(may("SELECT id, name, mail, password_hash FROM people").await, "{}", said.out);
    assert!(may("SELECT \"Total\" FROM sales.orders").await);
    assert!(!may("SELECT ssn FROM people").await && !may("SELECT * FROM people").await);
    assert!(!may("SELECT salary FROM payroll").await);
    assert!(!may("CREATE TABLE sales.x (id int)").await && !may("DELETE FROM people").await);
    // Written and run again under a narrower policy, it takes away what is hidden now.
    std::fs::write(&file, format!("{POLICY}\n[databases.{name}]\ndeny_tables = [\"sales.*\"]\n")).unwrap();
    let narrower = run(Some(&postgres.superuser_url(&name)), &["role-sql", "--role", "narrow_reader"], &keys, "");
    sqlx::raw_sql("RESET ROLE").execute(&mut superuser).await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(narrower.out.clone())).execute(&mut superuser).await.unwrap();
    sqlx::raw_sql("SET ROLE narrow_reader").execute(&mut superuser).await.unwrap();
    let mut may = async |sql: &'static str| sqlx::raw_sql(sql).execute(&mut superuser).await.is_ok();
    assert!(may("SELECT id, name FROM people").await && !may("SELECT * FROM sales.orders").await, "{}", narrower.out);
    sqlx::raw_sql("RESET ROLE; DROP OWNED BY narrow_reader; DROP ROLE narrow_reader")
        .execute(&mut superuser)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_is_judged_for_somebody_there_is() {
    let postgres = shared_postgres().await;
    let name = database(postgres).await;
    let url = postgres.superuser_url(&name);
    let keys = [("WS_API_KEY", "web:web-key-of-22-characters,ops:ops-key-of-22-characters")];
    let check = |arguments: &[&str]| run(Some(&url), &[&["check", "SELECT 1"], arguments].concat(), &keys, "");
    assert_eq!(check(&[]).code, Some(0));
    for (arguments, words) in [
        (&["--key", "wbe"][..], "there is no key wbe in WS_API_KEY; there is"),
        (&["--key", "ops", "--subject", "alice"], "the key ops may not act for others"),
        (&["--no-database", "--policy", "policy.toml"], "cannot be used with"),
    ] {
        let said = check(arguments);
        assert!(said.code != Some(0) && said.err.contains(words), "{arguments:?}: {}", said.err);
    }
    let none = run(Some(&url), &["policy", "check"], &keys, "");
    assert!(none.out.starts_with("There is no policy file:"), "{}", none.out);
}

#[tokio::test]
async fn the_tools_are_listed_as_clients_see_them() {
    let server = shop_server().await;
    let listed = Client::open(&server).await.request("tools/list", json!({})).await;
    // It wants no settings, not even a database.
    let json = run(None, &["tools", "--json"], &[], "");
    assert_eq!(serde_json::from_str::<Value>(&json.out).unwrap()["tools"], listed["result"]["tools"]);
    let short = run(None, &["tools"], &[], "");
    assert!(
        short.code == Some(0) && short.out.contains("run_sql\n    Run one read-only SQL statement"),
        "{}",
        short.out
    );
    let document = run(None, &["tools", "--markdown"], &[], "");
    let kept = std::fs::read_to_string(harness::repository_file("docs/tools.md")).unwrap();
    assert_eq!(document.out, kept, "docs/tools.md is stale: run `make generate`");
}
