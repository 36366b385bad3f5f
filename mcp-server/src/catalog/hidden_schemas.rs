//! The schemas that policy hides wholly, and what names them: their very names may be what a rule hides.

use std::collections::BTreeSet;

use shared_protocol::catalog::{Column, Function, Index, Table};
use sql_guard::{Catalog, Policy, RelationName};

use super::identifier::quoted;
use super::snapshot::Snapshot;
use super::visible::VisibleSchema;

/// The schemas that a caller is not told of because of what policy says of their tables.
#[derive(Debug, Default)]
pub(super) struct HiddenSchemas {
    /// Their names, in quotes where SQL needs them.
    written: Vec<String>,
}

impl HiddenSchemas {
    /// Those of a catalog of which these are told. One with types alone counts where a rule speaks of all that is in it.
    pub(super) fn new(snapshot: &Snapshot, told: &[VisibleSchema], policy: &Policy) -> Self {
        if !speaks_of_tables(policy) {
            return Self::default();
        }
        let relations: BTreeSet<&str> = snapshot.relations().map(|relation| relation.name.schema.as_str()).collect();
        let types: Vec<_> = snapshot.user_types().map(|(name, _)| name.schema).collect();
        let known = snapshot.schemas.iter().map(|schema| schema.name.as_str()).chain(types.iter().map(AsRef::as_ref));
        let mut hidden = relations.clone();
        hidden.extend(known.filter(|schema| relations.contains(schema) || hides_all_of(policy, schema)));
        for schema in told {
            hidden.remove(schema.name.as_str());
        }
        Self {
            written: hidden.into_iter().filter(|name| !is_system(name)).map(|name| quoted(name).into_owned()).collect(),
        }
    }

    /// Whether SQL has something of such a schema in it.
    pub(super) fn are_named_in(&self, text: &str) -> bool {
        self.written.iter().any(|schema| next(text, schema).is_some())
    }

    /// The name of a type, or a list of arguments, without these schemas.
    pub(super) fn left_out_of(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for schema in &self.written {
            while let Some(at) = next(&text, schema) {
                text.replace_range(at..=at + schema.len(), "");
            }
        }
        text
    }

    /// Takes out of a table's columns and texts what names them.
    pub(super) fn leave_out_of_table(&self, table: &mut Table) {
        if self.written.is_empty() {
            return;
        }
        let names = |text: &String| self.are_named_in(text);
        let is_harmless = |text: &String| !self.are_named_in(text);
        for column in &mut table.columns {
            let Column { data_type, type_definition, default_value, description, .. } = column;
            *data_type = self.left_out_of(data_type);
            for text in [type_definition, default_value, description] {
                *text = text.take().filter(is_harmless);
            }
        }
        table.indexes.retain(|index| {
            let Index { definition, predicate, columns, .. } = index;
            !names(definition) && !predicate.as_ref().is_some_and(names) && !columns.iter().any(names)
        });
        table.constraints.retain(|constraint| !constraint.definition.as_ref().is_some_and(names));
        for text in [&mut table.description, &mut table.view_definition, &mut table.partition_key] {
            *text = text.take().filter(is_harmless);
        }
    }

    /// Takes them out of a function's types.
    pub(super) fn leave_out_of_function(&self, function: &mut Function) {
        function.args = self.left_out_of(&function.args);
        function.returns = self.left_out_of(&function.returns);
    }
}

/// Whether any rule says which tables there are.
pub(super) fn speaks_of_tables(policy: &Policy) -> bool {
    !(policy.deny_tables.is_empty() && policy.allow_tables.is_empty())
}

/// Whether a rule hides every table that a schema could have: one without a name is matched by `*` alone.
fn hides_all_of(policy: &Policy, schema: &str) -> bool {
    let any = RelationName { schema: schema.to_owned(), name: String::new() };
    let matches = |patterns: &[sql_guard::Pattern<2>]| patterns.iter().any(|pattern| pattern.matches_table(&any));
    matches(&policy.deny_tables) || !policy.allow_tables.iter().all(|list| matches(list))
}

fn is_system(schema: &str) -> bool {
    schema.starts_with("pg_") || schema == "information_schema"
}

/// Where `schema` stands next in SQL before a dot, not as the end of another name.
fn next(text: &str, schema: &str) -> Option<usize> {
    let is_of_name = |one: char| one.is_alphanumeric() || matches!(one, '_' | '$' | '"');
    text.match_indices(schema).map(|(at, _)| at).find(|at| {
        text[at + schema.len()..].starts_with('.') && !text[..*at].chars().next_back().is_some_and(is_of_name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_before_a_dot_are_found_and_left_out() {
        let hidden = HiddenSchemas { written: vec!["zq".to_owned(), "\"Odd one\"".to_owned()] };
        let check = |text: &str, rest: Option<&str>| {
            assert_eq!(hidden.are_named_in(text), rest.is_some(), "{text}");
            assert_eq!(hidden.left_out_of(text), rest.unwrap_or(text));
        };
        check("nextval('zq.seq'::regclass)", Some("nextval('seq'::regclass)"));
        check("zq.mood[]", Some("mood[]"));
        check("a \"Odd one\".mood, b zq.mood DEFAULT 'x'::zq.mood", Some("a mood, b mood DEFAULT 'x'::mood"));
        check("azq.mood", None);
        check("\"a zq\".mood", None);
        check("_zq.mood", None);
        check("'zq'::text", None);
        check("zqx.mood", None);
    }
}
