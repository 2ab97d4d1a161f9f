//! Client transactions: choosing the way, sending, resending, falling back, giving up (RFC 3261 §17.1, §18.1).

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;

use super::{
    ContactSlot, Endpoint, Event, Failure, MAX_DATAGRAM_REQUEST, Outgoing, Timer,
    challenged::Proof,
    hunt,
    render::{Way, on_the_way},
};
use crate::sip::{
    auth::Why,
    effect::{Effect, QueryId},
    ids::Token,
    locate::{Answer, PeerIdentity, Plan, Search, Step, Target},
    message::Message,
    slab::{Slab, give_back},
    time::Instant,
    transaction::{ClientTimer, ClientTransaction, Resends},
    transport::{ConnId, Flow, Packet, Transport},
};

/// How long a look-up may take in all (RES-15).
const RESOLVE_WITHIN: Duration = Duration::from_secs(5);
/// After how long a TCP attempt that only size made us take gives way to UDP (TRN-03).
const CONNECT_WITHIN: Duration = Duration::from_secs(4);
/// How long a peer without TCP is remembered (TRN-03).
const DATAGRAM_ONLY_FOR: Duration = Duration::from_mins(10);
/// How many such peers are remembered at most.
const MAX_DATAGRAM_ONLY: usize = 1024;
/// How many requests to addresses that nobody has proved to be there may wait for an answer.
const MAX_UNPROVEN: usize = 2048;
/// What Via and Contact add to a request at most, the Contact's user part left out.
const ADDED_AT_MOST: usize = 180;

#[derive(Debug)]
pub(super) struct Client<U> {
    pub(super) user: U,
    pub(super) method: &'static str,
    /// Without Via, Contact and credentials until the way is known.
    pub(super) packet: Packet,
    pub(super) contact: Option<ContactSlot>,
    /// The head as it was handed in, while another way may have to be tried or a challenge answered.
    pub(super) draft: Option<Bytes>,
    pub(super) branch: Token,
    /// Where it is sent, and where else it may be if nothing comes of that; from a look-up if `hunted`.
    pub(super) targets: VecDeque<Target>,
    pub(super) hunted: bool,
    /// Who has to be there, where it goes by TLS.
    pub(super) peer: Option<Arc<PeerIdentity>>,
    /// The connection to go by while it stands.
    pub(super) by: Option<ConnId>,
    /// TCP was chosen for the request's size alone.
    pub(super) switched: bool,
    pub(super) resends: Resends,
    pub(super) phase: Phase,
    pub(super) timer: Option<Instant>,
    /// Where it is sent on behalf of an account.
    pub(super) auth: Option<Box<Proof>>,
}

#[derive(Debug)]
pub(super) enum Phase {
    /// The way is being chosen.
    Placing,
    Resolving {
        search: Box<Search>,
        /// The questions of this round, by their places.
        queries: Vec<QueryId>,
    },
    Connecting {
        flow: Flow,
    },
    Running {
        flow: Flow,
        machine: ClientTransaction,
    },
    /// To be sent again with credentials, once it has a number and the password is there.
    Challenged {
        /// What it was answered.
        code: u16,
    },
}

#[derive(Debug)]
pub(super) struct Clients<U> {
    slab: Slab<Client<U>>,
    by_branch: HashMap<Token, u32>,
    /// Each with its place in the round.
    by_query: HashMap<QueryId, (u32, usize)>,
    /// UDP transactions by where they go, to fail them when the system reports the port closed.
    by_remote: BTreeSet<(SocketAddr, u32)>,
    /// Those that go to addresses which nobody has proved to be there, the oldest first, by their branches.
    unproven: VecDeque<Token>,
}

impl<U> Default for Clients<U> {
    fn default() -> Self {
        Self {
            slab: Slab::default(),
            by_branch: HashMap::new(),
            by_query: HashMap::new(),
            by_remote: BTreeSet::new(),
            unproven: VecDeque::new(),
        }
    }
}

impl<U> Client<U> {
    /// Returns whether the request, complete with Via and Contact, is more than a datagram should carry.
    fn is_too_large(&self, local: SocketAddr) -> bool {
        let Self { packet, contact, branch, .. } = self;
        let user = contact.as_ref().and_then(|slot| slot.user.as_ref()).map_or(0, |user| user.len());
        let lines = self.credentials();
        if packet.len() + lines.len() + ADDED_AT_MOST + user <= MAX_DATAGRAM_REQUEST {
            return false;
        }
        let way =
            Way { transport: Transport::Udp, sent_by: local, branch: *branch, transport_param: None, keep: false };
        let head = on_the_way(&packet.head, contact.as_ref(), lines, &way);
        head.len() + packet.body.len() > MAX_DATAGRAM_REQUEST
    }

    /// Takes out what is needed to send the request once more.
    fn take_draft(&mut self, auth: Option<Box<Proof>>) -> Self
    where
        U: Copy,
    {
        let nothing = Packet { head: Bytes::new(), body: Bytes::new() };
        Self {
            user: self.user,
            method: self.method,
            packet: std::mem::replace(&mut self.packet, nothing),
            contact: self.contact.take(),
            draft: self.draft.take(),
            branch: self.branch,
            targets: std::mem::take(&mut self.targets),
            hunted: self.hunted,
            peer: self.peer.clone(),
            by: self.by,
            switched: self.switched,
            resends: self.resends,
            phase: Phase::Placing,
            timer: None,
            auth,
        }
    }

    /// Returns the header lines that prove who we are.
    fn credentials(&self) -> &[u8] {
        self.auth.as_ref().map_or(&[], |proof| &proof.lines)
    }
}

impl<U> Clients<U> {
    pub(super) fn len(&self) -> usize {
        self.slab.len()
    }

    pub(super) fn unanswered(&self) -> usize {
        let answered = |phase: &Phase| matches!(phase, Phase::Running { machine, .. } if machine.is_completed());
        self.slab.iter().filter(|(_, client)| !answered(&client.phase)).count()
    }

    pub(super) fn get(&self, id: u32) -> Option<&Client<U>> {
        self.slab.get(id)
    }

    pub(super) fn get_mut(&mut self, id: u32) -> Option<&mut Client<U>> {
        self.slab.get_mut(id)
    }

    pub(super) fn insert(&mut self, client: Client<U>) -> u32 {
        let branch = client.branch;
        let id = self.slab.insert(client);
        self.by_branch.insert(branch, id);
        id
    }
}

impl<U: Copy> Endpoint<U> {
    /// Sends a request; its user hears of every response, or of one failure.
    pub fn request(&mut self, request: Outgoing<U>, now: Instant, out: &mut Vec<Effect>) {
        let Outgoing { user, method, head, contact, body, plan, peer, by, resends, account, last } = request;
        let branch = Token::random(&mut self.rng);
        let packet = Packet { head, body };
        let client = Client {
            user,
            method,
            packet,
            contact,
            draft: None,
            branch,
            targets: VecDeque::new(),
            hunted: false,
            peer,
            by,
            switched: false,
            resends,
            phase: Phase::Placing,
            timer: None,
            auth: account.map(|account| Box::new(Proof::new(account, last))),
        };
        let id = self.clients.insert(client);
        if resends != Resends::Normal {
            self.bound_unproven(branch);
        }
        match plan {
            Plan::Address(target) => {
                if let Some(client) = self.clients.slab.get_mut(id) {
                    client.targets.push_back(target);
                }
                self.launch(id, now, out);
            }
            Plan::Lookup(search) => {
                self.way_by_name(id, search.name());
                self.arm(id, now + RESOLVE_WITHIN);
                self.look_up(id, search, out);
            }
        }
    }

    /// However many strangers ask, only so many requests to them wait for an answer: of the oldest, which most likely
    /// nobody gets, nothing more is heard (SEC-02).
    fn bound_unproven(&mut self, branch: Token) {
        self.clients.unproven.push_back(branch);
        if self.clients.unproven.len() > MAX_UNPROVEN
            && let Some(oldest) = self.clients.unproven.pop_front()
            && let Some(id) = self.clients.by_branch.get(&oldest).copied()
        {
            self.forget_client(id);
        }
    }

    /// Asks the questions of a round.
    fn look_up(&mut self, id: u32, search: Box<Search>, out: &mut Vec<Effect>) {
        let mut queries = Vec::new();
        for (place, question) in search.questions().into_iter().enumerate() {
            let query = self.next_query();
            self.clients.by_query.insert(query, (id, place));
            queries.push(query);
            out.push(Effect::Resolve { query, question });
        }
        if let Some(client) = self.clients.slab.get_mut(id) {
            client.phase = Phase::Resolving { search, queries };
        }
    }

    /// Takes the answer to a look-up of this endpoint, or gives it back when the query was not its own.
    pub fn resolved(
        &mut self,
        query: QueryId,
        answer: Result<Answer, String>,
        now: Instant,
        out: &mut Vec<Effect>,
    ) -> Option<Result<Answer, String>> {
        let Some((id, place)) = self.clients.by_query.remove(&query) else {
            return self.return_resolved(query, answer, now, out);
        };
        let client = self.clients.slab.get_mut(id)?;
        let Phase::Resolving { search, .. } = &mut client.phase else { return None };
        match search.answer(place, answer, &mut self.rng) {
            Step::Wait => {}
            Step::Ask => {
                let search = search.clone();
                self.look_up(id, search, out);
            }
            Step::Found(targets) => {
                let name = search.name().to_owned();
                let targets = self.reachable(targets, now);
                if targets.is_empty() {
                    self.fail(id, Failure::Resolve(format!("{name} has no address that we can reach")));
                } else {
                    if let Some(client) = self.clients.slab.get_mut(id) {
                        (client.targets, client.hunted) = (targets, true);
                    }
                    self.way_found(id);
                    self.launch(id, now, out);
                }
            }
            Step::Failed(why) => self.fail(id, Failure::Resolve(why)),
        }
        None
    }

    /// Starts the transaction towards its first remaining target.
    pub(super) fn launch(&mut self, id: u32, now: Instant, out: &mut Vec<Effect>) {
        let Some(&target) = self.clients.slab.get(id).and_then(|client| client.targets.front()) else { return };
        let Target { transport: asked, remote } = target;
        let Some(local) = self.local_for(remote.ip()) else {
            return self.give_up(id, Failure::NoRoute(remote.ip()), now, out);
        };
        self.authorize(id);
        let datagram_only = self.datagram_only.get(&remote).is_some_and(|until| now < *until);
        let Some(client) = self.clients.slab.get_mut(id) else { return };
        client.switched = asked == Transport::Udp && !datagram_only && client.is_too_large(local);
        let transport = if client.switched { Transport::Tcp } else { asked };
        if transport.is_stream() {
            let peer = client.peer.clone();
            let flow_of = |conn| self.streams.flow(conn).filter(|_| self.streams.is_open(conn));
            let given = client.by.filter(|conn| flow_of(*conn).is_some_and(|flow| flow.transport == transport));
            let conn =
                given.unwrap_or_else(|| self.open_stream(transport, local.ip(), remote, peer.as_ref(), now, out));
            self.streams.attach(conn, id);
            let local = self.listening_by(transport, local);
            let flow = Flow { transport, local, remote, conn: Some(conn) };
            if self.streams.is_open(conn) {
                self.run(id, flow, now, out);
                return;
            }
            let elsewhere = self.clients.slab.get(id).is_some_and(|c| c.switched || c.targets.len() > 1);
            let within = if elsewhere { CONNECT_WITHIN } else { self.config.timing.transaction() };
            if let Some(client) = self.clients.slab.get_mut(id) {
                client.phase = Phase::Connecting { flow };
            }
            self.arm(id, now + within);
        } else {
            self.run(id, Flow { transport, local, remote, conn: None }, now, out);
        }
    }

    /// Puts the request on the wire and starts its machine.
    fn run(&mut self, id: u32, flow: Flow, now: Instant, out: &mut Vec<Effect>) {
        let timing = self.config.timing;
        let Some(client) = self.clients.slab.get_mut(id) else { return };
        let stream = flow.transport.is_stream() && !client.switched;
        let way = Way {
            transport: flow.transport,
            sent_by: flow.local,
            branch: client.branch,
            transport_param: stream.then_some(flow.transport),
            // Others leave nothing behind for which we would have to be reached.
            keep: stream && matches!(client.method, "REGISTER" | "SUBSCRIBE"),
        };
        let draft = client.draft.take().unwrap_or_else(|| client.packet.head.clone());
        client.packet.head = on_the_way(&draft, client.contact.as_ref(), client.credentials(), &way);
        let elsewhere = client.targets.len() > 1;
        client.draft = (client.switched || client.auth.is_some() || elsewhere).then_some(draft);
        let mut machine = ClientTransaction::start(flow.transport.is_stream(), client.resends, &timing, now);
        if elsewhere && !flow.transport.is_stream() {
            machine = machine.heard_until(now + hunt::heard_within(&timing));
        }
        client.phase = Phase::Running { flow, machine };
        let packet = client.packet.clone();
        if !flow.transport.is_stream() {
            self.clients.by_remote.insert((flow.remote, id));
        }
        self.arm(id, machine.deadline());
        self.transmit(flow, packet, now, out);
    }

    pub(super) fn arm(&mut self, id: u32, at: Instant) {
        if let Some(client) = self.clients.slab.get_mut(id) {
            self.timers.set(&mut client.timer, Timer::Client(id), at);
        }
    }

    pub(super) fn client_due(&mut self, id: u32, now: Instant, out: &mut Vec<Effect>) {
        let timing = self.config.timing;
        let Some(client) = self.clients.slab.get_mut(id) else { return };
        client.timer = None;
        match &mut client.phase {
            Phase::Placing => {}
            Phase::Resolving { search, .. } => {
                let host = search.name();
                let why = format!("the look-up of {host} took longer than {} s", RESOLVE_WITHIN.as_secs());
                self.fail(id, Failure::Resolve(why));
            }
            Phase::Connecting { flow } => {
                let flow = *flow;
                if client.switched {
                    self.fall_back(id, flow, now, out);
                } else {
                    self.give_up(id, Failure::Timeout, now, out);
                }
                if let Some(conn) = flow.conn {
                    self.give_up_opening(conn, now, out);
                }
            }
            Phase::Running { flow, machine } => match machine.on_timer(&timing, now) {
                Some(ClientTimer::Resend) => {
                    let (flow, packet, next) = (*flow, client.packet.clone(), machine.deadline());
                    self.arm(id, next);
                    self.transmit(flow, packet, now, out);
                }
                Some(ClientTimer::TimedOut) => self.give_up(id, Failure::Timeout, now, out),
                Some(ClientTimer::Finished) => {
                    self.forget_client(id);
                }
                None => {
                    let next = machine.deadline();
                    self.arm(id, next);
                }
            },
            Phase::Challenged { code } => {
                let (code, why) = (*code, Why::NoSecret("it did not come in time".to_owned()));
                self.fail(id, Failure::Unauthorized { code, why });
            }
        }
    }

    /// A connection took too long: whoever chose it for size alone goes by UDP too, and nobody opens it any more
    /// unless somebody else still waits for it.
    fn give_up_opening(&mut self, conn: ConnId, now: Instant, out: &mut Vec<Effect>) {
        for id in self.streams.users(conn) {
            if let Some(Client { phase: Phase::Connecting { flow }, switched: true, .. }) = self.clients.slab.get(id) {
                let flow = *flow;
                self.fall_back(id, flow, now, out);
            }
        }
        if self.streams.users(conn).is_empty() {
            self.close_stream(conn, now, out);
        }
    }

    /// The peer has no TCP: the request goes by UDP after all, with a new branch (TRN-03, TRN-04).
    fn fall_back(&mut self, id: u32, flow: Flow, now: Instant, out: &mut Vec<Effect>) {
        if self.datagram_only.len() >= MAX_DATAGRAM_ONLY {
            self.datagram_only.retain(|_, until| now < *until);
        }
        if self.datagram_only.len() < MAX_DATAGRAM_ONLY {
            self.datagram_only.insert(flow.remote, now + DATAGRAM_ONLY_FOR);
        }
        self.rebranch(id);
        let Some(client) = self.clients.slab.get_mut(id) else { return };
        client.switched = false;
        if let Some(conn) = flow.conn {
            self.streams.detach(conn, id);
        }
        self.run(id, Flow { transport: Transport::Udp, conn: None, ..flow }, now, out);
    }

    pub(super) fn response_received<'a>(
        &mut self,
        message: Message<'a>,
        now: Instant,
        out: &mut Vec<Effect>,
    ) -> Option<Event<'a, U>> {
        let matched = self.matching_client(&message);
        let Some(id) = matched else {
            self.counters.stray_responses += 1;
            return None;
        };
        let timing = self.config.timing;
        let client = self.clients.slab.get_mut(id)?;
        let Phase::Running { flow: sent_to, machine } = &mut client.phase else { return None };
        let sent_to = *sent_to;
        let (stream, conn) = (sent_to.transport.is_stream(), sent_to.conn);
        let code = message.code()?;
        if !machine.on_response(code, stream, &timing, now) {
            return None;
        }
        let (user, done, next) = (client.user, machine.is_completed(), machine.deadline());
        let account = if done { client.auth.take() } else { None };
        let moves_on = code == 503 && client.targets.len() > 1;
        if let Some(target) = client.targets.front().filter(|_| done && client.hunted) {
            self.aside.judge(*target, &message, now);
        }
        let draft = (account.is_some() || moves_on).then(|| client.take_draft(account));
        if done && stream {
            self.forget_client(id);
        } else {
            if done {
                // What is kept until Timer K is the branch alone.
                client.packet = Packet { head: Bytes::new(), body: Bytes::new() };
                self.clients.by_remote.remove(&(sent_to.remote, id));
            }
            self.arm(id, next);
        }
        if let Some(conn) = conn {
            self.touch_stream(conn, now);
        }
        match draft {
            Some(draft) if moves_on => {
                self.move_on(draft, now, out);
                None
            }
            Some(draft) if matches!(code, 401 | 407) => Some(self.challenged(draft, sent_to, &message, now, out)),
            Some(draft) if !self.believes(draft.auth.as_deref(), &message) => {
                self.failures.push_back((user, Failure::Unauthorized { code, why: Why::FalseServer }));
                None
            }
            _ => Some(Event::Response { user, flow: sent_to, message }),
        }
    }

    /// TXN-06, TXN-07: one Via, our branch, the method that we sent.
    fn matching_client(&self, message: &Message<'_>) -> Option<u32> {
        if message.via_count() != 1 {
            return None;
        }
        let branch = Token::parse_branch(message.top_via().ok()?.branch?)?;
        let id = *self.clients.by_branch.get(&branch)?;
        let client = self.clients.slab.get(id)?;
        (message.cseq().ok()?.method == client.method).then_some(id)
    }

    /// The system says that a datagram could not be delivered (TXN-08).
    pub fn send_failed(&mut self, remote: SocketAddr, now: Instant, out: &mut Vec<Effect>) {
        let waiting: Vec<u32> =
            self.clients.by_remote.range((remote, 0)..=(remote, u32::MAX)).map(|(_, id)| *id).collect();
        for id in waiting {
            self.give_up(id, Failure::Unreachable, now, out);
        }
    }

    /// A connection is there: what waited for it goes out.
    pub(super) fn stream_ready(&mut self, conn: ConnId, waiting: &[u32], now: Instant, out: &mut Vec<Effect>) {
        for &id in waiting {
            if let Some(Client { phase: Phase::Connecting { flow }, .. }) = self.clients.slab.get(id) {
                let flow = *flow;
                debug_assert_eq!(flow.conn, Some(conn), "it waited for this connection");
                self.run(id, flow, now, out);
            }
        }
    }

    /// A connection could not be made or broke: its transactions end, once each, or fall back (TRN-16).
    pub(super) fn stream_lost(&mut self, waiting: &[u32], now: Instant, out: &mut Vec<Effect>) {
        for &id in waiting {
            let Some(client) = self.clients.slab.get(id) else { continue };
            match client.phase {
                Phase::Connecting { flow } if client.switched => self.fall_back(id, flow, now, out),
                _ => self.give_up(id, Failure::Unreachable, now, out),
            }
        }
    }

    /// Whoever is at the end of a connection under TLS is not who was asked for: its transactions fail, unless their
    /// domain has another server, and clear text is none (TRN-17).
    pub(super) fn stream_refused(&mut self, waiting: &[u32], failure: &Failure, now: Instant, out: &mut Vec<Effect>) {
        for &id in waiting {
            if let Some(client) = self.clients.slab.get_mut(id) {
                client.targets.retain(|target| target.transport == Transport::Tls);
            }
            self.give_up(id, failure.clone(), now, out);
        }
    }

    pub(super) fn fail(&mut self, id: u32, failure: Failure) {
        if let Some(client) = self.forget_client(id) {
            self.failures.push_back((client.user, failure));
        }
    }

    pub(super) fn forget_client(&mut self, id: u32) -> Option<Client<U>> {
        self.release(id);
        let client = self.clients.slab.remove(id)?;
        self.clients.by_branch.remove(&client.branch);
        give_back(&mut self.clients.by_branch);
        Some(client)
    }

    /// Takes a transaction out of whatever leads to it, its branch left out.
    pub(super) fn release(&mut self, id: u32) {
        let Some(client) = self.clients.slab.get_mut(id) else { return };
        self.timers.cancel(&mut client.timer, Timer::Client(id));
        match &client.phase {
            Phase::Placing | Phase::Challenged { .. } => {}
            Phase::Resolving { queries, .. } => {
                for query in queries {
                    self.clients.by_query.remove(query);
                }
            }
            Phase::Connecting { flow } | Phase::Running { flow, .. } => {
                if let Some(conn) = flow.conn {
                    self.streams.detach(conn, id);
                } else {
                    self.clients.by_remote.remove(&(flow.remote, id));
                }
            }
        }
    }

    /// Gives a transaction another branch, for another way.
    pub(super) fn rebranch(&mut self, id: u32) {
        let branch = Token::random(&mut self.rng);
        let Some(client) = self.clients.slab.get_mut(id) else { return };
        self.clients.by_branch.remove(&client.branch);
        client.branch = branch;
        self.clients.by_branch.insert(branch, id);
    }
}
