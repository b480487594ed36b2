//! `pgk diff`: what a rendering would change.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use serde_json::Value as Json;

use super::instances::Instances;
use super::parameters;
use crate::cli::Diff;
use crate::emit::{self, Change, unified};
use crate::manifest::{Obstacle, objects, obstacles};
use crate::render::Document;
use crate::scenario;

/// Prints what a rendering would change, and warns of what cannot be applied in place; whether anything would.
///
/// # Errors
/// As for [`super::generate`].
pub fn diff(arguments: Diff) -> anyhow::Result<bool> {
    let scenario = arguments.scenario;
    let instances = Instances::load(arguments.config, Some(scenario))?;
    #[cfg(feature = "drill")]
    if arguments.live {
        let mut manifests = Vec::new();
        for plan in instances.plans() {
            manifests.extend(scenario::manifests(scenario, plan)?);
        }
        return Ok(differ(super::live::compare(&manifests)?, "object"));
    }
    let folder = arguments.folder.context("no folder")?;
    instances.have_folders(&folder)?;
    let mut differences = 0;
    for plan in instances.plans() {
        let rendered = scenario::render(scenario, plan)?;
        differences +=
            compare(&instances.folder(&folder, &plan.name), &rendered.manifests, &rendered.others)?;
    }
    Ok(differ(differences, "file"))
}

/// Says how many differ; whether any does.
fn differ(number: usize, what: &str) -> bool {
    match number {
        0 => return false,
        1 => eprintln!("pgk: 1 {what} differs"),
        many => eprintln!("pgk: {many} {what}s differ"),
    }
    true
}

/// Compares what was rendered with a folder; how many files differ.
fn compare(folder: &Path, manifests: &[Document], others: &[Document]) -> anyhow::Result<usize> {
    let documents: Vec<_> = manifests.iter().chain(others).collect();
    let (changes, others) = emit::changes(folder, &documents)?;
    let mut text = String::new();
    for change in &changes {
        text.push_str(&told(folder, change));
    }
    super::print(&text)?;
    // Unchanged files are on both sides: a renumbered manifest is the same object.
    let differs = |document: &&Document| changes.iter().any(|change| change.name == document.path);
    let same = manifests.iter().filter(|document| !differs(document)).map(|document| document.text.clone());
    let is_manifest =
        |change: &&Change| Path::new(&change.name).extension().is_some_and(|ending| ending == "yaml");
    let before = changes.iter().filter(is_manifest).filter_map(before);
    let after = manifests.iter().map(|document| document.text.clone());
    let (before, after): (Vec<_>, Vec<_>) = (before.chain(same).collect(), after.collect());
    for Obstacle { what, help } in obstacles(&before, &after).into_iter().chain(data(&before, &after)) {
        eprintln!("warning: {what}\nhelp: {help}");
    }
    let (old, new) = (named(&before, "ConfigMap"), named(&after, "ConfigMap"));
    for (name, new) in &new {
        for line in old.get(name).map(|old| parameters::changed(old, new)).unwrap_or_default() {
            eprintln!("pgk: {line}");
        }
    }
    for name in others {
        eprintln!(
            "warning: pgk did not write {}, and `kubectl apply -f` applies it with the others",
            folder.join(name).display()
        );
    }
    Ok(changes.len())
}

/// What a file held.
fn before(change: &Change) -> Option<String> {
    Some(String::from_utf8_lossy(change.before.as_ref()?).into_owned())
}

/// The objects of this kind, by their names.
fn named(texts: &[String], kind: &str) -> BTreeMap<String, Json> {
    let of_kind = texts.iter().filter(|text| text.contains(kind));
    let objects = of_kind.flat_map(|text| objects(&Document { path: String::new(), text: text.clone() }));
    let objects = objects.filter(|object| object.pointer("/kind").is_some_and(|of| of == kind));
    objects
        .filter_map(|object| Some((object.pointer("/metadata/name")?.as_str()?.to_owned(), object)))
        .collect()
}

/// What `kubectl apply` takes and the data does not go along with: another major version, and volumes of another name.
fn data(before: &[String], after: &[String]) -> Vec<Obstacle> {
    let (before, after) = (named(before, "StatefulSet"), named(after, "StatefulSet"));
    let mut all = Vec::new();
    for (name, old) in &before {
        let Some(new) = after.get(name) else {
            if old.pointer("/spec/volumeClaimTemplates").is_some() {
                all.push(Obstacle {
                    what: format!("the data in the volumes of StatefulSet {name} is not carried over"),
                    help: "the new volumes start empty: dump the databases first, and restore them there"
                        .to_owned(),
                });
            }
            continue;
        };
        if let (Some(old), Some(new)) = (major(old), major(new))
            && old != new
        {
            all.push(Obstacle {
                what: format!("PostgreSQL {new} does not start on the data of PostgreSQL {old} (StatefulSet {name})"),
                help: "render another instance with the new version next to it, and move the data there by `pg_dumpall`"
                    .to_owned(),
            });
        }
    }
    all
}

/// PostgreSQL's major version, as far as the image's tag says it.
fn major(set: &Json) -> Option<u32> {
    let images = set.pointer("/spec/template/spec/containers")?.as_array()?.iter();
    let mut tags = images.filter_map(|one| one.get("image")?.as_str()?.rsplit_once(':').map(|(_, tag)| tag));
    tags.find_map(|tag| tag.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok())
}

/// One file's difference, after a line that says what becomes of it.
fn told(folder: &Path, change: &Change) -> String {
    let path = folder.join(&change.name).display().to_string();
    let (what, edited) = match (&change.before, &change.after, change.edited) {
        (None, ..) => ("added", ""),
        (Some(_), Some(_), false) => ("changed", ""),
        (Some(_), Some(_), true) => ("changed", ", including what was edited by hand"),
        (Some(_), None, false) => ("removed", ""),
        (Some(_), None, true) => ("left alone", ": no longer rendered, and edited by hand"),
    };
    let mut text = format!("{what}: {path}{edited}\n");
    if change.after.is_none() && change.edited {
        return text;
    }
    text.push_str(&unified(&path, before(change).as_deref(), change.after.as_deref()));
    text
}
