//! What all parts of the picture are drawn with.

use ratatui::{
    Frame,
    layout::{Position, Rect},
    style::Style,
    text::{Line, Span},
};

use crate::{
    client::text::{truncate_to_width, width},
    tui::{input::Input, theme::Theme},
};

/// A screen to draw on.
pub(super) struct Canvas<'a, 'b> {
    frame: &'a mut Frame<'b>,
    pub(super) theme: Theme,
}

impl<'a, 'b> Canvas<'a, 'b> {
    pub(super) fn new(frame: &'a mut Frame<'b>, theme: Theme) -> Self {
        Self { frame, theme }
    }

    /// Returns the whole screen.
    pub(super) fn area(&self) -> Rect {
        self.frame.area()
    }

    /// Draws a line at the top of an area, cut with an ellipsis where it is too long.
    pub(super) fn line(&mut self, area: Rect, line: &Line<'_>) {
        let area = area.intersection(self.area());
        if area.height > 0 {
            let columns = area.width;
            self.frame.buffer_mut().set_line(area.x, area.y, &fit(line, columns.into()), columns);
        }
    }

    /// Draws a line that ends where the area does; returns the columns that are left before it.
    pub(super) fn line_right(&mut self, area: Rect, line: &Line<'_>) -> u16 {
        let line = fit(line, area.width.into());
        let columns = u16::try_from(columns(&line)).unwrap_or(area.width).min(area.width);
        let left = area.width - columns;
        self.line(Rect { x: area.x + left, width: columns, ..area }, &line);
        left
    }

    /// Draws lines one below the other.
    pub(super) fn lines<'c>(&mut self, area: Rect, lines: impl IntoIterator<Item = &'c Line<'c>>) {
        for (row, line) in (area.y..area.bottom()).zip(lines) {
            self.line(Rect { y: row, height: 1, ..area }, line);
        }
    }

    /// Lays a style over an area.
    pub(super) fn style(&mut self, area: Rect, style: Style) {
        let area = area.intersection(self.area());
        self.frame.buffer_mut().set_style(area, style);
    }

    /// Draws a field that is typed in; the cursor is in it if the keys are.
    pub(super) fn input(&mut self, area: Rect, input: &Input, here: bool) {
        let (text, cursor) = input.shown(area.width.into());
        let style = if here { Style::new() } else { self.theme.dim() };
        self.line(area, &Line::from(Span::styled(text, style)));
        if here && area.height > 0 {
            let x = area.x + u16::try_from(cursor).unwrap_or_default();
            self.frame.set_cursor_position(Position { x, y: area.y });
        }
    }

    /// Draws an empty window in the middle, as large as it may be; returns what is in it.
    pub(super) fn window(&mut self, title: &str, width: u16, height: u16) -> Rect {
        let screen = self.area();
        let area = screen.centered(
            ratatui::layout::Constraint::Length(width.min(screen.width)),
            ratatui::layout::Constraint::Length(height.saturating_add(2).min(screen.height)),
        );
        let buffer = self.frame.buffer_mut();
        for y in area.top()..area.bottom() {
            for x in area.left()..area.right() {
                buffer[(x, y)].reset();
            }
            // A wide character that the window cuts in two would hang over its edge.
            if area.x > 0 && width_of_cell(&buffer[(area.x - 1, y)]) > 1 {
                buffer[(area.x - 1, y)].reset();
            }
        }
        self.frame_around(area, title, self.theme.title());
        Rect {
            x: area.x + 2.min(area.width),
            y: area.y + 1.min(area.height),
            width: area.width.saturating_sub(4),
            height: area.height.saturating_sub(2),
        }
    }

    /// Draws a frame with a title.
    pub(super) fn frame_around(&mut self, area: Rect, title: &str, style: Style) {
        if area.height < 2 || area.width < 2 {
            return;
        }
        let inner = usize::from(area.width) - 2;
        let title = if title.is_empty() { String::new() } else { truncate_to_width(&format!(" {title} "), inner) };
        let top = format!("┌{title}{}┐", "─".repeat(inner.saturating_sub(width(&title))));
        let bottom = format!("└{}┘", "─".repeat(inner));
        self.line(area, &Line::styled(top, style));
        self.line(Rect { y: area.bottom() - 1, height: 1, ..area }, &Line::styled(bottom, style));
        for y in area.y + 1..area.bottom() - 1 {
            for x in [area.x, area.right() - 1] {
                self.line(Rect { x, y, width: 1, height: 1 }, &Line::styled("│", style));
            }
        }
    }

    /// Does what comes last.
    pub(super) fn finish(self) {
        self.theme.adapt(self.frame.buffer_mut());
    }
}

fn width_of_cell(cell: &ratatui::buffer::Cell) -> usize {
    width(cell.symbol())
}

/// Returns the columns of a line.
pub(super) fn columns(line: &Line<'_>) -> usize {
    line.spans.iter().map(|span| width(&span.content)).sum()
}

/// Cuts a line to so many columns, with an ellipsis where something is left out.
pub(super) fn fit<'a>(line: &Line<'a>, most: usize) -> Line<'a> {
    let mut left = most;
    let mut spans = Vec::with_capacity(line.spans.len());
    let mut rest = line.spans.iter().peekable();
    while let Some(span) = rest.next() {
        let columns = width(&span.content);
        let more = rest.peek().is_some_and(|next| !next.content.is_empty());
        if columns < left || columns == left && !more {
            // Marks without end are cut here too.
            spans.push(Span::styled(truncate_to_width(&span.content, left), span.style));
            left -= columns;
            continue;
        }
        let text = if columns == left { format!("{}…", span.content) } else { span.content.to_string() };
        spans.push(Span::styled(truncate_to_width(&text, left), span.style));
        break;
    }
    Line { spans, style: line.style, alignment: line.alignment }
}

/// Returns a text in exactly so many columns.
pub(super) fn cell(text: &str, columns: usize) -> String {
    let text = truncate_to_width(text, columns);
    let pad = columns.saturating_sub(width(&text));
    text + &" ".repeat(pad)
}

/// Parts a text into lines of so many columns, at blanks where there are some.
pub(super) fn wrap(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(1);
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let last = lines.last().map_or(0, |line| width(line));
        if last > 0 && last + 1 + width(word) > columns {
            lines.push(String::new());
        }
        let mut rest = word;
        if let Some(line) = lines.last_mut().filter(|line| !line.is_empty()) {
            line.push(' ');
        }
        // A word that is longer than a line is parted anywhere.
        while width(rest) > columns {
            let head = truncate_to_width(rest, columns + 1);
            let head = head.trim_end_matches('…');
            if head.is_empty() || !rest.starts_with(head) {
                break;
            }
            if let Some(line) = lines.last_mut() {
                line.push_str(head);
            }
            lines.push(String::new());
            rest = &rest[head.len()..];
        }
        if let Some(line) = lines.last_mut() {
            line.push_str(rest);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sec_08_a_line_is_cut_by_columns_with_an_ellipsis() {
        let line = Line::from(vec![Span::raw("漢字"), Span::raw("abc")]);
        let text = |most| fit(&line, most).spans.iter().map(|span| span.content.to_string()).collect::<String>();
        assert_eq!(text(7), "漢字abc");
        assert_eq!(text(6), "漢字a…");
        assert_eq!(text(4), "漢…");
        assert_eq!(text(0), "");
        assert_eq!(cell("漢字", 5), "漢字 ");
        assert_eq!(cell("漢字", 3), "漢…");
    }

    #[test]
    fn a_text_is_parted_at_blanks_and_a_long_word_anywhere() {
        assert_eq!(wrap("at the desk", 6), ["at the", "desk"]);
        assert_eq!(wrap("abcdefgh ij", 3), ["abc", "def", "gh", "ij"]);
        assert_eq!(wrap("漢字漢字", 5), ["漢字", "漢字"]);
        assert_eq!(wrap("", 5), [""]);
        for columns in 0..6 {
            let text = format!("x{} y", "\u{301}".repeat(50));
            assert!(wrap(&text, columns).len() < 10, "{columns}");
        }
    }
}
