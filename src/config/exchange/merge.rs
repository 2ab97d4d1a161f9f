//! People put into a list that the user keeps: nothing of the user's is overwritten.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::{
    config::buddies::Draft,
    presence::buddy::{Buddy, LONGEST_NAME, address_key, fold},
};

/// What putting people into a list did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Merged {
    /// Those who are new, as they stand in the list now.
    pub added: Vec<Buddy>,
    /// Those who gained something, before and after.
    pub changed: Vec<(Buddy, Buddy)>,
    /// How many were as they are.
    pub same: usize,
    /// The words that mean somebody else already.
    pub taken: Vec<Taken>,
}

/// A word that could not be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The word.
    pub word: String,
    /// Whom it would have meant.
    pub address: String,
    /// What stands for it, such as "alice (2)"; a name that is not needed and an alias are left out.
    pub instead: Option<String>,
}

/// Puts people into a list.
///
/// Whoever is known by the same address gains the groups and words that are new, and nothing else changes; a name that
/// the user did not choose becomes an alias. Of a name that means somebody else, a new buddy gets a form that is unused.
pub fn merge(draft: &mut Draft, imported: Vec<Buddy>) -> Merged {
    let mut merge = Merge::of(draft);
    for buddy in imported {
        match merge.places.get(&address_key(&buddy.address)) {
            Some(&place) => merge.gain(draft, place, buddy),
            None => merge.add(draft, buddy),
        }
    }
    merge.finish(draft)
}

/// What is known of the list, so that each question about it takes no look through it.
struct Merge {
    /// How many were there before.
    known: usize,
    /// Where each address stands first.
    places: HashMap<String, usize>,
    /// Whom each word means.
    words: HashMap<String, usize>,
    /// Who is in which group.
    groups: HashSet<(usize, String)>,
    /// The number that was given last to each name.
    numbers: HashMap<String, usize>,
    before: BTreeMap<usize, Buddy>,
    same: usize,
    taken: Vec<Taken>,
}

impl Merge {
    fn of(draft: &Draft) -> Self {
        let list = &draft.list().0;
        let mut merge = Self {
            known: list.len(),
            places: HashMap::with_capacity(list.len()),
            words: HashMap::with_capacity(list.len()),
            groups: HashSet::new(),
            numbers: HashMap::new(),
            before: BTreeMap::new(),
            same: 0,
            taken: Vec::new(),
        };
        for (place, buddy) in list.iter().enumerate() {
            merge.places.entry(address_key(&buddy.address)).or_insert(place);
            merge.words.extend(buddy.words().map(|word| (fold(word), place)));
            merge.groups.extend(buddy.groups.iter().map(|group| (place, fold(group))));
        }
        merge
    }

    fn add(&mut self, draft: &mut Draft, mut buddy: Buddy) {
        let place = draft.list().0.len();
        self.places.insert(address_key(&buddy.address), place);
        buddy.name = buddy.name.map(|name| {
            let unused = self.unused(&name);
            if unused != name {
                self.taken.push(Taken { word: name, address: buddy.address.clone(), instead: Some(unused.clone()) });
            }
            self.words.insert(fold(&unused), place);
            unused
        });
        let aliases = std::mem::take(&mut buddy.aliases);
        buddy.aliases = aliases.into_iter().filter(|alias| self.claim(alias, place, &buddy.address)).collect();
        buddy.groups.retain(|group| self.groups.insert((place, fold(group))));
        draft.add(buddy);
    }

    fn gain(&mut self, draft: &mut Draft, place: usize, buddy: Buddy) {
        let Some(known) = draft.get_mut(place) else { return };
        let words = buddy.name.into_iter().chain(buddy.aliases);
        let words: Vec<String> = words.filter(|word| self.claim(word, place, &known.address)).collect();
        let mut groups = buddy.groups;
        groups.retain(|group| self.groups.insert((place, fold(group))));
        let parameters = buddy.baresip.filter(|_| known.baresip.is_none());
        if words.is_empty() && groups.is_empty() && parameters.is_none() {
            self.same += 1;
            return;
        }
        if place < self.known {
            self.before.entry(place).or_insert_with(|| known.clone());
        }
        let mut words = words.into_iter();
        if known.name.is_none() {
            known.name = words.next();
        }
        known.aliases.extend(words);
        known.groups.extend(groups);
        known.baresip = known.baresip.take().or(parameters);
    }

    /// Makes a word mean somebody; false if it does already, or means somebody else.
    fn claim(&mut self, word: &str, place: usize, address: &str) -> bool {
        match self.words.get(&fold(word)) {
            None => {
                self.words.insert(fold(word), place);
                true
            }
            Some(&other) => {
                if other != place {
                    self.taken.push(Taken { word: word.to_owned(), address: address.to_owned(), instead: None });
                }
                false
            }
        }
    }

    /// Returns a name, or its first form with a number that means nobody.
    fn unused(&mut self, name: &str) -> String {
        if !self.words.contains_key(&fold(name)) {
            return name.to_owned();
        }
        let number = self.numbers.entry(fold(name)).or_insert(1);
        loop {
            *number += 1;
            let end = format!(" ({number})");
            let head: String = name.chars().take(LONGEST_NAME - end.len()).collect();
            let numbered = format!("{}{end}", head.trim_end());
            if !self.words.contains_key(&fold(&numbered)) {
                return numbered;
            }
        }
    }

    fn finish(self, draft: &Draft) -> Merged {
        let list = &draft.list().0;
        let changed = self.before.into_iter().filter_map(|(place, before)| Some((before, list.get(place)?.clone())));
        Merged {
            added: list.get(self.known..).unwrap_or_default().to_vec(),
            changed: changed.collect(),
            same: self.same,
            taken: self.taken,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::presence::buddy::Buddies;

    fn buddy(name: &str, address: &str, aliases: &[&str], groups: &[&str]) -> Buddy {
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        Buddy {
            name: (!name.is_empty()).then(|| name.to_owned()),
            aliases: words(aliases),
            groups: words(groups),
            ..Buddy::new(address)
        }
    }

    #[test]
    fn who_is_known_gains_what_is_new_and_keeps_all_else() {
        let alice = Buddy { watch: false, mark: true, ..buddy("alice", "sip:alice@example.com", &["al"], &["team"]) };
        let before = Buddies(vec![alice.clone(), buddy("", "bob@h", &[], &[]), buddy("carol", "c@h", &[], &[])]);
        let mut draft = Draft::of(&before);
        let found = vec![
            buddy("Alice Liddell", "alice@EXAMPLE.com:5060", &["AL", "carol"], &["Team", "friends"]),
            buddy("Bob", "sip:bob@h", &["bobby"], &[]),
            buddy("Carol", "c@h", &[], &[]),
        ];
        let merged = merge(&mut draft, found.clone());
        let after = Buddy { aliases: vec!["al".into(), "Alice Liddell".into()], ..alice.clone() };
        let after = Buddy { groups: vec!["team".into(), "friends".into()], ..after };
        let bob = buddy("Bob", "bob@h", &["bobby"], &[]);
        let carol = Taken { word: "carol".into(), address: "sip:alice@example.com".into(), instead: None };
        let expected = Merged {
            added: vec![],
            changed: vec![(alice, after.clone()), (before.0[1].clone(), bob.clone())],
            same: 1,
            taken: vec![carol],
        };
        assert_eq!(merged, expected);
        assert_eq!(draft.list().0, [after, bob, before.0[2].clone()]);

        let again = merge(&mut draft, found);
        assert_eq!((again.added.len(), again.changed.len(), again.same), (0, 0, 3));
    }

    #[test]
    fn a_name_of_somebody_else_becomes_one_that_is_unused() {
        let mut draft = Draft::of(&Buddies(vec![buddy("Alice", "a@h", &["alice (2)"], &[])]));
        let long = "x".repeat(64);
        let found = vec![
            buddy("alice", "b@h", &[], &[]),
            buddy("alice", "c@h", &["Alice"], &[]),
            buddy(&long, "d@h", &[], &[]),
            buddy(&long, "e@h", &[], &[]),
            buddy("again", "b@h", &[], &["team"]),
        ];
        let merged = merge(&mut draft, found.clone());
        let names: Vec<&str> = merged.added.iter().filter_map(|buddy| buddy.name.as_deref()).collect();
        assert_eq!(names, ["alice (3)", "alice (4)", &long, &format!("{} (2)", "x".repeat(60))]);
        assert_eq!(
            (&merged.added[0].aliases[..], &merged.added[0].groups[..]),
            (&["again".into()][..], &["team".into()][..])
        );
        assert_eq!(merged.taken[0].instead.as_deref(), Some("alice (3)"));
        assert_eq!(merged.taken.len(), 4);
        assert!(merged.changed.is_empty());
        assert!(merge(&mut draft, found).changed.is_empty());
    }

    #[test]
    fn a_full_list_of_namesakes_takes_no_look_through_it_for_each() {
        let mut draft = Draft::of(&Buddies::default());
        let found: Vec<Buddy> = (0..30_000).map(|n| buddy("alice", &format!("a{n}@h"), &["al"], &["team"])).collect();
        assert_eq!(merge(&mut draft, found).added.last().unwrap().name.as_deref(), Some("alice (30000)"));
        let found = (0..30_000).map(|n| buddy("", "a1@h", &[], &[&format!("g{n}")])).collect();
        assert_eq!(merge(&mut draft, found).changed.len(), 1);
        assert_eq!(draft.list().0[1].groups.len(), 30_001);
    }
}
