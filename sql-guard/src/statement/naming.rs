//! The names that PostgreSQL gives to output columns without one (FigureColname in its parse_target.c).

use pg_query::NodeEnum;
use pg_query::protobuf::{AExpr, AExprKind, MinMaxOp, Node, SqlValueFunctionOp, SubLink, SubLinkType};

use super::{names, string};

/// The name of an unnamed output column, where it is plain to see; nothing where PostgreSQL calls it `?column?`, or in a way of
/// its own.
pub(super) fn output_name(value: &Node) -> Option<&str> {
    figure(value).and_then(|(name, _)| name)
}

/// How sure PostgreSQL is of a name: one that is only implied gives way to that of a cast's type.
#[derive(PartialEq, Eq)]
enum Strength {
    Implied,
    Sure,
}

/// The name, or none that can be known, and how sure PostgreSQL is of it; nothing where it would make one up.
fn figure(value: &Node) -> Option<(Option<&str>, Strength)> {
    use Strength::{Implied, Sure};
    Some(match value.node.as_ref()? {
        NodeEnum::ColumnRef(reference) => (Some(reference.fields.iter().rev().find_map(string)?), Sure),
        NodeEnum::AIndirection(step) => match step.indirection.iter().rev().find_map(string) {
            Some(name) => (Some(name), Sure),
            None => figure(step.arg.as_deref()?)?,
        },
        NodeEnum::FuncCall(call) => (Some(names(&call.funcname).last().copied()?), Sure),
        NodeEnum::AExpr(expression) if is_nullif(expression) => (Some("nullif"), Sure),
        NodeEnum::TypeCast(cast) => match cast.arg.as_deref().and_then(figure) {
            Some((name, Sure)) => (name, Sure),
            _ => (Some(names(&cast.type_name.as_ref()?.names).last().copied()?), Implied),
        },
        NodeEnum::CollateClause(collate) => figure(collate.arg.as_deref()?)?,
        NodeEnum::GroupingFunc(_) => (Some("grouping"), Sure),
        NodeEnum::SubLink(sublink) => subquery(sublink)?,
        NodeEnum::CaseExpr(case) => match case.defresult.as_deref().and_then(figure) {
            Some((name, Sure)) => (name, Sure),
            _ => (Some("case"), Implied),
        },
        NodeEnum::AArrayExpr(_) => (Some("array"), Sure),
        NodeEnum::RowExpr(_) => (Some("row"), Sure),
        NodeEnum::CoalesceExpr(_) => (Some("coalesce"), Sure),
        NodeEnum::MinMaxExpr(extreme) => match MinMaxOp::try_from(extreme.op) {
            Ok(MinMaxOp::IsGreatest) => (Some("greatest"), Sure),
            Ok(MinMaxOp::IsLeast) => (Some("least"), Sure),
            _ => return None,
        },
        NodeEnum::SqlvalueFunction(value) => (Some(session_value(value.op)?), Sure),
        NodeEnum::XmlSerialize(_) => (Some("xmlserialize"), Sure),
        _ => return None,
    })
}

fn is_nullif(expression: &AExpr) -> bool {
    AExprKind::try_from(expression.kind) == Ok(AExprKind::AexprNullif)
}

fn subquery(sublink: &SubLink) -> Option<(Option<&str>, Strength)> {
    match SubLinkType::try_from(sublink.sub_link_type) {
        Ok(SubLinkType::ExistsSublink) => Some((Some("exists"), Strength::Sure)),
        Ok(SubLinkType::ArraySublink) => Some((Some("array"), Strength::Sure)),
        // PostgreSQL takes the name of the column that the subquery turns out to have, and keeps to it.
        Ok(SubLinkType::ExprSublink) => Some((only_column(sublink), Strength::Sure)),
        _ => None,
    }
}

/// The name of a subquery's one column, where its SELECT list has it plainly.
fn only_column(sublink: &SubLink) -> Option<&str> {
    let Some(NodeEnum::SelectStmt(select)) = &sublink.subselect.as_ref()?.node else { return None };
    let Some(NodeEnum::ResTarget(target)) = &select.target_list.first()?.node else { return None };
    let value = target.val.as_deref()?;
    match target.name.as_str() {
        "" if super::reference::star(value).is_some() || super::reference::is_row_expansion(value) => None,
        "" => figure(value)?.0,
        name => Some(name),
    }
}

fn session_value(op: i32) -> Option<&'static str> {
    use SqlValueFunctionOp as Op;
    Some(match Op::try_from(op).ok()? {
        Op::SvfopCurrentDate => "current_date",
        Op::SvfopCurrentTime | Op::SvfopCurrentTimeN => "current_time",
        Op::SvfopCurrentTimestamp | Op::SvfopCurrentTimestampN => "current_timestamp",
        Op::SvfopLocaltime | Op::SvfopLocaltimeN => "localtime",
        Op::SvfopLocaltimestamp | Op::SvfopLocaltimestampN => "localtimestamp",
        Op::SvfopCurrentRole => "current_role",
        Op::SvfopCurrentUser => "current_user",
        Op::SvfopUser => "user",
        Op::SvfopSessionUser => "session_user",
        Op::SvfopCurrentCatalog => "current_catalog",
        Op::SvfopCurrentSchema => "current_schema",
        Op::SqlvalueFunctionOpUndefined => return None,
    })
}
