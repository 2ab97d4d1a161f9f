//! The command line: one file a command, output and exit codes in one place each.

mod agent;
mod args;
mod buddies;
mod compared;
mod config;
mod demo;
mod doctor;
mod documents;
mod during;
mod exit;
mod explain;
mod format;
mod hidden;
mod is;
mod log;
mod looking;
mod manual;
mod me;
mod once;
mod output;
mod pcapng;
mod policy;
mod progress;
mod serve;
mod set;
mod show;
mod targets;
mod trace;
mod trust;
mod tui;
mod wait;
mod watch;
mod watchers;

use std::{
    io::{self, IsTerminal as _},
    process::ExitCode,
};

use clap::Parser;

use self::{
    args::{Args, Command},
    exit::{Exit, Failed},
    output::Output,
};
use crate::{
    agent::detach::{detach, first_words},
    client::{Kind, Line, text},
    config::{Environment, Paths, Settings},
    presence::{Basic, info::Device},
};

/// What every command is given.
struct Context {
    args: args::Global,
    env: Environment,
    paths: Paths,
    settings: Settings,
    output: Output,
    trace: trace::Trace,
    /// When the command began, for its time limit.
    started: tokio::time::Instant,
}

impl Context {
    /// Says which way the first state of a target came and why, if more than usual is to be said.
    fn tell_way(&self, line: &Line) {
        let subscription = line.subscription.as_ref();
        let way = subscription.and_then(|subscription| subscription.route.as_ref());
        if let (Kind::Snapshot, Some(way), Some(presentity), true) =
            (line.kind, way, &line.presentity, self.args.verbose > 0)
        {
            let agreed = subscription.map(|subscription| subscription.rates.to_string()).unwrap_or_default();
            let agreed = if agreed.is_empty() {
                agreed
            } else {
                format!(" ({} NOTIFYs a second)", agreed.replace(';', " ").trim())
            };
            self.output.tell(&text::visible(&format!("{presentity}: {way}{agreed}")));
            if line.devices.len() > 1
                && let Some(device) = speaking(line)
            {
                let name = [&device.name, &device.contact, &device.device_id, &device.id].into_iter().flatten().next();
                let (name, all) = (name.map_or("one without a name", String::as_str), line.devices.len());
                self.output.tell(&text::visible(&format!("{presentity}: of {all} devices {name} has the last word")));
            }
        }
    }
}

/// Returns the device whose word the status is: of those that say the same the youngest, else the first that is open, else the
/// first.
fn speaking(line: &Line) -> Option<&Device> {
    let status = line.status.as_ref().map(ToString::to_string);
    let said = line.devices.iter().filter(|device| device.state.is_some() && device.state == status);
    let open = || line.devices.iter().find(|device| device.basic == Some(Basic::Open));
    said.max_by_key(|device| device.timestamp).or_else(open).or_else(|| line.devices.first())
}

/// Runs the program: arguments, one command, exit code.
pub fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return usage(&error),
    };
    let Args { global, command } = args;
    let command = command.unwrap_or_else(|| Command::Tui(args::Tui::default()));
    let detached = command.is_detached_agent();
    if detached && let Err(error) = detach() {
        return output::complain(&Failed::new(Exit::Bug, format!("cannot leave the terminal: {error}")));
    }
    // A log among the pictures would spoil them.
    if !(matches!(command, Command::Tui(_)) && io::stderr().is_terminal()) {
        log::to_stderr(&global, detached);
    }
    let mut runtime = if command.is_server() {
        tokio::runtime::Builder::new_multi_thread()
    } else {
        tokio::runtime::Builder::new_current_thread()
    };
    let runtime = match runtime.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return output::complain(&Failed::new(Exit::Bug, format!("cannot start: {error}"))),
    };
    let code = match runtime.block_on(run(global, command)) {
        Ok(exit) => exit.into(),
        Err(failed) => {
            if detached {
                // Whoever started us says it; once we were ready, nobody listens any more.
                let _ = first_words(&failed.to_reply());
            }
            output::complain(&failed)
        }
    };
    // Look-ups that hang in the system's resolver are not waited for.
    runtime.shutdown_background();
    code
}

/// Prints help and version as clap does, and what is wrong with the arguments as everything else is printed.
fn usage(error: &clap::Error) -> ExitCode {
    let asked_for_nothing = error.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
    if !error.use_stderr() || asked_for_nothing {
        // A terminal that is gone needs no help text.
        let _ = error.print();
        return if asked_for_nothing { Exit::Usage } else { Exit::Done }.into();
    }
    let text = error.to_string();
    let what = text.split("\n\n").next().unwrap_or_default();
    let what: Vec<&str> = what.trim_start_matches("error: ").lines().map(str::trim).collect();
    let failed = Failed::new(Exit::Usage, crate::client::text::visible(&what.join(" ")));
    output::complain(&failed.with_hint("`sippresence --help` and `sippresence COMMAND --help` list what there is"))
}

async fn run(mut global: args::Global, command: Command) -> Result<Exit, Failed> {
    if let Command::Doctor(args::Doctor { account: Some(name), .. }) = &command {
        global.account = Some(name.clone());
    }
    let output = Output::new(&global)?;
    let env = Environment::of_process()?;
    let paths = Paths::new(global.config.as_deref(), &env);
    if let Some(done) = without_settings(&command, &paths, output) {
        return done;
    }
    let mut settings = Settings::load(global.config.as_deref(), &env)?;
    if let Some(name) = global.account.as_deref().filter(|name| *name != "all") {
        if !settings.accounts.contains_key(name) {
            let names: Vec<&str> = settings.accounts.keys().map(String::as_str).collect();
            let hint = match names.join(", ") {
                none if none.is_empty() => {
                    "the configuration has none; `sippresence config example` shows one".to_owned()
                }
                names => format!("the configuration has {names}"),
            };
            return Err(Failed::new(Exit::NoAccount, format!("there is no account {name:?}")).with_hint(hint));
        }
        settings.default_account = Some(name.to_owned());
    }
    let trace = trace::Trace::open(&global)?;
    let started = tokio::time::Instant::now();
    let context = Context { args: global, env, paths, settings, output, trace: trace.clone(), started };
    let done = match command {
        Command::Tui(args) => tui::run(&context, &args).await,
        Command::Set(args) => set::set(&context, &args).await,
        Command::Clear => set::clear(&context).await,
        Command::Me(args) => me::run(context, &args).await,
        Command::Show(args) => show::run(context, &args).await,
        Command::Watch(args) => watch::run(context, &args).await,
        Command::Wait(args) => wait::run(context, &args).await,
        Command::Is(args) => is::run(&context, &args).await,
        Command::Buddies(args) => buddies::run(&context, args).await,
        Command::Watchers(args) => watchers::run(&context, args).await,
        Command::Policy(args) => policy::run(&context, args).await,
        Command::Trust(args) => trust::run(&context, args),
        Command::Agent(args) => agent::run(&context, args).await,
        Command::Serve(args) => Box::pin(serve::run(&context, args)).await,
        Command::Config(args) => config::run(&context, &args),
        Command::Demo => demo::run(context).await,
        Command::Doctor(args) => doctor::run(context, &args).await,
        // Done already.
        Command::Explain(_) | Command::Completions(_) | Command::Man(_) => Ok(Exit::Done),
    };
    trace.finish().await;
    done
}

/// Runs what has to work also when the configuration is broken.
fn without_settings(command: &Command, paths: &Paths, output: Output) -> Option<Result<Exit, Failed>> {
    match command {
        Command::Config(args) => config::without_settings(args, paths).map(Ok),
        Command::Explain(args) => Some(explain::run(output, args)),
        Command::Completions(args) => Some(Ok(manual::completions(args))),
        Command::Man(args) => Some(manual::page(args)),
        _ => None,
    }
}
