//! The words of `serve`.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use clap::{Subcommand, ValueEnum};

use crate::{client::Action, sip::auth::Hash};

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(in crate::cli) struct Serve {
    #[command(flatten)]
    pub(in crate::cli) run: Run,
    #[command(subcommand)]
    pub(in crate::cli) command: Option<ServeCommand>,
}

/// What a server is told.
#[derive(Clone, Debug, clap::Args)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag")]
pub(in crate::cli) struct Run {
    /// Serve this domain; may be given several times
    #[arg(long, value_name = "DOMAIN")]
    pub(in crate::cli) domain: Vec<String>,
    /// Listen on this address by UDP and TCP; may be given several times
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    pub(in crate::cli) listen: Vec<IpAddr>,
    /// Listen on this port; 0 takes any that is free
    #[arg(long, value_name = "PORT", default_value_t = 5060)]
    pub(in crate::cli) port: u16,
    /// Listen for TLS on the next port, with this chain of certificates (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_key", conflicts_with = "tls_self_made")]
    pub(in crate::cli) tls_cert: Option<PathBuf>,
    /// The key of the certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(in crate::cli) tls_key: Option<PathBuf>,
    /// Listen for TLS on the next port, with a certificate that no authority made
    #[arg(long)]
    pub(in crate::cli) tls_self_made: bool,
    /// Keep lists and rules of users here by HTTP, by HTTPS where there is TLS: ADDRESS:PORT, or none; without, on the second
    /// next port
    #[arg(long, value_name = "WHERE", value_parser = place)]
    pub(in crate::cli) xcap: Option<Offered>,
    /// Tell Prometheus how it does here: ADDRESS:PORT of this machine
    #[arg(long, value_name = "WHERE")]
    pub(in crate::cli) metrics: Option<SocketAddr>,
    /// Keep nothing: publications and subscriptions end with it
    #[arg(long)]
    pub(in crate::cli) memory: bool,
    /// Keep everything in this file
    #[arg(long, value_name = "FILE", conflicts_with = "memory")]
    pub(in crate::cli) store: Option<PathBuf>,
    /// What watchers get whom no rule names: ask where somebody has an account, allow where nobody has
    #[arg(long, value_name = "ACTION", value_enum)]
    pub(in crate::cli) default: Option<Default>,
    /// Answer 403 for users who do not exist too, so that whoever is blocked cannot tell
    #[arg(long)]
    pub(in crate::cli) hide_unknown: bool,
    /// Take no proof by a weaker hash than this
    #[arg(long, value_name = "HASH", value_enum, default_value_t = WeakestHash::Md5)]
    pub(in crate::cli) auth_min: WeakestHash,
    /// Ask for that hash alone: telephones of older days give up at one that they do not know
    #[arg(long)]
    pub(in crate::cli) legacy: bool,
    /// Serve this many subscriptions at most, and as many publications
    #[arg(long, value_name = "N", default_value_t = 200_000)]
    pub(in crate::cli) max: usize,
    /// The shortest subscription, publication or registration, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub(in crate::cli) min_expires: u32,
}

/// Where documents are offered, if at all.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) enum Offered {
    At(SocketAddr),
    Nowhere,
}

fn place(text: &str) -> Result<Offered, String> {
    if text == "none" {
        return Ok(Offered::Nowhere);
    }
    text.parse()
        .map(Offered::At)
        .map_err(|_| format!("write ADDRESS:PORT, such as 127.0.0.1:5062, or none, not {text:?}"))
}

/// What somebody gets.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(in crate::cli) enum Default {
    /// What others publish
    Allow,
    /// Nothing until it is decided
    Ask,
    /// That they are offline
    PoliteBlock,
    /// A refusal
    Block,
}

/// A hash that proofs are made with.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(in crate::cli) enum WeakestHash {
    #[value(name = "md5")]
    Md5,
    #[value(name = "sha-256")]
    Sha256,
    #[value(name = "sha-512-256")]
    Sha512,
}

impl From<WeakestHash> for Hash {
    fn from(hash: WeakestHash) -> Self {
        match hash {
            WeakestHash::Md5 => Self::Md5,
            WeakestHash::Sha256 => Self::Sha256,
            WeakestHash::Sha512 => Self::Sha512_256,
        }
    }
}

impl From<Default> for Action {
    fn from(default: Default) -> Self {
        match default {
            Default::Allow => Self::Allow,
            Default::Ask => Self::Ask,
            Default::PoliteBlock => Self::PoliteBlock,
            Default::Block => Self::Block,
        }
    }
}

#[derive(Clone, Debug, Subcommand)]
pub(in crate::cli) enum ServeCommand {
    /// Say who has an account
    User(User),
    /// Ask the server that runs here how it does
    Status,
    /// Look whether the file that everything is kept in is whole; no server may have it open
    Check {
        /// Another file than the usual one
        #[arg(value_name = "FILE")]
        store: Option<PathBuf>,
    },
}

#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct User {
    #[command(subcommand)]
    pub(in crate::cli) command: Option<UserCommand>,
}

#[derive(Clone, Debug, Subcommand)]
pub(in crate::cli) enum UserCommand {
    /// Give somebody an account; asks for the password, or reads it from stdin
    Add {
        #[command(flatten)]
        who: UserName,
        #[command(flatten)]
        password: Password,
    },
    /// Take accounts away
    Remove {
        /// Whose: alice@example.com, or alice with --domain
        #[arg(value_name = "USER", required = true)]
        users: Vec<String>,
        /// The domain of those that are named without one
        #[arg(long, value_name = "DOMAIN")]
        domain: Option<String>,
    },
    /// Show who has an account
    List {
        /// In this domain alone
        #[arg(long, value_name = "DOMAIN")]
        domain: Option<String>,
    },
    /// Give an account another password
    Passwd {
        #[command(flatten)]
        who: UserName,
        #[command(flatten)]
        password: Password,
    },
}

#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct UserName {
    /// alice@example.com, or alice with --domain
    #[arg(value_name = "USER")]
    pub(in crate::cli) user: String,
    /// The domain of a user who is named without one; the digest's realm as well
    #[arg(long, value_name = "DOMAIN")]
    pub(in crate::cli) domain: Option<String>,
}

#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct Password {
    /// Read the password from the first line of this file, which must be closed to others
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) password_file: Option<PathBuf>,
}
