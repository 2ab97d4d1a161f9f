//! The way through lists that stand in each other and refer to each other; none is so long that it does not end.

use std::{
    collections::{HashMap, HashSet},
    rc::Rc,
};

use super::{Entry, Found, LIMITS, ListError, MAX_DEPTH, is, is_ours, name_of, select::select, uri_of};
use crate::presence::xml::{Element, Tree};

/// The longest reference that is followed, in bytes.
const MAX_REFERENCE: usize = 2048;
/// How many members are looked at, those among them who stand in several lists.
const MAX_MEMBERS: usize = 10_000;
/// How many references are followed.
pub(super) const MAX_REFERENCES: usize = 500;
/// How much is read of all documents that are referred to, in bytes.
const MAX_READ: usize = 4 * 1024 * 1024;

/// A document that is referred to, and the selector of what is meant in it.
type Referred<'r> = (Rc<Tree>, Option<&'r str>);

/// A way through lists that refer to each other.
pub(super) struct Walk<R> {
    resolve: R,
    /// What `resolve` returned, by what it was given.
    documents: HashMap<String, Option<Rc<Tree>>>,
    /// The references to lists that were followed.
    followed: HashSet<String>,
    read: usize,
    members: usize,
    references: usize,
    found: Found,
}

impl<R: FnMut(&str) -> Option<Vec<u8>>> Walk<R> {
    pub(super) fn new(resolve: R) -> Self {
        Self {
            resolve,
            documents: HashMap::new(),
            followed: HashSet::new(),
            read: 0,
            members: 0,
            references: 0,
            found: Found::default(),
        }
    }

    /// Returns who was found.
    pub(super) fn into_entries(self) -> Vec<Entry> {
        self.found.entries
    }

    /// Goes through a list that stands that deep; calls of itself are as few as that.
    pub(super) fn list(&mut self, list: Element<'_>, depth: usize) -> Result<(), ListError> {
        if depth > MAX_DEPTH {
            return Err(ListError::TooDeep);
        }
        for member in list.children().filter(|child| is_ours(*child)) {
            self.members += 1;
            if self.members > MAX_MEMBERS {
                return Err(ListError::TooMuch);
            }
            match member.name() {
                "list" => self.list(member, depth + 1)?,
                "entry" => {
                    if let Some(uri) = uri_of(member) {
                        self.found.add(uri, name_of(member))?;
                    }
                }
                "entry-ref" => self.entry_elsewhere(member)?,
                "external" => self.list_elsewhere(member, depth)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn entry_elsewhere(&mut self, reference: Element<'_>) -> Result<(), ListError> {
        let Some((tree, selector)) = self.referred(reference.attribute("ref"))? else { return Ok(()) };
        let entry = element(&tree, selector).filter(|meant| is(*meant, "entry"));
        match entry.and_then(|entry| Some((entry, uri_of(entry)?))) {
            Some((entry, uri)) => self.found.add(uri, name_of(reference).or_else(|| name_of(entry))),
            None => Ok(()),
        }
    }

    fn list_elsewhere(&mut self, reference: Element<'_>, depth: usize) -> Result<(), ListError> {
        let anchor = reference.attribute("anchor");
        if !anchor.is_some_and(|anchor| self.followed.insert(anchor.trim().to_owned())) {
            return Ok(());
        }
        let Some((tree, selector)) = self.referred(anchor)? else { return Ok(()) };
        // A whole document stands for all lists in it.
        let list = element(&tree, selector).filter(|meant| is(*meant, "list") || is(*meant, "resource-lists"));
        list.map_or(Ok(()), |list| self.list(list, depth + 1))
    }

    /// Returns the document that a reference is to, and the selector of what is meant in it.
    fn referred<'r>(&mut self, reference: Option<&'r str>) -> Result<Option<Referred<'r>>, ListError> {
        let reference = reference.map(str::trim).filter(|text| !text.is_empty() && text.len() <= MAX_REFERENCE);
        let Some(reference) = reference else { return Ok(None) };
        self.references += 1;
        if self.references > MAX_REFERENCES {
            return Err(ListError::TooMuch);
        }
        let (place, selector) = match reference.split_once("/~~/") {
            Some((place, selector)) => (place, Some(selector)),
            None => (reference, None),
        };
        let tree = if let Some(known) = self.documents.get(place) {
            known.clone()
        } else {
            let document = (self.resolve)(place);
            self.read += document.as_ref().map_or(0, Vec::len);
            if self.read > MAX_READ {
                return Err(ListError::TooMuch);
            }
            let tree = document.and_then(|document| Tree::parse_within(&document, None, LIMITS).ok().map(Rc::new));
            self.documents.insert(place.to_owned(), tree.clone());
            tree
        };
        Ok(tree.map(|tree| (tree, selector)))
    }
}

/// Returns what is meant in a document: what its selector leads to, unless that element alone came.
fn element<'t>(tree: &'t Tree, selector: Option<&str>) -> Option<Element<'t>> {
    match selector {
        Some(selector) if is(tree.root(), "resource-lists") => select(tree.root(), selector),
        _ => Some(tree.root()),
    }
}
