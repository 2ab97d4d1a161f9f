//! How often we ask to be told: RAT-01 (RFC 6446).

use sippresence::presence::Rates;

use crate::world::{ALICE, AVAILABLE, CLOSED, Script, config};

#[test]
fn rat_01_every_subscribe_says_how_often_and_the_notify_what_holds() {
    let mut config = config("alice", ALICE);
    config.rates = Rates {
        max: Some("0.1".parse().unwrap()),
        min: Some("0.01".parse().unwrap()),
        adaptive_min: Some("0.05".parse().unwrap()),
    };
    let mut script = Script::new(config);
    let id = script.watch();
    let sub = script.expect("SUBSCRIBE");
    let asked = "presence;max-rate=0.1;min-rate=0.01;adaptive-min-rate=0.05";
    assert_eq!(sub.header("Event"), asked);
    script.answer_with(&sub, "200 OK", "Contact: <sip:bob@192.0.2.20:5060>\nExpires: 300\n");
    // It gives less than was asked for, and says so.
    let text = script.notify_text(&sub, 1, "active;expires=300;max-rate=0.02;min-rate=0.01", "", AVAILABLE);
    script.send(&text);
    script.expect("200");
    let rates = script.state(id).subscription.as_ref().unwrap().rates;
    assert_eq!(rates.to_string(), ";max-rate=0.02;min-rate=0.01");
    // What is asked for stays, and a value that is none is nothing that holds.
    assert_eq!(crate::refresh(&mut script).header("Event"), asked);
    let text = script.notify_text(&sub, 2, "active;expires=300;max-rate=0;min-rate=x", "", CLOSED);
    script.send(&text);
    script.expect("200");
    assert!(script.state(id).subscription.as_ref().unwrap().rates.is_none());
}

#[test]
fn rat_01_nothing_is_asked_unless_it_is_wanted() {
    let mut script = crate::alice();
    script.watch();
    assert_eq!(script.expect("SUBSCRIBE").header("Event"), "presence");
}
