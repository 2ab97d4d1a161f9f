//! `--format`: a state in the words of a template, or as a status bar wants it.
//!
//! Everything that a peer wrote is made visible first, then escaped for whoever reads the line; where lines come from
//! and whether they are printed is for others to say.

use std::fmt;

use jiff::{Timestamp, Zoned};
use serde::Serialize;

use crate::client::{
    Activity, PresentityState, StatusWord, did_you_mean, most_like,
    shown::{clock as clock_at, name as shown_name, symbol, why},
    text::visible,
};

/// How each state is to be written.
#[derive(Debug, PartialEq)]
pub(super) enum Format {
    /// As the parts say, one behind the other.
    Template(Vec<Part>),
    /// For the status line of tmux, in which `#` begins a command.
    Tmux,
    /// For a custom module of waybar: JSON whose text is Pango's.
    Waybar,
}

/// A piece of a template.
#[derive(Debug, PartialEq)]
pub(super) enum Part {
    Text(String),
    Field(Field),
}

macro_rules! fields {
    ($($variant:ident = $name:literal,)*) => {
        /// What a template can name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Field { $($variant,)* }

        impl Field {
            const NAMES: &[&str] = &[$($name,)*];

            fn from_name(name: &str) -> Option<Self> {
                Some(match name {
                    $($name => Self::$variant,)*
                    _ => return None,
                })
            }
        }
    };
}

fields! {
    Icon = "icon",
    Name = "name",
    Status = "status",
    Note = "note",
    Since = "since",
    Freshness = "freshness",
    Presentity = "presentity",
    Activities = "activities",
    Text = "text",
    Code = "code",
    Device = "device",
    Previous = "previous",
    Time = "time",
}

/// The formats that have a name.
const PRESETS: [&str; 2] = ["tmux", "waybar"];

/// Why a template is none.
#[derive(Debug, PartialEq)]
pub(super) enum FormatError {
    /// It names what there is not.
    Unknown(String),
    /// A brace that opens nothing, or is never closed.
    Brace(char),
    /// It would print the same for everybody.
    NoField(String),
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(field) => match most_like(field, Field::NAMES.iter().copied()) {
                nearest @ Some(_) => write!(f, "unknown field {{{field}}}{}", did_you_mean(nearest)),
                None => write!(f, "unknown field {{{field}}}: there are {}", Field::NAMES.join(", ")),
            },
            Self::Brace(brace) => write!(f, "a single `{brace}`: write `{brace}{brace}` for the sign itself"),
            Self::NoField(text) => {
                let presets = PRESETS.join(" and ");
                write!(f, "{text:?} names no field, such as {{status}}, and no preset: these are {presets}")
            }
        }
    }
}

impl Format {
    /// Reads a template, or the name of a preset.
    pub(super) fn parse(template: &str) -> Result<Self, FormatError> {
        match template {
            "tmux" => return Ok(Self::Tmux),
            "waybar" => return Ok(Self::Waybar),
            _ => {}
        }
        let mut parts = Vec::new();
        let mut text = String::new();
        let mut rest = template.chars();
        while let Some(c) = rest.next() {
            let next = rest.clone().next();
            match (c, next) {
                ('{', Some('{')) | ('}', Some('}')) | ('\\', Some('\\')) => {
                    text.push(c);
                    rest.next();
                }
                ('\\', Some('t')) => {
                    text.push('\t');
                    rest.next();
                }
                ('\\', Some('n')) => {
                    text.push('\n');
                    rest.next();
                }
                ('{', _) => {
                    let (name, behind) = rest.as_str().split_once('}').ok_or(FormatError::Brace('{'))?;
                    rest = behind.chars();
                    let field = Field::from_name(name).ok_or_else(|| FormatError::Unknown(name.to_owned()))?;
                    if !text.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut text)));
                    }
                    parts.push(Part::Field(field));
                }
                ('}', _) => return Err(FormatError::Brace('}')),
                _ => text.push(c),
            }
        }
        if parts.is_empty() {
            return Err(FormatError::NoField(template.to_owned()));
        }
        if !text.is_empty() {
            parts.push(Part::Text(text));
        }
        Ok(Self::Template(parts))
    }

    /// Writes a state that was told at `at`; times of the day are those of the zone of `now`.
    pub(super) fn render(&self, state: &PresentityState, at: Timestamp, now: &Zoned) -> String {
        match self {
            Self::Template(parts) => parts
                .iter()
                .map(|part| match part {
                    Part::Text(text) => text.clone(),
                    Part::Field(field) => field.of(state, at, now),
                })
                .collect(),
            Self::Tmux => {
                let shown = [Field::Icon, Field::Name, Field::Note].map(|field| field.of(state, at, now));
                shown.join(" ").trim_end().replace('#', "##")
            }
            Self::Waybar => Waybar::of(state, now).to_json(),
        }
    }
}

impl Field {
    /// Returns what the field is for a state: safe to print, and empty where nothing is known.
    fn of(self, state: &PresentityState, at: Timestamp, now: &Zoned) -> String {
        let info = state.info.as_ref();
        match self {
            Self::Icon => symbol(state).to_owned(),
            Self::Name => shown_name(state),
            Self::Status => visible(&state.status_with_doubt()),
            Self::Note => info.and_then(|info| info.note.as_ref()).map(|note| visible(&note.text)).unwrap_or_default(),
            Self::Since => {
                let since = state.since.filter(|_| state.status().is_some());
                since.map(|since| clock_at(since, "%H:%M", now)).unwrap_or_default()
            }
            Self::Freshness => state.freshness.word().to_owned(),
            Self::Presentity => visible(&state.presentity),
            Self::Activities => {
                let activities = info.map(|info| info.activities.as_slice()).unwrap_or_default();
                visible(&activities.iter().map(Activity::words).collect::<Vec<_>>().join(", "))
            }
            Self::Text => state.status().and_then(|status| status.text()).map(visible).unwrap_or_default(),
            Self::Code => state.code().map(|code| code.to_string()).unwrap_or_default(),
            Self::Device => info.and_then(|info| info.device.as_deref()).map(visible).unwrap_or_default(),
            Self::Previous => match &state.previous {
                Some(previous) if previous.status == StatusWord::Custom => {
                    previous.text.as_deref().map(visible).unwrap_or_default()
                }
                Some(previous) => previous.status.to_string(),
                None => String::new(),
            },
            Self::Time => clock_at(at, "%H:%M:%S", now),
        }
    }
}

/// What a custom module of waybar reads (`return-type` `json`).
#[derive(Serialize)]
struct Waybar {
    text: String,
    alt: &'static str,
    tooltip: String,
    /// The status and how sure it is, each for a rule of the style sheet.
    class: [&'static str; 2],
}

impl Waybar {
    fn of(state: &PresentityState, now: &Zoned) -> Self {
        let name = shown_name(state);
        let since = state.since.filter(|_| state.status().is_some());
        let since = since.map(|since| format!("since {}", clock_at(since, "%H:%M", now)));
        let lines =
            [Some(format!("{name}: {}", visible(&state.headline()))), since, why(state).map(|why| visible(&why))];
        let tooltip: Vec<String> = lines.into_iter().flatten().collect();
        Self {
            text: pango(&format!("{} {name}", symbol(state))),
            alt: state.status_word(),
            tooltip: pango(&tooltip.join("\n")),
            class: [state.status_word(), state.freshness.word()],
        }
    }

    fn to_json(&self) -> String {
        serde_json::to_string(self).expect("it has string keys and strings only")
    }
}

/// Escapes what would be markup to Pango.
fn pango(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\'' => out.push_str("&#39;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests;
