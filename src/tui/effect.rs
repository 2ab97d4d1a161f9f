//! What comes in, and what is to be done outside: messages and commands of the pure part.

use std::fmt;

use jiff::Zoned;

use super::{key::Key, model::Link};
use crate::{
    client::{Activity, Buddy, Layer, LayerKind, Line, StatusWord, Traced, shown},
    control::Request,
};

/// Something happened.
#[derive(Clone, Debug)]
pub enum Msg {
    /// It is that late.
    Tick(Zoned),
    /// A key was pressed.
    Key(Key),
    /// Text was pasted.
    Paste(String),
    /// The mouse did something.
    Mouse(Mouse),
    /// The screen has so many columns and lines.
    Resize(u16, u16),
    /// How we stand with the agent.
    Link(Link),
    /// What the agent told.
    Lines(Vec<Line>),
    /// What it sent and received.
    Traced(Box<Traced>),
    /// Something that was asked for is done, or not.
    Done(Done),
}

/// What the mouse did, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mouse {
    /// What.
    pub what: Button,
    /// The column.
    pub column: u16,
    /// The line.
    pub row: u16,
}

/// What a mouse can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Button {
    /// The left button went down.
    Click,
    /// The wheel turned up.
    WheelUp,
    /// The wheel turned down.
    WheelDown,
}

/// How something that was asked for ended.
#[derive(Clone, Debug, Default)]
pub struct Done {
    /// What to say of it, safe to print; nothing if it shows by itself.
    pub words: String,
    /// Whether it went wrong.
    pub failed: bool,
    /// How to take it back.
    pub undo: Option<Undo>,
    /// A document that was fetched: from which address, and as it came.
    pub document: Option<(String, String)>,
}

/// Something to be done outside.
#[derive(Clone, Debug, PartialEq)]
pub enum Cmd {
    /// Leave.
    Quit,
    /// Stop until the shell goes on with us.
    Suspend,
    /// Draw everything anew.
    Redraw,
    /// Ring the bell, and tell the desktop why if it is to be told.
    Ring(String),
    /// Ask the agent.
    Ask(Order),
    /// Change the buddy list.
    Edit(Edit),
    /// Fetch the document at an address as it comes.
    Fetch(String),
    /// Begin or end to follow SIP messages.
    Trace(bool),
}

/// What to ask of the agent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Order {
    /// For which account, if not the one of this session.
    pub account: Option<String>,
    /// One after the other, until one is refused.
    pub requests: Vec<Request>,
    /// What to say when it is done, safe to print; else what the agent says.
    pub words: Option<String>,
    /// How to take it back then.
    pub undo: Option<Undo>,
    /// What this takes back, which can be tried again if it fails.
    pub again: Option<Undo>,
}

/// What to change of the buddy list.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Edit {
    /// One after the other; all or none.
    pub changes: Vec<Change>,
    /// What to say when it is done, safe to print.
    pub words: String,
    /// Whether it can be taken back then.
    pub undo: bool,
    /// What this takes back, which can be tried again if it fails.
    pub again: Option<Undo>,
}

/// A change of the buddy list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Somebody new.
    Add(Buddy),
    /// Somebody less.
    Remove(Buddy),
    /// Somebody is another.
    Replace {
        /// As the list has it.
        before: Buddy,
        /// As it is to have it.
        after: Buddy,
    },
}

impl Change {
    /// Returns what takes it back.
    #[must_use]
    pub fn reversed(self) -> Self {
        match self {
            Self::Add(buddy) => Self::Remove(buddy),
            Self::Remove(buddy) => Self::Add(buddy),
            Self::Replace { before, after } => Self::Replace { before: after, after: before },
        }
    }
}

/// How to take something back.
#[derive(Clone, Debug, PartialEq)]
pub struct Undo {
    /// What is taken back, safe to print.
    pub words: String,
    /// What is to be done.
    pub what: Taken,
}

/// What takes something back.
#[derive(Clone, Debug, PartialEq)]
pub enum Taken {
    /// My status is set again as it was.
    Status {
        /// By these.
        requests: Vec<Request>,
        /// For which account.
        account: Option<String>,
    },
    /// The list is changed again.
    List(Vec<Change>),
}

impl Undo {
    /// Returns how to come back to the status of a `publication` line; a hold of a command cannot be had again.
    pub fn of_status(line: &Line, account: Option<String>) -> Self {
        let mut requests = Vec::new();
        let mut layers: Vec<&Layer> = line.layers.iter().filter(|layer| layer.lasts != LayerKind::While).collect();
        layers.reverse();
        if layers.first().is_none_or(|layer| layer.lasts != LayerKind::Base) {
            requests.push(Request::Clear {});
        }
        let top = line.layers.first();
        requests.extend(layers.into_iter().map(|layer| {
            let activities = top.filter(|top| *top == layer).map(|_| line.activities.as_slice());
            set(layer, activities.unwrap_or_default())
        }));
        let words = format!("your status is again: {}", top.map_or_else(|| "offline".to_owned(), shown::layer_words));
        Self { words, what: Taken::Status { requests, account } }
    }
}

fn set(layer: &Layer, activities: &[Activity]) -> Request {
    let text = layer.text.as_deref().unwrap_or_default();
    let status = if layer.status == StatusWord::Custom { format!("custom:{text}") } else { layer.status.to_string() };
    Request::Set {
        status,
        note: layer.note.clone(),
        activities: activities.iter().map(|activity| activity.name().to_owned()).collect(),
        sphere: None,
        length: None,
        until: layer.until.map(|until| until.to_string()),
        held: false,
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, buddy) = match self {
            Self::Add(buddy) => ("added", buddy),
            Self::Remove(buddy) => ("removed", buddy),
            Self::Replace { after, .. } => ("changed", after),
        };
        write!(f, "{word} {}", shown::address(&buddy.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{client::PresenceStatus, tui::testing};

    #[test]
    fn a_status_is_taken_back_from_its_base_up() {
        let layer = |lasts, status, until: Option<&str>| Layer {
            lasts,
            status: StatusWord::of(Some(&status)),
            text: status.text().map(str::to_owned),
            note: None,
            until: until.map(|until| until.parse().unwrap()),
        };
        let mut line = testing::change("me@h", "busy", "");
        line.layers = vec![
            layer(LayerKind::While, PresenceStatus::DoNotDisturb, None),
            layer(LayerKind::For, PresenceStatus::Busy, Some("2026-10-19T13:00:00Z")),
            layer(LayerKind::Base, PresenceStatus::Custom("at work".into()), None),
        ];
        let Taken::Status { requests, .. } = Undo::of_status(&line, None).what else { panic!("a status") };
        let words: Vec<String> = requests.iter().map(|request| serde_json::to_string(request).unwrap()).collect();
        assert_eq!(
            words,
            [
                r#"{"cmd":"set","status":"custom:at work"}"#,
                r#"{"cmd":"set","status":"busy","until":"2026-10-19T13:00:00Z"}"#
            ]
        );
        line.layers.clear();
        let Taken::Status { requests, .. } = Undo::of_status(&line, None).what else { panic!("a status") };
        assert_eq!(requests, [Request::Clear {}]);
    }
}
