//! The resident process: a client that stays, with its control socket, until it is told to stop.

mod device;
mod requests;

use std::{io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use thiserror::Error;
use tokio::sync::{Mutex, Notify, Semaphore};
use tracing::debug;

use crate::{
    client::{BindError, ClientBuilder, ClientError, OpenWhen, Policy, PortChoice, PresenceClient, Timing, address},
    config::{self, ConfigError, Environment, Listen, Paths, PolicyFile, Settings, prepare_private_dir},
    control::{ControlListener, Hello},
};

/// How many commands may be under way at once.
const MAX_CONNECTIONS: usize = 256;

/// How long the listener rests when the process has no descriptor left.
const REST: Duration = Duration::from_millis(100);

/// How long somebody who connects may take to greet: until then it holds a place.
const GREETING: Duration = Duration::from_secs(10);

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
            Self::Runs => Some("`sippresence set …` talks to it".to_owned()),
            Self::Client(ClientError::Bind(error)) => Some(BindError::hint(error).to_owned()),
            _ => None,
        }
    }
}

/// A running agent.
#[derive(Debug)]
pub struct Agent {
    /// The client that it keeps.
    pub client: PresenceClient,
    listener: ControlListener,
    policy_file: PathBuf,
}

/// What the handlers of requests share.
#[derive(Debug)]
struct Shared {
    client: PresenceClient,
    policy_file: PathBuf,
    require: config::Require,
    deciding: Mutex<()>,
    stop: Notify,
}

impl Agent {
    /// Starts the agent of a configuration.
    ///
    /// # Errors
    /// When one runs already, a port is taken, or a file cannot be used.
    pub async fn start(settings: &Settings, paths: &Paths, env: &Environment) -> Result<Self, AgentError> {
        let policy = load_policy(settings, paths)?;
        if let Some(folder) = paths.socket.parent() {
            prepare_private_dir(folder)?;
        }
        let listener = ControlListener::bind(&paths.socket).await.map_err(|error| match error.kind() {
            io::ErrorKind::AddrInUse => AgentError::Runs,
            _ => AgentError::Socket { path: paths.socket.clone(), error },
        })?;
        let device = device::urn(&paths.state_dir);
        let mut builder = builder(settings, env)?.policy(policy);
        if let Some(device) = device {
            builder = builder.device_id(device);
        }
        let client = builder.bind().await?;
        Ok(Self { client, listener, policy_file: paths.policy_file.clone() })
    }

    /// Starts an agent on a client that is there already; for `demo`.
    ///
    /// # Errors
    /// When the control socket cannot be had.
    pub async fn with_client(client: PresenceClient, paths: &Paths) -> Result<Self, AgentError> {
        if let Some(folder) = paths.socket.parent() {
            prepare_private_dir(folder)?;
        }
        let path = paths.socket.clone();
        let listener = ControlListener::bind(&path).await.map_err(|error| AgentError::Socket { path, error })?;
        Ok(Self { client, listener, policy_file: paths.policy_file.clone() })
    }

    /// Returns where it listens.
    pub fn locals(&self) -> &[SocketAddr] {
        self.client.locals()
    }

    /// Serves commands until `stop` completes, a command says so or the client is gone; then goes offline, which
    /// takes two seconds at most.
    pub async fn serve(self, require: config::Require, stop: impl Future<Output = ()>) {
        let Self { client, listener, policy_file } = self;
        let (deciding, told) = (Mutex::new(()), Notify::new());
        let shared = Arc::new(Shared { client: client.clone(), policy_file, require, deciding, stop: told });
        let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let mut stop = std::pin::pin!(stop);
        loop {
            let peer = tokio::select! {
                () = &mut stop => break,
                () = shared.stop.notified() => break,
                () = client.gone() => break,
                peer = listener.accept() => peer,
            };
            let Ok(peer) = peer else {
                tokio::time::sleep(REST).await;
                continue;
            };
            let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else { continue };
            let shared = Arc::clone(&shared);
            let hello = Hello {
                address: Some(client.address().to_owned()),
                listen: client.locals().to_vec(),
                pid: Some(std::process::id()),
                ..Hello::new()
            };
            tokio::spawn(async move {
                let _slot = slot;
                match tokio::time::timeout(GREETING, peer.greet(hello)).await {
                    Ok(Ok(connection)) => requests::serve(connection, &shared).await,
                    Ok(Err(error)) => debug!(%error, "a control connection failed"),
                    Err(_) => debug!("a control connection came without a greeting"),
                }
            });
        }
        drop(listener);
        client.stop().await;
    }
}

/// Makes a client's builder of the configuration: its account, addresses, timers.
///
/// # Errors
/// When a value cannot be used, or asks for what this version cannot do.
pub fn builder(settings: &Settings, env: &Environment) -> Result<ClientBuilder, AgentError> {
    let value = |key, reason: String| AgentError::Value { key, reason };
    let addresses = address::local_addresses(&match &settings.agent.listen {
        Listen::Loopback => address::Listen::Loopback,
        Listen::Lan => address::Listen::Lan,
        Listen::All => address::Listen::All,
        Listen::Addresses(addresses) => address::Listen::Addresses(addresses.clone()),
    });
    let own = match settings.default_account() {
        Some((_, account)) => account.address.clone(),
        None => default_address(env, addresses.first().copied()),
    };
    let open_when = OpenWhen::from_words(settings.publish.open_when.iter().map(String::as_str))
        .map_err(|error| value("publish.open_when", error.to_string()))?;
    let port = settings.agent.port.map_or_else(PortChoice::default, PortChoice::Fixed);
    Ok(PresenceClient::builder(&own)
        .listen(addresses)
        .port(port)
        .names(settings.agent.names.clone())
        .timing(timing(settings))
        .open_when(open_when)
        .min_expires(settings.agent.min_expires)
        .max_subscriptions(settings.agent.max_subscriptions)
        .expires(settings.watch.p2p_expires)
        .lenient(settings.interop.lenient))
}

/// Returns the protocol timers of the configuration.
pub fn timing(settings: &Settings) -> Timing {
    Timing { t1: settings.sip.t1, t2: settings.sip.t2, t4: settings.sip.t4 }
}

/// Without any account: the user at this machine, by the address that peers see.
fn default_address(env: &Environment, first: Option<std::net::IpAddr>) -> String {
    let host = match first {
        Some(std::net::IpAddr::V6(ip)) => format!("[{ip}]"),
        Some(ip) => ip.to_string(),
        None => "127.0.0.1".to_owned(),
    };
    format!("sip:{}@{host}", crate::client::escape_user(&env.user))
}

/// Reads the policy file into a policy in force.
///
/// # Errors
/// When the file cannot be read or says something that is no policy.
pub fn load_policy(settings: &Settings, paths: &Paths) -> Result<Policy, ConfigError> {
    Ok(policy_of(&PolicyFile::load(&paths.policy_file)?, settings.policy.require))
}

fn policy_of(file: &PolicyFile, require: config::Require) -> Policy {
    let mut policy = Policy::new(file.default);
    policy.require = match require {
        config::Require::Address => crate::client::Require::Address,
        config::Require::Verified => crate::client::Require::Verified,
    };
    for list in [config::List::Allow, config::List::PoliteBlock, config::List::Block] {
        for who in file.list(list) {
            policy.set(who, list.action());
        }
    }
    policy
}
