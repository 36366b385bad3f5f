//! What the program does besides serving its port: judge statements, explain a policy, write a role, serve one client on stdio,
//! list the tools.

mod check;
mod policy;
mod role_sql;
mod stdio;
mod tools;

use std::future::Future;
use std::sync::Arc;

use anyhow::Context;
use clap::{Arg, ArgMatches};
use daemon::cli::Job;
use daemon::settings::SettingsError;
use sql_guard::Guard;

use crate::catalog::{CatalogCache, Snapshot};
use crate::config::{Config, DatabaseConfig};
use crate::databases::{Database, SessionPins};
use crate::policy::{Known, Policies, PolicyError};

/// The subcommands.
pub const JOBS: &[Job<Config>] = &[
    Job { command: check::command, run: check::run },
    Job { command: policy::command, run: policy::run },
    Job { command: role_sql::command, run: role_sql::run },
    Job { command: stdio::command, run: stdio::run },
    Job { command: tools::command, run: tools::run },
];

/// The database that the settings name, as it is now, and what judges statements on it.
struct Workshop {
    guard: Guard,
    catalog: CatalogCache,
    snapshot: Arc<Snapshot>,
}

impl Workshop {
    /// Connects to `database` and reads its catalog. Any role will do: nothing is served.
    async fn open(config: &Config, database: &DatabaseConfig) -> anyhow::Result<Self> {
        let pins = SessionPins { allow_privileged_role: true, ..SessionPins::of(config) };
        let guard = Guard::new(config.guard.clone());
        let catalog = CatalogCache::new(Database::alone(database, pins), guard.clone(), config.catalog_ttl);
        let snapshot = catalog.current().await.context("read the database's catalog")?;
        Ok(Self { guard, catalog, snapshot })
    }
}

/// The policy in `file`, or else in the one that the settings name.
fn policies(config: &Config, file: Option<&String>) -> Result<Policies, PolicyError> {
    Policies::load(file.map(Into::into).or_else(|| config.policy_file.clone()), Known::of(config))
}

/// The argument that names the database of a job.
fn database_argument() -> Arg {
    Arg::new("database").long("database").value_name("NAME").help("The database; the default one unless given")
}

/// The database that the command line names: one of the settings', or another on the default one's host.
fn database(config: &Config, arguments: &ArgMatches) -> DatabaseConfig {
    match arguments.get_one::<String>("database") {
        None => config.databases.default.clone(),
        Some(name) => {
            let known = config.databases.configured().find(|database| database.name == *name);
            known.cloned().unwrap_or_else(|| config.databases.default.sibling(name))
        }
    }
}

/// The settings, or their problems as an error.
fn sound(config: Result<Config, SettingsError>) -> anyhow::Result<Config> {
    config.map_err(|problems| anyhow::anyhow!("{problems}"))
}

/// Runs `work` to its end.
fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    tokio::runtime::Builder::new_current_thread().enable_all().build().context("start the runtime")?.block_on(work)
}
