//! The mouse: a click chooses, two clicks open, the wheel moves.

use jiff::SignedDuration;
use ratatui::layout::Position;

use super::{browse, list};
use crate::tui::{
    areas::Areas,
    effect::{Button, Cmd, Mouse},
    keymap::Action,
    model::{Mode, Model, Screen},
    rows::Row,
};

/// Two clicks that are no further apart are one.
const DOUBLE: SignedDuration = SignedDuration::from_millis(400);
/// How many lines the wheel turns.
const LINES: usize = 3;

/// Takes what the mouse did; in a window it does nothing.
pub(super) fn act(model: &mut Model, mouse: Mouse) -> Vec<Cmd> {
    let over = !matches!(model.mode, Mode::Browse | Mode::Filter(_));
    match mouse.what {
        _ if over => wheel_in_window(model, mouse.what),
        Button::Click => return click(model, mouse),
        Button::WheelUp | Button::WheelDown => {
            let up = mouse.what == Button::WheelUp;
            let on_detail = Areas::of(model).detail.contains(Position { x: mouse.column, y: mouse.row });
            if on_detail && up {
                model.detail_scroll = model.detail_scroll.saturating_sub(LINES);
            } else if on_detail {
                model.detail_scroll += LINES;
            } else {
                (0..LINES).for_each(|_| browse::navigate(model, if up { Action::Up } else { Action::Down }));
            }
        }
    }
    Vec::new()
}

fn wheel_in_window(model: &mut Model, what: Button) {
    let most = crate::tui::view::help_lines(model).saturating_sub(usize::from(model.height.saturating_sub(4)));
    if let Mode::Help { scroll } = &mut model.mode {
        *scroll = match what {
            Button::WheelUp => scroll.saturating_sub(LINES),
            Button::WheelDown => (*scroll + LINES).min(most),
            Button::Click => *scroll,
        };
    }
}

fn click(model: &mut Model, mouse: Mouse) -> Vec<Cmd> {
    let now = model.now.timestamp();
    let before = model.clicked.replace((now, mouse.column, mouse.row));
    let twice = before.is_some_and(|(at, _, row)| row == mouse.row && now.duration_since(at) <= DOUBLE);
    let areas = Areas::of(model);
    if areas.me.contains(Position { x: mouse.column, y: mouse.row }) {
        // On the badge of those who wait, else on my status.
        let badge = model.waiting() > 0 && mouse.column >= areas.me.width * 2 / 3;
        return browse::act(model, if badge { Action::Watchers } else { Action::Status });
    }
    let Some(place) = areas.row_at(mouse.column, mouse.row).filter(|_| model.screen == Screen::List) else {
        return Vec::new();
    };
    match model.rows.all.get(model.offset + place).copied() {
        Some(Row::Header(section)) => {
            model.go_to(model.offset + place);
            list::fold(model, section, None);
        }
        Some(Row::Person { .. }) => {
            model.go_to(model.offset + place);
            if twice {
                model.clicked = None;
                return browse::act(model, Action::Detail);
            }
        }
        None => {}
    }
    Vec::new()
}
