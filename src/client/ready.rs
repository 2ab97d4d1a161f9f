//! A client between binding its sockets and its first packet, for what has to be done there.

use std::net::SocketAddr;

use tokio::sync::broadcast;

use super::{PresenceClient, PresenceEvent, Restored, SavedServing, driver::Driver};

/// A client that has its sockets and neither reads nor sends yet; see [`ClientBuilder::open`].
///
/// ```
/// # async fn f() -> Result<(), Box<dyn std::error::Error>> {
/// # use sippresence::client::PresenceClient;
/// let alice = PresenceClient::builder("sip:alice@127.0.0.1").any_port().bind().await?;
/// let (port, saved) = (alice.locals()[0].port(), alice.halt().await?);
///
/// let builder = PresenceClient::builder(&format!("sip:alice@127.0.0.1:{port}"));
/// let ready = builder.restore(saved, false).open().await?;
/// println!("{:?}", ready.saved()); // on disk, before the first NOTIFY
/// let alice = ready.start();
/// # drop(alice);
/// # Ok(()) }
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(f()).unwrap();
/// ```
///
/// [`ClientBuilder::open`]: super::ClientBuilder::open
#[derive(Debug)]
#[must_use = "a client begins with `start`"]
pub struct ReadyClient {
    client: PresenceClient,
    driver: Box<Driver>,
    restored: Restored,
}

impl ReadyClient {
    pub(super) fn new(client: PresenceClient, driver: Driver, restored: Restored) -> Self {
        Self { client, driver: Box::new(driver), restored }
    }

    /// Returns what is to be saved before the first NOTIFY: numbers that went out must never come again (NOT-29).
    pub fn saved(&self) -> SavedServing {
        self.driver.saved()
    }

    /// Returns what became of the watchers of an earlier run.
    pub fn restored(&self) -> Restored {
        self.restored
    }

    /// Returns everything that happens from the start on: who waited in an earlier run asks once more.
    pub fn events(&self) -> broadcast::Receiver<PresenceEvent> {
        self.client.events()
    }

    /// Returns the sockets' addresses.
    pub fn locals(&self) -> &[SocketAddr] {
        self.client.locals()
    }

    /// Starts the client's task on the current runtime.
    ///
    /// # Panics
    /// Outside a runtime.
    pub fn start(self) -> PresenceClient {
        tokio::spawn(self.driver.run());
        self.client
    }
}
