//! The library as its user meets it: real sockets on loopback, ports that the kernel picks.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use sippresence::{
    agent::Agent,
    client::{
        Action, BuddyList, Freshness, Item, Kind, Line, Lines, PresenceClient, PresenceEvent, PresenceStatus,
        PresenceWatcher, SavedServing, Server, Timing,
    },
    config::{Environment, Paths},
};
use tokio::time::timeout;

/// Far longer than anything here takes; reached only by a test that fails.
const PATIENCE: Duration = Duration::from_mins(1);

async fn client(user: &str, default: Action) -> PresenceClient {
    let t1 = Duration::from_millis(50);
    let timing = Timing { t1, ..Timing::default() };
    let builder = PresenceClient::builder(&format!("sip:{user}@127.0.0.1")).any_port().timing(timing);
    builder.default_action(default).bind().await.unwrap()
}

async fn until(watcher: &mut PresenceWatcher, status: PresenceStatus) -> sippresence::client::Presence {
    timeout(PATIENCE, async {
        loop {
            let presence = watcher.recv().await.unwrap();
            if presence.status == status {
                return presence;
            }
        }
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn a_status_and_its_note_reach_a_watcher_and_so_does_the_next() {
    let (alice, bob) = (client("alice", Action::Allow).await, client("bob", Action::Allow).await);
    alice.presence(PresenceStatus::Busy).note("meeting").await.unwrap();
    let mut watcher = bob.watch(&alice.uri()).await.unwrap();
    let presence = until(&mut watcher, PresenceStatus::Busy).await;
    assert_eq!(presence.note.as_deref(), Some("meeting"));
    assert_eq!(presence.freshness, Freshness::Fresh);
    alice.presence(PresenceStatus::Available).await.unwrap();
    until(&mut watcher, PresenceStatus::Available).await;
}

#[tokio::test]
async fn a_stranger_waits_until_accepted_and_is_cut_off_when_rejected() {
    let (alice, bob) = (client("alice", Action::Ask).await, client("bob", Action::Ask).await);
    let mut events = alice.events();
    alice.presence(PresenceStatus::Available).await.unwrap();
    let mut watcher = bob.watch(&alice.uri()).await.unwrap();
    let first = timeout(PATIENCE, watcher.recv()).await.unwrap().unwrap();
    assert_eq!(first.freshness, Freshness::Pending);
    let subscriber = timeout(PATIENCE, async {
        loop {
            if let PresenceEvent::SubscriptionRequest { subscriber, .. } = events.recv().await.unwrap() {
                return subscriber;
            }
        }
    })
    .await
    .unwrap();
    assert_eq!(subscriber, "sip:bob@127.0.0.1");
    assert!(alice.accept("nobody@127.0.0.1").await.is_err());
    alice.accept(&subscriber).await.unwrap();
    until(&mut watcher, PresenceStatus::Available).await;
    alice.reject(&subscriber).await.unwrap();
    let last = timeout(PATIENCE, watcher.recv()).await.unwrap().unwrap();
    assert_eq!(last.freshness, Freshness::Rejected);
}

#[tokio::test]
async fn a_fetch_brings_one_state() {
    let (alice, bob) = (client("alice", Action::Allow).await, client("bob", Action::Allow).await);
    alice.presence(PresenceStatus::Away).await.unwrap();
    let mut watcher = bob.fetch(&alice.uri()).await.unwrap();
    until(&mut watcher, PresenceStatus::Away).await;
    assert!(alice.watchers().await.unwrap().is_empty());
}

#[tokio::test]
async fn buddies_are_polled_together() {
    let (alice, carol, bob) =
        (client("alice", Action::Allow).await, client("carol", Action::Allow).await, client("bob", Action::Ask).await);
    alice.presence(PresenceStatus::Available).await.unwrap();
    carol.presence(PresenceStatus::InCall).await.unwrap();
    let mut buddies = BuddyList::new();
    buddies.add(&bob, &alice.uri()).await.unwrap();
    buddies.add(&bob, &carol.uri()).await.unwrap();
    let mut seen = std::collections::BTreeMap::new();
    timeout(PATIENCE, async {
        while seen.len() < 2 || seen.values().any(|status| status == "unknown") {
            for (buddy, status) in buddies.poll().await {
                seen.insert(buddy.to_string(), status.to_string());
            }
        }
    })
    .await
    .unwrap();
    assert_eq!(seen[&alice.uri()], "available");
    assert_eq!(seen[&carol.uri()], "in-call");
}

#[tokio::test]
async fn a_closed_port_is_noticed_at_once() {
    let bob = client("bob", Action::Ask).await;
    let free = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let target = format!("sip:nobody@{}", free.local_addr().unwrap());
    drop(free);
    let mut watcher = bob.watch(&target).await.unwrap();
    let presence = timeout(PATIENCE, watcher.recv()).await.unwrap().unwrap();
    assert_eq!(presence.freshness.to_string(), "failed (connect)");
}

#[tokio::test]
async fn going_offline_tells_the_watchers_and_ends_our_own() {
    let (alice, bob) = (client("alice", Action::Allow).await, client("bob", Action::Allow).await);
    alice.presence(PresenceStatus::Available).await.unwrap();
    let mut watcher = bob.watch(&alice.uri()).await.unwrap();
    until(&mut watcher, PresenceStatus::Available).await;
    alice.stop().await;
    until(&mut watcher, PresenceStatus::Offline).await;
    bob.stop().await;
    assert!(timeout(PATIENCE, watcher.recv()).await.unwrap().is_none());
    assert!(bob.watch("alice@127.0.0.1").await.is_err());
}

#[tokio::test]
async fn large_documents_travel_by_tcp_and_come_back_by_udp_where_there_is_none() {
    let (alice, bob) = (client("alice", Action::Allow).await, client("bob", Action::Allow).await);
    let note = "n".repeat(1000);
    alice.presence(PresenceStatus::Busy).note(&note).await.unwrap();
    let mut watcher = bob.watch(&format!("{};transport=tcp", alice.uri())).await.unwrap();
    let presence = until(&mut watcher, PresenceStatus::Busy).await;
    assert_eq!(presence.note.as_deref(), Some(note.as_str()));
    let mut over_udp = bob.watch(&alice.uri()).await.unwrap();
    until(&mut over_udp, PresenceStatus::Busy).await;
}

#[tokio::test]
async fn everything_works_over_ipv6() {
    let bind = |user: &str| {
        PresenceClient::builder(&format!("sip:{user}@[::1]")).any_port().default_action(Action::Allow).bind()
    };
    // A machine without IPv6 has nothing to prove here.
    let Ok(alice) = bind("alice").await else { return };
    let bob = bind("bob").await.unwrap();
    alice.presence(PresenceStatus::DoNotDisturb).await.unwrap();
    let mut watcher = bob.watch(&alice.uri()).await.unwrap();
    until(&mut watcher, PresenceStatus::DoNotDisturb).await;
}

#[tokio::test]
async fn who_works_through_a_server_listens_where_its_requests_arrive() {
    let entry = "sip:[::1]:1".parse().unwrap();
    let builder = PresenceClient::builder("sip:alice@example.com").listen([Ipv4Addr::LOCALHOST.into()]).any_port();
    let client = builder.server(Server::new(Some(entry))).listen_toward_server().await.bind().await.unwrap();
    let addresses: Vec<IpAddr> = client.locals().iter().map(SocketAddr::ip).collect();
    assert_eq!(addresses, [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()]);
    client.stop().await;
}

#[tokio::test]
async fn a_fetch_ends_behind_its_one_state() {
    let (alice, bob) = (client("alice", Action::Allow).await, client("bob", Action::Allow).await);
    let mut watcher = bob.fetch(&alice.uri()).await.unwrap();
    assert!(timeout(PATIENCE, watcher.recv()).await.unwrap().is_some());
    assert!(timeout(PATIENCE, watcher.recv()).await.unwrap().is_none());
}

#[tokio::test]
async fn whoever_shares_a_subscription_still_reads_the_target_as_asked() {
    let (alice, bob) = (client("alice", Action::Allow).await, client("bob", Action::Allow).await);
    let bare = alice.uri().trim_start_matches("sip:").to_owned();
    let (mut first, mut second) = (bob.watch(&alice.uri()).await.unwrap(), bob.watch(&bare).await.unwrap());
    let first = timeout(PATIENCE, first.recv()).await.unwrap().unwrap();
    let second = timeout(PATIENCE, second.recv()).await.unwrap().unwrap();
    assert_eq!((first.presentity, second.presentity), (alice.uri(), bare));
}

#[tokio::test]
async fn lines_of_a_client_that_is_gone_are_stale_and_end_once() {
    let (alice, carol, bob) = (
        client("alice", Action::Allow).await,
        client("carol", Action::Allow).await,
        client("bob", Action::Allow).await,
    );
    let mut lines = Lines::new();
    for peer in [&alice, &carol] {
        lines.add(&bob, &peer.uri(), false).await.unwrap();
    }
    let mut told = Vec::new();
    while !told.iter().any(|line: &Line| line.kind == Kind::Ready) {
        told.extend(timeout(PATIENCE, lines.next()).await.unwrap());
    }
    let fresh = told.len();
    bob.stop().await;
    while !told.iter().any(|line| line.kind == Kind::End) {
        told.extend(timeout(PATIENCE, lines.next()).await.unwrap());
    }
    let last: Vec<Kind> = told[fresh..].iter().map(|line| line.kind).collect();
    assert_eq!(last, [Kind::Freshness, Kind::Freshness, Kind::End]);
    assert!((0..).zip(&told).all(|(seq, line)| line.seq == seq), "{told:#?}");
}

#[tokio::test]
async fn not_23_and_29_a_client_that_halts_and_starts_again_keeps_its_watchers() {
    let (alice, bob) = (client("alice", Action::Allow).await, client("bob", Action::Allow).await);
    alice.presence(PresenceStatus::Busy).await.unwrap();
    let mut watcher = bob.watch(&alice.uri()).await.unwrap();
    until(&mut watcher, PresenceStatus::Busy).await;
    let published = alice.own().await.unwrap().published.clone().unwrap();
    let address = format!("sip:alice@{}", alice.locals()[0]);
    let mut feed = alice.feed();
    feed.add_saved(&alice).await.unwrap();
    assert!(matches!(feed.changed().await.values().next(), Some(Item::Saved)));

    let saved = alice.halt().await.unwrap();
    assert!(matches!(timeout(PATIENCE, feed.changed()).await.unwrap().values().next(), Some(Item::Gone)));
    assert!(alice.watchers().await.is_err());
    let dialogs = |saved: &SavedServing| -> Vec<(String, String)> {
        saved.watchers.iter().map(|w| (w.subscription.call_id.clone(), w.subscription.local_tag.clone())).collect()
    };
    assert_eq!(dialogs(&saved).len(), 1);

    let builder = PresenceClient::builder(&address).default_action(Action::Allow).published(published);
    let ready = builder.restore(saved.clone(), false).open().await.unwrap();
    assert_eq!((ready.restored().kept, dialogs(&ready.saved())), (1, dialogs(&saved)));
    let numbers = |saved: &SavedServing| saved.watchers[0].subscription.local_seq;
    assert_eq!(numbers(&ready.saved()), numbers(&saved) + 10_000);
    let alice = ready.start();
    assert_eq!(alice.own().await.unwrap().published.as_ref().unwrap().status, PresenceStatus::Busy);
    alice.presence(PresenceStatus::Away).await.unwrap();
    until(&mut watcher, PresenceStatus::Away).await;
    // It is the old dialog: nobody had to subscribe anew.
    let after = alice.saved().await.unwrap();
    assert_eq!(dialogs(&after), dialogs(&saved));
    assert_eq!(after.watchers[0].subscription.remote_seq, saved.watchers[0].subscription.remote_seq);
}

#[tokio::test]
async fn sec_20_who_knows_of_a_sleep_may_say_so() {
    let (alice, bob) = (client("alice", Action::Allow).await, client("bob", Action::Allow).await);
    alice.presence(PresenceStatus::Busy).await.unwrap();
    let mut watcher = bob.watch(&alice.uri()).await.unwrap();
    until(&mut watcher, PresenceStatus::Busy).await;
    bob.resumed().await.unwrap();
    let mut freshness = Vec::new();
    while freshness.len() < 2 {
        let presence = timeout(PATIENCE, watcher.recv()).await.unwrap().unwrap();
        assert_eq!(presence.status, PresenceStatus::Busy);
        freshness.push(presence.freshness);
    }
    assert_eq!(freshness, [Freshness::Stale, Freshness::Fresh]);
    bob.stop().await;
    assert!(bob.resumed().await.is_err());
}

#[tokio::test]
async fn an_agent_ends_with_its_client() {
    let folder = tempfile::tempdir().unwrap();
    let env = Environment {
        home: folder.path().into(),
        config_home: folder.path().join("config"),
        state_home: folder.path().join("state"),
        runtime_dir: Some(folder.path().join("run")),
        user: "alice".into(),
    };
    let alice = client("alice", Action::Allow).await;
    let agent = Agent::with_client(alice.clone(), &Paths::new(None, &env)).await.unwrap();
    alice.stop().await;
    timeout(Duration::from_secs(5), agent.serve()).await.unwrap();
}

#[tokio::test]
async fn a_client_whose_runtime_ends_leaves_nobody_waiting() {
    let (found, bob) = tokio::sync::oneshot::channel();
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            found.send(client("bob", Action::Allow).await).unwrap();
            // It ends by being dropped.
            let _ = ended.await;
        });
    });
    let mut watcher = bob.await.unwrap().watch("me").await.unwrap();
    drop(end);
    timeout(PATIENCE, async { while watcher.recv().await.is_some() {} }).await.unwrap();
}
