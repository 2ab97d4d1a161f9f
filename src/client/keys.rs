//! The keys of peers that no authority vouches for, as ssh keeps those of hosts (TRN-21).
//!
//! A file of ours with a line for each: the presentity's URI, a blank, the fingerprint. It is read anew each time, so
//! that the agent and the commands see the same. A presentity has one key at a time.

use std::{fs, io, path::PathBuf};

use thiserror::Error;

use super::TargetError;
use crate::{
    config::ConfigError,
    net::tls::Fingerprint,
    sip::{
        locate::PeerIdentity,
        uri::{Host, Scheme, Uri},
    },
};

/// How the file begins.
const HEADER: &str = "# sippresence: keys of peers, version 1; see `sippresence trust`\n";

/// Why keys cannot be kept or found.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum KeysError {
    /// The file cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A line of the file is none of ours.
    #[error("{}:{line}: neither a comment nor a URI with a fingerprint", path.display())]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
    },
    /// The target names nobody.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// Only an authority can vouch for the target.
    #[error("{target:?} can have no key here: {reason}")]
    NotKeyed {
        /// As it was written.
        target: String,
        /// Why.
        reason: &'static str,
    },
    /// The file cannot be written.
    #[error(transparent)]
    Unwritable(#[from] ConfigError),
}

/// The file of trusted keys; see the module's text.
#[derive(Clone, Debug)]
pub struct TrustedKeys {
    path: PathBuf,
}

impl TrustedKeys {
    /// Takes the file at `path`, which need not be there.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Returns all of them, by presentity.
    ///
    /// # Errors
    /// When the file cannot be read, or says what we did not write.
    pub fn list(&self) -> Result<Vec<(String, Fingerprint)>, KeysError> {
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(KeysError::Unreadable { path: self.path.clone(), error }),
        };
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
        lines
            .map(|(at, line)| {
                let parts = line.split_once(' ').and_then(|(who, key)| Some((who.to_owned(), key.parse().ok()?)));
                parts.ok_or_else(|| KeysError::Malformed { path: self.path.clone(), line: at + 1 })
            })
            .collect()
    }

    /// Returns the key of a presentity, if it has one here.
    ///
    /// # Errors
    /// As [`list`](Self::list).
    pub fn of(&self, presentity: &str) -> Result<Option<Fingerprint>, KeysError> {
        Ok(self.list()?.into_iter().find(|(who, _)| who == presentity).map(|(_, key)| key))
    }

    /// Trusts a key, and no other any more, of a presentity.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn accept(&self, presentity: &str, key: Fingerprint) -> Result<(), KeysError> {
        let mut keys = self.list()?;
        keys.retain(|(who, _)| who != presentity);
        keys.push((presentity.to_owned(), key));
        self.write(keys)
    }

    /// Forgets the key of a presentity; returns whether there was one.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn forget(&self, presentity: &str) -> Result<bool, KeysError> {
        let mut keys = self.list()?;
        let count = keys.len();
        keys.retain(|(who, _)| who != presentity);
        let found = keys.len() < count;
        if found {
            self.write(keys)?;
        }
        Ok(found)
    }

    fn write(&self, mut keys: Vec<(String, Fingerprint)>) -> Result<(), KeysError> {
        keys.sort_by(|(a, _), (b, _)| a.cmp(b));
        let lines = keys.iter().map(|(who, key)| format!("{who} {key}\n"));
        let text: String = std::iter::once(HEADER.to_owned()).chain(lines).collect();
        Ok(crate::config::write_private(&self.path, text.as_bytes())?)
    }
}

/// Returns the URI under which the key of a target is kept: `sip:bob@host` for `bob@host`, whatever port it names.
///
/// # Errors
/// When the target names nobody, or somebody whom only an authority can vouch for.
pub fn keyed_presentity(target: &str) -> Result<String, KeysError> {
    let uri = super::parse_target(target, "")?;
    let view = uri.as_ref();
    let refused = |reason| KeysError::NotKeyed { target: target.to_owned(), reason };
    if view.scheme() != Scheme::Sip {
        return Err(refused("a key alone is trusted for sip: addresses only, and for sips: an authority has to vouch"));
    }
    let host = if let Host::Ip(_) = view.host() { view.host_text() } else { view.host_text().trim_end_matches('.') };
    let by_tls = Uri::sip(view.user(), host, None, ";transport=tls").map(|uri| PeerIdentity::of(&uri.as_ref()));
    by_tls.ok().and_then(|peer| peer.presentity).map(String::from).ok_or_else(|| {
        refused("a key alone is trusted for users at an IP address or a .local name; an authority vouches for others")
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn key(digit: char) -> Fingerprint {
        format!("SHA256:{}", digit.to_string().repeat(64)).parse().unwrap()
    }

    #[test]
    fn trn_21_a_presentity_has_one_key_until_it_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trusted-keys");
        let keys = TrustedKeys::new(&path);
        assert_eq!(keys.of("sip:bob@192.0.2.2").unwrap(), None);
        keys.accept("sip:bob@192.0.2.2", key('a')).unwrap();
        keys.accept("sip:alice@192.0.2.1", key('b')).unwrap();
        keys.accept("sip:bob@192.0.2.2", key('c')).unwrap();
        let both = [("sip:alice@192.0.2.1".to_owned(), key('b')), ("sip:bob@192.0.2.2".to_owned(), key('c'))];
        assert_eq!(keys.list().unwrap(), both);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(keys.forget("sip:bob@192.0.2.2").unwrap());
        assert!(!keys.forget("sip:bob@192.0.2.2").unwrap());
        assert_eq!(keys.of("sip:bob@192.0.2.2").unwrap(), None);
    }

    #[test]
    fn a_damaged_file_trusts_nobody_and_says_where() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trusted-keys");
        fs::write(&path, format!("{HEADER}sip:bob@192.0.2.2 SHA256:00\n")).unwrap();
        let keys = TrustedKeys::new(&path);
        assert!(keys.list().unwrap_err().to_string().contains("trusted-keys:2: "));
        assert!(keys.accept("sip:bob@192.0.2.2", key('a')).is_err(), "and is not overwritten");
    }

    #[test]
    fn trn_21_for_whom_a_key_can_be_kept() {
        for (target, kept) in [
            ("bob@192.0.2.2", Some("sip:bob@192.0.2.2")),
            ("sip:bob@192.0.2.2:5071;transport=tls", Some("sip:bob@192.0.2.2")),
            ("sip:bob@[2001:DB8::1]:5071", Some("sip:bob@[2001:db8::1]")),
            ("bob@Laptop.local.", Some("sip:bob@laptop.local")),
            ("sips:bob@192.0.2.2", None),
            ("bob@example.com", None),
            ("sip:192.0.2.2", None),
        ] {
            assert_eq!(keyed_presentity(target).ok().as_deref(), kept, "{target}");
        }
    }
}
