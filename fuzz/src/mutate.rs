//! Statements made of others: parts of one in the place of another's, and what a guard may misread put around them.

use pg_query::NodeEnum;
use pg_query::protobuf::{Alias, CommonTableExpr, Node, RangeSubselect, SelectStmt, SetOperation};
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use crate::schema::{Schema, quoted};
use crate::tree::{self, Spot};

/// Longest statement that is made, in bytes.
const MAX_BYTES: usize = 2500;

/// Names that hide others where they can: of common table expressions, aliases and columns.
const NAMES: &[&str] = &["a", "b", "q", "x", "id", "name", "value", "t"];

/// Makes statements of the parts of those that it has been fed.
pub(crate) struct Mutator<'s> {
    rng: StdRng,
    schema: &'s Schema,
    expressions: Vec<Node>,
    sources: Vec<Node>,
    queries: Vec<SelectStmt>,
    /// Columns that are told to be interesting, by the names of their relations.
    focus: Vec<(String, String)>,
}

/// An item of FROM as the columns of its query level see it.
struct Item {
    name: String,
    columns: Vec<String>,
}

impl<'s> Mutator<'s> {
    pub(crate) fn new(rng: StdRng, schema: &'s Schema) -> Self {
        Self { rng, schema, expressions: Vec::new(), sources: Vec::new(), queries: Vec::new(), focus: Vec::new() }
    }

    /// Takes up the parts of a statement.
    pub(crate) fn feed(&mut self, text: &str) {
        let Some(mut select) = tree::parse(text) else { return };
        tree::visit(&mut select, &mut |spot| match spot {
            Spot::Query(query) => self.queries.push(query.clone()),
            Spot::Expression(node) => self.expressions.push(node.clone()),
            Spot::Source(node) => self.sources.push(node.clone()),
        });
    }

    /// Says which columns the present policy restricts, so that they come up often.
    pub(crate) fn focus(&mut self, columns: Vec<(String, String)>) {
        self.focus = columns;
    }

    /// A statement made of another one by one to five changes; nothing where they come to no statement of a usual size.
    pub(crate) fn mutate(&mut self, text: &str) -> Option<String> {
        if self.rng.random_bool(0.1) {
            return self.change_tokens(text);
        }
        let mut select = tree::parse(text)?;
        for _ in 0..self.rng.random_range(1..=5) {
            self.change(&mut select);
        }
        let text = tree::print(&select)?;
        (text.len() <= MAX_BYTES).then_some(text)
    }

    fn change(&mut self, select: &mut SelectStmt) {
        match self.rng.random_range(0..18) {
            0..5 => self.at_query(select, Self::add_output),
            5..7 => self.at_query(select, Self::add_source),
            7 => self.at_query(select, Self::add_condition),
            8 => self.at_query(select, Self::add_clause),
            9..11 => self.at_query(select, Self::wrap),
            11 => self.at_query(select, Self::combine),
            12 => self.at_query(select, Self::add_with),
            13 => self.at_expression(select, Self::replace_expression),
            14 => self.at_expression(select, Self::rename_column),
            15 => self.at_source(select, Self::replace_source),
            16 => self.at_source(select, Self::rename_source),
            _ => self.at_query(select, Self::drop_something),
        }
    }

    fn at_query(&mut self, select: &mut SelectStmt, change: fn(&mut Self, &mut SelectStmt)) {
        let mut count = 0;
        tree::visit(select, &mut |spot| count += usize::from(matches!(spot, Spot::Query(_))));
        // The outermost query decides what is put out.
        let chosen = if self.rng.random_bool(0.4) { 0 } else { self.rng.random_range(0..count) };
        let mut at = 0;
        tree::visit(select, &mut |spot| {
            if let Spot::Query(query) = spot {
                if at == chosen {
                    change(self, query);
                }
                at += 1;
            }
        });
    }

    fn at_expression(&mut self, select: &mut SelectStmt, change: fn(&mut Self, &mut Node)) {
        let mut count = 0;
        tree::visit(select, &mut |spot| count += usize::from(matches!(spot, Spot::Expression(_))));
        let chosen = self.rng.random_range(0..count.max(1));
        let mut at = 0;
        tree::visit(select, &mut |spot| {
            if let Spot::Expression(node) = spot {
                if at == chosen {
                    change(self, node);
                }
                at += 1;
            }
        });
    }

    fn at_source(&mut self, select: &mut SelectStmt, change: fn(&mut Self, &mut Node)) {
        let mut count = 0;
        tree::visit(select, &mut |spot| count += usize::from(matches!(spot, Spot::Source(_))));
        let chosen = self.rng.random_range(0..count.max(1));
        let mut at = 0;
        tree::visit(select, &mut |spot| {
            if let Spot::Source(node) = spot {
                if at == chosen {
                    change(self, node);
                }
                at += 1;
            }
        });
    }

    fn add_output(&mut self, query: &mut SelectStmt) {
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

    fn add_source(&mut self, query: &mut SelectStmt) {
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

    fn add_condition(&mut self, query: &mut SelectStmt) {
        let items = self.items(query);
        let added = tree::expression(&self.condition(&items)).map(Box::new);
        if query.op == SetOperation::SetopNone as i32 && query.values_lists.is_empty() && added.is_some() {
            query.where_clause = added;
        }
    }

    fn add_clause(&mut self, query: &mut SelectStmt) {
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
    fn wrap(&mut self, query: &mut SelectStmt) {
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
    fn combine(&mut self, query: &mut SelectStmt) {
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
    fn add_with(&mut self, query: &mut SelectStmt) {
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

    fn replace_expression(&mut self, node: &mut Node) {
        if let Some(other) = self.expressions.choose(&mut self.rng) {
            *node = other.clone();
        }
    }

    fn rename_column(&mut self, node: &mut Node) {
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

    fn replace_source(&mut self, node: &mut Node) {
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
    fn rename_source(&mut self, node: &mut Node) {
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

    fn drop_something(&mut self, query: &mut SelectStmt) {
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
    fn change_tokens(&mut self, text: &str) -> Option<String> {
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

    fn name(&mut self) -> String {
        match self.focus.choose(&mut self.rng) {
            Some((table, column)) if self.rng.random_bool(0.4) => {
                if self.rng.random_bool(0.4) {
                    table.clone()
                } else {
                    column.clone()
                }
            }
            _ => NAMES.choose(&mut self.rng).copied().unwrap_or_default().to_owned(),
        }
    }

    fn names(&mut self, count: usize) -> Vec<String> {
        (0..count.clamp(1, 8)).map(|_| quoted(&self.name())).collect()
    }

    fn item(&mut self, items: &[Item]) -> String {
        items.choose(&mut self.rng).map_or_else(|| quoted(&self.name()), |item| quoted(&item.name))
    }

    /// A column of the items, in one of the ways to write it.
    fn column(&mut self, items: &[Item]) -> String {
        let Some(item) = items.choose(&mut self.rng) else { return quoted(&self.name()) };
        let interesting: Vec<&String> =
            item.columns.iter().filter(|column| self.focus.iter().any(|(_, of)| of == *column)).collect();
        let column = match interesting.choose(&mut self.rng) {
            Some(column) if self.rng.random_bool(0.6) => (*column).clone(),
            _ => item.columns.choose(&mut self.rng).cloned().unwrap_or_else(|| "id".to_owned()),
        };
        let (name, column) = (quoted(&item.name), quoted(&column));
        match self.rng.random_range(0..8) {
            0..3 => column,
            3..7 => format!("{name}.{column}"),
            _ => format!("({name}).{column}"),
        }
    }

    /// A value made of columns.
    fn value(&mut self, items: &[Item]) -> String {
        let (one, other, item) = (self.column(items), self.column(items), self.item(items));
        match self.rng.random_range(0..24) {
            0..3 => format!("count({one})"),
            3 => format!("(SELECT {one})"),
            4 => format!("ARRAY(SELECT {one})"),
            5 => format!("{one} IS NULL"),
            6 => format!("coalesce({one}, {other})"),
            7 => format!("{one}::text"),
            8 => format!("row_number() OVER (ORDER BY {one})"),
            9 => format!("count({one}) OVER (PARTITION BY {other})"),
            10 => format!("first_value({one}) OVER (ORDER BY {other})"),
            11 => format!("max({one})"),
            12 => item,
            13 => format!("to_jsonb({item})"),
            14 => format!("ROW({one}, {other})"),
            15 => format!("EXISTS (SELECT FROM {} WHERE {one} IS NOT NULL)", self.relation()),
            16 => format!("(SELECT {} FROM {} LIMIT 1)", self.columns_of_any(), self.relation()),
            17 => format!("count(*) FILTER (WHERE {one} IS NOT NULL)"),
            18 => format!("CASE WHEN {other} IS NULL THEN {one} END"),
            19 => format!("(SELECT q FROM (SELECT {one}) AS q)"),
            20 => format!("count({item})"),
            21 => format!("string_agg({one}::text, ',')"),
            22 => format!("({item}).{}", quoted(&self.name())),
            _ => format!("({one}, {other}) IS NOT DISTINCT FROM ({other}, {one})"),
        }
    }

    fn condition(&mut self, items: &[Item]) -> String {
        let (one, other) = (self.column(items), self.column(items));
        match self.rng.random_range(0..8) {
            0 => format!("{one} = {other}"),
            1 => format!("{one} IS NOT NULL"),
            2 => format!("{one} IN (SELECT {} FROM {})", self.columns_of_any(), self.relation()),
            3 => format!("EXISTS (SELECT FROM {} AS x WHERE {one} IS NOT NULL)", self.relation()),
            4 => format!("{} IS NOT NULL", self.item(items)),
            5 => format!("{0} = {0}", self.item(items)),
            6 => format!("{one}::text < {other}::text"),
            _ => "true".to_owned(),
        }
    }

    /// A relation as it stands in FROM, mostly an interesting one.
    fn relation(&mut self) -> String {
        if let Some((table, _)) = self.focus.choose(&mut self.rng)
            && self.rng.random_bool(0.6)
        {
            return quoted(table);
        }
        let relations: Vec<_> = self.schema.relations.values().collect();
        relations.choose(&mut self.rng).map(|relation| relation.qualified()).unwrap_or_default()
    }

    fn columns_of_any(&mut self) -> String {
        match self.focus.choose(&mut self.rng) {
            Some((_, column)) if self.rng.random_bool(0.6) => quoted(column),
            _ => "*".to_owned(),
        }
    }

    /// An item of FROM, which may speak of others before it.
    fn source(&mut self, items: &[Item]) -> String {
        let (relation, alias) = (self.relation(), quoted(&self.name()));
        match self.rng.random_range(0..12) {
            0..3 => relation,
            3..5 => format!("{relation} AS {alias}"),
            5 => format!("{relation} AS {alias} ({})", self.names(2).join(", ")),
            6 => format!("ONLY {relation} AS {alias}"),
            7 => format!("(SELECT {} FROM {relation}) AS {alias}", self.columns_of_any()),
            8 => format!("LATERAL (SELECT {} AS {alias}) AS {alias}", self.column(items)),
            9 => format!("LATERAL (SELECT {}.*) AS {alias}", self.item(items)),
            10 => format!("({relation} AS a NATURAL JOIN {} AS b) AS {alias}", self.relation()),
            _ => format!("({relation} AS a JOIN {} AS b USING (id)) AS {alias}", self.relation()),
        }
    }

    /// What the columns of a query can speak of.
    fn items(&self, query: &SelectStmt) -> Vec<Item> {
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

    fn columns_of(&self, schema: &str, name: &str) -> Vec<String> {
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

/// Whether a query is a bare SELECT, which stands in fragments for the query to be put there.
fn is_hole(query: &SelectStmt) -> bool {
    *query == (SelectStmt { limit_option: query.limit_option, op: query.op, ..SelectStmt::default() })
}

/// The names of a query's columns as far as they are easily told; nothing stands for `*` and what has no certain name.
fn outputs(query: &SelectStmt) -> Vec<Option<String>> {
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

fn name_of(source: &Node) -> Option<String> {
    match &source.node {
        Some(NodeEnum::RangeVar(of)) => Some(of.alias.as_ref().map_or(&of.relname, |alias| &alias.aliasname).clone()),
        Some(NodeEnum::RangeSubselect(of)) => of.alias.as_ref().map(|alias| alias.aliasname.clone()),
        Some(NodeEnum::RangeFunction(of)) => of.alias.as_ref().map(|alias| alias.aliasname.clone()),
        _ => None,
    }
}
