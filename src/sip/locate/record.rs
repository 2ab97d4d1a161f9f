//! What a search asks and what it is told: NAPTR and SRV records, addresses, and which of them are of use.

use std::net::SocketAddr;

use crate::sip::transport::Transport;

/// The most records of one answer that are looked at (RES-15).
const MAX_RECORDS: usize = 64;

/// One thing to be looked up.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Question {
    /// The NAPTR records of a domain (RFC 3403).
    Naptr {
        /// Its name.
        domain: String,
    },
    /// The SRV records of a service (RFC 2782).
    Srv {
        /// Its name, as `_sip._udp.example.com`.
        name: String,
    },
    /// The addresses of a host, both families, in the order of the system's preference (RFC 6724).
    Addresses {
        /// Its name.
        host: String,
        /// The port that they are to have.
        port: u16,
    },
}

/// What a look-up brought; no records at all is an answer, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To [`Question::Naptr`].
    Naptr(Vec<Naptr>),
    /// To [`Question::Srv`].
    Srv(Vec<Srv>),
    /// To [`Question::Addresses`].
    Addresses(Vec<SocketAddr>),
}

/// A NAPTR record, as the zone has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Naptr {
    /// Lower ones come first.
    pub order: u16,
    /// Lower ones come first among those of one order.
    pub preference: u16,
    /// What the replacement is; `s` is the name of a service.
    pub flags: String,
    /// What it is for, as `SIP+D2U`.
    pub service: String,
    /// A rewriting rule, which SIP does not use.
    pub regexp: String,
    /// The name to go on with.
    pub replacement: String,
}

/// An SRV record, as the zone has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Srv {
    /// Lower ones come first.
    pub priority: u16,
    /// How large its share among those of one priority is.
    pub weight: u16,
    /// The port.
    pub port: u16,
    /// The host; `.` says that the service is not to be had.
    pub target: String,
}

impl Question {
    /// Returns the name that is asked for.
    pub fn name(&self) -> &str {
        match self {
            Self::Naptr { domain: name } | Self::Srv { name } | Self::Addresses { host: name, .. } => name,
        }
    }
}

impl Answer {
    /// Returns the NAPTR records that can be looked at.
    pub(super) fn naptr(self) -> Vec<Naptr> {
        if let Self::Naptr(mut records) = self {
            records.truncate(MAX_RECORDS);
            records
        } else {
            Vec::new()
        }
    }

    /// Returns the SRV records that can be looked at.
    pub(super) fn srv(self) -> Vec<Srv> {
        if let Self::Srv(mut records) = self {
            records.truncate(MAX_RECORDS);
            records
        } else {
            Vec::new()
        }
    }

    /// Returns the addresses.
    pub(super) fn addresses(self) -> Vec<SocketAddr> {
        if let Self::Addresses(addresses) = self { addresses } else { Vec::new() }
    }
}

impl Naptr {
    /// Returns whether the record is about SIP at all (RFC 3263 §4.1).
    pub(super) fn is_sip(&self) -> bool {
        let kind = self.service.split('+').next().unwrap_or_default();
        kind.eq_ignore_ascii_case("SIP") || kind.eq_ignore_ascii_case("SIPS")
    }

    /// Returns the transport that it offers, and whose service to ask for.
    pub(super) fn offer(&self) -> Option<(Transport, String)> {
        let services = [("SIP+D2U", Transport::Udp), ("SIP+D2T", Transport::Tcp), ("SIPS+D2T", Transport::Tls)];
        let (_, transport) = services.into_iter().find(|(name, _)| self.service.eq_ignore_ascii_case(name))?;
        let plain = self.flags.eq_ignore_ascii_case("s") && self.regexp.is_empty();
        Some((transport, host_name(&self.replacement).filter(|_| plain)?))
    }
}

impl Srv {
    /// Returns whether the record says that the service is decidedly not available (RFC 2782, `Target`).
    pub(super) fn is_refusal(&self) -> bool {
        matches!(self.target.as_str(), "" | ".")
    }

    /// Returns the host, where it can be one and has a port.
    pub(super) fn host(&self) -> Option<String> {
        host_name(&self.target).filter(|_| self.port != 0)
    }
}

/// Returns a name of the DNS as we write hosts, unless it has in it what no host has.
fn host_name(name: &str) -> Option<String> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let fits = |label: &str| {
        (1..=63).contains(&label.len()) && label.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_'))
    };
    (name.len() <= 253 && name.split('.').all(fits)).then(|| name.to_ascii_lowercase())
}
