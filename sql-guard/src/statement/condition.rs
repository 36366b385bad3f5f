//! Conditions (WHERE, HAVING, ON, FILTER), and the literals in them, which a server may want as parameters.

use pg_query::NodeEnum;
use pg_query::protobuf::{AConst, BoolExprType, Node, a_const::Val};
use shared_protocol::error::ErrorCode;

use super::Walk;
use crate::rejection::Rejection;

/// Operators whose right side says which part of a document is meant, rather than a value.
const PATH_OPERATORS: &[&str] = &["->", "->>", "#>", "#>>"];

impl<'a> Walk<'a> {
    /// Judges a condition where there is one.
    pub(super) fn condition(&mut self, condition: Option<&'a Node>) -> Result<(), Rejection> {
        self.where_literals(true, |walk| walk.optional(condition))
    }

    /// Judges a condition on rows where there is one: PostgreSQL moves each of its conjuncts by itself.
    pub(super) fn moved_condition(&mut self, condition: Option<&'a Node>) -> Result<(), Rejection> {
        let Some(condition) = condition else { return Ok(()) };
        self.where_literals(true, |walk| walk.conjuncts(condition))
    }

    fn conjuncts(&mut self, condition: &'a Node) -> Result<(), Rejection> {
        match &condition.node {
            Some(NodeEnum::BoolExpr(all)) if all.xpr.is_none() && all.boolop == BoolExprType::AndExpr as i32 => {
                self.enter()?;
                all.args.iter().try_for_each(|conjunct| self.conjuncts(conjunct))?;
                self.leave();
                Ok(())
            }
            other => {
                let arms = match other {
                    Some(NodeEnum::BoolExpr(any)) if any.boolop == BoolExprType::OrExpr as i32 => any.args.len(),
                    _ => 0,
                };
                self.compare_conjunct(arms)?;
                self.moved(|walk| walk.expression(condition))
            }
        }
    }

    /// Judges what is no part of the condition around it: the arguments of a function, a subscript, a whole query.
    pub(super) fn outside_condition<T>(
        &mut self,
        judge: impl FnOnce(&mut Self) -> Result<T, Rejection>,
    ) -> Result<T, Rejection> {
        self.where_literals(false, judge)
    }

    fn where_literals<T>(
        &mut self,
        are_compared: bool,
        judge: impl FnOnce(&mut Self) -> Result<T, Rejection>,
    ) -> Result<T, Rejection> {
        let around = std::mem::replace(&mut self.in_condition, are_compared);
        let judged = judge(self)?;
        self.in_condition = around;
        Ok(judged)
    }

    /// Judges the right side of an operator.
    pub(super) fn right_side(&mut self, operator: &[&str], side: Option<&'a Node>) -> Result<(), Rejection> {
        match operator.last().is_some_and(|operator| PATH_OPERATORS.contains(operator)) {
            true => self.outside_condition(|walk| walk.optional(side)),
            false => self.optional(side),
        }
    }

    /// Judges a literal: a string or a number in a condition belongs into a parameter, where the server wants it so.
    pub(super) fn literal(&self, literal: &AConst) -> Result<(), Rejection> {
        let AConst { isnull: _, location, val } = literal;
        let kind = match val {
            Some(Val::Sval(_) | Val::Bsval(_)) => "string",
            Some(Val::Ival(_) | Val::Fval(_)) => "number",
            Some(Val::Boolval(_)) | None => return Ok(()),
        };
        if !(self.in_condition && self.require_parameters) {
            return Ok(());
        }
        let message = format!("a {kind} stands in a condition, and this server wants values as parameters");
        Err(Rejection::new(ErrorCode::ParameterError, message)
            .suggest("Write $1, $2 ... in its place, with a cast such as $1::interval where a type is needed, and give the value in params.")
            .at(self.text, *location))
    }
}
