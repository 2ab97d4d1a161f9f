//! Conversions to and from the messages of the `rsip` crate, for programs that already speak them (feature `rsip`).
//!
//! `rsip` refuses some legal messages and changes others as it prints them; what it takes is listed in
//! `tests/differential.rs`. Both ways go through the wire form, so neither side guesses at the other's types.

use bytes::Bytes;
use rsip::{SipMessage, message::HasHeaders as _};

use super::{
    codec::{EncodeError, Head},
    header::Name,
    message::{Message, StartLine},
};

/// Makes a message of `rsip`'s: folded lines joined, compact names long, the body byte for byte.
///
/// A Content-Length is made to fit the body, and one is added where there was none, for `rsip` does not read it.
///
/// # Errors
/// When `rsip` cannot hold it: a method it does not know, a Request-URI with an IPv6 address, text that is not UTF-8.
pub fn to_rsip(message: &Message<'_>) -> Result<SipMessage, rsip::Error> {
    let mut head = match message.start {
        StartLine::Request { method, uri } => Head::request(method.as_str(), uri),
        StartLine::Status { code, reason } => {
            let reason = std::str::from_utf8(reason).map_err(|error| unprintable(&error))?;
            Head::status(code, reason)
        }
    };
    for header in message.headers.iter().filter(|header| header.name != Name::ContentLength) {
        match header.name {
            Name::Other => head.raw_bytes(header.raw_name, header.value),
            name => head.bytes(name, header.value),
        };
    }
    let head = head.finish(message.body.len()).map_err(|error| unprintable(&error))?;
    let mut converted = SipMessage::try_from(&head[..])?;
    converted.body_mut().extend_from_slice(message.body);
    Ok(converted)
}

fn unprintable(error: &dyn std::error::Error) -> rsip::Error {
    rsip::Error::ParseError(error.to_string())
}

/// Puts a message of `rsip`'s on the wire, its body byte for byte, its Content-Length that of the body.
///
/// The reason phrase is `rsip`'s word for the code; it does not keep what a peer wrote.
///
/// # Errors
/// When a value holds a line end or NUL, which nothing in `rsip` keeps out.
pub fn from_rsip(message: &SipMessage) -> Result<Bytes, EncodeError> {
    let mut head = match message {
        SipMessage::Request(request) => Head::request(&request.method.to_string(), &request.uri.to_string()),
        SipMessage::Response(response) => {
            let line = response.status_code.to_string();
            Head::status(response.status_code.code(), line.split_once(' ').map_or("", |(_, reason)| reason))
        }
    };
    for header in message.headers().iter() {
        let line = header.to_string();
        let (name, value) = line.split_once(':').unwrap_or((&line, ""));
        if Name::from_bytes(name.as_bytes()) != Name::ContentLength {
            head.raw(name, value.trim_start_matches(' '));
        }
    }
    Ok([&head.finish(message.body().len())?[..], message.body()].concat().into())
}

#[cfg(test)]
mod tests {
    use rsip::prelude::*;

    use super::*;
    use crate::sip::codec::{Framing, decode};

    const HEAD: &str = "NOTIFY sip:a@h SIP/2.0\r\nv: SIP/2.0/UDP h;branch=z9hG4bK1\r\nf: \"ä\"\r\n <sip:b@h>;tag=b\r\n\
        t: <sip:a@h>;tag=a\r\nCall-ID: 1\r\nCSeq: 1 NOTIFY\r\nSubscription-State: active\r\nX-Odd: a: b\r\n\r\n";

    #[test]
    fn what_rsip_would_refuse_or_miss_is_put_so_that_it_does_not() {
        let bytes = [HEAD.as_bytes(), b"\xff\0\r\n"].concat();
        let theirs = to_rsip(&decode(&bytes, Framing::Datagram).unwrap()).unwrap();
        assert_eq!(theirs.via_header().unwrap().typed().unwrap().branch().unwrap().value(), "z9hG4bK1");
        assert_eq!(theirs.from_header().unwrap().value(), "\"ä\" <sip:b@h>;tag=b");
        assert_eq!(theirs.body(), b"\xff\0\r\n");
        assert!(theirs.headers().iter().any(|header| header.to_string() == "Content-Length: 4"));
    }

    #[test]
    fn a_message_comes_back_as_it_went() {
        let bytes = [HEAD.as_bytes(), b"\xff\0\r\n"].concat();
        let ours = decode(&bytes, Framing::Datagram).unwrap();
        let back = from_rsip(&to_rsip(&ours).unwrap()).unwrap();
        let back = decode(&back, Framing::Stream).unwrap();
        assert_eq!((back.start, back.body), (ours.start, ours.body));
        assert_eq!(back.headers.len(), ours.headers.len() + 1);
        for (back, ours) in back.headers.iter().zip(&ours.headers) {
            assert_eq!(back.name, ours.name);
            assert!(back.value == ours.value || ours.value.contains(&b'\n'));
        }
    }

    #[test]
    fn a_response_keeps_its_code() {
        let bytes = HEAD.replacen("NOTIFY sip:a@h SIP/2.0", "SIP/2.0 489 Nein", 1);
        let back = from_rsip(&to_rsip(&decode(bytes.as_bytes(), Framing::Datagram).unwrap()).unwrap()).unwrap();
        assert_eq!(decode(&back, Framing::Stream).unwrap().code(), Some(489));
    }

    #[test]
    fn what_rsip_cannot_hold_is_an_error() {
        for (from, to) in [("NOTIFY sip", "ODD sip"), ("sip:a@h SIP", "sip:[::1] SIP")] {
            let text = HEAD.replacen(from, to, 1);
            assert!(to_rsip(&decode(text.as_bytes(), Framing::Datagram).unwrap()).is_err(), "{to}");
        }
        let latin = [&HEAD.as_bytes()[..HEAD.len() - 2], b"s: \xe9\r\n\r\n"].concat();
        assert!(to_rsip(&decode(&latin, Framing::Datagram).unwrap()).is_err());
    }

    #[test]
    fn par_21_a_value_of_rsip_cannot_end_its_line() {
        let mut theirs = to_rsip(&decode(HEAD.as_bytes(), Framing::Datagram).unwrap()).unwrap();
        theirs.headers_mut().push(rsip::Header::Other("X".into(), "a\r\nVia: b".into()));
        assert_eq!(from_rsip(&theirs), Err(EncodeError::LineEnd));
    }
}
