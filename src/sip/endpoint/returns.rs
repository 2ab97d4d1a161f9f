//! Responses whose connection is gone: the ways back that are left (RFC 3261 §18.2.2, RFC 3263 §5).
//!
//! First a connection to where the request came from, at the port that its Via names; then the place that Via names
//! itself, by SRV where that is a name without a port. Few responses may be on such ways at a time, and none for longer
//! than its request is waited for: whoever asks and hangs up gets no more of us than that.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    net::SocketAddr,
    sync::Arc,
};

use super::{Endpoint, Timer};
use crate::sip::{
    effect::{Effect, QueryId},
    locate::{self, Answer, PeerIdentity, Search, Step},
    message::Message,
    slab::Slab,
    time::Instant,
    transport::{ConnId, Flow, Packet, Transport},
};

/// How many responses look for a way at a time; the next ones are lost.
const MAX_RETURNS: usize = 64;

#[derive(Debug)]
struct Return {
    packet: Packet,
    transport: Transport,
    /// Who the Via says is there.
    peer: Arc<PeerIdentity>,
    remotes: VecDeque<SocketAddr>,
    /// What to look up when none of those is there.
    search: Option<Search>,
    timer: Option<Instant>,
}

#[derive(Debug, Default)]
pub(super) struct Returns {
    slab: Slab<Return>,
    by_conn: BTreeSet<(ConnId, u32)>,
    /// Each with its place in the round.
    by_query: HashMap<QueryId, (u32, usize)>,
}

impl<U: Copy> Endpoint<U> {
    /// Sends a response the way that its request came, or another if that is gone.
    pub(super) fn send_back(
        &mut self,
        to: Flow,
        packet: Packet,
        request: &Message<'_>,
        now: Instant,
        out: &mut Vec<Effect>,
    ) {
        if to.conn.is_none_or(|conn| self.streams.is_open(conn)) {
            return self.transmit(to, packet, now, out);
        }
        let Ok(via) = request.top_via() else { return };
        if self.returns.slab.len() >= MAX_RETURNS {
            return;
        }
        let (transport, peer) = (to.transport, Arc::new(PeerIdentity::of_host(via.host)));
        let port = via.port.unwrap_or_else(|| transport.default_port());
        let mut remotes = VecDeque::from([SocketAddr::new(to.remote.ip(), port)]);
        let mut search = None;
        match via.host.trim_matches(['[', ']']).parse() {
            Ok(ip) if ip == to.remote.ip() => {}
            Ok(ip) => remotes.push_back(SocketAddr::new(ip, port)),
            Err(_) => search = Some(locate::way_back(via.host, via.port, transport)),
        }
        let id = self.returns.slab.insert(Return { packet, transport, peer, remotes, search, timer: None });
        if let Some(back) = self.returns.slab.get_mut(id) {
            self.timers.set(&mut back.timer, Timer::Return(id), now + self.config.timing.transaction());
        }
        self.return_next(id, now, out);
    }

    /// Tries the next way.
    fn return_next(&mut self, id: u32, now: Instant, out: &mut Vec<Effect>) {
        while let Some(back) = self.returns.slab.get_mut(id) {
            let (transport, Some(remote)) = (back.transport, back.remotes.pop_front()) else { break };
            let peer = Arc::clone(&back.peer);
            let Some(local) = self.local_for(remote.ip()) else { continue };
            let conn = self.open_stream(transport, local.ip(), remote, Some(&peer), now, out);
            self.returns.by_conn.insert((conn, id));
            if self.streams.is_open(conn) {
                self.return_ready(conn, now, out);
            }
            return;
        }
        let questions = self.returns.slab.get(id).and_then(|back| Some(back.search.as_ref()?.questions()));
        match questions {
            Some(questions) => {
                for (place, question) in questions.into_iter().enumerate() {
                    let query = self.next_query();
                    self.returns.by_query.insert(query, (id, place));
                    out.push(Effect::Resolve { query, question });
                }
            }
            None => self.forget_return(id),
        }
    }

    /// Takes the answer to a look-up for a response, or gives it back when the query was for none.
    pub(super) fn return_resolved(
        &mut self,
        query: QueryId,
        answer: Result<Answer, String>,
        now: Instant,
        out: &mut Vec<Effect>,
    ) -> Option<Result<Answer, String>> {
        let Some((id, place)) = self.returns.by_query.remove(&query) else { return Some(answer) };
        let back = self.returns.slab.get_mut(id)?;
        match back.search.as_mut()?.answer(place, answer, &mut self.rng) {
            Step::Wait => {}
            Step::Ask => self.return_next(id, now, out),
            Step::Found(targets) => {
                back.search = None;
                back.remotes = targets.into_iter().map(|target| target.remote).collect();
                self.return_next(id, now, out);
            }
            Step::Failed(_) => self.forget_return(id),
        }
        None
    }

    /// A connection stands: what waits for it goes out.
    pub(super) fn return_ready(&mut self, conn: ConnId, now: Instant, out: &mut Vec<Effect>) {
        for id in self.returns.take_waiting(conn) {
            if let Some(packet) = self.returns.slab.get(id).map(|back| back.packet.clone()) {
                self.write_stream(conn, packet, now, out);
            }
            self.forget_return(id);
        }
    }

    /// A connection could not be made: what waits for it looks elsewhere.
    pub(super) fn return_lost(&mut self, conn: ConnId, now: Instant, out: &mut Vec<Effect>) {
        for id in self.returns.take_waiting(conn) {
            self.return_next(id, now, out);
        }
    }

    /// Drops a response that found no way, or has left.
    pub(super) fn forget_return(&mut self, id: u32) {
        if let Some(mut back) = self.returns.slab.remove(id) {
            self.timers.cancel(&mut back.timer, Timer::Return(id));
            self.returns.by_conn.retain(|(_, other)| *other != id);
            self.returns.by_query.retain(|_, (other, _)| *other != id);
        }
    }

    /// The time for a response is over.
    pub(super) fn return_due(&mut self, id: u32) {
        if let Some(back) = self.returns.slab.get_mut(id) {
            back.timer = None;
        }
        self.forget_return(id);
    }
}

impl Returns {
    fn take_waiting(&mut self, conn: ConnId) -> Vec<u32> {
        let waiting: Vec<u32> = self.by_conn.range((conn, 0)..=(conn, u32::MAX)).map(|(_, id)| *id).collect();
        for id in &waiting {
            self.by_conn.remove(&(conn, *id));
        }
        waiting
    }
}
