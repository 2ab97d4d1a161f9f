//! Publications that outlive the process (ESC-13): what of them is written down, and how they go on.

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;

use super::{Compositor, Kept, PublicationKey};
use crate::sip::{
    events::{MAX_EXPIRES, seconds},
    ids::Token,
    time::{Instant, wall_of},
};

/// A publication, as it is written down; how, is left to whoever keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedState {
    /// Whose.
    pub resource: String,
    /// Which.
    pub key: String,
    /// How it is named.
    pub etag: String,
    /// When it ends unless it is refreshed.
    pub ends_at: Timestamp,
    /// See [`Publication::arrival`](super::Publication::arrival).
    pub arrival: u64,
    /// When the document came.
    pub changed_at: Timestamp,
    /// The document.
    pub body: Bytes,
}

impl Compositor {
    /// Takes what is another than at the last call, one by one: publications by their keys, none where one is gone.
    pub fn take_unsaved(
        &mut self,
        now: Instant,
        wall: Timestamp,
    ) -> impl Iterator<Item = (PublicationKey, Option<SavedState>)> {
        std::mem::take(&mut self.unsaved).into_iter().map(move |(key, id)| {
            let kept = id.and_then(|id| self.slab.get(id)).filter(|kept| kept.key == key);
            (key, kept.map(|kept| kept.saved(now, wall)))
        })
    }

    /// Goes on with a publication of an earlier run; false if it ended meanwhile, cannot be one of ours
    /// or is more than there is room for.
    pub fn restore(&mut self, saved: SavedState, now: Instant, wall: Timestamp) -> bool {
        let SavedState { resource, key, etag, ends_at, arrival, changed_at, body } = saved;
        let left = Duration::try_from(ends_at.duration_since(wall)).unwrap_or_default();
        let (Some(key), Some(etag)) = (Token::parse(&key), Token::parse(&etag)) else { return false };
        let is_known = self.keys.contains_key(&key) || self.by_tag.contains_key(&etag);
        if left.is_zero() || is_known || self.is_full(&resource, now) {
            return false;
        }
        let expires_at = now + left.min(seconds(MAX_EXPIRES));
        self.arrivals = self.arrivals.max(arrival);
        self.insert(Kept {
            resource: resource.into(),
            key,
            etag,
            expires_at,
            arrival,
            changed_at: changed_at.min(wall),
            body,
            timer: None,
        });
        true
    }
}

impl Kept {
    fn saved(&self, now: Instant, wall: Timestamp) -> SavedState {
        SavedState {
            resource: self.resource.as_ref().to_owned(),
            key: self.key.to_string(),
            etag: self.etag.to_string(),
            ends_at: wall_of(self.expires_at, now, wall),
            arrival: self.arrival,
            changed_at: self.changed_at,
            body: self.body.clone(),
        }
    }
}
