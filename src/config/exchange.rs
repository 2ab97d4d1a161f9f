//! The buddy list as other programs write it: read leniently, written strictly.
//!
//! [`read`] takes in what it can and tells the rest with its lines, [`merge`] puts it into a list without changing
//! anything that the user wrote, [`write()`] is the way back. Each format has a module; what an address and a name must
//! be is decided in one place for all of them. Files are opened and replaced by the caller.

mod baresip;
mod clean;
mod csv;
mod json;
mod lines;
mod merge;
mod pjsua;
mod resource_lists;
#[cfg(test)]
mod tests;
mod vcard;

use std::{collections::BTreeMap, fmt, path::Path, str::FromStr};

pub use self::{
    merge::{Merged, Taken, merge},
    resource_lists::{Updated, update},
};
use super::buddies::MOST;
use crate::presence::buddy::{Buddies, Buddy};

/// The most bytes that are read.
pub const MAX_BYTES: usize = 64 * 1024 * 1024;

/// The most groups and aliases of all people together.
const MOST_WORDS: usize = 10 * MOST;

/// A format that lists of people come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// The file `contacts` of baresip.
    Baresip,
    /// vCard: versions 2.1, 3 (RFC 2426) and 4 (RFC 6350) are read, 4 is written.
    VCard,
    /// A table with a line of column names (RFC 4180).
    Csv,
    /// Resource lists in XML (RFC 4826).
    ResourceLists,
    /// Our own objects: an array of them, or one a line.
    Json,
    /// A configuration file of pjsua, which is only read.
    Pjsua,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Baresip, Self::VCard, Self::Csv, Self::ResourceLists, Self::Json, Self::Pjsua];

    /// Returns the word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Baresip => "baresip",
            Self::VCard => "vcard",
            Self::Csv => "csv",
            Self::ResourceLists => "xml",
            Self::Json => "json",
            Self::Pjsua => "pjsua",
        }
    }

    /// Tells it by the name of a file.
    pub fn of_name(path: &Path) -> Option<Self> {
        let lower = |part: Option<&std::ffi::OsStr>| part.and_then(|part| part.to_str()).map(str::to_ascii_lowercase);
        if lower(path.file_name()).as_deref() == Some("contacts") {
            return Some(Self::Baresip);
        }
        Some(match lower(path.extension())?.as_str() {
            "vcf" | "vcard" => Self::VCard,
            "csv" | "tsv" => Self::Csv,
            "xml" => Self::ResourceLists,
            "json" | "jsonl" | "ndjson" => Self::Json,
            "cfg" => Self::Pjsua,
            _ => return None,
        })
    }

    /// Tells it by what stands in a file.
    pub fn of_text(text: &[u8]) -> Option<Self> {
        let text = text.strip_prefix(BOM).unwrap_or(text).trim_ascii_start();
        if text.starts_with(b"<") && !baresip::is_contact(&String::from_utf8_lossy(lines::first(text)))
            || text.starts_with(&[0xff, 0xfe])
            || text.starts_with(&[0xfe, 0xff])
        {
            return Some(Self::ResourceLists);
        }
        if text.starts_with(b"[") || text.starts_with(b"{") {
            return Some(Self::Json);
        }
        if text.get(..11).is_some_and(|begin| begin.eq_ignore_ascii_case(b"BEGIN:VCARD")) {
            return Some(Self::VCard);
        }
        let mut said = lines::lines(text).map(|(_, line)| line.trim_ascii()).filter(|line| !line.is_empty());
        let line = String::from_utf8_lossy(said.find(|line| !line.starts_with(b"#"))?);
        if line.starts_with("--") {
            Some(Self::Pjsua)
        } else if csv::is_header(&line) {
            Some(Self::Csv)
        } else {
            baresip::is_contact(&line).then_some(Self::Baresip)
        }
    }

    /// Returns whether [`write()`] knows it.
    pub const fn writes(self) -> bool {
        !matches!(self, Self::Pjsua)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "vcf" => Ok(Self::VCard),
            "contacts" => Ok(Self::Baresip),
            "resource-lists" => Ok(Self::ResourceLists),
            word => Self::ALL
                .into_iter()
                .find(|format| format.word() == word)
                .ok_or_else(|| format!("{text:?} is no format: write {}", Self::ALL.map(Self::word).join(", "))),
        }
    }
}

/// What was found in a text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// The people, in the order of the text; their addresses and names are fit for a list.
    pub buddies: Vec<Buddy>,
    /// What should have been people and could not be read.
    pub broken: Vec<Broken>,
    /// How much was left out that is right and no person, by what it is, in words such as "cards without a SIP address".
    pub ignored: BTreeMap<&'static str, usize>,
}

/// A line or record that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct Broken {
    /// The line that it begins on, from 1.
    pub line: usize,
    /// What is wrong, in words that are safe to print.
    pub reason: String,
}

/// Why nothing at all was read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExchangeError {
    /// It has more bytes than [`MAX_BYTES`].
    #[error("it has more than 64 MiB: part it")]
    TooLarge,
    /// It names more people than a list has.
    #[error("it has more than {MOST} people, or too many groups: part it")]
    TooMany,
    /// It is text of another encoding, or no text.
    #[error("line {line} is not UTF-8: save it as UTF-8")]
    NotUtf8 {
        /// The line, from 1.
        line: usize,
    },
    /// It is of another format.
    #[error("it is no {0}: {1}")]
    Unlike(Format, String),
}

/// Reads people from a text.
///
/// # Errors
/// Only when nothing can be made of the whole; what is wrong with one person stands in [`Imported::broken`].
pub fn read(text: &[u8], format: Format) -> Result<Imported, ExchangeError> {
    if text.len() > MAX_BYTES {
        return Err(ExchangeError::TooLarge);
    }
    let mut found = Reading::default();
    let utf8 = || {
        let text = text.strip_prefix(BOM).unwrap_or(text);
        std::str::from_utf8(text).map_err(|error| {
            let before = text.get(..error.valid_up_to()).unwrap_or_default();
            ExchangeError::NotUtf8 { line: lines::count(before) + 1 }
        })
    };
    match format {
        Format::Baresip => baresip::read(utf8()?, &mut found),
        Format::VCard => vcard::read(text.strip_prefix(BOM).unwrap_or(text), &mut found),
        Format::Csv => csv::read(utf8()?, &mut found),
        Format::ResourceLists => resource_lists::read(text, &mut found),
        Format::Json => json::read(utf8()?, &mut found),
        Format::Pjsua => pjsua::read(utf8()?, &mut found),
    }?;
    Ok(found.imported)
}

/// Writes a list, in its order and with a line end behind the last line; `None` for a format that is only read.
pub fn write(list: &Buddies, format: Format) -> Option<String> {
    Some(match format {
        Format::Baresip => baresip::write(list),
        Format::VCard => vcard::write(list),
        Format::Csv => csv::write(list),
        Format::ResourceLists => resource_lists::write(list),
        Format::Json => json::write(list),
        Format::Pjsua => return None,
    })
}

/// What some programs put before UTF-8.
const BOM: &[u8] = b"\xef\xbb\xbf";

/// A text while it is read: no text takes more memory than a full list, so broken people count too.
#[derive(Default)]
struct Reading {
    imported: Imported,
    words: usize,
}

impl Reading {
    /// Takes somebody in as found on a line, once the address and the words are made fit; or tells why not.
    fn take(&mut self, line: usize, found: Buddy) -> Result<(), ExchangeError> {
        match clean::buddy(found) {
            Ok(buddy) => {
                self.words += buddy.aliases.len() + buddy.groups.len();
                self.imported.buddies.push(buddy);
                self.check()
            }
            Err(reason) => self.blame(line, reason),
        }
    }

    fn blame(&mut self, line: usize, reason: impl Into<String>) -> Result<(), ExchangeError> {
        self.imported.broken.push(Broken { line, reason: reason.into() });
        self.check()
    }

    fn ignore(&mut self, what: &'static str) {
        *self.imported.ignored.entry(what).or_default() += 1;
    }

    fn check(&self) -> Result<(), ExchangeError> {
        let people = self.imported.buddies.len() + self.imported.broken.len();
        if people > MOST || self.words > MOST_WORDS { Err(ExchangeError::TooMany) } else { Ok(()) }
    }
}
