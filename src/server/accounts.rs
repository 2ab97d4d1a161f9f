//! Who has an account: digests of passwords in a file that people can read (RFC 7616 §5.2, RFC 8760).
//!
//! A line for each account: `alice@example.com`, and H(user:realm:password) for each hash, where the realm is the domain.
//! The password itself stands nowhere; but a digest is as good as that in this realm, so the file is its owner's alone.
//! [`add`] and its like change one line and leave the rest as it is, comments too; [`follow`] takes up what anybody changed.

mod edit;
mod error;
mod follow;
mod guards;
mod name;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, path::Path};

use crate::{
    config::read_closed_whole,
    sip::auth::{
        Hash,
        server::{Stored, User},
    },
};

pub use self::{
    edit::{add, remove, set_password},
    error::AccountsError,
    follow::{InForce, follow},
    guards::Guards,
    name::{BadName, Name},
};

/// The longest file that is read: a hundred thousand accounts have room.
const MAX_FILE: u64 = 32 * 1024 * 1024;

/// All accounts of a file; see the module's text.
#[derive(Debug, Default)]
pub struct Accounts {
    /// By domain, then by user.
    domains: BTreeMap<String, BTreeMap<String, Stored>>,
}

impl Accounts {
    /// Reads a file; one that is not there has none.
    ///
    /// # Errors
    /// When others can read it, or a line of it is none; the error says which.
    pub fn load(path: &Path) -> Result<Self, AccountsError> {
        Ok(match read_closed_whole(path, MAX_FILE) {
            Ok(text) => Self::parse(&text, path)?,
            Err(error) if error.is_missing() => Self::default(),
            Err(error) => return Err(error.into()),
        })
    }

    /// Reads the text of a file; `path` is for the error.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn parse(text: &str, path: &Path) -> Result<Self, AccountsError> {
        let mut accounts = Self::default();
        for (line, content) in (1..).zip(text.lines()) {
            let refused = |message: String| AccountsError::Malformed { path: path.into(), line, message };
            let Some((name, stored)) = parse_line(content).map_err(refused)? else { continue };
            let users = accounts.domains.entry(name.domain().to_owned()).or_default();
            if users.insert(name.user().to_owned(), stored).is_some() {
                return Err(refused(format!("{name} stands here a second time")));
            }
        }
        Ok(accounts)
    }

    /// Returns what is kept of a password; `user` without escapes, as credentials have it, `domain` in any case.
    pub fn find(&self, user: &str, domain: &str) -> Option<&Stored> {
        // Most are asked for as they are kept.
        let users = self.domains.get(domain).or_else(|| self.domains.get(&domain.to_ascii_lowercase()))?;
        users.get(user)
    }

    /// Returns the same as a [`Guard`](crate::sip::auth::server::Guard) of the realm `domain` asks for it.
    pub fn lookup(&self, user: &str, domain: &str) -> User<'_> {
        self.find(user, domain).map_or(User::Unknown, User::Known)
    }

    /// Returns the domains that somebody has an account in, by their names.
    pub fn domains(&self) -> impl Iterator<Item = &str> {
        self.domains.keys().map(String::as_str)
    }

    /// Returns everybody, by domain and user, with the hashes that they can prove themselves by.
    pub fn iter(&self) -> impl Iterator<Item = (Name, Vec<Hash>)> {
        self.domains.iter().flat_map(|(domain, users)| {
            users.iter().map(|(user, stored)| (Name::of_kept(user, domain), stored.hashes().collect()))
        })
    }

    /// Returns how many accounts there are.
    pub fn len(&self) -> usize {
        self.domains.values().map(BTreeMap::len).sum()
    }

    /// Returns whether nobody has an account.
    pub fn is_empty(&self) -> bool {
        self.domains.is_empty()
    }
}

/// Reads one line; none is a comment or empty.
fn parse_line(line: &str) -> Result<Option<(Name, Stored)>, String> {
    let mut words = line.split_whitespace();
    let Some(first) = words.next().filter(|first| !first.starts_with('#')) else { return Ok(None) };
    let name: Name = first.parse().map_err(|error: BadName| error.to_string())?;
    let mut hashes = BTreeMap::new();
    for word in words {
        let wrong = || format!("{word:?} is no digest: MD5:…, SHA-256:… or SHA-512-256:… in hex");
        let (token, digest) = word.split_once(':').ok_or_else(wrong)?;
        let hash = Hash::ALL.into_iter().find(|hash| hash.token() == token).ok_or_else(wrong)?;
        let length = if hash == Hash::Md5 { 32 } else { 64 };
        if digest.len() != length || !digest.bytes().all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c)) {
            // The digest is as secret as the password.
            return Err(format!("what stands behind {token}: is no digest: it has {length} digits of lower-case hex"));
        }
        if hashes.insert(hash, digest.to_owned()).is_some() {
            return Err(format!("{token} stands here a second time"));
        }
    }
    if hashes.is_empty() {
        return Err(format!("{name} has no digest: remove the line, and add the user anew"));
    }
    Ok(Some((name, Stored::of_hashes(hashes))))
}
