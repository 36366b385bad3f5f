//! Which of a term's meanings is meant, told from what stands around it.

use super::draft::{Pending, Stuck};
use super::evidence::{Evidence, Literal, Meaning};
use super::lexicon::Role;
use super::reader::Reader;
use super::scope::ColumnRef;

impl Reader<'_> {
    /// Where a term may mean both a table and a column, the column is meant before the table is known, e.g. "names of users".
    pub(super) fn prefers_column(&self) -> bool {
        let followed_by_of = self.terms.get(self.at + 1).is_some_and(|t| t.role == Some(Role::Of));
        let value_follows = self.value_follows(self.at + 1);
        // "makers and models": what stands beside a column is one.
        let beside = self.at > 0
            && (self.terms[self.at - 1].role == Some(Role::And)
                || self.terms[self.at - 1].literal == Some(Literal::Comma));
        if beside && !self.draft.columns.is_empty() && self.draft.entity.is_none() {
            return true;
        }
        (followed_by_of && self.draft.entity.is_none() && self.draft.pending == Pending::Nothing) || value_follows
    }

    /// The meaning of the term at `at` that fits best here; stuck where two fit alike.
    pub(super) fn choose(&self, at: usize, column_first: bool) -> Result<Evidence, Stuck> {
        let meanings = &self.terms[at].meanings;
        let Some(best) = meanings.iter().map(|m| m.score).max_by(f64::total_cmp) else { return self.stuck() };
        let mut close: Vec<&Evidence> = meanings.iter().filter(|m| m.score >= best - 0.1).collect();
        let is_table = |m: &&Evidence| matches!(m.meaning, Meaning::Table(_));
        if close.iter().any(is_table) && close.iter().any(|m| !is_table(m)) {
            // A boolean column as a plain column stays in the running below.
            close.retain(|m| is_table(m) != column_first);
        }
        if close.iter().any(|m| matches!(m.meaning, Meaning::Flag(..) | Meaning::Label(..))) {
            close.retain(|m| !matches!(m.meaning, Meaning::Column(_)));
        }
        let top = close.iter().map(|m| m.score).max_by(f64::total_cmp).unwrap_or(best);
        let (tables, owner) = self.nearest_tables(at);
        if let Some(owner) = owner
            && close.iter().all(|m| matches!(m.meaning, Meaning::Column(_)) && table_of(&m.meaning) != owner)
        {
            // "titles of users": users have none, and another table's are not meant.
            return self.stuck();
        }
        for table in tables {
            let here: Vec<&&Evidence> = close.iter().filter(|m| table_of(&m.meaning) == table).collect();
            let best_here = here.iter().map(|m| m.score).max_by(f64::total_cmp);
            let best_here: Vec<&&&Evidence> = here.iter().filter(|m| Some(m.score) == best_here).collect();
            match best_here.as_slice() {
                [] => {}
                [only] => return Ok((**only).to_owned().clone()),
                [first, second, ..] => {
                    return Err(Stuck {
                        at,
                        placed: self.placed,
                        reason: Some(format!(
                            "'{}' may mean {} or {}",
                            self.terms[at].text,
                            self.called(&first.meaning),
                            self.called(&second.meaning)
                        )),
                    });
                }
            }
        }
        let best: Vec<&&Evidence> = close.iter().filter(|m| m.score == top).collect();
        best.first().map_or_else(|| self.stuck(), |only| Ok((**only).clone()))
    }

    fn called(&self, meaning: &Meaning) -> String {
        let column =
            |c: &ColumnRef| format!("{}.{}", self.schema.table(c.table).table_name, self.schema.column(*c).name);
        match meaning {
            Meaning::Table(table) => self.schema.table(*table).table_name.clone(),
            Meaning::Column(c) | Meaning::Flag(c, _) => column(c),
            Meaning::Label(c, label) => format!("{} {label}", column(c)),
        }
    }

    /// The scope's tables, the one that a column at `at` most likely belongs to first; and the one it is said to be of.
    fn nearest_tables(&self, at: usize) -> (Vec<usize>, Option<usize>) {
        let mut tables = Vec::new();
        let mut of = false;
        let mut next = at + 1;
        // "names and ages of users": what the next "of" leads to, over fellow columns.
        while let Some(term) = self.terms.get(next) {
            let table = term.meanings.iter().find_map(|m| match m.meaning {
                Meaning::Table(table) if m.score >= 0.5 => Some(table),
                _ => None,
            });
            let is_column = term.meanings.iter().any(|m| !matches!(m.meaning, Meaning::Table(_)));
            if let Some(table) = table {
                tables.push(table);
                break;
            }
            let passes = matches!(
                term.role,
                Some(
                    Role::Of
                        | Role::Filler
                        | Role::And
                        | Role::Indefinite
                        | Role::Each
                        | Role::Ranked(..)
                        | Role::Newest
                        | Role::Earliest
                        | Role::Top(_)
                )
            ) || matches!(term.literal, Some(Literal::Comma | Literal::Number(_)));
            let possessive = term.role == Some(Role::Place) && self.draft.entity.is_none();
            if !(is_column || passes || possessive) {
                break;
            }
            of |= term.role == Some(Role::Of);
            next += 1;
        }
        let owner = tables.first().copied().filter(|_| of);
        // A table right behind ("pending orders"), or behind "of", wins over the one in focus.
        let adjacent = next == at + 1 || self.terms.get(at + 1).is_some_and(|t| t.role == Some(Role::Of));
        if !adjacent && self.draft.entity.is_some() {
            tables.clear();
        }
        for table in [self.draft.focus, self.draft.entity].into_iter().flatten().chain(self.scope.tables()) {
            if !tables.contains(&table) {
                tables.push(table);
            }
        }
        (tables, owner)
    }
}

/// The table that a meaning is in.
pub(super) fn table_of(meaning: &Meaning) -> usize {
    match meaning {
        Meaning::Table(table) => *table,
        Meaning::Column(c) | Meaning::Flag(c, _) | Meaning::Label(c, _) => c.table,
    }
}
