//! What a server's "no" does: PUB-08, PUB-09, PUB-10, PUB-14, and challenges.

use sippresence::sip::{
    auth::Why,
    events::{
        Cause,
        publisher::{Update, is_unwelcome, lacks_publication},
    },
};

use crate::{
    AWAY, BUSY, OPEN,
    scripted::{CHALLENGE, Scripted, clock},
    world::{ms, secs},
};

const GONE: &str = "412 Conditional Request Failed";
const BRIEF: &str = "423 Interval Too Brief";

fn refused(code: u16) -> Cause {
    Cause::Refused { code, offers: None }
}

#[test]
fn pub_08_412_to_a_refresh_is_followed_by_an_initial_publication() {
    let mut server = Scripted::published(OPEN, "e1");
    let refresh = server.wait(secs(3600));
    server.answer(&refresh, GONE, "");
    let initial = server.expect("PUBLISH");
    assert_eq!((initial.get("SIP-If-Match"), initial.body(), initial.at), (None, OPEN, refresh.at));
    assert_eq!((initial.header("Call-ID"), initial.cseq()), (refresh.header("Call-ID"), refresh.cseq() + 1));
    assert_eq!(server.updates, [Update::Unconfirmed]);
    server.accept(&initial, "e2");
    assert_eq!(server.wait(secs(3600)).header("SIP-If-Match"), "e2");
}

#[test]
fn pub_08_412_to_a_change_is_followed_by_an_initial_publication_of_the_newest_state() {
    let mut server = Scripted::published(OPEN, "e1");
    server.advance(secs(60));
    server.publish(BUSY);
    let modify = server.expect("PUBLISH");
    server.publish(AWAY);
    server.answer(&modify, GONE, "");
    let initial = server.expect("PUBLISH");
    assert_eq!((initial.get("SIP-If-Match"), initial.body()), (None, AWAY));
}

#[test]
fn pub_08_412_to_a_removal_is_success() {
    let mut server = Scripted::published(OPEN, "e1");
    server.advance(secs(60));
    server.remove();
    let removal = server.expect("PUBLISH");
    server.answer(&removal, GONE, "");
    assert_eq!(server.updates, [Update::Removed]);
    server.advance(secs(10_000));
    server.nothing();
}

#[test]
fn pub_08_412_to_an_initial_publication_is_a_failure_like_others() {
    let mut server = Scripted::new();
    server.publish(OPEN);
    let initial = server.expect("PUBLISH");
    server.answer(&initial, GONE, "");
    server.nothing();
    let [Update::Failed { cause, retry_at: Some(at) }] = &server.updates[..] else { panic!("{:?}", server.updates) };
    assert_eq!(*cause, refused(412));
    let at = at.since(clock(secs(0)));
    assert_eq!(server.wait(secs(10)).at, at);
}

#[test]
fn pub_08_a_server_that_forgets_at_once_is_not_asked_without_end() {
    let mut server = Scripted::published(OPEN, "e1");
    let mut requests = 0;
    for n in 0..60 {
        server.publish(if n % 2 == 0 { BUSY } else { OPEN });
        for request in server.take() {
            requests += 1;
            if request.get("SIP-If-Match").is_some() {
                server.answer(&request, GONE, "");
            } else {
                server.accept(&request, "e1");
            }
        }
        server.advance(secs(1));
    }
    assert!(requests < 30, "{requests}");
}

#[test]
fn pub_09_423_is_answered_once_with_what_it_demands() {
    let mut server = Scripted::with(|what, _| what.expires = 30);
    server.publish(OPEN);
    let brief = server.expect("PUBLISH");
    assert_eq!(brief.header("Expires"), "30");
    server.answer(&brief, BRIEF, "Min-Expires: 60\n");
    let longer = server.expect("PUBLISH");
    assert_eq!((longer.header("Expires"), longer.body(), longer.at), ("60", OPEN, secs(0)));
    server.answer(&longer, BRIEF, "Min-Expires: 120\n");
    server.nothing();
    assert_eq!(server.updates, [Update::Failed { cause: refused(423), retry_at: None }]);
    server.advance(secs(10_000));
    server.nothing();
}

#[test]
fn pub_09_what_a_423_demanded_is_asked_for_from_then_on_and_may_rise_later() {
    let mut server = Scripted::with(|what, _| what.expires = 30);
    server.publish(OPEN);
    let brief = server.expect("PUBLISH");
    server.answer(&brief, BRIEF, "Min-Expires: 60\n");
    let longer = server.expect("PUBLISH");
    server.answer(&longer, "200 OK", "SIP-ETag: e1\nExpires: 60\n");
    let refresh = server.wait(secs(60));
    assert_eq!((refresh.header("Expires"), refresh.header("SIP-If-Match")), ("60", "e1"));
    server.answer(&refresh, BRIEF, "Min-Expires: 90\n");
    let again = server.expect("PUBLISH");
    assert_eq!((again.header("Expires"), again.header("SIP-If-Match"), again.body()), ("90", "e1", ""));
}

#[test]
fn pub_09_a_silly_423_is_final() {
    for silly in [
        "",
        "Min-Expires: 3600\n",
        "Min-Expires: 0\n",
        "Min-Expires: 604801\n",
        "Min-Expires: 4294967296\n",
        "Min-Expires: soon\n",
    ] {
        let mut server = Scripted::new();
        server.publish(OPEN);
        let initial = server.expect("PUBLISH");
        server.answer(&initial, BRIEF, silly);
        server.nothing();
        assert_eq!(server.updates, [Update::Failed { cause: refused(423), retry_at: None }], "{silly}");
    }
}

#[test]
fn pub_10_503_is_waited_out_and_what_changes_meanwhile_is_one_publication() {
    let mut server = Scripted::published(OPEN, "e1");
    server.advance(secs(60));
    server.publish(BUSY);
    let modify = server.expect("PUBLISH");
    server.answer(&modify, "503 Service Unavailable", "Retry-After: 20\n");
    let retry_at = clock(secs(80));
    assert_eq!(server.updates, [Update::Failed { cause: refused(503), retry_at: Some(retry_at) }]);
    for body in [AWAY, OPEN, BUSY, AWAY] {
        server.advance(secs(4));
        server.publish(body);
    }
    server.act(|publisher, _, step| publisher.resumed(step));
    server.nothing();
    let after = server.wait(secs(60));
    assert_eq!((after.at, after.body(), after.header("SIP-If-Match")), (secs(80), AWAY, "e1"));
    server.accept(&after, "e2");
    server.advance(secs(60));
    server.nothing();
}

#[test]
fn pub_14_a_server_without_publication_and_one_that_wants_none_of_ours_are_told_apart_and_left_alone() {
    for (status, extra, lacks, unwelcome) in [
        ("489 Bad Event", "Allow-Events: dialog\n", true, false),
        ("405 Method Not Allowed", "Allow: REGISTER\n", true, false),
        ("501 Not Implemented", "", true, false),
        ("403 Forbidden", "", false, true),
        ("404 Not Found", "Retry-After: 5\n", false, true),
        ("415 Unsupported Media Type", "Accept: application/xpidf+xml\n", false, false),
    ] {
        let mut server = Scripted::new();
        server.publish(OPEN);
        let initial = server.expect("PUBLISH");
        server.answer(&initial, status, extra);
        let [Update::Failed { cause: Cause::Refused { code, offers }, retry_at: None }] = &server.updates[..] else {
            panic!("{status}: {:?}", server.updates);
        };
        assert_eq!((lacks_publication(*code), is_unwelcome(*code)), (lacks, unwelcome), "{status}");
        let offered = match code {
            489 => Some("dialog"),
            415 => Some("application/xpidf+xml"),
            _ => None,
        };
        assert_eq!(offers.as_deref(), offered);
        server.publish(BUSY);
        server.act(|publisher, _, step| publisher.resumed(step));
        server.advance(secs(10_000));
        server.nothing();
        assert_eq!(server.publisher.standing().state, "over");
        server.remove();
        server.nothing();
        assert_eq!(server.updates.last(), Some(&Update::Removed));
    }
}

#[test]
fn pub_14_a_refusal_of_a_removal_ends_it() {
    let mut server = Scripted::published(OPEN, "e1");
    server.advance(secs(60));
    server.remove();
    let removal = server.expect("PUBLISH");
    server.answer(&removal, "403 Forbidden", "");
    assert_eq!(server.updates, [Update::Failed { cause: refused(403), retry_at: None }, Update::Removed]);
    server.advance(secs(10_000));
    server.nothing();
}

#[test]
fn pub_15_an_unknown_or_temporary_code_is_tried_again() {
    for (status, code) in
        [("500 Error", 500), ("599 Odd", 599), ("480 Later", 480), ("400 Bad", 400), ("600 Busy", 600)]
    {
        let mut server = Scripted::published(OPEN, "e1");
        let refresh = server.wait(secs(3600));
        server.answer(&refresh, status, "");
        let [Update::Failed { cause, retry_at: Some(_) }] = &server.updates[..] else { panic!("{:?}", server.updates) };
        assert_eq!(*cause, refused(code));
        assert_eq!(server.publisher.standing().state, "published");
        let again = server.wait(secs(7));
        assert_eq!((again.header("SIP-If-Match"), again.body()), ("e1", ""));
    }
}

#[test]
fn pub_02_a_challenge_is_answered_with_the_next_number_and_the_same_body() {
    let mut server = Scripted::new();
    server.publish(OPEN);
    let first = server.expect("PUBLISH");
    server.publish(BUSY);
    server.answer(&first, "401 Unauthorized", CHALLENGE);
    let second = server.expect("PUBLISH");
    assert_eq!((second.cseq(), second.body()), (2, OPEN));
    assert_eq!((second.header("Call-ID"), second.header("From")), (first.header("Call-ID"), first.header("From")));
    assert!(second.header("Authorization").contains("nc=00000001"));
    server.advance(secs(5));
    server.take();
    server.accept(&second, "e1");
    let modify = server.expect("PUBLISH");
    assert_eq!((modify.cseq(), modify.header("SIP-If-Match"), modify.body()), (3, "e1", BUSY));
    assert!(modify.header("Authorization").contains("nc=00000002"));
    // A nonce that grew old in the middle costs a number more.
    server.answer(&modify, "401 Unauthorized", &CHALLENGE.replace("nonce=\"n1\"", "nonce=\"n2\", stale=true"));
    let again = server.expect("PUBLISH");
    assert_eq!((again.cseq(), again.header("SIP-If-Match"), again.body()), (4, "e1", BUSY));
    server.accept(&again, "e2");
    assert!(server.publisher.is_current());
}

#[test]
fn pub_14_a_wrong_password_is_final_and_one_that_cannot_be_had_is_not() {
    let mut server = Scripted::new();
    server.publish(OPEN);
    let first = server.expect("PUBLISH");
    server.answer(&first, "401 Unauthorized", CHALLENGE);
    let second = server.expect("PUBLISH");
    server.answer(&second, "401 Unauthorized", &CHALLENGE.replace("n1", "n2"));
    let why = Why::WrongPassword("example.com".into());
    assert_eq!(server.updates, [Update::Failed { cause: Cause::Unauthorized { code: 401, why }, retry_at: None }]);
    server.advance(secs(10_000));
    server.nothing();
    let mut server = Scripted::new();
    server.password = None;
    server.publish(OPEN);
    let first = server.expect("PUBLISH");
    server.answer(&first, "401 Unauthorized", CHALLENGE);
    assert!(matches!(server.updates[..], [Update::Failed { retry_at: Some(_), .. }]), "{:?}", server.updates);
    server.advance(ms(31_000));
    server.password = Some(crate::scripted::PASSWORD);
    server.take();
    let again = server.wait(secs(60));
    server.answer(&again, "401 Unauthorized", CHALLENGE);
    let proven = server.expect("PUBLISH");
    server.accept(&proven, "e1");
    assert!(server.publisher.is_current());
}

#[test]
fn pub_20_what_the_server_keeps_outlives_a_final_refusal() {
    let mut server = Scripted::published(OPEN, "e1");
    let refresh = server.wait(secs(3600));
    server.answer(&refresh, "403 Forbidden", "");
    let now = crate::world::moment(server.after());
    let kept = server.publisher.saved(now.at, now.wall).expect("it has not lapsed");
    assert_eq!(kept.entity_tag, "e1");
    server.advance(secs(3600));
    server.nothing();
    let now = crate::world::moment(server.after());
    assert_eq!(server.publisher.saved(now.at, now.wall), None);
}
