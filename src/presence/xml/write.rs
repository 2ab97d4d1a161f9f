//! Text into XML.

use std::fmt;

/// Returns the text as it stands in an element's content: escaped, and without what XML forbids.
pub fn escape_text(text: &str) -> impl fmt::Display + '_ {
    fmt::from_fn(move |f| escape(f, text, false))
}

/// Returns the text as it stands in an attribute's value between double quotes.
pub fn escape_attribute(text: &str) -> impl fmt::Display + '_ {
    fmt::from_fn(move |f| escape(f, text, true))
}

/// Tells whether the text may be the value of an XML ID or a local name (`NCName`; ASCII names only, which is
/// all that we write).
pub fn is_ncname(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
}

fn escape(f: &mut fmt::Formatter<'_>, text: &str, attribute: bool) -> fmt::Result {
    let mut plain = 0;
    for (at, c) in text.char_indices() {
        let escaped = match c {
            '&' => "&amp;",
            '<' => "&lt;",
            '>' => "&gt;",
            '"' if attribute => "&quot;",
            '\t' if attribute => "&#9;",
            '\n' if attribute => "&#10;",
            // Bare, it would be read as a line feed.
            '\r' => "&#13;",
            '\t' | '\n' | ' '..='\u{fffd}' => continue,
            '\u{fffe}' | '\u{ffff}' | '\0'..='\u{1f}' => "",
            _ => continue,
        };
        f.write_str(&text[plain..at])?;
        f.write_str(escaped)?;
        plain = at + c.len_utf8();
    }
    f.write_str(&text[plain..])
}
