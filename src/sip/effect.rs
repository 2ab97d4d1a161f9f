//! What the core wants done in the world: the only way in which it acts.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use super::{
    auth::AccountId,
    locate::{PeerIdentity, Question},
    transport::{ConnId, Packet, Transport},
};

/// Names one look-up, so that its answer finds whoever asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueryId(pub u64);

/// One thing for the driver to do; the order in which they stand matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Send one datagram from the socket bound to `local`.
    Send {
        /// The socket's own address.
        local: SocketAddr,
        /// Where to.
        remote: SocketAddr,
        /// What.
        packet: Packet,
    },
    /// Open a connection; `Opened` or `ConnectFailed` follows.
    Open {
        /// What later inputs call it.
        conn: ConnId,
        /// What to speak on it.
        transport: Transport,
        /// The address to come from; the port is the system's choice.
        local: IpAddr,
        /// Where to.
        remote: SocketAddr,
        /// Who has to prove that they are there; under TLS alone, and there always.
        peer: Option<Arc<PeerIdentity>>,
    },
    /// Write a message to an open connection.
    Write {
        /// The connection.
        conn: ConnId,
        /// What.
        packet: Packet,
    },
    /// Close a connection after what was written has left.
    Close {
        /// The connection.
        conn: ConnId,
    },
    /// Look something up; its answer follows, or the reason why there is none.
    Resolve {
        /// What the answer will bear.
        query: QueryId,
        /// What.
        question: Question,
    },
    /// Get the password of an account; [`Endpoint::secret`](super::endpoint::Endpoint::secret) takes it, late or never.
    AskSecret {
        /// Whose.
        account: AccountId,
    },
}
