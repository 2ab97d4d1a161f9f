use super::*;
use crate::presence::{
    info::{PresenceInfo, UserInput},
    status::{Activity, OpenWhen, PresenceStatus},
};

fn document(body: &str) -> Document {
    Document::parse(body.as_bytes(), None).unwrap()
}

/// A document with these children of `presence`.
fn wrap(content: &str) -> String {
    format!(
        "<presence xmlns='urn:ietf:params:xml:ns:pidf' xmlns:dm='urn:ietf:params:xml:ns:pidf:data-model' \
         xmlns:rpid='urn:ietf:params:xml:ns:pidf:rpid' xmlns:ce='urn:cisco:params:xml:ns:pidf:rpid' \
         xmlns:agp='urn:ag-projects:xml:ns:pidf' xmlns:x='urn:example:x' \
         xmlns:sp='tag:sippresence,2026:state' entity='sip:bob@example.com'>{content}</presence>"
    )
}

fn info(content: &str) -> PresenceInfo {
    document(&wrap(content)).info(None)
}

/// One tuple with this status content and a contact, and a person with these activities.
fn of(status: &str, activities: &str) -> PresenceInfo {
    info(&format!(
        "<tuple id='t'><status>{status}</status><contact>sip:bob@example.com</contact></tuple>\
         <dm:person id='p'><rpid:activities>{activities}</rpid:activities></dm:person>"
    ))
}

fn status(status: &str, activities: &str) -> Option<PresenceStatus> {
    of(status, activities).status
}

const OPEN: &str = "<basic>open</basic>";
const CLOSED: &str = "<basic>closed</basic>";

fn marked(basic: &str, word: &str) -> String {
    format!("<basic>{basic}</basic><sp:state>{word}</sp:state>")
}

#[expect(clippy::unnecessary_wraps, reason = "it is compared with what may be none")]
fn custom(text: &str) -> Option<PresenceStatus> {
    Some(PresenceStatus::Custom(text.into()))
}

fn identity() -> Identity {
    Identity::new("sip:bob@192.0.2.20", "sip:bob@192.0.2.20:5060", "urn:uuid:0c9d6b1e-52f4-4f0c-8a37-6e1d2b7a9f10")
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn written(published: &Published) -> String {
    String::from_utf8(write(published, &identity(), &OpenWhen::default())).unwrap()
}

fn published(status: PresenceStatus) -> Published {
    Published::new(status, at("2026-03-02T09:15:00Z"))
}

#[test]
fn xml_04_the_same_names_in_a_foreign_namespace_are_no_presence_document() {
    let prefixed = "<impp:presence xmlns:impp='urn:ietf:params:xml:ns:pidf' entity='sip:a@b'><impp:tuple id='x'><impp:status>\
                    <impp:basic>open</impp:basic></impp:status></impp:tuple></impp:presence>";
    assert_eq!(document(prefixed).info(None).status, Some(PresenceStatus::Available));
    for foreign in ["<presence xmlns='urn:example:x'/>", "<presence/>", "<p:presence/>"] {
        assert!(matches!(Document::parse(foreign.as_bytes(), None), Err(Error::NotPresence { .. })), "{foreign}");
    }
    let inner = info(
        "<x:tuple><status><basic>open</basic></status></x:tuple><tuple><x:status><basic>open</basic></x:status></tuple>",
    );
    assert_eq!((inner.basic, inner.devices.len()), (None, 1));
}

#[test]
fn xml_05_sloppy_order_missing_ids_and_unknown_attributes_never_lose_basic() {
    let sloppy = info(
        "<dm:person x:y='z'><dm:timestamp>2026</dm:timestamp></dm:person><note/>\
         <tuple x='y'><timestamp>now</timestamp><contact priority='9'/><note>hi</note><status z='1'><x:y/><basic x='1'> open\n</basic></status></tuple>",
    );
    assert_eq!(sloppy.basic, Some(Basic::Open));
    assert_eq!(sloppy.status, Some(PresenceStatus::Available));
    assert_eq!(sloppy.note.unwrap().text, "hi");
}

#[test]
fn pid_03_ids_are_ncnames_that_differ_and_follow_from_the_device() {
    let mut all = std::collections::BTreeSet::new();
    for n in 0..1000 {
        let seed = format!("urn:uuid:{n}");
        let (tuple, person) = ids_for(&seed);
        assert_eq!(ids_for(&seed), (tuple.clone(), person.clone()));
        assert!(xml::is_ncname(&tuple) && xml::is_ncname(&person) && tuple.len() == 11);
        all.extend([tuple, person]);
    }
    assert_eq!(all.len(), 2000);
    let clash = Identity { tuple_id: "d1".into(), person_id: "d1x".into(), ..identity() };
    let body = write(
        &Published { device: Some("laptop".into()), ..published(PresenceStatus::Busy) },
        &clash,
        &OpenWhen::default(),
    );
    assert!(String::from_utf8(body).unwrap().contains("<dm:device id=\"d1xx\">"));
}

#[test]
fn pid_04_basic_is_open_or_closed_and_anything_else_is_none() {
    let basic = |content: &str| info(&format!("<tuple id='t'><status>{content}</status><note/></tuple>")).basic;
    assert_eq!(basic("<basic>\n open </basic>"), Some(Basic::Open));
    assert_eq!(basic("<basic>closed</basic>"), Some(Basic::Closed));
    for other in
        ["", "<basic/>", "<basic>OPEN</basic>", "<basic>busy</basic>", "<basic>?</basic>", "<x:basic>open</x:basic>"]
    {
        assert_eq!(basic(other), None, "{other}");
    }
}

#[test]
fn pid_05_a_priority_that_is_none_is_ignored() {
    let read = info(
        "<tuple id='a'><status/><contact>sip:a@x</contact></tuple><tuple id='b'><status/><contact priority='0.8'>sip:b@x</contact></tuple>\
         <tuple id='c'><status/><contact priority='1'>sip:c@x</contact></tuple><tuple id='d'><status/><contact priority='1.5'>sip:d@x</contact></tuple>\
         <tuple id='e'><status/><contact priority=' 0.123 '>sip:e@x</contact></tuple>",
    );
    let order: Vec<_> = read.devices.iter().map(|device| device.id.as_deref().unwrap()).collect();
    assert_eq!(order, ["c", "b", "e", "a", "d"]);
}

#[test]
fn pid_06_the_note_of_the_readers_language_is_shown() {
    let three =
        document(&wrap("<note xml:lang='en'>At my desk</note><note xml:lang='de'>Am Platz</note><note>Hier</note>"));
    let note = |lang| three.info(lang).note.unwrap().text;
    assert_eq!(note(Some("de")), "Am Platz");
    assert_eq!(note(Some("de-AT")), "Am Platz");
    assert_eq!(note(Some("EN-gb")), "At my desk");
    assert_eq!(note(Some("fr")), "Hier");
    assert_eq!(note(None), "Hier");
    let tagged = document(&wrap("<note xml:lang='en-US'>At my desk</note><note xml:lang='den'>x</note>"));
    assert_eq!(tagged.info(Some("de")).note.unwrap().text, "At my desk");
    assert_eq!(tagged.info(Some("en")).notes.len(), 1);
}

#[test]
fn pid_07_timestamps_with_offsets_fractions_and_leap_seconds_are_read() {
    let read = |text: &str| info(&format!("<tuple id='t'><status/><timestamp> {text} </timestamp></tuple>")).timestamp;
    assert_eq!(read("2026-03-02T11:15:00+02:00"), Some(at("2026-03-02T09:15:00Z")));
    assert_eq!(read("2026-03-02T09:15:00.123Z"), Some(at("2026-03-02T09:15:00.123Z")));
    assert_eq!(read("2016-12-31T23:59:60Z"), Some(at("2016-12-31T23:59:59Z")));
    assert_eq!(read("2026-03-02T09:15:00"), Some(at("2026-03-02T09:15:00Z")));
    assert_eq!(read("2026-03-02t09:15:00z"), Some(at("2026-03-02T09:15:00Z")));
    assert_eq!(read("yesterday"), None);
    let body = written(&Published::new(PresenceStatus::Available, at("2026-03-02T11:15:00.987+02:00")));
    assert!(body.contains("<timestamp>2026-03-02T09:15:00Z</timestamp>"));
}

#[test]
fn pid_08_a_timestamp_in_the_future_is_clamped_to_now() {
    let future = document(&wrap("<tuple id='t'><status/><timestamp>2030-01-01T00:00:00Z</timestamp></tuple>"));
    let now = at("2026-03-02T09:15:00Z");
    assert_eq!(future.info_at(None, now).timestamp, Some(now));
    assert_eq!(future.info_at(None, now).devices[0].timestamp, Some(now));
    assert_eq!(future.info(None).timestamp, Some(at("2030-01-01T00:00:00Z")));
}

#[test]
fn pid_08_an_older_tuple_of_the_same_id_is_not_applied() {
    let tuple = |id: &str, basic: &str, at: &str| {
        document(&wrap(&format!(
            "<tuple id='{id}'><status><basic>{basic}</basic></status><timestamp>2026-03-02T{at}:00Z</timestamp></tuple>"
        )))
    };
    let held = tuple("t", "open", "10:00");
    let after = |mut new: Document| {
        new.keep_younger(&held);
        new.info(None).basic
    };
    assert_eq!(after(tuple("t", "closed", "09:59")), Some(Basic::Open));
    assert_eq!(after(tuple("t", "closed", "10:00")), Some(Basic::Closed));
    assert_eq!(after(tuple("u", "closed", "09:59")), Some(Basic::Closed));
}

#[test]
fn pid_09_unknown_elements_are_skipped_with_all_their_content() {
    let read = info(
        "<tuple id='t'><status><basic>open</basic><x:blob><basic>closed</basic><sp:state>dnd</sp:state></x:blob></status>\
         <x:blob><status><basic>closed</basic></status></x:blob></tuple>\
         <x:blob><dm:person><rpid:activities><rpid:busy/></rpid:activities></dm:person><tuple><status><basic>closed</basic></status></tuple></x:blob>",
    );
    assert_eq!(read.status, Some(PresenceStatus::Available));
    assert!(read.activities.is_empty());
    let kept = &read.devices[0].raw[0];
    assert_eq!((kept.namespace.as_str(), kept.name.as_str()), ("urn:example:x", "blob"));
    assert_eq!((kept.children[0].name.as_str(), kept.children[0].text.as_str()), ("basic", "closed"));
    assert_eq!(read.raw[0].children.len(), 2);
}

#[test]
fn pid_10_must_understand_voids_the_unknown_element_only() {
    let inside = info(
        "<tuple id='t'><status><basic>open</basic><x:y mustUnderstand='true'><basic>closed</basic></x:y></status></tuple>",
    );
    let outside = info("<tuple id='t'><status><basic>open</basic></status><x:y mustUnderstand='1'/></tuple>");
    let skipped =
        info("<x:z><x:y mustUnderstand='true'/></x:z><tuple id='t'><status><basic>open</basic></status></tuple>");
    for read in [inside, outside, skipped] {
        assert_eq!(read.status, Some(PresenceStatus::Available));
    }
}

#[test]
fn pid_11_a_document_without_a_tuple_is_valid_and_unknown() {
    let read = info("");
    assert_eq!((read.status, read.basic), (None, None));
    let noted = info("<note>hello</note>");
    assert_eq!((noted.status, noted.note.unwrap().text.as_str()), (None, "hello"));
}

#[test]
fn pid_12_the_entity_is_told_as_it_came() {
    assert_eq!(info("").entity, "sip:bob@example.com");
    assert_eq!(document("<presence xmlns='urn:ietf:params:xml:ns:pidf' entity='bob'/>").info(None).entity, "bob");
    assert_eq!(document("<presence xmlns='urn:ietf:params:xml:ns:pidf'/>").info(None).entity, "");
    let quoted = Identity { entity: "sip:\"b<o>b&\"@x".into(), ..identity() };
    let body = write(&published(PresenceStatus::Offline), &quoted, &OpenWhen::default());
    assert_eq!(Document::parse(&body, None).unwrap().entity, quoted.entity);
}

#[test]
fn pid_14_several_persons_mean_ambiguity_and_absence_means_nothing() {
    let two = info("<dm:person id='a'/><dm:person id='b'/>");
    assert!(two.persons_ambiguous && two.activities.is_empty() && two.user_input.is_none());
    assert!(!info("<dm:person id='a'/>").persons_ambiguous);
}

#[test]
fn pid_15_a_device_id_links_a_tuple_to_its_device() {
    let read = info(
        "<tuple id='t'><status><basic>open</basic></status><dm:deviceID>urn:uuid:1</dm:deviceID></tuple>\
         <dm:device id='d0'><dm:deviceID>urn:uuid:0</dm:deviceID><dm:note>phone</dm:note></dm:device>\
         <dm:device id='d1'><rpid:user-input>idle</rpid:user-input><dm:deviceID>urn:uuid:1</dm:deviceID><dm:note>laptop</dm:note></dm:device>",
    );
    assert_eq!(read.device.as_deref(), Some("laptop"));
    assert_eq!(read.devices[0].device_id.as_deref(), Some("urn:uuid:1"));
    assert!(!read.devices[0].user_input.as_ref().unwrap().active);
    let mut mine = published(PresenceStatus::Available);
    mine.device = Some("my laptop".into());
    let body = written(&mine);
    assert!(body.contains("<dm:device id=\"d") && body.contains("<dm:note>my laptop</dm:note>"));
    assert_eq!(document(&body).info(None).device.as_deref(), Some("my laptop"));
}

#[test]
fn rpi_01_all_27_names_are_read_and_written() {
    for name in Activity::NAMES.into_iter().chain(["other", "unknown"]) {
        let read = of(OPEN, &format!("<rpid:{name}/>"));
        assert_eq!(read.activities, [Activity::from_name(name).unwrap()], "{name}");
        let mut mine = published(PresenceStatus::Busy);
        mine.activities = vec![Activity::from_name(name).unwrap()];
        let body = written(&mine);
        match name {
            "busy" | "unknown" => assert!(body.contains("<rpid:activities><rpid:busy/></rpid:activities>"), "{body}"),
            "other" => assert!(body.contains("<rpid:busy/><rpid:other></rpid:other>"), "{body}"),
            _ => assert!(
                body.contains(&format!("<rpid:activities><rpid:busy/><rpid:{name}/></rpid:activities>")),
                "{body}"
            ),
        }
    }
    assert!(of(OPEN, "").activities.is_empty());
    assert!(!written(&published(PresenceStatus::Available)).contains("activities"));
}

#[test]
fn rpi_02_several_activities_and_the_text_of_other_are_kept() {
    let read = of(
        OPEN,
        "<rpid:note>two things</rpid:note><rpid:working/><rpid:other xml:lang='en'> re&amp;viewing </rpid:other>",
    );
    assert_eq!(read.activities, [Activity::Working, Activity::Other("re&viewing".into())]);
    assert_eq!(read.note.as_ref().unwrap().text, "two things");
    let json = serde_json::to_string(&read).unwrap();
    assert!(json.contains(r#""activities":["working","other:re&viewing"]"#), "{json}");
}

fn person(content: &str) -> PresenceInfo {
    info(&format!("<dm:person id='p' xmlns:lt='urn:ietf:params:xml:ns:location-type'>{content}</dm:person>"))
}

#[test]
fn rpi_03_moods_are_read_by_name() {
    for mood in crate::presence::rpid::MOODS {
        assert_eq!(person(&format!("<rpid:mood><rpid:note>n</rpid:note><rpid:{mood}/></rpid:mood>")).mood, [mood]);
    }
    assert_eq!(person("<rpid:mood><rpid:calm/><rpid:other>zen</rpid:other></rpid:mood>").mood, ["calm", "other:zen"]);
}

#[test]
fn rpi_04_to_06_the_place_and_what_stays_private_are_read() {
    let place = person(
        "<rpid:place-is><rpid:audio><rpid:quiet/></rpid:audio><rpid:text><rpid:ok/></rpid:text></rpid:place-is>\
         <rpid:place-type><lt:office/></rpid:place-type><rpid:privacy><rpid:audio/><rpid:text/></rpid:privacy>",
    );
    let is = place.place_is.unwrap();
    assert_eq!((is.audio.as_deref(), is.video, is.text.as_deref()), (Some("quiet"), None, Some("ok")));
    assert_eq!((place.place_type, place.location.as_deref()), (vec!["office".to_owned()], Some("office")));
    assert_eq!(place.privacy, ["audio", "text"]);
    let other = person("<rpid:place-type><rpid:other>boat</rpid:other></rpid:place-type>");
    assert_eq!(other.place_type, ["other:boat"]);
}

#[test]
fn rpi_07_and_08_relationship_and_service_class_belong_to_the_tuple() {
    let read = info(
        "<tuple id='t'><status/><rpid:relationship><rpid:assistant/></rpid:relationship>\
         <rpid:service-class><rpid:electronic/></rpid:service-class><rpid:class>work</rpid:class></tuple>",
    );
    let device = &read.devices[0];
    assert_eq!(
        (device.relationship.as_deref(), &device.service_class[..]),
        (Some("assistant"), &["electronic".to_owned()][..])
    );
    assert_eq!(device.class, ["work"]);
}

#[test]
fn rpi_09_to_13_sphere_icon_offset_input_and_class_are_read() {
    let read = person(
        "<rpid:class>profile</rpid:class><rpid:sphere><rpid:work/></rpid:sphere><rpid:status-icon>https://x.example/i.png</rpid:status-icon>\
         <rpid:time-offset description='New York'>-300</rpid:time-offset>\
         <rpid:user-input idle-threshold='600' last-input='2026-03-02T09:00:00Z'>idle</rpid:user-input>",
    );
    assert_eq!((read.sphere.as_deref(), &read.class[..]), (Some("work"), &["profile".to_owned()][..]));
    assert_eq!(read.status_icon.as_deref(), Some("https://x.example/i.png"));
    let offset = read.time_offset.unwrap();
    assert_eq!((offset.to_string().as_str(), offset.description.as_deref()), ("UTC-05:00", Some("New York")));
    let idle = UserInput { active: false, idle_threshold: Some(600), last_input: Some(at("2026-03-02T09:00:00Z")) };
    assert_eq!(read.user_input, Some(idle));
    assert_eq!(person("<rpid:sphere>sailing</rpid:sphere>").sphere.as_deref(), Some("sailing"));
    for uri in ["file:///etc/passwd", "javascript:alert(1)", "x"] {
        assert_eq!(person(&format!("<rpid:status-icon>{uri}</rpid:status-icon>")).status_icon, None);
    }
}

#[test]
fn rpi_14_from_and_until_bound_how_long_an_element_holds() {
    let body = document(&wrap(
        "<tuple id='t'><status><basic>open</basic></status></tuple><dm:person id='p'>\
         <rpid:activities from='2026-03-02T09:00:00Z' until='2026-03-02T10:00:00Z'><rpid:note>standup</rpid:note><rpid:meeting/></rpid:activities></dm:person>",
    ));
    let within = body.info_at(None, at("2026-03-02T09:30:00Z"));
    assert_eq!((within.status, within.note.unwrap().text.as_str()), (Some(PresenceStatus::Busy), "standup"));
    for outside in ["2026-03-02T10:00:00Z", "2026-03-02T08:59:59Z"] {
        let info = body.info_at(None, at(outside));
        assert_eq!((info.status, info.note), (Some(PresenceStatus::Available), None));
    }
    assert_eq!(body.changes_after(at("2026-03-02T09:30:00Z")), Some(at("2026-03-02T10:00:00Z")));
    assert_eq!(body.changes_after(at("2026-03-02T10:00:00Z")), None);
}

#[test]
fn ext_01_a_timed_status_never_overrides_the_current_one() {
    let read = info(
        "<tuple id='t'><status><basic>open</basic></status><ts:timed-status xmlns:ts='urn:ietf:params:xml:ns:pidf:timed-status' \
         from='2030-01-01T00:00:00Z'><ts:basic>closed</ts:basic></ts:timed-status></tuple>",
    );
    assert_eq!(read.status, Some(PresenceStatus::Available));
    assert_eq!(read.devices[0].raw[0].name, "timed-status");
}

#[test]
fn ext_02_and_03_card_and_capabilities_are_read() {
    let read = info(
        "<tuple id='t' xmlns:caps='urn:ietf:params:xml:ns:pidf:caps'><status/><caps:servcaps><caps:audio>true</caps:audio><caps:video>false</caps:video>\
         <caps:methods><caps:supported><caps:INVITE/></caps:supported></caps:methods><x:odd/></caps:servcaps></tuple>\
         <dm:person id='p' xmlns:ci='urn:ietf:params:xml:ns:pidf:cipid'><ci:display-name>Bob \u{1b}[2J</ci:display-name>\
         <ci:homepage>http://bob.example</ci:homepage><ci:icon>file:///x</ci:icon></dm:person>",
    );
    assert_eq!(read.capabilities, ["audio", "INVITE"]);
    assert_eq!(read.devices[0].raw[0].children.len(), 4);
    assert_eq!(crate::presence::text::visible(&read.card["display-name"]), "Bob \\u001b[2J");
    assert_eq!((read.card.len(), read.card["homepage"].as_str()), (2, "http://bob.example"));
}

#[test]
fn ext_04_a_location_is_put_into_one_line() {
    let geopriv = |inner: &str| {
        info(&format!(
            "<tuple id='t'><status><gp:geopriv xmlns:gp='urn:ietf:params:xml:ns:pidf:geopriv10'><gp:location-info>{inner}</gp:location-info>\
             <gp:usage-rules/></gp:geopriv></status></tuple>"
        ))
        .location
    };
    let civic = "<c:civicAddress xmlns:c='urn:ietf:params:xml:ns:pidf:geopriv10:civicAddr'><c:country>AT</c:country><c:A3>Wien</c:A3></c:civicAddress>";
    assert_eq!(geopriv(civic).as_deref(), Some("AT, Wien"));
    assert_eq!(
        geopriv("<g:Point xmlns:g='http://www.opengis.net/gml'><g:pos>48.2 16.4</g:pos></g:Point>").as_deref(),
        Some("48.2 16.4")
    );
    assert_eq!(geopriv(""), None);
}

#[test]
fn map_12_available_and_offline_are_sent_without_activities_whatever_the_user_adds() {
    for status in [PresenceStatus::Available, PresenceStatus::Offline] {
        let mut mine = published(status);
        mine.activities = vec![Activity::Meeting];
        assert!(!written(&mine).contains("activities"));
    }
}

#[test]
fn map_13_offline_is_closed_and_nothing_more() {
    let now = at("2026-03-02T09:15:00Z");
    assert_eq!(
        write_offline(&identity(), now),
        write(&published(PresenceStatus::Offline), &identity(), &OpenWhen::default())
    );
    let chosen: crate::presence::status::Chosen = "invisible".parse().unwrap();
    assert_eq!(chosen.status, PresenceStatus::Offline);
}

#[test]
fn map_14_a_note_is_escaped_and_cleaned_before_it_is_sent() {
    let mut mine = published(PresenceStatus::Available);
    mine.note = Some("]]> & <b>\u{0}\u{fffe}\r\nx".into());
    let body = written(&mine);
    assert!(body.contains("<note>]]&gt; &amp; &lt;b&gt;\nx</note>"), "{body}");
    assert_eq!(document(&body).info(None).note.unwrap().text, "]]> & <b>\nx");
    mine.note = Some("x".repeat(5000));
    assert_eq!(document(&written(&mine)).info(None).note.unwrap().text.len(), 1024);
}

#[test]
fn map_10_the_note_is_written_twice_and_its_language_only_if_known() {
    let mut mine = published(PresenceStatus::Busy);
    mine.note = Some("Komme gleich".into());
    mine.note_lang = Some("de".into());
    let body = written(&mine);
    assert!(
        body.contains("<note xml:lang=\"de\">Komme gleich</note>")
            && body.contains("<dm:note xml:lang=\"de\">Komme gleich</dm:note>")
    );
    mine.note_lang = Some("\" x='".into());
    assert!(written(&mine).contains("<note>Komme gleich</note>"));
    mine.note = None;
    mine.note_lang = Some("de".into());
    assert!(written(&mine).contains("<note>Busy</note>"));
}

#[test]
fn map_07_a_custom_text_beside_a_note_of_the_user_keeps_both() {
    for text in ["Deep work", "meeting", "Meeting", "unknown", "other", "on-the-phone"] {
        let mut mine = published(PresenceStatus::Custom(text.into()));
        mine.note = Some("till 5".into());
        let read = document(&written(&mine)).info(None);
        assert_eq!((read.status, read.note.unwrap().text.as_str()), (custom(text), "till 5"), "{text}");
        mine.note = Some(text.to_uppercase());
        let read = document(&written(&mine)).info(None);
        assert_eq!((read.status, read.note.unwrap().text), (custom(text), text.to_uppercase()), "{text}");
    }
    assert!(written(&published(PresenceStatus::Custom("Unknown".into()))).contains("<rpid:unknown/>"));
}

#[test]
fn map_19_a_marker_counts_while_it_stands_beside_what_it_was_written_with() {
    let on = "<rpid:on-the-phone/>";
    let busy = "<rpid:busy/>";
    let away = "<rpid:away/>";
    assert_eq!(status(&marked("closed", "dnd"), ""), Some(PresenceStatus::DoNotDisturb));
    assert_eq!(status(&marked("open", "dnd"), on), Some(PresenceStatus::DoNotDisturb));
    assert_eq!(status(&marked("open", "in-call"), &format!("{busy}{on}")), Some(PresenceStatus::InCall));
    assert_eq!(status(&marked("open", "in-call"), busy), Some(PresenceStatus::Busy));
    assert_eq!(status(&marked("closed", "busy"), &format!("{busy}<rpid:meeting/>")), Some(PresenceStatus::Busy));
    assert_eq!(status(&marked("closed", "busy"), &format!("<rpid:unknown/>{busy}")), Some(PresenceStatus::Busy));
    assert_eq!(status(&marked("closed", "busy"), &format!("{away}{busy}")), Some(PresenceStatus::DoNotDisturb));
    assert_eq!(status(&marked("closed", "busy"), &format!("{busy}{on}")), Some(PresenceStatus::InCall));
    assert_eq!(status(&marked("closed", "busy"), ""), Some(PresenceStatus::Offline));
    assert_eq!(status(&marked("closed", "away"), away), Some(PresenceStatus::Away));
    assert_eq!(status(&marked("open", "away"), busy), Some(PresenceStatus::Busy));
    assert_eq!(
        status(&marked("closed", "custom"), "<rpid:other>Tea</rpid:other><rpid:other>Cake</rpid:other>"),
        custom("Tea")
    );
    assert_eq!(status(&marked("open", "custom"), "<rpid:meeting/>"), Some(PresenceStatus::Busy));
    assert_eq!(status(&marked("open", "available"), busy), Some(PresenceStatus::Available));
    assert_eq!(status(&marked("closed", "available"), busy), Some(PresenceStatus::DoNotDisturb));
    assert_eq!(status(&marked("closed", "offline"), busy), Some(PresenceStatus::Offline));
    assert_eq!(status(&marked("open", "offline"), busy), Some(PresenceStatus::Busy));
}

#[test]
fn map_19_the_text_of_custom_is_that_of_other_else_the_note_that_matched_else_the_tuples_note() {
    let read = |notes: &str, activities: &str| {
        info(&format!(
            "<tuple id='t'><status>{}</status>{notes}</tuple><dm:person id='p'><rpid:activities>{activities}</rpid:activities></dm:person>",
            marked("open", "custom")
        ))
        .status
    };
    assert_eq!(read("<note>n</note>", "<rpid:other>Tea</rpid:other>"), custom("Tea"));
    assert_eq!(
        read("<note>till 5</note><note>MEETING</note>", "<rpid:meeting/><rpid:other>Tea</rpid:other>"),
        custom("MEETING")
    );
    assert_eq!(read("<note>n</note>", "<rpid:other/>"), custom("n"));
    assert_eq!(read("<note>lunch</note>", "<rpid:meeting/>"), Some(PresenceStatus::Busy));
}

#[test]
fn map_08_a_marker_is_a_direct_child_of_status_known_by_namespace_and_exact_word() {
    let busy = "<rpid:busy/>";
    assert_eq!(status("<basic>closed</basic><sp:state> busy\n</sp:state>", busy), Some(PresenceStatus::Busy));
    for none in [
        "<sp:state>Busy</sp:state>",
        "<sp:state>napping</sp:state>",
        "<x:state>busy</x:state>",
        "<x:y><sp:state>busy</sp:state></x:y>",
        "<sp:status>busy</sp:status>",
    ] {
        assert_eq!(status(&format!("{CLOSED}{none}"), busy), Some(PresenceStatus::DoNotDisturb), "{none}");
    }
    let outside = info(
        "<tuple id='t'><status><basic>closed</basic></status><sp:state>away</sp:state></tuple><dm:person id='p'><rpid:activities><rpid:away/></rpid:activities></dm:person>",
    );
    assert_eq!(outside.status, Some(PresenceStatus::Offline));
}

#[test]
fn map_19_of_several_marked_tuples_dnd_speaks_else_the_youngest_else_the_first() {
    let tuple = |word: &str, timestamp: &str| {
        let timestamp = if timestamp.is_empty() {
            String::new()
        } else {
            format!("<timestamp>2026-03-02T{timestamp}:00Z</timestamp>")
        };
        format!(
            "<tuple id='{word}'><status>{}</status><contact>sip:x@y</contact>{timestamp}</tuple>",
            marked("open", word)
        )
    };
    let person = "<dm:person id='p'><rpid:activities><rpid:other>Tea</rpid:other></rpid:activities></dm:person>";
    let read = |tuples: &[(&str, &str)]| {
        let tuples: String = tuples.iter().map(|(word, at)| tuple(word, at)).collect();
        info(&format!("{tuples}{person}")).status
    };
    assert_eq!(read(&[("custom", "10:00"), ("dnd", "09:00")]), Some(PresenceStatus::DoNotDisturb));
    assert_eq!(read(&[("available", "09:00"), ("custom", "10:00")]), custom("Tea"));
    assert_eq!(read(&[("available", ""), ("custom", "10:00")]), custom("Tea"));
    assert_eq!(read(&[("available", ""), ("custom", "")]), Some(PresenceStatus::Available));
    assert_eq!(read(&[("busy", "11:00"), ("custom", "10:00")]), custom("Tea"));
}

#[test]
fn map_20_without_tuple_and_activity_nothing_is_known() {
    assert_eq!(info("<dm:person id='p'><rpid:mood><rpid:calm/></rpid:mood></dm:person>").status, None);
    assert!(Document::parse(b"", None).is_err());
    assert!(Document::parse(b"{}", None).is_err());
    assert_eq!(
        info("<dm:person id='p'><rpid:activities><rpid:busy/></rpid:activities></dm:person>").status,
        Some(PresenceStatus::Busy)
    );
}

#[test]
fn map_21_show_dnd_and_ciscos_dnd_are_do_not_disturb() {
    let show = |word| format!("<show xmlns='jabber:client'>{word}</show>");
    for basic in [OPEN, CLOSED, ""] {
        assert_eq!(
            status(&format!("{basic}{}", show("dnd")), "<rpid:on-the-phone/>"),
            Some(PresenceStatus::DoNotDisturb)
        );
        assert_eq!(status(basic, "<rpid:on-the-phone/><ce:dnd/>"), Some(PresenceStatus::DoNotDisturb));
    }
    assert_eq!(status(&format!("{OPEN}{}", show("chat")), ""), Some(PresenceStatus::Available));
}

#[test]
fn map_22_on_the_phone_is_in_call_whatever_basic_says() {
    for basic in [OPEN, CLOSED, ""] {
        assert_eq!(status(basic, "<rpid:away/><rpid:busy/><rpid:on-the-phone/>"), Some(PresenceStatus::InCall));
    }
    assert_eq!(status(OPEN, "<ce:on-the-phone/>"), Some(PresenceStatus::InCall));
    assert_eq!(status(OPEN, "<rpid:activity> on-the-phone </rpid:activity>"), Some(PresenceStatus::InCall));
}

#[test]
fn map_23_and_24_closed_is_do_not_disturb_with_busy_and_offline_else() {
    assert_eq!(status(CLOSED, "<rpid:meeting/><rpid:busy/>"), Some(PresenceStatus::DoNotDisturb));
    for name in ["away", "meeting", "working", "unknown", "other", "vacation"] {
        assert_eq!(status(CLOSED, &format!("<rpid:{name}/>")), Some(PresenceStatus::Offline), "{name}");
    }
    assert_eq!(status(CLOSED, "<x:odd/>"), Some(PresenceStatus::Offline));
    assert_eq!(status(CLOSED, ""), Some(PresenceStatus::Offline));
    let noted = info("<tuple id='t'><status><basic>closed</basic></status><note>On leave</note></tuple>");
    assert_eq!((noted.status, noted.note.unwrap().text.as_str()), (Some(PresenceStatus::Offline), "On leave"));
}

#[test]
fn map_25_and_26_open_with_an_activity_is_busy_or_away() {
    for name in ["busy", "meeting", "appointment", "presentation", "performance", "steering", "worship"] {
        for basic in [OPEN, ""] {
            let read = of(basic, &format!("<rpid:{name}/>"));
            assert_eq!(read.status, Some(PresenceStatus::Busy), "{name}");
            assert_eq!(read.activities[0].name(), name);
        }
    }
    assert_eq!(status(OPEN, "<ce:alerting/>"), Some(PresenceStatus::Busy));
    for name in [
        "away",
        "holiday",
        "vacation",
        "travel",
        "in-transit",
        "permanent-absence",
        "meal",
        "breakfast",
        "lunch",
        "dinner",
        "shopping",
        "sleeping",
        "spectator",
        "tv",
        "playing",
        "looking-for-work",
    ] {
        assert_eq!(status(OPEN, &format!("<rpid:{name}/>")), Some(PresenceStatus::Away), "{name}");
    }
    for word in ["away", "xa"] {
        assert_eq!(status(&format!("{OPEN}<show xmlns='jabber:client'>{word}</show>"), ""), Some(PresenceStatus::Away));
    }
    assert_eq!(status(&format!("{OPEN}<agp:extended>away</agp:extended>"), ""), Some(PresenceStatus::Away));
    assert_eq!(status(OPEN, "<rpid:away/><rpid:meeting/>"), Some(PresenceStatus::Busy));
}

#[test]
fn map_27_blinks_extended_names_the_status() {
    let extended = |word| status(&format!("{OPEN}<agp:extended>{word}</agp:extended>"), "");
    assert_eq!(extended("busy"), Some(PresenceStatus::Busy));
    assert_eq!(extended("offline"), Some(PresenceStatus::Offline));
    assert_eq!(extended("available"), Some(PresenceStatus::Available));
    assert_eq!(extended("odd"), Some(PresenceStatus::Available));
}

#[test]
fn map_28_other_and_unknown_namespaces_are_custom() {
    assert_eq!(status(OPEN, "<rpid:other>Tea</rpid:other>"), custom("Tea"));
    assert_eq!(status(OPEN, "<x:juggling/>"), custom("juggling"));
    assert_eq!(status(OPEN, "<rpid:working/><x:juggling/>"), custom("juggling"));
    let noted = info(
        "<tuple id='t'><status><basic>open</basic></status><note>Tea</note></tuple><dm:person id='p'><rpid:activities><rpid:other/></rpid:activities></dm:person>",
    );
    assert_eq!(noted.status, custom("Tea"));
}

#[test]
fn map_29_and_30_nothing_said_is_available_if_open_and_unknown_else() {
    for activities in ["", "<rpid:working/>", "<rpid:unknown/>", "<ce:available/>"] {
        assert_eq!(status(OPEN, activities), Some(PresenceStatus::Available), "{activities}");
    }
    let online = "<o:online xmlns:o='http://www.linphone.org/xsds/pidfonline.xsd'/>";
    assert_eq!(status(&format!("{OPEN}{online}"), ""), Some(PresenceStatus::Available));
    assert_eq!(status("", ""), None);
    assert_eq!(status("<basic>?</basic>", ""), None);
    assert_eq!(status("", "<rpid:unknown/>"), None);
}

#[test]
fn activities_come_from_the_youngest_person_first_then_from_the_tuples() {
    let read = info(
        "<tuple id='t'><status><basic>open</basic><e:activities xmlns:e='urn:ietf:params:xml:ns:pidf:status:rpid'><e:lunch/></e:activities></status></tuple>\
         <dm:person id='a'><rpid:activities><rpid:tv/></rpid:activities></dm:person>\
         <dm:person id='b'><rpid:activities><rpid:meal/></rpid:activities><dm:timestamp>2026-03-02T09:00:00Z</dm:timestamp></dm:person>\
         <dm:person id='c'><rpid:activities><rpid:playing/><rpid:tv/></rpid:activities><timestamp>2026-03-02T10:00:00Z</timestamp></dm:person>",
    );
    assert_eq!(read.activities, [Activity::Playing, Activity::Tv, Activity::Meal, Activity::Lunch]);
}

#[test]
fn a_closed_tuple_with_nothing_but_status_is_closed_and_nothing_more() {
    let ended = "<tuple id='t'><status><basic>closed</basic><show xmlns='jabber:client'>dnd</show><sp:state>dnd</sp:state><rpid:activities><rpid:busy/></rpid:activities></status></tuple>";
    assert_eq!(info(ended).status, Some(PresenceStatus::Offline));
    let beside = info(&format!("{ended}<tuple id='u'><status><basic>open</basic></status><note>here</note></tuple>"));
    assert_eq!((beside.status, beside.note.unwrap().text.as_str()), (Some(PresenceStatus::Available), "here"));
    let open = info(&ended.replace("closed", "open"));
    assert_eq!(open.status, Some(PresenceStatus::DoNotDisturb));
}

#[test]
fn map_32_the_note_is_chosen_by_place_then_by_language() {
    let all = wrap(
        "<tuple id='t'><status><basic>open</basic></status><note>tuple</note></tuple><note>presence</note>\
         <dm:person id='p'><rpid:activities><rpid:note xml:lang='de'>Tätigkeit</rpid:note><rpid:note xml:lang='en'>activity</rpid:note><rpid:busy/></rpid:activities>\
         <dm:note>person</dm:note></dm:person>",
    );
    let note = |body: &str, lang| document(body).info(lang).note.unwrap().text;
    assert_eq!(note(&all, Some("en")), "activity");
    assert_eq!(note(&all, None), "Tätigkeit");
    let no_activity = all.replace("rpid:note", "x:note");
    assert_eq!(note(&no_activity, None), "person");
    let no_person = no_activity.replace("dm:note", "x:note");
    assert_eq!(note(&no_person, None), "tuple");
    let no_tuple = no_person.replace("<note>tuple</note>", "");
    assert_eq!(note(&no_tuple, None), "presence");
    let two = info(
        "<tuple id='a'><status><basic>closed</basic></status><note>closed</note></tuple><tuple id='b'><status><basic>open</basic></status><note>open</note></tuple>",
    );
    assert_eq!(two.note.unwrap().text, "open");
    assert_eq!(two.notes[0].text, "closed");
}

#[test]
fn map_33_everything_a_peer_wrote_is_in_the_json() {
    let body = wrap(
        "<tuple id='t'><status><basic>open</basic><x:a b='c'>d</x:a></status><x:e/></tuple><dm:person id='p'><x:f/></dm:person>\
         <dm:device id='d'><dm:deviceID>urn:x</dm:deviceID><x:g/></dm:device><x:h/>",
    );
    let json = serde_json::to_string(&document(&body).info(None)).unwrap();
    for piece in [
        r#"{"namespace":"urn:example:x","name":"a","attributes":{"b":"c"},"text":"d"}"#,
        r#""name":"e""#,
        r#""name":"f""#,
        r#""name":"g""#,
        r#""name":"h""#,
    ] {
        assert!(json.contains(piece), "{piece} in {json}");
    }
}
