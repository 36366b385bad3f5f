//! A catalog as one caller sees it: what policy hides is not there.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;
use shared_protocol::catalog::{Column, Constraint, ForeignKey, Function, Index, SamplesState, Table};
use sql_guard::{Access, Catalog, FunctionRef, Policy, RelationName, Restriction};

use super::Snapshot;
use super::hidden_schemas::{HiddenSchemas, speaks_of_tables};
use super::samples::Samples;
use super::snapshot::Schema;
use crate::digest::digest;
use crate::executor::Directory;

/// A catalog as one caller sees it, never changed.
#[derive(Debug)]
pub struct Visible {
    serial: u64,
    pub(super) snapshot: Arc<Snapshot>,
    access: Arc<Access>,
    description: Option<String>,
    /// By schema and name.
    pub(super) tables: Vec<Table>,
    pub(super) functions: Vec<Function>,
    schemas: Vec<VisibleSchema>,
    hidden_schemas: HiddenSchemas,
    search_path: Vec<String>,
    samples: SamplesState,
    structure: String,
    fingerprint: String,
}

/// A schema as one caller sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VisibleSchema {
    /// Its name.
    pub name: String,
    /// The role that owns it.
    pub owner: Option<String>,
    /// Its comment.
    pub description: Option<String>,
    /// Whether it is PostgreSQL's own, which statements may not read.
    pub is_system: bool,
    /// Number of tables and views in it that the caller may see.
    pub table_count: usize,
}

/// What the structure's digest is taken over: all that the caller sees but what changes with the data.
#[derive(Serialize)]
struct Seen<'a> {
    database: &'a str,
    description: &'a Option<String>,
    server_version: &'a str,
    timezone: &'a str,
    search_path: &'a [String],
    tables: &'a [Table],
    functions: &'a [Function],
    schemas: &'a [VisibleSchema],
}

impl Visible {
    /// What of `snapshot`, with these values of its columns, the access leaves that was made from it and the policy.
    pub(super) fn new(
        snapshot: Arc<Snapshot>,
        samples: Option<&Samples>,
        access: Arc<Access>,
        policy: &Policy,
    ) -> Self {
        let mut tables: Vec<Table> =
            snapshot.tables.iter().filter_map(|table| visible_table(table, &snapshot, &access)).collect();
        // One that may not be called could speak of what is hidden by its very signature.
        let functions =
            snapshot.functions.iter().filter(|function| access.allows_function(&function.schema, &function.name));
        let mut functions: Vec<Function> =
            functions.map(|function| Function { allowed: true, ..function.clone() }).collect();
        let description =
            snapshot.description().filter(|comment| !access.comment_names_hidden(comment)).map(str::to_owned);
        let schemas = visible_schemas(&snapshot.schemas, &tables, &functions, policy, &access);
        let hidden_schemas = HiddenSchemas::new(&snapshot, &schemas, policy);
        tables.iter_mut().for_each(|table| hidden_schemas.leave_out_of_table(table));
        functions.iter_mut().for_each(|function| hidden_schemas.leave_out_of_function(function));
        let is_told = |name: &String| !speaks_of_tables(policy) || schemas.iter().any(|schema| schema.name == *name);
        let search_path: Vec<String> = snapshot.search_path.iter().filter(|name| is_told(name)).cloned().collect();
        // They change with the data, as the values of columns do.
        let estimates: Vec<_> = tables.iter_mut().map(|table| table.estimated_row_count.take()).collect();
        let seen = Seen {
            database: &snapshot.database,
            description: &description,
            server_version: &snapshot.server_version,
            timezone: &snapshot.timezone,
            search_path: &search_path,
            tables: &tables,
            functions: &functions,
            schemas: &schemas,
        };
        let structure = hash(&seen);
        for (table, estimate) in tables.iter_mut().zip(&estimates) {
            table.estimated_row_count = *estimate;
        }
        let shown: Vec<_> = samples.iter().flat_map(|samples| add_samples(&mut tables, samples, &snapshot)).collect();
        let samples = if samples.is_some() { SamplesState::Complete } else { SamplesState::Loading };
        let fingerprint = hash(&(&structure, estimates, samples, shown));
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let serial = NEXT.fetch_add(1, Ordering::Relaxed);
        Self {
            serial,
            snapshot,
            access,
            description,
            tables,
            functions,
            schemas,
            hidden_schemas,
            search_path,
            samples,
            structure,
            fingerprint,
        }
    }

    /// Tells it from all others of the process.
    pub fn serial(&self) -> u64 {
        self.serial
    }

    /// Whether the values of columns have been read.
    pub fn samples(&self) -> SamplesState {
        self.samples
    }

    /// The catalog that it was made from.
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    /// The database's comment.
    pub fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }

    /// What the guard judges by.
    pub fn access(&self) -> &Arc<Access> {
        &self.access
    }

    /// Changes when anything that the caller sees changes.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// The same of all but what changes with the data: estimates, and the values of columns.
    pub fn structure(&self) -> &str {
        &self.structure
    }

    /// The tables and views, by schema and name.
    pub fn tables(&self) -> &[Table] {
        &self.tables
    }

    /// Those of one schema, by name.
    pub fn tables_of(&self, schema: &str) -> &[Table] {
        let begin = self.tables.partition_point(|table| table.schema_name.as_str() < schema);
        let end = self.tables.partition_point(|table| table.schema_name.as_str() <= schema);
        &self.tables[begin..end]
    }

    /// A table or view.
    pub fn table(&self, schema: &str, name: &str) -> Option<&Table> {
        let tables = self.tables_of(schema);
        let at = tables.binary_search_by(|table| table.table_name.as_str().cmp(name)).ok()?;
        Some(&tables[at])
    }

    /// The foreign keys of any table that point to this one, by table and name.
    pub fn keys_to(&self, schema: &str, name: &str) -> impl Iterator<Item = &ForeignKey> {
        let keys = self.tables.iter().flat_map(|table| &table.foreign_keys);
        keys.filter(move |key| key.to_schema == schema && key.to_table == name)
    }

    /// The schemas by name, PostgreSQL's own among them.
    pub fn schemas(&self) -> &[VisibleSchema] {
        &self.schemas
    }

    /// The schemas in which unqualified names are looked up, in order, without those that the caller is not told of.
    pub fn search_path(&self) -> &[String] {
        &self.search_path
    }

    /// Whether a table is found by its name alone: its schema is looked up, and no other before it has the name.
    pub fn is_on_path(&self, table: &Table) -> bool {
        // PostgreSQL's own schema comes first though it isn't named; all in it is called so.
        let is_systems = table.table_name.starts_with("pg_");
        let mut path = self.snapshot.search_path.iter();
        let first = path.find(|schema| self.snapshot.relation(schema, &table.table_name).is_some());
        !is_systems && first == Some(&table.schema_name)
    }

    /// Whether a relation has row-level security, so that its rows depend on who asks.
    pub fn has_row_security(&self, table: &Table) -> bool {
        self.snapshot.has_row_security(&table.schema_name, &table.table_name)
    }

    /// Whether a view reads relations with row-level security, at any depth and by functions, or what isn't known.
    pub fn reads_row_security(&self, view: &RelationName) -> bool {
        let mut waiting = vec![view.clone()];
        let mut seen = HashSet::new();
        while let Some(name) = waiting.pop() {
            if !seen.insert(name.clone()) {
                continue;
            }
            match self.snapshot.relation(&name.schema, &name.name) {
                Some(relation) if relation.runs_code => return true,
                Some(relation) => {
                    let Some(view) = &relation.view else { continue };
                    let own = view.functions.iter().filter_map(|function| match function {
                        FunctionRef::User(id) => Some(*id),
                        FunctionRef::BuiltIn(_) => None,
                    });
                    if self.access.plan_shows_restricted(&own.collect::<Vec<_>>()) {
                        return true;
                    }
                    waiting.extend(view.reads.iter().cloned());
                }
                None => return true,
            }
        }
        false
    }

    /// The masked columns of the tables that are listed, with their tables.
    pub fn masked(&self) -> Vec<String> {
        let of = |table: &Table| {
            let masked = table.columns.iter().filter(|column| column.masked);
            let name = format!("{}.{}", table.schema_name, table.table_name);
            masked.map(|column| format!("{name}.{}", column.name)).collect::<Vec<_>>()
        };
        self.tables.iter().flat_map(of).collect()
    }

    /// The name of a type by its number, as SQL is written with it.
    pub fn written_type(&self, oid: u32) -> Option<String> {
        self.snapshot.numbered_type(oid).map(|of| self.hidden_schemas.left_out_of(&of.written))
    }

    /// The columns of a relation that the caller may know of, for suggestions.
    pub fn columns_of(&self, schema: &str, name: &str) -> Vec<String> {
        let columns = self.access.columns(schema, name).unwrap_or_default();
        let known = columns.into_iter().filter(|(_, restriction)| *restriction != Restriction::Hidden);
        known.map(|(name, _)| name.to_string()).collect()
    }
}

impl Directory for Visible {
    fn type_name(&self, oid: u32) -> Option<String> {
        self.snapshot.numbered_type(oid).map(|of| of.name.clone())
    }

    fn restriction(&self, relation: u32, column: i16) -> Option<Restriction> {
        let (relation, place) = self.snapshot.numbered(relation, column)?;
        self.access.restriction(relation, place)
    }
}

/// The schemas that hold anything visible. Empty ones are told only where no rule speaks of tables: their very names may be what a
/// rule hides.
fn visible_schemas(
    known: &[Schema],
    tables: &[Table],
    functions: &[Function],
    policy: &Policy,
    access: &Access,
) -> Vec<VisibleSchema> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for table in tables {
        *counts.entry(&table.schema_name).or_default() += 1;
    }
    for function in functions {
        counts.entry(&function.schema).or_default();
    }
    if !speaks_of_tables(policy) {
        for schema in known {
            counts.entry(&schema.name).or_default();
        }
    }
    counts.extend(known.iter().filter(|schema| schema.is_system).map(|schema| (&*schema.name, schema.system_tables)));
    let by_name: HashMap<&str, &Schema> = known.iter().map(|schema| (&*schema.name, schema)).collect();
    let visible = counts.into_iter().map(|(name, table_count)| {
        let schema = by_name.get(name).copied();
        VisibleSchema {
            name: name.to_owned(),
            owner: schema.and_then(|schema| schema.owner.clone()),
            description: schema
                .and_then(|schema| schema.description.clone())
                .filter(|comment| !access.comment_names_hidden(comment)),
            is_system: schema.is_some_and(|schema| schema.is_system),
            table_count,
        }
    });
    visible.collect()
}

/// Whether the SELECT behind a view may be shown: it names nothing hidden, reads nothing that isn't visible itself, and speaks of no
/// masked column of what it reads, whose values could stand in it.
fn shows_definition(table: &Table, definition: &str, snapshot: &Snapshot, access: &Access) -> bool {
    let relation = snapshot.relation(&table.schema_name, &table.table_name);
    let Some(view) = relation.and_then(|relation| relation.view.as_ref()) else { return false };
    let is_open = |schema: &str, name: &str| {
        access.columns(schema, name).is_some_and(|columns| {
            let mut restricted = columns.iter().filter(|(_, found)| *found >= Restriction::Masked);
            !restricted.any(|(name, _)| names(definition, name))
        })
    };
    view.reads.iter().all(|read| is_open(&read.schema, &read.name))
        && is_open(&table.schema_name, &table.table_name)
        && !access.names_hidden(definition, |word| table.columns.iter().any(|column| column.name == word))
}

/// Whether SQL has a name in it, in quotes or without.
fn names(text: &str, name: &str) -> bool {
    text.contains(name) || text.contains(&name.replace('"', "\"\""))
}

/// A table without what is hidden, or nothing where it is hidden itself.
fn visible_table(table: &Table, snapshot: &Snapshot, access: &Access) -> Option<Table> {
    let restrictions = access.columns(&table.schema_name, &table.table_name)?;
    let restriction = |name: &str| {
        restrictions.iter().find(|(column, _)| **column == *name).map_or(Restriction::Hidden, |(_, found)| *found)
    };
    let is_visible = |name: &str| restriction(name) != Restriction::Hidden;
    // The text of an index, a default or a constraint may speak of columns that its list of columns doesn't name, and hold values of
    // masked ones.
    let mentions = |text: &str, least: Restriction| {
        let found = restrictions.iter().filter(|(_, found)| *found >= least);
        found.map(|(name, _)| name).any(|name| names(text, name))
    };
    let names_hidden =
        |text: &str| access.names_hidden(text, |word| restrictions.iter().any(|(name, _)| **name == *word));
    let is_harmless = |comment: &String| !access.comment_names_hidden(comment);
    let speaks = |text: &str| mentions(text, Restriction::Hidden);
    let tells = |text: &str| mentions(text, Restriction::Masked) || names_hidden(text);
    let columns = table.columns.iter().filter(|column| is_visible(&column.name)).map(|column| Column {
        masked: restriction(&column.name) == Restriction::Masked,
        default_value: column
            .default_value
            .clone()
            .filter(|default| restriction(&column.name) < Restriction::Masked && !tells(default)),
        // A domain's CHECK may list the values that there are.
        type_definition: column
            .type_definition
            .clone()
            .filter(|definition| restriction(&column.name) < Restriction::Masked && !names_hidden(definition)),
        // So do the labels of an enum.
        enum_values: column.enum_values.clone().filter(|labels| {
            restriction(&column.name) < Restriction::Masked && !labels.iter().any(|label| names_hidden(label))
        }),
        description: column.description.clone().filter(is_harmless),
        ..column.clone()
    });
    let indexes = table.indexes.iter().filter(|index| {
        let Index { definition, predicate, columns, .. } = index;
        // What isn't the name of a column is an expression, which may hold values.
        let is_name = |column: &&String| restrictions.iter().any(|(name, _)| **name == ***column);
        columns.iter().all(|column| !speaks(column))
            && !columns.iter().filter(|column| !is_name(column)).any(|column| tells(column))
            && !speaks(definition)
            && !predicate.as_deref().is_some_and(tells)
    });
    let foreign_keys: Vec<ForeignKey> =
        table.foreign_keys.iter().filter(|key| is_visible_key(key, access)).cloned().collect();
    // A temporal key is none of the keys, so nothing tells what may be seen of its other end, but that nothing is restricted at all.
    let is_temporal = |name: &str| !table.foreign_keys.iter().any(|key| key.constraint_name == name);
    let is_shown_key = |name: &str| {
        foreign_keys.iter().any(|key| key.constraint_name == name) || is_temporal(name) && !access.restricts()
    };
    let constraints = table.constraints.iter().filter(|constraint| {
        let Constraint { name, r#type, columns, definition, referenced_table } = constraint;
        let has_values = matches!(r#type.as_str(), "CHECK" | "EXCLUDE");
        columns.iter().all(|column| is_visible(column))
            && !definition.as_deref().is_some_and(|text| if has_values { tells(text) } else { speaks(text) })
            && (referenced_table.is_none() || is_shown_key(name))
    });
    Some(Table {
        description: table.description.clone().filter(is_harmless),
        columns: columns.collect(),
        indexes: indexes
            .map(|index| Index { description: index.description.clone().filter(is_harmless), ..index.clone() })
            .collect(),
        constraints: constraints.cloned().collect(),
        foreign_keys,
        view_definition: table
            .view_definition
            .clone()
            .filter(|definition| shows_definition(table, definition, snapshot, access)),
        partition_key: table.partition_key.clone().filter(|key| !tells(key)),
        ..table.clone()
    })
}

/// Puts the values of columns where they may be told: not of masked ones, and not where rows depend on who asks. What it has put, or
/// not, in each.
fn add_samples(tables: &mut [Table], samples: &Samples, snapshot: &Snapshot) -> Vec<Option<Vec<String>>> {
    let mut shown = Vec::new();
    for table in tables.iter_mut().filter(|table| !snapshot.has_row_security(&table.schema_name, &table.table_name)) {
        for column in table.columns.iter_mut().filter(|column| !column.masked) {
            let values = samples.of(&table.schema_name, &table.table_name, &column.name).map(<[String]>::to_vec);
            shown.push(values.clone());
            column.sample_values = values;
        }
    }
    shown
}

fn hash(seen: &impl Serialize) -> String {
    digest(serde_json::to_vec(seen).expect("a catalog is plain data"))
}

/// Whether both ends of a foreign key may be seen.
fn is_visible_key(key: &ForeignKey, access: &Access) -> bool {
    let sees = |schema: &str, table: &str, columns: &[String]| {
        access.columns(schema, table).is_some_and(|known| {
            let sees =
                |column: &String| known.iter().any(|(name, found)| **name == **column && *found != Restriction::Hidden);
            columns.iter().all(sees)
        })
    };
    sees(&key.from_schema, &key.from_table, &key.from_columns) && sees(&key.to_schema, &key.to_table, &key.to_columns)
}
