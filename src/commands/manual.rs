//! `pgk completion` and `pgk man`: what a shell and `man` know of pgk.

use anyhow::Context as _;
use clap::CommandFactory as _;

use crate::cli::{Cli, Completion, Man};
use crate::config::similar;
use crate::error::{Diagnostic, Place};

/// Prints what makes a shell complete pgk's arguments.
///
/// # Errors
/// A failure to write.
pub fn completion(arguments: &Completion) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "pgk", &mut script);
    super::print(&String::from_utf8(script).context("a completion is not UTF-8")?)
}

/// Prints a page of the manual.
///
/// # Errors
/// A [`Diagnostic`] where there is no such command; a failure to write.
pub fn man(arguments: &Man) -> anyhow::Result<()> {
    let mut all = Cli::command();
    all.build();
    let command = match &arguments.command {
        None => &all,
        Some(name) => all.find_subcommand(name).ok_or_else(|| {
            let names = all.get_subcommands().map(clap::Command::get_name);
            Diagnostic::new("there is no such command")
                .at(Place::argument("pgk man", name, 0))
                .suggest(similar(name, names), "`pgk --help` lists the commands")
        })?,
    };
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut page)?;
    super::print(&String::from_utf8(page).context("a page is not UTF-8")?)
}
