//! What a server endures, by hand: killed a hundred times under load (`-- kills [SEED]`), and 5 000 subscriptions for fifteen
//! minutes while one datagram in ten is lost on its way (`-- loss [SECONDS]`). With `--quick` a moment of each.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a benchmark fails by panicking, prints, and counts to far less than 2^52"
)]

#[path = "../tests/killing/mod.rs"]
mod killing;
#[path = "soak/loss.rs"]
mod loss;
#[path = "../tests/ports/mod.rs"]
mod ports;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let quick = arguments.iter().any(|argument| argument == "--quick");
    let number = |at: usize| arguments.get(at).and_then(|argument| argument.parse::<u64>().ok());
    let first = arguments.first().map(String::as_str).unwrap_or_default();
    if quick || first == "kills" {
        let seed = number(1).unwrap_or_else(rand::random);
        println!("kills, seed {seed}");
        let outcome = killing::run(if quick { 1 } else { 100 }, seed);
        println!(
            "{} kills: {} requests acknowledged, {} publications and subscriptions asked for behind a kill and found as they \
             were, {} were on their way",
            outcome.kills, outcome.acknowledged, outcome.found, outcome.uncertain
        );
    }
    if quick || first == "loss" {
        let seconds = if quick { 3 } else { number(1).unwrap_or(15 * 60) };
        loss::run(if quick { 100 } else { 5000 }, std::time::Duration::from_secs(seconds));
    }
    if !quick && first != "kills" && first != "loss" {
        println!("cargo bench --bench soak -- kills [SEED] | loss [SECONDS]");
    }
}
