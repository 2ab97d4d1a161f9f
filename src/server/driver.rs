//! The loop that owns a domain: feeds it inputs, has its records kept, and does what it wants done once they are.
//!
//! It knows no protocol. One turn is: wait, hand in all that came at once, have what is new written down, carry out what may
//! leave. While records are on their way to the disk, everything that came behind them waits with them, so that nobody is
//! promised anything too early and nothing overtakes (see [`held`]).

mod effects;
mod held;

use std::{collections::HashMap, io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{info, trace, warn};

use self::held::Held;
pub(super) use self::held::Standing;
use super::{
    accounts::InForce,
    domain::{Domain, Outbox},
    metrics,
    running::RUNNING,
    status::{Facts, Status},
    store::{Record, Report, Table, Writer},
    xcap::Xcap,
};
use crate::{
    net::{
        clock::{Clock, Sleeper},
        dns::Dns,
        http::serve::Ask,
        listen::Listeners,
        sends::{Sends, writable},
        stream::{ConnHandle, StreamEvent, spawn_connection, spawn_tls_connection},
        tls::Tls,
        udp::{RecvBatch, UdpSocket},
    },
    presence::core::{Input, Now},
    sip::{
        effect::QueryId,
        locate::Answer,
        transport::{ConnId, Flow, Transport},
    },
};

/// How many NOTIFYs are made between two looks at the sockets.
const PORTION: usize = 128;
/// How many events of connections may wait.
const STREAM_EVENTS: usize = 1024;
/// How many connections stand at once; further ones are closed (SEC-13).
const MAX_CONNECTIONS: usize = 20_000;
/// A clock that gained more than this on the one that stands still in sleep tells of a sleep (SEC-20).
const SLEPT: Duration = Duration::from_secs(5);

/// What others tell the loop.
#[derive(Debug)]
pub(super) enum Command {
    /// Say how things are.
    Status(oneshot::Sender<Status>),
    /// End; all is kept, and nothing is said to anybody.
    Stop(oneshot::Sender<()>),
}

/// What a driver is given.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) domain: Domain,
    pub(super) listeners: Listeners,
    pub(super) tls: Arc<Tls>,
    /// None keeps nothing.
    pub(super) store: Option<(Writer, mpsc::UnboundedReceiver<Report>)>,
    pub(super) xcap: Xcap,
    pub(super) asks: mpsc::Receiver<Ask>,
    pub(super) scrapes: mpsc::Receiver<Ask>,
    pub(super) accounts: watch::Receiver<InForce>,
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) facts: Facts,
    pub(super) socket: Option<PathBuf>,
}

/// The loop; see the module's text.
#[derive(Debug)]
pub(super) struct Driver {
    domain: Domain,
    listeners: Listeners,
    tls: Arc<Tls>,
    batch: RecvBatch,
    conns: HashMap<ConnId, ConnHandle>,
    accepted: u64,
    stream_events: mpsc::Receiver<StreamEvent>,
    stream_sender: mpsc::Sender<StreamEvent>,
    answers: mpsc::Receiver<(QueryId, Result<Answer, String>)>,
    answer_sender: mpsc::Sender<(QueryId, Result<Answer, String>)>,
    dns: Arc<Dns>,
    xcap: Xcap,
    asks: mpsc::Receiver<Ask>,
    scrapes: mpsc::Receiver<Ask>,
    accounts: watch::Receiver<InForce>,
    commands: mpsc::Receiver<Command>,
    held: Held,
    sends: Sends,
    sleeper: Sleeper,
    clock: Clock,
    out: Outbox,
    facts: Facts,
    socket: Option<PathBuf>,
}

enum Wake {
    Command(Option<Command>),
    Datagrams(io::Result<(SocketAddr, usize)>),
    Accepted(tokio::net::TcpStream, Transport),
    Stream(StreamEvent),
    Answer(QueryId, Result<Answer, String>),
    Kept(Report),
    Document(Ask),
    Scrape(Ask),
    Accounts,
    Writable,
    Undeliverable(SocketAddr),
    Pump,
    Time,
}

impl Driver {
    pub(super) fn new(parts: Parts) -> io::Result<Self> {
        let Parts { domain, listeners, tls, store, xcap, asks, scrapes, accounts, commands, facts, socket } = parts;
        let (stream_sender, stream_events) = mpsc::channel(STREAM_EVENTS);
        let (answer_sender, answers) = mpsc::channel(STREAM_EVENTS);
        Ok(Self {
            domain,
            listeners,
            tls,
            batch: RecvBatch::new(),
            conns: HashMap::new(),
            accepted: 0,
            stream_events,
            stream_sender,
            answers,
            answer_sender,
            dns: Arc::default(),
            xcap,
            asks,
            scrapes,
            accounts,
            commands,
            held: Held::new(store),
            sends: Sends::with_helper(),
            sleeper: Sleeper::new()?,
            clock: Clock::new(),
            out: Outbox::default(),
            facts,
            socket,
        })
    }

    /// Runs until it is told to stop or nobody holds a handle any more.
    pub(super) async fn run(mut self) {
        self.domain.settle(now(), &mut self.out);
        self.flush();
        let stopped = loop {
            let wake = match self.wait().await {
                Ok(wake) => wake,
                Err(error) => {
                    warn!(%error, "it cannot go on");
                    break None;
                }
            };
            let now = now();
            if self.clock.suspended() > SLEPT {
                self.domain.handle(Input::Resumed, now, &mut self.out);
            }
            match wake {
                Wake::Command(None) => break None,
                Wake::Command(Some(Command::Stop(reply))) => break Some(reply),
                other => self.take(other, now),
            }
            self.flush();
        };
        self.end().await;
        if let Some(reply) = stopped {
            // Whoever asked may be gone by now.
            let _ = reply.send(());
        }
    }

    /// Ends without a word: what was promised is on disk, and nothing leaves once this returns (NOT-23).
    async fn end(mut self) {
        self.domain.leave(now(), &mut self.out);
        if self.held.keeps() {
            // In order, and not by a crash.
            self.out.records.push(Record { table: Table::Meta, key: RUNNING.to_vec(), value: None });
        }
        self.commit();
        while self.held.is_waiting()
            && let Some(report) = self.held.next_report().await
        {
            self.kept(report);
        }
        self.sends.finish(&self.listeners);
        for (_, conn) in self.conns.drain() {
            conn.abort().await;
        }
        if let Some(path) = &self.socket {
            // The next one to start takes it away as well.
            let _ = std::fs::remove_file(path);
        }
        let held = self.held;
        // The last transaction may take as long as the disk does.
        let _ = tokio::task::spawn_blocking(move || held.finish()).await;
    }

    async fn wait(&mut self) -> io::Result<Wake> {
        let pump = self.domain.wants_pump() && !self.sends.is_long() && !self.held.is_long();
        let deadline = self.domain.deadline().into_iter().chain(self.held.retries_at()).min();
        let blocked = self.sends.blocked(&self.listeners);
        // In no fixed order, so that a flood on one of them starves none of the others.
        tokio::select! {
            command = self.commands.recv() => Ok(Wake::Command(command)),
            received = self.listeners.recv(&mut self.batch) => {
                Ok(Wake::Datagrams(received.map(|(socket, count)| (socket.local_addr(), count))))
            }
            Some(event) = self.stream_events.recv() => Ok(Wake::Stream(event)),
            (stream, by) = self.listeners.accept() => Ok(Wake::Accepted(stream, by)),
            Some((query, answer)) = self.answers.recv() => Ok(Wake::Answer(query, answer)),
            report = self.held.next_report(), if self.held.keeps() => {
                report.map(Wake::Kept).ok_or_else(|| io::Error::other("what keeps records has ended"))
            }
            Some(ask) = self.asks.recv() => Ok(Wake::Document(ask)),
            Some(ask) = self.scrapes.recv() => Ok(Wake::Scrape(ask)),
            Ok(()) = self.accounts.changed() => Ok(Wake::Accounts),
            room = writable(blocked), if blocked.is_some() => room.map(|()| Wake::Writable),
            remote = self.sends.failed() => Ok(Wake::Undeliverable(remote)),
            () = std::future::ready(()), if pump => Ok(Wake::Pump),
            slept = self.sleeper.until(deadline) => slept.map(|()| Wake::Time),
        }
    }

    fn take(&mut self, wake: Wake, now: Now) {
        match wake {
            Wake::Datagrams(Ok((local, 0))) => {
                let errors = self.listeners.udp_on(local).map(UdpSocket::take_errors);
                for (remote, error) in errors.unwrap_or_default() {
                    trace!(%remote, %error, "a datagram could not be delivered");
                    self.domain.handle(Input::SendFailed(remote), now, &mut self.out);
                }
            }
            Wake::Datagrams(Ok((local, _))) => {
                for (remote, bytes) in self.batch.iter() {
                    self.domain.handle(Input::Datagram { local, remote, bytes }, now, &mut self.out);
                }
            }
            Wake::Datagrams(Err(error)) => warn!(%error, "a socket cannot be read"),
            Wake::Accepted(stream, by) => self.accept(stream, by),
            Wake::Stream(event) => self.stream(&event, now),
            Wake::Answer(query, answer) => self.domain.handle(Input::Resolved { query, answer }, now, &mut self.out),
            Wake::Kept(report) => self.kept(report),
            Wake::Document(ask) => self.document(ask, now),
            Wake::Scrape(ask) => {
                // Whoever asked may be gone by now.
                let _ = ask.answer.send(metrics::answer(&ask.request, &self.status()));
            }
            Wake::Accounts => {
                let in_force = self.accounts.borrow_and_update().clone();
                // What is wrong with them was told by whoever read them.
                if in_force.problem.is_none() {
                    info!(accounts = in_force.accounts.len(), "other accounts are in force");
                }
                self.facts.accounts_problem = in_force.problem;
                self.domain.set_accounts(in_force.accounts, now);
            }
            Wake::Command(Some(Command::Status(reply))) => {
                // Whoever asked may be gone by now.
                let _ = reply.send(self.status());
            }
            Wake::Pump => return self.domain.pump(PORTION, now, &mut self.out),
            Wake::Undeliverable(remote) => self.domain.handle(Input::SendFailed(remote), now, &mut self.out),
            Wake::Time => self.held.retry(now.at),
            Wake::Writable | Wake::Command(_) => {}
        }
        self.domain.settle(now, &mut self.out);
    }

    fn accept(&mut self, stream: tokio::net::TcpStream, by: Transport) {
        if self.conns.len() >= MAX_CONNECTIONS {
            return;
        }
        self.accepted += 1;
        let (conn, events) = (ConnId::accepted(self.accepted), self.stream_sender.clone());
        let handle = if by == Transport::Tls {
            spawn_tls_connection(stream, conn, Arc::clone(&self.tls), events)
        } else {
            spawn_connection(stream, conn, events)
        };
        self.conns.insert(conn, handle);
    }

    fn stream(&mut self, event: &StreamEvent, now: Now) {
        let input = match event {
            StreamEvent::Opened { conn, transport, local, remote, .. } => {
                Input::Opened(Flow { transport: *transport, local: *local, remote: *remote, conn: Some(*conn) })
            }
            // People have passwords here, and no certificates.
            StreamEvent::Proved { .. } => return,
            StreamEvent::Data { conn, bytes } => Input::Data { conn: *conn, bytes },
            StreamEvent::Closed { conn, .. } | StreamEvent::ConnectFailed { conn, .. } => {
                self.conns.remove(conn);
                Input::Closed(*conn)
            }
            StreamEvent::TlsFailed { conn, error } => {
                self.conns.remove(conn);
                Input::TlsFailed { conn: *conn, error: error.clone() }
            }
        };
        self.domain.handle(input, now, &mut self.out);
    }

    fn status(&self) -> Status {
        let (sizes, tally, dropped) = (self.domain.sizes(), self.domain.tally(), self.domain.dropped());
        Status::new(&self.facts, (sizes, tally, dropped), self.conns.len(), &self.held.standing())
    }
}

fn now() -> Now {
    Now { at: Clock::now(), wall: Timestamp::now() }
}
