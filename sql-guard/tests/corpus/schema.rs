//! A catalog read from CREATE statements, so that the corpora are judged without a database.

use std::collections::{BTreeMap, BTreeSet};

use pg_query::NodeEnum;
use pg_query::protobuf::{Node, RangeVar, SelectStmt};
use sql_guard::{Catalog, Relation, RelationName, UserType};

/// What the CREATE statements of a file make.
#[derive(Debug, Clone, Default)]
pub(crate) struct Schema {
    search_path: Vec<String>,
    relations: BTreeMap<(String, String), Vec<String>>,
    functions: BTreeSet<String>,
    operators: BTreeSet<String>,
    types: BTreeMap<(String, String), UserType>,
}

impl Schema {
    /// Reads a file; lines for psql are left out, and unqualified names go to the schema that the file sets as its search_path.
    pub(crate) fn read(sql: &str) -> Self {
        let sql: String = sql.lines().filter(|line| !line.starts_with('\\')).flat_map(|line| [line, "\n"]).collect();
        let tree = pg_query::parse(&sql, 0).expect("the schema file is SQL").protobuf;
        let mut schema = Self::default();
        let mut default = "public".to_string();
        for statement in tree.stmts {
            if let Some(node) = statement.stmt.and_then(|node| node.node) {
                schema.create(&node, &mut default);
            }
        }
        schema
    }

    /// With this search_path.
    pub(crate) fn on(mut self, search_path: &str) -> Self {
        self.search_path = search_path.split(',').map(|schema| schema.trim().to_string()).collect();
        self
    }

    /// With the objects of another file too.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.relations.extend(other.relations);
        self.functions.extend(other.functions);
        self.operators.extend(other.operators);
        self.types.extend(other.types);
        self
    }

    /// Without a relation, as if it were hidden.
    pub(crate) fn without_table(mut self, name: &str) -> Self {
        let (schema, table) = name.split_once('.').expect("hidden tables have a schema");
        self.relations.remove(&(schema.to_string(), table.to_string()));
        self
    }

    /// Without a column, as if it were hidden.
    pub(crate) fn without_column(mut self, name: &str) -> Self {
        let (table, column) = name.rsplit_once('.').expect("hidden columns have a table");
        let (schema, table) = table.split_once('.').expect("hidden columns have a schema");
        if let Some(columns) = self.relations.get_mut(&(schema.to_string(), table.to_string())) {
            columns.retain(|known| known != column);
        }
        self
    }

    fn create(&mut self, node: &NodeEnum, default: &mut String) {
        let place = |name: &RangeVar, default: &str| match name.schemaname.as_str() {
            "" => (default.to_string(), name.relname.clone()),
            schema => (schema.to_string(), name.relname.clone()),
        };
        match node {
            NodeEnum::VariableSetStmt(set) if set.name == "search_path" => {
                if let Some(NodeEnum::AConst(first)) = set.args.first().and_then(|arg| arg.node.as_ref())
                    && let Some(pg_query::protobuf::a_const::Val::Sval(schema)) = &first.val
                    && !schema.sval.is_empty()
                {
                    default.clone_from(&schema.sval);
                }
            }
            NodeEnum::CreateStmt(table) => {
                let Some(name) = &table.relation else { return };
                let mut columns = Vec::new();
                for parent in &table.inh_relations {
                    if let Some(NodeEnum::RangeVar(parent)) = &parent.node {
                        columns.extend(self.relations.get(&place(parent, default)).cloned().unwrap_or_default());
                    }
                }
                columns.extend(table.table_elts.iter().filter_map(|element| match &element.node {
                    Some(NodeEnum::ColumnDef(column)) => Some(column.colname.clone()),
                    _ => None,
                }));
                self.relations.insert(place(name, default), columns);
            }
            NodeEnum::ViewStmt(view) => {
                let Some(name) = &view.view else { return };
                let columns = self.outputs(view.query.as_deref(), default);
                self.relations.insert(place(name, default), columns);
            }
            NodeEnum::CreateTableAsStmt(table) => {
                let Some(name) = table.into.as_ref().and_then(|into| into.rel.as_ref()) else { return };
                let columns = self.outputs(table.query.as_deref(), default);
                self.relations.insert(place(name, default), columns);
            }
            NodeEnum::CreateFunctionStmt(function) => self.functions.extend(last(&function.funcname)),
            NodeEnum::DefineStmt(define) => self.operators.extend(last(&define.defnames)),
            NodeEnum::CreateDomainStmt(domain) => {
                let name = last(&domain.domainname).expect("a domain has a name");
                self.types.insert((default.clone(), name), UserType::Guarded);
            }
            NodeEnum::CreateEnumStmt(labels) => {
                let name = last(&labels.type_name).expect("an enum has a name");
                self.types.insert((default.clone(), name), UserType::Plain);
            }
            _ => {}
        }
    }

    fn outputs(&self, query: Option<&Node>, default: &str) -> Vec<String> {
        let Some(NodeEnum::SelectStmt(select)) = query.and_then(|query| query.node.as_ref()) else { return Vec::new() };
        select.target_list.iter().flat_map(|target| self.output(target, select, default)).collect()
    }

    fn output(&self, target: &Node, select: &SelectStmt, default: &str) -> Vec<String> {
        let Some(NodeEnum::ResTarget(target)) = &target.node else { return Vec::new() };
        if !target.name.is_empty() {
            return vec![target.name.clone()];
        }
        match target.val.as_ref().and_then(|value| value.node.as_ref()) {
            Some(NodeEnum::ColumnRef(reference)) => match last(&reference.fields) {
                Some(name) => vec![name],
                None => self.star(select, default),
            },
            Some(NodeEnum::FuncCall(call)) => last(&call.funcname).into_iter().collect(),
            _ => Vec::new(),
        }
    }

    fn star(&self, select: &SelectStmt, default: &str) -> Vec<String> {
        let tables = select.from_clause.iter().filter_map(|item| match &item.node {
            Some(NodeEnum::RangeVar(table)) => Some((default.to_string(), table.relname.clone())),
            _ => None,
        });
        tables.flat_map(|table| self.relations.get(&table).cloned().unwrap_or_default()).collect()
    }
}

impl Catalog for Schema {
    fn search_path(&self) -> &[String] {
        &self.search_path
    }

    fn relation(&self, schema: &str, name: &str) -> Option<Relation> {
        let key = (schema.to_string(), name.to_string());
        let columns = self.relations.get(&key)?.clone();
        Some(Relation { name: RelationName { schema: key.0, name: key.1 }, columns })
    }

    fn relation_names(&self) -> Vec<RelationName> {
        let names = self.relations.keys();
        names.map(|(schema, name)| RelationName { schema: schema.clone(), name: name.clone() }).collect()
    }

    fn has_function(&self, name: &str) -> bool {
        self.functions.contains(name)
    }

    fn has_operator(&self, name: &str) -> bool {
        self.operators.contains(name)
    }

    fn user_type(&self, schema: &str, name: &str) -> Option<UserType> {
        self.types.get(&(schema.to_string(), name.to_string())).copied()
    }
}

fn last(names: &[Node]) -> Option<String> {
    names.last().and_then(text)
}

fn text(node: &Node) -> Option<String> {
    match &node.node {
        Some(NodeEnum::String(value)) => Some(value.sval.clone()),
        _ => None,
    }
}
