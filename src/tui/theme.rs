//! Colours, and doing without: 16, 256 or true colour, none at all, light and dark, and ASCII for old terminals.
//!
//! A colour is never alone: a sign and a word stand beside it. The background is always the terminal's own.

use ratatui::{
    buffer::Buffer,
    style::{Color, Modifier, Style},
};

use crate::client::shown::Tone;

/// How many colours there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// None: bold, dim and reverse have to do.
    None,
    /// The terminal's own sixteen.
    Sixteen,
    /// The 256 of xterm.
    Indexed,
    /// Any.
    True,
}

pub use crate::config::ThemeChoice as Choice;

/// How everything looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Theme {
    /// How many colours there are.
    pub depth: Depth,
    /// Whether the background is light.
    pub light: bool,
    /// Whether the terminal can show more than ASCII.
    pub unicode: bool,
}

/// The signs that have a stand-in of their own in ASCII; everything else is a question mark there.
const ASCII: &[(&str, &str)] = &[
    ("●", "+"),
    ("◐", "="),
    ("◔", "-"),
    ("⊘", "x"),
    ("☎", "@"),
    ("○", "."),
    ("◆", "*"),
    ("·", ":"),
    ("…", "."),
    ("▾", "v"),
    ("▸", ">"),
    ("★", "*"),
    ("─", "-"),
    ("│", "|"),
    ("┌", "+"),
    ("┐", "+"),
    ("└", "+"),
    ("┘", "+"),
    ("‹", "<"),
    ("›", ">"),
    ("→", ">"),
    ("←", "<"),
    ("█", "#"),
];

impl Theme {
    /// Returns the one without colours.
    pub fn plain() -> Self {
        Self { depth: Depth::None, light: false, unicode: true }
    }

    /// Chooses by what the environment says of the terminal; `get` reads a variable.
    pub fn detect(choice: Choice, get: impl Fn(&str) -> Option<String>) -> Self {
        let get = |name| get(name).filter(|value| !value.is_empty());
        let (term, colorterm) = (get("TERM").unwrap_or_default(), get("COLORTERM").unwrap_or_default());
        let depth = match () {
            () if choice == Choice::Plain || get("NO_COLOR").is_some() => Depth::None,
            () if matches!(term.as_str(), "dumb" | "vt100" | "vt102" | "vt220") || term.ends_with("-m") => Depth::None,
            () if matches!(colorterm.as_str(), "truecolor" | "24bit") || term.ends_with("-direct") => Depth::True,
            () if term.contains("256") || term.contains("kitty") || term == "foot" => Depth::Indexed,
            () => Depth::Sixteen,
        };
        // `COLORFGBG` ends with the number of the background.
        let background = get("COLORFGBG").and_then(|value| value.rsplit(';').next()?.parse::<u8>().ok());
        let light = match choice {
            Choice::Light => true,
            Choice::Dark => false,
            Choice::Auto | Choice::Plain => background.is_some_and(|color| matches!(color, 7 | 9..=15)),
        };
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(get).unwrap_or_default();
        let locale = locale.to_ascii_lowercase();
        let unicode = (locale.contains("utf-8") || locale.contains("utf8")) && term != "dumb";
        Self { depth, light, unicode }
    }

    fn color(self, sixteen: Color, dark: (u8, u32), light: (u8, u32)) -> Style {
        let (index, rgb) = if self.light { light } else { dark };
        let color = match self.depth {
            Depth::None => return Style::new(),
            Depth::Sixteen => sixteen,
            Depth::Indexed => Color::Indexed(index),
            Depth::True => Color::from_u32(rgb),
        };
        Style::new().fg(color)
    }

    /// Returns how a state looks.
    pub fn tone(self, tone: Tone) -> Style {
        match tone {
            Tone::Good => self.color(Color::Green, (114, 0x87_d7_87), (28, 0x1a_7f_37)),
            Tone::Busy => self.color(Color::Yellow, (221, 0xff_d7_5f), (130, 0x9a_67_00)),
            Tone::Away => self.color(Color::Cyan, (80, 0x5f_d7_d7), (30, 0x00_75_8a)),
            Tone::Bad => self.color(Color::Red, (210, 0xff_87_87), (124, 0xc0_1c_28)),
            Tone::Quiet => self.dim(),
        }
    }

    /// Returns how things beside the point look.
    pub fn dim(self) -> Style {
        match self.depth {
            Depth::None | Depth::Sixteen => Style::new().add_modifier(Modifier::DIM),
            _ => self.color(Color::Reset, (245, 0x8a_8a_8a), (242, 0x6c_6c_6c)),
        }
    }

    /// Returns how titles look.
    pub fn title(self) -> Style {
        self.color(Color::Blue, (111, 0x87_af_ff), (25, 0x05_50_ae)).add_modifier(Modifier::BOLD)
    }

    /// Returns how names and what is mine look.
    pub fn strong(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// Returns what is laid over the line with the cursor.
    pub fn selected(self) -> Style {
        match (self.depth, self.light) {
            (Depth::None | Depth::Sixteen, _) => Style::new().add_modifier(Modifier::REVERSED),
            (Depth::Indexed, false) => Style::new().bg(Color::Indexed(237)),
            (Depth::Indexed, true) => Style::new().bg(Color::Indexed(254)),
            (Depth::True, false) => Style::new().bg(Color::from_u32(0x30_34_46)),
            (Depth::True, true) => Style::new().bg(Color::from_u32(0xdd_e7_f7)),
        }
    }

    /// Returns how what asks for attention looks.
    pub fn alert(self) -> Style {
        self.tone(Tone::Busy).add_modifier(Modifier::BOLD | Modifier::REVERSED)
    }

    /// Writes everything in ASCII where the terminal can show nothing else.
    pub fn adapt(self, buffer: &mut Buffer) {
        if self.unicode {
            return;
        }
        for cell in &mut buffer.content {
            if !cell.symbol().is_ascii() {
                let stand_in = ASCII.iter().find(|(sign, _)| *sign == cell.symbol()).map_or("?", |(_, ascii)| ascii);
                cell.set_symbol(stand_in);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detect(choice: Choice, env: &[(&str, &str)]) -> Theme {
        Theme::detect(choice, |name| env.iter().find(|(own, _)| *own == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn the_terminal_says_what_it_can_show() {
        let utf8 = ("LANG", "de_DE.UTF-8");
        let depth = |env: &[(&str, &str)]| detect(Choice::Auto, env).depth;
        assert_eq!(depth(&[("TERM", "xterm")]), Depth::Sixteen);
        assert_eq!(depth(&[("TERM", "tmux-256color")]), Depth::Indexed);
        assert_eq!(depth(&[("TERM", "xterm-256color"), ("COLORTERM", "truecolor")]), Depth::True);
        assert_eq!(depth(&[("TERM", "xterm-256color"), ("NO_COLOR", "1")]), Depth::None);
        assert_eq!(depth(&[("TERM", "xterm-256color"), ("NO_COLOR", "")]), Depth::Indexed);
        assert_eq!(depth(&[("TERM", "vt100")]), Depth::None);
        assert_eq!(detect(Choice::Plain, &[("TERM", "xterm")]).depth, Depth::None);
        assert!(detect(Choice::Auto, &[utf8]).unicode);
        assert!(!detect(Choice::Auto, &[utf8, ("LC_ALL", "C")]).unicode);
        assert!(!detect(Choice::Auto, &[]).unicode);
        assert!(detect(Choice::Auto, &[("COLORFGBG", "0;15")]).light);
        assert!(!detect(Choice::Auto, &[("COLORFGBG", "15;0")]).light);
        assert!(!detect(Choice::Dark, &[("COLORFGBG", "0;15")]).light);
    }

    #[test]
    fn without_a_locale_that_has_more_everything_is_ascii() {
        let mut buffer = Buffer::with_lines(["┌ ● Zoë 漢 …"]);
        detect(Choice::Auto, &[]).adapt(&mut buffer);
        let text: String = buffer.content.iter().map(ratatui::buffer::Cell::symbol).collect();
        assert_eq!(text, "+ + Zo? ?  .");
    }
}
