//! Reading a message that is complete in memory.

use memchr::{memchr, memchr2_iter};

use super::{DecodeError, Framing, MAX_HEAD, MAX_HEADERS, MAX_LINE, MAX_MESSAGE, is_escaped};
use crate::sip::{
    header::{Name, is_token, token_len},
    message::{Header, Message, Method, StartLine},
};

/// Reads one message; what follows it in a datagram is left out (TRN-10).
///
/// # Errors
/// See [`DecodeError`]; the limits are [`MAX_MESSAGE`], [`MAX_HEAD`], [`MAX_LINE`] and [`MAX_HEADERS`].
pub fn decode(bytes: &[u8], framing: Framing) -> Result<Message<'_>, DecodeError> {
    let bytes = skip_line_ends(bytes);
    if bytes.is_empty() {
        return Err(DecodeError::Empty);
    }
    let (message, length) = head(bytes, true)?;
    if bytes.len() > MAX_MESSAGE {
        return Err(DecodeError::TooLarge);
    }
    let rest = message.body;
    let body = match length {
        Some(length) if length <= rest.len() => &rest[..length],
        Some(_) => return Err(DecodeError::Truncated),
        None if framing == Framing::Stream => return Err(DecodeError::NoContentLength),
        None => rest,
    };
    Ok(Message { body, ..message })
}

/// Reads as much of a head as can be read, so that a request which is refused can be answered.
///
/// The body is empty, faulty and overlong header lines are left out.
pub fn decode_lenient_head(bytes: &[u8]) -> Option<Message<'_>> {
    let bytes = skip_line_ends(bytes);
    let bytes = &bytes[..bytes.len().min(MAX_HEAD)];
    head(bytes, false).ok().map(|(message, _)| Message { body: &[], ..message })
}

/// TRN-11: line ends before a start line mean nothing.
pub(super) fn skip_line_ends(mut bytes: &[u8]) -> &[u8] {
    while let [b'\r' | b'\n', rest @ ..] = bytes {
        bytes = rest;
    }
    bytes
}

/// Returns a line without its end, and what follows; a bare LF ends a line too.
fn line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr(b'\n', bytes)?;
    let line = &bytes[..end];
    Some((line.strip_suffix(b"\r").unwrap_or(line), &bytes[end + 1..]))
}

/// Reads start line and headers; the message's body is all that follows, and Content-Length stands beside.
fn head(bytes: &[u8], strict: bool) -> Result<(Message<'_>, Option<usize>), DecodeError> {
    let no_end = |rest: &[u8]| if rest.len() > MAX_LINE { DecodeError::TooLarge } else { DecodeError::NoEnd };
    let (first, mut rest) = line(bytes).ok_or_else(|| no_end(bytes))?;
    if first.len() > MAX_LINE {
        return Err(DecodeError::TooLarge);
    }
    let start = start_line(first, strict)?;
    let mut headers = Vec::with_capacity(24);
    let mut length = None;
    loop {
        let at = bytes.len() - rest.len();
        if at > MAX_HEAD {
            return Err(DecodeError::TooLarge);
        }
        let Some((text, mut next)) = line(rest) else {
            if strict {
                return Err(no_end(rest));
            }
            return Ok((Message { start, headers, body: &[] }, length));
        };
        if text.is_empty() {
            return Ok((Message { start, headers, body: next }, length));
        }
        let mut end = text.len();
        while matches!(next.first(), Some(b' ' | b'\t')) {
            let (folded, after) = line(next).ok_or(DecodeError::NoEnd)?;
            end = rest.len() - next.len() + folded.len();
            next = after;
        }
        if strict && (end > MAX_LINE || headers.len() == MAX_HEADERS) {
            return Err(DecodeError::TooLarge);
        }
        match header(&rest[..end]).filter(|_| end <= MAX_LINE) {
            Some(header) => {
                if header.name == Name::ContentLength {
                    let value = content_length(header.value);
                    match (value, length) {
                        (Some(value), None) => length = Some(value),
                        (Some(value), Some(known)) if value == known => {}
                        _ if strict => return Err(DecodeError::ContentLength),
                        _ => {}
                    }
                }
                headers.push(header);
            }
            None if strict => return Err(DecodeError::Header),
            None => {}
        }
        rest = next;
    }
}

fn header(line: &[u8]) -> Option<Header<'_>> {
    let (name, rest) = line.split_at(token_len(line));
    let value = match rest {
        [b':', value @ ..] => value,
        _ => rest.trim_ascii_start().strip_prefix(b":")?,
    };
    let (raw_name, value) = (std::str::from_utf8(name).ok()?, value.trim_ascii());
    let complete = !name.is_empty() && is_harmless(value);
    complete.then(|| Header { name: Name::from_bytes(name), raw_name, value })
}

/// Inside a value a CR is fine only in front of the LF of a folded line, a NUL only behind a backslash.
fn is_harmless(value: &[u8]) -> bool {
    memchr2_iter(b'\r', 0, value).all(|at| match value[at] {
        b'\r' => value.get(at + 1) == Some(&b'\n'),
        _ => is_escaped(value, at),
    })
}

fn content_length(value: &[u8]) -> Option<usize> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    value.iter().try_fold(0usize, |n, d| n.checked_mul(10)?.checked_add(usize::from(d - b'0')))
}

fn start_line(line: &[u8], strict: bool) -> Result<StartLine<'_>, DecodeError> {
    if line.len() >= 4 && line[..4].eq_ignore_ascii_case(b"SIP/") {
        let [a, b, c] = match line.get(8..11) {
            Some(&[a, b, c]) if line[4..8] == *b"2.0 " => [a, b, c],
            _ => return Err(DecodeError::StartLine),
        };
        let digits = [a, b, c].iter().all(u8::is_ascii_digit);
        let reason = match line.get(11..) {
            Some([]) => &[][..],
            Some([b' ', reason @ ..]) => reason,
            _ => return Err(DecodeError::StartLine),
        };
        if !digits || !(b'1'..=b'6').contains(&a) {
            return Err(DecodeError::StartLine);
        }
        let code = [a, b, c].iter().fold(0, |code, d| code * 10 + u16::from(d - b'0'));
        return Ok(StartLine::Status { code, reason });
    }
    let text = std::str::from_utf8(line).map_err(|_| DecodeError::StartLine)?;
    let mut words = text.split(' ');
    let (Some(method), Some(uri), Some(version), None) = (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(DecodeError::StartLine);
    };
    let clean = !uri.is_empty() && !uri.bytes().any(|c| c < b' ' || matches!(c, b'<' | b'>'));
    if !is_token(method) || !clean {
        return Err(DecodeError::StartLine);
    }
    if !version.eq_ignore_ascii_case("SIP/2.0") {
        let other = version.len() > 4 && version.as_bytes()[..4].eq_ignore_ascii_case(b"SIP/");
        if !other {
            return Err(DecodeError::StartLine);
        }
        if strict {
            return Err(DecodeError::Version);
        }
    }
    Ok(StartLine::Request { method: Method::parse(method), uri })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn datagram(text: &str) -> Result<Message<'_>, DecodeError> {
        decode(text.as_bytes(), Framing::Datagram)
    }

    const MINIMAL: &str = "OPTIONS sip:a@h SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\n\r\n";

    #[test]
    fn par_01_folding_and_blanks_around_the_colon() {
        let text = "OPTIONS sip:a@h SIP/2.0\r\nEvEnT :\r\n  presence\r\nSubject: a\r\n\tb\r\n c\r\n\r\n";
        let message = datagram(text).unwrap();
        assert_eq!(message.event().unwrap().unwrap().package, "presence");
        assert_eq!(message.text(Name::Subject).unwrap(), "a b c");
    }

    #[test]
    fn par_03_challenges_are_never_split_at_commas() {
        let text = "SIP/2.0 401 No\r\nWWW-Authenticate: Digest realm=\"a\", nonce=\"b\"\r\n\
                    WWW-Authenticate: Digest realm=\"c\"\r\nAccept: a/b, c/d\r\nAccept: e/f\r\n\r\n";
        let message = datagram(text).unwrap();
        assert_eq!(message.values(Name::WwwAuthenticate).count(), 2);
        assert_eq!(message.values(Name::Accept).count(), 3);
    }

    #[test]
    fn par_09_versions() {
        assert!(datagram(&MINIMAL.replace("SIP/2.0\r\nVia", "sip/2.0\r\nVia")).is_ok());
        let other = MINIMAL.replacen("SIP/2.0", "SIP/7.0", 1);
        assert_eq!(datagram(&other).unwrap_err().status(), Some(505));
        assert!(decode_lenient_head(other.as_bytes()).is_some());
    }

    #[test]
    fn par_22_two_different_content_lengths_are_refused() {
        let with = |lengths: &str| MINIMAL.replace("\r\n\r\n", &format!("\r\n{lengths}\r\n\r\nabc"));
        assert_eq!(datagram(&with("Content-Length: 2\r\nl: 2")).unwrap().body, b"ab");
        for lengths in ["l: 2\r\nl: 3", "l: -1", "l: 18446744073709551617", "l: "] {
            assert_eq!(datagram(&with(lengths)).unwrap_err(), DecodeError::ContentLength, "{lengths}");
        }
    }

    #[test]
    fn trn_10_a_datagram_ends_where_content_length_says() {
        let with = |rest: &str| MINIMAL.replace("\r\n\r\n", &format!("\r\n{rest}"));
        assert_eq!(datagram(&with("l: 2\r\n\r\nhiGARBAGE")).unwrap().body, b"hi");
        assert_eq!(datagram(&with("l: 9\r\n\r\nhi")).unwrap_err().status(), Some(400));
        assert_eq!(datagram(&with("\r\nhi")).unwrap().body, b"hi");
    }

    #[test]
    fn trn_11_line_ends_before_the_start_line_are_skipped() {
        assert!(datagram(&format!("\r\n\n\r\n{MINIMAL}")).is_ok());
        assert_eq!(datagram("\r\n\r\n").unwrap_err(), DecodeError::Empty);
    }

    #[test]
    fn trn_13_each_limit_and_one_more() {
        let with = |rest: &str| MINIMAL.replace("\r\n\r\n", &format!("\r\n{rest}\r\n\r\n"));
        let line = |len: usize| format!("X: {}", "a".repeat(len - 3));
        assert!(datagram(&with(&line(MAX_LINE))).is_ok());
        assert_eq!(datagram(&with(&line(MAX_LINE + 1))).unwrap_err().status(), Some(513));
        let lines = |n: usize| vec!["X: y"; n].join("\r\n");
        assert!(datagram(&with(&lines(MAX_HEADERS - 1))).is_ok());
        assert_eq!(datagram(&with(&lines(MAX_HEADERS))).unwrap_err(), DecodeError::TooLarge);
        let head = vec![line(8000); 3].join("\r\n");
        assert_eq!(datagram(&with(&head)).unwrap_err(), DecodeError::TooLarge);
        let body = |len: usize| format!("{MINIMAL}{}", "a".repeat(len - MINIMAL.len()));
        assert!(datagram(&body(MAX_MESSAGE)).is_ok());
        assert_eq!(datagram(&body(MAX_MESSAGE + 1)).unwrap_err().status(), Some(513));
    }

    #[test]
    fn malformed_lines_are_refused() {
        for (bad, error) in [
            ("OPTIONS sip:a@h SIP/2.0", DecodeError::NoEnd),
            ("OPTIONS  sip:a@h SIP/2.0\r\n\r\n", DecodeError::StartLine),
            ("OPTIONS sip:a@h SIP/2.0 \r\n\r\n", DecodeError::StartLine),
            ("OPTIONS <sip:a@h> SIP/2.0\r\n\r\n", DecodeError::StartLine),
            ("GET / HTTP/1.1\r\n\r\n", DecodeError::StartLine),
            ("OPTIONS sip:a@h SIPġ2.0\r\n\r\n", DecodeError::StartLine),
            ("SIP/2.0 042 x\r\n\r\n", DecodeError::StartLine),
            ("SIP/2.0 4294967301 x\r\n\r\n", DecodeError::StartLine),
            ("SIP/2.0 700 x\r\n\r\n", DecodeError::StartLine),
            ("OPTIONS sip:a@h SIP/2.0\r\nno colon\r\n\r\n", DecodeError::Header),
            ("OPTIONS sip:a@h SIP/2.0\r\n: x\r\n\r\n", DecodeError::Header),
            ("OPTIONS sip:a@h SIP/2.0\r\n folded: x\r\n\r\n", DecodeError::Header),
            ("OPTIONS sip:a@h SIP/2.0\r\nX: a\0b\r\n\r\n", DecodeError::Header),
            ("OPTIONS sip:a@h SIP/2.0\r\nX: \0\r\n\r\n", DecodeError::Header),
            ("OPTIONS sip:a@h SIP/2.0\r\nX: a\rb\r\n\r\n", DecodeError::Header),
            ("OPTIONS sip:a@h SIP/2.0\r\nX: y\r\n", DecodeError::NoEnd),
        ] {
            assert_eq!(datagram(bad).unwrap_err(), error, "{bad:?}");
        }
        assert_eq!(decode(b"\x00\x01\x00\x00!\x12\xa4B", Framing::Datagram).unwrap_err(), DecodeError::NoEnd);
    }

    #[test]
    fn bytes_that_are_not_utf_8_do_not_lose_the_message() {
        let bytes = [&MINIMAL.as_bytes()[..MINIMAL.len() - 2], b"Subject: caf\xe9\r\n\r\n"].concat();
        let message = decode(&bytes, Framing::Datagram).unwrap();
        assert_eq!(message.get(Name::Subject), Some(b"caf\xe9".as_slice()));
    }
}
