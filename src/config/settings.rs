//! Every key of `config.toml` with its default; `config.example.toml` explains them to the user.

use std::{collections::BTreeMap, fmt, net::IpAddr, path::PathBuf, time::Duration};

use crate::presence::Rates;

/// The port that is tried when none is configured.
pub const DEFAULT_PORT: u16 = 5060;

/// The whole configuration; what a file does not say stands here as its default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The account for targets without a domain; needed only where there are several.
    pub default_account: Option<String>,
    /// The accounts by name; without any, the user is peer to peer.
    pub accounts: BTreeMap<String, Account>,
    /// The resident agent.
    pub agent: Agent,
    /// Protocol timers.
    pub sip: Sip,
    /// What we publish of ourselves.
    pub publish: Publish,
    /// How we watch others.
    pub watch: Watch,
    /// How sure we must be of those who watch us.
    pub policy: Policy,
    /// Certificates.
    pub tls: Tls,
    /// Digest authentication.
    pub auth: Auth,
    /// Peers that do not follow the rules.
    pub interop: Interop,
    /// Programs of the user's that we start.
    pub hooks: Hooks,
    /// The buddy list on a terminal.
    pub tui: Tui,
}

impl Settings {
    /// Returns the account to use where none is named: the configured one, else the only one.
    pub fn default_account(&self) -> Option<(&str, &Account)> {
        let named = self.default_account.as_ref().and_then(|name| self.accounts.get_key_value(name));
        let (name, account) = named.or_else(|| self.accounts.first_key_value().filter(|_| self.accounts.len() == 1))?;
        Some((name, account))
    }
}

/// One address of ours, `[account.NAME]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The address of record, as `sip:alice@example.com`, host in lower case.
    pub address: String,
    /// Whether a server stands between us and the others.
    pub mode: Mode,
    /// Where every request of the account goes first, as a SIP URI.
    pub outbound_proxy: Option<String>,
    /// Whether we register.
    pub register: Register,
    /// Where the account's server keeps documents, an XCAP root (RFC 4825 §6.1) without a slash at its end.
    pub xcap: Option<String>,
    /// The user name for digest, if it is not the user of the address.
    pub auth_user: Option<String>,
    /// The only realm that may have our password; without it the first that the account's own server uses.
    pub realm: Option<String>,
    /// Where the password comes from.
    pub password: PasswordSource,
    /// The certificate that this account's server gets to see if it asks, and its key.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// Takes any certificate of this account's server; warned of at each start.
    pub insecure: bool,
}

impl Account {
    /// Makes an account of which nothing is known but its address.
    pub fn new(address: impl Into<String>) -> Self {
        Self {
            address: address.into(),
            mode: Mode::default(),
            outbound_proxy: None,
            register: Register::default(),
            xcap: None,
            auth_user: None,
            realm: None,
            password: PasswordSource::None,
            certificate: None,
            insecure: false,
        }
    }
}

/// Where an account's password comes from; it never stands in the configuration itself (SEC-10).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PasswordSource {
    /// There is none, or it is asked for.
    #[default]
    None,
    /// The first line that a program prints; run without a shell.
    Command(Vec<String>),
    /// The first line of a file that only we can read.
    File(PathBuf),
    /// The keyring of the user's desktop, by the account's address; with the feature `keyring` alone.
    Keyring,
}

/// `[agent]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agent {
    /// Whether `set` starts the agent.
    pub autostart: bool,
    /// On which addresses it listens.
    pub listen: Listen,
    /// Its port; without one [`DEFAULT_PORT`], or the first free one of 5070 to 5089.
    pub port: Option<u16>,
    /// Further host names that mean this agent, in lower case.
    pub names: Vec<String>,
    /// Whether state outlives a restart.
    pub persist: bool,
    /// The shortest subscription that we grant.
    pub min_expires: Duration,
    /// How many subscriptions we hold for others.
    pub max_subscriptions: usize,
}

impl Default for Agent {
    fn default() -> Self {
        Self {
            autostart: true,
            listen: Listen::default(),
            port: None,
            names: Vec::new(),
            persist: true,
            min_expires: Duration::from_mins(1),
            max_subscriptions: 10_000,
        }
    }
}

/// On which of this machine's addresses the agent listens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Listen {
    /// Those that only this machine reaches.
    #[default]
    Loopback,
    /// Those of local networks, and loopback.
    Lan,
    /// All of them.
    All,
    /// These.
    Addresses(Vec<IpAddr>),
}

impl std::str::FromStr for Listen {
    type Err = String;

    /// Reads `loopback`, `lan`, `all`, or addresses with commas between them, as `--listen` takes them.
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "loopback" => Ok(Self::Loopback),
            "lan" => Ok(Self::Lan),
            "all" => Ok(Self::All),
            _ => text.split(',').map(listen_address).collect::<Result<_, _>>().map(Self::Addresses),
        }
    }
}

/// Reads one address to listen on.
pub(super) fn listen_address(text: &str) -> Result<IpAddr, String> {
    let address: IpAddr = text
        .trim()
        .parse()
        .map_err(|_| format!("{text:?} is no address of this machine: write loopback, lan, all or IP addresses"))?;
    if address.is_unspecified() {
        return Err(format!("{text:?} stands for every address: write \"all\""));
    }
    Ok(address)
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loopback => f.write_str("loopback"),
            Self::Lan => f.write_str("lan"),
            Self::All => f.write_str("all"),
            Self::Addresses(addresses) => {
                let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
                f.write_str(&addresses.join(","))
            }
        }
    }
}

/// `[sip]`: the timers of RFC 3261 §17
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sip {
    /// The round trip that we expect.
    pub t1: Duration,
    /// The longest pause between two retransmissions.
    pub t2: Duration,
    /// How long a message may stay in the network.
    pub t4: Duration,
}

impl Default for Sip {
    fn default() -> Self {
        Self { t1: Duration::from_millis(500), t2: Duration::from_secs(4), t4: Duration::from_secs(5) }
    }
}

/// `[publish]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// How long a publication holds without a refresh.
    pub expires: Duration,
    /// What becomes of it when the agent stops.
    pub on_exit: OnExit,
    /// The statuses that are published as open, in the words of `set`.
    pub open_when: Vec<String>,
}

impl Default for Publish {
    fn default() -> Self {
        Self {
            expires: Duration::from_hours(1),
            on_exit: OnExit::default(),
            open_when: ["available", "in-call", "custom"].map(Into::into).to_vec(),
        }
    }
}

/// `[watch]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watch {
    /// How long a subscription through a server holds without a refresh.
    pub expires: Duration,
    /// How long one from peer to peer does.
    pub p2p_expires: Duration,
    /// How many SUBSCRIBEs leave in a second.
    pub rate: u32,
    /// How often a notifier is asked to tell of changes (RFC 6446).
    pub rates: Rates,
}

impl Default for Watch {
    fn default() -> Self {
        Self {
            expires: Duration::from_hours(1),
            p2p_expires: Duration::from_mins(5),
            rate: 10,
            rates: Rates::default(),
        }
    }
}

/// `[policy]`; the rules themselves stand in `policy.toml`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// How sure of a watcher's identity allow rules must be.
    pub require: Require,
    /// Whether those who are blocked get the answer that somebody gets who asks for a user who is not here.
    pub hide_unknown: bool,
}

/// `[tls]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// Authorities that we trust beside those of the system.
    pub ca_file: Option<PathBuf>,
    /// What to do with an unknown certificate of a peer.
    pub first_use: FirstUse,
}

/// `[tui]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tui {
    /// Which colours it has.
    pub theme: ThemeChoice,
    /// Other keys than the usual ones, by the names of their actions.
    pub keys: BTreeMap<String, String>,
}

/// `[auth]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Auth {
    /// The weakest digest that we answer.
    pub min: MinAuth,
}

/// `[interop]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interop {
    /// Whether we read what breaks a rule without harm.
    pub lenient: bool,
    /// Whether we write for peers of before RFC 6665 and RFC 8760.
    pub legacy: bool,
}

impl Default for Interop {
    fn default() -> Self {
        Self { lenient: true, legacy: false }
    }
}

/// `[hooks]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hooks {
    /// The program with its arguments that gets each event as a JSON line on its input; empty for none.
    pub on_event: Vec<String>,
    /// How long it may run.
    pub timeout: Duration,
}

impl Default for Hooks {
    fn default() -> Self {
        Self { on_event: Vec::new(), timeout: Duration::from_secs(10) }
    }
}

/// Makes an enum that is one word in the file.
macro_rules! word {
    ($(#[$doc:meta])* $name:ident: $($(#[$each:meta])* $variant:ident = $word:literal),+ $(,)?) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub enum $name {
            $($(#[$each])* $variant,)+
        }

        impl std::str::FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(format!("write {}, not {text:?}", [$(concat!("\"", $word, "\"")),+].join(" or "))),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $(Self::$variant => $word,)+
                })
            }
        }
    };
}

word! {
    /// Whether an account works through a server.
    Mode:
    /// Found out from its address and from what answers.
    #[default]
    Auto = "auto",
    /// Always through its server.
    Server = "server",
    /// Always directly to the others.
    P2p = "p2p",
}

word! {
    /// Whether an account registers.
    Register:
    /// Where the server wants it.
    #[default]
    Auto = "auto",
    /// In any case.
    Always = "always",
    /// In no case.
    Never = "never",
}

word! {
    /// What becomes of our publication when the agent stops.
    OnExit:
    /// It is taken back.
    #[default]
    Remove = "remove",
    /// It stays until it expires.
    Keep = "keep",
}

word! {
    /// How sure of a watcher's identity an allow rule must be.
    Require:
    /// Its address fits its name, or better.
    #[default]
    Address = "address",
    /// It proved its name.
    Verified = "verified",
}

word! {
    /// What to do with the unknown certificate of a peer without an authority.
    FirstUse:
    /// Fail, and say how to accept it.
    #[default]
    Ask = "ask",
    /// Take it and keep to it.
    Pin = "pin",
    /// Fail.
    Never = "never",
}

word! {
    /// Which colours the buddy list has on a terminal.
    ThemeChoice:
    /// As the terminal says; dark where it says nothing.
    #[default]
    Auto = "auto",
    /// For a dark background.
    Dark = "dark",
    /// For a light background.
    Light = "light",
    /// Without colours.
    Plain = "plain",
}

word! {
    /// The weakest digest algorithm that we answer.
    MinAuth:
    /// MD5, which old servers know alone.
    #[default]
    Md5 = "md5",
    /// SHA-256.
    Sha256 = "sha-256",
}
