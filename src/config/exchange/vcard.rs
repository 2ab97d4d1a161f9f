//! vCard: versions 2.1, 3 (RFC 2426) and 4 (RFC 6350) are read, 4 is written.
//!
//! Lines, folding, escapes and encodings are calcard's. The cards are parted here, so that a broken one costs no other.
//! Who has no SIP address is no buddy; who has several becomes several, "Alice" and "Alice (2)".

use std::{borrow::Cow, collections::HashSet};

use calcard::{
    Entry, Parser,
    vcard::{VCard, VCardEntry, VCardProperty, VCardValue, VCardVersion},
};

use super::{ExchangeError, Format, Reading, clean, lines::lines};
use crate::presence::{
    buddy::{Buddies, Buddy, address_key},
    xml::decode,
};

/// The most bytes of a card, of which a photo may take the most; each takes a multiple of them while it is read.
const MAX_CARD: usize = 4 * 1024 * 1024;
const NO_ADDRESS: &str = "cards without a SIP address";

pub(super) fn read(text: &[u8], found: &mut Reading) -> Result<(), ExchangeError> {
    // Where the open card begins: its line and its first byte.
    let (mut open, mut at, mut is_vcard) = (None, 0, false);
    for (number, line) in lines(text) {
        let start = at;
        at = text.len().min(at + text[at..].iter().position(|byte| *byte == b'\n').map_or(text.len(), |end| end + 1));
        let line = line.trim_ascii_end();
        if line.eq_ignore_ascii_case(b"BEGIN:VCARD") {
            is_vcard = true;
            if let Some((begin, _)) = open.replace((number, start)) {
                found.blame(begin, "the card has no END:VCARD")?;
            }
        } else if line.eq_ignore_ascii_case(b"END:VCARD") {
            match open.take() {
                Some((begin, start)) if at - start > MAX_CARD => found.blame(begin, "the card has more than 4 MiB")?,
                Some((begin, start)) => card(&text[start..at], begin, found)?,
                None => found.blame(number, "END:VCARD without BEGIN:VCARD")?,
            }
        }
    }
    if let Some((begin, _)) = open {
        found.blame(begin, "the card has no END:VCARD")?;
    }
    if is_vcard || text.trim_ascii().is_empty() {
        Ok(())
    } else {
        Err(ExchangeError::Unlike(Format::VCard, "it has no line BEGIN:VCARD".to_owned()))
    }
}

pub(super) fn write(list: &Buddies) -> String {
    let mut text = String::new();
    for buddy in &list.0 {
        let uri = clean::uri(&buddy.address);
        // Every card has a name (RFC 6350 §6.2.1).
        let name = buddy.name.clone().unwrap_or_else(|| uri.clone());
        let properties = [
            (VCardProperty::Fn, vec![name]),
            (VCardProperty::Nickname, buddy.aliases.clone()),
            (VCardProperty::Categories, buddy.groups.clone()),
            (VCardProperty::Impp, vec![uri]),
        ];
        let entries =
            properties.into_iter().filter(|(_, values)| !values.is_empty()).map(|(name, values)| VCardEntry {
                group: None,
                name,
                params: Vec::new(),
                values: values.into_iter().map(VCardValue::Text).collect(),
            });
        let _ = VCard { entries: entries.collect() }.write_to(&mut text, VCardVersion::V4_0);
    }
    text
}

fn card(bytes: &[u8], line: usize, found: &mut Reading) -> Result<(), ExchangeError> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        // What is older than UTF-8 is of this encoding, more often than not.
        Err(_) => decode(bytes, Some("windows-1252")).unwrap_or_default(),
    };
    let Entry::VCard(card) = Parser::new(&text).entry() else {
        return found.blame(line, "the card cannot be read");
    };
    let values = |property: &VCardProperty| -> Vec<String> {
        card.entries.iter().filter(|entry| entry.name == *property).flat_map(texts).collect()
    };
    let mut aliases = values(&VCardProperty::Nickname);
    let name = values(&VCardProperty::Fn).into_iter().find(|name| !name.trim().is_empty()).or_else(|| {
        let parts = values(&VCardProperty::N);
        let part = |n: usize| parts.get(n).map_or("", String::as_str);
        let name = format!("{} {}", part(1), part(0));
        Some(name.trim().to_owned()).filter(|name| !name.is_empty())
    });
    let name = name.or_else(|| (!aliases.is_empty()).then(|| aliases.remove(0)));
    let groups = values(&VCardProperty::Categories);
    let mut seen = HashSet::new();
    let addresses = card.entries.iter().flat_map(addresses).filter(|address| seen.insert(address_key(address)));
    let mut number = 0;
    for address in addresses {
        number += 1;
        let name = name.as_ref().map(|name| if number == 1 { name.clone() } else { format!("{name} ({number})") });
        let aliases = if number == 1 { aliases.clone() } else { Vec::new() };
        found.take(line, Buddy { name, aliases, groups: groups.clone(), ..Buddy::new(address) })?;
    }
    if number == 0 {
        found.ignore(NO_ADDRESS);
    }
    Ok(())
}

/// Returns the addresses that a property has.
fn addresses(entry: &VCardEntry) -> Vec<String> {
    let is_sip = |text: &str| {
        let scheme = text.split_once(':').map_or("", |(scheme, _)| scheme);
        ["sip", "sips", "pres"].iter().any(|known| known.eq_ignore_ascii_case(scheme))
    };
    let is_meant = match &entry.name {
        VCardProperty::Impp | VCardProperty::Tel => false,
        VCardProperty::Other(name) if name.eq_ignore_ascii_case("X-SIP") => true,
        _ => return Vec::new(),
    };
    let texts = texts(entry).into_iter().map(|text| text.trim().to_owned());
    texts.filter(|text| if is_meant { !text.is_empty() } else { is_sip(text) }).collect()
}

/// Returns the texts of a property, no longer than they can be used.
fn texts(entry: &VCardEntry) -> Vec<String> {
    let text = |value: &VCardValue| match value {
        VCardValue::Text(text) => Some(clean::head(text).to_owned()),
        VCardValue::Component(parts) => Some(clean::head(&parts.join(" ")).to_owned()),
        _ => None,
    };
    entry.values.iter().filter_map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Format, Imported, read as read_text},
        *,
    };

    fn told(buddy: &Buddy) -> String {
        let name = buddy.name.as_deref().unwrap_or("-");
        format!("{name}|{}|{}|{}", buddy.address, buddy.aliases.join("+"), buddy.groups.join("+"))
    }

    #[test]
    fn cards_of_all_versions_and_programs_are_read() {
        let text = include_bytes!("../../../tests/exchange/people.vcf");
        assert_eq!(Format::of_text(text), Some(Format::VCard));
        let found = read_text(text, Format::VCard).unwrap();
        assert_eq!(
            found.buddies.iter().map(told).collect::<Vec<_>>(),
            [
                "Alice Liddell|sip:alice@example.com;transport=tls|al+Zoë ☕|team+on call",
                "Alice Liddell (2)|sips:alice@example.org||team+on call",
                "Bob; the \"Builder\" whose name is folded in its middle|sip:bob@example.com||",
                "Jörg Müller|joerg@example.com||",
                "Käthe Groß|sip:kaethe@example.com||",
                "Kay|sip:kay@example.com||",
                "-|sip:nobody@example.com||",
            ]
        );
        assert_eq!(found.ignored.into_iter().collect::<Vec<_>>(), [(NO_ADDRESS, 1)]);
        let broken: Vec<String> = found.broken.iter().map(ToString::to_string).collect();
        assert_eq!(
            broken,
            [
                "line 34: the card has no END:VCARD",
                "line 43: END:VCARD without BEGIN:VCARD",
                "line 54: \"sip:b c@example.com\" is no SIP address: write sip:bob@example.com or bob@example.com",
                "line 59: the card has no END:VCARD",
            ]
        );
    }

    #[test]
    fn a_card_is_written_as_the_rfc_has_it() {
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        let alice = Buddy {
            name: Some("Alice; \"Al\" Liddell".into()),
            aliases: words(&["al", "Zoë ☕"]),
            groups: words(&["team;x", "on\\call"]),
            ..Buddy::new("sip:alice@example.com;transport=tls")
        };
        let list = Buddies(vec![alice, Buddy::new("bob@example.com")]);
        let text = write(&list);
        let expected = "\
BEGIN:VCARD
VERSION:4.0
FN:Alice\\; \"Al\" Liddell
NICKNAME:al,Zoë ☕
CATEGORIES:team\\;x,on\\\\call
IMPP:sip:alice@example.com;transport=tls
END:VCARD
BEGIN:VCARD
VERSION:4.0
FN:sip:bob@example.com
IMPP:sip:bob@example.com
END:VCARD
";
        assert_eq!(text, expected.replace('\n', "\r\n"));
        let read = read_text(text.as_bytes(), Format::VCard).unwrap().buddies;
        assert_eq!(read, [list.0[0].clone(), Buddy::new("sip:bob@example.com")]);
    }

    #[test]
    fn a_text_without_a_card_is_none() {
        let error = read_text(b"hello", Format::VCard).unwrap_err().to_string();
        assert_eq!(error, "it is no vcard: it has no line BEGIN:VCARD");
        assert_eq!(read_text(b"\r\n", Format::VCard), Ok(Imported::default()));
    }
}
