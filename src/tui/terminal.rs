//! The terminal: taken over, given back on every path, and what comes from its keys and mouse.
//!
//! Nothing here asks the terminal where its cursor is: the answer would come among the keys.

use std::{
    io::{self, Stdout, Write as _},
    panic::PanicHookInfo,
    sync::{
        Once,
        atomic::{AtomicBool, Ordering},
    },
};

use crossterm::{
    cursor::Show,
    event::{
        DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture, Event, KeyCode,
        KeyEventKind, KeyModifiers, MouseButton, MouseEventKind,
    },
    execute, queue,
    terminal::{
        BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen,
        disable_raw_mode, enable_raw_mode, size,
    },
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, getpgrp, getsid},
};
use ratatui::{Frame, Terminal, TerminalOptions, Viewport, backend::CrosstermBackend, layout::Rect};
use tokio::sync::mpsc;

use super::{
    effect::{Button, Mouse, Msg},
    key::{Code, Key, Name},
};

/// Whether the terminal is ours now.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// The terminal while it is ours; dropping it gives it back.
pub(super) struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
}

impl Screen {
    /// Takes the terminal over.
    pub(super) fn enter() -> io::Result<Self> {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| std::panic::set_hook(restoring(std::panic::take_hook(), restore)));
        Ok(Self { terminal: enter()? })
    }

    /// Returns whether the terminal is still ours; a panic in another task gave it back.
    pub(super) fn is_ours() -> bool {
        TAKEN.load(Ordering::Relaxed)
    }

    /// Draws what is another than before, all at once.
    pub(super) fn draw(&mut self, view: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        queue!(io::stdout(), BeginSynchronizedUpdate)?;
        self.terminal.draw(view)?;
        execute!(io::stdout(), EndSynchronizedUpdate)
    }

    /// Has everything drawn anew next time, on a screen of another size perhaps; returns columns and lines.
    pub(super) fn anew(&mut self) -> io::Result<(u16, u16)> {
        self.terminal = terminal()?;
        size()
    }

    /// Rings the bell.
    pub(super) fn bell() -> io::Result<()> {
        let mut stdout = io::stdout();
        stdout.write_all(b"\x07")?;
        stdout.flush()
    }

    /// Gives the terminal back, stops until the shell goes on with us, and takes it again; false where no shell would.
    pub(super) fn suspend(&mut self) -> io::Result<bool> {
        // A shell that can go on with us has given us a process group of our own.
        if getpgrp() == getsid(None)? {
            return Ok(false);
        }
        restore();
        // All of our job, as the terminal's own driver does it.
        kill(Pid::from_raw(0), Signal::SIGSTOP)?;
        self.resume()?;
        Ok(true)
    }

    /// Takes the terminal again, after somebody else may have had it.
    pub(super) fn resume(&mut self) -> io::Result<()> {
        self.terminal = enter()?;
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

fn enter() -> io::Result<Terminal<CrosstermBackend<Stdout>>> {
    TAKEN.store(true, Ordering::Relaxed);
    let entered = enable_raw_mode()
        .and_then(|()| execute!(io::stdout(), EnterAlternateScreen, EnableBracketedPaste, EnableMouseCapture))
        .and_then(|()| terminal());
    if entered.is_err() {
        restore();
    }
    entered
}

/// Makes an empty screen of the size that it has.
fn terminal() -> io::Result<Terminal<CrosstermBackend<Stdout>>> {
    let (width, height) = size()?;
    execute!(io::stdout(), Clear(ClearType::All))?;
    let viewport = Viewport::Fixed(Rect::new(0, 0, width, height));
    Terminal::with_options(CrosstermBackend::new(io::stdout()), TerminalOptions { viewport })
}

/// Gives the terminal back, if it is ours.
fn restore() {
    if TAKEN.swap(false, Ordering::Relaxed) {
        // A terminal that is gone needs nothing.
        let _ = execute!(
            io::stdout(),
            EndSynchronizedUpdate,
            DisableMouseCapture,
            DisableBracketedPaste,
            LeaveAlternateScreen,
            Show
        );
        let _ = disable_raw_mode();
    }
}

type Hook = Box<dyn Fn(&PanicHookInfo<'_>) + Send + Sync>;

/// Makes a hook that gives the terminal back before what was there says what happened.
fn restoring(before: Hook, restore: impl Fn() + Send + Sync + 'static) -> Hook {
    Box::new(move |info| {
        restore();
        before(info);
    })
}

/// Reads keys, mouse and sizes in a thread of its own, which ends with the process.
pub(super) fn events() -> mpsc::Receiver<Event> {
    let (sender, receiver) = mpsc::channel(256);
    std::thread::spawn(move || {
        while let Ok(event) = crossterm::event::read() {
            if sender.blocking_send(event).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Returns what an event means; none if it means nothing here.
pub(super) fn message(event: Event) -> Option<Msg> {
    match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => {
            let code = match key.code {
                KeyCode::Char(c) => Code::Char(c),
                KeyCode::F(number) => Code::F(number),
                code => Code::Named(name(code)?),
            };
            let held = |modifier| key.modifiers.contains(modifier);
            Some(Msg::Key(Key { code, ctrl: held(KeyModifiers::CONTROL), alt: held(KeyModifiers::ALT) }))
        }
        Event::Paste(text) => Some(Msg::Paste(text)),
        Event::Mouse(mouse) => {
            let what = match mouse.kind {
                MouseEventKind::Down(MouseButton::Left) => Button::Click,
                MouseEventKind::ScrollUp => Button::WheelUp,
                MouseEventKind::ScrollDown => Button::WheelDown,
                _ => return None,
            };
            Some(Msg::Mouse(Mouse { what, column: mouse.column, row: mouse.row }))
        }
        Event::Resize(width, height) => Some(Msg::Resize(width, height)),
        _ => None,
    }
}

fn name(code: KeyCode) -> Option<Name> {
    Some(match code {
        KeyCode::Enter => Name::Enter,
        KeyCode::Esc => Name::Esc,
        KeyCode::Tab => Name::Tab,
        KeyCode::BackTab => Name::BackTab,
        KeyCode::Backspace => Name::Backspace,
        KeyCode::Delete => Name::Delete,
        KeyCode::Insert => Name::Insert,
        KeyCode::Up => Name::Up,
        KeyCode::Down => Name::Down,
        KeyCode::Left => Name::Left,
        KeyCode::Right => Name::Right,
        KeyCode::PageUp => Name::PageUp,
        KeyCode::PageDown => Name::PageDown,
        KeyCode::Home => Name::Home,
        KeyCode::End => Name::End,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn a_panic_gives_the_terminal_back_before_it_is_told() {
        let order = Arc::new(Mutex::new(Vec::new()));
        let note = |word: &'static str| {
            let order = Arc::clone(&order);
            move || order.lock().unwrap().push(word)
        };
        let told = note("told");
        let hook = restoring(Box::new(move |_| told()), note("restored"));
        let before = std::panic::take_hook();
        std::panic::set_hook(hook);
        let panicked = std::thread::spawn(|| panic!("as a test")).join();
        std::panic::set_hook(before);
        assert!(panicked.is_err());
        let order = order.lock().unwrap();
        // Another test may panic meanwhile.
        assert_eq!(order[..2], ["restored", "told"]);
    }

    #[test]
    fn a_terminal_that_is_not_ours_is_left_alone() {
        assert!(!Screen::is_ours());
        restore();
        assert!(!Screen::is_ours());
    }
}
