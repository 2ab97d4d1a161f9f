//! What the `rsip` crate accepts is read alike here; where the two part is pinned, one case a test.
//!
//! Messages follow the grammar with all of its liberties, so `rsip` refuses many of them; those are left out.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::cell::Cell;

use proptest::{collection::vec, prelude::*, sample::select};
use rsip::prelude::*;
use sippresence::sip::{
    codec::{Framing, decode},
    header::Name,
    message::Message,
    uri::UriRef,
};

fn ours(text: &str) -> Message<'_> {
    decode(text.as_bytes(), Framing::Datagram).unwrap()
}

fn theirs(text: &str) -> Result<rsip::SipMessage, rsip::Error> {
    rsip::SipMessage::try_from(text.as_bytes())
}

/// Returns whether `rsip` stops before parameter `name`: it leaves out all that follows a blank, a quote, a
/// colon or a bracket in a parameter, and says nothing about it.
fn is_cut(value: &str, name: &str) -> bool {
    let params = value.rfind('>').map_or(value, |i| &value[i..]);
    let Some((before, _)) = params.split_once(name) else { return false };
    before.find(';').is_some_and(|i| before[i..].contains([' ', '\t', '"', ':', '[', '/']))
        || before.ends_with([' ', '\t'])
        || before.split(';').next().is_some_and(|first| first.ends_with([' ', '\t']))
}

/// Compares all that `rsip` can read; returns how many typed values that were, none if it refuses the message.
fn compare(text: &str) -> Result<Option<usize>, TestCaseError> {
    let Ok(theirs) = theirs(text) else { return Ok(None) };
    let ours = ours(text);
    let mut compared = 0;
    match &theirs {
        rsip::SipMessage::Request(request) => {
            prop_assert_eq!(ours.method().unwrap().as_str(), request.method.to_string());
        }
        rsip::SipMessage::Response(response) => prop_assert_eq!(ours.code(), Some(response.status_code.code())),
    }
    let lines: Vec<String> = theirs.headers().iter().map(ToString::to_string).collect();
    prop_assert_eq!(lines.len(), ours.headers.len());
    for (line, header) in lines.iter().zip(&ours.headers) {
        let (name, value) = line.split_once(": ").unwrap();
        prop_assert!(name.eq_ignore_ascii_case(header.raw_name), "{} for {}", name, header.raw_name);
        prop_assert_eq!(value.trim(), std::str::from_utf8(header.value).unwrap());
    }
    prop_assert_eq!(theirs.body(), ours.body);
    prop_assert_eq!(theirs.call_id_header().unwrap().value().trim(), ours.call_id().unwrap());
    if let Ok(cseq) = theirs.cseq_header().unwrap().typed() {
        let found = ours.cseq().unwrap();
        prop_assert_eq!((cseq.seq, cseq.method.to_string()), (found.seq, found.method.to_owned()));
        compared += 1;
    }
    let via = theirs.via_header().unwrap();
    if let Ok(typed) = via.typed() {
        let branch = if is_cut(via.value(), "branch") { None } else { ours.top_via().unwrap().branch };
        let found = typed.branch().map(|branch| branch.value().to_owned());
        prop_assert_eq!(found.as_deref(), branch, "{}", via.value());
        compared += usize::from(found.is_some());
    }
    for (value, tag, name) in [
        (
            theirs.from_header().unwrap().value(),
            theirs.from_header().unwrap().typed().map(|from| from.tag().cloned()),
            ours.from().unwrap(),
        ),
        (
            theirs.to_header().unwrap().value(),
            theirs.to_header().unwrap().typed().map(|to| to.tag().cloned()),
            ours.to().unwrap(),
        ),
    ] {
        if let Ok(tag) = tag {
            let expected = if is_cut(value, "tag") { None } else { name.tag() };
            let found = tag.map(|tag| tag.value().to_owned());
            prop_assert_eq!(found.as_deref(), expected, "{}", value);
            compared += usize::from(found.is_some());
        }
    }
    Ok(Some(compared))
}

fn token() -> impl Strategy<Value = String> {
    "[A-Za-z0-9.!%*_+`'~-]{1,10}"
}

fn uri() -> impl Strategy<Value = String> {
    // User, host, port and parameters.
    let sip = "sips?:([a-z0-9_&=+$,;?/.!~*'()-]{1,8}(:[a-z0-9]{1,4})?@)?\
        ([a-z][a-z0-9-]{0,6}(\\.[a-z][a-z0-9]{0,4}){0,2}|192\\.0\\.2\\.[1-9]|\\[2001:db8::[1-9]\\])\
        (:[1-9][0-9]{1,3})?(;(lr|transport=tcp|[a-z]{1,4}(=[a-z0-9]{1,4})?)){0,2}";
    prop_oneof![
        8 => sip,
        1 => "tel:\\+[0-9]{5,9}",
        1 => "pres:[a-z]{1,5}@[a-z]{1,5}",
    ]
}

fn joined(params: &[String], blank: &str) -> String {
    params.iter().flat_map(|param| [blank, ";", param]).collect()
}

/// A value of From, To or Contact, with its tag if it is given one.
fn address(tag: bool) -> impl Strategy<Value = String> {
    let display = prop_oneof![
        4 => Just(String::new()),
        3 => "[A-Za-z0-9.!%*_+`'~-]{1,6}( [A-Za-z0-9]{1,6}){0,2}",
        3 => "\"([a-zäöü .,;:@(-]|\\\\[\"\\\\x]){0,10}\"",
        1 => "\"[a-z<>]{0,6}\"",
    ];
    let params = vec(prop_oneof![token(), "[a-z]{1,4}=[a-z0-9.]{1,5}", "x=\"[a-z;,:= ]{0,5}\""], 0..3);
    let blank = select(vec!["", "", "", " "]);
    (display, uri(), params, "[A-Za-z0-9.-]{1,12}", any::<bool>(), blank, 0usize..4).prop_map(
        move |(display, uri, mut params, value, bare, blank, at)| {
            params.retain(|param| !param.to_ascii_lowercase().starts_with("tag"));
            if tag {
                params.insert(at.min(params.len()), format!("tag={value}"));
            }
            let params = joined(&params, blank);
            if bare && display.is_empty() && !uri.contains([';', '?', ',']) {
                format!("{uri}{params}")
            } else {
                format!("{display}{}<{uri}>{params}", if display.is_empty() { "" } else { " " })
            }
        },
    )
}

fn via() -> impl Strategy<Value = String> {
    let sent_by = prop_oneof![
        4 => "[a-z]{1,6}(\\.[a-z]{1,4})?(:[1-9][0-9]{1,3})?",
        4 => "192\\.0\\.2\\.[1-9](:[1-9][0-9]{1,3})?",
        1 => "\\[2001:db8::[1-9]\\](:[1-9][0-9]{1,3})?",
    ];
    let params = vec(
        prop_oneof![
            3 => Just("rport".to_owned()),
            3 => "rport=[1-9][0-9]{3}",
            3 => "received=192\\.0\\.2\\.[1-9]",
            1 => "received=2001:db8::[1-9]",
            1 => "received=\\[2001:db8::[1-9]\\]",
            2 => "(ttl|maddr|x-[a-z]{1,3})=[a-z0-9]{1,4}",
            1 => "ext=\"[a-z;, ]{0,5}\"",
        ],
        0..4,
    );
    let transport = select(vec!["UDP", "TCP", "TLS", "SCTP", "WS", "WSS", "DTLS"]);
    let blank = select(vec!["", "", "", "", " "]);
    (transport, sent_by, params, "(z9hG4bK)?[A-Za-z0-9.-]{1,12}", blank, 0usize..4, any::<bool>()).prop_map(
        |(transport, sent_by, mut params, branch, blank, at, branched)| {
            if branched {
                params.insert(at.min(params.len()), format!("branch={branch}"));
            }
            let params = joined(&params, blank);
            format!("SIP/2.0/{transport} {sent_by}{params}")
        },
    )
}

fn other_header() -> impl Strategy<Value = String> {
    let named =
        |name: &'static str, value: &'static str| value.prop_map(move |value: String| format!("{name}: {value}"));
    prop_oneof![
        named("Event", "presence(;id=[0-9]{1,3})?"),
        named("eXPIRES", "[0-9]{1,6}"),
        named("Subscription-State", "(active|pending|terminated)(;expires=[0-9]{1,4})?"),
        named("Accept", "application/[a-z]{1,6}(;q=0\\.[1-9])?(, \\*/\\*)?"),
        named("SIP-ETag", "[a-z0-9]{1,8}"),
        named("Subject", "[a-z ä,;:\"<>]{0,20}"),
        named("Max-Forwards", "[0-9]{1,3}"),
        named("WWW-Authenticate", "Digest realm=\"[a-z, ]{1,6}\", nonce=\"[a-z0-9]{1,6}\"(, algorithm=(MD5|SHA-256))?"),
        named("User-Agent", "[A-Za-z0-9/. ()]{1,20}"),
        named("Content-Type", "application/pidf\\+xml(;charset=utf-8)?"),
        named("s", "[a-z]{1,6}"),
        address(false).prop_map(|contact| format!("Contact: {contact}")),
        via().prop_map(|via| format!("Via: {via}")),
        (token(), "[ -~]{0,20}")
            .prop_filter("a name that means something", |(name, _)| Name::from_bytes(name.as_bytes()) == Name::Other)
            .prop_map(|(name, value)| format!("{name}:{value}")),
    ]
}

fn message() -> impl Strategy<Value = String> {
    let methods = "ACK BYE CANCEL INFO INVITE MESSAGE NOTIFY OPTIONS PRACK PUBLISH REFER REGISTER SUBSCRIBE UPDATE ODD";
    let methods: Vec<&str> = methods.split(' ').collect();
    let start = prop_oneof![
        2 => (select(methods), uri()).prop_map(|(method, uri)| (method, format!("{method} {uri} SIP/2.0"))),
        1 => (100u16..700, "[A-Za-z0-9 ü]{0,12}").prop_map(|(code, reason)| ("NOTIFY", format!("SIP/2.0 {code} {reason}"))),
    ];
    let others = vec(other_header(), 0..8);
    let ids = ("[A-Za-z0-9.-]{1,12}(@[a-z0-9.]{1,8})?", 0u32..1 << 31, any::<bool>());
    (start, via(), address(true), address(true), ids, others, "[ -~]{0,40}").prop_map(
        |((method, start), via, from, to, (id, seq, length), others, body)| {
            let mut lines = vec![
                format!("Via: {via}"),
                format!("From: {from}"),
                format!("tO: {to}"),
                format!("Call-ID: {id}"),
                format!("CSeq: {seq} {method}"),
            ];
            for (i, other) in others.into_iter().enumerate() {
                lines.insert(1 + i % lines.len(), other);
            }
            if length {
                lines.push(format!("Content-Length: {}", body.len()));
            }
            format!("{start}\r\n{}\r\n\r\n{body}", lines.join("\r\n"))
        },
    )
}

#[test]
fn what_rsip_accepts_is_read_alike() {
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1500) };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let (messages, values) = (Cell::new(0), Cell::new(0));
    runner
        .run(&message(), |text| {
            // All that is made here is valid, so it has to be readable whatever `rsip` says.
            prop_assert!(decode(text.as_bytes(), Framing::Datagram).is_ok());
            if let Some(compared) = compare(&text)? {
                messages.set(messages.get() + 1);
                values.set(values.get() + compared);
            }
            Ok(())
        })
        .unwrap();
    assert!(messages.get() > 500, "only {} messages were compared", messages.get());
    assert!(values.get() > 1000, "only {} typed values were compared", values.get());
}

/// The divergences that are known; when `rsip` mends one, its test says so.
mod divergence {
    use super::*;

    const PLAIN: &str = "SUBSCRIBE sip:b@h SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\n\
        From: <sip:a@h>;tag=a\r\nTo: <sip:b@h>\r\nCall-ID: 1\r\nCSeq: 1 SUBSCRIBE\r\n\r\n";

    fn with(from: &str, to: &str) -> String {
        assert!(PLAIN.contains(from));
        PLAIN.replacen(from, to, 1)
    }

    #[test]
    fn a_dot_in_a_user_part_hides_the_user_from_rsip() {
        let text = "sip:alice.smith@example.com";
        assert!(rsip::Uri::try_from(text).unwrap().user().is_none());
        assert_eq!(UriRef::parse(text).unwrap().user(), Some("alice.smith"));
    }

    #[test]
    fn rsip_refuses_an_ipv6_request_uri() {
        let text = with("sip:b@h", "sip:b@[2001:db8::10]");
        assert!(theirs(&text).is_err());
        assert_eq!(UriRef::parse(ours(&text).request_uri().unwrap()).unwrap().host_text(), "[2001:db8::10]");
    }

    #[test]
    fn a_compact_via_is_none_to_rsip() {
        let text = with("Via: ", "v: ");
        assert!(theirs(&text).unwrap().via_header().is_err());
        assert_eq!(ours(&text).top_via().unwrap().branch, Some("z9hG4bK1"));
    }

    #[test]
    fn a_received_ipv6_address_hides_the_branch_from_rsip() {
        let text = with(";branch", ";received=2001:db8::1;branch");
        assert!(theirs(&text).unwrap().via_header().unwrap().typed().unwrap().branch().is_none());
        let ours = ours(&text).top_via().unwrap();
        assert_eq!((ours.received, ours.branch), (Some("2001:db8::1"), Some("z9hG4bK1")));
    }

    #[test]
    fn rsip_refuses_a_folded_line() {
        let text = with("Call-ID", "Subject: a\r\n b\r\nCall-ID");
        assert!(theirs(&text).is_err());
        assert_eq!(ours(&text).text(Name::Subject).unwrap(), "a b");
    }

    #[test]
    fn rsip_refuses_a_quoted_contact_parameter() {
        let text = with("Call-ID", "Contact: <sip:a@h>;+sip.instance=\"<urn:uuid:1>\"\r\nCall-ID");
        assert!(theirs(&text).unwrap().contact_header().unwrap().typed().is_err());
        let contact = ours(&text).contact().unwrap().unwrap();
        assert_eq!(contact.params.get("+sip.instance"), Some("\"<urn:uuid:1>\""));
    }

    #[test]
    fn rsip_refuses_a_sha_256_challenge() {
        let challenge = "WWW-Authenticate: Digest realm=\"h\", nonce=\"n\", algorithm=SHA-256";
        let text = with("Call-ID", &format!("{challenge}\r\nCall-ID"));
        let theirs = theirs(&text).unwrap();
        let found = theirs.headers().iter().find_map(|header| match header {
            rsip::Header::WwwAuthenticate(challenge) => Some(challenge.typed()),
            _ => None,
        });
        assert!(found.unwrap().is_err());
        assert_eq!(ours(&text).values(Name::WwwAuthenticate).count(), 1);
    }

    #[test]
    fn rsip_does_not_read_content_length() {
        let text = with("\r\n\r\n", "\r\nContent-Length: 2\r\n\r\nhiGARBAGE");
        assert_eq!(theirs(&text).unwrap().body(), b"hiGARBAGE");
        assert_eq!(ours(&text).body, b"hi");
    }

    #[test]
    fn a_message_that_is_cut_is_one_with_a_body_to_rsip() {
        let text = PLAIN.trim_end();
        assert!(theirs(text).is_ok_and(|message| message.headers().iter().count() == 1));
        assert!(decode(text.as_bytes(), Framing::Datagram).is_err());
    }

    #[test]
    fn rsip_gives_back_a_body_that_is_not_utf_8_changed() {
        let text = [PLAIN.as_bytes(), b"\xff\0"].concat();
        let theirs = rsip::SipMessage::try_from(&text[..]).unwrap();
        assert_eq!(theirs.body(), b"\xff\0");
        assert_ne!(Vec::from(theirs), text);
    }
}
