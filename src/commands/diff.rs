//! `pgk diff`: what a rendering would change.

use std::path::Path;

use anyhow::Context as _;
use similar::TextDiff;

use super::instances::Instances;
use crate::cli::Diff;
use crate::emit::{self, Change};
use crate::manifest::{Obstacle, obstacles};
use crate::render::Document;
use crate::scenario::{self, Series};

/// Prints what a rendering would change, and warns of what cannot be applied in place.
///
/// # Errors
/// As for [`super::generate`]; a failure that counts the differences, if there are any.
pub fn diff(arguments: Diff) -> anyhow::Result<()> {
    let scenario = scenario::named(&arguments.scenario).context("no such scenario")?;
    let instances = Instances::load(arguments.config, Some(scenario))?;
    let mut series = Series::default();
    #[cfg(feature = "drill")]
    if arguments.live {
        let mut manifests = Vec::new();
        for plan in instances.plans() {
            manifests.extend(series.manifests(scenario, &plan?)?);
        }
        return differ(super::live::compare(&manifests)?, "object");
    }
    let folder = arguments.folder.context("no folder")?;
    instances.have_folders()?;
    let mut differences = 0;
    for plan in instances.plans() {
        let plan = &plan?;
        let rendered = series.render(scenario, plan)?;
        differences +=
            compare(&instances.folder(&folder, &plan.name), &rendered.manifests, &rendered.others)?;
    }
    differ(differences, "file")
}

fn differ(number: usize, what: &str) -> anyhow::Result<()> {
    match number {
        0 => Ok(()),
        1 => anyhow::bail!("1 {what} differs"),
        many => anyhow::bail!("{many} {what}s differ"),
    }
}

/// Compares what was rendered with a folder; how many files differ.
fn compare(folder: &Path, manifests: &[Document], others: &[Document]) -> anyhow::Result<usize> {
    let documents: Vec<_> = manifests.iter().chain(others).collect();
    let changes = emit::changes(folder, &documents)?;
    let mut text = String::new();
    for change in &changes {
        text.push_str(&unified(folder, change));
    }
    super::print(&text)?;
    // What did not change is on both sides: a manifest that another number moved is the same object.
    let differs = |document: &&Document| changes.iter().any(|change| change.name == document.path);
    let same =
        manifests.iter().filter(|document| !differs(document)).map(|document| document.text.to_string());
    let is_manifest =
        |change: &&Change| Path::new(&change.name).extension().is_some_and(|ending| ending == "yaml");
    let before = changes.iter().filter(is_manifest).filter_map(|change| change.before.clone());
    let after = manifests.iter().map(|document| document.text.to_string());
    for Obstacle { what, help } in obstacles(before.chain(same), after) {
        eprintln!("warning: {what}\nhelp: {help}");
    }
    Ok(changes.len())
}

/// One file's difference, after a line that says what becomes of it.
fn unified(folder: &Path, change: &Change) -> String {
    let path = folder.join(&change.name).display().to_string();
    let (what, edited) = match (&change.before, &change.after, change.edited) {
        (None, ..) => ("added", ""),
        (Some(_), Some(_), false) => ("changed", ""),
        (Some(_), Some(_), true) => ("changed", ", and with it what was edited by hand"),
        (Some(_), None, false) => ("removed", ""),
        (Some(_), None, true) => ("left alone", ": no longer rendered, and edited by hand"),
    };
    let mut text = format!("{what}: {path}{edited}\n");
    if change.after.is_none() && change.edited {
        return text;
    }
    text.push_str(&difference(&path, change.before.as_deref(), change.after.as_deref()));
    text
}

/// A unified diff of two texts; `None` where there is none.
pub(super) fn difference(path: &str, before: Option<&str>, after: Option<&str>) -> String {
    let header = |side: Option<&str>| side.map_or("/dev/null", |_| path);
    let lines = TextDiff::from_lines(before.unwrap_or_default(), after.unwrap_or_default());
    lines.unified_diff().header(header(before), header(after)).to_string()
}
