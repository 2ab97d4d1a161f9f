//! Presence for Rust programs: publish, watch and decide in a few lines, without knowing SIP.
//!
//! ```
//! # async fn f() -> Result<(), Box<dyn std::error::Error>> {
//! use sippresence::client::{Action, PresenceClient, PresenceStatus};
//!
//! let alice = PresenceClient::builder("sip:alice@127.0.0.1").default_action(Action::Allow).any_port().bind().await?;
//! let bob = PresenceClient::builder("sip:bob@127.0.0.1").any_port().bind().await?;
//!
//! alice.presence(PresenceStatus::Available).note("Working from home").await?;
//!
//! let mut watcher = bob.watch(&alice.uri()).await?;
//! if let Some(presence) = watcher.recv().await {
//!     println!("Alice is now {}", presence.status);
//! #   assert_eq!(presence.status, PresenceStatus::Available);
//! #   assert_eq!(presence.note.as_deref(), Some("Working from home"));
//! }
//! # Ok(()) }
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(f()).unwrap();
//! ```
//!
//! Whoever is not covered by a rule waits for approval:
//!
//! ```
//! # async fn f() -> Result<(), Box<dyn std::error::Error>> {
//! use sippresence::client::{BuddyList, PresenceClient, PresenceEvent, PresenceStatus};
//!
//! let alice = PresenceClient::builder("sip:alice@127.0.0.1").any_port().bind().await?;
//! let bob = PresenceClient::builder("sip:bob@127.0.0.1").any_port().bind().await?;
//! let mut events = alice.events();
//! alice.presence(PresenceStatus::InCall).await?;
//!
//! let mut buddies = BuddyList::new();
//! buddies.add(&bob, &alice.uri()).await?;
//! loop {
//!     if let PresenceEvent::SubscriptionRequest { subscriber, .. } = events.recv().await? {
//!         alice.accept(&subscriber).await?; // or alice.reject(..)
//!         break;
//!     }
//! }
//! while buddies.poll().await.iter().all(|(_, status)| status.to_string() != "in-call") {}
//! assert!(buddies.try_poll().is_empty());
//!
//! alice.reject("sip:bob@127.0.0.1").await?;
//! let (buddy, status) = buddies.poll().await.remove(0);
//! assert_eq!((buddy.to_string(), status.freshness.word()), (alice.uri(), "rejected"));
//! # Ok(()) }
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(f()).unwrap();
//! ```
//!
//! A bare name is somebody at our own host, and a watcher ends with its client:
//!
//! ```
//! # async fn f() -> Result<(), Box<dyn std::error::Error>> {
//! # use sippresence::client::{Action, PresenceClient, PresenceStatus};
//! let bob = PresenceClient::builder("sip:bob@127.0.0.1").any_port().default_action(Action::Allow).bind().await?;
//! bob.presence(PresenceStatus::Custom("Writing the report".into())).await?;
//! let mut watcher = bob.watch("bob").await?;
//! assert_eq!(watcher.recv().await.unwrap().status.to_string(), "Writing the report");
//! bob.stop().await;
//! while watcher.recv().await.is_some() {}
//! # Ok(()) }
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(f()).unwrap();
//! ```
//!
//! A [`PresenceClient`] is a handle on one task that owns the sockets and the core; it is cheap to clone. State
//! leaves through feeds: a reader sees the newest state of each thing that changed, never a backlog.

mod buddies;
mod builder;
mod driver;
mod feed;
mod keys;
mod lines;
mod local;
mod login;
mod probe;
mod publish;
mod ready;
mod server;
pub mod shown;
mod target;
mod tls;
mod trace;
mod watcher;
pub mod xcap;

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, OnceLock},
};

use thiserror::Error;
use tokio::sync::{broadcast, mpsc, oneshot};

pub use self::{
    buddies::BuddyList,
    builder::{ClientBuilder, random_urn},
    feed::{Feed, Item},
    keys::{KeysError, TrustedKeys, keyed_presentity},
    lines::Lines,
    login::{Login, PasswordSource, Peer},
    publish::PresenceBuilder,
    ready::ReadyClient,
    target::{TargetError, parse_target},
    tls::{TlsSettings, own_key},
    trace::{Direction, Trace, TraceRecord, Traced},
    watcher::{Presence, PresenceWatcher},
};
use self::{
    driver::{Command, Release},
    feed::Slot,
    server::Home,
};
pub(crate) use crate::presence::status::{did_you_mean, most_like};
use crate::sip::{endpoint::contact_uri, transport::Transport};
pub use crate::{
    config::FirstUse,
    net::{
        address,
        clock::{Clock, Sleeper, WallSleeper},
        edits::Edits,
        listen::{BindError, PortChoice},
        tls::{Fingerprint, InvalidFingerprint, OwnKey, TlsError},
    },
    presence::{
        Activity, FailureCode, Freshness, OpenWhen, PresenceEvent, PresenceInfo, PresenceStatus, PresentityState,
        buddy::{self, Buddies, Buddy},
        core::{
            Inquiry, Link, Linked, Now, OwnPresence, Preview, Refused, Restored, SavedServing, SavedWatcher, Server,
            Subscribing, WatchId, Watcher,
        },
        event::{
            FreshnessWord, Kind, Layer, LayerKind, Line, SinceFrom, StatusWord, SubscriptionInfo, Via, WatcherGrade,
            WatcherInfo,
        },
        explain,
        history::{Person, Stand},
        holds::{Hold, Holds, Lasts, SavedHolds, TooManyHolds},
        pidf::Published,
        policy::{self, Action, JudgedRule, Judgement, Policy, Require, pres_rules},
        status::{Query, ShownStatus, StatusArg},
        text,
    },
    sip::{
        auth::{Hash, Secret},
        events::rates::{Rate, Rates},
        events::{conditional::Savings, notifier::SavedSubscription},
        header::Name,
        probe::Answer,
        transaction::Timing,
        uri::{Host, Uri, escape_user, unescape_user},
    },
};

/// Why something that a client was asked to do did not come about.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The address of record is none.
    #[error("{address:?} is no address that can be used: {reason}")]
    Address {
        /// As it was given.
        address: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The target is none.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The sockets cannot be had.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// What TLS needs is of no use.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The system refused something else.
    #[error("cannot set up the network: {0}")]
    Io(#[from] std::io::Error),
    /// The display name or the user name of the login cannot stand in a header.
    #[error("the display name or the user name holds a control character")]
    DisplayName,
    /// The client was stopped.
    #[error("the client was stopped")]
    Stopped,
    /// The server does not take us.
    #[error("the server does not register us: {0}")]
    Refused(String),
    /// Nobody of that address waits or watches.
    #[error("{0} neither watches nor waits for approval")]
    NoSuchWatcher(String),
}

/// What a client is, for all its handles.
#[derive(Debug)]
struct Shared {
    home: Home,
    /// Where we are at home since we registered with a server.
    registered: OnceLock<Home>,
    /// The user part of our address, as it stands in a URI.
    user: String,
    locals: Vec<SocketAddr>,
    tls: Vec<SocketAddr>,
    commands: mpsc::Sender<Command>,
    releases: mpsc::UnboundedSender<Release>,
    events: broadcast::Sender<PresenceEvent>,
    trace: broadcast::Sender<TraceRecord>,
}

impl Shared {
    fn release(&self, id: WatchId, slot: &Arc<Slot>, place: u64) {
        // A driver that is gone has released everything.
        let _ = self.releases.send(Release { id, slot: Arc::downgrade(slot), place });
    }
}

/// A SIP user agent for presence, peer to peer; a handle that can be cloned.
///
/// When the last handle is gone the client goes offline and ends by itself.
#[derive(Clone, Debug)]
pub struct PresenceClient {
    shared: Arc<Shared>,
}

impl PresenceClient {
    /// Starts a client at an address of this machine, such as `sip:alice@192.168.1.100:5060`.
    ///
    /// Without a port it takes 5060, or the first free one of 5070 to 5089. Watchers that no rule covers wait
    /// for [`accept`](Self::accept); see [`builder`](Self::builder) for everything else that can be chosen.
    ///
    /// # Errors
    /// When the address is none of this machine's, or its port is taken.
    pub async fn bind(address: &str) -> Result<Self, ClientError> {
        Self::builder(address).bind().await
    }

    /// Begins a client whose details are chosen.
    pub fn builder(address: &str) -> ClientBuilder {
        ClientBuilder::new(address)
    }

    /// Returns an address at which others reach this client directly, port included.
    pub fn uri(&self) -> String {
        let local = self.shared.locals.first();
        local.map_or_else(|| self.address().to_owned(), |local| contact_uri(&self.shared.user, *local, None))
    }

    /// Returns every address at which others reach this client directly, the most useful first: those of the
    /// network before those of this machine alone.
    pub fn uris(&self) -> Vec<String> {
        let mut locals = self.shared.locals.clone();
        locals.sort_by_key(|local| local.ip().is_loopback());
        locals.iter().map(|local| contact_uri(&self.shared.user, *local, None)).collect()
    }

    /// Returns every address at which others reach this client by TLS, in the order of [`uris`](Self::uris).
    pub fn tls_uris(&self) -> Vec<String> {
        let mut locals = self.shared.tls.clone();
        locals.sort_by_key(|local| local.ip().is_loopback());
        locals.iter().map(|local| contact_uri(&self.shared.user, *local, Some(Transport::Tls))).collect()
    }

    /// Gives a target that means ourselves, without a port, the port that we really listen on.
    fn resolve_self(&self, uri: Uri, target: &str) -> Uri {
        let own = |ip: Option<IpAddr>| {
            let same = |local: &&SocketAddr| ip.is_none_or(|ip| local.ip() == ip);
            let local = self.shared.locals.iter().find(same)?;
            let user = self.shared.user.as_str();
            contact_uri(user, *local, None).parse().ok()
        };
        if target.trim() == "me" {
            return own(None).unwrap_or(uri);
        }
        let view = uri.as_ref();
        if view.user() != Some(self.shared.user.as_str()) || view.port().is_some() {
            return uri;
        }
        let ip = match view.host() {
            Host::Ip(ip) => Some(ip),
            Host::Name(name) if name.eq_ignore_ascii_case("localhost") => None,
            Host::Name(_) => return uri,
        };
        own(ip).unwrap_or(uri)
    }

    /// Returns the sockets' addresses; each has UDP and TCP.
    pub fn locals(&self) -> &[SocketAddr] {
        &self.shared.locals
    }

    /// Begins to publish a status; await it to send it.
    pub fn presence(&self, status: PresenceStatus) -> PresenceBuilder {
        PresenceBuilder::new(self.clone(), status)
    }

    /// Publishes a status with everything that belongs to it.
    pub async fn publish(&self, published: Published) -> Result<(), ClientError> {
        self.ask(|reply| Command::Publish(Box::new(published), reply)).await
    }

    /// Takes the publication back: we show as offline.
    pub async fn clear(&self) -> Result<(), ClientError> {
        self.ask(Command::Clear).await
    }

    /// Returns what we publish.
    pub async fn own(&self) -> Result<Arc<OwnPresence>, ClientError> {
        self.ask(Command::Own).await
    }

    /// Watches a presentity until the watcher is dropped.
    ///
    /// A bare name gets the host of our own address.
    pub async fn watch(&self, target: &str) -> Result<PresenceWatcher, ClientError> {
        PresenceWatcher::start(self, target, false).await
    }

    /// Looks at a presentity once: the watcher gets one state, then ends (RFC 6665 §4.4.3).
    pub async fn fetch(&self, target: &str) -> Result<PresenceWatcher, ClientError> {
        PresenceWatcher::start(self, target, true).await
    }

    /// Lets a watcher see us, now and later; one that waits gets our state at once.
    ///
    /// # Errors
    /// When nobody of that address waits or watches.
    pub async fn accept(&self, who: &str) -> Result<(), ClientError> {
        self.decide_known(who, Action::Allow).await
    }

    /// Refuses a watcher, now and later.
    ///
    /// # Errors
    /// When nobody of that address waits or watches.
    pub async fn reject(&self, who: &str) -> Result<(), ClientError> {
        self.decide_known(who, Action::Block).await
    }

    async fn decide_known(&self, who: &str, action: Action) -> Result<(), ClientError> {
        let canonical = crate::presence::policy::canonical(who);
        if !self.watchers().await?.iter().any(|watcher| watcher.who == canonical) {
            return Err(ClientError::NoSuchWatcher(canonical));
        }
        self.decide(&canonical, Some(action)).await
    }

    /// Puts somebody on the list of `action`, or takes them off every list; live subscriptions follow at once.
    pub async fn decide(&self, who: &str, action: Option<Action>) -> Result<(), ClientError> {
        let who = who.to_owned();
        self.ask(|reply| Command::Decide(who, action, reply)).await
    }

    /// Puts another policy in force; live subscriptions follow at once.
    pub async fn set_policy(&self, policy: Policy) -> Result<(), ClientError> {
        self.ask(|reply| Command::SetPolicy(policy, reply)).await
    }

    /// Shares a secret with these peers from now on, and with nobody else. Each secret is asked for anew; who watches us
    /// by one that is another now goes on until its subscription ends.
    pub async fn set_peers(&self, peers: Vec<Peer>) -> Result<(), ClientError> {
        let secrets = login::secrets(peers, &self.home().default_host);
        self.ask(|reply| Command::SetPeers(secrets, reply)).await
    }

    /// Says what somebody would get at a time, and why, with an identity of that grade or of the best that a subscription
    /// of it has; the document is our state as it is now.
    pub async fn preview(
        &self,
        who: &str,
        identity: Option<WatcherGrade>,
        at: jiff::Timestamp,
    ) -> Result<Preview, ClientError> {
        let who = who.to_owned();
        self.ask(|reply| Command::Preview(who, identity, at, reply)).await
    }

    /// Returns who watches us, and who wants to.
    pub async fn watchers(&self) -> Result<Vec<Watcher>, ClientError> {
        self.ask(Command::Watchers).await
    }

    /// Returns what was not sent to watchers, and what was not sent to us, because it was known (RFC 5839).
    pub async fn savings(&self) -> Result<(Savings, Savings), ClientError> {
        self.ask(Command::Savings).await
    }

    /// Returns everybody who watched us or wanted to, as far as that is remembered: a thousand people, by their addresses.
    pub async fn watcher_history(&self) -> Result<Vec<Person>, ClientError> {
        self.ask(Command::WatcherHistory).await
    }

    /// Forgets what is remembered of somebody who does not watch us now; who waits for a decision waits no more.
    pub async fn forget_watcher(&self, who: &str) -> Result<(), ClientError> {
        let who = who.to_owned();
        self.ask(|reply| Command::ForgetWatcher(who, reply)).await
    }

    /// Returns everything that happens from now on; a reader that falls far behind loses the oldest.
    pub fn events(&self) -> broadcast::Receiver<PresenceEvent> {
        self.shared.events.subscribe()
    }

    /// Returns every SIP message that is sent or received from now on, secrets hidden; a reader that falls far
    /// behind loses the oldest.
    pub fn trace(&self) -> Trace {
        Trace::new(self.shared.trace.subscribe())
    }

    /// Returns a feed of nothing yet; see [`Feed::add`].
    pub fn feed(&self) -> Feed {
        Feed::default()
    }

    /// Goes offline: watchers are told, subscriptions end, at most two seconds. Every watcher then ends.
    pub async fn stop(&self) {
        // A client that is gone already has nothing left to stop.
        let _: Result<(), ClientError> = self.ask(Command::Stop).await;
    }

    /// Returns what is to be saved of our watchers, for [`ClientBuilder::restore`]; [`Feed::add_saved`] tells when
    /// it changed (NOT-29).
    pub async fn saved(&self) -> Result<SavedServing, ClientError> {
        self.ask(Command::Saved).await
    }

    /// Returns the realm that alone gets our password, once it is known. One that was found is to be kept for
    /// [`Login::realm`] at the next start; [`Feed::add_saved`] tells when there is one (AUT-12).
    pub async fn realm(&self) -> Result<Option<String>, ClientError> {
        self.ask(Command::Realm).await
    }

    /// Ends without a word, to be started again: nothing is sent from now on, our watchers go on with what this
    /// returns (NOT-23). Every watcher of ours ends, as at any end.
    ///
    /// # Errors
    /// When the client was stopped before.
    pub async fn halt(&self) -> Result<SavedServing, ClientError> {
        self.ask(Command::Halt).await
    }

    /// Says that the machine slept or its addresses changed, for those who know before we notice: everything
    /// watched is stale until confirmed, and asked about once within seconds (SEC-20).
    pub async fn resumed(&self) -> Result<(), ClientError> {
        self.ask(Command::Resumed).await
    }

    /// Returns whether the client has stopped, for whatever reason.
    pub fn is_gone(&self) -> bool {
        self.shared.commands.is_closed()
    }

    /// Waits until the client has stopped, for whatever reason.
    pub async fn gone(&self) {
        self.shared.commands.closed().await;
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, ClientError> {
        let (reply, answer) = oneshot::channel();
        self.shared.commands.send(command(reply)).await.map_err(|_| ClientError::Stopped)?;
        answer.await.map_err(|_| ClientError::Stopped)
    }
}
