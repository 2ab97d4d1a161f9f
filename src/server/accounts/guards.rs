//! The guards of all domains: whoever asks by SIP or by HTTP proves it to the same one.

use std::collections::BTreeMap;

use rand::rngs::StdRng;

use crate::sip::{
    auth::{Hash, server::Guard},
    codec::EncodeError,
    time::Instant,
};

/// A guard for each domain, made when it is first asked for.
#[derive(Debug)]
pub struct Guards {
    min: Hash,
    /// Whether the weakest hash is the only one that is asked for.
    alone: bool,
    by_domain: BTreeMap<Box<str>, Guard>,
}

impl Guards {
    /// Has guards that take no weaker hash than this; `alone` asks for no other one, for clients that look at the first
    /// challenge alone.
    pub const fn new(min: Hash, alone: bool) -> Self {
        Self { min, alone, by_domain: BTreeMap::new() }
    }

    /// Returns the guard of a domain, whose name is its realm. It is kept for good: only for domains that are served.
    ///
    /// # Errors
    /// When the domain cannot stand in a header.
    pub fn of(&mut self, domain: &str, now: Instant, rng: &mut StdRng) -> Result<&mut Guard, EncodeError> {
        if !self.by_domain.contains_key(domain) {
            let guard = Guard::new(domain, self.min, now, rng)?;
            let guard = if self.alone { guard.asking_for_the_weakest() } else { guard };
            self.by_domain.insert(domain.into(), guard);
        }
        Ok(self.by_domain.get_mut(domain).expect("it was put there above"))
    }
}
