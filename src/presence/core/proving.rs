//! Who asks for our state, as far as that was proven: by a secret that we share, by a key, by our own server (AUT-17,
//! AUT-18, AUT-19, POL-19).
//!
//! A peer with whom a secret is shared is challenged whenever a subscription would begin in its name, and nobody gets
//! further by writing that name (RFC 3261 §22). The same secret answers the challenges of that peer, and of nobody
//! else. Within a subscription our tag is the proof, from the address that it was told to.

mod peers;

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    time::Duration,
};

use rand::rngs::StdRng;
use tracing::debug;

use super::{Core, Key, Now, Outbox, serving::host_of};
use crate::{
    presence::{
        event::WatcherGrade,
        policy::{canonical, is_anonymous},
        text::visible,
    },
    sip::{
        auth::{
            AccountId, Hash,
            server::{Asked, Checked, Guard, Stored, User as Named},
        },
        codec::EncodeError,
        effect::Effect,
        endpoint::{Endpoint, ServerId},
        events::{User, notifier::ServedId},
        header::{Name, NameAddr},
        message::Message,
        time::Instant,
        transport::{ConnId, Flow},
        uri::{Uri, UriRef},
    },
};

/// Who does not say who it is (RFC 3323 §4.1).
const ANONYMOUS: &str = "sip:anonymous@anonymous.invalid";
/// A secret that could not be had is asked for again after this long, when it is wanted.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(30);
/// When somebody may come again whose secret is not there yet, in seconds.
const READY_IN: u32 = 5;

/// A peer with whom we share a secret.
#[derive(Debug)]
struct Peer {
    address: Uri,
    /// What its From says.
    who: String,
    account: AccountId,
    /// Whether it is a peer any more; its account stays for when it comes back.
    current: bool,
    stored: Option<Stored>,
    asked_at: Instant,
}

/// Whom we can tell from others, and how.
#[derive(Debug)]
pub(super) struct Proving {
    guard: Guard,
    /// The weakest hash, and whether it is the only one that is asked for.
    hashes: (Hash, bool),
    peers: Vec<Peer>,
    by_who: HashMap<String, usize>,
    /// Connections that we opened to our own server, and that it answered on.
    server: HashSet<ConnId>,
}

/// Who asks.
#[derive(Debug)]
pub(crate) struct Asker {
    /// In the form in which rules name it.
    pub(crate) who: String,
    /// The host of that.
    pub(crate) host: Result<IpAddr, String>,
    /// Whether that is proven.
    pub(crate) verified: bool,
    /// Whether its address is by that as well (SEC-01).
    pub(crate) reached: bool,
}

impl Asker {
    /// Makes somebody of whom nothing is known but what it says.
    pub(crate) fn claims(from: &UriRef<'_>) -> Self {
        Self { who: canonical(&from.aor()), host: host_of(from), verified: false, reached: false }
    }

    /// Makes whoever does not say who it is (AUT-19).
    pub(crate) fn nobody() -> Self {
        Self { who: ANONYMOUS.to_owned(), host: Err("anonymous.invalid".to_owned()), verified: false, reached: false }
    }
}

impl Proving {
    pub(super) fn new(
        address: &Uri,
        hashes: (Hash, bool),
        now: Instant,
        endpoint: &mut Endpoint<User>,
    ) -> Result<Self, EncodeError> {
        let guard = guard(address, hashes, now, endpoint.rng())?;
        Ok(Self { guard, hashes, peers: Vec::new(), by_who: HashMap::new(), server: HashSet::new() })
    }

    /// Returns whose challenges are answered for requests to a target: those of the very peer.
    pub(super) fn account_for(&self, target: &UriRef<'_>) -> Option<AccountId> {
        let is_it = |peer: &&Peer| {
            let address = peer.address.as_ref();
            address.user() == target.user() && address.host_equals(target) && address.port() == target.port()
        };
        self.peers.iter().filter(|peer| peer.current).find(is_it).map(|peer| peer.account)
    }

    fn peer(&self, who: &str) -> Option<&Peer> {
        self.by_who.get(who).map(|place| &self.peers[*place])
    }

    /// Something of ours was answered: what is for our own server alone tells which connection leads there.
    pub(super) fn answered(&mut self, user: User, flow: Flow) {
        if let (User::Publisher(..) | User::Registration(..), Some(conn)) = (user, flow.conn)
            && !conn.is_accepted()
        {
            self.server.insert(conn);
        }
    }

    pub(super) fn closed(&mut self, conn: ConnId) {
        self.server.remove(&conn);
    }

    fn index(&mut self) {
        self.by_who.clear();
        for (place, peer) in self.peers.iter().enumerate().filter(|(_, peer)| peer.current) {
            self.by_who.entry(peer.who.clone()).or_insert(place);
        }
    }
}

impl Core {
    /// Finds out who sent a SUBSCRIBE; none when it was answered: with a challenge, or a refusal. Nothing is kept of
    /// that (SEC-02).
    pub(super) fn identify(
        &mut self,
        request: ServerId,
        flow: Flow,
        message: &Message<'_>,
        now: Now,
        out: &mut Outbox,
    ) -> Option<Asker> {
        let asker = Asker::claims(&message.from().ok()?.uri);
        let hides = is_anonymous(&asker.who) || asks_for_privacy(message);
        if let Some(conn) = flow.conn
            && self.proving.server.contains(&conn)
            && let Some((who, host)) = asserted(message)
        {
            return Some(if hides { Asker::nobody() } else { Asker { who, host, verified: true, reached: true } });
        }
        let vouched = flow.conn.and_then(|conn| self.vouched.get(&conn));
        if vouched.is_some_and(|vouched| vouched.is_of(&asker.who, &asker.host)) {
            return Some(Asker { verified: true, ..asker });
        }
        if self.proving.guard.is_answered(message) || !hides && self.proving.peer(&asker.who).is_some() {
            let shown = self.check(request, flow, message, now, out)?;
            if shown != asker.who {
                debug!(watcher = %visible(&shown), "wrote the name of somebody else");
                self.endpoint.respond_with(request, flow, message, 403, now.at, &mut out.effects, |_| {});
                return None;
            }
            return Some(Asker { verified: true, reached: true, ..asker });
        }
        Some(if hides { Asker::nobody() } else { asker })
    }

    /// A subscription is to go on. Our tag is proof enough where it was told to; from another address, and of a peer
    /// who did not prove itself before, more is asked for. Returns whether it may, and answers if not.
    pub(super) fn may_go_on(
        &mut self,
        (request, flow, message): (ServerId, Flow, &Message<'_>),
        id: ServedId,
        now: Now,
        out: &mut Outbox,
    ) -> bool {
        let moved = self.notifier.info(id).is_some_and(|served| served.source.ip() != flow.remote.ip());
        let entry = self.serving.entries.get(&id).filter(|entry| !entry.own);
        let entry = entry.filter(|entry| moved || entry.grade != WatcherGrade::Verified);
        let Some(who) = entry.map(|entry| entry.who.clone()).filter(|who| self.proving.peer(who).is_some()) else {
            return true;
        };
        let Some(asker) = self.identify(request, flow, message, now, out) else { return false };
        if !asker.verified || asker.who != who {
            self.endpoint.respond_with(request, flow, message, 403, now.at, &mut out.effects, |_| {});
            return false;
        }
        if !flow.transport.is_stream() {
            self.notifier.address_answered(flow.remote, now.at);
        }
        if let Some(entry) = self.serving.entries.get_mut(&id) {
            entry.grade = WatcherGrade::Verified;
            out.changed.insert(Key::Saved);
        }
        true
    }

    /// Looks at credentials; returns whose they are. Whatever else they are is answered.
    fn check(
        &mut self,
        request: ServerId,
        flow: Flow,
        message: &Message<'_>,
        now: Now,
        out: &mut Outbox,
    ) -> Option<String> {
        let Self { proving: Proving { guard, peers, by_who, .. }, config, endpoint, .. } = self;
        let target = message.request_uri().and_then(|uri| UriRef::parse(uri).ok());
        // A proxy may have put our contact in place of our address: both are us.
        let is_same = |uri: &str| {
            let uri = UriRef::parse(uri).ok();
            uri.zip(target).is_some_and(|(uri, target)| {
                uri.equals(&target) || config.is_address_of(&uri) && config.is_address_of(&target)
            })
        };
        let asked = Asked { message, source: flow.remote.ip(), is_same: &is_same };
        let mut wanted = None;
        let find = |user: &str| {
            // The very name that was hashed, and no other way to write it.
            let who = canonical(user);
            let place = by_who.get(&who).filter(|_| name_of(&who) == user);
            let Some(peer) = place.map(|place| &peers[*place]) else { return Named::Unknown };
            peer.stored.as_ref().map_or_else(
                || {
                    wanted = place.copied();
                    Named::Unready
                },
                Named::Known,
            )
        };
        let checked = guard.check(asked, find, now.at, endpoint.rng());
        if let Some(peer) = wanted.and_then(|place| peers.get_mut(place))
            && now.at >= peer.asked_at + ASK_AGAIN_AFTER
        {
            peer.asked_at = now.at;
            out.effects.push(Effect::AskSecret { account: peer.account });
        }
        let (code, header, values) = match checked {
            Checked::Proven(user) => return Some(canonical(&user)),
            Checked::Challenged(values) => (401, Name::WwwAuthenticate, values),
            Checked::Unfit => (400, Name::WwwAuthenticate, Vec::new()),
            Checked::TooSoon(seconds) => (503, Name::RetryAfter, vec![seconds.to_string()]),
            Checked::Unready => (503, Name::RetryAfter, vec![READY_IN.to_string()]),
        };
        endpoint.respond_with(request, flow, message, code, now.at, &mut out.effects, |head| {
            for value in &values {
                head.header(header, value);
            }
        });
        None
    }
}

/// Makes the guard of an address of ours.
fn guard(address: &Uri, (min, alone): (Hash, bool), now: Instant, rng: &mut StdRng) -> Result<Guard, EncodeError> {
    let guard = Guard::new(name_of(&canonical(address.as_str())), min, now, rng)?;
    Ok(if alone { guard.asking_for_the_weakest() } else { guard })
}

/// Returns what stands for a person in credentials: the address of record without its scheme.
fn name_of(who: &str) -> &str {
    who.strip_prefix("sip:").unwrap_or(who)
}

/// Returns the first identity that a server asserts (RFC 3325 §9.1), with its host; to be believed of our own alone.
fn asserted(message: &Message<'_>) -> Option<(String, Result<IpAddr, String>)> {
    let values = message.values(Name::PAssertedIdentity);
    let mut named = values.filter_map(|value| NameAddr::parse(value).ok()).map(|party| party.uri);
    let uri = named.next()?;
    Some((canonical(&uri.aor()), host_of(&uri)))
}

/// Returns whether a watcher wants not to be known (RFC 3323 §4.2, RFC 3325 §9.3).
fn asks_for_privacy(message: &Message<'_>) -> bool {
    let values = message.all(Name::Privacy).filter_map(|value| std::str::from_utf8(value).ok());
    let mut words = values.flat_map(|value| value.split([';', ',']));
    words.any(|word| ["id", "user"].iter().any(|known| word.trim().eq_ignore_ascii_case(known)))
}
