//! One publication and one registration above an endpoint, and the server that a test speaks for.
#![allow(unreachable_pub, reason = "it is a module of one test")]

use std::{collections::VecDeque, net::SocketAddr, time::Duration};

use bytes::Bytes;
use rand::{SeedableRng as _, rngs::StdRng};
use sippresence::sip::{
    auth::{AccountId, Credentials, Hash, Secret},
    dialog::Party,
    effect::Effect,
    endpoint::{Endpoint, EndpointConfig, Event},
    events::{
        EventPackage, Step, User,
        publisher::{Publication, PublicationId, Publisher, Update},
    },
    locate::{self, Answer, Question},
    registration::{self, Binding, Registration, RegistrationId},
    time::Instant,
    transaction::Timing,
    transport::{ConnId, Flow},
    uri::Uri,
};

use crate::world::{Msg, moment, secs};

pub const LOCAL: &str = "192.0.2.21:5060";
pub const SERVER: &str = "192.0.2.100:5060";
pub const PASSWORD: &str = "correct-horse-9";
pub const CHALLENGE: &str = "WWW-Authenticate: Digest realm=\"example.com\", nonce=\"n1\", algorithm=SHA-256, \
                             qop=\"auth\"\n";

/// See the module's text.
pub struct Scripted {
    pub publisher: Publisher,
    pub registration: Registration,
    pub updates: Vec<Update>,
    pub turns: Vec<registration::Update>,
    pub password: Option<&'static str>,
    endpoint: Endpoint<User>,
    after: Duration,
    out: Vec<Effect>,
    sent: VecDeque<Msg>,
    conn: Option<ConnId>,
    /// Whether packets reach nobody.
    pub unplugged: bool,
}

pub fn publication(account: Option<AccountId>) -> Publication {
    let target: Uri = "sip:bob@example.com".parse().unwrap();
    Publication {
        from: Party::new(None, &target.as_ref()).unwrap(),
        target,
        route: None,
        package: EventPackage { name: "presence", content_type: "application/pidf+xml" },
        expires: 3600,
        retry_cap: secs(1800),
        account,
    }
}

pub fn binding(account: Option<AccountId>) -> Binding {
    let address: Uri = "sip:bob@example.com".parse().unwrap();
    Binding {
        registrar: "sip:example.com".parse().unwrap(),
        from: Party::new(None, &address.as_ref()).unwrap(),
        address,
        contact_user: "bob".into(),
        route: None,
        expires: 600,
        retry_cap: secs(1800),
        account,
        instance: None,
    }
}

/// What the clock of the machines shows, so long after the start.
pub fn clock(after: Duration) -> Instant {
    moment(after).at
}

impl Scripted {
    pub fn new() -> Self {
        Self::with(|_, _| {})
    }

    /// With changes to what is published and bound.
    pub fn with(change: impl FnOnce(&mut Publication, &mut Binding)) -> Self {
        let config = EndpointConfig {
            timing: Timing::default(),
            locals: vec![LOCAL.parse().unwrap()],
            tls: Vec::new(),
            allow: sippresence::sip::endpoint::ALLOW,
            supported: &[],
            allow_events: "presence",
            accept: "application/pidf+xml",
            transports: locate::TRANSPORTS,
        };
        let mut endpoint = Endpoint::new(config, StdRng::seed_from_u64(7));
        let (realm, servers) = (None, vec!["example.com".into()]);
        let credentials = Credentials { user: "bob".into(), realm, servers, min: Hash::Md5 };
        let account = Some(endpoint.add_account(credentials).unwrap());
        let (mut what, mut bound) = (publication(account), binding(account));
        change(&mut what, &mut bound);
        let mut out = Vec::new();
        let mut step = Step { now: moment(Duration::ZERO).at, endpoint: &mut endpoint, out: &mut out };
        Self {
            publisher: Publisher::new(PublicationId(3), what, &mut step),
            registration: Registration::new(RegistrationId(4), bound, &mut step),
            updates: Vec::new(),
            turns: Vec::new(),
            password: Some(PASSWORD),
            endpoint,
            after: Duration::ZERO,
            out,
            sent: VecDeque::new(),
            conn: None,
            unplugged: false,
        }
    }

    pub fn after(&self) -> Duration {
        self.after
    }

    /// Does something to the two machines.
    pub fn act<T>(&mut self, act: impl FnOnce(&mut Publisher, &mut Registration, &mut Step<'_>) -> T) -> T {
        let mut step = Step { now: moment(self.after).at, endpoint: &mut self.endpoint, out: &mut self.out };
        let done = act(&mut self.publisher, &mut self.registration, &mut step);
        self.settle();
        done
    }

    pub fn publish(&mut self, body: &str) {
        let body = Bytes::copy_from_slice(body.as_bytes());
        self.act(|publisher, _, step| publisher.publish(body, step));
    }

    pub fn remove(&mut self) {
        self.act(|publisher, _, step| publisher.remove(step));
    }

    /// Publishes, and has it kept for an hour under this tag.
    pub fn published(body: &str, tag: &str) -> Self {
        let mut server = Self::new();
        server.publish(body);
        let initial = server.expect("PUBLISH");
        server.accept(&initial, tag);
        server.updates.clear();
        server
    }

    fn settle(&mut self) {
        let now = moment(self.after).at;
        loop {
            while let Some((user, retry)) = self.endpoint.next_retry() {
                let seq = match user {
                    User::Publisher(_, attempt) => self.publisher.renumber(attempt),
                    User::Registration(_, attempt) => self.registration.renumber(attempt),
                    User::Subscriber(..)
                    | User::Notifier(..)
                    | User::WatcherInfo(..)
                    | User::List(..)
                    | User::Probe(..) => {
                        unreachable!()
                    }
                };
                self.endpoint.retry(retry, seq, now, &mut self.out);
            }
            self.endpoint.tick(now, &mut self.out);
            self.failures();
            let mut step = Step { now, endpoint: &mut self.endpoint, out: &mut self.out };
            self.publisher.tick(&mut step);
            self.registration.tick(&mut step);
            self.failures();
            if self.out.is_empty() {
                break;
            }
            for effect in std::mem::take(&mut self.out) {
                self.perform(effect);
            }
        }
        while let Some(update) = self.publisher.next_update() {
            self.updates.push(update);
        }
        while let Some(update) = self.registration.next_update() {
            self.turns.push(update);
        }
    }

    fn failures(&mut self) {
        while let Some((user, failure)) = self.endpoint.next_failure() {
            let mut step = Step { now: moment(self.after).at, endpoint: &mut self.endpoint, out: &mut self.out };
            match user {
                User::Publisher(id, attempt) => {
                    assert_eq!(id, PublicationId(3));
                    self.publisher.failed(attempt, failure, &mut step);
                }
                User::Registration(id, attempt) => {
                    assert_eq!(id, RegistrationId(4));
                    self.registration.failed(attempt, failure, &mut step);
                }
                User::Subscriber(..)
                | User::Notifier(..)
                | User::WatcherInfo(..)
                | User::List(..)
                | User::Probe(..) => unreachable!(),
            }
        }
    }

    fn perform(&mut self, effect: Effect) {
        let now = moment(self.after).at;
        let (packet, to) = match effect {
            Effect::Send { remote, packet, .. } => (packet, remote),
            Effect::Write { packet, .. } => (packet, SERVER.parse().unwrap()),
            Effect::Open { conn, transport, remote, .. } => {
                self.conn = Some(conn);
                let flow = Flow { transport, local: LOCAL.parse().unwrap(), remote, conn: Some(conn) };
                return self.endpoint.stream_opened(flow, now, &mut self.out);
            }
            Effect::Close { .. } => return,
            // A domain with nothing but an address.
            Effect::Resolve { query, question } => {
                let answer = match question {
                    Question::Naptr { .. } => Answer::Naptr(Vec::new()),
                    Question::Srv { .. } => Answer::Srv(Vec::new()),
                    Question::Addresses { host, port } => {
                        assert!(["example.com", "proxy.example.com"].contains(&host.as_str()), "{host}");
                        let server: SocketAddr = SERVER.parse().unwrap();
                        Answer::Addresses(vec![SocketAddr::new(server.ip(), port)])
                    }
                };
                assert!(self.endpoint.resolved(query, Ok(answer), now, &mut self.out).is_none());
                return;
            }
            Effect::AskSecret { account } => {
                let answer = self.password.map(Secret::new).ok_or_else(|| "the keyring is locked".to_owned());
                return self.endpoint.secret(account, answer, now);
            }
        };
        if self.unplugged {
            return self.endpoint.send_failed(to, now, &mut self.out);
        }
        let text = String::from_utf8(packet.to_vec()).unwrap();
        self.sent.push_back(Msg { text, to, at: self.after });
    }

    /// Hands in a message from the server, the way that our last request went.
    pub fn send(&mut self, text: &str) {
        let bytes = text.replace("\r\n", "\n").replace('\n', "\r\n").into_bytes();
        let (now, out) = (moment(self.after).at, &mut self.out);
        let event = if text.contains("Via: SIP/2.0/TCP") {
            let conn = self.conn.unwrap();
            self.endpoint.stream_data(conn, &bytes, now);
            self.endpoint.next_frame(conn, now, out);
            self.endpoint.frame(conn, &bytes, now, out)
        } else {
            self.endpoint.datagram(LOCAL.parse().unwrap(), SERVER.parse().unwrap(), &bytes, now, out)
        };
        let mut step = Step { now, endpoint: &mut self.endpoint, out: &mut self.out };
        match event {
            Some(Event::Response { user: User::Publisher(_, attempt), message, .. }) => {
                self.publisher.response(attempt, &message, &mut step);
            }
            Some(Event::Response { user: User::Registration(_, attempt), flow, message }) => {
                self.registration.response(attempt, flow, &message, &mut step);
            }
            _ => {}
        }
        self.settle();
    }

    pub fn answer(&mut self, request: &Msg, status: &str, extra: &str) {
        let text = request.response(status, extra);
        self.send(&text);
    }

    /// Keeps what a request brought for an hour, under this tag.
    pub fn accept(&mut self, request: &Msg, tag: &str) {
        self.answer(request, "200 OK", &format!("SIP-ETag: {tag}\nExpires: 3600\n"));
    }

    /// Takes the next message; it must begin like this.
    pub fn expect(&mut self, begins: &str) -> Msg {
        let msg = self.sent.pop_front().unwrap_or_else(|| panic!("{begins} was not sent at {:?}", self.after));
        assert!(msg.text.starts_with(begins), "{begins}: {msg:?}");
        msg
    }

    /// The client must have been silent.
    pub fn nothing(&self) {
        assert!(self.sent.is_empty(), "{:?}", self.sent);
    }

    /// Takes all that was sent so far.
    pub fn take(&mut self) -> Vec<Msg> {
        self.sent.drain(..).collect()
    }

    fn deadline(&self) -> Option<Instant> {
        let machines = [self.publisher.deadline(), self.registration.deadline()];
        machines.into_iter().chain([self.endpoint.deadline()]).flatten().min()
    }

    /// Lets time pass; every timer runs at its own moment.
    pub fn advance(&mut self, time: Duration) {
        self.advance_to(self.after + time);
    }

    pub fn advance_to(&mut self, end: Duration) {
        self.advance_until(end, |_| false);
    }

    fn advance_until(&mut self, end: Duration, enough: impl Fn(&Self) -> bool) {
        let mut at_once = 0;
        while !enough(self) {
            let next = self.deadline().map(|at| at.since(moment(Duration::ZERO).at).max(self.after));
            let Some(next) = next.filter(|next| *next <= end) else {
                self.after = end;
                return;
            };
            at_once = if next == self.after { at_once + 1 } else { 0 };
            assert!(at_once < 1000, "it asks to be woken again and again at {next:?}");
            self.after = next;
            self.settle();
        }
    }

    /// Lets time pass until something is sent, at most `within`.
    pub fn wait(&mut self, within: Duration) -> Msg {
        self.advance_until(self.after + within, |server| !server.sent.is_empty());
        self.sent.pop_front().unwrap_or_else(|| panic!("nothing was sent until {:?}", self.after))
    }

    /// Time passes and nobody is awake to see it.
    pub fn sleep(&mut self, time: Duration) {
        self.after += time;
    }
}
