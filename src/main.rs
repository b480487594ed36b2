//! The `pgk` command: arguments in, one command called, the error printed.

use std::process::ExitCode;

use clap::Parser as _;
use pgk::cli::{Cli, Command};
use pgk::commands;
use pgk::error::Diagnostic;

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Gen(arguments) => commands::generate(arguments),
        Command::Secret(arguments) => commands::secret(arguments),
        Command::Diff(arguments) => commands::diff(arguments),
        Command::Check(arguments) => commands::check(&arguments),
        #[cfg(feature = "drill")]
        Command::Drill(arguments) => commands::drill(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            if error.is::<Diagnostic>() { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}
