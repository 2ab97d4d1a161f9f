//! How a server does, for people and programs: what `serve status` prints, and the socket that tells it.

use std::{
    io,
    net::SocketAddr,
    os::unix::fs::{FileTypeExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{UnixListener, UnixStream},
    sync::{mpsc, oneshot},
    time::timeout,
};

use super::{
    domain::{Sizes, Tally},
    driver::{Command, Standing},
};
use crate::sip::endpoint::Counters;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest answer that is read, in bytes.
const MAX_ANSWER: u64 = 1024 * 1024;

/// What does not change while a server runs, but for the accounts.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) since: Timestamp,
    pub(super) domains: Vec<Box<str>>,
    pub(super) listening: Vec<SocketAddr>,
    pub(super) tls: Vec<SocketAddr>,
    pub(super) documents: Option<String>,
    pub(super) store: Option<PathBuf>,
    pub(super) accounts_problem: Option<String>,
}

/// How a server does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Its process.
    pub pid: u32,
    /// The version of the program.
    pub version: String,
    /// Since when it runs.
    pub since: Timestamp,
    /// What it serves.
    pub domains: Vec<String>,
    /// Where it listens, by UDP and TCP.
    pub listening: Vec<SocketAddr>,
    /// Where it listens, by TLS.
    pub tls: Vec<SocketAddr>,
    /// Where it keeps documents of users.
    pub documents_at: Option<String>,
    /// The file that it keeps everything in; none keeps nothing.
    pub store: Option<PathBuf>,
    /// Why nothing can be kept, if so.
    pub store_problem: Option<String>,
    /// How many bytes wait for the disk.
    pub store_waiting: usize,
    /// Why the accounts are not those of their file, if so.
    pub accounts_problem: Option<String>,
    /// Subscriptions of watchers that have proven to be there.
    pub subscriptions: usize,
    /// Those of others.
    pub unproven: usize,
    /// Subscriptions to watcher information.
    pub watcher_informed: usize,
    /// Subscriptions to lists.
    #[serde(default)]
    pub list_subscriptions: usize,
    /// Publications.
    pub publications: usize,
    /// Bindings.
    pub registrations: usize,
    /// Documents of users.
    pub documents: usize,
    /// Presentities of whom something is known.
    pub presentities: usize,
    /// Connections.
    pub connections: usize,
    /// Requests of ours that wait for an answer.
    pub client_transactions: usize,
    /// Requests that were answered of late.
    pub server_transactions: usize,
    /// PUBLISH requests taken in since the start.
    pub publishes: u64,
    /// SUBSCRIBE requests taken in since the start.
    pub subscribes: u64,
    /// REGISTER requests taken in since the start.
    pub registers: u64,
    /// Requests answered with a challenge since the start.
    pub challenges: u64,
    /// Requests refused otherwise since the start.
    pub refusals: u64,
    /// Requests answered 503 since the start.
    pub overloads: u64,
    /// What could not be read since the start.
    pub unreadable: u64,
}

impl Status {
    pub(super) fn new(
        facts: &Facts,
        (sizes, tally, dropped): (Sizes, Tally, Counters),
        connections: usize,
        standing: &Standing,
    ) -> Self {
        let (subscriptions, unproven) = sizes.subscriptions;
        let (client_transactions, server_transactions, _) = sizes.transactions;
        Self {
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            since: facts.since,
            domains: facts.domains.iter().map(|domain| domain.as_ref().to_owned()).collect(),
            listening: facts.listening.clone(),
            tls: facts.tls.clone(),
            documents_at: facts.documents.clone(),
            store: facts.store.clone(),
            store_problem: standing.problem.clone(),
            store_waiting: standing.waiting,
            accounts_problem: facts.accounts_problem.clone(),
            subscriptions,
            unproven,
            watcher_informed: sizes.informed,
            list_subscriptions: sizes.lists,
            publications: sizes.publications,
            registrations: sizes.bindings,
            documents: sizes.documents,
            presentities: sizes.presentities,
            connections,
            client_transactions,
            server_transactions,
            publishes: tally.publishes,
            subscribes: tally.subscribes,
            registers: tally.registers,
            challenges: tally.challenges,
            refusals: tally.refusals + dropped.refused,
            overloads: tally.overloads,
            unreadable: dropped.unreadable,
        }
    }
}

/// Listens at a socket that is its owner's alone; one that a crash left behind is replaced.
///
/// # Errors
/// When another server answers there, or the socket cannot be made.
pub(super) fn listen(path: &Path) -> io::Result<UnixListener> {
    let left_behind = std::fs::symlink_metadata(path).is_ok_and(|it| it.file_type().is_socket());
    if left_behind {
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Tells whoever connects how things are, one JSON object; ends with the loop that knows.
pub(super) async fn tell(listener: UnixListener, commands: mpsc::Sender<Command>) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = commands.closed() => return,
        };
        let Ok((mut stream, _)) = accepted else {
            // Out of descriptors: it is better later.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let (reply, status) = oneshot::channel();
        if commands.send(Command::Status(reply)).await.is_err() {
            return;
        }
        if let Ok(status) = status.await
            && let Ok(mut line) = serde_json::to_vec(&status)
        {
            line.push(b'\n');
            // Whoever asked may be gone by now.
            let _ = timeout(PATIENCE, stream.write_all(&line)).await;
        }
    }
}

/// Asks the server of a socket how it does.
///
/// # Errors
/// When none runs there, or it does not answer.
pub async fn ask(path: &Path) -> io::Result<Status> {
    let asked = async {
        let stream = UnixStream::connect(path).await?;
        let mut text = Vec::new();
        stream.take(MAX_ANSWER).read_to_end(&mut text).await?;
        serde_json::from_slice(&text).map_err(io::Error::other)
    };
    timeout(PATIENCE, asked).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
