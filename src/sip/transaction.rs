//! The non-INVITE transaction machines of RFC 3261 §17.1.2 and §17.2.2, as values.
//!
//! They know when to resend and when to give up; [`endpoint`](super::endpoint) owns their bytes, matches
//! messages to them and arms their timers.

use std::time::Duration;

use super::time::Instant;

/// The base timers of RFC 3261 §17.1.1.1; settable so that failures can be tried quickly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Estimate of a round trip: 500 ms.
    pub t1: Duration,
    /// Longest pause between two resends: 4 s.
    pub t2: Duration,
    /// How long a message may stay in the network: 5 s.
    pub t4: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self { t1: Duration::from_millis(500), t2: Duration::from_secs(4), t4: Duration::from_secs(5) }
    }
}

impl Timing {
    /// Returns 64·T1, the length of timers F, J and N.
    pub fn transaction(&self) -> Duration {
        self.t1 * 64
    }
}

/// How often a request may be sent again over UDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resends {
    /// As RFC 3261 says.
    Normal,
    /// At most so many times, towards an address that has proven nothing yet.
    AtMost(u8),
}

/// What is due on a client transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientTimer {
    /// Timer E: send the same bytes again.
    Resend,
    /// Timer F: nobody answered.
    TimedOut,
    /// Timer K: the transaction can be forgotten.
    Finished,
}

/// A client transaction that is on the wire.
#[derive(Clone, Copy, Debug)]
pub struct ClientTransaction {
    phase: ClientPhase,
}

#[derive(Clone, Copy, Debug)]
enum ClientPhase {
    /// Trying, or Proceeding once a provisional response came.
    Calling {
        proceeding: bool,
        resend_at: Option<Instant>,
        interval: Duration,
        left: Resends,
        fail_at: Instant,
        /// When silence is taken for absence, where there is somewhere else to go.
        silent_until: Option<Instant>,
    },
    /// A final response was delivered; repetitions are swallowed until Timer K.
    Completed { until: Instant },
}

impl ClientTransaction {
    /// Starts the machine at the moment its request was sent.
    pub fn start(stream: bool, resends: Resends, timing: &Timing, now: Instant) -> Self {
        let resend_at = (!stream && resends != Resends::AtMost(0)).then(|| now + timing.t1);
        let fail_at = now + timing.transaction();
        Self {
            phase: ClientPhase::Calling {
                proceeding: false,
                resend_at,
                interval: timing.t1,
                left: resends,
                fail_at,
                silent_until: None,
            },
        }
    }

    /// Makes it time out already at `until`, unless anything at all was heard by then.
    #[must_use]
    pub fn heard_until(mut self, until: Instant) -> Self {
        if let ClientPhase::Calling { silent_until, .. } = &mut self.phase {
            *silent_until = Some(until);
        }
        self
    }

    /// Returns when [`on_timer`](Self::on_timer) has something to do.
    pub fn deadline(&self) -> Instant {
        match self.phase {
            ClientPhase::Calling { resend_at, fail_at, silent_until, .. } => {
                [resend_at, silent_until].into_iter().flatten().fold(fail_at, std::cmp::min)
            }
            ClientPhase::Completed { until } => until,
        }
    }

    /// Returns what is due; to be called at the deadline.
    pub fn on_timer(&mut self, timing: &Timing, now: Instant) -> Option<ClientTimer> {
        match &mut self.phase {
            ClientPhase::Calling { fail_at, silent_until, .. } if now >= silent_until.unwrap_or(*fail_at) => {
                Some(ClientTimer::TimedOut)
            }
            ClientPhase::Calling { proceeding, resend_at, interval, left, .. } => {
                let due = resend_at.filter(|at| now >= *at)?;
                *interval = if *proceeding { timing.t2 } else { (*interval * 2).min(timing.t2) };
                if let Resends::AtMost(n) = left {
                    *n -= 1;
                }
                // The next pause counts from when this resend was due, so that a late tick does not stretch
                // the ladder; after a sleep it starts anew.
                let from = if now.since(due) > timing.t1 { now } else { due };
                *resend_at = (*left != Resends::AtMost(0)).then(|| from + *interval);
                Some(ClientTimer::Resend)
            }
            ClientPhase::Completed { until } => (now >= *until).then_some(ClientTimer::Finished),
        }
    }

    /// Takes a response; returns whether its reader is to see it, which is so once for a final one.
    pub fn on_response(&mut self, code: u16, stream: bool, timing: &Timing, now: Instant) -> bool {
        match &mut self.phase {
            // §17.1.2.2: the resend that is planned still goes; those after it are T2 apart.
            ClientPhase::Calling { proceeding, silent_until, .. } if code < 200 => {
                *proceeding = true;
                *silent_until = None;
                true
            }
            ClientPhase::Calling { .. } => {
                let after = if stream { Duration::ZERO } else { timing.t4 };
                self.phase = ClientPhase::Completed { until: now + after };
                true
            }
            ClientPhase::Completed { .. } => false,
        }
    }

    /// Returns whether a final response was delivered.
    pub fn is_completed(&self) -> bool {
        matches!(self.phase, ClientPhase::Completed { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMING: Timing =
        Timing { t1: Duration::from_millis(500), t2: Duration::from_secs(4), t4: Duration::from_secs(5) };

    fn ladder(mut transaction: ClientTransaction, until_ms: u64) -> (Vec<u128>, Option<u128>) {
        let (mut sends, mut now) = (vec![0], Instant::default());
        loop {
            now = transaction.deadline().max(now);
            let ms = now.since_origin().as_millis();
            if ms > u128::from(until_ms) {
                return (sends, None);
            }
            match transaction.on_timer(&TIMING, now) {
                Some(ClientTimer::Resend) => sends.push(ms),
                Some(_) => return (sends, Some(ms)),
                None => {}
            }
        }
    }

    #[test]
    fn txn_01_and_03_udp_resends_double_up_to_t2_and_end_at_64_t1() {
        let start = ClientTransaction::start(false, Resends::Normal, &TIMING, Instant::default());
        let (sends, end) = ladder(start, 60_000);
        assert_eq!(sends, [0, 500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500]);
        assert_eq!(end, Some(32_000));
    }

    #[test]
    fn txn_02_after_a_provisional_response_resends_are_t2_apart() {
        let mut transaction = ClientTransaction::start(false, Resends::Normal, &TIMING, Instant::default());
        let second = Instant::from_origin(Duration::from_secs(1));
        transaction.on_timer(&TIMING, Instant::from_origin(Duration::from_millis(500)));
        assert!(transaction.on_response(100, false, &TIMING, second));
        let (sends, end) = ladder(transaction, 60_000);
        assert_eq!(sends, [0, 1500, 5500, 9500, 13_500, 17_500, 21_500, 25_500, 29_500]);
        assert_eq!(end, Some(32_000));
    }

    #[test]
    fn txn_04_a_stream_never_resends_but_still_times_out() {
        let start = ClientTransaction::start(true, Resends::Normal, &TIMING, Instant::default());
        assert_eq!(ladder(start, 60_000), (vec![0], Some(32_000)));
    }

    #[test]
    fn txn_05_a_repeated_final_response_is_swallowed_until_timer_k() {
        let mut transaction = ClientTransaction::start(false, Resends::Normal, &TIMING, Instant::default());
        let now = Instant::from_origin(Duration::from_millis(100));
        assert!(transaction.on_response(200, false, &TIMING, now));
        assert!(!transaction.on_response(200, false, &TIMING, now));
        assert_eq!(transaction.deadline(), now + TIMING.t4);
        assert_eq!(transaction.on_timer(&TIMING, now + TIMING.t4), Some(ClientTimer::Finished));
    }

    #[test]
    fn an_unproven_address_gets_at_most_the_allowed_resends() {
        for (allowed, expected) in [(0, vec![0]), (1, vec![0, 500])] {
            let start = ClientTransaction::start(false, Resends::AtMost(allowed), &TIMING, Instant::default());
            assert_eq!(ladder(start, 60_000), (expected, Some(32_000)));
        }
    }
}
