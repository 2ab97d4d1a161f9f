//! The words of the command line for a status: to set one, and to ask for one (conformance MAP-36).

use std::fmt;

use super::{Activity, Basic, PresenceStatus};
use crate::presence::{info::PresenceInfo, text};

/// The STATUS argument of `set`.
#[derive(Debug)]
pub enum StatusArg {}

/// What a STATUS argument stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// The status to set.
    pub status: PresenceStatus,
    /// Activities that come after the status's own.
    pub activities: Vec<Activity>,
    /// The note that goes with the word, unless the user gives one.
    pub note: Option<String>,
}

impl StatusArg {
    /// Reads one of the six words, an RPID name (but `other` and `unknown`), `brb`, `invisible`, `custom:TEXT`,
    /// or any text with a blank in it, which is custom.
    ///
    /// # Errors
    /// Any other word; the error names the nearest one.
    pub fn parse(word: &str) -> Result<Chosen, UnknownStatus> {
        let word = word.trim();
        if let Some(status) = PresenceStatus::from_word(word) {
            return Ok(Chosen::plain(status));
        }
        match word {
            "brb" => {
                return Ok(Chosen { note: Some("Be right back".to_owned()), ..Chosen::plain(PresenceStatus::Away) });
            }
            "invisible" => return Ok(Chosen::plain(PresenceStatus::Offline)),
            "other" | "unknown" => return Err(UnknownStatus::of(word, None)),
            _ => {}
        }
        if let Some(activity) = Activity::from_name(word) {
            return Ok(Chosen::doing(activity));
        }
        let custom = word.strip_prefix("custom:").or_else(|| word.contains(char::is_whitespace).then_some(word));
        if let Some(custom) = custom.map(text::clean_note) {
            if custom.is_empty() {
                return Err(UnknownStatus::of(word, None));
            }
            return Ok(Chosen::plain(PresenceStatus::Custom(custom)));
        }
        Err(UnknownStatus::of(word, nearest_status(word)))
    }

    /// Returns every word that may stand alone, for completions and help.
    pub fn words() -> impl Iterator<Item = &'static str> {
        let six = PresenceStatus::WORDS[..6].iter().copied();
        let rpid = Activity::NAMES.iter().copied().filter(|name| PresenceStatus::from_word(name).is_none());
        six.chain(["brb", "invisible"]).chain(rpid)
    }
}

impl Chosen {
    fn plain(status: PresenceStatus) -> Self {
        Self { status, activities: Vec::new(), note: None }
    }

    fn doing(activity: Activity) -> Self {
        let status = match read_as(&activity) {
            ReadAs::InCall => PresenceStatus::InCall,
            ReadAs::Busy => PresenceStatus::Busy,
            ReadAs::Away => PresenceStatus::Away,
            ReadAs::Available | ReadAs::Custom => PresenceStatus::Available,
        };
        // `on-the-phone` is the status's own already, and an available person has no activities (MAP-12).
        let further = !matches!(status, PresenceStatus::InCall | PresenceStatus::Available);
        Self { activities: if further { vec![activity] } else { Vec::new() }, ..Self::plain(status) }
    }
}

/// What an activity makes of an open presentity: the rows MAP-22, 25, 26, 28 and 29 of the conformance list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadAs {
    InCall,
    Busy,
    Away,
    Custom,
    Available,
}

pub(crate) fn read_as(activity: &Activity) -> ReadAs {
    match activity {
        Activity::OnThePhone => ReadAs::InCall,
        Activity::Busy
        | Activity::Meeting
        | Activity::Appointment
        | Activity::Presentation
        | Activity::Performance
        | Activity::Steering
        | Activity::Worship => ReadAs::Busy,
        Activity::Away
        | Activity::Holiday
        | Activity::Vacation
        | Activity::Travel
        | Activity::InTransit
        | Activity::PermanentAbsence
        | Activity::Meal
        | Activity::Breakfast
        | Activity::Lunch
        | Activity::Dinner
        | Activity::Shopping
        | Activity::Sleeping
        | Activity::Spectator
        | Activity::Tv
        | Activity::Playing
        | Activity::LookingForWork => ReadAs::Away,
        Activity::Working | Activity::Unknown => ReadAs::Available,
        Activity::Other(_) | Activity::Foreign { .. } => ReadAs::Custom,
    }
}

/// What `wait` and `is` ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Query {
    /// One of the first six statuses, or a custom one with exactly this text.
    Status(PresenceStatus),
    /// Any custom status.
    Custom,
    /// An activity, whatever the status.
    Activity(Activity),
    /// Nothing is known.
    Unknown,
    /// *open* or *closed*, as the peer's document says.
    Basic(Basic),
}

impl Query {
    /// Reads one word: those of [`StatusArg`], and `custom`, `unknown`, `open`, `closed`.
    ///
    /// # Errors
    /// Any other word; the error names the nearest one.
    pub fn parse(word: &str) -> Result<Self, UnknownStatus> {
        let word = word.trim();
        Ok(match word {
            "custom" => Self::Custom,
            "unknown" => Self::Unknown,
            "open" => Self::Basic(Basic::Open),
            "closed" => Self::Basic(Basic::Closed),
            word => {
                let mut chosen = StatusArg::parse(word).map_err(|error| UnknownStatus {
                    nearest: nearest(word, ["custom", "unknown", "open", "closed"].into_iter().chain(known_words())),
                    ..error
                })?;
                match chosen.activities.pop() {
                    Some(activity) => Self::Activity(activity),
                    None if word == "working" => Self::Activity(Activity::Working),
                    None => Self::Status(chosen.status),
                }
            }
        })
    }

    /// Reads words joined by commas; one of them must match.
    ///
    /// # Errors
    /// The first word that is none.
    pub fn parse_list(words: &str) -> Result<Vec<Self>, UnknownStatus> {
        words.split(',').map(Self::parse).collect()
    }

    /// Tells whether what is known of a presentity, if anything, answers the question with yes.
    pub fn matches(&self, info: Option<&PresenceInfo>) -> bool {
        let status = info.and_then(|info| info.status.as_ref());
        match self {
            Self::Status(asked) => status == Some(asked),
            Self::Custom => matches!(status, Some(PresenceStatus::Custom(_))),
            Self::Activity(activity) => info.is_some_and(|info| info.activities.contains(activity)),
            Self::Unknown => status.is_none(),
            Self::Basic(basic) => info.is_some_and(|info| info.basic == Some(*basic)),
        }
    }
}

/// A word that is no status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownStatus {
    /// The word as it was given.
    pub word: String,
    /// The word that is most like it.
    pub nearest: Option<String>,
}

impl UnknownStatus {
    fn of(word: &str, nearest: Option<String>) -> Self {
        Self { word: word.to_owned(), nearest }
    }
}

impl fmt::Display for UnknownStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = text::truncate_to_width(&text::visible(&self.word), 60);
        match &self.nearest {
            Some(nearest) => write!(f, "unknown status `{word}`{}", did_you_mean(Some(nearest))),
            None => write!(f, "unknown status `{word}`: for a text of your own write `custom:TEXT`"),
        }
    }
}

impl std::error::Error for UnknownStatus {}

/// Words of other programs, and what they are called here.
const ELSEWHERE: [(&str, &str); 16] = [
    ("online", "available"),
    ("free", "available"),
    ("here", "available"),
    ("on", "available"),
    ("off", "offline"),
    ("hidden", "invisible"),
    ("do-not-disturb", "dnd"),
    ("donotdisturb", "dnd"),
    ("occupied", "busy"),
    ("gone", "away"),
    ("xa", "away"),
    ("idle", "away"),
    ("phone", "in-call"),
    ("call", "in-call"),
    ("calling", "in-call"),
    ("oncall", "in-call"),
];

fn known_words() -> impl Iterator<Item = &'static str> {
    StatusArg::words()
}

fn nearest_status(word: &str) -> Option<String> {
    nearest(word, known_words())
}

/// Returns the word that is most like `word`, if any is like it at all.
pub(crate) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    let elsewhere = |(elsewhere, _): &&(&str, &str)| elsewhere.eq_ignore_ascii_case(word);
    if let Some((_, here)) = ELSEWHERE.iter().find(elsewhere) {
        return Some((*here).to_owned());
    }
    most_like(word, known).map(str::to_owned)
}

/// Returns the known word that `word` is most likely a typing error of, if it is like one at all.
pub(crate) fn most_like<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // A long text is no mistyped word, and comparing it would cost its length squared.
    if word.len() > 64 {
        return None;
    }
    let word = word.to_lowercase();
    known
        .map(|candidate| (candidate, strsim::damerau_levenshtein(&word, candidate)))
        .min_by_key(|(_, distance)| *distance)
        .filter(|(candidate, distance)| *distance <= 1 + candidate.len() / 3)
        .map(|(candidate, _)| candidate)
}

pub(crate) fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map(|nearest| format!(": did you mean `{nearest}`?")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(word: &str) -> (PresenceStatus, Vec<Activity>, Option<String>) {
        let chosen = StatusArg::parse(word).unwrap();
        (chosen.status, chosen.activities, chosen.note)
    }

    #[test]
    fn map_36_the_six_words_brb_invisible_and_custom_are_understood() {
        for word in &PresenceStatus::WORDS[..6] {
            assert_eq!(chosen(word), (PresenceStatus::from_word(word).unwrap(), vec![], None));
        }
        assert_eq!(chosen("brb"), (PresenceStatus::Away, vec![], Some("Be right back".into())));
        assert_eq!(chosen("invisible"), (PresenceStatus::Offline, vec![], None));
        assert_eq!(chosen("custom:meeting"), (PresenceStatus::Custom("meeting".into()), vec![], None));
        assert_eq!(chosen("Writing the report").0, PresenceStatus::Custom("Writing the report".into()));
    }

    #[test]
    fn map_36_an_rpid_name_sets_the_status_that_is_read_from_it() {
        assert_eq!(chosen("meeting"), (PresenceStatus::Busy, vec![Activity::Meeting], None));
        assert_eq!(chosen("lunch"), (PresenceStatus::Away, vec![Activity::Lunch], None));
        assert_eq!(chosen("on-the-phone"), (PresenceStatus::InCall, vec![], None));
        assert_eq!(chosen("working"), (PresenceStatus::Available, vec![], None));
        for name in Activity::NAMES {
            assert!(StatusArg::parse(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn map_36_any_other_word_is_refused_with_the_nearest() {
        let refused = |word| StatusArg::parse(word).unwrap_err().to_string();
        assert_eq!(refused("avialable"), "unknown status `avialable`: did you mean `available`?");
        assert_eq!(refused("Busy"), "unknown status `Busy`: did you mean `busy`?");
        assert_eq!(refused("online"), "unknown status `online`: did you mean `available`?");
        assert_eq!(refused("metting"), "unknown status `metting`: did you mean `meeting`?");
        assert_eq!(refused("zzz\u{1b}"), "unknown status `zzz\\u001b`: for a text of your own write `custom:TEXT`");
        for word in ["other", "unknown", "custom:", "custom:  ", "", "custom", &"x".repeat(100_000)] {
            assert!(StatusArg::parse(word).is_err(), "{word}");
        }
    }

    #[test]
    fn a_query_knows_custom_unknown_open_and_closed_too() {
        let info = |status: Option<PresenceStatus>, basic| PresenceInfo { status, basic, ..PresenceInfo::default() };
        let query = |words: &str, info: Option<&PresenceInfo>| {
            Query::parse_list(words).unwrap().iter().any(|query| query.matches(info))
        };
        let busy = info(Some(PresenceStatus::Busy), Some(Basic::Closed));
        assert!(query("available,busy", Some(&busy)) && query("closed", Some(&busy)));
        assert!(!query("open,unknown,custom,away", Some(&busy)));
        let custom = info(Some(PresenceStatus::Custom("Tea".into())), Some(Basic::Open));
        assert!(query("custom", Some(&custom)) && query("custom:Tea", Some(&custom)));
        assert!(!query("custom:Coffee", Some(&custom)));
        assert!(query("unknown", None) && !query("open,closed,offline", None));
        let meeting = PresenceInfo { activities: vec![Activity::Meeting], ..busy };
        assert!(query("meeting", Some(&meeting)) && !query("lunch", Some(&meeting)));
        assert_eq!(Query::parse("opne").unwrap_err().nearest.as_deref(), Some("open"));
    }
}
