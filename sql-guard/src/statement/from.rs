//! FROM: relations, subqueries, joins, samples and functions that give rows.

use pg_query::NodeEnum;
use pg_query::protobuf::{
    Alias, ColumnDef, FuncCall, List, Node, RangeFunction, RangeSubselect, RangeTableFunc, RangeTableFuncCol,
    RangeTableSample,
};

use super::{Mode, Walk, names, naming};
use crate::catalog::Function;
use crate::columns::{Column, Columns, Restriction};
use crate::functions::{self, Shape};
use crate::rejection::Rejection;
use crate::system::PG_CATALOG;

/// The sampling methods of PostgreSQL itself.
const SAMPLING: &[&str] = &["bernoulli", "system"];

/// For how many relations a function of the database's own in FROM counts, whose body PostgreSQL may put in its place.
const OF_FUNCTION: usize = 5;

/// Those of extensions.
const SAMPLING_EXTENSIONS: &[(&str, &str)] = &[("system_rows", "tsm_system_rows"), ("system_time", "tsm_system_time")];

impl<'a> Walk<'a> {
    /// Judges an item of FROM, brings it in, and tells the row that it gives.
    pub(super) fn row_source(&mut self, item: &'a Node) -> Result<Columns, Rejection> {
        self.enter()?;
        let row = match &item.node {
            Some(NodeEnum::RangeVar(relation)) => self.relation(relation),
            Some(NodeEnum::JoinExpr(join)) => self.join(join),
            Some(NodeEnum::RangeSubselect(subquery)) => self.subquery(subquery),
            Some(NodeEnum::RangeFunction(function)) => self.row_function(function),
            Some(NodeEnum::RangeTableSample(sample)) => self.sample(sample),
            Some(NodeEnum::RangeTableFunc(table)) => self.xml_table(table),
            Some(NodeEnum::JsonTable(table)) => self.json_table(table),
            _ => Err(self.unexpected(item, -1)),
        }?;
        self.leave();
        Ok(row)
    }

    fn subquery(&mut self, subquery: &'a RangeSubselect) -> Result<Columns, Rejection> {
        let RangeSubselect { lateral, subquery, alias } = subquery;
        let Some(Node { node: Some(NodeEnum::SelectStmt(select)) }) = subquery.as_deref() else {
            return Err(self.unknown("a subquery that is no SELECT", -1));
        };
        let columns = self.copied(|walk| match lateral {
            true => walk.select(select),
            // Without LATERAL it sees nothing of the FROM clause that it stands in.
            false => walk.apart(|walk| walk.select(select)),
        })?;
        self.bring_in("", alias.as_ref(), columns)
    }

    /// Judges what sees nothing of the FROM clause so far.
    fn apart<T>(&mut self, judge: impl FnOnce(&mut Self) -> Result<T, Rejection>) -> Result<T, Rejection> {
        let level = self.level();
        let beside = (std::mem::take(&mut level.items), std::mem::take(&mut level.rows));
        let judged = judge(self)?;
        let level = self.level();
        (level.items, level.rows) = beside;
        Ok(judged)
    }

    fn row_function(&mut self, function: &'a RangeFunction) -> Result<Columns, Rejection> {
        let RangeFunction { lateral: _, ordinality, is_rowsfrom: _, functions, alias, coldeflist } = function;
        let mut columns = Columns::default();
        let mut name = None;
        for function in functions {
            // Each is a pair of the call and its own column definitions, if any.
            let Some(NodeEnum::List(List { items })) = &function.node else {
                return Err(self.unexpected(function, -1));
            };
            let [call, definitions] = items.as_slice() else { return Err(self.unexpected(function, -1)) };
            if let Some(arrays) = side_by_side(call).filter(|_| definitions.node.is_none() && coldeflist.is_empty()) {
                self.unnests(arrays, &mut columns)?;
                name = name.or(Some(Some("unnest")));
                continue;
            }
            self.expression(call)?;
            self.note_in_from(call)?;
            // PostgreSQL calls the item like its first function.
            name = name.or(Some(naming::output_name(call)));
            match &definitions.node {
                None if !coldeflist.is_empty() => {}
                None => self.columns_of_call(call, alias.as_ref(), functions.len() == 1, &mut columns)?,
                Some(NodeEnum::List(List { items })) => self.column_definitions(items, &mut columns)?,
                _ => return Err(self.unexpected(definitions, -1)),
            }
        }
        self.column_definitions(coldeflist, &mut columns)?;
        if *ordinality {
            columns.push(Column::free("ordinality"))?;
        }
        // A column alias takes the place of an unknown name: what is known without it may be what it renames.
        if columns.is_open() && alias.as_ref().is_some_and(|alias| !alias.colnames.is_empty()) {
            columns = Columns::unknown();
        }
        self.bring_in(name.flatten().unwrap_or_default(), alias.as_ref(), columns)
    }

    /// Judges arrays that stand side by side in one `unnest`: PostgreSQL makes a call of its own function of each.
    fn unnests(&mut self, arrays: &'a [Node], columns: &mut Columns) -> Result<(), Rejection> {
        for array in arrays {
            self.enter()?;
            self.outside_condition(|walk| walk.expression(array))?;
            self.leave();
            columns.push_unknown();
        }
        Ok(())
    }

    /// Notes the database's own functions that a call in FROM may mean.
    fn note_in_from(&mut self, call: &Node) -> Result<(), Rejection> {
        let Some(NodeEnum::FuncCall(call)) = &call.node else { return Ok(()) };
        let meant = match names(&call.funcname).as_slice() {
            [name] => self.overloads(None, name),
            [schema, name] => self.overloads(Some(schema), name),
            _ => Vec::new(),
        };
        if meant.iter().any(|function| function.sql.is_some()) {
            self.join_in(OF_FUNCTION)?;
        }
        self.in_from.extend(meant.into_iter().map(|function| function.id));
        Ok(())
    }

    /// Adds what is known of the columns of a call in FROM.
    fn columns_of_call(
        &self,
        call: &Node,
        alias: Option<&Alias>,
        is_alone: bool,
        columns: &mut Columns,
    ) -> Result<(), Rejection> {
        let shape = match &call.node {
            Some(NodeEnum::FuncCall(call)) => match names(&call.funcname).as_slice() {
                [name] if self.is_built_in_alone(name) => functions::shape(name),
                [PG_CATALOG, name] => functions::shape(name),
                _ => Shape::Unknown,
            },
            // CURRENT_DATE and its like.
            Some(NodeEnum::SqlvalueFunction(_)) => Shape::Scalar,
            _ => Shape::Unknown,
        };
        match shape {
            Shape::Scalar => {
                let name = alias.filter(|_| is_alone).map(|alias| alias.aliasname.as_str());
                let name = name.or_else(|| naming::output_name(call)).map(Into::into);
                columns.push(Column::new(name, Restriction::Free))
            }
            Shape::Named(names) => columns.extend(&Columns::named(names.iter().copied())?),
            Shape::Unknown => {
                columns.push_unknown();
                Ok(())
            }
        }
    }

    fn column_definitions(&mut self, definitions: &'a [Node], columns: &mut Columns) -> Result<(), Rejection> {
        for definition in definitions {
            let Some(NodeEnum::ColumnDef(definition)) = &definition.node else {
                return Err(self.unexpected(definition, -1));
            };
            let ColumnDef {
                colname,
                type_name,
                compression: _,
                inhcount: _,
                is_local: _,
                is_not_null: _,
                is_from_type: _,
                storage: _,
                storage_name: _,
                raw_default,
                cooked_default,
                identity: _,
                identity_sequence,
                generated: _,
                coll_clause: _,
                coll_oid: _,
                constraints,
                fdwoptions,
                location,
            } = definition.as_ref();
            let plain = raw_default.is_none()
                && cooked_default.is_none()
                && identity_sequence.is_none()
                && constraints.is_empty()
                && fdwoptions.is_empty();
            if !plain {
                return Err(self.unknown("a column definition with more than a name and a type", *location));
            }
            self.optional_type(type_name.as_ref())?;
            columns.push(Column::free(colname.as_str()))?;
        }
        Ok(())
    }

    fn sample(&mut self, sample: &'a RangeTableSample) -> Result<Columns, Rejection> {
        let RangeTableSample { relation, method, args, repeatable, location } = sample;
        match names(method).as_slice() {
            [method] | [PG_CATALOG, method] if SAMPLING.contains(method) => {}
            [method] if self.samples_by_extension(None, method) => {}
            [schema, method] if self.samples_by_extension(Some(schema), method) => {}
            _ => {
                return Err(self
                    .unknown("a sampling method other than BERNOULLI and SYSTEM", *location)
                    .suggest("Write TABLESAMPLE BERNOULLI (percent) or TABLESAMPLE SYSTEM (percent)."));
            }
        }
        let Some(relation) = relation else { return Err(self.unknown("a sample of nothing", *location)) };
        // They see nothing of the FROM clause, the relation that is sampled among it.
        self.apart(|walk| {
            walk.expressions(args)?;
            walk.optional(repeatable.as_deref())
        })?;
        self.row_source(relation)
    }

    /// Whether a sampling method is one of those that come with PostgreSQL as extensions.
    fn samples_by_extension(&self, schema: Option<&str>, method: &str) -> bool {
        let Some((_, extension)) = SAMPLING_EXTENSIONS.iter().find(|(known, _)| *known == method) else { return false };
        let is_its = |function: &&Function| function.extension.as_deref() == Some(*extension);
        match self.mode {
            Mode::Final => {
                let meant = self.overloads(schema, method);
                !meant.is_empty() && meant.iter().all(is_its)
            }
            Mode::Advisory | Mode::Definition => true,
        }
    }

    fn xml_table(&mut self, table: &'a RangeTableFunc) -> Result<Columns, Rejection> {
        let RangeTableFunc { lateral: _, docexpr, rowexpr, namespaces, columns, alias, location } = table;
        self.optional(docexpr.as_deref())?;
        self.optional(rowexpr.as_deref())?;
        for namespace in namespaces {
            self.target(namespace)?;
        }
        let mut known = Columns::default();
        for column in columns {
            let Some(NodeEnum::RangeTableFuncCol(column)) = &column.node else {
                return Err(self.unexpected(column, *location));
            };
            let RangeTableFuncCol {
                colname,
                type_name,
                for_ordinality: _,
                is_not_null: _,
                colexpr,
                coldefexpr,
                location: _,
            } = column.as_ref();
            self.optional_type(type_name.as_ref())?;
            self.optional(colexpr.as_deref())?;
            self.optional(coldefexpr.as_deref())?;
            known.push(Column::free(colname.as_str()))?;
        }
        self.bring_in("xmltable", alias.as_ref(), known)
    }
}

/// The arrays of `unnest(a, b, …)`, which as an item of FROM stands for as many calls.
fn side_by_side(call: &Node) -> Option<&[Node]> {
    let Some(NodeEnum::FuncCall(call)) = &call.node else { return None };
    let FuncCall {
        funcname,
        args,
        agg_order,
        agg_filter: None,
        over: None,
        agg_within_group: false,
        agg_star: false,
        agg_distinct: false,
        func_variadic: false,
        funcformat: _,
        location: _,
    } = call.as_ref()
    else {
        return None;
    };
    (names(funcname) == ["unnest"] && args.len() > 1 && agg_order.is_empty()).then_some(args.as_slice())
}
