//! Who may see us, as the account's server is told (RFC 5025): the policy put there, and taken in from there.
//!
//! What was last seen there decides whose change it was: what another program changed is taken in, what was changed here
//! stays, and where both were the one here stays and that is told.

use std::{collections::BTreeSet, time::Duration};

use bytes::Bytes;
use tokio::time::timeout;

use super::{Documents, DocumentsError, Looked, Seen, configured::load_policy};
use crate::{
    client::{
        Action, Policy,
        pres_rules::{self, Read},
        xcap::Usage,
    },
    config::{ConfigError, List, Paths, PolicyFile, Settings},
};

/// How long a decision may wait for the server to hear of it.
const SHARED_WITHIN: Duration = Duration::from_secs(4);

/// Why the server's rules were not changed or read.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// The server, or another program's change.
    #[error(transparent)]
    Documents(#[from] DocumentsError),
    /// They cannot be read.
    #[error("the server's rules cannot be read, and stay as they are: {0}")]
    Unreadable(#[from] pres_rules::RulesError),
    /// Our own file.
    #[error(transparent)]
    File(#[from] ConfigError),
    /// It took too long.
    #[error("the server did not answer within {} s", SHARED_WITHIN.as_secs())]
    TooLate,
}

impl RulesError {
    /// Returns the exit code of a command that ends with it.
    pub fn code(&self) -> u8 {
        match self {
            Self::Documents(error) => error.code(),
            Self::Unreadable(_) => 6,
            Self::File(_) => 2,
            Self::TooLate => 7,
        }
    }

    /// Returns what may help.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Documents(error) => error.hint(),
            _ => None,
        }
    }
}

/// What putting the policy there does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// What our rules there said.
    pub before: Read,
    /// What they say then.
    pub after: Read,
}

/// Puts the policy there, or only sees what that would do.
pub async fn push(documents: &mut Documents, policy: &Policy, dry_run: bool) -> Result<Pushed, RulesError> {
    let looked = documents.look(Usage::PresRules).await?;
    if !looked.is_as_before() {
        return Err(DocumentsError::Unseen.into());
    }
    let (before, text) = match &looked.found {
        None => (Read::default(), pres_rules::write(policy)),
        Some(there) => (pres_rules::read(&there.body, policy.zone())?, pres_rules::update(&there.body, policy)?),
    };
    // What is written must read back before it replaces anything.
    let after = pres_rules::read(text.as_bytes(), policy.zone())?;
    if !dry_run {
        if looked.found.as_ref().is_some_and(|there| there.body == text.as_bytes()) {
            documents.note(Usage::PresRules, looked.found.as_ref())?;
        } else {
            documents.replace(Usage::PresRules, &looked, Bytes::from(text)).await?;
        }
    }
    Ok(Pushed { before, after })
}

/// Puts the policy file at the server of every account that has documents there; returns whose server does not know it, and
/// why.
pub async fn share(settings: &Settings, paths: &Paths) -> Vec<(String, RulesError)> {
    let mut failed = Vec::new();
    for (name, account) in settings.accounts.iter().filter(|(_, account)| account.xcap.is_some()) {
        let shared = async {
            let policy = load_policy(settings, paths)?;
            let mut documents = Documents::of(settings, (name, account), paths)?;
            push(&mut documents, &policy, false).await
        };
        if let Err(error) = timeout(SHARED_WITHIN, shared).await.unwrap_or(Err(RulesError::TooLate)) {
            failed.push((name.clone(), error));
        }
    }
    failed
}

/// Says whose server does not know a decision yet, if one does not.
pub fn not_shared(failed: &[(String, RulesError)]) -> Option<String> {
    let each: Vec<String> = failed.iter().map(|(name, error)| format!("that of {name}: {error}")).collect();
    (!each.is_empty()).then(|| format!("it is decided here, and a server does not know it yet; {}", each.join("; ")))
}

/// What taking the server's rules in does to ours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pulled {
    /// Who comes onto which list, or off every one.
    pub listed: Vec<(String, Option<List>)>,
    /// What everybody else gets.
    pub default: Option<Action>,
    /// Who was decided about here and there, and stays as decided here.
    pub stays: Vec<String>,
    /// How many rules are other programs' and are not taken in.
    pub others: usize,
    /// Which rules of ours were changed by another program so that they cannot be taken in.
    pub unreadable: Vec<Action>,
}

/// Says what is to be taken in of what stands there now.
///
/// # Errors
/// When that cannot be read.
pub fn compare(looked: &Looked, here: &PolicyFile) -> Result<Pulled, RulesError> {
    let there =
        looked.found.as_ref().map(|there| pres_rules::read(&there.body, &here.zone)).transpose()?.unwrap_or_default();
    let before = match &looked.before {
        Some(Seen::Document(before)) => pres_rules::read(&before.body, &here.zone).ok(),
        Some(Seen::Nothing) => Some(Read::default()),
        None => None,
    };
    let mut pulled =
        Pulled { others: there.others.rules.len(), unreadable: there.unreadable.clone(), ..Pulled::default() };
    let all: BTreeSet<&String> =
        there.listed.keys().chain(before.iter().flat_map(|before| before.listed.keys())).collect();
    let readable = |list: &List| !there.unreadable.contains(&list.action());
    for who in all {
        let now = there.listed.get(who).copied().and_then(list_of);
        let own = here.list_of(who);
        let was = before.as_ref().map(|before| before.listed.get(who).copied().and_then(list_of));
        if now == own || was == Some(now) || was.flatten().is_some_and(|was| !readable(&was)) {
            continue;
        }
        if own == was.flatten() {
            pulled.listed.push((who.clone(), now));
        } else {
            pulled.stays.push(who.clone());
        }
    }
    let was = before.map(|before| before.default);
    if let Some(now) = there.default.filter(|now| *now != here.default && was != Some(Some(*now))) {
        if here.default == was.flatten().unwrap_or_default() {
            pulled.default = Some(now);
        } else {
            pulled.stays.push("everybody else".to_owned());
        }
    }
    Ok(pulled)
}

impl Pulled {
    /// Puts it in the policy file.
    ///
    /// # Errors
    /// When that cannot be read or written.
    pub fn apply(&self, paths: &Paths) -> Result<(), RulesError> {
        let unwritable = |error: crate::config::policy::PolicyError| match error {
            crate::config::policy::PolicyError::File(error) => Some(RulesError::from(error)),
            // Nobody whom a file can name.
            crate::config::policy::PolicyError::Who(_) => None,
        };
        for (who, list) in &self.listed {
            let path = &paths.policy_file;
            let done = match list {
                Some(list) => PolicyFile::set(path, who, *list),
                None => PolicyFile::forget(path, who),
            };
            if let Some(error) = done.err().and_then(unwritable) {
                return Err(error);
            }
        }
        if let Some(default) = self.default {
            PolicyFile::set_default(&paths.policy_file, default)?;
        }
        Ok(())
    }

    /// Says whether nothing is another.
    pub fn is_empty(&self) -> bool {
        self.listed.is_empty() && self.default.is_none()
    }
}

fn list_of(action: Action) -> Option<List> {
    [List::Allow, List::PoliteBlock, List::Block].into_iter().find(|list| list.action() == action)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::xcap::Document;

    fn document(listed: &[(&str, Action)], default: Action) -> Document {
        let mut policy = Policy::new(default);
        for (who, action) in listed {
            policy.set(who, *action);
        }
        Document { etag: None, body: pres_rules::write(&policy).into() }
    }

    #[test]
    fn what_another_program_changed_is_taken_in_and_what_was_changed_here_stays() {
        use Action::{Allow, Ask, Block};
        let before = document(&[("a@h", Allow), ("b@h", Allow), ("c@h", Allow), ("d@h", Block)], Ask);
        let there = document(&[("a@h", Block), ("c@h", Block), ("d@h", Block), ("e@h", Allow)], Block);
        // b went off there, c was changed at both ends, d was taken off here, f was put on here.
        let allow = ["a@h", "b@h", "f@h"].map(|who| format!("sip:{who}")).to_vec();
        let mut here = PolicyFile { allow, polite_block: vec!["sip:c@h".into()], ..PolicyFile::default() };
        let looked = Looked { found: Some(there.clone()), before: Some(Seen::Document(before)) };
        let pulled = compare(&looked, &here).unwrap();
        let expected = [("sip:a@h", Some(List::Block)), ("sip:b@h", None), ("sip:e@h", Some(List::Allow))];
        assert_eq!(pulled.listed, expected.map(|(who, list)| (who.to_owned(), list)));
        assert_eq!((pulled.default, pulled.stays), (Some(Block), vec!["sip:c@h".to_owned()]));

        // What was never seen is added to what is here.
        let looked = Looked { found: Some(there), before: None };
        let pulled = compare(&looked, &here).unwrap();
        let expected = [("sip:d@h", Some(List::Block)), ("sip:e@h", Some(List::Allow))];
        assert_eq!(pulled.listed, expected.map(|(who, list)| (who.to_owned(), list)));
        assert_eq!(pulled.stays, ["sip:a@h", "sip:c@h"]);
        here.default = Allow;
        assert!(compare(&looked, &here).unwrap().stays.contains(&"everybody else".to_owned()));
    }

    #[test]
    fn a_rule_of_ours_that_another_program_made_unreadable_unblocks_nobody() {
        let before = document(&[("eve@h", Action::Block)], Action::Allow);
        let text = String::from_utf8(before.body.to_vec()).unwrap();
        let changed = text.replacen("<conditions>", "<conditions><x:when xmlns:x=\"x\"/>", 1);
        let found = Some(Document { etag: None, body: changed.into() });
        let here = PolicyFile { block: vec!["sip:eve@h".into()], default: Action::Allow, ..PolicyFile::default() };
        let pulled = compare(&Looked { found, before: Some(Seen::Document(before)) }, &here).unwrap();
        assert!(pulled.is_empty() && pulled.unreadable == [Action::Block], "{pulled:?}");
    }
}
