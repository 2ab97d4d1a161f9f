//! `watchers history`: who watched me or wanted to.

use super::{Context, Exit, Failed, agent, ask};
use crate::{
    client::shown,
    config::identity::{IdentityError, normalize},
    control::Request,
};

/// Shows who is remembered; with names, all that is known of those.
pub(super) async fn run(context: &Context, who: &[String]) -> Result<Exit, Failed> {
    let usage = |error: IdentityError| Failed::new(Exit::Usage, error.to_string());
    let names: Vec<String> = who.iter().map(|who| normalize(who).map_err(usage)).collect::<Result<_, _>>()?;
    let mut agent = agent(context).await?.ok_or_else(Failed::no_agent)?;
    let mut people = ask(&mut agent, &Request::Watchers { history: true }, context).await?.watchers;
    if names.is_empty() {
        if people.is_empty() {
            context.output.tell("nobody watched you");
        }
        return Ok(context.output.watchers(&people).map_or_else(Into::into, |()| Exit::Done));
    }
    people.retain(|person| names.contains(&person.who));
    let unknown = names.iter().find(|name| people.iter().all(|person| person.who != **name));
    if let Some(unknown) = unknown {
        let name = shown::address(unknown);
        return Err(Failed::new(Exit::NoSuchUser, format!("{name} is not remembered: they never watched you")));
    }
    Ok(context.output.people(&people).map_or_else(Into::into, |()| Exit::Done))
}
