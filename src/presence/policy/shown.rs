//! What of a presence document a watcher sees (RFC 5025 §3.3): nothing but what a rule grants.
//!
//! Grants of several rules unite (RFC 4745 §10.2). Whether somebody can be reached (`basic`) and where (`contact`)
//! goes with each service that is shown, and is no grant of its own.

use std::collections::BTreeSet;

use crate::presence::xml;

/// What is granted; nothing, to begin with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Shown {
    /// Which services: the tuples of the document.
    pub services: Select,
    /// Which persons.
    pub persons: Select,
    /// Which devices.
    pub devices: Select,
    /// Which details of them.
    pub details: BTreeSet<Detail>,
    /// How much of whether somebody uses the device.
    pub user_input: UserInputShown,
    /// Elements that have no word here: namespace and local name (`provide-unknown-attribute`).
    pub elements: BTreeSet<(Box<str>, Box<str>)>,
    /// Every detail and element (`provide-all-attributes`).
    pub all_details: bool,
}

/// Which parts of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Select {
    /// All.
    All,
    /// Those that one of these picks.
    Only(BTreeSet<Pick>),
}

impl Default for Select {
    fn default() -> Self {
        Self::Only(BTreeSet::new())
    }
}

/// What picks a part (RFC 5025 §3.3.1).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pick {
    /// The class that the presentity gave it.
    Class(Box<str>),
    /// Its id in the document.
    Occurrence(Box<str>),
    /// The URI at which a service is reached.
    Uri(Box<str>),
    /// The scheme of that URI.
    Scheme(Box<str>),
    /// The URN of a device.
    Device(Box<str>),
}

/// A detail that is granted or not (RFC 5025 §3.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Detail {
    /// Which of our statuses it is, and the activity that goes with that; not what was added to it.
    Status,
    /// Every activity, and the status.
    Activities,
    /// Classes of parts.
    Class,
    /// On which device a service runs.
    DeviceId,
    /// Moods.
    Mood,
    /// Notes, of whatever part.
    Note,
    /// What the place is like.
    PlaceIs,
    /// What kind of place it is.
    PlaceType,
    /// Which media are private.
    Privacy,
    /// Who answers instead.
    Relationship,
    /// The part of life.
    Sphere,
    /// A picture's address.
    StatusIcon,
    /// Distance from UTC.
    TimeOffset,
}

/// How much of `user-input` is shown (RFC 5025 §3.3.2.13), the least first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UserInputShown {
    /// Nothing.
    #[default]
    Nothing,
    /// Active or idle.
    Bare,
    /// And after how long somebody counts as idle.
    Thresholds,
    /// And when the last input was.
    Full,
}

/// The words of a policy file, each with what it grants; [`Shown::grant`] knows two more.
const WORDS: &[(&str, &[Detail])] = &[
    ("status", &[Detail::Status]),
    ("activities", &[Detail::Status, Detail::Activities]),
    ("note", &[Detail::Note]),
    ("mood", &[Detail::Mood]),
    ("location", &[Detail::PlaceIs, Detail::PlaceType, Detail::TimeOffset]),
    ("sphere", &[Detail::Sphere]),
    ("privacy", &[Detail::Privacy]),
    ("relationship", &[Detail::Relationship]),
    ("icon", &[Detail::StatusIcon]),
    ("class", &[Detail::Class]),
];

/// Where exactly somebody is (RFC 4119).
const GEOPRIV: (&str, &str) = ("urn:ietf:params:xml:ns:pidf:geopriv10", "geopriv");

impl Shown {
    /// Everything that there is.
    pub fn all() -> Self {
        let all = || Select::All;
        Self { services: all(), persons: all(), devices: all(), all_details: true, ..Self::default() }
    }

    /// Whether somebody can be reached, and nothing more.
    pub fn reachability() -> Self {
        Self { services: Select::All, persons: Select::All, ..Self::default() }
    }

    /// Whether somebody can be reached, and what these words of the policy file stand for.
    ///
    /// # Errors
    /// See [`grant`](Self::grant).
    pub fn of_words<'a>(words: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        words.into_iter().try_fold(Self::reachability(), |mut shown, word| shown.grant(word).map(|()| shown))
    }

    /// Says whether it is everything.
    pub fn is_all(&self) -> bool {
        let all = |select: &Select| *select == Select::All;
        all(&self.services) && all(&self.persons) && all(&self.devices) && self.all_details
    }

    /// Says whether a detail is granted.
    pub fn has(&self, detail: Detail) -> bool {
        self.all_details
            || self.details.contains(&detail)
            || detail == Detail::Status && self.details.contains(&Detail::Activities)
    }

    /// Returns how much of `user-input` is shown.
    pub fn user_input(&self) -> UserInputShown {
        if self.all_details { UserInputShown::Full } else { self.user_input }
    }

    /// Says whether an element without a word of its own is granted.
    pub fn has_element(&self, namespace: &str, name: &str) -> bool {
        self.all_details || self.elements.iter().any(|(ns, local)| **ns == *namespace && **local == *name)
    }

    /// Grants what a word of the policy file stands for; `{NAMESPACE}NAME` stands for an element.
    ///
    /// # Errors
    /// When there is no such word, with those that there are.
    pub fn grant(&mut self, word: &str) -> Result<(), String> {
        if let Some((_, details)) = WORDS.iter().find(|(known, _)| *known == word) {
            self.details.extend(*details);
            if word == "location" {
                self.elements.insert((GEOPRIV.0.into(), GEOPRIV.1.into()));
            }
            return Ok(());
        }
        match word {
            "devices" => {
                self.devices = Select::All;
                self.details.insert(Detail::DeviceId);
            }
            "idle" => self.user_input = UserInputShown::Full,
            "all" => *self = Self::all(),
            _ => {
                let element = word.strip_prefix('{').and_then(|rest| rest.split_once('}'));
                let (namespace, name) = element
                    .filter(|(namespace, name)| !namespace.is_empty() && xml::is_ncname(name))
                    .ok_or_else(|| {
                        let words: Vec<&str> = Self::words().collect();
                        format!("write {} or {{NAMESPACE}}NAME, not {word:?}", words.join(", "))
                    })?;
                self.elements.insert((namespace.into(), name.into()));
            }
        }
        Ok(())
    }

    /// Goes through the words that [`grant`](Self::grant) knows.
    pub fn words() -> impl Iterator<Item = &'static str> {
        WORDS.iter().map(|(word, _)| *word).chain(["devices", "idle", "all"])
    }

    /// Says whether everything is granted that a word stands for.
    pub fn grants(&self, word: &str) -> bool {
        let mut asked = Self::reachability();
        asked.grant(word).is_ok() && self.clone().with(&asked) == *self || self.is_all()
    }

    /// Unites two grants (RFC 4745 §10.2).
    #[must_use]
    pub fn with(mut self, other: &Self) -> Self {
        for (own, other) in [
            (&mut self.services, &other.services),
            (&mut self.persons, &other.persons),
            (&mut self.devices, &other.devices),
        ] {
            own.unite(other);
        }
        self.details.extend(&other.details);
        self.user_input = self.user_input.max(other.user_input);
        self.elements.extend(other.elements.iter().cloned());
        self.all_details |= other.all_details;
        self
    }
}

impl Select {
    pub(super) fn unite(&mut self, other: &Self) {
        match (&mut *self, other) {
            (Self::Only(own), Self::Only(other)) => own.extend(other.iter().cloned()),
            (Self::Only(_), Self::All) => *self = Self::All,
            (Self::All, _) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(words: &[&str]) -> Shown {
        Shown::of_words(words.iter().copied()).unwrap()
    }

    #[test]
    fn every_word_grants_itself_and_no_other_but_activities_the_status_too() {
        let words: Vec<&str> = Shown::words().filter(|word| *word != "all").collect();
        for word in &words {
            let granted: Vec<&str> = words.iter().copied().filter(|other| shown(&[word]).grants(other)).collect();
            let expected = if *word == "activities" { vec!["status", "activities"] } else { vec![*word] };
            assert_eq!(granted, expected);
            assert!(!shown(&[]).grants(word) && Shown::all().grants(word));
        }
        assert_eq!(shown(&["all"]), Shown::all());
    }

    #[test]
    fn an_element_is_granted_by_namespace_and_name() {
        let shown = shown(&["{urn:x}foo"]);
        assert!(shown.has_element("urn:x", "foo") && !shown.has_element("urn:y", "foo"));
        for word in ["", "notes", "{}x", "{urn:x}", "{urn:x}a b", "urn:x"] {
            let error = Shown::default().grant(word).unwrap_err();
            assert!(error.contains("status, activities, note"), "{error}");
        }
    }

    #[test]
    fn pol_09_grants_unite_and_the_least_is_nothing() {
        let both = shown(&["note"]).with(&shown(&["status", "devices"]));
        assert_eq!(both, shown(&["status", "note", "devices"]));
        assert_eq!(Shown::default().with(&Shown::default()), Shown::default());
        assert!(shown(&[]).with(&Shown::all()).is_all());
        let some = Shown { services: Select::Only([Pick::Class("work".into())].into()), ..Shown::default() };
        let more = Shown { services: Select::Only([Pick::Scheme("sip".into())].into()), ..Shown::default() };
        let Select::Only(picks) = some.with(&more).services else { panic!("not all") };
        assert_eq!(picks.len(), 2);
    }
}
