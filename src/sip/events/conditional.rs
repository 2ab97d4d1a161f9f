//! Conditional notification (RFC 5839): what tells one version of a state from the next, and what that saves.
//!
//! A tag is made of the very bytes that it stands for. So those who are sent the same can tell nothing apart by it
//! (POL-03), and it means the same after a restart.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::sip::{
    header::{Name, is_token},
    message::Message,
};

/// The longest tag of others that is kept and repeated.
const LONGEST: usize = 256;

/// What our tags are written in.
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// Names one version of a state (RFC 5839 §5.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntityTag(Box<str>);

impl EntityTag {
    /// Makes the tag of a document.
    pub fn of(document: &[u8]) -> Self {
        let digest = Sha256::digest(document);
        // Short, so that a NOTIFY with a usual document stays a datagram (NOT-32); sixty bits tell versions apart.
        Self(digest.iter().take(12).map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect::<String>().into())
    }

    /// Reads the tag that a NOTIFY brings; none if it has none, or one that cannot be.
    pub fn in_notify(message: &Message<'_>) -> Option<Self> {
        read(message, Name::SipEtag)
    }

    /// Returns how many bytes its line of a NOTIFY has.
    pub(super) fn line_len(&self) -> usize {
        "SIP-ETag: \r\n".len() + self.0.len()
    }

    /// Returns it as it stands in a header.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a SUBSCRIBE wants not to be told again: the value of Suppress-If-Match (§7.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Whatever the state is: `*`.
    Any,
    /// This version.
    Is(EntityTag),
}

impl Condition {
    /// Reads that of a SUBSCRIBE; one that cannot be read is none, which only means that more is sent.
    pub fn of(message: &Message<'_>) -> Option<Self> {
        let tag = read(message, Name::SuppressIfMatch)?;
        Some(if tag.as_str() == "*" { Self::Any } else { Self::Is(tag) })
    }

    /// Returns whether a document is what it names.
    pub fn matches(&self, document: &[u8]) -> bool {
        match self {
            Self::Any => true,
            Self::Is(tag) => *tag == EntityTag::of(document),
        }
    }
}

/// What was not sent, or not received, because it was known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Savings {
    /// NOTIFYs that a 204 stood for.
    pub notifies: u64,
    /// NOTIFYs that came without their document.
    pub documents: u64,
    /// Bytes of the documents of both; the heads of NOTIFYs are not counted.
    pub bytes: u64,
}

impl Savings {
    /// Counts a NOTIFY that did not go, and its document.
    pub(super) fn notify(&mut self, document: usize) {
        self.notifies += 1;
        self.bytes += document as u64;
    }

    /// Counts a document that did not go with its NOTIFY.
    pub(super) fn document(&mut self, document: usize) {
        self.documents += 1;
        self.bytes += document as u64;
    }
}

impl std::ops::AddAssign for Savings {
    fn add_assign(&mut self, other: Self) {
        self.notifies += other.notifies;
        self.documents += other.documents;
        self.bytes += other.bytes;
    }
}

/// Reads the one tag of a header; tags are compared byte for byte.
fn read(message: &Message<'_>, name: Name) -> Option<EntityTag> {
    let tag = std::str::from_utf8(message.single(name).ok()?).ok()?.trim();
    (is_token(tag) && tag.len() <= LONGEST).then(|| EntityTag(tag.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::codec::Framing;

    fn subscribe(lines: &str, check: impl FnOnce(Option<Condition>)) {
        let text = format!("SUBSCRIBE sip:bob@192.0.2.20 SIP/2.0\r\n{lines}Content-Length: 0\r\n\r\n");
        check(Condition::of(&crate::sip::codec::decode(text.as_bytes(), Framing::Datagram).unwrap()));
    }

    #[test]
    fn cnn_01_a_tag_is_that_of_the_bytes() {
        let (one, other) = (EntityTag::of(b"<presence/>"), EntityTag::of(b"<presence />"));
        assert_ne!(one, other);
        assert_eq!(one, EntityTag::of(b"<presence/>"));
        assert!(one.as_str().len() == 12 && is_token(one.as_str()));
    }

    #[test]
    fn cnn_02_a_condition_is_one_tag_or_an_asterisk() {
        subscribe("Suppress-If-Match: *\r\n", |found| {
            assert_eq!(found, Some(Condition::Any));
            assert!(Condition::Any.matches(b"anything"));
        });
        let tag = EntityTag::of(b"state");
        subscribe(&format!("suppress-if-match :  {}\r\n", tag.as_str()), |found| {
            let found = found.unwrap();
            assert!(found.matches(b"state") && !found.matches(b"another"));
        });
        for odd in ["", "\"quoted\"", "two tags", "a, b", &"x".repeat(257)] {
            subscribe(&format!("Suppress-If-Match: {odd}\r\n"), |found| assert_eq!(found, None, "{odd}"));
        }
        subscribe("Suppress-If-Match: a\r\nSuppress-If-Match: b\r\n", |found| assert_eq!(found, None));
    }
}
