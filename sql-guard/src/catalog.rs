//! What the guard asks about a database: the small trait that a cached catalog answers, and the facts in its answers.

use std::fmt;
use std::sync::Arc;

use crate::system::PG_CATALOG;
use crate::words::Words;

/// The name of a relation with its schema, exactly as PostgreSQL stores it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RelationName {
    /// The schema; empty only in [`crate::Advice`], for an unqualified name that no catalog has resolved.
    pub schema: String,
    /// The relation.
    pub name: String,
}

/// The name of a type with its schema, exactly as PostgreSQL stores it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TypeName {
    /// The schema.
    pub schema: Arc<str>,
    /// The type.
    pub name: Arc<str>,
}

impl TypeName {
    /// PostgreSQL's `text`.
    pub fn text() -> Self {
        Self { schema: PG_CATALOG.into(), name: "text".into() }
    }
}

/// PostgreSQL's number of an object.
pub type ObjectId = u32;

/// A table, view or other relation. Those that the role may not read are relations all the same: rules about them hold for what
/// is read through others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// Its name.
    pub name: RelationName,
    /// Its columns in order, without PostgreSQL's system columns.
    pub columns: Vec<Column>,
    /// The tables that it is a partition of or inherits from.
    pub parents: Vec<RelationName>,
    /// Its partitions and the tables that inherit from it.
    pub children: Vec<RelationName>,
    /// What stands behind it, where it is a view or materialised view.
    pub view: Option<View>,
    /// Whether the role may read any of its columns.
    pub is_readable: bool,
    /// Whether it came with an extension.
    pub is_extensions: bool,
    /// Whether reading it may run code of the database's own that no statement shows, as row-level security does.
    pub runs_code: bool,
    /// What PostgreSQL may run where a statement that reads it is planned.
    pub planned: Planned,
}

/// What PostgreSQL may run where a statement that reads a relation is planned, though no statement names it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Planned {
    /// Functions that compare in its indexes, and the bounds of its partitions: they run whatever PostgreSQL was told of them.
    pub compares: Vec<FunctionRef>,
    /// The types of the columns by which it is partitioned: the bounds are compared whoever reads it.
    pub key_types: Vec<TypeName>,
    /// Functions that stand in its indexes, statistics, CHECKs and partition key, also behind operators there: PostgreSQL computes
    /// beforehand what is IMMUTABLE.
    pub calls: Vec<FunctionRef>,
    /// Types that stand there: a domain's CHECK is planned where something is converted to it, and constants are compared.
    pub types: Vec<TypeName>,
}

impl Relation {
    /// A table that stands alone, and that the role may read.
    pub fn table(schema: &str, name: &str, columns: impl IntoIterator<Item = Column>) -> Self {
        Self {
            name: RelationName { schema: schema.to_owned(), name: name.to_owned() },
            columns: columns.into_iter().collect(),
            parents: Vec::new(),
            children: Vec::new(),
            view: None,
            is_readable: true,
            is_extensions: false,
            runs_code: false,
            planned: Planned::default(),
        }
    }
}

/// A column of a relation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: Arc<str>,
    /// Its type.
    pub type_name: TypeName,
    /// Whether the role may read it. Those that it may not are listed all the same: they have a place in the row.
    pub is_readable: bool,
    /// The words of the expression that it is generated from.
    pub generated_from: Option<Arc<Words>>,
}

impl Column {
    /// A column that the role may read.
    pub fn new(name: &str, type_name: TypeName) -> Self {
        Self { name: name.into(), type_name, is_readable: true, generated_from: None }
    }
}

/// What a view reads and runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct View {
    /// The SELECT, as `pg_get_viewdef` prints it for a session with the catalog's search_path.
    pub definition: String,
    /// The relations that it reads directly, whether or not the role may read them.
    pub reads: Vec<RelationName>,
    /// Functions that it calls, those behind its operators and casts among them; PostgreSQL's own only where an operator of the
    /// database's stands before them.
    pub functions: Vec<FunctionRef>,
    /// Types of the database's own that it converts to.
    pub types: Vec<TypeName>,
}

/// A function behind an operator, a cast, a type or an aggregate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FunctionRef {
    /// One of PostgreSQL's own, by its name.
    BuiltIn(String),
    /// One of the database's own.
    User(ObjectId),
}

/// A function, aggregate or procedure of the database's own: any that did not come with PostgreSQL itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// Its number.
    pub id: ObjectId,
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Fewest arguments of a call; those with defaults may be left out.
    pub least: usize,
    /// Most arguments of a call; nothing where the last one is VARIADIC.
    pub most: Option<usize>,
    /// The types of its arguments.
    pub arguments: Vec<TypeName>,
    /// The types of its result: its own, and those of its OUT arguments.
    pub returns: Vec<TypeName>,
    /// Whether a call may change anything, as PostgreSQL was told.
    pub volatility: Volatility,
    /// Whether it runs with its owner's rights.
    pub is_security_definer: bool,
    /// Whether it is a procedure, which no query can call.
    pub is_procedure: bool,
    /// The extension that it came with.
    pub extension: Option<String>,
    /// The words of its body, where it is written in a language that shows them.
    pub body: Option<Arc<Words>>,
    /// The words of its arguments' defaults, which are among those of its body too.
    pub defaults: Option<Arc<Words>>,
    /// Its body, where that is SQL.
    pub sql: Option<Arc<str>>,
    /// Whether its body is in a language whose words say too little of what it does.
    pub is_opaque: bool,
    /// Whether it runs under settings of its own, such as another search_path.
    pub has_settings: bool,
    /// The functions that an aggregate works with.
    pub uses: Vec<FunctionRef>,
}

/// `pg_proc.provolatile`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Volatility {
    /// The result depends on the arguments alone.
    Immutable,
    /// The result is the same all through a statement.
    Stable,
    /// Anything may happen.
    Volatile,
}

/// An operator of the database's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// What it may run: its own function, those of its commutator and negator, and those of the operator classes that it sorts or
    /// compares in.
    pub functions: Vec<FunctionRef>,
}

impl fmt::Display for TypeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if &*self.schema != PG_CATALOG {
            write!(f, "{}.", self.schema)?;
        }
        f.write_str(&self.name)
    }
}

/// Code of the database's own that PostgreSQL may run where no statement names it: of an implicit cast, or of an operator class on
/// a type of PostgreSQL's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// What it belongs to, such as `the cast from int4 to bool`.
    pub of: String,
    /// What runs.
    pub function: FunctionRef,
    /// Whether it may run on values of PostgreSQL's own types, which are anywhere.
    pub is_anywhere: bool,
}

/// A type of the database's own. Its array type is one too.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserType {
    /// What converting to or from it, or comparing its values, runs whatever PostgreSQL was told of it: its own input, output and
    /// support functions, and those of its operator classes.
    pub functions: Vec<FunctionRef>,
    /// What a conversion to or from it calls: functions of casts, and those that a domain's CHECK calls.
    pub calls: Vec<FunctionRef>,
    /// The words of a domain's CHECK.
    pub checks: Option<Arc<Words>>,
    /// The types of the database's own that a domain's CHECK converts to.
    pub converts_to: Vec<TypeName>,
    /// The types that it is made of: a domain's base, a composite's fields, a range's or an array's element.
    pub parts: Vec<TypeName>,
    /// Whether it is an array type.
    pub is_array: bool,
    /// Whether it is a domain.
    pub is_domain: bool,
    /// The relation of which it is the row type.
    pub row_of: Option<RelationName>,
}

/// One database as its role sees it. Policy is the guard's business: what a caller may not see is here all the same.
///
/// Names are compared exactly; the guard has already folded and cut them as PostgreSQL does. The facts about functions,
/// operators, types and casts are the server's; the agent's catalog may leave them out, because [`crate::Guard::advise`] doesn't ask.
pub trait Catalog: Send + Sync {
    /// The schemas in which the session looks up unqualified names, in order. `pg_catalog` comes first where it isn't listed.
    fn search_path(&self) -> &[String];

    /// The relation of that name, or nothing.
    fn relation(&self, schema: &str, name: &str) -> Option<&Relation>;

    /// Every relation there is.
    fn relations(&self) -> Box<dyn Iterator<Item = &Relation> + '_>;

    /// All functions, aggregates and procedures of that name, in any schema. A forgotten one is a hole: a call of a built-in of
    /// the same name, or `alias.name`, could mean it.
    fn functions(&self, name: &str) -> &[Function] {
        let _ = name;
        &[]
    }

    /// A function by its number.
    fn function(&self, id: ObjectId) -> Option<&Function> {
        let _ = id;
        None
    }

    /// The database's own name, by which names may begin; nothing where it isn't known.
    fn database(&self) -> Option<&str> {
        None
    }

    /// All operators of that name.
    fn operators(&self, name: &str) -> &[Operator] {
        let _ = name;
        &[]
    }

    /// The type of that name in a schema other than `pg_catalog`.
    fn user_type(&self, schema: &str, name: &str) -> Option<&UserType> {
        let _ = (schema, name);
        None
    }

    /// What casts of the database's own to a type of PostgreSQL's run.
    fn casts_to(&self, built_in: &str) -> &[FunctionRef] {
        let _ = built_in;
        &[]
    }

    /// The casts of the database's own between types of PostgreSQL's: to which type, and what runs.
    fn casts_of_built_ins(&self) -> &[(Arc<str>, FunctionRef)] {
        &[]
    }

    /// Code of the database's own that runs where no statement names it.
    fn hooks(&self) -> &[Hook] {
        &[]
    }

    /// The names of all functions.
    fn function_names(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        Box::new(std::iter::empty())
    }

    /// Every operator.
    fn all_operators(&self) -> Box<dyn Iterator<Item = &Operator> + '_> {
        Box::new(std::iter::empty())
    }

    /// Every type in a schema other than `pg_catalog`.
    fn user_types(&self) -> Box<dyn Iterator<Item = (TypeName, &UserType)> + '_> {
        Box::new(std::iter::empty())
    }

    /// Whether the database's text is UTF-8, so that it cuts and folds names as the grammar here does.
    fn is_utf8(&self) -> bool {
        true
    }
}
