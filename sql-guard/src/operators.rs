//! Which operators a statement may use: PostgreSQL's own.

use pg_query::protobuf::Node;
use shared_protocol::error::ErrorCode;

use crate::rejection::Rejection;
use crate::statement::{Mode, Walk, names};

/// Every operator of `pg_catalog`, PostgreSQL 14 to 18. All their functions are harmless.
const BUILT_IN: &[&str] = &[
    "!!", "!~", "!~*", "!~~", "!~~*", "#", "##", "#-", "#>", "#>>", "%", "&", "&&", "&<", "&<|", "&>", "*", "*<",
    "*<=", "*<>", "*=", "*>", "*>=", "+", "-", "->", "->>", "-|-", "/", "<", "<->", "<<", "<<=", "<<|", "<=", "<>",
    "<@", "<^", "=", ">", ">=", ">>", ">>=", ">^", "?", "?#", "?&", "?-", "?-|", "?|", "?||", "@", "@-@", "@>", "@?",
    "@@", "@@@", "^", "^@", "|", "|&>", "|/", "|>>", "||", "||/", "~", "~*", "~<=~", "~<~", "~=", "~>=~", "~>~", "~~",
    "~~*",
];

impl Walk<'_> {
    /// Judges the operator of an expression, of `ORDER BY … USING` or of a comparison with a subquery.
    pub(crate) fn operator(&self, name: &[Node], location: i32) -> Result<(), Rejection> {
        match names(name).as_slice() {
            ["pg_catalog", operator] => self.built_in_operator(operator, location),
            [operator] => {
                self.built_in_operator(operator, location)?;
                self.not_redefined(operator, location)
            }
            other if self.mode == Mode::Final => {
                let operator = other.join(".");
                let message = format!("the operator {operator} is not one of PostgreSQL's own");
                Err(Rejection::new(ErrorCode::FunctionDenied, message)
                    .refused(operator)
                    .suggest("Use an operator of pg_catalog, without a schema.")
                    .at(self.text, location))
            }
            _ => Ok(()),
        }
    }

    /// Judges an operator that PostgreSQL puts in by itself: the `=` of IN, CASE, USING and NATURAL.
    pub(crate) fn implied_operator(&self, operator: &str, location: i32) -> Result<(), Rejection> {
        self.not_redefined(operator, location)
    }

    fn built_in_operator(&self, operator: &str, location: i32) -> Result<(), Rejection> {
        if BUILT_IN.contains(&operator) || self.mode == Mode::Advisory {
            return Ok(());
        }
        let message = format!("the operator {operator} is not one of PostgreSQL's own");
        Err(Rejection::new(ErrorCode::FunctionDenied, message)
            .refused(operator)
            .suggest("Use PostgreSQL's built-in operators and functions.")
            .at(self.text, location))
    }

    /// An operator that the database defines again for some types could be the one meant here; its function is the user's.
    fn not_redefined(&self, operator: &str, location: i32) -> Result<(), Rejection> {
        match self.catalog {
            Some(catalog) if self.mode == Mode::Final && catalog.has_operator(operator) => {
                let message =
                    format!("the database has an operator {operator} of its own, which runs a function of its own");
                Err(Rejection::new(ErrorCode::FunctionDenied, message)
                    .refused(operator)
                    .suggest(format!("If PostgreSQL's own is meant, write OPERATOR(pg_catalog.{operator})."))
                    .at(self.text, location))
            }
            _ => Ok(()),
        }
    }
}
