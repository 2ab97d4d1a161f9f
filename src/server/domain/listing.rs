//! Lists of people, watched by one subscription (RFC 4662), kept here or brought along (RFC 5367).
//!
//! `sip:alice/friends@example.com` is the list `friends` of alice's `resource-lists`, `sip:alice/@example.com` all of hers; who
//! is not alice is refused. Nobody is subscribed to behind a list: each of its members is judged and shown as to anybody
//! with the watcher's name, so nobody sees more by a list than without (RLS-06).

mod asking;
mod members;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Domain, NOTIFY_RATE, Outbox, Step, subscribing::Entry};
use crate::{
    presence::{
        core::{Now, PRESENCE},
        event::WatcherGrade,
        lists,
        rlmi::{self, Instance, Part, Resource, Rlmi, State},
    },
    sip::{
        events::{
            EventPackage, User,
            notifier::{self, Notifier, NotifierConfig, Report, ServedId, Verdict, View},
        },
        header::Reason,
        time::Instant,
    },
};

/// The option tag of lists (RFC 4662 §8.1).
pub(super) const EVENT_LIST: &str = "eventlist";
/// How many lists one watcher may watch.
const MAX_OF_ONE: u32 = 32;
/// How many bytes of documents one NOTIFY has at most; the rest follows with the next one.
const MAX_DOCUMENTS: usize = 48 * 1024;

/// What a list is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Source {
    /// Of somebody's documents; without a name, all lists in them.
    Kept {
        /// Whose: `alice@example.com`.
        owner: String,
        /// Which.
        name: Option<String>,
    },
    /// It came with the SUBSCRIBE: addresses with their names.
    AdHoc(Vec<(String, Option<String>)>),
}

/// One list that somebody watches.
#[derive(Debug)]
pub(super) struct List {
    pub(super) uri: String,
    pub(super) source: Source,
    who: Box<str>,
    grade: WatcherGrade,
    /// The version of the next document.
    version: u32,
    /// Whether that tells of all.
    full: bool,
    members: Vec<Member>,
}

#[derive(Debug)]
struct Member {
    uri: String,
    name: Option<String>,
    /// None of somebody who is not ours.
    entry: Option<Entry>,
    verdict: Verdict,
    is_news: bool,
}

/// All that are watched.
#[derive(Debug)]
pub(super) struct Listing {
    pub(super) notifier: Notifier,
    lists: BTreeMap<u32, List>,
    by_served: HashMap<ServedId, u32>,
    /// In which lists a presentity is.
    of: HashMap<u32, BTreeSet<u32>>,
    /// Those of whoever has but one look.
    looks: HashSet<u32>,
    numbers: u32,
}

impl Listing {
    pub(super) fn new(min_expires: u32, max_subscriptions: usize) -> Self {
        let config = NotifierConfig {
            package: EventPackage { content_type: "multipart/related", ..PRESENCE },
            min_expires,
            max_subscriptions,
            max_per_watcher: MAX_OF_ONE,
            rate: NOTIFY_RATE,
            whole: false,
            listing: Some(notifier::Listing { requires: EVENT_LIST, content_type_of: rlmi::content_type_of }),
            account: None,
            user: User::List,
        };
        Self {
            notifier: Notifier::new(config),
            lists: BTreeMap::new(),
            by_served: HashMap::new(),
            of: HashMap::new(),
            looks: HashSet::new(),
            numbers: 0,
        }
    }

    pub(super) fn list_of(&self, id: ServedId) -> Option<&List> {
        self.lists.get(self.by_served.get(&id)?)
    }

    /// Returns whether somebody is in a list that is watched.
    pub(super) fn has(&self, of: u32) -> bool {
        self.of.contains_key(&of)
    }

    /// Returns whether a view is shown by a list.
    pub(super) fn shows(&self, view: View) -> bool {
        let lists = self.of.get(&view.of).into_iter().flatten().filter_map(|number| self.lists.get(number));
        lists.flat_map(|list| &list.members).any(|member| member.verdict == Verdict::Active(view))
    }

    /// Goes through those who watch somebody by a list.
    pub(super) fn members_of(&self, of: u32) -> impl Iterator<Item = (&Entry, Verdict)> {
        let lists = self.of.get(&of).into_iter().flatten().filter_map(|number| self.lists.get(number));
        let members = lists.flat_map(|list| &list.members);
        members.filter_map(move |member| Some((member.entry.as_ref().filter(|entry| entry.of == of)?, member.verdict)))
    }

    /// The state behind a view changed: whoever sees it by a list is to hear of it.
    pub(super) fn changed(&mut self, view: View, now: Instant) {
        let Some(numbers) = self.of.get(&view.of) else { return };
        for number in numbers {
            let Some(list) = self.lists.get_mut(number) else { continue };
            let mut members =
                list.members.iter_mut().filter(|member| member.verdict == Verdict::Active(view)).peekable();
            if members.peek().is_some() {
                members.for_each(|member| member.is_news = true);
                self.notifier.changed(view_of(*number), now);
            }
        }
    }

    fn remove(&mut self, number: u32) -> Option<List> {
        let list = self.lists.remove(&number)?;
        for entry in list.members.iter().filter_map(|member| member.entry.as_ref()) {
            if let Some(numbers) = self.of.get_mut(&entry.of) {
                numbers.remove(&number);
                if numbers.is_empty() {
                    self.of.remove(&entry.of);
                }
            }
        }
        Some(list)
    }
}

impl List {
    /// Makes the next document; `body` gives that behind a view.
    fn document(&mut self, mut body: impl FnMut(View) -> Bytes) -> Bytes {
        let full = std::mem::replace(&mut self.full, false);
        let (mut resources, mut parts, mut size) = (Vec::new(), Vec::new(), 0);
        let seed = format!("{}{}", self.uri, self.version);
        for (place, member) in self.members.iter_mut().enumerate().filter(|(_, member)| full || member.is_news) {
            let id = format!("i{place}");
            let mut instance = Instance { id, state: State::Terminated, reason: None, cid: None };
            member.is_news = false;
            match (member.verdict, &member.entry) {
                (_, None) => instance.reason = Some(Reason::NoResource),
                (Verdict::Refuse(_), _) => instance.reason = Some(Reason::Rejected),
                (Verdict::Pending, _) => instance.state = State::Pending,
                (Verdict::Active(view), _) => {
                    instance.state = State::Active;
                    let document = body(view);
                    // What does not fit is told of, and follows.
                    if size > 0 && size + document.len() > MAX_DOCUMENTS {
                        member.is_news = true;
                    } else {
                        size += document.len();
                        let cid = rlmi::content_id(&instance.id, &seed, &self.uri);
                        instance.cid = Some(cid.clone());
                        parts.push(Part { id: cid, content_type: PRESENCE.content_type.to_owned(), body: document });
                    }
                }
            }
            resources.push(Resource { uri: member.uri.clone(), name: member.name.clone(), instance: Some(instance) });
        }
        let rlmi = Rlmi { uri: self.uri.clone(), version: self.version, full, name: None, resources };
        self.version += 1;
        rlmi::body(&rlmi, &parts, &seed)
    }

    fn has_news(&self) -> bool {
        self.members.iter().any(|member| member.is_news)
    }
}

impl Domain {
    /// Sends what watchers of lists are to be told.
    pub(super) fn pump_lists(&mut self, limit: usize, now: Now, out: &mut Outbox) {
        let Self { listing, presentities, endpoint, .. } = self;
        let Listing { notifier, lists, looks, .. } = listing;
        let mut step = Step { now: now.at, endpoint, out: &mut out.effects };
        let (mut over, mut more) = (Vec::new(), Vec::new());
        notifier.pump(limit, &mut step, |view| {
            let Some(list) = lists.get_mut(&view.number) else { return Bytes::new() };
            let document = list.document(|view| presentities.body(view));
            if looks.remove(&view.number) {
                over.push(view.number);
            } else if list.has_news() {
                more.push(view);
            }
            document
        });
        for view in more {
            notifier.changed(view, now.at);
        }
        for number in over {
            self.forget_list(number);
        }
    }

    /// Follows what happened to the subscriptions of those who watch lists.
    pub(super) fn follow_lists(&mut self) {
        while let Some(report) = self.listing.notifier.next_report() {
            if let Report::Ended { id, ending, .. } = report
                && let Some(number) = self.listing.by_served.remove(&id)
                && let Some(list) = self.forget_list(number)
            {
                for entry in list.members.iter().filter_map(|member| member.entry.as_ref()) {
                    self.informing.ended(entry.of, entry.number, ending);
                }
            }
        }
    }

    fn forget_list(&mut self, number: u32) -> Option<List> {
        let list = self.listing.remove(number)?;
        for entry in list.members.iter().filter_map(|member| member.entry.as_ref()) {
            if let Some(presentity) = self.presentities.get_mut(entry.of) {
                presentity.is_news = true;
            }
            self.informing.news.push(entry.of);
            self.looked_at.push(entry.of);
        }
        Some(list)
    }
}

fn view_of(number: u32) -> View {
    View { of: 0, number }
}

/// Says in a status code what is wrong with a list.
fn code_of(error: &lists::ListError) -> u16 {
    match error {
        lists::ListError::NoSuchList => 404,
        _ => 400,
    }
}
