//! The activities of RPID (RFC 4480 §3.2), and those of others.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

macro_rules! activities {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// What a person is doing (RFC 4480 §3.2).
        ///
        /// Its text form is the RPID name, `other:TEXT` for free text, and `{NAMESPACE}NAME` for an element that
        /// RPID does not know; serde uses it.
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Activity {
            $($(#[$doc])* $variant,)*
            /// `unknown`: stands alone, and says that nothing is said.
            Unknown,
            /// `other`, with its text; empty if the element had none.
            Other(String),
            /// An element of another namespace, or a name that RPID does not have.
            Foreign {
                /// The namespace of the element.
                namespace: String,
                /// Its local name.
                name: String,
            },
        }

        impl Activity {
            /// The 25 names that say what somebody does: those of RPID but `other` and `unknown`.
            pub const NAMES: [&'static str; 25] = [$($name,)*];

            /// Returns the local name of the element.
            pub fn name(&self) -> &str {
                match self {
                    $(Self::$variant => $name,)*
                    Self::Unknown => "unknown",
                    Self::Other(_) => "other",
                    Self::Foreign { name, .. } => name,
                }
            }

            /// Returns the activity of an RPID name; case counts, and `other` comes without text.
            pub fn from_name(name: &str) -> Option<Self> {
                Some(match name {
                    $($name => Self::$variant,)*
                    "unknown" => Self::Unknown,
                    "other" => Self::Other(String::new()),
                    _ => return None,
                })
            }
        }
    };
}

activities! {
    /// Has an appointment.
    Appointment = "appointment",
    /// Is physically away from the device.
    Away = "away",
    /// Eats the first meal of the day.
    Breakfast = "breakfast",
    /// Is busy, without further detail.
    Busy = "busy",
    /// Eats the main or evening meal.
    Dinner = "dinner",
    /// Has a holiday.
    Holiday = "holiday",
    /// Rides in a vehicle without steering it.
    InTransit = "in-transit",
    /// Looks for work.
    LookingForWork = "looking-for-work",
    /// Eats the midday meal.
    Lunch = "lunch",
    /// Eats.
    Meal = "meal",
    /// Is in a meeting.
    Meeting = "meeting",
    /// Talks on the telephone.
    OnThePhone = "on-the-phone",
    /// Is at a theatre, a concert or another performance.
    Performance = "performance",
    /// Will not come back.
    PermanentAbsence = "permanent-absence",
    /// Plays.
    Playing = "playing",
    /// Gives or attends a presentation.
    Presentation = "presentation",
    /// Shops.
    Shopping = "shopping",
    /// Sleeps.
    Sleeping = "sleeping",
    /// Watches an event.
    Spectator = "spectator",
    /// Steers a vehicle.
    Steering = "steering",
    /// Is on a journey.
    Travel = "travel",
    /// Watches television.
    Tv = "tv",
    /// Is on leave.
    Vacation = "vacation",
    /// Works.
    Working = "working",
    /// Takes part in a religious rite.
    Worship = "worship",
}

impl Activity {
    /// Returns what people read: the name, or the text of another one, as the peer wrote it.
    pub fn words(&self) -> &str {
        match self {
            Self::Other(text) => text,
            named => named.name(),
        }
    }
}

impl fmt::Display for Activity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Other(text) if !text.is_empty() => write!(f, "other:{text}"),
            Self::Foreign { namespace, name } => write!(f, "{{{namespace}}}{name}"),
            plain => f.pad(plain.name()),
        }
    }
}

/// Reads the text form; fails on a word that is no RPID name.
impl FromStr for Activity {
    type Err = UnknownActivity;

    fn from_str(word: &str) -> Result<Self, UnknownActivity> {
        if let Some(text) = word.strip_prefix("other:") {
            return Ok(Self::Other(text.to_owned()));
        }
        if let Some((namespace, name)) = word.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
            return Ok(Self::Foreign { namespace: namespace.to_owned(), name: name.to_owned() });
        }
        Self::from_name(word).ok_or_else(|| UnknownActivity {
            word: word.to_owned(),
            nearest: super::words::nearest(word, Self::NAMES.iter().copied()),
        })
    }
}

/// A word that names no activity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown activity `{}`{}", crate::presence::text::visible(word), super::words::did_you_mean(nearest.as_deref()))]
pub struct UnknownActivity {
    /// The word.
    pub word: String,
    /// The name that is most like it.
    pub nearest: Option<String>,
}

impl Serialize for Activity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Activity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rpi_01_all_27_names_are_known() {
        let mut names = Activity::NAMES.to_vec();
        names.extend(["other", "unknown"]);
        assert_eq!(names.len(), 27);
        for name in names {
            assert_eq!(Activity::from_name(name).unwrap().name(), name);
        }
        assert_eq!(Activity::from_name("Away"), None);
    }

    #[test]
    fn rpi_02_the_text_of_other_is_in_the_json() {
        let all = vec![
            Activity::Meeting,
            Activity::Other("juggling: 3 balls".into()),
            Activity::Foreign { namespace: "urn:x".into(), name: "y".into() },
        ];
        let json = serde_json::to_string(&all).unwrap();
        assert_eq!(json, r#"["meeting","other:juggling: 3 balls","{urn:x}y"]"#);
        assert_eq!(serde_json::from_str::<Vec<Activity>>(&json).unwrap(), all);
        assert!(serde_json::from_str::<Activity>(r#""nap""#).is_err());
        assert_eq!(
            "lnch".parse::<Activity>().unwrap_err().to_string(),
            "unknown activity `lnch`: did you mean `lunch`?"
        );
    }
}
