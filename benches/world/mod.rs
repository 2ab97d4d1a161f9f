//! A core with as many subscriptions as one wants, and peers that answer.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "each benchmark uses its part, and nobody else does")]

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use jiff::Timestamp;
use rand::{SeedableRng, rngs::StdRng};
use sippresence::{
    presence::{
        OpenWhen, PresenceStatus,
        core::{Core, CoreConfig, Input, Now, Outbox, Subscribing},
        pidf::Published,
        policy::{Action, Policy},
    },
    sip::{effect::Effect, time::Instant, transaction::Timing},
};

const WEEK: u32 = 604_800;
const BODY: &str = "<?xml version=\"1.0\"?>\r\n<presence xmlns=\"urn:ietf:params:xml:ns:pidf\" \
                    entity=\"sip:u@10.0.0.1\"><tuple id=\"a\"><status><basic>open</basic></status></tuple></presence>";

pub fn peer(n: usize) -> SocketAddr {
    (Ipv4Addr::from_bits(0x0a00_0001 + u32::try_from(n).expect("few peers")), 5060).into()
}

/// A core with its clock, and what it sent.
pub struct Table {
    pub core: Core,
    pub now: Now,
    pub out: Outbox,
    local: SocketAddr,
    /// For each peer, the dialog's headers as the peer's requests carry them.
    pub dialogs: Vec<String>,
    seq: u32,
}

impl Table {
    fn new(peers: usize) -> Self {
        let local: SocketAddr = ([192, 0, 2, 20], 5060).into();
        let mut policy = Policy::default();
        for n in 0..peers {
            policy.set(&format!("u@{}", peer(n).ip()), Action::Allow);
        }
        let config = CoreConfig {
            address: "sip:bob@192.0.2.20".parse().expect("a URI"),
            display_name: None,
            locals: vec![local],
            tls: Vec::new(),
            machine: vec![local.ip()],
            names: Vec::new(),
            timing: Timing::default(),
            device_id: "urn:uuid:0c9d6b1e-52f4-4f0c-8a37-6e1d2b7a9f10".into(),
            device: None,
            open_when: OpenWhen::default(),
            policy,
            min_expires: 60,
            max_subscriptions: 200_000,
            expires: WEEK,
            retry_cap: Duration::from_mins(2),
            rate: 0,
            rates: sippresence::presence::Rates::default(),
            lenient: false,
            language: None,
            credentials: None,
            server: None,
            auth_min: sippresence::sip::auth::Hash::Md5,
            legacy: false,
        };
        let now = Now { at: Instant::from_origin(Duration::from_secs(1)), wall: Timestamp::UNIX_EPOCH };
        let core = Core::new(config, StdRng::seed_from_u64(1), now).expect("a core");
        Self { core, now, out: Outbox::default(), local, dialogs: Vec::new(), seq: 1 }
    }

    /// A core that serves so many watchers.
    pub fn serving(watchers: usize) -> Self {
        let mut table = Self::new(watchers);
        table.publish(PresenceStatus::Available);
        for n in 0..watchers {
            let head = format!("f:<sip:u@{}>;tag=t\r\nt:<sip:bob@192.0.2.20>", peer(n).ip());
            let text = table.subscribe(n, &head);
            table.input(peer(n), &text);
            let sent = table.exchange();
            let ok = sent.iter().find(|text| text.starts_with("SIP/2.0 200")).expect("a 200");
            table.dialogs.push(format!("f:<sip:u@{}>;tag=t\r\nt:{}", peer(n).ip(), header(ok, "To")));
            table.turn();
        }
        table
    }

    /// A core that watches so many presentities.
    pub fn watching(presentities: usize) -> Self {
        let mut table = Self::new(0);
        for n in 0..presentities {
            let target = format!("sip:u@{}", peer(n).ip()).parse().expect("a URI");
            table.core.watch(target, "u", Subscribing::Lasting, table.now, &mut table.out);
            let Effect::Send { packet, .. } = table.out.effects.remove(0) else { panic!("a SUBSCRIBE") };
            let sub = String::from_utf8(packet.to_vec()).expect("text");
            table.input(peer(n), &answer(&sub));
            let (from, to) = (header(&sub, "From"), header(&sub, "To"));
            table.dialogs.push(format!("f:{to};tag=n\r\nt:{from}\r\ni:{}", header(&sub, "Call-ID")));
            let notify = table.notify(n);
            table.input(peer(n), &notify);
            table.turn();
        }
        table
    }

    /// Lets the time pass that there is between two who come, ten of them a second.
    fn turn(&mut self) {
        self.pass(Duration::from_millis(100));
        self.core.handle(Input::Tick, self.now, &mut self.out);
        self.forget();
    }

    pub fn subscribe(&mut self, n: usize, parties: &str) -> String {
        self.seq += 1;
        let (remote, seq) = (peer(n), self.seq);
        format!(
            "SUBSCRIBE sip:bob@192.0.2.20 SIP/2.0\r\nv:SIP/2.0/UDP {remote};branch=z9hG4bK{seq};rport\r\n{parties}\r\n\
             i:call{n}\r\nCSeq:{seq} SUBSCRIBE\r\nm:<sip:u@{remote}>\r\no:presence\r\nExpires:{WEEK}\r\nl:0\r\n\r\n"
        )
    }

    pub fn notify(&mut self, n: usize) -> String {
        self.seq += 1;
        let (remote, seq, dialog) = (peer(n), self.seq, &self.dialogs[n]);
        format!(
            "NOTIFY sip:bob@192.0.2.20 SIP/2.0\r\nVia: SIP/2.0/UDP {remote};branch=z9hG4bK{seq};rport\r\n{dialog}\r\n\
             CSeq: {seq} NOTIFY\r\nContact: <sip:u@{remote}>\r\nEvent: presence\r\nSubscription-State: active\r\n\
             Content-Type: application/pidf+xml\r\nContent-Length: {}\r\n\r\n{BODY}",
            BODY.len()
        )
    }

    pub fn pass(&mut self, time: Duration) {
        self.now.at = self.now.at + time;
    }

    pub fn input(&mut self, remote: SocketAddr, text: &str) {
        self.core.handle(
            Input::Datagram { local: self.local, remote, bytes: text.as_bytes() },
            self.now,
            &mut self.out,
        );
    }

    pub fn publish(&mut self, status: PresenceStatus) {
        self.core.publish(Published::new(status, self.now.wall), self.now, &mut self.out);
    }

    pub fn forget(&mut self) {
        self.out.effects.clear();
        self.out.events.clear();
        self.out.changed.clear();
    }

    /// Sends what waits and answers it, until nothing waits; returns what was sent.
    pub fn exchange(&mut self) -> Vec<String> {
        let mut sent = Vec::new();
        loop {
            while self.core.wants_pump() {
                self.core.pump(64, self.now, &mut self.out);
            }
            let effects = std::mem::take(&mut self.out.effects);
            if effects.is_empty() {
                self.forget();
                return sent;
            }
            for effect in effects {
                let Effect::Send { remote, packet, .. } = effect else { continue };
                let text = String::from_utf8(packet.to_vec()).expect("text");
                if text.starts_with("NOTIFY") {
                    self.input(remote, &answer(&text));
                }
                sent.push(text);
            }
        }
    }
}

fn header<'a>(text: &'a str, name: &str) -> &'a str {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).expect("a header")
}

pub fn answer(request: &str) -> String {
    let mut text = String::from("SIP/2.0 200 OK\r\n");
    for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
        text.extend([name, ": ", header(request, name), "\r\n"]);
    }
    text + "Expires: 604800\r\nContent-Length: 0\r\n\r\n"
}
