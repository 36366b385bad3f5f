//! What every table, column and value label of a schema can be called, each way with a score.

use std::collections::HashMap;

use super::columns::{self, Family};
use super::scope::{ColumnRef, Schema};
use super::words::{root, singular, split_identifier, stem};

/// What a phrase may mean.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Target {
    Table(usize),
    Column(ColumnRef),
    /// A boolean column that is to be true or false.
    Flag(ColumnRef, bool),
    /// One of the values that a column is limited to.
    Label(ColumnRef, String),
    /// The table that the foreign key at this position points to, called by the key's column: `author` for users.
    Role(usize),
}

/// A meaning with its score, at most 1.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Named {
    pub(super) target: Target,
    pub(super) score: f64,
    /// The name or label that was meant, where it was spelt otherwise.
    pub(super) respelt: Option<String>,
}

/// All names of a schema.
#[derive(Debug)]
pub(super) struct Names {
    by_phrase: HashMap<String, Vec<Named>>,
    /// Single words by which something is called well, in order, for spelling.
    spellings: Vec<(String, Named)>,
    /// Words of comments; weaker evidence than names.
    by_comment: HashMap<String, Vec<Named>>,
}

/// Words at the end of a column's name that may be left unsaid.
const TAILS: &[&str] = &[
    "name", "number", "code", "value", "amount", "count", "type", "level", "at", "on", "date", "time", "year", "id",
    "title", "status",
];

/// Units at the end of a column's name, which hardly anybody says.
const UNITS: &[&str] =
    &["kg", "g", "lb", "mm", "cm", "m", "km", "eur", "usd", "cents", "ms", "seconds", "minutes", "hours", "days"];

/// Words of a table's name that say only that it is a table.
const TABLE_WORDS: &[&str] =
    &["list", "data", "info", "tbl", "table", "detail", "details", "record", "records", "master", "dim", "fact"];

impl Names {
    pub(super) fn new(schema: &Schema<'_>) -> Self {
        let mut names = Self { by_phrase: HashMap::new(), spellings: Vec::new(), by_comment: HashMap::new() };
        let vocabulary = vocabulary(schema);
        for table in 0..schema.context.tables.len() {
            names.add_table(schema, table);
            for column in schema.columns_of(table) {
                names.add_column(schema, column, &vocabulary);
            }
        }
        for link in 0..schema.links.len() {
            names.add_role(schema, link);
        }
        names
    }

    /// What the phrase of these stems names: as it stands, run together, or in another order.
    pub(super) fn find(&self, stems: &[&str]) -> &[Named] {
        if let Some(found) = self.by_phrase.get(&stems.join(" ")) {
            return found;
        }
        if stems.len() == 1 {
            return &[];
        }
        if let Some(found) = self.by_phrase.get(&run_together(stems)) {
            return found;
        }
        let bag = bag_key(stems);
        bag.and_then(|key| self.by_phrase.get(&key)).map_or(&[], Vec::as_slice)
    }

    /// What a verb form (`released`) means by its root.
    pub(super) fn find_by_root(&self, word: &str) -> Vec<Named> {
        let Some(root) = root(word) else { return Vec::new() };
        let with_e = format!("{root}e");
        let found = [self.find(&[&root]), self.find(&[&with_e])].concat();
        found.into_iter().map(|named| Named { score: named.score * 0.85, ..named }).collect()
    }

    /// What a word means by the comments alone.
    pub(super) fn find_by_comment(&self, stem: &str) -> &[Named] {
        self.by_comment.get(stem).map_or(&[], Vec::as_slice)
    }

    /// What a word means if one slip of the pen is put right.
    pub(super) fn find_by_spelling(&self, stem: &str) -> Vec<Named> {
        let close = |(spelling, _): &&(String, Named)| {
            spelling.len() >= 5
                && spelling.chars().next() == stem.chars().next()
                && strsim::osa_distance(spelling, stem) == 1
        };
        let respelt = |(spelling, named): &(String, Named)| {
            let score = named.score * 0.8;
            Named { score, respelt: Some(spelling.clone()), ..named.clone() }
        };
        self.spellings.iter().filter(close).map(respelt).collect()
    }

    fn add(&mut self, words: &[String], target: Target, score: f64) {
        if words.is_empty() {
            return;
        }
        let stems: Vec<String> = words.iter().map(|w| stem(w)).collect();
        let stems: Vec<&str> = stems.iter().map(String::as_str).collect();
        if stems.len() == 1 && score >= 0.9 {
            let named = Named { target: target.clone(), score, respelt: None };
            self.spellings.push((stems[0].to_string(), named));
        }
        self.insert(stems.join(" "), target.clone(), score);
        if stems.len() > 1 {
            self.insert(run_together(&stems), target.clone(), score * 0.97);
            // "membership level" is the level of membership, but "totals of orders" is no table order_totals.
            if let Some(bag) = bag_key(&stems).filter(|_| !matches!(target, Target::Table(_))) {
                self.insert(bag, target, score * 0.93);
            }
        } else if stems[0].len() > 5 {
            self.insert(run_together(&stems), target, score * 0.97);
        }
    }

    fn insert(&mut self, key: String, target: Target, score: f64) {
        let found = self.by_phrase.entry(key).or_default();
        match found.iter_mut().find(|named| named.target == target) {
            Some(known) => known.score = known.score.max(score),
            None => found.push(Named { target, score, respelt: None }),
        }
    }

    fn add_comment(&mut self, comment: Option<&str>, target: Target) {
        for word in comment.map(split_identifier).unwrap_or_default() {
            if word.len() < 4 || super::lexicon::role(&word).is_some() {
                continue;
            }
            let found = self.by_comment.entry(stem(&word)).or_default();
            if !found.iter().any(|named| named.target == target) {
                found.push(Named { target: target.clone(), score: 0.5, respelt: None });
            }
        }
    }

    fn add_table(&mut self, schema: &Schema<'_>, table: usize) {
        let words = split_identifier(&schema.table(table).table_name);
        self.add(&words, Target::Table(table), 1.0);
        let bare: Vec<String> = words.iter().filter(|w| !TABLE_WORDS.contains(&w.as_str())).cloned().collect();
        if bare.len() < words.len() {
            self.add(&bare, Target::Table(table), 0.95);
        }
        if bare.len() > 1 {
            self.add(&bare[bare.len() - 1..], Target::Table(table), 0.8);
        }
        // Asked for names, a table without a column of that name gives what its rows are called by.
        if let [naming] = schema.naming(table).as_slice() {
            self.insert("name".into(), Target::Column(*naming), 0.72);
        }
        self.add_comment(schema.table(table).description.as_deref(), Target::Table(table));
    }

    fn add_column(&mut self, schema: &Schema<'_>, column: ColumnRef, vocabulary: &[String]) {
        let (table, definition) = (schema.table(column.table), schema.column(column));
        let target = Target::Column(column);
        let mut full = split_identifier(&definition.name);
        if let [single] = full.as_slice() {
            full = cut(single, vocabulary).unwrap_or(full);
            self.add(&split_identifier(&definition.name), target.clone(), 1.0);
        }
        let own = without_table(&table.table_name, &full);
        // Grouping or listing by a bare key is rarely meant where the row it points to is named otherwise.
        let is_key = schema.link_of(column).is_some() && full.last().is_some_and(|last| last != "id");
        let whole = if is_key { 0.6 } else { 1.0 };
        if is_key {
            self.lower(&full, &target, whole);
        }
        self.add(&full, target.clone(), whole);
        self.add(&own, target.clone(), whole * 0.98);
        if !own.iter().any(|word| matches!(word.as_str(), "by" | "in" | "at" | "on" | "of" | "for")) {
            let qualified = split_identifier(&table.table_name).into_iter().chain(own.iter().cloned());
            let stems: Vec<String> = qualified.map(|word| stem(&word)).collect();
            self.insert(stems.join(" "), target.clone(), whole);
        }
        if let Some((last, front)) = own.split_last().filter(|(_, front)| !front.is_empty()) {
            let is_unit = UNITS.contains(&last.as_str());
            if is_unit {
                self.add(front, target.clone(), 0.92);
            } else if last != "id" {
                self.add(std::slice::from_ref(last), target.clone(), 0.75);
            }
            if TAILS.contains(&last.as_str()) && last != "id" {
                self.add(
                    front,
                    target.clone(),
                    if matches!(last.as_str(), "at" | "on" | "date" | "time") { 0.85 } else { 0.72 },
                );
            }
        }
        let family = columns::family(definition);
        if family == Family::Text {
            self.add_spoken(&own, &target);
        }
        self.add_flag(column, &own, family);
        for label in columns::labels(table, definition).unwrap_or_default() {
            let words: Vec<String> = split_identifier(&label);
            self.add(&words, Target::Label(column, label.clone()), 0.95);
        }
        self.add_comment(definition.description.as_deref(), target);
    }

    /// What people add to a text column's name: "city name", "phone number", "email address".
    fn add_spoken(&mut self, own: &[String], target: &Target) {
        let Some(last) = own.last() else { return };
        let noun = match last.as_str() {
            "phone" | "telephone" | "mobile" | "fax" => "number",
            "email" => "address",
            "name" | "title" => return,
            _ => "name",
        };
        self.add(&[own, &[noun.to_string()]].concat(), target.clone(), 0.9);
    }

    /// Takes back a score given before the words were known to be a key's.
    fn lower(&mut self, words: &[String], target: &Target, score: f64) {
        let key = words.iter().map(|w| stem(w)).collect::<Vec<_>>().join(" ");
        let known =
            self.by_phrase.get_mut(&key).and_then(|found| found.iter_mut().find(|named| named.target == *target));
        if let Some(known) = known {
            known.score = score;
        }
    }

    fn add_flag(&mut self, column: ColumnRef, own: &[String], family: Family) {
        if family != Family::Boolean {
            return;
        }
        let says =
            own.iter().filter(|w| !matches!(w.as_str(), "is" | "has" | "was" | "can" | "are" | "should" | "does"));
        let says: Vec<String> = says.cloned().collect();
        let Some((last, front)) = says.split_last() else { return };
        self.add(&says, Target::Flag(column, true), 0.97);
        for prefix in ["in", "un", "non", "not"] {
            let opposite = format!("{prefix}{last}");
            let words: Vec<String> = front.iter().cloned().chain([opposite]).collect();
            self.add(&words, Target::Flag(column, false), 0.95);
        }
    }

    fn add_role(&mut self, schema: &Schema<'_>, position: usize) {
        let link = &schema.links[position];
        let [(from, _)] = link.columns.as_slice() else { return };
        let column = schema.column(ColumnRef { table: link.from, column: *from });
        let mut words = split_identifier(&column.name);
        if words.len() > 1 && words.last().is_some_and(|last| last == "id" || last == "code") {
            words.pop();
        }
        self.add(&words, Target::Role(position), 0.95);
    }
}

/// The words of tables and usual column endings, by which run-together names are cut.
fn vocabulary(schema: &Schema<'_>) -> Vec<String> {
    let of_tables = schema.context.tables.iter().flat_map(|table| split_identifier(&table.table_name));
    let mut words: Vec<String> = of_tables.flat_map(|word| [singular(&word), word]).collect();
    words.extend(TAILS.iter().map(ToString::to_string));
    words.retain(|word| word.len() > 1);
    words.sort_by(|a, b| b.len().cmp(&a.len()).then(a.cmp(b)));
    words.dedup();
    words
}

/// Cuts a run-together name in two where one part is a known word, e.g. `countryname`.
fn cut(name: &str, vocabulary: &[String]) -> Option<Vec<String>> {
    let front = vocabulary.iter().find_map(|word| Some((word.clone(), name.strip_prefix(word.as_str())?.to_string())));
    let ends = |rest: &str| TAILS.contains(&rest);
    if let Some((word, rest)) = front.filter(|(word, rest)| word.len() >= 3 && (rest.len() >= 4 || ends(rest))) {
        return Some(vec![word, rest]);
    }
    let long = |word: &&String| word.len() >= 4 && TAILS.contains(&word.as_str());
    let (front, word) =
        vocabulary.iter().filter(long).find_map(|word| Some((name.strip_suffix(word.as_str())?, word)))?;
    (front.len() >= 3).then(|| vec![front.to_string(), word.clone()])
}

fn without_table(table: &str, words: &[String]) -> Vec<String> {
    let table_words = split_identifier(table);
    let same = words.iter().zip(&table_words).take_while(|(a, b)| stem(a) == stem(b)).count();
    if same == table_words.len() && same < words.len() { words[same..].to_vec() } else { words.to_vec() }
}

fn run_together(stems: &[&str]) -> String {
    format!("+{}", stems.concat())
}

/// The words in any order, without prepositions; for two words or more.
fn bag_key(stems: &[&str]) -> Option<String> {
    let prepositions = ["of", "in", "the", "for", "by"];
    let outer = [stems.first()?, stems.last()?];
    if outer.iter().any(|word| prepositions.contains(word)) {
        return None;
    }
    let mut content: Vec<&str> = stems.iter().copied().filter(|w| !prepositions.contains(w)).collect();
    content.sort_unstable();
    (content.len() > 1).then(|| format!("#{}", content.join(" ")))
}

#[cfg(test)]
mod tests {
    use super::super::tests::shop::shop;
    use super::*;

    fn check(phrase: &str, expected: &[&str]) {
        let context = shop();
        let schema = Schema::new(&context);
        let names = Names::new(&schema);
        let stems: Vec<String> = phrase.split(' ').map(stem).collect();
        let stems: Vec<&str> = stems.iter().map(String::as_str).collect();
        let shown = |target: &Target| match target {
            Target::Table(table) => schema.table(*table).table_name.clone(),
            Target::Column(c) => format!("{}.{}", schema.table(c.table).table_name, schema.column(*c).name),
            Target::Flag(c, value) => format!("{}={value}", schema.column(*c).name),
            Target::Label(c, label) => format!("{}={label}", schema.column(*c).name),
            Target::Role(link) => format!("→{}", schema.table(schema.links[*link].to).table_name),
        };
        let found: Vec<String> = names
            .find(&stems)
            .iter()
            .filter(|n| n.score >= 0.9 && !matches!(n.target, Target::Role(_)))
            .map(|n| shown(&n.target))
            .collect();
        assert_eq!(found, expected, "{phrase}");
    }

    #[test]
    fn finds_things_by_their_names() {
        check("users", &["users"]);
        check("order items", &["order_items"]);
        check("unit price", &["order_items.unit_price"]);
        check("product name", &["products.name"]);
        check("shipped", &["status=shipped"]);
        check("bank transfers", &["method=bank_transfer"]);
        check("active", &["is_active=true"]);
        check("inactive", &["is_active=false"]);
        check("nothing like it", &[]);
    }

    #[test]
    fn cuts_run_together_names() {
        let vocabulary = ["country".to_string(), "name".to_string(), "id".to_string()];
        let check = |name: &str, expected: Option<&[&str]>| {
            let expected = expected.map(|words| words.iter().map(ToString::to_string).collect::<Vec<_>>());
            assert_eq!(cut(name, &vocabulary), expected, "{name}");
        };
        check("countryname", Some(&["country", "name"]));
        check("countryid", Some(&["country", "id"]));
        check("fullname", Some(&["full", "name"]));
        check("price", None);
    }
}
