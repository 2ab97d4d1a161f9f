//! Digest authentication (RFC 7616, RFC 8760) as SIP uses it (RFC 3261 §22): the client's side here, the server's in
//! [`server`].
//!
//! Challenges are read, the topmost that can be answered is chosen, credentials are written; an [`Account`] knows whom
//! its password may be shown to and which nonces are in use. Sending a request again is the
//! [endpoint](super::endpoint)'s affair, where a password comes from its user's.

mod account;
mod challenge;
mod digest;
mod info;
pub mod server;
mod written;

use thiserror::Error;

pub(in crate::sip) use account::Known;
pub use account::{Account, AccountId, Credentials, Secret};
pub use challenge::{Challenge, Kind};
pub use digest::{Algorithm, Digest, Hash, Qop, Use, ha1};
pub use written::Sent;

/// Why a challenge was not answered, or an answer not taken.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Why {
    /// No challenge is of a scheme and algorithm that is known here.
    #[error("it asks for a proof of a kind that is not known here")]
    Unsupported,
    /// Only algorithms that are weaker than the account allows (AUT-13).
    #[error("it takes no digest but MD5, and auth.min forbids that")]
    TooWeak,
    /// Another realm than the account's (AUT-12).
    #[error(
        "it asks for the password of realm {asked:?}, and the account's realm is {ours:?}: see the account's `realm`"
    )]
    ForeignRealm {
        /// What was asked for.
        asked: Box<str>,
        /// The only realm that gets the password.
        ours: Box<str>,
    },
    /// A host that is not the account's own server (AUT-12).
    #[error(
        "it asks for the password of realm {realm:?}, and {host} is not the account's own server: \
         see the account's `outbound_proxy`"
    )]
    ForeignHost {
        /// What was asked for.
        realm: Box<str>,
        /// Who asked.
        host: std::net::IpAddr,
    },
    /// The password was shown, and is not the one (AUT-03).
    #[error("the password for realm {0:?} is wrong")]
    WrongPassword(Box<str>),
    /// It asks again and again.
    #[error("it asks for the password again and again")]
    Endless,
    /// The password could not be had; the next attempt may go better.
    #[error("no password: {0}")]
    NoSecret(String),
    /// The answer does not come from anybody who knows the password (RFC 7616 §3.5).
    #[error("the answer comes from somebody who does not know the password")]
    FalseServer,
}

impl Why {
    /// Returns whether another attempt may go better without anything being changed.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::NoSecret(_))
    }
}
