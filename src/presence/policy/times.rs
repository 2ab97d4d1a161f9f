//! When a rule holds: weekly times in the presentity's time zone, and spans of dates (RFC 4745 §7.4).
//!
//! Weekly times go by the clock on the wall, so they follow daylight saving by themselves: what the clocks skip is
//! skipped, and an hour that comes twice counts twice. Ends are not part of a time.

use jiff::{Span, Timestamp, civil::DateTime, tz::TimeZone};

/// The minutes of a day.
const DAY: u16 = 24 * 60;

/// Some hours of some days, every week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Weekly {
    /// Bit 0 is Monday; the day is the one on which it begins.
    days: u8,
    from: u16,
    /// Not later than `from`: on the day after.
    until: u16,
}

impl Weekly {
    /// Makes hours from minutes of the day; the days are told by their number, 0 for Monday. An end that is not
    /// after the beginning lies on the next day.
    ///
    /// Returns none without days, or with numbers that do not exist.
    pub fn new(days: impl IntoIterator<Item = u8>, from: u16, until: u16) -> Option<Self> {
        let days = days.into_iter().try_fold(0, |all, day| (day < 7).then(|| all | 1 << day))?;
        (days != 0 && from < DAY && (1..=DAY).contains(&until)).then_some(Self { days, from, until })
    }

    /// Returns the days on which it begins, 0 for Monday.
    pub fn days(self) -> impl Iterator<Item = u8> {
        (0..7).filter(move |day| self.days & 1 << day != 0)
    }

    /// Returns beginning and end in minutes of the day.
    pub fn minutes(self) -> (u16, u16) {
        (self.from, self.until)
    }

    fn is_on(self, day: i8) -> bool {
        self.days & 1 << day.rem_euclid(7) != 0
    }

    fn crosses_midnight(self) -> bool {
        self.until <= self.from
    }

    fn contains(self, local: DateTime) -> bool {
        let minute = u16::from(local.hour().unsigned_abs()) * 60 + u16::from(local.minute().unsigned_abs());
        let today = local.date().weekday().to_monday_zero_offset();
        if self.crosses_midnight() {
            self.is_on(today) && minute >= self.from || self.is_on(today - 1) && minute < self.until
        } else {
            self.is_on(today) && (self.from..self.until).contains(&minute)
        }
    }

    /// Goes through the moments of the next eight days at which it may begin or end.
    fn edges(self, after: DateTime, zone: &TimeZone) -> impl Iterator<Item = Timestamp> {
        let ends_at = if self.crosses_midnight() { self.until + DAY } else { self.until };
        (-2..=8)
            .flat_map(move |days| {
                let date = after.date().checked_add(Span::new().days(days)).ok();
                let date = date.filter(|date| self.is_on(date.weekday().to_monday_zero_offset()));
                [self.from, ends_at].into_iter().filter_map(move |minute| {
                    let local = date?.to_datetime(jiff::civil::Time::midnight());
                    local.checked_add(Span::new().minutes(i64::from(minute))).ok()
                })
            })
            // An hour that comes twice has both.
            .flat_map(|local| [zone.to_ambiguous_zoned(local).earlier(), zone.to_ambiguous_zoned(local).later()])
            .filter_map(|zoned| zoned.ok().map(|zoned| zoned.timestamp()))
    }
}

/// A span of time that comes once; its end is not part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Dates {
    /// Its beginning.
    pub from: Timestamp,
    /// Its end.
    pub until: Timestamp,
}

/// When a rule holds: within one of its dates, if it has any, and within one of its weekly times, if it has any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// Spans that come once.
    pub dates: Vec<Dates>,
    /// Hours of every week.
    pub weekly: Vec<Weekly>,
}

impl Times {
    /// Says whether they are all times.
    pub fn is_always(&self) -> bool {
        self.dates.is_empty() && self.weekly.is_empty()
    }

    /// Says whether a moment is among them; `local` is the same moment on the presentity's wall.
    pub fn contain(&self, at: Timestamp, local: DateTime) -> bool {
        let dates = self.dates.is_empty() || self.dates.iter().any(|dates| dates.from <= at && at < dates.until);
        dates && (self.weekly.is_empty() || self.weekly.iter().any(|weekly| weekly.contains(local)))
    }

    /// Returns the next moment after `after` at which they may begin or end.
    pub fn next_edge(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let local = zone.to_datetime(after);
        let dates = self.dates.iter().flat_map(|dates| [dates.from, dates.until]);
        let weekly = self.weekly.iter().flat_map(|weekly| weekly.edges(local, zone));
        // When the clocks are set, an hour may come again.
        let set = zone.following(after).next().filter(|_| !self.weekly.is_empty());
        let set = set.map(|transition| transition.timestamp());
        dates.chain(weekly).chain(set).filter(|edge| *edge > after).min()
    }

    /// Returns when they begin next, if they do within the nearest edges; for people.
    pub fn next_beginning(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let mut at = after;
        for _ in 0..64 {
            at = self.next_edge(at, zone)?;
            if self.contain(at, zone.to_datetime(at)) {
                return Some(at);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vienna() -> TimeZone {
        TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn holds(times: &Times, text: &str) -> bool {
        times.contain(at(text), vienna().to_datetime(at(text)))
    }

    /// Every moment at which the times really begin or end, found by going from edge to edge.
    fn changes(times: &Times, from: &str, until: &str) -> Vec<String> {
        let (mut now, mut found) = (at(from), Vec::new());
        let mut held = times.contain(now, vienna().to_datetime(now));
        while let Some(edge) = times.next_edge(now, &vienna()).filter(|edge| *edge < at(until)) {
            let holds = times.contain(edge, vienna().to_datetime(edge));
            if holds != held {
                found.push(format!("{} {}", edge, if holds { "on" } else { "off" }));
            }
            (now, held) = (edge, holds);
        }
        found
    }

    fn weekly(days: impl IntoIterator<Item = u8>, from: u16, until: u16) -> Times {
        Times { weekly: vec![Weekly::new(days, from, until).unwrap()], dates: Vec::new() }
    }

    #[test]
    fn pol_06_office_hours_hold_on_their_days_and_their_end_is_not_theirs() {
        let office = weekly(0..5, 8 * 60, 18 * 60);
        // 2026-11-26 is a Thursday, and Vienna an hour ahead.
        for (text, expected) in [
            ("2026-11-26T06:59:59Z", false),
            ("2026-11-26T07:00:00Z", true),
            ("2026-11-26T16:59:59Z", true),
            ("2026-11-26T17:00:00Z", false),
            ("2026-11-28T10:00:00Z", false),
        ] {
            assert_eq!(holds(&office, text), expected, "{text}");
        }
        assert_eq!(
            changes(&office, "2026-11-27T12:00:00Z", "2026-12-01T00:00:00Z"),
            ["2026-11-27T17:00:00Z off", "2026-11-30T07:00:00Z on", "2026-11-30T17:00:00Z off"]
        );
    }

    #[test]
    fn pol_06_a_night_belongs_to_the_day_on_which_it_begins() {
        let night = weekly([4], 22 * 60, 6 * 60);
        assert!(holds(&night, "2026-11-27T21:00:00Z") && holds(&night, "2026-11-28T04:59:00Z"));
        assert!(!holds(&night, "2026-11-27T04:00:00Z") && !holds(&night, "2026-11-28T21:00:00Z"));
        assert!(weekly(0..7, 0, DAY).next_beginning(at("2026-11-27T21:00:00Z"), &vienna()).is_some());
    }

    #[test]
    fn pol_06_an_hour_that_the_clocks_skip_is_skipped_and_one_that_comes_twice_counts_twice() {
        let spring = weekly([6], 2 * 60, 2 * 60 + 30);
        assert_eq!(changes(&spring, "2026-03-29T00:00:00Z", "2026-03-30T00:00:00Z"), [""; 0]);
        let autumn = weekly([6], 2 * 60, 2 * 60 + 30);
        assert_eq!(
            changes(&autumn, "2026-10-24T12:00:00Z", "2026-10-25T12:00:00Z"),
            [
                "2026-10-25T00:00:00Z on",
                "2026-10-25T00:30:00Z off",
                "2026-10-25T01:00:00Z on",
                "2026-10-25T01:30:00Z off"
            ]
        );
        // Eight o'clock is eight o'clock before and after.
        let morning = weekly([5, 6], 8 * 60, 9 * 60);
        assert_eq!(
            changes(&morning, "2026-10-24T00:00:00Z", "2026-10-25T07:30:00Z"),
            ["2026-10-24T06:00:00Z on", "2026-10-24T07:00:00Z off", "2026-10-25T07:00:00Z on"]
        );
    }

    #[test]
    fn pol_06_several_dates_are_either_and_dates_and_hours_are_both() {
        let day =
            |n| Dates { from: at(&format!("2026-12-{n}T00:00:00Z")), until: at(&format!("2026-12-{n}T23:00:00Z")) };
        let mut times = Times { dates: vec![day(24), day(26)], weekly: Vec::new() };
        assert!(holds(&times, "2026-12-24T10:00:00Z") && holds(&times, "2026-12-26T10:00:00Z"));
        assert!(!holds(&times, "2026-12-25T10:00:00Z"));
        times.weekly = weekly([3], 8 * 60, 9 * 60).weekly;
        assert!(holds(&times, "2026-12-24T07:30:00Z") && !holds(&times, "2026-12-26T07:30:00Z"));
        assert_eq!(
            changes(&times, "2026-12-01T00:00:00Z", "2027-01-10T00:00:00Z"),
            ["2026-12-24T07:00:00Z on", "2026-12-24T08:00:00Z off"]
        );
    }

    #[test]
    fn hours_that_do_not_exist_are_none() {
        assert_eq!(Weekly::new([], 0, 10), None);
        assert_eq!(Weekly::new([7], 0, 10), None);
        assert_eq!(Weekly::new([0], DAY, 10), None);
        assert_eq!(Weekly::new([0], 0, DAY + 1), None);
        assert_eq!(Weekly::new([0], 0, 0), None);
    }
}
