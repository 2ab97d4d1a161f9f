//! Headers that name somebody or some place: Via, and From, To, Contact, Route with their like.

use std::borrow::Cow;

use super::{
    HeaderError, Name, Params,
    scan::{BLANK, TOKEN, find_outside, is, quoted_len, run, text_of, trim, trim_start},
};
use crate::sip::uri::{UriRef, host_port};

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
