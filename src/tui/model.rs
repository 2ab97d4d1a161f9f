//! Everything that the screen is drawn from; changed by [`update`](super::update::update) alone.

mod cursor;

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp, Zoned};

use super::{
    effect::{Msg, Undo},
    forms::{BuddyForm, GroupsForm, StatusForm},
    input::Input,
    keymap::Keymap,
    people::{People, Person, Turn, Watched},
    rows::{Row, Rows, Wish},
};
use crate::client::{Buddy, Layer, Line, WatcherInfo};

/// How many changes the log keeps.
const LOG: usize = 2000;
/// How many lines of SIP messages are kept.
const TRACE: usize = 5000;
/// How many steps can be undone.
const UNDO: usize = 50;
/// How long a notice stands.
const NOTICE: SignedDuration = SignedDuration::from_secs(8);

/// What the screen shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Screen {
    #[default]
    List,
    Wallboard,
    Log,
    Trace,
}

/// What keys are for now.
#[derive(Clone, Debug, Default)]
pub(super) enum Mode {
    #[default]
    Browse,
    Filter(Input),
    Command(Input),
    Help {
        scroll: usize,
    },
    Status(StatusForm),
    Watchers {
        selected: usize,
    },
    Buddy(BuddyForm),
    Groups(GroupsForm),
    Remove(Buddy),
}

/// How we stand with the agent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Link {
    /// No word yet.
    #[default]
    Trying,
    /// It tells everything as it comes.
    Up,
    /// It is not to be had, and why; tried again and again.
    Lost(String),
}

/// What I publish with one account.
#[derive(Clone, Debug)]
pub(super) struct Mine {
    /// Its name, where there are several.
    pub(super) account: Option<String>,
    /// Its newest `publication` line.
    pub(super) line: Line,
}

/// Somebody who watches me with one account.
#[derive(Clone, Debug)]
pub(super) struct MyWatcher {
    pub(super) account: Option<String>,
    pub(super) info: WatcherInfo,
}

impl MyWatcher {
    /// Returns whether the watcher waits for my approval.
    pub(super) fn waits(&self) -> bool {
        self.info.waits()
    }
}

/// A line of the log.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// Safe to print.
    pub(super) name: String,
    pub(super) turn: Turn,
}

/// Words at the foot of the screen, for a while.
#[derive(Clone, Debug)]
pub(super) struct Notice {
    pub(super) words: String,
    pub(super) bad: bool,
    until: Timestamp,
}

/// What the rows lack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Lack {
    #[default]
    Nothing,
    Counts,
    Everything,
}

/// Everything that the screen is drawn from.
#[derive(Clone, Debug)]
pub struct Model {
    pub(super) keymap: Keymap,
    pub(super) now: Zoned,
    pub(super) width: u16,
    pub(super) height: u16,
    pub(super) link: Link,
    /// The agent told everything once.
    pub(super) ready: bool,
    pub(super) people: People,
    /// The account that comes first, if one was named.
    pub(super) account: Option<String>,
    pub(super) me: Vec<Mine>,
    pub(super) watchers: Vec<MyWatcher>,
    pub(super) screen: Screen,
    pub(super) mode: Mode,
    pub(super) wish: Wish,
    pub(super) compact: bool,
    /// Whether everything about somebody is shown; without a word on it where there is room.
    pub(super) detail: Option<bool>,
    pub(super) detail_scroll: usize,
    pub(super) rows: Rows,
    pub(super) cursor: usize,
    pub(super) offset: usize,
    /// On whom the cursor stands, while rows come and go.
    held: Option<(Option<String>, Option<Buddy>)>,
    lack: Lack,
    /// Which group the wallboard shows: 0 is everybody.
    pub(super) wall: usize,
    pub(super) log: VecDeque<Entry>,
    pub(super) trace: VecDeque<String>,
    pub(super) tracing: bool,
    /// How many lines of log or trace lie below the screen.
    pub(super) back: usize,
    pub(super) notice: Option<Notice>,
    pub(super) undo: Vec<Undo>,
    pub(super) clicked: Option<(Timestamp, u16, u16)>,
}

impl Model {
    /// Makes the model of an empty list on a screen of that size.
    pub fn new(keymap: Keymap, now: Zoned, width: u16, height: u16) -> Self {
        Self {
            keymap,
            now,
            width,
            height,
            link: Link::default(),
            ready: false,
            people: People::default(),
            account: None,
            me: Vec::new(),
            watchers: Vec::new(),
            screen: Screen::default(),
            mode: Mode::default(),
            wish: Wish::default(),
            compact: false,
            detail: None,
            detail_scroll: 0,
            rows: Rows::default(),
            cursor: 0,
            offset: 0,
            held: None,
            lack: Lack::default(),
            wall: 0,
            log: VecDeque::new(),
            trace: VecDeque::new(),
            tracing: false,
            back: 0,
            notice: None,
            undo: Vec::new(),
            clicked: None,
        }
    }

    /// Has an account come first: its status is the one that is shown above and set.
    pub fn prefer(&mut self, account: Option<String>) {
        self.account = account;
    }

    /// Returns in how long the screen is another without a message: give it [`Msg::Tick`] then.
    pub fn wake_in(&self) -> Option<SignedDuration> {
        let now = self.now.timestamp();
        let notice = self.notice.as_ref().map(|notice| notice.until.duration_since(now));
        let countdown = self.shown_layer().and_then(|layer| layer.until).map(|until| {
            let left = until.duration_since(now);
            // Near its end it counts seconds, before that minutes.
            let step = if left <= SignedDuration::from_mins(2) { 1 } else { 60 };
            SignedDuration::from_secs((left.as_secs() % step).max(1))
        });
        notice.into_iter().chain(countdown).filter(SignedDuration::is_positive).min()
    }

    /// Returns what I set and others see now.
    pub(super) fn shown_layer(&self) -> Option<&Layer> {
        self.me.first()?.line.layers.first()
    }

    /// Returns whom the cursor is on.
    pub(super) fn current(&self) -> Option<usize> {
        match self.rows.all.get(self.cursor)? {
            Row::Person { person, .. } => Some(*person),
            Row::Header(_) => None,
        }
    }

    /// Returns whom the cursor is on, with what is known.
    pub(super) fn current_person(&self) -> Option<(&Person, &Watched)> {
        let person = self.current()?;
        Some((self.people.list.get(person)?, self.people.of(person)?))
    }

    /// Returns how many wait for my approval.
    pub(super) fn waiting(&self) -> usize {
        self.watchers.iter().filter(|watcher| watcher.waits()).count()
    }

    /// Says something at the foot of the screen.
    pub(super) fn say(&mut self, words: impl Into<String>) {
        self.notice = Some(Notice { words: words.into(), bad: false, until: self.until() });
    }

    /// Says there what went wrong.
    pub(super) fn complain(&mut self, words: impl Into<String>) {
        self.notice = Some(Notice { words: words.into(), bad: true, until: self.until() });
    }

    fn until(&self) -> Timestamp {
        self.now.timestamp().checked_add(NOTICE).unwrap_or(Timestamp::MAX)
    }

    /// Lets go of a notice that stood long enough.
    pub(super) fn tick(&mut self, now: Zoned) {
        self.now = now;
        let over = |notice: &mut Notice| notice.until <= self.now.timestamp();
        self.notice.take_if(over);
    }

    /// Remembers a change of somebody.
    pub(super) fn remember(&mut self, turn: Turn) {
        let Some(person) = self.people.list.get(turn.person) else { return };
        if self.log.len() >= LOG {
            self.log.pop_front();
        }
        self.log.push_back(Entry { name: person.name.clone(), turn });
        // Who reads further up goes on reading the same.
        if self.screen == Screen::Log && self.back > 0 {
            self.back += 1;
        }
    }

    /// Remembers lines of SIP messages.
    pub(super) fn remember_trace<'a>(&mut self, lines: impl Iterator<Item = &'a str>) {
        for line in lines {
            if self.trace.len() >= TRACE {
                self.trace.pop_front();
            }
            self.trace.push_back(line.to_owned());
            if self.screen == Screen::Trace && self.back > 0 {
                self.back += 1;
            }
        }
    }

    /// Remembers how to take something back.
    pub(super) fn can_undo(&mut self, undo: Undo) {
        if self.undo.len() >= UNDO {
            self.undo.remove(0);
        }
        self.undo.push(undo);
    }
}

impl From<Link> for Msg {
    fn from(link: Link) -> Self {
        Self::Link(link)
    }
}
