//! Watching one presentity.

use std::{fmt, sync::Arc};

use jiff::Timestamp;

use super::{ClientError, Feed, Freshness, Item, PresenceClient, PresenceInfo, PresentityState, ShownStatus};

/// What is known of a presentity at one moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Presence {
    /// The target as it was asked for.
    pub presentity: String,
    /// The status; prints as one word, or as the text of a custom one.
    pub status: ShownStatus,
    /// The note, if there is one.
    pub note: Option<String>,
    /// Since when the status is what it is.
    pub since: Option<Timestamp>,
    /// Whether that still holds.
    pub freshness: Freshness,
    /// Everything that is known.
    pub state: Arc<PresentityState>,
}

impl Presence {
    pub(super) fn new(state: Arc<PresentityState>) -> Self {
        Self {
            presentity: state.presentity.clone(),
            status: state.shown_status(),
            note: state.info.as_ref().and_then(|info| Some(info.note.as_ref()?.text.clone())),
            since: state.since,
            freshness: state.freshness,
            state,
        }
    }

    /// Returns what the peer's document said.
    pub fn info(&self) -> Option<&PresenceInfo> {
        self.state.info.as_ref()
    }
}

/// The status, as in "alice is now busy".
impl fmt::Display for Presence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.status.fmt(f)
    }
}

/// Watches one presentity; dropping it unsubscribes.
#[derive(Debug)]
pub struct PresenceWatcher {
    feed: Feed,
    last: Option<Arc<PresentityState>>,
    once: bool,
    gone: bool,
}

impl PresenceWatcher {
    pub(super) async fn start(client: &PresenceClient, target: &str, once: bool) -> Result<Self, ClientError> {
        let mut feed = Feed::default();
        feed.add_watch(client, target, once).await?;
        Ok(Self { feed, last: None, once, gone: false })
    }

    /// Waits for news and returns the newest state; the first one comes with the first answer, or when there
    /// will be none.
    ///
    /// `None` comes only after [`stop`](Self::stop), when the client is gone, or behind the one state of a
    /// [`fetch`](PresenceClient::fetch). Cancel-safe.
    pub async fn recv(&mut self) -> Option<Presence> {
        while !self.gone {
            for item in self.feed.changed().await.into_values() {
                match item {
                    Item::Presentity { state, settled } if settled && self.is_news(&state) => {
                        self.last = Some(Arc::clone(&state));
                        self.gone = self.once;
                        return Some(Presence::new(state));
                    }
                    Item::Gone => self.gone = true,
                    Item::Presentity { .. } | Item::Own(_) | Item::Server(_) | Item::Watchers(_) | Item::Saved => {}
                }
            }
        }
        None
    }

    /// Turns of the subscription alone are no news of the presentity.
    fn is_news(&self, state: &PresentityState) -> bool {
        self.last.as_ref().is_none_or(|last| last.info != state.info || last.freshness != state.freshness)
    }

    /// Unsubscribes.
    pub fn stop(&mut self) {
        self.gone = true;
        self.feed = Feed::default();
    }
}
