//! The words of `buddies`.

use std::path::PathBuf;

use clap::Subcommand;

use crate::config::exchange::Format;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Buddies {
    /// Say what would change, and change nothing
    #[arg(long, global = true)]
    pub(in crate::cli) dry_run: bool,
    #[command(subcommand)]
    pub(in crate::cli) command: Option<BuddiesCommand>,
}

#[derive(Clone, Debug, Subcommand)]
pub(in crate::cli) enum BuddiesCommand {
    /// Show who is on the list
    List {
        /// Only those of this group
        #[arg(value_name = "@GROUP")]
        group: Option<String>,
    },
    /// Put somebody on the list
    Add(Add),
    /// Take people off the list
    Remove {
        /// Names or addresses
        #[arg(value_name = "WHO", required = true)]
        who: Vec<String>,
    },
    /// Give somebody another name
    Rename {
        /// The name so far, or the address
        #[arg(value_name = "WHO")]
        who: String,
        /// The name from now on
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Put people into a group, or take them out
    Group(Group),
    /// Take people from a file of another program; nothing that is there is overwritten
    Import(Import),
    /// Write the list as another program reads it
    Export(Export),
    /// Put the list on the account's server, for my other programs; what is not mine to change there stays
    Push,
    /// Take what my other programs put on the account's server onto the list; nothing that is there is overwritten
    Pull,
}

#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct Import {
    /// Which file; - is stdin
    #[arg(value_name = "FILE")]
    pub(in crate::cli) file: PathBuf,
    /// What it is: baresip, vcard, csv, xml (resource lists), json, pjsua; else told by name and text
    #[arg(long, value_name = "FORMAT")]
    pub(in crate::cli) from: Option<Format>,
}

#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct Export {
    /// Which file; none, or -, is stdout
    #[arg(value_name = "FILE")]
    pub(in crate::cli) file: Option<PathBuf>,
    /// As what: baresip, vcard, csv, xml (resource lists), json; else told by the name, and json on stdout
    #[arg(long, value_name = "FORMAT")]
    pub(in crate::cli) to: Option<Format>,
    /// Only those of this group
    #[arg(long, value_name = "@GROUP")]
    pub(in crate::cli) group: Option<String>,
}

#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct Add {
    /// Where: alice@host, alice@192.168.1.100:5060, sip:…
    #[arg(value_name = "ADDRESS")]
    pub(in crate::cli) address: String,
    /// What to call them in commands; without it the part before the @, if that is free
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) name: Option<String>,
    /// Another word for the same
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) alias: Vec<String>,
    /// A group that they are in
    #[arg(long, value_name = "@GROUP")]
    pub(in crate::cli) group: Vec<String>,
    /// Watch them through this account
    #[arg(long, value_name = "ACCOUNT")]
    pub(in crate::cli) through: Option<String>,
    /// Watch them only when named
    #[arg(long)]
    pub(in crate::cli) no_watch: bool,
    /// Tell me when they become available
    #[arg(long)]
    pub(in crate::cli) mark: bool,
}

#[derive(Clone, Debug, clap::Args)]
pub(in crate::cli) struct Group {
    /// Which group
    #[arg(value_name = "@GROUP")]
    pub(in crate::cli) name: String,
    /// Names or addresses
    #[arg(value_name = "WHO", required = true)]
    pub(in crate::cli) who: Vec<String>,
    /// Take them out
    #[arg(long)]
    pub(in crate::cli) remove: bool,
}
