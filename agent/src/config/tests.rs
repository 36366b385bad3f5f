//! Defaults stand, and every mistake is named. That each setting does something is seen in tests/it/every_setting.rs.

use daemon::settings::differences_from_example;

use super::*;

const KEY: &str = "web:0123456789abcdefghijkl";

/// The settings from these flags and nothing else.
fn read(flags: &[&str]) -> Result<Config, String> {
    let source =
        Source::from_parts(command(), VARIABLES, ["agent"].iter().chain(flags), |_| None).expect("flags are known");
    Config::from_source(source).map_err(|error| error.to_string())
}

/// The same with the key that is always needed.
fn config(flags: &[&str]) -> Config {
    read(&[&["--ws-api-key", KEY], flags].concat()).expect("settings are right")
}

#[test]
fn defaults_stand_where_nothing_is_set() {
    let config = config(&[]);
    assert_eq!(config.http.address.to_string(), "0.0.0.0:8080");
    assert_eq!(config.link.url, "ws://localhost:9001/mcp");
    assert_eq!(config.link.key.expose_secret(), "0123456789abcdefghijkl");
    assert_eq!(config.pipeline.max_attempts, 3);
    assert_eq!(config.http.max_body_bytes, 1_048_576);
    assert!(matches!(config.translator, TranslatorConfig::Offline));
}

#[test]
fn the_first_entry_of_the_key_list_is_used() {
    let first = "x".repeat(22);
    let config = read(&["--ws-api-key", &format!("one:{first},{KEY}")]).unwrap();
    assert_eq!(config.link.key.expose_secret(), first);
}

#[test]
fn an_empty_value_counts_as_unset() {
    let config = config(&["--llm-api-key", "", "--translator", " ", "--http-port", ""]);
    assert!(matches!(config.translator, TranslatorConfig::Offline));
    assert_eq!(config.http.address.port(), 8080);
}

#[test]
fn auto_is_the_model_where_there_is_one() {
    let llm = |arguments: &[&str]| match config(arguments).translator {
        TranslatorConfig::Llm(llm) => llm,
        TranslatorConfig::Offline => panic!("{arguments:?} gave the offline translator"),
    };
    let with_key = llm(&["--llm-api-key", "sk-1"]);
    assert_eq!(with_key.base_url, "https://api.openai.com/v1");
    let without_key = llm(&["--llm-base-url", "http://localhost:11434/v1/"]);
    assert!(without_key.key.is_none());
    assert_eq!(without_key.base_url, "http://localhost:11434/v1");
}

#[test]
fn every_problem_is_named_at_once_and_no_secret_is() {
    let text = read(&[
        "--http-port",
        "99999",
        "--http-host",
        "nowhere",
        "--translator",
        "magic",
        "--max-attempts",
        "0",
        "--agent-api-key",
        "a:tooshort",
        "--ws-url",
        "ws://user:hunter2@host",
        "--cors-allow-origins",
        "https://example.org/a",
        "--log-level",
        "loud",
        "--ws-api-key",
        KEY,
    ])
    .expect_err("nothing of it is right");
    assert!(text.starts_with("8 settings are wrong:"), "{text}");
    for part in
        ["HTTP_PORT is \"99999\"", "0 to 65535", "HTTP_HOST", "auto, llm or offline", "MAX_ATTEMPTS", "AGENT_API_KEY"]
    {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
    assert!(!text.contains("tooshort") && !text.contains("hunter2"), "{text}");
}

#[test]
fn a_missing_key_or_model_is_said() {
    let problems = read(&["--translator", "llm"]).unwrap_err();
    assert!(problems.contains("WS_API_KEY is missing"), "{problems}");
    assert!(problems.contains("LLM_API_KEY, LLM_BASE_URL"), "{problems}");
}

#[test]
fn callers_who_must_be_told_apart_have_names() {
    let required = ["--ws-api-key", KEY, "--require-subject", "true"];
    let problems = read(&required).unwrap_err();
    assert!(problems.contains("REQUIRE_SUBJECT") && problems.contains("AGENT_API_KEY"), "{problems}");
    let named = read(&[&required[..], &["--agent-api-key", "alice:0123456789abcdefghijkl"]].concat()).unwrap();
    assert!(named.link.require_subject);
}

#[test]
fn a_caller_has_a_name_that_the_server_takes() {
    let read = |length: usize| {
        let keys = format!("{}:0123456789abcdefghijkl", "x".repeat(length));
        read(&["--ws-api-key", KEY, "--agent-api-key", &keys])
    };
    assert!(read(128).is_ok());
    let problem = read(129).unwrap_err();
    assert!(problem.contains("AGENT_API_KEY") && problem.contains("1 to 128"), "{problem}");
}

#[test]
fn secrets_do_not_print() {
    let printed =
        format!("{:?}", config(&["--llm-api-key", "sk-secret", "--agent-api-key", "a:0123456789abcdefghijkl"]));
    assert!(!printed.contains("sk-secret") && !printed.contains("0123456789"), "{printed}");
}

#[test]
fn every_variable_stands_in_the_example_with_its_default() {
    let differences = differences_from_example(VARIABLES, include_str!("../../../.env.example"));
    assert!(differences.is_empty(), "{differences:?}");
}
