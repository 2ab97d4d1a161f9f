//! Lost answers, timeouts, and sleep: PUB-12, PUB-15.

use sippresence::sip::{
    endpoint::Failure,
    events::{Cause, publisher::Update},
};

use crate::{
    BUSY, OPEN,
    scripted::{Scripted, clock},
    world::{Msg, ms, secs},
};

/// Lets a request time out; returns when the next attempt is to go, after the start.
fn timed_out(server: &mut Scripted, request: &Msg) -> std::time::Duration {
    server.advance_to(request.at + secs(32));
    assert!(server.take().iter().all(|msg| msg.text == request.text), "nothing but resends");
    let Some(Update::Failed { cause: Cause::NoAnswer(Failure::Timeout), retry_at: Some(at) }) = server.updates.pop()
    else {
        panic!("it failed for want of an answer");
    };
    at.since(clock(secs(0)))
}

#[test]
fn pub_12_a_refresh_goes_early_with_jitter() {
    for (expires, earliest, latest) in [(3600, 3061, 3240), (600, 510, 540), (60, 30, 30), (100, 64, 68)] {
        let mut server = Scripted::new();
        server.publish(OPEN);
        let initial = server.expect("PUBLISH");
        server.answer(&initial, "200 OK", &format!("SIP-ETag: e1\nExpires: {expires}\n"));
        let at = server.wait(secs(4000)).at;
        assert!(at >= secs(earliest) && at <= secs(latest), "{expires}: {at:?}");
    }
}

#[test]
fn pub_12_after_a_sleep_past_the_end_it_is_published_afresh_without_asking() {
    for told in [true, false] {
        let mut server = Scripted::published(OPEN, "e1");
        server.sleep(secs(5000));
        if told {
            server.act(|publisher, _, step| publisher.resumed(step));
        }
        let initial = server.wait(secs(3));
        assert_eq!((initial.get("SIP-If-Match"), initial.body()), (None, OPEN));
        assert_eq!(server.updates, [Update::Lapsed]);
    }
}

#[test]
fn pub_12_after_a_shorter_sleep_the_server_is_asked_within_seconds() {
    let mut server = Scripted::published(OPEN, "e1");
    server.sleep(secs(1000));
    server.act(|publisher, _, step| publisher.resumed(step));
    server.act(|publisher, _, step| publisher.resumed(step));
    assert_eq!(server.updates[0], Update::Unconfirmed);
    let refresh = server.wait(secs(3));
    assert_eq!((refresh.header("SIP-If-Match"), refresh.body()), ("e1", ""));
    server.accept(&refresh, "e2");
    server.advance(secs(600));
    server.nothing();
}

#[test]
fn pub_12_a_sleep_in_the_middle_of_a_request_ends_with_a_new_one_soon() {
    let mut server = Scripted::published(OPEN, "e1");
    server.advance(secs(60));
    server.publish(BUSY);
    server.expect("PUBLISH");
    server.sleep(secs(1000));
    server.act(|publisher, _, step| publisher.resumed(step));
    server.take();
    let again = server.wait(secs(3));
    assert_eq!((again.header("SIP-If-Match"), again.body()), ("e1", BUSY));
}

#[test]
fn pub_15_an_initial_publication_of_unknown_outcome_is_followed_by_another() {
    let mut server = Scripted::new();
    server.publish(OPEN);
    let initial = server.expect("PUBLISH");
    let retry_at = timed_out(&mut server, &initial);
    let again = server.wait(secs(60));
    assert_eq!((again.at, again.get("SIP-If-Match"), again.body()), (retry_at, None, OPEN));
    assert_eq!(again.cseq(), 2);
}

#[test]
fn pub_15_a_change_of_unknown_outcome_goes_with_the_same_tag_and_412_settles_it() {
    let mut server = Scripted::published(OPEN, "e1");
    server.advance(secs(60));
    server.publish(BUSY);
    let modify = server.expect("PUBLISH");
    // The server took it as e2, and the 200 was lost.
    timed_out(&mut server, &modify);
    let again = server.wait(secs(60));
    assert_eq!((again.header("SIP-If-Match"), again.body()), ("e1", BUSY));
    server.answer(&again, "412 Conditional Request Failed", "");
    let initial = server.expect("PUBLISH");
    assert_eq!((initial.get("SIP-If-Match"), initial.body()), (None, BUSY));
    server.accept(&initial, "e3");
    assert!(server.publisher.is_current());
}

#[test]
fn pub_15_a_change_of_unknown_outcome_that_is_undone_is_sent_all_the_same() {
    let mut server = Scripted::published(OPEN, "e1");
    server.advance(secs(60));
    server.publish(BUSY);
    let modify = server.expect("PUBLISH");
    timed_out(&mut server, &modify);
    server.publish(OPEN);
    let again = server.wait(secs(60));
    assert_eq!((again.header("SIP-If-Match"), again.body()), ("e1", OPEN));
}

#[test]
fn pub_15_a_refresh_of_unknown_outcome_goes_with_the_same_tag() {
    let mut server = Scripted::published(OPEN, "e1");
    let refresh = server.wait(secs(3600));
    timed_out(&mut server, &refresh);
    let again = server.wait(secs(60));
    assert_eq!((again.header("SIP-If-Match"), again.body()), ("e1", ""));
    server.accept(&again, "e2");
    assert_eq!(server.wait(secs(3600)).header("SIP-If-Match"), "e2");
}

#[test]
fn pub_15_a_lost_removal_is_tried_again_until_the_state_lapses() {
    let mut server = Scripted::published(OPEN, "e1");
    server.advance(secs(3000));
    server.remove();
    let removal = server.expect("PUBLISH");
    timed_out(&mut server, &removal);
    let again = server.wait(secs(60));
    assert_eq!((again.header("SIP-If-Match"), again.header("Expires")), ("e1", "0"));
    server.advance(secs(700));
    assert_eq!(server.updates.last(), Some(&Update::Removed));
    server.take();
    server.advance(secs(4000));
    server.nothing();
}

#[test]
fn pub_15_pauses_double_up_to_the_cap_and_a_success_forgets_them() {
    let mut server = Scripted::new();
    server.unplugged = true;
    server.publish(OPEN);
    let mut before = secs(0);
    for expected in [5, 10, 20, 40, 80, 160, 320, 640, 1280, 1800, 1800] {
        let retry_at = match server.updates.pop() {
            Some(Update::Failed { cause: Cause::NoAnswer(Failure::Unreachable), retry_at: Some(at) }) => at,
            other => panic!("{other:?}"),
        };
        let (pause, expected) = (retry_at.since(clock(before)).as_secs_f64(), f64::from(expected));
        assert!((expected * 0.8..=expected * 1.2).contains(&pause) && pause <= 1800.0, "{pause} for {expected}");
        server.advance(retry_at.since(clock(server.after())));
        before = server.after();
    }
    server.unplugged = false;
    let request = server.wait(secs(1800));
    server.accept(&request, "e1");
    server.unplugged = true;
    server.advance(secs(10));
    server.updates.clear();
    server.publish(BUSY);
    let [Update::Failed { retry_at: Some(at), .. }] = server.updates[..] else { panic!("{:?}", server.updates) };
    assert!(at.since(clock(server.after())) <= secs(6));
}

#[test]
fn pub_15_a_change_in_a_long_pause_is_tried_at_once_but_not_again_and_again() {
    let mut server = Scripted::new();
    server.unplugged = true;
    server.publish(OPEN);
    server.advance(secs(1300));
    server.unplugged = false;
    server.publish(BUSY);
    let now = server.after();
    assert_eq!(server.expect("PUBLISH").at, now);
    let mut server = Scripted::new();
    server.unplugged = true;
    server.publish(OPEN);
    server.advance(secs(1300));
    server.updates.clear();
    for n in 0..100 {
        server.publish(&format!("<presence>{n}</presence>"));
        server.advance(ms(100));
    }
    assert!(server.updates.len() <= 2, "{:?}", server.updates);
}

#[test]
fn pub_15_an_answer_that_comes_too_late_or_twice_changes_nothing() {
    let mut server = Scripted::new();
    server.publish(OPEN);
    let initial = server.expect("PUBLISH");
    timed_out(&mut server, &initial);
    server.accept(&initial, "late");
    assert_eq!(server.updates, []);
    let again = server.wait(secs(60));
    assert_eq!(again.get("SIP-If-Match"), None);
    server.accept(&again, "e1");
    server.accept(&again, "other");
    server.accept(&initial, "late");
    assert_eq!(server.updates.len(), 1);
    assert_eq!(server.wait(secs(3600)).header("SIP-If-Match"), "e1");
}

#[test]
fn pub_15_the_outcome_of_somebody_else_s_request_changes_nothing() {
    let mut server = Scripted::new();
    server.publish(OPEN);
    let initial = server.expect("PUBLISH");
    // Whoever had the name before asked it.
    server.act(|publisher, registration, step| {
        registration.register(step);
        publisher.failed(0, Failure::Timeout, step);
        registration.failed(0, Failure::Timeout, step);
        assert_eq!((publisher.renumber(0), registration.renumber(0)), (None, None));
    });
    assert_eq!((&server.updates[..], &server.turns[..]), (&[][..], &[][..]));
    server.accept(&initial, "e1");
    assert!(server.publisher.is_current());
}
