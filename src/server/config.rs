//! What a server is told, each with its default.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use super::domain::Limits;
use crate::{
    net::listen::PortChoice,
    presence::policy::Action,
    sip::{auth::Hash, transaction::Timing},
};

/// What a server is told.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// The domains that it serves.
    pub domains: Vec<String>,
    /// The addresses that it listens on.
    pub listen: Vec<IpAddr>,
    /// The port for UDP and TCP.
    pub port: PortChoice,
    /// Whether it listens for TLS as well, on the next port, and with which certificate.
    pub tls: Option<Certificate>,
    /// Where documents of users are kept by HTTP, or HTTPS where there is TLS.
    pub documents: Option<SocketAddr>,
    /// Where figures are told by HTTP.
    pub metrics: Option<SocketAddr>,
    /// Who has an account; none is nobody, and every domain is open.
    pub accounts: Option<PathBuf>,
    /// The file in which everything is kept; none keeps nothing.
    pub store: Option<PathBuf>,
    /// The socket by which `serve status` asks.
    pub socket: Option<PathBuf>,
    /// What watchers get of whom no rule says anything: in an open domain they are allowed unless this says otherwise, else
    /// they are asked about.
    pub default: Option<Action>,
    /// Whether whoever asks for somebody who has no account gets the answer of one who is blocked (POL-14).
    pub hide_unknown: bool,
    /// The weakest hash by which somebody may prove who it is.
    pub auth_min: Hash,
    /// Whether that hash alone is asked for: telephones of older days give up at one that they do not know.
    pub legacy: bool,
    /// The shortest subscription, publication or binding, in seconds.
    pub min_expires: u32,
    /// How much is served.
    pub limits: Limits,
    /// Base timers.
    pub timing: Timing,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            domains: Vec::new(),
            listen: vec![IpAddr::from([127, 0, 0, 1])],
            port: PortChoice::Fixed(5060),
            tls: None,
            documents: None,
            metrics: None,
            accounts: None,
            store: None,
            socket: None,
            default: None,
            hide_unknown: false,
            auth_min: Hash::Md5,
            legacy: false,
            min_expires: 60,
            limits: Limits::default(),
            timing: Timing::default(),
        }
    }
}

/// By what a server proves who it is.
#[derive(Clone, Debug)]
pub enum Certificate {
    /// By one that an authority made: files of PEM, the chain and the key.
    Files {
        /// The chain.
        chain: PathBuf,
        /// The key.
        key: PathBuf,
    },
    /// By one that it makes itself, for a lab: clients have to be told to take it.
    SelfMade,
}
