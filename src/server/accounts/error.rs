//! What can be wrong with accounts.

use std::path::PathBuf;

use thiserror::Error;

use super::{BadName, Name};
use crate::config::ConfigError;

/// Why accounts cannot be read or changed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AccountsError {
    /// Nobody can have an account of that name.
    #[error(transparent)]
    Name(#[from] BadName),
    /// There is one already.
    #[error("{0} has an account already")]
    Exists(Name),
    /// There is none.
    #[error("{0} has no account")]
    Unknown(Name),
    /// A password that everybody knows.
    #[error("the password is empty")]
    EmptyPassword,
    /// A line of the file is none.
    #[error("{}:{line}: {message}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        message: String,
    },
    /// The file cannot be read or written.
    #[error(transparent)]
    File(#[from] ConfigError),
}
