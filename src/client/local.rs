//! Clients that live for one command: on the addresses from which their targets are reached.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::Poll,
};

use rand::rngs::StdRng;
use tokio::time::timeout;

use super::{ClientBuilder, ClientError, PresenceClient, Server, Uri, parse_target};
use crate::{
    net::{address::source_for, dns::Dns, resolve},
    presence::core::Way,
    sip::{
        locate::{self, Plan, Search, Step, Target},
        uri::escape_user,
    },
};

impl PresenceClient {
    /// Begins a client that can reach all of `targets`, on ports that the system picks: at `address` if one of them is
    /// asked by our server, else as the same user, or `fallback`, of this machine. A bare name gets the host of
    /// `address`, or without one is somebody of this machine.
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
        let dns = Arc::new(Dns::default());
        let (mut looking, mut by_server) = (Vec::new(), false);
        for target in targets {
            let uri = parse_target(target, &default_host)?;
            let way = own.as_ref().map(|own| Way::to(&uri.as_ref(), &own.as_ref(), server.as_ref()));
            if way.is_some_and(Way::is_by_server) {
                by_server = true;
            } else {
                looking.push(Box::pin(addresses_of(Arc::clone(&dns), uri)));
            }
        }
        let server = server.filter(|_| by_server);
        if let (Some(own), Some(server)) = (&own, &server) {
            let entry = server.proxy.as_ref().unwrap_or(own).clone();
            looking.push(Box::pin(addresses_of(Arc::clone(&dns), entry)));
        }
        let mut listen = sources(all(looking).await.into_iter().flatten());
        if listen.is_empty() {
            listen.push(Ipv4Addr::LOCALHOST.into());
        }
        if let (Some(own), Some(server)) = (&own, server) {
            return Ok(Self::builder(own.as_str()).listen(listen).any_port().server(server).dns(dns));
        }
        let host = SocketAddr::new(listen[0], 0).to_string();
        let host = host.strip_suffix(":0").unwrap_or(&host);
        let user = own.as_ref().and_then(|own| own.as_ref().user().map(str::to_owned));
        let user = user.unwrap_or_else(|| escape_user(fallback));
        let builder = Self::builder(&format!("sip:{user}@{host}")).default_host(default_host);
        Ok(builder.listen(listen).any_port().dns(dns))
    }
}

/// Returns the addresses of this machine from which the servers behind a URI are reached, as far as they are found
/// within the time that a request has for it.
pub(super) async fn sources_toward(dns: &Arc<Dns>, uri: Uri) -> Vec<IpAddr> {
    sources(addresses_of(Arc::clone(dns), uri).await)
}

/// Returns from where these are reached, each once.
fn sources(remotes: impl IntoIterator<Item = SocketAddr>) -> Vec<IpAddr> {
    let mut sources: Vec<IpAddr> = Vec::new();
    for remote in remotes {
        if let Ok(ip) = source_for(remote)
            && !sources.contains(&ip)
        {
            sources.push(ip);
        }
    }
    sources
}

async fn addresses_of(dns: Arc<Dns>, uri: Uri) -> Vec<SocketAddr> {
    let targets = targets_of(&dns, &uri).await.unwrap_or_default();
    targets.into_iter().map(|target| target.remote).collect()
}

/// Looks for the servers behind a URI as a request to it would, within the time for one; says why there are none.
pub(super) async fn targets_of(dns: &Dns, uri: &Uri) -> Result<Vec<Target>, String> {
    match locate::plan(&uri.as_ref(), locate::TRANSPORTS) {
        Ok(Plan::Address(target)) => Ok(vec![target]),
        Ok(Plan::Lookup(search)) => {
            let late = |_| Err(format!("no answer within {} s", resolve::LIMIT.as_secs()));
            timeout(resolve::LIMIT, found(dns, *search)).await.unwrap_or_else(late)
        }
        Err(error) => Err(error.to_string()),
    }
}

async fn found(dns: &Dns, mut search: Search) -> Result<Vec<Target>, String> {
    let mut rng: StdRng = rand::make_rng();
    loop {
        let mut step = Step::Wait;
        let mut asking = Vec::new();
        for question in search.questions() {
            asking.push(Box::pin(dns.ask(question)));
        }
        for (place, answer) in all(asking).await.into_iter().enumerate() {
            step = search.answer(place, answer.map_err(|error| error.to_string()), &mut rng);
        }
        match step {
            Step::Ask => {}
            Step::Found(targets) => return Ok(targets),
            Step::Failed(why) => return Err(why),
            Step::Wait => return Err("the look-up came to nothing".to_owned()),
        }
    }
}

/// Waits for all of them at once.
async fn all<F: Future + Unpin>(mut waiting: Vec<F>) -> Vec<F::Output> {
    let mut done: Vec<Option<F::Output>> = waiting.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (future, done) in waiting.iter_mut().zip(&mut done) {
            if done.is_none()
                && let Poll::Ready(output) = Pin::new(future).poll(context)
            {
                *done = Some(output);
            }
        }
        if done.iter().all(Option::is_some) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    done.into_iter().flatten().collect()
}
