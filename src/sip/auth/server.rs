//! Digest authentication (RFC 7616, RFC 8760) as SIP uses it (RFC 3261 §22): the server's side.
//!
//! A [`Guard`] keeps one realm. It makes challenges, one for each algorithm and the strongest first, and says what the
//! credentials of a request are worth. It keeps no passwords: whoever asks it knows the users, and gives what is
//! [`Stored`] of one. Nothing is kept of a challenge until it was answered rightly.

mod nonce;
mod pace;
mod shown;
mod stored;

use std::{fmt, net::IpAddr};

use rand::rngs::StdRng;

pub use self::stored::Stored;
use self::{nonce::Nonces, pace::Pace, shown::Shown, stored::is_same};
use super::{Digest, Hash, Kind, Qop, Use};
use crate::sip::{
    codec::{EncodeError, quote},
    message::Message,
    time::Instant,
};

/// What is known of a user who is named.
#[derive(Clone, Copy, Debug)]
pub enum User<'a> {
    /// This.
    Known(&'a Stored),
    /// There is one, and the password cannot be had just now.
    Unready,
    /// There is no such user; he is answered as one with another password.
    Unknown,
}

/// What the credentials of a request are worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checked {
    /// Whoever sent it knows the password of this user.
    Proven(Box<str>),
    /// Nothing: it is to be answered 401, with these values of WWW-Authenticate.
    Challenged(Vec<String>),
    /// They were made for something else: 400 (RFC 7616 §3.4.6).
    Unfit,
    /// They are not looked at before so many seconds have passed: 503 (AUT-21).
    TooSoon(u32),
    /// The password is not there yet: 503.
    Unready,
}

/// A request whose credentials are to be looked at.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// It.
    pub message: &'a Message<'a>,
    /// Where it came from.
    pub source: IpAddr,
    /// Says whether a URI means the same as the request's own, where a proxy may have changed that (AUT-08).
    pub is_same: &'a dyn Fn(&str) -> bool,
}

/// One realm and its challenges; see the module's text.
pub struct Guard {
    realm: Box<str>,
    /// In its quotes.
    quoted_realm: Box<str>,
    min: Hash,
    /// Whether one challenge is made, of the weakest hash.
    alone: bool,
    nonces: Nonces,
    pace: Pace,
    decoy: Stored,
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").field("realm", &self.realm).finish_non_exhaustive()
    }
}

impl Guard {
    /// Makes a guard of a realm that takes no weaker hash than this.
    ///
    /// # Errors
    /// When the realm cannot stand in a header (PAR-21).
    pub fn new(realm: &str, min: Hash, now: Instant, rng: &mut StdRng) -> Result<Self, EncodeError> {
        let (quoted_realm, nonces) = (quote(realm)?.into(), Nonces::new(now, rng));
        let (alone, pace, decoy) = (false, Pace::new(), Stored::decoy(rng));
        Ok(Self { realm: realm.into(), quoted_realm, min, alone, nonces, pace, decoy })
    }

    /// Asks for the weakest hash alone, where the clients are such that look at the first challenge, or give up at one that
    /// they do not know, against RFC 8760 §2.4.
    #[must_use]
    pub fn asking_for_the_weakest(self) -> Self {
        Self { alone: true, ..self }
    }

    /// Returns the realm.
    pub fn realm(&self) -> &str {
        &self.realm
    }

    /// Returns whether a request has credentials for this realm, whatever they are worth.
    pub fn is_answered(&self, message: &Message<'_>) -> bool {
        Shown::is_in(message, Kind::Server, &self.realm)
    }

    /// Makes the values of WWW-Authenticate, the strongest algorithm first, for whoever is at `source` (AUT-05).
    pub fn challenge(&mut self, source: IpAddr, stale: bool, now: Instant, rng: &mut StdRng) -> Vec<String> {
        let nonce = self.nonces.make(source, now, rng);
        let (realm, stale) = (&self.quoted_realm, if stale { ", stale=true" } else { "" });
        let offered = Hash::ALL.into_iter().rev().filter(|hash| *hash >= self.min && !(self.alone && *hash > self.min));
        offered
            .map(|hash| {
                format!("Digest realm={realm}, nonce=\"{nonce}\", algorithm={}, qop=\"auth\"{stale}", hash.token())
            })
            .collect()
    }

    /// Says what the credentials of a request are worth; `find` knows the users by their names.
    ///
    /// Each answer is good once: a request that is sent again as it was is the transaction's affair, and does not come
    /// here a second time.
    pub fn check<'u>(
        &mut self,
        asked: Asked<'_>,
        find: impl FnOnce(&str) -> User<'u>,
        now: Instant,
        rng: &mut StdRng,
    ) -> Checked {
        let Asked { message, source, is_same: means_the_same } = asked;
        let shown = Shown::of(message, Kind::Server, &self.realm).filter(|shown| shown.algorithm.hash >= self.min);
        let Some(shown) = shown else { return Checked::Challenged(self.challenge(source, false, now, rng)) };
        // Before the answer is looked at: without a nonce of ours nobody learns whether he guessed right.
        let Some(fresh) = self.nonces.read(&shown.nonce, source, now, rng) else {
            return Checked::Challenged(self.challenge(source, true, now, rng));
        };
        if let Some(wait) = self.pace.wait(source, &shown.user, now) {
            return Checked::TooSoon(u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).saturating_add(1));
        }
        let request_uri = message.request_uri().unwrap_or_default();
        if shown.uri != request_uri && !means_the_same(&shown.uri) {
            return Checked::Unfit;
        }
        let known = match find(&shown.user) {
            User::Known(stored) => stored.of(shown.algorithm.hash),
            User::Unready => return Checked::Unready,
            User::Unknown => None,
        };
        // Nobody's digest is computed as well: who is known and who is not takes the same time.
        let Some(ha1) = known.or_else(|| self.decoy.of(shown.algorithm.hash)) else { return Checked::Unfit };
        let expected = Digest {
            algorithm: shown.algorithm,
            ha1,
            nonce: &shown.nonce,
            usage: Some(Use { qop: Qop::Auth, nc: shown.nc, cnonce: &shown.cnonce }),
            method: message.method().map_or("", |method| method.as_str()),
            uri: &shown.uri,
            body: message.body,
        };
        let right = is_same(expected.response().as_bytes(), shown.response.as_bytes());
        if !(right && known.is_some()) {
            self.pace.failed(source, &shown.user, now);
            return Checked::Challenged(self.challenge(source, false, now, rng));
        }
        // SEC-03: what was said once is said by nobody again.
        if !self.nonces.spend(fresh, shown.nc, now) {
            return Checked::Challenged(self.challenge(source, true, now, rng));
        }
        self.pace.succeeded(&shown.user);
        Checked::Proven(shown.user.into())
    }
}
