//! Server transactions: absorbing resends, replaying answers, noticing merged requests (RFC 3261 §17.2).

use std::collections::{HashMap, VecDeque};

use super::Timer;
use crate::sip::{
    header::Name,
    message::Message,
    slab::Slab,
    time::{Instant, Timers},
    transaction::Timing,
    transport::{Flow, Packet, Transport},
};

/// How many answered requests are remembered at most; the oldest are forgotten first.
const MAX_SERVERS: usize = 65_536;

/// Names a request that waits for its response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerId(u32);

/// What a request is to the server transactions.
#[derive(Debug)]
pub(super) enum Admission {
    /// Not seen before.
    New(ServerId),
    /// Seen before; the answer to send again, if there was one.
    Resent(Option<Packet>),
    /// The same request by another path (RFC 3261 §8.2.2.2).
    Merged,
}

/// RFC 3261 §17.2.3: branch, sent-by and method; the transport keeps two flows apart that look alike.
type Key = (Box<str>, Box<str>, Box<str>, Transport);
/// From tag, Call-ID and CSeq number of a request without To tag.
type MergeKey = (Box<str>, Box<str>, u32);

#[derive(Debug)]
struct Server {
    key: Key,
    merge: Option<MergeKey>,
    state: State,
    timer: Option<Instant>,
}

#[derive(Debug)]
enum State {
    /// No response yet: resends are absorbed.
    Trying,
    /// Answered; resends get the same bytes until Timer J.
    Completed(Packet),
}

#[derive(Debug, Default)]
pub(super) struct Servers {
    slab: Slab<Server>,
    by_key: HashMap<Key, u32>,
    by_merge: HashMap<MergeKey, u32>,
    /// In the order of arrival, to find the oldest; ids that are gone are skipped.
    order: VecDeque<(u32, Key)>,
}

impl Servers {
    pub(super) fn len(&self) -> usize {
        self.slab.len()
    }

    pub(super) fn find(&self, message: &Message<'_>, transport: Transport, method: &str) -> Option<u32> {
        self.by_key.get(&key(message, transport, method)?).copied()
    }

    pub(super) fn admit(
        &mut self,
        message: &Message<'_>,
        flow: Flow,
        now: Instant,
        timers: &mut Timers<Timer>,
    ) -> Admission {
        let method = message.method().map_or("", |m| m.as_str());
        // The request was checked: without a Via it would not be here.
        let Some(key) = key(message, flow.transport, method) else { return Admission::Resent(None) };
        if let Some(server) = self.by_key.get(&key).and_then(|id| self.slab.get(*id)) {
            return Admission::Resent(match &server.state {
                State::Trying => None,
                State::Completed(packet) => Some(packet.clone()),
            });
        }
        let merge = merge_key(message);
        if merge.as_ref().is_some_and(|merge| self.by_merge.contains_key(merge)) {
            return Admission::Merged;
        }
        if self.slab.len() >= MAX_SERVERS {
            self.forget_oldest(timers);
        }
        let server = Server { key: key.clone(), merge: merge.clone(), state: State::Trying, timer: None };
        let id = self.slab.insert(server);
        // A user that never answers must not leave its transaction behind (TXN-16).
        if let Some(server) = self.slab.get_mut(id) {
            timers.set(&mut server.timer, Timer::Server(id), now + std::time::Duration::from_secs(64));
        }
        self.order.push_back((id, key.clone()));
        self.by_key.insert(key, id);
        if let Some(merge) = merge {
            self.by_merge.insert(merge, id);
        }
        Admission::New(ServerId(id))
    }

    pub(super) fn complete(
        &mut self,
        id: ServerId,
        packet: Packet,
        flow: Flow,
        timing: &Timing,
        now: Instant,
        timers: &mut Timers<Timer>,
    ) {
        let Some(server) = self.slab.get_mut(id.0) else { return };
        if flow.transport.is_stream() {
            // Timer J is zero on streams: nothing is ever resent there.
            timers.cancel(&mut server.timer, Timer::Server(id.0));
            self.remove(id.0);
            return;
        }
        server.state = State::Completed(packet);
        timers.set(&mut server.timer, Timer::Server(id.0), now + timing.transaction());
    }

    /// Forgets a transaction whose timer is no longer armed.
    pub(super) fn remove(&mut self, id: u32) {
        let Some(server) = self.slab.remove(id) else { return };
        self.by_key.remove(&server.key);
        if let Some(merge) = server.merge {
            self.by_merge.remove(&merge);
        }
        while let Some((oldest, key)) = self.order.front() {
            if self.by_key.get(key) == Some(oldest) {
                break;
            }
            self.order.pop_front();
        }
    }

    fn forget_oldest(&mut self, timers: &mut Timers<Timer>) {
        while let Some((id, key)) = self.order.pop_front() {
            if self.by_key.get(&key) == Some(&id) {
                if let Some(server) = self.slab.get_mut(id) {
                    timers.cancel(&mut server.timer, Timer::Server(id));
                }
                self.remove(id);
                return;
            }
        }
    }
}

fn key(message: &Message<'_>, transport: Transport, method: &str) -> Option<Key> {
    let via = message.top_via().ok()?;
    let sent_by = format!("{}:{}", via.host.to_ascii_lowercase(), via.port.unwrap_or(transport.default_port()));
    Some((via.branch.unwrap_or_default().into(), sent_by.into(), method.into(), transport))
}

fn merge_key(message: &Message<'_>) -> Option<MergeKey> {
    if message.to().ok()?.tag().is_some() {
        return None;
    }
    debug_assert!(message.get(Name::CallId).is_some(), "the request was checked");
    let from_tag = message.from().ok()?.tag().unwrap_or_default();
    Some((from_tag.into(), message.call_id().ok()?.into(), message.cseq().ok()?.seq))
}
