//! Statements without a policy: kinds, functions, operators, types and names.

use super::*;

#[test]
fn queries_pass() {
    for text in [
        "SELECT",
        "SELECT 1",
        "VALUES (1, 'a'), (2, 'b') ORDER BY column2",
        "TABLE users",
        "(SELECT id FROM users) UNION ALL (SELECT id FROM orders ORDER BY id LIMIT 1) ORDER BY id",
        "SELECT DISTINCT status FROM orders",
        "SELECT DISTINCT ON (user_id) user_id AS u, total FROM orders ORDER BY u, placed_at DESC",
        "SELECT status AS s, count(*) n FROM orders GROUP BY s HAVING count(*) > 1 ORDER BY n",
        "SELECT u.name, o.total FROM users u JOIN orders o ON o.user_id = u.id WHERE o.total > 10.5",
        "SELECT id, o.* FROM users u JOIN LATERAL (SELECT * FROM orders WHERE user_id = u.id LIMIT 3) o USING (id)",
        "SELECT sum(total) OVER w FROM orders WINDOW w AS (PARTITION BY user_id ORDER BY placed_at ROWS 3 PRECEDING)",
        "SELECT CASE status WHEN 'paid' THEN 1 ELSE 0 END, COALESCE(total, 0), GREATEST(1, total), NULLIF(total, 0) FROM orders",
        "SELECT * FROM users WHERE id IN (SELECT user_id FROM orders) AND id = ANY ($1::int[]) AND name LIKE $2",
        "SELECT total::numeric(10,2), CAST(id AS text), created_at AT TIME ZONE 'UTC' FROM users",
        "SELECT extract(year FROM created_at), date_trunc('month', created_at), now() - interval '1 day' FROM users",
        "SELECT g FROM generate_series(1, 3) g",
        "SELECT * FROM json_to_recordset('[]') AS x(a int, b text)",
        "SELECT * FROM ROWS FROM (generate_series(1, 2), unnest(ARRAY[1])) WITH ORDINALITY AS t(a, b, n)",
        "SELECT (ARRAY[1, 2])[1], ROW(1, 2), (ARRAY(SELECT id FROM users))[1:2]",
        "SELECT u FROM users u",
        "SELECT row_to_json(u) FROM users u",
        "SELECT public.users.name, ctid FROM public.users",
        "SELECT id FROM ONLY orders TABLESAMPLE bernoulli (10) REPEATABLE (1)",
        "SELECT 'paid'::status, 'paid'::public.status, '{paid}'::status[]",
        "SELECT 1 OPERATOR(pg_catalog.+) 2, 1 <> 2, 'a' ~* 'b', '{}'::jsonb ->> 'a'",
        "SELECT pg_catalog.initcap('a'), pg_catalog.lower('B')",
        "SELECT make_interval(days => 10)",
        "SELECT string_agg(name, ', ' ORDER BY name) FILTER (WHERE id > 1) FROM users",
        "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY total) FROM orders",
        "SELECT xmlelement(name user, xmlattributes(id AS i), name), xmlserialize(content '<a/>'::xml AS text) FROM users",
        "SELECT * FROM xmltable('/a' PASSING ('<a/>'::xml) COLUMNS x int PATH 'x', n FOR ORDINALITY) t WHERE t.x = 1",
        "SELECT JSON_OBJECT('a': 1), JSON_ARRAY(1, 2), JSON_QUERY('{}', '$.a' RETURNING jsonb), '{}' IS JSON",
        "SELECT jt.a FROM JSON_TABLE('[]', '$[*]' COLUMNS (a int PATH '$.a', NESTED PATH '$.b' COLUMNS (c text))) jt",
        "SELECT 1::numeric(5, -2), '1'::interval day to second (3), 'a'::varchar(3)[], ARRAY[]::pg_catalog.int4[]",
        "SELECT current_date, current_user, localtimestamp(3)",
        "SELECT name COLLATE \"C\" FROM users ORDER BY name USING <",
        "SELECT updated, \"delete\" FROM (SELECT 1 AS updated, 2 AS \"delete\") drops -- DROP TABLE users",
        "SELECT * FROM pg_timezone_names WHERE name LIKE 'Europe/%'",
        "SELECT x.total FROM (SELECT total FROM orders) x",
        "SELECT o.total FROM orders o WHERE EXISTS (SELECT FROM users o2 WHERE o2.total < o.total)",
        "SELECT j.name FROM (users u JOIN order_items i ON i.order_id = u.id) AS j",
        "SELECT m.id FROM users JOIN orders USING (id) AS m",
    ] {
        passes(text);
    }
}

#[test]
fn only_queries_pass() {
    use ErrorCode::{InvalidSql, MultipleStatements, WriteOperationDenied};
    let check = refused;
    check("INSERT INTO users VALUES (1)", WriteOperationDenied, "INSERT");
    check("WITH x AS (SELECT 1) DELETE FROM users", WriteOperationDenied, "DELETE");
    check("DROP TABLE users", WriteOperationDenied, "DROP");
    check("/* hello */ TRUNCATE users", WriteOperationDenied, "TRUNCATE");
    check("SET search_path = x", WriteOperationDenied, "SET");
    check("CALL p()", WriteOperationDenied, "CALL");
    check("DO 'begin end'", WriteOperationDenied, "DO");
    check("COPY users TO STDOUT", WriteOperationDenied, "COPY");
    check("BEGIN", WriteOperationDenied, "BEGIN");
    check("EXPLAIN ANALYZE SELECT 1", WriteOperationDenied, "EXPLAIN");
    check("EXPLAIN SELECT 1", InvalidSql, "EXPLAIN");
    check("SHOW all", InvalidSql, "SHOW");
    check("SELECT 1; SELECT 2", MultipleStatements, "one statement");
    check("SELECT * INTO evil FROM users", WriteOperationDenied, "INTO");
    check("(SELECT 1) UNION (SELECT 1 FROM users FOR UPDATE)", WriteOperationDenied, "lock");
    check("SELECT (SELECT 1 FROM users FOR SHARE LIMIT 1)", WriteOperationDenied, "lock");
    check("WITH x AS (DELETE FROM users RETURNING *) SELECT * FROM x", WriteOperationDenied, "DELETE");
    check("SELECT * FROM (WITH x AS (UPDATE users SET id = 1 RETURNING 1) SELECT 1) q", WriteOperationDenied, "UPDATE");
    check(
        "SELECT EXISTS (WITH x AS (MERGE INTO users USING orders ON true WHEN MATCHED THEN DELETE RETURNING 1) SELECT 1)",
        WriteOperationDenied,
        "MERGE",
    );
}

#[test]
fn functions_are_judged_wherever_they_stand() {
    use ErrorCode::{FunctionDenied, FunctionNotFound};
    for text in [
        "SELECT pg_sleep(1)",
        "SELECT \"pg_sleep\"(1)",
        "SELECT pg_catalog.pg_sleep(1)",
        "SELECT * FROM pg_sleep(1)",
        "SELECT * FROM ROWS FROM (generate_series(1, 2), pg_sleep(1))",
        "SELECT * FROM users WHERE pg_sleep(1) IS NULL",
        "SELECT * FROM users u JOIN orders o ON pg_sleep(1) IS NULL",
        "SELECT count(*) FILTER (WHERE pg_sleep(1) IS NULL) FROM users",
        "SELECT count(*) OVER (PARTITION BY pg_sleep(1)) FROM users",
        "SELECT count(*) OVER w FROM users WINDOW w AS (ORDER BY pg_sleep(1))",
        "SELECT 1 ORDER BY pg_sleep(1)",
        "SELECT 1 LIMIT (SELECT 1 FROM pg_sleep(1))",
        "SELECT 1 OFFSET length(pg_sleep(1)::text)",
        "SELECT 1 GROUP BY GROUPING SETS ((pg_sleep(1)))",
        "SELECT DISTINCT ON (pg_sleep(1)) 1",
        "SELECT (ARRAY[1])[length(pg_sleep(1)::text)]",
        "VALUES (pg_sleep(1))",
        "SELECT * FROM users TABLESAMPLE bernoulli (length(pg_sleep(1)::text))",
        "SELECT * FROM xmltable('/a' PASSING (pg_sleep(1)::text::xml) COLUMNS x int DEFAULT pg_sleep(1))",
        "SELECT * FROM JSON_TABLE('[]', '$' PASSING pg_sleep(1) AS p COLUMNS (a int))",
        "SELECT JSON_QUERY('{}', '$' DEFAULT pg_sleep(1) ON ERROR)",
        "SELECT JSON_ARRAYAGG(id ORDER BY pg_sleep(1)) FROM users",
        "SELECT JSON_ARRAY(SELECT pg_sleep(1))",
        "SELECT xmlelement(name a, xmlattributes(pg_sleep(1) AS b))",
        "SELECT ('1'::text).pg_sleep",
        "SELECT users.pg_sleep FROM users",
        "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE pg_sleep(1) IS NULL) SELECT * FROM r",
    ] {
        refused(text, FunctionDenied, "pg_sleep() is not allowed");
    }
    refused("SELECT leak()", FunctionDenied, "VOLATILE");
    refused("SELECT public.leak()", FunctionDenied, "VOLATILE");
    refused("SELECT other.lower('A')", FunctionNotFound, "lower()");
    refused("SELECT public.leak(1, 2)", FunctionNotFound, "2 arguments");
    refused("SELECT initcap('a')", FunctionDenied, "public.initcap() is not allowed");
    refused("SELECT lowr('A')", FunctionNotFound, "lowr()");
    refused("SELECT lower('A', 1)", FunctionNotFound, "2 arguments");
    refused("SELECT pg_get_viewdef('v')", FunctionDenied, "hidden");
    refused("SELECT ts_rewrite('a'::tsquery, 'SELECT 1')", FunctionDenied, "text arguments");
    // To a server before 17 this is a call of the database's own json_value.
    refused("SELECT JSON_VALUE('{}', '$.a')", FunctionDenied, "json_value");
}

#[test]
fn attribute_notation_is_no_way_around() {
    use ErrorCode::{ColumnNotFound, FunctionDenied};
    let check = refused;
    check("SELECT users.leak FROM users", FunctionDenied, "leak");
    check("SELECT u.leak FROM users u", FunctionDenied, "leak");
    check("SELECT (u).leak FROM users u", FunctionDenied, "leak");
    check("SELECT public.users.leak FROM users", FunctionDenied, "leak");
    check("SELECT x.leak FROM (SELECT 1 AS a) x", FunctionDenied, "leak");
    // An inner item of the same name without the column is what PostgreSQL would mean.
    check("SELECT (SELECT u.total FROM order_items u LIMIT 1) FROM users u", FunctionDenied, "total");
    check("SELECT u.nme FROM users u", ColumnNotFound, "u.nme");
    passes("SELECT u.total FROM users u");
    passes("SELECT x.total FROM (SELECT * FROM users) x");
    passes("WITH x AS (SELECT total FROM users) SELECT x.total FROM x");
    passes("SELECT x.total FROM (VALUES (1)) x(total)");
}

#[test]
fn a_cast_is_a_cast_in_any_notation() {
    let check = |text: &str, type_name: &str| refused(text, ErrorCode::FunctionDenied, type_name);
    check("SELECT ('postgres').regrole", "regrole");
    check("SELECT ('postgres'::text).\"regrole\"", "regrole");
    check("SELECT (10::oid).regrole", "regrole");
    check("SELECT (2200::oid).regnamespace", "regnamespace");
    check("SELECT (g::oid).regtype FROM generate_series(16384, 16500) g", "regtype");
    check("SELECT g.regclass FROM generate_series(1, 2) g", "regclass");
    check("SELECT (g).regclass FROM generate_series(1, 2) g", "regclass");
    check("SELECT ($1).regclass", "regclass");
    check("SELECT ('{users}')._regclass", "_regclass");
    check("SELECT ('{a=r/b}')._pg_class", "_pg_class");
    check("SELECT ('postgres=r/postgres').aclitem", "aclitem");
    check("SELECT ('x').cstring", "cstring");
    check("SELECT ('x').checked_text", "checked_text");
    check("SELECT ('{x}')._checked_text", "_checked_text");
    check("SELECT regrole('postgres')", "regrole");
    check("SELECT pg_catalog.regrole('postgres')", "regrole");
    check("SELECT * FROM regclass('users')", "regclass");
    check("SELECT aclitem('a=r/b')", "aclitem");
    check("SELECT checked_text('x')", "checked_text");
    check("SELECT _checked_text('{x}')", "_checked_text");
    check("SELECT public.checked_text('x')", "checked_text");
    check("SELECT hash_aclitem('postgres=r/postgres')", "hash_aclitem");
    passes(
        "SELECT ('1').int4, (1).text, uuid('1'), jsonb('{}'), pg_catalog.json('{}'), date('2020-01-01'), status('paid')",
    );
    // A row type is never meant, so this is a field or nothing.
    passes("SELECT (x.id).users, (x.id).pg_class FROM users x");
    passes("SELECT x.regclass, y.oid FROM (SELECT 1 AS regclass) x, (SELECT 2 AS oid) y");
    refused("SELECT usrs('x')", ErrorCode::FunctionNotFound, "usrs");
    refused("SELECT pg_slep(1)", ErrorCode::FunctionNotFound, "pg_slep");
}

#[test]
fn a_types_name_is_told_only_as_text() {
    for text in [
        "SELECT ARRAY[pg_typeof(1), '16385', 'users']",
        "SELECT pg_typeof(1) = 'users'",
        "SELECT coalesce(pg_typeof(NULL), 'users')",
        "SELECT CASE WHEN true THEN pg_typeof(1) ELSE 'users' END",
        "SELECT pg_typeof(1) UNION SELECT '16385'",
        "SELECT '16385' UNION (SELECT pg_typeof(1))",
        "SELECT pg_typeof(1) IN ('users')",
        "SELECT lead(pg_typeof(1), 1, 'users') OVER ()",
        "VALUES (pg_typeof(1)), ('users')",
        "SELECT (SELECT pg_typeof(1))",
        "SELECT t = 'users' FROM (SELECT pg_typeof(1)) q(t)",
        "WITH t AS (SELECT pg_typeof(1) AS t) SELECT t = 'users' FROM t",
        "SELECT t = 'users' FROM pg_typeof(1) t",
        "SELECT 1 FROM users GROUP BY pg_typeof(id) HAVING pg_typeof(id) = 'users'",
        "SELECT ARRAY[pg_typeof(1), 'users']::text",
        "SELECT pg_typeof(1)::oid",
        "SELECT pg_typeof(1)::text[]",
        "SELECT (1).pg_typeof",
        "SELECT u.pg_typeof FROM users u",
    ] {
        refused(text, ErrorCode::FunctionDenied, "pg_typeof");
    }
    passes("SELECT id, pg_typeof(id) AS type FROM users ORDER BY 2");
    passes("WITH u AS (TABLE users) SELECT DISTINCT pg_catalog.pg_typeof(name) FROM u");
    passes("SELECT count(*) FROM users GROUP BY pg_typeof(id)::text HAVING CAST(pg_typeof(id) AS text) = 'integer'");
    passes("SELECT pg_typeof(1)::pg_catalog.text UNION SELECT 'users'");
}

#[test]
fn operators_and_types_are_postgresqls_own() {
    use ErrorCode::{FunctionDenied, InvalidSql};
    let check = refused;
    check("SELECT 1 @#@ 2", FunctionDenied, "@#@");
    check("SELECT 1 OPERATOR(public.+) 2", FunctionDenied, "public.+");
    check("SELECT point '(0,0)' <-> point '(1,1)'", FunctionDenied, "<->");
    passes("SELECT point '(0,0)' OPERATOR(pg_catalog.<->) point '(1,1)'");
    check("SELECT * FROM users ORDER BY name USING @#@", FunctionDenied, "@#@");
    check("SELECT 1 @#@ ANY (SELECT 2)", FunctionDenied, "@#@");
    check("SELECT 'users'::regclass", FunctionDenied, "regclass");
    check("SELECT CAST('{users}' AS regclass[])", FunctionDenied, "regclass");
    check("SELECT _regclass '{users}'", FunctionDenied, "_regclass");
    check("SELECT regtype 'int'", FunctionDenied, "regtype");
    check("SELECT 'a=r/b'::aclitem", FunctionDenied, "aclitem");
    passes("SELECT '(1)'::users, jsonb_populate_record(NULL::users, '{}')");
    check("SELECT '(1)'::pg_class", FunctionDenied, "row type");
    check("SELECT 'x'::checked_text", FunctionDenied, "checked_text");
    check("SELECT '{x}'::checked_text[]", FunctionDenied, "checked_text");
    check("SELECT 'x'::public._checked_text", FunctionDenied, "checked_text");
    check("SELECT * FROM json_to_record('{}') AS x(a checked_text)", FunctionDenied, "checked_text");
    check("SELECT * FROM JSON_TABLE('[]', '$' COLUMNS (a regclass))", FunctionDenied, "regclass");
    check("SELECT 'x'::tex", InvalidSql, "tex");
}

#[test]
fn relations_resolve_as_postgresql_does() {
    let check = |text: &str, expected: &str| {
        let relations: Vec<_> =
            passes(text).relations().iter().map(|one| format!("{}.{}", one.schema, one.name)).collect();
        assert_eq!(relations.join(" "), expected, "{text}");
    };
    check("SELECT 1", "");
    check("SELECT * FROM users, orders o, users u", "public.orders public.users");
    check("SELECT * FROM audit.log", "audit.log");
    check("SELECT * FROM Users JOIN \"orders\" USING (id)", "public.orders public.users");
    check("SELECT * FROM U&\"\\0075sers\"", "public.users");
    check("SELECT * FROM ONLY (users)", "public.users");
    check("SELECT * FROM users *", "public.users");
    // A WITH query hides a table, from where it is visible.
    check("WITH users AS (SELECT 1 AS x) SELECT x FROM users", "");
    check("WITH users AS (SELECT * FROM users) SELECT * FROM users", "public.users");
    check("WITH a AS (SELECT * FROM users), users AS (SELECT 1) SELECT * FROM a", "public.users");
    check("WITH RECURSIVE a AS (SELECT * FROM users), users AS (SELECT 1) SELECT * FROM a", "");
    check("WITH users AS (SELECT 1) SELECT * FROM public.users", "public.users");
    check("SELECT (WITH users AS (SELECT 1) SELECT count(*) FROM users) FROM orders", "public.orders");
    check("SELECT * FROM (WITH users AS (SELECT 1) TABLE users) a, users", "public.users");
    check("WITH a AS (WITH orders AS (SELECT 1) TABLE orders) SELECT * FROM a, orders", "public.orders");
    check("WITH users AS (SELECT 1) (SELECT * FROM users) UNION ALL (WITH orders AS (TABLE users) TABLE orders)", "");
    check("SELECT * FROM public.pg_notes", "public.pg_notes");
    // A database's own name may stand before the schema.
    check("SELECT shop.public.users.id, public.users.name FROM shop.public.users", "public.users");
    check("WITH users AS (SELECT 1) TABLE \"shop\".public.users", "public.users");
    // Names are cut at 63 bytes, between characters.
    check(&format!("WITH {0} AS (SELECT 1) TABLE {0}x", "a".repeat(63)), "");
    check(&format!("WITH {0} AS (SELECT 1) TABLE {0}é", "é".repeat(31)), "");
}

#[test]
fn unknown_and_closed_relations_are_refused() {
    use ErrorCode::{AccessDenied, InvalidSql, TableNotFound};
    let check = refused;
    check("SELECT * FROM order", InvalidSql, "syntax error");
    check("SELECT * FROM usres", TableNotFound, "usres (line 1, column 15)");
    check("SELECT * FROM log", TableNotFound, "log");
    check("SELECT * FROM audit.users", TableNotFound, "audit.users");
    check("SELECT * FROM (WITH a AS (SELECT 1) TABLE a) x, a", TableNotFound, "a");
    check("WITH a AS (TABLE b), b AS (SELECT 1) TABLE a", TableNotFound, "b");
    check("SELECT * FROM pg_class", AccessDenied, "pg_class");
    check("SELECT * FROM pg_notes", AccessDenied, "pg_notes");
    check("SELECT * FROM pg_catalog.pg_class", AccessDenied, "pg_class");
    check("SELECT * FROM information_schema.tables", AccessDenied, "tables");
    check("SELECT * FROM pg_toast.pg_toast_1", AccessDenied, "pg_toast_1");
    check("SELECT * FROM pg_temp.users", AccessDenied, "users");
    check("SELECT * FROM other.public.users", InvalidSql, "database");
    check("SELECT * FROM shop.public.nothing", TableNotFound, "nothing");
    let similar = |text: &str| judge(text).unwrap_err().similar_tables.join(" ");
    assert_eq!(similar("SELECT * FROM usres"), "users");
    assert_eq!(similar("SELECT * FROM logs"), "audit.log");
    assert_eq!(similar("SELECT * FROM order"), "");
    assert_eq!(similar("SELECT * FROM \"order\""), "orders order_items");
}

#[test]
fn unknown_columns_are_named() {
    let check = |text: &str, similar: &str| {
        refused(text, ErrorCode::ColumnNotFound, "there is no column");
        assert_eq!(judge(text).unwrap_err().similar_columns.join(" "), similar, "{text}");
    };
    check("SELECT nme FROM users", "name");
    check("SELECT id FROM users WHERE emial = 'a'", "email");
    check("SELECT u.emial FROM users u", "email");
    check("SELECT \"paid\" FROM orders", "");
    check("SELECT x FROM users", "");
    check("SELECT id AS x FROM users WHERE x = 1", "");
    check("SELECT 1 FROM users JOIN order_items USING (id)", "");
    passes("SELECT id AS x FROM users ORDER BY x");
    passes("SELECT (SELECT max(placed_at) FROM orders WHERE user_id = email::int) FROM users");
    passes("SELECT anything FROM jsonb_to_record('{}') AS r(anything int)");
    passes("WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 9) SELECT n FROM r");
    passes("SELECT value FROM jsonb_each('{}')");
}

#[test]
fn placeholders_are_counted() {
    assert_eq!(passes("SELECT $2::int, $1::text, $2 LIMIT $3").placeholders(), 3);
    refused("SELECT $1, $3", ErrorCode::ParameterError, "no $2");
    refused("SELECT $0", ErrorCode::ParameterError, "$0");
}

#[test]
fn advice_leaves_to_the_server_what_only_it_knows() {
    let shop: Arc<dyn Catalog> = Arc::new(Shop::new());
    let advise = |text: &str, params: Option<usize>, shop: Option<Arc<dyn Catalog>>| {
        advise::advise(text, params, shop, &Limits::default(), &Abandoned::default())
            .map_err(|rejection| rejection.code)
    };
    for text in [
        "SELECT leak()",
        "SELECT anything(1)",
        "SELECT gis.st_area(x) FROM users u(x)",
        "SELECT 'x'::checked_text, 'y'::unheard_of, 1 @#@ 2",
        "SELECT pg_get_viewdef('v')",
        "SELECT pg_typeof(1) = 'users', ('x').checked_text, checked_text('x')",
        "SELECT u.leak FROM users u WHERE $1 = 1",
    ] {
        // The last one has a column that no catalog has, but that could be a call.
        let expected = if text.contains("u.leak") { Err(ErrorCode::ColumnNotFound) } else { Ok(()) };
        assert_eq!(advise(text, None, Some(shop.clone())).map(drop), expected, "{text}");
    }
    let check =
        |text: &str, params, code| assert_eq!(advise(text, params, Some(shop.clone())).unwrap_err(), code, "{text}");
    check("SELECT pg_sleep(1)", None, ErrorCode::FunctionDenied);
    check("SELECT ('x').regclass", None, ErrorCode::FunctionDenied);
    check("SELECT regclass('x')", None, ErrorCode::FunctionDenied);
    check("SELEC 1", None, ErrorCode::InvalidSql);
    check("DROP TABLE users", None, ErrorCode::WriteOperationDenied);
    check("SELECT 1; SELECT 2", None, ErrorCode::MultipleStatements);
    check("SELECT * FROM usres", None, ErrorCode::TableNotFound);
    check("SELECT emial FROM users", None, ErrorCode::ColumnNotFound);
    check("SELECT $1::int", Some(2), ErrorCode::ParameterError);
    let advice = advise("SELECT $1::int FROM users, audit.log", Some(1), None).unwrap();
    let relations: Vec<_> = advice.relations.iter().map(|one| (one.schema.as_str(), one.name.as_str())).collect();
    assert_eq!((advice.placeholders, relations), (1, vec![("", "users"), ("audit", "log")]));
}

#[test]
fn a_function_whose_result_could_be_converted_by_a_denied_one_is_denied() {
    refused("SELECT paired('a')", ErrorCode::FunctionDenied, "returns a type that runs leak()");
}

#[test]
fn a_function_in_a_language_that_cannot_be_looked_through_is_denied() {
    refused("SELECT tickled('a')", ErrorCode::FunctionDenied, "language");
}

#[test]
fn code_that_no_statement_names_must_be_code_that_may_run() {
    let judge = |function: ObjectId, is_anywhere: bool| {
        let of = "the cast from int4 to bool".to_string();
        let shop = Shop { hooks: vec![Hook { of, function: FunctionRef::User(function), is_anywhere }], ..Shop::new() };
        let access = Access::new(Arc::new(shop), Arc::default());
        let verdict = check("SELECT id FROM users WHERE id", &access, &Limits::default(), &Abandoned::default());
        (verdict.map(|query| query.runs_user_code()).map_err(|rejection| rejection.message), access.denied_hooks())
    };
    let why = "the cast from int4 to bool runs leak(), which is VOLATILE, so it may change something";
    let (verdict, denied) = judge(2, true);
    assert_eq!(verdict, Err(format!("in this database {why}, wherever values of such types stand")));
    assert_eq!(denied, [why]);
    // Where it only runs on values of the users' own types, those are refused themselves.
    assert_eq!(judge(2, false), (Ok(false), vec![why.to_string()]));
    assert_eq!(judge(3, true), (Ok(true), Vec::new()));
}

#[test]
fn values_in_conditions_may_have_to_be_parameters() {
    let limits = Limits { require_parameters: true, ..Limits::default() };
    let judge = |text: &str| check(text, &access(Policy::default()), &limits, &Abandoned::default());
    let refused = |text: &str, column: u32| {
        let rejection = judge(text).expect_err(text);
        assert_eq!(rejection.code, ErrorCode::ParameterError, "{text}\n{rejection:#?}");
        assert_eq!(rejection.position.map(|at| at.column), Some(column), "{text}\n{rejection:#?}");
        assert!(!rejection.message.contains("secret"), "{rejection:#?}");
    };
    refused("SELECT id FROM users WHERE name = 'secret'", 35);
    refused("SELECT id FROM users WHERE id = -7", 33);
    refused("SELECT id FROM users WHERE id IN ($1, 7)", 39);
    refused("SELECT id FROM users WHERE id BETWEEN $1 AND 9", 46);
    refused("SELECT id FROM users WHERE name LIKE 'a%' AND id = $1", 38);
    refused("SELECT id FROM users WHERE created_at > now() - interval '1 day'", 58);
    refused("SELECT u.id FROM users u JOIN orders o ON o.user_id = u.id AND o.total > 5", 74);
    refused("SELECT user_id FROM orders GROUP BY user_id HAVING count(*) > 5", 63);
    refused("SELECT count(*) FILTER (WHERE total > 5) FROM orders", 39);
    refused("SELECT id FROM users WHERE EXISTS (SELECT 1 FROM orders WHERE total > 5)", 71);
    for text in [
        "SELECT 'a' || name, id + 1 FROM users WHERE name = $1 AND total IS NOT NULL AND true ORDER BY 1 LIMIT 5",
        "SELECT id FROM users WHERE date_trunc('month', created_at::timestamptz) = $1 AND extract(year FROM now()) = $2",
        "SELECT id FROM users WHERE EXISTS (SELECT 1 FROM orders WHERE user_id = users.id LIMIT 1)",
        "SELECT id FROM users WHERE name::jsonb -> 'a' ->> 'b' = $1 AND (name::text[])[1] = $2",
        "SELECT id FROM users WHERE coalesce(name, '') = $1 AND created_at > (now() - $2::interval)::text",
    ] {
        judge(text).unwrap_or_else(|rejection| panic!("{text}\n{rejection:#?}"));
    }
}

#[test]
fn a_column_that_is_called_like_a_newer_word_is_told_how_to_be_named() {
    let within = "FROM (SELECT 1 AS \"system_user\") AS l";
    let suggestion = |text: &str| judge(text).expect_err(text).suggestion.unwrap();
    assert!(suggestion(&format!("SELECT system_user {within}")).contains("write its table or alias before it"));
    assert!(!suggestion("SELECT system_user").contains("alias"));
    passes(&format!("SELECT l.system_user {within}"));
}
