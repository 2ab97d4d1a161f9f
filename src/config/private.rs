//! Folders and files that are nobody else's: made private, checked before use, replaced whole (SEC-11, SEC-16).

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::Path,
};

use nix::{
    fcntl::{Flock, FlockArg},
    unistd::Uid,
};

use super::error::ConfigError;

/// Makes the folder with mode 0700, and its parents where they are missing.
///
/// One that is there already must be a folder of ours and no link; if others may enter it, they may not any more.
pub fn prepare_private_dir(path: &Path) -> Result<(), ConfigError> {
    let refused = |message: &str| ConfigError::Unsafe { path: path.into(), message: message.into() };
    let unwritable = |error| ConfigError::Unwritable { path: path.into(), error };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(unwritable)?;
        }
        Err(error) => return Err(ConfigError::Unreadable { path: path.into(), error }),
        Ok(_) => {}
    }
    // Also after we made it: somebody may have been faster.
    let found = fs::symlink_metadata(path).map_err(unwritable)?;
    if found.is_symlink() {
        return Err(refused("it is a symbolic link; remove it"));
    }
    if !found.is_dir() {
        return Err(refused("it is not a folder; remove it"));
    }
    if found.uid() != Uid::effective().as_raw() {
        return Err(refused("it belongs to another user; remove it"));
    }
    if found.mode() & 0o077 != 0 {
        fs::set_permissions(path, Permissions::from_mode(0o700)).map_err(unwritable)?;
    }
    Ok(())
}

/// Locks the folder of a file, which is made if it is to be: two who change the file at once would each write what the
/// other did not know. The lock ends with what is returned; there is none where there is no folder.
///
/// # Errors
/// When the folder cannot be made, or the file system knows no locks.
pub(crate) fn lock_folder_of(path: &Path, make: bool) -> Result<Option<Flock<File>>, ConfigError> {
    let unwritable = |error| ConfigError::Unwritable { path: path.into(), error };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    if make {
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(unwritable)?;
    }
    let Ok(folder) = File::open(folder) else { return Ok(None) };
    let locked = Flock::lock(folder, FlockArg::LockExclusive).map_err(|(_, error)| unwritable(error.into()))?;
    Ok(Some(locked))
}

/// Replaces the file by `bytes` in one step, with mode 0600: a crash leaves the old file or the new one, whole.
///
/// A symbolic link stays one, and its target is replaced.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<(), ConfigError> {
    replace(path, bytes).map_err(|error| ConfigError::Unwritable { path: path.into(), error })
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.into());
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    if !folder.exists() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let name = target.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy();
    let temporary = folder.join(format!(".{name}.{}.new", std::process::id()));
    let written = write_new(&temporary, bytes).and_then(|()| fs::rename(&temporary, &target));
    if written.is_err() {
        // Best effort: the error that matters is the one above.
        let _ = fs::remove_file(&temporary);
    }
    written?;
    // The new name is on disk only once its folder is.
    File::open(folder)?.sync_all()
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // Left over from a crash of a process with our number.
    let _ = fs::remove_file(path);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn sec_11_the_folder_is_made_private_and_made_private_again() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a/b");
        prepare_private_dir(&path).unwrap();
        assert_eq!(mode(&path), 0o700);
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        prepare_private_dir(&path).unwrap();
        assert_eq!(mode(&path), 0o700);
    }

    #[test]
    fn sec_11_a_planted_link_or_file_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let (real, link, file) = (root.path().join("real"), root.path().join("link"), root.path().join("file"));
        fs::create_dir(&real).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        fs::write(&file, "").unwrap();
        let error = prepare_private_dir(&link).unwrap_err().to_string();
        assert!(error.contains("symbolic link") && error.contains("link"), "{error}");
        assert!(prepare_private_dir(&file).unwrap_err().to_string().contains("not a folder"));
        let dangling = root.path().join("dangling");
        std::os::unix::fs::symlink(root.path().join("nowhere"), &dangling).unwrap();
        assert!(prepare_private_dir(&dangling).is_err());
    }

    #[test]
    fn sec_11_a_folder_of_another_user_is_refused() {
        // Root's own folder, unless we are root: then one that we give away.
        let root = tempfile::tempdir().unwrap();
        let path = if Uid::effective().is_root() {
            std::os::unix::fs::chown(root.path(), Some(65_534), None).unwrap();
            root.path()
        } else {
            Path::new("/")
        };
        assert!(prepare_private_dir(path).unwrap_err().to_string().contains("another user"));
    }

    #[test]
    fn a_file_is_replaced_whole_private_and_through_its_link() {
        let root = tempfile::tempdir().unwrap();
        let (file, link) = (root.path().join("file"), root.path().join("link"));
        write_private(&file, b"one").unwrap();
        assert_eq!((fs::read(&file).unwrap(), mode(&file)), (b"one".to_vec(), 0o600));
        std::os::unix::fs::symlink(&file, &link).unwrap();
        write_private(&link, b"two").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&file).unwrap(), b"two");
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 2, "nothing temporary stays");
    }

    #[test]
    fn a_file_that_cannot_be_written_is_named() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("folder");
        fs::create_dir(&folder).unwrap();
        let error = write_private(&folder, b"x").unwrap_err().to_string();
        assert!(error.starts_with("cannot write ") && error.contains("folder"), "{error}");
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1, "nothing temporary stays");
    }
}
