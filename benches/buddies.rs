//! What ten thousand buddies cost: memory for each, beginning to watch them, and a change of the file that lists them.

mod world;

use std::{alloc::System, hint::black_box, time::Duration};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use sippresence::{
    client::{Buddies, Buddy},
    config::{
        ConfigError,
        buddies::{self, Draft},
        exchange::{self, Format},
    },
    presence::core::Input,
};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

use self::world::Table;

const BUDDIES: usize = 10_000;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Returns the bytes that are held by what `make` made, once its transactions are over.
fn held(make: impl FnOnce() -> Table) -> usize {
    let region = Region::new(ALLOCATOR);
    let mut table = make();
    // What the peers have to remember is not ours.
    table.dialogs = Vec::new();
    for _ in 0..70 {
        table.pass(Duration::from_secs(1));
        table.core.handle(Input::Tick, table.now, &mut table.out);
        table.forget();
    }
    let change = region.change();
    let held = change.bytes_allocated - change.bytes_deallocated;
    drop(black_box(table));
    held
}

#[allow(clippy::print_stderr, reason = "a figure for people")]
fn memory(_: &mut Criterion) {
    let watching = held(|| Table::watching(BUDDIES)) / BUDDIES;
    let serving = held(|| Table::serving(BUDDIES)) / BUDDIES;
    eprintln!("memory: {watching} bytes for each of {BUDDIES} buddies, {serving} bytes for each of {BUDDIES} watchers");
}

fn beginning(c: &mut Criterion) {
    let mut group = c.benchmark_group("buddies");
    group.sample_size(10).throughput(Throughput::Elements(BUDDIES as u64));
    group.bench_function("10000 subscribed to, answered and told", |b| b.iter(|| Table::watching(BUDDIES)));
    group.finish();
}

fn list() -> Buddies {
    let buddy = |n: usize| Buddy {
        name: Some(format!("buddy {n}")),
        groups: vec![format!("group {}", n % 20)],
        ..Buddy::new(format!("sip:b{n}@example.com"))
    };
    Buddies((0..BUDDIES).map(buddy).collect())
}

fn file(c: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("buddies.toml");
    let fill = |draft: &mut Draft| {
        list().0.into_iter().for_each(|buddy| draft.add(buddy));
        Ok::<_, ConfigError>(())
    };
    buddies::edit(&path, true, fill).expect("a list");
    let mut group = c.benchmark_group("buddies.toml with 10000");
    group.sample_size(10);
    group.bench_function("read", |b| b.iter(|| buddies::load(&path).expect("a list")));
    group.bench_function("one more, and one less", |b| {
        b.iter(|| {
            let more = |draft: &mut Draft| {
                draft.add(Buddy::new("sip:more@example.com"));
                Ok::<_, ConfigError>(())
            };
            buddies::edit(&path, true, more).expect("one more");
            let less = |draft: &mut Draft| {
                draft.remove(BUDDIES);
                Ok::<_, ConfigError>(())
            };
            buddies::edit(&path, true, less).expect("one less");
        });
    });
    let csv = exchange::write(&list(), Format::Csv).expect("csv is written");
    let empty = folder.path().join("empty.toml");
    group.bench_function("imported from CSV", |b| {
        b.iter_batched(
            || std::fs::write(&empty, "").expect("a file"),
            |()| {
                let imported = exchange::read(csv.as_bytes(), Format::Csv).expect("a table");
                let merge = |draft: &mut Draft| Ok::<_, ConfigError>(exchange::merge(draft, imported.buddies));
                buddies::edit(&empty, true, merge).expect("a list")
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(benches, memory, beginning, file);
criterion_main!(benches);
