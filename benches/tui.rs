//! What a picture of the buddy list costs: ten thousand people, and changes as they come in between two pictures.

use std::time::Duration;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use jiff::{Timestamp, tz::TimeZone};
use ratatui::{Terminal, backend::TestBackend};
use sippresence::{
    client::{Buddy, Freshness, Kind, Line, PresenceStatus},
    tui::{Keymap, Link, Model, Msg, Theme, key::Key, update, view},
};

const PEOPLE: usize = 10_000;
/// A thousand changes a second, thirty pictures.
const BETWEEN: usize = 34;

fn at() -> Timestamp {
    Timestamp::from_second(1_800_000_000).expect("a time")
}

fn change(n: usize) -> Line {
    let statuses = [PresenceStatus::Available, PresenceStatus::Busy, PresenceStatus::Away, PresenceStatus::Offline];
    let mut line = Line::new(Kind::Change, 0, at());
    line.presentity = Some(format!("person{}@example.com", n % PEOPLE));
    line.set_status(statuses.get((n / 7) % 4));
    line.set_freshness(Freshness::Fresh);
    line.note = Some(format!("note {n}"));
    line.since = Some(at());
    line
}

fn model(order: usize) -> Model {
    let mut model = Model::new(Keymap::default(), at().to_zoned(TimeZone::UTC), 120, 40);
    update(&mut model, Msg::Link(Link::Up));
    let mut list = Line::new(Kind::Buddies, 0, at());
    list.buddies = (0..PEOPLE)
        .map(|n| {
            let mut buddy = Buddy::new(format!("sip:person{n}@example.com"));
            buddy.name = Some(format!("Person {n}"));
            buddy.groups = vec![format!("group {}", n % 100)];
            buddy
        })
        .collect();
    let states = (0..PEOPLE).map(change);
    update(&mut model, Msg::Lines([list].into_iter().chain(states).collect()));
    for _ in 0..order {
        update(&mut model, Msg::Key(Key::char('o')));
    }
    model
}

fn tui(c: &mut Criterion) {
    let mut terminal = Terminal::new(TestBackend::new(120, 40)).expect("a terminal");
    let mut group = c.benchmark_group("tui of 10000");
    for (order, name) in [(0, "group"), (1, "status"), (2, "name"), (3, "last change")] {
        let mut model = model(order);
        let mut n = 0;
        group.bench_function(format!("34 changes and a picture, by {name}"), |b| {
            let changes = |n: &mut usize| {
                *n += BETWEEN;
                (*n..*n + BETWEEN).map(|n| change(n * 31)).collect()
            };
            b.iter_batched(
                || changes(&mut n),
                |lines| {
                    update(&mut model, Msg::Lines(lines));
                    terminal.draw(|frame| view(&model, Theme::plain(), frame)).expect("a picture");
                },
                BatchSize::SmallInput,
            );
        });
    }
    let mut model = model(0);
    group.bench_function("a key and a picture", |b| {
        b.iter(|| {
            update(&mut model, Msg::Key(Key::char('j')));
            terminal.draw(|frame| view(&model, Theme::plain(), frame)).expect("a picture");
        });
    });
    group.bench_function("a letter of a filter and a picture", |b| {
        update(&mut model, Msg::Key(Key::char('/')));
        let mut letters = ["9", "backspace"].iter().cycle();
        b.iter(|| {
            let key = letters.next().and_then(|key| key.parse().ok()).expect("a key");
            update(&mut model, Msg::Key(key));
            terminal.draw(|frame| view(&model, Theme::plain(), frame)).expect("a picture");
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().measurement_time(Duration::from_secs(3)).warm_up_time(Duration::from_secs(1)).without_plots();
    targets = tui
}
criterion_main!(benches);
