//! Keys in the windows over the screen: help, my status, watchers, somebody, groups, a question.

use super::{browse, list};
use crate::{
    client::{Buddy, shown},
    control::Request,
    tui::{
        effect::{Change, Cmd, Edit, Order, Undo},
        forms::{BUDDY_FIELDS, BuddyForm, Field, GroupsForm, StatusForm},
        input::Input,
        key::Key,
        keymap::{Action, Context},
        model::{Mode, Model},
    },
};

/// Takes a key; the window is open again afterwards unless the key closed it.
pub(super) fn press(model: &mut Model, key: Key) -> Vec<Cmd> {
    let action = model.keymap.action(Context::Window, key);
    match std::mem::take(&mut model.mode) {
        Mode::Help { scroll } => help(model, scroll, key, action),
        Mode::Filter(input) => filter(model, input, key, action),
        Mode::Status(form) => status(model, form, key, action),
        Mode::Watchers { selected } => watchers(model, selected, key, action),
        Mode::Buddy(form) => buddy(model, form, key, action),
        Mode::Groups(form) => groups(model, form, key, action),
        Mode::Remove(buddy) => remove(model, buddy, key, action),
        Mode::Browse | Mode::Command(_) => Vec::new(),
    }
}

/// Puts text into the field that takes it.
pub(super) fn paste(model: &mut Model, text: &str) {
    match &mut model.mode {
        Mode::Filter(input) => {
            input.paste(text);
            input.text().clone_into(&mut model.wish.filter);
            model.rows_changed();
        }
        Mode::Status(form) if form.field == Field::Length && form.is_custom() => form.custom.paste(text),
        Mode::Status(form) => {
            form.field = Field::Note;
            form.note.paste(text);
        }
        Mode::Buddy(form) => {
            if let Some(input) = form.texts.get_mut(form.field) {
                input.paste(text);
            }
        }
        Mode::Groups(form) => {
            form.selected = form.groups.len();
            form.new.paste(text);
        }
        _ => {}
    }
}

fn help(model: &mut Model, scroll: usize, key: Key, action: Option<Action>) -> Vec<Cmd> {
    let page = usize::from(model.height.saturating_sub(4)).max(1);
    let screen = model.keymap.action(Context::Screen, key);
    let scroll = match (action, screen) {
        (Some(Action::Close | Action::Accept), _) | (_, Some(Action::Quit | Action::Help)) => return Vec::new(),
        (Some(Action::FieldUp), _) | (_, Some(Action::Up)) => scroll.saturating_sub(1),
        (Some(Action::FieldDown), _) | (_, Some(Action::Down)) => scroll + 1,
        (Some(Action::FieldPageUp), _) => scroll.saturating_sub(page),
        (Some(Action::FieldPageDown), _) => scroll + page,
        (_, Some(Action::Top)) => 0,
        (_, Some(Action::Bottom)) => usize::MAX,
        _ => scroll,
    };
    let most = crate::tui::view::help_lines(model).saturating_sub(page);
    model.mode = Mode::Help { scroll: scroll.min(most) };
    Vec::new()
}

fn filter(model: &mut Model, mut input: Input, key: Key, action: Option<Action>) -> Vec<Cmd> {
    match action {
        Some(Action::Close) => {
            model.wish.filter.clear();
            model.rows_changed();
            return Vec::new();
        }
        Some(Action::Accept) => return Vec::new(),
        Some(Action::FieldUp) => list::step(model, false),
        Some(Action::FieldDown) => list::step(model, true),
        Some(Action::FieldPageUp) => browse::navigate(model, Action::PageUp),
        Some(Action::FieldPageDown) => browse::navigate(model, Action::PageDown),
        _ => {
            if input.key(key) && input.text() != model.wish.filter {
                input.text().clone_into(&mut model.wish.filter);
                model.rows_changed();
                model.start_over();
            }
        }
    }
    model.mode = Mode::Filter(input);
    Vec::new()
}

fn status(model: &mut Model, mut form: StatusForm, key: Key, action: Option<Action>) -> Vec<Cmd> {
    form.error = None;
    match (action, form.field) {
        (Some(Action::Close), _) => return Vec::new(),
        (Some(Action::Accept), _) => match form.request(&model.now) {
            Ok(request) => return vec![Cmd::Ask(set(model, request))],
            Err(error) => {
                form.field = Field::Length;
                form.error = Some(error);
            }
        },
        (Some(Action::FieldUp), Field::Status) => form.selected = form.selected.saturating_sub(1),
        (Some(Action::FieldDown), Field::Status) if form.selected + 1 < form.statuses.len() => form.selected += 1,
        (Some(Action::Previous | Action::FieldUp), _) => form.step(false),
        (Some(Action::Next | Action::FieldDown), _) => form.step(true),
        (Some(Action::Less), Field::Length) if !form.is_custom() || form.custom.text().is_empty() => {
            form.length = form.length.saturating_sub(1);
        }
        (Some(Action::More), Field::Length) if !form.is_custom() => form.length += 1,
        (_, Field::Note) => {
            form.note.key(key);
        }
        (_, Field::Length) => {
            // Whoever types says how long.
            if key.text().is_some() && !form.is_custom() {
                form.length = form.lengths.len() - 1;
            }
            form.custom.key(key);
        }
        (_, Field::Status) => {
            if let Some(c) = key.text() {
                let all = form.statuses.len();
                let begins = |place: &usize| form.statuses[*place % all].0.starts_with(c);
                let next = (form.selected + 1..=form.selected + all).find(begins);
                form.selected = next.map_or(form.selected, |place| place % all);
            }
        }
    }
    model.mode = Mode::Status(form);
    Vec::new()
}

/// Returns what sets my status, and how to take that back.
pub(super) fn set(model: &Model, request: Request) -> Order {
    let mine = model.me.first();
    let undo = mine.map(|mine| Undo::of_status(&mine.line, mine.account.clone()));
    let account = mine.and_then(|mine| mine.account.clone());
    Order { account, requests: vec![request], undo, ..Order::default() }
}

/// Returns the watchers in the order in which they are shown: those who wait come first.
pub(crate) fn order(model: &Model) -> Vec<usize> {
    let mut order: Vec<usize> = (0..model.watchers.len()).collect();
    order.sort_by_key(|place| (!model.watchers[*place].waits(), *place));
    order
}

fn watchers(model: &mut Model, selected: usize, key: Key, action: Option<Action>) -> Vec<Cmd> {
    let order = order(model);
    let mut selected = selected.min(order.len().saturating_sub(1));
    let mut cmds = Vec::new();
    match model.keymap.action(Context::Watchers, key).or(action) {
        Some(Action::Close) => return Vec::new(),
        Some(Action::FieldUp) => selected = selected.saturating_sub(1),
        Some(Action::FieldDown) => selected = (selected + 1).min(order.len().saturating_sub(1)),
        Some(decision @ (Action::Allow | Action::PoliteBlock | Action::Block)) => {
            if let Some(watcher) = order.get(selected).and_then(|place| model.watchers.get(*place)) {
                cmds.push(Cmd::Ask(decide(watcher.account.clone(), &watcher.info.who, decision)));
            }
        }
        _ if model.keymap.action(Context::Screen, key) == Some(Action::Quit) => return Vec::new(),
        _ => {}
    }
    model.mode = Mode::Watchers { selected };
    cmds
}

/// Returns what decides about a watcher.
pub(super) fn decide(account: Option<String>, who: &str, decision: Action) -> Order {
    let (list, then) = match decision {
        Action::Block => ("block", "is refused"),
        Action::PoliteBlock => ("polite-block", "sees you as offline"),
        _ => ("allow", "may see you"),
    };
    let requests = vec![Request::Decide { who: vec![who.to_owned()], list: Some(list.to_owned()) }];
    Order { account, requests, words: Some(format!("{} {then}", shown::address(who))), ..Order::default() }
}

fn buddy(model: &mut Model, mut form: BuddyForm, key: Key, action: Option<Action>) -> Vec<Cmd> {
    form.error = None;
    let fields = BUDDY_FIELDS.len();
    match (action, form.texts.get_mut(form.field)) {
        (Some(Action::Close), _) => return Vec::new(),
        (Some(Action::Accept), _) => match form.change() {
            Ok(change) => return change.map(edit).into_iter().collect(),
            Err((field, error)) => (form.field, form.error) = (field, Some(error)),
        },
        (Some(Action::Next | Action::FieldDown), _) => form.field = (form.field + 1) % fields,
        (Some(Action::Previous | Action::FieldUp), _) => form.field = (form.field + fields - 1) % fields,
        (_, Some(input)) => {
            input.key(key);
        }
        (Some(Action::Switch | Action::Less | Action::More), None) if form.field == 4 => form.watch = !form.watch,
        (Some(Action::Switch | Action::Less | Action::More), None) => form.mark = !form.mark,
        _ => {}
    }
    model.mode = Mode::Buddy(form);
    Vec::new()
}

/// Returns what changes the list, with its words.
pub(super) fn edit(change: Change) -> Cmd {
    let words = change.to_string();
    Cmd::Edit(Edit { changes: vec![change], words, undo: true, again: None })
}

fn groups(model: &mut Model, mut form: GroupsForm, key: Key, action: Option<Action>) -> Vec<Cmd> {
    form.error = None;
    match (action, form.groups.get_mut(form.selected)) {
        (Some(Action::Close), _) => return Vec::new(),
        (Some(Action::Accept), _) => match form.change() {
            Ok(change) => return change.map(edit).into_iter().collect(),
            Err(error) => (form.selected, form.error) = (form.groups.len(), Some(error)),
        },
        (Some(Action::FieldUp | Action::Previous), _) => form.selected = form.selected.saturating_sub(1),
        (Some(Action::FieldDown | Action::Next), _) => form.selected = (form.selected + 1).min(form.groups.len()),
        (Some(Action::Switch | Action::Less | Action::More), Some((_, is))) => *is = !*is,
        (_, None) => {
            form.new.key(key);
        }
        _ => {}
    }
    model.mode = Mode::Groups(form);
    Vec::new()
}

fn remove(model: &mut Model, buddy: Buddy, key: Key, action: Option<Action>) -> Vec<Cmd> {
    match (action, key.text()) {
        (Some(Action::Accept), _) | (_, Some('y' | 'Y')) => vec![edit(Change::Remove(buddy))],
        (Some(Action::Close), _) | (_, Some('n' | 'N' | 'q')) => Vec::new(),
        _ => {
            model.mode = Mode::Remove(buddy);
            Vec::new()
        }
    }
}
