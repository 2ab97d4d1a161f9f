//! Changes of a file, told by the system as they happen (inotify), so that nobody has to look again and again.

use std::{
    ffi::OsStr,
    io,
    os::fd::{AsFd as _, AsRawFd, OwnedFd, RawFd},
    path::{Path, PathBuf},
};

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::io::{Interest, unix::AsyncFd};

use super::reactor;

/// Changes of one file, whoever makes them: by writing, by renaming another in its place, by taking it away.
#[derive(Debug)]
pub struct Edits {
    path: PathBuf,
    inotify: AsyncFd<Notified>,
}

#[derive(Debug)]
struct Notified(Inotify);

impl From<Notified> for OwnedFd {
    fn from(notified: Notified) -> Self {
        notified.0.into()
    }
}

impl AsRawFd for Notified {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl Edits {
    /// Begins to look; a folder that is not there yet is waited for.
    pub fn of(path: &Path) -> io::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        let edits = Self { path: path.into(), inotify: reactor::register(Notified(inotify), Interest::READABLE)? };
        edits.look()?;
        Ok(edits)
    }

    /// Looks at the folders of the file and, if it is a link, of what it leads to; a second look at one is none.
    fn look(&self) -> io::Result<()> {
        let flags = AddWatchFlags::IN_CLOSE_WRITE
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_MOVED_FROM
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_CREATE;
        let mut looked = Err(io::ErrorKind::NotFound.into());
        loop {
            let folders = self.folders();
            for folder in &folders {
                looked = self.inotify.get_ref().0.add_watch(folder, flags).map(drop).map_err(io::Error::from);
            }
            // What came to be before we looked was not told.
            if self.folders() == folders {
                return looked;
            }
        }
    }

    /// Returns the folder that the file is in, or the nearest that there is, and the one of what a link leads to.
    fn folders(&self) -> Vec<PathBuf> {
        let own = self.path.parent().and_then(|folder| folder.ancestors().find(|folder| folder.is_dir()));
        let target = std::fs::canonicalize(&self.path).ok();
        own.into_iter().chain(target.as_deref().and_then(Path::parent)).map(Path::to_path_buf).collect()
    }

    /// Waits for the next change; false when there will be none. Cancel-safe.
    pub async fn next(&mut self) -> bool {
        loop {
            let Ok(mut ready) = self.inotify.readable().await else { return false };
            let events = match ready.try_io(|inotify| inotify.get_ref().0.read_events().map_err(io::Error::from)) {
                Ok(Ok(events)) => events,
                Ok(Err(_)) => return false,
                Err(_) => continue,
            };
            // A folder that came to be may be the one of the file, and a link may lead elsewhere now.
            let _ = self.look();
            let target = std::fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
            let names = [self.path.file_name(), target.file_name()];
            let folders: Vec<&OsStr> = self.path.iter().collect();
            let concerns = |name: &OsStr| names.contains(&Some(name)) || folders.contains(&name);
            if events.iter().any(|event| event.name.as_deref().is_none_or(concerns)) {
                return true;
            }
        }
    }
}
