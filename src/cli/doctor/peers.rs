//! The steps without a server: our sockets, our agent, and what whoever may watch us gets.

use super::{Found, Stop, Visit, found::code_words};
use crate::{
    agent,
    cli::{Context, Exit, looking},
    client::{ClientError, Inquiry, Line, Name, PresenceClient, Uri, shown::layer_words as words},
};

/// Tries out what there is without a server.
pub(super) async fn examine(visit: &mut Visit<'_>) -> Result<(), Stop> {
    let patient = visit.patient;
    let line = patient.agent.as_ref().and_then(|reply| reply.publication.as_deref());
    let who = line.and_then(|line| line.presentity.clone()).unwrap_or_else(|| patient.account.address.clone());
    let who = if who.is_empty() { format!("{} at this machine", visit.context.env.user) } else { who };
    visit.tell("configuration", Found::ok(format!("{who}, peer to peer: no server is used")))?;
    let Some(line) = line else {
        let context = visit.context;
        visit.step("sockets", sockets(context)).await?;
        let found = Found::warning("no agent runs: nobody can watch you", "`sippresence agent start` starts one");
        visit.tell("agent", found)?;
        return Ok(visit.skip(&["reachable", "watchers see"], "no agent runs")?);
    };
    visit.tell("sockets", Found::ok(format!("the agent has them: {}", line.addresses.join(", "))))?;
    visit.tell("agent", Found::ok("it runs and answers"))?;
    // Loopback is the same for everybody here; the first one is what is handed out.
    let client = looking::own_client(visit.context, &line.addresses).await?;
    let reached = visit.step("reachable", reachable(&client, line)).await;
    client.stop().await;
    reached?;
    visit.tell("watchers see", seen(line))?;
    Ok(())
}

/// Takes the sockets that an agent would, and gives them back.
async fn sockets(context: &Context) -> Found {
    let (settings, env) = (&context.settings, &context.env);
    let builder = match agent::builder(settings, settings.default_account(), env) {
        Ok(builder) => builder,
        Err(error) => return Found::failed(Exit::Usage, error.to_string(), "`sippresence config check` tells more"),
    };
    match builder.open().await {
        Ok(client) => {
            let places: Vec<String> = client.locals().iter().map(ToString::to_string).collect();
            Found::ok(format!("an agent could listen at {}, UDP and TCP", places.join(" and ")))
        }
        Err(error) => {
            let fix = match &error {
                ClientError::Bind(error) => error.hint().to_owned(),
                _ => "`sippresence config show` shows where it is to listen".to_owned(),
            };
            Found::failed(Exit::Usage, error.to_string(), fix)
        }
    }
}

/// Asks the agent at each of its addresses, over the network.
async fn reachable(client: &PresenceClient, line: &Line) -> Found {
    let mut answered = Vec::new();
    // By TLS we would meet our own key, which we do not keep among those of peers.
    for address in line.addresses.iter().filter(|address| !address.contains(";transport=tls")) {
        let Ok(uri) = address.parse::<Uri>() else { continue };
        let headers = vec![(Name::Accept, "application/pidf+xml".to_owned())];
        let body = bytes::Bytes::new();
        let asked = Inquiry { method: "OPTIONS", directly: Some(uri), domain: false, contact: true, headers, body };
        match client.inquire(asked).await {
            Ok(Ok(answer)) if answer.code < 300 => answered.push(answer.flow.remote.to_string()),
            Ok(Ok(answer)) => {
                let found = Found::answered(&answer);
                return Found { words: format!("{address}: {}", code_words(answer.code)), ..found };
            }
            Ok(Err(refused)) => {
                let found = Found::refused(&refused);
                return Found { words: format!("{address}: {}", found.words), ..found };
            }
            Err(error) => return Found::failed(Exit::Bug, error.to_string(), "try again"),
        }
    }
    let words = format!("the agent answers at {}", answered.join(" and "));
    let alone = client.locals().iter().all(|local| local.ip().is_loopback());
    if alone {
        return Found::warning(
            format!("{words}: on this machine only"),
            "`sippresence agent start --listen lan` shows you to your network",
        );
    }
    Found::ok(words)
}

/// Says what whoever may watch gets.
fn seen(line: &Line) -> Found {
    let shown = line.layers.first().map_or_else(|| "offline".to_owned(), words);
    Found::ok(format!("whoever may watch you gets: {shown}"))
}
