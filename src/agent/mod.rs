//! The resident process: a client that stays, with its control socket, until it is told to stop.
//!
//! It owns what outlives a command: my status with its holds ([`own`](self)), the file in which all that is kept,
//! and the programs that are told what happens. [`launch`] starts it, [`detach`] is what the started process does
//! first.

mod basis;
mod configured;
pub mod detach;
mod device;
mod documents;
mod following;
pub mod hooks;
mod kept;
#[cfg(feature = "keyring")]
mod keyring;
pub mod launch;
mod list;
mod login;
mod moving;
mod news;
mod once;
mod opened;
mod own;
mod peers;
mod policy;
mod reload;
mod requests;
pub mod rules;
mod seat;
mod shared;
mod state;
mod tls;
pub mod unit;

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex as StdMutex, MutexGuard, PoisonError},
    time::Duration,
};

use thiserror::Error;
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinSet,
};
use tracing::{debug, info, warn};

pub use self::{
    configured::{Configured, Place, builder, groups_for, load_policy, server, timing},
    device::known as known_device,
    documents::{Documents, DocumentsError, Looked, Seen},
    login::{login, min_hash},
    once::{clear_once, set_once},
    own::Wish,
    peers::peers,
    tls::{insecure_warnings, known_key, tls, trusted_keys},
};
use self::{
    hooks::{Hooks, Speaks},
    kept::{Keeper, Kept},
    list::List,
    opened::{Common, Opened},
    seat::Seat,
    shared::Shared,
    state::State,
};
use crate::{
    client::{BindError, ClientError, PresenceClient, SavedHolds},
    config::{self, Account, ConfigError, Paths, Settings, prepare_private_dir},
    control::{ControlListener, Hello, Reply},
};

/// How many commands may be under way at once.
const MAX_CONNECTIONS: usize = 256;

/// How long the listener rests when the process has no descriptor left.
const REST: Duration = Duration::from_millis(100);

/// How long somebody who connects may take to greet: until then it holds a place.
const GREETING: Duration = Duration::from_secs(10);

/// How many orders may wait.
const ORDERS: usize = 8;

/// Why an agent could not start or go on.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AgentError {
    /// Another agent serves the same configuration.
    #[error("an agent for this configuration runs already")]
    Runs,
    /// The configuration or a file beside it cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A value in the configuration cannot be used.
    #[error("{key}: {reason}")]
    Value {
        /// The key.
        key: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The client could not start.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The control socket cannot be had.
    #[error("cannot listen at {path}: {error}")]
    Socket {
        /// Where.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

impl AgentError {
    /// Returns what to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Runs => Some("`sippresence set …` talks to it, `sippresence agent stop` ends it".to_owned()),
            Self::Client(ClientError::Bind(error)) => Some(BindError::hint(error).to_owned()),
            _ => None,
        }
    }
}

/// What an agent may be told by whoever runs it, as by commands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Read configuration and policy again.
    Reload,
    /// End without a word, to be begun anew.
    Restart(Place),
    /// Go offline and end.
    Stop,
}

/// How an agent ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Everybody was told that we are offline.
    Offline,
    /// Nobody was told anything: it is to be begun anew, with all that was kept.
    ToRestart(Place),
}

/// A running agent.
#[derive(Debug)]
pub struct Agent {
    /// The client of the account that is used where none is named.
    pub client: PresenceClient,
    /// What was found amiss at the start, for whoever starts it.
    pub warnings: Vec<String>,
    listener: ControlListener,
    shared: Arc<Shared>,
    orders: mpsc::Receiver<Order>,
}

impl Agent {
    /// Starts the agent of a configuration, with all that it kept.
    ///
    /// # Errors
    /// When one runs already, a port is taken, or a file cannot be used.
    pub async fn start(configured: Configured) -> Result<Self, AgentError> {
        let Configured { paths, env, .. } = &configured;
        let policy = load_policy(&configured.settings, paths)?;
        let listener = listen(paths).await?;
        let persist = configured.settings.agent.persist;
        let file = state::path_in(&paths.state_dir);
        let (mut state, warning) = if persist { state::load(&file)? } else { (State::default(), None) };
        let mut warnings: Vec<String> = warning.into_iter().collect();
        // Who was told to listen elsewhere, and did not end by his own word, goes on there.
        let place = configured.place.clone().or(state.place);
        let settings = place.over(&configured.settings);
        let (device, crashed) = (device::urn(&paths.state_dir), !state.ended);
        // Those who watched a run that did not end are still there, and see what it said last.
        let quiet = configured.for_set && state.ended;
        let device = device.as_deref();
        let key = tls::lasting_key(paths).map(Arc::new);
        if let Err(error) = &key {
            warnings.push(format!("peers that trust your key will not know you again after a restart: {error}"));
        }
        let key = key.ok();
        let common = Common {
            settings: &settings,
            env,
            paths,
            key,
            policy: &policy,
            device,
            crashed,
            quiet,
            stays: true,
            traced_as: None,
        };
        warnings.extend(insecure_warnings(accounts_of(&settings).into_iter().flatten()));
        let (mut opened, mut accounts) = (Vec::new(), state.accounts.clone());
        for account in accounts_of(&settings) {
            let name = account.map_or("", |(name, _)| name);
            let saved = state.accounts.remove(name).unwrap_or_default();
            let seat = Opened::open(&common, account, opened.is_empty(), saved).await?;
            accounts.insert(name.to_owned(), seat.saved());
            opened.push(seat);
        }
        let file = persist.then(|| {
            let state = State { accounts, place: place.clone(), ..State::default() };
            let written = state::save(&file, &state).map_err(|error| error.to_string());
            if let Err(error) = &written {
                warnings.push(format!("what you set will be forgotten when the agent ends: {error}"));
            }
            let keeper = Keeper::new(file);
            keeper.note(&written);
            keeper
        });
        let mut seats = Vec::new();
        for seat in opened {
            seats.push(Arc::new(seat.start().await?));
        }
        let kept = Kept::new(seats, state.accounts, place, file);
        let hooks = hooks_of(&configured.settings);
        let list = List::load(&paths.buddies_file);
        if let Some(trouble) = list.now().trouble {
            warnings.push(format!("nobody is on the buddy list: {trouble}"));
        }
        Ok(Self::assemble(listener, kept, list, hooks, paths.clone(), Some(configured), warnings))
    }

    /// Starts an agent on a client that is there already, which keeps nothing; for `demo`.
    ///
    /// # Errors
    /// When the control socket cannot be had.
    pub async fn with_client(client: PresenceClient, paths: &Paths) -> Result<Self, AgentError> {
        let listener = listen(paths).await?;
        let kept = Kept::new(vec![Arc::new(Seat::of_client(client))], BTreeMap::new(), Place::default(), None);
        let list = List::load(&paths.buddies_file);
        Ok(Self::assemble(listener, kept, list, None, paths.clone(), None, Vec::new()))
    }

    fn assemble(
        listener: ControlListener,
        kept: Kept,
        list: List,
        hooks: Option<Hooks>,
        paths: Paths,
        configured: Option<Configured>,
        warnings: Vec<String>,
    ) -> Self {
        let (order, orders) = mpsc::channel(ORDERS);
        let shared = Shared::new(kept, list, paths, configured, hooks, order);
        Self { client: shared.usual().client_now(), warnings, listener, shared: Arc::new(shared), orders }
    }

    /// Returns where it listens.
    pub fn locals(&self) -> &[SocketAddr] {
        self.client.locals()
    }

    /// Returns how orders are given to it.
    pub fn orders(&self) -> mpsc::Sender<Order> {
        self.shared.orders.clone()
    }

    /// Returns what a starter is told when it is ready.
    pub async fn first_words(&self) -> Reply {
        let mut reply = requests::status(&self.shared).await;
        if !self.warnings.is_empty() {
            reply.message = Some(self.warnings.join("; "));
        }
        reply
    }

    /// Serves commands until an order ends it or the client is gone.
    ///
    /// Going offline takes two seconds at most.
    pub async fn serve(self) -> Ended {
        let Self { client, listener, shared, mut orders, .. } = self;
        drop(client);
        let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let _tasks = tasks(&shared);
        let mut connections = JoinSet::new();
        let ended = loop {
            let peer = tokio::select! {
                Some(order) = orders.recv() => match order {
                    Order::Stop => break Ended::Offline,
                    Order::Restart(place) => break Ended::ToRestart(place),
                    Order::Reload => {
                        let reply = Box::pin(reload::reload(&shared)).await;
                        let said = reply.message.as_deref().unwrap_or_default();
                        if reply.is_ok() { info!("{said}") } else { warn!("{said}") }
                        continue;
                    }
                },
                () = shared.gone() => break Ended::Offline,
                // Those that ended leave the set.
                Some(_) = connections.join_next() => continue,
                peer = listener.accept() => peer,
            };
            let Ok(peer) = peer else {
                tokio::time::sleep(REST).await;
                continue;
            };
            let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else { continue };
            let shared = Arc::clone(&shared);
            let client = shared.usual().client_now();
            let hello = Hello {
                address: Some(client.address().to_owned()),
                listen: client.locals().to_vec(),
                pid: Some(std::process::id()),
                ..Hello::new()
            };
            connections.spawn(async move {
                let _slot = slot;
                match tokio::time::timeout(GREETING, peer.greet(hello)).await {
                    Ok(Ok(connection)) => requests::serve(connection, &shared).await,
                    Ok(Err(error)) => debug!(%error, "a control connection failed"),
                    Err(_) => debug!("a control connection came without a greeting"),
                }
            });
        };
        drop(listener);
        shared.end(&ended, connections).await;
        ended
    }
}

/// What an agent does besides answering.
fn tasks(shared: &Arc<Shared>) -> JoinSet<()> {
    for own in shared.own().iter() {
        shared.look_after(Arc::clone(own));
    }
    let mut tasks = JoinSet::new();
    let this = Arc::clone(shared);
    tasks.spawn(async move { news::tell_of_buddies(&this, &this.hooks.subscribe()).await });
    let this = Arc::clone(shared);
    tasks.spawn(async move { this.list.keep_up().await });
    let this = Arc::clone(shared);
    tasks.spawn(async move { peers::keep_up(&this).await });
    let this = Arc::clone(shared);
    tasks.spawn(async move { policy::keep_up(&this).await });
    let this = Arc::clone(shared);
    tasks.spawn(async move { moving::follow(&this).await });
    let kept = Arc::clone(&shared.kept);
    tasks.spawn(async move { kept.follow().await });
    tasks
}

async fn listen(paths: &Paths) -> Result<ControlListener, AgentError> {
    if let Some(folder) = paths.socket.parent() {
        prepare_private_dir(folder)?;
    }
    ControlListener::bind(&paths.socket).await.map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => AgentError::Runs,
        _ => AgentError::Socket { path: paths.socket.clone(), error },
    })
}

/// Returns the accounts that an agent keeps up, the one first that is used where none is named; none at all stands
/// for whoever uses this machine.
fn accounts_of(settings: &Settings) -> Vec<Option<(&str, &Account)>> {
    let first = settings.default_account();
    let all = settings.accounts.iter().map(|(name, account)| (name.as_str(), account));
    let others = all.filter(|(name, _)| first.is_none_or(|(first, _)| first != *name));
    let accounts: Vec<_> = first.into_iter().chain(others).map(Some).collect();
    if accounts.is_empty() { vec![None] } else { accounts }
}

fn hooks_of(settings: &Settings) -> Option<Hooks> {
    let config::Hooks { on_event, timeout } = &settings.hooks;
    (!on_event.is_empty()).then(|| Hooks::new(on_event.clone(), *timeout, Speaks::ToTheLog))
}

/// Locks what several hands read and change; each change leaves it whole.
fn lock<T>(value: &StdMutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Forgets the stored status of an agent that does not run; returns whether there was one.
///
/// # Errors
/// When an agent runs after all, or its file cannot be used.
pub async fn forget_stored(paths: &Paths) -> Result<bool, AgentError> {
    let _listener = listen(paths).await?;
    let file = state::path_in(&paths.state_dir);
    let (mut state, _) = state::load(&file)?;
    if state.accounts.values().all(|seat| seat.own.shown().is_none()) {
        return Ok(false);
    }
    for seat in state.accounts.values_mut() {
        seat.own = SavedHolds::default();
    }
    state::save(&file, &state)?;
    Ok(true)
}
