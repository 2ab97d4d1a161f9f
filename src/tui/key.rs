//! A key as it is pressed, and as people write it: `q`, `ctrl-z`, `pageup`, `space`.

use std::{
    fmt::{self, Write as _},
    str::FromStr,
};

/// Which key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// One that writes something; shift is in it.
    Char(char),
    /// A function key.
    F(u8),
    /// One that has a name.
    Named(Name),
}

macro_rules! names {
    ($($variant:ident $word:literal)*) => {
        /// A key that has a name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Name {
            $(#[doc = concat!("`", $word, "`.")] $variant,)*
        }

        const NAMES: &[(&str, Name)] = &[$(($word, Name::$variant),)*];
    };
}

names! {
    Enter "enter"
    Esc "esc"
    Tab "tab"
    BackTab "backtab"
    Backspace "backspace"
    Delete "delete"
    Insert "insert"
    Up "up"
    Down "down"
    Left "left"
    Right "right"
    PageUp "pageup"
    PageDown "pagedown"
    Home "home"
    End "end"
}

/// A key with what is held beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// The key itself.
    pub code: Code,
    /// Whether control is held.
    pub ctrl: bool,
    /// Whether alt is held.
    pub alt: bool,
}

impl Key {
    /// Makes a key with nothing held.
    pub fn plain(code: Code) -> Self {
        Self { code, ctrl: false, alt: false }
    }

    /// Makes a key that writes something.
    pub fn char(c: char) -> Self {
        Self::plain(Code::Char(c))
    }

    /// Makes a key that has a name.
    pub fn named(name: Name) -> Self {
        Self::plain(Code::Named(name))
    }

    /// Returns what the key writes, if it does.
    pub fn text(self) -> Option<char> {
        match self.code {
            Code::Char(c) if !self.ctrl && !self.alt => Some(c),
            _ => None,
        }
    }
}

/// The text is no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no key: write a letter or a sign, f1 to f12, space, enter, esc, tab, up, pageup …, with ctrl- or alt- before it"
)]
pub struct KeyError(pub String);

impl FromStr for Key {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let (mut ctrl, mut alt, mut rest) = (false, false, text);
        loop {
            if let Some(behind) = rest.strip_prefix("ctrl-").filter(|behind| !behind.is_empty()) {
                (ctrl, rest) = (true, behind);
            } else if let Some(behind) = rest.strip_prefix("alt-").filter(|behind| !behind.is_empty()) {
                (alt, rest) = (true, behind);
            } else {
                break;
            }
        }
        let code = read(rest).ok_or_else(|| KeyError(text.to_owned()))?;
        Ok(Self { code, ctrl, alt })
    }
}

fn read(word: &str) -> Option<Code> {
    let mut chars = word.chars();
    if let (Some(c), None) = (chars.next(), chars.next()) {
        return (!c.is_control() && !c.is_whitespace()).then_some(Code::Char(c));
    }
    if word == "space" {
        return Some(Code::Char(' '));
    }
    let number = word.strip_prefix('f').and_then(|number| number.parse().ok()).filter(|n| (1..=12).contains(n));
    number.map(Code::F).or_else(|| NAMES.iter().find(|(name, _)| *name == word).map(|(_, name)| Code::Named(*name)))
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = [(self.ctrl, "ctrl-"), (self.alt, "alt-")];
        let mut text: String = held.iter().filter(|(is, _)| *is).map(|(_, word)| *word).collect();
        match self.code {
            Code::Char(' ') => text.push_str("space"),
            Code::Char(c) => text.push(c),
            Code::F(number) => {
                let _ = write!(text, "f{number}");
            }
            Code::Named(name) => {
                text.push_str(NAMES.iter().find(|(_, own)| *own == name).map_or("", |(word, _)| word));
            }
        }
        f.pad(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_written_as_it_is_read() {
        for text in ["q", "?", "-", "ctrl-z", "alt-ctrl-x", "f12", "space", "pageup", "ctrl--", "ä"] {
            let key: Key = text.parse().unwrap();
            assert_eq!(key.to_string().parse(), Ok(key), "{text}");
        }
        assert_eq!("ctrl-z".parse::<Key>().unwrap().to_string(), "ctrl-z");
        for text in ["", "xx", "f13", "ctrl-", "hyper-x", " "] {
            assert!(text.parse::<Key>().is_err(), "{text:?}");
        }
    }
}
