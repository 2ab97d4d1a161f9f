//! What an answer looks like: AUT-01 … AUT-10, AUT-14, AUT-15.

use std::collections::HashSet;

use sippresence::presence::Freshness;

use crate::{
    BY_PROXY, CHALLENGE, PASSWORD, STALE, alice, challenged, code, expected, last, params,
    world::{AVAILABLE, Msg, Script, ms, secs},
};

fn authorization(msg: &Msg) -> &str {
    msg.header("Authorization")
}

#[test]
fn aut_01_both_kinds_of_challenge_are_answered_one_after_the_other() {
    let mut script = alice();
    let id = script.watch();
    let first = script.expect("SUBSCRIBE");
    script.answer_with(&first, "407 Proxy Authentication Required", BY_PROXY);
    let second = script.expect("SUBSCRIBE");
    let line = second.header("Proxy-Authorization");
    assert_eq!(params(line)["response"], expected(line, "SUBSCRIBE", "alice", PASSWORD, b""));
    assert_eq!(second.get("Authorization"), None);
    script.answer_with(&second, "401 Unauthorized", CHALLENGE);
    let third = script.expect("SUBSCRIBE");
    assert_eq!(params(third.header("Proxy-Authorization"))["nc"], "00000002");
    let line = authorization(&third);
    assert_eq!(params(line)["response"], expected(line, "SUBSCRIBE", "alice", PASSWORD, b""));
    assert_eq!((first.cseq(), second.cseq(), third.cseq()), (1, 2, 3));
    script.answer_with(&third, "200 OK", "Expires: 300\n");
    script.notify(&third, 1, "active;expires=300", AVAILABLE);
    assert_eq!(script.freshness(id), Freshness::Fresh);
}

#[test]
fn aut_01_both_in_one_response_are_answered_together() {
    let mut script = alice();
    let (_, _, second) = challenged(&mut script, &format!("{CHALLENGE}{BY_PROXY}"));
    assert!(second.get("Authorization").is_some() && second.get("Proxy-Authorization").is_some());
}

#[test]
fn aut_02_the_retry_differs_in_branch_number_and_credentials_alone() {
    let mut script = alice();
    let (_, first, second) = challenged(&mut script, CHALLENGE);
    let lines = |msg: &Msg| -> Vec<String> { msg.text.lines().map(str::to_owned).collect() };
    let (before, mut after) = (lines(&first), lines(&second));
    let credentials = after.iter().position(|line| line.starts_with("Authorization: ")).unwrap();
    after.remove(credentials);
    assert_eq!(before.len(), after.len());
    for (before, after) in before.iter().zip(&after) {
        match before.split(": ").next().unwrap() {
            "Via" => assert_ne!(before, after),
            "CSeq" => assert_eq!((before.as_str(), after.as_str()), ("CSeq: 1 SUBSCRIBE", "CSeq: 2 SUBSCRIBE")),
            _ => assert_eq!(before, after),
        }
    }
    assert!(first.header("Via").split(";branch=").nth(1).unwrap().starts_with("z9hG4bK"));
    assert_eq!(first.to, second.to);
}

#[test]
fn aut_03_a_wrong_password_ends_after_two_requests() {
    let mut script = alice();
    let (id, _, second) = challenged(&mut script, CHALLENGE);
    script.answer_with(&second, "401 Unauthorized", &CHALLENGE.replace("n1", "n2"));
    script.nothing();
    assert_eq!(script.freshness(id).to_string(), "failed (401)");
    let (code, reason) = last(&script.state(id));
    assert_eq!(
        (code.as_str(), reason.as_str()),
        ("401", "401 Unauthorized: the password for realm \"example.com\" is wrong")
    );
    script.advance(secs(3600));
    script.nothing();
}

#[test]
fn aut_03_a_stale_nonce_is_renewed_and_not_for_ever() {
    let mut script = alice();
    let (id, _, second) = challenged(&mut script, CHALLENGE);
    script.answer_with(&second, "401 Unauthorized", STALE);
    let mut last = script.expect("SUBSCRIBE");
    assert_eq!((params(authorization(&last))["nonce"], params(authorization(&last))["nc"]), ("n2", "00000001"));
    let mut requests = 3;
    loop {
        script.answer_with(&last, "401 Unauthorized", STALE);
        let Some(next) = script.take().pop() else { break };
        (last, requests) = (next, requests + 1);
    }
    assert_eq!((requests, code(&script, id).as_str()), (6, "401"));
}

#[test]
fn aut_03_a_resent_401_is_answered_once() {
    let mut script = alice();
    let (_, first, _) = challenged(&mut script, CHALLENGE);
    script.answer_with(&first, "401 Unauthorized", CHALLENGE);
    script.nothing();
}

/// Lets the next refresh go, takes it to be right, and answers it.
fn refreshed(script: &mut Script, seq: u32) -> Msg {
    let refresh = script.wait(secs(400));
    script.answer_with(&refresh, "200 OK", "Expires: 300\n");
    script.notify(&refresh, seq, "active;expires=300", AVAILABLE);
    refresh
}

#[test]
fn aut_04_a_known_nonce_serves_refreshes_and_counts() {
    let mut script = alice();
    let (_, _, second) = challenged(&mut script, CHALLENGE);
    script.answer_with(&second, "200 OK", "Expires: 300\n");
    script.notify(&second, 1, "active;expires=300", AVAILABLE);
    let third = refreshed(&mut script, 2);
    let fourth = refreshed(&mut script, 3);
    let mut cnonces = HashSet::new();
    for (n, msg) in [&second, &third, &fourth].into_iter().enumerate() {
        let line = authorization(msg);
        assert_eq!(params(line)["nc"], format!("{:08x}", n + 1));
        assert_eq!(params(line)["uri"], msg.first_line().split(' ').nth(1).unwrap());
        assert_eq!(params(line)["response"], expected(line, "SUBSCRIBE", "alice", PASSWORD, b""));
        cnonces.insert(params(line)["cnonce"].to_owned());
    }
    assert_eq!(cnonces.len(), 3);
    assert_eq!((second.cseq(), third.cseq(), fourth.cseq()), (2, 3, 4));
}

#[test]
fn aut_04_a_nonce_that_is_known_no_more_costs_one_round_trip_whatever_the_server_calls_it() {
    for challenge in [STALE, &CHALLENGE.replace("n1", "n2")] {
        let mut script = alice();
        let (id, _, second) = challenged(&mut script, CHALLENGE);
        script.answer_with(&second, "200 OK", "Expires: 300\n");
        script.notify(&second, 1, "active;expires=300", AVAILABLE);
        let refresh = script.wait(secs(400));
        script.answer_with(&refresh, "401 Unauthorized", challenge);
        let again = script.expect("SUBSCRIBE");
        assert_eq!((params(authorization(&again))["nonce"], again.cseq()), ("n2", 4));
        script.answer_with(&again, "200 OK", "Expires: 300\n");
        script.notify(&again, 2, "active;expires=300", AVAILABLE);
        assert_eq!(script.freshness(id), Freshness::Fresh);
        assert_eq!(script.wait(secs(400)).cseq(), 5);
    }
}

#[test]
fn aut_06_the_topmost_challenge_that_is_understood_is_answered() {
    let mut script = alice();
    let lines = "WWW-Authenticate: Basic realm=\"example.com\"\n\
        WWW-Authenticate: Digest realm=\"example.com\", nonce=\"f\", algorithm=FOO, qop=\"auth\", \
        Digest realm=\"example.com\", nonce=\"s\", algorithm=sha-256, qop=\"auth,auth-int\", \
        Digest realm=\"example.com\", nonce=\"m\", algorithm=MD5\n";
    let (_, _, second) = challenged(&mut script, lines);
    let line = authorization(&second);
    assert_eq!((params(line)["nonce"], params(line)["algorithm"], params(line)["qop"]), ("s", "sha-256", "auth"));
    assert_eq!(params(line)["response"], expected(line, "SUBSCRIBE", "alice", PASSWORD, b""));
}

#[test]
fn aut_06_nothing_that_is_understood_is_a_refusal() {
    let mut script = alice();
    let id = script.watch();
    let first = script.expect("SUBSCRIBE");
    script.answer_with(&first, "401 Unauthorized", "WWW-Authenticate: Bearer realm=\"example.com\"\n");
    script.nothing();
    assert_eq!(last(&script.state(id)).1, "401 Unauthorized: it asks for a proof of a kind that is not known here");
}

#[test]
fn aut_07_an_old_server_without_qop_gets_the_old_form() {
    let mut script = alice();
    let (_, _, second) = challenged(&mut script, "WWW-Authenticate: Digest realm=\"example.com\", nonce=\"n1\"\n");
    let line = authorization(&second);
    let params = params(line);
    assert!(["qop", "nc", "cnonce", "algorithm", "opaque"].iter().all(|name| !params.contains_key(name)), "{line}");
    assert_eq!(params["response"], expected(line, "SUBSCRIBE", "alice", PASSWORD, b""));
}

#[test]
fn aut_10_opaque_goes_back_as_it_came_and_domain_means_nothing() {
    let mut script = alice();
    let challenge = "WWW-Authenticate: Digest realm=\"exam\\\"ple\", domain=\"sip:elsewhere.example\", nonce=\"a\\\\b\", \
        opaque=\"5c\\\"cd, =;\", qop=\"auth\"\n";
    let (_, first, second) = challenged(&mut script, challenge);
    let line = authorization(&second);
    assert!(line.contains(", opaque=\"5c\\\"cd, =;\", "), "{line}");
    assert!(line.contains(" realm=\"exam\\\"ple\", nonce=\"a\\\\b\", "), "{line}");
    assert!(!line.contains("domain") && first.to == second.to, "{line}");
    assert_eq!(script.core.realm(), Some("exam\"ple"));
}

#[test]
fn aut_15_the_next_nonce_is_used_and_a_right_proof_is_believed() {
    let mut script = alice();
    let (id, _, second) = challenged(&mut script, CHALLENGE);
    let proof = expected(authorization(&second), "", "alice", PASSWORD, b"");
    let info = format!("Expires: 300\nAuthentication-Info: nextnonce=\"n7\", qop=auth, rspauth=\"{proof}\"\n");
    script.answer_with(&second, "200 OK", &info);
    script.notify(&second, 1, "active;expires=300", AVAILABLE);
    assert_eq!(script.freshness(id), Freshness::Fresh);
    let refresh = script.wait(secs(400));
    assert_eq!((params(authorization(&refresh))["nonce"], params(authorization(&refresh))["nc"]), ("n7", "00000001"));
}

#[test]
fn aut_15_a_wrong_proof_ends_the_dialog() {
    let mut script = alice();
    let (id, _, second) = challenged(&mut script, CHALLENGE);
    script.notify(&second, 1, "active;expires=300", AVAILABLE);
    script.answer_with(&second, "200 OK", "Authentication-Info: rspauth=\"00\", qop=auth\n");
    assert_eq!(code(&script, id), "untrusted");
    let late = script.notify_text(&second, 2, "active;expires=300", "", AVAILABLE);
    script.send(&late);
    script.expect("481");
    script.advance(secs(600));
    script.nothing();
}

#[test]
fn aut_02_a_notify_before_the_last_answer_finds_the_number_that_was_used() {
    let mut script = alice();
    let (id, _, second) = challenged(&mut script, CHALLENGE);
    script.notify(&second, 1, "active;expires=300", AVAILABLE);
    script.advance(ms(600));
    // The retry is resent with its own bytes meanwhile.
    let again = script.expect("SUBSCRIBE");
    assert_eq!(again.text, second.text);
    script.answer_with(&second, "200 OK", "Expires: 300\n");
    assert_eq!(script.freshness(id), Freshness::Fresh);
    assert_eq!(script.wait(secs(400)).cseq(), 3);
}

#[test]
fn aut_02_a_dialog_that_ends_while_a_refresh_is_challenged_counts_on() {
    let mut script = alice();
    let (id, _, second) = challenged(&mut script, CHALLENGE);
    script.answer_with(&second, "200 OK", "Expires: 300\n");
    script.notify(&second, 1, "active;expires=300", AVAILABLE);
    let refresh = script.wait(secs(400));
    script.act(|core, now, out| core.unwatch(id, now, out));
    let end = script.expect("SUBSCRIBE");
    assert_eq!((refresh.cseq(), end.cseq(), end.header("Expires")), (3, 4, "0"));
    // The outcome of the refresh matters no more, so it is not sent again under a number that is taken.
    script.answer_with(&refresh, "401 Unauthorized", STALE);
    script.nothing();
    script.answer_with(&end, "401 Unauthorized", STALE);
    let last = script.expect("SUBSCRIBE");
    assert_eq!((last.cseq(), last.header("Expires")), (5, "0"));
}
