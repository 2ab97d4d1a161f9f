//! Ends as people say them: `17:30`, `tomorrow 09:00`, `friday 18:00`, `2026-10-19 09:00`, RFC 3339.

use jiff::{Span, Timestamp, Zoned, civil};

/// Why a text is no end that lies ahead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UntilError {
    /// Not a time at all.
    #[error("{0:?} is not a time: write 17:30, tomorrow 09:00, friday 18:00 or 2026-10-19T09:00")]
    Malformed(String),
    /// A time that is over.
    #[error("{0:?} has passed")]
    Passed(String),
}

/// Reads an end after `now`, in the time zone of `now` unless the text has its own.
///
/// A bare time means its next occurrence, a weekday the next one that is not today. A time that a change of
/// the clocks skips moves on by the gap, one that occurs twice means the first.
pub fn parse_until(text: &str, now: &Zoned) -> Result<Zoned, UntilError> {
    let lower = text.trim().to_ascii_lowercase();
    let malformed = || UntilError::Malformed(text.into());
    let until = read(&lower, text.trim(), now).ok_or_else(malformed)?;
    if until <= *now {
        return Err(UntilError::Passed(text.into()));
    }
    Ok(until)
}

fn read(lower: &str, text: &str, now: &Zoned) -> Option<Zoned> {
    let at = |date: civil::Date, time: civil::Time| date.to_datetime(time).to_zoned(now.time_zone().clone()).ok();
    let after = |days: i32| now.date().checked_add(Span::new().days(days)).ok();
    if let Some(time) = read_time(lower) {
        return at(now.date(), time).filter(|today| today > now).or_else(|| at(after(1)?, time));
    }
    if let Some((day, time)) =
        lower.split_once([' ', 't']).filter(|(day, _)| day.starts_with(|c: char| c.is_ascii_digit()))
    {
        // A date and a time without a zone are ours.
        if let (Ok(date), Some(time)) = (day.parse::<civil::Date>(), read_time(time.trim())) {
            return at(date, time);
        }
    }
    if let Some((day, time)) = lower.split_once(' ')
        && let Some(time) = read_time(time.trim())
    {
        return at(after(read_day(day, now)?)?, time);
    }
    text.parse::<Timestamp>().ok().map(|timestamp| timestamp.to_zoned(now.time_zone().clone()))
}

/// Reads `9:00`, `17:30` or `17:30:15`.
fn read_time(text: &str) -> Option<civil::Time> {
    let mut parts = text.split(':').map(|part| {
        let is_number = !part.is_empty() && part.len() <= 2 && part.bytes().all(|b| b.is_ascii_digit());
        is_number.then(|| part.parse::<i8>().ok()).flatten()
    });
    let (hour, minute) = (parts.next()??, parts.next()??);
    let second = parts.next().map_or(Some(0), |second| second)?;
    parts.next().is_none().then(|| civil::Time::new(hour, minute, second, 0).ok()).flatten()
}

/// Returns in how many days the named day comes.
fn read_day(day: &str, now: &Zoned) -> Option<i32> {
    let names = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    match day {
        "today" => Some(0),
        "tomorrow" => Some(1),
        _ => {
            let wanted = names.iter().position(|name| *name == day || day.len() == 3 && name.starts_with(day))?;
            let today = now.weekday().to_monday_zero_offset();
            let days = (i32::try_from(wanted).ok()? - i32::from(today)).rem_euclid(7);
            Some(if days == 0 { 7 } else { days })
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::{Offset, TimeZone};
    use proptest::prelude::*;

    use super::*;

    /// A Monday.
    fn now() -> Zoned {
        civil::date(2026, 10, 19).at(12, 0, 0, 0).to_zoned(TimeZone::fixed(Offset::constant(2))).unwrap()
    }

    fn until(text: &str) -> Result<String, UntilError> {
        parse_until(text, &now()).map(|until| until.datetime().to_string())
    }

    #[test]
    fn ends_read_as_people_say_them() {
        for (text, expected) in [
            ("17:30", "2026-10-19T17:30:00"),
            ("9:00", "2026-10-20T09:00:00"),
            ("12:00", "2026-10-20T12:00:00"),
            ("today 17:30", "2026-10-19T17:30:00"),
            ("Tomorrow 09:00", "2026-10-20T09:00:00"),
            ("friday 18:00", "2026-10-23T18:00:00"),
            ("mon 18:00", "2026-10-26T18:00:00"),
            ("2026-10-20 09:00", "2026-10-20T09:00:00"),
            ("2026-10-20T09:00:30", "2026-10-20T09:00:30"),
            ("2026-10-20T09:00:00Z", "2026-10-20T11:00:00"),
            ("2026-10-20T09:00:00+02:00", "2026-10-20T09:00:00"),
        ] {
            assert_eq!(until(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_has_passed_and_what_is_no_time_are_told_apart() {
        for text in ["today 11:00", "2026-10-19T11:59", "2020-01-01T00:00:00Z"] {
            assert_eq!(until(text), Err(UntilError::Passed(text.into())));
        }
        for text in [
            "",
            "soon",
            "25:00",
            "12:60",
            "noon",
            "tomorrow",
            "funday 09:00",
            "m 09:00",
            "1:2:3:4",
            "+1:00",
            "2026-13-01 09:00",
        ] {
            assert_eq!(until(text), Err(UntilError::Malformed(text.into())), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC*") {
            let _ = until(&text);
        }
    }
}
