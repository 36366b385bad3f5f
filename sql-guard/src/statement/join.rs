//! Joins: what their conditions see, and which columns USING and NATURAL make one.

use std::collections::HashSet;

use pg_query::protobuf::{JoinExpr, JoinType};

use super::{Walk, names};
use crate::columns::{Column, Columns, Found, Restriction};
use crate::parse::only_key_word;
use crate::rejection::Rejection;
use crate::weight::Weight;

impl<'a> Walk<'a> {
    /// Judges a join and tells its row: merged columns first, then the others of either side.
    pub(super) fn join(&mut self, join: &'a JoinExpr) -> Result<Columns, Rejection> {
        let JoinExpr { jointype, is_natural, larg, rarg, using_clause, join_using_alias, quals, alias, rtindex: _ } =
            join;
        let (Some(left), Some(right)) = (larg, rarg) else { return Err(self.unknown("half a join", -1)) };
        let before = self.level().items.len();
        let rows_before = self.level().rows.len();
        let left = self.row_source(left)?;
        // The right side of a LATERAL join sees the left one.
        self.level().rows.push(left.clone());
        let right = self.row_source(right)?;
        self.level().rows.truncate(rows_before);
        let merged: Vec<&str> = match is_natural {
            true => self.common(&left, &right)?,
            false => names(using_clause),
        };
        if *is_natural || !merged.is_empty() {
            self.implied_operator("=", -1)?;
        }
        for column in &merged {
            self.merged_column(column, [&left, &right])?;
            self.merge_column()?;
        }
        let merges: Vec<String> = merged.iter().map(ToString::to_string).collect();
        let is_full = JoinType::try_from(*jointype) == Ok(JoinType::JoinFull);
        let row = self.merge([&left, &right], &merges, *is_natural, is_full)?;
        if let Some(alias) = join_using_alias {
            self.bring_in("", Some(alias), Columns::named(merges.iter().map(String::as_str))?)?;
        }
        if quals.is_some() {
            // The condition sees the two sides, and nothing that stands beside the join.
            let beside: Vec<_> = self.level().items.drain(..before).collect();
            let rows = std::mem::replace(&mut self.level().rows, vec![left, right]);
            self.moved_condition(quals.as_deref())?;
            self.level().rows = rows;
            self.level().items.splice(..0, beside);
        }
        let Some(alias) = alias else { return Ok(row) };
        // Behind an alias the sides can't be named any more.
        self.level().items.truncate(before);
        self.bring_in("", Some(alias), row)
    }

    /// The columns that NATURAL would compare. Columns that the caller may not see would be compared as well.
    fn common<'c>(&self, left: &'c Columns, right: &Columns) -> Result<Vec<&'c str>, Rejection> {
        for side in [left, right] {
            if side.worst() == Restriction::Hidden {
                return Err(self.all_columns_denied(side, "NATURAL JOIN", only_key_word(self.text, "NATURAL")));
            }
        }
        // Columns that aren't known, or not by name, may be common too. They would be merged and stand first, so that nobody
        // could tell any more which places are masked.
        if !(left.is_certain() && right.is_certain()) {
            for side in [left, right] {
                if side.worst() == Restriction::Masked {
                    return Err(self.all_columns_denied(side, "NATURAL JOIN", only_key_word(self.text, "NATURAL")));
                }
            }
        }
        let known = left.known().iter().filter_map(|column| column.name.as_deref());
        let mut seen = HashSet::new();
        Ok(known.filter(|name| matches!(right.find(name), Found::Column(_)) && seen.insert(*name)).collect())
    }

    /// The row of a join.
    fn merge(
        &mut self,
        [left, right]: [&Columns; 2],
        merged: &[String],
        is_natural: bool,
        is_full: bool,
    ) -> Result<Columns, Rejection> {
        let has = |side: &Columns, name: &String| matches!(side.find(name), Found::Column(_));
        // What is merged stands first, so a name that only may be there leaves every place uncertain.
        let is_certain = match is_natural {
            true => left.is_certain() && right.is_certain(),
            false => merged.iter().all(|name| has(left, name) && has(right, name)),
        };
        let merges: HashSet<&str> = merged.iter().map(String::as_str).collect();
        if merged.is_empty() && is_certain {
            let mut row = left.clone();
            row.extend(right)?;
            self.count_columns(&row)?;
            return Ok(row);
        }
        let is_merged = |column: &&Column| column.name.as_deref().is_some_and(|name| merges.contains(name));
        let weight = |name: &str| {
            let [left, right] = [left, right].map(|side| side.weight(name).unwrap_or_default());
            match is_full {
                // It is the first of both that isn't null.
                true => Weight { nodes: left.nodes.saturating_add(right.nodes), ..left.united(right) },
                false => left.most(right),
            }
        };
        let mut row =
            Columns::all(merged.iter().map(|name| Column { weight: weight(name), ..Column::free(name.as_str()) }))?;
        for side in [left, right] {
            let others = side.known().iter().filter(|column| !is_merged(column)).cloned();
            row.extend(&Columns::all(others)?)?;
            if side.is_open() {
                row.push_unknown_of(side.heaviest());
            }
        }
        if !is_certain {
            row.forget_places();
        }
        self.count_columns(&row)?;
        Ok(row)
    }
}
