//! The secrets that we share with buddies, put in force as the buddy list changes.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, LazyLock},
};

use tokio::sync::Semaphore;
use tracing::warn;

use super::{Shared, lock, login::source};
use crate::{
    client::{PasswordSource as Source, Peer},
    config::{PasswordSource, Paths, buddies, buddies::BuddySecret},
};

/// How many secrets are fetched at once: a command may ask somebody something.
static FETCHING: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(2)));

/// Returns with whom the account of this name shares a secret, as the list says now; with nobody if it cannot be read.
pub fn peers(paths: &Paths, home: &Path, account: &str) -> Vec<Peer> {
    let secrets = buddies::load_with_secrets(&paths.buddies_file).map(|(_, secrets)| secrets);
    // Why it cannot be read is told by whoever reads it for its people.
    of(&secrets.unwrap_or_default(), home, account)
}

/// Returns with whom the account of this name shares a secret: with buddies of that account, and those of none.
fn of(secrets: &[BuddySecret], home: &Path, account: &str) -> Vec<Peer> {
    let ours = secrets.iter().filter(|secret| secret.account.as_deref().is_none_or(|name| name == account));
    ours.map(|secret| {
        let one_of_few = source(complete(&secret.source, home), secret.address.clone());
        let secret_of = Source::new(move || {
            let one_of_few = one_of_few.clone();
            async move {
                // It is never closed.
                let _turn = FETCHING.acquire().await;
                one_of_few.fetch().await
            }
        });
        Peer { address: secret.address.clone(), secret: secret_of }
    })
    .collect()
}

fn complete(source: &PasswordSource, home: &Path) -> PasswordSource {
    let in_home = |path: &PathBuf| path.strip_prefix("~").map_or_else(|_| path.clone(), |rest| home.join(rest));
    match source {
        PasswordSource::File(path) => PasswordSource::File(in_home(path)),
        PasswordSource::None | PasswordSource::Command(_) | PasswordSource::Keyring => source.clone(),
    }
}

/// Has every account share secrets with those with whom the list says so; each is fetched anew.
pub(super) async fn put_in_force(shared: &Shared) {
    let Some(home) = shared.configured.as_ref().map(|configured| lock(configured).env.home.clone()) else { return };
    let secrets = shared.list.now().secrets;
    for seat in shared.kept.seats().iter() {
        let peers = of(&secrets, &home, &seat.name);
        if let Err(error) = seat.client().await.set_peers(peers).await {
            warn!(%error, "the secrets that buddies share with us are as before");
        }
    }
}

/// Puts them in force whenever the list has others, for as long as the agent runs.
pub(super) async fn keep_up(shared: &Shared) {
    let mut listed = shared.list.follow();
    let mut before = Arc::clone(&listed.borrow_and_update().secrets);
    while listed.changed().await.is_ok() {
        let now = Arc::clone(&listed.borrow_and_update().secrets);
        // A file that stands there may have another secret in it.
        let may_be_other =
            |secrets: &[BuddySecret]| secrets.iter().any(|secret| matches!(secret.source, PasswordSource::File(_)));
        if now != before || may_be_other(&now) {
            put_in_force(shared).await;
        }
        before = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_account_shares_secrets_with_its_own_buddies_and_with_those_of_none() {
        let secret = |address: &str, account: Option<&str>| BuddySecret {
            address: address.to_owned(),
            account: account.map(str::to_owned),
            source: PasswordSource::Command(vec!["echo".into(), address.to_owned()]),
        };
        let secrets = [secret("a@h", None), secret("b@h", Some("work")), secret("c@h", Some("home"))];
        let addresses = |account: &str| -> Vec<String> {
            of(&secrets, Path::new("/h"), account).into_iter().map(|peer| peer.address).collect()
        };
        assert_eq!(addresses("work"), ["a@h", "b@h"]);
        assert_eq!(addresses(""), ["a@h"]);
    }

    #[test]
    fn a_path_may_begin_at_the_home_folder() {
        for (written, whole) in [("~/s/a", "/h/s/a"), ("/s/a", "/s/a"), ("/f/~/a", "/f/~/a")] {
            let source = complete(&PasswordSource::File(written.into()), Path::new("/h"));
            assert_eq!(source, PasswordSource::File(whole.into()));
        }
    }
}
