//! All that we watch: who shares a subscription, and which of them a NOTIFY or a turn concerns.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use super::{
    Core, Key, Now, Outbox, PRESENCE, PresenceEvent, Step,
    route::{Server, Way},
    watched::{Watch, wall_of},
};
use crate::{
    presence::{PresentityState, event::SubscriptionInfo},
    sip::{
        endpoint::ServerId,
        events::subscriber::{Notice, SubscriptionId, Update, Wish},
        message::Message,
        slab::Slab,
        transport::Flow,
        uri::{Host, Uri},
    },
};

/// Names something that we watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WatchId(u32);

/// How to watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subscribing {
    /// Until further notice.
    Lasting,
    /// One look (RFC 6665 §4.4.3).
    Once,
    /// One look that keeps the document as it came.
    Raw,
}

/// All that we watch.
#[derive(Debug, Default)]
pub(super) struct Watching {
    slab: Slab<Watch>,
    by_key: HashMap<(String, Subscribing), u32>,
    by_subscription: HashMap<SubscriptionId, u32>,
    /// How many lasting watches name each numeric address.
    by_address: HashMap<IpAddr, u32>,
}

impl Watching {
    pub(super) fn state(&self, id: WatchId) -> Option<Arc<PresentityState>> {
        self.slab.get(id.0).map(|watch| Arc::clone(&watch.state))
    }

    /// Returns whether somebody whom we watch is at this very address: whom we ask may ask us (SEC-01).
    pub(super) fn has_target_at(&self, address: IpAddr) -> bool {
        self.by_address.contains_key(&address)
    }

    fn note_address(&mut self, target: &Uri, how: Subscribing) {
        if let (Host::Ip(address), Subscribing::Lasting) = (target.as_ref().host(), how) {
            *self.by_address.entry(address).or_default() += 1;
        }
    }

    fn drop_address(&mut self, target: &Uri, how: Subscribing) {
        if let (Host::Ip(address), Subscribing::Lasting) = (target.as_ref().host(), how)
            && let Some(count) = self.by_address.get_mut(&address)
        {
            *count -= 1;
            if *count == 0 {
                self.by_address.remove(&address);
            }
        }
    }
}

impl Core {
    /// Watches a presentity; whoever asks for the same one shares its subscription.
    ///
    /// `presentity` is the target as it was asked for, which the state repeats.
    pub fn watch(&mut self, target: Uri, presentity: &str, how: Subscribing, now: Now, out: &mut Outbox) -> WatchId {
        let key = (target.as_str().to_owned(), how);
        if let Some(&id) = self.watching.by_key.get(&key).filter(|_| how == Subscribing::Lasting) {
            if let Some(watch) = self.watching.slab.get_mut(id) {
                watch.readers += 1;
                let mut step = Step { now: now.at, endpoint: &mut self.endpoint, out: &mut out.effects };
                watch.subscription.into_iter().for_each(|subscription| self.subscriber.hurry(subscription, &mut step));
            }
            self.settle(now, out);
            return WatchId(id);
        }
        let server = self.config.server.as_ref();
        let way = Way::to(&target.as_ref(), &self.config.address.as_ref(), server);
        let server = server.filter(|_| way.is_by_server());
        let wish = Wish {
            target: target.clone(),
            from: self.from.clone(),
            contact_user: self.config.address.as_ref().user().unwrap_or_default().into(),
            package: PRESENCE,
            expires: server.map_or(self.config.expires, |server| server.expires),
            fetch: how != Subscribing::Lasting,
            retry_cap: server.map_or(self.config.retry_cap, |server| server.retry_cap),
            route: server.and_then(Server::route),
            account: match way {
                Way::Direct(_) => self.proving.account_for(&target.as_ref()).or(self.account),
                Way::Server(_) => self.account,
            },
            outbound: server.is_some_and(|server| server.register),
            rates: self.config.rates,
        };
        let subscription = SubscriptionInfo {
            state: "trying".to_owned(),
            route: Some(way.words(server)),
            ..SubscriptionInfo::default()
        };
        self.watching.note_address(&target, how);
        let id = self.watching.slab.insert(Watch {
            key: key.clone(),
            target,
            readers: 1,
            subscription: None,
            state: Arc::new(PresentityState { subscription: Some(subscription), ..PresentityState::new(presentity) }),
            doubtful: false,
            told_at_end: false,
            settled: false,
            met: Vec::new(),
            unreadable: 0,
        });
        self.watching.by_key.insert(key, id);
        let mut step = Step { now: now.at, endpoint: &mut self.endpoint, out: &mut out.effects };
        let subscription = self.subscriber.subscribe(wish, &mut step);
        self.watching.by_subscription.insert(subscription, id);
        if let Some(watch) = self.watching.slab.get_mut(id) {
            watch.subscription = Some(subscription);
        }
        self.settle(now, out);
        WatchId(id)
    }

    /// Returns those that last and do not go through our server, with their targets.
    pub(super) fn direct_watches(&self) -> Vec<(SubscriptionId, Uri)> {
        let own = self.config.address.as_ref();
        let direct = |target: &Uri| !Way::to(&target.as_ref(), &own, self.config.server.as_ref()).is_by_server();
        let lasting = self.watching.slab.iter().filter(|(_, watch)| watch.key.1 == Subscribing::Lasting);
        lasting
            .filter(|(_, watch)| direct(&watch.target))
            .filter_map(|(_, watch)| Some((watch.subscription?, watch.target.clone())))
            .collect()
    }

    /// One reader less; with the last one the subscription ends.
    pub fn unwatch(&mut self, id: WatchId, now: Now, out: &mut Outbox) {
        let Some(watch) = self.watching.slab.get_mut(id.0) else { return };
        watch.readers = watch.readers.saturating_sub(1);
        if watch.readers > 0 {
            return;
        }
        let key = watch.key.clone();
        let subscription = watch.subscription.take();
        if let Some(watch) = self.watching.slab.remove(id.0) {
            self.watching.drop_address(&watch.target, watch.key.1);
        }
        if self.watching.by_key.get(&key) == Some(&id.0) {
            self.watching.by_key.remove(&key);
        }
        if let Some(subscription) = subscription {
            self.watching.by_subscription.remove(&subscription);
            let (subscriber, mut step) = self.subscriber_step(now, out);
            subscriber.unsubscribe(subscription, &mut step);
        }
        self.settle(now, out);
    }

    pub(super) fn end_all_watches(&mut self, now: Now, out: &mut Outbox) {
        let ids: Vec<WatchId> = self.watching.slab.iter().map(|(id, _)| WatchId(id)).collect();
        for id in ids {
            if let Some(watch) = self.watching.slab.get_mut(id.0) {
                watch.readers = 1;
            }
            self.unwatch(id, now, out);
        }
    }

    /// Returns whether a first answer of any kind was had.
    pub fn is_settled(&self, id: WatchId) -> bool {
        self.watching.slab.get(id.0).is_none_or(|watch| watch.settled)
    }

    /// Returns how many documents of a presentity could not be read (WAT-49).
    pub fn unreadable_documents(&self, id: WatchId) -> u64 {
        self.watching.slab.get(id.0).map_or(0, |watch| watch.unreadable)
    }

    /// WAT-47: whoever sends us a valid request is there; those who wait for that address try at once.
    pub(super) fn peer_seen(&mut self, flow: Flow, message: &Message<'_>, now: Now, out: &mut Outbox) {
        let mut peer = flow.remote;
        if flow.transport.is_stream() {
            // The port that a stream comes from is nobody's address; the one in Via is where it listens.
            let port = message.top_via().ok().and_then(|via| via.port);
            peer.set_port(port.unwrap_or_else(|| flow.transport.default_port()));
        }
        let (subscriber, mut step) = self.subscriber_step(now, out);
        subscriber.peer_seen(peer, &mut step);
    }

    pub(super) fn notify_received(
        &mut self,
        request: ServerId,
        flow: Flow,
        message: &Message<'_>,
        now: Now,
        out: &mut Outbox,
    ) {
        let (subscriber, mut step) = self.subscriber_step(now, out);
        let Some(notified) = subscriber.notify(request, flow, message, &mut step) else { return };
        if self.is_about_watchers(notified.id) {
            return self.watchers_told(&notified, now, out);
        }
        let Some(&id) = self.watching.by_subscription.get(&notified.id) else { return };
        let language = self.config.language.clone();
        let Some(watch) = self.watching.slab.get_mut(id) else { return };
        watch.met = vec![flow.remote.ip()];
        let changed = watch.take(&notified, language.as_deref(), now, out);
        if let Some(body) = notified.body.filter(|_| notified.state != Notice::Pending) {
            let readable = !watch.doubtful;
            self.subscriber.hold(notified.id, notified.tag.filter(|_| readable), body.len());
        }
        if changed {
            out.changed.insert(Key::Watch(WatchId(id)));
        }
    }

    /// Follows the turns of our subscriptions.
    pub(super) fn follow_subscriptions(&mut self, now: Now, out: &mut Outbox) {
        while let Some((subscription, update)) = self.subscriber.next_update() {
            if self.is_about_watchers(subscription) {
                self.watchers_turned(&update, now, out);
                continue;
            }
            let standing = self.subscriber.standing(subscription);
            let Some(&id) = self.watching.by_subscription.get(&subscription) else { continue };
            let Some(watch) = self.watching.slab.get_mut(id) else { continue };
            let before = (Arc::clone(&watch.state), watch.settled);
            let mut state = PresentityState::clone(&watch.state);
            watch.follow(&mut state, subscription, &update, now, out);
            if let Some(info) = &mut state.subscription
                && let Some(standing) = standing
            {
                standing.state.clone_into(&mut info.state);
                info.expires_in = standing.expires_at.map(|at| at.since(now.at).as_secs());
                info.next_retry = standing.retry_at.map(|at| wall_of(at, now));
            }
            if update == Update::Done {
                watch.subscription = None;
                watch.settled = true;
                self.watching.by_subscription.remove(&subscription);
            }
            let freshness = state.freshness;
            if freshness != before.0.freshness {
                out.events.push(PresenceEvent::FreshnessChanged {
                    subscription_id: subscription.to_string(),
                    entity: state.presentity.clone(),
                    freshness,
                });
            }
            let changed = state != *before.0 || watch.settled != before.1;
            watch.state = Arc::new(state);
            if changed {
                out.changed.insert(Key::Watch(WatchId(id)));
            }
        }
    }
}
