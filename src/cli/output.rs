//! What is printed: the only place that writes to stdout and stderr.

mod agent;
mod buddies;
mod row;
mod status;
mod watchers;

use std::{
    io::{self, IsTerminal, Write as _},
    process::ExitCode,
};

use jiff::{Timestamp, Zoned};

use self::{row::Row, status::clear_status};
use super::{
    args::{Color, Global},
    exit::{Exit, Failed},
    format::Format,
};
use crate::client::{
    Line, PresentityState,
    shown::{self, Tone},
    text,
};

pub(super) use self::{
    agent::{object, table},
    status::Status,
};

/// How to print.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag or a fact of its own")]
pub(super) struct Output {
    json: bool,
    format: Option<&'static Format>,
    quiet: bool,
    terminal: bool,
    color: bool,
    width: usize,
}

/// Stdout takes no more: its reader has gone, or there is no room.
#[derive(Clone, Copy, Debug)]
pub(super) struct Closed(io::ErrorKind);

/// Returns whether the log may be coloured.
pub(super) fn stderr_takes_color() -> bool {
    io::stderr().is_terminal() && !wants_plain()
}

/// Returns whether the user or the terminal wants no colour.
fn wants_plain() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
        || std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}

impl Output {
    /// Chooses how to print.
    ///
    /// # Errors
    /// When the template is none, or JSON is asked for beside it.
    pub(super) fn new(global: &Global) -> Result<Self, Failed> {
        if global.json && global.format.is_some() {
            return Err(Failed::new(Exit::Usage, "--json and --format exclude each other"));
        }
        let format = global.format.as_deref().map(Format::parse).transpose();
        let format = format.map_err(|error| Failed::new(Exit::Usage, format!("--format: {error}")))?;
        let terminal = io::stdout().is_terminal();
        let plain = wants_plain();
        let color = match global.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => terminal && !plain,
        };
        // There is one for the whole life of the process, and everybody copies it.
        let format = format.map(|format| &*Box::leak(Box::new(format)));
        Ok(Self { json: global.json, format, quiet: global.quiet, terminal, color, width: terminal_width() })
    }

    /// Returns whether JSON lines were asked for.
    pub(super) fn is_json(self) -> bool {
        self.json
    }

    /// Returns whether lines of data were asked for in a form of the caller's own.
    pub(super) fn is_for_programs(self) -> bool {
        self.json || self.format.is_some()
    }

    /// Returns whether people are reading.
    pub(super) fn is_terminal(self) -> bool {
        self.terminal
    }

    /// Prints a line of data; as JSON or by the template if asked for, else the words for people, or nothing where
    /// there are none.
    pub(super) fn line(self, line: &Line, with_time: bool) -> Result<(), Closed> {
        if self.json {
            return print(&line.to_json());
        }
        let text = match self.format {
            Some(format) => line.to_state().map(|state| format.render(&state, line.ts, &Zoned::now())),
            None => self.human(line, with_time),
        };
        match text {
            Some(text) => print(&text),
            None => Ok(()),
        }
    }

    /// Prints the document of a line as it came, for a terminal made visible; says on stderr where there is none,
    /// and whose it is if it is one of several.
    pub(super) fn document(self, line: &Line, several: bool) -> Result<(), Closed> {
        let Some(document) = &line.document else {
            if let Some(state) = line.to_state() {
                let why = shown::why(&state).map(|why| format!(" [{}]", text::visible(&why))).unwrap_or_default();
                self.tell(&format!("{}: no document, {}{why}", shown::name(&state), text::visible(&state.headline())));
            }
            return Ok(());
        };
        if several && let Some(state) = line.to_state() {
            self.tell(&format!("{}:", shown::name(&state)));
        }
        let ended = document.ends_with('\n') || !(several || self.terminal);
        let end: &[u8] = if ended { b"" } else { b"\n" };
        if self.terminal {
            return write_out(&[text::visible_lines(document).as_bytes(), end]);
        }
        write_out(&[document.as_bytes(), end])
    }

    /// Returns the line of stderr that says what goes on.
    pub(super) fn status(self) -> Status {
        Status::new(self.quiet, self.width)
    }

    /// Prints words on stderr, unless told to be quiet.
    pub(super) fn tell(self, text: &str) {
        if !self.quiet {
            say(text);
        }
    }

    /// Prints a step of several, with a mark before its first line.
    pub(super) fn step(self, mark: &str, lines: &[String]) -> Result<(), Closed> {
        let code = match mark {
            "ok" => "32",
            "warning" => "33",
            "failed" => "31",
            _ => "2",
        };
        for (place, line) in lines.iter().enumerate() {
            let lead = format!("{:<7}", if place == 0 { mark } else { "" });
            let lead = if self.color && place == 0 { format!("\x1b[{code}m{lead}\x1b[0m") } else { lead };
            print(&format!("{lead}  {line}"))?;
        }
        Ok(())
    }

    /// Returns what a line says to people: `● alice@host  busy: meeting  since 11:58`.
    fn human(self, line: &Line, with_time: bool) -> Option<String> {
        let state = line.to_state()?;
        let time = if with_time { format!("{}  ", clock(line.ts, "%H:%M:%S")) } else { String::new() };
        let name = shown::name(&state);
        let symbol = if self.terminal { format!("{} ", shown::symbol(&state)) } else { String::new() };
        let headline = text::visible(&state.headline());
        let since = state.since.filter(|_| state.status().is_some()).map(|at| format!("since {}", clock(at, "%H:%M")));
        let why = shown::why(&state).map(|reason| format!("[{}]", text::visible(&reason)));
        if !self.terminal {
            let tail = [vec![String::new()], since.into_iter().chain(why).collect()].concat().join("\t");
            return Some(format!("{time}{name}\t{headline}{tail}"));
        }
        let row = Row { time, lead: format!("{symbol}{name}  "), headline, since, why }.fit(self.width);
        let headline = self.paint(&row.headline, &state);
        let tail = [vec![String::new()], row.since.into_iter().chain(row.why).collect()].concat().join("  ");
        Some(format!("{}{}{headline}{tail}", row.time, row.lead))
    }

    fn paint(self, text: &str, state: &PresentityState) -> String {
        let code = match Tone::of(state) {
            _ if !self.color => return text.to_owned(),
            Tone::Good => "32",
            Tone::Busy => "33",
            Tone::Away => "36",
            Tone::Bad => "31",
            Tone::Quiet => "2",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

/// Returns where the log goes.
pub(super) fn log_writer() -> io::Stderr {
    clear_status();
    io::stderr()
}

/// Returns a time of today in the given format, another with its date.
pub(super) fn clock(at: Timestamp, format: &str) -> String {
    shown::clock(at, format, &Zoned::now())
}

/// Returns an end that lies ahead: to the minute, or to the second if it is near.
pub(super) fn clock_until(at: Timestamp) -> String {
    shown::clock_until(at, &Zoned::now())
}

/// Returns the width to print for: the terminal's, else no limit worth the name.
fn terminal_width() -> usize {
    let told = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    told.filter(|columns| *columns >= 20).unwrap_or_else(|| {
        terminal_size::terminal_size().map_or(1000, |(terminal_size::Width(columns), _)| usize::from(columns).max(20))
    })
}

fn print(text: &str) -> Result<(), Closed> {
    write_out(&[text.as_bytes(), b"\n"])
}

fn write_out(parts: &[&[u8]]) -> Result<(), Closed> {
    clear_status();
    let mut stdout = io::stdout().lock();
    parts.iter().try_for_each(|part| stdout.write_all(part)).and_then(|()| stdout.flush()).map_err(|error| {
        if error.kind() != io::ErrorKind::BrokenPipe {
            say(&format!("sippresence: cannot write to stdout: {error}"));
        }
        Closed(error.kind())
    })
}

/// Writes a line on stderr, whatever was asked for.
pub(super) fn say(text: &str) {
    clear_status();
    // Where nobody reads our words there is nobody to tell of that; it is no reason to end.
    let _ = writeln!(io::stderr(), "{text}");
}

/// Prints a question on stderr, whose answer comes behind it.
pub(super) fn ask(words: &str) {
    clear_status();
    // As above.
    let _ = write!(io::stderr(), "{words}").and_then(|()| io::stderr().flush());
}

/// Returns so many of something, in words.
pub(super) fn count(count: usize, what: &str) -> String {
    let end = if count == 1 { "" } else { "s" };
    format!("{count} {what}{end}")
}

/// Prints text as it is.
pub(super) fn print_text(text: &str) -> Exit {
    print(text).map_or_else(Into::into, |()| Exit::Done)
}

/// Prints a file's bytes as they are.
pub(super) fn print_bytes(bytes: &[u8]) -> Result<(), Closed> {
    write_out(&[bytes])
}

/// Prints why a command failed, in one line, and the way out in one more.
pub(super) fn complain(failed: &Failed) -> ExitCode {
    let clean = |text: &str| text::visible(&text.replace(['\r', '\n', '\t'], " "));
    say(&format!("sippresence: {}", clean(&failed.message)));
    if let Some(hint) = &failed.hint {
        say(&format!("hint: {}", clean(hint)));
    }
    failed.exit.into()
}

impl From<Closed> for Exit {
    /// A pipe that closes ends us quietly; data that is lost is a failure.
    fn from(Closed(kind): Closed) -> Self {
        if kind == io::ErrorKind::BrokenPipe { Self::Done } else { Self::Bug }
    }
}
