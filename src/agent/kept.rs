//! What outlives an agent, and when it is written: at once for what the user says, at most once a second for what
//! the network does (NOT-29).

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use jiff::Timestamp;
use tokio::{sync::Notify, time::sleep};
use tracing::{info, warn};

use super::{
    Place, lock,
    seat::{SavedSeat, Seat},
    state::{self, State},
};
use crate::{
    client::{Feed, Item, SavedServing},
    control::StateFile,
};

/// The pause between two writes for what the network does.
const PAUSE: Duration = Duration::from_secs(1);
/// The pause before a write that failed is tried again.
const RETRY: Duration = Duration::from_secs(30);

/// What outlives an agent.
#[derive(Debug)]
pub(super) struct Kept {
    seats: Mutex<Arc<[Arc<Seat>]>>,
    /// What was kept of accounts that are not configured any more: they may come back.
    others: Mutex<BTreeMap<String, SavedSeat>>,
    pub(super) place: Place,
    /// None where nothing is to be kept.
    pub(super) file: Option<Keeper>,
    /// There are other seats, or others at them.
    renewed: Notify,
}

impl Kept {
    pub(super) fn new(
        seats: Vec<Arc<Seat>>,
        others: BTreeMap<String, SavedSeat>,
        place: Place,
        file: Option<Keeper>,
    ) -> Self {
        let (seats, others) = (Mutex::new(seats.into()), Mutex::new(others));
        Self { seats, others, place, file, renewed: Notify::new() }
    }

    /// Returns the accounts that there are now.
    pub(super) fn seats(&self) -> Arc<[Arc<Seat>]> {
        Arc::clone(&lock(&self.seats))
    }

    /// Takes other accounts into its care.
    pub(super) fn take_over(&self, seats: Vec<Arc<Seat>>) {
        lock(&self.others).retain(|name, _| seats.iter().all(|seat| seat.name != *name));
        *lock(&self.seats) = seats.into();
        self.renewed();
    }

    /// Takes note that a client began anew.
    pub(super) fn renewed(&self) {
        self.renewed.notify_one();
    }

    /// Puts by what is left of an account that is not configured any more.
    pub(super) fn put_by(&self, seat: &Seat, watchers: Option<SavedServing>) {
        lock(&self.others).insert(seat.name.clone(), seat.saved_with(watchers));
    }

    /// Returns what was kept of an account that is not there.
    pub(super) fn put_by_of(&self, name: &str) -> SavedSeat {
        lock(&self.others).get(name).cloned().unwrap_or_default()
    }

    /// Has everything on disk when it returns, or says why not.
    pub(super) async fn now(&self) -> Result<(), String> {
        self.now_with(BTreeMap::new()).await
    }

    /// The same, with an account that does not send yet.
    pub(super) async fn now_with(&self, more: BTreeMap<String, SavedSeat>) -> Result<(), String> {
        let Some(file) = &self.file else { return Ok(()) };
        let state = async {
            let mut accounts = lock(&self.others).clone();
            accounts.extend(more);
            for seat in self.seats().iter() {
                match seat.saved().await {
                    Some(saved) => drop(accounts.insert(seat.name.clone(), saved)),
                    // One that leaves was put by.
                    None if accounts.contains_key(&seat.name) => {}
                    None => return None,
                }
            }
            Some(State { ended: false, accounts, place: self.place.clone(), ..State::default() })
        };
        file.write(state).await
    }

    /// Keeps what is left when the clients have ended: their watchers, if they are to go on, and who is remembered.
    pub(super) async fn last(&self, watchers: Vec<Option<SavedServing>>, goes_on: bool) {
        let Some(file) = &self.file else { return };
        let mut accounts = lock(&self.others).clone();
        for (seat, watchers) in self.seats().iter().zip(watchers) {
            accounts.insert(seat.name.clone(), seat.saved_with(watchers));
        }
        // Whoever ends it by his own word says anew where it is to listen.
        let place = if goes_on { self.place.clone() } else { Place::default() };
        let state = State { ended: true, accounts, place, ..State::default() };
        // Why not stands in the log; there is nobody else to tell.
        let _ = file.write(std::future::ready(Some(state))).await;
    }

    /// Writes when what the network does is to be kept, for as long as it is polled.
    pub(super) async fn follow(&self) {
        let mut feed = self.feed().await;
        loop {
            tokio::select! {
                () = self.renewed.notified() => feed = self.feed().await,
                changed = feed.changed() => if changed.into_values().all(|item| matches!(item, Item::Gone)) {
                    continue;
                },
            }
            while self.now().await.is_err() {
                tokio::select! {
                    () = self.renewed.notified() => feed = self.feed().await,
                    () = sleep(RETRY) => {}
                }
            }
            sleep(PAUSE).await;
        }
    }

    async fn feed(&self) -> Feed {
        let mut feed = Feed::default();
        for seat in self.seats().iter() {
            // A client that is gone has nothing more to be kept.
            let _ = feed.add_saved(&seat.client_now()).await;
        }
        feed
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
        lock(&self.health)
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
    use crate::{
        agent::own,
        client::{Action, Login, Now, PasswordSource, PresenceClient, PresenceStatus, Published, Secret},
    };

    async fn kept(path: PathBuf) -> Kept {
        let client = PresenceClient::builder("sip:alice@127.0.0.1")
            .any_port()
            .default_action(Action::Allow)
            .bind()
            .await
            .unwrap();
        let seat = Seat::of_client(client);
        let now: Now = own::now();
        seat.holds().set(Published::new(PresenceStatus::Busy, now.wall), now);
        let others = BTreeMap::from([("gone".to_owned(), SavedSeat::default())]);
        let place = Place { listen: None, port: Some(5070) };
        Kept::new(vec![Arc::new(seat)], others, place, Some(Keeper::new(path)))
    }

    #[tokio::test]
    async fn not_29_what_is_kept_is_on_disk_and_an_end_is_known_from_a_crash() {
        let folder = tempfile::tempdir().unwrap();
        let path = state::path_in(folder.path());
        let kept = kept(path.clone()).await;
        kept.now().await.unwrap();
        let (state, _) = state::load(&path).unwrap();
        assert_eq!((state.ended, state.place.port), (false, Some(5070)));
        assert_eq!(state.accounts[""].own.shown().map(|shown| &shown.status), Some(&PresenceStatus::Busy));
        assert!(state.accounts.contains_key("gone"), "an account may come back");
        let watchers = kept.seats()[0].client_now().halt().await.unwrap();
        assert!(kept.now().await.is_err(), "there is nothing to be seen any more");
        kept.last(vec![Some(watchers)], true).await;
        let (state, _) = state::load(&path).unwrap();
        assert_eq!((state.ended, state.place.port, state.accounts[""].watchers.is_some()), (true, Some(5070), true));
        kept.last(vec![None], false).await;
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
        let seat = Arc::new(Seat::looking_for_realm(client.clone()));
        let file = Some(Keeper::new(path.clone()));
        let kept = Kept::new(vec![seat], BTreeMap::new(), Place::default(), file);
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
        let seat = &state::load(&path).unwrap().0.accounts[""];
        assert_eq!((seat.address.as_str(), seat.realm.as_deref()), ("sip:alice@127.0.0.1", Some("asterisk")));
        assert!(!fs::read_to_string(&path).unwrap().contains("battery"));
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
