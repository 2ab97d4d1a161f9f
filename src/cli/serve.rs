//! `serve`: the embedded presence server, who has an account there, and how it does.

mod check;
mod status;
mod user;

use std::net::{IpAddr, SocketAddr};

use super::{
    Context, Exit, Failed,
    args::{Offered, Serve, ServeCommand, ServeRun},
    output::count,
    watch::Signals,
};
use crate::{
    client::text,
    net::listen::PortChoice,
    server::{
        Certificate, Files, ServeError, Server, ServerConfig,
        domain::{Limits, Restored},
    },
};

/// Serves, or looks after what a server needs.
pub(super) async fn run(context: &Context, args: Serve) -> Result<Exit, Failed> {
    match args.command {
        None => serve(context, &args.run).await,
        Some(ServeCommand::User(args)) => user::run(context, args),
        Some(ServeCommand::Status) => status::run(context).await,
        Some(ServeCommand::Check { store }) => check::run(context, store),
    }
}

/// Serves until it is told to end.
async fn serve(context: &Context, args: &ServeRun) -> Result<Exit, Failed> {
    let mut signals = Signals::new();
    let server = Server::start(config(context, args), rand::make_rng()).await?;
    introduce(context, &server);
    let signal = signals.next().await;
    context.output.tell("ending; another start goes on where this one was");
    tokio::select! {
        () = server.stop() => Ok(Exit::Done),
        // A disk that hangs is not waited for twice.
        again = async { signals.next().await } => Ok(Exit::Signal(again.max(signal))),
    }
}

fn config(context: &Context, args: &ServeRun) -> ServerConfig {
    let files = Files::of(&context.paths);
    let tls = match (&args.tls_cert, &args.tls_key) {
        (Some(chain), Some(key)) => Some(Certificate::Files { chain: chain.clone(), key: key.clone() }),
        _ => args.tls_self_made.then_some(Certificate::SelfMade),
    };
    let first = args.listen.first().copied().unwrap_or_else(|| IpAddr::from([127, 0, 0, 1]));
    let documents = match args.xcap {
        Some(Offered::At(at)) => Some(at),
        Some(Offered::Nowhere) => None,
        None => {
            // In clear text this machine alone is served.
            let ip = if first.is_loopback() || tls.is_some() { first } else { IpAddr::from([127, 0, 0, 1]) };
            let port = if args.port == 0 { 0 } else { args.port.saturating_add(2) };
            Some(SocketAddr::new(ip, port))
        }
    };
    let limits = Limits {
        subscriptions: args.max,
        publications: args.max,
        bindings: args.max,
        presentities: args.max,
        ..Limits::default()
    };
    ServerConfig {
        domains: args.domain.clone(),
        listen: args.listen.clone(),
        port: if args.port == 0 { PortChoice::Any } else { PortChoice::Fixed(args.port) },
        tls,
        documents,
        metrics: args.metrics,
        accounts: Some(files.accounts),
        store: (!args.memory).then(|| args.store.clone().unwrap_or(files.store)),
        socket: Some(files.socket),
        default: args.default.map(Into::into),
        hide_unknown: args.hide_unknown,
        min_expires: args.min_expires,
        auth_min: args.auth_min.into(),
        legacy: args.legacy,
        limits,
        ..ServerConfig::default()
    }
}

/// Says what is served and where, and what to do next.
fn introduce(context: &Context, server: &Server) {
    let tell = |words: &str| context.output.tell(&text::visible(words));
    let status = server.started();
    let places = |all: &[SocketAddr]| all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let tls = if status.tls.is_empty() { String::new() } else { format!(", TLS on {}", places(&status.tls)) };
    tell(&format!("serving {} on {} (UDP and TCP){tls}", status.domains.join(", "), places(&status.listening)));
    if let Some(at) = &status.documents_at {
        tell(&format!("lists and rules of users: {at}"));
    }
    match &status.store {
        Some(path) => tell(&format!("file: {}; {}", path.display(), kept(server.restored()))),
        None => tell("nothing is kept: all of it ends with this process"),
    }
    for domain in server.open() {
        tell(&format!(
            "{domain} is open: nobody has an account, so everybody on this machine is taken at his word; `sippresence serve \
             user add alice@{domain}` changes that at once"
        ));
    }
    if let (Some(domain), Some(at)) = (status.domains.first(), status.listening.first()) {
        tell(&format!(
            "a client needs an account: [account.lab] address = \"sip:alice@{domain}\", outbound_proxy = \"sip:{at}\""
        ));
    }
}

fn kept(restored: Restored) -> String {
    let Restored { publications, subscriptions, bindings, damaged, elsewhere, .. } = restored;
    if (publications, subscriptions, bindings, damaged, elsewhere) == (0, 0, 0, 0, 0) {
        return "nothing is kept yet".to_owned();
    }
    let lost = match (damaged, elsewhere) {
        (0, 0) => String::new(),
        (0, elsewhere) => format!("; {} know us at another address", count(elsewhere, "subscription")),
        (damaged, _) => format!("; {} cannot be read", count(damaged, "record")),
    };
    let (publications, subscriptions) = (count(publications, "publication"), count(subscriptions, "subscription"));
    format!("kept so far: {publications}, {subscriptions}, {}{lost}", count(bindings, "registration"))
}

impl From<ServeError> for Failed {
    fn from(error: ServeError) -> Self {
        let hint = match &error {
            ServeError::NoDomain | ServeError::Domain(_) => Some("sippresence serve --domain example.test".to_owned()),
            ServeError::Open { domain } => Some(format!(
                "`sippresence serve user add alice@{domain}` makes an account; without any, listen on 127.0.0.1 alone"
            )),
            ServeError::Bind(_) => Some("choose another with --port or --listen, or stop that program".to_owned()),
            ServeError::Store { .. } => {
                Some("`sippresence serve check` looks the file over; --memory does without".to_owned())
            }
            ServeError::Http { .. } => Some("choose another place with --xcap or --metrics".to_owned()),
            _ => None,
        };
        let exit = match &error {
            ServeError::Runs => Exit::Conflict,
            _ => Exit::Usage,
        };
        Self { hint: hint.map(|hint| text::visible(&hint)), ..Self::new(exit, text::visible(&error.to_string())) }
    }
}
