//! The buddy list on a terminal: who is reachable now, kept up while one looks at it.
//!
//! Elm style: [`update`] changes the [`Model`] on a [`Msg`] and says in [`Cmd`]s what is to be done outside, [`view`]
//! draws it; both are pure. [`run`] owns the terminal and the connections to the agent, which does all the rest: this
//! module speaks no SIP and keeps nothing up. Keys stand in one table, [`keymap`].

mod areas;
mod desktop;
mod effect;
mod forms;
mod fuzzy;
mod input;
pub mod key;
pub mod keymap;
mod link;
mod model;
mod people;
mod rows;
mod run;
mod signals;
mod terminal;
#[cfg(test)]
mod testing;
pub mod theme;
mod update;
mod view;
mod work;

pub use self::{
    effect::{Button, Change, Cmd, Done, Edit, Mouse, Msg, Order, Taken, Undo},
    keymap::{Keymap, KeymapError},
    model::{Link, Model},
    run::{Ended, Setup, TuiError, run},
    theme::{Choice, Theme},
    update::update,
    view::view,
};
