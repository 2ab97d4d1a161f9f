//! `set` and `clear`: what I publish, through the agent.

use super::{
    Context, Exit, Failed, agent,
    args::{Place, Set},
    during,
    explain::hint,
    looking::{self, ask},
    once,
};
use crate::{
    agent::launch::Launch,
    client::{Activity, Freshness, LayerKind, Line, Link, StatusArg, shown::layer_words as words, text},
    config::{format_duration, parse_until},
    control::{Connection, Request},
};

/// Publishes a status.
pub(super) async fn set(context: &Context, args: &Set) -> Result<Exit, Failed> {
    let usage = |message: String| Failed::new(Exit::Usage, message);
    // Checked here already, so that a typing error is told without an agent.
    StatusArg::parse(&args.status).map_err(|error| usage(error.to_string()))?;
    if let Some(unknown) = args.activity.iter().find(|name| Activity::from_name(name).is_none()) {
        let message = format!("unknown activity {unknown:?}");
        return Err(usage(message).with_hint("it is an RPID name, such as meeting or travel"));
    }
    if args.note.as_ref().is_some_and(|note| note.trim().len() > text::MAX_NOTE) {
        let most = text::MAX_NOTE;
        context.output.tell(&format!("note: others see the first {most} bytes of yours: no note is longer"));
    }
    // The time zone is ours, not the agent's.
    let until = args.until.as_ref().map(|until| parse_until(until, &jiff::Zoned::now()));
    let until = until.transpose().map_err(|error| usage(format!("--until: {error}")))?;
    if context.args.no_agent {
        return once::set(context, args, until.map(|until| until.timestamp())).await;
    }
    let mut agent = needed(context).await?;
    let request = Request::Set {
        status: args.status.clone(),
        note: args.note.clone(),
        activities: args.activity.clone(),
        sphere: args.sphere.clone(),
        length: args.length.map(format_duration),
        until: until.map(|until| until.timestamp().to_string()),
        held: args.held,
    };
    let reply = ask(&mut agent, &request, context).await?;
    if let Some(line) = &reply.publication {
        context.output.tell(&said(line, args));
    }
    if reply.ended > 0 && !args.held && args.length.is_none() && args.until.is_none() {
        let holds = if reply.ended == 1 { "1 hold".to_owned() } else { format!("{} holds", reply.ended) };
        context.output.tell(&format!("{holds} ended by it"));
    }
    if let Some(warning) = &reply.message {
        context.output.tell(&format!("note: {}", text::visible(warning)));
    }
    let link = reply.publication.as_ref().and_then(|line| line.server.as_ref()?.publication.as_ref());
    match link {
        Some(link) => match at_server(context, link) {
            // The command is what matters, and its code is ours.
            Err(failed) if args.held => context.output.tell(&format!("note: {}", failed.message)),
            told => told?,
        },
        None => agent::tell_who_sees(context, &agent),
    }
    match reply.hold {
        Some(hold) if args.held => during::run(context, agent, hold, &args.command).await,
        _ => Ok(Exit::Done),
    }
}

/// Says how the server took it; what it refuses is a failure, though it is in force for those who watch directly.
fn at_server(context: &Context, link: &Link) -> Result<(), Failed> {
    match link.state.as_str() {
        "standing" => {
            context.output.tell("the server shows it");
            Ok(())
        }
        "waiting" if link.code.is_none() => {
            let left = link.next_retry.map(|at| at.duration_since(jiff::Timestamp::now()).as_secs().max(0) + 1);
            context.output.tell(&format!("the server shows it in {} s", left.unwrap_or(5)));
            Ok(())
        }
        "none" => Ok(()),
        "refused" => {
            let mut failed = refusal(link, "");
            failed.message.push_str("; who watches you directly sees it");
            Err(failed)
        }
        _ => Err(refusal(link, "it is kept and tried again: `sippresence me` says how it stands")),
    }
}

/// Says why the server did not take a status, and what becomes of one that it may take yet.
pub(super) fn refusal(link: &Link, later: &str) -> Failed {
    let reason = link.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    let exit = link.code.map_or(Exit::Unreachable, |code| Exit::of_freshness(Freshness::Failed(code)));
    if link.state != "refused" {
        return Failed::new(exit, format!("the server has not taken your status yet{reason}")).with_hint(later);
    }
    let failed = Failed::new(exit, format!("the server does not take your status{reason}"));
    match link.code.and_then(|code| hint(Freshness::Failed(code))) {
        Some(hint) => failed.with_hint(hint),
        None => failed,
    }
}

/// Says what shows now, and what comes after it.
fn said(line: &Line, args: &Set) -> String {
    let command = args.command.first().map(|command| text::visible(&command.to_string_lossy()));
    match line.layers.split_first() {
        Some((shown, below)) if shown.lasts != LayerKind::Base => {
            let end = match (shown.until, command) {
                (Some(until), _) => format!("until {}", super::output::clock_until(until)),
                (None, Some(command)) => format!("while {command} runs"),
                (None, None) => "while its command runs".to_owned(),
            };
            format!(
                "you are {} {end}, then {}",
                words(shown),
                below.first().map_or_else(|| "offline".to_owned(), words)
            )
        }
        Some((shown, _)) => format!("you are {}", words(shown)),
        None => "you are offline".to_owned(),
    }
}

/// Takes the publication back.
pub(super) async fn clear(context: &Context) -> Result<Exit, Failed> {
    let Some(mut agent) = looking::agent(context).await? else {
        if let Some(exit) = once::clear(context).await? {
            return Ok(exit);
        }
        // What an agent kept would come back with the next one.
        let forgotten = crate::agent::forget_stored(&context.paths).await?;
        let what = if forgotten { "your stored status is forgotten" } else { "there is nothing to take back" };
        context.output.tell(&format!("{what}; no agent is running"));
        return Ok(Exit::Done);
    };
    ask(&mut agent, &Request::Clear {}, context).await?;
    context.output.tell("your status is taken back: you show as offline");
    Ok(Exit::Done)
}

/// Connects to the agent; starts one if none runs and it may be.
async fn needed(context: &Context) -> Result<Connection, Failed> {
    if let Some(agent) = looking::agent(context).await? {
        return Ok(agent);
    }
    if !context.settings.agent.autostart {
        return Err(Failed::no_agent());
    }
    let launch = Launch { for_set: true, ..agent::how(context, Place::default()) };
    let agent = agent::started(context, &launch).await?;
    looking::trace(context).await?;
    Ok(agent)
}
