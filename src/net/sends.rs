//! Datagrams on their way to the kernel: in batches, and kept while it takes no more.

use std::{
    collections::{BTreeSet, VecDeque},
    io,
    net::SocketAddr,
};

use super::{
    listen::Listeners,
    udp::{BATCH, UdpSocket},
};
use crate::sip::transport::Packet;

/// How many datagrams may wait for the kernel; the oldest are dropped first, as a full network would.
const MAX_WAITING: usize = 8192;

/// Those that wait, in their order.
#[derive(Debug, Default)]
pub struct Sends {
    waiting: VecDeque<(SocketAddr, SocketAddr, Packet)>,
}

impl Sends {
    /// Puts a datagram from `local` to `remote` behind the others.
    pub fn push(&mut self, local: SocketAddr, remote: SocketAddr, packet: Packet) {
        if self.waiting.len() == MAX_WAITING {
            self.waiting.pop_front();
        }
        self.waiting.push_back((local, remote, packet));
    }

    /// Returns whether none waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Returns whether so many wait that they should be sent before there are more.
    pub fn is_long(&self) -> bool {
        self.waiting.len() >= MAX_WAITING / 2
    }

    /// Sends what waits, in batches for each socket in turn, until the kernel takes no more; returns the targets that
    /// cannot be reached.
    pub fn flush(&mut self, listeners: &Listeners) -> BTreeSet<SocketAddr> {
        let mut failed = BTreeSet::new();
        while let Some((local, ..)) = self.waiting.front() {
            let local = *local;
            let batch = self.waiting.iter().take_while(|(from, ..)| *from == local).take(BATCH);
            let batch: Vec<(SocketAddr, &Packet)> = batch.map(|(_, remote, packet)| (*remote, packet)).collect();
            let Some(socket) = listeners.udp_on(local) else {
                self.waiting.pop_front();
                continue;
            };
            let (count, errors) = socket.try_send(&batch);
            let all = count == batch.len();
            failed.extend(errors.into_iter().map(|(remote, _)| remote));
            self.waiting.drain(..count);
            if !all {
                break;
            }
        }
        failed
    }

    /// Returns the socket of the first one that waits, whose kernel's buffer was full.
    pub fn blocked<'l>(&self, listeners: &'l Listeners) -> Option<&'l UdpSocket> {
        self.waiting.front().and_then(|(local, ..)| listeners.udp_on(*local))
    }
}

/// Waits until a socket has room again; for ever for none.
pub async fn writable(socket: Option<&UdpSocket>) -> io::Result<()> {
    match socket {
        Some(socket) => socket.writable().await,
        None => std::future::pending().await,
    }
}
