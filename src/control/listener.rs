//! The agent's end of the socket: private to the user, one owner at a time (SEC-11).

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use nix::fcntl::{Flock, FlockArg};
use tokio::net::{UnixListener, UnixStream};

use super::{Connection, ControlError, Hello, MAX_LINE};

/// Listens for commands; the socket's file goes with it.
#[derive(Debug)]
pub struct ControlListener {
    listener: UnixListener,
    path: PathBuf,
    /// Held as long as we listen: two that start at once would each find no socket, or take the other's for dead.
    _lock: Flock<File>,
}

/// Somebody who connected and has not said anything yet.
#[derive(Debug)]
pub struct Peer(UnixStream);

impl ControlListener {
    /// Listens at `path`, whose folder must be private already.
    ///
    /// A socket that nobody answers at is replaced if it is ours; anything else in its place is left alone.
    ///
    /// # Errors
    /// `AddrInUse` when an agent answers there, `AlreadyExists` when something else lies there.
    pub async fn bind(path: &Path) -> io::Result<Self> {
        let lock = lock(&path.with_extension("lock"))?;
        match fs::symlink_metadata(path) {
            Ok(found) => {
                let ours = found.file_type().is_socket() && found.uid() == nix::unistd::geteuid().as_raw();
                if !ours {
                    return Err(io::Error::new(
                        io::ErrorKind::AlreadyExists,
                        format!("{} is in the way and is no socket of ours: remove it", path.display()),
                    ));
                }
                match UnixStream::connect(path).await {
                    Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path)?,
                    // Also one with so many callers that it takes no more.
                    Ok(_) | Err(_) => return Err(io::ErrorKind::AddrInUse.into()),
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let listener = UnixListener::bind(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        Ok(Self { listener, path: path.to_owned(), _lock: lock })
    }

    /// Waits for somebody of the same user; others are turned away. Cancel-safe.
    pub async fn accept(&self) -> io::Result<Peer> {
        loop {
            let (stream, _) = self.listener.accept().await?;
            if stream.peer_cred().is_ok_and(|peer| peer.uid() == nix::unistd::geteuid().as_raw()) {
                return Ok(Peer(stream));
            }
        }
    }
}

/// Takes the lock at `path` without waiting, and makes its file where it is missing. The lock ends with its
/// holder; the file stays, because taking it away would let two in.
///
/// # Errors
/// `AddrInUse` when somebody holds it.
pub fn lock(path: &Path) -> io::Result<Flock<File>> {
    let flags = nix::fcntl::OFlag::O_NOFOLLOW.bits();
    let file =
        OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).custom_flags(flags).open(path)?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| match errno {
        nix::errno::Errno::EWOULDBLOCK => io::ErrorKind::AddrInUse.into(),
        errno => errno.into(),
    })
}

impl Drop for ControlListener {
    fn drop(&mut self) {
        // Somebody may have tidied up before us.
        let _ = fs::remove_file(&self.path);
    }
}

impl Peer {
    /// Exchanges greetings.
    pub async fn greet(self, hello: Hello) -> Result<Connection, ControlError> {
        Connection::greet(self.0, hello, MAX_LINE).await
    }
}
