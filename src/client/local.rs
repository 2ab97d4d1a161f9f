//! Clients that live for one command: on the addresses from which their targets are reached.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::{ClientBuilder, ClientError, PresenceClient, parse_target};
use crate::{
    net::{address::source_for, resolve},
    sip::uri::{Host, UriRef, escape_user},
};

impl PresenceClient {
    /// Begins a client for `user` that can reach all of `targets`, on ports that the system picks.
    ///
    /// # Errors
    /// When a target names nobody. One that cannot be looked up is left to fail when it is watched.
    pub async fn towards(user: &str, targets: &[String]) -> Result<ClientBuilder, ClientError> {
        let mut listen: Vec<IpAddr> = Vec::new();
        for target in targets {
            let uri = parse_target(target, &Ipv4Addr::LOCALHOST.to_string())?;
            for remote in addresses_of(&uri.as_ref()).await {
                if let Ok(ip) = source_for(remote)
                    && !listen.contains(&ip)
                {
                    listen.push(ip);
                }
            }
        }
        if listen.is_empty() {
            listen.push(Ipv4Addr::LOCALHOST.into());
        }
        let host = SocketAddr::new(listen[0], 0).to_string();
        let host = host.strip_suffix(":0").unwrap_or(&host);
        Ok(Self::builder(&format!("sip:{}@{host}", escape_user(user))).listen(listen).any_port())
    }
}

async fn addresses_of(uri: &UriRef<'_>) -> Vec<SocketAddr> {
    let port = uri.port().unwrap_or(5060);
    match uri.host() {
        Host::Ip(ip) => vec![SocketAddr::new(ip, port)],
        Host::Name(name) => resolve::lookup(name, port).await.unwrap_or_default(),
    }
}
