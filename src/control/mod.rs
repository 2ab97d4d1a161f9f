//! The control socket: JSON lines between an agent and whoever commands it, on this machine and for this user.
//!
//! Both ends begin with a [`Hello`]. Then a connection carries one [`Request`] after another, each answered by a
//! [`Reply`]; after `watch` the reply is followed by event lines, the same as those of `watch --json`, until
//! either end closes. `docs/control.md` shows how to drive it by hand.

mod connection;
mod listener;
mod status;

use std::net::SocketAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use self::{
    connection::{Connection, ControlError},
    listener::{ControlListener, Peer, lock},
    status::{AccountStatus, AgentStatus, Saved, StateFile},
};
pub use crate::client::{Buddy, Judgement, Line, Traced, WatcherGrade, WatcherInfo};

/// The version of this protocol; ends of different versions do not talk.
pub const PROTOCOL: u32 = 1;
/// The longest line that an agent takes, in bytes (SEC-11).
pub const MAX_LINE: usize = 64 * 1024;
/// The longest line that an agent says: a list of as many watchers as it serves fits.
pub const MAX_ANSWER: usize = 16 * 1024 * 1024;

/// What either end says first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Always `sippresence`.
    pub hello: String,
    /// The version of the program.
    pub version: String,
    /// See [`PROTOCOL`].
    pub protocol: u32,
    /// The agent's address of record; only the agent says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Where the agent listens.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub listen: Vec<SocketAddr>,
    /// The agent's process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
}

impl Hello {
    /// Makes the greeting of this program.
    pub fn new() -> Self {
        Self {
            hello: "sippresence".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            protocol: PROTOCOL,
            address: None,
            listen: Vec::new(),
            pid: None,
        }
    }
}

impl Default for Hello {
    fn default() -> Self {
        Self::new()
    }
}

/// What an agent can be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "cmd", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// Have what follows be about this account, or about `all`.
    Account {
        /// Its name in the configuration.
        name: String,
    },
    /// Publish a status, in the words of the command line.
    Set {
        /// The status.
        status: String,
        /// A note for people.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
        /// Activities behind the status's own, by their RPID names.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        activities: Vec<String>,
        /// The part of life that I am in, such as `work`; rules may go by it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sphere: Option<String>,
        /// Hold it for this long, such as `45m`; what was set before comes back.
        #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
        length: Option<String>,
        /// Hold it until then, such as `17:30` or RFC 3339.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<String>,
        /// Hold it as long as this connection lasts, or until `release`; the reply names it.
        #[serde(default, rename = "while", skip_serializing_if = "std::ops::Not::not")]
        held: bool,
    },
    /// Take back a hold of a connection that was lost, because the agent was started anew.
    Claim {
        /// Its name.
        hold: String,
    },
    /// End a hold.
    Release {
        /// Its name.
        hold: String,
    },
    /// Take the publication back, and forget what was set.
    Clear {},
    /// Tell the server again what it keeps of me, to see whether it still takes it; the reply is as that to `me`.
    Republish {},
    /// Tell what I publish, by which statuses it came about, and where others can watch me.
    Me {},
    /// One look at each target; the reply is followed by their lines, the last one of kind `end`.
    Show {
        /// Whom to look at.
        targets: Vec<String>,
        /// Whether the lines are to have the document as it came.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        raw: bool,
    },
    /// Watch targets; the reply is followed by lines until either end closes.
    Watch {
        /// Whom to watch: buddies, `@groups` and addresses; nobody stands for everybody on the list. Who comes into a
        /// group or onto the list is watched from then on.
        targets: Vec<String>,
    },
    /// Follow everything: the buddy list and everybody on it, my status, my watchers; the reply is followed by lines
    /// until either end closes.
    Follow {},
    /// Read the buddy list again, and tell it.
    Buddies {},
    /// List who watches, and who waits.
    Watchers {
        /// Everybody who is remembered instead: who watched or wanted to.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        history: bool,
    },
    /// Say what somebody would get of me, and why.
    Policy {
        /// The address.
        who: String,
        /// How certain its identity is; as that of its subscription, else proven.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        identity: Option<WatcherGrade>,
        /// When; now, if it is not said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at: Option<Timestamp>,
    },
    /// Put watchers on a list, or off all of them.
    Decide {
        /// Their addresses.
        who: Vec<String>,
        /// `allow`, `polite-block` or `block`; none takes them off every list.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        list: Option<String>,
    },
    /// Every SIP message that is sent or received; the reply is followed by them until either end closes.
    Trace {},
    /// Tell how the agent is.
    Status {},
    /// Read configuration and policy again.
    Reload {},
    /// The machine slept: nothing that is known is sure any more.
    Resumed {},
    /// Begin anew without a word to the watchers, perhaps elsewhere.
    Restart {
        /// Where to listen from now on, in the words of `agent run --listen`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        listen: Option<String>,
        /// On which port.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        port: Option<u16>,
    },
    /// Go offline and end.
    Stop {},
}

/// The answer to a request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// `ok` or `error`.
    pub reply: String,
    /// What happened, or what is wrong, in one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The exit code with which a command should end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<u8>,
    /// The agent cannot do it from where it listens; a client of one's own may.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub elsewhere: bool,
    /// In answer to `watchers`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub watchers: Vec<WatcherInfo>,
    /// In answer to `policy`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judgement: Option<Box<Judgement>>,
    /// In answer to `buddies`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub buddies: Vec<Buddy>,
    /// In answer to what is about my status: the `publication` line that follows from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publication: Option<Box<Line>>,
    /// In answer to the same: how many holds ended by it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub ended: usize,
    /// In answer to `set` with `while`: the name of the hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<String>,
    /// In answer to `status`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<Box<AgentStatus>>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl Reply {
    /// Makes the answer that all is well.
    pub fn ok() -> Self {
        Self { reply: "ok".to_owned(), ..Self::default() }
    }

    /// Makes the answer that it could not be done.
    pub fn error(code: u8, message: impl Into<String>) -> Self {
        Self { reply: "error".to_owned(), message: Some(message.into()), code: Some(code), ..Self::default() }
    }

    /// Makes the answer that a target is not to be had from where the agent listens.
    pub fn elsewhere(target: &str) -> Self {
        let message = format!("{target}: the agent listens on this machine only, where it cannot be reached by others");
        let hint = "`sippresence agent start --listen lan` lets it";
        Self { elsewhere: true, ..Self::error(7, message).with_hint(hint) }
    }

    /// Adds words on what happened.
    #[must_use]
    pub fn with_message(mut self, message: impl Into<String>) -> Self {
        self.message = Some(message.into());
        self
    }

    /// Adds words on what to do.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Returns whether it was done.
    pub fn is_ok(&self) -> bool {
        self.reply == "ok"
    }
}
