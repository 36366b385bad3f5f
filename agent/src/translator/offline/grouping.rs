//! Reading groups: "per country", "for each user", "by status and method".

use super::draft::{Group, Pending, Rank, Stuck};
use super::evidence::{Evidence, Meaning};
use super::lexicon::Role;
use super::reader::Reader;

impl Reader<'_> {
    /// `per country`, `for each user`.
    pub(super) fn each(&mut self) -> Result<(), Stuck> {
        self.at += 1;
        self.skip_filler();
        self.group()
    }

    /// What is grouped by, one or several: "by status and country".
    pub(super) fn group(&mut self) -> Result<(), Stuck> {
        self.group_once()?;
        while self.another_group_follows() {
            self.at += 1;
            self.group_once()?;
        }
        Ok(())
    }

    fn another_group_follows(&self) -> bool {
        let joined = self.role_here() == Some(Role::And) && !self.draft.measures.is_empty();
        let is_column = |m: &Evidence| !matches!(m.meaning, Meaning::Table(_));
        let next = self.terms.get(self.at + 1).filter(|_| joined);
        next.is_some_and(|t| t.role.is_none() && t.meanings.iter().any(is_column)) && !self.value_follows(self.at + 2)
    }

    fn group_once(&mut self) -> Result<(), Stuck> {
        if self.at >= self.terms.len() || self.terms[self.at].meanings.is_empty() {
            return self.stuck_or_last();
        }
        let evidence = self.choose(self.at, false)?;
        let group = match evidence.meaning {
            Meaning::Table(table) => {
                let qualifies = self.terms.get(self.at + 1).and_then(|next| {
                    next.meanings.iter().find_map(|m| match m.meaning {
                        Meaning::Column(c) if c.table == table && m.score >= 0.9 && next.role.is_none() => Some(c),
                        _ => None,
                    })
                });
                let is_plural = self.terms[self.at].is_plural;
                match qualifies.filter(|_| self.draft.entity.is_some()) {
                    Some(column) => {
                        self.connect(table, Some(Role::Each), is_plural);
                        self.at += 1;
                        Group::Column(column)
                    }
                    None => {
                        self.connect(table, Some(Role::Each), is_plural);
                        Group::Table(table)
                    }
                }
            }
            Meaning::Column(column) | Meaning::Flag(column, _) => {
                self.connect_by_name(self.at, column.table);
                Group::Column(column)
            }
            Meaning::Label(..) => return self.stuck(),
        };
        self.note(&evidence);
        if !self.draft.groups.contains(&group) {
            self.draft.groups.push(group);
        }
        self.selecting = true;
        self.at += 1;
        Ok(())
    }

    /// `by`: the order of a ranking or sorting, else the groups of a figure.
    pub(super) fn by(&mut self) -> Result<(), Stuck> {
        if self.sorting || matches!(self.draft.rank, Some(Rank::Open(_))) {
            return self.sort_by();
        }
        if self.draft.measures.is_empty() && self.draft.pending == Pending::Nothing {
            return self.stuck_because("'by' may ask for an order or for groups: say 'sorted by' or 'per'");
        }
        self.at += 1;
        self.skip_filler();
        // "payments by method card" says which, not how they are grouped.
        if let Some((column, evidence)) = self.column_at(self.at)
            && self.condition_on(column)?
        {
            self.note(&evidence);
            return Ok(());
        }
        self.group()
    }

    fn stuck_or_last<T>(&self) -> Result<T, Stuck> {
        let at = self.at.min(self.terms.len().saturating_sub(1));
        Err(Stuck { at, placed: self.placed, reason: None })
    }
}
