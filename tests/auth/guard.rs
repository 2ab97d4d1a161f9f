//! The server's side of digest: challenges, and what credentials are worth (AUT-01, AUT-05, AUT-08, AUT-09, AUT-11,
//! AUT-21, SEC-03).

use std::{net::IpAddr, time::Duration};

use rand::{SeedableRng as _, rngs::StdRng};
use sippresence::sip::{
    auth::{
        Algorithm, Digest, Hash, Qop, Secret, Use, ha1,
        server::{Asked, Checked, Guard, Stored, User},
    },
    codec::{Framing, decode},
    time::Instant,
};

const REALM: &str = "bob@192.0.2.20";
const ME: &str = "sip:bob@192.0.2.20";

/// A guard with alice as its only user.
struct Bench {
    guard: Guard,
    rng: StdRng,
    seconds: u64,
    stored: Stored,
    source: IpAddr,
}

/// What a client writes, right but for what is changed.
#[derive(Clone)]
struct Answer {
    user: &'static str,
    realm: &'static str,
    nonce: String,
    uri: &'static str,
    hash: Hash,
    nc: u32,
    password: &'static str,
    request_uri: &'static str,
}

impl Bench {
    fn new(min: Hash) -> Self {
        let mut rng = StdRng::seed_from_u64(3);
        let guard = Guard::new(REALM, min, at(0), &mut rng).unwrap();
        let stored = Stored::of_password("alice", REALM, &Secret::new("secret"));
        Self { guard, rng, seconds: 0, stored, source: "192.0.2.10".parse().unwrap() }
    }

    fn nonce(&mut self) -> String {
        let lines = self.guard.challenge(self.source, false, at(self.seconds), &mut self.rng);
        param(&lines[0], "nonce").to_owned()
    }

    fn answer(&mut self) -> Answer {
        Answer {
            user: "alice",
            realm: REALM,
            nonce: self.nonce(),
            uri: ME,
            hash: Hash::Sha256,
            nc: 1,
            password: "secret",
            request_uri: ME,
        }
    }

    fn check(&mut self, answer: &Answer) -> Checked {
        self.check_among(answer, |_| false)
    }

    fn check_among(&mut self, answer: &Answer, is_same: impl Fn(&str) -> bool) -> Checked {
        let text = answer.text();
        let message = decode(text.as_bytes(), Framing::Datagram).unwrap();
        let asked = Asked { message: &message, source: self.source, is_same: &is_same };
        let stored = &self.stored;
        let find = |user: &str| if user == "alice" { User::Known(stored) } else { User::Unknown };
        self.guard.check(asked, find, at(self.seconds), &mut self.rng)
    }
}

impl Answer {
    fn text(&self) -> String {
        let Self { user, realm, nonce, uri, hash, nc, password, request_uri } = self;
        let ha1 = ha1(*hash, user, realm, password);
        let digest = Digest {
            algorithm: Algorithm { hash: *hash, session: false },
            ha1: &ha1,
            nonce,
            usage: Some(Use { qop: Qop::Auth, nc: *nc, cnonce: "c" }),
            method: "SUBSCRIBE",
            uri,
            body: b"",
        };
        format!(
            "SUBSCRIBE {request_uri} SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nMax-Forwards: 70\r\n\
             From: <sip:alice@h>;tag=1\r\nTo: <{request_uri}>\r\nCall-ID: 1\r\nCSeq: 1 SUBSCRIBE\r\n\
             Authorization: Digest username=\"{user}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", \
             response=\"{}\", algorithm={}, cnonce=\"c\", qop=auth, nc={nc:08x}\r\nContent-Length: 0\r\n\r\n",
            digest.response(),
            hash.token(),
        )
    }
}

fn at(seconds: u64) -> Instant {
    Instant::from_origin(Duration::from_secs(5000 + seconds))
}

fn param<'a>(line: &'a str, name: &str) -> &'a str {
    let (_, rest) = line.split_once(&format!("{name}=\"")).unwrap();
    rest.split('"').next().unwrap()
}

fn proven() -> Checked {
    Checked::Proven("alice".into())
}

/// Whether it was challenged anew, and whether because the nonce was too old.
fn stale(checked: &Checked) -> Option<bool> {
    match checked {
        Checked::Challenged(lines) => Some(lines.iter().all(|line| line.ends_with(", stale=true"))),
        _ => None,
    }
}

#[test]
fn aut_05_each_algorithm_has_a_header_of_its_own_the_strongest_first_and_md5_can_be_switched_off() {
    let algorithms = |min| {
        let mut bench = Bench::new(min);
        let lines = bench.guard.challenge(bench.source, false, at(0), &mut bench.rng);
        for line in &lines {
            assert!(line.starts_with("Digest realm=\"bob@192.0.2.20\", nonce=\""), "{line}");
            assert!(line.ends_with(", qop=\"auth\"") && !line.contains("stale"), "{line}");
        }
        let of = |line: &String| line.split("algorithm=").nth(1).unwrap().split(',').next().unwrap().to_owned();
        lines.iter().map(of).collect::<Vec<_>>()
    };
    assert_eq!(algorithms(Hash::Md5), ["SHA-512-256", "SHA-256", "MD5"]);
    assert_eq!(algorithms(Hash::Sha256), ["SHA-512-256", "SHA-256"]);
    let mut old = Bench::new(Hash::Md5);
    old.guard = old.guard.asking_for_the_weakest();
    let lines = old.guard.challenge(old.source, false, at(0), &mut old.rng);
    assert!(lines.len() == 1 && lines[0].contains("algorithm=MD5"), "{lines:?}");
    for hash in Hash::ALL {
        let mut bench = Bench::new(Hash::Md5);
        let answer = Answer { hash, ..bench.answer() };
        assert_eq!(bench.check(&answer), proven(), "{hash:?}");
    }
    let mut strict = Bench::new(Hash::Sha256);
    let answer = Answer { hash: Hash::Md5, ..strict.answer() };
    assert_eq!(stale(&strict.check(&answer)), Some(false));
}

#[test]
fn aut_11_who_is_stored_by_some_hashes_alone_proves_himself_by_those() {
    let mut bench = Bench::new(Hash::Md5);
    bench.stored = Stored::of_hashes([(Hash::Sha256, ha1(Hash::Sha256, "alice", REALM, "secret").to_string())]);
    let answer = bench.answer();
    assert_eq!(bench.check(&answer), proven());
    let answer = Answer { hash: Hash::Md5, ..bench.answer() };
    assert_eq!(stale(&bench.check(&answer)), Some(false));
}

#[test]
fn aut_08_credentials_for_another_uri_realm_or_nonce_are_worth_nothing() {
    let mut bench = Bench::new(Hash::Md5);
    let lifted = Answer { uri: "sip:carol@192.0.2.30", ..bench.answer() };
    assert_eq!(bench.check(&lifted), Checked::Unfit);
    let rewritten = Answer { request_uri: "sip:bob@192.0.2.20:5070", ..bench.answer() };
    assert_eq!(bench.check(&rewritten), Checked::Unfit);
    assert_eq!(bench.check_among(&rewritten, |uri| uri == ME), proven());
    let foreign = Answer { realm: "elsewhere", ..bench.answer() };
    assert_eq!(stale(&bench.check(&foreign)), Some(false));
    let invented = Answer { nonce: "0".repeat(64), ..bench.answer() };
    assert_eq!(stale(&bench.check(&invented)), Some(true));
    let answer = bench.answer();
    bench.source = "192.0.2.11".parse().unwrap();
    assert_eq!(stale(&bench.check(&answer)), Some(true), "the nonce was another one's");
}

#[test]
fn aut_09_and_sec_03_an_answer_is_good_once_its_count_rises_and_after_five_minutes_it_is_stale() {
    let mut bench = Bench::new(Hash::Md5);
    let answer = bench.answer();
    assert_eq!(bench.check(&answer), proven());
    assert_eq!(stale(&bench.check(&answer)), Some(true), "a replay");
    assert_eq!(bench.check(&Answer { nc: 3, ..answer.clone() }), proven());
    assert_eq!(stale(&bench.check(&Answer { nc: 2, ..answer.clone() })), Some(true));
    bench.seconds = 299;
    assert_eq!(bench.check(&Answer { nc: 4, ..answer.clone() }), proven());
    bench.seconds = 300;
    assert_eq!(stale(&bench.check(&Answer { nc: 5, ..answer.clone() })), Some(true));

    // Another run knows nothing of it, and so takes it from nobody.
    let answer = Answer { nc: 1, ..bench.answer() };
    let mut after = Bench::new(Hash::Md5);
    after.rng = StdRng::seed_from_u64(4);
    after.guard = Guard::new(REALM, Hash::Md5, at(300), &mut after.rng).unwrap();
    after.seconds = 300;
    assert_eq!(stale(&after.check(&answer)), Some(true));
}

#[test]
fn aut_21_an_unknown_user_and_a_wrong_password_are_answered_alike() {
    let outcomes = |user: &'static str, password: &'static str| {
        let mut bench = Bench::new(Hash::Md5);
        let mut outcomes = Vec::new();
        for _ in 0..6 {
            let answer = Answer { user, password, ..bench.answer() };
            outcomes.push(match bench.check(&answer) {
                Checked::Challenged(lines) => {
                    let nonce = param(&lines[0], "nonce").to_owned();
                    lines.join("|").replace(&nonce, "NONCE")
                }
                other => format!("{other:?}"),
            });
        }
        outcomes
    };
    let wrong = outcomes("alice", "guess");
    assert_eq!(wrong, outcomes("nobody", "secret"));
    assert_eq!(wrong[3], "TooSoon(2)", "{wrong:?}");
}

#[test]
fn aut_21_who_guesses_waits_longer_and_longer_and_the_right_password_does_not_help_meanwhile() {
    let mut bench = Bench::new(Hash::Md5);
    let mut waits = Vec::new();
    while waits.len() < 6 {
        let answer = Answer { password: "guess", ..bench.answer() };
        if let Checked::TooSoon(seconds) = bench.check(&answer) {
            let right = bench.answer();
            assert!(matches!(bench.check(&right), Checked::TooSoon(_)));
            waits.push(seconds);
            bench.seconds += u64::from(seconds);
        }
    }
    assert_eq!(waits, [2, 3, 5, 9, 17, 33]);
    let answer = bench.answer();
    assert_eq!(bench.check(&answer), proven());
    // The user is free at once; who guessed from there is not.
    bench.source = "192.0.2.99".parse().unwrap();
    let wrong = Answer { password: "guess", ..bench.answer() };
    assert_eq!(stale(&bench.check(&wrong)), Some(false));
}

#[test]
fn aut_21_without_a_nonce_of_ours_nobody_fails_in_the_name_of_another() {
    let mut bench = Bench::new(Hash::Md5);
    for _ in 0..100 {
        let spoofed = Answer { nonce: "f".repeat(64), password: "guess", ..bench.answer() };
        assert_eq!(stale(&bench.check(&spoofed)), Some(true), "it is not said whether that was right");
    }
    let answer = bench.answer();
    assert_eq!(bench.check(&answer), proven());
}
