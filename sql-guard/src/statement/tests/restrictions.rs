//! What hidden and masked tables and columns, and the database's own functions and types, let pass.

use ErrorCode::{AccessDenied, ColumnNotFound, FunctionDenied, FunctionNotFound, TableNotFound};

use super::*;

fn hidden_ssn() -> Policy {
    Policy { deny_columns: patterns(&["public.secrets.ssn"]), ..Policy::default() }
}

fn masked_ssn() -> Policy {
    Policy { mask_columns: patterns(&["public.secrets.ssn"]), ..Policy::default() }
}

fn hidden_secrets() -> Policy {
    Policy { deny_tables: patterns(&["public.secrets"]), ..Policy::default() }
}

fn allow(functions: &[&str]) -> Policy {
    Policy { allow_functions: vec![patterns(functions)], ..Policy::default() }
}

/// The places of masked columns, from 1.
fn masked(policy: Policy, text: &str) -> Vec<usize> {
    let query = judge_as(policy, text).unwrap_or_else(|rejection| panic!("{text}\n{rejection:#?}"));
    query.masked().iter().map(|at| at + 1).collect()
}

#[test]
fn a_natural_join_of_columns_without_certain_names_moves_no_masked_column() {
    for text in [
        // PostgreSQL calls both numbers ?column?, and merges them.
        "SELECT * FROM (SELECT 3) a NATURAL JOIN (SELECT 3, ssn FROM secrets) b",
        "SELECT * FROM (SELECT 3, ssn FROM secrets) a NATURAL JOIN (SELECT 3) b",
        // Some of the row's columns may be the other side's.
        "SELECT * FROM (SELECT ssn, (ROW(1)).* FROM secrets) a NATURAL JOIN users",
        "SELECT * FROM users NATURAL JOIN (SELECT ssn, (ROW(1)).* FROM secrets) a",
    ] {
        refused_as(masked_ssn(), text, AccessDenied, "NATURAL JOIN");
    }
    let text = "SELECT * FROM (SELECT 3) a NATURAL JOIN (SELECT 3) b";
    // However many columns there are.
    let query = judge_as(masked_ssn(), text).unwrap();
    assert!(query.describes(vec!["x"; 9].into_iter()), "{text}");
    assert_eq!(
        masked(masked_ssn(), "SELECT * FROM (SELECT 3 AS x) a NATURAL JOIN (SELECT 3 AS x, ssn FROM secrets) b"),
        [2]
    );
}

#[test]
fn what_combines_a_masked_column_is_told_with_its_place_and_the_column() {
    for (text, word) in [
        ("SELECT id, ssn FROM secrets union SELECT 1, 'a'", "union"),
        ("SELECT 1, 'a' EXCEPT SELECT id, ssn FROM secrets", "EXCEPT"),
        ("SELECT DISTINCT ssn FROM secrets", "DISTINCT"),
    ] {
        let rejection = judge_as(masked_ssn(), text).unwrap_err();
        assert!(rejection.message.contains("ssn, which is masked"), "{text}\n{rejection:#?}");
        assert_eq!(rejection.refused.as_deref(), Some("ssn"), "{text}");
        let place = rejection.position.expect("it has a place");
        assert_eq!(text.find(word), Some(usize::try_from(place.column).unwrap() - 1), "{text}");
    }
}

#[test]
fn a_hidden_table_is_no_table() {
    for text in [
        "SELECT * FROM secrets",
        "TABLE public.secrets",
        "SELECT * FROM ONLY secrets",
        "SELECT * FROM \"secrets\"",
        "SELECT * FROM U&\"s\\0065crets\"",
        "SELECT 1 WHERE EXISTS (SELECT FROM secrets)",
        "SELECT id FROM users WHERE id IN (SELECT id FROM secrets)",
        "SELECT ARRAY(SELECT ssn FROM secrets)",
        "SELECT * FROM users, LATERAL (SELECT * FROM secrets s WHERE s.id = users.id) x",
        "WITH x AS (SELECT * FROM secrets), secrets AS (SELECT 1) SELECT * FROM x",
        "WITH RECURSIVE x AS (SELECT * FROM y), y AS (SELECT * FROM secrets) SELECT * FROM x",
        "VALUES ((SELECT ssn FROM secrets LIMIT 1))",
        "SELECT * FROM (secrets JOIN users USING (id)) j",
        "SELECT * FROM open_secrets",
        "SELECT * FROM shown_secrets",
        "SELECT * FROM over_secrets",
    ] {
        refused_as(hidden_secrets(), text, TableNotFound, "there is no table");
        let similar = judge_as(hidden_secrets(), text).unwrap_err();
        let speaks = |name: &String| name.contains("secrets") && name != "audit.secrets";
        assert!(!similar.similar_tables.iter().any(speaks), "{text}: {similar:?}");
    }
    refused_as(hidden_secrets(), "SELECT reader('1')", FunctionDenied, "may not read");
    // What the search_path finds first is what PostgreSQL would read.
    let mut shop = Shop::new();
    shop.search_path = vec!["public".into(), "audit".into()];
    let access = Access::new(Arc::new(shop), Arc::new(hidden_secrets()));
    let verdict = check("SELECT id FROM secrets", &access, &Limits::default(), &Abandoned::default());
    assert_eq!(verdict.unwrap_err().code, TableNotFound);
}

#[test]
fn a_list_of_tables_hides_all_others() {
    let only =
        || Policy { allow_tables: vec![patterns(&["public.*"]), patterns(&["*.users", "*.log"])], ..Policy::default() };
    judge_as(only(), "SELECT * FROM users").unwrap();
    refused_as(only(), "SELECT * FROM audit.log", TableNotFound, "audit.log");
    refused_as(only(), "SELECT * FROM orders", TableNotFound, "orders");
    // A view that the list names shows what its owner wanted shown.
    let view = Policy { allow_tables: vec![patterns(&["public.shown_secrets"])], ..Policy::default() };
    judge_as(view, "SELECT ssn FROM shown_secrets").unwrap();
}

#[test]
fn a_hidden_column_is_no_column() {
    for text in [
        "SELECT ssn FROM secrets",
        "SELECT secrets.ssn FROM secrets",
        "SELECT public.secrets.ssn FROM secrets",
        "SELECT (s).ssn FROM secrets s",
        "SELECT \"ssn\" FROM secrets",
        "SELECT max(ssn) FROM secrets",
        "SELECT count(ssn) FROM secrets",
        "SELECT id FROM secrets ORDER BY ssn",
        "SELECT id FROM secrets GROUP BY id, ssn",
        // GROUP BY means the input column first.
        "SELECT count(*), id AS ssn FROM secrets GROUP BY ssn",
        "SELECT a.id FROM secrets a JOIN audit.secrets b USING (ssn)",
        // The inner column is meant, though an outer one could be.
        "SELECT (SELECT ssn FROM secrets LIMIT 1) FROM audit.secrets",
        "SELECT 1 FROM audit.secrets WHERE EXISTS (SELECT FROM secrets WHERE ssn LIKE '1%')",
        // Without LATERAL, what stands beside isn't meant.
        "SELECT (SELECT x.v FROM audit.secrets, (SELECT ssn AS v) x LIMIT 1) FROM secrets",
        "SELECT (SELECT 1 FROM audit.secrets, users JOIN orders ON ssn = '1' LIMIT 1) FROM secrets",
    ] {
        refused_as(hidden_ssn(), text, ColumnNotFound, "there is no column");
        assert!(judge_as(hidden_ssn(), text).unwrap_err().similar_columns.iter().all(|name| name != "ssn"), "{text}");
    }
    for text in [
        "SELECT * FROM secrets",
        "SELECT s.* FROM secrets s",
        "SELECT s FROM secrets s",
        "SELECT to_json(s) FROM secrets s",
        "SELECT s::text FROM secrets s",
        "SELECT s IS NULL FROM secrets s",
        "SELECT count(DISTINCT s) FROM secrets s",
        "SELECT count(s.*) FROM secrets s",
        "SELECT row(s.*) FROM secrets s",
        "SELECT (s.*)::text FROM secrets s",
        "SELECT s = s FROM secrets s",
        "SELECT x.a FROM secrets AS x(a, b, c, d)",
        "SELECT * FROM (SELECT * FROM secrets) x",
        "SELECT id FROM secrets NATURAL JOIN audit.secrets s",
        "WITH RECURSIVE a AS (SELECT * FROM b), b AS (SELECT * FROM secrets) SELECT 1 FROM a",
        "SELECT j.id FROM (secrets JOIN users USING (id)) AS j(x, y)",
    ] {
        refused_as(hidden_ssn(), text, AccessDenied, "");
        let rejection = judge_as(hidden_ssn(), text).unwrap_err();
        assert!(!format!("{rejection:?}").contains("ssn"), "{text}: {rejection:?}");
    }
    for text in [
        "SELECT id, owner FROM secrets ORDER BY id",
        "SELECT count(*) FROM secrets",
        "SELECT id AS ssn FROM secrets ORDER BY ssn",
        "SELECT s.id, x.ssn FROM secrets s JOIN audit.secrets x ON x.id = s.id",
        "SELECT * FROM open_secrets",
        "SELECT (s).id FROM secrets s",
        "SELECT * FROM (SELECT id, owner FROM secrets) x NATURAL JOIN users",
    ] {
        judge_as(hidden_ssn(), text).unwrap_or_else(|rejection| panic!("{text}\n{rejection:#?}"));
    }
    // Views that show it, or anything made of it, are absent too.
    for view in ["shown_secrets", "cooked_secrets", "over_secrets", "rows_of_secrets"] {
        refused_as(hidden_ssn(), &format!("SELECT * FROM {view}"), TableNotFound, view);
    }
}

#[test]
fn a_column_that_the_role_may_not_read_keeps_its_place() {
    refused("SELECT * FROM accounts", AccessDenied, "may not read");
    refused("SELECT locked FROM accounts", ColumnNotFound, "locked");
    refused("SELECT b FROM accounts AS a(x, b)", AccessDenied, "aliases");
    passes("SELECT id, name FROM accounts");
}

#[test]
fn a_masked_column_is_put_out_masked() {
    let check = |text: &str, places: &[usize]| assert_eq!(masked(masked_ssn(), text), places, "{text}");
    check("SELECT id, ssn FROM secrets", &[2]);
    check("SELECT * FROM secrets", &[3]);
    check("SELECT s.*, s.ssn AS again FROM secrets s ORDER BY owner", &[3, 5]);
    check("SELECT (s).ssn FROM secrets s", &[1]);
    check("TABLE secrets", &[3]);
    check("SELECT x.y FROM (SELECT ssn AS y FROM secrets) x", &[1]);
    check("WITH x AS (SELECT ssn, id FROM secrets) SELECT * FROM x WHERE id > 1", &[1]);
    check("WITH x(a, b) AS (SELECT ssn, id FROM secrets) SELECT b, a FROM x", &[2]);
    check("SELECT id, (SELECT ssn FROM secrets LIMIT 1) FROM users", &[2]);
    check("SELECT count(ssn), count(*) FROM secrets", &[]);
    check("SELECT id FROM secrets WHERE EXISTS (SELECT ssn FROM secrets)", &[]);
    check("SELECT * FROM users u JOIN secrets s ON s.id = u.id", &[8]);
    // What a join merges comes first.
    check("SELECT * FROM users u JOIN secrets s USING (id)", &[7]);
    check("SELECT j.* FROM (users u JOIN secrets s USING (id)) AS j", &[7]);
    check("SELECT * FROM users u NATURAL JOIN (SELECT id, ssn FROM secrets) s", &[6]);
    check("SELECT * FROM generate_series(1, 2) g, secrets", &[4]);
    check("SELECT * FROM json_each('{}') j, secrets", &[5]);
    check("SELECT * FROM secrets, unnest(ARRAY[1]) u", &[3]);
    check("SELECT * FROM (VALUES (1, 2)) v, LATERAL (SELECT ssn FROM secrets) s", &[3]);
    check("SELECT * FROM secrets s(a, b) ORDER BY b", &[3]);
    check("SELECT * FROM shown_secrets", &[2]);
    check("SELECT * FROM over_secrets", &[1]);
    check("WITH RECURSIVE a AS (SELECT * FROM b), b AS (SELECT ssn FROM secrets) SELECT * FROM a", &[1]);
    check("SELECT CASE WHEN true THEN 1 END, ssn FROM secrets", &[2]);
    check("SELECT ssn, row_number() OVER (ORDER BY id) FROM secrets", &[1]);
    check("SELECT password, name FROM accounts", &[1]);
}

#[test]
fn a_masked_column_stands_nowhere_else() {
    for text in [
        "SELECT upper(ssn) FROM secrets",
        "SELECT ssn || '' FROM secrets",
        "SELECT ssn::text FROM secrets",
        "SELECT id FROM secrets WHERE ssn = '1'",
        "SELECT id FROM secrets WHERE ssn IS NULL",
        "SELECT id FROM secrets ORDER BY ssn",
        "SELECT id, ssn AS x FROM secrets ORDER BY x",
        "SELECT id, ssn FROM secrets ORDER BY 2",
        "SELECT ssn FROM secrets GROUP BY ssn",
        "SELECT ssn FROM secrets GROUP BY 1",
        "SELECT ssn AS x FROM secrets GROUP BY x",
        "SELECT ssn FROM secrets GROUP BY GROUPING SETS ((1), ())",
        "SELECT DISTINCT ssn FROM secrets",
        "SELECT DISTINCT * FROM secrets",
        "SELECT DISTINCT ON (ssn) id FROM secrets",
        "SELECT DISTINCT ON (1) ssn FROM secrets",
        "SELECT ssn FROM secrets UNION ALL SELECT 'x'",
        "SELECT 'x' EXCEPT SELECT ssn FROM secrets",
        "SELECT count(DISTINCT ssn) FROM secrets",
        "SELECT count(*) FILTER (WHERE ssn > '1') FROM secrets",
        "SELECT min(ssn) FROM secrets",
        "SELECT lag(ssn) OVER (ORDER BY id) FROM secrets",
        "SELECT row_number() OVER (ORDER BY ssn) FROM secrets",
        "SELECT 1 FROM users WHERE name IN (SELECT ssn FROM secrets)",
        "SELECT 1 FROM users WHERE name = ANY (SELECT ssn FROM secrets)",
        "SELECT ARRAY(SELECT ssn FROM secrets)",
        "SELECT (SELECT ssn FROM secrets LIMIT 1) || ''",
        "SELECT coalesce(ssn, '') FROM secrets",
        "SELECT CASE WHEN ssn = '1' THEN 1 END FROM secrets",
        "SELECT a.id FROM secrets a JOIN secrets b ON a.ssn = b.ssn",
        "SELECT a.id FROM secrets a JOIN secrets b USING (ssn)",
        "SELECT a.id FROM secrets a NATURAL JOIN audit.secrets b",
        "SELECT s FROM secrets s",
        "SELECT to_json(q) FROM (SELECT ssn FROM secrets) q",
        "SELECT q.* IS NULL FROM (SELECT ssn FROM secrets) q",
        "SELECT json_agg(s.*) FROM secrets s",
        "WITH x AS (SELECT ssn FROM secrets) SELECT lower(ssn) FROM x",
        "WITH RECURSIVE a AS (SELECT ssn || '' FROM b), b AS (SELECT ssn FROM secrets) SELECT * FROM a",
        "VALUES ((SELECT ssn FROM secrets LIMIT 1))",
        "SELECT ROW(ssn) FROM secrets",
        "SELECT u.* FROM secrets, unnest(ARRAY[1], ARRAY[ssn]) AS u(a, b)",
        "SELECT ARRAY[ssn] FROM secrets",
        "SELECT json_build_object('a', ssn) FROM secrets",
        "SELECT JSON_ARRAY(SELECT ssn FROM secrets)",
        "SELECT * FROM users u, LATERAL (SELECT 1 FROM secrets WHERE ssn = u.name) x",
        "SELECT * FROM unnest(ARRAY[1]) u, secrets",
        "SELECT lower(ssn) FROM shown_secrets",
        "SELECT lower(name), lower(password) FROM accounts",
        "SELECT x FROM secrets s(a, b, x) WHERE x > ''",
        "SELECT ssn COLLATE \"C\" FROM secrets",
        "SELECT id FROM secrets LIMIT (SELECT length(ssn) FROM secrets LIMIT 1)",
    ] {
        refused_as(masked_ssn(), text, AccessDenied, "");
    }
    // A view that makes something else of it is absent.
    refused_as(masked_ssn(), "SELECT * FROM cooked_secrets", TableNotFound, "cooked_secrets");
    refused_as(masked_ssn(), "SELECT * FROM rows_of_secrets", TableNotFound, "rows_of_secrets");
    judge_as(masked_ssn(), "SELECT * FROM open_secrets").unwrap();
}

#[test]
fn rules_hold_for_a_table_and_its_partitions_alike() {
    let mask = |pattern: &str| Policy { mask_columns: patterns(&[pattern]), ..Policy::default() };
    assert_eq!(masked(mask("public.events.who"), "SELECT * FROM events_2024"), [3]);
    assert_eq!(masked(mask("public.events_2024.who"), "SELECT * FROM events"), [3]);
    // The partition computes who from what.
    assert_eq!(masked(mask("public.events.what"), "SELECT * FROM events"), [2, 3]);
    // And it computes how from a column that it alone has.
    assert_eq!(masked(mask("public.events_2024.note"), "SELECT * FROM events"), [4]);
    let deny = |pattern: &str| Policy { deny_tables: patterns(&[pattern]), ..Policy::default() };
    refused_as(deny("public.events"), "SELECT * FROM events_2024", TableNotFound, "events_2024");
    refused_as(deny("public.events_2024"), "SELECT * FROM events", TableNotFound, "events");
    // Both have the rows of their child.
    refused_as(deny("public.second_parent"), "SELECT * FROM first_parent", TableNotFound, "first_parent");
    judge_as(deny("public.first_parent"), "SELECT * FROM users").unwrap();
    let only = Policy { allow_tables: vec![patterns(&["public.events"])], ..Policy::default() };
    judge_as(only, "SELECT * FROM events").unwrap();
}

#[test]
fn the_databases_own_functions_may_run_where_they_change_nothing() {
    for text in [
        "SELECT tidy('a')",
        "SELECT public.tidy('a')",
        "SELECT best(name) FROM users",
        "SELECT counter()",
        "SELECT u.tidy FROM users u",
    ] {
        assert!(passes(text).runs_user_code(), "{text}");
    }
    assert!(!passes("SELECT lower('a'), likeness('a', 'b')").runs_user_code());
    passes("SELECT many('a'), many('a', 'b', 'c')");
    passes("SELECT 'a' =~= 'b', 'abc'::tidy_text, tidy_text('a'), ARRAY['a']::tidy_text[]");
    let check = |text: &str, words: &str| refused(text, FunctionDenied, words);
    check("SELECT leak('a')", "VOLATILE");
    check("SELECT sly('a')", "calls pg_sleep()");
    check("SELECT slyer('a')", "calls sly(), which calls pg_sleep()");
    check("SELECT definer('a')", "SECURITY DEFINER");
    check("SELECT worst(name) FROM users", "runs leak(), which is VOLATILE");
    check("SELECT crosstab('SELECT 1')", "beyond its arguments");
    check("SELECT names('users')", "takes a type that looks up names");
    check("SELECT 1 @#@ 2", "it runs leak()");
    check("SELECT 'x'::checked_text", "runs leak()");
    check("SELECT 'x'::pair", "runs leak()");
    refused("SELECT hush('a')", FunctionNotFound, "hush()");
    passes("SELECT audit.hush('a')");
    judge_as(allow(&["public.le*", "audit.hush"]), "SELECT leak(), leak('a'), worst('a')").unwrap();
    judge_as(allow(&["pg_catalog.pg_get_viewdef"]), "SELECT pg_get_viewdef('v')").unwrap();
    refused_as(allow(&["pg_catalog.*"]), "SELECT pg_sleep(1)", FunctionDenied, "wait");
    refused_as(hidden_ssn(), "SELECT reader('1')", FunctionDenied, "may not read");
    refused_as(masked_ssn(), "SELECT reader('1')", FunctionDenied, "may not read");
    passes("SELECT reader('1')");
}

#[test]
fn columns_of_types_that_look_names_up_stand_alone() {
    passes("SELECT kind, checked, state FROM odd WHERE state = 'x' AND kind IS NOT NULL AND kind::text = 'a'");
    for text in [
        "SELECT id FROM odd WHERE kind = 'secrets'",
        "SELECT id FROM odd WHERE checked IN ('a')",
        "SELECT coalesce(kind, 'secrets') FROM odd",
        "SELECT kind FROM odd UNION SELECT 'secrets'",
        "SELECT o FROM odd o",
    ] {
        refused(text, FunctionDenied, "");
    }
}

#[test]
fn a_view_that_may_leave_something_behind_is_told() {
    assert!(passes("SELECT * FROM sleeper").runs_user_code());
    assert!(!passes("SELECT * FROM open_secrets").runs_user_code());
    // Its function's body has a word that is the view's own name.
    assert!(passes("SELECT * FROM listen").runs_user_code());
}

#[test]
fn what_an_attacker_found_stays_closed() {
    let denied = |text: &str| refused_as(masked_ssn(), text, AccessDenied, "");
    // A name with its schema means a relation, not the nearest item of that name.
    denied("SELECT q.* FROM secrets, LATERAL (SELECT public.secrets.* FROM (SELECT 1 AS a) AS secrets) q");
    denied("SELECT (SELECT row_to_json(public.secrets.*) FROM (SELECT 1 AS a) AS secrets) FROM secrets");
    denied("SELECT public.secrets.* FROM public.secrets, audit.secrets");
    // PostgreSQL names a subquery after the column that it has in the end, and keeps to that.
    denied("SELECT (SELECT upper(ssn) FROM (SELECT (SELECT ssn.* FROM (SELECT 1 AS x) AS ssn)) q) FROM secrets");
    let masked_name = Policy { mask_columns: patterns(&["public.users.name"]), ..Policy::default() };
    let text = "SELECT (SELECT upper(name) FROM (SELECT (SELECT 'x'::text)::name) q) FROM users";
    refused_as(masked_name, text, AccessDenied, "name is masked");
    // A column without a name may have any.
    denied("SELECT upper(ssn) FROM (SELECT (SELECT * FROM (SELECT ssn FROM secrets LIMIT 1) x)) q");
    denied("SELECT upper(ssn) FROM (SELECT (WITH c AS (SELECT ssn FROM secrets) TABLE c)) q");
    denied(
        "SELECT 1 FROM (SELECT (SELECT * FROM (SELECT ssn FROM secrets LIMIT 1) x)) q JOIN audit.secrets s USING (ssn)",
    );
    // Aliases of a row of unknown width rename who knows what.
    denied("SELECT upper(q.ssn) FROM (SELECT id, ssn, (owner).* FROM secrets) q(a)");
    denied("WITH q(a) AS (SELECT id, ssn, (owner).* FROM secrets) SELECT upper(ssn) FROM q");
    // A call in attribute notation takes the row whole, however many columns it has.
    denied("SELECT q.row_to_json FROM (SELECT ssn, f.* FROM secrets, unnest(ARRAY[1]) f) q");
    // What a join merges stands first.
    denied("SELECT * FROM (SELECT 'x' AS b, 1 + 1) l NATURAL JOIN (SELECT 1 + 1, ssn FROM secrets) r");
    denied("SELECT * FROM (SELECT 'x' AS b, 1 + 1) l JOIN (SELECT 1 + 1, ssn FROM secrets) r USING (\"?column?\")");
    // ROWS FROM is called like its first function.
    denied(
        "SELECT (SELECT row_to_json(lower.*) FROM ROWS FROM (generate_series(1, 1), lower('x'))) FROM secrets AS lower",
    );
    // The arguments of TABLESAMPLE see nothing of FROM.
    denied(
        "SELECT (SELECT count(*) FROM orders t TABLESAMPLE bernoulli (length(row_to_json(t.*)::text))) FROM secrets t",
    );
    // A row in GROUP BY is a list.
    denied("SELECT ssn, count(*) FROM secrets GROUP BY (1, 1)");
    denied("SELECT ssn AS x, count(*) FROM secrets GROUP BY GROUPING SETS ((x, 1))");
    refused_as(hidden_secrets(), "SELECT NULL::secrets", ErrorCode::InvalidSql, "there is no type secrets");
}

#[test]
fn a_result_that_is_not_the_one_that_was_judged_is_noticed() {
    let query = judge_as(masked_ssn(), "SELECT id, ssn, lower('a') FROM secrets").unwrap();
    assert!(query.describes(["id", "ssn", "lower"].into_iter()));
    assert!(!query.describes(["id", "ssn"].into_iter()));
    assert!(!query.describes(["ssn", "id", "lower"].into_iter()));
}

#[test]
fn functions_that_call_each_other_are_judged_alike_whoever_is_asked_first() {
    let judge = |access: &Access, text: &str| check(text, access, &Limits::default(), &Abandoned::default());
    for order in [["SELECT ping('a')", "SELECT pong('a')"], ["SELECT pong('a')", "SELECT ping('a')"]] {
        let access = access(Policy::default());
        for text in order {
            assert_eq!(judge(&access, text).unwrap_err().code, FunctionDenied, "{text}");
        }
    }
}

#[test]
fn a_denied_function_is_denied_to_all_who_ask_at_once() {
    for _ in 0..50 {
        let access = access(Policy::default());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let verdict = check("SELECT slyer('a')", &access, &Limits::default(), &Abandoned::default());
                    assert_eq!(verdict.unwrap_err().code, FunctionDenied);
                });
            }
        });
    }
}
