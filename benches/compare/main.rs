//! The embedded server and Kamailio in the same run, on the same machine, by the same client over UDP on loopback: how many
//! PUBLISH and SUBSCRIBE requests a second, how long until the last of many watchers knows of a change, and what a subscription
//! costs in memory. Prints the ratios.
//!
//!     cargo bench --bench compare            # ten thousand of each; needs kamailio and sqlite3 for the comparison
//!     cargo bench --bench compare -- --quick
//!     cargo bench --bench compare -- tmpfs   # those alone whose name has this in it

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a benchmark fails by panicking, prints, and counts to far less than 2^52"
)]

mod load;
mod servers;

use load::{Figures, Load};
use servers::Running;

fn main() {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let only = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    let size = if quick { 200 } else { 10_000 };
    let measured: Vec<(&str, Option<Figures>)> = servers::ALL
        .iter()
        .filter(|(name, ..)| name.contains(&only))
        .map(|(name, start, watchers)| {
            println!("{name} …");
            let figures = start().map(|server: Running| Load::new(&server).figures(size, *watchers));
            if figures.is_none() {
                println!("{name}: not on this machine");
            }
            (*name, figures)
        })
        .collect();
    println!();
    row_of("", measured.iter().map(|(name, _)| (*name).to_owned()));
    let row = |what: &str, of: &dyn Fn(&Figures) -> String| {
        let cells = measured.iter().map(|(_, it)| it.as_ref().map_or_else(|| "-".to_owned(), of).replace("NaN", "-"));
        row_of(what, cells);
    };
    row("PUBLISH, new, a second", &|it| format!("{:.0}", it.publish));
    row("PUBLISH, change, a second", &|it| format!("{:.0}", it.change));
    row("SUBSCRIBE + first NOTIFY, a second", &|it| format!("{:.0}", it.subscribe));
    row(&format!("one change to {size} watchers, ms"), &|it| format!("{:.0}", it.fan_out * 1e3));
    row("memory for a subscription, bytes", &|it| format!("{:.0}", it.bytes));
    let of = |wanted: &str| measured.iter().find(|(name, _)| *name == wanted).and_then(|(_, figures)| figures.as_ref());
    let ratios = |ours: &str, theirs: &[&str]| {
        for (what, figure, less_is_more) in FIGURES {
            let ours_is = of(ours).map(figure);
            let theirs_is = theirs.iter().filter_map(|name| of(name).map(figure)).find(|figure| !figure.is_nan());
            let Some((ours_is, theirs_is)) = ours_is.zip(theirs_is) else { continue };
            let ratio = if less_is_more { theirs_is / ours_is } else { ours_is / theirs_is };
            println!("  {what:<28}{ratio:>6.1}");
        }
    };
    println!("\nours, memory, is so many times as good as Kamailio in memory:");
    ratios("ours, memory", &["Kamailio, cache", "Kamailio, tmpfs"]);
    println!("ours, on disk, is so many times as good as Kamailio with sqlite:");
    ratios("ours, on disk", &["Kamailio, sqlite"]);
}

fn row_of(what: &str, cells: impl Iterator<Item = String>) {
    print!("{what:<34}");
    cells.for_each(|cell| print!("{cell:>20}"));
    println!();
}

type Figure = fn(&Figures) -> f64;

/// What is compared, and whether less of it is better.
const FIGURES: [(&str, Figure, bool); 5] = [
    ("PUBLISH, new", |it| it.publish, false),
    ("PUBLISH, change", |it| it.change, false),
    ("SUBSCRIBE + first NOTIFY", |it| it.subscribe, false),
    ("fan-out", |it| it.fan_out, true),
    ("memory for a subscription", |it| it.bytes, true),
];
