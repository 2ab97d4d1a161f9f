//! How the agent is.

use std::sync::Arc;

use super::{Shared, refuse};
use crate::{
    agent::{kept::Keeper, lock},
    control::{AccountStatus, AgentStatus, Reply, Saved},
};

/// Tells how the agent is.
pub(in crate::agent) async fn status(shared: &Shared) -> Reply {
    let (mut active, mut pending) = (0, 0);
    let mut saved = Saved::default();
    let mut accounts = Vec::new();
    for seat in shared.kept.seats().iter() {
        let client = seat.client().await;
        match client.watchers().await {
            Ok(watchers) => {
                let waiting = watchers.iter().filter(|watcher| matches!(watcher.state, "pending" | "waiting")).count();
                pending += waiting;
                active += watchers.len() - waiting;
            }
            Err(error) => return refuse(&error),
        }
        match client.savings().await {
            Ok((to_watchers, from_watched)) => {
                saved.to_watchers += to_watchers;
                saved.from_watched += from_watched;
            }
            Err(error) => return refuse(&error),
        }
        if !seat.name.is_empty() {
            let (name, address) = (seat.name.clone(), client.address().to_owned());
            accounts.push(AccountStatus { name, address });
        }
    }
    let usual = Arc::clone(&shared.own()[0]);
    let first = usual.seat.client().await;
    let status = AgentStatus {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        since: shared.since,
        address: first.address().to_owned(),
        listen: first.locals().to_vec(),
        accounts,
        config: shared.paths.config_file.clone(),
        log: shared.configured.as_ref().and_then(|configured| lock(configured).log.clone()),
        state: shared.kept.file.as_ref().map(Keeper::health),
        policy_problem: lock(&shared.policy_problem).clone(),
        active,
        pending,
        saved,
    };
    let publication = Some(Box::new(usual.line().await));
    Reply { agent: Some(Box::new(status)), publication, ..Reply::ok() }
}
