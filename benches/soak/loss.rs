//! Many who watch for a long time while datagrams are lost both ways: nothing is missing at the end, and nothing grows.

use std::{
    collections::HashMap,
    fs,
    net::{SocketAddr, TcpListener, UdpSocket},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use nix::sys::socket::{setsockopt, sockopt};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tempfile::TempDir;

/// How many people are watched.
const PEOPLE: usize = 100;
/// For datagrams that wait to be read, in bytes.
const BUFFER: usize = 64 << 20;
/// One datagram in so many is lost, each way.
const LOST: u32 = 10;
/// For how long a subscription is asked for, and how often it is refreshed.
const EXPIRES: u64 = 120;
const REFRESH: Duration = Duration::from_mins(1);
/// How often somebody changes.
const CHANGE: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(90);

/// A request that waits for its answer.
struct Pending {
    text: String,
    sent: Instant,
    /// The pause before it goes again (RFC 3261 §17.1.2).
    pause: Duration,
    of: Of,
}

#[derive(Clone, Copy)]
enum Of {
    Publication(usize),
    Subscription(usize),
}

struct Watch {
    to_tag: String,
    seq: u32,
    refresh_at: Instant,
    knows: String,
}

struct Soak {
    _folder: TempDir,
    server: Child,
    address: SocketAddr,
    socket: UdpSocket,
    rng: StdRng,
    loses: bool,
    tags: Vec<String>,
    notes: Vec<String>,
    watches: Vec<Watch>,
    pending: HashMap<String, Pending>,
    numbers: usize,
    counts: (u64, u64, u64),
}

/// Runs with so many subscriptions for so long, and says how it went.
pub(super) fn run(watchers: usize, time: Duration) {
    let mut soak = Soak::new();
    for person in 0..PEOPLE.min(watchers) {
        soak.publish(person);
    }
    for watcher in 0..watchers {
        soak.watches.push(Watch { to_tag: String::new(), seq: 0, refresh_at: Instant::now(), knows: String::new() });
        soak.subscribe(watcher);
        soak.turn();
    }
    soak.until("everybody watches", |soak| soak.watches.iter().all(|watch| !watch.to_tag.is_empty()));
    let (began, mut next, mut told) = (Instant::now(), Instant::now(), Instant::now());
    let mut memory = vec![soak.memory()];
    while began.elapsed() < time {
        if Instant::now() >= next {
            next += CHANGE / u32::try_from(PEOPLE).unwrap();
            let person = soak.rng.random_range(0..PEOPLE.min(watchers));
            soak.publish(person);
        }
        let due = soak.watches.iter().position(|watch| Instant::now() >= watch.refresh_at);
        if let Some(watcher) = due {
            soak.subscribe(watcher);
        }
        soak.turn();
        if told.elapsed() > Duration::from_mins(1) {
            told = Instant::now();
            memory.push(soak.memory());
            let (sent, received, lost) = soak.counts;
            println!(
                "{:>4} s: {sent} sent, {received} received, {lost} lost, {} KiB of memory",
                began.elapsed().as_secs(),
                memory.last().unwrap() / 1024
            );
        }
    }
    // A last change of everybody, and time for it to arrive; the network is as bad as before.
    for person in 0..PEOPLE.min(watchers) {
        soak.publish(person);
    }
    soak.until("everybody knows the last of everybody", |soak| {
        soak.pending.is_empty()
            && soak
                .watches
                .iter()
                .enumerate()
                .all(|(watcher, watch)| watch.knows == soak.notes[soak.person_of(watcher)])
    });
    memory.push(soak.memory());
    let (sent, received, lost) = soak.counts;
    println!(
        "{watchers} subscriptions for {} s with one datagram in {LOST} lost each way: nothing is missing; {sent} sent, {received} \
         received, {lost} lost; memory {} KiB at the beginning, {} KiB at the end",
        time.as_secs(),
        memory[0] / 1024,
        memory.last().unwrap() / 1024
    );
}

impl Soak {
    fn new() -> Self {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_sippresence"));
        command.env_clear().env("HOME", folder.path()).env("XDG_RUNTIME_DIR", folder.path());
        command.args(["serve", "--domain", "example.test", "--xcap", "none", "--port", &address.port().to_string()]);
        let server = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(2))).unwrap();
        // What is lost here is lost by us, and not by a buffer that is too small.
        let _ = setsockopt(&socket, sockopt::RcvBuf, &BUFFER);
        let _ = setsockopt(&socket, sockopt::RcvBufForce, &BUFFER);
        let seed = rand::random();
        println!("loss, seed {seed}");
        let (tags, notes) = (vec![String::new(); PEOPLE], vec![String::new(); PEOPLE]);
        Self {
            _folder: folder,
            server,
            address,
            socket,
            rng: StdRng::seed_from_u64(seed),
            loses: true,
            tags,
            notes,
            watches: Vec::new(),
            pending: HashMap::new(),
            numbers: 0,
            counts: (0, 0, 0),
        }
    }

    fn person_of(&self, watcher: usize) -> usize {
        watcher % PEOPLE.min(self.watches.len())
    }

    fn publish(&mut self, person: usize) {
        let call = format!("p{person}");
        if self.pending.contains_key(&call) {
            // One change at a time.
            return;
        }
        self.numbers += 1;
        let note = format!("note-{}", self.numbers);
        let condition = match self.tags[person].as_str() {
            "" => String::new(),
            tag => format!("SIP-If-Match: {tag}\r\n"),
        };
        let lines = format!("Content-Type: application/pidf+xml\r\nExpires: 3600\r\n{condition}");
        let body = format!(
            "<presence xmlns=\"urn:ietf:params:xml:ns:pidf\" entity=\"sip:u{person}@example.test\"><tuple id=\"t\"><status><basic>\
             open</basic></status><note>{note}</note></tuple></presence>"
        );
        self.notes[person] = note;
        let parties = (format!("u{person}"), "p".to_owned(), String::new());
        let text = self.request("PUBLISH", person, &parties, &call, self.numbers, &lines, &body);
        self.send(call, text, Of::Publication(person));
    }

    fn subscribe(&mut self, watcher: usize) {
        let (local, person) = (self.socket.local_addr().unwrap(), self.person_of(watcher));
        let watch = &mut self.watches[watcher];
        watch.seq += 1;
        watch.refresh_at = Instant::now() + REFRESH;
        let (tag, seq) = (watch.to_tag.clone(), watch.seq as usize);
        let lines = format!("Contact: <sip:w{watcher}@{local}>\r\nExpires: {EXPIRES}\r\n");
        let parties = (format!("w{watcher}"), format!("w{watcher}"), tag);
        let call = format!("s{watcher}");
        let text = self.request("SUBSCRIBE", person, &parties, &call, seq, &lines, "");
        self.send(call, text, Of::Subscription(watcher));
    }

    #[allow(clippy::too_many_arguments, reason = "the parts of one request")]
    fn request(
        &mut self,
        method: &str,
        person: usize,
        (from, from_tag, to_tag): &(String, String, String),
        call: &str,
        seq: usize,
        lines: &str,
        body: &str,
    ) -> String {
        self.numbers += 1;
        let (number, local) = (self.numbers, self.socket.local_addr().unwrap());
        let to = if to_tag.is_empty() { String::new() } else { format!(";tag={to_tag}") };
        format!(
            "{method} sip:u{person}@example.test SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bK{number};rport\r\nMax-Forwards: \
             70\r\nFrom: <sip:{from}@example.test>;tag={from_tag}\r\nTo: <sip:u{person}@example.test>{to}\r\nCall-ID: {call}\r\nCSeq: \
             {seq} {method}\r\nEvent: presence\r\n{lines}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    fn send(&mut self, call: String, text: String, of: Of) {
        self.out(&text);
        let pause = Duration::from_millis(500);
        self.pending.insert(call, Pending { text, sent: Instant::now(), pause, of });
    }

    /// Sends a datagram, or loses it.
    fn out(&mut self, text: &str) {
        if self.loses && self.rng.random_range(0..LOST) == 0 {
            self.counts.2 += 1;
            return;
        }
        self.counts.0 += 1;
        let _ = self.socket.send_to(text.as_bytes(), self.address);
    }

    fn until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let began = Instant::now();
        while !is_so(self) {
            assert!(began.elapsed() < PATIENCE, "not so within {PATIENCE:?}: {what}");
            self.turn();
        }
    }

    /// Takes what came, and sends again what was not answered.
    fn turn(&mut self) {
        while self.receive() {}
        let again: Vec<String> =
            self.pending.iter().filter(|(_, it)| it.sent.elapsed() > it.pause).map(|(call, _)| call.clone()).collect();
        for call in again {
            let Some(pending) = self.pending.get_mut(&call) else { continue };
            pending.sent = Instant::now();
            pending.pause = (pending.pause * 2).min(Duration::from_secs(4));
            let text = pending.text.clone();
            self.out(&text);
        }
    }

    fn receive(&mut self) -> bool {
        let mut bytes = [0; 8192];
        let Ok((length, _)) = self.socket.recv_from(&mut bytes) else { return false };
        if self.loses && self.rng.random_range(0..LOST) == 0 {
            self.counts.2 += 1;
            return true;
        }
        self.counts.1 += 1;
        let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
        let value = |name: &str| {
            text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).unwrap_or_default().to_owned()
        };
        let call = value("Call-ID");
        if text.starts_with("NOTIFY ") {
            let copied = ["Via", "From", "To", "Call-ID", "CSeq"].map(|name| format!("{name}: {}\r\n", value(name)));
            self.out(&format!("SIP/2.0 200 OK\r\n{}Content-Length: 0\r\n\r\n", copied.concat()));
            let watcher: usize = call[1..].parse().unwrap();
            let note = text.split_once("<note>").and_then(|(_, rest)| rest.split_once("</note>"));
            if let Some((note, _)) = note {
                note.clone_into(&mut self.watches[watcher].knows);
            }
            return true;
        }
        let Some(Pending { text: asked, of, .. }) = self.pending.remove(&call) else { return true };
        let code = text.get(8..11).unwrap_or_default();
        match (code, of) {
            ("200", Of::Publication(person)) => self.tags[person] = value("SIP-ETag"),
            ("200", Of::Subscription(watcher)) => {
                let to = value("To");
                self.watches[watcher].to_tag =
                    to.split_once(";tag=").map(|(_, tag)| tag.to_owned()).unwrap_or_default();
            }
            _ => panic!("{asked}\n{text}"),
        }
        true
    }

    /// What the server has of memory, in bytes.
    fn memory(&self) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/status", self.server.id())).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
    }
}

impl Drop for Soak {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
