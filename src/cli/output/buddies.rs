//! The buddy list, for people and for programs.

use jiff::Timestamp;

use super::{Closed, Output, print};
use crate::client::{Buddies, Buddy, Line, text};

/// The widest column.
const WIDEST: usize = 40;

impl Output {
    /// Prints the buddy list.
    pub(in crate::cli) fn buddies(self, list: &Buddies) -> Result<(), Closed> {
        if self.json {
            return print(&Line::buddies(0, Timestamp::now(), list).to_json());
        }
        let widest = |of: &dyn Fn(&Buddy) -> usize| list.0.iter().map(of).max().unwrap_or_default();
        let names = widest(&|buddy| text::width(&text::visible(&buddy.to_string()))).min(WIDEST);
        let addresses = widest(&|buddy| text::width(&text::visible(&buddy.address))).min(WIDEST);
        for buddy in &list.0 {
            let cells = buddy_cells(buddy);
            let pad = |cell: &str, to: usize| " ".repeat(to.saturating_sub(text::width(cell)));
            let (name, address) = (&cells[0], &cells[1]);
            let line = if self.terminal {
                format!("{name}{}  {address}{}  {}", pad(name, names), pad(address, addresses), cells[2..].join("  "))
            } else {
                cells.join("\t")
            };
            print(line.trim_end())?;
        }
        Ok(())
    }
}

/// Returns what is told of a buddy: name, address, groups, and what is unusual.
fn buddy_cells(buddy: &Buddy) -> [String; 4] {
    let groups = buddy.groups.iter().map(|group| format!("@{group}")).collect::<Vec<_>>().join(" ");
    let mut rest = Vec::new();
    if !buddy.aliases.is_empty() {
        rest.push(format!("also {}", buddy.aliases.join(", ")));
    }
    if let Some(account) = &buddy.account {
        rest.push(format!("through {account}"));
    }
    if !buddy.watch {
        rest.push("not watched".to_owned());
    }
    if buddy.mark {
        rest.push("marked".to_owned());
    }
    [buddy.to_string(), buddy.address.clone(), groups, rest.join("; ")].map(|cell| text::visible(&cell))
}
