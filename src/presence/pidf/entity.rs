//! Whether a document is about whom it should be (conformance PID-12).

use std::net::IpAddr;

/// Tells whether two URIs name one presentity: the same user at the same host, or at an address that the host of
/// `target` resolved to here (`addresses`).
///
/// Scheme, port and parameters do not count, nor does the case of the host. URIs that cannot be taken apart match
/// nothing.
pub fn entity_matches(entity: &str, target: &str, addresses: &[IpAddr]) -> bool {
    let (Some(entity), Some(target)) = (Parts::of(entity), Parts::of(target)) else { return false };
    if entity.user != target.user {
        return false;
    }
    match (entity.host.parse::<IpAddr>(), target.host.parse::<IpAddr>()) {
        (Ok(one), Ok(other)) => one == other,
        (Ok(address), Err(_)) => addresses.contains(&address),
        _ => entity.host.trim_end_matches('.').eq_ignore_ascii_case(target.host.trim_end_matches('.')),
    }
}

struct Parts<'a> {
    user: Vec<u8>,
    host: &'a str,
}

impl<'a> Parts<'a> {
    fn of(uri: &'a str) -> Option<Self> {
        let uri = uri.trim().trim_start_matches('<').trim_end_matches('>');
        let (scheme, rest) = uri.split_once(':')?;
        if !["sip", "sips", "pres", "im", "xmpp"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
            return None;
        }
        let (user, rest) = rest.rsplit_once('@').unwrap_or(("", rest));
        // Parameters of the user and a password name nobody.
        let user = user.split([';', ':']).next().unwrap_or("");
        let host = match rest.strip_prefix('[') {
            Some(rest) => rest.split_once(']')?.0,
            None => rest.split([':', ';', '?', '>']).next().unwrap_or(""),
        };
        (!host.is_empty()).then(|| Self { user: unescape(user), host })
    }
}

fn unescape(user: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(user.len());
    let mut rest = user.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = match rest {
            [b'%', high, low, ..] => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16);
                digit(high).zip(digit(low)).map(|(high, low)| (high * 16 + low) as u8)
            }
            _ => None,
        };
        if let Some(byte) = escaped {
            out.push(byte);
            rest = &rest[3..];
        } else {
            out.push(*first);
            rest = tail;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pid_12_an_entity_is_compared_by_user_and_host_only() {
        let matches = |entity, target| entity_matches(entity, target, &["192.0.2.20".parse().unwrap()]);
        assert!(matches("sip:bob@192.0.2.20", "sip:bob@192.0.2.20:5060"));
        assert!(matches("pres:bob@Example.COM", "sips:bob@example.com;transport=tls"));
        assert!(matches("sip:bob@192.0.2.20", "sip:bob@host.example"));
        assert!(matches("sip:b%6fb@[2001:DB8::1]:5060", "sip:bob@[2001:db8:0::1]"));
        assert!(!matches("sip:carol@example.com", "sip:bob@example.com"));
        assert!(!matches("sip:bob@example.org", "sip:bob@example.com"));
        assert!(!matches("sip:Bob@example.com", "sip:bob@example.com"));
        assert!(!matches("sip:bob@192.0.2.21", "sip:bob@host.example"));
        assert!(!matches("bob", "sip:bob@example.com"));
        assert!(!matches("", ""));
    }
}
