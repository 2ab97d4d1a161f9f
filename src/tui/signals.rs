//! The signals that end, stop and resume.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that are heeded, from the moment this is made.
pub(super) struct Signals {
    end: [(Signal, u8); 3],
    stop: Signal,
    resumed: Signal,
}

/// What a signal means.
pub(super) enum Caught {
    /// The end, by this number.
    End(u8),
    /// Stop until the shell goes on with us.
    Stop,
    /// It goes on with us; somebody else may have had the terminal.
    Resumed,
}

impl Signals {
    /// Begins to hear them.
    pub(super) fn new() -> io::Result<Self> {
        let of = |kind: SignalKind, number| Ok::<_, io::Error>((signal(kind)?, number));
        Ok(Self {
            end: [of(SignalKind::hangup(), 1)?, of(SignalKind::interrupt(), 2)?, of(SignalKind::terminate(), 15)?],
            stop: signal(SignalKind::from_raw(nix::sys::signal::Signal::SIGTSTP as i32))?,
            resumed: signal(SignalKind::from_raw(nix::sys::signal::Signal::SIGCONT as i32))?,
        })
    }

    /// Waits for the next one. Cancel-safe.
    pub(super) async fn next(&mut self) -> Caught {
        let [(hangup, one), (interrupt, two), (terminate, fifteen)] = &mut self.end;
        tokio::select! {
            _ = hangup.recv() => Caught::End(*one),
            _ = interrupt.recv() => Caught::End(*two),
            _ = terminate.recv() => Caught::End(*fifteen),
            _ = self.stop.recv() => Caught::Stop,
            _ = self.resumed.recv() => Caught::Resumed,
        }
    }
}
