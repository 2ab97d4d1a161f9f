//! Answers that no server should give: PUB-11, PUB-13.

use sippresence::sip::{events::publisher::Update, header::Name};

use crate::{
    BUSY, OPEN,
    scripted::{Scripted, clock},
    world::secs,
};

/// Publishes and has it answered 200 with these lines.
fn answered(lines: &str) -> Scripted {
    let mut server = Scripted::new();
    server.publish(OPEN);
    let initial = server.expect("PUBLISH");
    server.answer(&initial, "200 OK", lines);
    server
}

#[test]
fn pub_13_without_a_usable_tag_the_next_publication_is_an_initial_one() {
    let long = format!("SIP-ETag: {}\n", "a".repeat(513));
    for tag in [
        "",
        "SIP-ETag: a\nSIP-ETag: b\n",
        "SIP-ETag: a, b\n",
        "SIP-ETag: a b\n",
        "SIP-ETag: \"a\"\n",
        "SIP-ETag:\n",
        "SIP-ETag: a\n  b\n",
        "SIP-ETag: é\n",
        &long,
    ] {
        let mut server = answered(&format!("{tag}Expires: 3600\n"));
        let expires_at = clock(secs(3600));
        let published = Update::Published { expires_at, current: true };
        assert_eq!(server.updates, [Update::Flawed(Name::SipEtag), published], "{tag}");
        let again = server.wait(secs(3600));
        assert_eq!((again.get("SIP-If-Match"), again.body()), (None, OPEN), "{tag}");
        server.accept(&again, "e1");
        server.publish(BUSY);
        assert_eq!(server.wait(secs(5)).header("SIP-If-Match"), "e1");
    }
}

#[test]
fn pub_13_what_has_no_tag_cannot_be_removed_and_lapses() {
    let mut server = answered("Expires: 3600\n");
    server.remove();
    server.nothing();
    assert_eq!(server.updates.last(), Some(&Update::Removed));
    server.advance(secs(10_000));
    server.nothing();
}

#[test]
fn pub_13_a_refresh_without_a_new_tag_forgets_the_old_one() {
    let mut server = Scripted::published(OPEN, "e1");
    let refresh = server.wait(secs(3600));
    server.answer(&refresh, "200 OK", "Expires: 3600\n");
    server.publish(BUSY);
    let initial = server.expect("PUBLISH");
    assert_eq!((initial.get("SIP-If-Match"), initial.body()), (None, BUSY));
}

#[test]
fn pub_13_without_expires_what_was_asked_for_is_assumed() {
    let mut server = answered("SIP-ETag: e1\n");
    let expires_at = clock(secs(3600));
    assert_eq!(server.updates, [Update::Flawed(Name::Expires), Update::Published { expires_at, current: true }]);
    let refresh = server.wait(secs(3600));
    assert_eq!((refresh.header("SIP-If-Match"), refresh.at <= secs(3240)), ("e1", true));
}

#[test]
fn pub_13_no_more_is_believed_than_was_asked_for() {
    for expires in ["4294967296", "3601", "99999999999999999999", "never"] {
        let server = answered(&format!("SIP-ETag: e1\nExpires: {expires}\n"));
        let expires_at = clock(secs(3600));
        assert_eq!(server.updates, [Update::Published { expires_at, current: true }], "{expires}");
    }
}

#[test]
fn pub_13_a_server_that_keeps_nothing_for_long_is_not_asked_again_and_again() {
    for (expires, most) in [(0, 8), (1, 61), (3, 61), (9, 61)] {
        let mut server = answered(&format!("SIP-ETag: e0\nExpires: {expires}\n"));
        let mut requests = 1;
        for _ in 0..300 {
            server.advance(secs(1));
            for request in server.take() {
                requests += 1;
                server.answer(&request, "200 OK", &format!("SIP-ETag: e{requests}\nExpires: {expires}\n"));
            }
        }
        assert!((3..=most).contains(&requests), "{expires}: {requests}");
        assert_eq!(server.updates.contains(&Update::Lapsed), expires < 5, "{expires}");
    }
}
