//! Columns in scope: references that no column can satisfy, and `alias.name` or `(value).name` where it would be a function call.

use pg_query::NodeEnum;
use pg_query::protobuf::{ColumnRef, Node};
use shared_protocol::error::ErrorCode;
use shared_protocol::names::{closest, did_you_mean};

use crate::functions::{self, Verdict};
use crate::parse::only_place;
use crate::rejection::Rejection;
use crate::relations::Named;
use crate::statement::{Mode, Walk, names, string};

/// Columns that every table has.
const SYSTEM_COLUMNS: &[&str] = &["ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"];

/// What is known of the columns of a relation, subquery or output.
#[derive(Debug, Clone, Default)]
pub(crate) struct Columns {
    /// Names that it surely has, in order.
    pub(crate) known: Vec<String>,
    /// Whether it may have others too.
    pub(crate) open: bool,
}

impl Columns {
    /// Exactly these.
    pub(crate) fn all(known: Vec<String>) -> Self {
        Self { known, open: false }
    }

    /// Nothing is known.
    pub(crate) fn unknown() -> Self {
        Self { known: Vec::new(), open: true }
    }

    /// These and perhaps others.
    pub(crate) fn at_least(known: Vec<String>) -> Self {
        Self { known, open: true }
    }

    /// Adds a column, or that there is one of unknown name.
    pub(crate) fn push(&mut self, name: Option<String>) {
        match name {
            Some(name) => self.known.push(name),
            None => self.open = true,
        }
    }

    /// Adds the columns of another.
    pub(crate) fn extend(&mut self, other: &Self) {
        self.known.extend_from_slice(&other.known);
        self.open |= other.open;
    }

    /// With the first columns called by these aliases instead.
    pub(crate) fn renamed(self, aliases: &[&str]) -> Self {
        if aliases.is_empty() {
            return self;
        }
        let mut known: Vec<String> = aliases.iter().map(ToString::to_string).collect();
        if !self.open {
            known.extend(self.known.into_iter().skip(aliases.len()));
        }
        Self { known, open: self.open }
    }

    fn has(&self, name: &str) -> bool {
        self.known.iter().any(|known| known == name)
    }
}

impl Walk<'_> {
    /// Judges a reference to a column or a whole row.
    pub(crate) fn column(&self, reference: &ColumnRef) -> Result<(), Rejection> {
        let ColumnRef { fields, location } = reference;
        let mut parts = Vec::new();
        for field in fields {
            match &field.node {
                Some(NodeEnum::String(name)) => parts.push(name.sval.as_str()),
                // `*` is always last.
                Some(NodeEnum::AStar(_)) => return Ok(()),
                _ => return Err(self.unexpected(field, *location)),
            }
        }
        match parts.as_slice() {
            [column] => self.unqualified_column(column, *location),
            [.., alias, column] => self.qualified_column(alias, column, *location),
            [] => Ok(()),
        }
    }

    /// Judges `(value).name`: a field of a composite value, or else a call of a function of that name.
    pub(crate) fn selection(&self, selectors: &[Node]) -> Result<(), Rejection> {
        for name in selectors.iter().filter_map(string) {
            if let Some(rejection) = self.call_in_disguise(name) {
                return Err(rejection.at(self.text, only_place(self.text, name)));
            }
        }
        Ok(())
    }

    /// `alias.column` is the column where there is one; if not, PostgreSQL looks for a function of that name that takes the row.
    fn qualified_column(&self, alias: &str, column: &str, location: i32) -> Result<(), Rejection> {
        let items = self.levels.iter().rev().flat_map(|level| &level.items);
        let meant: Vec<_> = items.filter(|item| item.name == alias).map(|item| &item.columns).collect();
        // Whichever item of that name is meant, it has the column.
        if !meant.is_empty() && meant.iter().all(|columns| columns.has(column)) {
            return Ok(());
        }
        if let Some(rejection) = self.call_in_disguise(column) {
            return Err(rejection.at(self.text, location));
        }
        match meant.as_slice() {
            _ if SYSTEM_COLUMNS.contains(&column) => Ok(()),
            [columns] if !columns.open && functions::verdict(column, 1, false) == Verdict::Unknown => {
                Err(self.column_not_found(&format!("{alias}.{column}"), column, &columns.known, location))
            }
            _ => Ok(()),
        }
    }

    fn unqualified_column(&self, column: &str, location: i32) -> Result<(), Rejection> {
        let mut near = Vec::new();
        for level in &self.levels {
            let all = level.items.iter().map(|item| &item.columns).chain([&level.outputs]);
            for columns in all {
                if columns.open || columns.has(column) {
                    return Ok(());
                }
                near.extend_from_slice(&columns.known);
            }
            if level.items.iter().any(|item| item.name == column) {
                return Ok(()); // The whole row.
            }
        }
        if SYSTEM_COLUMNS.contains(&column) {
            return Ok(());
        }
        near.dedup();
        Err(self.column_not_found(column, column, &near, location))
    }

    /// Judges the columns of `JOIN … USING`, each of which either side must have.
    pub(crate) fn merged_columns(&self, merged: &[&str], sides: [&[Named]; 2]) -> Result<(), Rejection> {
        for column in merged {
            for side in sides {
                if !side.iter().any(|item| item.columns.open || item.columns.has(column)) {
                    let near: Vec<_> = side.iter().flat_map(|item| item.columns.known.iter().cloned()).collect();
                    return Err(self.column_not_found(column, column, &near, only_place(self.text, column)));
                }
            }
        }
        Ok(())
    }

    /// The refusal of `value.name` where that could call a function which `name(value)` may not.
    fn call_in_disguise(&self, name: &str) -> Option<Rejection> {
        let rejection = match functions::verdict(name, 1, false) {
            Verdict::Denied(class) => functions::denied(name, class),
            Verdict::Metadata if self.mode == Mode::Final => functions::denied_metadata(name),
            _ if self.mode == Mode::Final && self.catalog.is_some_and(|catalog| catalog.has_function(name)) => {
                functions::denied_user_function(name, false)
            }
            _ => return None,
        };
        Some(rejection.suggest(format!(
            "Where no column is called {name}, value.{name} calls the function {name}(value). If a column is meant, select it by its own name."
        )))
    }

    fn column_not_found(&self, written: &str, column: &str, known: &[String], location: i32) -> Rejection {
        let mut names: Vec<&str> = known.iter().map(String::as_str).collect();
        names.sort_unstable();
        names.dedup();
        let similar: Vec<String> = closest(column, names.iter().copied(), 5).into_iter().map(String::from).collect();
        let list = || match names.as_slice() {
            [] => "No table stands in FROM; put quotes ('…') around text.".to_string(),
            names => format!("The columns are {}.", names.iter().take(30).copied().collect::<Vec<_>>().join(", ")),
        };
        let mut rejection = Rejection::new(ErrorCode::ColumnNotFound, format!("there is no column {written}"))
            .refused(written)
            .suggest(did_you_mean(&similar).unwrap_or_else(list))
            .at(self.text, location);
        rejection.similar_columns = similar;
        rejection
    }
}

/// The name that PostgreSQL gives to an unnamed output column, where it is plain to see.
pub(crate) fn output_name(value: &Node) -> Option<String> {
    match &value.node {
        Some(NodeEnum::ColumnRef(reference)) => reference.fields.last().and_then(string).map(String::from),
        Some(NodeEnum::FuncCall(call)) => names(&call.funcname).last().map(ToString::to_string),
        _ => None,
    }
}
