//! The window of help: every key, every command.

use ratatui::text::{Line, Span};

use super::canvas::{Canvas, cell};
use crate::tui::{keymap::CONTEXTS, model::Model, theme::Theme, update::COMMANDS};

/// The columns of the keys.
const KEYS: usize = 16;

/// What stands at the end.
const SIGNS: [&str; 6] = [
    "● available  ◐ busy  ☎ in-call  ◔ away  ⊘ dnd  ○ offline  ◆ custom",
    "~ stale: it was so, and cannot be confirmed now",
    "? pending: they have not let you look yet    ! failed or rejected",
    "· unknown: nothing was ever heard            ★ marked for the bell",
    "",
    "For a screen reader, `sippresence watch` prints a line for each change.",
];

/// Returns how many lines it has.
pub(crate) fn count(model: &Model) -> usize {
    lines(model, Theme::plain()).len()
}

/// Draws it from a line on.
pub(super) fn draw(canvas: &mut Canvas<'_, '_>, model: &Model, scroll: usize) {
    let lines = lines(model, canvas.theme);
    let area = canvas.window("keys", 78, u16::try_from(lines.len()).unwrap_or(u16::MAX));
    canvas.lines(area, lines.iter().skip(scroll.min(lines.len().saturating_sub(area.height.into()))));
}

fn lines(model: &Model, theme: Theme) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    let row = |left: String, width: usize, right: &'static str| {
        Line::from(vec![Span::styled(cell(&left, width), theme.strong()), Span::raw(" "), Span::raw(right)])
    };
    for context in CONTEXTS {
        lines.push(Line::styled(context.to_string(), theme.title()));
        lines.extend(model.keymap.rows(context).map(|(entry, keys)| row(keys, KEYS, entry.help)));
        lines.push(Line::default());
    }
    lines.push(Line::styled("Commands, behind :", theme.title()));
    for (usage, help) in COMMANDS {
        lines.push(row(usage.to_owned(), 45, help));
    }
    lines.push(Line::default());
    lines.push(Line::styled("Signs", theme.title()));
    lines.extend(SIGNS.map(Line::raw));
    lines
}
