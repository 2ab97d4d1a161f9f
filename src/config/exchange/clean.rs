//! What other programs call an address, a name or a group, made fit for a list.

use std::collections::HashSet;

use crate::{
    config::buddies::{parse_address, parse_parameters},
    presence::{
        buddy::{Buddy, LONGEST_NAME, address_key, fold, parse_group, parse_name},
        text::visible,
    },
};

/// The schemes of addresses that a list may have.
const SCHEMES: [&str; 4] = ["sip:", "sips:", "pres:", "tel:"];

/// Makes somebody fit for a list: a word that cannot be one is left out.
///
/// # Errors
/// In words when the address cannot be one.
pub(super) fn buddy(found: Buddy) -> Result<Buddy, String> {
    let address = address(&found.address)?;
    let key = address_key(&address);
    let name = found.name.filter(|name| !name.contains('@') || address_key(name) != key);
    let mut groups: Vec<String> = found.groups.iter().filter_map(|group| word(group, parse_group)).collect();
    let mut seen = HashSet::new();
    groups.retain(|group| seen.insert(fold(group)));
    let mut aliases: Vec<String> = found.aliases.iter().filter_map(|alias| word(alias, parse_name)).collect();
    let name = name.and_then(|name| word(&name, parse_name));
    let mut seen: HashSet<String> = name.iter().map(|name| fold(name)).collect();
    aliases.retain(|alias| seen.insert(fold(alias)));
    let account = found.account.map(|account| account.trim().to_owned());
    Ok(Buddy {
        address,
        name,
        aliases,
        groups,
        account: account.filter(|account| !account.is_empty() && visible(account) == *account),
        baresip: found.baresip.and_then(|parameters| parse_parameters(&parameters).ok().flatten()),
        ..found
    })
}

/// Returns an address as a URI that needs no quoting.
pub(super) fn uri(address: &str) -> String {
    let mut uri = if has_scheme(address) { String::new() } else { "sip:".to_owned() };
    for c in address.chars() {
        if c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | '"') {
            uri.extend(c.encode_utf8(&mut [0; 4]).bytes().map(|byte| format!("%{byte:02X}")));
        } else {
            uri.push(c);
        }
    }
    uri
}

/// Returns whether an address says of which kind it is.
pub(super) fn has_scheme(address: &str) -> bool {
    SCHEMES.iter().any(|scheme| address.get(..scheme.len()).is_some_and(|own| own.eq_ignore_ascii_case(scheme)))
}

/// Returns as much of a text as a word can come from.
pub(super) fn head(text: &str) -> &str {
    text.char_indices().nth(16 * LONGEST_NAME).map_or(text, |(end, _)| &text[..end])
}

/// Returns the beginning of a text for a message.
pub(super) fn short(text: &str) -> String {
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{:?} …", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// Returns what another library says, which may quote its input, as it may be printed.
pub(super) fn message(text: &str) -> String {
    visible(&text.chars().take(200).collect::<String>())
}

fn address(text: &str) -> Result<String, String> {
    let bare = text.trim();
    let bare = bare.strip_prefix('<').and_then(|bare| bare.strip_suffix('>')).unwrap_or(bare);
    let address = parse_address(bare)?;
    let scheme = address.split_once(':').filter(|(scheme, _)| !scheme.contains(['@', '.', '[']));
    let is_known = match scheme {
        Some((_, rest)) if has_scheme(&address) => !rest.is_empty(),
        // A host and its port.
        Some((_, rest)) => rest.bytes().all(|byte| byte.is_ascii_digit()),
        None => true,
    };
    let is_plain = visible(&address) == address && !address.contains(|c: char| c.is_whitespace() || "<>\"".contains(c));
    if is_known && is_plain {
        Ok(address)
    } else {
        Err(format!("{} is no SIP address: write sip:bob@example.com or bob@example.com", short(&address)))
    }
}

/// Reads a word; one that cannot be one as it is, without what is in the way.
fn word<E>(text: &str, parse: impl Fn(&str) -> Result<String, E>) -> Option<String> {
    parse(text).or_else(|_| parse(&plain(text))).ok()
}

/// Returns what is left of a text without anything that no name may have.
fn plain(text: &str) -> String {
    let seen = head(text).chars().filter_map(|c| match c {
        '@' | ',' => Some(' '),
        c if c.is_whitespace() => Some(' '),
        c => (visible(c.encode_utf8(&mut [0; 4])).len() == c.len_utf8()).then_some(c),
    });
    let seen: String = seen.collect();
    let words: Vec<&str> = seen.split_whitespace().collect();
    let plain: String = words.join(" ").trim_start_matches(['-', ' ']).chars().take(LONGEST_NAME).collect();
    plain.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_cannot_be_one_is_made_one_and_else_left_out() {
        for (name, expected) in [
            ("Liddell, Alice", Some("Liddell Alice")),
            ("alice@home", Some("alice home")),
            (" Zoë\t☕\u{7}\u{202e} ", Some("Zoë ☕")),
            ("-- bob", Some("bob")),
            ("me", None),
            ("sip:alice@example.org", None),
            ("Alice@EXAMPLE.com", Some("Alice EXAMPLE.com")),
            ("alice@EXAMPLE.com", None),
            ("\u{0}", None),
        ] {
            let found = Buddy { name: Some(name.into()), ..Buddy::new("sip:alice@example.com") };
            assert_eq!(buddy(found).unwrap().name.as_deref(), expected, "{name:?}");
        }
        let long = Buddy { name: Some("é".repeat(3000)), ..Buddy::new("a@h") };
        assert_eq!(buddy(long).unwrap().name.unwrap(), "é".repeat(64));
    }

    #[test]
    fn an_address_is_of_a_kind_that_can_be_watched() {
        let read = |text: &str| buddy(Buddy::new(text)).map(|buddy| buddy.address);
        for good in ["sip:a@h", "SIPS:a@h:5061;transport=tls", "a@[2001:db8::1]:5060", "pbx:5060", "alice", "a@h:5070"]
        {
            assert_eq!(read(good).as_deref(), Ok(good));
        }
        assert_eq!(read(" <sip:a@h> ").as_deref(), Ok("sip:a@h"));
        for bad in ["", "sip:", "xmpp:a@h", "mailto:a@h", "https://h/", "a b@h", "a@h>", "@team", "-v", "a\u{202e}@h"] {
            assert!(read(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn words_stand_once_and_a_uri_needs_no_quotes() {
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        let found = Buddy {
            name: Some("Al".into()),
            aliases: words(&["AL", "boss", "Boss", "me"]),
            groups: words(&["@team", "Team", "", "a,b"]),
            account: Some(" work ".into()),
            baresip: Some(" ;access=allow; ".into()),
            ..Buddy::new("a@h")
        };
        let read = buddy(found).unwrap();
        assert_eq!((read.aliases, read.groups), (words(&["boss"]), words(&["team", "a b"])));
        assert_eq!((read.account.as_deref(), read.baresip.as_deref()), (Some("work"), Some("access=allow")));
        assert_eq!(uri("a <b>@h"), "sip:a%20%3Cb%3E@h");
        assert_eq!(uri("PRES:zoë@h"), "PRES:zoë@h");
    }
}
