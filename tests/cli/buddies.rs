//! The buddy list: what scripts, hooks and programs on the socket get of it, and what bad input does to it.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::{fs::PermissionsExt, net::UnixStream},
};

use serde_json::Value;

use crate::support::{Home, PATIENCE, Running, wait_until};

/// Everything that an agent tells whoever follows it.
struct Follower {
    lines: std::io::Lines<BufReader<UnixStream>>,
}

impl Follower {
    fn of(home: &Home) -> Self {
        let mut stream = UnixStream::connect(home.path("run/sippresence/agent.sock")).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
        stream.write_all(b"{\"hello\":\"f\",\"version\":\"0\",\"protocol\":1}\n{\"cmd\":\"follow\"}\n").unwrap();
        assert!(lines.next().unwrap().unwrap().contains("\"hello\""));
        assert_eq!(lines.next().unwrap().unwrap(), "{\"reply\":\"ok\"}");
        Self { lines }
    }

    /// Waits for a line that has it all; returns those up to it.
    fn until(&mut self, words: &[&str]) -> Vec<Value> {
        let mut passed = Vec::new();
        loop {
            let line = self.lines.next().unwrap().unwrap();
            crate::schema::kinds(&line);
            passed.push(serde_json::from_str(&line).unwrap());
            if words.iter().all(|word| line.contains(word)) {
                return passed;
            }
        }
    }
}

#[test]
fn who_follows_is_told_the_list_my_status_my_watchers_and_every_buddy() {
    let (alice, bob) = (Home::new("alice"), Home::new("bob"));
    let _bob = bob.agent();
    bob.run(&["set", "busy", "--note", "on a ladder"]);
    bob.run(&["watchers", "allow", "alice@127.0.0.1"]);
    let _alice = alice.agent();
    assert_eq!(alice.run(&["buddies", "add", &bob.address(), "--group", "team"]).code, 0);
    let mut follower = Follower::of(&alice);
    let first = follower.until(&["\"ready\""]);
    let kinds: Vec<&str> = first.iter().map(|line| line["kind"].as_str().unwrap()).collect();
    let of = |kind: &str| &first[kinds.iter().position(|own| *own == kind).unwrap()];
    assert_eq!(of("buddies")["buddies"][0]["groups"][0], "team");
    assert_eq!(of("publication")["status"], "offline");
    assert_eq!((&of("snapshot")["name"], &of("snapshot")["status"]), (&"bob".into(), &"busy".into()));
    assert!(first.iter().enumerate().all(|(seq, line)| line["seq"] == seq), "{first:?}");
    // What happens from then on, to whomever.
    alice.run(&["set", "available"]);
    follower.until(&["\"publication\"", "\"available\""]);
    bob.run(&["set", "dnd"]);
    follower.until(&["\"change\"", "\"name\":\"bob\"", "\"dnd\""]);
    let watch = Running::start(bob.command(&["watch", &alice.address()]));
    follower.until(&["\"watcher\"", "bob@127.0.0.1", "\"pending\""]);
    drop(watch);
    alice.run(&["buddies", "remove", "bob"]);
    let list = follower.until(&["\"buddies\""]);
    assert!(list.last().unwrap().get("buddies").is_none(), "{list:?}");
}

#[test]
fn hooks_are_told_of_changes_of_buddies_and_not_of_how_they_are_at_the_start() {
    let (alice, bob) = (Home::new("alice"), Home::new("bob"));
    let _bob = bob.agent();
    bob.run(&["set", "busy"]);
    bob.run(&["watchers", "allow", "alice@127.0.0.1"]);
    let told = alice.path("told");
    alice.config(&format!(
        "[agent]\nport = {}\n[sip]\nt1 = \"50ms\"\n[hooks]\non_event = [\"sh\", \"-c\", \"cat >>{}\"]\n",
        alice.port,
        told.display()
    ));
    alice.run(&["buddies", "add", &bob.address()]);
    alice.run(&["agent", "start"]);
    let mut follower = Follower::of(&alice);
    follower.until(&["\"ready\""]);
    bob.run(&["set", "away"]);
    wait_until("the hook is told", || fs::read_to_string(&told).is_ok_and(|text| text.contains("\"away\"")));
    let text = fs::read_to_string(&told).unwrap();
    let lines: Vec<&str> = text.lines().filter(|line| line.contains("\"bob\"")).collect();
    assert!(lines.len() == 1 && lines[0].contains("\"kind\":\"change\""), "{text}");
    alice.run(&["agent", "stop"]);
}

#[test]
fn a_list_that_cannot_be_read_keeps_neither_the_agent_nor_an_address_from_working() {
    let home = Home::new("alice");
    let file = home.path("config/sippresence/buddies.toml");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, "[[buddy]]\nname = \"bob\"\n").unwrap();
    let start = home.run(&["agent", "start"]);
    assert_eq!(start.code, 0, "{start:?}");
    assert!(start.err.contains("nobody is on the buddy list") && start.err.contains("buddies.toml:2:1"), "{start:?}");
    let show = home.run(&["show", &home.address(), "--timeout", "5s"]);
    assert!(!show.err.contains("buddies.toml"), "{show:?}");
    for args in [&["show"][..], &["show", "bob"], &["buddies"], &["buddies", "add", "a@h"], &["config", "check"]] {
        let ended = home.run(args);
        assert!(ended.code == 2 && ended.err.contains("buddies.toml:2:1"), "{args:?}: {ended:?}");
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "[[buddy]]\nname = \"bob\"\n");
    let reload = home.run(&["agent", "reload"]);
    assert!(
        reload.err.contains("the buddy list stays as it was") && reload.err.contains("buddies.toml:2:1"),
        "{reload:?}"
    );
    home.run(&["agent", "stop"]);
}

#[test]
fn names_that_could_be_anything_else_are_refused_and_strange_ones_are_names() {
    let home = Home::new("alice");
    for (name, words) in [
        ("@team", "an address or a group"),
        ("me", "that is you"),
        ("", "at least one"),
        ("a\u{202e}b", "cannot be seen"),
        ("sip:x", "is an address"),
    ] {
        let ended = home.run(&["buddies", "add", "a@h", "--name", name]);
        assert!(ended.code == 2 && ended.err.contains(words) && ended.err.lines().count() == 1, "{name}: {ended:?}");
    }
    // What is said twice is one word.
    let twice = home.run(&["buddies", "add", "al@h", "--alias", "Al", "--alias", "AL", "--alias", "boss"]);
    assert_eq!(twice.code, 0, "{twice:?}");
    assert_eq!(home.run(&["buddies", "rename", "al", "BOSS"]).code, 0);
    assert!(home.run(&["buddies"]).out.starts_with("BOSS\tal@h\n"));
    home.run(&["buddies", "remove", "BOSS"]);
    for (place, name) in ["$(rm -rf ~)", "漢字 ☕", "a'b\"c\\", "مرحبا"].into_iter().enumerate() {
        let address = format!("u{place}@127.0.0.1:9");
        assert_eq!(home.run(&["buddies", "add", &address, "--name", name]).code, 0);
        let show = home.run(&["show", name]);
        assert!(show.code == 7 && show.out.starts_with(name), "{name}: {show:?}");
    }
    for address in ["", "bob@", "@", "sip:bob@h;transport=sctp", "bob@h:0"] {
        let ended = home.run(&["buddies", "add", address]);
        assert!(ended.code == 2 && ended.err.starts_with("sippresence: "), "{address:?}: {ended:?}");
    }
    let ended = home.run(&["buddies", "add", "bob@h", "--through", "work"]);
    ended.fails(3, "sippresence: there is no account \"work\"\nhint: `sippresence config show` shows which there are");
}

#[test]
fn a_folder_that_cannot_be_written_leaves_the_list_as_it_was() {
    let home = Home::new("alice");
    assert_eq!(home.run(&["buddies", "add", "bob@h"]).code, 0);
    let folder = home.path("config/sippresence");
    let before = fs::read_to_string(folder.join("buddies.toml")).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o500)).unwrap();
    let ended = home.run(&["buddies", "add", "carol@h"]);
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
    // Root may write everywhere.
    if ended.code != 0 {
        assert!(ended.code == 2 && ended.err.contains("buddies.toml"), "{ended:?}");
        assert_eq!(fs::read_to_string(folder.join("buddies.toml")).unwrap(), before);
    }
}

#[test]
fn who_cannot_be_watched_has_failed_and_says_why_and_the_others_are_watched() {
    let home = Home::new("alice");
    let _agent = home.agent();
    let file = home.path("config/sippresence/buddies.toml");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    let dead = "[[buddy]]\nname = \"dead\"\naddress = \"dead@127.0.0.1:9\"\n";
    let nowhere = "[[buddy]]\nname = \"nowhere\"\naddress = \"x@127.0.0.1:9\"\naccount = \"nosuch\"\n";
    fs::write(&file, format!("{nowhere}{dead}")).unwrap();
    Follower::of(&home).until(&["\"name\":\"nowhere\"", "\"failed\""]);
    let show = home.run(&["show"]);
    assert_eq!(show.code, 7, "{show:?}");
    assert!(show.out.contains("nowhere\tunknown (failed: connect)") && show.out.contains("no account \"nosuch\""));
    assert!(show.out.contains("dead\tunknown (failed: connect)"), "{show:?}");
    // Whom the agent cannot reach from this machine alone, the command may.
    let far = "[[buddy]]\nname = \"far\"\naddress = \"far@192.0.2.1\"\n";
    fs::write(&file, format!("{far}{dead}")).unwrap();
    let mut follower = Follower::of(&home);
    let told = follower.until(&["\"name\":\"far\"", "\"failed\""]);
    assert!(told.last().unwrap()["subscription"]["reason"].as_str().unwrap().contains("--listen lan"), "{told:?}");
    let show = home.run(&["show", "--timeout", "1s"]);
    assert!(!show.out.contains("--listen lan") && show.out.contains("dead"), "{show:?}");
}
