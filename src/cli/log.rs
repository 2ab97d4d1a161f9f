//! Where the log goes: to stderr, which a detached agent has moved to a file.

use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    fmt::writer::BoxMakeWriter,
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

use super::{args::Global, output};
use crate::{
    agent::{detach::LogFile, launch::log_file},
    config::{Environment, Paths, prepare_private_dir},
};

/// Logs warnings by default, more with each `-v`; `SIPPRESENCE_LOG` overrides.
pub(super) fn to_stderr(global: &Global, detached: bool) {
    let level = match global.verbose {
        0 => LevelFilter::WARN,
        1 => LevelFilter::INFO,
        2 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    let wished = std::env::var("SIPPRESENCE_LOG").ok().and_then(|wish| wish.parse().ok());
    let filter = wished.unwrap_or_else(|| Targets::new().with_target("sippresence", level));
    // Without its log an agent runs all the same: what keeps the file from us is told by what needs the folder.
    let file = detached.then(|| open(global)).flatten().map(|file| &*Box::leak(Box::new(file)));
    let writer = match file {
        Some(file) => BoxMakeWriter::new(move || file),
        None => BoxMakeWriter::new(output::log_writer),
    };
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(output::stderr_takes_color())
        .with_writer(writer)
        // Its own complaint about a stderr that is gone would be a panic.
        .log_internal_errors(false);
    // The only subscriber of the process; a second one can only come from a test.
    let _ = tracing_subscriber::registry().with(lines).with(filter).try_init();
}

fn open(global: &Global) -> Option<LogFile> {
    let paths = Paths::new(global.config.as_deref(), &Environment::of_process().ok()?);
    prepare_private_dir(&paths.state_dir).ok()?;
    LogFile::open(&log_file(&paths)).ok()
}
