//! What a datagram costs us above the kernel: a fan-out to many peers, and a full socket drained.

use std::net::{IpAddr, Ipv4Addr};

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use sippresence::{
    net::udp::{RecvBatch, UdpSocket},
    sip::transport::Packet,
};

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn udp(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let _guard = runtime.enter();
    let bind = || UdpSocket::bind((LOOPBACK, 0).into()).expect("a socket");
    let (sender, peers) = (bind(), (0..64).map(|_| bind()).collect::<Vec<_>>());
    let packet = Packet { head: Bytes::from(vec![b'h'; 500]), body: Bytes::from(vec![b'b'; 700]) };
    let drain = |batch: &mut RecvBatch| {
        for peer in &peers {
            while peer.try_recv(batch).is_ok() {}
        }
    };

    let mut group = c.benchmark_group("udp");
    let fan_out: Vec<_> = (0..1024).map(|n| (peers[n % peers.len()].local_addr(), &packet)).collect();
    group.throughput(Throughput::Elements(fan_out.len() as u64));
    group.bench_function("send to 64 peers", |b| {
        let mut batch = RecvBatch::new();
        b.iter_batched(|| drain(&mut batch), |()| sender.try_send(&fan_out), BatchSize::PerIteration);
    });
    group.bench_function("receive", |b| {
        let (mut batch, burst) = (RecvBatch::new(), vec![(peers[0].local_addr(), &packet); 1024]);
        b.iter_batched(
            || {
                drain(&mut RecvBatch::new());
                sender.try_send(&burst)
            },
            |_| {
                let mut got = 0;
                while let Ok(count) = peers[0].try_recv(&mut batch) {
                    got += count;
                }
                got
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(benches, udp);
criterion_main!(benches);
