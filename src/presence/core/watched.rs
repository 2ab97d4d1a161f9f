//! One thing that we watch: how its state follows what NOTIFYs bring and how its subscription turns (WAT-50).

use std::{net::IpAddr, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use tracing::{debug, warn};

use super::{Now, Outbox, PresenceEvent, Subscribing};
use crate::{
    presence::{
        FailureCode, Freshness, PresentityState,
        event::{Previous, SinceFrom, SubscriptionInfo},
        pidf::{self, Document},
        text::visible,
        xml,
    },
    sip::{
        auth::Why,
        endpoint::Failure,
        events::subscriber::{Cause, Notice, Notified, SubscriptionId, Update},
        header::Reason,
        time::Instant,
        uri::Uri,
    },
};

#[derive(Debug)]
pub(super) struct Watch {
    pub(super) key: (String, Subscribing),
    pub(super) target: Uri,
    pub(super) readers: u32,
    pub(super) subscription: Option<SubscriptionId>,
    pub(super) state: Arc<PresentityState>,
    /// The last NOTIFY had no body that could be read: a confirmed subscription does not make that fresh.
    pub(super) doubtful: bool,
    /// The NOTIFY that ended the subscription brought a state.
    pub(super) told_at_end: bool,
    /// A first answer of any kind was had.
    pub(super) settled: bool,
    /// Addresses at which the notifier was met, for comparing names (PID-12).
    pub(super) met: Vec<IpAddr>,
    pub(super) unreadable: u64,
}

impl Watch {
    /// Takes what a NOTIFY brought; returns whether the state changed.
    pub(super) fn take(&mut self, notified: &Notified<'_>, language: Option<&str>, now: Now, out: &mut Outbox) -> bool {
        let before = Arc::clone(&self.state);
        let mut state = PresentityState::clone(&before);
        self.told_at_end = false;
        if let Some(info) = &mut state.subscription {
            info.rates = notified.rates;
        }
        match (notified.state, notified.body) {
            // WAT-44: a body shows nothing while the other side has not decided.
            (Notice::Pending, _) => {
                state.freshness = Freshness::Pending;
                self.settled = true;
            }
            (Notice::Active | Notice::Terminated(_), Some(body)) => {
                if self.key.1 == Subscribing::Raw {
                    state.document = Some(as_text(body, notified.charset.as_deref()).into());
                }
                match Document::parse(body, notified.charset.as_deref()) {
                    Ok(document) => {
                        self.doubtful = false;
                        self.told_at_end = true;
                        self.settled = true;
                        self.apply(&document, &mut state, language, now);
                        out.events.push(PresenceEvent::PresenceNotification {
                            subscription_id: notified.id.to_string(),
                            entity: state.presentity.clone(),
                            status: state.status().cloned(),
                            note: state.info.as_ref().and_then(|info| Some(info.note.as_ref()?.text.clone())),
                        });
                    }
                    Err(error) => self.unreadable_body(&mut state, &error, out),
                }
            }
            // RFC 5839 §5.3: nothing new because it is the state that we know.
            (Notice::Active | Notice::Terminated(_), None) if notified.unchanged => {
                self.doubtful = false;
                self.told_at_end = true;
                self.settled = true;
                state.freshness = Freshness::Fresh;
            }
            // MAP-20: a state without a document says nothing new.
            (Notice::Active, None) => {
                self.doubtful = true;
                state.freshness = if state.info.is_some() { Freshness::Stale } else { Freshness::Unknown };
            }
            (Notice::Terminated(_), None) => {}
        }
        let changed = state != *before;
        self.state = Arc::new(state);
        changed
    }

    /// Each document replaces the former one entirely (WAT-35).
    fn apply(&mut self, document: &Document, state: &mut PresentityState, language: Option<&str>, now: Now) {
        let info = document.info_at(language, now.wall);
        let matches = info.entity.is_empty() || pidf::entity_matches(&info.entity, self.target.as_str(), &self.met);
        state.warning = (!matches).then(|| format!("the document is about {}", visible(&info.entity)));
        let before = state.status().cloned();
        let first = state.info.is_none();
        if first || before != info.status {
            if !first {
                state.previous = Some(Previous::of(before.as_ref(), state.since));
            }
            // The peer's word on when it began counts as far as it can be true; one that lies ahead was cut to now.
            let earliest = state.since.filter(|_| !first);
            let told = info.timestamp.filter(|told| *told < now.wall && earliest.is_none_or(|since| *told >= since));
            state.since = Some(told.unwrap_or(now.wall));
            state.since_from = Some(if told.is_some() { SinceFrom::Peer } else { SinceFrom::Observed });
        }
        state.info = Some(info);
        state.freshness = Freshness::Fresh;
    }

    /// WAT-49: the last state stays, stale; one warning in a row, however often it happens.
    fn unreadable_body(&mut self, state: &mut PresentityState, error: &pidf::Error, out: &mut Outbox) {
        self.unreadable += 1;
        if !self.doubtful || self.unreadable == 1 {
            warn!(presentity = %visible(&state.presentity), %error, "unreadable presence document");
            out.events.push(PresenceEvent::Warning {
                about: state.presentity.clone(),
                message: format!("its presence document cannot be read: {error}"),
            });
        }
        self.doubtful = true;
        self.settled = true;
        state.warning = Some(format!("its presence document cannot be read: {error}"));
        state.freshness = if state.info.is_some() { Freshness::Stale } else { Freshness::Unknown };
    }

    /// Follows one turn of the subscription.
    pub(super) fn follow(
        &mut self,
        state: &mut PresentityState,
        subscription: SubscriptionId,
        update: &Update,
        now: Now,
        out: &mut Outbox,
    ) {
        let info = state.subscription.get_or_insert_with(SubscriptionInfo::default);
        match update {
            Update::Waiting | Update::Trying | Update::Done => {}
            Update::Unconfirmed => {
                if state.freshness == Freshness::Fresh {
                    state.freshness = Freshness::Stale;
                }
            }
            Update::Confirmed => {
                info.last_code = None;
                info.reason = None;
                if state.freshness == Freshness::Stale && !self.doubtful {
                    state.freshness = Freshness::Fresh;
                }
            }
            Update::Expired => {
                if let Some(info) = state.info.take() {
                    state.previous = Some(Previous::of(info.status.as_ref(), state.since));
                    state.since = Some(now.wall);
                    state.since_from = Some(SinceFrom::Observed);
                }
                state.freshness = Freshness::Unknown;
            }
            Update::Failed { cause, retry_at } => {
                let code = code_of(cause);
                debug!(presentity = %visible(&state.presentity), ?cause, "watching failed");
                info.last_code = Some(code);
                info.reason = Some(explain(cause));
                self.settled = true;
                state.freshness = match (cause, retry_at) {
                    (Cause::Refused { code: 403 | 603, .. }, None) => Freshness::Rejected,
                    (_, Some(_)) if state.info.is_some() => Freshness::Stale,
                    _ => Freshness::Failed(code),
                };
            }
            Update::Ended { reason, retry_at: _ } => {
                info.reason = reason.map(|reason| reason.as_str().to_owned());
                self.settled = true;
                state.freshness = match reason {
                    Some(Reason::Rejected) => Freshness::Rejected,
                    Some(Reason::NoResource) => Freshness::Failed(FailureCode::Sip(404)),
                    Some(Reason::Giveup) => Freshness::Pending,
                    Some(Reason::Invariant) => state.freshness,
                    _ if self.told_at_end => state.freshness,
                    _ if state.info.is_some() => Freshness::Stale,
                    _ => Freshness::Unknown,
                };
                let reason = reason.map_or("none given", Reason::as_str).to_owned();
                let subscription_id = subscription.to_string();
                out.events.push(PresenceEvent::SubscriptionTerminated { subscription_id, reason });
            }
        }
    }
}

/// Returns a document as text, whatever it is.
fn as_text(body: &[u8], charset: Option<&str>) -> String {
    xml::decode(body, charset).map_or_else(|_| String::from_utf8_lossy(body).into_owned(), std::borrow::Cow::into_owned)
}

/// Returns the wall-clock time of an instant to come.
pub(super) fn wall_of(at: Instant, now: Now) -> Timestamp {
    let ahead = SignedDuration::try_from(at.since(now.at)).unwrap_or(SignedDuration::ZERO);
    now.wall.checked_add(ahead).unwrap_or(now.wall)
}

pub(super) fn code_of(cause: &Cause) -> FailureCode {
    match cause {
        Cause::Unauthorized { why: Why::FalseServer, .. } | Cause::NoAnswer(Failure::Untrusted(_)) => {
            FailureCode::Untrusted
        }
        Cause::Refused { code, .. }
        | Cause::Unauthorized { code, .. }
        | Cause::NoAnswer(Failure::Unauthorized { code, .. }) => FailureCode::Sip(*code),
        Cause::NoAnswer(Failure::Timeout) => FailureCode::Timeout,
        Cause::NoAnswer(Failure::Resolve(_)) => FailureCode::Dns,
        Cause::NoAnswer(Failure::Unreachable | Failure::Tls(_) | Failure::NoRoute(_) | Failure::Locate(_)) => {
            FailureCode::Connect
        }
    }
}

/// Says in words why a subscription could not be had (WAT-16).
pub(super) fn explain(cause: &Cause) -> String {
    match cause {
        Cause::Refused { code, offers } => {
            let phrase = crate::sip::codec::reason_phrase(*code);
            match offers {
                Some(offers) => format!("{code} {phrase}: it offers {}", visible(offers)),
                None => format!("{code} {phrase}"),
            }
        }
        Cause::Unauthorized { why: why @ Why::FalseServer, .. } => why.to_string(),
        Cause::Unauthorized { code, why } => {
            format!("{code} {}: {}", crate::sip::codec::reason_phrase(*code), visible(&why.to_string()))
        }
        Cause::NoAnswer(failure) => failure.to_string(),
    }
}
