//! SIP presence for people who live in a terminal: the library beneath the `sippresence` program.

pub mod agent;
pub mod cli;
pub mod client;
pub mod config;
pub mod control;
pub mod net;
pub mod presence;
pub mod sip;
