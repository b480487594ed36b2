//! `pgk completion` and `pgk man`: what a shell and `man` know of pgk.

use anyhow::Context as _;
use clap::CommandFactory as _;

use crate::cli::{Cli, Completion, Man, VERSION};
use crate::error::{Diagnostic, Place, similar};

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
    let version = env!("CARGO_PKG_VERSION");
    // Its synopsis of clap_mangen lacks the values.
    let usage = command.clone().render_usage().to_string();
    let usage = usage.strip_prefix("Usage: ").unwrap_or(&usage).to_owned();
    let page = clap_mangen::Man::new(command.clone().override_usage(usage).version(VERSION))
        .source(format!("pgk {version}"))
        .manual("pgk");
    let mut text = Vec::new();
    page.render(&mut text)?;
    let text = String::from_utf8(text).context("a page is not UTF-8")?;
    // groff reads only ASCII.
    super::print(&text.replace('…', "\\[u2026]"))
}
