//! `set` and `clear`: what I publish, through the agent.

use super::{
    Context, Exit, Failed,
    args::Set,
    looking::{agent, ask},
};
use crate::{
    client::{Activity, StatusArg, text},
    control::{Connection, Request},
};

/// Publishes a status.
pub(super) async fn set(context: &Context, args: &Set) -> Result<Exit, Failed> {
    // Checked here already, so that a typing error is told without an agent.
    let chosen = StatusArg::parse(&args.status).map_err(|error| Failed::new(Exit::Usage, error.to_string()))?;
    if let Some(unknown) = args.activity.iter().find(|name| Activity::from_name(name).is_none()) {
        let message = format!("unknown activity {unknown:?}");
        return Err(Failed::new(Exit::Usage, message).with_hint("it is an RPID name, such as meeting or travel"));
    }
    let mut agent = needed(context).await?;
    let request =
        Request::Set { status: args.status.clone(), note: args.note.clone(), activities: args.activity.clone() };
    ask(&mut agent, &request, context).await?;
    let note = args.note.as_ref().or(chosen.note.as_ref()).map(|note| format!(": {}", text::visible(note)));
    context.output.tell(&format!("you are {}{}", text::visible(&chosen.status.to_string()), note.unwrap_or_default()));
    if agent.peer.listen.iter().all(|local| local.ip().is_loopback()) {
        context
            .output
            .tell("visible on this machine only; `sippresence agent run --listen lan` shows you to your network");
    }
    Ok(Exit::Done)
}

/// Takes the publication back.
pub(super) async fn clear(context: &Context) -> Result<Exit, Failed> {
    let mut agent = needed(context).await?;
    ask(&mut agent, &Request::Clear {}, context).await?;
    context.output.tell("your status is taken back: you show as offline");
    Ok(Exit::Done)
}

async fn needed(context: &Context) -> Result<Connection, Failed> {
    if context.args.no_agent {
        let message = "publishing without an agent needs a server, which is not supported yet";
        return Err(Failed::new(Exit::NoAgent, message).with_hint("leave out --no-agent"));
    }
    agent(context).await?.ok_or_else(Failed::no_agent)
}
