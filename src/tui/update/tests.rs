//! What each message makes of the model, and what it asks for.

use jiff::{Timestamp, tz::TimeZone};

use super::*;
use crate::{
    client::{Buddy, Kind, Layer, LayerKind, Line, StatusWord, Via, WatcherGrade, WatcherInfo},
    control::Request,
    tui::{
        effect::{Button, Change, Mouse, Undo},
        rows::{Row, Sort},
        testing::{NOW, buddies, change},
    },
};

fn line(kind: Kind) -> Line {
    Line::new(kind, 0, NOW.parse().unwrap())
}

/// The people of most tests, on a screen of 80 × 24.
fn model() -> Model {
    let now = NOW.parse::<Timestamp>().unwrap().to_zoned(TimeZone::UTC);
    let mut model = Model::new(crate::tui::Keymap::default(), now, 80, 24);
    update(&mut model, Msg::Link(Link::Up));
    let list = buddies(&[
        ("Alice", "alice@h", &["team", "oncall"]),
        ("Bob", "bob@h", &["team"]),
        ("Carol", "carol@h", &["oncall"]),
        ("Dora", "dora@h", &[]),
    ]);
    let mut lines = vec![Line { buddies: list, ..line(Kind::Buddies) }];
    let mut me = change("me@h", "available", "");
    me.kind = Kind::Publication;
    me.layers = vec![layer(LayerKind::Base, StatusWord::Available, None)];
    lines.push(me);
    for (who, status) in [("alice@h", "busy"), ("bob@h", "available"), ("carol@h", "offline")] {
        lines.push(Line { kind: Kind::Snapshot, ..change(who, status, "") });
    }
    lines.push(line(Kind::Ready));
    update(&mut model, Msg::Lines(lines));
    model
}

fn layer(lasts: LayerKind, status: StatusWord, until: Option<&str>) -> Layer {
    Layer { lasts, status, text: None, note: None, until: until.map(|until| until.parse().unwrap()) }
}

fn press(model: &mut Model, keys: &str) -> Vec<Cmd> {
    keys.split(' ').flat_map(|key| update(model, Msg::Key(key.parse().unwrap()))).collect()
}

fn enter(model: &mut Model, text: &str) -> Vec<Cmd> {
    for c in text.chars() {
        update(model, Msg::Key(Key::char(c)));
    }
    press(model, "enter")
}

fn here(model: &Model) -> String {
    match model.rows.all.get(model.cursor) {
        Some(Row::Header(section)) => format!("[{}]", model.rows.sections[*section].title),
        Some(Row::Person { person, .. }) => model.people.list[*person].name.clone(),
        None => "nobody".to_owned(),
    }
}

fn notice(model: &Model) -> &str {
    model.notice.as_ref().map_or("", |notice| notice.words.as_str())
}

fn requests(cmds: &[Cmd]) -> Vec<&Request> {
    cmds.iter()
        .flat_map(|cmd| match cmd {
            Cmd::Ask(order) => order.requests.as_slice(),
            _ => &[],
        })
        .collect()
}

fn changes(cmds: &[Cmd]) -> Vec<&Change> {
    cmds.iter()
        .flat_map(|cmd| match cmd {
            Cmd::Edit(edit) => edit.changes.as_slice(),
            _ => &[],
        })
        .collect()
}

#[test]
fn the_cursor_moves_over_people_and_headers_and_stays_on_the_screen() {
    let mut model = model();
    assert_eq!(here(&model), "Alice", "at first it is on somebody");
    press(&mut model, "j");
    assert_eq!(here(&model), "Bob");
    press(&mut model, "down k home");
    assert_eq!(here(&model), "[team]");
    press(&mut model, "end down");
    assert_eq!(here(&model), "Dora");
    update(&mut model, Msg::Resize(80, 6));
    assert!(model.offset > 0 && model.offset <= model.cursor);
    press(&mut model, "g");
    assert_eq!(model.offset, 0);
}

#[test]
fn the_cursor_stays_on_whom_it_was_when_the_list_changes() {
    let mut model = model();
    press(&mut model, "j");
    let list = buddies(&[("Zoe", "zoe@h", &["team"]), ("Alice", "alice@h", &["team"]), ("Bob", "bob@h", &["team"])]);
    update(&mut model, Msg::Lines(vec![Line { buddies: list, ..line(Kind::Buddies) }]));
    assert_eq!(here(&model), "Bob");
    update(&mut model, Msg::Lines(vec![line(Kind::Buddies)]));
    assert_eq!((here(&model).as_str(), model.cursor), ("nobody", 0));
}

#[test]
fn a_group_folds_and_unfolds() {
    let mut model = model();
    press(&mut model, "left");
    assert_eq!((here(&model).as_str(), model.rows.all.len()), ("[team]", 6));
    press(&mut model, "space");
    assert_eq!(model.rows.all.len(), 8);
    press(&mut model, "enter");
    assert_eq!(model.rows.all.len(), 6);
    press(&mut model, "right");
    assert_eq!(model.rows.all.len(), 8);
}

#[test]
fn sorting_goes_round_and_offline_people_hide() {
    let mut model = model();
    for (sort, words) in [(Sort::Status, "status"), (Sort::Name, "name"), (Sort::Recency, "last change")] {
        press(&mut model, "o");
        assert_eq!((model.wish.sort, notice(&model)), (sort, format!("sorted by {words}").as_str()));
    }
    press(&mut model, "o h");
    assert_eq!((model.wish.sort, model.rows.hidden), (Sort::Group, 2));
    update(&mut model, Msg::Lines(vec![change("carol@h", "busy", "")]));
    assert_eq!(model.rows.hidden, 1, "who is back is shown at once");
}

#[test]
fn a_filter_works_as_it_is_typed_and_escape_clears_it() {
    let mut model = model();
    press(&mut model, "/ c a r");
    assert_eq!((here(&model).as_str(), model.rows.all.len()), ("Carol", 1));
    press(&mut model, "backspace backspace backspace o");
    assert_eq!((here(&model).as_str(), model.rows.all.len()), ("Bob", 3), "the best is first");
    press(&mut model, "backspace c a r enter");
    assert!(matches!(model.mode, Mode::Browse));
    assert_eq!(model.wish.filter, "car");
    press(&mut model, "esc");
    assert_eq!((model.wish.filter.as_str(), model.rows.all.len()), ("", 8));
    press(&mut model, "/ x esc");
    assert_eq!(model.wish.filter, "");
    update(&mut model, Msg::Key(Key::char('/')));
    update(&mut model, Msg::Paste("do\u{1b}ra\n".into()));
    assert_eq!(here(&model), "Dora");
}

#[test]
fn my_status_is_set_with_a_note_and_a_length_and_taken_back() {
    let mut model = model();
    press(&mut model, "s down tab");
    assert!(enter(&mut model, "").len() == 1);
    press(&mut model, "s down tab");
    for c in "in a talk".chars() {
        update(&mut model, Msg::Key(Key::char(c)));
    }
    let cmds = press(&mut model, "tab right right enter");
    let expected = r#"{"cmd":"set","status":"busy","note":"in a talk","for":"1h"}"#;
    assert_eq!(serde_json::to_string(requests(&cmds)[0]).unwrap(), expected);
    let Some(Cmd::Ask(order)) = cmds.into_iter().next() else { panic!("a request") };
    update(&mut model, Msg::Done(Done { undo: order.undo, ..Done::default() }));
    let back = press(&mut model, "u");
    assert_eq!(serde_json::to_string(requests(&back)[0]).unwrap(), r#"{"cmd":"set","status":"available"}"#);
    press(&mut model, "u");
    assert_eq!(notice(&model), "there is nothing to take back");
}

#[test]
fn a_length_that_is_typed_is_read_or_told_to_be_none() {
    let mut model = model();
    press(&mut model, "f");
    enter(&mut model, "soon");
    let Mode::Status(form) = &model.mode else { panic!("the window stays open") };
    assert!(form.error.as_ref().unwrap().contains("is not a time"), "{form:?}");
    press(&mut model, "ctrl-u");
    let cmds = enter(&mut model, "17:00");
    assert!(serde_json::to_string(requests(&cmds)[0]).unwrap().contains("2026-10-19T17:00:00Z"));
}

#[test]
fn a_countdown_wakes_by_the_minute_and_near_its_end_by_the_second() {
    let mut model = model();
    let mut tell = |until| {
        let layers = vec![layer(LayerKind::Until, StatusWord::Busy, Some(until))];
        let lines = vec![Line { layers, presentity: Some("me@h".into()), ..line(Kind::Publication) }];
        update(&mut model, Msg::Lines(lines));
        model.wake_in().map(|left| left.as_secs())
    };
    assert_eq!(tell("2026-10-19T13:00:30Z"), Some(30));
    assert_eq!(tell("2026-10-19T12:01:00Z"), Some(1));
    assert_eq!(tell("2026-10-19T11:00:00Z"), Some(1), "the agent is late");
}

#[test]
fn the_account_that_was_named_comes_first_and_is_the_one_that_is_set() {
    let mut model = model();
    model.me.clear();
    model.prefer(Some("work".into()));
    let of = |account: &str| Line { account: Some(account.into()), ..line(Kind::Publication) };
    update(&mut model, Msg::Lines(vec![of("home"), of("work"), of("lab")]));
    let cmds = press(&mut model, "s enter");
    let [Cmd::Ask(order)] = &cmds[..] else { panic!("one request") };
    assert_eq!(order.account.as_deref(), Some("work"));
}

#[test]
fn a_watcher_waits_and_is_decided_about() {
    let mut model = model();
    let watcher = |who: &str, state: &str| {
        let info = WatcherInfo::new(who, WatcherGrade::Claimed, state);
        Msg::Lines(vec![Line { watcher: Some(info), account: Some("work".into()), ..line(Kind::Watcher) }])
    };
    update(&mut model, watcher("sip:bob@h", "active"));
    update(&mut model, watcher("sip:mallory@h", "pending"));
    assert_eq!((model.waiting(), notice(&model)), (1, "claims to be mallory@h wants to see you"));
    for (key, list) in [("a", "allow"), ("p", "polite-block"), ("b", "block")] {
        let cmds = press(&mut model, &format!("p {key}"));
        let [Cmd::Ask(order)] = &cmds[..] else { panic!("one request") };
        assert_eq!(order.account.as_deref(), Some("work"));
        let decide = Request::Decide { who: vec!["sip:mallory@h".into()], list: Some(list.into()) };
        assert_eq!(order.requests, [decide]);
        press(&mut model, "esc");
    }
    update(&mut model, watcher("sip:mallory@h", "terminated"));
    assert_eq!((model.waiting(), model.watchers.len()), (0, 1));
}

#[test]
fn wic_01_who_waits_at_the_server_is_told_once_and_stands_beside_who_waits_here() {
    let mut model = model();
    let watcher = |state: &str, via| {
        let info = WatcherInfo { via, ..WatcherInfo::new("sip:mallory@h", WatcherGrade::Verified, state) };
        Msg::Lines(vec![Line { watcher: Some(info), ..line(Kind::Watcher) }])
    };
    update(&mut model, watcher("pending", Via::Server));
    assert_eq!((model.waiting(), notice(&model)), (1, "mallory@h wants to see you"));
    model.say("something else");
    // It left, which changes nothing for us.
    update(&mut model, watcher("waiting", Via::Server));
    assert_eq!((model.waiting(), notice(&model)), (1, "something else"));
    update(&mut model, watcher("pending", Via::Direct));
    assert_eq!((model.waiting(), model.watchers.len()), (2, 2));
    update(&mut model, watcher("terminated", Via::Server));
    assert_eq!((model.waiting(), model.watchers[0].info.via), (1, Via::Direct));
}

#[test]
fn somebody_is_added_to_the_group_of_the_cursor() {
    let mut model = model();
    press(&mut model, "a");
    assert_eq!(changes(&press(&mut model, "enter")).len(), 0);
    let Mode::Buddy(form) = &model.mode else { panic!("the window stays open") };
    assert_eq!(form.error.as_deref(), Some("it is empty"));
    update(&mut model, Msg::Paste("eve@h".into()));
    press(&mut model, "tab");
    let cmds = enter(&mut model, "Eve");
    let eve = &buddies(&[("Eve", "eve@h", &["team"])])[0];
    assert_eq!(changes(&cmds), [&Change::Add(eve.clone())]);
}

#[test]
fn somebody_is_edited_moved_marked_and_removed() {
    let mut model = model();
    let alice = model.people.list[0].buddy.clone();
    press(&mut model, "e tab ctrl-u");
    let cmds = enter(&mut model, "Alicia");
    let after = Buddy { name: Some("Alicia".into()), ..alice.clone() };
    assert_eq!(changes(&cmds), [&Change::Replace { before: alice.clone(), after }]);
    let cmds = press(&mut model, "m space enter");
    let after = Buddy { groups: vec!["oncall".into()], ..alice.clone() };
    assert_eq!(changes(&cmds), [&Change::Replace { before: alice.clone(), after }]);
    let cmds = press(&mut model, "*");
    let after = Buddy { mark: true, ..alice.clone() };
    assert_eq!(changes(&cmds), [&Change::Replace { before: alice.clone(), after }]);
    assert!(press(&mut model, "d n").is_empty());
    assert_eq!(changes(&press(&mut model, "d y")), [&Change::Remove(alice)]);
    press(&mut model, "home d");
    assert_eq!(notice(&model), "go to somebody on the list first");
}

#[test]
fn a_change_of_the_list_can_be_taken_back() {
    let mut model = model();
    let undo = Undo { words: "taken back".into(), what: Taken::List(vec![Change::Add(Buddy::new("x@h"))]) };
    update(&mut model, Msg::Done(Done { words: "removed x@h".into(), undo: Some(undo), ..Done::default() }));
    assert_eq!(notice(&model), "removed x@h");
    assert_eq!(changes(&press(&mut model, "u")), [&Change::Add(Buddy::new("x@h"))]);
}

#[test]
fn the_bell_rings_when_somebody_marked_becomes_available() {
    let mut model = model();
    let marked = Buddy { mark: true, ..model.people.list[0].buddy.clone() };
    update(&mut model, Msg::Lines(vec![Line { buddies: vec![marked], ..line(Kind::Buddies) }]));
    let cmds = update(&mut model, Msg::Lines(vec![change("alice@h", "available", "")]));
    assert_eq!(cmds, [Cmd::Ring("Alice is available".to_owned())]);
    assert_eq!(notice(&model), "Alice is available");
    assert!(update(&mut model, Msg::Lines(vec![change("alice@h", "available", "x")])).is_empty());
    // A doubt that passes is no arrival, and neither is what an agent tells that is back.
    let mut doubtful = change("alice@h", "available", "x");
    doubtful.set_freshness(crate::client::Freshness::Stale);
    assert!(update(&mut model, Msg::Lines(vec![doubtful, change("alice@h", "available", "x")])).is_empty());
    update(&mut model, Msg::Link(Link::Lost("it is gone".into())));
    update(&mut model, Msg::Link(Link::Up));
    let told = Line { kind: Kind::Snapshot, ..change("alice@h", "busy", "") };
    assert!(update(&mut model, Msg::Lines(vec![told, change("alice@h", "available", "")])).is_empty());
}

#[test]
fn an_agent_that_is_gone_makes_everything_stale_until_it_is_back() {
    let mut model = model();
    update(&mut model, Msg::Link(Link::Lost("it is gone".into())));
    assert_eq!(model.people.of(1).unwrap().state.freshness.word(), "stale");
    assert_eq!(model.rows.sections[0].available, 0);
    update(&mut model, Msg::Link(Link::Up));
    assert!(model.me.is_empty() && model.watchers.is_empty(), "it tells them again");
    update(&mut model, Msg::Lines(vec![Line { kind: Kind::Snapshot, ..change("bob@h", "busy", "") }]));
    assert_eq!(model.people.of(1).unwrap().state.freshness.word(), "fresh");
    assert_eq!(model.log.len(), 1, "what changed meanwhile is a change");
}

#[test]
fn commands_are_those_of_the_command_line() {
    let mut model = model();
    for (text, expected) in [
        (
            "set busy --note 'in a talk' --until 17:30",
            r#"{"cmd":"set","status":"busy","note":"in a talk","until":"2026-10-19T17:30:00Z"}"#,
        ),
        ("clear", r#"{"cmd":"clear"}"#),
        ("watchers block mallory@h", r#"{"cmd":"decide","who":["sip:mallory@h"],"list":"block"}"#),
        ("watchers forget mallory@h", r#"{"cmd":"decide","who":["sip:mallory@h"]}"#),
    ] {
        press(&mut model, ":");
        let cmds = enter(&mut model, text);
        assert_eq!(serde_json::to_string(requests(&cmds)[0]).unwrap(), expected, "{text}: {}", notice(&model));
    }
    press(&mut model, ":");
    assert_eq!(changes(&enter(&mut model, "group add night alice Carol")).len(), 2);
    press(&mut model, ":");
    assert_eq!(changes(&enter(&mut model, "buddies remove alice")).len(), 1);
    press(&mut model, ":");
    assert_eq!(changes(&enter(&mut model, "add eve@h --name Eve --group team")).len(), 1);
    press(&mut model, ":");
    assert_eq!(enter(&mut model, "quit"), [Cmd::Quit]);
}

#[test]
fn a_command_that_is_none_says_what_would_be_one() {
    let mut model = model();
    for (text, words) in [
        ("sett busy", "no command \"sett\": did you mean `set`?"),
        ("set bussy", "did you mean"),
        ("set", "write set STATUS"),
        ("set busy talk", "put a note in quotes"),
        ("remove Alise", "nobody on the list is \"Alise\": did you mean `Alice`?"),
        ("add alice@h", "Alice is on the list already"),
        ("sort colour", "group, status, name or change"),
        ("set 'busy", "a quote ' is never closed"),
    ] {
        press(&mut model, ":");
        assert!(enter(&mut model, text).is_empty(), "{text}");
        assert!(notice(&model).contains(words), "{text}: {}", notice(&model));
    }
    press(&mut model, ": x backspace backspace");
    assert!(matches!(model.mode, Mode::Browse), "as in vi");
}

#[test]
fn log_trace_and_wallboard_come_and_go() {
    let mut model = model();
    update(&mut model, Msg::Lines((0..50).map(|n| change("bob@h", "busy", &n.to_string())).collect()));
    press(&mut model, "l k k");
    assert_eq!((model.screen, model.back), (Screen::Log, 2));
    update(&mut model, Msg::Lines(vec![change("bob@h", "away", "")]));
    assert_eq!(model.back, 3, "who reads further up goes on reading the same");
    assert_eq!(press(&mut model, "t"), [Cmd::Trace(true)]);
    assert_eq!(press(&mut model, "w"), [Cmd::Trace(false)]);
    press(&mut model, "right right right right");
    assert_eq!(model.wall, 2, "there are two groups, and everybody");
    press(&mut model, "esc");
    assert_eq!(model.screen, Screen::List);
    assert_eq!(press(&mut model, "q"), [Cmd::Quit]);
}

#[test]
fn the_mouse_chooses_opens_and_scrolls() {
    let mut model = model();
    let click = |row| Msg::Mouse(Mouse { what: Button::Click, column: 5, row });
    update(&mut model, click(5));
    assert_eq!(here(&model), "Bob");
    assert_eq!(model.detail, None);
    update(&mut model, click(5));
    assert_eq!(model.detail, Some(true));
    press(&mut model, "esc");
    update(&mut model, click(3));
    assert_eq!(model.rows.all.len(), 6, "a click on a header folds");
    update(&mut model, Msg::Mouse(Mouse { what: Button::WheelDown, column: 5, row: 9 }));
    assert_eq!(model.cursor, 3);
    update(&mut model, click(0));
    assert!(matches!(model.mode, Mode::Status(_)));
}

#[test]
fn every_key_in_every_window_is_taken_without_harm() {
    let keys: Vec<Key> =
        ["a", "space", "enter", "esc", "tab", "backtab", "up", "down", "left", "right", "pageup", "end"]
            .iter()
            .chain(&["backspace", "delete", "ctrl-w", "alt-x", "f5", "q", "?", "/", ":", "漢", "G", "*", "u"])
            .map(|key| key.parse().unwrap())
            .collect();
    for (width, height) in [(80, 24), (10, 3), (0, 0)] {
        let mut base = model();
        update(&mut base, Msg::Resize(width, height));
        for open in ["?", "s", "n", "f", "p", "/", ":", "a", "e", "m", "d", "w", "l", "t", "enter"] {
            for first in &keys {
                let mut model = base.clone();
                press(&mut model, open);
                update(&mut model, Msg::Key(*first));
                for second in &keys {
                    update(&mut model, Msg::Key(*second));
                }
            }
        }
    }
}

#[test]
fn a_document_is_fetched_shown_and_gone_with_the_state_that_it_told() {
    let mut model = model();
    update(&mut model, Msg::Lines(vec![change("alice@h", "available", "")]));
    let cmds = press(&mut model, "D");
    assert_eq!(cmds, [Cmd::Fetch("alice@h".to_owned())]);
    let document = Some(("alice@h".to_owned(), "<presence/>".to_owned()));
    update(&mut model, Msg::Done(Done { document, ..Done::default() }));
    let shown = |model: &Model| model.current_person().and_then(|(_, watched)| watched.state.document.clone());
    assert_eq!(shown(&model).as_deref(), Some("<presence/>"));
    update(&mut model, Msg::Lines(vec![change("alice@h", "busy", "")]));
    assert_eq!(shown(&model), None);
}
