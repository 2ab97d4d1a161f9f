//! Watches somebody and prints each change.
//!
//!     cargo run --example watch -- alice@127.0.0.1

#![allow(clippy::print_stdout, reason = "an example speaks")]

use sippresence::client::PresenceClient;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let target = std::env::args().nth(1).unwrap_or_else(|| "alice@127.0.0.1".to_owned());
    let client = PresenceClient::towards(None, "watcher", std::slice::from_ref(&target), None).await?.bind().await?;
    let mut watcher = client.watch(&target).await?;
    loop {
        tokio::select! {
            presence = watcher.recv() => match presence {
                Some(presence) => println!("{target} is {} ({})", presence.status, presence.freshness),
                None => break,
            },
            _ = tokio::signal::ctrl_c() => break,
        }
    }
    watcher.stop();
    client.stop().await;
    Ok(())
}
