//! Who watches us at our server: WIC-01.

use std::{fmt::Write as _, time::Duration};

use sippresence::presence::{
    FailureCode, PresenceEvent, PresenceStatus,
    core::{CoreConfig, Key, Server},
    event::{Via, WatcherGrade},
    history::Stand,
};

use crate::world::{ALICE, Msg, Script, config, credentials, secs};

const SIX_HOURS: Duration = secs(6 * 3600);

/// Alice at a server that is at the address of the peer, and is asked who watches her.
fn account() -> CoreConfig {
    CoreConfig {
        address: "sip:alice@192.0.2.20".parse().unwrap(),
        server: Some(Server { watcher_info: true, retry_cap: secs(120), ..Server::new(None) }),
        ..config("alice", ALICE)
    }
}

fn begin() -> (Script, Msg) {
    let mut script = Script::new(account());
    script.act(sippresence::presence::core::Core::begin);
    let sub = script.expect("SUBSCRIBE sip:alice@192.0.2.20 SIP/2.0");
    (script, sub)
}

fn document(version: u32, state: &str, watchers: &[(&str, &str, &str)]) -> String {
    let mut lines = String::new();
    for (id, status, who) in watchers {
        let _ = writeln!(lines, "<watcher id=\"{id}\" status=\"{status}\" event=\"subscribe\">{who}</watcher>");
    }
    format!(
        "<?xml version=\"1.0\"?>\n<watcherinfo xmlns=\"urn:ietf:params:xml:ns:watcherinfo\" version=\"{version}\" \
         state=\"{state}\">\n<watcher-list resource=\"sip:alice@192.0.2.20\" package=\"presence\">\n{lines}\
         </watcher-list>\n</watcherinfo>\n"
    )
}

/// Tells in the dialog of `sub`; returns what is sent besides the answer.
fn tell(script: &mut Script, sub: &Msg, cseq: u32, body: &str) -> Vec<Msg> {
    let text = script.notify_text(sub, cseq, "active;expires=3600", "", body);
    let text = text.replace("Event: presence\n", "Event: presence.winfo\n");
    script.send(&text.replace("application/pidf+xml", "application/watcherinfo+xml"));
    let (answers, others): (Vec<_>, Vec<_>) = script.take().into_iter().partition(|msg| msg.code().is_some());
    assert_eq!(answers.iter().map(Msg::code).collect::<Vec<_>>(), [Some(200)]);
    others
}

fn established(first: &str) -> (Script, Msg) {
    let (mut script, sub) = begin();
    script.answer_with(&sub, "200 OK", "Contact: <sip:192.0.2.20:5060>\nExpires: 3600\n");
    tell(&mut script, &sub, 1, first);
    (script, sub)
}

fn listed(script: &Script) -> Vec<(String, &'static str)> {
    script.core.watchers().into_iter().map(|watcher| (watcher.who, watcher.state)).collect()
}

fn list(of: &[(&str, &'static str)]) -> Vec<(String, &'static str)> {
    of.iter().map(|(who, state)| ((*who).to_owned(), *state)).collect()
}

fn requests(script: &Script) -> usize {
    script.events.iter().filter(|event| matches!(event, PresenceEvent::SubscriptionRequest { .. })).count()
}

#[test]
fn wic_01_the_server_is_asked_for_our_own_address_and_what_it_tells_is_our_list() {
    let (mut script, sub) = begin();
    assert_eq!(sub.header("To"), "<sip:alice@192.0.2.20>");
    assert!(sub.header("From").starts_with("<sip:alice@192.0.2.20>;tag="));
    let told = (sub.header("Event"), sub.header("Accept"), sub.header("Expires"));
    assert_eq!(told, ("presence.winfo", "application/watcherinfo+xml", "3600"));
    script.answer_with(&sub, "200 OK", "Contact: <sip:192.0.2.20:5060>\nExpires: 3600\n");
    let first = document(
        1,
        "full",
        &[
            ("a", "pending", "sip:bob@192.0.2.20"),
            ("b", "waiting", "sip:BOB@192.0.2.20:5060;x=y"),
            ("c", "active", "sips:carol@example.com"),
            ("d", "active", "sip:alice@192.0.2.20"),
            ("e", "waiting", "$(rm -rf ~)"),
            ("f", "terminated", "sip:gone@h"),
        ],
    );
    tell(&mut script, &sub, 1, &first.replace("id=\"c\"", "id=\"c\" expiration=\"60\" duration-subscribed=\"120\""));
    let expected = [
        ("$(rm -rf ~)", "waiting"),
        ("sip:BOB@192.0.2.20", "waiting"),
        ("sip:bob@192.0.2.20", "pending"),
        ("sip:carol@example.com", "active"),
    ];
    assert_eq!(listed(&script), list(&expected));
    let carol = &script.core.watchers()[3];
    assert_eq!((carol.via, carol.grade, carol.source), (Via::Server, WatcherGrade::Verified, None));
    let info = serde_json::to_value(carol.to_info(script.now().at)).unwrap();
    assert_eq!((&info["via"], &info["reason"], &info["expires_in"]), (&"server".into(), &"server".into(), &60.into()));
    assert_eq!(info["since"], "2026-03-02T09:13:00Z");
    assert_eq!(requests(&script), 3);
    assert!(script.changed.contains(&Key::Watchers) && script.changed.contains(&Key::Saved));
    assert_eq!(script.core.linked().watcher_info, None);
}

#[test]
fn wic_01_who_waits_is_told_once_however_often_the_server_says_it() {
    let (bob, carol) = (("a", "pending", "sip:bob@h"), ("c", "active", "sip:carol@h"));
    let (mut script, sub) = established(&document(0, "full", &[bob]));
    tell(&mut script, &sub, 2, &document(1, "partial", &[carol]));
    tell(&mut script, &sub, 3, &document(2, "full", &[bob, carol]));
    tell(&mut script, &sub, 4, &document(3, "partial", &[("a", "waiting", "sip:bob@h")]));
    tell(
        &mut script,
        &sub,
        5,
        &document(4, "partial", &[("b", "pending", "sip:bob@h"), ("a", "terminated", "sip:bob@h")]),
    );
    // Another subscription of ours, after the one before broke.
    let again = loop {
        let sent = script.wait(secs(4000));
        if sent.tag("To").is_empty() {
            break sent;
        }
    };
    script.take();
    assert_eq!(listed(&script), list(&[("sip:bob@h", "pending"), ("sip:carol@h", "active")]), "nobody left for that");
    script.answer_with(&again, "200 OK", "Contact: <sip:192.0.2.20:5060>\nExpires: 3600\n");
    tell(&mut script, &again, 1, &document(0, "full", &[bob, carol]));
    assert_eq!(requests(&script), 1);
    let accepted = |event: &&PresenceEvent| matches!(event, PresenceEvent::SubscriptionAccepted { .. });
    assert_eq!(script.events.iter().filter(accepted).count(), 1);
    // A new start knows what was told, and shows it before the server says it again.
    let saved = script.saved();
    script.restart(account(), &saved, true);
    assert_eq!((requests(&script), listed(&script).len()), (1, 2));
    script.act(sippresence::presence::core::Core::begin);
    let sub = script.expect("SUBSCRIBE");
    script.changed.clear();
    tell(&mut script, &sub, 1, &document(7, "full", &[bob]));
    assert_eq!((requests(&script), listed(&script)), (1, list(&[("sip:bob@h", "pending")])));
    let carol =
        script.core.watcher_history(script.now()).into_iter().find(|person| person.who == "sip:carol@h").unwrap();
    assert_eq!((carol.state, carol.via, carol.rule.as_str()), (Stand::Terminated, Via::Server, "server"));
}

#[test]
fn wic_01_a_gap_calls_for_one_refresh_and_an_old_document_for_nothing() {
    let (mut script, sub) = established(&document(1, "full", &[]));
    tell(&mut script, &sub, 2, &document(1, "full", &[("x", "active", "sip:x@h")]));
    tell(&mut script, &sub, 3, &document(0, "partial", &[("x", "active", "sip:x@h")]));
    script.advance(secs(1));
    script.nothing();
    assert_eq!(listed(&script), []);
    let mut sent = Vec::new();
    for (cseq, version) in [(4, 4), (5, 8), (6, 12)] {
        sent.extend(tell(&mut script, &sub, cseq, &document(version, "partial", &[("b", "pending", "sip:bob@h")])));
    }
    assert_eq!(listed(&script), list(&[("sip:bob@h", "pending")]), "what it tells is taken all the same");
    let [refresh] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!((refresh.header("Call-ID"), refresh.cseq()), (sub.header("Call-ID"), 2));
    script.answer_with(refresh, "200 OK", "Expires: 3600\n");
    tell(&mut script, &sub, 7, &document(13, "full", &[("c", "active", "sip:carol@h")]));
    assert_eq!(listed(&script), list(&[("sip:carol@h", "active")]));
    // A server that always leaves something out is not asked all the time.
    let mut asked = 0;
    for n in 0..60 {
        for refresh in tell(&mut script, &sub, 8 + n, &document(20 + 2 * n, "partial", &[])) {
            asked += 1;
            script.answer_with(&refresh, "200 OK", "Expires: 3600\n");
        }
        script.advance(secs(1));
    }
    assert!((1..=3).contains(&asked), "{asked}");
}

#[test]
fn wic_01_a_server_that_does_not_offer_it_is_asked_again_rarely_and_that_is_said_once() {
    for status in ["489 Bad Event", "403 Forbidden", "404 Not Found", "405 Method Not Allowed", "501 Not Implemented"] {
        let (mut script, sub) = begin();
        script.changed.clear();
        script.answer_with(&sub, status, "Allow-Events: presence\n");
        let code = status[..3].parse().unwrap();
        let linked = script.core.linked();
        let link = linked.watcher_info.as_ref().unwrap();
        assert_eq!((link.state.as_str(), link.code), ("refused", Some(FailureCode::Sip(code))), "{status}");
        assert_eq!(script.changed.iter().collect::<Vec<_>>(), [&Key::Server]);
        script.changed.clear();
        script.advance_to(SIX_HOURS - secs(1));
        script.nothing();
        let again = script.wait(secs(2));
        assert!(again.first_line().starts_with("SUBSCRIBE") && again.at == SIX_HOURS, "{again:?}");
        script.answer_with(&again, status, "Allow-Events: presence\n");
        assert!(script.changed.is_empty(), "it is known: {:?}", script.changed);
        // And now it does.
        let again = script.wait(SIX_HOURS);
        script.answer_with(&again, "200 OK", "Contact: <sip:192.0.2.20:5060>\nExpires: 3600\n");
        tell(&mut script, &again, 1, &document(0, "full", &[("a", "pending", "sip:bob@h")]));
        assert_eq!((script.core.linked().watcher_info.clone(), requests(&script)), (None, 1));
    }
}

#[test]
fn wic_01_a_server_that_is_down_is_no_refusal_and_is_asked_again_soon() {
    let (mut script, sub) = begin();
    script.answer(&sub, "503 Service Unavailable");
    assert_eq!(script.core.linked().watcher_info, None);
    let again = script.wait(secs(300));
    assert_eq!(again.header("Event"), "presence.winfo");
    // What is no document costs nothing else.
    script.answer_with(&again, "200 OK", "Contact: <sip:192.0.2.20:5060>\nExpires: 3600\n");
    for (cseq, body) in [(1, "<presence/>"), (2, "nothing"), (3, "<watcherinfo version='x'/>")] {
        tell(&mut script, &again, cseq, body);
    }
    tell(&mut script, &again, 4, &document(0, "full", &[("a", "active", "sip:bob@h")]));
    assert_eq!(listed(&script), list(&[("sip:bob@h", "active")]));
    // A server that takes it back has nobody any more.
    let text = script.notify_text(&again, 5, "terminated;reason=rejected", "", "");
    script.send(&text.replace("Event: presence\n", "Event: presence.winfo\n"));
    script.expect("200");
    assert_eq!(listed(&script), []);
    assert_eq!(script.core.linked().watcher_info.as_ref().unwrap().state, "refused");
}

#[test]
fn wic_01_a_server_that_did_not_know_us_is_asked_again_once_it_takes_what_we_publish() {
    let mut script = Script::new(CoreConfig { credentials: Some(credentials()), ..account() });
    script.act(sippresence::presence::core::Core::begin);
    let challenge = "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\", qop=\"auth\"\n";
    let sub = script.expect("SUBSCRIBE");
    script.answer_with(&sub, "401 Unauthorized", challenge);
    script.tell(Err("the keyring is locked"));
    let linked = script.core.linked();
    assert_eq!(linked.watcher_info.as_ref().unwrap().code, Some(FailureCode::Sip(401)));
    script.advance(secs(600));
    script.nothing();
    // It is unlocked for a status.
    script.publish(PresenceStatus::Busy, None);
    let publish = script.expect("PUBLISH");
    script.answer_with(&publish, "401 Unauthorized", challenge);
    script.tell(Ok("secret"));
    let publish = script.expect("PUBLISH");
    script.answer_with(&publish, "200 OK", "SIP-ETag: e1\nExpires: 3600\n");
    let again = script.wait(secs(1));
    assert_eq!((again.header("Event"), again.tag("To")), ("presence.winfo", ""));
}

#[test]
fn wic_01_the_subscription_ends_when_we_leave() {
    let (mut script, sub) = established(&document(0, "full", &[("a", "pending", "sip:bob@h")]));
    script.act(sippresence::presence::core::Core::go_offline);
    let last = script.expect("SUBSCRIBE");
    assert_eq!((last.header("Call-ID"), last.header("Expires")), (sub.header("Call-ID"), "0"));
    script.answer_with(&last, "200 OK", "Expires: 0\n");
    let text = script.notify_text(&sub, 2, "terminated;reason=timeout", "", "");
    script.send(&text.replace("Event: presence\n", "Event: presence.winfo\n"));
    script.expect("200");
    assert!(!script.core.is_busy());
    // Whoever is not to ask does not.
    let server = Some(Server { watcher_info: false, ..Server::new(None) });
    let mut script = Script::new(CoreConfig { server, ..account() });
    script.act(sippresence::presence::core::Core::begin);
    script.nothing();
}
