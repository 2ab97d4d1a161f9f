//! Publication and registration against a scripted server, in virtual time and with literal messages (conformance
//! section 8).
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod anything;
mod changes;
mod flow;
mod hostile;
mod refusals;
mod registering;
mod restarting;
mod scripted;
mod silence;
mod tags;
#[path = "../world/mod.rs"]
mod world;

/// Three documents; what they mean is nobody's matter here.
const OPEN: &str = "<presence>open</presence>\r\n";
const BUSY: &str = "<presence>busy</presence>\r\n";
const AWAY: &str = "<presence>away</presence>\r\n";
