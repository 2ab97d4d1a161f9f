//! How much a contact is preferred.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The priority of a contact, 0 to 1 in thousandths (RFC 3863 §4.1.5); its text and JSON form is `0.8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Priority(u16);

impl Priority {
    /// Makes a priority of thousandths; `None` beyond 1000.
    pub const fn from_thousandths(thousandths: u16) -> Option<Self> {
        if thousandths <= 1000 { Some(Self(thousandths)) } else { None }
    }

    /// Returns the priority in thousandths.
    pub const fn thousandths(self) -> u16 {
        self.0
    }
}

/// 0.8.
impl Default for Priority {
    fn default() -> Self {
        Self(800)
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            1000 => f.write_str("1"),
            0 => f.write_str("0"),
            n if n % 100 == 0 => write!(f, "0.{}", n / 100),
            n if n % 10 == 0 => write!(f, "0.{:02}", n / 10),
            n => write!(f, "0.{n:03}"),
        }
    }
}

/// The text is no number between 0 and 1 with at most three decimals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a priority is a number from 0 to 1 with at most three decimals")]
pub struct InvalidPriority;

impl FromStr for Priority {
    type Err = InvalidPriority;

    fn from_str(text: &str) -> Result<Self, InvalidPriority> {
        let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if !matches!(whole, "0" | "1") || decimals.len() > 3 || !digits(decimals) {
            return Err(InvalidPriority);
        }
        let thousandths =
            decimals.bytes().chain([b'0'; 3]).take(3).fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'));
        let whole = if whole == "1" { 1000 } else { 0 };
        Self::from_thousandths(whole + thousandths).ok_or(InvalidPriority)
    }
}

impl Serialize for Priority {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(f64::from(self.0) / 1000.0)
    }
}

impl<'de> Deserialize<'de> for Priority {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = f64::deserialize(deserializer)?;
        format!("{value}").parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pid_05_a_priority_is_0_to_1_with_at_most_three_decimals() {
        let read = |text: &str| text.parse::<Priority>().ok();
        let mut sorted = [read("0.8"), read("1"), read("0.123"), None];
        sorted.sort();
        assert_eq!(sorted, [None, read("0.123"), read("0.8"), read("1")]);
        for text in ["0.8", "1", "0.123", "0", "0.05", "0.5", "0.55"] {
            assert_eq!(read(text).unwrap().to_string(), text);
        }
        assert_eq!(read("1.000"), read("1"));
        for text in ["1.5", "0.1234", "1.001", "", ".5", "2", "-0", "0,5", "+0.1", "0.x"] {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(Priority::default().to_string(), "0.8");
        let json = serde_json::to_string(&read("0.123")).unwrap();
        assert_eq!(json, "0.123");
        assert_eq!(serde_json::from_str::<Priority>("0.123").ok(), read("0.123"));
        assert_eq!(serde_json::from_str::<Priority>("1").ok(), read("1"));
    }
}
