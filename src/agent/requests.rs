//! What the agent does when it is asked.

use std::time::Duration;

use tracing::debug;

use super::{
    Order, Place, Shared,
    configured::policy_of,
    hooks_of, load_policy,
    own::{Done, OwnError, Wish},
};
use crate::{
    client::{ClientError, Clock, Lines, Subscribing, TargetError},
    config::{List, PolicyFile, Settings, identity::normalize},
    control::{AgentStatus, Connection, ControlError, Reply, Request},
};

/// How long a look at targets may take in all, whatever the command allows.
const SHOW_WITHIN: Duration = Duration::from_secs(40);

/// Serves one connection until it closes; the holds that it has end with it.
pub(super) async fn serve(mut connection: Connection, shared: &Shared) {
    let mut held = Vec::new();
    while let Some(served) = serve_one(&mut connection, shared, &mut held).await {
        if let Err(error) = served {
            debug!(%error, "a control connection ended");
            break;
        }
    }
    for hold in held {
        // A plain `set` may have ended it before.
        let _ = shared.own.release(&hold).await;
    }
}

/// Serves one request; none when the other end closed.
async fn serve_one(
    connection: &mut Connection,
    shared: &Shared,
    held: &mut Vec<String>,
) -> Option<Result<(), ControlError>> {
    Some(match connection.read::<Request>().await {
        Ok(Some(Request::Show { targets, raw })) => {
            let how = if raw { Subscribing::Raw } else { Subscribing::Once };
            stream(connection, shared, &targets, how).await
        }
        Ok(Some(Request::Watch { targets })) => stream(connection, shared, &targets, Subscribing::Lasting).await,
        Ok(Some(Request::Trace {})) => trace(connection, shared).await,
        Ok(Some(request)) => {
            let order = match &request {
                Request::Stop {} => Some(Order::Stop),
                Request::Restart { listen, port } => match place(listen.as_deref(), *port) {
                    Ok(place) => Some(Order::Restart(place)),
                    Err(reason) => return Some(connection.write(&Reply::error(2, reason)).await),
                },
                _ => None,
            };
            let reply = answer(request, shared).await;
            held.extend(reply.hold.clone());
            let written = connection.write(&reply).await;
            if let Some(order) = order {
                // An agent that is about to end needs no further order.
                let _ = shared.orders.send(order).await;
            }
            written
        }
        Ok(None) => return None,
        Err(error @ ControlError::Malformed(_)) => connection.write(&Reply::error(2, error.to_string())).await,
        Err(error) => Err(error),
    })
}

async fn answer(request: Request, shared: &Shared) -> Reply {
    let client = &shared.client;
    let done = match request {
        Request::Set { status, note, activities, length, until, held } => {
            let (activities, length, until) = (activities.as_slice(), length.as_deref(), until.as_deref());
            let wish = Wish { status: &status, note, activities, length, until, held };
            return own(shared.own.set(wish).await, held);
        }
        Request::Claim { hold } => return own(shared.own.claim(&hold), true),
        Request::Release { hold } => return own(shared.own.release(&hold).await, false),
        Request::Clear {} => return own(shared.own.clear().await, false),
        Request::Me {} => return Reply { publication: Some(Box::new(shared.own.line())), ..Reply::ok() },
        Request::Status {} => return status(shared).await,
        Request::Reload {} => return reload(shared).await,
        Request::Watchers {} => {
            let now = Clock::now();
            let list = |watchers: Vec<crate::client::Watcher>| Reply {
                watchers: watchers.iter().map(|watcher| watcher.to_info(now)).collect(),
                ..Reply::ok()
            };
            client.watchers().await.map(list)
        }
        Request::Decide { who, list } => return decide(shared, &who, list.as_deref()).await,
        Request::Resumed {} => client.resumed().await.map(|()| Reply::ok()),
        // Streams are served as such, and the end comes behind the reply.
        Request::Stop {}
        | Request::Restart { .. }
        | Request::Show { .. }
        | Request::Watch { .. }
        | Request::Trace {} => Ok(Reply::ok()),
    };
    done.unwrap_or_else(|error| refuse(&error))
}

/// Tells what became of my status.
fn own(done: Result<Done, OwnError>, held: bool) -> Reply {
    match done {
        Ok(Done { publication, hold, ended, unkept }) => Reply {
            publication: Some(Box::new(publication)),
            hold: hold.filter(|_| held),
            message: unkept
                .map(|reason| format!("it is in force, but will be forgotten when the agent ends: {reason}")),
            ended,
            ..Reply::ok()
        },
        Err(OwnError::Client(error)) => refuse(&error),
        Err(error @ (OwnError::Wish(_) | OwnError::TooMany(_))) => Reply::error(2, error.to_string()),
        Err(error @ OwnError::NoSuchHold) => Reply::error(12, error.to_string()),
    }
}

/// Tells how the agent is.
pub(super) async fn status(shared: &Shared) -> Reply {
    let watchers = match shared.client.watchers().await {
        Ok(watchers) => watchers,
        Err(error) => return refuse(&error),
    };
    let pending = watchers.iter().filter(|watcher| watcher.state == "pending").count();
    let status = AgentStatus {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        since: shared.since,
        address: shared.client.address().to_owned(),
        listen: shared.client.locals().to_vec(),
        config: shared.paths.config_file.clone(),
        log: shared.configured.as_ref().and_then(|configured| super::lock(configured).log.clone()),
        state: shared.kept.file.as_ref().map(|file| file.health()),
        active: watchers.len() - pending,
        pending,
    };
    let publication = Some(Box::new(shared.own.line()));
    Reply { agent: Some(Box::new(status)), publication, ..Reply::ok() }
}

/// Puts in force what the files say now, as far as it goes without a new start.
pub(super) async fn reload(shared: &Shared) -> Reply {
    let Some(configured) = &shared.configured else { return Reply::error(6, "a demo has no configuration") };
    let before = super::lock(configured).clone();
    // What is broken changes nothing.
    let read = Settings::load(before.file.as_deref(), &before.env)
        .and_then(|settings| Ok((load_policy(&settings, &before.paths)?, settings)));
    let (policy, mut settings) = match read {
        Ok(read) => read,
        Err(error) => return Reply::error(2, format!("nothing is changed: {error}")),
    };
    let _deciding = shared.deciding.lock().await;
    if let Err(error) = shared.client.set_policy(policy).await {
        return refuse(&error);
    }
    *super::lock(&shared.require) = settings.policy.require;
    if settings.hooks != before.settings.hooks {
        shared.hooks.send_replace(hooks_of(&settings));
    }
    // Flags of the command line stay laid over the file, and what needs a new start is as it was until then.
    let waits = waiting_for_restart(&before.settings, &settings);
    super::lock(configured).settings.hooks = std::mem::take(&mut settings.hooks);
    let message = match waits.as_slice() {
        [] => "configuration and policy are in force".to_owned(),
        sections => format!("policy and hooks are in force; [{}] waits for `agent restart`", sections.join("], [")),
    };
    Reply::ok().with_message(message)
}

/// Names the sections that an agent takes up at its start only.
fn waiting_for_restart(before: &Settings, now: &Settings) -> Vec<&'static str> {
    let changed = [
        ("account", before.accounts != now.accounts || before.default_account != now.default_account),
        ("agent", before.agent != now.agent),
        ("sip", before.sip != now.sip),
        ("publish", before.publish != now.publish),
        ("watch", before.watch != now.watch),
        ("tls", before.tls != now.tls),
        ("auth", before.auth != now.auth),
        ("interop", before.interop != now.interop),
    ];
    changed.into_iter().filter(|(_, changed)| *changed).map(|(section, _)| section).collect()
}

fn place(listen: Option<&str>, port: Option<u16>) -> Result<Place, String> {
    if port == Some(0) {
        return Err("port 0 is no port".to_owned());
    }
    Ok(Place { listen: listen.map(str::parse).transpose()?, port })
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
    let path = shared.paths.policy_file.clone();
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
        Ok(Ok(file)) => {
            let require = *super::lock(&shared.require);
            match shared.client.set_policy(policy_of(&file, require)).await {
                Ok(()) => Reply::ok(),
                Err(error) => refuse(&error),
            }
        }
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
