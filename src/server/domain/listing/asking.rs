//! Taking a SUBSCRIBE for a list (RLS-01, RLS-07, RLS-08), and going on with one behind a start.

use bytes::Bytes;

use super::{Domain, EVENT_LIST, List, Source, code_of, view_of};
use crate::{
    presence::{core::Now, event::WatcherGrade, lists},
    server::{
        accounts::Name as Account,
        domain::{Arrived, Outbox, Step, domain_of},
        xcap::{Place, Usage},
    },
    sip::{
        events::{
            compositor::Refusal,
            notifier::{NotRestored, Rank, Revived, Subscribe, Telling, Verdict},
        },
        header::Name,
        message::Message,
        uri::{UriRef, unescape_user},
    },
};

impl Domain {
    /// Returns whether a SUBSCRIBE is for a list: by its address, by what it brings, or by the dialog that it is in.
    pub(in crate::server::domain) fn is_of_a_list(&self, message: &Message<'_>) -> bool {
        if message.to().is_ok_and(|to| to.tag().is_some()) {
            return self.listing.notifier.has_tag_of(message);
        }
        let named = self
            .resource_asked_for(message)
            .is_some_and(|resource| list_in(&resource).is_some() && !self.has_account(&resource));
        named || (!message.body.is_empty() && message.content_type_is(lists::CONTENT_TYPE))
    }

    fn has_account(&self, resource: &str) -> bool {
        let parts = resource.strip_prefix("sip:").and_then(|rest| rest.rsplit_once('@'));
        parts.is_some_and(|(user, domain)| self.accounts.find(&unescape_user(user), domain).is_some())
    }

    pub(in crate::server::domain) fn list_asked(&mut self, arrived: Arrived<'_, '_>, now: Now, out: &mut Outbox) {
        let Arrived { id: request, flow, message } = arrived;
        let mut step = Step { now: now.at, endpoint: &mut self.endpoint, out: &mut out.effects };
        let Some(subscribe) = self.listing.notifier.examine(request, flow, message, &mut step) else { return };
        let initial = match subscribe {
            Subscribe::Refresh(id) => {
                let number = self.listing.by_served.get(&id).copied();
                let verdict = number.map_or(Verdict::Refuse(403), |number| Verdict::Active(view_of(number)));
                // RLS-04: a SUBSCRIBE is answered with everything; what it brings is not looked at (RLS-08).
                if let Some(list) = number.and_then(|number| self.listing.lists.get_mut(&number)) {
                    list.full = true;
                }
                self.listing.notifier.refresh(request, flow, message, id, verdict, |_| Bytes::new(), &mut step);
                return;
            }
            Subscribe::Initial(initial) => initial,
        };
        let Some(resource) = self.resource_of(&initial.target) else {
            return self.refuse(arrived, &Refusal::plain(404), now, out);
        };
        if !message.option_tags(Name::Supported).any(|tag| tag.eq_ignore_ascii_case(EVENT_LIST)) {
            let refusal = Refusal { code: 421, header: Some((Name::Require, EVENT_LIST.to_owned())) };
            return self.refuse(arrived, &refusal, now, out);
        }
        let Some(asker) = self.identify(arrived, domain_of(&resource), now, out) else { return };
        if !asker.verified {
            return self.refuse(arrived, &Refusal::plain(403), now, out);
        }
        let source = match source_of(message, &resource, &asker.who) {
            Ok(source) => source,
            Err(refusal) => return self.refuse(arrived, &refusal, now, out),
        };
        let members = match self.members_of_source(&source, &asker.who, WatcherGrade::Verified, now) {
            Ok(members) => members,
            Err(error) => return self.refuse(arrived, &Refusal::plain(code_of(&error)), now, out),
        };
        let (who, grade) = (asker.who.as_str().into(), WatcherGrade::Verified);
        let list = List { uri: resource.into(), source, who, grade, version: 0, full: true, members };
        let number = self.add_list(list);
        let mut step = Step { now: now.at, endpoint: &mut self.endpoint, out: &mut out.effects };
        let notifier = &mut self.listing.notifier;
        let verdict = Verdict::Active(view_of(number));
        match notifier.admit(request, flow, message, &initial, verdict, Rank::Proven, &mut step) {
            Some(id) => {
                self.listing.by_served.insert(id, number);
                self.tally.subscribes += 1;
            }
            None if message.expires() == Some(0) => drop(self.listing.looks.insert(number)),
            None => drop(self.forget_list(number)),
        }
    }

    /// Returns the document that somebody's lists stand in.
    pub(super) fn lists_of(&self, owner: &str) -> Option<Bytes> {
        let owner: Account = owner.parse().ok()?;
        self.documents.get(&Place { owner, usage: Usage::ResourceLists }).cloned()
    }

    /// Goes on with one of an earlier run; no document before had a higher number than this.
    pub(in crate::server::domain) fn restore_list(
        &mut self,
        source: &Source,
        uri: &str,
        revived: Revived,
        version: u32,
        now: Now,
    ) -> Result<(), NotRestored> {
        let uri_of_watcher = UriRef::parse(revived.watcher()).map_err(|_| NotRestored::Damaged)?;
        let who = self.resource_of(&uri_of_watcher).ok_or(NotRestored::Damaged)?;
        let grade = WatcherGrade::Verified;
        let members = self.members_of_source(source, &who, grade, now).unwrap_or_default();
        let list = List { uri: uri.to_owned(), source: source.clone(), who, grade, version, full: true, members };
        let number = self.add_list(list);
        let verdict = Verdict::Active(view_of(number));
        match self.listing.notifier.restore(revived, verdict, Telling::Verdict, now.at) {
            Ok(id) => {
                self.listing.by_served.insert(id, number);
                Ok(())
            }
            Err(error) => {
                self.forget_list(number);
                Err(error)
            }
        }
    }
}

/// Says of what a list is made that somebody asks for.
fn source_of(message: &Message<'_>, resource: &str, who: &str) -> Result<Source, Refusal> {
    if !message.body.is_empty() {
        if !message.content_type_is(lists::CONTENT_TYPE) {
            return Err(Refusal { code: 415, header: Some((Name::Accept, lists::CONTENT_TYPE.to_owned())) });
        }
        let entries = lists::ad_hoc(message.body).map_err(|_| Refusal::plain(400))?;
        return Ok(Source::AdHoc(entries.into_iter().map(|entry| (entry.uri, entry.name)).collect()));
    }
    let (owner, name) = list_in(resource).ok_or_else(|| Refusal::plain(404))?;
    // Whether there is such a list is nobody else's business.
    if format!("sip:{owner}") != who {
        return Err(Refusal::plain(403));
    }
    Ok(Source::Kept { owner, name })
}

/// Reads whose list an address names, and which of his.
fn list_in(resource: &str) -> Option<(String, Option<String>)> {
    let (user, domain) = resource.strip_prefix("sip:")?.rsplit_once('@')?;
    let (owner, name) = user.split_once('/')?;
    let name = unescape_user(name);
    (!owner.is_empty()).then(|| (format!("{owner}@{domain}"), (!name.is_empty()).then_some(name)))
}
