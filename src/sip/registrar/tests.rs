use std::{collections::BTreeMap, fmt, time::Duration};

use proptest::prelude::*;
use rand::SeedableRng as _;

use super::*;
use crate::sip::{
    codec::{Framing, decode},
    header::NameAddr,
};

const ALICE: &str = "sip:alice@example.test";
const BOB: &str = "sip:bob@example.test";
const SOURCE: &str = "192.0.2.1:5060";

struct Bench {
    registrar: Registrar,
    rng: StdRng,
    seconds: u64,
    seq: u32,
}

impl Bench {
    fn new() -> Self {
        Self::with(10, 20_000)
    }

    fn with(max_of_one: usize, max_in_all: usize) -> Self {
        let config =
            RegistrarConfig { min_expires: 60, max_expires: 7200, default_expires: 3600, max_of_one, max_in_all };
        Self { registrar: Registrar::new(config), rng: StdRng::seed_from_u64(1), seconds: 1000, seq: 0 }
    }

    fn now(&self) -> Instant {
        Instant::from_origin(Duration::from_secs(self.seconds))
    }

    fn wall(&self) -> Timestamp {
        Timestamp::from_second(1_772_000_000 + i64::try_from(self.seconds).unwrap()).unwrap()
    }

    /// Hands in a REGISTER with these lines as the next of one device; returns the values of Contact in the 200.
    fn register(&mut self, lines: &str) -> Result<Vec<String>, Refusal> {
        self.seq += 1;
        let seq = self.seq;
        self.register_as(ALICE, "c", seq, lines)
    }

    fn register_as(&mut self, address: &str, call_id: &str, seq: u32, lines: &str) -> Result<Vec<String>, Refusal> {
        let text = format!(
            "REGISTER sip:example.test SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKr\r\n\
             From: <{address}>;tag=a\r\nTo: <{address}>\r\nCall-ID: {call_id}\r\nCSeq: {seq} REGISTER\r\n\
             {lines}Content-Length: 0\r\n\r\n"
        );
        let message = decode(text.as_bytes(), Framing::Datagram).unwrap();
        let (source, now, wall) = (SOURCE.parse().unwrap(), self.now(), self.wall());
        let bound = self.registrar.register(&message, address, source, now, wall, &mut self.rng)?;
        Ok(bound.iter().map(Bound::to_string).collect())
    }

    fn bindings(&self, address: &str) -> Vec<String> {
        self.registrar.bindings(address, self.now()).map(|bound| bound.to_string()).collect()
    }

    fn keys(&self, address: &str) -> Vec<BindingKey> {
        self.registrar.bindings(address, self.now()).map(|bound| bound.key).collect()
    }

    fn saved(&mut self) -> Vec<(BindingKey, Option<SavedBinding>)> {
        let (now, wall) = (self.now(), self.wall());
        self.registrar.take_unsaved(now, wall)
    }
}

fn code(outcome: Result<impl fmt::Debug, Refusal>) -> (u16, Option<String>) {
    let refusal = outcome.unwrap_err();
    (refusal.code, refusal.header.map(|(name, value)| format!("{}: {value}", name.as_str())))
}

#[test]
fn esc_16_bindings_are_made_asked_for_refreshed_and_removed() {
    let mut bench = Bench::new();
    assert_eq!(bench.register("").unwrap(), [""; 0], "nobody is there");
    let made =
        bench.register("Contact: \"Al, the \\\"best\\\"\" <sip:alice@192.0.2.1;transport=tcp>;q=0.70\r\n").unwrap();
    assert_eq!(made, ["<sip:alice@192.0.2.1;transport=tcp>;expires=3600;q=0.7"]);
    let (key, since) = (bench.keys(ALICE), bench.wall());
    bench.seconds += 100;
    assert_eq!(bench.register("Expires: 0\r\n").unwrap(), ["<sip:alice@192.0.2.1;transport=tcp>;expires=3500;q=0.7"]);
    let refreshed =
        bench.register("m: sip:alice@192.0.2.1;transport=tcp\r\nm: <sip:alice@192.0.2.1;Transport=TCP>\r\n");
    assert_eq!(
        refreshed.unwrap(),
        ["<sip:alice@192.0.2.1>;expires=3600", "<sip:alice@192.0.2.1;Transport=TCP>;expires=3600"],
        "without brackets the parameters are the header's"
    );
    let bound: Vec<Bound> = bench.registrar.bindings(ALICE, bench.now()).collect();
    assert_eq!((bound[1].key, bound[1].since, bound[1].q), (key[0], since, None));
    assert_eq!((bound[0].since, bound[0].source), (bench.wall(), SOURCE.parse().unwrap()));
    assert_eq!((bench.registrar.len(), bench.bindings(BOB).len()), (2, 0));
    let left =
        bench.register("Contact: <sip:alice@192.0.2.1>;expires=0, <sip:nobody@192.0.2.1>;expires=0\r\n").unwrap();
    assert_eq!(left, ["<sip:alice@192.0.2.1;Transport=TCP>;expires=3600"]);
    assert_eq!(bench.register("Contact: *\r\nExpires: 0\r\n").unwrap(), [""; 0]);
    assert!(bench.registrar.is_empty() && bench.registrar.deadline().is_none() && bench.registrar.resources.is_empty());
    assert_eq!(bench.register("Contact: *\r\nExpires: 0\r\n").unwrap(), [""; 0]);
}

#[test]
fn esc_16_expires_of_the_contact_goes_before_the_header_and_that_before_the_default() {
    let mut bench = Bench::new();
    for (lines, expected) in [
        ("Contact: <sip:a@h>;expires=100\r\nExpires: 200\r\n", 100),
        ("Contact: <sip:a@h>\r\nExpires: 200\r\n", 200),
        ("Contact: <sip:a@h>\r\n", 3600),
        ("Contact: <sip:a@h>;expires=99999999999\r\n", 7200),
        ("Contact: <sip:a@h>;EXPIRES=60\r\n", 60),
        ("Contact: <sip:a@h>;expires=soon\r\nExpires: 200\r\n", 3600),
        ("Contact: <sip:a@h>\r\nExpires: -1\r\n", 3600),
    ] {
        assert_eq!(bench.register(lines).unwrap(), [format!("<sip:a@h>;expires={expected}")], "{lines}");
    }
    for lines in ["Contact: <sip:a@h>;expires=59\r\n", "Contact: <sip:b@h>;expires=90, <sip:a@h>\r\nExpires: 1\r\n"] {
        assert_eq!(code(bench.register(lines)), (423, Some("Min-Expires: 60".into())), "{lines}");
    }
    assert_eq!(bench.bindings(ALICE).len(), 1);
    // §10.3, step 7: an hour is never too short.
    bench.registrar.config.min_expires = 7000;
    assert_eq!(code(bench.register("Contact: <sip:a@h>;expires=3599\r\n")), (423, Some("Min-Expires: 7000".into())));
    assert_eq!(bench.register("Contact: <sip:a@h>;expires=3600\r\n").unwrap(), ["<sip:a@h>;expires=3600"]);
}

#[test]
fn esc_16_a_star_stands_alone_and_with_expires_0() {
    let mut bench = Bench::new();
    bench.register("Contact: <sip:a@h>, <sip:b@h>\r\n").unwrap();
    for lines in [
        "Contact: *\r\n",
        "Contact: *\r\nExpires: 60\r\n",
        "Contact: *\r\nExpires: nothing\r\n",
        "Contact: *;expires=0\r\n",
        "Contact: <*>\r\nExpires: 0\r\n",
        "Contact: *, <sip:a@h>\r\nExpires: 0\r\n",
        "Contact: *, *\r\nExpires: 0\r\n",
        "Contact: <sip:a@h>\r\nContact: *\r\nExpires: 0\r\n",
    ] {
        assert_eq!(code(bench.register(lines)), (400, None), "{lines}");
    }
    assert_eq!(bench.bindings(ALICE).len(), 2);
    assert_eq!(code(bench.register_as(ALICE, "c", 1, "Contact: *\r\nExpires: 0\r\n")), (500, None), "it is old");
    bench.register_as(BOB, "b", 1, "Contact: <sip:b@h>\r\n").unwrap();
    bench.register_as(ALICE, "other", 1, "Contact: *\r\nExpires: 0\r\n").unwrap();
    assert_eq!((bench.bindings(ALICE).len(), bench.bindings(BOB).len()), (0, 1));
}

#[test]
fn esc_16_a_request_that_comes_too_late_changes_nothing() {
    let mut bench = Bench::new();
    bench.register_as(ALICE, "one", 5, "Contact: <sip:a@h>;q=0.1\r\n").unwrap();
    bench.register_as(ALICE, "two", 5, "Contact: <sip:b@h>\r\n").unwrap();
    let before = bench.bindings(ALICE);
    bench.saved();
    for seq in [4, 5] {
        let lines = "Contact: <sip:c@h>, <sip:b@h>;expires=0, <sip:A@H>, <sip:a@h>;q=0.2\r\n";
        assert_eq!(code(bench.register_as(ALICE, "one", seq, lines)), (500, None));
        assert_eq!(code(bench.register_as(ALICE, "one", seq, "Contact: <sip:a@h>;expires=0\r\n")), (500, None));
    }
    assert_eq!((bench.bindings(ALICE), bench.saved().len()), (before, 0));
    // What it does not touch is not asked, nor is what has ended.
    bench.register_as(ALICE, "one", 4, "Contact: <sip:b@h>;expires=0\r\n").unwrap();
    assert_eq!(bench.bindings(ALICE), ["<sip:a@h>;expires=3600;q=0.1"]);
    bench.register_as(ALICE, "three", 1, "Contact: <sip:a@h>;expires=90\r\n").unwrap();
    bench.seconds += 90;
    bench.register_as(ALICE, "three", 1, "Contact: <sip:a@h>;expires=90\r\n").unwrap();
    assert_eq!((bench.bindings(ALICE).len(), bench.registrar.len()), (1, 1));
}

#[test]
fn esc_16_contacts_are_compared_as_uris() {
    let mut bench = Bench::new();
    let contact = |bench: &mut Bench, uri: &str| bench.register(&format!("Contact: <{uri}>\r\n")).unwrap().len();
    assert_eq!(contact(&mut bench, "sip:%61lice@H.example;x=1;y=2"), 1);
    assert_eq!(contact(&mut bench, "SIP:alice@h.EXAMPLE;y=2"), 1);
    assert_eq!(bench.bindings(ALICE), ["<SIP:alice@h.EXAMPLE;y=2>;expires=3600"]);
    assert_eq!(contact(&mut bench, "sip:Alice@h.example"), 2);
    assert_eq!(contact(&mut bench, "sip:alice@h.example:5060"), 3);
    assert_eq!(contact(&mut bench, "sips:alice@h.example"), 4);
    assert_eq!(contact(&mut bench, "sip:alice@h.example;transport=udp"), 5);
    assert_eq!(contact(&mut bench, "sip:alice@[2001:db8::1]"), 6);
    assert_eq!(contact(&mut bench, "sip:alice@[2001:DB8:0::1]"), 6);
    // Twice the same in one request: the last counts.
    bench.register("Contact: *\r\nExpires: 0\r\n").unwrap();
    let lines = "Contact: <sip:a@h>;expires=100, <sip:b@h>, <sip:a@H>;expires=200, <sip:b@h>;expires=0\r\n";
    assert_eq!(bench.register(lines).unwrap(), ["<sip:a@H>;expires=200"]);
}

#[test]
fn esc_16_a_device_that_moved_replaces_its_flow() {
    let mut bench = Bench::new();
    let (phone, laptop) = ("\"<urn:uuid:00000000-0000-1000-8000-000a95a0e128>\"", "\"<urn:uuid:f81d4fae-7dec>\"");
    let line =
        |host: &str, instance: &str, rest: &str| format!("Contact: <sip:a@{host}>;+sip.instance={instance}{rest}\r\n");
    bench.register(&line("192.0.2.1", phone, ";reg-id=1")).unwrap();
    let key = bench.keys(ALICE);
    bench.register_as(ALICE, "after-a-start", 1, &line("192.0.2.9", phone, ";reg-id=1;expires=70")).unwrap();
    assert_eq!(bench.bindings(ALICE), [format!("<sip:a@192.0.2.9>;expires=70;+sip.instance={phone};reg-id=1")]);
    assert_eq!(bench.keys(ALICE), key);
    // Another flow or another device with the same URI is another binding.
    assert_eq!(bench.register(&line("192.0.2.9", phone, ";reg-id=2")).unwrap().len(), 2);
    assert_eq!(bench.register(&line("192.0.2.9", laptop, ";reg-id=1")).unwrap().len(), 3);
    // Without a flow the URI alone tells.
    assert_eq!(bench.register(&line("192.0.2.7", phone, "")).unwrap().len(), 4);
    assert_eq!(bench.register(&line("192.0.2.8", phone, "")).unwrap().len(), 5);
    let bare = bench.register("Contact: <sip:a@192.0.2.9>;reg-id=1\r\n").unwrap();
    assert_eq!((bare.len(), bare[2].as_str()), (3, "<sip:a@192.0.2.9>;expires=3600"));
    // One that registered before it knew of flows is not there twice; two flows cannot both be it.
    let both = format!("{}{}", line("192.0.2.9", phone, ";reg-id=1"), line("192.0.2.9", phone, ";reg-id=2"));
    assert_eq!(bench.register(&both).unwrap().len(), 4);
    assert_eq!((bench.registrar.len(), bench.registrar.by_key.len(), bench.registrar.timers.len()), (4, 4, 4));
}

#[test]
fn esc_16_what_cannot_be_a_contact_is_refused_whole() {
    let mut bench = Bench::new();
    let (long, host) = ("x".repeat(1100), "h.".repeat(550));
    let bad = [
        "",
        ",",
        "garbage",
        "<>",
        "<sip:>",
        "<sip:a@h",
        "sip:a@h>",
        "tel:+1",
        "<mailto:a@h>",
        "<pres:a@h>",
        "<http://h/>",
        "\"open <sip:a@h>",
        "<sip:a b@h>",
        "<sip:a@h>;",
        "<sip:a@h>;q=2",
        "<sip:a@h>;q=1.001",
        "<sip:a@h>;q=0.1234",
        "<sip:a@h>;q=-0.1",
        "<sip:a@h>;q=0.+1",
        "<sip:a@h>;q=.5",
        "<sip:a@h>;q",
        "<sip:a@h>;+sip.instance",
        "<sip:a@h>;+sip.instance=urn",
        "<sip:a@h>;+sip.instance=\"\"",
        "<sip:a@h>;+sip.instance=\"a\r\n b\"",
        "<sip:a@h>;+sip.instance=\"\\\"\"",
        "<sip:a@h>;+sip.instance=\"\u{85}\"",
        "<sip:a@h>;+sip.instance=\"<urn:x>\";reg-id=0",
        "<sip:a@h>;+sip.instance=\"<urn:x>\";reg-id=2147483648",
        "<sip:a@h>;+sip.instance=\"<urn:x>\";reg-id=one",
        &format!("<sip:{long}@h>"),
        &format!("<sip:a@{host}>"),
        &format!("<sip:a@h;p={long}>"),
        &format!("<sip:a@h>;+sip.instance=\"{long}\""),
    ];
    for contact in bad {
        for contact in [contact.to_owned(), format!("<sip:good@h>, {contact}")] {
            // An empty member of a list is passed over.
            if !contact.ends_with(", ") && !contact.ends_with(", ,") {
                assert_eq!(code(bench.register(&format!("Contact: {contact}\r\n"))), (400, None), "{contact}");
            }
        }
    }
    assert_eq!(code(bench.register_as(ALICE, &long, 1, "Contact: <sip:a@h>\r\n")), (400, None));
    let many = format!("<sip:a@h{}>", ";p=1".repeat(200));
    assert_eq!(bench.register(&format!("Contact: {many}\r\nContact: {many}\r\n")).unwrap().len(), 1);
    assert_eq!(bench.registrar.len(), 1);
}

#[test]
fn esc_16_limits_of_one_address_and_in_all() {
    let mut bench = Bench::new();
    let contacts = |from: u32, to: u32, rest: &str| {
        let each: Vec<String> = (from..to).map(|n| format!("<sip:a{n}@h>{rest}")).collect();
        format!("Contact: {}\r\n", each.join(","))
    };
    let full = (503, Some("Retry-After: 60".into()));
    for to in [11, 20, 500] {
        assert_eq!(code(bench.register(&contacts(0, to, ""))), full, "{to}");
    }
    assert!(bench.registrar.is_empty() && bench.saved().is_empty());
    assert_eq!(bench.register(&contacts(0, 10, "")).unwrap().len(), 10);
    assert_eq!(code(bench.register(&contacts(9, 11, ""))), full);
    assert_eq!(bench.register(&contacts(0, 10, ";q=1")).unwrap().len(), 10, "refreshes are free");
    // All may be exchanged at once.
    let exchange = format!("{}{}", contacts(10, 20, ""), contacts(0, 10, ";expires=0"));
    assert_eq!(bench.register(&exchange).unwrap().len(), 10);
    // What has ended takes no room, looked at or not.
    bench.seconds += 3600;
    assert_eq!(bench.register(&contacts(0, 10, "")).unwrap().len(), 10);
    assert_eq!((bench.registrar.len(), bench.registrar.timers.len()), (10, 10));
    // Limits that were lowered take nothing away.
    bench.registrar.config.max_of_one = 5;
    assert_eq!(bench.register(&contacts(0, 10, "")).unwrap().len(), 10);
    assert_eq!(code(bench.register(&contacts(10, 11, ""))), full);

    let mut bench = Bench::with(10, 3);
    bench.register(&contacts(0, 2, "")).unwrap();
    assert_eq!(code(bench.register_as(BOB, "b", 1, &contacts(0, 2, ""))), full);
    bench.register_as(BOB, "b", 2, &contacts(0, 1, "")).unwrap();
    bench.register(&contacts(0, 2, "")).unwrap();
    assert_eq!(bench.registrar.len(), 3);
}

#[test]
fn esc_16_a_binding_ends_by_itself() {
    let mut bench = Bench::new();
    bench.register("Contact: <sip:a@h>;expires=100, <sip:b@h>;expires=200\r\n").unwrap();
    bench.register_as(BOB, "b", 1, "Contact: <sip:b@h>;expires=300\r\n").unwrap();
    assert_eq!(bench.registrar.deadline(), Some(bench.now() + Duration::from_secs(100)));
    bench.seconds += 99;
    assert!(bench.registrar.tick(bench.now()).is_empty());
    assert_eq!(bench.bindings(ALICE), ["<sip:a@h>;expires=1", "<sip:b@h>;expires=101"]);
    bench.seconds += 1;
    assert_eq!(bench.bindings(ALICE), ["<sip:b@h>;expires=100"], "looked at or not");
    assert_eq!(bench.registrar.tick(bench.now()), [ALICE.into()]);
    bench.register("Contact: <sip:b@h>;expires=1000\r\n").unwrap();
    bench.seconds += 900;
    assert_eq!(bench.registrar.tick(bench.now()), [BOB.into()]);
    bench.seconds += 100;
    assert_eq!(bench.registrar.tick(bench.now()), [ALICE.into()]);
    assert!(bench.registrar.is_empty() && bench.registrar.deadline().is_none() && bench.registrar.by_key.is_empty());
}

#[test]
fn esc_16_what_was_saved_goes_on_with_its_order_and_its_key() {
    let mut bench = Bench::new();
    let flow = "+sip.instance=\"<urn:x>\";reg-id=7";
    bench.register_as(ALICE, "one", 5, &format!("Contact: <sip:a@h>;{flow};q=0.5, <sip:b@h>\r\n")).unwrap();
    bench.register_as(BOB, "b", 1, "Contact: <sip:b@h>;expires=100\r\n").unwrap();
    let mut kept: BTreeMap<BindingKey, SavedBinding> = BTreeMap::new();
    let mut keep = |bench: &mut Bench| {
        for (key, saved) in bench.saved() {
            // It is written down as text.
            let saved = saved.map(|saved| serde_json::from_str(&serde_json::to_string(&saved).unwrap()).unwrap());
            match saved {
                Some(saved) => kept.insert(key, saved),
                None => kept.remove(&key),
            };
        }
        kept.clone()
    };
    assert_eq!(keep(&mut bench).len(), 3);
    let since = bench.wall();
    bench.seconds += 50;
    bench.register_as(ALICE, "one", 6, "Contact: <sip:b@h>;expires=0, <sip:c@h>\r\n").unwrap();
    let kept = keep(&mut bench);
    assert_eq!((kept.len(), bench.saved().len()), (3, 0));
    // What came and went in between was never there; what was refreshed and went is gone.
    bench.register_as(ALICE, "one", 7, "Contact: <sip:d@h>, <sip:c@h>\r\n").unwrap();
    let gone = bench.keys(ALICE)[2];
    bench.register_as(ALICE, "one", 8, "Contact: <sip:d@h>;expires=0, <sip:c@h>;expires=0\r\n").unwrap();
    assert_eq!(bench.saved(), [(gone, None)]);

    let mut after = Bench::new();
    after.seconds = bench.seconds + 100;
    let (now, wall) = (after.now(), after.wall());
    let restored = kept.values().filter(|saved| after.registrar.restore((*saved).clone(), now, wall)).count();
    assert_eq!((restored, after.bindings(BOB).len(), after.saved().len()), (2, 0, 0), "Bob's is over");
    let mut bindings = after.bindings(ALICE);
    bindings.sort();
    assert_eq!(bindings, [format!("<sip:a@h>;expires=3450;q=0.5;{flow}"), "<sip:c@h>;expires=3500".into()]);
    assert_eq!(code(after.register_as(ALICE, "one", 5, "Contact: <sip:c@h>;expires=0\r\n")), (500, None));
    after.register_as(ALICE, "new", 1, &format!("Contact: <sip:z@h>;{flow}\r\n")).unwrap();
    let moved = after.registrar.bindings(ALICE, now).last().unwrap();
    assert_eq!((moved.contact.as_str(), moved.since, kept.contains_key(&moved.key)), ("sip:z@h", since, true));
    assert_eq!(after.saved().len(), 1);
}

#[test]
fn esc_16_what_cannot_be_ours_is_not_restored() {
    let mut bench = Bench::new();
    bench.register("Contact: <sip:a@h>;+sip.instance=\"<urn:x>\";reg-id=7\r\n").unwrap();
    let good = bench.saved().remove(0).1.unwrap();
    let (now, wall) = (bench.now(), bench.wall());
    let mut after = Bench::with(2, 3);
    let with = |change: fn(&mut SavedBinding)| {
        let mut saved = good.clone();
        change(&mut saved);
        saved
    };
    for bad in [
        with(|saved| saved.key = "odd".into()),
        with(|saved| saved.contact = "sip:a@h>\r\nX: y".into()),
        with(|saved| saved.contact = "tel:+1".into()),
        with(|saved| saved.contact = format!("sip:{}@h", "x".repeat(2000))),
        with(|saved| saved.instance = Some("\"x\"\r\nX: \"y\"".into())),
        with(|saved| saved.instance = Some("x".into())),
        with(|saved| saved.reg_id = Some(0)),
        with(|saved| saved.q = Some(1001)),
        with(|saved| saved.ends_at = saved.since),
    ] {
        assert!(!after.registrar.restore(bad.clone(), now, wall), "{bad:?}");
    }
    assert!(after.registrar.restore(good.clone(), now, wall));
    let (keys, mut rng) = (["aaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbb", "cccccccccccccccc"], 0..);
    let mut other = |resource: &str, key: &str| {
        let contact = format!("sip:b{}@h", rng.next().unwrap());
        let saved = SavedBinding { resource: resource.into(), key: key.into(), contact, reg_id: None, ..good.clone() };
        after.registrar.restore(saved, now, wall)
    };
    assert!(!other(BOB, &good.key), "the key is taken");
    assert!(other(ALICE, keys[0]));
    assert!(!other(ALICE, keys[1]), "no room for one more of hers");
    assert!(other(BOB, keys[1]));
    assert!(!other(BOB, keys[2]), "no room at all");
    assert_eq!(after.registrar.len(), 3);
    let mut after = Bench::new();
    assert!(after.registrar.restore(good.clone(), now, wall));
    let twin = SavedBinding { key: keys[0].into(), contact: "sip:elsewhere@h".into(), ..good.clone() };
    assert!(!after.registrar.restore(twin, now, wall), "the same flow of the same device");
    // An end that nobody was granted is cut.
    let far = SavedBinding { resource: BOB.into(), key: keys[1].into(), ends_at: Timestamp::MAX, ..good };
    assert!(after.registrar.restore(far, now, wall));
    assert_eq!(after.registrar.bindings(BOB, now).next().unwrap().expires, 7 * 24 * 3600);
}

#[test]
fn esc_16_memory_and_time_of_many() {
    let mut bench = Bench::new();
    for n in 0..20_000 {
        bench.register_as(&format!("sip:u{n}@example.test"), "c", 1, "Contact: <sip:a@h>\r\n").unwrap();
    }
    assert_eq!(code(bench.register("Contact: <sip:a@h>\r\n")).0, 503);
    bench.seconds += 3600;
    let mut ended = 0;
    while bench.registrar.deadline().is_some() {
        let some = bench.registrar.tick(bench.now()).len();
        assert!((1..=TICKS).contains(&some));
        ended += some;
    }
    assert_eq!((ended, bench.registrar.resources.len(), bench.registrar.unsaved.len()), (20_000, 0, 0));
    for _ in 0..1000 {
        bench.register("Contact: <sip:a@h>\r\n").unwrap();
        bench.register("Contact: <sip:a@h>;expires=0\r\n").unwrap();
    }
    assert!(bench.registrar.unsaved.is_empty(), "coming and going is not kept");
}

proptest! {
    #[test]
    fn esc_16_whatever_a_contact_holds_the_answer_can_be_read_and_a_refusal_changes_nothing(
        contacts in prop::collection::vec(
            "(<?sips?:[ab]@h[;:=0-9?%]{0,4}>?|[ -~]{0,12})\
             (;(q|expires|reg-id|\\+sip\\.instance)=[0-9.\"<a]{1,4}){0,3}",
            1..4,
        )
    ) {
        let mut bench = Bench::with(2, 10);
        bench.register("Contact: <sip:a@h>;q=0.3\r\n").unwrap();
        let before = bench.bindings(ALICE);
        match bench.register(&format!("Contact: {}\r\n", contacts.join(", "))) {
            Err(_) => prop_assert_eq!(bench.bindings(ALICE), before),
            Ok(now) => {
                prop_assert!(now.len() <= 2);
                for value in now {
                    let contact = NameAddr::parse(value.as_bytes()).unwrap();
                    prop_assert!(contact.params.get("expires").is_some());
                    prop_assert!(!value.bytes().any(|c| c < b' '));
                }
            }
        }
        prop_assert_eq!(bench.registrar.len(), bench.bindings(ALICE).len());
    }
}
