//! `policy`: who may see me, as the file says it, as somebody would see it, and as other programs and the account's server
//! have it.

mod show;
mod test;

use std::path::{Path, PathBuf};

use super::{
    Context, Exit, Failed,
    args::{Policy, PolicyCommand},
    buddies::write_new,
    documents, looking, output,
};
use crate::{
    agent::{
        load_policy,
        rules::{self, Pulled, Pushed},
    },
    client::{policy, pres_rules, text, xcap::Usage},
    config::PolicyFile,
    control::Request,
};

/// Shows the policy to others, or takes in theirs.
pub(super) async fn run(context: &Context, args: Policy) -> Result<Exit, Failed> {
    match args.command.unwrap_or(PolicyCommand::Show) {
        PolicyCommand::Show => show::run(context).await,
        PolicyCommand::Test(args) => test::run(context, &args).await,
        PolicyCommand::Export { file } => export(context, file),
        PolicyCommand::Push => push(context, args.dry_run).await,
        PolicyCommand::Pull { all } => pull(context, args.dry_run, all).await,
    }
}

fn export(context: &Context, file: Option<PathBuf>) -> Result<Exit, Failed> {
    let written = pres_rules::write(&load_policy(&context.settings, &context.paths)?);
    match file.filter(|file| file != Path::new("-")) {
        None => Ok(output::print_bytes(written.as_bytes()).map_or_else(Into::into, |()| Exit::Done)),
        Some(file) => write_new(context, &file, &written, "the rules", "`sippresence policy export >FILE` replaces it"),
    }
}

async fn push(context: &Context, dry_run: bool) -> Result<Exit, Failed> {
    let mut documents = documents::open(context)?;
    let policy = load_policy(&context.settings, &context.paths)?;
    let pushed = documents::within(context, rules::push(&mut documents, &policy, dry_run)).await?;
    let lines = differences(&pushed);
    if dry_run && let Err(closed) = output::print_bytes((lines.concat()).as_bytes()) {
        return Ok(closed.into());
    }
    let would = if dry_run { "would be: " } else { "" };
    context.output.tell(&match lines.len() {
        0 => "the server has your rules as they are".to_owned(),
        1 => format!("{would}1 change to the server's rules"),
        many => format!("{would}{many} changes to the server's rules"),
    });
    for loose in pres_rules::loose(&policy) {
        context.output.tell(&format!("note: {loose}"));
    }
    if !pushed.after.others.rules.is_empty() {
        let others = pushed.after.others.rules.len();
        context.output.tell(&format!(
            "note: rules of other programs stay there ({others}) and may let in whom yours do not: the most generous rule wins"
        ));
    }
    Ok(Exit::Done)
}

/// Says line by line what becomes of our rules there.
fn differences(pushed: &Pushed) -> Vec<String> {
    let Pushed { before, after } = pushed;
    let mut lines = Vec::new();
    for (who, action) in &after.listed {
        match before.listed.get(who) {
            Some(was) if was == action => {}
            Some(was) => lines.push(format!("~ {action} {} (was {was})", text::visible(who))),
            None => lines.push(format!("+ {action} {}", text::visible(who))),
        }
    }
    let gone = before.listed.iter().filter(|(who, _)| !after.listed.contains_key(*who));
    lines.extend(gone.map(|(who, action)| format!("- {action} {}", text::visible(who))));
    lines.extend(before.unreadable.iter().map(|action| format!("~ {action}: the rule of that name is written anew")));
    let rule_of = |rules: &[policy::Rule], id: &str| rules.iter().find(|rule| *rule.id == *id).cloned();
    for rule in &after.rules {
        match rule_of(&before.rules, &rule.id) {
            Some(was) if was == *rule => {}
            Some(_) => lines.push(format!("~ rule {}", text::visible(&rule.id))),
            None => lines.push(format!("+ rule {}", text::visible(&rule.id))),
        }
    }
    let gone = before.rules.iter().filter(|rule| rule_of(&after.rules, &rule.id).is_none());
    lines.extend(gone.map(|rule| format!("- rule {}", text::visible(&rule.id))));
    if let (was, Some(now)) = (before.default, after.default)
        && was != Some(now)
    {
        lines.push(format!("~ {now} everybody else{}", was.map_or_else(String::new, |was| format!(" (was {was})"))));
    }
    for line in &mut lines {
        line.push('\n');
    }
    lines
}

async fn pull(context: &Context, dry_run: bool, all: bool) -> Result<Exit, Failed> {
    let mut documents = documents::open(context)?;
    let looked = documents::within(context, documents.look(Usage::PresRules)).await?;
    let here = PolicyFile::load(&context.paths.policy_file)?;
    let policy = load_policy(&context.settings, &context.paths)?;
    let pulled = rules::compare(&looked, &here, &policy, all)?;
    if looked.found.is_none() {
        context.output.tell("the server has no rules of yours; `sippresence policy push` puts yours there");
    }
    if let Err(closed) = tell(context, &pulled, dry_run) {
        return Ok(closed.into());
    }
    if dry_run {
        return Ok(Exit::Done);
    }
    pulled.apply(&context.paths)?;
    documents.note(Usage::PresRules, looked.found.as_ref()).map_err(Failed::from)?;
    if !pulled.is_empty()
        && let Some(mut agent) = looking::agent(context).await?
    {
        looking::ask(&mut agent, &Request::Reload {}, context).await?;
    }
    let is_all = pulled.unreadable.is_empty() && pulled.left.is_empty();
    Ok(if is_all { Exit::Done } else { Exit::Partly })
}

fn tell(context: &Context, pulled: &Pulled, dry_run: bool) -> Result<(), output::Closed> {
    let mut lines: Vec<String> = Vec::new();
    for (who, list) in &pulled.listed {
        let who = text::visible(who.strip_prefix("sip:").unwrap_or(who));
        lines.push(match list {
            Some(list) => format!("{who}: {}", list.action()),
            None => format!("{who}: on no list"),
        });
    }
    lines.extend(pulled.default.map(|default| format!("everybody else: {default}")));
    lines.extend(pulled.rules.iter().map(|change| {
        let what = match (&change.now, &change.was) {
            (None, _) => "gone",
            (Some(_), None) => "new",
            (Some(_), Some(_)) => "changed",
        };
        format!("rule {}: {what}", text::visible(&change.id))
    }));
    if dry_run {
        output::print_bytes(lines.iter().map(|line| line.clone() + "\n").collect::<String>().as_bytes())?;
    } else {
        for line in &lines {
            context.output.tell(line);
        }
    }
    for who in &pulled.stays {
        let who = text::visible(who.strip_prefix("sip:").unwrap_or(who));
        context.output.tell(&format!(
            "{who} was decided about here and there; it stays as it is here, and `policy push` tells the server"
        ));
    }
    for action in &pulled.unreadable {
        context.output.tell(&format!(
            "note: another program changed the rule sippresence-{action}; your own list stays as it is"
        ));
    }
    for left in &pulled.left {
        context.output.tell(&format!("note: not taken in of rule {left}"));
    }
    if !pulled.others.is_empty() {
        let others: Vec<_> = pulled.others.iter().map(|id| text::visible(id)).collect();
        context.output.tell(&format!(
            "note: rules of other programs hold at the server alone: {}; `policy pull --all` takes them in",
            others.join(", ")
        ));
    }
    let would = if dry_run { "would be: " } else { "" };
    context.output.tell(&match lines.len() {
        0 => "nothing to take in".to_owned(),
        1 => format!("{would}1 change to your policy"),
        many => format!("{would}{many} changes to your policy"),
    });
    Ok(())
}
