//! A server that answers as servers do on their bad days: the line that is shown, and the exit code.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{TcpListener, UdpSocket},
    os::unix::fs::PermissionsExt as _,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use crate::support::{Home, free_port};

/// A server on loopback that says one thing.
struct Server {
    port: u16,
    done: Arc<AtomicBool>,
    task: Option<JoinHandle<usize>>,
}

impl Server {
    fn saying(status: &'static str, headers: &'static str) -> Self {
        // What is long is tried by TCP first, where nobody else may listen.
        let socket = UdpSocket::bind(("127.0.0.1", free_port())).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let (port, done) = (socket.local_addr().unwrap().port(), Arc::new(AtomicBool::new(false)));
        let ended = Arc::clone(&done);
        let task = std::thread::spawn(move || {
            let (mut buffer, mut heard) = (vec![0; 65536], 0);
            while !ended.load(Ordering::Relaxed) {
                let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
                let request = String::from_utf8_lossy(&buffer[..length]).into_owned();
                if request.starts_with("SIP/2.0") || request.starts_with("ACK ") {
                    continue;
                }
                heard += 1;
                if !status.is_empty() {
                    socket.send_to(answer(&request, status, headers).as_bytes(), from).unwrap();
                }
            }
            heard
        });
        Self { port, done, task: Some(task) }
    }

    /// Ends it; returns how many requests it heard.
    fn heard(mut self) -> usize {
        self.done.store(true, Ordering::Relaxed);
        self.task.take().unwrap().join().unwrap()
    }
}

fn answer(request: &str, status: &str, headers: &str) -> String {
    let copied = |line: &&str| {
        let name = line.split(':').next().unwrap_or_default();
        ["Via", "From", "To", "Call-ID", "CSeq"].contains(&name)
    };
    let lines: Vec<String> = request
        .lines()
        .filter(copied)
        .map(
            |line| {
                if line.starts_with("To:") && !line.contains("tag=") { format!("{line};tag=s") } else { line.into() }
            },
        )
        .collect();
    format!("SIP/2.0 {status}\r\n{}\r\n{headers}Content-Length: 0\r\n\r\n", lines.join("\r\n"))
}

/// A user whose server is there, with a password that no header takes as it is.
fn home_at(proxy: &str) -> Home {
    let home = Home::new("alice");
    let file = home.path("pw");
    fs::write(&file, "a \"password\" \u{fc}\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    home.config(&format!(
        "[account.alice]\naddress = \"sip:alice@sip.test\"\noutbound_proxy = \"sip:{proxy}\"\n\
         password_file = \"{}\"\n[sip]\nt1 = \"50ms\"\n",
        file.display()
    ));
    home
}

const CHALLENGE: &str = "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\", qop=\"auth\"\r\n";
const PROXY_CHALLENGE: &str = "Proxy-Authenticate: Digest realm=\"r\", nonce=\"n\", qop=\"auth\"\r\n";
const LIMIT: &str = "Min-Expires: 7200\r\n";

/// What it says, with which headers; the exit code; whether publishing is given up; how many requests it hears of each.
const ANSWERS: &[(&str, &str, i32, bool, usize)] = &[
    ("400 Bad Request", "", 5, false, 1),
    ("401 Unauthorized", CHALLENGE, 4, true, 2),
    ("403 Forbidden", "", 5, true, 1),
    ("404 Not Found", "", 8, true, 1),
    ("405 Method Not Allowed", "Allow: INVITE\r\n", 6, true, 1),
    ("407 Proxy Authentication Required", PROXY_CHALLENGE, 4, true, 2),
    ("412 Conditional Request Failed", "", 5, false, 1),
    ("423 Interval Too Brief", LIMIT, 5, true, 2),
    ("423 Interval Too Brief", "", 5, true, 1),
    ("429 Provide Referrer Identity", "", 5, false, 1),
    ("480 Temporarily Unavailable", "", 9, false, 1),
    ("481 Subscription Does Not Exist", "", 5, false, 1),
    ("489 Bad Event", "", 6, true, 1),
    ("500 Server Internal Error", "", 9, false, 1),
    ("501 Not Implemented", "", 6, true, 1),
    ("503 Service Unavailable", "", 9, false, 1),
    ("503 Service Unavailable", "Retry-After: 30\r\n", 9, false, 1),
    ("603 Decline", "", 5, false, 1),
];

#[test]
fn pub_14_each_refusal_of_a_server_is_one_line_one_code_and_a_way_out() {
    for &(status, headers, code, given_up, requests) in ANSWERS {
        let server = Server::saying(status, headers);
        let home = home_at(&format!("127.0.0.1:{}", server.port));
        let set = home.run(&["set", "--no-agent", "busy"]);
        assert_eq!(set.code, code, "{status}: {set:?}");
        let lines: Vec<&str> = set.err.lines().collect();
        let said = if given_up { "does not take your status" } else { "has not taken your status yet" };
        let begins = format!("sippresence: the server {said}: {}", &status[..3]);
        assert!(lines.len() == 2 && lines[0].starts_with(&begins), "{status}: {set:?}");
        assert!(lines[1].starts_with("hint: "), "{status}: {set:?}");
        let show = home.run(&["show", "--no-agent", "bob"]);
        assert_eq!(show.code, code, "{status}: {show:?}");
        assert!(show.out.starts_with("bob\tunknown (") && show.out.contains(&status[..3]), "{status}: {show:?}");
        assert_eq!(server.heard(), 2 * requests, "{status}");
    }
}

#[test]
fn a_refusal_touches_neither_who_watches_directly_nor_the_agent() {
    let server = Server::saying("489 Bad Event", "");
    let home = home_at(&format!("127.0.0.1:{}", server.port));
    let set = home.run(&["set", "busy"]);
    assert_eq!(set.code, 6, "{set:?}");
    assert!(set.err.contains("489 Bad Event; who watches you directly sees it\n"), "{set:?}");
    let me = home.run(&["me"]);
    assert!(me.out.contains("you are        busy\n") && me.out.contains("refused"), "{me:?}");
    // What is held while a command runs is in force too; the command runs, and its code is what counts.
    let held = home.run(&["set", "dnd", "--while", "--", "sh", "-c", "exit 3"]);
    assert_eq!(
        (held.code, held.err.contains("note: the server does not take your status: 489")),
        (3, true),
        "{held:?}"
    );
    assert_eq!(home.run(&["agent", "stop"]).code, 0);
}

#[test]
fn a_server_that_says_nothing_cuts_off_or_stops_halfway_is_told_in_time() {
    let silent = Server::saying("", "");
    let home = home_at(&format!("127.0.0.1:{}", silent.port));
    let set = home.run(&["set", "--no-agent", "busy", "--timeout", "1s"]);
    assert_eq!((set.code, set.err.contains("has not taken your status yet")), (7, true), "{set:?}");
    assert!(silent.heard() > 1);
    for half in ["", "SIP/2.0 200 OK\r\nVia: SIP/2.0/TC"] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        // Ends with the process of the test: nobody tells it.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let _ = stream.read(&mut [0; 16]).and_then(|_| stream.write_all(half.as_bytes()));
            }
        });
        let home = home_at(&format!("127.0.0.1:{port};transport=tcp"));
        for args in [&["set", "busy"][..], &["show", "bob"]] {
            let ended = home.run(&[args, &["--no-agent", "--timeout", "2s"]].concat());
            assert_eq!(ended.code, 7, "{half:?}: {ended:?}");
        }
    }
}
