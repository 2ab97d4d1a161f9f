#![allow(clippy::format_collect, reason = "clear before fast in tests")]

use super::*;

fn tree(text: &str) -> Result<Tree, Error> {
    Tree::parse(text.as_bytes(), None)
}

#[test]
fn xml_01_doctype_is_refused_whatever_is_in_it() {
    let laughs = r#"<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]><l>&b;</l>"#;
    let external = r#"<!DOCTYPE p SYSTEM "http://192.0.2.1/x.dtd"><p/>"#;
    let inside = r#"<!DOCTYPE p [<!ENTITY x SYSTEM "file:///etc/passwd">]><p>&x;</p>"#;
    for document in [laughs, external, inside, "<!DOCTYPE p><p/>"] {
        assert_eq!(tree(document).unwrap_err(), Error::Doctype, "{document}");
    }
}

#[test]
fn xml_01_only_the_five_entities_and_character_references_expand() {
    let read =
        tree("<a b=\"&lt;&#x41;&quot;&apos;\">&lt;&gt;&amp;&quot;&apos;&#65;&#x20AC;<![CDATA[<&]]></a>").unwrap();
    assert_eq!(read.root().text(), "<>&\"'A€<&");
    assert_eq!(read.root().attribute("b"), Some("<A\"'"));
    assert_eq!(tree("<a>&nbsp;</a>").unwrap_err(), Error::UnknownEntity("nbsp".into()));
    assert_eq!(tree("<a b='&xxe;'/>").unwrap_err(), Error::UnknownEntity("xxe".into()));
    assert_eq!(tree("<a>R&D &#0;&#x110000;</a>").unwrap().root().text(), "R&D \u{fffd}\u{fffd}");
}

#[test]
fn xml_02_each_limit_holds_and_one_more_is_a_clean_error() {
    let padded = |bytes: usize| format!("<a>{}</a>", "x".repeat(bytes - 7));
    assert!(tree(&padded(MAX_BYTES)).is_ok());
    assert_eq!(tree(&padded(MAX_BYTES + 1)).unwrap_err(), Error::TooLarge(MAX_BYTES));
    let latin = [b"<a>".as_slice(), &vec![0xe9; 40_000], b"</a>"].concat();
    assert_eq!(Tree::parse(&latin, Some("iso-8859-1")).unwrap_err(), Error::TooLarge(MAX_BYTES));

    let deep = |depth: usize| format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth));
    assert!(tree(&deep(MAX_DEPTH)).is_ok());
    assert_eq!(tree(&deep(MAX_DEPTH + 1)).unwrap_err(), Error::TooDeep);
    assert_eq!(tree(&"<a>".repeat(20_000)).unwrap_err(), Error::TooDeep);

    let many = |elements: usize| format!("<a>{}</a>", "<b/>".repeat(elements - 1));
    assert!(tree(&many(MAX_ELEMENTS)).is_ok());
    assert_eq!(tree(&many(MAX_ELEMENTS + 1)).unwrap_err(), Error::TooManyElements(MAX_ELEMENTS));

    let attributes = |count: usize| format!("<a {}/>", (0..count).map(|n| format!("a{n}='' ")).collect::<String>());
    assert!(tree(&attributes(MAX_ATTRIBUTES)).is_ok());
    assert_eq!(tree(&attributes(MAX_ATTRIBUTES + 1)).unwrap_err(), Error::TooManyAttributes);

    let spaces = |count: usize| {
        let declare = |from: usize, to: usize| (from..to).map(|n| format!(" xmlns:p{n}='urn:{n}'")).collect::<String>();
        let (first, rest) = (count / 3, count * 2 / 3);
        format!("<a{}><b{}><c{}/></b></a>", declare(0, first), declare(first, rest), declare(rest, count))
    };
    assert!(tree(&spaces(MAX_NAMESPACES)).is_ok());
    assert_eq!(tree(&spaces(MAX_NAMESPACES + 1)).unwrap_err(), Error::TooManyNamespaces);
    let side_by_side =
        |count: usize| format!("<a>{}</a>", (0..count).map(|n| format!("<b xmlns='urn:{n}'/>")).collect::<String>());
    assert!(tree(&side_by_side(MAX_NAMESPACES)).is_ok());
    assert_eq!(tree(&side_by_side(MAX_NAMESPACES + 1)).unwrap_err(), Error::TooManyNamespaces);
}

#[test]
fn xml_03_utf_8_utf_16_and_iso_8859_1_are_read() {
    let text = |body: &[u8], charset| Tree::parse(body, charset).unwrap().root().text().into_owned();
    assert_eq!(text("<a>é☕</a>".as_bytes(), None), "é☕");
    assert_eq!(text("\u{feff}<a>é</a>".as_bytes(), None), "é");
    assert_eq!(text(b"<?xml version='1.0' encoding='ISO-8859-1'?><a>caf\xe9</a>", None), "café");
    assert_eq!(text(b"<a>caf\xe9 \x80</a>", Some("windows-1252")), "café €");
    let le: Vec<u8> =
        "<?xml version='1.0' encoding='UTF-16'?><a>é😀</a>".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let be: Vec<u8> = "<a>é😀</a>".encode_utf16().flat_map(u16::to_be_bytes).collect();
    assert_eq!(text(&le, None), "é😀");
    assert_eq!(text(&be, None), "é😀");
    assert_eq!(text(&[&[0xff, 0xfe], le.as_slice()].concat(), Some("utf-8")), "é😀");
    assert_eq!(text(&[&[0xfe, 0xff], be.as_slice()].concat(), None), "é😀");
}

#[test]
fn xml_03_the_mark_wins_over_the_content_type_and_that_over_the_declaration() {
    let text = |body: &[u8], charset| Tree::parse(body, charset).unwrap().root().text().into_owned();
    let declared_latin = "<?xml version='1.0' encoding='ISO-8859-1'?><a>é</a>";
    assert_eq!(text(declared_latin.as_bytes(), Some("UTF-8")), "é");
    assert_eq!(text(format!("\u{feff}{declared_latin}").as_bytes(), Some("ISO-8859-1")), "é");
    assert_eq!(text(b"<?xml version='1.0' encoding='UTF-8'?><a>\xe9</a>", Some("\"iso-8859-1\"")), "é");
}

#[test]
fn xml_03_bytes_that_are_wrong_cost_a_character_and_not_the_document() {
    let text = |body: &[u8], charset| Tree::parse(body, charset).map(|tree| tree.root().text().into_owned());
    assert_eq!(text(b"<a>caf\xe9</a>", None).unwrap(), "caf\u{fffd}");
    assert_eq!(text(b"<a>x</a>", Some("koi8-r")).unwrap(), "x");
    assert_eq!(text(b"<a>\xc1</a>", Some("koi8-r")), Err(Error::UnknownEncoding("koi8-r".into())));
}

#[test]
fn xml_04_elements_are_known_by_namespace_and_local_name() {
    let document = "<x:a xmlns:x='urn:ietf:params:xml:ns:pidf' xmlns='urn:v'><b/><x:b xmlns:x='urn:w'/><x:b/><y:b/><c xmlns=''/></x:a>";
    let read = tree(document).unwrap();
    let root = read.root();
    assert!(root.is(Ns::PIDF, "a"));
    let children: Vec<_> = root.children().map(|child| (child.namespace(), child.name())).collect();
    assert_eq!(children, [("urn:v", "b"), ("urn:w", "b"), (Ns::KNOWN[2], "b"), ("", "y:b"), ("", "c")]);
    assert_eq!(root.children().nth(3).unwrap().ns(), Ns::UNDECLARED);
    assert!(root.child(Ns::PIDF, "b").is_some() && root.child(Ns::PIDF, "c").is_none());
}

#[test]
fn text_is_joined_over_entities_cdata_and_comments_with_line_ends_of_xml() {
    let read = tree("<a> x\r\ny<!-- no -->&amp;<![CDATA[z ]]><b>not</b>\rw</a>").unwrap();
    assert_eq!(read.root().text(), " x\ny&z \nw");
    assert_eq!(tree("<a b='1\r\n2\t3&4'/>").unwrap().root().attribute("b"), Some("1 2 3&4"));
}

#[test]
fn what_is_not_well_formed_is_an_error() {
    assert_eq!(tree("").unwrap_err(), Error::Empty);
    assert_eq!(tree("  \r\n").unwrap_err(), Error::Empty);
    assert_eq!(tree("<a><b></b>").unwrap_err(), Error::Truncated);
    assert_eq!(tree("<a/><b/>").unwrap_err(), Error::OutsideRoot { at: 4 });
    assert_eq!(tree("<a/> x").unwrap_err(), Error::OutsideRoot { at: 4 });
    for document in [
        "<a></b>",
        "<a b=1 b=2/>",
        "<a b='1' b='2'/>",
        "<a xmlns='x' xmlns='y'/>",
        "<a xmlns:p='x' xmlns:p='x'/>",
        "</a>",
        "<a",
        "<a><!-- ",
        "<a/></a>",
    ] {
        assert!(tree(document).is_err(), "{document}");
    }
    assert!(tree("<a/>\r\n\0").is_ok());
}

#[test]
fn text_is_escaped_for_content_and_for_attributes() {
    assert_eq!(
        escape_text("a<b>&\"c\u{0}\u{fffe}]]>\u{1F600}\t\r").to_string(),
        "a&lt;b&gt;&amp;\"c]]&gt;\u{1F600}\t&#13;"
    );
    assert_eq!(escape_attribute("\"\n\t<").to_string(), "&quot;&#10;&#9;&lt;");
    assert!(is_ncname("t4q7") && is_ncname("_a.b-c") && !is_ncname("4t") && !is_ncname("") && !is_ncname("a:b"));
}

#[test]
fn a_document_of_the_users_own_may_be_larger_and_its_elements_know_their_place() {
    let text = format!("<a>\n{}<c/></a>", "<b/>".repeat(MAX_ELEMENTS));
    let limits = Limits { bytes: MAX_BYTES * 2, elements: MAX_ELEMENTS + 2 };
    let tree = Tree::parse_within(text.as_bytes(), None, limits).unwrap();
    let last = tree.root().children().last().unwrap();
    assert!(text[last.at()..].starts_with("<c/>"));
    assert_eq!(tree.root().at(), 0);
    let fewer = Limits { elements: MAX_ELEMENTS, ..limits };
    assert_eq!(Tree::parse_within(text.as_bytes(), None, fewer).unwrap_err(), Error::TooManyElements(MAX_ELEMENTS));
}

#[test]
fn an_element_knows_where_it_stands() {
    let text = "<?xml version=\"1.0\"?>\n<a> <b x='>'/>t<!-- </a> --><c>\u{e9}<d/></c ></a>\n";
    let tree = Tree::parse(text.as_bytes(), None).unwrap();
    let root = tree.root();
    assert_eq!(&text[root.span()], text[22..].trim_end());
    let inside: Vec<&str> = root.children().map(|child| &text[child.span()]).collect();
    assert_eq!(inside, ["<b x='>'/>", "<c>\u{e9}<d/></c >"]);
}
