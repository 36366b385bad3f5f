use daemon::settings::differences_from_example;
use sqlx::postgres::PgSslMode;

use super::*;

const KEY: &str = "a-key-of-22-characters";

/// The configuration from these variables and these flags.
fn read(variables: &[(&str, &str)], flags: &[&str]) -> Result<Config, String> {
    let environment =
        |name: &str| variables.iter().find(|(given, _)| *given == name).map(|(_, value)| (*value).to_owned());
    let source = Source::from_parts(command(), VARIABLES, ["mcp-server"].iter().chain(flags), environment).unwrap();
    Config::from_source(source).map_err(|error| error.to_string())
}

fn config(variables: &[(&str, &str)]) -> Result<Config, String> {
    read(variables, &[])
}

/// The same with the two required variables set.
fn usable(variables: &[(&str, &str)]) -> Result<Config, String> {
    config(&[variables, &[("POSTGRES_USER", "reader"), ("WS_API_KEY", KEY)]].concat())
}

#[test]
fn two_variables_are_enough() {
    let config = usable(&[]).unwrap();
    assert_eq!(
        (config.databases.default.name.as_str(), config.databases.default.port, config.listener.address.port()),
        ("postgres", 5432, 9001)
    );
    assert_eq!(config.limits.max_page_bytes, 768 * 1024);
    assert_eq!(config.listener.allowed_hosts, None);
}

#[test]
fn every_default_is_within_its_own_bounds() {
    for variable in VARIABLES {
        if !variable.default.is_empty() {
            usable(&[(variable.name, variable.default)]).unwrap();
        }
    }
}

#[test]
fn flags_come_before_the_environment() {
    let flags = ["--ws-port", "1", "--postgres-user", "flag", "--ws-api-key", KEY];
    let config = read(&[("WS_PORT", "2"), ("POSTGRES_USER", "2")], &flags).unwrap();
    assert_eq!((config.listener.address.port(), config.databases.default.user.as_str()), (1, "flag"));
}

#[test]
fn a_url_overrides_the_parts() {
    let url = "postgres://me:p%40ss@db.example:6432/shop?sslmode=require";
    let config = usable(&[("DATABASE_URL", url), ("POSTGRES_HOST", "ignored")]).unwrap();
    let database = config.databases.default;
    assert_eq!((database.host.as_str(), database.port, database.name.as_str()), ("db.example", 6432, "shop"));
    assert!(matches!(database.tls, PgSslMode::Require));
    assert!(database.is_exposed());
}

#[test]
fn a_url_whose_password_is_not_escaped_is_refused() {
    for url in ["postgres://me:p@hush/hush:1@localhost:5432/shop", "postgres://me:p/hush@localhost/shop"] {
        let said = usable(&[("DATABASE_URL", url)]).unwrap_err();
        assert!(said.contains("DATABASE_URL is (not shown)") && said.contains("%2F"), "{url}: {said}");
        assert!(!said.contains("hush"), "{said}");
    }
}

#[test]
fn tls_is_strict_off_loopback_unless_told_otherwise() {
    let check = |host: &str, mode: &str, exposed: bool| {
        let config = usable(&[("POSTGRES_HOST", host), ("POSTGRES_SSLMODE", mode)]).unwrap();
        assert_eq!(config.databases.default.is_exposed(), exposed, "{host} {mode}");
    };
    check("localhost", "", false);
    check("::1", "disable", false);
    check("db.example", "", false);
    check("db.example", "prefer", true);
}

#[test]
fn all_problems_come_at_once_and_secrets_stay_secret() {
    let url = "mysql://me:hidden-word@db/shop";
    let said =
        config(&[("DATABASE_URL", url), ("WS_PORT", "70000"), ("LOG_LEVEL", "loud"), ("METRICS_PUBLIC", "maybe")])
            .unwrap_err();
    for problem in [
        "DATABASE_URL is (not shown)",
        "WS_PORT is \"70000\": accepted is 0 to 65535",
        "LOG_LEVEL",
        "METRICS_PUBLIC",
        "WS_API_KEY is missing",
    ] {
        assert!(said.contains(problem), "{problem} in {said}");
    }
    assert!(!said.contains("hidden-word"), "{said}");
}

#[test]
fn every_variable_stands_in_the_example_with_its_default() {
    let differences = differences_from_example(VARIABLES, include_str!("../../../.env.example"));
    assert!(differences.is_empty(), "{differences:?}");
}

#[test]
fn a_list_of_databases_never_shows_a_password() {
    for list in [
        "postgres://bob:hunter2pw@db.example/lab",
        "postgres://bob:hunter2pw@db.example/lab?sslmode=disable",
        "far=nonsense:hunter2pw",
    ] {
        let said = usable(&[("POSTGRES_DATABASES", list)]).unwrap_err();
        assert!(said.contains("POSTGRES_DATABASES") && !said.contains("hunter2pw"), "{said}");
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("databases.toml");
    for text in ["databases.other = \"postgres://bob:hunter2pw@x/y\"", "[databases.other]\nport = \"hunter2pw\""] {
        std::fs::write(&file, text).unwrap();
        let said = usable(&[("DATABASES_FILE", file.to_str().unwrap())]).unwrap_err();
        assert!(said.contains("DATABASES_FILE") && !said.contains("hunter2pw"), "{said}");
    }
}

#[test]
fn listed_databases_take_from_the_default_one_what_they_leave_out() {
    let config =
        usable(&[("POSTGRES_DATABASES", "shop, far=postgres://db.example:6432/other, mine=postgres:///own")]).unwrap();
    let places: Vec<_> = config
        .databases
        .configured()
        .map(|one| (one.name.as_str(), one.host.as_str(), one.port, one.database.as_str(), one.user.as_str()))
        .collect();
    let expected = [
        ("shop", "localhost", 5432, "shop", "reader"),
        ("far", "db.example", 6432, "other", "reader"),
        ("mine", "localhost", 5432, "own", "reader"),
    ];
    assert_eq!(places, expected);
    assert!(!config.databases.discover);
}
