//! From bytes to text: the encodings that presence documents come in (RFC 3863 §3.1, RFC 7303 §3).

use std::borrow::Cow;

use super::Error;

#[derive(Clone, Copy)]
enum Encoding {
    Utf8,
    Utf16Le,
    Utf16Be,
    Latin1,
    Windows1252,
}

/// Returns the document as text, without a byte order mark.
///
/// A byte order mark wins over `charset` (of the Content-Type), that over the XML declaration; without any of
/// them it is UTF-8. Bytes that are wrong in their encoding become U+FFFD, so that one bad note does not cost
/// the status.
///
/// # Errors
/// [`Error::UnknownEncoding`] for an encoding other than UTF-8, US-ASCII, UTF-16, ISO-8859-1 and windows-1252,
/// unless the bytes are valid UTF-8 all the same.
pub fn decode<'a>(body: &'a [u8], charset: Option<&str>) -> Result<Cow<'a, str>, Error> {
    let (encoding, body) = match body {
        [0xef, 0xbb, 0xbf, rest @ ..] => (Encoding::Utf8, rest),
        [0xff, 0xfe, rest @ ..] => (Encoding::Utf16Le, rest),
        [0xfe, 0xff, rest @ ..] => (Encoding::Utf16Be, rest),
        _ => match charset.map(str::trim).filter(|charset| !charset.is_empty()) {
            Some(charset) => (named(charset, body)?, body),
            None => match body {
                [b'<', 0, ..] => (Encoding::Utf16Le, body),
                [0, b'<', ..] => (Encoding::Utf16Be, body),
                _ => match declared(body) {
                    Some(name) => (named(name, body)?, body),
                    None => (Encoding::Utf8, body),
                },
            },
        },
    };
    Ok(match encoding {
        Encoding::Utf8 => match std::str::from_utf8(body) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => String::from_utf8_lossy(body),
        },
        Encoding::Utf16Le => Cow::Owned(utf16(body, u16::from_le_bytes)),
        Encoding::Utf16Be => Cow::Owned(utf16(body, u16::from_be_bytes)),
        Encoding::Latin1 => match ascii(body) {
            Some(text) => Cow::Borrowed(text),
            None => Cow::Owned(body.iter().map(|byte| char::from(*byte)).collect()),
        },
        Encoding::Windows1252 => match ascii(body) {
            Some(text) => Cow::Borrowed(text),
            None => Cow::Owned(body.iter().map(|byte| windows_1252(*byte)).collect()),
        },
    })
}

fn named(name: &str, body: &[u8]) -> Result<Encoding, Error> {
    let is = |names: &[&str]| names.iter().any(|known| known.eq_ignore_ascii_case(name.trim_matches('"')));
    Ok(if is(&["utf-8", "utf8", "us-ascii", "ascii"]) {
        Encoding::Utf8
    } else if is(&["iso-8859-1", "iso8859-1", "iso_8859-1", "latin1", "latin-1", "l1"]) {
        Encoding::Latin1
    } else if is(&["windows-1252", "cp1252"]) {
        Encoding::Windows1252
    } else if is(&["utf-16", "utf16", "utf-16le", "utf-16be"]) {
        match body {
            // The name may be wrong, or survive a conversion: the first character tells.
            [b'<', 0, ..] => Encoding::Utf16Le,
            [0, b'<', ..] => Encoding::Utf16Be,
            [b'<', ..] => Encoding::Utf8,
            _ if is(&["utf-16le"]) => Encoding::Utf16Le,
            // Without a mark it is big-endian (RFC 2781 §4.3).
            _ => Encoding::Utf16Be,
        }
    } else if std::str::from_utf8(body).is_ok() {
        Encoding::Utf8
    } else {
        return Err(Error::UnknownEncoding(name.chars().take(32).collect()));
    })
}

/// Returns the encoding that the XML declaration names.
fn declared(body: &[u8]) -> Option<&str> {
    const USUAL: &[u8] = b"<?xml version=\"1.0\" encoding=\"UTF-8\"";
    if body.starts_with(USUAL) {
        return Some("utf-8");
    }
    let body = body.trim_ascii_start();
    if !body.starts_with(b"<?xml") {
        return None;
    }
    let head = &body[..body.len().min(256)];
    let end = head.windows(2).position(|two| two == b"?>")?;
    let declaration = ascii(&head[..end])?;
    let value = declaration.split_once("encoding")?.1.trim_start().strip_prefix('=')?.trim_start();
    let quote = value.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
    value[1..].split_once(quote).map(|(name, _)| name)
}

fn ascii(body: &[u8]) -> Option<&str> {
    if body.is_ascii() { std::str::from_utf8(body).ok() } else { None }
}

fn utf16(body: &[u8], unit: fn([u8; 2]) -> u16) -> String {
    let (units, rest) = body.as_chunks::<2>();
    let units = units.iter().map(|bytes| unit(*bytes));
    let mut text: String = char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
    if !rest.is_empty() {
        text.push(char::REPLACEMENT_CHARACTER);
    }
    text
}

fn windows_1252(byte: u8) -> char {
    const HIGH: [char; 32] = [
        '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}', '‘',
        '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
    ];
    match byte {
        0x80..=0x9f => HIGH[usize::from(byte - 0x80)],
        _ => char::from(byte),
    }
}
