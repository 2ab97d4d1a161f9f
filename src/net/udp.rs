//! One UDP socket on one local address: batches both ways, and errors that name their target (TXN-08).
//!
//! Reading is by readiness, writing is tried at once and only waits when the kernel's buffer is full, so that
//! a fan-out costs no wake-up. What a failed target means for its transaction is the core's affair.

mod outgoing;

use std::{
    cell::RefCell,
    fmt,
    io::{self, IoSliceMut},
    net::SocketAddr,
    os::fd::{AsRawFd, OwnedFd},
};

use nix::{
    errno::Errno,
    sys::socket::{
        self, AddressFamily, ControlMessageOwned, MsgFlags, MultiHeaders, SockFlag, SockType, SockaddrStorage, sockopt,
    },
};
use tokio::io::{Interest, Ready, unix::AsyncFd};

pub use self::outgoing::Outgoing;
use super::reactor;
use crate::sip::transport::Packet;

/// The most datagrams that one system call moves; larger batches gain nothing.
pub const BATCH: usize = 32;

/// The largest datagram that can arrive.
const DATAGRAM: usize = 65_535;

/// What we ask for on either side; the kernel grants what `net.core.rmem_max` and `wmem_max` allow.
const BUFFER: usize = 4 << 20;

/// The size of the kernel's `sock_extended_err` with the offender's address behind it, generously.
const ERROR_SPACE: usize = 256;

thread_local! {
    // The headers hold raw pointers, so a future that kept them over an await could not be spawned. They are
    // filled anew at each call; only the address length stays from call to call, which is why each family
    // has headers of its own.
    static RECEIVE_V4: RefCell<MultiHeaders<SockaddrStorage>> = RefCell::new(MultiHeaders::preallocate(BATCH, None));
    static RECEIVE_V6: RefCell<MultiHeaders<SockaddrStorage>> = RefCell::new(MultiHeaders::preallocate(BATCH, None));
}

/// A UDP socket bound to one address.
#[derive(Debug)]
pub struct UdpSocket {
    fd: AsyncFd<std::net::UdpSocket>,
    outgoing: Outgoing,
    local: SocketAddr,
}

impl UdpSocket {
    /// Binds to `addr`, which must not be a wildcard; port 0 lets the kernel choose.
    ///
    /// The socket belongs to the runtime that runs the caller.
    pub fn bind(addr: SocketAddr) -> io::Result<Self> {
        if addr.ip().is_unspecified() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{addr} is a wildcard: bind each address of this machine by itself"),
            ));
        }
        let family = if addr.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let fd: OwnedFd = socket::socket(family, SockType::Datagram, flags, None)?;
        if addr.is_ipv4() {
            socket::setsockopt(&fd, sockopt::Ipv4RecvErr, &true)?;
        } else {
            socket::setsockopt(&fd, sockopt::Ipv6V6Only, &true)?;
            socket::setsockopt(&fd, sockopt::Ipv6RecvErr, &true)?;
        }
        socket::setsockopt(&fd, sockopt::RcvBuf, &BUFFER)?;
        socket::setsockopt(&fd, sockopt::SndBuf, &BUFFER)?;
        socket::bind(fd.as_raw_fd(), &SockaddrStorage::from(addr))?;
        let socket = std::net::UdpSocket::from(fd);
        let (local, outgoing) = (socket.local_addr()?, Outgoing::of(&socket)?);
        // No interest in writability: each answer that leaves would wake the reactor for nothing.
        Ok(Self { fd: reactor::register(socket, Interest::READABLE | Interest::ERROR)?, outgoing, local })
    }

    /// Returns the address that the socket is bound to, with the port that the kernel chose.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Waits for datagrams and reads up to [`BATCH`] of them into `batch`, replacing what it held.
    ///
    /// Zero means that no datagram came but an error: fetch it by [`take_errors`](Self::take_errors).
    /// Cancel-safe. An `Err` says that the socket itself is unusable, never that a peer is.
    pub async fn recv(&self, batch: &mut RecvBatch) -> io::Result<usize> {
        loop {
            if let Some(count) = self.recv_once(batch).await? {
                return Ok(count);
            }
        }
    }

    /// Reads what is there into `batch` without waiting; fails with `WouldBlock` if there is nothing.
    pub fn try_recv(&self, batch: &mut RecvBatch) -> io::Result<usize> {
        batch.clear();
        let headers = if self.local.is_ipv4() { &RECEIVE_V4 } else { &RECEIVE_V6 };
        let received = headers.with_borrow_mut(|headers| {
            let mut slots: Vec<_> =
                batch.bytes.chunks_exact_mut(DATAGRAM).map(|slot| [IoSliceMut::new(slot)]).collect();
            let flags = MsgFlags::MSG_DONTWAIT;
            let messages = socket::recvmmsg(self.fd.as_raw_fd(), headers, slots.iter_mut(), flags, None)?;
            batch.filled.extend(messages.map(|m| (m.address.as_ref().and_then(to_std), m.bytes)));
            Ok(batch.filled.len())
        });
        match received {
            // The kernel reports an ICMP error once more here; the error queue knows whose it is.
            Err(error) if is_of_a_peer(error) => Ok(0),
            other => other.map_err(io::Error::from),
        }
    }

    /// Sends as many of `packets` as the kernel takes without waiting, in order, as [`Outgoing::try_send`] does.
    pub fn try_send(&self, packets: &[(SocketAddr, &Packet)]) -> (usize, Vec<(SocketAddr, io::Error)>) {
        self.outgoing.try_send(packets)
    }

    /// Returns its sending end, for another thread.
    pub fn outgoing(&self) -> &Outgoing {
        &self.outgoing
    }

    /// Waits until the kernel's buffer has room again; cancel-safe, and may end too early.
    pub async fn writable(&self) -> io::Result<()> {
        // A registration of its own, for this wait only: a pending error marks one as closed for writing for
        // ever, and no later wait on it would wait.
        let socket = self.fd.get_ref().try_clone()?;
        reactor::register(socket, Interest::WRITABLE)?.writable().await?.retain_ready();
        Ok(())
    }

    /// Fetches from the socket's error queue which targets could not be reached, and why.
    ///
    /// A lost hop count and a packet that was too big for a link end no transaction (RFC 3261 §18.4) and
    /// are left out: the next retransmission goes another way, or in fragments.
    pub fn take_errors(&self) -> Vec<(SocketAddr, SendFailure)> {
        let mut failures = Vec::new();
        let (mut data, mut space) = ([0; 512], [0; ERROR_SPACE]);
        loop {
            let mut slices = [IoSliceMut::new(&mut data)];
            let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
            match socket::recvmsg::<SockaddrStorage>(self.fd.as_raw_fd(), &mut slices, Some(&mut space), flags) {
                Ok(message) => {
                    let Some(target) = message.address.as_ref().and_then(to_std) else { continue };
                    let Ok(notes) = message.cmsgs() else { continue };
                    failures.extend(notes.filter_map(|note| failure(&note)).map(|failure| (target, failure)));
                }
                Err(Errno::EINTR) => {}
                Err(_empty) => return failures,
            }
        }
    }

    /// Waits until something may be there, and leaves it there.
    pub(super) async fn ready(&self) -> io::Result<()> {
        self.fd.ready(Interest::READABLE | Interest::ERROR).await?.retain_ready();
        Ok(())
    }

    /// Waits until something may be there and tries to read it; `None` if there was nothing after all.
    pub(super) async fn recv_once(&self, batch: &mut RecvBatch) -> io::Result<Option<usize>> {
        batch.clear();
        let mut ready = self.fd.ready(Interest::READABLE | Interest::ERROR).await?;
        if ready.ready().is_error() {
            ready.clear_ready_matching(Ready::ERROR);
            return Ok(Some(0));
        }
        match self.try_recv(batch) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                ready.clear_ready_matching(Ready::READABLE);
                Ok(None)
            }
            other => other.map(Some),
        }
    }
}

/// Room for [`BATCH`] datagrams of any size, to be used again and again.
///
/// It reserves 2 MiB of address space; memory is used only as far as datagrams fill it.
pub struct RecvBatch {
    bytes: Vec<u8>,
    filled: Vec<(Option<SocketAddr>, usize)>,
}

impl RecvBatch {
    /// Makes an empty batch.
    pub fn new() -> Self {
        Self { bytes: vec![0; BATCH * DATAGRAM], filled: Vec::with_capacity(BATCH) }
    }

    /// Returns the datagrams of the last read with their senders, in the order of their arrival.
    pub fn iter(&self) -> impl Iterator<Item = (SocketAddr, &[u8])> {
        let slots = self.bytes.chunks_exact(DATAGRAM);
        self.filled.iter().zip(slots).filter_map(|(&(remote, len), slot)| Some((remote?, &slot[..len])))
    }

    /// Returns how many datagrams the batch holds.
    pub fn len(&self) -> usize {
        self.filled.len()
    }

    /// Returns whether the batch holds nothing.
    pub fn is_empty(&self) -> bool {
        self.filled.is_empty()
    }

    fn clear(&mut self) {
        self.filled.clear();
    }
}

impl Default for RecvBatch {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for RecvBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RecvBatch").field(&self.filled).finish()
    }
}

/// Why a target could not be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SendFailure(Errno);

impl SendFailure {
    /// Returns the kind that the standard library gives the error, such as `ConnectionRefused`.
    pub fn kind(self) -> io::ErrorKind {
        io::Error::from(self.0).kind()
    }

    /// Returns the number that the kernel gives the error.
    pub const fn errno(self) -> i32 {
        self.0 as i32
    }
}

impl fmt::Display for SendFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Errno::ECONNREFUSED => "nothing listens on that port",
            Errno::EHOSTUNREACH => "the host cannot be reached",
            Errno::ENETUNREACH => "there is no route to its network",
            Errno::EACCES => "the way there is forbidden",
            other => other.desc(),
        })
    }
}

impl std::error::Error for SendFailure {}

fn to_std(address: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = address.as_sockaddr_in().map(|v4| SocketAddr::V4((*v4).into()));
    v4.or_else(|| address.as_sockaddr_in6().map(|v6| SocketAddr::V6((*v6).into())))
}

/// Says whether the error tells of the way to some peer rather than of our own socket.
fn is_of_a_peer(error: Errno) -> bool {
    matches!(
        error,
        Errno::ECONNREFUSED
            | Errno::ECONNRESET
            | Errno::EHOSTUNREACH
            | Errno::EHOSTDOWN
            | Errno::ENETUNREACH
            | Errno::ENETDOWN
            | Errno::ENONET
            | Errno::ENOPROTOOPT
            | Errno::EOPNOTSUPP
            | Errno::EPROTO
            | Errno::EACCES
            | Errno::EPERM
            | Errno::EMSGSIZE
            | Errno::ETIMEDOUT
    )
}

fn failure(note: &ControlMessageOwned) -> Option<SendFailure> {
    // ICMP types: 11 and 3 of v6 are a lost hop count; 3/4 and 2 of v6 tell the size that a link carries.
    const FROM_ICMP: u8 = 2;
    const FROM_ICMP6: u8 = 3;
    let (ControlMessageOwned::Ipv4RecvErr(error, _) | ControlMessageOwned::Ipv6RecvErr(error, _)) = note else {
        return None;
    };
    match (error.ee_origin, error.ee_type, error.ee_code) {
        (FROM_ICMP, 11, _) | (FROM_ICMP, 3, 4) | (FROM_ICMP6, 2 | 3, _) => None,
        _ => Some(SendFailure(Errno::from_raw(error.ee_errno.cast_signed()))),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use tokio::time::timeout;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(5);

    fn socket(ip: &str) -> Option<UdpSocket> {
        UdpSocket::bind(SocketAddr::new(ip.parse().unwrap(), 0)).ok()
    }

    fn loopback() -> UdpSocket {
        socket("127.0.0.1").unwrap()
    }

    fn packet(head: &str, body: &str) -> Packet {
        Packet { head: Bytes::copy_from_slice(head.as_bytes()), body: Bytes::copy_from_slice(body.as_bytes()) }
    }

    /// An address where nothing listens any more; on an IP of its own, so that no other test gets the port.
    fn closed() -> SocketAddr {
        socket("127.0.0.77").unwrap().local_addr()
    }

    async fn recv(socket: &UdpSocket, batch: &mut RecvBatch) -> usize {
        timeout(PATIENCE, socket.recv(batch)).await.unwrap().unwrap()
    }

    #[tokio::test]
    async fn head_and_body_arrive_as_one_datagram_with_its_sender() {
        for ip in ["127.0.0.1", "::1"] {
            let (Some(alice), Some(bob)) = (socket(ip), socket(ip)) else { continue };
            let packet = packet("NOTIFY\r\n\r\n", "<presence/>");
            assert_eq!(alice.try_send(&[(bob.local_addr(), &packet)]).0, 1);
            let mut batch = RecvBatch::new();
            assert_eq!(recv(&bob, &mut batch).await, 1);
            let got: Vec<_> = batch.iter().collect();
            assert_eq!(got, [(alice.local_addr(), &b"NOTIFY\r\n\r\n<presence/>"[..])]);
        }
    }

    #[tokio::test]
    async fn a_batch_beyond_one_call_goes_whole_and_in_order() {
        let (alice, bob) = (loopback(), loopback());
        let packets: Vec<_> = (0..100).map(|n| packet(&n.to_string(), "")).collect();
        let sends: Vec<_> = packets.iter().map(|packet| (bob.local_addr(), packet)).collect();
        let (done, failed) = alice.try_send(&sends);
        assert_eq!((done, failed.len()), (100, 0));
        let (mut batch, mut seen) = (RecvBatch::new(), Vec::new());
        while seen.len() < 100 {
            let count = recv(&bob, &mut batch).await;
            assert!(count <= BATCH && count == batch.len());
            seen.extend(batch.iter().map(|(_, bytes)| String::from_utf8(bytes.to_vec()).unwrap()));
        }
        assert_eq!(seen, (0..100).map(|n| n.to_string()).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn the_largest_datagram_arrives_whole() {
        let (alice, bob) = (loopback(), loopback());
        let big = packet(&"h".repeat(1000), &"b".repeat(64_507));
        assert_eq!(alice.try_send(&[(bob.local_addr(), &big)]).0, 1);
        let mut batch = RecvBatch::new();
        assert_eq!(recv(&bob, &mut batch).await, 1);
        assert_eq!(batch.iter().next().unwrap().1, big.to_vec());
    }

    #[tokio::test]
    async fn a_packet_too_big_for_a_datagram_fails_alone() {
        let (alice, bob) = (loopback(), loopback());
        let (good, big) = (packet("good", ""), packet("", &"b".repeat(70_000)));
        let to = bob.local_addr();
        let (done, failed) = alice.try_send(&[(to, &good), (to, &big), (to, &good)]);
        assert_eq!(done, 3);
        assert_eq!(failed.len(), 1);
        let (mut batch, mut seen) = (RecvBatch::new(), 0);
        while seen < 2 {
            seen += recv(&bob, &mut batch).await;
        }
    }

    #[tokio::test]
    async fn txn_08_error_queue_names_the_target_that_failed() {
        for (ip, other) in [("127.0.0.1", "127.0.0.77"), ("::1", "::1")] {
            let (Some(alice), Some(bob), Some(gone)) = (socket(ip), socket(ip), socket(other)) else { continue };
            let (dead, live) = (gone.local_addr(), bob.local_addr());
            drop(gone);
            let packet = packet("OPTIONS\r\n\r\n", "");
            let (done, failed) = alice.try_send(&[(live, &packet), (dead, &packet), (live, &packet), (live, &packet)]);
            assert_eq!((done, failed.len()), (4, 0), "the good target pays for nothing: {failed:?}");
            let mut batch = RecvBatch::new();
            assert_eq!(recv(&alice, &mut batch).await, 0);
            let errors = alice.take_errors();
            assert_eq!(errors.len(), 1);
            assert_eq!(errors[0].0, dead);
            assert_eq!(errors[0].1.kind(), io::ErrorKind::ConnectionRefused);
            assert_eq!(alice.take_errors(), []);
            let mut seen = 0;
            while seen < 3 {
                seen += recv(&bob, &mut batch).await;
            }
        }
    }

    #[tokio::test]
    async fn txn_08_a_waiting_reader_is_woken_by_an_error() {
        let (alice, dead) = (loopback(), closed());
        let mut batch = RecvBatch::new();
        let (count, ()) = tokio::join!(recv(&alice, &mut batch), async {
            tokio::task::yield_now().await;
            alice.try_send(&[(dead, &packet("x", ""))]);
        });
        assert_eq!(count, 0);
        assert_eq!(alice.take_errors().len(), 1);
    }

    #[tokio::test]
    async fn an_error_that_was_fetched_does_not_wake_again_nor_hide_what_follows() {
        let (alice, bob, dead) = (loopback(), loopback(), closed());
        let mut batch = RecvBatch::new();
        for _ in 0..3 {
            alice.try_send(&[(dead, &packet("x", ""))]);
            assert_eq!(recv(&alice, &mut batch).await, 0);
            assert_eq!(alice.take_errors().len(), 1);
            bob.try_send(&[(alice.local_addr(), &packet("y", ""))]);
            while recv(&alice, &mut batch).await == 0 {}
            assert_eq!(batch.iter().next().unwrap().1, b"y");
            let quiet = timeout(Duration::from_millis(20), alice.recv(&mut batch)).await;
            assert!(quiet.is_err(), "woken for nothing: {quiet:?}");
        }
    }

    #[tokio::test]
    async fn an_error_does_not_make_waiting_for_room_spin() {
        let (alice, dead) = (loopback(), closed());
        alice.try_send(&[(dead, &packet("x", ""))]);
        timeout(PATIENCE, alice.writable()).await.unwrap().unwrap();
        assert_eq!(alice.take_errors().len(), 1);
        timeout(PATIENCE, alice.writable()).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn trn_31_a_wildcard_is_refused() {
        for any in ["0.0.0.0:0", "[::]:0"] {
            assert_eq!(UdpSocket::bind(any.parse().unwrap()).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        }
    }

    #[test]
    fn a_reader_can_be_spawned() {
        fn is_send<T: Send>(value: T) -> T {
            value
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _guard = runtime.enter();
        let (socket, mut batch) = (loopback(), RecvBatch::new());
        drop(is_send(async move { socket.recv(&mut batch).await.map(|_| socket.local_addr()) }));
    }
}
