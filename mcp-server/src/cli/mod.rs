//! What the program does besides serving: judge statements, explain a policy, write a role.

mod check;
mod policy;
mod role_sql;

use std::future::Future;
use std::sync::Arc;

use anyhow::Context;
use daemon::cli::Job;
use daemon::settings::SettingsError;
use sql_guard::Guard;

use crate::catalog::{Catalogs, Snapshot};
use crate::config::Config;
use crate::databases::{Database, SessionPins};
use crate::policy::{Known, Policies, PolicyError};

/// The subcommands.
pub const JOBS: &[Job<Config>] = &[
    Job { command: check::command, run: check::run },
    Job { command: policy::command, run: policy::run },
    Job { command: role_sql::command, run: role_sql::run },
];

/// The database that the settings name, as it is now, and what judges statements on it.
struct Workshop {
    guard: Guard,
    catalogs: Catalogs,
    snapshot: Arc<Snapshot>,
}

impl Workshop {
    /// Connects and reads the catalog. Any role will do: nothing is served.
    async fn open(config: &Config) -> anyhow::Result<Self> {
        let pins = SessionPins { allow_privileged_role: true, ..SessionPins::of(config) };
        let guard = Guard::new(config.guard.clone());
        let catalogs = Catalogs::new(Database::new(&config.database, pins), guard.clone(), config.catalog_ttl);
        let snapshot = catalogs.current().await.context("read the database's catalog")?;
        Ok(Self { guard, catalogs, snapshot })
    }
}

/// The policy in `file`, or else in the one that the settings name.
fn policies(config: &Config, file: Option<&String>) -> Result<Policies, PolicyError> {
    Policies::load(file.map(Into::into).or_else(|| config.policy_file.clone()), Known::of(config))
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
