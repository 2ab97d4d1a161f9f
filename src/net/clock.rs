//! Time that counts suspend: the clock that the core is told, and a timer that waits on it (SEC-20).
//!
//! `std::time::Instant` and tokio's timers stand still while a laptop sleeps; by them a state of yesterday
//! would look fresh. Everything that the core times is therefore read from `CLOCK_BOOTTIME`, and waited for on
//! a timerfd of that clock. Short limits of one system call may use tokio's timers.

use std::{
    future, io,
    os::fd::{AsFd, AsRawFd, OwnedFd, RawFd},
    time::Duration,
};

use nix::{
    errno::Errno,
    sys::{
        time::TimeSpec,
        timerfd::{ClockId as TimerClock, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags},
    },
    time::{ClockId, clock_gettime},
};
use tokio::io::{Interest, unix::AsyncFd};

use super::reactor;
use crate::sip::time::Instant;

/// A reading of `CLOCK_BOOTTIME` and the memory of how far it ran ahead of `CLOCK_MONOTONIC`.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    asleep: Duration,
}

impl Clock {
    /// Starts to count suspended time from now on.
    pub fn new() -> Self {
        Self { asleep: asleep() }
    }

    /// Returns the time since the machine started, suspend included.
    pub fn now() -> Instant {
        Instant::from_origin(read(ClockId::CLOCK_BOOTTIME))
    }

    /// Returns how long the machine slept since the last call, or since [`new`](Self::new).
    ///
    /// Awake, this is zero give or take the microseconds between two readings.
    pub fn suspended(&mut self) -> Duration {
        let asleep = asleep();
        let gained = asleep.saturating_sub(self.asleep);
        self.asleep = asleep;
        gained
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

/// A timer on `CLOCK_BOOTTIME`: due after a suspend if its time passed meanwhile.
#[derive(Debug)]
pub struct Sleeper {
    timer: AsyncFd<Timer>,
    armed: Option<Instant>,
}

impl Sleeper {
    /// Makes a timer in the runtime that runs the caller.
    pub fn new() -> io::Result<Self> {
        let timer = TimerFd::new(TimerClock::CLOCK_BOOTTIME, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)?;
        Ok(Self { timer: reactor::register(Timer(timer), Interest::READABLE)?, armed: None })
    }

    /// Waits until `at`: for ever if there is none, not at all if it has passed.
    ///
    /// Cancel-safe: a dropped wait leaves nothing behind that a later one could mistake for its own end.
    /// Asking again for the same instant costs no system call.
    pub async fn until(&mut self, at: Option<Instant>) -> io::Result<()> {
        let Some(at) = at else { return future::pending().await };
        if at <= Clock::now() {
            return Ok(());
        }
        if self.armed != Some(at) {
            // Arming also forgets an expiration that nobody fetched.
            let when = Expiration::OneShot(TimeSpec::from_duration(at.since_origin()));
            self.timer.get_ref().0.set(when, TimerSetTimeFlags::TFD_TIMER_ABSTIME)?;
            self.armed = Some(at);
        }
        loop {
            let mut ready = self.timer.readable().await?;
            match ready.try_io(|timer| timer.get_ref().0.wait().map_err(io::Error::from)) {
                Ok(fetched) => {
                    self.armed = None;
                    return fetched;
                }
                Err(_would_block) => {}
            }
        }
    }
}

/// A timer on the wall clock, which also ends when somebody sets that clock.
#[derive(Debug)]
pub struct WallSleeper {
    timer: AsyncFd<Timer>,
}

impl WallSleeper {
    /// Makes a timer in the runtime that runs the caller.
    pub fn new() -> io::Result<Self> {
        let timer = TimerFd::new(TimerClock::CLOCK_REALTIME, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)?;
        Ok(Self { timer: reactor::register(Timer(timer), Interest::READABLE)? })
    }

    /// Waits until the wall clock shows `at`, given as the time since 1970, or is set; without a time only for
    /// the latter. Cancel-safe.
    pub async fn until(&mut self, at: Option<Duration>) -> io::Result<()> {
        // A time that no clock reaches, for the timer is told of a clock that is set only while it runs.
        let at = TimeSpec::from_duration(at.unwrap_or(Duration::from_hours(24 * 365 * 200)));
        let how = TimerSetTimeFlags::TFD_TIMER_ABSTIME | TimerSetTimeFlags::TFD_TIMER_CANCEL_ON_SET;
        // A clock that was set since the last time is told by the call that arms the timer anew.
        match self.timer.get_ref().0.set(Expiration::OneShot(at), how) {
            Err(Errno::ECANCELED) => return Ok(()),
            armed => armed?,
        }
        loop {
            let mut ready = self.timer.readable().await?;
            match ready.try_io(|timer| timer.get_ref().0.wait().map_err(io::Error::from)) {
                Ok(Err(error)) if error.raw_os_error() == Some(Errno::ECANCELED as i32) => return Ok(()),
                Ok(fetched) => return fetched,
                Err(_would_block) => {}
            }
        }
    }
}

#[derive(Debug)]
struct Timer(TimerFd);

impl AsRawFd for Timer {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl From<Timer> for OwnedFd {
    fn from(timer: Timer) -> Self {
        timer.0.into()
    }
}

fn asleep() -> Duration {
    // In this order a delay between the readings can only hide a microsecond of sleep, never invent some.
    let boot = read(ClockId::CLOCK_BOOTTIME);
    boot.saturating_sub(read(ClockId::CLOCK_MONOTONIC))
}

fn read(clock: ClockId) -> Duration {
    match clock_gettime(clock) {
        Ok(time) => time.into(),
        // Both clocks are older than any Rust target; only a sandbox that filters system calls can refuse.
        Err(error) => panic!("the kernel refused to read its clock: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_sleeper_ends_no_earlier_than_asked() {
        let mut sleeper = Sleeper::new().unwrap();
        for ms in [20, 1, 5] {
            let at = Clock::now() + Duration::from_millis(ms);
            sleeper.until(Some(at)).await.unwrap();
            assert!(Clock::now() >= at);
        }
    }

    #[tokio::test]
    async fn a_past_instant_ends_at_once_and_none_never() {
        let mut sleeper = Sleeper::new().unwrap();
        sleeper.until(Some(Instant::from_origin(Duration::ZERO))).await.unwrap();
        let never = tokio::time::timeout(Duration::from_millis(20), sleeper.until(None)).await;
        assert!(never.is_err());
    }

    #[tokio::test]
    async fn a_dropped_wait_does_not_end_the_next_one() {
        let mut sleeper = Sleeper::new().unwrap();
        let soon = Clock::now() + Duration::from_millis(10);
        tokio::select! {
            biased;
            _ = sleeper.until(Some(soon)) => panic!("ended before it was due"),
            () = future::ready(()) => {}
        }
        std::thread::sleep(Duration::from_millis(20));
        let later = Clock::now() + Duration::from_millis(30);
        sleeper.until(Some(later)).await.unwrap();
        assert!(Clock::now() >= later);
    }

    #[tokio::test]
    async fn an_earlier_instant_replaces_a_later_one() {
        let mut sleeper = Sleeper::new().unwrap();
        let far = Clock::now() + Duration::from_hours(1);
        assert!(tokio::time::timeout(Duration::from_millis(5), sleeper.until(Some(far))).await.is_err());
        let near = Clock::now() + Duration::from_millis(5);
        tokio::time::timeout(Duration::from_secs(5), sleeper.until(Some(near))).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn the_wall_clock_is_waited_for_and_a_time_that_has_passed_is_not() {
        let since_1970 = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let mut sleeper = WallSleeper::new().unwrap();
        let at = since_1970() + Duration::from_millis(20);
        sleeper.until(Some(at)).await.unwrap();
        assert!(since_1970() >= at);
        sleeper.until(Some(Duration::from_secs(1))).await.unwrap();
        let never = tokio::time::timeout(Duration::from_millis(20), sleeper.until(None)).await;
        assert!(never.is_err());
    }

    #[test]
    fn sec_20_a_machine_that_stays_awake_gains_nothing() {
        let mut clock = Clock::new();
        let before = Clock::now();
        std::thread::sleep(Duration::from_millis(5));
        assert!(Clock::now().since(before) >= Duration::from_millis(5));
        assert!(clock.suspended() < Duration::from_secs(1));
    }

    #[test]
    fn sec_20_what_boottime_gained_is_reported_once() {
        let mut clock = Clock { asleep: asleep().saturating_sub(Duration::from_secs(8)) };
        if asleep() < Duration::from_secs(8) {
            // A machine that never slept cannot be shown to have slept less.
            return;
        }
        assert!(clock.suspended() > Duration::from_secs(5));
        assert!(clock.suspended() < Duration::from_secs(1));
    }
}
