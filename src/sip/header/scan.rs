//! The scanners that header values share: tokens, quoted strings, lists, parameters.

use super::{HeaderError, Name};

/// What a byte may be part of, so that scanning takes one look at each.
const CLASS: [u8; 256] = classes();
pub(super) const TOKEN: u8 = 1;
pub(super) const BLANK: u8 = 2;
/// Ends a parameter's value that is not quoted.
pub(super) const END: u8 = 4;

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

pub(super) fn is(c: u8, class: u8) -> bool {
    CLASS[usize::from(c)] & class != 0
}

/// Returns the length of the run of bytes at the front that are, or are not, of a class.
pub(super) fn run(text: &str, class: u8, wanted: bool) -> usize {
    text.bytes().position(|c| is(c, class) != wanted).unwrap_or(text.len())
}

pub(super) fn trim_start(text: &str) -> &str {
    &text[run(text, BLANK, true)..]
}

pub(super) fn trim(text: &str) -> &str {
    let text = trim_start(text);
    let end = text.bytes().rposition(|c| !is(c, BLANK)).map_or(0, |last| last + 1);
    &text[..end]
}

pub(super) fn text_of(value: &[u8], name: Name) -> Result<&str, HeaderError> {
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
pub(super) fn find_outside(text: &str, stop: u8) -> Result<Option<usize>, ()> {
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
pub(super) fn quoted_len(bytes: &[u8]) -> Option<usize> {
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
    pub(super) fn parse(
        text: &'a str,
        name: Name,
        mut each: impl FnMut(&'a str, Option<&'a str>),
    ) -> Result<Self, HeaderError> {
        let params = Self(trim(text));
        let mut rest = params.0;
        while !rest.is_empty() {
            let (param, value, after) = param(rest).ok_or(HeaderError::Malformed(name))?;
            each(param, value);
            rest = after;
        }
        Ok(params)
    }

    /// Returns the parameters of a value that begins with something else, such as a media type; what cannot be read ends
    /// them.
    pub fn of(value: &'a str) -> Self {
        let start = memchr::memchr(b';', value.as_bytes()).unwrap_or(value.len());
        Self(trim(&value[start..]))
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
pub(super) fn param(text: &str) -> Option<(&str, Option<&str>, &str)> {
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
