//! A list of people, read together.

use std::{collections::BTreeMap, sync::Arc};

use super::{Buddy, ClientError, Feed, Freshness, Item, Presence, PresenceClient, PresentityState};

/// Several presentities, perhaps of several accounts, read through one feed.
#[derive(Debug, Default)]
pub struct BuddyList {
    feed: Feed,
    entries: BTreeMap<u64, Entry>,
}

#[derive(Debug)]
struct Entry {
    buddy: Buddy,
    last: Option<Arc<PresentityState>>,
}

impl BuddyList {
    /// Makes an empty list.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a buddy, watched through `client`.
    pub async fn add(&mut self, client: &PresenceClient, address: &str) -> Result<(), ClientError> {
        self.add_buddy(client, Buddy::new(address)).await
    }

    /// Adds a buddy with its name.
    pub async fn add_buddy(&mut self, client: &PresenceClient, buddy: Buddy) -> Result<(), ClientError> {
        let place = self.feed.add(client, &buddy.address).await?;
        self.entries.insert(place, Entry { buddy, last: None });
        Ok(())
    }

    /// Takes a buddy off the list; returns whether it was on it.
    pub fn remove(&mut self, address: &str) -> bool {
        let place = self.entries.iter().find(|(_, entry)| entry.buddy.address == address).map(|(place, _)| *place);
        place.is_some_and(|place| {
            self.feed.remove(place);
            self.entries.remove(&place).is_some()
        })
    }

    /// Returns the buddies in the order in which they were added.
    pub fn buddies(&self) -> impl Iterator<Item = &Buddy> {
        self.entries.values().map(|entry| &entry.buddy)
    }

    /// Waits until a buddy changed since the last call, and returns each that did, once, at its newest.
    ///
    /// Cancel-safe. With nobody on the list it waits for ever.
    pub async fn poll(&mut self) -> Vec<(Buddy, Presence)> {
        loop {
            let changed = self.feed.changed().await;
            let news = self.news(changed);
            if !news.is_empty() {
                return news;
            }
        }
    }

    /// Returns each buddy that changed since the last call, without waiting.
    pub fn try_poll(&mut self) -> Vec<(Buddy, Presence)> {
        let changed = self.feed.try_changed();
        self.news(changed)
    }

    fn news(&mut self, changed: BTreeMap<u64, Item>) -> Vec<(Buddy, Presence)> {
        let mut news = Vec::new();
        for (place, item) in changed {
            let Some(entry) = self.entries.get_mut(&place) else { continue };
            let state = match item {
                Item::Presentity { state, settled: true } => state,
                // A client that is gone confirms nothing any more.
                Item::Gone => {
                    let Some(last) = &entry.last else { continue };
                    let mut state = PresentityState::clone(last);
                    if state.freshness == Freshness::Fresh {
                        state.freshness = Freshness::Stale;
                    }
                    Arc::new(state)
                }
                Item::Presentity { .. } | Item::Own(_) | Item::Server(_) | Item::Watchers(_) | Item::Saved => continue,
            };
            let is_news =
                entry.last.as_ref().is_none_or(|last| last.info != state.info || last.freshness != state.freshness);
            if is_news {
                entry.last = Some(Arc::clone(&state));
                news.push((entry.buddy.clone(), Presence::new(state)));
            }
        }
        news
    }
}
