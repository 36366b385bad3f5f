//! Fragments to put into statements: names, columns, values, conditions and items of FROM.

use rand::Rng;
use rand::seq::IndexedRandom;

use super::Mutator;
use super::items::Item;
use crate::schema::quoted;

/// Names that hide others where they can: of common table expressions, aliases and columns.
const NAMES: &[&str] = &["a", "b", "q", "x", "id", "name", "value", "t"];

impl Mutator<'_> {
    pub(super) fn name(&mut self) -> String {
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

    pub(super) fn names(&mut self, count: usize) -> Vec<String> {
        (0..count.clamp(1, 8)).map(|_| quoted(&self.name())).collect()
    }

    pub(super) fn item(&mut self, items: &[Item]) -> String {
        items.choose(&mut self.rng).map_or_else(|| quoted(&self.name()), |item| quoted(&item.name))
    }

    /// A column of the items, in one of the ways to write it.
    pub(super) fn column(&mut self, items: &[Item]) -> String {
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
    pub(super) fn value(&mut self, items: &[Item]) -> String {
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

    pub(super) fn condition(&mut self, items: &[Item]) -> String {
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
    pub(super) fn relation(&mut self) -> String {
        if let Some((table, _)) = self.focus.choose(&mut self.rng)
            && self.rng.random_bool(0.6)
        {
            return quoted(table);
        }
        let relations: Vec<_> = self.schema.relations.values().collect();
        relations.choose(&mut self.rng).map(|relation| relation.qualified()).unwrap_or_default()
    }

    pub(super) fn columns_of_any(&mut self) -> String {
        match self.focus.choose(&mut self.rng) {
            Some((_, column)) if self.rng.random_bool(0.6) => quoted(column),
            _ => "*".to_owned(),
        }
    }

    /// An item of FROM, which may speak of others before it.
    pub(super) fn source(&mut self, items: &[Item]) -> String {
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
}
