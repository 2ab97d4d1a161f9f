//! `policy test`: what somebody would get, to the byte, and what decides each part.

use jiff::{Timestamp, Zoned};

use crate::{
    agent::{self, load_policy},
    cli::{Context, Exit, Failed, args::PolicyTest, looking, output},
    client::{Judgement, WatcherGrade, policy::Action, text::visible},
    config::{buddies, identity::normalize, parse_until},
    control::Request,
};

/// Prints the document on stdout, and on stderr why it is this one.
pub(super) async fn run(context: &Context, args: &PolicyTest) -> Result<Exit, Failed> {
    let usage = |message: String| Failed::new(Exit::Usage, message);
    let who = named(context, &args.who)?;
    let at = args.at.as_deref().map(moment).transpose().map_err(|error| usage(format!("--at: {error}")))?;
    let judgement = match looking::agent(context).await? {
        Some(mut agent) => {
            let request = Request::Policy { who: who.clone(), identity: args.identity, at };
            let reply = looking::ask(&mut agent, &request, context).await?;
            if let Some(message) = &reply.message {
                context.output.tell(&format!("note: {}", visible(message)));
            }
            reply.judgement.map(|judgement| *judgement)
        }
        None => None,
    };
    let (judgement, runs) = match judgement {
        Some(judgement) => (judgement, true),
        None => (by_the_file(context, &who, args.identity, at)?, false),
    };
    if context.output.is_json() {
        let text = format!("{}\n", serde_json::to_string(&judgement).unwrap_or_default());
        return Ok(output::print_bytes(text.as_bytes()).map_or_else(Into::into, |()| Exit::Done));
    }
    for line in in_words(&judgement) {
        context.output.tell(&line);
    }
    if through_server(context) {
        let how = "through your account's server they get what that server's rules say; `policy push` gives it yours";
        context.output.tell(&format!("note: this is for those who watch you directly; {how}"));
    }
    match &judgement.document {
        Some(document) => Ok(output::print_bytes(document.as_bytes()).map_or_else(Into::into, |()| Exit::Done)),
        None if !runs && judgement.action != Action::Ask && judgement.action != Action::Block => {
            context.output.tell("note: no agent runs, so nobody gets anything now; the document is told when one does");
            Ok(Exit::Done)
        }
        None => Ok(Exit::Done),
    }
}

fn through_server(context: &Context) -> bool {
    let account = context.args.account.as_deref().and_then(|name| context.settings.accounts.get_key_value(name));
    let account =
        account.map(|(name, account)| (name.as_str(), account)).or_else(|| context.settings.default_account());
    account.is_some_and(|(name, account)| agent::server(&context.settings, name, account).is_ok_and(|at| at.is_some()))
}

/// Returns the address of a buddy, or the one that was given.
fn named(context: &Context, who: &str) -> Result<String, Failed> {
    let buddy = buddies::load(&context.paths.buddies_file).ok().and_then(|list| list.named(who).cloned());
    let who = buddy.map_or_else(|| who.to_owned(), |buddy| buddy.address);
    normalize(&who).map_err(|error| Failed::new(Exit::Usage, format!("--as: {error}")))
}

/// Reads a time; one that has passed is as good as one to come.
fn moment(text: &str) -> Result<Timestamp, String> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    parse_until(text, &Zoned::now()).map(|at| at.timestamp()).map_err(|error| error.to_string())
}

/// Without an agent there is no document, but a decision all the same.
fn by_the_file(
    context: &Context,
    who: &str,
    identity: Option<WatcherGrade>,
    at: Option<Timestamp>,
) -> Result<Judgement, Failed> {
    let policy = load_policy(&context.settings, &context.paths)?;
    let (at, identity) = (at.unwrap_or_else(Timestamp::now), identity.unwrap_or(WatcherGrade::Verified));
    let explained = policy.explain(who, identity, &policy.moment(at, None));
    Ok(Judgement::of(who, identity, at, &explained, None))
}

fn in_words(judgement: &Judgement) -> Vec<String> {
    let who = visible(judgement.who.strip_prefix("sip:").unwrap_or(&judgement.who));
    let certain = match judgement.identity {
        WatcherGrade::Verified => "has proved who it is",
        WatcherGrade::Address => "answers at its own address",
        WatcherGrade::Claimed => "only claims to be that",
    };
    let gets = match judgement.action {
        Action::Allow => "sees you",
        Action::Ask => "waits for your approval, and gets nothing until then",
        Action::PoliteBlock => "sees you as offline",
        Action::Block => "is refused",
    };
    let by = match judgement.rule.as_str() {
        "default" => "as everybody whom no rule is about".to_owned(),
        list @ ("allow" | "block" | "polite_block") => format!("by the list {list}"),
        rule => format!("by the rule {}", visible(rule)),
    };
    let mut lines = vec![format!("{who}, if it {certain}, {gets}, {by}")];
    for rule in &judgement.rules {
        let gives = match (&rule.instead, rule.shows.as_slice()) {
            (Some(instead), _) => format!("{}, shows {} instead", rule.action, visible(instead)),
            (None, []) if rule.action == Action::Allow => "allow, shows whether you can be reached".to_owned(),
            (None, []) => rule.action.to_string(),
            (None, shows) => format!("{}, shows {}", rule.action, visible(&shows.join(", "))),
        };
        let counts = match (&rule.unmet, rule.from) {
            (None, _) => String::new(),
            (Some(unmet), None) => format!(" (does not count: {unmet})"),
            (Some(unmet), Some(from)) => format!(" (does not count: {unmet}, next {})", output::clock_until(from)),
        };
        lines.push(format!("  rule {}: {gives}{counts}", visible(&rule.rule)));
    }
    let shown: Vec<String> = judgement
        .parts
        .iter()
        .filter(|part| !part.by.is_empty())
        .map(|part| format!("{} by {}", part.part, visible(&part.by.join(", "))))
        .collect();
    let hidden: Vec<&str> =
        judgement.parts.iter().filter(|part| part.by.is_empty()).map(|part| part.part.as_str()).collect();
    if !shown.is_empty() && !hidden.is_empty() {
        lines.push(format!("  shown: {}", shown.join("; ")));
    }
    if !hidden.is_empty() {
        lines.push(format!("  hidden: {}", hidden.join(", ")));
    }
    lines
}
