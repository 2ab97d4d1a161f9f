//! What an answer, a reason or an exit code means for presence, why it is given, and what to do next.
//!
//! Three plain lines for each. The codes are those of RFC 3261 §21, RFC 3903 §11 and RFC 6665 §8.3 that can meet presence;
//! what is done about them on the wire is written elsewhere. Nothing here is printed, so any front end can use it.

/// One explanation in five texts: code, title, what it means, the likely cause, the next step.
type Row = (&'static str, &'static str, &'static str, &'static str, &'static str);

/// Writes rows as text, one below the other.
macro_rules! rows {
    ($($code:literal $title:literal $means:literal $cause:literal $next:literal)*) => {
        &[$(($code, $title, $means, $cause, $next),)*]
    };
}

mod codes;
mod words;

use serde::Serialize;

use super::{FailureCode, Freshness, status::most_like};

/// What an explanation is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Topic {
    /// The status code of a SIP response.
    Sip,
    /// The reason with which a subscription ended (RFC 6665 §4.1.3).
    Reason,
    /// How sure a state is.
    Freshness,
    /// What kept us from getting an answer.
    Failure,
    /// How one of our commands ended.
    Exit,
}

impl Topic {
    /// Each with the word that people write before what they ask for.
    const ALL: [(&'static str, Self); 5] = [
        ("sip", Self::Sip),
        ("reason", Self::Reason),
        ("freshness", Self::Freshness),
        ("failed", Self::Failure),
        ("exit", Self::Exit),
    ];

    /// Returns the word before what is explained.
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(_, topic)| *topic == self).map_or("", |(word, _)| word)
    }
}

/// One explanation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Explanation {
    /// What it is of.
    pub topic: Topic,
    /// The code or the word.
    pub code: &'static str,
    /// Its name.
    pub title: &'static str,
    /// What it means for presence.
    pub means: &'static str,
    /// Why it is given, most likely.
    pub cause: &'static str,
    /// What to do.
    pub next: &'static str,
}

/// Makes the explanation of a row.
const fn entry(topic: Topic, row: &Row) -> Explanation {
    let (code, title, means, cause, next) = *row;
    Explanation { topic, code, title, means, cause, next }
}

/// Nothing of that name is explained.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nothing is known of `{}`{}", crate::presence::text::visible(word), super::status::did_you_mean(nearest.as_deref()))]
pub struct UnknownTopic {
    /// What was asked for.
    pub word: String,
    /// The word that is most like it.
    pub nearest: Option<String>,
}

/// Returns everything that can be explained.
pub fn all() -> impl Iterator<Item = Explanation> {
    let sip = codes::SIP.iter().map(|row| entry(Topic::Sip, row));
    let reasons = words::REASONS.iter().map(|row| entry(Topic::Reason, row));
    let freshness = words::FRESHNESS.iter().map(|row| entry(Topic::Freshness, row));
    let failures = words::FAILURES.iter().map(|row| entry(Topic::Failure, row));
    let exits = words::EXITS.iter().map(|row| entry(Topic::Exit, row));
    sip.chain(reasons).chain(freshness).chain(failures).chain(exits)
}

/// Explains what people write: `489`, `sip 489`, `probation`, `reason=probation`, `stale`, `dns`, `failed: dns`, `exit 7`.
///
/// A word of several meanings has an explanation for each. Numbers below 100 and 124, 130 and 143 are exit codes; a
/// status code that is not listed is explained as the first of its class, as a client has to take it (RFC 3261
/// §8.1.3.2).
///
/// # Errors
/// When there is no such thing.
pub fn explain(asked: &str) -> Result<Vec<Explanation>, UnknownTopic> {
    let lower = asked.trim().to_ascii_lowercase();
    let of_topic = Topic::ALL.iter().find_map(|(word, topic)| {
        let rest = lower.strip_prefix(word)?;
        let code = rest.trim_start_matches([' ', '=', ':', '(']);
        (code.len() < rest.len() && !code.is_empty()).then_some((*topic, code.trim_end_matches(')')))
    });
    let (topic, code) = of_topic.map_or((None, lower.as_str()), |(topic, code)| (Some(topic), code));
    let fits = |entry: &Explanation| topic.is_none_or(|topic| is_of(entry.topic, topic));
    let found: Vec<Explanation> = all().filter(|entry| entry.code == code && fits(entry)).collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let class =
        code.parse().ok().filter(|code| (300..700).contains(code)).map(|code: u16| (code / 100 * 100).to_string());
    let found: Vec<Explanation> = all()
        .filter(|entry| Some(entry.code) == class.as_deref() && entry.topic == Topic::Sip && fits(entry))
        .collect();
    if !found.is_empty() {
        return Ok(found);
    }
    // What is most like a number is another number, of another meaning.
    let words = all().filter(|entry| fits(entry) && entry.code.starts_with(|c: char| c.is_ascii_alphabetic()));
    let nearest = most_like(code, words.map(|entry| entry.code)).map(str::to_owned);
    Err(UnknownTopic { word: asked.trim().to_owned(), nearest })
}

/// `failed` goes before status codes too.
fn is_of(topic: Topic, asked: Topic) -> bool {
    topic == asked || topic == Topic::Sip && asked == Topic::Failure
}

/// Explains why a state is not fresh; none if it is.
pub fn of_freshness(freshness: Freshness) -> Option<Explanation> {
    let asked = match freshness {
        Freshness::Fresh => return None,
        Freshness::Failed(code @ FailureCode::Sip(_)) => format!("sip {code}"),
        Freshness::Failed(code) => format!("failed {code}"),
        other => format!("freshness {}", other.word()),
    };
    explain(&asked).ok()?.first().copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::header::Reason;

    fn topics(asked: &str) -> Vec<(Topic, &'static str)> {
        explain(asked).unwrap().iter().map(|entry| (entry.topic, entry.code)).collect()
    }

    #[test]
    fn codes_and_words_are_found_as_people_write_them() {
        for (asked, expected) in [
            ("489", vec![(Topic::Sip, "489")]),
            ("sip 489", vec![(Topic::Sip, "489")]),
            ("failed: 404", vec![(Topic::Sip, "404")]),
            ("reason=probation", vec![(Topic::Reason, "probation")]),
            ("Probation", vec![(Topic::Reason, "probation")]),
            ("rejected", vec![(Topic::Reason, "rejected"), (Topic::Freshness, "rejected")]),
            ("reason=rejected", vec![(Topic::Reason, "rejected")]),
            ("timeout", vec![(Topic::Reason, "timeout"), (Topic::Failure, "timeout")]),
            ("failed (dns)", vec![(Topic::Failure, "dns")]),
            ("failed", vec![(Topic::Freshness, "failed")]),
            ("11", vec![(Topic::Exit, "11")]),
            ("exit 11", vec![(Topic::Exit, "11")]),
            ("130", vec![(Topic::Exit, "130")]),
            ("499", vec![(Topic::Sip, "400")]),
        ] {
            assert_eq!(topics(asked), expected, "{asked}");
        }
    }

    #[test]
    fn what_is_not_known_names_the_nearest_word() {
        assert_eq!(
            explain("probaton").unwrap_err().to_string(),
            "nothing is known of `probaton`: did you mean `probation`?"
        );
        for asked in ["", "sip", "999", "exit 489", "reason=489", "\u{1b}[31m", "sip stale"] {
            let error = explain(asked).unwrap_err();
            assert!(!error.to_string().contains('\u{1b}'), "{asked}: {error}");
        }
    }

    #[test]
    fn every_word_that_a_state_can_show_is_explained() {
        for reason in ["deactivated", "probation", "rejected", "timeout", "giveup", "noresource", "invariant"] {
            assert_ne!(Reason::from_token(reason), Reason::Unknown);
            assert_eq!(topics(&format!("reason={reason}")), [(Topic::Reason, reason)]);
        }
        for code in [FailureCode::Dns, FailureCode::Connect, FailureCode::Timeout, FailureCode::Untrusted] {
            let entry = of_freshness(Freshness::Failed(code)).unwrap();
            assert_eq!((entry.topic, entry.code), (Topic::Failure, code.to_string().as_str()));
        }
        for freshness in [Freshness::Stale, Freshness::Pending, Freshness::Rejected, Freshness::Unknown] {
            let entry = of_freshness(freshness).unwrap();
            assert_eq!((entry.topic, entry.code), (Topic::Freshness, freshness.word()));
        }
        assert_eq!(of_freshness(Freshness::Fresh), None);
        assert!(!topics("fresh").is_empty() && !topics("failed").is_empty());
        for code in 300..700 {
            assert!(of_freshness(Freshness::Failed(FailureCode::Sip(code))).is_some(), "{code}");
        }
    }

    #[test]
    fn every_exit_code_of_the_table_is_explained() {
        let table = include_str!("../../docs/exit-codes.md");
        let rows = table.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
        let codes: Vec<&str> =
            rows.flat_map(|codes| codes.split(", ")).filter(|code| code.parse::<u8>().is_ok()).collect();
        assert!(codes.len() > 10, "{codes:?}");
        for code in codes {
            assert_eq!(topics(&format!("exit {code}")), [(Topic::Exit, code)]);
            assert_eq!(topics(code), [(Topic::Exit, code)]);
        }
    }

    #[test]
    fn each_explanation_is_three_short_lines_and_no_two_are_of_the_same() {
        let mut seen = std::collections::BTreeSet::new();
        for entry in all() {
            assert!(seen.insert((entry.topic.word(), entry.code)), "{entry:?}");
            for line in [entry.title, entry.means, entry.cause, entry.next] {
                assert!(!line.is_empty() && line.len() <= 120 && !line.contains('\n'), "{}: {line}", entry.code);
            }
        }
    }
}
