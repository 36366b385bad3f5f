//! What the columns of a query can speak of.

use pg_query::NodeEnum;
use pg_query::protobuf::{CommonTableExpr, Node, SelectStmt};

use super::Mutator;
use crate::tree;

/// An item of FROM as the columns of its query level see it.
pub(super) struct Item {
    pub(super) name: String,
    pub(super) columns: Vec<String>,
}

impl Mutator<'_> {
    /// What the columns of a query can speak of.
    pub(super) fn items(&self, query: &SelectStmt) -> Vec<Item> {
        let mut items = Vec::new();
        let ctes: Vec<&CommonTableExpr> = query
            .with_clause
            .iter()
            .flat_map(|with| &with.ctes)
            .filter_map(|cte| match &cte.node {
                Some(NodeEnum::CommonTableExpr(cte)) => Some(&**cte),
                _ => None,
            })
            .collect();
        for source in &query.from_clause {
            self.add_items(source, &ctes, &mut items);
        }
        items
    }

    fn add_items(&self, source: &Node, ctes: &[&CommonTableExpr], items: &mut Vec<Item>) {
        let (alias, name, columns) = match &source.node {
            Some(NodeEnum::JoinExpr(join)) => {
                for side in [&join.larg, &join.rarg].into_iter().flatten() {
                    self.add_items(side, ctes, items);
                }
                return;
            }
            Some(NodeEnum::RangeVar(of)) => {
                let cte = ctes.iter().find(|cte| cte.ctename == of.relname && of.schemaname.is_empty());
                let columns = match cte.and_then(|cte| cte.ctequery.as_ref()?.node.as_ref()) {
                    Some(NodeEnum::SelectStmt(query)) => self.output_names(query),
                    _ => self.columns_of(&of.schemaname, &of.relname),
                };
                (of.alias.as_ref(), of.relname.as_str(), columns)
            }
            Some(NodeEnum::RangeSubselect(of)) => match of.subquery.as_ref().and_then(|query| query.node.as_ref()) {
                Some(NodeEnum::SelectStmt(query)) => (of.alias.as_ref(), "", self.output_names(query)),
                _ => return,
            },
            _ => return,
        };
        let mut columns = columns;
        for (column, name) in
            columns.iter_mut().zip(alias.iter().flat_map(|alias| &alias.colnames).filter_map(tree::string))
        {
            name.clone_into(column);
        }
        let name = alias.map_or(name, |alias| &alias.aliasname).to_owned();
        items.push(Item { name, columns });
    }

    pub(super) fn columns_of(&self, schema: &str, name: &str) -> Vec<String> {
        let found = self.schema.find(schema, name);
        found
            .map(|(_, relation)| relation.columns.iter().map(|column| column.name.clone()).collect())
            .unwrap_or_default()
    }

    /// The names of a query's columns, those behind `*` included.
    fn output_names(&self, query: &SelectStmt) -> Vec<String> {
        let mut names = Vec::new();
        for output in outputs(query) {
            match output {
                Some(name) => names.push(name),
                None => names.extend(self.items(query).into_iter().flat_map(|item| item.columns)),
            }
        }
        names
    }
}

/// The names of a query's columns as far as they are easily told; nothing stands for `*` and what has no certain name.
pub(super) fn outputs(query: &SelectStmt) -> Vec<Option<String>> {
    let mut first = query;
    while let Some(left) = &first.larg {
        first = left;
    }
    let name = |target: &Node| match &target.node {
        Some(NodeEnum::ResTarget(target)) if !target.name.is_empty() => Some(target.name.clone()),
        Some(NodeEnum::ResTarget(target)) => match &target.val.as_ref()?.node {
            Some(NodeEnum::ColumnRef(column)) => column.fields.last().and_then(tree::string).map(str::to_owned),
            Some(NodeEnum::FuncCall(call)) => call.funcname.last().and_then(tree::string).map(str::to_owned),
            _ => None,
        },
        _ => None,
    };
    first.target_list.iter().map(name).collect()
}

pub(super) fn name_of(source: &Node) -> Option<String> {
    match &source.node {
        Some(NodeEnum::RangeVar(of)) => Some(of.alias.as_ref().map_or(&of.relname, |alias| &alias.aliasname).clone()),
        Some(NodeEnum::RangeSubselect(of)) => of.alias.as_ref().map(|alias| alias.aliasname.clone()),
        Some(NodeEnum::RangeFunction(of)) => of.alias.as_ref().map(|alias| alias.aliasname.clone()),
        _ => None,
    }
}
