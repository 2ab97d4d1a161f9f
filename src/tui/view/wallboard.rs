//! The wallboard: a group in tiles that are seen from afar.

use ratatui::{
    layout::Rect,
    text::{Line, Span},
};

use super::{
    canvas::{Canvas, cell},
    list::words,
};
use crate::{
    client::shown::{self, Tone},
    tui::{
        model::Model,
        people::{Person, Watched},
    },
};

/// The least columns of a tile.
const WIDTH: u16 = 24;
/// The least and the most lines of a tile.
const HEIGHT: (u16, u16) = (3, 7);

/// Draws the group that was chosen, or everybody.
pub(super) fn draw(canvas: &mut Canvas<'_, '_>, model: &Model, area: Rect) {
    let groups = model.people.groups();
    let group = model.wall.checked_sub(1).and_then(|place| groups.get(place));
    let in_group = |person: &Person| group.is_none_or(|group| person.buddy.is_in(group));
    let people: Vec<(&Person, &Watched)> = (0..model.people.list.len())
        .filter_map(|place| Some((model.people.list.get(place)?, model.people.of(place)?)))
        .filter(|(person, _)| in_group(person))
        .collect();
    if people.is_empty() || area.height == 0 {
        return canvas.line(area, &Line::styled(" nobody to show", canvas.theme.dim()));
    }
    let count = u16::try_from(people.len()).unwrap_or(u16::MAX);
    let most = (area.width / WIDTH).max(1);
    // As few columns as need be, so that tiles are as large as there is room.
    let columns = (1..=most).find(|columns| count.div_ceil(*columns) * HEIGHT.1 <= area.height).unwrap_or(most);
    let height = (area.height / count.div_ceil(columns).max(1)).clamp(HEIGHT.0.min(area.height), HEIGHT.1);
    let width = area.width / columns;
    let fits = usize::from(columns) * usize::from(area.height / height);
    let left_out = people.len().saturating_sub(fits);
    for (place, (person, watched)) in people.iter().take(fits).enumerate() {
        let place = u16::try_from(place).unwrap_or_default();
        let tile = Rect { x: area.x + place % columns * width, y: area.y + place / columns * height, width, height };
        draw_tile(canvas, person, watched, tile);
    }
    if left_out > 0 {
        let last = Rect { y: area.bottom() - 1, height: 1, ..area };
        canvas.line_right(last, &Line::styled(format!(" {left_out} more "), canvas.theme.alert()));
    }
}

fn draw_tile(canvas: &mut Canvas<'_, '_>, person: &Person, watched: &Watched, tile: Rect) {
    let tone = canvas.theme.tone(Tone::of(&watched.state));
    canvas.frame_around(tile, &person.name, tone);
    let inner = Rect {
        x: tile.x + 2,
        y: tile.y + 1,
        width: tile.width.saturating_sub(4),
        height: tile.height.saturating_sub(2),
    };
    let (word, rest) = words(person, watched);
    let word = cell(&format!("{} {}", shown::symbol(&watched.state), word.to_uppercase()), inner.width.into());
    let mut lines = vec![Line::from(Span::styled(word, tone.patch(canvas.theme.strong())))];
    lines.extend(
        super::canvas::wrap(&rest, inner.width.into()).into_iter().map(|line| Line::styled(line, canvas.theme.dim())),
    );
    if inner.height >= 4 {
        lines.insert(0, Line::default());
    }
    canvas.lines(inner, &lines);
}
