//! The window of my status.

use ratatui::{
    layout::Rect,
    text::{Line, Span},
};

use super::{canvas::Canvas, window::foot};
use crate::{
    client::{
        shown::{Tone, symbol_of},
        text::visible,
    },
    tui::forms::{Field, StatusForm},
};

/// The lines below the statuses.
const BELOW: u16 = 5;

/// Draws it.
pub(super) fn draw(canvas: &mut Canvas<'_, '_>, form: &StatusForm) {
    let wanted = u16::try_from(form.statuses.len()).unwrap_or_default() + BELOW;
    let area = canvas.window("my status", 56, wanted);
    let theme = canvas.theme;
    let below = BELOW.min(area.height.saturating_sub(1));
    let list = Rect { height: area.height - below, ..area };
    let first = (form.selected + 1).saturating_sub(list.height.into());
    for (place, (word, status)) in form.statuses.iter().enumerate().skip(first).take(list.height.into()) {
        let row = Rect { y: list.y + u16::try_from(place - first).unwrap_or_default(), height: 1, ..list };
        let here = place == form.selected;
        let tone = theme.tone(Tone::of_status(status));
        let lead = if here { "› " } else { "  " };
        canvas.line(
            row,
            &Line::from(vec![Span::raw(lead), Span::styled(format!("{} {}", symbol_of(status), visible(word)), tone)]),
        );
        if here && form.field == Field::Status {
            canvas.style(row, theme.selected());
        }
    }
    let row = |line: u16| Rect { y: list.bottom() + line, height: u16::from(line < below), ..area };
    let value = |line: u16| Rect { x: area.x + 6, width: area.width.saturating_sub(6), ..row(line) };
    let name = |here: bool| if here { theme.title() } else { theme.dim() };
    canvas.line(row(1), &Line::styled("note", name(form.field == Field::Note)));
    canvas.input(value(1), &form.note, form.field == Field::Note);
    let here = form.field == Field::Length;
    canvas.line(row(2), &Line::styled("for", name(here)));
    if form.is_custom() {
        canvas.input(value(2), &form.custom, here);
        if form.custom.text().is_empty() {
            canvas.line(value(2), &Line::styled(" 45m, 1h30m, 17:30, tomorrow 09:00", theme.dim()));
        }
    } else {
        let words = format!("‹ {} ›", form.shown_length());
        canvas.line(value(2), &Line::styled(words, if here { theme.strong() } else { theme.dim() }));
    }
    let below = Rect { y: list.bottom(), height: below, ..area };
    foot(canvas, below, form.error.as_deref(), "enter sets it · tab next field · esc leaves it");
}
