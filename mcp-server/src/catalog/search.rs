//! Tables and columns by words: of their names, their comments, the labels of their types and the values in them.

use shared_protocol::catalog::{Column, Table};
use shared_protocol::tool::search_schema::{MatchKind, SchemaMatch};

/// Words of a search that count.
const MAX_WORDS: usize = 12;

/// What a find must come to.
const LEAST: f64 = 0.3;

/// How near a misspelt word must be, by Jaro and Winkler.
const NEAR: f64 = 0.85;

/// What a name that is the search itself comes to. A table's counts a little more than a column's.
const WHOLE: f64 = 1.0;
/// A name that begins with the search.
const BEGINNING: f64 = 0.9;
/// A word of a name.
const WORD: f64 = 0.8;
/// The same in the plural, or one of which it is the plural.
const PLURAL: f64 = 0.78;
/// The beginning of a word of a name.
const WORD_BEGINNING: f64 = 0.7;
/// A word that is misspelt, where it is all but right.
const MISSPELT: f64 = 0.6;
/// Of what its own name comes to, a column gets as much for its table's.
const OF_TABLE: f64 = 0.5;
/// Of what a word comes to, in a name of many words.
const OF_LONG: f64 = 0.9;
/// The same in the name of a column's table.
const OF_LONG_TABLE: f64 = 0.5;
/// Of what a name comes to, a column of a table.
const OF_COLUMN: f64 = 0.97;
/// Of the same in a label or a value.
const OF_LABEL: f64 = 0.65;
/// Of the same in a comment.
const OF_COMMENT: f64 = 0.6;

/// All that is found of `text` in `tables`, best first; of equals those that come first in the catalog.
pub fn search(tables: &[Table], text: &str) -> Vec<SchemaMatch> {
    let wanted = Wanted::new(text);
    let mut found = Vec::new();
    for table in tables {
        let name = Name::new(&table.table_name);
        let fields = [
            Field { kind: MatchKind::Table, weight: 1.0, names: vec![name.clone()] },
            Field::comment(table.description.as_deref()),
        ];
        found.extend(wanted.find(&fields).map(|(kind, score)| entry(table, None, kind, score)));
        for column in &table.columns {
            let labels = column.enum_values.iter().flatten().map(|label| Name::new(label)).collect();
            let values = column.sample_values.iter().flatten().map(|value| Name::new(value)).collect();
            let fields = [
                Field { kind: MatchKind::Column, weight: OF_COLUMN, names: vec![Name::new(&column.name)] },
                Field { kind: MatchKind::EnumValue, weight: OF_LABEL, names: labels },
                Field { kind: MatchKind::SampledValue, weight: OF_LABEL, names: values },
                Field::comment(column.description.as_deref()),
            ];
            let score = wanted.find_beside(&fields, &name);
            found.extend(score.map(|(kind, score)| entry(table, Some(column), kind, score)));
        }
    }
    // Stable, so equals stay in the catalog's order.
    found.sort_by(|a, b| b.score.total_cmp(&a.score));
    found
}

fn entry(table: &Table, column: Option<&Column>, kind: MatchKind, score: f64) -> SchemaMatch {
    SchemaMatch {
        schema_name: table.schema_name.clone(),
        table_name: table.table_name.clone(),
        column_name: column.map(|column| column.name.clone()),
        kind,
        score: (score * 1000.0).round() / 1000.0,
        description: column.map_or(&table.description, |column| &column.description).clone(),
    }
}

/// A text in words of small letters: split where there are no letters or digits, and where a capital follows a small one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Name {
    words: Vec<String>,
    /// The words without what stood between them.
    whole: String,
}

impl Name {
    fn new(text: &str) -> Self {
        let mut words = Vec::new();
        let mut word = String::new();
        let mut was_small = false;
        for letter in text.chars() {
            if !letter.is_alphanumeric() || letter.is_uppercase() && was_small {
                words.extend((!word.is_empty()).then(|| std::mem::take(&mut word)));
            }
            if letter.is_alphanumeric() {
                word.extend(letter.to_lowercase());
            }
            was_small = letter.is_lowercase() || letter.is_ascii_digit();
        }
        words.extend((!word.is_empty()).then_some(word));
        Self { whole: words.concat(), words }
    }
}

impl Name {
    /// What a word comes to in the name; as much as `of_long` of it where the name says many things besides.
    fn score(&self, word: &str, of_long: f64) -> f64 {
        let best = self.words.iter().map(|known| word_score(word, known)).fold(0.0, f64::max);
        best * (of_long + (1.0 - of_long) / self.words.len().max(1) as f64)
    }
}

/// Where words are looked for.
struct Field {
    kind: MatchKind,
    weight: f64,
    names: Vec<Name>,
}

impl Field {
    fn comment(text: Option<&str>) -> Self {
        // The whole of a comment is nothing that anybody searches for.
        let name = text.map(|text| Name { whole: String::new(), ..Name::new(text) });
        Self { kind: MatchKind::Comment, weight: OF_COMMENT, names: name.into_iter().collect() }
    }
}

/// What is looked for.
struct Wanted {
    whole: String,
    words: Vec<String>,
}

impl Wanted {
    fn new(text: &str) -> Self {
        let Name { mut words, whole } = Name::new(text);
        words.truncate(MAX_WORDS);
        Self { whole, words }
    }

    fn find(&self, fields: &[Field]) -> Option<(MatchKind, f64)> {
        self.find_beside(fields, &Name::default())
    }

    /// By what it was found, and what that comes to: the mean of what its words come to, or the whole where that is more. A word may
    /// also stand `beside` the fields, but not all of them.
    fn find_beside(&self, fields: &[Field], beside: &Name) -> Option<(MatchKind, f64)> {
        let wholes = fields.iter().flat_map(|field| {
            field.names.iter().map(|name| (field.kind, field.weight * whole_score(&self.whole, &name.whole)))
        });
        let mut best = wholes.fold((MatchKind::Table, 0.0), better);
        let (mut sum, mut of_words) = (0.0, (MatchKind::Table, 0.0));
        for word in &self.words {
            let scores = fields.iter().flat_map(|field| {
                field.names.iter().map(|name| (field.kind, field.weight * name.score(word, OF_LONG)))
            });
            let own = scores.fold((MatchKind::Table, 0.0), better);
            let others = OF_TABLE * beside.score(word, OF_LONG_TABLE);
            sum += own.1.max(others);
            of_words = better(of_words, own);
        }
        if of_words.1 > 0.0 {
            best = better(best, (of_words.0, sum / self.words.len() as f64));
        }
        (best.1 >= LEAST).then_some(best)
    }
}

/// The first of those that come to the most.
fn better(best: (MatchKind, f64), other: (MatchKind, f64)) -> (MatchKind, f64) {
    if other.1 > best.1 { other } else { best }
}

fn whole_score(wanted: &str, known: &str) -> f64 {
    match known.strip_prefix(wanted) {
        Some("") if !wanted.is_empty() => WHOLE,
        Some(rest) if !rest.is_empty() && wanted.chars().count() >= 2 => BEGINNING,
        _ => 0.0,
    }
}

fn word_score(wanted: &str, known: &str) -> f64 {
    if wanted == known {
        return WORD;
    }
    if singular(wanted) == singular(known) {
        return PLURAL;
    }
    let is_long = |word: &str| word.chars().nth(2).is_some();
    if is_long(wanted) && (known.starts_with(wanted) || is_long(known) && wanted.starts_with(known)) {
        return WORD_BEGINNING;
    }
    // Of short words most are near to each other.
    let is_longer = |word: &str| word.chars().nth(3).is_some();
    if !is_longer(wanted) || !is_longer(known) {
        return 0.0;
    }
    match strsim::jaro_winkler(wanted, known) {
        near if near >= NEAR => MISSPELT * near,
        _ => 0.0,
    }
}

/// A word without its s, as far as one can tell.
fn singular(word: &str) -> &str {
    let stem =
        word.strip_suffix("es").filter(|stem| stem.ends_with('x') || stem.ends_with("ss") || stem.ends_with("ch"));
    stem.or_else(|| word.strip_suffix('s').filter(|stem| !stem.ends_with('s') && stem.chars().nth(2).is_some()))
        .unwrap_or(word)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{column, table};
    use super::*;

    fn shop() -> Vec<Table> {
        let mut orders = table("public", "orders", &["id!", "user_id", "shippedAt"]);
        orders.description = Some("What people bought".to_owned());
        let status = Column {
            enum_values: Some(vec!["new".to_owned(), "on hold".to_owned()]),
            description: Some("Where the purchase stands".to_owned()),
            ..column("status")
        };
        orders.columns.push(status);
        vec![
            table("public", "order_items", &["order_id", "quantity"]),
            orders,
            table("public", "users", &["id!", "email", "order_count"]),
        ]
    }

    fn found(text: &str) -> Vec<String> {
        let name = |one: SchemaMatch| match one.column_name {
            Some(column) => format!("{}.{column}", one.table_name),
            None => one.table_name,
        };
        search(&shop(), text).into_iter().map(name).collect()
    }

    #[test]
    fn splits_names_into_words() {
        let check = |text: &str, words: &[&str]| assert_eq!(Name::new(text).words, words, "{text}");
        check("order_items", &["order", "items"]);
        check("orderItems2Go", &["order", "items2", "go"]);
        check("HTTPStatus-Code", &["httpstatus", "code"]);
        check("Straßen Größe", &["straßen", "größe"]);
        check("--", &[]);
    }

    #[test]
    fn a_plural_is_as_good_as_its_singular() {
        let check = |one: &str, many: &str| assert_eq!(singular(many), singular(one), "{many}");
        check("order", "orders");
        check("box", "boxes");
        check("address", "addresses");
        check("status", "status");
        check("house", "houses");
        assert_ne!(singular("gas"), "ga");
    }

    #[test]
    fn the_whole_comes_before_its_beginning_a_word_and_a_mistake() {
        assert_eq!(found("orders")[0], "orders");
        assert_eq!(found("order items")[0], "order_items");
        assert_eq!(found("orderitems")[0], "order_items");
        let by_order = found("order");
        assert_eq!(by_order[..2], ["order_items", "orders"], "both begin with it; the catalog's order decides");
        assert!(by_order.contains(&"users.order_count".to_owned()), "{by_order:?}");
        assert_eq!(found("emial"), ["users.email"], "misspelt");
        let scores: Vec<f64> = search(&shop(), "order").iter().map(|one| one.score).collect();
        assert!(
            scores.is_sorted_by(|a, b| a >= b) && scores.iter().all(|score| (0.0..=1.0).contains(score)),
            "{scores:?}"
        );
    }

    #[test]
    fn looks_into_comments_and_labels() {
        assert_eq!(found("bought"), ["orders"]);
        assert_eq!(found("purchase"), ["orders.status"]);
        assert_eq!(found("on hold"), ["orders.status"]);
        assert_eq!(search(&shop(), "on hold")[0].kind, MatchKind::EnumValue);
        assert_eq!(found("shipped"), ["orders.shippedAt"]);
        assert_eq!(found("order status")[0], "orders.status");
    }

    #[test]
    fn a_columns_table_may_be_named_beside_it() {
        assert_eq!(found("users email")[0], "users.email");
        assert!(!found("users").contains(&"users.email".to_owned()), "its table alone doesn't find a column");
    }

    #[test]
    fn finds_nothing_where_there_is_nothing() {
        for text in ["", "  ", "--", "xyzzy", "q"] {
            assert_eq!(found(text), Vec::<String>::new(), "{text:?}");
        }
    }
}
