//! `set --no-agent` and `clear` without an agent: one change, which the account's server keeps.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, sleep};

use super::{Context, Exit, Failed, args::Set, looking, output::clock_until, progress::Progress, set::refusal};
use crate::{
    agent::{self, AgentError, Configured, Place, Wish},
    client::{PresenceClient, shown::layer_words as words, text},
    config::format_duration,
    control::{Connection, Reply},
};

/// How often we look whether another one is done.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Publishes a status once, for a time or as long as the configuration says.
pub(super) async fn set(context: &Context, args: &Set, until: Option<Timestamp>) -> Result<Exit, Failed> {
    if args.held {
        let message = "nobody would take it back when the command ends: `--while` needs the agent";
        return Err(Failed::new(Exit::NoAgent, message).with_hint("leave out --no-agent"));
    }
    let left = until.map(|until| until.duration_since(Timestamp::now()));
    let left = left.map(|left| Duration::try_from(left).unwrap_or_default().max(Duration::from_secs(1)));
    let (length, until) = (args.length.map(format_duration), until.map(|until| until.to_string()));
    let wish = Wish {
        status: &args.status,
        note: args.note.clone(),
        activities: &args.activity,
        sphere: args.sphere.as_deref(),
        length: length.as_deref(),
        until: until.as_deref(),
        held: false,
    };
    let (stands, by) = (args.length.or(left), context.started + looking::limit(context));
    let set = async |configured: &Configured| {
        let begun = |client: &PresenceClient| context.trace.follow(client);
        Box::pin(agent::set_once(configured, &wish, stands, by, begun)).await
    };
    let Some(reply) = done(context, set).await? else {
        let message = "without an agent nobody would see it: it takes an account with a server that keeps it";
        return Err(Failed::new(Exit::NoAgent, message).with_hint("leave out --no-agent"));
    };
    let told = reply.publication.as_ref();
    let shown = told.and_then(|line| line.layers.first()).map_or_else(|| "offline".to_owned(), words);
    match told.and_then(|told| told.server.as_ref()?.publication.as_ref()) {
        Some(link) if link.state == "standing" => {
            context.output.tell(&format!("you are {shown}"));
            let until = link.expires_at.map(|at| format!(" until {}", clock_until(at))).unwrap_or_default();
            context.output.tell(&format!("the server shows it{until}; no agent renews it"));
            Ok(Exit::Done)
        }
        Some(link) if link.state != "none" => Err(refusal(link, "it is sent again with the next `set`")),
        // Who is offline has nothing there.
        _ => {
            context.output.tell(&format!("you are {shown}"));
            Ok(Exit::Done)
        }
    }
}

/// Takes back what stands at the server, and forgets what was set; none if no server keeps it.
pub(super) async fn clear(context: &Context) -> Result<Option<Exit>, Failed> {
    let by = context.started + looking::limit(context);
    let clear = async |configured: &Configured| {
        let begun = |client: &PresenceClient| context.trace.follow(client);
        Box::pin(agent::clear_once(configured, by, begun)).await
    };
    let Some(reply) = done(context, clear).await? else { return Ok(None) };
    match reply.publication.as_ref().and_then(|line| line.server.as_ref()?.publication.as_ref()) {
        Some(link) if link.state != "none" => {
            context.output.tell("your stored status is forgotten; no agent is running");
            Err(refusal(link, "the server forgets it when its time is over"))
        }
        _ => {
            context.output.tell("your status is taken back: you show as offline; no agent is running");
            Ok(Some(Exit::Done))
        }
    }
}

/// Does it as soon as no other command does the same, but not beside an agent, which stays.
async fn done(
    context: &Context,
    change: impl AsyncFn(&Configured) -> Result<Option<Reply>, AgentError>,
) -> Result<Option<Reply>, Failed> {
    if context.args.account.as_deref() == Some("all") {
        return Err(Failed::new(Exit::Usage, "without an agent it is one account at a time: name it"));
    }
    let configured = Configured {
        settings: context.settings.clone(),
        place: Place::default(),
        file: context.args.config.clone(),
        paths: context.paths.clone(),
        env: context.env.clone(),
        log: None,
        for_set: false,
    };
    for warning in agent::insecure_warnings(context.settings.default_account().into_iter()) {
        context.output.tell(&format!("note: {warning}"));
    }
    let by = context.started + looking::limit(context);
    let changed = async {
        loop {
            match change(&configured).await {
                Err(AgentError::Runs) if Instant::now() < by => {
                    if let Some(agent) = Connection::open(&context.paths.socket).await? {
                        let pid = agent.peer.pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default();
                        let message = format!("an agent runs{pid} and would set it back to what it has");
                        return Err(Failed::new(Exit::Conflict, message).with_hint("leave out --no-agent"));
                    }
                    sleep(LOOK_EVERY).await;
                }
                changed => return Ok(changed?),
            }
        }
    };
    let Some(reply) = Progress::new(context.output).during(changed, "the server", Some(by)).await? else {
        return Ok(None);
    };
    if !reply.is_ok() {
        return Err(Failed::of_reply(reply));
    }
    if let Some(warning) = &reply.message {
        context.output.tell(&format!("note: {}", text::visible(warning)));
    }
    Ok(Some(reply))
}
