//! RFC 4475 §3.1.1: odd, and right.

use std::fmt::Write as _;

use sippresence::sip::{
    codec::{Framing, Head, decode, write_response},
    header::{CSeq, Name, NameAddr, Via},
    message::{Method, StartLine},
    uri::{Scheme, UriRef},
};

use super::{OPTIONS, read, wire};

#[test]
fn par_17_every_liberty_that_the_grammar_grants_in_one_message() {
    let bytes = wire(concat!(
        "SUBSCRIBE sip:bob@example.com;unheardof SIP/2.0\n",
        "tO :\n sip:bob@example.com ;   tag\t = b0b\n",
        "fRoM   : \"Alice \\\\\\\"\"       <sip:alice@example.net>\n  ;\n  tag = a1\n",
        "mAx-FoRwArDs: 0070\n",
        "cALL-iD: liberties.1@192.0.2.1\n",
        "Content-Length   : 4\n",
        "cseq: 0009\n  SUBSCRIBE\n",
        "Via  : SIP  /   2.0\n /UDP\n    192.0.2.2;branch=390skdjuw\n",
        "s :\n",
        "o:\n  presence ; id = 7\n",
        "Unheard-Of:   a value\n that goes on\n\there\n",
        "Separators-Only: ;;,,;;,;\n",
        "c: text/plain\n",
        "Route:\n <sip:edge.example.com;lr;odd=value;odd-without>\n",
        "v:  SIP  / 2.0  / TCP     edge.example.com   ;\n  branch  =   z9hG4bK9  ,\n",
        " SIP  /    2.0   / UDP  192.168.255.111   ; branch=\n z9hG4bK30\n",
        "m:\"Quoted \\\"\\\"\" <sip:alice@192.0.2.2> ; newparam =\n      newvalue ;\n  second ; q = 0.33\n",
        "\nbody",
    ));
    let message = read(&bytes);
    assert_eq!(message.method(), Some(Method::Subscribe));
    let (from, to, contact) = (message.from().unwrap(), message.to().unwrap(), message.contact().unwrap().unwrap());
    assert_eq!((from.display_name().as_deref(), from.tag()), (Some("Alice \\\""), Some("a1")));
    assert_eq!((to.uri.as_str(), to.tag()), ("sip:bob@example.com", Some("b0b")));
    assert_eq!(contact.display_name().as_deref(), Some("Quoted \"\""));
    assert_eq!(["newparam", "second", "q"].map(|p| contact.params.get(p)), [Some("newvalue"), Some(""), Some("0.33")]);
    assert_eq!(message.cseq().unwrap(), CSeq { seq: 9, method: "SUBSCRIBE" });
    assert_eq!(message.call_id().unwrap(), "liberties.1@192.0.2.1");
    let event = message.event().unwrap().unwrap();
    assert_eq!((event.package, event.id), ("presence", Some("7")));
    assert_eq!(message.text(Name::Other).unwrap(), "a value that goes on here");
    assert_eq!(message.get(Name::Subject), Some(&[][..]));
    let vias: Vec<Via<'_>> = message.values(Name::Via).map(|via| Via::parse(via).unwrap()).collect();
    assert_eq!(
        vias.iter().map(|via| (via.transport, via.host, via.branch)).collect::<Vec<_>>(),
        [
            ("UDP", "192.0.2.2", Some("390skdjuw")),
            ("TCP", "edge.example.com", Some("z9hG4bK9")),
            ("UDP", "192.168.255.111", Some("z9hG4bK30"))
        ]
    );
    assert!(NameAddr::parse(message.get(Name::Route).unwrap()).unwrap().uri.is_loose_router());
    assert_eq!(message.body, b"body");
}

#[test]
fn par_17_the_whole_alphabet_of_tokens_and_users() {
    let user = "1_odd.URI~(is-it!not)&isn't+it$/mad?,/;;*";
    let uri = format!("sip:{user}:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com");
    let method = "!interesting-Method0123456789_*+`.%indeed'~";
    let text = format!(
        "{method} {uri} SIP/2.0\nVia: SIP/2.0/TCP host1.example.com;branch=z9hG4bK-.!%66*_+`'~\n\
         To: \"BEL:\\\u{7} NUL:\\\0 DEL:\\\u{7f}\" <{uri}>\n\
         From: token1~` token2'+_ token3*%!.- <sip:plain@example.com>;odd''~+*_!.-%=\"работающий\";tag=_t~1'+`*%!-.\n\
         Max-Forwards: 255\nCall-ID: intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}}{{\n\
         CSeq: 139122385 {method}\nextension-!.%*+_`'~: 大停電\nContent-Length: 0\n\n"
    );
    let bytes = wire(&text);
    let message = read(&bytes);
    assert_eq!(message.method(), Some(Method::Other(method)));
    assert_eq!(message.cseq().unwrap().method, method);
    let request_uri = UriRef::parse(message.request_uri().unwrap()).unwrap();
    assert_eq!((request_uri.user(), request_uri.host_text()), (Some(user), "example.com"));
    assert_eq!(message.to().unwrap().display_name().unwrap(), "BEL:\u{7} NUL:\0 DEL:\u{7f}");
    let from = message.from().unwrap();
    assert_eq!(from.display_name().unwrap(), "token1~` token2'+_ token3*%!.-");
    assert_eq!((from.params.get("odd''~+*_!.-%"), from.tag()), (Some("\"работающий\""), Some("_t~1'+`*%!-.")));
    assert_eq!(message.top_via().unwrap().branch, Some("z9hG4bK-.!%66*_+`'~"));
    assert_eq!(message.call_id().unwrap(), "intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{");
    // Such a NUL is legal and comes back in the response, as every part of a To must.
    let answer = write_response(&message, 405, "No", "tag", None).finish(0).unwrap();
    assert_eq!(decode(&answer, Framing::Datagram).unwrap().to().unwrap().tag(), Some("tag"));
}

#[test]
fn par_17_escapes_stand_for_their_characters() {
    let bytes = wire(
        "SUBSCRIBE sip:sips%3Abob%40example.com@example.net SIP/2.0\n\
         To: sip:%62o%62@example.com\nFrom: <sip:I%20have%20blanks@example.net>;tag=938\n\
         Via: SIP/2.0/UDP host5.example.net;branch=z9hG4bKkdjuw\nCall-ID: esc01\nCSeq: 234 SUBSCRIBE\n\
         Contact: <sip:ali%63e@host5.example.net;%6C%72;n%61me=v%61lue%25%34%31>\nContent-Length: 0\n\n",
    );
    let message = read(&bytes);
    let uri = UriRef::parse(message.request_uri().unwrap()).unwrap();
    assert_eq!((uri.user(), uri.host_text()), (Some("sips%3Abob%40example.com"), "example.net"));
    assert!(message.to().unwrap().uri.equals(&UriRef::parse("sip:bob@example.com").unwrap()));
    let contact = message.contact().unwrap().unwrap().uri;
    assert!(contact.is_loose_router());
    assert_eq!(contact.param("name"), Some("v%61lue%25%34%31"));
    assert!(contact.equals(&UriRef::parse("sip:alice@host5.example.net;lr;name=value%2541").unwrap()));
}

#[test]
fn par_17_an_escaped_nul_ends_nothing() {
    let bytes = wire(
        "REGISTER sip:example.com SIP/2.0\nTo: sip:null-%00-null@example.com\n\
         From: sip:null-%00-null@example.com;tag=839\nVia: SIP/2.0/UDP host.example.com;branch=z9hG4bKkdjuw\n\
         Call-ID: escnull\nCSeq: 14398234 REGISTER\n\
         Contact: <sip:%00@host5.example.com>\nContact: <sip:%00%00@host5.example.com>\nL:0\n\n",
    );
    let message = read(&bytes);
    assert_eq!(message.to().unwrap().uri.user(), Some("null-%00-null"));
    let contacts: Vec<_> = message.values(Name::Contact).map(|c| NameAddr::parse(c).unwrap().uri).collect();
    assert_eq!(contacts.len(), 2);
    assert!(!contacts[0].equals(&contacts[1]));
}

#[test]
fn par_17_a_percent_sign_outside_of_uris_escapes_nothing() {
    let bytes = wire(
        "RE%47IST%45R sip:registrar.example.com SIP/2.0\nTo: \"%Z%45\" <sip:bob@example.com>\n\
         From: \"%Z%45\" <sip:bob@example.com>;tag=f232\nCall-ID: esc02\nCSeq: 29344 RE%47IST%45R\n\
         Via: SIP/2.0/TCP host.example.com;branch=z9hG4bK209%fzsnel234\n\
         Contact: <sip:alias1@host1.example.com>\nC%6Fntact: <sip:alias2@host2.example.com>\n\
         Contact: <sip:alias3@host3.example.com>\nl: 0\n\n",
    );
    let message = read(&bytes);
    assert_eq!(message.method(), Some(Method::Other("RE%47IST%45R")));
    assert_eq!(message.to().unwrap().display_name().unwrap(), "%Z%45");
    assert_eq!(message.all(Name::Contact).count(), 2);
    assert_eq!(message.headers[6].raw_name, "C%6Fntact");
    assert_eq!(message.top_via().unwrap().branch, Some("z9hG4bK209%fzsnel234"));
}

#[test]
fn par_17_no_blank_between_display_name_and_bracket() {
    let bytes = wire(&OPTIONS.replace("From: ", "From: caller"));
    assert_eq!(read(&bytes).from().unwrap().display_name().unwrap(), "caller");
}

#[test]
fn par_17_long_values() {
    let long = "long".repeat(50);
    let mut text = format!("OPTIONS sip:{long}@example.com;p={long} SIP/2.0\n");
    for hop in 0..34 {
        writeln!(text, "v: SIP/2.0/UDP host{hop}.{long}.example.com;branch=z9hG4bK{hop}").unwrap();
    }
    write!(
        text,
        "Odd-{long}: {long}\n {long}\nTo: \"{long}\" <sip:bob@example.com>;p{long}=v{long}\n\
         F: sip:{long}@example.net;tag=12{long}982\nCall-ID: {long}.one\nCSeq: 3882340 OPTIONS\n\n"
    )
    .unwrap();
    let bytes = wire(&text);
    let message = read(&bytes);
    assert_eq!(message.from().unwrap().tag(), Some(&*format!("12{long}982")));
    assert_eq!(message.to().unwrap().display_name().unwrap(), long);
    assert_eq!(message.call_id().unwrap(), format!("{long}.one"));
    assert_eq!(message.text(Name::Other).unwrap(), format!("{long} {long}"));
    assert_eq!((message.via_count(), message.top_via().unwrap().branch), (34, Some("z9hG4bK0")));
}

#[test]
fn par_17_what_follows_the_announced_body_is_no_part_of_the_message() {
    let first = wire(&format!("{}Content-Length: 2\n\nhi", OPTIONS.trim_end_matches('\n').to_owned() + "\n"));
    let bytes = [first, wire(OPTIONS)].concat();
    let message = read(&bytes);
    assert_eq!((message.body, message.all(Name::CSeq).count()), (&b"hi"[..], 1));
}

#[test]
fn par_17_a_semicolon_belongs_to_the_user_and_an_escaped_at_sign_too() {
    let bytes =
        wire(&OPTIONS.replace("OPTIONS sip:bob@example.com ", "OPTIONS sip:u;par=u%40example.net@example.com "));
    let message = read(&bytes);
    let uri = UriRef::parse(message.request_uri().unwrap()).unwrap();
    assert_eq!((uri.user(), uri.host_text()), (Some("u;par=u%40example.net"), "example.com"));
    assert_eq!(uri.params().count(), 0);
}

#[test]
fn par_17_every_transport_may_stand_in_a_via() {
    let transports = ["UDP", "SCTP", "TLS", "UNKNOWN", "TCP", "WSS", "DTLS-SCTP"];
    let vias = transports.map(|t| format!("Via: SIP/2.0/{t} t1.example.com;branch=z9hG4bKkdjuw\n")).concat();
    let bytes = wire(&OPTIONS.replace("Via: SIP/2.0/UDP host;branch=z9hG4bK1\n", &vias));
    let message = read(&bytes);
    let found: Vec<&str> = message.values(Name::Via).map(|via| Via::parse(via).unwrap().transport).collect();
    assert_eq!(found, transports);
}

#[test]
fn par_17_a_body_of_any_bytes_stays_whole() {
    let body = b"--7a9cbec02ceef655\r\nContent-Type: text/plain\r\n\r\nCSeq: 7 BYE\r\n\r\n--7a9cbec02ceef655\r\n\
        Content-Type: application/octet-stream\r\n\r\n\x00\xff0\x82\x01R\x06\t*\r\n--7a9cbec02ceef655--\r\n";
    let head = OPTIONS.replace("OPTIONS", "MESSAGE").trim_end().to_owned()
        + &format!("\nContent-Type: multipart/mixed;boundary=7a9cbec02ceef655\nContent-Length: {}\n\n", body.len());
    let bytes = [wire(&head), body.to_vec()].concat();
    let message = read(&bytes);
    assert_eq!((message.body, message.all(Name::CSeq).count()), (&body[..], 1));
    assert!(message.content_type_is("Multipart/Mixed"));
}

#[test]
fn par_17_reason_phrases_of_any_words_and_of_none() {
    let rest = "\nVia: SIP/2.0/UDP 192.0.2.198;branch=z9hG4bK1324923\nCall-ID: unreason\n\
        CSeq: 35 SUBSCRIBE\nFrom: sip:alice@example.net;tag=11141343\nTo: sip:bob@example.com;tag=2229\n\n";
    let words = "= 2**3 * 5**2 но сто девяносто девять - простое";
    for (line, code, reason) in [
        (format!("SIP/2.0 200 {words}"), 200, words),
        ("SIP/2.0 100 ".to_owned(), 100, ""),
        ("SIP/2.0 100".to_owned(), 100, ""),
        ("sip/2.0 299 Odd".to_owned(), 299, "Odd"),
    ] {
        let bytes = wire(&(line + rest));
        assert_eq!(read(&bytes).start, StartLine::Status { code, reason: reason.as_bytes() });
    }
}

#[test]
fn par_17_a_request_without_branch_or_tag_is_an_old_client() {
    // RFC 4475 §3.4.1.
    let bytes = wire(&OPTIONS.replace(";branch=z9hG4bK1", "").replace(";tag=a", ""));
    let message = read(&bytes);
    assert_eq!((message.top_via().unwrap().branch, message.from().unwrap().tag()), (None, None));
}

#[test]
fn par_17_schemes_of_all_kinds_may_stand_in_to_and_from() {
    // RFC 4475 §3.3.4.
    let text = OPTIONS
        .replace("To: <sip:bob@example.com>", "To: <isbn:2983792873>")
        .replace("From: <sip:alice@example.net>", "From: <http://www.example.com>");
    let bytes = wire(&text);
    let message = read(&bytes);
    assert_eq!([message.to().unwrap().uri.scheme(), message.from().unwrap().uri.scheme()], [Scheme::Other; 2]);
    let mut head = Head::request("OPTIONS", "sip:a@h");
    head.bytes(Name::To, message.get(Name::To).unwrap());
    assert!(head.finish(0).unwrap().windows(20).any(|w| w == b"To: <isbn:2983792873"));
}
