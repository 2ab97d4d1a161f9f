//! Printing messages; no value can end its line (PAR-21).

use std::{
    borrow::Cow,
    fmt::{self, Write as _},
    net::IpAddr,
};

use bytes::Bytes;
use thiserror::Error;

use super::is_escaped;
use crate::sip::{
    header::{Name, NameAddr, Via, split_list},
    message::Message,
};

/// Why a message cannot be printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum EncodeError {
    /// CR, LF or NUL in a value.
    #[error("a line end or NUL cannot stand in a header")]
    LineEnd,
}

/// A head under construction.
#[derive(Clone, Debug)]
pub struct Head {
    bytes: Vec<u8>,
    /// How many lines were begun: as many line ends may stand in the bytes, and no more.
    lines: usize,
    /// How many NULs a peer wrote where they may stand.
    nuls: usize,
    broken: bool,
}

impl Head {
    /// Begins a request.
    pub fn request(method: &str, uri: &str) -> Self {
        let mut head = Self::with_capacity(640);
        head.text(method);
        head.bytes.push(b' ');
        head.text(uri);
        head.bytes.extend_from_slice(b" SIP/2.0");
        head.end_line();
        head
    }

    fn with_capacity(capacity: usize) -> Self {
        Self { bytes: Vec::with_capacity(capacity), lines: 0, nuls: 0, broken: false }
    }

    /// Begins a response.
    pub fn status(code: u16, reason: &str) -> Self {
        let mut head = Self::with_capacity(512);
        head.bytes.extend_from_slice(b"SIP/2.0 ");
        head.digits(u32::from(code));
        head.bytes.push(b' ');
        head.text(reason);
        head.end_line();
        head
    }

    /// Returns how many bytes stand so far.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Returns whether nothing stands yet, which is never so.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Adds a header.
    pub fn header(&mut self, name: Name, value: &str) -> &mut Self {
        self.raw(name.as_str(), value)
    }

    /// Adds a header by the text of its name.
    pub fn raw(&mut self, name: &str, value: &str) -> &mut Self {
        self.name(name);
        self.text(value);
        self.end_line()
    }

    /// Adds a header whose value is a number.
    pub fn number(&mut self, name: Name, value: u32) -> &mut Self {
        self.name(name.as_str());
        self.digits(value);
        self.end_line()
    }

    /// Adds a header whose value is put together.
    pub fn fmt(&mut self, name: Name, value: fmt::Arguments<'_>) -> &mut Self {
        self.name(name.as_str());
        if Text(self).write_fmt(value).is_err() {
            self.broken = true;
        }
        self.end_line()
    }

    /// Adds a header with a peer's value, folded lines joined by blanks.
    pub fn bytes(&mut self, name: Name, value: &[u8]) -> &mut Self {
        self.raw_bytes(name.as_str(), value)
    }

    /// Adds a header with a peer's value by the text of its name.
    pub fn raw_bytes(&mut self, name: &str, value: &[u8]) -> &mut Self {
        self.name(name);
        self.unfolded(value);
        self.end_line()
    }

    /// Ends the head with the length of the body that follows.
    ///
    /// # Errors
    /// When any value held what no header may hold; nothing is printed then.
    pub fn finish(mut self, body_len: usize) -> Result<Bytes, EncodeError> {
        self.number(Name::ContentLength, u32::try_from(body_len).unwrap_or(u32::MAX));
        let count = |c| memchr::memchr_iter(c, &self.bytes).count();
        if self.broken || count(b'\n') != self.lines || count(b'\r') != self.lines || count(0) != self.nuls {
            return Err(EncodeError::LineEnd);
        }
        self.bytes.extend_from_slice(b"\r\n");
        Ok(self.bytes.into())
    }

    fn name(&mut self, name: &str) {
        self.text(name);
        self.bytes.extend_from_slice(b": ");
    }

    fn text(&mut self, text: &str) {
        self.bytes.extend_from_slice(text.as_bytes());
    }

    fn unfolded(&mut self, value: &[u8]) {
        if memchr::memchr3(b'\r', b'\n', 0, value).is_none() {
            self.bytes.extend_from_slice(value);
            return;
        }
        self.nuls += memchr::memchr_iter(0, value).filter(|at| is_escaped(value, *at)).count();
        let mut blank = false;
        for &c in value {
            let line_end = matches!(c, b'\r' | b'\n');
            if line_end || (blank && matches!(c, b' ' | b'\t')) {
                blank = true;
                continue;
            }
            if std::mem::take(&mut blank) {
                self.bytes.push(b' ');
            }
            self.bytes.push(c);
        }
    }

    fn digits(&mut self, mut value: u32) {
        let mut digits = [0; 10];
        let mut at = digits.len();
        loop {
            at -= 1;
            digits[at] = b'0' + (value % 10) as u8;
            value /= 10;
            if value == 0 {
                break;
            }
        }
        self.bytes.extend_from_slice(&digits[at..]);
    }

    fn ip(&mut self, ip: IpAddr) {
        match ip {
            IpAddr::V4(ip) => {
                for (i, octet) in ip.octets().into_iter().enumerate() {
                    if i > 0 {
                        self.bytes.push(b'.');
                    }
                    self.digits(u32::from(octet));
                }
            }
            IpAddr::V6(ip) => {
                if Text(self).write_fmt(format_args!("{ip}")).is_err() {
                    self.broken = true;
                }
            }
        }
    }

    fn end_line(&mut self) -> &mut Self {
        self.bytes.extend_from_slice(b"\r\n");
        self.lines += 1;
        self
    }
}

/// Lets formatted text be written.
struct Text<'a>(&'a mut Head);

impl fmt::Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.text(text);
        Ok(())
    }
}

/// Quotes a display name (RFC 3261 §25.1).
///
/// # Errors
/// When it holds a control character; a tab becomes a blank.
pub fn quote(display: &str) -> Result<Cow<'_, str>, EncodeError> {
    if display.chars().any(|c| c.is_control() && c != '\t') {
        return Err(EncodeError::LineEnd);
    }
    let mut out = String::with_capacity(display.len() + 2);
    out.push('"');
    for c in display.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\t' => out.push(' '),
            _ => out.push(c),
        }
    }
    out.push('"');
    Ok(Cow::Owned(out))
}

/// Begins a response to a request with what RFC 3261 §8.2.6.2 copies: all Via in order, From, To, Call-ID, `CSeq`.
///
/// `received` goes into the top Via, with the port where `rport` was asked for (RFC 3581 §4). `to_tag` is added
/// to a To that has none. What the request lacks is left out.
pub fn write_response(
    request: &Message<'_>,
    code: u16,
    reason: &str,
    to_tag: &str,
    received: Option<(IpAddr, u16)>,
) -> Head {
    let mut head = Head::status(code, reason);
    for (i, via) in request.all(Name::Via).enumerate() {
        match received.filter(|_| i == 0) {
            Some(received) => top_via(&mut head, via, received),
            None => {
                head.bytes(Name::Via, via);
            }
        }
    }
    if let Some(from) = request.get(Name::From) {
        head.bytes(Name::From, from);
    }
    if let Some(to) = request.get(Name::To) {
        let tagged = NameAddr::params_of(to, Name::To).ok().is_none_or(|params| params.get("tag").is_some());
        head.name(Name::To.as_str());
        head.unfolded(to);
        if !tagged {
            head.text(";tag=");
            head.text(to_tag);
        }
        head.end_line();
    }
    for name in [Name::CallId, Name::CSeq] {
        if let Some(value) = request.get(name) {
            head.bytes(name, value);
        }
    }
    head
}

/// Copies the first Via line; `rport` and `received` go behind its first value, in the places of old ones.
fn top_via(head: &mut Head, line: &[u8], (ip, port): (IpAddr, u16)) {
    let first = split_list(line).next().unwrap_or_default();
    let (Some(rest), Ok((sent_by, params))) = (line.strip_prefix(first), Via::split(first)) else {
        head.bytes(Name::Via, line);
        return;
    };
    head.name(Name::Via.as_str());
    head.unfolded(sent_by.as_bytes());
    let mut asked = false;
    for (name, value) in params.iter() {
        if name.eq_ignore_ascii_case("rport") || name.eq_ignore_ascii_case("received") {
            asked |= name.len() == "rport".len();
            continue;
        }
        head.text(";");
        head.text(name);
        if let Some(value) = value {
            head.text("=");
            head.unfolded(value.as_bytes());
        }
    }
    if asked {
        head.text(";rport=");
        head.digits(u32::from(port));
    }
    head.text(";received=");
    head.ip(ip);
    head.unfolded(rest);
    head.end_line();
}

/// Returns the usual phrase for a status code.
pub fn reason_phrase(code: u16) -> &'static str {
    match code {
        100 => "Trying",
        200 => "OK",
        202 => "Accepted",
        204 => "No Notification",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Moved Temporarily",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 | 606 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        410 => "Gone",
        412 => "Conditional Request Failed",
        413 => "Request Entity Too Large",
        415 => "Unsupported Media Type",
        416 => "Unsupported URI Scheme",
        420 => "Bad Extension",
        421 => "Extension Required",
        423 => "Interval Too Brief",
        480 => "Temporarily Unavailable",
        481 => "Subscription Does Not Exist",
        482 => "Loop Detected",
        483 => "Too Many Hops",
        486 => "Busy Here",
        488 => "Not Acceptable Here",
        489 => "Bad Event",
        500 => "Server Internal Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        504 => "Server Time-out",
        505 => "Version Not Supported",
        513 => "Message Too Large",
        600 => "Busy Everywhere",
        603 => "Decline",
        604 => "Does Not Exist Anywhere",
        _ => match code / 100 {
            1 => "Session Progress",
            2 => "OK",
            3 => "Multiple Choices",
            4 => "Bad Request",
            5 => "Server Internal Error",
            _ => "Busy Everywhere",
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::codec::{Framing, decode};

    const REQUEST: &str = "SUBSCRIBE sip:bob@192.0.2.20 SIP/2.0\r\n\
        Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKa1;rport, SIP/2.0/TCP p;branch=z9hG4bKp\r\n\
        Via: SIP/2.0/UDP 192.0.2.11;branch=z9hG4bKa0\r\n\
        From: \"Alice\"\r\n <sip:alice@192.0.2.10>;tag=a7\r\nTo: <sip:bob@192.0.2.20>\r\n\
        Call-ID: 3f2b\r\nCSeq: 1 SUBSCRIBE\r\n\r\n";

    #[test]
    fn txn_30_and_trn_06_a_response_copies_what_it_must_and_fills_the_top_via() {
        let request = decode(REQUEST.as_bytes(), Framing::Datagram).unwrap();
        let received = Some(("198.51.100.7".parse().unwrap(), 4711));
        let head = write_response(&request, 489, reason_phrase(489), "b9", received).finish(0).unwrap();
        assert_eq!(
            std::str::from_utf8(&head).unwrap(),
            "SIP/2.0 489 Bad Event\r\n\
             Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKa1;rport=4711;received=198.51.100.7, \
             SIP/2.0/TCP p;branch=z9hG4bKp\r\n\
             Via: SIP/2.0/UDP 192.0.2.11;branch=z9hG4bKa0\r\n\
             From: \"Alice\" <sip:alice@192.0.2.10>;tag=a7\r\n\
             To: <sip:bob@192.0.2.20>;tag=b9\r\n\
             Call-ID: 3f2b\r\nCSeq: 1 SUBSCRIBE\r\nContent-Length: 0\r\n\r\n"
        );
    }

    #[test]
    fn trn_06_quoted_via_parameters_are_no_places_for_ours() {
        let request = REQUEST.replace(";rport,", ";x=\"; received=a;rport\" ; Received = 192.0.2.9,");
        let request = decode(request.as_bytes(), Framing::Datagram).unwrap();
        let received = Some(("2001:db8::7".parse().unwrap(), 4711));
        let head = write_response(&request, 200, "OK", "b9", received).finish(0).unwrap();
        let via = decode(&head, Framing::Stream).unwrap().get(Name::Via).unwrap().to_vec();
        assert_eq!(
            String::from_utf8(via).unwrap(),
            "SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKa1;x=\"; received=a;rport\";received=2001:db8::7, \
             SIP/2.0/TCP p;branch=z9hG4bKp"
        );
    }

    #[test]
    fn par_21_no_value_can_end_its_line() {
        for evil in ["a\r\nX: y", "a\nb", "a\0b", "a\rb"] {
            let mut head = Head::request("SUBSCRIBE", "sip:a@h");
            head.header(Name::Subject, evil);
            assert_eq!(head.finish(0), Err(EncodeError::LineEnd), "{evil:?}");
            let mut head = Head::request("SUBSCRIBE", "sip:a@h");
            head.fmt(Name::Subject, format_args!("x{evil}"));
            assert_eq!(head.finish(0), Err(EncodeError::LineEnd), "{evil:?}");
            assert_eq!(quote(evil), Err(EncodeError::LineEnd), "{evil:?}");
        }
        for (value, ok) in [(&b"a\0b"[..], false), (b"\0", false), (b"\"a\\\0b\"", true)] {
            let mut head = Head::request("SUBSCRIBE", "sip:a@h");
            head.bytes(Name::To, value);
            assert_eq!(head.finish(0).is_ok(), ok, "{value:?}");
        }
        assert_eq!(quote("B \"x\" \\ ö").unwrap(), "\"B \\\"x\\\" \\\\ ö\"");
    }

    #[test]
    fn par_22_content_length_counts_bytes() {
        let head = Head::request("NOTIFY", "sip:a@h").finish("ü☎".len()).unwrap();
        assert!(head.ends_with(b"Content-Length: 5\r\n\r\n"));
    }
}
