//! The address of a person as the user writes it, brought to one form so that two of them can be compared.
//!
//! Only the form: whether such a user exists, and how to reach it, is found out elsewhere.

/// A text that names nobody.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// A whole domain, which no list can hold yet.
    #[error("{0:?} is a whole domain, which cannot be listed: name a person, as in sip:bob@example.com")]
    Domain(String),
    /// A URI of another kind.
    #[error("{0:?} is no SIP address: write sip:bob@example.com or bob@example.com")]
    Scheme(String),
    /// Anything else.
    #[error("{0:?} is not the address of a person: write sip:bob@example.com or bob@example.com")]
    Malformed(String),
}

/// Brings `bob@Example.com`, `sip:`, `sips:` and `pres:` addresses to the form `sip:bob@example.com`.
///
/// The host is lower case, the user as it was, a port stays; parameters, headers and angle brackets go.
pub fn normalize(text: &str) -> Result<String, IdentityError> {
    let (_, address) = split(text)?;
    Ok(format!("sip:{address}"))
}

/// Like [`normalize`], but leaves a `sips:` address a `sips:` one.
pub fn normalize_own(text: &str) -> Result<String, IdentityError> {
    let (secure, address) = split(text)?;
    Ok(format!("{}:{address}", if secure { "sips" } else { "sip" }))
}

fn split(text: &str) -> Result<(bool, String), IdentityError> {
    let malformed = || IdentityError::Malformed(text.into());
    let bare = text.trim();
    let bare = bare.strip_prefix('<').map_or(Some(bare), |inner| inner.strip_suffix('>')).ok_or_else(malformed)?;
    let (secure, bare) = match bare.split_once(':') {
        Some((scheme, rest)) if !scheme.contains(['@', '[']) => match scheme.to_ascii_lowercase().as_str() {
            "sip" | "pres" => (false, rest),
            "sips" => (true, rest),
            _ if bare.contains('@') && !scheme.is_empty() && !rest.starts_with('/') => (false, bare),
            _ => return Err(IdentityError::Scheme(text.into())),
        },
        _ => (false, bare),
    };
    let end = bare.rfind('@').map_or(0, |at| bare[at..].find([';', '?']).map_or(bare.len(), |cut| at + cut));
    let Some((user, host)) = bare.get(..end).and_then(|bare| bare.rsplit_once('@')) else { return Err(malformed()) };
    if user.is_empty() && is_host(host) {
        return Err(IdentityError::Domain(text.into()));
    }
    if !is_user(user) || !is_host(host) {
        return Err(malformed());
    }
    Ok((secure, format!("{user}@{}", host.to_ascii_lowercase())))
}

fn is_user(user: &str) -> bool {
    // RFC 3261 §25.1: unreserved, escaped, user-unreserved; `:` would begin a password.
    let special = "-_.!~*'()%&=+$,;?/";
    !user.is_empty() && user.chars().all(|c| c.is_ascii_alphanumeric() || special.contains(c))
}

/// Says whether the text is a host name or an IP address, with or without a port.
pub(super) fn is_host(text: &str) -> bool {
    let is_port = |port: &str| port.parse::<u16>().is_ok_and(|port| port > 0);
    if let Some(inner) = text.strip_prefix('[') {
        let Some((ip, tail)) = inner.split_once(']') else { return false };
        let tail_is_fine = tail.is_empty() || tail.strip_prefix(':').is_some_and(is_port);
        return ip.parse::<std::net::Ipv6Addr>().is_ok() && tail_is_fine;
    }
    let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
    port.is_none_or(is_port) && is_name(host)
}

/// Says whether the text is a host name or an IPv4 address.
pub(super) fn is_name(host: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
    };
    let host = host.strip_suffix('.').unwrap_or(host);
    host.len() <= 253 && host.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_write_an_address_gives_one_form() {
        for text in [
            "bob@example.com",
            "sip:bob@example.com",
            "SIP:bob@EXAMPLE.com",
            "<sip:bob@example.com>",
            " pres:bob@example.com ",
            "sips:bob@example.com",
            "sip:bob@example.com;transport=tcp?subject=x",
        ] {
            assert_eq!(normalize(text).as_deref(), Ok("sip:bob@example.com"), "{text}");
        }
        assert_eq!(normalize("sip:Bob@192.0.2.1:5070").as_deref(), Ok("sip:Bob@192.0.2.1:5070"));
        assert_eq!(normalize("bob@[2001:DB8::1]:5060").as_deref(), Ok("sip:bob@[2001:db8::1]:5060"));
        assert_eq!(normalize("bob@host:5060").as_deref(), Ok("sip:bob@host:5060"));
        assert_eq!(normalize("+49;phone-context=x@host").as_deref(), Ok("sip:+49;phone-context=x@host"));
        assert_eq!(normalize_own("sips:bob@Host").as_deref(), Ok("sips:bob@host"));
    }

    #[test]
    fn what_names_nobody_is_refused_with_its_text() {
        for text in [
            "",
            "bob",
            "sip:bob",
            "sip:",
            "bob@",
            "<bob@host",
            "bob@ho st",
            "b ob@host",
            "bob@host:0",
            "bob@host:99999",
            "bob@[::1",
            "bob@[zz]",
            "bob@a..b",
            "bob\u{7}@host",
            "böb@host",
            "bob@host\n",
            "a@b@c",
        ] {
            let result = normalize(text);
            // Blanks around are forgiven.
            if text.trim() != text {
                continue;
            }
            let error = result.unwrap_err().to_string();
            assert!(error.contains(&format!("{text:?}")), "{text:?}: {error}");
        }
    }

    #[test]
    fn a_domain_and_another_scheme_are_refused_as_what_they_are() {
        assert_eq!(normalize("@example.com"), Err(IdentityError::Domain("@example.com".into())));
        assert_eq!(normalize("sip:@example.com"), Err(IdentityError::Domain("sip:@example.com".into())));
        assert_eq!(normalize("tel:+4930"), Err(IdentityError::Scheme("tel:+4930".into())));
        assert_eq!(normalize("https://x@example.com"), Err(IdentityError::Scheme("https://x@example.com".into())));
    }
}
