//! `serve status`: how the server that runs here does.

use super::super::{
    Context, Exit, Failed,
    output::{self, count},
};
use crate::{
    client::text,
    server::{
        Files,
        status::{Status, ask},
    },
};

/// Asks it, and prints the answer.
pub(super) async fn run(context: &Context) -> Result<Exit, Failed> {
    let socket = Files::of(&context.paths).socket;
    let status = ask(&socket).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused => {
            Failed::new(Exit::NoAgent, "no server runs here")
                .with_hint("`sippresence serve --domain example.test` starts one")
        }
        _ => Failed::new(Exit::NoAgent, format!("the server does not say how it does: {error}")),
    })?;
    if context.output.is_json() {
        return Ok(output::print_text(&serde_json::to_string(&status).unwrap_or_default()));
    }
    Ok(output::print_text(&text::visible_lines(&words(&status))))
}

fn words(status: &Status) -> String {
    let places = |all: &[std::net::SocketAddr]| all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let mut rows = vec![("serves", status.domains.join(", ")), ("on", places(&status.listening))];
    if !status.tls.is_empty() {
        rows.push(("TLS on", places(&status.tls)));
    }
    if let Some(at) = &status.documents_at {
        rows.push(("documents", at.clone()));
    }
    rows.push((
        "kept in",
        status.store.as_ref().map_or_else(|| "nothing".to_owned(), |path| path.display().to_string()),
    ));
    if let Some(problem) = &status.store_problem {
        rows.push(("not kept", format!("{problem}; new publications and subscriptions are refused")));
    }
    if let Some(problem) = &status.accounts_problem {
        rows.push(("accounts", format!("{problem}; they stay as they were")));
    }
    let Status { subscriptions, unproven, publications, registrations, presentities, connections, .. } = status;
    rows.push((
        "watched",
        format!("{}, {unproven} of strangers who have not answered yet", count(*subscriptions, "subscription")),
    ));
    rows.push(("published", format!("{}; people known: {presentities}", count(*publications, "publication"))));
    rows.push(("registered", format!("{}; {}", count(*registrations, "device"), count(*connections, "connection"))));
    let Status { publishes, subscribes, registers, challenges, refusals, overloads, .. } = status;
    rows.push(("took in", format!("{publishes} PUBLISH, {subscribes} SUBSCRIBE, {registers} REGISTER")));
    rows.push(("refused", format!("{refusals}, challenged {challenges}, 503 to {overloads}")));
    rows.push(("since", format!("{} (process {})", status.since.strftime("%Y-%m-%d %H:%M:%S UTC"), status.pid)));
    let lines = rows.iter().map(|(name, words)| format!("{name:<11}{words}"));
    lines.collect::<Vec<_>>().join("\n")
}
