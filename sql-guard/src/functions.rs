//! PostgreSQL's built-in functions and which of them a statement may call, by name and number of arguments.

use std::collections::{BTreeSet, HashMap};
use std::sync::LazyLock;

use shared_protocol::error::ErrorCode;
use shared_protocol::names::{closest, did_you_mean};

use crate::catalog::{Function, Volatility};
use crate::rejection::Rejection;

/// Made by `tools/functions.py`: name, numbers of arguments, decision and class.
static TABLE: LazyLock<HashMap<&'static str, Vec<Overloads>>> = LazyLock::new(|| {
    let mut table: HashMap<_, Vec<_>> = HashMap::new();
    for line in include_str!("functions.tsv").lines().skip(1) {
        let (name, overloads) = Overloads::from_line(line).expect("the built-in table is well formed");
        table.entry(name).or_default().push(overloads);
    }
    table
});

/// The class of functions that tell an argument's type as a regtype. They may stand where nothing is turned into a regtype for it.
const NAMES_TYPE: &str = "names-type";

/// The class of functions that run a text as SQL.
const SQL_EXECUTOR: &str = "sql-executor";

/// The class of functions that convert a type to and from text and bytes.
const TYPE_IO: &str = "type-io";

/// The overloads of one name that share a decision and a class.
#[derive(Debug)]
struct Overloads {
    /// Least and most arguments; no most where the last argument is variadic.
    arguments: Vec<(usize, Option<usize>)>,
    decision: Decision,
    class: &'static str,
}

/// What the table says of a function, from the mildest on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Decision {
    Allow,
    /// Speaks of objects that may be hidden; a policy may allow it one day.
    Metadata,
    Deny,
}

/// What the table says of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Every overload that could be meant is allowed.
    Allowed,
    /// One that could be meant isn't; the class says why.
    Denied(&'static str),
    /// One that could be meant speaks of the catalog, as the class says; none is denied.
    Metadata(&'static str),
    /// The name is known, but not with so many arguments.
    OtherArguments,
    /// No built-in has this name.
    Unknown,
}

/// Judges a call of `name` with so many arguments. A call with a VARIADIC array is judged by every overload of the name.
pub(crate) fn verdict(name: &str, arguments: usize, variadic: bool) -> Verdict {
    let Some(overloads) = TABLE.get(name) else { return Verdict::Unknown };
    let takes = |overload: &&Overloads| {
        variadic
            || overload.arguments.iter().any(|(least, most)| (*least..=most.unwrap_or(usize::MAX)).contains(&arguments))
    };
    let meant: Vec<_> = overloads.iter().filter(takes).collect();
    if let Some(denied) = meant.iter().find(|overload| overload.decision == Decision::Deny) {
        return Verdict::Denied(denied.class);
    }
    if let Some(metadata) = meant.iter().find(|overload| overload.decision == Decision::Metadata) {
        return Verdict::Metadata(metadata.class);
    }
    if !meant.is_empty() {
        return Verdict::Allowed;
    }
    // A name that is denied whatever it takes is denied: that tells the caller more than a count.
    match overloads.iter().find(|overload| overload.decision == Decision::Deny) {
        Some(denied) if overloads.iter().all(|overload| overload.decision == Decision::Deny) => {
            Verdict::Denied(denied.class)
        }
        _ => Verdict::OtherArguments,
    }
}

/// What the table says of a name, whatever it is called with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Every overload is allowed.
    Allowed,
    /// One speaks of the catalog, none is denied.
    Metadata,
    /// One is denied.
    Denied,
    /// No built-in has this name.
    Unknown,
}

/// What the table says of a name.
pub(crate) fn standing(name: &str) -> Standing {
    let Some(overloads) = TABLE.get(name) else { return Standing::Unknown };
    // The parts of types are reached by casts alone, which are judged by their types.
    let decision = |one: &Overloads| if one.class == TYPE_IO { Decision::Allow } else { one.decision };
    match overloads.iter().map(decision).max() {
        Some(Decision::Deny) => Standing::Denied,
        Some(Decision::Metadata) => Standing::Metadata,
        _ => Standing::Allowed,
    }
}

/// Whether a built-in runs a text that it is given as SQL, or reads tables by names that it is given.
pub(crate) fn runs_text(name: &str) -> bool {
    TABLE.get(name).is_some_and(|overloads| overloads.iter().any(|one| one.class == SQL_EXECUTOR))
}

/// Whether a built-in tells names of objects, or what other sessions, files and settings hold. Whether a role may do something is asked
/// by views that say who sees what.
pub(crate) fn tells_of_others(name: &str) -> bool {
    let tells = |one: &Overloads| match one.class {
        "introspection" | "activity-leak" | "server-files" | "stats-leak" => true,
        "config-leak" => one.decision == Decision::Deny,
        _ => false,
    };
    let asks_for_rights = name.starts_with("has_") || name == "pg_has_role";
    !asks_for_rights && TABLE.get(name).is_some_and(|overloads| overloads.iter().any(tells))
}

/// What is known of the columns of a call in FROM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// One column, called like the item of FROM.
    Scalar,
    /// Columns of these names.
    Named(&'static [&'static str]),
    /// Those of its argument's type, or of a definition in the statement, or who knows.
    Unknown,
}

/// What is known of the columns of a call of a built-in in FROM.
pub(crate) fn shape(name: &str) -> Shape {
    match name {
        "json_each" | "json_each_text" | "jsonb_each" | "jsonb_each_text" => Shape::Named(&["key", "value"]),
        "json_array_elements" | "json_array_elements_text" | "jsonb_array_elements" | "jsonb_array_elements_text" => {
            Shape::Named(&["value"])
        }
        _ if TAKES_ROWS.contains(&name) || standing(name) != Standing::Allowed => Shape::Unknown,
        _ => Shape::Scalar,
    }
}

/// Built-ins that may give a whole row for one.
const TAKES_ROWS: &[&str] = &[
    "json_populate_record",
    "json_populate_recordset",
    "json_to_record",
    "json_to_recordset",
    "jsonb_populate_record",
    "jsonb_populate_recordset",
    "jsonb_to_record",
    "jsonb_to_recordset",
    "lower",
    "pg_get_keywords",
    "pg_options_to_table",
    "pg_timezone_abbrevs",
    "pg_timezone_abbrevs_abbrevs",
    "pg_timezone_abbrevs_zone",
    "pg_timezone_names",
    "ts_debug",
    "ts_parse",
    "ts_stat",
    "ts_token_type",
    "unnest",
    "upper",
];

/// The refusal of a denied built-in.
pub(crate) fn denied(name: &str, class: &str) -> Rejection {
    let (why, instead) = reason(class);
    Rejection::new(ErrorCode::FunctionDenied, format!("{name}() is not allowed: it {why}"))
        .refused(name)
        .suggest(instead)
}

/// The refusal of a function of the database's own.
pub(crate) fn denied_user_function(function: &Function, why: &str, is_also_built_in: bool) -> Rejection {
    let Function { schema, name, .. } = function;
    let message = format!("{schema}.{name}() is not allowed: it {why}");
    Rejection::new(ErrorCode::FunctionDenied, message).refused(name).suggest(match is_also_built_in {
        true => format!("If PostgreSQL's built-in is meant, write pg_catalog.{name}(…)."),
        false => format!("Write the expression out, or have {schema}.{name} named in the policy's allow_functions."),
    })
}

/// Functions of other databases, and how what they do is written in PostgreSQL.
const OF_OTHERS: &[(&str, &str)] = &[
    ("charindex", "strpos(text, part)"),
    ("curdate", "CURRENT_DATE"),
    ("date_format", "to_char(time, 'YYYY-MM-DD')"),
    ("date_sub", "date - interval '1 day'"),
    ("dateadd", "date + interval '1 day'"),
    ("datediff", "a - b, which gives days of dates and an interval of time stamps"),
    ("datename", "to_char(time, 'Day')"),
    ("datepart", "extract(year FROM time)"),
    ("day", "extract(day FROM time)"),
    ("dayofweek", "extract(dow FROM time)"),
    ("getdate", "now()"),
    ("group_concat", "string_agg(text, ', ')"),
    ("hour", "extract(hour FROM time)"),
    ("if", "CASE WHEN condition THEN a ELSE b END"),
    ("ifnull", "coalesce(a, b)"),
    ("iif", "CASE WHEN condition THEN a ELSE b END"),
    ("instr", "strpos(text, part)"),
    ("isnull", "coalesce(a, b)"),
    ("json_extract", "document -> 'key', or document ->> 'key' for text"),
    ("julianday", "extract(julian FROM time)"),
    ("last_day", "(date_trunc('month', date) + interval '1 month - 1 day')::date"),
    ("len", "length(text)"),
    ("listagg", "string_agg(text, ', ')"),
    ("locate", "strpos(text, part)"),
    ("minute", "extract(minute FROM time)"),
    ("month", "extract(month FROM time)"),
    ("nvl", "coalesce(a, b)"),
    ("rand", "random()"),
    ("str_to_date", "to_date(text, 'YYYY-MM-DD')"),
    ("strftime", "to_char(time, 'YYYY-MM-DD')"),
    ("sysdate", "now()"),
    ("timestampdiff", "extract(epoch FROM a - b), which gives seconds"),
    ("to_varchar", "value::text"),
    ("ucase", "upper(text)"),
    ("week", "extract(week FROM time)"),
    ("year", "extract(year FROM time)"),
];

/// The refusal of a name that nothing has; `near` are functions elsewhere that might be meant.
pub(crate) fn not_found(name: &str, near: &BTreeSet<String>) -> Rejection {
    let allowed = TABLE.iter().filter(|(_, overloads)| overloads.iter().any(|one| one.decision == Decision::Allow));
    let mut names: Vec<&str> = allowed.map(|(name, _)| *name).collect();
    names.sort_unstable();
    let similar: Vec<&str> = near.iter().map(String::as_str).chain(closest(name, names, 3)).take(3).collect();
    let of_others = OF_OTHERS.iter().find(|(other, _)| *other == name).map(|(_, instead)| format!("Write {instead}."));
    let nearest =
        || did_you_mean(&similar).unwrap_or_else(|| "Use one of PostgreSQL's built-in functions.".to_string());
    Rejection::new(ErrorCode::FunctionNotFound, format!("there is no function {name}()"))
        .refused(name)
        .suggest(of_others.filter(|_| near.is_empty()).unwrap_or_else(nearest))
}

/// The refusal of a call with a number of arguments that no function of that name takes.
pub(crate) fn wrong_arguments(name: &str, arguments: usize, overloads: &[&Function]) -> Rejection {
    let built_in = TABLE.get(name).into_iter().flatten().flat_map(|one| &one.arguments).copied();
    let mut counts: Vec<_> = built_in.chain(overloads.iter().map(|function| (function.least, function.most))).collect();
    counts.sort_unstable();
    counts.dedup();
    let counts: Vec<_> = counts
        .into_iter()
        .map(|(least, most)| match most {
            Some(most) if most == least => least.to_string(),
            Some(most) => format!("{least} to {most}"),
            None => format!("{least} or more"),
        })
        .collect();
    let message = format!("there is no function {name}() that takes {arguments} arguments");
    Rejection::new(ErrorCode::FunctionNotFound, message)
        .refused(name)
        .suggest(format!("{name}() takes {} arguments.", counts.join(", ")))
}

/// Whether a call only tells the name of its argument's type, as a regtype.
pub(crate) fn names_type(name: &str, arguments: usize) -> bool {
    verdict(name, arguments, false) == Verdict::Metadata(NAMES_TYPE)
}

/// What is known of a function of an extension: whether it may run whatever PostgreSQL was told of it.
pub(crate) fn of_extension(extension: &str, name: &str) -> Option<bool> {
    EXTENSIONS.get(&(extension, name)).copied()
}

/// Whether a function came with an extension and is known to reach beyond its arguments: by a text that it runs, say.
pub(crate) fn reaches_far(function: &Function) -> bool {
    function.extension.as_deref().and_then(|extension| of_extension(extension, &function.name)) == Some(false)
}

/// Whether a call of a function may leave something behind in its session. What came with an extension and is said to change nothing
/// doesn't, unless it is known to do more than its arguments say.
pub(crate) fn leaves_traces(function: &Function) -> bool {
    function.extension.is_none() || function.volatility == Volatility::Volatile || reaches_far(function)
}

/// Functions of extensions of which PostgreSQL's word alone says too little or too much.
static EXTENSIONS: LazyLock<HashMap<(&'static str, &'static str), bool>> = LazyLock::new(|| {
    let lines = include_str!("extensions.tsv").lines().skip(1);
    let facts = lines.map(|line| {
        let mut fields = line.split('\t');
        let (extension, name, decision) = (fields.next()?, fields.next()?, fields.next()?);
        Some(((extension, name), decision == "allow"))
    });
    facts.collect::<Option<_>>().expect("the table of extensions is well formed")
});

/// Why functions of a class are denied, and what would work.
fn reason(class: &str) -> (&'static str, &'static str) {
    const CATALOG: &str = "Read the database's tables and columns from its catalog resource.";
    const LEAVE_OUT: &str = "Leave the call out; the rest of the statement may pass.";
    match class {
        "introspection" => ("speaks of objects that may be hidden", CATALOG),
        NAMES_TYPE => (
            "gives a regtype, and a name beside it would be looked up among all types",
            "Turn it into text right away: pg_typeof(value)::text.",
        ),
        "stats-leak" => ("shows statistics about stored values", "Compute the statistic from the table itself."),
        "sql-executor" => {
            ("runs or reads what its text arguments name", "Write that query out in the statement itself.")
        }
        TYPE_IO => ("is an internal part of a type", "Write a cast instead, e.g. value::type."),
        "internal" | "void" | "trigger" | "server-internal" | "pg_-prefixed" => {
            ("is internal to the server", LEAVE_OUT)
        }
        "server-files" => ("reads or changes the server's files", LEAVE_OUT),
        "large-object" => ("reads or changes large objects", LEAVE_OUT),
        "sequence" => ("reads or changes sequences", "Use row_number() OVER () for running numbers."),
        "lock" => ("takes or releases locks", LEAVE_OUT),
        "dos" => ("makes the server wait", LEAVE_OUT),
        "session-state" => ("changes the session", LEAVE_OUT),
        "config-leak" | "activity-leak" => ("shows settings or other sessions of the server", LEAVE_OUT),
        "notify" | "xid" | "admin" | "server-internals" => ("acts on the server or shows its internals", LEAVE_OUT),
        _ => ("is not known to be harmless", LEAVE_OUT),
    }
}

impl Overloads {
    fn from_line(line: &'static str) -> Option<(&'static str, Self)> {
        let mut fields = line.split('\t');
        let (name, arguments, decision, class) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        let arguments = arguments
            .split(',')
            .map(|range| {
                let (least, most) = range.split_once('-')?;
                let most = if most.is_empty() { None } else { Some(most.parse().ok()?) };
                Some((least.parse().ok()?, most))
            })
            .collect::<Option<_>>()?;
        let decision = match decision {
            "allow" => Decision::Allow,
            "metadata" => Decision::Metadata,
            "deny" => Decision::Deny,
            _ => return None,
        };
        Some((name, Self { arguments, decision, class }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn judges_by_name_and_number_of_arguments() {
        let check = |name: &str, arguments: usize, expected: Verdict| {
            assert_eq!(verdict(name, arguments, false), expected, "{name}/{arguments}");
        };
        check("lower", 1, Verdict::Allowed);
        check("lower", 2, Verdict::OtherArguments);
        check("count", 0, Verdict::Allowed);
        check("make_interval", 1, Verdict::Allowed);
        check("jsonb_path_query", 2, Verdict::Allowed);
        check("jsonb_path_query", 5, Verdict::OtherArguments);
        check("concat", 40, Verdict::Allowed);
        check("percentile_cont", 2, Verdict::Allowed);
        check("rank", 3, Verdict::Allowed);
        check("pg_sleep", 1, Verdict::Denied("dos"));
        check("pg_sleep", 7, Verdict::Denied("dos"));
        check("set_config", 3, Verdict::Denied("session-state"));
        check("ts_rewrite", 2, Verdict::Denied("sql-executor"));
        check("ts_rewrite", 3, Verdict::Allowed);
        check("pg_get_viewdef", 1, Verdict::Metadata("introspection"));
        check("pg_typeof", 1, Verdict::Metadata(NAMES_TYPE));
        check("hash_aclitem", 1, Verdict::Metadata("introspection"));
        check("satisfies_hash_partition", 4, Verdict::Denied("introspection"));
        check("uuidv7", 0, Verdict::Allowed);
        check("no_such_function", 0, Verdict::Unknown);
    }

    #[test]
    fn a_variadic_call_is_judged_by_every_overload() {
        assert_eq!(verdict("concat", 1, true), Verdict::Allowed);
        assert_eq!(verdict("nextval", 1, true), Verdict::Denied("sequence"));
        assert_eq!(verdict("ts_rewrite", 3, true), Verdict::Denied("sql-executor"));
    }

    #[test]
    fn every_denied_class_has_words() {
        for overloads in TABLE.values().flatten().filter(|one| one.decision != Decision::Allow) {
            let known = reason(overloads.class).0 != "is not known to be harmless";
            assert!(known || overloads.class == "volatile-other", "class {} has no words", overloads.class);
        }
    }

    #[test]
    fn functions_of_other_databases_are_none_here_and_are_told_how_to_be_written() {
        for (name, instead) in OF_OTHERS {
            assert_eq!(standing(name), Standing::Unknown, "{name}");
            let refusal = not_found(name, &BTreeSet::new());
            assert_eq!(refusal.suggestion.as_deref(), Some(format!("Write {instead}.").as_str()));
        }
        let own = not_found("ifnull", &BTreeSet::from(["tools.ifnull".to_owned()]));
        assert!(own.suggestion.unwrap().contains("tools.ifnull"));
    }

    #[test]
    fn refusals_say_what_would_pass() {
        assert_eq!(
            not_found("lowr", &BTreeSet::new()).suggestion.unwrap(),
            "Did you mean lower, lower_inc or lower_inf?"
        );
        assert_eq!(wrong_arguments("jsonb_set", 1, &[]).suggestion.unwrap(), "jsonb_set() takes 3 to 4 arguments.");
    }
}
