//! What stands where: the same for drawing, for the mouse and for turning pages.

use ratatui::layout::{Position, Rect};

use super::model::{Mode, Model, Screen};

/// From how many columns on there is room for everything about somebody beside the list.
const WIDE: u16 = 100;
/// The columns of a name in a compact list.
const NAME: u16 = 26;
/// The least columns of a line with everything in it, when there are several.
const LINE: u16 = 56;

/// What stands where on the screen; an area without lines is not drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Areas {
    /// My status.
    pub(super) me: Rect,
    /// My accounts, or that the agent is lost.
    pub(super) health: Rect,
    /// A rule that says what stands below.
    pub(super) rule: Rect,
    /// The list, the wallboard, the log or the trace.
    pub(super) body: Rect,
    /// Everything about somebody.
    pub(super) detail: Rect,
    /// The keys, a notice, a line to type in.
    pub(super) footer: Rect,
    /// In how many columns the list stands.
    pub(super) columns: u16,
}

impl Areas {
    /// Lays the screen out.
    pub(super) fn of(model: &Model) -> Self {
        let (width, height) = (model.width, model.height);
        let typing = matches!(model.mode, Mode::Filter(_) | Mode::Command(_));
        let me = u16::from(height >= 3);
        let health = u16::from(height >= 8);
        let rule = u16::from(height >= 8);
        let footer = u16::from(height >= 5 || height >= 2 && (typing || model.notice.is_some()));
        let line = |y: u16, lines: u16| Rect { x: 0, y, width, height: lines };
        let top = me + health + rule;
        let middle = line(top, height.saturating_sub(top + footer));
        let mut areas = Self {
            me: line(0, me),
            health: line(me, health),
            rule: line(me + health, rule),
            body: middle,
            detail: Rect::default(),
            footer: line(height.saturating_sub(footer), footer),
            columns: 1,
        };
        if model.screen != Screen::List {
            return areas;
        }
        let wide = width >= WIDE;
        if model.detail.unwrap_or(wide) {
            areas.detail = middle;
            if wide {
                areas.detail.width = (width * 2 / 5).min(60);
                areas.detail.x = width - areas.detail.width;
                areas.body.width -= areas.detail.width;
            } else {
                areas.body.width = 0;
            }
        }
        areas.columns = (areas.body.width / if model.compact { NAME } else { LINE }).clamp(1, 12);
        areas
    }

    /// Returns how many rows of the list there is room for.
    pub(super) fn page(&self) -> usize {
        usize::from(self.body.height.max(1)) * usize::from(self.columns.max(1))
    }

    /// Returns where the row stands that is so many behind the first one in sight.
    pub(super) fn row(&self, place: usize) -> Rect {
        let height = usize::from(self.body.height.max(1));
        let width = self.body.width / self.columns.max(1);
        let column = u16::try_from(place / height).unwrap_or(u16::MAX).min(self.columns);
        let line = u16::try_from(place % height).unwrap_or_default();
        let row = Rect { x: self.body.x + column * width, y: self.body.y + line, width, height: 1 };
        row.intersection(self.body)
    }

    /// Returns which row stands there, counted from the first one in sight.
    pub(super) fn row_at(&self, column: u16, line: u16) -> Option<usize> {
        let inside = self.body.contains(Position { x: column, y: line });
        let width = (self.body.width / self.columns.max(1)).max(1);
        let place = usize::from((column - self.body.x.min(column)) / width) * usize::from(self.body.height);
        inside.then(|| place + usize::from(line - self.body.y.min(line)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::{keymap::Keymap, testing};

    fn areas(width: u16, height: u16, change: impl FnOnce(&mut Model)) -> Areas {
        let now = testing::NOW.parse::<jiff::Timestamp>().unwrap().to_zoned(jiff::tz::TimeZone::UTC);
        let mut model = Model::new(Keymap::default(), now, width, height);
        change(&mut model);
        Areas::of(&model)
    }

    #[test]
    fn the_list_keeps_most_of_every_screen() {
        for (width, height, lines) in [(80, 24, 20), (40, 12, 8), (10, 3, 2), (10, 1, 1), (0, 0, 0)] {
            assert_eq!(areas(width, height, |_| {}).body.height, lines, "{width}x{height}");
        }
        assert_eq!(areas(120, 40, |_| {}).detail.width, 48);
        assert_eq!(areas(120, 40, |model| model.detail = Some(false)).columns, 2);
        assert_eq!(areas(80, 24, |model| model.compact = true).columns, 3);
        assert_eq!(areas(80, 24, |model| model.detail = Some(true)).body.width, 0);
    }

    #[test]
    fn the_mouse_finds_the_row_that_is_drawn() {
        let areas = areas(80, 24, |model| model.compact = true);
        for place in [0, 1, 19, 20, 59] {
            let row = areas.row(place);
            assert_eq!(areas.row_at(row.x + 3, row.y), Some(place));
        }
        assert_eq!(areas.row_at(0, 0), None);
    }
}
