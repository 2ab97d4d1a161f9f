//! One core on a bench: a virtual clock, literal messages in, what it does out, each with its time.

#![allow(unreachable_pub, reason = "what is public here is so for the test file")]
#![allow(dead_code, reason = "each test file uses its own part of the bench")]
#![allow(clippy::unwrap_used, missing_docs, reason = "a test fails by panicking")]

use std::{net::SocketAddr, time::Duration};

use jiff::Timestamp;
use rand::{SeedableRng, rngs::StdRng};
use sippresence::{
    presence::{
        PresenceStatus,
        core::{Core, CoreConfig, Input, Now, Outbox, Subscribing, WatchId},
        pidf::Published,
        policy::{Action, Policy},
        status::OpenWhen,
    },
    sip::{
        auth::Secret,
        effect::{Effect, QueryId},
        locate::Question,
        time::Instant,
        transaction::Timing,
        transport::{ConnId, Flow, Transport},
    },
};

/// Us, and the one whom we know.
pub const BOB: &str = "192.0.2.20:5060";
pub const ALICE: &str = "192.0.2.10:5060";

/// How alice subscribes; tests change what they are about.
pub const SUBSCRIBE: &str = "SUBSCRIBE sip:bob@192.0.2.20 SIP/2.0
Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKa1;rport
Max-Forwards: 70
From: \"Alice\" <sip:alice@192.0.2.10>;tag=a7f3c9d1
To: <sip:bob@192.0.2.20>
Call-ID: 3f2b9c0e-6a41
CSeq: 1 SUBSCRIBE
Contact: <sip:alice@192.0.2.10:5060>
Event: presence
Accept: application/pidf+xml
Expires: 300
Content-Length: 0

";

/// How alice asks what we can do.
pub const OPTIONS: &str = "OPTIONS sip:bob@192.0.2.20 SIP/2.0
Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKo1;rport
Max-Forwards: 70
From: <sip:alice@192.0.2.10>;tag=a7
To: <sip:bob@192.0.2.20>
Call-ID: op-1
CSeq: 1 OPTIONS
Content-Length: 0

";

/// Something that the core did.
#[derive(Clone, Debug, PartialEq)]
pub enum Did {
    Sent { local: SocketAddr, remote: SocketAddr, text: String },
    Wrote { conn: ConnId, text: String },
    Opening { conn: ConnId, remote: SocketAddr },
    Closed { conn: ConnId },
    Asked { query: QueryId, question: Question },
}

impl Did {
    /// Returns the message that left, if one did.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Sent { text, .. } | Self::Wrote { text, .. } => Some(text),
            _ => None,
        }
    }
}

pub struct Bench {
    pub core: Core,
    /// Milliseconds since the start.
    pub ms: u64,
    did: Vec<(u64, Did)>,
    pub out: Outbox,
    /// What the account's password is, if there is an account.
    pub password: Option<&'static str>,
}

pub fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

pub fn config(local: &str) -> CoreConfig {
    let mut policy = Policy::new(Action::Allow);
    policy.set("sip:alice@192.0.2.10", Action::Allow);
    CoreConfig {
        address: format!("sip:bob@{}", local.rsplit_once(':').unwrap().0).parse().unwrap(),
        display_name: None,
        locals: vec![address(local), address("127.0.0.1:5060")],
        tls: Vec::new(),
        machine: Vec::new(),
        names: Vec::new(),
        timing: Timing::default(),
        device_id: "urn:uuid:0c9d6b1e-52f4-4f0c-8a37-6e1d2b7a9f10".into(),
        device: None,
        open_when: OpenWhen::default(),
        policy,
        min_expires: 60,
        max_subscriptions: 1000,
        expires: 300,
        retry_cap: Duration::from_mins(2),
        rate: 0,
        rates: sippresence::presence::Rates::default(),
        lenient: false,
        language: None,
        credentials: None,
        server: None,
        auth_min: sippresence::sip::auth::Hash::Md5,
        legacy: false,
    }
}

impl Did {
    /// Returns what was asked, if anything was.
    pub fn question(self) -> Option<(QueryId, Question)> {
        if let Self::Asked { query, question } = self { Some((query, question)) } else { None }
    }
}

impl Bench {
    /// Bob at 192.0.2.20, with alice in his list and everybody else let in.
    pub fn new() -> Self {
        Self::with(config(BOB))
    }

    pub fn with(config: CoreConfig) -> Self {
        let rng = StdRng::seed_from_u64(7);
        let core = Core::new(config, rng, moment(0)).unwrap();
        Self { core, ms: 0, did: Vec::new(), out: Outbox::default(), password: None }
    }

    pub fn now(&self) -> Now {
        moment(self.ms)
    }

    /// Does something to the core, and lets out what it leads to.
    pub fn act(&mut self, act: impl FnOnce(&mut Core, Now, &mut Outbox)) {
        let now = self.now();
        act(&mut self.core, now, &mut self.out);
        self.settle();
    }

    /// Takes one input, and lets out what it leads to.
    pub fn feed(&mut self, input: Input<'_>) {
        let now = self.now();
        self.core.handle(input, now, &mut self.out);
        self.settle();
    }

    /// A datagram from `remote` to our first address; line ends become CRLF.
    pub fn udp(&mut self, remote: &str, text: &str) {
        let local = self.core.locals()[0];
        self.udp_at(local, remote, text);
    }

    pub fn udp_at(&mut self, local: SocketAddr, remote: &str, text: &str) {
        let bytes = wire(text);
        self.feed(Input::Datagram { local, remote: address(remote), bytes: bytes.as_bytes() });
    }

    /// A peer opens a connection to us.
    pub fn accept(&mut self, n: u64, remote: &str) -> ConnId {
        let conn = ConnId::accepted(n);
        let local = self.core.locals()[0];
        self.feed(Input::Opened(Flow { transport: Transport::Tcp, local, remote: address(remote), conn: Some(conn) }));
        conn
    }

    /// A connection that we asked for stands.
    pub fn connected(&mut self, conn: ConnId, remote: &str) {
        let local = SocketAddr::new(self.core.locals()[0].ip(), 40_000);
        self.feed(Input::Opened(Flow { transport: Transport::Tcp, local, remote: address(remote), conn: Some(conn) }));
    }

    /// A connection brings a message.
    pub fn tcp(&mut self, conn: ConnId, text: &str) {
        self.feed(Input::Data { conn, bytes: wire(text).as_bytes() });
    }

    pub fn watch(&mut self, target: &str) -> WatchId {
        let now = self.now();
        let id = self.core.watch(target.parse().unwrap(), target, Subscribing::Lasting, now, &mut self.out);
        self.settle();
        id
    }

    pub fn publish(&mut self, status: PresenceStatus, note: &str) {
        let now = self.now();
        let mut published = Published::new(status, now.wall);
        published.note = (!note.is_empty()).then(|| note.to_owned());
        self.core.publish(published, now, &mut self.out);
        self.settle();
    }

    /// Lets time pass up to `ms`, stopping at each deadline on the way.
    pub fn run_until(&mut self, ms: u64) {
        for _ in 0..1_000_000 {
            let Some(due) = self.due().filter(|due| *due <= ms) else {
                self.ms = ms;
                return;
            };
            self.ms = due;
            self.feed(Input::Tick);
        }
        panic!("the core wants to be woken all the time");
    }

    /// Lets time pass until the core does something, at most up to `ms`.
    pub fn run_until_it_acts(&mut self, ms: u64) {
        while self.did.is_empty() && self.ms < ms {
            let next = self.due().unwrap_or(ms).min(ms);
            self.run_until(next);
        }
    }

    fn due(&self) -> Option<u64> {
        Some(self.ms.max(self.core.deadline()?.since_origin().as_nanos().div_ceil(1_000_000) as u64))
    }

    fn settle(&mut self) {
        while self.core.wants_pump() {
            let now = self.now();
            self.core.pump(64, now, &mut self.out);
        }
        let mut wanted = None;
        for effect in self.out.effects.drain(..) {
            let text = |packet: sippresence::sip::transport::Packet| String::from_utf8(packet.to_vec()).unwrap();
            let did = match effect {
                Effect::Send { local, remote, packet } => Did::Sent { local, remote, text: text(packet) },
                Effect::Write { conn, packet } => Did::Wrote { conn, text: text(packet) },
                Effect::Open { conn, remote, .. } => Did::Opening { conn, remote },
                Effect::Close { conn } => Did::Closed { conn },
                Effect::AskSecret { account } => {
                    wanted = Some(account);
                    continue;
                }
                Effect::Resolve { query, question } => Did::Asked { query, question },
            };
            self.did.push((self.ms, did));
        }
        if let Some(account) = wanted {
            let password = self.password.expect("no account is challenged here");
            self.feed(Input::Secret { account, answer: Ok(Secret::new(password)) });
        }
    }

    /// Takes everything that was done since the last time, with its time.
    pub fn did(&mut self) -> Vec<(u64, Did)> {
        std::mem::take(&mut self.did)
    }

    /// Takes the messages that left, with the time of each.
    pub fn sent(&mut self) -> Vec<(u64, String)> {
        self.did().into_iter().filter_map(|(at, did)| Some((at, did.text()?.to_owned()))).collect()
    }

    /// Takes the messages that left.
    pub fn texts(&mut self) -> Vec<String> {
        self.sent().into_iter().map(|(_, text)| text).collect()
    }

    /// Takes the one message that left.
    pub fn only(&mut self) -> String {
        let mut texts = self.texts();
        assert_eq!(texts.len(), 1, "{texts:#?}");
        texts.remove(0)
    }

    /// A request by UDP from alice, and the first line of the one answer to it.
    pub fn status_of(&mut self, request: &str) -> String {
        self.did();
        self.udp(ALICE, request);
        let answers: Vec<String> = self.texts().into_iter().filter(|text| text.starts_with("SIP/2.0")).collect();
        assert_eq!(answers.len(), 1, "{answers:#?}");
        answers[0].lines().next().unwrap().to_owned()
    }

    /// Alice subscribes and answers the first NOTIFY; returns the 200 and that NOTIFY.
    pub fn subscribed(&mut self) -> (String, String) {
        self.udp(ALICE, SUBSCRIBE);
        let [ok, notify] = <[String; 2]>::try_from(self.texts()).unwrap();
        assert!(ok.starts_with("SIP/2.0 200 OK\r\n"), "{ok}");
        self.udp(ALICE, &answer(&notify, "200 OK", ""));
        (ok, notify)
    }
}

fn moment(ms: u64) -> Now {
    let wall: Timestamp = "2026-03-02T09:15:00Z".parse().unwrap();
    let at = Instant::from_origin(Duration::from_millis(ms));
    Now { at, wall: wall + Duration::from_millis(ms) }
}

/// Makes line ends what they are on the wire.
pub fn wire(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\n', "\r\n")
}

/// Answers a request that the core sent; `extra` are whole lines.
pub fn answer(request: &str, status: &str, extra: &str) -> String {
    let mut text = format!("SIP/2.0 {status}\r\n");
    for line in request.lines().skip(1).take_while(|line| !line.is_empty()) {
        let name = line.split(':').next().unwrap();
        if ["Via", "From", "Call-ID", "CSeq"].contains(&name) || (name == "To" && line.contains(";tag=")) {
            text.extend([line, "\r\n"]);
        } else if name == "To" {
            text.extend([line, ";tag=peer-1\r\n"]);
        }
    }
    text + extra + "Content-Length: 0\r\n\r\n"
}

/// Returns a header's value.
pub fn header<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().skip(1).take_while(|line| !line.is_empty()).find_map(|line| {
        let (found, value) = line.split_once(':')?;
        (found == name).then(|| value.trim())
    })
}

/// Returns a parameter of a header's value.
pub fn param<'a>(text: &'a str, name: &str, param: &str) -> Option<&'a str> {
    header(text, name)?.split(';').find_map(|part| part.strip_prefix(param)?.strip_prefix('='))
}

/// Returns the first line.
pub fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// A NOTIFY from the notifier of alice's, for a SUBSCRIBE of ours.
pub fn notify_for(subscribe: &str, cseq: u32, state: &str) -> String {
    format!(
        "NOTIFY sip:bob@192.0.2.20:5060 SIP/2.0
Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKn{cseq};rport
Max-Forwards: 70
From: <sip:alice@192.0.2.10>;tag=peer-1
To: {}
Call-ID: {}
CSeq: {cseq} NOTIFY
Contact: <sip:alice@192.0.2.10:5060>
Event: presence
Subscription-State: {state}
Content-Length: 0

",
        header(subscribe, "From").unwrap(),
        header(subscribe, "Call-ID").unwrap(),
    )
}
