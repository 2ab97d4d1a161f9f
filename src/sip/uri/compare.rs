//! When two URIs mean the same (RFC 3261 §19.1.4).

use super::{Host, Scheme, UriRef};

impl UriRef<'_> {
    /// Compares as RFC 3261 §19.1.4 says; what repeats a parameter with another value equals only itself, and so
    /// does what has more than 64 of them.
    pub fn equals(&self, other: &UriRef<'_>) -> bool {
        const BOTH: [&str; 5] = ["user", "ttl", "method", "maddr", "transport"];
        /// Each parameter is looked for in the other URI; more than these nobody needs.
        const MOST: usize = 64;
        if self.text == other.text {
            return true;
        }
        if self.scheme != other.scheme || !self.scheme_text().eq_ignore_ascii_case(other.scheme_text()) {
            return false;
        }
        if !matches!(self.scheme, Scheme::Sip | Scheme::Sips) {
            return unescape_eq(self.text, other.text, true);
        }
        let user_equal = match (self.user, other.user) {
            (Some(a), Some(b)) => unescape_eq(a, b, false),
            (None, None) => true,
            _ => false,
        };
        user_equal
            && self.password == other.password
            && self.host_equals(other)
            && self.port == other.port
            && BOTH.iter().all(|name| same_value(self.param(name), other.param(name)))
            && self.params().nth(MOST).is_none()
            && other.params().nth(MOST).is_none()
            && self.agrees_with(other)
            && other.agrees_with(self)
            && same_headers(self.headers, other.headers)
    }

    /// Returns whether every parameter that is in both has one value.
    fn agrees_with(&self, other: &UriRef<'_>) -> bool {
        self.params()
            .all(|(name, value)| other.param(name).is_none_or(|v| unescape_eq(v, value.unwrap_or_default(), true)))
    }

    /// Returns whether both name the same host, by address or by name without case.
    pub fn host_equals(&self, other: &UriRef<'_>) -> bool {
        match (self.host, other.host) {
            (Host::Ip(a), Host::Ip(b)) => a == b,
            (Host::Name(a), Host::Name(b)) => a.eq_ignore_ascii_case(b),
            _ => false,
        }
    }
}

fn same_value(a: Option<&str>, b: Option<&str>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => unescape_eq(a, b, true),
        (None, None) => true,
        _ => false,
    }
}

fn same_headers(a: Option<&str>, b: Option<&str>) -> bool {
    let sorted = |text: Option<&str>| {
        let mut parts: Vec<Vec<u8>> = text
            .unwrap_or_default()
            .split('&')
            .filter(|p| !p.is_empty())
            .map(|p| unescaped(p).to_ascii_lowercase())
            .collect();
        parts.sort();
        parts
    };
    a == b || sorted(a) == sorted(b)
}

pub(super) fn unescape_eq(a: &str, b: &str, ignore_case: bool) -> bool {
    if a == b {
        return true;
    }
    let (a, b) = (unescaped(a), unescaped(b));
    if ignore_case { a.eq_ignore_ascii_case(&b) } else { a == b }
}

/// Resolves `%HH` escapes byte by byte.
pub(super) fn unescaped(text: &str) -> Vec<u8> {
    let (mut out, mut bytes) = (Vec::with_capacity(text.len()), text.bytes());
    while let Some(c) = bytes.next() {
        let mut ahead = bytes.clone();
        let digit = |c: Option<u8>| c.and_then(|c| char::from(c).to_digit(16));
        if c == b'%'
            && let (Some(high), Some(low)) = (digit(ahead.next()), digit(ahead.next()))
        {
            out.push((high * 16 + low) as u8);
            bytes = ahead;
            continue;
        }
        out.push(c);
    }
    out
}
