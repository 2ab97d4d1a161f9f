//! The program in a pseudo-terminal: it draws, follows, resizes, and gives the terminal back on every path.

use std::{
    fs,
    ops::{Deref, DerefMut},
    os::unix::fs::PermissionsExt as _,
    process::Command,
};

use nix::sys::signal::Signal;
use sippresence::client::{Kind, WatcherGrade};
use tempfile::TempDir;

use super::{
    agent::Agent,
    lines::{buddy, cast, crowd, list, state, watcher},
    screen::Screen,
};

/// The program on a terminal, with a home and an agent of its own.
struct Session {
    screen: Screen,
    home: TempDir,
    agent: Option<Agent>,
}

impl Session {
    fn start(columns: u16, lines: u16) -> Self {
        Self::with(columns, lines, &cast())
    }

    fn with(columns: u16, rows: u16, first: &[sippresence::client::Line]) -> Self {
        Self::running(Command::new(env!("CARGO_BIN_EXE_sippresence")), columns, rows, first)
    }

    fn running(mut command: Command, columns: u16, rows: u16, first: &[sippresence::client::Line]) -> Self {
        let home = tempfile::tempdir().unwrap();
        let run = home.path().join("run/sippresence");
        fs::create_dir_all(&run).unwrap();
        for folder in [home.path().join("run"), run.clone()] {
            fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).unwrap();
        }
        let agent = Agent::start(&run.join("agent.sock"), first);
        for (name, folder) in
            [("HOME", "."), ("XDG_CONFIG_HOME", "config"), ("XDG_STATE_HOME", "state"), ("XDG_RUNTIME_DIR", "run")]
        {
            command.env(name, home.path().join(folder));
        }
        command.env("USER", "me").env("TZ", "UTC");
        Self { screen: Screen::start(&command, columns, rows), home, agent: Some(agent) }
    }

    fn agent(&self) -> &Agent {
        self.agent.as_ref().unwrap()
    }
}

impl Deref for Session {
    type Target = Screen;

    fn deref(&self) -> &Screen {
        &self.screen
    }
}

impl DerefMut for Session {
    fn deref_mut(&mut self) -> &mut Screen {
        &mut self.screen
    }
}

#[test]
fn it_draws_and_follows_what_the_agent_tells_and_q_leaves() {
    let mut session = Session::start(80, 24);
    session.shows("● Alice Martin★            available   at my desk");
    assert!(session.is_taken());
    session.agent().tell(&state(Kind::Change, "alice@example.com", "in-call", "with a customer"));
    session.shows("☎ Alice Martin★            in-call     with a customer");
    session.agent().tell(&watcher("sip:eve@example.com", "pending", WatcherGrade::Address));
    session.shows("2 wait for your approval: p");
    session.agent().tell(&list(vec![buddy("Zed", "zed@example.com", &[])]));
    session.until("Alice is gone", |text| text.contains("Zed") && !text.contains("Alice"));
    session.types("q");
    session.ends(0);
}

#[test]
fn a_signal_gives_the_terminal_back() {
    for (signal, code) in [(Signal::SIGTERM, 143), (Signal::SIGHUP, 129), (Signal::SIGINT, 130)] {
        let mut session = Session::start(80, 24);
        session.shows("Alice");
        session.signal(signal);
        session.ends(code);
    }
}

#[test]
fn another_size_is_another_picture() {
    let session = Session::start(80, 24);
    session.shows("Alice");
    session.resize(120, 40);
    session.shows("│ address    alice@example.com");
    session.resize(10, 3);
    session.until("only names are left", |text| text.contains("Alice") && !text.contains("address"));
}

#[test]
fn my_status_is_set_and_watchers_are_decided_about_through_the_agent() {
    let mut session = Session::start(80, 24);
    session.shows("Alice");
    session.types("sd");
    session.shows("› ⊘ dnd");
    session.types("\t\x15");
    // Pasted, as terminals do it.
    session.types("\x1b[200~in a talk\x1b[201~");
    session.shows("note  in a talk");
    session.types("\r");
    let asked = |words: &str| session.agent().asked().iter().any(|request| request.contains(words));
    session.until("the agent is asked", |_| asked(r#"{"cmd":"set","status":"dnd","note":"in a talk"}"#));
    session.types("p");
    session.shows("claims to be mallory@example.com");
    session.types("a");
    let asked = |words: &str| session.agent().asked().iter().any(|request| request.contains(words));
    session.until("it is decided", |_| asked(r#"{"cmd":"decide","who":["sip:mallory@example.com"],"list":"allow"}"#));
}

#[test]
fn somebody_who_is_added_stands_in_the_file_and_goes_again() {
    let mut session = Session::with(80, 24, &[list(Vec::new()), super::lines::line(Kind::Ready)]);
    session.shows("no buddies yet: press a to add one");
    session.types("a");
    session.shows("add somebody");
    session.types("eve@example.com\tEve\r");
    let file = session.home.path().join("config/sippresence/buddies.toml");
    let has = |words: &str| fs::read_to_string(&file).is_ok_and(|text| text.contains(words));
    session.until("Eve is in the file", |_| has("name = \"Eve\""));
    session.shows("added Eve");
    session.types("u");
    session.until("and no more", |_| !has("Eve"));
    session.shows("taken back: added Eve");
    assert!(session.agent().asked().iter().any(|request| request == r#"{"cmd":"buddies"}"#));
}

#[test]
fn an_agent_that_dies_is_missed_until_it_is_back() {
    let mut session = Session::start(80, 24);
    session.shows("● Alice");
    session.agent = None;
    session.shows("agent lost");
    session.shows("~ Alice");
    let socket = session.home.path().join("run/sippresence/agent.sock");
    session.agent = Some(Agent::start(&socket, &cast()));
    session.until("it is back", |text| text.contains("● Alice") && !text.contains("agent lost"));
    session.types("q");
    session.ends(0);
}

#[test]
fn it_is_suspended_and_comes_back() {
    // A shell that gives each command a process group of its own, as at a prompt.
    let mut shell = Command::new("/bin/sh");
    let script = format!("{}; echo stopped; read line; fg", env!("CARGO_BIN_EXE_sippresence"));
    shell.args(["-mc", script.as_str()]);
    let mut session = Session::running(shell, 80, 24, &cast());
    session.shows("Alice");
    session.types("\x1a");
    session.shows("stopped");
    assert!(!session.is_taken());
    session.agent().tell(&state(Kind::Change, "alice@example.com", "away", "gone meanwhile"));
    session.types("\n");
    session.shows("gone meanwhile");
    assert!(session.is_taken());
    session.types("q");
    session.ends(0);
}

#[test]
fn without_a_shell_to_come_back_from_it_goes_on() {
    let mut session = Session::start(80, 24);
    session.shows("Alice");
    session.types("\x1a");
    session.shows("there is no shell here to come back from");
    session.types("q");
    session.ends(0);
}

#[test]
fn keys_are_taken_while_a_thousand_people_change() {
    let mut session = Session::with(80, 24, &crowd(1000));
    session.shows("Person 0000");
    for round in 0..20 {
        for n in 0..200 {
            let status = if round % 2 == 0 { "busy" } else { "available" };
            session.agent().tell(&state(Kind::Change, &format!("person{n}@example.com"), status, "x"));
        }
        if round == 10 {
            session.types("/0999");
        }
    }
    session.shows("›○ Person 0999");
}

#[test]
fn a_key_and_a_new_size_at_once_are_both_taken() {
    let mut session = Session::start(80, 24);
    session.shows("Alice");
    for round in 0..100 {
        session.types("w");
        session.shows("wall:");
        let columns = if round % 2 == 0 { 70 } else { 80 };
        session.types("\x1b");
        session.resize(columns, 24);
        session.until("the list is back, as wide as the terminal", |text| {
            text.contains("by group")
                && text
                    .lines()
                    .any(|l| l.starts_with("──") && l.chars().count() == usize::from(columns) && l.ends_with("──"))
        });
    }
}
