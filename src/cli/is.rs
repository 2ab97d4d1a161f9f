//! `is`: one question, answered by the exit code.

use tokio::time::timeout_at;

use super::{
    Context, Exit, Failed,
    args::Is,
    explain::hint,
    looking,
    progress::Progress,
    targets::{self, Whom},
    watch::Signals,
};
use crate::client::{Freshness, Kind, Line, text};

/// Asks whether somebody has a status: a fresh state answers with 0 or 1, another as `show` would end.
pub(super) async fn run(context: &Context, args: &Is) -> Result<Exit, Failed> {
    let asked = looking::queries(&args.status)?;
    let mut signals = Signals::new();
    let mut progress = Progress::new(context.output);
    let end_at = context.started + looking::limit(context);
    let target = targets::one(context, &args.target)?;
    let whom = text::visible(&args.target);
    let look = timeout_at(end_at, progress.during(look(context, &target), &whom, Some(end_at)));
    let line = tokio::select! {
        looked = look => looked.unwrap_or(Ok(None))?,
        signal = signals.next() => return Ok(Exit::Signal(signal)),
    };
    let Some(line) = line else {
        let waited = crate::config::format_duration(looking::limit(context));
        let message = format!("{}: no answer within {waited}", args.target);
        return Err(Failed::new(Exit::Unreachable, message).with_hint("`--timeout` waits longer"));
    };
    if context.output.is_for_programs()
        && let Err(closed) = context.output.line(&line, false)
    {
        return Ok(closed.into());
    }
    match line.to_freshness().unwrap_or_default() {
        Freshness::Fresh => Ok(if looking::matches(&asked, &line) { Exit::Done } else { Exit::False }),
        freshness => {
            let exit = match Exit::of_freshness(freshness) {
                // A look that brought nothing new is no answer.
                Exit::Done => Exit::Unreachable,
                exit => exit,
            };
            let state = line.to_state().map(|state| state.headline()).unwrap_or_default();
            let failed = Failed::new(exit, format!("{}: {}", args.target, text::visible(&state)));
            Err(match hint(freshness) {
                Some(hint) => failed.with_hint(hint),
                None => failed,
            })
        }
    }
}

/// Returns the first state; none if there is no answer at all.
async fn look(context: &Context, target: &Whom) -> Result<Option<Line>, Failed> {
    let mut source = looking::Source::open(context, target, true).await?;
    let mut found = None;
    while found.is_none()
        && let Some(lines) = source.next().await?
    {
        found = lines.into_iter().find(|line| line.kind == Kind::Snapshot);
    }
    source.close().await;
    Ok(found)
}
