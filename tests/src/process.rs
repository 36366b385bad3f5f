//! One of the two programs as a real process: found next to the test's own executable, started in an empty folder with
//! exactly the environment given, its log kept for the message of a failure.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::{PATIENCE, reaper};

/// Log lines kept of each program.
const KEPT_LINES: usize = 10_000;

/// How often a condition is looked at again while it is waited for.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// The same where looking is a request, which the program logs: from [`POLL_INTERVAL`] it grows to this.
const LONGEST_POLL_INTERVAL: Duration = Duration::from_millis(100);

/// A running program. Dropping it kills it; [`Process::terminate`] is the polite way.
pub struct Process {
    name: &'static str,
    child: Child,
    log: Log,
    /// The threads that take up what it prints.
    readers: Vec<JoinHandle<()>>,
    /// Working directory of the program, so that no `.env` of a developer is read; deleted with the value.
    _folder: tempfile::TempDir,
}

impl Process {
    /// Starts a program of this workspace with these environment variables and no others but `PATH`.
    ///
    /// # Errors
    /// When it hasn't been built; the message names the command that builds it.
    pub fn start(name: &'static str, env: &[(String, String)]) -> Result<Self> {
        let mut command = Command::new(binary(name)?);
        command.env_clear().env("PATH", path());
        // A run that measures coverage counts the programs too.
        if let Some(profile) = std::env::var_os("LLVM_PROFILE_FILE") {
            command.env("LLVM_PROFILE_FILE", profile);
        }
        command.envs(env.iter().map(|(key, value)| (key, value)));
        Self::spawn(name, command)
    }

    /// Starts `command`, another program that a test needs.
    ///
    /// # Errors
    /// When the operating system can't start it.
    pub(crate) fn spawn(name: &'static str, mut command: Command) -> Result<Self> {
        let folder = tempfile::tempdir_in(reaper::folder()?).context("make a working directory")?;
        command.current_dir(folder.path());
        // A signal from the terminal is for the program in front, which then ends its own in order.
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("start {}", command.get_program().display()))?;
        reaper::watch(child.id())?;
        let log = Log::default();
        let readers = vec![
            log.follow(child.stdout.take().context("no standard output")?),
            log.follow(child.stderr.take().context("no standard error")?),
        ];
        Ok(Self { name, child, log, readers, _folder: folder })
    }

    /// Process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything that it has printed so far, standard output and standard error as they came.
    pub fn logs(&self) -> String {
        self.log.text(KEPT_LINES)
    }

    /// The last lines that it printed.
    pub fn last_logs(&self, lines: usize) -> String {
        self.log.text(lines)
    }

    /// How it ended, if it has; its log is whole then.
    ///
    /// # Errors
    /// When the operating system can't say.
    pub fn exited(&mut self) -> Result<Option<ExitStatus>> {
        let status = self.child.try_wait()?;
        if status.is_some() {
            for reader in self.readers.drain(..) {
                // A reader that panicked has lost lines, and nothing else.
                let _ = reader.join();
            }
        }
        Ok(status)
    }

    /// The address that it says it listens on, in the log line `listening on …` with the field `address` (JSON log).
    ///
    /// # Errors
    /// When it ends or keeps silent; the message has its log.
    pub async fn listening(&mut self) -> Result<SocketAddr> {
        self.logged("its address", listening_address).await
    }

    /// Waits until a line of the log is one that `found` looks for, and gives what it made of it.
    ///
    /// # Errors
    /// When the program ends or [`PATIENCE`] is over before; the message has its log.
    pub async fn logged<T>(&mut self, what: &str, found: impl Fn(&str) -> Option<T>) -> Result<T> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            // Looked at before the log, so that what it printed last is seen.
            let exited = self.exited()?;
            let value = self.log.lines().iter().find_map(|line| found(line));
            if let Some(value) = value {
                return Ok(value);
            }
            if let Some(status) = exited {
                bail!("{} ended ({status}) before it logged {what}:\n{}", self.name, self.logs());
            }
            if Instant::now() > deadline {
                bail!("{} didn't log {what} within {} s:\n{}", self.name, PATIENCE.as_secs(), self.logs());
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Waits until a GET of the URL answers 200.
    ///
    /// # Errors
    /// When the program ends or [`PATIENCE`] is over before; the message has the last answer, and the log less what it
    /// says about these requests.
    pub async fn answers(&mut self, url: &str) -> Result<()> {
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build()?;
        let deadline = Instant::now() + PATIENCE;
        let mut pause = POLL_INTERVAL;
        loop {
            let seen = match client.get(url).send().await {
                Ok(response) if response.status().is_success() => return Ok(()),
                Ok(response) => format!("{} {}", response.status(), response.text().await.unwrap_or_default()),
                Err(error) => error.to_string(),
            };
            if let Some(status) = self.exited()? {
                bail!("{} ended ({status}):\n{}", self.name, self.logs());
            }
            if Instant::now() > deadline {
                let seconds = PATIENCE.as_secs();
                bail!(
                    "{url} didn't answer 200 within {seconds} s; last: {seen}\n{}",
                    self.log.without_requests_of(url)
                );
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_POLL_INTERVAL);
        }
    }

    /// Sends SIGTERM and waits for the end.
    ///
    /// # Errors
    /// When it is still there after [`PATIENCE`]; the message has its log.
    pub async fn terminate(&mut self) -> Result<ExitStatus> {
        self.signal("TERM")?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.exited()? {
                return Ok(status);
            }
            if Instant::now() > deadline {
                bail!("{} still runs {} s after SIGTERM:\n{}", self.name, PATIENCE.as_secs(), self.logs());
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Sends a signal by its name, such as `TERM` or `STOP`.
    ///
    /// # Errors
    /// When there is no such signal.
    pub fn signal(&mut self, signal: &str) -> Result<()> {
        if self.exited()?.is_some() {
            return Ok(());
        }
        // The shell's own `kill`: slim systems have no program of that name.
        let sent =
            Command::new("/bin/sh").args(["-c", "kill -s \"$0\" \"$1\"", signal, &self.pid().to_string()]).status()?;
        if !sent.success() {
            bail!("couldn't send {signal} to {} ({})", self.name, self.pid());
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // These fail only when it has ended already, or the shell that would end it has.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = reaper::forget(self.child.id());
        if std::thread::panicking() {
            eprintln!("log of {}:\n{}", self.name, self.last_logs(200));
        }
    }
}

/// `PATH` as this process has it.
pub(crate) fn path() -> OsString {
    std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into())
}

/// The program's file: what `MCP_SERVER_BIN` or `AGENT_BIN` names, else the one in the folder of this build. An example is a program
/// by the name `examples/…`.
///
/// # Errors
/// When it isn't there; the message names the command that builds it.
pub fn binary(name: &str) -> Result<PathBuf> {
    let variable = format!("{}_BIN", name.replace(['-', '/'], "_").to_uppercase());
    if let Some(file) = std::env::var_os(&variable).map(PathBuf::from) {
        if !file.is_file() {
            bail!("{variable} is {}, and there is no such file", file.display());
        }
        return Ok(file);
    }
    let own = std::env::current_exe().context("find the executable of this process")?;
    let file = built_beside(&own, name);
    if !file.is_file() {
        let what = match name.strip_prefix("examples/") {
            Some(example) => format!("--example {example}"),
            None => format!("--bins -p {name}"),
        };
        bail!("{} isn't there: run `cargo build {what}` first, or name the program in {variable}", file.display());
    }
    Ok(file)
}

/// Tests lie in `target/<profile>/deps`, programs one above.
fn built_beside(executable: &Path, name: &str) -> PathBuf {
    let folder = executable.parent().unwrap_or(Path::new("."));
    let folder = if folder.ends_with("deps") { folder.parent().unwrap_or(folder) } else { folder };
    folder.join(name)
}

fn listening_address(line: &str) -> Option<SocketAddr> {
    let line: Value = serde_json::from_str(line).ok()?;
    let fields = line.get("fields")?;
    if !fields.get("message")?.as_str()?.starts_with("listening") {
        return None;
    }
    fields.get("address")?.as_str()?.parse().ok()
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<VecDeque<String>>>);

impl Log {
    /// Takes up every line until the other end closes, so that the program never waits for a full pipe.
    fn follow(&self, source: impl Read + Send + 'static) -> JoinHandle<()> {
        let log = self.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(source).split(b'\n').map_while(Result::ok) {
                let mut lines = log.lines();
                if lines.len() == KEPT_LINES {
                    lines.pop_front();
                }
                lines.push_back(String::from_utf8_lossy(&line).into_owned());
            }
        })
    }

    fn lines(&self) -> std::sync::MutexGuard<'_, VecDeque<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All of it but the access log's lines about this URL.
    fn without_requests_of(&self, url: &str) -> String {
        let path = reqwest::Url::parse(url).map_or_else(|_| url.to_owned(), |url| url.path().to_owned());
        let request = format!("GET {path} answered");
        let lines = self.lines();
        lines.iter().filter(|line| !line.contains(&request)).map(String::as_str).collect::<Vec<_>>().join("\n")
    }

    fn text(&self, last: usize) -> String {
        let lines = self.lines();
        let skipped = lines.len().saturating_sub(last);
        lines.iter().skip(skipped).map(String::as_str).collect::<Vec<_>>().join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_address(line: &str, expected: Option<&str>) {
        assert_eq!(listening_address(line).map(|address| address.to_string()).as_deref(), expected, "{line}");
    }

    #[test]
    fn reads_the_address_from_the_log() {
        let listening =
            r#"{"level":"INFO","fields":{"message":"listening on 127.0.0.1:4321","address":"127.0.0.1:4321"}}"#;
        check_address(listening, Some("127.0.0.1:4321"));
        check_address(r#"{"fields":{"message":"connected","address":"127.0.0.1:4321"}}"#, None);
        check_address("listening on 127.0.0.1:4321", None);
    }

    #[test]
    fn finds_programs_beside_tests_and_beside_programs() {
        let expected = Path::new("/t/debug/agent");
        assert_eq!(built_beside(Path::new("/t/debug/deps/stories-1a2b"), "agent"), expected);
        assert_eq!(built_beside(Path::new("/t/debug/demo"), "agent"), expected);
    }

    #[test]
    fn a_program_that_is_not_built_names_the_command() {
        let error = binary("no-such-program").unwrap_err().to_string();
        assert!(error.contains("cargo build --bins -p no-such-program"), "{error}");
        let error = binary("examples/none").unwrap_err().to_string();
        assert!(error.contains("cargo build --example none") && error.contains("EXAMPLES_NONE_BIN"), "{error}");
    }

    #[test]
    fn the_log_can_be_shown_without_the_requests_that_waited() {
        let log = Log::default();
        let lines = ["starting", "GET /ready answered 503", "GET /health answered 200", "no database"];
        log.lines().extend(lines.map(String::from));
        let shown = log.without_requests_of("http://127.0.0.1:1/ready");
        assert_eq!(shown, "starting\nGET /health answered 200\nno database");
    }

    #[test]
    fn the_log_keeps_the_last_lines() {
        let log = Log::default();
        log.lines().extend(["a", "b", "c"].map(String::from));
        assert_eq!(log.text(2), "b\nc");
        assert_eq!(log.text(9), "a\nb\nc");
    }
}
