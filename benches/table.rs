//! What one packet, one tick and one change cost, by the number of subscriptions in the table.

mod world;

use std::{
    net::SocketAddr,
    time::{Duration, Instant as Clock},
};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sippresence::{
    presence::{PresenceStatus, core::Input},
    sip::effect::Effect,
};

use self::world::{Table, answer, peer};

/// Times `act` alone, on a fresh packet and a clock that moved, `rounds` times.
fn timed(
    table: &mut Table,
    rounds: u64,
    mut make: impl FnMut(&mut Table, usize) -> String,
    mut act: impl FnMut(&mut Table, SocketAddr, &str),
) -> Duration {
    let mut spent = Duration::ZERO;
    for round in 0..rounds {
        let n = usize::try_from(round).expect("few rounds") * 7919 % table.dialogs.len();
        let text = make(table, n);
        table.pass(Duration::from_millis(10));
        let begun = Clock::now();
        act(table, peer(n), &text);
        spent += begun.elapsed();
        assert!(!table.out.effects.is_empty(), "it was answered");
        table.exchange();
    }
    spent
}

fn packets(c: &mut Criterion) {
    let mut group = c.benchmark_group("table");
    for size in [1_000, 100_000] {
        let mut watching = Table::watching(size);
        group.bench_function(format!("NOTIFY in, 200 out, {size} watched"), |b| {
            b.iter_custom(|rounds| timed(&mut watching, rounds, Table::notify, Table::input));
        });
        group.bench_function(format!("tick, {size} watched"), |b| {
            b.iter(|| watching.core.handle(Input::Tick, watching.now, &mut watching.out));
        });
        drop(watching);
        let mut serving = Table::serving(size);
        group.bench_function(format!("SUBSCRIBE refresh in, 200 and NOTIFY out, {size} watchers"), |b| {
            b.iter_custom(|rounds| {
                let make = |table: &mut Table, n: usize| {
                    let parties = table.dialogs[n].clone();
                    table.subscribe(n, &parties)
                };
                timed(&mut serving, rounds, make, |table, remote, text| {
                    table.input(remote, text);
                    table.core.pump(64, table.now, &mut table.out);
                })
            });
        });
        group.bench_function(format!("tick, {size} watchers"), |b| {
            b.iter(|| serving.core.handle(Input::Tick, serving.now, &mut serving.out));
        });
    }
    group.finish();
}

fn fan_out(c: &mut Criterion) {
    const WATCHERS: usize = 10_000;
    let mut table = Table::serving(WATCHERS);
    let mut group = c.benchmark_group("fan-out");
    group.sample_size(10).throughput(Throughput::Elements(WATCHERS as u64));
    group.bench_function("one change to 10000 watchers, all answering", |b| {
        b.iter_custom(|rounds| {
            let mut spent = Duration::ZERO;
            for _ in 0..rounds {
                table.pass(Duration::from_mins(1));
                table.core.handle(Input::Tick, table.now, &mut table.out);
                table.forget();
                let mut served = 0;
                let begun = Clock::now();
                table.publish(PresenceStatus::Busy);
                spent += begun.elapsed();
                while table.core.wants_pump() {
                    let begun = Clock::now();
                    table.core.pump(64, table.now, &mut table.out);
                    spent += begun.elapsed();
                    let notifies = std::mem::take(&mut table.out.effects);
                    let answers: Vec<_> = notifies.iter().filter_map(answered).collect();
                    served += answers.len();
                    let begun = Clock::now();
                    for (remote, text) in &answers {
                        table.input(*remote, text);
                    }
                    spent += begun.elapsed();
                }
                assert_eq!(served, WATCHERS, "everybody was told");
                table.forget();
            }
            spent
        });
    });
    group.finish();
}

fn answered(effect: &Effect) -> Option<(SocketAddr, String)> {
    let Effect::Send { remote, packet, .. } = effect else { return None };
    let text = std::str::from_utf8(&packet.head).ok().filter(|text| text.starts_with("NOTIFY"))?;
    Some((*remote, answer(text)))
}

criterion_group!(benches, packets, fan_out);
criterion_main!(benches);
