//! What handles ask of the loop, and who reads what.

use std::sync::{Arc, Weak};

use jiff::Timestamp;
use tokio::sync::oneshot;

use super::{
    super::{
        Action, Policy, Published,
        feed::{Item, Slot},
        login::{Secrets, uris_of},
    },
    Driver,
};
use crate::{
    presence::{
        core::{
            Input, Inquiry, Key, Linked, Now, OwnPresence, Preview, Refused, SavedServing, Server, Subscribing,
            WatchId, Watcher,
        },
        event::WatcherGrade,
        history::Person,
    },
    sip::{events::conditional::Savings, probe, uri::Uri},
};

/// What a handle asks of the loop.
#[derive(Debug)]
pub(in crate::client) enum Command {
    Publish(Box<Published>, oneshot::Sender<()>),
    Clear(oneshot::Sender<()>),
    Own(oneshot::Sender<Arc<OwnPresence>>),
    Linked(oneshot::Sender<Arc<Linked>>),
    SetServer(Uri, Box<Server>, oneshot::Sender<()>),
    Republish(oneshot::Sender<bool>),
    Inquire(Box<Inquiry>, oneshot::Sender<Result<probe::Answer, Refused>>),
    Watch {
        uri: Uri,
        presentity: String,
        how: Subscribing,
        slot: Weak<Slot>,
        place: u64,
        reply: oneshot::Sender<WatchId>,
    },
    Follow {
        key: Key,
        slot: Weak<Slot>,
        place: u64,
        reply: oneshot::Sender<()>,
    },
    Decide(String, Option<Action>, oneshot::Sender<()>),
    SetPolicy(Policy, oneshot::Sender<()>),
    SetPeers(Secrets, oneshot::Sender<()>),
    Preview(String, Option<WatcherGrade>, Timestamp, oneshot::Sender<Preview>),
    Watchers(oneshot::Sender<Vec<Watcher>>),
    Savings(oneshot::Sender<(Savings, Savings)>),
    WatcherHistory(oneshot::Sender<Vec<Person>>),
    ForgetWatcher(String, oneshot::Sender<()>),
    Saved(oneshot::Sender<SavedServing>),
    Realm(oneshot::Sender<Option<String>>),
    Resumed(oneshot::Sender<()>),
    Halt(oneshot::Sender<SavedServing>),
    Stop(oneshot::Sender<()>),
}

/// One reader of one thing went away.
#[derive(Debug)]
pub(in crate::client) struct Release {
    pub(in crate::client) id: WatchId,
    pub(in crate::client) slot: Weak<Slot>,
    pub(in crate::client) place: u64,
}

#[derive(Debug)]
pub(super) struct Reader {
    pub(super) slot: Weak<Slot>,
    pub(super) place: u64,
}

impl Driver {
    pub(super) fn command(&mut self, command: Command, now: Now) {
        // Whoever asked may have stopped waiting; then nobody needs the answer.
        match command {
            Command::Publish(published, reply) => {
                self.core.publish(*published, now, &mut self.out);
                let _ = reply.send(());
            }
            Command::Clear(reply) => {
                self.core.clear(now, &mut self.out);
                let _ = reply.send(());
            }
            Command::Own(reply) => {
                let _ = reply.send(self.core.own());
            }
            Command::Linked(reply) => {
                let _ = reply.send(self.core.linked());
            }
            Command::SetServer(address, server, reply) => {
                self.core.set_server(address, *server, now, &mut self.out);
                let _ = reply.send(());
            }
            Command::Republish(reply) => {
                let _ = reply.send(self.core.republish(now, &mut self.out));
            }
            Command::Inquire(inquiry, reply) => {
                let id = self.core.inquire(*inquiry, now, &mut self.out);
                self.asking.insert(id, reply);
            }
            Command::Watch { uri, presentity, how, slot, place, reply } => {
                let id = self.core.watch(uri, &presentity, how, now, &mut self.out);
                let unheard = Weak::clone(&slot);
                self.follow(Key::Watch(id), slot, place);
                if let Err(id) = reply.send(id) {
                    self.release(&Release { id, slot: unheard, place }, now);
                }
            }
            Command::Follow { key, slot, place, reply } => {
                self.follow(key, slot, place);
                let _ = reply.send(());
            }
            Command::Decide(who, action, reply) => {
                let mut policy = self.core.policy().clone();
                match action {
                    Some(action) => policy.set(&who, action),
                    None => policy.forget(&who),
                }
                self.core.set_policy(policy, now, &mut self.out);
                if action.is_none() {
                    self.core.forget_watcher(&who, now, &mut self.out);
                }
                let _ = reply.send(());
            }
            Command::SetPolicy(policy, reply) => {
                self.core.set_policy(policy, now, &mut self.out);
                let _ = reply.send(());
            }
            Command::SetPeers(secrets, reply) => {
                let accounts = self.core.set_peers(&uris_of(&secrets), now, &mut self.out);
                self.share(accounts, secrets);
                let _ = reply.send(());
            }
            Command::Preview(who, grade, at, reply) => {
                let _ = reply.send(self.core.preview(&who, grade, at));
            }
            Command::Watchers(reply) => {
                let _ = reply.send(self.core.watchers());
            }
            Command::Savings(reply) => {
                let _ = reply.send(self.core.savings());
            }
            Command::WatcherHistory(reply) => {
                let _ = reply.send(self.core.watcher_history(now));
            }
            Command::ForgetWatcher(who, reply) => {
                self.core.forget_watcher(&who, now, &mut self.out);
                let _ = reply.send(());
            }
            Command::Saved(reply) => {
                let _ = reply.send(self.core.saved(now));
            }
            Command::Realm(reply) => {
                let _ = reply.send(self.core.realm().map(str::to_owned));
            }
            Command::Resumed(reply) => {
                self.core.handle(Input::Resumed, now, &mut self.out);
                let _ = reply.send(());
            }
            // These end the loop.
            Command::Stop(_) | Command::Halt(_) => {}
        }
    }

    /// Takes a reader away, and with the last one the watch.
    pub(super) fn release(&mut self, release: &Release, now: Now) {
        if let Some(readers) = self.readers.get_mut(&Key::Watch(release.id)) {
            readers.retain(|reader| !(reader.slot.ptr_eq(&release.slot) && reader.place == release.place));
            if readers.is_empty() {
                self.readers.remove(&Key::Watch(release.id));
            }
        }
        self.core.unwatch(release.id, now, &mut self.out);
    }

    /// Adds a reader, who begins with the newest state.
    fn follow(&mut self, key: Key, slot: Weak<Slot>, place: u64) {
        let item = self.item(key);
        if let (Some(slot), Some(item)) = (slot.upgrade(), item) {
            slot.put(place, item);
        }
        self.readers.entry(key).or_default().push(Reader { slot, place });
    }

    fn item(&self, key: Key) -> Option<Item> {
        Some(match key {
            Key::Watch(id) => Item::Presentity { state: self.core.state(id)?, settled: self.core.is_settled(id) },
            Key::Own => Item::Own(self.core.own()),
            Key::Watchers => Item::Watchers(Arc::new(self.core.watchers())),
            Key::Server => Item::Server(self.core.linked()),
            Key::Saved => Item::Saved,
        })
    }

    pub(super) fn tell(&mut self, key: Key) {
        let Some(item) = self.readers.contains_key(&key).then(|| self.item(key)).flatten() else { return };
        if let Some(readers) = self.readers.get_mut(&key) {
            readers.retain(|reader| {
                let slot = reader.slot.upgrade();
                if let Some(slot) = &slot {
                    slot.put(reader.place, item.clone());
                }
                slot.is_some()
            });
        }
    }
}
