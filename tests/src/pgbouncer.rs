//! PgBouncer in transaction mode before a throwaway PostgreSQL, for one role.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;

use crate::postgres::running_as_root;
use crate::process::{Process, path};
use crate::{PATIENCE, free_port, reaper};

/// A running pooler. Dropping it ends it.
pub struct PgBouncer {
    url: reqwest::Url,
    process: Process,
    /// Holds its settings; deleted with the value.
    _folder: tempfile::TempDir,
}

impl PgBouncer {
    /// Starts it before the database at `url`, with at most `pool_size` sessions there. Nothing where PgBouncer isn't installed,
    /// which is said; where `CI` is set that is an error.
    ///
    /// # Errors
    /// When it doesn't start; the message has its log.
    pub async fn start(url: &str, pool_size: usize) -> Result<Option<Self>> {
        let Some(program) = installed() else {
            let missing = "PgBouncer isn't installed, so poolers aren't tested: `scripts/setup --tests` installs it";
            if std::env::var_os("CI").is_some() {
                bail!("{missing}");
            }
            eprintln!("SKIPPED: {missing}");
            return Ok(None);
        };
        let folder = tempfile::tempdir_in(reaper::folder()?).context("make a folder for PgBouncer")?;
        let mut url: reqwest::Url = url.parse().context("read the database's URL")?;
        let file = folder.path().join("pgbouncer.ini");
        let port = free_port();
        std::fs::write(&file, settings(&url, port, pool_size)).with_context(|| format!("write {}", file.display()))?;

        let mut command = Command::new(program);
        // It doesn't run as root, and becomes another user once it has read its settings.
        if running_as_root()? {
            command.args(["-u", "nobody"]);
        }
        command.arg(file).env_clear().env("PATH", path()).stdin(Stdio::null());
        let process = Process::spawn("pgbouncer", command)?;
        url.set_port(Some(port)).map_err(|()| anyhow!("{url} takes no port"))?;
        let mut pgbouncer = Self { url, process, _folder: folder };
        pgbouncer.answers().await?;
        Ok(Some(pgbouncer))
    }

    /// The database's URL, led through the pooler.
    pub fn url(&self) -> &str {
        self.url.as_str()
    }

    async fn answers(&mut self) -> Result<()> {
        // The one start-up parameter of the driver that it doesn't know.
        let options = self.url().parse::<PgConnectOptions>()?.extra_float_digits(None);
        let deadline = Instant::now() + PATIENCE;
        while let Err(error) = options.connect().await {
            if self.process.exited()?.is_some() || Instant::now() > deadline {
                bail!("PgBouncer can't be reached ({error}):\n{}", self.process.logs());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }
}

/// Everybody who reaches it is the role of `url`: that needs no list of users, which it would read when it is no longer root.
fn settings(url: &reqwest::Url, port: u16, pool_size: usize) -> String {
    format!(
        "[databases]\n\
         * = host=127.0.0.1 port={} user={} password={}\n\
         [pgbouncer]\n\
         listen_addr = 127.0.0.1\n\
         listen_port = {port}\n\
         unix_socket_dir =\n\
         auth_type = any\n\
         pool_mode = transaction\n\
         default_pool_size = {pool_size}\n",
        url.port().unwrap_or(5432),
        url.username(),
        url.password().unwrap_or_default()
    )
}

/// Debian keeps it outside of an ordinary user's path.
fn installed() -> Option<PathBuf> {
    let path = path();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin"), PathBuf::from("/usr/local/sbin")]);
    folders.map(|folder| folder.join("pgbouncer")).find(|file| file.is_file())
}
