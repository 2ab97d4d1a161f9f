//! How an agent is, as it tells it itself.

use std::{net::SocketAddr, path::PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::client::Savings;

/// The answer to `status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentStatus {
    /// The version of its program.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// Since when it runs.
    pub since: Timestamp,
    /// Its address of record.
    pub address: String,
    /// Where it listens, UDP and TCP each.
    pub listen: Vec<SocketAddr>,
    /// Its accounts; none where nothing is configured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accounts: Vec<AccountStatus>,
    /// The configuration file that it goes by, which need not be there.
    pub config: PathBuf,
    /// Where it writes its log, if not to a terminal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<PathBuf>,
    /// What outlives it; none if `agent.persist` is off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<StateFile>,
    /// Why the policy file, as it is now, is not in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_problem: Option<String>,
    /// How many watch us.
    pub active: usize,
    /// How many wait for our approval.
    pub pending: usize,
    /// What was not sent because it was known (RFC 5839), since the agent began.
    #[serde(default, skip_serializing_if = "Saved::is_nothing")]
    pub saved: Saved,
}

/// What conditional notification saved, in both directions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    /// What those who watch us were not sent.
    pub to_watchers: Savings,
    /// What those whom we watch did not send.
    pub from_watched: Savings,
}

impl Saved {
    fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// How an account is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountStatus {
    /// Its name in the configuration.
    pub name: String,
    /// Its address of record.
    pub address: String,
}

/// The file that outlives an agent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateFile {
    /// Where it lies.
    pub path: PathBuf,
    /// When it was written last by this agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saved_at: Option<Timestamp>,
    /// Why it cannot be written, if so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}
