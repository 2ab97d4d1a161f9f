//! The sans-IO heart: own presence, watched presentities and watchers, above one endpoint.
//!
//! [`Core::handle`] takes everything that happens, with the time at which it happens; what is to be done leaves
//! through an [`Outbox`]. It never waits, reads no clock and holds no socket, so every hour of its life can be
//! tested in microseconds.

mod informing;
mod judging;
mod linked;
mod probing;
mod proving;
mod remembering;
mod route;
mod saving;
mod serving;
mod subject;
mod uplink;
mod vouched;
mod watched;
mod watching;
mod winfo;

use std::{
    collections::{BTreeSet, HashMap},
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use rand::rngs::StdRng;

use self::{
    informing::Informing, probing::Probing, proving::Proving, remembering::Remembering, serving::Serving, subject::Own,
    uplink::Uplink, watching::Watching, winfo::AtServer,
};
use super::{
    PresenceEvent, PresenceStatus, PresentityState,
    pidf::{Identity, Published},
    policy::Policy,
    status::OpenWhen,
};
use crate::sip::{
    auth::{AccountId, Credentials, Hash, Secret},
    codec::EncodeError,
    dialog::Party,
    effect::{Effect, QueryId},
    endpoint::{ALLOW, Counters, Endpoint, EndpointConfig, Event, contact_uri},
    events::{
        ALLOW_EVENTS, EventPackage, Step, User,
        conditional::Savings,
        notifier::{MAX_PER_WATCHER, Notifier, NotifierConfig},
        publisher::SavedPublication,
        rates::Rates,
        subscriber::Subscriber,
    },
    locate::{self, Answer},
    message::Method,
    probe::{self, ProbeId},
    time::Instant,
    transaction::Timing,
    transport::{ConnId, Flow, TlsFailure},
    uri::Uri,
};

pub use super::views::Hiding;
pub(crate) use informing::end_of;
pub use judging::Preview;
pub use linked::{Link, Linked};
pub use probing::{Inquiry, Refused};
pub(crate) use proving::Asker;
pub(crate) use remembering::{decision_about, instant_of};
pub use route::{Server, Way};
pub use saving::{Restored, SavedServing, SavedWatcher};
pub use serving::Watcher;
pub(crate) use serving::{grade, host_of, state_of, state_word};
pub use vouched::Vouched;
pub use watching::{Subscribing, WatchId};
pub use winfo::WATCHER_INFO;

/// The presence event package (RFC 3856).
pub const PRESENCE: EventPackage = EventPackage { name: "presence", content_type: "application/pidf+xml" };

/// The pause between two NOTIFYs for changes of state (RFC 3856 §6.10).
const NOTIFY_RATE: Duration = Duration::from_secs(5);

/// What the core is told once.
#[derive(Clone, Debug)]
pub struct CoreConfig {
    /// Our address of record.
    pub address: Uri,
    /// The name that goes with it.
    pub display_name: Option<String>,
    /// Our sockets; each has UDP and TCP.
    pub locals: Vec<SocketAddr>,
    /// Our sockets for connections under TLS.
    pub tls: Vec<SocketAddr>,
    /// Every address of this machine: requests to us at any of them are for us.
    pub machine: Vec<IpAddr>,
    /// Names of this machine.
    pub names: Vec<String>,
    /// Base timers.
    pub timing: Timing,
    /// URN of this device.
    pub device_id: String,
    /// What the device is called, if it is told.
    pub device: Option<String>,
    /// Which statuses are sent as open.
    pub open_when: OpenWhen,
    /// Who may see us.
    pub policy: Policy,
    /// The shortest subscription granted, in seconds.
    pub min_expires: u32,
    /// How many subscriptions are served.
    pub max_subscriptions: usize,
    /// Seconds to ask for when watching.
    pub expires: u32,
    /// The longest pause between two attempts to watch.
    pub retry_cap: Duration,
    /// How many subscriptions are made a second; zero sets no limit.
    pub rate: u32,
    /// How often those who are watched are asked to tell of changes (RFC 6446).
    pub rates: Rates,
    /// Take what peers of older days get wrong.
    pub lenient: bool,
    /// The user's language, to choose among notes.
    pub language: Option<String>,
    /// Who we are towards our own server, if anybody.
    pub credentials: Option<Credentials>,
    /// Our own server, if we work through one.
    pub server: Option<Server>,
    /// The weakest hash by which somebody may prove who it is, and we to a peer.
    pub auth_min: Hash,
    /// Write for programs of older days: they are challenged once, by that hash alone.
    pub legacy: bool,
}

/// A moment, on both clocks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Now {
    /// For everything that lasts.
    pub at: Instant,
    /// For documents and for people.
    pub wall: Timestamp,
}

/// Everything that can happen to the core from outside.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// A datagram came.
    Datagram {
        /// The socket's own address.
        local: SocketAddr,
        /// Who sent it.
        remote: SocketAddr,
        /// What.
        bytes: &'a [u8],
    },
    /// A connection stands.
    Opened(Flow),
    /// Whoever opened a connection has proved who it is; before any of its data.
    Vouched {
        /// On which.
        conn: ConnId,
        /// For whom that is proof.
        vouched: Vouched,
    },
    /// A connection brought bytes.
    Data {
        /// Which.
        conn: ConnId,
        /// What.
        bytes: &'a [u8],
    },
    /// A connection ended, or never came to be.
    Closed(ConnId),
    /// A connection under TLS was made, and is not to be used.
    TlsFailed {
        /// Which.
        conn: ConnId,
        /// Why.
        error: TlsFailure,
    },
    /// The system says that datagrams to that address do not arrive.
    SendFailed(SocketAddr),
    /// A look-up was answered.
    Resolved {
        /// Which.
        query: QueryId,
        /// What was found, or why nothing was.
        answer: Result<Answer, String>,
    },
    /// The password of an account came, or the reason why it cannot be had.
    Secret {
        /// Whose.
        account: AccountId,
        /// It.
        answer: Result<Secret, String>,
    },
    /// The machine slept, or its addresses changed.
    Resumed,
    /// Time passed.
    Tick,
}

/// What changed; read as its newest state by whoever is interested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// Something that we watch.
    Watch(WatchId),
    /// What we publish.
    Own,
    /// Who watches us.
    Watchers,
    /// How we stand with our own server.
    Server,
    /// What is to be saved: see [`Core::saved`] and [`Core::realm`].
    Saved,
}

/// What leaves the core.
#[derive(Debug, Default)]
pub struct Outbox {
    /// To be done in the world, in this order.
    pub effects: Vec<Effect>,
    /// To be told to programs.
    pub events: Vec<PresenceEvent>,
    /// What has a newer state.
    pub changed: BTreeSet<Key>,
    /// Questions to our server that have their outcome.
    pub answered: Vec<(ProbeId, Result<probe::Answer, Refused>)>,
}

/// What we publish.
#[derive(Clone, Debug, PartialEq)]
pub struct OwnPresence {
    /// Our address of record.
    pub entity: String,
    /// What was set, if anything; without it we show as offline.
    pub published: Option<Published>,
}

/// The heart; see the module's text.
#[derive(Debug)]
pub struct Core {
    config: CoreConfig,
    from: Party,
    endpoint: Endpoint<User>,
    account: Option<AccountId>,
    subscriber: Subscriber,
    notifier: Notifier,
    uplink: Uplink,
    probing: Probing,
    watching: Watching,
    serving: Serving,
    informing: Informing,
    at_server: AtServer,
    remembering: Remembering,
    /// Whom connections that others opened have proved to be.
    vouched: HashMap<ConnId, Vouched>,
    proving: Proving,
    own: Arc<OwnPresence>,
    linked: Arc<Linked>,
    /// What an earlier run published, until this run publishes.
    saved_publication: Option<SavedPublication>,
    identity: Identity,
}

impl Core {
    /// Makes a core that publishes nothing and watches nobody.
    ///
    /// # Errors
    /// When the display name or the account's user name cannot stand in a header (PAR-21).
    pub fn new(config: CoreConfig, rng: StdRng, now: Now) -> Result<Self, EncodeError> {
        let aor = config.address.as_ref();
        let from = Party::new(config.display_name.as_deref(), &aor)?;
        let user = aor.user().unwrap_or_default();
        let contact = config.locals.first().map_or_else(|| aor.aor(), |local| contact_uri(user, *local, None));
        let identity = Identity::new(aor.aor(), contact, config.device_id.clone());
        let endpoint = EndpointConfig {
            timing: config.timing,
            locals: config.locals.clone(),
            tls: config.tls.clone(),
            transports: locate::TRANSPORTS,
            allow: ALLOW,
            supported: &[],
            allow_events: ALLOW_EVENTS,
            accept: PRESENCE.content_type,
        };
        let mut endpoint = Endpoint::new(endpoint, rng);
        let account = config.credentials.clone().map(|credentials| endpoint.add_account(credentials)).transpose()?;
        let notifier = NotifierConfig {
            package: PRESENCE,
            min_expires: config.min_expires,
            max_subscriptions: config.max_subscriptions,
            max_per_watcher: MAX_PER_WATCHER,
            rate: NOTIFY_RATE,
            whole: true,
            listing: None,
            account,
            user: User::Notifier,
        };
        let mut subscriber = Subscriber::default();
        subscriber.lenient = config.lenient;
        subscriber.set_rate(config.rate);
        let own = OwnPresence { entity: aor.aor(), published: None };
        let proving = Proving::new(&config.address, (config.auth_min, config.legacy), now.at, &mut endpoint)?;
        let mut core = Self {
            from,
            endpoint,
            account,
            subscriber,
            notifier: Notifier::new(notifier),
            uplink: Uplink::default(),
            probing: Probing::default(),
            watching: Watching::default(),
            serving: Serving::new(now.wall),
            informing: Informing::new(config.min_expires, account),
            at_server: AtServer::default(),
            remembering: Remembering::default(),
            vouched: HashMap::new(),
            proving,
            own: Arc::new(own),
            linked: Arc::default(),
            saved_publication: None,
            identity,
            config,
        };
        let moment = core.moment(now.wall);
        core.hide(&moment, now);
        core.find_edge(now);
        Ok(core)
    }

    /// Takes one input.
    pub fn handle(&mut self, input: Input<'_>, now: Now, out: &mut Outbox) {
        match input {
            Input::Datagram { local, remote, bytes } => {
                let event = self.endpoint.datagram(local, remote, bytes, now.at, &mut out.effects);
                self.dispatch(event, now, out);
            }
            Input::Opened(flow) => self.endpoint.stream_opened(flow, now.at, &mut out.effects),
            Input::Data { conn, bytes } => {
                self.endpoint.stream_data(conn, bytes, now.at);
                while let Some(frame) = self.endpoint.next_frame(conn, now.at, &mut out.effects) {
                    let event = self.endpoint.frame(conn, &frame, now.at, &mut out.effects);
                    self.dispatch(event, now, out);
                }
            }
            Input::Vouched { conn, vouched } => {
                self.vouched.insert(conn, vouched);
            }
            Input::Closed(conn) => {
                self.vouched.remove(&conn);
                self.proving.closed(conn);
                self.endpoint.stream_closed(conn, now.at, &mut out.effects);
            }
            Input::TlsFailed { conn, error } => {
                self.endpoint.stream_untrusted(conn, error, now.at, &mut out.effects);
            }
            Input::SendFailed(remote) => self.endpoint.send_failed(remote, now.at, &mut out.effects),
            Input::Resolved { query, answer } => {
                if let Some(Ok(Answer::Addresses(addresses))) =
                    self.endpoint.resolved(query, answer, now.at, &mut out.effects)
                {
                    self.watcher_resolved(query, &addresses, now, out);
                }
            }
            Input::Secret { account, answer } => {
                self.secret_came(account, &answer);
                self.endpoint.secret(account, answer, now.at);
            }
            Input::Resumed => {
                let mut step = Step { now: now.at, endpoint: &mut self.endpoint, out: &mut out.effects };
                self.subscriber.resumed(&mut step);
                self.uplink.resumed(&mut step);
                self.endpoint.resumed(now.at);
            }
            Input::Tick => {}
        }
        self.settle(now, out);
    }

    /// Runs the timers and gathers what the machines have to say.
    fn settle(&mut self, now: Now, out: &mut Outbox) {
        self.follow_times(now, out);
        self.follow_retries(now, out);
        self.endpoint.tick(now.at, &mut out.effects);
        // A request that nobody answered has failed before its subscription looks at the clock.
        self.follow_failures(now, out);
        self.follow_lost_flows(now, out);
        let mut step = Step { now: now.at, endpoint: &mut self.endpoint, out: &mut out.effects };
        self.subscriber.tick(&mut step);
        self.uplink.tick(&mut step);
        self.notifier.tick(now.at, self.config.timing.t1);
        self.informing.notifier.tick(now.at, self.config.timing.t1);
        self.follow_failures(now, out);
        self.follow_subscriptions(now, out);
        self.follow_watchers(now, out);
        self.follow_informing();
        self.follow_server(now, out);
        self.ask_again(now, out);
        self.follow_history(now, out);
        if out.changed.contains(&Key::Watchers) {
            self.inform(now);
        }
        if self.notifier.take_unsaved() | self.endpoint.take_realm_news() {
            out.changed.insert(Key::Saved);
        }
    }

    fn follow_failures(&mut self, now: Now, out: &mut Outbox) {
        while let Some((user, failure)) = self.endpoint.next_failure() {
            match user {
                User::Subscriber(id, attempt) => {
                    let (subscriber, mut step) = self.subscriber_step(now, out);
                    subscriber.failed(id, attempt, failure, &mut step);
                }
                User::Notifier(id, attempt) => self.notifier.failed(id, attempt, &failure),
                User::WatcherInfo(id, attempt) => self.informing.notifier.failed(id, attempt, &failure),
                // We are asked for no list.
                User::List(..) => {}
                User::Publisher(..) | User::Registration(..) => {
                    let mut step = Step { now: now.at, endpoint: &mut self.endpoint, out: &mut out.effects };
                    self.uplink.failed(user, failure, &mut step);
                }
                User::Probe(id, attempt) => self.probing.failed(id, attempt, failure, out),
            }
        }
    }

    /// What was kept alive and is gone takes with it what others told us by it: it is asked for anew, after our binding where
    /// that went the same way.
    fn follow_lost_flows(&mut self, now: Now, out: &mut Outbox) {
        while let Some(conn) = self.endpoint.next_lost_flow() {
            let mut step = Step { now: now.at, endpoint: &mut self.endpoint, out: &mut out.effects };
            let at = self.uplink.flow_lost(conn, &mut step).unwrap_or(now.at);
            self.subscriber.flow_lost(conn, at, &mut step);
        }
    }

    /// Has challenged requests sent again, each under the number that its dialog has reached.
    fn follow_retries(&mut self, now: Now, out: &mut Outbox) {
        while let Some((user, retry)) = self.endpoint.next_retry() {
            let seq = match user {
                User::Subscriber(id, attempt) => {
                    let (subscriber, mut step) = self.subscriber_step(now, out);
                    subscriber.renumber(id, attempt, &mut step)
                }
                User::Notifier(id, attempt) => self.notifier.renumber(id, attempt),
                User::WatcherInfo(id, attempt) => self.informing.notifier.renumber(id, attempt),
                User::List(..) => None,
                User::Publisher(..) | User::Registration(..) => self.uplink.renumber(user),
                User::Probe(id, attempt) => self.probing.renumber(id, attempt),
            };
            self.endpoint.retry(retry, seq, now.at, &mut out.effects);
        }
    }

    fn dispatch(&mut self, event: Option<Event<'_, User>>, now: Now, out: &mut Outbox) {
        match event {
            Some(Event::Request { id, flow, message }) => {
                self.peer_seen(flow, &message, now, out);
                match message.method() {
                    Some(Method::Notify) => self.notify_received(id, flow, &message, now, out),
                    Some(Method::Subscribe) => self.subscribe_received(id, flow, &message, now, out),
                    // The endpoint lets no other method through.
                    _ => {}
                }
            }
            Some(Event::Answered { flow, message }) => self.peer_seen(flow, &message, now, out),
            Some(Event::Response { user, flow, message }) => {
                self.proving.answered(user, flow);
                if !flow.transport.is_stream() {
                    self.notifier.address_answered(flow.remote, now.at);
                }
                let mut step = Step { now: now.at, endpoint: &mut self.endpoint, out: &mut out.effects };
                match user {
                    User::Subscriber(id, attempt) => {
                        self.subscriber.response(id, attempt, flow, &message, &mut step);
                    }
                    User::Notifier(id, attempt) => self.notifier.response(id, attempt, &message, &mut step),
                    User::WatcherInfo(id, attempt) => {
                        self.informing.notifier.response(id, attempt, &message, &mut step);
                    }
                    User::List(..) => {}
                    User::Publisher(..) | User::Registration(..) => {
                        self.uplink.response(user, flow, &message, &mut step);
                    }
                    User::Probe(id, attempt) => self.probing.response(id, attempt, flow, &message, out),
                }
            }
            Some(Event::Challenged { user, flow }) => {
                self.proving.answered(user, flow);
                if !flow.transport.is_stream() {
                    self.notifier.address_answered(flow.remote, now.at);
                }
                if let User::Subscriber(id, attempt) = user {
                    let (subscriber, mut step) = self.subscriber_step(now, out);
                    subscriber.challenged(id, attempt, &mut step);
                }
                self.follow_retries(now, out);
            }
            None => {}
        }
    }

    fn subscriber_step<'a>(&'a mut self, now: Now, out: &'a mut Outbox) -> (&'a mut Subscriber, Step<'a>) {
        let step = Step { now: now.at, endpoint: &mut self.endpoint, out: &mut out.effects };
        (&mut self.subscriber, step)
    }

    /// Sends NOTIFYs that wait, at most `limit`; to be called between two inputs while
    /// [`wants_pump`](Self::wants_pump) says so.
    pub fn pump(&mut self, limit: usize, now: Now, out: &mut Outbox) {
        let Self { notifier, endpoint, serving, own, identity, config, .. } = self;
        let mut step = Step { now: now.at, endpoint, out: &mut out.effects };
        let subject = Own::new(own, identity, config);
        notifier.pump(limit, &mut step, |view| serving.views.body(view, subject));
        self.pump_informing(limit, now, out);
        self.settle(now, out);
    }

    /// Returns whether NOTIFYs wait and may go.
    pub fn wants_pump(&self) -> bool {
        self.notifier.wants_pump() || self.informing.notifier.wants_pump()
    }

    /// Returns when the next [`Input::Tick`] is due.
    pub fn deadline(&self) -> Option<Instant> {
        let t1 = self.config.timing.t1;
        let (endpoint, uplink) = (self.endpoint.deadline(), self.uplink.deadline());
        let (forgets, asks) = (self.remembering.deadline(), self.at_server.deadline());
        let (serves, informs) = (self.notifier.deadline(t1), self.informing_deadline());
        let timers = [endpoint, uplink, self.subscriber.deadline(), serves, informs, forgets, asks, self.edge_at()];
        timers.into_iter().flatten().min()
    }

    /// Returns what was dropped in silence so far.
    pub fn counters(&self) -> Counters {
        self.endpoint.counters()
    }

    /// Returns what was not sent to watchers, and what was not sent to us, because it was known (RFC 5839).
    pub fn savings(&self) -> (Savings, Savings) {
        (self.notifier.savings(), self.subscriber.savings())
    }

    /// Returns how many proven and unproven subscriptions are served: for tests of leaks and limits.
    pub fn served(&self) -> (usize, usize) {
        self.notifier.counts()
    }

    /// Returns how many client and server transactions and connections are alive.
    pub fn sizes(&self) -> (usize, usize, usize) {
        self.endpoint.sizes()
    }

    /// Returns our address of record.
    pub fn address(&self) -> &Uri {
        &self.config.address
    }

    /// Returns the realm that alone gets our password, once it is known: one that was found is to be remembered, and
    /// handed in again at the next start (AUT-12).
    pub fn realm(&self) -> Option<&str> {
        self.endpoint.realm(self.account?)
    }

    /// Returns our sockets.
    pub fn locals(&self) -> &[SocketAddr] {
        &self.config.locals
    }

    /// Returns what we publish.
    pub fn own(&self) -> Arc<OwnPresence> {
        Arc::clone(&self.own)
    }

    /// Publishes a status to whoever may see it.
    pub fn publish(&mut self, mut published: Published, now: Now, out: &mut Outbox) {
        if published.device.is_none() {
            published.device.clone_from(&self.config.device);
        }
        published.timestamp = now.wall;
        out.events.push(PresenceEvent::PresencePublished {
            entity: self.own.entity.clone(),
            status: published.status.clone(),
            note: published.effective_note(),
            timestamp: published.timestamp,
        });
        self.set_own(Some(published), now, out);
    }

    /// Takes the publication back: we show as offline.
    pub fn clear(&mut self, now: Now, out: &mut Outbox) {
        if self.own.published.is_some() {
            out.events.push(PresenceEvent::PresencePublished {
                entity: self.own.entity.clone(),
                status: PresenceStatus::Offline,
                note: None,
                timestamp: now.wall,
            });
            self.set_own(None, now, out);
        }
    }

    fn set_own(&mut self, published: Option<Published>, now: Now, out: &mut Outbox) {
        if published.is_none() {
            out.changed.insert(Key::Saved);
        }
        let offline_since = published.is_none().then_some(now.wall);
        self.own = Arc::new(OwnPresence { entity: self.own.entity.clone(), published });
        self.state_changed(offline_since, now);
        self.go_by_sphere(now, out);
        out.changed.insert(Key::Own);
        if let Some(server) = self.config.server.clone() {
            self.publish_at_server(&server, now, out);
            self.settle(now, out);
        }
    }

    /// Goes offline: watchers are told, subscriptions ended. The driver pumps until nothing waits any more, two
    /// seconds at most (NOT-23).
    pub fn go_offline(&mut self, now: Now, out: &mut Outbox) {
        let Self { serving, own, identity, config, .. } = self;
        let subject = Own::new(own, identity, config);
        serving.views.going_offline(subject, now.wall);
        self.notifier.go_offline(now.at);
        self.informing.notifier.go_offline(now.at);
        self.end_all_watches(now, out);
        self.leave_server(now, out);
        self.settle(now, out);
    }

    /// Returns whether a goodbye is still unanswered; goes through everything that is under way.
    pub fn is_busy(&self) -> bool {
        self.endpoint.unanswered() > 0 || self.wants_pump() || !self.subscriber.is_empty()
    }

    /// Returns the newest state of what is watched.
    pub fn state(&self, id: WatchId) -> Option<Arc<PresentityState>> {
        self.watching.state(id)
    }
}
