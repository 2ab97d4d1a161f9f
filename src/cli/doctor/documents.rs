//! What kind of document a server shows of us.

use super::{super::output::count, Found};
use crate::presence::pidf::{self, Document};

/// Names the dialect of a document.
pub(super) fn dialect(document: Option<&str>) -> Found {
    let Some(document) = document else { return Found::skipped("there was no document to look at") };
    match Document::parse(document.as_bytes(), None) {
        Ok(read) => Found::ok(words(&read)),
        Err(error) => match Document::parse_legacy(document.as_bytes(), None) {
            Ok(_) => Found::warning(
                "the document is of a type before PIDF",
                "older phones may need it so; what it cannot say, such as activities, gets lost",
            ),
            Err(_) => Found::warning(format!("the document cannot be read: {error}"), "report it with --trace-sip"),
        },
    }
}

fn words(document: &Document) -> String {
    let mut parts = vec![format!("{}, {}", pidf::CONTENT_TYPE, count(document.tuples.len(), "tuple"))];
    if !document.persons.is_empty() {
        parts.push(format!("{} (RFC 4479)", count(document.persons.len(), "person")));
    }
    let richly = document.persons.iter().any(|person| !person.rich.activities.is_empty())
        || document.tuples.iter().any(|tuple| !tuple.rich.activities.is_empty());
    if richly {
        parts.push("activities (RFC 4480)".to_owned());
    }
    let tuples = &document.tuples;
    for (there, name) in [
        (tuples.iter().any(|tuple| tuple.marker.is_some()), "our own state marker"),
        (tuples.iter().any(|tuple| tuple.show.is_some()), "XMPP's show"),
        (tuples.iter().any(|tuple| tuple.extended.is_some()), "Blink's extended status"),
        (tuples.iter().any(|tuple| tuple.online), "Linphone's online mark"),
        (!document.raw.is_empty(), "elements that are not known here"),
    ] {
        if there {
            parts.push(name.to_owned());
        }
    }
    if document.entity.is_empty() {
        parts.push("it does not say whom it is about".to_owned());
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::found::Mark;

    #[test]
    fn documents_are_told_by_what_is_in_them() {
        for (name, text, expected) in [
            ("blink", include_str!("../../../tests/corpus/blink-busy.xml"), "Blink's extended status"),
            ("linphone", include_str!("../../../tests/corpus/linphone-online.xml"), "Linphone's online mark"),
            ("jitsi", include_str!("../../../tests/corpus/jitsi-away.xml"), "RFC 4479"),
            ("ours", include_str!("../../../tests/corpus/w-s4.xml"), "our own state marker"),
            ("kamailio", include_str!("../../../tests/corpus/kamailio-two-devices.xml"), "2 tuples"),
        ] {
            let found = dialect(Some(text));
            assert!(found.mark == Mark::Ok && found.words.contains(expected), "{name}: {found:?}");
        }
        assert_eq!(dialect(None).mark, Mark::Skipped);
        assert_eq!(dialect(Some("<html/>")).mark, Mark::Warning);
    }
}
