//! A statement without the values that stand in it, for logs: each literal becomes a placeholder, comments go.

use pg_query::protobuf::Token;

use crate::limits::Limits;
use crate::parse::{measure, scan, syntax_error};
use crate::rejection::Rejection;

/// `text` with `$n` for its literals. To be called on a guard thread.
pub(crate) fn normalize(text: &str, limits: &Limits) -> Result<String, Rejection> {
    measure(text, limits)?;
    let normalized = pg_query::normalize(text).map_err(|error| syntax_error(text, error))?;
    let tokens = scan(&normalized).map_err(|error| syntax_error(text, error))?;
    // pg_query leaves some literals as they are, and every comment.
    let mut kept = String::with_capacity(normalized.len());
    let mut end = 0;
    for token in &tokens {
        let mark = match token.token() {
            Token::Sconst | Token::Usconst | Token::Bconst | Token::Xconst | Token::Iconst | Token::Fconst => "?",
            Token::SqlComment | Token::CComment => " ",
            _ => continue,
        };
        let place = |at: i32| usize::try_from(at).unwrap_or(0);
        kept.push_str(normalized.get(end..place(token.start)).unwrap_or_default());
        kept.push_str(mark);
        end = place(token.end);
    }
    kept.push_str(normalized.get(end..).unwrap_or_default());
    Ok(kept.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_is_left() {
        let check = |text: &str, expected: &str| {
            assert_eq!(normalize(text, &Limits::default()).unwrap(), expected, "{text}");
        };
        check("SELECT * FROM t WHERE a = 'x' AND b > 5", "SELECT * FROM t WHERE a = $1 AND b > $2");
        check("SELECT * FROM t WHERE a = $1 AND b = 'x'", "SELECT * FROM t WHERE a = $1 AND b = $2");
        check(
            "SELECT 1 /* of alice */-- and bob\n, E'\\'x', U&'y', $$z$$, B'1', X'f'",
            "SELECT $1   \n, $2, $3, $4, $5, $6",
        );
        check("SELECT interval '1 day', date '2024-01-01'", "SELECT interval $1, date $2");
        check("SELECT a FROM t ORDER BY 47110815", "SELECT a FROM t ORDER BY ?");
        check("SELECT a::numeric(10, 2) FROM t GROUP BY 1", "SELECT a::numeric(?, ?) FROM t GROUP BY ?");
    }

    #[test]
    fn no_text_is_left_in_statements_that_would_be_refused_either() {
        let check = |text: &str| {
            let normalized = normalize(text, &Limits::default()).unwrap();
            assert!(!normalized.contains("secret") && !normalized.contains("4711"), "{normalized}");
        };
        check("WITH RECURSIVE r AS (SELECT 1 AS a) CYCLE a SET is_c TO 47110 DEFAULT 47111 USING path SELECT * FROM r");
        check("EXECUTE p(47110815)");
        check("COPY (SELECT * FROM t WHERE id = 47110815) TO STDOUT");
        check("COPY t FROM STDIN WHERE id = 47110815");
        check("CREATE VIEW v AS SELECT 47110815, 4.711e4711");
        check("PREPARE p AS SELECT 0x4711, 47_11");
        check("ALTER ROLE alice SET work_mem = 47110815");
        check("SELECT a FROM t ORDER BY 47110815");
        check("ALTER ROLE alice PASSWORD 'secret'");
        check("CREATE USER alice WITH ENCRYPTED PASSWORD E'secret'");
        check("SET app.token = 'secret'");
        check("COPY users FROM '/secret' WITH (DELIMITER 'secret')");
        check("DO $tag$ secret $tag$");
        check("CREATE FUNCTION f() RETURNS text LANGUAGE sql AS 'SELECT ''secret'' '");
        check("INSERT INTO t VALUES ('secret', U&'secret')");
        check("SELECT * FROM json_table('[]', '$.secret' COLUMNS (a text PATH '$.secret' DEFAULT 'secret' ON EMPTY))");
        check("SELECT a LIKE 'secret%' ESCAPE 's', 'secret'\n'secret', x -> 'secret' FROM t /* secret /* secret */ */");
        check("NOTIFY c, 'secret'");
        check("COMMENT ON TABLE t IS 'secret'");
        check("CREATE SUBSCRIPTION s CONNECTION 'password=secret' PUBLICATION p");
        check("CREATE USER MAPPING FOR alice SERVER s OPTIONS (password 'secret')");
    }

    #[test]
    fn what_no_parser_reads_is_refused() {
        assert!(normalize("SELEC 'secret'", &Limits::default()).is_err());
        assert!(normalize(&"-+".repeat(30_000), &Limits::default()).is_err());
    }
}
