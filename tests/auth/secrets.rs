//! Where the password comes from: late, never, with an error, wrong; and what may be in it.

use sippresence::{
    presence::{Freshness, core::Input},
    sip::transport::{Flow, Transport},
};

use crate::{
    CHALLENGE, PASSWORD, alice, challenged, expected, last, params, without_password,
    world::{ALICE, AVAILABLE, BOB, Script, config, credentials, ms, secs},
};

#[test]
fn a_password_that_comes_late_is_waited_for_and_asked_for_once() {
    let mut script = without_password();
    let (id, other) = (script.watch(), script.watch());
    assert_eq!(id, other);
    let first = script.expect("SUBSCRIBE");
    script.answer_with(&first, "401 Unauthorized", CHALLENGE);
    let carol = "sip:carol@192.0.2.20".parse().unwrap();
    script
        .act(|core, now, out| core.watch(carol, "carol", sippresence::presence::core::Subscribing::Lasting, now, out));
    let carols = script.expect("SUBSCRIBE");
    script.answer_with(&carols, "401 Unauthorized", CHALLENGE);
    assert_eq!(script.asked.len(), 1);
    script.advance(secs(29));
    script.nothing();
    script.tell(Ok(PASSWORD));
    let (bob, carol) = (script.expect("SUBSCRIBE sip:bob"), script.expect("SUBSCRIBE sip:carol"));
    assert_eq!((bob.cseq(), carol.cseq()), (2, 2));
    let nc = |line| params(line)["nc"].to_owned();
    assert_eq!([nc(bob.header("Authorization")), nc(carol.header("Authorization"))], ["00000001", "00000002"]);
    // Its time begins anew: the NOTIFY may still take 32 s.
    script.advance(secs(20));
    script.take();
    script.answer_with(&bob, "200 OK", "Expires: 300\n");
    script.notify(&bob, 1, "active;expires=300", AVAILABLE);
    assert_eq!(script.freshness(id), Freshness::Fresh);
    // And it is asked for no more.
    assert!(script.asked.is_empty());
}

#[test]
fn a_password_that_never_comes_fails_the_attempt_and_serves_the_next() {
    let mut script = without_password();
    let id = script.watch();
    let first = script.expect("SUBSCRIBE");
    script.answer_with(&first, "401 Unauthorized", CHALLENGE);
    script.advance(secs(30));
    let (code, reason) = last(&script.state(id));
    assert_eq!((code.as_str(), reason.as_str()), ("401", "401 Unauthorized: no password: it did not come in time"));
    script.nothing();
    script.tell(Ok(PASSWORD));
    script.nothing();
    let next = script.wait(secs(10));
    assert_ne!(next.header("Call-ID"), first.header("Call-ID"));
    assert_eq!((next.cseq(), params(next.header("Authorization"))["nc"]), (1, "00000001"));
}

#[test]
fn a_password_that_cannot_be_had_is_told_and_not_asked_for_again_at_once() {
    let mut script = without_password();
    let id = script.watch();
    let first = script.expect("SUBSCRIBE");
    script.answer_with(&first, "401 Unauthorized", CHALLENGE);
    script.tell(Err("the keyring is locked"));
    script.nothing();
    let (code, reason) = last(&script.state(id));
    assert_eq!((code.as_str(), reason.as_str()), ("401", "401 Unauthorized: no password: the keyring is locked"));
    let next = script.wait(secs(10));
    script.answer_with(&next, "401 Unauthorized", CHALLENGE);
    assert!(script.asked.is_empty(), "it failed a moment ago");
    let next = script.wait(secs(20));
    script.answer_with(&next, "401 Unauthorized", CHALLENGE);
    let next = script.wait(secs(40));
    script.answer_with(&next, "401 Unauthorized", CHALLENGE);
    script.tell(Ok(PASSWORD));
    assert_eq!(script.expect("SUBSCRIBE").cseq(), 2);
}

#[test]
fn aut_03_a_wrong_password_is_forgotten_and_another_is_asked_for_later() {
    let mut script = alice();
    let (_, _, second) = challenged(&mut script, CHALLENGE);
    script.answer_with(&second, "401 Unauthorized", CHALLENGE);
    script.password = None;
    let other = "sip:carol@192.0.2.20".parse().unwrap();
    let how = sippresence::presence::core::Subscribing::Once;
    script.act(|core, now, out| core.watch(other, "carol", how, now, out));
    let ask = script.expect("SUBSCRIBE");
    assert_eq!(ask.get("Authorization"), None);
    script.answer_with(&ask, "401 Unauthorized", CHALLENGE);
    assert!(script.asked.is_empty(), "a hundred buddies are not a hundred wrong passwords");
    script.advance(secs(31));
    let other = "sip:carol@192.0.2.20".parse().unwrap();
    script.act(|core, now, out| core.watch(other, "carol", how, now, out));
    let ask = script.expect("SUBSCRIBE");
    script.answer_with(&ask, "401 Unauthorized", CHALLENGE);
    script.tell(Ok("better"));
    let line = script.expect("SUBSCRIBE").header("Authorization").to_owned();
    assert_eq!(params(&line)["response"], expected(&line, "SUBSCRIBE", "alice", "better", b""));
}

#[test]
fn names_and_passwords_may_hold_quotes_and_any_letter() {
    for user in ["al\"i\\ce", "älice", "a b"] {
        let mut config = config("alice", ALICE);
        config.credentials = Some(sippresence::sip::auth::Credentials { user: user.into(), ..credentials() });
        let mut script = Script::new(config);
        script.password = Some("pä\"ss:\\wörd €");
        let (_, _, second) = challenged(&mut script, CHALLENGE);
        let line = second.header("Authorization");
        let quoted = user.replace('\\', "\\\\").replace('"', "\\\"");
        assert!(line.starts_with(&format!("Digest username=\"{quoted}\", realm=")), "{line}");
        assert_eq!(params(line)["response"], expected(line, "SUBSCRIBE", user, "pä\"ss:\\wörd €", b""));
    }
}

#[test]
fn par_21_a_user_name_with_a_line_end_is_refused_at_the_start() {
    let mut config = config("alice", ALICE);
    config.credentials = Some(sippresence::sip::auth::Credentials { user: "a\r\nVia: b".into(), ..credentials() });
    let rng = rand::SeedableRng::seed_from_u64(1);
    assert!(sippresence::presence::core::Core::new(config, rng, crate::world::moment(ms(0))).is_err());
}

#[test]
fn sec_10_a_password_does_not_show_itself() {
    let mut script = alice();
    challenged(&mut script, CHALLENGE);
    assert!(!format!("{:?}", script.core).contains(PASSWORD));
    let input = Input::Opened(Flow {
        transport: Transport::Tcp,
        local: ALICE.parse().unwrap(),
        remote: BOB.parse().unwrap(),
        conn: None,
    });
    assert!(!format!("{input:?} {:?}", sippresence::sip::auth::Secret::new(PASSWORD)).contains(PASSWORD));
}
