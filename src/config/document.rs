//! A TOML file read key by key: every key that is asked for is known, every other one is an error with its place.
//!
//! Key names stand once, where they are read; the list of known keys and the suggestions come from there.

use std::{cell::RefCell, collections::BTreeMap, ops::Range, path::Path};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::error::ConfigError;

/// The text of a file, and the keys that its reader knows.
pub(super) struct Source<'d> {
    path: &'d Path,
    text: &'d str,
    known: RefCell<Vec<String>>,
}

/// One table of the file, or an empty one where the file has none.
pub(super) struct Section<'d> {
    source: &'d Source<'d>,
    name: String,
    entries: Vec<(&'d str, Range<usize>, &'d Spanned<DeValue<'d>>)>,
    known: Vec<&'static str>,
    /// Where it begins, to be blamed while it has no entry.
    start: Range<usize>,
}

impl<'d> Source<'d> {
    pub(super) fn new(path: &'d Path, text: &'d str) -> Self {
        Self { path, text, known: RefCell::default() }
    }

    /// Parses the text; an error names the first place that is wrong.
    pub(super) fn parse(&self) -> Result<DeTable<'d>, ConfigError> {
        DeTable::parse(self.text).map(Spanned::into_inner).map_err(|error| {
            let (line, column) = self.place(error.span().map_or(self.text.len(), |span| span.start));
            let message = error.message().trim().replace('\n', ", ");
            ConfigError::Syntax { path: self.path.into(), line, column, message }
        })
    }

    /// Returns every key that was asked for so far, with its sections.
    pub(super) fn into_known(self) -> Vec<String> {
        self.known.into_inner()
    }

    /// Returns line and column of a byte offset, both from 1, the column in characters.
    fn place(&self, offset: usize) -> (usize, usize) {
        let before = self.text.get(..offset.min(self.text.len())).unwrap_or(self.text);
        let line = before.rsplit('\n').next().unwrap_or_default();
        (before.matches('\n').count() + 1, line.chars().count() + 1)
    }
}

impl<'d> Section<'d> {
    /// Opens the whole document.
    pub(super) fn root(source: &'d Source<'d>, table: &'d DeTable<'d>) -> Self {
        Self::new(source, String::new(), Some(table))
    }

    fn new(source: &'d Source<'d>, name: String, table: Option<&'d DeTable<'d>>) -> Self {
        let mut entries: Vec<_> =
            table.into_iter().flatten().map(|(key, value)| (key.get_ref().as_ref(), key.span(), value)).collect();
        entries.sort_by_key(|(_, span, _)| span.start);
        Self { source, name, entries, known: Vec::new(), start: 0..0 }
    }

    /// Reads `key` into `slot`, which keeps its default if the file does not have it.
    ///
    /// `parse` answers in words what would be right.
    pub(super) fn read<T, E: ToString>(
        &mut self,
        key: &'static str,
        slot: &mut T,
        parse: impl FnOnce(&DeValue<'d>) -> Result<T, E>,
    ) -> Result<(), ConfigError> {
        let Some(value) = self.find(key) else { return Ok(()) };
        *slot = parse(value.get_ref()).map_err(|error| self.bad_value(key, value.span(), error.to_string()))?;
        Ok(())
    }

    /// Says whether the file has `key`.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|(name, ..)| *name == key)
    }

    /// Opens the table `key`.
    pub(super) fn section(&mut self, key: &'static str) -> Result<Self, ConfigError> {
        let Some(value) = self.find(key) else { return Ok(Self::new(self.source, self.path_of(key), None)) };
        let Some(table) = value.get_ref().as_table() else {
            let message = format!("write it as a section, [{}]", self.path_of(key));
            return Err(self.bad_value(key, value.span(), message));
        };
        Ok(Self::new(self.source, self.path_of(key), Some(table)))
    }

    /// Opens each table in this one, whose keys are names of the user's own.
    pub(super) fn sections(mut self) -> Result<Vec<(&'d str, Self)>, ConfigError> {
        let entries = std::mem::take(&mut self.entries);
        let open = |(name, span, value): (&'d str, Range<usize>, &'d Spanned<DeValue<'d>>)| {
            let Some(table) = value.get_ref().as_table() else {
                let message = format!("write it as a section with a name of your choice, [{}.work]", self.name);
                return Err(self.bad_value(name, span, message));
            };
            Ok((name, Self::new(self.source, self.path_of(name), Some(table))))
        };
        entries.into_iter().map(open).collect()
    }

    /// Reads a table of texts whose keys are names that are checked elsewhere.
    pub(super) fn texts(self) -> Result<BTreeMap<String, String>, ConfigError> {
        let read = |(name, _, value): &(&str, Range<usize>, &'d Spanned<DeValue<'d>>)| {
            let text = text(value.get_ref()).map_err(|error| self.bad_value(name, value.span(), error))?;
            Ok(((*name).to_owned(), text.to_owned()))
        };
        self.entries.iter().map(read).collect()
    }

    /// Opens each table of the list `key`, which is written as `[[key]]`.
    pub(super) fn tables(&mut self, key: &'static str) -> Result<Vec<Self>, ConfigError> {
        let Some(value) = self.find(key) else { return Ok(Vec::new()) };
        let wrong = |span| self.bad_value(key, span, format!("write each one as a section, [[{key}]]"));
        let Some(items) = value.get_ref().as_array() else { return Err(wrong(value.span())) };
        let open = |item: &'d Spanned<DeValue<'d>>| {
            let table = item.get_ref().as_table().ok_or_else(|| wrong(item.span()))?;
            Ok(Self { start: item.span(), ..Self::new(self.source, self.path_of(key), Some(table)) })
        };
        items.iter().map(open).collect()
    }

    /// Blames the value of `key`, or the section if the key is missing.
    pub(super) fn blame(&self, key: &str, message: impl Into<String>) -> ConfigError {
        let entry = self.entries.iter().find(|(name, ..)| *name == key);
        let first = self.entries.first().map_or_else(|| self.start.clone(), |(_, span, _)| span.clone());
        self.bad_value(key, entry.map_or(first, |(_, _, value)| value.span()), message.into())
    }

    /// Refuses the first key that nobody asked for, and says which one may have been meant.
    pub(super) fn finish(&self, everywhere: &[String]) -> Result<(), ConfigError> {
        let Some((name, span, _)) = self.entries.iter().find(|(name, ..)| !self.known.contains(name)) else {
            return Ok(());
        };
        let (line, column) = self.source.place(span.start);
        let hint = self.hint(name, everywhere);
        Err(ConfigError::UnknownKey { path: self.source.path.into(), line, column, key: self.path_of(name), hint })
    }

    fn hint(&self, name: &str, everywhere: &[String]) -> String {
        if matches!(name, "password" | "secret" | "ha1") {
            return ": a password does not stand in this file, use `password_command` or `password_file`".into();
        }
        let here = self.known.iter().map(|key| (strsim::osa_distance(name, key), self.path_of(key)));
        let near = here.filter(|(distance, key)| *distance <= 1 + name.len().min(key.len()) / 4).min();
        let last = |key: &str| key.rsplit('.').next().is_some_and(|last| last == name);
        let elsewhere = || everywhere.iter().find(|key| last(key)).cloned();
        match near.map(|(_, key)| key).or_else(elsewhere) {
            Some(key) => format!(", did you mean `{key}`?"),
            None if self.known.is_empty() => String::new(),
            None => format!(", known here are {}", self.known.join(", ")),
        }
    }

    fn find(&mut self, key: &'static str) -> Option<&'d Spanned<DeValue<'d>>> {
        self.known.push(key);
        self.source.known.borrow_mut().push(self.path_of(key));
        self.entries.iter().find(|(name, ..)| *name == key).map(|(.., value)| *value)
    }

    fn path_of(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
    }

    fn bad_value(&self, key: &str, span: Range<usize>, message: String) -> ConfigError {
        let (line, column) = self.source.place(span.start);
        ConfigError::BadValue { path: self.source.path.into(), line, column, key: self.path_of(key), message }
    }
}

/// Reads a text.
pub(super) fn text<'v>(value: &'v DeValue<'_>) -> Result<&'v str, String> {
    value.as_str().ok_or_else(|| format!("write a text in quotes, not {}", a(value)))
}

/// Reads `true` or `false`.
pub(super) fn flag(value: &DeValue<'_>) -> Result<bool, String> {
    value.as_bool().ok_or_else(|| format!("write true or false, not {}", a(value)))
}

/// Reads a whole number between `least` and `most`.
pub(super) fn number(value: &DeValue<'_>, least: u32, most: u32) -> Result<u32, String> {
    let wrong = || format!("write a whole number from {least} to {most}, not {}", a(value));
    let number = value.as_integer().ok_or_else(wrong)?;
    let number = u32::from_str_radix(number.as_str(), number.radix()).ok();
    number.filter(|number| (least..=most).contains(number)).ok_or_else(wrong)
}

/// Reads a list of texts, each by `parse`.
pub(super) fn list<T>(value: &DeValue<'_>, parse: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
    let items = value.as_array().ok_or_else(|| format!("write a list of texts, [\"…\", \"…\"], not {}", a(value)))?;
    items.iter().map(|item| text(item.get_ref()).and_then(&parse)).collect()
}

/// Names a value as a message does: what was written if it is short, else its type.
pub(super) fn a(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) if text.len() <= 40 => format!("{text:?}"),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::String(_) => "this text".into(),
        DeValue::Datetime(_) => "a date".into(),
        DeValue::Array(_) => "a list".into(),
        DeValue::Table(_) => "a section".into(),
    }
}
