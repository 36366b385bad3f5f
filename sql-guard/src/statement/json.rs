//! SQL/JSON and XML: constructors, queries and JSON_TABLE.

use pg_query::NodeEnum;
use pg_query::protobuf::{
    JsonAggConstructor, JsonArgument, JsonArrayAgg, JsonArrayConstructor, JsonArrayQueryConstructor, JsonBehavior,
    JsonExprOp, JsonFuncExpr, JsonIsPredicate, JsonKeyValue, JsonObjectAgg, JsonObjectConstructor, JsonOutput,
    JsonParseExpr, JsonReturning, JsonScalarExpr, JsonSerializeExpr, JsonTable, JsonTableColumn, JsonTablePathSpec,
    JsonValueExpr, Node, XmlExpr, XmlSerialize,
};

use super::Walk;
use crate::columns::{Column, Columns};
use crate::rejection::Rejection;

impl<'a> Walk<'a> {
    /// Judges a SQL/JSON or XML expression; nothing where the node is neither.
    pub(super) fn json_or_xml(&mut self, node: &'a NodeEnum) -> Option<Result<(), Rejection>> {
        Some(match node {
            NodeEnum::JsonFuncExpr(function) => self.json_function(function),
            NodeEnum::JsonValueExpr(value) => self.json_value(value),
            NodeEnum::JsonKeyValue(pair) => self.json_pair(pair),
            NodeEnum::JsonParseExpr(parse) => {
                let JsonParseExpr { expr, output, unique_keys: _, location } = parse.as_ref();
                self.json_call("json", *location, expr.as_deref(), output.as_ref())
            }
            NodeEnum::JsonScalarExpr(scalar) => {
                let JsonScalarExpr { expr, output, location } = scalar.as_ref();
                self.json_call("json_scalar", *location, None, output.as_ref())
                    .and_then(|()| self.optional(expr.as_deref()))
            }
            NodeEnum::JsonSerializeExpr(serialize) => {
                let JsonSerializeExpr { expr, output, location } = serialize.as_ref();
                self.json_call("json_serialize", *location, expr.as_deref(), output.as_ref())
            }
            NodeEnum::JsonObjectConstructor(object) => {
                let JsonObjectConstructor { exprs, output, absent_on_null: _, unique: _, location } = object;
                self.json_call("json_object", *location, None, output.as_ref()).and_then(|()| self.expressions(exprs))
            }
            NodeEnum::JsonArrayConstructor(array) => {
                let JsonArrayConstructor { exprs, output, absent_on_null: _, location } = array;
                self.json_call("json_array", *location, None, output.as_ref()).and_then(|()| self.expressions(exprs))
            }
            NodeEnum::JsonArrayQueryConstructor(array) => self.json_array_query(array),
            NodeEnum::JsonObjectAgg(aggregate) => {
                let JsonObjectAgg { constructor, arg, absent_on_null: _, unique: _ } = aggregate.as_ref();
                self.json_aggregate("json_objectagg", constructor.as_deref())
                    .and_then(|()| arg.as_ref().map_or(Ok(()), |pair| self.json_pair(pair)))
            }
            NodeEnum::JsonArrayAgg(aggregate) => {
                let JsonArrayAgg { constructor, arg, absent_on_null: _ } = aggregate.as_ref();
                self.json_aggregate("json_arrayagg", constructor.as_deref())
                    .and_then(|()| self.optional_value(arg.as_deref()))
            }
            NodeEnum::JsonIsPredicate(test) => {
                let JsonIsPredicate { expr, format: _, item_type: _, unique_keys: _, location: _ } = test.as_ref();
                self.optional(expr.as_deref())
            }
            NodeEnum::XmlExpr(xml) => self.xml(xml),
            NodeEnum::XmlSerialize(serialize) => {
                let XmlSerialize { xmloption: _, expr, type_name, indent: _, location: _ } = serialize.as_ref();
                self.optional_type(type_name.as_ref()).and_then(|()| self.optional(expr.as_deref()))
            }
            _ => return None,
        })
    }

    /// Judges JSON_TABLE and brings it in.
    pub(super) fn json_table(&mut self, table: &'a JsonTable) -> Result<Columns, Rejection> {
        let JsonTable { context_item, pathspec, passing, columns, on_error, alias, lateral: _, location } = table;
        self.keyword_call("json_table", *location)?;
        self.optional_value(context_item.as_deref())?;
        self.optional_path(pathspec.as_deref())?;
        self.passing(passing)?;
        let mut known = Columns::default();
        self.json_table_columns(columns, &mut known)?;
        self.behavior(on_error.as_deref())?;
        self.bring_in("json_table", alias.as_ref(), known)
    }

    fn json_table_columns(&mut self, columns: &'a [Node], known: &mut Columns) -> Result<(), Rejection> {
        for column in columns {
            let Some(NodeEnum::JsonTableColumn(column)) = &column.node else { return Err(self.unexpected(column, -1)) };
            let JsonTableColumn {
                coltype: _,
                name,
                type_name,
                pathspec,
                format: _,
                wrapper: _,
                quotes: _,
                columns,
                on_empty,
                on_error,
                location: _,
            } = column.as_ref();
            self.enter()?;
            self.optional_type(type_name.as_ref())?;
            self.optional_path(pathspec.as_deref())?;
            self.behavior(on_empty.as_deref())?;
            self.behavior(on_error.as_deref())?;
            // NESTED PATH has columns of its own and no name.
            if !name.is_empty() {
                known.push(Column::free(name.as_str()))?;
            }
            self.json_table_columns(columns, known)?;
            self.leave();
        }
        Ok(())
    }

    fn json_function(&mut self, function: &'a JsonFuncExpr) -> Result<(), Rejection> {
        let JsonFuncExpr {
            op,
            column_name: _,
            context_item,
            pathspec,
            passing,
            output,
            on_empty,
            on_error,
            wrapper: _,
            quotes: _,
            location,
        } = function;
        let name = match JsonExprOp::try_from(*op) {
            Ok(JsonExprOp::JsonExistsOp) => "json_exists",
            Ok(JsonExprOp::JsonQueryOp) => "json_query",
            Ok(JsonExprOp::JsonValueOp) => "json_value",
            _ => return Err(self.unknown("a JSON function of this kind", *location)),
        };
        self.json_call(name, *location, context_item.as_deref(), output.as_ref())?;
        self.optional(pathspec.as_deref())?;
        self.passing(passing)?;
        self.behavior(on_empty.as_deref())?;
        self.behavior(on_error.as_deref())
    }

    fn json_array_query(&mut self, array: &'a JsonArrayQueryConstructor) -> Result<(), Rejection> {
        let JsonArrayQueryConstructor { query, output, format: _, absent_on_null: _, location } = array;
        self.json_call("json_array", *location, None, output.as_ref())?;
        match query.as_deref() {
            Some(Node { node: Some(NodeEnum::SelectStmt(select)) }) => {
                let output = self.copied(|walk| walk.select(select))?;
                self.combined(&output, "JSON_ARRAY")
            }
            _ => Err(self.unknown("a subquery that is no SELECT", *location)),
        }
    }

    fn json_aggregate(&mut self, name: &str, constructor: Option<&'a JsonAggConstructor>) -> Result<(), Rejection> {
        let Some(JsonAggConstructor { output, agg_filter, agg_order, over, location }) = constructor else {
            return Ok(());
        };
        self.json_call(name, *location, None, output.as_ref())?;
        self.condition(agg_filter.as_deref())?;
        self.expressions(agg_order)?;
        over.as_ref().map_or(Ok(()), |window| self.window(window))
    }

    fn json_call(
        &mut self,
        name: &str,
        location: i32,
        value: Option<&'a JsonValueExpr>,
        output: Option<&'a JsonOutput>,
    ) -> Result<(), Rejection> {
        self.keyword_call(name, location)?;
        self.optional_value(value)?;
        let Some(JsonOutput { type_name, returning }) = output else { return Ok(()) };
        if let Some(JsonReturning { format: _, typid: _, typmod: _ }) = returning {}
        self.optional_type(type_name.as_ref())
    }

    fn json_value(&mut self, value: &'a JsonValueExpr) -> Result<(), Rejection> {
        let JsonValueExpr { raw_expr, formatted_expr, format: _ } = value;
        self.optional(raw_expr.as_deref())?;
        self.optional(formatted_expr.as_deref())
    }

    fn optional_value(&mut self, value: Option<&'a JsonValueExpr>) -> Result<(), Rejection> {
        value.map_or(Ok(()), |value| self.json_value(value))
    }

    fn json_pair(&mut self, pair: &'a JsonKeyValue) -> Result<(), Rejection> {
        let JsonKeyValue { key, value } = pair;
        self.optional(key.as_deref())?;
        self.optional_value(value.as_deref())
    }

    fn optional_path(&mut self, path: Option<&'a JsonTablePathSpec>) -> Result<(), Rejection> {
        let Some(JsonTablePathSpec { string, name: _, name_location: _, location: _ }) = path else { return Ok(()) };
        self.optional(string.as_deref())
    }

    fn passing(&mut self, arguments: &'a [Node]) -> Result<(), Rejection> {
        for argument in arguments {
            let Some(NodeEnum::JsonArgument(argument)) = &argument.node else {
                return Err(self.unexpected(argument, -1));
            };
            let JsonArgument { val, name: _ } = argument.as_ref();
            self.optional_value(val.as_deref())?;
        }
        Ok(())
    }

    fn behavior(&mut self, behavior: Option<&'a JsonBehavior>) -> Result<(), Rejection> {
        let Some(JsonBehavior { btype: _, expr, coerce: _, location: _ }) = behavior else { return Ok(()) };
        self.optional(expr.as_deref())
    }

    fn xml(&mut self, xml: &'a XmlExpr) -> Result<(), Rejection> {
        let XmlExpr {
            xpr,
            op: _,
            name: _,
            named_args,
            arg_names: _,
            args,
            xmloption: _,
            indent: _,
            r#type: _,
            typmod: _,
            location: _,
        } = xml;
        self.optional(xpr.as_deref())?;
        for attribute in named_args {
            self.target(attribute)?;
        }
        self.expressions(args)
    }
}
