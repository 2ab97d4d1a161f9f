//! What our watchers see: one document for all who see the same, made once, and new only when they see a difference.
//!
//! Each view but the full one has a time of its own: since when *it* has been so. A change that a view does not show
//! neither moves that time nor causes a NOTIFY, so nobody learns that there was one.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::{
    OwnPresence,
    hiding::{Hiding, HidingViews},
};
use crate::{
    presence::{
        pidf::{self, Document, Identity, Published},
        policy::{Sight, filter},
        status::{OpenWhen, PresenceStatus},
    },
    sip::events::notifier::View,
};

/// Our state as it is.
pub(super) const FULL: View = View(0);

/// What all views are made of.
#[derive(Clone, Copy)]
pub(super) struct Subject<'a> {
    pub(super) own: &'a OwnPresence,
    pub(super) identity: &'a Identity,
    pub(super) open: OpenWhen,
    /// What the device is called, if it is told: by who is offline too.
    pub(super) device: Option<&'a str>,
}

/// The views that somebody has.
#[derive(Debug)]
pub(super) struct Views {
    /// Those after [`FULL`] that show some of it, by number.
    some: BTreeMap<u32, Partial>,
    by_sight: HashMap<Sight, u32>,
    full: Option<Bytes>,
    /// Whom we hide from.
    pub(super) hiding: Hiding,
    hidden: HidingViews,
    /// Since when we are offline, when we are.
    pub(super) offline_since: Timestamp,
    /// We are on our way out: everybody sees us offline.
    leaving: bool,
    /// Since when views of an earlier run had been so, by what they showed.
    earlier: BTreeMap<String, Timestamp>,
}

/// A view of a part, or of something else.
#[derive(Debug)]
struct Partial {
    sight: Sight,
    since: Timestamp,
    print: String,
    body: Option<Bytes>,
}

impl Views {
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            some: BTreeMap::new(),
            by_sight: HashMap::new(),
            full: None,
            hiding: Hiding::new(now),
            hidden: HidingViews::default(),
            offline_since: now,
            leaving: false,
            earlier: BTreeMap::new(),
        }
    }

    /// Returns the view of those who see this much.
    pub(super) fn of(&mut self, sight: &Sight, subject: Subject<'_>, now: Timestamp) -> View {
        if *sight == Sight::All {
            return FULL;
        }
        if let Some(number) = self.by_sight.get(sight) {
            return View(*number);
        }
        let number = (FULL.0 + 1..=u32::MAX).find(|number| !self.some.contains_key(number)).unwrap_or(u32::MAX);
        let print = self.print(sight, subject);
        let said = subject.own.published.as_ref().map_or(self.offline_since, |published| published.timestamp);
        let since = self.earlier.get(&print).copied().unwrap_or(said).min(now);
        self.by_sight.insert(sight.clone(), number);
        self.some.insert(number, Partial { sight: sight.clone(), since, print, body: None });
        View(number)
    }

    /// Returns the view of those from whom we have hidden since then.
    pub(super) fn hidden(&mut self, since: Timestamp) -> View {
        self.hidden.of(since)
    }

    /// Our state is another one; without a publication we are offline since the given moment. Returns the views that
    /// show a difference.
    pub(super) fn state_changed(
        &mut self,
        offline_since: Option<Timestamp>,
        subject: Subject<'_>,
        now: Timestamp,
    ) -> Vec<View> {
        self.full = None;
        self.earlier.clear();
        self.offline_since = offline_since.unwrap_or(self.offline_since);
        std::iter::once(FULL).chain(self.renew(subject, now)).collect()
    }

    /// From now on we show as offline; who had said so before has been offline since then.
    pub(super) fn going_offline(&mut self, subject: Subject<'_>, now: Timestamp) {
        self.leaving = true;
        self.full = None;
        if let Some(published) = &subject.own.published {
            let said = published.status == PresenceStatus::Offline;
            self.offline_since = if said { published.timestamp } else { now };
        }
        self.renew(subject, now);
    }

    /// Looks at every partial view anew; returns those that show a difference.
    fn renew(&mut self, subject: Subject<'_>, now: Timestamp) -> Vec<View> {
        let mut some = std::mem::take(&mut self.some);
        let mut changed = Vec::new();
        for (number, view) in &mut some {
            let print = self.print(&view.sight, subject);
            if print != view.print {
                (view.print, view.since, view.body) = (print, now, None);
                changed.push(View(*number));
            }
        }
        self.some = some;
        changed
    }

    /// Forgets the views that nobody has.
    pub(super) fn retain(&mut self, is_seen: impl Fn(View) -> bool) {
        self.hidden.retain(&is_seen);
        self.some.retain(|number, _| is_seen(View(*number)));
        self.by_sight.retain(|_, number| self.some.contains_key(number));
    }

    /// Returns the document behind a view; made once for all who have it.
    pub(super) fn body(&mut self, view: View, subject: Subject<'_>) -> Bytes {
        let made = match view {
            FULL => self.full.clone(),
            View(number) => self.some.get(&number).and_then(|view| view.body.clone()),
        };
        if let Some(made) = made {
            return made;
        }
        let body = self.make(view, subject);
        match view {
            FULL => self.full = Some(body.clone()),
            View(number) => {
                if let Some(view) = self.some.get_mut(&number) {
                    view.body = Some(body.clone());
                }
            }
        }
        body
    }

    /// Makes the document behind a view.
    pub(super) fn make(&self, view: View, subject: Subject<'_>) -> Bytes {
        match view {
            FULL => match &subject.own.published {
                Some(published) if !self.leaving => subject.write(published),
                Some(_) | None => subject.offline(self.offline_since),
            },
            View(number) => match self.some.get(&number) {
                Some(view) => self.partial(&view.sight, subject, view.since),
                // One that was forgotten is nobody's.
                None => subject.offline(self.hidden.since(view).unwrap_or(self.hiding.since)),
            },
        }
        .into()
    }

    /// Makes the document of those from whom we hide.
    pub(super) fn preview_hidden(&self, who: &str, subject: Subject<'_>) -> Bytes {
        subject.offline(self.hiding.since(who)).into()
    }

    /// Makes the document that somebody would get who sees this much from now on, and has not so far.
    pub(super) fn preview(&self, sight: &Sight, subject: Subject<'_>) -> Bytes {
        let known = self.by_sight.get(sight).map_or(FULL, |number| View(*number));
        if known != FULL || *sight == Sight::All {
            return self.make(known, subject);
        }
        let said = subject.own.published.as_ref().map_or(self.offline_since, |published| published.timestamp);
        self.partial(sight, subject, said).into()
    }

    /// Makes the document of those who do not see everything, as if it had been so since then.
    fn partial(&self, sight: &Sight, subject: Subject<'_>, since: Timestamp) -> Vec<u8> {
        let published = subject.own.published.as_ref().filter(|_| !self.leaving);
        let Some(published) = published else { return subject.offline(since) };
        match sight {
            Sight::Instead(instead) if published.status != PresenceStatus::Offline => {
                let mut shown = Published::new(instead.status.clone(), since);
                shown.note.clone_from(&instead.note);
                subject.write(&shown)
            }
            Sight::Instead(_) => subject.offline(since),
            Sight::All => subject.write(published),
            Sight::Some(shown) => {
                let whole = subject.write(&Published { timestamp: since, ..published.clone() });
                match Document::parse(&whole, None) {
                    Ok(document) => filter(document, shown).to_bytes(),
                    // What we write we read; if not, nothing is shown rather than everything.
                    Err(_) => subject.offline(since),
                }
            }
        }
    }

    /// Tells apart what is shown, whenever it began.
    fn print(&self, sight: &Sight, subject: Subject<'_>) -> String {
        let digest = Sha256::digest(self.partial(sight, subject, Timestamp::UNIX_EPOCH));
        digest.iter().take(12).fold(String::new(), |print, byte| format!("{print}{byte:02x}"))
    }

    /// Returns since when each view has been so, for [`restore`](Self::restore).
    pub(super) fn saved(&self) -> BTreeMap<String, Timestamp> {
        self.some.values().map(|view| (view.print.clone(), view.since)).collect()
    }

    /// Returns what tells a view from others that are as active: whether it is news after a start.
    pub(super) fn print_of(&self, view: View) -> Option<&str> {
        self.some.get(&view.0).map(|view| view.print.as_str())
    }

    /// Goes on with the times of an earlier run; a time to come was never written by us.
    pub(super) fn restore(
        &mut self,
        hiding: &Hiding,
        offline_since: Timestamp,
        views: &BTreeMap<String, Timestamp>,
        now: Timestamp,
    ) {
        self.hiding.restore(hiding, now);
        self.offline_since = offline_since.min(now);
        self.earlier.clone_from(views);
    }
}

impl Subject<'_> {
    fn write(&self, published: &Published) -> Vec<u8> {
        pidf::write(published, self.identity, &self.open)
    }

    /// Somebody who is offline has the same device as somebody who is not.
    fn offline(&self, since: Timestamp) -> Vec<u8> {
        let mut published = Published::new(PresenceStatus::Offline, since);
        published.device = self.device.map(str::to_owned);
        self.write(&published)
    }
}
