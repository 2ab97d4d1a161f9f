//! Ways that a request with credentials takes: names that are looked up, connections, what is too large for a datagram.

use std::{net::SocketAddr, time::Duration};

use rand::SeedableRng as _;
use sippresence::{
    presence::core::{Core, Input, Outbox, Subscribing},
    sip::{
        auth::{Credentials, Secret},
        effect::Effect,
        locate::{Answer, Question},
        transport::{ConnId, Flow, Transport},
    },
};

use crate::{
    CHALLENGE, PASSWORD, last, params,
    world::{ALICE, BOB, Msg, config, credentials, moment},
};

struct Wire {
    core: Core,
    out: Outbox,
}

impl Wire {
    fn new(server: &str) -> Self {
        let mut config = config("alice", ALICE);
        config.credentials = Some(Credentials { servers: vec![server.into()], ..credentials() });
        let core = Core::new(config, rand::rngs::StdRng::seed_from_u64(3), moment(Duration::ZERO)).unwrap();
        Self { core, out: Outbox::default() }
    }

    fn watch(&mut self, target: &str) -> sippresence::presence::core::WatchId {
        let uri = target.parse().unwrap();
        self.core.watch(uri, target, Subscribing::Lasting, moment(Duration::ZERO), &mut self.out)
    }

    /// Hands an input in, and a password where one is wanted; returns the other effects.
    fn input(&mut self, input: Input<'_>) -> Vec<Effect> {
        self.core.handle(input, moment(Duration::ZERO), &mut self.out);
        let mut effects = std::mem::take(&mut self.out.effects);
        if let Some(at) = effects.iter().position(|effect| matches!(effect, Effect::AskSecret { .. }))
            && let Effect::AskSecret { account } = effects.remove(at)
        {
            effects.append(&mut self.input(Input::Secret { account, answer: Ok(Secret::new(PASSWORD)) }));
        }
        effects
    }

    fn resolved(&mut self, address: &str) -> Vec<Effect> {
        let mut effects = std::mem::take(&mut self.out.effects);
        // The domain has neither NAPTR nor SRV.
        while let [Effect::Resolve { .. }, ..] = effects[..] {
            let Effect::Resolve { query, question } = effects.remove(0) else { panic!("{effects:?}") };
            let answer = Ok(match question {
                Question::Naptr { .. } => Answer::Naptr(Vec::new()),
                Question::Srv { .. } => Answer::Srv(Vec::new()),
                Question::Addresses { port, .. } => {
                    Answer::Addresses(vec![SocketAddr::new(address.parse().unwrap(), port)])
                }
            });
            effects.append(&mut self.input(Input::Resolved { query, answer }));
        }
        effects
    }

    fn answer(&mut self, request: &Msg, status: &str, lines: &str) -> Vec<Effect> {
        let text = request.response(status, lines).replace('\n', "\r\n");
        let local = ALICE.parse().unwrap();
        self.input(Input::Datagram { local, remote: request.to, bytes: text.as_bytes() })
    }
}

/// The one message that is sent.
fn sent(effects: &[Effect]) -> Msg {
    let (packet, to) = match effects {
        [Effect::Send { packet, remote, .. }] => (packet, *remote),
        [Effect::Write { packet, .. }] => (packet, BOB.parse().unwrap()),
        other => panic!("{other:?}"),
    };
    Msg { text: String::from_utf8(packet.to_vec()).unwrap(), to, at: Duration::ZERO }
}

#[test]
fn aut_12_our_domain_is_known_by_the_address_that_its_name_led_to() {
    let mut wire = Wire::new("Example.com");
    wire.watch("sip:bob@example.COM");
    let first = sent(&wire.resolved("198.51.100.7"));
    let second = sent(&wire.answer(&first, "401 Unauthorized", CHALLENGE));
    assert_eq!(params(second.header("Authorization"))["uri"], "sip:bob@example.COM");
    // The same host by its address, as a Contact names it.
    wire.watch("sip:carol@198.51.100.7:5070");
    let first = sent(&std::mem::take(&mut wire.out.effects));
    assert!(sent(&wire.answer(&first, "401 Unauthorized", CHALLENGE)).get("Authorization").is_some());
    // Another name is another host, though it may say the same.
    let id = wire.watch("sip:mallory@example.net");
    let first = sent(&wire.resolved("198.51.100.66"));
    assert_eq!(wire.answer(&first, "401 Unauthorized", CHALLENGE), []);
    assert!(last(&wire.core.state(id).unwrap()).1.contains("198.51.100.66"));
}

#[test]
fn aut_02_what_went_by_a_connection_goes_again_by_it() {
    let mut wire = Wire::new("192.0.2.20");
    wire.watch("sip:bob@192.0.2.20;transport=tcp");
    let effects = std::mem::take(&mut wire.out.effects);
    let [Effect::Open { conn, .. }] = effects[..] else { panic!("{effects:?}") };
    let flow = Flow {
        transport: Transport::Tcp,
        local: "192.0.2.10:40000".parse().unwrap(),
        remote: BOB.parse().unwrap(),
        conn: Some(conn),
    };
    let first = sent(&wire.input(Input::Opened(flow)));
    let text = first.response("401 Unauthorized", CHALLENGE).replace('\n', "\r\n");
    let second = sent(&wire.input(Input::Data { conn, bytes: text.as_bytes() }));
    assert_eq!((second.cseq(), second.header("Contact")), (2, "<sip:alice@192.0.2.10:5060;transport=tcp>"));
    assert!(second.get("Authorization").is_some());
    // What the connection carried is gone with it.
    assert_eq!(wire.core.sizes().0, 1);
    assert!(!conn.is_accepted() && conn != ConnId::opened(2));
}

#[test]
fn trn_03_credentials_count_for_the_size_of_a_datagram() {
    let mut wire = Wire::new("192.0.2.20");
    wire.watch("sip:bob@192.0.2.20");
    let first = sent(&std::mem::take(&mut wire.out.effects));
    let long = format!("WWW-Authenticate: Digest realm=\"a\", nonce=\"n\", opaque=\"{}\"\n", "o".repeat(900));
    assert!(first.text.len() < 1300);
    let effects = wire.answer(&first, "401 Unauthorized", &long);
    let [Effect::Open { conn, .. }] = effects[..] else { panic!("{effects:?}") };
    // The peer has no TCP: the same credentials by UDP after all, and again so at the next request.
    let second = sent(&wire.input(Input::Closed(conn)));
    assert!(second.text.len() > 1300 && second.header("Via").starts_with("SIP/2.0/UDP "));
    assert!(second.header("Authorization").contains("opaque=\"ooo"));
    assert_eq!(second.cseq(), 2);
}
