//! `serve`: how it begins, what it says, how it ends, and what a full disk does to it.

use std::{
    net::{SocketAddr, UdpSocket},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

use crate::support::{Home, PATIENCE};

/// A server of a home, which is killed when its test is over.
struct Server<'a> {
    home: &'a Home,
    process: Child,
}

impl<'a> Server<'a> {
    fn start(home: &'a Home, arguments: &[&str]) -> Self {
        Self::with(home, home.command(&[&["serve", "--port", "0"], arguments].concat()))
    }

    fn with(home: &'a Home, mut command: Command) -> Self {
        let process = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let server = Self { home, process };
        let deadline = Instant::now() + PATIENCE;
        while home.run(&["serve", "status"]).code != 0 {
            assert!(Instant::now() < deadline, "it does not come up");
        }
        server
    }

    fn status(&self) -> Value {
        let status = self.home.run(&["serve", "status", "--json"]);
        serde_json::from_str(&status.out).unwrap_or_else(|_| panic!("{status:?}"))
    }

    fn address(&self) -> SocketAddr {
        self.status()["listening"][0].as_str().unwrap().parse().unwrap()
    }

    /// Ends it in order; returns its code and what it said.
    fn end(mut self) -> (Option<i32>, String) {
        kill(Pid::from_raw(self.process.id().cast_signed()), Signal::SIGTERM).unwrap();
        let mut said = String::new();
        std::io::Read::read_to_string(&mut self.process.stderr.take().unwrap(), &mut said).unwrap();
        (self.process.wait().unwrap().code(), said)
    }
}

impl Drop for Server<'_> {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Sends a request over UDP, and returns the code of the answer with its text.
fn ask(socket: &UdpSocket, server: SocketAddr, method: &str, user: &str, lines: &str, body: &str) -> (u16, String) {
    let from = socket.local_addr().unwrap();
    let number: u64 = rand::random();
    let request = format!(
        "{method} sip:{user}@example.test SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bK{number};rport\r\nMax-Forwards: \
         70\r\nFrom: <sip:{user}@example.test>;tag=t\r\nTo: <sip:{user}@example.test>\r\nCall-ID: c{number}\r\nCSeq: 1 \
         {method}\r\nEvent: presence\r\nContact: <sip:{user}@{from}>\r\n{lines}Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.send_to(request.as_bytes(), server).unwrap();
    loop {
        let mut bytes = [0; 8192];
        let length = socket.recv(&mut bytes).unwrap();
        let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
        if text.starts_with("SIP/2.0 ") && text.contains(&format!("Call-ID: c{number}\r\n")) {
            return (text[8..11].parse().unwrap(), text);
        }
    }
}

fn publish(socket: &UdpSocket, server: SocketAddr, user: &str, note: &str) -> (u16, String) {
    let body = format!(
        "<presence xmlns=\"urn:ietf:params:xml:ns:pidf\" entity=\"sip:{user}@example.test\"><tuple id=\"t\"><status><basic>\
         open</basic></status><note>{note}</note></tuple></presence>"
    );
    ask(socket, server, "PUBLISH", user, "Content-Type: application/pidf+xml\r\nExpires: 3600\r\n", &body)
}

#[test]
fn what_is_amiss_is_one_line_with_what_to_do() {
    let home = Home::new("alice");
    for (arguments, code, words) in [
        (&["serve"][..], 2, "no domain to serve"),
        (&["serve", "--domain", "a b"], 2, "\"a b\" is no domain"),
        (&["serve", "--domain", "example.test", "--listen", "192.0.2.1"], 2, "has no accounts"),
        (&["serve", "--domain", "example.test", "--listen", "nowhere"], 2, "nowhere"),
        (&["serve", "--domain", "example.test", "--tls-cert", "/nowhere"], 2, "--tls-key"),
        (&["serve", "--domain", "example.test", "--xcap", "5062"], 2, "write ADDRESS:PORT"),
        (&["serve", "--domain", "example.test", "--port", "0", "--metrics", "192.0.2.1:9"], 2, "clear text"),
        (&["serve", "--domain", "example.test", "--memory", "--store", "x"], 2, "--memory"),
        (&["serve", "status"], 11, "no server runs here"),
        (&["serve", "check"], 2, "server.redb: "),
    ] {
        let run = home.run(arguments);
        assert_eq!(run.code, code, "{run:?}");
        let first = run.err.lines().next().unwrap();
        assert!(first.starts_with("sippresence: ") && first.contains(words), "{run:?}");
        assert!(run.err.contains("\nhint: ") && run.out.is_empty(), "{run:?}");
    }
}

#[test]
fn a_server_goes_on_where_the_last_one_was_and_there_is_one_at_a_time() {
    let home = Home::new("alice");
    let port = crate::support::free_port().to_string();
    let arguments = ["serve", "--domain", "example.test", "--port", &port, "--xcap", "none"];
    let server = Server::with(&home, home.command(&arguments));
    let other = home.run(&["serve", "--domain", "example.test", "--port", "0"]);
    assert_eq!(other.code, 12, "{other:?}");
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    assert_eq!(publish(&socket, server.address(), "alice", "kept").0, 200);
    assert_eq!(ask(&socket, server.address(), "SUBSCRIBE", "alice", "Expires: 600\r\n", "").0, 200);
    let status = server.status();
    assert_eq!((&status["publications"], &status["subscriptions"]), (&1.into(), &1.into()), "{status}");
    let words = home.run(&["serve", "status"]).out;
    assert!(words.contains("1 publication;") && words.contains("serves     example.test\n"), "{words}");
    let (code, said) = server.end();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("example.test is open: nobody has an account"), "{said}");
    let checked = home.run(&["serve", "check"]);
    assert!(checked.code == 0 && checked.out.contains("publications   1\n"), "{checked:?}");

    let server = Server::with(&home, home.command(&arguments));
    let status = server.status();
    assert_eq!((&status["publications"], &status["subscriptions"]), (&1.into(), &1.into()), "{status}");
    let (_, said) = server.end();
    assert!(said.contains("kept so far: 1 publication, 1 subscription, 0 registrations"), "{said}");
}

#[test]
fn an_account_closes_a_domain_that_is_served() {
    let home = Home::new("alice");
    let server = Server::start(&home, &["--domain", "example.test", "--memory"]);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    assert_eq!(publish(&socket, server.address(), "alice", "open").0, 200);
    assert_eq!(home.run_with_stdin(&["serve", "user", "add", "alice@example.test"], b"wonderland\n").code, 0);
    let deadline = Instant::now() + PATIENCE;
    while publish(&socket, server.address(), "alice", "closed").0 != 401 {
        assert!(Instant::now() < deadline, "the account is not taken up");
    }
    // A line that is none leaves them as they were, and is told.
    let accounts = home.path("state/sippresence/server/accounts");
    let text = std::fs::read_to_string(&accounts).unwrap();
    std::fs::write(&accounts, format!("{text}nonsense\n")).unwrap();
    while server.status()["accounts_problem"].is_null() {
        assert!(Instant::now() < deadline, "the fault is not told");
    }
    assert_eq!(publish(&socket, server.address(), "alice", "closed").0, 401);
}

#[test]
fn prometheus_is_told_figures_and_no_names() {
    let home = Home::new("alice");
    let metrics = format!("127.0.0.1:{}", crate::support::free_port());
    let server = Server::start(&home, &["--domain", "example.test", "--memory", "--metrics", &metrics]);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    publish(&socket, server.address(), "alice", "secret");
    let scrape = |path: &str| {
        let mut stream = std::net::TcpStream::connect(&metrics).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
        std::io::Write::write_all(&mut stream, request.as_bytes()).unwrap();
        std::io::read_to_string(stream).unwrap()
    };
    let text = scrape("/metrics");
    assert!(text.contains("# TYPE sippresence_publications gauge\nsippresence_publications 1\n"), "{text}");
    assert!(text.contains("\nsippresence_publishes_total 1\n"), "{text}");
    assert!(!text.contains("alice") && !text.contains("secret"), "SEC-21: {text}");
    assert!(scrape("/").starts_with("HTTP/1.1 404"));
}

#[test]
fn on_a_full_disk_what_is_there_is_served_and_what_is_new_may_come_again() {
    let home = Home::new("alice");
    let limited = "trap '' XFSZ; exec prlimit --fsize=400000:unlimited \"$@\"";
    let program = env!("CARGO_BIN_EXE_sippresence");
    let plain = home.command(&[]);
    let mut command = Command::new("sh");
    command.args(["-c", limited, "sh", program, "serve", "--domain", "example.test", "--port", "0", "--xcap", "none"]);
    command.env_clear().envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.env("PATH", "/usr/bin:/bin");
    let server = Server::with(&home, command);
    let (socket, address) = (UdpSocket::bind("127.0.0.1:0").unwrap(), server.address());
    assert_eq!(publish(&socket, address, "alice", "kept before").0, 200);
    let long = "long ".repeat(4000);
    let mut answers = (0..100).map(|n| publish(&socket, address, &format!("u{n}"), &long)).enumerate();
    let refused = answers.find(|(_, (code, _))| *code != 200);
    let (taken, (code, text)) = refused.expect("the disk is full");
    assert!(code == 503 && text.contains("Retry-After: "), "{text}");
    let status = server.status();
    assert!(status["store_problem"].is_string(), "{status}");
    assert_eq!(status["publications"], taken + 1, "what was refused is not there (ESC-07): {status}");
    assert_eq!(publish(&socket, address, "bob", "new").0, 503);
    assert_eq!(ask(&socket, address, "SUBSCRIBE", "bob", "Expires: 600\r\n", "").0, 503);
    // One look is served.
    assert_eq!(ask(&socket, address, "SUBSCRIBE", "alice", "Expires: 0\r\n", "").0, 200);
    let words = home.run(&["serve", "status"]).out;
    assert!(words.contains("not kept   "), "{words}");

    // There is room again.
    let pid = server.process.id().to_string();
    assert!(Command::new("prlimit").args(["--fsize=unlimited:unlimited", "--pid", &pid]).status().unwrap().success());
    let deadline = Instant::now() + PATIENCE;
    while publish(&socket, address, "bob", "new").0 != 200 {
        assert!(Instant::now() < deadline, "{}", server.status());
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(server.status()["store_problem"].is_null());
    let before = server.status()["publications"].clone();
    drop(server);
    let server = Server::start(&home, &["--domain", "example.test"]);
    assert_eq!(server.status()["publications"], before, "what was acknowledged is there");
}
