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

    /// Name of its flag, without the dashes before it.
    fn flag_name(&self) -> String {
        self.name.to_lowercase().replace('_', "-")
    }

    /// Its flag on the command line.
    pub(super) fn flag(&self) -> clap::Arg {
        let default = if self.default.is_empty() { String::new() } else { format!(" [default: {}]", self.default) };
        clap::Arg::new(self.name)
            .long(self.flag_name())
            .global(true)
            .value_name("VALUE")
            .help(format!("{} ({}){default} [env: {}]", self.help, self.accepts, self.name))
    }
}

/// A table of the variables for people, in Markdown: each with its flag, default, what is accepted, and its meaning.
pub fn reference(variables: &[Variable]) -> String {
    // A bar would end the cell.
    let cell = |text: &str| text.replace('|', "\\|");
    let row = |variable: &Variable| {
        let default = match (variable.default, variable.is_secret) {
            ("", true) => "– (secret)".to_owned(),
            ("", false) => "–".to_owned(),
            (default, _) => format!("`{default}`"),
        };
        let Variable { name, accepts, help, .. } = variable;
        format!("| `{name}` | `--{}` | {default} | {} | {} |\n", variable.flag_name(), cell(accepts), cell(help))
    };
    let head = "| variable | flag | default | accepted | meaning |\n| --- | --- | --- | --- | --- |\n".to_owned();
    variables.iter().map(row).fold(head, |table, row| table + &row)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_has_a_row_for_each_variable() {
        let variables = [
            Variable::plain("WS_PORT", "9001", "0 to 65535", "Port"),
            Variable::plain("LOG_FORMAT", "", "text|json", "Form"),
            Variable::secret("KEY", "a key", "Key"),
        ];
        let expected = [
            "| variable | flag | default | accepted | meaning |",
            "| --- | --- | --- | --- | --- |",
            "| `WS_PORT` | `--ws-port` | `9001` | 0 to 65535 | Port |",
            "| `LOG_FORMAT` | `--log-format` | – | text\\|json | Form |",
            "| `KEY` | `--key` | – (secret) | a key | Key |\n",
        ];
        assert_eq!(reference(&variables), expected.join("\n"));
    }
}
