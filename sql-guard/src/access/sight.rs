//! What policy makes of a relation: hidden or seen, and what may be done with each of its columns.

use std::collections::HashSet;
use std::sync::Arc;

use super::{Access, lock};
use crate::catalog::{self, Function, Relation, RelationName, View};
use crate::columns::{Column, Columns, Restriction};
use crate::functions;
use crate::statement::definition;
use crate::system::{HARMLESS_VIEWS, is_system_schema};
use crate::words::Words;

/// What a relation is to the caller.
#[derive(Debug, Clone)]
pub(crate) enum Sight {
    /// Absent.
    Hidden,
    /// There.
    Seen(Arc<Seen>),
}

/// A relation that the caller may read.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// Its columns to statements.
    pub(crate) columns: Columns,
    /// Its columns to views, which read with their owners' rights what the role may not.
    pub(crate) to_views: Columns,
    /// Whether the role may read any of them.
    pub(crate) is_readable: bool,
    /// Whether reading it may run code of the database's own.
    pub(crate) runs_code: bool,
}

impl Sight {
    fn seen(&self) -> Option<&Seen> {
        match self {
            Self::Hidden => None,
            Self::Seen(seen) => Some(seen),
        }
    }
}
impl Access {
    /// What policy makes of a relation, whether or not the role may read it; nothing where there is none.
    pub(crate) fn look_at(&self, name: &RelationName) -> Option<Sight> {
        if let Some(known) = lock(&self.sights).get(name) {
            return Some(known.clone());
        }
        let relation = self.catalog.relation(&name.schema, &name.name)?;
        // What leads back to itself is hidden on the way, until the rules have been looked at.
        lock(&self.sights).insert(name.clone(), Sight::Hidden);
        let by_rules = self.look(relation);
        let begun = lock(&self.looked).len();
        let sight = by_rules.and_then(|seen| {
            // Code may speak of what it stands behind, by a word in a comment: that says nothing against it.
            lock(&self.sights).insert(name.clone(), Sight::Seen(Arc::new(seen.clone())));
            self.look_at_code(relation, seen)
        });
        let sight = sight.map_or(Sight::Hidden, |seen| Sight::Seen(Arc::new(seen)));
        let (mut sights, mut looked) = (lock(&self.sights), lock(&self.looked));
        if matches!(sight, Sight::Hidden) {
            // What was found out meanwhile took it for visible.
            for other in looked.drain(begun..) {
                sights.remove(&other);
            }
        }
        looked.push(name.clone());
        sights.insert(name.clone(), sight.clone());
        Some(sight)
    }

    /// What the rules make of a relation; nothing where they hide it.
    fn look(&self, relation: &Relation) -> Option<Seen> {
        let ancestors = self.kin(relation, |relation| &relation.parents);
        let descendants = self.kin(relation, |relation| &relation.children);
        // A table's rows are its parents' rows too, so a rule about either holds for both.
        let mut family = ancestors.iter().chain(&descendants).map(|kin| &kin.name);
        if !self.policy.allows_table(&relation.name)
            || self.policy.denies_table(&relation.name)
            || family.any(|name| self.policy.denies_table(name))
        {
            return None;
        }
        // Of several parents of a child, each one's rows are the others' too.
        let others = descendants.iter().flat_map(|kin| self.kin(kin, |relation| &relation.parents));
        let mut kin: Vec<&Relation> = ancestors.into_iter().chain(others).chain(descendants.iter().copied()).collect();
        kin.retain(|kin| kin.name != relation.name);
        let mut runs_code = relation.runs_code || kin.iter().any(|relation| relation.runs_code);
        let mut columns = self.own_columns(relation, &kin);
        // Code of the user's may run even where a value is only put out, or sorted.
        runs_code |= relation.columns.iter().any(|column| self.type_leaves_traces(&column.type_name));
        if let Some(view) = &relation.view {
            let functions: Vec<&Function> = view.functions.iter().filter_map(|id| self.catalog.function(*id)).collect();
            let words = Words::of(&view.definition);
            runs_code |= functions.len() < view.functions.len();
            runs_code |= functions.iter().any(|function| function.leaves_traces());
            runs_code |= self.calls_denied(&words);
            let read: Vec<Sight> = view.reads.iter().filter_map(|name| self.look_through_view(name)).collect();
            for seen in read.iter().filter_map(Sight::seen) {
                runs_code |= seen.runs_code;
            }
            // The policy that names the view lets it show what is hidden; what is masked stays so.
            match self.policy.names_table(&relation.name) {
                true => self.inherit_masks(&mut columns, view, &read),
                false => self.inherit(&mut columns, view, &read)?,
            }
        }
        let to_views = Columns::all(columns.iter().cloned()).ok()?;
        for (column, of) in columns.iter_mut().zip(&relation.columns) {
            if !of.is_readable {
                column.restriction = Restriction::Hidden;
            }
        }
        let is_readable = relation.is_readable;
        Some(Seen { columns: Columns::all(columns).ok()?, to_views, is_readable, runs_code })
    }

    /// What the code behind a relation makes of it besides: nothing where it shows what the caller may not see.
    fn look_at_code(&self, relation: &Relation, seen: Seen) -> Option<Seen> {
        if let Some(view) = &relation.view
            && !self.policy.names_table(&relation.name)
            && self.code_shows_restricted(relation, view)
        {
            return None;
        }
        let is_denied = |of: &catalog::Column| self.column_type_denied(&of.type_name, &relation.name).is_some();
        let is_fixed: Vec<bool> = relation.columns.iter().map(is_denied).collect();
        let fix = |columns: &Columns| {
            let fixed = columns.known().iter().zip(&is_fixed).map(|(column, is_fixed)| Column {
                restriction: if *is_fixed { column.restriction.max(Restriction::Fixed) } else { column.restriction },
                ..column.clone()
            });
            Columns::all(fixed).ok()
        };
        match is_fixed.contains(&true) {
            true => Some(Seen { columns: fix(&seen.columns)?, to_views: fix(&seen.to_views)?, ..seen }),
            false => Some(seen),
        }
    }

    /// Whether what a view reads of the system or calls shows what the caller may not see.
    fn code_shows_restricted(&self, relation: &Relation, view: &View) -> bool {
        let functions: Vec<&Function> = view.functions.iter().filter_map(|id| self.catalog.function(*id)).collect();
        let words = Words::of(&view.definition);
        let reaches_far = |function: &&Function| {
            let extension = function.extension.as_deref();
            extension.and_then(|extension| functions::of_extension(extension, &function.name)) == Some(false)
        };
        let reaches_far = functions.iter().any(reaches_far);
        let of_system =
            |name: &RelationName| is_system_schema(&name.schema) && !HARMLESS_VIEWS.contains(&name.name.as_str());
        let has_rules = self.policy.has_rules();
        // An extension's own view of what others do is no decision of the database's owner.
        relation.is_extensions && reaches_far
            // Statistics hold values, and catalogs hold names.
            || view.reads.iter().any(|name| of_system(name) && (has_rules || name.name.contains("stat")))
            || functions.iter().any(|function| self.function_shows_restricted(function, &relation.name))
            // What runs a text may find it in the view, or put it together there.
            || (reaches_far || self.runs_text(&words))
                && (has_rules || self.speaks_of_restricted(&words, Some(&relation.name)))
    }

    /// A relation's columns under the rules about columns: its own, and those of its kin.
    fn own_columns(&self, relation: &Relation, kin: &[&Relation]) -> Vec<Column> {
        let restriction = |column: &catalog::Column| {
            let of_kin = || kin.iter().filter(|kin| kin.columns.iter().any(|other| other.name == column.name));
            let names = || of_kin().map(|kin| &kin.name).chain([&relation.name]);
            let is_secret = || self.policy.is_sensitive(&column.name) && self.holds_text(&column.type_name);
            let of_rows = self.rows_within(&column.type_name);
            if of_rows == Restriction::Hidden || names().any(|name| self.policy.denies_column(name, &column.name)) {
                Restriction::Hidden
            } else if of_rows == Restriction::Masked
                || names().any(|name| self.policy.masks_column(name, &column.name))
                || is_secret()
            {
                Restriction::Masked
            } else {
                Restriction::Free
            }
        };
        let columns = relation.columns.iter();
        let mut own: Vec<Column> = columns
            .map(|column| Column { name: Some(Arc::clone(&column.name)), restriction: restriction(column) })
            .collect();
        // What is computed from restricted columns is as restricted.
        let restricted: Vec<Column> =
            own.iter().filter(|column| column.restriction >= Restriction::Masked).cloned().collect();
        for (column, of) in own.iter_mut().zip(&relation.columns) {
            // A partition may compute a column of its own otherwise, and its rows are its parents' too.
            let of_kin = kin.iter().flat_map(|kin| &kin.columns).filter(|other| other.name == of.name);
            let words: Vec<&Words> = of_kin.chain([of]).filter_map(|column| column.generated_from.as_deref()).collect();
            let mentioned = |name: &str| words.iter().any(|words| words.mention(name));
            let from = restricted.iter().filter(|other| other.name.as_deref().is_some_and(mentioned));
            column.restriction = from.map(|other| other.restriction).max().unwrap_or_default().max(column.restriction);
        }
        own
    }

    /// What policy makes of a relation that a view reads. One that isn't in the catalog is a system catalog's; the rules hold all
    /// the same.
    fn look_through_view(&self, name: &RelationName) -> Option<Sight> {
        let ruled =
            self.policy.denies_table(name) || !self.policy.allows_table(name) || self.policy.has_column_rule(name);
        self.look_at(name).or(ruled.then_some(Sight::Hidden))
    }

    /// Masks the columns of a view that show masked ones; all of them where it can't be told which do.
    fn inherit_masks(&self, columns: &mut [Column], view: &View, read: &[Sight]) {
        let is_masked = |column: &Column| column.restriction == Restriction::Masked;
        if !read.iter().filter_map(Sight::seen).any(|seen| seen.to_views.known().iter().any(is_masked)) {
            return;
        }
        let outputs = definition::outputs(&view.definition, self)
            .filter(|outputs| !outputs.is_open() && outputs.known().len() == columns.len());
        for (at, column) in columns.iter_mut().enumerate() {
            if outputs.as_ref().is_none_or(|outputs| is_masked(&outputs.known()[at])) {
                column.restriction = column.restriction.max(Restriction::Masked);
            }
        }
    }

    /// Restricts the columns of a view by what they show of the relations that it reads; nothing where it can't be seen.
    fn inherit(&self, columns: &mut [Column], view: &View, read: &[Sight]) -> Option<()> {
        let worst = read.iter().map(|sight| match sight {
            Sight::Hidden => Restriction::Hidden,
            // That a column of a table is hidden doesn't mean that the view shows it.
            Sight::Seen(seen) => seen.to_views.worst().min(Restriction::Masked),
        });
        match worst.max() {
            Some(Restriction::Hidden) => return None,
            Some(Restriction::Masked) => {}
            _ => return Some(()),
        }
        let outputs = definition::outputs(&view.definition, self)?;
        if outputs.is_open() || outputs.known().len() != columns.len() {
            return None;
        }
        for (column, output) in columns.iter_mut().zip(outputs.known()) {
            column.restriction = column.restriction.max(output.restriction);
        }
        Some(())
    }

    /// All relations that are reached by `step` again and again.
    fn kin<'c>(
        &'c self,
        relation: &'c Relation,
        step: impl Fn(&'c Relation) -> &'c [RelationName],
    ) -> Vec<&'c Relation> {
        let mut found: Vec<&Relation> = Vec::new();
        let mut seen = HashSet::from([&relation.name]);
        let mut waiting: Vec<&RelationName> = step(relation).iter().collect();
        while let Some(name) = waiting.pop() {
            if !seen.insert(name) {
                continue;
            }
            if let Some(kin) = self.catalog.relation(&name.schema, &name.name) {
                waiting.extend(step(kin));
                found.push(kin);
            }
        }
        found
    }
}
