//! One change of my status with no agent to stay: the account's server keeps it, and its name there is kept for whoever
//! changes it next, the next command or an agent (PUB-20).

use std::{sync::Arc, time::Duration};

use tokio::{task::JoinSet, time::Instant};

use super::{
    AgentError, Configured, device, listen, load_policy,
    opened::{Common, Opened},
    own::{Change, Done, OwnError, Wish, line, now},
    requests::answer,
    state::{self, State},
};
use crate::{
    client::{Holds, PortChoice, PresenceClient, SavedServing},
    config::Register,
    control::Reply,
};

/// Sets a status, waits for the word of the server until `by`, and keeps what comes of it; `begun` is given the client
/// that does it. What is published is to stand for so long, or as long as the configuration says. None if no server
/// keeps it for the account that is used where none is named.
///
/// # Errors
/// When an agent runs, or a file cannot be used.
pub async fn set_once(
    configured: &Configured,
    wish: &Wish<'_>,
    stands: Option<Duration>,
    by: Instant,
    begun: impl FnOnce(&PresenceClient),
) -> Result<Option<Reply>, AgentError> {
    let change = |holds: &mut Holds| {
        let (_, ended) = Change::read(wish)?.make(holds, "once", now())?;
        Ok(ended)
    };
    once(configured, change, stands, by, begun).await
}

/// Takes back what was published, and forgets what was set; otherwise as [`set_once`].
///
/// # Errors
/// As there.
pub async fn clear_once(
    configured: &Configured,
    by: Instant,
    begun: impl FnOnce(&PresenceClient),
) -> Result<Option<Reply>, AgentError> {
    let change = |holds: &mut Holds| {
        let ended = holds.holds().len();
        holds.clear();
        Ok(ended)
    };
    once(configured, change, None, by, begun).await
}

async fn once(
    configured: &Configured,
    change: impl FnOnce(&mut Holds) -> Result<usize, OwnError>,
    stands: Option<Duration>,
    by: Instant,
    begun: impl FnOnce(&PresenceClient),
) -> Result<Option<Reply>, AgentError> {
    let Configured { paths, env, .. } = configured;
    let mut settings = configured.settings.clone();
    let Some((name, account)) = settings.default_account() else { return Ok(None) };
    if super::server(&settings, name, account)?.is_none() {
        return Ok(None);
    }
    let name = name.to_owned();
    settings.publish.expires = stands.unwrap_or(settings.publish.expires);
    if let Some(account) = settings.accounts.get_mut(&name) {
        // Nobody would be there when it is called.
        account.register = Register::Never;
    }
    let policy = load_policy(&settings, paths)?;
    let _busy = busy(configured).await?;
    let path = state::path_in(&paths.state_dir);
    let file = settings.agent.persist.then_some(path);
    let mut state = match &file {
        Some(file) => state::load(file)?.0,
        None => State::default(),
    };
    let before = state.accounts.remove(&name).unwrap_or_default();
    let mut saved = before.clone();
    // The first that the server hears of us is what shows now.
    let mut holds = Holds::restored(saved.own, now());
    let ended = match change(&mut holds) {
        Ok(ended) => ended,
        Err(error) => return Ok(Some(answer(Err(error), false))),
    };
    saved.own = holds.saved(now());
    // The watchers of an agent wait for the next one.
    if let Some(watchers) = &mut saved.watchers {
        watchers.watchers.clear();
    }
    let device = device::urn(&paths.state_dir);
    let device = device.as_deref();
    let key = super::known_key(paths)?.map(Arc::new);
    let common = Common {
        settings: &settings,
        env,
        paths,
        key,
        policy: &policy,
        device,
        crashed: false,
        quiet: false,
        stays: false,
        traced_as: None,
    };
    let account = settings.accounts.get(&name).map(|account| (name.as_str(), account));
    let seat = Opened::open_at(&common, account, Some(PortChoice::Any), saved).await?.start().await?;
    let client = seat.client_now();
    begun(&client);
    client.settled_within(by.saturating_duration_since(Instant::now())).await?;
    let mut reply = answer(Ok(Done { publication: line(&seat).await, hold: None, ended, unkept: None }), false);
    let serving = client.halt().await?;
    if let Some(file) = file {
        let before_it = before.watchers.map(|serving| (serving.watchers, serving.history));
        let (watchers, history) = before_it.unwrap_or_default();
        let mut saved = seat.saved_with(Some(SavedServing { watchers, history, ..serving }));
        saved.port = before.port;
        state.accounts.insert(name, saved);
        if let Err(error) = state::save(&file, &state) {
            reply.message = Some(format!("the next one will stand beside it instead of replacing it: {error}"));
        }
    }
    Ok(Some(reply))
}

/// Takes the place of an agent; whoever looks for one is turned away at once, for there is none.
async fn busy(configured: &Configured) -> Result<JoinSet<()>, AgentError> {
    let listener = listen(&configured.paths).await?;
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        loop {
            if listener.accept().await.is_err() {
                tokio::time::sleep(super::REST).await;
            }
        }
    });
    Ok(tasks)
}
