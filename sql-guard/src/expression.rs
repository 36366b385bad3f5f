//! A text that is to stand within a statement of ours: one expression, and nothing that could close what stands around it.

use pg_query::NodeEnum;
use pg_query::protobuf::{Node, ResTarget, SelectStmt};
use shared_protocol::error::ErrorCode;

use crate::limits::Limits;
use crate::parse::parse;
use crate::rejection::Rejection;

/// What stands before the text: a line of its own, so that places in the text keep their columns.
const LEAD: &str = "SELECT\n";

/// That `text` is one expression by itself. To be called on a guard thread.
pub(crate) fn expression(text: &str, limits: &Limits) -> Result<(), Rejection> {
    let parsed = parse(&format!("{LEAD}{text}"), limits).map_err(Rejection::below_the_first_line)?;
    let rest = &format!("{LEAD}{text}")[parsed.end..];
    let is_one = rest.is_empty() && is_expression(parsed.statement.node.as_ref());
    match is_one {
        true => Ok(()),
        false => Err(Rejection::new(ErrorCode::InvalidSql, "the text is not one expression")
            .suggest("Give a condition alone, such as status = 'paid' AND total > 10, without WHERE, semicolons and further clauses.")),
    }
}

/// Whether a statement is SELECT with one expression and nothing else.
fn is_expression(statement: Option<&NodeEnum>) -> bool {
    let Some(NodeEnum::SelectStmt(select)) = statement else { return false };
    let [Node { node: Some(NodeEnum::ResTarget(target)) }] = select.target_list.as_slice() else { return false };
    let ResTarget { name, indirection, .. } = &**target;
    let plain = SelectStmt { limit_option: select.limit_option, op: select.op, ..SelectStmt::default() };
    let rest = SelectStmt { target_list: Vec::new(), ..(**select).clone() };
    // `*` and `t.*` are lists of columns.
    let is_list = matches!(
        target.val.as_ref().and_then(|value| value.node.as_ref()),
        Some(NodeEnum::ColumnRef(column)) if column.fields.iter().any(|field| matches!(field.node, Some(NodeEnum::AStar(_))))
    );
    name.is_empty() && indirection.is_empty() && !is_list && rest == plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_expression_passes() {
        let check = |text: &str| expression(text, &Limits::default());
        for text in
            ["a = 1", "a = 'x' AND (b > 2 OR c IS NULL)", "true -- always", "EXISTS (SELECT 1 FROM t)", "a IN (1, 2)"]
        {
            check(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        }
        for text in [
            "",
            "a = 1) OR (1 = 1",
            "a = 1 ORDER BY b",
            "a = 1; DROP TABLE t",
            "a = 1;",
            "a, b",
            "a AS b",
            "a b",
            "* ",
            "t.*",
            "a FROM t",
            "a WHERE b",
            "a LIMIT 1",
            "a UNION SELECT 1",
            "a INTO t",
            "DISTINCT a",
            "a GROUP BY b",
            "a FOR UPDATE",
            "/* a",
            "1 WINDOW w AS ()",
        ] {
            assert!(check(text).is_err(), "{text}");
        }
    }

    #[test]
    fn places_are_counted_in_the_text() {
        let error = expression("a = 1 ANDD b = 2", &Limits::default()).unwrap_err();
        assert_eq!(error.position.map(|position| (position.line, position.column)), Some((1, 12)), "{error:?}");
    }
}
