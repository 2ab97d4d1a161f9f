//! Step 7: what is said of the person, in one element.

use std::cmp::Reverse;

use super::{Age, Layer, ids::Ids};
use crate::presence::{
    info::RawElement,
    pidf::Person,
    rpid::{Rich, Windowed},
    status::Activity,
};

/// What one publication says of the person.
struct Said<'a> {
    age: Age,
    layer: &'a Layer<'a>,
    place: usize,
    person: &'a Person,
}

/// Makes one person of all; none where nobody says anything of one.
pub(super) fn merge(layers: &[Layer<'_>], ids: &mut Ids) -> Option<Person> {
    let mut all: Vec<Said<'_>> = Vec::new();
    for layer in layers {
        for (place, person) in layer.document.persons.iter().enumerate() {
            all.push(Said { age: layer.age(person.timestamp), layer, place, person });
        }
    }
    all.sort_by_key(|said| Reverse(said.age));
    let youngest = all.first()?;
    let mut merged = Person {
        id: Some(ids.of_element('p', youngest.layer.source.key, youngest.person.id.as_deref(), youngest.place)),
        timestamp: Some(youngest.age.0),
        ..Person::default()
    };
    merged.rich.say_activities(&all, layers);
    merged.rich.say_the_rest(&all);
    let noted = all.iter().find(|said| !said.person.notes.is_empty());
    merged.notes = noted.map(|said| said.person.notes.clone()).unwrap_or_default();
    merged.raw = foreign(&all);
    Some(merged)
}

/// Step 7e: of each name what the youngest has of it, in an order of its own.
fn foreign(all: &[Said<'_>]) -> Vec<RawElement> {
    let name = |element: &RawElement| (element.namespace.clone(), element.name.clone());
    let mut kept: Vec<RawElement> = Vec::new();
    for said in all {
        let new: Vec<&RawElement> =
            said.person.raw.iter().filter(|element| kept.iter().all(|known| name(known) != name(element))).collect();
        kept.extend(new.into_iter().cloned());
    }
    kept.sort_by_key(name);
    kept
}

impl Rich {
    /// Step 7b.
    fn say_activities(&mut self, all: &[Said<'_>], layers: &[Layer<'_>]) {
        let chosen = all.iter().find(|said| !said.person.rich.activities.is_empty());
        if let Some(said) = chosen {
            let rich = &said.person.rich;
            self.activities.clone_from(&rich.activities);
            self.activity_notes.clone_from(&rich.activity_notes);
            self.take_windows(rich, Windowed::Activities);
        }
        let on_the_phone = |layer: &Layer<'_>| {
            let persons = layer.document.persons.iter().map(|person| &person.rich);
            let riches = persons.chain(layer.document.speaking_tuples().map(|tuple| &tuple.rich));
            riches.into_iter().any(|rich| rich.activities.contains(&Activity::OnThePhone))
        };
        if layers.iter().any(on_the_phone) {
            self.activities.retain(|activity| *activity != Activity::OnThePhone);
            self.activities.insert(0, Activity::OnThePhone);
        }
        if chosen.is_some_and(|said| said.layer.is_left_for(layers)) {
            self.activities.retain(|activity| *activity != Activity::Away);
        }
        if self.activities.iter().any(|activity| *activity != Activity::Unknown) {
            self.activities.retain(|activity| *activity != Activity::Unknown);
        }
        if self.activities.is_empty() {
            self.activity_notes.clear();
        }
    }

    /// Step 7c: each from the youngest that has it.
    fn say_the_rest(&mut self, all: &[Said<'_>]) {
        let of = |has: fn(&Self) -> bool| all.iter().map(|said| &said.person.rich).find(|rich| has(rich));
        if let Some(rich) = of(|rich| !rich.mood.is_empty()) {
            self.mood.clone_from(&rich.mood);
            self.mood_notes.clone_from(&rich.mood_notes);
            self.take_windows(rich, Windowed::Mood);
        }
        if let Some(rich) = of(|rich| rich.place_is.is_some()) {
            self.place_is.clone_from(&rich.place_is);
            self.take_windows(rich, Windowed::PlaceIs);
        }
        if let Some(rich) = of(|rich| !rich.place_type.is_empty()) {
            self.place_type.clone_from(&rich.place_type);
            self.take_windows(rich, Windowed::PlaceType);
        }
        if let Some(rich) = of(|rich| !rich.privacy.is_empty()) {
            self.privacy.clone_from(&rich.privacy);
            self.take_windows(rich, Windowed::Privacy);
        }
        if let Some(rich) = of(|rich| rich.sphere.is_some()) {
            self.sphere.clone_from(&rich.sphere);
            self.take_windows(rich, Windowed::Sphere);
        }
        if let Some(rich) = of(|rich| !rich.class.is_empty()) {
            self.class.clone_from(&rich.class);
        }
        if let Some(rich) = of(|rich| rich.relationship.is_some()) {
            self.relationship.clone_from(&rich.relationship);
        }
        if let Some(rich) = of(|rich| !rich.service_class.is_empty()) {
            self.service_class.clone_from(&rich.service_class);
        }
        if let Some(rich) = of(|rich| rich.status_icon.is_some()) {
            self.status_icon.clone_from(&rich.status_icon);
        }
        if let Some(rich) = of(|rich| rich.time_offset.is_some()) {
            self.time_offset.clone_from(&rich.time_offset);
        }
        if let Some(rich) = of(|rich| !rich.card.is_empty()) {
            self.card.clone_from(&rich.card);
        }
        if let Some(rich) = of(|rich| !rich.capabilities.is_empty()) {
            self.capabilities.clone_from(&rich.capabilities);
        }
        // Somebody who is active beats all who are idle, and of these the last input counts.
        let mut inputs: Vec<_> = all.iter().filter_map(|said| said.person.rich.user_input.as_ref()).collect();
        inputs.sort_by_key(|input| {
            (Reverse(input.active), Reverse((!input.active).then_some(input.last_input).flatten()))
        });
        self.user_input = inputs.first().map(|input| (*input).clone());
    }

    fn take_windows(&mut self, from: &Self, of: Windowed) {
        self.windows.extend(from.windows.iter().filter(|window| window.of == of));
    }
}
