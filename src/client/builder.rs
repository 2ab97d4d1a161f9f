//! Choosing the details of a client, and starting it.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, OnceLock},
    time::Duration,
};

use jiff::Timestamp;
use rand::rngs::StdRng;
use tokio::sync::{broadcast, mpsc};

use super::{
    Action, ClientError, Hash, Login, OpenWhen, Peer, Policy, PortChoice, PresenceClient, Published, ReadyClient,
    Restored, SavedServing, Server, Shared, Timing, TlsSettings,
    driver::{COMMANDS, Driver, Network},
    local::sources_toward,
    login::{secrets, uris_of},
    server::Home,
    trace::{BEHIND, TraceRecord, Tracer},
};
use crate::{
    net::{
        address::{all_machine_addresses, host_name},
        clock::Clock,
        dns::Dns,
        listen::Listeners,
        resolve,
    },
    presence::{
        Rates,
        core::{Core, CoreConfig, Now, Outbox},
    },
    sip::uri::{Host, Uri, escape_user},
};

/// How many events a slow reader of [`PresenceClient::events`] may be behind.
const EVENTS: usize = 1024;

/// A client whose details are still to be chosen; [`bind`](Self::bind) starts it.
#[derive(Clone, Debug)]
#[must_use = "a client starts with `bind`"]
pub struct ClientBuilder {
    address: String,
    display_name: Option<String>,
    listen: Vec<IpAddr>,
    port: Option<PortChoice>,
    names: Vec<String>,
    policy: Policy,
    timing: Timing,
    open_when: OpenWhen,
    min_expires: Duration,
    max_subscriptions: usize,
    rate: u32,
    rates: Rates,
    expires: Duration,
    lenient: bool,
    device: Option<String>,
    device_id: Option<String>,
    language: Option<String>,
    server: Option<Server>,
    default_host: Option<String>,
    saved: Option<(SavedServing, bool)>,
    published: Option<Published>,
    login: Option<Login>,
    auth_min: Hash,
    legacy: bool,
    peers: Vec<Peer>,
    name_server: Option<SocketAddr>,
    tls: TlsSettings,
    dns: Arc<Dns>,
    trace: Option<broadcast::Sender<TraceRecord>>,
}

impl ClientBuilder {
    pub(super) fn new(address: &str) -> Self {
        Self {
            address: address.to_owned(),
            display_name: None,
            listen: Vec::new(),
            port: None,
            names: Vec::new(),
            policy: Policy::default(),
            timing: Timing::default(),
            open_when: OpenWhen::default(),
            min_expires: Duration::from_mins(1),
            max_subscriptions: 10_000,
            rate: 10,
            rates: Rates::default(),
            expires: Duration::from_mins(5),
            lenient: true,
            device: None,
            device_id: None,
            language: None,
            server: None,
            default_host: None,
            saved: None,
            published: None,
            login: None,
            auth_min: Hash::Md5,
            legacy: false,
            peers: Vec::new(),
            name_server: None,
            tls: TlsSettings::default(),
            dns: Arc::default(),
            trace: None,
        }
    }

    /// Sets the name that goes with our address.
    pub fn display_name(mut self, name: impl Into<String>) -> Self {
        self.display_name = Some(name.into());
        self
    }

    /// Listens on these addresses of the machine instead of the one in our address.
    pub fn listen(mut self, addresses: impl Into<Vec<IpAddr>>) -> Self {
        self.listen = addresses.into();
        self
    }

    /// Returns the addresses on which it is to listen; none stands for the one in our address.
    pub fn listens(&self) -> &[IpAddr] {
        &self.listen
    }

    /// Chooses the port; one that stands in the address counts more.
    pub fn port(mut self, port: PortChoice) -> Self {
        self.port = Some(port);
        self
    }

    /// Takes whatever port the system gives.
    pub fn any_port(self) -> Self {
        self.port(PortChoice::Any)
    }

    /// Adds host names under which others address us.
    pub fn names(mut self, names: impl Into<Vec<String>>) -> Self {
        self.names = names.into();
        self
    }

    /// Says who may see us.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Says what those get whom no rule covers; without it they wait for approval.
    pub fn default_action(mut self, action: Action) -> Self {
        self.policy.default = action;
        self
    }

    /// Sets the base timers of RFC 3261 §17.1.1.1.
    pub fn timing(mut self, timing: Timing) -> Self {
        self.timing = timing;
        self
    }

    /// Says which statuses are sent as open.
    pub fn open_when(mut self, open_when: OpenWhen) -> Self {
        self.open_when = open_when;
        self
    }

    /// Sets the shortest subscription that is granted.
    pub fn min_expires(mut self, shortest: Duration) -> Self {
        self.min_expires = shortest;
        self
    }

    /// Sets how many subscriptions are served at most.
    pub fn max_subscriptions(mut self, most: usize) -> Self {
        self.max_subscriptions = most;
        self
    }

    /// Sets how many subscriptions are made a second, a few more at once; zero sets no limit, and 10 is usual.
    pub fn rate(mut self, rate: u32) -> Self {
        self.rate = rate;
        self
    }

    /// How often those whom we watch are asked to tell of changes (RFC 6446); not at all by default.
    pub fn rates(mut self, rates: Rates) -> Self {
        self.rates = rates;
        self
    }

    /// Sets for how long to subscribe at a time.
    pub fn expires(mut self, expires: Duration) -> Self {
        self.expires = expires;
        self
    }

    /// Says whether to take what peers of older days get wrong.
    pub fn lenient(mut self, lenient: bool) -> Self {
        self.lenient = lenient;
        self
    }

    /// Tells others what this device is called.
    pub fn device(mut self, name: impl Into<String>) -> Self {
        self.device = Some(name.into());
        self
    }

    /// Sets the URN of this device, `urn:uuid:…`; without it each start makes one.
    pub fn device_id(mut self, urn: impl Into<String>) -> Self {
        self.device_id = Some(urn.into());
        self
    }

    /// Sets the host that a bare name gets as a target; without it that of our address.
    pub(super) fn default_host(mut self, host: impl Into<String>) -> Self {
        self.default_host = Some(host.into());
        self
    }

    /// Works through a server: targets of our domain are asked there (and those of others by its proxy, if it has one).
    pub fn server(mut self, server: Server) -> Self {
        self.server = Some(server);
        self
    }

    /// Asks our server who watches us there (RFC 3857), for as long as the client lives; without a server nothing changes.
    pub fn watcher_info(mut self) -> Self {
        self.server = self.server.map(|server| Server { watcher_info: true, ..server });
        self
    }

    /// Sets the language in which notes are preferred.
    pub fn language(mut self, tag: impl Into<String>) -> Self {
        self.language = Some(tag.into());
        self
    }

    /// Answers our own server when it wants to know who we are; without a login that is a refusal.
    pub fn login(mut self, login: Login) -> Self {
        self.login = Some(login);
        self
    }

    /// Sets the weakest hash by which a peer may prove who it is, and we to it.
    pub fn auth_min(mut self, min: Hash) -> Self {
        self.auth_min = min;
        self
    }

    /// Writes for programs of older days: peers are challenged by the weakest hash alone.
    pub fn legacy(mut self, legacy: bool) -> Self {
        self.legacy = legacy;
        self
    }

    /// Shares a secret with these peers; [`PresenceClient::set_peers`] changes that later.
    pub fn peers(mut self, peers: impl Into<Vec<Peer>>) -> Self {
        self.peers = peers.into();
        self
    }

    /// Asks this server of the DNS instead of those that the system is configured with, also for addresses.
    pub fn name_server(mut self, server: SocketAddr) -> Self {
        self.name_server = Some(server);
        self
    }

    /// Says how to deal with TLS: whom to believe, and which key to show.
    pub fn tls(mut self, tls: TlsSettings) -> Self {
        self.tls = tls;
        self
    }

    /// Shares what another client of the DNS knows by now.
    pub(super) fn dns(mut self, dns: Arc<Dns>) -> Self {
        self.dns = dns;
        self
    }

    /// Tells its messages to those who read the [trace](PresenceClient::trace) of a client that is to end for it.
    pub fn traced_as(mut self, earlier: &PresenceClient) -> Self {
        self.trace = Some(earlier.shared.trace.clone());
        self
    }

    /// Goes on with the watchers of an earlier run, as [`PresenceClient::saved`] or [`PresenceClient::halt`] told
    /// them (NOT-29). Those who know us by another address or port are dropped.
    ///
    /// `crashed` says that the earlier run did not end by `halt`: then everybody is told our state, for nobody knows
    /// what was lost. Start such a client by [`open`](Self::open), and save before the first NOTIFY leaves.
    pub fn restore(mut self, saved: SavedServing, crashed: bool) -> Self {
        self.saved = Some((saved, crashed));
        self
    }

    /// Goes on with what was published in an earlier run, without telling anybody: whoever watched then knows. A
    /// status that is not the one that they know is to be [published](PresenceClient::publish) instead.
    pub fn published(mut self, published: Published) -> Self {
        self.published = Some(published);
        self
    }

    /// Binds the sockets and starts the client's task on the current runtime.
    ///
    /// # Errors
    /// When the address names no address of this machine, or its port is taken.
    pub async fn bind(self) -> Result<PresenceClient, ClientError> {
        Ok(self.open().await?.start())
    }

    /// Listens also on the addresses from which our server is reached, as far as it is found now: its requests would
    /// not arrive at loopback. Without a server nothing changes.
    pub async fn listen_toward_server(mut self) -> Self {
        let entry = self.server.as_ref().and_then(|server| server.proxy.clone().or_else(|| self.address.parse().ok()));
        if let Some(entry) = entry {
            for ip in sources_toward(&self.dns, entry).await {
                if !self.listen.contains(&ip) {
                    self.listen.push(ip);
                }
            }
        }
        self
    }

    /// Binds the sockets, and neither reads nor sends before [`ReadyClient::start`].
    ///
    /// # Errors
    /// When the address names no address of this machine, or its port is taken.
    pub async fn open(self) -> Result<ReadyClient, ClientError> {
        let bad = |reason: String| ClientError::Address { address: self.address.clone(), reason };
        let uri = parse_own(&self.address).map_err(bad)?;
        let view = uri.as_ref();
        let listen = if self.listen.is_empty() {
            match view.host() {
                Host::Ip(ip) => vec![ip],
                Host::Name(name) => local_addresses_of(name).await.map_err(bad)?,
            }
        } else {
            self.listen.clone()
        };
        let port = match view.port() {
            Some(port) => PortChoice::Fixed(port),
            None => self.port.clone().unwrap_or_default(),
        };
        let (tls, believing) = self.tls.open(&listen)?;
        let mut listeners = Listeners::bind(&listen, port)?;
        listeners.add_tls()?;
        let tls_locals: Vec<_> = listeners.tls_addresses().collect();
        let locals: Vec<_> = listeners.addresses().collect();
        let rng: StdRng = rand::make_rng();
        let device_id = self.device_id.clone().unwrap_or_else(random_urn);
        let address: Uri = view.aor().parse().map_err(|error: crate::sip::uri::UriError| bad(error.to_string()))?;
        let mut names = vec![host_name()];
        names.extend(self.names.iter().cloned());
        let (credentials, source) = self.login.map(|login| (login.credentials, login.source)).unzip();
        let config = CoreConfig {
            address: address.clone(),
            display_name: self.display_name,
            locals: locals.clone(),
            tls: tls_locals.clone(),
            machine: all_machine_addresses(),
            names,
            timing: self.timing,
            device_id,
            device: self.device,
            open_when: self.open_when,
            policy: self.policy,
            min_expires: wire_seconds(self.min_expires),
            max_subscriptions: self.max_subscriptions,
            expires: wire_seconds(self.expires).max(1),
            retry_cap: Duration::from_mins(2),
            rate: self.rate,
            rates: self.rates,
            server: self.server.clone(),
            lenient: self.lenient,
            language: self.language,
            credentials,
            auth_min: self.auth_min,
            legacy: self.legacy,
        };
        let now = Now { at: Clock::now(), wall: Timestamp::now() };
        let mut core = Core::new(config, rng, now).map_err(|_| ClientError::DisplayName)?;
        let mut out = Outbox::default();
        if let Some(published) = self.published {
            core.restore_published(published, now, &mut out);
        }
        let restored = match self.saved {
            Some((saved, crashed)) => core.restore(&saved, crashed, now, &mut out),
            None => Restored::default(),
        };
        let default_host = self.default_host.unwrap_or_else(|| address.as_ref().host_text().to_owned());
        let peers = secrets(self.peers, &default_host);
        let accounts = core.set_peers(&uris_of(&peers), now, &mut out);
        let (commands, inbox) = mpsc::channel(COMMANDS);
        let (releases, given_up) = mpsc::unbounded_channel();
        let (events, _) = broadcast::channel(EVENTS);
        let trace = self.trace.unwrap_or_else(|| broadcast::channel(BEHIND).0);
        let tracer = Tracer::new(trace.clone());
        let driver =
            Driver::new(core, out, Network { listeners, tls, believing }, inbox, given_up, events.clone(), tracer)?;
        let dns = match self.name_server {
            Some(server) => Arc::new(Dns::at(server).map_err(std::io::Error::other)?),
            None => self.dns,
        };
        let driver = driver.passwords_from(source).secrets_from(accounts, peers).names_from(dns);
        let user = address.as_ref().user().unwrap_or_default().to_owned();
        let address = address.as_str().to_owned();
        let home = Home { address, default_host, server: self.server };
        let registered = OnceLock::new();
        let shared = Shared { home, registered, user, locals, tls: tls_locals, commands, releases, events, trace };
        Ok(ReadyClient::new(PresenceClient { shared: Arc::new(shared) }, driver, restored))
    }
}

/// Reads our own address: `sip:alice@host`, or the same without its scheme.
fn parse_own(address: &str) -> Result<Uri, String> {
    let text = match address.rsplit_once('@') {
        Some((user, host)) if !user.contains(':') => format!("sip:{}@{host}", escape_user(user)),
        _ => address.to_owned(),
    };
    let uri: Uri = text.parse().map_err(|error: crate::sip::uri::UriError| error.to_string())?;
    match uri.as_ref().scheme() {
        crate::sip::uri::Scheme::Sip => Ok(uri),
        _ => Err("it must begin with `sip:`".into()),
    }
}

/// Looks a name of this machine up.
async fn local_addresses_of(name: &str) -> Result<Vec<IpAddr>, String> {
    let machine = all_machine_addresses();
    let found = resolve::lookup(name, 5060).await.map_err(|error| error.to_string())?;
    let mut ours: Vec<IpAddr> =
        found.iter().map(std::net::SocketAddr::ip).filter(|ip| ip.is_loopback() || machine.contains(ip)).collect();
    ours.dedup();
    if ours.is_empty() { Err(format!("{name} is no name of this machine")) } else { Ok(ours) }
}

fn wire_seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}

/// Makes a URN of a random UUID (RFC 9562 §5.4).
pub fn random_urn() -> String {
    use rand::RngExt as _;
    let mut rng: StdRng = rand::make_rng();
    let bits: u128 = rng.random();
    let bits = bits & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let hex = format!("{bits:032x}");
    format!("urn:uuid:{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}
