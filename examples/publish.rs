//! Publishes a status and says who wants to see it; everybody may.
//!
//!     cargo run --example publish -- sip:alice@127.0.0.1 busy "in a meeting"

#![allow(clippy::print_stdout, reason = "an example speaks")]

use sippresence::client::{Action, PresenceClient, PresenceEvent, StatusArg};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let address = args.next().unwrap_or_else(|| "sip:alice@127.0.0.1".to_owned());
    let status = StatusArg::parse(&args.next().unwrap_or_else(|| "available".to_owned()))?.status;

    let client = PresenceClient::builder(&address).default_action(Action::Allow).bind().await?;
    let mut events = client.events();
    client.presence(status).note(args.next().unwrap_or_default()).await?;
    println!("{} can be watched; Ctrl-C ends", client.uri());
    loop {
        tokio::select! {
            event = events.recv() => if let PresenceEvent::SubscriptionAccepted { subscriber, .. } = event? {
                println!("{subscriber} watches");
            },
            _ = tokio::signal::ctrl_c() => break,
        }
    }
    client.stop().await;
    Ok(())
}
