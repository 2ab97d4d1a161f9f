//! Entity-tags, and the conditions that go by them (RFC 9110 §8.8.3, §13; RFC 4825 §7.11, §8.5).
//!
//! The tag of a document is of its bytes alone: it is another one when anything in it is, it is the same after a restart,
//! and nobody has to keep it.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use crate::net::http::{HeaderMap, HeaderName, HeaderValue, Method, header};

/// What came of the conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fits {
    /// They hold, or there are none.
    Yes,
    /// Whoever reads has it already.
    NotModified,
    /// They do not hold.
    No,
}

/// Returns the strong entity-tag of a document.
pub(super) fn etag(body: impl AsRef<[u8]>) -> HeaderValue {
    let mut tag = String::with_capacity(34);
    tag.push('"');
    for byte in Sha256::digest(body).iter().take(16) {
        // A string takes every write.
        let _ = write!(tag, "{byte:02x}");
    }
    tag.push('"');
    HeaderValue::from_str(&tag).expect("hex in quotes can stand in a header")
}

/// Says whether the conditions of a request hold for a document with this tag, or for none (RFC 9110 §13.2.2).
pub(super) fn fits(method: &Method, headers: &HeaderMap, tag: Option<&HeaderValue>) -> Fits {
    if headers.contains_key(header::IF_MATCH) && !any(headers, &header::IF_MATCH, tag, false) {
        return Fits::No;
    }
    if headers.contains_key(header::IF_NONE_MATCH) && any(headers, &header::IF_NONE_MATCH, tag, true) {
        return if [Method::GET, Method::HEAD].contains(method) { Fits::NotModified } else { Fits::No };
    }
    Fits::Yes
}

/// Returns whether one of the tags is this one; `*` is any that there is, and a weak one counts where it may.
fn any(headers: &HeaderMap, name: &HeaderName, tag: Option<&HeaderValue>, weak: bool) -> bool {
    let Some(tag) = tag.and_then(|tag| tag.to_str().ok()) else { return false };
    headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).any(|value| {
        let mut rest = value.trim();
        if rest == "*" {
            return true;
        }
        while !rest.is_empty() {
            let strong = rest.strip_prefix("W/").unwrap_or(rest);
            let Some(end) = strong.strip_prefix('"').and_then(|inside| inside.find('"')) else { return false };
            let (shown, after) = strong.split_at(end + 2);
            if shown == tag && (weak || strong.len() == rest.len()) {
                return true;
            }
            rest = after.trim_start_matches([',', ' ', '\t']);
        }
        false
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xcp_05_conditions_go_by_the_tag_of_the_bytes() {
        use Fits::{No, NotModified, Yes};
        let (a, b) = (etag("a"), etag("b"));
        assert_ne!(a, b);
        assert_eq!(a, etag("a"));
        let (mine, other) = (a.to_str().unwrap(), b.to_str().unwrap());
        let said = |name: &HeaderName, value: &str| {
            let headers = HeaderMap::from_iter([(name.clone(), HeaderValue::from_str(value).unwrap())]);
            [Method::GET, Method::PUT].map(|method| [Some(&a), None].map(|tag| fits(&method, &headers, tag)))
        };
        for (value, expected) in [
            (mine.to_owned(), [[Yes, No], [Yes, No]]),
            ("*".to_owned(), [[Yes, No], [Yes, No]]),
            (format!("\"x,y\", {mine}"), [[Yes, No], [Yes, No]]),
            (other.to_owned(), [[No, No], [No, No]]),
            (format!("W/{mine}"), [[No, No], [No, No]]),
            (mine.replace('"', ""), [[No, No], [No, No]]),
            (format!("nonsense, {mine}"), [[No, No], [No, No]]),
            (String::new(), [[No, No], [No, No]]),
        ] {
            assert_eq!(said(&header::IF_MATCH, &value), expected, "{value}");
        }
        for (value, expected) in [
            (mine.to_owned(), [[NotModified, Yes], [No, Yes]]),
            ("*".to_owned(), [[NotModified, Yes], [No, Yes]]),
            (format!("{other},W/{mine}"), [[NotModified, Yes], [No, Yes]]),
            (other.to_owned(), [[Yes, Yes], [Yes, Yes]]),
            (String::new(), [[Yes, Yes], [Yes, Yes]]),
        ] {
            assert_eq!(said(&header::IF_NONE_MATCH, &value), expected, "{value}");
        }
        let both = HeaderMap::from_iter([(header::IF_MATCH, a.clone()), (header::IF_NONE_MATCH, b)]);
        assert_eq!(fits(&Method::PUT, &both, Some(&a)), Yes);
    }
}
