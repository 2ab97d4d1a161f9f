//! `show`: one look, then exit.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::{
    Context, Exit, Failed,
    args::Show,
    explain::hint,
    looking::{self, Source},
    output::Closed,
    progress::{Progress, those_left},
    targets::{self, Whom},
    watch::Signals,
};
use crate::client::{Freshness, Kind};

/// How long taking back may take once we were told to end.
const LEAVING: Duration = Duration::from_millis(500);

/// Looks at targets once.
pub(super) async fn run(mut context: Context, args: &Show) -> Result<Exit, Failed> {
    if args.raw && context.args.format.is_some() {
        return Err(Failed::new(Exit::Usage, "--raw and --format exclude each other"));
    }
    let targets = targets::named(&context, &args.targets)?;
    context.started = Instant::now();
    let limit = looking::limit(&context);
    let end_at = context.started + limit;
    let mut signals = Signals::new();
    let mut source = None;
    let mut found: Vec<Freshness> = Vec::new();
    let looked = tokio::select! {
        biased;
        signal = signals.next() => {
            // Peers that have not answered would keep us from leaving; a look that they answer later ends by itself.
            let _ = tokio::time::timeout(LEAVING, goodbye(source, &mut signals)).await;
            return Ok(Exit::Signal(signal));
        }
        looked = timeout_at(end_at, look(&context, args, &targets, end_at, &mut source, &mut found)) => looked,
    };
    let in_time = looked.is_ok();
    if let Ok(looked) = looked {
        let read = looked?;
        // What was asked for is told by now: the goodbye has a limit of its own.
        goodbye(source, &mut signals).await;
        if let Err(closed) = read {
            return Ok(closed.into());
        }
    }
    let missing = targets.people.len().saturating_sub(found.len());
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
    let whom = match &targets.names[..] {
        [only] => only.clone(),
        all => format!("{missing} of {}", all.len()),
    };
    if in_time {
        return Err(Failed::new(exit, format!("{whom}: no answer")));
    }
    let waited = crate::config::format_duration(limit);
    Err(Failed::new(exit, format!("{whom}: no answer within {waited}")).with_hint("`--timeout` waits longer"))
}

/// Takes back what was asked; a signal does not wait for that.
async fn goodbye(source: Option<Source>, signals: &mut Signals) {
    if let Some(source) = source {
        tokio::select! {
            () = source.close() => {}
            _ = signals.next() => {}
        }
    }
}

/// Prints what is found until there is no more, or nobody reads it.
async fn look(
    context: &Context,
    args: &Show,
    targets: &Whom,
    end_at: Instant,
    source: &mut Option<Source>,
    found: &mut Vec<Freshness>,
) -> Result<Result<(), Closed>, Failed> {
    let mut progress = Progress::new(context.output);
    let opening = async {
        if args.raw { Source::open_raw(context, targets).await } else { Source::open(context, targets, true).await }
    };
    let source = source.insert(progress.during(opening, &those_left(&targets.names, 0), Some(end_at)).await?);
    loop {
        let whom = those_left(&targets.names, found.len());
        let Some(lines) = progress.during(source.next(), &whom, Some(end_at)).await? else { return Ok(Ok(())) };
        for line in lines.iter().filter(|line| line.kind == Kind::Snapshot) {
            found.push(line.to_freshness().unwrap_or_default());
            context.tell_way(line);
            let printed = if args.raw && !context.output.is_json() {
                context.output.document(line, targets.people.len() > 1)
            } else {
                context.output.line(line, false)
            };
            if let Err(closed) = printed {
                return Ok(Err(closed));
            }
        }
    }
}
