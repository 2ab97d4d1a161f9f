//! A program on a pseudo-terminal, and what it shows there; whoever looks waits with a deadline.

use std::{
    io::{Read as _, Write as _},
    num::NonZero,
    process::Command,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

/// Far longer than anything here takes; reached only by what fails.
const PATIENCE: Duration = Duration::from_mins(1);

/// The program and its terminal; dropping it kills the program.
pub(crate) struct Screen {
    master: Box<dyn MasterPty + Send>,
    keyboard: Box<dyn std::io::Write + Send>,
    child: Box<dyn Child + Send + Sync>,
    parser: Arc<Mutex<vt100::Parser>>,
    /// How the terminal was set before.
    before: String,
}

impl Screen {
    /// Starts a command with the environment that it sets, and no other.
    pub(crate) fn start(command: &Command, columns: u16, rows: u16) -> Self {
        let pty = native_pty_system().openpty(size(columns, rows)).unwrap();
        let before = settings(&*pty.master);
        let mut builder = CommandBuilder::new(command.get_program());
        builder.args(command.get_args());
        builder.env_clear();
        for (name, value) in [("LANG", "C.UTF-8"), ("TERM", "xterm-256color")] {
            builder.env(name, value);
        }
        for (name, value) in command.get_envs() {
            builder.env(name, value.unwrap_or_default());
        }
        let child = pty.slave.spawn_command(builder).unwrap();
        drop(pty.slave);
        let parser = Arc::new(Mutex::new(vt100::Parser::new(count(rows), count(columns), 0)));
        let (mut reader, to) = (pty.master.try_clone_reader().unwrap(), Arc::clone(&parser));
        thread::spawn(move || {
            let mut some = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut some) {
                to.lock().unwrap().process(&some[..count]);
            }
        });
        let keyboard = pty.master.take_writer().unwrap();
        Self { master: pty.master, keyboard, child, parser, before }
    }

    /// Returns everything as it is shown now.
    pub(crate) fn now(&self) -> vt100::Screen {
        self.parser.lock().unwrap().screen().clone()
    }

    pub(crate) fn text(&self) -> String {
        self.now().contents()
    }

    #[track_caller]
    pub(crate) fn until(&self, what: &str, mut is_so: impl FnMut(&str) -> bool) {
        let by = Instant::now() + PATIENCE;
        while !is_so(&self.text()) {
            assert!(Instant::now() < by, "never: {what}\n{}", self.text());
            thread::sleep(Duration::from_millis(2));
        }
    }

    #[track_caller]
    pub(crate) fn shows(&self, words: &str) {
        self.until(words, |text| text.contains(words));
    }

    pub(crate) fn types(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
        self.keyboard.flush().unwrap();
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.process_id().unwrap()).unwrap()), signal).unwrap();
    }

    pub(crate) fn resize(&self, columns: u16, rows: u16) {
        self.parser.lock().unwrap().screen_mut().set_size(count(rows), count(columns));
        self.master.resize(size(columns, rows)).unwrap();
    }

    /// Returns whether the program has the whole screen for itself.
    pub(crate) fn is_taken(&self) -> bool {
        self.now().alternate_screen()
    }

    /// Waits for the end; the terminal is as it was.
    #[track_caller]
    pub(crate) fn ends(&mut self, code: u32) {
        assert_eq!(self.child.wait().unwrap().exit_code(), code);
        let by = Instant::now() + PATIENCE;
        while self.is_taken() {
            assert!(Instant::now() < by, "the screen was not given back");
            thread::yield_now();
        }
        let screen = self.now();
        assert!(!screen.hide_cursor() && !screen.bracketed_paste());
        assert_eq!(screen.mouse_protocol_mode(), vt100::MouseProtocolMode::None);
        assert_eq!(settings(&*self.master), self.before);
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn settings(master: &dyn MasterPty) -> String {
    format!("{:?}", master.get_termios())
}

fn size(columns: u16, rows: u16) -> PtySize {
    PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 }
}

fn count(count: u16) -> NonZero<u16> {
    NonZero::new(count).unwrap()
}
