//! SIP presence for people who live in a terminal: the library beneath the `sippresence` program.
//!
//! Programs begin at [`client::PresenceClient`]. The rest is public so that it can be read, tested and measured:
//!
//! | module | is | RFCs |
//! |---|---|---|
//! | [`sip`] | the protocol, without input or output | 3261, 3263, 3581, 3903, 4320, 5626, 5839, 6223, 6446, 6665, 7616, 8760 |
//! | [`presence`] | statuses, documents, policy, the sans-IO core | 3856, 3863, 4479, 4480, 5025 |
//! | [`config`] | the files that the user edits | |
//! | [`net`] | the only sockets | |
//! | [`client`] | the handle, the feeds and the loop | |
//! | [`control`] | the agent's socket, both ends | |
//! | [`agent`] | the resident process | |
//! | [`server`] | the embedded server: what it keeps, who has an account, documents by XCAP | 4825, 4826, 4827, 5025, 7616, 8760 |
//! | [`tui`] | the buddy list on a terminal | |
//! | [`cli`] | the command line | |
//!
//! An example that runs:
//!
//! ```
//! use sippresence::client::{Action, BuddyList, PresenceClient, PresenceStatus};
//!
//! # async fn f() -> Result<(), Box<dyn std::error::Error>> {
//! // Ports that the system picks, so that this can run anywhere; `PresenceClient::bind` takes the usual ones.
//! let alice = PresenceClient::builder("sip:alice@127.0.0.1").default_action(Action::Allow).any_port().bind().await?;
//! let bob = PresenceClient::builder("sip:bob@127.0.0.1").any_port().bind().await?;
//!
//! alice.presence(PresenceStatus::Available).note("Working from home").await?;
//!
//! let mut buddies = BuddyList::new();
//! buddies.add(&bob, &alice.uri()).await?;
//! for (buddy, status) in buddies.poll().await {
//!     println!("{buddy} is now {status}");
//! #   assert_eq!(status.to_string(), "available");
//! }
//!
//! // With a server, the same calls go through it after `alice.register("sip:pbx.company.com").await?`.
//! # Ok(()) }
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(f()).unwrap();
//! ```

pub mod agent;
pub mod cli;
pub mod client;
pub mod config;
pub mod control;
pub mod net;
pub mod presence;
pub mod server;
pub mod sip;
pub mod tui;

/// The README's examples, held to compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
