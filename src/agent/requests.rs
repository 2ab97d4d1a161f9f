//! What the agent does when it is asked.

use std::time::Duration;

use jiff::Timestamp;
use tracing::debug;

use super::{Shared, policy_of};
use crate::{
    client::{Activity, ClientError, Clock, Lines, Published, StatusArg, Subscribing, TargetError},
    config::{List, PolicyFile, identity::normalize},
    control::{Connection, ControlError, Reply, Request},
};

/// How long a look at targets may take in all, whatever the command allows.
const SHOW_WITHIN: Duration = Duration::from_secs(40);

/// Serves one connection until it closes.
pub(super) async fn serve(mut connection: Connection, shared: &Shared) {
    loop {
        let served = match connection.read::<Request>().await {
            Ok(Some(Request::Show { targets, raw })) => {
                let how = if raw { Subscribing::Raw } else { Subscribing::Once };
                stream(&mut connection, shared, &targets, how).await
            }
            Ok(Some(Request::Watch { targets })) => {
                stream(&mut connection, shared, &targets, Subscribing::Lasting).await
            }
            Ok(Some(Request::Trace {})) => trace(&mut connection, shared).await,
            Ok(Some(request)) => {
                let stops = matches!(request, Request::Stop {});
                let reply = answer(request, shared).await;
                let written = connection.write(&reply).await;
                if stops {
                    shared.stop.notify_one();
                }
                written
            }
            Ok(None) => return,
            Err(error @ ControlError::Malformed(_)) => connection.write(&Reply::error(2, error.to_string())).await,
            Err(error) => Err(error),
        };
        if let Err(error) = served {
            debug!(%error, "a control connection ended");
            return;
        }
    }
}

async fn answer(request: Request, shared: &Shared) -> Reply {
    let client = &shared.client;
    let done = match request {
        Request::Set { status, note, activities } => return set(shared, &status, note, &activities).await,
        Request::Clear {} => client.clear().await.map(|()| Reply::ok()),
        Request::Watchers {} => {
            let now = Clock::now();
            let list = |watchers: Vec<crate::client::Watcher>| Reply {
                watchers: watchers.iter().map(|watcher| watcher.to_info(now)).collect(),
                ..Reply::ok()
            };
            client.watchers().await.map(list)
        }
        Request::Decide { who, list } => return decide(shared, &who, list.as_deref()).await,
        // Streams are served as such, and stopping happens behind the reply.
        Request::Stop {} | Request::Show { .. } | Request::Watch { .. } | Request::Trace {} => Ok(Reply::ok()),
    };
    done.unwrap_or_else(|error| refuse(&error))
}

async fn set(shared: &Shared, status: &str, note: Option<String>, activities: &[String]) -> Reply {
    let chosen = match StatusArg::parse(status) {
        Ok(chosen) => chosen,
        Err(error) => return Reply::error(2, error.to_string()),
    };
    let mut published = Published::new(chosen.status, Timestamp::now());
    published.note = note.or(chosen.note);
    published.activities = chosen.activities;
    for name in activities {
        match Activity::from_name(name) {
            Some(activity) => published.activities.push(activity),
            None => return Reply::error(2, format!("unknown activity {name:?}: it is no RPID name, as `meeting` is")),
        }
    }
    match shared.client.publish(published).await {
        Ok(()) => Reply::ok(),
        Err(error) => refuse(&error),
    }
}

/// Writes the decision down, then puts it in force.
async fn decide(shared: &Shared, who: &[String], list: Option<&str>) -> Reply {
    let list = match list {
        None => None,
        Some("allow") => Some(List::Allow),
        Some("polite-block") => Some(List::PoliteBlock),
        Some("block") => Some(List::Block),
        Some(other) => return Reply::error(2, format!("unknown list {other:?}: allow, polite-block or block")),
    };
    let mut names = Vec::new();
    for who in who {
        match normalize(who) {
            Ok(name) => names.push(name),
            Err(error) => return Reply::error(2, error.to_string()),
        }
    }
    let path = shared.policy_file.clone();
    // The file that was written last is put in force last.
    let _deciding = shared.deciding.lock().await;
    let written = tokio::task::spawn_blocking(move || {
        let mut file = PolicyFile::load(&path).map_err(|error| error.to_string())?;
        for name in names {
            file = match list {
                Some(list) => PolicyFile::set(&path, &name, list),
                None => PolicyFile::forget(&path, &name),
            }
            .map_err(|error| error.to_string())?;
        }
        Ok::<_, String>(file)
    })
    .await;
    match written {
        Ok(Ok(file)) => match shared.client.set_policy(policy_of(&file, shared.require)).await {
            Ok(()) => Reply::ok(),
            Err(error) => refuse(&error),
        },
        Ok(Err(reason)) => Reply::error(2, reason),
        Err(_) => Reply::error(70, "the policy could not be written: a bug of ours"),
    }
}

/// Sends lines until there are no more, or the other end has gone.
async fn stream(
    connection: &mut Connection,
    shared: &Shared,
    targets: &[String],
    how: Subscribing,
) -> Result<(), ControlError> {
    let once = how != Subscribing::Lasting;
    if targets.is_empty() {
        return connection.write(&Reply::error(2, "there is no target")).await;
    }
    let mut lines = Lines::new();
    for target in targets {
        if let Err(error) = lines.add_as(&shared.client, target, how).await {
            return connection.write(&refuse(&error)).await;
        }
    }
    connection.write(&Reply::ok()).await?;
    let end_at = tokio::time::Instant::now() + SHOW_WITHIN;
    loop {
        let news = tokio::select! {
            news = lines.next() => news,
            () = connection.closed() => return Err(ControlError::Closed),
            () = tokio::time::sleep_until(end_at), if once => Vec::new(),
        };
        for line in &news {
            connection.write(line).await?;
        }
        if once && (lines.is_ready() || news.is_empty()) {
            return connection.write(&lines.end()).await;
        }
        if news.last().is_some_and(|line| line.kind == crate::client::Kind::End) {
            return Err(ControlError::Closed);
        }
    }
}

/// Sends every SIP message until the other end has gone; one that reads slowly loses the oldest, and is told.
async fn trace(connection: &mut Connection, shared: &Shared) -> Result<(), ControlError> {
    let mut trace = shared.client.trace();
    connection.write(&Reply::ok()).await?;
    loop {
        let traced = tokio::select! {
            traced = trace.next() => traced.ok_or(ControlError::Closed)?,
            () = connection.closed() => return Err(ControlError::Closed),
        };
        connection.write(&traced).await?;
    }
}

fn refuse(error: &ClientError) -> Reply {
    let code = match error {
        ClientError::Target(TargetError::Malformed { .. }) | ClientError::Address { .. } | ClientError::DisplayName => {
            2
        }
        ClientError::Target(TargetError::Unreachable { .. }) | ClientError::NotYet(_) => 6,
        ClientError::Stopped => 11,
        ClientError::NoSuchWatcher(_) => 8,
        ClientError::Bind(_) | ClientError::Io(_) => 7,
    };
    Reply::error(code, error.to_string())
}
