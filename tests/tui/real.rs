//! The program in a pseudo-terminal with agents that are real: alice's and bob's, with SIP between them.

use nix::sys::signal::Signal;

use super::{
    screen::Screen,
    support::{Home, Running, wait_until},
};

/// Alice's list with bob on it, and both of their agents.
struct Both {
    alice: Home,
    bob: Home,
    _agents: [Running; 2],
}

impl Both {
    fn new() -> Self {
        let (alice, bob) = (Home::new("alice"), Home::new("bob"));
        std::fs::write(bob.path("config/sippresence/policy.toml"), "default = \"allow\"\n").unwrap();
        let agents = [alice.agent(), bob.agent()];
        assert_eq!(bob.run(&["set", "available", "--note", "at my desk"]).code, 0);
        let added = alice.run(&["buddies", "add", &bob.address(), "--name", "Bob"]);
        assert_eq!(added.code, 0, "{added:?}");
        Self { alice, bob, _agents: agents }
    }

    fn screen(&self) -> Screen {
        Screen::start(&self.alice.command(&[]), 80, 24)
    }
}

#[test]
fn what_a_peer_notifies_is_drawn_and_who_asks_is_let_in() {
    let both = Both::new();
    let mut screen = both.screen();
    screen.shows("● Bob");
    screen.shows("at my desk");
    assert!(screen.is_taken());
    assert_eq!(both.bob.run(&["set", "busy", "--note", "in a meeting"]).code, 0);
    screen.shows("◐ Bob");
    screen.shows("in a meeting");
    // A status of mine, by the keys; it goes out to whoever may see it.
    screen.types(":set away --note lunch\r");
    screen.shows("◔ away: lunch");
    let mut watch = Running::start(both.bob.command(&["watch", &both.alice.address()]));
    screen.shows("1 waits for your approval: p");
    screen.types("p");
    screen.shows("bob@127.0.0.1");
    screen.types("a");
    screen.until("nobody waits any more", |text| !text.contains("waits for your approval"));
    watch.line(&["away: lunch"]);
    screen.types("\x1b");
    screen.until("the window is closed", |text| text.contains("in a meeting") && !text.contains("bob@127.0.0.1"));
    screen.resize(120, 40);
    screen.shows(&format!("│ address    {}", both.bob.address()));
    screen.resize(20, 4);
    screen.until("there is no room for more", |text| text.contains("Bob") && !text.contains("address"));
    screen.types("q");
    screen.ends(0);
    wait_until("the agent goes on", || both.alice.agent_pid().is_some());
}

#[test]
fn a_peer_that_is_lost_is_stale_and_a_signal_gives_the_terminal_back() {
    let both = Both::new();
    let mut screen = both.screen();
    screen.shows("● Bob");
    both.alice.kill_agent();
    screen.shows("agent lost");
    screen.shows("~ Bob");
    screen.signal(Signal::SIGTERM);
    screen.ends(143);
}
