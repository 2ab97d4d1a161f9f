//! RFC 4475 §3.1.2, §3.2 and §3.3: wrong, and what becomes of it.

use sippresence::sip::{
    codec::decode_lenient_head,
    header::{Name, NameAddr},
    message::check_request,
};

use super::{
    OPTIONS,
    Reaction::{self, Dropped, Refused, Taken},
    reaction, read, wire,
};

/// Each row changes one thing of [`OPTIONS`].
const TABLE: [(&str, &str, &str, Reaction); 34] = [
    ("separators without values in Via", "branch=z9hG4bK1", "branch=z9hG4bK1;;,;,,", Refused(400)),
    ("separators without values in From", ";tag=a", ";tag=a;;;;", Refused(400)),
    ("a body that is not all there", "Max-Forwards: 70", "Content-Length: 9999", Refused(400)),
    ("a negative Content-Length", "Max-Forwards: 70", "Content-Length: -999", Refused(400)),
    ("a Content-Length beyond 64 bits", "Max-Forwards: 70", "l: 18446744073709551617", Refused(400)),
    ("a CSeq beyond 32 bits", "CSeq: 7", "CSeq: 36893488147419103232", Refused(400)),
    ("a CSeq of 2**31", "CSeq: 7", "CSeq: 2147483648", Refused(400)),
    ("an endless Max-Forwards is only large", "Max-Forwards: 70", "Max-Forwards: 300", Taken),
    ("a Max-Forwards that is no number", "Max-Forwards: 70", "Max-Forwards: many", Refused(400)),
    ("an endless Expires is only large", "Max-Forwards: 70", "Expires: 10000000000000000", Taken),
    ("an open quote in To", "To: <", "To: \"Mr. Bob <", Refused(400)),
    ("angle brackets around the Request-URI", "OPTIONS sip:bob@example.com", "OPTIONS <sip:bob@example.com>", Dropped),
    ("blanks in the Request-URI", "OPTIONS sip:bob@example.com", "OPTIONS sip:bob@example.com; lr", Dropped),
    ("many blanks in the start line", "OPTIONS sip:bob@example.com ", "OPTIONS  sip:bob@example.com  ", Dropped),
    ("blanks behind the start line", "SIP/2.0\n", "SIP/2.0  \n", Dropped),
    ("headers in the Request-URI", "com SIP", "com?Route=%3Csip:example.com%3E SIP", Refused(400)),
    ("a Date in no time zone of ours", "Max-Forwards: 70", "Date: Fri, 01 Jan 2010 16:00:00 EST", Taken),
    ("blanks inside the angle brackets", "To: <sip:bob@example.com>", "To: < sip:bob@example.com >", Refused(400)),
    ("a display name that needed quotes", "From: <", "From: Bell, Alexander <", Refused(400)),
    ("another version", "SIP/2.0\nVia", "SIP/7.0\nVia", Refused(505)),
    ("another method in CSeq", "CSeq: 7 OPTIONS", "CSeq: 7 SUBSCRIBE", Refused(400)),
    ("another method, and one nobody knows", "OPTIONS sip", "NEWMETHOD sip", Refused(400)),
    ("a branch that is only the cookie", "z9hG4bK1", "z9hG4bK", Taken),
    ("a scheme nobody knows", "OPTIONS sip:bob@example.com", "OPTIONS nobodyKnows:opaque", Refused(416)),
    ("a scheme that is no use", "OPTIONS sip:bob@example.com", "OPTIONS soap.beep://192.0.2.103:3002", Refused(416)),
    ("a telephone number", "OPTIONS sip:bob@example.com", "OPTIONS tel:+12015550123", Refused(416)),
    ("two Call-IDs", "Call-ID: 1@host", "Call-ID: 1@host\ni: 2@host", Refused(400)),
    ("two CSeqs", "CSeq: 7 OPTIONS", "CSeq: 7 OPTIONS\nCSeq: 8 OPTIONS", Refused(400)),
    ("two Froms", "From: ", "f: <sip:eve@example.net>;tag=e\nFrom: ", Refused(400)),
    ("two Tos", "To: ", "t: <sip:eve@example.net>\nTo: ", Refused(400)),
    ("two Content-Lengths", "Max-Forwards: 70", "Content-Length: 0\nl: 5", Refused(400)),
    ("no hop left", "Max-Forwards: 70", "Max-Forwards: 0", Taken),
    ("a NUL", "Call-ID: 1", "Call-ID: 1\0", Refused(400)),
    ("a line without a colon", "Max-Forwards: 70", "Max-Forwards 70", Refused(400)),
];

#[test]
fn par_18_faulty_requests_are_refused_with_their_code_or_dropped() {
    for (fault, from, to, expected) in TABLE {
        assert!(OPTIONS.contains(from), "{fault}");
        let bytes = wire(&OPTIONS.replacen(from, to, 1));
        assert_eq!(reaction(&bytes), expected, "{fault}");
        if expected != Dropped {
            assert!(decode_lenient_head(&bytes).is_some_and(|head| head.top_via().is_ok() || fault.contains("Via")));
        }
    }
}

#[test]
fn par_18_what_is_no_message_is_dropped() {
    for bytes in [
        &b""[..],
        b"\r\n\r\n",
        b"\0\x01\0\0!\x12\xa4B0123456789ab",
        b"OPTIONS sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFro",
        b"OPTIONS sip:bob@example.com SIP/2.0\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
    ] {
        assert_eq!(reaction(bytes), Dropped, "{bytes:?}");
    }
}

#[test]
fn par_18_faulty_responses_are_dropped() {
    let response = "SIP/2.0 200 OK\nVia: SIP/2.0/UDP host;branch=z9hG4bK1\nFrom: <sip:a@h>;tag=a\nTo: <sip:b@h>;tag=b\n\
        Call-ID: 1@host\nCSeq: 7 OPTIONS\nRetry-After: 949302838503028349304023988\nExpires: 1111111111111111\n\n";
    assert_eq!(reaction(&wire(response)), Taken);
    let bytes = wire(response);
    assert_eq!(read(&bytes).retry_after().unwrap().seconds, u32::MAX);
    for (fault, from, to) in [
        ("a status code beyond everything", "200", "4294967301"),
        ("a status code of no class", "200", "042"),
        ("a CSeq beyond 32 bits", "CSeq: 7", "CSeq: 9292394834772304023312"),
        ("no Via", "Via", "X-Via"),
        ("another version", "SIP/2.0 ", "SIP/7.0 "),
        ("a body that is not all there", "Expires: 1111111111111111", "l: 1"),
    ] {
        assert_eq!(reaction(&wire(&response.replacen(from, to, 1))), Dropped, "{fault}");
    }
}

#[test]
fn par_18_a_contact_with_headers_needs_angle_brackets() {
    // RFC 4475 §3.1.2.13, §3.3.12 to §3.3.14: the readers of Contact tell them apart.
    let contact = |value: &'static str| NameAddr::parse(value.as_bytes());
    assert!(contact("sip:bob@example.com?Route=%3Csip:edge.example.com%3E").is_err());
    let with = contact("<sip:bob@example.com?Route=%3Csip:edge.example.com%3E>").unwrap();
    assert_eq!(with.uri.headers(), Some("Route=%3Csip:edge.example.com%3E"));
    let bare = contact("sip:+19725552222@gw1.example.net;unheardof").unwrap();
    assert_eq!((bare.params.get("unheardof"), bare.uri.has_param("unheardof")), (Some(""), false));
    let angled = contact("<sip:+19725552222@gw1.example.net;unheardof>").unwrap();
    assert_eq!((angled.params.get("unheardof"), angled.uri.has_param("unheardof")), (None, true));
}

#[test]
fn par_18_what_a_later_layer_has_to_refuse_can_be_read() {
    // RFC 4475 §3.3.5 to §3.3.7 and §3.3.15: 420, 415, 401 and 406 come from those who know what is supported.
    let bytes = wire(&OPTIONS.replace(
        "Max-Forwards: 70",
        "Require: nothingSupportsThis, nothingSupportsThisEither\nProxy-Require: norDoProxies\n\
         Content-Type: application/unknownformat\nAccept: text/nobodyKnowsThis\n\
         Authorization: NoOneKnowsThisScheme opaque-data=here, more=there",
    ));
    let message = read(&bytes);
    let required: Vec<&str> = message.option_tags(Name::Require).collect();
    assert_eq!(required, ["nothingSupportsThis", "nothingSupportsThisEither"]);
    assert_eq!(message.option_tags(Name::ProxyRequire).next(), Some("norDoProxies"));
    assert_eq!(message.content_type(), Some("application/unknownformat"));
    assert!(!message.accept().unwrap().accepts("application/pidf+xml"));
    assert_eq!(message.values(Name::Authorization).count(), 1);
}

#[test]
fn par_18_a_refusal_says_which_header_is_at_fault_in_words_of_ours() {
    let bytes = wire(&OPTIONS.replace("Call-ID: 1@host", "Call-ID: <evil words>"));
    let refusal = check_request(&read_any(&bytes)).unwrap_err();
    assert_eq!((refusal.code, &*refusal.reason), (400, "Malformed Call-ID"));
}

fn read_any(bytes: &[u8]) -> sippresence::sip::message::Message<'_> {
    decode_lenient_head(bytes).unwrap()
}
