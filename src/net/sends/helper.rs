//! A second thread that sends, where there is another core for it: to hand a datagram to the kernel takes about as long as to
//! make it.
//!
//! It is given whole batches, and so many at a time; as long as it has any, it is given all else as well, so that nothing
//! overtakes it. Who finds it with more than it takes sends a batch himself, which may then be sooner, as in any network.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread::{self, JoinHandle},
};

use tokio::sync::mpsc;
use tracing::warn;

use crate::{net::udp::Outgoing, sip::transport::Packet};

/// How many batches may wait for it.
const AT_ONCE: usize = 8;
/// How often it waits for room at the end, before it leaves the rest unsent.
const PATIENCE: u32 = 4;

/// Datagrams of one socket.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) socket: Outgoing,
    pub(super) datagrams: Vec<(SocketAddr, Packet)>,
}

/// See the module's text.
#[derive(Debug)]
pub(super) struct Helper {
    jobs: SyncSender<Job>,
    failed: mpsc::UnboundedReceiver<SocketAddr>,
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Shared {
    /// How many jobs it has.
    jobs: AtomicUsize,
    is_ending: AtomicBool,
}

impl Helper {
    /// Starts it; none where there is one core only, or no thread to be had.
    pub(super) fn start() -> Option<Self> {
        if thread::available_parallelism().is_ok_and(|cores| cores.get() < 2) {
            return None;
        }
        let (jobs, taken) = sync_channel(AT_ONCE);
        let (failures, failed) = mpsc::unbounded_channel();
        let shared = Arc::<Shared>::default();
        let state = Arc::clone(&shared);
        let started = thread::Builder::new().name("sends".to_owned()).spawn(move || work(&taken, &failures, &state));
        let thread = started.inspect_err(|error| warn!(%error, "no second thread sends")).ok()?;
        Some(Self { jobs, failed, shared, thread })
    }

    /// Returns whether it has something to do.
    pub(super) fn is_busy(&self) -> bool {
        self.shared.jobs.load(Ordering::Acquire) > 0
    }

    /// Gives it something to do; it is given back where it has enough.
    pub(super) fn take(&self, job: Job) -> Result<(), Job> {
        self.shared.jobs.fetch_add(1, Ordering::AcqRel);
        self.jobs.try_send(job).map_err(|error| {
            self.shared.jobs.fetch_sub(1, Ordering::AcqRel);
            match error {
                TrySendError::Full(job) | TrySendError::Disconnected(job) => job,
            }
        })
    }

    /// Waits for a target that cannot be reached.
    pub(super) async fn failed(&mut self) -> SocketAddr {
        match self.failed.recv().await {
            Some(remote) => remote,
            None => std::future::pending().await,
        }
    }

    /// Returns when all that it was given is sent, or the kernel has taken nothing for a while.
    pub(super) fn finish(self) {
        self.shared.is_ending.store(true, Ordering::Release);
        drop(self.jobs);
        // It does nothing that could fail.
        let _ = self.thread.join();
    }
}

fn work(jobs: &Receiver<Job>, failures: &mpsc::UnboundedSender<SocketAddr>, shared: &Shared) {
    let mut patience = PATIENCE;
    while let Ok(Job { socket, datagrams }) = jobs.recv() {
        let mut rest: Vec<(SocketAddr, &Packet)> = datagrams.iter().map(|(remote, packet)| (*remote, packet)).collect();
        while !rest.is_empty() {
            let (done, errors) = socket.try_send(&rest);
            for (remote, _) in errors {
                // A loop that ended wants to know nothing.
                let _ = failures.send(remote);
            }
            rest.drain(..done);
            if rest.is_empty() {
                break;
            }
            if shared.is_ending.load(Ordering::Acquire) {
                if patience == 0 {
                    break;
                }
                patience -= 1;
            }
            socket.wait_for_room();
        }
        shared.jobs.fetch_sub(1, Ordering::AcqRel);
    }
}
