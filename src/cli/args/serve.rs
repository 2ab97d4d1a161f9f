//! The words of `serve`.

use std::path::PathBuf;

use clap::Subcommand;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Serve {
    #[command(subcommand)]
    pub(in crate::cli) command: ServeCommand,
}

#[derive(Clone, Debug, Subcommand)]
pub(in crate::cli) enum ServeCommand {
    /// Say who has an account
    User(User),
}

#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct User {
    #[command(subcommand)]
    pub(in crate::cli) command: Option<UserCommand>,
}

#[derive(Clone, Debug, Subcommand)]
pub(in crate::cli) enum UserCommand {
    /// Give somebody an account; asks for the password, or reads it from stdin
    Add {
        #[command(flatten)]
        who: UserName,
        #[command(flatten)]
        password: Password,
    },
    /// Take accounts away
    Remove {
        /// Whose: alice@example.com, or alice with --domain
        #[arg(value_name = "USER", required = true)]
        users: Vec<String>,
        /// The domain of those that are named without one
        #[arg(long, value_name = "DOMAIN")]
        domain: Option<String>,
    },
    /// Show who has an account
    List {
        /// In this domain alone
        #[arg(long, value_name = "DOMAIN")]
        domain: Option<String>,
    },
    /// Give an account another password
    Passwd {
        #[command(flatten)]
        who: UserName,
        #[command(flatten)]
        password: Password,
    },
}

#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct UserName {
    /// alice@example.com, or alice with --domain
    #[arg(value_name = "USER")]
    pub(in crate::cli) user: String,
    /// The domain of a user who is named without one; the digest's realm as well
    #[arg(long, value_name = "DOMAIN")]
    pub(in crate::cli) domain: Option<String>,
}

#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct Password {
    /// Read the password from the first line of this file, which must be closed to others
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) password_file: Option<PathBuf>,
}
