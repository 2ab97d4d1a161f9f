//! What every request is checked for, what OPTIONS tells, what never leaves us (conformance 1.1, 4.1, 13).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use sippresence::presence::PresenceStatus;
use support::{ALICE, Bench, OPTIONS, SUBSCRIBE, answer, first_line, header, notify_for, wire};

/// The first line of the answer to alice's SUBSCRIBE with `from` replaced by `to`.
fn status_with(from: &str, to: &str) -> String {
    assert!(SUBSCRIBE.contains(from));
    Bench::new().status_of(&SUBSCRIBE.replace(from, to))
}

#[test]
fn txn_21_and_sec_21_options_tells_what_we_can_do_and_nothing_of_who_watches() {
    let mut bench = Bench::new();
    bench.udp(ALICE, OPTIONS);
    let before = bench.only();
    let tag = support::param(&before, "To", "tag").unwrap();
    assert_eq!(
        before,
        wire(&format!(
            "SIP/2.0 200 OK
Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKo1;rport=5060;received=192.0.2.10
From: <sip:alice@192.0.2.10>;tag=a7
To: <sip:bob@192.0.2.20>;tag={tag}
Call-ID: op-1
CSeq: 1 OPTIONS
Allow: NOTIFY, OPTIONS, SUBSCRIBE
Allow-Events: presence, presence.winfo
Accept: application/pidf+xml
Supported:\u{20}
Content-Length: 0

"
        ))
    );
    bench.subscribed();
    bench.publish(PresenceStatus::Busy, "watched");
    bench.did();
    bench.udp(ALICE, &OPTIONS.replace("z9hG4bKo1", "z9hG4bKo2").replace("op-1", "op-2"));
    let after = bench.only().replace("z9hG4bKo2", "z9hG4bKo1").replace("op-2", "op-1");
    assert_eq!(after.replace(support::param(&after, "To", "tag").unwrap(), tag), before);
}

#[test]
fn par_09_the_version_is_compared_without_case_and_another_is_refused() {
    assert_eq!(
        status_with("SUBSCRIBE sip:bob@192.0.2.20 SIP/2.0", "SUBSCRIBE sip:bob@192.0.2.20 sip/2.0"),
        "SIP/2.0 200 OK"
    );
    let other = ("SUBSCRIBE sip:bob@192.0.2.20 SIP/2.0", "SUBSCRIBE sip:bob@192.0.2.20 SIP/7.0");
    assert_eq!(status_with(other.0, other.1), "SIP/2.0 505 Version Not Supported");
}

#[test]
fn par_10_an_unknown_scheme_gets_416_and_a_missing_header_400_with_its_name() {
    for uri in ["nobody:x", "tel:+1201555", "http://192.0.2.20/"] {
        assert_eq!(
            status_with("SUBSCRIBE sip:bob@192.0.2.20", &format!("SUBSCRIBE {uri}")),
            "SIP/2.0 416 Unsupported URI Scheme"
        );
    }
    for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
        let line = SUBSCRIBE.lines().find(|line| line.starts_with(&format!("{name}:"))).unwrap();
        assert_eq!(status_with(&format!("{line}\n"), ""), format!("SIP/2.0 400 Missing {name}"));
        assert_eq!(status_with(line, &format!("{name}:")), format!("SIP/2.0 400 Malformed {name}"));
    }
    assert_eq!(status_with("Max-Forwards: 70\n", ""), "SIP/2.0 200 OK");
}

#[test]
fn par_10_an_ack_is_never_answered_however_bad_it_is() {
    let mut bench = Bench::new();
    for bad in [
        SUBSCRIBE.replace("SUBSCRIBE", "ACK").replace("CSeq: 1 ACK", "CSeq: x"),
        SUBSCRIBE.replace("SUBSCRIBE", "ACK").replace("SIP/2.0\nVia", "SIP/7.0\nVia"),
        SUBSCRIBE.replace("SUBSCRIBE", "ACK").replace("Content-Length: 0", "Content-Length: 9"),
    ] {
        bench.udp(ALICE, &bad);
    }
    assert_eq!(bench.did(), []);
}

#[test]
fn par_15_a_body_that_is_not_understood_is_refused_unless_it_is_optional() {
    let with =
        |headers: &str| SUBSCRIBE.replace("Content-Length: 0\n", &format!("{headers}Content-Length: 4\n")) + "body";
    let mut bench = Bench::new();
    bench.udp(ALICE, &with("Content-Type: text/plain\nContent-Encoding: gzip\n"));
    let packed = bench.only();
    assert_eq!(first_line(&packed), "SIP/2.0 415 Unsupported Media Type");
    assert_eq!(header(&packed, "Accept-Encoding"), Some("identity"));
    for required in ["", "Content-Disposition: x\n", "Content-Disposition: x;handling=required\n"] {
        let mut bench = Bench::new();
        bench.udp(ALICE, &with(&format!("Content-Type: text/plain\n{required}")));
        let refusal = bench.only();
        assert_eq!(first_line(&refusal), "SIP/2.0 415 Unsupported Media Type", "{required}");
        assert_eq!(header(&refusal, "Accept"), Some("application/pidf+xml"));
    }
    for encoding in ["", "Content-Encoding: gzip\n", "Content-Encoding: identity\n"] {
        let optional = format!("Content-Type: text/plain\n{encoding}Content-Disposition: x; Handling = \"optional\"\n");
        assert_eq!(Bench::new().status_of(&with(&optional)), "SIP/2.0 200 OK", "{encoding}");
    }
}

#[test]
fn par_15_an_optional_body_of_a_notify_is_passed_over_and_the_state_stays() {
    let mut bench = Bench::new();
    let id = bench.watch("sip:alice@192.0.2.10");
    let subscribe = bench.only();
    let with = |n: u32, headers: &str| {
        let notify = notify_for(&subscribe, n, "active;expires=300");
        notify.replace("Content-Length: 0\n", &format!("Content-Type: text/plain\n{headers}Content-Length: 4\n"))
            + "body"
    };
    let refused = bench.status_of(&with(1, "Content-Disposition: x;handling=required\n"));
    assert_eq!(refused, "SIP/2.0 415 Unsupported Media Type");
    assert_eq!(bench.core.state(id).unwrap().subscription.as_ref().unwrap().state, "subscribing");
    assert_eq!(bench.status_of(&with(2, "Content-Disposition: x;handling=optional\n")), "SIP/2.0 200 OK");
    assert_eq!(bench.core.state(id).unwrap().subscription.as_ref().unwrap().state, "active");
}

#[test]
fn sec_06_nothing_that_a_peer_wrote_can_end_a_header_line() {
    // What a peer names itself comes back in our requests, quoted; what it asks for in refusals, if it is a token.
    let mut bench = Bench::new();
    let folded = SUBSCRIBE
        .replace("From: \"Alice\"", "From: \"Ali\\\"ce\"\n ")
        .replace("To: <sip:bob@192.0.2.20>", "To: Bob\n <sip:bob@192.0.2.20>")
        .replace("Event: presence", "Event: presence;id=7");
    bench.udp(ALICE, &folded);
    let texts = bench.texts();
    assert_eq!(texts.len(), 2, "{texts:?}");
    assert_eq!(header(&texts[0], "To").unwrap().split(";tag").next(), Some("Bob <sip:bob@192.0.2.20>"));
    assert_eq!(header(&texts[1], "To"), Some("\"Ali\\\"ce\" <sip:alice@192.0.2.10>;tag=a7f3c9d1"));
    assert_eq!(header(&texts[1], "From").unwrap().split(";tag").next(), Some("\"Bob\" <sip:bob@192.0.2.20>"));
    for evil in ["a\0b", "a\rInjected: yes"] {
        for at in ["Alice", "a7f3c9d1", "3f2b9c0e", "presence"] {
            let mut bench = Bench::new();
            let local = bench.core.locals()[0];
            let bytes = wire(SUBSCRIBE).replacen(at, evil, 1);
            let input = sippresence::presence::core::Input::Datagram {
                local,
                remote: support::address(ALICE),
                bytes: bytes.as_bytes(),
            };
            bench.feed(input);
            for text in bench.texts() {
                assert!(text.starts_with("SIP/2.0 4"), "{text}");
                assert!(!text.contains("Injected") && !text.contains('\0'), "{text}");
            }
        }
    }
}

#[test]
fn sec_14_only_what_is_configured_is_answered_and_only_product_and_minor_version_are_told() {
    let mut bench = Bench::new();
    bench.watch("sip:alice@192.0.2.10");
    let subscribe = bench.only();
    let (ok, notify) = bench.subscribed();
    let expected = format!("sippresence/{}.{}", env!("CARGO_PKG_VERSION_MAJOR"), env!("CARGO_PKG_VERSION_MINOR"));
    for text in [&subscribe, &notify] {
        assert_eq!(header(text, "User-Agent"), Some(expected.as_str()));
    }
    for text in [&subscribe, &notify, &ok] {
        assert_eq!(header(text, "Server"), None);
        assert_eq!(text.matches("sippresence/").count(), usize::from(text != &ok));
    }
    for package in ["dialog", "presence.winfo.winfo", "Presence", "message-summary"] {
        let mut bench = Bench::new();
        bench.udp(ALICE, &SUBSCRIBE.replace("Event: presence", &format!("Event: {package}")));
        let refusal = bench.only();
        assert_eq!(first_line(&refusal), "SIP/2.0 489 Bad Event");
        assert_eq!(header(&refusal, "Allow-Events"), Some("presence, presence.winfo"));
        let notify = notify_for(&subscribe, 1, "active").replace("Event: presence", &format!("Event: {package}"));
        bench.udp(ALICE, &notify);
        assert_eq!(header(&bench.only(), "Allow-Events"), Some("presence, presence.winfo"));
    }
}

/// Refusals as the wire examples have them.
#[test]
fn txn_30_refusals_are_byte_for_byte_what_they_are_to_be() {
    for (from, to, status, extra) in [
        ("Event: presence", "Event: foo", "489 Bad Event", "Allow-Events: presence, presence.winfo"),
        ("Event: presence\n", "", "489 Bad Event", "Allow-Events: presence, presence.winfo"),
        ("Expires: 300", "Expires: 5", "423 Interval Too Brief", "Min-Expires: 60"),
        ("application/pidf+xml", "text/plain", "406 Not Acceptable", "Accept: application/pidf+xml"),
        ("SUBSCRIBE", "INVITE", "405 Method Not Allowed", "Allow: NOTIFY, OPTIONS, SUBSCRIBE"),
    ] {
        let mut bench = Bench::new();
        let request = SUBSCRIBE.replace(from, to);
        bench.udp(ALICE, &request);
        let refusal = bench.only();
        let tag = support::param(&refusal, "To", "tag").unwrap();
        let cseq = header(&request, "CSeq").unwrap();
        let expected = format!(
            "SIP/2.0 {status}
Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKa1;rport=5060;received=192.0.2.10
From: \"Alice\" <sip:alice@192.0.2.10>;tag=a7f3c9d1
To: <sip:bob@192.0.2.20>;tag={tag}
Call-ID: 3f2b9c0e-6a41
CSeq: {cseq}
{extra}
Content-Length: 0

"
        );
        assert_eq!(refusal, wire(&expected));
    }
    let mut bench = Bench::new();
    bench.watch("sip:alice@192.0.2.10");
    let subscribe = bench.only();
    let stale =
        notify_for(&subscribe, 1, "active").replace("From: <sip:alice@192.0.2.10>;tag=peer-1\n", "From: <sip:x@y>\n");
    bench.udp(ALICE, &answer(&subscribe, "404 Not Found", ""));
    assert_eq!(bench.status_of(&stale), "SIP/2.0 481 Subscription Does Not Exist");
}
