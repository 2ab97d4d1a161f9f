//! A line for people that fits in the columns that there are.

use crate::client::text;

/// One line for a terminal, in parts.
#[derive(Debug, PartialEq)]
pub(super) struct Row {
    pub(super) time: String,
    /// Symbol and name.
    pub(super) lead: String,
    pub(super) headline: String,
    pub(super) since: Option<String>,
    pub(super) why: Option<String>,
}

impl Row {
    /// Makes the line fit: since when goes first, then the time, then the end of the reason and of the note;
    /// the name stays.
    pub(super) fn fit(mut self, columns: usize) -> Self {
        const LEAST: usize = 12;
        let width = |part: &Option<String>| part.as_ref().map_or(0, |part| text::width(part) + 2);
        let room = |row: &Self| {
            let fixed = text::width(&row.time) + text::width(&row.lead) + width(&row.since) + width(&row.why);
            columns.saturating_sub(fixed)
        };
        let wanted = text::width(&self.headline).min(LEAST);
        if room(&self) < wanted {
            self.since = None;
        }
        if room(&self) < wanted {
            self.time.clear();
        }
        if room(&self) < wanted
            && let Some(why) = self.why.take()
        {
            let left = room(&self).saturating_sub(wanted + 2);
            self.why = (left >= LEAST).then(|| text::truncate_to_width(&why, left));
        }
        let room = room(&self).max(1);
        self.headline = text::truncate_to_width(&self.headline, room);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(headline: &str, why: Option<&str>) -> Row {
        Row {
            time: "12:00:00  ".to_owned(),
            lead: "● alice@host  ".to_owned(),
            headline: headline.to_owned(),
            since: Some("since 11:58".to_owned()),
            why: why.map(str::to_owned),
        }
    }

    fn columns(row: &Row) -> usize {
        let parts = [row.since.as_deref(), row.why.as_deref()];
        text::width(&row.time)
            + text::width(&row.lead)
            + text::width(&row.headline)
            + parts.iter().flatten().map(|part| text::width(part) + 2).sum::<usize>()
    }

    #[test]
    fn sec_08_a_line_fits_from_forty_columns_on_whatever_the_note_is() {
        let marks = format!("busy: e{}", "\u{301}".repeat(10_000));
        let wide = format!("busy: {}", "漢".repeat(300));
        for width in [40, 60, 80, 200] {
            for note in ["busy", "busy: at lunch until one", marks.as_str(), wide.as_str()] {
                for why in [None, Some("[the look-up of no-such-host.invalid took longer than 5 s]")] {
                    let fitted = row(note, why).fit(width);
                    assert!(columns(&fitted) <= width, "{width}: {fitted:?}");
                    assert!(fitted.lead.contains("alice@host") && fitted.headline.starts_with("busy"));
                }
            }
        }
    }

    #[test]
    fn what_fits_is_left_alone_and_the_time_since_gives_way_first() {
        assert_eq!(row("busy", None).fit(80), row("busy", None));
        let narrow = row("busy: at lunch until one", None).fit(45);
        assert_eq!((narrow.since, narrow.time.as_str()), (None, "12:00:00  "));
    }
}
