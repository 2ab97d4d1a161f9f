//! What `show` says while it waits, and how it ends when it is interrupted.

use std::net::UdpSocket;

use nix::sys::signal::{Signal, kill};

use crate::support::{Home, Running, Terminal};

fn silent() -> (UdpSocket, String) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let target = format!("bob@{}", socket.local_addr().unwrap());
    (socket, target)
}

#[test]
fn whom_show_waits_for_is_said_once_where_no_terminal_is() {
    let home = Home::new("alice");
    let (_silent, target) = silent();
    let show = home.run(&["show", "--timeout", "2500ms", &target]);
    let said = format!("waiting for {target}: no answer yet, 2 s left\n");
    let failed = format!("sippresence: {target}: no answer within 2s500ms\nhint: `--timeout` waits longer\n");
    assert_eq!((show.code, show.err), (7, format!("{said}{failed}")));
    let quiet = home.run(&["-q", "show", "--timeout", "2500ms", &target]);
    assert_eq!(quiet.err, failed);
}

#[test]
fn on_a_terminal_the_line_is_rewritten_and_gone_before_anything_else_is_printed() {
    let home = Home::new("alice");
    // Resent for longer than we wait.
    home.config("[sip]\nt1 = \"500ms\"\n");
    let (_silent, target) = silent();
    let (code, shown) = home.run_on_terminal(&["show", "--timeout", "3500ms", &target]);
    assert_eq!(code, 7, "{shown:?}");
    let line = |left: u8| format!("\r\x1b[Kwaiting for {target}: no answer yet, {left} s left");
    let failed = format!("sippresence: {target}: no answer within 3s500ms");
    let expected = format!("{}{}\r\x1b[K{failed}", line(3), line(2));
    assert!(shown.starts_with(&expected), "{shown:?}\n{expected:?}");
}

#[test]
fn a_line_is_never_wider_than_the_terminal() {
    let home = Home::new("alice");
    let (_silent, target) = silent();
    let target = format!("{}{target}", "long-".repeat(30));
    let (_, shown) = home.run_on_terminal(&["show", "--timeout", "2500ms", &target]);
    let line = shown.split("\x1b[K").nth(1).unwrap();
    assert!(line.starts_with("waiting for long-") && line.trim_end_matches('\r').chars().count() <= 79, "{line:?}");
}

#[test]
fn ctrl_c_ends_show_in_good_order() {
    let (alice, bob) = (Home::new("alice"), Home::new("bob"));
    let _agent = alice.agent();
    let (socket, target) = silent();
    let mut terminal = Terminal::new();
    let mut show = terminal.start(bob.command(&["show", "--timeout", "20s", &target, &alice.address()]));
    terminal.shows("no answer yet");
    kill(nix::unistd::Pid::from_raw(i32::try_from(show.id()).unwrap()), Signal::SIGINT).unwrap();
    let rest = terminal.rest();
    assert!(rest.ends_with("\r\x1b[K"), "{rest:?}");
    assert_eq!(show.wait().unwrap().code(), Some(130));
    let mut show = Running::start(bob.command(&["show", &target]));
    // It has asked when the first request is there.
    socket.recv(&mut [0; 2048]).unwrap();
    show.stderr_line("no answer yet");
    show.signal(Signal::SIGTERM);
    assert_eq!(show.wait().code(), Some(143));
}
