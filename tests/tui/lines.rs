//! What an agent tells, for pictures and for the agent of these tests.

use jiff::Timestamp;
use sippresence::client::{
    Buddy, Freshness, Kind, Layer, LayerKind, Line, PresenceStatus, StatusWord, SubscriptionInfo, WatcherGrade,
    WatcherInfo,
};

/// A Monday at noon, UTC.
pub(crate) const NOON: &str = "2026-10-19T12:00:00Z";

fn at(time: &str) -> Timestamp {
    time.parse().unwrap()
}

pub(crate) fn line(kind: Kind) -> Line {
    Line::new(kind, 0, at(NOON))
}

pub(crate) fn buddy(name: &str, address: &str, groups: &[&str]) -> Buddy {
    let mut buddy = Buddy::new(address);
    buddy.name = Some(name.to_owned());
    buddy.groups = groups.iter().map(|group| (*group).to_owned()).collect();
    buddy
}

pub(crate) fn list(buddies: Vec<Buddy>) -> Line {
    let mut line = line(Kind::Buddies);
    line.buddies = buddies;
    line
}

/// Somebody is something: `status` is a word of the seven, or the text of a custom one.
pub(crate) fn state(kind: Kind, address: &str, status: &str, note: &str) -> Line {
    let mut line = line(kind);
    let status = PresenceStatus::from_word(status).unwrap_or_else(|| PresenceStatus::Custom(status.to_owned()));
    line.presentity = Some(address.to_owned());
    line.set_status(Some(&status));
    line.set_freshness(Freshness::Fresh);
    line.note = Some(note.to_owned()).filter(|note| !note.is_empty());
    line.since = Some(at("2026-10-19T11:42:00Z"));
    line
}

/// Nothing is known of somebody, or it is not sure.
pub(crate) fn doubtful(address: &str, freshness: Freshness) -> Line {
    let mut line = line(Kind::Snapshot);
    line.presentity = Some(address.to_owned());
    line.set_status(None);
    line.set_freshness(freshness);
    line
}

pub(crate) fn publication(status: StatusWord, note: &str, until: Option<&str>) -> Line {
    let mut line = line(Kind::Publication);
    line.presentity = Some("sip:me@example.com".to_owned());
    line.status = Some(status);
    let layer = |lasts, status, note: &str, until: Option<&str>| Layer {
        lasts,
        status,
        text: None,
        note: Some(note.to_owned()).filter(|note| !note.is_empty()),
        until: until.map(at),
    };
    if until.is_some() {
        line.layers.push(layer(LayerKind::Until, status, note, until));
        line.layers.push(layer(LayerKind::Base, StatusWord::Available, "", None));
    } else {
        line.layers.push(layer(LayerKind::Base, status, note, None));
    }
    line.addresses = vec!["sip:me@192.168.1.20:5060".to_owned()];
    line
}

pub(crate) fn watcher(who: &str, state: &str, identity: WatcherGrade) -> Line {
    let info = WatcherInfo { since: Some(at("2026-10-19T11:58:00Z")), ..WatcherInfo::new(who, identity, state) };
    Line::watcher(0, at(NOON), info)
}

/// People of every kind, with names and notes of every script.
pub(crate) fn cast() -> Vec<Line> {
    let mut alice = buddy("Alice Martin", "alice@example.com", &["team", "oncall"]);
    alice.mark = true;
    let mut nobody = buddy("frank", "frank@nowhere.invalid", &[]);
    nobody.watch = false;
    let mut lines = vec![
        list(vec![
            alice,
            buddy("Bob", "bob@example.com", &["team"]),
            buddy("Carol of the very long name", "carol@example.org", &["team"]),
            buddy("李小龍", "li@example.cn", &["team"]),
            buddy("שלום כהן", "shalom@example.co.il", &["friends"]),
            buddy("Zoë 👩‍💻", "zoe@example.net", &["friends"]),
            buddy("e\u{301}lodie", "elodie@example.fr", &["friends"]),
            buddy("dave", "dave@192.0.2.7:5070", &["oncall"]),
            Buddy::new("sip:erin@example.com"),
            nobody,
            buddy("grace", "grace@example.com", &[]),
            buddy("heidi", "heidi@example.com", &[]),
        ]),
        publication(StatusWord::Busy, "in a talk", Some("2026-10-19T12:25:00Z")),
        watcher("sip:mallory@example.com", "pending", WatcherGrade::Claimed),
        watcher("sip:bob@example.com", "active", WatcherGrade::Verified),
    ];
    let mut alice = state(Kind::Snapshot, "alice@example.com", "available", "at my desk");
    alice.subscription = Some(SubscriptionInfo {
        state: "active".to_owned(),
        route: Some("through example.com: the server of the account".to_owned()),
        expires_in: Some(3000),
        ..SubscriptionInfo::default()
    });
    lines.push(alice);
    lines.push(state(Kind::Snapshot, "bob@example.com", "busy", "the numbers of the quarter until half past four"));
    let mut carol = state(Kind::Snapshot, "carol@example.org", "away", "lunch");
    carol.set_freshness(Freshness::Stale);
    lines.push(carol);
    lines.push(state(Kind::Snapshot, "li@example.cn", "in-call", "漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字"));
    lines.push(state(Kind::Snapshot, "shalom@example.co.il", "reading papers", "שלום לכולם"));
    lines.push(state(Kind::Snapshot, "zoe@example.net", "dnd", "\u{1b}[31mevil\u{1b}]0;x\u{7} \u{202e}note"));
    let marks = format!("a{}b", "\u{301}".repeat(10_000));
    lines.push(state(Kind::Snapshot, "elodie@example.fr", "available", &marks));
    lines.push(state(Kind::Snapshot, "dave@192.0.2.7:5070", "offline", ""));
    lines.push(doubtful("erin@example.com", Freshness::Pending));
    lines.push(doubtful("grace@example.com", Freshness::Failed("404".parse().unwrap())));
    lines.push(doubtful("heidi@example.com", Freshness::Rejected));
    lines.push(line(Kind::Ready));
    lines
}

/// A thousand people in twenty groups.
pub(crate) fn crowd(count: usize) -> Vec<Line> {
    let address = |n: usize| format!("person{n}@example.com");
    let people = (0..count).map(|n| buddy(&format!("Person {n:04}"), &address(n), &[&format!("group {:02}", n % 20)]));
    let mut lines = vec![list(people.collect())];
    let statuses = ["available", "busy", "away", "offline", "in-call", "dnd"];
    lines.extend((0..count).map(|n| state(Kind::Snapshot, &address(n), statuses[n % 6], "")));
    lines.push(line(Kind::Ready));
    lines
}
