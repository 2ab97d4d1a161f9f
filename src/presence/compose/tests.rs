use std::collections::BTreeSet;

use super::*;
use crate::presence::{
    OpenWhen, PresenceStatus,
    pidf::{Identity, Published, write},
    status::Activity,
};

mod corpus;

const BOB: &str = "sip:bob@example.test";

fn at(minute: u32) -> Timestamp {
    format!("2026-03-02T09:{minute:02}:00Z").parse().unwrap()
}

fn parse(text: &str) -> Document {
    Document::parse(text.as_bytes(), None).unwrap()
}

/// A document of another program: what stands in its `presence`.
fn foreign(inner: &str) -> Document {
    parse(&format!(
        "<presence xmlns='urn:ietf:params:xml:ns:pidf' xmlns:dm='urn:ietf:params:xml:ns:pidf:data-model' \
         xmlns:rpid='urn:ietf:params:xml:ns:pidf:rpid' xmlns:x='urn:x' entity='{BOB}'>{inner}</presence>"
    ))
}

/// What our own program publishes from a device.
fn ours(status: PresenceStatus, device: &str, minute: u32) -> Document {
    let identity = Identity::new(BOB, format!("sip:bob@{device}.example.test"), format!("urn:uuid:{device}"));
    let bytes = write(&Published::new(status, at(minute)), &identity, &OpenWhen::default());
    Document::parse(&bytes, None).unwrap()
}

/// Sources in the order in which they came, each a minute after the one before.
fn sources<'a>(documents: &'a [Document]) -> Vec<Source<'a>> {
    const KEYS: [&str; 4] = ["pc", "laptop", "phone", "more"];
    let source = |(n, document): (usize, &'a Document)| Source {
        key: KEYS[n],
        arrival: n as u64,
        changed_at: at(u32::try_from(n).unwrap()),
        document,
    };
    documents.iter().enumerate().map(source).collect()
}

fn compose_all(documents: &[Document]) -> Composed {
    compose(&sources(documents), None, BOB, at(30))
}

fn text(composed: &Composed) -> String {
    String::from_utf8(composed.document.to_bytes()).unwrap().replace("\r\n", "\n")
}

fn status(composed: &Composed) -> Option<PresenceStatus> {
    composed.document.info_at(None, at(30)).status
}

#[test]
fn cmp_01_two_publications_are_these_bytes() {
    let pc = ours(PresenceStatus::Busy, "pc", 1);
    let phone = foreign(
        "<tuple id='t1'><status><basic>open</basic></status><dm:deviceID>urn:uuid:phone</dm:deviceID>\
         <contact priority='0.5'>SIP:bob@Phone.Example.TEST;transport=tcp</contact><x:more a='1'>kept</x:more></tuple>\
         <dm:person id='p1'><rpid:mood><rpid:happy/></rpid:mood><x:shoes>brown</x:shoes><dm:note>on my way</dm:note></dm:person>\
         <dm:device id='d1'><rpid:user-input>idle</rpid:user-input><dm:deviceID>urn:uuid:phone</dm:deviceID></dm:device>\
         <note>beside</note><note>beside</note><x:root/>",
    );
    let composed = compose_all(&[pc, phone]);
    assert_eq!(composed.speaks.as_deref(), Some("pc"));
    // Line ends stand in the file for being read.
    let expected: String = include_str!("composed.xml")
        .lines()
        .map(|line| line.strip_prefix("    ").map_or_else(|| line.to_owned(), |rest| format!(" {rest}")))
        .collect();
    assert_eq!(text(&composed).replace('\n', ""), expected);
}

#[test]
fn cmp_02_ids_are_unique_and_hold_as_long_as_a_publication() {
    let same = "<tuple id='t1'><status><basic>open</basic></status><contact>sip:bob@NAME</contact></tuple>\
                <tuple id='t1'><status><basic>open</basic></status><contact>sip:bob2@NAME</contact></tuple>\
                <tuple><status><basic>open</basic></status><contact>sip:bob3@NAME</contact></tuple>";
    let (one, two) = (foreign(&same.replace("NAME", "one")), foreign(&same.replace("NAME", "two")));
    let ids = |composed: &Composed| -> Vec<(String, String)> {
        let of = |tuple: &Tuple| (tuple.contact.clone().unwrap().uri, tuple.id.clone().unwrap());
        let mut ids: Vec<_> = composed.document.tuples.iter().map(of).collect();
        ids.sort();
        ids
    };
    let both = [one, two];
    let first = ids(&compose_all(&both));
    assert_eq!(first.iter().map(|(_, id)| id).collect::<BTreeSet<_>>().len(), 6, "{first:?}");
    assert!(first.iter().all(|(_, id)| id.len() == 11 && id.starts_with('t')));
    // Another time, another document of the first; the ids of what stays are the same.
    let mut later = sources(&both);
    later[0].changed_at = at(20);
    later[0].arrival = 9;
    assert_eq!(ids(&compose(&later, None, BOB, at(40))), first);
}

#[test]
fn cmp_03_who_published_nothing_is_offline() {
    let nothing = compose(&[], None, BOB, at(30));
    assert_eq!((status(&nothing), nothing.speaks, nothing.next_edge), (Some(PresenceStatus::Offline), None, None));
    let [tuple] = nothing.document.tuples.as_slice() else { panic!("{:?}", nothing.document) };
    assert_eq!((tuple.basic, tuple.marker), (Some(Basic::Closed), None));
    assert!(nothing.document.persons.is_empty());
    let empty = compose_all(&[foreign("")]);
    assert!(empty.document.tuples.is_empty() && empty.document.persons.is_empty());
}

#[test]
fn esc_18_hard_state_shows_where_nothing_is_published() {
    let away = ours(PresenceStatus::Away, "hard", 0);
    let hard = Source { key: "hard", arrival: 0, changed_at: at(0), document: &away };
    assert_eq!(status(&compose(&[], Some(hard), BOB, at(30))), Some(PresenceStatus::Away));
    let busy = [ours(PresenceStatus::Busy, "pc", 1)];
    let composed = compose(&sources(&busy), Some(hard), BOB, at(30));
    assert_eq!((status(&composed), composed.document.tuples.len()), (Some(PresenceStatus::Busy), 1));
}

#[test]
fn cmp_05_what_holds_for_a_time_comes_and_goes_by_itself() {
    let meeting = foreign(
        "<tuple id='t'><status><basic>open</basic></status></tuple><dm:person id='p'>\
         <rpid:activities from='2026-03-02T09:35:00Z' until='2026-03-02T09:45:00Z'><rpid:meeting/></rpid:activities></dm:person>",
    );
    let documents = [meeting];
    let when = |minute| {
        let composed = compose(&sources(&documents), None, BOB, at(minute));
        let says = composed.document.persons.iter().any(|person| !person.rich.activities.is_empty());
        (says, composed.next_edge)
    };
    assert_eq!(when(30), (false, Some(at(35))));
    assert_eq!(when(35), (true, Some(at(45))));
    assert_eq!(when(45), (false, None));
}

#[test]
fn cmp_01_of_equal_tuples_the_youngest_stays_and_different_ones_all() {
    let tuple = |contact: &str, device: &str, note: &str| {
        format!(
            "<tuple id='t'><status><basic>open</basic></status><dm:deviceID>{device}</dm:deviceID>\
             <contact>{contact}</contact><note>{note}</note></tuple>"
        )
    };
    let notes = |composed: &Composed| -> Vec<String> {
        composed.document.tuples.iter().map(|tuple| tuple.notes[0].text.clone()).collect()
    };
    let documents = [
        foreign(&tuple("sip:bob@One.test", "d", "old")),
        foreign(&tuple("SIP:bob@one.TEST", "d", "young")),
        foreign(&tuple("sip:bob@one.test", "other", "another device")),
        foreign(&tuple("sip:Bob@one.test", "d", "another user")),
    ];
    assert_eq!(notes(&compose_all(&documents)), ["another user", "another device", "young"]);
    // Those that cannot be reached are of their publications.
    let mute = foreign("<tuple id='t'><status><basic>open</basic></status><note>mute</note></tuple>");
    assert_eq!(compose_all(&[mute.clone(), mute]).document.tuples.len(), 2);
}

#[test]
fn cmp_01_closed_tuples_that_say_nothing_go_where_one_is_open_and_twenty_stay() {
    let bare = foreign("<tuple id='t'><status><basic>closed</basic></status></tuple>");
    let said = foreign("<tuple id='t'><status><basic>closed</basic></status><note>gone</note></tuple>");
    let open = foreign("<tuple id='t'><status><basic>open</basic></status></tuple>");
    assert_eq!(compose_all(&[bare.clone(), said.clone()]).document.tuples.len(), 2);
    let composed = compose_all(&[bare, said, open]);
    let basics: Vec<_> = composed.document.tuples.iter().map(|tuple| tuple.basic).collect();
    assert_eq!(basics, [Some(Basic::Open), Some(Basic::Closed)]);
    let many: Vec<String> = (0..40)
        .map(|n| {
            let basic = if n % 2 == 0 { "open" } else { "closed" };
            format!("<tuple id='t{n}'><status><basic>{basic}</basic></status><contact>sip:b{n}@h</contact></tuple>")
        })
        .collect();
    let composed = compose_all(&[foreign(&many.concat())]);
    assert_eq!(composed.document.tuples.len(), 20);
    assert!(composed.document.tuples.iter().all(|tuple| tuple.basic == Some(Basic::Open)));
}

#[test]
fn cmp_01_the_overall_status_of_the_examples() {
    let available = |device: &str| {
        foreign(&format!(
            "<tuple id='t'><status><basic>open</basic></status><contact>sip:bob@{device}</contact></tuple>"
        ))
    };
    let phone_says = |activity: &str, more: &str| {
        foreign(&format!(
            "<tuple id='t'><status><basic>open</basic></status><contact>sip:bob@phone</contact></tuple>\
             <dm:person id='p'>{activity}</dm:person>{more}"
        ))
    };
    let on_the_phone = || phone_says("<rpid:activities><rpid:on-the-phone/></rpid:activities>", "");
    let check = |documents: Vec<Document>, expected: PresenceStatus, speaks: &str| {
        let composed = compose_all(&documents);
        assert_eq!(
            (status(&composed), composed.speaks.as_deref()),
            (Some(expected), Some(speaks)),
            "{}",
            text(&composed)
        );
    };
    let laptop = ours(PresenceStatus::Busy, "laptop", 2);
    check(vec![ours(PresenceStatus::Away, "pc", 1), laptop], PresenceStatus::Busy, "laptop");
    check(vec![ours(PresenceStatus::Busy, "pc", 1), available("laptop")], PresenceStatus::Busy, "pc");
    check(vec![ours(PresenceStatus::Busy, "pc", 1), on_the_phone()], PresenceStatus::InCall, "laptop");
    let in_call = ours(PresenceStatus::InCall, "phone", 2);
    check(vec![ours(PresenceStatus::DoNotDisturb, "pc", 1), in_call], PresenceStatus::DoNotDisturb, "pc");
    // Away at a device that is left for another.
    let idle =
        "<dm:device id='d'><rpid:user-input>idle</rpid:user-input><dm:deviceID>urn:uuid:pc</dm:deviceID></dm:device>";
    let mut pc = ours(PresenceStatus::Away, "pc", 1);
    pc.devices = foreign(idle).devices;
    let active = phone_says("<rpid:user-input>active</rpid:user-input>", "");
    check(vec![pc.clone(), active], PresenceStatus::Available, "laptop");
    check(vec![pc, available("phone")], PresenceStatus::Away, "pc");
}

#[test]
fn cmp_01_of_the_person_each_element_is_the_youngest_s() {
    let person = |inner: &str| foreign(&format!("<dm:person id='p'>{inner}</dm:person>"));
    let documents = [
        person(
            "<rpid:mood><rpid:sad/></rpid:mood><rpid:sphere><rpid:home/></rpid:sphere><x:a>1</x:a><x:b>1</x:b><dm:note>old</dm:note>",
        ),
        person("<rpid:mood><rpid:happy/></rpid:mood><rpid:user-input>active</rpid:user-input><x:a>2</x:a>"),
        person(
            "<rpid:activities><rpid:unknown/><rpid:meal/></rpid:activities>\
             <rpid:user-input last-input='2026-03-02T09:00:00Z'>idle</rpid:user-input>",
        ),
    ];
    let composed = compose_all(&documents);
    let [person] = composed.document.persons.as_slice() else { panic!("{:?}", composed.document.persons) };
    assert_eq!((person.rich.mood.as_slice(), person.rich.sphere.as_deref()), (&["happy".to_owned()][..], Some("home")));
    assert!(person.rich.user_input.as_ref().unwrap().active);
    assert_eq!(person.rich.activities.iter().map(Activity::name).collect::<Vec<_>>(), ["meal"]);
    let raw: Vec<_> = person.raw.iter().map(|element| (element.name.as_str(), element.text.as_str())).collect();
    assert_eq!((raw, person.notes[0].text.as_str()), (vec![("a", "2"), ("b", "1")], "old"));
    assert_eq!(person.timestamp, Some(at(2)));
}
