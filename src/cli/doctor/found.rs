//! What a step found: a mark, words, and of a failure its cause, its fix and its exit code.

use crate::{
    cli::Exit,
    client::{Answer, FailureCode, Freshness, Refused},
    presence::explain::of_freshness,
};

/// How a step went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    Ok,
    Warning,
    Failed,
    Skipped,
}

impl Mark {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// What a step found.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Found {
    pub(super) mark: Mark,
    pub(super) words: String,
    /// A SIP code, or `dns` and the like.
    pub(super) code: Option<FailureCode>,
    pub(super) cause: Option<String>,
    pub(super) fix: Option<String>,
    pub(super) exit: Exit,
}

impl Found {
    fn new(mark: Mark, words: impl Into<String>) -> Self {
        Self { mark, words: words.into(), code: None, cause: None, fix: None, exit: Exit::Done }
    }

    pub(super) fn ok(words: impl Into<String>) -> Self {
        Self::new(Mark::Ok, words)
    }

    pub(super) fn skipped(why: impl Into<String>) -> Self {
        Self::new(Mark::Skipped, why)
    }

    /// All is not as it should be, and nothing is broken.
    pub(super) fn warning(words: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { fix: Some(fix.into()), ..Self::new(Mark::Warning, words) }
    }

    /// Something of our own is broken.
    pub(super) fn failed(exit: Exit, words: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { exit, fix: Some(fix.into()), ..Self::new(Mark::Failed, words) }
    }

    /// The other side refused, or nobody answered.
    pub(super) fn no_answer(code: FailureCode, reason: &str) -> Self {
        let failed = Freshness::Failed(code);
        let entry = of_freshness(failed);
        Self {
            code: Some(code),
            cause: entry.map(|entry| entry.cause.to_owned()),
            fix: entry.map(|entry| entry.next.to_owned()),
            exit: Exit::of_freshness(failed),
            ..Self::new(Mark::Failed, reason)
        }
    }

    /// The same of a question.
    pub(super) fn refused(refused: &Refused) -> Self {
        Self::no_answer(refused.code, &refused.reason)
    }

    /// The same of an answer that is no 2xx.
    pub(super) fn answered(answer: &Answer) -> Self {
        Self::no_answer(FailureCode::Sip(answer.code), &code_words(answer.code))
    }

    /// Tells of the same as of something that one can live without.
    pub(super) fn only_a_warning(self) -> Self {
        Self { mark: Mark::Warning, exit: Exit::Done, ..self }
    }

    /// Returns whether the server does not believe who we are: whatever else is asked is refused as well.
    pub(super) fn is_unauthorized(&self) -> bool {
        self.exit == Exit::Authentication
    }
}

/// Returns a code with its name.
pub(super) fn code_words(code: u16) -> String {
    format!("{code} {}", crate::sip::codec::reason_phrase(code)).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_has_cause_fix_and_the_exit_code_of_the_table() {
        let found = Found::no_answer(FailureCode::Sip(403), "403 Forbidden");
        assert_eq!((found.mark, found.exit), (Mark::Failed, Exit::Refused));
        assert!(found.cause.is_some() && found.fix.is_some());
        assert!(Found::no_answer(FailureCode::Sip(407), "").is_unauthorized());
        let warning = found.only_a_warning();
        assert_eq!((warning.mark, warning.exit), (Mark::Warning, Exit::Done));
        assert_eq!((code_words(489), code_words(599)), ("489 Bad Event".to_owned(), code_words(599)));
    }
}
