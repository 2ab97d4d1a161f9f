//! `show`: one look, then exit.

use super::{Context, Exit, Failed, args::Show, looking};
use crate::client::{Freshness, Kind, Line};

/// Looks at targets once.
pub(super) async fn run(context: Context, args: &Show) -> Result<Exit, Failed> {
    let limit = looking::limit(&context);
    let mut exits: Vec<Exit> = Vec::new();
    let looked = tokio::time::timeout(limit, async {
        let mut source = looking::Source::open(&context, &args.targets, true).await?;
        let result = look(&context, &mut source, &mut exits).await;
        source.close().await;
        result
    })
    .await;
    if let Ok(result) = looked {
        result?;
    } else {
        let waited = crate::config::format_duration(limit);
        let missing = args.targets.len().saturating_sub(exits.len());
        let whom = if args.targets.len() == 1 { args.targets[0].clone() } else { format!("{missing} of them") };
        let whom = crate::client::text::visible(&whom);
        let failed = Failed::new(Exit::Unreachable, format!("{whom}: no answer within {waited}"));
        return Err(failed.with_hint("`--timeout` waits longer"));
    }
    Ok(match exits.first() {
        Some(first) if exits.iter().all(|exit| exit == first) => *first,
        Some(_) => Exit::Partly,
        None => Exit::Done,
    })
}

async fn look(context: &Context, source: &mut looking::Source, exits: &mut Vec<Exit>) -> Result<(), Failed> {
    while let Some(lines) = source.next().await? {
        for line in lines.iter().filter(|line| line.kind == Kind::Snapshot) {
            exits.push(exit_of(line));
            if context.output.line(line, false).is_err() {
                return Ok(());
            }
            if line.to_freshness() == Some(Freshness::Unknown) {
                context.output.tell("hint: they may have to approve you first; `sippresence watch` asks for it");
            }
        }
    }
    Ok(())
}

fn exit_of(line: &Line) -> Exit {
    Exit::of_freshness(line.to_freshness().unwrap_or_default())
}
