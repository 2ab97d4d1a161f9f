//! Server transactions: absorbing resends, replaying answers, noticing merged requests (RFC 3261 §17.2).

use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasherDefault, DefaultHasher, Hash as _, Hasher},
};

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

/// What stands for a request: of what tells it from others, a print that nobody can foresee, so that nobody makes two that are
/// alike. By chance one of those that are remembered is like a new one once in 10^15.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Print(u64);

/// A print is a hash already.
#[derive(Debug, Default)]
struct AsPrinted(u64);

impl Hasher for AsPrinted {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(self.0.rotate_left(8) ^ u64::from(*byte));
        }
    }

    fn write_u64(&mut self, print: u64) {
        self.0 = print;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

type ByPrint = HashMap<Print, u32, BuildHasherDefault<AsPrinted>>;

#[derive(Debug)]
struct Server {
    key: Print,
    merge: Option<Print>,
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

#[derive(Debug)]
pub(super) struct Servers {
    /// What prints begin with: it has read the secret.
    seed: DefaultHasher,
    slab: Slab<Server>,
    by_key: ByPrint,
    by_merge: ByPrint,
    /// In the order of arrival, to find the oldest; those that are gone leave when they are the first.
    by_arrival: VecDeque<(u64, u32)>,
    arrivals: u64,
}

impl Servers {
    pub(super) fn new(secret: u128) -> Self {
        let (by_key, by_merge) = (ByPrint::default(), ByPrint::default());
        let mut seed = DefaultHasher::new();
        secret.hash(&mut seed);
        Self { seed, slab: Slab::default(), by_key, by_merge, by_arrival: VecDeque::new(), arrivals: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.slab.len()
    }

    pub(super) fn find(&self, message: &Message<'_>, transport: Transport, method: &str) -> Option<u32> {
        self.by_key.get(&self.key(message, transport, method)?).copied()
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
        let Some(key) = self.key(message, flow.transport, method) else { return Admission::Resent(None) };
        if let Some(server) = self.by_key.get(&key).and_then(|id| self.slab.get(*id)) {
            return Admission::Resent(match &server.state {
                State::Trying => None,
                State::Completed(packet, flow) => Some((packet.clone(), *flow)),
            });
        }
        let merge = self.merge_key(message);
        if merge.is_some_and(|merge| self.by_merge.contains_key(&merge)) {
            return Admission::Merged;
        }
        if self.slab.len() >= MAX_SERVERS {
            self.forget_oldest(timers);
        }
        self.arrivals += 1;
        let arrival = self.arrivals;
        let server = Server { key, merge, state: State::Trying, arrival, timer: None };
        let slot = self.slab.insert(server);
        // By then the client has given up, and an answer would only confuse (TXN-16).
        if let Some(server) = self.slab.get_mut(slot) {
            timers.set(&mut server.timer, Timer::Server(slot), now + timing.transaction());
        }
        self.by_arrival.push_back((arrival, slot));
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
        while self.by_arrival.front().is_some_and(|(arrival, slot)| !self.is_there(*arrival, *slot)) {
            self.by_arrival.pop_front();
        }
        // Behind one that is long in coming most may be gone.
        if self.by_arrival.len() > 2 * self.slab.len() + 1024 {
            let slab = &self.slab;
            self.by_arrival.retain(|(arrival, slot)| slab.get(*slot).is_some_and(|it| it.arrival == *arrival));
        }
        self.by_key.remove(&server.key);
        if let Some(merge) = server.merge {
            self.by_merge.remove(&merge);
        }
        give_back(&mut self.by_key);
        give_back(&mut self.by_merge);
    }

    fn forget_oldest(&mut self, timers: &mut Timers<Timer>) {
        let Some((_, slot)) = self.by_arrival.pop_front() else { return };
        if let Some(server) = self.slab.get_mut(slot) {
            timers.cancel(&mut server.timer, Timer::Server(slot));
        }
        self.remove(slot);
    }

    fn is_there(&self, arrival: u64, slot: u32) -> bool {
        self.slab.get(slot).is_some_and(|server| server.arrival == arrival)
    }

    /// RFC 3261 §17.2.3: branch, sent-by and method; the transport keeps two flows apart that look alike.
    fn key(&self, message: &Message<'_>, transport: Transport, method: &str) -> Option<Print> {
        let via = message.top_via().ok()?;
        let port = via.port.unwrap_or_else(|| transport.default_port());
        let branch = via.branch.unwrap_or_default();
        if branch.starts_with(MAGIC_COOKIE) {
            return Some(self.print(|hash| {
                (branch, port, method, transport).hash(hash);
                via.host.bytes().for_each(|byte| hash.write_u8(byte.to_ascii_lowercase()));
            }));
        }
        // A branch of the days before RFC 3261 need not tell one request from the next.
        let (call_id, seq) = (message.call_id().ok()?, message.cseq().ok()?.seq);
        let from = message.from().ok()?;
        Some(self.print(|hash| {
            (branch, call_id, seq, from.tag().unwrap_or_default(), port, method, transport).hash(hash);
            via.host.bytes().for_each(|byte| hash.write_u8(byte.to_ascii_lowercase()));
        }))
    }

    /// From tag, Call-ID and `CSeq` of a request without To tag.
    fn merge_key(&self, message: &Message<'_>) -> Option<Print> {
        if message.to().ok()?.tag().is_some() {
            return None;
        }
        debug_assert!(message.get(Name::CallId).is_some(), "the request was checked");
        let from = message.from().ok()?;
        let (call_id, cseq) = (message.call_id().ok()?, message.cseq().ok()?);
        Some(self.print(|hash| (from.tag().unwrap_or_default(), call_id, cseq.seq, cseq.method).hash(hash)))
    }

    fn print(&self, write: impl FnOnce(&mut DefaultHasher)) -> Print {
        let mut hash = self.seed.clone();
        write(&mut hash);
        Print(hash.finish())
    }
}
