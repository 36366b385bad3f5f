//! What policy makes of a relation: hidden or seen, and what may be done with each of its columns.

use std::collections::HashSet;
use std::sync::Arc;

use super::reach::{Question, Reached, is_of_system};
use super::{Access, lock};
use crate::catalog::{self, FunctionRef, Planned, Relation, RelationName, TypeName, View};
use crate::columns::{Column, Columns, Restriction};
use crate::functions;
use crate::statement::definition;
use crate::system::{HARMLESS_VIEWS, PG_CATALOG, is_system_schema};
use crate::types;
use crate::weight::Weight;
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
    /// What reading it would run that may not run, if it would.
    pub(crate) denied: Option<Arc<str>>,
}

impl Sight {
    fn seen(&self) -> Option<&Seen> {
        match self {
            Self::Hidden => None,
            Self::Seen(seen) => Some(seen),
        }
    }
}

impl Seen {
    /// Whether statements may do the same with it.
    fn is_same(&self, other: &Self) -> bool {
        self.columns.is_same(&other.columns) && self.to_views.is_same(&other.to_views) && self.denied == other.denied
    }

    /// The same with every column masked.
    fn masked(self) -> Option<Self> {
        let masked = |columns: &Columns| {
            let mut columns = columns.known().to_vec();
            mask(&mut columns, None);
            Columns::all(columns).ok()
        };
        Some(Self { columns: masked(&self.columns)?, to_views: masked(&self.to_views)?, ..self })
    }
}

/// The words of what a column is generated from. A partition may compute a column of its own otherwise, and its rows are its parents'
/// too.
fn words_of<'c>(column: &'c catalog::Column, kin: &[&'c Relation]) -> impl Iterator<Item = &'c Words> {
    let of_kin = kin.iter().flat_map(|kin| &kin.columns).filter(|other| other.name == column.name);
    of_kin.chain([column]).filter_map(|column| column.generated_from.as_deref())
}

/// About how many nodes stand for a column of a view whose definition has so many bytes: an average, since the view is its owner's and
/// whoever reads it only multiplies what it has.
fn nodes_shown(definition: usize, columns: usize) -> u64 {
    const BYTES: usize = 32;
    const MOST: usize = 100;
    (definition / columns.max(1) / BYTES).clamp(1, MOST) as u64
}

/// To how many of so many partitions a condition is moved: most statements speak of some of them alone.
fn partitions_read(partitions: usize) -> u64 {
    const OUT_OF: usize = 4;
    (partitions / OUT_OF + 1) as u64
}

/// Whether a definition tells names of objects, or what other sessions hold, by what comes with PostgreSQL itself. From which table of a
/// family a row is says nothing that the rules about the family don't.
fn tells_of_others(definition: &str) -> bool {
    let words = Words::of(&definition.replace("tableoid)::regclass", "").replace("tableoid::regclass", ""));
    words.called().any(functions::tells_of_others) || words.all().any(types::looks_names_up)
}

/// Masks the columns in whose places `like` has masked ones; all of them where nothing is known of that.
fn mask(columns: &mut [Column], like: Option<&Columns>) {
    let like = like.filter(|like| like.known().len() == columns.len());
    for (at, column) in columns.iter_mut().enumerate() {
        if like.is_none_or(|like| like.known()[at].restriction >= Restriction::Masked) {
            column.restriction = column.restriction.max(Restriction::Masked);
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
        let kin = self.all_kin(relation);
        let by_rules = self.look(relation, &kin);
        let begun = lock(&self.looked).len();
        let with_code = by_rules.as_ref().and_then(|seen| {
            // Code may speak of what it stands behind, by a word in a comment: that says nothing against it.
            lock(&self.sights).insert(name.clone(), Sight::Seen(Arc::new(seen.clone())));
            self.look_at_code(relation, &kin, seen.clone())
        });
        let is_as_before = match (&by_rules, &with_code) {
            (Some(before), Some(after)) => before.is_same(after),
            (before, _) => before.is_none(),
        };
        let sight = with_code.map_or(Sight::Hidden, |seen| Sight::Seen(Arc::new(seen)));
        let (mut sights, mut looked) = (lock(&self.sights), lock(&self.looked));
        if !is_as_before {
            // What was found out meanwhile took it for what the rules alone make of it.
            for other in looked.drain(begun..) {
                sights.remove(&other);
            }
        }
        looked.push(name.clone());
        sights.insert(name.clone(), sight.clone());
        Some(sight)
    }

    /// What the rules make of a relation; nothing where they hide it.
    fn look(&self, relation: &Relation, kin: &[&Relation]) -> Option<Seen> {
        if !self.policy.allows_table(&relation.name)
            || self.policy.denies_table(&relation.name)
            || kin.iter().any(|kin| self.policy.denies_table(&kin.name))
        {
            return None;
        }
        let mut family = kin.iter().copied().chain([relation]);
        let mut runs_code = family.any(|of| of.runs_code || self.planning_leaves_traces(&of.planned));
        let mut denied = None;
        let mut columns = self.own_columns(relation, kin);
        // Code of the user's may run even where a value is only put out, or sorted.
        runs_code |= relation.columns.iter().any(|column| self.type_leaves_traces(&column.type_name));
        if let Some(view) = &relation.view {
            runs_code |= view.functions.iter().any(|function| self.leaves_traces(function));
            runs_code |= view.types.iter().any(|name| self.type_leaves_traces(name));
            runs_code |= self.definition_leaves_traces(&Words::of(&view.definition));
            let read: Vec<Sight> = view.reads.iter().filter_map(|name| self.look_through_view(name)).collect();
            for seen in read.iter().filter_map(Sight::seen) {
                runs_code |= seen.runs_code;
                denied = denied.or_else(|| seen.denied.clone());
            }
            if self.is_of_masks {
                self.inherit_masks(&mut columns, view, &read);
            } else if self.policy.names_table(&relation.name) {
                // The policy that names the view lets it show what is hidden; what is masked stays so, also in tables that are
                // hidden.
                let alone = self.masks().look_at(&relation.name);
                let alone = alone.as_ref().and_then(Sight::seen);
                mask(&mut columns, alone.map(|seen| &seen.to_views));
                runs_code |= alone.is_none_or(|seen| seen.runs_code);
                denied = denied.or_else(|| alone.and_then(|seen| seen.denied.clone()));
            } else {
                self.inherit(&mut columns, view, &read)?;
            }
        }
        let to_views = Columns::all(columns.iter().cloned()).ok()?;
        for (column, of) in columns.iter_mut().zip(&relation.columns) {
            if !of.is_readable {
                column.restriction = Restriction::Hidden;
            }
        }
        let is_readable = relation.is_readable;
        Some(Seen { columns: Columns::all(columns).ok()?, to_views, is_readable, runs_code, denied })
    }

    /// What the code behind a relation makes of it besides: nothing where it shows what the caller may not see.
    fn look_at_code(&self, relation: &Relation, kin: &[&Relation], mut seen: Seen) -> Option<Seen> {
        if let Some(view) = &relation.view
            && !self.policy.names_table(&relation.name)
            && self.code_shows_restricted(relation, view)
        {
            if !self.is_of_masks {
                return None;
            }
            seen = seen.masked()?;
        }
        seen.denied = seen.denied.or_else(|| self.planned_code_denied(relation, kin).map(Arc::from));
        let least = |of: &catalog::Column| {
            if words_of(of, kin).any(|words| self.computes_from_restricted(words, relation)) {
                if self.is_of_masks { Restriction::Masked } else { Restriction::Hidden }
            } else if self.column_type_denied(&of.type_name, &relation.name).is_some() {
                Restriction::Fixed
            } else {
                Restriction::Free
            }
        };
        let least: Vec<Restriction> = relation.columns.iter().map(least).collect();
        let raise = |columns: &Columns| {
            let raised = columns.known().iter().zip(&least);
            let raised =
                raised.map(|(column, least)| Column { restriction: column.restriction.max(*least), ..column.clone() });
            Columns::all(raised).ok()
        };
        match least.iter().any(|least| *least > Restriction::Free) {
            true => Some(Seen { columns: raise(&seen.columns)?, to_views: raise(&seen.to_views)?, ..seen }),
            false => Some(seen),
        }
    }

    /// What PostgreSQL may run where a statement that reads a relation is planned, though it may not, if there is anything.
    fn planned_code_denied(&self, relation: &Relation, kin: &[&Relation]) -> Option<String> {
        let mut run = Reached::new(Question::Acts, Some(&relation.name));
        let mut computed = Reached::new(Question::Plans, Some(&relation.name));
        let mut family = kin.iter().copied().chain([relation]).map(|of| &of.planned);
        let is_users_own = |name: &&TypeName| &*name.schema != PG_CATALOG;
        family.find_map(|Planned { compares, key_types, calls, types }| {
            let why = compares.iter().find_map(|function| self.reference_denied(function, &mut run));
            let why =
                why.or_else(|| key_types.iter().filter(is_users_own).find_map(|name| self.converted(name, &mut run)));
            let why = why.or_else(|| calls.iter().find_map(|function| self.reference_denied(function, &mut computed)));
            why.or_else(|| types.iter().find_map(|name| self.converted(name, &mut computed)))
        })
    }

    /// Whether what a column is generated from leads to what the caller may not see.
    fn computes_from_restricted(&self, words: &Words, of: &Relation) -> bool {
        let mut reached = Reached::new(Question::Shows, Some(&of.name));
        self.body_denied(words, &of.name.schema, &mut reached).is_some()
    }

    /// Whether what a view reads of the system or calls shows what the caller may not see.
    fn code_shows_restricted(&self, relation: &Relation, view: &View) -> bool {
        let words = Words::of(&view.definition);
        let of_system =
            |name: &RelationName| is_system_schema(&name.schema) && !HARMLESS_VIEWS.contains(&name.name.as_str());
        let has_rules = self.has_rules();
        let tells = |name: &str| has_rules || name.contains("stat");
        let mut reached = Reached::new(Question::Shows, Some(&relation.name));
        // What runs a text may find it in the view, or put it together there.
        reached.may_tell = has_rules || self.speaks_of_restricted(&words, Some(&relation.name));
        // Of a row type it is asked by the definition whether it may be read.
        let is_row = |name: &TypeName| {
            self.catalog.user_type(&name.schema, &name.name).is_some_and(|known| known.row_of.is_some())
        };
        // An extension's own view of what others do is no decision of the database's owner.
        relation.is_extensions && view.functions.iter().any(|function| self.reaches_far(function))
            // Statistics hold values, and catalogs hold names. What comes with PostgreSQL itself isn't among the recorded reads.
            || view.reads.iter().any(|name| of_system(name) && tells(&name.name))
            || words.all().any(|word| is_of_system(word) && tells(word)) && self.names_system(&view.definition)
            || has_rules && tells_of_others(&view.definition)
            || reached.may_tell && self.runs_text(&words)
            || view.functions.iter().any(|function| self.reference_denied(function, &mut reached).is_some())
            || view.types.iter().any(|name| !is_row(name) && self.converted(name, &mut reached).is_some())
    }

    /// Whether a definition reads a system catalog or view that statements may not read; so too where it can't be told.
    fn names_system(&self, definition: &str) -> bool {
        let reads = definition::relations(definition, self);
        reads.is_none_or(|reads| {
            reads.iter().any(|name| is_system_schema(&name.schema) && !HARMLESS_VIEWS.contains(&name.name.as_str()))
        })
    }

    /// Whether a function came with an extension and is known to do more than its arguments say.
    fn reaches_far(&self, function: &FunctionRef) -> bool {
        match function {
            FunctionRef::BuiltIn(_) => false,
            FunctionRef::User(id) => self.catalog.function(*id).is_some_and(functions::reaches_far),
        }
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
        let definition = relation.view.as_ref().map_or(0, |view| view.definition.len());
        let partitions = self.kin(relation, |relation| &relation.children).len();
        let weight = Weight::of(nodes_shown(definition, relation.columns.len()), partitions_read(partitions));
        let ruled = |column: &catalog::Column| Column {
            weight,
            ..Column::new(Some(Arc::clone(&column.name)), restriction(column))
        };
        let mut own: Vec<Column> = relation.columns.iter().map(ruled).collect();
        // What is computed from restricted columns is as restricted. A child may compute it from a column that it alone has.
        let mut met: HashSet<_> = relation.columns.iter().map(|column| (&column.name, &column.type_name)).collect();
        let of_kin = kin.iter().flat_map(|kin| &kin.columns);
        let of_kin = of_kin.filter(|column| met.insert((&column.name, &column.type_name))).map(ruled);
        let restricted: Vec<Column> =
            of_kin.chain(own.iter().cloned()).filter(|column| column.restriction >= Restriction::Masked).collect();
        for (column, of) in own.iter_mut().zip(&relation.columns) {
            let words: Vec<&Words> = words_of(of, kin).collect();
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
        if read.iter().any(|sight| sight.seen().is_none_or(|seen| seen.to_views.worst() >= Restriction::Masked)) {
            let outputs = definition::outputs(&view.definition, self);
            mask(columns, outputs.as_ref().filter(|outputs| !outputs.is_open()));
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

    /// The relations with which it shares rows, or rules about them: its parents and children at any depth. Of several parents of a
    /// child, each one's rows are the others' too.
    fn all_kin<'c>(&'c self, relation: &'c Relation) -> Vec<&'c Relation> {
        let ancestors = self.kin(relation, |relation| &relation.parents);
        let descendants = self.kin(relation, |relation| &relation.children);
        let others = descendants.iter().flat_map(|kin| self.kin(kin, |relation| &relation.parents));
        let mut kin: Vec<&Relation> = ancestors.into_iter().chain(others).chain(descendants.iter().copied()).collect();
        kin.retain(|kin| kin.name != relation.name);
        kin
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
