//! The columns of a relation, subquery or output, and what the caller may do with each.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use shared_protocol::error::ErrorCode;

use crate::rejection::Rejection;
use crate::weight::Weight;

/// PostgreSQL's limit on the columns of a row. Without it, each `SELECT * FROM a, a` over the one before would double them.
pub(crate) const MAX_COLUMNS: usize = 1664;

/// What a caller may do with a column, from everything to nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Restriction {
    /// Everything.
    #[default]
    Free,
    /// Anything but stand where other values could be turned into its type, which would run what may not run.
    Fixed,
    /// It may be put out, and is seen as `***`.
    Masked,
    /// Nothing: to the caller it doesn't exist.
    Hidden,
}

/// One column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    /// Its name; nothing where PostgreSQL would make one up.
    pub(crate) name: Option<Arc<str>>,
    pub(crate) restriction: Restriction,
    pub(crate) weight: Weight,
}

/// What is known of the columns of a row. Clones share the list.
#[derive(Debug, Clone, Default)]
pub(crate) struct Columns {
    known: Arc<List>,
    /// How many stand before the first place where there may be others, if there is one.
    opens_at: Option<usize>,
    /// The weight of those others, at most.
    others: Weight,
}

/// Columns in order, with an index that the first look-up makes where it pays.
#[derive(Debug, Default)]
struct List {
    columns: Vec<Column>,
    worst: Restriction,
    heaviest: Weight,
    has_nameless: bool,
    index: OnceLock<HashMap<Arc<str>, (Restriction, Weight)>>,
}

/// What a list says of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// It has such a column; of several the most restricted counts.
    Column(Restriction),
    /// It may have one; if so, it is at most so restricted.
    Perhaps(Restriction),
    /// It has none.
    Nothing,
}

impl Columns {
    /// Exactly these.
    pub(crate) fn all(columns: impl IntoIterator<Item = Column>) -> Result<Self, Rejection> {
        let columns: Vec<Column> = columns.into_iter().take(MAX_COLUMNS + 1).collect();
        fits(columns.len())?;
        Ok(Self::of(columns, None))
    }

    /// Exactly columns of these names, with which the caller may do everything.
    pub(crate) fn named<N: Into<Arc<str>>>(names: impl IntoIterator<Item = N>) -> Result<Self, Rejection> {
        Self::all(names.into_iter().map(Column::free))
    }

    /// Nothing is known.
    pub(crate) fn unknown() -> Self {
        Self { opens_at: Some(0), ..Self::default() }
    }

    /// These and perhaps others.
    pub(crate) fn at_least(names: &[&str]) -> Result<Self, Rejection> {
        Ok(Self { opens_at: Some(0), ..Self::named(names.iter().copied())? })
    }

    fn of(columns: Vec<Column>, opens_at: Option<usize>) -> Self {
        let mut list = List::default();
        list.append(columns);
        Self { known: Arc::new(list), opens_at, others: Weight::ONE }
    }

    /// Whether there may be columns besides the known ones.
    pub(crate) fn is_open(&self) -> bool {
        self.opens_at.is_some()
    }

    /// Whether the names of all columns are known, and there are no others.
    pub(crate) fn is_certain(&self) -> bool {
        !self.is_open() && !self.known.has_nameless
    }

    /// The known columns whose places are certain: those before any place where there may be others.
    pub(crate) fn placed(&self) -> &[Column] {
        &self.known()[..self.opens_at.unwrap_or(self.known().len())]
    }

    /// The known columns.
    pub(crate) fn known(&self) -> &[Column] {
        &self.known.columns
    }

    /// The names that the caller may know of.
    pub(crate) fn visible_names(&self) -> impl Iterator<Item = &str> {
        let visible = self.known().iter().filter(|column| column.restriction != Restriction::Hidden);
        visible.filter_map(|column| column.name.as_deref())
    }

    /// The strictest restriction of any column: that of the row as a whole.
    pub(crate) fn worst(&self) -> Restriction {
        self.known.worst
    }

    /// The weight of a reference to a column of that name, at most; nothing where it has none.
    pub(crate) fn weight(&self, name: &str) -> Option<Weight> {
        match self.known.find(name) {
            Some((_, weight)) => Some(weight),
            None if self.known.has_nameless || self.is_open() => Some(self.heaviest()),
            None => None,
        }
    }

    /// The weight of a row as a whole.
    pub(crate) fn whole_weight(&self) -> Weight {
        let known: u64 = match self.known.heaviest.nodes {
            1 => self.known().len() as u64,
            _ => self.known().iter().map(|column| u64::from(column.weight.nodes)).sum(),
        };
        let others = if self.is_open() { self.others.nodes } else { 0 };
        Weight::of(known + u64::from(others), self.heaviest().copies.into())
    }

    /// The greatest weight of any column, in each way.
    pub(crate) fn heaviest(&self) -> Weight {
        self.known.heaviest.most(self.others)
    }

    /// Whether a reference to any of them may stand for more than itself.
    pub(crate) fn has_weight(&self) -> bool {
        self.heaviest() != Weight::ONE
    }

    /// The columns of a set operation: the names of this side, and what either stands for.
    pub(crate) fn united(self, other: &Self) -> Self {
        let theirs = |at: usize| match (self.is_open() || other.is_open(), other.known().get(at)) {
            (false, Some(column)) => column.weight,
            _ => other.heaviest(),
        };
        let of_both =
            |(at, column): (usize, &Column)| Column { weight: column.weight.united(theirs(at)), ..column.clone() };
        let columns = self.known().iter().enumerate().map(of_both).collect();
        Self { others: self.others.united(other.heaviest()), ..Self::of(columns, self.opens_at) }
    }

    /// The same of what PostgreSQL computes by itself, so that references to it stand for nothing else.
    pub(crate) fn computed(self) -> Self {
        if !self.has_weight() {
            return self;
        }
        let columns = self.known().iter().map(|column| Column { weight: Weight::ONE, ..column.clone() });
        Self::of(columns.collect(), self.opens_at)
    }

    /// What it says of a column of that name.
    pub(crate) fn find(&self, name: &str) -> Found {
        match self.known.find(name) {
            Some((restriction, _)) => Found::Column(restriction),
            // A column whose name isn't known may have this one.
            None if self.known.has_nameless => Found::Perhaps(self.worst()),
            None if self.is_open() => Found::Perhaps(Restriction::Free),
            None => Found::Nothing,
        }
    }

    /// Whether another shares this list, so that there is nothing new to find in it.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.known, &other.known) && self.opens_at == other.opens_at
    }

    /// Adds a column.
    pub(crate) fn push(&mut self, column: Column) -> Result<(), Rejection> {
        fits(self.known().len() + 1)?;
        self.append([column]);
        Ok(())
    }

    /// Says that there are more columns here.
    pub(crate) fn push_unknown(&mut self) {
        self.opens_at = self.opens_at.or(Some(self.known().len()));
    }

    /// Says that there are more columns here, each of which stands for so much.
    pub(crate) fn push_unknown_of(&mut self, weight: Weight) {
        self.push_unknown();
        self.others = self.others.most(weight);
    }

    /// Says that none of the places is certain.
    pub(crate) fn forget_places(&mut self) {
        self.opens_at = Some(0);
    }

    /// Adds the columns of another.
    pub(crate) fn extend(&mut self, other: &Self) -> Result<(), Rejection> {
        let before = self.known().len();
        fits(before + other.known().len())?;
        self.opens_at = self.opens_at.or(other.opens_at.map(|at| before + at));
        self.others = self.others.most(other.others);
        if self.known().is_empty() {
            self.known = Arc::clone(&other.known);
        } else {
            self.append(other.known().iter().cloned());
        }
        Ok(())
    }

    fn append(&mut self, columns: impl IntoIterator<Item = Column>) {
        match Arc::get_mut(&mut self.known) {
            Some(list) => list.append(columns),
            None => {
                let all = self.known().iter().cloned().chain(columns).collect();
                *self = Self { others: self.others, ..Self::of(all, self.opens_at) };
            }
        }
    }

    /// With the first columns called by these aliases instead.
    pub(crate) fn renamed(self, aliases: &[&str]) -> Result<Self, Rejection> {
        if aliases.is_empty() {
            return Ok(self);
        }
        // Which columns an alias renames isn't known where there may be others before them.
        let rest = if self.is_open() { self.known() } else { self.known().get(aliases.len()..).unwrap_or_default() };
        let behind = |at: usize| match self.is_open() {
            true => (self.worst(), self.heaviest()),
            false => self.known().get(at).map_or_else(Default::default, |column| (column.restriction, column.weight)),
        };
        let renamed = aliases
            .iter()
            .enumerate()
            .map(|(at, alias)| (Some(Arc::from(*alias)), behind(at)))
            .map(|(name, (restriction, weight))| Column { name, restriction, weight });
        let opens_at = self.opens_at.map(|_| 0);
        Ok(Self { opens_at, others: self.others, ..Self::all(renamed.chain(rest.iter().cloned()))? })
    }
}

impl Column {
    /// A column of that name with which the caller may do everything.
    pub(crate) fn free(name: impl Into<Arc<str>>) -> Self {
        Self::new(Some(name.into()), Restriction::Free)
    }

    /// A column that stands for nothing else.
    pub(crate) fn new(name: Option<Arc<str>>, restriction: Restriction) -> Self {
        Self { name, restriction, weight: Weight::ONE }
    }
}

impl List {
    /// Up to how many names are looked through one by one.
    const FEW: usize = 16;

    fn append(&mut self, columns: impl IntoIterator<Item = Column>) {
        for column in columns {
            self.worst = self.worst.max(column.restriction);
            self.heaviest = self.heaviest.most(column.weight);
            self.has_nameless |= column.name.is_none();
            self.columns.push(column);
        }
        self.index = OnceLock::new();
    }

    /// Of columns of that name the strictest restriction and the greatest weight.
    fn find(&self, name: &str) -> Option<(Restriction, Weight)> {
        if self.columns.len() > Self::FEW {
            return self.index.get_or_init(|| self.to_index()).get(name).copied();
        }
        let called = self.columns.iter().filter(|column| column.name.as_deref() == Some(name));
        called.map(|column| (column.restriction, column.weight)).reduce(most)
    }

    fn to_index(&self) -> HashMap<Arc<str>, (Restriction, Weight)> {
        let mut index = HashMap::with_capacity(self.columns.len());
        for Column { name, restriction, weight } in &self.columns {
            if let Some(name) = name {
                let found = index.entry(Arc::clone(name)).or_insert((*restriction, *weight));
                *found = most(*found, (*restriction, *weight));
            }
        }
        index
    }
}

fn most(one: (Restriction, Weight), other: (Restriction, Weight)) -> (Restriction, Weight) {
    (one.0.max(other.0), one.1.most(other.1))
}

/// Refuses a row of more columns than PostgreSQL allows.
fn fits(columns: usize) -> Result<(), Rejection> {
    if columns <= MAX_COLUMNS {
        return Ok(());
    }
    let message = format!("A row of the statement has too many columns; PostgreSQL allows at most {MAX_COLUMNS}.");
    Err(Rejection::new(ErrorCode::QueryTooComplex, message).suggest("Name the columns that you need instead of *."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, restriction: Restriction) -> Column {
        Column::new(Some(name.into()), restriction)
    }

    #[test]
    fn of_columns_of_one_name_the_strictest_counts() {
        for filler in [0, 40] {
            let filler = (0..filler).map(|number| Column::free(format!("f{number}")));
            let both = [column("a", Restriction::Masked), column("a", Restriction::Free)];
            let columns = Columns::all(both.into_iter().chain(filler)).unwrap();
            assert_eq!(columns.find("a"), Found::Column(Restriction::Masked));
            assert_eq!(columns.find("b"), Found::Nothing);
        }
    }

    #[test]
    fn aliases_keep_what_they_rename_restricted() {
        let columns = Columns::all([column("a", Restriction::Free), column("b", Restriction::Masked)]).unwrap();
        let renamed = columns.clone().renamed(&["x", "y"]).unwrap();
        assert_eq!(renamed.find("y"), Found::Column(Restriction::Masked));
        assert_eq!(renamed.find("b"), Found::Nothing);
        let mut open = columns;
        open.push_unknown();
        assert_eq!(open.renamed(&["x"]).unwrap().find("x"), Found::Column(Restriction::Masked));
    }

    #[test]
    fn a_nameless_column_may_have_any_name() {
        let nameless = Column::new(None, Restriction::Free);
        assert_eq!(Columns::all([nameless]).unwrap().find("a"), Found::Perhaps(Restriction::Free));
        assert_eq!(Columns::unknown().find("a"), Found::Perhaps(Restriction::Free));
    }
}
