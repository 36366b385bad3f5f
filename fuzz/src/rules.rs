//! Policies made by chance, and what each of them keeps secret by the fuzzer's own reading of the rules, not the guard's.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use sql_guard::Policy;

use crate::schema::{Kind, Oid, Schema, quoted};

/// What a policy says, by relation.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    denied: BTreeSet<Oid>,
    /// The tables that alone may be read, where that is so.
    allowed: Option<BTreeSet<Oid>>,
    hidden: BTreeSet<(Oid, String)>,
    masked: BTreeSet<(Oid, String)>,
    masks_sensitive: bool,
    /// The rules as a policy file has them, for people.
    text: String,
}

/// How the value of a column is kept from the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Secrecy {
    /// Only whether there is one may be seen.
    Masked,
    /// Not even that.
    Hidden,
}

/// How the names of columns of text or bytes end that hold secrets: safety.md's list.
const SENSITIVE: &[&str] = &[
    "password",
    "passwd",
    "password_hash",
    "secret",
    "api_key",
    "access_token",
    "refresh_token",
    "auth_token",
    "private_key",
];

impl Rules {
    /// One to four rules about relations of which most are among `favourites`.
    pub(crate) fn random(rng: &mut StdRng, schema: &Schema, favourites: &[Oid]) -> Self {
        let all: Vec<Oid> = schema.relations.keys().copied().collect();
        let mut rules = Self { masks_sensitive: rng.random_bool(0.8), ..Self::default() };
        let pick = |rng: &mut StdRng| {
            let from = if rng.random_bool(0.8) && !favourites.is_empty() { favourites } else { &all };
            *from.choose(rng).expect("a database has relations")
        };
        for _ in 0..rng.random_range(1..=4) {
            let oid = pick(rng);
            let columns = &schema.relations[&oid].columns;
            let count = rng.random_range(1..=3);
            let some = columns.choose_multiple(rng, count).map(|column| (oid, column.name.clone()));
            match rng.random_range(0..10) {
                0..2 => drop(rules.denied.insert(oid)),
                2..5 => rules.hidden.extend(some),
                _ => rules.masked.extend(some),
            }
        }
        if rng.random_bool(0.1) {
            rules.allowed = Some(all.iter().copied().filter(|_| rng.random_bool(0.7)).collect());
        }
        rules.text = rules.written(schema);
        rules
    }

    /// As the guard takes them.
    pub(crate) fn policy(&self, schema: &Schema) -> Policy {
        let tables = |of: &BTreeSet<Oid>| of.iter().map(|oid| parsed(&schema.relations[oid].qualified())).collect();
        let columns = |of: &BTreeSet<(Oid, String)>| {
            of.iter()
                .map(|(oid, name)| parsed(&format!("{}.{}", schema.relations[oid].qualified(), quoted(name))))
                .collect()
        };
        Policy {
            deny_tables: tables(&self.denied),
            allow_tables: self.allowed.as_ref().map(tables).into_iter().collect(),
            deny_columns: columns(&self.hidden),
            mask_columns: columns(&self.masked),
            allow_functions: Vec::new(),
            mask_sensitive: self.masks_sensitive,
        }
    }

    /// Every column of a table that keeps a secret. Those of relations that a view reads which the policy itself lets show
    /// them are no secrets.
    pub(crate) fn secrets(&self, schema: &Schema) -> BTreeMap<(Oid, String), Secrecy> {
        let shown: BTreeSet<Oid> = schema
            .relations
            .keys()
            .filter(|oid| self.trusts(**oid, schema))
            .flat_map(|oid| schema.with_read(*oid))
            .collect();
        let mut secrets = BTreeMap::new();
        for (oid, relation) in &schema.relations {
            if shown.contains(oid) || matches!(relation.kind, Kind::View | Kind::Materialized) {
                continue;
            }
            for column in &relation.columns {
                if let Some(secrecy) = self.secrecy(*oid, &column.name, schema) {
                    secrets.insert((*oid, column.name.clone()), secrecy);
                }
            }
        }
        secrets
    }

    /// Whether the policy names a view, so that it answers for what the view shows.
    fn trusts(&self, oid: Oid, schema: &Schema) -> bool {
        matches!(schema.relations[&oid].kind, Kind::View | Kind::Materialized)
            && !self.denied.contains(&oid)
            && self.allowed.as_ref().is_some_and(|allowed| allowed.contains(&oid))
    }

    /// How a column is kept by a rule about it, its relation, or one whose rows these are too.
    pub(crate) fn secrecy(&self, oid: Oid, column: &str, schema: &Schema) -> Option<Secrecy> {
        let family = schema.with_ancestors(oid);
        let named =
            |rules: &BTreeSet<(Oid, String)>| family.iter().any(|oid| rules.contains(&(*oid, column.to_owned())));
        let of = schema.relations[&oid].columns.iter().find(|of| of.name == column)?;
        let holds_text = ["text", "varchar", "bpchar", "bytea"].contains(&of.type_name.as_str());
        let is_sensitive =
            self.masks_sensitive && holds_text && SENSITIVE.iter().any(|end| column.to_lowercase().ends_with(end));
        if self.hides(oid, schema) || named(&self.hidden) {
            Some(Secrecy::Hidden)
        } else if named(&self.masked) || is_sensitive {
            Some(Secrecy::Masked)
        } else {
            None
        }
    }

    /// Whether a relation's rows are hidden by a rule about it or one whose rows these are too. To allow a table is to allow
    /// its partitions' rows.
    pub(crate) fn hides(&self, oid: Oid, schema: &Schema) -> bool {
        let family = schema.with_ancestors(oid);
        family.iter().any(|oid| self.denied.contains(oid))
            || self.allowed.as_ref().is_some_and(|allowed| !family.iter().any(|oid| allowed.contains(oid)))
    }

    /// What of a hidden relation or column somebody reads who reads this relation: through views, whoever owns them.
    pub(crate) fn hidden_behind(&self, oid: Oid, schema: &Schema) -> Option<String> {
        if self.hides(oid, schema) {
            return Some(schema.relations[&oid].qualified());
        }
        if self.trusts(oid, schema) {
            return None;
        }
        schema.relations[&oid].reads.iter().find_map(|(read, column)| {
            let relation = schema.relations.get(read)?;
            match column {
                Some(column) if self.secrecy(*read, column, schema) == Some(Secrecy::Hidden) => {
                    Some(format!("{}.{}", relation.qualified(), quoted(column)))
                }
                _ => self.hidden_behind(*read, schema),
            }
        })
    }

    /// The columns that the rules are about, with the names of their relations as statements write them.
    pub(crate) fn focus(&self, schema: &Schema) -> Vec<(String, String)> {
        let tables = self.denied.iter().flat_map(|oid| {
            let relation = &schema.relations[oid];
            relation.columns.iter().map(|column| (relation.name.clone(), column.name.clone()))
        });
        let columns = self.hidden.iter().chain(&self.masked);
        let columns = columns.map(|(oid, column)| (schema.relations[oid].name.clone(), column.clone()));
        tables.take(3).chain(columns).collect()
    }

    fn written(&self, schema: &Schema) -> String {
        let tables = |of: &BTreeSet<Oid>| of.iter().map(|oid| schema.relations[oid].qualified()).collect::<Vec<_>>();
        let columns = |of: &BTreeSet<(Oid, String)>| {
            let name = |(oid, name): &(Oid, String)| format!("{}.{}", schema.relations[oid].qualified(), quoted(name));
            of.iter().map(name).collect::<Vec<_>>()
        };
        let lists = [
            ("deny_tables", Some(tables(&self.denied))),
            ("allow_tables", self.allowed.as_ref().map(tables)),
            ("deny_columns", Some(columns(&self.hidden))),
            ("mask_columns", Some(columns(&self.masked))),
        ];
        let mut lines: Vec<String> = Vec::new();
        for (key, list) in lists {
            if let Some(list) = list.filter(|list| key == "allow_tables" || !list.is_empty()) {
                lines.push(format!("{key} = {list:?}"));
            }
        }
        lines.push(format!("mask_sensitive = {}", self.masks_sensitive));
        lines.join("\n")
    }
}

impl fmt::Display for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn parsed<const PARTS: usize>(text: &str) -> sql_guard::Pattern<PARTS> {
    text.parse().expect("a pattern of quoted names")
}
