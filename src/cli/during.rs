//! `set --while`: a status that is held while a command runs.
//!
//! The hold is this connection's: whatever ends us ends it. An agent that begins anew is told that we are still
//! here.

use std::{ffi::OsString, io::ErrorKind, os::unix::process::ExitStatusExt, process::ExitStatus, time::Duration};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    process::{Child, Command},
    signal::unix::{SignalKind, signal},
    time::{sleep, timeout},
};

use super::{Context, Exit, Failed, watch::Signals};
use crate::control::{Connection, Request};

/// How often a lost agent is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(300);
/// How long taking the hold back may take: the command's end is not to be held up.
const RELEASE_WITHIN: Duration = Duration::from_secs(2);

/// Runs the command, ends the hold, and passes the command's exit code on.
pub(super) async fn run(
    context: &Context,
    mut agent: Connection,
    hold: String,
    command: &[OsString],
) -> Result<Exit, Failed> {
    let Some((program, args)) = command.split_first() else {
        return Err(Failed::new(Exit::Usage, "--while needs a command behind `--`"));
    };
    // Heard from before it starts, so that none of them ends us alone.
    let mut signals = Signals::new();
    let mut hangup = signal(SignalKind::hangup()).ok();
    let mut child = match Command::new(program).args(args).spawn() {
        Ok(child) => child,
        Err(error) => {
            release(context, agent, &hold).await;
            // As a shell has it.
            let exit = Exit::Other(if error.kind() == ErrorKind::NotFound { 127 } else { 126 });
            return Err(Failed::new(exit, format!("cannot run {}: {error}", program.to_string_lossy())));
        }
    };
    let status = loop {
        tokio::select! {
            status = child.wait() => break status,
            // It goes on looking; what it found is kept when another branch is taken.
            () = stay(context, &mut agent, &hold) => {}
            signal = signals.next() => pass_on(&child, signal),
            Some(()) = async { hangup.as_mut()?.recv().await } => pass_on(&child, 1),
        }
    };
    release(context, agent, &hold).await;
    let status = status.map_err(|error| Failed::new(Exit::Bug, format!("lost sight of the command: {error}")))?;
    Ok(Exit::Other(code_of(status)))
}

/// Waits until the agent is gone, then for the next one, and keeps the hold there.
async fn stay(context: &Context, agent: &mut Connection, hold: &str) {
    agent.closed().await;
    loop {
        sleep(LOOK_EVERY).await;
        let Ok(Some(mut next)) = Connection::open(&context.paths.socket).await else { continue };
        let Ok(reply) = next.request(&Request::Claim { hold: hold.to_owned() }).await else { continue };
        *agent = next;
        if !reply.is_ok() {
            // Ended meanwhile by somebody's word: there is nothing to keep, and the command goes on.
            std::future::pending::<()>().await;
        }
        return;
    }
}

/// Ends the hold, so that what was before shows when we are gone.
async fn release(context: &Context, mut agent: Connection, hold: &str) {
    let request = Request::Release { hold: hold.to_owned() };
    let released = timeout(RELEASE_WITHIN, async {
        if agent.request(&request).await.is_ok() {
            return true;
        }
        // It may have begun anew a moment ago.
        match Connection::open(&context.paths.socket).await {
            Ok(Some(mut next)) => next.request(&request).await.is_ok(),
            _ => false,
        }
    })
    .await;
    // A hold that somebody ended before needs no word.
    if !released.unwrap_or_default() {
        context.output.tell("note: the agent is gone; what you had set before shows when it starts again");
    }
}

/// Hands a signal to the command; what a terminal sends reaches it without us.
fn pass_on(child: &Child, signal: u8) {
    use std::io::IsTerminal;
    let from_terminal = signal == 2 && (std::io::stdin().is_terminal() || std::io::stderr().is_terminal());
    if from_terminal {
        return;
    }
    if let (Some(pid), Ok(signal)) =
        (child.id().and_then(|id| i32::try_from(id).ok()), Signal::try_from(i32::from(signal)))
    {
        // It may have ended by itself.
        let _ = kill(Pid::from_raw(pid), signal);
    }
}

/// Returns the code that a shell would give.
fn code_of(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| Some(128 + status.signal()?)).unwrap_or(70);
    u8::try_from(code).unwrap_or(70)
}
