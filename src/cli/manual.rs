//! `completions` and `man`: made from the definition of the command line itself, so they cannot differ from it.

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::{
    Exit, Failed,
    args::{Args, Completions, Man},
    output::print_bytes,
};
use crate::{
    client::{StatusArg, text::visible},
    presence::status::{did_you_mean, most_like},
};

/// Prints what a shell has to run to complete our commands.
pub(super) fn completions(args: &Completions) -> Exit {
    let mut command = Args::command();
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, name.as_str(), &mut script);
    if args.shell == Shell::Fish {
        // The script for fish has no values of arguments that stand alone.
        let words: Vec<&str> = StatusArg::words().collect();
        let words = words.join(" ");
        let line = format!("complete -c {name} -n \"__fish_seen_subcommand_from set set-status\" -f -a \"{words}\"\n");
        script.extend_from_slice(line.as_bytes());
    }
    print_bytes(&script).map_or_else(Into::into, |()| Exit::Done)
}

/// Prints a manual page: the main one, or that of a command.
pub(super) fn page(args: &Man) -> Result<Exit, Failed> {
    let mut command = Args::command();
    // Gives each command its full name and the flags that all of them take.
    command.build();
    for name in &args.command {
        let names = || command.get_subcommands().map(clap::Command::get_name);
        let Some(found) = command.find_subcommand(name) else {
            let nearest = did_you_mean(most_like(name, names()));
            let message = format!("there is no command `{} {}`{nearest}", command.get_name(), visible(name));
            return Err(Failed::new(Exit::Usage, message));
        };
        command = found.clone();
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(command)
        .source(concat!("sippresence ", env!("CARGO_PKG_VERSION")))
        .render(&mut page)
        .map_err(|error| Failed::new(Exit::Bug, format!("cannot make the page: {error}")))?;
    Ok(print_bytes(&page).map_or_else(Into::into, |()| Exit::Done))
}
