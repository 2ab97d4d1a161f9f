//! How the model looks: a pure function on a screen of any size.
//!
//! All text of others was made visible before it comes here; what does not fit is cut between graphemes.

mod canvas;
mod detail;
mod footer;
mod header;
mod help;
mod list;
mod log;
mod status;
mod wallboard;
mod watchers;
mod window;

use ratatui::Frame;

use self::canvas::Canvas;
pub(super) use self::{detail::lines as detail_lines, help::count as help_lines};
use super::{
    areas::Areas,
    model::{Mode, Model, Screen},
    theme::Theme,
};

/// Draws the model.
pub fn view(model: &Model, theme: Theme, frame: &mut Frame<'_>) {
    let areas = Areas::of(model);
    let mut canvas = Canvas::new(frame, theme);
    header::draw(&mut canvas, model, &areas);
    match model.screen {
        Screen::List => {
            list::draw(&mut canvas, model, &areas);
            detail::draw(&mut canvas, model, areas.detail);
        }
        Screen::Wallboard => wallboard::draw(&mut canvas, model, areas.body),
        Screen::Log => log::draw(&mut canvas, model, areas.body),
        Screen::Trace => log::draw_trace(&mut canvas, model, areas.body),
    }
    footer::draw(&mut canvas, model, areas.footer);
    match &model.mode {
        Mode::Browse | Mode::Filter(_) | Mode::Command(_) => {}
        Mode::Help { scroll } => help::draw(&mut canvas, model, *scroll),
        Mode::Status(form) => status::draw(&mut canvas, form),
        Mode::Watchers { selected } => watchers::draw(&mut canvas, model, *selected),
        Mode::Buddy(form) => window::buddy(&mut canvas, form),
        Mode::Groups(form) => window::groups(&mut canvas, form),
        Mode::Remove(buddy) => window::remove(&mut canvas, buddy),
    }
    canvas.finish();
}
