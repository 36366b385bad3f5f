//! The ways from one table to another along foreign keys, and the SQL that goes them.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt::Write;

use shared_protocol::catalog::{Column, ForeignKey, Table};
use shared_protocol::tool::find_join_path::{JoinPath, JoinStep, JoinType};

use super::identifier::quoted;

/// Most paths that are given.
const MAX_PATHS: usize = 10;

/// Rows that an example asks for.
const EXAMPLE_ROWS: usize = 10;

/// A table by its schema and name.
pub type TableRef<'a> = (&'a str, &'a str);

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinPaths {
    /// The shortest paths, at most ten.
    pub paths: Vec<JoinPath>,
    /// Whether there are more of the same length.
    pub has_more: bool,
}

/// Why there is no path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoPath {
    /// Number of joins of the shortest, where it is longer than what was allowed.
    pub nearest: Option<usize>,
}

/// A foreign key, walked in one of its directions.
#[derive(Debug, Clone, Copy)]
struct Edge<'a> {
    key: &'a ForeignKey,
    /// Whether it is walked from the table that has it.
    is_forward: bool,
    to: usize,
}

/// The tables and what joins them.
struct Graph<'a> {
    tables: &'a [Table],
    edges: Vec<Vec<Edge<'a>>>,
}

/// The shortest paths between two different tables of `tables`, of at most `max_depth` joins. `on_path` says whether a table is found
/// by its name alone.
///
/// A key with a masked column is not walked: statements may not join on it.
///
/// # Errors
/// [`NoPath`] where there is none so short.
pub fn join_paths(
    tables: &[Table],
    from: TableRef<'_>,
    to: TableRef<'_>,
    max_depth: usize,
    on_path: impl Fn(&Table) -> bool,
) -> Result<JoinPaths, NoPath> {
    let graph = Graph::new(tables);
    let place = |(schema, name): TableRef<'_>| {
        tables.iter().position(|table| table.schema_name == schema && table.table_name == name)
    };
    let (Some(from), Some(to)) = (place(from), place(to)) else { return Err(NoPath { nearest: None }) };
    let distances = graph.distances(to);
    let depth = distances[from].ok_or(NoPath { nearest: None })?;
    if depth > max_depth {
        return Err(NoPath { nearest: Some(depth) });
    }
    let mut found = Vec::new();
    // One more than is given, to know whether there is one more.
    graph.descend(from, &distances, &mut Vec::new(), &mut found);
    let has_more = found.len() > MAX_PATHS;
    found.truncate(MAX_PATHS);
    let paths = found.iter().map(|edges| graph.path(from, edges, &on_path)).collect();
    Ok(JoinPaths { paths, has_more })
}

impl<'a> Graph<'a> {
    fn new(tables: &'a [Table]) -> Self {
        let places: HashMap<TableRef<'_>, usize> =
            tables.iter().enumerate().map(|(at, table)| ((&*table.schema_name, &*table.table_name), at)).collect();
        let mut edges: Vec<Vec<Edge<'_>>> = vec![Vec::new(); tables.len()];
        for key in tables.iter().flat_map(|table| &table.foreign_keys) {
            let place = |schema: &str, name: &str| places.get(&(schema, name)).copied();
            let ends = (place(&key.from_schema, &key.from_table), place(&key.to_schema, &key.to_table));
            let (Some(child), Some(parent)) = ends else { continue };
            let is_masked = |table: usize, name: &String| column(&tables[table], name).is_none_or(|of| of.masked);
            let mut masked = key.from_columns.iter().map(|name| is_masked(child, name));
            let mut masked_there = key.to_columns.iter().map(|name| is_masked(parent, name));
            if !masked.any(|is| is) && !masked_there.any(|is| is) {
                edges[child].push(Edge { key, is_forward: true, to: parent });
                edges[parent].push(Edge { key, is_forward: false, to: child });
            }
        }
        // Tables come by their names, so paths do, too.
        for edges in &mut edges {
            edges.sort_by_key(|edge| (edge.to, &edge.key.constraint_name, !edge.is_forward));
        }
        Self { tables, edges }
    }

    /// Number of joins from each table to `to`.
    fn distances(&self, to: usize) -> Vec<Option<usize>> {
        let mut distances = vec![None; self.tables.len()];
        distances[to] = Some(0);
        let mut line = VecDeque::from([(to, 0)]);
        while let Some((at, distance)) = line.pop_front() {
            // Every edge is there in both directions.
            for edge in &self.edges[at] {
                if distances[edge.to].is_none() {
                    distances[edge.to] = Some(distance + 1);
                    line.push_back((edge.to, distance + 1));
                }
            }
        }
        distances
    }

    /// Collects the ways that come closer to the end with each step: none of them sees a table twice, and none leads nowhere.
    fn descend(&self, at: usize, distances: &[Option<usize>], way: &mut Vec<Edge<'a>>, found: &mut Vec<Vec<Edge<'a>>>) {
        if distances[at] == Some(0) {
            found.push(way.clone());
            return;
        }
        let closer = distances[at].map(|distance| distance - 1);
        for edge in self.edges[at].iter().filter(|edge| distances[edge.to] == closer) {
            if found.len() > MAX_PATHS {
                return;
            }
            way.push(*edge);
            self.descend(edge.to, distances, way, found);
            way.pop();
        }
    }

    fn path(&self, from: usize, edges: &[Edge<'_>], on_path: &impl Fn(&Table) -> bool) -> JoinPath {
        let mut steps = Vec::new();
        let (mut at, mut is_left) = (from, false);
        for edge in edges {
            is_left |= !self.finds_partner(at, edge);
            steps.push(step(edge, if is_left { JoinType::Left } else { JoinType::Inner }));
            at = edge.to;
        }
        let way: Vec<&Table> =
            std::iter::once(from).chain(edges.iter().map(|edge| edge.to)).map(|at| &self.tables[at]).collect();
        JoinPath { depth: steps.len(), sql_example: example(&way, edges, &steps, on_path), steps }
    }

    /// Whether every row of the table at hand has its partner: a row that points to another, and must.
    fn finds_partner(&self, at: usize, edge: &Edge<'_>) -> bool {
        let is_required = |name: &String| column(&self.tables[at], name).is_some_and(|column| !column.is_nullable);
        edge.is_forward && edge.key.from_columns.iter().all(is_required)
    }
}

impl<'a> Edge<'a> {
    /// The columns on both sides, in the direction that it is walked.
    fn columns(&self) -> (&'a [String], &'a [String]) {
        match self.is_forward {
            true => (&self.key.from_columns, &self.key.to_columns),
            false => (&self.key.to_columns, &self.key.from_columns),
        }
    }
}

fn column<'a>(table: &'a Table, name: &str) -> Option<&'a Column> {
    table.columns.iter().find(|column| column.name == name)
}

fn step(edge: &Edge<'_>, join_type: JoinType) -> JoinStep {
    let Edge { key, is_forward, .. } = edge;
    let (child, parent) = ((&key.from_schema, &key.from_table), (&key.to_schema, &key.to_table));
    let (from, to) = if *is_forward { (child, parent) } else { (parent, child) };
    let (from_columns, to_columns) = edge.columns();
    let is_composite = from_columns.len() > 1;
    JoinStep {
        from_table: from.1.clone(),
        from_schema: from.0.clone(),
        from_column: from_columns.first().cloned().unwrap_or_default(),
        to_table: to.1.clone(),
        to_schema: to.0.clone(),
        to_column: to_columns.first().cloned().unwrap_or_default(),
        from_columns: is_composite.then(|| from_columns.to_vec()),
        to_columns: is_composite.then(|| to_columns.to_vec()),
        join_type,
        constraint_name: key.constraint_name.clone(),
    }
}

/// The statement that goes along the steps and shows what identifies a row at either end.
fn example(way: &[&Table], edges: &[Edge<'_>], steps: &[JoinStep], on_path: &impl Fn(&Table) -> bool) -> String {
    let aliases = aliases(way);
    let named = |at: usize| {
        let table = way[at];
        let schema = if on_path(table) { String::new() } else { format!("{}.", quoted(&table.schema_name)) };
        format!("{schema}{} AS {}", quoted(&table.table_name), aliases[at])
    };
    let shown = |at: usize, otherwise: &[String]| {
        let key = way[at].columns.iter().filter(|column| column.is_primary_key).map(|column| &column.name);
        let mut names: Vec<&String> = key.collect();
        if names.is_empty() {
            names = otherwise.iter().collect();
        }
        names.iter().map(|name| format!("{}.{}", aliases[at], quoted(name))).collect::<Vec<_>>()
    };
    let last = edges.len();
    let first_columns = edges.first().map(|edge| edge.columns().0).unwrap_or_default();
    let last_columns = edges.last().map(|edge| edge.columns().1).unwrap_or_default();
    let columns = [shown(0, first_columns), shown(last, last_columns)].concat().join(", ");
    let mut sql = format!("SELECT {columns} FROM {}", named(0));
    for (at, (edge, step)) in edges.iter().zip(steps).enumerate() {
        let (from, to) = edge.columns();
        let pairs = from.iter().zip(to);
        let equal =
            pairs.map(|(from, to)| format!("{}.{} = {}.{}", aliases[at], quoted(from), aliases[at + 1], quoted(to)));
        let condition = equal.collect::<Vec<_>>().join(" AND ");
        let _ = write!(sql, " {} {} ON {condition}", step.join_type.as_sql(), named(at + 1));
    }
    let _ = write!(sql, " LIMIT {EXAMPLE_ROWS}");
    sql
}

/// Short names for the tables, each once: their words' first letters, and a number where those are taken or mean something to SQL.
fn aliases(tables: &[&Table]) -> Vec<String> {
    let mut taken = HashSet::new();
    let alias = |table: &&Table| {
        let words = table.table_name.split(|letter: char| !letter.is_ascii_alphanumeric());
        let letters = words.filter_map(|word| word.chars().find(char::is_ascii_alphabetic));
        let mut short = letters.map(|letter| letter.to_ascii_lowercase()).collect::<String>();
        if short.is_empty() {
            short.push('t');
        }
        let numbered = (2..).map(|number| format!("{short}{number}"));
        let mut candidates = std::iter::once(short.clone()).chain(numbered);
        let is_free = |name: &String| quoted(name) == name.as_str() && !taken.contains(name);
        let free = candidates.find(is_free).expect("numbers never end");
        taken.insert(free.clone());
        free
    };
    tables.iter().map(alias).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::table;
    use super::*;

    fn key(tables: &mut [Table], name: &str, from: (TableRef<'_>, &[&str]), to: (TableRef<'_>, &[&str])) {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let key = ForeignKey {
            constraint_name: name.to_owned(),
            from_schema: from.0.0.to_owned(),
            from_table: from.0.1.to_owned(),
            from_columns: names(from.1),
            to_schema: to.0.0.to_owned(),
            to_table: to.0.1.to_owned(),
            to_columns: names(to.1),
            on_update: "NO ACTION".to_owned(),
            on_delete: "NO ACTION".to_owned(),
        };
        let child = tables.iter_mut().find(|table| table.schema_name == from.0.0 && table.table_name == from.0.1);
        child.unwrap().foreign_keys.push(key);
    }

    fn shop() -> Vec<Table> {
        let mut tables = vec![
            table("crm", "Order Notes", &["id!", "order!", "Line"]),
            table("public", "addresses", &["id!", "user_id"]),
            table("public", "categories", &["id!", "parent_id"]),
            table("public", "islands", &["id!"]),
            table("public", "order_items", &["order_id!", "line!", "product_id!"]),
            table("public", "orders", &["id!", "user_id!", "billing_id!", "shipping_id"]),
            table("public", "products", &["id!", "category_id"]),
            table("public", "tokens", &["id!", "user_id!*"]),
            table("public", "users", &["id!", "referrer_id"]),
        ];
        let public = |name: &'static str| ("public", name);
        let tables_mut = &mut tables[..];
        let mut one = |from: &'static str, column: &str, to: &'static str| {
            key(tables_mut, &format!("{from}_{column}_fkey"), (public(from), &[column]), (public(to), &["id"]));
        };
        one("addresses", "user_id", "users");
        one("categories", "parent_id", "categories");
        one("order_items", "order_id", "orders");
        one("order_items", "product_id", "products");
        one("orders", "user_id", "users");
        one("orders", "billing_id", "addresses");
        one("orders", "shipping_id", "addresses");
        one("products", "category_id", "categories");
        one("tokens", "user_id", "users");
        one("users", "referrer_id", "users");
        key(
            &mut tables,
            "notes_line",
            (("crm", "Order Notes"), &["order", "Line"]),
            (public("order_items"), &["order_id", "line"]),
        );
        tables
    }

    fn find(from: TableRef<'_>, to: TableRef<'_>, depth: usize) -> Result<JoinPaths, NoPath> {
        join_paths(&shop(), from, to, depth, |table| table.schema_name == "public")
    }

    fn examples(from: TableRef<'_>, to: TableRef<'_>) -> Vec<String> {
        find(from, to, 4).unwrap().paths.into_iter().map(|path| path.sql_example).collect()
    }

    #[test]
    fn walks_to_parents_by_inner_joins_and_to_children_by_left_ones() {
        assert_eq!(
            examples(("public", "order_items"), ("public", "users")),
            ["SELECT oi.order_id, u.id FROM order_items AS oi INNER JOIN orders AS o ON oi.order_id = o.id \
              INNER JOIN users AS u ON o.user_id = u.id LIMIT 10"]
        );
        assert_eq!(
            examples(("public", "users"), ("public", "order_items")),
            ["SELECT u.id, oi.order_id FROM users AS u LEFT JOIN orders AS o ON u.id = o.user_id \
              LEFT JOIN order_items AS oi ON o.id = oi.order_id LIMIT 10"]
        );
    }

    #[test]
    fn a_left_join_is_followed_by_left_joins() {
        // To the children and then to a parent that every child has.
        let path = &find(("public", "orders"), ("public", "products"), 4).unwrap().paths[0];
        let joins: Vec<JoinType> = path.steps.iter().map(|step| step.join_type).collect();
        assert_eq!(joins, [JoinType::Left, JoinType::Left]);
        let path = &find(("public", "products"), ("public", "categories"), 4).unwrap().paths[0];
        assert_eq!(path.steps[0].join_type, JoinType::Left, "the key may be null");
    }

    #[test]
    fn gives_all_that_are_equally_short() {
        let found = find(("public", "orders"), ("public", "addresses"), 4).unwrap();
        let keys: Vec<&str> = found.paths.iter().map(|path| &*path.steps[0].constraint_name).collect();
        assert_eq!(keys, ["orders_billing_id_fkey", "orders_shipping_id_fkey"]);
        assert_eq!(found.paths[0].steps[0].join_type, JoinType::Inner);
        assert_eq!(found.paths[1].steps[0].join_type, JoinType::Left);
        assert!(!found.has_more);
    }

    #[test]
    fn gives_ten_and_says_that_there_are_more() {
        let mut tables = vec![table("s", "a", &["id!"]), table("s", "b", &["id!"])];
        for number in 0..12 {
            key(&mut tables, &format!("key_{number:02}"), (("s", "a"), &["id"]), (("s", "b"), &["id"]));
        }
        let found = join_paths(&tables, ("s", "a"), ("s", "b"), 1, |_| false).unwrap();
        assert_eq!((found.paths.len(), found.has_more), (10, true));
    }

    #[test]
    fn composite_keys_keep_their_pairs_and_odd_names_their_quotes() {
        let found = find(("crm", "Order Notes"), ("public", "order_items"), 1).unwrap();
        let step = &found.paths[0].steps[0];
        assert_eq!(step.from_columns.as_deref(), Some(&["order".to_owned(), "Line".to_owned()][..]));
        assert_eq!(step.to_columns.as_deref(), Some(&["order_id".to_owned(), "line".to_owned()][..]));
        assert_eq!(
            found.paths[0].sql_example,
            "SELECT on2.id, oi.order_id, oi.line FROM crm.\"Order Notes\" AS on2 LEFT JOIN order_items AS oi \
             ON on2.\"order\" = oi.order_id AND on2.\"Line\" = oi.line LIMIT 10"
        );
    }

    #[test]
    fn names_the_nearest_depth_where_there_is_no_path_so_short() {
        assert_eq!(find(("crm", "Order Notes"), ("public", "users"), 2), Err(NoPath { nearest: Some(3) }));
        assert_eq!(find(("public", "islands"), ("public", "users"), 6), Err(NoPath { nearest: None }));
        assert_eq!(find(("public", "nowhere"), ("public", "users"), 6), Err(NoPath { nearest: None }));
    }

    #[test]
    fn does_not_join_on_masked_columns() {
        assert_eq!(find(("public", "tokens"), ("public", "users"), 6), Err(NoPath { nearest: None }));
    }

    #[test]
    fn short_names_are_each_there_once_and_no_words_of_sql() {
        let check = |names: &[&str], expected: &[&str]| {
            let tables: Vec<Table> = names.iter().map(|name| table("s", name, &[])).collect();
            assert_eq!(aliases(&tables.iter().collect::<Vec<_>>()), expected, "{names:?}");
        };
        check(&["users", "user_roles", "updates"], &["u", "ur", "u2"]);
        check(&["account_state", "2024", "Über"], &["as2", "t", "b"]);
        check(&["OrderItems", "order-items"], &["o", "oi"]);
    }
}
