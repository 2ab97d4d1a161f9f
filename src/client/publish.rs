//! Publishing, as a builder that is awaited.

use std::{
    future::{Future, IntoFuture},
    pin::Pin,
};

use jiff::Timestamp;

use super::{Activity, ClientError, PresenceClient, PresenceStatus, Published};

/// A status on its way out; nothing happens until it is awaited.
#[derive(Debug)]
#[must_use = "a status is published when this is awaited"]
pub struct PresenceBuilder {
    client: PresenceClient,
    published: Published,
}

impl PresenceBuilder {
    pub(super) fn new(client: PresenceClient, status: PresenceStatus) -> Self {
        // The core puts the time at which it takes the status.
        Self { client, published: Published::new(status, Timestamp::UNIX_EPOCH) }
    }

    /// Adds a note for people; at most 1024 bytes of it go out (MAP-14).
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.published.note = Some(note.into());
        self
    }

    /// Says which language the note is in (RFC 5646).
    pub fn note_lang(mut self, lang: impl Into<String>) -> Self {
        self.published.note_lang = Some(lang.into());
        self
    }

    /// Adds an activity behind the status's own.
    pub fn activity(mut self, activity: Activity) -> Self {
        self.published.activities.push(activity);
        self
    }

    /// Says what the device is called.
    pub fn device(mut self, device: impl Into<String>) -> Self {
        self.published.device = Some(device.into());
        self
    }
}

impl IntoFuture for PresenceBuilder {
    type Output = Result<(), ClientError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.client.publish(self.published).await })
    }
}
