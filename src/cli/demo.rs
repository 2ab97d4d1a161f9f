//! `demo`: an agent and six lively peers on this machine, with the embedded server between them and real SIP on every way: the
//! buddy list on a terminal, else a line for each change. A stranger asks for approval, from peer to peer, and one peer goes
//! without a word: the server ends what it published within a minute.

use std::{net::IpAddr, time::Duration};

use tokio::time::{Instant, sleep, timeout};

use super::{Context, Exit, Failed, tui, watch::Signals};
use crate::{
    agent::{Agent, Order},
    client::{
        Action, Buddy, ClientBuilder, Kind, Lines, Policy, PresenceClient, PresenceStatus, Server as AtServer, Timing,
        Uri,
    },
    config::{
        ConfigError, Environment, Paths,
        buddies::{self, Draft},
    },
    net::listen::PortChoice,
    server::{Server, ServerConfig},
    tui::Choice,
};

/// How long it plays where nobody can end it by a key.
const PLAYS_FOR: Duration = Duration::from_secs(30);
/// The pause between two steps of one peer; NOTIFYs for changes are at least five seconds apart (RFC 3856 §6.10).
const STEP: Duration = Duration::from_millis(5200);
/// When the stranger asks.
const STRANGER_AFTER: Duration = Duration::from_secs(4);
/// When one of the peers goes without a word.
const SILENT_AFTER: Duration = Duration::from_secs(12);
/// What everybody is of.
const DOMAIN: &str = "demo.test";
/// For how long we watch and publish, in seconds: the shortest that a server grants, so that silence is noticed within a minute.
const EXPIRES: u32 = 60;

/// One peer: what it shows, one after another.
struct Role {
    name: &'static str,
    groups: &'static [&'static str],
    scenes: &'static [(PresenceStatus, &'static str)],
}

const CAST: [Role; 6] = [
    Role {
        name: "alice",
        groups: &["team"],
        scenes: &[
            (PresenceStatus::Available, "at my desk"),
            (PresenceStatus::InCall, ""),
            (PresenceStatus::Available, "back again ☕"),
        ],
    },
    Role {
        name: "bob",
        groups: &["team"],
        scenes: &[(PresenceStatus::Busy, "writing the report"), (PresenceStatus::DoNotDisturb, "nearly done")],
    },
    Role {
        name: "carol",
        groups: &["team", "oncall"],
        scenes: &[(PresenceStatus::Away, "lunch"), (PresenceStatus::Available, "")],
    },
    Role {
        name: "dave",
        groups: &["oncall"],
        scenes: &[(PresenceStatus::InCall, "with a customer"), (PresenceStatus::Available, "call me")],
    },
    Role {
        name: "erin",
        groups: &["friends"],
        scenes: &[(PresenceStatus::DoNotDisturb, "giving a talk"), (PresenceStatus::Busy, "questions")],
    },
    Role {
        name: "frank",
        groups: &["friends"],
        scenes: &[(PresenceStatus::Offline, ""), (PresenceStatus::Available, "good morning")],
    },
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
    let config = ServerConfig { domains: vec![DOMAIN.to_owned()], port: PortChoice::Any, ..ServerConfig::default() };
    let server = Server::start(config, rand::make_rng()).await?;
    let at = server.started().listening.first().map(|at| format!("sip:{at}")).unwrap_or_default();
    let proxy: Uri = at.parse().map_err(|error| Failed::new(Exit::Bug, format!("{at}: {error}")))?;
    let me = through(&proxy, "you").policy(Policy::new(Action::Ask)).bind().await?;
    context.trace.follow(&me);
    let mut peers = Vec::new();
    for role in &CAST {
        peers.push(through(&proxy, role.name).bind().await?);
    }
    for (peer, role) in peers.iter().zip(&CAST) {
        let (status, note) = &role.scenes[0];
        play(peer, status, note).await?;
    }
    let listed = peers.iter().zip(&CAST).map(|(peer, role)| Buddy {
        name: Some(role.name.to_owned()),
        groups: role.groups.iter().map(|&group| group.to_owned()).collect(),
        ..Buddy::new(peer.address())
    });
    buddies::edit(&paths.buddies_file, true, |draft: &mut Draft| {
        listed.for_each(|buddy| draft.add(buddy));
        Ok::<_, ConfigError>(())
    })?;
    let agent = Agent::with_client(me.clone(), &paths).await?;
    let orders = agent.orders();
    let agent = tokio::spawn(agent.serve());
    let shown = async {
        if tui::is_possible() && !context.output.is_for_programs() {
            return tui::show(&context, &paths, Choice::Auto).await;
        }
        let words = "six peers and a presence server on this machine talk SIP with you; it ends by itself after 30 s";
        context.output.tell(words);
        timeout(PLAYS_FOR, print(&context, &me, &peers)).await.unwrap_or(Ok(Exit::Done))
    };
    let exit = tokio::select! {
        exit = shown => exit,
        signal = signals.next() => Ok(Exit::Signal(signal)),
        failed = play_all(&peers) => Err(failed),
        failed = stranger(&me) => Err(failed),
    };
    // One that has ended needs no order.
    let _ = orders.try_send(Order::Stop);
    for peer in &peers {
        // They are all of this process: a goodbye that takes long is not waited for.
        let _ = timeout(Duration::from_millis(200), peer.stop()).await;
    }
    let _ = timeout(Duration::from_secs(2), agent).await;
    server.stop().await;
    // Ctrl-C is the way out here, not a failure.
    Ok(if matches!(exit, Ok(Exit::Signal(2))) { Exit::Done } else { exit? })
}

/// Prints a line for each change, for ever.
async fn print(context: &Context, me: &PresenceClient, peers: &[PresenceClient]) -> Result<Exit, Failed> {
    let mut lines = Lines::new();
    for (peer, role) in peers.iter().zip(&CAST) {
        lines.add_named(me, peer.address(), role.name).await?;
    }
    loop {
        for line in lines.next().await {
            let shown = matches!(line.kind, Kind::Snapshot | Kind::Change | Kind::Freshness | Kind::End);
            if (shown || context.output.is_json())
                && let Err(closed) = context.output.line(&line, true)
            {
                return Ok(closed.into());
            }
        }
    }
}

/// Asks to see me, and waits for what is decided; returns only if that cannot be done.
async fn stranger(me: &PresenceClient) -> Failed {
    sleep(STRANGER_AFTER).await;
    let ask = async {
        let mallory = PresenceClient::builder("sip:mallory@127.0.0.1").any_port().default_action(Action::Block);
        let mallory = mallory.bind().await?;
        let here = me.locals().iter().find(|local| local.is_ipv4()).map(|local| format!("sip:you@{local}"));
        let mut watcher = mallory.watch(&here.unwrap_or_else(|| me.uri())).await?;
        while watcher.recv().await.is_some() {}
        Ok::<_, Failed>(())
    };
    match ask.await {
        Ok(()) => std::future::pending().await,
        Err(failed) => failed,
    }
}

/// Makes somebody who works through the server.
fn through(proxy: &Uri, name: &str) -> ClientBuilder {
    let server = AtServer { expires: EXPIRES, publish_expires: EXPIRES, ..AtServer::new(Some(proxy.clone())) };
    let builder = PresenceClient::builder(&format!("sip:{name}@{DOMAIN}")).any_port().server(server);
    builder.listen([IpAddr::from([127, 0, 0, 1])]).timing(Timing::default())
}

/// Lets every peer go through its scenes, one peer after another, for ever; the last one goes without a word.
async fn play_all(peers: &[PresenceClient]) -> Failed {
    let (mut scene, mut silent) = (1, false);
    let silent_at = Instant::now() + SILENT_AFTER;
    loop {
        for (place, (peer, role)) in peers.iter().zip(&CAST).enumerate() {
            sleep(STEP / u32::try_from(peers.len()).unwrap_or(1)).await;
            if place + 1 == peers.len() && Instant::now() >= silent_at {
                if !std::mem::replace(&mut silent, true)
                    && let Err(error) = peer.halt().await
                {
                    return error.into();
                }
                continue;
            }
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
