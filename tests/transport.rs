//! Datagrams, connections and look-ups as the core sees them (RFC 3261 §18, 3581, 5626, 3263; conformance 2 and 3).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use sippresence::{
    presence::{PresenceStatus, core::Input},
    sip::transport::ConnId,
};
use support::{ALICE, BOB, Bench, Did, OPTIONS, SUBSCRIBE, address, answer, config, first_line, header, wire};

/// The connection that was asked for last, and when.
fn opening(did: &[(u64, Did)]) -> Option<(u64, ConnId)> {
    did.iter().rev().find_map(|(at, did)| match did {
        Did::Opening { conn, .. } => Some((*at, *conn)),
        _ => None,
    })
}

/// Alice watches bob, whose note makes the next NOTIFY `large`.
fn watched(bench: &mut Bench) {
    bench.subscribed();
    bench.did();
}

fn large() -> String {
    "long ".repeat(400)
}

#[test]
fn trn_01_and_09_a_subscribe_works_over_tcp_too_in_any_pieces() {
    let mut bench = Bench::new();
    let conn = bench.accept(1, "192.0.2.10:40001");
    let subscribe = wire(&SUBSCRIBE.replace("UDP", "TCP"));
    for byte in subscribe.as_bytes() {
        bench.feed(Input::Data { conn, bytes: &[*byte] });
    }
    let did = bench.did();
    let (_, Did::Wrote { conn: answered, text }) = &did[0] else { panic!("{did:?}") };
    assert_eq!((*answered, first_line(text)), (conn, "SIP/2.0 200 OK"));
    assert_eq!(header(text, "Contact"), Some("<sip:bob@192.0.2.20:5060;transport=tcp>"));
    let options = |n: u32| OPTIONS.replace("UDP", "TCP").replace("op-1", &n.to_string());
    bench.tcp(conn, &[options(1), options(2), options(3)].concat());
    let ids: Vec<String> = bench.texts().iter().map(|text| header(text, "Call-ID").unwrap().to_owned()).collect();
    assert_eq!(ids, ["1", "2", "3"]);
}

#[test]
fn trn_02_a_request_over_1300_bytes_goes_by_tcp_and_its_via_says_so() {
    let mut bench = Bench::new();
    watched(&mut bench);
    bench.publish(PresenceStatus::Busy, &large());
    let did = bench.did();
    let [(_, Did::Opening { conn, remote })] = did[..] else { panic!("{did:?}") };
    assert_eq!(remote, address(ALICE));
    bench.connected(conn, ALICE);
    let notify = bench.only();
    assert!(header(&notify, "Via").unwrap().starts_with("SIP/2.0/TCP 192.0.2.20:5060;branch=z9hG4bK"), "{notify}");
    assert!(!header(&notify, "Via").unwrap().contains("rport"));
    assert_eq!(header(&notify, "Contact"), Some("<sip:bob@192.0.2.20:5060>"), "size alone made us leave UDP");
    bench.tcp(conn, &answer(&notify, "200 OK", ""));
    bench.run_until(40_000);
    assert_eq!(bench.texts(), [""; 0]);
}

#[test]
fn trn_02_the_limit_is_exact() {
    let size = |note: usize| {
        let mut bench = Bench::new();
        watched(&mut bench);
        bench.publish(PresenceStatus::Busy, &"n".repeat(note));
        bench.did().into_iter().find_map(|(_, did)| did.text().map(str::len))
    };
    let grows = size(11).unwrap() - size(10).unwrap();
    // The longest one that is still a datagram; near the end its version goes first.
    let most = (10..400).find(|note| size(note + 1).is_none()).unwrap();
    assert!(size(most).is_some_and(|size| (1300 - grows + 1..=1300).contains(&size)), "{:?}", size(most));
}

#[test]
fn trn_03_and_04_a_refused_connect_falls_back_to_udp_with_a_new_branch() {
    let mut bench = Bench::new();
    watched(&mut bench);
    bench.publish(PresenceStatus::Busy, &large());
    let (_, conn) = opening(&bench.did()).unwrap();
    bench.feed(Input::Closed(conn));
    let did = bench.did();
    let [(0, Did::Sent { local, remote, text })] = &did[..] else { panic!("{did:?}") };
    assert_eq!((*local, *remote), (address(BOB), address(ALICE)));
    assert!(text.len() > 1300);
    assert!(header(text, "Via").unwrap().starts_with("SIP/2.0/UDP 192.0.2.20:5060;branch=z9hG4bK"));
    assert!(header(text, "Via").unwrap().ends_with(";rport"));
    bench.udp(ALICE, &answer(text, "200 OK", ""));
    assert_eq!(bench.core.watchers().len(), 1);
}

#[test]
fn trn_03_and_04_a_connect_that_hangs_gives_way_after_four_seconds_and_is_remembered_for_ten_minutes() {
    let mut bench = Bench::new();
    let (ok, _) = bench.subscribed();
    let refresh = |bench: &mut Bench, cseq: u32| {
        let request = SUBSCRIBE
            .replace("a1;", &format!("d{cseq};"))
            .replace("To: <sip:bob@192.0.2.20>", &format!("To: {}", header(&ok, "To").unwrap()))
            .replace("CSeq: 1", &format!("CSeq: {cseq}"))
            .replace("Expires: 300", "Expires: 3600");
        bench.udp(ALICE, &request);
        let did = bench.did();
        let sent = did.iter().filter_map(|(_, did)| did.text()).find(|text| text.starts_with("NOTIFY"));
        if let Some(notify) = sent {
            bench.udp(ALICE, &answer(notify, "200 OK", ""));
        }
        (opening(&did), sent.map(str::to_owned))
    };
    refresh(&mut bench, 2);
    bench.run_until(1000);
    bench.publish(PresenceStatus::Busy, &large());
    let (_, conn) = opening(&bench.did()).unwrap();
    bench.run_until(4999);
    assert_eq!(bench.did(), []);
    bench.run_until(5000);
    let did = bench.did();
    let [(5000, Did::Sent { text: notify, .. }), (5000, Did::Closed { conn: closed })] = &did[..] else {
        panic!("{did:?}")
    };
    assert_eq!(*closed, conn);
    bench.udp(ALICE, &answer(notify, "200 OK", ""));
    let (opened, again) = refresh(&mut bench, 3);
    assert!(opened.is_none() && again.unwrap().len() > 1300, "the next one goes by UDP at once");
    bench.run_until(604_999);
    assert!(refresh(&mut bench, 4).0.is_none());
    bench.run_until(605_000);
    assert!(refresh(&mut bench, 5).0.is_some(), "forgotten");
}

#[test]
fn trn_03_a_hanging_connect_lets_go_who_chose_it_for_size_and_nobody_else() {
    let mut bench = Bench::new();
    watched(&mut bench);
    bench.publish(PresenceStatus::Busy, &large());
    bench.run_until(1000);
    bench.watch("sip:alice@192.0.2.10;transport=tcp");
    let did = bench.did();
    assert_eq!(did.len(), 1, "both wait for one connection: {did:?}");
    let (_, conn) = opening(&did).unwrap();
    bench.run_until(4000);
    assert!(matches!(&bench.did()[..], [(4000, Did::Sent { text, .. })] if text.starts_with("NOTIFY")));
    bench.run_until(6000);
    bench.did();
    bench.connected(conn, ALICE);
    assert!(bench.only().starts_with("SUBSCRIBE"), "who asked for TCP still waits for it");
}

#[test]
fn trn_05_requests_ask_for_rport_and_leave_from_the_port_they_name() {
    let mut bench = Bench::new();
    bench.watch("sip:carol@192.0.2.30");
    let did = bench.did();
    let [(_, Did::Sent { local, remote, text })] = &did[..] else { panic!("{did:?}") };
    assert_eq!((*local, *remote), (address(BOB), address("192.0.2.30:5060")));
    let via = header(text, "Via").unwrap();
    assert!(via.starts_with("SIP/2.0/UDP 192.0.2.20:5060;branch=") && via.ends_with(";rport"), "{via}");
}

#[test]
fn trn_06_and_07_responses_go_where_the_request_came_from() {
    let via = |with: &str| OPTIONS.replace("192.0.2.10:5060;branch=z9hG4bKo1;rport", with);
    for (request, from, to, expected) in [
        (
            via("10.0.0.7:5062;branch=z9hG4bKo1;rport"),
            "198.51.100.7:4711",
            "198.51.100.7:4711",
            "SIP/2.0/UDP 10.0.0.7:5062;branch=z9hG4bKo1;rport=4711;received=198.51.100.7",
        ),
        (
            via("10.0.0.7:5062;branch=z9hG4bKo1"),
            "198.51.100.7:4711",
            "198.51.100.7:5062",
            "SIP/2.0/UDP 10.0.0.7:5062;branch=z9hG4bKo1;received=198.51.100.7",
        ),
        (
            via("alice.example.com;branch=z9hG4bKo1"),
            "192.0.2.10:4711",
            "192.0.2.10:5060",
            "SIP/2.0/UDP alice.example.com;branch=z9hG4bKo1;received=192.0.2.10",
        ),
        (
            via("192.0.2.10:5062;branch=z9hG4bKo1;maddr=203.0.113.1;received=203.0.113.2"),
            "192.0.2.10:4711",
            "192.0.2.10:5062",
            "SIP/2.0/UDP 192.0.2.10:5062;branch=z9hG4bKo1;maddr=203.0.113.1;received=203.0.113.2",
        ),
    ] {
        let mut bench = Bench::new();
        for local in [BOB, "127.0.0.1:5060"] {
            let request = request.replace("op-1", local).replace("o1", &local[..3]);
            bench.udp_at(address(local), from, &request);
            let did = bench.did();
            let [(_, Did::Sent { local: by, remote, text })] = &did[..] else { panic!("{did:?}") };
            assert_eq!((*by, *remote), (address(local), address(to)));
            assert_eq!(header(text, "Via").unwrap(), expected.replace("o1", &local[..3]));
        }
    }
}

#[test]
fn trn_07_a_resend_is_answered_where_the_first_one_was() {
    let mut bench = Bench::new();
    let request = OPTIONS.replace(";rport", "");
    bench.udp("192.0.2.10:4711", &request);
    let first = bench.did();
    bench.udp("192.0.2.10:4711", &request);
    assert_eq!(bench.did(), first);
    assert!(matches!(&first[..], [(0, Did::Sent { remote, .. })] if *remote == address(ALICE)));
}

#[test]
fn trn_10_a_datagram_ends_where_content_length_says() {
    let mut bench = Bench::new();
    assert_eq!(bench.status_of(&format!("{OPTIONS}garbage")), "SIP/2.0 200 OK");
    let short = OPTIONS.replace("Content-Length: 0", "Content-Length: 9").replace("op-1", "op-2");
    assert_eq!(bench.status_of(&short), "SIP/2.0 400 Bad Request");
    bench.watch("sip:alice@192.0.2.10");
    let refusal = answer(&bench.only(), "404 Not Found", "").replace("Content-Length: 0", "Content-Length: 9");
    bench.udp(ALICE, &refusal);
    bench.run_until(500);
    assert_eq!(bench.sent().len(), 1, "it was dropped: the request is still open");
}

#[test]
fn trn_11_line_ends_before_a_message_are_skipped() {
    let mut bench = Bench::new();
    assert_eq!(bench.status_of(&format!("\n\n{OPTIONS}")), "SIP/2.0 200 OK");
    let conn = bench.accept(1, "192.0.2.10:40001");
    bench.tcp(conn, &format!("\n{}", OPTIONS.replace("UDP", "TCP").replace("op-1", "op-2")));
    assert_eq!(first_line(&bench.only()), "SIP/2.0 200 OK");
}

#[test]
fn trn_25_datagrams_without_anything_in_them_are_counted_and_dropped() {
    let mut bench = Bench::new();
    for n in 0..250 {
        for nothing in ["", "\r\n", "\r\n\r\n", "\0\0\0\0"] {
            let (local, remote) = (address(BOB), address(&format!("192.0.2.{}:5060", n % 250)));
            bench.feed(Input::Datagram { local, remote, bytes: nothing.as_bytes() });
        }
    }
    assert_eq!(bench.did(), []);
    assert_eq!(bench.core.counters().keepalives, 1000);
    assert_eq!(bench.core.deadline(), None, "nothing is kept either");
}

#[test]
fn trn_27_ipv6_hosts_are_bracketed_and_no_zone_leaves_the_machine() {
    let mut config = config("[fe80::20]:5060");
    config.locals = vec![address("[fe80::20%3]:5060")];
    let mut bench = Bench::with(config);
    let to_six = |text: &str| text.replace("192.0.2.10", "[fe80::10]").replace("192.0.2.20", "[fe80::20]");
    bench.udp("[fe80::10%3]:5060", &to_six(SUBSCRIBE));
    let did = bench.did();
    let [(_, Did::Sent { text: ok, .. }), (_, Did::Sent { remote, text: notify, .. })] = &did[..] else {
        panic!("{did:?}")
    };
    assert_eq!(header(ok, "Via"), Some("SIP/2.0/UDP [fe80::10]:5060;branch=z9hG4bKa1;rport=5060;received=fe80::10"));
    assert_eq!(header(ok, "Contact"), Some("<sip:bob@[fe80::20]:5060>"));
    assert_eq!(remote.port(), 5060);
    assert_eq!(first_line(notify), "NOTIFY sip:alice@[fe80::10]:5060 SIP/2.0");
    assert!(header(notify, "Via").unwrap().starts_with("SIP/2.0/UDP [fe80::20]:5060;branch="));
    assert_eq!(header(notify, "Contact"), Some("<sip:bob@[fe80::20]:5060>"));
    bench.udp("[fe80::10%3]:5060", &answer(notify, "200 OK", ""));
    bench.publish(PresenceStatus::Available, "");
    bench.watch("sip:alice@[fe80::10]");
    for text in bench.texts() {
        assert!(!text.contains('%'), "{text}");
    }
}

#[test]
fn trn_31_each_request_names_the_address_that_it_leaves_from() {
    let mut config = config(BOB);
    config.locals.extend([address("10.0.0.20:5070"), address("[2001:db8::20]:5060")]);
    let mut bench = Bench::with(config);
    for (target, local) in [
        ("sip:a@192.0.2.99", BOB),
        ("sip:a@10.0.7.7", "10.0.0.20:5070"),
        ("sip:a@127.0.0.2", "127.0.0.1:5060"),
        ("sip:a@[2001:db8::1]", "[2001:db8::20]:5060"),
    ] {
        bench.watch(target);
        let did = bench.did();
        let [(_, Did::Sent { local: by, text, .. })] = &did[..] else { panic!("{did:?}") };
        assert_eq!(*by, address(local));
        assert!(header(text, "Via").unwrap().starts_with(&format!("SIP/2.0/UDP {local};")), "{text}");
        assert_eq!(header(text, "Contact").unwrap(), format!("<sip:bob@{local}>"));
    }
}
