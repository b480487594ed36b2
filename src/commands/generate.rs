//! `pgk gen`: a scenario's manifests.

use std::io::{self, IsTerminal as _};

use anyhow::Context as _;

use super::instances::Instances;
use crate::cli::Gen;
use crate::{emit, scenario};

/// Renders a scenario to stdout or into a folder: one instance after the other, once all are known to be good.
///
/// # Errors
/// A [`crate::error::Diagnostic`] where the user's input is wrong; a failure to write; a defect of pgk.
pub fn generate(arguments: Gen) -> anyhow::Result<()> {
    let scenarios = scenario::all();
    let scenario = scenarios.get(arguments.scenario.as_str()).context("no such scenario")?;
    let instances = Instances::load(arguments.config, Some(scenario))?;
    if let Some(folder) = &arguments.output {
        instances.have_folders()?;
        for plan in &instances.plans {
            emit::refuse(&instances.folder(folder, plan), arguments.force)?;
        }
    }
    for plan in &instances.plans {
        let rendered = scenario::render(scenario, plan)?;
        if scenario.archive {
            for warning in plan.archive_warnings() {
                eprintln!("warning: {warning}");
            }
        }
        let Some(folder) = arguments.output.as_ref().map(|folder| instances.folder(folder, plan)) else {
            let secrets = if arguments.with_secret {
                super::secret::documents(plan, scenario.archive, None)?
            } else {
                Vec::new()
            };
            super::print(&emit::stream(secrets.iter().chain(&rendered.manifests)))?;
            continue;
        };
        let documents: Vec<_> = rendered.manifests.iter().chain(&rendered.others).collect();
        for name in emit::write_folder(&folder, &documents, arguments.force)? {
            let path = folder.join(name);
            eprintln!(
                "pgk: {} is no longer rendered, but was changed since pgk wrote it: left alone",
                path.display()
            );
        }
    }
    if arguments.output.is_none() && io::stdout().is_terminal() {
        eprintln!(
            "pgk: these are manifests; `| kubectl apply -f -` applies them, `-o DIR` writes a folder with a README"
        );
    }
    Ok(())
}
