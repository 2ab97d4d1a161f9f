//! Server transactions whose user takes its time, and how many are kept (RFC 3261 §17.2, RFC 4320).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use rand::{SeedableRng, rngs::StdRng};
use sippresence::sip::{
    codec::{Framing, decode},
    effect::Effect,
    endpoint::{Endpoint, EndpointConfig, Event, ServerId},
    locate::TRANSPORTS,
    time::Instant,
    transaction::Timing,
    transport::{Flow, Transport},
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
            transports: TRANSPORTS,
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
    const MOST: usize = 65_536;
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
