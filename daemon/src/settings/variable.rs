//! One variable of a program: flags, help and docs come from a table of these.

/// One setting, read from the flag `--name-in-kebab-case`, the environment or `.env`, in that order.
#[derive(Debug, Clone, Copy)]
pub struct Variable {
    /// Name in the environment.
    pub name: &'static str,
    /// Value where none is given; empty where there is none.
    pub default: &'static str,
    /// What is accepted, in words.
    pub accepts: &'static str,
    /// One line of meaning.
    pub help: &'static str,
    /// Whether its value is never shown.
    pub is_secret: bool,
}

impl Variable {
    /// A variable whose value may be shown.
    pub const fn plain(name: &'static str, default: &'static str, accepts: &'static str, help: &'static str) -> Self {
        Self { name, default, accepts, help, is_secret: false }
    }

    /// A variable without a default, whose value is never shown.
    pub const fn secret(name: &'static str, accepts: &'static str, help: &'static str) -> Self {
        Self { name, default: "", accepts, help, is_secret: true }
    }

    /// Its flag on the command line.
    pub(super) fn flag(&self) -> clap::Arg {
        let default = if self.default.is_empty() { String::new() } else { format!(" [default: {}]", self.default) };
        clap::Arg::new(self.name)
            .long(self.name.to_lowercase().replace('_', "-"))
            .value_name("VALUE")
            .help(format!("{} ({}){default} [env: {}]", self.help, self.accepts, self.name))
    }
}

/// What `example`, a file of `NAME=default` lines that may be commented out, says differently from the table: nothing, one
/// hopes.
pub fn differences_from_example(variables: &[Variable], example: &str) -> Vec<String> {
    let given = |name: &str| {
        let lines = example.lines().map(|line| line.trim_start_matches('#'));
        lines.filter_map(|line| line.strip_prefix(name)?.strip_prefix('=')).next()
    };
    let difference = |variable: &Variable| match given(variable.name) {
        None => Some(format!("{} is missing", variable.name)),
        Some(shown) if !variable.default.is_empty() && shown != variable.default => {
            Some(format!("{} is {shown:?}; its default is {:?}", variable.name, variable.default))
        }
        Some(_) => None,
    };
    variables.iter().filter_map(difference).collect()
}
