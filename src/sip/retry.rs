//! When to try again: growing pauses, jitter, and a guard against storms (WAT-06, WAT-36, WAT-47, TRN-26).
//!
//! Whoever keeps something alive at another side shares it: subscriptions, publications, registrations.

use std::time::Duration;

use rand::{RngExt, rngs::StdRng};

use crate::sip::time::Instant;

/// The first pause after a failure.
pub(in crate::sip) const FIRST: Duration = Duration::from_secs(5);
/// An attempt before its time is made at most that often (WAT-47).
pub(in crate::sip) const EARLY_EVERY: Duration = Duration::from_secs(10);
/// So many attempts at once are granted in any [`STORM_WINDOW`].
const STORM_FREE: usize = 3;
/// See [`STORM_FREE`].
const STORM_WINDOW: Duration = Duration::from_mins(1);

/// The first pause before a flow that failed is formed anew, where we have no other (RFC 5626 §4.5).
const FLOW_FIRST: Duration = Duration::from_secs(30);
/// The longest such pause.
const FLOW_CAP: Duration = Duration::from_mins(30);

/// The failures of one subscription, publication or registration in a row.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::sip) struct Backoff {
    failures: u32,
    /// The last attempts made at once, the oldest first.
    at_once: [Option<Instant>; STORM_FREE],
}

impl Backoff {
    /// Returns the next pause: 5 s × 2ⁿ within `cap`, give or take a fifth.
    pub(in crate::sip) fn next(&mut self, cap: Duration, rng: &mut StdRng) -> Duration {
        let pause = FIRST.saturating_mul(1 << self.failures.min(20)).min(cap);
        self.failures = self.failures.saturating_add(1);
        pause.mul_f64(rng.random_range(0.8..=1.2)).min(cap)
    }

    /// Returns the next pause before a flow is formed anew: half to all of 30 s × 2ⁿ, where n is how often that failed
    /// in a row, and at least `failures` (RFC 5626 §4.5).
    fn next_flow(&mut self, failures: u32, rng: &mut StdRng) -> Duration {
        let failures = self.failures.max(failures);
        self.failures = failures.saturating_add(1);
        let longest = FLOW_FIRST.saturating_mul(1 << failures.min(20)).min(FLOW_CAP);
        longest.mul_f64(rng.random_range(0.5..=1.0))
    }

    /// Forgets the failures: what was wanted stands.
    pub(in crate::sip) fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// Returns whether one more attempt at once is no storm.
    pub(in crate::sip) fn may_go_at_once(&mut self, now: Instant) -> bool {
        let free = self.at_once[0].is_none_or(|oldest| now >= oldest + STORM_WINDOW);
        if free {
            self.at_once.rotate_left(1);
            self.at_once[STORM_FREE - 1] = Some(now);
        }
        free
    }
}

/// Draws a pause up to `within`.
pub(in crate::sip) fn spread(rng: &mut StdRng, within: Duration) -> Duration {
    within.mul_f64(rng.random_range(0.0..1.0))
}

/// Returns after how long to refresh what was granted for so many seconds: at the earlier of 90 % and 32 s
/// before the end, but not before half of it; jitter only makes it earlier (WAT-06).
pub(in crate::sip) fn refresh_after(granted: u32, rng: &mut StdRng) -> Duration {
    let granted = f64::from(granted);
    let latest = (granted * 0.9).min(granted - 32.0).max(granted * 0.5);
    let jittered = latest * rng.random_range(0.95..=1.0);
    Duration::from_secs_f64(jittered.max(granted * 0.5))
}

/// When the next request may go to a server that failed us, or is asked often enough.
#[derive(Debug, Default)]
pub(in crate::sip) struct Gate {
    backoff: Backoff,
    opens_at: Option<Instant>,
    /// The server's own word, which nothing overrules.
    not_before: Option<Instant>,
    early_at: Option<Instant>,
}

impl Gate {
    /// Returns when it opens, if it is shut.
    pub(in crate::sip) fn opens_at(&self) -> Option<Instant> {
        self.opens_at
    }

    /// Shuts it after a failure, until the moment that is returned.
    pub(in crate::sip) fn failed(
        &mut self,
        not_before: Option<Instant>,
        cap: Duration,
        now: Instant,
        rng: &mut StdRng,
    ) -> Instant {
        let pause = self.backoff.next(cap, rng);
        self.shut(pause, not_before, now)
    }

    /// Shuts it after the flow failed that all goes by, or an attempt to form one, for so long that at least so many
    /// `failures` count.
    pub(in crate::sip) fn flow_failed(
        &mut self,
        failures: u32,
        not_before: Option<Instant>,
        now: Instant,
        rng: &mut StdRng,
    ) -> Instant {
        let pause = self.backoff.next_flow(failures, rng);
        self.shut(pause, not_before, now)
    }

    fn shut(&mut self, pause: Duration, not_before: Option<Instant>, now: Instant) -> Instant {
        let at = (now + pause).max(not_before.unwrap_or(now));
        (self.opens_at, self.not_before) = (Some(at), not_before);
        at
    }

    /// Opens it after a success. Who is granted next to nothing does not ask again and again.
    pub(in crate::sip) fn succeeded(&mut self, granted: u32, now: Instant) {
        self.backoff.succeeded();
        self.not_before = None;
        self.opens_at = (Duration::from_secs(granted.into()) < FIRST * 2).then(|| now + FIRST);
    }

    /// Returns whether one more attempt at once is no storm.
    pub(in crate::sip) fn may_go_at_once(&mut self, now: Instant) -> bool {
        self.backoff.may_go_at_once(now)
    }

    /// The world has changed: it opens at `at`, unless the server forbade that.
    pub(in crate::sip) fn anew(&mut self, at: Instant) {
        self.opens_at = Some(self.not_before.map_or(at, |forbidden| forbidden.max(at)));
    }

    /// There is something new to say: it opens now, unless the server forbade that or it did so just before.
    pub(in crate::sip) fn early(&mut self, now: Instant) {
        let forbidden = self.not_before.is_some_and(|at| now < at);
        let too_soon = self.early_at.is_some_and(|at| now < at + EARLY_EVERY);
        if self.backoff.failures > 0 && !forbidden && !too_soon && self.opens_at.is_some_and(|at| now < at) {
            (self.opens_at, self.early_at) = (Some(now), Some(now));
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn wat_06_a_refresh_lies_between_half_and_the_earlier_of_90_percent_and_32_seconds_before_the_end() {
        let mut rng = StdRng::seed_from_u64(1);
        for granted in [1, 10, 40, 60, 300, 600, 3600, 604_800] {
            for _ in 0..100 {
                let after = refresh_after(granted, &mut rng).as_secs_f64();
                let whole = f64::from(granted);
                assert!(after >= whole * 0.5 - 1e-6, "{granted}: {after}");
                assert!(after <= (whole * 0.9).min((whole - 32.0).max(whole * 0.5)) + 1e-6, "{granted}: {after}");
            }
        }
    }

    #[test]
    fn wat_47_pauses_double_from_five_seconds_up_to_the_cap() {
        let (mut rng, mut backoff) = (StdRng::seed_from_u64(1), Backoff::default());
        let cap = Duration::from_mins(2);
        for expected in [5.0, 10.0, 20.0, 40.0, 80.0, 120.0, 120.0] {
            let pause = backoff.next(cap, &mut rng).as_secs_f64();
            assert!((expected * 0.8..=expected * 1.2).contains(&pause) && pause <= 120.0, "{pause} for {expected}");
        }
        backoff.succeeded();
        assert!(backoff.next(cap, &mut rng) <= Duration::from_secs(6));
    }

    #[test]
    fn trn_26_a_lost_flow_waits_15_to_30_seconds_and_each_failure_doubles_that_up_to_half_an_hour() {
        let (mut rng, mut backoff) = (StdRng::seed_from_u64(1), Backoff::default());
        for longest in [30.0, 60.0, 120.0, 240.0, 480.0, 960.0, 1800.0, 1800.0] {
            let pause = backoff.next_flow(0, &mut rng).as_secs_f64();
            assert!((longest * 0.5..=longest).contains(&pause), "{pause} for {longest}");
        }
        backoff.succeeded();
        let first: Vec<_> = (0..100)
            .map(|_| {
                backoff.succeeded();
                backoff.next_flow(1, &mut rng).as_secs_f64()
            })
            .collect();
        assert!(first.iter().all(|pause| (30.0..=60.0).contains(pause)), "{first:?}");
        let mean = first.iter().sum::<f64>() / 100.0;
        assert!((42.0..48.0).contains(&mean), "{mean}");
    }
}
