//! What every request must have, and what its body may be (RFC 3261 §8.2).

use sippresence::sip::message::{Refusal, check_request};

use super::{OPTIONS, Reaction::Refused, reaction, read, wire};

#[test]
fn par_10_a_missing_header_is_refused_by_name() {
    for (header, reason) in [
        ("Via", "Missing Via"),
        ("From", "Missing From"),
        ("To", "Missing To"),
        ("Call-ID", "Missing Call-ID"),
        ("CSeq", "Missing CSeq"),
    ] {
        let bytes = wire(&OPTIONS.replacen(&format!("\n{header}: "), "\nX-Other: ", 1));
        let message = sippresence::sip::codec::decode_lenient_head(&bytes).unwrap();
        assert_eq!(check_request(&message), Err(Refusal { code: 400, reason: reason.to_owned() }));
    }
}

#[test]
fn par_10_max_forwards_may_be_missing() {
    read(&wire(&OPTIONS.replace("Max-Forwards: 70\n", "")));
}

#[test]
fn par_10_only_sip_and_presence_schemes_are_served() {
    for (uri, refused) in [
        ("sip:bob@example.com", None),
        ("SIP:bob@example.com", None),
        ("sips:bob@example.com", None),
        ("pres:bob@example.com", None),
        ("im:bob@example.com", Some(416)),
        ("nobody:x", Some(416)),
        ("mailto:bob@example.com", Some(416)),
        ("tel:+12015550123", Some(416)),
        ("bob", Some(400)),
        ("sip:", Some(400)),
        ("sip:bob@example.com:0", Some(400)),
    ] {
        let bytes = wire(&OPTIONS.replacen("sip:bob@example.com", uri, 1));
        match refused {
            None => drop(read(&bytes)),
            Some(code) => assert_eq!(reaction(&bytes), Refused(code), "{uri}"),
        }
    }
}

#[test]
fn par_15_a_packed_body_is_refused_unless_there_is_none() {
    let with = |headers: &str, body: &str| wire(&OPTIONS.replace("\n\n", &format!("\n{headers}\n\n{body}")));
    for encoding in ["Content-Encoding: gzip", "e: deflate", "E: gzip, identity"] {
        assert_eq!(reaction(&with(encoding, "xx")), Refused(415), "{encoding}");
        read(&with(encoding, ""));
    }
    for encoding in ["Content-Encoding: identity", "e: Identity", "e:"] {
        read(&with(encoding, "xx"));
    }
}
