//! What people write for whom they mean.

use thiserror::Error;

use crate::sip::{
    locate,
    uri::{Scheme, Uri, UriError, UriRef},
};

/// Why a target names nobody that can be reached.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TargetError {
    /// It is no address.
    #[error("{target:?} names nobody: {reason}")]
    Malformed {
        /// As it was written.
        target: String,
        /// What is wrong.
        reason: String,
    },
    /// There is no way there.
    #[error("{target:?} cannot be reached: {reason}")]
    Unreachable {
        /// As it was written.
        target: String,
        /// Why.
        reason: String,
    },
}

/// Reads a target: a bare name (which gets `default_host`), `alice@host`, `alice@host:5070`, or a URI.
///
/// # Errors
/// When it is no address, or one that SIP requests of ours cannot go to.
pub fn parse_target(target: &str, default_host: &str) -> Result<Uri, TargetError> {
    let malformed = |reason: String| TargetError::Malformed { target: target.to_owned(), reason };
    let text = target.trim();
    if text.is_empty() {
        return Err(malformed("it is empty".into()));
    }
    let known_scheme = text.split_once(':').is_some_and(|(scheme, _)| {
        ["sip", "sips", "pres", "tel"].iter().any(|known| scheme.eq_ignore_ascii_case(known))
    });
    let uri = if known_scheme {
        text.parse::<Uri>()
    } else if let Some((user, host)) = text.rsplit_once('@') {
        sip_uri(user, host)
    } else {
        Uri::sip(Some(text), default_host, None, "")
    };
    let uri = uri.map_err(|error| malformed(error.to_string()))?;
    let view = uri.as_ref();
    if view.scheme() == Scheme::Pres {
        // Which server has it is found out when it is asked; by then it must have a form that SIP carries.
        view.to_sip().map_err(|error| malformed(error.to_string()))?;
    }
    locate::plan(&view, locate::TRANSPORTS)
        .map_err(|error| TargetError::Unreachable { target: target.to_owned(), reason: error.to_string() })?;
    Ok(uri)
}

/// Makes a URI of `user@host…`, where what follows the host may be a port and parameters.
fn sip_uri(user: &str, host: &str) -> Result<Uri, UriError> {
    if user.is_empty() {
        return Err(UriError::Host);
    }
    let text = format!("sip:x@{host}");
    UriRef::parse(&text)?;
    format!("sip:{}@{host}", crate::sip::uri::escape_user(user)).parse()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_target() {
        for (target, expected) in [
            ("alice", "sip:alice@127.0.0.1"),
            ("alice@host", "sip:alice@host"),
            ("alice@192.168.1.100:5060", "sip:alice@192.168.1.100:5060"),
            ("alice@[::1]:5070", "sip:alice@[::1]:5070"),
            ("sip:alice@host;transport=tcp", "sip:alice@host;transport=tcp"),
            ("sips:alice@host", "sips:alice@host"),
            ("pres:alice@host", "pres:alice@host"),
            ("$(rm -rf ~)", "sip:$(rm%20-rf%20~)@127.0.0.1"),
            ("ünï☕@host", "sip:%C3%BCn%C3%AF%E2%98%95@host"),
        ] {
            assert_eq!(parse_target(target, "127.0.0.1").unwrap().as_str(), expected, "{target}");
        }
    }

    #[test]
    fn what_names_nobody_says_why() {
        for (target, words) in [
            ("", "it is empty"),
            ("@host", "no host"),
            ("alice@", "no host"),
            ("alice@h:0", "port"),
            ("alice@2001:db8::1", "brackets"),
            ("tel:+1201", "cannot be reached"),
            ("sip:alice@host;transport=sctp", "sctp"),
        ] {
            let error = parse_target(target, "127.0.0.1").unwrap_err().to_string();
            assert!(error.contains(words), "{target}: {error}");
        }
    }
}
