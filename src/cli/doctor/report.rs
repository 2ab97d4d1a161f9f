//! The steps as they are told, for people and as JSON, and their sum.

use std::time::Duration;

use serde::Serialize;

use super::found::{Found, Mark};
use crate::{
    cli::{
        Exit,
        output::{Closed, Output, object},
    },
    client::{FailureCode, text::visible},
    presence::event::SCHEMA,
};

/// What was told so far.
pub(super) struct Report {
    output: Output,
    account: String,
    marks: Vec<Mark>,
    /// The first failure: which step, and how the command ends for it.
    failed: Option<(&'static str, Exit)>,
    took: Duration,
}

/// A step for programs.
#[derive(Serialize)]
struct Step<'a> {
    schema: u32,
    kind: &'static str,
    #[serde(rename = "step")]
    name: &'a str,
    mark: &'static str,
    words: &'a str,
    took_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<FailureCode>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<&'a str>,
}

/// The last object.
#[derive(Serialize)]
struct Sum<'a> {
    schema: u32,
    kind: &'static str,
    account: &'a str,
    ok: usize,
    warnings: usize,
    failed: usize,
    skipped: usize,
    took_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_failure: Option<&'static str>,
    exit: u8,
}

impl Report {
    pub(super) fn new(output: Output, account: String) -> Self {
        Self { output, account, marks: Vec::new(), failed: None, took: Duration::ZERO }
    }

    /// Tells of a step.
    pub(super) fn add(&mut self, step: &'static str, found: &Found, took: Duration) -> Result<(), Closed> {
        self.marks.push(found.mark);
        self.took += took;
        if found.mark == Mark::Failed && self.failed.is_none() {
            self.failed = Some((step, found.exit));
        }
        if self.output.is_json() {
            let Found { mark, words, code, cause, fix, .. } = found;
            return object(&Step {
                schema: SCHEMA,
                kind: "step",
                name: step,
                mark: mark.word(),
                words,
                took_ms: whole_ms(took),
                code: *code,
                cause: cause.as_deref(),
                fix: fix.as_deref(),
            });
        }
        self.output.step(found.mark.word(), &lines(step, found, took))
    }

    /// Tells the sum, and returns how the command ends.
    pub(super) fn sum(self) -> Exit {
        let count = |mark| self.marks.iter().filter(|found| **found == mark).count();
        let exit = self.failed.map_or(Exit::Done, |(_, exit)| exit);
        let (warnings, failed) = (count(Mark::Warning), count(Mark::Failed));
        if self.output.is_json() {
            let sum = Sum {
                schema: SCHEMA,
                kind: "sum",
                account: &self.account,
                ok: count(Mark::Ok),
                warnings,
                failed,
                skipped: count(Mark::Skipped),
                took_ms: whole_ms(self.took),
                first_failure: self.failed.map(|(step, _)| step),
                exit: exit.code(),
            };
            return object(&sum).map_or_else(Into::into, |()| exit);
        }
        let plural = |count, one: &str, many: &str| match count {
            0 => None,
            1 => Some(format!("1 {one}")),
            count => Some(format!("{count} {many}")),
        };
        let parts = [plural(failed, "failure", "failures"), plural(warnings, "warning", "warnings")];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        let sum = if parts.is_empty() { "all is well".to_owned() } else { parts.join(", ") };
        self.output.tell(&format!("{}: {sum}", visible(&self.account)));
        exit
    }
}

/// A step for people: a line, and one for its cause and its fix each.
fn lines(step: &str, found: &Found, took: Duration) -> Vec<String> {
    let took = if found.mark == Mark::Skipped { String::new() } else { format!("  ({} ms)", whole_ms(took)) };
    let mut lines = vec![format!("{step:<14} {}{took}", visible(&found.words))];
    let more = [("cause", &found.cause), ("fix", &found.fix)];
    lines.extend(more.into_iter().filter_map(|(name, text)| Some(format!("  {name:<5}  {}", visible(text.as_ref()?)))));
    lines
}

fn whole_ms(took: Duration) -> u64 {
    u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_a_line_with_its_cause_and_its_fix_and_nothing_of_a_peer_reaches_the_terminal() {
        let found = Found::no_answer(FailureCode::Sip(403), "403 \u{1b}[2J");
        let lines = lines("publish", &found, Duration::from_micros(12_900));
        assert_eq!(lines[0], "publish        403 \\u001b[2J  (12 ms)");
        assert!(lines[1].starts_with("  cause  they or their server block you"), "{lines:?}");
        assert!(lines[2].starts_with("  fix    ask them"), "{lines:?}");
        assert_eq!(super::lines("a", &Found::skipped("b"), Duration::ZERO), ["a              b"]);
    }
}
