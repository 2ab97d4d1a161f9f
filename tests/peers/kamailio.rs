//! Our own program through a presence server, with digest, over what it listens on: Kamailio 5.6 and later, and our own.

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};
use sippresence::client::{Login, PasswordSource, PresenceClient, PresenceStatus, Secret};

use super::{
    baresip::Baresip,
    server::{BY_TLS, How, Server, USUAL},
    support::{Home, PATIENCE, Peer, Process, Test, until},
};

pub(crate) const TESTS: &[Test] = &[
    ("kamailio::shows_what_one_sets_to_the_other_and_forgets_it_at_the_end", shows),
    ("kamailio::is_spoken_to_over_tcp_with_sha_256", over_tcp),
    ("kamailio::pub_20_keeps_one_publication_over_a_kill_of_the_agent", killed),
    ("kamailio::pub_20_keeps_a_status_for_who_runs_no_agent", without_agent),
    ("kamailio::pub_08_is_published_at_afresh_after_it_lost_everything", forgot),
    ("kamailio::aut_03_does_not_believe_a_wrong_password_of_the_doctor", doctor_unknown),
    ("kamailio::aut_03_refuses_a_wrong_password_with_exit_code_4", wrong_password),
    ("kamailio::aut_03_takes_a_password_that_was_mended_at_a_reload", mended_password),
    ("kamailio::knows_two_accounts_of_one_agent_and_one_that_fails_harms_not_the_other", two_accounts),
    ("kamailio::pub_19_registers_who_wants_to_be_registered", registers),
    ("kamailio::is_worked_through_by_the_library", library),
    ("kamailio::shows_me_what_it_shows_others_and_what_another_device_left_there", me_at_server),
    ("kamailio::is_found_well_by_the_doctor", doctor),
    ("kamailio::is_left_as_it_was_by_a_doctor_without_an_agent", doctor_alone),
    ("kamailio::takes_no_publication_and_the_doctor_says_so", doctor_refused),
    ("kamailio::is_spoken_to_over_tls_whose_authority_is_known", over_tls),
    ("kamailio::trn_17_is_told_nothing_where_its_authority_is_not_known", untrusted),
    ("kamailio::trn_22_is_shown_the_certificate_that_it_asks_for", mutual),
    ("kamailio::sec_04_is_taken_whoever_it_is_by_an_insecure_account", insecure),
    ("kamailio::pub_07_ends_with_the_last_of_many_states", many),
];

/// Those in which a telephone has an account at the same server.
pub(crate) const WITH_BARESIP: &[Test] =
    &[("kamailio::shows_our_status_to_a_telephone_and_the_telephones_to_us", telephone)];

/// Returns exit code, stdout and stderr of our program.
pub(super) fn ended(home: &Home, arguments: &[&str]) -> (i32, String, String) {
    let output = home.command(arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

/// An agent that a command started; it is told to end when its test does.
pub(super) struct AgentOf<'a>(pub(super) &'a Home);

impl Drop for AgentOf<'_> {
    fn drop(&mut self) {
        // It may have been stopped by the test.
        let _ = self.0.command(&["agent", "stop", "-q"]).output();
    }
}

impl AgentOf<'_> {
    pub(super) fn kill(&self) {
        let status: Value = serde_json::from_str(&self.0.run(&["agent", "status", "--json"])).unwrap();
        let pid = Pid::from_raw(i32::try_from(status["pid"].as_i64().unwrap()).unwrap());
        kill(pid, Signal::SIGKILL).unwrap();
        until("the agent is gone", || {
            let there = std::path::Path::new(&format!("/proc/{pid}")).exists();
            if there { Err("it is there") } else { Ok(()) }
        });
    }
}

pub(super) fn watch(home: &Home, target: &str) -> Process {
    Process::start(&mut home.command(&["watch", "--json", target]))
}

fn shows(peer: &Peer) {
    let server = Server::start(peer, USUAL);
    let (alice, bob) = (server.home(&["alice"], ""), server.home(&["bob"], ""));
    let agent = AgentOf(&alice);
    let (code, _, err) = ended(&alice, &["set", "busy", "--note", "<meeting> & \"more\" \u{2615}"]);
    assert_eq!((code, err.lines().last()), (0, Some("the server shows it")), "{err}");
    let mut seen = watch(&bob, "alice");
    let first = seen.line("a first state", |line| line["kind"] == "snapshot" && line["status"] != "unknown");
    assert_eq!(
        (&first["status"], &first["note"]),
        (&json!("busy"), &json!("<meeting> & \"more\" \u{2615}")),
        "{first}"
    );
    assert!(first["subscription"]["route"].as_str().unwrap().contains("account's domain"), "{first}");
    alice.run(&["set", "dnd"]);
    seen.line("the next", |line| line["status"] == "dnd" && line["freshness"] == "fresh");
    // To us `offline` and to have nothing there are one thing.
    alice.run(&["set", "available"]);
    seen.line("the next", |line| line["status"] == "available");
    assert_eq!(server.tags("alice").len(), 1);
    drop(agent);
    until("nothing is left there", || {
        let tags = server.tags("alice");
        if tags.is_empty() { Ok(()) } else { Err(tags.join(" ")) }
    });
    seen.line("nobody says available", |line| line["status"] != "available");
    // What is set while no agent runs is the first that anybody sees.
    let _agent = AgentOf(&alice);
    let (code, _, err) = ended(&alice, &["set", "away"]);
    assert_eq!((code, err.lines().last()), (0, Some("the server shows it")), "{err}");
    seen.line("the next", |line| {
        assert_ne!(line["status"], "available");
        line["status"] == "away"
    });
}

fn over_tcp(peer: &Peer) {
    let server = Server::start(peer, How { sha256: true, ..USUAL });
    let parameters = ";transport=tcp";
    let alice = server.home_with(&["alice"], parameters, "[auth]\nmin = \"sha-256\"\n");
    let bob = server.home_with(&["bob"], parameters, "");
    let _agent = AgentOf(&alice);
    let long = "n".repeat(1000);
    assert_eq!(ended(&alice, &["set", "away", "--note", &long]).0, 0);
    let (code, out, err) = ended(&bob, &["show", "--json", "alice"]);
    assert_eq!(code, 0, "{err}");
    let shown: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&shown["status"], shown["note"].as_str().unwrap().len()), (&json!("away"), 1000));
}

fn without_agent(peer: &Peer) {
    let server = Server::start(peer, USUAL);
    let alice = server.home(&["alice", "carol"], "");
    let (code, _, err) = ended(&alice, &["set", "--no-agent", "busy", "--note", "once", "--for", "45m"]);
    assert_eq!(code, 0, "{err}");
    assert!(err.contains("you are busy: once\n") && err.contains("no agent renews it"), "{err}");
    let first = server.tags("alice");
    let left = server.seconds_left("alice");
    assert!(first.len() == 1 && (2600..=2700).contains(&left), "{first:?} {left}");
    // Several at once, one after the other, are still one device.
    let many: Vec<_> = (0..4)
        .map(|note: u8| {
            let note = note.to_string();
            alice.command(&["set", "-q", "--no-agent", "dnd", "--note", &note]).spawn().unwrap()
        })
        .collect();
    for mut one in many {
        assert_eq!(one.wait().unwrap().code(), Some(0));
    }
    let (code, out, err) = ended(&alice, &["--no-agent", "-a", "carol", "show", "--json", "alice"]);
    let shown: Value = serde_json::from_str(&out).unwrap_or_default();
    assert_eq!((code, &shown["status"]), (0, &json!("dnd")), "{err}");
    assert!(server.tags("alice").len() == 1 && server.tags("alice") != first);
    // An agent goes on with it, and nobody works beside it.
    let agent = AgentOf(&alice);
    assert_eq!(ended(&alice, &["agent", "start"]).0, 0);
    let (code, _, err) = ended(&alice, &["set", "--no-agent", "busy"]);
    assert_eq!(code, 12, "{err}");
    assert_eq!(server.tags("alice").len(), 1);
    drop(agent);
    assert_eq!(ended(&alice, &["set", "--no-agent", "away"]).0, 0);
    // Nor does one that the next `set` starts take it away before it changes it.
    let bob = server.home(&["bob"], "");
    let mut seen = watch(&bob, "alice");
    seen.line("what was set once", |line| line["status"] == "away");
    let agent = AgentOf(&alice);
    let (code, _, err) = ended(&alice, &["set", "busy"]);
    assert_eq!(code, 0, "{err}");
    seen.line("what was set next", |line| {
        assert!(line["status"].is_null() || line["status"] == "away" || line["status"] == "busy", "{line}");
        line["status"] == "busy"
    });
    drop(agent);
    assert_eq!(ended(&alice, &["set", "--no-agent", "away"]).0, 0);
    let (code, _, err) = ended(&alice, &["clear"]);
    assert_eq!((code, server.tags("alice").len()), (0, 0), "{err}");
    let (code, _, err) = ended(&alice, &["set", "--no-agent", "busy", "--while", "--", "true"]);
    assert_eq!(code, 11, "{err}");
}

fn telephone(peer: &Peer) {
    let server = Server::start(peer, How { telephones: true, ..USUAL });
    let alice = server.home(&["alice"], "");
    let _agent = AgentOf(&alice);
    alice.run(&["set", "busy"]);
    let baresip = Peer::find_baresip().unwrap();
    let bob = Baresip::start_at_server(&baresip, server.port, "sip:alice@sip.test");
    bob.believes("Busy");
    bob.command("presence_online");
    let mut seen = watch(&alice, "bob");
    seen.line("bob is online", |line| line["status"] == "available" && line["freshness"] == "fresh");
    bob.command("presence_offline");
    seen.line("bob is offline", |line| line["status"] != "available");
    alice.run(&["set", "available"]);
    bob.believes("Online");
    alice.run(&["clear"]);
    until("bob sees nobody there", || match bob.belief() {
        shown if ["Offline", "Unknown"].contains(&shown.as_str()) => Ok(()),
        shown => Err(shown),
    });
}

fn killed(peer: &Peer) {
    let server = Server::start(peer, USUAL);
    let (alice, bob) = (server.home(&["alice"], ""), server.home(&["bob"], ""));
    let agent = AgentOf(&alice);
    alice.run(&["set", "busy"]);
    let mut seen = watch(&bob, "alice");
    seen.line("a first state", |line| line["status"] == "busy");
    agent.kill();
    alice.run(&["set", "away", "--note", "told by the next run"]);
    let change = seen.line("the next", |line| line["note"] == "told by the next run");
    assert_eq!(change["devices"].as_array().unwrap().len(), 1, "no twin: {change}");
    assert_eq!(server.tags("alice").len(), 1);
    alice.run(&["agent", "restart"]);
    until("it is known again how it stands", || {
        let me = alice.run(&["me"]);
        if me.contains("at the server  yes, until ") { Ok(()) } else { Err(me) }
    });
    assert_eq!(server.tags("alice").len(), 1);
}

fn forgot(peer: &Peer) {
    let mut server = Server::start(peer, USUAL);
    let alice = server.home(&["alice"], "[publish]\nexpires = \"1h\"\n");
    let _agent = AgentOf(&alice);
    alice.run(&["set", "busy"]);
    server.restart(peer, true);
    assert!(server.tags("alice").is_empty());
    // The next change meets a server that knows no tag of ours.
    until("the change is taken", || {
        let (code, _, err) = ended(&alice, &["set", "away", "--note", "afresh"]);
        if code == 0 { Ok(()) } else { Err(err) }
    });
    let bob = server.home(&["bob"], "");
    until("it is shown", || {
        let (_, out, _) = ended(&bob, &["show", "alice"]);
        if out.contains("\taway: afresh") { Ok(()) } else { Err(out) }
    });
    assert_eq!(server.tags("alice").len(), 1);
}

fn mended_password(peer: &Peer) {
    let server = Server::start(peer, USUAL);
    let alice = server.home(&["alice", "carol"], "");
    let config = alice.path("config/sippresence/config.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    // One from a file, one that a program reads from a file that we know nothing of.
    let program = format!("password_command = \"cat {}\"", alice.path("carol.pw").display());
    let text = text.replace(&format!("password_file = \"{}\"", alice.path("carol.pw").display()), &program);
    std::fs::write(&config, text).unwrap();
    let write = |user: &str, password: &str| std::fs::write(alice.path(&format!("{user}.pw")), password).unwrap();
    let _agent = AgentOf(&alice);
    // Both are asked for as the agent starts: each server is asked who watches.
    for user in ["alice", "carol"] {
        write(user, "wrong\n");
    }
    for user in ["alice", "carol"] {
        let (code, _, err) = ended(&alice, &["-a", user, "set", "busy"]);
        assert_eq!(code, 4, "{user}: {err}");
        assert!(server.tags(user).is_empty());
    }
    for user in ["alice", "carol"] {
        write(user, &format!("{user}-pw\n"));
    }
    let (code, _, err) = ended(&alice, &["agent", "reload"]);
    let anew = "configuration and policy are in force; account alice began anew; account carol began anew\n";
    assert_eq!((code, err.as_str()), (0, anew));
    for user in ["alice", "carol"] {
        until("it is at the server", || {
            let me = alice.run(&["-a", user, "me"]);
            if me.contains("at the server  yes, until ") { Ok(()) } else { Err(me) }
        });
        assert_eq!(server.tags(user).len(), 1);
    }
    let (code, _, err) = ended(&alice, &["agent", "reload"]);
    assert_eq!((code, err.as_str()), (0, "configuration and policy are in force\n"));
}

fn wrong_password(peer: &Peer) {
    let server = Server::start(peer, USUAL);
    let alice = server.home(&["alice"], "");
    std::fs::write(alice.path("alice.pw"), "wrong \" p\u{e4}ss\n").unwrap();
    let _agent = AgentOf(&alice);
    let (code, _, err) = ended(&alice, &["set", "busy"]);
    assert_eq!(code, 4, "{err}");
    let line = err.lines().find(|line| line.starts_with("sippresence: ")).unwrap();
    assert!(
        line.starts_with(&format!("sippresence: the server does not take your status: {} ", server.challenge())),
        "{line}"
    );
    let (code, _, err) = ended(&alice, &["show", "bob"]);
    assert_eq!(code, 4, "{err}");
    // What is set is in force for those who watch directly, and nothing of the password is anywhere.
    assert!(alice.run(&["me"]).contains("you are        busy"));
    let log = std::fs::read_to_string(alice.path("state/sippresence/agent.log")).unwrap();
    let state = std::fs::read_to_string(alice.path("state/sippresence/agent.json")).unwrap();
    assert!(!log.contains("p\u{e4}ss") && !state.contains("p\u{e4}ss"));
}

fn two_accounts(peer: &Peer) {
    let server = Server::start(peer, USUAL);
    let home = server.home(&["alice", "bob"], "");
    std::fs::write(home.path("alice.pw"), "wrong\n").unwrap();
    let _agent = AgentOf(&home);
    let (code, _, err) = ended(&home, &["-a", "alice", "set", "busy"]);
    assert_eq!(code, 4, "{err}");
    assert_eq!(ended(&home, &["-a", "bob", "set", "away", "--note", "from bob"]).0, 0);
    let (code, out, err) = ended(&home, &["-a", "bob", "show", "bob"]);
    assert_eq!((code, out.contains("\taway: from bob")), (0, true), "{out}{err}");
    assert!(home.run(&["-a", "alice", "me"]).starts_with("you are        busy\n"));
    let (code, _, err) = ended(&home, &["-a", "carol", "set", "busy"]);
    assert_eq!(code, 3);
    assert_eq!(err, "sippresence: there is no account \"carol\"\nhint: the configuration has alice, bob\n");
    let status = home.run(&["agent", "status", "--json"]);
    assert!(status.contains("{\"name\":\"bob\",\"address\":\"sip:bob@sip.test\"}"), "{status}");
}

fn registers(peer: &Peer) {
    let server = Server::start(peer, USUAL);
    let alice = server.home(&["alice"], "register = \"always\"\n");
    let _agent = AgentOf(&alice);
    alice.run(&["agent", "start"]);
    until("alice is registered", || {
        let me = alice.run(&["me"]);
        if me.contains("registered   yes, until ") { Ok(()) } else { Err(me) }
    });
}

fn library(peer: &Peer) {
    let server = Server::start(peer, USUAL);
    let proxy = format!("sip:127.0.0.1:{}", server.port);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = |user: &str| {
            let password = PasswordSource::known(Secret::new(format!("{user}-pw")));
            let login = Login::new(user, password).server("127.0.0.1");
            PresenceClient::builder(&format!("sip:{user}@127.0.0.1")).any_port().login(login)
        };
        let (alice, bob) = (client("alice").bind().await.unwrap(), client("bob").bind().await.unwrap());
        alice.register(&proxy).await.unwrap();
        bob.register(&proxy).await.unwrap();
        alice.presence(PresenceStatus::Available).note("Working from home").await.unwrap();
        let mut watcher = bob.watch("alice").await.unwrap();
        let next = async {
            loop {
                let presence = watcher.recv().await.unwrap();
                if presence.status == PresenceStatus::Available {
                    return presence;
                }
            }
        };
        let presence = tokio::time::timeout(PATIENCE, next).await.unwrap();
        assert_eq!(presence.note.as_deref(), Some("Working from home"));
        let again = alice.register(&proxy).await.unwrap_err();
        assert!(again.to_string().contains("registered already"), "{again}");
        let stranger = PresenceClient::builder("sip:dave@127.0.0.1").any_port().bind().await.unwrap();
        let refused = stranger.register(&proxy).await.unwrap_err().to_string();
        assert!(refused.starts_with("the server does not register us: 401"), "{refused}");
        alice.stop().await;
        bob.stop().await;
    });
    until("nothing is left there", || if server.tags("alice").is_empty() { Ok(()) } else { Err("a publication") });
}

fn me_at_server(peer: &Peer) {
    let server = Server::start(peer, USUAL);
    let (alice, elsewhere) = (server.home(&["alice"], ""), server.home(&["alice"], ""));
    let _agent = AgentOf(&alice);
    alice.run(&["agent", "start"]);
    let nothing = if server.is_ours() { "offline" } else { "nothing" };
    let agrees = format!("the server shows  {nothing}\nthat is           what you publish\n");
    assert_eq!(alice.run(&["me", "--server"]), agrees);
    alice.run(&["set", "busy", "--note", "meeting"]);
    assert_eq!(alice.run(&["me", "--server"]), "the server shows  busy: meeting\nthat is           what you publish\n");
    let agent = AgentOf(&elsewhere);
    elsewhere.run(&["set", "available", "--note", "at home"]);
    let (code, out, err) = ended(&alice, &["me", "--server"]);
    assert_eq!(code, 1, "{out}{err}");
    assert!(out.contains("it differs in        open or closed: you publish closed, the server shows open\n"), "{out}");
    assert!(out.contains("left over elsewhere  t") && out.contains(": open, at home, since "), "{out}");
    assert!(err.contains("hint: set the status there too"), "{err}");
    let (code, out, _) = ended(&alice, &["me", "--server", "--json"]);
    let told: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &told["kind"], &told["agrees"]), (1, &json!("compared"), &json!(false)), "{told}");
    assert_eq!(told["elsewhere"].as_array().unwrap().len(), 1, "{told}");
    let (code, _, err) = ended(&server.home(&["bob"], ""), &["show", "-v", "alice"]);
    assert!(code == 0 && err.contains(": of 2 devices ") && err.contains(" has the last word\n"), "{err}");
    drop(agent);
    std::fs::write(alice.path("alice.pw"), "wrong\n").unwrap();
    let (code, out, err) = ended(&alice, &["me", "--server"]);
    assert_eq!(code, 4, "{out}{err}");
}

/// Returns exit code and the steps by name, with their marks and words; the last one is the sum.
fn examined(home: &Home, arguments: &[&str]) -> (i32, Vec<Value>) {
    let all = [&["doctor", "--json"], arguments].concat();
    let (code, out, err) = ended(home, &all);
    let told: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(told.last().map(|sum| &sum["exit"]), Some(&json!(code)), "{out}{err}");
    (code, told)
}

#[track_caller]
fn step<'a>(told: &'a [Value], name: &str, mark: &str) -> &'a str {
    let step = told.iter().find(|line| line["step"] == name).unwrap_or_else(|| panic!("no {name}: {told:#?}"));
    assert_eq!(step["mark"], mark, "{told:#?}");
    step["words"].as_str().unwrap()
}

fn doctor(peer: &Peer) {
    let server = Server::start(peer, USUAL);
    let alice = server.home(&["alice"], "register = \"always\"\n");
    let _agent = AgentOf(&alice);
    alice.run(&["set", "busy", "--note", "meeting"]);
    let before = server.tags("alice");
    let (code, told) = examined(&alice, &[]);
    assert_eq!(code, 0, "{told:#?}");
    assert!(step(&told, "configuration", "ok").ends_with("its password is to be had"));
    assert!(step(&told, "name", "ok").ends_with(&format!("127.0.0.1:{} over UDP", server.port)));
    assert!(step(&told, "connection", "ok").contains("answers OPTIONS with 200 OK"));
    assert!(step(&told, "register", "ok").contains("taken back at the end"));
    assert_eq!(step(&told, "subscribe", "ok"), "the server shows us busy: meeting");
    assert_eq!(step(&told, "entity-tags", "ok"), "a made-up entity-tag is refused, as it must be");
    assert!(step(&told, "message size", "ok").ends_with("bytes gets there, over TCP"));
    assert_eq!(step(&told, "publish", "ok"), "the agent's publication was taken again and is shown as it is");
    assert!(step(&told, "document", "ok").contains("1 tuple, 1 person"));
    let shortest = if server.is_ours() { "less than 60 s are refused (423)" } else { "1 s is granted" };
    assert!(step(&told, "shortest", "ok").contains(shortest));
    assert!(step(&told, "watcher info", "ok").starts_with("offered"));
    assert!(step(&told, "dialog", "ok").starts_with("not offered (489 Bad Event)"));
    assert!(step(&told, "lists", "ok").starts_with("no sign"));
    assert_eq!(step(&told, "clean-up", "ok"), "the binding is taken back");
    let after = server.tags("alice");
    assert!(after.len() == 1 && after != before, "modified, and nothing added: {before:?} {after:?}");
    assert!(alice.run(&["me"]).contains("at the server  yes, until "));
    let (code, out, err) = ended(&alice, &["doctor"]);
    assert_eq!((code, err.lines().last()), (0, Some("alice: all is well")), "{out}{err}");
    assert!(out.starts_with("ok       configuration  sip:alice@sip.test through sip:127.0.0.1:"), "{out}");
}

fn doctor_alone(peer: &Peer) {
    let server = Server::start(peer, USUAL);
    let alice = server.home(&["alice"], "");
    let (code, told) = examined(&alice, &["alice"]);
    assert_eq!(code, 0, "{told:#?}");
    let nothing = if server.is_ours() {
        "the server shows us offline"
    } else {
        "the server takes our subscription and has no state of us"
    };
    assert_eq!(step(&told, "subscribe", "ok"), nothing);
    assert!(step(&told, "publish", "skipped").contains("`--publish`"));
    step(&told, "register", "skipped");
    step(&told, "document", if server.is_ours() { "ok" } else { "skipped" });
    let (code, told) = examined(&alice, &["--publish"]);
    assert_eq!(code, 0, "{told:#?}");
    assert!(step(&told, "publish", "ok").starts_with("a test status was taken"));
    assert!(server.tags("alice").is_empty(), "it is taken back");
}

fn doctor_unknown(peer: &Peer) {
    let server = Server::start(peer, USUAL);
    let alice = server.home(&["alice"], "");
    std::fs::write(alice.path("alice.pw"), "wrong\n").unwrap();
    let (code, told) = examined(&alice, &["--publish"]);
    assert_eq!(code, 4, "{told:#?}");
    step(&told, "connection", "ok");
    assert!(step(&told, "subscribe", "failed").starts_with(server.challenge()));
    assert_eq!(step(&told, "publish", "skipped"), "the server does not believe who we are");
    assert_eq!(told.last().unwrap()["first_failure"], "subscribe");
    std::fs::remove_file(alice.path("alice.pw")).unwrap();
    let (code, told) = examined(&alice, &[]);
    assert_eq!((code, &told.last().unwrap()["first_failure"]), (3, &json!("configuration")), "{told:#?}");
}

fn doctor_refused(peer: &Peer) {
    let server = Server::start(peer, How { publishes: false, ..USUAL });
    let alice = server.home(&["alice"], "");
    let (code, told) = examined(&alice, &[]);
    assert_eq!(code, 5, "{told:#?}");
    step(&told, "subscribe", "ok");
    assert!(step(&told, "publish", "failed").starts_with("403 "));
    step(&told, "watcher info", "ok");
}

fn over_tls(peer: &Peer) {
    let server = Server::start(peer, BY_TLS);
    let alice = server.home_by_tls("alice", "ca.pem", "register = \"always\"\n");
    let bob = server.home_by_tls("bob", "ca.pem", "");
    let agent = AgentOf(&alice);
    let (code, _, err) = ended(&alice, &["set", "busy", "--note", "under the rose"]);
    assert_eq!((code, err.lines().last()), (0, Some("the server shows it")), "{err}");
    let (code, out, err) = ended(&bob, &["show", "--json", "alice"]);
    assert_eq!(code, 0, "{err}");
    let shown: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&shown["status"], &shown["note"]), (&json!("busy"), &json!("under the rose")));
    // What changes later comes by TLS too.
    let trace = bob.path("trace");
    let traced = format!("--trace-sip={}", trace.display());
    let mut seen = Process::start(&mut bob.command(&["watch", "--json", &traced, "alice"]));
    seen.line("a first state", |line| line["status"] == "busy");
    alice.run(&["set", "dnd"]);
    seen.line("the next", |line| line["status"] == "dnd" && line["freshness"] == "fresh");
    let told = std::fs::read_to_string(&trace).unwrap();
    let ways: Vec<&str> =
        told.lines().filter(|line| line.contains("Z sent ") || line.contains("Z received ")).collect();
    assert!(ways.len() > 3 && ways.iter().all(|way| way.contains(" tls ")), "{told}");
    until("alice is registered", || {
        let me = alice.run(&["me"]);
        let registered = |line: &str| line.starts_with("registered ") && line.contains("yes, until ");
        if me.lines().any(registered) { Ok(()) } else { Err(me) }
    });
    drop(agent);
    until("nothing is left there", || if server.tags("alice").is_empty() { Ok(()) } else { Err("a publication") });
}

fn untrusted(peer: &Peer) {
    let server = Server::start(peer, BY_TLS);
    let alice = server.home_by_tls("alice", "other-ca.pem", "");
    let _agent = AgentOf(&alice);
    let words = "the certificate of 127.0.0.1 is from nobody whom this machine or `tls.ca_file` trusts";
    let (code, _, err) = ended(&alice, &["set", "busy"]);
    assert_eq!(code, 7, "{err}");
    let line = err.lines().find(|line| line.starts_with("sippresence: ")).unwrap();
    assert!(line.contains(words), "{line}");
    let (code, out, err) = ended(&alice, &["show", "bob"]);
    assert_eq!(code, 7, "{err}");
    assert!(out.contains("failed: untrusted") && out.contains(words), "{out}{err}");
    // The server got neither the status nor a word, by whatever transport.
    assert!(server.tags("alice").is_empty());
    let trace = alice.path("trace");
    let traced = format!("--trace-sip={}", trace.display());
    assert_eq!(ended(&alice, &["--no-agent", &traced, "show", "bob"]).0, 7);
    assert_eq!(std::fs::read_to_string(&trace).unwrap(), "");
}

fn mutual(peer: &Peer) {
    let server = Server::start(peer, How { asks: true, ..BY_TLS });
    let alice = server.home_by_tls("alice", "ca.pem", "");
    let _agent = AgentOf(&alice);
    let (code, _, err) = ended(&alice, &["set", "busy"]);
    assert_eq!(code, 7, "{err}");
    assert!(err.contains("it wants to see a certificate: `cert_file` and `key_file`"), "{err}");
    assert!(server.tags("alice").is_empty());
    let config = alice.path("config/sippresence/config.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let file = |name: &str| server.folder.path().join(name).display().to_string();
    let certificate =
        format!("[account.alice]\ncert_file = {:?}\nkey_file = {:?}", file("alice-cert.pem"), file("alice-key.pem"));
    std::fs::write(&config, text.replace("[account.alice]", &certificate)).unwrap();
    let (code, _, err) = ended(&alice, &["agent", "reload"]);
    assert_eq!((code, err.as_str()), (0, "configuration and policy are in force; account alice began anew\n"));
    until("it is at the server", || {
        let me = alice.run(&["me"]);
        if me.contains("at the server  yes, until ") { Ok(()) } else { Err(me) }
    });
    assert_eq!(server.tags("alice").len(), 1);
}

fn insecure(peer: &Peer) {
    let server = Server::start(peer, BY_TLS);
    let alice = server.home_by_tls("alice", "other-ca.pem", "insecure = true\n");
    let _agent = AgentOf(&alice);
    let (code, _, err) = ended(&alice, &["set", "busy"]);
    assert_eq!(code, 0, "{err}");
    assert!(err.contains("account alice is insecure: any certificate of its server is taken"), "{err}");
    let (code, _, err) = ended(&alice, &["--no-agent", "show", "alice"]);
    assert_eq!(code, 0, "{err}");
    assert!(err.contains("account alice is insecure: "), "{err}");
}

fn many(peer: &Peer) {
    let server = Server::start(peer, USUAL);
    let (alice, bob) = (server.home(&["alice"], ""), server.home(&["bob"], ""));
    let _agent = AgentOf(&alice);
    alice.run(&["set", "available"]);
    let mut setting: Vec<Process> =
        (0..8).map(|n| Process::start(&mut alice.command(&["set", "busy", "--note", &n.to_string(), "-q"]))).collect();
    for set in &mut setting {
        set.wait();
    }
    // Which came last only the agent knows; the server has to end with the same.
    let me: Value = serde_json::from_str(&alice.run(&["me", "--json"])).unwrap();
    let mut seen = watch(&bob, "alice");
    seen.line("the last state", |line| line["note"] == me["note"] && line["freshness"] == "fresh");
    assert_eq!(server.tags("alice").len(), 1);
}
