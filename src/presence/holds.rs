//! My status in layers: what was set last, the base, and holds on top of it that end by themselves.
//!
//! Shown is the newest hold that lives, else the base; the end of a hold takes that one away and no other. A hold
//! with a length is measured on the clock that nobody can set; one with an end lasts until the wall clock says
//! so; one with a holder as long as that holder does. Who publishes what is shown, and where it is kept, is not
//! decided here.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{core::Now, pidf::Published};
use crate::sip::time::Instant;

/// How many holds there may be at once.
pub const MAX_HOLDS: usize = 64;
/// How long a holder may take to come back after a restart.
pub const CLAIM_WITHIN: Duration = Duration::from_secs(10);

/// Until when a hold lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lasts {
    /// A length from the moment that it began.
    For {
        /// When that is over.
        until: Instant,
        /// The whole length: a clock that was set cannot make more of it.
        length: Duration,
    },
    /// A time of day.
    Until(Timestamp),
    /// As long as its holder.
    While {
        /// After a restart: until when the holder has to say that it is still there.
        claim_by: Option<Instant>,
    },
}

impl Lasts {
    /// Makes an end that lies `length` ahead.
    pub fn of_length(length: Duration, now: Now) -> Self {
        Self::For { until: now.at + length, length }
    }

    /// Returns when it ends by the wall clock, if that is known.
    pub fn until(self, now: Now) -> Option<Timestamp> {
        match self {
            Self::For { until, .. } => Some(ahead(now.wall, until.since(now.at))),
            Self::Until(until) => Some(until),
            Self::While { .. } => None,
        }
    }

    fn is_over(self, now: Now) -> bool {
        match self {
            Self::For { until, .. } => now.at >= until,
            Self::Until(until) => now.wall >= until,
            Self::While { claim_by } => claim_by.is_some_and(|by| now.at >= by),
        }
    }
}

/// A status for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Its name, unique among all holds; the holder of one that lasts with it proves itself by it.
    pub id: String,
    /// What is shown meanwhile.
    pub published: Published,
    /// Until when.
    pub lasts: Lasts,
}

/// The base and the holds; see the module's text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holds {
    base: Option<Published>,
    /// The newest last.
    holds: Vec<Hold>,
}

/// There are [`MAX_HOLDS`] already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there are {MAX_HOLDS} holds already: a plain `set` ends them all")]
pub struct TooManyHolds;

impl Holds {
    /// Returns what others are to see; nothing if nothing was set.
    pub fn shown(&self) -> Option<&Published> {
        self.holds.last().map(|hold| &hold.published).or(self.base.as_ref())
    }

    /// Returns what shows when all holds have ended.
    pub fn base(&self) -> Option<&Published> {
        self.base.as_ref()
    }

    /// Returns the holds, the one that is shown first.
    pub fn holds(&self) -> impl ExactSizeIterator<Item = &Hold> {
        self.holds.iter().rev()
    }

    /// Replaces the base and ends all holds; returns how many there were.
    pub fn set(&mut self, published: Published, now: Now) -> usize {
        let ended = self.holds.len();
        self.change(now, |this| {
            this.holds.clear();
            this.base = Some(published);
        });
        ended
    }

    /// Forgets everything; returns whether there was anything.
    pub fn clear(&mut self) -> bool {
        std::mem::take(self) != Self::default()
    }

    /// Puts a hold on top.
    ///
    /// # Errors
    /// When there are too many.
    pub fn add(&mut self, hold: Hold, now: Now) -> Result<(), TooManyHolds> {
        if self.holds.len() >= MAX_HOLDS {
            return Err(TooManyHolds);
        }
        self.change(now, |this| this.holds.push(hold));
        Ok(())
    }

    /// Takes a hold away, wherever it lies; returns whether it was there.
    pub fn end(&mut self, id: &str, now: Now) -> bool {
        let before = self.holds.len();
        self.change(now, |this| this.holds.retain(|hold| hold.id != id));
        self.holds.len() < before
    }

    /// The holder of a hold says that it is still there; returns whether the hold is.
    pub fn claim(&mut self, id: &str) -> bool {
        let held = self.holds.iter_mut().find(|hold| hold.id == id).map(|hold| &mut hold.lasts);
        let Some(Lasts::While { claim_by }) = held else { return false };
        *claim_by = None;
        true
    }

    /// Takes away what is over; returns whether anything was.
    pub fn expire(&mut self, now: Now) -> bool {
        let before = self.holds.len();
        self.change(now, |this| this.holds.retain(|hold| !hold.lasts.is_over(now)));
        self.holds.len() < before
    }

    /// Returns when something ends next: on the clock that nobody sets, and on the wall clock.
    pub fn next_ends(&self) -> (Option<Instant>, Option<Timestamp>) {
        let measured = self.holds.iter().filter_map(|hold| match hold.lasts {
            Lasts::For { until, .. } => Some(until),
            Lasts::While { claim_by } => claim_by,
            Lasts::Until(_) => None,
        });
        let of_day = self.holds.iter().filter_map(|hold| match hold.lasts {
            Lasts::Until(until) => Some(until),
            Lasts::For { .. } | Lasts::While { .. } => None,
        });
        (measured.min(), of_day.min())
    }

    /// Does something, and notes the time if another status shows for it.
    fn change(&mut self, now: Now, what: impl FnOnce(&mut Self)) {
        let place = |this: &Self| this.holds.last().map(|hold| hold.id.clone());
        let before = place(self);
        what(self);
        if before == place(self) {
            return;
        }
        let shown = self.holds.last_mut().map(|hold| &mut hold.published).or(self.base.as_mut());
        if let Some(shown) = shown {
            shown.timestamp = now.wall;
        }
    }

    /// Returns everything in a form to be kept, with its ends on the wall clock.
    pub fn saved(&self, now: Now) -> SavedHolds {
        let saved = |hold: &Hold| SavedHold {
            id: hold.id.clone(),
            published: hold.published.clone(),
            lasts: match hold.lasts {
                Lasts::For { length, .. } => SavedLasts::For {
                    until: hold.lasts.until(now).unwrap_or(now.wall),
                    milliseconds: u64::try_from(length.as_millis()).unwrap_or(u64::MAX),
                },
                Lasts::Until(until) => SavedLasts::Until { until },
                Lasts::While { .. } => SavedLasts::While,
            },
        };
        SavedHolds { base: self.base.clone(), holds: self.holds.iter().map(saved).collect() }
    }

    /// Takes up what was kept; what ended meanwhile is gone, and holders have to [`claim`](Self::claim) theirs.
    pub fn restored(saved: SavedHolds, now: Now) -> Self {
        let restored = |hold: SavedHold| {
            let lasts = match hold.lasts {
                SavedLasts::For { until, milliseconds } => {
                    let length = Duration::from_millis(milliseconds);
                    let left = Duration::try_from(until.duration_since(now.wall)).unwrap_or_default();
                    Lasts::For { until: now.at + left.min(length), length }
                }
                SavedLasts::Until { until } => Lasts::Until(until),
                SavedLasts::While => Lasts::While { claim_by: Some(now.at + CLAIM_WITHIN) },
            };
            Hold { id: hold.id, published: hold.published, lasts }
        };
        let newest = saved.holds.len().saturating_sub(MAX_HOLDS);
        let mut holds = Self { base: saved.base, holds: saved.holds.into_iter().skip(newest).map(restored).collect() };
        holds.expire(now);
        holds
    }
}

fn ahead(from: Timestamp, by: Duration) -> Timestamp {
    SignedDuration::try_from(by).ok().and_then(|by| from.checked_add(by).ok()).unwrap_or(Timestamp::MAX)
}

/// [`Holds`] as they are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedHolds {
    /// What was set last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Published>,
    /// The holds, the newest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holds: Vec<SavedHold>,
}

impl SavedHolds {
    /// Returns what was shown when this was kept.
    pub fn shown(&self) -> Option<&Published> {
        self.holds.last().map(|hold| &hold.published).or(self.base.as_ref())
    }
}

/// One hold as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedHold {
    /// Its name.
    pub id: String,
    /// What is shown.
    pub published: Published,
    /// Until when.
    #[serde(flatten)]
    pub lasts: SavedLasts,
}

/// [`Lasts`] as it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "lasts", rename_all = "kebab-case")]
pub enum SavedLasts {
    /// See [`Lasts::For`].
    For {
        /// When it is over.
        until: Timestamp,
        /// The whole length.
        milliseconds: u64,
    },
    /// See [`Lasts::Until`].
    Until {
        /// When it is over.
        until: Timestamp,
    },
    /// See [`Lasts::While`].
    While,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::presence::PresenceStatus::{self, Available, Away, Busy, DoNotDisturb};

    const HOUR: Duration = Duration::from_hours(1);

    /// A moment after the start, with a wall clock that is ahead by so many hours.
    fn moment(after: Duration, hours_ahead: i64) -> Now {
        let start: Timestamp = "2026-03-02T09:00:00Z".parse().unwrap();
        let wall = ahead(start, after) + SignedDuration::from_hours(hours_ahead);
        Now { at: Instant::from_origin(HOUR + after), wall }
    }

    fn at(hours: u32) -> Now {
        moment(HOUR * hours, 0)
    }

    fn published(status: PresenceStatus, now: Now) -> Published {
        Published::new(status, now.wall)
    }

    fn hold(id: &str, status: PresenceStatus, lasts: Lasts, now: Now) -> Hold {
        Hold { id: id.into(), published: published(status, now), lasts }
    }

    fn shown(holds: &Holds) -> Option<PresenceStatus> {
        holds.shown().map(|published| published.status.clone())
    }

    #[test]
    fn the_newest_hold_shows_and_its_end_takes_away_no_other() {
        let mut holds = Holds::default();
        assert_eq!(shown(&holds), None);
        holds.set(published(Available, at(0)), at(0));
        holds.add(hold("meeting", Busy, Lasts::of_length(HOUR * 2, at(0)), at(0)), at(0)).unwrap();
        holds.add(hold("make", DoNotDisturb, Lasts::While { claim_by: None }, at(1)), at(1)).unwrap();
        assert_eq!(shown(&holds), Some(DoNotDisturb));
        assert!(holds.expire(at(2)), "the meeting is over beneath");
        assert_eq!((shown(&holds), holds.holds().len()), (Some(DoNotDisturb), 1));
        assert!(holds.end("make", at(3)) && !holds.end("make", at(3)));
        assert_eq!(holds.shown(), Some(&published(Available, at(3))), "since the hold ended");
    }

    #[test]
    fn a_plain_set_replaces_the_base_and_ends_all_holds() {
        let mut holds = Holds::default();
        holds.add(hold("a", Busy, Lasts::While { claim_by: None }, at(0)), at(0)).unwrap();
        holds.add(hold("b", Away, Lasts::Until(at(5).wall), at(0)), at(0)).unwrap();
        assert_eq!(holds.set(published(Available, at(1)), at(1)), 2);
        assert_eq!((shown(&holds), holds.next_ends()), (Some(Available), (None, None)));
        assert!(holds.clear() && !holds.clear());
        assert_eq!(holds.shown(), None);
    }

    #[test]
    fn sec_20_a_length_ignores_a_clock_that_is_set_and_an_end_follows_it() {
        let mut holds = Holds::default();
        holds.set(published(Available, at(0)), at(0));
        holds.add(hold("for", Busy, Lasts::of_length(HOUR, at(0)), at(0)), at(0)).unwrap();
        assert_eq!(holds.next_ends(), (Some(at(1).at), None));
        for ahead in [-8, 8] {
            assert!(!holds.clone().expire(moment(HOUR / 2, ahead)), "the clock was set by {ahead} h");
        }
        assert!(holds.expire(moment(HOUR, -8)), "its length is over, whatever the wall says");
        holds.add(hold("until", Busy, Lasts::Until(at(4).wall), at(1)), at(1)).unwrap();
        assert_eq!(holds.next_ends(), (None, Some(at(4).wall)));
        assert!(!holds.expire(moment(HOUR * 5, -8)));
        assert!(holds.expire(moment(HOUR * 2, 8)), "a passed end is over");
    }

    #[test]
    fn what_is_kept_comes_back_without_what_ended_meanwhile() {
        let mut holds = Holds::default();
        holds.set(Published { note: Some("desk".into()), ..published(Available, at(0)) }, at(0));
        holds.add(hold("long", Away, Lasts::of_length(HOUR * 4, at(0)), at(0)), at(0)).unwrap();
        holds.add(hold("short", Busy, Lasts::of_length(HOUR, at(0)), at(0)), at(0)).unwrap();
        holds.add(hold("day", Busy, Lasts::Until(at(2).wall), at(0)), at(0)).unwrap();
        let json = serde_json::to_string(&holds.saved(at(0))).unwrap();
        let saved: SavedHolds = serde_json::from_str(&json).unwrap();
        // The machine was off meanwhile: its measured clock began anew.
        let now = Now { at: Instant::from_origin(Duration::from_secs(5)), wall: at(3).wall };
        let again = Holds::restored(saved.clone(), now);
        assert_eq!(again.holds().map(|hold| hold.id.as_str()).collect::<Vec<_>>(), ["long"]);
        assert_eq!(again.next_ends().0, Some(now.at + HOUR), "an hour of it is left");
        assert_eq!(again.base(), holds.base());
        // A clock that was set back does not make more of it than it ever was.
        let back = Now { at: now.at, wall: moment(Duration::ZERO, -20).wall };
        assert_eq!(
            Holds::restored(saved, back).holds.first().map(|hold| hold.lasts),
            Some(Lasts::of_length(HOUR * 4, back))
        );
    }

    #[test]
    fn a_holder_has_to_come_back_after_a_restart() {
        let mut holds = Holds::default();
        holds.set(published(Available, at(0)), at(0));
        holds.add(hold("make", DoNotDisturb, Lasts::While { claim_by: None }, at(0)), at(0)).unwrap();
        let restored = |claims: bool| {
            let mut again = Holds::restored(holds.saved(at(0)), at(1));
            assert!(!claims || again.claim("make"));
            again.expire(moment(HOUR + CLAIM_WITHIN, 0));
            shown(&again)
        };
        assert_eq!((restored(true), restored(false)), (Some(DoNotDisturb), Some(Available)));
        assert!(!holds.claim("another"));
        holds.add(hold("for", Busy, Lasts::of_length(HOUR, at(0)), at(0)), at(0)).unwrap();
        assert!(!holds.claim("for"), "a hold that ends by itself has no holder");
    }

    #[test]
    fn sec_13_there_are_so_many_holds_and_no_more() {
        let mut holds = Holds::default();
        for n in 0..MAX_HOLDS {
            holds.add(hold(&n.to_string(), Busy, Lasts::While { claim_by: None }, at(0)), at(0)).unwrap();
        }
        let another = hold("another", Away, Lasts::While { claim_by: None }, at(0));
        assert_eq!(holds.add(another, at(0)), Err(TooManyHolds));
        let mut saved = holds.saved(at(0));
        saved.holds.extend(saved.holds.clone());
        assert_eq!(Holds::restored(saved, at(0)).holds.len(), MAX_HOLDS);
    }
}
