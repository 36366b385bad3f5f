//! Reading orders: ends of an order ("the highest price", "last 5"), and sorting.

use super::draft::{Group, Pending, Rank, Stuck};
use super::evidence::{Literal, Meaning};
use super::lexicon::{Aggregate, Direction, Role};
use super::plan::Measure;
use super::reader::Reader;
use super::scope::ColumnRef;

impl Reader<'_> {
    /// Notes the end of the order that is wanted; there is one in a question.
    pub(super) fn rank(&mut self, rank: Rank) -> Result<(), Stuck> {
        match self.draft.rank {
            // "top 5 products with the highest price" names the order of its "top".
            None | Some(Rank::Open(_)) => self.draft.rank = Some(rank),
            Some(_) => return self.stuck(),
        }
        self.draft.rank_word = self.terms[self.at].text.to_lowercase();
        self.at += 1;
        Ok(())
    }

    /// `last 5 users`, `latest order date`.
    pub(super) fn rank_in_time(&mut self, direction: Direction) -> Result<(), Stuck> {
        let next = self.mention_after(self.at).filter(|&next| next == self.at + 1);
        let column = next.and_then(|next| self.column_at(next)).filter(|(c, _)| self.schema.family(*c).is_time());
        let Some((column, evidence)) = column else { return self.rank(Rank::Time(direction)) };
        if self.draft.entity.is_none() && self.draft.columns.is_empty() {
            let aggregate = if direction == Direction::Descending { Aggregate::Maximum } else { Aggregate::Minimum };
            return self.aggregate(aggregate);
        }
        self.rank(Rank::Column(direction, column))?;
        self.note(&evidence);
        self.at += 1;
        Ok(())
    }

    /// `highest`, `most`: an end of the order by what follows, or the figure itself where a figure is asked for.
    pub(super) fn extreme(&mut self, direction: Direction) -> Result<(), Stuck> {
        let aggregate = if direction == Direction::Descending { Aggregate::Maximum } else { Aggregate::Minimum };
        let among_figures = matches!(self.draft.pending, Pending::Aggregates(_)) || self.more_figures_follow();
        if among_figures {
            return self.aggregate(aggregate);
        }
        let start = self.at;
        self.at += 1;
        if let Some(Literal::Number(number)) = self.terms.get(self.at).and_then(|t| t.literal.clone()) {
            self.set_limit(&number)?;
        }
        self.skip_filler();
        match self.role_here() {
            Some(Role::Count) if self.terms[self.at].meanings.is_empty() => return self.rank_by_count(direction),
            Some(Role::Aggregate(aggregate)) if !self.draft.groups.is_empty() || self.draft.entity.is_some() => {
                self.set_rank(Rank::Measure(direction))?;
                if let (Some(entity), true) = (self.draft.entity, self.draft.groups.is_empty()) {
                    self.draft.groups.push(Group::Table(entity));
                }
                return self.aggregate(aggregate);
            }
            _ => {}
        }
        let Some(term) = self.terms.get(self.at).filter(|t| !t.meanings.is_empty()) else {
            // "top 5 … highest first" and the like name their order elsewhere.
            self.at = start;
            return self.stuck();
        };
        let is_table = !term.meanings.iter().any(|m| matches!(m.meaning, Meaning::Column(_)));
        let evidence = self.choose(self.at, !is_table)?;
        match evidence.meaning {
            Meaning::Table(table) if self.draft.entity.is_some_and(|entity| entity != table) => {
                self.rank_by_rows(direction, table)
            }
            Meaning::Table(table) => self.rank_groups(direction, table),
            Meaning::Column(column) => {
                if self.draft.entity.is_none()
                    && self.draft.columns.is_empty()
                    && self.draft.limit.is_none()
                    && !self.table_at(self.at + 1)
                {
                    self.at = start;
                    return self.aggregate(aggregate);
                }
                self.note(&evidence);
                // "List the maximum weight" after the figure was asked for says nothing new.
                if self.draft.measures.contains(&Measure::Of(aggregate, column)) {
                    self.at += 1;
                    return Ok(());
                }
                self.check_orderable(column)?;
                self.set_rank(Rank::Column(direction, column))?;
                self.at += 1;
                Ok(())
            }
            _ => self.stuck(),
        }
    }

    fn more_figures_follow(&self) -> bool {
        let joined = |t: &&super::evidence::Term| t.role == Some(Role::And) || t.literal == Some(Literal::Comma);
        let gap = self.terms[self.at + 1..].iter().take_while(joined).count();
        gap > 0
            && matches!(
                self.terms.get(self.at + 1 + gap).and_then(|t| t.role),
                Some(Role::Extreme(_) | Role::Aggregate(_))
            )
    }

    fn table_at(&self, at: usize) -> bool {
        self.terms.get(at).is_some_and(|t| t.meanings.first().is_some_and(|m| matches!(m.meaning, Meaning::Table(_))))
    }

    /// `the most orders`, `the highest number of orders`.
    fn rank_by_count(&mut self, direction: Direction) -> Result<(), Stuck> {
        self.at += 1;
        self.skip_filler();
        if self.terms.get(self.at).is_none_or(|t| t.meanings.is_empty()) {
            return self.stuck_at_end();
        }
        match self.choose(self.at, false)?.meaning {
            Meaning::Table(table) => self.rank_by_rows(direction, table),
            _ => self.stuck(),
        }
    }

    fn rank_by_rows(&mut self, direction: Direction, table: usize) -> Result<(), Stuck> {
        let evidence = self.choose(self.at, false)?;
        self.note(&evidence);
        if self.draft.entity == Some(table) && !self.draft.groups.is_empty() && !self.draft.measures.is_empty() {
            self.draft.order_by_measure = Some(direction);
            self.draft.rank = None;
        } else {
            self.set_rank(Rank::CountOf(direction, table))?;
            self.draft.focus = Some(table);
        }
        self.at += 1;
        Ok(())
    }

    /// `which country has the most users`: the column named before is what users are grouped by.
    fn rank_groups(&mut self, direction: Direction, table: usize) -> Result<(), Stuck> {
        let column = match self.draft.columns.as_slice() {
            [column] if column.table == table && self.draft.entity.is_none() && self.draft.measures.is_empty() => {
                *column
            }
            _ => return self.stuck(),
        };
        let evidence = self.choose(self.at, false)?;
        self.note(&evidence);
        self.draft.columns.clear();
        self.draft.groups.push(Group::Column(column));
        self.draft.entity = Some(table);
        self.draft.focus = Some(table);
        self.set_rank(Rank::Measure(direction))?;
        self.at += 1;
        self.measure(Measure::Rows, table)
    }

    fn set_rank(&mut self, rank: Rank) -> Result<(), Stuck> {
        match self.draft.rank {
            None | Some(Rank::Open(_)) => {
                self.draft.rank = Some(rank);
                Ok(())
            }
            Some(_) => self.stuck(),
        }
    }

    /// The number of rows that is wanted; the current term is the number.
    pub(super) fn set_limit(&mut self, number: &str) -> Result<(), Stuck> {
        let Some(limit) = number.parse::<u32>().ok().filter(|&limit| limit > 0) else {
            return self.stuck_because(format!("the number of rows is a whole number from 1 to {}", u32::MAX));
        };
        if self.draft.limit.replace(u64::from(limit)).is_some() {
            return self.stuck();
        }
        self.at += 1;
        Ok(())
    }

    /// `sorted by price`, `by price` after "top 5".
    pub(super) fn sort_by(&mut self) -> Result<(), Stuck> {
        self.at += 1;
        self.skip_filler();
        let ranked = match self.draft.rank {
            Some(Rank::Open(direction)) => Some(direction),
            _ => None,
        };
        if self.role_here() == Some(Role::Count) && self.terms[self.at].meanings.is_empty() {
            return self.sort_by_count(ranked);
        }
        if let Some(Role::Extreme(direction)) = self.role_here() {
            if ranked.is_some_and(|ranked| ranked != direction) {
                return self.stuck();
            }
            self.at += 1;
        }
        let Some((column, evidence)) = self.column_at(self.at) else { return self.stuck_at_end() };
        self.note(&evidence);
        self.check_orderable(column)?;
        self.at += 1;
        self.sorting = false;
        if let Some(direction) = ranked {
            self.draft.rank = Some(Rank::Column(direction, column));
            return Ok(());
        }
        // "sorted descending by price" names the direction first.
        let before = self.sort_direction.take();
        let direction = self.direction_here().or(before).unwrap_or(Direction::Ascending);
        self.draft.order.push((column, direction));
        let more = matches!(self.role_here(), Some(Role::And))
            || self.terms.get(self.at).is_some_and(|t| t.literal == Some(Literal::Comma));
        if more && self.column_at(self.at + 1).is_some() && self.at + 2 >= self.terms.len() {
            return self.sort_by();
        }
        Ok(())
    }

    fn sort_by_count(&mut self, ranked: Option<Direction>) -> Result<(), Stuck> {
        self.at += 1;
        self.skip_filler();
        if !self.table_at(self.at) {
            return self.stuck_at_end();
        }
        let evidence = self.choose(self.at, false)?;
        let Meaning::Table(table) = evidence.meaning else { return self.stuck() };
        if let Some(direction) = ranked {
            return self.rank_by_rows(direction, table);
        }
        if self.draft.measured != Some(table) || self.draft.groups.is_empty() {
            return self.stuck();
        }
        self.note(&evidence);
        self.at += 1;
        self.draft.order_by_measure = Some(self.direction_here().unwrap_or(Direction::Ascending));
        Ok(())
    }

    fn direction_here(&mut self) -> Option<Direction> {
        while self.role_here() == Some(Role::Filler) || self.terms.get(self.at).is_some_and(|t| t.text == "in") {
            self.at += 1;
        }
        match self.role_here() {
            Some(Role::Order(direction)) => {
                self.at += 1;
                Some(direction)
            }
            _ => None,
        }
    }

    /// `in descending order [of price]`, `alphabetically`.
    pub(super) fn in_order(&mut self, direction: Direction) -> Result<(), Stuck> {
        self.at += 1;
        if self.sorting && self.role_here() == Some(Role::By) {
            self.sort_direction = Some(direction);
            return Ok(());
        }
        self.sorting = false;
        let start = self.at;
        while matches!(self.role_here(), Some(Role::Filler | Role::Of | Role::By | Role::Indefinite)) {
            self.at += 1;
        }
        if self.at > start || self.column_at(self.at).is_some() {
            if let Some((column, evidence)) = self.column_at(self.at) {
                self.note(&evidence);
                self.check_orderable(column)?;
                self.draft.order.push((column, direction));
                self.at += 1;
                return Ok(());
            }
            if self.role_here() == Some(Role::Count)
                && self.draft.order_by_measure.is_none()
                && !self.draft.measures.is_empty()
            {
                self.sort_by_count(None)?;
                self.draft.order_by_measure = Some(direction);
                return Ok(());
            }
            self.at = start;
        }
        if let Some((_, last)) = self.draft.order.last_mut() {
            *last = direction;
        } else if self.draft.order_by_measure.is_some() {
            self.draft.order_by_measure = Some(direction);
        } else if let ([column], true) = (self.draft.columns.as_slice(), self.draft.measures.is_empty()) {
            self.draft.order.push((*column, direction));
        } else {
            return self.stuck_because("the order needs a column: say 'sorted by' and its name");
        }
        Ok(())
    }

    fn check_orderable(&self, column: ColumnRef) -> Result<(), Stuck> {
        if self.schema.family(column) == super::columns::Family::Other {
            return self.stuck_because(format!("{} has no useful order", self.schema.column(column).name));
        }
        Ok(())
    }
}
