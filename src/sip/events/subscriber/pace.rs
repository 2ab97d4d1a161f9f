//! How fast subscriptions are made: many at once are a storm for whoever serves them (design: subscribing to many).

use std::time::Duration;

use crate::sip::time::Instant;

/// How many seconds' worth may go at once, after a quiet time.
const BURST: u32 = 2;

/// Gives out the moments at which a SUBSCRIBE outside a dialog may go: a few at once, then evenly spaced.
///
/// Each moment is given out once, so nobody has to queue: whoever has one waits for it alone.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    /// The time between two; none sets no limit.
    every: Duration,
    /// When the next one would go if there were no bursts.
    next: Option<Instant>,
}

impl Pace {
    /// Makes a pace of so many a second; zero sets no limit.
    pub(super) fn a_second(rate: u32) -> Self {
        let every = Duration::from_secs(1).checked_div(rate).unwrap_or_default();
        Self { every, next: None }
    }

    /// Takes the next moment: now, if that is soon enough.
    pub(super) fn take(&mut self, now: Instant) -> Instant {
        if self.every.is_zero() {
            return now;
        }
        let even = self.next.map_or(now, |next| next.max(now));
        self.next = Some(even + self.every);
        // The first of a burst goes now, and so does each that the burst has room for.
        let ahead = Duration::from_secs(BURST.into());
        if even.since(now) < ahead { now } else { even - ahead + self.every }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twenty_go_at_once_and_then_ten_a_second() {
        let (mut pace, start) = (Pace::a_second(10), Instant::default() + Duration::from_hours(1));
        let at: Vec<u128> = (0..60).map(|_| pace.take(start).since(start).as_millis()).collect();
        assert_eq!(at[..20], [0; 20]);
        assert_eq!(at[20..], (1..=40).map(|n| n * 100).collect::<Vec<_>>());
        // Whoever comes later finds the same order, and after a quiet time the burst is there again.
        let later = start + Duration::from_secs(2);
        assert_eq!(pace.take(later).since(start).as_millis(), 4100);
        let quiet = start + Duration::from_mins(1);
        assert_eq!((0..20).filter(|_| pace.take(quiet) == quiet).count(), 20);
        assert!(pace.take(quiet) > quiet);
    }

    #[test]
    fn without_a_rate_everybody_goes_at_once() {
        let mut pace = Pace::default();
        assert!((0..1000).all(|_| pace.take(Instant::default()) == Instant::default()));
        let mut slow = Pace::a_second(1);
        let at: Vec<u64> = (0..4).map(|_| slow.take(Instant::default()).since(Instant::default()).as_secs()).collect();
        assert_eq!(at, [0, 0, 1, 2]);
    }
}
