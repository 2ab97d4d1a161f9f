//! The buddy list on a terminal: how it looks, by pictures, and how the program behaves in a real pseudo-terminal.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod agent;
mod lines;
mod pictures;
mod screen;
#[path = "../../examples/pictures/svg.rs"]
mod svg;
mod terminal;
