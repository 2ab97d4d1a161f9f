//! `doctor` without a real server: peer to peer, against nobody, against one that falls silent.

use std::{
    net::UdpSocket,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::{Home, Running};

/// Makes a home whose account works through a server at that socket.
fn through(server: &UdpSocket, more: &str) -> Home {
    let home = Home::new("alice");
    home.config(&format!(
        "[account.work]\naddress = \"sip:alice@example.com\"\noutbound_proxy = \"sip:{}\"\n{more}[sip]\nt1 = \"50ms\"\n",
        server.local_addr().unwrap()
    ));
    home
}

fn steps(out: &str) -> Vec<Value> {
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn marks(told: &[Value]) -> Vec<(&str, &str)> {
    let steps = told.iter().filter(|line| line["kind"] == "step");
    steps.map(|line| (line["step"].as_str().unwrap(), line["mark"].as_str().unwrap())).collect()
}

/// Answers one request as a server would.
fn answer(server: &UdpSocket, status: &str, extra: &str) -> String {
    let mut bytes = vec![0; 65535];
    let (length, from) = server.recv_from(&mut bytes).unwrap();
    let request = String::from_utf8_lossy(&bytes[..length]).into_owned();
    let copied = |line: &&str| ["Via", "From", "To", "Call-ID", "CSeq"].contains(&line.split(':').next().unwrap());
    let lines: Vec<&str> = request.lines().filter(copied).collect();
    let text = format!("SIP/2.0 {status}\r\n{}\r\n{extra}Content-Length: 0\r\n\r\n", lines.join("\r\n"));
    server.send_to(text.as_bytes(), from).unwrap();
    request
}

#[test]
fn peer_to_peer_the_sockets_the_agent_and_what_watchers_see_are_tried() {
    let home = Home::new("alice");
    let alone = home.run(&["doctor"]);
    assert_eq!(alone.code, 0, "{alone:?}");
    assert!(alone.out.contains("ok       sockets        an agent could listen at 127.0.0.1:"), "{alone:?}");
    assert!(alone.out.contains("warning  agent          no agent runs: nobody can watch you"), "{alone:?}");
    assert!(alone.err.ends_with("1 warning\n"), "{alone:?}");
    let _agent = home.agent();
    home.run(&["set", "busy", "--note", "meeting"]);
    let doctor = home.run(&["doctor", "--json"]);
    let told = steps(&doctor.out);
    assert_eq!(
        marks(&told),
        [("configuration", "ok"), ("sockets", "ok"), ("agent", "ok"), ("reachable", "warning"), ("watchers see", "ok")],
        "{doctor:?}"
    );
    assert_eq!(told[4]["words"], "whoever may watch you gets: busy: meeting");
    assert!(told[3]["words"].as_str().unwrap().ends_with("on this machine only"), "{told:?}");
    let sum = &told[5];
    assert_eq!(
        (&sum["kind"], &sum["ok"], &sum["warnings"], &sum["exit"]),
        (&"sum".into(), &4.into(), &1.into(), &0.into())
    );
    let (code, shown) = home.run_on_terminal(&["doctor"]);
    assert!(code == 0 && shown.contains("\u{1b}[32mok"), "{shown:?}");
}

#[test]
fn a_port_that_is_taken_is_a_failure_with_its_fix() {
    let home = Home::new("alice");
    let _taken = UdpSocket::bind(("127.0.0.1", home.port)).unwrap();
    let doctor = home.run(&["doctor"]);
    assert_eq!(doctor.code, 2, "{doctor:?}");
    assert!(doctor.out.contains("failed   sockets ") && doctor.out.contains("\n           fix    "), "{doctor:?}");
}

#[test]
fn an_account_that_is_not_there_ends_with_3_and_all_of_them_are_too_many() {
    let home = Home::new("alice");
    home.run(&["doctor", "work"]).fails(
        3,
        "sippresence: there is no account \"work\"\n\
         hint: the configuration has none; `sippresence config example` shows one",
    );
    assert_eq!(home.run(&["doctor", "all"]).code, 2);
}

#[test]
fn a_silent_server_is_given_up_in_time_and_nothing_more_is_asked_of_it() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let home = through(&server, "register = \"always\"\n");
    let begun = Instant::now();
    let doctor = home.run(&["doctor", "--json", "--publish", "--timeout", "2s"]);
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    let told = steps(&doctor.out);
    assert_eq!(doctor.code, 7, "{doctor:?}");
    assert_eq!(
        marks(&told)[..4],
        [("configuration", "ok"), ("name", "ok"), ("connection", "failed"), ("register", "skipped")]
    );
    assert_eq!((&told[2]["code"], &told.last().unwrap()["first_failure"]), (&"timeout".into(), &"connection".into()));
    assert!(told[2]["cause"].is_string() && told[2]["fix"].is_string(), "{told:?}");
    let nobody = server.local_addr().unwrap();
    drop(server);
    let gone = home.run(&["doctor"]);
    assert_eq!(gone.code, 7, "{gone:?} {nobody}");
    assert!(gone.out.contains("failed   connection     nobody listens there"), "{gone:?}");
}

#[test]
fn a_binding_is_taken_back_when_a_server_falls_silent_and_the_user_leaves() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    server.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    let home = through(&server, "register = \"always\"\n");
    let mut doctor = Running::start(home.command(&["doctor"]));
    // One that answers OPTIONS with a refusal is there, too.
    assert!(answer(&server, "405 Method Not Allowed", "").starts_with("OPTIONS sip:example.com SIP/2.0\r\n"));
    doctor.line(&["ok ", "answers OPTIONS with 405"]);
    let register = answer(&server, "423 Interval Too Brief", "Min-Expires: 600\r\n");
    assert!(register.starts_with("REGISTER sip:example.com SIP/2.0\r\n") && register.contains("\r\nExpires: 120\r\n"));
    let register = answer(&server, "200 OK", "Expires: 600\r\n");
    assert!(register.contains("\r\nExpires: 600\r\n"), "{register}");
    doctor.line(&["ok ", "register", "for 600 s"]);
    doctor.signal(Signal::SIGINT);
    let taken_back = loop {
        let request = answer(&server, "200 OK", "");
        if request.starts_with("REGISTER ") {
            break request;
        }
    };
    assert!(taken_back.contains("\r\nExpires: 0\r\n"), "{taken_back}");
    doctor.line(&["ok ", "clean-up", "the binding is taken back"]);
    assert_eq!(doctor.wait().code(), Some(130));
}

#[test]
fn a_server_without_publications_and_other_packages_is_well() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    server.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    let home = through(&server, "");
    let mut doctor = Running::start(home.command(&["doctor", "--json"]));
    answer(&server, "200 OK", "Server: old \u{1b}[2J\r\n");
    doctor.line(&["connection", "(old \\u001b[2J)"]);
    for (method, status, extra) in [
        ("SUBSCRIBE", "404 Not Found", ""),
        ("PUBLISH", "489 Bad Event", "Allow-Events: dialog\r\n"),
        ("SUBSCRIBE", "423 Interval Too Brief", "Min-Expires: 60\r\n"),
        ("SUBSCRIBE", "489 Bad Event", "Allow-Events: presence\r\n"),
        ("SUBSCRIBE", "200 OK", "Expires: 0\r\n"),
        ("SUBSCRIBE", "420 Bad Extension", "Unsupported: eventlist\r\n"),
    ] {
        let request = answer(&server, status, extra);
        assert!(request.starts_with(method), "{method}: {request}");
    }
    doctor.line(&["\"subscribe\"", "\"failed\"", "\"code\":404"]);
    doctor.line(&["\"publish\"", "\"ok\"", "not offered (489 Bad Event); it offers dialog"]);
    doctor.line(&["\"shortest\"", "\"ok\"", "less than 60 s"]);
    doctor.line(&["\"watcher info\"", "\"ok\"", "not offered"]);
    doctor.line(&["\"dialog\"", "\"ok\"", "offered: who is on the phone"]);
    doctor.line(&["\"lists\"", "\"ok\"", "not offered"]);
    doctor.line(&["\"sum\"", "\"exit\":8"]);
    assert_eq!(doctor.wait().code(), Some(8));
}

#[test]
fn a_server_that_falls_silent_is_left_alone_after_two_steps() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let home = through(&server, "");
    let mut doctor = Running::start(home.command(&["doctor", "--json", "--timeout", "20s"]));
    answer(&server, "200 OK", "");
    doctor.line(&["\"subscribe\"", "\"failed\"", "timeout"]);
    doctor.line(&["\"entity-tags\"", "\"failed\"", "timeout"]);
    doctor.line(&["\"lists\"", "\"skipped\"", "fallen silent"]);
    assert_eq!(doctor.wait().code(), Some(7));
}

#[test]
fn a_test_status_needs_leave_is_said_before_and_is_taken_back_on_ctrl_c() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    server.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    let home = through(&server, "");
    let mut doctor = Running::start(home.command(&["doctor", "--json", "--publish"]));
    answer(&server, "200 OK", "");
    answer(&server, "404 Not Found", "");
    let made_up = answer(&server, "412 Conditional Request Failed", "");
    assert!(
        made_up.contains("\r\nSIP-If-Match: a.") && made_up.ends_with("\r\nContent-Length: 0\r\n\r\n"),
        "{made_up}"
    );
    let large = answer(&server, "412 Conditional Request Failed", "");
    assert!(large.starts_with("PUBLISH ") && large.len() > 1300, "{large}");
    doctor.line(&["\"message size\"", "\"warning\"", "the server takes no TCP"]);
    doctor.stderr_line("note: a test status is published now and taken back");
    let publish = answer(&server, "200 OK", "SIP-ETag: e1\r\nExpires: 3600\r\n");
    assert!(publish.contains("sippresence doctor tries the server"), "{publish}");
    let mut peeked = [0; 16];
    server.peek(&mut peeked).unwrap();
    assert!(peeked.starts_with(b"SUBSCRIBE "), "it looks at what came of it");
    doctor.signal(Signal::SIGINT);
    let taken_back = loop {
        let request = answer(&server, "200 OK", "SIP-ETag: e2\r\nExpires: 0\r\n");
        if request.starts_with("PUBLISH ") {
            break request;
        }
    };
    assert!(
        taken_back.contains("\r\nSIP-If-Match: e1\r\n") && taken_back.contains("\r\nExpires: 0\r\n"),
        "{taken_back}"
    );
    doctor.line(&["\"clean-up\"", "\"ok\"", "the test status is taken back"]);
    assert_eq!(doctor.wait().code(), Some(130));
}

#[test]
fn a_package_that_a_server_leaves_unanswered_is_no_failure() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    server.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    let home = through(&server, "");
    let mut doctor = Running::start(home.command(&["doctor", "--json"]));
    answer(&server, "200 OK", "");
    answer(&server, "404 Not Found", "");
    answer(&server, "405 Method Not Allowed", "");
    answer(&server, "200 OK", "Expires: 1\r\n");
    let asked = answer(&server, "200 OK", "Expires: 0\r\n");
    assert!(asked.contains("\r\nEvent: presence.winfo\r\n"), "{asked}");
    doctor.line(&["\"watcher info\"", "\"ok\"", "\"words\":\"offered"]);
    doctor.line(&["\"dialog\"", "\"warning\"", "not known: no answer"]);
    doctor.line(&["\"lists\"", "\"warning\""]);
    assert_eq!(doctor.wait().code(), Some(8), "that of the look");
}
