//! A publication that outlives the process, so that the next run modifies it instead of adding a twin (PUB-20).
//!
//! What is read back may be damaged or edited. Where it is kept is left to the publisher's user.

use std::{fmt::Write as _, time::Duration};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Print, Publisher, machine::Held};
use crate::sip::{
    events::{MAX_EXPIRES, seconds},
    header::is_token,
    time::Instant,
};

/// What the server keeps, as it is written down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedPublication {
    /// Its name at the server.
    pub entity_tag: String,
    /// When it lapses there unless refreshed.
    pub ends_at: Timestamp,
    /// SHA-256 of its body in lower-case hex; none where it is not certain which body the server has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
}

/// Why a saved publication does not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotRestored {
    /// It lapsed meanwhile.
    Expired,
    /// Something in it cannot be what we wrote.
    Damaged,
}

impl Publisher {
    /// Returns what has to be kept for [`restore`](Self::restore); none where the server keeps nothing that could be
    /// spoken of.
    pub fn saved(&self, now: Instant, wall: Timestamp) -> Option<SavedPublication> {
        let held = self.held.as_ref()?;
        let ahead = SignedDuration::try_from(held.expires_at.since(now)).unwrap_or(SignedDuration::ZERO);
        Some(SavedPublication {
            entity_tag: held.tag.as_deref()?.to_owned(),
            ends_at: wall.checked_add(ahead).unwrap_or(wall),
            body: held.print.map(Print::to_hex),
        })
    }

    /// Returns whether [`saved`](Self::saved) tells something new since the last call.
    pub fn take_unsaved(&mut self) -> bool {
        std::mem::take(&mut self.unsaved)
    }

    /// Takes over what an earlier run had published; to be called before the first [`publish`](Self::publish), which
    /// then modifies it, or confirms it where the body is the same.
    ///
    /// # Errors
    /// When it cannot go on; then the first publication is an initial one.
    pub fn restore(&mut self, saved: &SavedPublication, now: Instant, wall: Timestamp) -> Result<(), NotRestored> {
        let print = saved.body.as_deref().map(|hex| Print::from_hex(hex).ok_or(NotRestored::Damaged)).transpose()?;
        if !is_token(&saved.entity_tag) {
            return Err(NotRestored::Damaged);
        }
        let left = Duration::try_from(saved.ends_at.duration_since(wall)).unwrap_or_default();
        if left.is_zero() {
            return Err(NotRestored::Expired);
        }
        let tag = Some(saved.entity_tag.as_str().into());
        let expires_at = now + left.min(seconds(MAX_EXPIRES));
        self.held = Some(Held { tag, expires_at, refresh_at: now, print });
        Ok(())
    }
}

impl Print {
    fn to_hex(self) -> String {
        let mut hex = String::with_capacity(64);
        for byte in self.0 {
            // A string takes every write.
            let _ = write!(hex, "{byte:02x}");
        }
        hex
    }

    fn from_hex(hex: &str) -> Option<Self> {
        let digit = |c: u8| match c {
            b'0'..=b'9' => Some(c - b'0'),
            b'a'..=b'f' => Some(c - b'a' + 10),
            _ => None,
        };
        let mut bytes = [0; 32];
        let (pairs, rest) = hex.as_bytes().as_chunks::<2>();
        if pairs.len() != bytes.len() || !rest.is_empty() {
            return None;
        }
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            *byte = digit(*high)? << 4 | digit(*low)?;
        }
        Some(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pub_20_a_print_reads_back_and_nothing_else_does() {
        let print = Print::of(b"open");
        let hex = print.to_hex();
        assert_eq!(Print::from_hex(&hex), Some(print));
        for damaged in [&hex[1..], &hex.to_uppercase(), &format!("{hex}0"), &hex.replacen(&hex[..1], "g", 1), ""] {
            assert_eq!(Print::from_hex(damaged), None, "{damaged}");
        }
    }
}
