//! What strangers cost who are nobody: floods of SUBSCRIBEs whose senders never answer, while real watchers are served.
//!
//! Prints, for each kind of flood: the time that one of its requests takes, how many bytes go back for each that came
//! (SEC-01), what is held afterwards (SEC-02), and how late real watchers hear of a change meanwhile, on the core's clock.

mod world;

use std::{
    alloc::System,
    net::SocketAddr,
    time::{Duration, Instant},
};

use sippresence::{
    presence::{PresenceStatus, core::Input},
    sip::effect::Effect,
};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

use self::world::{Table, answer, peer};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Real watchers, at the first addresses.
const WATCHERS: usize = 1000;
/// Requests of a flood in a second, on the core's clock.
const A_SECOND: u32 = 10_000;
/// How often our status changes: no watcher is told sooner (RFC 3856 §6.10).
const CHANGES_EVERY: Duration = Duration::from_secs(5);

/// How a flood is made.
struct Flood {
    name: &'static str,
    /// Who sends the nth request, as an address and as a name.
    from: fn(usize) -> (SocketAddr, String),
    /// For how long it wants to watch.
    expires: u32,
}

const FLOODS: [Flood; 4] = [
    Flood {
        name: "each from somewhere else",
        from: |n| (stranger(n), format!("s{n}@{}", stranger(n).ip())),
        expires: 3600,
    },
    Flood {
        name: "all from one address",
        from: |n| (stranger(0), format!("s{n}@{}", stranger(0).ip())),
        expires: 3600,
    },
    Flood { name: "one look each", from: |n| (stranger(n), format!("s{n}@{}", stranger(n).ip())), expires: 0 },
    Flood {
        name: "each in the name of somebody whom we allow",
        from: |n| (stranger(n), format!("u@{}", peer(n % WATCHERS).ip())),
        expires: 3600,
    },
];

fn stranger(n: usize) -> SocketAddr {
    peer(1_000_000 + n)
}

fn request(flood: &Flood, n: usize) -> (SocketAddr, String) {
    let (address, who) = (flood.from)(n);
    let text = format!(
        "SUBSCRIBE sip:bob@192.0.2.20 SIP/2.0\r\nVia: SIP/2.0/UDP {address};branch=z9hG4bKflood{n};rport\r\n\
         Max-Forwards: 70\r\nFrom: <sip:{who}>;tag=f{n}\r\nTo: <sip:bob@192.0.2.20>\r\nCall-ID: flood{n}\r\n\
         CSeq: 1 SUBSCRIBE\r\nContact: <sip:s@{address}>\r\nEvent: presence\r\nAccept: application/pidf+xml\r\n\
         Expires: {}\r\nContent-Length: 0\r\n\r\n",
        flood.expires
    );
    (address, text)
}

/// What came of what was sent.
#[derive(Default)]
struct Sent {
    /// Bytes that went to nobody.
    lost: usize,
    /// Watchers that heard of the newest change.
    told: usize,
}

/// Sends what waits; watchers answer, strangers do not.
fn exchange(table: &mut Table) -> Sent {
    let mut sent = Sent::default();
    loop {
        if table.core.wants_pump() {
            table.core.pump(64, table.now, &mut table.out);
        }
        let effects = std::mem::take(&mut table.out.effects);
        if effects.is_empty() && !table.core.wants_pump() {
            table.forget();
            return sent;
        }
        for effect in effects {
            let Effect::Send { remote, packet, .. } = effect else { continue };
            if remote.ip() >= stranger(0).ip() {
                sent.lost += packet.len();
                continue;
            }
            let text = String::from_utf8(packet.to_vec()).expect("text");
            if text.starts_with("NOTIFY") {
                sent.told += 1;
                table.input(remote, &answer(&text));
            }
        }
    }
}

#[allow(clippy::print_stderr, reason = "figures for people")]
fn run(flood: &Flood, requests: usize) {
    let mut table = Table::serving(WATCHERS);
    settle(&mut table);
    let region = Region::new(ALLOCATOR);
    let (mut came, mut lost, mut busy) = (0, 0, Duration::ZERO);
    let (mut changes, mut told, mut latest, mut next_change) = (0, 0, Duration::ZERO, table.now.at);
    let mut changed_at = table.now.at;
    for n in 0..requests {
        if table.now.at >= next_change {
            // The last change was heard by all before the next one comes.
            assert_eq!(told, changes * WATCHERS, "{}: a watcher was not told", flood.name);
            changes += 1;
            let status = if changes % 2 == 0 { PresenceStatus::Away } else { PresenceStatus::Busy };
            table.publish(status);
            (changed_at, next_change) = (table.now.at, table.now.at + CHANGES_EVERY + Duration::from_secs(1));
        }
        let (address, text) = request(flood, n);
        // As it comes, and once more as who had no answer sends it.
        for resent in [n.checked_sub(A_SECOND as usize / 2), Some(n)].into_iter().flatten() {
            let (address, text) = if resent == n { (address, text.clone()) } else { request(flood, resent) };
            came += text.len();
            let began = Instant::now();
            table.now.at = table.now.at + Duration::from_secs(1) / A_SECOND / 2;
            table.core.handle(Input::Tick, table.now, &mut table.out);
            table.core.handle(
                Input::Datagram { local: ([192, 0, 2, 20], 5060).into(), remote: address, bytes: text.as_bytes() },
                table.now,
                &mut table.out,
            );
            busy += began.elapsed();
            let sent = exchange(&mut table);
            (lost, told) = (lost + sent.lost, told + sent.told);
            if sent.told > 0 {
                latest = latest.max(table.now.at.since(changed_at));
            }
        }
    }
    let most = held(&region);
    lost += settle(&mut table);
    let after = held(&region);
    let each = busy / u32::try_from(requests * 2).unwrap_or(u32::MAX);
    // In hundredths.
    let back = lost * 100 / came;
    let (watchers, unproven) = table.core.served();
    assert_eq!(watchers, WATCHERS, "{}: a watcher was lost", flood.name);
    eprintln!(
        "{requests} requests, {}: {each:?} for each datagram; {}.{:02} bytes back for each that came; {} KiB more are held at \
         the end, {} KiB a minute later, with {unproven} strangers; {changes} changes reached all {WATCHERS} watchers, the latest after {latest:?}",
        flood.name,
        back / 100,
        back % 100,
        most / 1024,
        after / 1024,
    );
}

/// Returns how many more bytes are held than when the region began.
fn held(region: &Region<'_, System>) -> isize {
    let change = region.change();
    change.bytes_allocated.cast_signed() - change.bytes_deallocated.cast_signed()
}

/// Lets everything end that nobody answers.
fn settle(table: &mut Table) -> usize {
    let mut lost = 0;
    for _ in 0..70 {
        table.pass(Duration::from_secs(1));
        table.core.handle(Input::Tick, table.now, &mut table.out);
        lost += exchange(table).lost;
    }
    lost
}

fn main() {
    let quick = std::env::args().any(|argument| argument == "--quick");
    for flood in &FLOODS {
        run(flood, if quick { 20_000 } else { 100_000 });
    }
}
