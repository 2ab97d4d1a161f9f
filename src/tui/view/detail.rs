//! Everything that is known of somebody.

use jiff::Zoned;
use ratatui::{
    layout::Rect,
    style::Style,
    text::{Line, Span},
};

use super::canvas::{Canvas, wrap};
use crate::{
    client::{
        Activity, PresentityState, explain,
        shown::{self, Tone},
        text::{visible, visible_lines},
    },
    tui::{
        model::Model,
        people::{Person, Watched, doubt},
        theme::Theme,
    },
};

/// The columns of what stands before a value.
const NAME: usize = 10;

/// Draws it, with a line to the left where there is a list beside it.
pub(super) fn draw(canvas: &mut Canvas<'_, '_>, model: &Model, mut area: Rect) {
    if area.height == 0 || area.width < 4 {
        return;
    }
    if area.x > 0 {
        for y in area.top()..area.bottom() {
            canvas.line(Rect { y, width: 1, height: 1, ..area }, &Line::styled("│", canvas.theme.dim()));
        }
    }
    area.x += 1;
    area.width -= 1;
    let lines = lines(model, canvas.theme, area.width);
    let scroll = model.detail_scroll.min(lines.len().saturating_sub(area.height.into()));
    canvas.lines(area, lines.iter().skip(scroll));
}

/// Returns the lines of whom the cursor is on.
pub(crate) fn lines(model: &Model, theme: Theme, width: u16) -> Vec<Line<'static>> {
    let mut page = Page { theme, width: width.into(), lines: Vec::new() };
    match model.current_person() {
        Some((person, watched)) => page.person(person, watched, &model.now),
        None => page.text("go to somebody on the list", theme.dim()),
    }
    page.lines
}

struct Page {
    theme: Theme,
    width: usize,
    lines: Vec<Line<'static>>,
}

impl Page {
    fn text(&mut self, text: &str, style: Style) {
        let lines = wrap(text, self.width.saturating_sub(2));
        self.lines.extend(lines.into_iter().map(|line| Line::styled(format!(" {line}"), style)));
    }

    fn title(&mut self, title: &str) {
        self.lines.push(Line::default());
        self.lines.push(Line::styled(format!(" {title}"), self.theme.title()));
    }

    /// Adds a name and what stands behind it, which is safe to print; nothing if that is empty.
    fn value(&mut self, name: &str, value: &str) {
        let lines = wrap(value, self.width.saturating_sub(NAME + 3));
        for (place, line) in lines.into_iter().enumerate().filter(|_| !value.is_empty()) {
            let name = if place == 0 { name } else { "" };
            let lead = Span::styled(format!(" {name:<NAME$} "), self.theme.dim());
            self.lines.push(Line::from(vec![lead, Span::raw(line)]));
        }
    }

    fn person(&mut self, person: &Person, watched: &Watched, now: &Zoned) {
        let state = &watched.state;
        let tone = self.theme.tone(Tone::of(state));
        self.text(&person.name, self.theme.strong());
        let doubt = doubt(state).map(|doubt| format!(" ({doubt})")).unwrap_or_default();
        self.text(&format!("{} {}{doubt}", shown::symbol(state), watched.headline), tone);
        self.lines.push(Line::default());
        self.value("address", &shown::address(&person.buddy.address));
        self.value("groups", &visible(&person.buddy.groups.join(", ")));
        self.value("account", &visible(person.buddy.account.as_deref().unwrap_or_default()));
        if person.buddy.mark {
            self.value("marked", "the bell rings when available");
        }
        if !person.buddy.watch {
            self.value("watched", "no: only when named");
        }
        if let Some(since) = state.since.filter(|_| state.status().is_some()) {
            let by = match state.since_from {
                Some(crate::client::SinceFrom::Peer) => "says the peer",
                _ => "as seen here",
            };
            self.value("since", &format!("{}, {by}", shown::clock(since, "%H:%M:%S", now)));
        }
        self.told(state);
        self.devices(state);
        self.subscription(state, now);
        self.why(state);
        self.history(watched, now);
        if let Some(document) = &state.document {
            self.title("document");
            for line in visible_lines(document).replace('\t', "  ").lines() {
                self.text(line, self.theme.dim());
            }
        }
    }

    /// What the document tells beside the status.
    fn told(&mut self, state: &PresentityState) {
        let Some(info) = &state.info else { return };
        let activities: Vec<&str> = info.activities.iter().map(Activity::words).collect();
        self.value("does", &visible(&activities.join(", ")));
        self.value("note", &visible(info.note.as_ref().map(|note| note.text.as_str()).unwrap_or_default()));
        for note in &info.notes {
            let lang = note.lang.as_deref().map(|lang| format!(" ({lang})")).unwrap_or_default();
            self.value("also says", &visible(&format!("{}{lang}", note.text)));
        }
        self.value("mood", &visible(&info.mood.join(", ")));
        self.value("is at", &visible(info.location.as_deref().unwrap_or_default()));
        self.value("place", &visible(&info.place_type.join(", ")));
        self.value("sphere", &visible(info.sphere.as_deref().unwrap_or_default()));
        self.value("clock", &info.time_offset.as_ref().map(ToString::to_string).unwrap_or_default());
        self.value("can", &visible(&info.capabilities.join(", ")));
    }

    fn devices(&mut self, state: &PresentityState) {
        let devices = state.info.as_ref().map(|info| info.devices.as_slice()).unwrap_or_default();
        if devices.is_empty() {
            return;
        }
        self.title(if devices.len() == 1 { "device" } else { "devices, the best first" });
        for device in devices {
            let contact = device.contact.as_deref().map(shown::address);
            let name = device.name.as_deref().map(visible).or_else(|| contact.clone());
            let name = name.unwrap_or_else(|| "without a name".to_owned());
            let basic = device.basic.map(|basic| format!(" {basic}")).unwrap_or_default();
            let input = device.user_input.as_ref().map(|input| if input.active { ", in use" } else { ", idle" });
            self.text(&format!("{name}:{basic}{}", input.unwrap_or_default()), Style::new());
            self.value("  at", &contact.filter(|_| device.name.is_some()).unwrap_or_default());
            self.value("  can", &visible(&device.capabilities.join(", ")));
            self.value("  note", &visible(device.note.as_ref().map(|note| note.text.as_str()).unwrap_or_default()));
        }
    }

    fn subscription(&mut self, state: &PresentityState, now: &Zoned) {
        let Some(subscription) = &state.subscription else { return };
        self.title("subscription");
        self.value("state", &visible(&subscription.state));
        if let Some(seconds) = subscription.expires_in {
            let length = crate::config::format_duration(std::time::Duration::from_secs(seconds));
            self.value("refreshed", &format!("within {length}"));
        }
        if let Some(at) = subscription.next_retry {
            self.value("next try", &shown::clock_until(at, now));
        }
        self.value("way", &visible(subscription.route.as_deref().unwrap_or_default()));
        self.value("reason", &visible(subscription.reason.as_deref().unwrap_or_default()));
        if let Some(code) = subscription.last_code {
            self.value("last code", &code.to_string());
            let failed = crate::client::Freshness::Failed(code);
            // If that is what the state is, it is explained below.
            if let Some(entry) = explain::of_freshness(failed).filter(|_| state.freshness != failed) {
                self.value("", &format!("{}: {}", entry.title, entry.means));
            }
        }
    }

    /// How the status that is shown came about, or why there is none.
    fn why(&mut self, state: &PresentityState) {
        self.title("why this status");
        if let Some(entry) = explain::of_freshness(state.freshness) {
            self.value(state.freshness.word(), &format!("{}: {}", entry.title, entry.means));
            self.value("cause", entry.cause);
            self.value("to do", entry.next);
        }
        if let Some(info) = &state.info {
            let basic =
                info.basic.map_or_else(|| "does not say open or closed".to_owned(), |basic| format!("says {basic}"));
            let activities: Vec<&str> = info.activities.iter().map(Activity::words).collect();
            let doing = if activities.is_empty() { String::new() } else { format!(" and {}", activities.join(", ")) };
            let by = info.device.as_deref().map(|device| format!(", spoken for by {device}")).unwrap_or_default();
            let status = state.shown_status();
            self.value("document", &visible(&format!("{basic}{doing}{by}: read as {status}")));
            if info.persons_ambiguous {
                self.value("beware", "the document has several persons");
            }
        }
        self.value("beware", &visible(state.warning.as_deref().unwrap_or_default()));
    }

    fn history(&mut self, watched: &Watched, now: &Zoned) {
        let today = |at: jiff::Timestamp| at.to_zoned(now.time_zone().clone()).date() == now.date();
        let past: Vec<_> = watched.past.iter().rev().filter(|past| today(past.at)).collect();
        if past.is_empty() {
            return;
        }
        self.title("today");
        for past in past {
            let time = Span::styled(format!(" {} ", shown::clock(past.at, "%H:%M:%S", now)), self.theme.dim());
            let words = Span::styled(format!("{} {}", past.symbol, past.words), self.theme.tone(past.tone));
            self.lines.push(Line::from(vec![time, words]));
        }
    }
}
