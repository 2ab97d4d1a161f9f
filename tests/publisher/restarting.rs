//! A publication that outlives the process: PUB-20.

use sippresence::sip::events::publisher::{NotRestored, SavedPublication, Update};

use crate::{
    BUSY, OPEN,
    scripted::{Scripted, clock},
    world::{START, moment, secs},
};

/// What a file would hold.
fn saved(server: &Scripted) -> SavedPublication {
    let now = moment(server.after());
    let text = serde_json::to_string(&server.publisher.saved(now.at, now.wall)).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Starts anew, `after` the first start.
fn restarted(saved: &SavedPublication, after: u64) -> (Scripted, Result<(), NotRestored>) {
    let mut server = Scripted::new();
    server.sleep(secs(after));
    let now = moment(server.after());
    let restored = server.publisher.restore(saved, now.at, now.wall);
    (server, restored)
}

#[test]
fn pub_20_after_a_restart_the_publication_is_modified_and_has_no_twin() {
    let before = Scripted::published(OPEN, "e1.~'`");
    let kept = saved(&before);
    assert_eq!(kept.ends_at.to_string(), "2026-03-02T10:15:00Z");
    let (mut server, restored) = restarted(&kept, 600);
    assert_eq!(restored, Ok(()));
    server.nothing();
    server.publish(BUSY);
    let modify = server.expect("PUBLISH");
    assert_eq!((modify.header("SIP-If-Match"), modify.body(), modify.cseq()), ("e1.~'`", BUSY, 1));
    server.accept(&modify, "e2");
    assert_eq!(server.wait(secs(3600)).header("SIP-If-Match"), "e2");
}

#[test]
fn pub_20_the_same_state_after_a_restart_is_confirmed_at_once_without_its_body() {
    let kept = saved(&Scripted::published(OPEN, "e1"));
    let (mut server, _) = restarted(&kept, 600);
    server.publish(OPEN);
    let refresh = server.expect("PUBLISH");
    assert_eq!((refresh.header("SIP-If-Match"), refresh.body()), ("e1", ""));
    server.answer(&refresh, "412 Conditional Request Failed", "");
    let initial = server.expect("PUBLISH");
    assert_eq!((initial.get("SIP-If-Match"), initial.body()), (None, OPEN));
}

#[test]
fn pub_20_a_change_whose_outcome_was_not_known_is_sent_with_its_body() {
    let mut before = Scripted::published(OPEN, "e1");
    before.advance(secs(60));
    before.publish(BUSY);
    before.advance(secs(33));
    let kept = saved(&before);
    assert_eq!(kept.body, None);
    let (mut server, _) = restarted(&kept, 600);
    server.publish(OPEN);
    assert_eq!(server.expect("PUBLISH").body(), OPEN);
}

#[test]
fn pub_20_what_was_published_before_can_be_taken_back() {
    let kept = saved(&Scripted::published(OPEN, "e1"));
    let (mut server, _) = restarted(&kept, 600);
    server.remove();
    let removal = server.expect("PUBLISH");
    assert_eq!((removal.header("SIP-If-Match"), removal.header("Expires")), ("e1", "0"));
}

#[test]
fn pub_20_what_has_lapsed_is_published_afresh() {
    let kept = saved(&Scripted::published(OPEN, "e1"));
    let (mut server, restored) = restarted(&kept, 3600);
    assert_eq!(restored, Err(NotRestored::Expired));
    server.publish(OPEN);
    assert_eq!(server.expect("PUBLISH").get("SIP-If-Match"), None);
    // It lapses just as well before anybody publishes.
    let (mut server, _) = restarted(&kept, 3500);
    server.advance(secs(200));
    server.nothing();
    assert_eq!(server.updates, []);
    server.publish(OPEN);
    assert_eq!(server.expect("PUBLISH").get("SIP-If-Match"), None);
}

#[test]
fn pub_20_what_is_damaged_does_not_go_on_and_no_end_lies_too_far_ahead() {
    let kept = saved(&Scripted::published(OPEN, "e1"));
    for damage in [
        |s: &mut SavedPublication| s.entity_tag.clear(),
        |s: &mut SavedPublication| s.entity_tag = "a\r\nX: y".into(),
        |s: &mut SavedPublication| s.entity_tag = "a b".into(),
        |s: &mut SavedPublication| s.body = Some("00".into()),
    ] {
        let mut kept = kept.clone();
        damage(&mut kept);
        assert_eq!(restarted(&kept, 0).1, Err(NotRestored::Damaged), "{kept:?}");
    }
    let far = SavedPublication { ends_at: jiff::Timestamp::MAX, ..kept.clone() };
    let (server, restored) = restarted(&far, 0);
    assert_eq!(restored, Ok(()));
    assert_eq!(server.publisher.standing().expires_at, Some(clock(secs(7 * 24 * 3600))));
    let past = SavedPublication { ends_at: START.parse().unwrap(), ..kept };
    assert_eq!(restarted(&past, 0).1, Err(NotRestored::Expired));
}

#[test]
fn pub_20_whoever_keeps_it_is_told_when_it_changes() {
    let mut server = Scripted::new();
    assert!(!server.publisher.take_unsaved());
    server.publish(OPEN);
    assert!(!server.publisher.take_unsaved());
    let initial = server.expect("PUBLISH");
    server.accept(&initial, "e1");
    assert!(server.publisher.take_unsaved() && !server.publisher.take_unsaved());
    server.advance(secs(10));
    server.remove();
    let removal = server.expect("PUBLISH");
    server.answer(&removal, "200 OK", "");
    assert!(server.publisher.take_unsaved());
    assert_eq!(server.publisher.saved(moment(server.after()).at, moment(server.after()).wall), None);
    assert_eq!(server.updates.last(), Some(&Update::Removed));
}
