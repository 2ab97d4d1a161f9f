//! Who watches me, who waits, who did: in lines that fit the columns that there are.

use jiff::{SignedDuration, Timestamp};

use super::{Closed, Output, clock, print, table};
use crate::client::{Line, Via, WatcherGrade, WatcherInfo, shown, text};

/// The least columns that a name gets, however narrow the terminal is.
const NAME: usize = 12;

impl Output {
    /// Prints a list of watchers, each in a line.
    pub(in crate::cli) fn watchers(self, watchers: &[WatcherInfo]) -> Result<(), Closed> {
        if self.json {
            return lines(watchers);
        }
        let widest = watchers.iter().map(|w| text::width(&shown::watcher(w))).max().unwrap_or_default().min(50);
        watchers.iter().try_for_each(|watcher| print(&row(watcher, widest, self.width)))
    }

    /// Prints all that is known of some people, each in a table.
    pub(in crate::cli) fn people(self, people: &[WatcherInfo]) -> Result<(), Closed> {
        if self.json {
            return lines(people);
        }
        for (place, person) in people.iter().enumerate() {
            if place > 0 {
                print("")?;
            }
            table(&rows(person))?;
        }
        Ok(())
    }
}

fn lines(watchers: &[WatcherInfo]) -> Result<(), Closed> {
    let mut lines = (0..).zip(watchers);
    lines.try_for_each(|(seq, watcher)| print(&Line::watcher(seq, Timestamp::now(), watcher.clone()).to_json()))
}

/// Makes the line of a watcher: what says least goes first where there is no room, and the end of the name last.
fn row(watcher: &WatcherInfo, widest: usize, columns: usize) -> String {
    let since = watcher.since.map(|since| format!("  since {}", minute(since))).unwrap_or_default();
    let mut parts = vec![since];
    parts.extend(by(watcher).map(|by| format!(", {by}")));
    parts.extend(last_seen(watcher).map(|last| format!(", last seen {last}")));
    parts.extend(place(watcher).map(|place| format!(", {place}")));
    let (name, state) = (shown::watcher(watcher), state(watcher));
    let width = |parts: &[String]| parts.iter().map(|part| text::width(part)).sum::<usize>();
    let beside = text::width(&state) + 2;
    let most = columns.saturating_sub(beside).max(NAME);
    let (name, widest) = (text::truncate_to_width(&name, most), widest.min(most));
    let pad = " ".repeat(widest.saturating_sub(text::width(&name)));
    while !parts.is_empty() && text::width(&name) + pad.len() + beside + width(&parts) > columns {
        parts.pop();
    }
    text::truncate_to_width(&format!("{name}{pad}  {state}{}", parts.concat()), columns)
}

fn rows(person: &WatcherInfo) -> Vec<(&'static str, String)> {
    let since = person.since.map(|since| format!(" since {}", minute(since))).unwrap_or_default();
    let name = person.display_name.as_deref().map(|name| format!(" ({})", text::visible(name))).unwrap_or_default();
    let mut rows = vec![("who", format!("{}{name}", shown::watcher(person)))];
    rows.push(("state", format!("{}{since}", state(person))));
    rows.extend(by(person).map(|by| ("decided", by)));
    let seen = |at: Option<Timestamp>| at.map_or_else(|| "never".to_owned(), minute);
    rows.push(("first seen", seen(person.first_seen)));
    rows.push(("last seen", last_seen(person).unwrap_or_else(|| "now".to_owned())));
    let identity = match person.identity {
        WatcherGrade::Claimed => "claimed",
        WatcherGrade::Address => "its address answers",
        WatcherGrade::Verified if person.via == Via::Server => "the server says so",
        WatcherGrade::Verified => "verified",
    };
    rows.push(("identity", identity.to_owned()));
    rows.extend(place(person).map(|place| ("where", place.to_owned())));
    rows
}

fn state(watcher: &WatcherInfo) -> String {
    match watcher.state.as_str() {
        "pending" | "waiting" => "waits for your approval".to_owned(),
        "terminated" => "gone".to_owned(),
        state => text::visible(state),
    }
}

/// Says what decided, and when, if that was before it came.
fn by(watcher: &WatcherInfo) -> Option<String> {
    let (rule, decided_at) = (watcher.reason.as_deref()?, watcher.decided_at?);
    let long_ago =
        watcher.since.is_none_or(|since| since.duration_since(decided_at).abs() >= SignedDuration::from_mins(1));
    let when = if long_ago { format!(" at {}", minute(decided_at)) } else { String::new() };
    Some(format!("by {}{when}", text::visible(rule)))
}

/// Says when somebody who is not there was.
fn last_seen(watcher: &WatcherInfo) -> Option<String> {
    let gone = matches!(watcher.state.as_str(), "terminated" | "waiting");
    watcher.last_seen.filter(|_| gone).map(minute)
}

fn place(watcher: &WatcherInfo) -> Option<&'static str> {
    match (watcher.via, watcher.state.as_str()) {
        (Via::Server, _) => Some("at the server"),
        (Via::Direct, "waiting") => Some("has left"),
        (Via::Direct, _) => None,
    }
}

fn minute(at: Timestamp) -> String {
    clock(at, "%H:%M")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sec_08_a_line_fits_forty_columns_and_hostile_names_are_escaped() {
        let at: Timestamp = "2026-03-02T09:15:00Z".parse().unwrap();
        let long = format!("sip:{}@example.com", "x".repeat(300));
        for who in ["sip:$(rm -rf ~)@h", "sip:\u{1b}[31mred@h\u{7}", "sip:😀🧑‍🚀漢字@h", "sip:bob@h", &long]
        {
            for state in ["pending", "waiting", "active", "polite-block", "terminated", "\u{1b}[2J"] {
                let info = WatcherInfo {
                    via: Via::Server,
                    display_name: Some("\u{1b}]0;x\u{7}".into()),
                    reason: Some("allow\n".into()),
                    since: Some(at),
                    decided_at: Some("2026-01-02T09:15:00Z".parse().unwrap()),
                    first_seen: Some(at),
                    last_seen: Some(at),
                    ..WatcherInfo::new(who, WatcherGrade::Claimed, state)
                };
                for columns in [20, 40, 80, 1000] {
                    let line = row(&info, 50, columns);
                    assert!(text::width(&line) <= columns.max(NAME), "{columns}: {line}");
                    assert!(!line.contains(['\u{1b}', '\u{7}', '\n']), "{line:?}");
                }
                assert!(rows(&info).iter().all(|(_, value)| !value.contains(['\u{1b}', '\u{7}', '\n'])));
            }
        }
        let bob = WatcherInfo { since: Some(at), ..WatcherInfo::new("sip:bob@h", WatcherGrade::Address, "pending") };
        assert!(row(&bob, 5, 80).starts_with("bob@h  waits for your approval  since "));
        assert_eq!(row(&bob, 5, 40), "bob@h  waits for your approval");
    }
}
