//! Header fields: their names, and the values that this program reads, borrowed from the message.
//!
//! A raw value may still hold folded lines; every reader takes CR and LF as blanks (RFC 3261 §7.3.1).

mod name;
mod party;
mod scan;
mod value;

use thiserror::Error;

pub use name::Name;
pub use party::{NameAddr, Via};
pub use scan::{Params, delta_seconds, is_token, split_list, token_len};
pub use value::{Accept, CSeq, EventHeader, Reason, RetryAfter, SubState, SubscriptionState};

/// Why a header cannot be read; it never holds what the peer wrote.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum HeaderError {
    /// It is not there.
    #[error("missing {}", .0.as_str())]
    Missing(Name),
    /// It is there more than once.
    #[error("more than one {}", .0.as_str())]
    Repeated(Name),
    /// Its value does not follow the grammar.
    #[error("malformed {}", .0.as_str())]
    Malformed(Name),
}

impl HeaderError {
    /// Makes the error for a value that does not follow the grammar.
    pub fn malformed(name: Name) -> Self {
        Self::Malformed(name)
    }
}
