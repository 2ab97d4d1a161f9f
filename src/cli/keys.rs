//! Single keys from the terminal, without an Enter behind each.

use std::io;

use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use tokio::io::{AsyncReadExt, Stdin};

/// The terminal's keys; dropping it puts the terminal back as it was.
pub(super) struct Keys {
    before: Termios,
    stdin: Stdin,
}

impl Keys {
    /// Takes the keys of the terminal that we read from; none if we read from something else.
    pub(super) fn open() -> Option<Self> {
        let before = tcgetattr(io::stdin()).ok()?;
        let mut raw = before.clone();
        // Signals stay: Ctrl-C and Ctrl-Z mean what they always do.
        raw.local_flags.remove(LocalFlags::ICANON | LocalFlags::ECHO);
        tcsetattr(io::stdin(), SetArg::TCSANOW, &raw).ok()?;
        Some(Self { before, stdin: tokio::io::stdin() })
    }

    /// Waits for the next key; none when there are no more.
    pub(super) async fn next(&mut self) -> Option<u8> {
        self.stdin.read_u8().await.ok()
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing put back.
        let _ = tcsetattr(io::stdin(), SetArg::TCSANOW, &self.before);
    }
}
