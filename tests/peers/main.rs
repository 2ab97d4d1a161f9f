//! Programs that we did not write, on the other end of a real wire: baresip, `SIPp`, Kamailio and dnsmasq on loopback.
//!
//! A test whose program is not on this machine is listed as ignored, with the reason as its kind; with
//! `SIPPRESENCE_REQUIRE_PEERS=1` it fails. Ports are the kernel's choice, files lie in temporary folders, and
//! nothing outlives its test.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod baresip;
mod dnsmasq;
mod kamailio;
mod outbound;
#[path = "../tui/screen.rs"]
#[allow(dead_code, reason = "each target uses its part")]
mod screen;
mod sipp;
mod support;
mod xcap;

use std::io::Write;

use libtest_mimic::{Arguments, Trial};
use support::Peer;

fn main() {
    let arguments = Arguments::from_args();
    let required = std::env::var("SIPPRESENCE_REQUIRE_PEERS").is_ok_and(|value| value == "1");
    let peers = [
        (Peer::find_baresip(), baresip::TESTS),
        (Peer::find("sipp"), sipp::TESTS),
        (Peer::find_kamailio(), kamailio::TESTS),
        (Peer::find_kamailio(), outbound::TESTS),
        (Peer::find_kamailio(), xcap::TESTS),
        (Peer::find_baresip().and_then(|_| Peer::find_kamailio()), kamailio::WITH_BARESIP),
        (Peer::find_dnsmasq(), dnsmasq::TESTS),
    ];
    let mut trials = Vec::new();
    let mut skipped = Vec::new();
    for (peer, tests) in peers {
        if let (Err(missing), false) = (&peer, required) {
            skipped.push(format!(
                "{} with {} ({missing})",
                tests.len(),
                tests.first().map_or("?", |test| test.0).split("::").next().unwrap_or_default()
            ));
        }
        for &(name, test) in tests {
            trials.push(match peer.clone() {
                Ok(peer) => Trial::test(name, move || {
                    test(&peer);
                    Ok(())
                }),
                Err(missing) if required => Trial::test(name, move || Err(missing.into())),
                Err(missing) => Trial::test(name, || Ok(())).with_kind(missing).with_ignored_flag(true),
            });
        }
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    if !arguments.list && !skipped.is_empty() {
        let skipped = skipped.join(", ");
        // A terminal that is gone needs no summary.
        let _ = writeln!(std::io::stdout(), "skipped for want of a peer: {skipped}\n");
    }
    conclusion.exit();
}
