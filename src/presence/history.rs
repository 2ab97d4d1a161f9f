//! Who watched us, or wanted to: what is remembered of people beyond their subscriptions.
//!
//! A watcher that left before anybody decided about it waits here for that (RFC 3857 §4.7.1, `waiting`), thirty days at
//! most. Only those enter who have proven to be where they say (SEC-02), and there is room for a thousand: whoever is gone
//! and was never decided about makes room first. Whoever only claims to be somebody is a person of his own.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::event::{Via, WatcherGrade, WatcherInfo};

/// How many people are remembered.
pub const MAX_PEOPLE: usize = 1000;
/// How long somebody who left undecided waits for a decision.
pub const WAITS_FOR: SignedDuration = SignedDuration::from_hours(30 * 24);
/// Whoever has a longer address, in bytes, is not remembered.
const MAX_ADDRESS: usize = 512;

/// How somebody stands with us, or stood last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stand {
    /// It watches no more.
    Terminated,
    /// It left before anybody decided.
    Waiting,
    /// It waits for a decision.
    Pending,
    /// It sees us as offline.
    PoliteBlock,
    /// It sees us.
    Active,
}

impl Stand {
    /// Returns the word of the JSON lines.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Terminated => "terminated",
            Self::Waiting => "waiting",
            Self::Pending => "pending",
            Self::PoliteBlock => "polite-block",
            Self::Active => "active",
        }
    }

    /// Returns whether nobody decided yet.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Pending | Self::Waiting)
    }
}

/// Tells people apart: address, where they watch, whether they only claim to be that.
pub type PersonKey = (String, Via, bool);

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// The address of record.
    pub who: String,
    /// The name that goes with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Where it watches us.
    pub via: Via,
    /// How sure we are who it is.
    pub identity: WatcherGrade,
    /// How it stands.
    pub state: Stand,
    /// What decided that, by name.
    pub rule: String,
    /// Since when it stands so.
    pub since: Timestamp,
    /// When it was decided, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_at: Option<Timestamp>,
    /// When it came first.
    pub first_seen: Timestamp,
    /// When it was there last.
    pub last_seen: Timestamp,
}

impl Person {
    /// Makes somebody who is seen for the first time.
    pub fn new(who: &str, via: Via, identity: WatcherGrade, state: Stand, rule: &str, now: Timestamp) -> Self {
        Self {
            who: who.to_owned(),
            display_name: None,
            via,
            identity,
            state,
            rule: rule.to_owned(),
            since: now,
            decided_at: (!state.is_open()).then_some(now),
            first_seen: now,
            last_seen: now,
        }
    }

    /// Returns what it is told apart by.
    pub fn key(&self) -> PersonKey {
        (self.who.clone(), self.via, self.identity == WatcherGrade::Claimed)
    }

    /// Makes the part of the JSON line that describes it.
    pub fn to_info(&self) -> WatcherInfo {
        WatcherInfo {
            display_name: self.display_name.clone(),
            via: self.via,
            reason: Some(self.rule.clone()),
            since: Some(self.since),
            decided_at: self.decided_at,
            first_seen: Some(self.first_seen),
            last_seen: Some(self.last_seen),
            ..WatcherInfo::new(&self.who, self.identity, self.state.as_str())
        }
    }

    /// Takes over what is newer, and keeps what is older.
    fn renew(&mut self, seen: Self) {
        let Self { display_name, identity, state, rule, since, decided_at, last_seen, .. } = seen;
        if (state, &rule) != (self.state, &self.rule) {
            self.since = since;
        }
        if state.is_open() || rule != self.rule || self.decided_at.is_none() {
            self.decided_at = decided_at;
        }
        (self.state, self.rule, self.identity) = (state, rule, identity);
        self.display_name = display_name.or_else(|| self.display_name.take());
        self.last_seen = self.last_seen.max(last_seen);
    }
}

/// All that is remembered; see the module's text.
#[derive(Debug, Default)]
pub struct History {
    people: BTreeMap<PersonKey, Remembered>,
    /// In the order in which they make room.
    order: BTreeSet<Place>,
    unsaved: bool,
}

#[derive(Debug)]
struct Remembered {
    person: Person,
    /// How many subscriptions it has now.
    live: u32,
}

/// How much was decided, whether it is there, when it was seen last.
type Place = (Decided, bool, Timestamp, PersonKey);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Decided {
    Not,
    /// As about everybody who is on no list.
    ByDefault,
    About,
}

impl History {
    /// Remembers what an earlier run did; nobody is there yet. What lies in the future was never seen.
    pub fn restore(&mut self, people: impl IntoIterator<Item = Person>, now: Timestamp) {
        for mut person in people {
            for at in [&mut person.since, &mut person.first_seen, &mut person.last_seen] {
                *at = (*at).min(now);
            }
            person.decided_at = person.decided_at.map(|at| at.min(now));
            self.put(person, 0);
        }
    }

    /// Somebody came, with one more subscription.
    pub fn came(&mut self, seen: Person) {
        self.put(seen, 1);
    }

    /// Somebody who is there is judged otherwise.
    pub fn judged(&mut self, seen: Person) {
        self.put(seen, 0);
    }

    /// One subscription of somebody ended. With the last one whoever was not decided about waits, where that is for us to
    /// decide; all others are gone.
    pub fn left(&mut self, key: &PersonKey, now: Timestamp) {
        self.change(key, |remembered| {
            remembered.live = remembered.live.saturating_sub(1);
            remembered.person.last_seen = now;
            if remembered.live == 0 {
                remembered.gone(now);
            }
        });
    }

    /// It was a mistake that somebody came: it is somebody else.
    pub fn mistaken(&mut self, key: &PersonKey) {
        let Some(remembered) = self.people.get(key) else { return };
        if remembered.live <= 1 {
            self.remove(key);
        } else {
            self.change(key, |remembered| remembered.live -= 1);
        }
    }

    /// Whoever did not come back after a start is gone.
    pub fn all_are_back(&mut self, via: Via, now: Timestamp) {
        let absent = self.people.iter().filter(|(key, remembered)| key.1 == via && remembered.live == 0);
        let absent: Vec<PersonKey> = absent.map(|(key, _)| key.clone()).collect();
        for key in absent {
            self.change(&key, |remembered| remembered.gone(now));
        }
    }

    /// Another policy is in force: whoever waits for a decision may have one, of which `decide` returns the name.
    pub fn decide(&mut self, decide: impl Fn(&Person) -> Option<String>, now: Timestamp) {
        let decided = self.waiting().filter_map(|person| Some((person.key(), decide(person)?)));
        let decided: Vec<(PersonKey, String)> = decided.collect();
        for (key, rule) in decided {
            self.change(&key, |Remembered { person, .. }| {
                (person.state, person.rule) = (Stand::Terminated, rule);
                (person.since, person.decided_at) = (now, Some(now));
            });
        }
    }

    /// Forgets somebody who is not there; returns whether that was anybody.
    pub fn forget(&mut self, who: &str) -> bool {
        let keys = [Via::Direct, Via::Server].into_iter().flat_map(|via| [false, true].map(|claimed| (via, claimed)));
        let mut any = false;
        for (via, claimed) in keys {
            let key = (who.to_owned(), via, claimed);
            if self.people.get(&key).is_some_and(|remembered| remembered.live == 0) {
                self.remove(&key);
                any = true;
            }
        }
        any
    }

    /// Forgets whoever was gone for too long, undecided; returns whether that was anybody.
    pub fn expire(&mut self, now: Timestamp) -> bool {
        let mut any = false;
        while self.expires_at().is_some_and(|at| at <= now)
            && let Some((.., key)) = self.order.first().cloned()
        {
            self.remove(&key);
            any = true;
        }
        any
    }

    /// Returns when [`expire`](Self::expire) has something to do.
    pub fn expires_at(&self) -> Option<Timestamp> {
        let (decided, there, last_seen, _) = self.order.first()?;
        (*decided == Decided::Not && !there).then(|| last_seen.checked_add(WAITS_FOR).unwrap_or(Timestamp::MAX))
    }

    /// Goes through those who left undecided.
    pub fn waiting(&self) -> impl Iterator<Item = &Person> {
        let gone = self.order.range(..(Decided::Not, true, Timestamp::MIN, (String::new(), Via::Direct, false)));
        let gone = gone.filter_map(|(.., key)| self.people.get(key)).map(|remembered| &remembered.person);
        gone.filter(|person| person.state == Stand::Waiting)
    }

    /// Returns what is remembered of somebody.
    pub fn get(&self, key: &PersonKey) -> Option<&Person> {
        self.people.get(key).map(|remembered| &remembered.person)
    }

    /// Returns everybody, by address; whoever is there was last seen now.
    pub fn people(&self, now: Timestamp) -> Vec<Person> {
        let seen = |remembered: &Remembered| match remembered.live {
            0 => remembered.person.clone(),
            _ => Person { last_seen: now, ..remembered.person.clone() },
        };
        self.people.values().map(seen).collect()
    }

    /// Returns whether it is another than when this was asked last.
    pub fn take_unsaved(&mut self) -> bool {
        std::mem::take(&mut self.unsaved)
    }

    fn put(&mut self, seen: Person, came: u32) {
        if seen.who.len() > MAX_ADDRESS {
            return;
        }
        let key = seen.key();
        if self.people.contains_key(&key) {
            self.change(&key, |remembered| {
                remembered.live += came;
                remembered.person.renew(seen);
            });
            return;
        }
        let remembered = Remembered { person: seen, live: came };
        self.order.insert(remembered.place());
        self.people.insert(key, remembered);
        self.unsaved = true;
        while self.people.len() > MAX_PEOPLE {
            let Some((.., key)) = self.order.first().cloned() else { return };
            self.remove(&key);
        }
    }

    fn change(&mut self, key: &PersonKey, change: impl FnOnce(&mut Remembered)) {
        let Some(remembered) = self.people.get_mut(key) else { return };
        let (place, before) = (remembered.place(), remembered.person.clone());
        change(remembered);
        self.order.remove(&place);
        self.order.insert(remembered.place());
        self.unsaved |= remembered.person != before;
    }

    fn remove(&mut self, key: &PersonKey) {
        if let Some(remembered) = self.people.remove(key) {
            self.order.remove(&remembered.place());
            self.unsaved = true;
        }
    }
}

impl Remembered {
    fn place(&self) -> Place {
        let Person { decided_at, rule, last_seen, .. } = &self.person;
        let decided = match decided_at {
            None => Decided::Not,
            Some(_) if rule == "default" => Decided::ByDefault,
            Some(_) => Decided::About,
        };
        (decided, self.live > 0, *last_seen, self.person.key())
    }

    fn gone(&mut self, now: Timestamp) {
        let Person { state, via, since, .. } = &mut self.person;
        let next = if state.is_open() && *via == Via::Direct { Stand::Waiting } else { Stand::Terminated };
        if next != *state {
            (*state, *since) = (next, now);
        }
    }
}

#[cfg(test)]
mod tests;
