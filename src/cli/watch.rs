//! `watch`: follow others until interrupted.

use std::io;

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::Instant,
};

use super::{
    Context, Exit, Failed,
    args::Watch,
    looking::Source,
    output::Closed,
    progress::{Progress, those_left},
    targets,
};
use crate::{
    agent::hooks::{Hooks, Speaks},
    client::{Kind, Line},
};

/// Follows targets.
pub(super) async fn run(mut context: Context, args: &Watch) -> Result<Exit, Failed> {
    let targets = targets::named(&context, &args.targets)?;
    context.started = Instant::now();
    let mut signals = Signals::new();
    let mut source = tokio::select! {
        source = Source::open(&context, &targets, false) => source?,
        signal = signals.next() => return Ok(Exit::Signal(signal)),
    };
    let hooks =
        (!args.exec.is_empty()).then(|| Hooks::new(args.exec.clone(), context.settings.hooks.timeout, Speaks::Along));
    let exit = follow(&context, args, &targets.names, &mut source, &mut signals, hooks.as_ref()).await;
    if let (Some(hooks), Ok(Exit::Done)) = (&hooks, &exit) {
        // What it was told last, it may do.
        tokio::select! {
            () = hooks.finish() => {}
            signal = signals.next() => return Ok(Exit::Signal(signal)),
        }
    }
    drop(hooks);
    // A second Ctrl-C does not wait for the goodbye.
    tokio::select! {
        () = source.close() => {}
        _ = signals.next() => {}
    }
    exit
}

async fn follow(
    context: &Context,
    args: &Watch,
    targets: &[String],
    source: &mut Source,
    signals: &mut Signals,
    hooks: Option<&Hooks>,
) -> Result<Exit, Failed> {
    let mut seen = 0;
    let limit = args.duration.or(context.args.timeout);
    let mut end = std::pin::pin!(async {
        match limit {
            Some(limit) => tokio::time::sleep(limit).await,
            None => std::future::pending().await,
        }
    });
    let mut progress = Progress::new(context.output);
    let (mut answered, mut ready) = (0, false);
    loop {
        let next = async {
            if ready {
                return source.next().await;
            }
            progress.during(source.next(), &those_left(targets, answered), None).await
        };
        let lines = tokio::select! {
            biased;
            signal = signals.next() => return Ok(Exit::Signal(signal)),
            () = &mut end => return Ok(Exit::Done),
            lines = next => match lines? {
                Some(lines) => lines,
                None => return Ok(Exit::Done),
            },
        };
        for line in &lines {
            answered += usize::from(line.kind == Kind::Snapshot);
            ready |= line.kind == Kind::Ready;
            context.tell_way(line);
            if let Err(closed) = print(context, args, line) {
                return Ok(closed.into());
            }
            if let Some(hooks) = hooks.filter(|_| !(args.changes_only && line.kind == Kind::Snapshot)) {
                hooks.offer(line);
            }
            seen += u64::from(matches!(line.kind, Kind::Change | Kind::Freshness));
            if args.count.is_some_and(|count| seen >= count) {
                return Ok(Exit::Done);
            }
        }
    }
}

fn print(context: &Context, args: &Watch, line: &Line) -> Result<(), Closed> {
    match line.kind {
        Kind::Snapshot if args.changes_only => Ok(()),
        // How a subscription turns is for programs; people see what it means.
        Kind::Subscription if !context.output.is_json() => Ok(()),
        _ => context.output.line(line, true),
    }
}

/// Ctrl-C and TERM, heard from the moment this is made.
pub(super) struct Signals(io::Result<(Signal, Signal)>);

impl Signals {
    pub(super) fn new() -> Self {
        let both = signal(SignalKind::interrupt()).and_then(|int| Ok((int, signal(SignalKind::terminate())?)));
        Self(both)
    }

    /// Waits for the next one; returns its number. Cancel-safe.
    pub(super) async fn next(&mut self) -> u8 {
        let Ok((interrupt, terminate)) = &mut self.0 else { return std::future::pending().await };
        tokio::select! {
            _ = interrupt.recv() => 2,
            _ = terminate.recv() => 15,
        }
    }
}
