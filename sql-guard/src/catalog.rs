//! What the guard asks about a database: the small trait that a cached catalog answers.

/// The name of a relation with its schema, exactly as PostgreSQL stores it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RelationName {
    /// The schema; empty only in [`crate::Advice`], for an unqualified name that no catalog has resolved.
    pub schema: String,
    /// The relation.
    pub name: String,
}

/// A table, view or other relation that a statement may read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// Its name.
    pub name: RelationName,
    /// Its columns in order, without PostgreSQL's system columns.
    pub columns: Vec<String>,
}

/// What casting to one of the database's own types does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserType {
    /// Runs none of the user's functions, e.g. an enum that no CREATE CAST names.
    Plain,
    /// May run one, or nobody can tell: a domain, a composite, a range, a base type.
    Guarded,
}

/// One database as one caller may see it. What is hidden from the caller is absent from every answer.
///
/// Names are compared exactly; the guard has already folded and cut them as PostgreSQL does.
pub trait Catalog: Send + Sync {
    /// The schemas in which the session looks up unqualified names, in order. `pg_catalog` comes first where it isn't listed.
    fn search_path(&self) -> &[String];

    /// The relation of that name, or nothing.
    fn relation(&self, schema: &str, name: &str) -> Option<Relation>;

    /// Every relation there is, for suggestions.
    fn relation_names(&self) -> Vec<RelationName>;

    /// Whether a function, aggregate or procedure of that name exists in any schema but `pg_catalog`, callable or not.
    ///
    /// Such a function could be meant by a call of a built-in of the same name, or by `alias.name`, so a forgotten one is a hole.
    fn has_function(&self, name: &str) -> bool;

    /// Whether an operator of that name, e.g. `=`, is defined in any schema but `pg_catalog`, leaving out those that came with
    /// an extension. Such an operator could be the one that the statement means.
    fn has_operator(&self, name: &str) -> bool;

    /// The type of that name in a schema other than `pg_catalog`; unknown types are refused.
    fn user_type(&self, schema: &str, name: &str) -> Option<UserType>;
}
