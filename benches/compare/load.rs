//! One client with many users, that has so many requests on their way at a time, and answers each NOTIFY.

use std::{
    collections::HashMap,
    net::UdpSocket,
    time::{Duration, Instant},
};

use memchr::memmem;
use nix::sys::socket::{setsockopt, sockopt};

use super::Running;

/// What is asked for, in bytes, for datagrams that wait to be read.
const BUFFER: usize = 64 << 20;
/// How many requests are on their way at once.
const WINDOW: usize = 64;
/// When one that was not answered goes again.
const AGAIN: Duration = Duration::from_millis(500);
/// Longer than any of it takes; reached only by a server that has died.
const PATIENCE: Duration = Duration::from_secs(30);

/// What was measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures {
    /// Requests a second.
    pub(crate) publish: f64,
    pub(crate) change: f64,
    pub(crate) subscribe: f64,
    /// Seconds until the last watcher knew.
    pub(crate) fan_out: f64,
    /// Of memory for each subscription.
    pub(crate) bytes: f64,
}

pub(crate) struct Load<'a> {
    server: &'a Running,
    socket: UdpSocket,
    tags: Vec<String>,
    /// Requests on their way, by the numbers of their Call-IDs, with when each went.
    pending: HashMap<usize, (usize, String, Instant)>,
    /// The Call-IDs of watchers that were told something.
    told: Numbers,
    /// Those that were told this note.
    knows: Numbers,
    marker: String,
    numbers: usize,
    /// What came last, and what is said to it.
    received: Vec<u8>,
    answer: Vec<u8>,
    /// What was refused, and asked for again.
    refused: usize,
}

/// Small numbers, each once.
#[derive(Default)]
struct Numbers {
    is_in: Vec<bool>,
    count: usize,
}

impl Numbers {
    fn insert(&mut self, number: usize) {
        if self.is_in.len() <= number {
            self.is_in.resize(number + 1, false);
        }
        self.count += usize::from(!std::mem::replace(&mut self.is_in[number], true));
    }
}

impl<'a> Load<'a> {
    pub(crate) fn new(server: &'a Running) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        // As much as the kernel grants: Kamailio sends ten thousand at once, and some are never sent again.
        let _ = setsockopt(&socket, sockopt::RcvBuf, &BUFFER);
        let _ = setsockopt(&socket, sockopt::RcvBufForce, &BUFFER);
        socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        socket.connect(server.address).unwrap();
        let mut load = Self {
            server,
            socket,
            tags: Vec::new(),
            pending: HashMap::new(),
            told: Numbers::default(),
            knows: Numbers::default(),
            marker: String::new(),
            numbers: 0,
            received: vec![0; 8192],
            answer: Vec::with_capacity(1024),
            refused: 0,
        };
        load.wait();
        load
    }

    /// Waits until it answers.
    fn wait(&mut self) {
        let began = Instant::now();
        loop {
            let text = self.request("OPTIONS", 0, 0, "", "");
            let _ = self.socket.send(text.as_bytes());
            if self.socket.recv(&mut [0; 8192]).is_ok() {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "it does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Measures all, or but what needs no watchers.
    pub(crate) fn figures(&mut self, size: usize, watchers: bool) -> Figures {
        self.tags = vec![String::new(); size];
        let publish = self.rate(size, Self::publish);
        // Nobody changes more often than once a second in the long run.
        self.rest(Duration::from_secs(1));
        let change = self.rate(size, Self::publish);
        if !watchers {
            return Figures { publish, change, subscribe: f64::NAN, fan_out: f64::NAN, bytes: f64::NAN };
        }
        let before = self.server.memory();
        let began = Instant::now();
        self.rate(size, Self::subscribe);
        self.until(|load| load.told.count >= size);
        let subscribe = size as f64 / began.elapsed().as_secs_f64();
        // What was kept of requests for a while is not a subscription's.
        self.rest(Duration::from_secs(if size > 1000 { 40 } else { 1 }));
        let bytes = (self.server.memory() - before) / size as f64;
        let rounds = 3;
        let mut times = Vec::new();
        for _ in 0..rounds {
            self.numbers += 1;
            self.marker = format!("marker-{}", self.numbers);
            self.knows = Numbers::default();
            let began = Instant::now();
            self.publish(0);
            let all = self.until(|load| load.knows.count >= size);
            times.push(if all { began.elapsed().as_secs_f64() } else { f64::NAN });
            // A watcher is told once in five seconds.
            self.rest(Duration::from_millis(5500));
        }
        times.sort_by(f64::total_cmp);
        if self.refused > 0 {
            println!("{} SUBSCRIBEs were answered 500, and sent again", self.refused);
        }
        Figures { publish, change, subscribe, fan_out: times[rounds / 2], bytes }
    }

    /// Does something for each of so many, several at a time; returns how many a second.
    fn rate(&mut self, size: usize, mut act: impl FnMut(&mut Self, usize)) -> f64 {
        let began = Instant::now();
        for user in 0..size {
            act(self, user);
            self.until(|load| load.pending.len() < WINDOW);
        }
        self.until(|load| load.pending.is_empty());
        size as f64 / began.elapsed().as_secs_f64()
    }

    /// Answers what comes for a while: who is busy when an answer comes loses it and asks again, and ends a subscription whose
    /// watcher has gone silent.
    fn rest(&mut self, time: Duration) {
        let began = Instant::now();
        while began.elapsed() < time {
            self.receive();
        }
    }

    /// Goes on until it is so; false where it does not become so.
    fn until(&mut self, is_so: impl Fn(&Self) -> bool) -> bool {
        let began = Instant::now();
        while !is_so(self) {
            if began.elapsed() > PATIENCE {
                let (told, knows) = (self.told.count, self.knows.count);
                println!("given up: {told} watchers were told, {knows} of the last change");
                return false;
            }
            if !self.receive() {
                for (_, text, sent) in self.pending.values_mut().filter(|(.., sent)| sent.elapsed() > AGAIN) {
                    *sent = Instant::now();
                    let _ = self.socket.send(text.as_bytes());
                }
            }
        }
        true
    }

    fn publish(&mut self, user: usize) {
        let condition = match self.tags[user].as_str() {
            "" => String::new(),
            tag => format!("SIP-If-Match: {tag}\r\n"),
        };
        let lines = format!("Event: presence\r\nContent-Type: application/pidf+xml\r\nExpires: 3600\r\n{condition}");
        let note = if self.marker.is_empty() { format!("note {}", self.numbers) } else { self.marker.clone() };
        let domain = self.server.domain;
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<presence xmlns=\"urn:ietf:params:xml:ns:pidf\" \
             entity=\"sip:u{user}@{domain}\">\n<tuple id=\"t1\"><status><basic>open</basic></status><contact \
             priority=\"0.8\">sip:u{user}@192.0.2.7</contact><note>{note}</note></tuple>\n</presence>\n"
        );
        self.ask("PUBLISH", user, user, &lines, &body);
    }

    fn subscribe(&mut self, from: usize) {
        let local = self.socket.local_addr().unwrap();
        let lines = format!(
            "Event: presence\r\nContact: <sip:w{from}@{local}>\r\nAccept: application/pidf+xml\r\nExpires: 3600\r\n"
        );
        self.ask("SUBSCRIBE", 0, from + 1, &lines, "");
        if let Some((of, ..)) = self.pending.get_mut(&self.numbers) {
            *of = from;
        }
    }

    fn ask(&mut self, method: &str, user: usize, from: usize, lines: &str, body: &str) {
        let text = self.request(method, user, from, lines, body);
        self.socket.send(text.as_bytes()).unwrap();
        self.pending.insert(self.numbers, (user, text, Instant::now()));
    }

    fn request(&mut self, method: &str, user: usize, from: usize, lines: &str, body: &str) -> String {
        self.numbers += 1;
        let (number, local, domain) = (self.numbers, self.socket.local_addr().unwrap(), self.server.domain);
        format!(
            "{method} sip:u{user}@{domain} SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bK{number};rport\r\nMax-Forwards: \
             70\r\nFrom: <sip:u{from}@{domain}>;tag=f{number}\r\nTo: <sip:u{user}@{domain}>\r\nCall-ID: c{number}\r\nCSeq: 1 \
             {method}\r\n{lines}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    /// Takes one datagram; false where none came.
    fn receive(&mut self) -> bool {
        let Ok(length) = self.socket.recv(&mut self.received) else { return false };
        let text = str::from_utf8(&self.received[..length]).unwrap();
        let value = |name: &str| {
            let from = memmem::find(text.as_bytes(), name.as_bytes())? + name.len();
            text[from..].split_once('\r').map(|(value, _)| value)
        };
        let call = value("\nCall-ID: c").and_then(|number| number.parse().ok()).unwrap_or_default();
        if text.starts_with("NOTIFY ") {
            self.answer.clear();
            self.answer.extend(b"SIP/2.0 200 OK\r\n");
            let end = memmem::find(text.as_bytes(), b"\r\n\r\n").map_or(length, |at| at + 2);
            for line in text[..end].split_inclusive('\n') {
                let copies = match line.as_bytes()[0] {
                    b'V' => line.starts_with("Via: "),
                    b'F' => line.starts_with("From: "),
                    b'T' => line.starts_with("To: "),
                    b'C' => line.starts_with("Call-ID: ") || line.starts_with("CSeq: "),
                    _ => false,
                };
                if copies {
                    self.answer.extend(line.as_bytes());
                }
            }
            self.answer.extend(b"Content-Length: 0\r\n\r\n");
            let _ = self.socket.send(&self.answer);
            self.told.insert(call);
            if !self.marker.is_empty() && memmem::find(text.as_bytes(), self.marker.as_bytes()).is_some() {
                self.knows.insert(call);
            }
            return true;
        }
        if text.get(8..9) == Some("1") {
            return true;
        }
        if let Some((user, asked, _)) = self.pending.remove(&call) {
            if asked.starts_with("SUBSCRIBE ") && text.starts_with("SIP/2.0 500") {
                // Kamailio refuses one in a thousand when it is busy, and takes it when it is asked again.
                self.refused += 1;
                self.subscribe(user);
                return true;
            }
            assert!(text.get(8..9) == Some("2"), "{asked}\n{text}");
            if let Some(tag) = value("\nSIP-ETag: ") {
                tag.clone_into(&mut self.tags[user]);
            }
        }
        true
    }
}
