//! Times as a policy file says them: `mon-fri 08:00-18:00`, `2026-12-24..2026-12-27`.

use jiff::{
    Timestamp,
    civil::{Date, DateTime},
    tz::TimeZone,
};

use crate::presence::policy::{Dates, Weekly};

const DAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
const WHOLE_DAY: (u16, u16) = (0, 24 * 60);

/// Reads hours of every week: days, hours, or days and hours. Days are a list with commas or a span, hours a span that
/// may end on the day after.
pub fn parse_weekly(text: &str) -> Result<Weekly, String> {
    let wrong = || format!("write \"mon-fri 08:00-18:00\", \"sat,sun\" or \"22:00-06:00\", not {text:?}");
    let lower = text.trim().to_ascii_lowercase();
    let (days, hours) = match lower.split_once(' ') {
        Some((days, hours)) => (Some(days), Some(hours.trim())),
        None if lower.contains(':') => (None, Some(&*lower)),
        None => (Some(&*lower), None),
    };
    let days = days.map_or_else(|| Some((0..7).collect()), read_days).ok_or_else(wrong)?;
    let (from, until) = hours.map_or(Some(WHOLE_DAY), read_hours).ok_or_else(wrong)?;
    Weekly::new(days, from, until).ok_or_else(wrong)
}

/// Writes hours as [`parse_weekly`] reads them.
pub fn weekly_words(weekly: Weekly) -> String {
    let days: Vec<u8> = weekly.days().collect();
    let in_row = days.windows(2).all(|pair| pair[0] + 1 == pair[1]);
    let name = |day: u8| &DAYS[usize::from(day)][..3];
    let days = match days.as_slice() {
        all if all.len() == 7 => None,
        [first, .., last] if in_row && days.len() > 2 => Some(format!("{}-{}", name(*first), name(*last))),
        some => Some(some.iter().map(|day| name(*day)).collect::<Vec<_>>().join(",")),
    };
    let hour = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
    let (from, until) = weekly.minutes();
    let hours = ((from, until) != WHOLE_DAY || days.is_none()).then(|| format!("{}-{}", hour(from), hour(until)));
    days.into_iter().chain(hours).collect::<Vec<_>>().join(" ")
}

/// Reads a span of dates, each a day, a time of that zone, or a moment with a zone of its own. A day at the end is a day
/// that belongs to it.
pub fn parse_dates(text: &str, zone: &TimeZone) -> Result<Dates, String> {
    let wrong = || format!("write \"2026-12-24..2026-12-27\" or \"2026-12-24T18:00..2026-12-25T02:00\", not {text:?}");
    let (from, until) = text.split_once("..").unwrap_or((text, text));
    let from = read_moment(from.trim(), zone, false).ok_or_else(wrong)?;
    let until = read_moment(until.trim(), zone, true).ok_or_else(wrong)?;
    if until <= from {
        return Err(format!("{text:?} ends before it begins"));
    }
    Ok(Dates { from, until })
}

/// Writes a span as [`parse_dates`] reads it, by the clock of that zone.
pub fn dates_words(dates: Dates, zone: &TimeZone) -> String {
    // A time that comes twice is told in UTC.
    let words = |at: Timestamp| {
        let local = zone.to_datetime(at);
        let is_plain = local.second() == 0 && local.subsec_nanosecond() == 0;
        match zone.to_timestamp(local) {
            Ok(back) if back == at && is_plain => local.strftime("%Y-%m-%dT%H:%M").to_string(),
            _ => at.to_string(),
        }
    };
    format!("{}..{}", words(dates.from), words(dates.until))
}

fn read_days(text: &str) -> Option<Vec<u8>> {
    let day = |name: &str| {
        let found = DAYS.iter().position(|day| *day == name || name.len() == 3 && day.starts_with(name))?;
        u8::try_from(found).ok()
    };
    let mut days = Vec::new();
    for part in text.split(',') {
        match part.split_once('-') {
            Some((first, last)) => {
                let (first, last) = (day(first)?, day(last)?);
                days.extend((0..=(last + 7 - first) % 7).map(|next| (first + next) % 7));
            }
            None => days.push(day(part)?),
        }
    }
    Some(days)
}

fn read_hours(text: &str) -> Option<(u16, u16)> {
    let minute = |text: &str| {
        let (hour, minute) = text.trim().split_once(':')?;
        let is_number = |text: &str| (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(hour) || minute.len() != 2 || !is_number(minute) {
            return None;
        }
        let (hour, minute) = (hour.parse::<u16>().ok()?, minute.parse::<u16>().ok()?);
        (minute < 60 && hour * 60 + minute <= 24 * 60).then_some(hour * 60 + minute)
    };
    let (from, until) = text.split_once('-')?;
    let (from, until) = (minute(from)?, minute(until)?);
    // Midnight is the end of the day before.
    Some((from, if until == 0 { 24 * 60 } else { until }))
}

fn read_moment(text: &str, zone: &TimeZone, ends: bool) -> Option<Timestamp> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at);
    }
    let local = if text.len() == 10 {
        let date: Date = text.parse().ok()?;
        let date = if ends { date.tomorrow().ok()? } else { date };
        date.at(0, 0, 0, 0)
    } else {
        text.parse::<DateTime>().ok()?
    };
    zone.to_timestamp(local).ok()
}

#[cfg(test)]
mod tests {
    use jiff::tz::Offset;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hours_of_every_week_read_as_people_say_them_and_are_written_so() {
        for (text, written) in [
            ("mon-fri 08:00-18:00", "mon-fri 08:00-18:00"),
            ("Monday-Friday 8:00-18:00", "mon-fri 08:00-18:00"),
            ("sat,sun", "sat,sun"),
            ("sat-mon", "mon,sat,sun"),
            ("22:00-06:00", "22:00-06:00"),
            ("fri 22:00-00:00", "fri 22:00-24:00"),
            ("mon,wed,fri 00:00-24:00", "mon,wed,fri"),
            ("mon-sun", "00:00-24:00"),
            ("00:00-24:00", "00:00-24:00"),
        ] {
            let weekly = parse_weekly(text).unwrap();
            assert_eq!(weekly_words(weekly), written, "{text}");
            assert_eq!(parse_weekly(written), Ok(weekly));
        }
        for text in [
            "",
            "always",
            "mo 08:00-09:00",
            "mon 8-9",
            "mon 25:00-26:00",
            "mon 08:60-09:00",
            "mon 08:00",
            "mon-",
            "1:2:3-4",
        ] {
            let error = parse_weekly(text).unwrap_err();
            assert!(error.starts_with("write \"mon-fri 08:00-18:00\""), "{error}");
        }
    }

    #[test]
    fn dates_are_whole_days_or_times_of_the_zone() {
        let zone = TimeZone::fixed(Offset::constant(1));
        let parsed = |text| parse_dates(text, &zone).map(|dates| format!("{}..{}", dates.from, dates.until));
        for (text, expected) in [
            ("2026-12-24..2026-12-27", "2026-12-23T23:00:00Z..2026-12-27T23:00:00Z"),
            ("2026-12-24", "2026-12-23T23:00:00Z..2026-12-24T23:00:00Z"),
            ("2026-12-24T18:00 .. 2026-12-25T02:00", "2026-12-24T17:00:00Z..2026-12-25T01:00:00Z"),
            ("2026-12-24T18:00:00Z..2026-12-25", "2026-12-24T18:00:00Z..2026-12-25T23:00:00Z"),
        ] {
            assert_eq!(parsed(text).as_deref(), Ok(expected), "{text}");
        }
        for text in ["", "..", "2026-12-24..", "2026-13-01", "tomorrow", "2026-12-24..2026-12-24T00:00"] {
            assert!(parsed(text).is_err(), "{text}");
        }
        assert!(parsed("2026-12-27..2026-12-24").unwrap_err().contains("ends before it begins"));
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(from in 0..4_000_000_000_i64, length in 1..10_000_000_i64) {
            let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
            let at = |second| Timestamp::from_second(second).unwrap();
            let dates = Dates { from: at(from), until: at(from + length) };
            prop_assert_eq!(parse_dates(&dates_words(dates, &zone), &zone), Ok(dates));
        }

        #[test]
        fn no_text_panics(text in "\\PC*") {
            let _ = (parse_weekly(&text), parse_dates(&text, &TimeZone::UTC));
        }
    }
}
