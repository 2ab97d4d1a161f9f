//! Taking back an answer that has not left: what it promised cannot be kept after all.

use super::Endpoint;
use crate::sip::{
    codec::{self, Framing, Head},
    header::Name,
    transport::{Packet, Transport},
};

/// The methods whose 2xx promises that something is kept.
const PROMISES: [&str; 3] = ["PUBLISH", "REGISTER", "SUBSCRIBE"];

impl<U: Copy> Endpoint<U> {
    /// Makes the 503 that goes in the place of an answer, now and to whoever asks again; none for what promised nothing.
    pub fn withdraw(&mut self, answer: &Packet, transport: Transport, retry_after: u32) -> Option<Packet> {
        let message = codec::decode(&answer.head, Framing::Datagram).ok()?;
        message.code().filter(|code| (200..300).contains(code))?;
        let method = message.cseq().ok()?.method;
        if !PROMISES.contains(&method) {
            return None;
        }
        let mut head = Head::status(503, codec::reason_phrase(503));
        for name in [Name::Via, Name::From, Name::To, Name::CallId, Name::CSeq] {
            for value in message.all(name) {
                head.bytes(name, value);
            }
        }
        head.number(Name::RetryAfter, retry_after);
        let packet = Packet { head: head.finish(0).ok()?, body: bytes::Bytes::new() };
        self.servers.answer_instead(&message, transport, method, &packet);
        Some(packet)
    }
}
