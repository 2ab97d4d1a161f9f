//! Who watches me, who waits, who did: over the life of an agent and beyond it.

use std::net::UdpSocket;

use serde_json::Value;

use crate::{
    server::Server,
    support::{Home, PATIENCE, Running, wait_until},
};

/// What a command prints of a home's watchers.
fn watchers(home: &Home, arguments: &[&str]) -> String {
    let shown = home.run(&[&["watchers"], arguments].concat());
    assert_eq!(shown.code, 0, "{shown:?}");
    shown.out
}

#[test]
fn win_04_who_left_before_i_decided_waits_through_a_crash_and_is_let_in_when_it_comes_back() {
    let (alice, bob) = (Home::new("alice"), Home::new("bob"));
    alice.run(&["set", "busy", "--note", "on a ladder"]);
    let mut watch = Running::start(bob.command(&["watch", &alice.address()]));
    watch.line(&["pending"]);
    assert!(watchers(&alice, &["pending"]).starts_with("bob@127.0.0.1  waits for your approval  since "));
    watch.signal(nix::sys::signal::Signal::SIGTERM);
    watch.wait();
    wait_until("bob has left", || watchers(&alice, &["pending"]).contains(", has left"));
    let state = alice.path("state/sippresence/agent.json");
    wait_until("that is on disk", || std::fs::read_to_string(&state).unwrap().contains("\"waiting\""));
    for crashes in [true, false] {
        if crashes {
            alice.kill_agent();
        } else {
            alice.run(&["agent", "stop"]);
        }
        assert_eq!(alice.run(&["agent", "start"]).code, 0);
        assert!(watchers(&alice, &[]).contains("bob@127.0.0.1  waits for your approval  since "), "{crashes}");
        assert!(alice.run(&["agent", "status"]).out.contains("\nwatchers    0, 1 waits for your approval\n"));
    }
    let line: Value = serde_json::from_str(&watchers(&alice, &["pending", "--json"])).unwrap();
    let told = ["via", "identity", "state", "reason"].map(|key| line["watcher"][key].as_str().unwrap());
    assert_eq!(told, ["direct", "address", "waiting", "default"]);
    assert!(line["watcher"]["first_seen"].as_str() <= line["watcher"]["since"].as_str(), "{line}");

    assert_eq!(alice.run(&["watchers", "allow", "bob@127.0.0.1"]).code, 0);
    assert_eq!(watchers(&alice, &[]), "");
    let history = watchers(&alice, &["history", "bob@127.0.0.1"]);
    assert!(history.contains("\ndecided     by allow\n"), "{history}");
    let mut watch = Running::start(bob.command(&["watch", &alice.address()]));
    watch.line(&["\tbusy: on a ladder"]);
    assert!(watchers(&alice, &[]).starts_with("bob@127.0.0.1  active  since "));
    let line: Value = serde_json::from_str(&watchers(&alice, &["history", "--json"])).unwrap();
    let keys = ["who", "state", "reason", "decided_at", "first_seen", "last_seen"];
    assert!(keys.iter().all(|key| line["watcher"][key].is_string()), "{line}");
    // Only who is not there can be forgotten.
    alice.run(&["watchers", "forget", "bob@127.0.0.1"]);
    assert!(watchers(&alice, &["pending"]).starts_with("bob@127.0.0.1  waits"));
    watch.signal(nix::sys::signal::Signal::SIGTERM);
    watch.wait();
    wait_until("bob has left", || watchers(&alice, &["pending"]).contains(", has left"));
    alice.run(&["watchers", "forget", "bob@127.0.0.1"]);
    let none = alice.run(&["watchers", "history"]);
    assert_eq!((none.code, none.out.as_str(), none.err.as_str()), (0, "", "nobody watched you\n"));
}

#[test]
fn sec_07_a_hostile_watcher_is_shown_escaped_and_fits_forty_columns() {
    let alice = Home::new("alice");
    alice.run(&["set", "available"]);
    let to: std::net::SocketAddr = alice.address().split('@').nth(1).unwrap().parse().unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let me = socket.local_addr().unwrap();
    let request = format!(
        "SUBSCRIBE sip:alice@{to} SIP/2.0\r\nVia: SIP/2.0/UDP {me};branch=z9hG4bKh1;rport\r\nMax-Forwards: 70\r\n\
         From: <sip:$(rm%20-rf%20~)%1b%5b31m%f0%9f%98%80@127.0.0.1>;tag=h\r\nTo: <sip:alice@{to}>\r\nCall-ID: h\r\n\
         CSeq: 1 SUBSCRIBE\r\nContact: <sip:h@{me}>\r\nEvent: presence\r\nExpires: 300\r\nContent-Length: 0\r\n\r\n"
    );
    socket.send_to(request.as_bytes(), to).unwrap();
    let mut bytes = vec![0; 65_535];
    let notify = loop {
        let length = socket.recv(&mut bytes).unwrap();
        let message = String::from_utf8_lossy(&bytes[..length]).into_owned();
        if message.starts_with("NOTIFY ") {
            break message;
        }
    };
    let copied = ["Via: ", "From: ", "To: ", "Call-ID: ", "CSeq: "];
    let lines = notify.lines().filter(|line| copied.iter().any(|name| line.starts_with(name)));
    let lines: String = lines.flat_map(|line| [line, "\r\n"]).collect();
    socket.send_to(format!("SIP/2.0 200 OK\r\n{lines}Content-Length: 0\r\n\r\n").as_bytes(), to).unwrap();
    wait_until("it waits", || !watchers(&alice, &[]).is_empty());
    for arguments in [&["watchers"][..], &["watchers", "pending"], &["watchers", "history"]] {
        let narrow = alice.command(arguments).env("COLUMNS", "40").output().unwrap();
        let text = String::from_utf8(narrow.stdout).unwrap();
        let line = text.lines().next().unwrap();
        assert!(line.chars().count() <= 40 && line.starts_with("$(rm"), "{line}");
        assert!(!text.contains('\u{1b}'), "{text:?}");
    }
}

#[test]
fn wic_01_a_server_that_does_not_tell_who_watches_is_named_and_costs_nothing() {
    let (server, home) = (Server::start(), Home::new("alice"));
    home.config(&format!(
        "[agent]\nport = {}\n[account.work]\naddress = \"sip:alice@sip.test\"\n\
         outbound_proxy = \"sip:127.0.0.1:{}\"\n",
        home.port, server.port
    ));
    let set = home.run(&["set", "busy"]);
    assert_eq!((set.code, set.err.lines().last()), (0, Some("the server shows it")), "{set:?}");
    wait_until("it is named", || {
        let me = home.run(&["me"]).out;
        me.contains("\nwatcher info   refused: 489 Bad Event: it offers presence, tried again at ")
    });
    let line: Value = serde_json::from_str(&home.run(&["me", "--json"]).out).unwrap();
    assert_eq!(line["server"]["watcher_info"]["code"], 489, "{line}");
    assert_eq!(watchers(&home, &[]), "");
    assert_eq!(home.run(&["set", "away"]).code, 0);
    wait_until("it is published all the same", || server.has("alice", ">away<") + server.has("alice", "away/") > 0);
}

#[test]
fn win_04_who_waits_is_not_forgotten_by_a_status_that_is_set_without_an_agent() {
    let (server, alice, bob) = (Server::start(), Home::new("alice"), Home::new("bob"));
    alice.config(&format!(
        "[agent]\nport = {}\n[account.work]\naddress = \"sip:alice@sip.test\"\n\
         outbound_proxy = \"sip:127.0.0.1:{}\"\n",
        alice.port, server.port
    ));
    alice.run(&["set", "busy"]);
    let mut watch = Running::start(bob.command(&["watch", &alice.address()]));
    watch.line(&["pending"]);
    alice.run(&["agent", "stop"]);
    let set = alice.run(&["set", "away", "--no-agent"]);
    assert_eq!(set.code, 0, "{set:?}");
    alice.run(&["agent", "start"]);
    watch.signal(nix::sys::signal::Signal::SIGTERM);
    watch.wait();
    assert!(watchers(&alice, &["history"]).starts_with("bob@127.0.0.1  waits for your approval"));
}
