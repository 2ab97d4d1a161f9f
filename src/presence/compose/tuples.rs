//! Steps 4, 5 and 10: which tuples there are, and in which order.

use std::cmp::Reverse;

use super::{Age, Layer, ids::Ids};
use crate::{
    presence::{info::RawElement, pidf::Tuple, status::Basic},
    sip::uri::UriRef,
};

/// How many tuples a document has at most.
const MOST: usize = 20;

/// A tuple with what decides about it.
struct Candidate<'a> {
    layer: &'a Layer<'a>,
    place: usize,
    age: Age,
    key: Key,
}

/// What two tuples have in common of which one is shown.
#[derive(Debug, PartialEq, Eq)]
struct Key {
    contact: String,
    /// The publication, of a tuple that cannot be reached anywhere.
    of: Option<String>,
    device: Option<String>,
    service: Option<String>,
}

/// Returns the tuples of the document, each with the key of its source.
pub(super) fn choose(layers: &[Layer<'_>], ids: &mut Ids) -> Vec<(Tuple, String)> {
    let mut all: Vec<Candidate<'_>> = Vec::new();
    for layer in layers {
        for (place, tuple) in layer.document.tuples.iter().enumerate() {
            all.push(Candidate { layer, place, age: layer.age(tuple.timestamp), key: key_of(tuple, layer.source.key) });
        }
    }
    // The sort is stable: of one publication the first of the same age stays.
    all.sort_by_key(|candidate| Reverse(candidate.age));
    let mut kept: Vec<Candidate<'_>> = Vec::new();
    for candidate in all {
        if kept.iter().all(|other| other.key != candidate.key) {
            kept.push(candidate);
        }
    }
    let is_open = |candidate: &Candidate<'_>| candidate.tuple().basic == Some(Basic::Open);
    if kept.iter().any(is_open) {
        kept.retain(|candidate| is_open(candidate) || says_something(candidate.tuple()));
    }
    kept.sort_by_key(|candidate| (Reverse(is_open(candidate)), Reverse(candidate.age)));
    kept.truncate(MOST);

    let mut tuples: Vec<(Tuple, Age, String)> = Vec::new();
    // Ids are given in the order of the document that they stand in, so that the same one gets the same.
    kept.sort_by_key(|candidate| (candidate.layer.source.arrival, candidate.place));
    for candidate in &kept {
        let key = candidate.layer.source.key;
        let mut tuple = candidate.tuple().clone();
        if candidate.layer.is_left_for(layers) && tuple.show.as_deref() == Some("away") {
            tuple.show = None;
        }
        tuple.id = Some(ids.of_element('t', key, tuple.id.as_deref(), candidate.place));
        tuples.push((tuple, candidate.age, key.to_owned()));
    }
    tuples.sort_by(|(a, a_age, _), (b, b_age, _)| {
        let rank = |tuple: &Tuple, age: &Age| {
            let priority = tuple.contact.as_ref().and_then(|contact| contact.priority);
            (Reverse(tuple.basic == Some(Basic::Open)), Reverse(priority), Reverse(*age))
        };
        rank(a, a_age).cmp(&rank(b, b_age)).then_with(|| a.id.cmp(&b.id))
    });
    tuples.into_iter().map(|(tuple, _, key)| (tuple, key)).collect()
}

impl Candidate<'_> {
    fn tuple(&self) -> &Tuple {
        &self.layer.document.tuples[self.place]
    }
}

/// Step 5: whether a closed one is more than that.
fn says_something(tuple: &Tuple) -> bool {
    tuple.contact.is_some() || !tuple.notes.is_empty() || tuple.marker.is_some()
}

fn key_of(tuple: &Tuple, source: &str) -> Key {
    let contact = tuple.contact.as_ref().map(|contact| canonical(&contact.uri)).unwrap_or_default();
    let of = contact.is_empty().then(|| source.to_owned());
    let service = tuple.raw.iter().find(|element| element.name == "service-description").map(text_of);
    Key { contact, of, device: tuple.device_id.clone(), service }
}

/// Writes a URI in one of the ways in which it can be written: scheme and host count without case.
fn canonical(uri: &str) -> String {
    let uri = uri.trim();
    match UriRef::parse(uri) {
        Ok(parsed) => {
            let user = parsed.user().unwrap_or_default();
            let after_user = uri.rfind('@').map_or(0, |at| at + 1);
            let rest = &uri[after_user..];
            let end = rest.find([';', '?']).unwrap_or(rest.len());
            let scheme = uri.split(':').next().unwrap_or_default().to_ascii_lowercase();
            let host =
                if after_user == 0 { rest[..end].split_once(':').map_or("", |(_, host)| host) } else { &rest[..end] };
            format!("{scheme}:{user}@{}{}", host.to_ascii_lowercase(), &rest[end..])
        }
        Err(_) => uri.to_owned(),
    }
}

/// All text in an element, part by part.
fn text_of(element: &RawElement) -> String {
    let inner = element.children.iter().map(text_of);
    std::iter::once(element.text.clone()).chain(inner).collect::<Vec<_>>().join("\0")
}
