//! Passwords from files that only their owner can read (SEC-10). Running a password command is the client's affair.

use std::{
    fmt, fs,
    io::Read,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
};

use nix::{fcntl::OFlag, unistd::Uid};
use secrecy::{ExposeSecret as _, SecretString, zeroize::Zeroizing};

use super::error::ConfigError;

/// How much of such a file is read: more than any password, and than a private key with its words.
const LIMIT: u64 = 64 * 1024;

/// A password, which never shows itself in a log and is wiped when dropped.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Takes the first line of `text`, as a file or a command gives it; `None` if it is empty.
    pub fn from_first_line(text: &str) -> Option<Self> {
        text.lines().next().filter(|line| !line.is_empty()).map(|line| Self(line.into()))
    }

    /// Reads the first line of a file that must be ours and closed to all others.
    pub fn from_file(path: &Path) -> Result<Self, ConfigError> {
        let message = "its first line, the password, is empty".to_owned();
        Self::from_first_line(&read_closed(path)?).ok_or_else(|| ConfigError::Unsafe { path: path.into(), message })
    }

    /// Returns the password itself.
    pub fn reveal(&self) -> &str {
        self.0.expose_secret()
    }
}

/// Reads a file that must be ours and closed to all others, the beginning of a long one.
///
/// # Errors
/// When it cannot be read, or others can.
pub fn read_closed(path: &Path) -> Result<Zeroizing<String>, ConfigError> {
    read(path, &open_closed(path)?, LIMIT)
}

/// Reads all of a file that must be ours and closed to all others, and no longer than `most` bytes.
///
/// # Errors
/// When it cannot be read, others can, or it is longer.
pub fn read_closed_whole(path: &Path, most: u64) -> Result<Zeroizing<String>, ConfigError> {
    let file = open_closed(path)?;
    let text = read(path, &file, most.saturating_add(1))?;
    if text.len() as u64 > most {
        return Err(ConfigError::Unsafe { path: path.into(), message: format!("it is longer than {most} bytes") });
    }
    Ok(text)
}

fn open_closed(path: &Path) -> Result<fs::File, ConfigError> {
    let unreadable = |error| ConfigError::Unreadable { path: path.into(), error };
    let refused = |message: &str| ConfigError::Unsafe { path: path.into(), message: message.into() };
    // Without waiting, should it be a pipe.
    let flags = OFlag::O_NONBLOCK.bits();
    let file = fs::OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(unreadable)?;
    // Of the open file: what is checked is what is read.
    let found = file.metadata().map_err(unreadable)?;
    if !found.is_file() {
        return Err(refused("it is not a file"));
    }
    if found.mode() & 0o077 != 0 {
        return Err(refused("others can read or write it; run chmod 600 on it"));
    }
    if found.uid() != Uid::effective().as_raw() && found.uid() != 0 {
        return Err(refused("it belongs to another user"));
    }
    Ok(file)
}

fn read(path: &Path, file: &fs::File, most: u64) -> Result<Zeroizing<String>, ConfigError> {
    let unreadable = |error| ConfigError::Unreadable { path: path.into(), error };
    let mut text = Zeroizing::new(String::new());
    file.take(most).read_to_string(&mut text).map_err(unreadable)?;
    Ok(text)
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

#[cfg(test)]
mod tests {
    use std::{fs::Permissions, os::unix::fs::PermissionsExt};

    use super::*;

    #[test]
    fn sec_10_a_password_file_that_others_can_read_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "s3cret\nnot this\n").unwrap();
        for mode in [0o644, 0o640, 0o604, 0o620] {
            fs::set_permissions(file.path(), Permissions::from_mode(mode)).unwrap();
            let error = Secret::from_file(file.path()).unwrap_err().to_string();
            assert!(error.contains("chmod 600") && !error.contains("s3cret"), "{error}");
        }
        fs::set_permissions(file.path(), Permissions::from_mode(0o600)).unwrap();
        assert_eq!(Secret::from_file(file.path()).unwrap().reveal(), "s3cret");
    }

    #[test]
    fn a_password_is_not_shown_by_debug() {
        assert_eq!(format!("{:?}", Secret::from_first_line("s3cret")), "Some(Secret)");
    }

    #[test]
    fn an_empty_missing_or_odd_file_gives_no_password() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(Secret::from_file(file.path()).unwrap_err().to_string().contains("empty"));
        assert!(Secret::from_file(Path::new("/nonexistent/x")).unwrap_err().to_string().contains("/nonexistent/x"));
        assert!(Secret::from_file(Path::new("/dev/null")).unwrap_err().to_string().contains("not a file"));
    }
}
