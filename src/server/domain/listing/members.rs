//! Who is on a list, and what its watcher gets of each (RLS-05, RLS-06, RLS-07).

use super::{Domain, List, Member, Source, view_of};
use crate::{
    presence::{
        core::{Asker, Now},
        event::WatcherGrade,
        lists::{self, ListError},
        winfo,
    },
    server::{accounts::Name as Account, domain::subscribing::Entry},
    sip::{events::notifier::Verdict, uri::UriRef},
};

impl Domain {
    pub(super) fn members_of_source(
        &mut self,
        source: &Source,
        who: &str,
        grade: WatcherGrade,
        now: Now,
    ) -> Result<Vec<Member>, ListError> {
        let entries: Vec<(String, Option<String>)> = match source {
            Source::AdHoc(entries) => entries.clone(),
            Source::Kept { owner, name } => {
                let document = self.lists_of(owner).ok_or(ListError::NoSuchList)?;
                // His own lists may name each other, and nobody else's.
                let own = format!("resource-lists/users/sip:{owner}/index");
                let resolve = |reference: &str| {
                    let named = unescaped(reference);
                    named.ends_with(&own).then(|| document.to_vec())
                };
                let entries = lists::flatten(&document, name.as_deref(), resolve)?;
                entries.into_iter().map(|entry| (entry.uri, entry.name)).collect()
            }
        };
        Ok(entries.into_iter().map(|(uri, name)| self.member(uri, name, who, grade, now)).collect())
    }

    fn member(&mut self, uri: String, name: Option<String>, who: &str, grade: WatcherGrade, now: Now) -> Member {
        let entry = self.member_entry(&uri, who, grade, now);
        let mut member = Member { uri, name, entry, verdict: Verdict::Refuse(404), is_news: false };
        if let Some(entry) = &mut member.entry {
            member.verdict = self.judge(entry, now);
        }
        member
    }

    /// Makes what is known of a watcher of somebody of ours; none of anybody else.
    fn member_entry(&mut self, uri: &str, who: &str, grade: WatcherGrade, now: Now) -> Option<Entry> {
        let parsed = UriRef::parse(uri).ok().and_then(|uri| uri.to_sip().ok())?;
        let resource = self.resource_of(&parsed.as_ref())?;
        if !self.exists(&resource) {
            return None;
        }
        let of = self.presentities.find_or_make(&resource, self.config.limits.presentities, now)?;
        let verified = grade == WatcherGrade::Verified;
        let asker = Asker { who: who.to_owned(), host: Err(String::new()), verified, reached: true };
        Some(self.entry(of, &asker, now))
    }

    /// Begins to tell somebody of a list.
    pub(super) fn add_list(&mut self, list: List) -> u32 {
        self.listing.numbers += 1;
        let number = self.listing.numbers;
        for entry in list.members.iter().filter_map(|member| member.entry.as_ref()) {
            self.listing.of.entry(entry.of).or_default().insert(number);
            if let Some(presentity) = self.presentities.get_mut(entry.of) {
                presentity.is_news = true;
            }
            self.informing.news.push(entry.of);
        }
        self.listing.lists.insert(number, list);
        number
    }

    /// Somebody's lists are others: whoever watches one of them is told all of it.
    pub(in crate::server::domain) fn lists_changed(&mut self, owner: &Account, now: Now) {
        let owner = owner.address();
        let is_his =
            |list: &List| matches!(&list.source, Source::Kept { owner: of, .. } if format!("sip:{of}") == owner);
        let his: Vec<u32> =
            self.listing.lists.iter().filter(|(_, list)| is_his(list)).map(|(number, _)| *number).collect();
        for number in his {
            let Some(list) = self.listing.remove(number) else { continue };
            let members = self.members_of_source(&list.source, &list.who, list.grade, now).unwrap_or_default();
            let gone = list.members.iter().filter_map(|member| member.entry.as_ref());
            for entry in gone {
                if let Some(presentity) = self.presentities.get_mut(entry.of) {
                    presentity.is_news = true;
                }
                self.informing.news.push(entry.of);
                self.looked_at.push(entry.of);
            }
            // It keeps its number, by which its watcher is served.
            for entry in members.iter().filter_map(|member| member.entry.as_ref()) {
                self.listing.of.entry(entry.of).or_default().insert(number);
            }
            self.listing.lists.insert(number, List { full: true, members, ..list });
            self.listing.notifier.changed(view_of(number), now.at);
        }
    }

    /// The rules of somebody are others: whoever watches by a list is judged anew (POL-15).
    pub(in crate::server::domain) fn judge_members(&mut self, of: u32, now: Now) {
        let numbers: Vec<u32> = self.listing.of.get(&of).into_iter().flatten().copied().collect();
        for number in numbers {
            let Some(mut list) = self.listing.lists.remove(&number) else { continue };
            let mut changed = false;
            for member in &mut list.members {
                let Some(entry) = member.entry.as_mut().filter(|entry| entry.of == of) else { continue };
                let verdict = self.judge(entry, now);
                if verdict != member.verdict {
                    (member.verdict, member.is_news, changed) = (verdict, true, true);
                    (entry.since, entry.event) = (now.wall, winfo::Event::Approved);
                }
            }
            self.listing.lists.insert(number, list);
            if changed {
                self.listing.notifier.changed(view_of(number), now.at);
            }
        }
    }
}

fn unescaped(reference: &str) -> String {
    crate::sip::uri::unescape_user(reference)
}
