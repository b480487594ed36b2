//! The scenarios: which documents each has, in which order, and the values that their templates see.
//!
//! A scenario is a column of the table in `files.rs`. What two scenarios share is a template in the rows of both.

mod archive;
mod files;

use std::collections::BTreeMap;
use std::iter;

use anyhow::Context as _;
use serde::Serialize;
use serde_json::{Map, Value as Json, json};

use crate::config::types::{Image, Quantity, Replicas, SlotKind, SlotName, StorageClass};
use crate::config::{Plan, Scenario, SizedParameter};
use crate::graph;
use crate::manifest::{External, Graph, Objects};
use crate::render::{Document, Renderer, basename};

pub use archive::{Archive, CIPHER_PASS, TLS_KEYS};

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
    /// The `NetworkPolicy` of the pods of both.
    pub jobs: String,
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
            jobs: with("jobs"),
            config: with("config"),
            scripts: with("scripts"),
            credentials: with("credentials"),
            backrest: with("backrest"),
            backrest_tls: with("backrest-tls"),
            backrest_client: with("backrest"),
        }
    }
}

/// The ports that the pods listen on, declared once. (The programs are the same in every instance, so they have them as
/// constants: a test compares.)
#[derive(Debug, Serialize)]
struct Ports {
    /// PostgreSQL.
    postgresql: u16,
    /// A replica, with no Patroni: whether it holds data.
    tell: u16,
    /// The backup store: who may lead, and what a restore needs.
    store: u16,
    /// Patroni's API.
    patroni: u16,
    /// The watchers, among themselves.
    watcher: u16,
    /// pgBackRest's own server.
    backrest: u16,
}

const PORTS: Ports =
    Ports { postgresql: 5432, tell: 5433, store: 5434, patroni: 8008, watcher: 8010, backrest: 8432 };

/// What every template sees.
#[derive(Serialize)]
struct Values<'a> {
    #[serde(flatten)]
    plan: &'a Plan,
    names: &'a Names,
    ports: Ports,
    /// What the pods run on.
    image: Image,
    /// What that image is built on.
    base_image: Image,
    /// As many members as there can be.
    most_members: u8,
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
    /// How much WAL a member keeps.
    kept_wal: KeptWal,
    /// The replication slots besides those of the members.
    slots: Slots<'a>,
    /// The parameters of PostgreSQL that follow from what a member is given.
    sized: Vec<SizedParameter>,
    /// The specification of the backup store's.
    store_claim: Json,
    /// The specification of the archive's in the cluster.
    repo_claim: Json,
    files: Files,
}

/// How much WAL a member keeps for replicas that are behind, as PostgreSQL writes sizes. Both follow the member's
/// volume: what a large database writes while a replica is cloned is large, too.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct KeptWal {
    /// At most this much for a replica whose slot is there: a quarter of the volume.
    slot: String,
    /// Always this much: a sixteenth of the volume.
    wal: String,
}

impl KeptWal {
    /// Of a volume of `size`.
    fn of(size: &Quantity) -> Self {
        const FILE: f64 = 16.0; // MB of WAL
        const MOST: f64 = 65_536.0; // files, which are 1 TB
        let part = |of: f64| {
            let files = (size.amount() / of / (FILE * 1024.0 * 1024.0)).floor().clamp(2.0, MOST);
            let megabytes = files * FILE;
            if megabytes % 1024.0 == 0.0 {
                format!("{:.0}GB", megabytes / 1024.0)
            } else {
                format!("{megabytes:.0}MB")
            }
        };
        Self { slot: part(4.0), wal: part(16.0) }
    }
}

/// The replication slots besides those of the members.
#[derive(Serialize)]
struct Slots<'a> {
    /// Those that every member keeps.
    kept: BTreeMap<&'a SlotName, &'a SlotKind>,
    /// Those that are somebody else's.
    foreign: Vec<&'a SlotName>,
    /// Whether one is logical.
    logical: bool,
}

impl<'a> Slots<'a> {
    fn of(plan: &'a Plan) -> Self {
        let all = &plan.postgres.slots;
        let (foreign, kept): (BTreeMap<_, _>, _) = all.iter().partition(|(_, kind)| kind.is_foreign());
        let foreign = foreign.into_keys().collect();
        Self { kept, foreign, logical: all.values().any(SlotKind::is_logical) }
    }
}

#[derive(Serialize)]
struct Files {
    config: Vec<&'static str>,
    scripts: Vec<&'static str>,
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
pub fn render(scenario: Scenario, plan: &Plan) -> anyhow::Result<Rendered> {
    let scenario = scenario.with(plan.q2.strategy);
    let (manifests, mut renderer) = unchecked(scenario, plan)?;
    let graph = check(scenario, plan, &manifests)?.graph();
    let others = others(scenario, plan, &manifests, &graph, &mut renderer).context(DEFECT)?;
    Ok(Rendered { manifests, others })
}

/// The manifests alone, checked.
///
/// # Errors
/// As for [`render`].
pub fn manifests(scenario: Scenario, plan: &Plan) -> anyhow::Result<Vec<Document>> {
    let scenario = scenario.with(plan.q2.strategy);
    let (manifests, _) = unchecked(scenario, plan)?;
    check(scenario, plan, &manifests)?;
    Ok(manifests)
}

/// What refers to what among the manifests.
///
/// # Errors
/// As for [`render`].
pub fn graph(scenario: Scenario, plan: &Plan) -> anyhow::Result<Graph> {
    let scenario = scenario.with(plan.q2.strategy);
    let (manifests, _) = unchecked(scenario, plan)?;
    Ok(check(scenario, plan, &manifests)?.graph())
}

const DEFECT: &str =
    "this is a bug in pgk, not in your configuration: please report it with the configuration";

/// The manifests, and what they were rendered with.
fn unchecked(scenario: Scenario, plan: &Plan) -> anyhow::Result<(Vec<Document>, Renderer)> {
    fill_in(scenario, plan).context(DEFECT)
}

fn fill_in(scenario: Scenario, plan: &Plan) -> anyhow::Result<(Vec<Document>, Renderer)> {
    let archive = scenario.has_archive().then(|| Archive::of(plan));
    let has_store = scenario == Scenario::Q2Restore;
    let names = Names::of(plan.name.as_str());
    let version = plan.postgres.version;
    let default_image = if scenario.has_patroni() { version.built_image() } else { version.official_image() };
    let templates = |files| files::of(scenario, files).map(|file| file.template);
    let config = templates(files::CONFIG).chain(archive.iter().flat_map(Archive::files)).collect();
    let values = Values {
        plan,
        names: &names,
        ports: PORTS,
        image: plan.postgres.image.clone().unwrap_or(default_image),
        base_image: version.official_image(),
        most_members: Replicas::MOST + 1,
        watcher: plan.q2.watcher(),
        store: has_store,
        archive: archive.as_ref(),
        labels: labels(plan),
        selector: selector(plan),
        claim: claim(&plan.storage.size, plan.storage.class.as_ref()),
        kept_wal: KeptWal::of(&plan.storage.size),
        slots: Slots::of(plan),
        sized: plan.sized(scenario),
        store_claim: claim(&plan.q2.store_size, plan.storage.class.as_ref()),
        repo_claim: claim(&plan.q3.posix.size, plan.q3.posix.class.as_ref()),
        files: Files { config, scripts: templates(files::SCRIPTS).collect() },
    };
    let mut renderer = Renderer::new(&values)?;
    let of = |files| files::of(scenario, files);
    let restarts = of(files::CONFIG).chain(of(files::SCRIPTS)).filter(|file| !file.live);
    renderer.set_checksum("", restarts.map(|file| file.template))?;
    if has_store {
        let of_store = of(files::SCRIPTS).filter(|file| file.of_store);
        renderer.set_checksum("store", of_store.map(|file| file.template))?;
    }
    let mut manifests = templates(files::MANIFESTS)
        .map(|template| document(&renderer, template))
        .collect::<anyhow::Result<Vec<_>>>()?;
    manifests.retain(|document| !document.text.trim().is_empty());
    for (number, document) in (1..).zip(&mut manifests) {
        document.path = format!("{number:02}-{}", document.path);
    }
    Ok((manifests, renderer))
}

/// What is in the folder besides the manifests.
fn others(
    scenario: Scenario,
    plan: &Plan,
    manifests: &[Document],
    graph: &Graph,
    renderer: &mut Renderer,
) -> anyhow::Result<Vec<Document>> {
    // For the README's table of files, and the Kustomization.
    renderer.set("documents", manifests.iter().map(|document| document.path.clone()).collect::<Vec<_>>());
    renderer.set("graph", graph::mermaid(graph));
    let readme = document(renderer, &files::readme(scenario, plan.lang.as_str()))?;
    let readme = Document { path: "README.md".to_owned(), ..readme };
    let others = files::of(scenario, files::OTHERS).map(|file| document(renderer, file.template));
    iter::once(Ok(readme)).chain(others).collect()
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

fn check(scenario: Scenario, plan: &Plan, manifests: &[Document]) -> anyhow::Result<Objects> {
    let names = Names::of(plan.name.as_str());
    let mut secrets = vec![(names.credentials.as_str(), CREDENTIAL_KEYS.as_slice())];
    let backrest_keys = if scenario.has_archive() { Archive::of(plan).secret_keys() } else { Vec::new() };
    if scenario.has_archive() {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Sources, load};

    #[test]
    fn the_kept_wal_follows_the_volume() {
        let kept = |size: &str| {
            let KeptWal { slot, wal } = KeptWal::of(&size.parse().unwrap());
            [slot, wal]
        };
        assert_eq!(kept("8Gi"), ["2GB", "512MB"]);
        assert_eq!(kept("100Gi"), ["25GB", "6400MB"]);
        assert_eq!(kept("1G"), ["224MB", "48MB"]);
        assert_eq!(kept("1"), ["32MB", "32MB"]);
        assert_eq!(kept("1Ei"), ["1024GB", "1024GB"]);
    }

    /// The text of a template.
    fn text(template: &str) -> String {
        std::fs::read_to_string(format!("{}/templates/{template}", env!("CARGO_MANIFEST_DIR"))).unwrap()
    }

    /// The pod templates of the store and of the primary, with these settings.
    fn pods_with(set: &[&str]) -> [String; 2] {
        let set = ["q2.strategy=restore"].iter().chain(set).map(|it| (*it).to_owned()).collect();
        let plan = load(&Sources { set, ..Sources::default() }).unwrap();
        let manifests = manifests(Scenario::Q2, &plan).unwrap();
        ["statefulset-store.yaml", "deployment-primary.yaml"].map(|name| {
            let document = manifests.iter().find(|it| it.path.ends_with(name)).unwrap();
            document.text.clone()
        })
    }

    /// While the primary is replaced for another configuration, the store has to be there.
    #[test]
    fn the_store_restarts_for_what_it_runs_itself() {
        let [store, primary] = pods_with(&[]);
        let [same_store, other_primary] = pods_with(&["postgres.parameters.work_mem=17MB"]);
        assert_eq!(store, same_store);
        assert_ne!(primary, other_primary);
        let [other_store, other_primary] = pods_with(&["q2.backups=3"]);
        assert_ne!(store, other_store);
        assert_ne!(primary, other_primary);
    }

    /// Where nothing is encrypted, nothing is there for it; and where it is, each scenario has its parts.
    #[test]
    fn without_tls_a_folder_has_nothing_of_it() {
        let parts = ["/tmp/tls", "openssl", "hostssl", "scheme: HTTPS"];
        for (scenario, strategy, own) in [
            (Scenario::Q1, "promote", None),
            (Scenario::Q2, "promote", Some("scheme: HTTPS")),
            (Scenario::Q2, "restore", None),
            (Scenario::Q3, "promote", Some("scheme: HTTPS")),
        ] {
            let found = |tls: &str| {
                let set = vec![format!("q2.strategy={strategy}"), format!("tls={tls}")];
                let plan = load(&Sources { set, ..Sources::default() }).unwrap();
                let manifests = manifests(scenario, &plan).unwrap();
                let is_there = |part: &&str| manifests.iter().any(|it| it.text.contains(*part));
                parts.into_iter().filter(is_there).collect::<Vec<_>>()
            };
            assert_eq!(found("off"), [""; 0], "{scenario:?} {strategy}");
            let all: Vec<_> = parts[..3].iter().copied().chain(own).collect();
            assert_eq!(found("encrypted"), all, "{scenario:?} {strategy}");
        }
    }

    /// All that the store's pod runs or sources, and nothing else, is in the checksum of its template.
    #[test]
    fn the_files_of_the_store_are_known() {
        let scripts = || files::of(Scenario::Q2Restore, files::SCRIPTS);
        let used_by = |template: &str| -> Vec<&'static str> {
            let text = text(template);
            let used = |it: &&str| text.contains(&format!("/etc/pgk/scripts/{}", basename(it)));
            scripts().map(|file| file.template).filter(used).collect()
        };
        let mut found = used_by("store/statefulset-store.yaml");
        let mut next = 0;
        while let Some(file) = found.get(next).copied() {
            for used in used_by(file) {
                if !found.contains(&used) {
                    found.push(used);
                }
            }
            next += 1;
        }
        found.sort_unstable();
        let mut declared: Vec<_> = scripts().filter(|it| it.of_store).map(|it| it.template).collect();
        declared.sort_unstable();
        assert_eq!(found, declared);
        // (`common.sh` starts a PostgreSQL with them, of which the store has none.)
        let reads_config = |it: &&&str| text(it).contains("/etc/pgk/config/") && basename(it) != "common.sh";
        assert_eq!(declared.iter().find(reads_config), None, "no configuration file is in the checksum");
    }

    /// The programs have the ports and the Secret's keys as constants.
    #[test]
    fn the_programs_agree_with_what_is_declared() {
        for (program, before, port) in [
            ("streaming/tell.sh", "LocalPort => ", PORTS.tell),
            ("streaming/first-start.sh", "/dev/tcp/$replicas_service/", PORTS.tell),
            ("streaming/follow.sh", "host=$rw_service port=", PORTS.postgresql),
            ("store/store.pl", "$ENV{PGK_STORE_PORT} // ", PORTS.store),
            ("patroni/pgk.py", "http.client.HTTPConnection(host, ", PORTS.patroni),
            ("patroni/pgk.py", "[\"postgresql\"][\"connect_address\"] = f\"{host}:", PORTS.postgresql),
            ("patroni/watcher.py", "\nPORT = ", PORTS.watcher),
            ("archive/repository.py", "knock(host, ", PORTS.backrest),
            ("archive/fetch-wal.sh", "/dev/tcp/127.0.0.1/", PORTS.patroni),
        ] {
            assert!(text(program).contains(&format!("{before}{port}")), "{program} has no {before}{port}");
        }
        let files = files::CONFIG.iter().chain(files::SCRIPTS);
        let keys: Vec<String> = files
            .flat_map(|file| {
                let word = |c: char| !c.is_ascii_lowercase() && c != '-';
                text(file.template).split(word).map(str::to_owned).collect::<Vec<_>>()
            })
            .filter(|word| word.ends_with("-password") && !word.starts_with('-'))
            .collect();
        assert!(keys.len() >= 10);
        assert_eq!(keys.iter().find(|key| !CREDENTIAL_KEYS.contains(&key.as_str())), None);
    }

    #[test]
    fn a_broken_template_is_called_a_defect() {
        let plan = load(&Sources::default()).unwrap();
        for (good, broken, finding) in [
            ("mountPath:", "mountPth:", "volumeMounts[0].mountPth: unknown field"),
            ("role: replica", "role: on", "invalid type: boolean"),
            ("name: pg-scripts", "name: pg-script", "pg-script"),
        ] {
            let (mut manifests, _) = unchecked(Scenario::Q1, &plan).unwrap();
            for document in &mut manifests {
                let text = &document.text;
                if !text.contains("kind: ConfigMap") {
                    document.text = text.replace(good, broken);
                }
            }
            let error = format!("{:#}", check(Scenario::Q1, &plan, &manifests).err().unwrap());
            assert!(error.contains("this is a bug in pgk") && error.contains(finding), "{error}");
        }
    }
}
