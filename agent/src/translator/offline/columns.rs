//! What a column is good for, told from its type, name and constraints: measuring, ordering in time, naming a row.

use shared_protocol::catalog::{Column, Table};

use super::words::split_identifier;

/// The family of a column's type, as far as reading a question needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Integer,
    /// `numeric`: exact, so that values go as strings.
    Decimal,
    Float,
    Text,
    Boolean,
    Date,
    Timestamp,
    Uuid,
    /// Everything that questions can't compare yet: arrays, json, ranges, intervals …
    Other,
}

impl Family {
    pub(super) fn is_number(self) -> bool {
        matches!(self, Self::Integer | Self::Decimal | Self::Float)
    }

    pub(super) fn is_time(self) -> bool {
        matches!(self, Self::Date | Self::Timestamp)
    }
}

/// The family of the column's type.
pub(super) fn family(column: &Column) -> Family {
    if column.enum_values.is_some() {
        return Family::Text;
    }
    family_of(&column.data_type)
        // A domain is read as the type beneath it.
        .or_else(|| column.type_definition.as_deref().and_then(family_of))
        .unwrap_or(Family::Other)
}

fn family_of(data_type: &str) -> Option<Family> {
    if data_type.ends_with("[]") {
        return Some(Family::Other);
    }
    let name = data_type.split('(').next().unwrap_or_default().trim().to_ascii_lowercase();
    let first = name.split_whitespace().next().unwrap_or_default();
    Some(match first {
        "smallint" | "integer" | "bigint" | "int2" | "int4" | "int8" | "int" => Family::Integer,
        "numeric" | "decimal" => Family::Decimal,
        "real" | "double" | "float4" | "float8" => Family::Float,
        "text" | "varchar" | "character" | "char" | "citext" | "name" | "bpchar" => Family::Text,
        "boolean" | "bool" => Family::Boolean,
        "date" => Family::Date,
        "timestamp" | "timestamptz" => Family::Timestamp,
        "uuid" => Family::Uuid,
        _ => return None,
    })
}

/// Most characters that a value may have, where the type says so.
pub(super) fn max_length(column: &Column) -> Option<usize> {
    if family(column) != Family::Text {
        return None;
    }
    column.data_type.split_once('(')?.1.split(')').next()?.trim().parse().ok()
}

/// The only values that the column may hold: its enum's labels, or the list of a CHECK on it alone.
pub(super) fn labels(table: &Table, column: &Column) -> Option<Vec<String>> {
    if let Some(values) = &column.enum_values {
        return Some(values.clone());
    }
    if family(column) != Family::Text {
        return None;
    }
    table
        .constraints
        .iter()
        .filter(|c| c.r#type == "CHECK" && c.columns.len() == 1 && c.columns[0] == column.name)
        .filter_map(|c| c.definition.as_deref())
        .chain(column.type_definition.as_deref())
        .find_map(listed_values)
}

/// The values of `x = ANY (ARRAY['a'::text, …])`, as PostgreSQL prints `x IN ('a', …)`, or of the IN itself.
fn listed_values(definition: &str) -> Option<Vec<String>> {
    let lower = definition.to_ascii_lowercase();
    let alone =
        !lower.contains(" and ") && !lower.contains(" or ") && !lower.contains("not ") && !lower.contains("<> all");
    let list = lower.find("= any").or_else(|| lower.find(" in ("))?;
    let values = quoted_strings(&definition[list..]);
    (alone && !values.is_empty()).then_some(values)
}

fn quoted_strings(text: &str) -> Vec<String> {
    let mut values = Vec::new();
    let mut value: Option<String> = None;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match (&mut value, character) {
            (None, '\'') => value = Some(String::new()),
            (Some(open), '\'') if characters.peek() == Some(&'\'') => {
                characters.next();
                open.push('\'');
            }
            (Some(_), '\'') => values.extend(value.take()),
            (Some(open), other) => open.push(other),
            (None, _) => {}
        }
    }
    values
}

/// The column's words without those of its table in front: `product_name` of products is `name`.
pub(super) fn own_words(table: &Table, column: &Column) -> Vec<String> {
    let words = split_identifier(&column.name);
    let table_words = split_identifier(&table.table_name);
    let same = |a: &String, b: &String| super::words::stem(a) == super::words::stem(b);
    let prefix = words.iter().zip(&table_words).take_while(|(a, b)| same(a, b)).count();
    if prefix == table_words.len() && prefix < words.len() { words[prefix..].to_vec() } else { words }
}

/// The columns by which a person would call a row: its name or title, first and last name, or the next best; may be empty.
pub(super) fn naming(table: &Table) -> Vec<usize> {
    let words: Vec<String> = table.columns.iter().map(|c| own_words(table, c).join(" ")).collect();
    let is_text = |index: usize| family(&table.columns[index]) == Family::Text;
    let find = |wanted: &str| words.iter().position(|w| w == wanted).filter(|&index| is_text(index));
    for wanted in ["name", "full name", "fullname", "title", "label", "display name"] {
        if let Some(index) = find(wanted) {
            return vec![index];
        }
    }
    if let (Some(first), Some(last)) = (find("first name"), find("last name")) {
        return vec![first, last];
    }
    // `continent` of continents is its name.
    let table_stem =
        split_identifier(&table.table_name).iter().map(|w| super::words::stem(w)).collect::<Vec<_>>().join(" ");
    let own = words.iter().position(|w| super::words::stem(w) == table_stem).filter(|&index| is_text(index));
    if let Some(index) = own {
        return vec![index];
    }
    for wanted in ["username", "user name", "login", "email", "sku", "code", "number", "slug", "subject"] {
        if let Some(index) = find(wanted) {
            return vec![index];
        }
    }
    let ending = |suffix: &str| {
        let mut named = (0..words.len()).filter(|&i| is_text(i) && words[i].ends_with(suffix));
        named.next().filter(|_| named.next().is_none())
    };
    ending(" name").or_else(|| ending(" title")).into_iter().collect()
}

/// The columns of the primary key, in the table's order.
pub(super) fn primary_key(table: &Table) -> Vec<usize> {
    (0..table.columns.len()).filter(|&index| table.columns[index].is_primary_key).collect()
}

/// The column that says when a row came to be, where one does so clearly.
pub(super) fn creation_time(table: &Table) -> Option<usize> {
    let times: Vec<usize> = (0..table.columns.len()).filter(|&i| family(&table.columns[i]).is_time()).collect();
    let words_of = |index: usize| split_identifier(&table.columns[index].name);
    let table_words: Vec<String> = split_identifier(&table.table_name).iter().map(|w| super::words::stem(w)).collect();
    let says = |index: usize, wanted: &[&str]| words_of(index).iter().any(|w| wanted.contains(&w.as_str()));
    let first = |wanted: &[&str]| times.iter().copied().find(|&index| says(index, wanted));
    first(&["created", "creation", "inserted", "createdat"])
        .or_else(|| first(&["registered", "registration", "joined", "signup", "signed", "placed", "added", "opened"]))
        .or_else(|| {
            // `order_date` of orders, `date` of anything, `reviewed_at` of reviews.
            times.iter().copied().find(|&index| {
                let words: Vec<String> = own_words(table, &table.columns[index]);
                let bare =
                    words.iter().all(|w| ["date", "time", "timestamp", "at", "on", "datetime"].contains(&w.as_str()));
                let of_table = words_of(index)
                    .iter()
                    .filter_map(|w| super::words::root(w))
                    .any(|root| table_words.iter().any(|t| t.starts_with(&root)));
                bare || of_table
            })
        })
        .or_else(|| (times.len() == 1 && !table.columns[times[0]].is_nullable).then(|| times[0]))
}

/// Whether a column is left out unless it is asked for: secrets, and documents too long to read in a list.
pub(super) fn is_withheld(column: &Column) -> bool {
    is_secret(column)
        || matches!(column.data_type.as_str(), "json" | "jsonb" | "bytea" | "xml" | "tsvector")
        || column.data_type.ends_with("[]")
}

/// Whether a name says that the column holds a secret.
pub(super) fn is_secret(column: &Column) -> bool {
    split_identifier(&column.name).iter().any(|word| {
        ["password", "passwd", "pwd", "secret", "token", "hash", "salt", "ssn", "cvv", "pin"].contains(&word.as_str())
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::shop::shop;
    use super::*;

    #[test]
    fn reads_the_list_of_a_check() {
        let check = |definition: &str, expected: Option<&[&str]>| {
            let values = listed_values(definition);
            assert_eq!(
                values.as_deref(),
                expected.map(|e| e.iter().map(ToString::to_string).collect::<Vec<_>>()).as_deref()
            );
        };
        check("CHECK ((method = ANY (ARRAY['card'::text, 'bank transfer'::text])))", Some(&["card", "bank transfer"]));
        check("CHECK (((kind)::text = ANY ((ARRAY['it''s'::character varying])::text[])))", Some(&["it's"]));
        check("CHECK (kind IN ('a', 'b'))", Some(&["a", "b"]));
        check("CHECK ((kind <> ALL (ARRAY['a'::text])))", None);
        check("CHECK ((price > 0))", None);
    }

    #[test]
    fn finds_what_names_a_row_and_when_it_came() {
        let context = shop();
        let check = |table: &str, names: &[&str], time: Option<&str>| {
            let table = context.table(None, table).expect("the shop has the table");
            let name_of = |index: usize| table.columns[index].name.as_str();
            assert_eq!(naming(table).into_iter().map(name_of).collect::<Vec<_>>(), names, "{}", table.table_name);
            assert_eq!(creation_time(table).map(name_of), time, "{}", table.table_name);
        };
        check("users", &["full_name"], Some("created_at"));
        check("products", &["name"], Some("created_at"));
        check("orders", &[], Some("created_at"));
        check("order_items", &[], None);
        check("payments", &[], Some("paid_at"));
    }
}
