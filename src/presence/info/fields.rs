//! Statuses and notes as they stand in JSON objects: two fields each, flattened into the object around them.

/// A status in two JSON fields: `status`, a word, and `text` for a custom one.
pub(in crate::presence) mod status_fields {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::presence::status::PresenceStatus;

    #[derive(Serialize)]
    struct Out<'a> {
        status: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        text: Option<&'a str>,
    }

    #[derive(Deserialize)]
    struct In {
        #[serde(default)]
        status: Option<String>,
        #[serde(default)]
        text: Option<String>,
    }

    #[expect(clippy::ref_option, reason = "serde passes a reference to the field")]
    pub(in crate::presence) fn serialize<S: Serializer>(
        status: &Option<PresenceStatus>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let text = status.as_ref().and_then(PresenceStatus::text);
        Out { status: status.as_ref().map_or("unknown", PresenceStatus::word), text }.serialize(serializer)
    }

    pub(in crate::presence) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<PresenceStatus>, D::Error> {
        let In { status, text } = In::deserialize(deserializer)?;
        Ok(match status.as_deref() {
            None | Some("unknown") => None,
            Some("custom") => Some(PresenceStatus::Custom(text.unwrap_or_default())),
            Some(word) => Some(
                PresenceStatus::from_word(word)
                    .ok_or_else(|| serde::de::Error::invalid_value(serde::de::Unexpected::Str(word), &"a status"))?,
            ),
        })
    }
}

/// The same for a status that is always known.
pub(in crate::presence) mod known_status_fields {
    use serde::{Deserializer, Serializer, de::Error as _};

    use super::status_fields;
    use crate::presence::status::PresenceStatus;

    pub(in crate::presence) fn serialize<S: Serializer>(
        status: &PresenceStatus,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        status_fields::serialize(&Some(status.clone()), serializer)
    }

    pub(in crate::presence) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<PresenceStatus, D::Error> {
        status_fields::deserialize(deserializer)?.ok_or_else(|| D::Error::missing_field("status"))
    }
}

/// A note in two JSON fields: `note`, a string, and `note_lang`.
pub(in crate::presence) mod note_fields {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::presence::info::Note;

    #[derive(Serialize, Deserialize)]
    struct Fields {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note_lang: Option<String>,
    }

    #[expect(clippy::ref_option, reason = "serde passes a reference to the field")]
    pub(in crate::presence) fn serialize<S: Serializer>(note: &Option<Note>, serializer: S) -> Result<S::Ok, S::Error> {
        let note = note.as_ref();
        Fields { note: note.map(|note| note.text.clone()), note_lang: note.and_then(|note| note.lang.clone()) }
            .serialize(serializer)
    }

    pub(in crate::presence) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Note>, D::Error> {
        let Fields { note, note_lang } = Fields::deserialize(deserializer)?;
        Ok(note.map(|text| Note { text, lang: note_lang }))
    }
}
