//! Who is on the list and what is known of them, folded from the lines that the agent sends.

use std::collections::{HashMap, VecDeque};

use jiff::Timestamp;

use crate::client::{
    Buddy, Freshness, Kind, Line, PresenceStatus, PresentityState,
    buddy::{address_key, fold},
    shown::{self, Tone},
    text::visible,
};

/// How many changes of one person are kept.
const KEPT: usize = 100;

/// Somebody on the list.
#[derive(Clone, Debug)]
pub(super) struct Person {
    /// As the list has it.
    pub(super) buddy: Buddy,
    /// Name or address, safe to print.
    pub(super) name: String,
    /// The same for sorting.
    pub(super) sorted: String,
    /// Everything that a filter looks at.
    pub(super) folded: String,
    /// Whose state it is, for two entries of one address the same.
    slot: usize,
}

/// What is known of an address.
#[derive(Clone, Debug)]
pub(super) struct Watched {
    /// Its newest state.
    pub(super) state: PresentityState,
    /// Status, activities and note in a line, safe to print; without doubts.
    pub(super) headline: String,
    /// When the status became what it is.
    pub(super) changed: Option<Timestamp>,
    /// What it was, the newest last.
    pub(super) past: VecDeque<Past>,
    /// Whether it was available when that was sure last.
    was_available: bool,
}

/// What somebody was at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Past {
    pub(super) at: Timestamp,
    pub(super) symbol: &'static str,
    pub(super) tone: Tone,
    /// Safe to print.
    pub(super) words: String,
}

/// Somebody is something else than before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Turn {
    /// Who, as a place in the list.
    pub(super) person: usize,
    /// What it was before, in words.
    pub(super) before: String,
    pub(super) now: Past,
    /// Became available, and was something else when that was sure last.
    pub(super) arrived: bool,
    /// It is a first state, no change.
    pub(super) first: bool,
}

/// The list, and what is known of everybody on it.
#[derive(Clone, Debug, Default)]
pub(super) struct People {
    pub(super) list: Vec<Person>,
    watched: Vec<Watched>,
    slots: HashMap<String, usize>,
    /// The first entry of each slot.
    first: Vec<usize>,
}

impl Watched {
    fn new(address: &str) -> Self {
        let state = PresentityState::new(address);
        Self { headline: headline(&state), state, changed: None, past: VecDeque::new(), was_available: false }
    }

    /// Returns whether the person became available; what was in doubt for a while and is as before did not.
    fn arrives(&mut self) -> bool {
        let is_available = self.is_available();
        if self.state.freshness != Freshness::Fresh {
            return false;
        }
        !std::mem::replace(&mut self.was_available, is_available) && is_available
    }

    /// Returns whether it is sure that the person can be reached.
    pub(super) fn is_available(&self) -> bool {
        let status = self.state.status();
        self.state.freshness == Freshness::Fresh
            && matches!(status, Some(PresenceStatus::Available | PresenceStatus::Custom(_)))
    }

    /// Returns whether there is nobody to reach, as far as is known.
    pub(super) fn is_offline(&self) -> bool {
        matches!(self.state.status(), None | Some(PresenceStatus::Offline))
    }
}

/// Returns a state in a line without its doubts, safe to print: `busy, meeting: back at ten`.
fn headline(state: &PresentityState) -> String {
    let line = PresentityState { freshness: Freshness::Fresh, ..state.clone() }.headline();
    visible(&line)
}

/// Returns how sure a state is, where it is not: `stale`, `failed: 404`; without the reason.
pub(super) fn doubt(state: &PresentityState) -> Option<String> {
    match (state.freshness, state.code()) {
        (Freshness::Fresh, _) => None,
        (Freshness::Unknown, _) if state.status().is_none() => None,
        (freshness, Some(code)) => Some(format!("{}: {code}", freshness.word())),
        (freshness, None) => Some(freshness.word().to_owned()),
    }
}

impl People {
    /// Returns what is known of somebody.
    pub(super) fn of(&self, person: usize) -> Option<&Watched> {
        self.list.get(person).and_then(|person| self.watched.get(person.slot))
    }

    /// Puts another list in the place of this one; what is known of whoever stays is kept.
    pub(super) fn replace(&mut self, buddies: Vec<Buddy>) {
        let mut known: HashMap<String, Watched> = HashMap::with_capacity(self.watched.len());
        let mut watched: Vec<Option<Watched>> = std::mem::take(&mut self.watched).into_iter().map(Some).collect();
        for (key, slot) in self.slots.drain() {
            known.extend(watched.get_mut(slot).and_then(Option::take).map(|watched| (key, watched)));
        }
        self.first.clear();
        self.list = Vec::with_capacity(buddies.len());
        for buddy in buddies {
            let key = address_key(&buddy.address);
            let slot = self.slots.get(&key).copied().unwrap_or_else(|| {
                self.watched.push(known.remove(&key).unwrap_or_else(|| Watched::new(&buddy.address)));
                self.first.push(self.list.len());
                self.slots.insert(key, self.watched.len() - 1);
                self.watched.len() - 1
            });
            self.list.push(Person::new(buddy, slot));
        }
    }

    /// Takes a document that was fetched; it is shown until another state comes.
    pub(super) fn put_document(&mut self, address: &str, document: &str) {
        let slot = self.slots.get(&address_key(address)).copied();
        if let Some(watched) = slot.and_then(|slot| self.watched.get_mut(slot)) {
            watched.state.document = Some(document.into());
        }
    }

    /// Takes a line about somebody; returns what turned by it.
    pub(super) fn take(&mut self, line: &Line) -> Option<Turn> {
        let slot = *self.slots.get(&address_key(line.presentity.as_deref()?))?;
        let watched = self.watched.get_mut(slot)?;
        if line.kind == Kind::Subscription || line.status.is_none() {
            watched.state.subscription.clone_from(&line.subscription);
            return None;
        }
        let mut state = line.to_state()?;
        if state.document.is_none() && state.info == watched.state.info {
            state.document.clone_from(&watched.state.document);
        }
        let before = said(&watched.headline, &watched.state);
        let first = watched.past.is_empty();
        let same = watched.state.info == state.info && watched.state.freshness == state.freshness;
        let same_status = watched.state.status() == state.status();
        watched.headline = headline(&state);
        watched.state = state;
        if !same_status || watched.changed.is_none() {
            watched.changed = watched.state.since.or(Some(line.ts));
        }
        let now = Past {
            at: line.ts,
            symbol: shown::symbol(&watched.state),
            tone: Tone::of(&watched.state),
            words: said(&watched.headline, &watched.state),
        };
        let arrived = watched.arrives();
        if same || watched.past.back().is_some_and(|last| last.words == now.words) {
            return None;
        }
        if watched.past.len() >= KEPT {
            watched.past.pop_front();
        }
        watched.past.push_back(now.clone());
        Some(Turn { person: *self.first.get(slot)?, before, now, arrived, first })
    }

    /// Says of everything that was fresh that nobody keeps it up any more.
    pub(super) fn turn_stale(&mut self) {
        for watched in self.watched.iter_mut().filter(|watched| watched.state.freshness == Freshness::Fresh) {
            watched.state.freshness = Freshness::Stale;
        }
    }

    /// Returns the groups, in the order of their first member.
    pub(super) fn groups(&self) -> Vec<String> {
        let mut seen = std::collections::HashSet::new();
        let groups = self.list.iter().flat_map(|person| &person.buddy.groups);
        groups.filter(|group| seen.insert(fold(group))).cloned().collect()
    }
}

fn said(headline: &str, state: &PresentityState) -> String {
    match doubt(state) {
        Some(doubt) => format!("{headline} ({doubt})"),
        None => headline.to_owned(),
    }
}

impl Person {
    fn new(buddy: Buddy, slot: usize) -> Self {
        let name = shown::address(buddy.name.as_deref().unwrap_or(&buddy.address));
        let folded = [buddy.words().collect::<Vec<_>>().join(" "), shown::address(&buddy.address)].join(" ");
        Self { sorted: fold(&name), folded: fold(&folded), name, slot, buddy }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::testing::{buddies, change};

    #[test]
    fn a_line_is_known_by_its_address_however_it_is_written() {
        let mut people = People::default();
        people.replace(buddies(&[("Alice", "sip:alice@example.com", &[]), ("same", "alice@EXAMPLE.com:5060", &[])]));
        let turn = people.take(&change("alice@example.com", "busy", "")).unwrap();
        assert_eq!((turn.person, turn.first, turn.now.words.as_str()), (0, true, "busy"));
        assert_eq!(people.of(0).unwrap().headline, "busy");
        assert_eq!(people.of(1).unwrap().headline, "busy", "two entries of one address have one state");
        assert_eq!(people.take(&change("nobody@example.com", "busy", "")), None);
    }

    #[test]
    fn another_list_keeps_what_is_known_of_whoever_stays() {
        let mut people = People::default();
        people.replace(buddies(&[("Alice", "alice@h", &[]), ("Bob", "bob@h", &[])]));
        people.take(&change("alice@h", "away", ""));
        people.take(&change("bob@h", "busy", ""));
        people.replace(buddies(&[("Bobby", "bob@h", &["team"]), ("Carol", "carol@h", &[])]));
        assert_eq!(people.of(0).unwrap().headline, "busy");
        assert_eq!(people.of(1).unwrap().headline, "unknown");
        assert_eq!(people.take(&change("alice@h", "busy", "")), None);
    }

    #[test]
    fn the_same_again_is_no_turn_and_becoming_available_is_an_arrival() {
        let mut people = People::default();
        people.replace(buddies(&[("Alice", "alice@h", &[])]));
        assert!(people.take(&change("alice@h", "busy", "x")).unwrap().first);
        assert_eq!(people.take(&change("alice@h", "busy", "x")), None);
        let turn = people.take(&change("alice@h", "available", "")).unwrap();
        assert!(turn.arrived && !turn.first);
        assert_eq!(turn.before, "busy: x");
        people.turn_stale();
        assert!(!people.of(0).unwrap().is_available());
    }
}
