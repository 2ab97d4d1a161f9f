//! Following people: those whom words mean, through the account that fits, as the buddy list changes.
//!
//! A `@group` and the whole list are followed as they are at each moment: who comes into them is watched from then
//! on, who leaves is not watched any more.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use tokio::sync::watch;

use super::{Shared, list::Listed};
use crate::{
    client::{
        Buddies, FailureCode, Freshness, Kind, Line, Lines, PresenceClient, PresentityState, Subscribing,
        SubscriptionInfo,
        buddy::{address_key, unknown_group},
    },
    control::Reply,
};

/// Who is followed.
#[derive(Clone, Debug)]
pub(super) enum Whom {
    /// Everybody on the list who is to be watched.
    Everybody,
    /// Buddies, `@groups` and addresses.
    Words(Vec<String>),
}

/// Somebody who is followed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Person {
    address: String,
    name: Option<String>,
    account: Option<String>,
}

impl Person {
    /// Makes the first state of somebody who cannot be watched.
    fn refused(&self, why: &Reply) -> Line {
        let words = [&why.message, &why.hint].into_iter().flatten().cloned().collect::<Vec<_>>().join("; ");
        let mut state = PresentityState::new(&self.address);
        state.name.clone_from(&self.name);
        state.freshness = Freshness::Failed(FailureCode::Connect);
        let subscription = SubscriptionInfo { state: "refused".to_owned(), reason: Some(words), ..Default::default() };
        state.subscription = Some(subscription);
        state.to_line(Kind::Snapshot, 0, Timestamp::now())
    }
}

/// People who are followed, and what happens to them.
#[derive(Debug)]
pub(super) struct Following {
    whom: Whom,
    how: Subscribing,
    /// The account through which everybody is looked at, if one was named.
    account: Option<String>,
    /// Those through which anybody is looked at, by their addresses.
    clients: BTreeMap<String, PresenceClient>,
    lines: Lines,
    places: BTreeMap<Person, u64>,
    /// Who cannot be watched as things are, and why.
    refused: BTreeMap<Person, Box<Reply>>,
    listed: watch::Receiver<Listed>,
    trouble: Option<String>,
    /// Whether the list itself is told, and not only what happens to those on it.
    tells_list: bool,
    /// What is to be told at once.
    due: Vec<Line>,
}

impl Following {
    /// Begins to follow.
    ///
    /// # Errors
    /// When a group is not there, with the answer that says so.
    pub(super) async fn start(
        shared: &Shared,
        whom: Whom,
        how: Subscribing,
        account: Option<String>,
        tells_list: bool,
    ) -> Result<Self, Box<Reply>> {
        let mut listed = shared.list.follow();
        let list = listed.borrow_and_update().list.clone();
        if let Whom::Words(words) = &whom
            && let Some(group) = words.iter().find(|word| is_unknown_group(&list, word))
        {
            let (message, hint) = unknown_group(&list, group);
            return Err(Box::new(Reply::error(2, message).with_hint(hint)));
        }
        let (lines, places, clients) = (Lines::new(), BTreeMap::new(), BTreeMap::new());
        let (refused, trouble, due) = (BTreeMap::new(), None, Vec::new());
        let mut this = Self { whom, how, account, clients, lines, places, refused, listed, trouble, tells_list, due };
        this.keep_up(shared).await;
        Ok(this)
    }

    /// Returns why a command that asks for this is better refused: somebody whom it names cannot be watched, or somebody
    /// on the list not from here, but perhaps by the command itself.
    pub(super) fn refusal(&self) -> Option<&Reply> {
        let is_named = matches!(self.whom, Whom::Words(_));
        self.refused.values().map(|why| &**why).find(|why| is_named || why.elsewhere)
    }

    /// Returns whether everybody has had a first state.
    pub(super) fn is_ready(&self) -> bool {
        self.lines.is_ready()
    }

    /// Returns those through which anybody is looked at.
    pub(super) fn clients(&self) -> Vec<PresenceClient> {
        self.clients.values().cloned().collect()
    }

    /// Makes the line that says that nothing follows.
    pub(super) fn end(&mut self) -> Line {
        self.lines.end()
    }

    /// Waits for what happens next; a list that ends with `end` is the last. The numbers of the lines are the
    /// caller's.
    pub(super) async fn next(&mut self, shared: &Shared) -> Vec<Line> {
        loop {
            if !self.due.is_empty() {
                return std::mem::take(&mut self.due);
            }
            tokio::select! {
                lines = self.lines.next() => return lines,
                Ok(()) = self.listed.changed() => {}
            }
            self.keep_up(shared).await;
        }
    }

    /// Watches whoever came, and nobody any more who left; whoever cannot be watched has failed, and says why.
    async fn keep_up(&mut self, shared: &Shared) {
        let Listed { list, trouble, .. } = self.listed.borrow_and_update().clone();
        if self.trouble != trouble {
            if let Some(trouble) = &trouble {
                self.due.push(Line::error(
                    0,
                    Timestamp::now(),
                    None,
                    format!("the buddy list stays as it was: {trouble}"),
                ));
            }
            self.trouble = trouble;
        }
        if self.tells_list {
            self.due.push(Line::buddies(0, Timestamp::now(), &list));
        }
        let wanted = people(&list, &self.whom);
        let mut refused = BTreeMap::new();
        // Before anybody leaves, so that who only has another name stays watched.
        for person in &wanted {
            if self.places.contains_key(person) {
                continue;
            }
            match self.watch(shared, person).await {
                Ok(place) => drop(self.places.insert(person.clone(), place)),
                Err(why) => {
                    if !self.refused.contains_key(person) {
                        self.due.push(person.refused(&why));
                    }
                    refused.insert(person.clone(), why);
                }
            }
        }
        self.refused = refused;
        let wanted: BTreeSet<Person> = wanted.into_iter().collect();
        let gone: Vec<Person> = self.places.keys().filter(|person| !wanted.contains(*person)).cloned().collect();
        for person in gone {
            if let Some(place) = self.places.remove(&person) {
                self.lines.remove(place);
            }
        }
        self.due.extend(self.lines.ready());
    }

    async fn watch(&mut self, shared: &Shared, person: &Person) -> Result<u64, Box<Reply>> {
        let client = self.client(shared, person).await?;
        if !client.reaches(&person.address) {
            return Err(Box::new(Reply::elsewhere(&person.address)));
        }
        let added = self.lines.add_buddy(&client, &person.address, person.name.as_deref(), self.how).await;
        let place = added.map_err(|error| Box::new(super::requests::refuse(&error)))?;
        self.clients.insert(client.address().to_owned(), client);
        Ok(place)
    }

    /// Returns the client through which somebody is looked at: of the account that was named, of the buddy's own, of
    /// the one whose domain it is, else of the one that is used where none is named.
    async fn client(&self, shared: &Shared, person: &Person) -> Result<PresenceClient, Box<Reply>> {
        let seats = shared.kept.seats();
        if let Some(name) = self.account.as_ref().or(person.account.as_ref()) {
            let Some(seat) = seats.iter().find(|seat| seat.name == *name) else {
                let message = format!("{}: the agent has no account {name:?}", person.address);
                return Err(Box::new(
                    Reply::error(3, message).with_hint("`sippresence agent status` lists its accounts"),
                ));
            };
            return Ok(seat.client().await);
        }
        for seat in seats.iter() {
            let client = seat.client().await;
            if client.serves(&person.address) {
                return Ok(client);
            }
        }
        Ok(shared.usual().client().await)
    }
}

fn is_unknown_group(list: &Buddies, word: &str) -> bool {
    word.strip_prefix('@').is_some_and(|group| list.group(group).is_none())
}

/// Returns whom words mean, each one once.
fn people(list: &Buddies, whom: &Whom) -> Vec<Person> {
    let of_buddy = |buddy: &crate::client::Buddy| Person {
        address: buddy.address.clone(),
        name: buddy.name.clone(),
        account: buddy.account.clone(),
    };
    let all: Vec<Person> = match whom {
        Whom::Everybody => list.watched().map(of_buddy).collect(),
        Whom::Words(words) => {
            let of_word = |word: &String| match word.strip_prefix('@') {
                Some(group) => {
                    let members = list.group(group).unwrap_or_default();
                    members.into_iter().filter(|buddy| buddy.watch).map(of_buddy).collect()
                }
                None => vec![
                    list.find(word)
                        .map_or_else(|| Person { address: word.clone(), name: None, account: None }, of_buddy),
                ],
            };
            words.iter().flat_map(of_word).collect()
        }
    };
    let mut seen = BTreeSet::new();
    all.into_iter().filter(|person| seen.insert((address_key(&person.address), person.account.clone()))).collect()
}
