//! The list: headers with counts, and a line for each person.

use jiff::{Timestamp, Zoned};
use ratatui::{
    layout::Rect,
    text::{Line, Span},
};

use super::canvas::{Canvas, cell, wrap};
use crate::{
    client::{
        Freshness, PresentityState, explain,
        shown::{self, Tone},
        text::visible,
    },
    tui::{
        areas::Areas,
        keymap::Action,
        model::{Link, Model},
        people::{Person, Watched},
        rows::{Row, Section, Sort},
    },
};

/// The columns of the time.
const SINCE: usize = 6;

/// Draws what is in sight.
pub(super) fn draw(canvas: &mut Canvas<'_, '_>, model: &Model, areas: &Areas) {
    if model.rows.all.is_empty() {
        return nobody(canvas, model, areas.body);
    }
    for place in 0..areas.page() {
        let (row, area) = (model.offset + place, areas.row(place));
        let here = row == model.cursor;
        match model.rows.all.get(row) {
            Some(Row::Header(section)) => {
                if let Some(section) = model.rows.sections.get(*section) {
                    let by_status = model.wish.sort == Sort::Status;
                    canvas.line(area, &header(canvas, section, by_status, here, area.width.into()));
                }
            }
            Some(Row::Person { person, section }) => {
                if let (Some(who), Some(watched)) = (model.people.list.get(*person), model.people.of(*person)) {
                    let line = person_line(canvas, model, who, watched, here, section.is_some(), area.width.into());
                    canvas.line(area, &line);
                }
            }
            None => break,
        }
        if here {
            canvas.style(area, canvas.theme.selected());
        }
    }
}

fn nobody(canvas: &mut Canvas<'_, '_>, model: &Model, area: Rect) {
    let words = if !model.wish.filter.is_empty() {
        format!("nobody fits; {} shows everybody", model.keymap.key(Action::Back))
    } else if model.rows.hidden > 0 {
        format!("everybody is offline; {} shows them", model.keymap.key(Action::HideOffline))
    } else if model.ready || !model.people.list.is_empty() {
        format!("no buddies yet: press {} to add one", model.keymap.key(Action::Add))
    } else if matches!(model.link, Link::Lost(_)) {
        "no agent: nothing is known yet".to_owned()
    } else {
        "waiting for the agent …".to_owned()
    };
    let lines = wrap(&words, usize::from(area.width.saturating_sub(2)));
    let top = area.height.saturating_sub(u16::try_from(lines.len()).unwrap_or_default()) / 3;
    let lines: Vec<Line<'_>> =
        lines.into_iter().map(|line| Line::styled(format!(" {line}"), canvas.theme.dim())).collect();
    canvas.lines(Rect { y: area.y + top, height: area.height - top, ..area }, &lines);
}

fn header(canvas: &Canvas<'_, '_>, section: &Section, by_status: bool, here: bool, width: usize) -> Line<'static> {
    let Section { available, total, open, .. } = section;
    let counts = match width {
        // All of them are what the title says.
        _ if by_status => total.to_string(),
        ..34 => format!("{available}/{total}"),
        _ => format!("{available} of {total} available"),
    };
    Line::from(vec![
        Span::raw(if here { "›" } else { " " }),
        Span::styled(if *open { "▾ " } else { "▸ " }, canvas.theme.dim()),
        Span::styled(visible(&section.title), canvas.theme.title()),
        Span::styled(format!("  {counts}"), canvas.theme.dim()),
    ])
}

fn person_line(
    canvas: &Canvas<'_, '_>,
    model: &Model,
    person: &Person,
    watched: &Watched,
    here: bool,
    indented: bool,
    width: usize,
) -> Line<'static> {
    let theme = canvas.theme;
    let state = &watched.state;
    let tone = theme.tone(Tone::of(state));
    let (word, rest) = words(person, watched);
    let lead = if here { "›" } else { " " };
    let indent = if indented && width >= 30 { " " } else { "" };
    let mut spans =
        vec![Span::raw(format!("{lead}{indent}")), Span::styled(format!("{} ", shown::symbol(state)), tone)];
    let used = 3 + indent.len();
    let left = width.saturating_sub(used);
    let mark = if person.buddy.mark { "★" } else { "" };
    if model.compact || left < 22 {
        // Names and words only; the sign has to do where there is no room for both.
        let name = if left < 16 { left } else { left - 10 };
        spans.push(Span::styled(cell(&format!("{}{mark}", person.name), name), theme.strong()));
        spans.push(Span::styled(if left < 16 { String::new() } else { format!(" {word}") }, tone));
        return Line::from(spans);
    }
    let name = (width * 3 / 10).clamp(8, 24);
    let word_columns = if width < 70 { 9 } else { 10 };
    let since = since(state, &model.now).filter(|_| width >= 56);
    let rest_columns = left.saturating_sub(name + 1 + word_columns + 2 + since.as_ref().map_or(0, |_| SINCE + 2));
    spans.push(Span::styled(cell(&format!("{}{mark}", person.name), name), theme.strong()));
    spans.push(Span::styled(format!(" {}", cell(&word, word_columns)), tone));
    spans.push(Span::raw("  "));
    let rest_style = if state.freshness == Freshness::Fresh { ratatui::style::Style::new() } else { theme.dim() };
    spans.push(Span::styled(cell(&rest, rest_columns), rest_style));
    if let Some(since) = since {
        spans.push(Span::styled(format!(" {since:>SINCE$}"), theme.dim()));
    }
    Line::from(spans)
}

/// Returns what somebody is in a word, and what there is to say of it; both safe to print.
pub(super) fn words(person: &Person, watched: &Watched) -> (String, String) {
    let state = &watched.state;
    let why = || shown::why(state).map(|why| visible(&why));
    match state.freshness {
        Freshness::Fresh => {
            let status = state.shown_status().to_string();
            if status != state.status_word() {
                return (state.status_word().to_owned(), watched.headline.clone());
            }
            let rest = watched.headline.strip_prefix(&status).unwrap_or_default();
            let rest = rest.trim_start_matches([',', ':', ' ']).to_owned();
            (status, rest)
        }
        Freshness::Stale => ("stale".to_owned(), format!("was {}", watched.headline)),
        Freshness::Failed(_) | Freshness::Pending | Freshness::Rejected => {
            let title = || explain::of_freshness(state.freshness).map(|entry| entry.title.to_owned());
            let reason = why().or_else(title).unwrap_or_default();
            let code = state.code().map(|code| format!("{code}: ")).unwrap_or_default();
            (state.freshness.word().to_owned(), format!("{code}{reason}"))
        }
        Freshness::Unknown if !person.buddy.watch => ("unknown".to_owned(), "is not watched".to_owned()),
        Freshness::Unknown => ("unknown".to_owned(), why().unwrap_or_default()),
    }
}

/// Returns since when somebody is so: a time of today, a weekday, or a date.
fn since(state: &PresentityState, now: &Zoned) -> Option<String> {
    let at: Timestamp = state.since.filter(|_| state.status().is_some())?;
    let then = at.to_zoned(now.time_zone().clone());
    let days = now.date().duration_since(then.date()).as_hours() / 24;
    let format = match days {
        0 => "%H:%M",
        1..=6 => "%a",
        _ if then.year() == now.year() => "%b %d",
        _ => "%Y",
    };
    Some(then.strftime(format).to_string())
}
