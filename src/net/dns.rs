//! What a search for a server asks: NAPTR and SRV records of the DNS, addresses of the system (RES-15, RES-18).
//!
//! The DNS is asked through `hickory-resolver` as `/etc/resolv.conf` says, which is read again when it changes: a laptop
//! moves. Its cache keeps answers for as long as they say, absence as well, and is bounded; so are the patience for one
//! question and the number of those under way. What follows from an answer is [`locate`](crate::sip::locate)'s matter.
//! Addresses are the system's ([`resolve`]), with its hosts file, its mDNS and its order of families;
//! where a name server was given instead, that one is asked first.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use hickory_resolver::{
    TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts},
    net::{NetError, runtime::TokioRuntimeProvider},
    proto::rr::{Name, RData, RecordType},
};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout},
};

use super::resolve;
use crate::sip::locate::{Answer, Naptr, Question, Srv};

/// How long one question to the DNS may take.
pub const LIMIT: Duration = Duration::from_secs(2);

/// After how long a datagram to a name server is taken for lost; it is sent once more then.
const LOST_AFTER: Duration = Duration::from_millis(900);
/// How many questions may be under way; the next one waits, within its own limit.
const AT_ONCE: usize = 32;
/// How many answers are kept.
const CACHED: u64 = 256;
/// The longest time for which an answer is kept.
const KEPT_AT_MOST: Duration = Duration::from_hours(24);
/// The longest time for which absence is kept.
const ABSENCE_KEPT_AT_MOST: Duration = Duration::from_mins(5);
/// The most records that we take from one answer.
const RECORDS: usize = 64;
/// For how long a question that failed is not asked again: what is asked meanwhile fails at once.
const FAILED_FOR: Duration = Duration::from_secs(5);
/// How many such questions are remembered.
const FAILURES: usize = 256;
/// Where the system says which name servers it asks.
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum DnsError {
    /// The name is none that the DNS can have.
    #[error("{0} is no name of the DNS")]
    Name(String),
    /// The name server could not be asked, or could not answer.
    #[error("cannot look {name} up in the DNS: {error}")]
    Failed {
        /// The name.
        name: String,
        /// Why.
        error: Box<NetError>,
    },
    /// The name server did not answer in time.
    #[error("cannot look {name} up in the DNS: no answer for {} s", LIMIT.as_secs())]
    TimedOut {
        /// The name.
        name: String,
    },
    /// The system did not find an address.
    #[error(transparent)]
    System(#[from] resolve::ResolveError),
    /// The same was asked a moment ago, and failed then.
    #[error("{0}")]
    Again(String),
}

/// A client of the DNS; see the module's text.
pub struct Dns {
    given: Option<TokioResolver>,
    /// By the system's configuration, and when that was written.
    system: Mutex<Option<(Option<SystemTime>, TokioResolver)>>,
    slots: Semaphore,
    /// What failed, with the reason, and when.
    failed: Mutex<HashMap<Question, (Instant, String)>>,
}

impl std::fmt::Debug for Dns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dns").field("given", &self.given.is_some()).finish_non_exhaustive()
    }
}

impl Default for Dns {
    fn default() -> Self {
        Self { given: None, system: Mutex::default(), slots: Semaphore::new(AT_ONCE), failed: Mutex::default() }
    }
}

impl Dns {
    /// Asks this name server instead of those that the system is configured with.
    ///
    /// # Errors
    /// When the client cannot be made.
    pub fn at(server: SocketAddr) -> Result<Self, NetError> {
        let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
            connection.port = server.port();
            connection
        });
        let server = NameServerConfig::new(server.ip(), true, connections.into());
        let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
        Ok(Self { given: Some(client(config, ResolverOpts::default())?), ..Self::default() })
    }

    /// Answers a question; that there is nothing of the kind is an answer without records.
    ///
    /// # Errors
    /// When nobody answered within [`LIMIT`], or as [`resolve::lookup`] does; for the next five seconds the same
    /// question then fails at once. One whose future is dropped counts as failed.
    pub async fn ask(&self, question: Question) -> Result<Answer, DnsError> {
        let now = Instant::now();
        let known = lock(&self.failed).get(&question).cloned();
        if let Some((_, why)) = known.filter(|(at, _)| now.duration_since(*at) < FAILED_FOR) {
            return Err(DnsError::Again(why));
        }
        let why = format!("the look-up of {} took too long", question.name());
        let mut asking = Asking { dns: self, failed: Some((question.clone(), why)) };
        let answer = self.look_up(question).await;
        match (&answer, &mut asking.failed) {
            (Ok(_), failed) => *failed = None,
            (Err(error), Some((_, why))) => *why = error.to_string(),
            (Err(_), None) => {}
        }
        answer
    }

    async fn look_up(&self, question: Question) -> Result<Answer, DnsError> {
        Ok(match question {
            Question::Naptr { domain } => {
                Answer::Naptr(self.records(&domain, RecordType::NAPTR).await?.iter().filter_map(naptr).collect())
            }
            Question::Srv { name } => {
                Answer::Srv(self.records(&name, RecordType::SRV).await?.iter().filter_map(srv).collect())
            }
            Question::Addresses { host, port } => Answer::Addresses(self.addresses(&host, port).await?),
        })
    }

    async fn addresses(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, DnsError> {
        if self.given.is_some() {
            let (six, four) = tokio::join!(self.records(host, RecordType::AAAA), self.records(host, RecordType::A));
            let found: Vec<_> = [six, four]
                .into_iter()
                .flatten()
                .flatten()
                .filter_map(|data| data.ip_addr())
                .map(|ip| SocketAddr::new(ip, port))
                .collect();
            if !found.is_empty() {
                return Ok(found);
            }
        }
        Ok(resolve::lookup(host, port).await?)
    }

    async fn records(&self, name: &str, kind: RecordType) -> Result<Vec<RData>, DnsError> {
        let mut fqdn = Name::from_utf8(name).map_err(|_| DnsError::Name(name.to_owned()))?;
        fqdn.set_fqdn(true);
        let failed = |error| DnsError::Failed { name: name.to_owned(), error: Box::new(error) };
        let client = match &self.given {
            Some(client) => client.clone(),
            None => self.system().map_err(failed)?,
        };
        let found = timeout(LIMIT, async {
            let _slot = self.slots.acquire().await;
            client.lookup(fqdn, kind).await
        });
        match found.await {
            Ok(Ok(found)) => {
                let of_kind = found.answers().iter().filter(|record| record.record_type() == kind);
                Ok(of_kind.map(|record| record.data.clone()).take(RECORDS).collect())
            }
            Ok(Err(error)) if error.is_no_records_found() => Ok(Vec::new()),
            Ok(Err(NetError::Timeout)) | Err(_) => Err(DnsError::TimedOut { name: name.to_owned() }),
            Ok(Err(error)) => Err(failed(error)),
        }
    }

    /// Returns a client of the name servers that the system is configured with by now.
    fn system(&self) -> Result<TokioResolver, NetError> {
        let written = std::fs::metadata(RESOLV_CONF).and_then(|file| file.modified()).ok();
        let mut system = lock(&self.system);
        if let Some((_, client)) = system.as_ref().filter(|(at, _)| *at == written) {
            return Ok(client.clone());
        }
        let (config, options) = hickory_resolver::system_conf::read_system_conf()?;
        let client = client(config, options)?;
        *system = Some((written, client.clone()));
        Ok(client)
    }
}

/// A question under way; what is left of it when it is dropped has failed.
struct Asking<'a> {
    dns: &'a Dns,
    failed: Option<(Question, String)>,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        let Some((question, why)) = self.failed.take() else { return };
        let (now, mut failed) = (Instant::now(), lock(&self.dns.failed));
        if failed.len() >= FAILURES {
            failed.retain(|_, (at, _)| now.duration_since(*at) < FAILED_FOR);
        }
        if failed.len() < FAILURES {
            failed.insert(question, (now, why));
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn client(config: ResolverConfig, mut options: ResolverOpts) -> Result<TokioResolver, NetError> {
    options.timeout = LOST_AFTER;
    options.attempts = 1;
    options.cache_size = CACHED;
    options.positive_max_ttl = Some(KEPT_AT_MOST);
    options.negative_max_ttl = Some(ABSENCE_KEPT_AT_MOST);
    // That file is the system's to read.
    options.use_hosts_file = ResolveHosts::Never;
    let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    *builder.options_mut() = options;
    builder.build()
}

fn naptr(data: &RData) -> Option<Naptr> {
    let RData::NAPTR(record) = data else { return None };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Some(Naptr {
        order: record.order,
        preference: record.preference,
        flags: text(&record.flags),
        service: text(&record.services),
        regexp: text(&record.regexp),
        replacement: record.replacement.to_ascii(),
    })
}

fn srv(data: &RData) -> Option<Srv> {
    let RData::SRV(record) = data else { return None };
    let (priority, weight, port) = (record.priority, record.weight, record.port);
    Some(Srv { priority, weight, port, target: record.target.to_ascii() })
}
