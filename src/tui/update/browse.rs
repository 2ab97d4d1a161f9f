//! Keys on the list, the wallboard, the log and the trace.

use super::{list, show, undo};
use crate::{
    client::buddy::fold,
    tui::{
        areas::Areas,
        effect::{Change, Cmd, Edit, Order},
        forms::{BuddyForm, Field, GroupsForm, StatusForm},
        input::Input,
        key::Key,
        keymap::{Action, Context},
        model::{Mode, Model, Screen},
        rows::{OTHERS, Row, Sort},
    },
};

/// Takes a key.
pub(super) fn press(model: &mut Model, key: Key) -> Vec<Cmd> {
    let Some(action) = model.keymap.action(Context::Screen, key) else { return Vec::new() };
    act(model, action)
}

/// Does what a key means.
pub(super) fn act(model: &mut Model, action: Action) -> Vec<Cmd> {
    let mine = || model.me.first().map(|mine| &mine.line);
    match action {
        Action::Quit | Action::Leave => return vec![Cmd::Quit],
        Action::Help => model.mode = Mode::Help { scroll: 0 },
        Action::Status => model.mode = Mode::Status(StatusForm::of(mine(), Field::Status, &model.now)),
        Action::Note => model.mode = Mode::Status(StatusForm::of(mine(), Field::Note, &model.now)),
        Action::HowLong => model.mode = Mode::Status(StatusForm::of(mine(), Field::Length, &model.now)),
        Action::Watchers => model.mode = Mode::Watchers { selected: 0 },
        Action::Filter => {
            model.screen = Screen::List;
            model.mode = Mode::Filter(Input::new(&model.wish.filter));
        }
        Action::Command => model.mode = Mode::Command(Input::default()),
        Action::Undo => return undo(model),
        Action::Wallboard => return show(model, Screen::Wallboard),
        Action::Log => return show(model, Screen::Log),
        Action::Trace => return show(model, Screen::Trace),
        Action::Back => return back(model),
        Action::Refresh => return vec![Cmd::Ask(reread("the list is read again"))],
        Action::Sort => sort(model, model.wish.sort.next()),
        Action::HideOffline => {
            model.wish.hide_offline = !model.wish.hide_offline;
            model.rows_changed();
        }
        Action::Compact => model.compact = !model.compact,
        Action::Add => model.mode = Mode::Buddy(BuddyForm::new(current_group(model).as_deref())),
        Action::Edit | Action::Remove | Action::Groups | Action::Mark => return on_buddy(model, action),
        Action::Detail => detail(model),
        Action::Document => return document(model),
        _ => navigate(model, action),
    }
    Vec::new()
}

/// Returns what has the agent read the list again.
pub(super) fn reread(words: &str) -> Order {
    let requests = vec![crate::control::Request::Buddies {}];
    Order { requests, words: Some(words.to_owned()), ..Order::default() }
}

/// Sorts by something else.
pub(super) fn sort(model: &mut Model, sort: Sort) {
    model.wish.sort = sort;
    model.rows_changed();
    model.say(format!("sorted by {}", sort.word()));
}

fn back(model: &mut Model) -> Vec<Cmd> {
    if model.screen != Screen::List {
        return show(model, Screen::List);
    }
    if !model.wish.filter.is_empty() {
        model.wish.filter.clear();
        model.rows_changed();
    } else if model.detail == Some(true) {
        model.detail = None;
    }
    model.notice = None;
    Vec::new()
}

fn detail(model: &mut Model) {
    match model.rows.all.get(model.cursor) {
        _ if model.screen != Screen::List => model.screen = Screen::List,
        Some(Row::Header(section)) => list::fold(model, *section, None),
        Some(Row::Person { .. }) => {
            let shown = Areas::of(model).detail.height > 0;
            model.detail = Some(!shown);
            model.detail_scroll = 0;
        }
        None => {}
    }
}

/// Shows everything about somebody, and has the document fetched.
fn document(model: &mut Model) -> Vec<Cmd> {
    let Some(address) = model.current_person().map(|(person, _)| person.buddy.address.clone()) else {
        model.say("choose a buddy first");
        return Vec::new();
    };
    (model.screen, model.detail) = (Screen::List, Some(true));
    model.say(format!("fetching the document of {}", crate::client::shown::address(&address)));
    vec![Cmd::Fetch(address)]
}

/// Returns the group that the cursor is in, if it is one of the file's.
fn current_group(model: &Model) -> Option<String> {
    let section = match model.rows.all.get(model.cursor)? {
        Row::Header(section) => Some(*section),
        Row::Person { section, .. } => *section,
    };
    let title = &model.rows.sections.get(section?)?.title;
    (model.wish.sort == Sort::Group && title != OTHERS).then(|| title.clone())
}

fn on_buddy(model: &mut Model, action: Action) -> Vec<Cmd> {
    let Some(buddy) = model.current_person().map(|(person, _)| person.buddy.clone()) else {
        model.say("go to somebody on the list first");
        return Vec::new();
    };
    match action {
        Action::Edit => model.mode = Mode::Buddy(BuddyForm::of(&buddy)),
        Action::Remove => model.mode = Mode::Remove(buddy),
        Action::Groups => model.mode = Mode::Groups(GroupsForm::of(&buddy, model.people.groups())),
        Action::Mark => {
            let after = crate::client::Buddy { mark: !buddy.mark, ..buddy.clone() };
            let name = crate::client::shown::address(&buddy.to_string());
            let words = if after.mark {
                format!("the bell rings when {name} becomes available")
            } else {
                format!("no bell for {name} any more")
            };
            return vec![Cmd::Edit(Edit {
                changes: vec![Change::Replace { before: buddy, after }],
                words,
                undo: true,
                again: None,
            })];
        }
        _ => {}
    }
    Vec::new()
}

/// Moves over whatever the screen shows.
pub(super) fn navigate(model: &mut Model, action: Action) {
    let areas = Areas::of(model);
    let lines = usize::from(areas.body.height.max(1));
    match (model.screen, action) {
        (Screen::Wallboard, Action::Fold | Action::Up) => model.wall = model.wall.saturating_sub(1),
        (Screen::Wallboard, Action::Unfold | Action::Down) => {
            model.wall = (model.wall + 1).min(model.people.groups().len());
        }
        (Screen::Wallboard, _) => {}
        (Screen::Log | Screen::Trace, _) => {
            let all = if model.screen == Screen::Log { model.log.len() } else { model.trace.len() };
            let most = all.saturating_sub(lines);
            model.back = match action {
                Action::Up => model.back + 1,
                Action::Down => model.back.saturating_sub(1),
                Action::PageUp => model.back + lines,
                Action::PageDown => model.back.saturating_sub(lines),
                Action::Top => most,
                Action::Bottom => 0,
                _ => model.back,
            }
            .min(most);
        }
        (Screen::List, _) if areas.body.width == 0 => match action {
            Action::Up => model.detail_scroll = model.detail_scroll.saturating_sub(1),
            Action::Down => model.detail_scroll += 1,
            Action::PageUp => model.detail_scroll = model.detail_scroll.saturating_sub(lines),
            Action::PageDown => model.detail_scroll += lines,
            Action::Top => model.detail_scroll = 0,
            Action::Fold => list::step(model, false),
            Action::Unfold => list::step(model, true),
            _ => {}
        },
        (Screen::List, _) => match action {
            Action::Up => model.go_to(model.cursor.saturating_sub(1)),
            Action::Down => model.go_to(model.cursor + 1),
            Action::PageUp => model.go_to(model.cursor.saturating_sub(areas.page())),
            Action::PageDown => model.go_to(model.cursor + areas.page()),
            Action::Top => model.go_to(0),
            Action::Bottom => model.go_to(usize::MAX),
            Action::Fold => list::fold_here(model, Some(false)),
            Action::Unfold => list::fold_here(model, Some(true)),
            Action::Toggle => list::fold_here(model, None),
            _ => {}
        },
    }
}

/// Folds a word as the list does, for finding a section.
pub(super) fn key_of(title: &str) -> String {
    fold(title)
}
