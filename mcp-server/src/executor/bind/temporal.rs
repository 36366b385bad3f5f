//! Dates and times in their text forms, PostgreSQL's own output among them.

use chrono::{DateTime, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime, TimeZone};
use chrono_tz::Tz;

const TIMES: [&str; 2] = ["%H:%M:%S%.f", "%H:%M"];

const TIMESTAMPS: [&str; 4] = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"];

/// What stands for the ends of time, in each type's own width.
pub(super) fn infinity<T>(text: &str, least: T, most: T) -> Option<T> {
    match text.to_ascii_lowercase().as_str() {
        "infinity" => Some(most),
        "-infinity" => Some(least),
        _ => None,
    }
}

pub(super) fn date(text: &str) -> Option<NaiveDate> {
    NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()
}

pub(super) fn time(text: &str) -> Option<NaiveTime> {
    TIMES.iter().find_map(|form| NaiveTime::parse_from_str(text, form).ok())
}

/// A time stamp without a zone; a date alone is its midnight.
pub(super) fn timestamp(text: &str) -> Option<NaiveDateTime> {
    let with_time = TIMESTAMPS.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok());
    with_time.or_else(|| date(text)?.and_hms_opt(0, 0, 0))
}

/// A time stamp with a zone: by its offset, or in the session's zone where it has none.
pub(super) fn timestamptz(text: &str, session: Option<Tz>) -> Option<DateTime<FixedOffset>> {
    if let Some(local) = timestamp(text) {
        return session?.from_local_datetime(&local).earliest().map(|moment| moment.fixed_offset());
    }
    let (head, offset) = match text.strip_suffix(['Z', 'z']) {
        Some(head) => (head, FixedOffset::east_opt(0)?),
        None => {
            // The sign behind the date's own dashes.
            let at = text.get(10..)?.rfind(['+', '-'])? + 10;
            (&text[..at], fixed_offset(&text[at..])?)
        }
    };
    offset.from_local_datetime(&timestamp(head.trim_end())?).single()
}

/// `+02`, `+0230` or `+02:30`.
fn fixed_offset(text: &str) -> Option<FixedOffset> {
    let (sign, digits) = (if text.starts_with('-') { -1 } else { 1 }, text.get(1..)?.replace(':', ""));
    if !matches!(digits.len(), 2 | 4) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let hours: i32 = digits[..2].parse().ok()?;
    let minutes: i32 = if digits.len() == 4 { digits[2..].parse().ok()? } else { 0 };
    FixedOffset::east_opt(sign * (hours * 3600 + minutes * 60))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_forms_that_postgresql_prints() {
        let check = |text: &str, utc: Option<&str>| {
            let read = timestamptz(text, Some(Tz::Europe__Paris));
            assert_eq!(read.map(|moment| moment.to_utc().to_rfc3339()).as_deref(), utc, "{text}");
        };
        check("2024-05-31T13:45:00Z", Some("2024-05-31T13:45:00+00:00"));
        check("2024-05-31 13:45:00+00", Some("2024-05-31T13:45:00+00:00"));
        check("2024-05-31 13:45:00.5-03:30", Some("2024-05-31T17:15:00.500+00:00"));
        check("2024-05-31", Some("2024-05-30T22:00:00+00:00"));
        check("2024-01-31 10:00", Some("2024-01-31T09:00:00+00:00"));
        check("2024-02-30", None);
        check("yesterday", None);
        check("2024-05-31T13:45:00+2", None);
    }
}
