//! The only sockets of the house: datagrams, streams, TLS, HTTP, listeners, the suspend-aware clock, the DNS, the system's resolver.
//!
//! Here bytes are moved and nothing is understood: framing, retransmission, the choice of a transport and of
//! a peer belong to [`crate::sip`] and to the loop that owns the core. What the rules of RFC 3261 §18 ask of
//! a socket is kept here: one UDP socket for each local address and never a wildcard, TCP on the same number,
//! and errors that name the peer that failed.
//!
//! Linux only for now: batches (`recvmmsg`, `sendmmsg`), the error queue and the timer of `CLOCK_BOOTTIME`.

pub mod address;
pub mod clock;
pub mod dns;
pub mod edits;
pub mod http;
pub mod listen;
mod reactor;
pub mod resolve;
pub mod sends;
pub mod stream;
pub mod tls;
pub mod udp;
