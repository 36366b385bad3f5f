//! Where values come from (flags, then environment, then `.env`), and every problem with them at once.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use secrecy::SecretString;

use super::Variable;

/// The values that were given, and what is wrong with them so far.
#[derive(Debug)]
pub struct Source {
    variables: &'static [Variable],
    given: HashMap<&'static str, String>,
    subcommand: Option<(String, clap::ArgMatches)>,
    problems: Vec<String>,
}

/// Everything that is wrong with the settings, one line each.
#[derive(Debug, thiserror::Error)]
pub struct SettingsError(Vec<String>);

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => write!(f, "one setting is wrong:")?,
            many => write!(f, "{many} settings are wrong:")?,
        }
        self.0.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

impl Source {
    /// The values of this process: its command line, its environment, and `.env` in the working directory.
    ///
    /// A command line that can't be read, `--help` and `--version` end the process with clap's own message.
    pub fn load(command: clap::Command, variables: &'static [Variable]) -> Self {
        let dotenv = dotenvy::dotenv();
        let matches = with_flags(command, variables).get_matches();
        let mut source = Self::new(variables, &matches, |name| std::env::var(name).ok());
        if let Err(error) = dotenv
            && !error.not_found()
        {
            source.problem(format!(".env can't be read: {}", dotenv_problem(&error)));
        }
        source
    }

    /// The values of these arguments (the first is the program's name) and of this environment alone.
    ///
    /// # Errors
    /// clap's, where a flag is unknown or lacks its value.
    pub fn from_parts<A: Into<OsString> + Clone>(
        command: clap::Command,
        variables: &'static [Variable],
        arguments: impl IntoIterator<Item = A>,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, clap::Error> {
        let matches = with_flags(command, variables).try_get_matches_from(arguments)?;
        Ok(Self::new(variables, &matches, environment))
    }

    /// An empty value counts as none.
    fn new(
        variables: &'static [Variable],
        matches: &clap::ArgMatches,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Self {
        let subcommand = matches.subcommand().map(|(name, matches)| (name.to_owned(), matches.clone()));
        // A flag before the subcommand goes down to it; one behind it stands only there.
        let matches = matches.subcommand().map_or(matches, |(_, matches)| matches);
        let value = |variable: &Variable| {
            let flag = matches.get_one::<String>(variable.name).cloned();
            let text = flag.filter(|text| !text.trim().is_empty()).or_else(|| environment(variable.name))?;
            (!text.trim().is_empty()).then_some(text)
        };
        let given = variables.iter().filter_map(|variable| Some((variable.name, value(variable)?))).collect();
        Self { variables, given, subcommand, problems: Vec::new() }
    }

    /// The subcommand of the command line, in one word; `None` where there is none.
    pub fn subcommand(&self) -> Option<&str> {
        self.subcommand.as_ref().map(|(name, _)| name.as_str())
    }

    /// What stands behind the subcommand.
    pub(crate) fn arguments(&self) -> Option<&clap::ArgMatches> {
        self.subcommand.as_ref().map(|(_, arguments)| arguments)
    }

    /// The text given for `name`, without spaces around it, or its default; `None` where there is neither.
    ///
    /// # Panics
    /// Where the table has no such variable.
    pub fn text(&self, name: &str) -> Option<String> {
        let default = self.variable(name).default;
        self.given
            .get(name)
            .map(|text| text.trim().to_owned())
            .or_else(|| (!default.is_empty()).then(|| default.to_owned()))
    }

    /// Whether a value was given, rather than left to its default.
    pub fn is_given(&self, name: &str) -> bool {
        self.given.contains_key(name)
    }

    /// As [`Source::text`], kept from being shown.
    pub fn secret(&self, name: &str) -> Option<SecretString> {
        self.text(name).map(SecretString::from)
    }

    /// The text given for `name` to the last space, kept from being shown: a password may begin or end with one.
    pub fn password(&self, name: &str) -> Option<SecretString> {
        self.given.get(name).cloned().map(SecretString::from)
    }

    /// The value of `name`, where `is_valid` holds of it. A bad one is noted, and the default stands in until the end.
    pub fn value<T: FromStr>(&mut self, name: &str, is_valid: impl Fn(&T) -> bool) -> Option<T> {
        let text = self.text(name)?;
        if let Some(value) = text.parse().ok().filter(|value| is_valid(value)) {
            return Some(value);
        }
        self.reject(name);
        self.variable(name).default.parse().ok()
    }

    /// A number within `bounds`.
    ///
    /// # Panics
    /// Where the table has no default for it: every number has one.
    pub fn number<T: FromStr + PartialOrd + Copy>(&mut self, name: &str, bounds: RangeInclusive<T>) -> T {
        self.value(name, |value| bounds.contains(value)).expect("every number has a default within its bounds")
    }

    /// A number of milliseconds within `bounds`.
    pub fn milliseconds(&mut self, name: &str, bounds: RangeInclusive<u64>) -> Duration {
        Duration::from_millis(self.number(name, bounds))
    }

    /// A yes or a no.
    pub fn flag(&mut self, name: &str) -> bool {
        let choices = [
            ("true", true),
            ("1", true),
            ("yes", true),
            ("on", true),
            ("false", false),
            ("0", false),
            ("no", false),
            ("off", false),
        ];
        self.choice(name, &choices).unwrap_or(false)
    }

    /// One of `choices`, in any case; `None` where there is no value, or where it is none of them and that is noted.
    pub fn choice<T: Copy>(&mut self, name: &str, choices: &[(&str, T)]) -> Option<T> {
        let text = self.text(name)?;
        let found = choices.iter().find(|(choice, _)| choice.eq_ignore_ascii_case(&text)).map(|(_, value)| *value);
        if found.is_none() {
            self.reject(name);
        }
        found
    }

    /// The parts of a comma list, trimmed, empty ones left out.
    pub fn list(&self, name: &str) -> Vec<String> {
        let text = self.text(name).unwrap_or_default();
        text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
    }

    /// Notes that the value given for `name` is not accepted, or missing.
    pub fn reject(&mut self, name: &str) {
        let Variable { accepts, is_secret, .. } = self.variable(name);
        let shown = match self.text(name) {
            Some(_) if *is_secret => "(not shown)".to_owned(),
            Some(value) => format!("{value:?}"),
            None => "missing".to_owned(),
        };
        self.problem(format!("{name} is {shown}: accepted is {accepts}"));
    }

    /// Notes a problem in words.
    pub fn problem(&mut self, problem: impl Into<String>) {
        self.problems.push(problem.into());
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// All problems that were noted.
    pub fn finish(self) -> Result<(), SettingsError> {
        if self.problems.is_empty() { Ok(()) } else { Err(SettingsError(self.problems)) }
    }

    fn variable(&self, name: &str) -> &'static Variable {
        self.variables
            .iter()
            .find(|variable| variable.name == name)
            .expect("every variable that is read stands in the table")
    }
}

fn with_flags(command: clap::Command, variables: &[Variable]) -> clap::Command {
    command
        .after_help("Flags come first, then the environment, then .env in the working directory.")
        .args(variables.iter().map(Variable::flag))
}

/// What is wrong with the file, without the line itself: it may hold a secret.
fn dotenv_problem(error: &dotenvy::Error) -> String {
    match error {
        dotenvy::Error::LineParse(_, at) => {
            format!("a line is not of the form NAME=value (character {at} of that line); quote values with spaces")
        }
        dotenvy::Error::Io(error) => error.to_string(),
        _ => "it is not a list of NAME=value lines".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VARIABLES: &[Variable] = &[
        Variable::plain("PORT", "8080", "0 to 65535", "Port"),
        Variable::plain("OPEN", "false", "true or false", "Open"),
        Variable::plain("NAMES", "", "comma list", "Names"),
        Variable::secret("KEY", "a key", "Key"),
    ];

    fn source(arguments: &[&str], environment: &[(&str, &str)]) -> Source {
        let arguments = ["program"].iter().chain(arguments);
        let given =
            |name: &str| environment.iter().find(|(given, _)| *given == name).map(|(_, value)| (*value).to_owned());
        let command = clap::Command::new("program").subcommand(clap::Command::new("look"));
        Source::from_parts(command, VARIABLES, arguments, given).unwrap()
    }

    #[test]
    fn flags_come_before_the_environment_and_that_before_defaults() {
        assert_eq!(source(&[], &[]).number("PORT", 0..=u16::MAX), 8080);
        assert_eq!(source(&[], &[("PORT", "1")]).number("PORT", 0..=u16::MAX), 1);
        assert_eq!(source(&["--port", "2"], &[("PORT", "1")]).number("PORT", 0..=u16::MAX), 2);
    }

    #[test]
    fn flags_stand_before_or_behind_a_subcommand() {
        for arguments in [["--port", "2", "look"], ["look", "--port", "2"]] {
            let mut source = source(&arguments, &[("PORT", "1")]);
            assert_eq!(source.number("PORT", 0..=u16::MAX), 2, "{arguments:?}");
            assert_eq!(source.subcommand(), Some("look"));
        }
        assert_eq!(source(&[], &[]).subcommand(), None);
    }

    #[test]
    fn an_empty_value_counts_as_none() {
        let mut source = source(&["--port", " "], &[("PORT", ""), ("KEY", " ")]);
        assert_eq!(source.number("PORT", 0..=u16::MAX), 8080);
        assert!(source.secret("KEY").is_none() && !source.is_given("PORT"));
    }

    #[test]
    fn spaces_around_a_value_count_in_passwords_alone() {
        use secrecy::ExposeSecret;
        let mut source = source(&["--key", " p "], &[("PORT", " 1 ")]);
        assert_eq!(source.number("PORT", 0..=u16::MAX), 1);
        assert_eq!(source.text("KEY").as_deref(), Some("p"));
        assert_eq!(source.password("KEY").unwrap().expose_secret(), " p ");
    }

    #[test]
    fn lists_are_trimmed() {
        assert_eq!(source(&["--names", " a, ,b,"], &[]).list("NAMES"), ["a", "b"]);
    }

    #[test]
    fn all_problems_come_at_once_and_secrets_stay_secret() {
        let mut source = source(&["--port", "99999", "--open", "maybe", "--key", "hush"], &[]);
        source.number("PORT", 0..=u16::MAX);
        source.flag("OPEN");
        source.reject("KEY");
        source.reject("NAMES");
        let said = source.finish().unwrap_err().to_string();
        let expected = "4 settings are wrong:\n  PORT is \"99999\": accepted is 0 to 65535\n  OPEN is \"maybe\": accepted is true or false\n  \
                        KEY is (not shown): accepted is a key\n  NAMES is missing: accepted is comma list";
        assert_eq!(said, expected);
    }
}
