use bytes::Bytes;
use proptest::{collection::vec, option, prelude::*, sample::select};

use super::*;

const PIDF: &str = "application/pidf+xml;charset=\"UTF-8\"";

fn parse(body: &str) -> Result<Rlmi, RlmiError> {
    Rlmi::parse(body.as_bytes(), None)
}

fn instance(id: &str, state: State, cid: Option<&str>) -> Instance {
    Instance { id: id.to_owned(), state, reason: None, cid: cid.map(str::to_owned) }
}

fn resource(uri: &str, name: Option<&str>, instance: Instance) -> Resource {
    Resource { uri: uri.to_owned(), name: name.map(str::to_owned), instance: Some(instance) }
}

fn part(id: &str, body: &'static str) -> Part {
    Part { id: id.to_owned(), content_type: PIDF.to_owned(), body: Bytes::from_static(body.as_bytes()) }
}

/// As in the block `W-RLS1`.
fn friends() -> Rlmi {
    let nobody = Instance { reason: Some(Reason::NoResource), ..instance("i4", State::Terminated, None) };
    Rlmi {
        uri: "sip:alice-friends@example.com".into(),
        version: 0,
        full: true,
        name: Some("Friends".into()),
        resources: vec![
            resource("sip:bob@example.com", Some("Bob"), instance("i1", State::Active, Some("c1.7f0a@example.com"))),
            resource("sip:carol@example.com", None, instance("i2", State::Active, Some("c2.7f0a@example.com"))),
            resource("sip:dave@example.net", None, instance("i3", State::Pending, None)),
            resource("sip:nobody@example.com", None, nobody),
        ],
    }
}

fn documents() -> Vec<Part> {
    vec![
        part("c1.7f0a@example.com", "<presence>bob</presence>\n"),
        part("c2.7f0a@example.com", "<presence>carol</presence>"),
    ]
}

/// Takes a body of ours apart by its own Content-Type.
fn apart(body: &Bytes) -> (Rlmi, Vec<Part>) {
    let mut parts = split(body, &content_type_of(body).unwrap()).unwrap();
    let root = parts.remove(0);
    assert_eq!(root.content_type, "application/rlmi+xml;charset=\"UTF-8\"");
    (Rlmi::parse(&root.body, None).unwrap(), parts)
}

#[test]
fn rls_04_and_05_a_document_is_written_as_the_schema_has_it() {
    assert_eq!(
        friends().write(),
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <list xmlns=\"urn:ietf:params:xml:ns:rlmi\" uri=\"sip:alice-friends@example.com\" version=\"0\" fullState=\"true\">\n\
         <name>Friends</name>\n\
         <resource uri=\"sip:bob@example.com\"><name>Bob</name><instance id=\"i1\" state=\"active\" cid=\"c1.7f0a@example.com\"/></resource>\n\
         <resource uri=\"sip:carol@example.com\"><instance id=\"i2\" state=\"active\" cid=\"c2.7f0a@example.com\"/></resource>\n\
         <resource uri=\"sip:dave@example.net\"><instance id=\"i3\" state=\"pending\"/></resource>\n\
         <resource uri=\"sip:nobody@example.com\"><instance id=\"i4\" state=\"terminated\" reason=\"noresource\"/></resource>\n\
         </list>\n"
    );
    let partial = Rlmi { version: 7, full: false, name: None, resources: Vec::new(), ..friends() }.write();
    assert!(partial.contains(" version=\"7\" fullState=\"false\">\n</list>"), "{partial}");
}

#[test]
fn rls_05_what_is_over_has_a_reason_and_nothing_else_has() {
    let of = |state, reason| {
        let instance = Instance { reason, ..instance("i", state, None) };
        Rlmi { resources: vec![resource("sip:a@h", None, instance)], ..friends() }.write()
    };
    assert!(of(State::Terminated, None).contains("state=\"terminated\" reason=\"noresource\"/>"));
    assert!(of(State::Terminated, Some(Reason::Rejected)).contains("state=\"terminated\" reason=\"rejected\"/>"));
    assert!(of(State::Active, Some(Reason::Rejected)).contains("state=\"active\"/>"));
}

#[test]
fn names_and_uris_are_escaped() {
    let list = Rlmi {
        uri: "sip:a@h;x=\"<&>".into(),
        name: Some("</name><&\u{1}".into()),
        resources: vec![resource("sip:b\"<@h", Some("]]>"), instance("\"", State::Active, Some("\"<&")))],
        ..friends()
    };
    let text = list.write();
    assert!(text.contains("uri=\"sip:a@h;x=&quot;&lt;&amp;&gt;\""), "{text}");
    assert!(text.contains("<name>&lt;/name&gt;&lt;&amp;</name>"), "{text}");
    assert!(text.contains("<instance id=\"&quot;\" state=\"active\" cid=\"&quot;&lt;&amp;\"/>"), "{text}");
}

#[test]
fn rls_05_a_document_is_read_leniently() {
    let read = parse(
        r#"<?xml version="1.0"?><r:list xmlns:r="urn:ietf:params:xml:ns:rlmi" uri=" sip:l@h " version=" 3 " fullState="0" x="y">
  <r:name xml:lang="de"> </r:name><r:name xml:lang="en"> Friends </r:name><r:other/>
  <r:resource uri="sip:bob@h"><r:name><![CDATA[B & B]]></r:name>
    <r:instance id="1" state="Terminated" reason="Rejected"/>
    <r:instance id="2" state="ACTIVE" cid="cid:&lt;two@h&gt;"/>
  </r:resource>
  <r:resource uri="sip:carol@h"><r:instance id="1" state="asleep"/><r:instance state="active"/></r:resource>
  <r:resource uri="sip:dave@h"><r:instance id="1" state="terminated" reason="bored"/></r:resource>
  <r:resource><r:instance id="1" state="active"/></r:resource>
  <x:resource xmlns:x="urn:other" uri="sip:other@h"/>
</r:list>"#,
    );
    let dave = Instance { reason: Some(Reason::Unknown), ..instance("1", State::Terminated, None) };
    let expected = Rlmi {
        uri: "sip:l@h".into(),
        version: 3,
        full: false,
        name: Some("Friends".into()),
        resources: vec![
            resource("sip:bob@h", Some("B & B"), instance("2", State::Active, Some("two@h"))),
            Resource { uri: "sip:carol@h".into(), name: None, instance: None },
            resource("sip:dave@h", None, dave),
        ],
    };
    assert_eq!(read.unwrap(), expected);
    assert!(parse("<list version='1'/>").unwrap().full, "nothing said");
    assert_eq!(parse("<list/>"), Err(RlmiError::Version));
    assert_eq!(parse("<list version='-1'/>"), Err(RlmiError::Version));
    assert_eq!(parse("<presence version='1'/>"), Err(RlmiError::Root("presence".into())));
}

#[test]
fn rls_03_the_body_has_the_list_first_and_then_a_part_for_each_document() {
    let body = body(&friends(), &documents(), "7f0a");
    let text = std::str::from_utf8(&body).unwrap();
    let boundary = text.lines().next().unwrap().strip_prefix("--").unwrap();
    assert!(boundary.len() == 20 && boundary.starts_with("rls-"), "{boundary}");
    let content_type = content_type_of(&body).unwrap();
    let start = content_type
        .strip_prefix("multipart/related;type=\"application/rlmi+xml\";start=\"<")
        .and_then(|rest| rest.strip_suffix(&format!(">\";boundary=\"{boundary}\"")))
        .unwrap();
    assert!(start.starts_with("root.") && start.ends_with("@example.com"), "{start}");
    let root = friends().write();
    let expected = format!(
        "--{boundary}\r\nContent-Transfer-Encoding: binary\r\nContent-ID: <{start}>\r\n\
         Content-Type: application/rlmi+xml;charset=\"UTF-8\"\r\n\r\n{root}\r\n\
         --{boundary}\r\nContent-Transfer-Encoding: binary\r\nContent-ID: <c1.7f0a@example.com>\r\n\
         Content-Type: {PIDF}\r\n\r\n<presence>bob</presence>\n\r\n\
         --{boundary}\r\nContent-Transfer-Encoding: binary\r\nContent-ID: <c2.7f0a@example.com>\r\n\
         Content-Type: {PIDF}\r\n\r\n<presence>carol</presence>\r\n\
         --{boundary}--\r\n"
    );
    assert_eq!(text, expected);
    assert_eq!(apart(&body), (friends(), documents()));
}

#[test]
fn rls_03_a_note_that_has_our_boundary_in_it_changes_the_boundary() {
    let chosen = |documents: &[Part]| {
        let body = body(&friends(), documents, "seed");
        assert_eq!(apart(&body).1, documents);
        std::str::from_utf8(&body).unwrap().lines().next().unwrap().to_owned()
    };
    let mut documents = documents();
    let mut seen = vec![chosen(&documents)];
    for _ in 0..3 {
        let note = format!("{}\r\n{}--\r\n", String::from_utf8_lossy(&documents[1].body), seen.last().unwrap());
        documents[1].body = note.into();
        let next = chosen(&documents);
        assert!(!seen.contains(&next), "{next}");
        seen.push(next);
    }
}

#[test]
fn rls_03_each_part_is_named_once_by_an_instance_and_no_instance_names_what_is_not_there() {
    let documents = [
        part("c1.7f0a@example.com", "first"),
        part("c1.7f0a@example.com", "second"),
        part("stray@example.com", "nobody named it"),
    ];
    let (list, parts) = apart(&body(&friends(), &documents, "1"));
    assert_eq!(parts, &documents[..1]);
    let cids = |list: &Rlmi| -> Vec<Option<String>> {
        list.resources.iter().map(|resource| resource.instance.as_ref().unwrap().cid.clone()).collect()
    };
    assert_eq!(cids(&list), [Some("c1.7f0a@example.com".to_owned()), None, None, None]);

    let split = "a@h>\r\nContent-Type: text/html\r\n\r\n<b";
    let mut odd = friends();
    odd.resources.truncate(2);
    odd.resources[0].instance.as_mut().unwrap().cid = Some(split.into());
    let typed = Part { content_type: "text/plain\r\nX: y".into(), ..part("c2.7f0a@example.com", "") };
    let (list, parts) = apart(&body(&odd, &[part(split, "x"), typed], "1"));
    assert_eq!((cids(&list), parts), (vec![None, None], vec![]));
}

#[test]
fn rls_03_content_ids_differ_by_instance_seed_and_list() {
    let id = content_id("i1", "7f0a", "sip:friends@example.com");
    assert!(id.starts_with("i1.") && id.ends_with("@example.com") && id.len() == 31, "{id}");
    assert_eq!(content_id("i1", "7f0a", "sip:friends@example.com"), id);
    assert_ne!(content_id("i1", "7f0b", "sip:friends@example.com"), id);
    assert_ne!(content_id("i1<>", "7f0a", "sip:friends@example.com"), id);
    assert!(content_id("\r\n", "", "no uri").starts_with("part."));
    assert!(content_id("", "", "no uri").ends_with("@invalid"));
    // One that is called as the root is leaves that another name.
    let mut list = friends();
    list.resources.truncate(1);
    let root = content_id("root", "7", &list.uri);
    list.resources[0].instance.as_mut().unwrap().cid = Some(root.clone());
    let body = body(&list, &[part(&root, "bob")], "7");
    assert_eq!(apart(&body), (list, vec![part(&root, "bob")]));
}

#[test]
fn a_body_that_is_not_ours_has_no_content_type_of_ours() {
    for body in [
        "",
        "--",
        "--x",
        "--x\r\n",
        "<presence/>",
        "--x\r\nContent-Type: application/rlmi+xml\r\n\r\n",
        "--x\r\nContent-ID: <a>\r\nContent-Type: application/pidf+xml\r\n\r\n",
        "--x\"y\r\nContent-ID: <a>\r\nContent-Type: application/rlmi+xml\r\n\r\n",
        "--x\r\nContent-ID: <a\"b>\r\nContent-Type: application/rlmi+xml\r\n\r\n",
    ] {
        assert_eq!(content_type_of(body.as_bytes()), None, "{body}");
    }
}

#[test]
fn rls_03_a_body_of_another_program_is_read_leniently() {
    let body = Bytes::from_static(
        b"preamble --b\n--bc\n--b \ncontent-id:<1@h>\nContent-Type: application/pidf+xml;\n charset=utf-8\n\n--bx\none\n\
          --b\r\n\r\nno headers\r\n--b\nContent-Transfer-Encoding: base64\nContent-ID: <3@h>\n\nAAAA\n\
          --b\nContent-ID: <root@h>\nX\nContent-Transfer-Encoding: 8BIT\n\n<list/>\n--b\nContent-ID: <4@h>\n--b\n\nlast",
    );
    let of = |id: &str, content_type: &str, body: &'static str| Part {
        id: id.into(),
        content_type: content_type.into(),
        body: Bytes::from_static(body.as_bytes()),
    };
    let expected = [
        of("root@h", "", "<list/>"),
        of("1@h", "application/pidf+xml; charset=utf-8", "--bx\none"),
        of("", "", "no headers"),
        of("4@h", "", ""),
        of("", "", "last"),
    ];
    for content_type in [
        "multipart/related;boundary=b;start=\"<root@h>\"",
        "Multipart/Related ; Type=\"application/rlmi+xml\" ; start=root@h ; BOUNDARY=\"b\"",
        "multipart/mixed;start=\"root@h\";boundary=b;broken",
    ] {
        assert_eq!(split(&body, content_type).as_deref(), Some(&expected[..]), "{content_type}");
    }
    assert_eq!(split(&body, "multipart/related;boundary=b").unwrap()[0].id, "1@h", "no start: the first");
    for content_type in [
        "",
        "multipart/related",
        "multipart/related;boundary=\"\"",
        "text/plain;boundary=b",
        "multipart/related;boundary=z",
    ] {
        assert_eq!(split(&body, content_type), None, "{content_type}");
    }
    let ended = Bytes::from_static(b"--b\r\n\r\none\r\n--b--\r\n--b\r\n\r\nepilogue\r\n");
    assert_eq!(split(&ended, "multipart/related;boundary=b").unwrap(), [of("", "", "one")]);
}

#[test]
fn no_more_than_a_thousand_parts_are_read() {
    let body = Bytes::from("--b\r\n\r\nx\r\n".repeat(5000));
    assert_eq!(split(&body, "multipart/related;boundary=b").unwrap().len(), MAX_PARTS);
    let dashes = Bytes::from("-".repeat(100_000));
    assert_eq!(split(&dashes, "multipart/related;boundary=-"), None);
}

#[test]
fn five_hundred_members_go_into_one_body() {
    let uri = |n: usize| format!("sip:somebody-with-a-long-name-{n:03}@example.com");
    let cid = |n: usize| content_id(&format!("i{n}"), "7f0a", "sip:friends@example.com");
    let one = |n: usize| {
        resource(&uri(n), Some("Somebody with a name"), instance(&format!("i{n}"), State::Active, Some(&cid(n))))
    };
    let list = Rlmi { resources: (0..500).map(one).collect(), ..friends() };
    let documents: Vec<Part> = (0..500).map(|n| Part { body: uri(n).into(), ..part(&cid(n), "") }).collect();
    assert_eq!(apart(&body(&list, &documents, "7f0a")), (list, documents));
}

#[test]
fn hostile_documents_cost_nothing_and_do_nothing() {
    let bomb = "<!DOCTYPE list [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;\">]><list version=\"0\"><name>&b;</name></list>";
    assert_eq!(parse(bomb), Err(RlmiError::Xml(Error::Doctype)));
    assert!(matches!(parse("<list version=\"0\">&b;</list>"), Err(RlmiError::Xml(Error::UnknownEntity(_)))));
    assert_eq!(parse(&"<list version=\"0\">".repeat(10_000)), Err(RlmiError::Xml(Error::TooDeep)));
    let many = format!("<list version=\"0\">{}</list>", "<resource uri=\"s\"/>".repeat(10_000));
    assert_eq!(parse(&many), Err(RlmiError::Xml(Error::TooManyElements(LIMITS.elements))));
    let huge = "x".repeat(LIMITS.bytes);
    assert_eq!(parse(&huge), Err(RlmiError::Xml(Error::OutsideRoot { at: 0 })));
    assert_eq!(parse(&format!("{huge}x")), Err(RlmiError::Xml(Error::TooLarge(LIMITS.bytes))));
    let long = format!(
        "<list version=\"0\"><resource uri=\"sip:{}@h\"/><resource uri=\"sip:b@h\"/></list>",
        "a".repeat(100_000)
    );
    assert_eq!(parse(&long).unwrap().resources.len(), 1);
    let named = format!("<list version=\"0\"><name>{}</name></list>", "ä".repeat(10_000));
    assert_eq!(parse(&named).unwrap().name.unwrap().chars().count(), MAX_DISPLAY_NAME);
}

fn any_instance() -> impl Strategy<Value = Instance> {
    let reasons = select(vec![Reason::Rejected, Reason::NoResource, Reason::Giveup]);
    ("[a-z0-9<&\"]{1,8}", select(&State::ALL[..]), reasons, option::of("[a-z0-9.]{1,6}@h")).prop_map(
        |(id, state, reason, cid)| Instance { id, state, reason: (state == State::Terminated).then_some(reason), cid },
    )
}

fn any_list() -> impl Strategy<Value = Rlmi> {
    let name = || option::of("[a-zA-ZäöÜ<>&\"'☕]{1,12}");
    let resource = ("sip:[a-z<&\"']{1,8}@h", name(), option::of(any_instance()))
        .prop_map(|(uri, name, instance)| Resource { uri, name, instance });
    ("sip:[a-z&]{1,8}@[a-z.]{1,8}", any::<u32>(), any::<bool>(), name(), vec(resource, 0..8))
        .prop_map(|(uri, version, full, name, resources)| Rlmi { uri, version, full, name, resources })
}

proptest! {
    #[test]
    fn rls_05_what_is_written_is_read_back(list in any_list()) {
        prop_assert_eq!(parse(&list.write()).unwrap(), list);
    }

    #[test]
    fn rls_03_every_part_of_a_body_is_read_back(list in any_list(), bodies in vec("(--|rls-|[0-9a-f]{16}|\r\n|\r|\n|\\PC){0,12}", 8), seed in "\\PC{0,8}") {
        let cids = list.resources.iter().filter_map(|resource| resource.instance.as_ref()?.cid.clone());
        let mut documents: Vec<Part> =
            cids.zip(bodies).map(|(id, body)| Part { id, content_type: PIDF.into(), body: body.into() }).collect();
        let mut seen = std::collections::HashSet::new();
        documents.retain(|part| seen.insert(part.id.clone()));
        let (read, parts) = apart(&body(&list, &documents, &seed));
        prop_assert_eq!(read, list);
        prop_assert_eq!(parts, documents);
    }

    #[test]
    fn nothing_that_a_server_writes_makes_us_panic(text in "(<[a-z :=\"'/>-]{0,20}|resource|version=\"[0-9]{0,12}\"|&[a-z#0-9]*;|\\PC){0,40}", kind in "\\PC{0,40}") {
        let _ = parse(&text);
        let _ = parse(&format!("<list version='0'><resource uri='a'>{text}</resource></list>"));
        let _ = split(&Bytes::from(text), &kind);
    }

    #[test]
    fn no_bytes_make_the_reader_of_bodies_panic(pieces in vec(select(&["--b", "\r\n", "\n", "--", "b", " ", "Content-ID: <", ">", ":", "\u{0}", "ä"][..]), 0..60)) {
        let body = pieces.concat();
        let _ = content_type_of(body.as_bytes());
        let parts = split(&Bytes::from(body.clone()), "multipart/related;boundary=b").unwrap_or_default();
        prop_assert!(parts.iter().map(|part| part.body.len()).sum::<usize>() <= body.len());
    }
}
