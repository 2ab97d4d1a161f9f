//! baresip's `contacts`: an address a line, as a SIP header has it, `"Alice" <sip:alice@example.com>;presence=p2p`.
//!
//! `presence` says whether she is watched; without it she is, for who is imported here is imported for that. The other
//! parameters are kept as they are. baresip ends at the first line that it cannot read, so we write none.

use std::fmt::Write as _;

use super::{ExchangeError, Reading, clean, lines};
use crate::presence::buddy::{Buddies, Buddy};

const RULE: &str = "rules for more than one person, such as <sip:*@example.com>";
const PRESENCE: &str = "presence";

pub(super) fn read(text: &str, found: &mut Reading) -> Result<(), ExchangeError> {
    for (number, line) in lines::text(text) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match contact(line) {
            Some(buddy) if is_rule(&buddy.address) => found.ignore(RULE),
            Some(buddy) => found.take(number, buddy)?,
            None => found.blame(number, format!("{} is no \"name\" <address>", clean::short(line)))?,
        }
    }
    Ok(())
}

pub(super) fn write(list: &Buddies) -> String {
    let mut text = String::new();
    // A person whose address baresip would take for a rule of access is no contact there.
    for buddy in list.0.iter().filter(|buddy| !is_rule(&buddy.address)) {
        if let Some(name) = &buddy.name {
            let _ = write!(text, "\"{}\" ", name.replace('\\', "\\\\").replace('"', "\\\""));
        }
        let presence = if buddy.watch { "p2p" } else { "none" };
        let _ = write!(text, "<{}>;{PRESENCE}={presence}", clean::uri(&buddy.address));
        for parameter in parameters(buddy.baresip.as_deref().unwrap_or_default()).filter(|own| value(own).is_none()) {
            let _ = write!(text, ";{parameter}");
        }
        text.push('\n');
    }
    text
}

/// Tells whether a line looks like one of such a file.
pub(super) fn is_contact(line: &str) -> bool {
    contact(line.trim()).is_some_and(|buddy| clean::has_scheme(buddy.address.trim()))
}

/// Reads an address as a SIP header has it: with a name and in brackets, or bare (RFC 3261 §20.10).
pub(super) fn contact(line: &str) -> Option<Buddy> {
    let (name, rest) = match line.strip_prefix('"') {
        Some(quoted) => unquote(quoted)?,
        None => line.find('<').map_or((String::new(), line), |start| (line[..start].to_owned(), &line[start..])),
    };
    let (address, rest) = match rest.trim_start().strip_prefix('<') {
        Some(rest) => rest.split_once('>')?,
        None if name.is_empty() => rest.split_at(rest.find(';').unwrap_or(rest.len())),
        None => return None,
    };
    let rest = rest.trim_start();
    if !rest.is_empty() && !rest.starts_with(';') {
        return None;
    }
    let presence = parameters(rest).find_map(value);
    let kept: Vec<&str> = parameters(rest).filter(|own| value(own).is_none()).collect();
    Some(Buddy {
        name: Some(name).filter(|name| !name.trim().is_empty()),
        watch: !presence.is_some_and(|value| ["none", "no", "off"].iter().any(|no| value.eq_ignore_ascii_case(no))),
        baresip: Some(kept.join(";")),
        ..Buddy::new(address)
    })
}

/// Reads a text up to its closing quote, and what is behind it.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((name, &text[at + 1..])),
            '\\' => name.push(chars.next()?.1),
            c => name.push(c),
        }
    }
    None
}

/// Parts parameters at the semicolons that are not in quotes.
fn parameters(text: &str) -> impl Iterator<Item = &str> {
    let mut is_quoted = false;
    let parts = text.split(move |c| {
        is_quoted ^= c == '"';
        c == ';' && !is_quoted
    });
    parts.map(str::trim).filter(|parameter| !parameter.is_empty())
}

/// Returns what a parameter says of presence, if that is what it is about.
fn value(parameter: &str) -> Option<&str> {
    let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
    name.trim().eq_ignore_ascii_case(PRESENCE).then(|| value.trim())
}

/// Returns whether an address stands for more than one, as in baresip's rules of access.
fn is_rule(address: &str) -> bool {
    let bare = address.trim().split_once(':').map_or(address, |(_, bare)| bare);
    bare.rsplit_once('@').map_or(bare == "*", |(user, host)| user == "*" || host.starts_with('*'))
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Format, read as read_text, write as write_list},
        *,
    };

    const FILE: &str = include_str!("../../../tests/exchange/contacts");

    #[test]
    fn baresips_own_file_is_read() {
        let found = read_text(FILE.as_bytes(), Format::Baresip).unwrap();
        assert_eq!(Format::of_text(FILE.as_bytes()), Some(Format::Baresip));
        let told: Vec<String> = found
            .buddies
            .iter()
            .map(|buddy| {
                let parameters = buddy.baresip.as_deref().unwrap_or("-");
                format!("{}|{}|{}|{parameters}", buddy.name.as_deref().unwrap_or("-"), buddy.address, buddy.watch)
            })
            .collect();
        assert_eq!(
            told,
            [
                "Echo Server|sip:echo@creytiv.com|true|-",
                "alice|sip:alice@192.0.2.7:5070;transport=tcp|true|-",
                "Good Friend|sip:good@friend.com|true|access=allow",
                "Dr. \"Bob\" Builder|sips:bob@example.com|false|access=allow;audio_codecs=\"opus/48000/2;G722\";x-room",
                "Zoë ☕|sip:zoe@example.com|true|-",
                "-|sip:carol@example.com|true|-",
                "-|sip:dave@[2001:db8::1]|false|answermode=auto",
            ]
        );
        assert_eq!(found.ignored.into_iter().collect::<Vec<_>>(), [(RULE, 2)]);
        let broken: Vec<String> = found.broken.iter().map(ToString::to_string).collect();
        assert_eq!(
            broken,
            [
                "line 22: \"\\\"Broken <sip:broken@example.com>\" is no \"name\" <address>",
                "line 23: \"\\\"Nobody\\\" <sip:nobody@example.com\" is no \"name\" <address>",
                "line 24: \"mailto:eve@example.com\" is no SIP address: write sip:bob@example.com or bob@example.com",
            ]
        );
    }

    #[test]
    fn what_baresip_keeps_comes_back_as_it_was() {
        let found = read_text(FILE.as_bytes(), Format::Baresip).unwrap();
        let list = Buddies(found.buddies);
        let text = write_list(&list, Format::Baresip).unwrap();
        assert_eq!(
            text,
            "\
\"Echo Server\" <sip:echo@creytiv.com>;presence=p2p
\"alice\" <sip:alice@192.0.2.7:5070;transport=tcp>;presence=p2p
\"Good Friend\" <sip:good@friend.com>;presence=p2p;access=allow
\"Dr. \\\"Bob\\\" Builder\" <sips:bob@example.com>;presence=none;access=allow;audio_codecs=\"opus/48000/2;G722\";x-room
\"Zoë ☕\" <sip:zoe@example.com>;presence=p2p
<sip:carol@example.com>;presence=p2p
<sip:dave@[2001:db8::1]>;presence=none;answermode=auto
"
        );
        assert_eq!(read_text(text.as_bytes(), Format::Baresip).unwrap().buddies, list.0);
    }

    #[test]
    fn no_buddy_can_write_a_line_of_its_own() {
        let evil = Buddy { baresip: Some("presence=none;x=\"a".into()), ..Buddy::new("a>;access=block\n<sip:eve@h") };
        let text = write(&Buddies(vec![evil, Buddy::new("*@h")]));
        assert_eq!(text, "<sip:a%3E;access=block%0A%3Csip:eve@h>;presence=p2p;x=\"a\n");
    }
}
