//! Why a server does not come up, in words that tell what to do.

use std::{io, net::SocketAddr, path::PathBuf};

use super::{accounts::AccountsError, store::StoreError};
use crate::net::{listen::BindError, tls::TlsError};

/// Why a server does not come up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// It serves nothing.
    #[error("no domain to serve: name one with --domain example.com")]
    NoDomain,
    /// One of them is none.
    #[error("{0:?} is no domain")]
    Domain(String),
    /// It would be open to other machines.
    #[error("{domain} has no accounts, and other machines could be anybody there")]
    Open {
        /// The domain.
        domain: String,
    },
    /// It cannot listen.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// It has nothing to show under TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A certificate or its key cannot be read.
    #[error("{path}: {error}", path = path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The accounts cannot be read.
    #[error(transparent)]
    Accounts(#[from] AccountsError),
    /// What was kept cannot be read.
    #[error("{path}: {error}", path = path.display())]
    Store {
        /// The file.
        path: PathBuf,
        /// Why.
        error: StoreError,
    },
    /// Another server has the socket.
    #[error("another server runs here: `sippresence serve status` asks it")]
    Runs,
    /// Documents or figures cannot be offered there.
    #[error("cannot listen on {at}: {error}")]
    Http {
        /// Where.
        at: SocketAddr,
        /// Why.
        error: io::Error,
    },
    /// The system refused something else.
    #[error("{0}")]
    Io(#[from] io::Error),
}
