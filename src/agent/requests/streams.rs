//! Answers that go on: what happens to others, and every SIP message.

use std::time::Duration;

use tokio::{sync::mpsc, task::JoinSet};

use super::{Session, Shared, refuse};
use crate::{
    client::{Kind, Lines, Subscribing, Traced},
    control::{Connection, ControlError, Reply},
};

/// How long a look at targets may take in all, whatever the command allows.
const SHOW_WITHIN: Duration = Duration::from_secs(40);
/// How many messages of one account may wait to be told.
const TRACED: usize = 64;

/// Sends lines until there are no more, or the other end has gone.
pub(super) async fn stream(
    connection: &mut Connection,
    shared: &Shared,
    session: &Session,
    targets: &[String],
    how: Subscribing,
) -> Result<(), ControlError> {
    let once = how != Subscribing::Lasting;
    if targets.is_empty() {
        return connection.write(&Reply::error(2, "there is no target")).await;
    }
    let mut lines = Lines::new();
    for target in targets {
        let client = session.client_for(shared, target);
        if !client.reaches(target) {
            return connection.write(&Reply::elsewhere(target)).await;
        }
        if let Err(error) = lines.add_as(client, target, how).await {
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
        if news.last().is_some_and(|line| line.kind == Kind::End) {
            return Err(ControlError::Closed);
        }
    }
}

/// Sends every SIP message until the other end has gone; one that reads slowly loses the oldest, and is told.
pub(super) async fn trace(connection: &mut Connection, shared: &Shared) -> Result<(), ControlError> {
    let (all, mut traced) = mpsc::channel::<Traced>(TRACED);
    let mut accounts = JoinSet::new();
    for seat in &shared.kept.seats {
        let (mut trace, all) = (seat.client.trace(), all.clone());
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
