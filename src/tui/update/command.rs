//! The command line, in the words of the program's own.

use super::{browse, undo, windows};
use crate::{
    client::{Buddies, Buddy, buddy, did_you_mean, most_like},
    config::{buddies::parse_address, identity::normalize},
    control::Request,
    tui::{
        effect::{Change, Cmd, Edit, Order},
        forms,
        key::Key,
        keymap::{Action, Context},
        model::{Mode, Model},
        rows::Sort,
    },
};

/// The commands, as help shows them.
pub(crate) const COMMANDS: [(&str, &str); 11] = [
    ("set STATUS [--note T] [--for D | --until T]", "set my status"),
    ("clear", "take my status back"),
    ("add ADDRESS [--name N] [--group G]", "put somebody on the list"),
    ("remove WHO", "take somebody off it"),
    ("rename WHO NAME", "call somebody something else"),
    ("group add|remove GROUP WHO…", "put people into a group, or take them out"),
    ("watchers allow|block|polite-block|forget WHO", "decide who may see me"),
    ("sort group|status|name|change", "sort the list"),
    ("undo", "take the last change back"),
    ("help", "show all keys"),
    ("quit", "leave"),
];

/// Takes a key.
pub(super) fn press(model: &mut Model, key: Key) -> Vec<Cmd> {
    let action = model.keymap.action(Context::Window, key);
    let Mode::Command(mut input) = std::mem::take(&mut model.mode) else { return Vec::new() };
    match action {
        Some(Action::Close) => return Vec::new(),
        Some(Action::Accept) => {
            return run(model, input.text()).unwrap_or_else(|error| {
                model.complain(error);
                Vec::new()
            });
        }
        _ => {
            // As in vi: nothing left to take away closes it.
            let empty = input.text().is_empty();
            let takes = input.key(key);
            if empty && takes && input.text().is_empty() {
                return Vec::new();
            }
        }
    }
    model.mode = Mode::Command(input);
    Vec::new()
}

/// Does what a line says.
fn run(model: &mut Model, line: &str) -> Result<Vec<Cmd>, String> {
    let words = split(line)?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let words = words.strip_prefix(&["sippresence"]).unwrap_or(&words);
    let words = words.strip_prefix(&["buddies"]).unwrap_or(words);
    match words {
        [] => Ok(Vec::new()),
        ["set" | "set-status", rest @ ..] => set(model, rest),
        ["clear"] => {
            let order = windows::set(model, Request::Clear {});
            Ok(vec![Cmd::Ask(Order {
                words: Some("your status is taken back: you show as offline".to_owned()),
                ..order
            })])
        }
        ["add", rest @ ..] => add(model, rest),
        ["remove" | "rm", who] => Ok(vec![windows::edit(Change::Remove(find(model, who)?))]),
        ["rename", who, name] => {
            let before = find(model, who)?;
            let name = buddy::parse_name(name).map_err(|error| error.to_string())?;
            let after = Buddy { name: Some(name), ..before.clone() };
            Ok(vec![windows::edit(Change::Replace { before, after })])
        }
        ["group", how @ ("add" | "remove"), group, who @ ..] if !who.is_empty() => {
            regroup(model, *how == "add", group, who)
        }
        ["watchers", decision, who] => decide(model, decision, who),
        ["watchers"] => Ok(browse::act(model, Action::Watchers)),
        ["sort", by] => {
            let order = match *by {
                "group" => Sort::Group,
                "status" | "state" => Sort::Status,
                "name" => Sort::Name,
                "change" | "recency" => Sort::Recency,
                other => return Err(format!("no order {other:?}: group, status, name or change")),
            };
            browse::sort(model, order);
            Ok(Vec::new())
        }
        ["undo"] => Ok(undo(model)),
        ["help"] => Ok(browse::act(model, Action::Help)),
        ["quit" | "q" | "exit"] => Ok(vec![Cmd::Quit]),
        [word, ..] => Err(unknown(word)),
    }
}

/// Says what is wrong with a line that begins so.
fn unknown(word: &str) -> String {
    let known = || COMMANDS.iter().map(|(usage, _)| *usage);
    let first = |usage: &'static str| usage.split(' ').next().unwrap_or(usage);
    if let Some(usage) = known().find(|usage| first(usage) == word) {
        return format!("write {usage}");
    }
    format!("no command {word:?}{}", did_you_mean(most_like(word, known().map(first))))
}

/// Parts a line at blanks; what stands in quotes stays together.
fn split(line: &str) -> Result<Vec<String>, String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in line.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(c),
        }
    }
    if let Some(open) = quote {
        return Err(format!("a quote {open} is never closed"));
    }
    words.extend(word);
    Ok(words)
}

fn set(model: &Model, words: &[&str]) -> Result<Vec<Cmd>, String> {
    let (mut status, mut note, mut how_long) = (None, None, "");
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        let mut value = || rest.next().copied().ok_or_else(|| format!("{word}: write a value behind it"));
        match *word {
            "--note" => note = Some(value()?),
            "--for" | "--until" => how_long = value()?,
            option if option.starts_with("--") => {
                return Err(format!("no option {option:?}: --note, --for or --until"));
            }
            word if status.is_none() => status = Some(word),
            word => return Err(format!("{word:?} is too much: put a note in quotes behind --note")),
        }
    }
    let status = status.ok_or_else(|| unknown("set"))?;
    let request = forms::request(status, note, how_long, &model.now)?;
    Ok(vec![Cmd::Ask(windows::set(model, request))])
}

fn add(model: &Model, words: &[&str]) -> Result<Vec<Cmd>, String> {
    let (mut address, mut made) = (None, Buddy::new(""));
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        let mut value = || rest.next().copied().ok_or_else(|| format!("{word}: write a value behind it"));
        match *word {
            "--name" => made.name = Some(buddy::parse_name(value()?).map_err(|error| error.to_string())?),
            "--group" => made.groups.extend(forms::parse_groups(value()?)?),
            "--account" => made.account = Some(value()?.to_owned()),
            option if option.starts_with("--") => {
                return Err(format!("no option {option:?}: --name, --group, --account"));
            }
            word if address.is_none() => address = Some(word),
            word => return Err(format!("{word:?} is too much: put a name in quotes behind --name")),
        }
    }
    made.address = parse_address(address.ok_or_else(|| unknown("add"))?)?;
    if let Some(there) = list(model).at(&made.address) {
        return Err(format!("{there} is on the list already"));
    }
    Ok(vec![windows::edit(Change::Add(made))])
}

fn list(model: &Model) -> Buddies {
    Buddies(model.people.list.iter().map(|person| person.buddy.clone()).collect())
}

fn find(model: &Model, who: &str) -> Result<Buddy, String> {
    let list = list(model);
    let nearest = || did_you_mean(most_like(who, list.0.iter().flat_map(Buddy::words)));
    list.find(who).cloned().ok_or_else(|| format!("nobody on the list is {who:?}{}", nearest()))
}

fn regroup(model: &Model, add: bool, group: &str, who: &[&str]) -> Result<Vec<Cmd>, String> {
    let group = buddy::parse_group(group).map_err(|error| error.to_string())?;
    let mut changes = Vec::new();
    for who in who {
        let before = find(model, who)?;
        let mut after = before.clone();
        after.groups.retain(|own| buddy::fold(own) != buddy::fold(&group));
        if add {
            after.groups.push(group.clone());
        }
        if after.is_in(&group) != before.is_in(&group) {
            changes.push(Change::Replace { before, after });
        }
    }
    let words = format!("{} {} @{group}", changes.len(), if add { "more in" } else { "less in" });
    Ok(vec![Cmd::Edit(Edit { changes, words, undo: true, again: None })])
}

fn decide(model: &Model, decision: &str, who: &str) -> Result<Vec<Cmd>, String> {
    let action = match decision {
        "allow" => Action::Allow,
        "polite-block" => Action::PoliteBlock,
        "block" => Action::Block,
        "forget" => Action::Back,
        other => return Err(format!("no decision {other:?}: allow, polite-block, block or forget")),
    };
    let who = normalize(who).map_err(|error| error.to_string())?;
    let account = model.watchers.iter().find(|watcher| watcher.info.who == who).and_then(|own| own.account.clone());
    let mut order = windows::decide(account, &who, action);
    if action == Action::Back {
        order.requests = vec![Request::Decide { who: vec![who.clone()], list: None }];
        order.words = Some(format!("{} is on no list any more", crate::client::shown::address(&who)));
    }
    Ok(vec![Cmd::Ask(order)])
}
