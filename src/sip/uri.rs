//! SIP, `pres:`, `tel:` and other URIs (RFC 3261 §19.1, RFC 3859, RFC 3966): borrowed views and owned text.

mod compare;

use std::{
    fmt,
    hash::{Hash, Hasher},
    net::{IpAddr, Ipv6Addr},
    str::FromStr,
};

use thiserror::Error;

/// Why a text is no URI that can be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum UriError {
    /// Nothing before the colon, or no colon.
    #[error("no scheme: an address begins with `sip:`")]
    Scheme,
    /// A blank, a control character or an angle bracket.
    #[error("a blank, control character or angle bracket inside")]
    Character,
    /// Nothing where the host belongs.
    #[error("no host")]
    Host,
    /// Brackets that hold no IPv6 address, or an IPv6 address without them.
    #[error("an IPv6 address stands in brackets, as in `sip:bob@[::1]`")]
    Ipv6,
    /// Not a number from 1 to 65535.
    #[error("the port is no number from 1 to 65535")]
    Port,
}

/// The schemes that mean something here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// `sip:`
    Sip,
    /// `sips:`: TLS on every hop.
    Sips,
    /// `pres:`: a presentity, wherever it is served (RFC 3859).
    Pres,
    /// `tel:`: a number.
    Tel,
    /// Any other; such a URI has neither user nor port.
    Other,
}

/// A host as it stands in a URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host<'a> {
    /// An address.
    Ip(IpAddr),
    /// A name; compared without case.
    Name(&'a str),
}

/// A parsed view of a URI.
#[derive(Clone, Copy, Debug)]
pub struct UriRef<'a> {
    text: &'a str,
    scheme: Scheme,
    user: Option<&'a str>,
    password: Option<&'a str>,
    host: Host<'a>,
    host_text: &'a str,
    port: Option<u16>,
    params: &'a str,
    headers: Option<&'a str>,
}

/// The bytes that no URI may hold.
const FORBIDDEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut c = 0;
    while c < 256 {
        table[c] = matches!(c as u8, 0..=b' ' | 0x7f | b'<' | b'>' | b'"' | b'\\');
        c += 1;
    }
    table
};

impl<'a> UriRef<'a> {
    /// Reads a URI.
    ///
    /// # Errors
    /// When its scheme, host or port cannot be told, or a character stands in it that no URI may hold.
    pub fn parse(text: &'a str) -> Result<Self, UriError> {
        if text.bytes().any(|c| FORBIDDEN[usize::from(c)]) {
            return Err(UriError::Character);
        }
        let colon = memchr::memchr(b':', text.as_bytes()).ok_or(UriError::Scheme)?;
        let (scheme_text, rest) = (&text[..colon], &text[colon + 1..]);
        let mut letters = scheme_text.bytes();
        if !letters.next().is_some_and(|c| c.is_ascii_alphabetic())
            || !letters.all(|c| c.is_ascii_alphanumeric() || matches!(c, b'+' | b'-' | b'.'))
        {
            return Err(UriError::Scheme);
        }
        let scheme = scheme_of(scheme_text);
        match scheme {
            Scheme::Sip | Scheme::Sips => Self::parse_sip(text, scheme, rest),
            Scheme::Pres => {
                // RFC 3859: a mailbox, then perhaps headers.
                let (mailbox, headers) = split_once(rest, b'?');
                let (user, host) = mailbox.rsplit_once('@').map_or((None, mailbox), |(u, h)| (Some(u), h));
                let (host, host_text, port) = host_port(host)?;
                Ok(Self { text, scheme, user, password: None, host, host_text, port, params: "", headers })
            }
            Scheme::Tel | Scheme::Other => {
                if rest.is_empty() {
                    return Err(UriError::Host);
                }
                let end = memchr::memchr(b';', rest.as_bytes()).unwrap_or(rest.len());
                let (number, params) = rest.split_at(end);
                let host = Host::Name(number);
                Ok(Self {
                    text,
                    scheme,
                    user: None,
                    password: None,
                    host,
                    host_text: number,
                    port: None,
                    params,
                    headers: None,
                })
            }
        }
    }

    fn parse_sip(text: &'a str, scheme: Scheme, rest: &'a str) -> Result<Self, UriError> {
        // An `@` cannot stand unescaped in host, parameters or headers, so the last one ends the user part,
        // which itself may hold `;`, `?` and more.
        let (userinfo, rest) = match memchr::memrchr(b'@', rest.as_bytes()) {
            Some(at) => (Some(&rest[..at]), &rest[at + 1..]),
            None => (None, rest),
        };
        let (user, password) = match userinfo {
            Some(info) => {
                let (user, password) = split_once(info, b':');
                (Some(user), password)
            }
            None => (None, None),
        };
        if user == Some("") {
            return Err(UriError::Host);
        }
        let (rest, headers) = split_once(rest, b'?');
        let end = memchr::memchr(b';', rest.as_bytes()).unwrap_or(rest.len());
        let (hostport, params) = rest.split_at(end);
        let (host, host_text, port) = host_port(hostport)?;
        Ok(Self { text, scheme, user, password, host, host_text, port, params, headers })
    }

    /// Returns the whole text.
    pub fn as_str(&self) -> &'a str {
        self.text
    }

    /// Returns the scheme.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Returns the scheme as written, without its colon.
    pub fn scheme_text(&self) -> &'a str {
        self.text.split(':').next().unwrap_or_default()
    }

    /// Returns the user part as written, without a password.
    pub fn user(&self) -> Option<&'a str> {
        self.user
    }

    /// Returns the password, which RFC 3261 advises against.
    pub fn password(&self) -> Option<&'a str> {
        self.password
    }

    /// Returns the host.
    pub fn host(&self) -> Host<'a> {
        self.host
    }

    /// Returns the host as written, an IPv6 address in its brackets.
    pub fn host_text(&self) -> &'a str {
        self.host_text
    }

    /// Returns the port if one is written.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// Returns the value of a parameter, empty if it has none; the name is compared without case, its escapes
    /// stand for their characters.
    pub fn param(&self, name: &str) -> Option<&'a str> {
        let is_it = |n: &str| n.eq_ignore_ascii_case(name) || (n.contains('%') && compare::unescape_eq(n, name, true));
        self.params().find(|(n, _)| is_it(n)).map(|(_, value)| value.unwrap_or_default())
    }

    /// Returns whether a parameter is there.
    pub fn has_param(&self, name: &str) -> bool {
        self.param(name).is_some()
    }

    /// Goes through the parameters.
    pub fn params(&self) -> impl Iterator<Item = (&'a str, Option<&'a str>)> {
        self.params.split(';').filter(|p| !p.is_empty()).map(|p| split_once(p, b'='))
    }

    /// Returns the `transport` parameter.
    pub fn transport(&self) -> Option<&'a str> {
        self.param("transport").filter(|t| !t.is_empty())
    }

    /// Returns whether the URI names a loose router (`lr`).
    pub fn is_loose_router(&self) -> bool {
        self.has_param("lr")
    }

    /// Returns what follows the question mark.
    pub fn headers(&self) -> Option<&'a str> {
        self.headers
    }

    /// Returns the address of record: scheme, user and host, the host in lower case, nothing else.
    pub fn aor(&self) -> String {
        let scheme = self.scheme_text().to_ascii_lowercase();
        let host = self.host_text.to_ascii_lowercase();
        match self.user {
            Some(user) => format!("{scheme}:{user}@{host}"),
            None => format!("{scheme}:{host}"),
        }
    }

    /// Returns the `sip:` URI with the user and the domain of a `pres:` one, any other as it is (RFC 3861 §3): what
    /// stands in a request for it, whichever server that goes to.
    ///
    /// # Errors
    /// When the user part is one that a `sip:` URI cannot carry.
    pub fn to_sip(&self) -> Result<Uri, UriError> {
        if self.scheme() != Scheme::Pres {
            return Ok(self.to_owned());
        }
        let user = self.user().map_or(String::new(), |user| format!("{user}@"));
        format!("sip:{user}{}", self.host_text()).parse()
    }

    /// Copies the text.
    pub fn to_owned(&self) -> Uri {
        Uri(self.text.into())
    }
}

impl fmt::Display for UriRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text)
    }
}

fn scheme_of(text: &str) -> Scheme {
    let is = |scheme: &str| text.eq_ignore_ascii_case(scheme);
    match text.len() {
        3 if is("sip") => Scheme::Sip,
        3 if is("tel") => Scheme::Tel,
        4 if is("sips") => Scheme::Sips,
        4 if is("pres") => Scheme::Pres,
        _ => Scheme::Other,
    }
}

fn split_once(text: &str, at: u8) -> (&str, Option<&str>) {
    match memchr::memchr(at, text.as_bytes()) {
        Some(i) => (&text[..i], Some(&text[i + 1..])),
        None => (text, None),
    }
}

/// Reads `host [":" port]`, as Via's sent-by has it too.
pub(super) fn host_port(text: &str) -> Result<(Host<'_>, &str, Option<u16>), UriError> {
    let (host, port) = if text.starts_with('[') {
        let end = memchr::memchr(b']', text.as_bytes()).ok_or(UriError::Ipv6)?;
        let rest = &text[end + 1..];
        let port = match rest.strip_prefix(':') {
            Some(port) => Some(port),
            None if rest.is_empty() => None,
            None => return Err(UriError::Ipv6),
        };
        (&text[..=end], port)
    } else {
        let (host, port) = split_once(text, b':');
        if port.is_some_and(|p| p.contains(':')) {
            return Err(UriError::Ipv6);
        }
        (host, port)
    };
    let port = match port {
        Some(digits) if !digits.is_empty() && digits.bytes().all(|c| c.is_ascii_digit()) => {
            Some(digits.parse().ok().filter(|port| *port != 0).ok_or(UriError::Port)?)
        }
        Some(_) => return Err(UriError::Port),
        None => None,
    };
    let parsed = if let Some(inner) = host.strip_prefix('[') {
        let ip: Ipv6Addr = inner.trim_end_matches(']').parse().map_err(|_| UriError::Ipv6)?;
        Host::Ip(IpAddr::V6(ip))
    } else {
        if host.is_empty()
            || !host.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'.' | b'_') || c >= 0x80)
        {
            return Err(UriError::Host);
        }
        // Only what begins with a digit can be an address; names are the common case.
        let ip = host.as_bytes()[0].is_ascii_digit().then(|| host.parse().ok()).flatten();
        ip.map_or(Host::Name(host), |ip| Host::Ip(IpAddr::V4(ip)))
    };
    Ok((parsed, host, port))
}
/// A URI of its own; two are equal when their texts are.
#[derive(Clone)]
pub struct Uri(Box<str>);

impl Uri {
    /// Makes a `sip:` URI; what may not stand in a user part is escaped. `params` begins with `;` or is empty.
    ///
    /// # Errors
    /// When the host or the parameters cannot stand in a URI.
    pub fn sip(user: Option<&str>, host: &str, port: Option<u16>, params: &str) -> Result<Self, UriError> {
        let mut text = String::from("sip:");
        if let Some(user) = user {
            text.push_str(&escape_user(user));
            text.push('@');
        }
        text.push_str(host);
        if let Some(port) = port {
            text.extend([":", &port.to_string()]);
        }
        text.push_str(params);
        text.parse()
    }

    /// Returns the parsed view.
    ///
    /// # Panics
    /// Never: the text was parsed when the URI was made.
    pub fn as_ref(&self) -> UriRef<'_> {
        UriRef::parse(&self.0).expect("the text was parsed when the URI was made")
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Escapes what may not stand in a user part (RFC 3261 §25.1).
pub fn escape_user(user: &str) -> String {
    let mut out = String::with_capacity(user.len());
    for c in user.bytes() {
        let plain = c.is_ascii_alphanumeric() || b"-_.!~*'()&=+$,;?/".contains(&c);
        if plain {
            out.push(char::from(c));
        } else {
            let digit = |n: u8| char::from(b"0123456789ABCDEF"[usize::from(n)]);
            out.extend(['%', digit(c >> 4), digit(c & 15)]);
        }
    }
    out
}

/// Resolves the escapes of a user part: the user as people write it. What is no UTF-8 then is replaced.
pub fn unescape_user(user: &str) -> String {
    String::from_utf8_lossy(&compare::unescaped(user)).into_owned()
}

impl FromStr for Uri {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        UriRef::parse(text).map(|uri| uri.to_owned())
    }
}

impl TryFrom<String> for Uri {
    type Error = UriError;

    fn try_from(text: String) -> Result<Self, UriError> {
        UriRef::parse(&text)?;
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl PartialEq for Uri {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Uri {}

impl Hash for Uri {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> (Option<&str>, &str, Option<u16>) {
        let uri = UriRef::parse(text).unwrap();
        (uri.user(), uri.host_text(), uri.port())
    }

    #[test]
    fn a_user_part_reads_as_people_write_it() {
        for user in ["alice.smith", "Jörg \"X\" <ü>", "a%b", "50%25"] {
            assert_eq!(unescape_user(&escape_user(user)), user);
        }
        assert_eq!(unescape_user("a%4g%"), "a%4g%");
    }

    #[test]
    fn par_06_uri_comparison() {
        let equal = [
            ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"),
            ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
            ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;newparam=5"),
            (
                "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
                "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
            ),
            ("sip:a@[2001:db8::1]", "sip:a@[2001:0db8:0::1]"),
            ("sip:a@h;x=1;x=2", "sip:a@h;x=1;x=2"),
        ];
        let many = |last: &str| format!("sip:a@h{};z={last}", ";x".repeat(64));
        let [one, two] = [many("1"), many("2")];
        assert!(UriRef::parse(&one).unwrap().equals(&UriRef::parse(&one).unwrap()));
        assert!(!UriRef::parse(&one).unwrap().equals(&UriRef::parse(&two).unwrap()));
        let unequal = [
            ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
            ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
            ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
            ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"),
            ("sip:a@h", "sips:a@h"),
            ("sip:a@h;x=1;x=2", "sip:a@h;x=1"),
            ("sip:h", "sip:a@h"),
        ];
        for (a, b) in equal {
            assert!(UriRef::parse(a).unwrap().equals(&UriRef::parse(b).unwrap()), "{a} = {b}");
            assert!(UriRef::parse(b).unwrap().equals(&UriRef::parse(a).unwrap()), "{b} = {a}");
        }
        for (a, b) in unequal {
            assert!(!UriRef::parse(a).unwrap().equals(&UriRef::parse(b).unwrap()), "{a} != {b}");
            assert!(!UriRef::parse(b).unwrap().equals(&UriRef::parse(a).unwrap()), "{b} != {a}");
        }
    }

    #[test]
    fn par_07_the_user_part_may_hold_separators() {
        assert_eq!(parts("sip:+1-212-555;ext=5@gw"), (Some("+1-212-555;ext=5"), "gw", None));
        assert_eq!(parts("sip:alice.smith@host"), (Some("alice.smith"), "host", None));
        assert_eq!(parts("sip:a;b=c/d?e&f+g$h,i@h:5070"), (Some("a;b=c/d?e&f+g$h,i"), "h", Some(5070)));
        assert_eq!(UriRef::parse("sip:a:secret@h").unwrap().password(), Some("secret"));
    }

    #[test]
    fn par_08_ipv6_references() {
        assert_eq!(parts("sip:[2001:db8::9:1]:5070"), (None, "[2001:db8::9:1]", Some(5070)));
        assert_eq!(UriRef::parse("sip:a@[::1]").unwrap().host(), Host::Ip("::1".parse().unwrap()));
        assert_eq!(UriRef::parse("sip:a@[::ffff:192.0.2.1]").unwrap().port(), None);
        assert_eq!(UriRef::parse("sip:a@2001:db8::1").unwrap_err(), UriError::Ipv6);
        assert_eq!(UriRef::parse("sip:a@[2001:db8::1").unwrap_err(), UriError::Ipv6);
        assert_eq!(UriRef::parse("sip:a@[fe80::1%eth0]").unwrap_err(), UriError::Ipv6);
    }

    #[test]
    fn res_14_pres_uris_keep_their_escapes_and_headers() {
        let uri = UriRef::parse("pres:fred%20k@example.com?subject=a").unwrap();
        assert_eq!((uri.user(), uri.host_text(), uri.headers()), (Some("fred%20k"), "example.com", Some("subject=a")));
        assert_eq!(uri.as_str(), "pres:fred%20k@example.com?subject=a");
    }

    #[test]
    fn other_schemes_are_opaque() {
        assert_eq!(UriRef::parse("tel:+12015550123;phone-context=x").unwrap().host_text(), "+12015550123");
        assert_eq!(UriRef::parse("urn:service:sos").unwrap().scheme(), Scheme::Other);
    }

    #[test]
    fn what_is_no_uri_is_refused_with_its_reason() {
        for (text, error) in [
            ("", UriError::Scheme),
            ("alice", UriError::Scheme),
            ("1sip:a@h", UriError::Scheme),
            ("sip:", UriError::Host),
            ("sip:a@", UriError::Host),
            ("sip:@h", UriError::Host),
            ("sip:a@h:0", UriError::Port),
            ("sip:a@h:99999", UriError::Port),
            ("sip:a@h:", UriError::Port),
            ("sip:a b@h", UriError::Character),
            ("<sip:a@h>", UriError::Character),
            ("sip:a@h\r\nX: y", UriError::Character),
            ("sip:a@$(rm)", UriError::Host),
        ] {
            assert_eq!(UriRef::parse(text).unwrap_err(), error, "{text:?}");
        }
    }

    #[test]
    fn a_user_is_escaped_into_a_uri_and_the_aor_is_bare() {
        let uri = Uri::sip(Some("$(rm -rf ~)"), "Host", Some(5070), ";transport=tcp").unwrap();
        assert_eq!(uri.as_str(), "sip:$(rm%20-rf%20~)@Host:5070;transport=tcp");
        assert_eq!(uri.as_ref().aor(), "sip:$(rm%20-rf%20~)@host");
    }
}
