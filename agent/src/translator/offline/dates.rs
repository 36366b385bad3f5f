//! Spans of time that a question names: days, months, years, and those counted from today.

use chrono::{Datelike, Days, Months, NaiveDate};

/// A span of whole days.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Period {
    /// Its first day.
    pub(super) from: NaiveDate,
    /// The day after its last.
    pub(super) until: NaiveDate,
    /// Whether it was counted from today's date.
    pub(super) by_clock: bool,
}

/// The whole year, where it can be one.
pub(super) fn year(number: i32) -> Option<Period> {
    if !(1000..=2999).contains(&number) {
        return None;
    }
    let from = NaiveDate::from_ymd_opt(number, 1, 1)?;
    Some(Period { from, until: NaiveDate::from_ymd_opt(number + 1, 1, 1)?, by_clock: false })
}

fn month(year: i32, number: u32) -> Option<Period> {
    let from = NaiveDate::from_ymd_opt(year, number, 1)?;
    Some(Period { from, until: from.checked_add_months(Months::new(1))?, by_clock: false })
}

fn day(date: NaiveDate) -> Option<Period> {
    Some(Period { from: date, until: date.succ_opt()?, by_clock: false })
}

/// The period that starts at the first of `words`, and how many of them it takes. Words are lower-case.
pub(super) fn period(words: &[&str], today: NaiveDate) -> Option<(Period, usize)> {
    let first = *words.first()?;
    iso(first).map(|period| (period, 1)).or_else(|| by_name(words, today)).or_else(|| from_today(words, today))
}

/// `2024-05-17` or `2024-05`.
fn iso(word: &str) -> Option<Period> {
    let parts: Vec<&str> = word.split('-').collect();
    let numbers: Option<Vec<u32>> = parts.iter().map(|part| part.parse().ok()).collect();
    match (numbers?.as_slice(), parts[0].len()) {
        ([year, month, date], 4) => day(NaiveDate::from_ymd_opt(i32::try_from(*year).ok()?, *month, *date)?),
        ([year, number], 4) => month(i32::try_from(*year).ok()?, *number),
        _ => None,
    }
}

/// `May 2024`, `May 17, 2024`, `17 May 2024`, `17th of May 2024`.
fn by_name(words: &[&str], today: NaiveDate) -> Option<(Period, usize)> {
    let at = |index: usize| words.get(index).copied();
    let year_at = |index: usize| at(index).and_then(year_number);
    if let Some(number) = month_number(words[0]) {
        if let (Some(date), Some(year)) = (at(1).and_then(day_number), year_at(2)) {
            return Some((day(NaiveDate::from_ymd_opt(year, number, date)?)?, 3));
        }
        if let Some(year) = year_at(1) {
            return Some((month(year, number)?, 2));
        }
        // `may` and `march` are also verbs, so a month alone is taken only where it can't be one.
        if !matches!(words[0], "may" | "march" | "mar" | "sep" | "dec" | "jan") && at(1).and_then(day_number).is_none()
        {
            let year = if number > today.month() { today.year() - 1 } else { today.year() };
            return Some((Period { by_clock: true, ..month(year, number)? }, 1));
        }
        return None;
    }
    let date = day_number(words[0])?;
    let name = if at(1) == Some("of") { 2 } else { 1 };
    let (number, year) = (month_number(at(name)?)?, year_at(name + 1)?);
    Some((day(NaiveDate::from_ymd_opt(year, number, date)?)?, name + 2))
}

fn year_number(word: &str) -> Option<i32> {
    let number: i32 = word.parse().ok().filter(|_| word.len() == 4)?;
    (1000..=2999).contains(&number).then_some(number)
}

fn day_number(word: &str) -> Option<u32> {
    let digits = ["st", "nd", "rd", "th"].iter().find_map(|ending| word.strip_suffix(ending)).unwrap_or(word);
    digits.parse().ok().filter(|number| (1..=31).contains(number))
}

fn month_number(word: &str) -> Option<u32> {
    const MONTHS: [&str; 12] = [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ];
    let named = |month: &&str| **month == *word || (word.len() == 3 && month.starts_with(word));
    MONTHS.iter().position(named).and_then(|index| u32::try_from(index + 1).ok())
}

/// `today`, `yesterday`, `this month`, `last year`, `the last 30 days`.
fn from_today(words: &[&str], today: NaiveDate) -> Option<(Period, usize)> {
    let clocked =
        |from: NaiveDate, until: NaiveDate, taken: usize| Some((Period { from, until, by_clock: true }, taken));
    match words[0] {
        "today" => return clocked(today, today.succ_opt()?, 1),
        "yesterday" => return clocked(today.pred_opt()?, today, 1),
        _ => {}
    }
    let this = matches!(words[0], "this" | "current");
    if !this && !matches!(words[0], "last" | "past" | "previous") {
        return None;
    }
    let unit = *words.get(1)?;
    if let Some(start) = start_of(unit, today) {
        let next = step(unit, start, 1, true)?;
        return if this { clocked(start, next, 2) } else { clocked(step(unit, start, 1, false)?, start, 2) };
    }
    if this {
        return None;
    }
    // `last 7 days` ends with today, so that it holds what has just happened.
    let (count, unit) = (unit.parse().ok()?, words.get(2)?.strip_suffix('s').unwrap_or(words[2]));
    start_of(unit, today)?;
    clocked(step(unit, today, count, false)?.succ_opt()?, today.succ_opt()?, 3)
}

fn start_of(unit: &str, today: NaiveDate) -> Option<NaiveDate> {
    match unit {
        "day" => Some(today),
        "week" => today.checked_sub_days(Days::new(u64::from(today.weekday().num_days_from_monday()))),
        "month" => today.with_day(1),
        "quarter" => NaiveDate::from_ymd_opt(today.year(), (today.month0() / 3) * 3 + 1, 1),
        "year" => NaiveDate::from_ymd_opt(today.year(), 1, 1),
        _ => None,
    }
}

fn step(unit: &str, from: NaiveDate, count: u32, forward: bool) -> Option<NaiveDate> {
    let months = |each: u32| {
        let months = Months::new(count.checked_mul(each)?);
        if forward { from.checked_add_months(months) } else { from.checked_sub_months(months) }
    };
    let days = |each: u64| {
        let days = Days::new(u64::from(count) * each);
        if forward { from.checked_add_days(days) } else { from.checked_sub_days(days) }
    };
    match unit {
        "day" => days(1),
        "week" => days(7),
        "month" => months(1),
        "quarter" => months(3),
        "year" => months(12),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_periods() {
        let today = NaiveDate::from_ymd_opt(2024, 5, 15).expect("a date");
        let check = |text: &str, expected: Option<(&str, &str, usize)>| {
            let words: Vec<&str> = text.split(' ').collect();
            let read = period(&words, today).map(|(p, taken)| (p.from.to_string(), p.until.to_string(), taken));
            let expected = expected.map(|(from, until, taken)| (from.to_string(), until.to_string(), taken));
            assert_eq!(read, expected, "{text}");
        };
        check("2024-02-28 and", Some(("2024-02-28", "2024-02-29", 1)));
        check("2023-12", Some(("2023-12-01", "2024-01-01", 1)));
        check("march 2024", Some(("2024-03-01", "2024-04-01", 2)));
        check("may 17 2024", Some(("2024-05-17", "2024-05-18", 3)));
        check("17th of may 2024", Some(("2024-05-17", "2024-05-18", 4)));
        check("june", Some(("2023-06-01", "2023-07-01", 1)));
        check("may be", None);
        check("today", Some(("2024-05-15", "2024-05-16", 1)));
        check("yesterday", Some(("2024-05-14", "2024-05-15", 1)));
        check("last month", Some(("2024-04-01", "2024-05-01", 2)));
        check("this year", Some(("2024-01-01", "2025-01-01", 2)));
        check("this week", Some(("2024-05-13", "2024-05-20", 2)));
        check("last quarter", Some(("2024-01-01", "2024-04-01", 2)));
        check("last 7 days", Some(("2024-05-09", "2024-05-16", 3)));
        check("last 5 users", None);
        check("2024-13-01", None);
        check("ships", None);
    }
}
