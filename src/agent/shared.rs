//! What the handlers of requests share: the accounts, the files, and how all of it ends.

use std::{
    collections::BTreeMap,
    future::{pending, poll_fn},
    sync::{
        Arc, Mutex as StdMutex,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
};

use jiff::Timestamp;
use tokio::{
    sync::{Mutex, mpsc, watch},
    task::JoinSet,
};
use tracing::{debug, warn};

use super::{Configured, Ended, Order, hooks::Hooks, kept::Kept, list::List, lock, news, own::Own, seat::Seat};
use crate::{
    client::{Policy, PresenceClient},
    config::{self, Paths},
};

/// See the module's text.
#[derive(Debug)]
pub(super) struct Shared {
    /// My status at each account; the one that is used where none is named comes first.
    own: StdMutex<Arc<[Arc<Own>]>>,
    pub(super) kept: Arc<Kept>,
    pub(super) list: List,
    pub(super) paths: Paths,
    /// None in a `demo`, which has no files to be read again.
    pub(super) configured: Option<StdMutex<Configured>>,
    /// What the configuration says about the policy.
    pub(super) how: StdMutex<config::Policy>,
    /// The policy that was put in force last, once one was.
    pub(super) policy: StdMutex<Option<Policy>>,
    /// Why the policy file, as it is now, is not in force.
    pub(super) policy_problem: StdMutex<Option<String>>,
    /// Held by whoever changes what the files say, or puts it in force.
    pub(super) deciding: Mutex<()>,
    /// Held by whoever tells the servers what the files say.
    pub(super) sharing: Mutex<()>,
    pub(super) hooks: watch::Sender<Option<Hooks>>,
    pub(super) orders: mpsc::Sender<Order>,
    pub(super) since: Timestamp,
    /// Told when there are other accounts.
    accounts: watch::Sender<()>,
    /// What is done for each account besides answering.
    tasks: StdMutex<BTreeMap<String, JoinSet<()>>>,
    ends: AtomicBool,
}

impl Shared {
    pub(super) fn new(
        kept: Kept,
        list: List,
        paths: Paths,
        configured: Option<Configured>,
        hooks: Option<Hooks>,
        orders: mpsc::Sender<Order>,
    ) -> Self {
        let how = configured.as_ref().map(|configured| configured.settings.policy);
        let kept = Arc::new(kept);
        let own = kept.seats().iter().map(|seat| Arc::new(Own::new(Arc::clone(seat), Arc::clone(&kept)))).collect();
        Self {
            own: StdMutex::new(own),
            kept,
            list,
            paths,
            configured: configured.map(StdMutex::new),
            how: StdMutex::new(how.unwrap_or_default()),
            policy: StdMutex::default(),
            policy_problem: StdMutex::default(),
            deciding: Mutex::default(),
            sharing: Mutex::default(),
            hooks: watch::Sender::new(hooks),
            orders,
            since: Timestamp::now(),
            accounts: watch::Sender::default(),
            tasks: StdMutex::default(),
            ends: AtomicBool::new(false),
        }
    }

    /// Returns my status at each account that there is now.
    pub(super) fn own(&self) -> Arc<[Arc<Own>]> {
        Arc::clone(&lock(&self.own))
    }

    /// Returns the account that is used where none is named.
    pub(super) fn usual(&self) -> Arc<Seat> {
        Arc::clone(&lock(&self.own)[0].seat)
    }

    /// Has other accounts from now on; at least one.
    pub(super) fn take_over(&self, own: Vec<Arc<Own>>) {
        let is_other = {
            let before = lock(&self.own);
            before.len() != own.len() || before.iter().zip(&own).any(|(before, now)| !Arc::ptr_eq(before, now))
        };
        self.kept.take_over(own.iter().map(|own| Arc::clone(&own.seat)).collect());
        *lock(&self.own) = own.into();
        if is_other {
            self.accounts.send_replace(());
        }
    }

    /// Returns a reader that is told when there are other accounts.
    pub(super) fn follow_accounts(&self) -> watch::Receiver<()> {
        self.accounts.subscribe()
    }

    /// Ends holds of an account, shows what was kept there, and tells its news, from now on.
    pub(super) fn look_after(self: &Arc<Self>, own: Arc<Own>) {
        let (name, hooks) = (own.seat.name.clone(), self.hooks.subscribe());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let holds = async {
                if let Err(error) = own.end_holds().await {
                    warn!(%error, "holds end no more by themselves");
                }
            };
            let kept = async {
                if let Err(error) = own.show_kept().await {
                    debug!(%error, "what was kept is not shown");
                }
            };
            // A client that is gone has no news.
            let news = async { drop(news::tell(&own, &hooks).await) };
            tokio::join!(holds, kept, news);
        });
        lock(&self.tasks).insert(name, tasks);
    }

    /// Looks after an account no more.
    pub(super) fn leave_alone(&self, name: &str) {
        lock(&self.tasks).remove(name);
    }

    /// Waits until the usual account has no client any more, and none in its place.
    pub(super) async fn gone(&self) {
        loop {
            self.usual().client_now().gone().await;
            // While files are put in force, clients go and come.
            let _deciding = self.deciding.lock().await;
            if self.usual().client_now().is_gone() {
                return;
            }
        }
    }

    /// Waits until one of these clients is gone while the agent goes on: it began anew, or its account is not there any
    /// more.
    pub(super) async fn replaced(&self, clients: &[PresenceClient]) {
        let mut gone: Vec<_> = clients.iter().map(|client| Box::pin(client.gone())).collect();
        poll_fn(|context| {
            let any = gone.iter_mut().any(|gone| gone.as_mut().poll(context).is_ready());
            if any { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        if self.ends.load(Ordering::Relaxed) {
            pending::<()>().await;
        }
    }

    /// Ends every account.
    pub(super) async fn end(&self, ended: &Ended, mut connections: JoinSet<()>) {
        // Whoever puts accounts in their places comes to an end before.
        let _deciding = self.deciding.lock().await;
        let seats = self.kept.seats();
        match ended {
            Ended::Offline => {
                self.ends.store(true, Ordering::Relaxed);
                // Told over the connections too, which end by themselves; all at once, for each may take its time.
                let mut goodbyes = JoinSet::new();
                for (place, seat) in seats.iter().cloned().enumerate() {
                    goodbyes.spawn(async move { (place, seat.stop().await) });
                }
                let mut remembered = goodbyes.join_all().await;
                remembered.sort_by_key(|(place, _)| *place);
                self.kept.last(remembered.into_iter().map(|(_, watchers)| watchers).collect(), false).await;
            }
            Ended::ToRestart(_) => {
                // Cut off, not told that it is over: whoever listens will be answered again.
                connections.shutdown().await;
                let mut watchers = Vec::new();
                for seat in seats.iter() {
                    watchers.push(seat.client_now().halt().await.ok());
                }
                self.kept.last(watchers, true).await;
            }
        }
        lock(&self.tasks).clear();
    }
}
