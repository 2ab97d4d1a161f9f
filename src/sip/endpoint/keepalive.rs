//! Keeping a connection alive (RFC 5626 §3.5.1, §4.4.1; RFC 6223): when it is pinged, and when it counts as dead.
//!
//! Only what was agreed on is pinged, for as long as it was agreed on. A peer that does not answer a ping is gone, whatever
//! the system thinks of the connection, and all that went by it is lost.

use std::time::Duration;

use rand::{RngExt as _, rngs::StdRng};

use super::Endpoint;
use crate::sip::{
    effect::Effect,
    events::seconds,
    header::{Name, delta_seconds},
    message::Message,
    time::Instant,
    transport::{ConnId, Flow},
};

/// What goes out: a double CRLF between two messages.
pub(super) const PING: &[u8] = b"\r\n\r\n";
/// A ping that is not answered for so long was heard by nobody.
const PONG_WITHIN: Duration = Duration::from_secs(10);
/// Seconds between two pings where the peer names none (RFC 5626 §4.4.1).
const USUAL: std::ops::RangeInclusive<f64> = 95.0..=120.0;
/// Nobody is pinged more often than in so many seconds, whatever was asked for.
const SHORTEST: u32 = 10;

impl<U: Copy> Endpoint<U> {
    /// Keeps the connection that a request took alive until `until`, if the response to it agrees to that; returns whether
    /// it does.
    pub fn keep_alive(&mut self, flow: Flow, response: &Message<'_>, until: Instant, now: Instant) -> bool {
        let (Some(conn), Some(interval)) = (flow.conn, Interval::agreed(response)) else { return false };
        let Some(kept) = self.streams.keeping(conn).filter(|_| until > now) else { return false };
        match kept {
            Some(kept) => kept.renew(interval, until, now, &mut self.rng),
            None => *kept = Some(KeepAlive::new(interval, until, now, &mut self.rng)),
        }
        self.arm_stream(conn);
        true
    }

    /// Takes the next connection that was kept alive and is gone, whoever ended it: nothing reaches us by it any more.
    pub fn next_lost_flow(&mut self) -> Option<ConnId> {
        self.lost.pop_front()
    }

    /// Says by which connection our binding was made, if it was by one that is kept alive.
    pub fn set_home(&mut self, conn: Option<ConnId>) {
        self.home = conn;
    }

    /// Returns the connection by which what is for us comes, while it stands: what begins a dialog with our server goes by it
    /// too, whichever of several servers a look-up would find (RFC 5626 §4.3).
    pub fn home(&self) -> Option<ConnId> {
        self.home.filter(|conn| self.streams.is_open(*conn))
    }

    /// Closes a connection by which somebody is not heard any more, whoever else uses it.
    pub fn drop_flow(&mut self, conn: ConnId, now: Instant, out: &mut Vec<Effect>) {
        self.close_stream(conn, now, out);
    }

    /// The machine slept, or its addresses changed: what is kept alive is pinged, to see whether it lives.
    pub fn resumed(&mut self, now: Instant) {
        let kept = self.streams.kept().map(|(conn, kept)| {
            kept.hurry(now);
            conn
        });
        for conn in kept.collect::<Vec<_>>() {
            self.arm_stream(conn);
        }
    }
}

/// How often a peer wants to hear of us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Interval(Option<u32>);

impl Interval {
    /// Reads what a response agrees to: `Require: outbound`, with Flow-Timer, or a number after the `keep` of our Via,
    /// where 0 leaves it to us (RFC 6223 §4.4). A `keep` that came back as it went says no.
    pub(super) fn agreed(response: &Message<'_>) -> Option<Self> {
        let outbound = response.option_tags(Name::Require).any(|tag| tag.eq_ignore_ascii_case("outbound"));
        let timer = response.get(Name::FlowTimer).filter(|_| outbound).and_then(delta_seconds);
        let via = response.top_via().ok();
        let keep = via.and_then(|via| via.params.get("keep")).and_then(|keep| delta_seconds(keep.as_bytes()));
        let agreed = outbound || keep.is_some();
        agreed.then(|| Self(timer.or(keep).filter(|seconds| *seconds > 0).map(|seconds| seconds.max(SHORTEST))))
    }

    /// Returns the one that wants to hear of us more often.
    fn shorter(self, other: Self) -> Self {
        let seconds = |interval: Self| interval.0.map_or(*USUAL.end(), f64::from);
        if seconds(self) <= seconds(other) { self } else { other }
    }

    /// Draws the next pause: 80 to 100 % of it.
    fn draw(self, rng: &mut StdRng) -> Duration {
        match self.0 {
            Some(interval) => seconds(interval).mul_f64(rng.random_range(0.8..=1.0)),
            None => Duration::from_secs_f64(rng.random_range(USUAL)),
        }
    }
}

/// What is to be done about a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    Nothing,
    Ping,
    /// The peer did not answer.
    Dead,
    /// It was not agreed on for any longer.
    Over,
}

/// One connection that is kept alive.
#[derive(Debug)]
pub(super) struct KeepAlive {
    interval: Interval,
    until: Instant,
    ping_at: Instant,
    /// While a ping is unanswered.
    dead_at: Option<Instant>,
}

impl KeepAlive {
    pub(super) fn new(interval: Interval, until: Instant, now: Instant, rng: &mut StdRng) -> Self {
        Self { interval, until, ping_at: now + interval.draw(rng), dead_at: None }
    }

    /// The peer agreed once more; for whatever else goes this way it goes on as long as it would have, and as often.
    pub(super) fn renew(&mut self, interval: Interval, until: Instant, now: Instant, rng: &mut StdRng) {
        let interval = if now < self.until { interval.shorter(self.interval) } else { interval };
        self.until = self.until.max(until);
        if self.interval != interval {
            self.interval = interval;
            self.ping_at = self.ping_at.min(now + interval.draw(rng));
        }
    }

    pub(super) fn deadline(&self) -> Instant {
        self.dead_at.unwrap_or_else(|| self.ping_at.min(self.until))
    }

    pub(super) fn due(&mut self, now: Instant, rng: &mut StdRng) -> Due {
        if let Some(dead_at) = self.dead_at {
            return if now >= dead_at { Due::Dead } else { Due::Nothing };
        }
        if now >= self.until {
            return Due::Over;
        }
        if now < self.ping_at {
            return Due::Nothing;
        }
        self.ping_at = now + self.interval.draw(rng);
        self.dead_at = Some(now + PONG_WITHIN);
        Due::Ping
    }

    /// The peer answered.
    pub(super) fn pong(&mut self) {
        self.dead_at = None;
    }

    /// Pings as soon as may be: a ping that nobody was awake to see answered says nothing.
    pub(super) fn hurry(&mut self, now: Instant) {
        (self.ping_at, self.dead_at) = (now, None);
    }
}
