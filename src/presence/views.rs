//! What the watchers of a presentity see: one document for all who see the same, made once, and new only when they see a
//! difference.
//!
//! Each view but the full one has a time of its own: since when *it* has been so. A change that a view does not show
//! neither moves that time nor causes a NOTIFY, so nobody learns that there was one.

mod hiding;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use bytes::Bytes;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use self::hiding::HidingViews;
use super::{
    pidf::Document,
    policy::{Action, Decision, Instead, Sight, filter},
};
use crate::sip::events::notifier::{Verdict, View};

pub use self::hiding::Hiding;
pub(crate) use self::hiding::hides;

/// The number of the view of everything; those of a part come after it.
const FULL: u32 = 0;

/// What all views are made of: the state of a presentity as it is.
pub(crate) trait Subject: Copy {
    /// Returns since when that has been its state; none of one who publishes nothing.
    fn said_at(&self) -> Option<Timestamp>;

    /// Returns since when it has been offline, if that is what it says of itself.
    fn offline_at(&self) -> Option<Timestamp>;

    /// Writes everything.
    fn whole(&self) -> Vec<u8>;

    /// Returns everything, as if it had been so since then.
    fn since(&self, since: Timestamp) -> Option<Document>;

    /// Writes something else in its place.
    fn instead(&self, instead: &Instead, since: Timestamp) -> Vec<u8>;

    /// Writes that it is offline, and has been since then.
    fn offline(&self, since: Timestamp) -> Vec<u8>;
}

/// The views that somebody has.
#[derive(Debug)]
pub(crate) struct Views {
    /// The number of the presentity, where many are served.
    of: u32,
    /// Those after [`FULL`] that show some of it, by number.
    some: BTreeMap<u32, Partial>,
    by_sight: HashMap<Sight, u32>,
    full: Option<Bytes>,
    /// Whom we hide from.
    pub(crate) hiding: Hiding,
    hidden: HidingViews,
    /// Since when we are offline, when we are.
    pub(crate) offline_since: Timestamp,
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
    /// Makes those of the presentity of that number, which is offline since now.
    pub(crate) fn new(of: u32, now: Timestamp) -> Self {
        Self {
            of,
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
    pub(crate) fn of(&mut self, sight: &Sight, subject: impl Subject, now: Timestamp) -> View {
        if *sight == Sight::All {
            return self.full();
        }
        if let Some(number) = self.by_sight.get(sight) {
            return self.view(*number);
        }
        let number = (FULL + 1..=u32::MAX).find(|number| !self.some.contains_key(number)).unwrap_or(u32::MAX);
        let print = self.print(sight, subject);
        let said = subject.said_at().unwrap_or(self.offline_since);
        let since = self.earlier.get(&print).copied().unwrap_or(said).min(now);
        self.by_sight.insert(sight.clone(), number);
        self.some.insert(number, Partial { sight: sight.clone(), since, print, body: None });
        self.view(number)
    }

    /// Returns whether there is one that shows some of it, or something else.
    pub(crate) fn are_some(&self) -> bool {
        !self.some.is_empty()
    }

    /// Returns the number of the presentity.
    pub(crate) fn number(&self) -> u32 {
        self.of
    }

    /// Returns the view of everything.
    pub(crate) fn full(&self) -> View {
        self.view(FULL)
    }

    fn view(&self, number: u32) -> View {
        View { of: self.of, number }
    }

    /// Says what somebody gets about whom this was decided. `rule` is what decided about it so far, nothing for somebody
    /// new, and `hidden_since` since when we hide from it; both are brought up to date.
    pub(crate) fn verdict(
        &mut self,
        decision: Decision,
        who: &str,
        (rule, hidden_since): (&mut Arc<str>, &mut Option<Timestamp>),
        subject: impl Subject,
        now: Timestamp,
    ) -> Verdict {
        let is_new = std::mem::replace(rule, decision.rule).is_empty();
        if decision.action != Action::PoliteBlock {
            *hidden_since = None;
        }
        match decision.action {
            Action::Allow => Verdict::Active(self.of(&decision.sight, subject, now)),
            Action::Ask => Verdict::Pending,
            Action::PoliteBlock => {
                let since = match *hidden_since {
                    Some(since) => since,
                    // What it was told before it was hidden from is not to be belied.
                    None if !is_new => self.hiding.begin(who, now),
                    None => self.hiding.since(who),
                };
                *hidden_since = Some(since);
                Verdict::Active(self.hidden(since))
            }
            Action::Block => Verdict::Refuse(403),
        }
    }

    /// Returns the view of those from whom we have hidden since then.
    pub(crate) fn hidden(&mut self, since: Timestamp) -> View {
        let number = self.hidden.of(since);
        self.view(number)
    }

    /// Our state is another one; without a publication we are offline since the given moment. Returns the views that
    /// show a difference.
    pub(crate) fn state_changed(
        &mut self,
        offline_since: Option<Timestamp>,
        subject: impl Subject,
        now: Timestamp,
    ) -> Vec<View> {
        self.full = None;
        self.earlier.clear();
        self.offline_since = offline_since.unwrap_or(self.offline_since);
        std::iter::once(self.full()).chain(self.renew(subject, now)).collect()
    }

    /// From now on we show as offline; who had said so before has been offline since then.
    pub(crate) fn going_offline(&mut self, subject: impl Subject, now: Timestamp) {
        self.leaving = true;
        self.full = None;
        if subject.said_at().is_some() {
            self.offline_since = subject.offline_at().unwrap_or(now);
        }
        self.renew(subject, now);
    }

    /// Looks at every partial view anew; returns those that show a difference.
    fn renew(&mut self, subject: impl Subject, now: Timestamp) -> Vec<View> {
        let mut some = std::mem::take(&mut self.some);
        let mut changed = Vec::new();
        for (number, view) in &mut some {
            let print = self.print(&view.sight, subject);
            if print != view.print {
                (view.print, view.since, view.body) = (print, now, None);
                changed.push(self.view(*number));
            }
        }
        self.some = some;
        changed
    }

    /// Forgets the views that nobody has.
    pub(crate) fn retain(&mut self, is_seen: impl Fn(View) -> bool) {
        let of = self.of;
        let is_seen = |number| is_seen(View { of, number });
        self.hidden.retain(is_seen);
        self.some.retain(|number, _| is_seen(*number));
        self.by_sight.retain(|_, number| self.some.contains_key(number));
    }

    /// Returns the document behind a view; made once for all who have it.
    pub(crate) fn body(&mut self, view: View, subject: impl Subject) -> Bytes {
        let made = match view.number {
            FULL => self.full.clone(),
            number => self.some.get(&number).and_then(|view| view.body.clone()),
        };
        if let Some(made) = made {
            return made;
        }
        let body = self.make(view, subject);
        match view.number {
            FULL => self.full = Some(body.clone()),
            number => {
                if let Some(view) = self.some.get_mut(&number) {
                    view.body = Some(body.clone());
                }
            }
        }
        body
    }

    /// Makes the document behind a view.
    pub(crate) fn make(&self, view: View, subject: impl Subject) -> Bytes {
        let made = match view.number {
            FULL if self.leaving || subject.said_at().is_none() => subject.offline(self.offline_since),
            FULL => subject.whole(),
            number => match self.some.get(&number) {
                Some(view) => self.partial(&view.sight, subject, view.since),
                // One that was forgotten is nobody's.
                None => subject.offline(self.hidden.since(number).unwrap_or(self.hiding.since)),
            },
        };
        // It is kept as long as nothing changes: without the room that writing took.
        made.into_boxed_slice().into()
    }

    /// Makes the document of those from whom we hide.
    pub(crate) fn preview_hidden(&self, who: &str, subject: impl Subject) -> Bytes {
        subject.offline(self.hiding.since(who)).into()
    }

    /// Makes the document that somebody would get who sees this much from now on, and has not so far.
    pub(crate) fn preview(&self, sight: &Sight, subject: impl Subject) -> Bytes {
        let known = self.by_sight.get(sight).copied().unwrap_or(FULL);
        if known != FULL || *sight == Sight::All {
            return self.make(self.view(known), subject);
        }
        let said = subject.said_at().unwrap_or(self.offline_since);
        self.partial(sight, subject, said).into()
    }

    /// Makes the document of those who do not see everything, as if it had been so since then.
    fn partial(&self, sight: &Sight, subject: impl Subject, since: Timestamp) -> Vec<u8> {
        if self.leaving || subject.said_at().is_none() {
            return subject.offline(since);
        }
        match sight {
            Sight::Instead(instead) if subject.offline_at().is_none() => subject.instead(instead, since),
            Sight::Instead(_) => subject.offline(since),
            Sight::All => subject.whole(),
            // What cannot be read shows nothing, rather than everything.
            Sight::Some(shown) => subject
                .since(since)
                .map_or_else(|| subject.offline(since), |document| filter(document, shown).to_bytes()),
        }
    }

    /// Tells apart what is shown, whenever it began.
    fn print(&self, sight: &Sight, subject: impl Subject) -> String {
        let digest = Sha256::digest(self.partial(sight, subject, Timestamp::UNIX_EPOCH));
        digest.iter().take(12).fold(String::new(), |print, byte| format!("{print}{byte:02x}"))
    }

    /// Returns since when each view has been so, for [`restore`](Self::restore).
    pub(crate) fn saved(&self) -> BTreeMap<String, Timestamp> {
        self.some.values().map(|view| (view.print.clone(), view.since)).collect()
    }

    /// Returns what tells a view from others that are as active: whether it is news after a start.
    pub(crate) fn print_of(&self, view: View) -> Option<&str> {
        self.some.get(&view.number).map(|view| view.print.as_str())
    }

    /// Goes on with the times of an earlier run; a time to come was never written by us.
    pub(crate) fn restore(
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
