//! The words of `policy`.

use std::path::PathBuf;

use clap::Subcommand;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Policy {
    /// Say what would change, and change nothing
    #[arg(long, global = true)]
    pub(in crate::cli) dry_run: bool,
    #[command(subcommand)]
    pub(in crate::cli) command: PolicyCommand,
}

#[derive(Clone, Debug, Subcommand)]
pub(in crate::cli) enum PolicyCommand {
    /// Write who may see me as presence rules (RFC 5025)
    Export {
        /// Which file; none, or -, is stdout
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Tell the account's server who may see me; rules of other programs stay there
    Push,
    /// Take in what other programs told the server about who may see me
    Pull,
}
