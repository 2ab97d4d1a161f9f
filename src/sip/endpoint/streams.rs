//! Stream connections: opening, reusing, framing, keeping alive, closing when idle or when a peer dawdles (RFC 3261 §18,
//! RFC 5626 §3.5).

use std::{
    collections::{BTreeSet, HashMap},
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;

use super::{
    Endpoint, Timer,
    keepalive::{Due, KeepAlive, PING},
};
use crate::sip::{
    codec::{Frame, StreamDecoder},
    effect::Effect,
    locate::PeerIdentity,
    time::Instant,
    transport::{ConnId, Flow, Packet, TlsFailure, Transport},
};

/// An idle connection is closed after this time (TRN-14), unless it is kept alive.
const IDLE: Duration = Duration::from_mins(5);
/// A message that began must be complete within this time (SEC-19).
const MESSAGE_WITHIN: Duration = Duration::from_secs(30);
/// How many connections others may hold open to us.
const MAX_ACCEPTED: usize = 1024;

#[derive(Debug)]
struct Stream {
    flow: Flow,
    /// Who is proved to be there, on connections of ours under TLS.
    peer: Option<Arc<PeerIdentity>>,
    state: StreamState,
    decoder: StreamDecoder,
    /// Client transactions that need the connection.
    users: BTreeSet<u32>,
    /// When the message now arriving began.
    message_since: Option<Instant>,
    used_at: Instant,
    /// Where the peer agreed to it.
    kept: Option<KeepAlive>,
    timer: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StreamState {
    Opening,
    Open,
}

/// Where a connection leads and who is to be there.
type Place = (Transport, SocketAddr, Option<Arc<PeerIdentity>>);

#[derive(Debug, Default)]
pub(super) struct Streams {
    by_id: HashMap<ConnId, Stream>,
    /// Connections of ours, by where and to whom they lead, for reuse.
    by_remote: HashMap<Place, ConnId>,
    accepted: usize,
    opened: u64,
}

impl Streams {
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(super) fn flow(&self, conn: ConnId) -> Option<Flow> {
        self.by_id.get(&conn).map(|s| s.flow)
    }

    pub(super) fn is_open(&self, conn: ConnId) -> bool {
        self.by_id.get(&conn).is_some_and(|s| s.state == StreamState::Open)
    }

    pub(super) fn attach(&mut self, conn: ConnId, client: u32) {
        if let Some(stream) = self.by_id.get_mut(&conn) {
            stream.users.insert(client);
        }
    }

    /// Returns the client transactions that need a connection.
    pub(super) fn users(&self, conn: ConnId) -> Vec<u32> {
        self.by_id.get(&conn).map_or_else(Vec::new, |stream| stream.users.iter().copied().collect())
    }

    pub(super) fn detach(&mut self, conn: ConnId, client: u32) {
        if let Some(stream) = self.by_id.get_mut(&conn) {
            stream.users.remove(&client);
        }
    }

    /// Returns the place where a connection is kept alive, if it is.
    pub(super) fn keeping(&mut self, conn: ConnId) -> Option<&mut Option<KeepAlive>> {
        self.by_id.get_mut(&conn).map(|stream| &mut stream.kept)
    }

    /// Goes through the connections that are kept alive.
    pub(super) fn kept(&mut self) -> impl Iterator<Item = (ConnId, &mut KeepAlive)> {
        self.by_id.iter_mut().filter_map(|(conn, stream)| Some((*conn, stream.kept.as_mut()?)))
    }

    fn remove(&mut self, conn: ConnId) -> Option<Stream> {
        let stream = self.by_id.remove(&conn)?;
        if conn.is_accepted() {
            self.accepted -= 1;
        } else {
            self.by_remote.remove(&(stream.flow.transport, stream.flow.remote, stream.peer.clone()));
        }
        Some(stream)
    }
}

impl<U: Copy> Endpoint<U> {
    /// Returns a connection to `remote` at whose end `peer` is, which may still be opening.
    pub(super) fn open_stream(
        &mut self,
        transport: Transport,
        local: IpAddr,
        remote: SocketAddr,
        peer: Option<&Arc<PeerIdentity>>,
        now: Instant,
        out: &mut Vec<Effect>,
    ) -> ConnId {
        let peer = peer.filter(|_| transport == Transport::Tls).cloned();
        let place = (transport, remote, peer.clone());
        if let Some(&conn) = self.streams.by_remote.get(&place) {
            return conn;
        }
        self.streams.opened += 1;
        let conn = ConnId::opened(self.streams.opened);
        let flow = Flow { transport, local: SocketAddr::new(local, 0), remote, conn: Some(conn) };
        self.streams.by_id.insert(conn, Stream { peer: peer.clone(), ..Stream::new(flow, StreamState::Opening, now) });
        self.streams.by_remote.insert(place, conn);
        out.push(Effect::Open { conn, transport, local, remote, peer });
        conn
    }

    /// A connection exists now, ours or one that a peer opened.
    pub fn stream_opened(&mut self, flow: Flow, now: Instant, out: &mut Vec<Effect>) {
        let Some(conn) = flow.conn else { return };
        if conn.is_accepted() {
            if self.streams.accepted >= MAX_ACCEPTED {
                out.push(Effect::Close { conn });
                return;
            }
            self.streams.accepted += 1;
            self.streams.by_id.insert(conn, Stream::new(flow, StreamState::Open, now));
        } else {
            let Some(stream) = self.streams.by_id.get_mut(&conn) else {
                // It was given up while it opened.
                out.push(Effect::Close { conn });
                return;
            };
            stream.state = StreamState::Open;
            stream.used_at = now;
            let waiting = self.streams.users(conn);
            self.stream_ready(conn, &waiting, now, out);
            self.return_ready(conn, now, out);
        }
        self.arm_stream(conn);
    }

    /// A connection is gone, or could not be made.
    pub fn stream_closed(&mut self, conn: ConnId, now: Instant, out: &mut Vec<Effect>) {
        let Some(mut stream) = self.streams.remove(conn) else { return };
        self.timers.cancel(&mut stream.timer, Timer::Stream(conn));
        if stream.kept.is_some() {
            self.lost.push_back(conn);
        }
        let users: Vec<u32> = stream.users.into_iter().collect();
        self.stream_lost(&users, now, out);
        self.return_lost(conn, now, out);
    }

    /// A connection under TLS was made, and is not to be used: what waits for it fails, or goes elsewhere by TLS.
    pub fn stream_untrusted(&mut self, conn: ConnId, error: TlsFailure, now: Instant, out: &mut Vec<Effect>) {
        let Some(mut stream) = self.streams.remove(conn) else { return };
        self.timers.cancel(&mut stream.timer, Timer::Stream(conn));
        let users: Vec<u32> = stream.users.into_iter().collect();
        self.stream_refused(&users, &error.into(), now, out);
        self.return_lost(conn, now, out);
    }

    /// Closes a connection from our side.
    pub(super) fn close_stream(&mut self, conn: ConnId, now: Instant, out: &mut Vec<Effect>) {
        if self.streams.by_id.contains_key(&conn) {
            out.push(Effect::Close { conn });
            self.stream_closed(conn, now, out);
        }
    }

    /// Takes bytes from a connection; complete messages come out of [`next_frame`](Self::next_frame).
    pub fn stream_data(&mut self, conn: ConnId, bytes: &[u8], now: Instant) {
        if let Some(stream) = self.streams.by_id.get_mut(&conn) {
            stream.used_at = now;
            stream.decoder.push(bytes);
        }
    }

    /// Returns the next complete message of a connection, for [`frame`](Self::frame).
    pub fn next_frame(&mut self, conn: ConnId, now: Instant, out: &mut Vec<Effect>) -> Option<Bytes> {
        loop {
            let stream = self.streams.by_id.get_mut(&conn)?;
            match stream.decoder.next() {
                Some(Frame::Message(bytes)) => {
                    stream.message_since = None;
                    return Some(bytes);
                }
                // RFC 5626 §3.5.1: a ping is answered with one CRLF, a pong with nothing.
                Some(Frame::Ping) => {
                    let packet = Packet { head: Bytes::from_static(b"\r\n"), body: Bytes::new() };
                    out.push(Effect::Write { conn, packet });
                }
                Some(Frame::Pong) => {
                    if let Some(kept) = &mut stream.kept {
                        kept.pong();
                    }
                }
                Some(Frame::Broken(error, head)) => {
                    let flow = stream.flow;
                    self.refuse_unreadable(flow, &head, error.status(), now, out);
                    self.close_stream(conn, now, out);
                    return None;
                }
                None => {
                    stream.message_since = stream.decoder.is_mid_message().then(|| stream.message_since.unwrap_or(now));
                    self.arm_stream(conn);
                    return None;
                }
            }
        }
    }

    pub(super) fn write_stream(&mut self, conn: ConnId, packet: Packet, now: Instant, out: &mut Vec<Effect>) {
        if self.streams.is_open(conn) {
            self.touch_stream(conn, now);
            out.push(Effect::Write { conn, packet });
        }
    }

    pub(super) fn touch_stream(&mut self, conn: ConnId, now: Instant) {
        if let Some(stream) = self.streams.by_id.get_mut(&conn) {
            stream.used_at = now;
        }
    }

    pub(super) fn arm_stream(&mut self, conn: ConnId) {
        if let Some(stream) = self.streams.by_id.get_mut(&conn) {
            let at = stream.kept.as_ref().map_or(stream.used_at + IDLE, KeepAlive::deadline);
            let at = stream.message_since.map_or(at, |since| at.min(since + MESSAGE_WITHIN));
            self.timers.set(&mut stream.timer, Timer::Stream(conn), at);
        }
    }

    pub(super) fn stream_due(&mut self, conn: ConnId, now: Instant, out: &mut Vec<Effect>) {
        let Some(stream) = self.streams.by_id.get_mut(&conn) else { return };
        stream.timer = None;
        let dawdles = stream.message_since.is_some_and(|since| now >= since + MESSAGE_WITHIN);
        let due = stream.kept.as_mut().map(|kept| kept.due(now, &mut self.rng));
        let idles = due.is_none() && now >= stream.used_at + IDLE;
        if dawdles || due == Some(Due::Dead) || idles && stream.users.is_empty() {
            self.close_stream(conn, now, out);
            return;
        }
        match due {
            Some(Due::Ping) => {
                let packet = Packet { head: Bytes::from_static(PING), body: Bytes::new() };
                out.push(Effect::Write { conn, packet });
            }
            Some(Due::Over) => (stream.kept, stream.used_at) = (None, now),
            None if idles => stream.used_at = now,
            Some(Due::Nothing | Due::Dead) | None => {}
        }
        self.arm_stream(conn);
    }
}

impl Stream {
    fn new(flow: Flow, state: StreamState, now: Instant) -> Self {
        Self {
            flow,
            peer: None,
            state,
            decoder: StreamDecoder::default(),
            users: BTreeSet::new(),
            message_since: None,
            used_at: now,
            kept: None,
            timer: None,
        }
    }
}
