//! The loop that owns a core: feeds it inputs, does what it wants done, keeps the feeds.
//!
//! It knows no protocol. One turn is: wait for an input, hand it in, carry out the effects, tell the readers;
//! NOTIFYs that wait are pumped in portions, and inputs are read between two of them.

mod commands;
mod effects;

use std::{collections::HashMap, io, net::SocketAddr, sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::sync::{broadcast, mpsc, oneshot};
use tracing::{trace, warn};

use super::{PasswordSource, PresenceEvent, Secret, feed::Item, login::Secrets, tls::Believing, trace::Tracer};
use crate::{
    net::{
        clock::{Clock, Sleeper},
        dns::Dns,
        listen::Listeners,
        sends::{Sends, writable},
        stream::{ConnHandle, StreamEvent, spawn_connection, spawn_tls_connection},
        tls::Tls,
        udp::RecvBatch,
    },
    presence::core::{Core, Input, Key, Now, Outbox, Refused, SavedServing},
    sip::{
        auth::AccountId,
        effect::QueryId,
        locate::Answer,
        probe::{self, ProbeId},
        transport::{ConnId, Flow, Transport},
    },
};

use self::commands::Reader;
pub(super) use self::commands::{Command, Release};

/// How many commands may wait.
pub(super) const COMMANDS: usize = 64;
/// How many NOTIFYs are made between two looks at the sockets.
const PORTION: usize = 64;
/// How many events of connections may wait.
const STREAM_EVENTS: usize = 256;
/// How long a goodbye may take (NOT-23).
const GOODBYE: Duration = Duration::from_secs(2);
/// A clock that gained more than this on the one that stands still in sleep tells of a sleep (SEC-20).
const SLEPT: Duration = Duration::from_secs(5);

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
    /// Where the secrets are to be had that we share with peers.
    shared: HashMap<AccountId, PasswordSource>,
    secrets: mpsc::Receiver<(AccountId, Result<Secret, String>)>,
    secret_sender: mpsc::Sender<(AccountId, Result<Secret, String>)>,
    inbox: mpsc::Receiver<Command>,
    released: mpsc::UnboundedReceiver<Release>,
    events: broadcast::Sender<PresenceEvent>,
    tracer: Tracer,
    readers: HashMap<Key, Vec<Reader>>,
    /// Who asked our server what.
    asking: HashMap<ProbeId, oneshot::Sender<Result<probe::Answer, Refused>>>,
    waiting: Sends,
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
            shared: HashMap::new(),
            secrets,
            secret_sender,
            inbox,
            released,
            events,
            tracer,
            readers: HashMap::new(),
            asking: HashMap::new(),
            waiting: Sends::default(),
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

    /// Says where the secrets are to be had that we share with peers, by what each is asked for.
    pub(super) fn secrets_from(mut self, accounts: Vec<Option<AccountId>>, secrets: Secrets) -> Self {
        self.share(accounts, secrets);
        self
    }

    fn share(&mut self, accounts: Vec<Option<AccountId>>, secrets: Secrets) {
        let asked = accounts.into_iter().zip(secrets);
        self.shared = asked.filter_map(|(account, (_, source))| Some((account?, source))).collect();
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
        let blocked = self.waiting.blocked(&self.listeners);
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
            writable = writable(blocked), if blocked.is_some() => writable.map(|()| Wake::Writable),
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
            StreamEvent::Proved { conn, proved } => {
                Input::Vouched { conn: *conn, vouched: self.believing.vouched(proved) }
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
                self.tracer.closed(*conn);
                Input::TlsFailed { conn: *conn, error: error.clone() }
            }
        };
        self.core.handle(input, now, &mut self.out);
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
