//! The scenarios: which documents each has, in which order, and the values that their templates see.
//!
//! A scenario is data. What two scenarios share is a template that both name, under `common/`.

mod archive;
mod q1;
mod q2;
mod q3;
mod series;

use std::collections::BTreeMap;

use anyhow::Context as _;
use serde::Serialize;
use serde_json::{Map, Value as Json, json};

use crate::config::Plan;
use crate::config::types::{Image, Lang, Quantity, StorageClass, Strategy};
use crate::graph;
use crate::manifest::{External, Graph, Objects};
use crate::render::{Document, Renderer, basename};

pub use archive::{Archive, CIPHER_PASS, TLS_KEYS};
pub use q1::Q1;
pub use q2::{Q2, Q2_RESTORE};
pub use q3::Q3;
pub use series::Series;

/// One of the lab sheet's questions.
#[derive(Debug)]
pub struct Scenario {
    /// Its name on the command line, for example `q1`.
    pub id: &'static str,
    /// The template of each Kubernetes object, in the order they are applied in. One that comes out empty
    /// is left out: not every configuration has every object.
    manifests: &'static [&'static str],
    /// The templates of the configuration files, which a `ConfigMap` holds.
    config: &'static [&'static str],
    /// The templates of the scripts, which another holds.
    scripts: &'static [&'static str],
    /// The template of the Containerfile that builds the image which the pods run on; without one, it is the
    /// official image.
    containerfile: Option<&'static str>,
    /// Those of them that running pods take up by themselves; when another changes, the pods must be replaced.
    live: &'static [&'static str],
    /// Whether there is a backup store, which the primary is restored from.
    store: bool,
    /// Whether there is an archive, which the whole cluster can be restored from.
    pub archive: bool,
    /// The folder's README in French and in English.
    readme: [&'static str; 2],
}

/// A scenario, rendered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The Kubernetes objects, in the order they are applied in.
    pub manifests: Vec<Document>,
    /// What is in the folder besides them.
    pub others: Vec<Document>,
}

/// The Secret that `pgk secret` prints and the manifests refer to.
pub const CREDENTIAL_KEYS: [&str; 3] = ["superuser-password", "replication-password", "app-password"];

/// The names that the documents know each other by, declared once.
#[derive(Debug, Serialize)]
pub struct Names {
    /// The Service that reaches the primary.
    pub rw: String,
    /// The Service that reaches the replicas.
    pub ro: String,
    /// The Service of every replica's pod, ready or not, where it says whether it holds data.
    pub replicas: String,
    /// The primary's `StatefulSet`.
    pub primary: String,
    /// The replicas' Deployment.
    pub replica: String,
    /// The `StatefulSet` of members, any of which can be the primary.
    pub members: String,
    /// The backup store's `StatefulSet` and Service.
    pub store: String,
    /// The Service that gives each member a name of its own.
    pub peers: String,
    /// The `StatefulSet` and Service of the archive's repository in the cluster.
    pub repo: String,
    /// The `CronJobs` of backups, without their type.
    pub backup: String,
    /// The `CronJob` that tries a restore.
    pub restore_test: String,
    /// The `ConfigMap` of configuration files.
    pub config: String,
    /// The `ConfigMap` of scripts.
    pub scripts: String,
    /// The Secret of passwords.
    pub credentials: String,
    /// The Secret of what the repositories are opened with.
    pub backrest: String,
    /// The Secret of the certificate that members and repository know each other by.
    pub backrest_tls: String,
    /// The name in that certificate.
    pub backrest_client: String,
}

impl Names {
    /// Every name.
    pub fn all(&self) -> Vec<String> {
        let names = serde_json::to_value(self).unwrap_or_default();
        let texts = names.as_object().into_iter().flat_map(Map::values).filter_map(Json::as_str);
        texts.map(str::to_owned).collect()
    }

    /// The names of the instance `name`.
    pub fn of(name: &str) -> Self {
        let with = |suffix: &str| format!("{name}-{suffix}");
        Self {
            rw: with("rw"),
            ro: with("ro"),
            replicas: with("replicas"),
            primary: with("primary"),
            replica: with("replica"),
            members: name.to_owned(),
            store: with("store"),
            peers: with("members"),
            repo: with("repo"),
            backup: with("backup"),
            restore_test: with("restore-test"),
            config: with("config"),
            scripts: with("scripts"),
            credentials: with("credentials"),
            backrest: with("backrest"),
            backrest_tls: with("backrest-tls"),
            backrest_client: with("backrest"),
        }
    }
}

/// What every template sees.
#[derive(Serialize)]
struct Values<'a> {
    #[serde(flatten)]
    plan: &'a Plan,
    scenario: &'static str,
    names: &'a Names,
    /// What the pods run on.
    image: Image,
    /// What that image is built on.
    base_image: Image,
    /// Whether each pod has a watcher.
    watcher: bool,
    /// Whether there is a backup store.
    store: bool,
    /// The archive, if there is one.
    archive: Option<&'a Archive>,
    /// The labels of every object.
    labels: Labels<'a>,
    /// The labels among them that a selector may rely on for ever.
    selector: Selector<'a>,
    /// The specification of a member's volume claim.
    claim: Json,
    /// The specification of the backup store's.
    store_claim: Json,
    /// The specification of the archive's in the cluster.
    repo_claim: Json,
    files: Files,
}

#[derive(Serialize)]
struct Files {
    config: Vec<&'static str>,
    scripts: &'static [&'static str],
}

/// The labels that an instance's objects are found by.
#[derive(Debug, Serialize)]
pub struct Selector<'a> {
    #[serde(rename = "app.kubernetes.io/name")]
    name: &'static str,
    #[serde(rename = "app.kubernetes.io/instance")]
    instance: &'a str,
}

/// The labels that every object of an instance carries.
#[derive(Debug, Serialize)]
pub struct Labels<'a> {
    #[serde(flatten)]
    selector: Selector<'a>,
    #[serde(rename = "app.kubernetes.io/managed-by")]
    managed_by: &'static str,
}

/// The labels that `plan`'s objects carry.
pub fn labels(plan: &Plan) -> Labels<'_> {
    Labels { selector: selector(plan), managed_by: "pgk" }
}

fn selector(plan: &Plan) -> Selector<'_> {
    Selector { name: "postgresql", instance: plan.name.as_str() }
}

/// Renders `scenario` as `plan` says, and checks the result.
///
/// # Errors
/// A template is broken, which is a defect of pgk: no plan should bring it about.
pub fn render(scenario: &Scenario, plan: &Plan) -> anyhow::Result<Rendered> {
    Series::default().render(scenario, plan)
}

/// What refers to what among the manifests.
///
/// # Errors
/// As for [`render`].
pub fn graph(scenario: &Scenario, plan: &Plan) -> anyhow::Result<Graph> {
    let scenario = by_strategy(scenario, plan);
    let (manifests, _) = unchecked(scenario, plan)?;
    Ok(check(scenario, plan, &manifests)?.graph())
}

/// Q2 is two scenarios of the same name: `plan` says which.
fn by_strategy<'a>(scenario: &'a Scenario, plan: &Plan) -> &'a Scenario {
    match plan.q2.strategy {
        Strategy::Restore if scenario.id == Q2.id => &Q2_RESTORE,
        _ => scenario,
    }
}

const DEFECT: &str =
    "this is a defect of pgk, not of your configuration: please report it with the configuration";

/// The manifests, and what they were rendered with.
fn unchecked(scenario: &Scenario, plan: &Plan) -> anyhow::Result<(Vec<Document>, Renderer)> {
    fill_in(scenario, plan).context(DEFECT)
}

fn fill_in(scenario: &Scenario, plan: &Plan) -> anyhow::Result<(Vec<Document>, Renderer)> {
    let archive = scenario.archive.then(|| Archive::of(plan));
    let names = Names::of(plan.name.as_str());
    let version = plan.postgres.version;
    let default_image = match scenario.containerfile {
        Some(_) => version.built_image(),
        None => version.official_image(),
    };
    let config = scenario.config.iter().copied().chain(archive.iter().flat_map(Archive::files)).collect();
    let values = Values {
        plan,
        scenario: scenario.id,
        names: &names,
        image: plan.postgres.image.clone().unwrap_or(default_image),
        base_image: version.official_image(),
        watcher: plan.q2.watcher(),
        store: scenario.store,
        archive: archive.as_ref(),
        labels: labels(plan),
        selector: selector(plan),
        claim: claim(&plan.storage.size, plan.storage.class.as_ref()),
        store_claim: claim(&plan.q2.store_size, plan.storage.class.as_ref()),
        repo_claim: claim(&plan.q3.posix.size, plan.q3.posix.class.as_ref()),
        files: Files { config, scripts: scenario.scripts },
    };
    let fixed =
        [scenario.config, scenario.scripts].concat().into_iter().filter(|file| !scenario.live.contains(file));
    let renderer = Renderer::new(&values, fixed.collect())?;
    let mut manifests = scenario
        .manifests
        .iter()
        .map(|template| document(&renderer, template))
        .collect::<anyhow::Result<Vec<_>>>()?;
    manifests.retain(|document| document.text.parts().any(|part| !part.trim().is_empty()));
    for (number, document) in (1..).zip(&mut manifests) {
        document.path = format!("{number:02}-{}", document.path);
    }
    Ok((manifests, renderer))
}

/// What is in the folder besides the manifests.
fn others(
    scenario: &Scenario,
    plan: &Plan,
    manifests: &[Document],
    graph: &Graph,
    renderer: &mut Renderer,
) -> anyhow::Result<Vec<Document>> {
    // For the README's table of files, and the Kustomization.
    renderer.set("documents", manifests.iter().map(|document| document.path.clone()).collect::<Vec<_>>());
    renderer.set("graph", graph::mermaid(graph));
    let [french, english] = scenario.readme;
    let readme = match plan.lang {
        Lang::Fr => french,
        Lang::En => english,
    };
    let readme = Document { path: "README.md".to_owned(), ..document(renderer, readme)? };
    let mut others = vec![readme, document(renderer, "common/Kustomization")?];
    if let Some(containerfile) = scenario.containerfile {
        others.push(document(renderer, containerfile)?);
    }
    Ok(others)
}

fn document(renderer: &Renderer, template: &str) -> anyhow::Result<Document> {
    let text = renderer.render(template).with_context(|| format!("cannot render {template}"))?;
    Ok(Document { path: basename(template).to_owned(), text })
}

fn claim(size: &Quantity, class: Option<&StorageClass>) -> Json {
    let mut claim = Map::from_iter([
        ("accessModes".to_owned(), json!(["ReadWriteOnce"])),
        ("resources".to_owned(), json!({ "requests": { "storage": size } })),
    ]);
    if let Some(class) = class {
        claim.insert("storageClassName".to_owned(), json!(class));
    }
    claim.into()
}

fn check(scenario: &Scenario, plan: &Plan, manifests: &[Document]) -> anyhow::Result<Objects> {
    let names = Names::of(plan.name.as_str());
    let mut secrets = vec![(names.credentials.as_str(), CREDENTIAL_KEYS.as_slice())];
    let backrest_keys = if scenario.archive { Archive::of(plan).secret_keys() } else { Vec::new() };
    if scenario.archive {
        secrets.push((&names.backrest, &backrest_keys));
        secrets.push((&names.backrest_tls, &TLS_KEYS));
    }
    let objects = Objects::read(manifests);
    let findings = objects.check(&External { secrets: &secrets, ..External::default() });
    if findings.is_empty() {
        return Ok(objects);
    }
    let list: Vec<String> = findings.iter().map(ToString::to_string).collect();
    anyhow::bail!("{DEFECT}: the rendered manifests are wrong:\n{}", list.join("\n"))
}

/// The scenario of this name on the command line.
pub fn named(id: &str) -> Option<&'static Scenario> {
    all().get(id).copied()
}

/// Every scenario by its name on the command line.
pub fn all() -> BTreeMap<&'static str, &'static Scenario> {
    [&Q1, &Q2, &Q3].into_iter().map(|scenario| (scenario.id, scenario)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Sources, load};

    #[test]
    fn a_broken_template_is_called_a_defect() {
        let plan = load(&Sources::default()).unwrap();
        for (good, broken, finding) in [
            ("mountPath:", "mountPth:", "volumeMounts[0].mountPth: unknown field"),
            ("role: replica", "role: on", "invalid type: boolean"),
            ("name: pg-scripts", "name: pg-script", "pg-script"),
        ] {
            let (mut manifests, _) = unchecked(&Q1, &plan).unwrap();
            for document in &mut manifests {
                let text = document.text.to_string();
                if !text.contains("kind: ConfigMap") {
                    document.text = text.replace(good, broken).into();
                }
            }
            let error = format!("{:#}", check(&Q1, &plan, &manifests).err().unwrap());
            assert!(error.contains("this is a defect of pgk") && error.contains(finding), "{error}");
        }
    }
}
