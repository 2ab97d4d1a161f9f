//! Pings where they were agreed on, and nowhere else: TRN-24.

use sippresence::presence::core::Input;

use crate::{
    registrar::Registrar,
    support::{ALICE, Bench, Did, answer, header, notify_for},
};

const HOUR: u64 = 3_600_000;
const OUTBOUND: &str = "Require: outbound\r\n";

#[test]
fn trn_24_a_connection_of_which_nothing_was_agreed_is_not_pinged_and_closed_when_it_is_idle() {
    for (agreed, extra) in [
        (";keep", ""),
        ("", "Supported: outbound\r\n"),
        (";keep=-1", "Require: path\r\n"),
        (";keep=soon", "Flow-Timer: 30\r\n"),
    ] {
        let (mut registrar, register) = Registrar::new();
        assert!(header(&register, "Via").unwrap().ends_with(";keep"), "{register}");
        registrar.accept(&register, agreed, extra);
        let conn = registrar.conn;
        assert_eq!(registrar.next_until(HOUR), (300_000, Did::Closed { conn }), "{agreed} {extra}");
        // The registrar reaches us by another one.
        assert_eq!(registrar.registration().state, "standing");
    }
}

#[test]
fn trn_24_pings_come_after_80_to_100_percent_of_what_the_peer_asked_for() {
    let table = [
        (";keep=100", "", 80_000, 100_000),
        (";keep=0", "", 95_000, 120_000),
        ("", OUTBOUND, 95_000, 120_000),
        ("", "Require: path, OUTBOUND\r\nFlow-Timer: 60\r\n", 48_000, 60_000),
        (";keep=60", "Require: outbound\r\nFlow-Timer: 60\r\n", 48_000, 60_000),
        ("", "Require: outbound\r\nFlow-Timer: soon\r\n", 95_000, 120_000),
        // Nobody has us ping all the time.
        (";keep=1", "", 8_000, 10_000),
    ];
    for (agreed, extra, least, most) in table {
        let mut registrar = Registrar::registered(agreed, extra);
        let pings = registrar.pinged_until(1_000_000);
        let pauses: Vec<u64> = pings.iter().scan(0, |before, at| Some(at - std::mem::replace(before, *at))).collect();
        assert!(pauses.len() >= 8, "{agreed} {extra}: {pauses:?}");
        assert!(pauses.iter().all(|pause| (least..=most + 1).contains(pause)), "{agreed} {extra}: {pauses:?}");
        let (shortest, longest) = (pauses.iter().min().unwrap(), pauses.iter().max().unwrap());
        assert!(longest - shortest > (most - least) / 4, "they are drawn: {pauses:?}");
    }
}

#[test]
fn trn_24_of_two_agreements_on_a_connection_the_shorter_one_is_kept() {
    let mut registrar = Registrar::registered("", "Require: outbound\r\nFlow-Timer: 30\r\n");
    registrar.bench.watch("sip:alice@example.com");
    let subscribe = registrar.bench.only();
    let alice = "Contact: <sip:alice@192.0.2.100:5060;transport=tcp>\r\nExpires: 3600\r\n";
    registrar.bench.tcp(registrar.conn, &answer(&subscribe, "200 OK", alice).replace(";keep", ";keep=600"));
    let notify = notify_for(&subscribe, 1, "active;expires=3600").replace("UDP", "TCP");
    registrar.bench.tcp(registrar.conn, &notify.replace("192.0.2.10:5060>", "192.0.2.100:5060;transport=tcp>"));
    registrar.bench.did();
    let pings = registrar.pinged_until(300_000);
    let pauses: Vec<u64> = pings.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(pauses.len() >= 9 && pauses.iter().all(|pause| *pause <= 30_001), "{pauses:?}");
}

#[test]
fn trn_24_a_connection_is_dead_ten_seconds_after_a_ping_that_nobody_answered() {
    let mut registrar = Registrar::registered(";keep=100", "");
    let conn = registrar.conn;
    // What else comes is no answer.
    let ping = registrar.ping_until(100_001);
    registrar.bench.feed(Input::Data { conn, bytes: b"\r\n\r\n" });
    assert_eq!(registrar.bench.only(), "\r\n");
    assert_eq!(registrar.next_until(HOUR), (ping + 10_000, Did::Closed { conn }));
    assert_eq!(registrar.registration().state, "unsure");
    // The binding is made anew by another connection.
    let (at, did) = registrar.next_until(HOUR);
    assert!(matches!(did, Did::Opening { conn: other, .. } if other != conn), "{did:?}");
    assert!((ping + 25_000..=ping + 40_001).contains(&at), "{at}");
}

#[test]
fn trn_24_an_answer_in_time_resets_that() {
    let mut registrar = Registrar::registered(";keep=100", "");
    for _ in 0..20 {
        let before = registrar.bench.ms;
        let ping = registrar.ping_until(before + 100_001);
        registrar.bench.run_until(ping + 9_999);
        registrar.pong();
        registrar.pong();
    }
    assert!(registrar.bench.ms > 1_500_000);
    assert_eq!(registrar.registration().state, "standing");
}

#[test]
fn trn_24_it_ends_with_what_it_was_agreed_for() {
    let mut registrar = Registrar::registered(";keep=0", "");
    let refresh = registrar.refresh(HOUR);
    // The peer agrees no more.
    registrar.accept(&refresh, "", "");
    let pings = registrar.pinged_until(HOUR + 299_999);
    assert!(pings.iter().all(|at| *at < HOUR), "{pings:?}");
    let conn = registrar.conn;
    assert_eq!(registrar.next_until(2 * HOUR), (HOUR + 300_000, Did::Closed { conn }));
}

#[test]
fn trn_24_after_a_sleep_a_ping_tells_at_once_whether_the_connection_lives() {
    let mut registrar = Registrar::registered(";keep=1000", "");
    let conn = registrar.conn;
    registrar.bench.run_until(60_000);
    registrar.bench.feed(Input::Resumed);
    assert_eq!(registrar.ping_until(60_001), 60_000);
    let (_, Did::Wrote { text, .. }) = registrar.next_until(64_000) else { panic!("the registrar is asked") };
    assert!(text.starts_with("REGISTER "), "{text}");
    assert_eq!(registrar.next_until(HOUR), (70_000, Did::Closed { conn }));
    assert_eq!(registrar.registration().state, "waiting");
    let (_, did) = registrar.next_until(HOUR);
    assert!(matches!(did, Did::Opening { conn: other, .. } if other != conn), "{did:?}");
}

#[test]
fn trn_24_subscriptions_by_a_dead_connection_are_stale_and_asked_for_by_another() {
    let mut bench = Bench::new();
    let id = bench.watch("sip:alice@192.0.2.10;transport=tcp");
    let did = bench.did();
    let [(_, Did::Opening { conn, .. })] = did[..] else { panic!("{did:?}") };
    bench.connected(conn, ALICE);
    let subscribe = bench.only();
    let ok = answer(&subscribe, "200 OK", "Contact: <sip:alice@192.0.2.10;transport=tcp>\r\nExpires: 300\r\n");
    bench.tcp(conn, &ok.replace(";keep", ";keep=60"));
    let notify = notify_for(&subscribe, 1, "active;expires=300").replace("UDP", "TCP");
    bench.tcp(conn, &notify.replace("10:5060>", "10:5060;transport=tcp>"));
    bench.did();
    let state = |bench: &Bench| bench.core.state(id).unwrap().freshness.to_string();
    let before = state(&bench);
    bench.run_until(60_000);
    let [(ping, Did::Wrote { text, .. })] = &bench.did()[..] else { panic!("no ping") };
    assert_eq!(text, "\r\n\r\n");
    bench.run_until(ping + 9_999);
    assert_eq!((bench.did(), state(&bench)), (vec![], before));
    bench.run_until(ping + 10_000);
    assert_eq!(bench.did(), [(ping + 10_000, Did::Closed { conn })]);
    bench.run_until(ping + 13_001);
    let did = bench.did();
    let [(_, Did::Opening { conn, .. })] = did[..] else { panic!("{did:?}") };
    bench.connected(conn, ALICE);
    let refresh = bench.only();
    assert_eq!(header(&refresh, "Call-ID"), header(&subscribe, "Call-ID"));
}

#[test]
fn trn_24_datagrams_know_nothing_of_it() {
    let mut bench = Bench::new();
    bench.watch("sip:alice@192.0.2.10");
    let subscribe = bench.only();
    assert!(!header(&subscribe, "Via").unwrap().contains("keep"), "{subscribe}");
}
