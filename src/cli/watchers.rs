//! `watchers`: who watches me, and who may.

mod history;

use super::{
    Context, Exit, Failed,
    args::{Watchers, WatchersCommand},
    looking::{agent, ask},
};
use crate::{
    agent::rules,
    config::{List, PolicyFile, identity::normalize},
    control::Request,
};

/// Lists watchers or decides about them.
pub(super) async fn run(context: &Context, args: Watchers) -> Result<Exit, Failed> {
    match args.command.unwrap_or(WatchersCommand::List) {
        WatchersCommand::List => list(context, false).await,
        WatchersCommand::Pending => list(context, true).await,
        WatchersCommand::History { who } => history::run(context, &who).await,
        WatchersCommand::Allow(who) => decide(context, who.who, Some(List::Allow), "may see you").await,
        WatchersCommand::PoliteBlock(who) => {
            decide(context, who.who, Some(List::PoliteBlock), "sees you as offline").await
        }
        WatchersCommand::Block(who) => decide(context, who.who, Some(List::Block), "is refused").await,
        WatchersCommand::Forget(who) => decide(context, who.who, None, "is on no list any more").await,
    }
}

async fn list(context: &Context, pending: bool) -> Result<Exit, Failed> {
    let mut agent = agent(context).await?.ok_or_else(Failed::no_agent)?;
    let mut watchers = ask(&mut agent, &Request::Watchers { history: false }, context).await?.watchers;
    if pending {
        watchers.retain(crate::control::WatcherInfo::waits);
    }
    if watchers.is_empty() {
        context.output.tell(if pending { "nobody waits for your approval" } else { "nobody watches you" });
    }
    Ok(context.output.watchers(&watchers).map_or_else(Into::into, |()| Exit::Done))
}

/// Writes a decision down; a running agent puts it in force at once.
async fn decide(context: &Context, who: Vec<String>, list: Option<List>, then: &str) -> Result<Exit, Failed> {
    let usage = |reason: String| Failed::new(Exit::Usage, reason);
    let names: Vec<String> =
        who.iter().map(|who| normalize(who).map_err(|error| usage(error.to_string()))).collect::<Result<_, _>>()?;
    let (not_shared, hint) = if let Some(mut agent) = agent(context).await? {
        let list = list.map(|list| list.action().to_string());
        let reply = ask(&mut agent, &Request::Decide { who: names.clone(), list }, context).await?;
        (reply.message, reply.hint)
    } else {
        for name in &names {
            let path = &context.paths.policy_file;
            match list {
                Some(list) => PolicyFile::set(path, name, list),
                None => PolicyFile::forget(path, name),
            }
            .map_err(|error| usage(error.to_string()))?;
        }
        (rules::not_shared(&Box::pin(rules::share(&context.settings, &context.paths)).await), None)
    };
    for name in &names {
        let name = crate::client::text::visible(name.strip_prefix("sip:").unwrap_or(name));
        context.output.tell(&format!("{name} {then}"));
    }
    if let Some(message) = not_shared {
        let failed = Failed::new(Exit::Partly, crate::client::text::visible(&message));
        let usual = || "`sippresence policy pull` takes in what is there, `policy push` tells it again".to_owned();
        return Err(failed.with_hint(hint.unwrap_or_else(usual)));
    }
    Ok(Exit::Done)
}
