//! The last line: what is typed, what happened, or the keys.

use ratatui::{
    layout::Rect,
    text::{Line, Span},
};

use super::canvas::{Canvas, columns};
use crate::{
    client::shown::Tone,
    tui::{
        input::Input,
        keymap::Context,
        model::{Mode, Model},
    },
};

/// Draws it.
pub(super) fn draw(canvas: &mut Canvas<'_, '_>, model: &Model, area: Rect) {
    match (&model.mode, &model.notice) {
        (Mode::Filter(input), _) => typed(canvas, area, "/", input),
        (Mode::Command(input), _) => typed(canvas, area, ":", input),
        (_, Some(notice)) => {
            let theme = canvas.theme;
            let style = if notice.bad { theme.tone(Tone::Bad) } else { theme.strong() };
            let lead = if notice.bad { " ! " } else { " " };
            canvas.line(area, &Line::styled(format!("{lead}{}", notice.words), style));
        }
        _ => keys(canvas, model, area),
    }
}

fn typed(canvas: &mut Canvas<'_, '_>, area: Rect, lead: &'static str, input: &Input) {
    canvas.line(area, &Line::styled(lead, canvas.theme.title()));
    canvas.input(Rect { x: area.x + 1, width: area.width.saturating_sub(1), ..area }, input, true);
}

/// Draws as many keys as there is room for.
fn keys(canvas: &mut Canvas<'_, '_>, model: &Model, area: Rect) {
    let mut line = Line::default();
    for (entry, keys) in model.keymap.rows(Context::Screen).filter(|(entry, _)| !entry.short.is_empty()) {
        let key = keys.split(' ').next().unwrap_or_default();
        if columns(&line) + key.len() + entry.short.len() + 3 > usize::from(area.width) {
            break;
        }
        let lead = if line.spans.is_empty() { " " } else { "  " };
        line.spans.push(Span::raw(lead));
        line.spans.push(Span::styled(key.to_owned(), canvas.theme.title()));
        line.spans.push(Span::styled(format!(" {}", entry.short), canvas.theme.dim()));
    }
    canvas.line(area, &line);
}
