//! Code of the database's own that no statement names: what PostgreSQL runs when it only plans to read a table, and what the bodies of
//! functions run without a name of it.

use harness::{McpServer, ServerOptions, shared_postgres};
use serde_json::json;
use sqlx::Connection;

use crate::client::{Client, until};
use crate::database_of;

/// Whatever should not run takes a lock, which its session would keep.
const TRAPS: &str = "
    CREATE FUNCTION trap(i int) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS
        $$BEGIN PERFORM pg_advisory_lock(i); RETURN true; END$$;
    CREATE FUNCTION fine(i int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT i > 0';
    CREATE FUNCTION loud(i int) RETURNS bool LANGUAGE plpgsql VOLATILE AS $$BEGIN PERFORM trap(i); RETURN true; END$$;
    CREATE TABLE harmless (id int CHECK (fine(id)));
    CREATE INDEX ON harmless (fine(id)) WHERE fine(1);
    -- What is VOLATILE is not computed beforehand.
    CREATE TABLE harmless_child (CHECK (loud(id))) INHERITS (harmless);
    INSERT INTO harmless VALUES (1);";

const PLANNED: &str = "
    CREATE TABLE by_predicate (id int);
    CREATE INDEX ON by_predicate (id) WHERE trap(1);
    CREATE TABLE by_expression (id int);
    CREATE INDEX ON by_expression ((id::text || trap(2)::text));
    CREATE TABLE by_statistics (id int, word text);
    CREATE STATISTICS known ON (id + trap(3)::int), word FROM by_statistics;
    CREATE TABLE by_check (id int);
    CREATE TABLE by_check_child (CHECK (trap(4) AND id > 0)) INHERITS (by_check);
    CREATE TABLE by_key (id int) PARTITION BY LIST ((id + trap(5)::int));
    CREATE TABLE by_key_2 PARTITION OF by_key FOR VALUES IN (2);
    CREATE VIEW over_index AS SELECT id FROM by_predicate;
    CREATE FUNCTION reads_index() RETURNS int LANGUAGE sql STABLE AS 'SELECT id FROM by_predicate';

    CREATE SCHEMA side;
    CREATE FUNCTION side.compares(a int, b int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
        $$BEGIN PERFORM pg_advisory_lock(6); RETURN btint4cmp(a, b); END$$;
    CREATE OPERATOR side.< (LEFTARG = int, RIGHTARG = int, FUNCTION = int4lt);
    CREATE OPERATOR side.<= (LEFTARG = int, RIGHTARG = int, FUNCTION = int4le);
    CREATE OPERATOR side.= (LEFTARG = int, RIGHTARG = int, FUNCTION = int4eq);
    CREATE OPERATOR side.>= (LEFTARG = int, RIGHTARG = int, FUNCTION = int4ge);
    CREATE OPERATOR side.> (LEFTARG = int, RIGHTARG = int, FUNCTION = int4gt);
    CREATE OPERATOR CLASS side.numbers FOR TYPE int USING btree AS
        OPERATOR 1 side.<, OPERATOR 2 side.<=, OPERATOR 3 side.=, OPERATOR 4 side.>=, OPERATOR 5 side.>,
        FUNCTION 1 side.compares(int, int);
    CREATE TABLE by_class (id int, word text) PARTITION BY RANGE (id side.numbers);
    CREATE TABLE by_class_1 PARTITION OF by_class FOR VALUES FROM (1) TO (5);
    CREATE TABLE by_class_2 PARTITION OF by_class FOR VALUES FROM (5) TO (9);
    CREATE TYPE pair AS (a int, b int);
    CREATE TYPE odd_span AS RANGE (SUBTYPE = int, SUBTYPE_OPCLASS = side.numbers);
    CREATE TABLE by_type (id int, span odd_span) PARTITION BY RANGE (span);
    CREATE TABLE by_type_1 PARTITION OF by_type FOR VALUES FROM (MINVALUE) TO ('[1,2]');
    CREATE TABLE by_type_2 PARTITION OF by_type FOR VALUES FROM ('[1,2]') TO (MAXVALUE);";

const TYPED: &str = "
    CREATE DOMAIN trapped AS int CHECK (VALUE > trap(10)::int - 5);
    CREATE TABLE by_domain (id int);
    CREATE INDEX ON by_domain ((id::trapped));
    CREATE TABLE by_domain_predicate (id int);
    CREATE INDEX ON by_domain_predicate (id) WHERE (id::trapped) > 0;
    CREATE TABLE by_domain_statistics (id int, word text);
    CREATE STATISTICS typed ON ((id::trapped) + 1), word FROM by_domain_statistics;
    CREATE TABLE by_domain_key (id int) PARTITION BY RANGE ((id::trapped));
    CREATE TABLE by_domain_key_1 PARTITION OF by_domain_key FOR VALUES FROM (1) TO (5);
    CREATE TABLE by_domain_check (id int);
    CREATE TABLE by_domain_check_child (CHECK ((id::trapped) > 0)) INHERITS (by_domain_check);
    CREATE DOMAIN around AS int CHECK ((VALUE::trapped) > 0);
    CREATE TABLE by_domain_in_domain (id int);
    CREATE INDEX ON by_domain_in_domain ((id::around));
    CREATE TABLE by_array (id int);
    CREATE INDEX ON by_array ((ARRAY[id]::trapped[]));
    CREATE TYPE holder AS (a trapped);
    CREATE TABLE by_row (id int);
    CREATE INDEX ON by_row ((ROW(id)::holder));
    CREATE VIEW over_domain AS SELECT id FROM by_domain;

    CREATE FUNCTION loose(i int) RETURNS bool LANGUAGE sql VOLATILE AS 'SELECT public.trap(11) AND i > 0';
    CREATE TABLE by_body (id int);
    CREATE TABLE by_body_child (CHECK (loose(id))) INHERITS (by_body);
    CREATE FUNCTION lax(i int, b bool DEFAULT trap(12)) RETURNS bool LANGUAGE plpgsql VOLATILE AS $$BEGIN RETURN i > 0; END$$;
    CREATE TABLE by_default (id int);
    CREATE TABLE by_default_child (CHECK (lax(id))) INHERITS (by_default);
    CREATE FUNCTION is_other(a int, b int) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS $$BEGIN RETURN public.trap(13); END$$;
    CREATE OPERATOR =!= (LEFTARG = int, RIGHTARG = int, FUNCTION = int4eq, NEGATOR = <!>);
    CREATE OPERATOR <!> (LEFTARG = int, RIGHTARG = int, FUNCTION = is_other, NEGATOR = =!=);
    CREATE TABLE by_negator (id int);
    CREATE INDEX ON by_negator (id) WHERE NOT (1 =!= 2);

    CREATE SCHEMA beside;
    CREATE TYPE single AS (a int);
    CREATE FUNCTION ranks(a single, b single) RETURNS int LANGUAGE plpgsql VOLATILE AS $$BEGIN PERFORM public.trap(14); RETURN a.a - b.a; END$$;
    CREATE FUNCTION is_ranked(a single, b single) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT $1.a < $2.a';
    CREATE OPERATOR beside.< (LEFTARG = single, RIGHTARG = single, FUNCTION = is_ranked);
    CREATE OPERATOR beside.<= (LEFTARG = single, RIGHTARG = single, FUNCTION = is_ranked);
    CREATE OPERATOR beside.= (LEFTARG = single, RIGHTARG = single, FUNCTION = is_ranked);
    CREATE OPERATOR beside.>= (LEFTARG = single, RIGHTARG = single, FUNCTION = is_ranked);
    CREATE OPERATOR beside.> (LEFTARG = single, RIGHTARG = single, FUNCTION = is_ranked);
    CREATE OPERATOR CLASS singles DEFAULT FOR TYPE single USING btree AS
        OPERATOR 1 beside.<, OPERATOR 2 beside.<=, OPERATOR 3 beside.=, OPERATOR 4 beside.>=, OPERATOR 5 beside.>, FUNCTION 1 ranks(single, single);
    CREATE TABLE by_constants (id int);
    CREATE INDEX ON by_constants (id) WHERE id > CASE WHEN ARRAY['(1)'::single] < ARRAY['(2)'::single] THEN 0 ELSE 1 END;

    CREATE FUNCTION small(i int) RETURNS bool LANGUAGE plpgsql VOLATILE AS $$BEGIN RETURN i < 100; END$$;
    CREATE FUNCTION tiny(i int) RETURNS bool LANGUAGE sql VOLATILE AS 'SELECT public.fine($1) AND public.small($1)';
    CREATE DOMAIN plain AS int CHECK (fine(VALUE));
    -- What is VOLATILE there is not computed beforehand either.
    CREATE DOMAIN checked AS int CHECK (small(VALUE) AND (VALUE::plain) > 0);
    CREATE DOMAIN watched AS int CHECK (VALUE > 0 AND trap(VALUE));
    CREATE TYPE mood AS ENUM ('sad', 'glad');
    CREATE TABLE honest_types (id int CHECK (tiny(id)), day date, mood mood CHECK (mood <> 'sad'::mood)) PARTITION BY RANGE (id);
    CREATE TABLE honest_types_1 PARTITION OF honest_types FOR VALUES FROM (1) TO (50);
    CREATE INDEX ON honest_types ((id::checked), (ARRAY[id]::plain[]));
    CREATE INDEX ON honest_types (day) WHERE mood = 'glad'::mood AND ROW(id, id) > ROW(1, 2);
    INSERT INTO honest_types VALUES (3, now(), 'glad');";

const UNSPELLED: &str = "
    CREATE FUNCTION compares(a bool, b int) RETURNS bool LANGUAGE plpgsql VOLATILE AS $$BEGIN RETURN trap(b); END$$;
    CREATE OPERATOR = (LEFTARG = bool, RIGHTARG = int, FUNCTION = compares);
    CREATE OPERATOR <= (LEFTARG = bool, RIGHTARG = int, FUNCTION = compares);
    CREATE OPERATOR >= (LEFTARG = bool, RIGHTARG = int, FUNCTION = compares);
    CREATE OPERATOR ~~ (LEFTARG = bool, RIGHTARG = int, FUNCTION = compares);
    CREATE FUNCTION by_between(a bool) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT a BETWEEN 1 AND 2';
    CREATE FUNCTION by_in(a bool) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS $$BEGIN RETURN a IN (1); END$$;
    CREATE FUNCTION by_case(a bool) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$BEGIN RETURN CASE a WHEN 1 THEN 2 END; END$$;
    CREATE FUNCTION by_distinct(a bool) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT a IS DISTINCT FROM 1';
    CREATE FUNCTION by_nullif(a bool) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT NULLIF(a, 1)';
    CREATE FUNCTION by_like(a bool) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT a LIKE 1';
    CREATE TYPE level AS ENUM ('low', 'high');
    CREATE FUNCTION is_level(a level, b level) RETURNS bool LANGUAGE plpgsql VOLATILE AS $$BEGIN RETURN trap(9); END$$;
    CREATE OPERATOR = (LEFTARG = level, RIGHTARG = level, FUNCTION = is_level);
    CREATE TABLE levels (a level);
    CREATE FUNCTION by_using() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT count(*) FROM levels AS x JOIN levels AS y USING (a)';
    CREATE FUNCTION by_natural() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT count(*) FROM levels AS x NATURAL JOIN levels AS y';

    CREATE FUNCTION place_of(t text) RETURNS point LANGUAGE plpgsql VOLATILE AS $$BEGIN PERFORM trap(7); RETURN '(1,2)'; END$$;
    CREATE CAST (text AS point) WITH FUNCTION place_of(text);
    CREATE FUNCTION number_of(p point) RETURNS int LANGUAGE plpgsql VOLATILE AS $$BEGIN PERFORM trap(8); RETURN 1; END$$;
    CREATE CAST (point AS int) WITH FUNCTION number_of(point);
    CREATE FUNCTION by_cast(t text) RETURNS text LANGUAGE sql STABLE AS 'SELECT ($1::point)::text';
    CREATE FUNCTION by_cast_at_once(t text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$BEGIN RETURN (t::point)::text; END$$;
    CREATE FUNCTION by_other_name(f float8) RETURNS text LANGUAGE sql STABLE AS 'SELECT (pg_catalog.point(f, f)::integer)::text';
    CREATE FUNCTION harmless_text(f float8) RETURNS text LANGUAGE sql STABLE AS 'SELECT round(f)::text';";

#[tokio::test]
async fn what_no_statement_and_no_body_spells_does_not_run() {
    let postgres = shared_postgres().await;
    let reading = "by_predicate by_expression by_statistics by_check by_key by_class by_type over_index";
    let reading: Vec<String> = reading.split(' ').map(|table| format!("SELECT id FROM {table}")).collect();
    let typed = "by_domain by_domain_predicate by_domain_statistics by_domain_key by_domain_check by_domain_in_domain by_array by_row \
                 over_domain by_body by_default by_negator by_constants";
    let typed: Vec<String> = typed.split(' ').map(|table| format!("SELECT id FROM {table}")).collect();
    let calling = ["reads_index()"].map(|call| format!("SELECT {call}"));
    let calls = "by_between(true) by_in(true) by_case(true) by_distinct(true) by_nullif(true) by_like(true) by_using() by_natural() by_cast('x') \
                 by_cast_at_once('x') by_other_name(1)";
    let calls: Vec<String> = calls.split(' ').map(|call| format!("SELECT {call}")).collect();
    for (objects, statements, passes, told) in [
        (PLANNED, [&reading[..], &calling].concat(), "SELECT fine(id) FROM harmless", "reading public.by_class"),
        (TYPED, typed, "SELECT id FROM honest_types WHERE id < 40", "reading public.by_domain"),
        (UNSPELLED, calls, "SELECT harmless_text(1.4)", ""),
    ] {
        let database = database_of(postgres, &format!("{TRAPS}{objects}")).await;
        let options = ServerOptions::new(postgres.superuser_url(&database)).with_env("ALLOW_PRIVILEGED_ROLE", "true");
        let server = McpServer::start(options).await.unwrap();
        let mut client = Client::open(&server).await;
        for statement in &statements {
            let error = client.error(json!({ "query": statement })).await;
            assert_eq!(error["code"], "FUNCTION_DENIED", "{statement}: {error}");
            let plan = client.use_tool("explain_query", json!({ "sql": statement })).await;
            assert_eq!(plan["error"]["code"], "FUNCTION_DENIED", "{statement}: {plan}");
        }
        client.rows(passes, json!([])).await;
        assert!(server.logs().contains(told), "{}", server.logs());
        assert_eq!(locks(&database).await, 0);
    }
}

#[tokio::test]
async fn statistics_are_noticed_as_ddl() {
    let postgres = shared_postgres().await;
    let database = database_of(postgres, &format!("{TRAPS}CREATE TABLE watched (id int, word text);")).await;
    let options = ServerOptions::new(postgres.superuser_url(&database)).with_env("ALLOW_PRIVILEGED_ROLE", "true");
    let server = McpServer::start(options).await.unwrap();
    let mut client = Client::open(&server).await;
    client.rows("SELECT id FROM watched", json!([])).await;
    let mut superuser = postgres.superuser(&database).await.unwrap();
    let statistics = "CREATE STATISTICS told ON (id + trap(3)::int), word FROM watched";
    sqlx::raw_sql(statistics).execute(&mut superuser).await.unwrap();
    // PostgreSQL 14 counts what a session has just done with its next statement, or at its end.
    superuser.close().await.unwrap();
    until("the statistics are noticed", async || {
        let (answer, is_error) = client.try_call("run_sql", json!({ "query": "SELECT id FROM watched" })).await;
        is_error && answer["error"]["code"] == "FUNCTION_DENIED"
    })
    .await;
}

#[tokio::test]
async fn what_a_views_conversion_locks_is_given_back() {
    let postgres = shared_postgres().await;
    let database = database_of(
        postgres,
        "CREATE FUNCTION locks(t text) RETURNS bool LANGUAGE plpgsql STABLE AS
             $$BEGIN PERFORM pg_advisory_lock(9); RETURN true; END$$;
         CREATE DOMAIN locked AS text CHECK (locks(VALUE));
         CREATE TABLE plain (word text);
         INSERT INTO plain VALUES ('a');
         CREATE VIEW converted AS SELECT (word::locked)::text AS word FROM plain;",
    )
    .await;
    let server = McpServer::start(ServerOptions::new(postgres.reader_url(&database))).await.unwrap();
    let rows = Client::open(&server).await.rows("SELECT word FROM converted", json!([])).await;
    assert_eq!(rows.rows.get(), r#"[{"word":"a"}]"#);
    assert_eq!(locks(&database).await, 0);
}

/// How many advisory locks are held in a database.
async fn locks(database: &str) -> i64 {
    let mut superuser = shared_postgres().await.superuser(database).await.unwrap();
    let held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'
                AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    sqlx::query_scalar(held).fetch_one(&mut superuser).await.unwrap()
}

#[tokio::test]
async fn no_values_are_read_of_a_table_whose_reading_is_refused() {
    let sql = "
        CREATE FUNCTION trap(i int) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS
            $$BEGIN PERFORM pg_advisory_lock(i); RETURN true; END$$;
        CREATE TABLE trapped (id int, word text); INSERT INTO trapped VALUES (1, 'caught');
        CREATE INDEX ON trapped (id) WHERE trap(4711);
        CREATE TABLE open (id int, word text); INSERT INTO open VALUES (1, 'free');";
    let postgres = shared_postgres().await;
    let database = database_of(postgres, sql).await;
    let server = McpServer::start(ServerOptions::new(postgres.reader_url(&database))).await.unwrap();
    let mut client = Client::open(&server).await;
    let mut catalog = String::new();
    until("the values of columns are read", async || {
        let uri = format!("postgres://{database}/catalog");
        let answer = client.request("resources/read", json!({ "uri": uri })).await;
        catalog = answer["result"]["contents"][0]["text"].as_str().unwrap().to_owned();
        catalog.contains(r#""samples":"complete""#)
    })
    .await;
    assert!(catalog.contains("free") && !catalog.contains("caught"), "{catalog}");
}
