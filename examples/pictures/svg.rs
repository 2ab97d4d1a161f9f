//! What a terminal shows, as a picture in SVG: text stays text, every run of it at its columns.
//!
//! Fonts differ in how wide their signs are, so each run is held to its width, and a sign that a font may have to borrow
//! from another is a run of its own. Who runs this, when and at which ports is left out, so that a picture that is made
//! again differs only where the program does.

use std::fmt::Write as _;

use vt100::{Cell, Color, Screen};

const COLUMN: f32 = 8.4;
const ROW: f32 = 16.5;
/// From the top of a row to the line that its letters stand on.
const BASE: f32 = 12.5;
const MARGIN: f32 = 14.0;
const GROUND: Color = Color::Rgb(0x16, 0x18, 0x21);
const INK: Color = Color::Rgb(0xd4, 0xd7, 0xde);
const FONTS: &str = "ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, 'Liberation Mono', monospace";
/// The terminal's own sixteen.
const SIXTEEN: [u32; 16] = [
    0x16_18_21, 0xff_87_87, 0x87_d7_87, 0xff_d7_5f, 0x87_af_ff, 0xd7_87_d7, 0x5f_d7_d7, 0xd4_d7_de, 0x8a_8a_8a,
    0xff_af_af, 0xaf_ff_af, 0xff_ff_af, 0xaf_d7_ff, 0xff_af_ff, 0xaf_ff_ff, 0xff_ff_ff,
];

/// How a run of text looks.
#[derive(Clone, Copy, PartialEq)]
struct Look {
    ink: Color,
    ground: Color,
    bold: bool,
    dim: bool,
    underline: bool,
}

/// One cell that something stands in.
struct Sign {
    column: u16,
    columns: u16,
    text: String,
    look: Look,
}

/// Draws a screen; the title is for those who cannot see it.
pub(crate) fn picture(screen: &Screen, title: &str) -> String {
    let (rows, columns) = screen.size();
    let (width, height) = (f32::from(columns.get()) * COLUMN, f32::from(rows.get()) * ROW);
    let (width, height) = (width + 2.0 * MARGIN, height + 2.0 * MARGIN);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" \
         height=\"{height:.0}\">\n<title>{}</title>\n<rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"{}\"/>\n\
         <g transform=\"translate({MARGIN} {MARGIN})\" font-family=\"{FONTS}\" font-size=\"14\" fill=\"{}\">\n",
        escaped(title),
        hex(GROUND),
        hex(INK)
    );
    for row in 0..rows.get() {
        let mut signs: Vec<Sign> = (0..columns.get())
            .filter_map(|column| screen.cell(row, column).and_then(|cell| sign(cell, column)))
            .collect();
        steady(&mut signs);
        let top = f32::from(row) * ROW;
        for run in signs.chunk_by(|a, b| a.look.ground == b.look.ground) {
            ground(&mut svg, run, top);
        }
        for run in signs.chunk_by(are_one_run) {
            text(&mut svg, run, top + BASE);
        }
    }
    svg + "</g>\n</svg>\n"
}

fn sign(cell: &Cell, column: u16) -> Option<Sign> {
    if cell.is_wide_continuation() {
        return None;
    }
    let or = |color, default| if color == Color::Default { default } else { color };
    let (mut ink, mut ground) = (or(cell.fgcolor(), INK), or(cell.bgcolor(), GROUND));
    if cell.inverse() {
        (ink, ground) = (ground, ink);
    }
    let text = if cell.has_contents() { cell.contents() } else { " " };
    let look = Look { ink, ground, bold: cell.bold(), dim: cell.dim(), underline: cell.underline() };
    Some(Sign { column, columns: if cell.is_wide() { 2 } else { 1 }, text: text.to_owned(), look })
}

/// Puts always the same for what is different each time: ports of loopback, times of day, and seconds that are left.
fn steady(signs: &mut [Sign]) {
    let line: Vec<char> = signs.iter().map(|sign| sign.text.chars().next().unwrap_or(' ')).collect();
    let mut put = |at: usize, text: &str| {
        for (sign, new) in signs[at..].iter_mut().zip(text.chars()) {
            sign.text = new.to_string();
        }
    };
    let is = |at: usize, pattern: &str| {
        pattern.chars().enumerate().all(|(place, wanted)| match (wanted, line.get(at + place)) {
            ('0', Some(found)) => found.is_ascii_digit(),
            (wanted, found) => found == Some(&wanted),
        })
    };
    let alone = |at: usize, length: usize| {
        let digit = |at: Option<usize>| at.and_then(|at| line.get(at)).is_some_and(char::is_ascii_digit);
        !digit(at.checked_sub(1)) && !digit(Some(at + length))
    };
    for at in 0..line.len() {
        if is(at, "000.0.0.0:00000") {
            put(at + 10, "50600");
        } else if is(at, "00:00:00") && alone(at, 8) {
            put(at, "14:05:00");
        } else if is(at, "00:00") && alone(at, 5) && !(at > 2 && line[at - 1] == ':') {
            put(at, "14:05");
        } else if is(at, "within 00s") {
            put(at, "within 45s");
        }
    }
}

/// Returns whether two neighbours are written as one.
fn are_one_run(a: &Sign, b: &Sign) -> bool {
    let same_rule = a.text == b.text && is_rule(&a.text);
    a.look == b.look && (same_rule || is_plain(&a.text) && is_plain(&b.text) && !(a.text == " " && b.text == " "))
}

fn is_plain(text: &str) -> bool {
    text.chars().all(|c| c < '\u{250}')
}

fn is_rule(text: &str) -> bool {
    text.chars().all(|c| matches!(c, '\u{2500}'..='\u{257f}'))
}

fn ground(svg: &mut String, run: &[Sign], top: f32) {
    let Some(look) = run.first().map(|sign| sign.look).filter(|look| look.ground != GROUND) else { return };
    let (x, width) = extent(run);
    let fill = hex(look.ground);
    let _ = writeln!(svg, "<rect x=\"{x:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{ROW}\" fill=\"{fill}\"/>");
}

fn text(svg: &mut String, run: &[Sign], y: f32) {
    let is_blank = |sign: &Sign| sign.text == " " && !sign.look.underline;
    let first = run.iter().position(|sign| !is_blank(sign)).unwrap_or(run.len());
    let last = run.iter().rposition(|sign| !is_blank(sign)).map_or(first, |last| last + 1);
    let run = &run[first..last];
    let Some(look) = run.first().map(|sign| sign.look) else { return };
    let (x, width) = extent(run);
    let mut more = String::new();
    if look.ink != INK {
        let _ = write!(more, " fill=\"{}\"", hex(look.ink));
    }
    for (is, attribute) in [
        (look.bold, " font-weight=\"bold\""),
        (look.dim, " opacity=\"0.6\""),
        (look.underline, " text-decoration=\"underline\""),
    ] {
        more += if is { attribute } else { "" };
    }
    let words: String = run.iter().map(|sign| escaped(&sign.text)).collect();
    let fit = format!("textLength=\"{width:.1}\" lengthAdjust=\"spacingAndGlyphs\"");
    let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" {fit}{more}>{words}</text>");
}

/// Returns where a run begins, and how wide it is.
fn extent(run: &[Sign]) -> (f32, f32) {
    let start = run.first().map_or(0, |sign| sign.column);
    let end = run.last().map_or(0, |sign| sign.column + sign.columns);
    (f32::from(start) * COLUMN, f32::from(end - start) * COLUMN)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn hex(color: Color) -> String {
    let rgb = |rgb: u32| format!("#{rgb:06x}");
    match color {
        Color::Default => hex(INK),
        Color::Rgb(red, green, blue) => format!("#{red:02x}{green:02x}{blue:02x}"),
        Color::Idx(index @ ..16) => rgb(SIXTEEN[usize::from(index)]),
        Color::Idx(index @ 16..232) => {
            let step = |by: u8| match (index - 16) / by % 6 {
                0 => 0,
                step => u32::from(step) * 40 + 55,
            };
            rgb(step(36) << 16 | step(6) << 8 | step(1))
        }
        Color::Idx(index) => rgb((u32::from(index - 232) * 10 + 8) * 0x01_01_01),
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZero;

    use super::*;

    fn drawn(bytes: &str) -> String {
        let mut parser = vt100::Parser::new(NonZero::new(1).unwrap(), NonZero::new(60).unwrap(), 0);
        parser.process(bytes.as_bytes());
        picture(parser.screen(), "a & b")
    }

    #[test]
    fn what_is_behind_a_wide_sign_stands_in_its_column() {
        let svg = drawn("李☕a");
        assert!(svg.contains("<text x=\"0.0\" y=\"12.5\" textLength=\"16.8\" lengthAdjust=\"spacingAndGlyphs\">李<"));
        assert!(svg.contains("<text x=\"16.8\" y=\"12.5\" textLength=\"16.8\" lengthAdjust=\"spacingAndGlyphs\">☕<"));
        assert!(svg.contains("<text x=\"33.6\" y=\"12.5\" textLength=\"8.4\" lengthAdjust=\"spacingAndGlyphs\">a<"));
    }

    #[test]
    fn colours_are_kept_reverse_is_resolved_and_text_is_escaped() {
        let svg = drawn("\x1b[1;38;2;1;2;3m<&>\x1b[0m  \x1b[7mx\x1b[0m \x1b[38;5;114my\x1b[38;5;245mz");
        assert!(svg.contains(" fill=\"#010203\" font-weight=\"bold\">&lt;&amp;&gt;</text>"), "{svg}");
        assert!(svg.contains("<title>a &amp; b</title>"), "{svg}");
        assert!(svg.contains("width=\"8.4\" height=\"16.5\" fill=\"#d4d7de\"/>"), "{svg}");
        assert!(svg.contains(" fill=\"#161821\">x</text>"), "{svg}");
        assert!(svg.contains(" fill=\"#87d787\">y</text>") && svg.contains(" fill=\"#8a8a8a\">z</text>"), "{svg}");
    }

    #[test]
    fn ports_and_times_are_always_the_same() {
        let svg = drawn("a@127.0.0.1:41234 at 23:59:01, 9:15 or 08:30; 1:23:45:678");
        assert!(svg.contains(">a@127.0.0.1:50600 at 14:05:00, 9:15 or 14:05; 1:23:45:678</text>"), "{svg}");
    }
}
