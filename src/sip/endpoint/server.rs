//! Server transactions: absorbing resends, replaying answers, noticing merged requests (RFC 3261 §17.2).

use std::collections::{BTreeMap, HashMap};

use super::Timer;
use crate::sip::{
    header::Name,
    ids::MAGIC_COOKIE,
    message::Message,
    slab::{Slab, give_back},
    time::{Instant, Timers},
    transaction::Timing,
    transport::{Flow, Packet, Transport},
};

/// How many answered requests are remembered at most; the oldest are forgotten first.
const MAX_SERVERS: usize = 16_384;

/// Names a request that waits for its response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerId {
    slot: u32,
    /// Tells it from a later one in the same slot.
    arrival: u64,
}

/// What a request is to the server transactions.
#[derive(Debug)]
pub(super) enum Admission {
    /// Not seen before.
    New(ServerId),
    /// Seen before; the answer to send again and the way it went, if there was one.
    Resent(Option<(Packet, Flow)>),
    /// The same request by another path (RFC 3261 §8.2.2.2).
    Merged,
}

/// RFC 3261 §17.2.3: branch, sent-by and method; the transport keeps two flows apart that look alike.
type Key = (Box<str>, Box<str>, Box<str>, Transport);
/// From tag, Call-ID and `CSeq` of a request without To tag.
type MergeKey = (Box<str>, Box<str>, u32, Box<str>);

#[derive(Debug)]
struct Server {
    key: Key,
    merge: Option<MergeKey>,
    state: State,
    arrival: u64,
    timer: Option<Instant>,
}

#[derive(Debug)]
enum State {
    /// No response yet: resends are absorbed.
    Trying,
    /// Answered; resends get the same bytes the same way until Timer J.
    Completed(Packet, Flow),
}

#[derive(Debug, Default)]
pub(super) struct Servers {
    slab: Slab<Server>,
    by_key: HashMap<Key, u32>,
    by_merge: HashMap<MergeKey, u32>,
    /// In the order of arrival, to find the oldest.
    by_arrival: BTreeMap<u64, u32>,
    arrivals: u64,
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
        timing: &Timing,
        now: Instant,
        timers: &mut Timers<Timer>,
    ) -> Admission {
        let method = message.method().map_or("", |m| m.as_str());
        // The request was checked: without a Via it would not be here.
        let Some(key) = key(message, flow.transport, method) else { return Admission::Resent(None) };
        if let Some(server) = self.by_key.get(&key).and_then(|id| self.slab.get(*id)) {
            return Admission::Resent(match &server.state {
                State::Trying => None,
                State::Completed(packet, flow) => Some((packet.clone(), *flow)),
            });
        }
        let merge = merge_key(message);
        if merge.as_ref().is_some_and(|merge| self.by_merge.contains_key(merge)) {
            return Admission::Merged;
        }
        if self.slab.len() >= MAX_SERVERS {
            self.forget_oldest(timers);
        }
        self.arrivals += 1;
        let arrival = self.arrivals;
        let server = Server { key: key.clone(), merge: merge.clone(), state: State::Trying, arrival, timer: None };
        let slot = self.slab.insert(server);
        // By then the client has given up, and an answer would only confuse (TXN-16).
        if let Some(server) = self.slab.get_mut(slot) {
            timers.set(&mut server.timer, Timer::Server(slot), now + timing.transaction());
        }
        self.by_arrival.insert(arrival, slot);
        self.by_key.insert(key, slot);
        if let Some(merge) = merge {
            self.by_merge.insert(merge, slot);
        }
        Admission::New(ServerId { slot, arrival })
    }

    /// Keeps the response to a request; false when it comes too late to be sent (TXN-16).
    pub(super) fn complete(
        &mut self,
        id: ServerId,
        packet: Packet,
        flow: Flow,
        timing: &Timing,
        now: Instant,
        timers: &mut Timers<Timer>,
    ) -> bool {
        let ServerId { slot, arrival } = id;
        let Some(server) = self.slab.get_mut(slot).filter(|server| server.arrival == arrival) else { return false };
        if flow.transport.is_stream() {
            // Timer J is zero on streams: nothing is ever resent there.
            timers.cancel(&mut server.timer, Timer::Server(slot));
            self.remove(slot);
            return true;
        }
        server.state = State::Completed(packet, flow);
        timers.set(&mut server.timer, Timer::Server(slot), now + timing.transaction());
        true
    }

    /// Has another answer go to whoever sends a request again that was answered with `answer`.
    pub(super) fn answer_instead(
        &mut self,
        answer: &Message<'_>,
        transport: Transport,
        method: &str,
        instead: &Packet,
    ) {
        let id = self.find(answer, transport, method);
        if let Some(State::Completed(packet, _)) = id.and_then(|id| self.slab.get_mut(id)).map(|it| &mut it.state) {
            packet.clone_from(instead);
        }
    }

    /// Forgets a transaction whose timer is no longer armed.
    pub(super) fn remove(&mut self, slot: u32) {
        let Some(server) = self.slab.remove(slot) else { return };
        self.by_arrival.remove(&server.arrival);
        self.by_key.remove(&server.key);
        if let Some(merge) = server.merge {
            self.by_merge.remove(&merge);
        }
        give_back(&mut self.by_key);
        give_back(&mut self.by_merge);
    }

    fn forget_oldest(&mut self, timers: &mut Timers<Timer>) {
        let Some((_, slot)) = self.by_arrival.pop_first() else { return };
        if let Some(server) = self.slab.get_mut(slot) {
            timers.cancel(&mut server.timer, Timer::Server(slot));
        }
        self.remove(slot);
    }
}

fn key(message: &Message<'_>, transport: Transport, method: &str) -> Option<Key> {
    let via = message.top_via().ok()?;
    let port = via.port.unwrap_or_else(|| transport.default_port());
    let sent_by = format!("{}:{port}", via.host.to_ascii_lowercase());
    let branch = via.branch.unwrap_or_default();
    if branch.starts_with(MAGIC_COOKIE) {
        return Some((branch.into(), sent_by.into(), method.into(), transport));
    }
    // A branch of the days before RFC 3261 need not tell one request from the next.
    let (call_id, seq) = (message.call_id().ok()?, message.cseq().ok()?.seq);
    let from = message.from().ok()?;
    let whole = format!("{branch} {call_id} {seq} {}", from.tag().unwrap_or_default());
    Some((whole.into(), sent_by.into(), method.into(), transport))
}

fn merge_key(message: &Message<'_>) -> Option<MergeKey> {
    if message.to().ok()?.tag().is_some() {
        return None;
    }
    debug_assert!(message.get(Name::CallId).is_some(), "the request was checked");
    let from_tag = message.from().ok()?.tag().unwrap_or_default();
    let cseq = message.cseq().ok()?;
    Some((from_tag.into(), message.call_id().ok()?.into(), cseq.seq, cseq.method.into()))
}
