//! Cores in virtual time: one against a script ([`Script`]), or several on an emulated network ([`net::World`]).
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used, reason = "each test uses its part")]

pub mod net;
pub mod server;

use std::{
    collections::{BTreeSet, VecDeque},
    fmt,
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use rand::{SeedableRng, rngs::StdRng};
use sippresence::{
    presence::{
        Freshness, OpenWhen, PresenceEvent, PresenceStatus, PresentityState,
        core::{Core, CoreConfig, Input, Key, Now, Outbox, Restored, SavedServing, Subscribing, WatchId},
        pidf::Published,
        policy::{Action, Policy},
    },
    sip::{
        auth::{AccountId, Credentials, Hash, Secret},
        effect::Effect,
        time::Instant,
        transaction::Timing,
    },
};

pub const ALICE: &str = "192.0.2.10:5060";
pub const BOB: &str = "192.0.2.20:5060";
/// When the virtual clock starts.
pub const START: &str = "2026-03-02T09:15:00Z";

pub const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// The two clocks, `after` the start.
pub fn moment(after: Duration) -> Now {
    let wall: Timestamp = START.parse().unwrap();
    Now { at: Instant::from_origin(secs(1000) + after), wall: wall + SignedDuration::try_from(after).unwrap() }
}

/// A core's configuration: `sip:USER@HOST` with one socket at that host.
pub fn config(user: &str, local: &str) -> CoreConfig {
    let local: SocketAddr = local.parse().unwrap();
    CoreConfig {
        address: format!("sip:{user}@{}", local.ip()).parse().unwrap(),
        display_name: None,
        locals: vec![local],
        tls: Vec::new(),
        machine: vec![local.ip()],
        names: vec!["workshop".into()],
        timing: Timing::default(),
        device_id: "urn:uuid:0c9d6b1e-52f4-4f0c-8a37-6e1d2b7a9f10".into(),
        device: None,
        open_when: OpenWhen::default(),
        policy: Policy::new(Action::Ask),
        min_expires: 60,
        max_subscriptions: 10_000,
        expires: 300,
        retry_cap: secs(120),
        rate: 10,
        rates: sippresence::presence::Rates::default(),
        lenient: false,
        language: None,
        credentials: None,
        server: None,
        auth_min: Hash::Md5,
        legacy: false,
    }
}

/// Credentials of alice at the host of bob's address.
pub fn credentials() -> Credentials {
    let server = BOB.split(':').next().unwrap().into();
    Credentials { user: "alice".into(), realm: None, servers: vec![server], min: Hash::Md5 }
}

/// A policy that lets everybody in; their addresses still have to prove themselves.
pub fn open_policy() -> Policy {
    Policy::new(Action::Allow)
}

/// A policy with these watchers on these lists.
pub fn policy(listed: &[(&str, Action)]) -> Policy {
    let mut policy = Policy::default();
    for (who, action) in listed {
        policy.set(who, *action);
    }
    policy
}

/// One message that the core sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Msg {
    pub text: String,
    pub to: SocketAddr,
    /// When, after the start.
    pub at: Duration,
}

impl fmt::Debug for Msg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "at {:?} to {}:\n{}", self.at, self.to, self.text)
    }
}

impl Msg {
    pub fn first_line(&self) -> &str {
        self.text.lines().next().unwrap()
    }

    /// The value of a header.
    pub fn get(&self, name: &str) -> Option<&str> {
        let head = self.text.split("\r\n\r\n").next().unwrap();
        head.lines().skip(1).find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    pub fn header(&self, name: &str) -> &str {
        self.get(name).unwrap_or_else(|| panic!("no {name} in {self:?}"))
    }

    pub fn body(&self) -> &str {
        self.text.split_once("\r\n\r\n").unwrap().1
    }

    pub fn code(&self) -> Option<u16> {
        self.text.strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok()
    }

    pub fn tag(&self, name: &str) -> &str {
        let value = self.header(name);
        value.split_once(";tag=").map_or("", |(_, tag)| tag.split(';').next().unwrap())
    }

    pub fn cseq(&self) -> u32 {
        self.header("CSeq").split(' ').next().unwrap().parse().unwrap()
    }

    /// A response to this request; `extra` are whole header lines with `\n` at their ends.
    pub fn response(&self, status: &str, extra: &str) -> String {
        let to = self.header("To");
        let to = if to.contains(";tag=") { to.to_owned() } else { format!("{to};tag=peer-tag") };
        format!(
            "SIP/2.0 {status}\nVia: {}\nFrom: {}\nTo: {to}\nCall-ID: {}\nCSeq: {}\n{extra}Content-Length: 0\n\n",
            self.header("Via"),
            self.header("From"),
            self.header("Call-ID"),
            self.header("CSeq"),
        )
    }
}

/// One core and whoever writes to it.
pub struct Script {
    pub core: Core,
    pub events: Vec<PresenceEvent>,
    /// What changed since somebody looked.
    pub changed: BTreeSet<Key>,
    /// Whose password was asked for and did not come yet.
    pub asked: VecDeque<AccountId>,
    /// What it is answered at once, if anything.
    pub password: Option<&'static str>,
    /// Whether the peer has no TCP, and says so.
    pub no_tcp: bool,
    /// Whether NOTIFYs are sent as soon as they may; off to look at what waits.
    pub pumps: bool,
    local: SocketAddr,
    peer: SocketAddr,
    after: Duration,
    out: Outbox,
    sent: VecDeque<Msg>,
    branches: u32,
    starts: u64,
}

impl Script {
    /// Makes a core and a peer at the other of the two usual addresses.
    pub fn new(config: CoreConfig) -> Self {
        let local = config.locals[0];
        let peer = if local == BOB.parse().unwrap() { ALICE } else { BOB };
        let core = Core::new(config, StdRng::seed_from_u64(7), moment(Duration::ZERO)).unwrap();
        Self {
            core,
            events: Vec::new(),
            changed: BTreeSet::new(),
            asked: VecDeque::new(),
            password: None,
            no_tcp: false,
            pumps: true,
            local,
            peer: peer.parse().unwrap(),
            after: Duration::ZERO,
            out: Outbox::default(),
            sent: VecDeque::new(),
            branches: 0,
            starts: 0,
        }
    }

    pub fn after(&self) -> Duration {
        self.after
    }

    pub fn now(&self) -> Now {
        moment(self.after)
    }

    /// What a file would hold by now.
    pub fn saved(&self) -> SavedServing {
        let text = serde_json::to_string(&self.core.saved(self.now())).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// Starts a core anew with what was saved, in the same moment; the one before is gone without a word.
    pub fn restart(&mut self, config: CoreConfig, saved: &SavedServing, crashed: bool) -> Restored {
        let published = self.core.own().published.clone();
        self.sent.clear();
        self.events.clear();
        self.changed.clear();
        self.starts += 1;
        self.core = Core::new(config, StdRng::seed_from_u64(7 + self.starts), self.now()).unwrap();
        self.act(|core, now, out| {
            if let Some(published) = published {
                core.restore_published(published, now, out);
            }
            core.restore(saved, crashed, now, out)
        })
    }

    /// Sends a message from the usual peer; line ends become CR LF.
    pub fn send(&mut self, text: &str) {
        let peer = self.peer;
        self.send_from(peer, text);
    }

    pub fn send_from(&mut self, remote: SocketAddr, text: &str) {
        let bytes = text.replace("\r\n", "\n").replace('\n', "\r\n");
        self.input(Input::Datagram { local: self.local, remote, bytes: bytes.as_bytes() });
    }

    pub fn input(&mut self, input: Input<'_>) {
        self.act(|core, now, out| core.handle(input, now, out));
    }

    /// Does something to the core, and gathers what comes of it.
    pub fn act<T>(&mut self, act: impl FnOnce(&mut Core, Now, &mut Outbox) -> T) -> T {
        let now = self.now();
        let done = act(&mut self.core, now, &mut self.out);
        self.pump();
        done
    }

    pub fn pump(&mut self) {
        let now = self.now();
        while self.pumps && self.core.wants_pump() {
            self.core.pump(16, now, &mut self.out);
        }
        let mut refused = Vec::new();
        for effect in std::mem::take(&mut self.out.effects) {
            match effect {
                Effect::Open { conn, .. } if self.no_tcp => refused.push(conn),
                Effect::Send { local, remote, packet } => {
                    assert_eq!(local, self.local);
                    let text = String::from_utf8(packet.to_vec()).unwrap();
                    self.sent.push_back(Msg { text, to: remote, at: self.after });
                }
                Effect::AskSecret { account } => self.asked.push_back(account),
                other => panic!("nothing but datagrams was expected: {other:?}"),
            }
        }
        self.events.append(&mut self.out.events);
        self.changed.append(&mut self.out.changed);
        for conn in refused {
            self.input(Input::Closed(conn));
        }
        if let Some(password) = self.password.filter(|_| !self.asked.is_empty()) {
            self.tell(Ok(password));
        }
    }

    /// Answers the oldest question for a password.
    pub fn tell(&mut self, answer: Result<&str, &str>) {
        let account = self.asked.pop_front().expect("a password was asked for");
        let answer = answer.map(Secret::new).map_err(str::to_owned);
        self.input(Input::Secret { account, answer });
    }

    /// Lets time pass; every timer runs at its own moment.
    pub fn advance(&mut self, time: Duration) {
        let target = self.after + time;
        self.advance_to(target);
    }

    pub fn advance_to(&mut self, target: Duration) {
        let end = moment(target).at;
        let mut at_once = 0;
        while let Some(deadline) = self.core.deadline().filter(|deadline| *deadline <= end) {
            let after = deadline.since(moment(Duration::ZERO).at).max(self.after);
            at_once = if after == self.after { at_once + 1 } else { 0 };
            assert!(at_once < 10_000, "the core asks to be woken again and again at {after:?}");
            self.after = after;
            self.input(Input::Tick);
        }
        self.after = target;
    }

    /// Time passes and nobody is awake to see it.
    pub fn sleep(&mut self, time: Duration) {
        self.after += time;
    }

    /// Lets time pass until the core sends something, at most `within`.
    pub fn wait(&mut self, within: Duration) -> Msg {
        let end = self.after + within;
        while self.sent.is_empty() {
            let next = self.core.deadline().map(|at| at.since(moment(Duration::ZERO).at).max(self.after));
            match next.filter(|next| *next <= end) {
                Some(next) => self.advance_to(next),
                None => panic!("nothing was sent until {end:?}"),
            }
        }
        self.sent.pop_front().unwrap()
    }

    /// Takes the next message; it must begin like this.
    pub fn expect(&mut self, begins: &str) -> Msg {
        let msg = self.sent.pop_front().unwrap_or_else(|| panic!("{begins} was not sent at {:?}", self.after));
        let line = msg.first_line();
        assert!(line.starts_with(begins) || line.starts_with(&format!("SIP/2.0 {begins}")), "{begins}: {msg:?}");
        msg
    }

    /// The core must have been silent.
    pub fn nothing(&self) {
        assert!(self.sent.is_empty(), "{:?}", self.sent);
    }

    /// Takes all that was sent so far.
    pub fn take(&mut self) -> Vec<Msg> {
        self.sent.drain(..).collect()
    }

    /// Answers a request of the core.
    pub fn answer(&mut self, request: &Msg, status: &str) {
        self.answer_with(request, status, "");
    }

    pub fn answer_with(&mut self, request: &Msg, status: &str, extra: &str) {
        let text = request.response(status, extra);
        self.send_from(request.to, &text);
    }

    pub fn branch(&mut self) -> String {
        self.branches += 1;
        format!("z9hG4bKscript{}", self.branches)
    }

    // The peer as a notifier: the core watches bob.

    pub fn watch(&mut self) -> WatchId {
        let target = format!("sip:bob@{}", self.peer.ip()).parse().unwrap();
        self.act(|core, now, out| core.watch(target, "bob", Subscribing::Lasting, now, out))
    }

    pub fn state(&self, id: WatchId) -> Arc<PresentityState> {
        self.core.state(id).unwrap()
    }

    pub fn freshness(&self, id: WatchId) -> Freshness {
        self.state(id).freshness
    }

    /// A NOTIFY in the dialog of a SUBSCRIBE that the core sent; `lines` are extra header lines.
    pub fn notify_text(&mut self, sub: &Msg, cseq: u32, state: &str, lines: &str, body: &str) -> String {
        let branch = self.branch();
        let (peer, from, to) = (self.peer, sub.header("To"), sub.header("From"));
        let from = if from.contains(";tag=") { from.to_owned() } else { format!("{from};tag=peer-tag") };
        let content_type = if body.is_empty() { "" } else { "Content-Type: application/pidf+xml\n" };
        let length = body.replace('\n', "\r\n").len();
        format!(
            "NOTIFY sip:alice@192.0.2.10:5060 SIP/2.0\nVia: SIP/2.0/UDP {peer};branch={branch};rport\n\
             Max-Forwards: 70\nFrom: {from}\nTo: {to}\nCall-ID: {}\nCSeq: {cseq} NOTIFY\n\
             Contact: <sip:bob@{peer}>\nEvent: presence\n{}{lines}{content_type}Content-Length: {length}\n\n{body}",
            sub.header("Call-ID"),
            if state.is_empty() { String::new() } else { format!("Subscription-State: {state}\n") },
        )
    }

    /// Sends a NOTIFY and takes its 200.
    pub fn notify(&mut self, sub: &Msg, cseq: u32, state: &str, body: &str) {
        let text = self.notify_text(sub, cseq, state, "", body);
        self.send(&text);
        self.expect("200");
    }

    /// Watches and is shown `available` for 300 seconds; returns the SUBSCRIBE as well.
    pub fn watch_established(&mut self) -> (WatchId, Msg) {
        let id = self.watch();
        let sub = self.expect("SUBSCRIBE");
        self.answer_with(&sub, "200 OK", "Contact: <sip:bob@192.0.2.20:5060>\nExpires: 300\n");
        self.notify(&sub, 1, "active;expires=300", AVAILABLE);
        assert_eq!(self.freshness(id), Freshness::Fresh);
        (id, sub)
    }

    // The peer as a watcher: the core is bob.

    pub fn publish(&mut self, status: PresenceStatus, note: Option<&str>) {
        let mut published = Published::new(status, self.now().wall);
        published.note = note.map(str::to_owned);
        self.act(|core, now, out| core.publish(published, now, out));
    }

    /// Goes through the exchange that proves the peer's address and gets it state: for policies that let it in.
    pub fn subscribe_established(&mut self, ask: &Ask<'_>) -> (Msg, Msg) {
        let text = ask.text();
        self.send_from(ask.from, &text);
        let ok = self.expect("200");
        let first = self.expect("NOTIFY");
        self.answer(&first, "200 OK");
        if !first.body().is_empty() {
            return (ok, first);
        }
        let second = self.expect("NOTIFY");
        assert!(!second.body().is_empty(), "{second:?}");
        self.answer(&second, "200 OK");
        (ok, second)
    }
}

/// A SUBSCRIBE of the peer, with what differs from alice's first one.
#[derive(Clone, Debug)]
pub struct Ask<'a> {
    pub from: SocketAddr,
    pub user: &'a str,
    pub call_id: String,
    pub seq: u32,
    /// The core's tag, for requests in the dialog.
    pub tag: &'a str,
    pub target: &'a str,
    pub contact: String,
    pub expires: Option<u32>,
    pub event: &'a str,
    /// Whole header lines with `\n` at their ends.
    pub lines: &'a str,
    pub body: &'a str,
    pub accept: &'a str,
}

impl Default for Ask<'_> {
    fn default() -> Self {
        Self::from(ALICE.parse().unwrap())
    }
}

impl<'a> Ask<'a> {
    pub fn from(from: SocketAddr) -> Self {
        Self {
            from,
            user: "alice",
            call_id: format!("call-{from}"),
            seq: 1,
            tag: "",
            target: "sip:bob@192.0.2.20",
            contact: format!("sip:alice@{from}"),
            expires: Some(300),
            event: "presence",
            lines: "",
            body: "",
            accept: "Accept: application/pidf+xml\n",
        }
    }

    /// The next SUBSCRIBE of the same dialog.
    pub fn again(&self, ok: &'a Msg, expires: u32) -> Self {
        Self { seq: self.seq + 1, tag: ok.tag("To"), expires: Some(expires), ..self.clone() }
    }

    pub fn text(&self) -> String {
        let Self { from, user, call_id, seq, target, contact, lines, body, accept, .. } = self;
        let host = from.ip();
        let tag = if self.tag.is_empty() { String::new() } else { format!(";tag={}", self.tag) };
        let expires = self.expires.map_or_else(String::new, |expires| format!("Expires: {expires}\n"));
        let event = if self.event.is_empty() { String::new() } else { format!("Event: {}\n", self.event) };
        format!(
            "SUBSCRIBE {target} SIP/2.0\nVia: SIP/2.0/UDP {from};branch=z9hG4bK{call_id}{seq};rport\nMax-Forwards: 70\n\
             From: <sip:{user}@{host}>;tag=ask\nTo: <{target}>{tag}\nCall-ID: {call_id}\nCSeq: {seq} SUBSCRIBE\n\
             Contact: <{contact}>\n{event}{accept}Allow: NOTIFY\nAllow-Events: presence\n{expires}\
             User-Agent: script/1.0\n{lines}Content-Length: {}\n\n{body}",
            body.len()
        )
    }
}

/// A document that says available, as other programs write it.
pub const AVAILABLE: &str = "<?xml version=\"1.0\"?>
<presence xmlns=\"urn:ietf:params:xml:ns:pidf\" entity=\"sip:bob@192.0.2.20\">
<tuple id=\"a\"><status><basic>open</basic></status></tuple></presence>
";

/// A document that says offline.
pub const CLOSED: &str = "<?xml version=\"1.0\"?>
<presence xmlns=\"urn:ietf:params:xml:ns:pidf\" entity=\"sip:bob@192.0.2.20\">
<tuple id=\"a\"><status><basic>closed</basic></status></tuple></presence>
";
