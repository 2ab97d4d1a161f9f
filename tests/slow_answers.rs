//! Server transactions whose user takes its time, how many are kept, and how an answer finds back when its
//! connection is gone (RFC 3261 §17.2, §18.2.2, RFC 4320, RFC 3263 §5).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::{net::SocketAddr, time::Duration};

use rand::{SeedableRng, rngs::StdRng};
use sippresence::sip::{
    codec::{Framing, decode},
    effect::Effect,
    endpoint::{Endpoint, EndpointConfig, Event, ServerId},
    locate::{Answer, Question, Srv, TRANSPORTS},
    time::Instant,
    transaction::Timing,
    transport::{ConnId, Flow, Transport},
};
use support::{ALICE, BOB, OPTIONS, SUBSCRIBE, address, wire};

/// An endpoint whose user answers when the test says so.
struct Slow {
    endpoint: Endpoint<()>,
    ms: u64,
    out: Vec<Effect>,
}

impl Slow {
    fn new() -> Self {
        let config = EndpointConfig {
            timing: Timing::default(),
            locals: vec![address(BOB)],
            tls: Vec::new(),
            transports: TRANSPORTS,
            allow: sippresence::sip::endpoint::ALLOW,
            supported: &[],
            allow_events: "presence",
            accept: "application/pidf+xml",
        };
        Self { endpoint: Endpoint::new(config, StdRng::seed_from_u64(1)), ms: 0, out: Vec::new() }
    }

    fn now(&self) -> Instant {
        Instant::from_origin(Duration::from_millis(self.ms))
    }

    fn run_until(&mut self, ms: u64) {
        self.ms = ms;
        let now = self.now();
        self.endpoint.tick(now, &mut self.out);
    }

    /// A datagram comes; returns the request if it reaches the user.
    fn receive(&mut self, text: &str) -> Option<ServerId> {
        let (bytes, now) = (wire(text), self.now());
        match self.endpoint.datagram(address(BOB), address(ALICE), bytes.as_bytes(), now, &mut self.out) {
            Some(Event::Request { id, .. }) => Some(id),
            _ => None,
        }
    }

    fn respond(&mut self, id: ServerId, text: &str) {
        let (bytes, now) = (wire(text), self.now());
        let request = decode(bytes.as_bytes(), Framing::Datagram).unwrap();
        let flow = Flow { transport: Transport::Udp, local: address(BOB), remote: address(ALICE), conn: None };
        self.endpoint.respond_with(id, flow, &request, 200, now, &mut self.out, |_| {});
    }
}

#[test]
fn txn_09_a_resend_before_the_answer_is_absorbed() {
    let mut slow = Slow::new();
    let id = slow.receive(SUBSCRIBE).unwrap();
    slow.run_until(500);
    assert_eq!(slow.receive(SUBSCRIBE), None);
    assert_eq!(slow.out, []);
    slow.run_until(1000);
    slow.respond(id, SUBSCRIBE);
    assert_eq!(slow.out.len(), 1);
    assert_eq!(slow.receive(SUBSCRIBE), None);
    assert_eq!(slow.out.len(), 2);
    assert_eq!(slow.out[0], slow.out[1]);
}

#[test]
fn txn_14_no_provisional_response_leaves_while_the_answer_takes_three_seconds() {
    let mut slow = Slow::new();
    let id = slow.receive(SUBSCRIBE).unwrap();
    for ms in [500, 1500, 3000, 3400] {
        slow.run_until(ms);
        slow.receive(SUBSCRIBE);
    }
    assert_eq!(slow.out, []);
    slow.respond(id, SUBSCRIBE);
    assert_eq!(slow.out.len(), 1);
}

#[test]
fn txn_16_an_answer_that_took_32_seconds_is_not_sent() {
    for (after, sent) in [(31_999, 1), (32_000, 0), (40_000, 0)] {
        let mut slow = Slow::new();
        let id = slow.receive(SUBSCRIBE).unwrap();
        slow.run_until(after);
        slow.respond(id, SUBSCRIBE);
        assert_eq!(slow.out.len(), sent, "after {after} ms");
        slow.run_until(200_000);
        assert_eq!((slow.out.len(), slow.endpoint.sizes()), (sent, (0, 0, 0)));
    }
}

#[test]
fn txn_16_a_late_answer_does_not_reach_the_next_request() {
    let mut slow = Slow::new();
    let late = slow.receive(SUBSCRIBE).unwrap();
    slow.run_until(32_000);
    let next = SUBSCRIBE.replace("z9hG4bKa1", "z9hG4bKa2");
    let id = slow.receive(&next).unwrap();
    slow.respond(late, SUBSCRIBE);
    assert_eq!(slow.out, []);
    slow.respond(id, &next);
    assert_eq!(slow.out.len(), 1);
}

#[test]
fn sec_13_the_table_of_answered_requests_is_bounded_and_forgets_the_oldest() {
    const MOST: usize = 16_384;
    let mut slow = Slow::new();
    let request = |n: usize| OPTIONS.replace("z9hG4bKo1", &format!("z9hG4bK{n}")).replace("op-1", &n.to_string());
    let mut first = Vec::new();
    for n in 0..=MOST {
        slow.receive(&request(n));
        if n < 2 {
            first.append(&mut slow.out);
        }
        slow.out.clear();
    }
    assert_eq!(slow.endpoint.sizes(), (0, MOST, 0));
    slow.receive(&request(1));
    assert_eq!(slow.out[0], first[1], "still known");
    slow.receive(&request(0));
    assert_ne!(slow.out[1], first[0], "forgotten, and new");
    slow.run_until(32_000);
    for _ in 0..MOST / 1024 {
        slow.run_until(32_000);
    }
    assert_eq!(slow.endpoint.sizes(), (0, 0, 0));
}

/// A request came by a connection that was closed before its answer; `sent_by` stands in its Via.
fn hung_up(sent_by: &str) -> Slow {
    let mut slow = Slow::new();
    let (conn, now) = (ConnId::accepted(1), slow.now());
    let text = wire(&SUBSCRIBE.replace("SIP/2.0/UDP 192.0.2.10:5060", &format!("SIP/2.0/TCP {sent_by}")));
    let flow =
        Flow { transport: Transport::Tcp, local: address(BOB), remote: address("192.0.2.10:40000"), conn: Some(conn) };
    slow.endpoint.stream_opened(flow, now, &mut slow.out);
    slow.endpoint.stream_data(conn, text.as_bytes(), now);
    let frame = slow.endpoint.next_frame(conn, now, &mut slow.out).unwrap();
    let Some(Event::Request { id, .. }) = slow.endpoint.frame(conn, &frame, now, &mut slow.out) else { panic!() };
    slow.endpoint.stream_closed(conn, now, &mut slow.out);
    let request = decode(text.as_bytes(), Framing::Stream).unwrap();
    slow.endpoint.respond_with(id, flow, &request, 200, now, &mut slow.out, |_| {});
    slow
}

impl Slow {
    /// Takes the connection that is being opened.
    fn opening(&mut self) -> (ConnId, SocketAddr) {
        let [Effect::Open { conn, remote, .. }] = self.out[..] else { panic!("{:?}", self.out) };
        self.out.clear();
        (conn, remote)
    }

    fn refused(&mut self, conn: ConnId) {
        let now = self.now();
        self.endpoint.stream_closed(conn, now, &mut self.out);
    }

    /// The connection stands, and the answer goes by it.
    fn answered_by(&mut self, conn: ConnId, remote: SocketAddr) {
        let now = self.now();
        let flow = Flow { transport: Transport::Tcp, local: address(BOB), remote, conn: Some(conn) };
        self.endpoint.stream_opened(flow, now, &mut self.out);
        let [Effect::Write { conn: by, packet }] = &self.out[..] else { panic!("{:?}", self.out) };
        assert!(*by == conn && packet.head.starts_with(b"SIP/2.0 200 OK\r\n"));
        self.out.clear();
        self.run_until(400_000);
        self.run_until(800_000);
        assert_eq!(self.endpoint.sizes(), (0, 0, 0), "nothing stays");
    }

    /// Answers the one look-up.
    fn resolved(&mut self, expected: &Question, answer: Result<Answer, String>) {
        let (query, now) = match &self.out[..] {
            [Effect::Resolve { query, question }] if question == expected => (*query, self.now()),
            other => panic!("{other:?}"),
        };
        self.out.clear();
        assert_eq!(self.endpoint.resolved(query, answer, now, &mut self.out), None);
    }
}

#[test]
fn trn_08_and_res_11_an_answer_whose_connection_is_gone_opens_one_to_the_port_of_the_via() {
    for (sent_by, to) in [("192.0.2.10:5099", "192.0.2.10:5099"), ("laptop.example.com", "192.0.2.10:5060")] {
        let mut slow = hung_up(sent_by);
        let (conn, remote) = slow.opening();
        assert_eq!(remote, address(to));
        slow.answered_by(conn, remote);
    }
}

#[test]
fn res_11_if_that_fails_the_place_that_the_via_names_is_tried() {
    let mut slow = hung_up("192.0.2.77:5099");
    let (conn, _) = slow.opening();
    slow.refused(conn);
    let (conn, remote) = slow.opening();
    assert_eq!(remote, address("192.0.2.77:5099"));
    slow.answered_by(conn, remote);
}

#[test]
fn res_11_a_name_without_a_port_is_looked_up_as_a_service_and_one_with_a_port_as_a_host() {
    let mut slow = hung_up("pres.example.com");
    let (conn, _) = slow.opening();
    slow.refused(conn);
    let srv = Srv { priority: 0, weight: 0, port: 5080, target: "a.example.com".into() };
    slow.resolved(&Question::Srv { name: "_sip._tcp.pres.example.com".into() }, Ok(Answer::Srv(vec![srv])));
    let host = Question::Addresses { host: "a.example.com".into(), port: 5080 };
    slow.resolved(&host, Ok(Answer::Addresses(vec![address("192.0.2.80:5080")])));
    let (conn, remote) = slow.opening();
    assert_eq!(remote, address("192.0.2.80:5080"));
    slow.answered_by(conn, remote);

    let mut slow = hung_up("pres.example.com:5099");
    let (conn, _) = slow.opening();
    slow.refused(conn);
    let host = Question::Addresses { host: "pres.example.com".into(), port: 5099 };
    slow.resolved(&host, Err("it has none".into()));
    assert_eq!(slow.out, [], "there is no way left");
}
