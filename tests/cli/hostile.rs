//! Peers that we play ourselves, with plain sockets: what they send reaches nobody's shell, log or network.

use std::net::{SocketAddr, TcpListener, UdpSocket};

use crate::support::{Home, PATIENCE, Running};

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

fn receive(socket: &UdpSocket) -> (String, SocketAddr) {
    let mut bytes = vec![0; 65_535];
    let (length, from) = socket.recv_from(&mut bytes).unwrap();
    (String::from_utf8_lossy(&bytes[..length]).into_owned(), from)
}

/// Waits for a message that begins so; answers to junk and resends are passed over.
fn receive_that(socket: &UdpSocket, beginning: &str) -> (String, SocketAddr) {
    loop {
        let (message, from) = receive(socket);
        if message.starts_with(beginning) {
            return (message, from);
        }
    }
}

fn header<'a>(message: &'a str, name: &str) -> &'a str {
    let line = message.lines().find(|line| line.starts_with(&format!("{name}: "))).unwrap();
    &line[name.len() + 2..]
}

/// Answers a SUBSCRIBE with 200 and a NOTIFY with this body.
fn notify(socket: &UdpSocket, body: &str) {
    let (subscribe, watcher) = receive_that(socket, "SUBSCRIBE ");
    let me = socket.local_addr().unwrap();
    let [via, from, to, call_id] = ["Via", "From", "To", "Call-ID"].map(|name| header(&subscribe, name));
    let ok = format!(
        "SIP/2.0 200 OK\r\nVia: {via}\r\nFrom: {from}\r\nTo: {to};tag=n1\r\nCall-ID: {call_id}\r\n\
         CSeq: 1 SUBSCRIBE\r\nContact: <sip:bob@{me}>\r\nExpires: 300\r\nContent-Length: 0\r\n\r\n"
    );
    socket.send_to(ok.as_bytes(), watcher).unwrap();
    let notify = format!(
        "NOTIFY sip:alice@{watcher} SIP/2.0\r\nVia: SIP/2.0/UDP {me};branch=z9hG4bKn1;rport\r\nMax-Forwards: 70\r\n\
         From: {to};tag=n1\r\nTo: {from}\r\nCall-ID: {call_id}\r\nCSeq: 1 NOTIFY\r\nContact: <sip:bob@{me}>\r\n\
         Event: presence\r\nSubscription-State: active;expires=300\r\nContent-Type: application/pidf+xml\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    socket.send_to(notify.as_bytes(), watcher).unwrap();
    receive_that(socket, "SIP/2.0 200 OK");
}

const PIDF: &str = "xmlns=\"urn:ietf:params:xml:ns:pidf\" xmlns:dm=\"urn:ietf:params:xml:ns:pidf:data-model\" \
                    xmlns:rpid=\"urn:ietf:params:xml:ns:pidf:rpid\" xmlns:c=\"urn:ietf:params:xml:ns:pidf:cipid\"";

#[test]
fn sec_22_what_a_document_points_to_is_never_fetched() {
    let (home, bob) = (Home::new("alice"), socket());
    let bait = TcpListener::bind("127.0.0.1:0").unwrap();
    bait.set_nonblocking(true).unwrap();
    let url = format!("http://{}/x", bait.local_addr().unwrap());
    let mut watch =
        Running::start(home.command(&["--no-agent", "watch", "--json", &format!("bob@{}", bob.local_addr().unwrap())]));
    notify(
        &bob,
        &format!(
            "<presence {PIDF} entity=\"sip:bob@127.0.0.1\"><tuple id=\"t\"><status><basic>open</basic></status>\
             <contact>{url}</contact><note>{url}</note></tuple><dm:person id=\"p\">\
             <rpid:status-icon>{url}</rpid:status-icon><c:card>{url}</c:card><c:icon>{url}</c:icon>\
             <c:map>{url}</c:map></dm:person></presence>"
        ),
    );
    let line = watch.line(&["\"available\""]);
    assert!(line.contains(&url), "{line}");
    assert_eq!(bait.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

#[test]
fn sec_09_a_log_line_is_one_line_whatever_a_peer_calls_itself() {
    let (alice, eve) = (Home::new("alice"), socket());
    let mut agent = alice.agent_with(&["-vvv"]);
    let me = eve.local_addr().unwrap();
    eve.send_to(
        format!(
            "SUBSCRIBE sip:alice@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP {me};branch=z9hG4bKe1;rport\r\n\
             From: \"x\r\n  ERROR forged \u{1b}[31m\u{202e}\" <sip:eve%0d%0aWARN@127.0.0.1>;tag=e1\r\n\
             To: <sip:alice@127.0.0.1>\r\nCall-ID: e1\r\nCSeq: 1 SUBSCRIBE\r\nContact: <sip:eve@{me}>\r\n\
             Event: presence\r\nExpires: 300\r\nContent-Length: 0\r\n\r\n"
        )
        .as_bytes(),
        ("127.0.0.1", alice.port),
    )
    .unwrap();
    let (ok, agent_address) = receive(&eve);
    assert!(ok.starts_with("SIP/2.0 200 OK"), "{ok}");
    let (first, _) = receive(&eve);
    assert!(first.contains("Subscription-State: pending"), "{first}");
    let [via, from, to, call_id, cseq] = ["Via", "From", "To", "Call-ID", "CSeq"].map(|name| header(&first, name));
    let answer = format!(
        "SIP/2.0 200 OK\r\nVia: {via}\r\nFrom: {from}\r\nTo: {to}\r\nCall-ID: {call_id}\r\nCSeq: {cseq}\r\n\
         Content-Length: 0\r\n\r\n"
    );
    eve.send_to(answer.as_bytes(), agent_address).unwrap();
    let line = agent.stderr_line("judged a watcher");
    assert!(line.contains("eve%0d%0aWARN@127.0.0.1"), "{line}");
    assert!(!line.chars().any(char::is_control), "{line:?}");
    let list = alice.run(&["watchers"]);
    assert_eq!(list.out.lines().count(), 1, "{list:?}");
}

#[test]
fn a_peer_that_answers_nonsense_gets_no_further_than_itself() {
    let (home, bob) = (Home::new("alice"), socket());
    let target = format!("bob@{}", bob.local_addr().unwrap());
    let mut watch = Running::start(home.command(&["--no-agent", "watch", "--json", &target]));
    let (subscribe, watcher) = receive(&bob);
    let via = header(&subscribe, "Via");
    for junk in [
        String::new(),
        "\r\n\r\n".to_owned(),
        "SIP/2.0".to_owned(),
        "SIP/2.0 200\r\n\r\n".to_owned(),
        format!("SIP/2.0 200 OK\r\nVia: {via}\r\n\r\n"),
        format!("SIP/2.0 999 \u{1b}\r\nVia: {via}\r\nCSeq: 1 SUBSCRIBE\r\n\r\n"),
        "NOTIFY sip:alice@h SIP/2.0\r\n\r\n".to_owned(),
        "x".repeat(60_000),
    ] {
        bob.send_to(junk.as_bytes(), watcher).unwrap();
    }
    // The next resend is answered properly, and all is well.
    notify(&bob, &format!("<presence {PIDF}><tuple id=\"t\"><status><basic>open</basic></status></tuple></presence>"));
    watch.line(&["\"available\""]);
}
