//! The agent's end of the socket: private to the user, one owner at a time (SEC-11).

use std::{
    fs, io,
    os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use tokio::net::{UnixListener, UnixStream};

use super::{Connection, ControlError, Hello};

/// Listens for commands; the socket's file goes with it.
#[derive(Debug)]
pub struct ControlListener {
    listener: UnixListener,
    path: PathBuf,
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
        match fs::symlink_metadata(path) {
            Ok(found) => {
                let ours = found.file_type().is_socket() && found.uid() == nix::unistd::geteuid().as_raw();
                if !ours {
                    return Err(io::Error::new(
                        io::ErrorKind::AlreadyExists,
                        format!("{} is in the way and is no socket of ours: remove it", path.display()),
                    ));
                }
                if UnixStream::connect(path).await.is_ok() {
                    return Err(io::ErrorKind::AddrInUse.into());
                }
                fs::remove_file(path)?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let listener = UnixListener::bind(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        Ok(Self { listener, path: path.to_owned() })
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

impl Drop for ControlListener {
    fn drop(&mut self) {
        // Somebody may have tidied up before us.
        let _ = fs::remove_file(&self.path);
    }
}

impl Peer {
    /// Exchanges greetings.
    pub async fn greet(self, hello: Hello) -> Result<Connection, ControlError> {
        Connection::greet(self.0, hello).await
    }
}
