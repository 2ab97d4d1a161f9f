//! What is filled in: my status, somebody on the list, the groups of somebody.

use std::time::Duration;

use jiff::{Timestamp, Zoned};

use super::{effect::Change, input::Input};
use crate::{
    client::{Buddy, Line, PresenceStatus, StatusArg, buddy, shown},
    config::{buddies::parse_address, format_duration, parse_duration, parse_until},
    control::Request,
};

/// The statuses that are offered, each with the sign of what it sets.
const STATUSES: [(&str, PresenceStatus); 11] = [
    ("available", PresenceStatus::Available),
    ("busy", PresenceStatus::Busy),
    ("away", PresenceStatus::Away),
    ("dnd", PresenceStatus::DoNotDisturb),
    ("in-call", PresenceStatus::InCall),
    ("offline", PresenceStatus::Offline),
    ("brb", PresenceStatus::Away),
    ("meeting", PresenceStatus::Busy),
    ("lunch", PresenceStatus::Away),
    ("travel", PresenceStatus::Away),
    ("vacation", PresenceStatus::Away),
];

/// For how long it can hold; the first one is for ever, the last one is typed.
const LENGTHS: [&str; 7] = ["until I change it", "30m", "1h", "2h", "4h", "until 17:00", "until or for …"];

/// What of the form takes the keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Field {
    #[default]
    Status,
    Note,
    Length,
}

/// My next status; until something is chosen it is as it was.
#[derive(Clone, Debug)]
pub(super) struct StatusForm {
    pub(super) field: Field,
    /// What is offered, and what each sets.
    pub(super) statuses: Vec<(String, PresenceStatus)>,
    pub(super) selected: usize,
    pub(super) note: Input,
    /// For how long it can be held; the last one is typed.
    pub(super) lengths: Vec<String>,
    pub(super) length: usize,
    pub(super) custom: Input,
    pub(super) error: Option<String>,
    was: Was,
}

/// What of my status is not on the form, and stays with it.
#[derive(Clone, Debug, Default)]
struct Was {
    /// The place of the status among those that are offered.
    status: usize,
    activities: Vec<String>,
    /// The end that it has; then the first length is that one.
    until: Option<Timestamp>,
}

impl StatusForm {
    /// Makes the form with what I am now.
    pub(super) fn of(mine: Option<&Line>, field: Field, now: &Zoned) -> Self {
        let shown = mine.and_then(|line| line.layers.first());
        let mut statuses: Vec<(String, PresenceStatus)> =
            STATUSES.iter().map(|(word, status)| ((*word).to_owned(), status.clone())).collect();
        let word = shown.map(|layer| match &layer.text {
            Some(text) => format!("custom:{text}"),
            None => layer.status.to_string(),
        });
        let known = statuses.iter().position(|(own, _)| Some(own) == word.as_ref());
        // One of my own making is not among the usual ones.
        let own = word.filter(|_| known.is_none()).and_then(|word| {
            let status = StatusArg::parse(&word).ok()?.status;
            Some((word, status))
        });
        statuses.splice(0..0, own);
        let selected = known.unwrap_or_default();
        let until = shown.and_then(|layer| layer.until);
        let mut lengths: Vec<String> = LENGTHS.map(str::to_owned).to_vec();
        lengths.splice(0..0, until.map(|until| format!("until {}", shown::clock_until(until, now))));
        let activities = mine.into_iter().flat_map(|line| &line.activities).map(|own| own.name().to_owned()).collect();
        let note = Input::new(shown.and_then(|layer| layer.note.as_deref()).unwrap_or_default());
        let was = Was { status: selected, activities, until };
        Self { field, statuses, selected, note, lengths, length: 0, custom: Input::default(), error: None, was }
    }

    /// Goes to the next field, or the one before.
    pub(super) fn step(&mut self, forth: bool) {
        let fields = [Field::Status, Field::Note, Field::Length];
        let place = fields.iter().position(|field| *field == self.field).unwrap_or_default();
        self.field = fields[(place + if forth { 1 } else { 2 }) % 3];
    }

    /// Returns whether the length is typed.
    pub(super) fn is_custom(&self) -> bool {
        self.length + 1 == self.lengths.len()
    }

    /// Returns whether it is the same status still, with the end that it has.
    fn keeps_its_end(&self) -> bool {
        self.length == 0 && self.was.until.is_some() && self.selected == self.was.status
    }

    /// Returns for how long it is held, in words; another status does not have the end of the one before.
    pub(super) fn shown_length(&self) -> &str {
        let is_gone = self.length == 0 && !self.keeps_its_end();
        if is_gone { LENGTHS[0] } else { &self.lengths[self.length] }
    }

    /// Returns the request that sets it.
    ///
    /// # Errors
    /// In words what is not right.
    pub(super) fn request(&self, now: &Zoned) -> Result<Request, String> {
        let status = self.statuses.get(self.selected).map_or("available", |(word, _)| word);
        let how_long = if self.is_custom() { self.custom.text() } else { &self.lengths[self.length] };
        let as_it_was = self.keeps_its_end();
        let how_long = if self.shown_length() == LENGTHS[0] || as_it_was { "" } else { how_long };
        let note = Some(self.note.text()).filter(|note| !note.trim().is_empty());
        let mut request = request(status, note, how_long, now)?;
        if let Request::Set { activities, until, .. } = &mut request {
            if self.selected == self.was.status {
                activities.clone_from(&self.was.activities);
            }
            if as_it_was {
                *until = self.was.until.map(|until| until.to_string());
            }
        }
        Ok(request)
    }
}

/// Returns the request that sets a status; `how_long` is `45m`, `17:30`, `until 17:30`, or nothing.
///
/// # Errors
/// In words what is not right.
pub(super) fn request(status: &str, note: Option<&str>, how_long: &str, now: &Zoned) -> Result<Request, String> {
    StatusArg::parse(status).map_err(|error| error.to_string())?;
    let how_long = how_long.trim();
    let (mut length, mut until) = (None, None);
    if !how_long.is_empty() {
        match parse_duration(how_long) {
            Ok(Duration::ZERO) => return Err("that is no time at all".to_owned()),
            Ok(duration) => length = Some(format_duration(duration)),
            Err(_) => {
                let end = how_long.strip_prefix("until ").unwrap_or(how_long);
                let end = parse_until(end, now).map_err(|error| format!("{error}, or 45m, 1h30m"))?;
                until = Some(end.timestamp().to_string());
            }
        }
    }
    let note = note.map(str::to_owned);
    Ok(Request::Set {
        status: status.to_owned(),
        note,
        activities: Vec::new(),
        sphere: None,
        length,
        until,
        held: false,
    })
}

/// The fields of somebody on the list.
pub(super) const BUDDY_FIELDS: [&str; 6] = ["address", "name", "groups", "account", "watch", "mark"];

/// Somebody on the list, being filled in.
#[derive(Clone, Debug, Default)]
pub(super) struct BuddyForm {
    /// As the list has it; none for somebody new.
    pub(super) before: Option<Buddy>,
    pub(super) field: usize,
    /// The first four fields.
    pub(super) texts: [Input; 4],
    pub(super) watch: bool,
    pub(super) mark: bool,
    pub(super) error: Option<String>,
}

impl BuddyForm {
    /// Makes the form of somebody new, perhaps in a group.
    pub(super) fn new(group: Option<&str>) -> Self {
        let mut form = Self { watch: true, ..Self::default() };
        form.texts[2] = Input::new(group.unwrap_or_default());
        form
    }

    /// Makes the form of somebody who is on the list.
    pub(super) fn of(buddy: &Buddy) -> Self {
        let text = |text: &Option<String>| Input::new(text.as_deref().unwrap_or_default());
        Self {
            texts: [
                Input::new(&buddy.address),
                text(&buddy.name),
                Input::new(&buddy.groups.join(", ")),
                text(&buddy.account),
            ],
            watch: buddy.watch,
            mark: buddy.mark,
            before: Some(buddy.clone()),
            ..Self::default()
        }
    }

    /// Returns the change of the list; none if nothing is another.
    ///
    /// # Errors
    /// The field that is not right, and what is wrong with it in words.
    pub(super) fn change(&self) -> Result<Option<Change>, (usize, String)> {
        let [address, name, groups, account] = &self.texts;
        let filled = |input: &Input| Some(input.text().trim().to_owned()).filter(|text| !text.is_empty());
        let base = self.before.clone().unwrap_or_else(|| Buddy::new(""));
        let after = Buddy {
            address: parse_address(address.text()).map_err(|error| (0, error))?,
            name: filled(name)
                .map(|name| buddy::parse_name(&name))
                .transpose()
                .map_err(|error| (1, error.to_string()))?,
            groups: parse_groups(groups.text()).map_err(|error| (2, error))?,
            account: filled(account),
            watch: self.watch,
            mark: self.mark,
            ..base
        };
        Ok(match &self.before {
            Some(before) if *before == after => None,
            Some(before) => Some(Change::Replace { before: before.clone(), after }),
            None => Some(Change::Add(after)),
        })
    }
}

/// Reads groups with commas between them, each once.
///
/// # Errors
/// In words what is not right.
pub(super) fn parse_groups(text: &str) -> Result<Vec<String>, String> {
    let mut groups: Vec<String> = Vec::new();
    for group in text.split(',').filter(|group| !group.trim().is_empty()) {
        let group = buddy::parse_group(group).map_err(|error| error.to_string())?;
        if groups.iter().all(|own| buddy::fold(own) != buddy::fold(&group)) {
            groups.push(group);
        }
    }
    Ok(groups)
}

/// The groups of somebody.
#[derive(Clone, Debug)]
pub(super) struct GroupsForm {
    pub(super) buddy: Buddy,
    /// Each with whether it is one of them.
    pub(super) groups: Vec<(String, bool)>,
    /// Behind the last group stands the new one.
    pub(super) selected: usize,
    pub(super) new: Input,
    pub(super) error: Option<String>,
}

impl GroupsForm {
    /// Makes the form of somebody; `groups` are those that there are.
    pub(super) fn of(buddy: &Buddy, groups: Vec<String>) -> Self {
        let groups = groups.into_iter().map(|group| (group.clone(), buddy.is_in(&group))).collect();
        Self { buddy: buddy.clone(), groups, selected: 0, new: Input::default(), error: None }
    }

    /// Returns the change of the list; none if nothing is another.
    ///
    /// # Errors
    /// In words what is wrong with the new group.
    pub(super) fn change(&self) -> Result<Option<Change>, String> {
        let wanted = |group: &str| self.groups.iter().any(|(own, is)| *is && buddy::fold(own) == buddy::fold(group));
        let mut groups: Vec<String> = self.buddy.groups.iter().filter(|group| wanted(group)).cloned().collect();
        let added = self.groups.iter().filter(|(group, is)| *is && !self.buddy.is_in(group));
        groups.extend(added.map(|(group, _)| group.clone()));
        for group in parse_groups(self.new.text())? {
            if groups.iter().all(|own| buddy::fold(own) != buddy::fold(&group)) {
                groups.push(group);
            }
        }
        let after = Buddy { groups, ..self.buddy.clone() };
        Ok((after != self.buddy).then(|| Change::Replace { before: self.buddy.clone(), after }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        client::{Activity, Layer, LayerKind, StatusWord},
        tui::testing,
    };

    fn now() -> Zoned {
        testing::NOW.parse::<jiff::Timestamp>().unwrap().to_zoned(jiff::tz::TimeZone::UTC)
    }

    #[test]
    fn a_status_holds_for_a_time_until_a_time_or_until_it_is_changed() {
        let json =
            |how_long| request("busy", Some("x"), how_long, &now()).map(|set| serde_json::to_string(&set).unwrap());
        assert_eq!(json("").unwrap(), r#"{"cmd":"set","status":"busy","note":"x"}"#);
        assert!(json("1h30m").unwrap().contains(r#""for":"1h30m""#));
        assert!(json("until 17:00").unwrap().contains(r#""until":"2026-10-19T17:00:00Z""#));
        assert!(json("soon").unwrap_err().contains("is not a time"));
        assert!(json("0").is_err());
        assert!(request("bussy", None, "", &now()).unwrap_err().contains("did you mean"));
        for (word, status) in STATUSES {
            assert_eq!(StatusArg::parse(word).unwrap().status, status, "{word}");
        }
    }

    #[test]
    fn what_is_not_chosen_anew_stays_as_it_was() {
        let mut line = testing::change("me@h", "busy", "");
        line.activities = vec![Activity::from_name("meeting").unwrap()];
        let mut layer = Layer {
            lasts: LayerKind::For,
            status: StatusWord::Busy,
            text: None,
            note: Some("in".to_owned()),
            until: Some("2026-10-19T13:00:00Z".parse().unwrap()),
        };
        let json = |form: &StatusForm| serde_json::to_string(&form.request(&now()).unwrap()).unwrap();
        line.layers = vec![layer.clone()];
        let mut form = StatusForm::of(Some(&line), Field::Note, &now());
        form.note.paste(" two");
        let kept =
            r#"{"cmd":"set","status":"busy","note":"in two","activities":["meeting"],"until":"2026-10-19T13:00:00Z"}"#;
        assert_eq!(json(&form), kept);
        form.length = 1;
        form.selected = 0;
        assert_eq!(json(&form), r#"{"cmd":"set","status":"available","note":"in two"}"#);
        // A status of one's own is offered first, and is what stands there.
        (layer.status, layer.text, layer.until) = (StatusWord::Custom, Some("Tea".to_owned()), None);
        line.layers = vec![layer];
        line.activities.clear();
        let form = StatusForm::of(Some(&line), Field::Note, &now());
        assert_eq!(json(&form), r#"{"cmd":"set","status":"custom:Tea","note":"in"}"#);
        assert_eq!(form.statuses.len(), STATUSES.len() + 1);
    }

    #[test]
    fn a_form_that_is_not_right_names_the_field() {
        let mut form = BuddyForm::new(Some("team"));
        assert_eq!(form.change().unwrap_err().0, 0);
        form.texts[0] = Input::new("alice@h");
        form.texts[1] = Input::new("me");
        assert_eq!(form.change().unwrap_err().0, 1);
        form.texts[1] = Input::new("Alice");
        form.texts[2] = Input::new("team, @oncall, Team");
        let Change::Add(buddy) = form.change().unwrap().unwrap() else { panic!("an addition") };
        assert_eq!(buddy.groups, ["team", "oncall"]);
        assert_eq!(BuddyForm::of(&buddy).change(), Ok(None));
    }

    #[test]
    fn somebody_moves_between_groups() {
        let buddy = &testing::buddies(&[("Alice", "a@h", &["team"])])[0];
        let mut form = GroupsForm::of(buddy, vec!["team".into(), "oncall".into()]);
        assert_eq!(form.change(), Ok(None));
        form.groups[0].1 = false;
        form.groups[1].1 = true;
        form.new = Input::new("night");
        let Some(Change::Replace { after, .. }) = form.change().unwrap() else { panic!("a change") };
        assert_eq!(after.groups, ["oncall", "night"]);
    }
}
