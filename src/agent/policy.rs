//! The policy of an agent: read from its file, put in force, and read again whenever somebody has changed the file or a
//! group that its rules are about. What cannot be read changes nothing: the rules of before stay in force.

use std::time::Duration;

use tokio::time::sleep;
use tracing::{info, warn};

use super::{Shared, configured::groups_for, configured::policy_of, lock, requests::put_in_force};
use crate::{
    client::{Edits, Policy},
    config::{ConfigError, PolicyFile},
};

/// How long a file is left alone that somebody is changing.
const SETTLES: Duration = Duration::from_millis(100);

/// Follows the file and the groups for as long as the agent runs.
pub(super) async fn keep_up(shared: &Shared) {
    let mut groups = shared.list.follow();
    let mut edits = match Edits::of(&shared.paths.policy_file) {
        Ok(edits) => Some(edits),
        Err(error) => {
            warn!(%error, "changes of the policy file are seen by `agent reload` only");
            None
        }
    };
    // A demo has no files.
    if shared.configured.is_none() {
        return;
    }
    // What was changed since it was read first, and before we looked, is not told.
    renew(shared).await;
    loop {
        let edited = async {
            match &mut edits {
                Some(edits) => edits.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            goes_on = edited => {
                if !goes_on {
                    edits = None;
                }
                // Some editors move a file away before they write it anew: in between it is not there.
                sleep(SETTLES).await;
            }
            listed = groups.changed() => if listed.is_err() { return },
        }
        renew(shared).await;
    }
}

/// Reads the file, and puts it in force if it says something else than before.
async fn renew(shared: &Shared) {
    let _deciding = shared.deciding.lock().await;
    let read = read(shared).await;
    let problem = read.as_ref().err().map(ToString::to_string);
    let was = std::mem::replace(&mut *lock(&shared.policy_problem), problem.clone());
    match read {
        Ok(policy) => {
            if lock(&shared.policy).as_ref() == Some(&policy) {
                return;
            }
            let rules = policy.rules().len();
            match put_in_force(shared, &policy).await {
                Ok(()) => info!(rules, "the policy was changed"),
                Err(error) => warn!(%error, "the policy is not in force"),
            }
        }
        Err(error) if was != problem => warn!(%error, "the policy stays as it was"),
        Err(_) => {}
    }
}

async fn read(shared: &Shared) -> Result<Policy, ConfigError> {
    let (paths, how) = (shared.paths.clone(), *lock(&shared.how));
    let reading = tokio::task::spawn_blocking(move || {
        let file = PolicyFile::load(&paths.policy_file)?;
        let buddies = groups_for(&file, &paths)?;
        for warning in file.warnings(&buddies) {
            info!("{warning}");
        }
        Ok(policy_of(&file, how, &buddies))
    });
    match reading.await {
        Ok(read) => read,
        // Nobody cancels it.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
