//! A second thread that sends, where there is another core for it: to hand a datagram to the kernel takes about as long as to
//! make it.
//!
//! It is given whole batches, and so many at a time; who finds it busy sends a batch himself. So datagrams of different batches
//! may overtake each other, as they may in any network.

use std::{
    io,
    net::SocketAddr,
    sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    thread::{self, JoinHandle},
};

use tokio::sync::mpsc;

use crate::{net::udp::Outgoing, sip::transport::Packet};

/// How many batches may wait for it.
const AT_ONCE: usize = 8;

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
    thread: JoinHandle<()>,
}

impl Helper {
    /// Starts it; none where there is one core only.
    pub(super) fn start() -> io::Result<Option<Self>> {
        if thread::available_parallelism()?.get() < 2 {
            return Ok(None);
        }
        let (jobs, taken) = sync_channel(AT_ONCE);
        let (failures, failed) = mpsc::unbounded_channel();
        let thread = thread::Builder::new().name("sends".to_owned()).spawn(move || work(&taken, &failures))?;
        Ok(Some(Self { jobs, failed, thread }))
    }

    /// Gives it something to do; it is given back where it has enough.
    pub(super) fn take(&self, job: Job) -> Result<(), Job> {
        self.jobs.try_send(job).map_err(|error| match error {
            TrySendError::Full(job) | TrySendError::Disconnected(job) => job,
        })
    }

    /// Waits for a target that cannot be reached.
    pub(super) async fn failed(&mut self) -> SocketAddr {
        match self.failed.recv().await {
            Some(remote) => remote,
            None => std::future::pending().await,
        }
    }

    /// Returns when all that it was given is sent.
    pub(super) fn finish(self) {
        drop(self.jobs);
        // It does nothing that could fail.
        let _ = self.thread.join();
    }
}

fn work(jobs: &Receiver<Job>, failures: &mpsc::UnboundedSender<SocketAddr>) {
    while let Ok(Job { socket, datagrams }) = jobs.recv() {
        let mut rest: Vec<(SocketAddr, &Packet)> = datagrams.iter().map(|(remote, packet)| (*remote, packet)).collect();
        while !rest.is_empty() {
            let (done, errors) = socket.try_send(&rest);
            for (remote, _) in errors {
                // A loop that ended wants to know nothing.
                let _ = failures.send(remote);
            }
            rest.drain(..done);
            if !rest.is_empty() {
                socket.wait_for_room();
            }
        }
    }
}
