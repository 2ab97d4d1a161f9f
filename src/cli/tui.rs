//! `tui`, and no command at all: the buddy list on this terminal, kept up by the agent.

use std::io::{self, IsTerminal as _};

use super::{
    Context, Exit, Failed, agent,
    args::{Color, Place, Tui},
    looking,
};
use crate::{
    config::Paths,
    tui::{self, Choice, Ended, Setup, TuiError},
};

/// Shows the list; starts the agent where none runs.
pub(super) async fn run(context: &Context, args: &Tui) -> Result<Exit, Failed> {
    if !is_possible() {
        return Err(TuiError::NoTerminal.into());
    }
    if context.args.no_agent {
        let failed = Failed::new(Exit::Usage, "the buddy list is the agent's: it cannot be shown with --no-agent");
        return Err(failed.with_hint("`sippresence watch` follows people without an agent"));
    }
    if looking::agent(context).await?.is_none() {
        if !context.settings.agent.autostart {
            return Err(Failed::no_agent());
        }
        agent::started(context, &agent::how(context, Place::default())).await?;
    }
    show(context, &context.paths, args.theme.unwrap_or(context.settings.tui.theme)).await
}

/// Returns whether there is a terminal to draw on.
pub(super) fn is_possible() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// Shows the list of an agent that runs with these files.
pub(super) async fn show(context: &Context, paths: &Paths, theme: Choice) -> Result<Exit, Failed> {
    let setup = Setup {
        socket: paths.socket.clone(),
        buddies_file: paths.buddies_file.clone(),
        keys: context.settings.tui.keys.clone(),
        theme: if context.args.color == Color::Never { Choice::Plain } else { theme },
        account: context.args.account.clone(),
    };
    Ok(match tui::run(setup).await? {
        Ended::Quit => Exit::Done,
        Ended::Signal(signal) => Exit::Signal(signal),
    })
}

impl From<TuiError> for Failed {
    fn from(error: TuiError) -> Self {
        let exit = match error {
            TuiError::NoTerminal | TuiError::Keys(_) => Exit::Usage,
            _ => Exit::Bug,
        };
        Self::new(exit, error.to_string())
    }
}
