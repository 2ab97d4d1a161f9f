use proptest::{collection::vec, option, prelude::*, sample::select};

use super::*;

fn parse(body: &str) -> Result<Document, WinfoError> {
    Document::parse(body.as_bytes(), None)
}

fn watcher(id: &str, uri: &str, status: Status, event: Event) -> Watcher {
    let (id, uri) = (id.to_owned(), uri.to_owned());
    Watcher { id, uri, display_name: None, status, event, expiration: None, duration: None }
}

fn of_bob(version: u32, full: bool, watchers: Vec<Watcher>) -> Document {
    let list = List { resource: "sip:bob@example.com".into(), package: "presence".into(), watchers };
    Document { version, full, lists: vec![list] }
}

#[test]
fn win_01_and_05_a_document_is_written_as_the_schema_has_it() {
    let alice = Watcher {
        display_name: Some("Alice \"<&>\" \u{1}".into()),
        expiration: Some(300),
        duration: Some(12),
        ..watcher("w5f2k8", "sip:alice@example.com;x=<&>", Status::Pending, Event::Subscribe)
    };
    let document = of_bob(0, true, vec![alice, watcher("w2", "sip:c@h", Status::Active, Event::Approved)]);
    assert_eq!(
        document.write(),
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <watcherinfo xmlns=\"urn:ietf:params:xml:ns:watcherinfo\" version=\"0\" state=\"full\">\n\
         <watcher-list resource=\"sip:bob@example.com\" package=\"presence\">\n\
         <watcher id=\"w5f2k8\" status=\"pending\" event=\"subscribe\" \
         display-name=\"Alice &quot;&lt;&amp;&gt;&quot; \" expiration=\"300\" duration-subscribed=\"12\">\
         sip:alice@example.com;x=&lt;&amp;&gt;</watcher>\n\
         <watcher id=\"w2\" status=\"active\" event=\"approved\">sip:c@h</watcher>\n\
         </watcher-list>\n</watcherinfo>\n"
    );
}

#[test]
fn wic_01_a_document_is_read_leniently() {
    let read = parse(
        r#"<?xml version="1.0"?><w:watcherinfo xmlns:w="urn:ietf:params:xml:ns:watcherinfo" version=" 7 " state="PARTIAL" x="y">
  <w:watcher-list resource="sip:bob@example.com" package="presence"><w:other/>
    <w:watcher id=" a " status="Active" event="never heard" expiration="soon" duration-subscribed="12" xml:lang="de">
      sip:alice@example.com
    </w:watcher>
    <w:watcher id="b" status="waiting" display-name=" "><![CDATA[sip:c&d@h]]></w:watcher>
    <w:watcher status="active" event="subscribe">sip:no-id@h</w:watcher>
    <w:watcher id="c" event="subscribe">sip:no-status@h</w:watcher>
    <w:watcher id="d" status="asleep" event="subscribe">sip:no-known-status@h</w:watcher>
    <w:watcher id="e" status="active" event="subscribe"> </w:watcher>
    <x:watcher xmlns:x="urn:other" id="f" status="active" event="subscribe">sip:other@h</x:watcher>
  </w:watcher-list>
  <w:watcher-list/>
</w:watcherinfo>"#,
    )
    .unwrap();
    let alice =
        Watcher { duration: Some(12), ..watcher("a", "sip:alice@example.com", Status::Active, Event::Subscribe) };
    let carol = watcher("b", "sip:c&d@h", Status::Waiting, Event::Subscribe);
    let nobody = List { resource: String::new(), package: String::new(), watchers: Vec::new() };
    let mut expected = of_bob(7, false, vec![alice, carol]);
    expected.lists.push(nobody);
    assert_eq!(read, expected);
    // As Kamailio begins, and without a namespace.
    assert!(
        parse("<watcherinfo version='1' state='full'><watcher-list resource='r' package='p'/></watcherinfo>").is_ok()
    );
    let long = "x".repeat(MAX_NAME + 1);
    let long = format!("<watcherinfo version='0'><watcher-list><watcher id='i' status='active'>{long}</watcher>");
    assert_eq!(parse(&format!("{long}</watcher-list></watcherinfo>")).unwrap().lists[0].watchers, []);
}

#[test]
fn wic_01_what_is_no_watcher_information_is_said_so() {
    assert_eq!(parse("<presence/>").unwrap_err().to_string(), "it is no watcher information, but <presence>");
    for body in ["<watcherinfo/>", "<watcherinfo version='-1'/>", "<watcherinfo version='99999999999'/>"] {
        assert_eq!(parse(body).unwrap_err(), WinfoError::Version, "{body}");
    }
    assert!(matches!(parse("").unwrap_err(), WinfoError::Xml(Error::Empty)));
    assert!(matches!(parse("<!DOCTYPE watcherinfo><watcherinfo version='0'/>").unwrap_err(), WinfoError::Xml(_)));
    let many = "<watcher id='a' status='active'>sip:a@h</watcher>".repeat(1100);
    let many = format!("<watcherinfo version='0'><watcher-list>{many}</watcher-list></watcherinfo>");
    assert!(matches!(parse(&many).unwrap_err(), WinfoError::Xml(Error::TooManyElements(_))));
}

fn known(table: &Table) -> Vec<(&str, Status)> {
    table.watchers("presence").map(|watcher| (watcher.id.as_str(), watcher.status)).collect()
}

#[test]
fn wic_01_documents_are_merged_by_version_and_a_gap_is_told() {
    use Status::{Active, Pending, Terminated};
    let one = |id: &str, status| watcher(id, "sip:a@h", status, Event::Subscribe);
    let mut table = Table::default();
    // The first one may have any version, 0 and 1 among them.
    for first in [0, 1, 40] {
        table.restart();
        assert_eq!(table.merge(of_bob(first, true, vec![one("a", Pending)])), Merged::Taken);
        assert_eq!(table.merge(of_bob(first, true, vec![])), Merged::Old, "equal");
        assert_eq!(table.merge(of_bob(first + 1, false, vec![one("b", Active)])), Merged::Taken);
        assert_eq!(known(&table), [("a", Pending), ("b", Active)]);
        assert_eq!(table.merge(of_bob(first, false, vec![one("b", Terminated)])), Merged::Old, "lower");
        assert_eq!(known(&table), [("a", Pending), ("b", Active)]);
    }
    assert_eq!(table.merge(of_bob(43, false, vec![one("a", Terminated), one("c", Pending)])), Merged::Gap);
    assert_eq!(known(&table), [("b", Active), ("c", Pending)], "what it tells is taken all the same");
    assert_eq!(table.merge(of_bob(90, true, vec![one("d", Active)])), Merged::Taken, "a full one lacks nothing");
    assert_eq!((known(&table), table.version()), (vec![("d", Active)], Some(90)));
    assert_eq!(table.merge(of_bob(u32::MAX, true, vec![])), Merged::Taken);
    assert_eq!(table.merge(of_bob(u32::MAX, true, vec![one("e", Active)])), Merged::Old, "there is no later one");
    // A subscription that begins with a part of the whole is to be asked again.
    table.restart();
    assert_eq!(table.merge(of_bob(0, false, vec![])), Merged::Gap);
}

#[test]
fn wic_01_lists_are_told_apart_by_resource_and_package() {
    let one = |id: &str| watcher(id, "sip:a@h", Status::Active, Event::Subscribe);
    let list = |resource: &str, package: &str, id: &str| List {
        resource: resource.into(),
        package: package.into(),
        watchers: vec![one(id)],
    };
    let lists =
        vec![list("sip:bob@h", "presence", "a"), list("sip:bob@h", "dialog", "a"), list("sip:x@h", "presence", "a")];
    let mut table = Table::default();
    table.merge(Document { version: 0, full: true, lists });
    assert_eq!((table.watchers("presence").count(), table.watchers("dialog").count()), (2, 1));
    let gone = watcher("a", "sip:a@h", Status::Terminated, Event::Timeout);
    let gone = List { watchers: vec![gone], ..list("sip:bob@h", "dialog", "a") };
    table.merge(Document { version: 1, full: false, lists: vec![gone] });
    assert_eq!((table.watchers("presence").count(), table.watchers("dialog").count()), (2, 0));
}

#[test]
fn wic_01_a_table_does_not_grow_without_end() {
    let mut table = Table::default();
    for version in 0..10 {
        let watchers =
            (0..1000).map(|n| watcher(&format!("{version}-{n}"), "sip:a@h", Status::Active, Event::Subscribe));
        table.merge(of_bob(version, version == 0, watchers.collect()));
    }
    assert_eq!(table.watchers("presence").count(), table::MAX_WATCHERS);
    // Who is there is told of all the same.
    table.merge(of_bob(10, false, vec![watcher("0-0", "sip:a@h", Status::Pending, Event::Subscribe)]));
    assert!(table.watchers("presence").any(|watcher| watcher.id == "0-0" && watcher.status == Status::Pending));
}

fn any_watcher() -> impl Strategy<Value = Watcher> {
    let name = "[!-~\u{e0}-\u{ff}]{1,12}";
    let status = select(vec![Status::Pending, Status::Active, Status::Waiting, Status::Terminated]);
    let event = select(vec![Event::Subscribe, Event::Approved, Event::Giveup, Event::NoResource]);
    let seconds = || option::of(any::<u64>());
    (name, name, option::of(name), status, event, seconds(), seconds()).prop_map(
        |(id, uri, display_name, status, event, expiration, duration)| Watcher {
            id,
            uri,
            display_name,
            status,
            event,
            expiration,
            duration,
        },
    )
}

fn any_document() -> impl Strategy<Value = Document> {
    let list = ("[a-z@:.<&\"']{0,12}", "[a-z.]{0,12}", vec(any_watcher(), 0..5));
    let list = list.prop_map(|(resource, package, watchers)| List { resource, package, watchers });
    (0..6_u32, any::<bool>(), vec(list, 0..3)).prop_map(|(version, full, lists)| Document { version, full, lists })
}

proptest! {
    #[test]
    fn win_05_what_is_written_is_read_back(document in any_document()) {
        prop_assert_eq!(parse(&document.write()).unwrap(), document);
    }

    #[test]
    fn wic_01_nothing_that_a_server_writes_makes_us_panic(body in "(<[a-z :=\"'/>-]{0,20}|watcher|version=\"[0-9]{0,12}\"|&[a-z#0-9]*;|\\PC){0,40}") {
        let _ = parse(&body);
        let _ = parse(&format!("<watcherinfo version='0'><watcher-list>{body}</watcher-list></watcherinfo>"));
    }

    #[test]
    fn wic_01_versions_only_rise_and_a_full_document_tells_all(documents in vec(any_document(), 0..12)) {
        let mut table = Table::default();
        for document in documents {
            let before = table.version();
            let (version, full) = (document.version, document.full);
            let there: usize = document.lists.iter().flat_map(|list| &list.watchers).filter(|w| w.status != Status::Terminated).count();
            let merged = table.merge(document);
            prop_assert_eq!(merged == Merged::Old, before.is_some_and(|before| version <= before));
            prop_assert_eq!(table.version(), if merged == Merged::Old { before } else { Some(version) });
            if full && merged == Merged::Taken {
                prop_assert!(table.lists.values().map(std::collections::BTreeMap::len).sum::<usize>() <= there);
            }
        }
    }
}
