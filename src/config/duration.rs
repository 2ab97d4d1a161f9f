//! Durations as people write them: `45m`, `1h30m`, `500ms`, `90` (seconds).

use std::{fmt::Write, time::Duration};

const UNITS: [(&str, Duration); 6] = [
    ("w", Duration::from_hours(7 * 24)),
    ("d", Duration::from_hours(24)),
    ("h", Duration::from_hours(1)),
    ("m", Duration::from_mins(1)),
    ("s", Duration::from_secs(1)),
    ("ms", Duration::from_millis(1)),
];

/// A text that is no duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a duration: write 90, 45m, 1h30m, 500ms or 2d")]
pub struct DurationError {
    text: String,
}

/// Reads a duration: numbers with the units w, d, h, m, s, ms one after the other, or a bare number of seconds.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    read(text.trim()).ok_or_else(|| DurationError { text: text.into() })
}

/// Writes a duration as [`parse_duration`] reads it, to the millisecond, with at most three units.
pub fn format_duration(duration: Duration) -> String {
    // Weeks are read, but nobody says "1w2d".
    let (mut text, mut rest, mut units) = (String::new(), duration, 0);
    for (unit, size) in &UNITS[1..] {
        let count = rest.as_millis() / size.as_millis();
        if count > 0 && units < 3 {
            // Writing to a String cannot fail.
            let _ = write!(text, "{count}{unit}");
            units += 1;
        }
        rest = Duration::from_millis((rest.as_millis() % size.as_millis()) as u64);
    }
    if text.is_empty() { "0s".into() } else { text }
}

fn read(text: &str) -> Option<Duration> {
    if !text.is_ascii() {
        return None;
    }
    if let Ok(seconds) = text.parse::<u32>() {
        return text.starts_with(|c: char| c.is_ascii_digit()).then(|| Duration::from_secs(seconds.into()));
    }
    let (mut rest, mut total) = (text, Duration::ZERO);
    let mut last = Duration::MAX;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (count, tail) = rest.split_at(digits);
        let letters = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let (_, size) = UNITS.iter().find(|(name, _)| *name == unit)?;
        if *size >= last {
            return None;
        }
        total = total.checked_add(size.checked_mul(count.parse().ok()?)?)?;
        (rest, last) = (tail, *size);
    }
    (last < Duration::MAX).then_some(total)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_read_as_people_write_them() {
        for (text, millis) in [
            ("90", 90_000),
            ("0", 0),
            ("45m", 2_700_000),
            ("1h30m", 5_400_000),
            ("500ms", 500),
            ("2d", 172_800_000),
            ("1w", 604_800_000),
            ("1m1s500ms", 61_500),
            (" 5s ", 5_000),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused_with_its_text() {
        for text in
            ["", " ", "m", "-5m", "+5", "5 m", "1.5h", "5x", "30m1h", "1h1h", "5m5", "99999999999w", "٣m", "1h-"]
        {
            let error = parse_duration(text).unwrap_err().to_string();
            assert!(error.contains(&format!("{text:?}")), "{error}");
        }
    }

    #[test]
    fn durations_are_written_shortly() {
        for (millis, text) in [(0, "0s"), (500, "500ms"), (90_000, "1m30s"), (3_600_000, "1h"), (604_800_000, "7d")] {
            assert_eq!(format_duration(Duration::from_millis(millis)), text);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(seconds in 0_u64..4_000_000_000) {
            let duration = Duration::from_secs(seconds);
            let again = parse_duration(&format_duration(duration)).unwrap();
            prop_assert!(duration.abs_diff(again) < Duration::from_mins(1));
            if seconds < 86_400 {
                prop_assert_eq!(again, duration);
            }
        }

        #[test]
        fn no_text_panics(text in "\\PC*") {
            let _ = parse_duration(&text);
        }
    }
}
