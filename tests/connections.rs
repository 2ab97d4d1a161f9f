//! Stream connections as the core keeps them: framing, reuse, idleness, loss (conformance 2, SEC-19).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use sippresence::{
    presence::{PresenceStatus, core::Input},
    sip::transport::{ConnId, Flow, Transport},
};
use support::{BOB, Bench, Did, OPTIONS, SUBSCRIBE, address, answer, config, first_line, header, param};

const PEER: &str = "192.0.2.10:40001";
const LISTENER: &str = "192.0.2.10:5080";

fn options() -> String {
    OPTIONS.replace("UDP", "TCP")
}

/// Watchers at one address, over TCP; their NOTIFYs need one connection, which stands now.
fn watchers_on_one_connection(bench: &mut Bench, count: usize) -> (ConnId, Vec<String>) {
    let from = bench.accept(1, PEER);
    for n in 0..count {
        let subscribe = SUBSCRIBE
            .replace("UDP", "TCP")
            .replace("alice@192.0.2.10:5060>", &format!("w{n}@192.0.2.10:5080;transport=tcp>"))
            .replace("3f2b", &format!("{n}-"))
            .replace("a1;", &format!("a1{n};"));
        bench.tcp(from, &subscribe);
    }
    let opened: Vec<ConnId> = bench
        .did()
        .into_iter()
        .filter_map(|(_, did)| match did {
            Did::Opening { conn, remote } => Some((conn, remote)),
            _ => None,
        })
        .map(|(conn, remote)| {
            assert_eq!(remote, address(LISTENER));
            conn
        })
        .collect();
    assert_eq!(opened.len(), 1);
    bench.connected(opened[0], LISTENER);
    (opened[0], bench.texts())
}

#[test]
fn trn_12_a_message_without_content_length_is_refused_and_the_connection_closed() {
    let mut bench = Bench::new();
    let conn = bench.accept(1, PEER);
    bench.tcp(conn, &options().replace("Content-Length: 0\n", ""));
    let did = bench.did();
    let [(_, Did::Wrote { text, .. }), (_, Did::Closed { .. })] = &did[..] else { panic!("{did:?}") };
    assert_eq!(first_line(text), "SIP/2.0 400 Bad Request");
    bench.tcp(conn, &options());
    assert_eq!(bench.did(), [], "what still arrives there is not read");
    let conn = bench.accept(2, PEER);
    bench.tcp(conn, &options().replace("op-1", "op-2"));
    assert_eq!(first_line(&bench.only()), "SIP/2.0 200 OK");
}

#[test]
fn trn_13_and_sec_19_what_is_too_large_is_refused_and_not_collected() {
    for (message, code) in [
        (options().replace("Content-Length: 0", "Content-Length: 65537"), "513 Message Too Large"),
        (options().replace("Content-Length: 0", "Content-Length: 99999999999999999999"), "400 Bad Request"),
        (options().replace("CSeq", &format!("X: {}\nCSeq", "x".repeat(9000))), "513 Message Too Large"),
        (options().replace("CSeq", &format!("{}CSeq", "X: y\n".repeat(256))), "513 Message Too Large"),
    ] {
        let mut bench = Bench::new();
        let conn = bench.accept(1, PEER);
        bench.tcp(conn, &message);
        let did = bench.did();
        let [(_, Did::Wrote { text, .. }), (_, Did::Closed { .. })] = &did[..] else { panic!("{did:?}") };
        assert_eq!(first_line(text), format!("SIP/2.0 {code}"));
    }
    let mut bench = Bench::new();
    let conn = bench.accept(1, PEER);
    for _ in 0..17 {
        bench.feed(Input::Data { conn, bytes: &[b'x'; 1024] });
    }
    assert_eq!(bench.did(), [(0, Did::Closed { conn })], "a head without an end, of which nothing can be read");
    let mut bench = Bench::new();
    let datagram = format!("{OPTIONS}{}", "x".repeat(65_536));
    assert_eq!(bench.status_of(&datagram), "SIP/2.0 513 Message Too Large");
}

#[test]
fn trn_14_twenty_notifies_share_one_connection_and_so_do_later_ones() {
    let mut bench = Bench::new();
    let (conn, notifies) = watchers_on_one_connection(&mut bench, 20);
    assert_eq!(notifies.len(), 20);
    bench.run_until(10_000);
    for notify in &notifies {
        bench.tcp(conn, &answer(notify, "200 OK", ""));
    }
    bench.did();
    bench.publish(PresenceStatus::Busy, "");
    let did = bench.did();
    assert_eq!(did.len(), 20);
    assert!(did.iter().all(|(_, did)| matches!(did, Did::Wrote { conn: by, .. } if *by == conn)), "{did:?}");
}

#[test]
fn trn_14_an_answer_on_a_connection_that_we_opened_names_the_port_that_we_listen_on() {
    let mut bench = Bench::new();
    let (conn, notifies) = watchers_on_one_connection(&mut bench, 1);
    bench.tcp(conn, &answer(&notifies[0], "200 OK", ""));
    bench.did();
    let our_tag = param(&notifies[0], "From", "tag").unwrap();
    let refresh = SUBSCRIBE
        .replace("UDP", "TCP")
        .replace("alice@192.0.2.10:5060>", "w0@192.0.2.10:5080;transport=tcp>")
        .replace("3f2b", "0-")
        .replace("a1;", "again;")
        .replace("1 SUBSCRIBE", "2 SUBSCRIBE")
        .replace("To: <sip:bob@192.0.2.20>", &format!("To: <sip:bob@192.0.2.20>;tag={our_tag}"));
    bench.tcp(conn, &refresh);
    let ok = &bench.texts()[0];
    assert_eq!(first_line(ok), "SIP/2.0 200 OK");
    assert_eq!(header(ok, "Contact"), Some("<sip:bob@192.0.2.20:5060;transport=tcp>"));
    let saved = bench.core.saved(bench.now());
    assert_eq!(saved.watchers[0].subscription.listen, address(BOB));
}

/// Alice subscribes by a connection under TLS; `n` tells hers from others of hers.
fn subscribed_by_tls(bench: &mut Bench, n: u64, via: &str) -> ConnId {
    let conn = ConnId::accepted(n);
    let (local, remote) = (address(BOB), address("192.0.2.10:40000"));
    bench.feed(Input::Opened(Flow { transport: Transport::Tls, local, remote, conn: Some(conn) }));
    let subscribe = SUBSCRIBE
        .replace("UDP 192.0.2.10:5060;branch=z9hG4bKa1;rport", &format!("TLS {via};branch=z9hG4bKa{n}"))
        .replace("alice@192.0.2.10:5060>", "alice@192.0.2.10:5061;transport=tls>")
        .replace("3f2b", &format!("{n}-"));
    bench.tcp(conn, &subscribe);
    conn
}

#[test]
fn trn_15_who_asks_for_it_under_tls_is_told_by_its_own_connection_and_nobody_else_is() {
    let mut bench = Bench::new();
    let first = subscribed_by_tls(&mut bench, 1, "192.0.2.10:5061;alias");
    let second = subscribed_by_tls(&mut bench, 2, "192.0.2.10:5061;alias");
    let ways = bench.did().into_iter().filter_map(|(_, did)| match did {
        Did::Wrote { conn, text } if text.starts_with("NOTIFY") => Some((conn, header(&text, "Call-ID")?.to_owned())),
        Did::Wrote { .. } => None,
        other => panic!("{other:?}"),
    });
    let ways: Vec<_> = ways.collect();
    assert_eq!(ways, [(first, "1-9c0e-6a41".to_owned()), (second, "2-9c0e-6a41".to_owned())]);
    // Once it is gone, whoever is at the Contact has to prove that it is.
    let mut bench = Bench::new();
    let conn = subscribed_by_tls(&mut bench, 1, "192.0.2.10:5061;alias");
    let notify = bench.texts().pop().unwrap();
    bench.tcp(conn, &answer(&notify, "200 OK", ""));
    bench.feed(Input::Closed(conn));
    bench.did();
    bench.run_until(10_000);
    bench.publish(PresenceStatus::Busy, "");
    let did = bench.did();
    assert!(matches!(&did[..], [(_, Did::Opening { remote, .. })] if *remote == address("192.0.2.10:5061")), "{did:?}");
}

#[test]
fn trn_15_without_alias_or_with_that_of_somebody_else_a_connection_to_the_contact_is_opened() {
    for via in ["192.0.2.10:5061", "192.0.2.99:5061;alias", "pc.example.com;alias"] {
        let mut bench = Bench::new();
        subscribed_by_tls(&mut bench, 1, via);
        let did = bench.did();
        let [(_, Did::Wrote { text, .. }), (_, Did::Opening { remote, .. })] = &did[..] else { panic!("{did:?}") };
        assert_eq!((first_line(text), *remote), ("SIP/2.0 200 OK", address("192.0.2.10:5061")), "{via}");
    }
}

#[test]
fn trn_14_an_idle_connection_is_closed_after_five_minutes() {
    let mut bench = Bench::new();
    let conn = bench.accept(1, PEER);
    bench.run_until(299_999);
    bench.tcp(conn, &options());
    bench.did();
    bench.run_until(599_998);
    assert_eq!(bench.did(), []);
    bench.run_until(599_999);
    assert_eq!(bench.did(), [(599_999, Did::Closed { conn })]);
}

#[test]
fn trn_14_a_connection_is_not_closed_while_a_request_waits_on_it() {
    let mut slow = config(BOB);
    slow.timing.t1 = Duration::from_secs(10);
    let mut bench = Bench::with(slow);
    bench.watch("sip:carol@192.0.2.30;transport=tcp");
    let [(_, Did::Opening { conn, .. })] = bench.did()[..] else { panic!("no connection was asked for") };
    bench.connected(conn, "192.0.2.30:5060");
    bench.only();
    bench.run_until(639_999);
    assert_eq!(bench.did(), []);
}

#[test]
fn trn_16_a_connection_that_breaks_fails_each_request_once() {
    let mut bench = Bench::new();
    let (conn, notifies) = watchers_on_one_connection(&mut bench, 2);
    assert_eq!((notifies.len(), bench.core.watchers().len()), (2, 2));
    bench.feed(Input::Closed(conn));
    assert_eq!(bench.core.watchers(), []);
    let ended = bench.out.events.iter().filter(|event| format!("{event:?}").contains("SubscriptionTerminated")).count();
    assert_eq!(ended, 2);
    bench.feed(Input::Closed(conn));
    bench.run_until(600_000);
    assert_eq!(bench.texts(), [""; 0]);
    assert!(!bench.core.is_busy(), "nothing is left over");

    let mut bench = Bench::new();
    let ids = ["a", "b"].map(|user| bench.watch(&format!("sip:{user}@192.0.2.30;transport=tcp")));
    let [(_, Did::Opening { conn, .. })] = bench.did()[..] else { panic!("one connection for both") };
    bench.connected(conn, "192.0.2.30:5060");
    assert_eq!(bench.texts().len(), 2);
    bench.feed(Input::Closed(conn));
    for id in ids {
        let state = bench.core.state(id).unwrap();
        assert_eq!(state.freshness.to_string(), "failed (connect)");
        assert_eq!(state.subscription.as_ref().unwrap().state, "waiting");
    }
}

#[test]
fn trn_23_a_ping_is_answered_and_a_pong_is_not() {
    let mut bench = Bench::new();
    let conn = bench.accept(1, PEER);
    bench.tcp(conn, "\r\n\r\n");
    assert_eq!(bench.only(), "\r\n");
    bench.tcp(conn, "\r\n");
    assert_eq!(bench.did(), []);
    bench.tcp(conn, &format!("\n\n{}\n\n", options()));
    let texts = bench.texts();
    assert_eq!((texts.len(), texts[0].as_str(), texts[2].as_str()), (3, "\r\n", "\r\n"));
}

#[test]
fn sec_19_a_message_that_drips_is_given_up_after_30_seconds() {
    let mut bench = Bench::new();
    let conn = bench.accept(1, PEER);
    bench.run_until(7000);
    for (n, byte) in options().bytes().take(30).enumerate() {
        bench.run_until(7000 + n as u64 * 1000);
        bench.feed(Input::Data { conn, bytes: &[byte] });
    }
    assert_eq!(bench.did(), []);
    bench.run_until(37_000);
    assert_eq!(bench.did(), [(37_000, Did::Closed { conn })]);
}

#[test]
fn sec_19_a_message_after_which_the_next_begins_has_30_seconds_of_its_own() {
    let mut bench = Bench::new();
    let conn = bench.accept(1, PEER);
    let message = options();
    bench.tcp(conn, &message[..20]);
    bench.run_until(29_000);
    bench.tcp(conn, &format!("{}OPTI", &message[20..]));
    assert_eq!(first_line(&bench.only()), "SIP/2.0 200 OK");
    bench.run_until(58_999);
    assert_eq!(bench.did(), []);
    bench.run_until(59_000);
    assert_eq!(bench.did(), [(59_000, Did::Closed { conn })]);
}

#[test]
fn sec_13_others_hold_a_bounded_number_of_connections_open() {
    let mut bench = Bench::new();
    for n in 0..1024 {
        bench.accept(n, PEER);
    }
    assert_eq!(bench.did(), []);
    let conn = bench.accept(1024, PEER);
    assert_eq!(bench.did(), [(0, Did::Closed { conn })]);
    bench.feed(Input::Closed(ConnId::accepted(7)));
    let conn = bench.accept(1025, PEER);
    bench.tcp(conn, &options());
    assert_eq!(header(&bench.only(), "CSeq"), Some("1 OPTIONS"));
}

#[test]
fn trn_08_an_answer_takes_the_connection_of_its_request() {
    let mut bench = Bench::new();
    let (one, two) = (bench.accept(1, PEER), bench.accept(2, PEER));
    for (conn, id) in [(two, "op-2"), (one, "op-1")] {
        bench.tcp(conn, &options().replace("op-1", id));
        let did = bench.did();
        assert!(matches!(&did[..], [(_, Did::Wrote { conn: by, .. })] if *by == conn), "{did:?}");
    }
}
