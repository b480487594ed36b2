//! `pgk gen`: a scenario's manifests.

use std::io::{self, IsTerminal as _};
use std::path::Path;

use super::instances::Instances;
use super::parallel::in_order;
use crate::cli::Gen;
use crate::config::{Plan, Scenario};
use crate::emit;
use crate::error::Diagnostics;
use crate::scenario::{self, Rendered};

/// Renders a scenario to stdout or into a folder, once the configuration of every instance is known to be good.
///
/// # Errors
/// A [`crate::error::Diagnostic`] where the user's input is wrong; a failure to write; a defect of pgk.
pub fn generate(arguments: Gen) -> anyhow::Result<()> {
    let scenario = arguments.scenario;
    let instances = Instances::load(arguments.config, Some(scenario))?;
    if let Some(folder) = &arguments.output {
        instances.have_folders(folder)?;
        let mut wrong = Vec::new();
        for plan in instances.plans() {
            let folder = instances.folder(folder, &plan.name);
            Diagnostics::gather(&mut wrong, emit::refuse(&folder, arguments.force))?;
        }
        Diagnostics::check(wrong)?;
    }
    for warning in instances.plans().iter().flat_map(|plan| &plan.warnings) {
        eprintln!("warning: {warning}");
    }
    if scenario.has_archive() {
        for warning in instances.plans().iter().flat_map(Plan::archive_warnings) {
            eprintln!("warning: {warning}");
        }
    }
    match &arguments.output {
        Some(folder) => {
            if let [_, _, ..] = instances.plans()
                && !arguments.force
            {
                refuse_edits(scenario, &instances, folder)?;
            }
            write_all(scenario, &instances, folder, arguments.force)
        }
        None => print_all(scenario, &instances, arguments.with_secret),
    }
}

/// Prints every instance's manifests, and its Secrets if wanted.
fn print_all(scenario: Scenario, instances: &Instances, with_secret: bool) -> anyhow::Result<()> {
    let make = |plan: &Plan| {
        let manifests = scenario::manifests(scenario, plan)?;
        let mut documents = if with_secret {
            super::secret::documents(plan, scenario.has_archive(), None)?
        } else {
            Vec::new()
        };
        documents.extend(manifests);
        Ok(documents)
    };
    in_order(instances.plans(), make, |documents| super::print_parts(emit::stream(&documents)))?;
    if io::stdout().is_terminal() {
        eprintln!(
            "pgk: these are manifests; `| kubectl apply -f -` applies them, `-o DIR` writes a folder with a README"
        );
    }
    Ok(())
}

/// Refuses what was edited in the folder of any instance, before one of them is written.
fn refuse_edits(scenario: Scenario, instances: &Instances, folder: &Path) -> anyhow::Result<()> {
    let mut wrong = Vec::new();
    let refused = |plan: &Plan| {
        let folder = instances.folder(folder, &plan.name);
        // Most folders are new, or as pgk wrote them: do not render these twice.
        if !folder.exists() || emit::is_as_written(&folder) {
            return Ok(Ok(()));
        }
        let Rendered { manifests, others } = scenario::render(scenario, plan)?;
        Ok(emit::refuse_edits(&folder, &manifests.iter().chain(&others).collect::<Vec<_>>()))
    };
    in_order(instances.plans(), refused, |refused| Diagnostics::gather(&mut wrong, refused).map(drop))?;
    Diagnostics::check(wrong)?;
    Ok(())
}

/// Writes every instance's folder: each is rendered, checked and written whole.
fn write_all(scenario: Scenario, instances: &Instances, folder: &Path, force: bool) -> anyhow::Result<()> {
    let make = |plan: &Plan| {
        let folder = instances.folder(folder, &plan.name);
        let Rendered { manifests, others } = scenario::render(scenario, plan)?;
        let documents: Vec<_> = manifests.iter().chain(&others).collect();
        let edited = emit::write_folder(&folder, &documents, force)?;
        Ok((folder, edited))
    };
    in_order(instances.plans(), make, |(folder, edited)| {
        let shown = |name: &String| folder.join(name).display().to_string();
        for name in &edited.replaced {
            eprintln!("pgk: {} was written or changed by somebody else: replaced", shown(name));
        }
        for name in &edited.left {
            eprintln!(
                "pgk: {} is no longer rendered, but was changed since pgk wrote it: left alone",
                shown(name)
            );
        }
        Ok(())
    })
}
