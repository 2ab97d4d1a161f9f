//! Our own state, as views are made of it.

use jiff::Timestamp;

use super::{Core, CoreConfig, OwnPresence};
use crate::presence::{
    pidf::{self, Document, Identity, Published},
    policy::Instead,
    status::{OpenWhen, PresenceStatus},
    views::Subject,
};

/// What we publish, and who we are.
#[derive(Clone, Copy)]
pub(super) struct Own<'a> {
    presence: &'a OwnPresence,
    identity: &'a Identity,
    open: OpenWhen,
    /// What the device is called, if it is told: by who is offline too.
    device: Option<&'a str>,
}

impl Core {
    pub(super) fn subject(&self) -> Own<'_> {
        Own::new(&self.own, &self.identity, &self.config)
    }
}

impl<'a> Own<'a> {
    pub(super) fn new(presence: &'a OwnPresence, identity: &'a Identity, config: &'a CoreConfig) -> Self {
        Self { presence, identity, open: config.open_when, device: config.device.as_deref() }
    }

    fn write(&self, published: &Published) -> Vec<u8> {
        pidf::write(published, self.identity, &self.open)
    }
}

impl Subject for Own<'_> {
    fn said_at(&self) -> Option<Timestamp> {
        self.presence.published.as_ref().map(|published| published.timestamp)
    }

    fn offline_at(&self) -> Option<Timestamp> {
        let published = self.presence.published.as_ref()?;
        (published.status == PresenceStatus::Offline).then_some(published.timestamp)
    }

    fn whole(&self) -> Vec<u8> {
        self.presence.published.as_ref().map(|published| self.write(published)).unwrap_or_default()
    }

    fn since(&self, since: Timestamp) -> Option<Document> {
        let published = self.presence.published.as_ref()?;
        let whole = self.write(&Published { timestamp: since, ..published.clone() });
        Document::parse(&whole, None).ok()
    }

    fn instead(&self, instead: &Instead, since: Timestamp) -> Vec<u8> {
        let mut shown = Published::new(instead.status.clone(), since);
        shown.note.clone_from(&instead.note);
        self.write(&shown)
    }

    /// Somebody who is offline has the same device as somebody who is not.
    fn offline(&self, since: Timestamp) -> Vec<u8> {
        let mut published = Published::new(PresenceStatus::Offline, since);
        published.device = self.device.map(str::to_owned);
        self.write(&published)
    }
}
