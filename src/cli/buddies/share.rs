//! `buddies push` and `pull`: the list at the account's server, where other programs find it (RFC 4826).

use std::collections::HashSet;

use super::exchange::{TOLD, take};
use crate::{
    agent::{Looked, Seen},
    cli::{Context, Exit, Failed, documents, output},
    client::{
        Buddies, Buddy,
        buddy::address_key,
        text,
        xcap::{Document, Usage},
    },
    config::{
        buddies,
        exchange::{self, Format, Updated},
    },
};

/// Where the people are from, in what is said.
const THERE: &str = "the server's list";

/// Puts the list there; nothing that another program put there goes unseen.
pub(super) async fn push(context: &Context, dry_run: bool) -> Result<Exit, Failed> {
    let mut documents = documents::open(context)?;
    let list = buddies::load(&context.paths.buddies_file)?;
    let looked = documents::within(context, documents.look(Usage::ResourceLists)).await?;
    if !looked.is_as_before() {
        return Err(unseen(&looked));
    }
    let account = context.settings.default_account().map(|(name, _)| name);
    let ours = |buddy: &Buddy| buddy.account.as_deref().is_none_or(|name| Some(name) == account);
    let updated = match &looked.found {
        Some(there) => exchange::update(&there.body, &list, ours).map_err(|error| unreadable(&error))?,
        None => first(&list, ours),
    };
    if looked.found.is_none() && updated.added.is_empty() {
        context.output.tell("there is nobody on your list to put there");
        return Ok(Exit::Done);
    }
    let is_same = looked.found.as_ref().is_some_and(|there| there.body == updated.text.as_bytes());
    if dry_run {
        // Said below, and nothing done.
    } else if is_same {
        documents.note(Usage::ResourceLists, looked.found.as_ref())?;
    } else {
        let body = updated.text.clone().into();
        documents::within(context, documents.replace(Usage::ResourceLists, &looked, body)).await?;
    }
    Ok(tell(context, &updated, dry_run).map_or_else(Into::into, |()| Exit::Done))
}

/// Takes those who stand there onto the list.
pub(super) async fn pull(context: &Context, dry_run: bool) -> Result<Exit, Failed> {
    let mut documents = documents::open(context)?;
    let looked = documents::within(context, documents.look(Usage::ResourceLists)).await?;
    let Some(there) = &looked.found else {
        context.output.tell("the server has no list of yours; `sippresence buddies push` puts yours there");
        if !dry_run {
            documents.note(Usage::ResourceLists, None)?;
        }
        return Ok(Exit::Done);
    };
    let imported = exchange::read(&there.body, Format::ResourceLists).map_err(|error| unreadable(&error))?;
    let list = buddies::load(&context.paths.buddies_file)?;
    let here: HashSet<String> = list.0.iter().map(|buddy| address_key(&buddy.address)).collect();
    let gone = gone(&looked, &imported.buddies, &here);
    let taken = take(context, imported, THERE, dry_run).await?;
    for address in gone.iter().take(TOLD) {
        let address = text::visible(address);
        context
            .output
            .tell(&format!("{address} is not on {THERE} any more and stays on yours: `buddies remove` takes them off"));
    }
    if gone.len() > TOLD {
        context.output.tell(&format!("and {} more are not on {THERE} any more", gone.len() - TOLD));
    }
    if !dry_run {
        documents.note(Usage::ResourceLists, looked.found.as_ref())?;
    }
    Ok(taken)
}

/// Returns those of our list who stood there when it was seen last, and do not any more.
fn gone(looked: &Looked, now: &[Buddy], here: &HashSet<String>) -> Vec<String> {
    let Some(Seen::Document(Document { body, .. })) = &looked.before else { return Vec::new() };
    let now: HashSet<String> = now.iter().map(|buddy| address_key(&buddy.address)).collect();
    let before = exchange::read(body, Format::ResourceLists).unwrap_or_default().buddies;
    let keys = before.into_iter().map(|buddy| (address_key(&buddy.address), buddy.address));
    keys.filter(|(key, _)| !now.contains(key) && here.contains(key)).map(|(_, address)| address).collect()
}

/// Returns the first document that the server gets.
fn first(list: &Buddies, ours: impl Fn(&Buddy) -> bool) -> Updated {
    let list = Buddies(list.0.iter().filter(|buddy| ours(buddy)).cloned().collect());
    let text = exchange::write(&list, Format::ResourceLists).unwrap_or_default();
    let mut added = Vec::new();
    for buddy in &list.0 {
        if buddy.groups.is_empty() {
            added.push((buddy.clone(), String::new()));
        }
        added.extend(buddy.groups.iter().map(|group| (buddy.clone(), group.clone())));
    }
    Updated { text, added, ..Updated::default() }
}

/// Says what becomes of the server's list; before it is changed, entry by entry.
fn tell(context: &Context, updated: &Updated, dry_run: bool) -> Result<(), output::Closed> {
    let at = |group: &str| if group.is_empty() { String::new() } else { format!(" @{group}") };
    if dry_run {
        let added = updated.added.iter().map(|(buddy, group)| format!("+ {buddy} {}{}", buddy.address, at(group)));
        let removed = updated.removed.iter().map(|(address, group)| format!("- {address}{}", at(group)));
        let renamed = updated.renamed.iter().map(|(name, buddy)| format!("~ {buddy} {} (was {name:?})", buddy.address));
        let lines: Vec<String> = added.chain(removed).chain(renamed).map(|line| text::visible(&line) + "\n").collect();
        output::print_bytes(lines.concat().as_bytes())?;
    }
    let (added, removed, renamed) = (updated.added.len(), updated.removed.len(), updated.renamed.len());
    let would = if dry_run { "would be: " } else { "" };
    context.output.tell(&if added + removed + renamed == 0 {
        "the server has your list as it is".to_owned()
    } else {
        format!("{would}{added} added, {removed} taken off, {renamed} renamed on {THERE}")
    });
    Ok(())
}

fn unreadable(error: &exchange::ExchangeError) -> Failed {
    Failed::new(Exit::Unsupported, text::visible(&format!("{THERE} cannot be read, and stays as it is: {error}")))
}

fn unseen(looked: &Looked) -> Failed {
    let message = match (&looked.found, &looked.before) {
        (Some(_), None) => "the server has a list that you have not seen yet",
        (None, _) => "another program took the list off the server, and you have not seen that yet",
        _ => "another program changed the server's list, and you have not seen that yet",
    };
    Failed::new(Exit::Conflict, message).with_hint("`sippresence buddies pull` takes it in; then push again")
}
