//! What the documents of a subscription say together (RFC 3858 §4).

use std::collections::BTreeMap;

use super::{Document, List, Status, Watcher};

/// How many watchers are kept of one subscription; whoever comes beyond is left out.
pub(super) const MAX_WATCHERS: usize = 4096;

/// What became of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merged {
    /// It was taken.
    Taken,
    /// It was taken, but one before it is missing: everything is to be asked for anew.
    Gap,
    /// It is not newer than what is known: nothing was taken.
    Old,
}

/// All watchers that the documents of a subscription tell of, by list and id.
#[derive(Clone, Debug, Default)]
pub struct Table {
    version: Option<u32>,
    pub(super) lists: BTreeMap<(String, String), BTreeMap<String, Watcher>>,
}

impl Table {
    /// A subscription begins: its first document may have any version. What is known stays until then.
    pub fn restart(&mut self) {
        self.version = None;
    }

    /// Takes a document. Who is terminated is told by it a last time, and gone.
    pub fn merge(&mut self, document: Document) -> Merged {
        let Document { version, full, lists } = document;
        let merged = match self.version {
            Some(known) if version <= known => return Merged::Old,
            // A full one tells everything, whatever was missed.
            _ if full => Merged::Taken,
            Some(known) if version == known.saturating_add(1) => Merged::Taken,
            Some(_) | None => Merged::Gap,
        };
        self.version = Some(version);
        if full {
            self.lists.clear();
        }
        for List { resource, package, watchers } in lists {
            for watcher in watchers {
                let key = (resource.clone(), package.clone());
                if watcher.status == Status::Terminated {
                    if let Some(list) = self.lists.get_mut(&key) {
                        list.remove(&watcher.id);
                    }
                } else if self.len() < MAX_WATCHERS || self.has(&key, &watcher.id) {
                    self.lists.entry(key).or_default().insert(watcher.id.clone(), watcher);
                }
            }
        }
        merged
    }

    /// Returns the version of the newest document, once there is one.
    pub fn version(&self) -> Option<u32> {
        self.version
    }

    /// Goes through those who watch by an event package.
    pub fn watchers<'a>(&'a self, package: &'a str) -> impl Iterator<Item = &'a Watcher> {
        let lists = self.lists.iter().filter(move |((_, of), _)| of == package);
        lists.flat_map(|(_, list)| list.values())
    }

    /// Forgets everybody.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    fn len(&self) -> usize {
        self.lists.values().map(BTreeMap::len).sum()
    }

    fn has(&self, key: &(String, String), id: &str) -> bool {
        self.lists.get(key).is_some_and(|list| list.contains_key(id))
    }
}
