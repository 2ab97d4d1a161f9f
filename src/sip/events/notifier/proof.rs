//! Which addresses have proven to be their senders' own (SEC-01, SEC-02).

use std::{
    collections::{HashMap, VecDeque},
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use rand::{RngExt, rngs::StdRng};

use crate::sip::time::Instant;

/// How many unproven subscriptions there may be in all.
const MAX_UNPROVEN: usize = 1000;
/// How many of them from one source address (NOT-27).
const MAX_PER_SOURCE: u32 = 20;
/// For how long an address that answered counts as proven.
const REMEMBERED_FOR: Duration = Duration::from_mins(10);
/// How many such addresses are remembered; the oldest go first.
const MAX_PROVEN: usize = 16_384;

/// A place in the table of unproven subscriptions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unproven {
    place: usize,
    source: IpAddr,
}

impl Unproven {
    /// Moves to the place that another one left.
    pub(super) fn move_to(&mut self, left: Self) {
        self.place = left.place;
    }
}

#[derive(Debug, Default)]
pub(super) struct Proofs {
    /// The unproven subscriptions in no order, so that one at random can be put out.
    table: Vec<u32>,
    per_source: HashMap<IpAddr, u32>,
    proven: HashMap<SocketAddr, Instant>,
    order: VecDeque<(Instant, SocketAddr)>,
}

impl Proofs {
    pub(super) fn unproven_len(&self) -> usize {
        self.table.len()
    }

    /// Returns whether one more may come from `source`.
    pub(super) fn has_room(&self, source: IpAddr) -> bool {
        self.per_source.get(&source).is_none_or(|count| *count < MAX_PER_SOURCE)
    }

    /// Picks who has to go before another unproven one comes.
    pub(super) fn victim(&self, rng: &mut StdRng) -> Option<u32> {
        (self.table.len() >= MAX_UNPROVEN).then(|| self.any(rng)).flatten()
    }

    /// Picks an unproven subscription at random.
    pub(super) fn any(&self, rng: &mut StdRng) -> Option<u32> {
        (!self.table.is_empty()).then(|| self.table[rng.random_range(0..self.table.len())])
    }

    pub(super) fn enter(&mut self, id: u32, source: IpAddr) -> Unproven {
        *self.per_source.entry(source).or_default() += 1;
        self.table.push(id);
        Unproven { place: self.table.len() - 1, source }
    }

    /// Takes one out of the table; returns whose place that is from now on, if another moved there.
    pub(super) fn leave(&mut self, Unproven { place, source }: Unproven) -> Option<u32> {
        if let Some(count) = self.per_source.get_mut(&source) {
            *count -= 1;
            if *count == 0 {
                self.per_source.remove(&source);
            }
        }
        self.table.swap_remove(place);
        self.table.get(place).copied()
    }

    pub(super) fn is_proven(&self, address: SocketAddr, now: Instant) -> bool {
        self.proven.get(&address).is_some_and(|at| now < *at + REMEMBERED_FOR)
    }

    /// Notes that an address answered something that only its owner can have seen.
    pub(super) fn prove(&mut self, address: SocketAddr, now: Instant) {
        // One that answers often takes no more places than one that answers seldom.
        if self.proven.get(&address).is_some_and(|at| now < *at + REMEMBERED_FOR / 2) {
            return;
        }
        self.proven.insert(address, now);
        self.order.push_back((now, address));
        while let Some(&(at, oldest)) = self.order.front() {
            if self.order.len() <= MAX_PROVEN && now < at + REMEMBERED_FOR {
                break;
            }
            self.order.pop_front();
            if self.proven.get(&oldest) == Some(&at) {
                self.proven.remove(&oldest);
            }
        }
    }
}
