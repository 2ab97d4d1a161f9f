//! What a resource list comes to: the people whom a subscription to it is about (RFC 4826 §3, RFC 5363, RFC 5367).
//!
//! A stored list may hold others and refer to more; [`flatten`] follows all that, within limits, and says who is in it. A
//! list in the body of a request is flat by itself, or it is refused: see [`ad_hoc`]. Where documents are kept, and who may
//! read them, is left to others.

mod select;
mod walk;

use std::collections::HashMap;

use self::walk::Walk;
use super::{
    policy::canonical,
    xml::{Element, Error, Limits, Ns, Tree},
};
use crate::sip::uri::{Scheme, UriRef};

/// The media type.
pub const CONTENT_TYPE: &str = "application/resource-lists+xml";
/// The namespace.
pub const NAMESPACE: &str = "urn:ietf:params:xml:ns:resource-lists";
/// The most entries that a list may come to.
pub const MAX_ENTRIES: usize = 500;
/// How deep lists may stand in each other, references followed; the outermost has depth 1.
pub const MAX_DEPTH: usize = 8;
/// The longest URI of an entry, in bytes.
pub const MAX_URI: usize = 512;
/// The longest name that is read, in characters; the rest is cut off.
const MAX_NAME: usize = 128;
/// Of one document.
const LIMITS: Limits = Limits { bytes: 1024 * 1024, elements: 64 * 1024 };

/// Somebody on a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The URI as it stands there; of any scheme, if the list was kept.
    pub uri: String,
    /// What the list calls him.
    pub name: Option<String>,
}

/// Why a list cannot be served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ListError {
    /// It is no XML, or too much of it.
    #[error(transparent)]
    Xml(Error),
    /// Its root is another.
    #[error("it is no resource list, but <{0}>")]
    Root(String),
    /// The document has no list of that name.
    #[error("there is no list of that name")]
    NoSuchList,
    /// It comes to more than [`MAX_ENTRIES`].
    #[error("it comes to more than {MAX_ENTRIES} entries")]
    TooMany,
    /// Lists stand in each other deeper than [`MAX_DEPTH`].
    #[error("its lists stand in each other deeper than {MAX_DEPTH}")]
    TooDeep,
    /// More would have to be read and looked at than is allowed.
    #[error("it refers to more than can be followed")]
    TooMuch,
    /// A list in a request is not one list that has entries alone (RFC 5363 §3).
    #[error("a list in a request has entries alone, and no other list or reference")]
    NotFlat,
    /// An entry of a list in a request has no SIP URI.
    #[error("an entry has no SIP URI")]
    Uri,
}

impl From<Error> for ListError {
    fn from(error: Error) -> Self {
        match error {
            Error::TooDeep => Self::TooDeep,
            error => Self::Xml(error),
        }
    }
}

/// Returns who is on a list of a document, in the order in which they stand there: on the outermost list of that name, or on
/// all of them.
///
/// References are followed: `resolve` is given one up to its node selector (RFC 4825 §6), and returns the document that
/// stands there, or the one element that is meant; for each text it is asked once. What it does not return, or what cannot
/// be read, is left out, and so are entries without a URI. Who stands there several times, by whatever parameters, is one
/// entry, with the first URI and the first name. A list that was followed already is not followed again, so that none leads
/// into itself. Whether a reference may be followed at all, to which tree and to which host, is for `resolve` to say.
pub fn flatten(
    document: &[u8],
    list: Option<&str>,
    resolve: impl FnMut(&str) -> Option<Vec<u8>>,
) -> Result<Vec<Entry>, ListError> {
    let tree = Tree::parse_within(document, None, LIMITS)?;
    let root = tree.root();
    let is_list = is(root, "list");
    if !is_list && !is(root, "resource-lists") {
        return Err(other_root(root));
    }
    let mut walk = Walk::new(resolve);
    let children = root.children().filter(|child| !is_list && is(*child, "list"));
    let lists = is_list.then_some(root).into_iter().chain(children);
    let mut is_there = list.is_none();
    for one in lists.filter(|one| list.is_none() || one.attribute("name") == list) {
        is_there = true;
        walk.list(one, 1)?;
    }
    if is_there { Ok(walk.into_entries()) } else { Err(ListError::NoSuchList) }
}

/// Returns who is on the list in the body of a request (RFC 5367 §4): one list that has entries alone, of SIP, SIPS or
/// presence URIs. Who stands there twice is one entry (RFC 5363 §3).
pub fn ad_hoc(document: &[u8]) -> Result<Vec<Entry>, ListError> {
    let tree = Tree::parse_within(document, None, LIMITS)?;
    let root = tree.root();
    if !is(root, "resource-lists") {
        return Err(other_root(root));
    }
    let mut lists = root.children().filter(|child| is_ours(*child));
    let (Some(list), None) = (lists.next(), lists.next()) else { return Err(ListError::NotFlat) };
    if list.name() != "list" {
        return Err(ListError::NotFlat);
    }
    let mut found = Found::default();
    for member in list.children().filter(|child| is_ours(*child)) {
        match member.name() {
            "entry" => {
                let uri =
                    uri_of(member).filter(|uri| matches!(uri.scheme(), Scheme::Sip | Scheme::Sips | Scheme::Pres));
                found.add(uri.ok_or(ListError::Uri)?, name_of(member))?;
            }
            "display-name" => {}
            _ => return Err(ListError::NotFlat),
        }
    }
    Ok(found.entries)
}

/// Who was found.
#[derive(Default)]
struct Found {
    entries: Vec<Entry>,
    places: HashMap<String, usize>,
}

impl Found {
    fn add(&mut self, uri: UriRef<'_>, name: Option<String>) -> Result<(), ListError> {
        let key = match uri.scheme() {
            // `mailto:bob@example.com` is another than `sip:bob@example.com`.
            Scheme::Other => uri.as_str().to_owned(),
            _ => canonical(uri.as_str()),
        };
        if let Some(known) = self.places.get(&key).and_then(|place| self.entries.get_mut(*place)) {
            known.name = known.name.take().or(name);
            return Ok(());
        }
        if self.entries.len() == MAX_ENTRIES {
            return Err(ListError::TooMany);
        }
        self.places.insert(key, self.entries.len());
        self.entries.push(Entry { uri: uri.as_str().to_owned(), name });
        Ok(())
    }
}

fn other_root(root: Element<'_>) -> ListError {
    ListError::Root(root.name().chars().take(MAX_NAME).collect())
}

/// Tells whether an element is of a resource list; one that was taken out of its document may have lost its namespace.
fn is_ours(element: Element<'_>) -> bool {
    matches!(element.ns(), Ns::RESOURCE_LISTS | Ns::NONE)
}

fn is(element: Element<'_>, name: &str) -> bool {
    is_ours(element) && element.name() == name
}

fn uri_of(entry: Element<'_>) -> Option<UriRef<'_>> {
    let uri = entry.attribute("uri")?.trim();
    (uri.len() <= MAX_URI).then(|| UriRef::parse(uri).ok()).flatten()
}

fn name_of(element: Element<'_>) -> Option<String> {
    let name = element.children().find(|child| is(*child, "display-name"))?.text();
    let name = name.trim();
    (!name.is_empty()).then(|| name.chars().take(MAX_NAME).collect())
}

#[cfg(test)]
mod tests;
