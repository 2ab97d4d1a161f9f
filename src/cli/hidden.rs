//! A line that somebody types and nobody sees.

use std::{
    fs::File,
    io::{self, Read as _},
    os::fd::BorrowedFd,
};

use nix::sys::termios::{LocalFlags, SetArg, SpecialCharacterIndices, Termios, tcgetattr, tcsetattr};
use secrecy::zeroize::Zeroizing;

use super::output;

/// What Ctrl-C types.
const INTERRUPT: u8 = 3;

/// What was typed.
pub(super) enum Typed {
    /// A line, without its end.
    Line(Zeroizing<String>),
    /// Ctrl-C.
    Interrupted,
}

/// Asks on stderr, and reads one line of a terminal that shows none of it; no more than about `most` bytes of
/// one.
///
/// Ctrl-C ends the line instead of the program: nobody is left with a terminal that shows nothing any more.
///
/// # Errors
/// When the terminal cannot be read, or ends.
pub(super) fn ask_hidden(terminal: BorrowedFd<'_>, words: &str, most: usize) -> io::Result<Typed> {
    let before = tcgetattr(terminal)?;
    let mut quiet = before.clone();
    quiet.local_flags &= !(LocalFlags::ECHO | LocalFlags::ISIG);
    quiet.local_flags |= LocalFlags::ICANON | LocalFlags::ECHONL;
    quiet.control_chars[SpecialCharacterIndices::VEOL as usize] = INTERRUPT;
    // What was typed before is no answer; and nobody is asked before nothing is shown any more.
    tcsetattr(terminal, SetArg::TCSAFLUSH, &quiet)?;
    let _restored = Restored { terminal, before };
    output::ask(words);
    let mut file = File::from(terminal.try_clone_to_owned()?);
    let (mut line, mut some) = (Zeroizing::new(Vec::new()), Zeroizing::new([0; 1024]));
    // The terminal gives a line at once, or the beginning of a long one.
    while !line.ends_with(b"\n") && line.len() < most {
        match file.read(&mut some[..])? {
            0 => break,
            count => line.extend_from_slice(&some[..count]),
        }
        if line.contains(&INTERRUPT) {
            output::ask("\n");
            return Ok(Typed::Interrupted);
        }
    }
    if line.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let text = std::str::from_utf8(&line).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
    Ok(Typed::Line(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned())))
}

/// Puts a terminal back on every way out.
struct Restored<'t> {
    terminal: BorrowedFd<'t>,
    before: Termios,
}

impl Drop for Restored<'_> {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing.
        let _ = tcsetattr(self.terminal, SetArg::TCSAFLUSH, &self.before);
    }
}
