//! The transaction layer: owns the transactions, matches messages to them, answers what is nobody's.
//!
//! An [`Endpoint`] turns bytes into [`Event`]s for its user and the user's requests and answers into
//! [`Effect`]s. It resends, times out, switches to TCP where a request is too large for a datagram and back
//! where the peer has none (RFC 3261 §17, §18), and answers challenges (§22). It knows no dialog: what a request
//! means is its user's matter. `U` is what the user calls the one who sent a request.

mod challenged;
mod client;
mod hunt;
mod keepalive;
mod render;
mod returns;
mod server;
mod streams;
mod withdraw;

use std::{
    collections::{HashMap, VecDeque},
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use bytes::Bytes;
use rand::{RngExt as _, rngs::StdRng};
use thiserror::Error;

use self::{
    challenged::Accounts,
    client::Clients,
    hunt::Aside,
    render::{finish_response, response_head},
    returns::Returns,
    server::Servers,
    streams::Streams,
};
use super::{
    auth::{AccountId, Why},
    codec::{self, Framing, Head},
    effect::{Effect, QueryId},
    header::{Name, is_token},
    ids::Token,
    locate::{LocateError, PeerIdentity, Plan},
    message::{self, Message, Method},
    time::{Instant, Timers},
    transaction::{Resends, Timing},
    transport::{ConnId, Flow, Packet, TlsFailure, Transport},
};

pub use challenged::Retry;
pub use render::{contact_uri, secure_contact_uri};
pub use server::ServerId;

/// Requests above this size leave by a stream where the peer has one (RFC 3261 §18.1.1).
pub const MAX_DATAGRAM_REQUEST: usize = 1300;

/// The methods that a user agent answers, as Allow lists them.
pub const ALLOW: &str = "NOTIFY, OPTIONS, SUBSCRIBE";

/// The methods that a presence server answers.
pub const SERVER_ALLOW: &str = "NOTIFY, OPTIONS, PUBLISH, REGISTER, SUBSCRIBE";

/// What the endpoint is told once.
#[derive(Clone, Debug)]
pub struct EndpointConfig {
    /// Base timers.
    pub timing: Timing,
    /// Our addresses; each has UDP and TCP on the same port.
    pub locals: Vec<SocketAddr>,
    /// Those at which we take connections under TLS.
    pub tls: Vec<SocketAddr>,
    /// What carries our requests, the preferred first; see [`locate::TRANSPORTS`](super::locate::TRANSPORTS).
    pub transports: &'static [Transport],
    /// The methods that are answered, as Allow lists them: [`ALLOW`] or [`SERVER_ALLOW`].
    pub allow: &'static str,
    /// The option tags that a request may require, beside none.
    pub supported: &'static [&'static str],
    /// What Allow-Events lists.
    pub allow_events: &'static str,
    /// What Accept lists in an answer to OPTIONS.
    pub accept: &'static str,
}

/// A request that a user of the endpoint wants sent.
#[derive(Clone, Debug)]
pub struct Outgoing<U> {
    /// Who gets the outcome.
    pub user: U,
    /// The method, as the `CSeq` has it.
    pub method: &'static str,
    /// Start line and headers without Via and Contact, the empty line included.
    pub head: Bytes,
    /// Where the Contact goes and whose it is, if there is one; its host is the address that the request leaves from.
    pub contact: Option<ContactSlot>,
    /// The body.
    pub body: Bytes,
    /// The way, from [`locate::plan`](super::locate::plan).
    pub plan: Plan,
    /// Who has to be there, where that way may be one of TLS.
    pub peer: Option<Arc<PeerIdentity>>,
    /// The connection to go by instead of another of its transport while it stands: whoever made it asked for this, or our
    /// binding was made by it.
    pub by: Option<ConnId>,
    /// How often it may be repeated over UDP.
    pub resends: Resends,
    /// On whose behalf it is sent: challenges to it are answered with that account's password. Then Authorization goes
    /// where the Contact goes or would go. Without one a challenge is a refusal like others.
    pub account: Option<AccountId>,
    /// Nothing follows it in its dialog, and its user may be gone when it is challenged.
    pub last: bool,
}

/// The place of a Contact in a head that is not yet on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContactSlot {
    /// How many bytes of the head stand before it.
    pub at: usize,
    /// The user part, in the form that stands in a URI; none where only credentials go there.
    pub user: Option<Box<str>>,
    /// What it asks of the connection that the request leaves by, where that is one (RFC 5626).
    pub flow: Option<FlowUse>,
}

/// What a Contact asks of the connection by which it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FlowUse {
    /// What is for our address of record is to come by it (RFC 5626 §4.2). We are the instance of this URN, and have no
    /// other such connection.
    Binding(Box<str>),
    /// Further requests of the dialog that begins are to come by it (§4.3).
    Dialog,
}

/// Why a request came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Failure {
    /// Timer F: treated like 408 (RFC 3261 §8.1.3.1).
    #[error("no answer")]
    Timeout,
    /// The system or the connection said that nobody is there.
    #[error("nobody listens there")]
    Unreachable,
    /// Whoever is there has not proved to be who was asked for (RFC 5922).
    #[error("{0}")]
    Untrusted(String),
    /// Nobody there speaks TLS as we do.
    #[error("{0}")]
    Tls(String),
    /// No address of ours can reach the peer.
    #[error("none of our addresses reaches {0}")]
    NoRoute(IpAddr),
    /// The name has no address, or its look-up took too long.
    #[error("{0}")]
    Resolve(String),
    /// There is no way to that URI.
    #[error(transparent)]
    Locate(#[from] LocateError),
    /// A challenge to a request of an account was not answered, or not to the other side's liking (RFC 3261 §22).
    #[error("{why}")]
    Unauthorized {
        /// The status code of the response.
        code: u16,
        /// What is amiss.
        why: Why,
    },
}

impl From<TlsFailure> for Failure {
    fn from(failure: TlsFailure) -> Self {
        match failure {
            TlsFailure::Untrusted(why) => Self::Untrusted(why),
            TlsFailure::Refused(why) => Self::Tls(why),
        }
    }
}

/// What the endpoint tells its user about one input.
#[derive(Debug)]
pub enum Event<'a, U> {
    /// A new request, well-formed and of a method that is answered here; it is to be responded to once.
    Request {
        /// What to call it when responding.
        id: ServerId,
        /// Which way it came.
        flow: Flow,
        /// The request.
        message: Message<'a>,
    },
    /// A valid request that needed no user and was answered here: somebody is there.
    Answered {
        /// Which way it came.
        flow: Flow,
        /// The request.
        message: Message<'a>,
    },
    /// A response to a request of ours; provisional ones included.
    Response {
        /// Who sent the request.
        user: U,
        /// Which way the request had gone.
        flow: Flow,
        /// The response.
        message: Message<'a>,
    },
    /// A request of an account was challenged, and this is seen to here; its user is to be patient, and hears of the
    /// final outcome.
    Challenged {
        /// Who sent the request.
        user: U,
        /// Which way the request had gone.
        flow: Flow,
    },
}

/// Counts of what was dropped in silence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Keep-alives and empty datagrams (TRN-25).
    pub keepalives: u64,
    /// What could not be read as SIP at all.
    pub unreadable: u64,
    /// Responses to nothing we asked (TXN-06).
    pub stray_responses: u64,
    /// Requests that were refused before they reached anybody.
    pub refused: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Client(u32),
    Server(u32),
    Stream(ConnId),
    Return(u32),
}

/// The transaction layer; see the module's text.
#[derive(Debug)]
pub struct Endpoint<U> {
    config: EndpointConfig,
    rng: StdRng,
    /// What the tags of stateless answers are derived from.
    secret: u128,
    clients: Clients<U>,
    accounts: Accounts,
    servers: Servers,
    streams: Streams,
    timers: Timers<Timer>,
    /// Peers that turned out to have no TCP, with the time until which that is remembered (TRN-03).
    datagram_only: HashMap<SocketAddr, Instant>,
    /// Targets that were of no use (RES-16).
    aside: Aside,
    returns: Returns,
    failures: VecDeque<(U, Failure)>,
    /// Connections that were kept alive and are gone.
    lost: VecDeque<ConnId>,
    /// The connection that our binding was made by.
    home: Option<ConnId>,
    counters: Counters,
    queries: u64,
}

impl<U: Copy> Endpoint<U> {
    /// Makes an endpoint that draws its identifiers from `rng`.
    pub fn new(config: EndpointConfig, mut rng: StdRng) -> Self {
        let secret = rng.random();
        Self {
            config,
            secret,
            servers: Servers::new(secret),
            rng,
            clients: Clients::default(),
            accounts: Accounts::default(),
            streams: Streams::default(),
            timers: Timers::default(),
            datagram_only: HashMap::new(),
            aside: Aside::default(),
            returns: Returns::default(),
            failures: VecDeque::new(),
            lost: VecDeque::new(),
            home: None,
            counters: Counters::default(),
            queries: 0,
        }
    }

    /// Returns the base timers.
    pub fn timing(&self) -> &Timing {
        &self.config.timing
    }

    /// Returns what carries our requests, for [`locate::plan`](super::locate::plan).
    pub fn transports(&self) -> &'static [Transport] {
        self.config.transports
    }

    /// Returns our addresses.
    pub fn locals(&self) -> &[SocketAddr] {
        &self.config.locals
    }

    /// Returns the listening socket behind our end of a flow: where we opened a connection ourselves, its port is
    /// nobody's address.
    pub fn listening_on(&self, flow: Flow) -> SocketAddr {
        self.listening_by(flow.transport, flow.local)
    }

    /// Returns the socket at the address of `local` that listens for a transport.
    pub(super) fn listening_by(&self, transport: Transport, local: SocketAddr) -> SocketAddr {
        let EndpointConfig { locals, tls, .. } = &self.config;
        let locals = if transport == Transport::Tls && !tls.is_empty() { tls } else { locals };
        let same_ip = || locals.iter().find(|listening| listening.ip() == local.ip());
        locals.iter().find(|listening| **listening == local).or_else(same_ip).copied().unwrap_or(local)
    }

    /// Returns what was dropped so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Returns the generator of identifiers.
    pub fn rng(&mut self) -> &mut StdRng {
        &mut self.rng
    }

    /// Returns how many transactions and connections are alive: for tests of leaks and limits.
    pub fn sizes(&self) -> (usize, usize, usize) {
        (self.clients.len(), self.servers.len(), self.streams.len())
    }

    /// Counts the requests that have had no final response; goes through all of them.
    pub fn unanswered(&self) -> usize {
        self.clients.unanswered()
    }

    /// Returns when [`tick`](Self::tick) has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        self.timers.deadline()
    }

    /// Draws the id of a new look-up.
    pub fn next_query(&mut self) -> QueryId {
        self.queries += 1;
        QueryId(self.queries)
    }

    /// Returns the address of ours from which `remote` is reached, if any can.
    ///
    /// A loopback peer is reached from a loopback address and no other; else the address that shares the
    /// longest prefix with the peer's is taken.
    pub fn local_for(&self, remote: IpAddr) -> Option<SocketAddr> {
        let same = |local: &&SocketAddr| {
            local.is_ipv4() == remote.is_ipv4()
                && (local.ip() == remote || local.ip().is_loopback() == remote.is_loopback())
        };
        self.config.locals.iter().filter(same).max_by_key(|local| common_prefix(local.ip(), remote)).copied()
    }

    /// Takes one datagram; what needs no user is answered or dropped here.
    pub fn datagram<'a>(
        &mut self,
        local: SocketAddr,
        remote: SocketAddr,
        bytes: &'a [u8],
        now: Instant,
        out: &mut Vec<Effect>,
    ) -> Option<Event<'a, U>> {
        if bytes.iter().all(|b| matches!(b, b'\r' | b'\n' | 0)) {
            self.counters.keepalives += 1;
            return None;
        }
        let flow = Flow { transport: Transport::Udp, local, remote, conn: None };
        match codec::decode(bytes, Framing::Datagram) {
            Ok(message) => self.message(flow, message, now, out),
            Err(error) => {
                self.refuse_unreadable(flow, bytes, error.status(), now, out);
                None
            }
        }
    }

    /// Takes one complete message that a connection brought; see [`next_frame`](Self::next_frame).
    pub fn frame<'a>(
        &mut self,
        conn: ConnId,
        bytes: &'a [u8],
        now: Instant,
        out: &mut Vec<Effect>,
    ) -> Option<Event<'a, U>> {
        let flow = self.streams.flow(conn)?;
        match codec::decode(bytes, Framing::Stream) {
            Ok(message) => self.message(flow, message, now, out),
            Err(error) => {
                self.refuse_unreadable(flow, bytes, error.status(), now, out);
                self.close_stream(conn, now, out);
                None
            }
        }
    }

    fn message<'a>(
        &mut self,
        flow: Flow,
        message: Message<'a>,
        now: Instant,
        out: &mut Vec<Effect>,
    ) -> Option<Event<'a, U>> {
        if message.is_request() {
            self.request_received(flow, message, now, out)
        } else {
            self.response_received(message, now, out)
        }
    }

    fn request_received<'a>(
        &mut self,
        flow: Flow,
        mut message: Message<'a>,
        now: Instant,
        out: &mut Vec<Effect>,
    ) -> Option<Event<'a, U>> {
        let method = message.method()?;
        if let Err(refusal) = message::check_request(&message) {
            if !matches!(method, Method::Ack) {
                self.answer_stateless(flow, &message, refusal.code, &refusal.reason, now, out);
            }
            self.counters.refused += 1;
            return None;
        }
        if message.is_packed() {
            // It may be passed over, or the check would have refused it.
            message.body = &[];
        }
        match method {
            // An ACK belongs to an INVITE that was refused; nothing answers it (TXN-20).
            Method::Ack => return None,
            Method::Cancel => {
                let known = self
                    .config
                    .allow
                    .split(", ")
                    .chain(["INVITE"])
                    .any(|method| self.servers.find(&message, flow.transport, method).is_some());
                let (code, reason) = if known { (200, "OK") } else { (481, codec::reason_phrase(481)) };
                self.answer_stateless(flow, &message, code, reason, now, out);
                return None;
            }
            _ => {}
        }
        let id = match self.servers.admit(&message, flow, &self.config.timing, now, &mut self.timers) {
            server::Admission::New(id) => id,
            server::Admission::Resent(replay) => {
                if let Some((packet, to)) = replay {
                    self.transmit(to, packet, now, out);
                }
                return None;
            }
            server::Admission::Merged => {
                self.answer_stateless(flow, &message, 482, codec::reason_phrase(482), now, out);
                return None;
            }
        };
        let allow = self.config.allow;
        if !allow.split(", ").any(|allowed| allowed == method.as_str()) {
            self.counters.refused += 1;
            self.respond_with(id, flow, &message, 405, now, out, |head| {
                head.header(Name::Allow, allow);
            });
            return None;
        }
        // Proxy-Require is not for us (RFC 3261 §20.29).
        let supported = self.config.supported;
        let is_known = |tag: &&str| supported.iter().any(|known| known.eq_ignore_ascii_case(tag));
        let unknown: Vec<&str> = message.option_tags(Name::Require).filter(|tag| !is_known(tag)).collect();
        if !unknown.is_empty() {
            self.counters.refused += 1;
            if !unknown.iter().all(|tag| is_token(tag)) {
                self.respond_with(id, flow, &message, 400, now, out, |_| {});
                return None;
            }
            let unknown = unknown.join(", ");
            self.respond_with(id, flow, &message, 420, now, out, |head| {
                head.header(Name::Unsupported, &unknown);
            });
            return None;
        }
        if method == Method::Options {
            let (events, accept) = (self.config.allow_events, self.config.accept);
            self.respond_with(id, flow, &message, 200, now, out, |head| {
                head.header(Name::Allow, allow).header(Name::AllowEvents, events).header(Name::Accept, accept);
                head.header(Name::Supported, &supported.join(", "));
            });
            return Some(Event::Answered { flow, message });
        }
        Some(Event::Request { id, flow, message })
    }

    /// Answers a request whose transaction is `id`, with a tag of its own; `add` appends headers.
    #[allow(clippy::too_many_arguments, reason = "each is a different thing, and a struct would only rename them")]
    pub fn respond_with(
        &mut self,
        id: ServerId,
        flow: Flow,
        request: &Message<'_>,
        code: u16,
        now: Instant,
        out: &mut Vec<Effect>,
        add: impl FnOnce(&mut Head),
    ) {
        let tag = Token::random(&mut self.rng);
        self.respond_tagged(id, flow, request, code, tag, now, out, add);
    }

    /// Answers like [`respond_with`](Self::respond_with) with the tag of a dialog.
    #[allow(clippy::too_many_arguments, reason = "each is a different thing, and a struct would only rename them")]
    pub fn respond_tagged(
        &mut self,
        id: ServerId,
        flow: Flow,
        request: &Message<'_>,
        code: u16,
        tag: Token,
        now: Instant,
        out: &mut Vec<Effect>,
        add: impl FnOnce(&mut Head),
    ) {
        let mut head = response_head(flow, request, code, codec::reason_phrase(code), &tag.to_string());
        add(&mut head);
        let Some((packet, to)) = finish_response(head, flow, request) else { return };
        if self.servers.complete(id, packet.clone(), to, &self.config.timing, now, &mut self.timers) {
            self.send_back(to, packet, request, now, out);
        }
    }

    fn answer_stateless(
        &mut self,
        flow: Flow,
        request: &Message<'_>,
        code: u16,
        reason: &str,
        now: Instant,
        out: &mut Vec<Effect>,
    ) {
        let parts = [Name::Via, Name::From, Name::CallId, Name::CSeq].map(|name| request.get(name).unwrap_or_default());
        let tag = Token::derived(self.secret, &parts).to_string();
        let mut head = response_head(flow, request, code, reason, &tag);
        if code == 415 {
            head.header(Name::AcceptEncoding, "identity");
        }
        if let Some((packet, to)) = finish_response(head, flow, request) {
            self.send_back(to, packet, request, now, out);
        }
    }

    fn refuse_unreadable(
        &mut self,
        flow: Flow,
        bytes: &[u8],
        status: Option<u16>,
        now: Instant,
        out: &mut Vec<Effect>,
    ) {
        self.counters.unreadable += 1;
        let Some(code) = status else { return };
        let Some(message) = codec::decode_lenient_head(bytes) else { return };
        if message.is_request() && message.method() != Some(Method::Ack) {
            self.answer_stateless(flow, &message, code, codec::reason_phrase(code), now, out);
        }
    }

    /// Puts bytes on the way that `flow` names.
    fn transmit(&mut self, flow: Flow, packet: Packet, now: Instant, out: &mut Vec<Effect>) {
        match flow.conn {
            None => out.push(Effect::Send { local: flow.local, remote: flow.remote, packet }),
            Some(conn) => self.write_stream(conn, packet, now, out),
        }
    }

    /// Runs what is due, at most a bounded amount a call; failures wait in [`next_failure`](Self::next_failure).
    pub fn tick(&mut self, now: Instant, out: &mut Vec<Effect>) {
        const AT_ONCE: usize = 1024;
        for _ in 0..AT_ONCE {
            match self.timers.pop(now) {
                Some(Timer::Client(id)) => self.client_due(id, now, out),
                Some(Timer::Server(id)) => self.servers.remove(id),
                Some(Timer::Stream(conn)) => self.stream_due(conn, now, out),
                Some(Timer::Return(id)) => self.return_due(id),
                None => return,
            }
        }
    }

    /// Takes the next request that ended without a response.
    pub fn next_failure(&mut self) -> Option<(U, Failure)> {
        self.failures.pop_front()
    }
}

fn common_prefix(a: IpAddr, b: IpAddr) -> u32 {
    match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        _ => 0,
    }
}
