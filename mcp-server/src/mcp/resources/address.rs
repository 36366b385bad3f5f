//! The URIs of resources: what they name, taken apart and put together.

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

/// How every URI of ours begins.
const SCHEME: &str = "postgres://";

/// The word that stands before the name of a saved query.
const QUERIES: &str = "queries";

/// What can't stand for itself in a part of a URI.
const RESERVED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'/')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// What a URI names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) database: String,
    pub(super) part: Part,
}

/// What of a database it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// A page of the whole catalog, for machines.
    Catalog { cursor: Option<String> },
    /// The whole schema as text.
    Schema,
    /// The tables and their keys as a diagram.
    Erd,
    /// One table or view.
    Table { schema: String, table: String },
    /// A saved query.
    Query { name: String },
}

impl Address {
    /// The address that a URI is, where it has the form of one. A table of a schema that is called `queries` has its first letter
    /// written `%71`.
    pub(super) fn parse(uri: &str) -> Option<Self> {
        let rest = uri.strip_prefix(SCHEME)?;
        let (path, query) = match rest.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (rest, None),
        };
        let mut parts = path.split('/');
        let (database, first, second) = (plain(parts.next()?)?, parts.next()?, parts.next());
        let part = match (first, second, parts.next()) {
            ("catalog", None, _) => {
                let cursor = match query {
                    Some(query) => Some(query.strip_prefix("cursor=")?.to_owned()),
                    None => None,
                };
                return Some(Self { database, part: Part::Catalog { cursor } });
            }
            ("schema", None, _) => Part::Schema,
            ("erd", None, _) => Part::Erd,
            (QUERIES, Some(name), None) => Part::Query { name: plain(name)? },
            (schema, Some(table), None) => Part::Table { schema: plain(schema)?, table: plain(table)? },
            _ => return None,
        };
        query.is_none().then_some(Self { database, part })
    }

    /// The same as a URI.
    pub(super) fn uri(&self) -> String {
        let database = encoded(&self.database);
        match &self.part {
            Part::Catalog { cursor: None } => format!("{SCHEME}{database}/catalog"),
            Part::Catalog { cursor: Some(cursor) } => format!("{SCHEME}{database}/catalog?cursor={cursor}"),
            Part::Schema => format!("{SCHEME}{database}/schema"),
            Part::Erd => format!("{SCHEME}{database}/erd"),
            Part::Query { name } => format!("{SCHEME}{database}/{QUERIES}/{}", encoded(name)),
            Part::Table { schema, table } if schema == QUERIES => {
                format!("{SCHEME}{database}/%71ueries/{}", encoded(table))
            }
            Part::Table { schema, table } => format!("{SCHEME}{database}/{}/{}", encoded(schema), encoded(table)),
        }
    }
}

fn encoded(name: &str) -> String {
    utf8_percent_encode(name, RESERVED).to_string()
}

/// A part of a URI as the name that it stands for; none is empty.
fn plain(part: &str) -> Option<String> {
    let name = percent_decode_str(part).decode_utf8().ok()?;
    (!name.is_empty()).then(|| name.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(uri: &str, database: &str, part: Part) {
        let address = Address { database: database.to_owned(), part };
        assert_eq!(Address::parse(uri).as_ref(), Some(&address), "{uri}");
        assert_eq!(address.uri(), uri);
    }

    fn table(schema: &str, table: &str) -> Part {
        Part::Table { schema: schema.to_owned(), table: table.to_owned() }
    }

    #[test]
    fn uris_are_taken_apart_and_put_together() {
        check("postgres://shop/catalog", "shop", Part::Catalog { cursor: None });
        check("postgres://shop/catalog?cursor=ab-1", "shop", Part::Catalog { cursor: Some("ab-1".to_owned()) });
        check("postgres://shop/schema", "shop", Part::Schema);
        check("postgres://shop/erd", "shop", Part::Erd);
        check("postgres://shop/public/orders", "shop", table("public", "orders"));
        check("postgres://my%20shop/a%2Fb/100%25%3F", "my shop", table("a/b", "100%?"));
        check("postgres://shop/gr%C3%B6%C3%9Fe/b", "shop", table("größe", "b"));
        check("postgres://shop/catalog/erd", "shop", table("catalog", "erd"));
        check("postgres://shop/queries/top", "shop", Part::Query { name: "top".to_owned() });
        check("postgres://shop/%71ueries/top", "shop", table("queries", "top"));
    }

    #[test]
    fn what_is_none_is_not_taken_for_one() {
        for uri in [
            "postgres://shop/catalog?page=1",
            "postgres:///catalog",
            "postgres://shop",
            "postgres://shop/tables",
            "postgres://shop/public/",
            "postgres://shop/public/orders/id",
            "postgres://shop/public/orders?cursor=1",
            "postgres://shop/%ff/orders",
            "file:///etc/passwd",
            "",
        ] {
            assert_eq!(Address::parse(uri), None, "{uri}");
        }
    }
}
