use super::*;
use crate::presence::{
    info::{Device, Note, PresenceInfo, RawElement},
    status::Basic,
};

fn ts() -> Timestamp {
    "2026-03-02T09:15:00Z".parse().unwrap()
}

fn state() -> PresentityState {
    PresentityState {
        name: Some("Bob".into()),
        info: Some(PresenceInfo {
            entity: "sip:bob@192.0.2.20".into(),
            status: Some(PresenceStatus::Custom("Tea".into())),
            basic: Some(Basic::Open),
            activities: vec![Activity::Other("Tea".into()), Activity::Working],
            note: Some(Note { text: "back\nsoon".into(), lang: Some("en".into()) }),
            devices: vec![Device { id: Some("t1".into()), ..Device::default() }],
            timestamp: Some(ts()),
            raw: vec![RawElement { name: "x".into(), ..RawElement::default() }],
            ..PresenceInfo::default()
        }),
        freshness: Freshness::Fresh,
        since: Some(ts()),
        since_from: Some(SinceFrom::Peer),
        subscription: Some(SubscriptionInfo {
            state: "active".into(),
            expires_in: Some(3600),
            ..SubscriptionInfo::default()
        }),
        previous: Some(Previous::of(Some(&PresenceStatus::DoNotDisturb), None)),
        ..PresentityState::new("bob@192.0.2.20")
    }
}

#[test]
fn a_line_is_one_json_object_and_omits_what_is_not_known() {
    let json = state().to_line(Kind::Change, 7, ts()).to_json();
    assert_eq!(
        json,
        concat!(
            r#"{"schema":1,"kind":"change","ts":"2026-03-02T09:15:00Z","seq":7,"presentity":"bob@192.0.2.20","name":"Bob","#,
            r#""status":"custom","text":"Tea","basic":"open","activities":["other:Tea","working"],"note":"back\nsoon","note_lang":"en","#,
            r#""since":"2026-03-02T09:15:00Z","since_from":"peer","freshness":"fresh","entity":"sip:bob@192.0.2.20","#,
            r#""devices":[{"id":"t1"}],"raw":[{"name":"x"}],"subscription":{"state":"active","expires_in":3600},"previous":{"status":"dnd"}}"#
        )
    );
    let unknown = PresentityState::new("carol").to_line(Kind::Snapshot, 0, ts()).to_json();
    assert_eq!(
        unknown,
        r#"{"schema":1,"kind":"snapshot","ts":"2026-03-02T09:15:00Z","seq":0,"presentity":"carol","status":"unknown","freshness":"unknown"}"#
    );
}

#[test]
fn a_line_is_read_back_as_the_same_line_and_the_same_state() {
    let failed = PresentityState { freshness: Freshness::Failed(FailureCode::Timeout), ..PresentityState::new("x") };
    for state in [state(), failed, PresentityState::new("carol")] {
        let line = state.to_line(Kind::Snapshot, 1, ts());
        let read = Line::from_json(&line.to_json()).unwrap();
        assert_eq!(read, line);
        assert_eq!(read.to_state().unwrap(), state);
    }
    assert!(Line::from_json(r#"{"schema":1,"kind":"ready","ts":"2026-03-02T09:15:00Z","seq":1,"new":1}"#).is_ok());
    assert_eq!(Line::new(Kind::Ready, 1, ts()).to_state(), None);
}

#[test]
fn a_headline_says_each_thing_once() {
    let with = |status: PresenceStatus, activities: &[Activity], note: &str, freshness| PresentityState {
        info: Some(PresenceInfo {
            status: Some(status),
            activities: activities.to_vec(),
            note: Some(Note { text: note.into(), lang: None }).filter(|note| !note.text.is_empty()),
            ..PresenceInfo::default()
        }),
        freshness,
        ..PresentityState::new("x")
    };
    let fresh = Freshness::Fresh;
    let line =
        |status, activities: &[Activity], note: &str, freshness| with(status, activities, note, freshness).headline();
    assert_eq!(line(PresenceStatus::Busy, &[Activity::Busy], "Busy", fresh), "busy");
    assert_eq!(
        line(PresenceStatus::Busy, &[Activity::Busy, Activity::Meeting], "till 10", fresh),
        "busy, meeting: till 10"
    );
    assert_eq!(line(PresenceStatus::DoNotDisturb, &[Activity::Busy], "Do not disturb", fresh), "dnd");
    assert_eq!(line(PresenceStatus::Custom("Tea".into()), &[Activity::Other("Tea".into())], "Tea", fresh), "Tea");
    assert_eq!(line(PresenceStatus::Away, &[Activity::Away], "", Freshness::Stale), "away (stale)");
    assert_eq!(PresentityState::new("x").headline(), "unknown");
    let failed = PresentityState { freshness: Freshness::Failed(FailureCode::Sip(404)), ..PresentityState::new("x") };
    assert_eq!(failed.headline(), "unknown (failed: 404)");
    assert_eq!(
        (failed.status_word(), failed.display_name(), failed.code()),
        ("unknown", "x", Some(FailureCode::Sip(404)))
    );
}

#[test]
fn an_event_survives_json() {
    let events = [
        PresenceEvent::PresencePublished {
            entity: "sip:a@b".into(),
            status: PresenceStatus::Custom("Tea".into()),
            note: Some("n".into()),
            timestamp: ts(),
        },
        PresenceEvent::SubscriptionRequest { subscriber: "sip:c@d".into(), target: "sip:a@b".into(), expires: 3600 },
        PresenceEvent::SubscriptionAccepted { subscription_id: "1".into(), subscriber: "c".into(), target: "a".into() },
        PresenceEvent::PresenceNotification {
            subscription_id: "1".into(),
            entity: "e".into(),
            status: None,
            note: None,
        },
        PresenceEvent::SubscriptionTerminated { subscription_id: "1".into(), reason: "noresource".into() },
        PresenceEvent::PublicationFailed { entity: "e".into(), code: FailureCode::Sip(489), message: "no".into() },
        PresenceEvent::FreshnessChanged {
            subscription_id: "1".into(),
            entity: "e".into(),
            freshness: Freshness::Failed(FailureCode::Dns),
        },
        PresenceEvent::Warning { about: "e".into(), message: "m".into() },
    ];
    for event in events {
        let json = serde_json::to_string(&event).unwrap();
        assert_eq!(serde_json::from_str::<PresenceEvent>(&json).unwrap(), event, "{json}");
    }
    let event = PresenceEvent::PresenceNotification {
        subscription_id: "1".into(),
        entity: "e".into(),
        status: Some(PresenceStatus::DoNotDisturb),
        note: None,
    };
    let json = serde_json::to_string(&event).unwrap();
    assert_eq!(json, r#"{"event":"presence_notification","subscription_id":"1","entity":"e","status":"dnd"}"#);
}
