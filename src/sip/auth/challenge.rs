//! Reading challenges: several headers, several in one header, unknown ones passed over (RFC 3261 §20.44, §22).

use std::borrow::Cow;

use super::{Algorithm, Qop};
use crate::sip::{
    header::{Name, is_token, split_list},
    message::Message,
};

/// How many challenges of one response are looked at.
const MAX_CHALLENGES: usize = 16;
/// How long a realm, nonce or opaque may be, in bytes: it comes back in every request.
const MAX_VALUE: usize = 1024;

/// Who challenges, and by which headers (RFC 3261 §22.2, §22.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The one whom the request is for, by 401.
    Server,
    /// A proxy, by 407.
    Proxy,
}

impl Kind {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Proxy, Self::Server];

    /// Returns the header of the challenge.
    pub const fn challenge(self) -> Name {
        match self {
            Self::Server => Name::WwwAuthenticate,
            Self::Proxy => Name::ProxyAuthenticate,
        }
    }

    /// Returns the header of the credentials.
    pub const fn credentials(self) -> Name {
        match self {
            Self::Server => Name::Authorization,
            Self::Proxy => Name::ProxyAuthorization,
        }
    }
}

/// One challenge that can be answered. Its texts stand as written between the quotes, so that they go back unchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// Who it is from.
    pub kind: Kind,
    /// Whose password is asked for.
    pub realm: Box<str>,
    /// What the response is bound to.
    pub nonce: Box<str>,
    /// Goes back unchanged.
    pub opaque: Option<Box<str>>,
    /// What to compute.
    pub algorithm: Algorithm,
    /// The algorithm as written; none where none was.
    pub named: Option<Box<str>>,
    /// What to cover; none as in RFC 2069.
    pub qop: Option<Qop>,
    /// The nonce that was used is too old; the password may well be right.
    pub stale: bool,
}

impl Challenge {
    /// Reads the challenges of a kind in a response, in their order; those of unknown schemes, algorithms or qops are
    /// left out (AUT-06).
    pub fn all(message: &Message<'_>, kind: Kind) -> Vec<Self> {
        Self::of_lines(message.all(kind.challenge()).filter_map(|line| std::str::from_utf8(line).ok()), kind)
    }

    /// The same of the header's lines alone, as HTTP has them too.
    pub fn of_lines<'a>(lines: impl Iterator<Item = &'a str>, kind: Kind) -> Vec<Self> {
        lines.flat_map(|line| of_line(line, kind)).take(MAX_CHALLENGES).collect()
    }

    /// Reads the parameters of one challenge.
    fn new(kind: Kind, params: &[(&str, &str)]) -> Option<Self> {
        let get = |name: &str| params.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| *value);
        let fits = |value: &&str| value.len() <= MAX_VALUE && !value.contains(|c: char| c.is_control());
        let named = get("algorithm").filter(fits);
        let algorithm = named.map_or(Some(Algorithm::DEFAULT), Algorithm::from_token)?;
        let qop = match get("qop") {
            None => None,
            Some(offered) => {
                let offers = |qop: Qop| offered.split(',').any(|token| token.trim().eq_ignore_ascii_case(qop.token()));
                // Some write an empty list for none.
                match [Qop::Auth, Qop::AuthInt].into_iter().find(|qop| offers(*qop)) {
                    None if !offered.trim().is_empty() => return None,
                    qop => qop,
                }
            }
        };
        // What binds A1 to a cnonce cannot be done without one.
        if algorithm.session && qop.is_none() {
            return None;
        }
        let opaque = match get("opaque") {
            Some(opaque) => Some(fits(&opaque).then_some(opaque)?),
            None => None,
        };
        Some(Self {
            kind,
            realm: get("realm").filter(fits)?.into(),
            nonce: get("nonce").filter(fits)?.into(),
            opaque: opaque.map(Into::into),
            algorithm,
            named: named.map(Into::into),
            qop,
            stale: get("stale").is_some_and(|stale| stale.eq_ignore_ascii_case("true")),
        })
    }

    /// Returns the realm without its escapes.
    pub fn realm(&self) -> Cow<'_, str> {
        unescape(&self.realm)
    }
}

/// Splits a line into challenges: a member that begins with two words begins the next one.
fn of_line(line: &str, kind: Kind) -> Vec<Challenge> {
    let mut challenges = Vec::new();
    let mut current: Option<Vec<(&str, &str)>> = None;
    let mut finish = |params: Option<Vec<_>>| challenges.extend(params.and_then(|p| Challenge::new(kind, &p)));
    for member in split_list(line.as_bytes()) {
        // The line is text, and it was cut at ASCII alone.
        let Ok(member) = std::str::from_utf8(member) else { continue };
        let (word, rest) =
            member.split_at(member.find(|c: char| c.is_whitespace() || c == '=').unwrap_or(member.len()));
        let rest = rest.trim_start();
        let begins = is_token(word) && !rest.starts_with('=');
        let text = if begins {
            finish(current.take());
            current = word.eq_ignore_ascii_case("Digest").then(Vec::new);
            rest
        } else {
            member
        };
        if let Some(params) = &mut current
            && let Some(pair) = pair(text)
        {
            params.push(pair);
        }
    }
    finish(current);
    challenges
}

/// Reads `name=value` or `name="value"`; the value stands as between its quotes.
pub(super) fn pair(text: &str) -> Option<(&str, &str)> {
    let (name, value) = text.split_once('=')?;
    let (name, value) = (name.trim(), value.trim());
    let value = match value.strip_prefix('"') {
        Some(quoted) => quoted.strip_suffix('"').filter(|inside| is_inside(inside))?,
        None => Some(value).filter(|value| !value.contains(['"', '\\']))?,
    };
    is_token(name).then_some((name, value))
}

/// Returns whether a text can stand between quotes as it is.
fn is_inside(text: &str) -> bool {
    let mut bytes = text.bytes();
    while let Some(c) = bytes.next() {
        if c == b'"' || (c == b'\\' && bytes.next().is_none()) {
            return false;
        }
    }
    true
}

/// Takes the escapes out of a quoted string's inside.
pub(super) fn unescape(raw: &str) -> Cow<'_, str> {
    if !raw.contains('\\') {
        return Cow::Borrowed(raw);
    }
    let mut out = String::with_capacity(raw.len());
    let mut chars = raw.chars();
    while let Some(c) = chars.next() {
        out.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::codec::{Framing, decode};

    fn read(lines: &str) -> Vec<Challenge> {
        let text = format!(
            "SIP/2.0 401 Unauthorized\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\n\
             To: <sip:a@h>;tag=2\r\nCall-ID: 1\r\nCSeq: 1 SUBSCRIBE\r\n{lines}Content-Length: 0\r\n\r\n"
        );
        Challenge::all(&decode(text.as_bytes(), Framing::Datagram).unwrap(), Kind::Server)
    }

    fn realms(lines: &str) -> Vec<String> {
        read(lines).iter().map(|challenge| challenge.realm.to_string()).collect()
    }

    #[test]
    fn aut_06_several_challenges_are_read_in_order_and_unknown_ones_left_out() {
        let lines = "WWW-Authenticate: Basic realm=\"no, \\\"never\\\"\", Digest realm=\"a\", nonce=\"1\", \
                     algorithm=FOO,DIGEST realm = \"b\" ,\r\n nonce=\"2, Digest realm=\\\"x\\\"\", \
                     qop=\"auth-int,auth\", Negotiate, AKA\r\n\
                     WWW-Authenticate: Digest algorithm=SHA-256,nonce=3,realm=c,qop=auth-int\r\n\
                     WWW-Authenticate: Digest realm=\"d\", nonce=\"4\", qop=\"token\"\r\n\
                     Proxy-Authenticate: Digest realm=\"e\", nonce=\"5\"\r\n";
        assert_eq!(realms(lines), ["b", "c"]);
        let read = read(lines);
        assert_eq!(
            (read[0].algorithm, read[0].named.as_deref(), read[0].qop),
            (Algorithm::DEFAULT, None, Some(Qop::Auth))
        );
        assert_eq!(&*read[0].nonce, "2, Digest realm=\\\"x\\\"");
        assert_eq!((read[1].named.as_deref(), read[1].qop), (Some("SHA-256"), Some(Qop::AuthInt)));
    }

    #[test]
    fn what_lacks_a_part_or_cannot_be_sent_back_is_no_challenge() {
        for line in [
            "Digest realm=\"a\"",
            "Digest nonce=\"1\"",
            "Digest realm=\"a\", nonce=\"1",
            "Digest realm=\"a\", nonce=x\"y",
            "Digest realm=\"a\" \"b\", nonce=\"1\"",
            "Digest realm=\"a\r\n b\", nonce=\"1\"",
            "Digest realm=\"a\", nonce=\"1\", opaque=\"\t\"",
            "Digest realm=\"a\", nonce=\"1\", algorithm=MD5-sess",
            "realm=\"a\", nonce=\"1\"",
            "",
            ",,=,\"",
        ] {
            assert_eq!(read(&format!("WWW-Authenticate: {line}\r\n")), [], "{line}");
        }
        assert_eq!(read(&format!("WWW-Authenticate: Digest realm=\"a\", nonce=\"{}\"\r\n", "n".repeat(2000))), []);
        let many = "WWW-Authenticate: Digest realm=\"a\", nonce=\"1\"\r\n".repeat(40);
        assert_eq!(read(&many).len(), MAX_CHALLENGES);
    }

    #[test]
    fn stale_is_read_in_any_case_and_an_empty_qop_is_none() {
        let read = read("WWW-Authenticate: Digest realm=\"\", nonce=\"\", stale=TRUE, qop=\"\", algorithm=\"MD5\"\r\n");
        assert!(read[0].stale && read[0].qop.is_none());
        assert_eq!(unescape("a\\\"b\\\\c"), "a\"b\\c");
    }
}
