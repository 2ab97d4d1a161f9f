//! What outlives an agent: one versioned file, replaced whole, never overwritten by what cannot read it (SEC-16).

use std::{
    collections::BTreeMap,
    fs::{self, File, Permissions},
    io::{self, Read},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Place, seat::SavedSeat};
use crate::config::{ConfigError, prepare_private_dir, private::write_private};

/// The version of the file: it rises when an older program would misread it.
const VERSION: u32 = 1;
/// More than the dialogs of as many watchers as an agent may have.
const MAX_SIZE: u64 = 256 * 1024 * 1024;

/// What is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    /// The version of the program's files.
    pub(super) version: u32,
    /// Whether the agent that wrote it had told everybody everything when it ended.
    #[serde(default)]
    pub(super) ended: bool,
    /// The accounts by their names.
    #[serde(default)]
    pub(super) accounts: BTreeMap<String, SavedSeat>,
    /// Where it listened by the word of whoever started it.
    #[serde(default)]
    pub(super) place: Place,
}

impl Default for State {
    fn default() -> Self {
        Self { version: VERSION, ended: false, accounts: BTreeMap::new(), place: Place::default() }
    }
}

/// The version alone: what every version of the file can be read as.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

/// Returns the file in a state folder.
pub(super) fn path_in(state_dir: &Path) -> PathBuf {
    state_dir.join("agent.json")
}

/// Reads the file; what cannot be read is put aside, and words say where.
///
/// # Errors
/// When the file cannot be looked into at all, or belongs to somebody else: then it is better not to start than to
/// overwrite it.
pub(super) fn load(path: &Path) -> Result<(State, Option<String>), ConfigError> {
    let unreadable = |error| ConfigError::Unreadable { path: path.into(), error };
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((State::default(), None)),
        Err(error) => return Err(unreadable(error)),
    };
    let found = file.metadata().map_err(unreadable)?;
    if found.uid() != nix::unistd::geteuid().as_raw() {
        let message = "it belongs to another user; remove it".to_owned();
        return Err(ConfigError::Unsafe { path: path.into(), message });
    }
    let mut warning = None;
    if found.mode() & 0o077 != 0 {
        file.set_permissions(Permissions::from_mode(0o600)).map_err(unreadable)?;
        warning = Some(format!("{} could be read by others; it is private again", path.display()));
    }
    let mut bytes = Vec::new();
    (&mut file).take(MAX_SIZE + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    let reason = match serde_json::from_slice::<Versioned>(&bytes) {
        _ if bytes.len() as u64 > MAX_SIZE => "it is too large".to_owned(),
        Ok(Versioned { version }) if version > VERSION => {
            format!("a newer program wrote it (version {version}; this one knows {VERSION})")
        }
        _ => match serde_json::from_slice::<State>(&bytes) {
            Ok(state) => return Ok((state, warning)),
            Err(error) => format!("line {}: {error}", error.line()),
        },
    };
    let aside = put_aside(path).map_err(|error| ConfigError::Unwritable { path: path.into(), error })?;
    let (path, aside) = (path.display(), aside.display());
    Ok((State::default(), Some(format!("{path}: {reason}; it is kept as {aside}, and I start without it"))))
}

/// Writes the file.
pub(super) fn save(path: &Path, state: &State) -> Result<(), ConfigError> {
    if let Some(folder) = path.parent() {
        prepare_private_dir(folder)?;
    }
    let mut bytes = serde_json::to_vec_pretty(state)
        .map_err(|error| ConfigError::Unwritable { path: path.into(), error: io::Error::other(error) })?;
    bytes.push(b'\n');
    write_private(path, &bytes)
}

/// Gives the file a name that no other has.
fn put_aside(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let stamp = Timestamp::now().strftime("%Y%m%dT%H%M%S");
    let mut aside = path.with_file_name(format!("{name}.{stamp}.broken"));
    let mut further = 1;
    while aside.symlink_metadata().is_ok() {
        further += 1;
        aside = path.with_file_name(format!("{name}.{stamp}-{further}.broken"));
    }
    fs::rename(path, &aside)?;
    Ok(aside)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{PresenceStatus, Published, SavedHolds};

    fn state() -> State {
        let note = Some("☕ \"quoted\"\n".to_owned());
        let base = Published { note, ..Published::new(PresenceStatus::Busy, Timestamp::UNIX_EPOCH) };
        let own = SavedHolds { base: Some(base), holds: Vec::new() };
        let seat = SavedSeat { own, ..SavedSeat::default() };
        State { accounts: BTreeMap::from([("work".to_owned(), seat)]), ..State::default() }
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn what_is_saved_is_loaded_and_nobody_else_can_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = path_in(&folder.path().join("state"));
        assert_eq!(load(&path).unwrap(), (State::default(), None));
        save(&path, &state()).unwrap();
        assert_eq!(load(&path).unwrap(), (state(), None));
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().mode() & 0o777, 0o700);
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let (loaded, warning) = load(&path).unwrap();
        assert_eq!(loaded, state());
        assert!(warning.unwrap().contains("could be read by others"));
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn sec_16_a_spoilt_or_newer_file_is_put_aside_and_the_line_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = path_in(folder.path());
        save(&path, &state()).unwrap();
        let whole = fs::read_to_string(&path).unwrap();
        let half = whole[..whole.find("\"note\"").unwrap()].to_owned();
        let newer = whole.replace("\"version\": 1", "\"version\": 2, \"place\": 7");
        for (content, words) in [
            (half.as_str(), "line 10: EOF"),
            (newer.as_str(), "a newer program wrote it (version 2; this one knows 1)"),
            ("", "line 1: EOF"),
            ("[1, 2]\n", "line 1"),
            ("\u{0}\u{1}", "line 1"),
        ] {
            let before = names(folder.path()).len();
            fs::write(&path, content).unwrap();
            let (loaded, warning) = load(&path).unwrap();
            assert_eq!(loaded, State::default());
            let warning = warning.unwrap();
            assert!(warning.contains(words), "{content:?}: {warning}");
            let aside = warning.split("kept as ").nth(1).unwrap().split(", and").next().unwrap();
            assert_eq!(fs::read_to_string(aside).unwrap(), content, "nothing is lost");
            assert!(!path.exists());
            assert_eq!(names(folder.path()).len(), before.max(1), "each under a name of its own");
            fs::write(&path, "keep the count").unwrap();
        }
    }

    #[test]
    fn a_file_that_cannot_be_looked_into_is_no_reason_to_overwrite_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = path_in(folder.path());
        fs::create_dir(&path).unwrap();
        let error = load(&path).unwrap_err().to_string();
        assert!(error.starts_with("cannot read ") && path.is_dir(), "{error}");
        fs::remove_dir(&path).unwrap();
        save(&path, &state()).unwrap();
        if nix::unistd::geteuid().is_root() {
            std::os::unix::fs::chown(&path, Some(65_534), None).unwrap();
            assert!(load(&path).unwrap_err().to_string().contains("another user"));
        }
    }
}
