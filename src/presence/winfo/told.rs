//! What one subscription to watcher information was told, and what it is to be told next (RFC 3858 §4): everybody at first,
//! then what changed.

use std::collections::BTreeMap;

use super::{Document, Event, List, Status, Watcher};
use crate::sip::events::notifier::Ending;

/// What one subscription was told.
#[derive(Debug)]
pub(crate) struct Told {
    /// The version of the next document.
    version: u32,
    /// Whether that has to tell everybody.
    pub(crate) full: bool,
    /// Whether it is due.
    pub(crate) due: bool,
    /// It is a subscription of this very program, which came back to it.
    pub(crate) own: bool,
    known: BTreeMap<String, Watcher>,
    /// How those ended whom it was told of.
    ends: BTreeMap<String, Event>,
}

impl Told {
    /// Begins with somebody who knows nothing yet.
    pub(crate) fn new(own: bool) -> Self {
        Self { version: 0, full: true, due: true, own, known: BTreeMap::new(), ends: BTreeMap::new() }
    }

    /// Goes on with somebody who was told documents before, all of a lower version than this; it is told everybody.
    pub(crate) fn resumed(version: u32) -> Self {
        Self { version, ..Self::new(false) }
    }

    /// Takes note of how somebody's subscription ended, if that was told of.
    pub(crate) fn ended(&mut self, name: &str, ending: Ending) {
        if self.known.contains_key(name) {
            self.ends.insert(name.to_owned(), event_of(ending));
        }
    }

    /// Makes the next document, of everybody whom there is now.
    pub(crate) fn document(
        &mut self,
        now: &BTreeMap<String, Watcher>,
        decided: impl Fn(&Watcher) -> Event,
        resource: &str,
    ) -> Document {
        let full = std::mem::replace(&mut self.full, false);
        let is_news = |(id, watcher): &(&String, &Watcher)| {
            full || self
                .known
                .get(*id)
                .is_none_or(|known| (known.status, known.event) != (watcher.status, watcher.event))
        };
        let mut watchers: Vec<Watcher> = now.iter().filter(is_news).map(|(_, watcher)| watcher.clone()).collect();
        let gone = self.known.iter().filter(|(id, _)| !full && !now.contains_key(*id));
        watchers.extend(gone.map(|(id, watcher)| {
            let event = self.ends.get(id).copied().unwrap_or_else(|| decided(watcher));
            Watcher { status: Status::Terminated, event, expiration: None, ..watcher.clone() }
        }));
        let list = List { resource: resource.to_owned(), package: "presence".to_owned(), watchers };
        let document = Document { version: self.version, full, lists: vec![list] };
        self.version += 1;
        self.due = false;
        self.known.clone_from(now);
        self.ends.clear();
        document
    }

    /// Returns whether there is something that it was not told.
    pub(crate) fn is_behind(&self, now: &BTreeMap<String, Watcher>) -> bool {
        let stands = |watchers: &BTreeMap<String, Watcher>| -> Vec<(String, Status, Event)> {
            watchers.iter().map(|(id, watcher)| (id.clone(), watcher.status, watcher.event)).collect()
        };
        self.full || stands(&self.known) != stands(now)
    }
}

fn event_of(ending: Ending) -> Event {
    match ending {
        Ending::Left | Ending::Expired | Ending::Unanswered | Ending::Gone(_) => Event::Timeout,
        Ending::Rejected => Event::Rejected,
        Ending::GaveUp => Event::Giveup,
        Ending::Dropped | Ending::Offline => Event::Probation,
    }
}
