//! Watchers who prove who they are, by a secret that they share with us or by our own server, and those who only say so
//! (AUT-01, AUT-17, AUT-18, AUT-19, POL-19, SEC-01, SEC-02).

use std::net::SocketAddr;

use sippresence::{
    presence::{
        PresenceStatus,
        core::{CoreConfig, Watcher},
        event::WatcherGrade,
        policy::{Action, Policy, Require},
    },
    sip::auth::{Algorithm, Digest, Hash, Qop, Use, ha1},
};

use crate::{
    params,
    world::{Ask, BOB, Msg, Script, config, policy, secs},
};

const SECRET: &str = "correct-horse-9";
const MALLORY: &str = "192.0.2.66:5060";

/// Bob, who shares a secret with alice and lets in whoever proved to be her.
fn bob() -> Script {
    bob_with(policy(&[("alice@192.0.2.10", Action::Allow)]))
}

fn bob_with(mut policy: Policy) -> Script {
    policy.require = Require::Verified;
    let mut script = Script::new(CoreConfig { policy, ..config("bob", BOB) });
    script.password = Some(SECRET);
    share(&mut script, &["sip:alice@192.0.2.10:5080"]);
    script.publish(PresenceStatus::Busy, Some("on a ladder"));
    script
}

fn share(script: &mut Script, addresses: &[&str]) {
    let addresses: Vec<_> = addresses.iter().map(|address| address.parse().unwrap()).collect();
    script.act(|core, now, out| core.set_peers(&addresses, now, out));
}

/// The credentials that answer a challenge, as a header line.
fn credentials(challenge: &Msg, user: &str, password: &str, uri: &str) -> String {
    let line = challenge.header("WWW-Authenticate");
    let params = params(line);
    let (realm, nonce) = (params["realm"], params["nonce"]);
    let algorithm = Algorithm::from_token(params["algorithm"]).unwrap();
    let ha1 = ha1(algorithm.hash, user, realm, password);
    let usage = Some(Use { qop: Qop::Auth, nc: 1, cnonce: "c" });
    let digest = Digest { algorithm, ha1: &ha1, nonce, usage, method: "SUBSCRIBE", uri, body: b"" };
    format!(
        "Authorization: Digest username=\"{user}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", \
         response=\"{}\", algorithm={}, cnonce=\"c\", qop=auth, nc=00000001\n",
        digest.response(),
        params["algorithm"]
    )
}

/// Sends a SUBSCRIBE, and returns how it was answered.
fn ask(script: &mut Script, ask: &Ask<'_>) -> Msg {
    script.send_from(ask.from, &ask.text());
    script.expect("SIP/2.0")
}

fn challenged(script: &mut Script, first: &Ask<'_>) -> Msg {
    let answer = ask(script, first);
    assert_eq!(answer.code(), Some(401), "{answer:?}");
    script.nothing();
    answer
}

/// Subscribes, answers the challenge as `user` with `password`, and returns what that was answered.
fn answered(script: &mut Script, first: &Ask<'_>, user: &str, password: &str) -> Msg {
    let challenge = challenged(script, first);
    let lines = credentials(&challenge, user, password, first.target);
    ask(script, &Ask { seq: first.seq + 1, lines: &lines, ..first.clone() })
}

fn watcher(script: &Script) -> Watcher {
    let watchers = script.core.watchers();
    assert_eq!(watchers.len(), 1, "{watchers:?}");
    watchers.into_iter().next().unwrap()
}

#[test]
fn aut_01_and_sec_02_a_peer_is_challenged_before_anything_is_kept_and_then_it_is_verified() {
    let mut script = bob();
    let first = Ask::default();
    let challenge = challenged(&mut script, &first);
    let lines: Vec<&str> = challenge.text.lines().filter(|line| line.starts_with("WWW-Authenticate")).collect();
    assert!(lines[0].contains("realm=\"bob@192.0.2.20\"") && lines[0].contains("SHA-512-256"), "{lines:?}");
    assert_eq!((lines.len(), script.core.served()), (3, (0, 0)));
    assert_eq!((script.core.watchers(), script.events.len()), (Vec::new(), 1), "the publication alone");

    let lines = credentials(&challenge, "alice@192.0.2.10", SECRET, first.target);
    let second = Ask { seq: 2, lines: &lines, ..first };
    let ok = ask(&mut script, &second);
    assert_eq!(ok.code(), Some(200), "{ok:?}");
    // SEC-01: the digest proves the address as well, so the first NOTIFY has the document.
    let notify = script.expect("NOTIFY");
    assert!(notify.body().contains("on a ladder"), "{notify:?}");
    script.answer(&notify, "200 OK");
    let known = watcher(&script);
    assert_eq!(
        (known.who.as_str(), known.grade, known.state),
        ("sip:alice@192.0.2.10", WatcherGrade::Verified, "active")
    );

    // A datagram that comes twice is the same transaction, and no replay.
    script.send_from(second.from, &second.text());
    let again = script.expect("SIP/2.0 200");
    assert_eq!(again.text, ok.text);
    // In the dialog our tag is proof enough.
    let refresh = second.again(&ok, 300);
    let refresh = Ask { lines: "", ..refresh };
    assert_eq!(ask(&mut script, &refresh).code(), Some(200));
    assert_eq!(watcher(&script).grade, WatcherGrade::Verified);
}

#[test]
fn sec_03_what_was_said_once_is_said_by_nobody_again() {
    let mut script = bob();
    let first = Ask::default();
    let challenge = challenged(&mut script, &first);
    let lines = credentials(&challenge, "alice@192.0.2.10", SECRET, first.target);
    assert_eq!(ask(&mut script, &Ask { seq: 2, lines: &lines, ..first.clone() }).code(), Some(200));
    script.take();
    let replay = Ask { call_id: "another".into(), lines: &lines, ..first };
    let refused = ask(&mut script, &replay);
    assert_eq!(refused.code(), Some(401));
    assert!(refused.header("WWW-Authenticate").ends_with("stale=true"), "{refused:?}");
    // Nor by another run.
    let saved = script.saved();
    let policy = script.core.policy().clone();
    script.restart(CoreConfig { policy, ..config("bob", BOB) }, &saved, false);
    share(&mut script, &["sip:alice@192.0.2.10:5080"]);
    script.take();
    assert_eq!(ask(&mut script, &Ask { call_id: "third".into(), ..replay }).code(), Some(401));
    assert_eq!(watcher(&script).grade, WatcherGrade::Verified, "who proved it before goes on");
}

#[test]
fn aut_18_a_wrong_secret_and_the_name_of_somebody_else_get_nothing() {
    let mut script = bob();
    let wrong = answered(&mut script, &Ask::default(), "alice@192.0.2.10", "guess");
    assert_eq!(wrong.code(), Some(401));
    assert!(!wrong.text.contains("stale"), "{wrong:?}");
    // Alice's secret with carol in From, and From alice with the user name in another form.
    let carol = Ask { user: "carol", call_id: "carol".into(), ..Ask::default() };
    let challenge = challenged(&mut script, &Ask { call_id: "x".into(), ..Ask::default() });
    let lines = credentials(&challenge, "alice@192.0.2.10", SECRET, carol.target);
    assert_eq!(ask(&mut script, &Ask { lines: &lines, ..carol }).code(), Some(403));
    let other = answered(&mut script, &Ask { call_id: "y".into(), ..Ask::default() }, "sip:alice@192.0.2.10", SECRET);
    assert_eq!(other.code(), Some(401));
    script.nothing();
    assert_eq!((script.core.watchers().len(), script.core.served()), (0, (0, 0)));
}

#[test]
fn pol_19_the_name_of_a_peer_out_of_any_address_gets_but_the_challenge() {
    let mut script = bob_with(policy(&[]));
    script.act(|core, now, out| core.set_policy(Policy::new(Action::Allow), now, out));
    let mallory: SocketAddr = MALLORY.parse().unwrap();
    let text = Ask { call_id: "m".into(), ..Ask::from(mallory) }.text().replace("@192.0.2.66>;tag", "@192.0.2.10>;tag");
    script.send_from(mallory, &text);
    assert_eq!(script.expect("SIP/2.0").code(), Some(401));
    script.advance(secs(60));
    script.nothing();
    assert!(script.core.watchers().is_empty());
}

#[test]
fn pol_19_a_proven_peer_that_moves_has_to_prove_itself_there() {
    let mut script = bob();
    let first = Ask::default();
    let ok = answered(&mut script, &first, "alice@192.0.2.10", SECRET);
    let notify = script.expect("NOTIFY");
    script.answer(&notify, "200 OK");
    let moved: SocketAddr = "192.0.2.11:5060".parse().unwrap();
    let refresh =
        Ask { from: moved, contact: format!("sip:alice@{moved}"), seq: 3, tag: ok.tag("To"), ..first.clone() };
    let text = |ask: &Ask<'_>| ask.text().replace("@192.0.2.11>;tag", "@192.0.2.10>;tag");
    script.send_from(moved, &text(&refresh));
    let challenge = script.expect("SIP/2.0");
    assert_eq!(challenge.code(), Some(401));
    let lines = credentials(&challenge, "alice@192.0.2.10", SECRET, refresh.target);
    let refresh = Ask { seq: 4, lines: &lines, ..refresh };
    script.send_from(moved, &text(&refresh));
    assert_eq!(script.expect("SIP/2.0").code(), Some(200));
    assert_eq!(script.expect("NOTIFY").to, moved);
    assert_eq!(watcher(&script).grade, WatcherGrade::Verified);
}

#[test]
fn pol_19_who_watched_by_its_address_has_to_prove_itself_once_a_secret_is_shared() {
    let mut script =
        Script::new(CoreConfig { policy: policy(&[("alice@192.0.2.10", Action::Allow)]), ..config("bob", BOB) });
    script.password = Some(SECRET);
    let ask_first = Ask::default();
    script.send(&ask_first.text());
    let ok = script.expect("SIP/2.0 200");
    script.take();
    assert_eq!(watcher(&script).grade, WatcherGrade::Address);
    share(&mut script, &["sip:alice@192.0.2.10"]);
    let refresh = ask_first.again(&ok, 300);
    let challenge = challenged(&mut script, &refresh);
    let lines = credentials(&challenge, "alice@192.0.2.10", SECRET, refresh.target);
    assert_eq!(ask(&mut script, &Ask { seq: 3, lines: &lines, ..refresh }).code(), Some(200));
    assert_eq!(watcher(&script).grade, WatcherGrade::Verified);
}

#[test]
fn a_secret_that_is_not_there_yet_lets_nobody_in_and_is_asked_for_again() {
    let mut script = Script::new(config("bob", BOB));
    share(&mut script, &["sip:alice@192.0.2.10"]);
    script.tell(Err("the file is not there"));
    for (after, asked) in [(0, 0), (31, 1)] {
        script.advance(secs(after));
        let first = Ask { call_id: format!("c{after}"), ..Ask::default() };
        let refused = answered(&mut script, &first, "alice@192.0.2.10", SECRET);
        assert_eq!((refused.code(), refused.header("Retry-After")), (Some(503), "5"));
        assert_eq!(script.asked.len(), asked);
    }
    script.tell(Ok(SECRET));
    let first = Ask { call_id: "last".into(), ..Ask::default() };
    assert_eq!(answered(&mut script, &first, "alice@192.0.2.10", SECRET).code(), Some(200));
}

#[test]
fn aut_19_who_hides_its_name_is_nobody_in_particular() {
    let rules = [("alice@192.0.2.10", Action::Allow), ("anonymous@anonymous.invalid", Action::Allow)];
    for (lines, from) in [
        ("Privacy: id\n", "sip:alice@192.0.2.10"),
        ("Privacy: header;USER ; critical\n", "sip:carol@192.0.2.10"),
        ("", "sip:anonymous@anonymous.invalid"),
        ("", "\"Anonymous\" <sip:anonymous@ANONYMOUS.invalid>"),
    ] {
        let mut script = bob_with(policy(&rules));
        let mut policy = script.core.policy().clone();
        policy.require = Require::Address;
        script.act(|core, now, out| core.set_policy(policy, now, out));
        let first = Ask { lines, ..Ask::default() };
        let from = if from.starts_with('"') { from.to_owned() } else { format!("<{from}>") };
        script.send(&first.text().replace("<sip:alice@192.0.2.10>;tag", &format!("{from};tag")));
        assert_eq!(script.expect("SIP/2.0").code(), Some(200), "{from}");
        let notify = script.expect("NOTIFY");
        assert!(notify.header("Subscription-State").starts_with("pending"), "{notify:?}");
        script.answer(&notify, "200 OK");
        let known = watcher(&script);
        let expected = ("sip:anonymous@anonymous.invalid", WatcherGrade::Claimed, "pending");
        assert_eq!((known.who.as_str(), known.grade, known.state), expected, "{from} {lines}");
        let saved = script.saved();
        let policy = script.core.policy().clone();
        script.restart(CoreConfig { policy, ..config("bob", BOB) }, &saved, true);
        assert_eq!(watcher(&script).who, "sip:anonymous@anonymous.invalid");
    }
}

#[test]
fn aut_17_a_stranger_asserts_nothing() {
    for line in ["P-Asserted-Identity: <sip:alice@192.0.2.10>\n", "P-Preferred-Identity: <sip:alice@192.0.2.10>\n"] {
        let mut script = bob();
        let first = Ask { user: "mallory", lines: line, ..Ask::default() };
        assert_eq!(ask(&mut script, &first).code(), Some(200));
        let notify = script.expect("NOTIFY");
        script.answer(&notify, "200 OK");
        let known = watcher(&script);
        assert_eq!((known.who.as_str(), known.state), ("sip:mallory@192.0.2.10", "pending"));
        assert_ne!(known.grade, WatcherGrade::Verified);
    }
}

#[test]
fn aut_05_a_weak_hash_that_is_forbidden_proves_nothing() {
    let mut script = Script::new(CoreConfig { auth_min: Hash::Sha256, ..config("bob", BOB) });
    script.password = Some(SECRET);
    share(&mut script, &["sip:alice@192.0.2.10"]);
    let challenge = challenged(&mut script, &Ask::default());
    assert!(!challenge.text.contains("algorithm=MD5"), "{challenge:?}");
}
