//! The accounts in force while somebody edits the file.

use std::{path::Path, sync::Arc, time::Duration};

use tokio::{sync::watch, time::sleep};
use tracing::{info, warn};

use super::{Accounts, AccountsError};
use crate::net::edits::Edits;

/// Some editors move a file away before they write it anew: in between it is not there.
const SETTLES: Duration = Duration::from_millis(100);

/// The accounts that count now, and what is wrong with the file since.
#[derive(Clone, Debug, Default)]
pub struct InForce {
    /// Those of the file when it was last without a fault.
    pub accounts: Arc<Accounts>,
    /// Why the file counts for nothing as it is.
    pub problem: Option<String>,
}

impl InForce {
    /// Reads the file at the start.
    ///
    /// # Errors
    /// As [`Accounts::load`].
    pub fn load(path: &Path) -> Result<Self, AccountsError> {
        Ok(Self { accounts: Arc::new(Accounts::load(path)?), problem: None })
    }
}

/// Reads the file again whenever somebody changed it; a fault leaves what was in force, and is told. Ends when nobody
/// listens any more, or the system tells of no changes. Cancel-safe.
pub async fn follow(path: &Path, in_force: &watch::Sender<InForce>) {
    let mut edits = match Edits::of(path) {
        Ok(edits) => edits,
        Err(error) => return warn!(%error, "changes of the accounts wait for a new start"),
    };
    // What was changed before we looked.
    renew(path, in_force).await;
    loop {
        tokio::select! {
            goes_on = edits.next() => if !goes_on { return },
            () = in_force.closed() => return,
        }
        sleep(SETTLES).await;
        renew(path, in_force).await;
    }
}

async fn renew(path: &Path, in_force: &watch::Sender<InForce>) {
    let of = path.to_owned();
    let Ok(read) = tokio::task::spawn_blocking(move || Accounts::load(&of)).await else { return };
    match read {
        Ok(accounts) => {
            info!(accounts = accounts.len(), "the accounts were read");
            in_force.send_replace(InForce { accounts: Arc::new(accounts), problem: None });
        }
        Err(error) => {
            warn!(%error, "the accounts stay as they were");
            in_force.send_modify(|in_force| in_force.problem = Some(error.to_string()));
        }
    }
}
