//! Who gets the password and who does not: AUT-12, AUT-13.

use sippresence::{
    presence::core::{Key, Subscribing},
    sip::auth::{Credentials, Hash},
};

use crate::{
    CHALLENGE, PASSWORD, alice, challenged, last, params,
    world::{ALICE, Script, config, credentials},
};

fn alice_with(credentials: Credentials) -> Script {
    let mut config = config("alice", ALICE);
    config.credentials = Some(credentials);
    let mut script = Script::new(config);
    script.password = Some(PASSWORD);
    script
}

/// Has the first SUBSCRIBE challenged; nothing may follow. Returns the words that say why.
fn refused(script: &mut Script, target: &str, lines: &str) -> String {
    let uri = target.parse().unwrap();
    let id = script.act(|core, now, out| core.watch(uri, target, Subscribing::Once, now, out));
    let first = script.expect("SUBSCRIBE");
    assert_eq!(first.get("Authorization"), None);
    script.answer_with(&first, "401 Unauthorized", lines);
    script.nothing();
    assert!(script.asked.is_empty());
    let (code, reason) = last(&script.state(id));
    assert_eq!(code, "401");
    reason
}

#[test]
fn aut_12_the_first_realm_of_our_own_server_is_taken_and_told() {
    let mut script = alice();
    assert_eq!(script.core.realm(), None);
    let (_, _, second) = challenged(&mut script, &CHALLENGE.replace("example.com", "asterisk"));
    assert_eq!(params(second.header("Authorization"))["realm"], "asterisk");
    assert_eq!(script.core.realm(), Some("asterisk"));
    assert!(script.changed.contains(&Key::Saved), "it is to be kept");
    let reason = refused(&mut script, "sip:carol@192.0.2.20:5070", CHALLENGE);
    assert!(reason.contains("realm \"example.com\"") && reason.contains("\"asterisk\""), "{reason}");
    assert!(reason.contains("`realm`"), "{reason}");
}

#[test]
fn aut_12_a_realm_that_was_kept_or_configured_is_the_only_one() {
    let mut script = alice_with(Credentials { realm: Some("example.com".into()), ..credentials() });
    script.changed.clear();
    let reason = refused(&mut script, "sip:bob@192.0.2.20", &CHALLENGE.replace("example.com", "asterisk"));
    assert!(reason.contains("\"asterisk\""), "{reason}");
    let (_, _, second) = challenged(&mut script, CHALLENGE);
    assert!(second.get("Authorization").is_some());
    assert!(!script.changed.contains(&Key::Saved), "nothing was found");
}

#[test]
fn aut_12_of_several_realms_the_account_s_own_is_answered() {
    let mut script = alice_with(Credentials { realm: Some("example.com".into()), ..credentials() });
    let lines = format!("{}{CHALLENGE}", CHALLENGE.replace("example.com", "other"));
    let (_, _, second) = challenged(&mut script, &lines);
    assert_eq!(params(second.header("Authorization"))["realm"], "example.com");
}

#[test]
fn aut_12_another_host_gets_nothing_whatever_it_calls_its_realm() {
    for realm in [None, Some("example.com".into())] {
        let mut script = alice_with(Credentials { realm, ..credentials() });
        let reason = refused(&mut script, "sip:mallory@192.0.2.66", CHALLENGE);
        assert!(reason.contains("192.0.2.66") && reason.contains("\"example.com\""), "{reason}");
        assert!(reason.contains("`outbound_proxy`"), "{reason}");
    }
}

#[test]
fn aut_12_the_words_of_a_stranger_are_written_so_that_they_do_nothing() {
    let mut script = alice();
    let reason = refused(&mut script, "sip:mallory@192.0.2.66", &CHALLENGE.replace("example.com", "\u{202e}evil"));
    assert!(!reason.contains('\u{202e}'), "{reason}");
}

#[test]
fn aut_13_md5_alone_is_refused_where_sha_256_is_the_least() {
    let strict = || alice_with(Credentials { min: Hash::Sha256, ..credentials() });
    let md5 = CHALLENGE.replace("SHA-256", "MD5");
    for lines in [&md5, "WWW-Authenticate: Digest realm=\"example.com\", nonce=\"n1\"\n"] {
        let reason = refused(&mut strict(), "sip:bob@192.0.2.20", lines);
        assert!(reason.contains("auth.min"), "{reason}");
    }
    let (_, _, second) = challenged(&mut strict(), &format!("{md5}{CHALLENGE}"));
    assert_eq!(params(second.header("Authorization"))["algorithm"], "SHA-256");
}
