//! Ends the programs that this process started once it is gone, however it went, and deletes the folders they ran in. A
//! shell waits at the other end of a pipe: an end of a pipe that closes is the one thing that even a kill brings about.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use anyhow::{Context, Result};

/// Its argument is the folder to delete.
const SCRIPT: &str = r#"
watched=" "
while read -r verb pid; do
    case $verb in
        watch) watched="$watched$pid " ;;
        forget) watched="${watched%% $pid *} ${watched#* $pid }" ;;
    esac
done
for pid in $watched; do kill -KILL "$pid" 2>/dev/null; done
rm -rf "$1"
"#;

/// Said where nothing can be written for a while.
pub(crate) const WRITABLE_TMPDIR: &str = "TMPDIR must name a folder that can be written to";

/// The shell that this process has, from the first use on.
struct Reaper {
    /// None once it has been told to finish.
    shell: Mutex<Option<Shell>>,
    folder: PathBuf,
}

struct Shell {
    process: Child,
    commands: ChildStdin,
}

/// A folder that is deleted when this process ends, for what its programs leave lying about.
pub(crate) fn folder() -> Result<&'static Path> {
    Ok(&reaper()?.folder)
}

/// From now on the process ends with this one.
pub(crate) fn watch(pid: u32) -> Result<()> {
    say("watch", pid)
}

/// The process has ended, and its number may soon be another's.
pub(crate) fn forget(pid: u32) -> Result<()> {
    say("forget", pid)
}

/// Ends the programs that still run and deletes what they left, now and not only when this process ends. No program can
/// be started after it.
pub fn clean_up() {
    if let Ok(reaper) = reaper()
        && let Some(Shell { mut process, commands }) = reaper.lock().take()
    {
        drop(commands);
        // It could fail only if somebody else had waited for the shell.
        let _ = process.wait();
    }
}

fn say(verb: &str, pid: u32) -> Result<()> {
    let mut shell = reaper()?.lock();
    let shell = shell.as_mut().context("it has all been cleaned up already")?;
    writeln!(shell.commands, "{verb} {pid}").context("tell the shell that cleans up")
}

impl Reaper {
    fn lock(&self) -> MutexGuard<'_, Option<Shell>> {
        self.shell.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn reaper() -> Result<&'static Reaper> {
    static REAPER: OnceLock<Result<Reaper>> = OnceLock::new();
    REAPER.get_or_init(start).as_ref().map_err(|error| anyhow::anyhow!("{error:#}"))
}

fn start() -> Result<Reaper> {
    let folder = tempfile::Builder::new().prefix("pgmcp-run-").tempdir().context(WRITABLE_TMPDIR)?.keep();
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", SCRIPT, "reaper"]).arg(&folder).process_group(0).current_dir("/");
    shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut process = shell.spawn().context("start a shell to clean up")?;
    let commands = process.stdin.take().context("no pipe to the shell")?;
    Ok(Reaper { shell: Mutex::new(Some(Shell { process, commands })), folder })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper() -> Child {
        Command::new("sleep").arg("60").stdin(Stdio::null()).spawn().unwrap()
    }

    #[test]
    fn ends_what_is_watched_and_spares_what_is_forgotten() {
        let (mut first, mut spared, mut last) = (sleeper(), sleeper(), sleeper());
        let folder = tempfile::tempdir().unwrap().keep();
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", SCRIPT, "reaper"]).arg(&folder).stdin(Stdio::piped());
        let mut shell = shell.spawn().unwrap();
        let mut stdin = shell.stdin.take().unwrap();
        let (a, b, c) = (first.id(), spared.id(), last.id());
        write!(stdin, "watch {a}\nwatch {b}\nwatch {c}\nforget {b}\n").unwrap();
        drop(stdin);
        shell.wait().unwrap();
        first.wait().unwrap();
        last.wait().unwrap();
        assert!(!folder.exists(), "the folder is left");
        assert!(spared.try_wait().unwrap().is_none(), "a forgotten process was ended");
        spared.kill().unwrap();
        spared.wait().unwrap();
    }
}
