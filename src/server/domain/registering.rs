//! REGISTER: where somebody is reached (RFC 3261 §10.3; ESC-16).

use super::{Arrived, Domain, Outbox, domain_of, later};
use crate::{
    presence::core::Now,
    sip::{events::compositor::Refusal, header::Name},
};

impl Domain {
    pub(super) fn register_received(&mut self, arrived: Arrived<'_, '_>, now: Now, out: &mut Outbox) {
        if let Err(refusal) = self.register(arrived, now, out) {
            self.refuse(arrived, &refusal, now, out);
        }
    }

    /// Takes a REGISTER, and answers it unless that is left to do.
    fn register(&mut self, arrived: Arrived<'_, '_>, now: Now, out: &mut Outbox) -> Result<(), Refusal> {
        let message = arrived.message;
        let resource = self.resource_of(&message.to()?.uri).ok_or_else(|| Refusal::plain(404))?;
        let Some(asker) = self.identify(arrived, domain_of(&resource), now, out) else { return Ok(()) };
        if !asker.verified || *asker.who != *resource {
            return Err(Refusal::plain(403));
        }
        if self.refusing {
            return Err(later());
        }
        let source = arrived.flow.remote;
        let bound = self.registrar.register(message, &resource, source, now.at, now.wall, self.endpoint.rng())?;
        self.tally.registers += 1;
        self.answer(arrived, 200, now, out, |head| {
            for bound in &bound {
                head.header(Name::Contact, &bound.to_string());
            }
        });
        Ok(())
    }

    /// Bindings that were not renewed are gone.
    pub(super) fn follow_bindings(&mut self, now: Now) {
        // Nothing that anybody sees hangs on them (ESC-15).
        self.registrar.tick(now.at);
    }
}
