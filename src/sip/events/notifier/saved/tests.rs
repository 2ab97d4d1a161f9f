//! What is written down reads back, and what is damaged does not.

use jiff::SignedDuration;

use super::*;

const LISTEN: &str = "192.0.2.20:5060";

fn wall() -> Timestamp {
    "2026-03-02T09:15:00Z".parse().unwrap()
}

fn saved() -> SavedSubscription {
    SavedSubscription {
        call_id: "a84b@192.0.2.10".into(),
        local: "<sip:bob@192.0.2.20>".into(),
        local_tag: "abcdefghijklmnop".into(),
        remote: "\"Alice \\\"A\\\"\" <sip:alice@192.0.2.10>".into(),
        remote_tag: "9fxced".into(),
        local_seq: 3,
        remote_seq: Some(7),
        target: "sip:alice@192.0.2.10:5060".into(),
        routes: vec!["sip:192.0.2.10;lr".into()],
        event_id: Some("7".into()),
        watcher: "sip:alice@192.0.2.10".into(),
        source: "192.0.2.10:5060".parse().unwrap(),
        listen: LISTEN.parse().unwrap(),
        contact_user: "bob".into(),
        ends_at: wall() + SignedDuration::from_secs(200),
        gives_up_at: None,
        rates: Rates::default(),
        owed: false,
    }
}

fn revive(saved: &SavedSubscription) -> Result<Revived, NotRestored> {
    saved.revive(&[LISTEN.parse().unwrap()], Instant::from_origin(seconds(5)), wall())
}

#[test]
fn not_29_what_is_read_back_is_what_was_saved_but_for_the_jump() {
    let before = saved();
    let revived = revive(&before).unwrap();
    let after = revived.served.saved(Instant::from_origin(seconds(5)), wall());
    assert_eq!(after, SavedSubscription { local_seq: 10_003, ..before });
}

#[test]
fn not_29_what_no_peer_could_have_sent_is_damaged() {
    type Damage = fn(&mut SavedSubscription);
    let damages: [(&str, Damage); 22] = [
        ("call-id", |s| s.call_id = "a\r\nX: y".into()),
        ("call-id", |s| s.call_id = "a b".into()),
        ("call-id", |s| s.call_id.clear()),
        ("local", |s| s.local = "<sip:bob@192.0.2.20>\r\nX: y".into()),
        ("local", |s| s.local = "\"B\r\nX: y\" <sip:bob@192.0.2.20>".into()),
        ("local", |s| s.local = "<sip:bob@192.0.2.20>;tag=other".into()),
        ("local", |s| s.local = "<sip:bob@192.0.2.20>, <sip:eve@192.0.2.66>".into()),
        ("local tag", |s| s.local_tag = "short".into()),
        ("local tag", |s| s.local_tag = "abcdefghijklmno\n".into()),
        ("remote", |s| s.remote = "bob".into()),
        ("remote", |s| s.remote.clear()),
        ("remote tag", |s| s.remote_tag = "x;y=z".into()),
        ("remote tag", |s| s.remote_tag = "x\r\nX: y".into()),
        ("local seq", |s| s.local_seq = SEQ_END - 2 * SEQ_JUMP),
        ("local seq", |s| s.local_seq = u32::MAX),
        ("remote seq", |s| s.remote_seq = Some(SEQ_END)),
        ("target", |s| s.target = "sip:alice@192.0.2.10 SIP/2.0\r\nX: y".into()),
        ("routes", |s| s.routes = vec!["sip:h>\r\nX: <y".into()]),
        ("routes", |s| s.routes = vec!["sip:192.0.2.10;lr".into(); 21]),
        ("event id", |s| s.event_id = Some("7\r\nX: y".into())),
        ("watcher", |s| s.watcher = "nobody".into()),
        ("contact user", |s| s.contact_user = "bob>\r\nX: <y".into()),
    ];
    for (n, (what, damage)) in damages.into_iter().enumerate() {
        let mut saved = saved();
        damage(&mut saved);
        assert_eq!(revive(&saved).err(), Some(NotRestored::Damaged), "{n}: {what}");
    }
}

#[test]
fn not_29_what_has_expired_or_lost_its_socket_is_dropped_and_no_end_lies_too_far_ahead() {
    let expired = SavedSubscription { ends_at: wall(), ..saved() };
    assert_eq!(revive(&expired).err(), Some(NotRestored::Expired));
    for listen in ["192.0.2.20:5070", "192.0.2.21:5060"] {
        let elsewhere = SavedSubscription { listen: listen.parse().unwrap(), ..saved() };
        assert_eq!(revive(&elsewhere).err(), Some(NotRestored::Elsewhere));
    }
    for ends_at in [Timestamp::MAX, wall() + SignedDuration::from_hours(24 * 8)] {
        let served = revive(&SavedSubscription { ends_at, gives_up_at: Some(ends_at), ..saved() }).unwrap().served;
        let latest = Instant::from_origin(seconds(5 + MAX_EXPIRES));
        assert_eq!((served.expires_at, served.gives_up_at), (latest, Some(latest)));
    }
    assert_eq!(revive(&SavedSubscription { ends_at: Timestamp::MIN, ..saved() }).err(), Some(NotRestored::Expired));
}
