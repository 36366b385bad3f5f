//! Dates and time stamps, ISO 8601 as PostgreSQL's `to_json` prints them: over its whole range, 4713 BC to 294276 AD.

use std::io::Write;

/// Days from 1970-01-01 to 2000-01-01, where PostgreSQL counts from.
const EPOCH_DAYS: i64 = 10_957;

const MICROSECONDS_PER_DAY: i64 = 86_400_000_000;

/// Appends a `date`: days since 2000-01-01, the ends of the range standing for infinity.
pub(super) fn write_date(days: i32, out: &mut Vec<u8>) {
    match days {
        i32::MAX => out.extend_from_slice(b"\"infinity\""),
        i32::MIN => out.extend_from_slice(b"\"-infinity\""),
        _ => {
            let date = Civil::of(i64::from(days));
            put(out, format_args!("\"{}{}\"", date, date.era()));
        }
    }
}

/// Appends a `timestamp`: microseconds since 2000-01-01, the ends of the range standing for infinity.
pub(super) fn write_timestamp(microseconds: i64, out: &mut Vec<u8>) {
    match microseconds {
        i64::MAX => return out.extend_from_slice(b"\"infinity\""),
        i64::MIN => return out.extend_from_slice(b"\"-infinity\""),
        _ => {}
    }
    let date = Civil::of(microseconds.div_euclid(MICROSECONDS_PER_DAY));
    let time = microseconds.rem_euclid(MICROSECONDS_PER_DAY);
    let (seconds, fraction) = (time / 1_000_000, time % 1_000_000);
    put(out, format_args!("\"{date}T{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60));
    if fraction > 0 {
        let digits = format!(".{fraction:06}");
        out.extend_from_slice(digits.trim_end_matches('0').as_bytes());
    }
    put(out, format_args!("{}\"", date.era()));
}

/// A day of the proleptic Gregorian calendar.
struct Civil {
    year: i64,
    month: i64,
    day: i64,
}

impl Civil {
    /// The day `days` after 2000-01-01. Counted in eras of 400 years from the first of March of year 0, so that leap days come
    /// last (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
    fn of(days: i64) -> Self {
        let days = days + EPOCH_DAYS + 719_468;
        let era = days.div_euclid(146_097);
        let day_of_era = days.rem_euclid(146_097);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * march_month + 2) / 5 + 1;
        let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
        Self { year: year_of_era + era * 400 + i64::from(month <= 2), month, day }
    }

    /// What stands behind a date before year 1.
    fn era(&self) -> &'static str {
        if self.year > 0 { "" } else { " BC" }
    }
}

impl std::fmt::Display for Civil {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Year 0 is 1 BC.
        let year = if self.year > 0 { self.year } else { 1 - self.year };
        write!(f, "{year:04}-{:02}-{:02}", self.month, self.day)
    }
}

fn put(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to memory doesn't fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn dates_over_the_whole_range() {
        let check = |days: i32, json: &str| assert_eq!(written(|out| write_date(days, out)), json);
        check(0, "\"2000-01-01\"");
        check(59, "\"2000-02-29\"");
        check(-1, "\"1999-12-31\"");
        check(-746_117, "\"0044-03-15 BC\"");
        check(-2_451_507, "\"4713-01-01 BC\"");
        check(2_921_940, "\"10000-01-01\"");
        check(i32::MAX, "\"infinity\"");
        check(i32::MIN, "\"-infinity\"");
    }

    #[test]
    fn time_stamps_with_trimmed_fractions() {
        let check = |microseconds: i64, json: &str| assert_eq!(written(|out| write_timestamp(microseconds, out)), json);
        check(0, "\"2000-01-01T00:00:00\"");
        check(1_500_000, "\"2000-01-01T00:00:01.5\"");
        check(-1, "\"1999-12-31T23:59:59.999999\"");
        check(i64::MAX, "\"infinity\"");
    }
}
