//! Rules of whatever program: what is known of them, and what is not.

use super::*;

const NAMES: &str = "xmlns=\"urn:ietf:params:xml:ns:common-policy\" xmlns:pr=\"urn:ietf:params:xml:ns:pres-rules\" \
                     xmlns:sp=\"tag:sippresence,2026:policy\" xmlns:x=\"urn:x\"";

/// Reads one rule with these conditions, actions and transformations; and what was not understood of it.
fn rule_of(conditions: &str, actions: &str, transformations: &str) -> (Rule, Vec<String>) {
    let text = format!(
        "<ruleset {NAMES}><rule id=\"r\"><conditions>{conditions}</conditions><actions>{actions}</actions>\
         <transformations>{transformations}</transformations></rule></ruleset>"
    );
    let mut read = read_rules(text.as_bytes(), &TimeZone::UTC).unwrap();
    (read.rules.remove(0), read.not_understood.iter().map(|one| one.what.clone()).collect())
}

fn shown_by(transformations: &str) -> (Shown, Vec<String>) {
    let (rule, unknown) = rule_of("", "<pr:sub-handling>allow</pr:sub-handling>", transformations);
    (Shown::clone(&rule.shown), unknown)
}

#[test]
fn pol_04_identities_of_any_program_are_read_and_what_cannot_be_told_is_left_out() {
    let one = |who: &str| Who::One(who.into());
    let many =
        |domain: Option<&str>, except: &[Except]| Who::Many { domain: domain.map(Into::into), except: except.to_vec() };
    let (bob, bad) = (Except::One("sip:bob@h".into()), Except::Domain("bad.example".into()));
    for (identity, expected, unknown) in [
        ("<one id=\"sips:bob@H:5061\"/><one id=' tel:+43-1 '/>", vec![one("sip:bob@h"), one("tel:+431")], 0),
        ("<many/>", vec![many(None, &[])], 0),
        (
            "<many domain='Example.com'><except id='pres:bob@h'/></many><many><except domain='BAD.example'/></many>",
            vec![many(Some("example.com"), std::slice::from_ref(&bob)), many(None, std::slice::from_ref(&bad))],
            0,
        ),
        ("<many><except id='bob@h' domain='bad.example'/></many>", vec![many(None, &[bob, bad])], 0),
        ("", vec![], 0),
        ("<one/><one id=''/><one id='a@h'><x:on/></one><x:other-identity/>", vec![], 4),
        ("<many domain=''/><many><except/></many><many><x:except id='a@h'/></many>", vec![], 3),
        ("<many><except id='a@h'><x:on/></except></many><one id='a@h'/>", vec![one("sip:a@h")], 1),
    ] {
        let (rule, told) = rule_of(&format!("<identity>{identity}</identity>"), "", "");
        assert_eq!((rule.who, told.len()), (Some(expected), unknown), "{identity}");
        assert!(!rule.unknown);
    }
    assert_eq!(rule_of("", "", "").0.who, None);
}

#[test]
fn pol_08_a_condition_that_is_not_known_never_holds_and_neither_does_one_that_says_nothing() {
    for condition in [
        "<x:when/>",
        "<pr:identity/>",
        "<identity/><identity/>",
        "<sphere/>",
        "<sphere value=' '/>",
        "<sphere value='work'/><sphere value='home'/>",
        "<sphere value='work'><x:on/></sphere>",
        "<validity/>",
        "<validity><from>2026-12-01T00:00:00Z</from></validity>",
        "<validity><until>2026-12-01T00:00:00Z</until><from>2026-12-01T00:00:00Z</from></validity>",
        "<validity><from>yesterday</from><until>2026-12-01T00:00:00Z</until></validity>",
        "<sp:times/>",
        "<sp:times><sp:weekly days='mon' from='08:00' until='18:00'/><x:on/></sp:times>",
        "<sp:times zone='Mars/Olympus'><sp:weekly days='mon' from='08:00' until='18:00'/></sp:times>",
        "<sp:times><sp:weekly days='' from='08:00' until='18:00'/></sp:times>",
        "<sp:times><sp:weekly days='mon' from='08:00' until='24:30'/></sp:times>",
        "<sp:times><sp:weekly days='mon' from='+8:00' until='18:00'/></sp:times>",
        "<sp:times><sp:weekly days='mon' from='08:00' until='18:00' each='2'/></sp:times>",
        "<sp:spheres/>",
        "<sp:nobody><x:on/></sp:nobody>",
    ] {
        let (rule, told) = rule_of(condition, "<pr:sub-handling>allow</pr:sub-handling>", "");
        assert!(rule.unknown && told.len() == 1, "{condition}: {told:?}");
    }
    let twice =
        format!("<ruleset {NAMES}><rule id='r'><conditions/><conditions><x:when/></conditions></rule></ruleset>");
    assert!(read_rules(twice.as_bytes(), &TimeZone::UTC).unwrap().rules[0].unknown);
}

#[test]
fn pol_06_and_07_validity_and_spheres_of_any_program_are_read() {
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let (rule, told) = rule_of(
        "<validity><from>2026-12-01T00:00:00+01:00</from><until>2026-12-02T00:00:00Z</until>\
         <from>2026-12-24T00:00:00Z</from><until>2026-12-27T00:00:00Z</until></validity><sphere value=' work  home '/>",
        "",
        "",
    );
    let dates = |from, until| Dates { from: at(from), until: at(until) };
    assert_eq!(
        rule.times.dates,
        [dates("2026-11-30T23:00:00Z", "2026-12-02T00:00:00Z"), dates("2026-12-24T00:00:00Z", "2026-12-27T00:00:00Z")]
    );
    assert_eq!((rule.spheres, rule.unknown, told), (vec!["work".into(), "home".into()], false, vec![]));
}

#[test]
fn pol_11_services_persons_and_devices_are_selected_as_rfc_5025_has_it() {
    let only = |pick: Pick| Select::Only([pick].into());
    let of = |kind: &str, what: &str| {
        let (shown, told) = shown_by(&format!("<pr:provide-{kind}>{what}</pr:provide-{kind}>"));
        let select = match kind {
            "services" => shown.services,
            "persons" => shown.persons,
            _ => shown.devices,
        };
        (select, told.len())
    };
    for (kind, what, expected, unknown) in [
        ("services", "<pr:all-services/>", Select::All, 0),
        ("persons", "<pr:all-persons/>", Select::All, 0),
        ("devices", "<pr:all-devices/>", Select::All, 0),
        ("services", "<pr:class> work </pr:class>", only(Pick::Class("work".into())), 0),
        ("persons", "<pr:class>work</pr:class>", only(Pick::Class("work".into())), 0),
        ("devices", "<pr:class>work</pr:class>", only(Pick::Class("work".into())), 0),
        ("services", "<pr:occurrence-id>t1</pr:occurrence-id>", only(Pick::Occurrence("t1".into())), 0),
        ("services", "<pr:service-uri>sip:a@h</pr:service-uri>", only(Pick::Uri("sip:a@h".into())), 0),
        ("services", "<pr:service-uri-scheme>tel</pr:service-uri-scheme>", only(Pick::Scheme("tel".into())), 0),
        ("devices", "<pr:deviceID>urn:uuid:1</pr:deviceID>", only(Pick::Device("urn:uuid:1".into())), 0),
        (
            "devices",
            "<d:deviceID xmlns:d='urn:ietf:params:xml:ns:pidf:data-model'>urn:uuid:1</d:deviceID>",
            only(Pick::Device("urn:uuid:1".into())),
            0,
        ),
        // What is not known, or of another kind, selects nothing.
        ("services", "<pr:all-persons/><pr:deviceID>urn:uuid:1</pr:deviceID><x:all-services/>", Select::default(), 3),
        ("persons", "<pr:service-uri>sip:a@h</pr:service-uri><pr:class/><x:class>a</x:class>", Select::default(), 3),
        ("services", "", Select::default(), 0),
    ] {
        assert_eq!(of(kind, what), (expected, unknown), "{kind} {what}");
    }
    let both = of("services", "<pr:class>a</pr:class><pr:occurrence-id>t</pr:occurrence-id>").0;
    assert_eq!(both, Select::Only([Pick::Class("a".into()), Pick::Occurrence("t".into())].into()));
}

#[test]
fn pol_12_every_attribute_is_granted_by_its_word_and_by_no_other_value_than_true() {
    for (word, name) in [
        ("activities", "activities"),
        ("class", "class"),
        ("mood", "mood"),
        ("note", "note"),
        ("privacy", "privacy"),
        ("relationship", "relationship"),
        ("sphere", "sphere"),
        ("icon", "status-icon"),
    ] {
        for (value, granted) in [("true", true), (" 1 ", true), ("false", false), ("0", false)] {
            let (shown, told) = shown_by(&format!("<pr:provide-{name}>{value}</pr:provide-{name}>"));
            let expected = if granted { Shown::of_words([word]).unwrap().details } else { [].into() };
            let status = crate::presence::policy::Detail::Status;
            let without = |mut details: std::collections::BTreeSet<_>| (details.remove(&status), details).1;
            assert_eq!((without(shown.details), told.len()), (without(expected), 0), "{name} {value}");
        }
        for value in ["TRUE", "yes", ""] {
            let (shown, told) = shown_by(&format!("<pr:provide-{name}>{value}</pr:provide-{name}>"));
            assert_eq!((shown, told.len()), (Shown::default(), 1), "{name} {value}");
        }
    }
    for (level, expected) in [
        ("false", UserInputShown::Nothing),
        ("bare", UserInputShown::Bare),
        ("thresholds", UserInputShown::Thresholds),
        ("full", UserInputShown::Full),
        ("true", UserInputShown::Nothing),
    ] {
        assert_eq!(shown_by(&format!("<pr:provide-user-input>{level}</pr:provide-user-input>")).0.user_input, expected);
    }
}

#[test]
fn pol_13_an_element_of_another_namespace_is_granted_by_both_its_names() {
    let unknown = |attributes: &str, value: &str| {
        shown_by(&format!("<pr:provide-unknown-attribute {attributes}>{value}</pr:provide-unknown-attribute>"))
    };
    assert!(unknown("ns='urn:x' name='foo'", "true").0.has_element("urn:x", "foo"));
    for (attributes, value) in [("ns='urn:x'", "true"), ("name='foo'", "true"), ("ns='urn:x' name='foo'", "false")] {
        assert_eq!(unknown(attributes, value).0, Shown::default());
    }
    assert!(shown_by("<pr:provide-all-attributes/>").0.all_details);
    assert!(!shown_by("<pr:provide-all-attributes>false</pr:provide-all-attributes>").0.all_details);
}

#[test]
fn pol_16_actions_and_transformations_that_are_not_known_grant_nothing_and_are_told() {
    for (actions, expected, unknown) in [
        ("", Action::Block, 0),
        ("<pr:sub-handling>allow</pr:sub-handling>", Action::Allow, 0),
        ("<pr:sub-handling>polite-block</pr:sub-handling>", Action::PoliteBlock, 0),
        ("<pr:sub-handling>confirm</pr:sub-handling>", Action::Ask, 0),
        ("<pr:sub-handling>ask</pr:sub-handling>", Action::Block, 1),
        ("<sub-handling>allow</sub-handling><x:sub-handling>allow</x:sub-handling>", Action::Block, 2),
        ("<pr:sub-handling>allow</pr:sub-handling><x:ring/>", Action::Allow, 1),
        ("<pr:sub-handling>allow</pr:sub-handling><pr:sub-handling>confirm</pr:sub-handling>", Action::Ask, 0),
    ] {
        let (rule, told) = rule_of("", actions, "");
        assert_eq!((rule.action, told.len()), (expected, unknown), "{actions}");
        assert!(!rule.unknown);
    }
    let (shown, told) = shown_by("<x:provide-note>true</x:provide-note><pr:provide-tea>true</pr:provide-tea>");
    assert_eq!(shown, Shown::default());
    assert_eq!(told, ["{urn:x}provide-note", "{urn:ietf:params:xml:ns:pres-rules}provide-tea"]);
    // In place of what is not known must not stand the truth.
    for instead in [
        "<sp:instead/>",
        "<sp:instead status='offline'/>",
        "<sp:instead status='odd'/>",
        "<sp:instead status='busy' x:y='z'/>",
    ] {
        assert!(rule_of("", "", instead).0.unknown, "{instead}");
    }
}

#[test]
fn pol_16_ids_are_names_of_xml_and_each_is_there_once() {
    let ids = |ids: &[&str]| {
        let rules: Vec<String> = ids.iter().map(|id| format!("<rule id='{id}'/>")).collect();
        let rules = rules.concat();
        read_rules(format!("<ruleset {NAMES}>{rules}</ruleset>").as_bytes(), &TimeZone::UTC)
    };
    assert_eq!(ids(&["a", "é-1", "_b.c"]).unwrap().rules.len(), 3);
    for wrong in ["", "1a", "a b", "a:b"] {
        assert_eq!(ids(&["a", wrong]), Err(RulesError::NoId(wrong.to_owned())), "{wrong}");
    }
    assert_eq!(ids(&["a", "b", "a"]), Err(RulesError::Twice));
    let none = format!("<ruleset {NAMES}><rule/></ruleset>");
    assert_eq!(read_rules(none.as_bytes(), &TimeZone::UTC), Err(RulesError::NoId(String::new())));
    // A document with such a rule is brought up to date all the same: it is another program's.
    assert!(update(none.as_bytes(), &Policy::default()).unwrap().contains("<rule/>"));
}
