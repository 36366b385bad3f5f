//! The compose stack as its files promise it (docker-compose.yml, the Dockerfiles, scripts/env). No container is started.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use harness::postgres::READER;
use harness::process::{Process, binary};
use harness::{SHOP, repository_file};
use serde::Deserialize;
use tempfile::TempDir;

const PROGRAMS: [(&str, &str); 2] = [("mcp-server", "Dockerfile.server"), ("agent", "Dockerfile.agent")];

/// What follows the name of a variable that compose can't do without.
const HINT: &str = ":?run 'make env' first}";

#[test]
fn each_program_is_given_its_settings_and_no_others() {
    for (program, _) in PROGRAMS {
        let given: BTreeSet<String> = service(program).environment().into_keys().collect();
        let known: BTreeSet<String> = settings(program).into_keys().collect();
        assert_eq!(given, known, "environment of {program} in docker-compose.yml (left) and its settings (right)");
    }
}

#[test]
fn no_service_is_given_what_another_needs() {
    let check = |name: &str, others: &[&str]| {
        for variable in service(name).environment().into_keys() {
            assert!(!others.iter().any(|other| variable.starts_with(other)), "{name} is given {variable}");
        }
    };
    check("agent", &["POSTGRES_", "DATABASE_", "READER_"]);
    check("mcp-server", &["LLM_", "AGENT_", "HTTP_HOST", "HTTP_PORT", "HTTP_TLS", "READER_"]);
    check("postgres", &["WS_", "LLM_", "AGENT_", "HTTP_"]);
}

#[test]
fn the_server_is_led_to_the_database_that_the_set_up_makes() {
    let (postgres, server) = (service("postgres").environment(), service("mcp-server").environment());
    for environment in [&postgres, &server] {
        assert_eq!(environment["POSTGRES_DB"].as_deref(), Some(SHOP));
    }
    assert_eq!(server["POSTGRES_USER"].as_deref(), Some(READER));
    assert_eq!(server["POSTGRES_PASSWORD"], postgres["READER_PASSWORD"]);
    assert_ne!(postgres["POSTGRES_PASSWORD"], postgres["READER_PASSWORD"], "the superuser's is another");
    // Either would lead a password over the network in the clear, past the database of the stack.
    assert_eq!(server["DATABASE_URL"].as_deref(), Some(""));
    assert_eq!(server["POSTGRES_HOST"].as_deref(), Some("postgres"));

    let files: Vec<String> = service("postgres").volumes;
    let files = files.iter().filter_map(|volume| volume.strip_prefix("./")?.split(':').next());
    let files: Vec<&str> = files.collect();
    assert_eq!(files, ["fixtures/shop/shop.sql", "fixtures/shop/reader.sql", "deploy/compose/finish.sql"]);
    for file in files {
        assert!(repository_file(file).is_file(), "{file} is not there");
    }
}

#[test]
fn the_agent_shares_no_network_with_the_database() {
    let networks = |name: &str| -> BTreeSet<String> { service(name).networks.into_iter().collect() };
    let (postgres, server, agent) = (networks("postgres"), networks("mcp-server"), networks("agent"));
    // A service that names none is on the default network, with all the others.
    assert!(!postgres.is_empty() && !agent.is_empty());
    assert!(postgres.is_disjoint(&agent), "{postgres:?} and {agent:?}");
    assert!(!server.is_disjoint(&postgres) && !server.is_disjoint(&agent), "{server:?}");
}

#[test]
fn ports_are_published_on_loopback_alone() {
    let check = |name: &str, expected: &str| assert_eq!(service(name).ports, [expected], "{name}");
    check("postgres", "127.0.0.1:${POSTGRES_PORT:-5432}:5432");
    check("mcp-server", "127.0.0.1:${WS_PORT:-9001}:9001");
    check("agent", "127.0.0.1:${HTTP_PORT:-8080}:8080");
    assert_eq!(compose().services.len(), 3, "a service that isn't looked at here");
}

#[test]
fn programs_run_without_rights_and_without_a_shell() {
    for (program, dockerfile) in PROGRAMS {
        let service = service(program);
        assert!(service.read_only, "{program} may write to its image");
        assert_eq!(service.cap_drop, ["ALL"], "{program}");
        assert_eq!(service.security_opt, ["no-new-privileges:true"], "{program}");

        let text = read(&repository_file(dockerfile));
        let last_stage = text.rsplit("\nFROM ").next().unwrap();
        assert!(last_stage.starts_with("scratch\n"), "{dockerfile}: {last_stage}");
        let user = last_stage.lines().find_map(|line| line.strip_prefix("USER ")).unwrap();
        let ids: Vec<u32> = user.split(':').map(|id| id.parse().unwrap()).collect();
        assert!(ids.len() == 2 && !ids.contains(&0), "{dockerfile}: user {user}");
        // Arguments behind the image's name reach the program: `docker run IMAGE settings`.
        assert!(last_stage.contains(&format!("\nENTRYPOINT [\"{program}\"]\n")), "{dockerfile}");
        assert!(!last_stage.contains("\nCMD"), "{dockerfile}");
    }
}

#[test]
fn each_tier_waits_until_the_one_below_is_well() {
    let check = |name: &str, below: &str, probe: &[&str]| {
        let service = service(name);
        let conditions: Vec<_> = service.depends_on.iter().map(|(on, how)| (on.as_str(), &*how.condition)).collect();
        assert_eq!(conditions, [(below, "service_healthy")], "{name}");
        assert_eq!(service.healthcheck.test, probe, "{name}");
    };
    check("mcp-server", "postgres", &["CMD", "mcp-server", "ready"]);
    check("agent", "mcp-server", &["CMD", "agent", "ready"]);
    // The set-up's own server answers on the socket only: over TCP nothing looks well too early.
    assert!(service("postgres").healthcheck.test.contains(&"--host=127.0.0.1".to_owned()));
}

#[test]
fn programs_are_not_killed_while_they_finish() {
    for (program, _) in PROGRAMS {
        let grace: u64 = settings(program)["SHUTDOWN_GRACE_MS"].parse().unwrap();
        let seconds: u64 = service(program).stop_grace_period.strip_suffix('s').unwrap().parse().unwrap();
        assert!(Duration::from_secs(seconds) > Duration::from_millis(grace + 3000), "{program}: {seconds} s");
    }
}

#[test]
fn the_build_sees_every_member_of_the_workspace() {
    let manifest = read(&repository_file("Cargo.toml"));
    let members = manifest.lines().find_map(|line| line.strip_prefix("members = ")).unwrap();
    let members: Vec<String> = serde_json::from_str(members).unwrap();
    let ignored = read(&repository_file(".dockerignore"));
    for member in members.iter().map(String::as_str).chain(["Cargo.toml", "Cargo.lock"]) {
        assert!(ignored.lines().any(|line| line == format!("!{member}")), ".dockerignore leaves {member} out");
    }
}

#[tokio::test]
async fn a_fresh_env_is_all_that_compose_and_the_programs_need() {
    let folder = Checkout::new();
    let said = folder.make_env().unwrap();
    let values = folder.values();

    for (name, service) in compose().services {
        for required in service.environment().into_values().flatten().filter_map(|value| required_by(&value)) {
            assert!(values.get(&required).is_some_and(|value| !value.is_empty()), "{name} lacks {required}");
        }
    }
    let secrets = [&values["WS_API_KEY"], &values["POSTGRES_PASSWORD"], &values["POSTGRES_ADMIN_PASSWORD"]];
    assert!(secrets[0].starts_with("agent:"), "the key has the name of its holder");
    assert_eq!(BTreeSet::from(secrets).len(), 3, "secrets of their own");
    for secret in secrets {
        assert!(secret.trim_start_matches("agent:").len() == 32 && !said.contains(secret), "{said}");
    }
    assert_eq!(values["POSTGRES_DB"], SHOP);
    assert_eq!(values["POSTGRES_USER"], READER);
    assert_ne!(Checkout::with_fresh_env().values()["WS_API_KEY"], *secrets[0], "the same key twice");

    for (program, host, port) in [("mcp-server", "WS_HOST", "WS_PORT"), ("agent", "HTTP_HOST", "HTTP_PORT")] {
        let own = [(host, "127.0.0.1"), (port, "0"), ("LOG_FORMAT", "json")];
        // Nobody is there: what happens to run on this machine is left alone.
        let others = [("POSTGRES_PORT", "1"), ("WS_URL", "ws://127.0.0.1:1/mcp")];
        let own = own.into_iter().chain(others).map(|(name, value)| (name.to_owned(), value.to_owned()));
        let env: Vec<(String, String)> = values.clone().into_iter().chain(own).collect();
        Process::start(program, &env).unwrap().listening().await.unwrap();
    }
}

#[test]
fn nobody_else_can_read_env() {
    let folder = Checkout::with_fresh_env();
    assert_eq!(folder.mode(), 0o600);
    folder.write("WS_API_KEY=\n", 0o644);
    folder.make_env().unwrap();
    assert_eq!(folder.mode(), 0o600);
    fs::set_permissions(folder.env(), fs::Permissions::from_mode(0o644)).unwrap();
    folder.make_env().unwrap();
    assert_eq!(folder.mode(), 0o600, "though nothing was missing");
    assert_eq!(fs::read_dir(folder.root()).unwrap().count(), 3, "scripts, .env.example, .env, and nothing left over");
}

#[test]
fn an_env_that_is_complete_stays_as_it_is() {
    let folder = Checkout::new();
    let text = "# mine\r\n  export WS_API_KEY = 'k' # one\nPOSTGRES_ADMIN_PASSWORD=\"a b\"\nPOSTGRES_PASSWORD=x";
    folder.write(text, 0o600);
    let said = folder.make_env().unwrap();
    assert!(said.ends_with(".env has all that is needed\n"), "{said}");
    assert_eq!(read(&folder.env()), text);
}

#[test]
fn only_what_an_env_lacks_is_filled_in() {
    // The new file less its secrets, and what was said of it.
    let check = |before: &str, after: &str, said: &str| {
        let folder = Checkout::new();
        folder.write(before, 0o600);
        let line = folder.make_env().unwrap();
        assert!(line.ends_with(&format!(".env filled in {said}\n")), "{line}");
        let shown = |line: &str| match line.split_once('=') {
            Some((name, value)) if value.trim_start_matches("agent:").len() == 32 => format!("{name}=…\n"),
            _ => format!("{line}\n"),
        };
        assert_eq!(read(&folder.env()).lines().map(shown).collect::<String>(), after, "from {before:?}");
    };
    check(
        "LOG_LEVEL=debug\nWS_API_KEY=\nPOSTGRES_PASSWORD='it is'\nPOSTGRES_ADMIN_PASSWORD=\"\" # later\n# end",
        "LOG_LEVEL=debug\nWS_API_KEY=…\nPOSTGRES_PASSWORD='it is'\nPOSTGRES_ADMIN_PASSWORD=…\n# end\n",
        "WS_API_KEY POSTGRES_ADMIN_PASSWORD",
    );
    // A password that was made up opens the sample database alone.
    check(
        "WS_API_KEY=k\nPOSTGRES_ADMIN_PASSWORD=a\n#POSTGRES_DB=postgres\nPOSTGRES_USER=me\n",
        "WS_API_KEY=k\nPOSTGRES_ADMIN_PASSWORD=a\n#POSTGRES_DB=postgres\nPOSTGRES_DB=db_pg_mcp_small\nPOSTGRES_USER=me\nPOSTGRES_PASSWORD=…\n",
        "POSTGRES_PASSWORD POSTGRES_DB",
    );
}

#[test]
fn an_env_that_cannot_be_written_is_named() {
    let folder = Checkout::new();
    fs::create_dir(folder.env()).unwrap();
    let error = folder.make_env().unwrap_err();
    assert!(error.contains("/.env is not a file: move it away"), "{error}");

    let folder = Checkout::new();
    let elsewhere = folder.root().join("elsewhere");
    fs::write(&elsewhere, "WS_API_KEY=k\nPOSTGRES_PASSWORD=p\n").unwrap();
    std::os::unix::fs::symlink(&elsewhere, folder.env()).unwrap();
    let error = folder.make_env().unwrap_err();
    assert!(error.contains("is a symbolic link: fill in POSTGRES_ADMIN_PASSWORD there by hand"), "{error}");
    assert_eq!(read(&elsewhere), "WS_API_KEY=k\nPOSTGRES_PASSWORD=p\n");
}

/// The parts of docker-compose.yml that are looked at.
#[derive(Deserialize)]
struct Compose {
    services: BTreeMap<String, Service>,
}

#[derive(Deserialize)]
struct Service {
    environment: Vec<String>,
    networks: Vec<String>,
    ports: Vec<String>,
    healthcheck: HealthCheck,
    stop_grace_period: String,
    #[serde(default)]
    volumes: Vec<String>,
    #[serde(default)]
    depends_on: BTreeMap<String, Dependency>,
    #[serde(default)]
    read_only: bool,
    #[serde(default)]
    cap_drop: Vec<String>,
    #[serde(default)]
    security_opt: Vec<String>,
}

#[derive(Deserialize)]
struct HealthCheck {
    test: Vec<String>,
}

#[derive(Deserialize)]
struct Dependency {
    condition: String,
}

impl Service {
    /// Name and value of each variable; one without a value is passed on where it is set.
    fn environment(&self) -> BTreeMap<String, Option<String>> {
        let entry = |line: &String| match line.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (line.clone(), None),
        };
        self.environment.iter().map(entry).collect()
    }
}

fn compose() -> Compose {
    let text = read(&repository_file("docker-compose.yml"));
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("docker-compose.yml: {error}"))
}

fn service(name: &str) -> Service {
    compose().services.remove(name).unwrap_or_else(|| panic!("docker-compose.yml has no service {name}"))
}

/// The variable that `value` is, where compose stops with the hint without it.
fn required_by(value: &str) -> Option<String> {
    let name = value.strip_prefix("${")?.strip_suffix(HINT)?;
    Some(name.to_owned())
}

/// The settings of a program, from its own table: names and defaults.
fn settings(program: &str) -> BTreeMap<String, String> {
    let output = Command::new(binary(program).expect("it is built")).arg("settings").output().expect("it starts");
    assert!(output.status.success(), "{program} settings: {}", String::from_utf8_lossy(&output.stderr));
    let table = String::from_utf8(output.stdout).expect("the table is text");
    let row = |line: &str| {
        let cells: Vec<&str> = line.split('|').map(|cell| cell.trim().trim_matches('`')).collect();
        line.starts_with("| `").then(|| (cells[1].to_owned(), cells[3].to_owned()))
    };
    table.lines().filter_map(row).collect()
}

fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// What `make env` needs of the repository, in a folder of its own whose path has spaces.
struct Checkout(TempDir);

impl Checkout {
    fn new() -> Self {
        let folder = Self(tempfile::Builder::new().prefix("a check out").tempdir().expect("make a folder"));
        fs::create_dir(folder.root().join("scripts")).expect("make a folder in it");
        for file in ["scripts/env", ".env.example"] {
            fs::copy(repository_file(file), folder.root().join(file)).expect("copy a file of the repository");
        }
        folder
    }

    fn with_fresh_env() -> Self {
        let folder = Self::new();
        folder.make_env().expect("make .env");
        folder
    }

    fn root(&self) -> &Path {
        self.0.path()
    }

    fn env(&self) -> PathBuf {
        self.root().join(".env")
    }

    /// Runs the script from elsewhere, with a umask that hides nothing. What it said.
    fn make_env(&self) -> Result<String, String> {
        let mut shell = Command::new("bash");
        shell.args(["-c", "umask 000; \"$0\""]).arg(self.root().join("scripts/env")).current_dir("/");
        let output = shell.output().expect("bash is there");
        let said = |bytes| String::from_utf8(bytes).expect("it says text");
        if output.status.success() { Ok(said(output.stdout)) } else { Err(said(output.stderr)) }
    }

    fn write(&self, text: &str, mode: u32) {
        fs::write(self.env(), text).expect("write .env");
        fs::set_permissions(self.env(), fs::Permissions::from_mode(mode)).expect("set its mode");
    }

    fn mode(&self) -> u32 {
        fs::metadata(self.env()).expect("there is an .env").permissions().mode() & 0o777
    }

    /// The values as the programs read them.
    fn values(&self) -> BTreeMap<String, String> {
        let lines = dotenvy::from_path_iter(self.env()).expect("read .env");
        lines.collect::<Result<_, _>>().expect(".env has NAME=value lines")
    }
}
