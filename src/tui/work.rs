//! What is done outside on request: asking the agent, changing the buddy list. One after the other, in order.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::Zoned;
use tokio::{sync::mpsc, time::timeout};

use super::{
    effect::{Change, Done, Edit, Order, Taken, Undo},
    link,
};
use crate::{
    client::{Kind, Line, shown, text::visible},
    config::{
        ConfigError,
        buddies::{Draft, edit},
    },
    control::{Connection, Reply, Request},
};

/// How long the agent may take.
const WITHIN: Duration = Duration::from_secs(10);

/// Something to do.
#[derive(Debug)]
pub(super) enum Job {
    Ask(Order),
    Edit(Edit),
    Fetch(String),
}

impl Job {
    /// Returns what it takes back, if it does.
    pub(super) fn again(&self) -> Option<Undo> {
        match self {
            Self::Ask(order) => order.again.clone(),
            Self::Edit(edit) => edit.again.clone(),
            Self::Fetch(_) => None,
        }
    }
}

/// Where it is done.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) socket: PathBuf,
    pub(super) buddies_file: PathBuf,
    pub(super) account: Option<String>,
}

/// Why the list cannot be changed.
#[derive(Debug, thiserror::Error)]
enum EditError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("{0} is not on the list as it was any more: somebody else changed it")]
    Changed(String),
}

/// Does jobs until there are no more.
pub(super) async fn work(place: Place, mut jobs: mpsc::Receiver<Job>, done: mpsc::Sender<Done>) {
    while let Some(job) = jobs.recv().await {
        let again = job.again();
        let mut result = match timeout(WITHIN, act(&place, job)).await {
            Ok(done) => done,
            Err(_) => failed("the agent did not answer within 10 s".to_owned()),
        };
        if result.failed {
            result.undo = result.undo.or(again);
        }
        if done.send(result).await.is_err() {
            return;
        }
    }
}

fn failed(words: String) -> Done {
    Done { words, failed: true, ..Done::default() }
}

async fn act(place: &Place, job: Job) -> Done {
    match job {
        Job::Ask(order) => {
            let account = order.account.as_deref().or(place.account.as_deref());
            match ask(&place.socket, account, &order.requests).await {
                Ok(reply) => {
                    let words = match order.words {
                        Some(words) => std::iter::once(words).chain(warning(&reply)).collect::<Vec<_>>().join("; "),
                        None => said(&reply),
                    };
                    Done { words, undo: order.undo, ..Done::default() }
                }
                Err(words) => failed(words),
            }
        }
        Job::Edit(edit) => change(place, edit).await,
        Job::Fetch(address) => match fetch(place, &address).await {
            Ok(document) => {
                let words = format!("the document of {}", shown::address(&address));
                Done { words, document: Some((address, document)), ..Done::default() }
            }
            Err(words) => failed(words),
        },
    }
}

/// Takes a look at an address, and returns the document as it came.
async fn fetch(place: &Place, address: &str) -> Result<String, String> {
    let look = Request::Show { targets: vec![address.to_owned()], raw: true };
    let mut agent = link::open(&place.socket, place.account.as_deref(), &look).await?;
    let shown = shown::address(address);
    while let Ok(Some(line)) = agent.read::<Line>().await {
        if line.kind == Kind::Snapshot {
            let state = line.to_state().map(|state| visible(&state.headline())).unwrap_or_default();
            return line.document.ok_or_else(|| format!("{shown} sent no document: {state}"));
        }
    }
    Err(format!("{shown} did not answer"))
}

/// Asks one thing after the other; returns the last answer.
async fn ask(socket: &Path, account: Option<&str>, requests: &[Request]) -> Result<Reply, String> {
    let Some((first, rest)) = requests.split_first() else { return Ok(Reply::ok()) };
    let mut agent = match Connection::open(socket).await {
        Ok(Some(agent)) => agent,
        Ok(None) => return Err("no agent is running".to_owned()),
        Err(error) => return Err(error.to_string()),
    };
    if let Some(name) = account {
        one(&mut agent, &Request::Account { name: name.to_owned() }).await?;
    }
    let mut reply = one(&mut agent, first).await?;
    for request in rest {
        reply = one(&mut agent, request).await?;
    }
    Ok(reply)
}

async fn one(agent: &mut Connection, request: &Request) -> Result<Reply, String> {
    let reply = agent.request(request).await.map_err(|error| error.to_string())?;
    if reply.is_ok() {
        return Ok(reply);
    }
    let words = reply.message.as_deref().unwrap_or("the agent refused without a reason");
    let hint = reply.hint.as_deref().map(|hint| format!("; {hint}")).unwrap_or_default();
    Err(visible(&format!("{words}{hint}")))
}

/// Says what follows from a change of my status.
fn said(reply: &Reply) -> String {
    let now = Zoned::now();
    let status = reply.publication.as_ref().map(|line| {
        let shown = line.layers.first().map_or_else(|| "offline".to_owned(), |layer| shown::layer(layer, &now));
        format!("you are {shown}")
    });
    status.into_iter().chain(warning(reply)).collect::<Vec<_>>().join("; ")
}

/// Returns what is to be known of something that was done all the same.
fn warning(reply: &Reply) -> Option<String> {
    reply.message.as_deref().map(visible)
}

async fn change(place: &Place, wanted: Edit) -> Done {
    let Edit { changes, words, undo, again: _ } = wanted;
    let (path, todo) = (place.buddies_file.clone(), changes.clone());
    let edited = tokio::task::spawn_blocking(move || {
        edit(&path, true, |draft| todo.iter().try_for_each(|change| apply(draft, change)))
    });
    match edited.await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => return failed(visible(&error.to_string())),
        Err(error) => return failed(format!("the list could not be changed: {error}")),
    }
    let back = changes.into_iter().rev().map(Change::reversed).collect();
    let undo = undo.then(|| Undo { words: format!("taken back: {words}"), what: Taken::List(back) });
    match link::open(&place.socket, None, &Request::Buddies {}).await {
        Ok(_) => Done { words, undo, ..Done::default() },
        Err(reason) => {
            let words = format!("{words}, but the agent did not read it: {reason}");
            Done { words, failed: true, undo, ..Done::default() }
        }
    }
}

fn apply(draft: &mut Draft, change: &Change) -> Result<(), EditError> {
    let find = |draft: &Draft, buddy: &crate::client::Buddy| {
        let place = draft.list().0.iter().position(|own| own == buddy);
        place.ok_or_else(|| EditError::Changed(buddy.to_string()))
    };
    match change {
        Change::Add(buddy) => draft.add(buddy.clone()),
        Change::Remove(buddy) => {
            let place = find(draft, buddy)?;
            draft.remove(place);
        }
        Change::Replace { before, after } => {
            let place = find(draft, before)?;
            if let Some(buddy) = draft.get_mut(place) {
                *buddy = after.clone();
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{client::Buddy, config::buddies::load};

    fn edited(path: &Path, changes: &[Change]) -> Result<(), String> {
        let result = edit(path, true, |draft| changes.iter().try_for_each(|change| apply(draft, change)));
        result.map(|_| ()).map_err(|error: EditError| error.to_string())
    }

    #[test]
    fn changes_reach_the_file_and_can_be_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("buddies.toml");
        let (alice, bob) = (Buddy::new("alice@h"), Buddy::new("bob@h"));
        edited(&path, &[Change::Add(alice.clone()), Change::Add(bob.clone())]).unwrap();
        let after = Buddy { groups: vec!["team".into()], ..alice.clone() };
        let moved = Change::Replace { before: alice.clone(), after: after.clone() };
        edited(&path, &[moved.clone(), Change::Remove(bob.clone())]).unwrap();
        assert_eq!(load(&path).unwrap().0, [after]);
        edited(&path, &[Change::Remove(bob).reversed(), moved.reversed()]).unwrap();
        assert_eq!(load(&path).unwrap().0[0], alice);
    }

    #[test]
    fn what_somebody_else_changed_meanwhile_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("buddies.toml");
        edited(&path, &[Change::Add(Buddy::new("alice@h"))]).unwrap();
        let error = edited(&path, &[Change::Remove(Buddy::new("bob@h"))]).unwrap_err();
        assert_eq!(error, "bob@h is not on the list as it was any more: somebody else changed it");
        assert_eq!(load(&path).unwrap().0.len(), 1);
    }

    #[tokio::test]
    async fn what_could_not_be_taken_back_can_be_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place {
            socket: folder.path().join("nobody.sock"),
            buddies_file: folder.path().join("buddies.toml"),
            account: None,
        };
        let undo = Undo { words: "again".into(), what: Taken::List(vec![Change::Remove(Buddy::new("bob@h"))]) };
        let Taken::List(changes) = undo.what.clone() else { panic!("a change of the list") };
        let (jobs, todo) = mpsc::channel(1);
        let (done, mut results) = mpsc::channel(1);
        let working = tokio::spawn(work(place, todo, done));
        let edit = Edit { changes, words: "again".into(), undo: false, again: Some(undo.clone()) };
        jobs.send(Job::Edit(edit)).await.unwrap();
        let result = results.recv().await.unwrap();
        assert_eq!((result.failed, result.undo), (true, Some(undo)));
        drop(jobs);
        working.await.unwrap();
    }
}
