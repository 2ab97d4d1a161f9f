//! `agent`: the resident process, in the foreground.

use super::{
    Context, Exit, Failed,
    args::{Agent as Args, AgentCommand},
    watch::Signals,
};
use crate::agent::Agent;

/// Runs the agent until interrupted.
pub(super) async fn run(context: &Context, args: &Args) -> Result<Exit, Failed> {
    let AgentCommand::Run { listen, port } = &args.command;
    let mut settings = context.settings.clone();
    if let Some(listen) = listen {
        settings.agent.listen = listen.clone();
    }
    if let Some(port) = port {
        if *port == 0 {
            return Err(Failed::new(Exit::Usage, "port 0 is no port: leave --port out to take a free one"));
        }
        settings.agent.port = Some(*port);
    }
    let (mut first, mut second) = (Signals::new(), Signals::new());
    let agent = tokio::select! {
        agent = Agent::start(&settings, &context.paths, &context.env) => agent?,
        signal = first.next() => return Ok(Exit::Signal(signal)),
    };
    context.trace.follow(&agent.client);
    let addresses: Vec<String> = agent.locals().iter().map(ToString::to_string).collect();
    context.output.tell(&format!(
        "{} is up at {}, UDP and TCP; Ctrl-C goes offline",
        agent.client.address(),
        addresses.join(" and ")
    ));
    if agent.locals().iter().all(|local| local.ip().is_loopback()) {
        context.output.tell("visible on this machine only; `--listen lan` shows you to your network");
    }
    let require = settings.policy.require;
    let served = agent.serve(require, async {
        first.next().await;
        context.output.tell("going offline");
    });
    tokio::select! {
        () = served => Ok(Exit::Done),
        // The first signal starts the goodbye, the second one ends it.
        signal = async { second.next().await; second.next().await } => Ok(Exit::Signal(signal)),
    }
}
