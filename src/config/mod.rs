//! What the user decided: configuration and policy files, where they lie, durations and times as people write them.
//!
//! Reads and edits files and checks each value where it enters, with the line in the error; whoever holds
//! [`Settings`] need not check again. Knows nothing of SIP beyond the form of an address, opens no socket,
//! runs no command: what a setting does is decided where it is used. Flags of the command line are laid
//! over the public fields by the caller.

mod array;
pub mod buddies;
mod document;
pub mod duration;
mod error;
pub mod exchange;
pub mod identity;
pub mod paths;
pub mod policy;
pub mod private;
mod read;
pub mod secret;
mod settings;
mod show;
pub mod until;

pub(crate) use self::private::lock_folder_of;
pub use self::{
    duration::{format_duration, parse_duration},
    error::ConfigError,
    paths::{Environment, Paths},
    policy::{List, PolicyFile},
    private::{prepare_private_dir, write_private},
    secret::{read_closed, read_closed_whole},
    settings::{
        Account, Agent, Auth, DEFAULT_PORT, FirstUse, Hooks, Interop, Listen, MinAuth, Mode, OnExit, PasswordSource,
        Policy, Publish, Register, Require, Settings, Sip, ThemeChoice, Tls, Tui, Watch,
    },
    until::parse_until,
};
