//! What the user's files say, put in force: the configuration as far as it goes, and who may see me.

use super::{Shared, refuse};
use crate::{
    agent::{configured::policy_of, hooks_of, load_policy, lock},
    client::{ClientError, Policy},
    config::{List, PolicyFile, Settings, identity::normalize},
    control::Reply,
};

/// Puts in force what the files say now, as far as it goes without a new start.
pub(in crate::agent) async fn reload(shared: &Shared) -> Reply {
    let Some(configured) = &shared.configured else { return Reply::error(6, "a demo has no configuration") };
    let before = lock(configured).clone();
    // What is broken changes nothing.
    let read = Settings::load(before.file.as_deref(), &before.env)
        .and_then(|settings| Ok((load_policy(&settings, &before.paths)?, settings)));
    let (policy, mut settings) = match read {
        Ok(read) => read,
        Err(error) => return Reply::error(2, format!("nothing is changed: {error}")),
    };
    let _deciding = shared.deciding.lock().await;
    if let Err(error) = put_in_force(shared, &policy).await {
        return refuse(&error);
    }
    *lock(&shared.require) = settings.policy.require;
    if settings.hooks != before.settings.hooks {
        shared.hooks.send_replace(hooks_of(&settings));
    }
    // Flags of the command line stay laid over the file, and what needs a new start is as it was until then.
    let waits = waiting_for_restart(&before.settings, &settings);
    lock(configured).settings.hooks = std::mem::take(&mut settings.hooks);
    let message = match waits.as_slice() {
        [] => "configuration and policy are in force".to_owned(),
        sections => format!("policy and hooks are in force; [{}] waits for `agent restart`", sections.join("], [")),
    };
    Reply::ok().with_message(message)
}

/// Names the sections that an agent takes up at its start only.
fn waiting_for_restart(before: &Settings, now: &Settings) -> Vec<&'static str> {
    let changed = [
        ("account", before.accounts != now.accounts || before.default_account != now.default_account),
        ("agent", before.agent != now.agent),
        ("sip", before.sip != now.sip),
        ("publish", before.publish != now.publish),
        ("watch", before.watch != now.watch),
        ("tls", before.tls != now.tls),
        ("auth", before.auth != now.auth),
        ("interop", before.interop != now.interop),
    ];
    changed.into_iter().filter(|(_, changed)| *changed).map(|(section, _)| section).collect()
}

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
    let path = shared.paths.policy_file.clone();
    // The file that was written last is put in force last.
    let _deciding = shared.deciding.lock().await;
    let written = tokio::task::spawn_blocking(move || {
        let mut file = PolicyFile::load(&path).map_err(|error| error.to_string())?;
        for name in names {
            file = match list {
                Some(list) => PolicyFile::set(&path, &name, list),
                None => PolicyFile::forget(&path, &name),
            }
            .map_err(|error| error.to_string())?;
        }
        Ok::<_, String>(file)
    })
    .await;
    match written {
        Ok(Ok(file)) => {
            let require = *lock(&shared.require);
            match put_in_force(shared, &policy_of(&file, require)).await {
                Ok(()) => Reply::ok(),
                Err(error) => refuse(&error),
            }
        }
        Ok(Err(reason)) => Reply::error(2, reason),
        Err(_) => Reply::error(70, "the policy could not be written: a bug of ours"),
    }
}

/// Every account goes by the same policy.
async fn put_in_force(shared: &Shared, policy: &Policy) -> Result<(), ClientError> {
    for seat in &shared.kept.seats {
        seat.client.set_policy(policy.clone()).await?;
    }
    Ok(())
}
