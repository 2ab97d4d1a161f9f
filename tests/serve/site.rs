//! A domain in virtual time, the disk beside it, and people who talk to it from addresses of their own.
#![allow(unreachable_pub, reason = "it is a module of one test")]

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    path::Path,
    sync::Arc,
    time::Duration,
};

use rand::{SeedableRng as _, rngs::StdRng};
use sippresence::{
    presence::{core::Input, policy::Action},
    server::{
        accounts::Accounts,
        domain::{Domain, DomainConfig, Limits, Outbox, Restored},
        store::Table,
    },
    sip::{
        auth::{Algorithm, Digest, Hash, Qop, Use, ha1},
        effect::Effect,
        transaction::Timing,
    },
};

use crate::world::{Msg, moment, secs};

pub const SERVER: &str = "192.0.2.100:5060";
pub const DOMAIN: &str = "example.test";

/// What is on disk, by table and key.
pub type Disk = BTreeMap<(Table, Vec<u8>), Vec<u8>>;

/// See the module's text.
pub struct Site {
    pub domain: Domain,
    pub disk: Disk,
    /// NOTIFYs that came, in their order.
    pub notifies: VecDeque<Msg>,
    /// Whether NOTIFYs are answered 200 as they come.
    pub answers: bool,
    after: Duration,
    out: Outbox,
    responses: VecDeque<Msg>,
    numbers: u32,
}

pub fn config() -> DomainConfig {
    DomainConfig {
        domains: vec![DOMAIN.into()],
        open: true,
        locals: vec![SERVER.parse().unwrap()],
        tls: Vec::new(),
        timing: Timing::default(),
        min_expires: 60,
        max_expires: 7200,
        default: Some(Action::Ask),
        hide_unknown: false,
        auth_min: Hash::Md5,
        legacy: false,
        limits: Limits::default(),
        keeps: true,
    }
}

/// Everybody has an account whose password is the name and `-pw`.
pub fn accounts() -> Arc<Accounts> {
    let line = |user: &str| {
        let hashed = |hash: Hash| format!("{}:{}", hash.token(), *ha1(hash, user, DOMAIN, &format!("{user}-pw")));
        format!("{user}@{DOMAIN} {} {}\n", hashed(Hash::Md5), hashed(Hash::Sha256))
    };
    let text: String = ["alice", "bob", "carol", "dave"].into_iter().map(line).collect();
    Arc::new(Accounts::parse(&text, Path::new("accounts")).unwrap())
}

/// Where somebody is.
pub fn place(user: &str) -> SocketAddr {
    let host = user.bytes().map(u16::from).sum::<u16>() % 90 + 1;
    format!("192.0.2.{host}:5060").parse().unwrap()
}

/// A presence document about somebody, with what stands in it.
pub fn document(user: &str, inside: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?>\n<presence xmlns=\"urn:ietf:params:xml:ns:pidf\" \
         xmlns:dm=\"urn:ietf:params:xml:ns:pidf:data-model\" xmlns:rpid=\"urn:ietf:params:xml:ns:pidf:rpid\" \
         entity=\"sip:{user}@{DOMAIN}\">{inside}</presence>"
    )
}

/// One that says that somebody is there, with a note.
pub fn open(user: &str, note: &str) -> String {
    let tuple = format!("<tuple id=\"t1\"><status><basic>open</basic></status><contact>sip:{user}@192.0.2.7</contact>");
    document(user, &format!("{tuple}<note>{note}</note></tuple>"))
}

/// A dialog of a watcher: what its further requests repeat.
#[derive(Clone, Debug)]
pub struct Dialog {
    pub call: String,
    pub from_tag: String,
    pub to_tag: String,
    pub seq: u32,
}

impl Site {
    pub fn new() -> Self {
        Self::with(config())
    }

    /// Everybody may watch everybody.
    pub fn open() -> Self {
        Self::with(DomainConfig { default: Some(Action::Allow), ..config() })
    }

    pub fn with(config: DomainConfig) -> Self {
        Self {
            domain: Domain::new(config, accounts(), StdRng::seed_from_u64(11)),
            disk: Disk::new(),
            notifies: VecDeque::new(),
            answers: true,
            after: Duration::ZERO,
            out: Outbox::default(),
            responses: VecDeque::new(),
            numbers: 0,
        }
    }

    /// The process is killed, and another one starts with what is on disk.
    pub fn killed(self, config: DomainConfig) -> (Self, Restored) {
        self.ended(config, true)
    }

    /// The process ends in order, and another one starts.
    pub fn restarted(mut self, config: DomainConfig) -> (Self, Restored) {
        self.domain.leave(moment(self.after), &mut self.out);
        self.settle();
        self.ended(config, false)
    }

    fn ended(self, config: DomainConfig, crashed: bool) -> (Self, Restored) {
        let mut next = Self::with(config);
        (next.disk, next.after, next.numbers) = (self.disk, self.after + secs(1), self.numbers);
        let rows = |of: Table| {
            let rows = next.disk.iter().filter(|((table, _), _)| *table == of);
            rows.map(|((_, key), value)| (key.clone(), value.clone())).collect()
        };
        let restored = next.domain.restore(rows, crashed, moment(next.after));
        next.settle();
        (next, restored)
    }

    /// How many rows a table has on disk.
    pub fn rows(&self, of: Table) -> usize {
        self.disk.keys().filter(|(table, _)| *table == of).count()
    }

    /// Lets time pass, with all that happens meanwhile.
    pub fn pass(&mut self, time: Duration) {
        let until = self.after + time;
        while let Some(at) = self.domain.deadline() {
            let at = at.since_origin().saturating_sub(secs(1000));
            if at > until {
                break;
            }
            self.after = self.after.max(at);
            self.settle();
        }
        self.after = until;
        self.settle();
    }

    /// Lets time pass in which nothing is done, as in a sleep.
    pub fn sleep(&mut self, time: Duration) {
        self.after += time;
    }

    fn settle(&mut self) {
        loop {
            self.domain.settle(moment(self.after), &mut self.out);
            while self.domain.wants_pump() {
                self.domain.pump(64, moment(self.after), &mut self.out);
            }
            let records = std::mem::take(&mut self.out.records);
            for record in records {
                match record.value {
                    Some(value) => drop(self.disk.insert((record.table, record.key), value)),
                    None => drop(self.disk.remove(&(record.table, record.key))),
                }
            }
            let effects = std::mem::take(&mut self.out.effects);
            if effects.is_empty() {
                return;
            }
            for effect in effects {
                let (remote, packet) = match effect {
                    Effect::Send { remote, packet, .. } => (remote, packet),
                    // Nobody here has TCP, and what is too large for a datagram goes as one.
                    Effect::Open { conn, .. } => {
                        self.domain.handle(Input::Closed(conn), moment(self.after), &mut self.out);
                        continue;
                    }
                    other => panic!("{other:?}"),
                };
                let msg = Msg { text: String::from_utf8(packet.to_vec()).unwrap(), to: remote, at: self.after };
                if msg.code().is_some() {
                    self.responses.push_back(msg);
                } else {
                    assert!(msg.text.starts_with("NOTIFY "), "{msg:?}");
                    if self.answers {
                        self.raw(remote, &msg.response("200 OK", ""));
                    }
                    self.notifies.push_back(msg);
                }
            }
        }
    }

    /// Hands in a datagram; whatever follows waits for [`settle`](Self::settle).
    fn raw(&mut self, from: SocketAddr, text: &str) {
        let text = text.replace("\r\n", "\n").replace('\n', "\r\n");
        let input = Input::Datagram { local: SERVER.parse().unwrap(), remote: from, bytes: text.as_bytes() };
        self.domain.handle(input, moment(self.after), &mut self.out);
    }

    /// How long after the start it is.
    pub fn time(&self) -> Duration {
        self.after
    }

    /// Sends a datagram, and returns what is answered to it.
    pub fn send(&mut self, from: SocketAddr, text: &str) -> Vec<Msg> {
        self.responses.clear();
        self.raw(from, text);
        self.settle();
        self.responses.drain(..).collect()
    }

    /// Draws a number that no other message has.
    pub fn number(&mut self) -> u32 {
        self.numbers += 1;
        self.numbers
    }

    /// Sends a request of `user` about `uri`, with the proof that is asked for; returns the answer to it.
    pub fn ask(&mut self, method: &str, user: &str, uri: &str, lines: &str, body: &str) -> Msg {
        let number = self.number();
        let dialog =
            Dialog { call: format!("call-{number}"), from_tag: format!("f{number}"), to_tag: String::new(), seq: 1 };
        self.ask_in(method, (user, DOMAIN), uri, &dialog, lines, body)
    }

    pub fn ask_in(
        &mut self,
        method: &str,
        (user, host): (&str, &str),
        uri: &str,
        dialog: &Dialog,
        lines: &str,
        body: &str,
    ) -> Msg {
        let mut proof = String::new();
        for attempt in 0..2 {
            let number = self.number();
            let from = place(user);
            let Dialog { call, from_tag, to_tag, seq } = dialog;
            let to = if to_tag.is_empty() { String::new() } else { format!(";tag={to_tag}") };
            let seq = seq + attempt;
            // Who registers says by To whom it is about; all others say the same there.
            let target = if method == "REGISTER" { format!("sip:{user}@{host}") } else { uri.to_owned() };
            let text = format!(
                "{method} {uri} SIP/2.0\nVia: SIP/2.0/UDP {from};branch=z9hG4bKv{number};rport\nMax-Forwards: 70\nFrom: \
                 <sip:{user}@{host}>;tag={from_tag}\nTo: <{target}>{to}\nCall-ID: {call}\nCSeq: {seq} \
                 {method}\n{lines}{proof}Content-Length: {}\n\n{body}",
                body.replace('\n', "\r\n").len()
            );
            let mut answers = self.send(from, &text);
            assert_eq!(answers.len(), 1, "{method} of {user}: {answers:?}");
            let answer = answers.remove(0);
            if answer.code() != Some(401) || attempt > 0 {
                return answer;
            }
            proof = proof_of(&answer, user, &format!("{user}-pw"), method, uri);
        }
        unreachable!()
    }

    pub fn publish(&mut self, user: &str, lines: &str, body: &str) -> Msg {
        let content = if body.is_empty() { "" } else { "Content-Type: application/pidf+xml\n" };
        self.ask("PUBLISH", user, &format!("sip:{user}@{DOMAIN}"), &format!("Event: presence\n{content}{lines}"), body)
    }

    /// Has somebody publish something new; returns the tag.
    pub fn put(&mut self, user: &str, body: &str) -> String {
        let answer = self.publish(user, "Expires: 3600\n", body);
        assert_eq!(answer.code(), Some(200), "{answer:?}");
        answer.header("SIP-ETag").to_owned()
    }

    pub fn subscribe_to(&mut self, user: &str, event: &str, target: &str, expires: u32) -> (Msg, Dialog) {
        let number = self.number();
        let mut dialog =
            Dialog { call: format!("watch-{number}"), from_tag: format!("w{number}"), to_tag: String::new(), seq: 1 };
        let lines = format!("Event: {event}\nContact: <sip:{user}@{}>\nExpires: {expires}\n", place(user));
        let answer = self.ask_in("SUBSCRIBE", (user, DOMAIN), &format!("sip:{target}@{DOMAIN}"), &dialog, &lines, "");
        dialog.seq = 10;
        answer.tag("To").clone_into(&mut dialog.to_tag);
        (answer, dialog)
    }

    pub fn subscribe(&mut self, user: &str, target: &str) -> Dialog {
        let (answer, dialog) = self.subscribe_to(user, "presence", target, 3600);
        assert_eq!(answer.code(), Some(200), "{answer:?}");
        dialog
    }

    pub fn refresh(&mut self, user: &str, target: &str, dialog: &mut Dialog, expires: u32) -> Msg {
        dialog.seq += 1;
        let lines = format!("Event: presence\nContact: <sip:{user}@{}>\nExpires: {expires}\n", place(user));
        self.ask_in("SUBSCRIBE", (user, DOMAIN), &format!("sip:{target}@{DOMAIN}"), dialog, &lines, "")
    }

    /// Takes the NOTIFYs that came for somebody.
    pub fn told(&mut self, user: &str) -> Vec<Msg> {
        let (his, others) = self.notifies.drain(..).partition::<Vec<Msg>, _>(|msg| msg.to == place(user));
        self.notifies = others.into();
        his
    }

    /// Takes the one NOTIFY that came for somebody.
    pub fn one(&mut self, user: &str) -> Msg {
        let mut told = self.told(user);
        assert_eq!(told.len(), 1, "{told:?}");
        told.remove(0)
    }
}

/// The line by which somebody proves who he is, once he was challenged.
pub fn proof_of(challenged: &Msg, user: &str, password: &str, method: &str, uri: &str) -> String {
    let asked = challenged.text.lines().filter(|line| line.starts_with("WWW-Authenticate: "));
    let line = asked.into_iter().find(|line| line.contains("algorithm=SHA-256")).unwrap();
    let part = |name: &str| {
        let (_, rest) = line.split_once(&format!("{name}=\"")).unwrap();
        rest.split('"').next().unwrap()
    };
    let (realm, nonce) = (part("realm"), part("nonce"));
    let digest = Digest {
        algorithm: Algorithm { hash: Hash::Sha256, session: false },
        ha1: &ha1(Hash::Sha256, user, realm, password),
        nonce,
        usage: Some(Use { qop: Qop::Auth, nc: 1, cnonce: "c" }),
        method,
        uri,
        body: b"",
    };
    format!(
        "Authorization: Digest username=\"{user}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", response=\"{}\", \
         algorithm=SHA-256, cnonce=\"c\", qop=auth, nc=00000001\n",
        digest.response()
    )
}
