//! Columns in scope: references that no column can satisfy, and `alias.name` or `(value).name` where it would be a function call.

use std::collections::HashSet;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use pg_query::NodeEnum;
use pg_query::protobuf::{ColumnRef, Node};
use shared_protocol::error::ErrorCode;
use shared_protocol::names::{closest, did_you_mean};

use crate::functions::{self, Verdict};
use crate::parse::only_place;
use crate::rejection::Rejection;
use crate::relations::{Level, Named};
use crate::statement::{Mode, Walk, names, string};

/// Columns that every table has.
const SYSTEM_COLUMNS: &[&str] = &["ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"];

/// PostgreSQL's limit on the columns of a row. Without it, each `SELECT * FROM a, a` over the one before would double them.
pub(crate) const MAX_COLUMNS: usize = 1664;

/// How many columns a suggestion is chosen from.
const MAX_NEAR: usize = 5000;

/// What is known of the columns of a relation, subquery or output. Clones share the names.
#[derive(Debug, Clone, Default)]
pub(crate) struct Columns {
    /// Names that it surely has, in order; at most [`MAX_COLUMNS`].
    pub(crate) known: Arc<NameList>,
    /// Whether it may have others too.
    pub(crate) open: bool,
}

impl Columns {
    /// Exactly these.
    pub(crate) fn all<N: Into<Arc<str>>>(known: impl IntoIterator<Item = N>) -> Result<Self, Rejection> {
        let known: Vec<Arc<str>> = known.into_iter().map(Into::into).take(MAX_COLUMNS + 1).collect();
        fits(known.len())?;
        Ok(Self { known: Arc::new(known.into()), open: false })
    }

    /// Nothing is known.
    pub(crate) fn unknown() -> Self {
        Self { known: Arc::default(), open: true }
    }

    /// These and perhaps others.
    pub(crate) fn at_least(known: &[&str]) -> Result<Self, Rejection> {
        Ok(Self { open: true, ..Self::all(known.iter().copied())? })
    }

    /// Adds a column, or that there is one of unknown name.
    pub(crate) fn push(&mut self, name: Option<&str>) -> Result<(), Rejection> {
        match name {
            Some(name) => {
                fits(self.known.len() + 1)?;
                Arc::make_mut(&mut self.known).append([name.into()]);
            }
            None => self.open = true,
        }
        Ok(())
    }

    /// Adds the columns of another.
    pub(crate) fn extend(&mut self, other: &Self) -> Result<(), Rejection> {
        fits(self.known.len() + other.known.len())?;
        if self.known.is_empty() {
            self.known = other.known.clone();
        } else {
            Arc::make_mut(&mut self.known).append(other.known.iter().cloned());
        }
        self.open |= other.open;
        Ok(())
    }

    /// With the first columns called by these aliases instead.
    pub(crate) fn renamed(self, aliases: &[&str]) -> Result<Self, Rejection> {
        if aliases.is_empty() {
            return Ok(self);
        }
        let rest = if self.open { &[][..] } else { self.known.get(aliases.len()..).unwrap_or_default() };
        let known = aliases.iter().map(|alias| Arc::from(*alias)).chain(rest.iter().cloned());
        Ok(Self { open: self.open, ..Self::all(known)? })
    }

    fn has(&self, name: &str) -> bool {
        self.known.has(name)
    }
}

/// Names in order, with an index that the first look-up makes where it pays.
#[derive(Debug, Default)]
pub(crate) struct NameList {
    names: Vec<Arc<str>>,
    index: OnceLock<HashSet<Arc<str>>>,
}

impl NameList {
    /// Up to how many names are looked through one by one.
    const FEW: usize = 16;

    fn append(&mut self, names: impl IntoIterator<Item = Arc<str>>) {
        self.names.extend(names);
        self.index = OnceLock::new();
    }

    fn has(&self, name: &str) -> bool {
        match self.names.len() {
            ..=Self::FEW => self.names.iter().any(|known| **known == *name),
            _ => self.index.get_or_init(|| self.names.iter().cloned().collect()).contains(name),
        }
    }
}

impl From<Vec<Arc<str>>> for NameList {
    fn from(names: Vec<Arc<str>>) -> Self {
        Self { names, index: OnceLock::new() }
    }
}

impl Clone for NameList {
    fn clone(&self) -> Self {
        self.names.clone().into()
    }
}

impl Deref for NameList {
    type Target = [Arc<str>];

    fn deref(&self) -> &[Arc<str>] {
        &self.names
    }
}

/// Refuses a row of more columns than PostgreSQL allows.
fn fits(columns: usize) -> Result<(), Rejection> {
    if columns <= MAX_COLUMNS {
        return Ok(());
    }
    let message = format!("A row of the statement has too many columns; PostgreSQL allows at most {MAX_COLUMNS}.");
    Err(Rejection::new(ErrorCode::QueryTooComplex, message).suggest("Name the columns that you need instead of *."))
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
                Err(self.column_not_found(&format!("{alias}.{column}"), column, [*columns], location))
            }
            _ => Ok(()),
        }
    }

    fn unqualified_column(&self, column: &str, location: i32) -> Result<(), Rejection> {
        for level in &self.levels {
            // The same table often stands in FROM many times in a row.
            let mut before = None;
            for columns in level.columns() {
                let again = before.replace(&columns.known).is_some_and(|before| Arc::ptr_eq(before, &columns.known));
                if columns.open || !again && columns.has(column) {
                    return Ok(());
                }
            }
            if level.items.iter().any(|item| item.name == column) {
                return Ok(()); // The whole row.
            }
        }
        if SYSTEM_COLUMNS.contains(&column) {
            return Ok(());
        }
        let near = self.levels.iter().flat_map(Level::columns);
        Err(self.column_not_found(column, column, near, location))
    }

    /// Judges the columns of `JOIN … USING`, each of which either side must have.
    pub(crate) fn merged_columns(&self, merged: &[&str], sides: [&[Named]; 2]) -> Result<(), Rejection> {
        for column in merged {
            self.still_wanted()?;
            for side in sides {
                if !side.iter().any(|item| item.columns.open || item.columns.has(column)) {
                    let near = side.iter().map(|item| &item.columns);
                    return Err(self.column_not_found(column, column, near, only_place(self.text, column)));
                }
            }
        }
        Ok(())
    }

    /// The refusal of `value.name` where that could call a function which `name(value)` may not.
    fn call_in_disguise(&self, name: &str) -> Option<Rejection> {
        let rejection = match functions::verdict(name, 1, false) {
            Verdict::Denied(class) => functions::denied(name, class),
            Verdict::Metadata(class) if self.mode == Mode::Final => functions::denied(name, class),
            _ if self.mode == Mode::Final && self.catalog.is_some_and(|catalog| catalog.has_function(name)) => {
                functions::denied_user_function(name, false)
            }
            _ => self.cast_in_disguise(name, false)?.err()?,
        };
        Some(rejection.suggest(format!(
            "Where no column is called {name}, value.{name} means {name}(value), a call or a cast. If a column is meant, select it by its own name."
        )))
    }

    fn column_not_found<'c>(
        &self,
        written: &str,
        column: &str,
        near: impl IntoIterator<Item = &'c Columns>,
        location: i32,
    ) -> Rejection {
        let near = near.into_iter().flat_map(|columns| columns.known.iter());
        let mut names: Vec<&str> = near.map(AsRef::as_ref).take(MAX_NEAR).collect();
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
pub(crate) fn output_name(value: &Node) -> Option<&str> {
    match &value.node {
        Some(NodeEnum::ColumnRef(reference)) => reference.fields.last().and_then(string),
        Some(NodeEnum::FuncCall(call)) => names(&call.funcname).last().copied(),
        _ => None,
    }
}
