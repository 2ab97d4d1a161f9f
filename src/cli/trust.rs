//! `trust`: the keys of peers that no authority vouches for, as ssh keeps those of hosts.
//!
//! They stand in a file that is read whenever such a peer is connected to, so no agent is needed.

use serde::Serialize;

use super::{
    Context, Exit, Failed,
    args::{Trust, TrustCommand},
    output,
};
use crate::{
    agent::{known_key, trusted_keys},
    client::{Fingerprint, InvalidFingerprint, KeysError, keyed_presentity, text},
};

/// One key, as `--json` has it.
#[derive(Serialize)]
struct Row<'a> {
    presentity: &'a str,
    key: String,
}

/// Lists keys or decides about them.
pub(super) fn run(context: &Context, args: Trust) -> Result<Exit, Failed> {
    match args.command.unwrap_or(TrustCommand::List) {
        TrustCommand::List => list(context),
        TrustCommand::Accept { who, key } => accept(context, &who, &key),
        TrustCommand::Forget { who } => forget(context, &who),
    }
}

fn list(context: &Context) -> Result<Exit, Failed> {
    let keys = trusted_keys(&context.paths).list()?;
    if let Some(own) = known_key(&context.paths)? {
        context.output.tell(&format!("your own key is {}", own.fingerprint()));
    }
    if keys.is_empty() {
        context.output.tell("no key of a peer is trusted");
        return Ok(Exit::Done);
    }
    let line = |(who, key): &(String, Fingerprint)| {
        if context.output.is_json() {
            return serde_json::to_string(&Row { presentity: who, key: key.to_string() }).unwrap_or_default();
        }
        format!("{}\t{key}", text::visible(who))
    };
    let lines: Vec<String> = keys.iter().map(line).collect();
    Ok(output::print_text(&lines.join("\n")))
}

fn accept(context: &Context, who: &str, key: &str) -> Result<Exit, Failed> {
    let presentity = keyed(who)?;
    let key: Fingerprint = key.parse().map_err(|error: InvalidFingerprint| {
        let hint = "`sippresence show` of the peer prints it; compare it with what they tell you, as `sippresence trust` \
                    shows it to them";
        Failed::new(Exit::Usage, format!("{key:?}: {error}")).with_hint(hint)
    })?;
    let keys = trusted_keys(&context.paths);
    let before = keys.of(&presentity)?.filter(|before| *before != key);
    keys.accept(&presentity, key)?;
    let instead = before.map(|before| format!(", and not by {before} any more")).unwrap_or_default();
    context.output.tell(&format!("{} is trusted by {key}{instead}", text::visible(&presentity)));
    Ok(Exit::Done)
}

fn forget(context: &Context, who: &[String]) -> Result<Exit, Failed> {
    let keys = trusted_keys(&context.paths);
    for who in who {
        let presentity = keyed(who)?;
        let found = keys.forget(&presentity)?;
        let then = if found { "is trusted by no key any more" } else { "was trusted by no key" };
        context.output.tell(&format!("{} {then}", text::visible(&presentity)));
    }
    Ok(Exit::Done)
}

fn keyed(who: &str) -> Result<String, Failed> {
    Ok(keyed_presentity(who)?)
}

impl From<KeysError> for Failed {
    fn from(error: KeysError) -> Self {
        Self::new(Exit::Usage, error.to_string())
    }
}
