//! How an account is called: a user in a domain.

use std::{fmt, str::FromStr};

use thiserror::Error;

use crate::sip::uri::{Host, Uri, escape_user};

/// The most bytes of a user's name: credentials of SIP have room for as many, escaped.
const MAX_USER: usize = 256;

/// A text that is no name of an account.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BadName {
    /// There is no domain.
    #[error("{0:?} has no domain: write alice@example.com")]
    NoDomain(String),
    /// The user cannot be called so.
    #[error("nobody can be called {user:?}: {why}")]
    User {
        /// As it was written.
        user: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The domain is none.
    #[error("{0:?} is no domain: write it as in alice@example.com, without a port")]
    Domain(String),
}

/// The name of an account: `alice@example.com`. The user is any text without blanks, `:` and `@`, and its case counts; the
/// domain is lower case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    user: String,
    domain: String,
}

impl Name {
    /// Makes a name of both its parts.
    ///
    /// # Errors
    /// When one of them is none.
    pub fn new(user: &str, domain: &str) -> Result<Self, BadName> {
        let refused = |why| Err(BadName::User { user: user.into(), why });
        if user.is_empty() {
            return refused("it is empty");
        }
        if user.len() > MAX_USER {
            return refused("it is longer than 256 bytes");
        }
        if user.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return refused("there is a blank or a control character in it");
        }
        // A colon ends the user in a digest, and the rest is what else stands around an address.
        if user.contains([':', '@', '<', '>', '"', '\\']) {
            return refused("one of : @ < > \" \\ is in it");
        }
        if user.starts_with('#') {
            return refused("it begins with #, as a comment does");
        }
        let wrong = || BadName::Domain(domain.into());
        let uri = Uri::sip(None, domain, None, "").map_err(|_| wrong())?;
        let view = uri.as_ref();
        if view.port().is_some()
            || view.host_text() != domain
            || matches!(view.host(), Host::Name(name) if name.ends_with('.'))
        {
            return Err(wrong());
        }
        Ok(Self { user: user.into(), domain: domain.to_ascii_lowercase() })
    }

    pub(super) fn of_kept(user: &str, domain: &str) -> Self {
        Self { user: user.into(), domain: domain.into() }
    }

    /// Returns the user, without escapes.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Returns the domain, in lower case.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// Returns the address of record, `sip:alice@example.com`, with what has to be escaped there.
    pub fn address(&self) -> String {
        format!("sip:{}@{}", escape_user(&self.user), self.domain)
    }
}

impl FromStr for Name {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let (user, domain) = text.rsplit_once('@').ok_or_else(|| BadName::NoDomain(text.into()))?;
        Self::new(user, domain)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.user, self.domain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_every_script_are_names_and_their_addresses_are_escaped() {
        for (text, address) in [
            ("alice@Example.COM", "sip:alice@example.com"),
            ("Zoë.Ω@example.com", "sip:Zo%C3%AB.%CE%A9@example.com"),
            ("😀@example.com", "sip:%F0%9F%98%80@example.com"),
            ("bob@192.0.2.1", "sip:bob@192.0.2.1"),
            ("bob@[2001:db8::1]", "sip:bob@[2001:db8::1]"),
        ] {
            assert_eq!(text.parse::<Name>().unwrap().address(), address);
        }
        let family: Name = "👨‍👩‍👧@example.com".parse().unwrap();
        assert_eq!((family.user(), family.domain()), ("👨‍👩‍👧", "example.com"));
        assert!(Name::new(&"x".repeat(256), "example.com").is_ok());
    }

    #[test]
    fn what_is_no_name_is_refused_with_what_is_wrong() {
        for (text, why) in [
            ("alice", "has no domain"),
            ("@example.com", "it is empty"),
            ("al ice@example.com", "blank"),
            ("al\u{2003}ice@example.com", "blank"),
            ("al\u{1b}ice@example.com", "control character"),
            ("sip:alice@example.com", "is in it"),
            ("a@b@example.com", "is in it"),
            ("<alice@example.com", "is in it"),
            ("#alice@example.com", "as a comment does"),
            ("alice@", "is no domain"),
            ("alice@example.com:5060", "is no domain"),
            ("alice@example.com.", "is no domain"),
            ("alice@exa mple.com", "is no domain"),
            ("alice@example.com;transport=tcp", "is no domain"),
        ] {
            let error = text.parse::<Name>().unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
        assert!(Name::new(&"x".repeat(257), "example.com").unwrap_err().to_string().contains("256 bytes"));
    }
}
