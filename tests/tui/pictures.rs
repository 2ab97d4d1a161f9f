//! How it looks: scenes on screens of several sizes, held by pictures beside this file.

use std::fmt::Write as _;

use jiff::{Timestamp, tz::TimeZone};
use ratatui::{Terminal, backend::TestBackend, buffer::Buffer, style::Modifier};
use sippresence::{
    client::{Kind, Line, StatusWord, Via, WatcherGrade, text::width},
    tui::{Choice, Keymap, Link, Model, Msg, Theme, update, view},
};

use super::lines::{NOON, buddy, cast, crowd, line, list, publication, state, watcher};

const SIZES: [(u16, u16); 3] = [(40, 12), (80, 24), (120, 40)];

fn model(lines: Vec<Line>, width: u16, height: u16) -> Model {
    let now = NOON.parse::<Timestamp>().unwrap().to_zoned(TimeZone::UTC);
    let mut model = Model::new(Keymap::default(), now, width, height);
    update(&mut model, Msg::Link(Link::Up));
    update(&mut model, Msg::Lines(lines));
    model
}

fn press(model: &mut Model, keys: &str) {
    for key in keys.split(' ').filter(|key| !key.is_empty()) {
        update(model, Msg::Key(key.parse().unwrap()));
    }
}

fn drawn(model: &Model, theme: Theme, width: u16, height: u16) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| view(model, theme, frame)).unwrap();
    terminal.backend().buffer().clone()
}

fn rows(buffer: &Buffer) -> Vec<String> {
    let row = |y: u16| {
        let (mut text, mut x) = (String::new(), 0);
        while x < buffer.area.width {
            let symbol = buffer[(x, y)].symbol();
            text.push_str(symbol);
            x += u16::try_from(width(symbol)).unwrap().max(1);
        }
        text.trim_end().to_owned()
    };
    (0..buffer.area.height).map(row).collect()
}

/// Returns a scene on several screens; `keys` are pressed before it is drawn.
fn scene(lines: fn() -> Vec<Line>, keys: &str, sizes: &[(u16, u16)]) -> String {
    let mut text = String::new();
    for (width, height) in sizes {
        let mut model = model(lines(), *width, *height);
        press(&mut model, keys);
        let buffer = drawn(&model, Theme::plain(), *width, *height);
        writeln!(text, "{width} x {height}\n{}", rows(&buffer).join("\n")).unwrap();
    }
    text
}

fn nobody() -> Vec<Line> {
    vec![list(Vec::new()), publication(StatusWord::Available, "", None), line(Kind::Ready)]
}

fn one() -> Vec<Line> {
    let mut lines = nobody();
    lines[0] = list(vec![buddy("Alice", "alice@example.com", &[])]);
    lines.insert(2, state(Kind::Snapshot, "alice@example.com", "available", "at my desk"));
    lines
}

fn thousand() -> Vec<Line> {
    crowd(1000)
}

#[test]
fn lists_of_nobody_one_and_a_thousand() {
    insta::assert_snapshot!("nobody", scene(nobody, "", &[(10, 3), (40, 12), (80, 24)]));
    insta::assert_snapshot!("one", scene(one, "", &SIZES));
    insta::assert_snapshot!("thousand", scene(thousand, "down down", &[(40, 12), (80, 24)]));
    insta::assert_snapshot!("thousand_at_the_end", scene(thousand, "o end", &[(80, 24)]));
}

#[test]
fn names_and_notes_of_every_script() {
    insta::assert_snapshot!("cast", scene(cast, "", &SIZES));
    insta::assert_snapshot!("cast_on_the_smallest", scene(cast, "", &[(10, 3), (20, 6), (1, 1)]));
    insta::assert_snapshot!("cast_by_status", scene(cast, "o", &[(80, 24)]));
    insta::assert_snapshot!("cast_compact", scene(cast, "c", &[(40, 12), (80, 12)]));
    insta::assert_snapshot!("cast_in_columns", scene(cast, "enter", &[(120, 12)]));
}

#[test]
fn every_window() {
    let sizes = [(40, 12), (80, 24)];
    for (name, keys) in [
        ("help", "?"),
        ("status", "s down"),
        ("status_length", "f right right"),
        ("status_wrong", "f s o enter"),
        ("watchers", "p"),
        ("add", "a"),
        ("add_wrong", "a @ enter"),
        ("edit", "e"),
        ("groups", "m down"),
        ("remove", "d"),
        ("filter", "/ z o"),
        ("filter_without_a_hit", "/ x x"),
        ("command", ": s e t"),
        ("command_wrong", ": s e t t enter"),
    ] {
        insta::assert_snapshot!(format!("window_{name}"), scene(cast, keys, &sizes));
    }
}

#[test]
fn wic_01_who_waits_at_the_server_and_who_left_are_in_the_window_of_watchers() {
    fn elsewhere() -> Vec<Line> {
        let mut lines = cast();
        let mut at_server = watcher("sip:alice@example.com", "pending", WatcherGrade::Verified);
        at_server.watcher.as_mut().unwrap().via = Via::Server;
        lines.extend([at_server, watcher("sip:carol@192.168.1.9", "waiting", WatcherGrade::Address)]);
        lines
    }
    insta::assert_snapshot!("window_watchers_elsewhere", scene(elsewhere, "p", &[(40, 12), (80, 24)]));
}

#[test]
fn everything_about_somebody() {
    insta::assert_snapshot!("detail", scene(cast, "enter", &[(40, 12), (80, 24)]));
    insta::assert_snapshot!("detail_beside", scene(cast, "o end", &[(120, 40)]));
}

#[test]
fn wallboard_log_and_trace() {
    fn changed() -> Vec<Line> {
        let mut lines = cast();
        lines.push(state(Kind::Change, "bob@example.com", "available", "back"));
        lines.push(state(Kind::Change, "dave@192.0.2.7:5070", "busy", "\u{9b}31m"));
        lines
    }
    insta::assert_snapshot!("wallboard", scene(cast, "w", &SIZES));
    insta::assert_snapshot!("wallboard_of_a_group", scene(cast, "w right", &[(80, 24)]));
    insta::assert_snapshot!("log", scene(changed, "l", &[(40, 12), (80, 12)]));
    insta::assert_snapshot!("trace", scene(cast, "t", &[(80, 8)]));
}

#[test]
fn an_agent_that_is_gone() {
    let mut model = model(cast(), 80, 12);
    update(&mut model, Msg::Link(Link::Lost("it is gone".into())));
    insta::assert_snapshot!("lost", rows(&drawn(&model, Theme::plain(), 80, 12)).join("\n"));
}

#[test]
fn without_a_locale_that_has_more_everything_is_ascii() {
    let theme = Theme::detect(Choice::Auto, |name| (name == "TERM").then(|| "vt100".to_owned()));
    let mut model = model(cast(), 80, 24);
    let ascii = rows(&drawn(&model, theme, 80, 24)).join("\n");
    insta::assert_snapshot!("ascii", ascii);
    for keys in ["?", "esc s", "esc p", "esc w"] {
        press(&mut model, keys);
        assert!(rows(&drawn(&model, theme, 80, 24)).iter().all(|row| row.is_ascii()), "{keys}");
    }
}

#[test]
fn sec_07_nothing_that_acts_on_a_terminal_is_ever_drawn() {
    let mut model = model(cast(), 120, 40);
    for keys in ["", "end k k", "enter", "enter o o", "l", "w", "t", "esc", "p", "esc e", "esc m", "esc d", "esc ?"] {
        press(&mut model, keys);
        for row in rows(&drawn(&model, Theme::plain(), 120, 40)) {
            let acts = |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
            assert!(!row.contains(acts), "{keys}: {row:?}");
            assert!(row.len() < 2000, "marks without end: {keys}");
        }
    }
}

#[test]
fn a_state_is_seen_without_colours_too() {
    let mut model = model(cast(), 80, 24);
    let buffer = drawn(&model, Theme::plain(), 80, 24);
    let text = rows(&buffer).join("\n");
    for seen in ["● Alice", "available", "◐ Bob", "busy", "~ Carol", "stale", "? erin", "pending", "! grace", "failed"]
    {
        assert!(text.contains(seen), "{seen}: {text}");
    }
    assert!(buffer.content.iter().all(|cell| cell.fg == ratatui::style::Color::Reset));
    // The line of the cursor is seen as well.
    let row = rows(&buffer).iter().position(|row| row.starts_with('›')).unwrap();
    let cell = &buffer[(5, u16::try_from(row).unwrap())];
    assert!(cell.modifier.contains(Modifier::REVERSED));
    for (term, colorterm) in [("xterm", ""), ("xterm-256color", ""), ("xterm", "truecolor")] {
        let theme = Theme::detect(Choice::Dark, |name| match name {
            "TERM" => Some(term.to_owned()),
            "COLORTERM" => Some(colorterm.to_owned()),
            _ => Some("C.UTF-8".to_owned()).filter(|_| name == "LANG"),
        });
        press(&mut model, "j");
        assert!(drawn(&model, theme, 80, 24).content.iter().any(|cell| cell.fg != ratatui::style::Color::Reset));
    }
}

#[test]
fn every_size_is_drawn() {
    let mut model = model(cast(), 80, 24);
    for keys in ["", "enter", "esc w", "w l", "l p", "esc s", "esc a", "esc m", "esc ?", "esc /", "esc :"] {
        press(&mut model, keys);
        for (width, height) in (0..40).flat_map(|w| (0..12).map(move |h| (w * 3, h))) {
            update(&mut model, Msg::Resize(width, height));
            let _ = drawn(&model, Theme::plain(), width, height);
        }
    }
}
