//! `agent reload`: what the files say now is in force, account by account, and nobody is told more than has changed.

use std::{fmt::Write as _, fs};

use nix::sys::signal::Signal;

use crate::{
    server::Server,
    support::{Home, Running, wait_until},
};

/// A user with these accounts at servers: name, user, and what else stands there.
fn configure(home: &Home, accounts: &[(&str, &str, &Server, &str)], more: &str) {
    let mut text = format!("default_account = \"{}\"\n", accounts[0].0);
    for (name, user, server, more) in accounts {
        let proxy = format!("sip:127.0.0.1:{}", server.port);
        let address = format!("sip:{user}@sip.test");
        writeln!(text, "[account.{name}]\naddress = {address:?}\noutbound_proxy = {proxy:?}\n{more}").unwrap();
    }
    home.config(&format!("{text}[agent]\nport = {}\n[sip]\nt1 = \"50ms\"\n{more}", home.port));
}

#[test]
fn accounts_come_and_go_at_a_reload_and_one_that_goes_leaves_nothing_at_its_server() {
    let (server, home) = (Server::start(), Home::new("alice"));
    let (work, club) = (("work", "alice", &server, ""), ("club", "ally", &server, ""));
    configure(&home, &[work], "");
    assert_eq!(home.run(&["set", "busy", "--note", "at work"]).code, 0);
    assert_eq!(server.has("alice", "at work"), 1);
    configure(&home, &[work, club], "");
    let reload = home.run(&["agent", "reload"]);
    reload.fails(0, "configuration and policy are in force; account club is new");
    assert_eq!(home.run(&["-a", "club", "set", "away", "--note", "at the club"]).code, 0);
    assert_eq!((server.has("alice", "at work"), server.has("ally", "at the club")), (1, 1));
    configure(&home, &[club], "");
    let reload = home.run(&["agent", "reload"]);
    reload.fails(0, "configuration and policy are in force; account work went offline");
    assert_eq!((server.has("alice", ""), server.has("ally", "at the club")), (0, 1));
    let status = home.run(&["agent", "status", "--json"]);
    assert!(status.out.contains("ally@sip.test") && !status.out.contains("alice@sip.test"), "{status:?}");
    assert_eq!(home.run(&["-a", "work", "set", "dnd"]).code, 3);
    // What was set there is not forgotten.
    configure(&home, &[work, club], "");
    let reload = home.run(&["agent", "reload"]);
    reload.fails(0, "configuration and policy are in force; account work is new");
    wait_until("it is shown again", || server.has("alice", "at work") == 1);
}

#[test]
fn an_agent_without_an_account_gets_one_and_loses_it_again() {
    let (server, home) = (Server::start(), Home::new("alice"));
    home.run(&["set", "busy", "--note", "alone"]);
    configure(&home, &[("work", "alice", &server, "")], "");
    let reload = home.run(&["agent", "reload"]);
    reload.fails(
        0,
        "configuration and policy are in force; account work is new; this machine's own address went offline",
    );
    assert_eq!(home.run(&["set", "away", "--note", "at work"]).code, 0);
    assert_eq!(server.has("alice", "at work"), 1);
    home.config(&format!("[agent]\nport = {}\n[sip]\nt1 = \"50ms\"\n", home.port));
    assert_eq!(home.run(&["agent", "reload"]).code, 0);
    assert_eq!(server.has("alice", ""), 0);
    let me = home.run(&["me"]);
    assert!(me.out.contains("busy: alone") && me.out.contains(&home.address()), "{me:?}");
}

#[test]
fn an_account_that_is_another_keeps_its_watchers_its_holds_and_what_it_watches() {
    let (first, second, alice, bob) = (Server::start(), Server::start(), Home::new("alice"), Home::new("bob"));
    configure(&alice, &[("work", "alice", &first, "")], "");
    alice.run(&["watchers", "allow", "bob@127.0.0.1"]);
    alice.run(&["set", "available"]);
    let mut hold = Running::start(alice.command(&["set", "dnd", "--while", "--", "sleep", "100"]));
    let mut by_bob = Running::start(bob.command(&["watch", &alice.address()]));
    by_bob.line(&["dnd"]);
    let mut watches = Running::start(alice.command(&["watch", "me", "--json"]));
    watches.line(&["\"dnd\""]);
    configure(&alice, &[("work", "alice", &second, "register = \"never\"\n")], "");
    let reload = alice.run(&["agent", "reload"]);
    reload.fails(0, "configuration and policy are in force; account work began anew");
    wait_until("the other server has it", || second.has("alice", "dnd") == 1);
    hold.signal(Signal::SIGTERM);
    hold.wait();
    // Nothing else came between.
    let next = by_bob.line(&[""]);
    assert!(next.contains("\tavailable"), "{next}");
    watches.line(&["\"available\"", "\"fresh\""]);
    let again = alice.run(&["agent", "reload"]);
    again.fails(0, "configuration and policy are in force");
}

#[test]
fn what_cannot_be_used_changes_nothing_and_what_waits_is_named() {
    let (server, home) = (Server::start(), Home::new("alice"));
    let account = ("work", "alice", &server, "");
    configure(&home, &[account], "");
    assert_eq!(home.run(&["set", "busy", "--note", "at work"]).code, 0);
    let ca = home.path("ca.pem");
    let tls = format!("[tls]\nca_file = \"{}\"\n", ca.display());
    configure(&home, &[account, ("club", "ally", &server, "")], &tls);
    let refused = home.run(&["agent", "reload"]);
    let why = format!("sippresence: nothing is changed: cannot read certificates from {}: ", ca.display());
    assert!(refused.code == 2 && refused.err.starts_with(&why), "{refused:?}");
    assert_eq!(home.run(&["-a", "club", "me"]).code, 3);
    let key = rcgen::KeyPair::generate().unwrap();
    let authority = || rcgen::CertificateParams::default().self_signed(&key).unwrap().pem();
    fs::write(&ca, authority()).unwrap();
    configure(&home, &[account], &tls);
    let anew = "configuration and policy are in force; account work began anew";
    home.run(&["agent", "reload"]).fails(0, anew);
    home.run(&["agent", "reload"]).fails(0, "configuration and policy are in force");
    // The same name, another authority in it.
    fs::remove_file(&ca).unwrap();
    fs::write(&ca, format!("{0}{0}", authority())).unwrap();
    home.run(&["agent", "reload"]).fails(0, anew);
    assert_eq!(server.has("alice", "at work"), 1);
    let text = fs::read_to_string(home.path("config/sippresence/config.toml")).unwrap();
    home.config(&text.replace("[agent]", "[agent]\npersist = false\nlisten = \"lan\""));
    let waits = "configuration and policy are in force; agent.listen, agent.persist wait for `agent restart`";
    home.run(&["agent", "reload"]).fails(0, waits);
    home.run(&["agent", "reload"]).fails(0, waits);
}
