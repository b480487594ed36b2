//! Manifests as the rules and the graph see them: the objects of one namespace, the pods that they make, and what these
//! refer to.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use k8s_openapi::Resource;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{
    ConfigMap, Container, KeyToPath, PersistentVolumeClaim, Pod as PodObject, PodSpec, PodTemplateSpec,
    Secret, Volume,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};

use super::object::Object;

/// Objects that the manifests may refer to though they don't contain them.
#[derive(Debug, Clone, Copy, Default)]
pub struct External<'a> {
    /// Name of each Secret, and the keys that it has.
    pub secrets: &'a [(&'a str, &'a [&'a str])],
    /// Kind and name of anything else, of which nothing more is known.
    pub outside: &'a [(String, String)],
    /// Whether there are objects of kinds that are not known, whose controllers may make pods.
    pub others: bool,
}

/// The documents, and what more than one rule wants to know of them.
pub(super) struct Set<'a> {
    pub(super) objects: &'a [&'a Object],
    /// What is in the cluster besides them, by kind and name.
    outside: &'a [(String, String)],
    /// Whether somebody else may make pods of which nothing is known.
    pub(super) others: bool,
    /// Every pod template, and every Pod.
    pub(super) pods: Vec<Pod<'a>>,
    /// The keys of each ConfigMap and Secret, by kind and name.
    data: BTreeMap<(&'static str, String), BTreeSet<String>>,
}

impl<'a> Set<'a> {
    pub(super) fn new(objects: &'a [&'a Object], external: &'a External<'_>) -> Self {
        let mut data = BTreeMap::new();
        for &(name, keys) in external.secrets {
            data.insert(("Secret", name.to_owned()), keys.iter().map(|&key| key.to_owned()).collect());
        }
        for object in objects {
            if let Some(map) = object.typed::<ConfigMap>() {
                let texts = map.data.iter().flat_map(BTreeMap::keys);
                let keys = texts.chain(map.binary_data.iter().flat_map(BTreeMap::keys)).cloned();
                data.insert((ConfigMap::KIND, object.name().to_owned()), keys.collect());
            } else if let Some(secret) = object.typed::<Secret>() {
                let texts = secret.string_data.iter().flat_map(BTreeMap::keys);
                let keys = texts.chain(secret.data.iter().flat_map(BTreeMap::keys)).cloned();
                data.insert((Secret::KIND, object.name().to_owned()), keys.collect());
            }
        }
        let pods = objects.iter().copied().filter_map(Pod::of).collect();
        Set { objects, outside: external.outside, others: external.others, pods, data }
    }

    /// The objects of a type.
    pub(super) fn all<T: Resource + 'static>(&self) -> impl Iterator<Item = (&'a Object, &'a T)> {
        self.objects.iter().filter_map(|object| Some((*object, object.typed()?)))
    }

    pub(super) fn contains(&self, kind: &str, name: &str) -> bool {
        self.objects.iter().any(|object| object.kind() == kind && object.name() == name)
            || self.outside(kind, name)
    }

    /// Whether the cluster has it from elsewhere: what it holds isn't known.
    pub(super) fn outside(&self, kind: &str, name: &str) -> bool {
        is_in_every_cluster(kind, name)
            || self.outside.iter().any(|(known, named)| known.eq_ignore_ascii_case(kind) && named == name)
    }

    /// Whether what is in `namespace` may be among the objects.
    pub(super) fn may_be_in(&self, namespace: &str) -> bool {
        let own =
            self.objects.iter().find(|object| !is_cluster_wide(object)).map(|object| object.namespace());
        own.is_none_or(|own| own.is_empty() || own == namespace)
    }

    /// The keys of a ConfigMap or Secret; `None` if there is no such object.
    pub(super) fn keys(&self, kind: &'static str, name: &str) -> Option<&BTreeSet<String>> {
        self.data.get(&(kind, name.to_owned()))
    }
}

/// A pod, or the template that a workload makes pods of.
pub(super) struct Pod<'a> {
    pub(super) object: &'a Object,
    pub(super) labels: &'a Labels,
    pub(super) spec: &'a PodSpec,
    /// Where `spec` stands in the document.
    pub(super) path: &'static str,
    /// The workload's selector; a Job's is made by the cluster.
    pub(super) selector: Option<&'a LabelSelector>,
    /// A StatefulSet's claim templates, each of which the pods may mount like a volume.
    pub(super) claims: &'a [PersistentVolumeClaim],
}

/// The labels of what they are attached to.
pub(super) type Labels = BTreeMap<String, String>;

impl<'a> Pod<'a> {
    fn of(object: &'a Object) -> Option<Self> {
        static NONE: Labels = Labels::new();
        let pod = |metadata: Option<&'a ObjectMeta>, spec: Option<&'a PodSpec>, path| {
            let labels = metadata.and_then(|metadata| metadata.labels.as_ref()).unwrap_or(&NONE);
            Some(Pod { object, labels, spec: spec?, path, selector: None, claims: &[] })
        };
        let template =
            |PodTemplateSpec { metadata, spec }: &'a _, path| pod(metadata.as_ref(), spec.as_ref(), path);
        let selected = |template_of: &'a PodTemplateSpec, selector: &'a LabelSelector| {
            Some(Pod { selector: Some(selector), ..template(template_of, "spec.template.spec")? })
        };
        if let Some(set) = object.typed::<StatefulSet>() {
            let spec = set.spec.as_ref()?;
            let claims = spec.volume_claim_templates.as_deref().unwrap_or_default();
            Some(Pod { claims, ..selected(&spec.template, &spec.selector)? })
        } else if let Some(deployment) = object.typed::<Deployment>() {
            let spec = deployment.spec.as_ref()?;
            selected(&spec.template, &spec.selector)
        } else if let Some(set) = object.typed::<ReplicaSet>() {
            let spec = set.spec.as_ref()?;
            selected(spec.template.as_ref()?, &spec.selector)
        } else if let Some(set) = object.typed::<DaemonSet>() {
            let spec = set.spec.as_ref()?;
            selected(&spec.template, &spec.selector)
        } else if let Some(one) = object.typed::<Job>() {
            template(&one.spec.as_ref()?.template, "spec.template.spec")
        } else if let Some(cron) = object.typed::<CronJob>() {
            let job = cron.spec.as_ref()?.job_template.spec.as_ref()?;
            template(&job.template, "spec.jobTemplate.spec.template.spec")
        } else {
            let one = object.typed::<PodObject>()?;
            pod(Some(&one.metadata), one.spec.as_ref(), "spec")
        }
    }

    /// A path below the pod's spec.
    pub(super) fn at(&self, rest: &str) -> String {
        format!("{}.{rest}", self.path)
    }

    /// Where the pod's labels stand.
    pub(super) fn labels_path(&self) -> String {
        format!("{}metadata.labels", self.path.trim_end_matches("spec"))
    }

    /// For a message: `StatefulSet/pg`.
    pub(super) fn owner(&self) -> String {
        format!("{}/{}", self.object.kind(), self.object.name())
    }
}

/// Whether Kubernetes itself makes it.
fn is_in_every_cluster(kind: &str, name: &str) -> bool {
    match kind {
        "ServiceAccount" => name == "default",
        // In every namespace.
        "ConfigMap" => name == "kube-root-ca.crt",
        "ClusterRole" => {
            name.starts_with("system:") || matches!(name, "cluster-admin" | "admin" | "edit" | "view")
        }
        // In kube-system.
        "Role" => name.starts_with("system:") || name == "extension-apiserver-authentication-reader",
        _ => false,
    }
}

/// Whether it stands in no namespace.
pub(super) fn is_cluster_wide(object: &Object) -> bool {
    matches!(
        object.kind(),
        "APIService"
            | "CSIDriver"
            | "CSINode"
            | "CertificateSigningRequest"
            | "ClusterRole"
            | "ClusterRoleBinding"
            | "ClusterTrustBundle"
            | "CustomResourceDefinition"
            | "DeviceClass"
            | "FlowSchema"
            | "IPAddress"
            | "IngressClass"
            | "MutatingAdmissionPolicy"
            | "MutatingAdmissionPolicyBinding"
            | "MutatingWebhookConfiguration"
            | "Namespace"
            | "Node"
            | "PersistentVolume"
            | "PriorityClass"
            | "PriorityLevelConfiguration"
            | "ResourceSlice"
            | "RuntimeClass"
            | "ServiceCIDR"
            | "StorageClass"
            | "ValidatingAdmissionPolicy"
            | "ValidatingAdmissionPolicyBinding"
            | "ValidatingWebhookConfiguration"
            | "VolumeAttachment"
            | "VolumeAttributesClass"
    )
}

/// Whether it stands in no namespace and has to do with what does: roles, and who is bound to them.
pub(super) fn is_of_roles(object: &Object) -> bool {
    matches!(object.kind(), "ClusterRole" | "ClusterRoleBinding")
}

/// Where a container or a volume stands. It is written out where something is wrong alone.
#[derive(Clone, Copy)]
pub(super) struct Place {
    below: &'static str,
    list: &'static str,
    index: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}[{}]", self.below, self.list, self.index)
    }
}

/// Each of `items` with its place in `list`.
pub(super) fn placed<'p, T: 'p>(
    below: &'static str,
    list: &'static str,
    items: impl IntoIterator<Item = &'p T>,
) -> impl Iterator<Item = (Place, &'p T)> {
    items.into_iter().enumerate().map(move |(index, item)| (Place { below, list, index }, item))
}

/// Every container with its place.
pub(super) fn containers<'p>(pod: &'p Pod<'_>) -> impl Iterator<Item = (Place, &'p Container)> {
    let init = placed(pod.path, "initContainers", pod.spec.init_containers.iter().flatten());
    init.chain(placed(pod.path, "containers", &pod.spec.containers))
}

/// Every volume with its place.
pub(super) fn volumes<'p>(pod: &'p Pod<'_>) -> impl Iterator<Item = (Place, &'p Volume)> {
    placed(pod.path, "volumes", pod.spec.volumes.iter().flatten())
}

/// A label that a running pod gets from outside: `role` follows the primary, unless the template fixes it; and a
/// controller tells its pods apart.
fn at_run_time(key: &str, value: &str, labels: &Labels) -> bool {
    let by_controller = matches!(
        key,
        "apps.kubernetes.io/pod-index"
            | "batch.kubernetes.io/job-name"
            | "job-name"
            | "statefulset.kubernetes.io/pod-name"
    );
    (by_controller || (key == "role" && matches!(value, "primary" | "replica"))) && !labels.contains_key(key)
}

pub(super) fn carries(labels: &Labels, key: &str, value: &str) -> bool {
    labels.get(key).is_some_and(|own| own == value)
}

pub(super) fn selects(selector: &LabelSelector, labels: &Labels) -> bool {
    let may_be = |key: &str, value: &str| carries(labels, key, value) || at_run_time(key, value, labels);
    selector.match_labels.iter().flatten().all(|(key, value)| may_be(key, value))
        && selector.match_expressions.iter().flatten().all(|expression| {
            let key = &expression.key;
            let listed = expression.values.iter().flatten();
            match expression.operator.as_str() {
                "In" => listed.into_iter().any(|value| may_be(key, value)),
                "NotIn" => !listed.into_iter().any(|value| carries(labels, key, value)),
                "Exists" => labels.contains_key(key) || at_run_time(key, "primary", labels),
                "DoesNotExist" => !labels.contains_key(key),
                _ => false,
            }
        })
}

/// Something that reads a ConfigMap or Secret.
pub(super) struct Reference<'p> {
    pub(super) kind: &'static str,
    pub(super) name: &'p str,
    /// The field that holds the name.
    pub(super) path: String,
    /// The keys that it wants, each with its field; none if it takes all.
    pub(super) keys: Vec<(String, &'p str)>,
    pub(super) optional: bool,
}

impl<'p> Reference<'p> {
    fn new(kind: &'static str, name: &'p str, path: String, optional: Option<bool>) -> Self {
        Reference { kind, name, path, keys: Vec::new(), optional: optional == Some(true) }
    }

    fn key(mut self, path: String, key: &'p str) -> Self {
        self.keys.push((path, key));
        self
    }

    fn items(mut self, path: &str, items: Option<&'p Vec<KeyToPath>>) -> Self {
        let items = items.into_iter().flatten().enumerate();
        self.keys
            .extend(items.map(|(index, item)| (format!("{path}.items[{index}].key"), item.key.as_str())));
        self
    }
}

/// Each ConfigMap and Secret that a pod reads.
pub(super) fn references<'p>(pod: &'p Pod<'_>) -> impl Iterator<Item = Reference<'p>> {
    let in_containers = containers(pod).flat_map(|(place, container)| container_references(place, container));
    in_containers.chain(volumes(pod).flat_map(|(place, volume)| volume_references(place, volume)))
}

fn container_references(place: Place, container: &Container) -> Vec<Reference<'_>> {
    let mut references = Vec::new();
    for (index, variable) in container.env.iter().flatten().enumerate() {
        let Some(source) = &variable.value_from else {
            continue;
        };
        let path = format!("{place}.env[{index}].valueFrom");
        if let Some(from) = &source.config_map_key_ref {
            let path = format!("{path}.configMapKeyRef");
            let reference = Reference::new("ConfigMap", &from.name, format!("{path}.name"), from.optional);
            references.push(reference.key(format!("{path}.key"), &from.key));
        }
        if let Some(from) = &source.secret_key_ref {
            let path = format!("{path}.secretKeyRef");
            let reference = Reference::new("Secret", &from.name, format!("{path}.name"), from.optional);
            references.push(reference.key(format!("{path}.key"), &from.key));
        }
    }
    for (index, source) in container.env_from.iter().flatten().enumerate() {
        let path = format!("{place}.envFrom[{index}]");
        if let Some(from) = &source.config_map_ref {
            let path = format!("{path}.configMapRef.name");
            references.push(Reference::new("ConfigMap", &from.name, path, from.optional));
        }
        if let Some(from) = &source.secret_ref {
            let path = format!("{path}.secretRef.name");
            references.push(Reference::new("Secret", &from.name, path, from.optional));
        }
    }
    references
}

fn volume_references(place: Place, volume: &Volume) -> Vec<Reference<'_>> {
    let mut references = Vec::new();
    if let Some(from) = &volume.config_map {
        let path = format!("{place}.configMap");
        let reference = Reference::new("ConfigMap", &from.name, format!("{path}.name"), from.optional);
        references.push(reference.items(&path, from.items.as_ref()));
    }
    if let Some(from) = &volume.secret {
        let path = format!("{place}.secret");
        let name = from.secret_name.as_deref().unwrap_or_default();
        let reference = Reference::new("Secret", name, format!("{path}.secretName"), from.optional);
        references.push(reference.items(&path, from.items.as_ref()));
    }
    let projected = volume.projected.iter().flat_map(|projected| projected.sources.iter().flatten());
    for (index, source) in projected.enumerate() {
        let path = format!("{place}.projected.sources[{index}]");
        if let Some(from) = &source.config_map {
            let path = format!("{path}.configMap");
            let reference = Reference::new("ConfigMap", &from.name, format!("{path}.name"), from.optional);
            references.push(reference.items(&path, from.items.as_ref()));
        }
        if let Some(from) = &source.secret {
            let path = format!("{path}.secret");
            let reference = Reference::new("Secret", &from.name, format!("{path}.name"), from.optional);
            references.push(reference.items(&path, from.items.as_ref()));
        }
    }
    references
}

/// The files that a volume holds; `None` if that isn't known from the manifests.
pub(super) fn files<'s>(set: &'s Set<'_>, volume: &'s Volume) -> Option<BTreeSet<&'s str>> {
    let of = |kind, name: &str, items: Option<&'s Vec<KeyToPath>>| match items {
        Some(items) => Some(items.iter().map(|item| item.path.as_str()).collect::<BTreeSet<_>>()),
        None => Some(set.keys(kind, name)?.iter().map(String::as_str).collect()),
    };
    if let Some(map) = &volume.config_map {
        return of("ConfigMap", &map.name, map.items.as_ref());
    }
    if let Some(secret) = &volume.secret {
        return of("Secret", secret.secret_name.as_ref()?, secret.items.as_ref());
    }
    let mut files = BTreeSet::new();
    for source in volume.projected.as_ref()?.sources.iter().flatten() {
        if let Some(map) = &source.config_map {
            files.extend(of("ConfigMap", &map.name, map.items.as_ref())?);
        } else if let Some(secret) = &source.secret {
            files.extend(of("Secret", &secret.name, secret.items.as_ref())?);
        } else if let Some(token) = &source.service_account_token {
            files.insert(&token.path);
        } else if let Some(downward) = &source.downward_api {
            files.extend(downward.items.iter().flatten().map(|item| item.path.as_str()));
        } else {
            return None;
        }
    }
    Some(files)
}

pub(super) fn no_such(kind: &str, name: &str) -> String {
    format!("no {kind} named \"{name}\" is among the manifests")
}
