//! Everybody of whom something is known, and what each shows.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use bytes::Bytes;
use jiff::Timestamp;

use super::{
    Domain,
    state::{Composition, Shown},
};
use crate::{
    presence::{
        compose::{Source, compose},
        core::{Now, instant_of},
        history::History,
        pidf::Document,
        policy::Policy,
        views::Views,
    },
    server::xcap::Usage,
    sip::{
        events::{
            compositor::{Publication, PublicationKey},
            notifier::{ServedId, View},
        },
        slab::Slab,
        time::Instant,
    },
};

/// One of them.
#[derive(Debug)]
pub(super) struct Presentity {
    /// Its address, by which it is named everywhere.
    pub(super) uri: Box<str>,
    /// Who may see it; none has the default.
    pub(super) policy: Option<Arc<Policy>>,
    /// What it publishes, if anything, as it was when somebody last had a use for it.
    pub(super) composed: Option<Composition>,
    /// A document came since then.
    is_behind: bool,
    pub(super) views: Views,
    /// Who watches it, or wants to.
    pub(super) watchers: BTreeSet<ServedId>,
    /// Who wanted to, and left before that was decided.
    pub(super) history: History,
    /// Who watches it is otherwise than those know who are told.
    pub(super) is_news: bool,
    pub(super) timer: Option<Instant>,
}

impl Presentity {
    fn new(uri: &str, of: u32, now: Timestamp) -> Self {
        Self {
            uri: uri.into(),
            policy: None,
            composed: None,
            is_behind: false,
            views: Views::new(of, now),
            watchers: BTreeSet::new(),
            history: History::default(),
            is_news: false,
            timer: None,
        }
    }

    /// Returns its views, with what they are made of.
    pub(super) fn views(&mut self) -> (&mut Views, Shown<'_>) {
        (&mut self.views, Shown { uri: &self.uri, composed: self.composed.as_ref() })
    }

    /// Returns whether its rules go by the part of life that it is in.
    pub(super) fn has_spheres(&self) -> bool {
        self.policy.as_ref().is_some_and(|policy| policy.rules().iter().any(|rule| !rule.spheres.is_empty()))
    }

    /// Returns whether a change makes a difference even where nobody is shown anything at the moment: to who may be, or to since
    /// when what some were shown has been so.
    fn minds(&self) -> bool {
        !self.watchers.is_empty() || self.views.are_some() || self.has_spheres()
    }

    /// Returns whether nothing is known that would be missed.
    fn is_idle(&self) -> bool {
        self.policy.is_none()
            && self.composed.is_none()
            && !self.is_behind
            && self.watchers.is_empty()
            && self.history.waiting().next().is_none()
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Presentities {
    slab: Slab<Presentity>,
    by_uri: HashMap<Box<str>, u32>,
}

impl Presentities {
    pub(super) fn len(&self) -> usize {
        self.slab.len()
    }

    pub(super) fn find(&self, uri: &str) -> Option<u32> {
        self.by_uri.get(uri).copied()
    }

    /// Finds one, or begins to know it; none where that would be too many.
    pub(super) fn find_or_make(&mut self, uri: &str, max: usize, now: Now) -> Option<u32> {
        if let Some(of) = self.find(uri) {
            return Some(of);
        }
        if self.slab.len() >= max {
            return None;
        }
        let of = self.slab.insert(Presentity::new(uri, 0, now.wall));
        if let Some(presentity) = self.slab.get_mut(of) {
            presentity.views = Views::new(of, now.wall);
        }
        self.by_uri.insert(uri.into(), of);
        Some(of)
    }

    pub(super) fn get(&self, of: u32) -> Option<&Presentity> {
        self.slab.get(of)
    }

    pub(super) fn get_mut(&mut self, of: u32) -> Option<&mut Presentity> {
        self.slab.get_mut(of)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Presentity)> {
        self.slab.iter()
    }

    /// Returns the document behind a view.
    pub(super) fn body(&mut self, view: View) -> Bytes {
        let Some(presentity) = self.slab.get_mut(view.of) else { return Bytes::new() };
        let (views, shown) = presentity.views();
        views.body(view, shown)
    }

    fn remove(&mut self, of: u32) -> Option<Presentity> {
        let gone = self.slab.remove(of)?;
        self.by_uri.remove(&gone.uri);
        Some(gone)
    }
}

impl Domain {
    /// A document of somebody's came. What it comes to with the others is found out where somebody has a use for that, and
    /// else when somebody comes who has.
    pub(super) fn published(&mut self, of: u32, document: (PublicationKey, Document), now: Now) {
        let is_seen = self.notifier.shows(of) || self.listing.has(of);
        match self.presentities.get_mut(of) {
            Some(presentity) if !is_seen && !presentity.minds() => presentity.is_behind = true,
            _ => self.compose(of, Some(document), now),
        }
    }

    /// Takes note of what somebody published in an earlier run, before anybody is served in this one.
    pub(super) fn restored(&mut self, of: u32, now: Now) {
        let Self { presentities, compositor, .. } = self;
        match presentities.get_mut(of) {
            Some(presentity)
                if !presentity.minds() && compositor.publications(&presentity.uri, now.at).next().is_some() =>
            {
                presentity.is_behind = true;
            }
            _ => self.recompose(of, now),
        }
    }

    /// Catches up with what was published of somebody while nobody had a use for it.
    pub(super) fn catch_up(&mut self, of: u32, now: Now) {
        if self.presentities.get(of).is_some_and(|presentity| presentity.is_behind) {
            self.compose(of, None, now);
            // Whoever looks still has its number.
            self.looked_at.push(of);
        }
    }

    /// What somebody publishes is another, or holds no longer: whoever sees a difference is told (ESC-10).
    pub(super) fn recompose(&mut self, of: u32, now: Now) {
        self.compose(of, None, now);
        self.forget_if_idle(of);
    }

    /// Composes what stands of it now; one of its documents may be known already.
    fn compose(&mut self, of: u32, mut known: Option<(PublicationKey, Document)>, now: Now) {
        let Some(presentity) = self.presentities.get_mut(of) else { return };
        let published: Vec<_> = self.compositor.publications(&presentity.uri, now.at).collect();
        let read = |body: &[u8]| Document::parse(body, None).ok();
        // Each was read before it was taken in.
        let mut document_of = |one: &Publication| match known.take_if(|(key, _)| *key == one.key) {
            Some((_, document)) => Some(document),
            None => read(&one.body),
        };
        let parsed = published.iter().filter_map(|one| Some((one, one.key.to_string(), document_of(one)?)));
        let parsed: Vec<_> = parsed.collect();
        let sources = parsed.iter().map(|(one, key, document)| Source {
            key,
            arrival: one.arrival,
            changed_at: one.changed_at,
            document,
        });
        let sources: Vec<Source<'_>> = sources.collect();
        let hard = self.documents.state_of(&presentity.uri).and_then(|(body, at)| Some((read(body)?, at)));
        let hard = hard.as_ref().map(|(document, at)| Source {
            key: Usage::PidfManipulation.auid(),
            arrival: 0,
            changed_at: *at,
            document,
        });
        let spoke = presentity.composed.is_some() || presentity.is_behind;
        presentity.is_behind = false;
        let says = !sources.is_empty() || hard.is_some();
        let next_edge = if says {
            let composed = compose(&sources, hard, &presentity.uri, now.wall);
            let edge = composed.next_edge;
            let composed = Composition::new(composed, now.wall);
            if presentity.composed.as_ref().is_some_and(|before| before.document == composed.document) {
                self.note_edge(of, edge, now);
                return;
            }
            presentity.composed = Some(composed);
            edge
        } else {
            presentity.composed = None;
            None
        };
        if spoke || says {
            let offline_since = (!says).then_some(now.wall);
            let (views, shown) = presentity.views();
            let changed = views.state_changed(offline_since, shown, now.wall);
            for view in changed {
                self.notifier.changed(view, now.at);
                self.listing.changed(view, now.at);
            }
            if self.presentities.get(of).is_some_and(Presentity::has_spheres) {
                self.judge_all(of, now);
            }
        }
        self.note_edge(of, next_edge, now);
    }

    /// Takes note of when something of a presentity may be otherwise by itself (CMP-05, POL-06).
    fn note_edge(&mut self, of: u32, edge: Option<Timestamp>, now: Now) {
        let Some(presentity) = self.presentities.get_mut(of) else { return };
        let ruled = presentity.policy.as_ref().and_then(|policy| policy.next_edge(now.wall));
        match edge.into_iter().chain(ruled).min() {
            // The wall clock may be set at any time: it is looked at again after a while.
            Some(edge) => {
                let at = instant_of(edge, now).min(now.at + super::judging::LOOK_AGAIN_AFTER);
                self.edges.set(&mut presentity.timer, of, at);
            }
            None => self.edges.cancel(&mut presentity.timer, of),
        }
    }

    /// Looks anew at those of whom something may be otherwise by now.
    pub(super) fn follow_times(&mut self, now: Now) {
        for _ in 0..1024 {
            let Some(of) = self.edges.pop(now.at) else { return };
            if let Some(presentity) = self.presentities.get_mut(of) {
                presentity.timer = None;
            }
            self.judge_all(of, now);
            self.recompose(of, now);
        }
    }

    /// Forgets somebody of whom nothing is known any more.
    pub(super) fn forget_if_idle(&mut self, of: u32) {
        if !self.presentities.get(of).is_some_and(Presentity::is_idle)
            || self.informing.tells(of)
            || self.listing.has(of)
        {
            return;
        }
        if self.notifier.shows(of) {
            // One look that is under way.
            self.looked_at.push(of);
            return;
        }
        if let Some(mut gone) = self.presentities.remove(of) {
            self.edges.cancel(&mut gone.timer, of);
        }
    }
}
