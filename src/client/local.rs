//! Clients that live for one command: on the addresses from which their targets are reached.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::{ClientBuilder, ClientError, PresenceClient, Server, Uri, parse_target};
use crate::{
    net::{address::source_for, resolve},
    presence::core::Way,
    sip::uri::{Host, UriRef, escape_user},
};

impl PresenceClient {
    /// Begins a client that can reach all of `targets`, on ports that the system picks: at `address` if one of them is
    /// asked by our server, else as the same user, or `fallback`, of this machine. A bare name gets the host of `address`.
    ///
    /// # Errors
    /// When a target names nobody. One that cannot be looked up is left to fail when it is watched.
    pub async fn towards(
        address: Option<&str>,
        fallback: &str,
        targets: &[String],
        server: Option<Server>,
    ) -> Result<ClientBuilder, ClientError> {
        let own = address.and_then(|address| address.parse::<Uri>().ok());
        let localhost = Ipv4Addr::LOCALHOST.to_string();
        let default_host = own.as_ref().map_or(localhost.as_str(), |own| own.as_ref().host_text()).to_owned();
        let (mut listen, mut by_server): (Vec<IpAddr>, bool) = (Vec::new(), false);
        for target in targets {
            let uri = parse_target(target, &default_host)?;
            let way = own.as_ref().map(|own| Way::to(&uri.as_ref(), &own.as_ref(), server.as_ref()));
            if way.is_some_and(Way::is_by_server) {
                by_server = true;
                continue;
            }
            reach(&uri, &mut listen).await;
        }
        if let (Some(own), Some(server), true) = (&own, server, by_server) {
            reach(server.proxy.as_ref().unwrap_or(own), &mut listen).await;
            if listen.is_empty() {
                listen.push(Ipv4Addr::LOCALHOST.into());
            }
            return Ok(Self::builder(own.as_str()).listen(listen).any_port().server(server));
        }
        if listen.is_empty() {
            listen.push(Ipv4Addr::LOCALHOST.into());
        }
        let host = SocketAddr::new(listen[0], 0).to_string();
        let host = host.strip_suffix(":0").unwrap_or(&host);
        let user = own.as_ref().and_then(|own| own.as_ref().user().map(str::to_owned));
        let user = user.unwrap_or_else(|| escape_user(fallback).to_string());
        Ok(Self::builder(&format!("sip:{user}@{host}")).default_host(default_host).listen(listen).any_port())
    }
}

/// Adds the addresses of ours from which a target is reached.
async fn reach(target: &Uri, listen: &mut Vec<IpAddr>) {
    for remote in addresses_of(&target.as_ref()).await {
        if let Ok(ip) = source_for(remote)
            && !listen.contains(&ip)
        {
            listen.push(ip);
        }
    }
}

async fn addresses_of(uri: &UriRef<'_>) -> Vec<SocketAddr> {
    let port = uri.port().unwrap_or(5060);
    match uri.host() {
        Host::Ip(ip) => vec![SocketAddr::new(ip, port)],
        Host::Name(name) => resolve::lookup(name, port).await.unwrap_or_default(),
    }
}
