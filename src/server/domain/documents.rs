//! What users keep here by XCAP: rules that are in force at once (XCP-12), lists, and the state of who publishes none
//! (ESC-18).

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;

use super::{Domain, Outbox, RETRY_AFTER};
use crate::{
    net::http::{Answer, serve::Request},
    presence::core::Now,
    server::{
        accounts::Name,
        store::{Record, Table},
        xcap::{Access, Documents, Place, Refusal, Usage, Xcap},
    },
};

/// All that is kept, with the time when it was put.
#[derive(Debug, Default)]
pub(super) struct Kept {
    by_place: BTreeMap<Place, (Bytes, Timestamp)>,
}

impl Kept {
    pub(super) fn len(&self) -> usize {
        self.by_place.len()
    }

    /// Returns what somebody shows who publishes nothing.
    pub(super) fn state_of(&self, uri: &str) -> Option<(&[u8], Timestamp)> {
        let owner: Name = uri.strip_prefix("sip:")?.parse().ok()?;
        let (body, at) = self.by_place.get(&Place { owner, usage: Usage::PidfManipulation })?;
        Some((body, *at))
    }

    pub(super) fn put(&mut self, place: Place, body: Bytes, at: Timestamp) {
        self.by_place.insert(place, (body, at));
    }

    pub(super) fn places(&self) -> impl Iterator<Item = &Place> {
        self.by_place.keys()
    }

    pub(super) fn get(&self, place: &Place) -> Option<&Bytes> {
        self.by_place.get(place).map(|(body, _)| body)
    }
}

/// The documents for the time of one request.
struct Open<'a> {
    kept: &'a mut Kept,
    refusing: bool,
    max: usize,
    now: Now,
    /// What was put or removed, and what was there before.
    changed: Option<(Place, Option<(Bytes, Timestamp)>)>,
}

impl Documents for Open<'_> {
    fn get(&self, place: &Place) -> Option<Bytes> {
        self.kept.get(place).cloned()
    }

    fn put(&mut self, place: &Place, document: Bytes) -> Result<(), Refusal> {
        if self.refusing || (self.kept.len() >= self.max && self.kept.get(place).is_none()) {
            return Err(Refusal::Later(RETRY_AFTER));
        }
        let before = self.kept.by_place.insert(place.clone(), (document, self.now.wall));
        self.changed = Some((place.clone(), before));
        Ok(())
    }

    fn remove(&mut self, place: &Place) -> Result<(), Refusal> {
        if self.refusing {
            return Err(Refusal::Later(RETRY_AFTER));
        }
        self.changed = Some((place.clone(), self.kept.by_place.remove(place)));
        Ok(())
    }
}

/// A document as it was before a request: to put it back where that cannot be kept.
#[derive(Debug)]
pub struct Before {
    place: Place,
    document: Option<(Bytes, Timestamp)>,
}

impl Domain {
    /// Answers a request for a document. What is changed is in force at once, and stands in the outbox to be kept; the answer
    /// is to wait for that, and [`take_back`](Self::take_back) undoes it.
    pub fn document_asked(
        &mut self,
        xcap: &Xcap,
        request: &Request,
        now: Now,
        out: &mut Outbox,
    ) -> (Answer, Option<Before>) {
        let open: Vec<Box<str>> = self.config.domains.iter().filter(|domain| self.is_open(domain)).cloned().collect();
        let Self { guards, accounts, endpoint, documents, refusing, config, .. } = self;
        let mut access = Access { guards, accounts, open: &open, now: now.at, rng: endpoint.rng() };
        // Some of each kind for everybody whom we may know.
        let max = config.limits.presentities * Usage::ALL.len();
        let mut open = Open { kept: documents, refusing: *refusing, max, now, changed: None };
        let answer = xcap.answer(request, &mut access, &mut open);
        let before = open.changed.map(|(place, document)| Before { place, document });
        if let Some(before) = &before {
            out.records.extend(self.record_of(&before.place));
            self.document_changed(&before.place, now);
        }
        (answer, before)
    }

    /// Puts back what was there before a change that cannot be kept.
    pub fn take_back(&mut self, before: Before, now: Now) {
        let Before { place, document } = before;
        match document {
            Some(document) => drop(self.documents.by_place.insert(place.clone(), document)),
            None => drop(self.documents.by_place.remove(&place)),
        }
        self.document_changed(&place, now);
    }

    /// Acts upon what somebody keeps.
    pub(super) fn document_changed(&mut self, place: &Place, now: Now) {
        let uri = place.owner.address();
        let Some(of) = self.presentities.find_or_make(&uri, usize::MAX, now) else { return };
        match place.usage {
            Usage::PresRules => {
                let document = self.documents.get(place).cloned();
                self.set_rules(of, document.as_deref(), now);
            }
            Usage::PidfManipulation => self.recompose(of, now),
            Usage::ResourceLists => {
                self.lists_changed(&place.owner, now);
                self.forget_if_idle(of);
            }
        }
    }

    fn record_of(&self, place: &Place) -> Option<Record> {
        let kept = self.documents.by_place.get(place);
        let value = kept.map(|(body, at)| [format!("{at}\n").as_bytes(), body].concat());
        let key = format!("{}\n{}", place.usage.auid(), place.owner).into_bytes();
        self.config.keeps.then_some(Record { table: Table::Documents, key, value })
    }
}

/// Reads a record back.
pub(super) fn document_of(key: &[u8], value: &[u8]) -> Option<(Place, Bytes, Timestamp)> {
    let (auid, owner) = std::str::from_utf8(key).ok()?.split_once('\n')?;
    let usage = Usage::ALL.into_iter().find(|usage| usage.auid() == auid)?;
    let place = Place { owner: owner.parse().ok()?, usage };
    let end = value.iter().position(|byte| *byte == b'\n')?;
    let at = std::str::from_utf8(&value[..end]).ok()?.parse().ok()?;
    Some((place, Bytes::copy_from_slice(&value[end + 1..]), at))
}
