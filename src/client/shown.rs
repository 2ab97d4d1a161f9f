//! How states are shown to people, whatever shows them: sign, colour, words, times. Nothing here prints.
//!
//! What a peer wrote is made [`visible`] here or said to be as it came; the time is an argument.

use jiff::{SignedDuration, Timestamp, Zoned};

use super::{
    Freshness, Layer, LayerKind, Link, PresenceStatus, PresentityState, WatcherGrade, WatcherInfo, text::visible,
};

/// What a state is like, for whoever has colours; a colour is never alone, beside it stand [`symbol`] and word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tone {
    /// Can be reached.
    Good,
    /// Has something else to do.
    Busy,
    /// Is not there.
    Away,
    /// Wants no calls, or it failed.
    Bad,
    /// Nothing to look at.
    Quiet,
}

impl Tone {
    /// Returns that of a state.
    pub fn of(state: &PresentityState) -> Self {
        match (state.freshness, state.status()) {
            (Freshness::Fresh, Some(status)) => Self::of_status(status),
            (Freshness::Failed(_) | Freshness::Rejected, _) => Self::Bad,
            _ => Self::Quiet,
        }
    }

    /// Returns that of a status that is sure.
    pub fn of_status(status: &PresenceStatus) -> Self {
        match status {
            PresenceStatus::Available | PresenceStatus::Custom(_) => Self::Good,
            PresenceStatus::Busy | PresenceStatus::InCall => Self::Busy,
            PresenceStatus::Away => Self::Away,
            PresenceStatus::DoNotDisturb => Self::Bad,
            PresenceStatus::Offline => Self::Quiet,
        }
    }
}

/// Colour is never alone: each status has a sign of its own, and each doubt.
pub fn symbol(state: &PresentityState) -> &'static str {
    match (state.freshness, state.status()) {
        (Freshness::Pending, _) => "?",
        (Freshness::Rejected | Freshness::Failed(_), _) => "!",
        (Freshness::Unknown, _) | (_, None) => "·",
        (Freshness::Stale, _) => "~",
        (Freshness::Fresh, Some(status)) => symbol_of(status),
    }
}

/// Returns the sign of a status that is sure.
pub fn symbol_of(status: &PresenceStatus) -> &'static str {
    match status {
        PresenceStatus::Available => "●",
        PresenceStatus::Busy => "◐",
        PresenceStatus::Away => "◔",
        PresenceStatus::DoNotDisturb => "⊘",
        PresenceStatus::InCall => "☎",
        PresenceStatus::Offline => "○",
        PresenceStatus::Custom(_) => "◆",
    }
}

/// Says why a state is not what one would wish; the text of a peer is in it as it came.
pub fn why(state: &PresentityState) -> Option<String> {
    if let Some(warning) = &state.warning {
        return Some(warning.clone());
    }
    let reason = state.subscription.as_ref().and_then(|subscription| subscription.reason.clone());
    match state.freshness {
        Freshness::Fresh => None,
        Freshness::Pending => Some("waits for their approval".to_owned()),
        Freshness::Rejected | Freshness::Failed(_) | Freshness::Stale | Freshness::Unknown => reason,
    }
}

/// Returns the name that people know, safe to print.
pub fn name(state: &PresentityState) -> String {
    address(state.display_name())
}

/// Returns an address without what goes without saying, safe to print.
pub fn address(address: &str) -> String {
    visible(address.strip_prefix("sip:").unwrap_or(address))
}

/// Returns who watches, safe to print; whoever only says so "claims to be".
pub fn watcher(watcher: &WatcherInfo) -> String {
    let who = address(&watcher.who);
    if watcher.identity == WatcherGrade::Claimed { format!("claims to be {who}") } else { who }
}

/// Returns a time of today in the given format, another with its date, in the time zone of `now`.
pub fn clock(at: Timestamp, format: &str, now: &Zoned) -> String {
    let at = at.to_zoned(now.time_zone().clone());
    let date = if at.date() == now.date() { String::new() } else { format!("{} ", at.strftime("%Y-%m-%d")) };
    format!("{date}{}", at.strftime(format))
}

/// Returns an end that lies ahead: to the minute, or to the second if it is near.
pub fn clock_until(at: Timestamp, now: &Zoned) -> String {
    let near = at.duration_since(now.timestamp()) < SignedDuration::from_mins(2);
    clock(at, if near { "%H:%M:%S" } else { "%H:%M" }, now)
}

/// Returns status and note of a layer of my status, safe to print.
pub fn layer_words(layer: &Layer) -> String {
    let status = layer.text.clone().unwrap_or_else(|| layer.status.to_string());
    let note = layer.note.as_ref().map(|note| format!(": {note}")).unwrap_or_default();
    visible(&format!("{status}{note}"))
}

/// Returns a layer of my status with its end, safe to print.
pub fn layer(layer: &Layer, now: &Zoned) -> String {
    let end = match (layer.lasts, layer.until) {
        (_, Some(until)) => format!(" until {}", clock_until(until, now)),
        (LayerKind::While, None) => " while its command runs".to_owned(),
        _ => String::new(),
    };
    format!("{}{end}", layer_words(layer))
}

/// Says how something of ours stands at the server, safe to print.
pub fn standing(link: &Link, now: &Zoned) -> String {
    let state = match (link.state.as_str(), link.expires_at) {
        ("standing", Some(at)) => format!("yes, until {} and longer", clock_until(at, now)),
        ("none", _) => "no".to_owned(),
        (state, _) => state.to_owned(),
    };
    let reason = link.reason.as_ref().map(|reason| format!(": {}", visible(reason))).unwrap_or_default();
    let next = link.next_retry.map(|at| format!(", tried again at {}", clock_until(at, now))).unwrap_or_default();
    format!("{state}{reason}{next}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{FailureCode, PresenceInfo};

    #[test]
    fn each_status_and_each_doubt_has_a_sign_of_its_own() {
        let sure = ["available", "busy", "away", "dnd", "offline", "in-call"].map(|word| {
            let status = PresenceStatus::from_word(word);
            let info = PresenceInfo { status, ..PresenceInfo::default() };
            PresentityState { info: Some(info), freshness: Freshness::Fresh, ..PresentityState::new("x") }
        });
        let doubts = [Freshness::Stale, Freshness::Pending, Freshness::Failed(FailureCode::Dns), Freshness::Unknown]
            .map(|freshness| PresentityState { freshness, ..sure[0].clone() });
        let signs: std::collections::BTreeSet<_> = sure.iter().chain(&doubts).map(symbol).collect();
        assert_eq!(signs.len(), 10, "{signs:?}");
        assert_eq!(Tone::of(&doubts[0]), Tone::Quiet, "what is not sure is not shown as good");
    }
}
