//! Time as the core knows it: a value that the driver hands in.

use std::{
    collections::BTreeSet,
    fmt,
    num::NonZeroU64,
    ops::{Add, Sub},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};

/// A point on a clock that counts suspend (`CLOCK_BOOTTIME`), to the nanosecond; only differences mean anything.
///
/// There are many of them in each subscription: one takes eight bytes, and no more where there may be none. The clock reaches
/// 584 years from its origin, and what would lie beyond is its end.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(NonZeroU64);

impl Instant {
    /// Makes an instant from the time since the clock's origin.
    pub fn from_origin(since: Duration) -> Self {
        Self(NonZeroU64::MIN.saturating_add(nanos(since)))
    }

    /// Returns the time since the clock's origin.
    pub const fn since_origin(self) -> Duration {
        Duration::from_nanos(self.0.get() - 1)
    }

    /// Returns how long ago `earlier` was, or zero if it lies ahead.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.get().saturating_sub(earlier.0.get()))
    }
}

impl Default for Instant {
    fn default() -> Self {
        Self(NonZeroU64::MIN)
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Instant").field(&self.since_origin()).finish()
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, after: Duration) -> Self {
        Self(self.0.saturating_add(nanos(after)))
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;

    fn sub(self, before: Duration) -> Self {
        Self(NonZeroU64::new(self.0.get().saturating_sub(nanos(before))).unwrap_or(NonZeroU64::MIN))
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Returns the time of day of an instant to come.
pub(super) fn wall_of(at: Instant, now: Instant, wall: Timestamp) -> Timestamp {
    let ahead = SignedDuration::try_from(at.since(now)).unwrap_or(SignedDuration::ZERO);
    wall.checked_add(ahead).unwrap_or(wall)
}

/// An ordered queue of timers, at most one for each key; every operation costs O(log n).
///
/// The owner of a key keeps no timer state of its own beyond the instant that [`set`](Self::set) returned
/// through its `slot`, so a timer can be moved or cancelled without a search.
#[derive(Debug)]
pub struct Timers<K> {
    queue: BTreeSet<(Instant, K)>,
}

impl<K> Default for Timers<K> {
    fn default() -> Self {
        Self { queue: BTreeSet::new() }
    }
}

impl<K: Ord + Copy> Timers<K> {
    /// Arms the timer of `key` for `at`, moving it when `slot` says that it is armed already.
    pub fn set(&mut self, slot: &mut Option<Instant>, key: K, at: Instant) {
        if *slot == Some(at) {
            return;
        }
        self.cancel(slot, key);
        self.queue.insert((at, key));
        *slot = Some(at);
    }

    /// Disarms the timer of `key`.
    pub fn cancel(&mut self, slot: &mut Option<Instant>, key: K) {
        if let Some(at) = slot.take() {
            self.queue.remove(&(at, key));
        }
    }

    /// Takes the earliest timer that is due at `now`; its owner must clear the slot.
    pub fn pop(&mut self, now: Instant) -> Option<K> {
        let (at, _) = self.queue.first()?;
        if *at > now {
            return None;
        }
        self.queue.pop_first().map(|(_, key)| key)
    }

    /// Returns when the next timer is due.
    pub fn deadline(&self) -> Option<Instant> {
        self.queue.first().map(|(at, _)| *at)
    }

    /// Returns how many timers are armed.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Returns whether no timer is armed.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::from_origin(Duration::from_millis(ms))
    }

    #[test]
    fn an_instant_is_small_and_ends_where_the_clock_does() {
        assert_eq!(size_of::<Option<Instant>>(), 8);
        assert_eq!(Instant::default(), Instant::from_origin(Duration::ZERO));
        let later = at(5) + Duration::from_millis(3);
        assert_eq!((later.since(at(5)), at(5).since(later)), (Duration::from_millis(3), Duration::ZERO));
        assert_eq!(later - Duration::from_millis(3), at(5));
        assert_eq!(later.since_origin(), Duration::from_millis(8));
        assert_eq!(at(5) - Duration::from_secs(1), Instant::default());
        let end = at(5) + Duration::MAX;
        assert_eq!((end + Duration::from_secs(1), Instant::from_origin(Duration::MAX)), (end, end));
    }

    #[test]
    fn timers_fire_in_order_and_only_when_due() {
        let (mut timers, mut a, mut b) = (Timers::default(), None, None);
        timers.set(&mut a, 1, at(20));
        timers.set(&mut b, 2, at(10));
        assert_eq!(timers.deadline(), Some(at(10)));
        assert_eq!(timers.pop(at(9)), None);
        assert_eq!(timers.pop(at(30)), Some(2));
        assert_eq!(timers.pop(at(30)), Some(1));
        assert_eq!(timers.pop(at(30)), None);
    }

    #[test]
    fn a_moved_timer_fires_once() {
        let (mut timers, mut slot) = (Timers::default(), None);
        timers.set(&mut slot, 1, at(10));
        timers.set(&mut slot, 1, at(40));
        assert_eq!(timers.pop(at(20)), None);
        assert_eq!(timers.pop(at(40)), Some(1));
        assert!(timers.is_empty());
    }
}
