//! The keys: one table for what they do, the footer, the help and `docs/tui.md`; a configuration may bind others.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
};

use super::key::{Key, KeyError};
use crate::client::{did_you_mean, most_like};

/// Where a key means what it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Context {
    /// Wherever one is.
    Everywhere,
    /// On the list, the wallboard, the log and the trace.
    Screen,
    /// In a window over it.
    Window,
    /// In the window of those who watch me.
    Watchers,
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Where the keys mean it.
    pub context: Context,
    /// What they do.
    pub action: Action,
    /// What a configuration calls it.
    pub name: &'static str,
    /// The keys, with blanks between them.
    pub keys: &'static str,
    /// A word for the footer; empty if it does not stand there.
    pub short: &'static str,
    /// What it does, in a line.
    pub help: &'static str,
}

macro_rules! actions {
    ($($context:ident { $($action:ident $name:literal $keys:literal $short:literal $help:literal)* })*) => {
        /// What a key can do.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Action {
            $($(#[doc = concat!("To ", $help, ".")] $action,)*)*
        }

        /// The table.
        pub const TABLE: &[Entry] = &[$($(Entry {
            context: Context::$context,
            action: Action::$action,
            name: $name,
            keys: $keys,
            short: $short,
            help: $help,
        },)*)*];
    };
}

actions! {
    Screen {
        Help "help" "? f1" "help" "show all keys"
        Quit "quit" "q" "quit" "leave; the agent goes on"
        Status "status" "s" "status" "set my status"
        Note "note" "n" "" "write the note of my status"
        HowLong "how-long" "f" "" "say for how long my status holds"
        Watchers "watchers" "p" "watchers" "see who watches me, and who waits for approval"
        Filter "filter" "/" "filter" "filter the list as I type"
        Command "command" ":" "command" "give a command in the words of the command line"
        Undo "undo" "u" "" "take the last change of my status or the list back"
        Up "up" "up k" "" "go one line up"
        Down "down" "down j" "" "go one line down"
        PageUp "page-up" "pageup ctrl-b" "" "go one page up"
        PageDown "page-down" "pagedown ctrl-f" "" "go one page down"
        Top "top" "home g" "" "go to the top"
        Bottom "bottom" "end G" "" "go to the bottom"
        Fold "fold" "left" "" "fold the group, or go to the group before on the wallboard"
        Unfold "unfold" "right" "" "unfold the group, or go to the next one on the wallboard"
        Toggle "toggle" "space" "" "fold or unfold the group"
        Detail "detail" "enter" "detail" "show everything about somebody, or the list alone"
        Document "document" "D" "" "fetch the document of a buddy as it comes"
        Sort "sort" "o" "sort" "sort by group, status, name, last change"
        HideOffline "hide-offline" "h" "" "hide those who are offline, or show them"
        Compact "compact" "c" "" "show names only, in columns"
        Add "add" "a" "add" "add a buddy"
        Edit "edit" "e" "" "edit a buddy"
        Remove "remove" "d delete" "" "remove a buddy"
        Groups "groups" "m" "" "put a buddy into groups or take one out"
        Mark "mark" "*" "" "have the bell ring when a buddy becomes available"
        Wallboard "wallboard" "w" "wall" "show a group in big tiles"
        Log "log" "l" "log" "show what changed"
        Trace "trace" "t" "" "show the SIP messages of the agent"
        Refresh "refresh" "r" "" "read the buddy list again"
        Back "back" "esc" "" "go back: close, clear the filter, show the list"
    }
    Window {
        Accept "accept" "enter" "" "do it"
        Close "close" "esc" "" "close without a change"
        Next "next" "tab" "" "go to the next field"
        Previous "previous" "backtab" "" "go to the field before"
        FieldUp "field-up" "up" "" "go one line up"
        FieldDown "field-down" "down" "" "go one line down"
        FieldPageUp "field-page-up" "pageup" "" "go one page up"
        FieldPageDown "field-page-down" "pagedown" "" "go one page down"
        Less "less" "left" "" "choose what stands to the left"
        More "more" "right" "" "choose what stands to the right"
        Switch "switch" "space" "" "turn a choice on or off"
    }
    Watchers {
        Allow "allow" "a" "allow" "let them see me"
        PoliteBlock "polite-block" "p" "block politely" "show them an offline me"
        Block "block" "b" "block" "refuse them"
    }
    Everywhere {
        Suspend "suspend" "ctrl-z" "" "suspend; `fg` comes back"
        Redraw "redraw" "ctrl-l" "" "draw the screen anew"
        Leave "leave" "ctrl-c" "" "leave at once"
    }
}

/// Why bindings are of no use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeymapError {
    /// There is no such action.
    #[error("there is no action {name:?}{}", did_you_mean(nearest(name)))]
    Action {
        /// As it was written.
        name: String,
    },
    /// A key is none.
    #[error("{action}: {error}")]
    Key {
        /// The action it was for.
        action: String,
        /// What is wrong.
        error: KeyError,
    },
    /// A key would mean two things.
    #[error("the key {key} is to mean {first:?} and {second:?}: bind one of them to another key")]
    Taken {
        /// The key.
        key: Key,
        /// What it means already.
        first: String,
        /// What it is to mean as well.
        second: String,
    },
    /// Nothing would lead out.
    #[error("no key is left for {0:?}: give it one")]
    Missing(&'static str),
}

fn nearest(word: &str) -> Option<&'static str> {
    most_like(word, TABLE.iter().map(|entry| entry.name))
}

/// Which keys do what.
#[derive(Clone, Debug)]
pub struct Keymap {
    by_key: HashMap<(Context, Key), Action>,
    /// In the order in which they were written.
    by_action: Vec<Vec<Key>>,
}

impl Default for Keymap {
    fn default() -> Self {
        Self::new(&BTreeMap::new()).unwrap_or_else(|_| Self { by_key: HashMap::new(), by_action: Vec::new() })
    }
}

impl Keymap {
    /// Makes the map of the table, with other keys for the actions that `bindings` names: `"status" → "S f2"`; no key
    /// at all takes it away.
    pub fn new(bindings: &BTreeMap<String, String>) -> Result<Self, KeymapError> {
        if let Some(name) = bindings.keys().find(|name| TABLE.iter().all(|entry| entry.name != **name)) {
            return Err(KeymapError::Action { name: name.clone() });
        }
        let mut map = Self { by_key: HashMap::new(), by_action: Vec::with_capacity(TABLE.len()) };
        let mut names = HashMap::new();
        for entry in TABLE {
            let bound = bindings.get(entry.name).map_or(entry.keys, String::as_str);
            let keys = bound.split_whitespace().map(str::parse).collect::<Result<Vec<Key>, _>>();
            let keys = keys.map_err(|error| KeymapError::Key { action: entry.name.to_owned(), error })?;
            for key in &keys {
                if let Some(first) = names.insert((entry.context, *key), entry.name) {
                    let (first, second) = (first.to_owned(), entry.name.to_owned());
                    return Err(KeymapError::Taken { key: *key, first, second });
                }
                map.by_key.insert((entry.context, *key), entry.action);
            }
            if keys.is_empty() && matches!(entry.action, Action::Quit | Action::Close | Action::Accept) {
                return Err(KeymapError::Missing(entry.name));
            }
            map.by_action.push(keys);
        }
        Ok(map)
    }

    /// Returns what a key does there, or everywhere.
    pub fn action(&self, context: Context, key: Key) -> Option<Action> {
        let at = |context| self.by_key.get(&(context, key)).copied();
        at(context).or_else(|| at(Context::Everywhere))
    }

    /// Returns the keys of an action as people read them: `up k`.
    pub fn keys(&self, action: Action) -> String {
        let place = TABLE.iter().position(|entry| entry.action == action);
        let keys = place.and_then(|place| self.by_action.get(place)).map(Vec::as_slice).unwrap_or_default();
        keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    }

    /// Returns the first key of an action; nothing if it has none.
    pub fn key(&self, action: Action) -> String {
        self.keys(action).split(' ').next().unwrap_or_default().to_owned()
    }

    /// Returns the rows of a context with their keys, without those that have none.
    pub fn rows(&self, context: Context) -> impl Iterator<Item = (&'static Entry, String)> {
        let rows = TABLE.iter().filter(move |entry| entry.context == context);
        rows.map(|entry| (entry, self.keys(entry.action))).filter(|(_, keys)| !keys.is_empty())
    }
}

impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Everywhere => "Everywhere",
            Self::Screen => "On the list, wallboard, log and trace",
            Self::Window => "In a window",
            Self::Watchers => "On somebody who watches me",
        })
    }
}

/// The contexts in the order of help.
pub const CONTEXTS: [Context; 4] = [Context::Screen, Context::Watchers, Context::Window, Context::Everywhere];

/// Returns the keys as they stand in `docs/tui.md`.
pub fn markdown() -> String {
    use fmt::Write as _;
    let keymap = Keymap::default();
    let mut text = String::new();
    for context in CONTEXTS {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "\n### {context}\n\n| keys | name | to |\n|---|---|---|");
        for (entry, keys) in keymap.rows(context) {
            let keys: Vec<String> = keys.split(' ').map(|key| format!("`{key}`")).collect();
            let _ = writeln!(text, "| {} | `{}` | {} |", keys.join(" "), entry.name, entry.help);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(bindings: &[(&str, &str)]) -> Result<Keymap, String> {
        let bindings = bindings.iter().map(|(action, key)| ((*action).to_owned(), (*key).to_owned())).collect();
        Keymap::new(&bindings).map_err(|error| error.to_string())
    }

    #[test]
    fn the_table_is_free_of_clashes_and_leads_from_keys_to_actions() {
        let keymap = bound(&[]).unwrap();
        let at = |context, key: &str| keymap.action(context, key.parse().unwrap());
        assert_eq!(at(Context::Screen, "q"), Some(Action::Quit));
        assert_eq!(at(Context::Screen, "G"), Some(Action::Bottom));
        assert_eq!(at(Context::Watchers, "a"), Some(Action::Allow));
        assert_eq!(at(Context::Screen, "a"), Some(Action::Add));
        assert_eq!(at(Context::Window, "ctrl-z"), Some(Action::Suspend));
        assert_eq!(at(Context::Window, "x"), None);
        assert_eq!(keymap.keys(Action::Up), "up k");
    }

    #[test]
    fn an_action_can_have_other_keys_and_none_at_all() {
        let keymap = bound(&[("status", "S f2"), ("trace", "")]).unwrap();
        assert_eq!(keymap.action(Context::Screen, "S".parse().unwrap()), Some(Action::Status));
        assert_eq!(keymap.action(Context::Screen, "s".parse().unwrap()), None);
        assert_eq!(keymap.action(Context::Screen, "t".parse().unwrap()), None);
        assert_eq!(keymap.key(Action::Status), "S");
    }

    #[test]
    fn bindings_that_are_of_no_use_are_told_with_the_way_out() {
        for (binding, words) in [
            (("quitt", "x"), "there is no action \"quitt\": did you mean `quit`?"),
            (("quit", "hyper-x"), "quit: \"hyper-x\" is no key"),
            (("quit", "s"), "the key s is to mean \"quit\" and \"status\": bind one of them to another key"),
            (("quit", ""), "no key is left for \"quit\": give it one"),
        ] {
            let error = bound(&[binding]).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn the_documentation_has_the_keys_of_the_table() {
        let docs = include_str!("../../docs/tui.md");
        let written = docs.split("<!-- keys -->").nth(1).unwrap_or_default();
        assert_eq!(written.trim(), markdown().trim(), "put this between the two marks of docs/tui.md");
    }
}
