//! What happens to my own status and my watchers, as lines.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tokio::sync::watch;

use super::{
    Shared,
    following::{Following, Whom},
    hooks::Hooks,
    own::Own,
};
use crate::client::{
    ClientError, Clock, Feed, Item, Kind, Line, PresenceClient, Subscribing, Via, WatcherGrade, WatcherInfo,
};

/// What happens at one account.
#[derive(Debug)]
pub(super) struct News {
    feed: Feed,
    known: Watchers,
}

impl News {
    /// Begins with how things are; returns that in lines.
    pub(super) async fn start(own: &Own, client: &PresenceClient) -> Result<(Self, Vec<Line>), ClientError> {
        let mut feed = Feed::default();
        feed.add_own(client).await?;
        feed.add_server(client).await?;
        feed.add_watchers(client).await?;
        // What comes by now is in what is asked below.
        feed.try_changed();
        let known = by_name(&client.watchers().await?);
        let mut lines = vec![own.line().await];
        lines.extend(changes(&Watchers::new(), &known));
        Ok((Self { feed, known }, lines))
    }

    /// Waits for what happens next; none when the client is gone. The numbers of the lines are the caller's.
    pub(super) async fn next(&mut self, own: &Own) -> Option<Vec<Line>> {
        let mut lines = Vec::new();
        for item in self.feed.changed().await.into_values() {
            match item {
                Item::Own(_) | Item::Server(_) => lines.push(own.line().await),
                Item::Watchers(watchers) => {
                    let now = by_name(&watchers);
                    lines.extend(changes(&self.known, &now));
                    self.known = now;
                }
                Item::Gone => return None,
                Item::Presentity { .. } | Item::Saved => {}
            }
        }
        Some(lines)
    }
}

/// Tells the hooks that are in force what happens at an account from now on, until its client is gone for good.
pub(super) async fn tell(own: &Own, hooks: &watch::Receiver<Option<Hooks>>) -> Result<(), ClientError> {
    let mut seq = 0;
    loop {
        let client = own.seat.client().await;
        if client.is_gone() {
            return Ok(());
        }
        // How things are at the start is no news.
        let (mut news, _) = News::start(own, &client).await?;
        while let Some(lines) = news.next(own).await {
            offer(hooks, lines, &mut seq);
        }
    }
}

/// Watches everybody on the list, and tells the hooks that are in force what happens to them.
pub(super) async fn tell_of_buddies(shared: &Shared, hooks: &watch::Receiver<Option<Hooks>>) {
    let (mut seq, mut accounts, mut before) = (0, shared.follow_accounts(), None);
    loop {
        accounts.borrow_and_update();
        let everybody = Following::start(shared, Whom::Everybody, Subscribing::Lasting, None, false).await;
        let Ok(mut following) = everybody else { return };
        // Only now, so that those whose account is the same stay watched.
        drop(before.take());
        loop {
            let clients = following.clients();
            let mut lines = tokio::select! {
                biased;
                () = shared.replaced(&clients) => break,
                Ok(()) = accounts.changed() => break,
                lines = following.next(shared) => lines,
            };
            let ends = lines.last().is_some_and(|line| line.kind == Kind::End);
            lines.retain(|line| matches!(line.kind, Kind::Change | Kind::Freshness));
            offer(hooks, lines, &mut seq);
            if ends {
                return;
            }
        }
        before = Some(following);
    }
}

fn offer(hooks: &watch::Receiver<Option<Hooks>>, lines: Vec<Line>, seq: &mut u64) {
    for mut line in lines {
        line.seq = *seq;
        *seq += 1;
        if let Some(hooks) = &*hooks.borrow() {
            hooks.offer(&line);
        }
    }
}

type Watchers = BTreeMap<(String, Via), WatcherInfo>;

/// One for each address: several devices of the same watcher count once, and the surest one for all.
fn by_name(watchers: &[crate::client::Watcher]) -> Watchers {
    let now = Clock::now();
    let mut all = Watchers::new();
    for info in watchers.iter().map(|watcher| watcher.to_info(now)) {
        let key = (info.who.clone(), info.via);
        if all.get(&key).is_none_or(|other| weight(other) <= weight(&info)) {
            all.insert(key, info);
        }
    }
    all
}

/// Whoever only claims to be somebody, or is not there, does not stand for them.
fn weight(watcher: &WatcherInfo) -> (WatcherGrade, bool) {
    (watcher.identity, watcher.state != "waiting")
}

/// Returns a line for each that came, went, or is seen otherwise; a refresh is no news.
fn changes(before: &Watchers, now: &Watchers) -> Vec<Line> {
    let at = Timestamp::now();
    let news = now.values().filter(|watcher| {
        before.get(&(watcher.who.clone(), watcher.via)).is_none_or(|known| {
            (&known.state, known.identity, &known.reason) != (&watcher.state, watcher.identity, &watcher.reason)
        })
    });
    let gone = before.iter().filter(|(key, _)| !now.contains_key(*key)).map(|(_, watcher)| WatcherInfo {
        state: "terminated".to_owned(),
        expires_in: None,
        ..watcher.clone()
    });
    news.cloned().chain(gone).map(|watcher| Line::watcher(0, at, watcher)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watcher(who: &str, state: &str, expires_in: u64) -> WatcherInfo {
        WatcherInfo { expires_in: Some(expires_in), ..WatcherInfo::new(who, WatcherGrade::Address, state) }
    }

    fn watchers(list: &[(&str, &str, u64)]) -> Watchers {
        let watcher = |(who, state, expires): &(&str, &str, u64)| {
            (((*who).to_owned(), Via::Direct), watcher(who, state, *expires))
        };
        list.iter().map(watcher).collect()
    }

    #[test]
    fn who_comes_goes_and_is_decided_about_is_news_and_a_refresh_is_not() {
        let before = watchers(&[("bob", "pending", 3600), ("carol", "active", 10), ("dave", "active", 5)]);
        let now = watchers(&[("alice", "pending", 60), ("bob", "active", 3500), ("carol", "active", 3600)]);
        let told: Vec<(String, String)> = changes(&before, &now)
            .into_iter()
            .filter_map(|line| line.watcher)
            .map(|watcher| (watcher.who, watcher.state))
            .collect();
        let expected = [("alice", "pending"), ("bob", "active"), ("dave", "terminated")];
        assert_eq!(told, expected.map(|(who, state)| (who.to_owned(), state.to_owned())));
    }
}
