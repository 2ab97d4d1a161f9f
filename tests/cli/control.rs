//! Either end of the control socket played by hand: agents that end, lie or talk too much, and odd requests.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::UdpSocket,
    os::unix::net::{UnixListener, UnixStream},
    process::Stdio,
    thread,
};

use nix::sys::signal::Signal;

use crate::support::{Finished, Home, Running};

const HELLO: &str = "{\"hello\":\"sippresence\",\"version\":\"0\",\"protocol\":1,\"listen\":[\"127.0.0.1:1\"]}";
const SNAPSHOT: &str = "{\"schema\":1,\"kind\":\"snapshot\",\"ts\":\"2026-01-01T00:00:00Z\",\"seq\":0,\
                        \"presentity\":\"bob@127.0.0.1\",\"status\":\"busy\",\"freshness\":\"fresh\"}";
const READY: &str = "{\"schema\":1,\"kind\":\"ready\",\"ts\":\"2026-01-01T00:00:00Z\",\"seq\":1}";

/// Runs a command against an agent that says these lines to its request, then goes.
fn told(home: &Home, args: &[&str], lines: &[&str]) -> Finished {
    fs::create_dir_all(home.path("run/sippresence")).unwrap();
    let listener = UnixListener::bind(home.path("run/sippresence/agent.sock")).unwrap();
    let lines = lines.join("\n");
    let agent = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        (&stream).write_all(format!("{HELLO}\n").as_bytes()).unwrap();
        let mut heard = BufReader::new(&stream).lines();
        let (_hello, _request) = (heard.next().unwrap().unwrap(), heard.next().unwrap().unwrap());
        // A command that gave up in between says so by its own end.
        let _ = (&stream).write_all(format!("{lines}\n").as_bytes());
    });
    let run = home.run(args);
    agent.join().unwrap();
    run
}

fn seqs(run: &Finished) -> Vec<(String, u64)> {
    let line = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
    let pair = |line: serde_json::Value| (line["kind"].as_str().unwrap().to_owned(), line["seq"].as_u64().unwrap());
    run.out.lines().map(|text| pair(line(text))).collect()
}

fn expected() -> Vec<(String, u64)> {
    (0..).zip(["snapshot", "ready", "freshness", "end"]).map(|(seq, kind)| (kind.to_owned(), seq)).collect()
}

#[test]
fn wat_50_the_numbers_go_on_when_the_agent_is_lost() {
    let home = Home::new("alice");
    let watch = told(&home, &["watch", "--json", "bob@127.0.0.1"], &["{\"reply\":\"ok\"}", SNAPSHOT, READY]);
    assert_eq!(seqs(&watch), expected(), "{watch:?}");
    assert_eq!(watch.code, 11, "{watch:?}");
}

#[test]
fn an_agent_that_ends_in_good_order_ends_watch_as_one_that_is_lost() {
    let home = Home::new("alice");
    let stale =
        SNAPSHOT.replace("snapshot", "freshness").replace("fresh\"}", "stale\"}").replace("\"seq\":0", "\"seq\":2");
    let end = READY.replace("ready", "end").replace("\"seq\":1", "\"seq\":3");
    let lines = ["{\"reply\":\"ok\"}", SNAPSHOT, READY, &stale, &end];
    let watch = told(&home, &["watch", "--json", "bob@127.0.0.1"], &lines);
    assert_eq!(seqs(&watch), expected(), "{watch:?}");
    assert_eq!(watch.code, 11, "{watch:?}");
}

#[test]
fn a_look_that_found_nothing_is_no_success() {
    let home = Home::new("alice");
    let end = READY.replace("ready", "end").replace("\"seq\":1", "\"seq\":0");
    let show = told(&home, &["show", "bob@127.0.0.1"], &["{\"reply\":\"ok\"}", &end]);
    assert_eq!(show.code, 7, "{show:?}");
    assert!(show.err.starts_with("sippresence: bob@127.0.0.1: no answer"), "{show:?}");
}

#[test]
fn sec_07_what_an_agent_answers_cannot_steer_the_terminal() {
    let home = Home::new("alice");
    let reply = "{\"reply\":\"error\",\"code\":5,\"message\":\"no\\u001b[31m\\nway\",\"hint\":\"\\u202etry\"}";
    let set = told(&home, &["set", "busy"], &[reply]);
    set.fails(5, "sippresence: no\\u001b[31m way\nhint: \\u202etry");
}

#[test]
fn a_long_list_of_watchers_is_shown_whole() {
    let home = Home::new("alice");
    let watcher =
        |n| format!("{{\"who\":\"sip:somebody-{n}@example.com\",\"identity\":\"claimed\",\"state\":\"pending\"}}");
    let watchers: Vec<String> = (0..2000).map(watcher).collect();
    let reply = format!("{{\"reply\":\"ok\",\"watchers\":[{}]}}", watchers.join(","));
    let list = told(&home, &["watchers"], &[&reply]);
    assert_eq!((list.code, list.out.lines().count()), (0, 2000), "{}", list.err);
}

/// Says something to a real agent and reads a line.
struct Hand {
    stream: UnixStream,
    heard: std::io::Lines<BufReader<UnixStream>>,
}

impl Hand {
    fn new(home: &Home) -> Self {
        let stream = UnixStream::connect(home.path("run/sippresence/agent.sock")).unwrap();
        stream.set_read_timeout(Some(crate::support::PATIENCE)).unwrap();
        let heard = BufReader::new(stream.try_clone().unwrap()).lines();
        let mut hand = Self { stream, heard };
        hand.say("{\"hello\":\"hand\",\"version\":\"0\",\"protocol\":1}");
        hand.hear();
        hand
    }

    fn say(&mut self, text: &str) {
        self.stream.write_all(format!("{text}\n").as_bytes()).unwrap();
    }

    fn hear(&mut self) -> String {
        self.heard.next().unwrap().unwrap()
    }
}

#[test]
fn a_request_behind_a_look_is_answered_after_it() {
    let home = Home::new("alice");
    let _agent = home.agent();
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut hand = Hand::new(&home);
    hand.say(&format!("{{\"cmd\":\"show\",\"targets\":[\"bob@{}\"]}}", silent.local_addr().unwrap()));
    assert_eq!(hand.hear(), "{\"reply\":\"ok\"}");
    hand.say("{\"cmd\":\"watchers\"}");
    while !hand.hear().contains("\"kind\":\"end\"") {}
    assert_eq!(hand.hear(), "{\"reply\":\"ok\"}");
}

#[test]
fn requests_that_cannot_be_done_say_why_with_the_code_of_the_command() {
    let home = Home::new("alice");
    let _agent = home.agent();
    let mut hand = Hand::new(&home);
    for (request, words) in [
        ("{\"cmd\":\"show\",\"targets\":[]}", ["\"code\":2", "no target"]),
        ("{\"cmd\":\"watch\",\"targets\":[\"@nobody\"]}", ["\"code\":2", "there is no group \\\"@nobody\\\""]),
        ("{\"cmd\":\"show\",\"targets\":[\"sip:bob@h;transport=sctp\"]}", ["\"code\":6", "sctp"]),
        ("{\"cmd\":\"show\",\"targets\":[\"bob@\"]}", ["\"code\":2", "no host"]),
    ] {
        hand.say(request);
        let reply = hand.hear();
        assert!(words.iter().all(|word| reply.contains(word)), "{request}: {reply}");
    }
}

#[test]
fn a_trace_tells_each_message_and_a_slow_reader_how_many_it_lost() {
    let home = Home::new("alice");
    let _agent = home.agent();
    let mut hand = Hand::new(&home);
    hand.say("{\"cmd\":\"trace\"}");
    assert_eq!(hand.hear(), "{\"reply\":\"ok\"}");
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    let options = |n: u32| {
        let port = peer.local_addr().unwrap().port();
        let pad = "x".repeat(4000);
        format!(
            "OPTIONS sip:alice@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bK{n}\r\n\
             From: <sip:x@h>;tag=a\r\nTo: <sip:alice@127.0.0.1>\r\nCall-ID: c{n}\r\nCSeq: 1 OPTIONS\r\n\
             Max-Forwards: 70\r\nSubject: {pad}\r\nContent-Length: 0\r\n\r\n"
        )
    };
    // Each is answered before the next, so the agent sees them all: far more than a connection and a reader hold.
    for n in 0..600 {
        peer.send_to(options(n).as_bytes(), ("127.0.0.1", home.port)).unwrap();
        peer.recv(&mut [0; 8192]).unwrap();
    }
    let first: serde_json::Value = serde_json::from_str(&hand.hear()).unwrap();
    assert_eq!((&first["direction"], &first["transport"]), (&"received".into(), &"udp".into()));
    assert!(first["message"].as_str().unwrap().starts_with("OPTIONS sip:alice@127.0.0.1 SIP/2.0\r\n"), "{first}");
    // The oldest are gone, and the last one is there.
    let mut lost = 0;
    loop {
        let line: serde_json::Value = serde_json::from_str(&hand.hear()).unwrap();
        lost += line["lost"].as_u64().unwrap_or_default();
        if line["direction"] == "sent" && line["message"].as_str().unwrap().contains("Call-ID: c599\r\n") {
            break;
        }
    }
    assert!(lost > 600, "{lost}");
}

#[test]
fn an_agent_whose_words_nobody_reads_goes_on() {
    let home = Home::new("alice");
    let mut agent = home.command(&["agent", "run", "-vvv"]).stderr(Stdio::piped()).spawn().unwrap();
    let mut heard = BufReader::new(agent.stderr.take().unwrap()).lines();
    while !heard.next().unwrap().unwrap().contains("UDP and TCP") {}
    drop(heard);
    let set = home.run(&["set", "busy"]);
    let show = home.run(&["show", "alice@127.0.0.1"]);
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(i32::try_from(agent.id()).unwrap()), Signal::SIGTERM).unwrap();
    let status = agent.wait().unwrap();
    assert_eq!((set.code, show.code, status.code()), (0, 0, Some(0)), "{set:?} {show:?}");
}

#[test]
fn sec_11_a_second_agent_is_refused_even_where_the_socket_cannot_be_seen() {
    let home = Home::new("alice");
    let _agent = home.agent();
    // As between two agents that start at once: one is there, and its socket is not yet.
    fs::remove_file(home.path("run/sippresence/agent.sock")).unwrap();
    home.config("[sip]\nt1 = \"50ms\"\n");
    let mut second = Running::start(home.command(&["agent", "run"]));
    assert!(second.stderr_line("").contains("an agent for this configuration runs already"));
    assert_eq!(second.wait().code(), Some(12));
}
