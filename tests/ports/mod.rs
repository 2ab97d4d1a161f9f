//! Ports for programs that have to be told theirs, so that no two tests come by the same one.
//!
//! A port that the kernel picked and that was let go of again may be given to somebody else before the program that it
//! is for takes it; and whoever then asks on that port is answered by a stranger. So these lie where the kernel picks
//! none by itself, and each is given out once.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener, UdpSocket},
    process,
    sync::atomic::{AtomicU16, Ordering},
};

/// Above the ports of well-known services. All that there are lie below those that Linux gives to whoever asks for any.
const FIRST: u16 = 20_000;
/// How many belong together: a server listens on those behind its own as well.
const TOGETHER: u16 = 4;
const GROUPS: u16 = 3_000;

static TAKEN: AtomicU16 = AtomicU16::new(0);

/// Returns a port that UDP and TCP have free on the loopback addresses, as they have the three behind it. In this
/// process nobody else gets any of them.
pub(crate) fn free_port() -> u16 {
    // Several runs on one machine, whose numbers are close together, begin far from each other.
    let begin = u16::try_from(process::id().wrapping_mul(97) % u32::from(GROUPS)).unwrap_or_default();
    let mut ports = (0..GROUPS).map(|_| FIRST + (begin + TAKEN.fetch_add(1, Ordering::Relaxed)) % GROUPS * TOGETHER);
    ports.find(|&port| (port..port + TOGETHER).all(is_free)).expect("a free port below 32000")
}

fn is_free(port: u16) -> bool {
    let has_v6 = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
    let addresses: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    addresses
        .iter()
        .filter(|address| address.is_ipv4() || has_v6)
        .all(|&address| UdpSocket::bind((address, port)).is_ok() && TcpListener::bind((address, port)).is_ok())
}
