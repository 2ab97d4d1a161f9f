//! `serve`: the embedded presence server, and who has an account there.

mod user;

use super::{
    Context, Exit, Failed,
    args::{Serve, ServeCommand},
};

/// Serves, or looks after what a server needs.
pub(super) fn run(context: &Context, args: Serve) -> Result<Exit, Failed> {
    match args.command {
        ServeCommand::User(args) => user::run(context, args),
    }
}
