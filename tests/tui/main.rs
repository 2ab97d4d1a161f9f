//! The buddy list on a terminal: how it looks, by pictures, and how the program behaves in a real
//! pseudo-terminal, with an agent of paper and with real ones.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod agent;
mod lines;
mod pictures;
#[path = "../ports/mod.rs"]
mod ports;
mod real;
mod screen;
#[path = "../cli/support.rs"]
#[allow(dead_code, reason = "each target uses its part")]
mod support;
#[path = "../../examples/pictures/svg.rs"]
mod svg;
mod terminal;
