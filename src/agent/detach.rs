//! What a process does that is to outlive its starter: a session, a folder and descriptors of its own.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use nix::unistd::{close, dup2_stderr, dup2_stdin, dup2_stdout, setsid};

use crate::control::Reply;

/// A log that is longer than this becomes the old one, in bytes.
const MAX_LOG: u64 = 1024 * 1024;

/// Leaves the terminal, the folder and the descriptors of whoever started this process, all but stdout, on which
/// it is told when we are ready. Must come before anything is opened.
pub fn detach() -> io::Result<()> {
    close_inherited()?;
    // Fails only for one that leads a session already, as after a restart.
    let _ = setsid();
    std::env::set_current_dir("/")?;
    let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
    dup2_stdin(&null)?;
    Ok(dup2_stderr(&null)?)
}

/// Closes what a shell or a program such as `flock` left open for its children: held by us it would hold them up.
fn close_inherited() -> io::Result<()> {
    let open: Vec<i32> = fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|number| *number > 2)
        .collect();
    for number in open {
        // The folder that was just read is among them, and closed already.
        let _ = close(number);
    }
    Ok(())
}

/// Says that we are ready, or why not, to whoever started us; then nobody listens any more.
pub fn first_words(words: &Reply) -> io::Result<()> {
    let mut line = serde_json::to_string(words)?;
    line.push('\n');
    // Whoever started us may have been killed: no reason not to run.
    let _ = io::stdout().write_all(line.as_bytes()).and_then(|()| io::stdout().flush());
    let null = OpenOptions::new().write(true).open("/dev/null")?;
    Ok(dup2_stdout(&null)?)
}

/// The log of a detached agent: stderr, moved to a file that does not grow for ever.
#[derive(Debug)]
pub struct LogFile {
    path: PathBuf,
    written: Mutex<u64>,
}

impl LogFile {
    /// Moves stderr to the file, so that it holds also what does not come by us, such as a panic.
    pub fn open(path: &Path) -> io::Result<Self> {
        let written = move_stderr(path)?;
        Ok(Self { path: path.into(), written: Mutex::new(written) })
    }
}

/// Returns how long the file is already.
fn move_stderr(path: &Path) -> io::Result<u64> {
    if fs::metadata(path).is_ok_and(|found| found.len() > MAX_LOG) {
        fs::rename(path, path.with_extension("log.old"))?;
    }
    let flags = nix::fcntl::OFlag::O_NOFOLLOW.bits();
    let file: File = OpenOptions::new().append(true).create(true).mode(0o600).custom_flags(flags).open(path)?;
    dup2_stderr(&file)?;
    Ok(file.metadata()?.len())
}

/// Writes to stderr; a log that cannot be written is nobody's failure.
impl Write for &LogFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        *written += bytes.len() as u64;
        if *written > MAX_LOG {
            // The old file serves until there is room for another.
            *written = move_stderr(&self.path).unwrap_or_default();
        }
        io::stderr().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
