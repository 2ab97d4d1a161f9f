//! `wait`: until others have a status, for as long as that takes or is allowed to.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::{Instant, sleep, sleep_until};

use super::{
    Context, Exit, Failed,
    args::Wait,
    explain::hint,
    looking::{self, Source},
    progress::{Progress, those_left},
    targets::{self, Whom},
    watch::Signals,
};
use crate::{
    client::{Freshness, Kind, Line, Query, text},
    config::format_duration,
};

/// The pause before another way to look is tried.
const RETRY: Duration = Duration::from_secs(1);

/// Waits.
pub(super) async fn run(context: Context, args: &Wait) -> Result<Exit, Failed> {
    let Some((asked, targets)) = args.words.split_last() else {
        return Err(Failed::new(Exit::Usage, "a target and a status are needed"));
    };
    let mut waiting = Waiting::new(looking::queries(asked)?, args);
    let targets = targets::named(&context, targets)?;
    let mut end = End { signals: Signals::new(), by: context.args.timeout.map(|limit| context.started + limit) };
    loop {
        match look(&context, &targets, &mut waiting, &mut end).await {
            Ok(Over::Yes(exit)) => return Ok(exit),
            Ok(Over::InTime) => return Err(timed_out(&context, &targets.names, &waiting, asked)),
            // The agent that looked for us is gone, and no other came: from now on we look ourselves.
            Ok(Over::No) => {}
            Err(failed) if waiting.began && failed.exit == Exit::NoAgent => {}
            Err(failed) => return Err(failed),
        }
        tokio::select! {
            () = sleep(RETRY) => {}
            over = end.comes() => return match over {
                Over::Yes(exit) => Ok(exit),
                Over::No | Over::InTime => Err(timed_out(&context, &targets.names, &waiting, asked)),
            },
        }
        (waiting.ready, waiting.stable_at) = (false, None);
        waiting.states.clear();
    }
}

/// How a look ended.
enum Over {
    /// With this code.
    Yes(Exit),
    /// Time is up.
    InTime,
    /// Nobody looks any more.
    No,
}

/// What ends a wait from outside.
struct End {
    signals: Signals,
    by: Option<Instant>,
}

impl End {
    async fn comes(&mut self) -> Over {
        tokio::select! {
            signal = self.signals.next() => Over::Yes(Exit::Signal(signal)),
            () = at(self.by) => Over::InTime,
        }
    }
}

/// Looks until the wait is over, or nobody looks for us any more.
async fn look(context: &Context, targets: &Whom, waiting: &mut Waiting, end: &mut End) -> Result<Over, Failed> {
    let mut source = tokio::select! {
        source = Source::open(context, targets, false) => source?,
        over = end.comes() => return Ok(over),
    };
    waiting.began = true;
    let by = end.by;
    let over = tokio::select! {
        followed = follow(context, &targets.names, &mut source, waiting, by) => followed,
        over = end.comes() => Ok(over),
    };
    // A second Ctrl-C does not wait for the goodbye.
    tokio::select! {
        () = source.close() => {}
        _ = end.signals.next() => {}
    }
    over
}

async fn follow(
    context: &Context,
    targets: &[String],
    source: &mut Source,
    waiting: &mut Waiting,
    by: Option<Instant>,
) -> Result<Over, Failed> {
    let mut progress = Progress::new(context.output);
    loop {
        let next = async {
            if waiting.ready {
                return source.next().await;
            }
            let whom = those_left(targets, waiting.states.len());
            progress.during(source.next(), &whom, by).await
        };
        let lines = tokio::select! {
            lines = next => lines?,
            () = at(waiting.stable_at) => return Ok(Over::Yes(met(context, waiting))),
        };
        let Some(lines) = lines else { return Ok(Over::No) };
        for line in lines {
            match line.kind {
                Kind::End => return Ok(Over::No),
                Kind::Ready => waiting.ready = true,
                _ => {
                    if waiting.take(line) {
                        tell_first(context, waiting);
                    }
                }
            }
        }
        if let Some(failed) = waiting.failed() {
            return Err(failed);
        }
        waiting.judge(Instant::now());
        if waiting.stable_at.is_some_and(|at| at <= Instant::now()) {
            return Ok(Over::Yes(met(context, waiting)));
        }
    }
}

/// Prints whose wait is over.
fn met(context: &Context, waiting: &Waiting) -> Exit {
    for line in waiting.states.values().filter(|line| waiting.has(line)) {
        if let Err(closed) = context.output.line(line, false) {
            return closed.into();
        }
    }
    Exit::Done
}

/// Says on a terminal how things are, once, so that nobody wonders what is being waited for.
fn tell_first(context: &Context, waiting: &Waiting) {
    let Some(line) = waiting.newest.as_ref().and_then(|name| waiting.states.get(name)) else { return };
    if waiting.has(line) && waiting.stable.is_zero() {
        return;
    }
    if let Some(state) = line.to_state() {
        let name = text::visible(state.display_name());
        context.output.tell(&format!("{name} is {}; waiting", text::visible(&state.headline())));
    }
}

fn timed_out(context: &Context, targets: &[String], waiting: &Waiting, asked: &str) -> Failed {
    let limit = format_duration(context.args.timeout.unwrap_or_default());
    let state = |line: &Line| line.to_state().map(|state| state.headline()).unwrap_or_default();
    let message = match (targets, waiting.states.values().next()) {
        ([only], Some(line)) => format!("{only} is {} and not {asked} after {limit}", state(line)),
        ([only], None) => format!("{only}: no answer within {limit}"),
        (several, _) => {
            let have = waiting.states.values().filter(|line| waiting.has(line)).count();
            format!("{have} of {} are {asked} after {limit}", several.len())
        }
    };
    Failed::new(Exit::TimedOut, text::visible(&message))
}

async fn at(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// What is waited for, and how far it is.
struct Waiting {
    asked: Vec<Query>,
    any: bool,
    stable: Duration,
    /// The newest state of each target.
    states: BTreeMap<String, Line>,
    /// Whose state came last.
    newest: Option<String>,
    /// Every target has had its first state.
    ready: bool,
    /// When it will have been so for long enough.
    stable_at: Option<Instant>,
    /// There was a way to look.
    began: bool,
}

impl Waiting {
    fn new(asked: Vec<Query>, args: &Wait) -> Self {
        Self {
            asked,
            any: args.any,
            stable: args.stable.unwrap_or_default(),
            states: BTreeMap::new(),
            newest: None,
            ready: false,
            stable_at: None,
            began: false,
        }
    }

    /// Takes a line; returns whether it is the first of its target.
    fn take(&mut self, line: Line) -> bool {
        let (Some(presentity), Some(_)) = (line.presentity.clone(), line.status) else { return false };
        self.newest = Some(presentity.clone());
        self.states.insert(presentity, line).is_none()
    }

    /// Returns whether a state is what is waited for: only a fresh one can be.
    fn has(&self, line: &Line) -> bool {
        line.to_freshness() == Some(Freshness::Fresh) && looking::matches(&self.asked, line)
    }

    /// Starts the time for which it has to be so, or stops it.
    fn judge(&mut self, now: Instant) {
        let mut states = self.states.values();
        let met =
            if self.any { states.any(|line| self.has(line)) } else { self.ready && states.all(|line| self.has(line)) };
        self.stable_at = match self.stable_at {
            Some(at) if met => Some(at),
            _ => met.then(|| now + self.stable),
        };
    }

    /// Returns why there is nothing left to wait for, if so: what time does not mend is not waited out.
    fn failed(&self) -> Option<Failed> {
        let lasting = |line: &&Line| {
            let exit = Exit::of_freshness(line.to_freshness().unwrap_or_default());
            matches!(exit, Exit::Authentication | Exit::Refused | Exit::Unsupported | Exit::NoSuchUser)
                && line.to_freshness() != Some(Freshness::Unknown)
        };
        let lost: Vec<&Line> = self.states.values().filter(lasting).collect();
        let first = lost.first()?;
        if self.any && !(self.ready && lost.len() == self.states.len()) {
            return None;
        }
        let exit_of = |line: &Line| Exit::of_freshness(line.to_freshness().unwrap_or_default());
        let exit = if lost.iter().all(|line| exit_of(line) == exit_of(first)) { exit_of(first) } else { Exit::Partly };
        let freshness = first.to_freshness().unwrap_or_default();
        let state = first.to_state()?;
        let message = format!("{}: {}", state.display_name(), state.headline());
        let failed = Failed::new(exit, text::visible(&message));
        Some(match hint(freshness) {
            Some(hint) => failed.with_hint(hint),
            None => failed,
        })
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::client::{FailureCode, PresenceStatus};

    fn line(presentity: &str, status: &PresenceStatus, freshness: Freshness) -> Line {
        let mut line = Line::new(Kind::Change, 0, Timestamp::UNIX_EPOCH);
        line.presentity = Some(presentity.into());
        line.set_status(Some(status));
        line.set_freshness(freshness);
        line
    }

    fn waiting(any: bool, stable: u64) -> Waiting {
        let args = Wait { words: Vec::new(), any, all: !any, stable: Some(Duration::from_secs(stable)) };
        Waiting::new(looking::queries("available,away").unwrap(), &args)
    }

    #[test]
    fn all_means_all_of_them_and_only_fresh_states_count() {
        use PresenceStatus::{Available, Away, Busy};
        let now = Instant::now();
        let mut all = waiting(false, 0);
        assert!(all.take(line("a", &Available, Freshness::Fresh)));
        all.judge(now);
        assert_eq!(all.stable_at, None, "another may still be to come");
        all.ready = true;
        all.take(line("b", &Available, Freshness::Stale));
        all.judge(now);
        assert_eq!(all.stable_at, None, "stale is not sure");
        assert!(!all.take(line("b", &Away, Freshness::Fresh)));
        all.judge(now);
        assert_eq!(all.stable_at, Some(now));
        let mut any = waiting(true, 0);
        any.take(line("a", &Busy, Freshness::Fresh));
        any.judge(now);
        assert_eq!(any.stable_at, None);
        any.take(line("b", &Available, Freshness::Fresh));
        any.judge(now);
        assert_eq!(any.stable_at, Some(now));
    }

    #[test]
    fn stable_begins_anew_when_it_was_not_so_in_between() {
        let mut waiting = waiting(true, 10);
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        for (after, status, due) in [
            (0, PresenceStatus::Available, Some(10)),
            (5, PresenceStatus::Away, Some(10)),
            (6, PresenceStatus::Busy, None),
            (8, PresenceStatus::Available, Some(18)),
        ] {
            waiting.take(line("a", &status, Freshness::Fresh));
            waiting.judge(start + second * after);
            assert_eq!(waiting.stable_at, due.map(|due| start + second * due), "after {after} s");
        }
    }

    #[test]
    fn what_time_does_not_mend_ends_the_wait_and_what_it_may_does_not() {
        use Freshness::{Failed, Pending, Rejected, Unknown};
        let offline = PresenceStatus::Offline;
        for (freshness, exit) in [
            (Rejected, Some(Exit::Refused)),
            (Pending, Some(Exit::Refused)),
            (Failed(FailureCode::Sip(404)), Some(Exit::NoSuchUser)),
            (Failed(FailureCode::Sip(489)), Some(Exit::Unsupported)),
            (Failed(FailureCode::Sip(401)), Some(Exit::Authentication)),
            (Failed(FailureCode::Sip(503)), None),
            (Failed(FailureCode::Timeout), None),
            (Failed(FailureCode::Dns), None),
            (Unknown, None),
            (Freshness::Stale, None),
        ] {
            let mut all = waiting(false, 0);
            all.take(line("a", &offline, freshness));
            assert_eq!(all.failed().map(|failed| failed.exit), exit, "{freshness}");
            let mut any = waiting(true, 0);
            any.ready = true;
            any.take(line("a", &offline, freshness));
            any.take(line("b", &offline, Freshness::Fresh));
            assert!(any.failed().is_none(), "there is another");
        }
    }
}
