//! `serve check`: whether the file that a server keeps everything in is whole.

use std::path::PathBuf;

use super::super::{Context, Exit, Failed, output};
use crate::{
    client::text,
    server::{
        Files,
        store::{self, Checked},
    },
};

/// Looks the file over, and prints what is in it.
pub(super) fn run(context: &Context, store: Option<PathBuf>) -> Result<Exit, Failed> {
    let path = store.unwrap_or_else(|| Files::of(&context.paths).store);
    let checked = store::check(&path).map_err(|error| {
        let words = text::visible(&format!("{}: {error}", path.display()));
        let hint = match error {
            store::StoreError::Locked => "stop the server first",
            store::StoreError::Corrupt(_) => "move the file away: a server then begins with nothing kept",
            _ => "see docs/serve.md",
        };
        Failed::new(Exit::Usage, words).with_hint(hint)
    })?;
    let Checked { version, was_killed, was_mended, counts, length } = checked;
    let mut lines = vec![format!("{}: whole, version {version}, {length} bytes", path.display())];
    if was_killed {
        lines.push("its server was killed; all that was acknowledged is there".to_owned());
    }
    if was_mended {
        lines.push("it was damaged, and is mended".to_owned());
    }
    lines.extend(counts.iter().map(|(table, count)| format!("{:<15}{count}", table.name())));
    Ok(output::print_text(&text::visible_lines(&lines.join("\n"))))
}
