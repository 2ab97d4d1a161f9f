//! The real program as a shell drives it: what it prints, how it ends, what it leaves behind.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod agent;
mod asking;
mod bad_days;
mod buddies;
mod control;
mod doctor;
mod explain;
mod format;
mod hooks;
mod hostile;
mod looking;
mod manual;
mod own;
mod policy;
#[path = "../ports/mod.rs"]
mod ports;
mod progress;
mod proving;
mod raw;
mod refusing;
mod reload;
mod schema;
mod secrets;
mod serve;
mod serve_user;
mod server;
mod state;
mod support;
mod targets;
mod trace;
mod trust;
mod watchers;
#[path = "../world/mod.rs"]
mod world;
