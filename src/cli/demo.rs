//! `demo`: an agent and six lively peers on this machine, with real SIP between them.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::{Context, Exit, Failed, watch::Signals};
use crate::{
    agent::{Agent, Order},
    client::{Action, Buddies, Kind, Lines, Policy, PresenceClient, PresenceStatus, Timing},
    config::{Environment, Paths},
};

/// How long it plays where nobody can end it by a key.
const PLAYS_FOR: Duration = Duration::from_secs(30);
/// The pause between two steps of one peer; NOTIFYs for changes are at least five seconds apart (RFC 3856 §6.10).
const STEP: Duration = Duration::from_millis(5200);

/// One peer: what it shows, one after another.
struct Role {
    name: &'static str,
    scenes: &'static [(PresenceStatus, &'static str)],
}

const CAST: [Role; 6] = [
    Role {
        name: "alice",
        scenes: &[
            (PresenceStatus::Available, "at my desk"),
            (PresenceStatus::InCall, ""),
            (PresenceStatus::Available, "back again ☕"),
        ],
    },
    Role {
        name: "bob",
        scenes: &[(PresenceStatus::Busy, "writing the report"), (PresenceStatus::DoNotDisturb, "nearly done")],
    },
    Role { name: "carol", scenes: &[(PresenceStatus::Away, "lunch"), (PresenceStatus::Available, "")] },
    Role {
        name: "dave",
        scenes: &[(PresenceStatus::InCall, "with a customer"), (PresenceStatus::Available, "call me")],
    },
    Role {
        name: "erin",
        scenes: &[(PresenceStatus::DoNotDisturb, "giving a talk"), (PresenceStatus::Busy, "questions")],
    },
    Role { name: "frank", scenes: &[(PresenceStatus::Offline, ""), (PresenceStatus::Available, "good morning")] },
];

/// Plays until q or Ctrl-C on a terminal, else for half a minute; leaves nothing behind.
pub(super) async fn run(context: Context) -> Result<Exit, Failed> {
    let mut signals = Signals::new();
    let folder = tempfile::Builder::new()
        .prefix("sippresence-demo-")
        .tempdir()
        .map_err(|error| Failed::new(Exit::Bug, format!("cannot make a temporary folder: {error}")))?;
    let root = folder.path();
    let env = Environment {
        home: root.into(),
        config_home: root.join("config"),
        state_home: root.join("state"),
        runtime_dir: Some(root.join("run")),
        user: "you".into(),
    };
    let config_file = root.join("config.toml");
    let paths = Paths::new(Some(&config_file), &env);
    let me = client("you", Policy::new(Action::Allow)).await?;
    context.trace.follow(&me);
    let mut peers = Vec::new();
    for role in &CAST {
        peers.push(client(role.name, Policy::new(Action::Allow)).await?);
    }
    let mut lines = Lines::new();
    for (peer, role) in peers.iter().zip(&CAST) {
        let (status, note) = &role.scenes[0];
        play(peer, status, note).await?;
        lines.add_named(&me, &peer.uri(), role.name).await?;
    }
    let agent = Agent::with_client(me.clone(), Buddies::default(), &paths).await?;
    let orders = agent.orders();
    let agent = tokio::spawn(agent.serve());
    let by_key = context.output.is_terminal() && !context.output.is_json();
    let end = if by_key { "q or Ctrl-C ends it" } else { "it ends by itself after 30 s" };
    context.output.tell(&format!("six peers on this machine talk SIP with you; {end}"));
    let shown = async {
        loop {
            for line in lines.next().await {
                let shown = matches!(line.kind, Kind::Snapshot | Kind::Change | Kind::Freshness | Kind::End);
                if (shown || context.output.is_json())
                    && let Err(closed) = context.output.line(&line, true)
                {
                    return closed;
                }
            }
        }
    };
    let ended = async {
        if by_key {
            key_pressed().await;
        } else {
            sleep(PLAYS_FOR).await;
        }
    };
    let exit = tokio::select! {
        closed = shown => closed.into(),
        () = ended => Exit::Done,
        signal = signals.next() => Exit::Signal(signal),
        failed = play_all(&peers) => return Err(failed),
    };
    // One that has ended needs no order.
    let _ = orders.try_send(Order::Stop);
    for peer in &peers {
        // They are all of this process: a goodbye that takes long is not waited for.
        let _ = timeout(Duration::from_millis(200), peer.stop()).await;
    }
    let _ = timeout(Duration::from_secs(2), agent).await;
    // Ctrl-C is the way out here, not a failure.
    Ok(if exit == Exit::Signal(2) { Exit::Done } else { exit })
}

async fn client(name: &str, policy: Policy) -> Result<PresenceClient, Failed> {
    let builder = PresenceClient::builder(&format!("sip:{name}@127.0.0.1")).any_port().policy(policy);
    Ok(builder.timing(Timing::default()).bind().await?)
}

/// Lets every peer go through its scenes, one peer after another, for ever.
async fn play_all(peers: &[PresenceClient]) -> Failed {
    let mut scene = 1;
    loop {
        for (peer, role) in peers.iter().zip(&CAST) {
            sleep(STEP / u32::try_from(peers.len()).unwrap_or(1)).await;
            let (status, note) = &role.scenes[scene % role.scenes.len()];
            if let Err(failed) = play(peer, status, note).await {
                return failed;
            }
        }
        scene += 1;
    }
}

async fn play(peer: &PresenceClient, status: &PresenceStatus, note: &str) -> Result<(), Failed> {
    let builder = peer.presence(status.clone());
    if note.is_empty() {
        builder.await?;
    } else {
        builder.note(note).await?;
    }
    Ok(())
}

/// Waits for q, without waiting for the end of a line; the terminal is as before when this ends or is dropped.
async fn key_pressed() {
    let Some(mut keys) = super::keys::Keys::open() else { return std::future::pending().await };
    while !matches!(keys.next().await, Some(b'q' | b'Q') | None) {}
}
