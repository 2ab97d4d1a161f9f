//! The connections that bring news: what the agent tells, for ever, and the SIP messages for as long as they are shown.

use std::{path::PathBuf, time::Duration};

use tokio::{sync::mpsc, time::sleep};

use super::model::Link;
use crate::{
    client::{Kind, Line, Traced},
    control::{Connection, ControlError, Request},
};

/// How long to wait before the agent is looked for again, at first and at most.
const AGAIN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// What comes from the agent.
#[derive(Debug)]
pub(super) enum News {
    Link(Link),
    Line(Box<Line>),
    Traced(Box<Traced>),
}

/// Tells everything that the agent does, and again whenever it is back, until nobody listens any more.
pub(super) async fn follow(socket: PathBuf, account: Option<String>, news: mpsc::Sender<News>) {
    let (mut pause, mut told) = (AGAIN.0, None);
    loop {
        let was_up = match open(&socket, account.as_deref(), &Request::Follow {}).await {
            Ok(agent) => {
                if news.send(News::Link(Link::Up)).await.is_err() {
                    return;
                }
                Ok(lines(agent, &news).await)
            }
            Err(reason) => Err(reason),
        };
        let reason = match was_up {
            Ok(reason) => {
                (pause, told) = (AGAIN.0, None);
                reason
            }
            Err(reason) => reason,
        };
        if told.as_ref() != Some(&reason) {
            told = Some(reason.clone());
            if news.send(News::Link(Link::Lost(reason))).await.is_err() {
                return;
            }
        }
        tokio::select! {
            () = sleep(pause) => {}
            () = news.closed() => return,
        }
        pause = (pause * 2).min(AGAIN.1);
    }
}

/// Tells lines until there are no more; returns why.
async fn lines(mut agent: Connection, news: &mpsc::Sender<News>) -> String {
    let mut ended = false;
    loop {
        match agent.read::<Line>().await {
            Ok(Some(line)) => {
                ended |= line.kind == Kind::End;
                if news.send(News::Line(Box::new(line))).await.is_err() {
                    return String::new();
                }
            }
            // A line of a newer agent.
            Err(ControlError::Malformed(_)) => {}
            Ok(None) | Err(_) if ended => return "it was ended".to_owned(),
            Ok(None) => return "it is gone".to_owned(),
            Err(error) => return error.to_string(),
        }
    }
}

/// Tells the SIP messages of the agent; it is asked again when it is back.
pub(super) async fn trace(socket: PathBuf, news: mpsc::Sender<News>) {
    let Ok(mut agent) = open(&socket, None, &Request::Trace {}).await else { return };
    while let Ok(Some(traced)) = agent.read::<Traced>().await {
        if news.send(News::Traced(Box::new(traced))).await.is_err() {
            return;
        }
    }
}

/// Connects to the agent and asks; says in words why not.
pub(super) async fn open(
    socket: &std::path::Path,
    account: Option<&str>,
    request: &Request,
) -> Result<Connection, String> {
    let mut agent = match Connection::open(socket).await {
        Ok(Some(agent)) => agent,
        Ok(None) => return Err("no agent is running".to_owned()),
        Err(error) => return Err(error.to_string()),
    };
    let account = account.map(|name| Request::Account { name: name.to_owned() });
    for request in account.iter().chain([request]) {
        let reply = agent.request(request).await.map_err(|error| error.to_string())?;
        if !reply.is_ok() {
            let message = reply.message.unwrap_or_else(|| "it refused without a reason".to_owned());
            return Err(crate::client::text::visible(&message));
        }
    }
    Ok(agent)
}
