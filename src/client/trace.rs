//! What goes over the wire, for people who look for a fault: every message, its secrets hidden.
//!
//! The driver tells it to whoever listens, and makes nothing of it while nobody does. A reader that is slow loses the
//! oldest messages and is told how many.

use std::{collections::HashMap, fmt, net::SocketAddr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;

use crate::{
    presence::text::visible_lines,
    sip::{
        codec::{Frame, StreamDecoder},
        redact::redacted,
        transport::{ConnId, Packet, Transport},
    },
};

/// How many messages a reader may be behind.
pub(super) const BEHIND: usize = 256;

/// Which way a message went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// From us to a peer.
    Sent,
    /// From a peer to us.
    Received,
}

/// One message as it was on the wire, but for its secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TraceRecord {
    /// When.
    pub ts: Timestamp,
    /// Which way.
    pub direction: Direction,
    /// `udp` or `tcp`.
    pub transport: String,
    /// Our end.
    pub local: SocketAddr,
    /// The peer's end.
    pub remote: SocketAddr,
    /// The message; of a stream that brings none, the bytes that came.
    pub message: String,
}

/// What a trace tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum Traced {
    /// A message.
    Message(TraceRecord),
    /// So many messages were lost, because the reader is too slow.
    Lost {
        /// How many.
        lost: u64,
    },
}

/// The message for people: a line that says when, which way and between whom, then the message, then an empty line.
///
/// Controls other than line ends are written as escapes (SEC-07).
impl fmt::Display for Traced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TraceRecord { ts, direction, transport, local, remote, message } = match self {
            Self::Message(record) => record,
            Self::Lost { lost } => return writeln!(f, "{lost} messages are missing here: they came too fast"),
        };
        let transport = visible_lines(transport);
        match direction {
            Direction::Sent => writeln!(f, "{ts:.6} sent {transport} {local} > {remote}")?,
            Direction::Received => writeln!(f, "{ts:.6} received {transport} {remote} > {local}")?,
        }
        let message = visible_lines(message).replace('\t', "\\t");
        f.write_str(&message)?;
        if message.ends_with('\n') { Ok(()) } else { f.write_str("\n") }
    }
}

/// One reader of a client's messages.
#[derive(Debug)]
pub struct Trace {
    receiver: broadcast::Receiver<TraceRecord>,
}

impl Trace {
    pub(super) fn new(receiver: broadcast::Receiver<TraceRecord>) -> Self {
        Self { receiver }
    }

    /// Waits for the next message; none when the client is gone. Cancel-safe.
    pub async fn next(&mut self) -> Option<Traced> {
        match self.receiver.recv().await {
            Ok(record) => Some(Traced::Message(record)),
            Err(broadcast::error::RecvError::Lagged(lost)) => Some(Traced::Lost { lost }),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

/// The driver's side: who listens, and what the connections brought so far.
#[derive(Debug)]
pub(super) struct Tracer {
    readers: broadcast::Sender<TraceRecord>,
    /// Whether anybody listened when this turn of the loop began.
    listening: bool,
    streams: HashMap<ConnId, Stream>,
}

#[derive(Debug)]
struct Stream {
    transport: Transport,
    local: SocketAddr,
    remote: SocketAddr,
    /// What came while somebody listened.
    decoder: StreamDecoder,
}

impl Tracer {
    pub(super) fn new(readers: broadcast::Sender<TraceRecord>) -> Self {
        Self { readers, listening: false, streams: HashMap::new() }
    }

    /// Begins a turn: looks whether anybody listens.
    pub(super) fn turn(&mut self) {
        self.listening = self.readers.receiver_count() > 0;
    }

    /// Returns whether a reader should have its turn before more is told.
    pub(super) fn is_ahead(&self) -> bool {
        self.listening && self.readers.len() > BEHIND / 4
    }

    pub(super) fn opened(&mut self, conn: ConnId, transport: Transport, local: SocketAddr, remote: SocketAddr) {
        self.streams.insert(conn, Stream { transport, local, remote, decoder: StreamDecoder::default() });
    }

    pub(super) fn closed(&mut self, conn: ConnId) {
        self.streams.remove(&conn);
    }

    pub(super) fn datagram_sent(&self, local: SocketAddr, remote: SocketAddr, packet: &Packet) {
        if self.listening {
            self.tell(Direction::Sent, Transport::Udp, local, remote, &packet.to_vec());
        }
    }

    pub(super) fn datagram_received(&self, local: SocketAddr, remote: SocketAddr, bytes: &[u8]) {
        if self.listening {
            self.tell(Direction::Received, Transport::Udp, local, remote, bytes);
        }
    }

    pub(super) fn written(&self, conn: ConnId, packet: &Packet) {
        if self.listening
            && let Some(stream) = self.streams.get(&conn)
        {
            self.tell(Direction::Sent, stream.transport, stream.local, stream.remote, &packet.to_vec());
        }
    }

    /// Tells what a connection brought: message by message, or as it came where that cannot be made out, as in the
    /// middle of one.
    pub(super) fn read(&mut self, conn: ConnId, bytes: &[u8]) {
        let Some(stream) = self.streams.get_mut(&conn) else { return };
        if !self.listening {
            if stream.decoder.is_mid_message() {
                stream.decoder = StreamDecoder::default();
            }
            return;
        }
        stream.decoder.push(bytes);
        let (transport, local, remote) = (stream.transport, stream.local, stream.remote);
        let mut messages = Vec::new();
        while let Some(frame) = stream.decoder.next() {
            match frame {
                Frame::Message(message) => messages.push(message),
                Frame::Ping | Frame::Pong => {}
                Frame::Broken(..) => {
                    stream.decoder = StreamDecoder::default();
                    messages.push(bytes.to_vec().into());
                }
            }
        }
        for message in messages {
            self.tell(Direction::Received, transport, local, remote, &message);
        }
    }

    fn tell(&self, direction: Direction, transport: Transport, local: SocketAddr, remote: SocketAddr, bytes: &[u8]) {
        // Keep-alives are no messages.
        if bytes.iter().all(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
            return;
        }
        let transport = transport.token().to_ascii_lowercase();
        let message = redacted(bytes);
        let ts = Timestamp::now();
        // A reader that has gone in between misses nothing.
        let _ = self.readers.send(TraceRecord { ts, direction, transport, local, remote, message });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: &str = "192.0.2.10:5060";
    const BOB: &str = "192.0.2.20:40000";
    const MESSAGE: &[u8] = b"SIP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nab";

    fn tracer() -> (Tracer, broadcast::Receiver<TraceRecord>) {
        let (sender, receiver) = broadcast::channel(4);
        let mut tracer = Tracer::new(sender);
        tracer.turn();
        tracer.opened(ConnId::accepted(1), Transport::Tcp, ALICE.parse().unwrap(), BOB.parse().unwrap());
        (tracer, receiver)
    }

    fn told(receiver: &mut broadcast::Receiver<TraceRecord>) -> Vec<String> {
        std::iter::from_fn(|| receiver.try_recv().ok()).map(|record| record.message).collect()
    }

    #[test]
    fn messages_of_a_stream_are_told_whole_however_they_are_cut() {
        let (mut tracer, mut receiver) = tracer();
        let twice = [b"\r\n\r\n", MESSAGE, MESSAGE].concat();
        for part in twice.chunks(7) {
            tracer.read(ConnId::accepted(1), part);
        }
        let message = String::from_utf8_lossy(MESSAGE).into_owned();
        assert_eq!(told(&mut receiver), [message.clone(), message]);
    }

    #[test]
    fn what_is_no_message_is_told_as_it_came_and_the_next_one_whole() {
        let (mut tracer, mut receiver) = tracer();
        tracer.read(ConnId::accepted(1), b"GET / HTTP/1.0\r\nA: b\r\n\r\n");
        tracer.read(ConnId::accepted(1), MESSAGE);
        let told = told(&mut receiver);
        assert_eq!(told, ["GET / HTTP/1.0\r\nA: b\r\n\r\n", &String::from_utf8_lossy(MESSAGE)]);
    }

    #[test]
    fn nothing_is_made_of_what_nobody_listens_to() {
        let (sender, receiver) = broadcast::channel(4);
        drop(receiver);
        let mut tracer = Tracer::new(sender);
        tracer.turn();
        tracer.opened(ConnId::accepted(1), Transport::Tcp, ALICE.parse().unwrap(), BOB.parse().unwrap());
        tracer.read(ConnId::accepted(1), &MESSAGE[..10]);
        tracer.datagram_received(ALICE.parse().unwrap(), BOB.parse().unwrap(), MESSAGE);
        assert!(tracer.readers.is_empty() && tracer.streams[&ConnId::accepted(1)].decoder.buffered() == 0);
    }

    #[test]
    fn sec_07_a_message_is_shown_with_its_line_ends_and_no_other_controls() {
        let record = TraceRecord {
            ts: "2026-03-02T09:15:00.1234567Z".parse().unwrap(),
            direction: Direction::Received,
            transport: "udp".to_owned(),
            local: ALICE.parse().unwrap(),
            remote: BOB.parse().unwrap(),
            message: "OPTIONS sip:a@b SIP/2.0\r\nX: \u{1b}[2J\t\r\n\r\nb".to_owned(),
        };
        assert_eq!(
            Traced::Message(record.clone()).to_string(),
            "2026-03-02T09:15:00.123456Z received udp 192.0.2.20:40000 > 192.0.2.10:5060\n\
             OPTIONS sip:a@b SIP/2.0\r\nX: \\u001b[2J\\t\r\n\r\nb\n"
        );
        let json = serde_json::to_string(&Traced::Message(record.clone())).unwrap();
        assert!(json.contains(r#""direction":"received","transport":"udp","local":"192.0.2.10:5060""#), "{json}");
        assert_eq!(serde_json::from_str::<Traced>(&json).unwrap(), Traced::Message(record));
        assert_eq!(serde_json::from_str::<Traced>(r#"{"lost":3}"#).unwrap(), Traced::Lost { lost: 3 });
    }

    #[tokio::test]
    async fn a_slow_reader_loses_the_oldest_and_is_told_how_many() {
        let (mut tracer, receiver) = tracer();
        let mut trace = Trace::new(receiver);
        for _ in 0..7 {
            tracer.read(ConnId::accepted(1), MESSAGE);
        }
        assert_eq!(trace.next().await, Some(Traced::Lost { lost: 3 }));
        assert!(matches!(trace.next().await, Some(Traced::Message(_))));
        drop(tracer);
        for _ in 0..3 {
            trace.next().await.unwrap();
        }
        assert_eq!(trace.next().await, None);
    }
}
