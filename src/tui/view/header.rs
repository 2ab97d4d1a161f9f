//! My status, my accounts, and the rule above what is shown.

use jiff::SignedDuration;
use ratatui::text::{Line, Span};

use super::canvas::{Canvas, columns};
use crate::{
    client::{
        LayerKind, Line as Event, PresenceStatus,
        shown::{self, Tone},
        text::width,
    },
    config::format_duration,
    tui::{
        areas::Areas,
        keymap::Action,
        model::{Link, Mine, Model, Screen},
    },
};

/// Draws all three, as far as there is room.
pub(super) fn draw(canvas: &mut Canvas<'_, '_>, model: &Model, areas: &Areas) {
    let mut me = areas.me;
    let waiting = model.waiting();
    if waiting > 0 && me.height > 0 {
        let key = model.keymap.key(Action::Watchers);
        let wait = if waiting == 1 { "waits" } else { "wait" };
        let words = match me.width {
            60.. => format!(" {waiting} {wait} for your approval: {key} "),
            30.. => format!(" {waiting} {wait}: {key} "),
            _ => format!("?{waiting}"),
        };
        me.width = canvas.line_right(me, &Line::styled(words, canvas.theme.alert()));
    }
    let mine = mine(canvas, model, me.width.into());
    canvas.line(me, &mine);
    canvas.line(areas.health, &health(canvas, model));
    if areas.rule.height > 0 {
        let about = about(model);
        let rest = usize::from(areas.rule.width).saturating_sub(width(&about) + 4);
        let spans = vec![
            Span::styled("── ", canvas.theme.dim()),
            Span::styled(about, canvas.theme.dim()),
            Span::styled(format!(" {}", "─".repeat(rest)), canvas.theme.dim()),
        ];
        canvas.line(areas.rule, &Line::from(spans));
    }
}

fn mine(canvas: &Canvas<'_, '_>, model: &Model, width: usize) -> Line<'static> {
    let theme = canvas.theme;
    let Some(mine) = model.me.first() else {
        let words = match model.link {
            Link::Lost(_) => " ! no agent",
            _ => " · waiting for the agent …",
        };
        return Line::styled(words, theme.dim());
    };
    let line = &mine.line;
    let status = line.status.and_then(|word| word.to_status(line.text.as_deref())).unwrap_or(PresenceStatus::Offline);
    // Nobody keeps it up while the agent is gone.
    let up = model.link == Link::Up;
    let (symbol, style) =
        if up { (shown::symbol_of(&status), theme.tone(Tone::of_status(&status))) } else { ("~", theme.dim()) };
    let words = line.layers.first().map_or_else(|| "offline".to_owned(), shown::layer_words);
    let mut line =
        Line::from(vec![Span::styled(format!(" {symbol} "), style), Span::styled(words, style.patch(theme.strong()))]);
    // What comes later gives way first.
    for more in end(model).into_iter().flatten() {
        line.spans.push(Span::styled(more, theme.dim()));
        if columns(&line) > width {
            line.spans.pop();
            break;
        }
    }
    line
}

/// Says when my status ends, how long that is, and what comes then.
fn end(model: &Model) -> [Option<String>; 3] {
    let layers = model.me.first().map(|mine| mine.line.layers.as_slice()).unwrap_or_default();
    let Some(layer) = layers.first() else { return [None, None, None] };
    let until = match layer.until {
        Some(until) => Some(format!("  until {}", shown::clock_until(until, &model.now))),
        None => (layer.lasts == LayerKind::While).then(|| "  while its command runs".to_owned()),
    };
    let left = layer.until.map(|until| left_words(until.duration_since(model.now.timestamp())));
    let left = left.map(|left| format!(" ({left} left)"));
    let then = match (layers.get(1), layer.lasts) {
        (Some(below), _) => Some(shown::layer_words(below)),
        (None, LayerKind::Base) => None,
        (None, _) => Some("offline".to_owned()),
    };
    [until, left, then.map(|then| format!(", then {then}"))]
}

/// Says how long something lasts, by seconds near its end.
fn left_words(left: SignedDuration) -> String {
    let seconds = u64::try_from(left.as_secs().max(0)).unwrap_or_default();
    if seconds <= 120 {
        return format!("{seconds}s");
    }
    let minutes = seconds.div_ceil(60);
    format_duration(std::time::Duration::from_secs(minutes * 60))
}

fn health(canvas: &Canvas<'_, '_>, model: &Model) -> Line<'static> {
    let theme = canvas.theme;
    match &model.link {
        Link::Lost(reason) => {
            Line::styled(format!(" ! agent lost: {reason}; trying again, states are stale"), theme.tone(Tone::Bad))
        }
        Link::Trying => Line::styled(" connecting …", theme.dim()),
        Link::Up => {
            let mut spans = vec![Span::raw(" ")];
            for (place, mine) in model.me.iter().enumerate() {
                if place > 0 {
                    spans.push(Span::styled(" · ", theme.dim()));
                }
                let (good, words) = account(mine, model);
                let style = if good { theme.dim() } else { theme.tone(Tone::Bad) };
                spans.push(Span::styled(if good { words } else { format!("! {words}") }, style));
            }
            Line::from(spans)
        }
    }
}

/// Says how an account stands, and whether that is well.
fn account(mine: &Mine, model: &Model) -> (bool, String) {
    let Event { presentity, server, addresses, .. } = &mine.line;
    let who = mine.account.as_deref().or(presentity.as_deref()).map(shown::address).unwrap_or_default();
    let links = server.iter().flat_map(|server| {
        [("", &server.publication), ("registered: ", &server.registration)]
            .into_iter()
            .filter_map(|(what, link)| link.as_ref().map(|link| (what, link)))
    });
    let told: Vec<_> = links.filter(|(_, link)| link.state != "none").collect();
    let Some((what, link)) = told.iter().find(|(_, link)| link.state != "standing").or_else(|| told.first()) else {
        let at = addresses.first().map(|at| shown::address(at)).filter(|at| *at != who);
        return (true, at.map_or_else(|| who.clone(), |at| format!("{who} at {at}")));
    };
    match link.state.as_str() {
        "standing" => {
            let until = link.expires_at.map(|at| format!(" until {}", shown::clock(at, "%H:%M", &model.now)));
            (true, format!("{who}: at the server{}", until.unwrap_or_default()))
        }
        "trying" | "unsure" => (true, format!("{who}: {what}asking the server …")),
        _ => (false, format!("{who}: {what}{}", shown::standing(link, &model.now))),
    }
}

/// Says what stands below the rule.
fn about(model: &Model) -> String {
    let people = |count: usize| if count == 1 { "1 person".to_owned() } else { format!("{count} people") };
    match model.screen {
        Screen::List if !model.wish.filter.is_empty() => {
            let filter = crate::client::text::visible(&model.wish.filter);
            format!("filter “{filter}”: {} of {}", model.rows.all.len(), people(model.people.list.len()))
        }
        Screen::List => {
            let hidden = if model.wish.hide_offline {
                format!(" · {} offline hidden", model.rows.hidden)
            } else {
                String::new()
            };
            format!("{} · by {}{hidden}", people(model.people.list.len()), model.wish.sort.word())
        }
        Screen::Wallboard => {
            let groups = model.people.groups();
            let group = model.wall.checked_sub(1).and_then(|place| groups.get(place)).cloned();
            format!("wall: {} · ← → other groups", group.unwrap_or_else(|| "everybody".to_owned()))
        }
        Screen::Log => format!("log: {} changes since the list was opened", model.log.len()),
        Screen::Trace => format!("SIP messages of the agent: {} lines", model.trace.len()),
    }
}
