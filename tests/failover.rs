//! Walking the servers of a domain: when a request moves on, when it stays, which server is passed over
//! (RFC 3263 §4.3, RFC 7984; conformance 3).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use sippresence::{
    presence::{
        core::{Input, WatchId},
        policy::Action,
    },
    sip::{
        auth::{Credentials, Hash},
        locate::{Answer, Question, Srv},
    },
};
use support::{ALICE, BOB, Bench, Did, SUBSCRIBE, address, answer, config, first_line, header, notify_for, param};

const FIRST: &str = "192.0.2.31:5060";
const SECOND: &str = "192.0.2.32:5060";
const SIX: &str = "[2001:db8::31]:5060";

/// Answers look-ups until something else is done: the domain's UDP service is at these addresses, in this order.
fn resolve(bench: &mut Bench, servers: &[&str]) -> Vec<(u64, Did)> {
    let mut other = Vec::new();
    loop {
        let (asked, did): (Vec<_>, Vec<_>) =
            bench.did().into_iter().partition(|(_, did)| matches!(did, Did::Asked { .. }));
        other.extend(did);
        if asked.is_empty() {
            return other;
        }
        for (_, did) in asked {
            let Did::Asked { query, question } = did else { panic!("{did:?}") };
            let answer = Ok(match question {
                Question::Naptr { .. } => Answer::Naptr(Vec::new()),
                Question::Srv { name } => {
                    let offered = if name.starts_with("_sip._udp.") { servers.len() } else { 0 };
                    let srv = |n| Srv { priority: n, weight: 0, port: 5060, target: format!("s{n}.example.com") };
                    Answer::Srv((0..offered as u16).map(srv).collect())
                }
                Question::Addresses { host, .. } => {
                    let n: usize = host[1..host.find('.').unwrap()].parse().unwrap();
                    Answer::Addresses(vec![address(servers[n])])
                }
            });
            bench.feed(Input::Resolved { query, answer });
        }
    }
}

/// Takes the one request that left, with where it went and when.
fn request(did: &[(u64, Did)]) -> (u64, String, String) {
    let [(at, Did::Sent { remote, text, .. })] = did else { panic!("{did:#?}") };
    (*at, remote.to_string(), text.clone())
}

fn watching(bench: &mut Bench, servers: &[&str]) -> (WatchId, String, String) {
    let id = bench.watch("sip:alice@example.com");
    let (_, to, text) = request(&resolve(bench, servers));
    (id, to, text)
}

fn reason(bench: &Bench, id: WatchId) -> String {
    let state = bench.core.state(id).unwrap();
    let info = state.subscription.as_ref().unwrap();
    format!("{}: {}", info.last_code.as_ref().unwrap(), info.reason.as_deref().unwrap_or_default())
}

/// The same request by another way: only the branch differs.
fn assert_moved(first: &str, second: &str) {
    let (a, b) = (param(first, "Via", "branch").unwrap(), param(second, "Via", "branch").unwrap());
    assert_ne!(a, b, "it is a new transaction");
    assert_eq!(first.replace(a, ""), second.replace(b, ""), "everything else is the same");
}

#[test]
fn res_09_a_503_moves_the_request_on_as_a_new_transaction() {
    let mut bench = Bench::new();
    let (_, to, first) = watching(&mut bench, &[FIRST, SECOND]);
    assert_eq!(to, FIRST);
    bench.udp(FIRST, &answer(&first, "503 Service Unavailable", "Retry-After: 10\r\n"));
    let (at, to, second) = request(&bench.did());
    assert_eq!((at, to.as_str()), (0, SECOND));
    assert_moved(&first, &second);
    // The first transaction is over: its answer is not heard twice, and nothing is resent to that server.
    bench.udp(FIRST, &answer(&first, "503 Service Unavailable", ""));
    bench.udp(SECOND, &answer(&second, "200 OK", "Contact: <sip:alice@192.0.2.32:5060>\r\nExpires: 300\r\n"));
    bench.udp(SECOND, &notify_for(&second, 1, "active;expires=300"));
    bench.run_until(30_000);
    assert!(bench.texts().iter().all(|text| !text.starts_with("SUBSCRIBE")));
}

#[test]
fn res_09_a_server_that_is_not_there_costs_no_time() {
    let mut bench = Bench::new();
    let (_, _, first) = watching(&mut bench, &[FIRST, SECOND]);
    bench.feed(Input::SendFailed(address(FIRST)));
    let (at, to, second) = request(&bench.did());
    assert_eq!((at, to.as_str()), (0, SECOND));
    assert_moved(&first, &second);
    bench.run_until(31_999);
    let resent = bench.did();
    assert!(resent.iter().all(|(_, did)| matches!(did, Did::Sent { remote, .. } if *remote == address(SECOND))));
}

#[test]
fn res_09_silence_moves_on_after_four_sends() {
    let mut bench = Bench::new();
    let (_, _, first) = watching(&mut bench, &[FIRST, SECOND]);
    bench.run_until(3999);
    let sends = bench.did();
    assert_eq!(sends.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [500, 1500, 3500]);
    bench.run_until(4000);
    let (_, to, second) = request(&bench.did());
    assert_eq!(to, SECOND);
    assert_moved(&first, &second);
    bench.udp(SECOND, &answer(&second, "200 OK", "Contact: <sip:alice@192.0.2.32:5060>\r\nExpires: 300\r\n"));
    bench.run_until(20_000);
    assert_eq!(bench.did(), [], "each server got it for its own");
}

#[test]
fn res_09_a_server_that_has_shown_life_is_given_its_time() {
    let mut bench = Bench::new();
    let (_, _, first) = watching(&mut bench, &[FIRST, SECOND]);
    bench.udp(FIRST, &answer(&first, "100 Trying", ""));
    bench.run_until(31_000);
    let sends = bench.did();
    assert!(sends.iter().all(|(_, did)| matches!(did, Did::Sent { remote, .. } if *remote == address(FIRST))));
}

#[test]
fn res_09_a_connection_that_cannot_be_made_moves_on() {
    let mut bench = Bench::new();
    bench.watch("sip:alice@example.com:5060;transport=tcp");
    let did = bench.did();
    let [(_, Did::Asked { query, .. })] = did[..] else { panic!("{did:?}") };
    let both = Answer::Addresses(vec![address(FIRST), address(SECOND)]);
    bench.feed(Input::Resolved { query, answer: Ok(both) });
    let did = bench.did();
    let [(_, Did::Opening { conn, remote })] = did[..] else { panic!("{did:?}") };
    assert_eq!(remote, address(FIRST));
    bench.feed(Input::Closed(conn));
    let did = bench.did();
    let [(_, Did::Opening { conn, remote })] = did[..] else { panic!("{did:?}") };
    assert_eq!(remote, address(SECOND));
    bench.connected(conn, SECOND);
    let did = bench.did();
    let [(_, Did::Wrote { text, .. })] = &did[..] else { panic!("{did:?}") };
    assert!(header(text, "Via").unwrap().starts_with("SIP/2.0/TCP"));
}

#[test]
fn res_09_the_last_failure_is_the_one_that_is_told() {
    let mut bench = Bench::new();
    let (id, ..) = watching(&mut bench, &[FIRST, SECOND]);
    bench.feed(Input::SendFailed(address(FIRST)));
    bench.feed(Input::SendFailed(address(SECOND)));
    assert_eq!(reason(&bench, id), "connect: nobody listens there");
    assert_eq!(bench.core.sizes().0, 0);
}

#[test]
fn res_10_any_other_final_response_ends_the_hunt() {
    for (status, code) in [("404 Not Found", "404"), ("500 Server Internal Error", "500"), ("603 Decline", "603")] {
        let mut bench = Bench::new();
        let (id, _, first) = watching(&mut bench, &[FIRST, SECOND]);
        bench.did();
        bench.udp(FIRST, &answer(&first, status, ""));
        assert!(reason(&bench, id).starts_with(code));
        bench.run_until(800);
        assert_eq!(bench.did(), [], "the second is never contacted");
    }
}

#[test]
fn res_09_a_503_of_the_last_server_is_the_answer() {
    let mut bench = Bench::new();
    let (id, _, first) = watching(&mut bench, &[FIRST]);
    bench.udp(FIRST, &answer(&first, "503 Service Unavailable", ""));
    assert!(reason(&bench, id).starts_with("503"), "{}", reason(&bench, id));
}

#[test]
fn res_12_a_family_that_leads_nowhere_costs_four_seconds() {
    let mut config = config(BOB);
    config.locals.push(address("[2001:db8::20]:5060"));
    let mut bench = Bench::with(config);
    bench.watch("sip:alice@example.com:5060");
    let did = bench.did();
    let [(_, Did::Asked { query, .. })] = did[..] else { panic!("{did:?}") };
    bench.feed(Input::Resolved { query, answer: Ok(Answer::Addresses(vec![address(SIX), address(FIRST)])) });
    let (_, to, _) = request(&bench.did());
    assert_eq!(to, SIX);
    bench.run_until(3999);
    bench.did();
    bench.run_until(4000);
    let (_, to, text) = request(&bench.did());
    assert_eq!(to, FIRST);
    assert!(header(&text, "Via").unwrap().starts_with("SIP/2.0/UDP 192.0.2.20:5060"));
    assert!(header(&text, "Contact").unwrap().contains("192.0.2.20"));
}

#[test]
fn res_16_the_second_request_passes_over_the_dead_server() {
    let mut bench = Bench::new();
    watching(&mut bench, &[FIRST, SECOND]);
    bench.feed(Input::SendFailed(address(FIRST)));
    let (_, _, second) = request(&bench.did());
    bench.udp(SECOND, &answer(&second, "404 Not Found", ""));
    let other = |bench: &mut Bench, who: &str| {
        bench.did();
        bench.watch(who);
        let did = resolve(bench, &[FIRST, SECOND]);
        let last =
            did.into_iter().filter(|(_, did)| did.text().is_some_and(|text| text.contains(who))).collect::<Vec<_>>();
        let (_, to, text) = request(&last);
        bench.udp(&to, &answer(&text, "404 Not Found", ""));
        to
    };
    assert_eq!(other(&mut bench, "sip:carol@example.com"), SECOND);
    bench.ms = 59_000;
    assert_eq!(other(&mut bench, "sip:dave@example.com"), SECOND);
    bench.ms = 60_001;
    assert_eq!(other(&mut bench, "sip:erin@example.com"), FIRST);
}

#[test]
fn res_16_a_retry_after_says_for_how_long_and_if_all_are_dead_all_are_tried() {
    let mut bench = Bench::new();
    let (_, _, first) = watching(&mut bench, &[FIRST, SECOND]);
    bench.udp(FIRST, &answer(&first, "503 Service Unavailable", "Retry-After: 120\r\n"));
    bench.feed(Input::SendFailed(address(SECOND)));
    bench.did();
    bench.watch("sip:carol@example.com");
    let (_, to, text) = request(&resolve(&mut bench, &[FIRST, SECOND]));
    assert_eq!(to, SECOND, "its time ends first");
    bench.feed(Input::SendFailed(address(SECOND)));
    let (_, to, again) = request(&bench.did());
    assert_eq!(to, FIRST);
    assert_moved(&text, &again);
}

#[test]
fn res_09_a_challenge_on_the_way_is_answered_at_each_server() {
    const CHALLENGE: &str =
        "WWW-Authenticate: Digest realm=\"example.com\", nonce=\"n1\", algorithm=SHA-256, qop=\"auth\"\r\n";
    let mut config = config(BOB);
    config.credentials =
        Some(Credentials { user: "bob".into(), realm: None, servers: vec!["example.com".into()], min: Hash::Sha256 });
    let mut bench = Bench::with(config);
    bench.password = Some("battery-staple-7");
    let (_, _, first) = watching(&mut bench, &[FIRST, SECOND]);
    bench.udp(FIRST, &answer(&first, "401 Unauthorized", CHALLENGE));
    let (_, to, second) = request(&bench.did());
    assert_eq!(to, FIRST);
    assert_eq!(header(&second, "CSeq"), Some("2 SUBSCRIBE"));
    assert!(header(&second, "Authorization").unwrap().contains("nonce=\"n1\""));
    bench.udp(FIRST, &answer(&second, "503 Service Unavailable", ""));
    let (_, to, third) = request(&bench.did());
    assert_eq!(to, SECOND);
    // What the first server was shown is not for the second one, which has asked nothing yet.
    assert_eq!((header(&third, "CSeq"), header(&third, "Authorization")), (Some("2 SUBSCRIBE"), None));
    assert_eq!(header(&third, "Call-ID"), header(&first, "Call-ID"));
    bench.udp(SECOND, &answer(&third, "401 Unauthorized", &CHALLENGE.replace("n1", "n2")));
    let (_, to, fourth) = request(&bench.did());
    assert_eq!(to, SECOND);
    assert_eq!(header(&fourth, "CSeq"), Some("3 SUBSCRIBE"));
    assert!(header(&fourth, "Authorization").unwrap().contains("nonce=\"n2\""));
    bench.udp(SECOND, &answer(&fourth, "503 Service Unavailable", ""));
    assert_eq!(bench.did(), [], "there is no third");
}

#[test]
fn res_13_a_pres_uri_goes_to_its_server_as_a_sip_one() {
    let mut bench = Bench::new();
    bench.watch("pres:alice@example.com");
    let did = bench.did();
    let [(_, Did::Asked { query, question })] = &did[..] else { panic!("{did:?}") };
    assert_eq!(*question, Question::Srv { name: "_pres._sip.example.com".into() });
    let srv = Srv { priority: 0, weight: 0, port: 5070, target: "p.example.com".into() };
    bench.feed(Input::Resolved { query: *query, answer: Ok(Answer::Srv(vec![srv])) });
    let did = bench.did();
    let [(_, Did::Asked { query, .. })] = did[..] else { panic!("{did:?}") };
    bench.feed(Input::Resolved { query, answer: Ok(Answer::Addresses(vec![address("192.0.2.31:5070")])) });
    let (_, to, text) = request(&bench.did());
    assert_eq!((to.as_str(), first_line(&text)), ("192.0.2.31:5070", "SUBSCRIBE sip:alice@example.com SIP/2.0"));
    assert_eq!(header(&text, "To"), Some("<sip:alice@example.com>"));
}

#[test]
fn res_09_a_request_to_an_address_has_nowhere_else_to_go() {
    let mut bench = Bench::new();
    bench.core.set_policy(sippresence::presence::policy::Policy::new(Action::Allow), bench.now(), &mut bench.out);
    bench.udp(ALICE, SUBSCRIBE);
    let notify = bench.texts().remove(1);
    bench.udp(ALICE, &answer(&notify, "503 Service Unavailable", ""));
    assert!(bench.texts().iter().all(|text| param(text, "Via", "branch") != param(&notify, "Via", "branch")));
}
