//! What waits until records are on disk: "the 200 goes out after its commit", for entity-tags, dialogs, bindings and
//! documents alike.
//!
//! Everything is held in its order while something is on its way to the disk. Where that fails, what was promised is taken
//! back by whoever owns this; the records stay in mind and are tried again, the newest of each key, until the disk takes them.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use tokio::sync::{mpsc, oneshot};
use tracing::{info, warn};

use crate::{
    net::{clock::Clock, http::Answer},
    server::{
        domain::Before,
        store::{Batch, Record, Report, Table, Writer},
    },
    sip::{effect::Effect, events::compositor::Before as PublicationBefore, time::Instant},
};

/// How many bytes may wait for the disk before new work is refused.
const MAX_WAITING: usize = 64 * 1024 * 1024;
/// How many effects may be held before no more are made of our own accord.
const LONG: usize = 16 * 1024;
/// How long a disk that failed is left alone.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// What one turn wants done.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    pub(super) effects: Vec<Effect>,
    /// What publications were before.
    pub(super) before: Vec<PublicationBefore>,
    pub(super) answers: Vec<(oneshot::Sender<Answer>, Answer, Before)>,
}

/// What became of that.
#[derive(Debug)]
pub(super) enum Kept {
    /// It may leave.
    Go(Waiting),
    /// What it promises is not on disk.
    Failed(Waiting),
}

/// How the disk does, for people.
#[derive(Clone, Debug)]
pub(in crate::server) struct Standing {
    /// How many bytes wait for it.
    pub waiting: usize,
    /// Why nothing can be kept, if so.
    pub problem: Option<String>,
}

/// See the module's text.
#[derive(Debug)]
pub(super) struct Held {
    store: Option<(Writer, mpsc::UnboundedReceiver<Report>)>,
    submitted: u64,
    waiting: VecDeque<(u64, Waiting)>,
    effects: usize,
    /// What is not on disk though it should be, while the disk fails.
    unwritten: BTreeMap<(Table, Vec<u8>), Option<Vec<u8>>>,
    problem: Option<String>,
    retries_at: Option<Instant>,
}

impl Held {
    pub(super) fn new(store: Option<(Writer, mpsc::UnboundedReceiver<Report>)>) -> Self {
        Self {
            store,
            submitted: 0,
            waiting: VecDeque::new(),
            effects: 0,
            unwritten: BTreeMap::new(),
            problem: None,
            retries_at: None,
        }
    }

    /// Returns whether anything is kept at all.
    pub(super) fn keeps(&self) -> bool {
        self.store.is_some()
    }

    /// Returns whether something waits for the disk.
    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Returns whether so much waits that there should not be more of our own making.
    pub(super) fn is_long(&self) -> bool {
        self.effects > LONG
    }

    /// Returns whether nothing new can be kept: the disk fails, or is far behind.
    pub(super) fn is_refusing(&self) -> bool {
        self.problem.is_some() || self.store.as_ref().is_some_and(|(writer, _)| writer.waiting() > MAX_WAITING)
    }

    pub(super) fn standing(&self) -> Standing {
        let waiting = self.store.as_ref().map_or(0, |(writer, _)| writer.waiting());
        Standing { waiting, problem: self.problem.clone() }
    }

    /// Sends records to the disk; gives the effects back where nothing has to be waited for.
    pub(super) fn hold(
        &mut self,
        records: Vec<Record>,
        before: Vec<PublicationBefore>,
        effects: Vec<Effect>,
    ) -> Option<Vec<Effect>> {
        if self.problem.is_some() {
            // Nothing was promised: what would have been was refused.
            self.unwritten.extend(records.into_iter().map(|it| ((it.table, it.key), it.value)));
        } else if !records.is_empty() {
            self.submit(records);
        } else if self.waiting.is_empty() {
            return Some(effects);
        }
        if self.waiting.is_empty() && self.problem.is_some() {
            return Some(effects);
        }
        self.effects += effects.len();
        match self.waiting.back_mut().filter(|(n, _)| *n == self.submitted) {
            Some((_, waiting)) => {
                waiting.effects.extend(effects);
                waiting.before.extend(before);
            }
            None => self.waiting.push_back((self.submitted, Waiting { effects, before, answers: Vec::new() })),
        }
        None
    }

    /// Holds an answer with what was held last; gives it back where nothing is.
    pub(super) fn hold_answer(
        &mut self,
        ask: oneshot::Sender<Answer>,
        answer: Answer,
        before: Before,
    ) -> Option<(oneshot::Sender<Answer>, Answer)> {
        match self.waiting.back_mut() {
            Some((_, waiting)) => {
                waiting.answers.push((ask, answer, before));
                None
            }
            None => Some((ask, answer)),
        }
    }

    fn submit(&mut self, records: Vec<Record>) {
        if let Some((writer, _)) = &self.store {
            self.submitted += 1;
            writer.submit(Batch { n: self.submitted, records });
        }
    }

    /// Waits for what became of records; never ends where none are kept.
    pub(super) async fn next_report(&mut self) -> Option<Report> {
        match &mut self.store {
            Some((_, reports)) => reports.recv().await,
            None => std::future::pending().await,
        }
    }

    /// Says what may leave now, and what is to be taken back.
    pub(super) fn take(&mut self, report: Report) -> Vec<Kept> {
        let (through, failed) = match report {
            Report::Persisted { through } => {
                if self.problem.take().is_some() {
                    info!("records are kept again");
                    // What became other while the disk was tried.
                    let rest = self.owed();
                    if !rest.is_empty() {
                        self.submit(rest);
                    }
                }
                self.retries_at = None;
                (through, false)
            }
            Report::Failed { batches, error } => {
                if self.problem.is_none() {
                    warn!(%error, "nothing can be kept: new publications, subscriptions and bindings are refused");
                }
                self.problem = Some(error.to_string());
                self.retries_at = Some(Clock::now() + RETRY_AFTER);
                let through = batches.last().map_or(0, |batch| batch.n);
                let records: Vec<Record> = batches.into_iter().flat_map(|batch| batch.records).collect();
                // The last one of a key counts; what came later still is there already.
                for record in records.into_iter().rev() {
                    self.unwritten.entry((record.table, record.key)).or_insert(record.value);
                }
                (through, true)
            }
        };
        let mut done = Vec::new();
        while self.waiting.front().is_some_and(|(n, _)| *n <= through)
            && let Some((_, waiting)) = self.waiting.pop_front()
        {
            self.effects -= waiting.effects.len();
            done.push(if failed { Kept::Failed(waiting) } else { Kept::Go(waiting) });
        }
        done
    }

    /// Returns when a disk that failed is tried again.
    pub(super) fn retries_at(&self) -> Option<Instant> {
        self.retries_at
    }

    /// Tries again what is not on disk, if it is time.
    pub(super) fn retry(&mut self, now: Instant) {
        if self.retries_at.is_none_or(|at| now < at) {
            return;
        }
        self.retries_at = None;
        let mut records = self.owed();
        // The disk is asked even if there is nothing that it owes.
        records.push(Record { table: Table::Meta, key: b"tried".to_vec(), value: Some(Vec::new()) });
        self.submit(records);
    }

    /// Takes what is not on disk.
    fn owed(&mut self) -> Vec<Record> {
        let unwritten = std::mem::take(&mut self.unwritten).into_iter();
        unwritten.map(|((table, key), value)| Record { table, key, value }).collect()
    }

    /// Has all written, and gives the file back.
    pub(super) fn finish(self) {
        if let Some((writer, _)) = self.store {
            drop(writer.finish());
        }
    }
}
