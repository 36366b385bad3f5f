//! `mcp-server role-sql`: the SQL for a role that may read what the server's keys may see, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::process::ExitCode;

use clap::{Arg, ArgMatches, Command};
use daemon::settings::SettingsError;
use sql_guard::{Catalog, RelationName, Restriction};

use super::{Workshop, block_on, database, database_argument, policies, sound};
use crate::config::Config;

/// Connections that the server makes besides its pool: the one that cancels, and one that is being replaced.
const SPARE_CONNECTIONS: usize = 2;

pub(super) fn command() -> Command {
    Command::new("role-sql")
        .about("Prints the SQL for a least-privilege role: grants on what all keys together may see")
        .arg(Arg::new("policy").long("policy").value_name("FILE").help("The policy file; POLICY_FILE unless given"))
        .arg(Arg::new("role").long("role").value_name("NAME").help("Name of the role").default_value("pgmcp_reader"))
        .arg(database_argument())
}

/// Connects as whatever role the settings name; one that sees everything gives the whole picture.
pub(super) fn run(arguments: &ArgMatches, config: Result<Config, SettingsError>) -> anyhow::Result<ExitCode> {
    let config = sound(config)?;
    let policies = policies(&config, arguments.get_one::<String>("policy"))?;
    let role = arguments.get_one::<String>("role").map_or("pgmcp_reader", String::as_str);
    block_on(async {
        let database = database(&config, arguments);
        let workshop = Workshop::open(&config, &database).await?;
        let mut grants = Grants::default();
        let mut callers = policies.callers();
        if callers.is_empty() {
            callers.push(crate::caller::Caller::of_key("default"));
        }
        for caller in callers {
            let rules = policies.rules(&database.name, &caller);
            let visible = workshop
                .catalog
                .visible(&workshop.snapshot, &rules)
                .await
                .map_err(|refused| anyhow::anyhow!("{refused}"))?;
            for relation in workshop.snapshot.relations() {
                if let Some(columns) = visible.access().columns(&relation.name.schema, &relation.name.name) {
                    grants.add(&relation.name, &columns);
                }
            }
        }
        for relation in workshop.snapshot.relations() {
            grants.schemas.insert(relation.name.schema.clone());
            grants.unreadable += usize::from(!relation.is_readable);
        }
        print!("{}", grants.sql(role, &database.database, database.pool_size + SPARE_CONNECTIONS));
        Ok(ExitCode::SUCCESS)
    })
}

/// What all callers together may see: the columns of each relation, and whether those are all of them.
#[derive(Default)]
struct Grants {
    relations: BTreeMap<RelationName, Granted>,
    /// Every schema with relations.
    schemas: BTreeSet<String>,
    /// How many relations the login that asks can't read.
    unreadable: usize,
}

#[derive(Default)]
struct Granted {
    /// In the relation's order.
    columns: Vec<String>,
    all: BTreeSet<String>,
}

impl Grants {
    /// Masked columns are granted too: the server reads them.
    fn add(&mut self, relation: &RelationName, columns: &[(std::sync::Arc<str>, Restriction)]) {
        let granted = self.relations.entry(relation.clone()).or_default();
        for (name, restriction) in columns {
            granted.all.insert(name.to_string());
            if *restriction != Restriction::Hidden && !granted.columns.iter().any(|known| **known == **name) {
                granted.columns.push(name.to_string());
            }
        }
    }

    fn sql(&self, role: &str, database: &str, connections: usize) -> String {
        let (role, database) = (quoted(role), quoted(database));
        let mut sql = String::new();
        let _ = writeln!(
            sql,
            "-- A role that may read what the server's keys may see, and nothing else.\n\
             -- Run this in the database {database} as a superuser or as the owner of its tables.\n\
             -- It may be run again after the policy has changed: what the role had is taken away first.\n\
             DO $$BEGIN CREATE ROLE {role}; EXCEPTION WHEN duplicate_object THEN NULL; END$$;\n\
             -- As many connections as POOL_SIZE, and two for cancels and checks.\n\
             ALTER ROLE {role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS CONNECTION LIMIT {connections};\n\
             -- Give it a password that stands in no file: in psql, \\password {role}\n\
             ALTER ROLE {role} SET default_transaction_read_only = on;\n\
             GRANT CONNECT ON DATABASE {database} TO {role};"
        );
        if self.unreadable > 0 {
            let _ = writeln!(
                sql,
                "-- CAUTION: {} table(s) and view(s) are left out, because the login that this was written with may not read them.\n\
                 -- Where callers shall see them, have it written again by a superuser or by their owner.",
                self.unreadable
            );
        }
        let schemas: BTreeSet<&str> = self.relations.keys().map(|name| name.schema.as_str()).collect();
        for schema in &self.schemas {
            let schema = quoted(schema);
            let _ = writeln!(
                sql,
                "REVOKE ALL ON ALL TABLES IN SCHEMA {schema} FROM {role}; REVOKE ALL ON SCHEMA {schema} FROM {role};"
            );
        }
        for schema in schemas {
            let _ = writeln!(sql, "GRANT USAGE ON SCHEMA {} TO {role};", quoted(schema));
        }
        for (name, granted) in self.relations.iter().filter(|(_, granted)| !granted.columns.is_empty()) {
            let table = format!("{}.{}", quoted(&name.schema), quoted(&name.name));
            let columns = match granted.columns.len() == granted.all.len() {
                true => String::new(),
                false => {
                    format!(" ({})", granted.columns.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", "))
                }
            };
            let _ = writeln!(sql, "GRANT SELECT{columns} ON {table} TO {role};");
        }
        let _ = write!(
            sql,
            "\n-- What PUBLIC may do, every role may. The lines below take that away FROM EVERYBODY IN THIS DATABASE, not from\n\
             -- {role} alone: others that rely on it stop working. Read each before you run it.\n\
             -- REVOKE CREATE ON SCHEMA public FROM PUBLIC;\n\
             -- REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC;\n\
             -- REVOKE EXECUTE ON FUNCTION pg_catalog.lo_create(oid), pg_catalog.lo_creat(integer), pg_catalog.lo_from_bytea(oid, bytea) FROM PUBLIC;\n\
             -- REVOKE EXECUTE ON FUNCTION pg_catalog.pg_notify(text, text), pg_catalog.pg_sleep(double precision) FROM PUBLIC;\n"
        );
        sql
    }
}

/// `name` as a quoted identifier.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_granted_one_by_one_where_some_are_hidden() {
        let relation = |name: &str| RelationName { schema: "public".into(), name: name.into() };
        let mut grants = Grants::default();
        grants.add(&relation("users"), &[("id".into(), Restriction::Free), ("ssn".into(), Restriction::Hidden)]);
        grants.add(&relation("users"), &[("id".into(), Restriction::Free), ("mail".into(), Restriction::Masked)]);
        grants.add(&relation("a \"b\""), &[("id".into(), Restriction::Masked)]);
        grants.add(&relation("void"), &[("id".into(), Restriction::Hidden)]);
        let sql = grants.sql("reader", "shop", 12);
        assert!(sql.contains("GRANT SELECT (\"id\", \"mail\") ON \"public\".\"users\" TO \"reader\";"), "{sql}");
        assert!(sql.contains("GRANT SELECT ON \"public\".\"a \"\"b\"\"\" TO \"reader\";"), "{sql}");
        assert!(sql.contains("CONNECTION LIMIT 12;") && !sql.contains("void"), "{sql}");
    }
}
