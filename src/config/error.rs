//! What can be wrong with a file of the user's, said in one line with the place and the way out.

use std::{
    io,
    path::{Path, PathBuf},
};

/// Why a configuration or policy file, or a folder of ours, cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file that was asked for is not there.
    #[error("there is no file {}: check the path, or write one with `sippresence config example`", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The file is there and cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The file cannot be written; what it held is still there.
    #[error("cannot write {}: {error}", path.display())]
    Unwritable {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The file is not TOML, or ends in the middle.
    #[error("{}:{line}:{column}: {message}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The column in characters, from 1.
        column: usize,
        /// What is wrong there.
        message: String,
    },
    /// A key that means nothing.
    #[error("{}:{line}:{column}: unknown key `{key}`{hint}", path.display())]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The column in characters, from 1.
        column: usize,
        /// The key with its sections, as `agent.prot`.
        key: String,
        /// What to write instead, beginning with punctuation; possibly empty.
        hint: String,
    },
    /// A key whose value cannot be used.
    #[error("{}:{line}:{column}: `{key}`: {message}", path.display())]
    BadValue {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The column in characters, from 1.
        column: usize,
        /// The key with its sections.
        key: String,
        /// What is wrong, and what would be right.
        message: String,
    },
    /// A file or folder that others can tamper with, or that is not what it seems (SEC-10, SEC-11).
    #[error("{} is not safe to use: {message}", path.display())]
    Unsafe {
        /// The file or folder.
        path: PathBuf,
        /// Why, and what to do.
        message: String,
    },
    /// No home folder is known.
    #[error("cannot tell where your files lie: set HOME")]
    NoHome,
}

impl ConfigError {
    /// Returns whether the file is just not there.
    pub fn is_missing(&self) -> bool {
        match self {
            Self::Missing { .. } => true,
            Self::Unreadable { error, .. } => error.kind() == io::ErrorKind::NotFound,
            _ => false,
        }
    }

    /// Returns the file or folder that is to blame.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Missing { path }
            | Self::Unreadable { path, .. }
            | Self::Unwritable { path, .. }
            | Self::Syntax { path, .. }
            | Self::UnknownKey { path, .. }
            | Self::BadValue { path, .. }
            | Self::Unsafe { path, .. } => Some(path),
            Self::NoHome => None,
        }
    }
}
