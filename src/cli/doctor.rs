//! `doctor`: an account tried out live, a step at a time, each with what it means and what to do.
//!
//! It has a client of its own, so whatever the agent keeps up goes on meanwhile. What it makes at a server is one binding
//! and, with leave, one publication; both are taken back, on Ctrl-C too. No step waits for longer than [`STEP`], and all
//! of them end within the time limit of the command.

mod documents;
mod events;
mod found;
mod peers;
mod publishing;
mod report;
mod server;

use std::time::Duration;

use tokio::time::{Instant, timeout, timeout_at};

use self::{found::Found, report::Report, server::Trial};
use super::{Context, Exit, Failed, args::Doctor as Args, looking, output::Closed, progress::Progress, watch::Signals};
use crate::{
    agent,
    client::{FailureCode, Server},
    config::{Account, OnExit, Register},
    control::{Reply, Request},
};

/// How long one step may take.
const STEP: Duration = Duration::from_secs(6);
/// How long all of them may, unless told otherwise.
const ALL: Duration = Duration::from_mins(1);
/// After so many steps in a row without an answer nothing more is asked.
const SILENT: u8 = 2;
/// How long taking back may take once we were told to end.
const LEAVING: Duration = Duration::from_secs(5);

/// What is tried out.
struct Patient {
    name: String,
    account: Account,
    server: Option<Server>,
    /// What the agent says that it publishes, if one runs.
    agent: Option<Reply>,
}

/// Tries an account out.
pub(super) async fn run(mut context: Context, args: &Args) -> Result<Exit, Failed> {
    let patient = choose(&mut context).await?;
    let name = if patient.name.is_empty() { patient.account.address.clone() } else { patient.name.clone() };
    let mut doctor = Visit {
        progress: Progress::new(context.output),
        report: Report::new(context.output, name),
        ends_at: Instant::now() + context.args.timeout.unwrap_or(ALL),
        context: &context,
        patient: &patient,
        unanswered: 0,
    };
    let mut signals = Signals::new();
    let mut trial = None;
    let tried = tokio::select! {
        biased;
        signal = signals.next() => Err(signal),
        tried = doctor.examine(args, &mut trial) => Ok(tried),
    };
    // A second signal ends at once.
    if let Some(trial) = trial {
        tokio::select! {
            left = timeout(LEAVING, trial.take_back()) => match left {
                Ok(None) => {}
                Ok(Some(found)) => {
                    let _: Result<(), Closed> = doctor.report.add("clean-up", &found, Duration::ZERO);
                }
                Err(_) => context.output.tell("what was made at the server could not be taken back; it ends by itself"),
            },
            signal = signals.next() => return Ok(Exit::Signal(signal)),
        }
    }
    match tried {
        Err(signal) => Ok(Exit::Signal(signal)),
        Ok(Err(Stop::Failed(failed))) => Err(failed),
        Ok(Err(Stop::Closed(closed))) => Ok(closed.into()),
        Ok(Ok(())) => Ok(doctor.report.sum()),
    }
}

/// Finds out what to try; what this command makes itself never stays and never registers by itself.
async fn choose(context: &mut Context) -> Result<Patient, Failed> {
    if context.args.account.as_deref() == Some("all") {
        return Err(Failed::new(Exit::Usage, "one account at a time: name it"));
    }
    let settings = &context.settings;
    let (name, account, server) = match settings.default_account() {
        Some((name, account)) => {
            let server = agent::server(settings, name, account)?;
            (name.to_owned(), account.clone(), server)
        }
        None => (String::new(), Account::new(""), None),
    };
    let mut agent = looking::agent(context).await?;
    let agent = match &mut agent {
        Some(agent) => Some(looking::ask(agent, &Request::Me {}, context).await?),
        None => None,
    };
    let settings = &mut context.settings;
    settings.publish.on_exit = OnExit::Remove;
    if let Some(account) = settings.accounts.get_mut(&name) {
        account.register = Register::Never;
    }
    Ok(Patient { name, account, server, agent })
}

/// Why the steps ended early.
enum Stop {
    /// Nobody reads them.
    Closed(Closed),
    /// They cannot be taken.
    Failed(Failed),
}

impl From<Closed> for Stop {
    fn from(closed: Closed) -> Self {
        Self::Closed(closed)
    }
}

impl<E: Into<Failed>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// One account being tried.
struct Visit<'a> {
    context: &'a Context,
    patient: &'a Patient,
    report: Report,
    progress: Progress,
    ends_at: Instant,
    /// How many steps in a row had no answer.
    unanswered: u8,
}

impl Visit<'_> {
    async fn examine(&mut self, args: &Args, trial: &mut Option<Trial>) -> Result<(), Stop> {
        if self.patient.server.is_some() {
            server::examine(self, args, trial).await
        } else {
            peers::examine(self).await
        }
    }

    /// Takes a step, and tells how it went.
    async fn step(&mut self, name: &'static str, what: impl Future<Output = Found>) -> Result<Found, Closed> {
        self.step_within(name, STEP, what).await
    }

    /// Takes a step that may need a longer time.
    async fn step_within(
        &mut self,
        name: &'static str,
        within: Duration,
        what: impl Future<Output = Found>,
    ) -> Result<Found, Closed> {
        let begun = Instant::now();
        let by = self.ends_at.min(begun + within);
        let found = if self.unanswered >= SILENT {
            Found::skipped("the server has fallen silent")
        } else if begun >= self.ends_at {
            Found::failed(Exit::Unreachable, "the time is over", "`--timeout` gives more of it")
        } else {
            let found = self.progress.during(timeout_at(by, what), name, Some(by)).await;
            let waited = crate::config::format_duration(by.duration_since(begun).max(Duration::from_secs(1)));
            found.unwrap_or_else(|_| Found::no_answer(FailureCode::Timeout, &format!("no answer within {waited}")))
        };
        let unanswered = found.code == Some(FailureCode::Timeout) || self.unanswered >= SILENT;
        self.unanswered = if unanswered { self.unanswered + 1 } else { 0 };
        self.report.add(name, &found, begun.elapsed())?;
        Ok(found)
    }

    /// Tells of a step that took no time.
    fn tell(&mut self, name: &'static str, found: Found) -> Result<Found, Closed> {
        self.report.add(name, &found, Duration::ZERO)?;
        Ok(found)
    }

    /// Says what is about to happen.
    fn note(&self, words: &str) {
        self.context.output.tell(&format!("note: {words}"));
    }

    /// Tells of steps that make no sense any more.
    fn skip(&mut self, names: &[&'static str], why: &str) -> Result<(), Closed> {
        names.iter().try_for_each(|name| self.report.add(name, &Found::skipped(why), Duration::ZERO))
    }
}
