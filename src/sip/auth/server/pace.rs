//! Patience with those who guess: after a few wrong answers the next one is looked at later and later (AUT-21).
//!
//! Counted for each source address, and for each user name as it was shown, whether there is such a user or not. Only
//! who received a nonce of ours is counted, so that nobody fails in the name of an address that is not his.

use std::{collections::HashMap, hash::Hash, net::IpAddr, time::Duration};

use crate::sip::time::Instant;

/// How many wrong answers cost nothing.
const FREE: u32 = 3;
/// How long one source waits at most.
const LONGEST_FOR_SOURCE: Duration = Duration::from_mins(5);
/// How long those wait at most who are called like somebody else failed: it may be the user himself.
const LONGEST_FOR_USER: Duration = Duration::from_secs(32);
/// After how long without a wrong answer all is forgotten.
const FORGET_AFTER: Duration = Duration::from_mins(15);
/// How many are counted of each kind; the longest quiet go first.
const MOST: usize = 4096;

#[derive(Debug)]
struct Failures {
    count: u32,
    last: Instant,
}

#[derive(Debug)]
struct Table<K> {
    failures: HashMap<K, Failures>,
    longest: Duration,
}

/// Who failed, and how often.
#[derive(Debug)]
pub(super) struct Pace {
    sources: Table<IpAddr>,
    users: Table<Box<str>>,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self { sources: Table::new(LONGEST_FOR_SOURCE), users: Table::new(LONGEST_FOR_USER) }
    }

    /// Returns how long an answer of this user from there has to wait, if it has to.
    pub(super) fn wait(&self, source: IpAddr, user: &str, now: Instant) -> Option<Duration> {
        self.sources.wait(&network_of(source), now).max(self.users.wait(user, now))
    }

    pub(super) fn failed(&mut self, source: IpAddr, user: &str, now: Instant) {
        self.sources.failed(network_of(source), now);
        self.users.failed(user.into(), now);
    }

    /// The user is there himself. Where he is somebody else may guess at others, so that stays counted.
    pub(super) fn succeeded(&mut self, user: &str) {
        self.users.failures.remove(user);
    }
}

impl<K: Hash + Eq + Clone> Table<K> {
    fn new(longest: Duration) -> Self {
        Self { failures: HashMap::new(), longest }
    }

    fn wait<Q: Hash + Eq + ?Sized>(&self, key: &Q, now: Instant) -> Option<Duration>
    where
        K: std::borrow::Borrow<Q>,
    {
        let failures = self.failures.get(key)?;
        let doublings = failures.count.checked_sub(FREE)?;
        let pause = Duration::from_secs(1).saturating_mul(1 << doublings.min(16)).min(self.longest);
        let left = (failures.last + pause).since(now);
        (!left.is_zero()).then_some(left)
    }

    fn failed(&mut self, key: K, now: Instant) {
        if self.failures.len() >= MOST && !self.failures.contains_key(&key) {
            self.failures.retain(|_, failures| now < failures.last + FORGET_AFTER);
            let quiet = self.failures.iter().min_by_key(|(_, failures)| failures.last).map(|(key, _)| key.clone());
            if let Some(quiet) = quiet.filter(|_| self.failures.len() >= MOST) {
                self.failures.remove(&quiet);
            }
        }
        let failures = self.failures.entry(key).or_insert(Failures { count: 0, last: now });
        if now >= failures.last + FORGET_AFTER {
            failures.count = 0;
        }
        failures.count = failures.count.saturating_add(1);
        failures.last = now;
    }
}

/// Returns what one party is taken to have: an address, or a network of IPv6, in which there are addresses for all.
fn network_of(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V4(ip) => IpAddr::V4(ip),
        IpAddr::V6(ip) => IpAddr::V6((u128::from(ip) >> 64 << 64).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_origin(Duration::from_secs(seconds))
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn aut_21_each_wrong_answer_after_the_third_doubles_the_wait_of_its_source_and_of_its_user() {
        let mut pace = Pace::new();
        let (here, there) = (ip("192.0.2.1"), ip("192.0.2.2"));
        let mut waits = Vec::new();
        for _ in 0..14 {
            pace.failed(here, "bob", at(0));
            let wait = |source, user| pace.wait(source, user, at(0)).map_or(0, |wait| wait.as_secs());
            waits.push((wait(here, "carol"), wait(there, "bob"), wait(there, "carol")));
        }
        let seconds = [0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300];
        assert_eq!(waits, seconds.map(|of_source: u64| (of_source, of_source.min(32), 0)));
        assert_eq!(pace.wait(here, "carol", at(299)), Some(Duration::from_secs(1)));
        assert_eq!(pace.wait(here, "carol", at(300)), None);
        pace.failed(here, "bob", at(300 + 15 * 60));
        assert_eq!(pace.wait(here, "bob", at(300 + 15 * 60)), None, "all was forgotten");
    }

    #[test]
    fn aut_21_who_is_right_is_waited_for_no_more_and_his_address_still_is() {
        let mut pace = Pace::new();
        for _ in 0..6 {
            pace.failed(ip("2001:db8::1"), "bob", at(0));
        }
        pace.succeeded("bob");
        assert_eq!(pace.wait(ip("192.0.2.2"), "bob", at(0)), None);
        assert!(pace.wait(ip("2001:db8::ffff"), "carol", at(0)).is_some(), "it is the same network");
        assert_eq!(pace.wait(ip("2001:db8:0:1::1"), "carol", at(0)), None);
    }

    #[test]
    fn aut_21_names_without_end_take_no_memory_without_end() {
        let mut pace = Pace::new();
        for n in 0..MOST + 10 {
            pace.failed(ip("192.0.2.1"), &n.to_string(), at(n as u64 / 100));
        }
        assert_eq!((pace.users.failures.len(), pace.sources.failures.len()), (MOST, 1));
    }
}
