//! Who may see us: lists of watchers and a default, applied to identities of differing certainty.
//!
//! The words are those of RFC 5025 §3.2.1, but for `ask`, which is called `confirm` there.

pub mod pres_rules;

use std::{collections::HashMap, fmt, net::IpAddr, str::FromStr};

use serde::{Deserialize, Serialize};

use super::event::WatcherGrade;
use crate::sip::uri::{Host, UriRef};

/// What a watcher gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Our presence.
    Allow,
    /// Nothing, until we decided.
    #[default]
    Ask,
    /// An answer that we are offline.
    PoliteBlock,
    /// A refusal.
    Block,
}

impl FromStr for Action {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Allow, Self::Ask, Self::PoliteBlock, Self::Block]
            .into_iter()
            .find(|action| action.to_string() == text)
            .ok_or_else(|| format!("write \"allow\", \"ask\", \"polite-block\" or \"block\", not {text:?}"))
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allow => "allow",
            Self::Ask => "ask",
            Self::PoliteBlock => "polite-block",
            Self::Block => "block",
        })
    }
}

/// How sure of a watcher's identity a rule that allows must be (POL-04).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Require {
    /// The address that it claims answered us.
    #[default]
    Address,
    /// It proved who it is.
    Verified,
}

/// What was decided about a watcher, and by what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What it gets.
    pub action: Action,
    /// Which part of the policy says so: a list's name, or `default`.
    pub rule: &'static str,
}

/// The lists and the default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// What strangers get, and all whose identity is but claimed.
    pub default: Action,
    /// How sure an allow rule must be.
    pub require: Require,
    listed: HashMap<String, Action>,
    /// How many allow entries name each numeric address.
    vouched: HashMap<IpAddr, u32>,
}

impl Policy {
    /// Makes a policy without any list.
    pub fn new(default: Action) -> Self {
        Self { default, ..Self::default() }
    }

    /// Puts a watcher on the list of `action`, and off the others.
    pub fn set(&mut self, watcher: &str, action: Action) {
        let who = canonical(watcher);
        self.forget(&who);
        if let Some(address) = address_of(&who).filter(|_| action == Action::Allow) {
            *self.vouched.entry(address).or_default() += 1;
        }
        self.listed.insert(who, action);
    }

    /// Takes a watcher off every list.
    pub fn forget(&mut self, watcher: &str) {
        let who = canonical(watcher);
        let was = self.listed.remove(&who);
        if let Some(address) = address_of(&who).filter(|_| was == Some(Action::Allow))
            && let Some(count) = self.vouched.get_mut(&address)
        {
            *count -= 1;
            if *count == 0 {
                self.vouched.remove(&address);
            }
        }
    }

    /// Returns the list that a watcher is on.
    pub fn listed(&self, watcher: &str) -> Option<Action> {
        self.listed.get(&canonical(watcher)).copied()
    }

    /// Goes through the lists.
    pub fn entries(&self) -> impl Iterator<Item = (&str, Action)> {
        self.listed.iter().map(|(who, action)| (who.as_str(), *action))
    }

    /// Returns whether an allow entry names this very address, which then needs no further proof (SEC-01).
    pub fn vouches_for(&self, address: IpAddr) -> bool {
        self.vouched.contains_key(&address)
    }

    /// Decides about a watcher. Rules that allow need an identity that is more than claimed; those that block
    /// match every claim (POL-19).
    pub fn decide(&self, watcher: &str, grade: WatcherGrade) -> Decision {
        let sure = match self.require {
            Require::Address => grade != WatcherGrade::Claimed,
            Require::Verified => grade == WatcherGrade::Verified,
        };
        match self.listed(watcher) {
            Some(Action::Block) => Decision { action: Action::Block, rule: "block" },
            Some(Action::PoliteBlock) => Decision { action: Action::PoliteBlock, rule: "polite_block" },
            Some(Action::Allow) if sure => Decision { action: Action::Allow, rule: "allow" },
            Some(Action::Allow | Action::Ask) | None => Decision { action: self.default, rule: "default" },
        }
    }
}

/// Returns the numeric address that a listed watcher names, if it does.
fn address_of(who: &str) -> Option<IpAddr> {
    match UriRef::parse(who).ok()?.host() {
        Host::Ip(address) => Some(address),
        Host::Name(_) => None,
    }
}

/// Brings an address into the form in which it is listed: `sip:user@host`, the host in lower case.
///
/// `sips:` and `pres:` name the same person; port and parameters name nobody.
pub fn canonical(address: &str) -> String {
    let text = if address.contains(':') && UriRef::parse(address).is_ok() {
        address.to_owned()
    } else {
        format!("sip:{address}")
    };
    match UriRef::parse(&text) {
        Ok(uri) => match uri.user() {
            Some(user) => format!("sip:{user}@{}", uri.host_text().to_ascii_lowercase()),
            None => format!("sip:{}", uri.host_text().to_ascii_lowercase()),
        },
        Err(_) => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pol_01_strangers_are_asked_about() {
        let decision = Policy::default().decide("sip:stranger@192.0.2.1", WatcherGrade::Address);
        assert_eq!(decision, Decision { action: Action::Ask, rule: "default" });
    }

    #[test]
    fn pol_19_allow_needs_more_than_a_claim_and_block_does_not() {
        use WatcherGrade::{Address, Claimed, Verified};
        let mut policy = Policy::default();
        policy.set("bob@Host", Action::Allow);
        policy.set("sip:eve@host", Action::Block);
        policy.set("mallory@host", Action::PoliteBlock);
        for (who, grade, expected) in [
            ("sip:bob@host", Verified, Action::Allow),
            ("sips:bob@HOST:5061;x=y", Address, Action::Allow),
            ("sip:bob@host", Claimed, Action::Ask),
            ("sip:Bob@host", Address, Action::Ask),
            ("sip:eve@host", Claimed, Action::Block),
            ("sip:mallory@host", Claimed, Action::PoliteBlock),
        ] {
            assert_eq!(policy.decide(who, grade).action, expected, "{who} {grade:?}");
        }
        policy.require = Require::Verified;
        assert_eq!(policy.decide("sip:bob@host", Address).action, Action::Ask);
    }

    #[test]
    fn a_watcher_is_on_one_list_at_a_time() {
        let mut policy = Policy::default();
        policy.set("bob@host", Action::Allow);
        policy.set("bob@host", Action::Block);
        assert_eq!(policy.listed("sip:bob@host"), Some(Action::Block));
        policy.forget("sip:bob@HOST");
        assert_eq!(policy.listed("bob@host"), None);
    }

    #[test]
    fn only_an_allow_entry_vouches_for_its_address() {
        let mut policy = Policy::default();
        policy.set("bob@192.0.2.1", Action::Allow);
        policy.set("eve@192.0.2.2", Action::Block);
        assert!(policy.vouches_for("192.0.2.1".parse().unwrap()));
        assert!(!policy.vouches_for("192.0.2.2".parse().unwrap()));
    }
}
