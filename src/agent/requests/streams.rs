//! Answers that go on: what happens to others, and every SIP message.

use std::{sync::Arc, time::Duration};

use tokio::{sync::mpsc, task::JoinSet};

use super::{Session, Shared, refuse};
use crate::{
    agent::{
        following::{Following, Whom},
        news::News,
    },
    client::{Kind, Line, Subscribing, Traced},
    control::{Connection, ControlError, Reply},
};

/// How long a look at targets may take in all, whatever the command allows.
const SHOW_WITHIN: Duration = Duration::from_secs(40);
/// How many messages of one account may wait to be told.
const TRACED: usize = 64;

/// Sends lines of targets until there are no more, or the other end has gone.
pub(super) async fn stream(
    connection: &mut Connection,
    shared: &Shared,
    session: &Session,
    targets: Vec<String>,
    how: Subscribing,
) -> Result<(), ControlError> {
    let once = how != Subscribing::Lasting;
    let whom = if targets.is_empty() { Whom::Everybody } else { Whom::Words(targets) };
    if once && matches!(whom, Whom::Everybody) && shared.list.now().list.watched().next().is_none() {
        return connection.write(&Reply::error(2, "there is no target, and nobody on the buddy list")).await;
    }
    let mut following = match Following::start(shared, whom, how, session.one(), false).await {
        Ok(following) => following,
        Err(refusal) => return connection.write(&*refusal).await,
    };
    if let Some(refusal) = following.refusal() {
        return connection.write(refusal).await;
    }
    connection.write(&Reply::ok()).await?;
    let end_at = tokio::time::Instant::now() + SHOW_WITHIN;
    let mut seq = 0;
    loop {
        let clients = following.clients();
        let news = tokio::select! {
            biased;
            // Cut off, not told that it is over: whoever listens will be answered again.
            () = shared.replaced(&clients), if !once => return Err(ControlError::Closed),
            news = following.next(shared) => news,
            () = connection.closed() => return Err(ControlError::Closed),
            () = tokio::time::sleep_until(end_at), if once => Vec::new(),
        };
        let over = once && (following.is_ready() || news.is_empty());
        let ended = tell(connection, news, &mut seq).await?;
        if over {
            let end = following.end();
            return tell(connection, vec![end], &mut seq).await.map(drop);
        }
        if ended {
            return Err(ControlError::Closed);
        }
    }
}

/// Writes lines with their numbers; returns whether they were the last.
async fn tell(connection: &mut Connection, lines: Vec<Line>, seq: &mut u64) -> Result<bool, ControlError> {
    let mut ended = false;
    for mut line in lines {
        line.seq = *seq;
        *seq += 1;
        ended = line.kind == Kind::End;
        connection.write(&line).await?;
    }
    Ok(ended)
}

/// Sends everything that happens until the other end has gone: the list and who is on it, my status, my watchers.
pub(super) async fn follow(
    connection: &mut Connection,
    shared: &Arc<Shared>,
    session: &Session,
) -> Result<(), ControlError> {
    let (mut others, several) = (shared.follow_accounts(), shared.own().len() > 1);
    let everybody = Following::start(shared, Whom::Everybody, Subscribing::Lasting, session.one(), true).await;
    let mut following = match everybody {
        Ok(following) => following,
        Err(refusal) => return connection.write(&*refusal).await,
    };
    // Each in a task of its own, which is not cut off by the news of another.
    let (all, mut news) = mpsc::channel::<Vec<Line>>(TRACED);
    let (mut tasks, mut clients, mut first) = (JoinSet::new(), Vec::new(), Vec::new());
    for own in shared.own().iter().cloned() {
        let account = several.then(|| own.seat.name.clone());
        let named = move |mut lines: Vec<Line>| {
            for line in &mut lines {
                line.account.clone_from(&account);
            }
            lines
        };
        let client = own.seat.client().await;
        let (mut at, lines) = match News::start(&own, &client).await {
            Ok(started) => started,
            Err(error) => return connection.write(&refuse(&error)).await,
        };
        clients.push(client);
        first.extend(named(lines));
        let all = all.clone();
        tasks.spawn(async move {
            while let Some(lines) = at.next(&own).await {
                if all.send(named(lines)).await.is_err() {
                    return;
                }
            }
        });
    }
    let this = Arc::clone(shared);
    tasks.spawn(async move { while all.send(following.next(&this).await).await.is_ok() {} });
    connection.write(&Reply::ok()).await?;
    let mut seq = 0;
    tell(connection, first, &mut seq).await?;
    loop {
        let lines = tokio::select! {
            biased;
            // Whoever listens asks again.
            () = shared.replaced(&clients) => return Err(ControlError::Closed),
            Ok(()) = others.changed() => return Err(ControlError::Closed),
            Some(lines) = news.recv() => lines,
            () = connection.closed() => return Err(ControlError::Closed),
        };
        if tell(connection, lines, &mut seq).await? {
            return Err(ControlError::Closed);
        }
    }
}

/// Sends every SIP message until the other end has gone; one that reads slowly loses the oldest, and is told.
pub(super) async fn trace(connection: &mut Connection, shared: &Shared) -> Result<(), ControlError> {
    let (all, mut traced) = mpsc::channel::<Traced>(TRACED);
    let mut accounts = JoinSet::new();
    for seat in shared.kept.seats().iter() {
        let (mut trace, all) = (seat.client().await.trace(), all.clone());
        accounts.spawn(async move {
            while let Some(traced) = trace.next().await {
                if all.send(traced).await.is_err() {
                    return;
                }
            }
        });
    }
    drop(all);
    connection.write(&Reply::ok()).await?;
    loop {
        let traced = tokio::select! {
            traced = traced.recv() => traced.ok_or(ControlError::Closed)?,
            () = connection.closed() => return Err(ControlError::Closed),
        };
        connection.write(&traced).await?;
    }
}
