//! References to columns and whole rows, and `alias.name` or `(value).name` where it would be a function call.

use pg_query::NodeEnum;
use pg_query::protobuf::{AIndirection, ColumnRef, Node};
use shared_protocol::error::ErrorCode;
use shared_protocol::names::{closest, did_you_mean};

use super::call::Calls;
use super::{Mode, Place, Walk, string};
use crate::columns::{Columns, Found, Restriction};
use crate::parse::only_place;
use crate::rejection::Rejection;
use crate::scope::{self, Item, Meaning};
use crate::types;
use crate::weight::Weight;

/// Columns that every table has.
const SYSTEM_COLUMNS: &[&str] = &["ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"];

/// How many columns a suggestion is chosen from.
const MAX_NEAR: usize = 5000;

/// How many columns a message lists.
const MAX_LISTED: usize = 30;

impl<'a> Walk<'a> {
    /// Judges a reference to a column or a whole row by what becomes of it.
    pub(super) fn column(&mut self, reference: &ColumnRef, place: Place) -> Result<Restriction, Rejection> {
        let ColumnRef { fields, location } = reference;
        let mut parts = Vec::with_capacity(fields.len());
        let is_schema_given = fields.len() > 2;
        for field in fields {
            match &field.node {
                Some(NodeEnum::String(name)) => parts.push(name.sval.as_str()),
                // `*` is always last; anywhere but by itself in a SELECT list it takes rows whole.
                Some(NodeEnum::AStar(_)) => return self.rows(parts.last().copied(), is_schema_given, *location),
                _ => return Err(self.unexpected(field, *location)),
            }
        }
        match parts.as_slice() {
            [column] => self.unqualified_column(column, place, *location),
            [.., alias, column] => self.qualified_column(alias, column, place, *location),
            [] => Ok(Restriction::Free),
        }
    }

    /// The columns that `*` or `alias.*` puts out.
    pub(super) fn star(&mut self, star: Star<'_>, location: i32) -> Result<Columns, Rejection> {
        let mut columns = Columns::default();
        match star.alias {
            None => {
                for row in self.levels.last().map_or(&[][..], |level| &level.rows) {
                    columns.extend(row).map_err(|rejection| rejection.at(self.text, location))?;
                    self.expand_row(row)?;
                }
            }
            Some(alias) => match scope::items(&self.levels, alias).as_slice() {
                [] => columns.push_unknown(),
                [_, _, ..] if star.is_schema_given => {
                    self.rows(Some(alias), true, location)?;
                    columns.push_unknown();
                }
                [item, ..] => {
                    columns = item.columns.clone();
                    self.expand_row(&columns)?;
                }
            },
        }
        match columns.worst() {
            Restriction::Hidden => Err(self.all_columns_denied(&columns, "*", location)),
            _ => Ok(columns),
        }
    }

    /// Whole rows as values: of one item, or of all.
    fn rows(&self, alias: Option<&str>, is_schema_given: bool, location: i32) -> Result<Restriction, Rejection> {
        match alias {
            Some(alias) => {
                let meant = if is_schema_given { usize::MAX } else { 1 };
                let mut items = scope::items(&self.levels, alias).into_iter().take(meant);
                items.try_for_each(|item| self.whole_row(item, location))
            }
            None => {
                let items = self.levels.last().into_iter().flat_map(|level| &level.items);
                items.into_iter().try_for_each(|item| self.whole_row(item, location))
            }
        }
        .map(|()| Restriction::Free)
    }

    /// Judges a whole row of an item as a value: it has every column in it.
    fn whole_row(&self, item: &Item, location: i32) -> Result<(), Rejection> {
        // As a value it is made of all its columns.
        let Weight { nodes, copies } = item.columns.whole_weight();
        self.refer(Weight { nodes: nodes.saturating_add(1), copies }, Some(&item.name), "*")?;
        match item.columns.worst() {
            restriction if restriction == Restriction::Free || self.lets_convert(restriction) => Ok(()),
            Restriction::Fixed => {
                let message =
                    format!("{} as a whole row would be turned into its row type, which may not be", item.name);
                Err(Rejection::new(ErrorCode::FunctionDenied, message)
                    .refused(&item.name)
                    .suggest("Name the columns that you need.")
                    .at(self.text, location))
            }
            _ => Err(self.all_columns_denied(&item.columns, &item.name, location)),
        }
    }

    /// Judges `(value).name`: a field of a composite value, or else a call of a function of that name.
    pub(super) fn selection(&mut self, step: &'a AIndirection, place: Place) -> Result<Restriction, Rejection> {
        let AIndirection { arg, indirection } = step;
        // `(alias).column` is what `alias.column` is.
        if let (Some(alias), [field]) = (arg.as_deref().and_then(single_name), indirection.as_slice())
            && let Some(column) = string(field)
            && let Meaning::Row(_) = scope::meaning(&self.levels, alias)
        {
            return self.qualified_column(alias, column, place, -1);
        }
        self.optional(arg.as_deref())?;
        for name in indirection.iter().filter_map(string) {
            if let Some(rejection) = self.call_in_disguise(name) {
                return Err(rejection.at(self.text, only_place(self.text, name)));
            }
        }
        self.subscripts(indirection)?;
        Ok(Restriction::Free)
    }

    /// `alias.column` is the column where there is one; if not, PostgreSQL looks for a function of that name that takes the row.
    fn qualified_column(
        &mut self,
        alias: &str,
        column: &str,
        place: Place,
        location: i32,
    ) -> Result<Restriction, Rejection> {
        let written = || format!("{alias}.{column}");
        let mut columns = None;
        // Two items of a level may have the same name where their schemas differ; whichever is meant, it counts.
        let mut strictest = None;
        let items = scope::items(&self.levels, alias);
        let heavy = items.iter().filter(|item| item.columns.has_weight());
        let weights = heavy.filter_map(|item| item.columns.weight(column));
        self.refer(weights.reduce(Weight::most).unwrap_or_default(), Some(alias), column)?;
        for item in items {
            match item.columns.find(column) {
                Found::Column(restriction) => strictest = strictest.max(Some(restriction)),
                Found::Perhaps(restriction) if restriction != Restriction::Free => {
                    self.admit(restriction, place, &written(), location)?;
                    strictest = strictest.max(Some(restriction));
                }
                _ if columns.is_none() => columns = Some(item.columns.clone()),
                _ => {}
            }
        }
        match (strictest, &columns) {
            (Some(Restriction::Hidden), _) => {
                return Err(self.column_not_found(&written(), column, &self.columns_of(alias), location));
            }
            (Some(restriction), None) => return self.admit(restriction, place, &written(), location),
            // An item of that name lacks the column: it may be the one that is meant.
            (Some(restriction), Some(_)) => {
                self.admit(restriction, place, &written(), location)?;
            }
            (None, _) => {}
        }
        if let Some(rejection) = self.call_in_disguise(column) {
            return Err(rejection.at(self.text, location));
        }
        match columns {
            _ if SYSTEM_COLUMNS.contains(&column) && self.is_built_in_alone(column) => Ok(Restriction::Free),
            Some(columns)
                if strictest.is_none()
                    && columns.find(column) == Found::Nothing
                    && matches!(self.calls(None, column, 1, false), Calls::Nothing)
                    && self.cast_by_call(None, column).is_none() =>
            {
                Err(self.column_not_found(&written(), column, &[columns], location))
            }
            _ => {
                // `alias.function` takes the row whole.
                scope::items(&self.levels, alias).into_iter().try_for_each(|item| self.whole_row(item, location))?;
                Ok(strictest.unwrap_or_default())
            }
        }
    }

    fn columns_of(&self, alias: &str) -> Vec<Columns> {
        scope::items(&self.levels, alias).into_iter().map(|item| item.columns.clone()).collect()
    }

    fn unqualified_column(&self, column: &str, place: Place, location: i32) -> Result<Restriction, Rejection> {
        self.refer(scope::weight(&self.levels, column), None, column)?;
        match scope::meaning(&self.levels, column) {
            Meaning::Column(Restriction::Hidden) | Meaning::Perhaps(Restriction::Hidden) => {}
            Meaning::Column(restriction) | Meaning::Perhaps(restriction) => {
                return self.admit(restriction, place, column, location);
            }
            Meaning::Row(item) => return self.whole_row(item, location).map(|()| Restriction::Free),
            Meaning::Nothing if SYSTEM_COLUMNS.contains(&column) => return Ok(Restriction::Free),
            // An argument of the function whose body this is.
            Meaning::Nothing if self.mode == Mode::Definition => return Ok(Restriction::Free),
            Meaning::Nothing => {}
        }
        let near: Vec<Columns> = self.levels.iter().flat_map(|level| level.rows.iter().cloned()).collect();
        Err(self.column_not_found(column, column, &near, location))
    }

    /// Passes a column of that restriction on, where it may stand in such a place.
    pub(super) fn admit(
        &self,
        restriction: Restriction,
        place: Place,
        written: &str,
        location: i32,
    ) -> Result<Restriction, Rejection> {
        if place.admits(restriction) || self.lets_convert(restriction) {
            return Ok(restriction);
        }
        let rejection = match restriction {
            Restriction::Fixed => {
                let message =
                    format!("{written} has a type into which other values may not be turned, as they would be here");
                Rejection::new(ErrorCode::FunctionDenied, message)
                    .suggest(format!("Turn it into text first: {written}::text."))
            }
            _ => Rejection::new(ErrorCode::AccessDenied, format!("{written} is masked, so it may not be used here"))
                .suggest(format!("Select {written} as it is, which gives \"***\", or count({written}).")),
        };
        Err(rejection.refused(written).at(self.text, location))
    }

    /// Judges the columns of `JOIN … USING`, each of which either side must have.
    pub(super) fn merged_column(&self, column: &str, sides: [&Columns; 2]) -> Result<(), Rejection> {
        self.still_wanted()?;
        // The place is looked for only where it is told: that reads the whole text.
        sides.into_iter().try_for_each(|side| {
            let weight = side.weight(column).unwrap_or_default();
            self.expand(weight.nodes.into())?;
            self.count_moved(weight)?;
            let judged = match side.find(column) {
                Found::Column(Restriction::Hidden) | Found::Nothing => {
                    Err(self.column_not_found(column, column, std::slice::from_ref(side), -1))
                }
                Found::Column(restriction) | Found::Perhaps(restriction) => {
                    self.admit(restriction, Place::Combined, column, -1).map(drop)
                }
            };
            judged.map_err(|rejection| rejection.at(self.text, only_place(self.text, column)))
        })
    }

    /// The refusal of `value.name` where that could call a function which `name(value)` may not.
    fn call_in_disguise(&self, name: &str) -> Option<Rejection> {
        if self.mode == Mode::Definition {
            return None;
        }
        let rejection = match self.calls(None, name, 1, false) {
            Calls::Denied(rejection) => *rejection,
            _ if types::is_valueless(name) && !self.has_own_type(name) => return None,
            _ => self.cast_by_call(None, name)?.err()?,
        };
        Some(rejection.suggest(format!(
            "Where no column is called {name}, value.{name} means {name}(value), a call or a cast. If a column is meant, select it by its own name."
        )))
    }

    /// The refusal of all columns of a row at once, where some of them may not be seen.
    pub(super) fn all_columns_denied(&self, columns: &Columns, what: &str, location: i32) -> Rejection {
        let (why, instead, most) = match columns.worst() {
            Restriction::Hidden => {
                ("takes columns that you may not read", "Name the columns instead", Restriction::Masked)
            }
            _ => ("would combine masked columns with others", "Name those that you need instead", Restriction::Fixed),
        };
        let names = columns.known().iter().filter(|column| column.restriction <= most);
        let names: Vec<&str> = names.filter_map(|column| column.name.as_deref()).take(MAX_LISTED).collect();
        Rejection::new(ErrorCode::AccessDenied, format!("{what} {why}"))
            .refused(what)
            .suggest(format!("{instead}: {}.", names.join(", ")))
            .at(self.text, location)
    }

    fn column_not_found(&self, written: &str, column: &str, near: &[Columns], location: i32) -> Rejection {
        let near = near.iter().flat_map(Columns::visible_names);
        let mut names: Vec<&str> = near.filter(|name| *name != column).take(MAX_NEAR).collect();
        names.sort_unstable();
        names.dedup();
        let similar: Vec<String> = closest(column, names.iter().copied(), 5).into_iter().map(String::from).collect();
        let list = || match names.as_slice() {
            [] => "No table stands in FROM; put quotes ('…') around text.".to_string(),
            names => {
                format!("The columns are {}.", names.iter().take(MAX_LISTED).copied().collect::<Vec<_>>().join(", "))
            }
        };
        let mut rejection = Rejection::new(ErrorCode::ColumnNotFound, format!("there is no column {written}"))
            .refused(written)
            .suggest(did_you_mean(&similar).unwrap_or_else(list))
            .at(self.text, location);
        rejection.similar_columns = similar;
        rejection
    }
}

/// `*`, `alias.*` or `schema.relation.*`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Star<'n> {
    alias: Option<&'n str>,
    is_schema_given: bool,
}

/// The star that a value of a SELECT list is, where it is one.
pub(super) fn star(value: &Node) -> Option<Star<'_>> {
    let Some(NodeEnum::ColumnRef(reference)) = &value.node else { return None };
    let (last, relation) = reference.fields.split_last()?;
    let star = Star { alias: relation.last().and_then(string), is_schema_given: relation.len() > 1 };
    matches!(&last.node, Some(NodeEnum::AStar(_))).then_some(star)
}

/// Whether a value of a SELECT list is `(row).*`, which is any number of columns.
pub(super) fn is_row_expansion(value: &Node) -> bool {
    let Some(NodeEnum::AIndirection(step)) = &value.node else { return false };
    matches!(step.indirection.last(), Some(Node { node: Some(NodeEnum::AStar(_)) }))
}

/// The name of a reference without dots.
fn single_name(value: &Node) -> Option<&str> {
    match &value.node {
        Some(NodeEnum::ColumnRef(reference)) => match reference.fields.as_slice() {
            [name] => string(name),
            _ => None,
        },
        _ => None,
    }
}
