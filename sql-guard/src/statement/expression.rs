//! Expressions: the node kinds that may stand in one, each taken apart whole so that no field can be forgotten.

use pg_query::NodeEnum;
use pg_query::protobuf::{
    AArrayExpr, AExpr, AExprKind, AIndices, BoolExpr, BooleanTest, CaseExpr, CaseWhen, CoalesceExpr, CollateClause,
    GroupingFunc, GroupingSet, List, MinMaxExpr, NamedArgExpr, Node, NullTest, ParamRef, RowExpr, SortBy,
    SqlValueFunction, SubLink, SubLinkType, TypeCast, TypeName,
};

use shared_protocol::error::ErrorCode;

use super::reference::is_row_expansion;
use super::{Mode, Place, Walk, names};

use crate::columns::Restriction;
use crate::rejection::Rejection;
use crate::system::PG_CATALOG;
use crate::weight::Weight;

impl<'a> Walk<'a> {
    /// Judges every expression of a list.
    pub(super) fn expressions(&mut self, nodes: &'a [Node]) -> Result<(), Rejection> {
        nodes.iter().try_for_each(|node| self.expression(node))
    }

    /// Judges an item of a row, which may be `(row).*`: as many as that has fields.
    pub(super) fn item_of_row(&mut self, item: &'a Node) -> Result<Weight, Rejection> {
        let ((), weight) = self.measured(|walk| walk.expression(item))?;
        if is_row_expansion(item) { self.expand_fields(weight) } else { Ok(weight) }
    }

    /// Judges every expression of a list of which PostgreSQL makes one value, as far as it is of constants.
    fn elements(&mut self, nodes: &'a [Node]) -> Result<(), Rejection> {
        self.expressions(nodes)?;
        self.expansion.fold(nodes.iter().filter(is_constant).count());
        Ok(())
    }

    /// Judges an expression where there is one.
    pub(super) fn optional(&mut self, node: Option<&'a Node>) -> Result<(), Rejection> {
        node.map_or(Ok(()), |node| self.expression(node))
    }

    /// Judges an expression and everything below it, whose value others may take.
    pub(super) fn expression(&mut self, node: &'a Node) -> Result<(), Rejection> {
        self.value(node, Place::Combined).map(drop)
    }

    /// Judges an expression by what becomes of its value, and tells what that value is: a restricted column's, or any.
    pub(super) fn value(&mut self, node: &'a Node, place: Place) -> Result<Restriction, Rejection> {
        self.enter()?;
        let kind = node.node.as_ref().ok_or_else(|| self.unexpected(node, -1))?;
        let restriction = match kind {
            NodeEnum::ColumnRef(reference) => self.column(reference, place),
            NodeEnum::FuncCall(call) => self.call(call, place),
            NodeEnum::SubLink(sublink) => self.sublink(sublink, place),
            NodeEnum::AIndirection(step) => self.selection(step, place),
            other => self.operation_of(node, other).map(|()| Restriction::Free),
        }?;
        self.leave();
        Ok(restriction)
    }

    /// Judges an expression whose value is a new one.
    fn operation_of(&mut self, node: &'a Node, kind: &'a NodeEnum) -> Result<(), Rejection> {
        match kind {
            NodeEnum::AConst(literal) => self.literal(literal),
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
            NodeEnum::TypeCast(cast) => {
                let TypeCast { arg, type_name, location: _ } = cast.as_ref();
                let place = if type_name.as_ref().is_some_and(is_text) { Place::Text } else { Place::Combined };
                if let Some(arg) = arg {
                    self.value(arg, place)?;
                }
                self.optional_type(type_name.as_ref())
            }
            NodeEnum::CollateClause(collate) => {
                let CollateClause { arg, collname, location } = collate.as_ref();
                self.collation(&names(collname), *location)?;
                self.optional(arg.as_deref())
            }
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
                self.outside_condition(|walk| walk.expressions(args))
            }
            NodeEnum::MinMaxExpr(extreme) => {
                let MinMaxExpr { xpr, minmaxtype: _, minmaxcollid: _, inputcollid: _, op: _, args, location: _ } =
                    extreme.as_ref();
                self.optional(xpr.as_deref())?;
                self.outside_condition(|walk| walk.expressions(args))
            }
            // CURRENT_DATE, CURRENT_USER and their like speak of the session alone.
            NodeEnum::SqlvalueFunction(value) => {
                let SqlValueFunction { xpr, op: _, typmod: _, r#type: _, location: _ } = value.as_ref();
                self.optional(xpr.as_deref())
            }
            NodeEnum::NullTest(test) => {
                let NullTest { xpr, arg, nulltesttype: _, argisrow: _, location: _ } = test.as_ref();
                self.optional(xpr.as_deref())?;
                arg.as_deref().map_or(Ok(()), |arg| self.value(arg, Place::Tested).map(drop))
            }
            NodeEnum::BooleanTest(test) => {
                let BooleanTest { xpr, arg, booltesttype: _, location: _ } = test.as_ref();
                self.optional(xpr.as_deref())?;
                self.optional(arg.as_deref())
            }
            NodeEnum::RowExpr(row) => {
                let RowExpr { xpr, args, row_typeid: _, row_format: _, colnames: _, location: _ } = row.as_ref();
                self.optional(xpr.as_deref())?;
                args.iter().try_for_each(|arg| self.item_of_row(arg).map(drop))
            }
            NodeEnum::AArrayExpr(AArrayExpr { elements, list_start: _, list_end: _, location: _ }) => {
                self.elements(elements)
            }
            NodeEnum::List(List { items }) => self.elements(items),
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
            other => match self.outside_condition(|walk| walk.json_or_xml(other).transpose())? {
                Some(()) => Ok(()),
                None => Err(self.unexpected(node, -1)),
            },
        }
    }

    /// Judges a collation: one in a schema that nobody looks in would tell whether there is such a schema.
    fn collation(&self, name: &[&str], location: i32) -> Result<(), Rejection> {
        let schema = match name {
            [schema, _] => *schema,
            _ => return Ok(()),
        };
        let path = self.access.map_or(&[][..], |access| access.catalog.search_path());
        if self.mode == Mode::Definition || schema == PG_CATALOG || path.iter().any(|known| known == schema) {
            return Ok(());
        }
        let message = format!("there is no collation {} here", name.join("."));
        Err(Rejection::new(ErrorCode::InvalidSql, message)
            .refused(name.join("."))
            .suggest("Use a collation of PostgreSQL's own, such as \"C\".")
            .at(self.text, location))
    }

    fn operation(&mut self, expression: &'a AExpr) -> Result<(), Rejection> {
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
        let ((), left) = self.measured(|walk| walk.optional(lexpr.as_deref()))?;
        let ((), right) = self.measured(|walk| walk.right_side(&names(name), rexpr.as_deref()))?;
        let (lefts, rights) = copies(expression);
        self.expand(
            lefts
                .saturating_sub(1)
                .saturating_mul(left.nodes.into())
                .saturating_add((rights - 1).saturating_mul(right.nodes.into()))
                .saturating_add(1),
        )
    }

    fn sublink(&mut self, sublink: &'a SubLink, place: Place) -> Result<Restriction, Rejection> {
        let SubLink { xpr, sub_link_type, sub_link_id: _, testexpr, oper_name, subselect, location } = sublink;
        self.optional(xpr.as_deref())?;
        let kind = SubLinkType::try_from(*sub_link_type);
        match kind {
            Ok(SubLinkType::ExistsSublink | SubLinkType::ExprSublink | SubLinkType::ArraySublink) => {}
            // IN (SELECT …) has no operator in the tree.
            Ok(SubLinkType::AnySublink) if oper_name.is_empty() => self.implied_operator("=", *location)?,
            Ok(SubLinkType::AnySublink | SubLinkType::AllSublink | SubLinkType::RowcompareSublink) => {
                self.operator(oper_name, *location)?;
            }
            _ => return Err(self.unknown("a subquery of this kind", *location)),
        }
        self.optional(testexpr.as_deref())?;
        let Some(Node { node: Some(NodeEnum::SelectStmt(select)) }) = subselect.as_deref() else {
            return Err(self.unknown("a subquery that is no SELECT", *location));
        };
        let (output, weight) = self.measured(|walk| walk.copied(|walk| walk.select(select)))?;
        if kind == Ok(SubLinkType::ExistsSublink) {
            // It is planned once for each row, and once for all of them.
            self.expand(u64::from(weight.nodes) + 1)?;
        }
        match kind {
            // Only whether there are rows is asked.
            Ok(SubLinkType::ExistsSublink) => Ok(Restriction::Free),
            Ok(SubLinkType::ExprSublink) => self.admit(output.worst(), place, "the subquery's column", *location),
            _ => self.admit(output.worst(), Place::Combined, "the subquery's column", *location),
        }
    }

    fn case(&mut self, case: &'a CaseExpr) -> Result<(), Rejection> {
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
    pub(super) fn subscripts(&mut self, indirection: &'a [Node]) -> Result<(), Rejection> {
        for step in indirection {
            match &step.node {
                Some(NodeEnum::AIndices(indices)) => {
                    let AIndices { is_slice: _, lidx, uidx } = indices.as_ref();
                    self.outside_condition(|walk| {
                        walk.optional(lidx.as_deref())?;
                        walk.optional(uidx.as_deref())
                    })?;
                }
                Some(NodeEnum::String(_) | NodeEnum::AStar(_)) => {}
                _ => return Err(self.unexpected(step, -1)),
            }
        }
        Ok(())
    }
}

/// How many times either side of an operation stands in what PostgreSQL makes of it.
fn copies(expression: &AExpr) -> (u64, u64) {
    match AExprKind::try_from(expression.kind) {
        Ok(AExprKind::AexprBetween | AExprKind::AexprNotBetween) => (2, 1),
        Ok(AExprKind::AexprBetweenSym | AExprKind::AexprNotBetweenSym) => (4, 2),
        // What isn't constant is compared one by one, and so are rows.
        Ok(AExprKind::AexprIn) => match expression.rexpr.as_deref().and_then(|list| list.node.as_ref()) {
            Some(NodeEnum::List(List { items })) => {
                let left = expression.lexpr.as_deref().and_then(|left| left.node.as_ref());
                let is_row = matches!(left, Some(NodeEnum::RowExpr(_)));
                let constants = if is_row { 0 } else { items.iter().filter(is_constant).count() };
                ((items.len() - constants + usize::from(constants > 0)) as u64, 1)
            }
            _ => (1, 1),
        },
        _ => (1, 1),
    }
}

fn is_constant(item: &&Node) -> bool {
    matches!(item.node, Some(NodeEnum::AConst(_) | NodeEnum::ParamRef(_)))
}

/// Whether a type is `text`; which text that is, [`Walk::type_name`] judges.
fn is_text(type_name: &TypeName) -> bool {
    type_name.array_bounds.is_empty() && matches!(names(&type_name.names).as_slice(), ["text"] | [PG_CATALOG, "text"])
}
