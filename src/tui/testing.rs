//! What the tests of this module share.

use jiff::Timestamp;

use crate::client::{Buddy, Kind, Line, PresenceStatus};

/// A Monday at noon, UTC.
pub(super) const NOW: &str = "2026-10-19T12:00:00Z";

pub(super) fn buddies(list: &[(&str, &str, &[&str])]) -> Vec<Buddy> {
    let one = |(name, address, groups): &(&str, &str, &[&str])| Buddy {
        name: Some((*name).to_owned()),
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        ..Buddy::new(*address)
    };
    list.iter().map(one).collect()
}

pub(super) fn change(address: &str, status: &str, note: &str) -> Line {
    let ts: Timestamp = NOW.parse().unwrap();
    let mut line = Line::new(Kind::Change, 0, ts);
    line.presentity = Some(address.to_owned());
    line.set_status(PresenceStatus::from_word(status).as_ref());
    line.set_freshness(crate::client::Freshness::Fresh);
    line.note = Some(note.to_owned()).filter(|note| !note.is_empty());
    line.since = Some(ts);
    line
}
