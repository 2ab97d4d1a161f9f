//! What happens on a message: a pure function of the model, which says what is to be done outside.

mod browse;
mod command;
mod lines;
mod list;
mod mouse;
mod windows;

pub(crate) use self::{command::COMMANDS, windows::order as watcher_order};
use super::{
    areas::Areas,
    effect::{Cmd, Done, Msg, Order, Taken},
    key::Key,
    keymap::{Action, Context},
    model::{Link, Mode, Model, Screen},
    theme::Theme,
    view::detail_lines,
};
use crate::client::Traced;

/// Takes a message; returns what is to be done outside.
pub fn update(model: &mut Model, msg: Msg) -> Vec<Cmd> {
    let cmds = match msg {
        Msg::Tick(now) => {
            model.tick(now);
            Vec::new()
        }
        Msg::Key(key) => press(model, key),
        Msg::Paste(text) => paste(model, &text),
        Msg::Mouse(mouse) => mouse::act(model, mouse),
        Msg::Resize(width, height) => {
            (model.width, model.height) = (width, height);
            Vec::new()
        }
        Msg::Link(link) => relink(model, link),
        Msg::Lines(lines) => lines.iter().filter_map(|line| lines::take(model, line)).collect(),
        Msg::Traced(traced) => {
            traced_lines(model, &traced);
            Vec::new()
        }
        Msg::Done(done) => {
            finish(model, done);
            Vec::new()
        }
    };
    if model.detail_scroll > 0 {
        let area = Areas::of(model).detail;
        let all = detail_lines(model, Theme::plain(), area.width.saturating_sub(1)).len();
        model.detail_scroll = model.detail_scroll.min(all.saturating_sub(area.height.into()));
    }
    model.settle();
    cmds
}

fn press(model: &mut Model, key: Key) -> Vec<Cmd> {
    match model.keymap.action(Context::Everywhere, key) {
        Some(Action::Leave) => return vec![Cmd::Quit],
        Some(Action::Suspend) => return vec![Cmd::Suspend],
        Some(Action::Redraw) => return vec![Cmd::Redraw],
        _ => {}
    }
    match &model.mode {
        Mode::Browse => browse::press(model, key),
        Mode::Command(_) => command::press(model, key),
        _ => windows::press(model, key),
    }
}

fn paste(model: &mut Model, text: &str) -> Vec<Cmd> {
    match &mut model.mode {
        Mode::Command(input) => input.paste(text),
        Mode::Browse => {}
        _ => windows::paste(model, text),
    }
    Vec::new()
}

fn relink(model: &mut Model, link: Link) -> Vec<Cmd> {
    let was_up = model.link == Link::Up;
    model.link = link;
    if was_up && model.link != Link::Up {
        model.people.turn_stale();
        model.states_changed();
    }
    if model.link == Link::Up && !was_up {
        // What it tells now is everything: whoever is not named any more is gone.
        model.me.clear();
        model.watchers.clear();
        model.ready = false;
        if model.tracing {
            return vec![Cmd::Trace(true)];
        }
    }
    Vec::new()
}

fn traced_lines(model: &mut Model, traced: &Traced) {
    let text = traced.to_string();
    model.remember_trace(text.lines().chain([""]));
}

fn finish(model: &mut Model, done: Done) {
    if let Some((address, document)) = done.document {
        model.people.put_document(&address, &document);
    }
    if let Some(undo) = done.undo {
        model.can_undo(undo);
    }
    if done.failed {
        model.complain(done.words);
    } else if !done.words.is_empty() {
        model.say(done.words);
    }
}

/// Takes the last change back.
fn undo(model: &mut Model) -> Vec<Cmd> {
    let Some(undo) = model.undo.pop() else {
        model.say("there is nothing to take back");
        return Vec::new();
    };
    let again = Some(undo.clone());
    match undo.what {
        Taken::Status { requests, account } => {
            vec![Cmd::Ask(Order { account, requests, words: Some(undo.words), undo: None, again })]
        }
        Taken::List(changes) => {
            vec![Cmd::Edit(super::effect::Edit { changes, words: undo.words, undo: false, again })]
        }
    }
}

/// Shows a screen, or the list again if it is there already.
fn show(model: &mut Model, screen: Screen) -> Vec<Cmd> {
    let was = model.screen;
    model.screen = if was == screen { Screen::List } else { screen };
    model.back = 0;
    let follows = model.screen == Screen::Trace;
    if model.tracing == follows {
        return Vec::new();
    }
    model.tracing = follows;
    vec![Cmd::Trace(follows)]
}

#[cfg(test)]
mod tests;
