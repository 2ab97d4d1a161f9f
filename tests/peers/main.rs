//! Programs that we did not write, on the other end of a real wire: baresip, `SIPp`, Kamailio and dnsmasq on loopback. What
//! Kamailio is asked for our own server is asked for too, by the same code.
//!
//! A test whose program is not on this machine is listed as ignored, with the reason as its kind; with
//! `SIPPRESENCE_REQUIRE_PEERS=1` it fails. Ports are the kernel's choice, files lie in temporary folders, and
//! nothing outlives its test.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod baresip;
mod dnsmasq;
mod kamailio;
mod outbound;
#[path = "../ports/mod.rs"]
mod ports;
#[path = "../tui/screen.rs"]
#[allow(dead_code, reason = "each target uses its part")]
mod screen;
mod server;
mod sipp;
mod support;
mod winfo;
mod xcap;

use std::io::Write;

use libtest_mimic::{Arguments, Trial};
use support::Peer;

/// What Kamailio is asked alone: to want certificates of clients, to take no publications.
const OTHERWISE: [&str; 2] = [
    "kamailio::trn_22_is_shown_the_certificate_that_it_asks_for",
    "kamailio::takes_no_publication_and_the_doctor_says_so",
];

fn main() {
    let arguments = Arguments::from_args();
    let required = std::env::var("SIPPRESENCE_REQUIRE_PEERS").is_ok_and(|value| value == "1");
    let peers = [
        (Peer::find_baresip(), baresip::TESTS),
        (Peer::find("sipp"), sipp::TESTS),
        (Peer::find_kamailio(), kamailio::TESTS),
        (Peer::find_kamailio(), outbound::TESTS),
        (Peer::find_kamailio(), xcap::TESTS),
        (Peer::find_kamailio(), winfo::TESTS),
        (Peer::find_baresip().and_then(|_| Peer::find_kamailio()), kamailio::WITH_BARESIP),
        (Peer::find_baresip().map(|_| Peer::ours()), kamailio::WITH_BARESIP),
        (Peer::find_dnsmasq(), dnsmasq::TESTS),
        (Ok(Peer::ours()), kamailio::TESTS),
        (Ok(Peer::ours()), xcap::TESTS),
        (Ok(Peer::ours()), winfo::TESTS),
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
        let is_ours = peer.as_ref().is_ok_and(Peer::is_ours);
        for &(name, test) in tests.iter().filter(|(name, _)| !(is_ours && OTHERWISE.contains(name))) {
            let name = if is_ours { name.replace("kamailio::", "serve::") } else { name.to_owned() };
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
