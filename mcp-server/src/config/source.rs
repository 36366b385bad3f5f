//! Where values come from (flags, then environment, then `.env`), and every problem with them at once.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use secrecy::SecretString;

use super::variables::{VARIABLES, Variable, variable};

/// The values that were given, and what is wrong with them so far.
#[derive(Debug)]
pub struct Source {
    given: HashMap<&'static str, String>,
    problems: Vec<String>,
}

/// Everything that is wrong with the configuration, one line each.
#[derive(Debug, thiserror::Error)]
pub struct ConfigError(Vec<String>);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the configuration has {} problem(s):", self.0.len())?;
        self.0.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

impl Source {
    /// The command line's flags for all variables.
    pub fn flags() -> impl Iterator<Item = clap::Arg> {
        VARIABLES.iter().map(|v| {
            let default = if v.default.is_empty() { String::new() } else { format!(" [default: {}]", v.default) };
            clap::Arg::new(v.name)
                .long(v.name.to_lowercase().replace('_', "-"))
                .value_name("VALUE")
                .help(format!("{} ({}){default} [env: {}]", v.help, v.accepts, v.name))
        })
    }

    /// The values in `matches`, then in `environment`; an empty value counts as none.
    pub fn new(matches: &clap::ArgMatches, environment: impl Fn(&str) -> Option<String>) -> Self {
        let given = VARIABLES
            .iter()
            .filter_map(|v| {
                let flag = matches.get_one::<String>(v.name).cloned();
                flag.or_else(|| environment(v.name)).filter(|value| !value.is_empty()).map(|value| (v.name, value))
            })
            .collect();
        Self { given, problems: Vec::new() }
    }

    /// The text given for `name`, or its default; `None` where there is neither.
    pub fn text(&self, name: &str) -> Option<String> {
        let default = variable(name).default;
        self.given.get(name).cloned().or_else(|| (!default.is_empty()).then(|| default.to_owned()))
    }

    /// As [`Source::text`], kept from being shown.
    pub fn secret(&self, name: &str) -> Option<SecretString> {
        self.text(name).map(SecretString::from)
    }

    /// The value of `name`, where `valid` holds of it. A bad one is noted, and the default stands in until the end.
    pub fn value<T: FromStr>(&mut self, name: &str, valid: impl Fn(&T) -> bool) -> Option<T> {
        let text = self.text(name)?;
        if let Some(value) = text.trim().parse().ok().filter(|value| valid(value)) {
            return Some(value);
        }
        self.reject(name);
        variable(name).default.parse().ok()
    }

    /// A number within `bounds`; the table has a default for every one.
    pub fn number<T: FromStr + PartialOrd + Copy>(&mut self, name: &str, bounds: std::ops::RangeInclusive<T>) -> T {
        self.value(name, |value| bounds.contains(value)).expect("every number has a default within its bounds")
    }

    /// A yes or a no.
    pub fn flag(&mut self, name: &str) -> bool {
        match self.text(name).unwrap_or_default().trim().to_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => true,
            "false" | "0" | "no" | "off" | "" => false,
            _ => {
                self.reject(name);
                false
            }
        }
    }

    /// The parts of a comma list, trimmed, empty ones left out.
    pub fn list(&self, name: &str) -> Vec<String> {
        let text = self.text(name).unwrap_or_default();
        text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
    }

    /// Notes that the value given for `name` is not accepted.
    pub fn reject(&mut self, name: &str) {
        let Variable { accepts, secret, .. } = variable(name);
        let shown = match self.text(name) {
            Some(_) if *secret => "(not shown)".to_owned(),
            Some(value) => format!("{value:?}"),
            None => "missing".to_owned(),
        };
        self.problem(format!("{name} is {shown}: accepted is {accepts}"));
    }

    /// Notes a problem in words.
    pub fn problem(&mut self, problem: impl Into<String>) {
        self.problems.push(problem.into());
    }

    /// All problems that were noted, or nothing.
    pub fn finish(self) -> Result<(), ConfigError> {
        if self.problems.is_empty() { Ok(()) } else { Err(ConfigError(self.problems)) }
    }
}
