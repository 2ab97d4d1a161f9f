//! Folding groups, and stepping from one person to the next.

use super::browse::key_of;
use crate::tui::{model::Model, rows::Row};

/// Opens or closes a section, or turns it over.
pub(super) fn fold(model: &mut Model, section: usize, open: Option<bool>) {
    let Some(section) = model.rows.sections.get(section) else { return };
    let key = key_of(&section.title);
    if open.unwrap_or(!section.open) {
        model.wish.folded.remove(&key);
    } else {
        model.wish.folded.insert(key);
    }
    model.rows_changed();
}

/// Does so with the section of the cursor; one that is closed has the cursor on its header.
pub(super) fn fold_here(model: &mut Model, open: Option<bool>) {
    let section = match model.rows.all.get(model.cursor) {
        Some(Row::Header(section) | Row::Person { section: Some(section), .. }) => *section,
        _ => return,
    };
    if let Some(header) = model.rows.all.iter().position(|row| *row == Row::Header(section))
        && open != Some(true)
    {
        model.go_to(header);
    }
    fold(model, section, open);
}

/// Goes to the next person, or the one before.
pub(super) fn step(model: &mut Model, forth: bool) {
    let is_person = |row: &Row| matches!(row, Row::Person { .. });
    let rows = &model.rows.all;
    let next = if forth {
        (model.cursor + 1..rows.len()).find(|row| is_person(&rows[*row]))
    } else {
        (0..model.cursor.min(rows.len())).rev().find(|row| is_person(&rows[*row]))
    };
    if let Some(row) = next {
        model.go_to(row);
    }
}
