//! What a refusal says beyond its code: whether it is final, when to come again, what would be taken instead.
//!
//! A [`Refusal`] is one of ours; all else here reads those of peers.

use super::{
    events::{MAX_EXPIRES, seconds},
    header::{HeaderError, Name},
    message::Message,
    time::Instant,
};

/// Codes whose Retry-After counts (TXN-28).
const RETRY_AFTER: [u16; 8] = [404, 413, 480, 486, 500, 503, 600, 603];

/// A refusal of ours: its code, and what the sender is to know beyond.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The status code.
    pub code: u16,
    /// A header of the response.
    pub header: Option<(Name, String)>,
}

impl Refusal {
    pub(crate) fn plain(code: u16) -> Self {
        Self { code, header: None }
    }

    pub(super) fn brief(min_expires: u32) -> Self {
        Self { code: 423, header: Some((Name::MinExpires, min_expires.to_string())) }
    }

    pub(crate) fn later(after: u32) -> Self {
        Self { code: 503, header: Some((Name::RetryAfter, after.to_string())) }
    }
}

impl From<HeaderError> for Refusal {
    fn from(_: HeaderError) -> Self {
        Self::plain(400)
    }
}

/// TXN-26: a code that is not known counts as the x00 of its class.
pub(super) fn class_of(code: u16) -> u16 {
    const KNOWN: [u16; 46] = [
        300, 301, 302, 305, 380, 400, 401, 402, 403, 404, 405, 406, 407, 408, 410, 412, 413, 414, 415, 416, 420, 421,
        423, 480, 481, 482, 483, 484, 485, 486, 487, 488, 489, 491, 493, 500, 501, 502, 503, 504, 505, 513, 600, 603,
        604, 606,
    ];
    if KNOWN.contains(&code) { code } else { code / 100 * 100 }
}

/// Returns whether another PUBLISH or REGISTER of the same kind is pointless after this code.
pub(super) fn is_final(code: u16) -> bool {
    const FINAL: [u16; 20] =
        [401, 402, 403, 404, 405, 406, 407, 410, 415, 416, 420, 421, 423, 484, 485, 488, 489, 501, 604, 606];
    FINAL.contains(&class_of(code))
}

/// Returns until when the refusal forbids another attempt (TXN-28).
pub(super) fn not_before(message: &Message<'_>, code: u16, now: Instant) -> Option<Instant> {
    let after = RETRY_AFTER.contains(&class_of(code)).then(|| message.retry_after()).flatten()?;
    Some(now + seconds(after.seconds.min(MAX_EXPIRES)))
}

/// Returns what the peer would take instead: Allow-Events of a 489, Accept of a 406 or 415, Unsupported of a 420.
pub(super) fn offers(message: &Message<'_>, code: u16) -> Option<String> {
    let offers = match code {
        489 => message.text(Name::AllowEvents),
        406 | 415 => message.text(Name::Accept),
        420 => message.text(Name::Unsupported),
        _ => None,
    };
    offers.map(std::borrow::Cow::into_owned)
}

/// Returns the seconds that a 423 demands, if they are more than was asked for and no more than anybody asks for
/// (WAT-11).
pub(super) fn longer(message: &Message<'_>, asked: u32) -> Option<u32> {
    message.min_expires().filter(|min| *min > asked && *min <= MAX_EXPIRES)
}
