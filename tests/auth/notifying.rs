//! NOTIFYs that are challenged: AUT-14, AUT-16, NOT-13.

use sippresence::presence::{PresenceStatus, core::Core};

use crate::{
    CHALLENGE, PASSWORD, expected, params,
    world::{ALICE, Ask, BOB, Script, config, credentials, open_policy, secs},
};

/// Bob, who serves alice; the host of alice is the server of his account.
fn bob() -> Script {
    let mut config = config("bob", BOB);
    config.policy = open_policy();
    let server = ALICE.split(':').next().unwrap().into();
    config.credentials =
        Some(sippresence::sip::auth::Credentials { user: "bob".into(), servers: vec![server], ..credentials() });
    let mut script = Script::new(config);
    script.password = Some(PASSWORD);
    // With credentials it is too large for a datagram.
    script.no_tcp = true;
    script
}

#[test]
fn aut_16_and_not_13_a_challenged_notify_is_answered_and_the_dialog_counts_on() {
    let mut script = bob();
    let (_, first) = script.subscribe_established(&Ask::default());
    script.advance(secs(6));
    script.publish(PresenceStatus::Busy, None);
    let notify = script.expect("NOTIFY");
    script.answer_with(&notify, "401 Unauthorized", &CHALLENGE.replace("qop=\"auth\"", "qop=\"auth-int\""));
    let again = script.expect("NOTIFY");
    assert_eq!((again.cseq(), again.body()), (notify.cseq() + 1, notify.body()));
    assert_eq!(again.header("Subscription-State"), notify.header("Subscription-State"));
    assert_eq!(first.header("Call-ID"), again.header("Call-ID"));
    let line = again.header("Authorization");
    assert_eq!(params(line)["qop"], "auth-int");
    assert_eq!(params(line)["response"], expected(line, "NOTIFY", "bob", PASSWORD, again.body().as_bytes()));
    script.answer(&again, "200 OK");
    assert_eq!(script.core.watchers().len(), 1);
    script.advance(secs(6));
    script.publish(PresenceStatus::Available, None);
    let next = script.expect("NOTIFY");
    assert_eq!((next.cseq(), params(next.header("Authorization"))["nc"]), (again.cseq() + 1, "00000002"));
}

#[test]
fn aut_16_without_credentials_or_with_wrong_ones_the_subscription_is_gone() {
    let mut without = Script::new({
        let mut config = config("bob", BOB);
        config.policy = open_policy();
        config
    });
    without.subscribe_established(&Ask::default());
    without.advance(secs(6));
    without.publish(PresenceStatus::Busy, None);
    let notify = without.expect("NOTIFY");
    without.answer_with(&notify, "401 Unauthorized", CHALLENGE);
    without.nothing();
    assert!(without.core.watchers().is_empty());

    let mut script = bob();
    script.subscribe_established(&Ask::default());
    script.advance(secs(6));
    script.publish(PresenceStatus::Busy, None);
    let notify = script.expect("NOTIFY");
    script.answer_with(&notify, "401 Unauthorized", CHALLENGE);
    let again = script.expect("NOTIFY");
    script.answer_with(&again, "401 Unauthorized", CHALLENGE);
    script.nothing();
    assert!(script.core.watchers().is_empty());
}

#[test]
fn aut_16_a_last_notify_is_answered_for_though_its_subscription_is_gone() {
    let mut script = bob();
    script.subscribe_established(&Ask::default());
    script.act(Core::go_offline);
    let last = script.expect("NOTIFY");
    assert_eq!(last.header("Subscription-State"), "terminated;reason=probation;retry-after=60");
    script.answer_with(&last, "407 Proxy Authentication Required", &CHALLENGE.replace("WWW-", "Proxy-"));
    let again = script.expect("NOTIFY");
    assert_eq!(
        (again.cseq(), again.header("Subscription-State")),
        (last.cseq() + 1, last.header("Subscription-State"))
    );
    assert!(again.get("Proxy-Authorization").is_some());
}

#[test]
fn aut_16_a_notify_that_a_last_one_overtook_is_not_sent_again() {
    let mut script = bob();
    script.subscribe_established(&Ask::default());
    script.advance(secs(6));
    script.publish(PresenceStatus::Busy, None);
    let notify = script.expect("NOTIFY");
    script.act(Core::go_offline);
    let last = script.expect("NOTIFY");
    assert_eq!(last.cseq(), notify.cseq() + 1);
    script.answer_with(&notify, "401 Unauthorized", CHALLENGE);
    script.nothing();
}
