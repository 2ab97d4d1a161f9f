//! Exit codes, and the errors that lead to them (design 2.2; `docs/exit-codes.md`).

use std::process::ExitCode;

use crate::{
    agent::{AgentError, DocumentsError, launch::LaunchError, rules::RulesError},
    client::{ClientError, FailureCode, Freshness, TargetError},
    config::ConfigError,
    control::{ControlError, Reply},
};

/// How a command ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    /// Done, or true.
    Done,
    /// False.
    False,
    /// Usage or configuration.
    Usage,
    /// No account or credentials.
    NoAccount,
    /// Authentication failed.
    Authentication,
    /// Refused by the peer or its policy.
    Refused,
    /// The other side cannot do that.
    Unsupported,
    /// Unreachable.
    Unreachable,
    /// No such user.
    NoSuchUser,
    /// Temporary: try later.
    Temporary,
    /// Partly done.
    Partly,
    /// The agent is needed and does not run.
    NoAgent,
    /// Agent and command do not fit together, or two agents would.
    Conflict,
    /// A bug of ours.
    Bug,
    /// `wait --timeout`.
    TimedOut,
    /// As the agent said, or the command that `set --while` ran.
    Other(u8),
    /// Ended by a signal.
    Signal(u8),
}

impl Exit {
    /// Returns the code itself.
    pub(super) fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::False => 1,
            Self::Usage => 2,
            Self::NoAccount => 3,
            Self::Authentication => 4,
            Self::Refused => 5,
            Self::Unsupported => 6,
            Self::Unreachable => 7,
            Self::NoSuchUser => 8,
            Self::Temporary => 9,
            Self::Partly => 10,
            Self::NoAgent => 11,
            Self::Conflict => 12,
            Self::Bug => 70,
            Self::TimedOut => 124,
            Self::Other(code) => code,
            Self::Signal(signal) => 128 + signal,
        }
    }

    /// Returns how a look at a presentity ended.
    pub(super) fn of_freshness(freshness: Freshness) -> Self {
        match freshness {
            Freshness::Fresh | Freshness::Stale => Self::Done,
            // Whoever lets us look sends a document; nothing at all means that it was not for us.
            Freshness::Pending | Freshness::Rejected | Freshness::Unknown => Self::Refused,
            Freshness::Failed(code) => Self::of_failure(code),
        }
    }

    fn of_failure(code: FailureCode) -> Self {
        match code {
            FailureCode::Sip(401 | 407) => Self::Authentication,
            FailureCode::Sip(405 | 406 | 415 | 420 | 421 | 488 | 489 | 501 | 606) => Self::Unsupported,
            FailureCode::Sip(404 | 410 | 604) => Self::NoSuchUser,
            FailureCode::Sip(480 | 486 | 500..=599) => Self::Temporary,
            FailureCode::Sip(300..=399 | 408)
            | FailureCode::Dns
            | FailureCode::Connect
            | FailureCode::Timeout
            | FailureCode::Untrusted => Self::Unreachable,
            FailureCode::Sip(_) => Self::Refused,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

/// Why a command failed: an exit code, one line, and perhaps one on the way out.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) exit: Exit,
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

impl Failed {
    pub(super) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), hint: None }
    }

    pub(super) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The agent is needed and does not run.
    pub(super) fn no_agent() -> Self {
        Self::new(Exit::NoAgent, "no agent is running").with_hint("start one with `sippresence agent start`")
    }

    /// Says the same to whoever started us.
    pub(super) fn to_reply(&self) -> Reply {
        let reply = Reply::error(self.exit.code(), self.message.as_str());
        match &self.hint {
            Some(hint) => reply.with_hint(hint.as_str()),
            None => reply,
        }
    }

    /// What the agent answered when it could not do something.
    pub(super) fn of_reply(reply: Reply) -> Self {
        let message = reply.message.unwrap_or_else(|| "the agent refused without a reason".to_owned());
        Self { exit: Exit::Other(reply.code.unwrap_or(70)), message, hint: reply.hint }
    }
}

impl From<ConfigError> for Failed {
    fn from(error: ConfigError) -> Self {
        Self::new(Exit::Usage, error.to_string())
    }
}

impl From<ControlError> for Failed {
    fn from(error: ControlError) -> Self {
        match error {
            ControlError::Protocol { .. } => Self::new(Exit::Conflict, error.to_string())
                .with_hint("`sippresence agent restart` puts this program in its place"),
            ControlError::Closed => Self::new(Exit::NoAgent, error.to_string()),
            _ => Self::new(Exit::Conflict, error.to_string()),
        }
    }
}

impl From<ClientError> for Failed {
    fn from(error: ClientError) -> Self {
        let exit = match &error {
            ClientError::Address { .. }
            | ClientError::Target(TargetError::Malformed { .. })
            | ClientError::Bind(_)
            | ClientError::Tls(_)
            | ClientError::DisplayName => Exit::Usage,
            ClientError::Target(_) => Exit::Unsupported,
            ClientError::Refused(_) => Exit::Refused,
            ClientError::Io(_) => Exit::Unreachable,
            ClientError::NoSuchWatcher(_) => Exit::NoSuchUser,
            ClientError::Stopped => Exit::NoAgent,
        };
        let hint = if let ClientError::Bind(error) = &error { Some(error.hint().to_owned()) } else { None };
        Self { exit, message: error.to_string(), hint }
    }
}

impl From<LaunchError> for Failed {
    fn from(error: LaunchError) -> Self {
        match error {
            LaunchError::Config(error) => error.into(),
            LaunchError::Control(error) => error.into(),
            LaunchError::Refused(reply) => {
                let message = LaunchError::Refused(reply.clone()).to_string();
                Self { exit: Exit::Other(reply.code.unwrap_or(70)), message, hint: reply.hint }
            }
            error => Self::new(Exit::NoAgent, error.to_string()),
        }
    }
}

impl From<AgentError> for Failed {
    fn from(error: AgentError) -> Self {
        let hint = error.hint();
        match error {
            AgentError::Client(error) => error.into(),
            AgentError::Runs => Self { exit: Exit::Conflict, message: error.to_string(), hint },
            _ => Self { exit: Exit::Usage, message: error.to_string(), hint },
        }
    }
}

impl From<DocumentsError> for Failed {
    fn from(error: DocumentsError) -> Self {
        let message = crate::client::text::visible(&error.to_string());
        Self { exit: Exit::Other(error.code()), message, hint: error.hint().map(str::to_owned) }
    }
}

impl From<RulesError> for Failed {
    fn from(error: RulesError) -> Self {
        let message = crate::client::text::visible(&error.to_string());
        Self { exit: Exit::Other(error.code()), message, hint: error.hint().map(str::to_owned) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_freshness_has_the_code_of_the_table() {
        use FailureCode::{Connect, Dns, Sip, Timeout, Untrusted};
        for (freshness, code) in [
            (Freshness::Fresh, 0),
            (Freshness::Stale, 0),
            (Freshness::Pending, 5),
            (Freshness::Rejected, 5),
            (Freshness::Failed(Sip(401)), 4),
            (Freshness::Failed(Sip(403)), 5),
            (Freshness::Failed(Sip(489)), 6),
            (Freshness::Failed(Sip(606)), 6),
            (Freshness::Failed(Sip(302)), 7),
            (Freshness::Failed(Sip(408)), 7),
            (Freshness::Failed(Dns), 7),
            (Freshness::Failed(Connect), 7),
            (Freshness::Failed(Timeout), 7),
            (Freshness::Failed(Untrusted), 7),
            (Freshness::Failed(Sip(404)), 8),
            (Freshness::Failed(Sip(604)), 8),
            (Freshness::Failed(Sip(486)), 9),
            (Freshness::Failed(Sip(503)), 9),
        ] {
            assert_eq!(Exit::of_freshness(freshness).code(), code, "{freshness}");
        }
        assert_eq!(Exit::Signal(2).code(), 130);
    }
}
