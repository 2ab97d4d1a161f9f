//! What was there before each change: to put it back where the change cannot be kept after all (ESC-07).

use super::{Compositor, Kept, PublicationKey};
use crate::sip::time::Instant;

/// A publication as it was before one change.
#[derive(Debug)]
pub struct Before {
    key: PublicationKey,
    resource: Box<str>,
    /// None where the change began it.
    kept: Option<Kept>,
}

impl Before {
    /// Returns whose publication it is.
    pub fn resource(&self) -> &str {
        &self.resource
    }
}

impl Compositor {
    /// Takes note of what was there before each change from now on, until it is [taken](Self::take_journal).
    #[must_use]
    pub fn with_journal(self) -> Self {
        Self { journal: Some(Vec::new()), ..self }
    }

    /// Takes what was there before the changes since the last call, in their order.
    pub fn take_journal(&mut self) -> Vec<Before> {
        self.journal.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Puts back what was there before a change; of several the last one first. It is to be written down anew, for what came
    /// of the change may be found where it was to be kept.
    pub fn undo(&mut self, before: Before, now: Instant) {
        let Before { key, kept, .. } = before;
        if let Some(id) = self.keys.get(&key).copied() {
            self.remove(id, now);
        }
        if let Some(kept) = kept.filter(|kept| kept.expires_at > now) {
            self.insert(kept);
        }
    }

    /// Takes note of a publication that is about to change, or to begin.
    pub(super) fn note(&mut self, key: PublicationKey, resource: &str) {
        let Some(journal) = &mut self.journal else { return };
        let kept = self.keys.get(&key).and_then(|id| self.slab.get(*id)).map(|kept| Kept {
            resource: kept.resource.clone(),
            body: kept.body.clone(),
            timer: None,
            ..*kept
        });
        journal.push(Before { key, resource: resource.into(), kept });
    }
}
