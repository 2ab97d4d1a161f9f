//! SUBSCRIBEs that were challenged: patience, the number of the next try, and what becomes of a refusal (RFC 3261 §22).

use super::{Cause, Subscriber, SubscriptionId, Update, machine::State};
use crate::sip::{
    auth::{AccountId, Why},
    events::Step,
};

impl Subscriber {
    /// A SUBSCRIBE was challenged: whoever answers may have to fetch a password first.
    pub fn challenged(&mut self, id: SubscriptionId, attempt: u64, step: &mut Step<'_>) {
        let (id, until) = (id.0, step.now + step.endpoint.timing().transaction());
        let Some(sub) = self.slab.get_mut(id).filter(|sub| sub.awaited == attempt) else { return };
        match &mut sub.state {
            State::Subscribing { timer_n, .. } => *timer_n = until,
            State::Established { refresh: Some(refresh), .. } => refresh.timer_n = until,
            State::Ending { until: end, .. } => *end = until,
            State::Established { refresh: None, .. } | State::Waiting { .. } | State::Over => {}
        }
        self.rearm(id);
    }

    /// Gives the number under which a challenged SUBSCRIBE goes again, which starts its time anew (§8.1.3.5); none
    /// when its outcome matters no more.
    pub fn renumber(&mut self, id: SubscriptionId, attempt: u64, step: &mut Step<'_>) -> Option<u32> {
        self.challenged(id, attempt, step);
        let sub = self.slab.get_mut(id.0).filter(|sub| sub.awaited == attempt)?;
        let seq = match &mut sub.state {
            State::Subscribing { seq, .. } => seq,
            State::Established { dialog, refresh: Some(_), .. } | State::Ending { dialog, .. } => &mut dialog.local_seq,
            // WAT-03: a NOTIFY overtook the challenge, and the subscription stands without a 2xx.
            State::Established { refresh: None, .. } | State::Waiting { .. } | State::Over => return None,
        };
        *seq += 1;
        Some(*seq)
    }

    /// Answers challenges by this account from now on; where nothing was tried any more for want of a proof, it is tried
    /// again.
    pub fn answer_by(&mut self, id: SubscriptionId, account: Option<AccountId>, step: &mut Step<'_>) {
        let id = id.0;
        let Some(sub) = self.slab.get_mut(id) else { return };
        sub.wish.account = account;
        if matches!(sub.state, State::Over) && std::mem::take(&mut sub.locked_out) {
            self.enter(id, State::Waiting { retry_at: step.now, not_before: None }, step.now);
            self.attempt_in_turn(id, step);
        }
    }

    /// A challenge came to no good end.
    pub(super) fn unauthorized(&mut self, id: u32, code: u16, why: Why, step: &mut Step<'_>) {
        let Some(sub) = self.slab.get_mut(id) else { return };
        let (temporary, false_server) = (why.is_temporary(), why == Why::FalseServer);
        let cause = Cause::Unauthorized { code, why };
        match &mut sub.state {
            State::Subscribing { .. } if temporary => self.give_way(id, cause, None, step),
            // AUT-15: nothing of what such a peer says is to be believed.
            State::Subscribing { .. } => self.give_up(id, cause, step),
            State::Established { .. } if false_server => self.give_up(id, cause, step),
            State::Established { refresh: Some(_), .. } => self.refresh_refused(id, None, step),
            State::Ending { .. } => self.end(id),
            State::Established { refresh: None, .. } | State::Waiting { .. } | State::Over => {}
        }
    }

    /// Ends all attempts.
    fn give_up(&mut self, id: u32, cause: Cause, step: &mut Step<'_>) {
        self.updates.push_back((SubscriptionId(id), Update::Failed { cause, retry_at: None }));
        if let Some(sub) = self.slab.get_mut(id) {
            sub.locked_out = true;
        }
        self.enter(id, State::Over, step.now);
    }
}
