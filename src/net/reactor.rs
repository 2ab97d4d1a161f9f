//! Registers a descriptor of our own with tokio's reactor.
//!
//! Only for descriptors that tokio has no type for, or where its own type asks for more than we want to hear.

use std::{
    io,
    os::fd::{AsRawFd, OwnedFd},
};

use tokio::io::{Interest, unix::AsyncFd};

/// Lets the reactor of the runtime that runs the caller watch `owner`'s descriptor.
///
/// The bound keeps to types that own their descriptor and hold it until they are dropped.
#[allow(
    deprecated,
    reason = "the successor is unsafe because of types that close or swap their descriptor; \
                              these own one, keep it, and give out no `&mut` to it"
)]
pub(super) fn register<T: AsRawFd + Into<OwnedFd>>(owner: T, interest: Interest) -> io::Result<AsyncFd<T>> {
    AsyncFd::with_interest(owner, interest)
}
