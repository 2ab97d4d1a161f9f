//! `SIPp`: a scripted peer that looks at every line of what we send.

use std::{fs::Permissions, os::unix::fs::PermissionsExt, path::Path, process::Command};

use nix::sys::signal::Signal;
use serde_json::json;
use tempfile::TempDir;

use super::support::{Agent, Home, Peer, Process, Test, free_port, until, with_free_ports};

pub(crate) const TESTS: &[Test] = &[
    ("sipp::is_notified_refreshes_and_leaves_over_udp", watches_over_udp),
    ("sipp::is_notified_refreshes_and_leaves_over_tcp", watches_over_tcp),
    ("sipp::gets_the_document_once_its_address_answered_and_is_forgotten_with_481", unproven),
    ("sipp::pol_03_cannot_tell_a_polite_block_from_an_offline_user", cannot_tell),
    ("sipp::cnn_01_and_02_is_not_told_what_it_knows", knows),
    ("sipp::rte_01_to_03_is_told_as_often_as_it_wants", paced),
    ("sipp::is_watched_until_it_refuses", notifies),
    ("sipp::aut_01_and_03_verifies_our_password_and_refuses_another", challenges),
    ("sipp::aut_12_its_realm_is_kept_over_a_restart_and_no_other_is_answered", realm_is_kept),
    ("sipp::is_told_what_is_not_served_and_what_is_instead", refused),
    ("sipp::pol_19_is_verified_by_the_secret_that_it_shares", verified),
    ("sipp::pol_19_gets_but_the_challenge_in_the_name_of_a_buddy_without_the_secret", impostor),
];

/// A scenario that is being played once.
struct Sipp {
    /// Where it writes what went wrong.
    folder: TempDir,
    process: Process,
}

impl Sipp {
    /// Plays a scenario against a port of ours, or waits for us at its own.
    fn play(peer: &Peer, scenario: &str, transport: &str, port: u16, remote: Option<u16>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let scenario = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/scenarios").join(scenario);
        let mut command = Command::new(&peer.program);
        command.args(["-m", "1", "-i", "127.0.0.1", "-mi", "127.0.0.1", "-p", &port.to_string(), "-t", transport]);
        command.args(["-nostdin", "-timeout", "14s", "-timeout_error", "-recv_timeout", "10000"]);
        command.arg("-sf").arg(scenario).args(["-trace_msg", "-message_file"]).arg(folder.path().join("messages"));
        command.args(["-trace_err", "-error_file"]).arg(folder.path().join("errors"));
        command.env("TERM", "dumb").current_dir(folder.path());
        if let Some(remote) = remote {
            // Else its credentials are for the machine and not for the URI that it asks.
            command.args(["-auth_uri", &format!("alice@127.0.0.1:{remote}")]);
            command.arg(format!("127.0.0.1:{remote}"));
        }
        Self { process: Process::start(&mut command), folder }
    }

    /// Waits for its end; every line of the scenario must have held.
    fn succeeds(mut self) {
        let status = self.process.wait();
        let read = |name| std::fs::read_to_string(self.folder.path().join(name)).unwrap_or_default();
        assert!(status.success(), "{status}\n{}\n{}\n{}", self.process.stderr(), read("errors"), read("messages"));
    }
}

fn watches(peer: &Peer, transport: &str) {
    let agent = Agent::start("allow = [\"bob@127.0.0.1\"]\n");
    agent.set("available");
    Sipp::play(peer, "watcher.xml", transport, free_port(), Some(agent.port)).succeeds();
}

fn watches_over_udp(peer: &Peer) {
    watches(peer, "u1");
}

fn watches_over_tcp(peer: &Peer) {
    watches(peer, "t1");
}

fn unproven(peer: &Peer) {
    let agent = Agent::start("default = \"allow\"\n");
    agent.set("available");
    Sipp::play(peer, "unproven.xml", "u1", free_port(), Some(agent.port)).succeeds();
    until("nobody watches any more", || match agent.home.run(&["watchers"]).as_str() {
        "" => Ok(()),
        watchers => Err(watchers.to_owned()),
    });
}

/// What a stranger gets who watches, asks again and leaves: each message as it came, without what differs every time.
fn received(peer: &Peer, agent: &Agent) -> Vec<String> {
    let scenarios = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/scenarios");
    let scenario = std::fs::read_to_string(scenarios.join("watcher.xml")).unwrap();
    // Whatever the document says is right.
    let lenient: Vec<&str> = scenario.lines().filter(|line| !line.contains("&lt;basic&gt;")).collect();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("stranger.xml");
    std::fs::write(&file, lenient.join("\n")).unwrap();
    let mut sipp = Sipp::play(peer, file.to_str().unwrap(), "u1", free_port(), Some(agent.port));
    let trace = sipp.folder.path().join("messages");
    let status = sipp.process.wait();
    let trace = std::fs::read_to_string(trace).unwrap_or_default();
    assert!(status.success(), "{status} {trace}");
    let plain = |line: &str| match line.split_once(':') {
        Some(("Via" | "Call-ID" | "From" | "To", _)) => String::new(),
        // Made of a document that began at another time.
        Some(("SIP-ETag", tag)) => format!("SIP-ETag: {}", tag.trim().len()),
        Some(("Subscription-State" | "Expires", _)) => line.chars().filter(|c| !c.is_ascii_digit()).collect(),
        // Where it watches from is another port each time.
        _ if line.starts_with("NOTIFY ") => "NOTIFY".to_owned(),
        _ => line.split("<timestamp>").next().unwrap_or_default().to_owned(),
    };
    let messages = trace.split("message received [").skip(1);
    messages
        .map(|message| {
            // Up to the line of dashes before the next one.
            let message = message.split("-----------------------------------------------").next().unwrap_or_default();
            message.lines().map(plain).collect::<Vec<_>>().join("\n")
        })
        .collect()
}

fn cannot_tell(peer: &Peer) {
    let agent = Agent::start("allow = [\"bob@127.0.0.1\"]\n");
    agent.set("offline");
    let offline = received(peer, &agent);
    agent.set("busy");
    agent.home.run(&["watchers", "polite-block", "bob@127.0.0.1"]);
    let blocked = received(peer, &agent);
    // 200 and NOTIFY for each of three SUBSCRIBEs, and a 481 behind the end; each with its length.
    assert_eq!(offline.len(), 7, "{offline:#?}");
    assert_eq!(blocked, offline);
    assert_eq!(blocked.iter().filter(|message| message.contains("<basic>closed</basic>")).count(), 3, "{blocked:#?}");
}

fn knows(peer: &Peer) {
    let agent = Agent::start("allow = [\"bob@127.0.0.1\"]\n");
    agent.set("available");
    Sipp::play(peer, "conditional.xml", "u1", free_port(), Some(agent.port)).succeeds();
    let status: serde_json::Value = serde_json::from_str(&agent.home.run(&["agent", "status", "--json"])).unwrap();
    let saved = &status["saved"]["to_watchers"];
    assert_eq!((&saved["notifies"], &saved["documents"]), (&json!(2), &json!(1)), "{status}");
    assert!(saved["bytes"].as_u64() > Some(900), "{status}");
    let told = agent.home.run(&["agent", "status"]);
    assert!(told.contains("bytes not sent to watchers (2 NOTIFYs, 1 document)"), "{told}");
}

fn paced(peer: &Peer) {
    let agent = Agent::start("allow = [\"bob@127.0.0.1\"]\n");
    agent.set("available");
    Sipp::play(peer, "pacing.xml", "u1", free_port(), Some(agent.port)).succeeds();
}

fn refused(peer: &Peer) {
    let agent = Agent::start("");
    agent.set("available");
    Sipp::play(peer, "refusals.xml", "u1", free_port(), Some(agent.port)).succeeds();
    assert_eq!(agent.home.run(&["watchers"]), "");
}

/// Alice's agent, who lets in nobody but whoever proves to be bob. `SIPp` looks at the first challenge alone, and knows but MD5.
fn sharing_with_bob() -> Agent {
    let alice = Home::new("alice");
    alice.write("policy.toml", "allow = [\"bob@127.0.0.1\"]\n");
    alice.write(
        "buddies.toml",
        "[[buddy]]\naddress = \"bob@127.0.0.1\"\nwatch = false\npassword_command = \"echo s3cret-horse\"\n",
    );
    let agent = Agent::start_in(alice, "[policy]\nrequire = \"verified\"\n[interop]\nlegacy = true\n");
    agent.set("available");
    agent
}

fn verified(peer: &Peer) {
    let agent = sharing_with_bob();
    let sipp = Sipp::play(peer, "verified.xml", "u1", free_port(), Some(agent.port));
    until("bob watches, and is verified", || {
        let watchers = agent.home.run(&["watchers", "--json"]);
        let known = ["\"who\":\"sip:bob@127.0.0.1\"", "\"identity\":\"verified\"", "\"state\":\"active\""];
        if known.iter().all(|word| watchers.contains(word)) { Ok(()) } else { Err(watchers) }
    });
    agent.set("away");
    sipp.succeeds();
}

fn impostor(peer: &Peer) {
    let agent = sharing_with_bob();
    Sipp::play(peer, "impostor.xml", "u1", free_port(), Some(agent.port)).succeeds();
    assert_eq!(agent.home.run(&["watchers"]), "");
    assert_eq!(agent.home.run(&["watchers", "history"]), "");
}

/// Plays a scenario that waits for us, and returns where.
fn waits(peer: &Peer, scenario: &str) -> (Sipp, u16) {
    with_free_ports(|| {
        let port = free_port();
        let mut sipp = Sipp::play(peer, scenario, "u1", port, None);
        until("sipp listens or gives up", || match sipp.process.ended() {
            Some(_) => Ok(false),
            None if std::net::UdpSocket::bind(("127.0.0.1", port)).is_err() => Ok(true),
            None => Err(sipp.process.stderr()),
        })
        .then_some((sipp, port))
        .ok_or_else(|| "sipp".to_owned())
    })
}

/// Carol's home with an account, up to its password.
fn with_account() -> (Home, String) {
    let carol = Home::new("carol");
    let account = "[account.work]\naddress = \"sip:carol@127.0.0.1\"\nauth_user = \"carol.auth\"\n";
    let file = carol.path("password");
    std::fs::write(&file, "s3cret horse\n").unwrap();
    std::fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    (carol, account.to_owned())
}

fn challenges(peer: &Peer) {
    let (carol, account) = with_account();
    carol.write("config.toml", &format!("{account}password_file = \"{}\"\n", carol.path("password").display()));
    let (sipp, port) = waits(peer, "challenger.xml");
    let shown = carol.run(&["--no-agent", "show", &format!("bob@127.0.0.1:{port}")]);
    assert!(shown.contains("available"), "{shown}");
    sipp.succeeds();

    carol.write("config.toml", &format!("{account}password_command = [\"echo\", \"no\"]\n"));
    let (_sipp, port) = waits(peer, "challenger.xml");
    let said = unauthorized(&carol, &["--no-agent", "show", &format!("bob@127.0.0.1:{port}")]);
    assert!(said.contains("the password for realm \"sipp\" is wrong"), "{said}");
}

/// Runs our program, which must end for want of authentication; returns all that it said.
fn unauthorized(home: &Home, arguments: &[&str]) -> String {
    let output = home.command(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{said}");
    said
}

fn realm_is_kept(peer: &Peer) {
    let (carol, account) = with_account();
    let account = format!("{account}password_file = \"{}\"\n", carol.path("password").display());
    let agent = Agent::start_in(carol, &account);
    let (sipp, port) = waits(peer, "challenger.xml");
    agent.home.run(&["show", &format!("bob@127.0.0.1:{port}")]);
    sipp.succeeds();
    let state = agent.home.path("state/sippresence/agent.json");
    let kept = until("the realm is kept", || {
        let text = std::fs::read_to_string(&state).map_err(|error| error.to_string())?;
        if text.contains("\"realm\": \"sipp\"") { Ok(text) } else { Err(text) }
    });
    let Agent { home, mut process, .. } = agent;
    home.run(&["agent", "stop"]);
    process.wait();
    assert!(std::fs::read_to_string(&state).unwrap().contains("\"realm\": \"sipp\""), "{kept}");

    // As if another had been found then.
    std::fs::write(&state, kept.replace("\"sipp\"", "\"elsewhere\"")).unwrap();
    let agent = Agent::start_in(home, &account);
    let (_sipp, port) = waits(peer, "challenger.xml");
    let said = unauthorized(&agent.home, &["show", &format!("bob@127.0.0.1:{port}")]);
    assert!(said.contains("\"sipp\"") && said.contains("\"elsewhere\"") && said.contains("`realm`"), "{said}");
}

fn notifies(peer: &Peer) {
    let (sipp, port) = waits(peer, "notifier.xml");
    let carol = Home::new("carol");
    let mut watch = carol.watch(&format!("bob@127.0.0.1:{port}"));
    let first = watch.line("a first state", |line| line["kind"] == "snapshot");
    assert_eq!((&first["status"], &first["freshness"]), (&json!("busy"), &json!("fresh")), "{first}");
    assert_eq!(first["note"], "in a meeting", "{first}");
    let last = watch.line("the refusal", |line| line["kind"] == "freshness");
    assert_eq!(last["freshness"], "rejected", "{last}");
    assert_eq!(last["subscription"]["reason"], "rejected", "{last}");
    sipp.succeeds();
    watch.signal(Signal::SIGTERM);
    watch.wait();
}
