//! Where requests go, and what happens when a name has no address (RFC 3263; conformance 3).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use sippresence::{
    presence::core::{CoreConfig, Input, Server, WatchId},
    sip::{
        effect::QueryId,
        locate::{Answer, Question, Srv},
        transport::TlsFailure,
    },
};
use support::{ALICE, BOB, Bench, Did, SUBSCRIBE, address, config, first_line, header, notify_for, param};

/// Watches somebody behind a name; returns the look-up that this takes at first.
fn looking_up(bench: &mut Bench, target: &str) -> (WatchId, QueryId, Question) {
    let id = bench.watch(target);
    let did = bench.did();
    let [(_, Did::Asked { query, question })] = &did[..] else { panic!("{did:?}") };
    (id, *query, question.clone())
}

fn addresses(addresses: &[&str]) -> Answer {
    Answer::Addresses(addresses.iter().map(|text| address(text)).collect())
}

fn reason(bench: &Bench, id: WatchId) -> String {
    let state = bench.core.state(id).unwrap();
    let info = state.subscription.as_ref().unwrap();
    format!("{}: {}", info.last_code.as_ref().unwrap(), info.reason.as_deref().unwrap())
}

#[test]
fn res_01_a_route_is_resolved_and_not_the_request_uri() {
    let mut bench = Bench::new();
    let path = "Record-Route: <sip:192.0.2.10:5090;lr>\nEvent:";
    let subscribe = SUBSCRIBE.replace("Event:", path).replace("alice@192.0.2.10:5060>", "alice@b.example.com>");
    bench.udp(ALICE, &subscribe);
    let did = bench.did();
    let [_, (_, Did::Sent { remote, text, .. })] = &did[..] else { panic!("no look-up is needed: {did:?}") };
    assert_eq!(*remote, address("192.0.2.10:5090"));
    assert_eq!(first_line(text), "NOTIFY sip:alice@b.example.com SIP/2.0");
}

#[test]
fn res_01_maddr_replaces_the_host() {
    let mut bench = Bench::new();
    bench.watch("sip:alice@example.com;maddr=192.0.2.10");
    let did = bench.did();
    let [(_, Did::Sent { remote, text, .. })] = &did[..] else { panic!("no look-up is needed: {did:?}") };
    assert_eq!(*remote, address(ALICE));
    assert_eq!(first_line(text), "SUBSCRIBE sip:alice@example.com;maddr=192.0.2.10 SIP/2.0");
}

#[test]
fn res_02_a_numeric_host_is_never_looked_up() {
    for (target, to) in [
        ("sip:u@192.0.2.1", "192.0.2.1:5060"),
        ("sip:u@192.0.2.1:5070;transport=udp", "192.0.2.1:5070"),
        ("pres:u@192.0.2.1", "192.0.2.1:5060"),
    ] {
        let mut bench = Bench::new();
        bench.watch(target);
        let did = bench.did();
        assert!(matches!(&did[..], [(_, Did::Sent { remote, .. })] if *remote == address(to)), "{did:?}");
    }
    let mut bench = Bench::new();
    bench.watch("sip:u@192.0.2.1;transport=tcp");
    let did = bench.did();
    assert!(matches!(&did[..], [(_, Did::Opening { remote, .. })] if *remote == address("192.0.2.1:5060")));
}

#[test]
fn res_02_and_trn_17_tls_is_never_skipped() {
    for target in ["sips:u@192.0.2.1", "sip:u@192.0.2.1;transport=tls"] {
        let mut bench = Bench::new();
        let id = bench.watch(target);
        let did = bench.did();
        let [(_, Did::Opening { conn, remote })] = &did[..] else { panic!("{did:?}") };
        assert_eq!(*remote, address("192.0.2.1:5061"));
        for (error, told) in [
            (TlsFailure::Untrusted("a stranger".into()), "untrusted: a stranger"),
            (TlsFailure::Refused("no TLS there".into()), "connect: no TLS there"),
        ] {
            let mut bench = Bench::new();
            let id = bench.watch(target);
            bench.feed(Input::TlsFailed { conn: *conn, error });
            assert_eq!(reason(&bench, id), told);
        }
        bench.run_until(600_000);
        let by_tls = |did: &Did| match did {
            Did::Opening { remote, .. } => remote.port() == 5061,
            Did::Closed { .. } => true,
            _ => false,
        };
        assert!(bench.did().iter().all(|(_, did)| by_tls(did)), "nothing leaves in clear text");
        assert!(reason(&bench, id).starts_with("timeout"), "{}", reason(&bench, id));
    }
}

#[test]
fn trn_17_a_proxy_without_tls_is_no_way_to_sips() {
    let through = |proxy: &str| {
        let server = Server::new(Some(proxy.parse().unwrap()));
        let mut bench = Bench::with(CoreConfig { server: Some(server), ..config(BOB) });
        let id = bench.watch("sips:alice@192.0.2.20");
        (bench, id)
    };
    let (mut bench, id) = through("sip:192.0.2.9");
    bench.run_until(600_000);
    assert_eq!(bench.did(), []);
    let told = "sips: needs TLS all the way, and sip:192.0.2.9;lr is asked without";
    assert!(reason(&bench, id).ends_with(told), "{}", reason(&bench, id));
    let (mut bench, _) = through("sip:192.0.2.9;transport=tls");
    let did = bench.did();
    assert!(matches!(&did[..], [(_, Did::Opening { remote, .. })] if *remote == address("192.0.2.9:5061")), "{did:?}");
}

#[test]
fn trn_17_who_is_not_trusted_under_tls_is_not_asked_in_clear_text_instead() {
    let service = |target: &str| Answer::Srv(vec![Srv { priority: 0, weight: 0, port: 5061, target: target.into() }]);
    let refused = |conn, why: &str| Input::TlsFailed { conn, error: TlsFailure::Untrusted(why.into()) };
    let mut bench = Bench::new();
    let (id, query, _) = looking_up(&mut bench, "sip:u@example.com");
    bench.feed(Input::Resolved { query, answer: Ok(Answer::Naptr(Vec::new())) });
    let found: Vec<_> = bench.did().into_iter().filter_map(|(_, did)| did.question()).collect();
    for (query, question) in found {
        let Question::Srv { name } = question else { panic!("{question:?}") };
        let answer = if name.starts_with("_sips") { service("a.example.net") } else { service("b.example.net") };
        bench.feed(Input::Resolved { query, answer: Ok(answer) });
    }
    let found: Vec<_> = bench.did().into_iter().filter_map(|(_, did)| did.question()).collect();
    for (query, question) in found {
        let Question::Addresses { host, .. } = question else { panic!("{question:?}") };
        let answer = if host.starts_with('a') {
            addresses(&["192.0.2.1:5061", "192.0.2.2:5061"])
        } else {
            addresses(&["192.0.2.3:5061"])
        };
        bench.feed(Input::Resolved { query, answer: Ok(answer) });
    }
    let did = bench.did();
    let [(_, Did::Opening { conn, remote })] = &did[..] else { panic!("{did:?}") };
    assert_eq!(*remote, address("192.0.2.1:5061"));
    // Another server of the domain by TLS may be the right one.
    bench.feed(refused(*conn, "somebody else"));
    let did = bench.did();
    let [(_, Did::Opening { conn, remote })] = &did[..] else { panic!("{did:?}") };
    assert_eq!(*remote, address("192.0.2.2:5061"));
    bench.feed(refused(*conn, "somebody else again"));
    assert_eq!(bench.did(), []);
    assert_eq!(reason(&bench, id), "untrusted: somebody else again");
}

#[test]
fn res_03_an_explicit_port_asks_for_addresses_only() {
    let mut bench = Bench::new();
    let (_, query, question) = looking_up(&mut bench, "sip:u@h.example.com:5070");
    assert_eq!(question, Question::Addresses { host: "h.example.com".into(), port: 5070 });
    bench.feed(Input::Resolved { query, answer: Ok(addresses(&["192.0.2.30:5070", "192.0.2.31:5070"])) });
    let did = bench.did();
    let [(_, Did::Sent { remote, text, .. })] = &did[..] else { panic!("{did:?}") };
    assert_eq!(*remote, address("192.0.2.30:5070"));
    assert_eq!(first_line(text), "SUBSCRIBE sip:u@h.example.com:5070 SIP/2.0");
    assert!(header(text, "Via").unwrap().starts_with("SIP/2.0/UDP"));
}

#[test]
fn res_15_a_silent_resolver_is_a_clear_error_within_five_seconds() {
    let mut bench = Bench::new();
    let (id, query, ..) = looking_up(&mut bench, "sip:u@mute.example.com");
    bench.run_until(4999);
    assert_eq!(bench.core.state(id).unwrap().freshness.to_string(), "unknown");
    bench.run_until(5000);
    assert_eq!(reason(&bench, id), "dns: the look-up of mute.example.com took longer than 5 s");
    bench.feed(Input::Resolved { query, answer: Ok(addresses(&[ALICE])) });
    assert_eq!(bench.did(), [], "an answer after that is nobody's");
}

#[test]
fn res_15_a_failed_look_up_names_the_host_and_one_without_a_usable_address_too() {
    let mut bench = Bench::new();
    let (id, query, ..) = looking_up(&mut bench, "sip:u@no.example.com:5060");
    bench.feed(Input::Resolved { query, answer: Err("no.example.com has no address".into()) });
    assert_eq!(reason(&bench, id), "dns: no.example.com has no address");

    let (id, query, ..) = looking_up(&mut bench, "sip:u@six.example.com:5060");
    bench.feed(Input::Resolved { query, answer: Ok(addresses(&["[2001:db8::1]:5060"])) });
    assert_eq!(reason(&bench, id), "dns: six.example.com has no address that we can reach");
}

#[test]
fn res_15_nothing_else_waits_for_a_silent_resolver() {
    let mut bench = Bench::new();
    looking_up(&mut bench, "sip:u@mute.example.com");
    bench.watch("sip:alice@192.0.2.10");
    let subscribe = bench.only();
    bench.udp(ALICE, &notify_for(&subscribe, 1, "active;expires=300"));
    assert_eq!(param(&bench.only(), "To", "tag"), param(&subscribe, "From", "tag"));
}
