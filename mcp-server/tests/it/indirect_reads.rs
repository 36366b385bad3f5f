//! What a policy hides or masks, read in ways that no name in the statement shows: through views that the policy names, bodies that
//! run a text, functions that are called like PostgreSQL's own, other parents of a child, errors and computed columns.

use harness::{McpServer, ServerOptions, shared_postgres};
use serde_json::json;
use tempfile::TempDir;

use crate::client::Client;
use crate::database_of;

/// What nobody may see holds the word SECRET.
const SCHEMA: &str = r#"
    CREATE SCHEMA priv;
    CREATE TABLE priv.deep (id int, token text);
    INSERT INTO priv.deep VALUES (1, 'SECRET token');
    GRANT USAGE ON SCHEMA priv TO PUBLIC;
    GRANT SELECT ON priv.deep TO PUBLIC;
    CREATE TABLE staff (id int PRIMARY KEY, name text, ssn text);
    INSERT INTO staff VALUES (1, 'Ada', 'SECRET number');
    CREATE FUNCTION title(s staff) RETURNS text LANGUAGE sql IMMUTABLE AS $$SELECT 'Dr ' || s.name$$;
    CREATE INDEX ON staff (title(staff));
    CREATE TABLE plain (id int, word text);
    INSERT INTO plain VALUES (1, 'word');

    -- Views that a policy names, and those below them, which it doesn't.
    CREATE VIEW whole AS SELECT id, ssn, name FROM staff;
    CREATE VIEW renamed (x, y) AS SELECT id, ssn FROM staff;
    CREATE MATERIALIZED VIEW kept AS SELECT id, ssn AS number FROM staff;
    CREATE VIEW over_kept AS SELECT id, number FROM kept;
    CREATE VIEW cooked AS SELECT id, upper(ssn) AS number FROM staff;
    CREATE VIEW over_cooked AS SELECT number FROM cooked;
    CREATE FUNCTION number_of(i int) RETURNS text LANGUAGE sql STABLE AS 'SELECT ssn FROM staff WHERE id = i';
    CREATE VIEW by_function AS SELECT number_of(1) AS number;
    CREATE VIEW tokens AS SELECT token FROM priv.deep;

    -- Bodies that run a text.
    CREATE FUNCTION by_xml() RETURNS text LANGUAGE sql STABLE AS
        $$SELECT query_to_xml('select ssn from st' || 'aff', true, true, '')::text$$;
    CREATE VIEW xml_of_function AS SELECT by_xml() AS shown;
    CREATE FUNCTION by_statistics() RETURNS text LANGUAGE plpgsql STABLE AS
        $$BEGIN RETURN (SELECT string_agg(word, ' ') FROM ts_stat('select to_tsvector(ssn) from st' || 'aff')); END$$;
    CREATE VIEW statistics_of_function AS SELECT by_statistics() AS shown;
    CREATE FUNCTION runs(t text) RETURNS text LANGUAGE sql STABLE AS $$SELECT query_to_xml(t, true, true, '')::text$$;
    CREATE VIEW run_text AS SELECT runs('select ssn from st' || 'aff') AS shown;
    CREATE FUNCTION runs_too(text, bool, bool, text) RETURNS xml LANGUAGE internal STABLE AS 'query_to_xml';
    CREATE VIEW run_alias AS SELECT runs_too('select ssn from st' || 'aff', true, true, '')::text AS shown;

    -- A count that puts together what it is given, and a system column that a function is called like.
    CREATE FUNCTION add(state text, value text) RETURNS text LANGUAGE sql IMMUTABLE AS $$SELECT coalesce(state, '') || value$$;
    CREATE AGGREGATE count(text) (SFUNC = add, STYPE = text);
    CREATE VIEW counted AS SELECT count(ssn) AS number FROM staff;
    CREATE FUNCTION counts() RETURNS text LANGUAGE sql STABLE AS 'SELECT count(ssn) FROM staff';
    CREATE FUNCTION ctid(anyelement) RETURNS text LANGUAGE sql STABLE AS 'SELECT $1::text';
    CREATE FUNCTION whole_rows() RETURNS text LANGUAGE sql STABLE AS 'SELECT v.ctid FROM (SELECT * FROM staff) AS v';

    CREATE TABLE first_parent (word text);
    CREATE TABLE second_parent (word text, x int);
    CREATE TABLE of_both () INHERITS (first_parent, second_parent);
    INSERT INTO of_both VALUES ('SECRET of both', 1);

    -- What is raised on the way, and what is computed.
    CREATE FUNCTION raises(i int) RETURNS bool LANGUAGE plpgsql STABLE AS
        $$BEGIN RAISE EXCEPTION 'hidden is %', (SELECT token FROM priv.deep); END$$;
    CREATE FUNCTION raises_as(i int) RETURNS bool LANGUAGE plpgsql STABLE AS
        $$BEGIN RAISE division_by_zero USING MESSAGE = (SELECT token FROM priv.deep); END$$;
    CREATE FUNCTION raises_text(t text) RETURNS bool LANGUAGE plpgsql STABLE AS $$BEGIN RETURN raises(1); END$$;
    CREATE TABLE guarded (id int);
    INSERT INTO guarded VALUES (1);
    ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
    CREATE POLICY guarded ON guarded USING (raises(id));
    CREATE TABLE guarded_too (id int);
    INSERT INTO guarded_too VALUES (1);
    ALTER TABLE guarded_too ENABLE ROW LEVEL SECURITY;
    CREATE POLICY guarded_too ON guarded_too USING (raises_as(id));
    CREATE DOMAIN checked AS text CHECK (raises_text(VALUE));
    CREATE VIEW converted AS SELECT (word::checked)::text AS word FROM plain;
    CREATE FUNCTION token_of(i int) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT token FROM priv.deep WHERE id = i';
    CREATE TABLE computed (id int, token text GENERATED ALWAYS AS (token_of(id)) STORED);
    INSERT INTO computed VALUES (1);

    -- What PostgreSQL itself knows of everybody's tables.
    CREATE VIEW names AS SELECT relname FROM pg_class;
    CREATE VIEW statistics AS SELECT stavalues1::text AS shown FROM pg_catalog.pg_statistic;
    CREATE VIEW attributes AS SELECT 'x' AS shown WHERE EXISTS (SELECT FROM pg_attribute WHERE attname = 'token');

    CREATE VIEW by_number AS SELECT o::oid::regclass::text AS shown FROM generate_series(1, 20000) AS o;
    CREATE MATERIALIZED VIEW kept_names AS SELECT o::oid::regclass::text AS shown FROM generate_series(16384, 17000) AS o;
    CREATE VIEW activity AS SELECT query FROM pg_stat_get_activity(NULL);
    CREATE VIEW described AS SELECT pg_describe_object(1259, o::oid, 0) AS shown FROM generate_series(16384, 17000) AS o;
    CREATE FUNCTION describes(o int) RETURNS text LANGUAGE sql STABLE AS 'SELECT pg_describe_object(1259, o::oid, 0)';
    CREATE VIEW described_by_function AS SELECT describes(o) AS shown FROM generate_series(16384, 17000) AS o;

    -- What speaks of nothing that is hidden, though it looks like it.
    CREATE VIEW families AS SELECT tableoid::regclass::text AS family, word FROM plain;
    CREATE VIEW mine AS
        SELECT word FROM plain WHERE pg_has_role(current_user, 'pg_read_all_data', 'member') OR current_setting('app.x', true) IS NULL;
    CREATE VIEW ratings AS SELECT id AS pg_rating FROM plain;
    CREATE TYPE address AS (street text, city text);
    CREATE TABLE homes (id int, phone text, home address);
    INSERT INTO homes VALUES (1, '555', ('Oak', 'Rome'));
    CREATE VIEW cities AS SELECT id, (home).city FROM homes;
    CREATE FUNCTION slug(t text) RETURNS text LANGUAGE sql IMMUTABLE AS
        $$SELECT regexp_replace(lower(t), '[^a-z]+', '-', 'g')$$;
    CREATE FUNCTION region_of(region text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT upper(region)';
    CREATE VIEW slugs AS SELECT slug(word) AS slug FROM plain;
    CREATE FUNCTION finds(name text) RETURNS text LANGUAGE sql STABLE AS $$SELECT name::regclass::text$$;

    CREATE DOMAIN bait_check AS text CHECK (raises_text(VALUE));
    CREATE TABLE bait (id int, word bait_check);
    CREATE FUNCTION about_bait() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT pg_catalog.count(*) FROM bait';
"#;

const POLICY: &str = r#"
    [default]
    deny_tables = ["priv.*", "public.second_parent", "public.bait"]
    mask_columns = ["public.staff.ssn", "public.*.phone"]
    [keys.few]
    allow_tables = [
        "public.whole", "public.renamed", "public.over_kept", "public.over_cooked", "public.by_function", "public.tokens",
    ]
"#;

const MANY: &str = "many-key-of-22-characters";
const FEW: &str = "few-key-of-22-characters.";

async fn stage() -> (McpServer, TempDir) {
    let postgres = shared_postgres().await;
    let database = database_of(postgres, SCHEMA).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.toml");
    std::fs::write(&file, POLICY).unwrap();
    let options = ServerOptions::new(postgres.reader_url(&database))
        .with_env("WS_API_KEY", format!("many:{MANY},few:{FEW}"))
        .with_env("POLICY_FILE", file.to_str().unwrap());
    (McpServer::start(options).await.unwrap(), folder)
}

#[tokio::test]
async fn a_view_that_a_policy_names_keeps_the_masks_of_tables_that_it_hides() {
    let (server, _folder) = stage().await;
    let mut client = Client::open_with_key(&server, FEW).await;
    for (statement, rows) in [
        ("SELECT * FROM whole", r#"[{"id":1,"ssn":"***","name":"Ada"}]"#),
        ("SELECT * FROM renamed", r#"[{"x":1,"y":"***"}]"#),
        ("SELECT * FROM over_kept", r#"[{"id":1,"number":"***"}]"#),
        ("SELECT * FROM over_cooked", r#"[{"number":"***"}]"#),
        ("SELECT * FROM by_function", r#"[{"number":"***"}]"#),
        ("SELECT * FROM tokens", r#"[{"token":"SECRET token"}]"#),
    ] {
        assert_eq!(client.rows(statement, json!([])).await.rows.get(), rows, "{statement}");
    }
    for statement in ["SELECT upper(ssn) FROM whole", "SELECT 1 FROM over_kept WHERE number LIKE 'S%'"] {
        assert_eq!(client.error(json!({ "query": statement })).await["code"], "ACCESS_DENIED", "{statement}");
    }
    assert_eq!(client.error(json!({ "query": "SELECT * FROM staff" })).await["code"], "TABLE_NOT_FOUND");
}

#[tokio::test]
async fn what_is_hidden_is_not_read_behind_names() {
    let (server, _folder) = stage().await;
    let mut client = Client::open_with_key(&server, MANY).await;
    for (statement, code) in [
        ("SELECT * FROM xml_of_function", "TABLE_NOT_FOUND"),
        ("SELECT * FROM statistics_of_function", "TABLE_NOT_FOUND"),
        ("SELECT * FROM run_text", "TABLE_NOT_FOUND"),
        ("SELECT * FROM run_alias", "TABLE_NOT_FOUND"),
        ("SELECT * FROM counted", "TABLE_NOT_FOUND"),
        ("SELECT counts()", "FUNCTION_DENIED"),
        ("SELECT whole_rows()", "FUNCTION_DENIED"),
        ("SELECT * FROM first_parent", "TABLE_NOT_FOUND"),
        ("SELECT * FROM of_both", "TABLE_NOT_FOUND"),
        ("SELECT * FROM converted", "TABLE_NOT_FOUND"),
        ("SELECT token FROM computed", "COLUMN_NOT_FOUND"),
        ("SELECT * FROM names", "TABLE_NOT_FOUND"),
        ("SELECT * FROM statistics", "TABLE_NOT_FOUND"),
        ("SELECT * FROM attributes", "TABLE_NOT_FOUND"),
        ("SELECT * FROM by_number", "TABLE_NOT_FOUND"),
        ("SELECT * FROM kept_names", "TABLE_NOT_FOUND"),
        ("SELECT * FROM activity", "TABLE_NOT_FOUND"),
        ("SELECT * FROM described", "TABLE_NOT_FOUND"),
        ("SELECT * FROM described_by_function", "TABLE_NOT_FOUND"),
        ("SELECT finds('priv.deep')", "FUNCTION_DENIED"),
        ("SELECT * FROM guarded", "EXECUTION_ERROR"),
        ("SELECT * FROM guarded_too", "EXECUTION_ERROR"),
    ] {
        let error = client.error(json!({ "query": statement })).await;
        assert_eq!(error["code"], code, "{statement}: {error}");
        assert!(!error.to_string().contains("SECRET"), "{statement}: {error}");
    }
    for (statement, rows) in [
        ("SELECT id FROM computed", r#"[{"id":1}]"#),
        ("SELECT * FROM families", r#"[{"family":"plain","word":"word"}]"#),
        ("SELECT * FROM mine", r#"[{"word":"word"}]"#),
        ("SELECT * FROM ratings", r#"[{"pg_rating":1}]"#),
        ("SELECT * FROM cities", r#"[{"id":1,"city":"Rome"}]"#),
        ("SELECT slug('A b'), region_of('eu')", r#"[{"slug":"a-b","region_of":"EU"}]"#),
        ("SELECT * FROM slugs", r#"[{"slug":"word"}]"#),
        // Its index takes whole rows.
        ("SELECT name, ssn FROM staff", r#"[{"name":"Ada","ssn":"***"}]"#),
    ] {
        assert_eq!(client.rows(statement, json!([])).await.rows.get(), rows, "{statement}");
    }
    let refusal = client.error(json!({ "query": "SELECT about_bait()" })).await;
    let message = refusal["message"].as_str().unwrap();
    assert!(message.contains("it reads what you may not read") && !message.contains("public.bait"), "{refusal}");
}
