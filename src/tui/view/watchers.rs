//! The window of those who watch me.

use ratatui::{
    layout::Rect,
    text::{Line, Span},
};

use super::canvas::{Canvas, cell};
use crate::{
    client::{Via, WatcherGrade, shown, text::visible},
    tui::{
        keymap::Context,
        model::{Model, MyWatcher},
        update::watcher_order,
    },
};

/// Draws it.
pub(super) fn draw(canvas: &mut Canvas<'_, '_>, model: &Model, selected: usize) {
    let order = watcher_order(model);
    let height = u16::try_from(order.len().clamp(1, 18)).unwrap_or(18) + 2;
    let area = canvas.window("who watches me", 76, height);
    let theme = canvas.theme;
    let list = Rect { height: area.height.saturating_sub(2), ..area };
    if order.is_empty() {
        canvas.line(list, &Line::styled("nobody watches you", theme.dim()));
    }
    let selected = selected.min(order.len().saturating_sub(1));
    let first = (selected + 1).saturating_sub(list.height.into());
    let in_sight = order.iter().enumerate().skip(first).take(list.height.into());
    for ((place, watcher), y) in in_sight.zip(list.y..) {
        let Some(watcher) = model.watchers.get(*watcher) else { continue };
        let row = Rect { y, height: 1, ..list };
        canvas.line(row, &line(canvas, model, watcher, place == selected, list.width));
        if place == selected {
            canvas.style(row, theme.selected());
        }
    }
    let mut keys = Vec::new();
    for (entry, bound) in model.keymap.rows(Context::Watchers) {
        keys.push(Span::styled(bound, theme.title()));
        keys.push(Span::styled(format!(" {}  ", entry.short), theme.dim()));
    }
    keys.push(Span::styled("esc close", theme.dim()));
    let foot = Rect { y: area.bottom().saturating_sub(1), height: area.height.min(1), ..area };
    canvas.line(foot, &Line::from(keys));
}

fn line(canvas: &Canvas<'_, '_>, model: &Model, watcher: &MyWatcher, here: bool, width: u16) -> Line<'static> {
    let theme = canvas.theme;
    let info = &watcher.info;
    let (sign, state, style) = if watcher.waits() {
        ("?", "waits", theme.tone(shown::Tone::Busy))
    } else {
        ("●", info.state.as_str(), theme.tone(shown::Tone::Good))
    };
    let name = info.display_name.as_deref().map(|name| format!(" “{}”", visible(name))).unwrap_or_default();
    let grade = match info.identity {
        WatcherGrade::Claimed => "",
        WatcherGrade::Address => ", address answers",
        WatcherGrade::Verified => ", verified",
    };
    let place = match (info.via, info.state.as_str()) {
        (Via::Server, _) => ", at the server",
        (Via::Direct, "waiting") => ", has left",
        (Via::Direct, _) => "",
    };
    let since = info.since.map(|since| format!(" since {}", shown::clock(since, "%H:%M", &model.now)));
    let who = format!("{}{name}", shown::watcher(info));
    Line::from(vec![
        Span::raw(if here { "› " } else { "  " }),
        Span::styled(format!("{sign} {} ", cell(&visible(state), 6)), style),
        Span::styled(who, theme.strong()),
        Span::styled(format!("{grade}{place}{}", since.filter(|_| width >= 60).unwrap_or_default()), theme.dim()),
    ])
}
