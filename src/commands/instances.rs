//! The instances that a command is for: of each configuration file, one.
//!
//! All configurations are read and checked, each alone and with the others, before anything is made of one. They are
//! then read again one by one, so that ten thousand take no more memory than one.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::cli::Config;
use crate::config::types::{Name, Namespace};
use crate::config::{self, Plan, Sources};
use crate::error::{Diagnostic, Place};
use crate::scenario::{Names, Scenario};

/// What is to be rendered.
pub(super) struct Instances {
    all: Vec<Instance>,
    /// What all have in common.
    sources: Sources,
    /// Whether there are several, or may be next time: each then has a folder of its own.
    several: bool,
}

/// What is known of an instance while the others are rendered.
struct Instance {
    name: Name,
    namespace: Option<Namespace>,
    from: From,
}

/// Where an instance's plan comes from.
enum From {
    /// The file that it is read from again.
    File(PathBuf),
    /// What cannot be read twice, such as a pipe, or need not be.
    Plan(Box<Plan>),
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
            let plan = config::load(&sources)?;
            return Ok(Self { all: vec![Instance::new(plan, None)], sources, several });
        }
        let alone = files.len() == 1;
        let mut all = Vec::with_capacity(files.len());
        for file in &files {
            sources.file = Some(file.clone());
            let plan = config::load(&sources)?;
            all.push(Instance::new(plan, Some(file).filter(|file| !alone && file.is_file())));
        }
        tell_apart(&files, &all, &mut sources)?;
        Ok(Self { all, sources, several })
    }

    /// The plan of each instance, in their order.
    ///
    /// # Errors
    /// As for [`Self::load`], where a file was changed meanwhile.
    pub(super) fn plans(&self) -> impl Iterator<Item = anyhow::Result<Plan>> {
        let mut sources = self.sources.clone();
        self.all.iter().map(move |instance| {
            let file = match &instance.from {
                From::Plan(plan) => return Ok(Plan::clone(plan)),
                From::File(file) => file,
            };
            sources.file = Some(file.clone());
            let plan = config::load(&sources)?;
            if (&plan.name, &plan.namespace) == (&instance.name, &instance.namespace) {
                return Ok(plan);
            }
            let what = "the instance was given another name or namespace while pgk was reading";
            Err(Diagnostic::new(what).at(Place::path(file)).help("run pgk again").into())
        })
    }

    /// The plan, if there is one instance.
    pub(super) fn only(&self) -> Option<&Plan> {
        match &self.all[..] {
            [Instance { from: From::Plan(plan), .. }] => Some(plan),
            _ => None,
        }
    }

    /// The names of the instances, in their order.
    pub(super) fn names(&self) -> impl Iterator<Item = &Name> {
        self.all.iter().map(|instance| &instance.name)
    }

    /// Where the instance `name` is written to, in or as `folder`.
    pub(super) fn folder(&self, folder: &Path, name: &Name) -> PathBuf {
        if self.several { folder.join(name.as_str()) } else { folder.to_owned() }
    }

    /// Refuses to write two instances into one folder.
    pub(super) fn have_folders(&self) -> Result<(), Diagnostic> {
        let mut seen = HashMap::new();
        for Instance { name, namespace: own, .. } in &self.all {
            if let Some(namespace) = seen.insert(name.as_str(), own.as_ref()) {
                let at = |namespace: Option<_>| match namespace {
                    Some(namespace) => format!("namespace `{namespace}`"),
                    None => "no namespace".to_owned(),
                };
                let (one, other) = (at(namespace), at(own.as_ref()));
                let what = format!("two instances are named `{name}`, in {one} and in {other}");
                return Err(Diagnostic::new(what)
                    .help("a folder holds one instance a name: write them into two, one after the other"));
            }
        }
        Ok(())
    }
}

impl Instance {
    /// The instance of `plan`, which `again` gives again.
    fn new(plan: Plan, again: Option<&PathBuf>) -> Self {
        let (name, namespace) = (plan.name.clone(), plan.namespace.clone());
        let from = again.map_or_else(|| From::Plan(Box::new(plan)), |file| From::File(file.clone()));
        Self { name, namespace, from }
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

/// Refuses instances, each of one of `files`, that would write the same objects: of one name, or of a name that
/// another's object has.
///
/// Patroni and pgk name objects after those that are rendered, so an instance named like one is in the way of them.
fn tell_apart(files: &[PathBuf], all: &[Instance], sources: &mut Sources) -> Result<(), Diagnostic> {
    let namespace = |instance: &Instance| instance.namespace.as_ref().map(Namespace::to_string);
    let key = |instance: &Instance| (namespace(instance), instance.name.to_string());
    let owners: HashMap<_, _> = all.iter().map(key).zip(files).collect();
    // What follows an instance's name in that of its objects.
    let endings: Vec<_> = Names::of("").all().into_iter().filter(|ending| !ending.is_empty()).collect();
    let mut seen = HashMap::new();
    for (file, instance) in files.iter().zip(all) {
        let name = instance.name.as_str();
        let owner = |ending: &String| {
            let owner = name.strip_suffix(ending.as_str())?;
            let other = owners.get(&(namespace(instance), owner.to_owned()))?;
            Some((*other, format!("`{name}` is the name of an object of the instance `{owner}`")))
        };
        let what = match seen.insert(key(instance), file) {
            Some(other) => Some((other, format!("another instance is named `{name}`"))),
            None => endings.iter().find_map(owner),
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
