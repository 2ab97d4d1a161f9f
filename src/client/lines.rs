//! From feeds to JSON lines: the one place where states become events (snapshot, ready, change, freshness, …).

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;

use super::{ClientError, Feed, Freshness, Item, Kind, Line, PresenceClient, PresentityState, Subscribing};

/// Watches several targets and says what happens to them, in lines.
#[derive(Debug, Default)]
pub struct Lines {
    feed: Feed,
    targets: BTreeMap<u64, Target>,
    seq: u64,
    ready: bool,
}

#[derive(Debug, Default)]
struct Target {
    name: Option<String>,
    last: Option<Arc<PresentityState>>,
    gone: bool,
}

impl Lines {
    /// Makes a stream without targets.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a target; `once` takes one look at it.
    pub async fn add(&mut self, client: &PresenceClient, target: &str, once: bool) -> Result<(), ClientError> {
        self.add_as(client, target, if once { Subscribing::Once } else { Subscribing::Lasting }).await
    }

    /// Adds a target to be looked at as `how` says; a raw look's line has the document as it came.
    pub async fn add_as(&mut self, client: &PresenceClient, target: &str, how: Subscribing) -> Result<(), ClientError> {
        self.add_buddy(client, target, None, how).await.map(drop)
    }

    /// Adds a target under the name that the user knows.
    pub async fn add_named(&mut self, client: &PresenceClient, target: &str, name: &str) -> Result<(), ClientError> {
        self.add_buddy(client, target, Some(name), Subscribing::Lasting).await.map(drop)
    }

    /// Adds a target, under a name if it has one; returns its place, by which it can be taken out again.
    pub async fn add_buddy(
        &mut self,
        client: &PresenceClient,
        target: &str,
        name: Option<&str>,
        how: Subscribing,
    ) -> Result<u64, ClientError> {
        let place = self.feed.add_as(client, target, how).await?;
        self.targets.insert(place, Target { name: name.map(str::to_owned), ..Target::default() });
        Ok(place)
    }

    /// Takes a target out; nothing more is told of it.
    pub fn remove(&mut self, place: u64) {
        self.feed.remove(place);
        self.targets.remove(&place);
    }

    /// Makes the line that says that all targets have had their first state, once that is so.
    ///
    /// [`next`](Self::next) makes it by itself when a state comes; this is for a list on which nobody is, or nobody
    /// is left who has had none.
    pub fn ready(&mut self) -> Option<Line> {
        (!self.ready && self.is_ready()).then(|| {
            self.ready = true;
            self.seq += 1;
            Line::new(Kind::Ready, self.seq - 1, Timestamp::now())
        })
    }

    /// Returns whether every target has had its first state.
    pub fn is_ready(&self) -> bool {
        self.targets.values().all(|target| target.last.is_some())
    }

    /// Waits for what happens next; a list that ends with [`Kind::End`] is the last. Cancel-safe.
    pub async fn next(&mut self) -> Vec<Line> {
        loop {
            let changed = self.feed.changed().await;
            let lines = self.lines(changed);
            if !lines.is_empty() {
                return lines;
            }
        }
    }

    /// Makes the line that says that nothing follows.
    pub fn end(&mut self) -> Line {
        self.seq += 1;
        Line::new(Kind::End, self.seq - 1, Timestamp::now())
    }

    fn lines(&mut self, changed: BTreeMap<u64, Item>) -> Vec<Line> {
        let now = Timestamp::now();
        let mut lines = Vec::new();
        for (place, item) in changed {
            let Some(Target { name, last, gone }) = self.targets.get_mut(&place) else { continue };
            match item {
                Item::Presentity { state, settled } => {
                    if last.is_none() && !settled {
                        continue;
                    }
                    let state = match name {
                        Some(name) => Arc::new(PresentityState { name: Some(name.clone()), ..(*state).clone() }),
                        None => state,
                    };
                    if let Some(kind) = kind_of(last.as_deref(), &state) {
                        lines.push(state.to_line(kind, self.seq, now));
                        self.seq += 1;
                    }
                    *last = Some(state);
                }
                // What was told is not kept up any more.
                Item::Gone => {
                    *gone = true;
                    if let Some(state) = last.as_mut().filter(|state| state.freshness == Freshness::Fresh) {
                        let mut stale = PresentityState::clone(state);
                        stale.freshness = Freshness::Stale;
                        lines.push(stale.to_line(Kind::Freshness, self.seq, now));
                        self.seq += 1;
                        *state = Arc::new(stale);
                    }
                }
                Item::Own(_) | Item::Server(_) | Item::Watchers(_) | Item::Saved => {}
            }
        }
        if !lines.is_empty() {
            lines.extend(self.ready());
        }
        if !self.targets.is_empty() && self.targets.values().all(|target| target.gone) {
            lines.push(self.end());
        }
        lines
    }
}

/// Says what the step from one state to the next is; none if nobody needs to know.
fn kind_of(last: Option<&PresentityState>, state: &PresentityState) -> Option<Kind> {
    let Some(last) = last else { return Some(Kind::Snapshot) };
    let told = |state: &PresentityState| {
        state.subscription.as_ref().map(|s| (s.state.clone(), s.reason.clone(), s.last_code, s.next_retry))
    };
    if last.info != state.info {
        Some(Kind::Change)
    } else if last.freshness != state.freshness {
        Some(Kind::Freshness)
    } else if told(last) != told(state) || last.warning != state.warning {
        Some(Kind::Subscription)
    } else {
        None
    }
}
