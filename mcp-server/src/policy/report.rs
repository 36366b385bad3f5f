//! What a policy comes to: for whom it has rules, and which of its patterns match nothing.

use sql_guard::Catalog;

use super::Policies;
use super::file::{PolicyFile, Section};
use crate::caller::Caller;
use crate::config::STDIO_KEY;

impl Policies {
    /// Everybody for whom the rules may differ: each key by itself, and each subject that a section names for each key that may
    /// act for others.
    pub fn callers(&self) -> Vec<Caller> {
        let set = self.0.current.load();
        // Nobody is on stdio unless the program is started so; its section says that it will be.
        let is_meant = |key: &&String| *key != STDIO_KEY || set.file.keys.contains_key(STDIO_KEY);
        let mut callers: Vec<Caller> =
            self.0.known.keys.iter().filter(is_meant).map(|key| Caller::of_key(key)).collect();
        for (key, _) in set.file.keys.iter().filter(|(_, section)| section.may_act_for) {
            for subject in set.file.subjects.keys() {
                callers.push(Caller { subject: Some(subject.clone()), ..Caller::of_key(key) });
            }
        }
        callers
    }

    /// Databases that sections are for and that aren't among `served`, each with its place in the file.
    pub fn unserved(&self, served: &[String]) -> Vec<String> {
        let set = self.0.current.load();
        let of_keys = set.file.keys.iter().flat_map(|(key, section)| {
            section.databases.keys().map(move |database| (format!("keys.{key}.databases.{database}"), database))
        });
        let places =
            set.file.databases.keys().map(|database| (format!("databases.{database}"), database)).chain(of_keys);
        let unserved = places.filter(|(_, database)| !served.contains(database));
        unserved
            .map(|(place, database)| format!("[{place}] is for {database}, and no such database is served"))
            .collect()
    }

    /// What of the file comes to nothing: patterns for a database that match nothing in it, and subjects for whom no key may act,
    /// each with its place in the file.
    pub fn unmatched(&self, database: &str, catalog: &dyn Catalog) -> Vec<String> {
        let set = self.0.current.load();
        let places = places(&set.file, database);
        let patterns = places.into_iter().flat_map(|(place, section)| unmatched(&place, section, catalog));
        patterns.chain(unreachable(&set.file)).collect()
    }
}

/// The sections that may hold for a database, with their places.
fn places<'f>(file: &'f PolicyFile, database: &str) -> Vec<(String, &'f Section)> {
    let mut places = vec![("default".to_owned(), &file.default)];
    places.extend(file.databases.get(database).map(|section| (format!("databases.{database}"), section)));
    for (key, section) in &file.keys {
        places.push((format!("keys.{key}"), &section.rules));
        let here = section.databases.get(database);
        places.extend(here.map(|section| (format!("keys.{key}.databases.{database}"), section)));
    }
    places.extend(file.subjects.iter().map(|(subject, section)| (format!("subjects.{subject}"), section)));
    places
}

/// Sections of subjects that no call can reach.
fn unreachable(file: &PolicyFile) -> impl Iterator<Item = String> {
    let is_reachable = file.keys.values().any(|section| section.may_act_for);
    let subjects = file.subjects.keys().filter(move |_| !is_reachable);
    subjects.map(|subject| format!("[subjects.{subject}] holds for nobody: no key has may_act_for = true"))
}

fn unmatched(place: &str, section: &Section, catalog: &dyn Catalog) -> Vec<String> {
    let mut found = Vec::new();
    let mut say = |key: &str, pattern: &dyn std::fmt::Display| {
        found.push(format!("[{place}] {key}: {pattern} matches nothing in the database"));
    };
    let tables = [("deny_tables", Some(&section.deny_tables)), ("allow_tables", section.allow_tables.as_ref())];
    for (key, patterns) in tables {
        for pattern in patterns.into_iter().flatten() {
            if !catalog.relations().any(|relation| pattern.matches_table(&relation.name)) {
                say(key, pattern);
            }
        }
    }
    for (key, patterns) in [("deny_columns", &section.deny_columns), ("mask_columns", &section.mask_columns)] {
        for pattern in patterns {
            let matches = |relation: &sql_guard::Relation| {
                relation.columns.iter().any(|column| pattern.matches_column(&relation.name, &column.name))
            };
            if !catalog.relations().any(matches) {
                say(key, pattern);
            }
        }
    }
    found
}
