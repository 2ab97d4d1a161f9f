//! A server from its start to its end: what it is told, how it comes up, and the handle by which it is ended.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::Timestamp;
use rand::rngs::StdRng;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
};

use super::{
    Certificate, ServeError, ServerConfig,
    accounts::{self, InForce},
    domain::{Domain, DomainConfig, Restored},
    driver::{Command, Driver, Parts},
    status::{self, Facts, Status},
    store::{Record, Store, Table, Writer},
    xcap::Xcap,
};
use crate::{
    net::{
        clock::Clock,
        http::serve,
        listen::Listeners,
        stream::TcpListener,
        tls::{OwnKey, Tls},
    },
    presence::core::Now,
};

/// How many requests for documents may wait.
const ASKS: usize = 64;
/// Where users' documents begin in a path.
pub const XCAP_ROOT: &str = "/xcap-root";

/// A server that runs, until [`stop`](Self::stop) or until this is dropped.
#[derive(Debug)]
pub struct Server {
    commands: mpsc::Sender<Command>,
    status: Status,
    open: Vec<String>,
    restored: Restored,
    driver: JoinHandle<()>,
    beside: Vec<JoinHandle<()>>,
}

impl Server {
    /// Starts a server in the runtime that runs the caller, and goes on with what an earlier one kept.
    ///
    /// # Errors
    /// When it cannot come up; the error says why. Nothing is changed then.
    pub async fn start(config: ServerConfig, rng: StdRng) -> Result<Self, ServeError> {
        let domains = domains_of(&config.domains)?;
        let accounts = config.accounts.as_deref().map(InForce::load).transpose()?.unwrap_or_default();
        let open: Vec<String> = domains
            .iter()
            .filter(|domain| !accounts.accounts.domains().any(|known| *known == ***domain))
            .map(|domain| domain.as_ref().to_owned())
            .collect();
        if let Some(domain) = open.first()
            && config.listen.iter().any(|ip| !ip.is_loopback())
        {
            return Err(ServeError::Open { domain: domain.clone() });
        }
        let mut listeners = Listeners::bind(&config.listen, config.port.clone())?;
        let mut tls = Tls::new(None)?;
        if let Some(certificate) = &config.tls {
            listeners.add_tls()?;
            tls = certified(tls, certificate, &config.listen)?;
        }
        let tls = Arc::new(tls);
        let mut beside = Vec::new();
        let (documents, asks) = offered(config.documents, config.tls.is_some().then(|| Arc::clone(&tls)), &mut beside)?;
        let (_, scrapes) = offered(config.metrics, None, &mut beside)?;
        let socket = config.socket.as_deref().map(listen_socket).transpose()?;
        let (store, rows, crashed) = match &config.store {
            Some(path) => opened(path)?,
            None => (None, Vec::new(), false),
        };
        let now = Now { at: Clock::now(), wall: Timestamp::now() };
        let domain_config = DomainConfig {
            domains: domains.clone(),
            // Also once the last account is taken away: other machines could be anybody.
            open: config.listen.iter().all(IpAddr::is_loopback),
            locals: listeners.addresses().collect(),
            tls: listeners.tls_addresses().collect(),
            timing: config.timing,
            min_expires: config.min_expires,
            max_expires: crate::sip::events::MAX_EXPIRES,
            default: config.default,
            hide_unknown: config.hide_unknown,
            auth_min: config.auth_min,
            legacy: config.legacy,
            limits: config.limits,
            keeps: store.is_some(),
        };
        let mut domain = Domain::new(domain_config, Arc::clone(&accounts.accounts), rng);
        let rows_of = |table: Table| rows.iter().find(|(of, ..)| *of == table).map(|(_, rows)| rows.clone());
        let restored = domain.restore(|table| rows_of(table).unwrap_or_default(), crashed, now);
        drop(rows);
        let (commands, inbox) = mpsc::channel(ASKS);
        if let Some(listener) = socket {
            beside.push(tokio::spawn(status::tell(listener, commands.clone())));
        }
        let (in_force, accounts) = watch::channel(accounts);
        if let Some(path) = config.accounts.clone() {
            beside.push(tokio::spawn(async move { accounts::follow(&path, &in_force).await }));
        }
        let scheme = if config.tls.is_some() { "https" } else { "http" };
        let facts = Facts {
            since: now.wall,
            domains,
            listening: listeners.addresses().collect(),
            tls: listeners.tls_addresses().collect(),
            documents: documents.map(|at| format!("{scheme}://{at}{XCAP_ROOT}")),
            store: config.store,
            accounts_problem: None,
        };
        let parts = Parts {
            domain,
            listeners,
            tls,
            store,
            xcap: Xcap::new(XCAP_ROOT),
            asks,
            scrapes,
            accounts,
            commands: inbox,
            facts,
            socket: config.socket,
        };
        let driver = tokio::spawn(Driver::new(parts)?.run());
        let (reply, status) = oneshot::channel();
        // A driver that is gone by now has said why.
        let _ = commands.send(Command::Status(reply)).await;
        let status = status.await.map_err(|_| io::Error::other("it ended at once; its log says why"))?;
        Ok(Self { commands, status, open, restored, driver, beside })
    }

    /// Returns how it was when it came up: where it listens among other things.
    pub const fn started(&self) -> &Status {
        &self.status
    }

    /// Returns the domains in which nobody has an account, and everybody is taken at his word.
    pub fn open(&self) -> &[String] {
        &self.open
    }

    /// Returns what went on from an earlier run.
    pub const fn restored(&self) -> Restored {
        self.restored
    }

    /// Returns how it is now; none once it has ended.
    pub async fn status(&self) -> Option<Status> {
        let (reply, status) = oneshot::channel();
        self.commands.send(Command::Status(reply)).await.ok()?;
        status.await.ok()
    }

    /// Ends without a word to anybody: all is kept, and another start goes on with it.
    pub async fn stop(self) {
        let (reply, stopped) = oneshot::channel();
        if self.commands.send(Command::Stop(reply)).await.is_ok() {
            // One that ended already needs no order.
            let _ = stopped.await;
        }
        for task in &self.beside {
            task.abort();
        }
    }

    /// Waits until it has ended by itself, as it does when its network breaks.
    pub async fn ended(&mut self) {
        // A panic was told by whoever panicked.
        let _ = (&mut self.driver).await;
    }
}

/// Brings the names of domains into their form.
fn domains_of(names: &[String]) -> Result<Vec<Box<str>>, ServeError> {
    if names.is_empty() {
        return Err(ServeError::NoDomain);
    }
    let mut domains: Vec<Box<str>> = Vec::new();
    for name in names {
        let probe = accounts::Name::new("probe", name).map_err(|_| ServeError::Domain(name.clone()))?;
        let domain: Box<str> = probe.domain().into();
        if !domains.contains(&domain) {
            domains.push(domain);
        }
    }
    Ok(domains)
}

fn certified(tls: Tls, certificate: &Certificate, addresses: &[IpAddr]) -> Result<Tls, ServeError> {
    match certificate {
        Certificate::SelfMade => Ok(tls.serving(&OwnKey::generate()?, addresses)?),
        Certificate::Files { chain, key } => {
            let read = |path: &PathBuf| {
                std::fs::read(path).map_err(|error| ServeError::Certificate { path: path.clone(), error })
            };
            Ok(tls.serving_certified(chain, &read(chain)?, &read(key)?)?)
        }
    }
}

fn listen_socket(path: &Path) -> Result<tokio::net::UnixListener, ServeError> {
    if let Some(folder) = path.parent() {
        use std::os::unix::fs::DirBuilderExt as _;
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    status::listen(path).map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => ServeError::Runs,
        _ => error.into(),
    })
}

type Rows = Vec<(Table, Vec<super::store::Entry>)>;
type Kept = Option<(Writer, mpsc::UnboundedReceiver<super::store::Report>)>;

/// What says that a server did not end in order: it stands in the file while one runs.
pub(super) const RUNNING: &[u8] = b"running";

/// Opens the file and reads all of it; also says whether whoever had it last crashed.
fn opened(path: &Path) -> Result<(Kept, Rows, bool), ServeError> {
    let refused = |error| ServeError::Store { path: path.into(), error };
    let mut store = Store::open(path).map_err(refused)?;
    let mut rows = Vec::new();
    for table in Table::ALL {
        rows.push((table, store.load(table).map_err(refused)?));
    }
    let of_meta = rows.iter().filter(|(table, _)| *table == Table::Meta).flat_map(|(_, rows)| rows);
    let crashed = of_meta.into_iter().any(|(key, _)| key == RUNNING);
    let record = Record { table: Table::Meta, key: RUNNING.to_vec(), value: Some(Vec::new()) };
    // On a disk that is full what is kept is served all the same.
    if let Err(error) = store.commit([&record]) {
        tracing::warn!(%error, "nothing can be kept");
    }
    Ok((Some(Writer::start(store)?), rows, crashed))
}

/// Offers something by HTTP; returns where, and what is asked.
fn offered(
    at: Option<SocketAddr>,
    tls: Option<Arc<Tls>>,
    beside: &mut Vec<JoinHandle<()>>,
) -> Result<(Option<SocketAddr>, mpsc::Receiver<serve::Ask>), ServeError> {
    let (sender, asks) = mpsc::channel(ASKS);
    let Some(at) = at else { return Ok((None, asks)) };
    let refused = |error| ServeError::Http { at, error };
    if tls.is_none() && !at.ip().is_loopback() {
        return Err(refused(io::Error::other("other machines are not served in clear text")));
    }
    let listener = TcpListener::bind(at).map_err(refused)?;
    let local = listener.local_addr();
    beside.push(tokio::spawn(async move {
        if let Err(error) = serve::serve(listener, tls, sender, serve::Limits::default()).await {
            tracing::warn!(%error, "HTTP is not served any more");
        }
    }));
    Ok((Some(local), asks))
}
