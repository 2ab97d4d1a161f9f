//! Our own server: the publication that we keep there.
//!
//! Outcomes find their machine here. Whether there is a server, and what it is told when, is left to
//! the rest of the core.

use crate::sip::{
    endpoint::Failure,
    events::{
        Step, User,
        publisher::{PublicationId, Publisher},
    },
    message::Message,
    time::Instant,
};

/// What is kept at our own server, if we have one.
#[derive(Debug, Default)]
pub(super) struct Uplink {
    pub(super) publisher: Option<Publisher>,
}

impl Uplink {
    fn publisher(&mut self, id: PublicationId) -> Option<&mut Publisher> {
        self.publisher.as_mut().filter(|publisher| publisher.id() == id)
    }

    /// Takes a response to a request of it.
    pub(super) fn response(&mut self, user: User, message: &Message<'_>, step: &mut Step<'_>) {
        match user {
            User::Publisher(id, attempt) => {
                if let Some(publisher) = self.publisher(id) {
                    publisher.response(attempt, message, step);
                }
            }
            User::Subscriber(..) | User::Notifier(..) => {}
        }
    }

    /// A request of it came to nothing.
    pub(super) fn failed(&mut self, user: User, failure: Failure, step: &mut Step<'_>) {
        match user {
            User::Publisher(id, attempt) => {
                if let Some(publisher) = self.publisher(id) {
                    publisher.failed(attempt, failure, step);
                }
            }
            User::Subscriber(..) | User::Notifier(..) => {}
        }
    }

    /// Gives the number under which a challenged request of it goes again.
    pub(super) fn renumber(&mut self, user: User) -> Option<u32> {
        match user {
            User::Publisher(id, attempt) => self.publisher(id)?.renumber(attempt),
            User::Subscriber(..) | User::Notifier(..) => None,
        }
    }

    /// The machine slept, or its addresses changed.
    pub(super) fn resumed(&mut self, step: &mut Step<'_>) {
        if let Some(publisher) = &mut self.publisher {
            publisher.resumed(step);
        }
    }

    /// Runs what is due.
    pub(super) fn tick(&mut self, step: &mut Step<'_>) {
        if let Some(publisher) = &mut self.publisher {
            publisher.tick(step);
        }
    }

    /// Returns when [`tick`](Self::tick) has something to do.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.publisher.as_ref()?.deadline()
    }
}
