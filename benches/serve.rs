//! What the embedded server's domain costs, without sockets and disk: a publication, a change, a subscription with its first
//! NOTIFY, a change that ten thousand see; and how that grows from 1 000 to 100 000 subscriptions, in time and memory.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a benchmark fails by panicking, prints, and counts to far less than 2^52"
)]

use std::{
    alloc::System,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant as Clock},
};

use jiff::Timestamp;
use rand::{SeedableRng as _, rngs::StdRng};
use sippresence::{
    presence::{
        core::{Input, Now},
        policy::Action,
    },
    server::domain::{Domain, DomainConfig, Limits, Outbox},
    sip::{auth::Hash, effect::Effect, time::Instant, transaction::Timing},
};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const SERVER: &str = "127.0.0.1:5060";
const CLIENT: &str = "127.0.0.1:6060";

/// A domain, and whoever answers it.
struct Site {
    domain: Domain,
    out: Outbox,
    at: Duration,
    branches: u64,
    /// What came back, as text.
    answers: Vec<String>,
    notifies: u64,
}

impl Site {
    fn new(keeps: bool) -> Self {
        let limits = Limits {
            subscriptions: 1_000_000,
            publications: 1_000_000,
            presentities: 1_000_000,
            of_one_watcher: 1_000_000,
            ..Limits::default()
        };
        let config = DomainConfig {
            domains: vec!["example.test".into()],
            open: true,
            locals: vec![SERVER.parse().unwrap()],
            tls: Vec::new(),
            timing: Timing::default(),
            min_expires: 60,
            max_expires: 7200,
            default: Some(Action::Allow),
            hide_unknown: false,
            auth_min: Hash::Md5,
            legacy: false,
            limits,
            keeps,
        };
        let domain = Domain::new(config, Arc::default(), StdRng::seed_from_u64(3));
        Self { domain, out: Outbox::default(), at: Duration::ZERO, branches: 0, answers: Vec::new(), notifies: 0 }
    }

    fn now(&self) -> Now {
        let wall: Timestamp = "2026-03-02T09:15:00Z".parse().unwrap();
        Now { at: Instant::from_origin(Duration::from_secs(1000) + self.at), wall: wall + self.at }
    }

    fn input(&mut self, text: &str) {
        let (local, remote): (SocketAddr, SocketAddr) = (SERVER.parse().unwrap(), CLIENT.parse().unwrap());
        let now = self.now();
        self.domain.handle(Input::Datagram { local, remote, bytes: text.as_bytes() }, now, &mut self.out);
    }

    /// Lets it do what there is to do, and answers its NOTIFYs.
    fn settle(&mut self) {
        let now = self.now();
        loop {
            self.domain.settle(now, &mut self.out);
            if self.domain.wants_pump() {
                self.domain.pump(128, now, &mut self.out);
            }
            self.out.records.clear();
            let effects = std::mem::take(&mut self.out.effects);
            if effects.is_empty() {
                return;
            }
            for effect in effects {
                let Effect::Send { packet, .. } = effect else { panic!("{effect:?}") };
                let head = std::str::from_utf8(&packet.head).unwrap();
                if head.starts_with("NOTIFY ") {
                    self.notifies += 1;
                    let answer = answer(head);
                    self.input(&answer);
                } else {
                    self.answers.push(head.to_owned());
                }
            }
        }
    }

    fn request(&mut self, method: &str, user: usize, from: usize, lines: &str, body: &str) -> String {
        self.branches += 1;
        let branch = self.branches;
        format!(
            "{method} sip:u{user}@example.test SIP/2.0\r\nVia: SIP/2.0/UDP {CLIENT};branch=z9hG4bK{branch};rport\r\nMax-Forwards: \
             70\r\nFrom: <sip:u{from}@example.test>;tag=f{branch}\r\nTo: <sip:u{user}@example.test>\r\nCall-ID: \
             c{branch}@127.0.0.1\r\nCSeq: 1 {method}\r\nEvent: presence\r\nUser-Agent: bench/1.0\r\n{lines}Content-Length: \
             {}\r\n\r\n{body}",
            body.len()
        )
    }

    /// Publishes, and returns the tag.
    fn publish(&mut self, user: usize, tag: &str, note: usize) -> String {
        let condition = if tag.is_empty() { String::new() } else { format!("SIP-If-Match: {tag}\r\n") };
        let lines = format!("Content-Type: application/pidf+xml\r\nExpires: 3600\r\n{condition}");
        let text = self.request("PUBLISH", user, user, &lines, &document(user, note));
        self.input(&text);
        self.settle();
        let answer = self.answers.pop().unwrap();
        self.answers.clear();
        let line = answer.lines().find_map(|line| line.strip_prefix("SIP-ETag: "));
        line.unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    fn subscribe(&mut self, user: usize, from: usize) {
        let lines = format!("Contact: <sip:u{from}@{CLIENT}>\r\nAccept: application/pidf+xml\r\nExpires: 3600\r\n");
        let text = self.request("SUBSCRIBE", user, from, &lines, "");
        self.input(&text);
        self.settle();
        self.answers.clear();
    }
}

/// Answers a NOTIFY with 200.
fn answer(head: &str) -> String {
    let mut text = "SIP/2.0 200 OK\r\n".to_owned();
    for line in head.lines() {
        if ["Via: ", "From: ", "To: ", "Call-ID: ", "CSeq: "].iter().any(|name| line.starts_with(name)) {
            text.push_str(line);
            text.push_str("\r\n");
        }
    }
    text.push_str("Content-Length: 0\r\n\r\n");
    text
}

fn document(user: usize, note: usize) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<presence xmlns=\"urn:ietf:params:xml:ns:pidf\" \
         xmlns:dm=\"urn:ietf:params:xml:ns:pidf:data-model\" xmlns:rpid=\"urn:ietf:params:xml:ns:pidf:rpid\" \
         entity=\"sip:u{user}@example.test\">\n<tuple id=\"t1\"><status><basic>open</basic></status><contact \
         priority=\"0.8\">sip:u{user}@192.0.2.7</contact><note>note {note}</note></tuple>\n<dm:person \
         id=\"p1\"><rpid:activities><rpid:meeting/></rpid:activities></dm:person>\n</presence>"
    )
}

/// Says how long one of many took.
fn each(what: &str, count: usize, act: impl FnOnce()) {
    let began = Clock::now();
    act();
    let each = began.elapsed().as_secs_f64() * 1e6 / count as f64;
    println!("{what:<58}{each:>8.2} us, {:>8.0} a second on one core", 1e6 / each);
}

fn main() {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let (many, watchers) = if quick { (500, 500) } else { (20_000, 10_000) };
    for keeps in [false, true] {
        let with = if keeps { ", with its record" } else { "" };
        let mut site = Site::new(keeps);
        let mut tags = Vec::new();
        each(&format!("PUBLISH of somebody new -> 200{with}"), many, || {
            tags = (0..many).map(|user| site.publish(user, "", 0)).collect();
        });
        site.at += Duration::from_mins(1);
        site.settle();
        each(&format!("PUBLISH that changes something -> 200{with}"), many, || {
            for (user, tag) in tags.iter().enumerate() {
                site.publish(user, tag, 1);
            }
        });
        let mut site = Site::new(keeps);
        let tag = site.publish(0, "", 0);
        each(&format!("SUBSCRIBE -> 200, NOTIFY, its 200{with}"), watchers, || {
            (0..watchers).for_each(|from| site.subscribe(0, from + 1));
        });
        site.at += Duration::from_mins(1);
        site.settle();
        let before = site.notifies;
        each(&format!("one change seen by {watchers}: each NOTIFY and its 200{with}"), watchers, || {
            site.publish(0, &tag, 1);
        });
        assert_eq!(site.notifies - before, watchers as u64);
    }
    println!();
    let sizes: &[usize] = if quick { &[1000, 2000] } else { &[1000, 10_000, 100_000] };
    for size in sizes {
        let region = Region::new(ALLOCATOR);
        let mut site = Site::new(false);
        let began = Clock::now();
        for from in 0..*size {
            // Each watches ten people.
            site.subscribe(from % (size / 10), from);
        }
        let subscribed = began.elapsed().as_secs_f64() * 1e6 / *size as f64;
        // What answers were remembered for is over, and is forgotten a thousand at a time.
        site.at += Duration::from_mins(2);
        for _ in 0..=size / 250 {
            site.settle();
        }
        let change = region.change();
        // What was moved to a larger or smaller place is counted there as well.
        let bytes = (change.bytes_allocated - change.bytes_deallocated) as f64;
        let ticks = 1000;
        let began = Clock::now();
        for _ in 0..ticks {
            site.at += Duration::from_millis(1);
            let now = site.now();
            site.domain.settle(now, &mut site.out);
        }
        let tick = began.elapsed().as_secs_f64() * 1e6 / f64::from(ticks);
        println!(
            "{size:>7} subscriptions: {subscribed:>6.2} us for each to come, {:>6.0} bytes for each to stay, {tick:>5.2} us for a \
             tick",
            bytes / *size as f64
        );
    }
}
