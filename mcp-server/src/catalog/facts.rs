//! What the guard must know of a database besides what callers are shown: who may read what, and what code stands behind it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use sql_guard::{
    Column, Function, FunctionRef, Hook, Operator, Planned, Relation, RelationName, TypeName, UserType, View,
    Volatility, Words,
};
use sqlx::postgres::PgRow;
use sqlx::postgres::types::Oid;
use sqlx::{PgConnection, Row};

/// The schema of PostgreSQL's own objects.
const PG_CATALOG: &str = "pg_catalog";

/// The facts of one database, indexed as the guard asks for them.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) relations: HashMap<String, HashMap<String, Relation>>,
    pub(super) functions: HashMap<String, Vec<Function>>,
    pub(super) operators: HashMap<String, Vec<Operator>>,
    pub(super) types: HashMap<String, HashMap<String, UserType>>,
    pub(super) casts: HashMap<String, Vec<FunctionRef>>,
    pub(super) casts_of_built_ins: Vec<(Arc<str>, FunctionRef)>,
    pub(super) hooks: Vec<Hook>,
    /// The relations by their numbers, and the numbers of their columns in order.
    pub(super) numbered: HashMap<u32, (RelationName, Vec<i16>)>,
    /// Where each function stands: its name, and its place among those of the name.
    places: HashMap<u32, (String, usize)>,
}

/// The rows that facts are made of.
struct Rows<'a> {
    relations: &'a [PgRow],
    columns: &'a [PgRow],
    views: Vec<PgRow>,
    code: Vec<PgRow>,
    names: Vec<PgRow>,
    functions: Vec<PgRow>,
    operators: Vec<PgRow>,
    types: Vec<PgRow>,
    casts: Vec<PgRow>,
    hooks: Vec<PgRow>,
    built_ins: Vec<PgRow>,
}

/// All facts that the guard asks for, about the relations and columns that were read before and the rest. None of them may be
/// missing: what the guard doesn't know of could pass for something else.
///
/// # Errors
/// Where a query fails.
pub(super) async fn read(
    connection: &mut PgConnection,
    relations: &[PgRow],
    columns: &[PgRow],
) -> Result<Facts, sqlx::Error> {
    let mut all = async |sql: &'static str| sqlx::query(sql).fetch_all(&mut *connection).await;
    let functions = all(include_str!("sql/facts/functions.sql")).await?;
    let operators = all(include_str!("sql/facts/operators.sql")).await?;
    let types = all(include_str!("sql/facts/types.sql")).await?;
    let casts = all(include_str!("sql/facts/casts.sql")).await?;
    let hooks = all(include_str!("sql/facts/hooks.sql")).await?;
    let mut of =
        async |sql: &'static str, oids: Vec<Oid>| sqlx::query(sql).bind(oids).fetch_all(&mut *connection).await;
    let oids: Vec<Oid> = relations.iter().map(|row| row.get("oid")).collect();
    let views = of(include_str!("sql/facts/views.sql"), oids.clone()).await?;
    let code = of(include_str!("sql/facts/code.sql"), oids).await?;
    let led_to = relations
        .iter()
        .flat_map(|row| row.get::<Vec<Oid>, _>("parents"))
        .chain(views.iter().filter(|row| row.get::<&str, _>("kind") == "relation").map(|row| row.get("object")))
        .chain(relations.iter().map(|row| row.get("oid")))
        .chain(types.iter().filter_map(|row| row.get("row_of")));
    let names = of(include_str!("sql/facts/relation_names.sql"), distinct(led_to)).await?;
    let run = functions
        .iter()
        .flat_map(|row| row.get::<Vec<Oid>, _>("uses"))
        .chain(operators.iter().flat_map(|row| row.get::<Vec<Oid>, _>("functions")))
        .chain(casts.iter().map(|row| row.get("function")))
        .chain(types.iter().flat_map(|row| row.get::<Vec<Oid>, _>("functions")))
        .chain(types.iter().flat_map(|row| row.get::<Vec<Oid>, _>("calls")))
        .chain(views.iter().filter(|row| row.get::<&str, _>("kind") == "function").map(|row| row.get("object")));
    let built_ins = of(include_str!("sql/facts/built_ins.sql"), distinct(run)).await?;
    let rows = Rows { relations, columns, views, code, names, functions, operators, types, casts, hooks, built_ins };
    Ok(Facts::new(&rows))
}

fn distinct(oids: impl Iterator<Item = Oid>) -> Vec<Oid> {
    oids.collect::<HashSet<_>>().into_iter().collect()
}

impl Facts {
    fn new(rows: &Rows<'_>) -> Self {
        let names = Names::new(rows);
        let mut facts = Self::default();
        for row in &rows.functions {
            let function = names.function(row);
            let overloads = facts.functions.entry(function.name.clone()).or_default();
            facts.places.insert(function.id, (function.name.clone(), overloads.len()));
            overloads.push(function);
        }
        for row in rows.relations {
            let name = RelationName { schema: row.get("schema_name"), name: row.get("table_name") };
            facts.numbered.insert(row.get::<Oid, _>("oid").0, (name, Vec::new()));
        }
        for row in rows.columns {
            if let Some((_, columns)) = facts.numbered.get_mut(&row.get::<Oid, _>("relation").0) {
                columns.push(row.get("attnum"));
            }
        }
        for row in &rows.operators {
            let functions = row.get::<Vec<Oid>, _>("functions").into_iter().map(|oid| names.reference(oid)).collect();
            let operator = Operator { schema: row.get("schema"), name: row.get("name"), functions };
            facts.operators.entry(operator.name.clone()).or_default().push(operator);
        }
        for row in rows.types.iter().filter(|row| row.get("is_users_own")) {
            let types = facts.types.entry(row.get("schema")).or_default();
            types.insert(row.get("name"), names.user_type(row));
            if let Some(array) = row.get::<Option<String>, _>("array_name") {
                let parts = vec![names.type_of(row.get("oid"))];
                types.insert(array, UserType { parts, is_array: true, ..UserType::default() });
            }
        }
        for row in &rows.casts {
            let (source, target) = (names.type_of(row.get("source")), names.type_of(row.get("target")));
            let function = names.reference(row.get("function"));
            // To a type of PostgreSQL's, a value may be cast where nobody wrote a cast: to_json and || do so. To one of the
            // user's it is cast only where that type is named or expected, and that is judged.
            let side = if &*target.schema == PG_CATALOG { &source } else { &target };
            if let Some(known) = facts.types.get_mut(&*side.schema).and_then(|types| types.get_mut(&*side.name)) {
                known.calls.push(function.clone());
            }
            let is_anywhere = &*source.schema == PG_CATALOG && &*target.schema == PG_CATALOG;
            if is_anywhere {
                facts.casts_of_built_ins.push((Arc::clone(&target.name), function.clone()));
            }
            if row.get("is_implicit") {
                let of = format!("the cast from {source} to {target}");
                facts.hooks.push(Hook { of, function: function.clone(), is_anywhere });
            }
            if &*target.schema == PG_CATALOG {
                facts.casts.entry(target.name.to_string()).or_default().push(function);
            }
        }
        facts.hooks.extend(rows.hooks.iter().map(|row| Hook {
            of: row.get("of"),
            function: names.reference(row.get("function")),
            is_anywhere: true,
        }));
        let mut relations = names.relations(rows);
        let mut children: HashMap<RelationName, Vec<RelationName>> = HashMap::new();
        for relation in &relations {
            for parent in &relation.parents {
                children.entry(parent.clone()).or_default().push(relation.name.clone());
            }
        }
        for relation in &mut relations {
            relation.children = children.remove(&relation.name).unwrap_or_default();
        }
        for relation in relations {
            let RelationName { schema, name } = relation.name.clone();
            facts.relations.entry(schema).or_default().insert(name, relation);
        }
        facts
    }

    pub(super) fn function(&self, id: u32) -> Option<&Function> {
        let (name, at) = self.places.get(&id)?;
        self.functions.get(name)?.get(*at)
    }
}

/// The statement of a function's SQL body, which may be written as `RETURN` or as a block.
fn sql_of(body: &str) -> String {
    if let Some(expression) = body.strip_prefix("RETURN ") {
        return format!("SELECT {expression}");
    }
    let block = body.strip_prefix("BEGIN ATOMIC").and_then(|body| body.trim_end().strip_suffix("END"));
    block.unwrap_or(body).to_owned()
}

/// Names by numbers.
struct Names {
    relations: HashMap<Oid, RelationName>,
    types: HashMap<Oid, TypeName>,
    built_ins: HashMap<Oid, String>,
}

impl Names {
    fn new(rows: &Rows<'_>) -> Self {
        let relation = |row: &PgRow| RelationName { schema: row.get("schema"), name: row.get("name") };
        let mut schemas: HashMap<String, Arc<str>> = HashMap::new();
        let mut schema = |name: String| Arc::clone(schemas.entry(name).or_insert_with_key(|name| name.as_str().into()));
        // An array's type goes by its elements' name.
        let types = rows.types.iter().flat_map(|row| {
            let name = TypeName { schema: schema(row.get("schema")), name: row.get::<&str, _>("name").into() };
            [(row.get::<Oid, _>("oid"), name.clone()), (row.get("array_type"), name)]
        });
        Self {
            types: types.collect(),
            relations: rows.names.iter().map(|row| (row.get("oid"), relation(row))).collect(),
            built_ins: rows.built_ins.iter().map(|row| (row.get("oid"), row.get("name"))).collect(),
        }
    }

    fn reference(&self, function: Oid) -> FunctionRef {
        match self.built_ins.get(&function) {
            Some(name) => FunctionRef::BuiltIn(name.clone()),
            None => FunctionRef::User(function.0),
        }
    }

    /// The type of that number. All types were read in the same transaction, so there is none without a name.
    fn type_of(&self, oid: Oid) -> TypeName {
        let unknown = || TypeName { schema: PG_CATALOG.into(), name: "unknown to the catalog".into() };
        self.types.get(&oid).cloned().unwrap_or_else(unknown)
    }

    fn function(&self, row: &PgRow) -> Function {
        let count = |name: &str| usize::try_from(row.get::<i32, _>(name)).unwrap_or_default();
        let (arguments, is_variadic) = (count("arguments"), row.get::<bool, _>("is_variadic"));
        let body: &str = row.get("body");
        Function {
            id: row.get::<Oid, _>("oid").0,
            schema: row.get("schema"),
            name: row.get("name"),
            least: arguments.saturating_sub(count("defaults") + usize::from(is_variadic)),
            most: (!is_variadic).then_some(arguments),
            arguments: row.get::<Vec<Oid>, _>("types").into_iter().map(|oid| self.type_of(oid)).collect(),
            returns: row.get::<Vec<Oid>, _>("returns").into_iter().map(|oid| self.type_of(oid)).collect(),
            volatility: match row.get("volatility") {
                "i" => Volatility::Immutable,
                "s" => Volatility::Stable,
                _ => Volatility::Volatile,
            },
            is_security_definer: row.get("is_security_definer"),
            is_procedure: row.get("is_procedure"),
            sql: row.get::<Option<String>, _>("sql").map(|sql| sql_of(&sql).into()),
            is_opaque: row.get("is_opaque"),
            has_settings: row.get("has_settings"),
            extension: row.get("extension"),
            body: (!body.is_empty()).then(|| Arc::new(Words::of(body))),
            defaults: row.get::<Option<&str>, _>("defaults_text").map(|defaults| Arc::new(Words::of(defaults))),
            uses: row.get::<Vec<Oid>, _>("uses").into_iter().map(|oid| self.reference(oid)).collect(),
        }
    }

    fn user_type(&self, row: &PgRow) -> UserType {
        let checks: Option<String> = row.get("checks");
        UserType {
            functions: row.get::<Vec<Oid>, _>("functions").into_iter().map(|oid| self.reference(oid)).collect(),
            calls: row.get::<Vec<Oid>, _>("calls").into_iter().map(|oid| self.reference(oid)).collect(),
            converts_to: row.get::<Vec<Oid>, _>("converts_to").into_iter().map(|oid| self.type_of(oid)).collect(),
            checks: checks.map(|checks| Arc::new(Words::of(&checks))),
            parts: row.get::<Vec<Oid>, _>("parts").into_iter().map(|oid| self.type_of(oid)).collect(),
            is_array: false,
            is_domain: row.get("is_domain"),
            row_of: row.get::<Option<Oid>, _>("row_of").and_then(|oid| self.relations.get(&oid).cloned()),
        }
    }

    fn relations(&self, rows: &Rows<'_>) -> Vec<Relation> {
        let mut columns: HashMap<Oid, Vec<Column>> = HashMap::new();
        for row in rows.columns {
            columns.entry(row.get("relation")).or_default().push(Column {
                name: row.get::<&str, _>("name").into(),
                type_name: self.type_of(row.get("type_oid")),
                is_readable: row.get("is_readable"),
                generated_from: row.get::<Option<&str>, _>("generated_from").map(|words| Arc::new(Words::of(words))),
            });
        }
        let mut views: HashMap<Oid, View> = HashMap::new();
        for row in &rows.views {
            let (view, object) = (views.entry(row.get("view")).or_default(), row.get::<Oid, _>("object"));
            match row.get("kind") {
                "relation" => view.reads.extend(self.relations.get(&object).cloned()),
                "type" => view.types.push(self.type_of(object)),
                _ => view.functions.push(self.reference(object)),
            }
        }
        let mut code: HashMap<Oid, Planned> = HashMap::new();
        for row in &rows.code {
            let (planned, object) = (code.entry(row.get("relation")).or_default(), row.get::<Oid, _>("object"));
            match row.get("kind") {
                "type" => planned.types.push(self.type_of(object)),
                "planned" => planned.calls.push(self.reference(object)),
                _ => planned.compares.push(self.reference(object)),
            }
        }
        let relation = |row: &PgRow| {
            let oid: Oid = row.get("oid");
            let parents = row.get::<Vec<Oid>, _>("parents");
            let definition: Option<String> = row.get("definition");
            let view = definition.map(|definition| View { definition, ..views.remove(&oid).unwrap_or_default() });
            Relation {
                name: RelationName { schema: row.get("schema_name"), name: row.get("table_name") },
                columns: columns.remove(&oid).unwrap_or_default(),
                parents: parents.iter().filter_map(|oid| self.relations.get(oid).cloned()).collect(),
                children: Vec::new(),
                view,
                is_readable: row.get("is_readable"),
                is_extensions: row.get("is_extensions"),
                runs_code: row.get("has_row_security"),
                planned: Planned {
                    key_types: row.get::<Vec<Oid>, _>("key_types").into_iter().map(|oid| self.type_of(oid)).collect(),
                    ..code.remove(&oid).unwrap_or_default()
                },
            }
        };
        rows.relations.iter().map(relation).collect()
    }
}
