//! What there is in a database, read from PostgreSQL's own catalogs and not from the server's: tables and views with their
//! columns, who inherits from whom, and what views read.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use sqlx::{PgConnection, Row};

/// Number of a relation in pg_class.
pub(crate) type Oid = i64;

/// The relations of a database.
#[derive(Debug)]
pub(crate) struct Schema {
    pub(crate) search_path: Vec<String>,
    pub(crate) relations: BTreeMap<Oid, Relation>,
}

/// A table or view.
#[derive(Debug)]
pub(crate) struct Relation {
    pub(crate) schema: String,
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) columns: Vec<Column>,
    /// The tables right above it that its rows are rows of, too.
    parents: Vec<Oid>,
    /// The columns that it reads, where it is a view; no name stands for the relation as such.
    pub(crate) reads: BTreeSet<(Oid, Option<String>)>,
}

/// What can be done with a relation's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It has rows of its own.
    Table,
    /// Its rows are its partitions'.
    Partitioned,
    View,
    Materialized,
}

#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) name: String,
    /// Its type, or what a domain is made of: `text`, `int4`, `_text`.
    pub(crate) type_name: String,
    /// The longest text, or the digits before the point, where there is such a bound.
    pub(crate) bound: Option<i32>,
    pub(crate) is_nullable: bool,
    /// Whether no two rows may have the same value.
    pub(crate) is_unique: bool,
}

const RELATIONS: &str = "
    SELECT c.oid::int8, n.nspname::text, c.relname::text, c.relkind::text,
           array(SELECT i.inhparent::int8 FROM pg_inherits AS i WHERE i.inhrelid = c.oid)
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'";

const COLUMNS: &str = "
    SELECT a.attrelid::int8, a.attname::text, coalesce(b.typname, t.typname)::text,
           CASE WHEN coalesce(b.typname, t.typname) IN ('varchar', 'bpchar') AND m.modifier > 4 THEN m.modifier - 4
                WHEN coalesce(b.typname, t.typname) = 'numeric' AND m.modifier > 4
                THEN ((m.modifier - 4) >> 16) - ((m.modifier - 4) & 2047) END,
           NOT (a.attnotnull OR t.typnotnull),
           EXISTS (SELECT FROM pg_index AS i WHERE i.indrelid = a.attrelid AND i.indisunique AND a.attnum = ANY (i.indkey))
    FROM pg_attribute AS a JOIN pg_type AS t ON t.oid = a.atttypid LEFT JOIN pg_type AS b ON b.oid = t.typbasetype,
         LATERAL (SELECT CASE WHEN a.atttypmod >= 0 THEN a.atttypmod ELSE t.typtypmod END AS modifier) AS m
    WHERE a.attnum > 0 AND NOT a.attisdropped
    ORDER BY a.attrelid, a.attnum";

const VIEWS: &str = "
    SELECT DISTINCT r.ev_class::int8, d.refobjid::int8, a.attname::text
    FROM pg_rewrite AS r JOIN pg_depend AS d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
    LEFT JOIN pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid AND a.attnum > 0
    WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid <> r.ev_class";

impl Schema {
    /// Reads it from the database of a session.
    pub(crate) async fn read(session: &mut PgConnection) -> Result<Self> {
        let search_path = sqlx::query_scalar("SELECT current_schemas(false)::text[]").fetch_one(&mut *session).await?;
        let mut relations = BTreeMap::new();
        for row in sqlx::query(RELATIONS).fetch_all(&mut *session).await? {
            let kind = match row.get::<&str, _>(3) {
                "r" => Kind::Table,
                "p" => Kind::Partitioned,
                "v" => Kind::View,
                _ => Kind::Materialized,
            };
            let relation = Relation {
                schema: row.get(1),
                name: row.get(2),
                kind,
                columns: Vec::new(),
                parents: row.get(4),
                reads: BTreeSet::new(),
            };
            relations.insert(row.get(0), relation);
        }
        for row in sqlx::query(COLUMNS).fetch_all(&mut *session).await? {
            if let Some(relation) = relations.get_mut(&row.get(0)) {
                relation.columns.push(Column {
                    name: row.get(1),
                    type_name: row.get(2),
                    bound: row.get(3),
                    is_nullable: row.get(4),
                    is_unique: row.get(5),
                });
            }
        }
        for row in sqlx::query(VIEWS).fetch_all(session).await? {
            if let Some(view) = relations.get_mut(&row.get(0)) {
                view.reads.insert((row.get(1), row.get(2)));
            }
        }
        Ok(Self { search_path, relations })
    }

    /// The relation that a name in FROM means; the schema is empty where none is written.
    pub(crate) fn find(&self, schema: &str, name: &str) -> Option<(Oid, &Relation)> {
        let of = |schema: &str| {
            let mut relations = self.relations.iter();
            relations.find(|(_, relation)| relation.schema == schema && relation.name == name)
        };
        let found = if schema.is_empty() { self.search_path.iter().find_map(|schema| of(schema)) } else { of(schema) };
        found.map(|(oid, relation)| (*oid, relation))
    }

    /// The relation itself and all above it: its rows are theirs.
    pub(crate) fn with_ancestors(&self, of: Oid) -> Vec<Oid> {
        let mut found = vec![of];
        let mut at = 0;
        while let Some(next) = found.get(at).and_then(|oid| self.relations.get(oid)) {
            found.extend(&next.parents);
            at += 1;
        }
        found
    }

    /// The relation itself and all that it reads as a view, through views too.
    pub(crate) fn with_read(&self, of: Oid) -> BTreeSet<Oid> {
        let mut found = BTreeSet::new();
        let mut waiting = vec![of];
        while let Some(next) = waiting.pop() {
            if let Some(relation) = self.relations.get(&next)
                && found.insert(next)
            {
                waiting.extend(relation.reads.iter().map(|(read, _)| *read));
            }
        }
        found
    }
}

impl Relation {
    /// How a statement can write it, wherever it stands on the search_path.
    pub(crate) fn qualified(&self) -> String {
        format!("{}.{}", quoted(&self.schema), quoted(&self.name))
    }
}

/// A name as PostgreSQL reads it back unchanged.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
