//! The presence of everybody in some domains: a state agent (RFC 3856 §5) for many presentities, without input and output.
//!
//! It is the agent's own notifier, policy and composition, for many. Requests come in by [`Domain::handle`]; what is to be
//! done and what is to be kept leaves through an [`Outbox`]. An answer that promises something stands there beside the
//! records that keep the promise, and whoever owns the domain lets the one go when the others are on disk. It reads no
//! clock and holds no socket, as the agent's core.

mod config;
mod documents;
mod identity;
mod informing;
mod judging;
mod keeping;
mod listing;
mod presentity;
mod publishing;
mod registering;
mod state;
mod subscribing;

use std::{sync::Arc, time::Duration};

use rand::rngs::StdRng;

pub use self::{
    config::{DomainConfig, Limits, Outbox, Sizes, Tally},
    documents::Before,
    keeping::Restored,
};
use self::{documents::Kept, informing::Informing, listing::Listing, presentity::Presentities, subscribing::Entry};
use super::accounts::{Accounts, Guards};
use crate::{
    presence::{
        core::{Input, Now, PRESENCE},
        policy::{Action, Policy},
    },
    sip::{
        beside::Beside,
        codec::Head,
        endpoint::{Counters as Dropped, Endpoint, EndpointConfig, Event, SERVER_ALLOW, ServerId},
        events::{
            ALLOW_EVENTS, Step, User,
            compositor::{Before as PublicationBefore, Compositor, CompositorConfig, Refusal},
            notifier::{Notifier, NotifierConfig},
        },
        header::Name,
        locate,
        message::{Message, Method},
        registrar::{Registrar, RegistrarConfig},
        time::{Instant, Timers},
        transport::{Flow, Packet, Transport},
        uri::UriRef,
    },
};

/// The pause between two NOTIFYs for changes of state (RFC 3856 §6.10).
const NOTIFY_RATE: Duration = Duration::from_secs(5);
/// What somebody is asked to wait when there is no room, or nothing can be kept, in seconds.
const RETRY_AFTER: u32 = 60;

/// A request that came, and how to answer it.
#[derive(Clone, Copy)]
struct Arrived<'a, 'm> {
    id: ServerId,
    flow: Flow,
    message: &'a Message<'m>,
}

/// All of it; see the module's text.
#[derive(Debug)]
pub struct Domain {
    config: DomainConfig,
    endpoint: Endpoint<User>,
    notifier: Notifier,
    informing: Informing,
    listing: Listing,
    compositor: Compositor,
    registrar: Registrar,
    guards: Guards,
    accounts: Arc<Accounts>,
    presentities: Presentities,
    entries: Beside<Entry>,
    documents: Kept,
    /// When something of a presentity may be otherwise by itself: what it says, or its rules.
    edges: Timers<u32>,
    /// The policy of whoever keeps no rules here.
    default: Arc<Policy>,
    /// The same in an open domain.
    default_open: Arc<Policy>,
    /// Those of whom others wait for a decision than were written down.
    undecided: Vec<u32>,
    /// Keys of subscriptions on disk that are over.
    lost: Vec<Vec<u8>>,
    /// Those of whom perhaps nothing is known any more.
    looked_at: Vec<u32>,
    /// Nothing can be kept.
    refusing: bool,
    tally: Tally,
}

impl Domain {
    /// Makes one in which nobody publishes anything, and nobody watches.
    pub fn new(config: DomainConfig, accounts: Arc<Accounts>, rng: StdRng) -> Self {
        let endpoint = EndpointConfig {
            timing: config.timing,
            locals: config.locals.clone(),
            tls: config.tls.clone(),
            transports: locate::TRANSPORTS,
            allow: SERVER_ALLOW,
            supported: &["eventlist", "recipient-list-subscribe"],
            allow_events: ALLOW_EVENTS,
            accept: PRESENCE.content_type,
        };
        let limits = config.limits;
        let notifier = NotifierConfig {
            package: PRESENCE,
            min_expires: config.min_expires,
            max_subscriptions: limits.subscriptions,
            max_per_watcher: limits.of_one_watcher,
            rate: NOTIFY_RATE,
            whole: true,
            listing: None,
            account: None,
            user: User::Notifier,
        };
        let compositor = CompositorConfig {
            package: PRESENCE,
            min_expires: config.min_expires,
            max_expires: config.max_expires,
            max_body: limits.document,
            max_of_one: limits.of_one_presentity,
            max_in_all: limits.publications,
        };
        let compositor = Compositor::new(compositor);
        let registrar = RegistrarConfig {
            min_expires: config.min_expires,
            max_expires: config.max_expires,
            default_expires: 3600,
            max_of_one: limits.of_one_presentity,
            max_in_all: limits.bindings,
        };
        let default = |action: Action| {
            let mut policy = Policy::new(config.default.unwrap_or(action));
            policy.hide_unknown = config.hide_unknown;
            Arc::new(policy)
        };
        Self {
            endpoint: Endpoint::new(endpoint, rng),
            notifier: Notifier::new(notifier),
            informing: Informing::new(config.min_expires, limits.subscriptions),
            listing: Listing::new(config.min_expires, limits.subscriptions),
            compositor: if config.keeps { compositor.with_journal() } else { compositor },
            registrar: Registrar::new(registrar),
            guards: Guards::new(config.auth_min, config.legacy),
            accounts,
            presentities: Presentities::default(),
            entries: Beside::default(),
            documents: Kept::default(),
            edges: Timers::default(),
            default: default(Action::Ask),
            default_open: default(Action::Allow),
            undecided: Vec::new(),
            lost: Vec::new(),
            looked_at: Vec::new(),
            refusing: false,
            tally: Tally::default(),
            config,
        }
    }

    /// Takes one input; [`settle`](Self::settle) is to follow, once for many.
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
            Input::Closed(conn) => {
                self.endpoint.stream_closed(conn, now.at, &mut out.effects);
            }
            Input::TlsFailed { conn, error } => {
                self.endpoint.stream_untrusted(conn, error, now.at, &mut out.effects);
            }
            Input::SendFailed(remote) => self.endpoint.send_failed(remote, now.at, &mut out.effects),
            Input::Resolved { query, answer } => {
                // A server asks for no names but those that its own requests need.
                let _ = self.endpoint.resolved(query, answer, now.at, &mut out.effects);
            }
            // It has no account of its own.
            Input::Secret { account, answer } => self.endpoint.secret(account, answer, now.at),
            Input::Resumed => self.endpoint.resumed(now.at),
            // People have passwords here, and no certificates.
            Input::Vouched { .. } | Input::Tick => {}
        }
    }

    /// Runs the timers, follows what they bring, and says what is to be kept.
    pub fn settle(&mut self, now: Now, out: &mut Outbox) {
        self.endpoint.tick(now.at, &mut out.effects);
        self.follow_failures();
        // Nothing of ours is kept alive.
        while self.endpoint.next_lost_flow().is_some() {}
        self.notifier.tick(now.at, self.config.timing.t1);
        self.informing.notifier.tick(now.at, self.config.timing.t1);
        self.listing.notifier.tick(now.at, self.config.timing.t1);
        self.follow_publications(now);
        self.follow_bindings(now);
        self.follow_times(now);
        self.follow_watchers(now);
        self.follow_informing();
        self.follow_lists();
        self.inform(now);
        self.keep(now, out);
        if !self.notifier.wants_pump() {
            for of in std::mem::take(&mut self.looked_at) {
                self.forget_if_idle(of);
            }
        }
    }

    /// Sends NOTIFYs that wait, at most `limit`; to be called between two inputs while [`wants_pump`](Self::wants_pump)
    /// says so.
    pub fn pump(&mut self, limit: usize, now: Now, out: &mut Outbox) {
        let Self { notifier, endpoint, presentities, .. } = self;
        let mut step = Step { now: now.at, endpoint, out: &mut out.effects };
        notifier.pump(limit, &mut step, |view| presentities.body(view));
        self.pump_informing(limit, now, out);
        self.pump_lists(limit, now, out);
        self.settle(now, out);
    }

    /// Returns whether NOTIFYs wait and may go.
    pub fn wants_pump(&self) -> bool {
        self.notifier.wants_pump() || self.informing.notifier.wants_pump() || self.listing.notifier.wants_pump()
    }

    /// Returns when the next [`settle`](Self::settle) is due.
    pub fn deadline(&self) -> Option<Instant> {
        let t1 = self.config.timing.t1;
        let served =
            [&self.notifier, &self.informing.notifier, &self.listing.notifier].map(|served| served.deadline(t1));
        let kept = [self.compositor.deadline(), self.registrar.deadline(), self.edges.deadline()];
        served.into_iter().chain(kept).chain([self.endpoint.deadline()]).flatten().min()
    }

    /// Puts other accounts in force; in a domain that is open no longer, or is now, whoever watches is judged anew.
    pub fn set_accounts(&mut self, accounts: Arc<Accounts>, now: Now) {
        let open = |domain: &Self| domain.config.domains.iter().map(|it| domain.is_open(it)).collect::<Vec<_>>();
        let before = open(self);
        self.accounts = accounts;
        if open(self) != before {
            let all: Vec<u32> = self.presentities.iter().map(|(of, _)| of).collect();
            for of in all {
                self.judge_all(of, now);
            }
        }
    }

    /// From now on nothing can be kept, or it can again: meanwhile whatever would have to be is answered 503.
    pub fn set_refusing(&mut self, refusing: bool) {
        self.refusing = refusing;
    }

    /// Ends in order: gathers everything as it is, so that nobody has to be told again behind the next start.
    pub fn leave(&mut self, now: Now, out: &mut Outbox) {
        self.settle(now, out);
        self.notifier.save_all();
        self.informing.notifier.save_all();
        self.listing.notifier.save_all();
        self.keep(now, out);
    }

    /// Returns whether nothing can be kept.
    pub const fn is_refusing(&self) -> bool {
        self.refusing
    }

    /// Records cannot be kept: publications are what they were before, and whoever watches sees that (ESC-07).
    pub fn undo(&mut self, before: Vec<PublicationBefore>, now: Now) {
        for before in before.into_iter().rev() {
            let resource: Box<str> = before.resource().into();
            self.compositor.undo(before, now.at);
            if let Some(of) = self.presentities.find_or_make(&resource, usize::MAX, now) {
                self.recompose(of, now);
            }
        }
    }

    /// An answer that has not left cannot be kept: returns what goes in its place, if it was one that promised something.
    pub fn withdraw(&mut self, answer: &Packet, transport: Transport) -> Option<Packet> {
        self.tally.overloads += 1;
        self.endpoint.withdraw(answer, transport, RETRY_AFTER)
    }

    /// Returns what was done so far.
    pub const fn tally(&self) -> Tally {
        self.tally
    }

    /// Returns what was dropped in silence so far.
    pub fn dropped(&self) -> Dropped {
        self.endpoint.counters()
    }

    /// Returns how much there is.
    pub fn sizes(&self) -> Sizes {
        let ((informed, _), (lists, _)) = (self.informing.notifier.counts(), self.listing.notifier.counts());
        Sizes {
            subscriptions: self.notifier.counts(),
            informed,
            lists,
            publications: self.compositor.len(),
            bindings: self.registrar.len(),
            presentities: self.presentities.len(),
            documents: self.documents.len(),
            transactions: self.endpoint.sizes(),
        }
    }

    fn dispatch(&mut self, event: Option<Event<'_, User>>, now: Now, out: &mut Outbox) {
        match event {
            Some(Event::Request { id, flow, message }) => {
                let arrived = Arrived { id, flow, message: &message };
                match message.method() {
                    Some(Method::Subscribe) => self.subscribe_received(arrived, now, out),
                    Some(Method::Publish) => self.publish_received(arrived, now, out),
                    Some(Method::Register) => self.register_received(arrived, now, out),
                    // A NOTIFY of a subscription that we have not (RFC 6665 §4.1.3).
                    _ => self.refuse(arrived, &Refusal::plain(481), now, out),
                }
            }
            Some(Event::Response { user, flow, message }) => {
                if !flow.transport.is_stream() {
                    self.notifier.address_answered(flow.remote, now.at);
                }
                let mut step = Step { now: now.at, endpoint: &mut self.endpoint, out: &mut out.effects };
                match user {
                    User::Notifier(id, attempt) => self.notifier.response(id, attempt, &message, &mut step),
                    User::WatcherInfo(id, attempt) => {
                        self.informing.notifier.response(id, attempt, &message, &mut step);
                    }
                    User::List(id, attempt) => self.listing.notifier.response(id, attempt, &message, &mut step),
                    User::Subscriber(..) | User::Publisher(..) | User::Registration(..) | User::Probe(..) => {}
                }
            }
            // Nobody's password answers challenges for us: that of a watcher is its refusal.
            Some(Event::Challenged { .. } | Event::Answered { .. }) | None => {}
        }
    }

    fn follow_failures(&mut self) {
        while let Some((user, failure)) = self.endpoint.next_failure() {
            match user {
                User::Notifier(id, attempt) => self.notifier.failed(id, attempt, &failure),
                User::WatcherInfo(id, attempt) => self.informing.notifier.failed(id, attempt, &failure),
                User::List(id, attempt) => self.listing.notifier.failed(id, attempt, &failure),
                User::Subscriber(..) | User::Publisher(..) | User::Registration(..) | User::Probe(..) => {}
            }
        }
    }

    /// Returns whom a URI is of, if that is somebody of ours, in the form in which resources are named.
    fn resource_of(&self, uri: &UriRef<'_>) -> Option<Box<str>> {
        let user = uri.user().filter(|user| !user.is_empty())?;
        let host = uri.host_text().trim_end_matches('.');
        let domain = self.config.domains.iter().find(|domain| domain.eq_ignore_ascii_case(host))?;
        Some(format!("sip:{user}@{domain}").into())
    }

    /// Returns whom a request is about.
    fn resource_asked_for(&self, message: &Message<'_>) -> Option<Box<str>> {
        self.resource_of(&UriRef::parse(message.request_uri()?).ok()?)
    }

    fn answer(&mut self, arrived: Arrived<'_, '_>, code: u16, now: Now, out: &mut Outbox, add: impl FnOnce(&mut Head)) {
        let Arrived { id, flow, message } = arrived;
        self.endpoint.respond_with(id, flow, message, code, now.at, &mut out.effects, add);
    }

    fn refuse(&mut self, arrived: Arrived<'_, '_>, refusal: &Refusal, now: Now, out: &mut Outbox) {
        match refusal.code {
            401 => self.tally.challenges += 1,
            503 => self.tally.overloads += 1,
            _ => self.tally.refusals += 1,
        }
        self.answer(arrived, refusal.code, now, out, |head| {
            if let Some((name, value)) = &refusal.header {
                head.header(*name, value);
            }
        });
    }
}

/// Returns the domain of a resource.
fn domain_of(resource: &str) -> &str {
    resource.rsplit_once('@').map_or("", |(_, domain)| domain)
}

/// The refusal of somebody who may come again.
fn later() -> Refusal {
    Refusal { code: 503, header: Some((Name::RetryAfter, RETRY_AFTER.to_string())) }
}
