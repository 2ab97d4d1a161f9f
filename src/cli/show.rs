//! `show`: one look, then exit.

use super::{Context, Exit, Failed, args::Show, explain::hint, looking, output::Closed, targets};
use crate::client::{Freshness, Kind};

/// Looks at targets once.
pub(super) async fn run(mut context: Context, args: &Show) -> Result<Exit, Failed> {
    if args.raw && context.args.format.is_some() {
        return Err(Failed::new(Exit::Usage, "--raw and --format exclude each other"));
    }
    let targets = targets::named(&args.targets)?;
    context.started = tokio::time::Instant::now();
    let limit = looking::limit(&context);
    let mut found: Vec<Freshness> = Vec::new();
    let looked = tokio::time::timeout(limit, async {
        let mut source = if args.raw {
            looking::Source::open_raw(&context, &targets).await?
        } else {
            looking::Source::open(&context, &targets, true).await?
        };
        let read = look(&context, args, &mut source, &mut found).await?;
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
    let missing = targets.len().saturating_sub(found.len());
    let mut exits: Vec<Exit> = found.iter().copied().map(Exit::of_freshness).collect();
    exits.extend(std::iter::repeat_n(Exit::Unreachable, missing));
    let exit = match exits.first() {
        Some(first) if exits.iter().all(|exit| exit == first) => *first,
        Some(_) => Exit::Partly,
        None => Exit::Done,
    };
    if missing == 0 {
        let failed = found.into_iter().find(|freshness| Exit::of_freshness(*freshness) != Exit::Done);
        if let Some(hint) = failed.and_then(hint) {
            context.output.tell(&format!("hint: {hint}"));
        }
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
    args: &Show,
    source: &mut looking::Source,
    found: &mut Vec<Freshness>,
) -> Result<Result<(), Closed>, Failed> {
    while let Some(lines) = source.next().await? {
        for line in lines.iter().filter(|line| line.kind == Kind::Snapshot) {
            found.push(line.to_freshness().unwrap_or_default());
            let printed = if args.raw && !context.output.is_json() {
                context.output.document(line, args.targets.len() > 1)
            } else {
                context.output.line(line, false)
            };
            if let Err(closed) = printed {
                return Ok(Err(closed));
            }
        }
    }
    Ok(Ok(()))
}
