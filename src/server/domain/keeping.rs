//! What outlives the process: each change as a record, and all records read back at a start (ESC-13, NOT-29).
//!
//! What is read back passes the same readers as if a peer had sent it. One that cannot be read costs no other one.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tracing::warn;

use super::{Domain, Outbox, documents::document_of, listing::Source, subscribing::Entry};
use crate::{
    presence::{
        core::{Now, state_word},
        event::{Via, WatcherGrade},
        history::Person,
        policy::canonical,
        winfo::{Event, Told},
    },
    server::{
        store::{Entry as Row, Record, Table},
        xcap::Usage,
    },
    sip::{
        events::{
            compositor::SavedState,
            notifier::{NotRestored, SEQ_JUMP, SavedSubscription, ServedId, Telling, Verdict},
        },
        registrar::SavedBinding,
    },
};

/// A publication, as it is written down before its document.
#[derive(Serialize, Deserialize)]
struct PublicationHead {
    resource: String,
    etag: String,
    ends_at: Timestamp,
    arrival: u64,
    changed_at: Timestamp,
}

/// A subscription, as it is written down.
#[derive(Serialize, Deserialize)]
struct SavedWatch {
    /// Of whom.
    resource: String,
    /// It is one to watcher information.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    winfo: bool,
    /// The presentity itself watches.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    own: bool,
    grade: WatcherGrade,
    /// What it was told last; this only says whether what it gets now is news to it.
    state: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shown: Option<String>,
    since: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hidden_since: Option<Timestamp>,
    /// It is one to a list, made of this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    list: Option<Source>,
    subscription: SavedSubscription,
}

/// How much went on at a start, and what did not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Publications that go on.
    pub publications: usize,
    /// Subscriptions that go on.
    pub subscriptions: usize,
    /// Bindings that go on.
    pub bindings: usize,
    /// Documents.
    pub documents: usize,
    /// What had ended meanwhile.
    pub expired: usize,
    /// Subscriptions that know us at an address or port that we do not have now.
    pub elsewhere: usize,
    /// What there was no place for.
    pub no_room: usize,
    /// What cannot be read.
    pub damaged: usize,
}

impl Domain {
    /// Gathers what is another than at the last call.
    pub(super) fn keep(&mut self, now: Now, out: &mut Outbox) {
        if !self.config.keeps {
            return self.let_go(now);
        }
        let bindings = self.registrar.take_unsaved(now.at, now.wall);
        let watches: Vec<_> = self.notifier.take_changes(now.at, now.wall).collect();
        let informed: Vec<_> = self.informing.notifier.take_changes(now.at, now.wall).collect();
        let listed: Vec<_> = self.listing.notifier.take_changes(now.at, now.wall).collect();
        out.before.extend(self.compositor.take_journal());
        out.records.extend(self.compositor.take_unsaved(now.at, now.wall).map(|(key, saved)| Record {
            table: Table::Publications,
            key: key.to_string().into_bytes(),
            value: saved.map(|saved| publication_value(&saved)),
        }));
        out.records.extend(bindings.into_iter().map(|(key, saved)| Record {
            table: Table::Registrations,
            key: key.to_string().into_bytes(),
            value: saved.and_then(|saved| serde_json::to_vec(&saved).ok()),
        }));
        for (tag, kept) in watches {
            let value = kept.and_then(|(id, subscription)| self.saved_watch(id, subscription));
            out.records.push(watch_record(tag, value));
        }
        for (tag, kept) in informed {
            let value = kept.and_then(|(id, subscription)| {
                let view = self.informing.by_served.get(&id)?;
                let resource = self.presentities.get(view.of)?.uri.as_ref().to_owned();
                Some(SavedWatch {
                    resource,
                    winfo: true,
                    own: true,
                    grade: WatcherGrade::Verified,
                    state: "active".to_owned(),
                    shown: None,
                    since: now.wall,
                    hidden_since: None,
                    list: None,
                    subscription,
                })
            });
            out.records.push(watch_record(tag, value));
        }
        for (tag, kept) in listed {
            let value = kept.and_then(|(id, subscription)| self.saved_list(id, subscription, now));
            out.records.push(watch_record(tag, value));
        }
        let lost = std::mem::take(&mut self.lost);
        out.records.extend(lost.into_iter().map(|key| Record { table: Table::Subscriptions, key, value: None }));
        self.keep_histories(out);
    }

    /// Nothing is written down, and little of it is made into what would be.
    fn let_go(&mut self, now: Now) {
        drop(self.compositor.take_unsaved(now.at, now.wall));
        self.registrar.take_unsaved(now.at, now.wall);
        for notifier in [&mut self.notifier, &mut self.informing.notifier, &mut self.listing.notifier] {
            drop(notifier.take_changes(now.at, now.wall));
        }
        self.undecided.clear();
        self.lost.clear();
    }

    /// Who waits for a decision is written down by presentity.
    fn keep_histories(&mut self, out: &mut Outbox) {
        for of in std::mem::take(&mut self.undecided) {
            let Some(presentity) = self.presentities.get_mut(of) else { continue };
            if !presentity.history.take_unsaved() {
                continue;
            }
            let waiting: Vec<&Person> = presentity.history.waiting().collect();
            let value = (!waiting.is_empty()).then(|| serde_json::to_vec(&waiting).ok()).flatten();
            out.records.push(Record { table: Table::Watchers, key: presentity.uri.as_bytes().to_vec(), value });
            self.forget_if_idle(of);
        }
    }

    fn saved_watch(&self, id: ServedId, subscription: SavedSubscription) -> Option<SavedWatch> {
        let entry = self.entries.get(id.number())?;
        let presentity = self.presentities.get(entry.of)?;
        let verdict = self.notifier.info(id)?.verdict;
        let shown = if let Verdict::Active(view) = verdict { presentity.views.print_of(view) } else { None };
        Some(SavedWatch {
            resource: presentity.uri.as_ref().to_owned(),
            winfo: false,
            own: entry.own,
            grade: entry.grade,
            state: state_word(verdict).to_owned(),
            shown: shown.map(str::to_owned),
            since: entry.since,
            hidden_since: entry.hidden_since,
            list: None,
            subscription,
        })
    }

    fn saved_list(&self, id: ServedId, subscription: SavedSubscription, now: Now) -> Option<SavedWatch> {
        let list = self.listing.list_of(id)?;
        Some(SavedWatch {
            resource: list.uri.clone(),
            winfo: false,
            own: false,
            grade: WatcherGrade::Verified,
            state: "active".to_owned(),
            shown: None,
            since: now.wall,
            hidden_since: None,
            list: Some(list.source.clone()),
            subscription,
        })
    }

    /// Goes on with what an earlier run kept, given as the rows of each table; to be called before the first input.
    ///
    /// Whoever watches hears of its state where that is news, or was on its way; behind a crash nobody knows what was lost,
    /// and everybody is told.
    pub fn restore(&mut self, rows: impl Fn(Table) -> Vec<Row>, crashed: bool, now: Now) -> Restored {
        let mut restored = Restored::default();
        for (key, value) in rows(Table::Documents) {
            match document_of(&key, &value) {
                Some((place, body, at)) => {
                    self.documents.put(place, body, at.min(now.wall));
                    restored.documents += 1;
                }
                None => restored.damaged += 1,
            }
        }
        for (key, value) in rows(Table::Publications) {
            match publication_of(&key, &value) {
                Some(saved) if saved.ends_at <= now.wall => restored.expired += 1,
                Some(saved) => {
                    let resource = saved.resource.clone();
                    if self.compositor.restore(saved, now.at, now.wall) {
                        self.presentities.find_or_make(&resource, usize::MAX, now);
                        restored.publications += 1;
                    } else {
                        restored.no_room += 1;
                    }
                }
                None => restored.damaged += 1,
            }
        }
        for (_, value) in rows(Table::Registrations) {
            let saved = serde_json::from_slice::<SavedBinding>(&value).ok();
            match saved.map(|saved| self.registrar.restore(saved, now.at, now.wall)) {
                Some(true) => restored.bindings += 1,
                Some(false) => restored.expired += 1,
                None => restored.damaged += 1,
            }
        }
        for (key, value) in rows(Table::Watchers) {
            let people = serde_json::from_slice::<Vec<Person>>(&value).ok();
            let Some((uri, people)) = std::str::from_utf8(&key).ok().zip(people) else {
                restored.damaged += 1;
                continue;
            };
            if let Some(of) = self.presentities.find_or_make(uri, usize::MAX, now)
                && let Some(presentity) = self.presentities.get_mut(of)
            {
                presentity.history.restore(people, now.wall);
                presentity.history.all_are_back(Via::Direct, now.wall);
                presentity.history.take_unsaved();
            }
        }
        let places: Vec<_> =
            self.documents.places().filter(|place| place.usage != Usage::ResourceLists).cloned().collect();
        for place in places {
            self.document_changed(&place, now);
        }
        let all: Vec<u32> = self.presentities.iter().map(|(of, _)| of).collect();
        for of in all {
            self.restored(of, now);
        }
        for (key, value) in rows(Table::Subscriptions) {
            let outcome = serde_json::from_slice(&value)
                .map_err(|_| NotRestored::Damaged)
                .and_then(|saved: SavedWatch| self.restore_watch(&saved, crashed, now));
            // What knows us elsewhere may find us there again, at another start.
            if matches!(outcome, Err(NotRestored::Expired | NotRestored::Damaged)) {
                self.lost.push(key);
            }
            match outcome {
                Ok(()) => restored.subscriptions += 1,
                Err(NotRestored::Expired) => restored.expired += 1,
                Err(NotRestored::Elsewhere) => restored.elsewhere += 1,
                Err(NotRestored::NoRoom) => restored.no_room += 1,
                Err(NotRestored::Damaged) => restored.damaged += 1,
            }
        }
        if restored.damaged > 0 {
            warn!(damaged = restored.damaged, "records that cannot be read were left out");
        }
        restored
    }

    fn restore_watch(&mut self, saved: &SavedWatch, crashed: bool, now: Now) -> Result<(), NotRestored> {
        let listening: Vec<_> = self.config.locals.iter().chain(&self.config.tls).copied().collect();
        let revived = saved.subscription.revive(&listening, now.at, now.wall)?;
        if let Some(source) = &saved.list {
            return self.restore_list(source, &saved.resource, revived, saved.subscription.local_seq + SEQ_JUMP, now);
        }
        let of = self.presentities.find_or_make(&saved.resource, usize::MAX, now).ok_or(NotRestored::NoRoom)?;
        if saved.winfo {
            // No document before had a higher number than the NOTIFY that it was in.
            let told = Told::resumed(saved.subscription.local_seq + SEQ_JUMP);
            let view = self.informing.view(of, told);
            let restored = self.informing.notifier.restore(revived, Verdict::Active(view), Telling::Verdict, now.at);
            match restored {
                Ok(id) => drop(self.informing.by_served.insert(id, view)),
                Err(_) => drop(self.informing.told.remove(&view)),
            }
            return restored.map(|_| ());
        }
        let mut entry = Entry {
            of,
            number: self.informing.next_number(),
            who: canonical(revived.watcher()).into(),
            grade: saved.grade,
            rule: Arc::default(),
            since: saved.since.min(now.wall),
            hidden_since: saved.hidden_since.map(|since| since.min(now.wall)),
            own: saved.own,
            event: Event::Subscribe,
        };
        let verdict = self.judge(&mut entry, now);
        let presentity = self.presentities.get(of).ok_or(NotRestored::NoRoom)?;
        let shown = if let Verdict::Active(view) = verdict { presentity.views.print_of(view) } else { None };
        let telling = match verdict {
            _ if state_word(verdict) != saved.state || shown != saved.shown.as_deref() => Telling::Verdict,
            Verdict::Active(_) if crashed => Telling::State,
            _ => Telling::Nothing,
        };
        let id = self.notifier.restore(revived, verdict, telling, now.at)?;
        self.enter(id, entry, true);
        Ok(())
    }
}

fn watch_record(tag: crate::sip::ids::Token, saved: Option<SavedWatch>) -> Record {
    let value = saved.and_then(|saved| serde_json::to_vec(&saved).ok());
    Record { table: Table::Subscriptions, key: tag.to_string().into_bytes(), value }
}

fn publication_value(saved: &SavedState) -> Vec<u8> {
    let SavedState { resource, etag, ends_at, arrival, changed_at, .. } = saved;
    let head = PublicationHead {
        resource: resource.clone(),
        etag: etag.clone(),
        ends_at: *ends_at,
        arrival: *arrival,
        changed_at: *changed_at,
    };
    let mut value = serde_json::to_vec(&head).unwrap_or_default();
    value.push(b'\n');
    value.extend_from_slice(&saved.body);
    value
}

fn publication_of(key: &[u8], value: &[u8]) -> Option<SavedState> {
    let end = value.iter().position(|byte| *byte == b'\n')?;
    let PublicationHead { resource, etag, ends_at, arrival, changed_at } =
        serde_json::from_slice(&value[..end]).ok()?;
    let (key, body) = (String::from_utf8(key.to_vec()).ok()?, Bytes::copy_from_slice(&value[end + 1..]));
    Some(SavedState { resource, key, etag, ends_at, arrival, changed_at, body })
}
