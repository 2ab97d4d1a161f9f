//! `show`: one look, then exit.

use super::{Context, Exit, Failed, args::Show, looking, output::Closed};
use crate::client::{Freshness, Kind, Line};

/// Looks at targets once.
pub(super) async fn run(context: Context, args: &Show) -> Result<Exit, Failed> {
    let targets = looking::each_once(&args.targets);
    let limit = looking::limit(&context);
    let mut exits: Vec<Exit> = Vec::new();
    let looked = tokio::time::timeout(limit, async {
        let mut source = looking::Source::open(&context, &targets, true).await?;
        let read = look(&context, &mut source, &mut exits).await?;
        Ok::<_, Failed>((source, read))
    })
    .await;
    let in_time = looked.is_ok();
    if let Ok(looked) = looked {
        let (source, read) = looked?;
        // What was asked for is told by now: the goodbye has a limit of its own.
        source.close().await;
        if let Err(closed) = read {
            return Ok(closed.into());
        }
    }
    let missing = targets.len().saturating_sub(exits.len());
    exits.extend(std::iter::repeat_n(Exit::Unreachable, missing));
    let exit = match exits.first() {
        Some(first) if exits.iter().all(|exit| exit == first) => *first,
        Some(_) => Exit::Partly,
        None => Exit::Done,
    };
    if missing == 0 {
        return Ok(exit);
    }
    let whom = match &targets[..] {
        [only] => only.clone(),
        all => format!("{missing} of {}", all.len()),
    };
    if in_time {
        return Err(Failed::new(exit, format!("{whom}: no answer")));
    }
    let waited = crate::config::format_duration(limit);
    Err(Failed::new(exit, format!("{whom}: no answer within {waited}")).with_hint("`--timeout` waits longer"))
}

/// Prints what is found until there is no more, or nobody reads it.
async fn look(
    context: &Context,
    source: &mut looking::Source,
    exits: &mut Vec<Exit>,
) -> Result<Result<(), Closed>, Failed> {
    while let Some(lines) = source.next().await? {
        for line in lines.iter().filter(|line| line.kind == Kind::Snapshot) {
            exits.push(exit_of(line));
            if let Err(closed) = context.output.line(line, false) {
                return Ok(Err(closed));
            }
            if line.to_freshness() == Some(Freshness::Unknown) {
                context.output.tell("hint: they may have to approve you first; `sippresence watch` asks for it");
            }
        }
    }
    Ok(Ok(()))
}

fn exit_of(line: &Line) -> Exit {
    Exit::of_freshness(line.to_freshness().unwrap_or_default())
}
