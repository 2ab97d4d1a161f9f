//! Changes one after the other, and no more of them than a server likes: PUB-07, PUB-16.

use sippresence::sip::events::publisher::Update;

use crate::{
    AWAY, BUSY, OPEN,
    scripted::{Scripted, clock},
    world::{ms, secs},
};

#[test]
fn pub_07_five_quick_changes_are_serial_and_the_last_one_wins() {
    let mut server = Scripted::new();
    for body in [OPEN, BUSY, AWAY, OPEN, BUSY] {
        server.publish(body);
    }
    let initial = server.expect("PUBLISH");
    assert_eq!(initial.body(), OPEN);
    server.nothing();
    // However long the answer takes, there is one request.
    server.advance(secs(6));
    assert!(server.take().iter().all(|msg| msg.text == initial.text));
    server.accept(&initial, "e1");
    let expires_at = clock(secs(3606));
    assert_eq!(server.updates, [Update::Published { expires_at, current: false }]);
    let modify = server.expect("PUBLISH");
    assert_eq!((modify.header("SIP-If-Match"), modify.body()), ("e1", BUSY));
    server.accept(&modify, "e2");
    assert_eq!(server.updates[1], Update::Published { expires_at, current: true });
    server.advance(secs(60));
    server.nothing();
}

#[test]
fn pub_07_what_is_taken_back_while_it_is_sent_is_removed_afterwards() {
    let mut server = Scripted::new();
    server.publish(OPEN);
    let initial = server.expect("PUBLISH");
    server.remove();
    server.nothing();
    server.accept(&initial, "e1");
    let removal = server.expect("PUBLISH");
    assert_eq!((removal.header("SIP-If-Match"), removal.header("Expires")), ("e1", "0"));
    server.answer(&removal, "200 OK", "SIP-ETag: e2\nExpires: 0\n");
    assert_eq!(server.updates, [Update::Removed]);
}

#[test]
fn pub_07_what_is_published_while_a_removal_is_open_is_an_initial_publication() {
    let mut server = Scripted::published(OPEN, "e1");
    server.advance(secs(60));
    server.remove();
    let removal = server.expect("PUBLISH");
    server.publish(BUSY);
    server.nothing();
    server.answer(&removal, "200 OK", "SIP-ETag: e2\nExpires: 0\n");
    let initial = server.expect("PUBLISH");
    assert_eq!((initial.get("SIP-If-Match"), initial.body()), (None, BUSY));
    assert_eq!(server.updates, []);
}

#[test]
fn pub_16_ten_changes_in_a_second_are_two_requests() {
    let mut server = Scripted::new();
    let bodies: Vec<String> = (0..10).map(|n| format!("<presence>{n}</presence>\r\n")).collect();
    for body in &bodies {
        server.publish(body);
        for request in server.take() {
            server.accept(&request, "e1");
            assert_eq!((request.at, request.body()), (secs(0), bodies[0].as_str()));
        }
        server.advance(ms(100));
    }
    let second = server.wait(secs(60));
    assert_eq!((second.at, second.body()), (secs(5), bodies[9].as_str()));
    server.accept(&second, "e2");
    server.advance(secs(60));
    server.nothing();
    // After a pause the next is immediate again.
    server.publish(OPEN);
    assert_eq!(server.expect("PUBLISH").at, server.after());
}

#[test]
fn pub_16_coming_and_going_is_paced_too() {
    let mut server = Scripted::published(OPEN, "e1");
    server.advance(secs(1));
    server.remove();
    let removal = server.expect("PUBLISH");
    server.answer(&removal, "200 OK", "");
    server.publish(OPEN);
    server.nothing();
    assert_eq!(server.wait(secs(60)).at, secs(5));
}

#[test]
fn pub_16_a_state_that_the_server_has_is_not_sent_again() {
    let mut server = Scripted::published(OPEN, "e1");
    server.advance(secs(60));
    server.publish(OPEN);
    server.nothing();
    server.publish(BUSY);
    let modify = server.expect("PUBLISH");
    server.accept(&modify, "e2");
    server.advance(secs(1));
    // There and back before it may go: nothing has changed.
    server.publish(OPEN);
    server.publish(BUSY);
    server.advance(secs(60));
    server.nothing();
}
