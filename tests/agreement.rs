//! Two cores on a bad network come to agree, and the watcher never takes for fresh what was never said.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod world;

use std::{cell::Cell, net::SocketAddr};

use rand::RngExt;
use sippresence::presence::{
    Freshness, PresenceStatus,
    core::{CoreConfig, Subscribing, WatchId},
    pidf::Published,
    policy::Action,
};
use world::{
    ALICE, BOB, config, ms,
    net::{Weather, World},
    policy, secs,
};

struct Story {
    seed: u64,
    world: World,
    alice: SocketAddr,
    bob: SocketAddr,
    watch: WatchId,
    /// Every status that bob ever published, offline included once he never said anything.
    published: Vec<PresenceStatus>,
    listed: bool,
}

impl Story {
    fn begin(seed: u64) -> Self {
        let mut world = World::new(seed);
        let listed = world.rng.random_bool(0.5);
        let (alice, bob) = (world.start(config("alice", ALICE)), world.start(bobs(listed)));
        let watch = watch(&mut world, alice);
        Self { seed, world, alice, bob, watch, published: vec![PresenceStatus::Offline], listed }
    }

    fn publish(&mut self, status: PresenceStatus) {
        self.published.push(status.clone());
        self.world.act(self.bob, |core, now, out| core.publish(Published::new(status, now.wall), now, out));
    }

    fn advance(&mut self, millis: u64) {
        let Self { seed, alice, watch, ref published, .. } = *self;
        let looked = Cell::new(0);
        self.world.advance(ms(millis), |world| {
            looked.set(looked.get() + 1);
            let state = world.core(alice).state(watch).unwrap();
            let said = state.status().is_none_or(|status| published.contains(status));
            assert!(state.freshness != Freshness::Fresh || said, "seed {seed}: {state:?}");
        });
    }

    fn tell(&mut self) {
        for n in 0..30 {
            let status = PresenceStatus::Custom(format!("{} {n}", self.seed));
            match self.world.rng.random_range(0..10) {
                0 => {
                    self.world.start(bobs(self.listed));
                    self.publish(status);
                }
                1 | 2 => {
                    let crashed = self.world.rng.random_bool(0.5);
                    self.world.restart(bobs(self.listed), crashed);
                }
                3 => {
                    self.world.start(config("alice", ALICE));
                    self.watch = watch(&mut self.world, self.alice);
                }
                _ => self.publish(status),
            }
            let pause = self.world.rng.random_range(0..40_000);
            self.advance(pause);
        }
    }
}

fn bobs(listed: bool) -> CoreConfig {
    // Both ways in: proven by the list, and by answering.
    let policy = if listed { policy(&[("alice@192.0.2.10", Action::Allow)]) } else { world::open_policy() };
    CoreConfig { policy, ..config("bob", BOB) }
}

fn watch(world: &mut World, alice: SocketAddr) -> WatchId {
    let target = "sip:bob@192.0.2.20".parse().unwrap();
    world.act(alice, |core, now, out| core.watch(target, "bob", Subscribing::Lasting, now, out))
}

fn agree(seed: u64) {
    let mut story = Story::begin(seed);
    let rng = &mut story.world.rng;
    story.world.weather = Weather {
        loss: rng.random_range(0.0..0.3),
        doubled: rng.random_range(0.0..0.3),
        slowest: ms(rng.random_range(1..3000)),
    };
    story.tell();
    story.world.weather = Weather::FAIR;
    // The subscription's life, an attempt that just began in the bad time, and the longest back-off.
    story.advance(300_000 + 32_000 + 144_000);
    let state = story.world.core(story.alice).state(story.watch).unwrap();
    assert_eq!(state.freshness, Freshness::Fresh, "seed {seed}: {state:?}");
    assert_eq!(state.status(), story.published.last(), "seed {seed}");
    // A change in fair weather arrives within the pace of NOTIFYs.
    story.publish(PresenceStatus::Away);
    story.advance(6000);
    let state = story.world.core(story.alice).state(story.watch).unwrap();
    assert_eq!((state.freshness, state.status()), (Freshness::Fresh, Some(&PresenceStatus::Away)), "seed {seed}");
    // And nothing is left when alice goes.
    let (alice, watch) = (story.alice, story.watch);
    story.world.act(alice, |core, now, out| core.unwatch(watch, now, out));
    story.world.advance(secs(700), |_| {});
    for address in [story.alice, story.bob] {
        let core = story.world.core(address);
        assert_eq!((core.sizes(), core.served(), core.deadline()), ((0, 0, 0), (0, 0), None), "seed {seed}: {address}");
    }
}

#[test]
fn the_watcher_agrees_with_the_notifier_once_the_network_heals() {
    // SIPPRESENCE_SEED=N repeats one story.
    match std::env::var("SIPPRESENCE_SEED") {
        Ok(seed) => agree(seed.parse().unwrap()),
        Err(_) => (0..150).for_each(agree),
    }
}
