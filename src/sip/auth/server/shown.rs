//! Reading credentials: Authorization, as a client shows it (RFC 7616 §3.4, RFC 3261 §20.7).

use super::super::{
    Algorithm, Kind,
    challenge::{pair, unescape},
};
use crate::sip::{header::split_list, message::Message};

/// How many credentials of one request are looked at.
const MAX_SHOWN: usize = 8;
/// How long any part may be, in bytes.
const MAX_VALUE: usize = 1024;

/// The credentials for one realm, without quotes and escapes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) user: String,
    pub(super) nonce: String,
    pub(super) uri: String,
    pub(super) response: String,
    pub(super) algorithm: Algorithm,
    pub(super) cnonce: String,
    pub(super) nc: u32,
}

impl Shown {
    /// Returns whether a request has credentials for a realm, of whatever kind.
    pub(super) fn is_in(message: &Message<'_>, kind: Kind, realm: &str) -> bool {
        params(message, kind).any(|params| get(&params, "realm").is_some_and(|named| named == realm))
    }

    /// Returns the first credentials of a request for a realm that answer a challenge of ours: with `qop=auth`, a count
    /// and a cnonce, and not bound to a session.
    pub(super) fn of(message: &Message<'_>, kind: Kind, realm: &str) -> Option<Self> {
        params(message, kind).find_map(|params| {
            let get = |name| get(&params, name);
            if get("realm")? != realm || !get("qop")?.eq_ignore_ascii_case("auth") {
                return None;
            }
            let algorithm = get("algorithm").map_or(Some(Algorithm::DEFAULT), |token| Algorithm::from_token(&token))?;
            let nc = get("nc").filter(|nc| nc.len() == 8 && nc.bytes().all(|c| c.is_ascii_hexdigit()))?;
            let shown = Self {
                user: get("username")?,
                nonce: get("nonce")?,
                uri: get("uri")?,
                response: get("response")?.to_ascii_lowercase(),
                algorithm,
                cnonce: get("cnonce")?,
                nc: u32::from_str_radix(&nc, 16).ok()?,
            };
            (!algorithm.session).then_some(shown)
        })
    }
}

/// Goes through the digests of a request, each with its parameters as they stand between quotes.
fn params<'a>(message: &Message<'a>, kind: Kind) -> impl Iterator<Item = Vec<(&'a str, &'a str)>> {
    let lines = message.all(kind.credentials()).filter_map(|line| std::str::from_utf8(line).ok());
    let digests = lines.filter_map(|line| {
        let (scheme, rest) = line.trim().split_once(char::is_whitespace)?;
        scheme.eq_ignore_ascii_case("Digest").then_some(rest)
    });
    digests.take(MAX_SHOWN).map(|line| {
        // The line is text, and it is cut at ASCII alone.
        let members = split_list(line.as_bytes()).filter_map(|member| std::str::from_utf8(member).ok());
        members.filter_map(pair).collect()
    })
}

fn get(params: &[(&str, &str)], name: &str) -> Option<String> {
    let mut all = params.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
    let (_, value) = all.next()?;
    // Who says one thing twice may mean two things.
    (all.next().is_none() && value.len() <= MAX_VALUE).then(|| unescape(value).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::{
        auth::Hash,
        codec::{Framing, decode},
    };

    const WHOLE: &str = "Digest username=\"b\\\"ob\", realm=\"r\", nonce=\"n\", uri=\"sip:a@h\", response=\"AB\", \
                         algorithm=SHA-256, cnonce=\"c, d\", qop=auth, nc=0000000a";

    fn read(lines: &[&str]) -> Option<Shown> {
        let lines: String = lines.iter().flat_map(|line| ["Authorization: ", line, "\r\n"]).collect();
        let text = format!(
            "SUBSCRIBE sip:a@h SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nMax-Forwards: 70\r\nFrom: <sip:b@h>;tag=1\r\n\
             To: <sip:a@h>\r\nCall-ID: 1\r\nCSeq: 1 SUBSCRIBE\r\n{lines}Content-Length: 0\r\n\r\n"
        );
        let message = decode(text.as_bytes(), Framing::Datagram).unwrap();
        assert!(Shown::is_in(&message, Kind::Server, "r") || Shown::of(&message, Kind::Server, "r").is_none());
        Shown::of(&message, Kind::Server, "r")
    }

    #[test]
    fn credentials_for_our_realm_are_found_among_others() {
        let shown = read(&["Basic YTpi", &WHOLE.replace("\"r\"", "\"other\""), WHOLE]).unwrap();
        let expected = Shown {
            user: "b\"ob".into(),
            nonce: "n".into(),
            uri: "sip:a@h".into(),
            response: "ab".into(),
            algorithm: Algorithm { hash: Hash::Sha256, session: false },
            cnonce: "c, d".into(),
            nc: 10,
        };
        assert_eq!(shown, expected);
        let md5 = read(&[&WHOLE.replace("algorithm=SHA-256, ", "").replace("qop=auth", "qop=\"AUTH\"")]).unwrap();
        assert_eq!(md5.algorithm, Algorithm::DEFAULT);
    }

    #[test]
    fn what_answers_no_challenge_of_ours_is_left_out() {
        for (part, other) in [
            ("qop=auth, ", ""),
            ("qop=auth", "qop=auth-int"),
            ("nc=0000000a", "nc=a"),
            ("nc=0000000a", "nc=+000000a"),
            ("cnonce=\"c, d\", ", ""),
            ("SHA-256", "SHA-256-sess"),
            ("SHA-256", "FOO"),
            ("username=\"b\\\"ob\"", "username=\"bob\", username=\"eve\""),
            ("username=\"b\\\"ob\", ", ""),
            ("response=\"AB\"", "response=\"A\"B\""),
            ("Digest ", "digest"),
        ] {
            assert!(WHOLE.contains(part));
            assert_eq!(read(&[&WHOLE.replace(part, other)]), None, "{other}");
        }
        assert_eq!(read(&[&WHOLE.replace("\"c, d\"", &format!("\"{}\"", "c".repeat(2000)))]), None);
        assert_eq!(read(&[]), None);
    }
}
