//! Where a message came from and where it goes: transports, flows, connection ids, packets.

use std::{fmt, net::SocketAddr};

use bytes::Bytes;

/// A transport protocol as Via and the `transport` parameter name it (RFC 3261 §19.1.1, §20.42).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// Datagrams; the default for `sip:`.
    Udp,
    /// A clear-text stream.
    Tcp,
    /// A stream under TLS.
    Tls,
}

impl Transport {
    /// Reads a token as Via or a URI parameter carries it, ignoring case.
    pub fn from_token(token: &str) -> Option<Self> {
        [Self::Udp, Self::Tcp, Self::Tls].into_iter().find(|t| t.token().eq_ignore_ascii_case(token))
    }

    /// Returns the upper-case token for Via.
    pub const fn token(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
        }
    }

    /// Returns whether messages travel on connections rather than in datagrams.
    pub const fn is_stream(self) -> bool {
        !matches!(self, Self::Udp)
    }

    /// Returns the port that a URI or Via without one means.
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Tls => 5061,
            Self::Udp | Self::Tcp => 5060,
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.token())
    }
}

/// Names one stream connection. The core numbers those that it opens evenly, the driver those that it
/// accepts oddly, so that neither has to ask the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(u64);

impl ConnId {
    /// Makes the id of the `n`th connection that the core opened.
    pub const fn opened(n: u64) -> Self {
        Self(n << 1)
    }

    /// Makes the id of the `n`th connection that the driver accepted.
    pub const fn accepted(n: u64) -> Self {
        Self(n << 1 | 1)
    }

    /// Returns whether the other side opened the connection.
    pub const fn is_accepted(self) -> bool {
        self.0 & 1 == 1
    }
}

/// A path between us and a peer: our address, theirs, and the connection if there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flow {
    /// What carries the bytes.
    pub transport: Transport,
    /// Our own address; for UDP the socket that sends and receives.
    pub local: SocketAddr,
    /// The peer's address.
    pub remote: SocketAddr,
    /// The connection, on streams.
    pub conn: Option<ConnId>,
}

/// Why there is no connection under TLS where one was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsFailure {
    /// Whoever is there has not proved to be who was asked for; why, in words for people.
    Untrusted(String),
    /// There is no common ground: no TLS, or none that is good enough; what was said, in words for people.
    Refused(String),
}

/// A message ready for the wire: a head of its own and a body that many packets may share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Start line and headers, the empty line included.
    pub head: Bytes,
    /// The body, possibly empty.
    pub body: Bytes,
}

impl Packet {
    /// Returns the size on the wire in bytes.
    pub fn len(&self) -> usize {
        self.head.len() + self.body.len()
    }

    /// Returns whether nothing would be sent.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Copies head and body into one buffer.
    pub fn to_vec(&self) -> Vec<u8> {
        [&self.head[..], &self.body[..]].concat()
    }
}
