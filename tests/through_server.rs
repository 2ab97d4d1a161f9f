//! Through a presence server the last state arrives, however bad the network is on both sides of it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod world;

use std::{cell::Cell, net::SocketAddr};

use rand::RngExt;
use sippresence::presence::{
    Freshness, PresenceStatus,
    core::{Core, CoreConfig, Server, Subscribing, WatchId},
    pidf::Published,
};
use world::{
    ALICE, BOB, config, ms,
    net::{Weather, World},
    secs,
};

const SERVER: &str = "192.0.2.100:5060";

/// One packet of five is lost, whichever way it goes.
const LOSSY: Weather = Weather { loss: 0.2, doubled: 0.05, slowest: ms(300) };

struct Story {
    seed: u64,
    world: World,
    alice: SocketAddr,
    bob: SocketAddr,
    watch: WatchId,
    /// Every status that bob ever published, offline included where the server has nothing of him.
    published: Vec<PresenceStatus>,
}

impl Story {
    fn begin(seed: u64) -> Self {
        let mut world = World::new(seed);
        world.weather = LOSSY;
        world.serve(SERVER.parse().unwrap());
        let (alice, bob) = (world.start(account("alice", ALICE)), world.start(account("bob", BOB)));
        let watch = watch(&mut world, alice);
        Self { seed, world, alice, bob, watch, published: vec![PresenceStatus::Offline] }
    }

    fn publish(&mut self, status: PresenceStatus) {
        self.published.push(status.clone());
        self.world.act(self.bob, |core, now, out| core.publish(Published::new(status, now.wall), now, out));
    }

    /// Lets time pass, in which nothing may be taken for fresh that was never said.
    fn advance(&mut self, millis: u64) {
        let Self { seed, alice, watch, ref published, .. } = *self;
        self.world.advance(ms(millis), |world| {
            let state = world.core(alice).state(watch).unwrap();
            let said = state.status().is_none_or(|status| published.contains(status));
            assert!(state.freshness != Freshness::Fresh || said, "seed {seed}: {state:?}");
        });
    }

    fn assert_agrees(&self, when: &str) {
        let state = self.world.core(self.alice).state(self.watch).unwrap();
        let shown = (state.freshness, state.status());
        assert_eq!(shown, (Freshness::Fresh, self.published.last()), "seed {} {when}", self.seed);
    }

    /// Returns how long it takes until alice sees what bob said last.
    fn arrives_after(&mut self, at_most: u64) -> u64 {
        let (began, arrived) = (self.world.after(), Cell::new(None));
        let Self { alice, watch, ref published, .. } = *self;
        self.world.advance(secs(at_most), |world| {
            let state = world.core(alice).state(watch).unwrap();
            if arrived.get().is_none() && state.status() == published.last() {
                arrived.set(Some(world.after().saturating_sub(began).as_secs()));
            }
        });
        arrived.get().unwrap_or(at_most)
    }
}

/// An account of the server's domain, with short times so that a story has many refreshes.
fn account(user: &str, local: &str) -> CoreConfig {
    let server = Server { expires: 300, publish_expires: 300, retry_cap: secs(120), ..Server::new(None) };
    let address = format!("sip:{user}@192.0.2.100").parse().unwrap();
    CoreConfig { address, server: Some(server), ..config(user, local) }
}

fn watch(world: &mut World, alice: SocketAddr) -> WatchId {
    let target = "sip:bob@192.0.2.100".parse().unwrap();
    world.act(alice, |core, now, out| core.watch(target, "bob", Subscribing::Lasting, now, out))
}

fn each_seed(tell: fn(u64)) {
    // SIPPRESENCE_SEED=N repeats one story.
    match std::env::var("SIPPRESENCE_SEED") {
        Ok(seed) => tell(seed.parse().unwrap()),
        Err(_) => (0..150).for_each(tell),
    }
}

#[test]
fn with_one_packet_in_five_lost_the_last_state_arrives() {
    each_seed(|seed| {
        let mut story = Story::begin(seed);
        for n in 0..20 {
            story.publish(PresenceStatus::Custom(format!("{seed} {n}")));
            let pause = story.world.rng.random_range(0..20_000);
            story.advance(pause);
        }
        // What a request takes that is repeated until it is given up, here and there.
        story.advance(5000 + 32_000 + 32_000);
        story.assert_agrees("after twenty changes");
        assert_eq!(story.world.server().sizes(), (1, 1), "seed {seed}");
    });
}

#[test]
fn with_one_packet_in_five_lost_a_change_takes_seconds() {
    let mut times: Vec<u64> = (0..150)
        .map(|seed| {
            let mut story = Story::begin(seed);
            story.publish(PresenceStatus::Available);
            story.advance(60_000);
            story.publish(PresenceStatus::Busy);
            story.arrives_after(69)
        })
        .collect();
    times.sort_unstable();
    assert!(times[75] <= 1 && times[148] <= 10, "{times:?}");
}

#[test]
fn with_one_packet_in_five_lost_restarts_of_all_three_lose_nothing() {
    each_seed(|seed| {
        let mut story = Story::begin(seed);
        for n in 0..20 {
            match story.world.rng.random_range(0..8) {
                0 => story.world.server().restart(),
                1 => {
                    let crashed = story.world.rng.random_bool(0.5);
                    story.world.restart(account("bob", BOB), crashed);
                }
                2 => {
                    story.world.start(account("alice", ALICE));
                    story.watch = watch(&mut story.world, story.alice);
                }
                _ => story.publish(PresenceStatus::Custom(format!("{seed} {n}"))),
            }
            let pause = story.world.rng.random_range(0..40_000);
            story.advance(pause);
        }
        // A server that forgot everything is told again at the refresh of the publication, and asked again at that of the
        // subscription.
        story.advance(2 * (300_000 + 32_000) + 120_000);
        story.assert_agrees("after restarts");
    });
}

#[test]
fn with_one_packet_in_five_lost_nothing_is_left_at_the_server() {
    each_seed(|seed| {
        let mut story = Story::begin(seed);
        story.publish(PresenceStatus::Available);
        story.advance(70_000);
        story.assert_agrees("before the end");
        for address in [story.alice, story.bob] {
            story.world.act(address, Core::go_offline);
        }
        story.world.advance(secs(70), |_| {});
        assert_eq!(story.world.server().sizes(), (0, 0), "seed {seed}");
    });
}
