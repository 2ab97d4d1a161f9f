//! `watch`: follow others until interrupted.

use tokio::signal::unix::{SignalKind, signal};

use super::{Context, Exit, Failed, args::Watch, looking::Source, output::Closed};
use crate::client::{Kind, Line};

/// Follows targets.
pub(super) async fn run(context: Context, args: &Watch) -> Result<Exit, Failed> {
    let mut source = Source::open(&context, &args.targets, false).await?;
    let exit = follow(&context, args, &mut source).await;
    // A second Ctrl-C does not wait for the goodbye.
    tokio::select! {
        () = source.close() => {}
        _ = interrupted() => {}
    }
    exit
}

async fn follow(context: &Context, args: &Watch, source: &mut Source) -> Result<Exit, Failed> {
    let mut seen = 0;
    let limit = args.duration.or(context.args.timeout);
    let mut end = std::pin::pin!(async {
        match limit {
            Some(limit) => tokio::time::sleep(limit).await,
            None => std::future::pending().await,
        }
    });
    let mut interrupt = std::pin::pin!(interrupted());
    loop {
        let lines = tokio::select! {
            biased;
            signal = &mut interrupt => return Ok(Exit::Signal(signal)),
            () = &mut end => return Ok(Exit::Done),
            lines = source.next() => match lines? {
                Some(lines) => lines,
                None => return Ok(Exit::Done),
            },
        };
        for line in &lines {
            if let Err(Closed) = print(context, args, line) {
                return Ok(Exit::Done);
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

/// Waits for Ctrl-C or TERM; returns its number.
pub(super) async fn interrupted() -> u8 {
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => 2,
        _ = terminate.recv() => 15,
    }
}
