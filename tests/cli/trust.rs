//! Keys of peers without an authority: refused with the line that accepts them, kept, refused when they change (TRN-21).

use std::{fs, os::unix::fs::PermissionsExt as _};

use crate::support::Home;

/// The address at which an agent is reached by TLS.
fn by_tls(home: &Home) -> String {
    let me: serde_json::Value = serde_json::from_str(&home.run(&["me", "--json"]).out).unwrap();
    let addresses = me["addresses"].as_array().unwrap();
    addresses.iter().filter_map(|at| at.as_str()).find(|at| at.ends_with(";transport=tls")).unwrap().to_owned()
}

#[test]
fn trn_21_a_key_is_accepted_once_by_the_line_that_the_refusal_gives_and_a_change_is_refused() {
    let (alice, bob) = (Home::new("alice"), Home::new("bob"));
    fs::write(alice.path("config/sippresence/policy.toml"), "default = \"allow\"\n").unwrap();
    alice.run(&["set", "busy", "--note", "by key"]);
    let target = by_tls(&alice);
    let key_file = alice.path("state/sippresence/tls-key.pem");
    assert_eq!(fs::metadata(&key_file).unwrap().permissions().mode() & 0o777, 0o600);
    let own = alice.run(&["trust"]).err.lines().next().unwrap().replace("your own key is ", "");

    let show = bob.run(&["show", &target]);
    assert!(show.code == 7 && show.out.contains("failed: untrusted"), "{show:?}");
    let at = show.out.find("sippresence trust accept ").unwrap_or_else(|| panic!("{show:?}"));
    let words: Vec<&str> = show.out[at..].split_whitespace().skip(1).take(4).collect();
    let line = words.join(" ");
    assert!(line.trim_end_matches([']', ')']).ends_with(&own), "{line}: {own}");
    let accept: Vec<&str> = words.iter().map(|word| word.trim_end_matches([']', ')'])).collect();
    let accepted = bob.run(&accept);
    assert_eq!((accepted.code, accepted.err.as_str()), (0, &*format!("sip:alice@127.0.0.1 is trusted by {own}\n")));
    let show = bob.run(&["show", &target]);
    assert!(show.code == 0 && show.out.contains("\tbusy: by key"), "{show:?}");

    assert_eq!(bob.run(&["trust", "list"]).out, format!("sip:alice@127.0.0.1\t{own}\n"));
    let json = format!("{{\"presentity\":\"sip:alice@127.0.0.1\",\"key\":\"{own}\"}}\n");
    assert_eq!(bob.run(&["trust", "--json"]).out, json);
    let kept = bob.path("state/sippresence/trusted-keys");
    assert_eq!(fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);

    // The key outlives the agent.
    alice.run(&["agent", "restart"]);
    assert_eq!(bob.run(&["show", &by_tls(&alice)]).code, 0);
    fs::remove_file(&key_file).unwrap();
    alice.run(&["agent", "restart"]);
    let show = bob.run(&["show", &by_tls(&alice)]);
    assert!(show.code == 7 && show.out.contains(&format!("and was {own}")), "{show:?}");

    assert_eq!(
        bob.run(&["trust", "forget", "alice@127.0.0.1"]).err,
        "sip:alice@127.0.0.1 is trusted by no key any more\n"
    );
    assert_eq!(bob.run(&["trust"]).err, "no key of a peer is trusted\n");
    alice.run(&["agent", "stop"]);
}

#[test]
fn for_whom_no_key_can_be_kept_it_is_said_why() {
    let home = Home::new("alice");
    let key = format!("SHA256:{}", "a".repeat(64));
    for (who, key, words) in [
        ("sips:bob@192.0.2.2", key.as_str(), "for sips: an authority has to vouch"),
        ("bob@example.com", &key, "an authority vouches for others"),
        ("bob@192.0.2.2", "SHA256:00", "a fingerprint is SHA256: and 64 hexadecimal digits"),
        ("bob@", &key, "no host"),
    ] {
        let accept = home.run(&["trust", "accept", who, key]);
        assert!(accept.code == 2 && accept.err.contains(words), "{accept:?}");
    }
}

#[test]
fn a_file_of_authorities_that_is_none_is_told_before_it_is_needed() {
    let home = Home::new("alice");
    let file = home.path("ca.pem");
    fs::write(&file, "no certificate").unwrap();
    home.config(&format!("[tls]\nca_file = \"{}\"\n", file.display()));
    let words = format!("cannot read certificates from {}: there is none in it", file.display());
    for args in [&["config", "check"][..], &["show", "bob@127.0.0.1"]] {
        let run = home.run(args);
        assert!(run.code == 2 && run.err.contains(&words), "{run:?}");
    }
    let set = home.run(&["set", "busy"]);
    assert!(set.code == 2 && set.err.contains(&words), "{set:?}");
}
