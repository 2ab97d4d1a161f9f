//! A line of text that is being typed.

use unicode_segmentation::UnicodeSegmentation as _;

use super::key::{Code, Key, Name};
use crate::client::text::{visible, width};

/// The most bytes that a line takes.
const MOST: usize = 2048;

/// A line of text with a cursor, which moves by grapheme.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Input {
    text: String,
    /// In bytes, between two graphemes.
    cursor: usize,
}

impl Input {
    /// Makes a line that has a text already; the cursor stands at its end.
    pub(super) fn new(text: &str) -> Self {
        let mut input = Self::default();
        input.paste(text);
        input
    }

    /// Returns the text.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Puts text in at the cursor; line ends become blanks, other controls are left out.
    pub(super) fn paste(&mut self, text: &str) {
        for c in text.trim_end_matches(['\r', '\n']).chars() {
            let c = if matches!(c, '\n' | '\t') { ' ' } else { c };
            if !c.is_control() && self.text.len() + c.len_utf8() <= MOST {
                self.text.insert(self.cursor, c);
                self.cursor += c.len_utf8();
            }
        }
    }

    /// Takes a key; false if it means nothing to a line of text.
    pub(super) fn key(&mut self, key: Key) -> bool {
        if let Some(c) = key.text() {
            self.paste(c.encode_utf8(&mut [0; 4]));
            return true;
        }
        match (key.code, key.ctrl) {
            (Code::Named(Name::Backspace), _) | (Code::Char('h'), true) => {
                let start = self.before();
                self.text.replace_range(start..self.cursor, "");
                self.cursor = start;
            }
            (Code::Named(Name::Delete), _) | (Code::Char('d'), true) => {
                let end = self.behind();
                self.text.replace_range(self.cursor..end, "");
            }
            (Code::Char('w'), true) => {
                let head = self.text[..self.cursor].trim_end();
                let start = head.rfind(' ').map_or(0, |blank| blank + 1);
                self.text.replace_range(start..self.cursor, "");
                self.cursor = start;
            }
            (Code::Char('u'), true) => {
                self.text.replace_range(..self.cursor, "");
                self.cursor = 0;
            }
            (Code::Char('k'), true) => self.text.truncate(self.cursor),
            (Code::Named(Name::Left), _) => self.cursor = self.before(),
            (Code::Named(Name::Right), _) => self.cursor = self.behind(),
            (Code::Named(Name::Home), _) | (Code::Char('a'), true) => self.cursor = 0,
            (Code::Named(Name::End), _) | (Code::Char('e'), true) => self.cursor = self.text.len(),
            _ => return false,
        }
        true
    }

    /// Returns the part to show in so many columns, safe to print, and the column of the cursor in it.
    pub(super) fn shown(&self, columns: usize) -> (String, usize) {
        // The cursor is seen also behind the last character.
        let room = columns.saturating_sub(1);
        let mut start = 0;
        for (at, grapheme) in self.text.grapheme_indices(true) {
            if at >= self.cursor || width(&visible(&self.text[start..self.cursor])) <= room {
                break;
            }
            start = at + grapheme.len();
        }
        let cursor = width(&visible(&self.text[start..self.cursor])).min(room);
        (visible(&self.text[start..]), cursor)
    }

    fn before(&self) -> usize {
        self.text[..self.cursor].grapheme_indices(true).next_back().map_or(0, |(at, _)| at)
    }

    fn behind(&self) -> usize {
        self.cursor + self.text[self.cursor..].graphemes(true).next().map_or(0, str::len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn press(input: &mut Input, keys: &str) {
        for key in keys.split(' ') {
            assert!(input.key(key.parse().unwrap()), "{key}");
        }
    }

    #[test]
    fn keys_edit_by_grapheme() {
        let mut input = Input::new("ae\u{301}👩‍💻");
        press(&mut input, "backspace backspace b");
        assert_eq!(input.text(), "ab");
        press(&mut input, "home x delete end space c");
        assert_eq!(input.text(), "xb c");
        press(&mut input, "ctrl-w d left left ctrl-u");
        assert_eq!(input.text(), " d");
        assert!(!input.key("enter".parse().unwrap()));
    }

    #[test]
    fn what_is_pasted_stays_one_line_and_cannot_reach_the_terminal() {
        let mut input = Input::default();
        input.paste("a\u{1b}[31m\nb\r\n");
        assert_eq!(input.text(), "a[31m b");
        assert_eq!(Input::new("a\u{202e}b").shown(20).0, "a\\u202eb");
        input.paste(&"x".repeat(5000));
        assert_eq!(input.text().len(), MOST);
    }

    #[test]
    fn the_cursor_is_always_in_sight() {
        let mut input = Input::new("0123456789");
        assert_eq!(input.shown(5), ("6789".into(), 4));
        press(&mut input, "home");
        assert_eq!(input.shown(5).1, 0);
        assert_eq!(Input::new("漢字漢字").shown(4), ("字".into(), 2));
        assert_eq!(Input::new("abc").shown(0).1, 0);
    }
}
