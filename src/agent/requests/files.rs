//! Who may see me: decisions, written down and put in force.

use super::{Shared, refuse};
use crate::{
    agent::{
        configured::{groups_for, policy_of},
        lock, rules,
    },
    client::{ClientError, Policy, Via, text},
    config::{List, PolicyFile, identity::normalize},
    control::Reply,
};

/// Writes the decision down, then puts it in force.
pub(super) async fn decide(shared: &Shared, who: &[String], list: Option<&str>) -> Reply {
    let list = match list {
        None => None,
        Some("allow") => Some(List::Allow),
        Some("polite-block") => Some(List::PoliteBlock),
        Some("block") => Some(List::Block),
        Some(other) => return Reply::error(2, format!("unknown list {other:?}: allow, polite-block or block")),
    };
    let mut names = Vec::new();
    for who in who {
        match normalize(who) {
            Ok(name) => names.push(name),
            Err(error) => return Reply::error(2, error.to_string()),
        }
    }
    let (paths, decided) = (shared.paths.clone(), names.clone());
    // The file that was written last is put in force last.
    let deciding = shared.deciding.lock().await;
    let written = tokio::task::spawn_blocking(move || {
        let path = &paths.policy_file;
        let mut file = PolicyFile::load(path).map_err(|error| error.to_string())?;
        for name in names {
            file = match list {
                Some(list) => PolicyFile::set(path, &name, list),
                None => PolicyFile::forget(path, &name),
            }
            .map_err(|error| error.to_string())?;
        }
        let buddies = groups_for(&file, &paths).map_err(|error| error.to_string())?;
        Ok::<_, String>((file, buddies))
    })
    .await;
    match written {
        Ok(Ok((file, buddies))) => {
            let how = *lock(&shared.how);
            if let Err(error) = put_in_force(shared, &policy_of(&file, how, &buddies)).await {
                return refuse(&error);
            }
        }
        Ok(Err(reason)) => return Reply::error(2, reason),
        Err(_) => return Reply::error(70, "the policy could not be written: a bug of ours"),
    }
    drop(deciding);
    if let Some(message) = share(shared).await {
        return Reply { message: Some(message), ..Reply::ok() };
    }
    match waits_elsewhere(shared, &decided).await {
        Some((who, account)) => Reply {
            message: Some(format!(
                "it is decided here, but {who} waits at the server of {account}, which goes by rules of its own"
            )),
            hint: Some(format!("with `xcap` in [account.{account}] the server is told; else decide it there")),
            ..Reply::ok()
        },
        None => Reply::ok(),
    }
}

/// Returns who of these waits at a server that we cannot tell what was decided, and of which account it is.
async fn waits_elsewhere(shared: &Shared, decided: &[String]) -> Option<(String, String)> {
    let accounts = lock(shared.configured.as_ref()?).settings.accounts.clone();
    for seat in shared.kept.seats().iter() {
        if accounts.get(&seat.name).is_none_or(|account| account.xcap.is_some()) {
            continue;
        }
        let watchers = seat.client().await.watchers().await.unwrap_or_default();
        let waits = watchers.into_iter().find(|watcher| {
            let is_decided = || normalize(&watcher.who).is_ok_and(|who| decided.contains(&who));
            watcher.via == Via::Server && matches!(watcher.state, "pending" | "waiting") && is_decided()
        });
        if let Some(watcher) = waits {
            let who = text::visible(watcher.who.strip_prefix("sip:").unwrap_or(&watcher.who));
            return Some((who, seat.name.clone()));
        }
    }
    None
}

/// Tells the servers that keep rules; returns which do not know it and why, if one does not.
async fn share(shared: &Shared) -> Option<String> {
    let _sharing = shared.sharing.lock().await;
    let settings = lock(shared.configured.as_ref()?).settings.clone();
    let failed = Box::pin(rules::share(&settings, &shared.paths)).await;
    rules::not_shared(&failed)
}

/// Every account goes by the same policy.
pub(in crate::agent) async fn put_in_force(shared: &Shared, policy: &Policy) -> Result<(), ClientError> {
    for seat in shared.kept.seats().iter() {
        seat.client().await.set_policy(policy.clone()).await?;
    }
    *lock(&shared.policy) = Some(policy.clone());
    *lock(&shared.policy_problem) = None;
    Ok(())
}
