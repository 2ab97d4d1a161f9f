//! A server that is killed under load loses nothing that it acknowledged (ESC-13).

#![allow(clippy::print_stdout, reason = "the seed is for whoever looks at a failure")]

mod killing;
mod ports;

#[test]
fn esc_13_a_server_that_is_killed_ten_times_loses_nothing_that_it_acknowledged() {
    let seed = std::env::var("SIPPRESENCE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_260_301);
    println!("seed {seed}");
    let outcome = killing::run(10, seed);
    println!("{outcome:?}");
    assert_eq!(outcome.kills, 10);
    assert!(outcome.found > 500, "{outcome:?}");
}
