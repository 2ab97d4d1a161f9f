//! Whatever programs publish.

use proptest::prelude::*;

use super::*;
use crate::presence::info::PresenceInfo;

fn corpus() -> Vec<Document> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "xml"));
    paths.sort();
    assert!(paths.len() > 10);
    paths.iter().filter_map(|path| Document::parse(&std::fs::read(path).unwrap(), None).ok()).collect()
}

/// What is written of it, as a watcher reads it.
fn read_again(composed: &Composed) -> Document {
    Document::parse(&composed.document.to_bytes(), None).unwrap()
}

#[test]
fn cmp_01_one_publication_alone_says_what_it_says() {
    let now = "2026-11-02T10:00:00Z".parse().unwrap();
    // Before all timestamps in the corpus, and after them.
    for changed_at in ["2026-01-02T10:00:00Z".parse().unwrap(), now] {
        for document in corpus() {
            // Of several persons whose ages cannot be compared step 7 makes one, where a reader takes all.
            let dated = document.persons.iter().filter(|person| person.timestamp.is_some()).count();
            if changed_at == now && (1..document.persons.len()).contains(&dated) {
                continue;
            }
            let source = Source { key: "alone", arrival: 1, changed_at, document: &document };
            let composed = compose(&[source], None, BOB, now);
            let says = |document: &Document| {
                let PresenceInfo { status, basic, note, activities, devices, .. } = document.info_at(Some("de"), now);
                let open = devices.iter().filter(|device| device.basic == Some(Basic::Open)).count();
                (status, basic, note, activities.first().cloned(), open)
            };
            assert_eq!(says(&composed.document), says(&document), "{document:#?}");
            assert_eq!(says(&read_again(&composed)), says(&document), "{}", text(&composed));
        }
    }
}

#[test]
fn cmp_01_a_person_without_a_time_is_as_old_as_its_publication() {
    let document = parse(include_str!("../../../../tests/corpus/kamailio-two-devices.xml"));
    let activity = |changed_at: &str| {
        let now = "2026-03-02T10:00:00Z".parse().unwrap();
        let source = Source { key: "alone", arrival: 1, changed_at: changed_at.parse().unwrap(), document: &document };
        compose(&[source], None, BOB, now).document.persons[0].rich.activities[0].name().to_owned()
    };
    assert_eq!(activity("2026-03-02T08:58:00Z"), "in-transit");
    assert_eq!(activity("2026-03-02T09:01:00Z"), "working");
}

#[test]
fn cmp_01_what_is_left_of_a_publication_stays_dead() {
    let remainder = parse(include_str!("../../../../tests/corpus/w-f8.xml"));
    let talkative = foreign(
        "<tuple id='t'><status><basic>closed</basic><rpid:activities><rpid:on-the-phone/></rpid:activities>\
         <rpid:mood><rpid:sad/></rpid:mood><rpid:user-input>active</rpid:user-input>\
         <sp:state xmlns:sp='tag:sippresence,2026:state'>dnd</sp:state></status></tuple>",
    );
    let idle =
        "<dm:device id='d'><rpid:user-input>idle</rpid:user-input><dm:deviceID>urn:uuid:pc</dm:deviceID></dm:device>";
    let mut away = ours(PresenceStatus::Away, "pc", 1);
    away.devices = foreign(idle).devices;
    for dead in [remainder, talkative] {
        for (document, expected) in [
            (ours(PresenceStatus::Available, "pc", 1), PresenceStatus::Available),
            (ours(PresenceStatus::Busy, "pc", 1), PresenceStatus::Busy),
            (away.clone(), PresenceStatus::Away),
        ] {
            let composed = compose_all(&[document, dead.clone()]);
            assert_eq!((status(&composed), composed.speaks.as_deref()), (Some(expected.clone()), Some("pc")));
            assert_eq!(read_again(&composed).info_at(None, at(30)).status, Some(expected), "{}", text(&composed));
        }
        let composed = compose_all(&[dead]);
        let info = read_again(&composed).info_at(None, at(30));
        assert_eq!((info.status, info.timestamp), (Some(PresenceStatus::Offline), None), "{}", text(&composed));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn cmp_01_and_02_and_06_whatever_is_published(
        picked in prop::collection::vec((any::<prop::sample::Index>(), 0..60_u32), 1..7),
        order in any::<u64>(),
        minute in 0..60_u32,
    ) {
        let corpus = corpus();
        let keys: Vec<String> = (0..picked.len()).map(|n| format!("publication {n}")).collect();
        let mut sources: Vec<Source<'_>> = picked
            .iter()
            .enumerate()
            .map(|(n, (which, minute))| Source {
                key: &keys[n],
                arrival: n as u64,
                changed_at: at(*minute),
                document: which.get(&corpus),
            })
            .collect();
        let composed = compose(&sources, None, BOB, at(minute));
        let bytes = composed.document.to_bytes();
        // The order in which they are given is nothing.
        sources.rotate_left(usize::try_from(order % 7).unwrap() % picked.len());
        sources.reverse();
        prop_assert_eq!(&compose(&sources, None, BOB, at(minute)).document.to_bytes(), &bytes);
        let read = Document::parse(&bytes, None).unwrap();
        prop_assert!(read.persons.len() <= 1 && read.tuples.len() <= 20);
        let ids = read.tuples.iter().map(|tuple| &tuple.id);
        let ids = ids.chain(read.persons.iter().map(|person| &person.id)).chain(read.devices.iter().map(|device| &device.id));
        let ids: Vec<_> = ids.collect();
        prop_assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
        // No element of the roots that is not known here gets lost.
        let roots = |documents: &[&Document]| documents.iter().map(|document| document.raw.len()).sum::<usize>();
        prop_assert_eq!(roots(&[&composed.document]), roots(&sources.iter().map(|source| source.document).collect::<Vec<_>>()));
        // Composed once more it says the same; of tuples that cannot be reached one publication has but one.
        if composed.document.tuples.iter().any(|tuple| tuple.contact.is_none()) {
            return Ok(());
        }
        let once = Source { key: "once", arrival: 1, changed_at: at(minute), document: &composed.document };
        let twice = compose(&[once], None, BOB, at(minute));
        prop_assert_eq!(twice.document.info_at(None, at(minute)).status, composed.document.info_at(None, at(minute)).status);
        prop_assert_eq!(twice.document.tuples.len(), composed.document.tuples.len());
    }
}
