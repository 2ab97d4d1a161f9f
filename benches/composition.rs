//! How long it takes to make one document of several publications, and to write it, one thread.
//!
//! `cargo bench --bench composition`, or for a look within seconds `cargo bench --bench composition -- --quick`.

use std::{hint::black_box, time::Duration};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use jiff::Timestamp;
use sippresence::presence::{
    compose::{Source, compose},
    pidf::{Document, Identity, Published, write},
    status::{OpenWhen, PresenceStatus},
};

const BOB: &str = "sip:bob@example.test";

/// When publication `n` came, in seconds.
fn at(n: usize) -> Timestamp {
    Timestamp::from_second(1_772_000_000 + i64::try_from(n).expect("few")).expect("a time of day")
}

/// What device `n` publishes, as it is read: of the statuses one after the other.
fn publication(n: usize) -> Document {
    let statuses = [PresenceStatus::Busy, PresenceStatus::Available, PresenceStatus::Away, PresenceStatus::InCall];
    let identity = Identity::new(BOB, format!("sip:bob@192.0.2.{n}"), format!("urn:uuid:{n}"));
    let mut published = Published::new(statuses[n % statuses.len()].clone(), at(n));
    published.note = Some(format!("At desk {n}"));
    published.device = Some(format!("Laptop {n}"));
    Document::parse(&write(&published, &identity, &OpenWhen::default()), None).expect("it is ours")
}

fn publications(c: &mut Criterion) {
    let mut group = c.benchmark_group("composition");
    for count in [1, 2, 10] {
        let keys: Vec<String> = (0..count).map(|n| format!("publication {n}")).collect();
        let documents: Vec<Document> = (0..count).map(publication).collect();
        let sources: Vec<Source<'_>> = documents
            .iter()
            .enumerate()
            .map(|(n, document)| Source { key: &keys[n], arrival: n as u64, changed_at: at(n), document })
            .collect();
        let composed = compose(&sources, None, BOB, at(count));
        assert_eq!(composed.document.tuples.len(), count, "each device has its tuple");
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(BenchmarkId::new("compose", count), |b| {
            b.iter(|| compose(black_box(&sources), None, BOB, at(count)));
        });
        group.throughput(Throughput::Bytes(composed.document.to_bytes().len() as u64));
        group.bench_function(BenchmarkId::new("write", count), |b| b.iter(|| black_box(&composed.document).to_bytes()));
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().measurement_time(Duration::from_secs(3)).warm_up_time(Duration::from_secs(1)).without_plots();
    targets = publications
}
criterion_main!(benches);
