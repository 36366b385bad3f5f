//! Ways around a policy that lead through the database's own objects: views that the role can't read, functions behind functions,
//! rows of tables within columns, and code that no statement names.

use harness::postgres::READER;
use harness::{McpServer, ServerOptions, shared_postgres};
use serde_json::json;
use sqlx::AssertSqlSafe;
use tempfile::TempDir;

use crate::client::Client;
use crate::database_of;

/// What nobody may see holds the word SECRET. `closed` is a schema that the role may not read.
const SCHEMA: &str = r#"
    CREATE SCHEMA closed;
    CREATE SCHEMA side;
    CREATE TABLE vault (id int PRIMARY KEY, content text);
    INSERT INTO vault VALUES (1, 'SECRET of the vault');
    CREATE TABLE people (id int PRIMARY KEY, name text, ssn text);
    INSERT INTO people VALUES (1, 'Ada', 'SECRET number');

    -- Views over what the role may not read itself.
    CREATE VIEW closed.middle AS SELECT id, content FROM vault;
    CREATE VIEW over_middle AS SELECT id, content AS shown FROM closed.middle;
    CREATE MATERIALIZED VIEW closed.kept AS SELECT id, content FROM vault;
    CREATE VIEW over_kept AS SELECT content AS shown FROM closed.kept;
    CREATE VIEW closed.numbers AS SELECT id, ssn AS number FROM people;
    CREATE VIEW over_numbers AS SELECT id, number FROM closed.numbers;
    CREATE FUNCTION reads_middle() RETURNS TABLE (shown text) LANGUAGE sql STABLE AS 'SELECT shown FROM over_middle';

    -- Partitions and children of what the role may not read.
    CREATE TABLE top (id int, kind text, token text) PARTITION BY LIST (kind);
    CREATE TABLE closed.branch PARTITION OF top FOR VALUES IN ('a') PARTITION BY LIST (kind);
    CREATE TABLE leaf PARTITION OF closed.branch FOR VALUES IN ('a');
    INSERT INTO top VALUES (1, 'a', 'SECRET token');
    CREATE TABLE closed.parent (id int, token text);
    CREATE TABLE child () INHERITS (closed.parent);
    INSERT INTO child VALUES (1, 'SECRET of the child');

    -- Functions behind functions, operators, casts and settings.
    CREATE FUNCTION look_up(i int) RETURNS text LANGUAGE sql STABLE AS 'SELECT content FROM vault WHERE id = i';
    CREATE FUNCTION look_up_for(i int) RETURNS text LANGUAGE sql STABLE AS 'SELECT look_up(i)';
    CREATE VIEW called AS SELECT look_up_for(1) AS shown;
    CREATE FUNCTION join_up(state text, i int) RETURNS text LANGUAGE sql STABLE AS 'SELECT concat(state, look_up(i))';
    CREATE AGGREGATE joined_up(int) (SFUNC = join_up, STYPE = text);
    CREATE VIEW aggregated AS SELECT joined_up(id) AS shown FROM people;
    CREATE FUNCTION look_up_both(i int, j int) RETURNS text LANGUAGE sql STABLE AS 'SELECT look_up(i)';
    CREATE OPERATOR side.<~~> (LEFTARG = int, RIGHTARG = int, FUNCTION = look_up_both);
    CREATE FUNCTION by_operator(i int) RETURNS text LANGUAGE sql STABLE AS 'SELECT i OPERATOR(side.<~~>) 1';
    CREATE FUNCTION by_operator_at_once(i int) RETURNS text LANGUAGE sql STABLE BEGIN ATOMIC SELECT i OPERATOR(side.<~~>) 1; END;
    CREATE VIEW operated AS SELECT by_operator(1) AS shown;
    CREATE TYPE side.box AS (value text);
    CREATE FUNCTION boxed(i int) RETURNS side.box LANGUAGE sql STABLE AS 'SELECT ROW(look_up(i))::side.box';
    CREATE CAST (int AS side.box) WITH FUNCTION boxed(int);
    CREATE FUNCTION by_cast(i int) RETURNS text LANGUAGE sql STABLE AS 'SELECT (i::side.box).value';
    CREATE FUNCTION closed.helper() RETURNS text LANGUAGE sql STABLE AS 'SELECT content FROM public.vault';
    CREATE FUNCTION by_path() RETURNS text LANGUAGE sql STABLE SET search_path = closed AS 'SELECT helper()';
    CREATE FUNCTION by_default(i text DEFAULT 1 OPERATOR(side.<~~>) 1) RETURNS text LANGUAGE sql STABLE AS 'SELECT i';
    CREATE FUNCTION by_comment() RETURNS text LANGUAGE sql STABLE AS 'SELECT look_up/* */(1)';
    CREATE FUNCTION of_person(p people) RETURNS text LANGUAGE sql STABLE AS 'SELECT content FROM vault';
    CREATE FUNCTION by_attribute() RETURNS text LANGUAGE sql STABLE AS 'SELECT p.of_person FROM people AS p';
    CREATE FUNCTION "look up"() RETURNS text LANGUAGE sql STABLE AS 'SELECT content FROM vault';
    CREATE FUNCTION by_odd_name() RETURNS text LANGUAGE sql STABLE AS 'SELECT "look up"()';
    CREATE FUNCTION by_escapes() RETURNS text LANGUAGE sql STABLE AS 'SELECT content FROM U&"v\0061ult"';
    CREATE TABLE "-" (id int, content text);
    INSERT INTO "-" VALUES (1, 'SECRET dash');
    CREATE FUNCTION by_dash() RETURNS text LANGUAGE sql STABLE AS 'SELECT content FROM "-"';

    -- Rows of restricted tables within others' columns.
    CREATE DOMAIN one_of_people AS people;
    CREATE TYPE holder AS (inner_row people);
    CREATE TABLE copies (id int, person people, many people[], of_domain one_of_people, held holder, kept vault);
    INSERT INTO copies SELECT 1, p, ARRAY[p], p::one_of_people, ROW(p)::holder, v FROM people AS p, vault AS v;
    CREATE FUNCTION held() RETURNS holder LANGUAGE sql STABLE AS 'SELECT held FROM copies';

    -- Whole rows without a star, of a table with a column that is called like a secret.
    CREATE TABLE logins (id int, name text, password_hash text);
    INSERT INTO logins VALUES (1, 'ada', 'SECRET hash');
    CREATE FUNCTION login_json(i int) RETURNS json LANGUAGE sql STABLE AS 'SELECT to_json(l) FROM logins l WHERE id = i';
    CREATE FUNCTION login_alias() RETURNS text LANGUAGE sql STABLE AS 'SELECT c FROM logins AS l(a, b, c)';
    CREATE FUNCTION login_table() RETURNS TABLE (a int, b text, c text) LANGUAGE plpgsql STABLE AS
        'BEGIN RETURN QUERY TABLE logins; END';
    CREATE VIEW login_xml AS SELECT query_to_xml('select l from logins l', true, true, '')::text AS shown;
    CREATE FUNCTION login_name(i int) RETURNS text LANGUAGE sql STABLE AS 'SELECT name FROM logins WHERE id = i';

    -- The system's own word on what is hidden.
    CREATE FUNCTION values_of(t text) RETURNS text LANGUAGE sql STABLE AS
        'SELECT most_common_vals::text FROM pg_stats WHERE tablename = t LIMIT 1';
    CREATE VIEW statistics_of AS SELECT tablename, most_common_vals::text FROM pg_stats;
    CREATE VIEW names_of AS SELECT table_name FROM information_schema.tables;
    CREATE VIEW put_together AS SELECT query_to_xml(format('select * from %s', 'va' || 'ult'), true, true, '')::text AS shown;

    SET check_function_bodies = off;
    CREATE FUNCTION inner_path() RETURNS text LANGUAGE sql STABLE AS 'SELECT helper()';
    CREATE FUNCTION outer_path() RETURNS text LANGUAGE sql STABLE SET search_path = closed AS 'SELECT public.inner_path()';
    CREATE TABLE 🔒 (content text);
    INSERT INTO 🔒 VALUES ('SECRET key');
    CREATE FUNCTION by_symbol() RETURNS text LANGUAGE sql STABLE AS 'SELECT content FROM 🔒';
    CREATE TABLE first_parent (id int, token text);
    CREATE TABLE second_parent (id int, token text);
    CREATE TABLE of_both () INHERITS (first_parent, second_parent);
    INSERT INTO of_both VALUES (1, 'SECRET of both');
    CREATE FUNCTION ctid(anyelement) RETURNS text LANGUAGE sql STABLE AS 'SELECT $1::text';

    -- A comment that speaks of a view which reads what the function is behind.
    CREATE TABLE sales (region text, amount numeric);
    INSERT INTO sales VALUES ('north', 100);
    CREATE FUNCTION tax(a numeric) RETURNS numeric LANGUAGE sql STABLE AS '-- used by sales_report
        SELECT round(a * 0.19, 2)';
    CREATE VIEW sales_taxed AS SELECT region, tax(amount) AS tax FROM sales;
    CREATE VIEW sales_report AS SELECT region, sum(tax) AS tax FROM sales_taxed GROUP BY region;
    CREATE INDEX flagged ON people ((ssn = 'SECRET number'));
    CREATE FUNCTION finds(t text) RETURNS text LANGUAGE sql STABLE AS 'SELECT t::regclass::text';

    CREATE TABLE numbered_by (id int DEFAULT length('vault_numbers'), name text);
    CREATE VIEW numbered AS SELECT id, ssn AS number FROM people;
    CREATE VIEW counted AS SELECT max(ssn) AS number FROM people;
    CREATE VIEW named AS SELECT content FROM vault;
    CREATE FUNCTION harmless(i int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT i * 2 -- twice';
"#;

const POLICY: &str = r#"
    [default]
    deny_tables = ["public.vault", "public.-", "public.🔒"]
    mask_columns = ["public.people.ssn", "public.top.token", "closed.parent.token", "public.first_parent.token"]
    [keys.many]
    allow_tables = ["public.*", "closed.*"]
    [keys.one]
    allow_tables = ["public.*", "public.named", "public.numbered", "public.counted"]
"#;

const MANY: &str = "many-key-of-22-characters";
const ONE: &str = "one-key-of-22-characters.";

/// A server under the policy, whose role may read nothing in `closed`.
async fn stage() -> (McpServer, TempDir) {
    let postgres = shared_postgres().await;
    let database = database_of(postgres, SCHEMA).await;
    let mut superuser = postgres.superuser(&database).await.unwrap();
    let revoke = format!("REVOKE SELECT ON ALL TABLES IN SCHEMA closed FROM {READER}");
    sqlx::raw_sql(AssertSqlSafe(revoke)).execute(&mut superuser).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.toml");
    std::fs::write(&file, POLICY).unwrap();
    let options = ServerOptions::new(postgres.reader_url(&database))
        .with_env("WS_API_KEY", format!("many:{MANY},one:{ONE}"))
        .with_env("POLICY_FILE", file.to_str().unwrap());
    (McpServer::start(options).await.unwrap(), folder)
}

#[tokio::test]
async fn what_is_hidden_stays_hidden_whatever_leads_there() {
    let (server, _folder) = stage().await;
    let mut client = Client::open_with_key(&server, MANY).await;
    for statement in [
        "SELECT * FROM over_middle",
        "SELECT * FROM over_kept",
        "SELECT number || '' FROM over_numbers",
        "SELECT * FROM over_numbers",
        "SELECT * FROM reads_middle()",
        "SELECT token || '' FROM leaf",
        "SELECT * FROM leaf",
        "SELECT * FROM top",
        "SELECT token || '' FROM child",
        "SELECT * FROM called",
        "SELECT * FROM aggregated",
        "SELECT * FROM operated",
        "SELECT look_up_for(1)",
        "SELECT by_operator(1)",
        "SELECT by_operator_at_once(1)",
        "SELECT by_cast(1)",
        "SELECT by_path()",
        "SELECT by_default()",
        "SELECT by_comment()",
        "SELECT by_attribute()",
        "SELECT by_odd_name()",
        "SELECT by_escapes()",
        "SELECT by_dash()",
        "SELECT * FROM named",
        "SELECT person FROM copies",
        "SELECT person::text FROM copies",
        "SELECT (person).ssn FROM copies",
        "SELECT many FROM copies",
        "SELECT of_domain FROM copies",
        "SELECT held FROM copies",
        "SELECT to_json(held) FROM copies",
        "SELECT kept FROM copies",
        "SELECT id, person, many FROM copies",
        "SELECT held()",
        "TABLE copies",
        "SELECT login_json(1)",
        "SELECT login_alias()",
        "SELECT * FROM login_table()",
        "SELECT * FROM login_xml",
        "SELECT values_of('people')",
        "SELECT * FROM statistics_of",
        "SELECT * FROM put_together",
        "SELECT outer_path()",
        "SELECT by_symbol()",
        "SELECT token || '' FROM second_parent",
        "SELECT v.ctid FROM (SELECT * FROM people) AS v",
    ] {
        let (content, _) = client.run(json!({ "query": statement })).await;
        assert!(!content.contains("SECRET"), "{statement}: {content}");
    }
    for (statement, code) in [
        ("SELECT values_of('people')", "FUNCTION_DENIED"),
        ("SELECT finds('vault')", "FUNCTION_DENIED"),
        ("SELECT * FROM statistics_of", "TABLE_NOT_FOUND"),
        ("SELECT * FROM names_of", "TABLE_NOT_FOUND"),
    ] {
        assert_eq!(client.error(json!({ "query": statement })).await["code"], code, "{statement}");
    }
    assert_eq!(client.rows("SELECT harmless(id) FROM copies", json!([])).await.rows.get(), r#"[{"harmless":2}]"#);
    assert_eq!(client.rows("SELECT login_name(1)", json!([])).await.rows.get(), r#"[{"login_name":"ada"}]"#);
    assert_eq!(client.rows("SELECT person FROM copies", json!([])).await.rows.get(), r#"[{"person":"***"}]"#);
    assert_eq!(
        client.rows("SELECT * FROM sales_report", json!([])).await.rows.get(),
        r#"[{"region":"north","tax":19.00}]"#
    );
    // The policy that names the very view lets it show what is hidden, not what is masked.
    let mut client = Client::open_with_key(&server, ONE).await;
    let rows = client.rows("SELECT * FROM named", json!([])).await;
    assert_eq!(rows.rows.get(), r#"[{"content":"SECRET of the vault"}]"#);
    for query in ["SELECT number FROM numbered", "SELECT number FROM counted"] {
        assert_eq!(client.rows(query, json!([])).await.rows.get(), r#"[{"number":"***"}]"#, "{query}");
    }
}

#[tokio::test]
async fn a_catalog_does_not_speak_of_types_that_are_rows_of_what_is_hidden() {
    let (server, _folder) = stage().await;
    let mut client = Client::open_with_key(&server, MANY).await;
    let list = client.request("resources/list", json!({})).await;
    let uri = list["result"]["resources"][0]["uri"].as_str().unwrap().to_owned();
    let answer = client.request("resources/read", json!({ "uri": uri })).await.to_string();
    assert!(answer.contains("copies") && !answer.contains("vault") && !answer.contains("SECRET"), "{answer}");
}

/// Each of these leaves a word in a log table where its code runs, as a superuser's would.
const EVIL: &str = "
    CREATE TABLE ran (what text);
    CREATE FUNCTION tell(what text) RETURNS void LANGUAGE plpgsql VOLATILE AS
        $$BEGIN PERFORM set_config('transaction_read_only', 'off', true); INSERT INTO ran VALUES (what); END$$;
    CREATE TABLE plain (id int, place point, name varchar(9), words text);
    INSERT INTO plain VALUES (1, '(1,1)', 'a', 'x'), (2, '(2,2)', 'b', 'y');";

const SORTS_POINTS: &str = "
    CREATE FUNCTION order_of(a point, b point) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
        $$BEGIN PERFORM tell('order'); RETURN 0; END$$;
    CREATE FUNCTION is_less(a point, b point) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT a[0] < b[0]';
    CREATE OPERATOR <<% (LEFTARG = point, RIGHTARG = point, FUNCTION = is_less);
    CREATE OPERATOR CLASS point_order DEFAULT FOR TYPE point USING btree AS OPERATOR 1 <<%, FUNCTION 1 order_of(point, point);";

const SORTS_NUMBERS: &str = "
    CREATE FUNCTION order_of(a int, b int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
        $$BEGIN PERFORM tell('order'); RETURN 0; END$$;
    CREATE OPERATOR <<% (LEFTARG = int, RIGHTARG = int, FUNCTION = int4lt);
    CREATE OPERATOR CLASS number_order FOR TYPE int USING btree AS OPERATOR 1 <<%, FUNCTION 1 order_of(int, int);
    CREATE TYPE odd_range AS RANGE (SUBTYPE = int, SUBTYPE_OPCLASS = number_order);";

const CASTS: &str = "
    CREATE FUNCTION number_of(t text) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
        $$BEGIN PERFORM tell('cast'); RETURN 1; END$$;
    CREATE CAST (text AS int) WITH FUNCTION number_of(text) AS IMPLICIT;";

const GIVES: &str = "
    CREATE DOMAIN told AS text CHECK (tell(VALUE) IS NULL);
    CREATE FUNCTION gives_told() RETURNS told LANGUAGE plpgsql IMMUTABLE AS $$BEGIN RETURN NULL; END$$;
    CREATE FUNCTION gives_class() RETURNS regclass LANGUAGE sql IMMUTABLE AS $$SELECT 'plain'::regclass$$;
    CREATE TYPE wraps AS (part told);";

const SHADOWS: &str = "
    CREATE FUNCTION pg_typeof(i int) RETURNS text LANGUAGE plpgsql VOLATILE AS $$BEGIN PERFORM tell('type'); RETURN ''; END$$;
    CREATE DOMAIN foo AS int CHECK (tell(VALUE::text) IS NULL);
    CREATE DOMAIN _foo AS int;
    SET check_function_bodies = off;
    CREATE FUNCTION converts() RETURNS text LANGUAGE sql STABLE AS $$SELECT ('{1}'::__foo)::text$$;
    CREATE TABLE of_foo (x foo);
    CREATE FUNCTION declares() RETURNS text LANGUAGE plpgsql STABLE AS $$DECLARE y of_foo.x%TYPE; BEGIN y := 1; RETURN ''; END$$;";

const TO_JSON: &str = "
    CREATE TYPE span AS RANGE (SUBTYPE = int);
    CREATE FUNCTION json_of(s span) RETURNS json LANGUAGE plpgsql VOLATILE AS $$BEGIN PERFORM tell('json'); RETURN '1'; END$$;
    CREATE CAST (span AS json) WITH FUNCTION json_of(span);
    CREATE TABLE spans (s span);
    INSERT INTO spans VALUES ('[1,2]');";

#[tokio::test]
async fn what_may_not_become_json_is_shown_as_text() {
    let postgres = shared_postgres().await;
    let database = database_of(postgres, &format!("{EVIL}{TO_JSON}")).await;
    let options = ServerOptions::new(postgres.superuser_url(&database)).with_env("ALLOW_PRIVILEGED_ROLE", "true");
    let server = McpServer::start(options).await.unwrap();
    let rows = Client::open(&server).await.rows("SELECT s FROM spans", json!([])).await;
    assert_eq!(rows.rows.get(), r#"[{"s":"[1,2]"}]"#);
    let mut superuser = postgres.superuser(&database).await.unwrap();
    let ran: i64 = sqlx::query_scalar("SELECT count(*) FROM ran").fetch_one(&mut superuser).await.unwrap();
    assert_eq!(ran, 0);
}

#[tokio::test]
async fn code_that_no_statement_names_does_not_run() {
    let postgres = shared_postgres().await;
    for (objects, statements, told) in [
        (SORTS_POINTS, &["SELECT place FROM plain ORDER BY place", "SELECT 1"][..], "the operator class point_order"),
        (
            SORTS_NUMBERS,
            &[
                "SELECT id FROM plain ORDER BY id USING <<%",
                "SELECT id <<% 1 FROM plain",
                "SELECT odd_range(1, 2)",
                "SELECT '[1,2]'::odd_range",
            ],
            "",
        ),
        (CASTS, &["SELECT abs(words) FROM plain", "SELECT words = 1 FROM plain"], "the cast from text to int4"),
        (SHADOWS, &["SELECT pg_typeof(1)", "SELECT '{1}'::__foo", "SELECT converts()", "SELECT declares()"], ""),
        (
            GIVES,
            &[
                "SELECT COALESCE(gives_told(), 'x')",
                "SELECT COALESCE(gives_class(), 'no_such_table')",
                "SELECT '(x)'::wraps",
                "SELECT gives_class() UNION SELECT 'plain'",
            ],
            "",
        ),
    ] {
        let database = database_of(postgres, &format!("{EVIL}{objects}")).await;
        let options = ServerOptions::new(postgres.superuser_url(&database)).with_env("ALLOW_PRIVILEGED_ROLE", "true");
        let server = McpServer::start(options).await.unwrap();
        let mut client = Client::open(&server).await;
        for statement in statements {
            let error = client.error(json!({ "query": statement })).await;
            assert_eq!(error["code"], "FUNCTION_DENIED", "{statement}: {error}");
        }
        let warned = "may do so where no statement names it";
        assert_eq!(server.logs().contains(warned), !told.is_empty(), "{}", server.logs());
        assert!(server.logs().contains(told), "{}", server.logs());
        let mut superuser = postgres.superuser(&database).await.unwrap();
        let ran: i64 = sqlx::query_scalar("SELECT count(*) FROM ran").fetch_one(&mut superuser).await.unwrap();
        assert_eq!(ran, 0, "after {statements:?}");
    }
}

const STANDS_BEFORE: &str = "
    CREATE SCHEMA before;
    GRANT USAGE ON SCHEMA before TO PUBLIC;
    CREATE FUNCTION before.tells(a integer, b integer) RETURNS integer LANGUAGE plpgsql VOLATILE AS 'BEGIN RETURN 7; END';
    CREATE OPERATOR before.+ (LEFTARG = integer, RIGHTARG = integer, FUNCTION = before.tells);
    CREATE TABLE plain (id integer);";

#[tokio::test]
async fn an_operator_that_stands_before_postgresqls_own_is_judged_as_what_it_is() {
    let postgres = shared_postgres().await;
    let database = database_of(postgres, STANDS_BEFORE).await;
    let mut superuser = postgres.superuser(&database).await.unwrap();
    let path = format!("ALTER DATABASE {database} SET search_path TO before, pg_catalog, public");
    sqlx::raw_sql(AssertSqlSafe(path)).execute(&mut superuser).await.unwrap();
    let server = McpServer::start(ServerOptions::new(postgres.reader_url(&database))).await.unwrap();
    let mut client = Client::open(&server).await;
    for statement in ["SELECT 1 + 1", "SELECT id + 1 FROM plain", "SELECT 1"] {
        let error = client.error(json!({ "query": statement })).await;
        assert_eq!(error["code"], "FUNCTION_DENIED", "{statement}: {error}");
    }
    assert!(server.logs().contains("the operator before.+, which stands before pg_catalog's"), "{}", server.logs());
}
