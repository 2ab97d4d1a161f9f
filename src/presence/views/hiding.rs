//! Since when those who are politely blocked see us offline: since the moment from which they do, as if we had gone
//! offline then, and nothing that we do moves it (POL-03).

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    presence::policy::{Action, Policy},
    sip::events::notifier::View,
};

/// Views of such numbers show us offline.
const FIRST: u32 = 1 << 31;

/// Whom we hide from, and since when; as it is written down too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hiding {
    /// From those without a time of their own.
    pub since: Timestamp,
    /// What hides us from others than those whom a list names: the ids of rules, and `default`.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub by: BTreeSet<Box<str>>,
    /// From these persons.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub persons: BTreeMap<String, Timestamp>,
}

/// The views that show us offline, each since its own moment.
#[derive(Debug, Default)]
pub(crate) struct HidingViews {
    by_second: HashMap<i64, u32>,
    since: BTreeMap<u32, Timestamp>,
}

/// Says whether a view shows us offline, whatever we are.
pub(crate) fn hides(view: View) -> bool {
    view.number >= FIRST
}

impl Hiding {
    pub(crate) fn new(now: Timestamp) -> Self {
        Self { since: now, by: BTreeSet::new(), persons: BTreeMap::new() }
    }

    /// Returns since when we hide from somebody.
    pub(crate) fn since(&self, who: &str) -> Timestamp {
        self.persons.get(who).copied().unwrap_or(self.since)
    }

    /// We begin to hide from somebody who saw us before, unless a list named it already.
    pub(crate) fn begin(&mut self, who: &str, now: Timestamp) -> Timestamp {
        *self.persons.entry(who.to_owned()).or_insert(now)
    }

    /// Goes by what hides us now: whoever is newly hidden from is so since this moment. `is_hidden` says whether we hide
    /// from somebody by a rule who watches.
    pub(crate) fn go_by(
        &mut self,
        policy: &Policy,
        by: impl IntoIterator<Item = Arc<str>>,
        is_hidden: impl Fn(&str) -> bool,
        now: Timestamp,
    ) {
        let by: BTreeSet<Box<str>> = by.into_iter().map(|id| Box::from(&*id)).collect();
        if !by.is_subset(&self.by) {
            self.since = now;
        }
        self.by = by;
        let listed = |who: &str| policy.listed(who) == Some(Action::PoliteBlock);
        self.persons.retain(|who, _| listed(who) || is_hidden(who));
        for (who, _) in policy.entries().filter(|(_, action)| *action == Action::PoliteBlock) {
            if !self.persons.contains_key(who) {
                self.persons.insert(who.to_owned(), now);
            }
        }
    }

    /// Goes on with what an earlier run wrote down; a time to come was never written by us.
    pub(crate) fn restore(&mut self, saved: &Self, now: Timestamp) {
        self.since = if self.by.is_subset(&saved.by) { saved.since.min(now) } else { now };
        for (who, since) in &saved.persons {
            // Those whom no list names are kept for the watchers that come back.
            self.persons.insert(who.clone(), (*since).min(now));
        }
    }
}

impl HidingViews {
    /// Returns the view of us offline since then, to the second.
    pub(crate) fn of(&mut self, since: Timestamp) -> u32 {
        let Self { by_second, since: views } = self;
        *by_second.entry(since.as_second()).or_insert_with(|| {
            let number = views.last_key_value().map_or(FIRST, |(last, _)| last.saturating_add(1));
            views.insert(number, since);
            number
        })
    }

    /// Returns since when a view shows us offline.
    pub(crate) fn since(&self, number: u32) -> Option<Timestamp> {
        self.since.get(&number).copied()
    }

    /// Forgets the views that nobody has.
    pub(crate) fn retain(&mut self, is_seen: impl Fn(u32) -> bool) {
        self.since.retain(|number, _| is_seen(*number));
        self.by_second.retain(|_, number| self.since.contains_key(number));
    }
}
