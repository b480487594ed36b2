//! `pgk gen`: a scenario's manifests.

use std::io::{self, IsTerminal as _};
use std::path::Path;

use anyhow::Context as _;

use super::instances::Instances;
use crate::cli::Gen;
use crate::scenario::{Rendered, Series};
use crate::{emit, scenario};

/// Renders a scenario to stdout or into a folder: one instance after the other, once all are known to be good.
///
/// # Errors
/// A [`crate::error::Diagnostic`] where the user's input is wrong; a failure to write; a defect of pgk.
pub fn generate(arguments: Gen) -> anyhow::Result<()> {
    let scenario = scenario::named(&arguments.scenario).context("no such scenario")?;
    let instances = Instances::load(arguments.config, Some(scenario))?;
    if let Some(folder) = &arguments.output {
        instances.have_folders()?;
        for name in instances.names() {
            emit::refuse(&instances.folder(folder, name), arguments.force)?;
        }
    }
    let mut series = Series::default();
    for plan in instances.plans() {
        let plan = &plan?;
        if scenario.archive {
            for warning in plan.archive_warnings() {
                eprintln!("warning: {warning}");
            }
        }
        if let Some(folder) = &arguments.output {
            let rendered = series.render(scenario, plan)?;
            write(&instances.folder(folder, &plan.name), &rendered, arguments.force)?;
            continue;
        }
        let manifests = series.manifests(scenario, plan)?;
        let secrets = if arguments.with_secret {
            super::secret::documents(plan, scenario.archive, None)?
        } else {
            Vec::new()
        };
        super::print_parts(emit::stream(secrets.iter().chain(&manifests)))?;
    }
    if arguments.output.is_none() && io::stdout().is_terminal() {
        eprintln!(
            "pgk: these are manifests; `| kubectl apply -f -` applies them, `-o DIR` writes a folder with a README"
        );
    }
    Ok(())
}

fn write(folder: &Path, rendered: &Rendered, force: bool) -> anyhow::Result<()> {
    let documents: Vec<_> = rendered.manifests.iter().chain(&rendered.others).collect();
    for name in emit::write_folder(folder, &documents, force)? {
        eprintln!(
            "pgk: {} is no longer rendered, but was changed since pgk wrote it: left alone",
            folder.join(name).display()
        );
    }
    Ok(())
}
