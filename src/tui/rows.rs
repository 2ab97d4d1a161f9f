//! The list as it is drawn: groups with their people, sorted, filtered, folded.

use std::collections::{BTreeSet, HashMap};

use super::{fuzzy, people::People};
use crate::client::{Freshness, PresenceStatus, PresentityState, buddy::fold};

/// What those without a group are under.
pub(super) const OTHERS: &str = "others";

/// In which order the list is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Sort {
    /// By group, as the file has them.
    #[default]
    Group,
    /// By status, the most reachable first.
    Status,
    /// By name.
    Name,
    /// By the last change, the newest first.
    Recency,
}

impl Sort {
    /// Each with the word for it.
    const ALL: [(Self, &'static str); 4] =
        [(Self::Group, "group"), (Self::Status, "status"), (Self::Name, "name"), (Self::Recency, "last change")];

    /// Returns the word for it.
    pub(super) fn word(self) -> &'static str {
        Self::ALL.iter().find(|(sort, _)| *sort == self).map_or("", |(_, word)| word)
    }

    /// Returns the one after it.
    pub(super) fn next(self) -> Self {
        let place = Self::ALL.iter().position(|(sort, _)| *sort == self).unwrap_or_default();
        Self::ALL[(place + 1) % Self::ALL.len()].0
    }

    /// Returns whether the order depends on what people are.
    pub(super) fn follows_states(self) -> bool {
        matches!(self, Self::Status | Self::Recency)
    }
}

/// A group, as it is drawn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Section {
    /// What it is called.
    pub(super) title: String,
    /// How many of it are surely available.
    pub(super) available: usize,
    /// How many there are, hidden ones too.
    pub(super) total: usize,
    /// Whether its people are shown.
    pub(super) open: bool,
    /// Everybody in it, hidden ones too.
    pub(super) members: Vec<usize>,
}

/// A line of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Row {
    /// The header of a section.
    Header(usize),
    /// Somebody in a section.
    Person {
        /// The section; none where the list has none.
        section: Option<usize>,
        /// The place in the list of people.
        person: usize,
    },
}

/// What the list is to look like.
#[derive(Clone, Debug, Default)]
pub(super) struct Wish {
    pub(super) sort: Sort,
    pub(super) hide_offline: bool,
    pub(super) filter: String,
    /// Folded names of the sections that are not open.
    pub(super) folded: BTreeSet<String>,
}

/// The list as it is drawn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Rows {
    pub(super) all: Vec<Row>,
    pub(super) sections: Vec<Section>,
    /// How many are not shown because they are offline.
    pub(super) hidden: usize,
}

impl Rows {
    /// Makes the list.
    pub(super) fn of(people: &People, wish: &Wish) -> Self {
        if !wish.filter.trim().is_empty() {
            return Self::filtered(people, wish);
        }
        let mut made = Self::default();
        let hides =
            |person: usize| wish.hide_offline && people.of(person).is_none_or(super::people::Watched::is_offline);
        made.hidden = (0..people.list.len()).filter(|person| hides(*person)).count();
        let name = |person: &usize| people.list.get(*person).map(|person| person.sorted.as_str());
        match wish.sort {
            Sort::Group => made.sections = by_group(people),
            Sort::Status => made.sections = by_status(people),
            Sort::Name | Sort::Recency => {
                let mut order: Vec<usize> = (0..people.list.len()).filter(|person| !hides(*person)).collect();
                order.sort_by(|a, b| name(a).cmp(&name(b)));
                if wish.sort == Sort::Recency {
                    order.sort_by_key(|person| {
                        std::cmp::Reverse(people.of(*person).and_then(|watched| watched.changed))
                    });
                }
                made.all = order.into_iter().map(|person| Row::Person { section: None, person }).collect();
            }
        }
        for (place, section) in made.sections.iter_mut().enumerate() {
            section.open = !wish.folded.contains(&fold(&section.title));
            made.all.push(Row::Header(place));
            if section.open {
                let shown = section.members.iter().filter(|person| !hides(**person));
                made.all.extend(shown.map(|person| Row::Person { section: Some(place), person: *person }));
            }
        }
        made.count(people);
        made
    }

    fn filtered(people: &People, wish: &Wish) -> Self {
        let letters = fold(&wish.filter);
        let scored = people.list.iter().enumerate();
        let mut found: Vec<(u32, usize)> = scored
            .filter_map(|(person, one)| fuzzy::score(&letters, &one.folded).map(|score| (score, person)))
            .collect();
        found.sort_by_key(|(score, person)| (std::cmp::Reverse(*score), *person));
        let rows = found.into_iter().map(|(_, person)| Row::Person { section: None, person }).collect();
        Self { all: rows, ..Self::default() }
    }

    /// Counts who is available.
    pub(super) fn count(&mut self, people: &People) {
        for section in &mut self.sections {
            let available = |person: &&usize| people.of(**person).is_some_and(super::people::Watched::is_available);
            section.available = section.members.iter().filter(available).count();
            section.total = section.members.len();
        }
    }
}

fn by_group(people: &People) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut others = Section { title: OTHERS.to_owned(), ..Section::default() };
    for (person, one) in people.list.iter().enumerate() {
        for group in &one.buddy.groups {
            let place = *places.entry(fold(group)).or_insert_with(|| {
                sections.push(Section { title: group.clone(), ..Section::default() });
                sections.len() - 1
            });
            // Whoever is in a group twice stands there once.
            if sections[place].members.last() != Some(&person) {
                sections[place].members.push(person);
            }
        }
        if one.buddy.groups.is_empty() {
            others.members.push(person);
        }
    }
    match places.get(OTHERS) {
        Some(place) => sections[*place].members.append(&mut others.members),
        None if !others.members.is_empty() => sections.push(others),
        None => {}
    }
    sections
}

/// The titles by status, the most reachable first.
const STATUSES: [&str; 10] =
    ["available", "busy", "in-call", "away", "dnd", "offline", "stale", "pending", "failed", "unknown"];

fn rank(state: &PresentityState) -> usize {
    match (state.freshness, state.status()) {
        (Freshness::Pending, _) => 7,
        (Freshness::Rejected | Freshness::Failed(_), _) => 8,
        (Freshness::Unknown, _) | (_, None) => 9,
        (Freshness::Stale, _) => 6,
        (Freshness::Fresh, Some(status)) => match status {
            PresenceStatus::Available | PresenceStatus::Custom(_) => 0,
            PresenceStatus::Busy => 1,
            PresenceStatus::InCall => 2,
            PresenceStatus::Away => 3,
            PresenceStatus::DoNotDisturb => 4,
            PresenceStatus::Offline => 5,
        },
    }
}

fn by_status(people: &People) -> Vec<Section> {
    let mut sections = STATUSES.map(|title| Section { title: title.to_owned(), ..Section::default() });
    for person in 0..people.list.len() {
        let rank = people.of(person).map_or(9, |watched| rank(&watched.state));
        sections[rank].members.push(person);
    }
    for section in &mut sections {
        section.members.sort_by(|a, b| people.list[*a].sorted.cmp(&people.list[*b].sorted));
    }
    sections.into_iter().filter(|section| !section.members.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::testing::{buddies, change};

    fn people() -> People {
        let mut people = People::default();
        people.replace(buddies(&[
            ("Dora", "d@h", &[]),
            ("Alice", "a@h", &["team", "oncall"]),
            ("bob", "b@h", &["Team"]),
            ("Carol", "c@h", &["oncall"]),
        ]));
        people.take(&change("a@h", "busy", ""));
        people.take(&change("b@h", "available", ""));
        people.take(&change("c@h", "offline", ""));
        people
    }

    fn shown(wish: &Wish) -> Vec<String> {
        let people = people();
        let rows = Rows::of(&people, wish);
        let of = |row: &Row| match row {
            Row::Header(place) => {
                let section = &rows.sections[*place];
                format!("{} {}/{}", section.title, section.available, section.total)
            }
            Row::Person { person, .. } => format!("  {}", people.list[*person].name),
        };
        rows.all.iter().map(of).collect()
    }

    #[test]
    fn whoever_is_in_several_groups_stands_in_each_and_the_others_come_last() {
        let all = ["team 1/2", "  Alice", "  bob", "oncall 0/2", "  Alice", "  Carol", "others 0/1", "  Dora"];
        assert_eq!(shown(&Wish::default()), all);
    }

    #[test]
    fn a_folded_group_and_hidden_people_still_count() {
        let folded = BTreeSet::from(["team".to_owned()]);
        let wish = Wish { hide_offline: true, folded, ..Wish::default() };
        assert_eq!(shown(&wish), ["team 1/2", "oncall 0/2", "  Alice", "others 0/1"]);
        assert_eq!(Rows::of(&people(), &wish).hidden, 2);
    }

    #[test]
    fn the_list_is_sorted_by_status_name_and_last_change() {
        let by = |sort| shown(&Wish { sort, ..Wish::default() });
        let status =
            ["available 1/1", "  bob", "busy 0/1", "  Alice", "offline 0/1", "  Carol", "unknown 0/1", "  Dora"];
        assert_eq!(by(Sort::Status), status);
        assert_eq!(by(Sort::Name), ["  Alice", "  bob", "  Carol", "  Dora"]);
        assert_eq!(by(Sort::Recency)[3], "  Dora", "who never changed is last");
    }

    #[test]
    fn a_filter_finds_by_name_and_address_the_best_first() {
        let by = |filter: &str| shown(&Wish { filter: filter.to_owned(), ..Wish::default() });
        assert_eq!(by("bo"), ["  bob"]);
        assert_eq!(by("a"), ["  Alice", "  Carol", "  Dora"]);
        assert_eq!(by("c@h")[0], "  Carol");
        assert!(by("xyz").is_empty());
    }
}
