//! A thread that commits: whoever waits for the disk waits together.
//!
//! While one transaction goes to the disk, batches queue up; the next transaction takes them all. So one writer at a time
//! has its batch on disk as fast as the disk is, and a thousand at once have theirs hardly later.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread::{self, JoinHandle},
};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::{Record, Store, StoreError};

/// The most bytes of one transaction, unless a single batch has more: a disk that was slow for a while is not given all at
/// once.
const MAX_GROUP: usize = 4 * 1024 * 1024;

/// Records that are to be on disk together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Its number, by which whoever waits for it knows it; higher than that of each batch before.
    pub n: u64,
    /// What is to be there.
    pub records: Vec<Record>,
}

impl Batch {
    fn size(&self) -> usize {
        // What the keys and values are held in counts as well.
        let record =
            |record: &Record| size_of::<Record>() + record.key.len() + record.value.as_ref().map_or(0, Vec::len);
        size_of::<Self>() + self.records.iter().map(record).sum::<usize>()
    }
}

/// What became of batches; each is told of once, in their order.
#[derive(Debug)]
pub enum Report {
    /// Every one since the last report, up to this one, is on disk.
    Persisted {
        /// The number of the last one.
        through: u64,
    },
    /// These are not, and nobody tries again by himself: whoever sent them says so to those who wait, and sends again what
    /// is to be kept. Where the disk failed in its very last step they may be found there at the next start, so who takes
    /// back in memory what they said writes that as well.
    Failed {
        /// As they were sent.
        batches: Vec<Batch>,
        /// Why.
        error: StoreError,
    },
}

/// The thread, for as long as this is held; see the module's text.
#[derive(Debug)]
pub struct Writer {
    /// None once it is to end.
    batches: Option<Sender<Batch>>,
    waiting: Arc<AtomicUsize>,
    thread: Option<JoinHandle<Store>>,
}

impl Writer {
    /// Starts the thread; what becomes of the batches comes by what is returned, which ends only after a bug.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn start(store: Store) -> io::Result<(Self, UnboundedReceiver<Report>)> {
        let (batches, queue) = channel();
        let (reports, told) = unbounded_channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&waiting);
        let thread =
            thread::Builder::new().name("store".into()).spawn(move || write(store, &queue, &reports, &counted))?;
        Ok((Self { batches: Some(batches), waiting, thread: Some(thread) }, told))
    }

    /// Has a batch committed after all that came before, and returns at once.
    pub fn submit(&self, batch: Batch) {
        self.waiting.fetch_add(batch.size(), Ordering::Relaxed);
        // The thread ends after us, or by a bug; that shows by the reports, which end.
        let sent = self.batches.as_ref().map(|batches| batches.send(batch));
        debug_assert!(sent.is_some(), "nothing is sent once it is to end");
    }

    /// Returns about how many bytes wait for the disk: whoever may refuse work does so when they become too many.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Waits until all that was sent is committed or has failed, and gives the store back; none after a bug. Blocks.
    pub fn finish(mut self) -> Option<Store> {
        self.batches = None;
        self.thread.take()?.join().ok()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.batches = None;
        if let Some(thread) = self.thread.take() {
            // Why it failed is told by the reports.
            let _ = thread.join();
        }
    }
}

fn write(mut store: Store, queue: &Receiver<Batch>, reports: &UnboundedSender<Report>, waiting: &AtomicUsize) -> Store {
    while let Ok(first) = queue.recv() {
        let mut size = first.size();
        let mut batches = vec![first];
        while size < MAX_GROUP
            && let Ok(next) = queue.try_recv()
        {
            size += next.size();
            batches.push(next);
        }
        let done = store.commit(batches.iter().flat_map(|batch| &batch.records));
        waiting.fetch_sub(size, Ordering::Relaxed);
        let report = match done {
            Ok(()) => Report::Persisted { through: batches.last().map_or(0, |batch| batch.n) },
            Err(error) => {
                tracing::warn!(%error, batches = batches.len(), "not kept");
                Report::Failed { batches, error }
            }
        };
        // Whoever does not listen any more wants the rest on disk all the same.
        let _ = reports.send(report);
    }
    store
}
