//! The words of `policy`.

use std::path::PathBuf;

use clap::Subcommand;

use crate::client::WatcherGrade;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Policy {
    /// Say what would change, and change nothing
    #[arg(long, global = true)]
    pub(in crate::cli) dry_run: bool,
    #[command(subcommand)]
    pub(in crate::cli) command: Option<PolicyCommand>,
}

#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct Test {
    /// Who looks: an address, or a buddy's name
    #[arg(long = "as", value_name = "WHO")]
    pub(in crate::cli) who: String,
    /// When: 17:30, 'friday 22:00', RFC 3339; now, if it is left out
    #[arg(long, value_name = "TIME")]
    pub(in crate::cli) at: Option<String>,
    /// How certain their identity is: verified, address or claimed; else as they watch me now, else verified
    #[arg(long, value_name = "GRADE", value_parser = identity)]
    pub(in crate::cli) identity: Option<WatcherGrade>,
}

fn identity(word: &str) -> Result<WatcherGrade, String> {
    match word {
        "verified" => Ok(WatcherGrade::Verified),
        "address" => Ok(WatcherGrade::Address),
        "claimed" => Ok(WatcherGrade::Claimed),
        _ => Err("write verified, address or claimed".to_owned()),
    }
}

#[derive(Clone, Debug, Subcommand)]
pub(in crate::cli) enum PolicyCommand {
    /// Show who may see me: lists, rules, and which of them hold now
    Show,
    /// Show what somebody would get, and which rule decides each part
    Test(Test),
    /// Write who may see me as presence rules (RFC 5025)
    Export {
        /// Which file; none, or -, is stdout
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Tell the account's server who may see me; rules of other programs stay there
    Push,
    /// Take in what other programs told the server about who may see me
    Pull {
        /// Take in the rules of other programs too, where the policy file has words for them
        #[arg(long)]
        all: bool,
    },
}
