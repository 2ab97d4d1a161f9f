//! What happens to an agent, as lines for its hooks: my status, and who watches me.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tokio::sync::watch;

use super::{hooks::Hooks, own::Own};
use crate::client::{ClientError, Clock, Feed, Item, Line, WatcherInfo};

/// Tells the hooks that are in force what happens from now on, until the client is gone.
pub(super) async fn tell(own: &Own, hooks: &watch::Receiver<Option<Hooks>>) -> Result<(), ClientError> {
    let client = &own.seat.client;
    let mut feed = Feed::default();
    feed.add_own(client).await?;
    feed.add_server(client).await?;
    feed.add_watchers(client).await?;
    let mut known = by_name(&client.watchers().await?);
    // How things are when an agent starts is no news.
    feed.try_changed();
    let mut seq = 0;
    loop {
        for item in feed.changed().await.into_values() {
            let lines = match item {
                Item::Own(_) | Item::Server(_) => vec![own.line().await],
                Item::Watchers(watchers) => {
                    let now = by_name(&watchers);
                    let lines = changes(&known, &now);
                    known = now;
                    lines
                }
                Item::Gone => return Ok(()),
                _ => Vec::new(),
            };
            for mut line in lines {
                line.seq = seq;
                seq += 1;
                if let Some(hooks) = &*hooks.borrow() {
                    hooks.offer(&line);
                }
            }
        }
    }
}

type Watchers = BTreeMap<String, WatcherInfo>;

/// One for each address: several devices of the same watcher count once.
fn by_name(watchers: &[crate::client::Watcher]) -> Watchers {
    let now = Clock::now();
    watchers.iter().map(|watcher| (watcher.who.clone(), watcher.to_info(now))).collect()
}

/// Returns a line for each that came, went, or is seen otherwise; a refresh is no news.
fn changes(before: &Watchers, now: &Watchers) -> Vec<Line> {
    let at = Timestamp::now();
    let news = now.values().filter(|watcher| {
        before.get(&watcher.who).is_none_or(|known| {
            (&known.state, known.identity, &known.reason) != (&watcher.state, watcher.identity, &watcher.reason)
        })
    });
    let gone = before.values().filter(|watcher| !now.contains_key(&watcher.who)).map(|watcher| WatcherInfo {
        state: "terminated".to_owned(),
        expires_in: None,
        ..watcher.clone()
    });
    news.cloned().chain(gone).map(|watcher| Line::watcher(0, at, watcher)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::WatcherGrade;

    fn watcher(who: &str, state: &str, expires_in: u64) -> WatcherInfo {
        WatcherInfo {
            who: who.into(),
            display_name: None,
            identity: WatcherGrade::Address,
            state: state.into(),
            reason: None,
            since: None,
            expires_in: Some(expires_in),
        }
    }

    fn watchers(list: &[(&str, &str, u64)]) -> Watchers {
        list.iter().map(|(who, state, expires)| ((*who).to_owned(), watcher(who, state, *expires))).collect()
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
