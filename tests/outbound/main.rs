//! Connections to our own server that are kept alive and formed anew (RFC 5626, RFC 6223; conformance 2), in virtual time
//! and with literal messages.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod flows;
mod keepalive;
mod registrar;
#[path = "../support/mod.rs"]
mod support;
