//! The cases of RFC 4475 and RFC 5118 in messages of our own, and bytes that wish us ill.
//!
//! A fixture is written with bare line ends and put on the wire with CRLF by [`wire`]; what is about single
//! bytes is written with escapes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod hostile;
mod invalid;
mod ipv6;
#[path = "../common/readers.rs"]
mod readers;
mod required;
mod valid;

use sippresence::sip::{
    codec::{Framing, decode, decode_lenient_head},
    message::{Message, check_request},
};

/// What becomes of a datagram before anybody looks at what it means.
#[derive(Debug, PartialEq, Eq)]
enum Reaction {
    /// It goes on to its transaction.
    Taken,
    /// It is answered with this code.
    Refused(u16),
    /// Nobody hears of it.
    Dropped,
}

/// Does what an endpoint does with a datagram.
fn reaction(datagram: &[u8]) -> Reaction {
    let message = match decode(datagram, Framing::Datagram) {
        Ok(message) => message,
        Err(error) => {
            let request = decode_lenient_head(datagram).is_some_and(|head| head.is_request());
            return error.status().filter(|_| request).map_or(Reaction::Dropped, Reaction::Refused);
        }
    };
    if message.is_request() {
        check_request(&message).map_or_else(|refusal| Reaction::Refused(refusal.code), |()| Reaction::Taken)
    } else if message.top_via().is_ok() && message.cseq().is_ok() {
        Reaction::Taken
    } else {
        Reaction::Dropped
    }
}

/// A request in which nothing is odd, to be made so.
const OPTIONS: &str = "OPTIONS sip:bob@example.com SIP/2.0\n\
    Via: SIP/2.0/UDP host;branch=z9hG4bK1\n\
    From: <sip:alice@example.net>;tag=a\n\
    To: <sip:bob@example.com>\n\
    Call-ID: 1@host\n\
    CSeq: 7 OPTIONS\n\
    Max-Forwards: 70\n\n";

/// Puts a fixture on the wire: every line end becomes CRLF.
fn wire(text: &str) -> Vec<u8> {
    text.replace('\n', "\r\n").into_bytes()
}

fn read(datagram: &[u8]) -> Message<'_> {
    let message = decode(datagram, Framing::Datagram).unwrap();
    assert_eq!(reaction(datagram), Reaction::Taken);
    message
}
