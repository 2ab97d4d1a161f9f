//! How long a presence document takes, one thread: the budgets are 4 µs to parse one of 700 bytes, and linear cost.
//!
//! `cargo bench --bench pidf`, or for a look within seconds `cargo bench --bench pidf -- --quick`.

use std::{fmt::Write as _, hint::black_box, time::Duration};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use jiff::Timestamp;
use quick_xml::{Reader, events::Event};
use sippresence::presence::{
    event::{Kind, PresentityState},
    pidf::{Document, Identity, Published, write},
    status::{OpenWhen, PresenceStatus},
    text,
    xml::Tree,
};

fn identity() -> Identity {
    Identity::new("sip:bob@192.0.2.20", "sip:bob@192.0.2.20:5060", "urn:uuid:0c9d6b1e-52f4-4f0c-8a37-6e1d2b7a9f10")
}

fn documents(c: &mut Criterion) {
    let published = Published::new(PresenceStatus::Busy, Timestamp::UNIX_EPOCH);
    let identity = identity();
    let body = write(&published, &identity, &OpenWhen::default());
    let document = Document::parse(&body, None).expect("it is ours");
    let mut group = c.benchmark_group("pidf");
    group.throughput(Throughput::Bytes(body.len() as u64));
    // What the reader alone costs here, to compare with.
    group.bench_function("bare events", |b| {
        b.iter(|| {
            let mut reader = Reader::from_str(std::str::from_utf8(black_box(&body)).expect("it is ours"));
            let mut events = 0;
            while !matches!(reader.read_event(), Ok(Event::Eof) | Err(_)) {
                events += 1;
            }
            events
        });
    });
    group.bench_function("tree", |b| b.iter(|| Tree::parse(black_box(&body), None)));
    group.bench_function("parse", |b| b.iter(|| Document::parse(black_box(&body), None)));
    group.bench_function("decode", |b| b.iter(|| black_box(&document).info(Some("en"))));
    group.bench_function("write", |b| b.iter(|| write(black_box(&published), &identity, &OpenWhen::default())));
    group.finish();

    let mut state = PresentityState::new("bob@192.0.2.20");
    state.info = Some(document.info(None));
    c.bench_function("line/to_json", |b| {
        b.iter(|| black_box(&state).to_line(Kind::Change, 1, Timestamp::UNIX_EPOCH).to_json());
    });
}

/// The worst of each size must cost in proportion to it.
fn linear(c: &mut Criterion) {
    let mut group = c.benchmark_group("linear");
    for kib in [8, 64] {
        let size = kib * 1024 - 2048;
        let root = "<presence xmlns=\"urn:ietf:params:xml:ns:pidf\">";
        let text = format!("{root}<note>{}</note></presence>", "&amp;".repeat(size / 5));
        let mut attributes = String::from(root);
        while attributes.len() < size {
            attributes.push_str("<x");
            for n in 0..60 {
                let _ = write!(attributes, " a{n}='{}'", "&lt;".repeat(4));
            }
            attributes.push_str("/>");
        }
        attributes.push_str("</presence>");
        for (name, body) in [("entities", &text), ("attributes", &attributes)] {
            let body = &body.as_bytes()[..body.len().min(64 * 1024)];
            group.throughput(Throughput::Bytes(body.len() as u64));
            group.bench_with_input(BenchmarkId::new(name, kib), body, |b, body| b.iter(|| Document::parse(body, None)));
        }
    }
    let marks = format!("a{}", "\u{301}".repeat(10_000));
    group.throughput(Throughput::Bytes(marks.len() as u64));
    group.bench_function("combining marks", |b| b.iter(|| text::truncate_to_width(&text::visible(&marks), 40)));
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().measurement_time(Duration::from_secs(3)).warm_up_time(Duration::from_secs(1)).without_plots();
    targets = documents, linear
}
criterion_main!(benches);
