//! What somebody would get and what decided each part of it, as plain data for people and programs.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Action, Explained, Shown, Sight, Unmet};
use crate::presence::event::WatcherGrade;

/// The answer to "what would this watcher get?".
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judgement {
    /// The version of these words.
    pub schema: u32,
    /// Whom it is about.
    pub who: String,
    /// How certain its identity is taken to be.
    pub identity: WatcherGrade,
    /// When.
    pub at: Timestamp,
    /// What it gets.
    pub action: Action,
    /// What decided: a list's name, the id of a rule, or `default`.
    pub rule: String,
    /// Each rule that is about it, in their order; of one on a list, none was asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<JudgedRule>,
    /// Each part of what is published, where that is shown at all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<JudgedPart>,
    /// The document that it gets, to the byte.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<String>,
}

/// One rule that is about somebody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JudgedRule {
    /// Its id.
    pub rule: String,
    /// Why it does not count; without it, it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unmet: Option<String>,
    /// When it begins to hold, if it holds at other times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// What it gives.
    pub action: Action,
    /// What it shows, in the words of the policy file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shows: Vec<String>,
    /// The status that it shows in place of ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instead: Option<String>,
}

/// One part of what is published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JudgedPart {
    /// The word of the policy file.
    pub part: String,
    /// What shows it; nobody hides what none shows.
    pub by: Vec<String>,
}

impl Judgement {
    /// Puts an explanation into words.
    pub fn of(who: &str, identity: WatcherGrade, at: Timestamp, explained: &Explained, body: Option<&[u8]>) -> Self {
        let decision = &explained.decision;
        let rules = explained.reasons.iter().filter(|_| explained.listed.is_none());
        let rules = rules.map(|reason| {
            let (unmet, from) = match &reason.unmet {
                None => (None, None),
                Some(Unmet::OtherTime(from)) => (Some("it holds at another time"), *from),
                Some(Unmet::OtherSphere) => (Some("it holds in another sphere"), None),
                Some(Unmet::Unproven) => (Some("it needs a more certain identity"), None),
                Some(Unmet::UnknownCondition) => (Some("it has a condition that cannot be told"), None),
                Some(Unmet::SomebodyElse) => (Some("it is about others"), None),
            };
            let shows = reason.action == Action::Allow && reason.instead.is_none();
            JudgedRule {
                rule: reason.rule.as_ref().to_owned(),
                unmet: unmet.map(str::to_owned),
                from,
                action: reason.action,
                shows: if shows { shown_words(&reason.shown) } else { Vec::new() },
                instead: reason.instead.as_ref().map(|instead| match instead.status.text() {
                    Some(text) => text.to_owned(),
                    None => instead.status.word().to_owned(),
                }),
            }
        });
        let parts = match (&decision.action, &decision.sight) {
            (Action::Allow, Sight::All | Sight::Some(_)) => parts(explained),
            _ => Vec::new(),
        };
        Self {
            schema: 1,
            who: who.to_owned(),
            identity,
            at,
            action: decision.action,
            rule: decision.rule.as_ref().to_owned(),
            rules: rules.collect(),
            parts,
            document: body.map(|body| String::from_utf8_lossy(body).into_owned()),
        }
    }
}

/// Names what is shown in the words of the policy file: `all`, or each.
pub fn shown_words(shown: &Shown) -> Vec<String> {
    if shown.is_all() {
        return vec!["all".to_owned()];
    }
    let words = Shown::words().filter(|word| *word != "all" && shown.grants(word)).map(str::to_owned);
    words.chain(shown.elements.iter().map(|(namespace, name)| format!("{{{namespace}}}{name}"))).collect()
}

fn parts(explained: &Explained) -> Vec<JudgedPart> {
    let by_rule = |word: &'static str| {
        let by: Vec<String> = match explained.listed {
            Some(_) => vec![explained.decision.rule.as_ref().to_owned()],
            None if explained.decision.rule.as_ref() == "default" => vec!["default".to_owned()],
            None => explained.shown_by(word).map(str::to_owned).collect(),
        };
        JudgedPart { part: word.to_owned(), by }
    };
    Shown::words().filter(|word| *word != "all").map(by_rule).collect()
}
