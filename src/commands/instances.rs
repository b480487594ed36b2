//! The instances that a command is for: of each configuration file, one.
//!
//! All configurations are read and checked, each alone and with the others, before anything is made of one.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::cli::Config;
use crate::config::{self, Plan, Sources};
use crate::error::{Diagnostic, Place};
use crate::scenario::{Names, Scenario};

/// What is to be rendered.
pub(super) struct Instances {
    pub(super) plans: Vec<Plan>,
    /// Whether there are several, or may be next time: each then has a folder of its own.
    several: bool,
}

impl Instances {
    /// Reads the configuration of every instance, for this scenario if there is one.
    ///
    /// # Errors
    /// A [`Diagnostic`] that points to what is wrong, in the first file where something is.
    pub(super) fn load(config: Config, scenario: Option<&Scenario>) -> anyhow::Result<Self> {
        let several = config.file.len() > 1 || config.file.iter().any(|path| path.is_dir());
        let files = paths(&config.file)?;
        let mut sources = config.sources(scenario.map(|scenario| scenario.id));
        if files.is_empty() {
            return Ok(Self { plans: vec![config::load(&sources)?], several });
        }
        let mut plans = Vec::new();
        let mut instances = Vec::new();
        for file in files {
            sources.file = Some(file.clone());
            let plan = config::load(&sources)?;
            instances.push((
                file,
                plan.namespace.clone().map(|name| name.to_string()),
                plan.name.to_string(),
            ));
            plans.push(plan);
        }
        tell_apart(&instances, &mut sources)?;
        Ok(Self { plans, several })
    }

    /// Where the instance of `plan` is written to, in or as `folder`.
    pub(super) fn folder(&self, folder: &Path, plan: &Plan) -> PathBuf {
        if self.several { folder.join(plan.name.as_str()) } else { folder.to_owned() }
    }

    /// Refuses to write two instances into one folder.
    pub(super) fn have_folders(&self) -> Result<(), Diagnostic> {
        let mut seen = HashMap::new();
        for plan in &self.plans {
            if let Some(namespace) = seen.insert(plan.name.as_str(), plan.namespace.as_ref()) {
                let at = |namespace: Option<_>| match namespace {
                    Some(namespace) => format!("namespace `{namespace}`"),
                    None => "no namespace".to_owned(),
                };
                let (one, other) = (at(namespace), at(plan.namespace.as_ref()));
                let what = format!("two instances are named `{}`, in {one} and in {other}", plan.name);
                return Err(Diagnostic::new(what)
                    .help("a folder holds one instance a name: write them into two, one after the other"));
            }
        }
        Ok(())
    }
}

/// The files that `-f` names: a folder stands for each `*.yaml` in it, in the order of their names.
fn paths(given: &[PathBuf]) -> Result<Vec<PathBuf>, Diagnostic> {
    let mut files = Vec::new();
    for path in given {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let below = super::files_in(path, &["yaml"]).map_err(|error| {
            Diagnostic::new(format!("cannot read the folder: {error}")).at(Place::path(path))
        })?;
        if below.is_empty() {
            return Err(Diagnostic::new("this folder has no configuration")
                .at(Place::path(path))
                .help("put a .yaml file for each instance there, or give the path of a file after -f"));
        }
        files.extend(below);
    }
    Ok(files)
}

/// File, namespace and name of an instance.
type Instance = (PathBuf, Option<String>, String);

/// Refuses instances that would write the same objects: of one name, or of a name that another's object has.
///
/// Patroni and pgk name objects after those that are rendered, so an instance named like one is in the way of them.
fn tell_apart(instances: &[Instance], sources: &mut Sources) -> Result<(), Diagnostic> {
    let mut known = HashMap::new();
    for (index, (_, namespace, name)) in instances.iter().enumerate() {
        known.entry((namespace, name.as_str())).or_insert(index);
    }
    // By the place of the instance that is in the way.
    let mut taken = HashMap::new();
    for (file, namespace, name) in instances {
        for object in Names::of(name).all().into_iter().filter(|object| object != name) {
            if let Some(index) = known.get(&(namespace, object.as_str())) {
                taken.insert(*index, (file, name));
            }
        }
    }
    let mut seen = HashMap::new();
    for (index, (file, namespace, name)) in instances.iter().enumerate() {
        let what = match seen.insert((namespace, name), file) {
            Some(other) => Some((other, format!("another instance is named `{name}`"))),
            None => taken.get(&index).map(|(other, owner)| {
                (*other, format!("`{name}` is the name of an object of the instance `{owner}`"))
            }),
        };
        if let Some((other, what)) = what {
            sources.file = Some(file.clone());
            let place = config::place("name", sources).unwrap_or_else(|| Place::path(file));
            let other = other.display();
            return Err(Diagnostic::new(what)
                .at(place)
                .help(format!("that one is of {other}: give each another name, or a namespace of its own")));
        }
    }
    Ok(())
}
