//! `explain`: what a code or a reason means, and the hints that other commands make of it.

use super::{
    Exit, Failed,
    args::Explain,
    output::{Output, print_text},
};
use crate::{
    client::Freshness,
    presence::explain::{Explanation, explain, of_freshness},
};

/// Explains a code or a word.
pub(super) fn run(output: Output, args: &Explain) -> Result<Exit, Failed> {
    let asked = args.what.join(" ");
    let found = explain(&asked).map_err(|error| {
        let hint =
            "it explains SIP status codes, reasons such as probation, words such as stale or dns, and `exit CODE`";
        Failed::new(Exit::Usage, error.to_string()).with_hint(hint)
    })?;
    let as_class = |entry: &Explanation| asked.parse::<u16>().is_ok_and(|code| code.to_string() != entry.code);
    if found.iter().any(as_class) {
        let code = found.first().map_or("", |entry| entry.code);
        output.tell(&format!("{asked} is not one that is known here: it counts as {code}"));
    }
    let shown: Vec<String> =
        found.iter().map(|entry| if output.is_json() { json(entry) } else { words(entry) }).collect();
    Ok(print_text(&shown.join(if output.is_json() { "\n" } else { "\n\n" })))
}

/// Says what to do about a look that did not end well; none if it did.
pub(super) fn hint(freshness: Freshness) -> Option<String> {
    let entry = of_freshness(freshness)?;
    Some(match freshness {
        Freshness::Unknown => entry.next.to_owned(),
        // A code that is explained as its class is asked for by itself, which says so.
        Freshness::Failed(code) => format!("{}; `sippresence explain {code}` tells more", entry.next),
        _ => format!("{}; `sippresence explain {}` tells more", entry.next, entry.code),
    })
}

fn words(entry: &Explanation) -> String {
    format!(
        "{} {}: {}\n  means  {}\n  cause  {}\n  next   {}",
        entry.topic.word(),
        entry.code,
        entry.title,
        entry.means,
        entry.cause,
        entry.next
    )
}

fn json(entry: &Explanation) -> String {
    serde_json::to_string(entry).expect("it has string keys and strings only")
}
