//! What of our watchers outlives the process, and how they go on after a start (NOT-29, NOT-23).
//!
//! A snapshot is plain data for a file; where that is kept and when it is written is left to the core's user, who
//! is told by [`Key::Saved`] that it would be another one now.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::IgnoredAny};
use tracing::{info, warn};

use super::{
    Core, Key, Now, Outbox, OwnPresence, Published,
    serving::{Entry, host_of, state_word},
};
use crate::{
    presence::{
        event::{Via, WatcherGrade},
        history::Person,
        policy::canonical,
        views::Hiding,
    },
    sip::{
        events::{
            notifier::{NotRestored, SavedSubscription, Telling, Verdict},
            publisher::SavedPublication,
        },
        uri::UriRef,
    },
};

/// Our watchers, as they are written down: ourselves, strangers who proved nothing and single looks left out.
///
/// An entry that cannot be read costs no other one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "Lenient")]
pub struct SavedServing {
    /// Since when those who are politely blocked see us offline: it tells them nothing of our starts (POL-03).
    pub hiding: Hiding,
    /// Since when we are offline, where we publish nothing.
    pub offline_since: Timestamp,
    /// Since when those who see a part of us, or something else, have seen it, by what that is.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub views: BTreeMap<String, Timestamp>,
    /// The watchers.
    pub watchers: Vec<SavedWatcher>,
    /// Who watched us, or wanted to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<Person>,
    /// What our server keeps of ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publication: Option<SavedPublication>,
    /// How many more there were that could not be read; never written.
    #[serde(skip_serializing)]
    pub unreadable: usize,
}

/// One watcher of ours, as it is written down.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedWatcher {
    /// How sure we were of who it is.
    pub grade: WatcherGrade,
    /// What it was told last: `active`, `pending` or `polite-block`. It is judged anew at the start; this only says
    /// whether that is news to it.
    pub state: String,
    /// What it was shown last, where that is not everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shown: Option<String>,
    /// Since when that has been so.
    pub since: Timestamp,
    /// Since when we hide from it, if we do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hidden_since: Option<Timestamp>,
    /// For how many seconds it asked.
    pub expires: u32,
    /// Its subscription.
    pub subscription: SavedSubscription,
}

#[derive(Deserialize)]
struct Lenient {
    /// As it was written before there were rules.
    #[serde(default)]
    hidden_since: Option<Timestamp>,
    #[serde(default)]
    hiding: Option<Hiding>,
    offline_since: Timestamp,
    #[serde(default)]
    views: BTreeMap<String, Timestamp>,
    #[serde(default)]
    watchers: Vec<Readable<SavedWatcher>>,
    #[serde(default)]
    history: Vec<Readable<Person>>,
    #[serde(default)]
    publication: Option<SavedPublication>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Readable<T> {
    Entry(Box<T>),
    Other(IgnoredAny),
}

/// Returns those that could be read.
fn readable<T>(entries: Vec<Readable<T>>) -> Vec<T> {
    let entries = entries.into_iter().filter_map(|entry| match entry {
        Readable::Entry(entry) => Some(*entry),
        Readable::Other(_) => None,
    });
    entries.collect()
}

impl SavedServing {
    /// Leaves what outlives a goodbye: nobody watches us any more, and who did is remembered.
    #[must_use]
    pub fn after_goodbye(self, now: Timestamp) -> Self {
        Self { offline_since: now, watchers: Vec::new(), publication: None, ..self }
    }
}

impl From<Lenient> for SavedServing {
    fn from(read: Lenient) -> Self {
        let all = read.watchers.len();
        let watchers = readable(read.watchers);
        let unreadable = all - watchers.len();
        Self {
            hiding: read.hiding.unwrap_or_else(|| Hiding::new(read.hidden_since.unwrap_or(read.offline_since))),
            offline_since: read.offline_since,
            views: read.views,
            watchers,
            history: readable(read.history),
            publication: read.publication,
            unreadable,
        }
    }
}

/// What became of the watchers that were read back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// They go on.
    pub kept: usize,
    /// Their subscriptions had ended.
    pub expired: usize,
    /// They know us at an address or port that we do not have now.
    pub elsewhere: usize,
    /// There was no place for them.
    pub no_room: usize,
    /// What was written of them cannot be so.
    pub damaged: usize,
}

impl Core {
    /// Returns what has to be kept for [`restore`](Self::restore); goes through all watchers.
    pub fn saved(&self, now: Now) -> SavedServing {
        let watchers = self.notifier.saved(now.at, now.wall).filter_map(|(id, subscription)| {
            let entry = self.serving.entries.get(&id).filter(|entry| !entry.own)?;
            let verdict = self.notifier.info(id)?.verdict;
            Some(SavedWatcher {
                grade: entry.grade,
                state: state_word(verdict).to_owned(),
                shown: self.shown_by(verdict),
                since: entry.since,
                hidden_since: entry.hidden_since,
                expires: entry.expires,
                subscription,
            })
        });
        SavedServing {
            hiding: self.serving.views.hiding.clone(),
            offline_since: self.serving.views.offline_since,
            views: self.serving.views.saved(),
            watchers: watchers.collect(),
            history: self.watcher_history(now),
            publication: self.publication_to_save(now),
            unreadable: 0,
        }
    }

    /// Goes on with the watchers of an earlier run; to be called before the first input.
    ///
    /// Each is judged by the policy in force, and hears of it only if that is news, or if something was on its way
    /// to it; behind a crash everybody who may see us is told our state, for nobody knows what was lost. What is
    /// [`saved`](Self::saved) from now on has to be on disk before the first NOTIFY leaves.
    pub fn restore(&mut self, saved: &SavedServing, crashed: bool, now: Now, out: &mut Outbox) -> Restored {
        self.serving.views.restore(&saved.hiding, saved.offline_since, &saved.views, now.wall);
        self.saved_publication.clone_from(&saved.publication);
        self.remembering.history.restore(saved.history.iter().cloned(), now.wall);
        let mut restored = Restored { damaged: saved.unreadable, ..Restored::default() };
        for watcher in &saved.watchers {
            match self.restore_watcher(watcher, crashed, now, out) {
                Ok(()) => restored.kept += 1,
                Err(NotRestored::Expired) => restored.expired += 1,
                Err(NotRestored::Elsewhere) => restored.elsewhere += 1,
                Err(NotRestored::NoRoom) => restored.no_room += 1,
                Err(NotRestored::Damaged) => restored.damaged += 1,
            }
        }
        self.remembering.history.all_are_back(Via::Direct, now.wall);
        self.decide_about_absent(now);
        self.restore_at_server(now, out);
        let Restored { kept, expired, elsewhere, no_room, damaged } = restored;
        if damaged > 0 {
            warn!(damaged, "saved watchers that cannot be read were dropped");
        }
        if !saved.watchers.is_empty() {
            info!(kept, expired, elsewhere, no_room, crashed, "went on with saved watchers");
        }
        let moment = self.moment(now.wall);
        self.hide(&moment, now);
        self.settle(now, out);
        restored
    }

    fn restore_watcher(
        &mut self,
        saved: &SavedWatcher,
        crashed: bool,
        now: Now,
        out: &mut Outbox,
    ) -> Result<(), NotRestored> {
        let listening: Vec<_> = self.config.locals.iter().chain(&self.config.tls).copied().collect();
        let revived = saved.subscription.revive(&listening, now.at, now.wall)?;
        let uri = UriRef::parse(revived.watcher()).map_err(|_| NotRestored::Damaged)?;
        let mut entry = Entry {
            who: canonical(revived.watcher()),
            host: host_of(&uri),
            grade: saved.grade,
            rule: Arc::default(),
            since: saved.since.min(now.wall),
            hidden_since: saved.hidden_since.map(|since| since.min(now.wall)),
            own: false,
            expires: saved.expires,
            announced: false,
            remembered: None,
        };
        let verdict = self.judge(&mut entry, now);
        let news = state_word(verdict) != saved.state || self.shown_by(verdict) != saved.shown;
        let telling = match verdict {
            _ if news => Telling::Verdict,
            Verdict::Active(_) if crashed => Telling::State,
            _ => Telling::Nothing,
        };
        if news {
            entry.since = now.wall;
        }
        let id = self.notifier.restore(revived, verdict, telling, now.at)?;
        self.serving.entries.insert(id, entry);
        // Who waits for us is new to whoever reads our events; who is served as before is not.
        if news || verdict == Verdict::Pending {
            self.announce(id, now, out);
        } else {
            self.remember(id, now);
        }
        self.look_up(id, out);
        Ok(())
    }

    /// Goes on with what was published in an earlier run; to be called before the first input.
    ///
    /// It holds since when it was published, and nobody is told: whoever watched then knows. A status that is not
    /// the one that they know is to be [published](Self::publish) instead.
    pub fn restore_published(&mut self, mut published: Published, now: Now, out: &mut Outbox) {
        if published.device.is_none() {
            published.device.clone_from(&self.config.device);
        }
        published.timestamp = published.timestamp.min(now.wall);
        self.own = OwnPresence { entity: self.own.entity.clone(), published: Some(published) }.into();
        // Views that nobody has yet; whoever comes back to one knows what it shows.
        self.renew_views(None, now);
        out.changed.insert(Key::Own);
    }

    /// What tells apart those who are served, but do not see everything.
    fn shown_by(&self, verdict: Verdict) -> Option<String> {
        let Verdict::Active(view) = verdict else { return None };
        self.serving.views.print_of(view).map(str::to_owned)
    }
}
