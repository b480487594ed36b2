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
    let done = match Cli::parse().command {
        Command::Gen(arguments) => commands::generate(arguments),
        Command::Secret(arguments) => commands::secret(arguments),
        Command::Init(arguments) => commands::init(&arguments),
        Command::Explain(arguments) => commands::explain(&arguments),
        Command::Schema => commands::schema(),
        Command::Completion(arguments) => commands::completion(&arguments),
        Command::Man(arguments) => commands::man(&arguments),
        Command::Diff(arguments) => commands::diff(arguments),
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
            if is_input { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}
