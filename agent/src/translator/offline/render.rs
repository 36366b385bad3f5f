//! A plan as SQL: sqlparser's syntax tree, printed; every value bound.

use serde_json::Value;
use sqlparser::ast::helpers::attached_token::AttachedToken;
use sqlparser::ast::{
    BinaryOperator, CastKind, DataType, Distinct, DuplicateTreatment, ExactNumberInfo, Expr, Function, FunctionArg,
    FunctionArgExpr, FunctionArgumentList, FunctionArguments, GroupByExpr, Ident, Join, JoinConstraint, JoinOperator,
    LimitClause, ObjectName, OrderBy, OrderByExpr, OrderByKind, OrderByOptions, OrderBySort, Query, Select,
    SelectFlavor, SelectItem, SetExpr, TableFactor, TableWithJoins, Value as Literal,
};

use super::lexicon::{Aggregate, Comparison, Direction};
use super::plan::{Filter, Measure, Operand, Order, OrderKey, Plan, Related, other_end};
use super::scope::{ColumnRef, Link, Schema};

/// The statement of a plan and the values of its parameters, in order.
pub(super) fn render(schema: &Schema<'_>, plan: &Plan) -> (String, Vec<Value>) {
    let mut renderer =
        Renderer { schema, params: Vec::new(), qualifies: plan.join.is_some() || plan.related.is_some() };
    let query = renderer.query(plan);
    (query.to_string(), renderer.params)
}

struct Renderer<'a> {
    schema: &'a Schema<'a>,
    params: Vec<Value>,
    /// Whether columns carry their table's name, because two tables are in play.
    qualifies: bool,
}

impl Renderer<'_> {
    fn query(&mut self, plan: &Plan) -> Query {
        let mut projection: Vec<SelectItem> =
            plan.columns.iter().map(|c| SelectItem::UnnamedExpr(self.column(*c))).collect();
        if plan.shows_measures {
            projection.extend(plan.measures.iter().map(|measure| self.measure_item(plan, measure)));
        }
        let selection = self.conditions(plan);
        let groups: Vec<Expr> = plan.groups.iter().map(|column| self.column(*column)).collect();
        let order: Vec<OrderByExpr> = plan.order.iter().map(|order| self.order(plan, order)).collect();
        let limit = plan.limit.map(|limit| self.bind(Value::from(limit)));
        let mut select = select(projection, vec![self.from(plan)], selection);
        select.distinct = plan.distinct.then_some(Distinct::Distinct);
        select.group_by = GroupByExpr::Expressions(groups, Vec::new());
        let mut query = query(select);
        if !order.is_empty() {
            query.order_by = Some(OrderBy { kind: OrderByKind::Expressions(order), interpolate: None });
        }
        query.limit_clause =
            limit.map(|limit| LimitClause::LimitOffset { limit: Some(limit), offset: None, limit_by: Vec::new() });
        query
    }

    fn from(&self, plan: &Plan) -> TableWithJoins {
        let join = |position: usize| {
            let link = &self.schema.links[position];
            let on = JoinOperator::Join(JoinConstraint::On(self.link_condition(link)));
            Join {
                relation: self.table(other_end(self.schema, position, plan.entity)),
                global: false,
                join_operator: on,
            }
        };
        TableWithJoins { relation: self.table(plan.entity), joins: plan.join.map(join).into_iter().collect() }
    }

    fn link_condition(&self, link: &Link) -> Expr {
        let pair = |&(from, to): &(usize, usize)| {
            let (from, to) = (ColumnRef { table: link.from, column: from }, ColumnRef { table: link.to, column: to });
            binary(self.column(from), BinaryOperator::Eq, self.column(to))
        };
        all(link.columns.iter().map(pair).collect()).unwrap_or_else(|| Expr::value(Literal::Boolean(true)))
    }

    fn conditions(&mut self, plan: &Plan) -> Option<Expr> {
        let mut conditions: Vec<Expr> = plan.filters.iter().map(|filter| self.condition(filter)).collect();
        conditions.extend(plan.related.as_ref().map(|related| self.related(related)));
        all(conditions)
    }

    /// EXISTS instead of a join, so that the rows asked for aren't multiplied.
    fn related(&mut self, related: &Related) -> Expr {
        let mut conditions = vec![self.link_condition(&self.schema.links[related.link])];
        conditions.extend(related.filters.iter().map(|filter| self.condition(filter)));
        let from = TableWithJoins { relation: self.table(related.table), joins: Vec::new() };
        let one = SelectItem::UnnamedExpr(Expr::value(Literal::Number("1".into(), false)));
        let subquery = Box::new(query(select(vec![one], vec![from], all(conditions))));
        Expr::Exists { subquery, negated: !related.exists }
    }

    fn condition(&mut self, filter: &Filter) -> Expr {
        let column = self.column(filter.column());
        match filter {
            Filter::Compare(_, comparison, value) => binary(column, operator(*comparison), self.operand(value)),
            Filter::Between(_, low, high) => Expr::Between {
                expr: Box::new(column),
                negated: false,
                low: Box::new(self.operand(low)),
                high: Box::new(self.operand(high)),
            },
            Filter::Among(_, among, values) => {
                let list = values.iter().map(|value| self.operand(value)).collect();
                Expr::InList { expr: Box::new(column), list, negated: !among }
            }
            Filter::During(_, from, until) => {
                let mut bounds = Vec::new();
                for (bound, operator) in [(from, BinaryOperator::GtEq), (until, BinaryOperator::Lt)] {
                    if let Some(day) = bound {
                        bounds.push(binary(column.clone(), operator, self.bind(Value::from(day.to_string()))));
                    }
                }
                all(bounds).unwrap_or(Expr::IsNotNull(Box::new(column)))
            }
            Filter::Missing(_, true) => Expr::IsNull(Box::new(column)),
            Filter::Missing(_, false) => Expr::IsNotNull(Box::new(column)),
            Filter::Flag(_, value) => {
                let value = self.bind(Value::from(*value));
                binary(column, BinaryOperator::Eq, value)
            }
        }
    }

    fn operand(&mut self, operand: &Operand) -> Expr {
        let bound = self.bind(operand.value.clone());
        if !operand.is_fraction {
            return bound;
        }
        // Left alone, the parameter would take the integer column's type.
        let data_type = DataType::Numeric(ExactNumberInfo::None);
        Expr::Cast { kind: CastKind::Cast, expr: Box::new(bound), data_type, format: None }
    }

    fn order(&self, plan: &Plan, order: &Order) -> OrderByExpr {
        let descending = order.direction == Direction::Descending;
        let (expr, is_nullable) = match order.by {
            OrderKey::Column(column) => (self.column(column), self.schema.column(column).is_nullable),
            OrderKey::Measure(index) => {
                (self.measure(&plan.measures[index]), matches!(plan.measures[index], Measure::Of(..)))
            }
        };
        let options = OrderByOptions {
            sort: descending.then_some(OrderBySort::Desc),
            // PostgreSQL puts NULLs on top of a descending order, where they would pass for the highest.
            nulls_first: (descending && is_nullable).then_some(false),
        };
        OrderByExpr { expr, options, with_fill: None }
    }

    fn measure_item(&self, plan: &Plan, measure: &Measure) -> SelectItem {
        let alias = match measure {
            Measure::Rows | Measure::Keys(_) => format!("{}_count", self.schema.table(plan.entity).table_name),
            Measure::Values(column) => format!("{}_count", self.schema.column(*column).name),
            Measure::Of(aggregate, column) => {
                let prefix = match aggregate {
                    Aggregate::Sum => "total",
                    Aggregate::Average => "average",
                    Aggregate::Minimum => "lowest",
                    Aggregate::Maximum => "highest",
                };
                let name = &self.schema.column(*column).name;
                if name.starts_with(prefix) { name.clone() } else { format!("{prefix}_{name}") }
            }
        };
        SelectItem::ExprWithAlias { expr: self.measure(measure), alias: identifier(&alias) }
    }

    fn measure(&self, measure: &Measure) -> Expr {
        match measure {
            Measure::Rows => call("count", false, FunctionArgExpr::Wildcard),
            Measure::Keys(key) => {
                let columns: Vec<Expr> = key.iter().map(|column| self.column(*column)).collect();
                let key = if columns.len() == 1 { columns[0].clone() } else { Expr::Tuple(columns) };
                call("count", true, FunctionArgExpr::Expr(key))
            }
            Measure::Values(column) => call("count", true, FunctionArgExpr::Expr(self.column(*column))),
            Measure::Of(aggregate, column) => {
                let name = match aggregate {
                    Aggregate::Sum => "sum",
                    Aggregate::Average => "avg",
                    Aggregate::Minimum => "min",
                    Aggregate::Maximum => "max",
                };
                call(name, false, FunctionArgExpr::Expr(self.column(*column)))
            }
        }
    }

    fn table(&self, table: usize) -> TableFactor {
        TableFactor::Table {
            name: ObjectName::from(self.table_name(table)),
            alias: None,
            args: None,
            with_hints: Vec::new(),
            version: None,
            with_ordinality: false,
            partitions: Vec::new(),
            json_path: None,
            sample: None,
            index_hints: Vec::new(),
        }
    }

    fn table_name(&self, table: usize) -> Vec<Ident> {
        let table = self.schema.table(table);
        let name = identifier(&table.table_name);
        if self.schema.context.is_on_search_path(table) {
            vec![name]
        } else {
            vec![identifier(&table.schema_name), name]
        }
    }

    fn column(&self, column: ColumnRef) -> Expr {
        let name = identifier(&self.schema.column(column).name);
        if !self.qualifies {
            return Expr::Identifier(name);
        }
        let mut path = self.table_name(column.table);
        path.push(name);
        Expr::CompoundIdentifier(path)
    }

    fn bind(&mut self, value: Value) -> Expr {
        self.params.push(value);
        Expr::value(Literal::Placeholder(format!("${}", self.params.len())))
    }
}

fn operator(comparison: Comparison) -> BinaryOperator {
    match comparison {
        Comparison::Equal => BinaryOperator::Eq,
        Comparison::NotEqual => BinaryOperator::NotEq,
        Comparison::Less => BinaryOperator::Lt,
        Comparison::LessOrEqual => BinaryOperator::LtEq,
        Comparison::Greater => BinaryOperator::Gt,
        Comparison::GreaterOrEqual => BinaryOperator::GtEq,
    }
}

fn binary(left: Expr, op: BinaryOperator, right: Expr) -> Expr {
    Expr::BinaryOp { left: Box::new(left), op, right: Box::new(right) }
}

fn all(conditions: Vec<Expr>) -> Option<Expr> {
    conditions.into_iter().reduce(|left, right| binary(left, BinaryOperator::And, right))
}

fn call(name: &str, distinct: bool, argument: FunctionArgExpr) -> Expr {
    let list = FunctionArgumentList {
        duplicate_treatment: distinct.then_some(DuplicateTreatment::Distinct),
        args: vec![FunctionArg::Unnamed(argument)],
        clauses: Vec::new(),
    };
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new(name)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(list),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

fn select(projection: Vec<SelectItem>, from: Vec<TableWithJoins>, selection: Option<Expr>) -> Select {
    Select {
        select_token: AttachedToken::empty(),
        optimizer_hints: Vec::new(),
        distinct: None,
        select_modifiers: None,
        top: None,
        top_before_distinct: false,
        projection,
        exclude: None,
        into: None,
        from,
        lateral_views: Vec::new(),
        prewhere: None,
        selection,
        connect_by: Vec::new(),
        group_by: GroupByExpr::Expressions(Vec::new(), Vec::new()),
        cluster_by: Vec::new(),
        distribute_by: Vec::new(),
        sort_by: Vec::new(),
        having: None,
        named_window: Vec::new(),
        qualify: None,
        window_before_qualify: false,
        value_table_mode: None,
        flavor: SelectFlavor::Standard,
    }
}

fn query(select: Select) -> Query {
    Query {
        with: None,
        body: Box::new(SetExpr::Select(Box::new(select))),
        order_by: None,
        limit_clause: None,
        fetch: None,
        locks: Vec::new(),
        for_clause: None,
        settings: None,
        format_clause: None,
        pipe_operators: Vec::new(),
    }
}

/// PostgreSQL's words that can't name a table or column unquoted.
const RESERVED: &str = "all analyse analyze and any array as asc asymmetric authorization binary both case cast check collate \
    collation column concurrently constraint create cross current_catalog current_date current_role current_schema \
    current_time current_timestamp current_user default deferrable desc distinct do else end except false fetch for \
    foreign freeze from full grant group having ilike in initially inner intersect into is isnull join lateral leading \
    left like limit localtime localtimestamp natural not notnull null offset on only or order outer overlaps placing \
    primary references returning right select session_user similar some symmetric system_user table tablesample then to \
    trailing true union unique user using variadic verbose when where window with";

fn identifier(name: &str) -> Ident {
    let mut characters = name.chars();
    let starts = characters.next().is_some_and(|c| c.is_ascii_lowercase() || c == '_');
    let plain = starts && characters.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if plain && !RESERVED.split_ascii_whitespace().any(|word| word == name) {
        return Ident::new(name);
    }
    Ident::with_quote('"', name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_identifiers_only_where_needed() {
        let check = |name: &str, expected: &str| assert_eq!(identifier(name).to_string(), expected);
        check("users", "users");
        check("name", "name");
        check("order", "\"order\"");
        check("User", "\"User\"");
        check("first name", "\"first name\"");
        check("2024_sales", "\"2024_sales\"");
        check("a\"b", "\"a\"\"b\"");
    }
}
