//! baresip 1.0 and later: a telephone that reads and writes presence by patterns, not by an XML parser.

use std::{
    io::{Read, Write},
    net::TcpStream,
    os::unix::process::ExitStatusExt,
    process::Command,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use sippresence::client::{Action, Freshness, PresenceClient, PresenceStatus, Timing};
use tempfile::TempDir;

use super::{
    screen::Screen,
    support::{Agent, Home, PATIENCE, Peer, Process, Test, free_port, until, with_free_ports},
};

pub(crate) const TESTS: &[Test] = &[
    ("baresip::shows_an_allowed_agent_online_then_busy_then_offline", shows_an_agent),
    ("baresip::pol_19_is_verified_by_the_secret_that_it_shares", verified),
    ("baresip::shows_a_call_as_busy_and_its_end_as_online", shows_a_call),
    ("baresip::sees_nothing_as_a_stranger_until_it_is_allowed", stranger),
    ("baresip::sees_nothing_any_more_once_it_is_blocked", blocked),
    ("baresip::sees_an_agent_go_offline_that_was_told_to_stop", agent_stops),
    ("baresip::shows_what_the_library_publishes", library_is_watched),
    ("baresip::is_watched_from_before_its_first_word_through_every_change", watched),
    ("baresip::is_shown_once", shown),
    ("baresip::is_watched_by_the_library_over_tcp", library_watches),
    ("baresip::is_never_available_any_more_once_it_ended", ends),
    ("baresip::is_stale_after_it_was_killed", killed),
    ("baresip::wat_47_is_asked_at_once_when_it_is_back", returns),
    ("baresip::not_29_notices_no_crash_and_no_restart_of_an_agent", survives),
    ("baresip::sees_a_status_that_is_held_while_a_command_runs_and_the_one_before", held),
    ("baresip::is_waited_for_and_asked_about", waited_for),
    ("baresip::is_drawn_on_the_buddy_list_through_every_change", drawn),
];

const ALLOW_BOB: &str = "allow = [\"bob@127.0.0.1\"]\n";

/// A running baresip of the user bob.
pub(crate) struct Baresip {
    /// Its configuration; it writes there while it runs.
    _folder: TempDir,
    process: Process,
    port: u16,
    control: u16,
}

impl Baresip {
    /// Starts it with a contact that it watches, if any, and waits until it takes commands.
    fn start(peer: &Peer, contact: Option<&str>) -> Self {
        with_free_ports(|| {
            let port = free_port();
            Self::try_start(peer, &without_server(port), contact, port)
        })
    }

    /// Starts it at a port that another one had.
    fn start_at(peer: &Peer, contact: Option<&str>, port: u16) -> Self {
        with_free_ports(|| Self::try_start(peer, &without_server(port), contact, port))
    }

    /// Starts bob at a server, where he is registered and publishes; his password is `bob-pw`.
    pub(crate) fn start_at_server(peer: &Peer, server: u16, contact: &str) -> Self {
        let account = format!(
            "<sip:bob@sip.test>;auth_user=bob;auth_pass=bob-pw;outbound=\"sip:127.0.0.1:{server};transport=udp\";\
             regint=120;pubint=20\n"
        );
        with_free_ports(|| Self::try_start(peer, &account, Some(contact), free_port()))
    }

    fn try_start(peer: &Peer, account: &str, contact: Option<&str>, port: u16) -> Result<Self, String> {
        let control = free_port();
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("config", &config(peer, port, control));
        write("accounts", account);
        let contact = contact.map(|uri| format!("\"Alice\" <{uri}>;presence=p2p\n"));
        write("contacts", &contact.unwrap_or_default());
        let mut process = Process::start(Command::new(&peer.program).arg("-f").arg(folder.path()).arg("-s"));
        until("baresip is up or gives up", || match process.ended() {
            Some(_) => Ok(false),
            None if process.stdout().contains("baresip is ready") => Ok(true),
            None => Err(process.stdout() + &process.stderr()),
        });
        let mut baresip = Self { _folder: folder, process, port, control };
        match baresip.try_command("contacts") {
            Ok(_) if baresip.process.ended().is_none() => Ok(baresip),
            _ => Err(baresip.log()),
        }
    }

    fn address(&self) -> String {
        format!("bob@127.0.0.1:{}", self.port)
    }

    /// What it says of itself, with every message, without colours.
    fn log(&self) -> String {
        without_colours(&format!("{}\n{}", self.process.stdout(), self.process.stderr()))
    }

    /// Gives it a command over its control port and returns its words, without colours.
    pub(crate) fn command(&self, name: &str) -> String {
        self.try_command(name).unwrap_or_else(|error| panic!("{name}: {error}\n{}", self.log()))
    }

    fn try_command(&self, name: &str) -> Result<String, String> {
        let text = |error: std::io::Error| error.to_string();
        let mut stream = TcpStream::connect(("127.0.0.1", self.control)).map_err(text)?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(text)?;
        let request = json!({"command": name, "params": "", "token": "t"}).to_string();
        stream.write_all(format!("{}:{request},", request.len()).as_bytes()).map_err(text)?;
        loop {
            // Events come on the same stream as the answer.
            let message = read_netstring(&mut stream).map_err(text)?;
            let message: Value = serde_json::from_slice(&message).map_err(|error| error.to_string())?;
            if message["response"] == true {
                return Ok(without_colours(message["data"].as_str().unwrap_or_default()));
            }
        }
    }

    /// Waits until it believes this of its contact.
    pub(crate) fn believes(&self, wanted: &str) {
        until(&format!("baresip shows {wanted}"), || {
            let shown = self.belief();
            if shown == wanted { Ok(()) } else { Err(format!("{shown}\n{}", self.log())) }
        });
    }

    /// Returns what it shows of its contact: Online, Busy, Offline or Unknown.
    pub(crate) fn belief(&self) -> String {
        let contacts = self.command("contacts");
        let line = contacts.lines().find(|line| line.contains("<sip:")).unwrap();
        line.trim_start_matches(['>', ' ']).split_whitespace().next().unwrap().to_owned()
    }
}

fn without_server(port: u16) -> String {
    format!("<sip:bob@127.0.0.1:{port};transport=udp>;regint=0\n")
}

fn config(peer: &Peer, port: u16, control: u16) -> String {
    format!(
        "sip_listen 127.0.0.1:{port}\n\
         net_interface 127.0.0.1\n\
         module_path {}\n\
         module g711.so\n\
         module_tmp account.so\n\
         module_app contact.so\n\
         module_app presence.so\n\
         module_app menu.so\n\
         module_app ctrl_tcp.so\n\
         ctrl_tcp_listen 127.0.0.1:{control}\n",
        peer.modules.display()
    )
}

fn read_netstring(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut length = 0;
    let mut byte = [0];
    loop {
        stream.read_exact(&mut byte)?;
        match byte[0] {
            b':' => break,
            digit @ b'0'..=b'9' => length = length * 10 + usize::from(digit - b'0'),
            other => return Err(std::io::Error::other(format!("{other:#x} in the length of a netstring"))),
        }
    }
    let mut text = vec![0; length];
    stream.read_exact(&mut text)?;
    stream.read_exact(&mut byte)?;
    Ok(text)
}

fn without_colours(text: &str) -> String {
    let mut parts = text.split('\u{1b}');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |plain, part| plain + part.split_once('m').map_or(part, |(_, rest)| rest))
}

fn alice(agent: &Agent) -> String {
    format!("sip:alice@127.0.0.1:{}", agent.port)
}

/// A change right after the first state goes at once, the next one five seconds later (NOT-17).
fn shows_an_agent(peer: &Peer) {
    let agent = Agent::start(ALLOW_BOB);
    agent.set("available");
    let bob = Baresip::start(peer, Some(&alice(&agent)));
    bob.believes("Online");
    let watchers = agent.home.run(&["watchers"]);
    assert!(watchers.contains("bob@127.0.0.1") && watchers.contains("active"), "{watchers}");
    agent.set("busy");
    bob.believes("Busy");
    let busy = Instant::now();
    agent.set("offline");
    bob.believes("Offline");
    assert!(busy.elapsed() > Duration::from_secs(3), "two changes within {:?}", busy.elapsed());
}

/// It knows but MD5, and gives up at the first challenge of another kind.
fn verified(peer: &Peer) {
    let home = Home::new("alice");
    home.write("policy.toml", ALLOW_BOB);
    home.write(
        "buddies.toml",
        "[[buddy]]\naddress = \"bob@127.0.0.1\"\nwatch = false\npassword_command = \"echo s3cret-horse\"\n",
    );
    let agent = Agent::start_in(home, "[policy]\nrequire = \"verified\"\n[interop]\nlegacy = true\n");
    agent.set("available");
    let bob = with_free_ports(|| {
        let port = free_port();
        let account = format!(
            "<sip:bob@127.0.0.1:{port};transport=udp>;regint=0;auth_user=bob@127.0.0.1;auth_pass=s3cret-horse\n"
        );
        Baresip::try_start(peer, &account, Some(&alice(&agent)), port)
    });
    bob.believes("Online");
    let watchers = agent.home.run(&["watchers", "--json"]);
    assert!(watchers.contains("\"identity\":\"verified\""), "{watchers}");
}

fn shows_a_call(peer: &Peer) {
    let agent = Agent::start(ALLOW_BOB);
    agent.set("in-call");
    let bob = Baresip::start(peer, Some(&alice(&agent)));
    bob.believes("Busy");
    agent.set("available");
    bob.believes("Online");
}

fn stranger(peer: &Peer) {
    let agent = Agent::start("");
    agent.set("available");
    let bob = Baresip::start(peer, Some(&alice(&agent)));
    until("bob waits for approval", || {
        let watchers = agent.home.run(&["watchers"]);
        if watchers.contains("bob@127.0.0.1") && watchers.contains("waits for your approval") {
            Ok(())
        } else {
            Err(watchers)
        }
    });
    assert_eq!(bob.belief(), "Unknown");
    agent.home.run(&["watchers", "allow", "bob@127.0.0.1"]);
    bob.believes("Online");
}

fn blocked(peer: &Peer) {
    let agent = Agent::start(ALLOW_BOB);
    agent.set("available");
    let bob = Baresip::start(peer, Some(&alice(&agent)));
    bob.believes("Online");
    agent.home.run(&["watchers", "block", "bob@127.0.0.1"]);
    until("bob is told that he is refused", || {
        let log = bob.log();
        if log.contains("Subscription-State: terminated;reason=rejected") { Ok(()) } else { Err(log) }
    });
    bob.believes("Unknown");
    assert!(!agent.home.run(&["watchers"]).contains("bob@127.0.0.1"));
}

/// baresip shows the goodbye's document, then drops it with the subscription and asks again minutes later.
fn agent_stops(peer: &Peer) {
    let mut agent = Agent::start(ALLOW_BOB);
    agent.set("available");
    let bob = Baresip::start(peer, Some(&alice(&agent)));
    bob.believes("Online");
    agent.process.signal(Signal::SIGTERM);
    assert!(agent.process.wait().success());
    bob.believes("Unknown");
    let log = bob.log();
    assert!(log.contains("changed status from Online to Offline"), "{log}");
}

fn library_is_watched(peer: &Peer) {
    let peer = peer.clone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let alice = PresenceClient::builder("sip:alice@127.0.0.1").any_port().default_action(Action::Allow);
        let alice = alice.bind().await.unwrap();
        alice.presence(PresenceStatus::Available).note("<Grüße & mehr>").await.unwrap();
        let uri = alice.uri();
        // What waits for baresip must not keep the client from answering it.
        let online = tokio::task::spawn_blocking(move || {
            let bob = Baresip::start(&peer, Some(&uri));
            bob.believes("Online");
            bob
        });
        let bob = online.await.unwrap();
        alice.presence(PresenceStatus::Away).await.unwrap();
        tokio::task::spawn_blocking(move || bob.believes("Offline")).await.unwrap();
        alice.stop().await;
    });
}

/// Before its first command baresip says `<basic>?</basic>`, which tells nothing and is no error.
fn watched(peer: &Peer) {
    let bob = Baresip::start(peer, None);
    let carol = Home::new("carol");
    let mut watch = carol.watch(&bob.address());
    let first = watch.line("a first state", |line| line["kind"] == "snapshot");
    assert_eq!((&first["status"], &first["freshness"]), (&json!("unknown"), &json!("fresh")), "{first}");
    assert_eq!(first["subscription"]["state"], "active", "{first}");
    watch.line("all targets had their first state", |line| line["kind"] == "ready");
    for (command, status) in
        [("presence_online", "available"), ("presence_offline", "offline"), ("presence_online", "available")]
    {
        bob.command(command);
        let change = watch.line(command, |line| line["kind"] == "change");
        assert_eq!((&change["status"], &change["freshness"]), (&json!(status), &json!("fresh")), "{change}");
    }
    watch.signal(Signal::SIGINT);
    assert_eq!(watch.wait().code(), Some(130));
    let log = bob.log();
    assert!(log.contains("Expires: 0"), "the subscription was not taken back: {log}");
}

fn shown(peer: &Peer) {
    let bob = Baresip::start(peer, None);
    bob.command("presence_online");
    let carol = Home::new("carol");
    let shown: Value = serde_json::from_str(&carol.run(&["--json", "show", &bob.address()])).unwrap();
    assert_eq!((&shown["status"], &shown["freshness"]), (&json!("available"), &json!("fresh")), "{shown}");
}

fn library_watches(peer: &Peer) {
    let bob = Baresip::start(peer, None);
    bob.command("presence_online");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let timing = Timing { t1: Duration::from_millis(50), ..Timing::default() };
        let carol = PresenceClient::builder("sip:carol@127.0.0.1").any_port().timing(timing).bind().await.unwrap();
        let mut watcher = carol.watch(&format!("sip:{};transport=tcp", bob.address())).await.unwrap();
        let presence = tokio::time::timeout(PATIENCE, watcher.recv()).await.unwrap().unwrap();
        assert!(presence.status == PresenceStatus::Available, "{presence:?}");
        assert_eq!(presence.freshness, Freshness::Fresh);
        carol.stop().await;
    });
}

/// Its goodbye carries its last document, which says open; nothing that is gone may stay available for it.
fn ends(peer: &Peer) {
    let mut bob = Baresip::start(peer, None);
    bob.command("presence_online");
    let carol = Home::new("carol");
    carol.write("config.toml", "[sip]\nt1 = \"50ms\"\n");
    let mut watch = carol.watch(&bob.address());
    watch.line("bob is available", |line| line["kind"] == "snapshot" && line["status"] == "available");
    bob.process.signal(Signal::SIGTERM);
    bob.process.wait();
    let is_gone = |line: &Value| {
        let freshness = line["freshness"].as_str().unwrap_or_default();
        freshness == "stale" || freshness == "failed" || freshness == "unknown"
    };
    watch.line("bob is gone", is_gone);
    let later = watch.unread_lines();
    assert!(!later.iter().any(|line| line["freshness"] == "fresh"), "{later:?}");
    let shown = carol.command(&["--json", "--no-agent", "show", &bob.address()]).output().unwrap();
    assert_eq!(shown.status.code(), Some(7), "{}", String::from_utf8_lossy(&shown.stdout));
}

fn killed(peer: &Peer) {
    let mut bob = Baresip::start(peer, None);
    bob.command("presence_online");
    let carol = Home::new("carol");
    carol.write("config.toml", "[sip]\nt1 = \"50ms\"\n[watch]\np2p_expires = \"10s\"\n");
    let mut watch = carol.watch(&bob.address());
    watch.line("bob is available", |line| line["kind"] == "snapshot" && line["status"] == "available");
    bob.process.signal(Signal::SIGKILL);
    bob.process.wait();
    let line = watch.line("bob is in doubt", |line| line["freshness"] != "fresh" && line["freshness"].is_string());
    assert_eq!((&line["freshness"], &line["status"]), (&json!("stale"), &json!("available")), "{line}");
}

/// The first pause after a failure is four seconds at least; its own SUBSCRIBE shows sooner that it is back. A busy
/// machine may need longer than that to start it, and is then asked again.
fn returns(peer: &Peer) {
    let took = (0..5).map(|_| time_to_return(peer)).find(|took| *took < Duration::from_secs(4));
    assert!(took.is_some(), "asked after the usual pause, five times");
}

/// Returns how long after the doubt a peer is fresh again that is started anew.
fn time_to_return(peer: &Peer) -> Duration {
    let home = Home::new("alice");
    home.write("policy.toml", ALLOW_BOB);
    let agent = Agent::start_in(home, "[sip]\nt1 = \"50ms\"\n[watch]\np2p_expires = \"10s\"\n");
    let mut bob = Baresip::start(peer, None);
    bob.command("presence_online");
    let mut watch = Process::start(&mut agent.home.command(&["--json", "watch", &bob.address()]));
    watch.line("bob is available", |line| line["kind"] == "snapshot" && line["status"] == "available");
    bob.process.signal(Signal::SIGKILL);
    bob.process.wait();
    watch.line("bob is in doubt", |line| line["freshness"] == "stale");
    let doubted = Instant::now();
    let bob = Baresip::start_at(peer, Some(&alice(&agent)), bob.port);
    bob.command("presence_online");
    watch.line("bob is back", |line| line["freshness"] == "fresh");
    doubted.elapsed()
}

/// The dialog that baresip has goes on: it is told the next change without having to subscribe anew.
fn survives(peer: &Peer) {
    let mut agent = Agent::start(ALLOW_BOB);
    agent.set("available");
    let bob = Baresip::start(peer, Some(&alice(&agent)));
    bob.believes("Online");
    let asked = || bob.log().matches("\nSUBSCRIBE sip:alice@").count();
    let before = asked();
    let state = agent.home.path("state/sippresence/agent.json");
    until("bob's subscription is on disk", || {
        let text = std::fs::read_to_string(&state).unwrap_or_default();
        if text.contains("sip:bob@127.0.0.1") { Ok(()) } else { Err(text) }
    });
    agent.process.signal(Signal::SIGKILL);
    agent.process.wait();
    agent.process = Process::start(&mut agent.home.command(&["agent", "run"]));
    until("the agent is up", || if agent.process.stderr().contains(" is up at ") { Ok(()) } else { Err("it is not") });
    assert!(agent.home.run(&["watchers"]).contains("bob@127.0.0.1"));
    agent.set("busy");
    bob.believes("Busy");
    agent.home.run(&["agent", "restart"]);
    agent.set("available");
    bob.believes("Online");
    assert_eq!(asked(), before, "{}", bob.log());
}

fn held(peer: &Peer) {
    let agent = Agent::start(ALLOW_BOB);
    agent.set("available");
    let bob = Baresip::start(peer, Some(&alice(&agent)));
    bob.believes("Online");
    let mut held = Process::start(&mut agent.home.command(&["set", "dnd", "--while", "--", "sleep", "600"]));
    bob.believes("Busy");
    held.signal(Signal::SIGTERM);
    // As a shell has it: a signal before the command started ends us by itself.
    let ended = held.wait();
    assert_eq!(ended.code().or_else(|| ended.signal().map(|signal| 128 + signal)), Some(143));
    bob.believes("Online");
}

fn waited_for(peer: &Peer) {
    let bob = Baresip::start(peer, None);
    bob.command("presence_offline");
    let carol = Home::new("carol");
    let is = |status: &str| carol.command(&["is", &bob.address(), status]).output().unwrap().status.code();
    assert_eq!((is("offline"), is("available")), (Some(0), Some(1)));
    let mut wait = Process::start(&mut carol.command(&["wait", &bob.address(), "available", "--timeout", "1m"]));
    until("it waits", || if wait.stderr().contains("; waiting") { Ok(()) } else { Err(wait.stderr()) });
    bob.command("presence_online");
    assert_eq!(wait.wait().code(), Some(0));
    assert!(wait.stdout().contains("available"), "{}", wait.stdout());
}

fn drawn(peer: &Peer) {
    let bob = Baresip::start(peer, None);
    let agent = Agent::start("");
    agent.home.run(&["buddies", "add", &bob.address(), "--name", "Bob"]);
    let mut screen = Screen::start(&agent.home.command(&[]), 80, 24);
    // Before its first command it says nothing that has a meaning.
    screen.shows("· Bob");
    for (command, shown) in [("presence_online", "● Bob"), ("presence_offline", "○ Bob"), ("presence_online", "● Bob")]
    {
        bob.command(command);
        screen.shows(shown);
    }
    screen.types("q");
    screen.ends(0);
}
