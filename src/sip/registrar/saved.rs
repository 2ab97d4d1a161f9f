//! Bindings that outlive the process: what of them is written down, and how they go on.
//!
//! What is read back may be damaged or edited, so it passes what a device's own words have to pass.

use std::{net::SocketAddr, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{BindingKey, Kept, Registrar, asked::Place};
use crate::sip::{
    events::{MAX_EXPIRES, seconds},
    ids::Token,
    time::{Instant, wall_of},
    uri::UriRef,
};

/// A binding, as it is written down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedBinding {
    /// The address that is bound.
    pub resource: String,
    /// Which.
    pub key: String,
    /// Where the device is reached.
    pub contact: String,
    /// How much it is preferred, in thousandths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub q: Option<u16>,
    /// Which device, in quotes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Which of its flows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reg_id: Option<u32>,
    /// The Call-ID of its last REGISTER.
    pub call_id: String,
    /// The number of that.
    pub seq: u32,
    /// Where that came from.
    pub source: SocketAddr,
    /// When it began.
    pub since: Timestamp,
    /// When it ends unless it is refreshed.
    pub ends_at: Timestamp,
}

impl Registrar {
    /// Takes what is another than at the last call: bindings by their keys, none where one is gone.
    pub fn take_unsaved(&mut self, now: Instant, wall: Timestamp) -> Vec<(BindingKey, Option<SavedBinding>)> {
        let unsaved = std::mem::take(&mut self.unsaved);
        unsaved
            .into_iter()
            .map(|key| {
                let kept = self.by_key.get(&key).and_then(|id| self.slab.get_mut(*id));
                let saved = kept.map(|kept| {
                    kept.saved = true;
                    kept.saved(now, wall)
                });
                (key, saved)
            })
            .collect()
    }

    /// Goes on with a binding of an earlier run; false if it ended meanwhile, has no room, or cannot be one of ours.
    pub fn restore(&mut self, saved: SavedBinding, now: Instant, wall: Timestamp) -> bool {
        let SavedBinding { resource, key, contact, q, instance, reg_id, call_id, seq, source, since, ends_at } = saved;
        let (Some(key), Ok(uri)) = (Token::parse(&key), UriRef::parse(&contact)) else { return false };
        let left = Duration::try_from(ends_at.duration_since(wall)).unwrap_or_default();
        let place = Place { uri, instance: instance.as_deref(), reg_id };
        let known = self.ids(&resource);
        let is_full = known.len() >= self.config.max_of_one || self.slab.len() >= self.config.max_in_all;
        let is_taken = self.by_key.contains_key(&key)
            || known.iter().filter_map(|id| self.slab.get(*id)).any(|kept| kept.place().is_that_of(&place));
        if left.is_zero() || is_full || is_taken || !place.is_sound() || q.is_some_and(|q| q > 1000) {
            return false;
        }
        let contact = uri.to_owned();
        self.insert(Kept {
            resource: resource.into(),
            key,
            contact,
            q,
            instance: instance.map(Into::into),
            reg_id,
            call_id: call_id.into(),
            seq,
            source,
            since: since.min(wall),
            expires_at: now + left.min(seconds(MAX_EXPIRES)),
            timer: None,
            saved: true,
        });
        true
    }
}

impl Kept {
    fn saved(&self, now: Instant, wall: Timestamp) -> SavedBinding {
        SavedBinding {
            resource: self.resource.as_ref().to_owned(),
            key: self.key.to_string(),
            contact: self.contact.as_str().to_owned(),
            q: self.q,
            instance: self.instance.as_deref().map(str::to_owned),
            reg_id: self.reg_id,
            call_id: self.call_id.as_ref().to_owned(),
            seq: self.seq,
            source: self.source,
            since: self.since,
            ends_at: wall_of(self.expires_at, now, wall),
        }
    }
}
