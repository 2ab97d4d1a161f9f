//! Our own objects: written as an array with one a line, read as an array or one after the other.

use std::fmt::Write as _;

use serde::de::IgnoredAny;
use serde_json::Deserializer;

use super::{ExchangeError, Format, Reading, clean, lines::Places};
use crate::presence::buddy::{Buddies, Buddy};

pub(super) fn read(text: &str, found: &mut Reading) -> Result<(), ExchangeError> {
    let body = text.trim_start();
    let is_array = body.starts_with('[');
    if !is_array && !body.is_empty() && !body.starts_with('{') {
        let reason = format!("it begins with neither [ nor {{, but {}", clean::short(body));
        return Err(ExchangeError::Unlike(Format::Json, reason));
    }
    let mut rest = if is_array { &body[1..] } else { body };
    let mut places = Places::new(text);
    loop {
        rest = rest.trim_start_matches([' ', '\t', '\r', '\n', ',']);
        let line = places.line_of(text.len() - rest.len());
        if rest.is_empty() {
            return if is_array { found.blame(line, "it ends without ]") } else { Ok(()) };
        }
        if is_array && rest.starts_with(']') {
            let more = rest[1..].trim();
            return if more.is_empty() { Ok(()) } else { found.blame(line, "there is more behind ]") };
        }
        // Where the value ends is found before it is read, so that a wrong one costs no other.
        let mut values = Deserializer::from_str(rest).into_iter::<IgnoredAny>();
        let reason = match values.next() {
            Some(Ok(_)) => {
                let (value, behind) = rest.split_at(values.byte_offset());
                rest = behind;
                match serde_json::from_str::<Buddy>(value) {
                    Ok(buddy) => {
                        found.take(line, buddy)?;
                        continue;
                    }
                    Err(error) => error,
                }
            }
            Some(Err(error)) => {
                rest = if is_array { "]" } else { rest.split_once('\n').map_or("", |(_, rest)| rest) };
                error
            }
            None => return Ok(()),
        };
        let reason = reason.to_string();
        found.blame(line, clean::message(reason.split(" at line ").next().unwrap_or(&reason)))?;
    }
}

pub(super) fn write(list: &Buddies) -> String {
    let mut text = "[".to_owned();
    for (n, buddy) in list.0.iter().enumerate() {
        let object = serde_json::to_string(buddy).unwrap_or_default();
        let _ = write!(text, "{}{object}", if n == 0 { "\n" } else { ",\n" });
    }
    text.push_str(if list.0.is_empty() { "]\n" } else { "\n]\n" });
    text
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Format, Imported, read as read_text},
        *,
    };

    const FILE: &str = include_str!("../../../tests/exchange/buddies.json");

    #[test]
    fn an_array_is_read_and_written_one_a_line() {
        let found = read_text(FILE.as_bytes(), Format::Json).unwrap();
        assert_eq!(Format::of_text(FILE.as_bytes()), Some(Format::Json));
        assert_eq!((found.buddies.len(), found.broken.len()), (3, 0));
        assert_eq!(write(&Buddies(found.buddies)), FILE);
        assert_eq!(write(&Buddies::default()), "[]\n");
        assert_eq!(read_text(b"[]\n", Format::Json), Ok(Imported::default()));
    }

    #[test]
    fn one_a_line_is_read_too_and_a_wrong_one_costs_no_other() {
        let lines = FILE.replace("[\n", "").replace("]\n", "").replace("},\n", "}\n");
        assert_eq!(read_text(lines.as_bytes(), Format::Json), read_text(FILE.as_bytes(), Format::Json));
        let text = "{\"address\":\"a@h\",\"more\":[1]}\n\n{\"name\":\"x\"}\n{\"address\":\n{\"address\":\"b c\"}\n3\n{\"address\":\"d@h\"}";
        let found = read_text(text.as_bytes(), Format::Json).unwrap();
        let broken: Vec<String> = found.broken.iter().map(ToString::to_string).collect();
        assert_eq!(
            broken,
            [
                "line 3: missing field `address`",
                "line 4: expected `,` or `}`",
                "line 5: \"b c\" is no SIP address: write sip:bob@example.com or bob@example.com",
                "line 6: invalid type: integer `3`, expected struct Buddy",
            ]
        );
        assert_eq!(found.buddies, [Buddy::new("a@h"), Buddy::new("d@h")]);
    }

    #[test]
    fn an_array_that_ends_early_gives_what_it_has() {
        let text = "[{\"address\":\"a@h\"},\n{\"address\":\"b@";
        let found = read_text(text.as_bytes(), Format::Json).unwrap();
        assert_eq!(found.buddies, [Buddy::new("a@h")]);
        assert_eq!(found.broken[0].to_string(), "line 2: EOF while parsing a string");
        let error = read_text(b"alice", Format::Json).unwrap_err().to_string();
        assert_eq!(error, "it is no json: it begins with neither [ nor {, but \"alice\"");
    }
}
