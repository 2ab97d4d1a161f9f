//! Feeds: each reader's set of things that changed since it last read, every one at its newest.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use super::{ClientError, PresenceClient, Subscribing, driver::Command};
use crate::presence::{
    PresentityState,
    core::{Key, Linked, OwnPresence, WatchId, Watcher},
};

/// The newest state of one thing.
#[derive(Clone, Debug)]
pub enum Item {
    /// Somebody whom we watch.
    Presentity {
        /// The state.
        state: Arc<PresentityState>,
        /// Whether a first answer of any kind was had.
        settled: bool,
    },
    /// What we publish.
    Own(Arc<OwnPresence>),
    /// How we stand with our own server.
    Server(Arc<Linked>),
    /// Who watches us.
    Watchers(Arc<Vec<Watcher>>),
    /// What is to be saved of them is another: see [`PresenceClient::saved`].
    Saved,
    /// The client is gone; what it told is not kept up any more.
    Gone,
}

/// Where the driver puts what changed, and the reader takes it.
#[derive(Debug, Default)]
pub(super) struct Slot {
    changed: Mutex<BTreeMap<u64, Item>>,
    wake: Notify,
}

impl Slot {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Item>> {
        // A reader that panicked leaves the map whole: each change is one insertion.
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn put(&self, place: u64, item: Item) {
        self.lock().insert(place, item);
        self.wake.notify_one();
    }
}

/// One reader: the things that it added, and which of them changed.
///
/// It is bounded by the number of things, never lags, and merges changes by itself.
#[derive(Debug, Default)]
pub struct Feed {
    slot: Arc<Slot>,
    places: u64,
    watched: BTreeMap<u64, Watched>,
}

#[derive(Debug)]
struct Watched {
    client: PresenceClient,
    id: WatchId,
    /// The target as this reader asked for it; others may share the subscription by another name.
    presentity: String,
}

impl Feed {
    /// Adds a presentity; returns its place in the feed.
    pub async fn add(&mut self, client: &PresenceClient, target: &str) -> Result<u64, ClientError> {
        self.add_watch(client, target, false).await
    }

    pub(super) async fn add_watch(
        &mut self,
        client: &PresenceClient,
        target: &str,
        once: bool,
    ) -> Result<u64, ClientError> {
        self.add_as(client, target, if once { Subscribing::Once } else { Subscribing::Lasting }).await
    }

    pub(super) async fn add_as(
        &mut self,
        client: &PresenceClient,
        target: &str,
        how: Subscribing,
    ) -> Result<u64, ClientError> {
        let uri = client.resolve_self(super::parse_target(target, &client.home().default_host)?, target);
        let place = self.next_place();
        let (slot, presentity) = (Arc::downgrade(&self.slot), shown_target(target));
        let asked = presentity.clone();
        let id = client.ask(|reply| Command::Watch { uri, presentity: asked, how, slot, place, reply }).await?;
        self.watched.insert(place, Watched { client: client.clone(), id, presentity });
        Ok(place)
    }

    /// Adds what we publish; returns its place.
    pub async fn add_own(&mut self, client: &PresenceClient) -> Result<u64, ClientError> {
        self.add_key(client, Key::Own).await
    }

    /// Adds how we stand with our own server; returns its place.
    pub async fn add_server(&mut self, client: &PresenceClient) -> Result<u64, ClientError> {
        self.add_key(client, Key::Server).await
    }

    /// Adds the list of our watchers; returns its place.
    pub async fn add_watchers(&mut self, client: &PresenceClient) -> Result<u64, ClientError> {
        self.add_key(client, Key::Watchers).await
    }

    /// Adds what is to be saved of our watchers, as a mere mark whenever it changed; returns its place.
    pub async fn add_saved(&mut self, client: &PresenceClient) -> Result<u64, ClientError> {
        self.add_key(client, Key::Saved).await
    }

    async fn add_key(&mut self, client: &PresenceClient, key: Key) -> Result<u64, ClientError> {
        let place = self.next_place();
        let slot = Arc::downgrade(&self.slot);
        client.ask(|reply| Command::Follow { key, slot, place, reply }).await?;
        Ok(place)
    }

    /// Takes a presentity out again.
    pub fn remove(&mut self, place: u64) {
        if let Some(Watched { client, id, .. }) = self.watched.remove(&place) {
            client.shared.release(id, &self.slot, place);
            self.slot.lock().remove(&place);
        }
    }

    fn next_place(&mut self) -> u64 {
        self.places += 1;
        self.places - 1
    }

    /// Waits until something changed and takes all that did, by place; cancel-safe.
    pub async fn changed(&self) -> BTreeMap<u64, Item> {
        loop {
            let taken = self.try_changed();
            if !taken.is_empty() {
                return taken;
            }
            self.slot.wake.notified().await;
        }
    }

    /// Takes all that changed, without waiting.
    pub fn try_changed(&self) -> BTreeMap<u64, Item> {
        let mut taken = std::mem::take(&mut *self.slot.lock());
        for (place, item) in &mut taken {
            if let (Some(watched), Item::Presentity { state, .. }) = (self.watched.get(place), item)
                && state.presentity != watched.presentity
            {
                Arc::make_mut(state).presentity.clone_from(&watched.presentity);
            }
        }
        taken
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        for (place, Watched { client, id, .. }) in std::mem::take(&mut self.watched) {
            client.shared.release(id, &self.slot, place);
        }
    }
}

/// Returns a target as it is shown: the host in lower case, the usual port dropped (PID-12).
fn shown_target(target: &str) -> String {
    let target = target.trim();
    match target.rsplit_once('@') {
        Some((user, host)) => {
            let host = host.to_ascii_lowercase();
            format!("{user}@{}", host.strip_suffix(":5060").unwrap_or(&host))
        }
        None => target.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pid_12_a_target_is_shown_with_its_host_in_lower_case_and_without_the_usual_port() {
        assert_eq!(shown_target("Bob@HOST:5060"), "Bob@host");
        assert_eq!(shown_target("bob@192.0.2.20:5070"), "bob@192.0.2.20:5070");
        assert_eq!(shown_target("bob"), "bob");
    }
}
