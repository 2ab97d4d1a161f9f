//! Stream connections: a task each, a bounded queue towards the peer, one bounded channel of events from all.
//!
//! A peer that does not read costs its own queue and its own write limit, nothing of anybody else's (TRN-29).
//! A reader that is slow to take events makes the peers wait: nothing is buffered without a bound. Framing,
//! keep-alive and the choice of which connection to use belong to the core; TLS wraps the stream beneath.

use std::{
    io::{self, ErrorKind, IoSlice},
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use bytes::{Buf, Bytes, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    sync::mpsc,
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::tls::{Fingerprint, Proved, Tls, Trust, refusal};
use crate::sip::{
    locate::PeerIdentity,
    transport::{ConnId, Packet, TlsFailure, Transport},
};

/// How many packets may wait for one peer.
pub const QUEUE: usize = 64;

/// How long a peer may leave us without taking a single byte.
pub const WRITE_LIMIT: Duration = Duration::from_secs(10);

/// How long a connection may take to open; then UDP has its turn (TRN-03).
pub const CONNECT_LIMIT: Duration = Duration::from_secs(4);

/// How long we wait for the peer's end after ours.
const LINGER: Duration = Duration::from_secs(1);

/// How long the listener rests when the process has no descriptor left.
const REST: Duration = Duration::from_millis(100);

/// How much one read takes at most.
const READ: usize = 16 * 1024;

/// The most packets that one write joins.
const JOIN: usize = 16;

/// What a connection tells; `Opened`, perhaps `Proved`, then any number of `Data`, then one `Closed` or
/// `TlsFailed`; or one `ConnectFailed` or `TlsFailed`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamEvent {
    /// The connection stands.
    Opened {
        /// Which one.
        conn: ConnId,
        /// What is spoken on it.
        transport: Transport,
        /// Our end.
        local: SocketAddr,
        /// The peer's end.
        remote: SocketAddr,
        /// Whether the peer opened it.
        accepted: bool,
        /// The peer and its key, where that is believed because it is the first one seen.
        first_key: Option<(Arc<PeerIdentity>, Fingerprint)>,
    },
    /// Whoever opened the connection has proved something by a certificate; right after `Opened`.
    Proved {
        /// On which connection.
        conn: ConnId,
        /// What.
        proved: Proved,
    },
    /// Bytes came, cut anywhere.
    Data {
        /// On which connection.
        conn: ConnId,
        /// The bytes, at least one.
        bytes: Bytes,
    },
    /// The connection is gone; nothing more comes of it.
    Closed {
        /// Which one.
        conn: ConnId,
        /// What ended it; `None` if either side closed it in order. `QuotaExceeded`: the queue overflowed.
        error: Option<ErrorKind>,
    },
    /// The connection could not be opened.
    ConnectFailed {
        /// Which one.
        conn: ConnId,
        /// Where it should have led.
        remote: SocketAddr,
        /// Why not; `TimedOut` after [`CONNECT_LIMIT`].
        error: ErrorKind,
    },
    /// A connection could be opened, and there is no TLS on it, or not with whom was asked for, or we are refused.
    TlsFailed {
        /// Which one.
        conn: ConnId,
        /// Why.
        error: TlsFailure,
    },
}

/// The peer's queue is full; its connection is being dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the peer does not read: {QUEUE} messages wait for it, so its connection is dropped")]
pub struct Full;

/// Our end of one connection. Dropping it closes the connection as [`close`](Self::close) does.
#[derive(Debug)]
pub struct ConnHandle {
    packets: mpsc::Sender<Packet>,
    overflow: mpsc::Sender<()>,
    task: JoinHandle<()>,
}

impl ConnHandle {
    /// Puts a packet in the peer's queue; never waits.
    ///
    /// When [`QUEUE`] packets wait already the connection is dropped, and `Closed` says so. A connection that
    /// is gone takes packets and loses them: its `Closed` is on its way.
    pub fn send(&self, packet: Packet) -> Result<(), Full> {
        match self.packets.try_send(packet) {
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => Ok(()),
            Err(mpsc::error::TrySendError::Full(_)) => {
                // One slot, and a second overflow says nothing new.
                let _ = self.overflow.try_send(());
                Err(Full)
            }
        }
    }

    /// Closes the connection once what waits is written; `Closed` follows.
    pub fn close(self) {}

    /// Ends the connection at once; what waits is not written, and nothing follows.
    pub async fn abort(self) {
        self.task.abort();
        // That it was cut off, or had ended, is what was wanted.
        let _ = self.task.await;
    }
}

/// A TCP listener on one local address.
#[derive(Debug)]
pub struct TcpListener {
    inner: tokio::net::TcpListener,
    local: SocketAddr,
}

impl TcpListener {
    /// Listens on `addr`, which must not be a wildcard; port 0 lets the kernel choose.
    pub fn bind(addr: SocketAddr) -> io::Result<Self> {
        if addr.ip().is_unspecified() {
            return Err(io::Error::new(
                ErrorKind::InvalidInput,
                format!("{addr} is a wildcard: bind each address of this machine by itself"),
            ));
        }
        let socket = if addr.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        // A restart must not wait for connections of the last run that linger.
        socket.set_reuseaddr(true)?;
        socket.bind(addr)?;
        let inner = socket.listen(1024)?;
        Ok(Self { local: inner.local_addr()?, inner })
    }

    /// Returns the address that we listen on.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Waits for a peer; cancel-safe.
    ///
    /// Peers that went away again are passed over; without descriptors it rests and tries again.
    pub async fn accept(&self) -> (TcpStream, SocketAddr) {
        loop {
            match self.inner.accept().await {
                Ok(accepted) => return accepted,
                Err(error) if is_of_the_peer(&error) => {}
                Err(error) => {
                    tracing::warn!(local = %self.local, %error, "cannot accept a connection");
                    sleep(REST).await;
                }
            }
        }
    }
}

/// Takes care of a connection that a peer opened, in a task of its own.
pub fn spawn_connection(stream: TcpStream, conn: ConnId, events: mpsc::Sender<StreamEvent>) -> ConnHandle {
    let (packets, overflow, queue) = channels();
    let task = tokio::spawn(async move {
        // A peer that is gone before its task ran has no address left, and nobody heard of it.
        if let Ok((local, remote)) = ends(&stream)
            && events.send(stands(conn, Transport::Tcp, (local, remote), None)).await.is_ok()
        {
            let error = carry(stream, conn, queue, &events).await.err().map(|error| error.kind());
            let _ = events.send(StreamEvent::Closed { conn, error }).await;
        }
    });
    ConnHandle { packets, overflow, task }
}

/// The same under TLS; of a peer that does not get that far nothing is told.
pub fn spawn_tls_connection(
    stream: TcpStream,
    conn: ConnId,
    tls: Arc<Tls>,
    events: mpsc::Sender<StreamEvent>,
) -> ConnHandle {
    let (packets, overflow, queue) = channels();
    let task = tokio::spawn(async move {
        let Ok(ends) = ends(&stream) else { return };
        match tls.accept(stream).await {
            Ok((stream, proved)) => {
                if events.send(stands(conn, Transport::Tls, ends, None)).await.is_ok() {
                    if let Some(proved) = proved {
                        // Nobody left to hear it hears of no data either.
                        let _ = events.send(StreamEvent::Proved { conn, proved }).await;
                    }
                    let error = carry(stream, conn, queue, &events).await.err().map(|error| error.kind());
                    let _ = events.send(StreamEvent::Closed { conn, error }).await;
                }
            }
            Err(error) => {
                tracing::debug!(remote = %ends.1, %error, "no TLS with a peer");
                let _ = events.send(StreamEvent::Closed { conn, error: Some(error.kind()) }).await;
            }
        }
    });
    ConnHandle { packets, overflow, task }
}

/// Opens a connection to `remote` from `local_ip`, or from where the system chooses, in a task of its own.
///
/// Packets may be queued at once and leave when it stands.
pub fn connect(
    local_ip: Option<IpAddr>,
    remote: SocketAddr,
    conn: ConnId,
    events: mpsc::Sender<StreamEvent>,
) -> ConnHandle {
    let (packets, overflow, mut queue) = channels();
    let task = tokio::spawn(async move {
        let opened = tokio::select! {
            opened = timeout(CONNECT_LIMIT, open(local_ip, remote)) => opened.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into())),
            error = overflowed(&mut queue.overflow) => Err(error.into()),
        };
        match opened.and_then(|stream| ends(&stream).map(|ends| (stream, ends))) {
            Ok((stream, (local, remote))) => {
                if events.send(stands(conn, Transport::Tcp, (local, remote), None)).await.is_ok() {
                    let error = carry(stream, conn, queue, &events).await.err().map(|error| error.kind());
                    let _ = events.send(StreamEvent::Closed { conn, error }).await;
                }
            }
            Err(error) => {
                let _ = events.send(StreamEvent::ConnectFailed { conn, remote, error: error.kind() }).await;
            }
        }
    });
    ConnHandle { packets, overflow, task }
}

/// Opens a connection under TLS, at whose end `peer` has to be.
pub fn connect_tls(
    local_ip: Option<IpAddr>,
    remote: SocketAddr,
    conn: ConnId,
    (tls, peer, trust): (Arc<Tls>, Arc<PeerIdentity>, Trust),
    events: mpsc::Sender<StreamEvent>,
) -> ConnHandle {
    let (packets, overflow, queue) = channels();
    let task = tokio::spawn(async move {
        let opening = timeout(CONNECT_LIMIT, open(local_ip, remote)).await;
        let stream = opening.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()));
        let (stream, ends) = match stream.and_then(|stream| ends(&stream).map(|ends| (stream, ends))) {
            Ok(found) => found,
            Err(error) => {
                let _ = events.send(StreamEvent::ConnectFailed { conn, remote, error: error.kind() }).await;
                return;
            }
        };
        match tls.connect(stream, &peer, trust, remote).await {
            Ok((stream, first_key)) => {
                let first_key = first_key.map(|key| (peer, key));
                if events.send(stands(conn, Transport::Tls, ends, first_key)).await.is_ok() {
                    let error = carry(stream, conn, queue, &events).await.err();
                    // Whom we are not good enough says so only now.
                    let refused = error.as_ref().and_then(|error| refusal(error, remote));
                    let _ = events
                        .send(match refused {
                            Some(error) => StreamEvent::TlsFailed { conn, error },
                            None => StreamEvent::Closed { conn, error: error.map(|error| error.kind()) },
                        })
                        .await;
                }
            }
            Err(error) => {
                let _ = events.send(StreamEvent::TlsFailed { conn, error }).await;
            }
        }
    });
    ConnHandle { packets, overflow, task }
}

fn stands(
    conn: ConnId,
    transport: Transport,
    (local, remote): (SocketAddr, SocketAddr),
    first_key: Option<(Arc<PeerIdentity>, Fingerprint)>,
) -> StreamEvent {
    StreamEvent::Opened { conn, transport, local, remote, accepted: conn.is_accepted(), first_key }
}

struct Queue {
    packets: mpsc::Receiver<Packet>,
    overflow: mpsc::Receiver<()>,
}

/// Waits until the queue overflows; for ever once the handle is gone.
async fn overflowed(overflow: &mut mpsc::Receiver<()>) -> ErrorKind {
    match overflow.recv().await {
        Some(()) => ErrorKind::QuotaExceeded,
        None => std::future::pending().await,
    }
}

fn channels() -> (mpsc::Sender<Packet>, mpsc::Sender<()>, Queue) {
    let (packets, waiting) = mpsc::channel(QUEUE);
    let (overflow, overflowed) = mpsc::channel(1);
    (packets, overflow, Queue { packets: waiting, overflow: overflowed })
}

fn ends(stream: &TcpStream) -> io::Result<(SocketAddr, SocketAddr)> {
    stream.set_nodelay(true)?;
    Ok((stream.local_addr()?, stream.peer_addr()?))
}

async fn open(local_ip: Option<IpAddr>, remote: SocketAddr) -> io::Result<TcpStream> {
    let socket = if remote.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(ip) = local_ip {
        socket.bind(SocketAddr::new(ip, 0))?;
    }
    socket.connect(remote).await
}

/// Moves bytes both ways until either side ends.
async fn carry<S: AsyncRead + AsyncWrite>(
    stream: S,
    conn: ConnId,
    queue: Queue,
    events: &mpsc::Sender<StreamEvent>,
) -> io::Result<()> {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let Queue { packets, mut overflow } = queue;
    let mut outgoing = Outgoing { packets, parts: Vec::new() };
    let closed_by_us = tokio::select! {
        read = read(&mut reader, conn, events) => {
            read?;
            false
        }
        written = outgoing.write(&mut writer) => {
            written?;
            true
        }
        error = overflowed(&mut overflow) => return Err(error.into()),
    };
    if closed_by_us {
        // A socket that is dropped with bytes unread resets the connection, and the peer may lose our last words.
        let _ = timeout(LINGER, drain(&mut reader)).await;
    } else {
        // The peer may have closed only its own direction, and wait for the answers that are queued.
        outgoing.packets.close();
        within(WRITE_LIMIT, outgoing.write(&mut writer)).await?;
    }
    Ok(())
}

/// Hands on what comes until the peer ends; waits while the events' taker is behind.
async fn read(
    reader: &mut (impl AsyncRead + Unpin),
    conn: ConnId,
    events: &mpsc::Sender<StreamEvent>,
) -> io::Result<()> {
    let mut buffer = BytesMut::new();
    loop {
        buffer.reserve(READ);
        // `reserve` may find much more room than it was asked for; one peer's turn stays short all the same.
        if (&mut *reader).take(READ as u64).read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
        if events.send(StreamEvent::Data { conn, bytes: buffer.split().freeze() }).await.is_err() {
            return Ok(());
        }
    }
}

/// What goes out: the queue, and what was taken from it but not by the peer.
struct Outgoing {
    packets: mpsc::Receiver<Packet>,
    parts: Vec<Bytes>,
}

impl Outgoing {
    /// Writes the queue until its handle is gone and it is empty, then ends our direction; cancel-safe.
    async fn write(&mut self, writer: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        let mut waiting = Vec::with_capacity(JOIN);
        loop {
            while !self.parts.is_empty() {
                let slices: Vec<_> = self.parts.iter().map(|part| IoSlice::new(part)).collect();
                let written = within(WRITE_LIMIT, writer.write_vectored(&slices)).await?;
                if written == 0 {
                    return Err(ErrorKind::WriteZero.into());
                }
                self.advance(written);
            }
            within(WRITE_LIMIT, writer.flush()).await?;
            if self.packets.recv_many(&mut waiting, JOIN).await == 0 {
                return within(WRITE_LIMIT, writer.shutdown()).await;
            }
            let parts = waiting.drain(..).flat_map(|packet| [packet.head, packet.body]);
            self.parts.extend(parts.filter(|part| !part.is_empty()));
        }
    }

    /// Drops the first `written` bytes.
    fn advance(&mut self, mut written: usize) {
        let mut whole = 0;
        for part in &mut self.parts {
            if written < part.len() {
                part.advance(written);
                break;
            }
            written -= part.len();
            whole += 1;
        }
        self.parts.drain(..whole);
    }
}

async fn within<T>(limit: Duration, io: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(limit, io).await.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()))
}

async fn drain(reader: &mut (impl AsyncRead + Unpin)) -> io::Result<()> {
    let mut waste = [0; 1024];
    while reader.read(&mut waste).await? > 0 {}
    Ok(())
}

/// Says whether accepting failed because that one peer went away or its network did (accept(2)).
fn is_of_the_peer(error: &io::Error) -> bool {
    use ErrorKind::{
        ConnectionAborted, ConnectionReset, HostUnreachable, Interrupted, NetworkDown, NetworkUnreachable,
        PermissionDenied, TimedOut,
    };
    matches!(
        error.kind(),
        ConnectionAborted
            | ConnectionReset
            | HostUnreachable
            | Interrupted
            | NetworkDown
            | NetworkUnreachable
            | PermissionDenied
            | TimedOut
    )
}

#[cfg(test)]
mod tests {
    use tokio::io::DuplexStream;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);
    const CONN: ConnId = ConnId::opened(1);

    fn packet(head: &str, body: &str) -> Packet {
        Packet { head: Bytes::copy_from_slice(head.as_bytes()), body: Bytes::copy_from_slice(body.as_bytes()) }
    }

    fn loopback() -> TcpListener {
        TcpListener::bind("127.0.0.1:0".parse().unwrap()).unwrap()
    }

    async fn next(events: &mut mpsc::Receiver<StreamEvent>) -> StreamEvent {
        timeout(PATIENCE, events.recv()).await.expect("no event came").expect("all connections are gone")
    }

    /// A connection over a pipe of `size` bytes, with the peer's end of it.
    fn piped(size: usize) -> (ConnHandle, DuplexStream, mpsc::Receiver<StreamEvent>) {
        let (ours, theirs) = tokio::io::duplex(size);
        let ((packets, overflow, queue), (events, taken)) = (channels(), mpsc::channel(4));
        let task = tokio::spawn(async move {
            let error = carry(ours, CONN, queue, &events).await.err().map(|error| error.kind());
            let _ = events.send(StreamEvent::Closed { conn: CONN, error }).await;
        });
        (ConnHandle { packets, overflow, task }, theirs, taken)
    }

    #[tokio::test]
    async fn both_ends_open_talk_and_close() {
        let listener = loopback();
        let (events, mut ours) = mpsc::channel(16);
        let handle = connect(None, listener.local_addr(), CONN, events);
        let (stream, from) = listener.accept().await;
        let (events, mut theirs) = mpsc::channel(16);
        let other = ConnId::accepted(1);
        let peer = spawn_connection(stream, other, events);

        assert_eq!(next(&mut ours).await, stands(CONN, Transport::Tcp, (from, listener.local_addr()), None));
        assert_eq!(next(&mut theirs).await, stands(other, Transport::Tcp, (listener.local_addr(), from), None));

        handle.send(packet("head", "body")).unwrap();
        let mut got = Vec::new();
        while got.len() < 8 {
            let StreamEvent::Data { bytes, .. } = next(&mut theirs).await else { panic!("the peer closed") };
            got.extend_from_slice(&bytes);
        }
        assert_eq!(got, b"headbody");

        handle.close();
        assert_eq!(next(&mut theirs).await, StreamEvent::Closed { conn: other, error: None });
        assert_eq!(next(&mut ours).await, StreamEvent::Closed { conn: CONN, error: None });
        peer.send(packet("too late", "")).unwrap();
    }

    #[tokio::test]
    async fn packets_queued_before_the_connection_stands_are_sent_and_close_lets_them_out() {
        let listener = loopback();
        let (events, _ours) = mpsc::channel(16);
        let handle = connect(Some("127.0.0.1".parse().unwrap()), listener.local_addr(), CONN, events);
        for n in 0..QUEUE {
            handle.send(packet(&format!("{n};"), "")).unwrap();
        }
        handle.close();
        let (mut stream, _) = listener.accept().await;
        let mut got = String::new();
        timeout(PATIENCE, stream.read_to_string(&mut got)).await.unwrap().unwrap();
        assert_eq!(got, (0..QUEUE).map(|n| format!("{n};")).collect::<Vec<_>>().concat());
    }

    #[tokio::test]
    async fn a_refused_connection_is_reported_with_its_target() {
        // On an IP of its own, so that no other test gets the port.
        let gone = TcpListener::bind("127.0.0.77:0".parse().unwrap()).unwrap().local_addr();
        let (events, mut ours) = mpsc::channel(16);
        let _handle = connect(None, gone, CONN, events);
        let failed = StreamEvent::ConnectFailed { conn: CONN, remote: gone, error: ErrorKind::ConnectionRefused };
        assert_eq!(next(&mut ours).await, failed);
    }

    #[tokio::test]
    async fn a_reset_is_reported_as_its_error() {
        let listener = loopback();
        let (events, mut ours) = mpsc::channel(16);
        let _handle = connect(None, listener.local_addr(), CONN, events);
        let (stream, _) = listener.accept().await;
        assert!(matches!(next(&mut ours).await, StreamEvent::Opened { .. }));
        stream.set_zero_linger().unwrap();
        drop(stream);
        assert_eq!(next(&mut ours).await, StreamEvent::Closed { conn: CONN, error: Some(ErrorKind::ConnectionReset) });
    }

    #[tokio::test]
    async fn a_peer_that_ends_its_own_direction_still_gets_what_is_queued() {
        let (handle, mut peer, mut events) = piped(4);
        for _ in 0..8 {
            handle.send(packet("12345678", "")).unwrap();
        }
        peer.shutdown().await.unwrap();
        let mut got = Vec::new();
        timeout(PATIENCE, peer.read_to_end(&mut got)).await.unwrap().unwrap();
        assert_eq!(got.len(), 64);
        assert_eq!(next(&mut events).await, StreamEvent::Closed { conn: CONN, error: None });
    }

    #[tokio::test]
    async fn trn_29_a_full_queue_drops_the_connection_and_says_so() {
        let (handle, _peer, mut events) = piped(1);
        let mut taken = 0;
        while handle.send(packet("0123456789", "")).is_ok() {
            taken += 1;
            tokio::task::yield_now().await;
            assert!(taken <= QUEUE + JOIN, "the queue has no bound");
        }
        assert_eq!(handle.send(packet("x", "")), Err(Full));
        assert_eq!(next(&mut events).await, StreamEvent::Closed { conn: CONN, error: Some(ErrorKind::QuotaExceeded) });
        assert_eq!(handle.send(packet("x", "")), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn trn_29_a_peer_that_takes_nothing_is_dropped_at_the_write_limit() {
        let (handle, _peer, mut events) = piped(4);
        handle.send(packet("01234567", "")).unwrap();
        let started = tokio::time::Instant::now();
        assert_eq!(next(&mut events).await, StreamEvent::Closed { conn: CONN, error: Some(ErrorKind::TimedOut) });
        assert!(started.elapsed() >= WRITE_LIMIT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_never_ends_is_not_waited_for() {
        let (handle, _peer, mut events) = piped(64);
        handle.close();
        let started = tokio::time::Instant::now();
        assert_eq!(next(&mut events).await, StreamEvent::Closed { conn: CONN, error: None });
        assert!(started.elapsed() <= LINGER);
    }

    #[tokio::test]
    async fn not_23_an_aborted_connection_writes_nothing_that_waits() {
        let (handle, mut peer, mut events) = piped(4);
        handle.send(packet("01234567", "")).unwrap();
        let mut begun = [0; 4];
        peer.read_exact(&mut begun).await.unwrap();
        handle.abort().await;
        // What the pipe took before may still be in it, and nothing else comes.
        let mut rest = Vec::new();
        peer.read_to_end(&mut rest).await.unwrap();
        assert!(rest.len() < 8, "{rest:?}");
        assert_eq!(timeout(PATIENCE, events.recv()).await.unwrap(), None);
    }

    #[tokio::test]
    async fn sec_13_a_flood_waits_in_the_peer_not_in_our_memory() {
        let (_handle, mut peer, mut events) = piped(1024);
        // Nobody takes events: the channel holds four reads, one more is in the task's hand, the pipe its own.
        let bound = 1024 * 8;
        let mut written = 0;
        while let Ok(Ok(count)) = timeout(Duration::from_millis(50), peer.write(&[b'x'; 1024])).await {
            written += count;
            assert!(written <= bound, "no bound on what we take");
        }
        let mut taken = 0;
        while taken < written {
            let StreamEvent::Data { bytes, .. } = next(&mut events).await else { panic!("closed too early") };
            taken += bytes.len();
        }
        assert_eq!(taken, written);
    }

    #[test]
    fn what_was_written_is_taken_from_the_front() {
        for written in 0..=5 {
            let parts = ["abc", "", "de"].map(|part| Bytes::from_static(part.as_bytes())).to_vec();
            let mut outgoing = Outgoing { packets: mpsc::channel(1).1, parts };
            outgoing.advance(written);
            assert_eq!(outgoing.parts.concat(), b"abcde"[written..]);
        }
    }
}
