//! The loop that owns a core: feeds it inputs, does what it wants done, keeps the feeds.
//!
//! It knows no protocol. One turn is: wait for an input, hand it in, carry out the effects, tell the readers;
//! NOTIFYs that wait are pumped in portions, and inputs are read between two of them.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    io,
    net::SocketAddr,
    sync::{Arc, Weak},
    time::Duration,
};

use jiff::Timestamp;
use tokio::sync::{broadcast, mpsc, oneshot};
use tracing::{trace, warn};

use super::{
    Action, PasswordSource, Policy, PresenceEvent, Published, Secret,
    feed::{Item, Slot},
    tls::Believing,
    trace::Tracer,
};
use crate::{
    net::{
        clock::{Clock, Sleeper},
        dns::Dns,
        listen::Listeners,
        stream::{ConnHandle, StreamEvent, connect, connect_tls, spawn_connection, spawn_tls_connection},
        tls::Tls,
        udp::RecvBatch,
    },
    presence::core::{
        Core, Input, Inquiry, Key, Linked, Now, Outbox, OwnPresence, Refused, SavedServing, Server, Subscribing,
        WatchId, Watcher,
    },
    sip::{
        auth::AccountId,
        effect::{Effect, QueryId},
        locate::{Answer, PeerIdentity},
        probe::{self, ProbeId},
        transport::{ConnId, Flow, Packet, Transport},
        uri::Uri,
    },
};

/// How many commands may wait.
pub(super) const COMMANDS: usize = 64;
/// How many NOTIFYs are made between two looks at the sockets.
const PORTION: usize = 64;
/// How many datagrams may wait for the kernel; the oldest are dropped first, as a full network would.
const MAX_WAITING: usize = 8192;
/// How many events of connections may wait.
const STREAM_EVENTS: usize = 256;
/// How long a goodbye may take (NOT-23).
const GOODBYE: Duration = Duration::from_secs(2);
/// A clock that gained more than this on the one that stands still in sleep tells of a sleep (SEC-20).
const SLEPT: Duration = Duration::from_secs(5);

/// What a handle asks of the loop.
#[derive(Debug)]
pub(super) enum Command {
    Publish(Box<Published>, oneshot::Sender<()>),
    Clear(oneshot::Sender<()>),
    Own(oneshot::Sender<Arc<OwnPresence>>),
    Linked(oneshot::Sender<Arc<Linked>>),
    SetServer(Uri, Box<Server>, oneshot::Sender<()>),
    Republish(oneshot::Sender<bool>),
    Inquire(Box<Inquiry>, oneshot::Sender<Result<probe::Answer, Refused>>),
    Watch {
        uri: Uri,
        presentity: String,
        how: Subscribing,
        slot: Weak<Slot>,
        place: u64,
        reply: oneshot::Sender<WatchId>,
    },
    Follow {
        key: Key,
        slot: Weak<Slot>,
        place: u64,
        reply: oneshot::Sender<()>,
    },
    Decide(String, Option<Action>, oneshot::Sender<()>),
    SetPolicy(Policy, oneshot::Sender<()>),
    Watchers(oneshot::Sender<Vec<Watcher>>),
    Saved(oneshot::Sender<SavedServing>),
    Realm(oneshot::Sender<Option<String>>),
    Resumed(oneshot::Sender<()>),
    Halt(oneshot::Sender<SavedServing>),
    Stop(oneshot::Sender<()>),
}

/// One reader of one thing went away.
#[derive(Debug)]
pub(super) struct Release {
    pub(super) id: WatchId,
    pub(super) slot: Weak<Slot>,
    pub(super) place: u64,
}

#[derive(Debug)]
struct Reader {
    slot: Weak<Slot>,
    place: u64,
}

/// Where a driver listens, and whom it believes.
#[derive(Debug)]
pub(super) struct Network {
    pub(super) listeners: Listeners,
    pub(super) tls: Arc<Tls>,
    pub(super) believing: Believing,
}

/// The loop; see the module's text.
#[derive(Debug)]
pub(super) struct Driver {
    core: Core,
    listeners: Listeners,
    tls: Arc<Tls>,
    believing: Believing,
    batch: RecvBatch,
    conns: HashMap<ConnId, ConnHandle>,
    accepted: u64,
    stream_events: mpsc::Receiver<StreamEvent>,
    stream_sender: mpsc::Sender<StreamEvent>,
    answers: mpsc::Receiver<(QueryId, Result<Answer, String>)>,
    answer_sender: mpsc::Sender<(QueryId, Result<Answer, String>)>,
    dns: Arc<Dns>,
    passwords: Option<PasswordSource>,
    secrets: mpsc::Receiver<(AccountId, Result<Secret, String>)>,
    secret_sender: mpsc::Sender<(AccountId, Result<Secret, String>)>,
    inbox: mpsc::Receiver<Command>,
    released: mpsc::UnboundedReceiver<Release>,
    events: broadcast::Sender<PresenceEvent>,
    tracer: Tracer,
    readers: HashMap<Key, Vec<Reader>>,
    /// Who asked our server what.
    asking: HashMap<ProbeId, oneshot::Sender<Result<probe::Answer, Refused>>>,
    waiting: VecDeque<(SocketAddr, SocketAddr, Packet)>,
    sleeper: Sleeper,
    clock: Clock,
    out: Outbox,
}

enum Wake {
    Command(Option<Command>),
    Released(Option<Release>),
    Datagrams(io::Result<(SocketAddr, usize)>),
    Accepted(tokio::net::TcpStream, Transport),
    Stream(StreamEvent),
    Answer(QueryId, Result<Answer, String>),
    Secret(AccountId, Result<Secret, String>),
    Writable,
    Pump,
    Time,
}

impl Driver {
    pub(super) fn new(
        core: Core,
        out: Outbox,
        network: Network,
        inbox: mpsc::Receiver<Command>,
        released: mpsc::UnboundedReceiver<Release>,
        events: broadcast::Sender<PresenceEvent>,
        tracer: Tracer,
    ) -> io::Result<Self> {
        let Network { listeners, tls, believing } = network;
        let (stream_sender, stream_events) = mpsc::channel(STREAM_EVENTS);
        let (answer_sender, answers) = mpsc::channel(STREAM_EVENTS);
        let (secret_sender, secrets) = mpsc::channel(1);
        Ok(Self {
            core,
            listeners,
            tls,
            believing,
            batch: RecvBatch::new(),
            conns: HashMap::new(),
            accepted: 0,
            stream_events,
            stream_sender,
            answers,
            answer_sender,
            dns: Arc::default(),
            passwords: None,
            secrets,
            secret_sender,
            inbox,
            released,
            events,
            tracer,
            readers: HashMap::new(),
            asking: HashMap::new(),
            waiting: VecDeque::new(),
            sleeper: Sleeper::new()?,
            clock: Clock::new(),
            out,
        })
    }

    /// Says whom to ask for names.
    pub(super) fn names_from(mut self, dns: Arc<Dns>) -> Self {
        self.dns = dns;
        self
    }

    /// Says where our password is to be had.
    pub(super) fn passwords_from(mut self, source: Option<PasswordSource>) -> Self {
        self.passwords = source;
        self
    }

    /// Runs until it is told to stop or nobody holds a handle any more.
    pub(super) async fn run(mut self) {
        let mut stopped = None;
        let mut leave_by = None;
        self.core.begin(Self::now(), &mut self.out);
        self.flush();
        loop {
            let wake = match self.wait(leave_by.is_some()).await {
                Ok(wake) => wake,
                Err(error) => {
                    warn!(%error, "the network is unusable");
                    break;
                }
            };
            let now = Self::now();
            self.tracer.turn();
            if self.clock.suspended() > SLEPT {
                self.core.handle(Input::Resumed, now, &mut self.out);
            }
            match wake {
                Wake::Command(None) if leave_by.is_none() => leave_by = Some(self.leave(now)),
                Wake::Command(Some(Command::Stop(reply))) => {
                    stopped = Some(reply);
                    leave_by = Some(self.leave(now));
                }
                Wake::Command(Some(Command::Halt(reply))) => {
                    let saved = self.halt(now).await;
                    // Whoever asked may be gone by now.
                    let _ = reply.send(saved);
                    return;
                }
                other => self.take(other, now),
            }
            self.flush();
            if self.tracer.is_ahead() {
                // A network that is always ready would keep the reader from having its turn.
                tokio::task::yield_now().await;
            }
            if leave_by.is_some_and(|by| now.at >= by || !self.core.is_busy() && self.waiting.is_empty()) {
                break;
            }
        }
        drop(self);
        if let Some(reply) = stopped {
            // Whoever asked may be gone by now.
            let _ = reply.send(());
        }
    }

    /// Returns what is to be saved of those whom we serve.
    pub(super) fn saved(&self) -> SavedServing {
        self.core.saved(Self::now())
    }

    /// Ends without a word: what waits is not sent, and nothing leaves once this returns (NOT-23).
    async fn halt(mut self, now: Now) -> SavedServing {
        for (_, conn) in self.conns.drain() {
            conn.abort().await;
        }
        self.core.saved(now)
    }

    fn now() -> Now {
        Now { at: Clock::now(), wall: Timestamp::now() }
    }

    fn leave(&mut self, now: Now) -> crate::sip::time::Instant {
        self.core.go_offline(now, &mut self.out);
        now.at + GOODBYE
    }

    async fn wait(&mut self, leaving: bool) -> io::Result<Wake> {
        let pump = self.core.wants_pump();
        let mut deadline = self.core.deadline();
        if leaving {
            let soon = Clock::now() + Duration::from_millis(50);
            deadline = Some(deadline.map_or(soon, |at| at.min(soon)));
        }
        let blocked = self.waiting.front().map(|(local, ..)| *local);
        // In no fixed order, so that a flood on one of them starves none of the others.
        tokio::select! {
            command = self.inbox.recv(), if !leaving => Ok(Wake::Command(command)),
            Some(release) = self.released.recv() => Ok(Wake::Released(Some(release))),
            received = self.listeners.recv(&mut self.batch) => {
                Ok(Wake::Datagrams(received.map(|(socket, count)| (socket.local_addr(), count))))
            }
            Some(event) = self.stream_events.recv() => Ok(Wake::Stream(event)),
            (stream, by) = self.listeners.accept() => Ok(Wake::Accepted(stream, by)),
            Some((query, answer)) = self.answers.recv() => Ok(Wake::Answer(query, answer)),
            Some((account, answer)) = self.secrets.recv() => Ok(Wake::Secret(account, answer)),
            writable = writable(&self.listeners, blocked), if blocked.is_some() => writable.map(|()| Wake::Writable),
            () = std::future::ready(()), if pump => Ok(Wake::Pump),
            slept = self.sleeper.until(deadline) => slept.map(|()| Wake::Time),
        }
    }

    fn take(&mut self, wake: Wake, now: Now) {
        match wake {
            Wake::Command(Some(command)) => self.command(command, now),
            Wake::Released(Some(release)) => self.release(&release, now),
            Wake::Datagrams(Ok((local, 0))) => {
                let errors = self.listeners.udp_on(local).map(crate::net::udp::UdpSocket::take_errors);
                for (remote, error) in errors.unwrap_or_default() {
                    trace!(%remote, %error, "a datagram could not be delivered");
                    self.core.handle(Input::SendFailed(remote), now, &mut self.out);
                }
            }
            Wake::Datagrams(Ok((local, _))) => {
                for (remote, bytes) in self.batch.iter() {
                    self.tracer.datagram_received(local, remote, bytes);
                    self.core.handle(Input::Datagram { local, remote, bytes }, now, &mut self.out);
                }
            }
            Wake::Datagrams(Err(error)) => warn!(%error, "a socket cannot be read"),
            Wake::Accepted(stream, by) => {
                self.accepted += 1;
                let (conn, events) = (ConnId::accepted(self.accepted), self.stream_sender.clone());
                let handle = if by == Transport::Tls {
                    spawn_tls_connection(stream, conn, Arc::clone(&self.tls), events)
                } else {
                    spawn_connection(stream, conn, events)
                };
                self.conns.insert(conn, handle);
            }
            Wake::Stream(event) => self.stream(&event, now),
            Wake::Answer(query, answer) => {
                self.core.handle(Input::Resolved { query, answer }, now, &mut self.out);
            }
            Wake::Secret(account, answer) => {
                self.core.handle(Input::Secret { account, answer }, now, &mut self.out);
            }
            Wake::Pump => self.core.pump(PORTION, now, &mut self.out),
            Wake::Time => self.core.handle(Input::Tick, now, &mut self.out),
            Wake::Writable | Wake::Command(None) | Wake::Released(None) => {}
        }
    }

    fn stream(&mut self, event: &StreamEvent, now: Now) {
        let input = match event {
            StreamEvent::Opened { conn, transport, local, remote, first_key, .. } => {
                self.tracer.opened(*conn, *transport, *local, *remote);
                if let Some((peer, key)) = first_key {
                    self.believing.pin(peer, *key);
                }
                Input::Opened(Flow { transport: *transport, local: *local, remote: *remote, conn: Some(*conn) })
            }
            StreamEvent::Data { conn, bytes } => {
                self.tracer.read(*conn, bytes);
                Input::Data { conn: *conn, bytes }
            }
            StreamEvent::Closed { conn, .. } | StreamEvent::ConnectFailed { conn, .. } => {
                self.conns.remove(conn);
                self.tracer.closed(*conn);
                Input::Closed(*conn)
            }
            StreamEvent::TlsFailed { conn, error } => {
                self.conns.remove(conn);
                Input::TlsFailed { conn: *conn, error: error.clone() }
            }
        };
        self.core.handle(input, now, &mut self.out);
    }

    fn command(&mut self, command: Command, now: Now) {
        // Whoever asked may have stopped waiting; then nobody needs the answer.
        match command {
            Command::Publish(published, reply) => {
                self.core.publish(*published, now, &mut self.out);
                let _ = reply.send(());
            }
            Command::Clear(reply) => {
                self.core.clear(now, &mut self.out);
                let _ = reply.send(());
            }
            Command::Own(reply) => {
                let _ = reply.send(self.core.own());
            }
            Command::Linked(reply) => {
                let _ = reply.send(self.core.linked());
            }
            Command::SetServer(address, server, reply) => {
                self.core.set_server(address, *server, now, &mut self.out);
                let _ = reply.send(());
            }
            Command::Republish(reply) => {
                let _ = reply.send(self.core.republish(now, &mut self.out));
            }
            Command::Inquire(inquiry, reply) => {
                let id = self.core.inquire(*inquiry, now, &mut self.out);
                self.asking.insert(id, reply);
            }
            Command::Watch { uri, presentity, how, slot, place, reply } => {
                let id = self.core.watch(uri, &presentity, how, now, &mut self.out);
                let unheard = Weak::clone(&slot);
                self.follow(Key::Watch(id), slot, place);
                if let Err(id) = reply.send(id) {
                    self.release(&Release { id, slot: unheard, place }, now);
                }
            }
            Command::Follow { key, slot, place, reply } => {
                self.follow(key, slot, place);
                let _ = reply.send(());
            }
            Command::Decide(who, action, reply) => {
                let mut policy = self.core.policy().clone();
                match action {
                    Some(action) => policy.set(&who, action),
                    None => policy.forget(&who),
                }
                self.core.set_policy(policy, now, &mut self.out);
                let _ = reply.send(());
            }
            Command::SetPolicy(policy, reply) => {
                self.core.set_policy(policy, now, &mut self.out);
                let _ = reply.send(());
            }
            Command::Watchers(reply) => {
                let _ = reply.send(self.core.watchers());
            }
            Command::Saved(reply) => {
                let _ = reply.send(self.core.saved(now));
            }
            Command::Realm(reply) => {
                let _ = reply.send(self.core.realm().map(str::to_owned));
            }
            Command::Resumed(reply) => {
                self.core.handle(Input::Resumed, now, &mut self.out);
                let _ = reply.send(());
            }
            // These end the loop.
            Command::Stop(_) | Command::Halt(_) => {}
        }
    }

    /// Takes a reader away, and with the last one the watch.
    fn release(&mut self, release: &Release, now: Now) {
        if let Some(readers) = self.readers.get_mut(&Key::Watch(release.id)) {
            readers.retain(|reader| !(reader.slot.ptr_eq(&release.slot) && reader.place == release.place));
            if readers.is_empty() {
                self.readers.remove(&Key::Watch(release.id));
            }
        }
        self.core.unwatch(release.id, now, &mut self.out);
    }

    /// Adds a reader, who begins with the newest state.
    fn follow(&mut self, key: Key, slot: Weak<Slot>, place: u64) {
        let item = self.item(key);
        if let (Some(slot), Some(item)) = (slot.upgrade(), item) {
            slot.put(place, item);
        }
        self.readers.entry(key).or_default().push(Reader { slot, place });
    }

    fn item(&self, key: Key) -> Option<Item> {
        Some(match key {
            Key::Watch(id) => Item::Presentity { state: self.core.state(id)?, settled: self.core.is_settled(id) },
            Key::Own => Item::Own(self.core.own()),
            Key::Watchers => Item::Watchers(Arc::new(self.core.watchers())),
            Key::Server => Item::Server(self.core.linked()),
            Key::Saved => Item::Saved,
        })
    }

    /// Carries out what the core wants done, and tells the readers what changed.
    fn flush(&mut self) {
        // What could not be sent may call for more, also what waited since the last turn.
        self.send_waiting();
        while !(self.out.effects.is_empty()
            && self.out.events.is_empty()
            && self.out.changed.is_empty()
            && self.out.answered.is_empty())
        {
            self.perform();
        }
    }

    fn perform(&mut self) {
        for effect in std::mem::take(&mut self.out.effects) {
            match effect {
                Effect::Send { local, remote, packet } => {
                    self.tracer.datagram_sent(local, remote, &packet);
                    if self.waiting.len() == MAX_WAITING {
                        self.waiting.pop_front();
                    }
                    self.waiting.push_back((local, remote, packet));
                }
                Effect::Open { conn, transport, local, remote, peer } => {
                    let events = self.stream_sender.clone();
                    let handle = if transport == Transport::Tls {
                        let nobody = || Arc::new(PeerIdentity::of_host(&remote.ip().to_string()));
                        let peer = peer.unwrap_or_else(nobody);
                        let trust = self.believing.trust_in(&peer);
                        connect_tls(Some(local), remote, conn, (Arc::clone(&self.tls), peer, trust), events)
                    } else {
                        connect(Some(local), remote, conn, events)
                    };
                    self.conns.insert(conn, handle);
                }
                Effect::Write { conn, packet } => {
                    self.tracer.written(conn, &packet);
                    if let Some(handle) = self.conns.get(&conn)
                        && let Err(error) = handle.send(packet)
                    {
                        warn!(%error, "dropped a connection");
                    }
                }
                Effect::Close { conn } => {
                    if let Some(handle) = self.conns.remove(&conn) {
                        handle.close();
                    }
                }
                Effect::Resolve { query, question } => {
                    let (answers, dns) = (self.answer_sender.clone(), Arc::clone(&self.dns));
                    tokio::spawn(async move {
                        let answer = dns.ask(question).await.map_err(|error| error.to_string());
                        // A loop that ended needs no answer.
                        let _ = answers.send((query, answer)).await;
                    });
                }
                Effect::AskSecret { account } => {
                    let (answers, passwords) = (self.secret_sender.clone(), self.passwords.clone());
                    tokio::spawn(async move {
                        let answer = match passwords {
                            Some(passwords) => passwords.ask().await,
                            None => Err("nobody knows it".to_owned()),
                        };
                        // A loop that ended needs no answer.
                        let _ = answers.send((account, answer)).await;
                    });
                }
            }
        }
        self.send_waiting();
        for event in self.out.events.drain(..) {
            // Without a reader there is nobody to tell.
            let _ = self.events.send(event);
        }
        for (id, answer) in self.out.answered.drain(..) {
            if let Some(asker) = self.asking.remove(&id) {
                // Whoever asked may have stopped waiting.
                let _ = asker.send(answer);
            }
        }
        for key in std::mem::take(&mut self.out.changed) {
            self.tell(key);
        }
    }

    fn tell(&mut self, key: Key) {
        let Some(item) = self.readers.contains_key(&key).then(|| self.item(key)).flatten() else { return };
        if let Some(readers) = self.readers.get_mut(&key) {
            readers.retain(|reader| {
                let slot = reader.slot.upgrade();
                if let Some(slot) = &slot {
                    slot.put(reader.place, item.clone());
                }
                slot.is_some()
            });
        }
    }

    /// Sends the datagrams that wait, in batches for each socket in turn, until the kernel takes no more.
    fn send_waiting(&mut self) {
        let mut failed = BTreeSet::new();
        while let Some((local, ..)) = self.waiting.front() {
            let local = *local;
            let batch: Vec<(SocketAddr, &Packet)> = self
                .waiting
                .iter()
                .take_while(|(from, ..)| *from == local)
                .take(32)
                .map(|(_, remote, packet)| (*remote, packet))
                .collect();
            let Some(socket) = self.listeners.udp_on(local) else {
                self.waiting.pop_front();
                continue;
            };
            let (count, errors) = socket.try_send(&batch);
            let all = count == batch.len();
            failed.extend(errors.into_iter().map(|(remote, _)| remote));
            self.waiting.drain(..count);
            if !all {
                break;
            }
        }
        if !failed.is_empty() {
            let now = Self::now();
            for remote in failed {
                self.core.handle(Input::SendFailed(remote), now, &mut self.out);
            }
        }
    }
}

impl Drop for Driver {
    /// Readers are told whatever ends the loop, also where its runtime ends or it panics.
    fn drop(&mut self) {
        for reader in self.readers.values().flatten() {
            if let Some(slot) = reader.slot.upgrade() {
                slot.put(reader.place, Item::Gone);
            }
        }
    }
}

async fn writable(listeners: &Listeners, local: Option<SocketAddr>) -> io::Result<()> {
    match local.and_then(|local| listeners.udp_on(local)) {
        Some(socket) => socket.writable().await,
        None => std::future::pending().await,
    }
}
