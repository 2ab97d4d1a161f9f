//! What is read back at a start may be damaged, edited or too much: NOT-29.

use proptest::prelude::*;
use rand::{SeedableRng, rngs::StdRng};
use sippresence::{
    presence::core::{Core, CoreConfig, Outbox, Restored, SavedServing},
    sip::effect::Effect,
};

use crate::{
    bob,
    restarting::{ALLOW_ALICE, bobs, pending},
    world::{Ask, moment, secs},
};

#[test]
fn not_29_limits_hold_for_those_who_come_back() {
    let mut script = bob();
    script.subscribe_established(&Ask::default());
    let one = script.saved();
    let mut many = one.clone();
    for n in 0..120_u32 {
        let mut watcher = one.watchers[0].clone();
        watcher.subscription.local_tag = "abcdefghijklmn".to_owned() + &tag_end(n);
        many.watchers.push(watcher);
    }
    let restored = script.restart(bobs(&[ALLOW_ALICE]), &many, false);
    assert_eq!(restored, Restored { kept: 100, no_room: 21, ..Restored::default() });
    let small = CoreConfig { max_subscriptions: 3, ..bobs(&[ALLOW_ALICE]) };
    let restored = script.restart(small, &many, false);
    assert_eq!(restored, Restored { kept: 3, no_room: 118, ..Restored::default() });
    // One tag names one dialog.
    let twice = SavedServing { watchers: vec![one.watchers[0].clone(); 2], ..one };
    let restored = script.restart(bobs(&[ALLOW_ALICE]), &twice, false);
    assert_eq!(restored, Restored { kept: 1, damaged: 1, ..Restored::default() });
}

fn tag_end(n: u32) -> String {
    let letter = |n: u32| char::from(b'a' + u8::try_from(n % 26).unwrap());
    [letter(n), letter(n / 26)].into_iter().collect()
}

/// What bob would write down, as JSON.
fn file() -> serde_json::Value {
    let mut script = bob();
    script.subscribe_established(&Ask {
        lines: "Record-Route: <sip:192.0.2.10:5070;lr>\n",
        event: "presence;id=7",
        ..Ask::default()
    });
    serde_json::to_value(script.core.saved(script.now())).unwrap()
}

#[test]
fn not_29_an_entry_that_cannot_be_read_costs_no_other_one() {
    let mut file = file();
    let good = file["watchers"][0].clone();
    let mut huge = good.clone();
    huge["subscription"]["local_seq"] = 1_u64.wrapping_shl(40).into();
    let mut date = good.clone();
    date["subscription"]["ends_at"] = "yesterday".into();
    file["watchers"] = serde_json::json!([huge, date, 7, null, "x", [], {}, good]);
    let saved: SavedServing = serde_json::from_value(file).unwrap();
    assert_eq!((saved.watchers.len(), saved.unreadable), (1, 7));
    let mut script = bob();
    let restored = script.restart(bobs(&[ALLOW_ALICE]), &saved, false);
    assert_eq!(restored, Restored { kept: 1, damaged: 7, ..Restored::default() });
}

#[test]
fn not_29_a_snapshot_reads_back_as_it_was_written() {
    let mut script = bob();
    script.subscribe_established(&Ask { event: "presence;id=7", ..Ask::default() });
    let carol = Ask { user: "carol", ..Ask::from("192.0.2.30:5060".parse().unwrap()) };
    pending(&mut script, &carol);
    let saved = script.core.saved(script.now());
    let text = serde_json::to_string(&saved).unwrap();
    assert_eq!(serde_json::from_str::<SavedServing>(&text).unwrap(), saved);
    // And again when it went on, but for the numbers and the order.
    script.restart(bobs(&[ALLOW_ALICE]), &saved, false);
    let mut after = script.core.saved(script.now());
    for watcher in &mut after.watchers {
        watcher.subscription.local_seq -= 10_000;
    }
    assert_eq!(after, saved);
}

fn junk() -> impl Strategy<Value = serde_json::Value> {
    prop_oneof![
        any::<u64>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<bool>().prop_map(Into::into),
        Just(serde_json::Value::Null),
        Just(serde_json::json!(["sip:h>\r\nX-Evil: <y"])),
        any::<String>().prop_map(Into::into),
        "[a-z<>\"@:;=,\r\n \\\\\\[\\]]{0,24}".prop_map(Into::into),
        "sip:[a-z@;<>\r\n]{0,12}".prop_map(Into::into),
        "(9999|-9999|0001)-12-31T23:59:59Z".prop_map(Into::into),
        "[0-9.:%\\[\\]a-f]{0,20}".prop_map(Into::into),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn not_29_damage_never_panics_and_never_reaches_the_wire(damages in prop::collection::vec((0..30_usize, junk()), 1..4)) {
        let mut file = file();
        for (n, junk) in damages {
            let entry = &mut file["watchers"][0];
            let in_subscription = n % 4 != 0;
            let object = if in_subscription { &mut entry["subscription"] } else { entry };
            let Some(object) = object.as_object_mut() else { continue };
            let keys: Vec<String> = object.keys().cloned().collect();
            object[&keys[n % keys.len()]] = junk;
        }
        let Ok(saved) = serde_json::from_value::<SavedServing>(file) else { return Ok(()) };
        let (now, mut out) = (moment(secs(1)), Outbox::default());
        let mut core = Core::new(bobs(&[ALLOW_ALICE]), StdRng::seed_from_u64(1), now).unwrap();
        let Restored { kept, expired, elsewhere, no_room, damaged } = core.restore(&saved, true, now, &mut out);
        prop_assert_eq!((kept + expired + elsewhere + damaged, no_room), (1, 0));
        core.pump(16, now, &mut out);
        for effect in out.effects {
            let Effect::Send { packet, .. } = effect else { continue };
            let text = String::from_utf8(packet.to_vec()).unwrap();
            let head = text.split("\r\n\r\n").next().unwrap();
            let names: Vec<&str> = head.split("\r\n").skip(1).map(|line| line.split(": ").next().unwrap()).collect();
            // With or without a Route and a body; nothing else, and no line end within a line.
            let allowed = [
                "Via", "Max-Forwards", "Route", "From", "To", "Call-ID", "CSeq", "Contact", "Event",
                "Subscription-State", "Allow-Events", "User-Agent", "SIP-ETag", "Content-Type", "Content-Length",
            ];
            prop_assert!(names.iter().all(|name| allowed.contains(name)), "{}", text);
            prop_assert!(names.windows(2).all(|two| two[0] != two[1] || two[0] == "Route"), "{}", text);
            prop_assert!(head.split("\r\n").all(|line| !line.contains(['\r', '\n'])), "{}", text);
        }
    }
}
