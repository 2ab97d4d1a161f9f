//! My own status: what was set and held, published as it changes, kept, ended when its time comes.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use jiff::{Timestamp, Zoned};
use tokio::{sync::Notify, time::sleep};
use tracing::debug;

use super::{AgentError, kept::Kept, opened::Common, seat::Seat};
use crate::{
    client::{
        Activity, ClientError, Clock, Hold, Holds, Lasts, Line, Linked, Now, Published, Sleeper, StatusArg,
        TooManyHolds, WallSleeper, text,
    },
    config::{Account, parse_duration, parse_until},
};

/// The longest time that a status can be held: whoever needs more sets it.
const LONGEST: Duration = Duration::from_hours(24 * 365);

/// My own status and what becomes of it.
#[derive(Debug)]
pub(super) struct Own {
    pub(super) seat: Arc<Seat>,
    kept: Arc<Kept>,
    /// Held from a change until it is published: what was decided last is published last.
    changing: tokio::sync::Mutex<()>,
    /// What was kept is not shown yet.
    silent: AtomicBool,
    /// Another hold may be the next to end.
    rescheduled: Notify,
}

/// How long whoever started us to set a status may take.
const SET_WITHIN: Duration = Duration::from_secs(3);

/// How long a command waits for the word of the server.
const SERVER_WITHIN: Duration = Duration::from_secs(4);

/// What is to be set.
#[derive(Debug)]
pub struct Wish<'a> {
    /// The status, as `busy` or `meeting`.
    pub status: &'a str,
    /// The words beside it.
    pub note: Option<String>,
    /// Names of RPID activities.
    pub activities: &'a [String],
    /// The part of life that I am in, such as `work`: rules may go by it.
    pub sphere: Option<&'a str>,
    /// How long it is held, as `45m`.
    pub length: Option<&'a str>,
    /// Until when it is held, as `17:30` or a timestamp.
    pub until: Option<&'a str>,
    /// Whether it is held until its holder is gone.
    pub held: bool,
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Done {
    /// The line that tells my status now.
    pub(super) publication: Line,
    /// The name of the hold, if it is one.
    pub(super) hold: Option<String>,
    /// How many holds ended by it.
    pub(super) ended: usize,
    /// Why it will be forgotten when the agent ends, if so.
    pub(super) unkept: Option<String>,
}

/// Why it could not be done.
#[derive(Debug, thiserror::Error)]
pub(super) enum OwnError {
    #[error("{0}")]
    Wish(String),
    #[error(transparent)]
    TooMany(#[from] TooManyHolds),
    #[error("there is no such hold: a plain `set` or `clear` ended it")]
    NoSuchHold,
    #[error(transparent)]
    Client(#[from] ClientError),
}

impl Own {
    /// Takes charge of a status that is published as it is.
    pub(super) fn new(seat: Arc<Seat>, kept: Arc<Kept>) -> Self {
        let silent = AtomicBool::new(seat.quiet);
        Self { seat, kept, changing: tokio::sync::Mutex::default(), silent, rescheduled: Notify::new() }
    }

    /// Sets a status, or holds it for a while.
    ///
    /// A hold gets the name `id`.
    pub(super) async fn set(&self, wish: &Wish<'_>, id: &str) -> Result<Done, OwnError> {
        let change = Change::read(wish)?;
        let (mut hold, mut ended) = (None, 0);
        let unkept = self
            .change(true, |holds, now| {
                (hold, ended) = change.make(holds, id, now)?;
                Ok(())
            })
            .await?;
        Ok(Done { publication: self.line().await, hold, ended, unkept })
    }

    /// Forgets everything that was set.
    pub(super) async fn clear(&self) -> Result<Done, OwnError> {
        let mut ended = 0;
        let unkept = self
            .change(true, |holds, _| {
                ended = holds.holds().len();
                holds.clear();
                Ok(())
            })
            .await?;
        Ok(Done { publication: self.line().await, hold: None, ended, unkept })
    }

    /// Tells the server again what it keeps of me, and waits for its word.
    pub(super) async fn again(&self) -> Result<Done, OwnError> {
        let mut unkept = None;
        let client = self.seat.client().await;
        if client.republish().await? {
            client.published_within(SERVER_WITHIN).await?;
            unkept = self.kept.now().await.err();
        }
        Ok(Done { publication: self.line().await, hold: None, ended: 0, unkept })
    }

    /// Ends a hold.
    pub(super) async fn release(&self, id: &str) -> Result<Done, OwnError> {
        let end = |holds: &mut Holds, now| if holds.end(id, now) { Ok(()) } else { Err(OwnError::NoSuchHold) };
        let unkept = self.change(false, end).await?;
        Ok(Done { publication: self.line().await, hold: None, ended: 1, unkept })
    }

    /// Gives a hold back to its holder.
    pub(super) async fn claim(&self, id: &str) -> Result<Done, OwnError> {
        if !self.seat.holds().claim(id) {
            return Err(OwnError::NoSuchHold);
        }
        self.rescheduled.notify_one();
        Ok(Done { publication: self.line().await, hold: Some(id.to_owned()), ended: 0, unkept: None })
    }

    /// Returns the line that tells my status.
    pub(super) async fn line(&self) -> Line {
        line(&self.seat).await
    }

    /// Changes what is set, publishes what shows for it, and keeps it; returns why it could not be kept.
    ///
    /// With `anew` it is published even if the same shows as before: who sets a status says that it is so now.
    async fn change(
        &self,
        anew: bool,
        what: impl FnOnce(&mut Holds, Now) -> Result<(), OwnError>,
    ) -> Result<Option<String>, OwnError> {
        let changing = self.changing.lock().await;
        let (before, after) = {
            let mut holds = self.seat.holds();
            let before = holds.shown().cloned();
            what(&mut holds, now())?;
            (before, holds.shown().cloned())
        };
        let silent = self.silent.swap(false, Ordering::Relaxed);
        let client = self.seat.client().await;
        if anew || silent || before != after {
            match after {
                Some(published) => client.publish(published).await?,
                None => client.clear().await?,
            }
        }
        drop(changing);
        self.rescheduled.notify_one();
        let kept = self.kept.now().await.err();
        // Known at once more often than not; what takes longer goes on without the command.
        match client.published_within(SERVER_WITHIN).await {
            // The name that it has at the server is kept too: without, the next run would add a twin (PUB-20).
            Ok(Some(_)) => Ok(self.kept.now().await.err()),
            // A client that began anew meanwhile goes on with it.
            Ok(None) | Err(ClientError::Stopped) => Ok(kept),
            Err(error) => Err(error.into()),
        }
    }

    /// Has the client begin anew, made of what is configured now; see [`Seat::begin_anew`]. What is set meanwhile is set
    /// afterwards.
    pub(super) async fn begin_anew(
        &self,
        common: &Common<'_>,
        account: Option<(&str, &Account)>,
    ) -> Result<(), AgentError> {
        let _changing = self.changing.lock().await;
        let common =
            Common { key: common.key.clone(), traced_as: None, quiet: self.silent.load(Ordering::Relaxed), ..*common };
        let keep = async {
            // Why not stands in the log, and in the agent's status.
            let _ = self.kept.now().await;
        };
        self.seat.begin_anew(&common, account, keep).await?;
        self.kept.renewed();
        Ok(())
    }

    /// Shows what was kept if nothing was set after all.
    pub(super) async fn show_kept(&self) -> Result<(), OwnError> {
        if self.silent.load(Ordering::Relaxed) {
            sleep(SET_WITHIN).await;
        }
        // Nothing that is set is shown by this but what waits for it.
        if self.silent.load(Ordering::Relaxed) {
            self.change(false, |_, _| Ok(())).await?;
        }
        Ok(())
    }

    /// Ends holds when their time comes, for as long as it is polled.
    pub(super) async fn end_holds(&self) -> io::Result<()> {
        let (mut sleeper, mut wall) = (Sleeper::new()?, WallSleeper::new()?);
        loop {
            let (measured, of_day) = self.seat.holds().next_ends();
            let of_day =
                of_day.map(|at| Duration::try_from(at.duration_since(Timestamp::UNIX_EPOCH)).unwrap_or_default());
            tokio::select! {
                () = self.rescheduled.notified() => continue,
                slept = sleeper.until(measured) => slept?,
                // Also when the clock was set: then what is kept of a length has another end.
                slept = wall.until(of_day) => slept?,
            }
            let expire = |holds: &mut Holds, now| {
                holds.expire(now);
                Ok(())
            };
            if let Err(error) = self.change(false, expire).await {
                debug!(%error, "a hold ended after its agent");
                return Ok(());
            }
        }
    }
}

/// Returns the line that tells my status at an account.
pub(super) async fn line(seat: &Seat) -> Line {
    let now = now();
    let client = seat.client().await;
    let linked = client.linked().await.unwrap_or_default();
    let mut line = Line::publication(0, now.wall, client.address(), &seat.holds(), now);
    line.addresses = client.uris();
    line.addresses.extend(client.tls_uris());
    line.server = (*linked != Linked::default()).then(|| Linked::clone(&linked));
    line
}

/// A wish that makes sense.
pub(super) struct Change {
    published: Published,
    lasts: Option<Span>,
}

impl Change {
    pub(super) fn read(wish: &Wish<'_>) -> Result<Self, OwnError> {
        Ok(Self { published: read(wish)?, lasts: lasts(wish)? })
    }

    /// Changes what is set; returns the name of the hold, if it is one, and how many ended by it.
    pub(super) fn make(self, holds: &mut Holds, id: &str, now: Now) -> Result<(Option<String>, usize), TooManyHolds> {
        let Self { published, lasts } = self;
        let Some(lasts) = lasts else { return Ok((None, holds.set(published, now))) };
        holds.add(Hold { id: id.to_owned(), published, lasts: lasts.starting(now) }, now)?;
        Ok((Some(id.to_owned()), 0))
    }
}

/// A [`Lasts`] that has not begun.
enum Span {
    For(Duration),
    Until(Timestamp),
    While,
}

impl Span {
    fn starting(self, now: Now) -> Lasts {
        match self {
            Self::For(length) => Lasts::of_length(length, now),
            Self::Until(until) => Lasts::Until(until),
            Self::While => Lasts::While { claim_by: None },
        }
    }
}

fn read(wish: &Wish<'_>) -> Result<Published, OwnError> {
    let chosen = StatusArg::parse(wish.status).map_err(|error| OwnError::Wish(error.to_string()))?;
    let mut published = Published::new(chosen.status, Timestamp::now());
    published.note = wish.note.clone().or(chosen.note);
    published.activities = chosen.activities;
    published.sphere = wish.sphere.map(text::clean_note).filter(|sphere| !sphere.is_empty());
    for name in wish.activities {
        let unknown = || OwnError::Wish(format!("unknown activity {name:?}: it is no RPID name, as `meeting` is"));
        published.activities.push(Activity::from_name(name).ok_or_else(unknown)?);
    }
    Ok(published)
}

fn lasts(wish: &Wish<'_>) -> Result<Option<Span>, OwnError> {
    let bad = |error: String| OwnError::Wish(error);
    match (wish.length, wish.until, wish.held) {
        (None, None, false) => Ok(None),
        (Some(length), None, false) => {
            let length = parse_duration(length).map_err(|error| bad(error.to_string()))?;
            if length.is_zero() || length > LONGEST {
                return Err(bad("a status can be held for a second to a year; leave the time out to set it".into()));
            }
            Ok(Some(Span::For(length)))
        }
        (None, Some(until), false) => {
            let until = parse_until(until, &Zoned::now()).map_err(|error| bad(error.to_string()))?;
            Ok(Some(Span::Until(until.timestamp())))
        }
        (None, None, true) => Ok(Some(Span::While)),
        _ => Err(bad("`for`, `until` and `while` exclude each other".into())),
    }
}

/// Returns the moment, on both clocks.
pub(super) fn now() -> Now {
    Now { at: Clock::now(), wall: Timestamp::now() }
}
