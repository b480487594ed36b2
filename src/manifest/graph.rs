//! The links between manifests as a graph: the same links that the check follows.

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::RoleBinding;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use serde_json::Value;

use super::object::Object;
use super::set::{External, Pod, Set, references, selects, volumes};

/// Objects, and which of them refer to which.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Graph {
    /// The objects, in the order of the documents; those that are only referred to follow.
    pub nodes: Vec<Node>,
    /// Pairs of nodes, by their place in `nodes`: the first selects, mounts, reads or binds the second.
    pub links: Vec<(usize, usize)>,
}

/// An object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its kind, for example `StatefulSet`.
    pub kind: String,
    /// Its name; one with `…` in it stands for those that the cluster makes.
    pub name: String,
    /// Whether it is among the documents.
    pub rendered: bool,
}

/// The graph of `objects`.
pub(super) fn of(objects: &[&Object]) -> Graph {
    let external = External::default();
    let set = Set::new(objects, &external);
    let mut graph = Graph::default();
    for object in objects {
        graph.nodes.push(Node { kind: object.kind().into(), name: object.name().into(), rendered: true });
    }
    let mut selecting = |from: &str, name: &str, selector: Option<&LabelSelector>| {
        for pod in &set.pods {
            if selector.is_some_and(|selector| selects(selector, pod.labels)) {
                graph.link((from, name), (pod.object.kind(), pod.object.name()));
            }
        }
    };
    for (object, service) in set.all::<Service>() {
        // Without a selector, something else writes the Service's endpoints.
        let labels = service.spec.as_ref().and_then(|spec| spec.selector.as_ref());
        let labels = labels.filter(|labels| !labels.is_empty()).cloned();
        let selector =
            labels.map(|labels| LabelSelector { match_labels: Some(labels), match_expressions: None });
        selecting(object.kind(), object.name(), selector.as_ref());
    }
    for (object, budget) in set.all::<PodDisruptionBudget>() {
        selecting(object.kind(), object.name(), budget.spec.as_ref().and_then(|spec| spec.selector.as_ref()));
    }
    for (object, policy) in set.all::<NetworkPolicy>() {
        selecting(
            object.kind(),
            object.name(),
            policy.spec.as_ref().and_then(|spec| spec.pod_selector.as_ref()),
        );
    }
    for (object, stateful_set) in set.all::<StatefulSet>() {
        // A governing Service that also selects the pods is linked already.
        if let Some(name) = stateful_set.spec.as_ref().and_then(|spec| spec.service_name.as_ref()) {
            graph.link(("Service", name), (object.kind(), object.name()));
        }
    }
    for pod in &set.pods {
        graph.pod(pod);
    }
    for (object, binding) in set.all::<RoleBinding>() {
        let from = (object.kind(), object.name());
        graph.link(from, (&binding.role_ref.kind, &binding.role_ref.name));
        for subject in binding.subjects.iter().flatten() {
            graph.link(from, (&subject.kind, &subject.name));
        }
    }
    let mut seen = BTreeSet::new();
    graph.links.retain(|link| seen.insert(*link));
    graph
}

impl Graph {
    /// What a pod uses.
    fn pod(&mut self, pod: &Pod<'_>) {
        let from = (pod.object.kind(), pod.object.name());
        for reference in references(pod) {
            self.link(from, (reference.kind, reference.name));
        }
        if let Some(account) = &pod.spec.service_account_name {
            self.link(from, ("ServiceAccount", account));
        }
        let claim = "PersistentVolumeClaim";
        let replicas = pod.object.tree.pointer("/spec/replicas").and_then(Value::as_i64);
        let number = if replicas.unwrap_or(1) == 1 { "0" } else { "…" };
        for template in pod.claims {
            let name = template.metadata.name.as_deref().unwrap_or_default();
            self.link(from, (claim, &format!("{name}-{}-{number}", pod.object.name())));
        }
        for (_, volume) in volumes(pod) {
            if let Some(source) = &volume.persistent_volume_claim {
                self.link(from, (claim, &source.claim_name));
            } else if volume.ephemeral.is_some() {
                self.link(from, (claim, &format!("{}-…-{}", pod.object.name(), volume.name)));
            }
        }
    }

    fn link(&mut self, from: (&str, &str), to: (&str, &str)) {
        let link = (self.place(from), self.place(to));
        self.links.push(link);
    }

    /// Where an object is among the nodes; a new one is added.
    fn place(&mut self, (kind, name): (&str, &str)) -> usize {
        let known = self.nodes.iter().position(|node| node.kind == kind && node.name == name);
        known.unwrap_or_else(|| {
            self.nodes.push(Node { kind: kind.to_owned(), name: name.to_owned(), rendered: false });
            self.nodes.len() - 1
        })
    }
}
