//! The SIP protocol without input or output: no socket, file, clock, terminal or task, and no presence.
//!
//! Bytes become messages ([`codec`], [`message`], [`header`], [`uri`]), messages belong to transactions
//! and dialogs, [`auth`] proves who sent them, and [`events`] builds subscriptions on those. Time and randomness come
//! in as arguments, what is to be done leaves as values, so every timer of RFC 3261 and 6665 can be tested to the
//! millisecond.

pub mod auth;
pub mod beside;
pub mod codec;
pub mod dialog;
pub mod effect;
pub mod endpoint;
pub mod events;
pub mod header;
pub mod ids;
pub mod locate;
pub mod message;
pub mod probe;
pub mod redact;
mod refusal;
pub mod registrar;
pub mod registration;
mod retry;
#[cfg(feature = "rsip")]
pub mod rsip;
mod series;
pub mod slab;
pub mod time;
pub mod transaction;
pub mod transport;
pub mod uri;
