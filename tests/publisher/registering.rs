//! Our own binding at a registrar: PUB-19.

use sippresence::sip::{endpoint::Failure, events::Cause, registration::Update};

use crate::{
    OPEN,
    scripted::{CHALLENGE, LOCAL, Scripted, clock},
    world::{Msg, secs},
};

const OURS: &str = "<sip:bob@192.0.2.21:5060>";

fn register(server: &mut Scripted) -> Msg {
    server.act(|_, registration, step| registration.register(step));
    server.expect("REGISTER")
}

fn registered() -> Scripted {
    let mut server = Scripted::new();
    let request = register(&mut server);
    server.answer(&request, "200 OK", &format!("Contact: {OURS};expires=600\n"));
    assert_eq!(server.turns, [Update::Registered { expires_at: clock(secs(600)) }]);
    server.turns.clear();
    server
}

fn refused(code: u16) -> Cause {
    Cause::Refused { code, offers: None }
}

#[test]
fn pub_19_a_register_names_the_domain_the_address_and_where_it_is_sent_from() {
    let mut server = Scripted::new();
    let request = register(&mut server);
    let branch = request.header("Via").split("branch=").nth(1).unwrap().split(';').next().unwrap();
    let expected = format!(
        "REGISTER sip:example.com SIP/2.0\r\nVia: SIP/2.0/UDP {LOCAL};branch={branch};rport\r\nMax-Forwards: 70\r\n\
         From: <sip:bob@example.com>;tag={}\r\nTo: <sip:bob@example.com>\r\nCall-ID: {}\r\nCSeq: 1 REGISTER\r\n\
         Contact: {OURS}\r\nExpires: 600\r\nAllow: NOTIFY, OPTIONS, SUBSCRIBE\r\nUser-Agent: sippresence/0.1\r\n\
         Content-Length: 0\r\n\r\n",
        request.tag("From"),
        request.header("Call-ID"),
    );
    assert_eq!(request.text, expected);
}

#[test]
fn pub_19_a_binding_is_refreshed_early_with_the_same_call_id_and_rising_numbers() {
    let mut server = registered();
    let refresh = server.wait(secs(600));
    assert!(refresh.at >= secs(510) && refresh.at <= secs(540), "{:?}", refresh.at);
    assert_eq!((refresh.cseq(), refresh.header("Contact"), refresh.header("Expires")), (2, OURS, "600"));
    server.answer(&refresh, "200 OK", &format!("Contact: {OURS};expires=60\nExpires: 3000\n"));
    let again = server.wait(secs(600));
    assert_eq!(
        (again.cseq(), again.at, again.header("Call-ID")),
        (3, refresh.at + secs(30), refresh.header("Call-ID"))
    );
}

#[test]
fn pub_19_the_time_of_our_own_contact_counts_among_others() {
    for (lines, granted) in [
        (
            format!(
                "Contact: <sip:bob@192.0.2.99>;expires=30, {OURS};q=0.5;expires=\"300\"\nContact: <sip:x>;expires=9\n"
            ),
            300,
        ),
        (format!("Contact: <sip:BOB@192.0.2.21:5060>;expires=30\nContact: {OURS};expires=301\nExpires: 7\n"), 301),
        ("Contact: <sip:bob@192.0.2.21:5060;transport=udp>;expires=302\n".into(), 302),
        ("Contact: \"B\" <sip:bob@192.0.2.21:5060;ob>;expires=303\n".into(), 303),
        ("Contact: <sip:bob@198.51.100.7:1024>;expires=20\nExpires: 304\n".into(), 304),
        (format!("Contact: {OURS}\nExpires: 305\nService-Route: <sip:192.0.2.100;lr>\n"), 305),
        (String::new(), 600),
        (format!("Contact: {OURS};expires=4294967296\n"), 600),
        (format!("Contact: {OURS};expires=soon\n"), 600),
        ("Contact: <<>>, ;;\nExpires: 306\n".into(), 306),
    ] {
        let mut server = Scripted::new();
        let request = register(&mut server);
        server.answer(&request, "200 OK", &lines);
        let expires_at = clock(secs(granted));
        assert_eq!(server.turns, [Update::Registered { expires_at }], "{lines}");
        let refresh = server.wait(secs(600));
        assert_eq!(refresh.get("Route"), None);
    }
}

#[test]
fn pub_19_423_is_answered_once_with_what_it_demands() {
    let mut server = Scripted::new();
    let brief = register(&mut server);
    server.answer(&brief, "423 Interval Too Brief", "Min-Expires: 1800\n");
    let longer = server.expect("REGISTER");
    assert_eq!((longer.header("Expires"), longer.cseq()), ("1800", 2));
    server.answer(&longer, "423 Interval Too Brief", "Min-Expires: 3600\n");
    server.nothing();
    assert_eq!(server.turns, [Update::Failed { cause: refused(423), retry_at: None }]);
    for silly in ["", "Min-Expires: 600\n", "Min-Expires: 604801\n"] {
        let mut server = Scripted::new();
        let brief = register(&mut server);
        server.answer(&brief, "423 Interval Too Brief", silly);
        server.advance(secs(10_000));
        server.nothing();
    }
}

#[test]
fn pub_19_our_own_binding_alone_is_taken_back() {
    let mut server = registered();
    server.advance(secs(10));
    server.act(|_, registration, step| registration.unregister(step));
    let end = server.expect("REGISTER");
    assert_eq!((end.header("Contact"), end.header("Expires"), end.cseq()), (OURS, "0", 2));
    server.answer(&end, "200 OK", "Contact: <sip:bob@192.0.2.99>;expires=300\n");
    assert_eq!(server.turns, [Update::Unregistered]);
    server.advance(secs(10_000));
    server.nothing();
    // Where nothing stands nobody is asked.
    let mut server = Scripted::new();
    server.act(|_, registration, step| registration.unregister(step));
    server.nothing();
    assert_eq!(server.turns, [Update::Unregistered]);
}

#[test]
fn pub_19_a_binding_that_is_taken_back_while_it_is_made_is_removed_afterwards() {
    let mut server = Scripted::new();
    let request = register(&mut server);
    server.act(|_, registration, step| registration.unregister(step));
    server.nothing();
    server.answer(&request, "200 OK", "Expires: 600\n");
    let end = server.expect("REGISTER");
    assert_eq!(end.header("Expires"), "0");
    server.answer(&end, "403 Forbidden", "");
    assert_eq!(server.turns, [Update::Failed { cause: refused(403), retry_at: None }, Update::Unregistered]);
}

#[test]
fn pub_19_a_challenge_is_answered_with_the_next_number() {
    let mut server = Scripted::new();
    let first = register(&mut server);
    server.answer(&first, "401 Unauthorized", CHALLENGE);
    let second = server.expect("REGISTER");
    assert_eq!((second.cseq(), second.header("Contact")), (2, OURS));
    assert!(second.header("Authorization").contains("uri=\"sip:example.com\""));
    server.answer(&second, "200 OK", "Expires: 600\n");
    assert!(server.registration.is_registered());
    let refresh = server.wait(secs(600));
    assert_eq!(refresh.cseq(), 3);
    assert!(refresh.header("Authorization").contains("nc=00000002"));
}

#[test]
fn pub_19_refusals_are_final_or_waited_out() {
    for (status, code) in [("403 Forbidden", 403), ("404 Not Found", 404), ("401 Unauthorized", 401)] {
        let mut server = Scripted::with(|_, binding| binding.account = None);
        let request = register(&mut server);
        server.answer(&request, status, "Retry-After: 5\n");
        assert_eq!(server.turns, [Update::Failed { cause: refused(code), retry_at: None }]);
        server.act(|_, registration, step| registration.register(step));
        server.advance(secs(10_000));
        server.nothing();
    }
    let mut server = registered();
    let refresh = server.wait(secs(600));
    server.answer(&refresh, "503 Service Unavailable", "Retry-After: 25\n");
    let retry_at = Some(clock(refresh.at + secs(25)));
    assert_eq!(server.turns, [Update::Failed { cause: refused(503), retry_at }]);
    assert_eq!(server.wait(secs(60)).at, refresh.at + secs(25));
}

#[test]
fn pub_19_silence_is_backed_off_from_and_a_lapsed_binding_made_afresh() {
    let mut server = registered();
    server.unplugged = true;
    server.advance(secs(600));
    assert_eq!(server.turns.iter().filter(|turn| **turn == Update::Lapsed).count(), 1);
    let failed = |turn: &&Update| matches!(turn, Update::Failed { cause: Cause::NoAnswer(Failure::Unreachable), .. });
    let failures = server.turns.iter().filter(failed).count();
    assert!((3..=5).contains(&failures), "{failures}");
    server.unplugged = false;
    let again = server.wait(secs(1800));
    assert_eq!(again.header("Expires"), "600");
    server.answer(&again, "200 OK", "Expires: 600\n");
    assert!(server.registration.is_registered());
}

#[test]
fn pub_19_after_a_sleep_the_registrar_is_asked_within_seconds() {
    for (asleep, turn) in [(300, Update::Unconfirmed), (3000, Update::Lapsed)] {
        let mut server = registered();
        server.sleep(secs(asleep));
        server.act(|_, registration, step| registration.resumed(step));
        assert_eq!(server.turns, [turn]);
        server.wait(secs(3));
    }
}

#[test]
fn pub_19_a_grant_of_no_time_is_not_asked_for_again_and_again() {
    let mut server = Scripted::new();
    let request = register(&mut server);
    server.answer(&request, "200 OK", &format!("Contact: {OURS};expires=0\n"));
    assert_eq!(server.turns, [Update::Lapsed]);
    let mut requests = 0;
    for _ in 0..300 {
        server.advance(secs(1));
        for request in server.take() {
            requests += 1;
            server.answer(&request, "200 OK", &format!("Contact: {OURS};expires=0\n"));
        }
    }
    assert!((3..8).contains(&requests), "{requests}");
}

#[test]
fn pub_19_a_duplicate_or_late_answer_changes_nothing() {
    let mut server = registered();
    let refresh = server.wait(secs(600));
    server.answer(&refresh, "200 OK", "Expires: 600\n");
    server.answer(&refresh, "403 Forbidden", "");
    assert_eq!(server.turns.len(), 1);
    assert!(server.registration.is_registered());
}

#[test]
fn pub_19_both_go_to_one_server_without_touching_each_other() {
    let mut server = Scripted::with(|_, binding| binding.route = Some("sip:proxy.example.com;lr".parse().unwrap()));
    let request = register(&mut server);
    assert_eq!(request.header("Route"), "<sip:proxy.example.com;lr>");
    server.publish(OPEN);
    let publish = server.expect("PUBLISH");
    assert_ne!(publish.header("Call-ID"), request.header("Call-ID"));
    server.accept(&publish, "e1");
    assert!(server.publisher.is_current() && !server.registration.is_registered());
    server.answer(&request, "200 OK", "Expires: 600\n");
    assert!(server.registration.is_registered());
}
