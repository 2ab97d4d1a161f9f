//! How fast what the server keeps is on disk: one batch after the other, and a thousand that queue up.
//!
//! Each waits for the disk as a client does that waits for its 200, so the figures are of the disk as much as of ours.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a benchmark fails by panicking")]

use std::{hint::black_box, path::Path};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sippresence::server::store::{Batch, Record, Report, Store, Table, Writer};
use tokio::runtime::{Builder, Runtime};

/// How many wait at once for the disk.
const WAITING: u64 = 1000;
/// How many publications there are.
const KEPT: u64 = 10_000;

fn record(n: u64) -> Record {
    let value = vec![b'x'; 700];
    Record { table: Table::Publications, key: (n % KEPT).to_be_bytes().to_vec(), value: Some(value) }
}

fn filled(folder: &Path) -> Store {
    let mut store = Store::open(&folder.join("server.redb")).unwrap();
    store.commit(&(0..KEPT).map(record).collect::<Vec<_>>()).unwrap();
    store
}

fn commits(c: &mut Criterion) {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut group = c.benchmark_group("store");
    group.sample_size(10);
    let mut store = filled(folder.path());
    let mut n = 0;
    group.throughput(Throughput::Elements(1)).bench_function("one record, on disk", |b| {
        b.iter(|| {
            n += 7919;
            store.commit(&[record(n)]).unwrap();
        });
    });
    let runtime: Runtime = Builder::new_current_thread().build().unwrap();
    let (writer, mut reports) = Writer::start(store).unwrap();
    group.throughput(Throughput::Elements(WAITING)).bench_function("1000 batches that queue up, on disk", |b| {
        b.iter(|| {
            let last = n + WAITING;
            while n < last {
                n += 1;
                writer.submit(Batch { n, records: vec![record(n.wrapping_mul(7919))] });
            }
            while let Some(report) = runtime.block_on(reports.recv()) {
                let Report::Persisted { through } = report else { panic!("{report:?}") };
                if through == last {
                    break;
                }
            }
        });
    });
    let mut store = writer.finish().unwrap();
    group.throughput(Throughput::Elements(KEPT)).bench_function("10000 records read at the start", |b| {
        b.iter(|| black_box(store.load(Table::Publications).unwrap().len()));
    });
    group.finish();
}

criterion_group!(benches, commits);
criterion_main!(benches);
