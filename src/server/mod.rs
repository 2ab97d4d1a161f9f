//! The embedded presence server's input and output: what it keeps, and whom it knows.
//!
//! [`store`] is the file that survives a crash.

pub mod store;
