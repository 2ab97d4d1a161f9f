//! From the configuration to a client: its account, addresses, timers, policy.

use std::{path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

use super::AgentError;
use crate::{
    client::{
        Buddies, ClientBuilder, Host, OpenWhen, Policy, PortChoice, PresenceClient, Server, Timing, Uri, address,
    },
    config::{
        self, Account, ConfigError, Environment, Listen, Mode, OnExit, Paths, PolicyFile, Register, Settings, buddies,
    },
};

/// The configuration of an agent, and where it came from.
#[derive(Clone, Debug)]
pub struct Configured {
    /// What the file says.
    pub settings: Settings,
    /// Where to listen instead, by the flags of the command.
    pub place: Place,
    /// The file that was asked for, if it is not the usual one.
    pub file: Option<PathBuf>,
    /// Where everything lies.
    pub paths: Paths,
    /// The surroundings.
    pub env: Environment,
    /// Where the log goes, if not to a terminal.
    pub log: Option<PathBuf>,
    /// Whether a status is about to be set: nobody need see the one that was kept.
    pub for_set: bool,
}

/// Where to listen, if not where the configuration says, or not where it was so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// On which addresses.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "words")]
    pub listen: Option<Listen>,
    /// On which port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
}

impl Place {
    /// Returns this place, and what it does not say as the other does.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self { listen: self.listen.or(other.listen), port: self.port.or(other.port) }
    }

    /// Returns the settings with this place laid over them.
    pub(super) fn over(&self, settings: &Settings) -> Settings {
        let mut settings = settings.clone();
        if let Some(listen) = &self.listen {
            settings.agent.listen.clone_from(listen);
        }
        settings.agent.port = self.port.or(settings.agent.port);
        settings
    }
}

/// Addresses in the words of the command line.
mod words {
    use serde::{Deserialize, Deserializer, Serializer, de};

    use crate::config::Listen;

    #[expect(clippy::ref_option, reason = "serde passes a reference")]
    pub(super) fn serialize<S: Serializer>(listen: &Option<Listen>, serializer: S) -> Result<S::Ok, S::Error> {
        match listen {
            Some(listen) => serializer.collect_str(listen),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Listen>, D::Error> {
        let words = Option::<String>::deserialize(deserializer)?;
        words.map(|words| words.parse().map_err(de::Error::custom)).transpose()
    }
}

/// Makes a client's builder of the configuration: its account, addresses, timers.
///
/// # Errors
/// When a value cannot be used, or asks for what this version cannot do.
pub fn builder(
    settings: &Settings,
    account: Option<(&str, &Account)>,
    env: &Environment,
) -> Result<ClientBuilder, AgentError> {
    let value = |key, reason: String| AgentError::Value { key, reason };
    let addresses = address::local_addresses(&match &settings.agent.listen {
        Listen::Loopback => address::Listen::Loopback,
        Listen::Lan => address::Listen::Lan,
        Listen::All => address::Listen::All,
        Listen::Addresses(addresses) => address::Listen::Addresses(addresses.clone()),
    });
    let own = match account {
        Some((_, account)) => account.address.clone(),
        None => default_address(env, addresses.first().copied()),
    };
    let open_when = OpenWhen::from_words(settings.publish.open_when.iter().map(String::as_str))
        .map_err(|error| value("publish.open_when", error.to_string()))?;
    let port = settings.agent.port.map_or_else(PortChoice::default, PortChoice::Fixed);
    let builder = PresenceClient::builder(&own)
        .listen(addresses)
        .port(port)
        .names(settings.agent.names.clone())
        .timing(timing(settings))
        .open_when(open_when)
        .min_expires(settings.agent.min_expires)
        .max_subscriptions(settings.agent.max_subscriptions)
        .rate(settings.watch.rate)
        .rates(settings.watch.rates)
        .expires(settings.watch.p2p_expires)
        .lenient(settings.interop.lenient)
        .auth_min(super::min_hash(settings))
        .legacy(settings.interop.legacy);
    let Some((name, account)) = account else { return Ok(builder) };
    let builder = match super::login(settings, account) {
        Some(login) => builder.login(login),
        None => builder,
    };
    Ok(match server(settings, name, account)? {
        Some(server) => builder.server(server),
        None => builder,
    })
}

/// Returns the server through which an account works; none if it is peer to peer.
///
/// # Errors
/// When its outbound proxy is no URI.
pub fn server(settings: &Settings, name: &str, account: &Account) -> Result<Option<Server>, AgentError> {
    let value = |reason: String| AgentError::Value { key: "account", reason: format!("{name}: {reason}") };
    let through = has_server(account);
    let proxy = account.outbound_proxy.as_ref().map(|proxy| proxy.parse::<Uri>()).transpose();
    let proxy = proxy.map_err(|error| value(format!("outbound_proxy: {error}")))?;
    let seconds = |duration: Duration| u32::try_from(duration.as_secs()).unwrap_or(u32::MAX).max(1);
    Ok(through.then(|| Server {
        expires: seconds(settings.watch.expires),
        publish_expires: seconds(settings.publish.expires),
        keep_on_exit: settings.publish.on_exit == OnExit::Keep,
        // Where nothing is said, nobody is to be called at a program that takes no calls.
        register: account.register == Register::Always,
        ..Server::new(proxy)
    }))
}

/// Says whether a server stands between an account and the others.
pub(super) fn has_server(account: &Account) -> bool {
    match account.mode {
        Mode::P2p => false,
        Mode::Server => true,
        Mode::Auto => account.outbound_proxy.is_some() || has_domain(&account.address),
    }
}

/// Says whether an address is of a domain, where somebody serves it, and not of a machine.
fn has_domain(address: &str) -> bool {
    let Ok(uri) = address.parse::<Uri>() else { return false };
    let view = uri.as_ref();
    let host = view.host_text().trim_end_matches('.').to_ascii_lowercase();
    let is_name = matches!(view.host(), Host::Name(_));
    let domain = host.rsplit_once('.').map(|(_, top)| top);
    is_name && view.port().is_none() && domain.is_some_and(|top| top != "local")
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

/// Reads the policy file into a policy in force, with the groups of the buddy list that its rules are about.
///
/// # Errors
/// When a file cannot be read or says something that is no policy: a list that nobody can read has no groups, and a rule
/// that is to keep one out would let it in.
pub fn load_policy(settings: &Settings, paths: &Paths) -> Result<Policy, ConfigError> {
    let file = PolicyFile::load(&paths.policy_file)?;
    let buddies = groups_for(&file, paths)?;
    Ok(policy_of(&file, settings.policy, &buddies))
}

/// Reads the buddy list if a rule is about a group of it.
///
/// # Errors
/// When it cannot be read.
pub fn groups_for(file: &PolicyFile, paths: &Paths) -> Result<Buddies, ConfigError> {
    let needs_groups = file.rules.iter().any(|rule| rule.groups().next().is_some());
    if needs_groups { buddies::load(&paths.buddies_file) } else { Ok(Buddies::default()) }
}

pub(super) fn policy_of(file: &PolicyFile, how: config::Policy, buddies: &Buddies) -> Policy {
    let mut policy = Policy::new(file.default).in_zone(file.zone.clone()).with_rules(file.rules(buddies));
    policy.hide_unknown = how.hide_unknown;
    policy.require = match how.require {
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
