//! The log of changes, and the SIP messages.

use ratatui::{
    layout::Rect,
    text::{Line, Span},
};

use super::canvas::{Canvas, cell};
use crate::{
    client::shown,
    tui::model::{Entry, Model},
};

/// Draws the newest changes, or those further up.
pub(super) fn draw(canvas: &mut Canvas<'_, '_>, model: &Model, area: Rect) {
    if model.log.is_empty() {
        return canvas.line(area, &Line::styled(" nothing has changed yet", canvas.theme.dim()));
    }
    let lines: Vec<Line<'_>> = window(model.log.len(), area, model.back)
        .filter_map(|row| model.log.get(row))
        .map(|entry| entry_line(canvas, model, entry, area))
        .collect();
    canvas.lines(area, &lines);
}

/// Draws the newest SIP messages, or those further up.
pub(super) fn draw_trace(canvas: &mut Canvas<'_, '_>, model: &Model, area: Rect) {
    if model.trace.is_empty() {
        return canvas.line(area, &Line::styled(" no message yet", canvas.theme.dim()));
    }
    let lines: Vec<Line<'_>> = window(model.trace.len(), area, model.back)
        .filter_map(|row| model.trace.get(row))
        .map(|line| {
            // The line before a message says when, which way and between whom.
            let head = line.contains(" sent ") || line.contains(" received ");
            let style = if head && line.starts_with(|c: char| c.is_ascii_digit()) {
                canvas.theme.title()
            } else {
                ratatui::style::Style::new()
            };
            Line::styled(format!(" {}", line.replace('\t', "  ")), style)
        })
        .collect();
    canvas.lines(area, &lines);
}

/// Returns which of so many lines are in sight when `back` lie below.
fn window(all: usize, area: Rect, back: usize) -> std::ops::Range<usize> {
    let end = all - back.min(all.saturating_sub(area.height.into()));
    end.saturating_sub(area.height.into())..end
}

fn entry_line(canvas: &Canvas<'_, '_>, model: &Model, entry: &Entry, area: Rect) -> Line<'static> {
    let theme = canvas.theme;
    let (turn, wide) = (&entry.turn, area.width >= 60);
    let time = shown::clock(turn.now.at, if wide { "%H:%M:%S" } else { "%H:%M" }, &model.now);
    let name = cell(&entry.name, if wide { 20 } else { 12 });
    let mut spans = vec![
        Span::styled(format!(" {time} "), theme.dim()),
        Span::styled(format!("{name} "), theme.strong()),
        Span::styled(format!("{} {}", turn.now.symbol, turn.now.words), theme.tone(turn.now.tone)),
    ];
    if wide {
        spans.push(Span::styled(format!("  was {}", turn.before), theme.dim()));
    }
    Line::from(spans)
}
