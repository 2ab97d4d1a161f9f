//! The windows of somebody on the list: filling in, groups, a question.

use ratatui::{
    layout::Rect,
    text::{Line, Span},
};

use super::canvas::{Canvas, wrap};
use crate::{
    client::{
        Buddy,
        shown::{self, Tone},
        text::visible,
    },
    tui::forms::{BUDDY_FIELDS, BuddyForm, GroupsForm},
};

/// What stands beside an empty field.
const EXAMPLES: [&str; 4] = ["alice@example.com, 192.168.1.20:5070", "alice", "team, oncall", "the one that fits"];

/// Draws the form of somebody.
pub(super) fn buddy(canvas: &mut Canvas<'_, '_>, form: &BuddyForm) {
    let title = if form.before.is_some() { "edit" } else { "add somebody" };
    let area = canvas.window(title, 60, 8);
    let theme = canvas.theme;
    let shown = usize::from(area.height.saturating_sub(1)).min(BUDDY_FIELDS.len());
    let first = (form.field + 1).saturating_sub(shown.max(1));
    for (place, name) in BUDDY_FIELDS.iter().enumerate().skip(first).take(shown) {
        let row = Rect { y: area.y + u16::try_from(place - first).unwrap_or_default(), height: 1, ..area };
        let value = Rect { x: row.x + 9, width: row.width.saturating_sub(9), ..row };
        let here = place == form.field;
        canvas.line(row, &Line::styled(*name, if here { theme.title() } else { theme.dim() }));
        if let Some(input) = form.texts.get(place) {
            canvas.input(value, input, here);
            if input.text().is_empty() {
                canvas.line(
                    Rect { x: value.x + 1, width: value.width.saturating_sub(1), ..value },
                    &Line::styled(EXAMPLES[place], theme.dim()),
                );
            }
            continue;
        }
        let (on, words) = match place {
            4 => (form.watch, ["only when named", "followed all the time"]),
            _ => (form.mark, ["no bell", "the bell rings when available"]),
        };
        let sign = if on { "[x] " } else { "[ ] " };
        canvas.line(value, &Line::from(vec![Span::raw(sign), Span::styled(words[usize::from(on)], theme.dim())]));
        if here {
            canvas.style(Rect { width: value.width.min(3), ..value }, theme.selected());
        }
    }
    let help = "enter saves · tab next field · space switches · esc";
    foot(canvas, area, form.error.as_deref(), help);
}

/// Draws the groups of somebody.
pub(super) fn groups(canvas: &mut Canvas<'_, '_>, form: &GroupsForm) {
    let height = u16::try_from(form.groups.len().min(14)).unwrap_or(14) + 3;
    let area = canvas.window(&format!("groups of {}", shown::address(&form.buddy.to_string())), 48, height);
    let theme = canvas.theme;
    let lines = usize::from(area.height.saturating_sub(2)).max(1);
    let first = (form.selected + 1).saturating_sub(lines);
    for (place, y) in (first..=form.groups.len()).take(lines).zip(area.y..) {
        let row = Rect { y, height: 1, ..area };
        let here = place == form.selected;
        if let Some((group, is)) = form.groups.get(place) {
            let sign = if *is { "[x] " } else { "[ ] " };
            canvas.line(row, &Line::raw(format!("{sign}{}", visible(group))));
            if here {
                canvas.style(row, theme.selected());
            }
        } else {
            canvas.line(row, &Line::styled("new", if here { theme.title() } else { theme.dim() }));
            canvas.input(Rect { x: row.x + 4, width: row.width.saturating_sub(4), ..row }, &form.new, here);
        }
    }
    foot(canvas, area, form.error.as_deref(), "space switches · enter saves · esc");
}

/// Draws the question whether somebody goes.
pub(super) fn remove(canvas: &mut Canvas<'_, '_>, buddy: &Buddy) {
    let area = canvas.window("remove", 56, 3);
    let name = shown::address(&buddy.to_string());
    canvas.line(
        area,
        &Line::from(vec![Span::raw("take "), Span::styled(name, canvas.theme.strong()), Span::raw(" off the list?")]),
    );
    foot(canvas, area, None, "enter or y does it · esc or n does not · u takes it back");
}

/// Draws what stands at the foot: an error, in two lines if it is long, or the keys.
pub(super) fn foot(canvas: &mut Canvas<'_, '_>, area: Rect, error: Option<&str>, help: &str) {
    let lines: Vec<Line<'_>> = match error {
        Some(error) => {
            let style = canvas.theme.tone(Tone::Bad);
            let lines = wrap(&format!("! {}", visible(error)), area.width.into());
            lines.into_iter().take(2).map(|line| Line::styled(line, style)).collect()
        }
        None => vec![Line::styled(help.to_owned(), canvas.theme.dim())],
    };
    let height = u16::try_from(lines.len()).unwrap_or_default().min(area.height);
    canvas.lines(Rect { y: area.bottom() - height, height, ..area }, &lines);
}
