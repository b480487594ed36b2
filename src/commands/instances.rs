//! The instances that a command is for: one for each configuration file.
//!
//! All configurations are read and checked, each alone and with the others, before the first one is used.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::cli::Config;
use crate::config::types::{Name, Namespace};
use crate::config::{self, Plan, Scenario, Sources};
use crate::emit;
use crate::error::{Diagnostic, Diagnostics, Place};
use crate::scenario::Names;

/// What is to be rendered.
pub(super) struct Instances {
    plans: Vec<Plan>,
    /// Whether there are several, or may be next time: each then has a folder of its own.
    several: bool,
}

impl Instances {
    /// Reads the configuration of every instance, for this scenario if there is one.
    ///
    /// # Errors
    /// [`Diagnostics`] that point to all that is wrong.
    pub(super) fn load(config: Config, scenario: Option<Scenario>) -> anyhow::Result<Self> {
        let several = config.file.len() > 1 || config.file.iter().any(|path| path.is_dir());
        let files = paths(&config.file)?;
        let mut sources = config.sources(scenario);
        if files.is_empty() {
            return Ok(Self { plans: vec![config::load(&sources)?], several });
        }
        let (mut plans, mut wrong) = (Vec::with_capacity(files.len()), Vec::new());
        for file in &files {
            sources.file = Some(file.clone());
            plans.extend(Diagnostics::gather(&mut wrong, config::load(&sources))?);
        }
        Diagnostics::check(wrong)?;
        tell_apart(&files, &plans, &mut sources)?;
        Ok(Self { plans, several })
    }

    /// The plan of each instance.
    pub(super) fn plans(&self) -> &[Plan] {
        &self.plans
    }

    /// Where the instance `name` is written to, in or as `folder`.
    pub(super) fn folder(&self, folder: &Path, name: &Name) -> PathBuf {
        if self.several { folder.join(name.as_str()) } else { folder.to_owned() }
    }

    /// Refuses to write two instances into one folder, or several into `folder` with those of one that is there.
    pub(super) fn have_folders(&self, folder: &Path) -> Result<(), Diagnostic> {
        if self.several && emit::is_ours(folder) {
            return Err(Diagnostic::new(
                "this folder holds the files of one instance, and you asked for several",
            )
            .at(Place::path(folder))
            .help("choose another folder, in which each instance has one of its own"));
        }
        let mut seen = HashMap::new();
        for Plan { name, namespace: own, .. } in &self.plans {
            if let Some(namespace) = seen.insert(name.as_str(), own.as_ref()) {
                let at = |namespace: Option<_>| match namespace {
                    Some(namespace) => format!("namespace `{namespace}`"),
                    None => "no namespace".to_owned(),
                };
                let (one, other) = (at(namespace), at(own.as_ref()));
                let what = format!("two instances are named `{name}`, in {one} and in {other}");
                return Err(Diagnostic::new(what).help(
                    "a folder holds one instance per name: write them into two folders, one after the other",
                ));
            }
        }
        Ok(())
    }
}

/// The files that `-f` names: a folder stands for each `*.yaml` and `*.yml` in it, in the order of their names.
fn paths(given: &[PathBuf]) -> Result<Vec<PathBuf>, Diagnostic> {
    let mut files = Vec::new();
    if given.iter().filter(|path| *path == Path::new("-")).count() > 1 {
        return Err(Diagnostic::new("standard input is given twice")
            .help("it can be read only once: leave one `-f -` out"));
    }
    for path in given {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let mut below = super::files_in(path, &["yaml", "yml"]).map_err(|error| {
            Diagnostic::new(format!("cannot read the folder: {error}")).at(Place::path(path))
        })?;
        below.retain(|file| !file.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b".")));
        if below.is_empty() {
            return Err(Diagnostic::new("this folder has no configuration")
                .at(Place::path(path))
                .help("put a .yaml file for each instance there, or give the path of a file after -f"));
        }
        files.extend(below);
    }
    Ok(files)
}

/// Refuses instances, each of one of `files`, that would write the same objects: of one name, or of a name that
/// another's object has.
///
/// Patroni and pgk name objects after those that are rendered, so an instance named like one is in the way of them.
fn tell_apart(files: &[PathBuf], plans: &[Plan], sources: &mut Sources) -> Result<(), Diagnostic> {
    let namespace = |plan: &Plan| plan.namespace.as_ref().map(Namespace::to_string);
    let key = |plan: &Plan| (namespace(plan), plan.name.to_string());
    let owners: HashMap<_, _> = plans.iter().map(key).zip(files).collect();
    // What follows an instance's name in that of its objects.
    let endings: Vec<_> = Names::of("").all().into_iter().filter(|ending| !ending.is_empty()).collect();
    let mut seen = HashMap::new();
    for (file, plan) in files.iter().zip(plans) {
        let name = plan.name.as_str();
        let owner = |ending: &String| {
            let owner = name.strip_suffix(ending.as_str())?;
            let other = owners.get(&(namespace(plan), owner.to_owned()))?;
            Some((*other, format!("`{name}` is the name of an object of the instance `{owner}`")))
        };
        let what = match seen.insert(key(plan), file) {
            Some(other) => Some((other, format!("another instance is named `{name}`"))),
            None => endings.iter().find_map(owner),
        };
        if let Some((other, what)) = what {
            sources.file = Some(file.clone());
            let place = config::place("name", sources).unwrap_or_else(|| Place::path(file));
            let other = other.display();
            return Err(Diagnostic::new(what).at(place).help(format!(
                "that one is of {other}: files are not merged, each is an instance; give it another \
                    name, or a namespace of its own"
            )));
        }
    }
    Ok(())
}
