//! The embedded presence server's input and output: what it keeps, and whom it knows.
//!
//! [`store`] is the file that survives a crash, [`accounts`] the one that says who may come in; both lie in a folder of their
//! own, see [`Files`]. [`domain`] is what a server knows, without input and output; [`xcap`] answers those who keep documents
//! there. A loop of its own, `driver`, owns both while a [`Server`] runs.

pub mod accounts;
mod config;
pub mod domain;
mod driver;
mod error;
mod metrics;
mod running;
pub mod status;
pub mod store;
pub mod xcap;

use std::path::PathBuf;

use crate::config::Paths;

pub use self::{
    config::{Certificate, ServerConfig},
    error::ServeError,
    running::{Server, XCAP_ROOT},
};

/// Where a server's files lie unless it is told otherwise, beside what the agent of the same configuration remembers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// Their folder, which is nobody else's.
    pub folder: PathBuf,
    /// The records of the [`store`].
    pub store: PathBuf,
    /// The [`accounts`].
    pub accounts: PathBuf,
    /// The socket by which a server tells how it does.
    pub socket: PathBuf,
}

impl Files {
    /// Returns those of one configuration.
    pub fn of(paths: &Paths) -> Self {
        let folder = paths.state_dir.join("server");
        Self {
            store: folder.join("server.redb"),
            accounts: folder.join("accounts"),
            socket: folder.join("server.sock"),
            folder,
        }
    }
}
