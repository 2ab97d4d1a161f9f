//! What each kind of PUBLISH bears, and how entity-tags follow: PUB-01 … PUB-06, PUB-11, PUB-17.

use sippresence::sip::events::publisher::Update;

use crate::{
    AWAY, BUSY, OPEN,
    scripted::{Scripted, clock},
    world::{ms, secs},
};

fn headers(text: &str) -> Vec<&str> {
    text.split("\r\n\r\n").next().unwrap().lines().skip(1).map(|line| line.split(": ").next().unwrap()).collect()
}

#[test]
fn pub_01_and_02_an_initial_publication_is_of_the_presentity_outside_any_dialog_with_a_body_and_no_tag() {
    let mut server = Scripted::new();
    server.publish(OPEN);
    let initial = server.expect("PUBLISH sip:bob@example.com SIP/2.0\r\n");
    assert_eq!((initial.header("To"), initial.header("Event")), ("<sip:bob@example.com>", "presence"));
    assert_eq!(initial.header("From").split(";tag=").next().unwrap(), "<sip:bob@example.com>");
    assert_eq!((initial.header("Expires"), initial.get("SIP-If-Match")), ("3600", None));
    assert_eq!((initial.header("Content-Type"), initial.body()), ("application/pidf+xml", OPEN));
    server.accept(&initial, "e1");
    let expires_at = clock(secs(3600));
    assert_eq!(server.updates, [Update::Published { expires_at, current: true }]);
    assert_eq!(server.publisher.standing().state, "published");
    assert_eq!(server.publisher.standing().expires_at, Some(expires_at));
}

#[test]
fn pub_03_a_refresh_has_the_tag_and_neither_body_nor_content_type() {
    let mut server = Scripted::published(OPEN, "e1");
    let refresh = server.wait(secs(3600));
    assert_eq!((refresh.header("SIP-If-Match"), refresh.header("Expires")), ("e1", "3600"));
    assert_eq!(refresh.body(), "");
    let expected = [
        "Via",
        "Max-Forwards",
        "From",
        "To",
        "Call-ID",
        "CSeq",
        "Event",
        "Expires",
        "SIP-If-Match",
        "User-Agent",
        "Content-Length",
    ];
    assert_eq!(headers(&refresh.text), expected);
}

#[test]
fn pub_04_every_2xx_brings_the_tag_of_the_next_request() {
    let mut server = Scripted::published(OPEN, "e1");
    for (n, body) in [(1, ""), (2, BUSY), (3, ""), (4, ""), (5, OPEN)] {
        let request = if body.is_empty() {
            server.wait(secs(3600))
        } else {
            server.advance(secs(10));
            server.publish(body);
            server.expect("PUBLISH")
        };
        assert_eq!((request.header("SIP-If-Match"), request.body()), (format!("e{n}").as_str(), body));
        server.accept(&request, &format!("e{}", n + 1));
    }
}

#[test]
fn pub_05_a_change_has_the_tag_and_the_whole_new_body() {
    let mut server = Scripted::published(OPEN, "e1");
    server.advance(secs(60));
    server.publish(BUSY);
    let modify = server.expect("PUBLISH");
    assert_eq!((modify.header("SIP-If-Match"), modify.body(), modify.header("Expires")), ("e1", BUSY, "3600"));
    assert_eq!(modify.header("Content-Type"), "application/pidf+xml");
}

#[test]
fn pub_06_a_removal_has_the_tag_and_expires_0_and_the_tag_that_it_brings_is_forgotten() {
    let mut server = Scripted::published(OPEN, "e1");
    server.advance(secs(60));
    server.remove();
    let removal = server.expect("PUBLISH");
    assert_eq!((removal.header("SIP-If-Match"), removal.header("Expires"), removal.body()), ("e1", "0", ""));
    assert_eq!(removal.get("Content-Type"), None);
    assert_eq!(server.updates, []);
    server.answer(&removal, "200 OK", "SIP-ETag: e2\nExpires: 0\n");
    assert_eq!(server.updates, [Update::Removed]);
    server.publish(OPEN);
    let initial = server.expect("PUBLISH");
    assert_eq!((initial.get("SIP-If-Match"), initial.body()), (None, OPEN));
}

#[test]
fn pub_06_a_removal_of_nothing_asks_nobody() {
    let mut server = Scripted::new();
    server.remove();
    server.nothing();
    assert_eq!(server.updates, [Update::Removed]);
    server.advance(secs(10_000));
    server.nothing();
}

#[test]
fn pub_11_a_tag_is_copied_byte_for_byte() {
    for tag in ["a.!%*_+~'`-Z9", "'", "0", "%41"] {
        let mut server = Scripted::published(OPEN, tag);
        assert_eq!(server.wait(secs(3600)).header("SIP-If-Match"), tag);
    }
}

#[test]
fn pub_17_requests_go_through_the_proxy_and_what_answers_say_of_routes_means_nothing() {
    for (route, header) in [
        ("sip:proxy.example.com:5080;lr", "<sip:proxy.example.com:5080;lr>"),
        ("sip:proxy.example.com:5080", "<sip:proxy.example.com:5080;lr>"),
    ] {
        let mut server = Scripted::with(|what, _| what.route = Some(route.parse().unwrap()));
        server.publish(OPEN);
        let initial = server.expect("PUBLISH sip:bob@example.com SIP/2.0\r\n");
        assert_eq!((initial.header("Route"), initial.to.port(), initial.get("Contact")), (header, 5080, None));
        let extra = "Record-Route: <sip:192.0.2.66;lr>\nContact: <sip:192.0.2.66>\nSIP-ETag: e1\nExpires: 3600\n";
        server.answer(&initial, "200 OK", extra);
        let refresh = server.wait(secs(3600));
        assert_eq!((refresh.header("Route"), refresh.to.port()), (header, 5080));
        assert!(refresh.text.starts_with("PUBLISH sip:bob@example.com SIP/2.0\r\n"));
    }
}

#[test]
fn pub_04_requests_share_a_call_id_and_a_from_tag_and_their_numbers_rise() {
    let mut server = Scripted::new();
    server.publish(OPEN);
    let first = server.expect("PUBLISH");
    server.accept(&first, "e1");
    server.advance(secs(6));
    server.publish(AWAY);
    let second = server.expect("PUBLISH");
    assert_eq!(first.header("Call-ID"), second.header("Call-ID"));
    assert_eq!(first.header("From"), second.header("From"));
    assert_eq!((first.cseq(), second.cseq()), (1, 2));
    // A resend is no new request.
    server.advance(ms(600));
    assert_eq!(server.expect("PUBLISH").text, second.text);
}

#[test]
fn what_the_server_keeps_is_told_again_under_its_tag_when_somebody_wants_to_see_that_it_is_taken() {
    let mut server = Scripted::published(OPEN, "e1");
    assert!(server.act(|publisher, _, step| publisher.again(step)));
    let again = server.expect("PUBLISH sip:bob@example.com SIP/2.0\r\n");
    assert_eq!((again.header("SIP-If-Match"), again.body()), ("e1", OPEN));
    server.accept(&again, "e2");
    assert_eq!(server.publisher.standing().state, "published");
    let mut idle = Scripted::new();
    assert!(!idle.act(|publisher, _, step| publisher.again(step)));
    idle.publish(OPEN);
    // Nothing is kept before it is taken.
    assert!(!idle.act(|publisher, _, step| publisher.again(step)));
}
