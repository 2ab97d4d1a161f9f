//! What somebody shows, as views are made of it.

use jiff::Timestamp;

use crate::presence::{
    PresenceStatus,
    compose::{Composed, compose},
    pidf::{self, Document, Identity, Published},
    policy::Instead,
    status::OpenWhen,
    views::Subject,
};

/// What publications come to.
#[derive(Debug)]
pub(super) struct Composition {
    /// The document.
    pub(super) document: Document,
    /// The part of life that it is in, if all that say one say the same (POL-07).
    pub(super) sphere: Option<Box<str>>,
    /// Since when it has been so.
    since: Timestamp,
    is_offline: bool,
}

impl Composition {
    pub(super) fn new(composed: Composed, now: Timestamp) -> Self {
        let Composed { document, .. } = composed;
        let info = document.info_at(None, now);
        let tuples = document.tuples.iter().map(|tuple| tuple.timestamp);
        let persons = document.persons.iter().map(|person| person.timestamp);
        let since = tuples.chain(persons).flatten().max().unwrap_or(now).min(now);
        let spheres = document.persons.iter().filter_map(|person| person.rich.sphere.as_deref());
        let mut spheres: Vec<&str> = spheres.collect();
        spheres.dedup();
        let sphere = if let [sphere] = spheres[..] { Some(sphere.into()) } else { None };
        Self { is_offline: info.status == Some(PresenceStatus::Offline), since, sphere, document }
    }
}

/// Somebody's state, and who it is.
#[derive(Clone, Copy)]
pub(super) struct Shown<'a> {
    pub(super) uri: &'a str,
    pub(super) composed: Option<&'a Composition>,
}

impl Subject for Shown<'_> {
    fn said_at(&self) -> Option<Timestamp> {
        self.composed.map(|composed| composed.since)
    }

    fn offline_at(&self) -> Option<Timestamp> {
        self.composed.filter(|composed| composed.is_offline).map(|composed| composed.since)
    }

    fn whole(&self) -> Vec<u8> {
        self.composed.map(|composed| composed.document.to_bytes()).unwrap_or_default()
    }

    fn since(&self, since: Timestamp) -> Option<Document> {
        let mut document = self.composed?.document.clone();
        document.tuples.iter_mut().for_each(|tuple| tuple.timestamp = Some(since));
        document.persons.iter_mut().for_each(|person| person.timestamp = Some(since));
        document.devices.iter_mut().for_each(|device| device.timestamp = Some(since));
        Some(document)
    }

    fn instead(&self, instead: &Instead, since: Timestamp) -> Vec<u8> {
        let mut shown = Published::new(instead.status.clone(), since);
        shown.note.clone_from(&instead.note);
        pidf::write(&shown, &Identity::new(self.uri, self.uri, self.uri), &OpenWhen::default())
    }

    /// As somebody who publishes nothing (CMP-03), so that nobody can tell (POL-03).
    fn offline(&self, since: Timestamp) -> Vec<u8> {
        let mut document = compose(&[], None, self.uri, since).document;
        document.tuples.iter_mut().for_each(|tuple| tuple.timestamp = Some(since));
        document.to_bytes()
    }
}
