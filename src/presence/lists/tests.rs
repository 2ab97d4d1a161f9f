use std::{collections::HashSet, fmt::Write as _};

use proptest::{collection::vec, prelude::*, sample::select};

use super::{walk::MAX_REFERENCES, *};

/// Puts lists into a document.
fn document(lists: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<resource-lists xmlns=\"{NAMESPACE}\">{lists}</resource-lists>"
    )
}

fn entry(uri: &str, name: Option<&str>) -> Entry {
    Entry { uri: uri.to_owned(), name: name.map(str::to_owned) }
}

/// Flattens a document that refers to nothing.
fn flat(lists: &str, name: Option<&str>) -> Result<Vec<Entry>, ListError> {
    flatten(document(lists).as_bytes(), name, |place| panic!("{place}"))
}

fn uris(entries: &[Entry]) -> Vec<&str> {
    entries.iter().map(|entry| &*entry.uri).collect()
}

/// Flattens a document with others beside it.
fn among(lists: &str, others: &[(&str, &str)]) -> Result<Vec<String>, ListError> {
    let found = flatten(document(lists).as_bytes(), None, |place| {
        let (_, other) = others.iter().find(|(there, _)| *there == place)?;
        Some(other.as_bytes().to_vec())
    })?;
    Ok(found.into_iter().map(|entry| entry.uri).collect())
}

fn entries(range: std::ops::Range<usize>) -> String {
    range.fold(String::new(), |mut text, n| {
        let _ = write!(text, "<entry uri=\"sip:u{n}@example.com\"/>");
        text
    })
}

#[test]
fn rls_07_nested_lists_are_one_list_and_duplicates_one_entry() {
    let lists = r#"<list name="friends"><display-name>Friends</display-name>
        <entry uri="sip:bob@example.com"/>
        <entry uri=" sip:carol@example.com "><display-name> Carol </display-name></entry>
        <list name="close"><entry uri="sips:BOB@Example.COM;transport=tls"/>
          <entry uri="sip:bob@EXAMPLE.com:5070"><display-name>Bob</display-name></entry>
          <list><entry uri="pres:carol@example.com"><display-name>Karla</display-name></entry></list>
        </list>
        <other xmlns="urn:other"><entry uri="sip:other@example.com"/></other>
        <entry uri="tel:+1-555"/><entry uri="mailto:dave@example.com"/><entry uri="sip:dave@example.com"/>
      </list>
      <list name="team"><entry uri="sip:eve@example.com"/><entry uri="no uri"/><entry uri=""/><entry/></list>"#;
    let friends = [
        entry("sip:bob@example.com", Some("Bob")),
        entry("sip:carol@example.com", Some("Carol")),
        entry("sips:BOB@Example.COM;transport=tls", None),
        entry("tel:+1-555", None),
        entry("mailto:dave@example.com", None),
        entry("sip:dave@example.com", None),
    ];
    // A user's letters count, a host's do not.
    assert_eq!(flat(lists, Some("friends")).unwrap(), friends);
    assert_eq!(uris(&flat(lists, Some("team")).unwrap()), ["sip:eve@example.com"]);
    assert_eq!(flat(lists, None).unwrap().len(), friends.len() + 1);
    assert_eq!(flat(lists, Some("close")), Err(ListError::NoSuchList));
    assert_eq!(flat("", None), Ok(Vec::new()));
}

#[test]
fn rls_07_a_list_that_refers_to_itself_is_followed_once() {
    let own = document(
        r#"<list name="friends"><entry uri="sip:bob@example.com"/>
          <external anchor="http://h/resource-lists/users/sip:a@h/index/~~/resource-lists/list%5b@name=%22friends%22%5d"/>
          <external anchor="http://h/resource-lists/users/sip:a@h/index/~~/resource-lists/list%5b@name=%22friends%22%5d"/>
          <external anchor="http://h/resource-lists/users/sip:a@h/index"/>
        </list>"#,
    );
    let mut asked = Vec::new();
    let found = flatten(own.as_bytes(), Some("friends"), |place| {
        asked.push(place.to_owned());
        Some(own.clone().into_bytes())
    });
    assert_eq!(uris(&found.unwrap()), ["sip:bob@example.com"]);
    assert_eq!(asked, ["http://h/resource-lists/users/sip:a@h/index"]);
    // Two that refer to each other.
    let to = |uri: &str, other: &str| {
        document(&format!("<list><entry uri=\"{uri}\"/><external anchor=\"{other}\"/></list>"))
    };
    let (a, b) = (to("sip:a@h", "b"), to("sip:b@h", "a"));
    let found = among("<list><external anchor=\"a\"/></list>", &[("a", &a), ("b", &b)]);
    assert_eq!(found.unwrap(), ["sip:a@h", "sip:b@h"]);
}

#[test]
fn rls_07_lists_stand_in_each_other_eight_deep_at_most() {
    let nested = |depth: usize| {
        format!("{}<entry uri=\"sip:bob@example.com\"/>{}", "<list>".repeat(depth), "</list>".repeat(depth))
    };
    assert_eq!(flat(&nested(MAX_DEPTH), None).unwrap().len(), 1);
    assert_eq!(flat(&nested(MAX_DEPTH + 1), None), Err(ListError::TooDeep));
    assert_eq!(flat(&nested(10_000), None), Err(ListError::TooDeep));
    // References that lead ever further, by names or in the places of lists.
    for form in [
        "<resource-lists><list><external anchor=\"{}\"/></list></resource-lists>",
        "<resource-lists><external anchor=\"{}\"/></resource-lists>",
        "<list><external anchor=\"{}\"/></list>",
    ] {
        let mut count = 0;
        let found = flatten(form.replace("{}", "0").as_bytes(), None, |_| {
            count += 1;
            Some(form.replace("{}", &count.to_string()).into_bytes())
        });
        assert!(count <= MAX_DEPTH, "{form}: {count}");
        let is_followed = !form.starts_with("<resource-lists><external");
        assert_eq!(found, if is_followed { Err(ListError::TooDeep) } else { Ok(Vec::new()) }, "{form}");
    }
}

#[test]
fn rls_07_a_list_has_five_hundred_entries_at_most() {
    let list = |text: &str| flat(&format!("<list>{text}{text}</list>"), None);
    assert_eq!(list(&entries(0..MAX_ENTRIES)).unwrap().len(), MAX_ENTRIES, "each one twice");
    assert_eq!(list(&entries(0..MAX_ENTRIES + 1)), Err(ListError::TooMany));
    let halves = [
        ("a", document(&format!("<list>{}</list>", entries(0..300)))),
        ("b", document(&format!("<list>{}</list>", entries(200..501)))),
    ];
    let halves = halves.each_ref().map(|(place, text)| (*place, &**text));
    assert_eq!(
        among("<list><external anchor=\"a\"/><external anchor=\"b\"/></list>", &halves),
        Err(ListError::TooMany)
    );
}

#[test]
fn rls_07_references_are_followed_and_what_is_not_there_is_left_out() {
    let other = document(
        r#"<list name="a"><entry uri="sip:one@h"><display-name>One</display-name></entry><entry uri="sip:two@h"/></list>
           <list name="R&amp;D / &quot;x&quot;"><entry uri="sip:three@h"/></list>"#,
    );
    let own = r#"<list>
        <entry-ref ref="o/~~/resource-lists/list%5b@name=%22a%22%5d/entry%5b@uri=%22sip:one@h%22%5d"><display-name>Uno</display-name></entry-ref>
        <entry-ref ref="o/~~/resource-lists/list[1]/entry[2]"/>
        <entry-ref ref="o/~~/resource-lists/list[1]"/>
        <entry-ref ref="o/~~/resource-lists/list/entry"/>
        <entry-ref ref="o"/><entry-ref ref=" "/><entry-ref/>
        <entry-ref ref="alone"/>
        <external anchor="o/~~/rl:resource-lists/*[2][@name='R&amp;amp;D%20/%20&amp;quot;x&amp;quot;']?xmlns(rl=urn:x)"/>
        <external anchor="list"/>
        <external anchor="o/~~/resource-lists/list[1]/entry[1]"/>
        <external anchor="gone"/><external anchor="broken"/><external anchor="other"/><external/>
      </list>"#;
    let others = [
        ("o", &*other),
        ("alone", "<entry uri='sip:alone@h'/>"),
        ("list", "<list><entry uri='sip:listed@h'/></list>"),
        ("broken", "<list>"),
        ("other", "<presence/>"),
    ];
    let mut asked = Vec::new();
    let found = flatten(document(own).as_bytes(), None, |place| {
        asked.push(place.to_owned());
        others.iter().find(|(there, _)| *there == place).map(|(_, text)| text.as_bytes().to_vec())
    });
    let expected = [
        entry("sip:one@h", Some("Uno")),
        entry("sip:two@h", None),
        entry("sip:alone@h", None),
        entry("sip:three@h", None),
        entry("sip:listed@h", None),
    ];
    assert_eq!(found.unwrap(), expected);
    assert_eq!(asked, ["o", "alone", "list", "gone", "broken", "other"], "each one once");
}

#[test]
fn rls_07_what_is_read_and_looked_at_is_limited() {
    let list = |text: &str| document(&format!("<list>{text}</list>"));
    let refers =
        |count: usize, to: &str| (0..count).fold(String::new(), |text, n| text + &to.replace('#', &n.to_string()));
    let flatten = |text: &str, other: &str| flatten(list(text).as_bytes(), None, |_| Some(other.as_bytes().to_vec()));
    // Many references into one document, to the same entry.
    let same = refers(MAX_REFERENCES, "<entry-ref ref=\"o/~~/*/list/entry[1]?#\"/>");
    let two = list(&entries(0..2));
    assert_eq!(flatten(&same, &two).unwrap().len(), 1);
    assert_eq!(flatten(&(same + "<entry-ref ref=\"o\"/>"), &two), Err(ListError::TooMuch));
    // The same entries over and over.
    let again = refers(100, "<external anchor=\"o/~~/*/list?#\"/>");
    assert_eq!(flatten(&again, &list(&entries(0..50))).unwrap().len(), 50);
    assert_eq!(flatten(&again, &list(&entries(0..200))), Err(ListError::TooMuch));
    // Many large documents.
    let large = list(&format!("<display-name>{}</display-name>", "x".repeat(900_000)));
    assert_eq!(flatten(&refers(4, "<external anchor=\"#\"/>"), &large), Ok(Vec::new()));
    assert_eq!(flatten(&refers(5, "<external anchor=\"#\"/>"), &large), Err(ListError::TooMuch));
    assert_eq!(flatten(&refers(50, "<external anchor=\"o/~~/*/list?#\"/>"), &large), Ok(Vec::new()), "one document");
}

#[test]
fn rls_08_a_list_in_a_request_is_flat_and_its_duplicates_are_dropped() {
    let text = r#"<list><display-name>Party</display-name>
        <entry uri="sip:bob@example.com" cp:copyControl="to" xmlns:cp="urn:ietf:params:xml:ns:copycontrol"/>
        <entry uri="sip:carol@example.com"><display-name>Carol</display-name></entry>
        <entry uri="sips:bob@EXAMPLE.com"/><entry uri="pres:dave@example.com"/><x xmlns="urn:other"><list/></x>
      </list>"#;
    let expected = [
        entry("sip:bob@example.com", None),
        entry("sip:carol@example.com", Some("Carol")),
        entry("pres:dave@example.com", None),
    ];
    assert_eq!(ad_hoc(document(text).as_bytes()).unwrap(), expected);
    let bare = "<resource-lists><list><entry uri='sip:bob@example.com'/></list></resource-lists>";
    assert_eq!(ad_hoc(bare.as_bytes()).unwrap(), expected[..1]);
    assert_eq!(ad_hoc(document("<list/>").as_bytes()), Ok(Vec::new()));
}

#[test]
fn rls_08_a_list_in_a_request_that_is_not_as_it_should_be_is_refused() {
    let bob = "<entry uri=\"sip:bob@example.com\"/>";
    for (lists, expected) in [
        (String::new(), ListError::NotFlat),
        (format!("<list>{bob}</list><list>{bob}</list>"), ListError::NotFlat),
        (format!("<list>{bob}<list>{bob}</list></list>"), ListError::NotFlat),
        (format!("<list>{bob}<entry-ref ref=\"o\"/></list>"), ListError::NotFlat),
        (format!("<list>{bob}<external anchor=\"o\"/></list>"), ListError::NotFlat),
        (format!("<list>{bob}<member/></list>"), ListError::NotFlat),
        (bob.to_owned(), ListError::NotFlat),
        (format!("<list>{bob}<entry/></list>"), ListError::Uri),
        (format!("<list>{bob}<entry uri=\"tel:+1555\"/></list>"), ListError::Uri),
        (format!("<list>{bob}<entry uri=\"mailto:bob@example.com\"/></list>"), ListError::Uri),
        (format!("<list>{bob}<entry uri=\"bob@example.com\"/></list>"), ListError::Uri),
        (format!("<list>{bob}<entry uri=\"sip:b&#10;ob@example.com\"/></list>"), ListError::Uri),
        (format!("<list>{}</list>", entries(0..MAX_ENTRIES + 1)), ListError::TooMany),
    ] {
        assert_eq!(ad_hoc(document(&lists).as_bytes()), Err(expected), "{lists}");
    }
    assert_eq!(ad_hoc(b"<presence/>"), Err(ListError::Root("presence".into())));
    assert_eq!(ad_hoc(b"<list/>"), Err(ListError::Root("list".into())));
    assert!(matches!(ad_hoc(b"bob"), Err(ListError::Xml(_))));
    assert!(matches!(ad_hoc(b""), Err(ListError::Xml(_))));
}

#[test]
fn hostile_documents_cost_nothing_and_do_nothing() {
    let both = |text: &str| {
        let flat = flatten(text.as_bytes(), None, |place| panic!("{place}"));
        (flat, ad_hoc(text.as_bytes()))
    };
    let bomb = format!(
        "<!DOCTYPE r [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;\">]>{}",
        "<resource-lists><list><entry uri=\"sip:&b;@h\"/></list></resource-lists>"
    );
    let doctype = Err(ListError::Xml(Error::Doctype));
    assert_eq!(both(&bomb), (doctype.clone(), doctype));
    let system = "<!DOCTYPE r SYSTEM \"file:///etc/passwd\"><resource-lists/>";
    assert_eq!(both(system).0, Err(ListError::Xml(Error::Doctype)));
    let nested = document(&"<list>".repeat(10_000));
    assert_eq!(both(&nested), (Err(ListError::TooDeep), Err(ListError::TooDeep)));
    let long =
        document(&format!("<list><entry uri=\"sip:{}@h\"/><entry uri=\"sip:b@h\"/></list>", "a".repeat(500_000)));
    assert_eq!(both(&long), (Ok(vec![entry("sip:b@h", None)]), Err(ListError::Uri)));
    let huge = "<".repeat(LIMITS.bytes + 1);
    assert_eq!(both(&huge).0, Err(ListError::Xml(Error::TooLarge(LIMITS.bytes))));
    let reference = document(&format!("<list><external anchor=\"{}\"/></list>", "a".repeat(500_000)));
    assert_eq!(both(&reference), (Ok(Vec::new()), Err(ListError::NotFlat)));
    let members = document(&format!("<list>{}</list>", "<entry/>".repeat(60_000)));
    assert_eq!(both(&members), (Err(ListError::TooMuch), Err(ListError::Uri)));
}

proptest! {
    #[test]
    fn nothing_that_somebody_writes_makes_us_panic(text in "(<[a-z :=\"'/>-]{0,20}|<list>|</list>|<entry uri=\"|\"/>|sip:|&[a-z#0-9]*;|\\PC){0,40}") {
        let resolve = |place: &str| Some(place.as_bytes().to_vec());
        for text in [text.clone(), document(&text), document(&format!("<list>{text}</list>"))] {
            let _ = flatten(text.as_bytes(), None, resolve);
            let _ = ad_hoc(text.as_bytes());
        }
    }

    #[test]
    fn no_selector_makes_us_panic(pieces in vec(select(&["resource-lists", "list", "/", "[", "]", "@", "=", "\"", "'", "1", "0", "*", ":", "%5b", "%", "?", "name", "ä", "99999999999999999999"][..]), 0..20)) {
        let selector = pieces.concat();
        let tree = Tree::parse(document("<list name=\"name\"><list/></list>").as_bytes(), None).unwrap();
        let _ = super::select::select(tree.root(), &selector);
        let _ = super::select::select(tree.root(), &format!("resource-lists/{selector}"));
    }

    #[test]
    fn rls_07_whoever_is_in_a_list_is_there_once(users in vec("[a-c]", 0..20), deep in 1..MAX_DEPTH) {
        let members: Vec<String> = users.iter().map(|user| format!("<entry uri=\"sip:{user}@h\"/>")).collect();
        let members = members.concat();
        let lists = format!("{}{members}{}", format!("<list>{members}").repeat(deep), "</list>".repeat(deep));
        let mut expected = users;
        let mut seen = HashSet::new();
        expected.retain(|user| seen.insert(user.clone()));
        let found = flat(&lists, None).unwrap();
        prop_assert_eq!(uris(&found), expected.iter().map(|user| format!("sip:{user}@h")).collect::<Vec<_>>());
    }
}
