//! The process that owns a cluster: a small shell script that stops the server and deletes its folder as soon as its
//! standard input closes. So a test run that is killed leaves nothing either, and root can hand the whole cluster to
//! another user, which PostgreSQL insists on.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use super::Programs;
use crate::PATIENCE;
use crate::reaper::WRITABLE_TMPDIR;

const SCRIPT: &str = include_str!("cluster.sh");

/// Between looking for a free port and PostgreSQL's taking it another program may be faster.
const TRIES: u32 = 3;

/// Same sort order everywhere, and letters beyond ASCII are letters.
const LOCALE: &str = if cfg!(target_os = "macos") { "en_US.UTF-8" } else { "C.UTF-8" };

pub(super) struct Supervisor {
    child: Child,
    /// Taken on drop: its end of the pipe is what keeps the cluster alive.
    commands: Option<ChildStdin>,
    steps: Receiver<String>,
    errors: Receiver<String>,
    port: u16,
}

impl Supervisor {
    /// Makes a cluster with the password for its superuser and waits until it takes connections.
    pub(super) fn start(programs: &Programs, password: &str) -> Result<Self> {
        let mut last = None;
        for _ in 0..TRIES {
            match Self::try_start(programs, password) {
                Ok(supervisor) => return Ok(supervisor),
                Err(error) => last = Some(error),
            }
        }
        Err(last.expect("there is at least one try"))
    }

    fn try_start(programs: &Programs, password: &str) -> Result<Self> {
        let port = TcpListener::bind(("127.0.0.1", 0)).context("find a free port")?.local_addr()?.port();
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(SCRIPT).arg("cluster.sh").arg(&programs.0).arg(port.to_string()).arg(LOCALE);
        // A signal from the terminal is for the program in front; the cluster ends when that has.
        command.process_group(0).current_dir("/").env_clear().env("PATH", crate::process::path());
        if let Some(folder) = std::env::var_os("TMPDIR") {
            command.env("TMPDIR", folder);
        }
        if running_as_root()? {
            let account = Account::unprivileged()?;
            command.uid(account.uid).gid(account.gid);
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("start a shell for PostgreSQL")?;

        let commands = child.stdin.take();
        let steps = lines(child.stdout.take().context("no output from the shell")?);
        let errors = lines(child.stderr.take().context("no errors from the shell")?);
        let mut supervisor = Self { child, commands, steps, errors, port };
        supervisor.say(password, "started").context("start PostgreSQL")?;
        Ok(supervisor)
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn stop(&mut self) -> Result<()> {
        self.say("stop", "stopped").context("stop PostgreSQL")
    }

    pub(super) fn resume(&mut self) -> Result<()> {
        self.say("start", "started").context("start PostgreSQL again")
    }

    /// Sends one line and waits for the step that follows from it.
    fn say(&mut self, line: &str, expected: &str) -> Result<()> {
        let commands = self.commands.as_mut().context("the cluster has ended")?;
        let sent = writeln!(commands, "{line}");
        match self.steps.recv_timeout(PATIENCE) {
            Ok(step) if step == expected && sent.is_ok() => Ok(()),
            _ => bail!("it didn't come to be \"{expected}\": {}", self.last_words()),
        }
    }

    /// Ends the cluster and gives all that it complained of.
    fn last_words(&mut self) -> String {
        drop(self.commands.take());
        let mut complaints = Vec::new();
        while let Ok(line) = self.errors.recv_timeout(PATIENCE) {
            complaints.push(line);
        }
        complaints.join("\n")
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        drop(self.commands.take());
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            match self.child.try_wait() {
                Ok(None) => std::thread::sleep(std::time::Duration::from_millis(5)),
                Ok(Some(_)) | Err(_) => return,
            }
        }
    }
}

/// The lines that come, each as soon as it is complete.
fn lines(source: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(source).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// A new file belongs to the user that this process acts as.
pub(crate) fn running_as_root() -> Result<bool> {
    let file = tempfile::tempfile().context(WRITABLE_TMPDIR)?;
    Ok(file.metadata()?.uid() == 0)
}

#[derive(Debug, PartialEq, Eq)]
struct Account {
    uid: u32,
    gid: u32,
}

impl Account {
    /// The account that root runs PostgreSQL as.
    fn unprivileged() -> Result<Self> {
        let accounts = std::fs::read_to_string("/etc/passwd").context("read /etc/passwd")?;
        Self::choose(&accounts).context(
            "PostgreSQL refuses to run as root, and there is neither an account \"postgres\" nor \"nobody\": \
             run this as an ordinary user",
        )
    }

    fn choose(accounts: &str) -> Option<Self> {
        ["postgres", "nobody"].iter().find_map(|wanted| {
            accounts.lines().find_map(|line| {
                let mut fields = line.split(':');
                if fields.next()? != *wanted {
                    return None;
                }
                let uid = fields.nth(1)?.parse().ok()?;
                let gid = fields.next()?.parse().ok()?;
                Some(Self { uid, gid })
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(accounts: &str, expected: Option<(u32, u32)>) {
        let expected = expected.map(|(uid, gid)| Account { uid, gid });
        assert_eq!(Account::choose(accounts), expected, "{accounts}");
    }

    #[test]
    fn chooses_an_account_without_rights() {
        check(
            "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65533::/:/bin/false\npostgres:x:101:104::/:/bin/sh",
            Some((101, 104)),
        );
        check("root:x:0:0::/root:/bin/sh\nnobody:x:65534:65533::/:/bin/false", Some((65534, 65533)));
        check("root:x:0:0::/root:/bin/sh\nnobody:*:-2:-2::/:/bin/false", None);
        check("", None);
    }

    /// Programs that only note how they are called; `start` takes until there is a file `go`.
    const PRETENDED: &str = r#"
        cd "$1" && mkdir tmp && printf '#!/bin/sh\n' >initdb && cat >pg_ctl <<'END' && chmod +x initdb pg_ctl
#!/bin/sh
cd "${0%/*}" && echo "$1" >>calls
[ "$1" != start ] || while [ ! -e go ]; do sleep 0.01; done
END
    "#;

    #[test]
    fn a_server_whose_owner_was_killed_while_it_started_is_ended() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        assert!(Command::new("/bin/sh").args(["-c", PRETENDED, "sh"]).arg(path).status().unwrap().success());
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", SCRIPT, "cluster.sh"]).arg(path).args(["1", LOCALE]).env("TMPDIR", path.join("tmp"));
        let mut shell = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut commands = shell.stdin.take().unwrap();
        writeln!(commands, "secret").unwrap();
        let calls = || std::fs::read_to_string(path.join("calls")).unwrap_or_default();
        let deadline = Instant::now() + PATIENCE;
        while calls() != "start\n" {
            assert!(Instant::now() < deadline, "it doesn't start: {}", calls());
            std::thread::sleep(std::time::Duration::from_millis(5));
        }

        drop((commands, shell.stdout.take()));
        std::fs::write(path.join("go"), "").unwrap();
        shell.wait().unwrap();
        assert_eq!(calls(), "start\nstop\n");
        assert_eq!(std::fs::read_dir(path.join("tmp")).unwrap().count(), 0, "its folder is left");
    }

    #[test]
    fn a_failed_start_says_why() {
        let nowhere = Programs("/nonexistent".into());
        let Err(error) = Supervisor::start(&nowhere, "secret") else {
            panic!("started from a folder that isn't there")
        };
        assert!(format!("{error:#}").contains("/nonexistent/initdb"), "{error:#}");
    }
}
