//! The `pgk` command: arguments in, one command called, the error printed.

use std::process::ExitCode;

use clap::Parser as _;
use pgk::cli::{Cli, Command, FIRST_STEPS};
use pgk::{commands, error};

fn main() -> ExitCode {
    if std::env::args_os().len() <= 1 {
        eprintln!("{FIRST_STEPS}");
        return ExitCode::from(2);
    }
    let command = Cli::parse().command;
    // For a comparison, status 1 means that something differs, as for diff(1).
    let failure = if matches!(command, Command::Diff(_)) { 2 } else { 1 };
    let done = match command {
        Command::Gen(arguments) => commands::generate(arguments),
        Command::Secret(arguments) => commands::secret(arguments),
        Command::Init(arguments) => commands::init(&arguments),
        Command::Explain(arguments) => commands::explain(&arguments),
        Command::Schema => commands::schema(),
        Command::Completion(arguments) => commands::completion(&arguments),
        Command::Man(arguments) => commands::man(&arguments),
        Command::Diff(arguments) => match commands::diff(arguments) {
            Ok(true) => return ExitCode::FAILURE,
            done => done.map(drop),
        },
        Command::Graph(arguments) => commands::graph(arguments),
        Command::Check(arguments) => commands::check(&arguments),
        #[cfg(feature = "drill")]
        Command::Drill(arguments) => commands::drill(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let (text, is_input) = error::report(&error);
            anstream::eprintln!("{text}");
            ExitCode::from(if is_input { 2 } else { failure })
        }
    }
}
