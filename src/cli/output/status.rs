//! One line of stderr that says what goes on while there is nothing to print.

use std::{
    io::{self, IsTerminal as _, Write as _},
    sync::atomic::{AtomicBool, Ordering},
};

use super::say;
use crate::client::text;

/// Whether a status stands on the terminal, at the cursor: it has to go before anything else is written.
static STATUS: AtomicBool = AtomicBool::new(false);

/// A line of stderr that says what goes on: rewritten in its place on a terminal, else said once.
#[derive(Debug)]
pub(in crate::cli) struct Status {
    silent: bool,
    terminal: bool,
    width: usize,
    said: bool,
}

impl Status {
    pub(super) fn new(silent: bool, width: usize) -> Self {
        Self { silent, terminal: io::stderr().is_terminal(), width, said: false }
    }

    /// Says how it stands now; where it is said already, only a terminal is told anew.
    pub(in crate::cli) fn show(&mut self, words: impl FnOnce() -> Option<String>) {
        if self.silent || self.said && !self.terminal {
            return;
        }
        let Some(words) = words() else { return };
        self.said = true;
        if !self.terminal {
            return say(&words);
        }
        let words = text::truncate_to_width(&words, self.width.saturating_sub(1));
        STATUS.store(true, Ordering::Relaxed);
        // As with all words: who does not read them does not miss them.
        let _ = write!(io::stderr(), "\r\x1b[K{words}");
    }
}

impl Drop for Status {
    fn drop(&mut self) {
        clear_status();
    }
}

/// Takes a status that stands on the terminal away.
pub(super) fn clear_status() {
    if STATUS.swap(false, Ordering::Relaxed) {
        let _ = write!(io::stderr(), "\r\x1b[K");
    }
}
