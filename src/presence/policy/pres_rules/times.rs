//! When a rule holds: `validity` and `sphere` (RFC 4745 §7.2, §7.3), and our own weekly times.
//!
//! ```xml
//! <sp:times zone="Europe/Vienna"><sp:weekly days="mon tue" from="08:00" until="18:00"/></sp:times>
//! ```
//! Without a zone the times are those of whoever reads them.

use jiff::{Timestamp, fmt::temporal::DateTimePrinter, tz::TimeZone};

use super::{COMMON_POLICY, OWN, is};
use crate::presence::{
    policy::{Dates, Rule, Weekly},
    xml::{Element, escape_attribute},
};

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// Returns the name of a time zone, if it has one.
pub(super) fn name_of(zone: &TimeZone) -> Option<String> {
    DateTimePrinter::new().time_zone_to_string(zone).ok()
}

/// Writes when a rule holds.
pub(super) fn write(rule: &Rule, zone: &TimeZone, lines: &mut Vec<String>) {
    if !rule.spheres.is_empty() {
        // A standard sphere is a word, and several are any of them.
        let is_word = |sphere: &str| !sphere.is_empty() && !sphere.contains(char::is_whitespace);
        if rule.spheres.iter().all(|sphere| is_word(sphere)) {
            lines.push(format!("<sphere value=\"{}\"/>", escape_attribute(&rule.spheres.join(" "))));
        } else {
            lines.push("<sp:spheres>".to_owned());
            let each =
                rule.spheres.iter().map(|sphere| format!("  <sp:sphere value=\"{}\"/>", escape_attribute(sphere)));
            lines.extend(each);
            lines.push("</sp:spheres>".to_owned());
        }
    }
    if !rule.times.dates.is_empty() {
        lines.push("<validity>".to_owned());
        let each =
            |dates: &Dates| [format!("  <from>{}</from>", dates.from), format!("  <until>{}</until>", dates.until)];
        lines.extend(rule.times.dates.iter().flat_map(each));
        lines.push("</validity>".to_owned());
    }
    if !rule.times.weekly.is_empty() {
        let zone = name_of(zone).map_or_else(String::new, |name| format!(" zone=\"{}\"", escape_attribute(&name)));
        lines.push(format!("<sp:times{zone}>"));
        for weekly in &rule.times.weekly {
            let days: Vec<&str> = weekly.days().filter_map(|day| DAYS.get(usize::from(day)).copied()).collect();
            let (from, until) = weekly.minutes();
            let clock = |minutes: u16| format!("{:02}:{:02}", minutes / 60, minutes % 60);
            lines.push(format!(
                "  <sp:weekly days=\"{}\" from=\"{}\" until=\"{}\"/>",
                days.join(" "),
                clock(from),
                clock(until)
            ));
        }
        lines.push("</sp:times>".to_owned());
    }
}

/// Reads a condition into a rule; false where it is none of these, says nothing that is known, or comes a second time.
pub(super) fn read(element: Element<'_>, zone: Option<&str>, rule: &mut Rule) -> bool {
    if is(element, COMMON_POLICY, "validity") {
        take(&mut rule.times.dates, validity(element))
    } else if is(element, COMMON_POLICY, "sphere") {
        let words = element.attribute("value").filter(|_| is_leaf(element));
        take(&mut rule.spheres, words.map(|words| words.split_whitespace().map(Into::into).collect()))
    } else if is(element, OWN, "spheres") {
        let sphere = |child: Element<'_>| {
            child.attribute("value").filter(|_| is(child, OWN, "sphere") && is_leaf(child)).map(Into::into)
        };
        take(&mut rule.spheres, element.children().map(sphere).collect())
    } else if is(element, OWN, "times") {
        let is_ours = element.attribute("zone").is_none_or(|written| Some(written) == zone);
        let weekly = element.children().map(|child| weekly(child).filter(|_| is_ours));
        take(&mut rule.times.weekly, weekly.collect())
    } else {
        false
    }
}

fn take<T>(into: &mut Vec<T>, found: Option<Vec<T>>) -> bool {
    match found {
        Some(found) if into.is_empty() && !found.is_empty() => {
            *into = found;
            true
        }
        _ => false,
    }
}

fn is_leaf(element: Element<'_>) -> bool {
    element.children().next().is_none()
}

fn validity(element: Element<'_>) -> Option<Vec<Dates>> {
    let (mut found, mut children) = (Vec::new(), element.children());
    let at = |child: Element<'_>, name: &str| -> Option<Timestamp> {
        child.text().trim().parse().ok().filter(|_| is(child, COMMON_POLICY, name) && is_leaf(child))
    };
    while let Some(from) = children.next() {
        found.push(Dates { from: at(from, "from")?, until: at(children.next()?, "until")? });
    }
    Some(found)
}

fn weekly(element: Element<'_>) -> Option<Weekly> {
    let (is_known, mut attributes) = (is(element, OWN, "weekly") && is_leaf(element), element.attributes());
    if !is_known || attributes.any(|(name, _)| !["days", "from", "until"].contains(&name)) {
        return None;
    }
    let day = |word: &str| (0..).zip(DAYS).find_map(|(number, day)| (day == word).then_some(number));
    let days: Option<Vec<u8>> = element.attribute("days")?.split_whitespace().map(day).collect();
    Weekly::new(days?, minutes(element.attribute("from")?)?, minutes(element.attribute("until")?)?)
}

fn minutes(clock: &str) -> Option<u16> {
    let (hours, minutes) = clock.split_once(':')?;
    let number = |text: &str| text.parse::<u16>().ok().filter(|_| text.len() == 2 && !text.starts_with('+'));
    Some(number(hours).filter(|hours| *hours <= 24)? * 60 + number(minutes).filter(|minutes| *minutes < 60)?)
}
