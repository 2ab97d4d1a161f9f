//! Accounts: whose password is shown to whom (AUT-12), where it is to be had, which nonces are in use.

use std::{
    collections::{BTreeSet, VecDeque},
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use secrecy::{ExposeSecret as _, SecretString, zeroize::Zeroizing};

use super::{Challenge, Hash, Kind, Why, digest};
use crate::sip::{
    codec::{EncodeError, quote},
    message::Message,
    time::Instant,
};

/// How many nonces are kept for use; the oldest goes first.
const MAX_SESSIONS: usize = 64;
/// How many addresses of the account's servers are remembered.
const MAX_ADDRESSES: usize = 64;
/// After a password proved wrong or could not be had, it is not asked for again for so long: what is challenged
/// meanwhile fails at once, and a server does not count a hundred wrong ones.
const NOT_AGAIN_FOR: Duration = Duration::from_secs(30);

/// Names one account of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(pub(in crate::sip) u32);

/// Who we are towards our own server; the password is not among it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The user name, as text.
    pub user: Box<str>,
    /// The only realm that gets the password: as configured, or as found in an earlier run. Without it the first that
    /// the account's own server challenges with is taken (AUT-12).
    pub realm: Option<Box<str>>,
    /// The hosts that are the account's own: its domain, its outbound proxy; names or addresses without brackets.
    pub servers: Vec<Box<str>>,
    /// The weakest hash that is answered in clear text (AUT-13).
    pub min: Hash,
}

/// A password, as whoever keeps it hands it in; it does not show itself, and is wiped when dropped.
#[derive(Clone, Debug)]
pub struct Secret(SecretString);

impl Secret {
    /// Takes a password.
    pub fn new(password: impl Into<SecretString>) -> Self {
        Self(password.into())
    }

    pub(super) fn reveal(&self) -> &str {
        self.0.expose_secret()
    }
}

/// What is known of the password.
#[derive(Debug)]
pub(in crate::sip) enum Known {
    /// Nothing; whoever needs it asks.
    Nothing,
    /// It was asked for.
    Asked,
    Password(Secret),
    /// It could not be had, or was wrong; it may be asked for again then.
    Failed {
        why: Why,
        until: Instant,
    },
}

/// A nonce in use at one next hop.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) hop: SocketAddr,
    pub(super) challenge: Challenge,
    /// How often it was used.
    pub(super) uses: u32,
    /// Kept where A1 is bound to it.
    pub(super) cnonce: Option<Box<str>>,
}

/// One account; see the module's text.
#[derive(Debug)]
pub struct Account {
    credentials: Credentials,
    /// The realm was taken from a challenge since somebody asked.
    found: bool,
    /// It is the secret of one peer, which may call its realm as it likes.
    any_realm: bool,
    /// The user name in its quotes.
    pub(super) quoted_user: Box<str>,
    /// Where the names of the account's servers led.
    addresses: BTreeSet<IpAddr>,
    pub(in crate::sip) known: Known,
    /// Rises with each password.
    pub(in crate::sip) generation: u32,
    pub(super) sessions: VecDeque<Session>,
}

impl Account {
    /// Makes an account of whose password nothing is known.
    ///
    /// # Errors
    /// When the user name cannot stand in a header (PAR-21).
    pub fn new(credentials: Credentials) -> Result<Self, EncodeError> {
        let quoted_user = quote(&credentials.user)?.into();
        let addresses = credentials.servers.iter().filter_map(|host| host.parse().ok()).collect();
        let (known, sessions) = (Known::Nothing, VecDeque::new());
        let (found, any_realm) = (false, false);
        Ok(Self { credentials, found, any_realm, quoted_user, addresses, known, generation: 0, sessions })
    }

    /// Makes an account that is good for one peer alone, at this host: whatever realm that names is the right one.
    ///
    /// # Errors
    /// When the user name cannot stand in a header (PAR-21).
    pub fn of_peer(user: &str, host: &str, min: Hash) -> Result<Self, EncodeError> {
        let servers = vec![host.trim_matches(['[', ']']).into()];
        Ok(Self { any_realm: true, ..Self::new(Credentials { user: user.into(), realm: None, servers, min })? })
    }

    /// Goes by another user name from now on, and asks for the password anew.
    ///
    /// # Errors
    /// When the user name cannot stand in a header (PAR-21); then nothing is changed.
    pub fn rename(&mut self, user: &str) -> Result<(), EncodeError> {
        self.quoted_user = quote(user)?.into();
        self.credentials.user = user.into();
        self.known = Known::Nothing;
        self.sessions.clear();
        Ok(())
    }

    /// Returns the only realm that gets the password, as far as it is known.
    pub fn realm(&self) -> Option<&str> {
        self.credentials.realm.as_deref()
    }

    /// Returns whether a host name is that of one of the account's own servers.
    pub fn is_server_name(&self, host: &str) -> bool {
        self.credentials.servers.iter().any(|server| server.eq_ignore_ascii_case(host))
    }

    /// Returns whether an address is that of one of the account's own servers, or was when its name was looked up.
    pub fn is_server_address(&self, address: IpAddr) -> bool {
        self.addresses.contains(&address)
    }

    /// Notes where the name of one of the account's servers led.
    pub fn note_addresses(&mut self, addresses: impl IntoIterator<Item = IpAddr>) {
        for address in addresses {
            if self.addresses.len() < MAX_ADDRESSES {
                self.addresses.insert(address);
            }
        }
    }

    /// Chooses what to answer in a 401 or 407: for server and proxy each the topmost challenge that can be answered
    /// and may be (AUT-06, AUT-12, AUT-13). The first realm of our own server becomes the account's.
    ///
    /// # Errors
    /// With the reason why nothing is to be answered.
    pub fn choose(
        &mut self,
        message: &Message<'_>,
        hop: IpAddr,
        own: bool,
        clear: bool,
    ) -> Result<Vec<Challenge>, Why> {
        let mut chosen = Vec::new();
        for kind in Kind::ALL {
            if message.get(kind.challenge()).is_none() {
                continue;
            }
            chosen.push(self.pick(Challenge::all(message, kind), hop, own, clear)?);
        }
        if chosen.is_empty() { Err(Why::Unsupported) } else { Ok(chosen) }
    }

    /// Chooses among the challenges of one server or proxy, by the same rules.
    ///
    /// # Errors
    /// With the reason why nothing is to be answered.
    pub fn pick(&mut self, challenges: Vec<Challenge>, hop: IpAddr, own: bool, clear: bool) -> Result<Challenge, Why> {
        let first = challenges.first().ok_or(Why::Unsupported)?;
        if !own {
            return Err(Why::ForeignHost { realm: first.realm().into(), host: hop });
        }
        let realm: Box<str> = self.realm().filter(|_| !self.any_realm).map_or_else(|| first.realm().into(), Into::into);
        let asked: Box<str> = first.realm().into();
        let mut ours = challenges.into_iter().filter(|challenge| challenge.realm() == *realm).peekable();
        if ours.peek().is_none() {
            return Err(Why::ForeignRealm { asked, ours: realm });
        }
        let min = if clear { self.credentials.min } else { Hash::Md5 };
        let topmost = ours.find(|challenge| challenge.algorithm.hash >= min).ok_or(Why::TooWeak)?;
        self.found |= self.credentials.realm.is_none() && !self.any_realm;
        self.credentials.realm = Some(realm);
        Ok(topmost)
    }

    /// Returns once whether the realm was found by a challenge.
    pub fn take_found(&mut self) -> bool {
        std::mem::take(&mut self.found)
    }

    /// Takes a nonce into use at a next hop, in place of the one before.
    pub fn begin(&mut self, hop: SocketAddr, challenge: Challenge) {
        self.sessions.retain(|session| !(session.hop == hop && session.challenge.kind == challenge.kind));
        if self.sessions.len() == MAX_SESSIONS {
            self.sessions.pop_front();
        }
        self.sessions.push_back(Session { hop, challenge, uses: 0, cnonce: None });
    }

    /// Returns H(user:realm:password), if the password is known.
    pub(super) fn ha1(&self, hash: Hash) -> Option<Zeroizing<String>> {
        let Known::Password(password) = &self.known else { return None };
        Some(digest::ha1(hash, &self.credentials.user, self.realm()?, password.reveal()))
    }

    /// Takes the password, or the reason why there is none.
    pub fn take_secret(&mut self, answer: Result<Secret, String>, now: Instant) {
        match answer {
            Ok(secret) => {
                self.generation = self.generation.wrapping_add(1);
                self.known = Known::Password(secret);
            }
            Err(why) => self.fail(Why::NoSecret(why), now),
        }
    }

    /// The password is wrong: it is forgotten, with every nonce.
    pub fn forget_secret(&mut self, now: Instant) {
        let realm = self.realm().unwrap_or_default().into();
        self.fail(Why::WrongPassword(realm), now);
        self.sessions.clear();
    }

    fn fail(&mut self, why: Why, now: Instant) {
        self.known = Known::Failed { why, until: now + NOT_AGAIN_FOR };
    }
}
