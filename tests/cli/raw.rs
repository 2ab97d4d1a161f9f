//! `show --raw`: the document as it came.

use crate::support::Home;

#[test]
fn the_document_of_a_peer_is_printed_as_it_came_with_an_agent_and_without() {
    let (alice, bob) = (Home::new("alice"), Home::new("bob"));
    alice.run(&["watchers", "allow", "bob@127.0.0.1"]);
    let _agent = alice.agent();
    alice.run(&["set", "away", "--note", "lunch"]);
    let own = bob.run(&["show", "--raw", &alice.address()]);
    assert_eq!((own.code, own.err.as_str()), (0, ""), "{own:?}");
    assert!(own.out.starts_with("<?xml") && own.out.ends_with("</presence>\r\n"), "{own:?}");
    assert!(own.out.contains("<note>lunch</note>"), "{own:?}");
    let by_agent = alice.run(&["show", "--raw", "me"]);
    assert_eq!(by_agent.out.lines().next(), own.out.lines().next(), "{by_agent:?}");
    let json = bob.run(&["show", "--raw", "--json", &alice.address()]);
    let line: serde_json::Value = serde_json::from_str(json.out.lines().next().unwrap()).unwrap();
    assert!(line["document"].as_str().unwrap().contains("<note>lunch</note>"), "{json:?}");
    let plain = bob.run(&["show", "--json", &alice.address()]);
    assert!(!plain.out.contains("\"document\""), "{plain:?}");
}

#[test]
fn of_several_each_says_whose_it_is_and_who_has_none() {
    let home = Home::new("alice");
    let _agent = home.agent();
    home.run(&["set", "busy"]);
    let nobody = format!("nobody@127.0.0.1:{}", home.port);
    let both = home.run(&["show", "--raw", "me", &nobody]);
    assert_eq!(both.code, 10, "{both:?}");
    assert!(both.out.ends_with("</presence>\r\n"), "{both:?}");
    assert!(both.err.contains("me:\n"), "{both:?}");
    assert!(both.err.contains("no document, unknown (failed: 404) [404 Not Found]\n"), "{both:?}");
    home.run(&["show", "--raw", "--format", "tmux", "me"])
        .fails(2, "sippresence: --raw and --format exclude each other");
}

#[test]
fn sec_07_a_document_on_a_terminal_cannot_steer_it() {
    let home = Home::new("alice");
    let _agent = home.agent();
    home.run(&["set", "busy", "--note", "one\ntwo\u{202e}"]);
    let piped = home.run(&["show", "--raw", "me"]);
    assert!(piped.out.contains('\u{202e}') && piped.out.contains("one\ntwo"), "{piped:?}");
    let (code, shown) = home.run_on_terminal(&["show", "--raw", "me"]);
    assert_eq!(code, 0, "{shown}");
    assert!(
        shown.contains("one\r\ntwo") && shown.contains("\\u202e") && shown.trim_end().ends_with("</presence>"),
        "{shown}"
    );
    assert!(!shown.chars().any(|c| c.is_control() && !matches!(c, '\r' | '\n')), "{shown:?}");
}
