//! FROM: relations, subqueries, joins, samples and functions that give rows.

use pg_query::NodeEnum;
use pg_query::protobuf::{
    ColumnDef, JoinExpr, List, Node, RangeFunction, RangeSubselect, RangeTableFunc, RangeTableFuncCol,
    RangeTableSample, TypeName,
};

use super::{Place, Walk, names};
use crate::columns::Columns;
use crate::rejection::Rejection;
use crate::relations::PG_CATALOG;

/// The sampling methods of PostgreSQL itself.
const SAMPLING: &[&str] = &["bernoulli", "system"];

impl Walk<'_> {
    /// Judges an item of FROM and brings it in.
    pub(super) fn row_source(&mut self, item: &Node) -> Result<(), Rejection> {
        self.enter()?;
        match &item.node {
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
        Ok(())
    }

    fn join(&mut self, join: &JoinExpr) -> Result<(), Rejection> {
        let JoinExpr { jointype: _, is_natural, larg, rarg, using_clause, join_using_alias, quals, alias, rtindex: _ } =
            join;
        let before = self.level().items.len();
        let (Some(left), Some(right)) = (larg, rarg) else { return Err(self.unknown("half a join", -1)) };
        self.row_source(left)?;
        let between = self.level().items.len();
        self.row_source(right)?;
        if *is_natural || !using_clause.is_empty() {
            self.implied_operator("=", -1)?;
            let (left, right) =
                self.levels.last().map_or(&[][..], |level| &level.items[before..]).split_at(between - before);
            self.merged_columns(&names(using_clause), [left, right])?;
        }
        if let Some(alias) = join_using_alias {
            self.bring_in("", Some(alias), Columns::all(names(using_clause))?)?;
        }
        self.optional(quals.as_deref())?;
        if let Some(alias) = alias {
            let mut columns = Columns::default();
            for item in self.level().items.split_off(before) {
                columns.extend(&item.columns)?;
            }
            if !alias.colnames.is_empty() {
                // USING merges columns, so which of them the aliases rename isn't plain to see.
                columns.open = true;
            }
            self.count_columns(&columns)?;
            self.bring_in("", Some(alias), columns)?;
        }
        Ok(())
    }

    fn subquery(&mut self, subquery: &RangeSubselect) -> Result<(), Rejection> {
        let RangeSubselect { lateral: _, subquery, alias } = subquery;
        match subquery.as_deref() {
            Some(Node { node: Some(NodeEnum::SelectStmt(select)) }) => {
                let columns = self.select(select)?;
                self.bring_in("", alias.as_ref(), columns)
            }
            _ => Err(self.unknown("a subquery that is no SELECT", -1)),
        }
    }

    fn row_function(&mut self, function: &RangeFunction) -> Result<(), Rejection> {
        let RangeFunction { lateral: _, ordinality, is_rowsfrom: _, functions, alias, coldeflist } = function;
        let mut columns = Columns::unknown();
        let mut name = String::new();
        for function in functions {
            // Each is a pair of the call and its own column definitions, if any.
            let Some(NodeEnum::List(List { items })) = &function.node else {
                return Err(self.unexpected(function, -1));
            };
            let [call, definitions] = items.as_slice() else { return Err(self.unexpected(function, -1)) };
            self.expression(call)?;
            if let Some(NodeEnum::FuncCall(call)) = &call.node {
                name = names(&call.funcname).last().map(ToString::to_string).unwrap_or_default();
            }
            match &definitions.node {
                None => {}
                Some(NodeEnum::List(List { items })) => self.column_definitions(items, &mut columns)?,
                _ => return Err(self.unexpected(definitions, -1)),
            }
        }
        self.column_definitions(coldeflist, &mut columns)?;
        if *ordinality {
            columns.push(Some("ordinality"))?;
        }
        // A column alias takes the place of an unknown name: what is known without it may be what it renames.
        if alias.as_ref().is_some_and(|alias| !alias.colnames.is_empty()) {
            columns = Columns::unknown();
        }
        self.bring_in(&name, alias.as_ref(), columns)
    }

    fn column_definitions(&mut self, definitions: &[Node], columns: &mut Columns) -> Result<(), Rejection> {
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
            columns.push(Some(colname))?;
        }
        Ok(())
    }

    fn sample(&mut self, sample: &RangeTableSample) -> Result<(), Rejection> {
        let RangeTableSample { relation, method, args, repeatable, location } = sample;
        match names(method).as_slice() {
            [method] | [PG_CATALOG, method] if SAMPLING.contains(method) => {}
            _ => {
                return Err(self
                    .unknown("a sampling method other than BERNOULLI and SYSTEM", *location)
                    .suggest("Write TABLESAMPLE BERNOULLI (percent) or TABLESAMPLE SYSTEM (percent)."));
            }
        }
        match relation {
            Some(relation) => self.row_source(relation)?,
            None => return Err(self.unknown("a sample of nothing", *location)),
        }
        self.expressions(args)?;
        self.optional(repeatable.as_deref())
    }

    fn xml_table(&mut self, table: &RangeTableFunc) -> Result<(), Rejection> {
        let RangeTableFunc { lateral: _, docexpr, rowexpr, namespaces, columns, alias, location } = table;
        self.optional(docexpr.as_deref())?;
        self.optional(rowexpr.as_deref())?;
        for namespace in namespaces {
            self.target(namespace, Place::Combined)?;
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
            known.push(Some(colname))?;
        }
        self.bring_in("xmltable", alias.as_ref(), known)
    }

    /// Judges a type where one is named.
    pub(super) fn optional_type(&self, type_name: Option<&TypeName>) -> Result<(), Rejection> {
        type_name.map_or(Ok(()), |type_name| self.type_name(type_name))
    }
}
