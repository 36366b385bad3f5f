//! What passes and what doesn't, on a small catalog.

mod restrictions;
mod statements;

use std::collections::BTreeMap;
use std::sync::Arc;

use shared_protocol::error::ErrorCode;

use super::*;
use crate::catalog::{
    Catalog, Column as Field, Function, FunctionRef, Hook, ObjectId, Operator, Relation, TypeName, UserType, View,
    Volatility,
};
use crate::policy::{Pattern, Policy};
use crate::words::Words;
use crate::{CheckedQuery, advise, check};

/// A shop with schemas off the search_path, and functions, operators and types of its own.
struct Shop {
    search_path: Vec<String>,
    relations: BTreeMap<RelationName, Relation>,
    functions: BTreeMap<&'static str, Vec<Function>>,
    operators: BTreeMap<&'static str, Vec<Operator>>,
    types: BTreeMap<&'static str, UserType>,
    hooks: Vec<Hook>,
}

fn type_name(schema: &str, name: &str) -> TypeName {
    TypeName { schema: schema.into(), name: name.into() }
}

fn table(schema: &str, name: &str, columns: &str) -> Relation {
    let column = |name: &str| Field {
        name: name.into(),
        type_name: match name {
            "kind" => type_name("pg_catalog", "regclass"),
            "checked" => type_name("public", "checked_text"),
            "state" => type_name("public", "status"),
            _ => TypeName::text(),
        },
        is_readable: name != "locked",
        generated_from: None,
    };
    Relation::table(schema, name, columns.split(' ').map(column))
}

fn view(name: &str, columns: &str, reads: &str, definition: &str) -> Relation {
    let reads = reads.split(' ').map(|name| RelationName { schema: "public".into(), name: name.into() });
    let view = View { definition: definition.into(), reads: reads.collect(), ..View::default() };
    Relation { view: Some(view), ..table("public", name, columns) }
}

fn function(id: ObjectId, name: &str, arguments: usize, volatility: Volatility, body: &str) -> Function {
    Function {
        id,
        schema: "public".into(),
        name: name.into(),
        least: arguments,
        most: Some(arguments),
        arguments: vec![TypeName::text(); arguments],
        returns: vec![TypeName::text()],
        volatility,
        is_security_definer: body.starts_with("definer"),
        is_procedure: false,
        extension: None,
        body: Some(Arc::new(Words::of(body))),
        sql: None,
        defaults: None,
        is_opaque: false,
        has_settings: false,
        uses: Vec::new(),
    }
}

impl Shop {
    fn new() -> Self {
        use Volatility::{Immutable, Stable, Volatile};
        let mut tables = vec![
            table("public", "users", "id name email total created_at"),
            table("public", "orders", "id user_id total status placed_at"),
            table("public", "order_items", "order_id line quantity"),
            table("public", "secrets", "id owner ssn pin"),
            table("public", "accounts", "id name password locked"),
            table("public", "odd", "id kind checked state"),
            table("public", "events", "id what who how"),
            table("public", "events_2024", "id what who how note"),
            table("audit", "log", "id entry"),
            table("audit", "secrets", "id ssn"),
            table("public", "pg_notes", "id note"),
            view("open_secrets", "id owner", "secrets", "SELECT id, owner FROM public.secrets;"),
            view("shown_secrets", "id ssn", "secrets", "SELECT s.id, s.ssn FROM public.secrets s;"),
            view("cooked_secrets", "id length", "secrets", "SELECT id, length(ssn) FROM public.secrets;"),
            view("over_secrets", "ssn id", "shown_secrets", "SELECT ssn, id FROM public.shown_secrets;"),
            view("rows_of_secrets", "s", "secrets", "SELECT s.*::secrets AS s FROM public.secrets s;"),
            Relation {
                view: Some(View { functions: vec![FunctionRef::User(22)], ..View::default() }),
                ..table("public", "listen", "x")
            },
            view("sleeper", "x", "users", "SELECT pg_sleep((1)::double precision) AS x FROM public.users;"),
        ];
        let (events, part) = (tables[6].name.clone(), tables[7].name.clone());
        tables[6].children.push(part);
        tables[7].parents.push(events);
        tables[7].columns[2].generated_from = Some(Arc::new(Words::of("upper(what)")));
        tables[7].columns[3].generated_from = Some(Arc::new(Words::of("note")));
        let mut of_both = table("public", "of_both", "id");
        for name in ["first_parent", "second_parent"] {
            let mut parent = table("public", name, "id");
            parent.children.push(of_both.name.clone());
            of_both.parents.push(parent.name.clone());
            tables.push(parent);
        }
        tables.push(of_both);
        let functions = [
            function(1, "leak", 0, Volatile, ""),
            function(2, "leak", 1, Volatile, ""),
            function(3, "tidy", 1, Immutable, "SELECT lower($1)"),
            function(4, "initcap", 1, Volatile, ""),
            function(5, "json_value", 2, Volatile, ""),
            function(6, "sly", 1, Stable, "BEGIN PERFORM pg_sleep (1); END"),
            function(7, "slyer", 1, Stable, "SELECT sly($1)"),
            function(8, "definer", 1, Stable, "definer"),
            function(9, "reader", 1, Stable, "SELECT ssn FROM secrets WHERE id = $1"),
            function(10, "counter", 0, Stable, "SELECT count(*) FROM orders"),
            function(11, "total", 1, Volatile, ""),
            Function { uses: vec![FunctionRef::User(3)], ..function(12, "best", 1, Immutable, "") },
            Function { uses: vec![FunctionRef::User(1)], ..function(13, "worst", 1, Immutable, "") },
            Function { extension: Some("pg_trgm".into()), body: None, ..function(14, "likeness", 2, Immutable, "") },
            Function { extension: Some("tablefunc".into()), body: None, ..function(15, "crosstab", 1, Stable, "") },
            Function { schema: "audit".into(), ..function(16, "hush", 1, Immutable, "") },
            Function {
                arguments: vec![type_name("pg_catalog", "regclass")],
                ..function(17, "names", 1, Immutable, "")
            },
            Function { returns: vec![type_name("public", "pair")], ..function(21, "paired", 1, Immutable, "") },
            function(22, "hears", 0, Volatile, "LISTEN somebody"),
            Function { is_opaque: true, ..function(23, "tickled", 1, Immutable, "return $1") },
            function(19, "ping", 1, Stable, "SELECT pong($1), leak()"),
            function(20, "pong", 1, Stable, "SELECT ping($1)"),
            Function { least: 1, most: None, ..function(18, "many", 2, Immutable, "") },
        ];
        let mut by_name: BTreeMap<&'static str, Vec<Function>> = BTreeMap::new();
        for function in functions {
            by_name.entry(function.name.clone().leak()).or_default().push(function);
        }
        let operator = |name: &str, id| {
            vec![Operator { schema: "public".into(), name: name.into(), functions: vec![FunctionRef::User(id)] }]
        };
        let types = [
            ("status", UserType::default()),
            (
                "checked_text",
                UserType { functions: vec![FunctionRef::User(1)], is_domain: true, ..UserType::default() },
            ),
            (
                "tidy_text",
                UserType {
                    checks: Some(Arc::new(Words::of("CHECK (tidy(VALUE) ~ '^a')"))),
                    parts: vec![TypeName::text()],
                    is_domain: true,
                    ..UserType::default()
                },
            ),
            ("pair", UserType { parts: vec![type_name("public", "checked_text")], ..UserType::default() }),
            (
                "_checked_text",
                UserType { parts: vec![type_name("public", "checked_text")], is_array: true, ..UserType::default() },
            ),
            ("users", UserType { row_of: Some(tables[0].name.clone()), ..UserType::default() }),
            ("secrets", UserType { row_of: Some(tables[3].name.clone()), ..UserType::default() }),
        ];
        Self {
            search_path: vec!["public".into()],
            relations: tables.into_iter().map(|table| (table.name.clone(), table)).collect(),
            functions: by_name,
            operators: [("@#@", operator("@#@", 1)), ("<->", operator("<->", 2)), ("=~=", operator("=~=", 3))].into(),
            types: types.into(),
            hooks: Vec::new(),
        }
    }
}

impl Catalog for Shop {
    fn database(&self) -> Option<&str> {
        Some("shop")
    }

    fn search_path(&self) -> &[String] {
        &self.search_path
    }

    fn relation(&self, schema: &str, name: &str) -> Option<&Relation> {
        self.relations.get(&RelationName { schema: schema.into(), name: name.into() })
    }

    fn relations(&self) -> Box<dyn Iterator<Item = &Relation> + '_> {
        Box::new(self.relations.values())
    }

    fn functions(&self, name: &str) -> &[Function] {
        self.functions.get(name).map_or(&[], Vec::as_slice)
    }

    fn function(&self, id: ObjectId) -> Option<&Function> {
        self.functions.values().flatten().find(|function| function.id == id)
    }

    fn operators(&self, name: &str) -> &[Operator] {
        self.operators.get(name).map_or(&[], Vec::as_slice)
    }

    fn user_type(&self, schema: &str, name: &str) -> Option<&UserType> {
        self.types.get(name).filter(|_| schema == "public")
    }

    fn hooks(&self) -> &[Hook] {
        &self.hooks
    }

    fn function_names(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        Box::new(self.functions.keys().copied())
    }

    fn all_operators(&self) -> Box<dyn Iterator<Item = &Operator> + '_> {
        Box::new(self.operators.values().flatten())
    }

    fn user_types(&self) -> Box<dyn Iterator<Item = (TypeName, &UserType)> + '_> {
        Box::new(self.types.iter().map(|(name, known)| (type_name("public", name), known)))
    }
}

fn access(policy: Policy) -> Access {
    Access::new(Arc::new(Shop::new()), Arc::new(policy))
}

fn patterns<const PARTS: usize>(texts: &[&str]) -> Vec<Pattern<PARTS>> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn judge_as(policy: Policy, text: &str) -> Result<CheckedQuery, Rejection> {
    check(text, &access(policy), &Limits::default(), &Abandoned::default())
}

fn judge(text: &str) -> Result<CheckedQuery, Rejection> {
    judge_as(Policy::default(), text)
}

fn passes(text: &str) -> CheckedQuery {
    judge(text).unwrap_or_else(|rejection| panic!("{text}\n{rejection:#?}"))
}

fn refused(text: &str, code: ErrorCode, words: &str) {
    refused_as(Policy::default(), text, code, words);
}

fn refused_as(policy: Policy, text: &str, code: ErrorCode, words: &str) {
    match judge_as(policy, text) {
        Ok(_) => panic!("passes: {text}"),
        Err(rejection) => {
            assert_eq!(rejection.code, code, "{text}\n{rejection:#?}");
            assert!(rejection.message.contains(words), "{text}\n{rejection:#?}");
            assert!(rejection.suggestion.is_some(), "{text}\n{rejection:#?}");
        }
    }
}
