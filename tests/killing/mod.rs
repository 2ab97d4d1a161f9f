//! A real server under load that is killed at random moments: nothing that it acknowledged may be lost.
//!
//! One socket speaks for many users of an open domain. They publish, change, take back, subscribe and refresh, several at a
//! time; what is on its way at the moment of the kill may have happened or not, everything else is asked for behind it.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "each target uses its part, and fails by panicking"
)]

use std::{
    collections::{BTreeMap, HashMap},
    net::{SocketAddr, UdpSocket},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tempfile::TempDir;

use crate::ports::free_port;

const USERS: usize = 200;
const AT_ONCE: usize = 48;
/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);
/// When what was not answered goes again.
const AGAIN: Duration = Duration::from_millis(500);

/// What happened.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outcome {
    pub kills: usize,
    pub acknowledged: usize,
    /// Publications and subscriptions that were there behind a kill, as they had been acknowledged.
    pub found: usize,
    /// Those that were on their way.
    pub uncertain: usize,
}

#[derive(Clone, Debug)]
struct Published {
    tag: String,
    note: String,
}

#[derive(Clone, Debug)]
struct Watching {
    of: usize,
    from_tag: String,
    to_tag: String,
    seq: u32,
}

#[derive(Clone, Debug)]
enum Wanted {
    Publish {
        note: String,
    },
    Remove {
        tag: String,
    },
    /// What was taken back does not come to life again.
    Gone,
    Subscribe {
        of: usize,
    },
    Refresh,
    Leave,
}

/// A request on its way.
#[derive(Debug)]
struct Pending {
    user: usize,
    wanted: Wanted,
    text: String,
    sent_at: Instant,
}

/// A server of its own files, and everybody who talks to it.
pub struct Attack {
    folder: TempDir,
    server: Option<Child>,
    port: u16,
    socket: UdpSocket,
    rng: StdRng,
    published: BTreeMap<usize, Published>,
    /// Tags of what was taken back.
    gone: BTreeMap<usize, String>,
    watching: BTreeMap<usize, Watching>,
    pending: HashMap<String, Pending>,
    /// The newest note that each subscription was told, by Call-ID.
    told: HashMap<String, String>,
    numbers: u32,
    outcome: Outcome,
}

/// Kills a server so many times.
pub fn run(kills: usize, seed: u64) -> Outcome {
    let mut attack = Attack::new(seed);
    for _ in 0..kills {
        let time = Duration::from_millis(attack.rng.random_range(20..600));
        attack.load(time);
        attack.kill();
        attack.look();
    }
    attack.outcome
}

impl Attack {
    fn new(seed: u64) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(2))).unwrap();
        let mut attack = Self {
            folder: tempfile::tempdir().unwrap(),
            server: None,
            port: 0,
            socket,
            rng: StdRng::seed_from_u64(seed),
            published: BTreeMap::new(),
            gone: BTreeMap::new(),
            watching: BTreeMap::new(),
            pending: HashMap::new(),
            told: HashMap::new(),
            numbers: 0,
            outcome: Outcome::default(),
        };
        for _ in 0..5 {
            attack.port = free_port();
            if attack.start() {
                return attack;
            }
        }
        panic!("no port is free");
    }

    /// Starts the server; false when it ended at once, for the port was taken meanwhile.
    fn start(&mut self) -> bool {
        let folder = self.folder.path();
        let mut server = Command::new(env!("CARGO_BIN_EXE_sippresence"));
        server.env_clear().env("HOME", folder).env("XDG_RUNTIME_DIR", folder);
        server.args(["serve", "--domain", "example.test", "--xcap", "none", "--port", &self.port.to_string()]);
        let mut server = server.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let deadline = Instant::now() + PATIENCE;
        let socket = folder.join(".local/state/sippresence/server/server.sock");
        while !is_up(&socket) {
            if server.try_wait().unwrap().is_some() {
                return false;
            }
            assert!(Instant::now() < deadline, "the server does not come up");
            thread::sleep(Duration::from_millis(5));
        }
        self.server = Some(server);
        true
    }

    fn load(&mut self, time: Duration) {
        let until = Instant::now() + time;
        while Instant::now() < until {
            while self.pending.len() < AT_ONCE {
                self.ask_something();
            }
            self.receive();
            self.repeat();
        }
    }

    /// Kills the server, and starts it again.
    fn kill(&mut self) {
        let mut server = self.server.take().unwrap();
        server.kill().unwrap();
        server.wait().unwrap();
        self.outcome.kills += 1;
        // What was on its way may have happened or not; what came before the kill is still to be read.
        self.drain();
        for (_, pending) in std::mem::take(&mut self.pending) {
            self.outcome.uncertain += 1;
            match pending.wanted {
                Wanted::Publish { .. } | Wanted::Remove { .. } => drop(self.published.remove(&pending.user)),
                Wanted::Gone => {}
                Wanted::Subscribe { .. } | Wanted::Refresh | Wanted::Leave => drop(self.watching.remove(&pending.user)),
            }
        }
        self.told.clear();
        let deadline = Instant::now() + PATIENCE;
        while !self.start() {
            // The port is let go of a moment later.
            assert!(Instant::now() < deadline, "the server does not start again");
        }
    }

    /// Asks for all that was acknowledged.
    fn look(&mut self) {
        let (published, watching) = (self.published.clone(), self.watching.clone());
        for (user, known) in &published {
            let lines = format!("Event: presence\r\nExpires: 3600\r\nSIP-If-Match: {}\r\n", known.tag);
            let call = format!("p{}", self.number());
            let text = self.request("PUBLISH", *user, *user, &call, "l", "", 1, &lines, "");
            self.send(*user, Wanted::Publish { note: known.note.clone() }, &call, text);
            self.settle();
        }
        assert_eq!(self.published.len(), published.len());
        for (user, tag) in std::mem::take(&mut self.gone) {
            let lines = format!("Event: presence\r\nExpires: 3600\r\nSIP-If-Match: {tag}\r\n");
            let call = format!("p{}", self.number());
            let text = self.request("PUBLISH", user, user, &call, "l", "", 1, &lines, "");
            self.send(user, Wanted::Gone, &call, text);
            self.settle();
        }
        for user in watching.keys() {
            self.refresh(*user);
            self.settle();
        }
        assert_eq!(self.watching.len(), watching.len());
        // Each refresh was answered with the state, too.
        let expected: Vec<(String, String)> = self
            .watching
            .iter()
            .filter_map(|(user, watch)| Some((call_of(*user, watch), self.published.get(&watch.of)?.note.clone())))
            .collect();
        let deadline = Instant::now() + PATIENCE;
        for (call, note) in expected {
            while self.told.get(&call) != Some(&note) {
                assert!(Instant::now() < deadline, "{call} was told {:?}, not {note}", self.told.get(&call));
                self.receive();
            }
        }
        self.outcome.found += self.published.len() + self.watching.len();
    }

    fn settle(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while self.pending.len() >= AT_ONCE / 2 || (!self.pending.is_empty() && Instant::now() < deadline) {
            assert!(Instant::now() < deadline, "no answer: {:?}", self.pending);
            self.receive();
            self.repeat();
        }
    }

    fn ask_something(&mut self) {
        let user = self.rng.random_range(0..USERS);
        if self.pending.values().any(|pending| pending.user == user) {
            return;
        }
        let choice = self.rng.random_range(0..10);
        match (choice, self.published.contains_key(&user), self.watching.contains_key(&user)) {
            (0, true, _) => self.publish(user, true),
            (0..=4, ..) => self.publish(user, false),
            (5..=6, _, false) => {
                let of = self.rng.random_range(0..USERS);
                let number = self.number();
                let (from_tag, seq) = (format!("w{number}"), 1);
                let watch = Watching { of, from_tag, to_tag: String::new(), seq };
                let call = call_of(user, &watch);
                let text = self.subscribe(user, &watch, 3600);
                self.send(user, Wanted::Subscribe { of }, &call, text);
            }
            (7, _, true) => {
                let watch = self.watching.get_mut(&user).unwrap();
                watch.seq += 1;
                let watch = watch.clone();
                let text = self.subscribe(user, &watch, 0);
                self.send(user, Wanted::Leave, &call_of(user, &watch), text);
            }
            (_, _, true) => self.refresh(user),
            _ => {}
        }
    }

    fn publish(&mut self, user: usize, removes: bool) {
        let number = self.number();
        let note = format!("note-{number}");
        let tag = self.published.get(&user).map(|known| format!("SIP-If-Match: {}\r\n", known.tag));
        let expires = if removes { 0 } else { 3600 };
        let mut lines = format!("Event: presence\r\nExpires: {expires}\r\n{}", tag.unwrap_or_default());
        let body = if removes { String::new() } else { document(user, &note) };
        if !removes {
            lines.push_str("Content-Type: application/pidf+xml\r\n");
        }
        let call = format!("p{number}");
        let text = self.request("PUBLISH", user, user, &call, "l", "", 1, &lines, &body);
        let wanted = match self.published.get(&user) {
            Some(known) if removes => Wanted::Remove { tag: known.tag.clone() },
            _ => Wanted::Publish { note },
        };
        self.send(user, wanted, &call, text);
    }

    fn refresh(&mut self, user: usize) {
        let watch = self.watching.get_mut(&user).unwrap();
        watch.seq += 1;
        let watch = watch.clone();
        let text = self.subscribe(user, &watch, 3600);
        self.send(user, Wanted::Refresh, &call_of(user, &watch), text);
    }

    fn subscribe(&mut self, user: usize, watch: &Watching, expires: u32) -> String {
        let contact = self.socket.local_addr().unwrap();
        let lines = format!("Event: presence\r\nContact: <sip:u{user}@{contact}>\r\nExpires: {expires}\r\n");
        let Watching { of, from_tag, to_tag, seq } = watch;
        self.request("SUBSCRIBE", user, *of, &call_of(user, watch), from_tag, to_tag, *seq, &lines, "")
    }

    #[allow(clippy::too_many_arguments, reason = "the parts of one request")]
    fn request(
        &mut self,
        method: &str,
        user: usize,
        of: usize,
        call: &str,
        from_tag: &str,
        to_tag: &str,
        seq: u32,
        lines: &str,
        body: &str,
    ) -> String {
        let (number, from) = (self.number(), self.socket.local_addr().unwrap());
        let to = if to_tag.is_empty() { String::new() } else { format!(";tag={to_tag}") };
        format!(
            "{method} sip:u{of}@example.test SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bKk{number};rport\r\n\
             Max-Forwards: 70\r\nFrom: <sip:u{user}@example.test>;tag={from_tag}\r\nTo: <sip:u{of}@example.test>{to}\r\n\
             Call-ID: {call}\r\nCSeq: {seq} {method}\r\n{lines}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    fn send(&mut self, user: usize, wanted: Wanted, call: &str, text: String) {
        // Behind a kill nobody may listen for a moment.
        let _ = self.socket.send_to(text.as_bytes(), self.server_address());
        self.pending.insert(call.to_owned(), Pending { user, wanted, text, sent_at: Instant::now() });
    }

    fn repeat(&mut self) {
        let server = self.server_address();
        for pending in self.pending.values_mut().filter(|pending| pending.sent_at.elapsed() > AGAIN) {
            pending.sent_at = Instant::now();
            let _ = self.socket.send_to(pending.text.as_bytes(), server);
        }
    }

    fn receive(&mut self) -> bool {
        let mut bytes = [0; 8192];
        let Ok((length, _)) = self.socket.recv_from(&mut bytes) else { return false };
        let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
        let value = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            line.unwrap_or_default().to_owned()
        };
        let call = value("Call-ID");
        if text.starts_with("NOTIFY ") {
            let copied = ["Via", "From", "To", "Call-ID", "CSeq"].map(|name| format!("{name}: {}\r\n", value(name)));
            let answer = format!("SIP/2.0 200 OK\r\n{}Content-Length: 0\r\n\r\n", copied.concat());
            let _ = self.socket.send_to(answer.as_bytes(), self.server_address());
            let note = text.split_once("<note>").and_then(|(_, rest)| rest.split_once("</note>")).map(|(note, _)| note);
            self.told.insert(call, note.unwrap_or_default().to_owned());
            return true;
        }
        let code: u16 = text.get(8..11).and_then(|code| code.parse().ok()).unwrap_or_default();
        let Some(Pending { user, wanted, text: asked, .. }) = self.pending.remove(&call) else { return true };
        self.outcome.acknowledged += usize::from(code == 200);
        match (code, wanted) {
            (200, Wanted::Publish { note }) => {
                self.published.insert(user, Published { tag: value("SIP-ETag"), note });
            }
            (200, Wanted::Remove { tag }) => {
                self.published.remove(&user);
                self.gone.insert(user, tag);
            }
            (200, Wanted::Subscribe { of }) => {
                let tag =
                    |header: &str| value(header).split_once(";tag=").map(|(_, tag)| tag.to_owned()).unwrap_or_default();
                let watch = Watching { of, from_tag: tag("From"), to_tag: tag("To"), seq: 1 };
                self.watching.insert(user, watch);
            }
            (200, Wanted::Leave) => drop(self.watching.remove(&user)),
            // A 503: it changes its state too often, and everything is as it was.
            (412, Wanted::Gone) | (200, Wanted::Refresh) | (503, _) => {}
            (code, wanted) => {
                panic!("{code} for {wanted:?} of u{user}: what was acknowledged is lost\n{asked}\n{text}")
            }
        }
        true
    }

    fn drain(&mut self) {
        while self.receive() {}
    }

    fn server_address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    fn number(&mut self) -> u32 {
        self.numbers += 1;
        self.numbers
    }
}

impl Drop for Attack {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

fn call_of(user: usize, watch: &Watching) -> String {
    format!("s{user}-{}", watch.from_tag)
}

fn document(user: usize, note: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?><presence xmlns=\"urn:ietf:params:xml:ns:pidf\" entity=\"sip:u{user}@example.test\"><tuple \
         id=\"t\"><status><basic>open</basic></status><contact>sip:u{user}@192.0.2.7</contact><note>{note}</note></tuple>\
         </presence>"
    )
}

fn is_up(socket: &Path) -> bool {
    std::os::unix::net::UnixStream::connect(socket).is_ok()
}
