//! Bob, who registers by a stream, and the registrar that a test speaks for.

use sippresence::{
    presence::core::{Core, CoreConfig, Input, Link, Server},
    sip::{locate::Answer, transport::ConnId},
};

use crate::support::{BOB, Bench, Did, answer, config};

pub(crate) const SERVER: &str = "192.0.2.100:5060";
/// Bob's device, in whose name he registers.
pub(crate) const DEVICE: &str = "urn:uuid:0c9d6b1e-52f4-4f0c-8a37-6e1d2b7a9f10";

/// See the module's text.
pub(crate) struct Registrar {
    pub(crate) bench: Bench,
    /// The connection that bob opened last.
    pub(crate) conn: ConnId,
}

impl Registrar {
    /// Bob begins, by some transport.
    pub(crate) fn by(transport: &str) -> Self {
        Self::through(&format!("sip:{SERVER};transport={transport}"))
    }

    /// Bob begins, through some proxy.
    pub(crate) fn through(proxy: &str) -> Self {
        let proxy = proxy.parse().unwrap();
        let server = Server { register: true, ..Server::new(Some(proxy)) };
        let address = "sip:bob@example.com".parse().unwrap();
        let mut bench = Bench::with(CoreConfig { address, server: Some(server), ..config(BOB) });
        bench.act(Core::begin);
        Self { bench, conn: ConnId::opened(0) }
    }

    /// Bob begins, and his connection stands; his REGISTER is returned too.
    pub(crate) fn new() -> (Self, String) {
        let mut registrar = Self::by("tcp");
        let register = registrar.connected();
        (registrar, register)
    }

    /// Bob begins, and is registered for an hour; `agreed` stands for the `keep` of his Via, `extra` are whole lines.
    pub(crate) fn registered(agreed: &str, extra: &str) -> Self {
        let (mut registrar, register) = Self::new();
        registrar.accept(&register, agreed, extra);
        assert_eq!(registrar.registration().state, "standing");
        registrar
    }

    /// The connection that bob asked for now stands; what he says first by it is returned.
    pub(crate) fn connected(&mut self) -> String {
        let did = self.bench.did();
        let [(_, Did::Opening { conn, .. })] = did[..] else { panic!("no connection was asked for: {did:?}") };
        self.conn = conn;
        self.bench.connected(conn, SERVER);
        self.bench.only()
    }

    /// Answers the look-up that bob waits for with one address.
    pub(crate) fn found_at(&mut self, address: &str) {
        let did = self.bench.did();
        let [(_, Did::Asked { query, .. })] = did[..] else { panic!("no look-up: {did:?}") };
        let answer = Ok(Answer::Addresses(vec![address.parse().unwrap()]));
        self.bench.feed(Input::Resolved { query, answer });
    }

    /// Lets time pass until bob opens another connection, and has it stand; returns what he says first by it, and when.
    pub(crate) fn reconnected(&mut self, ms: u64) -> (String, u64) {
        self.bench.run_until_it_acts(ms);
        (self.connected(), self.bench.ms)
    }

    /// Lets time pass until bob refreshes his binding by the connection that he has, while the server answers every ping.
    pub(crate) fn refresh(&mut self, ms: u64) -> String {
        loop {
            match self.next_until(ms) {
                (_, Did::Wrote { text, .. }) if text == "\r\n\r\n" => self.pong(),
                (_, Did::Wrote { conn, text }) if conn == self.conn => {
                    assert!(text.starts_with("REGISTER "), "{text}");
                    return text;
                }
                other => panic!("{other:?}"),
            }
        }
    }

    /// Registers bob for an hour.
    pub(crate) fn accept(&mut self, register: &str, agreed: &str, extra: &str) {
        let extra = format!("Expires: 3600\r\n{extra}");
        self.bench.tcp(self.conn, &answer(register, "200 OK", &extra).replace(";keep", agreed));
    }

    /// Lets time pass up to `ms`, while the server answers every ping at once; returns when they came.
    pub(crate) fn pinged_until(&mut self, ms: u64) -> Vec<u64> {
        let mut pings = Vec::new();
        while self.bench.ms < ms {
            self.bench.run_until_it_acts(ms);
            for (at, did) in self.bench.did() {
                let Did::Wrote { conn, text } = &did else { panic!("at {at}: {did:?}") };
                assert_eq!((*conn, text.as_str()), (self.conn, "\r\n\r\n"), "at {at}");
                pings.push(at);
                self.pong();
            }
        }
        pings
    }

    /// Lets time pass until bob pings, at most up to `ms`; returns when.
    pub(crate) fn ping_until(&mut self, ms: u64) -> u64 {
        let did = self.next_until(ms);
        let (at, Did::Wrote { text, .. }) = &did else { panic!("{did:?}") };
        assert_eq!(text, "\r\n\r\n");
        *at
    }

    /// Lets time pass until bob does something, and that is one thing, at most up to `ms`.
    pub(crate) fn next_until(&mut self, ms: u64) -> (u64, Did) {
        self.bench.run_until_it_acts(ms);
        let mut did = self.bench.did();
        assert_eq!(did.len(), 1, "until {ms}: {did:?}");
        did.remove(0)
    }

    pub(crate) fn pong(&mut self) {
        self.bench.feed(Input::Data { conn: self.conn, bytes: b"\r\n" });
    }

    pub(crate) fn registration(&self) -> Link {
        self.bench.core.linked().registration.clone().unwrap()
    }
}
