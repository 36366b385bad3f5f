//! What the environment says about the demo, and what of it the programs are given.

use std::env;
use std::net::TcpListener;

use anyhow::{Context, Result, bail};
use harness::random_secret;
use shared_protocol::endpoint::{DEFAULT_HTTP_PORT, DEFAULT_WS_PORT};

/// What the environment says; everything else of it goes on to the programs as it is.
pub(crate) struct Settings {
    pub(crate) ws_port: Port,
    pub(crate) http_port: Port,
    pub(crate) api_key: String,
    pub(crate) key_is_generated: bool,
    /// What is said about the translator.
    pub(crate) translator: String,
    pub(crate) asks_a_model: bool,
}

impl Settings {
    pub(crate) fn from_env() -> Result<Self> {
        let given = |name: &str| env::var(name).ok().filter(|value| !value.trim().is_empty());
        let key = given("WS_API_KEY");
        let base_url = given("LLM_BASE_URL");
        let (asks_a_model, translator) = match given("TRANSLATOR").as_deref() {
            None | Some("auto") if given("LLM_API_KEY").is_none() && base_url.is_none() => {
                (false, "offline (set LLM_API_KEY or LLM_BASE_URL to use a language model)".to_owned())
            }
            Some("offline") => (false, "offline, as TRANSLATOR says".to_owned()),
            _ => (true, format!("language model at {}", base_url.as_deref().unwrap_or("OpenAI"))),
        };
        Ok(Self {
            ws_port: Port::reserve("WS_PORT", DEFAULT_WS_PORT)?,
            http_port: Port::reserve("HTTP_PORT", DEFAULT_HTTP_PORT)?,
            key_is_generated: key.is_none(),
            api_key: key.unwrap_or_else(random_secret),
            translator,
            asks_a_model,
        })
    }
}

/// A port that is kept from others until a program of ours takes it, so that of two demos the later one hears at once.
pub(crate) struct Port {
    number: u16,
    reserved: Option<TcpListener>,
}

impl Port {
    /// The port that a variable names, if it is free.
    fn reserve(variable: &str, default: u16) -> Result<Self> {
        let number = match env::var(variable).ok().filter(|value| !value.is_empty()) {
            None => default,
            Some(value) => {
                value.parse().with_context(|| format!("{variable} is {value:?}, not a port from 0 to 65535"))?
            }
        };
        match TcpListener::bind(("127.0.0.1", number)) {
            Ok(listener) => Ok(Self { number, reserved: Some(listener) }),
            Err(error) => bail!("port {number} can't be had ({error}): name another with make demo {variable}=…"),
        }
    }

    /// Lets it go, for the program that starts now.
    pub(crate) fn release(&mut self) -> String {
        self.reserved = None;
        self.number.to_string()
    }
}

/// The environment of a program: this one's, less what is meant for somebody's own set-up, and what the demo decides.
pub(crate) fn environment(decided: &[(&str, String)]) -> Vec<(String, String)> {
    let inherited = env::vars().filter(|(name, _)| !is_for_another_setup(name));
    let own = decided.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
    inherited.chain([("LOG_FORMAT".to_owned(), "json".to_owned())]).chain(own).collect()
}

/// What would lead a program to another database, keep the demo's own questions out, or hide where a program listens.
fn is_for_another_setup(variable: &str) -> bool {
    let alone = ["DATABASE_URL", "AGENT_API_KEY", "HTTP_ALLOWED_HOSTS", "WS_ALLOWED_HOSTS", "LOG_LEVEL"];
    variable.starts_with("POSTGRES_") || variable.starts_with("PG") || alone.contains(&variable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_names_the_variable() {
        let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let error = Port::reserve("NO_SUCH_PORT", taken.local_addr().unwrap().port()).err().unwrap().to_string();
        assert!(error.contains("make demo NO_SUCH_PORT=…"), "{error}");
    }

    #[test]
    fn a_port_is_kept_until_it_is_released() {
        let free = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let mut first = Port::reserve("NO_SUCH_PORT", free).unwrap();
        assert!(Port::reserve("NO_SUCH_PORT", free).is_err(), "two had port {free}");
        assert_eq!(first.release(), free.to_string());
        Port::reserve("NO_SUCH_PORT", free).unwrap();
    }

    #[test]
    fn what_is_meant_for_another_setup_stays_out() {
        for name in ["POSTGRES_HOST", "PGSSLMODE", "DATABASE_URL", "AGENT_API_KEY", "WS_ALLOWED_HOSTS", "LOG_LEVEL"] {
            assert!(is_for_another_setup(name), "{name}");
        }
        for name in ["LLM_API_KEY", "TRANSLATOR", "MAX_ROWS", "HTTPS_PROXY", "PATH"] {
            assert!(!is_for_another_setup(name), "{name}");
        }
    }
}
