//! Non-INVITE transactions in virtual time (RFC 3261 §17; conformance 1.1).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::collections::HashSet;

use sippresence::presence::core::Input;
use support::{ALICE, Bench, Did, OPTIONS, SUBSCRIBE, address, answer, first_line, header, notify_for, param};

const TARGET: &str = "sip:alice@192.0.2.10";

/// When the SUBSCRIBEs left, in milliseconds.
fn times(sent: &[(u64, String)]) -> Vec<u64> {
    sent.iter().map(|(at, _)| *at).collect()
}

#[test]
fn txn_01_a_mute_peer_gets_eleven_equal_requests() {
    let mut bench = Bench::new();
    bench.watch(TARGET);
    bench.run_until(31_999);
    let sent = bench.sent();
    assert_eq!(times(&sent), [0, 500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500]);
    assert!(sent.iter().all(|(_, text)| *text == sent[0].1));
}

#[test]
fn txn_02_after_a_provisional_response_resends_are_four_seconds_apart() {
    let mut bench = Bench::new();
    bench.watch(TARGET);
    bench.run_until(1000);
    let subscribe = bench.texts().remove(0);
    bench.udp(ALICE, &answer(&subscribe, "100 Trying", ""));
    bench.run_until(20_000);
    assert_eq!(times(&bench.sent()), [1500, 5500, 9500, 13_500, 17_500]);
}

#[test]
fn txn_03_a_mute_peer_is_a_timeout_after_32_seconds_and_nothing_is_resent() {
    let mut bench = Bench::new();
    let id = bench.watch(TARGET);
    bench.run_until(31_999);
    assert_eq!(bench.core.state(id).unwrap().freshness.to_string(), "unknown");
    bench.did();
    bench.run_until(32_000);
    let state = bench.core.state(id).unwrap();
    let info = state.subscription.as_ref().unwrap();
    assert_eq!(info.last_code.as_ref().unwrap().to_string(), "timeout");
    assert_eq!(info.state, "waiting");
    bench.run_until(35_000);
    assert_eq!(bench.did(), []);
}

#[test]
fn txn_04_nothing_is_resent_on_a_connection_but_it_times_out_all_the_same() {
    let mut bench = Bench::new();
    let id = bench.watch("sip:alice@192.0.2.10;transport=tcp");
    let [(0, Did::Opening { conn, .. })] = bench.did()[..] else { panic!("no connection was asked for") };
    bench.connected(conn, ALICE);
    bench.run_until(31_999);
    let sent = bench.sent();
    assert_eq!(times(&sent), [0]);
    assert!(sent[0].1.contains("Via: SIP/2.0/TCP 192.0.2.20:5060;branch="));
    bench.run_until(32_000);
    assert_eq!(bench.core.state(id).unwrap().subscription.as_ref().unwrap().state, "waiting");
    assert_eq!(bench.sent(), []);
}

#[test]
fn txn_05_repeated_final_responses_are_swallowed_for_t4() {
    let mut bench = Bench::new();
    bench.watch(TARGET);
    let ok = answer(&bench.only(), "200 OK", "Expires: 300\n");
    for at in [0, 1000, 4999] {
        bench.run_until(at);
        bench.udp(ALICE, &ok);
    }
    assert_eq!(bench.core.counters().stray_responses, 0, "the transaction knows them");
    bench.run_until(5000);
    bench.udp(ALICE, &ok);
    assert_eq!(bench.core.counters().stray_responses, 1, "after timer K it is forgotten");
    assert_eq!(bench.did(), []);
}

#[test]
fn txn_05_a_refusal_is_acted_upon_once() {
    let mut bench = Bench::new();
    bench.watch(TARGET);
    let longer = answer(&bench.only(), "423 Interval Too Brief", "Min-Expires: 600\n");
    for _ in 0..3 {
        bench.udp(ALICE, &longer);
    }
    assert_eq!(header(&bench.only(), "CSeq"), Some("2 SUBSCRIBE"));
}

#[test]
fn txn_06_a_response_needs_our_branch_and_our_method() {
    let mut bench = Bench::new();
    bench.watch(TARGET);
    let ok = answer(&bench.only(), "404 Not Found", "");
    bench.udp(ALICE, &ok.replace("1 SUBSCRIBE", "1 NOTIFY"));
    bench.udp(ALICE, &ok.replace("branch=z9hG4bK", "branch=z9hG4bKx"));
    bench.udp(ALICE, "SIP/2.0 200 OK\nVia: SIP/2.0/UDP h;branch=z9hG4bK\u{fc}\n\n");
    assert_eq!(bench.core.counters().stray_responses, 3);
    bench.run_until(500);
    assert_eq!(bench.sent().len(), 1, "the request is still open");
}

#[test]
fn txn_07_a_response_with_several_via_values_is_dropped() {
    for more in ["Via: SIP/2.0/UDP 192.0.2.9\r\nFrom", "From"] {
        let mut bench = Bench::new();
        bench.watch(TARGET);
        let mut refusal = answer(&bench.only(), "404 Not Found", "").replacen("From", more, 1);
        if more == "From" {
            refusal = refusal.replacen(";rport", ";rport, SIP/2.0/UDP 192.0.2.9", 1);
        }
        bench.udp(ALICE, &refusal);
        assert_eq!(bench.core.counters().stray_responses, 1);
        bench.run_until(500);
        assert_eq!(bench.sent().len(), 1, "the request is still open");
    }
}

#[test]
fn txn_08_a_closed_port_ends_what_went_there_and_nothing_else() {
    let mut bench = Bench::new();
    let there = bench.watch(TARGET);
    let elsewhere = bench.watch("sip:carol@192.0.2.10:5070");
    bench.did();
    bench.run_until(20);
    bench.feed(Input::SendFailed(address(ALICE)));
    let code = |bench: &Bench, id| {
        let state = bench.core.state(id).unwrap();
        state.subscription.as_ref().and_then(|info| info.last_code.as_ref().map(ToString::to_string))
    };
    assert_eq!(code(&bench, there).as_deref(), Some("connect"));
    assert_eq!(code(&bench, elsewhere), None);
    bench.run_until(500);
    let sent = bench.texts();
    assert_eq!(sent.len(), 1);
    assert!(sent[0].starts_with("SUBSCRIBE sip:carol@192.0.2.10:5070 SIP/2.0"));
}

#[test]
fn txn_10_and_13_a_resend_gets_the_same_bytes_until_timer_j_and_has_no_other_effect() {
    let mut bench = Bench::new();
    let (ok, _) = bench.subscribed();
    for at in [1000, 31_000, 31_999] {
        bench.run_until(at);
        bench.udp(ALICE, SUBSCRIBE);
        assert_eq!(bench.only(), ok);
    }
    assert_eq!(bench.core.watchers().len(), 1);
    bench.run_until(33_000);
    bench.udp(ALICE, SUBSCRIBE);
    let texts = bench.texts();
    assert!(texts[0].starts_with("SIP/2.0 200 OK"));
    assert_ne!(texts[0], ok, "it counts as new");
}

#[test]
fn txn_10_on_a_connection_nothing_is_kept() {
    let mut bench = Bench::new();
    let conn = bench.accept(1, "192.0.2.10:40001");
    let options = OPTIONS.replace("UDP", "TCP");
    bench.tcp(conn, &options);
    bench.tcp(conn, &options);
    let texts = bench.texts();
    assert_eq!(texts.len(), 2);
    assert_ne!(param(&texts[0], "To", "tag"), param(&texts[1], "To", "tag"));
}

#[test]
fn txn_11_branch_sent_by_and_method_tell_transactions_apart() {
    let mut bench = Bench::new();
    let tags: HashSet<String> = [
        OPTIONS.to_owned(),
        OPTIONS.replace("192.0.2.10:5060;branch", "192.0.2.10:5070;branch").replace("op-1", "op-2"),
        OPTIONS.replace("192.0.2.10:5060;branch", "192.0.2.11:5060;branch").replace("op-1", "op-3"),
        OPTIONS.replace("OPTIONS", "MESSAGE").replace("op-1", "op-4"),
        OPTIONS.replace("branch=z9hG4bKo1", "branch=z9hG4bKO1").replace("op-1", "op-5"),
    ]
    .iter()
    .map(|request| {
        bench.udp(ALICE, request);
        param(&bench.only(), "To", "tag").unwrap().to_owned()
    })
    .collect();
    assert_eq!(tags.len(), 5);
}

#[test]
fn txn_11_requests_without_the_cookie_are_not_taken_for_one_another() {
    let mut bench = Bench::new();
    let old = OPTIONS.replace(";branch=z9hG4bKo1", "");
    bench.udp(ALICE, &old);
    let first = bench.only();
    bench.udp(ALICE, &old);
    assert_eq!(bench.only(), first);
    bench.udp(ALICE, &old.replace("1 OPTIONS", "2 OPTIONS"));
    assert_ne!(bench.only(), first);
}

#[test]
fn txn_17_a_merged_request_is_refused_and_makes_no_second_subscription() {
    let mut bench = Bench::new();
    bench.subscribed();
    bench.udp(ALICE, &SUBSCRIBE.replace("branch=z9hG4bKa1", "branch=z9hG4bKa2"));
    let refusal = bench.only();
    assert_eq!(first_line(&refusal), "SIP/2.0 482 Loop Detected");
    bench.udp(ALICE, &SUBSCRIBE.replace("branch=z9hG4bKa1", "branch=z9hG4bKa2"));
    assert_eq!(bench.only(), refusal, "a resend gets the same tag, although nothing is kept");
    assert_eq!(bench.core.watchers().len(), 1);
    let other_method = OPTIONS.replace("op-1", "3f2b9c0e-6a41").replace("tag=a7", "tag=a7f3c9d1");
    assert_eq!(bench.status_of(&other_method), "SIP/2.0 200 OK", "CSeq has another method");
}

const CANCEL: &str = "CANCEL sip:bob@192.0.2.20 SIP/2.0
Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKa1;rport
Max-Forwards: 70
From: \"Alice\" <sip:alice@192.0.2.10>;tag=a7f3c9d1
To: <sip:bob@192.0.2.20>
Call-ID: 3f2b9c0e-6a41
CSeq: 1 CANCEL
Content-Length: 0

";

#[test]
fn txn_18_a_cancel_is_answered_and_changes_nothing() {
    let mut bench = Bench::new();
    assert_eq!(bench.status_of(CANCEL), "SIP/2.0 481 Subscription Does Not Exist");
    bench.udp(ALICE, SUBSCRIBE);
    let notify = bench.texts().remove(1);
    assert_eq!(bench.status_of(CANCEL), "SIP/2.0 200 OK");
    bench.udp(ALICE, &answer(&notify, "200 OK", ""));
    assert_eq!(bench.core.watchers()[0].state, "active");
    bench.run_until(40_000);
    assert_eq!(bench.did(), []);
}

#[test]
fn txn_19_and_20_what_is_not_answered_here_gets_405_with_allow_and_an_ack_gets_nothing() {
    let mut bench = Bench::new();
    for method in ["MESSAGE", "REFER", "PUBLISH", "REGISTER", "INVITE", "BYE", "INFO", "FOO", "subscribe"] {
        let request = SUBSCRIBE.replace("SUBSCRIBE", method).replace("a1;", &format!("{method};"));
        bench.udp(ALICE, &request);
        let refusal = bench.only();
        assert_eq!(first_line(&refusal), "SIP/2.0 405 Method Not Allowed", "{method}");
        assert_eq!(header(&refusal, "Allow"), Some("NOTIFY, OPTIONS, SUBSCRIBE"));
    }
    assert_eq!(bench.core.watchers(), []);
    bench.udp(ALICE, &SUBSCRIBE.replace("SUBSCRIBE", "ACK").replace("a1;", "INVITE;"));
    bench.run_until(40_000);
    assert_eq!(bench.did(), []);
}

#[test]
fn txn_22_an_unknown_extension_is_refused_by_its_name() {
    let mut bench = Bench::new();
    let requiring = |what: &str, n: u32| {
        SUBSCRIBE
            .replace("Event:", &format!("{what}\nEvent:"))
            .replace("a1;", &format!("r{n};"))
            .replace("6a41", &format!("6a4{n}"))
    };
    bench.udp(ALICE, &requiring("Require: eventlist,\n foo\nRequire: bar", 1));
    let refusal = bench.only();
    assert_eq!(first_line(&refusal), "SIP/2.0 420 Bad Extension");
    assert_eq!(header(&refusal, "Unsupported"), Some("eventlist, foo, bar"));
    assert_eq!(bench.core.watchers(), []);
    assert_eq!(bench.status_of(&requiring("Require: a b", 2)), "SIP/2.0 400 Bad Request", "no option tag");
    assert_eq!(bench.status_of(&requiring("Require:", 3)), "SIP/2.0 200 OK", "nothing is required");
    assert_eq!(bench.status_of(&requiring("Proxy-Require: foo", 4)), "SIP/2.0 200 OK", "that is for proxies");
}

#[test]
fn txn_23_the_cseq_is_checked() {
    for bad in ["1 NOTIFY", "2147483648 SUBSCRIBE", "-1 SUBSCRIBE", "SUBSCRIBE", "1"] {
        let mut bench = Bench::new();
        let status = bench.status_of(&SUBSCRIBE.replace("CSeq: 1 SUBSCRIBE", &format!("CSeq: {bad}")));
        assert_eq!(status, "SIP/2.0 400 Malformed CSeq", "{bad}");
    }
    let most = SUBSCRIBE.replace("CSeq: 1 SUBSCRIBE", "CSeq: 2147483647 SUBSCRIBE");
    assert_eq!(Bench::new().status_of(&most), "SIP/2.0 200 OK");
}

#[test]
fn txn_24_and_25_every_request_has_a_branch_of_its_own_and_every_attempt_a_call_id_and_tag() {
    let mut bench = Bench::new();
    for n in 0..10_000 {
        bench.watch(&format!("sip:u{n}@192.0.2.10"));
    }
    let sent = bench.texts();
    assert_eq!(sent.len(), 10_000);
    let distinct = |of: fn(&str) -> &str| sent.iter().map(|text| of(text)).collect::<HashSet<_>>().len();
    assert_eq!(distinct(|text| param(text, "Via", "branch").unwrap()), 10_000);
    assert_eq!(distinct(|text| param(text, "From", "tag").unwrap()), 10_000);
    assert_eq!(distinct(|text| header(text, "Call-ID").unwrap()), 10_000);
    assert!(sent.iter().all(|text| param(text, "Via", "branch").unwrap().starts_with("z9hG4bK")));
    assert!(sent.iter().all(|text| param(text, "From", "tag").unwrap().len() >= 13), "64 bits and more");
}

#[test]
fn txn_24_a_request_that_is_repeated_after_a_refusal_has_a_new_branch() {
    let mut bench = Bench::new();
    bench.watch(TARGET);
    let first = bench.only();
    bench.udp(ALICE, &answer(&first, "423 Interval Too Brief", "Min-Expires: 600\n"));
    let second = bench.only();
    assert_ne!(param(&first, "Via", "branch"), param(&second, "Via", "branch"));
    assert_eq!(header(&first, "Call-ID"), header(&second, "Call-ID"));
}

/// How the watch stands after a response, and when the next attempt is planned.
fn after(status: &str, extra: &str) -> (String, Option<u64>) {
    let mut bench = Bench::new();
    let id = bench.watch(TARGET);
    let subscribe = bench.only();
    bench.udp(ALICE, &answer(&subscribe, status, extra));
    let freshness = bench.core.state(id).unwrap().freshness.to_string();
    bench.run_until(500_000);
    let next = bench.sent().into_iter().find(|(_, text)| header(text, "Call-ID") != header(&subscribe, "Call-ID"));
    (freshness, next.map(|(at, _)| at))
}

#[test]
fn txn_26_an_unknown_code_counts_as_the_first_of_its_class() {
    for (unknown, class) in [("499 Odd", "400 Bad Request"), ("599 Odd", "500 Error"), ("699 Odd", "600 Busy")] {
        assert_eq!(after(unknown, "").1, after(class, "").1, "{unknown}");
    }
    let mut bench = Bench::new();
    let id = bench.watch(TARGET);
    let subscribe = bench.only();
    bench.udp(ALICE, &answer(&subscribe, "199 Odd", ""));
    bench.udp(ALICE, &answer(&subscribe, "299 Odd", "Expires: 300\n"));
    bench.udp(ALICE, &notify_for(&subscribe, 1, "active;expires=300"));
    bench.did();
    assert_eq!(bench.core.state(id).unwrap().subscription.as_ref().unwrap().state, "active");
}

#[test]
fn txn_28_the_next_attempt_waits_as_long_as_it_was_told() {
    for status in ["404 x", "413 x", "480 x", "486 x", "500 x", "503 x", "600 x"] {
        let (_, next) = after(status, "Retry-After: 218 (busy (still));duration=60\n");
        assert!(next.is_some_and(|at| (218_000..250_000).contains(&at)), "{status}: {next:?}");
    }
    let (_, next) = after("503 x", "");
    assert!(next.is_some_and(|at| (4000..=6000).contains(&at)), "without it the usual pause: {next:?}");
    let (_, next) = after("482 x", "Retry-After: 218\n");
    assert!(next.is_some_and(|at| at <= 6000), "where it means nothing it is not heeded: {next:?}");
}

#[test]
fn txn_28_a_refused_refresh_is_not_repeated_too_soon_even_when_the_subscription_ends_meanwhile() {
    let mut bench = Bench::new();
    bench.watch(TARGET);
    let subscribe = bench.only();
    bench.udp(ALICE, &answer(&subscribe, "200 OK", "Expires: 300\n"));
    bench.udp(ALICE, &notify_for(&subscribe, 1, "active;expires=300"));
    bench.did();
    while bench.ms < 300_000 {
        bench.run_until(bench.ms + 100);
        if let Some((at, refresh)) = bench.sent().pop() {
            bench.udp(ALICE, &answer(&refresh, "503 Service Unavailable", "Retry-After: 200\n"));
            bench.run_until(at + 200_000);
            assert_eq!(bench.did(), []);
            bench.run_until(at + 200_200);
            let again = bench.only();
            assert_eq!(header(&again, "CSeq"), Some("1 SUBSCRIBE"), "the old one ended");
            return;
        }
    }
    panic!("no refresh");
}

#[test]
fn txn_29_requests_may_go_seventy_hops_and_arrive_with_none_left() {
    let mut bench = Bench::new();
    bench.watch(TARGET);
    assert_eq!(header(&bench.only(), "Max-Forwards"), Some("70"));
    let (_, notify) = bench.subscribed();
    assert_eq!(header(&notify, "Max-Forwards"), Some("70"));
    for hops in ["Max-Forwards: 0\n", ""] {
        let mut bench = Bench::new();
        let status = bench.status_of(&SUBSCRIBE.replace("Max-Forwards: 70\n", hops));
        assert_eq!(status, "SIP/2.0 200 OK", "{hops}");
    }
}

#[test]
fn txn_30_responses_copy_what_they_must_and_bear_one_tag() {
    const VIAS: &str = "Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKa1;rport, SIP/2.0/TCP p1.example.com\n\
                        v: SIP/2.0/UDP [2001:db8::9]:5070;branch=z9hG4bKp2";
    let request = SUBSCRIBE.replacen("Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKa1;rport", VIAS, 1);
    for (request, status) in [
        (request.clone(), "200 OK"),
        (request.replace("Event: presence", "Event: foo"), "489 Bad Event"),
        (request.replace("Expires: 300", "Expires: 5"), "423 Interval Too Brief"),
        (request.replace("Accept: application/pidf+xml", "Accept: text/plain"), "406 Not Acceptable"),
        (request.replace("CSeq: 1 SUBSCRIBE", "CSeq: 1 NOTIFY"), "400 Malformed CSeq"),
    ] {
        let mut bench = Bench::new();
        bench.udp(ALICE, &request);
        let response = bench.texts().remove(0);
        let lines: Vec<&str> = response.lines().take(7).collect();
        let tag = param(&response, "To", "tag").unwrap();
        let cseq = request.lines().find(|line| line.starts_with("CSeq")).unwrap();
        assert_eq!(
            lines,
            [
                &format!("SIP/2.0 {status}"),
                "Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKa1;rport=5060;received=192.0.2.10, \
                 SIP/2.0/TCP p1.example.com",
                "Via: SIP/2.0/UDP [2001:db8::9]:5070;branch=z9hG4bKp2",
                "From: \"Alice\" <sip:alice@192.0.2.10>;tag=a7f3c9d1",
                &format!("To: <sip:bob@192.0.2.20>;tag={tag}"),
                "Call-ID: 3f2b9c0e-6a41",
                cseq,
            ]
        );
        bench.udp(ALICE, &request);
        let again = bench.texts().into_iter().find(|text| text.starts_with("SIP/2.0")).unwrap();
        assert_eq!(again, response, "each response of a transaction has the same tag");
    }
}
