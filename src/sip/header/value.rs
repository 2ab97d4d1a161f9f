//! Typed header values and the scanners that they share.

use std::borrow::Cow;

use super::{HeaderError, Name};
use crate::sip::uri::{UriRef, host_port};

/// What a byte may be part of, so that scanning takes one look at each.
const CLASS: [u8; 256] = classes();
const TOKEN: u8 = 1;
const BLANK: u8 = 2;
/// Ends a parameter's value that is not quoted.
const END: u8 = 4;

const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut c = 0;
    while c < 256 {
        table[c] = match c as u8 {
            b'A'..=b'Z'
            | b'a'..=b'z'
            | b'0'..=b'9'
            | b'-'
            | b'.'
            | b'!'
            | b'%'
            | b'*'
            | b'_'
            | b'+'
            | b'`'
            | b'\''
            | b'~' => TOKEN,
            b' ' | b'\t' | b'\r' | b'\n' => BLANK | END,
            b';' | b'"' | b',' | b'<' | b'>' => END,
            _ => 0,
        };
        c += 1;
    }
    table
}

fn is(c: u8, class: u8) -> bool {
    CLASS[usize::from(c)] & class != 0
}

/// Returns the length of the run of bytes at the front that are, or are not, of a class.
fn run(text: &str, class: u8, wanted: bool) -> usize {
    text.bytes().position(|c| is(c, class) != wanted).unwrap_or(text.len())
}

fn trim_start(text: &str) -> &str {
    &text[run(text, BLANK, true)..]
}

fn trim(text: &str) -> &str {
    let text = trim_start(text);
    let end = text.bytes().rposition(|c| !is(c, BLANK)).map_or(0, |last| last + 1);
    &text[..end]
}

fn text_of(value: &[u8], name: Name) -> Result<&str, HeaderError> {
    std::str::from_utf8(value).map(trim).map_err(|_| HeaderError::Malformed(name))
}

/// Returns whether the text is a token (RFC 3261 §25.1).
pub fn is_token(text: &str) -> bool {
    !text.is_empty() && run(text, TOKEN, true) == text.len()
}

/// Returns the length of the token at the front; none when there is no token.
pub fn token_len(bytes: &[u8]) -> usize {
    bytes.iter().position(|c| !is(*c, TOKEN)).unwrap_or(bytes.len())
}

/// Finds the first `stop` outside quoted strings; `Err` when a quote stays open.
fn find_outside(text: &str, stop: u8) -> Result<Option<usize>, ()> {
    let bytes = text.as_bytes();
    let mut i = 0;
    while let Some(&c) = bytes.get(i) {
        if c == stop {
            return Ok(Some(i));
        }
        i += if c == b'"' { quoted_len(&bytes[i..]).ok_or(())? } else { 1 };
    }
    Ok(None)
}

/// Returns the length of the quoted string at the front, its quotes included.
fn quoted_len(bytes: &[u8]) -> Option<usize> {
    let mut i = 1;
    loop {
        match *bytes.get(i)? {
            b'\\' => i += 2,
            b'"' => return Some(i + 1),
            _ => i += 1,
        }
    }
}

/// Splits a value at the commas that separate list members; an unbalanced rest comes out whole.
pub fn split_list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(value);
    std::iter::from_fn(move || {
        let value = rest.take()?;
        let (mut i, mut quoted, mut angled) = (0, false, false);
        while let Some(&c) = value.get(i) {
            match c {
                b'\\' if quoted => i += 1,
                b'"' => quoted = !quoted,
                _ if quoted => {}
                b'<' => angled = true,
                b'>' => angled = false,
                b',' if !angled => {
                    rest = Some(&value[i + 1..]);
                    return Some(value[..i].trim_ascii());
                }
                _ => {}
            }
            i += 1;
        }
        Some(value.trim_ascii())
    })
    .filter(|member| !member.is_empty())
}

/// Reads delta-seconds; what exceeds 2³²−1 is capped, what is no number is none (PAR-11).
pub fn delta_seconds(value: &[u8]) -> Option<u32> {
    let digits = value.trim_ascii();
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0u32, |n, d| n.saturating_mul(10).saturating_add(u32::from(d - b'0'))))
}

/// A list of `;name` and `;name=value`, with blanks allowed around `;` and `=`; values are kept as written.
#[derive(Clone, Copy, Debug, Default)]
pub struct Params<'a>(&'a str);

impl<'a> Params<'a> {
    /// Reads a list that begins with `;` or is empty, and shows each parameter.
    fn parse(text: &'a str, name: Name, mut each: impl FnMut(&'a str, Option<&'a str>)) -> Result<Self, HeaderError> {
        let params = Self(trim(text));
        let mut rest = params.0;
        while !rest.is_empty() {
            let (param, value, after) = param(rest).ok_or(HeaderError::Malformed(name))?;
            each(param, value);
            rest = after;
        }
        Ok(params)
    }

    /// Returns a parameter's value as written, empty if it has none; names are compared without case.
    pub fn get(self, name: &str) -> Option<&'a str> {
        self.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.unwrap_or_default())
    }

    /// Goes through the parameters in order.
    pub fn iter(self) -> impl Iterator<Item = (&'a str, Option<&'a str>)> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let (name, value, after) = param(rest)?;
            rest = after;
            Some((name, value))
        })
    }

    /// Returns the list as written.
    pub fn as_str(self) -> &'a str {
        self.0
    }
}

/// Reads `;name`, `;name=token` or `;name="text"` at the front; returns what follows too, from the next `;` on.
fn param(text: &str) -> Option<(&str, Option<&str>, &str)> {
    let text = trim_start(text.strip_prefix(';')?);
    let (name, rest) = text.split_at(run(text, TOKEN, true));
    let mut rest = trim_start(rest);
    let mut value = None;
    if let Some(text) = rest.strip_prefix('=') {
        let text = trim_start(text);
        let len = if text.starts_with('"') { quoted_len(text.as_bytes())? } else { run(text, END, false) };
        value = Some(&text[..len]);
        rest = trim_start(&text[len..]);
    }
    let complete = !name.is_empty() && value != Some("") && (rest.is_empty() || rest.starts_with(';'));
    complete.then_some((name, value, rest))
}

/// One hop of the path that a request took.
#[derive(Clone, Copy, Debug)]
pub struct Via<'a> {
    /// The transport token as written.
    pub transport: &'a str,
    /// Host and port as written.
    pub sent_by: &'a str,
    /// The host as written, an IPv6 address in its brackets.
    pub host: &'a str,
    /// The port if written.
    pub port: Option<u16>,
    /// Names the transaction.
    pub branch: Option<&'a str>,
    /// Where the request really came from.
    pub received: Option<&'a str>,
    /// Asked for when `Some(None)`, filled in when `Some(Some(port))` (RFC 3581).
    pub rport: Option<Option<u16>>,
    /// Where responses should go instead.
    pub maddr: Option<&'a str>,
    /// All parameters.
    pub params: Params<'a>,
}

impl<'a> Via<'a> {
    /// Reads the first value of a Via header.
    ///
    /// # Errors
    /// When it does not follow RFC 3261 §20.42; blanks around `/` and `:` are fine, unknown transports too.
    pub fn parse(value: &'a [u8]) -> Result<Self, HeaderError> {
        let malformed = || HeaderError::Malformed(Name::Via);
        let value = text_of(value, Name::Via)?;
        let end = find_outside(value, b',').map_err(|()| malformed())?.unwrap_or(value.len());
        let value = trim(&value[..end]);
        let rest = transport_of(value).ok_or_else(malformed)?;
        let (transport, rest) = rest.split_at(run(rest, TOKEN, true));
        if transport.is_empty() || !rest.bytes().next().is_some_and(|c| is(c, BLANK)) {
            return Err(malformed());
        }
        let rest = trim_start(rest);
        let semicolon = memchr::memchr(b';', rest.as_bytes()).unwrap_or(rest.len());
        let sent_by = trim(&rest[..semicolon]);
        let (host, port) = sent_by_parts(sent_by).ok_or_else(malformed)?;
        let (mut branch, mut received, mut rport, mut maddr) = (None, None, None, None);
        let params = Params::parse(&rest[semicolon..], Name::Via, |name, value| match name.len() {
            6 if name.eq_ignore_ascii_case("branch") => branch = value,
            5 if name.eq_ignore_ascii_case("rport") => rport = Some(value.map(str::parse).transpose()),
            5 if name.eq_ignore_ascii_case("maddr") => maddr = value,
            8 if name.eq_ignore_ascii_case("received") => received = value,
            _ => {}
        })?;
        let rport = rport.transpose().map_err(|_| malformed())?;
        Ok(Self { transport, sent_by, host, port, branch, received, rport, maddr, params })
    }
}

impl<'a> Via<'a> {
    /// Parts one value into what stands before the parameters, unread, and the parameters.
    pub(crate) fn split(value: &'a [u8]) -> Result<(&'a str, Params<'a>), HeaderError> {
        let value = text_of(value, Name::Via)?;
        let end = memchr::memchr(b';', value.as_bytes()).unwrap_or(value.len());
        let params = Params::parse(&value[end..], Name::Via, |_, _| {})?;
        Ok((trim(&value[..end]), params))
    }
}

/// Takes `SIP/2.0/` off, with blanks wherever they may stand.
fn transport_of(value: &str) -> Option<&str> {
    let (protocol, rest) = value.split_at_checked(3)?;
    let rest = trim_start(trim_start(rest).strip_prefix('/')?).strip_prefix("2.0")?;
    let rest = trim_start(trim_start(rest).strip_prefix('/')?);
    protocol.eq_ignore_ascii_case("SIP").then_some(rest)
}

/// Reads `host [":" port]` with blanks around the colon.
fn sent_by_parts(text: &str) -> Option<(&str, Option<u16>)> {
    if let Ok((_, host, port)) = host_port(text) {
        return Some((host, port));
    }
    let after_host = text.rfind(']').map_or(0, |i| i + 1);
    let colon = after_host + text[after_host..].find(':')?;
    let (host, port) = (trim(&text[..colon]), trim(&text[colon + 1..]));
    host_port(host).ok().filter(|(_, _, port)| port.is_none())?;
    Some((host, Some(port.parse().ok().filter(|port| *port != 0)?)))
}

/// A URI with an optional display name and header parameters: From, To, Contact, Route and their like.
#[derive(Clone, Copy, Debug)]
pub struct NameAddr<'a> {
    display: &'a str,
    /// The URI.
    pub uri: UriRef<'a>,
    /// What follows it; without angle brackets that is every parameter (PAR-04).
    pub params: Params<'a>,
}

impl<'a> NameAddr<'a> {
    /// Reads one value.
    ///
    /// # Errors
    /// When it follows neither form of RFC 3261 §20.10.
    pub fn parse(value: &'a [u8]) -> Result<Self, HeaderError> {
        Self::parse_as(value, Name::Contact)
    }

    pub(crate) fn parse_as(value: &'a [u8], name: Name) -> Result<Self, HeaderError> {
        let malformed = || HeaderError::Malformed(name);
        let (display, uri, params) = Self::split(value, name)?;
        let display_ok = if display.starts_with('"') {
            quoted_len(display.as_bytes()) == Some(display.len())
        } else {
            !display.contains(['"', ',', ';', ':'])
        };
        if !display_ok {
            return Err(malformed());
        }
        let uri = UriRef::parse(uri).map_err(|_| malformed())?;
        Ok(Self { display, uri, params: Params::parse(params, name, |_, _| {})? })
    }

    /// Parts a value into display name, URI and parameters.
    fn split(value: &'a [u8], name: Name) -> Result<(&'a str, &'a str, &'a str), HeaderError> {
        let malformed = || HeaderError::Malformed(name);
        let value = text_of(value, name)?;
        if let Some(open) = find_outside(value, b'<').map_err(|()| malformed())? {
            let close = open + memchr::memchr(b'>', &value.as_bytes()[open..]).ok_or_else(malformed)?;
            return Ok((trim(&value[..open]), &value[open + 1..close], &value[close + 1..]));
        }
        let end = memchr::memchr(b';', value.as_bytes()).unwrap_or(value.len());
        let uri = trim(&value[..end]);
        // §20.10: such a URI has to stand in angle brackets.
        if uri.contains([',', '?']) { Err(malformed()) } else { Ok(("", uri, &value[end..])) }
    }

    /// Returns the parameters of a value whose URI need not be looked at.
    pub(crate) fn params_of(value: &'a [u8], name: Name) -> Result<Params<'a>, HeaderError> {
        Params::parse(Self::split(value, name)?.2, name, |_, _| {})
    }

    /// Returns the tag, if there is one that is not empty.
    pub fn tag(&self) -> Option<&'a str> {
        self.params.get("tag").filter(|tag| !tag.is_empty())
    }

    /// Returns the display name, unquoted, its escapes resolved and its folded lines joined.
    pub fn display_name(&self) -> Option<Cow<'a, str>> {
        if self.display.is_empty() {
            return None;
        }
        let quoted = self.display.strip_prefix('"').and_then(|d| d.strip_suffix('"'));
        let text = quoted.unwrap_or(self.display);
        let plain = !text.contains(['\\', '\r', '\n']);
        let name = if plain {
            Cow::Borrowed(text)
        } else {
            let (mut out, mut chars) = (String::with_capacity(text.len()), text.chars());
            while let Some(c) = chars.next() {
                match c {
                    '\\' if quoted.is_some() => out.extend(chars.next()),
                    '\r' | '\n' => {}
                    _ => out.push(c),
                }
            }
            Cow::Owned(out)
        };
        (!name.is_empty()).then_some(name)
    }
}

/// A request's number and method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CSeq<'a> {
    /// Below 2³¹.
    pub seq: u32,
    /// The method as written.
    pub method: &'a str,
}

impl<'a> CSeq<'a> {
    /// Reads a value.
    ///
    /// # Errors
    /// When it is no number below 2³¹ followed by a method (TXN-23).
    pub fn parse(value: &'a [u8]) -> Result<Self, HeaderError> {
        let malformed = || HeaderError::Malformed(Name::CSeq);
        let value = text_of(value, Name::CSeq)?;
        let (digits, method) = value.split_at(run(value, BLANK, false));
        let method = trim_start(method);
        let numeric = digits.bytes().all(|c| c.is_ascii_digit());
        let seq = digits.parse().ok().filter(|seq| numeric && *seq < 1 << 31).ok_or_else(malformed)?;
        if is_token(method) { Ok(Self { seq, method }) } else { Err(malformed()) }
    }
}

/// What an Event header names.
#[derive(Clone, Copy, Debug)]
pub struct EventHeader<'a> {
    /// The package; compared byte for byte (RFC 6665 §8.4).
    pub package: &'a str,
    /// Tells subscriptions in one dialog apart; compared byte for byte.
    pub id: Option<&'a str>,
    /// All parameters.
    pub params: Params<'a>,
}

impl<'a> EventHeader<'a> {
    /// Reads a value.
    ///
    /// # Errors
    /// When the package is no token.
    pub fn parse(value: &'a [u8]) -> Result<Self, HeaderError> {
        let value = text_of(value, Name::Event)?;
        let end = memchr::memchr(b';', value.as_bytes()).unwrap_or(value.len());
        let package = trim(&value[..end]);
        if !is_token(package) {
            return Err(HeaderError::Malformed(Name::Event));
        }
        let params = Params::parse(&value[end..], Name::Event, |_, _| {})?;
        Ok(Self { package, id: params.get("id").filter(|id| !id.is_empty()), params })
    }
}

/// The word with which Subscription-State begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubState<'a> {
    /// The notifier grants the subscription.
    Active,
    /// It has not decided.
    Pending,
    /// It is over.
    Terminated,
    /// An extension; counts as active.
    Other(&'a str),
}

/// Why a subscription was terminated (RFC 6665 §4.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Subscribe again at once, elsewhere.
    Deactivated,
    /// Subscribe again later.
    Probation,
    /// Authorization was refused.
    Rejected,
    /// It ran out.
    Timeout,
    /// Authorization was not had in time.
    Giveup,
    /// There is no such resource any more.
    NoResource,
    /// The state will not change any more.
    Invariant,
    /// A word that is not known.
    Unknown,
}

impl Reason {
    const ALL: [(&'static str, Self); 7] = [
        ("deactivated", Self::Deactivated),
        ("probation", Self::Probation),
        ("rejected", Self::Rejected),
        ("timeout", Self::Timeout),
        ("giveup", Self::Giveup),
        ("noresource", Self::NoResource),
        ("invariant", Self::Invariant),
    ];

    /// Reads a token without case.
    pub fn from_token(token: &str) -> Self {
        Self::ALL.iter().find(|(word, _)| token.eq_ignore_ascii_case(word)).map_or(Self::Unknown, |(_, reason)| *reason)
    }

    /// Returns the word on the wire.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(_, reason)| *reason == self).map_or("unknown", |(word, _)| word)
    }
}

/// How a subscription stands, as a NOTIFY says it.
#[derive(Clone, Copy, Debug)]
pub struct SubscriptionState<'a> {
    /// The state.
    pub state: SubState<'a>,
    /// Seconds left.
    pub expires: Option<u32>,
    /// Why it was terminated.
    pub reason: Option<Reason>,
    /// Seconds to wait before the next attempt.
    pub retry_after: Option<u32>,
}

impl<'a> SubscriptionState<'a> {
    /// Reads a value; state and reason without case, unknown parameters ignored (PAR-13).
    ///
    /// # Errors
    /// When the state is no token.
    pub fn parse(value: &'a [u8]) -> Result<Self, HeaderError> {
        let name = Name::SubscriptionState;
        let value = text_of(value, name)?;
        let end = memchr::memchr(b';', value.as_bytes()).unwrap_or(value.len());
        let word = trim(&value[..end]);
        if !is_token(word) {
            return Err(HeaderError::Malformed(name));
        }
        let is = |state: &str| word.eq_ignore_ascii_case(state);
        let state = match word.len() {
            6 if is("active") => SubState::Active,
            7 if is("pending") => SubState::Pending,
            10 if is("terminated") => SubState::Terminated,
            _ => SubState::Other(word),
        };
        let params = Params::parse(&value[end..], name, |_, _| {})?;
        let seconds = |name| params.get(name).and_then(|v| delta_seconds(v.as_bytes()));
        let reason = params.get("reason").filter(|r| !r.is_empty()).map(Reason::from_token);
        Ok(Self { state, expires: seconds("expires"), reason, retry_after: seconds("retry-after") })
    }
}

/// When to come again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryAfter {
    /// Seconds to stay away.
    pub seconds: u32,
    /// How long the peer will then be there.
    pub duration: Option<u32>,
}

impl RetryAfter {
    /// Reads a value; a comment and parameters may follow the number.
    ///
    /// # Errors
    /// When it does not begin with a number.
    pub fn parse(value: &[u8]) -> Result<Self, HeaderError> {
        let malformed = HeaderError::Malformed(Name::RetryAfter);
        let value = text_of(value, Name::RetryAfter)?;
        let end = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
        let seconds = delta_seconds(&value.as_bytes()[..end]).ok_or(malformed)?;
        let after_comment = value.rfind(')').map_or(end, |i| i + 1);
        let rest = value[after_comment..].find(';').map_or("", |i| &value[after_comment + i..]);
        let params = Params::parse(rest, Name::RetryAfter, |_, _| {}).unwrap_or_default();
        Ok(Self { seconds, duration: params.get("duration").and_then(|v| delta_seconds(v.as_bytes())) })
    }
}

/// Which body types a peer takes (RFC 3261 §20.1).
#[derive(Clone, Debug, Default)]
pub struct Accept<'a>(Vec<(&'a str, bool)>);

impl<'a> Accept<'a> {
    /// Reads the members of all Accept headers; what cannot be read is skipped.
    pub fn parse(values: impl Iterator<Item = &'a [u8]>) -> Self {
        Self(
            values
                .filter_map(|value| {
                    let value = text_of(value, Name::Accept).ok()?;
                    let end = memchr::memchr(b';', value.as_bytes()).unwrap_or(value.len());
                    let params = Params::parse(&value[end..], Name::Accept, |_, _| {}).unwrap_or_default();
                    // q=0 means: anything but that.
                    let wanted = params.get("q").is_none_or(|q| q.parse::<f32>().is_ok_and(|q| q > 0.0));
                    Some((trim(&value[..end]), wanted))
                })
                .collect(),
        )
    }

    /// Returns whether `type/subtype` is acceptable; the most specific member decides.
    pub fn accepts(&self, wanted: &str) -> bool {
        let family = wanted.split('/').next().unwrap_or_default();
        let find = |pattern: &str| self.0.iter().find(|(m, _)| m.eq_ignore_ascii_case(pattern)).map(|(_, ok)| *ok);
        find(wanted).or_else(|| find(&format!("{family}/*"))).or_else(|| find("*/*")).unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn par_04_parameters_belong_to_the_header_without_angle_brackets() {
        let bare = NameAddr::parse(b"sip:a@h;transport=tcp").unwrap();
        assert_eq!((bare.uri.transport(), bare.params.get("transport")), (None, Some("tcp")));
        let angled = NameAddr::parse(b"<sip:a@h;transport=tcp>").unwrap();
        assert_eq!((angled.uri.transport(), angled.params.get("transport")), (Some("tcp"), None));
        assert!(NameAddr::parse(b"sip:a@h?x=y").is_err());
    }

    #[test]
    fn par_05_display_names() {
        for (value, name, tag) in [
            ("\"B \\\"x\\\" ö\" <sip:b@h>;tag=1", Some("B \"x\" ö"), Some("1")),
            ("Bob Jones <sip:b@h> ; tag = 2", Some("Bob Jones"), Some("2")),
            ("<sip:b@h>", None, None),
            ("\"\" <sip:b@h>;tag=", None, None),
            ("\"a <x>, y; z\"<sip:b@h>", Some("a <x>, y; z"), None),
        ] {
            let parsed = NameAddr::parse(value.as_bytes());
            if value.ends_with("tag=") {
                assert!(parsed.is_err(), "{value}");
                continue;
            }
            let parsed = parsed.unwrap();
            assert_eq!((parsed.display_name().as_deref(), parsed.tag()), (name, tag), "{value}");
        }
        for bad in ["\"open <sip:b@h>", "<sip:b@h", "< sip:b@h>", "<sip: b@h>", "\"a\" b\" <sip:b@h>", "sip:b@h \"x\""]
        {
            assert!(NameAddr::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn par_05_quoted_parameters_are_one_value() {
        let contact = NameAddr::parse(b"<sip:a@h>;+sip.instance=\"<urn:uuid:1;2>\";q=0.5").unwrap();
        assert_eq!(contact.params.get("+SIP.Instance"), Some("\"<urn:uuid:1;2>\""));
        assert_eq!(contact.params.get("q"), Some("0.5"));
    }

    #[test]
    fn par_23_via_with_blanks_and_unknown_transports() {
        let via = Via::parse(b"SIP / 2.0 / UDP  h : 5060 ;rport;branch=z9hG4bK1;received=2001:db8::1").unwrap();
        assert_eq!((via.transport, via.host, via.port), ("UDP", "h", Some(5060)));
        assert_eq!((via.rport, via.branch, via.received), (Some(None), Some("z9hG4bK1"), Some("2001:db8::1")));
        let via = Via::parse(b"SIP/2.0/UNKNOWN [2001:db8::9]:5070;rport=9;ttl=1;maddr=h2;x=\"a;b\"").unwrap();
        assert_eq!((via.transport, via.host, via.port), ("UNKNOWN", "[2001:db8::9]", Some(5070)));
        assert_eq!((via.rport, via.maddr, via.params.get("ttl")), (Some(Some(9)), Some("h2"), Some("1")));
        assert_eq!(Via::parse(b"SIP/2.0/UDP a;branch=1, SIP/2.0/TCP b").unwrap().branch, Some("1"));
        for bad in ["SIP/2.0/UDP", "SIP/2.0/UDP ;;,", "SIP/2.0 h", "HTTP/2.0/UDP h", "SIP/2.0/UDP h;=x", ""] {
            assert!(Via::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn txn_23_cseq_is_below_two_to_the_31st() {
        assert_eq!(CSeq::parse(b"0009  INVITE").unwrap(), CSeq { seq: 9, method: "INVITE" });
        assert_eq!(CSeq::parse(b"2147483647 NOTIFY").unwrap().seq, 2_147_483_647);
        for bad in ["2147483648 NOTIFY", "36893488147419103232 A", "-1 A", "+1 A", "1", "A 1", ""] {
            assert!(CSeq::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn par_11_delta_seconds_are_capped() {
        assert_eq!(delta_seconds(b"99999999999"), Some(u32::MAX));
        assert_eq!(delta_seconds(b" 0 "), Some(0));
        assert_eq!(delta_seconds(b"-1"), None);
        assert_eq!(delta_seconds(b""), None);
    }

    #[test]
    fn par_12_event_ids_are_compared_byte_for_byte() {
        let event = EventHeader::parse(b"presence;foo=1;id=7").unwrap();
        assert_eq!((event.package, event.id), ("presence", Some("7")));
        assert_ne!(event.id, EventHeader::parse(b"presence;id=07").unwrap().id);
        assert!(EventHeader::parse(b"a b").is_err());
    }

    #[test]
    fn par_13_subscription_state_is_read_without_case() {
        let state = SubscriptionState::parse(b"Terminated;Reason=TimeOut;x=y; retry-after = 5").unwrap();
        assert_eq!(state.state, SubState::Terminated);
        assert_eq!((state.reason, state.retry_after, state.expires), (Some(Reason::Timeout), Some(5), None));
        let state = SubscriptionState::parse(b"terminated;reason=foo").unwrap();
        assert_eq!(state.reason, Some(Reason::Unknown));
        assert_eq!(SubscriptionState::parse(b"odd").unwrap().state, SubState::Other("odd"));
    }

    #[test]
    fn par_14_accept() {
        let accepts = |value: &'static str, wanted| Accept::parse(split_list(value.as_bytes())).accepts(wanted);
        for (value, wanted, expected) in [
            ("application/pidf+xml", "application/pidf+xml", true),
            ("Application/PIDF+XML;v=1", "application/pidf+xml", true),
            ("*/*", "application/pidf+xml", true),
            ("application/*;q=0.1", "application/pidf+xml", true),
            ("text/*", "application/pidf+xml", false),
            ("*/*, application/pidf+xml;q=0", "application/pidf+xml", false),
            ("application/pidf+xml;q=0.0", "application/pidf+xml", false),
            ("", "application/pidf+xml", false),
        ] {
            assert_eq!(accepts(value, wanted), expected, "{value}");
        }
    }

    #[test]
    fn txn_28_retry_after_with_comment_and_duration() {
        let parsed = RetryAfter::parse(b"18 (busy; for now);duration=60").unwrap();
        assert_eq!(parsed, RetryAfter { seconds: 18, duration: Some(60) });
        assert_eq!(RetryAfter::parse(b"5").unwrap().duration, None);
        assert!(RetryAfter::parse(b"soon").is_err());
    }

    #[test]
    fn par_03_lists_split_outside_quotes_and_angles() {
        let members: Vec<&[u8]> = split_list(b"<sip:a,b@h>, \"x, y\" <sip:c@h> ,, <sip:d@h>").collect();
        assert_eq!(members, [b"<sip:a,b@h>".as_slice(), b"\"x, y\" <sip:c@h>", b"<sip:d@h>"]);
    }
}
