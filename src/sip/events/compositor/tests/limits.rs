//! How much there may be, and how often it may change.

use super::*;

#[test]
fn esc_12_a_flood_of_publications_or_changes_is_told_to_come_later() {
    let mut bench = Bench::new();
    let mut tags: Vec<String> = (0..10).map(|_| bench.put(ALICE, None, 3600, "x").unwrap().etag).collect();
    bench.seconds += 100;
    assert_eq!(code(bench.put(ALICE, None, 3600, "x")), (503, Some("Retry-After: 60".into())));
    // Ten changes at once, then one a second; refreshes and ends are free.
    for tag in &mut tags {
        *tag = bench.put(ALICE, Some(tag), 3600, "y").unwrap().etag;
    }
    assert_eq!(code(bench.put(ALICE, Some(&tags[0]), 3600, "z")), (503, Some("Retry-After: 2".into())));
    tags[0] = bench.put(ALICE, Some(&tags[0]), 3600, "").unwrap().etag;
    bench.put(BOB, None, 100, "x").unwrap();
    for _ in 0..20 {
        bench.seconds += 1;
        tags[0] = bench.put(ALICE, Some(&tags[0]), 3600, "z").unwrap().etag;
        assert_eq!(code(bench.put(ALICE, Some(&tags[0]), 3600, "z")).0, 503);
    }
    for tag in &tags {
        bench.put(ALICE, Some(tag), 0, "").unwrap();
    }
    assert_eq!(code(bench.put(ALICE, None, 3600, "x")).0, 503, "taking it back gives no new start");
    bench.seconds += 2;
    bench.put(ALICE, None, 3600, "x").unwrap();
}

/// A document that comes while others are judged.
const DOCUMENT: &str = "Event: presence\r\nContent-Type: application/pidf+xml\r\n";

#[test]
fn esc_12_those_that_were_examined_together_share_the_room() {
    for (of_one, in_all, other) in [(2, 10, ALICE), (10, 2, BOB)] {
        let mut bench = Bench::with_room(of_one, in_all);
        bench.put(ALICE, None, 100, "x").unwrap();
        let asked = [ALICE, other].map(|resource| bench.examine(resource, DOCUMENT, "y").unwrap());
        let ends = bench.examine(other, &format!("{DOCUMENT}Expires: 0\r\n"), "y").unwrap();
        bench.accept(&asked[0], "y").unwrap();
        bench.saved();
        assert_eq!(code(bench.accept(&asked[1], "y")), (503, Some("Retry-After: 60".into())));
        assert_eq!((bench.compositor.len(), bench.saved().len()), (2, 0));
        assert_eq!(bench.accept(&ends, "y").unwrap().change, Change::Nothing, "it takes no room");
    }
}

#[test]
fn esc_12_those_that_were_examined_together_keep_to_the_pace() {
    let mut bench = Bench::new();
    let one = bench.put(ALICE, None, 100, "one").unwrap();
    let asked = |bench: &Bench, lines: &str, body: &str| {
        bench.examine(ALICE, &format!("{DOCUMENT}SIP-If-Match: {}\r\n{lines}", one.etag), body).unwrap()
    };
    let (changes, refreshes) = (asked(&bench, "", "two"), asked(&bench, "", ""));
    for _ in 0..9 {
        bench.put(ALICE, None, 100, "x").unwrap();
    }
    assert_eq!(code(bench.accept(&changes, "two")), (503, Some("Retry-After: 2".into())));
    assert_eq!(bench.bodies(ALICE)[0], "one");
    assert_eq!(bench.accept(&refreshes, "").unwrap().change, Change::Refreshed, "its tag was not used up");
}

#[test]
fn esc_12_what_is_over_takes_no_place_of_its_resource() {
    let mut bench = Bench::with_room(1, 2);
    bench.put(ALICE, None, 100, "old").unwrap();
    assert_eq!(code(bench.put(ALICE, None, 100, "x")).0, 503);
    bench.seconds += 100;
    assert_eq!(bench.bodies(ALICE), [""; 0], "its time is over, whether anybody has looked or not");
    bench.put(ALICE, None, 100, "new").unwrap();
    assert_eq!((bench.bodies(ALICE), bench.compositor.len()), (vec!["new".into()], 2));
    // But memory is what it is, until somebody looks.
    assert_eq!(code(bench.put(BOB, None, 100, "x")).0, 503);
    assert_eq!(bench.compositor.tick(bench.now()), [ALICE.into()]);
    bench.put(BOB, None, 100, "x").unwrap();
}

#[test]
fn esc_12_memory_and_time_of_many() {
    let mut bench = Bench::new();
    for n in 0..20_000 {
        bench.put(&format!("sip:u{n}@example.test"), None, 3600, "x").unwrap();
    }
    assert_eq!(code(bench.put(ALICE, None, 3600, "x")).0, 503);
    bench.seconds += 3600;
    let mut ended = 0;
    while bench.compositor.deadline().is_some() {
        let some = bench.compositor.tick(bench.now()).len();
        assert!((1..=TICKS).contains(&some));
        ended += some;
    }
    assert_eq!((ended, bench.compositor.resources.len()), (20_000, 0));
}
