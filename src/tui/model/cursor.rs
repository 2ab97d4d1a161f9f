//! The cursor: on whom it stands while rows come and go, and what of the list is in sight.

use super::{Lack, Model};
use crate::{
    client::Buddy,
    tui::{
        areas::Areas,
        rows::{Row, Rows},
    },
};

impl Model {
    /// Has the rows made anew.
    pub(in crate::tui) fn rows_changed(&mut self) {
        self.lack = Lack::Everything;
    }

    /// Has the rows follow what people are.
    pub(in crate::tui) fn states_changed(&mut self) {
        let order = self.wish.filter.is_empty() && (self.wish.sort.follows_states() || self.wish.hide_offline);
        self.lack = self.lack.max(if order { Lack::Everything } else { Lack::Counts });
    }

    /// Puts the cursor on a row.
    pub(in crate::tui) fn go_to(&mut self, row: usize) {
        let row = row.min(self.rows.all.len().saturating_sub(1));
        if row != self.cursor {
            self.detail_scroll = 0;
        }
        self.cursor = row;
        self.held = self.rows.all.get(row).map(|row| self.identity(row));
    }

    /// Puts the cursor on the first person of the rows to come.
    pub(in crate::tui) fn start_over(&mut self) {
        self.held = None;
    }

    fn identity(&self, row: &Row) -> (Option<String>, Option<Buddy>) {
        let title = |section: usize| self.rows.sections.get(section).map(|section| section.title.clone());
        match row {
            Row::Header(section) => (title(*section), None),
            Row::Person { section, person } => {
                (section.and_then(title), self.people.list.get(*person).map(|person| person.buddy.clone()))
            }
        }
    }

    /// Makes good what the rows lack, and keeps the cursor where it was and in sight.
    pub(in crate::tui) fn settle(&mut self) {
        match std::mem::take(&mut self.lack) {
            Lack::Nothing => {}
            Lack::Counts => self.rows.count(&self.people),
            Lack::Everything => {
                self.rows = Rows::of(&self.people, &self.wish);
                self.find_held();
            }
        }
        let page = Areas::of(self).page();
        let last = self.rows.all.len().saturating_sub(page);
        self.offset = self.offset.min(last).min(self.cursor).max((self.cursor + 1).saturating_sub(page));
        // A header above the first person in sight is worth its line.
        if self.offset == self.cursor && self.cursor == 1 && page > 1 {
            self.offset = 0;
        }
    }

    fn find_held(&mut self) {
        let rows = &self.rows.all;
        self.cursor = self.cursor.min(rows.len().saturating_sub(1));
        let Some((section, buddy)) = &self.held else {
            // At first the cursor is on somebody.
            self.cursor = rows.iter().position(|row| matches!(row, Row::Person { .. })).unwrap_or_default();
            if let Some(row) = rows.get(self.cursor) {
                self.held = Some(self.identity(row));
            }
            return;
        };
        let is_section = |place: &usize| self.rows.sections.get(*place).map(|own| &own.title) == section.as_ref();
        let is_buddy = |person: &usize| self.people.list.get(*person).map(|own| &own.buddy) == buddy.as_ref();
        let there = |row: &Row| match row {
            Row::Header(place) => buddy.is_none() && is_section(place),
            Row::Person { section: Some(place), person } => is_section(place) && is_buddy(person),
            Row::Person { section: None, person } => is_buddy(person),
        };
        let elsewhere = |row: &Row| matches!(row, Row::Person { person, .. } if is_buddy(person));
        let found = rows.get(self.cursor).filter(|row| there(row)).map(|_| self.cursor);
        let found = found.or_else(|| rows.iter().position(there)).or_else(|| rows.iter().position(elsewhere));
        match found {
            Some(row) => self.cursor = row,
            None => self.held = rows.get(self.cursor).map(|row| self.identity(row)),
        }
    }
}
