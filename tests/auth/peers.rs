//! Two agents who share a secret, on a network that loses, doubles and delays: each is sure of the other (AUT-01,
//! AUT-12, AUT-18, SEC-03).

use std::net::SocketAddr;

use sippresence::presence::{
    Freshness, PresenceStatus,
    core::{CoreConfig, Subscribing, WatchId},
    event::WatcherGrade,
    pidf::Published,
    policy::{Action, Require},
};

use crate::{
    CHALLENGE,
    world::{
        ALICE, BOB, Script, config, ms,
        net::{Weather, World},
        policy, secs,
    },
};

const SECRET: &str = "correct-horse-9";

fn alice() -> CoreConfig {
    config("alice", ALICE)
}

/// Bob, who lets in nobody but whoever proved to be alice.
fn bob() -> CoreConfig {
    let mut policy = policy(&[("alice@192.0.2.10", Action::Allow)]);
    policy.require = Require::Verified;
    CoreConfig { policy, ..config("bob", BOB) }
}

fn place(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// Has each share a secret with the other.
fn share(world: &mut World, with_alice: &'static str) {
    world.secrets = [(place(ALICE), with_alice), (place(BOB), SECRET)].into();
    for (who, peer) in [(ALICE, "sip:bob@192.0.2.20"), (BOB, "sip:alice@192.0.2.10")] {
        let peers = [peer.parse().unwrap()];
        world.act(place(who), |core, now, out| core.set_peers(&peers, now, out));
    }
}

fn publish(world: &mut World, status: PresenceStatus) {
    world.act(place(BOB), |core, now, out| core.publish(Published::new(status, now.wall), now, out));
}

fn watch(world: &mut World) -> WatchId {
    let (uri, target) = ("sip:bob@192.0.2.20".parse().unwrap(), "bob@192.0.2.20");
    world.act(place(ALICE), |core, now, out| core.watch(uri, target, Subscribing::Lasting, now, out))
}

fn shown(world: &World, id: WatchId) -> (Freshness, Option<PresenceStatus>) {
    let state = world.core(place(ALICE)).state(id).unwrap();
    (state.freshness, state.info.as_ref().and_then(|info| info.status.clone()))
}

fn grades(world: &World) -> Vec<WatcherGrade> {
    world.core(place(BOB)).watchers().iter().map(|watcher| watcher.grade).collect()
}

#[test]
fn aut_01_two_peers_with_one_secret_are_sure_of_each_other_in_any_weather() {
    for seed in 0..40 {
        let mut world = World::new(seed);
        world.weather = Weather { loss: 0.25, doubled: 0.2, slowest: ms(700) };
        world.start(alice());
        world.start(bob());
        share(&mut world, SECRET);
        publish(&mut world, PresenceStatus::Busy);
        let id = watch(&mut world);
        world.advance(secs(900), |world| {
            assert!(grades(world).iter().all(|grade| *grade == WatcherGrade::Verified), "seed {seed}");
        });
        world.weather = Weather::FAIR;
        publish(&mut world, PresenceStatus::Away);
        world.advance(secs(400), |_| {});
        assert_eq!(shown(&world, id), (Freshness::Fresh, Some(PresenceStatus::Away)), "seed {seed}");
        assert_eq!(grades(&world), [WatcherGrade::Verified], "seed {seed}");
    }
}

#[test]
fn sec_03_a_notifier_that_begins_anew_or_forgot_all_is_answered_anew() {
    for crashed in [false, true] {
        let mut world = World::new(9);
        world.start(alice());
        world.start(bob());
        share(&mut world, SECRET);
        publish(&mut world, PresenceStatus::Busy);
        let id = watch(&mut world);
        world.advance(secs(30), |_| {});
        world.restart(bob(), crashed);
        share(&mut world, SECRET);
        publish(&mut world, PresenceStatus::Away);
        world.advance(secs(400), |_| {});
        assert_eq!(shown(&world, id), (Freshness::Fresh, Some(PresenceStatus::Away)));
        assert_eq!(grades(&world), [WatcherGrade::Verified]);
        // Nothing is left of the subscription: the next one is by a nonce that bob does not know.
        world.start(bob());
        share(&mut world, SECRET);
        publish(&mut world, PresenceStatus::Busy);
        world.advance(secs(900), |_| {});
        assert_eq!(shown(&world, id), (Freshness::Fresh, Some(PresenceStatus::Busy)));
    }
}

#[test]
fn aut_18_another_secret_shows_nothing_until_it_is_the_same() {
    let mut world = World::new(3);
    world.start(alice());
    world.start(bob());
    share(&mut world, "another");
    publish(&mut world, PresenceStatus::Busy);
    let id = watch(&mut world);
    world.advance(secs(600), |world| assert!(grades(world).is_empty()));
    assert_eq!(shown(&world, id).1, None);
    let state = world.core(place(ALICE)).state(id).unwrap();
    let reason = state.subscription.as_ref().and_then(|info| info.reason.clone()).unwrap_or_default();
    assert!(reason.contains("the password for realm \"bob@192.0.2.20\" is wrong"), "{reason}");
    // The file is mended, and nobody has to begin anew.
    share(&mut world, SECRET);
    world.advance(secs(60), |_| {});
    assert_eq!(shown(&world, id), (Freshness::Fresh, Some(PresenceStatus::Busy)));
}

#[test]
fn a_secret_that_one_side_has_alone_lets_nobody_in_until_the_other_has_it_too() {
    let mut world = World::new(5);
    world.start(alice());
    world.start(bob());
    world.secrets = [(place(BOB), SECRET)].into();
    let peers = ["sip:alice@192.0.2.10".parse().unwrap()];
    world.act(place(BOB), |core, now, out| core.set_peers(&peers, now, out));
    publish(&mut world, PresenceStatus::Busy);
    let id = watch(&mut world);
    world.advance(secs(100), |world| assert!(grades(world).is_empty()));
    assert_eq!(shown(&world, id).1, None);
    share(&mut world, SECRET);
    world.advance(secs(10), |_| {});
    assert_eq!(shown(&world, id), (Freshness::Fresh, Some(PresenceStatus::Busy)));
}

#[test]
fn aut_12_the_secret_of_a_peer_answers_that_peer_and_nobody_else() {
    let mut script = Script::new(alice());
    script.password = Some(SECRET);
    let peers = ["sip:bob@192.0.2.20".parse().unwrap()];
    script.act(|core, now, out| core.set_peers(&peers, now, out));
    for (target, is_bob) in [
        ("sip:bob@192.0.2.20", true),
        ("sip:carol@192.0.2.20", false),
        ("sip:bob@192.0.2.20:5070", false),
        ("sip:bob@192.0.2.30", false),
    ] {
        let uri = target.parse().unwrap();
        script.act(|core, now, out| core.watch(uri, target, Subscribing::Once, now, out));
        let first = script.expect("SUBSCRIBE");
        assert_eq!(first.get("Authorization"), None);
        // Whatever it calls its realm.
        script.answer_with(&first, "401 Unauthorized", CHALLENGE);
        if is_bob {
            let second = script.expect("SUBSCRIBE");
            let line = second.header("Authorization");
            assert!(line.contains("username=\"alice@192.0.2.10\", realm=\"example.com\""), "{line}");
            script.answer(&second, "403 Forbidden");
        } else {
            script.nothing();
        }
    }
}
