//! `pgk gen`: a scenario's manifests.

use std::io::{self, IsTerminal as _};

use anyhow::Context as _;

use crate::cli::Gen;
use crate::config::{self, Sources};
use crate::{emit, scenario};

/// Renders a scenario to stdout or into a folder.
///
/// # Errors
/// A [`crate::error::Diagnostic`] where the user's input is wrong; a failure to write; a defect of pgk.
pub fn generate(arguments: Gen) -> anyhow::Result<()> {
    let scenarios = scenario::all();
    let scenario = scenarios.get(arguments.scenario.as_str()).context("no such scenario")?;
    let plan = config::load(&Sources { scenario: Some(scenario.id), ..arguments.config.into() })?;
    let rendered = scenario::render(scenario, &plan)?;
    if scenario.archive {
        for warning in plan.archive_warnings() {
            eprintln!("warning: {warning}");
        }
    }
    let Some(folder) = arguments.output else {
        let secrets = if arguments.with_secret {
            super::secret::documents(&plan, scenario.archive, None)?
        } else {
            Vec::new()
        };
        super::print(&emit::stream(secrets.iter().chain(&rendered.manifests)))?;
        if io::stdout().is_terminal() {
            eprintln!(
                "pgk: these are manifests; `| kubectl apply -f -` applies them, `-o DIR` writes a folder with a README"
            );
        }
        return Ok(());
    };
    let documents: Vec<_> = rendered.manifests.iter().chain(&rendered.others).collect();
    for name in emit::write_folder(&folder, &documents, arguments.force)? {
        let path = folder.join(name);
        eprintln!(
            "pgk: {} is no longer rendered, but was changed since pgk wrote it: left alone",
            path.display()
        );
    }
    Ok(())
}
