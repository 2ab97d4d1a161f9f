//! What a rule shows: the transformations of RFC 5025 §3.3, with `provide-status` and `instead` of our own.
//!
//! ```xml
//! <sp:provide-status>true</sp:provide-status>  <!-- which status, and none of the further activities -->
//! <sp:instead status="busy" note="back at three"/>
//! <sp:withheld>…</sp:withheld>  <!-- what here is shown, and by others must not be; see `held_back` -->
//! ```

use std::{collections::BTreeSet, sync::Arc};

use super::{OWN, PRES_RULES, is};
use crate::presence::{
    policy::{Detail, Instead, Pick, Rule, Select, Shown, UserInputShown},
    status::PresenceStatus,
    xml::{Element, escape_attribute, escape_text},
};

/// Details with the words of RFC 5025 §3.3.2.
const DETAILS: [(Detail, &str); 12] = [
    (Detail::Activities, "activities"),
    (Detail::Class, "class"),
    (Detail::DeviceId, "deviceID"),
    (Detail::Mood, "mood"),
    (Detail::Note, "note"),
    (Detail::PlaceIs, "place-is"),
    (Detail::PlaceType, "place-type"),
    (Detail::Privacy, "privacy"),
    (Detail::Relationship, "relationship"),
    (Detail::Sphere, "sphere"),
    (Detail::StatusIcon, "status-icon"),
    (Detail::TimeOffset, "time-offset"),
];

const LEVELS: [(UserInputShown, &str); 4] = [
    (UserInputShown::Nothing, "false"),
    (UserInputShown::Bare, "bare"),
    (UserInputShown::Thresholds, "thresholds"),
    (UserInputShown::Full, "full"),
];

/// The kinds of parts, each with what picks among them.
const KINDS: [(&str, &[&str]); 3] = [
    ("services", &["class", "occurrence-id", "service-uri", "service-uri-scheme"]),
    ("persons", &["class", "occurrence-id"]),
    ("devices", &["class", "occurrence-id", "deviceID"]),
];

/// A device's id, which others write as the data model does (RFC 4479).
const DATA_MODEL: &str = "urn:ietf:params:xml:ns:pidf:data-model";

/// Writes what is shown.
pub(super) fn write(shown: &Shown, lines: &mut Vec<String>) {
    for ((kind, picks), select) in KINDS.into_iter().zip([&shown.services, &shown.persons, &shown.devices]) {
        let picked = match select {
            Select::All => vec![format!("<pr:all-{kind}/>")],
            Select::Only(only) => {
                let written = only.iter().map(written).filter(|(name, _)| picks.contains(name));
                written.map(|(name, text)| format!("<pr:{name}>{}</pr:{name}>", escape_text(text))).collect()
            }
        };
        let picked = picked.concat();
        if !picked.is_empty() {
            lines.push(format!("<pr:provide-{kind}>{picked}</pr:provide-{kind}>"));
        }
    }
    for (_, word) in DETAILS.iter().filter(|(detail, _)| shown.details.contains(detail)) {
        lines.push(format!("<pr:provide-{word}>true</pr:provide-{word}>"));
    }
    for (_, word) in LEVELS.iter().skip(1).filter(|(level, _)| *level == shown.user_input) {
        lines.push(format!("<pr:provide-user-input>{word}</pr:provide-user-input>"));
    }
    for (namespace, name) in &shown.elements {
        let (namespace, name) = (escape_attribute(namespace), escape_attribute(name));
        lines.push(format!(
            "<pr:provide-unknown-attribute ns=\"{namespace}\" name=\"{name}\">true</pr:provide-unknown-attribute>"
        ));
    }
    if shown.all_details {
        lines.push("<pr:provide-all-attributes/>".to_owned());
    }
    if shown.details.contains(&Detail::Status) {
        lines.push("<sp:provide-status>true</sp:provide-status>".to_owned());
    }
}

/// Writes what is shown in place of our state; who does not know that shows nothing.
pub(super) fn write_instead(instead: &Instead, lines: &mut Vec<String>) {
    let status = match instead.status.text() {
        Some(text) => format!("custom:{}", escape_attribute(text)),
        None => instead.status.word().to_owned(),
    };
    let note = instead.note.as_ref().map_or_else(String::new, |note| format!(" note=\"{}\"", escape_attribute(note)));
    lines.push(format!("<sp:instead status=\"{status}\"{note}/>"));
}

/// Reads transformations into a rule, whose `shown` is nothing to begin with; returns those that are not known.
pub(super) fn read<'a>(transformations: Element<'a>, rule: &mut Rule) -> Vec<Element<'a>> {
    let (mut shown, mut unknown) = (Shown::clone(&rule.shown), Vec::new());
    for child in transformations.children() {
        if is(child, OWN, "withheld") {
            rule.shown = Arc::new(std::mem::take(&mut shown));
            unknown.extend(read(child, rule));
            shown = Shown::clone(&rule.shown);
        } else if is(child, OWN, "instead") {
            match instead(child) {
                Some(instead) if rule.instead.is_none() => rule.instead = Some(Arc::new(instead)),
                // The truth must not stand where something else was to.
                _ => {
                    rule.unknown = true;
                    unknown.push(child);
                }
            }
        } else if !transformation(child, &mut shown, &mut unknown) {
            unknown.push(child);
        }
    }
    rule.shown = Arc::new(shown);
    unknown
}

fn transformation<'a>(element: Element<'a>, shown: &mut Shown, unknown: &mut Vec<Element<'a>>) -> bool {
    let Some(word) = element.name().strip_prefix("provide-") else { return false };
    let text = element.text();
    let granted = match text.trim() {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    };
    match element.namespace() {
        OWN if word == "status" => {
            granted.inspect(|granted| _ = granted.then(|| shown.details.insert(Detail::Status))).is_some()
        }
        PRES_RULES => match word {
            "services" => select(element, word, &mut shown.services, unknown),
            "persons" => select(element, word, &mut shown.persons, unknown),
            "devices" => select(element, word, &mut shown.devices, unknown),
            "all-attributes" => {
                // It has no content; what has any says something else.
                let is_bare = text.trim().is_empty() && element.children().next().is_none();
                shown.all_details |= is_bare;
                is_bare
            }
            "user-input" => {
                let level = LEVELS.iter().find(|(_, word)| *word == text.trim());
                level.inspect(|(level, _)| shown.user_input = shown.user_input.max(*level)).is_some()
            }
            "unknown-attribute" => {
                let (namespace, name) = (element.attribute("ns"), element.attribute("name"));
                let (Some(granted), Some(namespace), Some(name)) = (granted, namespace, name) else { return false };
                if granted {
                    shown.elements.insert((namespace.trim().into(), name.trim().into()));
                }
                true
            }
            word => {
                let detail = DETAILS.iter().find(|(_, known)| *known == word);
                let (Some((detail, _)), Some(granted)) = (detail, granted) else { return false };
                if granted {
                    shown.details.insert(*detail);
                }
                true
            }
        },
        _ => false,
    }
}

fn select<'a>(element: Element<'a>, kind: &str, into: &mut Select, unknown: &mut Vec<Element<'a>>) -> bool {
    let picks = KINDS.iter().find(|(known, _)| *known == kind).map_or(&[][..], |(_, picks)| picks);
    for child in element.children() {
        let text = child.text();
        let (name, text) = (child.name(), text.trim());
        let is_known = child.namespace() == PRES_RULES || name == "deviceID" && child.namespace() == DATA_MODEL;
        let found = match name.strip_prefix("all-") {
            Some(all) if is_known && all == kind && text.is_empty() => Some(Select::All),
            None if is_known && picks.contains(&name) && !text.is_empty() && child.children().next().is_none() => {
                pick(name, text).map(|pick| Select::Only(BTreeSet::from([pick])))
            }
            _ => None,
        };
        match found {
            Some(found) => into.unite(&found),
            None => unknown.push(child),
        }
    }
    true
}

fn written(pick: &Pick) -> (&'static str, &str) {
    match pick {
        Pick::Class(text) => ("class", text),
        Pick::Occurrence(text) => ("occurrence-id", text),
        Pick::Uri(text) => ("service-uri", text),
        Pick::Scheme(text) => ("service-uri-scheme", text),
        Pick::Device(text) => ("deviceID", text),
    }
}

fn pick(name: &str, text: &str) -> Option<Pick> {
    Some(match name {
        "class" => Pick::Class(text.into()),
        "occurrence-id" => Pick::Occurrence(text.into()),
        "service-uri" => Pick::Uri(text.into()),
        "service-uri-scheme" => Pick::Scheme(text.into()),
        "deviceID" => Pick::Device(text.into()),
        _ => return None,
    })
}

fn instead(element: Element<'_>) -> Option<Instead> {
    let said = element.attribute("status")?;
    let status = match said.strip_prefix("custom:") {
        Some(text) => PresenceStatus::Custom(text.to_owned()),
        None => PresenceStatus::from_word(said)?,
    };
    let is_known = element.attributes().all(|(name, _)| ["status", "note"].contains(&name));
    (is_known && status != PresenceStatus::Offline && element.children().next().is_none())
        .then(|| Instead { status, note: element.attribute("note").map(str::to_owned) })
}
