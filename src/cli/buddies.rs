//! `buddies`: the people on the list, which is a file that people may edit too.

mod exchange;
mod share;

pub(super) use self::exchange::write_new;
use super::{
    Context, Exit, Failed,
    args::{Add, BuddiesCommand, Group},
    looking,
};
use crate::{
    client::{
        Buddies, Buddy,
        buddy::{NameError, address_key, fold, parse_group, parse_name, unknown_group},
        parse_target, text,
    },
    config::buddies::{self, Draft, edit},
    control::Request,
};

/// Shows the list or changes it.
pub(super) async fn run(context: &Context, args: super::args::Buddies) -> Result<Exit, Failed> {
    let dry_run = args.dry_run;
    match args.command.unwrap_or(BuddiesCommand::List { group: None }) {
        BuddiesCommand::List { group } => list(context, group.as_deref()),
        BuddiesCommand::Add(args) => change(context, dry_run, |draft| add(context, draft, args)).await,
        BuddiesCommand::Remove { who } => change(context, dry_run, |draft| remove(draft, &who)).await,
        BuddiesCommand::Rename { who, name } => change(context, dry_run, |draft| rename(draft, &who, &name)).await,
        BuddiesCommand::Import(args) => exchange::import(context, &args, dry_run).await,
        BuddiesCommand::Export(args) => exchange::export(context, &args),
        BuddiesCommand::Push => share::push(context, dry_run).await,
        BuddiesCommand::Pull => share::pull(context, dry_run).await,
        BuddiesCommand::Group(args) => change(context, dry_run, |draft| group(draft, &args)).await,
    }
}

impl From<NameError> for Failed {
    fn from(error: NameError) -> Self {
        Self::new(Exit::Usage, error.to_string())
    }
}

fn list(context: &Context, group: Option<&str>) -> Result<Exit, Failed> {
    let mut list = buddies::load(&context.paths.buddies_file)?;
    if let Some(group) = group {
        let members: Vec<Buddy> = members(&list, group)?.into_iter().cloned().collect();
        list = Buddies(members);
    }
    if list.0.is_empty() {
        context.output.tell("there is nobody on your buddy list; `sippresence buddies add` puts somebody there");
    }
    Ok(context.output.buddies(&list).map_or_else(Into::into, |()| Exit::Done))
}

fn members<'a>(list: &'a Buddies, group: &str) -> Result<Vec<&'a Buddy>, Failed> {
    let name = parse_group(group)?;
    list.group(&name).ok_or_else(|| {
        let (message, hint) = unknown_group(list, group);
        Failed::new(Exit::NoSuchUser, message).with_hint(hint)
    })
}

/// Changes the file, or only says what would change; a running agent takes it up at once.
async fn change(
    context: &Context,
    dry_run: bool,
    change: impl FnOnce(&mut Draft) -> Result<Vec<String>, Failed>,
) -> Result<Exit, Failed> {
    let mut before = Buddies::default();
    let noted = |draft: &mut Draft| {
        before.clone_from(draft.list());
        change(draft)
    };
    let (after, words) = edit(&context.paths.buddies_file, !dry_run, noted)?;
    for word in words {
        let word = text::visible(&word);
        context.output.tell(&if dry_run { format!("would be: {word}") } else { word });
    }
    if before == after {
        context.output.tell("the list is as it was");
        return Ok(Exit::Done);
    }
    if !dry_run {
        tell_agent(context).await;
    }
    Ok(Exit::Done)
}

/// Has a running agent read the list now; it does so by itself too, so that it cannot is no failure of what is done.
async fn tell_agent(context: &Context) {
    let told = async {
        match looking::agent(context).await? {
            Some(mut agent) => looking::ask(&mut agent, &Request::Buddies {}, context).await.map(drop),
            None => Ok(()),
        }
    };
    if let Err(failed) = told.await {
        context.output.tell(&format!("note: the agent did not take it up yet: {}", failed.message));
    }
}

fn add(context: &Context, draft: &mut Draft, args: Add) -> Result<Vec<String>, Failed> {
    let usage = |message: String| Failed::new(Exit::Usage, message);
    let address = buddies::parse_address(&args.address).map_err(usage)?;
    parse_target(&address, "localhost").map_err(|error| usage(error.to_string()))?;
    if let Some(account) = &args.through
        && !context.settings.accounts.contains_key(account)
    {
        let hint = "`sippresence config show` shows which there are";
        return Err(Failed::new(Exit::NoAccount, format!("there is no account {account:?}")).with_hint(hint));
    }
    let key = address_key(&address);
    if let Some(known) = draft.list().0.iter().find(|buddy| address_key(&buddy.address) == key)
        && args.name.is_none()
    {
        let message = format!("{address} is on the list already, as {known}");
        let hint = "`buddies group` puts into a group, `buddies rename` renames, `--name` lists it a second time";
        return Err(Failed::new(Exit::Conflict, message).with_hint(hint));
    }
    let name = match &args.name {
        Some(name) => Some(free(draft, parse_name(name)?, None)?),
        // A short way to say whom one means, where it means nobody else.
        None => usual_name(&address).filter(|name| draft.list().named(name).is_none()),
    };
    let mut aliases: Vec<String> = Vec::new();
    for alias in &args.alias {
        let alias = free(draft, parse_name(alias)?, None)?;
        // A word that is said twice is one.
        if !name.iter().chain(&aliases).any(|word| fold(word) == fold(&alias)) {
            aliases.push(alias);
        }
    }
    let groups = args.group.iter().map(|group| parse_group(group)).collect::<Result<Vec<_>, _>>()?;
    let account = args.through;
    let (watch, mark) = (!args.no_watch, args.mark);
    let buddy = Buddy { name, aliases, groups, account, watch, mark, ..Buddy::new(address) };
    let words = described(&buddy);
    draft.add(buddy);
    Ok(vec![words])
}

/// Returns the name that an address suggests: what stands before its host.
fn usual_name(address: &str) -> Option<String> {
    let key = address_key(address);
    let user = key.rsplit_once('@').map_or(&*key, |(user, _)| user);
    parse_name(user.split_once(':').map_or(user, |(_, user)| user)).ok()
}

/// Returns a name that means nobody else.
fn free(draft: &Draft, name: String, but: Option<usize>) -> Result<String, Failed> {
    let folded = fold(&name);
    let mut others = draft.list().0.iter().enumerate().filter(|(place, _)| Some(*place) != but);
    let other = others.find(|(_, buddy)| buddy.words().any(|word| fold(word) == folded));
    match other {
        Some((_, other)) => {
            Err(Failed::new(Exit::Conflict, format!("{name:?} means {} already", text::visible(&other.address))))
        }
        None => Ok(name),
    }
}

/// Says in one line who somebody is.
fn described(buddy: &Buddy) -> String {
    let mut words = match &buddy.name {
        Some(name) => format!("{name} is on the list: {}", buddy.address),
        None => format!("{} is on the list", buddy.address),
    };
    if !buddy.groups.is_empty() {
        words += ", in @";
        words += &buddy.groups.join(" @");
    }
    if !buddy.watch {
        words.push_str(", watched only when named");
    }
    words
}

fn find(draft: &Draft, who: &str) -> Result<usize, Failed> {
    draft.find(who).ok_or_else(|| {
        let folded = fold(who);
        let far = |word: &&str| (!fold(word).contains(&folded), strsim::osa_distance(&fold(word), &folded));
        let nearest = draft.list().0.iter().flat_map(Buddy::words).min_by_key(far);
        let failed = Failed::new(Exit::NoSuchUser, format!("{who:?} is not on your buddy list"));
        match nearest.filter(|word| far(word) <= (true, 2)) {
            Some(word) => failed.with_hint(format!("did you mean {}?", text::visible(word))),
            None => failed.with_hint("`sippresence buddies` lists who is"),
        }
    })
}

fn remove(draft: &mut Draft, who: &[String]) -> Result<Vec<String>, Failed> {
    let mut words = Vec::new();
    for who in who {
        let place = find(draft, who)?;
        words.push(format!("{} is not on the list any more", draft.remove(place)));
    }
    Ok(words)
}

fn rename(draft: &mut Draft, who: &str, name: &str) -> Result<Vec<String>, Failed> {
    let place = find(draft, who)?;
    let name = free(draft, parse_name(name)?, Some(place))?;
    let Some(buddy) = draft.get_mut(place) else { return Ok(Vec::new()) };
    let before = buddy.to_string();
    // An alias that becomes the name is an alias no more.
    buddy.aliases.retain(|alias| fold(alias) != fold(&name));
    buddy.name = Some(name);
    Ok(vec![format!("{before} is {buddy} from now on")])
}

fn group(draft: &mut Draft, args: &Group) -> Result<Vec<String>, Failed> {
    let name = parse_group(&args.name)?;
    // As it is written already, if it is.
    let name = draft
        .list()
        .groups()
        .into_iter()
        .find(|known| fold(known) == fold(&name))
        .map_or_else(|| name.clone(), str::to_owned);
    let mut words = Vec::new();
    for who in &args.who {
        let place = find(draft, who)?;
        let Some(buddy) = draft.get_mut(place) else { continue };
        let is_in = buddy.is_in(&name);
        if args.remove {
            buddy.groups.retain(|group| fold(group) != fold(&name));
        } else if !is_in {
            buddy.groups.push(name.clone());
        }
        words.push(match (args.remove, is_in) {
            (false, false) => format!("{buddy} is in @{name}"),
            (false, true) => format!("{buddy} was in @{name} already"),
            (true, true) => format!("{buddy} is not in @{name} any more"),
            (true, false) => format!("{buddy} was not in @{name}"),
        });
    }
    Ok(words)
}
