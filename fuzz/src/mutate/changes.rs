//! What is changed in a statement.

use pg_query::NodeEnum;
use pg_query::protobuf::{Alias, Node, RangeSubselect, SelectStmt, SetOperation};
use rand::Rng;
use rand::seq::IndexedRandom;

use super::items::{name_of, outputs};
use super::{MAX_BYTES, Mutator};
use crate::schema::quoted;
use crate::tree::{self, Spot};

impl Mutator<'_> {
    pub(super) fn add_output(&mut self, query: &mut SelectStmt) {
        let items = self.items(query);
        if query.op != SetOperation::SetopNone as i32 || !query.values_lists.is_empty() {
            return;
        }
        let text = match self.rng.random_range(0..12) {
            0..6 => self.column(&items),
            6 => "*".to_owned(),
            7 => format!("{}.*", self.item(&items)),
            8 => format!("({}).*", self.item(&items)),
            _ => self.value(&items),
        };
        let named = if self.rng.random_bool(0.3) && !text.ends_with('*') {
            format!(" AS {}", self.name())
        } else {
            String::new()
        };
        if let Some(output) = tree::output(&format!("{text}{named}")) {
            match self.rng.random_range(0..4) {
                0 => query.target_list = vec![output],
                1 => query.target_list.insert(0, output),
                _ => query.target_list.push(output),
            }
        }
    }

    pub(super) fn add_source(&mut self, query: &mut SelectStmt) {
        if query.op != SetOperation::SetopNone as i32 || !query.values_lists.is_empty() {
            return;
        }
        let items = self.items(query);
        let Some(added) = tree::source(&self.source(&items)) else { return };
        let Some(first) = query.from_clause.pop() else { return query.from_clause.push(added) };
        if self.rng.random_bool(0.4) {
            // Beside the others, before or behind.
            let mut both = [first, added];
            if self.rng.random_bool(0.5) {
                both.reverse();
            }
            query.from_clause.extend(both);
            return;
        }
        let columns: Vec<String> = items.iter().flat_map(|item| item.columns.clone()).collect();
        let column = columns.choose(&mut self.rng).cloned().unwrap_or_else(|| "id".to_owned());
        let join = match self.rng.random_range(0..5) {
            0 => "a NATURAL JOIN b".to_owned(),
            1 => format!("a JOIN b USING ({})", quoted(&column)),
            2 => format!("a FULL JOIN b USING ({}) AS j", quoted(&column)),
            3 => format!("a LEFT JOIN b ON {}", self.condition(&items)),
            _ => "a CROSS JOIN b".to_owned(),
        };
        let Some(mut join) = tree::source(&join) else { return query.from_clause.push(first) };
        if let Some(NodeEnum::JoinExpr(join)) = &mut join.node {
            (join.larg, join.rarg) = (Some(Box::new(first)), Some(Box::new(added)));
            if self.rng.random_bool(0.15) {
                join.alias = Some(Alias { aliasname: self.name(), colnames: Vec::new() });
            }
        }
        query.from_clause.push(join);
    }

    pub(super) fn add_condition(&mut self, query: &mut SelectStmt) {
        let items = self.items(query);
        let added = tree::expression(&self.condition(&items)).map(Box::new);
        if query.op == SetOperation::SetopNone as i32 && query.values_lists.is_empty() && added.is_some() {
            query.where_clause = added;
        }
    }

    pub(super) fn add_clause(&mut self, query: &mut SelectStmt) {
        let items = self.items(query);
        let by = match self.rng.random_bool(0.3) {
            true => self.rng.random_range(1..4_u8).to_string(),
            false => self.column(&items),
        };
        let clause = match self.rng.random_range(0..7) {
            0 => format!("SELECT DISTINCT ON ({by})"),
            1 => "SELECT DISTINCT".to_owned(),
            2 => format!("SELECT GROUP BY {by}"),
            3 => format!("SELECT GROUP BY GROUPING SETS (({by}), ())"),
            4 => format!("SELECT HAVING count({by}) > 1"),
            _ => format!("SELECT ORDER BY {by} LIMIT 7"),
        };
        let Some(of) = tree::parse(&clause) else { return };
        query.distinct_clause.extend(of.distinct_clause);
        query.group_clause.extend(of.group_clause);
        query.sort_clause.extend(of.sort_clause);
        query.having_clause = of.having_clause.or(query.having_clause.take());
        if of.limit_count.is_some() {
            (query.limit_count, query.limit_option) = (of.limit_count, of.limit_option);
        }
    }

    /// The query within another one.
    pub(super) fn wrap(&mut self, query: &mut SelectStmt) {
        let names: Vec<String> = outputs(query).into_iter().flatten().collect();
        let columns = match names.as_slice() {
            [] => "*".to_owned(),
            names => names.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", "),
        };
        let some = names.choose(&mut self.rng).map_or_else(|| "id".to_owned(), |name| quoted(name));
        let aliases = match self.rng.random_range(0..4) {
            0 => format!(" ({})", self.names(names.len()).join(", ")),
            1 => format!(" ({})", self.name()),
            _ => String::new(),
        };
        let alias = self.name();
        let around = match self.rng.random_range(0..11) {
            0..3 => format!("SELECT * FROM (SELECT) AS {alias}{aliases}"),
            3 => format!("SELECT {columns} FROM (SELECT) AS {alias}"),
            4 => format!("SELECT {alias} FROM (SELECT) AS {alias}{aliases}"),
            5 => format!("SELECT ({alias}).{some}, {alias}.* FROM (SELECT) AS {alias}"),
            6 => format!("WITH {alias}{aliases} AS (SELECT) SELECT * FROM {alias}"),
            7 => format!("WITH {alias} AS MATERIALIZED (SELECT), b AS (TABLE {alias}) SELECT b.* FROM b"),
            8 => format!("WITH RECURSIVE b AS (SELECT * FROM {alias}), {alias} AS (SELECT) SELECT {columns} FROM b"),
            9 => "SELECT * FROM (SELECT 1 AS one) AS o CROSS JOIN LATERAL (SELECT) AS l".to_owned(),
            _ => "SELECT (SELECT)".to_owned(),
        };
        let Some(mut around) = tree::parse(&around) else { return };
        let mut inner = Some(std::mem::take(query));
        tree::visit(&mut around, &mut |spot| {
            if let Spot::Query(hole) = spot
                && is_hole(hole)
                && let Some(inner) = inner.take()
            {
                *hole = inner;
            }
        });
        *query = inner.unwrap_or(around);
    }

    /// The query with another one, often itself, by a set operation.
    pub(super) fn combine(&mut self, query: &mut SelectStmt) {
        let other = match self.rng.random_bool(0.6) {
            true => Some(query.clone()),
            false => self.queries.choose(&mut self.rng).cloned(),
        };
        let operation =
            ["UNION ALL", "UNION", "INTERSECT", "EXCEPT"].choose(&mut self.rng).copied().unwrap_or_default();
        let (Some(mut other), Some(mut whole)) = (other, tree::parse(&format!("SELECT {operation} SELECT"))) else {
            return;
        };
        if self.rng.random_bool(0.5) {
            self.change(&mut other);
        }
        whole.larg = Some(Box::new(std::mem::take(query)));
        whole.rarg = Some(Box::new(other));
        *query = whole;
    }

    /// A WITH clause whose names may hide those of tables.
    pub(super) fn add_with(&mut self, query: &mut SelectStmt) {
        let items = self.items(query);
        let name = match items.choose(&mut self.rng) {
            Some(item) if self.rng.random_bool(0.5) => item.name.clone(),
            _ => self.name(),
        };
        let recursive = if self.rng.random_bool(0.5) { "RECURSIVE " } else { "" };
        let inner = match self.queries.choose(&mut self.rng) {
            Some(query) if self.rng.random_bool(0.3) => tree::print(query).unwrap_or_default(),
            _ => format!("SELECT {} FROM {}", self.columns_of_any(), self.relation()),
        };
        let with = match self.rng.random_range(0..3) {
            0 => {
                format!("WITH RECURSIVE {0} AS ({inner} UNION ALL SELECT * FROM {0} WHERE false) SELECT", quoted(&name))
            }
            _ => format!("WITH {recursive}{} AS ({inner}) SELECT", quoted(&name)),
        };
        let Some(with) = tree::parse(&with).and_then(|with| with.with_clause) else { return };
        let before = query.with_clause.get_or_insert_default();
        before.recursive |= with.recursive;
        before.ctes.splice(0..0, with.ctes);
        if self.rng.random_bool(0.4) {
            query.from_clause.extend(tree::source(&quoted(&name)));
        }
    }

    pub(super) fn replace_expression(&mut self, node: &mut Node) {
        if let Some(other) = self.expressions.choose(&mut self.rng) {
            *node = other.clone();
        }
    }

    pub(super) fn rename_column(&mut self, node: &mut Node) {
        let column = match self.focus.choose(&mut self.rng) {
            Some((_, column)) if self.rng.random_bool(0.6) => column.clone(),
            _ => self.name(),
        };
        if let Some(NodeEnum::ColumnRef(reference)) = &mut node.node
            && let Some(Node { node: Some(NodeEnum::String(last)) }) = reference.fields.last_mut()
        {
            last.sval = column;
        }
    }

    pub(super) fn replace_source(&mut self, node: &mut Node) {
        let other = match self.rng.random_bool(0.5) {
            true => self.sources.choose(&mut self.rng).cloned(),
            false => tree::source(&self.source(&[])),
        };
        let Some(mut other) = other else { return };
        // Under the name of the one before, its columns may still be found.
        if self.rng.random_bool(0.7)
            && let Some(name) = name_of(node)
            && let Some(alias) = tree::alias(&mut other)
        {
            *alias = Some(Alias { aliasname: name, colnames: Vec::new() });
        }
        *node = other;
    }

    /// Another alias, or a subquery around it.
    pub(super) fn rename_source(&mut self, node: &mut Node) {
        let name = name_of(node);
        if self.rng.random_bool(0.5)
            && matches!(node.node, Some(NodeEnum::RangeVar(_)))
            && let Some(mut select) = tree::parse("SELECT *")
        {
            select.from_clause = vec![std::mem::take(node)];
            let query = Node { node: Some(NodeEnum::SelectStmt(Box::new(select))) };
            let alias = Alias { aliasname: name.unwrap_or_else(|| self.name()), colnames: Vec::new() };
            let lateral = self.rng.random_bool(0.3);
            let subquery = RangeSubselect { lateral, subquery: Some(Box::new(query)), alias: Some(alias) };
            node.node = Some(NodeEnum::RangeSubselect(Box::new(subquery)));
            return;
        }
        let count = self.rng.random_range(0..4);
        let aliased = tree::source(&format!("t AS {} ({})", self.name(), self.names(count.max(1)).join(", ")));
        let Some(NodeEnum::RangeVar(aliased)) = aliased.and_then(|node| node.node) else { return };
        if let Some(alias) = tree::alias(node)
            && let Some(mut new) = aliased.alias
        {
            if count == 0 {
                new.colnames.clear();
            } else if let Some(before) = alias {
                new.aliasname.clone_from(&before.aliasname);
            }
            *alias = Some(new);
        }
    }

    pub(super) fn drop_something(&mut self, query: &mut SelectStmt) {
        match self.rng.random_range(0..6) {
            0 => query.where_clause = None,
            1 => query.sort_clause.clear(),
            2 => query.group_clause.clear(),
            3 => query.distinct_clause.clear(),
            4 if query.target_list.len() > 1 => drop(query.target_list.remove(0)),
            _ => query.having_clause = None,
        }
    }

    /// Pieces of the text moved, doubled, left out or put in from elsewhere.
    pub(super) fn change_tokens(&mut self, text: &str) -> Option<String> {
        let tokens = pg_query::scan(text).ok()?.tokens;
        let words: Vec<&str> =
            tokens.iter().filter_map(|token| text.get(token.start as usize..token.end as usize)).collect();
        let mut words: Vec<String> = words.into_iter().map(str::to_owned).collect();
        for _ in 0..self.rng.random_range(1..=2) {
            let at = self.rng.random_range(0..words.len().max(1));
            match self.rng.random_range(0..5) {
                0 if at < words.len() => drop(words.remove(at)),
                1 if at < words.len() => words.insert(at, words[at].clone()),
                2 if at + 1 < words.len() => words.swap(at, at + 1),
                3 if at < words.len() => words[at] = self.column(&[]),
                _ => {
                    let put =
                        ["*", "LATERAL", "ONLY", "NATURAL", "DISTINCT", "(", ")", ",", ".", "NOT", "--", "/*", "*/"];
                    words
                        .insert(at.min(words.len()), put.choose(&mut self.rng).copied().unwrap_or_default().to_owned());
                }
            }
        }
        Some(words.join(" ")).filter(|text| text.len() <= MAX_BYTES)
    }
}

/// Whether a query is a bare SELECT, which stands in fragments for the query to be put there.
fn is_hole(query: &SelectStmt) -> bool {
    *query == (SelectStmt { limit_option: query.limit_option, op: query.op, ..SelectStmt::default() })
}
