use super::*;
use crate::client::{FailureCode, Freshness, Line, PresenceStatus};

fn state(json: &str) -> PresentityState {
    let frame = r#"{"schema":1,"kind":"snapshot","ts":"2026-03-02T09:15:00Z","seq":0,"presentity":"sip:bob@host","#;
    Line::from_json(&format!("{frame}{json}}}")).unwrap().to_state().unwrap()
}

fn busy(note: &str) -> PresentityState {
    let note = serde_json::to_string(note).unwrap();
    state(&format!(r#""status":"busy","freshness":"fresh","since":"2026-03-02T08:30:00Z","note":{note}"#))
}

fn utc(time: &str) -> Zoned {
    time.parse::<Timestamp>().unwrap().to_zoned(jiff::tz::TimeZone::UTC)
}

fn rendered(template: &str, state: &PresentityState) -> String {
    let now = utc("2026-03-02T09:15:30Z");
    Format::parse(template).unwrap().render(state, "2026-03-02T09:15:00Z".parse().unwrap(), &now)
}

#[test]
fn a_template_is_filled_in_with_what_is_known() {
    let bob = busy("meeting");
    assert_eq!(rendered("{icon} {name}: {status} {note} since {since}", &bob), "◐ bob@host: busy meeting since 08:30");
    assert_eq!(
        rendered("{presentity}|{freshness}|{time}|{text}|{code}|{previous}", &bob),
        "sip:bob@host|fresh|09:15:00|||"
    );
    let named = PresentityState { name: Some("Bob".to_owned()), ..bob };
    assert_eq!(rendered("{name}", &named), "Bob");
}

#[test]
fn braces_are_doubled_and_a_backslash_makes_tab_and_line_end() {
    assert_eq!(rendered(r"{{{status}}}\t{name}\n\\t", &busy("")), "{busy}\tbob@host\n\\t");
    assert_eq!(rendered(r"C:\dir {status}", &busy("")), r"C:\dir busy");
}

#[test]
fn a_status_that_is_not_sure_says_so() {
    for (json, shown, code) in [
        (r#""status":"busy","freshness":"stale""#, "busy (stale)", ""),
        (r#""status":"unknown","freshness":"pending""#, "unknown (pending)", ""),
        (r#""status":"unknown","freshness":"failed","code":404"#, "unknown (failed: 404)", "404"),
        (r#""status":"unknown","freshness":"failed","code":"dns""#, "unknown (failed: dns)", "dns"),
        (r#""status":"unknown","freshness":"unknown""#, "unknown", ""),
    ] {
        assert_eq!(rendered("{status}", &state(json)), shown);
        assert_eq!(rendered("{code}{since}", &state(json)), code);
    }
}

#[test]
fn every_field_is_known_and_the_nearest_is_named_to_whoever_mistypes() {
    for name in Field::NAMES {
        assert!(Format::parse(&format!("{{{name}}}")).is_ok(), "{name}");
    }
    for (template, words) in [
        ("{nmae}", "unknown field {nmae}: did you mean `name`?"),
        ("{xyzzyxyzzy}", "unknown field {xyzzyxyzzy}: there are icon, name, status"),
        ("{}", "unknown field {}"),
        ("{status", "a single `{`"),
        ("status}", "a single `}`"),
        ("i3bar", "\"i3bar\" names no field, such as {status}, and no preset: these are tmux and waybar"),
        ("", "names no field"),
        ("{{status}}", "names no field"),
    ] {
        let error = Format::parse(template).unwrap_err().to_string();
        assert!(error.starts_with(words) || error.contains(words), "{template}: {error}");
    }
}

#[test]
fn sec_07_what_a_peer_wrote_is_visible_in_every_field() {
    let evil = "\u{1b}]0;x\u{7}\u{202e}\r";
    let mut state = busy(evil);
    state.presentity = format!("sip:{evil}@host");
    state.name = Some(evil.to_owned());
    if let Some(info) = &mut state.info {
        info.status = Some(PresenceStatus::Custom(evil.to_owned()));
        info.activities = vec![Activity::Other(evil.to_owned())];
        info.device = Some(evil.to_owned());
    }
    state.previous = Some(crate::presence::event::Previous::of(state.status(), None));
    for name in Field::NAMES {
        let shown = rendered(&format!("{{{name}}}"), &state);
        assert!(!shown.chars().any(|c| c.is_control() || c == '\u{202e}'), "{name}: {shown:?}");
    }
    for preset in PRESETS {
        let shown = rendered(preset, &state);
        assert!(!shown.chars().any(|c| c.is_control() || c == '\u{202e}'), "{preset}: {shown:?}");
    }
}

#[test]
fn tmux_gets_no_commands_from_a_note() {
    assert_eq!(rendered("tmux", &busy("#(reboot) #[fg=red]")), "◐ bob@host ##(reboot) ##[fg=red]");
    assert_eq!(rendered("tmux", &busy("")), "◐ bob@host");
}

#[test]
fn waybar_gets_one_json_object_whose_text_is_no_markup() {
    let line = rendered("waybar", &busy("<b>&\"'"));
    let json: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(json["text"], "◐ bob@host");
    assert_eq!(json["alt"], "busy");
    assert_eq!(json["class"], serde_json::json!(["busy", "fresh"]));
    assert_eq!(json["tooltip"], "bob@host: busy: &lt;b&gt;&amp;&quot;&#39;\nsince 08:30");
    let failed = PresentityState { freshness: Freshness::Failed(FailureCode::Dns), ..PresentityState::new("x") };
    let json: serde_json::Value = serde_json::from_str(&rendered("waybar", &failed)).unwrap();
    assert_eq!(json["class"], serde_json::json!(["unknown", "failed"]));
}

#[test]
fn a_time_of_another_day_has_its_date() {
    let now = utc("2026-03-03T09:15:30Z");
    let format = Format::parse("{since}").unwrap();
    assert_eq!(format.render(&busy(""), Timestamp::UNIX_EPOCH, &now), "2026-03-02 08:30");
}
