//! Text that people wrote: made fit for a document before it is sent, made safe before it is shown.
//!
//! [`clean_note`] keeps what may stand in XML (conformance MAP-14), [`visible`] turns what would act on a
//! terminal into escapes (SEC-07), [`width`] and [`truncate_to_width`] count columns by grapheme (SEC-08).

use std::borrow::Cow;

use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::UnicodeWidthStr as _;

/// The most bytes a note has, in UTF-8 and before XML escaping.
pub const MAX_NOTE: usize = 1024;

/// How many code points one grapheme keeps when text is cut for a column: enough for every script and emoji
/// family, too few to paint over other lines.
const MAX_MARKS: usize = 16;

/// Returns the note as it may be published: line ends are LF, controls but TAB and LF and what XML forbids
/// are gone, blanks around it too, and it has at most [`MAX_NOTE`] bytes, cut between graphemes.
///
/// The result is empty if nothing is left. Cleaning twice changes nothing more.
pub fn clean_note(note: &str) -> String {
    // More than this can never survive; a note of megabytes costs no more than a long one.
    let mut clean = String::with_capacity(note.len().min(MAX_NOTE * 2));
    let mut chars = note.trim().chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\r' => {
                if chars.peek() != Some(&'\n') {
                    clean.push('\n');
                }
            }
            '\t' | '\n' => clean.push(c),
            c if c.is_control() || is_noncharacter(c) => {}
            c => clean.push(c),
        }
        if clean.len() > MAX_NOTE + 256 {
            break;
        }
    }
    let cut = cut_at(clean.trim(), MAX_NOTE).trim_end();
    cut.to_owned()
}

/// Returns the text with everything that acts on a terminal, hides or reorders written as an escape.
///
/// TAB and LF become `\t` and `\n`; other controls, bidi controls, zero-width, private and unassigned code
/// points become `\uXXXX` (`\u{XXXXX}` above the basic plane). The joiner inside an emoji stays.
pub fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut previous = None;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            ' '..='~' => out.push(c),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{200d}' if previous.is_some_and(joins_emoji) && chars.peek().copied().is_some_and(joins_emoji) => {
                out.push(c);
            }
            c if is_plain(c) => out.push(c),
            c => push_escape(&mut out, c),
        }
        previous = Some(c);
    }
    out
}

/// Returns the text as [`visible`] does, with its line ends and tabs: for documents and messages of many lines.
pub fn visible_lines(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let (words, end) = match (line.strip_suffix("\r\n"), line.strip_suffix('\n')) {
            (Some(words), _) => (words, "\r\n"),
            (None, Some(words)) => (words, "\n"),
            (None, None) => (line, ""),
        };
        let parts: Vec<String> = words.split('\t').map(visible).collect();
        out.push_str(&parts.join("\t"));
        out.push_str(end);
    }
    out
}

/// Returns the columns that the text takes on a terminal, counted by grapheme.
pub fn width(text: &str) -> usize {
    if text.is_ascii() {
        return text.len();
    }
    text.graphemes(true).map(grapheme_width).sum()
}

/// Returns the text cut to at most `columns`, the last of them an ellipsis if something was left out.
///
/// It is cut between graphemes, and a grapheme keeps sixteen code points at most, so ten thousand combining
/// marks neither break a line nor slow it down.
pub fn truncate_to_width(text: &str, columns: usize) -> String {
    let mut out = String::with_capacity(text.len().min(columns.saturating_mul(4)));
    let (mut used, mut fits) = (0, 0);
    for grapheme in text.graphemes(true) {
        let columns_of_it = grapheme_width(grapheme);
        if used + columns_of_it > columns {
            out.truncate(fits);
            if columns > 0 {
                out.push('…');
            }
            return out;
        }
        used += columns_of_it;
        out.push_str(head(grapheme));
        if used < columns {
            fits = out.len();
        }
    }
    out
}

/// Returns the text without blanks around it, and nothing for a text of blanks.
pub(crate) fn trimmed(text: Cow<'_, str>) -> Option<String> {
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return None;
    }
    Some(if trimmed.len() == text.len() { text.into_owned() } else { trimmed.to_owned() })
}

fn cut_at(text: &str, bytes: usize) -> &str {
    if text.len() <= bytes {
        return text;
    }
    let mut end = 0;
    for (start, grapheme) in text.grapheme_indices(true) {
        if start + grapheme.len() > bytes {
            break;
        }
        end = start + grapheme.len();
    }
    if end == 0 {
        end = text.floor_char_boundary(bytes);
    }
    &text[..end]
}

fn grapheme_width(grapheme: &str) -> usize {
    head(grapheme).width().min(2)
}

fn head(grapheme: &str) -> &str {
    match grapheme.char_indices().nth(MAX_MARKS) {
        Some((end, _)) => &grapheme[..end],
        None => grapheme,
    }
}

fn is_noncharacter(c: char) -> bool {
    matches!(u32::from(c) & 0xffff, 0xfffe | 0xffff)
}

fn is_plain(c: char) -> bool {
    match c {
        // Blanks of other widths are seen as blanks; the standard library counts them as not printable.
        '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}' => true,
        // Letters and marks by category, yet never seen.
        '\u{34f}'
        | '\u{115f}'
        | '\u{1160}'
        | '\u{17b4}'
        | '\u{17b5}'
        | '\u{180b}'..='\u{180f}'
        | '\u{3164}'
        | '\u{ffa0}' => false,
        c => is_printable(c),
    }
}

/// Asks the standard library's table, which knows controls, formats, private and unassigned code points.
fn is_printable(c: char) -> bool {
    let mut pair = [0; 5];
    pair[0] = b'a';
    let end = 1 + c.encode_utf8(&mut pair[1..]).len();
    // Only at its start does `str::escape_debug` escape combining marks, hence the letter before it.
    match std::str::from_utf8(&pair[..end]) {
        Ok(pair) => pair.escape_debug().nth(1) == Some(c) && c != '\\',
        Err(_) => false,
    }
}

fn joins_emoji(c: char) -> bool {
    matches!(c, '\u{fe0f}' | '\u{2190}'..='\u{21ff}' | '\u{2600}'..='\u{27bf}' | '\u{2b00}'..='\u{2bff}' | '\u{1f000}'..='\u{1faff}')
}

fn push_escape(out: &mut String, c: char) {
    use std::fmt::Write as _;
    let code = u32::from(c);
    let _ = if code <= 0xffff { write!(out, "\\u{code:04x}") } else { write!(out, "\\u{{{code:x}}}") };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn map_14_a_note_keeps_tab_and_line_ends_and_loses_other_controls() {
        assert_eq!(clean_note("a\tb\r\nc\rd\u{0}\u{7}\u{85}\u{fffe}\u{ffff}e"), "a\tb\nc\nde");
        assert_eq!(clean_note("]]> & <"), "]]> & <");
        assert_eq!(clean_note(" \r\n\u{0} "), "");
    }

    #[test]
    fn map_14_a_note_is_cut_at_1024_bytes_between_graphemes() {
        let note = clean_note(&"é".repeat(2000));
        assert_eq!(note.len(), 1024);
        let family = "👩‍👩‍👧";
        let note = clean_note(&family.repeat(100));
        assert!(note.len() <= 1024 && note.len().is_multiple_of(family.len()), "{}", note.len());
        let marks = clean_note(&format!("a{}", "\u{301}".repeat(10_000)));
        assert!(marks.len() <= 1024 && marks.len() > 1000);
        assert_eq!(clean_note(&note), note);
    }

    #[test]
    fn sec_07_what_acts_on_a_terminal_is_shown_as_an_escape() {
        assert_eq!(visible("\u{1b}]0;x\u{7}"), "\\u001b]0;x\\u0007");
        assert_eq!(visible("a\u{202e}b\u{2066}c"), "a\\u202eb\\u2066c");
        assert_eq!(visible("\u{9b}31m\u{7f}"), "\\u009b31m\\u007f");
        assert_eq!(visible("a\tb\nc\rd"), "a\\tb\\nc\\u000dd");
        assert_eq!(visible("a\u{200b}b\u{200d}c\u{feff}"), "a\\u200bb\\u200dc\\ufeff");
        assert_eq!(visible("\u{e000}\u{378}\u{e0041}\u{2028}\u{3164}"), "\\ue000\\u0378\\u{e0041}\\u2028\\u3164");
    }

    #[test]
    fn sec_07_a_text_of_many_lines_keeps_its_line_ends_and_tabs_alone() {
        assert_eq!(visible_lines("a\tb\r\nc\n\n\u{1b}[2Jd\re\r"), "a\tb\r\nc\n\n\\u001b[2Jd\\u000de\\u000d");
        assert_eq!(visible_lines(""), "");
    }

    #[test]
    fn sec_07_what_people_write_stays_as_it_is() {
        for text in ["Grüße, 你好, שלום", "e\u{301}", "👩‍💻 ☕ ❤️", "10\u{a0}h \\ \"x\" 'y'", "किताब"]
        {
            assert_eq!(visible(text), text);
        }
    }

    #[test]
    fn sec_08_width_is_counted_by_grapheme() {
        assert_eq!(width("abc"), 3);
        assert_eq!(width("你好"), 4);
        assert_eq!(width("e\u{301}x"), 2);
        assert_eq!(width("👩‍👩‍👧"), 2);
        assert_eq!(width(&format!("a{}", "\u{301}".repeat(10_000))), 1);
    }

    #[test]
    fn sec_08_a_long_text_is_cut_with_an_ellipsis() {
        assert_eq!(truncate_to_width("abc", 3), "abc");
        assert_eq!(truncate_to_width("abcd", 3), "ab…");
        assert_eq!(truncate_to_width("你好吗", 5), "你好…");
        assert_eq!(truncate_to_width("你好吗", 4), "你…");
        assert_eq!(truncate_to_width("abc", 0), "");
        assert_eq!(truncate_to_width("", 0), "");
    }

    #[test]
    fn sec_08_ten_thousand_combining_marks_stay_one_column() {
        let zalgo = format!("a{}b", "\u{301}".repeat(10_000));
        let cut = truncate_to_width(&zalgo, 10);
        assert!(cut.len() < 64 && cut.ends_with('b'), "{}", cut.len());
        for columns in 0..8 {
            assert!(width(&truncate_to_width("a你b好\u{301}c", columns)) <= columns);
        }
    }
}
