//! Who may see us, as the account's server is told (RFC 5025): the policy put there, and taken in from there.
//!
//! What was last seen there decides whose change it was: what another program changed is taken in, what was changed here
//! stays, and where both were the one here stays and that is told.

mod pull;

use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;

use super::{Documents, DocumentsError, configured::load_policy};
use crate::{
    client::{
        Policy,
        pres_rules::{self, Read},
        xcap::Usage,
    },
    config::{ConfigError, Paths, Settings},
};

pub use self::pull::{Pulled, RuleChange, compare};

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
