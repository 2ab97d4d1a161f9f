//! Why a store cannot be used, in words that tell what to do.

use std::io;

use nix::errno::Errno;
use redb::{CommitError, DatabaseError, StorageError, TableError, TransactionError};
use thiserror::Error;

/// Why a store cannot be opened, read or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no place left.
    #[error("the disk is full")]
    Full,
    /// The file or its file system may not be written.
    #[error("it may not be written")]
    ReadOnly,
    /// It is none of ours, or bytes of it have changed.
    #[error("it is damaged, or no file of a presence server: {0}")]
    Corrupt(String),
    /// One server has it already.
    #[error("another server has it open")]
    Locked,
    /// It cannot be understood here, and is left as it is.
    #[error(
        "this file was written by a newer sippresence (its version is {found}, and {known} is the newest known here)"
    )]
    Newer {
        /// The version of the file.
        found: u32,
        /// The newest version that is known.
        known: u32,
    },
    /// The system said no.
    #[error("{0}")]
    Io(io::Error),
}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::ENOSPC | Errno::EDQUOT) => Self::Full,
            Some(Errno::EROFS | Errno::EACCES | Errno::EPERM) => Self::ReadOnly,
            // What the storage itself says of a file that is none of its own.
            None if error.kind() == io::ErrorKind::InvalidData => Self::Corrupt(error.to_string()),
            _ => Self::Io(error),
        }
    }
}

impl From<io::ErrorKind> for StoreError {
    fn from(kind: io::ErrorKind) -> Self {
        io::Error::from(kind).into()
    }
}

impl From<redb::Error> for StoreError {
    fn from(error: redb::Error) -> Self {
        use redb::Error;
        match error {
            Error::Io(error) => error.into(),
            Error::DatabaseAlreadyOpen | Error::LockProtocolMismatch => Self::Locked,
            error @ (Error::Corrupted(_)
            | Error::UpgradeRequired(_)
            | Error::RepairAborted
            | Error::TableTypeMismatch { .. }
            | Error::TableIsMultimap(_)
            | Error::TypeDefinitionChanged { .. }
            | Error::TableDoesNotExist(_)) => Self::Corrupt(error.to_string()),
            error => Self::Io(io::Error::other(error)),
        }
    }
}

macro_rules! by_way_of_the_general_error {
    ($($error:ty),*) => {$(
        impl From<$error> for StoreError {
            fn from(error: $error) -> Self {
                redb::Error::from(error).into()
            }
        }
    )*};
}

by_way_of_the_general_error!(CommitError, DatabaseError, StorageError, TableError, TransactionError);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_says_is_told_apart() {
        for (errno, expected) in [
            (Errno::ENOSPC, "the disk is full"),
            (Errno::EDQUOT, "the disk is full"),
            (Errno::EROFS, "it may not be written"),
            (Errno::EACCES, "it may not be written"),
        ] {
            let error = StorageError::Io(errno.into());
            assert_eq!(StoreError::from(error).to_string(), expected);
        }
        assert!(matches!(StoreError::from(DatabaseError::DatabaseAlreadyOpen), StoreError::Locked));
        assert!(matches!(StoreError::from(StorageError::Corrupted("x".into())), StoreError::Corrupt(_)));
        assert!(matches!(StoreError::from(StorageError::Io(Errno::EIO.into())), StoreError::Io(_)));
    }
}
