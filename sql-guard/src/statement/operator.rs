//! Operators, written or implied: PostgreSQL's own, and those of the database whose functions may run.

use std::sync::Arc;

use pg_query::protobuf::Node;
use shared_protocol::error::ErrorCode;

use super::{Mode, Walk, names};
use crate::operators::BUILT_IN;
use crate::rejection::Rejection;
use crate::system::PG_CATALOG;

impl Walk<'_> {
    /// Judges the operator of an expression, of `ORDER BY … USING` or of a comparison with a subquery.
    pub(super) fn operator(&self, name: &[Node], location: i32) -> Result<(), Rejection> {
        match names(name).as_slice() {
            [operator] => self.operator_of(None, operator, true, location),
            [schema, operator] => self.operator_of(Some(schema), operator, true, location),
            other => Err(self.unknown_operator(&other.join("."), location)),
        }
    }

    /// Judges an operator that PostgreSQL puts in by itself: the `=` of IN, CASE, USING and NATURAL.
    pub(super) fn implied_operator(&self, operator: &str, location: i32) -> Result<(), Rejection> {
        self.operator_of(None, operator, false, location)
    }

    fn operator_of(
        &self,
        schema: Option<&str>,
        operator: &str,
        is_written: bool,
        location: i32,
    ) -> Result<(), Rejection> {
        let Some(access) = self.access.filter(|_| self.mode == Mode::Final) else { return Ok(()) };
        let built_in = schema.is_none_or(|schema| schema == PG_CATALOG) && BUILT_IN.contains(&operator);
        let own = match schema {
            None => access.operators(operator),
            Some(schema) => Arc::new(access.operators_in(operator, |of| of == schema)),
        };
        if let Some(why) = &own.denied {
            let message = format!("the database's own operator {operator} is not allowed: it {why}");
            return Err(Rejection::new(ErrorCode::FunctionDenied, message)
                .refused(operator)
                .suggest(match built_in {
                    true => format!("If PostgreSQL's own is meant, write OPERATOR(pg_catalog.{operator})."),
                    false => "Use PostgreSQL's built-in operators and functions.".to_string(),
                })
                .at(self.text, location));
        }
        if own.leave_traces {
            self.runs_code.set(true);
        }
        let known = built_in || own.are_known;
        if known || !is_written {
            return Ok(());
        }
        let written = schema.map_or(operator.to_string(), |schema| format!("{schema}.{operator}"));
        Err(self.unknown_operator(&written, location))
    }

    fn unknown_operator(&self, operator: &str, location: i32) -> Rejection {
        Rejection::new(ErrorCode::FunctionDenied, format!("there is no operator {operator} that may be used here"))
            .refused(operator)
            .suggest("Use PostgreSQL's built-in operators and functions.")
            .at(self.text, location)
    }
}
