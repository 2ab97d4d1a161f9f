//! The `sippresence` program: parse, run, exit code; everything else is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    sippresence::cli::main()
}
