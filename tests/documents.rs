//! Presence documents as they are on the wire: ours byte for byte, those of other programs by what they mean, and
//! hostile ones by what they do not do.

#![allow(clippy::format_collect, clippy::unwrap_used, reason = "clear before fast in tests, and a panic is a failure")]

use std::{collections::BTreeSet, fmt::Write as _, fs, path::Path, time::Duration};

use jiff::Timestamp;
use proptest::prelude::*;
use sippresence::{
    presence::{
        core::Now,
        event::{
            FreshnessWord, Kind, LayerKind, Line, PresentityState, Previous, SinceFrom, SubscriptionInfo, Via,
            WatcherGrade, WatcherInfo,
        },
        holds::{Hold, Holds, Lasts},
        info::{FailureCode, Freshness, PresenceInfo},
        pidf::{CONTENT_TYPE, Document, Identity, Published, write, write_offline},
        status::{Activity, Basic, OpenWhen, PresenceStatus, StatusArg},
        text::clean_note,
        xml,
    },
    sip::time::Instant,
};

#[path = "schemas/order.rs"]
mod order;

fn corpus(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn corpus_files() -> impl Iterator<Item = String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let documents = paths.filter(|path| path.extension().is_some_and(|extension| extension == "xml"));
    documents.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
}

fn read(name: &str) -> PresenceInfo {
    Document::parse(&corpus(name), None).unwrap_or_else(|error| panic!("{name}: {error}")).info(Some("en"))
}

fn now() -> Timestamp {
    "2026-03-02T09:15:00Z".parse().unwrap()
}

/// Bob as in the blocks `W-S…`.
fn bob() -> Identity {
    let mut bob =
        Identity::new("sip:bob@192.0.2.20", "sip:bob@192.0.2.20:5060", "urn:uuid:0c9d6b1e-52f4-4f0c-8a37-6e1d2b7a9f10");
    bob.tuple_id = "t4q7zk2m9ax".into();
    bob.person_id = "p6hd3w8rnbc".into();
    bob
}

fn published(status: PresenceStatus, note: Option<&str>) -> Published {
    let mut published = Published::new(status, now());
    published.note = note.map(str::to_owned);
    published
}

#[track_caller]
fn assert_golden(block: &str, published: &Published, open_when: &[&str]) {
    let open_when = if open_when.is_empty() { OpenWhen::default() } else { OpenWhen::from_words(open_when).unwrap() };
    let body = write(published, &bob(), &open_when);
    let golden = corpus(&format!("{block}.xml"));
    assert_eq!(String::from_utf8_lossy(&body), String::from_utf8_lossy(&golden), "{block}");
    assert_eq!(body, golden, "{block}");
    let info = Document::parse(&body, None).unwrap().info(None);
    assert_eq!(info.status.as_ref(), Some(&published.status), "{block}");
    assert_eq!(info.note.map(|note| note.text), published.effective_note(), "{block}");
}

#[test]
fn map_01_available_is_the_bytes_of_w_s1() {
    assert_golden("w-s1", &published(PresenceStatus::Available, Some("At my desk")), &[]);
}

#[test]
fn map_02_busy_is_the_bytes_of_w_s2() {
    assert_golden("w-s2", &published(PresenceStatus::Busy, None), &[]);
}

#[test]
fn map_03_away_is_the_bytes_of_w_s3() {
    assert_golden("w-s3", &published(PresenceStatus::Away, Some("Back at 10:30")), &[]);
}

#[test]
fn map_04_do_not_disturb_is_the_bytes_of_w_s4() {
    assert_golden("w-s4", &published(PresenceStatus::DoNotDisturb, None), &[]);
}

#[test]
fn map_05_offline_is_the_bytes_of_w_s5() {
    assert_golden("w-s5", &published(PresenceStatus::Offline, None), &[]);
    assert_eq!(write_offline(&bob(), now()), corpus("w-s5.xml"));
}

#[test]
fn map_06_in_call_is_the_bytes_of_w_s6() {
    assert_golden("w-s6", &published(PresenceStatus::InCall, None), &[]);
}

#[test]
fn map_07_custom_is_the_bytes_of_w_s7() {
    assert_golden("w-s7", &published(PresenceStatus::Custom("Writing the report".into()), None), &[]);
    assert_golden("w-s7b", &published(PresenceStatus::Custom("meeting".into()), None), &[]);
}

#[test]
fn map_08_the_marker_is_where_it_should_be_and_nowhere_else() {
    for block in ["w-s2", "w-s2b", "w-s3", "w-s3b", "w-s4", "w-s4b", "w-s6", "w-s7", "w-s7b"] {
        let body = String::from_utf8(corpus(&format!("{block}.xml"))).unwrap();
        assert_eq!(body.matches("</sp:state></status>").count(), 1, "{block}");
    }
    for status in [PresenceStatus::Available, PresenceStatus::Offline] {
        let body = write(&published(status, None), &bob(), &OpenWhen::default());
        assert!(!String::from_utf8(body).unwrap().contains("sippresence"));
    }
}

#[test]
fn map_09_open_when_changes_basic_and_nothing_else() {
    assert_golden("w-s2b", &published(PresenceStatus::Busy, None), &["available", "busy"]);
    assert_golden("w-s3b", &published(PresenceStatus::Away, Some("Back at 10:30")), &["available", "away"]);
    assert_golden("w-s4b", &published(PresenceStatus::DoNotDisturb, None), &["available", "dnd"]);
}

#[test]
fn map_11_the_content_type_has_no_parameters() {
    assert_eq!(CONTENT_TYPE, "application/pidf+xml");
}

#[test]
fn map_14_escaping_is_the_bytes_of_w_s8() {
    assert_golden("w-s8", &published(PresenceStatus::Available, Some("5 < 6 & \"ok\" ☕")), &[]);
}

#[test]
fn rpi_all_person_elements_of_w_s9_are_read() {
    let info = read("w-s9.xml");
    assert_eq!(info.status, Some(PresenceStatus::Custom("reviewing".into())));
    assert_eq!(info.activities, [Activity::Working, Activity::Other("reviewing".into())]);
    assert_eq!(info.note.as_ref().unwrap().text, "two things at once");
    assert_eq!(
        (info.mood[0].as_str(), info.class[0].as_str(), info.sphere.as_deref()),
        ("calm", "work-profile", Some("work"))
    );
    assert_eq!(info.place_is.as_ref().unwrap().audio.as_deref(), Some("quiet"));
    assert_eq!(
        (&info.place_type[..], &info.privacy[..]),
        (&["office".to_owned()][..], &["audio".to_owned(), "text".to_owned()][..])
    );
    assert_eq!(info.status_icon.as_deref(), Some("https://example.com/i/bob.png"));
    assert_eq!(info.time_offset.as_ref().unwrap().minutes, 60);
    assert_eq!(info.user_input.as_ref().unwrap().idle_threshold, Some(600));
    assert!(info.devices[0].user_input.as_ref().unwrap().active);
    let german = Document::parse(&corpus("w-s9.xml"), None).unwrap().info(Some("de"));
    assert!(german.notes.iter().any(|note| note.text == "Am Platz"));
}

/// File, status, basic, note.
type Meaning = (&'static str, Option<PresenceStatus>, Option<Basic>, Option<&'static str>);

#[test]
fn map_35_documents_of_other_programs_mean_what_the_table_says() {
    use PresenceStatus::{Available, Away, Busy, Custom, DoNotDisturb, InCall, Offline};
    let open = Some(Basic::Open);
    let closed = Some(Basic::Closed);
    let table: &[Meaning] = &[
        ("w-f1.xml", Some(Busy), open, Some("In a review")),
        ("w-f2.xml", Some(DoNotDisturb), closed, None),
        ("w-f3.xml", Some(Offline), closed, Some("Unavailable")),
        ("w-f4.xml", Some(InCall), open, None),
        ("w-f5.xml", Some(DoNotDisturb), open, None),
        ("w-f6.xml", Some(Away), open, None),
        ("w-f7.xml", Some(Available), open, None),
        ("w-f8.xml", Some(Offline), closed, None),
        ("w-f9.xml", Some(Busy), closed, None),
        ("w-f10.xml", Some(DoNotDisturb), closed, None),
        ("linphone-online.xml", Some(Available), open, None),
        ("linphone-juggling.xml", Some(Custom("juggling".into())), open, Some("At the circus")),
        ("linphone-closed-away.xml", Some(Offline), closed, None),
        ("jitsi-away.xml", Some(Away), open, Some("Away")),
        ("jitsi-on-the-phone.xml", Some(InCall), open, Some("On the phone")),
        ("blink-busy.xml", Some(Busy), open, Some("Recording")),
        ("pjsip-online.xml", Some(Available), open, Some("Online")),
        ("pjsip-offline.xml", Some(Offline), closed, None),
        ("baresip-open.xml", Some(Available), open, None),
        ("baresip-closed.xml", Some(Offline), closed, None),
        ("baresip-before-first-command.xml", None, None, None),
        ("asterisk-ready.xml", Some(Available), open, Some("Ready")),
        ("asterisk-on-the-phone.xml", Some(Busy), open, Some("On the phone")),
        ("asterisk-pjsip-away.xml", Some(Offline), closed, Some("Unavailable")),
        ("kamailio-two-devices.xml", Some(Away), open, Some("On my way")),
        ("kamailio-dummy.xml", Some(Available), open, Some("Available")),
        ("cisco-available.xml", Some(Available), open, None),
        ("cisco-alerting.xml", Some(Busy), open, None),
        ("polycom-on-the-phone.xml", Some(InCall), open, None),
        ("polycom-closed.xml", Some(Offline), closed, None),
        ("yealink-dnd.xml", Some(DoNotDisturb), closed, Some("Do Not Disturb")),
        ("yealink-online.xml", Some(Available), open, None),
        ("freeswitch-talking.xml", Some(InCall), open, Some("Talk 1001")),
    ];
    for (name, status, basic, note) in table {
        let info = read(name);
        assert_eq!(info.status, *status, "{name}");
        assert_eq!(info.basic, *basic, "{name}");
        assert_eq!(info.note.as_ref().map(|note| note.text.as_str()), *note, "{name}");
    }
    let named: BTreeSet<_> = table.iter().map(|row| row.0.to_owned()).collect();
    for file in corpus_files().filter(|file| !file.starts_with("w-s")) {
        assert!(named.contains(&file), "{file} is in the corpus and not in the table");
    }
}

#[test]
fn what_blink_and_linphone_say_of_devices_is_kept() {
    let blink = read("blink-busy.xml");
    assert_eq!(blink.capabilities, ["audio", "message"]);
    assert_eq!(blink.card["display-name"], "Dave");
    assert_eq!(blink.timestamp, Some("2026-03-02T09:00:00.123456Z".parse().unwrap()));
    assert!(blink.devices[0].raw.iter().any(|raw| raw.name == "device-info"));
    assert_eq!(read("linphone-juggling.xml").notes[0].text, "Au cirque");
    let two = read("kamailio-two-devices.xml");
    assert!(two.persons_ambiguous);
    assert_eq!(two.devices.iter().map(|device| device.id.as_deref().unwrap()).collect::<Vec<_>>(), ["mobile", "desk"]);
}

#[test]
fn map_36_every_name_that_may_be_set_is_read_as_the_status_that_it_sets() {
    let words = StatusArg::words().chain(["custom:Tea", "Writing the report", "custom:lunch"]);
    for word in words {
        let chosen = StatusArg::parse(word).unwrap();
        let mut mine = published(chosen.status.clone(), chosen.note.as_deref());
        mine.activities = chosen.activities;
        let body = write(&mine, &bob(), &OpenWhen::default());
        order::check(&body);
        let info = Document::parse(&body, None).unwrap().info(None);
        assert_eq!(info.status, Some(chosen.status), "{word}");
        if Activity::NAMES.contains(&word) && word != "working" {
            assert!(info.activities.iter().any(|activity| activity.name() == word), "{word}");
        }
    }
    assert_eq!(StatusArg::words().count(), 6 + 2 + 23);
}

fn texts() -> impl Strategy<Value = String> {
    let names = Activity::NAMES.iter().copied().chain(["other", "unknown", "busy"]);
    let cases = names.flat_map(|name| {
        let mut title = name.to_owned();
        title[..1].make_ascii_uppercase();
        [name.to_owned(), name.to_uppercase(), title]
    });
    prop_oneof![
        3 => prop::sample::select(cases.collect::<Vec<_>>()),
        2 => "[a-zA-Zé☕<>&\"' \t\r\n\u{0}\u{1b}\u{85}]{1,20}",
        1 => "\\PC{1,40}",
        1 => any::<String>(),
    ]
    .prop_filter("a text that is empty is none", |text| !clean_note(text).is_empty())
}

fn statuses() -> impl Strategy<Value = PresenceStatus> {
    prop_oneof![
        1 => Just(PresenceStatus::Available),
        1 => Just(PresenceStatus::Busy),
        1 => Just(PresenceStatus::Away),
        1 => Just(PresenceStatus::DoNotDisturb),
        1 => Just(PresenceStatus::Offline),
        1 => Just(PresenceStatus::InCall),
        4 => texts().prop_map(PresenceStatus::Custom),
    ]
}

fn further_activities() -> impl Strategy<Value = Vec<Activity>> {
    let named: Vec<_> = Activity::NAMES
        .iter()
        .chain(&["unknown"])
        .filter(|name| **name != "on-the-phone")
        .map(|name| Activity::from_name(name).unwrap())
        .collect();
    let foreign = Just(Activity::Foreign { namespace: "urn:x&y".into(), name: "juggling".into() });
    prop::collection::vec(
        prop_oneof![4 => prop::sample::select(named), 1 => texts().prop_map(Activity::Other), 1 => foreign],
        0..4,
    )
}

fn lists() -> impl Strategy<Value = OpenWhen> {
    prop::sample::subsequence(vec!["busy", "away", "dnd", "in-call", "custom"], 0..=5)
        .prop_map(|words| OpenWhen::from_words(words.into_iter().chain(["available"])).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn map_31_what_is_written_is_read_as_the_same_status_and_note(
        status in statuses(),
        open_when in lists(),
        activities in further_activities(),
        note in prop::option::of(texts()),
        lang in prop::option::of("[a-z]{2}"),
        device in prop::option::of(texts()),
    ) {
        let mut mine = Published::new(status, now());
        mine.note = note;
        mine.note_lang = lang;
        mine.activities = activities;
        mine.device = device;
        let body = write(&mine, &bob(), &open_when);
        order::check(&body);
        let info = Document::parse(&body, None).unwrap().info(None);
        let expected = match &mine.status {
            PresenceStatus::Custom(text) => PresenceStatus::Custom(clean_note(text)),
            other => other.clone(),
        };
        prop_assert_eq!(info.status, Some(expected), "{}", String::from_utf8_lossy(&body));
        prop_assert_eq!(info.note.map(|note| note.text), mine.effective_note());
        let basic = if open_when.is_open(&mine.status) { Basic::Open } else { Basic::Closed };
        prop_assert_eq!(info.basic, Some(basic));
        prop_assert_eq!(info.timestamp, Some(now()));
        prop_assert_eq!(info.device, mine.device.as_deref().map(clean_note));
    }

    #[test]
    fn no_bytes_panic(body in prop::collection::vec(any::<u8>(), 0..300), charset in prop::option::of("[a-z0-9-]{0,12}")) {
        let _ = Document::parse(&body, charset.as_deref());
    }

    #[test]
    fn no_mutation_of_a_document_panics(at in 0..700usize, with in prop::collection::vec(any::<u8>(), 0..6), cut in 0..40usize) {
        for name in ["w-f4.xml", "w-s7.xml", "blink-busy.xml"] {
            let mut body = corpus(name);
            let start = at.min(body.len());
            let end = (start + cut).min(body.len());
            body.splice(start..end, with.iter().copied());
            if let Ok(document) = Document::parse(&body, None) {
                let info = document.info(Some("de"));
                prop_assert!(serde_json::to_string(&info).is_ok());
            }
        }
    }
}

#[test]
fn sec_05_bombs_and_external_entities_are_refused() {
    let laughs = {
        let mut dtd = String::from("<!ENTITY a0 \"ha\">");
        for n in 1..30 {
            write!(dtd, "<!ENTITY a{n} \"&a{0};&a{0};\">", n - 1).unwrap();
        }
        format!(
            "<?xml version=\"1.0\"?><!DOCTYPE presence [{dtd}]><presence xmlns=\"urn:ietf:params:xml:ns:pidf\"><note>&a29;</note></presence>"
        )
    };
    let external = "<!DOCTYPE presence [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><presence xmlns=\"urn:ietf:params:xml:ns:pidf\"><note>&x;</note></presence>";
    for body in [laughs.as_str(), external] {
        let refused = Document::parse(body.as_bytes(), None).unwrap_err();
        assert_eq!(refused, sippresence::presence::pidf::Error::Xml(xml::Error::Doctype));
    }
    let deep = format!("<presence xmlns=\"urn:ietf:params:xml:ns:pidf\">{}", "<x>".repeat(20_000));
    let wide = format!("<presence xmlns=\"urn:ietf:params:xml:ns:pidf\">{}</presence>", "<tuple/>".repeat(8_000));
    let many = format!(
        "<presence xmlns=\"urn:ietf:params:xml:ns:pidf\" {}/>",
        (0..6000).map(|n| format!("a{n}='' ")).collect::<String>()
    );
    let spaces = format!("<presence {}/>", (0..2000).map(|n| format!("xmlns:a{n}='u{n}' ")).collect::<String>());
    let large = format!("<presence xmlns=\"urn:ietf:params:xml:ns:pidf\">{}</presence>", " ".repeat(70_000));
    for body in [deep, wide, many, spaces, large] {
        assert!(Document::parse(body.as_bytes(), None).is_err());
    }
}

#[test]
fn xml_03_an_iso_8859_1_note_is_shown_right() {
    let body = b"<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><presence xmlns=\"urn:ietf:params:xml:ns:pidf\"><note>caf\xe9</note></presence>";
    assert_eq!(Document::parse(body, None).unwrap().info(None).note.unwrap().text, "café");
    let ours = write(&published(PresenceStatus::Available, Some("café")), &bob(), &OpenWhen::default());
    assert!(
        ours.starts_with(b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>")
            && String::from_utf8(ours).unwrap().contains("café")
    );
}

#[test]
fn xml_06_pid_01_02_and_13_every_document_that_we_write_has_the_order_of_the_schemas() {
    for block in ["1", "2", "2b", "3", "3b", "4", "4b", "5", "6", "7", "7b", "8"] {
        order::check(&corpus(&format!("w-s{block}.xml")));
    }
    let mut full = published(PresenceStatus::Custom("lunch".into()), Some("till 1"));
    full.note_lang = Some("en".into());
    full.device = Some("laptop".into());
    full.activities =
        vec![Activity::Foreign { namespace: "urn:x".into(), name: "y".into() }, Activity::Other("z".into())];
    order::check(&write(&full, &bob(), &OpenWhen::default()));
}

#[test]
fn xml_06_the_order_check_itself_refuses_what_is_out_of_order() {
    let broken = [
        ("<tuple id=\"t4q7zk2m9ax\"><status>", "<tuple><status>"),
        ("id=\"t4q7zk2m9ax\"", "id=\"4\""),
        ("id=\"p6hd3w8rnbc\"", "id=\"t4q7zk2m9ax\""),
        ("<basic>closed</basic>", ""),
        ("<rpid:busy/>", "<rpid:unknown/><rpid:busy/>"),
        ("<rpid:busy/>", ""),
        ("priority=\"0.8\"", "priority=\"1.5\""),
        ("<note>Busy</note>", "<note>Busy</note><dm:deviceID>x</dm:deviceID>"),
        ("<dm:timestamp>", "<dm:timestamp>2026-03-02T09:15:00Z</dm:timestamp><dm:timestamp>"),
    ];
    let body = String::from_utf8(corpus("w-s2.xml")).unwrap();
    for (from, to) in broken {
        let body = body.replacen(from, to, 1);
        let found = order::problems(body.as_bytes());
        // A status without basic is legal.
        assert_eq!(found.is_empty(), to.is_empty() && from.contains("basic"), "{from} -> {to}: {found:?}");
    }
}

#[test]
fn every_document_that_is_read_can_be_written_again_and_means_the_same() {
    for name in corpus_files() {
        let document = Document::parse(&corpus(&name), None).unwrap();
        let bytes = document.to_bytes();
        order::check(&bytes);
        let again = Document::parse(&bytes, None).unwrap();
        assert_eq!(again.to_bytes(), bytes, "{name}");
        let (before, after) = (document.info(Some("en")), again.info(Some("en")));
        let said = |info: &PresenceInfo| {
            (info.status.clone(), info.basic, info.activities.clone(), info.note.clone(), info.raw.clone())
        };
        assert_eq!(said(&after), said(&before), "{name}");
    }
    for name in ["w-s9.xml", "blink-busy.xml", "linphone-juggling.xml", "w-s7b.xml"] {
        let document = Document::parse(&corpus(name), None).unwrap();
        assert_eq!(Document::parse(&document.to_bytes(), None).unwrap(), document, "{name}");
    }
}

#[test]
fn what_is_hostile_in_a_document_is_not_written_again() {
    let body = "<presence xmlns='urn:ietf:params:xml:ns:pidf' xmlns:x='urn:x' entity='\"&gt;'><tuple id='4'><status><x:y x:z='&lt;&quot;&#10;'>&lt;&#13;z</x:y></status>\
                <contact>&lt;/contact&gt;</contact></tuple><tuple id='4'/><u:v/><w/><x:a%b/><x:é/></presence>";
    let bytes = Document::parse(body.as_bytes(), None).unwrap().to_bytes();
    order::check(&bytes);
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.contains("<y xmlns=\"urn:x\" xmlns:a0=\"urn:x\" a0:z=\"&lt;&quot;&#10;\">&lt;\nz</y>"), "{text}");
    assert!(text.contains("<contact>&lt;/contact&gt;</contact>") && text.contains("<é xmlns=\"urn:x\"/>"), "{text}");
    assert!(!text.contains("u:v") && !text.contains("<w") && !text.contains("a%b"), "{text}");
}

#[test]
fn every_kind_of_line_holds_against_the_json_schema() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/events.schema.json");
    let schema: serde_json::Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let check = |line: &Line| {
        let json = line.to_json();
        assert!(!json.contains(['\n', '\r']), "{json}");
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        let errors: Vec<_> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{json}: {errors:?}");
        assert_eq!(&Line::from_json(&json).unwrap(), line);
    };
    let subscription = SubscriptionInfo {
        state: "terminated".into(),
        route: Some("directly: peer to peer".into()),
        expires_in: Some(0),
        rates: sippresence::presence::Rates { max: Some("0.1".parse().unwrap()), ..Default::default() },
        reason: Some("probation".into()),
        last_code: Some(FailureCode::Sip(489)),
        next_retry: Some(now()),
    };
    for file in corpus_files() {
        let mut state = PresentityState::new(file.clone());
        state.info = Some(read(&file));
        state.name = Some("Bob".into());
        state.since = Some(now());
        state.since_from = Some(SinceFrom::Peer);
        state.subscription = Some(subscription.clone());
        state.previous = Some(Previous::of(Some(&PresenceStatus::Custom("Tea".into())), Some(now())));
        state.warning = Some("the document is about somebody else".into());
        state.document = Some(String::from_utf8_lossy(&corpus(&file)).as_ref().into());
        for kind in [Kind::Snapshot, Kind::Change, Kind::Freshness] {
            check(&state.to_line(kind, 1, now()));
        }
    }
    for freshness in [
        Freshness::Fresh,
        Freshness::Stale,
        Freshness::Pending,
        Freshness::Rejected,
        Freshness::Failed(FailureCode::Sip(603)),
        Freshness::Failed(FailureCode::Untrusted),
        Freshness::Unknown,
    ] {
        check(&PresentityState { freshness, ..PresentityState::new("bob") }.to_line(Kind::Freshness, 2, now()));
    }
    check(&Line::new(Kind::Ready, 3, now()));
    check(&Line::new(Kind::End, 4, now()));
    check(&Line::error(5, now(), Some("bob"), "cannot resolve \u{1b}"));
    let mut line = Line::new(Kind::Subscription, 6, now());
    line.presentity = Some("bob".into());
    line.subscription = Some(subscription);
    check(&line);
    let moment = Now { at: Instant::default(), wall: now() };
    let tea = || Published { note: Some("n".into()), ..Published::new(PresenceStatus::Custom("Tea".into()), now()) };
    let mut holds = Holds::default();
    check(&Line::publication(7, now(), "sip:a@b", &holds, moment));
    holds.set(tea(), moment);
    for (id, lasts) in [
        ("1", Lasts::of_length(Duration::from_mins(1), moment)),
        ("2", Lasts::Until(now())),
        ("3", Lasts::While { claim_by: None }),
    ] {
        holds.add(Hold { id: id.into(), published: tea(), lasts }, moment).unwrap();
    }
    let mut line = Line::publication(7, now(), "sip:a@b", &holds, moment);
    line.addresses = vec!["sip:a@127.0.0.1:5070".into()];
    assert_eq!((line.layers.len(), line.layers[0].lasts, line.layers[1].until), (4, LayerKind::While, Some(now())));
    check(&line);
    for identity in [WatcherGrade::Claimed, WatcherGrade::Address, WatcherGrade::Verified] {
        let watcher = WatcherInfo {
            via: if identity == WatcherGrade::Verified { Via::Server } else { Via::Direct },
            display_name: Some("Carol".into()),
            reason: Some("approved".into()),
            since: Some(now()),
            decided_at: Some(now()),
            first_seen: Some(now()),
            last_seen: Some(now()),
            expires_in: Some(3600),
            ..WatcherInfo::new(
                "sip:carol@example.com",
                identity,
                if identity == WatcherGrade::Claimed { "polite-block" } else { "pending" },
            )
        };
        check(&Line::watcher(8, now(), watcher));
    }
    assert!(WatcherGrade::Claimed < WatcherGrade::Address && WatcherGrade::Address < WatcherGrade::Verified);

    let wrong = |change: &dyn Fn(&mut Line)| {
        let mut line = PresentityState::new("bob").to_line(Kind::Change, 1, now());
        change(&mut line);
        assert!(!validator.is_valid(&serde_json::to_value(&line).unwrap()));
    };
    wrong(&|line| line.status = None);
    wrong(&|line| line.freshness = None);
    wrong(&|line| line.text = Some("x".into()));
    wrong(&|line| line.freshness = Some(FreshnessWord::Failed));
    wrong(&|line| line.note_lang = Some("de".into()));
    wrong(&|line| line.schema = 2);
}
