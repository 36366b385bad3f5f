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
