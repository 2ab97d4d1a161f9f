//! What outlives an agent, and when it is written: at once for what the user says, at most once a second for what
//! the network does (NOT-29).

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use tokio::time::sleep;
use tracing::{info, warn};

use super::{
    Place, own,
    state::{self, FoundRealm, State},
};
use crate::{
    client::{ClientError, Feed, Holds, PresenceClient, SavedServing},
    control::StateFile,
};

/// The pause between two writes for what the network does.
const PAUSE: Duration = Duration::from_secs(1);
/// The pause before a write that failed is tried again.
const RETRY: Duration = Duration::from_secs(30);

/// What outlives an agent.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) client: PresenceClient,
    pub(super) holds: Arc<Mutex<Holds>>,
    pub(super) place: Place,
    /// The realm that was found, if one is looked for.
    pub(super) realm: Arc<Mutex<Option<FoundRealm>>>,
    /// The account for which one is: its address, where no realm is configured.
    pub(super) account: Option<String>,
    /// None where nothing is to be kept.
    pub(super) file: Option<Arc<Keeper>>,
}

impl Kept {
    pub(super) fn lock_holds(&self) -> MutexGuard<'_, Holds> {
        // Each change leaves them whole.
        self.holds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns all that is kept, with these watchers.
    pub(super) fn state(&self, watchers: Option<SavedServing>, ended: bool) -> State {
        let own = self.lock_holds().saved(own::now());
        let realm = self.realm.lock().unwrap_or_else(PoisonError::into_inner).clone();
        State { ended, own, watchers, place: self.place.clone(), realm, ..State::default() }
    }

    /// Asks the client for a realm that it found.
    async fn look_for_realm(&self) {
        let Some(address) = self.account.clone() else { return };
        if let Ok(Some(realm)) = self.client.realm().await {
            *self.realm.lock().unwrap_or_else(PoisonError::into_inner) = Some(FoundRealm { address, realm });
        }
    }

    /// Has everything on disk when it returns, or says why not.
    pub(super) async fn now(&self) -> Result<(), String> {
        let Some(file) = &self.file else { return Ok(()) };
        self.look_for_realm().await;
        file.write(async { Some(self.state(Some(self.client.saved().await.ok()?), false)) }).await
    }

    /// Keeps what is left when the client has ended: its watchers, if they are to go on.
    pub(super) async fn last(&self, watchers: Option<SavedServing>) {
        let Some(file) = &self.file else { return };
        let mut state = self.state(watchers, true);
        if state.watchers.is_none() {
            // Whoever ends it by his own word says anew where it is to listen.
            state.place = Place::default();
        }
        // Why not stands in the log; there is nobody else to tell.
        let _ = file.write(std::future::ready(Some(state))).await;
    }

    /// Writes when our watchers change, until the client is gone.
    pub(super) async fn follow(&self) -> Result<(), ClientError> {
        let mut feed = Feed::default();
        feed.add_saved(&self.client).await?;
        loop {
            for item in feed.changed().await.into_values() {
                if matches!(item, crate::client::Item::Gone) {
                    return Ok(());
                }
            }
            while self.now().await.is_err() {
                sleep(RETRY).await;
            }
            sleep(PAUSE).await;
        }
    }
}

/// Writes the state file, one state after the other.
#[derive(Debug)]
pub(super) struct Keeper {
    path: PathBuf,
    /// Held from the look at the state to its end on disk: what was seen last is written last.
    writing: tokio::sync::Mutex<()>,
    health: Mutex<StateFile>,
}

impl Keeper {
    pub(super) fn new(path: PathBuf) -> Self {
        let health = StateFile { path: path.clone(), saved_at: None, problem: None };
        Self { path, writing: tokio::sync::Mutex::default(), health: Mutex::new(health) }
    }

    /// Returns how the file is.
    pub(super) fn health(&self) -> StateFile {
        self.lock_health().clone()
    }

    fn lock_health(&self) -> MutexGuard<'_, StateFile> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what `state` returns; it may take its time, and return nothing when there is nothing any more.
    async fn write(&self, state: impl Future<Output = Option<State>>) -> Result<(), String> {
        let _writing = self.writing.lock().await;
        let Some(state) = state.await else { return Err("the agent is about to end".to_owned()) };
        let path = self.path.clone();
        let written = tokio::task::spawn_blocking(move || state::save(&path, &state)).await;
        let written = match written {
            Ok(written) => written.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        self.note(&written);
        written
    }

    /// Notes how a write went, and tells once that it fails, however long it goes on; meanwhile memory serves.
    pub(super) fn note(&self, written: &Result<(), String>) {
        let mut health = self.lock_health();
        match written {
            Ok(()) => {
                health.saved_at = Some(Timestamp::now());
                if health.problem.take().is_some() {
                    info!("the state can be kept again");
                }
            }
            Err(problem) => {
                if health.problem.is_none() {
                    warn!(%problem, "the state cannot be kept: what changes now is lost when the agent ends");
                }
                health.problem = Some(problem.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::client::{Action, Login, Now, PasswordSource, PresenceStatus, Published, Secret};

    async fn kept(path: PathBuf) -> Kept {
        let client = PresenceClient::builder("sip:alice@127.0.0.1")
            .any_port()
            .default_action(Action::Allow)
            .bind()
            .await
            .unwrap();
        let now: Now = own::now();
        let mut holds = Holds::default();
        holds.set(Published::new(PresenceStatus::Busy, now.wall), now);
        let file = Some(Arc::new(Keeper::new(path)));
        let place = Place { listen: None, port: Some(5070) };
        Kept { client, holds: Arc::new(Mutex::new(holds)), place, realm: Arc::default(), account: None, file }
    }

    #[tokio::test]
    async fn not_29_what_is_kept_is_on_disk_and_an_end_is_known_from_a_crash() {
        let folder = tempfile::tempdir().unwrap();
        let path = state::path_in(folder.path());
        let kept = kept(path.clone()).await;
        kept.now().await.unwrap();
        let (state, _) = state::load(&path).unwrap();
        assert_eq!((state.ended, state.place.port), (false, Some(5070)));
        assert_eq!(state.own.shown().map(|shown| &shown.status), Some(&PresenceStatus::Busy));
        let watchers = kept.client.halt().await.unwrap();
        assert!(kept.now().await.is_err(), "there is nothing to be seen any more");
        kept.last(Some(watchers)).await;
        let (state, _) = state::load(&path).unwrap();
        assert_eq!((state.ended, state.place.port, state.watchers.is_some()), (true, Some(5070), true));
        kept.last(None).await;
        assert_eq!(state::load(&path).unwrap().0.place, Place::default());
    }

    #[tokio::test]
    async fn aut_12_a_realm_that_was_found_is_on_disk_beside_the_account_that_it_is_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = state::path_in(folder.path());
        let server = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let password = PasswordSource::known(Secret::new("battery-staple-7"));
        let client = PresenceClient::builder("sip:alice@127.0.0.1")
            .any_port()
            .login(Login::new("alice", password).server("127.0.0.1"))
            .bind()
            .await
            .unwrap();
        let kept = Kept {
            client: client.clone(),
            holds: Arc::default(),
            place: Place::default(),
            realm: Arc::default(),
            account: Some("sip:alice@example.com".to_owned()),
            file: Some(Arc::new(Keeper::new(path.clone()))),
        };
        let mut feed = Feed::default();
        feed.add_saved(&client).await.unwrap();
        feed.changed().await;
        let _watcher = client.watch(&format!("sip:bob@{}", server.local_addr().unwrap())).await.unwrap();
        let mut bytes = [0; 2000];
        let (len, from) = server.recv_from(&mut bytes).await.unwrap();
        let request = std::str::from_utf8(&bytes[..len]).unwrap();
        let copied = ["Via: ", "From: ", "To: ", "Call-ID: ", "CSeq: "];
        let lines = request.lines().filter(|line| copied.iter().any(|name| line.starts_with(name)));
        let lines: String = lines.flat_map(|line| [line, "\r\n"]).collect();
        let challenge = "WWW-Authenticate: Digest realm=\"asterisk\", nonce=\"1\"\r\nContent-Length: 0\r\n\r\n";
        server.send_to(format!("SIP/2.0 401 No\r\n{lines}{challenge}").as_bytes(), from).await.unwrap();
        let (len, _) = server.recv_from(&mut bytes).await.unwrap();
        assert!(String::from_utf8_lossy(&bytes[..len]).contains("\r\nAuthorization: Digest "));
        feed.changed().await;
        kept.now().await.unwrap();
        let realm = Some(FoundRealm { address: "sip:alice@example.com".to_owned(), realm: "asterisk".to_owned() });
        assert_eq!(state::load(&path).unwrap().0.realm, realm);
        client.halt().await.unwrap();
        kept.last(None).await;
        assert_eq!(state::load(&path).unwrap().0.realm, realm, "it outlives the client");
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_written_is_told_and_is_written_when_it_can() {
        let folder = tempfile::tempdir().unwrap();
        let blocked = folder.path().join("blocked");
        fs::write(&blocked, "no folder").unwrap();
        let kept = kept(state::path_in(&blocked)).await;
        assert!(kept.now().await.unwrap_err().contains("not a folder"));
        let health = || kept.file.as_ref().unwrap().health();
        assert!(health().problem.is_some() && health().saved_at.is_none());
        fs::remove_file(&blocked).unwrap();
        kept.now().await.unwrap();
        assert!(health().problem.is_none() && health().saved_at.is_some());
    }
}
