//! Links between documents: what one of them names, another must hold.
//!
//! One function a rule, its comment saying what goes wrong in a cluster without it. Rules about labels
//! stand in `selectors`, those about the inside of a pod in `pods` and `references`.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use k8s_openapi::Resource;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{
    ConfigMap, PersistentVolumeClaim, Pod as PodObject, PodSpec, PodTemplateSpec, Secret,
};
use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, RoleBinding, RoleRef, Subject};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};

use super::typed::Object;
use super::{External, Finding, pods, selectors};

/// Applies every rule.
pub(super) fn check(objects: &[&Object], external: &External<'_>, findings: &mut Vec<Finding>) {
    let set = Set::new(objects, external);
    duplicates(&set, findings);
    namespaces(&set, findings);
    service_accounts(&set, findings);
    role_bindings(&set, findings);
    governing_services(&set, findings);
    selectors::check(&set, findings);
    pods::check(&set, findings);
}

/// The documents, and what more than one rule wants to know of them.
pub(super) struct Set<'a> {
    objects: &'a [&'a Object],
    /// What is in the cluster besides them, by kind and name.
    outside: &'a [(String, String)],
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
        Set { objects, outside: external.outside, pods, data }
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
        self.outside.iter().any(|(known, named)| known.eq_ignore_ascii_case(kind) && named == name)
    }

    /// Whether what is in `namespace` may be among the objects.
    fn may_be_in(&self, namespace: &str) -> bool {
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

/// Of two objects of one name, `kubectl apply` keeps the last, in silence.
fn duplicates(set: &Set<'_>, findings: &mut Vec<Finding>) {
    let mut seen = HashMap::new();
    for object in set.objects {
        if let Some(first) = seen.insert((object.kind(), object.name()), object.document()) {
            let message = format!("{first} has a {} of this name too", object.kind());
            findings.push(object.finding("metadata.name", message));
        }
    }
}

/// Objects refer to each other by name within one namespace: apart, none finds the other.
fn namespaces(set: &Set<'_>, findings: &mut Vec<Finding>) {
    let mut objects = set.objects.iter().filter(|object| !is_cluster_wide(object));
    let Some(first) = objects.next() else { return };
    for object in objects.filter(|object| object.namespace() != first.namespace()) {
        let message =
            format!("\"{}\", but {} is in \"{}\"", object.namespace(), first.document(), first.namespace());
        findings.push(object.finding("metadata.namespace", message));
    }
}

/// Whether it stands in no namespace.
pub(super) fn is_cluster_wide(object: &Object) -> bool {
    matches!(
        object.kind(),
        "Namespace"
            | "Node"
            | "PersistentVolume"
            | "ClusterRole"
            | "ClusterRoleBinding"
            | "PriorityClass"
            | "StorageClass"
    )
}

/// Whether it stands in no namespace and has to do with what does: roles, and who is bound to them.
pub(super) fn is_of_roles(object: &Object) -> bool {
    matches!(object.kind(), "ClusterRole" | "ClusterRoleBinding")
}

/// Without its service account, no pod is created: the workload stays at zero, and says so in an event only.
fn service_accounts(set: &Set<'_>, findings: &mut Vec<Finding>) {
    for pod in &set.pods {
        let Some(name) = &pod.spec.service_account_name else {
            continue;
        };
        if name != "default" && !set.contains("ServiceAccount", name) {
            findings.push(pod.object.finding(pod.at("serviceAccountName"), no_such("ServiceAccount", name)));
        }
    }
}

/// A binding may name what doesn't exist: it then grants nothing, and the pods get "forbidden".
fn role_bindings(set: &Set<'_>, findings: &mut Vec<Finding>) {
    let mut check = |object: &Object, role: &RoleRef, subjects: Option<&Vec<Subject>>| {
        if !set.contains(&role.kind, &role.name) && !is_built_in(role) {
            findings.push(object.finding("roleRef.name", no_such(&role.kind, &role.name)));
        }
        for (index, subject) in subjects.into_iter().flatten().enumerate() {
            // One of another namespace is not among those that are looked at.
            let elsewhere = subject.namespace.as_deref().is_some_and(|other| !set.may_be_in(other));
            if subject.kind == "ServiceAccount"
                && !elsewhere
                && subject.name != "default"
                && !set.contains("ServiceAccount", &subject.name)
            {
                let path = format!("subjects[{index}].name");
                findings.push(object.finding(path, no_such("ServiceAccount", &subject.name)));
            }
        }
    };
    for (object, binding) in set.all::<RoleBinding>() {
        check(object, &binding.role_ref, binding.subjects.as_ref());
    }
    for (object, binding) in set.all::<ClusterRoleBinding>() {
        check(object, &binding.role_ref, binding.subjects.as_ref());
    }
}

/// Every cluster has these.
fn is_built_in(role: &RoleRef) -> bool {
    role.kind == "ClusterRole"
        && (role.name.starts_with("system:")
            || matches!(role.name.as_str(), "cluster-admin" | "admin" | "edit" | "view"))
}

/// Without its governing Service, a StatefulSet's pods have no DNS name of their own.
fn governing_services(set: &Set<'_>, findings: &mut Vec<Finding>) {
    for (object, stateful_set) in set.all::<StatefulSet>() {
        // The API server fills in an empty one.
        let name = stateful_set.spec.as_ref().and_then(|spec| spec.service_name.as_deref());
        let Some(name) = name.filter(|name| !name.is_empty()) else {
            continue;
        };
        if !set.contains("Service", name) {
            findings.push(object.finding("spec.serviceName", no_such("Service", name)));
        }
    }
}

pub(super) fn no_such(kind: &str, name: &str) -> String {
    format!("no {kind} named \"{name}\" is among the manifests")
}
