//! Datagrams on their way to the kernel: in batches, and kept while it takes no more.

mod helper;

use std::{
    collections::{BTreeSet, VecDeque},
    io,
    net::SocketAddr,
};

use self::helper::{Helper, Job};
use super::{
    listen::Listeners,
    udp::{BATCH, UdpSocket},
};
use crate::sip::transport::Packet;

/// How many datagrams may wait for the kernel; the oldest are dropped first, as a full network would.
const MAX_WAITING: usize = 8192;

/// From how many on it pays to wake another thread for them.
const MANY: usize = BATCH / 2;

/// Those that wait, in their order.
#[derive(Debug, Default)]
pub struct Sends {
    waiting: VecDeque<(SocketAddr, SocketAddr, Packet)>,
    helper: Option<Helper>,
}

impl Sends {
    /// Has a second thread send what is much, if this machine has a core for it.
    pub fn with_helper() -> Self {
        Self { waiting: VecDeque::new(), helper: Helper::start() }
    }

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
            let Some(socket) = listeners.udp_on(local) else {
                self.waiting.pop_front();
                continue;
            };
            let count = self.waiting.iter().take_while(|(from, ..)| *from == local).take(BATCH).count();
            if self.hand_over(socket, count) {
                continue;
            }
            let batch: Vec<(SocketAddr, &Packet)> =
                self.waiting.iter().take(count).map(|(_, remote, packet)| (*remote, packet)).collect();
            let (sent, errors) = socket.try_send(&batch);
            failed.extend(errors.into_iter().map(|(remote, _)| remote));
            self.waiting.drain(..sent);
            if sent < count {
                break;
            }
        }
        failed
    }

    /// Gives the first ones to the second thread, if they are many or others are on their way there; false where there is
    /// none, or it has enough to do.
    fn hand_over(&mut self, socket: &UdpSocket, count: usize) -> bool {
        let Some(helper) = self.helper.as_ref().filter(|helper| count >= MANY || helper.is_busy()) else {
            return false;
        };
        let datagrams = self.waiting.drain(..count).map(|(_, remote, packet)| (remote, packet)).collect();
        let Err(job) = helper.take(Job { socket: socket.outgoing().clone(), datagrams }) else { return true };
        for (remote, packet) in job.datagrams.into_iter().rev() {
            self.waiting.push_front((socket.local_addr(), remote, packet));
        }
        false
    }

    /// Waits for a target that the second thread cannot reach; for ever where there is none.
    pub async fn failed(&mut self) -> SocketAddr {
        match &mut self.helper {
            Some(helper) => helper.failed().await,
            None => std::future::pending().await,
        }
    }

    /// Sends what waits as far as the kernel takes it, and returns when the second thread has sent all that it has.
    pub fn finish(mut self, listeners: &Listeners) {
        self.flush(listeners);
        if let Some(helper) = self.helper {
            helper.finish();
        }
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

#[cfg(test)]
mod tests {
    use std::{net::IpAddr, time::Duration};

    use bytes::Bytes;

    use super::*;
    use crate::net::listen::PortChoice;

    fn listeners() -> (Listeners, SocketAddr) {
        let loopback: IpAddr = "127.0.0.1".parse().unwrap();
        let listeners = Listeners::bind(&[loopback], PortChoice::Any).unwrap();
        let local = SocketAddr::new(loopback, listeners.port());
        (listeners, local)
    }

    fn packet(head: String) -> Packet {
        Packet { head: head.into(), body: Bytes::new() }
    }

    #[tokio::test]
    async fn what_is_much_arrives_whole_by_two_threads_and_before_the_end() {
        let (listeners, local) = listeners();
        let peer = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        peer.set_nonblocking(true).unwrap();
        let mut sends = Sends::with_helper();
        let mut seen = vec![0; 200 + MANY];
        let mut take = || {
            let mut bytes = [0; 16];
            while let Ok(length) = peer.recv(&mut bytes) {
                let number: usize = std::str::from_utf8(&bytes[..length]).unwrap().parse().unwrap();
                seen[number] += 1;
            }
        };
        (200..200 + MANY).for_each(|number| sends.push(local, peer.local_addr().unwrap(), packet(number.to_string())));
        if sends.helper.is_some() {
            assert!(sends.hand_over(listeners.udp_on(local).unwrap(), MANY), "it has nothing to do");
        }
        for number in 0..200 {
            sends.push(local, peer.local_addr().unwrap(), packet(number.to_string()));
            if number % 40 == 39 {
                assert!(sends.flush(&listeners).is_empty());
                take();
            }
        }
        sends.finish(&listeners);
        take();
        assert!(seen.iter().all(|times| *times == 1), "{seen:?}");
    }

    #[tokio::test]
    async fn a_target_that_cannot_be_reached_is_told_whichever_thread_finds_out() {
        let (listeners, local) = listeners();
        let peer = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let (good, bad) = (peer.local_addr().unwrap(), "127.0.0.1:9".parse().unwrap());
        let mut sends = Sends::with_helper();
        for _ in 0..MANY {
            sends.push(local, good, packet("good".to_owned()));
        }
        // Larger than any datagram.
        sends.push(local, bad, packet("b".repeat(70_000)));
        let mut failed = sends.flush(&listeners);
        if failed.is_empty() {
            let told = tokio::time::timeout(Duration::from_secs(30), sends.failed()).await;
            failed.insert(told.expect("the second thread tells"));
        }
        assert_eq!(failed, BTreeSet::from([bad]));
        sends.finish(&listeners);
    }
}
