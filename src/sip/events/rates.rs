//! How often a watcher is told (RFC 6446): what it asks for, and what that makes of our own pace.
//!
//! Our own pace bounds both: nobody is told more often than that, and a watcher that asks for more is told what it gets.

use std::{
    collections::VecDeque,
    fmt::{self, Write as _},
    num::NonZeroU64,
    str::FromStr,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::sip::{header::Params, time::Instant};

/// In how many parts of a second's notification a rate is counted: as fine as can be written (§10).
const UNITS: u64 = 10_000_000_000;
/// The shortest rolling period of an adaptive rate.
const PERIOD: Duration = Duration::from_mins(1);
/// How many notifications of the rolling period are remembered; more make no difference at our pace.
const REMEMBERED: usize = 64;

/// Notifications a second; never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Rate(NonZeroU64);

/// A rate that cannot be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a rate is a decimal number of notifications a second, above 0 and below 100")]
pub struct RateError;

impl Rate {
    /// Returns the rate of one notification in this time; of the fastest if that is too short to be written.
    pub fn once_in(pause: Duration) -> Self {
        let nanos = pause.as_nanos().max(1);
        let units = (u128::from(UNITS) * 1_000_000_000 / nanos).clamp(1, u128::from(100 * UNITS - 1));
        Self(u64::try_from(units).ok().and_then(NonZeroU64::new).unwrap_or(NonZeroU64::MIN))
    }

    /// Returns the time between two notifications, at most the longest subscription.
    pub fn pause(self) -> Duration {
        let nanos = u128::from(UNITS) * 1_000_000_000 / u128::from(self.0.get());
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)).min(super::seconds(super::MAX_EXPIRES))
    }

    fn a_second(self) -> f64 {
        #[allow(clippy::cast_precision_loss, reason = "below 2^40")]
        let (units, one) = (self.0.get() as f64, UNITS as f64);
        units / one
    }
}

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |text: &str, most| (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole, 2) || !digits(part, 10) {
            return Err(RateError);
        }
        let read = |text: &str| text.parse::<u64>().map_err(|_| RateError);
        let units = read(whole)? * UNITS + read(&format!("{part:0<10}"))?;
        NonZeroU64::new(units).map(Self).ok_or(RateError)
    }
}

impl TryFrom<String> for Rate {
    type Error = RateError;

    fn try_from(text: String) -> Result<Self, RateError> {
        text.parse()
    }
}

impl From<Rate> for String {
    fn from(rate: Rate) -> Self {
        rate.to_string()
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0.get() / UNITS, format!("{:010}", self.0.get() % UNITS));
        match part.trim_end_matches('0') {
            "" => write!(f, "{whole}"),
            part => write!(f, "{whole}.{part}"),
        }
    }
}

/// The rates of one subscription, as asked for or as in force.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rates {
    /// Not more often (§5).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<Rate>,
    /// Not more seldom, though nothing changed (§6).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<Rate>,
    /// Not more seldom on average (§7).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adaptive_min: Option<Rate>,
}

impl Rates {
    /// Reads the parameters of an Event or a Subscription-State; one that cannot be read is none.
    pub fn of(params: &Params<'_>) -> Self {
        let read = |name| params.get(name).and_then(|value| value.parse().ok());
        Self { max: read("max-rate"), min: read("min-rate"), adaptive_min: read("adaptive-min-rate") }
    }

    /// Returns whether nothing is asked for.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Returns what is in force where nobody is told more often than once in `pace`: the highest rate is the lower of
    /// both, and no other is above it.
    #[must_use]
    pub fn in_force(self, pace: Duration) -> Self {
        let ours = Rate::once_in(pace);
        let top = self.max.map_or(ours, |max| max.min(ours));
        let below = |rate: Option<Rate>| rate.map(|rate| rate.min(top));
        Self { max: self.max.map(|_| top), min: below(self.min), adaptive_min: below(self.adaptive_min) }
    }

    /// Writes them as parameters of a header.
    pub fn write(&self, out: &mut String) {
        for (name, rate) in [("max-rate", self.max), ("min-rate", self.min), ("adaptive-min-rate", self.adaptive_min)] {
            if let Some(rate) = rate {
                let _ = write!(out, ";{name}={rate}");
            }
        }
    }
}

impl fmt::Display for Rates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = String::new();
        self.write(&mut out);
        f.write_str(&out)
    }
}

/// The pace of one watcher who asked for one.
#[derive(Debug)]
pub(super) struct Pace {
    /// As in force.
    pub(super) rates: Rates,
    /// When it was told what, the last one last.
    told: VecDeque<Instant>,
}

impl Pace {
    pub(super) fn new(asked: Rates, ours: Duration) -> Self {
        Self { rates: asked.in_force(ours), told: VecDeque::new() }
    }

    /// Takes other rates; what was told before goes on to count.
    pub(super) fn ask(&mut self, asked: Rates, ours: Duration) {
        self.rates = asked.in_force(ours);
    }

    /// Notes that a NOTIFY goes.
    pub(super) fn tell(&mut self, now: Instant) {
        if self.told.len() == REMEMBERED {
            self.told.pop_front();
        }
        self.told.push_back(now);
    }

    /// Until when a change has to wait.
    pub(super) fn held_until(&self) -> Option<Instant> {
        Some(*self.told.back()? + self.rates.max?.pause())
    }

    /// When the state is told again though nothing changed.
    pub(super) fn repeat_at(&self) -> Option<Instant> {
        let last = *self.told.back()?;
        let fixed = self.rates.min.map(|rate| last + rate.pause());
        let adaptive = self.rates.adaptive_min.map(|rate| last + self.timeout(rate, last));
        [fixed, adaptive].into_iter().flatten().min().map(|at| self.held_until().map_or(at, |held| held.max(at)))
    }

    /// §7.3: the more was told of late, the longer nothing need be told.
    fn timeout(&self, rate: Rate, last: Instant) -> Duration {
        let period = PERIOD.max(rate.pause().saturating_mul(4)).min(rate.pause().saturating_mul(REMEMBERED as u32));
        let count = self.told.iter().filter(|at| last.since(**at) < period).count();
        let a_second = rate.a_second();
        #[allow(clippy::cast_precision_loss, reason = "at most 64")]
        let timeout = count as f64 / (a_second * a_second * period.as_secs_f64());
        Duration::from_secs_f64(timeout.min(f64::from(super::MAX_EXPIRES)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(text: &str) -> Rate {
        text.parse().unwrap()
    }

    #[test]
    fn rat_01_a_rate_is_read_and_written_as_it_is() {
        for text in ["0.1", "1", "99.9999999999", "0.0000000001", "12.05"] {
            assert_eq!(rate(text).to_string(), text);
        }
        assert_eq!((rate("00.50").to_string(), rate("1.0").to_string()), ("0.5".into(), "1".into()));
        for odd in ["", "0", "0.0", "100", ".5", "5.", "-1", "+1", "1e3", "1.12345678901", "0,5", "ten", " 1", "1.2.3"]
        {
            assert_eq!(odd.parse::<Rate>(), Err(RateError), "{odd}");
        }
        assert_eq!(rate("0.1").pause(), Duration::from_secs(10));
        assert_eq!(Rate::once_in(Duration::from_secs(5)), rate("0.2"));
        assert!(rate("0.0000000001").pause() < Duration::from_hours(24 * 400));
    }

    #[test]
    fn rte_02_our_pace_and_the_highest_rate_win() {
        let pace = Duration::from_secs(5);
        let asked = Rates { max: Some(rate("7")), min: Some(rate("2")), adaptive_min: None };
        assert_eq!(asked.in_force(pace).to_string(), ";max-rate=0.2;min-rate=0.2");
        let asked = Rates { max: Some(rate("0.05")), min: Some(rate("0.1")), adaptive_min: Some(rate("0.01")) };
        assert_eq!(asked.in_force(pace).to_string(), ";max-rate=0.05;min-rate=0.05;adaptive-min-rate=0.01");
        assert!(Rates::default().in_force(pace).is_none());
    }

    #[test]
    fn rte_02_who_was_told_much_is_left_in_peace_longer() {
        let start = Instant::default();
        let asked = Rates { adaptive_min: Some(rate("0.05")), ..Rates::default() };
        let mut pace = Pace::new(asked, Duration::from_secs(5));
        assert_eq!(pace.repeat_at(), None, "nothing was told yet");
        // The period is 80 s: four at the rate. With one told, a quarter of the pause; with four, the pause; with eight, two.
        pace.tell(start);
        assert_eq!(pace.repeat_at(), Some(start + Duration::from_secs(5)));
        let mut now = start;
        for n in 2..=8 {
            now = start + Duration::from_secs(5 * (n - 1));
            pace.tell(now);
            assert_eq!(pace.repeat_at(), Some(now + Duration::from_secs(5 * n)), "{n}");
        }
        // Later only that one counts.
        now = now + Duration::from_secs(200);
        pace.tell(now);
        assert_eq!(pace.repeat_at(), Some(now + Duration::from_secs(5)));
    }
}
