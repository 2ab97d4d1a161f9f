//! What the agent does when it is asked.

mod files;
mod policy;
mod status;
mod streams;

use std::sync::Arc;

use tracing::debug;

use self::streams::{follow, stream, trace};
pub(super) use self::{files::put_in_force, status::status};
use super::{
    Order, Place, Shared,
    own::{Done, Own, OwnError, Wish},
    reload::reload,
};
use crate::{
    client::{ClientError, Clock, Person, Subscribing, TargetError, WatcherInfo, random_urn},
    control::{Connection, ControlError, Reply, Request},
};

/// The name that stands for every account.
const ALL: &str = "all";

/// Whom the requests of a connection are about, and the holds that end with it.
#[derive(Debug, Default)]
struct Session {
    account: Which,
    held: Vec<String>,
}

/// The account that requests are about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Which {
    /// None was named: the first, or the one that fits.
    #[default]
    Usual,
    /// This one.
    One(String),
    /// Each.
    All,
}

/// Serves one connection until it closes; the holds that it has end with it.
pub(super) async fn serve(mut connection: Connection, shared: &Arc<Shared>) {
    let mut session = Session::default();
    while let Some(served) = session.serve_one(&mut connection, shared).await {
        if let Err(error) = served {
            debug!(%error, "a control connection ended");
            break;
        }
    }
    for hold in session.held {
        // A plain `set` may have ended it before.
        let _ = release(shared, &hold).await;
    }
}

impl Session {
    /// Serves one request; none when the other end closed.
    async fn serve_one(
        &mut self,
        connection: &mut Connection,
        shared: &Arc<Shared>,
    ) -> Option<Result<(), ControlError>> {
        Some(match connection.read::<Request>().await {
            Ok(Some(Request::Show { targets, raw })) => {
                let how = if raw { Subscribing::Raw } else { Subscribing::Once };
                stream(connection, shared, self, targets, how).await
            }
            Ok(Some(Request::Watch { targets })) => {
                stream(connection, shared, self, targets, Subscribing::Lasting).await
            }
            Ok(Some(Request::Follow {})) => follow(connection, shared, self).await,
            Ok(Some(Request::Trace {})) => trace(connection, shared).await,
            Ok(Some(request)) => {
                let order = match &request {
                    Request::Stop {} => Some(Order::Stop),
                    Request::Restart { listen, port } => match place(listen.as_deref(), *port) {
                        Ok(place) => Some(Order::Restart(place)),
                        Err(reason) => return Some(connection.write(&Reply::error(2, reason)).await),
                    },
                    _ => None,
                };
                let reply = self.answer(request, shared).await;
                self.held.extend(reply.hold.clone());
                let written = connection.write(&reply).await;
                if let Some(order) = order {
                    // An agent that is about to end needs no further order.
                    let _ = shared.orders.send(order).await;
                }
                written
            }
            Ok(None) => return None,
            Err(error @ ControlError::Malformed(_)) => connection.write(&Reply::error(2, error.to_string())).await,
            Err(error) => Err(error),
        })
    }

    async fn answer(&mut self, request: Request, shared: &Arc<Shared>) -> Reply {
        let own = match self.own(shared) {
            Ok(own) => own,
            Err(reply) => return *reply,
        };
        match request {
            Request::Account { name } => self.choose(shared, &name),
            Request::Set { status, note, activities, sphere, length, until, held } => {
                let (activities, length, until) = (activities.as_slice(), length.as_deref(), until.as_deref());
                let wish = Wish { status: &status, note, activities, sphere: sphere.as_deref(), length, until, held };
                let id = random_urn().trim_start_matches("urn:uuid:").to_owned();
                let mut reply = Reply::ok();
                for own in &own {
                    reply = and(reply, answer(own.set(&wish, &id).await, held));
                }
                reply
            }
            Request::Claim { hold } => claim(shared, &hold).await,
            Request::Release { hold } => release(shared, &hold).await,
            Request::Clear {} => {
                let mut reply = Reply::ok();
                for own in &own {
                    reply = and(reply, answer(own.clear().await, false));
                }
                reply
            }
            Request::Republish {} => match own.as_slice() {
                [own] => answer(own.again().await, false),
                _ => Reply::error(2, "one account at a time: name it"),
            },
            Request::Me {} => match own.as_slice() {
                [own] => Reply { publication: Some(Box::new(own.line().await)), ..Reply::ok() },
                _ => Reply::error(2, "one account at a time: name it"),
            },
            Request::Status {} => status(shared).await,
            Request::Reload {} => {
                // It comes to an end, whoever waits for it.
                let shared = Arc::clone(shared);
                let reloaded = tokio::spawn(async move { Box::pin(reload(&shared)).await });
                reloaded.await.unwrap_or_else(|_| Reply::error(70, "the files were not put in force: a bug of ours"))
            }
            Request::Buddies {} => match shared.list.read_again().await {
                Ok(list) => Reply { buddies: list.0.clone(), ..Reply::ok() },
                Err(error) => Reply::error(2, format!("the buddy list stays as it was: {error}")),
            },
            Request::Watchers { history } => self.watchers(shared, history).await,
            Request::Policy { who, identity, at } => match own.as_slice() {
                [own] => policy::judge(shared, own, &who, identity, at).await,
                _ => Reply::error(2, "one account at a time: name it"),
            },
            Request::Decide { who, list } => {
                let reply = files::decide(shared, &who, list.as_deref()).await;
                if list.is_none() && reply.is_ok() {
                    let forgotten = forget(shared, &who).await;
                    if !forgotten.is_ok() {
                        return forgotten;
                    }
                }
                reply
            }
            Request::Resumed {} => {
                for seat in shared.kept.seats().iter() {
                    if let Err(error) = seat.client().await.resumed().await {
                        return refuse(&error);
                    }
                }
                Reply::ok()
            }
            // Streams are served as such, and the end comes behind the reply.
            Request::Stop {}
            | Request::Restart { .. }
            | Request::Show { .. }
            | Request::Watch { .. }
            | Request::Follow {}
            | Request::Trace {} => Reply::ok(),
        }
    }

    /// Has further requests be about this account, or about all.
    fn choose(&mut self, shared: &Shared, name: &str) -> Reply {
        let seats = shared.kept.seats();
        self.account = match name {
            _ if seats.iter().any(|seat| seat.name == name) => Which::One(name.to_owned()),
            ALL => Which::All,
            _ => return no_account(shared, name),
        };
        Reply::ok()
    }

    /// Returns my status at the accounts that are meant.
    ///
    /// # Errors
    /// When the one that was named is not there any more.
    fn own(&self, shared: &Shared) -> Result<Vec<Arc<Own>>, Box<Reply>> {
        let all = shared.own();
        Ok(match &self.account {
            Which::Usual => all[..1].to_vec(),
            Which::One(name) => {
                let found = all.iter().find(|own| own.seat.name == *name);
                vec![Arc::clone(found.ok_or_else(|| Box::new(no_account(shared, name)))?)]
            }
            Which::All => all.to_vec(),
        })
    }

    /// Returns the account through which everybody is looked at, if one was named.
    fn one(&self) -> Option<String> {
        match &self.account {
            Which::One(name) => Some(name.clone()),
            Which::Usual | Which::All => None,
        }
    }

    async fn watchers(&self, shared: &Shared, history: bool) -> Reply {
        let mut reply = Reply::ok();
        for seat in shared.kept.seats().iter() {
            if matches!(&self.account, Which::One(one) if *one != seat.name) {
                continue;
            }
            let client = seat.client().await;
            let found: Result<Vec<WatcherInfo>, ClientError> = if history {
                client.watcher_history().await.map(|people| people.iter().map(Person::to_info).collect())
            } else {
                let now = Clock::now();
                client.watchers().await.map(|all| all.iter().map(|watcher| watcher.to_info(now)).collect())
            };
            match found {
                Ok(found) => reply.watchers.extend(found),
                Err(error) => return refuse(&error),
            }
        }
        reply
    }
}

fn no_account(shared: &Shared, name: &str) -> Reply {
    let seats = shared.kept.seats();
    let names: Vec<&str> = seats.iter().map(|seat| seat.name.as_str()).collect();
    let hint = match names.join(", ") {
        none if none.is_empty() => "there is none in the configuration".to_owned(),
        names => format!("there are {names}, and `{ALL}`"),
    };
    Reply::error(3, format!("the agent has no account {name:?}")).with_hint(hint)
}

/// Joins the answers of several accounts: the first failure, or what the first one said.
fn and(before: Reply, next: Reply) -> Reply {
    if !before.is_ok() || before.publication.is_some() && next.is_ok() {
        return Reply { ended: before.ended + next.ended, ..before };
    }
    next
}

/// Forgets who is on no list any more and is not there: nor does it wait for a decision.
async fn forget(shared: &Shared, who: &[String]) -> Reply {
    for seat in shared.kept.seats().iter() {
        let client = seat.client().await;
        for who in who {
            if let Err(error) = client.forget_watcher(who).await {
                return refuse(&error);
            }
        }
    }
    Reply::ok()
}

/// Gives a hold back to its holder, at every account that has it.
async fn claim(shared: &Shared, hold: &str) -> Reply {
    let mut found = Err(OwnError::NoSuchHold);
    for own in shared.own().iter() {
        let claimed = own.claim(hold).await;
        found = found.or(claimed);
    }
    answer(found, true)
}

/// Ends a hold at every account that has it.
async fn release(shared: &Shared, hold: &str) -> Reply {
    let mut found = Err(OwnError::NoSuchHold);
    for own in shared.own().iter() {
        let released = own.release(hold).await;
        found = found.or(released);
    }
    answer(found, false)
}

/// Tells what became of my status.
pub(super) fn answer(done: Result<Done, OwnError>, held: bool) -> Reply {
    match done {
        Ok(Done { publication, hold, ended, unkept }) => Reply {
            publication: Some(Box::new(publication)),
            hold: hold.filter(|_| held),
            message: unkept
                .map(|reason| format!("it is in force, but will be forgotten when the agent ends: {reason}")),
            ended,
            ..Reply::ok()
        },
        Err(OwnError::Client(error)) => refuse(&error),
        Err(error @ (OwnError::Wish(_) | OwnError::TooMany(_))) => Reply::error(2, error.to_string()),
        Err(error @ OwnError::NoSuchHold) => Reply::error(12, error.to_string()),
    }
}

fn place(listen: Option<&str>, port: Option<u16>) -> Result<Place, String> {
    if port == Some(0) {
        return Err("port 0 is no port".to_owned());
    }
    Ok(Place { listen: listen.map(str::parse).transpose()?, port })
}

pub(super) fn refuse(error: &ClientError) -> Reply {
    let code = match error {
        ClientError::Target(TargetError::Malformed { .. })
        | ClientError::Address { .. }
        | ClientError::DisplayName
        | ClientError::Tls(_) => 2,
        ClientError::Target(TargetError::Unreachable { .. }) => 6,
        ClientError::Refused(_) => 5,
        ClientError::Stopped => 11,
        ClientError::NoSuchWatcher(_) => 8,
        ClientError::Bind(_) | ClientError::Io(_) => 7,
    };
    Reply::error(code, error.to_string())
}
