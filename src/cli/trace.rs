//! `--trace-sip`: every SIP message on stderr or in a file, whoever of us sends it, this process or the agent.
//!
//! Secrets were hidden where the messages were caught. Only words for people go to stderr as well, so what is on stdout
//! stays as it is. A file whose name ends in `.pcapng` gets packets for Wireshark, another one text.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Seek as _, Write as _},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{task::JoinSet, time::timeout};

use super::{
    Context, Exit, Failed,
    args::Global,
    output,
    pcapng::{MAGIC, Section},
};
use crate::{
    client::{PresenceClient, Traced},
    control::{Connection, Request},
};

/// A command that is done waits as long as this for what is still on the way, again and again while something comes.
const QUIET: Duration = Duration::from_millis(100);
/// How often.
const ROUNDS: usize = 10;

/// Where messages are shown; nothing happens where that was not asked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Trace(Option<Arc<Shared>>);

#[derive(Debug)]
struct Shared {
    sink: Mutex<Sink>,
    readers: Mutex<JoinSet<()>>,
    shown: AtomicU64,
}

#[derive(Debug)]
enum Sink {
    Stderr,
    File(File, PathBuf),
    Packets(File, PathBuf, Section),
    /// It took no more, and that was said.
    Lost,
}

impl Sink {
    /// Says that a file takes no more, and writes nothing more there.
    fn lost_if(&mut self, written: Result<(), (io::Error, PathBuf)>) {
        if let Err((error, path)) = written {
            output::say(&format!("sippresence: cannot write to {}: {error}", path.display()));
            *self = Self::Lost;
        }
    }
}

impl Trace {
    /// Opens what the flag names: a new file is for nobody but us, one that is there is appended to.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(super) fn open(global: &Global) -> Result<Self, Failed> {
        let sink = match &global.trace_sip {
            None => return Ok(Self(None)),
            Some(path) if path.as_os_str() == "-" => Sink::Stderr,
            Some(path) => {
                let failed = |error: io::Error| {
                    Failed::new(Exit::Usage, format!("--trace-sip: cannot write {}: {error}", path.display()))
                };
                let packets = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("pcapng"));
                let mut open = OpenOptions::new();
                let mut file = open.append(true).create(true).read(packets).mode(0o600).open(path).map_err(failed)?;
                if packets {
                    begin_section(&mut file, path)?;
                    Sink::Packets(file, path.clone(), Section::default())
                } else {
                    Sink::File(file, path.clone())
                }
            }
        };
        let shared = Shared { sink: Mutex::new(sink), readers: Mutex::default(), shown: AtomicU64::new(0) };
        Ok(Self(Some(Arc::new(shared))))
    }

    /// Shows what a client of this process sends and receives from now on.
    pub(super) fn follow(&self, client: &PresenceClient) {
        let Some(shared) = &self.0 else { return };
        let mut trace = client.trace();
        let to = Arc::clone(shared);
        shared.spawn(async move {
            while let Some(traced) = trace.next().await {
                to.show(&traced);
            }
        });
    }

    /// Shows what the agent sends and receives from now on, by a connection of its own.
    pub(super) async fn follow_agent(&self, context: &Context) -> Result<(), Failed> {
        let Some(shared) = &self.0 else { return Ok(()) };
        let Some(mut agent) = Connection::open(&context.paths.socket).await? else { return Ok(()) };
        let reply = agent.request(&Request::Trace {}).await?;
        if !reply.is_ok() {
            return Err(Failed::of_reply(reply));
        }
        let to = Arc::clone(shared);
        shared.spawn(async move {
            while let Ok(Some(traced)) = agent.read::<Traced>().await {
                to.show(&traced);
            }
        });
        Ok(())
    }

    /// Waits for the last messages of a command that is done.
    pub(super) async fn finish(self) {
        let Some(shared) = self.0 else { return };
        let mut readers = std::mem::take(&mut *shared.readers.lock().unwrap_or_else(PoisonError::into_inner));
        for _ in 0..ROUNDS {
            let before = shared.shown.load(Ordering::Relaxed);
            let ended = timeout(QUIET, async { while readers.join_next().await.is_some() {} }).await.is_ok();
            if ended || shared.shown.load(Ordering::Relaxed) == before {
                return;
            }
        }
    }
}

/// Begins a section behind those that are there; what is no pcapng file is not touched.
fn begin_section(file: &mut File, path: &Path) -> Result<(), Failed> {
    let failed =
        |error: io::Error| Failed::new(Exit::Usage, format!("--trace-sip: cannot write {}: {error}", path.display()));
    let mut there = Vec::new();
    file.rewind().and_then(|()| file.take(4).read_to_end(&mut there)).map_err(failed)?;
    if !there.is_empty() && there != MAGIC {
        let message = format!("--trace-sip: {} is there and is no pcapng file", path.display());
        return Err(Failed::new(Exit::Usage, message).with_hint("name another file"));
    }
    file.write_all(&Section::head()).map_err(failed)
}

impl Shared {
    fn spawn(&self, reader: impl Future<Output = ()> + Send + 'static) {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner).spawn(reader);
    }

    fn show(&self, traced: &Traced) {
        self.shown.fetch_add(1, Ordering::Relaxed);
        let mut sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *sink {
            Sink::Stderr => output::say(&traced.to_string()),
            Sink::File(file, path) => {
                let written = writeln!(file, "{traced}").map_err(|error| (error, path.clone()));
                sink.lost_if(written);
            }
            Sink::Packets(file, path, section) => {
                // Whole blocks at once: another process may append to the same file.
                let written = file.write_all(&section.packets(traced)).map_err(|error| (error, path.clone()));
                sink.lost_if(written);
            }
            Sink::Lost => {}
        }
    }
}
