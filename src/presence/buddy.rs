//! Buddies: people on the list.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A person on the list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Buddy {
    /// Where the person is watched, as it was written.
    pub address: String,
    /// What the user calls the person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl Buddy {
    /// Makes a buddy without a name.
    pub fn new(address: impl Into<String>) -> Self {
        Self { address: address.into(), name: None }
    }
}

/// The name, or the address where there is none.
impl fmt::Display for Buddy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name.as_deref().unwrap_or(&self.address))
    }
}
