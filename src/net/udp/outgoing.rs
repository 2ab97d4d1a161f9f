//! The sending end of a UDP socket, which several threads may have.

use std::{
    cell::RefCell,
    io::{self, IoSlice},
    net::SocketAddr,
    os::fd::{AsFd as _, AsRawFd as _},
    sync::Arc,
    thread,
    time::Duration,
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::{self, MsgFlags, MultiHeaders, SockaddrStorage},
};

use super::{BATCH, is_of_a_peer};
use crate::sip::transport::Packet;

thread_local! {
    // Filled anew at each call, and never used to receive.
    static SEND: RefCell<MultiHeaders<SockaddrStorage>> = RefCell::new(MultiHeaders::preallocate(BATCH, None));
}

/// See the module's text.
#[derive(Clone, Debug)]
pub struct Outgoing(Arc<std::net::UdpSocket>);

impl Outgoing {
    pub(super) fn of(socket: &std::net::UdpSocket) -> io::Result<Self> {
        Ok(Self(Arc::new(socket.try_clone()?)))
    }

    /// Sends as many of `packets` as the kernel takes without waiting, in order.
    ///
    /// Returns how many of them are dealt with, counted from the first: each of those was sent or stands in
    /// the list of failures. The rest would block: wait, then send them.
    pub fn try_send(&self, packets: &[(SocketAddr, &Packet)]) -> (usize, Vec<(SocketAddr, io::Error)>) {
        let (mut done, mut failed, mut reported) = (0, Vec::new(), 0);
        while let Some(rest) = packets.get(done..).filter(|rest| !rest.is_empty()) {
            match self.send_batch(&rest[..rest.len().min(BATCH)]) {
                Ok(sent) => (done, reported) = (done + sent, 0),
                Err(Errno::EAGAIN) => break,
                Err(Errno::EINTR) => {}
                // An error that an earlier datagram earned is reported at the next send, which it hinders: that
                // is not this target's fault. Asking again clears it; what stays is the target's own.
                Err(error) if is_of_a_peer(error) && reported < 8 => reported += 1,
                Err(error) => {
                    failed.push((rest[0].0, error.into()));
                    (done, reported) = (done + 1, 0);
                }
            }
        }
        (done, failed)
    }

    /// Waits until the kernel's buffer has room again, and for half a second at most; for a thread that has nothing else to do.
    pub fn wait_for_room(&self) {
        let mut fds = [PollFd::new(self.0.as_fd(), PollFlags::POLLOUT)];
        // Whoever waited in vain tries again.
        let _ = poll(&mut fds, PollTimeout::from(500_u16));
        let has_room = fds[0].revents().is_some_and(|events| events.contains(PollFlags::POLLOUT));
        if !has_room {
            // An error that waits to be fetched ends each wait at once.
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn send_batch(&self, packets: &[(SocketAddr, &Packet)]) -> nix::Result<usize> {
        let slices: Vec<_> = packets.iter().map(|(_, p)| [IoSlice::new(&p.head), IoSlice::new(&p.body)]).collect();
        let targets: Vec<_> = packets.iter().map(|(target, _)| Some(SockaddrStorage::from(*target))).collect();
        SEND.with_borrow_mut(|headers| {
            let flags = MsgFlags::MSG_DONTWAIT;
            socket::sendmmsg(self.0.as_raw_fd(), headers, &slices, targets, [], flags).map(Iterator::count)
        })
    }
}
