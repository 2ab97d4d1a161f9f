//! `agent`: the resident process: run it, start it, end it, look after it.

use std::{io, os::unix::process::CommandExt, path::PathBuf, time::Duration};

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{
    Context, Exit, Failed,
    args::{Agent as Args, AgentCommand, Place},
    looking::{self, ask},
    output,
    watch::Signals,
};
use crate::{
    agent::{
        self, Agent, Configured, Ended, Order, detach,
        launch::{self, Launch, Launched},
        unit,
    },
    client::text,
    control::{AgentStatus, Connection, ControlError, Reply, Request},
};

/// How often it is looked whether an agent is there again.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Does what was asked.
pub(super) async fn run(context: &Context, args: Args) -> Result<Exit, Failed> {
    match args.command {
        AgentCommand::Run { place, detached, for_set } => Box::pin(serve(context, &place, detached, for_set)).await,
        AgentCommand::Start { place } => start(context, place).await,
        AgentCommand::Stop => stop(context).await,
        AgentCommand::Restart { place } => restart(context, place).await,
        AgentCommand::Status => status(context).await,
        AgentCommand::Reload => reload(context).await,
        AgentCommand::Install => install(context),
    }
}

/// Runs the agent in this process until it is told to end.
async fn serve(context: &Context, place: &Place, detached: bool, for_set: bool) -> Result<Exit, Failed> {
    // Known now: the file may have another one by the end.
    let program = std::env::current_exe();
    let configured = Configured {
        settings: context.settings.clone(),
        place: place.to_place(),
        file: context.args.config.clone(),
        paths: context.paths.clone(),
        env: context.env.clone(),
        log: detached.then(|| launch::log_file(&context.paths)),
        for_set,
    };
    let mut signals = AgentSignals::new().map_err(|error| Failed::new(Exit::Bug, format!("no signals: {error}")))?;
    let agent = tokio::select! {
        agent = Agent::start(configured) => agent?,
        signal = signals.end() => return Ok(Exit::Signal(signal)),
    };
    context.trace.follow(&agent.client);
    if detached {
        // Nobody may be there to hear it.
        let _ = detach::first_words(&agent.first_words().await);
    } else {
        introduce(context, &agent);
    }
    let orders = agent.orders();
    let mut serving = std::pin::pin!(agent.serve());
    let mut leaving = false;
    let ended = loop {
        tokio::select! {
            ended = &mut serving => break ended,
            order = signals.order() => match order {
                // The first signal starts the goodbye, the second one ends it.
                (Order::Stop, signal) if leaving => return Ok(Exit::Signal(signal)),
                (order, _) => {
                    if order == Order::Stop {
                        context.output.tell("going offline");
                        leaving = true;
                    }
                    // One that is so busy that it takes no order has others before it.
                    let _ = orders.try_send(order);
                }
            }
        }
    };
    match ended {
        Ended::Offline => Ok(Exit::Done),
        Ended::ToRestart(elsewhere) => Err(begin_anew(context, place, elsewhere, detached, program)),
    }
}

fn introduce(context: &Context, agent: &Agent) {
    for warning in &agent.warnings {
        context.output.tell(&format!("note: {}", text::visible(warning)));
    }
    let addresses: Vec<String> = agent.locals().iter().map(ToString::to_string).collect();
    context.output.tell(&format!(
        "{} is up at {}, UDP and TCP; Ctrl-C goes offline",
        agent.client.address(),
        addresses.join(" and ")
    ));
    if agent.locals().iter().all(|local| local.ip().is_loopback()) {
        context.output.tell("visible on this machine only; `--listen lan` shows you to your network");
    }
}

/// Puts the program that is installed now in the place of this process; returns only if that cannot be done.
fn begin_anew(
    context: &Context,
    place: &Place,
    elsewhere: agent::Place,
    detached: bool,
    program: io::Result<PathBuf>,
) -> Failed {
    let place =
        Place { listen: elsewhere.listen.or_else(|| place.listen.clone()), port: elsewhere.port.or(place.port) };
    let trace_sip = context.args.trace_sip.clone();
    let args = Launch { trace_sip, detached, ..how(context, place) }.args();
    let error = match program {
        Ok(program) => std::process::Command::new(program).args(args).exec(),
        Err(error) => error,
    };
    Failed::new(Exit::Bug, format!("the agent ended, and its program cannot be started again: {error}"))
        .with_hint("what was set is kept: `sippresence agent start`")
}

/// Returns how to start an agent that was asked for itself: with the flags that its life is to have.
fn lasting(context: &Context, place: Place) -> Launch {
    Launch { trace_sip: context.args.trace_sip.clone(), ..how(context, place) }
}

/// Returns how to start an agent that a command needs.
pub(super) fn how(context: &Context, place: Place) -> Launch {
    let Place { listen, port } = place;
    let (config, verbose) = (context.args.config.clone(), context.args.verbose);
    Launch { config, listen, port, verbose, trace_sip: None, detached: true, for_set: false }
}

/// Connects to the agent, and starts one if none runs; says so. What it is started with lasts as long as it does.
pub(super) async fn started(context: &Context, launch: &Launch) -> Result<Connection, Failed> {
    let by = context.started + looking::limit(context);
    let Launched { connection, first_words } = launch::launch(launch, &context.paths, by).await?;
    if let Some(Reply { message, agent: Some(agent), .. }) = first_words {
        let addresses: Vec<String> = agent.listen.iter().map(ToString::to_string).collect();
        context.output.tell(&format!("started the agent at {} (pid {})", addresses.join(" and "), agent.pid));
        if let Some(warning) = message {
            context.output.tell(&format!("note: {}", text::visible(&warning)));
        }
    }
    let mut connection = connection;
    looking::choose_account(&mut connection, context).await?;
    Ok(connection)
}

async fn start(context: &Context, place: Place) -> Result<Exit, Failed> {
    let elsewhere = place.clone();
    let runs = looking::agent(context).await?;
    let Some(mut agent) = runs else {
        let agent = started(context, &lasting(context, place)).await?;
        tell_who_sees(context, &agent);
        return Ok(Exit::Done);
    };
    if elsewhere.listen.is_some() || elsewhere.port.is_some() {
        return moved(context, agent, elsewhere).await;
    }
    let status = status_of(context, &mut agent).await?;
    context.output.tell(&format!("the agent runs already (pid {})", status.pid));
    Ok(Exit::Done)
}

/// Says so if nobody but this machine can see us.
pub(super) fn tell_who_sees(context: &Context, agent: &Connection) {
    if agent.peer.listen.iter().all(|local| local.ip().is_loopback()) {
        context
            .output
            .tell("visible on this machine only; `sippresence agent start --listen lan` shows you to your network");
    }
}

async fn stop(context: &Context) -> Result<Exit, Failed> {
    let mut agent = match looking::agent(context).await {
        Ok(Some(agent)) => agent,
        Ok(None) => {
            context.output.tell("no agent is running");
            return Ok(Exit::Done);
        }
        // One that does not speak our protocol knows what TERM means.
        Err(failed) if failed.exit == Exit::Conflict => {
            let pid = peer(context).await?.ok_or(failed)?;
            tell(pid, nix::sys::signal::Signal::SIGTERM)?;
            within(context, async {
                while Connection::process_at(&context.paths.socket).await.is_ok_and(|at| at == Some(pid)) {
                    tokio::time::sleep(LOOK_EVERY).await;
                }
            })
            .await?;
            context.output.tell("the agent went offline and ended");
            return Ok(Exit::Done);
        }
        Err(failed) => return Err(failed),
    };
    let me = ask(&mut agent, &Request::Me {}, context).await?;
    ask(&mut agent, &Request::Stop {}, context).await?;
    within(context, agent.closed()).await?;
    let kept = me.publication.is_some_and(|line| !line.layers.is_empty());
    let tail = if kept { "; your status comes back at the next start, `sippresence clear` forgets it" } else { "" };
    context.output.tell(&format!("the agent went offline and ended{tail}"));
    Ok(Exit::Done)
}

async fn restart(context: &Context, place: Place) -> Result<Exit, Failed> {
    match looking::agent(context).await {
        Ok(Some(agent)) => moved(context, agent, place).await,
        Ok(None) => {
            let agent = started(context, &lasting(context, place)).await?;
            tell_who_sees(context, &agent);
            Ok(Exit::Done)
        }
        // An agent of another version: this signal means the same in all.
        Err(failed) if failed.exit == Exit::Conflict => {
            let pid = peer(context).await?.ok_or(failed)?;
            tell(pid, nix::sys::signal::Signal::SIGUSR1)?;
            let mut agent = again(context, place).await?;
            let status = status_of(context, &mut agent).await?;
            context.output.tell(&format!("the agent began anew (pid {})", status.pid));
            Ok(Exit::Done)
        }
        Err(failed) => Err(failed),
    }
}

/// Lets the agent begin anew, perhaps elsewhere, and waits until it answers again.
async fn moved(context: &Context, mut agent: Connection, place: Place) -> Result<Exit, Failed> {
    let listen = place.listen.as_ref().map(ToString::to_string);
    ask(&mut agent, &Request::Restart { listen, port: place.port }, context).await?;
    within(context, agent.closed()).await?;
    let mut agent = again(context, place).await?;
    let status = status_of(context, &mut agent).await?;
    let addresses: Vec<String> = status.listen.iter().map(ToString::to_string).collect();
    context.output.tell(&format!("the agent began anew at {} (pid {})", addresses.join(" and "), status.pid));
    if status.version != env!("CARGO_PKG_VERSION") {
        let ours = env!("CARGO_PKG_VERSION");
        context.output.tell(&format!("note: its program is of version {}, this one of {ours}", status.version));
    }
    tell_who_sees(context, &agent);
    Ok(Exit::Done)
}

/// Connects to an agent that is about to be there again; one that is not is started.
async fn again(context: &Context, place: Place) -> Result<Connection, Failed> {
    let by = context.started + looking::limit(context);
    let patience = by.min(tokio::time::Instant::now() + Duration::from_secs(3));
    while tokio::time::Instant::now() < patience {
        match Connection::open(&context.paths.socket).await {
            Ok(Some(agent)) => return Ok(agent),
            // Not there yet, or in the middle of its end.
            Ok(None) | Err(ControlError::Closed | ControlError::Io(_) | ControlError::Protocol { .. }) => {
                tokio::time::sleep(LOOK_EVERY).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
    started(context, &lasting(context, place)).await
}

/// Returns the process that listens at the socket, whatever it speaks.
async fn peer(context: &Context) -> Result<Option<i32>, Failed> {
    Ok(within(context, Connection::process_at(&context.paths.socket)).await?.unwrap_or_default())
}

fn tell(pid: i32, signal: nix::sys::signal::Signal) -> Result<(), Failed> {
    let pid = nix::unistd::Pid::from_raw(pid);
    nix::sys::signal::kill(pid, signal)
        .map_err(|error| Failed::new(Exit::Conflict, format!("the agent (pid {pid}) cannot be told to end: {error}")))
}

/// Waits for something within the time of the command.
async fn within<T>(context: &Context, what: impl Future<Output = T>) -> Result<T, Failed> {
    let by = context.started + looking::limit(context);
    tokio::time::timeout_at(by, what).await.map_err(|_| looking::no_answer(context))
}

async fn status_of(context: &Context, agent: &mut Connection) -> Result<AgentStatus, Failed> {
    let reply = ask(agent, &Request::Status {}, context).await?;
    reply.agent.map(|agent| *agent).ok_or_else(|| Failed::new(Exit::Conflict, "the agent does not say how it is"))
}

async fn status(context: &Context) -> Result<Exit, Failed> {
    let mut agent = looking::agent(context).await?.ok_or_else(Failed::no_agent)?;
    let reply = ask(&mut agent, &Request::Status {}, context).await?;
    let Some(agent) = &reply.agent else {
        return Err(Failed::new(Exit::Conflict, "the agent does not say how it is"));
    };
    Ok(context.output.agent(agent, reply.publication.as_deref()).map_or_else(Into::into, |()| Exit::Done))
}

async fn reload(context: &Context) -> Result<Exit, Failed> {
    let mut agent = looking::agent(context).await?.ok_or_else(Failed::no_agent)?;
    let reply = ask(&mut agent, &Request::Reload {}, context).await?;
    context.output.tell(&text::visible(&reply.message.unwrap_or_default()));
    Ok(Exit::Done)
}

fn install(context: &Context) -> Result<Exit, Failed> {
    let program = std::env::current_exe()
        .map_err(|error| Failed::new(Exit::Bug, format!("cannot tell where this program lies: {error}")))?;
    // Another configuration has an agent, and so a unit, of its own.
    let name = context.paths.socket.file_stem().unwrap_or_default().to_string_lossy().replace("agent", "sippresence");
    let path = unit::path(&context.env.config_home, &name);
    let args = Launch { detached: false, ..how(context, Place::default()) }.args();
    let changed = unit::write(&path, &unit::text(&program, &args))?;
    context.output.tell(&format!("{} {}", if changed { "wrote" } else { "nothing to do: it is in" }, path.display()));
    context.output.tell("now let systemd run it, at once and at each login:");
    Ok(output::print_text(&format!("systemctl --user daemon-reload && systemctl --user enable --now {name}")))
}

/// The signals that an agent heeds, from the moment this is made.
struct AgentSignals {
    end: Signals,
    hangup: Signal,
    restart: Signal,
}

impl AgentSignals {
    fn new() -> io::Result<Self> {
        let (hangup, restart) = (signal(SignalKind::hangup())?, signal(SignalKind::user_defined1())?);
        Ok(Self { end: Signals::new(), hangup, restart })
    }

    async fn end(&mut self) -> u8 {
        self.end.next().await
    }

    /// Waits for the next one; returns what it means and its number.
    async fn order(&mut self) -> (Order, u8) {
        tokio::select! {
            signal = self.end.next() => (Order::Stop, signal),
            _ = self.restart.recv() => (Order::Restart(agent::Place::default()), 10),
            _ = self.hangup.recv() => {
                // Of a terminal it means that it is gone, of a service manager that the files changed.
                let terminal = io::IsTerminal::is_terminal(&io::stdin());
                if terminal { (Order::Stop, 1) } else { (Order::Reload, 1) }
            }
        }
    }
}
