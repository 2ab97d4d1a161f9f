//! The command line: one file a command, output and exit codes in one place each.

mod agent;
mod args;
mod config;
mod demo;
mod exit;
mod explain;
mod format;
mod keys;
mod looking;
mod manual;
mod output;
mod progress;
mod set;
mod show;
mod targets;
mod trace;
mod watch;
mod watchers;

use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

use self::{
    args::{Args, Command},
    exit::{Exit, Failed},
    output::Output,
};
use crate::config::{Environment, Paths, Settings};

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

/// Runs the program: arguments, one command, exit code.
pub fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return usage(&error),
    };
    log_to_stderr(args.global.verbose);
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return output::complain(&Failed::new(Exit::Bug, format!("cannot start: {error}"))),
    };
    let code = match runtime.block_on(run(args)) {
        Ok(exit) => exit.into(),
        Err(failed) => output::complain(&failed),
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

async fn run(args: Args) -> Result<Exit, Failed> {
    let Args { global, command } = args;
    let output = Output::new(&global)?;
    let env = Environment::of_process()?;
    let paths = Paths::new(global.config.as_deref(), &env);
    if let Some(done) = without_settings(&command, &paths, output) {
        return done;
    }
    let settings = Settings::load(global.config.as_deref(), &env)?;
    let trace = trace::Trace::open(&global)?;
    let started = tokio::time::Instant::now();
    let context = Context { args: global, env, paths, settings, output, trace: trace.clone(), started };
    let done = match command {
        Command::Set(args) => set::set(&context, &args).await,
        Command::Clear => set::clear(&context).await,
        Command::Show(args) => show::run(context, &args).await,
        Command::Watch(args) => watch::run(context, &args).await,
        Command::Watchers(args) => watchers::run(&context, args).await,
        Command::Agent(args) => agent::run(&context, &args).await,
        Command::Config(args) => config::run(&context, &args),
        Command::Demo => demo::run(context).await,
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

/// Logs to stderr: warnings by default, more with each `-v`; `SIPPRESENCE_LOG` overrides.
fn log_to_stderr(verbose: u8) {
    let level = match verbose {
        0 => "sippresence=warn",
        1 => "sippresence=info",
        2 => "sippresence=debug",
        _ => "sippresence=trace",
    };
    let filter = EnvFilter::try_from_env("SIPPRESENCE_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    // The only subscriber of the process; a second one can only come from a test.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(output::stderr_takes_color())
        .with_writer(output::log_writer)
        // Its own complaint about a stderr that is gone would be a panic.
        .log_internal_errors(false)
        .try_init();
}
