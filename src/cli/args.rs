//! What can be written on the command line.

use std::{ffi::OsStr, path::PathBuf, time::Duration};

use clap::{
    Arg, ArgAction, Parser, Subcommand, ValueEnum,
    builder::{PossibleValue, StringValueParser, TypedValueParser},
};

use crate::{
    client::StatusArg,
    config::{Listen, parse_duration},
};

/// SIP presence for people who live in a terminal.
#[derive(Debug, Parser)]
#[command(name = "sippresence", version, max_term_width = 100, arg_required_else_help = true)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// Flags that every command takes.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Global {
    /// Use this configuration file; each has an agent of its own
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Print one JSON object a line
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// Print each state by a template such as '{icon} {name}: {status}', or as tmux or waybar want it
    #[arg(long, global = true, value_name = "TEMPLATE")]
    pub(super) format: Option<String>,
    /// Say nothing on stderr but errors
    #[arg(short, long, global = true)]
    pub(super) quiet: bool,
    /// Say more: -v decisions, -vv details, -vvv every packet
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(super) verbose: u8,
    /// Use colour
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(super) color: Color,
    /// Give up after this time, such as 5s or 1m
    #[arg(long, global = true, value_name = "DURATION", value_parser = duration)]
    pub(super) timeout: Option<Duration>,
    /// Do not use a running agent
    #[arg(long, global = true)]
    pub(super) no_agent: bool,
    /// Show every SIP message, secrets hidden, on stderr or in this file
    #[arg(long, global = true, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = "-")]
    pub(super) trace_sip: Option<PathBuf>,
}

/// When to use colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Color {
    /// On a terminal, unless `NO_COLOR` is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Publish my status
    #[command(alias = "set-status")]
    Set(Set),
    /// Take my status back: I show as offline
    Clear,
    /// Look at others once
    Show(Show),
    /// Follow others until interrupted
    Watch(Watch),
    /// Say who may see me
    Watchers(Watchers),
    /// Run the agent, which keeps my presence up
    Agent(Agent),
    /// Show or check the configuration
    Config(Config),
    /// Show everything at once on this machine, with nothing to configure
    Demo,
    /// Say what a SIP status code, a reason, a word or an exit code means, and what to do about it
    Explain(Explain),
    /// Print what completes these commands in a shell
    Completions(Completions),
    /// Print a manual page, of the whole or of a command
    Man(Man),
}

#[derive(Debug, clap::Args)]
pub(super) struct Set {
    /// available, busy, away, dnd, offline, in-call; meeting, lunch or another RPID name; brb; custom:TEXT
    #[arg(value_name = "STATUS", value_parser = StatusWords, hide_possible_values = true)]
    pub(super) status: String,
    /// Add a note for people
    #[arg(long, value_name = "TEXT")]
    pub(super) note: Option<String>,
    /// Add an activity, such as meeting
    #[arg(long, value_name = "NAME")]
    pub(super) activity: Vec<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct Show {
    /// Whom: alice@host, alice@192.168.1.100:5060, sip:…; - reads them from stdin, one a line
    #[arg(value_name = "TARGET", required = true)]
    pub(super) targets: Vec<String>,
    /// Print their documents as they came
    #[arg(long)]
    pub(super) raw: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Watch {
    /// Whom: alice@host, alice@192.168.1.100:5060, sip:…; - reads them from stdin, one a line
    #[arg(value_name = "TARGET", required = true)]
    pub(super) targets: Vec<String>,
    /// End after this time
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    pub(super) duration: Option<Duration>,
    /// End after so many changes
    #[arg(long, value_name = "N")]
    pub(super) count: Option<u64>,
    /// Leave out the first state of each
    #[arg(long)]
    pub(super) changes_only: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Watchers {
    #[command(subcommand)]
    pub(super) command: Option<WatchersCommand>,
}

#[derive(Clone, Debug, Subcommand)]
pub(super) enum WatchersCommand {
    /// Show who watches me and who waits for my approval
    List,
    /// Show only who waits for my approval
    Pending,
    /// Let them see me
    Allow(Who),
    /// Show me to them as offline
    PoliteBlock(Who),
    /// Refuse them
    Block(Who),
    /// Take them off every list
    Forget(Who),
}

#[derive(Clone, Debug, clap::Args)]
pub(super) struct Who {
    /// Addresses, such as bob@example.com
    #[arg(value_name = "WHO", required = true)]
    pub(super) who: Vec<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct Agent {
    #[command(subcommand)]
    pub(super) command: AgentCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum AgentCommand {
    /// Run in the foreground until interrupted
    Run {
        /// Listen on loopback, lan, all, or addresses with commas between them
        #[arg(long, value_name = "WHERE", value_parser = listen)]
        listen: Option<Listen>,
        /// Listen on this port
        #[arg(long, value_name = "PORT")]
        port: Option<u16>,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct Config {
    #[command(subcommand)]
    pub(super) command: Option<ConfigCommand>,
}

#[derive(Clone, Copy, Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Print where the files are
    Path,
    /// Print the configuration in force
    Show,
    /// Check the files
    Check,
    /// Print a configuration with every key and its default
    Example,
}

#[derive(Debug, clap::Args)]
pub(super) struct Explain {
    /// 489, reason=probation, stale, dns; numbers below 100, 124, 130 and 143 are exit codes, as is `exit 11`
    #[arg(value_name = "CODE|REASON", required = true)]
    pub(super) what: Vec<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct Completions {
    /// For which shell
    #[arg(value_name = "SHELL")]
    pub(super) shell: clap_complete::Shell,
}

#[derive(Debug, clap::Args)]
pub(super) struct Man {
    /// Of this command, such as `watchers allow`
    #[arg(value_name = "COMMAND")]
    pub(super) command: Vec<String>,
}

/// Any status; the words that there are complete in a shell.
///
/// Whether it is one is said by the command itself, with the nearest word.
#[derive(Clone, Copy, Debug)]
pub(super) struct StatusWords;

impl TypedValueParser for StatusWords {
    type Value = String;

    fn parse_ref(&self, command: &clap::Command, arg: Option<&Arg>, value: &OsStr) -> Result<String, clap::Error> {
        StringValueParser::new().parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(StatusArg::words().map(PossibleValue::new)))
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|error| error.to_string())
}

fn listen(text: &str) -> Result<Listen, String> {
    text.parse()
}
