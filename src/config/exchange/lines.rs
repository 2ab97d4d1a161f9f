//! Lines with their numbers, and the numbers of places.

use memchr::memchr_iter;

/// Returns each line with its number from 1, without its end.
pub(super) fn lines(text: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    text.split(|byte| *byte == b'\n').enumerate().map(|(n, line)| (n + 1, line.strip_suffix(b"\r").unwrap_or(line)))
}

/// Returns each line of a text as [`lines`] does.
pub(super) fn text(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.split('\n').enumerate().map(|(n, line)| (n + 1, line.strip_suffix('\r').unwrap_or(line)))
}

/// Returns the first line.
pub(super) fn first(text: &[u8]) -> &[u8] {
    lines(text).next().map_or(text, |(_, line)| line)
}

/// Returns how many lines end in a text.
pub(super) fn count(text: &[u8]) -> usize {
    memchr_iter(b'\n', text).count()
}

/// Tells the lines of places that are asked for from the front to the back, reading the text once.
pub(super) struct Places<'t> {
    text: &'t [u8],
    at: usize,
    line: usize,
}

impl<'t> Places<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text: text.as_bytes(), at: 0, line: 1 }
    }

    /// Returns the line of a byte, from 1; of one in front of the last that was asked for, the line of that.
    pub(super) fn line_of(&mut self, at: usize) -> usize {
        self.line += count(self.text.get(self.at..at).unwrap_or_default());
        self.at = self.at.max(at);
        self.line
    }
}
