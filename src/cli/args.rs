//! What can be written on the command line.

mod buddies;
mod policy;
mod serve;

use std::{
    ffi::{OsStr, OsString},
    path::PathBuf,
    time::Duration,
};

use clap::{
    Arg, ArgAction, Parser, Subcommand, ValueEnum,
    builder::{PossibleValue, StringValueParser, TypedValueParser},
};

use crate::{
    client::StatusArg,
    config::{Listen, ThemeChoice, parse_duration},
};

pub(super) use self::{
    buddies::{Add, Buddies, BuddiesCommand, Export, Group, Import},
    policy::{Policy, PolicyCommand, Test as PolicyTest},
    serve::{Offered, Password, Run as ServeRun, Serve, ServeCommand, User, UserCommand, UserName},
};

/// SIP presence for people who live in a terminal.
#[derive(Debug, Parser)]
#[command(
    name = "sippresence",
    version,
    max_term_width = 100,
    after_help = DAILY_USE,
    disable_help_subcommand = true
)]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) command: Option<Command>,
}

/// The heading of the flags that every command takes.
const EVERYWHERE: &str = "Options of every command";

/// What stands beneath the list of commands: enough to get along without the manual.
const DAILY_USE: &str = "\
Daily use:
  sippresence                                        the buddy list, live; ? shows its keys
  sippresence set busy --note meeting --for 45m      I am busy; then what was before comes back
  sippresence set dnd --while -- make test           hold it while a command runs
  sippresence watch alice@192.168.1.20               one line for each change
  sippresence wait alice@192.168.1.20 available --timeout 2h && echo free
  sippresence is alice@192.168.1.20 available,away   the exit code answers: 0 yes, 1 no
  sippresence watchers                               who watches me, who waits for my approval
  sippresence watchers allow bob@192.168.1.21
  sippresence agent start --listen lan               be seen beyond this machine

You are reached at the addresses that `sippresence me` prints. Data goes to stdout, words to stderr;
`sippresence explain exit 7` says what an exit code means, `sippresence config example` what can be set.";

/// Flags that every command takes.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Global {
    /// Use this configuration file; each has an agent of its own
    #[arg(long, global = true, help_heading = EVERYWHERE, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Use this account of the configuration; `all` for every one
    #[arg(short, long, global = true, value_name = "NAME", help_heading = EVERYWHERE)]
    pub(super) account: Option<String>,
    /// Print one JSON object a line
    #[arg(long, global = true, help_heading = EVERYWHERE)]
    pub(super) json: bool,
    /// Print each state by a template such as '{icon} {name}: {status}', or as tmux or waybar want it
    #[arg(long, global = true, help_heading = EVERYWHERE, value_name = "TEMPLATE")]
    pub(super) format: Option<String>,
    /// Say nothing on stderr but errors
    #[arg(short, long, global = true, help_heading = EVERYWHERE)]
    pub(super) quiet: bool,
    /// Say more: -v decisions, -vv details, -vvv every packet
    #[arg(short, long, global = true, help_heading = EVERYWHERE, action = ArgAction::Count)]
    pub(super) verbose: u8,
    /// Use colour
    #[arg(long, global = true, help_heading = EVERYWHERE, value_name = "WHEN", default_value = "auto")]
    pub(super) color: Color,
    /// Give up after this time, such as 5s or 1m
    #[arg(long, global = true, help_heading = EVERYWHERE, value_name = "DURATION", value_parser = duration)]
    pub(super) timeout: Option<Duration>,
    /// Do not use a running agent
    #[arg(long, global = true, help_heading = EVERYWHERE)]
    pub(super) no_agent: bool,
    /// Show every SIP message, secrets hidden, on stderr or in this file; *.pcapng for Wireshark
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
    /// Show the buddy list, live, on this terminal; the same as no command at all
    Tui(Tui),
    /// Publish my status; starts the agent where none runs
    #[command(alias = "set-status")]
    Set(Set),
    /// Take my status back and forget it: I show as offline
    Clear,
    /// Show what I publish, and the addresses to hand out
    Me(Me),
    /// Look at others once
    Show(Show),
    /// Follow others until interrupted
    Watch(Watch),
    /// Wait until others have a status
    Wait(Wait),
    /// Tell by the exit code whether somebody has a status: 0 yes, 1 no
    Is(Is),
    /// Show or change the list of people whom I follow
    Buddies(Buddies),
    /// Say who may see me
    Watchers(Watchers),
    /// Share with my account's server who may see me
    Policy(Policy),
    /// Say which keys of peers without an authority are trusted
    Trust(Trust),
    /// Start, stop and look after the agent, which keeps my presence up
    Agent(Agent),
    /// Be a presence server for a team, a lab or a test, with nothing to install
    Serve(Serve),
    /// Show or check the configuration
    Config(Config),
    /// Try an account out live: configuration, network, server, each step with what to do
    Doctor(Doctor),
    /// Show everything at once on this machine, with nothing to configure
    Demo,
    /// Say what a SIP status code, a reason, a word or an exit code means, and what to do about it
    Explain(Explain),
    /// Print what completes these commands in a shell
    Completions(Completions),
    /// Print a manual page, of the whole or of a command
    Man(Man),
}

impl Command {
    /// Returns whether this is a server, which has work for several cores.
    pub(super) fn is_server(&self) -> bool {
        matches!(self, Self::Serve(Serve { command: None, .. }))
    }

    /// Returns whether this is an agent that outlives its starter.
    pub(super) fn is_detached_agent(&self) -> bool {
        matches!(self, Self::Agent(Agent { command: AgentCommand::Run { detached: true, .. } }))
    }
}

#[derive(Debug, Default, clap::Args)]
pub(super) struct Tui {
    /// Which colours: auto as the terminal says, dark or light for its background, plain for none
    #[arg(long, value_name = "NAME")]
    pub(super) theme: Option<ThemeChoice>,
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
    /// Say which part of life you are in, such as work or home; rules may go by it
    #[arg(long, value_name = "NAME")]
    pub(super) sphere: Option<String>,
    /// Hold it for this long, such as 45m or 1h30m; then what was before comes back
    #[arg(long = "for", value_name = "DURATION", value_parser = duration, group = "hold")]
    pub(super) length: Option<Duration>,
    /// Hold it until then: 17:30, 'tomorrow 09:00', 'friday 18:00', RFC 3339
    #[arg(long, value_name = "TIME", group = "hold")]
    pub(super) until: Option<String>,
    /// Hold it while a command runs, and end with its exit code: set dnd --while -- make test
    #[arg(long = "while", group = "hold", requires = "command")]
    pub(super) held: bool,
    /// The command of --while with its arguments
    #[arg(value_name = "CMD", last = true, requires = "held")]
    pub(super) command: Vec<OsString>,
}

#[derive(Debug, clap::Args)]
pub(super) struct Me {
    /// Show what my server shows others of me, and how it differs: 0 not at all, 1 it does
    #[arg(long)]
    pub(super) server: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Show {
    /// Whom: a buddy, @group, alice@host, alice@192.168.1.100:5060, sip:…; - reads them from stdin; without any, all buddies
    #[arg(value_name = "TARGET")]
    pub(super) targets: Vec<String>,
    /// Print their documents as they came
    #[arg(long)]
    pub(super) raw: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Watch {
    /// Whom: a buddy, @group, alice@host, alice@192.168.1.100:5060, sip:…; - reads them from stdin; without any, all buddies
    #[arg(value_name = "TARGET")]
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
    /// Run a program for each state, the JSON line on its input; all that follows is the program and its arguments
    #[arg(long, value_name = "CMD", num_args = 1.., allow_hyphen_values = true)]
    pub(super) exec: Vec<String>,
}

#[derive(Debug, clap::Args)]
#[command(override_usage = "sippresence wait [OPTIONS] <TARGET>... <STATUS>[,<STATUS>...]")]
pub(super) struct Wait {
    /// Whom, and at the end the status, or several with commas: alice @oncall available,away
    ///
    /// A status is one that can be set, or custom, unknown, open, closed.
    #[arg(value_names = ["TARGET", "STATUS"], num_args = 2.., required = true)]
    pub(super) words: Vec<String>,
    /// Until one of them has it
    #[arg(long, conflicts_with = "all")]
    pub(super) any: bool,
    /// Until all of them have it at once; so without either
    #[arg(long)]
    pub(super) all: bool,
    /// Until it has been so for this long
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(super) stable: Option<Duration>,
}

#[derive(Debug, clap::Args)]
pub(super) struct Is {
    /// Whom: a buddy, alice@host, alice@192.168.1.100:5060, sip:…
    #[arg(value_name = "TARGET")]
    pub(super) target: String,
    /// The status, or several with commas: one that can be set, or custom, unknown, open, closed
    #[arg(value_name = "STATUS")]
    pub(super) status: String,
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
    /// Show everybody who is remembered: who watched me or wanted to, and what was decided
    History {
        /// Only these, with all that is known of them
        #[arg(value_name = "WHO")]
        who: Vec<String>,
    },
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
pub(super) struct Trust {
    #[command(subcommand)]
    pub(super) command: Option<TrustCommand>,
}

#[derive(Clone, Debug, Subcommand)]
pub(super) enum TrustCommand {
    /// Show the keys that are trusted, and mine
    List,
    /// Trust this key, and no other any more, of a peer
    Accept {
        /// Whose, such as bob@192.168.1.20 or bob@laptop.local
        #[arg(value_name = "WHO")]
        who: String,
        /// What `show` printed, if it is what they tell you
        #[arg(value_name = "SHA256:…")]
        key: String,
    },
    /// Trust no key of them any more
    Forget {
        /// Whose, such as bob@192.168.1.20
        #[arg(value_name = "WHO", required = true)]
        who: Vec<String>,
    },
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
        #[command(flatten)]
        place: Place,
        /// Leave the terminal, and tell on stdout when it is ready
        #[arg(long, hide = true)]
        detached: bool,
        /// A status is about to be set: do not show the one that was kept before
        #[arg(long, hide = true)]
        for_set: bool,
    },
    /// Start in the background; one that runs is moved if it is to listen elsewhere
    Start {
        #[command(flatten)]
        place: Place,
    },
    /// Go offline and end; my status comes back at the next start
    Stop,
    /// Begin anew, with another program or another place to listen, without the watchers noticing
    Restart {
        #[command(flatten)]
        place: Place,
    },
    /// Show how the agent is
    Status,
    /// Read the configuration and the policy again
    Reload,
    /// Write a systemd unit that runs the agent while you are logged in
    Install,
}

/// Where an agent listens.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct Place {
    /// Listen on loopback, lan, all, or addresses with commas between them
    #[arg(long, value_name = "WHERE", value_parser = listen)]
    pub(super) listen: Option<Listen>,
    /// Listen on this port
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) port: Option<u16>,
}

impl Place {
    /// Returns the same for an agent.
    pub(super) fn to_place(&self) -> crate::agent::Place {
        crate::agent::Place { listen: self.listen.clone(), port: self.port }
    }
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
pub(super) struct Doctor {
    /// Of this account of the configuration
    #[arg(value_name = "ACCOUNT")]
    pub(super) account: Option<String>,
    /// Publish a test status for a moment where I publish none; my watchers may see it
    #[arg(long)]
    pub(super) publish: bool,
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
