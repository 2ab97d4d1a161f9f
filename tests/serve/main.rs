//! The embedded server's domain, on the wire and in virtual time (conformance ESC, CMP, WIN, POL, XCP and SEC rows).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod informing;
mod limits;
mod listing;
mod publishing;
mod restarting;
mod rules;
mod site;
mod watching;
#[path = "../world/mod.rs"]
mod world;
