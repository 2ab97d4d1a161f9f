//! The sockets under load and against peers that misbehave, over real loopback connections.

use std::{
    io::ErrorKind,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use bytes::Bytes;
use sippresence::{
    net::{
        listen::{Listeners, PortChoice},
        stream::{CONNECT_LIMIT, Full, QUEUE, StreamEvent, TcpListener, connect, spawn_connection},
        udp::{RecvBatch, UdpSocket},
    },
    sip::transport::{ConnId, Packet},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    sync::mpsc,
    time::timeout,
};

const PATIENCE: Duration = Duration::from_mins(1);
const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(PATIENCE, what).await.expect("it took too long")
}

fn packet(body: impl Into<Bytes>) -> Packet {
    Packet { head: Bytes::from_static(b"HEAD\r\n\r\n"), body: body.into() }
}

fn has_ipv6() -> bool {
    std::net::UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
}

#[tokio::test]
async fn trn_27_datagrams_and_streams_work_on_ipv6_where_there_is_one() {
    if !has_ipv6() {
        return;
    }
    let here = IpAddr::V6(Ipv6Addr::LOCALHOST);
    let listeners = Listeners::bind(&[LOOPBACK, here], PortChoice::Any).expect("both families");
    let target = SocketAddr::new(here, listeners.port());

    let sender = UdpSocket::bind((here, 0).into()).expect("a socket");
    assert_eq!(sender.try_send(&[(target, &packet("six"))]).0, 1);
    let mut batch = RecvBatch::new();
    let (socket, count) = soon(listeners.recv(&mut batch)).await.expect("a datagram");
    assert_eq!((socket.local_addr(), count), (target, 1));
    assert_eq!(batch.iter().next(), Some((sender.local_addr(), &b"HEAD\r\n\r\nsix"[..])));

    let (events, mut taken) = mpsc::channel(8);
    let handle = connect(Some(here), target, ConnId::opened(1), events);
    let (mut stream, _) = soon(listeners.accept()).await;
    let from = stream.peer_addr().expect("an address");
    assert!(
        matches!(soon(taken.recv()).await, Some(StreamEvent::Opened { remote, local, .. }) if remote == target && local == from)
    );
    handle.send(packet("six")).expect("room");
    handle.close();
    let mut got = Vec::new();
    soon(stream.read_to_end(&mut got)).await.expect("the bytes");
    assert_eq!(got, b"HEAD\r\n\r\nsix");
}

#[tokio::test]
async fn trn_31_a_datagram_answers_from_the_address_that_was_asked() {
    let other = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
    let listeners = Listeners::bind(&[LOOPBACK, other], PortChoice::Any).expect("two addresses");
    let peer = UdpSocket::bind((LOOPBACK, 0).into()).expect("a socket");
    let (mut batch, mut answer) = (RecvBatch::new(), RecvBatch::new());
    for target in listeners.addresses().collect::<Vec<_>>() {
        peer.try_send(&[(target, &packet("?"))]);
        let (socket, _) = soon(listeners.recv(&mut batch)).await.expect("a datagram");
        let from = batch.iter().next().expect("one").0;
        socket.try_send(&[(from, &packet("!"))]);
        soon(peer.recv(&mut answer)).await.expect("the answer");
        assert_eq!(answer.iter().next().expect("one").0, target);
    }
}

#[tokio::test]
async fn a_flooded_socket_does_not_hide_the_other_one() {
    let other = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
    let listeners = Listeners::bind(&[LOOPBACK, other], PortChoice::Any).expect("two addresses");
    let [flooded, quiet] = listeners.addresses().collect::<Vec<_>>()[..] else { panic!("two addresses") };
    let peer = UdpSocket::bind((LOOPBACK, 0).into()).expect("a socket");
    let flood = packet(vec![b'x'; 200]);
    peer.try_send(&vec![(flooded, &flood); 500]);
    peer.try_send(&[(quiet, &packet("hello"))]);
    let mut batch = RecvBatch::new();
    for reads in 0.. {
        assert!(reads < 4, "the quiet socket waits for the flood to end");
        let (socket, _) = soon(listeners.recv(&mut batch)).await.expect("datagrams");
        peer.try_send(&vec![(flooded, &flood); 40]);
        if socket.local_addr() == quiet {
            break;
        }
    }
}

#[tokio::test]
async fn txn_08_among_many_targets_only_the_dead_ones_are_named() {
    let alice = UdpSocket::bind((LOOPBACK, 0).into()).expect("a socket");
    let bind = |ip: &str| std::net::UdpSocket::bind((ip, 0)).expect("a socket");
    // The dead ones on an IP of their own, so that no other test gets their ports.
    let live: Vec<_> = (0..40).map(|_| bind("127.0.0.1")).collect();
    let gone: Vec<_> = (0..10).map(|_| bind("127.0.0.78")).collect();
    let address = |socket: &std::net::UdpSocket| socket.local_addr().expect("an address");
    let mut dead: Vec<_> = gone.iter().map(address).collect();
    let mut targets: Vec<_> = live.iter().map(address).collect();
    // A dead one after every fourth.
    for (index, dead) in dead.iter().enumerate() {
        targets.insert(index * 5, *dead);
    }
    drop(gone);
    let packet = packet("x");
    let sends: Vec<_> = targets.iter().map(|target| (*target, &packet)).collect();
    let (done, failed) = alice.try_send(&sends);
    assert_eq!(done, targets.len());
    assert!(failed.is_empty(), "{failed:?}");
    let (mut batch, mut named) = (RecvBatch::new(), Vec::new());
    while named.len() < dead.len() {
        assert_eq!(soon(alice.recv(&mut batch)).await.expect("the socket is well"), 0);
        for (target, error) in alice.take_errors() {
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
            named.push(target);
        }
    }
    named.sort();
    dead.sort();
    assert_eq!(named, dead);
    for socket in live {
        socket.set_read_timeout(Some(PATIENCE)).expect("a limit");
        let mut buffer = [0; 64];
        assert_eq!(socket.recv(&mut buffer).expect("each live one got its own"), packet.len());
    }
}

#[tokio::test]
async fn trn_29_one_peer_that_does_not_read_delays_none_of_the_others() {
    const PEERS: usize = 20;
    let listener = TcpListener::bind((LOOPBACK, 0).into()).expect("a listener");
    let (events, mut taken) = mpsc::channel(PEERS * 2);
    let (mut peers, mut handles) = (Vec::new(), Vec::new());
    for index in 0..PEERS {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(16 * 1024).expect("a small window");
        let (peer, (stream, _)) = tokio::join!(socket.connect(listener.local_addr()), listener.accept());
        peers.push(peer.expect("a connection"));
        handles.push(spawn_connection(stream, ConnId::accepted(index as u64), events.clone()));
        assert!(matches!(soon(taken.recv()).await, Some(StreamEvent::Opened { .. })));
    }
    let message = packet(vec![b'x'; 32 * 1024]);
    let mut buffer = vec![0; message.len()];
    let mut dropped_after = None;
    for round in 0..400 {
        for (index, handle) in handles.iter().enumerate() {
            match handle.send(message.clone()) {
                Ok(()) => {}
                Err(Full) if index == 0 => dropped_after = Some(round),
                Err(Full) => panic!("peer {index} reads and is dropped all the same"),
            }
        }
        for peer in &mut peers[1..] {
            soon(peer.read_exact(&mut buffer)).await.expect("those who read get everything");
        }
        if dropped_after.is_some() {
            break;
        }
    }
    assert!(dropped_after.is_some_and(|round| round >= QUEUE), "the queue's bound: {dropped_after:?}");
    let closed = StreamEvent::Closed { conn: ConnId::accepted(0), error: Some(ErrorKind::QuotaExceeded) };
    assert_eq!(soon(taken.recv()).await, Some(closed));
}

#[tokio::test]
async fn sec_13_a_peer_that_floods_does_not_keep_others_from_being_heard() {
    let listener = TcpListener::bind((LOOPBACK, 0).into()).expect("a listener");
    let (events, mut taken) = mpsc::channel(4);
    let open = async |id| {
        let (peer, (stream, _)) = tokio::join!(TcpStream::connect(listener.local_addr()), listener.accept());
        (peer.expect("a connection"), spawn_connection(stream, ConnId::accepted(id), events.clone()))
    };
    let (mut flooder, _flooded) = open(1).await;
    let (mut quiet, _heard) = open(2).await;
    let flood = tokio::spawn(async move {
        let block = vec![b'x'; 256 * 1024];
        while flooder.write_all(&block).await.is_ok() {}
    });
    // The taker is slow: the flood fills every buffer there is.
    let mut total = 0;
    for _ in 0..200 {
        if let Some(StreamEvent::Data { bytes, .. }) = soon(taken.recv()).await {
            total += bytes.len();
        }
    }
    assert!(total > 0);
    quiet.write_all(b"hello").await.expect("a write");
    let mut waited = 0;
    loop {
        match soon(taken.recv()).await {
            Some(StreamEvent::Data { conn, bytes }) if conn == ConnId::accepted(2) => {
                assert_eq!(&bytes[..], b"hello");
                break;
            }
            _ => waited += 1,
        }
        tokio::task::yield_now().await;
        assert!(waited < 100, "the flood comes first");
    }
    flood.abort();
}

#[tokio::test(start_paused = true)]
async fn trn_03_a_connect_that_hangs_is_given_up_after_four_seconds() {
    // A listener that accepts nothing and whose queue is full drops what else comes.
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind((LOOPBACK, 0).into()).expect("a port");
    let full = socket.listen(0).expect("a listener");
    let target = full.local_addr().expect("an address");
    let held: Vec<_> = (0..4)
        .map(|_| {
            let stream = std::net::TcpStream::connect_timeout(&target, Duration::from_millis(200));
            stream.ok()
        })
        .collect();
    assert!(held.iter().any(Option::is_none), "the queue has no bound here");
    let (events, mut taken) = mpsc::channel(4);
    let started = tokio::time::Instant::now();
    let conn = ConnId::opened(1);
    let _handle = connect(None, target, conn, events);
    let failed = StreamEvent::ConnectFailed { conn, remote: target, error: ErrorKind::TimedOut };
    assert_eq!(taken.recv().await, Some(failed));
    assert_eq!(started.elapsed().as_secs(), CONNECT_LIMIT.as_secs());
}

#[tokio::test]
async fn trn_09_bytes_come_through_however_they_are_cut() {
    let listener = TcpListener::bind((LOOPBACK, 0).into()).expect("a listener");
    let (mut peer, (stream, _)) = tokio::join!(
        async { TcpStream::connect(listener.local_addr()).await.expect("a connection") },
        listener.accept()
    );
    let (events, mut taken) = mpsc::channel(4);
    let _handle = spawn_connection(stream, ConnId::accepted(1), events);
    peer.set_nodelay(true).expect("no delay");
    let sent: Vec<u8> = (0..=255).collect();
    let writer = async {
        for byte in &sent {
            peer.write_all(&[*byte]).await.expect("a write");
            tokio::task::yield_now().await;
        }
        peer.write_all(&sent).await.expect("a write");
        peer.shutdown().await.expect("an end");
    };
    let reader = async {
        let mut got = Vec::new();
        loop {
            match soon(taken.recv()).await {
                Some(StreamEvent::Data { bytes, .. }) => {
                    assert!(!bytes.is_empty());
                    got.extend_from_slice(&bytes);
                }
                Some(StreamEvent::Closed { error: None, .. }) => return got,
                Some(StreamEvent::Opened { accepted: true, .. }) => {}
                other => panic!("unexpected: {other:?}"),
            }
        }
    };
    let ((), got) = tokio::join!(writer, reader);
    assert_eq!(got, [&sent[..], &sent[..]].concat());
}
