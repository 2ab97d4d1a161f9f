//! How sure a state is, and why it is not.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How sure we are that a state still holds.
///
/// Its text form, in serde too, is the word, and for a failure `failed:CODE`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Freshness {
    /// Told by the peer, and its subscription is alive.
    Fresh,
    /// There was a state, and it cannot be confirmed now.
    Stale,
    /// The peer has not decided yet whether we may watch.
    Pending,
    /// The peer does not let us watch.
    Rejected,
    /// Watching failed, and this is why.
    Failed(FailureCode),
    /// There never was a state, or its known end has passed.
    #[default]
    Unknown,
}

impl Freshness {
    /// Returns the word without the code: `fresh`, `stale`, `pending`, `rejected`, `failed` or `unknown`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Stale => "stale",
            Self::Pending => "pending",
            Self::Rejected => "rejected",
            Self::Failed(_) => "failed",
            Self::Unknown => "unknown",
        }
    }

    /// Returns why it failed, if it did.
    pub const fn code(self) -> Option<FailureCode> {
        match self {
            Self::Failed(code) => Some(code),
            _ => None,
        }
    }
}

/// `fresh`, `failed (404)`.
impl fmt::Display for Freshness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(code) => f.pad(&format!("failed ({code})")),
            other => f.pad(other.word()),
        }
    }
}

impl Serialize for Freshness {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Failed(code) => serializer.collect_str(&format_args!("failed:{code}")),
            other => serializer.serialize_str(other.word()),
        }
    }
}

impl<'de> Deserialize<'de> for Freshness {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Ok(match text.as_str() {
            "fresh" => Self::Fresh,
            "stale" => Self::Stale,
            "pending" => Self::Pending,
            "rejected" => Self::Rejected,
            "unknown" => Self::Unknown,
            other => {
                let code = other.strip_prefix("failed:").and_then(|code| code.parse().ok());
                Self::Failed(code.ok_or_else(|| {
                    serde::de::Error::invalid_value(serde::de::Unexpected::Str(other), &"a freshness")
                })?)
            }
        })
    }
}

/// Why watching failed: a SIP answer, or what kept us from getting one.
///
/// In JSON it is a number or one of the words `dns`, `connect`, `timeout`, `untrusted`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureCode {
    /// The status code of the answer.
    Sip(u16),
    /// The name does not resolve.
    Dns,
    /// No connection, or the network says unreachable.
    Connect,
    /// No answer in time.
    Timeout,
    /// The certificate is not one that we trust.
    Untrusted,
}

impl fmt::Display for FailureCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sip(code) => code.fmt(f),
            Self::Dns => f.pad("dns"),
            Self::Connect => f.pad("connect"),
            Self::Timeout => f.pad("timeout"),
            Self::Untrusted => f.pad("untrusted"),
        }
    }
}

/// The text is no SIP code and none of the four words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a failure code is a SIP status code or one of dns, connect, timeout, untrusted")]
pub struct InvalidCode;

impl FromStr for FailureCode {
    type Err = InvalidCode;

    fn from_str(text: &str) -> Result<Self, InvalidCode> {
        Ok(match text {
            "dns" => Self::Dns,
            "connect" => Self::Connect,
            "timeout" => Self::Timeout,
            "untrusted" => Self::Untrusted,
            number => Self::Sip(number.parse().ok().filter(|code| (100..700).contains(code)).ok_or(InvalidCode)?),
        })
    }
}

impl Serialize for FailureCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Sip(code) => serializer.serialize_u16(*code),
            word => serializer.collect_str(word),
        }
    }
}

impl<'de> Deserialize<'de> for FailureCode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Wire {
            Number(u16),
            Word(String),
        }
        match Wire::deserialize(deserializer)? {
            Wire::Number(code) => code.to_string().parse(),
            Wire::Word(word) => word.parse(),
        }
        .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_freshness_and_its_code_have_words() {
        for code in [
            FailureCode::Sip(404),
            FailureCode::Dns,
            FailureCode::Connect,
            FailureCode::Timeout,
            FailureCode::Untrusted,
        ] {
            let json = serde_json::to_string(&Freshness::Failed(code)).unwrap();
            assert_eq!(serde_json::from_str::<Freshness>(&json).unwrap(), Freshness::Failed(code));
            let json = serde_json::to_string(&code).unwrap();
            assert_eq!(serde_json::from_str::<FailureCode>(&json).unwrap(), code);
        }
        assert_eq!(Freshness::Failed(FailureCode::Sip(404)).to_string(), "failed (404)");
        assert_eq!(serde_json::to_string(&FailureCode::Sip(404)).unwrap(), "404");
        assert_eq!(serde_json::to_string(&Freshness::Stale).unwrap(), r#""stale""#);
        assert!(serde_json::from_str::<Freshness>(r#""failed:9""#).is_err());
        assert_eq!(Freshness::default(), Freshness::Unknown);
    }
}
