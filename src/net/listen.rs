//! The listeners of one agent: for each local address UDP and TCP on one and the same port (TRN-01, TRN-31).
//!
//! Chooses the port and says in plain words why it cannot be had. Who is answered is the core's affair.

use std::{
    future::poll_fn,
    io,
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    pin::Pin,
    sync::atomic::{AtomicUsize, Ordering},
    task::Poll,
};

use tokio::net::TcpStream;

pub use super::address::{Listen, all_machine_addresses, host_name, local_addresses, source_for};
use super::{
    stream::TcpListener,
    udp::{RecvBatch, UdpSocket},
};
use crate::sip::transport::Transport;

/// How often we ask the kernel for a port whose TCP twin is free.
const TRIES: usize = 16;

/// Which port to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortChoice {
    /// This one and no other.
    Fixed(u16),
    /// `first` if it is free, else the first free one of `range`.
    Preferred {
        /// The port that peers try.
        first: u16,
        /// Where to look when it is taken.
        range: RangeInclusive<u16>,
    },
    /// Whatever the kernel gives.
    Any,
}

impl Default for PortChoice {
    fn default() -> Self {
        Self::Preferred { first: 5060, range: 5070..=5089 }
    }
}

/// Why we cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// There is no address to listen on.
    #[error("there is no address to listen on")]
    NoAddress,
    /// The address stands for all addresses, so source, Via and Contact would not be known.
    #[error("{0} stands for every address: name those to listen on, or say `all`")]
    Wildcard(IpAddr),
    /// Another program has the port.
    #[error("port {port} on {ip} is taken by another program")]
    Taken {
        /// The address.
        ip: IpAddr,
        /// The port.
        port: u16,
    },
    /// Neither the preferred port nor any of the others is free.
    #[error("port {first} on {ip} is taken, and so are {} to {}", range.start(), range.end())]
    AllTaken {
        /// The address.
        ip: IpAddr,
        /// The preferred port.
        first: u16,
        /// The others.
        range: RangeInclusive<u16>,
    },
    /// This machine does not have the address.
    #[error("{0} is not an address of this machine")]
    NotOurs(IpAddr),
    /// The port is reserved to the administrator.
    #[error("port {port} on {ip} needs rights that we do not have")]
    Forbidden {
        /// The address.
        ip: IpAddr,
        /// The port.
        port: u16,
    },
    /// The system refused for another reason.
    #[error("cannot listen on port {port} of {ip}: {error}")]
    Refused {
        /// The address.
        ip: IpAddr,
        /// The port.
        port: u16,
        /// What the system said.
        error: io::Error,
    },
}

impl BindError {
    /// Returns the way out, in a few words that name the key to change.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NoAddress | Self::Wildcard(_) | Self::NotOurs(_) => "change `agent.listen`",
            Self::Taken { .. } | Self::AllTaken { .. } => "choose another with `agent.port`, or stop that program",
            Self::Forbidden { .. } => "choose one above 1023 with `agent.port`",
            Self::Refused { .. } => "check `agent.listen` and `agent.port`",
        }
    }
}

/// UDP and TCP on every address that we listen on, all on one port.
#[derive(Debug)]
pub struct Listeners {
    udp: Vec<UdpSocket>,
    tcp: Vec<TcpListener>,
    tls: Vec<TcpListener>,
    port: u16,
    turn: AtomicUsize,
}

impl Listeners {
    /// Listens on each of `addrs`, on one port for all of them.
    pub fn bind(addrs: &[IpAddr], port: PortChoice) -> Result<Self, BindError> {
        let first_ip = *addrs.first().ok_or(BindError::NoAddress)?;
        if let Some(wildcard) = addrs.iter().find(|ip| ip.is_unspecified()) {
            return Err(BindError::Wildcard(*wildcard));
        }
        match port {
            PortChoice::Fixed(port) if port > 0 => bind_all(addrs, port),
            PortChoice::Fixed(_) | PortChoice::Any => {
                let tries = std::iter::repeat_with(|| bind_all(addrs, 0)).take(TRIES);
                first_free(tries).unwrap_or(Err(BindError::Taken { ip: first_ip, port: 0 }))
            }
            PortChoice::Preferred { first, range } => {
                let ports = std::iter::once(first).chain(range.clone()).map(|port| bind_all(addrs, port));
                first_free(ports).unwrap_or(Err(BindError::AllTaken { ip: first_ip, first, range }))
            }
        }
    }

    /// Returns the port that UDP and TCP share.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the UDP sockets, in the order of the addresses.
    pub fn udp(&self) -> &[UdpSocket] {
        &self.udp
    }

    /// Returns the TCP listeners, in the order of the addresses.
    pub fn tcp(&self) -> &[TcpListener] {
        &self.tcp
    }

    /// Listens on each of the addresses for connections under TLS too: on the next port, where that is free on all of
    /// them, else on one that the kernel gives (RFC 3261 §19.1.1 has 5061 beside 5060).
    pub fn add_tls(&mut self) -> Result<(), BindError> {
        let on = |port: u16| -> Result<Vec<TcpListener>, BindError> {
            let mut bound: Vec<TcpListener> = Vec::new();
            for ip in self.udp.iter().map(|socket| socket.local_addr().ip()) {
                let port = bound.first().map_or(port, |first| first.local_addr().port());
                bound.push(TcpListener::bind((ip, port).into()).map_err(|error| refused(ip, port, error))?);
            }
            Ok(bound)
        };
        let next = self.port.checked_add(1).map(on);
        let bound = match next {
            Some(Ok(bound)) => bound,
            _ => (0..TRIES).map(|_| on(0)).find(Result::is_ok).unwrap_or_else(|| on(0))?,
        };
        self.tls = bound;
        Ok(())
    }

    /// Returns the addresses at which we take connections under TLS.
    pub fn tls_addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.tls.iter().map(TcpListener::local_addr)
    }

    /// Returns the addresses that we listen on, each with the port.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.udp.iter().map(UdpSocket::local_addr)
    }

    /// Returns the UDP socket on `local`, if it is one of ours.
    pub fn udp_on(&self, local: SocketAddr) -> Option<&UdpSocket> {
        self.udp.iter().find(|socket| socket.local_addr() == local)
    }

    /// Waits for datagrams on any of the sockets and reads a batch; each socket has its turn.
    ///
    /// Returns the socket that was read and how much came; zero as [`UdpSocket::recv`] means it. Cancel-safe.
    pub async fn recv(&self, batch: &mut RecvBatch) -> io::Result<(&UdpSocket, usize)> {
        if let [only] = &self.udp[..] {
            return Ok((only, only.recv(batch).await?));
        }
        loop {
            let mut waits: Vec<_> = self.udp.iter().map(|socket| Box::pin(socket.ready())).collect();
            let turn = self.turn.fetch_add(1, Ordering::Relaxed);
            let socket = &self.udp[first_ready(&mut waits, turn).await];
            if let Some(count) = socket.recv_once(batch).await? {
                return Ok((socket, count));
            }
        }
    }

    /// Waits for a connection on any of the listeners, and says what is to be spoken on it; cancel-safe.
    pub async fn accept(&self) -> (TcpStream, Transport) {
        let all =
            self.tcp.iter().map(|tcp| (tcp, Transport::Tcp)).chain(self.tls.iter().map(|tls| (tls, Transport::Tls)));
        let mut waits: Vec<_> =
            all.map(|(listener, transport)| Box::pin(async move { (listener.accept().await.0, transport) })).collect();
        poll_fn(|cx| waits.iter_mut().map(|wait| wait.as_mut().poll(cx)).find(Poll::is_ready).unwrap_or(Poll::Pending))
            .await
    }
}

/// Waits for the first of `waits` that is ready, asking from `turn` on, and returns its index.
async fn first_ready<F: Future>(waits: &mut [Pin<Box<F>>], turn: usize) -> usize {
    let count = waits.len();
    poll_fn(|cx| {
        let ready = (0..count).map(|k| turn.wrapping_add(k) % count).find(|&k| waits[k].as_mut().poll(cx).is_ready());
        ready.map_or(Poll::Pending, Poll::Ready)
    })
    .await
}

/// Returns the first outcome other than "taken by another program".
fn first_free(mut tries: impl Iterator<Item = Result<Listeners, BindError>>) -> Option<Result<Listeners, BindError>> {
    tries.find(|tried| !matches!(tried, Err(BindError::Taken { .. })))
}

/// Listens on `port` of each address; for port 0 on the one that the kernel gives the first UDP socket.
fn bind_all(addrs: &[IpAddr], port: u16) -> Result<Listeners, BindError> {
    let mut bound = Listeners { udp: Vec::new(), tcp: Vec::new(), tls: Vec::new(), port, turn: AtomicUsize::new(0) };
    for &ip in addrs {
        let udp = UdpSocket::bind((ip, bound.port).into()).map_err(|error| refused(ip, bound.port, error))?;
        bound.port = udp.local_addr().port();
        let tcp = TcpListener::bind((ip, bound.port).into()).map_err(|error| refused(ip, bound.port, error))?;
        bound.udp.push(udp);
        bound.tcp.push(tcp);
    }
    Ok(bound)
}

fn refused(ip: IpAddr, port: u16, error: io::Error) -> BindError {
    match error.kind() {
        io::ErrorKind::AddrInUse => BindError::Taken { ip, port },
        io::ErrorKind::AddrNotAvailable => BindError::NotOurs(ip),
        io::ErrorKind::PermissionDenied => BindError::Forbidden { ip, port },
        _ => BindError::Refused { ip, port, error },
    }
}

#[cfg(test)]
mod tests {
    use std::{net::Ipv4Addr, time::Duration};

    use bytes::Bytes;
    use tokio::time::timeout;

    use super::*;
    use crate::sip::transport::Packet;

    const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    const OTHER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

    /// Ports of their own for each test: nothing else of this process binds there.
    fn taken(port: u16) -> Option<std::net::UdpSocket> {
        std::net::UdpSocket::bind((LOOPBACK, port)).ok()
    }

    #[tokio::test]
    async fn trn_01_trn_31_port_zero_gives_udp_and_tcp_the_same_number() {
        let listeners = Listeners::bind(&[LOOPBACK, OTHER], PortChoice::Any).unwrap();
        let port = listeners.port();
        assert_ne!(port, 0);
        let expected = [SocketAddr::new(LOOPBACK, port), SocketAddr::new(OTHER, port)];
        assert_eq!(listeners.addresses().collect::<Vec<_>>(), expected);
        assert_eq!(listeners.tcp().iter().map(TcpListener::local_addr).collect::<Vec<_>>(), expected);
        assert!(listeners.udp_on(expected[1]).is_some());
    }

    #[tokio::test]
    async fn trn_31_a_number_whose_tcp_twin_is_taken_is_not_used() {
        let twin = std::net::TcpListener::bind((LOOPBACK, 0)).unwrap();
        let port = twin.local_addr().unwrap().port();
        assert!(matches!(bind_all(&[LOOPBACK], port), Err(BindError::Taken { .. })));
        let mut tries = 0;
        let found = first_free(std::iter::from_fn(|| {
            tries += 1;
            Some(bind_all(&[LOOPBACK], if tries == 1 { port } else { 0 }))
        }));
        assert_ne!(found.unwrap().unwrap().port(), port);
        assert_eq!(tries, 2);
    }

    #[tokio::test]
    async fn a_taken_port_gives_way_to_the_first_free_one() {
        let holder = std::net::UdpSocket::bind((LOOPBACK, 0)).unwrap();
        let first = holder.local_addr().unwrap().port();
        let Some(second) = (20_000..30_000).find(|port| taken(*port).is_some() && taken(*port + 1).is_some()) else {
            return;
        };
        let _second = taken(second);
        let choice = PortChoice::Preferred { first, range: second..=second + 1 };
        assert_eq!(Listeners::bind(&[LOOPBACK], choice).unwrap().port(), second + 1);
        let choice = PortChoice::Preferred { first, range: second..=second };
        let error = Listeners::bind(&[LOOPBACK], choice).unwrap_err();
        assert_eq!(error.to_string(), format!("port {first} on 127.0.0.1 is taken, and so are {second} to {second}"));
    }

    #[tokio::test]
    async fn a_port_that_was_asked_for_is_that_or_nothing() {
        let holder = std::net::UdpSocket::bind((LOOPBACK, 0)).unwrap();
        let port = holder.local_addr().unwrap().port();
        let error = Listeners::bind(&[LOOPBACK], PortChoice::Fixed(port)).unwrap_err();
        assert_eq!(error.to_string(), format!("port {port} on 127.0.0.1 is taken by another program"));
        assert!(error.hint().contains("`agent.port`"));
    }

    #[tokio::test]
    async fn trn_31_a_wildcard_and_a_strange_address_are_refused() {
        let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let error = Listeners::bind(&[LOOPBACK, any], PortChoice::Any).unwrap_err();
        assert!(matches!(error, BindError::Wildcard(ip) if ip == any));
        let strange: IpAddr = "192.0.2.1".parse().unwrap();
        let error = Listeners::bind(&[strange], PortChoice::Any).unwrap_err();
        assert_eq!(error.to_string(), "192.0.2.1 is not an address of this machine");
        assert!(matches!(Listeners::bind(&[], PortChoice::Any), Err(BindError::NoAddress)));
    }

    #[tokio::test]
    async fn every_socket_is_heard_and_none_starves_the_others() {
        let listeners = Listeners::bind(&[LOOPBACK, OTHER], PortChoice::Any).unwrap();
        let sender = UdpSocket::bind((LOOPBACK, 0).into()).unwrap();
        let packet = Packet { head: Bytes::from_static(b"x"), body: Bytes::new() };
        let targets: Vec<_> = listeners.addresses().collect();
        let mut batch = RecvBatch::new();
        for round in 0..10 {
            for target in &targets {
                sender.try_send(&[(*target, &packet)]);
            }
            let mut heard = Vec::new();
            while heard.len() < 2 {
                let waited = timeout(Duration::from_secs(5), listeners.recv(&mut batch)).await;
                let (socket, count) = waited.unwrap_or_else(|_| panic!("round {round}: only {heard:?}")).unwrap();
                assert_eq!(count, 1);
                heard.push(socket.local_addr());
            }
            heard.sort();
            assert_eq!(heard, targets);
        }
    }

    #[tokio::test]
    async fn every_listener_accepts() {
        let mut listeners = Listeners::bind(&[LOOPBACK, OTHER], PortChoice::Any).unwrap();
        listeners.add_tls().unwrap();
        let (clear, secure) = (listeners.addresses(), listeners.tls_addresses());
        let all = clear.map(|at| (at, Transport::Tcp)).chain(secure.map(|at| (at, Transport::Tls)));
        for (target, spoken) in all {
            let (client, (stream, transport)) = tokio::join!(TcpStream::connect(target), listeners.accept());
            assert_eq!((stream.local_addr().unwrap(), transport), (target, spoken));
            assert_eq!(client.unwrap().local_addr().unwrap(), stream.peer_addr().unwrap());
        }
    }

    #[tokio::test]
    async fn tls_is_on_the_next_port_or_on_any() {
        let mut listeners = Listeners::bind(&[LOOPBACK, OTHER], PortChoice::Any).unwrap();
        let next = SocketAddr::new(OTHER, listeners.port().wrapping_add(1));
        let holder = std::net::TcpListener::bind(next);
        listeners.add_tls().unwrap();
        let ports: Vec<_> = listeners.tls_addresses().map(|address| address.port()).collect();
        assert!(ports.len() == 2 && ports[0] == ports[1], "{ports:?}");
        assert!(holder.is_err() || ports[0] != next.port());
        drop(listeners);
        let mut free = Listeners::bind(&[LOOPBACK], PortChoice::Any).unwrap();
        let next = free.port().wrapping_add(1);
        free.add_tls().unwrap();
        let port = free.tls_addresses().next().unwrap().port();
        assert!(port == next || std::net::TcpListener::bind((LOOPBACK, next)).is_err());
    }

    #[tokio::test]
    async fn trn_27_ipv6_listens_beside_ipv4() {
        let v6: IpAddr = "::1".parse().unwrap();
        let Ok(listeners) = Listeners::bind(&[LOOPBACK, v6], PortChoice::Any) else { return };
        assert_eq!(listeners.udp().len(), 2);
        assert!(listeners.udp_on(SocketAddr::new(v6, listeners.port())).is_some());
    }
}
