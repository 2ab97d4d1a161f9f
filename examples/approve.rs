//! Two clients in one program: bob asks to watch, alice accepts, then changes her mind. Runs by itself.
//!
//!     cargo run --example approve

#![allow(clippy::print_stdout, reason = "an example speaks")]

use sippresence::client::{PresenceClient, PresenceEvent, PresenceStatus};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let alice = PresenceClient::builder("sip:alice@127.0.0.1").any_port().bind().await?;
    let bob = PresenceClient::builder("sip:bob@127.0.0.1").any_port().bind().await?;
    let mut events = alice.events();
    alice.presence(PresenceStatus::Busy).note("in a meeting").await?;

    let mut watcher = bob.watch(&alice.uri()).await?;
    while let Some(presence) = watcher.recv().await {
        println!("bob sees: {} ({})", presence.status, presence.freshness);
        match presence.freshness.word() {
            "pending" => loop {
                if let PresenceEvent::SubscriptionRequest { subscriber, .. } = events.recv().await? {
                    println!("alice lets {subscriber} watch");
                    alice.accept(&subscriber).await?;
                    break;
                }
            },
            "fresh" => alice.reject("sip:bob@127.0.0.1").await?,
            _ => break,
        }
    }
    alice.stop().await;
    bob.stop().await;
    Ok(())
}
