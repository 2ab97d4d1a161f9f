use std::collections::HashSet;

use rand::{SeedableRng as _, rngs::StdRng};

use super::*;
use crate::sip::codec::{Framing, decode};

mod limits;

const ALICE: &str = "sip:alice@example.test";
const BOB: &str = "sip:bob@example.test";

struct Bench {
    compositor: Compositor,
    rng: StdRng,
    seconds: u64,
}

impl Bench {
    fn new() -> Self {
        Self::with_room(10, 20_000)
    }

    fn with_room(max_of_one: usize, max_in_all: usize) -> Self {
        let package = EventPackage { name: "presence", content_type: "application/pidf+xml" };
        let config = CompositorConfig {
            package,
            min_expires: 60,
            max_expires: 7200,
            max_body: 32 * 1024,
            max_of_one,
            max_in_all,
        };
        Self { compositor: Compositor::new(config), rng: StdRng::seed_from_u64(1), seconds: 1000 }
    }

    fn now(&self) -> Instant {
        Instant::from_origin(Duration::from_secs(self.seconds))
    }

    fn wall(&self) -> Timestamp {
        Timestamp::from_second(1_772_000_000 + i64::try_from(self.seconds).unwrap()).unwrap()
    }

    fn examine(&self, resource: &str, lines: &str, body: &str) -> Result<Asked, Refusal> {
        let text = publish(lines, body);
        self.compositor.examine(&decode(text.as_bytes(), Framing::Datagram).unwrap(), resource, self.now())
    }

    fn publish(&mut self, resource: &str, lines: &str, body: &str) -> Result<Accepted, Refusal> {
        let asked = self.examine(resource, lines, body)?;
        assert_eq!(asked.has_document(), !body.is_empty());
        self.accept(&asked, body)
    }

    fn accept(&mut self, asked: &Asked, body: &str) -> Result<Accepted, Refusal> {
        let (now, wall) = (self.now(), self.wall());
        self.compositor.accept(asked, Bytes::copy_from_slice(body.as_bytes()), now, wall, &mut self.rng)
    }

    /// Publishes with what is usual.
    fn put(&mut self, resource: &str, tag: Option<&str>, expires: u32, body: &str) -> Result<Accepted, Refusal> {
        let tag = tag.map(|tag| format!("SIP-If-Match: {tag}\r\n")).unwrap_or_default();
        let content = if body.is_empty() { "" } else { "Content-Type: application/pidf+xml\r\n" };
        self.publish(resource, &format!("{PRESENCE}Expires: {expires}\r\n{tag}{content}"), body)
    }

    fn bodies(&self, resource: &str) -> Vec<String> {
        let text = |publication: Publication| String::from_utf8(publication.body.to_vec()).unwrap();
        self.compositor.publications(resource, self.now()).map(text).collect()
    }

    fn saved(&mut self) -> Vec<(PublicationKey, Option<SavedState>)> {
        let (now, wall) = (self.now(), self.wall());
        self.compositor.take_unsaved(now, wall).collect()
    }
}

const PRESENCE: &str = "Event: presence\r\n";

fn publish(lines: &str, body: &str) -> String {
    let to = if lines.contains("X-To-Tag") { ";tag=x" } else { "" };
    format!(
        "PUBLISH {ALICE} SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKp\r\nFrom: <{ALICE}>;tag=a\r\n\
         To: <{ALICE}>{to}\r\nCall-ID: c\r\nCSeq: 1 PUBLISH\r\n{lines}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn code(outcome: Result<impl std::fmt::Debug, Refusal>) -> (u16, Option<String>) {
    let refusal = outcome.unwrap_err();
    (refusal.code, refusal.header.map(|(name, value)| format!("{}: {value}", name.as_str())))
}

#[test]
fn esc_01_and_11_an_event_that_is_not_served_and_a_request_in_a_dialog_are_refused() {
    let bench = Bench::new();
    for lines in ["", "Event: dialog\r\n", "Event: presence.winfo\r\n", "Event: Presence\r\n"] {
        let refused = code(bench.examine(ALICE, lines, "x"));
        assert_eq!(refused, (489, Some("Allow-Events: presence, presence.winfo".into())), "{lines}");
    }
    assert_eq!(code(bench.examine(ALICE, "Event: presence\r\nX-To-Tag: y\r\n", "x")), (481, None));
}

#[test]
fn esc_03_only_a_tag_that_stands_for_this_resource_will_do() {
    let mut bench = Bench::new();
    let first = bench.put(ALICE, None, 100, "one").unwrap();
    let foreign = bench.put(BOB, None, 100, "two").unwrap();
    for tag in [foreign.etag.as_str(), "*", "aaaaaaaaaaaaaaaa", "\"quoted\"", ""] {
        assert_eq!(code(bench.put(ALICE, Some(tag), 100, "")), (412, None), "{tag}");
    }
    let (a, b) = (&first.etag, &foreign.etag);
    for lines in [format!("SIP-If-Match: {a}, {b}\r\n"), format!("SIP-If-Match: {a}\r\nSIP-If-Match: {a}\r\n")] {
        assert_eq!(code(bench.publish(ALICE, &format!("{PRESENCE}{lines}"), "")), (400, None), "{lines}");
    }
    // It ended, whether anybody has looked or not.
    bench.seconds += 100;
    assert_eq!(code(bench.put(ALICE, Some(&first.etag), 100, "")), (412, None));
}

#[test]
fn esc_04_expires_has_a_default_a_least_and_a_most() {
    let mut bench = Bench::new();
    let content = "Content-Type: application/pidf+xml\r\n";
    let expires = |bench: &mut Bench, line: &str| bench.publish(ALICE, &format!("{PRESENCE}{line}{content}"), "x");
    assert_eq!(expires(&mut bench, "").unwrap().expires, 3600);
    assert_eq!(code(expires(&mut bench, "Expires: 30\r\n")), (423, Some("Min-Expires: 60".into())));
    assert_eq!(expires(&mut bench, "Expires: 99999\r\n").unwrap().expires, 7200);
    assert_eq!(expires(&mut bench, "Expires: 60\r\n").unwrap().expires, 60);
    let nothing = expires(&mut bench, "Expires: 0\r\n").unwrap();
    assert_eq!((nothing.expires, nothing.change, bench.compositor.len()), (0, Change::Nothing, 3));
}

#[test]
fn esc_05_and_07_a_body_that_will_not_do_changes_nothing() {
    let mut bench = Bench::new();
    let first = bench.put(ALICE, None, 100, "one").unwrap();
    bench.saved();
    let refused = code(bench.publish(ALICE, &format!("{PRESENCE}Content-Type: text/plain\r\n"), "x"));
    assert_eq!(refused, (415, Some("Accept: application/pidf+xml".into())));
    assert_eq!(code(bench.publish(ALICE, PRESENCE, "no type")).0, 415);
    assert_eq!(code(bench.put(ALICE, None, 100, "")), (400, None));
    assert_eq!(code(bench.put(ALICE, Some("*"), 100, "two")), (412, None));
    assert_eq!(code(bench.put(ALICE, Some(&first.etag), 10, "two")).0, 423);
    assert_eq!(code(bench.put(ALICE, Some(&first.etag), 100, &"x".repeat(32 * 1024 + 1))), (413, None));
    // One whose document its user did not like is never accepted.
    drop(bench.examine(ALICE, &format!("{PRESENCE}Content-Type: application/pidf+xml\r\n"), "<broken"));
    assert_eq!((bench.bodies(ALICE), bench.compositor.len(), bench.saved().len()), (vec!["one".into()], 1, 0));
    assert_eq!(bench.put(ALICE, Some(&first.etag), 100, "").unwrap().change, Change::Refreshed);
}

#[test]
fn esc_06_each_success_has_a_tag_that_was_never_used() {
    let mut bench = Bench::new();
    let mut tags = HashSet::new();
    let mut tag = bench.put(ALICE, None, 3600, "x").unwrap().etag;
    for n in 0..10_000 {
        bench.seconds += 1;
        let body = if n % 2 == 0 { "" } else { "y" };
        tag = bench.put(ALICE, Some(&tag), 3600, body).unwrap().etag;
        assert!(tag.len() >= 16 && tags.insert(tag.clone()));
    }
    assert_eq!(bench.compositor.by_tag.len(), 1, "what is dead is not kept");
}

#[test]
fn esc_08_refresh_modify_and_remove() {
    let mut bench = Bench::new();
    let first = bench.put(ALICE, None, 100, "one").unwrap();
    let arrival = |bench: &Bench| bench.compositor.publications(ALICE, bench.now()).next().unwrap().arrival;
    let before = arrival(&bench);
    bench.seconds += 90;
    let second = bench.put(ALICE, Some(&first.etag), 100, "").unwrap();
    assert_eq!((second.change, second.key, arrival(&bench)), (Change::Refreshed, first.key, before));
    bench.seconds += 90;
    assert!(bench.compositor.tick(bench.now()).is_empty(), "it was moved");
    // Two devices that know the same tag: one wins.
    let asked = |bench: &Bench| {
        let lines = format!("{PRESENCE}SIP-If-Match: {}\r\nContent-Type: application/pidf+xml\r\n", second.etag);
        bench.examine(ALICE, &lines, "x").unwrap()
    };
    let (one, other) = (asked(&bench), asked(&bench));
    let third = bench.accept(&one, "mine").unwrap();
    let refused = bench.accept(&other, "yours");
    assert_eq!(
        (third.change, code(refused), bench.bodies(ALICE)),
        (Change::Replaced, (412, None), vec!["mine".into()])
    );
    assert!(arrival(&bench) > before);
    let last = bench.put(ALICE, Some(&third.etag), 0, "").unwrap();
    assert_eq!((last.change, last.expires, bench.compositor.len()), (Change::Removed, 0, 0));
    assert_eq!(code(bench.put(ALICE, Some(&last.etag), 100, "x")), (412, None));
}

#[test]
fn esc_09_and_14_each_publisher_s_state_ends_by_itself() {
    let mut bench = Bench::new();
    let phone = bench.put(ALICE, None, 100, "phone").unwrap();
    bench.put(ALICE, None, 200, "laptop").unwrap();
    bench.put(BOB, None, 300, "bob").unwrap();
    assert_eq!(bench.bodies(ALICE), ["phone", "laptop"]);
    bench.put(ALICE, Some(&phone.etag), 0, "").unwrap();
    assert_eq!(bench.bodies(ALICE), ["laptop"]);
    assert_eq!(bench.compositor.deadline(), Some(bench.now() + Duration::from_secs(200)));
    bench.seconds += 199;
    assert!(bench.compositor.tick(bench.now()).is_empty());
    bench.seconds += 1;
    assert_eq!(bench.compositor.tick(bench.now()), [ALICE.into()]);
    bench.seconds += 1000;
    assert_eq!(bench.compositor.tick(bench.now()), [BOB.into()]);
    assert!(bench.compositor.is_empty() && bench.compositor.deadline().is_none());
    bench.put(BOB, None, 100, "x").unwrap();
    assert!(bench.compositor.idle.is_empty() && bench.compositor.resources.len() == 1, "who is gone is forgotten");
}

#[test]
fn esc_13_what_was_saved_goes_on_under_the_same_tag() {
    let mut bench = Bench::new();
    let stays = bench.put(ALICE, None, 1000, "one").unwrap();
    let changed = bench.put(ALICE, None, 1000, "two").unwrap();
    let ends = bench.put(BOB, None, 100, "three").unwrap();
    let mut kept: BTreeMap<PublicationKey, SavedState> = BTreeMap::new();
    let mut keep = |bench: &mut Bench| {
        for (key, state) in bench.saved() {
            match state {
                Some(state) => kept.insert(key, state),
                None => kept.remove(&key),
            };
        }
        kept.clone()
    };
    assert_eq!(keep(&mut bench).len(), 3);
    bench.seconds += 50;
    let changed = bench.put(ALICE, Some(&changed.etag), 1000, "two and a half").unwrap();
    assert_eq!(keep(&mut bench).len(), 3);
    assert!(bench.saved().is_empty(), "nothing happened since");

    let mut after = Bench::new();
    after.seconds = bench.seconds + 100;
    let (now, wall) = (after.now(), after.wall());
    let restored: Vec<bool> =
        keep(&mut bench).into_values().map(|state| after.compositor.restore(state, now, wall)).collect();
    assert_eq!(restored.iter().filter(|restored| **restored).count(), 2, "{ends:?} is over");
    assert_eq!(after.bodies(BOB), [""; 0]);
    let publications: Vec<Publication> = after.compositor.publications(ALICE, now).collect();
    assert_eq!(
        publications.iter().map(|known| known.key).collect::<HashSet<_>>(),
        HashSet::from([stays.key, changed.key])
    );
    assert_eq!(code(after.put(ALICE, Some(&ends.etag), 100, "")), (412, None));
    let again = after.put(ALICE, Some(&changed.etag), 1000, "three").unwrap();
    assert_eq!((again.key, again.change), (changed.key, Change::Replaced));
    let youngest = after.compositor.publications(ALICE, now).max_by_key(|known| known.arrival).unwrap();
    assert_eq!(youngest.key, changed.key, "numbers go on where they were");
    // What cannot be ours is none.
    let state = SavedState { etag: "odd".into(), ..kept.into_values().next().unwrap() };
    assert!(!after.compositor.restore(state, now, wall));
}

#[test]
fn esc_13_no_more_is_restored_than_there_is_room_for_and_nothing_twice() {
    let mut bench = Bench::new();
    for resource in [ALICE, ALICE, BOB, BOB] {
        bench.put(resource, None, 1000, "x").unwrap();
    }
    let saved: Vec<SavedState> = bench.saved().into_iter().filter_map(|(_, state)| state).collect();
    let (now, wall) = (bench.now(), bench.wall());
    let restored = |of_one, in_all| {
        let mut after = Bench::with_room(of_one, in_all);
        for state in &saved {
            after.compositor.restore(state.clone(), now, wall);
        }
        after.compositor.len()
    };
    assert_eq!((restored(2, 4), restored(1, 4), restored(2, 3)), (4, 2, 3));
    // A key or a tag that somebody has is nobody else's.
    let mut after = Bench::new();
    assert!(after.compositor.restore(saved[0].clone(), now, wall));
    let same_key =
        SavedState { resource: "sip:carol@example.test".into(), key: saved[0].key.clone(), ..saved[1].clone() };
    let same_tag = SavedState { etag: saved[0].etag.clone(), ..saved[1].clone() };
    assert!(!after.compositor.restore(same_key, now, wall) && !after.compositor.restore(same_tag, now, wall));
    assert!(after.compositor.restore(saved[1].clone(), now, wall));
    // It is free again with the publication that had it.
    after.put(&saved[0].resource, Some(&saved[0].etag), 0, "").unwrap();
    assert!(after.compositor.restore(saved[0].clone(), now, wall));
}

#[test]
fn esc_07_what_cannot_be_kept_is_undone_the_last_change_first() {
    let mut bench = Bench::new();
    bench.compositor = bench.compositor.with_journal();
    let first = bench.put(ALICE, None, 3600, "one").unwrap();
    bench.compositor.take_journal();
    let second = bench.put(ALICE, Some(&first.etag), 3600, "two").unwrap();
    bench.put(ALICE, Some(&second.etag), 0, "").unwrap();
    bench.put(ALICE, None, 3600, "another").unwrap();
    let journal = bench.compositor.take_journal();
    assert_eq!(journal.len(), 3);
    let now = bench.now();
    for before in journal.into_iter().rev() {
        assert_eq!(before.resource(), ALICE);
        bench.compositor.undo(before, now);
    }
    assert_eq!(bench.bodies(ALICE), ["one"]);
    assert_eq!(bench.put(ALICE, Some(&second.etag), 3600, "").unwrap_err().code, 412);
    assert_eq!(bench.put(ALICE, Some(&first.etag), 3600, "").unwrap().key, first.key);
}
