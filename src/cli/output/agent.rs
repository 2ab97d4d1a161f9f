//! What an agent tells of itself, and of me.

use jiff::Zoned;

use super::{Closed, Output, clock, print};
use crate::{
    client::{
        Layer, LayerKind, Line, Savings,
        shown::{self, standing},
        text,
    },
    control::{AgentStatus, StateFile},
};

impl Output {
    /// Prints what I publish, what comes after it, and where others can watch me.
    pub(in crate::cli) fn me(self, line: &Line) -> Result<(), Closed> {
        if self.is_for_programs() {
            return self.line(line, false);
        }
        let now = &Zoned::now();
        let mut rows = vec![("you are", line.layers.first().map_or_else(offline, layer))];
        rows.extend(line.layers.iter().skip(1).map(|below| ("then", layer(below))));
        if line.layers.last().is_some_and(|last| last.lasts != LayerKind::Base) {
            rows.push(("then", "offline".to_owned()));
        }
        if let Some(server) = &line.server {
            rows.extend(server.publication.as_ref().map(|link| ("at the server", standing(link, now))));
            rows.extend(server.registration.as_ref().map(|link| ("registered", standing(link, now))));
            rows.extend(server.watcher_info.as_ref().map(|link| ("watcher info", standing(link, now))));
        }
        rows.extend(line.addresses.iter().map(|address| ("watch me at", text::visible(address))));
        table(&rows)
    }

    /// Prints how an agent is.
    pub(in crate::cli) fn agent(self, agent: &AgentStatus, me: Option<&Line>) -> Result<(), Closed> {
        if self.json {
            return print(&serde_json::to_string(agent).unwrap_or_default());
        }
        let listen: Vec<String> = agent.listen.iter().map(ToString::to_string).collect();
        let only = if agent.listen.iter().all(|at| at.ip().is_loopback()) { " (this machine only)" } else { "" };
        let up = format!("since {}, pid {}, version {}", clock(agent.since, "%H:%M"), agent.pid, agent.version);
        let waiting = match agent.pending {
            0 => String::new(),
            1 => ", 1 waits for your approval".to_owned(),
            many => format!(", {many} wait for your approval"),
        };
        let state = match &agent.state {
            None => "not kept (agent.persist is off)".to_owned(),
            Some(StateFile { path, problem: Some(problem), .. }) => format!("{}: NOT KEPT: {problem}", path.display()),
            Some(StateFile { path, saved_at: Some(at), .. }) => {
                format!("{}, written {}", path.display(), clock(*at, "%H:%M:%S"))
            }
            Some(StateFile { path, .. }) => path.display().to_string(),
        };
        let mut rows = vec![("agent", up)];
        rows.extend(me.map(|me| ("you are", me.layers.first().map_or_else(offline, layer))));
        rows.push(("address", agent.address.clone()));
        rows.push(("listens at", format!("{}{only}", listen.join(", "))));
        rows.push(("watchers", format!("{}{waiting}", agent.active)));
        let spared = [("not sent to watchers", agent.saved.to_watchers), ("not sent to me", agent.saved.from_watched)];
        let spared = spared.into_iter().filter(|(_, saved)| *saved != Savings::default());
        let spared: Vec<String> = spared.map(|(whom, saved)| saving(whom, saved)).collect();
        if !spared.is_empty() {
            rows.push(("known", spared.join("; ")));
        }
        rows.push(("state", state));
        rows.push(("config", agent.config.display().to_string()));
        rows.extend(agent.log.as_ref().map(|log| ("log", log.display().to_string())));
        let rows: Vec<_> = rows.into_iter().map(|(name, value)| (name, text::visible(&value))).collect();
        table(&rows)
    }
}

/// Prints a JSON object in a line.
pub(in crate::cli) fn object(object: &impl serde::Serialize) -> Result<(), Closed> {
    print(&serde_json::to_string(object).unwrap_or_default())
}

/// Prints names and what stands behind them, which is safe to print.
pub(in crate::cli) fn table(rows: &[(&str, String)]) -> Result<(), Closed> {
    let widest = rows.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    rows.iter().try_for_each(|(name, value)| print(&format!("{name:<widest$}  {value}")))
}

/// Says what was left out because it was known.
fn saving(whom: &str, saved: Savings) -> String {
    let Savings { notifies, documents, bytes } = saved;
    let plural = |n: u64, one: &str, many: &str| format!("{n} {}", if n == 1 { one } else { many });
    let notifies = plural(notifies, "NOTIFY", "NOTIFYs");
    format!("{} {whom} ({notifies}, {})", plural(bytes, "byte", "bytes"), plural(documents, "document", "documents"))
}

/// What shows of who set nothing.
fn offline() -> String {
    "offline".to_owned()
}

fn layer(layer: &Layer) -> String {
    shown::layer(layer, &Zoned::now())
}
