//! A SIP message as a view of the bytes it came in, and what every request must have.

use std::borrow::Cow;

use super::{
    header::{
        Accept, CSeq, EventHeader, HeaderError, Name, NameAddr, RetryAfter, SubscriptionState, Via, delta_seconds,
        split_list,
    },
    uri::{Scheme, UriRef},
};

/// One message; everything in it is borrowed.
#[derive(Clone, Debug)]
pub struct Message<'a> {
    /// What it begins with.
    pub start: StartLine<'a>,
    /// The headers in order.
    pub headers: Vec<Header<'a>>,
    /// The body, possibly empty.
    pub body: &'a [u8],
}

/// One header as it stands in the message; folded lines stay folded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// Which it is.
    pub name: Name,
    /// Its name as written.
    pub raw_name: &'a str,
    /// Its value without the blanks around it.
    pub value: &'a [u8],
}

/// The first line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartLine<'a> {
    /// Of a request.
    Request {
        /// What is asked.
        method: Method<'a>,
        /// Of whom.
        uri: &'a str,
    },
    /// Of a response.
    Status {
        /// From 100 to 699.
        code: u16,
        /// The reason phrase; any bytes.
        reason: &'a [u8],
    },
}

/// A request method; compared with case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method<'a> {
    /// RFC 6665.
    Subscribe,
    /// RFC 6665.
    Notify,
    /// RFC 3903.
    Publish,
    /// RFC 3261 §10.
    Register,
    /// RFC 3261 §11.
    Options,
    /// RFC 3261 §13.
    Invite,
    /// RFC 3261 §13.
    Ack,
    /// RFC 3261 §9.
    Cancel,
    /// RFC 3261 §15.
    Bye,
    /// RFC 3428.
    Message,
    /// RFC 3515.
    Refer,
    /// Any other token.
    Other(&'a str),
}

impl<'a> Method<'a> {
    const NAMES: [(&'static str, Method<'static>); 11] = [
        ("SUBSCRIBE", Method::Subscribe),
        ("NOTIFY", Method::Notify),
        ("PUBLISH", Method::Publish),
        ("REGISTER", Method::Register),
        ("OPTIONS", Method::Options),
        ("INVITE", Method::Invite),
        ("ACK", Method::Ack),
        ("CANCEL", Method::Cancel),
        ("BYE", Method::Bye),
        ("MESSAGE", Method::Message),
        ("REFER", Method::Refer),
    ];

    /// Reads a method.
    pub fn parse(token: &'a str) -> Self {
        Self::NAMES.iter().find(|(name, _)| *name == token).map_or(Self::Other(token), |(_, method)| *method)
    }

    /// Returns the token.
    pub fn as_str(self) -> &'a str {
        match self {
            Self::Other(token) => token,
            known => Self::NAMES.iter().find(|(_, method)| *method == known).map_or("", |(name, _)| name),
        }
    }
}

impl<'a> Message<'a> {
    /// Returns whether it is a request.
    pub fn is_request(&self) -> bool {
        matches!(self.start, StartLine::Request { .. })
    }

    /// Returns the method of a request.
    pub fn method(&self) -> Option<Method<'a>> {
        match self.start {
            StartLine::Request { method, .. } => Some(method),
            StartLine::Status { .. } => None,
        }
    }

    /// Returns the request-URI of a request as written.
    pub fn request_uri(&self) -> Option<&'a str> {
        match self.start {
            StartLine::Request { uri, .. } => Some(uri),
            StartLine::Status { .. } => None,
        }
    }

    /// Returns the status code of a response.
    pub fn code(&self) -> Option<u16> {
        match self.start {
            StartLine::Status { code, .. } => Some(code),
            StartLine::Request { .. } => None,
        }
    }

    /// Returns the first value of a header.
    pub fn get(&self, name: Name) -> Option<&'a [u8]> {
        self.headers.iter().find(|header| header.name == name).map(|header| header.value)
    }

    /// Goes through the lines of a header.
    pub fn all(&self, name: Name) -> impl Iterator<Item = &'a [u8]> {
        self.headers.iter().filter(move |header| header.name == name).map(|header| header.value)
    }

    /// Goes through the values of a header, taking comma-joined and repeated ones as the same (PAR-03).
    pub fn values(&self, name: Name) -> impl Iterator<Item = &'a [u8]> {
        let whole = name.is_never_a_list();
        self.all(name).flat_map(move |line| {
            let (line, list) = if whole { (Some(line), None) } else { (None, Some(split_list(line))) };
            line.into_iter().chain(list.into_iter().flatten())
        })
    }

    /// Returns the value of a header that must be there once.
    ///
    /// # Errors
    /// When it is missing or repeated.
    pub fn single(&self, name: Name) -> Result<&'a [u8], HeaderError> {
        let mut lines = self.all(name);
        let value = lines.next().ok_or(HeaderError::Missing(name))?;
        if lines.next().is_some() { Err(HeaderError::Repeated(name)) } else { Ok(value) }
    }

    /// Returns a header's first value as text, with folded lines joined by one blank.
    pub fn text(&self, name: Name) -> Option<Cow<'a, str>> {
        let value = std::str::from_utf8(self.get(name)?).ok()?;
        Some(unfold(value))
    }

    /// Reads the top Via.
    pub fn top_via(&self) -> Result<Via<'a>, HeaderError> {
        Via::parse(self.get(Name::Via).ok_or(HeaderError::Missing(Name::Via))?)
    }

    /// Counts Via values, comma-joined ones too.
    pub fn via_count(&self) -> usize {
        self.values(Name::Via).count()
    }

    /// Reads From.
    pub fn from(&self) -> Result<NameAddr<'a>, HeaderError> {
        NameAddr::parse_as(self.single(Name::From)?, Name::From)
    }

    /// Reads To.
    pub fn to(&self) -> Result<NameAddr<'a>, HeaderError> {
        NameAddr::parse_as(self.single(Name::To)?, Name::To)
    }

    /// Returns the Call-ID.
    pub fn call_id(&self) -> Result<&'a str, HeaderError> {
        let malformed = HeaderError::Malformed(Name::CallId);
        let id = std::str::from_utf8(self.single(Name::CallId)?).map_err(|_| malformed.clone())?;
        let odd = |c: char| c.is_whitespace() || c.is_control();
        let clean =
            !id.is_empty() && if id.is_ascii() { id.bytes().all(|c| c > b' ' && c < 0x7f) } else { !id.contains(odd) };
        if clean { Ok(id) } else { Err(malformed) }
    }

    /// Reads `CSeq`; in a request its method must be the request's (TXN-23).
    pub fn cseq(&self) -> Result<CSeq<'a>, HeaderError> {
        let cseq = CSeq::parse(self.single(Name::CSeq)?)?;
        match self.method() {
            Some(method) if method.as_str() != cseq.method => Err(HeaderError::Malformed(Name::CSeq)),
            _ => Ok(cseq),
        }
    }

    /// Reads the one Contact, if there is any.
    pub fn contact(&self) -> Result<Option<NameAddr<'a>>, HeaderError> {
        let mut values = self.values(Name::Contact);
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err(HeaderError::Repeated(Name::Contact));
        }
        NameAddr::parse_as(value, Name::Contact).map(Some)
    }

    /// Reads the one Event, if there is any (PAR-12).
    pub fn event(&self) -> Result<Option<EventHeader<'a>>, HeaderError> {
        match self.single(Name::Event) {
            Ok(value) => EventHeader::parse(value).map(Some),
            Err(HeaderError::Missing(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads Subscription-State, if it is there.
    pub fn subscription_state(&self) -> Result<Option<SubscriptionState<'a>>, HeaderError> {
        match self.single(Name::SubscriptionState) {
            Ok(value) => SubscriptionState::parse(value).map(Some),
            Err(HeaderError::Missing(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads Expires; a malformed one counts as 3600 (PAR-11).
    pub fn expires(&self) -> Option<u32> {
        self.get(Name::Expires).map(|value| delta_seconds(value).unwrap_or(3600))
    }

    /// Reads Min-Expires.
    pub fn min_expires(&self) -> Option<u32> {
        self.get(Name::MinExpires).and_then(delta_seconds)
    }

    /// Reads Retry-After.
    pub fn retry_after(&self) -> Option<RetryAfter> {
        self.get(Name::RetryAfter).and_then(|value| RetryAfter::parse(value).ok())
    }

    /// Reads all Accept headers; none at all is not the same as an empty one (PAR-14).
    pub fn accept(&self) -> Option<Accept<'a>> {
        self.get(Name::Accept)?;
        Some(Accept::parse(self.values(Name::Accept)))
    }

    /// Returns the media type of the body, without parameters.
    pub fn content_type(&self) -> Option<&'a str> {
        let value = std::str::from_utf8(self.get(Name::ContentType)?).ok()?;
        value.split(';').next().map(str::trim)
    }

    /// Returns whether the body is of this media type.
    pub fn content_type_is(&self, wanted: &str) -> bool {
        self.content_type().is_some_and(|found| found.eq_ignore_ascii_case(wanted))
    }

    /// Returns the charset that Content-Type names.
    pub fn charset(&self) -> Option<&'a str> {
        let value = std::str::from_utf8(self.get(Name::ContentType)?).ok()?;
        value.split(';').skip(1).find_map(|param| {
            let (name, value) = param.split_once('=')?;
            name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"'))
        })
    }

    /// Returns whether the body is packed in a way that nobody here unpacks.
    pub fn is_packed(&self) -> bool {
        let packed = |encoding: &[u8]| !encoding.is_empty() && !encoding.eq_ignore_ascii_case(b"identity");
        !self.body.is_empty() && self.get(Name::ContentEncoding).is_some_and(packed)
    }

    /// Returns whether the body may be passed over where it is not understood (RFC 3261 §20.11).
    pub fn body_is_optional(&self) -> bool {
        let disposition = self.text(Name::ContentDisposition).unwrap_or_default();
        disposition.split(';').skip(1).filter_map(|param| param.split_once('=')).any(|(name, value)| {
            let value = value.trim().trim_matches('"');
            name.trim().eq_ignore_ascii_case("handling") && value.eq_ignore_ascii_case("optional")
        })
    }

    /// Goes through the Record-Route entries in order.
    pub fn record_routes(&self) -> impl Iterator<Item = &'a [u8]> {
        self.values(Name::RecordRoute)
    }

    /// Goes through a list of tokens: Require, Supported, Allow-Events.
    pub fn option_tags(&self, name: Name) -> impl Iterator<Item = &'a str> {
        self.values(name).filter_map(|value| std::str::from_utf8(value).ok())
    }
}

/// Joins folded lines by one blank (RFC 3261 §7.3.1).
fn unfold(value: &str) -> Cow<'_, str> {
    if !value.contains(['\r', '\n']) {
        return Cow::Borrowed(value);
    }
    let mut out = String::with_capacity(value.len());
    for line in value.lines() {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(line.trim_matches([' ', '\t', '\r']));
    }
    Cow::Owned(out)
}

/// How a request is to be refused before anybody looks at what it means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The status code.
    pub code: u16,
    /// The reason phrase; words of ours alone.
    pub reason: String,
}

/// Checks what RFC 3261 §8.1.1 and §8.2 demand of every request.
///
/// # Errors
/// With the answer to give: 400 that names the header, 415 for a packed body, 416 for a foreign scheme.
pub fn check_request(message: &Message<'_>) -> Result<(), Refusal> {
    let bad = |error: HeaderError| {
        let mut reason = error.to_string();
        if let Some(first) = reason.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        Refusal { code: 400, reason }
    };
    message.top_via().map_err(bad)?;
    message.from().map_err(bad)?;
    message.to().map_err(bad)?;
    message.call_id().map_err(bad)?;
    message.cseq().map_err(bad)?;
    message.event().map_err(bad)?;
    if let Some(hops) = message.get(Name::MaxForwards)
        && delta_seconds(hops).is_none()
    {
        return Err(bad(HeaderError::Malformed(Name::MaxForwards)));
    }
    let refusal = |code: u16, reason: &str| Err(Refusal { code, reason: reason.to_owned() });
    match message.request_uri().map(UriRef::parse) {
        // §19.1.1: a Request-URI holds no headers.
        Some(Ok(uri)) if uri.headers().is_some() => return refusal(400, "Malformed Request-URI"),
        Some(Ok(uri)) if !matches!(uri.scheme(), Scheme::Tel | Scheme::Other) => {}
        Some(Ok(_)) => return refusal(416, super::codec::reason_phrase(416)),
        Some(Err(_)) | None => return refusal(400, "Malformed Request-URI"),
    }
    if message.is_packed() && !message.body_is_optional() {
        return refusal(415, super::codec::reason_phrase(415));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::codec::{Framing, decode};

    #[test]
    fn rls_01_whether_a_watcher_knows_lists_is_read_in_every_way_of_writing_it() {
        for (lines, expected) in [
            ("Supported: eventlist\r\n", &["eventlist"][..]),
            ("k: eventlist\r\n", &["eventlist"]),
            ("SUPPORTED : path,eventlist , outbound\r\n", &["path", "eventlist", "outbound"]),
            ("Supported: path\r\nk: gruu,\r\n eventlist\r\n", &["path", "gruu", "eventlist"]),
            ("Supported:\r\nSupported: eventlist\r\n", &["eventlist"]),
            ("Require: eventlist\r\nX-Supported: eventlist\r\n", &[]),
        ] {
            let text = format!(
                "SUBSCRIBE sip:friends@example.com SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\n\
                 To: <sip:friends@example.com>\r\nCall-ID: 1\r\nCSeq: 1 SUBSCRIBE\r\n{lines}Content-Length: 0\r\n\r\n"
            );
            let message = decode(text.as_bytes(), Framing::Datagram).unwrap();
            assert_eq!(message.option_tags(Name::Supported).collect::<Vec<_>>(), expected, "{lines}");
        }
    }

    #[test]
    fn rls_08_what_a_list_in_a_request_needs_is_read_off_its_headers() {
        let text = "SUBSCRIBE sip:rls@example.com SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\n\
                    To: <sip:rls@example.com>\r\nCall-ID: 1\r\nCSeq: 1 SUBSCRIBE\r\nRequire: recipient-list-subscribe\r\n\
                    Supported: eventlist\r\nContent-Disposition: recipient-list\r\n\
                    Content-Type: application/resource-lists+xml\r\nContent-Length: 0\r\n\r\n";
        let message = decode(text.as_bytes(), Framing::Datagram).unwrap();
        assert_eq!(message.option_tags(Name::Require).collect::<Vec<_>>(), ["recipient-list-subscribe"]);
        assert_eq!(message.text(Name::ContentDisposition).as_deref(), Some("recipient-list"));
        assert!(message.content_type_is("application/resource-lists+xml"));
    }
}
