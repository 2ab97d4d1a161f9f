//! The buddy list of an agent: read from its file, and read again whenever somebody has changed it.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{Mutex, watch},
    time::sleep,
};
use tracing::{info, warn};

use crate::{
    client::{Buddies, Edits},
    config::{
        ConfigError,
        buddies::{self, BuddySecret},
    },
};

/// How long a file is left alone that somebody is changing.
const SETTLES: Duration = Duration::from_millis(100);

/// The list as it was read last.
#[derive(Clone, Debug, Default)]
pub(super) struct Listed {
    pub(super) list: Arc<Buddies>,
    /// Where the secrets are to be had that are shared with them.
    pub(super) secrets: Arc<[BuddySecret]>,
    /// Why the file, as it is now, could not be read.
    pub(super) trouble: Option<String>,
}

/// The list, and whoever follows it.
#[derive(Debug)]
pub(super) struct List {
    path: PathBuf,
    listed: watch::Sender<Listed>,
    /// Held while the file is read: what was read last is told last.
    reading: Mutex<()>,
}

impl List {
    /// Reads the list; a file that cannot be read is an empty one, and says why.
    pub(super) fn load(path: &Path) -> Self {
        let listed = match buddies::load_with_secrets(path) {
            Ok((list, secrets)) => Listed { list: Arc::new(list), secrets: secrets.into(), trouble: None },
            Err(error) => Listed { trouble: Some(error.to_string()), ..Listed::default() },
        };
        Self { path: path.into(), listed: watch::Sender::new(listed), reading: Mutex::default() }
    }

    /// Returns the list.
    pub(super) fn now(&self) -> Listed {
        self.listed.borrow().clone()
    }

    /// Returns a reader that is told of each change.
    pub(super) fn follow(&self) -> watch::Receiver<Listed> {
        self.listed.subscribe()
    }

    /// Reads the file again; what cannot be read changes nobody on the list.
    pub(super) async fn read_again(&self) -> Result<Arc<Buddies>, ConfigError> {
        let _reading = self.reading.lock().await;
        let path = self.path.clone();
        let read = tokio::task::spawn_blocking(move || buddies::load_with_secrets(&path)).await;
        let read = read.unwrap_or_else(|_| {
            let Listed { list, secrets, .. } = self.now();
            Ok((Buddies::clone(&list), secrets.to_vec()))
        });
        let trouble = read.as_ref().err().map(ToString::to_string);
        self.listed.send_if_modified(|listed| {
            let is_other =
                |(list, secrets): &(Buddies, Vec<BuddySecret>)| *list != *listed.list || **secrets != *listed.secrets;
            let news = listed.trouble != trouble || read.as_ref().is_ok_and(is_other);
            if let (Ok((list, secrets)), true) = (&read, news) {
                (listed.list, listed.secrets) = (Arc::new(list.clone()), secrets.as_slice().into());
            }
            listed.trouble.clone_from(&trouble);
            news
        });
        read.map(|_| self.now().list)
    }

    /// Reads the file again whenever it was changed, for as long as the agent runs.
    pub(super) async fn keep_up(&self) {
        let mut edits = match Edits::of(&self.path) {
            Ok(edits) => edits,
            Err(error) => {
                warn!(%error, "changes of the buddy list are seen by `agent reload` only");
                return;
            }
        };
        // What was changed since it was read first, and before we looked, is not told.
        // One that cannot be read was told of at the start.
        let _ = self.read_again().await;
        while edits.next().await {
            // Some editors move a file away before they write it anew: in between it is not there.
            sleep(SETTLES).await;
            match self.read_again().await {
                Ok(list) => info!(buddies = list.0.len(), "the buddy list was changed"),
                Err(error) => warn!(%error, "the buddy list stays as it was"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tokio::time::timeout;

    use super::*;

    const ALICE: &str = "[[buddy]]\nname = \"alice\"\naddress = \"alice@h\"\n";

    async fn after(edit: impl FnOnce(&Path), before: &str) -> (usize, Option<String>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config/buddies.toml");
        if !before.is_empty() {
            fs::create_dir(path.parent().unwrap()).unwrap();
            fs::write(&path, before).unwrap();
        }
        let list = List::load(&path);
        let mut listed = list.follow();
        let edits = list.keep_up();
        let changed = async {
            // Polled first, `keep_up` looks already.
            edit(&path);
            timeout(Duration::from_mins(1), listed.changed()).await.unwrap().unwrap();
        };
        tokio::select! {
            biased;
            () = edits => panic!("it gave up"),
            () = changed => {}
        }
        let Listed { list, trouble, .. } = list.now();
        (list.0.len(), trouble)
    }

    #[tokio::test]
    async fn whoever_writes_renames_or_links_the_file_is_followed() {
        let write = |path: &Path| fs::write(path, ALICE).unwrap();
        assert_eq!(after(write, "# nobody\n").await, (1, None));
        let rename = |path: &Path| {
            fs::write(path.with_extension("new"), ALICE).unwrap();
            fs::rename(path.with_extension("new"), path).unwrap();
        };
        assert_eq!(after(rename, "# nobody\n").await, (1, None));
        let remove = |path: &Path| fs::remove_file(path).unwrap();
        assert_eq!(after(remove, ALICE).await, (0, None));
        let link = |path: &Path| {
            fs::write(path.with_extension("other"), ALICE).unwrap();
            fs::remove_file(path).unwrap();
            std::os::unix::fs::symlink(path.with_extension("other"), path).unwrap();
        };
        assert_eq!(after(link, "# nobody\n").await, (1, None));
    }

    #[tokio::test]
    async fn nonsense_leaves_the_list_as_it_was_and_is_told() {
        let (count, trouble) = after(|path| fs::write(path, "[[buddy]]\n").unwrap(), ALICE).await;
        assert_eq!(count, 1);
        assert!(trouble.unwrap().contains("buddies.toml:1:1: `buddy.address`: write whom it is about"));
    }

    #[tokio::test]
    async fn a_folder_that_comes_to_be_later_is_followed() {
        let make = |path: &Path| {
            let folder = path.parent().unwrap();
            fs::create_dir(folder.with_extension("new")).unwrap();
            fs::write(folder.with_extension("new").join("buddies.toml"), ALICE).unwrap();
            fs::rename(folder.with_extension("new"), folder).unwrap();
        };
        assert_eq!(after(make, "").await, (1, None));
    }
}
