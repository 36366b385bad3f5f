//! Reading names of things: places, rows called by their name or key, and names followed by what they are.

use super::columns::{self, Family};
use super::draft::Stuck;
use super::evidence::{Literal, Meaning};
use super::lexicon::{Comparison, Role};
use super::places::{self, PlaceKind};
use super::reader::Reader;
use super::scope::ColumnRef;
use super::words::{singular, split_identifier};

impl Reader<'_> {
    /// `in Berlin`, `from France`, `in 2024`; otherwise only a preposition.
    pub(super) fn place(&mut self) -> Result<(), Stuck> {
        self.at += 1;
        while self.terms.get(self.at).is_some_and(|t| t.role == Some(Role::Filler)) {
            self.at += 1;
        }
        if self.period_here().is_some() {
            return self.time_condition(Comparison::Equal);
        }
        let Some(Literal::Name(name) | Literal::Quoted(name)) = self.terms.get(self.at).and_then(|t| t.literal.clone())
        else {
            return Ok(());
        };
        if self.column_at(self.at + 1).is_some() || self.naming_behind(self.at + 1).is_some() {
            return self.loose_name();
        }
        let kind = places::kind_of_name(&name);
        let Some(column) = self.place_column(kind) else {
            return self.stuck_because(format!("no column says what '{name}' is"));
        };
        if !self.equality(column, false)? {
            return self.stuck();
        }
        self.draft.scores.push(0.9);
        let word = self.schema.column(column).name.clone();
        self.draft.assumptions.push(format!("'{name}' read as {word}"));
        Ok(())
    }

    /// The only column that holds places of this kind: in the table in focus, else in the other.
    ///
    /// What is a city only because it is capitalised may be anything else, so it never leads to the other table.
    fn place_column(&self, kind: PlaceKind) -> Option<ColumnRef> {
        let near = self.draft.focus.or(self.draft.entity);
        let far = self.scope.tables().filter(|_| kind != PlaceKind::City);
        for table in near.into_iter().chain(far) {
            let holds = |c: &ColumnRef| {
                let words = columns::own_words(self.schema.table(table), self.schema.column(*c));
                self.schema.family(*c) == Family::Text && places::kind_of_column(&words) == Some(kind)
            };
            let columns: Vec<ColumnRef> = self.schema.columns_of(table).filter(holds).collect();
            match columns.as_slice() {
                [] => {}
                [only] => return Some(*only),
                _ => return None,
            }
        }
        if kind == PlaceKind::City {
            return None;
        }
        // A table of such places is called by its naming column: countries for "in France".
        let of_places = |table: &usize| {
            let words: Vec<String> =
                split_identifier(&self.schema.table(*table).table_name).iter().map(|w| singular(w)).collect();
            places::kind_of_column(&words) == Some(kind)
        };
        let table = self.scope.tables().find(of_places).filter(|table| near != Some(*table))?;
        self.single_naming(table)
    }

    pub(super) fn single_naming(&self, table: usize) -> Option<ColumnRef> {
        match self.schema.naming(table).as_slice() {
            [only] => Some(*only),
            _ => None,
        }
    }

    /// The naming column of the table that the term at `at` means.
    pub(super) fn naming_behind(&self, at: usize) -> Option<ColumnRef> {
        let meaning = self.terms.get(at)?.meanings.first()?;
        match meaning.meaning {
            Meaning::Table(table) if Some(table) != self.draft.entity => self.single_naming(table),
            _ => None,
        }
    }

    /// A name followed by what it is: `the Caribbean region`, `the "Books" category`.
    pub(super) fn loose_name(&mut self) -> Result<(), Stuck> {
        let Some(Literal::Name(name) | Literal::Quoted(name)) = self.terms[self.at].literal.clone() else {
            return self.stuck();
        };
        let column = self.column_at(self.at + 1).filter(|(c, _)| self.schema.family(*c) == Family::Text);
        let naming = self.naming_behind(self.at + 1);
        let (column, table) = match (column, naming) {
            (_, Some(column)) => (column, Some(column.table)),
            (Some((column, evidence)), None) => {
                self.note(&evidence);
                (column, None)
            }
            (None, None) => return self.stuck(),
        };
        let value = self.text_for(column, &name)?;
        self.filter_equal(column, value);
        self.draft.scores.push(0.95);
        self.at += 2;
        if let Some(table) = table {
            self.connect(table, Some(Role::Of), false);
        }
        Ok(())
    }

    /// A name right behind a table: `category Books`, `user "ann"`.
    pub(super) fn name_after(&mut self, table: usize) -> Result<(), Stuck> {
        let literal = self.terms.get(self.at).and_then(|t| t.literal.clone());
        if let Some(Literal::Number(number)) = &literal {
            return self.key_after(table, number);
        }
        let Some(Literal::Name(name) | Literal::Quoted(name)) = literal else { return Ok(()) };
        let Some(column) = self.single_naming(table) else { return self.stuck() };
        let value = self.text_for(column, &name)?;
        self.filter_equal(column, value);
        self.draft.scores.push(0.9);
        self.at += 1;
        Ok(())
    }

    /// `order 42`: the row of that key.
    fn key_after(&mut self, table: usize, number: &str) -> Result<(), Stuck> {
        let key = self.schema.primary_key(table);
        let [key] = key.as_slice() else { return self.stuck() };
        if self.terms[self.at - 1].is_plural || self.schema.family(*key) != Family::Integer {
            return self.stuck();
        }
        let Some(value) = self.number_for(*key, number)? else { return self.stuck() };
        self.filter_equal(*key, value);
        self.draft.scores.push(0.95);
        self.at += 1;
        Ok(())
    }

    /// `named "x"`.
    pub(super) fn named(&mut self) -> Result<(), Stuck> {
        self.at += 1;
        self.skip_filler_words();
        let Some(table) = self.draft.focus.or(self.draft.entity) else { return self.stuck() };
        let literal = self.terms.get(self.at).and_then(|t| t.literal.clone());
        let Some(Literal::Name(name) | Literal::Quoted(name) | Literal::Word(name)) = literal else {
            return self.stuck_at_end();
        };
        let Some(column) = self.single_naming(table) else { return self.stuck() };
        let value = self.text_for(column, &name)?;
        self.filter_equal(column, value);
        self.at += 1;
        Ok(())
    }
}
