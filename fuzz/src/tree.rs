//! Syntax trees as the mutator sees them: parsed from text, changed in place, printed again.

use pg_query::protobuf::{AExpr, AExprKind, Alias, CoercionForm, Node, RawStmt, SelectStmt};
use pg_query::{NodeEnum, protobuf};

/// A place in a statement that a mutation can change.
#[derive(Debug)]
pub(crate) enum Spot<'t> {
    /// A query, at any depth.
    Query(&'t mut SelectStmt),
    /// An expression.
    Expression(&'t mut Node),
    /// An item of FROM.
    Source(&'t mut Node),
}

/// The one SELECT of a text; nothing where it is something else.
pub(crate) fn parse(text: &str) -> Option<SelectStmt> {
    let mut statements = pg_query::parse(text, 0).ok()?.protobuf.stmts;
    let statement = statements.pop().filter(|_| statements.is_empty())?;
    match statement.stmt?.node? {
        NodeEnum::SelectStmt(select) => Some(*select),
        _ => None,
    }
}

/// An expression from its text.
pub(crate) fn expression(text: &str) -> Option<Node> {
    match output(text)?.node? {
        NodeEnum::ResTarget(target) => target.val.map(|value| *value),
        _ => None,
    }
}

/// An item of a SELECT list from its text.
pub(crate) fn output(text: &str) -> Option<Node> {
    parse(&format!("SELECT {text}"))?.target_list.pop()
}

/// An item of FROM from its text.
pub(crate) fn source(text: &str) -> Option<Node> {
    parse(&format!("SELECT FROM {text}"))?.from_clause.pop()
}

/// The text of a query; nothing where the library can't print it.
pub(crate) fn print(select: &SelectStmt) -> Option<String> {
    let statement = Node { node: Some(NodeEnum::SelectStmt(Box::new(select.clone()))) };
    let statement = RawStmt { stmt: Some(Box::new(statement)), ..RawStmt::default() };
    let tree = protobuf::ParseResult { version: 0, stmts: vec![statement] };
    pg_query::deparse(&tree, Default::default()).ok()
}

/// Shows `act` every place of a query, outer ones first.
pub(crate) fn visit(select: &mut SelectStmt, act: &mut dyn FnMut(Spot<'_>)) {
    act(Spot::Query(select));
    let with = select.with_clause.iter_mut().flat_map(|with| &mut with.ctes);
    let lists = with
        .chain(&mut select.target_list)
        .chain(&mut select.from_clause)
        .chain(&mut select.group_clause)
        .chain(&mut select.window_clause)
        .chain(&mut select.values_lists)
        .chain(&mut select.sort_clause)
        .chain(&mut select.distinct_clause);
    let clauses =
        [&mut select.where_clause, &mut select.having_clause, &mut select.limit_count, &mut select.limit_offset];
    for node in lists.chain(clauses.into_iter().flatten().map(|clause| &mut **clause)) {
        visit_node(node, act);
    }
    for side in [&mut select.larg, &mut select.rarg].into_iter().flatten() {
        visit(side, act);
    }
}

fn visit_node(node: &mut Node, act: &mut dyn FnMut(Spot<'_>)) {
    match &node.node {
        Some(
            NodeEnum::RangeVar(_)
            | NodeEnum::RangeSubselect(_)
            | NodeEnum::RangeFunction(_)
            | NodeEnum::JoinExpr(_)
            | NodeEnum::RangeTableSample(_),
        ) => act(Spot::Source(node)),
        Some(
            NodeEnum::ColumnRef(_)
            | NodeEnum::AConst(_)
            | NodeEnum::AExpr(_)
            | NodeEnum::BoolExpr(_)
            | NodeEnum::FuncCall(_)
            | NodeEnum::SubLink(_)
            | NodeEnum::CaseExpr(_)
            | NodeEnum::CoalesceExpr(_)
            | NodeEnum::MinMaxExpr(_)
            | NodeEnum::NullTest(_)
            | NodeEnum::BooleanTest(_)
            | NodeEnum::TypeCast(_)
            | NodeEnum::CollateClause(_)
            | NodeEnum::RowExpr(_)
            | NodeEnum::AArrayExpr(_)
            | NodeEnum::AIndirection(_)
            | NodeEnum::ParamRef(_),
        ) => act(Spot::Expression(node)),
        _ => {}
    }
    if let Some(node) = &mut node.node {
        if let NodeEnum::SelectStmt(select) = node {
            visit(select, act);
        }
        for child in children(node) {
            visit_node(child, act);
        }
    }
}

/// The nodes right below one that isn't a query.
fn children(node: &mut NodeEnum) -> Vec<&mut Node> {
    match node {
        NodeEnum::AExpr(of) => {
            let AExpr { kind, lexpr, rexpr, .. } = &mut **of;
            if *kind != AExprKind::AexprSimilar as i32 {
                return some([lexpr, rexpr]);
            }
            // The printer stops the process where the pattern isn't within the call that the grammar makes of it.
            let call = rexpr.as_mut().and_then(|call| call.node.as_mut());
            some([lexpr]).into_iter().chain(call.into_iter().flat_map(children)).collect()
        }
        NodeEnum::BoolExpr(of) => of.args.iter_mut().collect(),
        // EXTRACT and its like: only some arguments can be written there, and the printer stops the process at others.
        NodeEnum::FuncCall(of) if of.funcformat == CoercionForm::CoerceSqlSyntax as i32 => Vec::new(),
        NodeEnum::FuncCall(of) => {
            let window =
                of.over.iter_mut().flat_map(|over| over.partition_clause.iter_mut().chain(&mut over.order_clause));
            let filter = of.agg_filter.iter_mut().map(|filter| &mut **filter);
            of.args.iter_mut().chain(&mut of.agg_order).chain(window).chain(filter).collect()
        }
        NodeEnum::SubLink(of) => some([&mut of.testexpr, &mut of.subselect]),
        NodeEnum::CaseExpr(of) => {
            let around = [&mut of.arg, &mut of.defresult].into_iter().flatten().map(|node| &mut **node);
            of.args.iter_mut().chain(around).collect()
        }
        NodeEnum::CaseWhen(of) => some([&mut of.expr, &mut of.result]),
        NodeEnum::CoalesceExpr(of) => of.args.iter_mut().collect(),
        NodeEnum::MinMaxExpr(of) => of.args.iter_mut().collect(),
        NodeEnum::NullTest(of) => some([&mut of.arg]),
        NodeEnum::BooleanTest(of) => some([&mut of.arg]),
        NodeEnum::TypeCast(of) => some([&mut of.arg]),
        NodeEnum::CollateClause(of) => some([&mut of.arg]),
        NodeEnum::RowExpr(of) => of.args.iter_mut().collect(),
        NodeEnum::AArrayExpr(of) => of.elements.iter_mut().collect(),
        NodeEnum::AIndirection(of) => some([&mut of.arg]),
        NodeEnum::NamedArgExpr(of) => some([&mut of.arg]),
        NodeEnum::List(of) => of.items.iter_mut().collect(),
        NodeEnum::ResTarget(of) => some([&mut of.val]),
        NodeEnum::SortBy(of) => some([&mut of.node]),
        NodeEnum::RangeSubselect(of) => some([&mut of.subquery]),
        // What is called stays: nothing but a call can stand there.
        NodeEnum::RangeFunction(of) => of.functions.iter_mut().flat_map(called).flat_map(children).collect(),
        NodeEnum::JoinExpr(of) => some([&mut of.larg, &mut of.rarg, &mut of.quals]),
        NodeEnum::RangeTableSample(of) => some([&mut of.relation]),
        NodeEnum::CommonTableExpr(of) => some([&mut of.ctequery]),
        NodeEnum::WindowDef(of) => of.partition_clause.iter_mut().chain(&mut of.order_clause).collect(),
        NodeEnum::GroupingSet(of) => of.content.iter_mut().collect(),
        _ => Vec::new(),
    }
}

/// The calls in a list of FROM's functions.
fn called(function: &mut Node) -> Vec<&mut NodeEnum> {
    match &mut function.node {
        Some(NodeEnum::List(pair)) => pair.items.first_mut().and_then(|call| call.node.as_mut()).into_iter().collect(),
        _ => Vec::new(),
    }
}

fn some<const N: usize>(nodes: [&mut Option<Box<Node>>; N]) -> Vec<&mut Node> {
    nodes.into_iter().flatten().map(|node| &mut **node).collect()
}

/// A node's text, where it is a string.
pub(crate) fn string(node: &Node) -> Option<&str> {
    match &node.node {
        Some(NodeEnum::String(value)) => Some(&value.sval),
        _ => None,
    }
}

/// The alias of an item of FROM, where it can have one.
pub(crate) fn alias(node: &mut Node) -> Option<&mut Option<Alias>> {
    match node.node.as_mut()? {
        NodeEnum::RangeVar(of) => Some(&mut of.alias),
        NodeEnum::RangeSubselect(of) => Some(&mut of.alias),
        NodeEnum::RangeFunction(of) => Some(&mut of.alias),
        NodeEnum::JoinExpr(of) => Some(&mut of.alias),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_is_visited() {
        let mut select = parse(
            "WITH w AS (SELECT a FROM t) SELECT count(b) FILTER (WHERE c) OVER (PARTITION BY d), (SELECT e) \
             FROM w JOIN LATERAL (SELECT f) x ON g GROUP BY h HAVING i ORDER BY j LIMIT k",
        )
        .unwrap();
        let (mut queries, mut sources, mut columns) = (0, 0, Vec::new());
        visit(&mut select, &mut |spot| match spot {
            Spot::Query(_) => queries += 1,
            Spot::Source(_) => sources += 1,
            Spot::Expression(node) => {
                if let Some(NodeEnum::ColumnRef(column)) = &node.node {
                    columns.extend(column.fields.iter().filter_map(string).map(str::to_owned));
                }
            }
        });
        columns.sort_unstable();
        assert_eq!((queries, sources, columns.concat().as_str()), (4, 4, "abcdefghijk"));
    }
}
