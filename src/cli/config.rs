//! `config`: where the files are, what is in force, whether it holds.

use std::fmt::Write as _;

use super::{
    Context, Exit, Failed,
    args::{Config, ConfigCommand},
    output,
};
use crate::{
    client::{ClientError, parse_target},
    config::{Paths, PolicyFile, buddies},
    net::tls::Tls,
    tui::Keymap,
};

/// The example that documents every key.
const EXAMPLE: &str = include_str!("../../config.example.toml");

/// Runs what has to work also when the configuration is broken.
pub(super) fn without_settings(args: &Config, paths: &Paths) -> Option<Exit> {
    let text = match args.command {
        Some(ConfigCommand::Example) => EXAMPLE.trim_end().to_owned(),
        Some(ConfigCommand::Path) | None => {
            let mut text = String::new();
            for (what, path) in [
                ("config", &paths.config_file),
                ("policy", &paths.policy_file),
                ("buddies", &paths.buddies_file),
                ("state", &paths.state_dir),
                ("socket", &paths.socket),
            ] {
                let missing = if path.exists() { "" } else { "  (not there)" };
                let _ = writeln!(text, "{what:<7} {}{missing}", path.display());
            }
            text.trim_end().to_owned()
        }
        Some(ConfigCommand::Show | ConfigCommand::Check) => return None,
    };
    Some(output::print_text(&text))
}

/// Shows or checks the configuration, which could be read when this is called.
pub(super) fn run(context: &Context, args: &Config) -> Result<Exit, Failed> {
    let policy = PolicyFile::load(&context.paths.policy_file)?;
    Keymap::new(&context.settings.tui.keys).map_err(|error| {
        Failed::new(Exit::Usage, format!("{}: [tui.keys]: {error}", context.paths.config_file.display()))
    })?;
    let list = buddies::load(&context.paths.buddies_file)?;
    // Values that only their use can check.
    for (name, account) in &context.settings.accounts {
        let _builder = crate::agent::builder(&context.settings, Some((name, account)), &context.env)?;
    }
    let _builder = crate::agent::builder(&context.settings, None, &context.env)?;
    let _tls = Tls::new(context.settings.tls.ca_file.as_deref()).map_err(ClientError::from)?;
    if let Some(ConfigCommand::Show) = args.command {
        let text = format!("{}\n# policy.toml: default = \"{}\"", context.settings.to_toml(), policy.default);
        return Ok(output::print_text(&text));
    }
    for buddy in &list.0 {
        if let Some(account) = buddy.account.as_ref().filter(|name| !context.settings.accounts.contains_key(*name)) {
            let message = format!("{}: {buddy}: there is no account {account:?}", context.paths.buddies_file.display());
            return Err(Failed::new(Exit::Usage, message));
        }
        parse_target(&buddy.address, "localhost").map_err(|error| {
            Failed::new(Exit::Usage, format!("{}: {buddy}: {error}", context.paths.buddies_file.display()))
        })?;
    }
    context.output.tell("the configuration, the policy and the buddy list are fine");
    Ok(Exit::Done)
}
