//! Expressions: the node kinds that may stand in one, each taken apart whole so that no field can be forgotten.

use pg_query::NodeEnum;
use pg_query::protobuf::{
    AArrayExpr, AConst, AExpr, AExprKind, AIndices, AIndirection, BoolExpr, BooleanTest, CaseExpr, CaseWhen,
    CoalesceExpr, CollateClause, FuncCall, GroupingFunc, GroupingSet, List, MinMaxExpr, NamedArgExpr, Node, NullTest,
    ParamRef, RowExpr, SortBy, SqlValueFunction, SubLink, SubLinkType, TypeCast, TypeName, WindowDef,
};

use super::{Mode, Place, Walk, names};
use crate::functions::{self, Verdict};
use crate::rejection::Rejection;
use crate::relations::PG_CATALOG;

impl Walk<'_> {
    /// Judges every expression of a list.
    pub(crate) fn expressions(&mut self, nodes: &[Node]) -> Result<(), Rejection> {
        nodes.iter().try_for_each(|node| self.expression(node))
    }

    /// Judges an expression where there is one.
    pub(crate) fn optional(&mut self, node: Option<&Node>) -> Result<(), Rejection> {
        node.map_or(Ok(()), |node| self.expression(node))
    }

    /// Judges an expression and everything below it.
    pub(crate) fn expression(&mut self, node: &Node) -> Result<(), Rejection> {
        self.expression_in(node, Place::Combined)
    }

    /// Judges an expression by what becomes of its value.
    pub(crate) fn expression_in(&mut self, node: &Node, place: Place) -> Result<(), Rejection> {
        self.enter()?;
        let kind = node.node.as_ref().ok_or_else(|| self.unexpected(node, -1))?;
        match kind {
            NodeEnum::AConst(AConst { isnull: _, location: _, val: _ }) => Ok(()),
            NodeEnum::ColumnRef(reference) => self.column(reference),
            NodeEnum::ParamRef(ParamRef { number, location }) => {
                self.placeholders.note(*number, *location);
                Ok(())
            }
            NodeEnum::AExpr(expression) => self.operation(expression),
            NodeEnum::BoolExpr(expression) => {
                let BoolExpr { xpr, boolop: _, args, location: _ } = expression.as_ref();
                self.optional(xpr.as_deref())?;
                self.expressions(args)
            }
            NodeEnum::FuncCall(call) => self.call(call, place),
            NodeEnum::TypeCast(cast) => {
                let TypeCast { arg, type_name, location: _ } = cast.as_ref();
                let place = if type_name.as_ref().is_some_and(is_text) { Place::Shown } else { Place::Combined };
                if let Some(arg) = arg {
                    self.expression_in(arg, place)?;
                }
                type_name.as_ref().map_or(Ok(()), |type_name| self.type_name(type_name))
            }
            NodeEnum::CollateClause(collate) => {
                let CollateClause { arg, collname: _, location: _ } = collate.as_ref();
                self.optional(arg.as_deref())
            }
            NodeEnum::SubLink(sublink) => self.sublink(sublink),
            NodeEnum::CaseExpr(case) => self.case(case),
            NodeEnum::CaseWhen(when) => {
                let CaseWhen { xpr, expr, result, location: _ } = when.as_ref();
                self.optional(xpr.as_deref())?;
                self.optional(expr.as_deref())?;
                self.optional(result.as_deref())
            }
            NodeEnum::CoalesceExpr(coalesce) => {
                let CoalesceExpr { xpr, coalescetype: _, coalescecollid: _, args, location: _ } = coalesce.as_ref();
                self.optional(xpr.as_deref())?;
                self.expressions(args)
            }
            NodeEnum::MinMaxExpr(extreme) => {
                let MinMaxExpr { xpr, minmaxtype: _, minmaxcollid: _, inputcollid: _, op: _, args, location: _ } =
                    extreme.as_ref();
                self.optional(xpr.as_deref())?;
                self.expressions(args)
            }
            // CURRENT_DATE, CURRENT_USER and their like speak of the session alone.
            NodeEnum::SqlvalueFunction(value) => {
                let SqlValueFunction { xpr, op: _, typmod: _, r#type: _, location: _ } = value.as_ref();
                self.optional(xpr.as_deref())
            }
            NodeEnum::NullTest(test) => {
                let NullTest { xpr, arg, nulltesttype: _, argisrow: _, location: _ } = test.as_ref();
                self.optional(xpr.as_deref())?;
                self.optional(arg.as_deref())
            }
            NodeEnum::BooleanTest(test) => {
                let BooleanTest { xpr, arg, booltesttype: _, location: _ } = test.as_ref();
                self.optional(xpr.as_deref())?;
                self.optional(arg.as_deref())
            }
            NodeEnum::RowExpr(row) => {
                let RowExpr { xpr, args, row_typeid: _, row_format: _, colnames: _, location: _ } = row.as_ref();
                self.optional(xpr.as_deref())?;
                self.expressions(args)
            }
            NodeEnum::AArrayExpr(AArrayExpr { elements, list_start: _, list_end: _, location: _ }) => {
                self.expressions(elements)
            }
            NodeEnum::List(List { items }) => self.expressions(items),
            NodeEnum::AIndirection(indirection) => {
                let AIndirection { arg, indirection } = indirection.as_ref();
                self.optional(arg.as_deref())?;
                self.selection(indirection)?;
                self.subscripts(indirection)
            }
            NodeEnum::NamedArgExpr(argument) => {
                let NamedArgExpr { xpr, arg, name: _, argnumber: _, location: _ } = argument.as_ref();
                self.optional(xpr.as_deref())?;
                self.optional(arg.as_deref())
            }
            NodeEnum::GroupingFunc(grouping) => {
                let GroupingFunc { xpr, args, refs: _, agglevelsup: _, location: _ } = grouping.as_ref();
                self.optional(xpr.as_deref())?;
                self.expressions(args)
            }
            NodeEnum::GroupingSet(GroupingSet { kind: _, content, location: _ }) => self.expressions(content),
            NodeEnum::SortBy(sort) => {
                let SortBy { node, sortby_dir: _, sortby_nulls: _, use_op, location } = sort.as_ref();
                if !use_op.is_empty() {
                    self.operator(use_op, *location)?;
                }
                self.optional(node.as_deref())
            }
            NodeEnum::WindowDef(window) => self.window(window),
            other => self.json_or_xml(other).unwrap_or_else(|| Err(self.unexpected(node, -1))),
        }?;
        self.leave();
        Ok(())
    }

    fn operation(&mut self, expression: &AExpr) -> Result<(), Rejection> {
        let AExpr { kind, name, lexpr, rexpr, rexpr_list_start: _, rexpr_list_end: _, location } = expression;
        match AExprKind::try_from(*kind) {
            // The comparisons that BETWEEN stands for are not in the tree.
            Ok(
                AExprKind::AexprBetween
                | AExprKind::AexprNotBetween
                | AExprKind::AexprBetweenSym
                | AExprKind::AexprNotBetweenSym,
            ) => ["<", "<=", ">", ">="].iter().try_for_each(|operator| self.implied_operator(operator, *location))?,
            Ok(AExprKind::Undefined) | Err(_) => return Err(self.unknown("an operation", *location)),
            Ok(_) => self.operator(name, *location)?,
        }
        self.optional(lexpr.as_deref())?;
        self.optional(rexpr.as_deref())
    }

    /// Judges a call of a function by its name and by how many arguments it gets.
    fn call(&mut self, call: &FuncCall, place: Place) -> Result<(), Rejection> {
        let FuncCall {
            funcname,
            args,
            agg_order,
            agg_filter,
            over,
            agg_within_group,
            agg_star: _,
            agg_distinct: _,
            func_variadic,
            funcformat: _,
            location,
        } = call;
        // An ordered-set aggregate takes its sorted arguments too.
        let arguments = args.len() + if *agg_within_group { agg_order.len() } else { 0 };
        self.function(&names(funcname), arguments, *func_variadic, place, *location)?;
        self.expressions(args)?;
        self.expressions(agg_order)?;
        self.optional(agg_filter.as_deref())?;
        over.as_ref().map_or(Ok(()), |window| self.window(window))
    }

    fn function(
        &self,
        name: &[&str],
        arguments: usize,
        variadic: bool,
        place: Place,
        location: i32,
    ) -> Result<(), Rejection> {
        let (name, qualified) = match name {
            [PG_CATALOG, name] => (*name, true),
            [name] => (*name, false),
            _ if self.mode == Mode::Advisory => return Ok(()),
            other => {
                let name = other.join(".");
                return Err(functions::denied_user_function(&name, false).at(self.text, location));
            }
        };
        let users_own = !qualified && self.catalog.is_some_and(|catalog| catalog.has_function(name));
        let verdict = match functions::verdict(name, arguments, variadic) {
            Verdict::Metadata(functions::NAMES_TYPE) if place == Place::Shown => Verdict::Allowed,
            verdict => verdict,
        };
        // With one argument and the name of a type, a call may mean a cast.
        let cast = if arguments == 1 { self.cast_in_disguise(name, qualified) } else { None };
        let is_cast = cast.is_some();
        if let (Some(Err(rejection)), false) = (cast, matches!(verdict, Verdict::Denied(_))) {
            return Err(rejection.at(self.text, location));
        }
        let rejection = match (verdict, self.mode) {
            (Verdict::Denied(class), _) => functions::denied(name, class),
            (_, Mode::Advisory) => return Ok(()),
            (Verdict::Metadata(class), Mode::Final) => functions::denied(name, class),
            (verdict, Mode::Final) if users_own => functions::denied_user_function(name, verdict == Verdict::Allowed),
            (Verdict::Allowed, Mode::Final) => return Ok(()),
            (_, Mode::Final) if is_cast => return Ok(()),
            (Verdict::OtherArguments, Mode::Final) => functions::wrong_arguments(name, arguments),
            (Verdict::Unknown, Mode::Final) => functions::not_found(name),
        };
        Err(rejection.at(self.text, location))
    }

    /// A newer PostgreSQL's grammar gives some names a meaning of their own, which to an older server are calls of ordinary
    /// functions; so a user's function of such a name is refused.
    pub(crate) fn keyword_call(&self, name: &str, location: i32) -> Result<(), Rejection> {
        match self.catalog {
            Some(catalog) if self.mode == Mode::Final && catalog.has_function(name) => {
                Err(functions::denied_user_function(name, false).at(self.text, location))
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn window(&mut self, window: &WindowDef) -> Result<(), Rejection> {
        let WindowDef {
            name: _,
            refname: _,
            partition_clause,
            order_clause,
            frame_options: _,
            start_offset,
            end_offset,
            location: _,
        } = window;
        self.expressions(partition_clause)?;
        self.expressions(order_clause)?;
        self.optional(start_offset.as_deref())?;
        self.optional(end_offset.as_deref())
    }

    fn sublink(&mut self, sublink: &SubLink) -> Result<(), Rejection> {
        let SubLink { xpr, sub_link_type, sub_link_id: _, testexpr, oper_name, subselect, location } = sublink;
        self.optional(xpr.as_deref())?;
        match SubLinkType::try_from(*sub_link_type) {
            Ok(SubLinkType::ExistsSublink | SubLinkType::ExprSublink | SubLinkType::ArraySublink) => {}
            // IN (SELECT …) has no operator in the tree.
            Ok(SubLinkType::AnySublink) if oper_name.is_empty() => self.implied_operator("=", *location)?,
            Ok(SubLinkType::AnySublink | SubLinkType::AllSublink | SubLinkType::RowcompareSublink) => {
                self.operator(oper_name, *location)?;
            }
            _ => return Err(self.unknown("a subquery of this kind", *location)),
        }
        self.optional(testexpr.as_deref())?;
        match subselect.as_deref() {
            Some(Node { node: Some(NodeEnum::SelectStmt(select)) }) => self.select(select).map(drop),
            _ => Err(self.unknown("a subquery that is no SELECT", *location)),
        }
    }

    fn case(&mut self, case: &CaseExpr) -> Result<(), Rejection> {
        let CaseExpr { xpr, casetype: _, casecollid: _, arg, args, defresult, location } = case;
        self.optional(xpr.as_deref())?;
        if arg.is_some() {
            self.implied_operator("=", *location)?;
        }
        self.optional(arg.as_deref())?;
        self.expressions(args)?;
        self.optional(defresult.as_deref())
    }

    /// Judges what stands in the brackets of `value[…]`; names and `*` after a value are judged as a selection.
    fn subscripts(&mut self, indirection: &[Node]) -> Result<(), Rejection> {
        for step in indirection {
            match &step.node {
                Some(NodeEnum::AIndices(indices)) => {
                    let AIndices { is_slice: _, lidx, uidx } = indices.as_ref();
                    self.optional(lidx.as_deref())?;
                    self.optional(uidx.as_deref())?;
                }
                Some(NodeEnum::String(_) | NodeEnum::AStar(_)) => {}
                _ => return Err(self.unexpected(step, -1)),
            }
        }
        Ok(())
    }
}

/// Whether a type is `text`; which text that is, [`Walk::type_name`] judges.
fn is_text(type_name: &TypeName) -> bool {
    type_name.array_bounds.is_empty() && matches!(names(&type_name.names).as_slice(), ["text"] | [PG_CATALOG, "text"])
}
