//! Rules about labels: who selects which pods.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    ContainerPort, PodAffinityTerm, Service, ServicePort, WeightedPodAffinityTerm,
};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::manifest::finding::Finding;
use crate::manifest::object::Object;
use crate::manifest::set::{Pod, Set, carries, selects};
use crate::yaml::field;

/// A Service that selects no pod, or whose port has no container port behind it, refuses every connection.
pub(super) fn services(set: &Set<'_>, findings: &mut Vec<Finding>) {
    for (object, service) in set.all::<Service>() {
        let Some(spec) = &service.spec else { continue };
        let Some(selector) = spec.selector.as_ref().filter(|selector| !selector.is_empty()) else {
            continue;
        };
        let (pods, is_sure) = behind(set, selector);
        if pods.is_empty() {
            if !set.others {
                findings.push(object.finding("spec.selector", "no pod template carries these labels"));
            }
            continue;
        }
        for (index, port) in spec.ports.iter().flatten().enumerate() {
            let Some(IntOrString::String(name)) = &port.target_port else {
                continue;
            };
            let lacking = if is_sure {
                pods.iter().find(|pod| !has_port(pod, name))
            } else {
                // Which of them will get the label isn't known, only that one of them must have the port.
                pods.iter().all(|pod| !has_port(pod, name)).then(|| pods.first()).flatten()
            };
            if let Some(pod) = lacking {
                let message = format!("{} has no port named \"{name}\"", pod.owner());
                findings.push(object.finding(format!("spec.ports[{index}].targetPort"), message));
            }
        }
    }
}

/// The pods that a Service with this selector leads to, and whether that is sure: some may only get its labels when they
/// run.
pub(super) fn behind<'s>(set: &'s Set<'_>, selector: &BTreeMap<String, String>) -> (Vec<&'s Pod<'s>>, bool) {
    let has_all = |pod: &&Pod<'_>| selector.iter().all(|(key, value)| carries(pod.labels, key, value));
    let of_template: Vec<_> = set.pods.iter().filter(has_all).collect();
    if !of_template.is_empty() {
        return (of_template, true);
    }
    let label_selector = LabelSelector { match_labels: Some(selector.clone()), match_expressions: None };
    (set.pods.iter().filter(|pod| selects(&label_selector, pod.labels)).collect(), false)
}

/// The ports that a pod serves.
pub(super) fn ports<'p>(pod: &'p Pod<'_>) -> impl Iterator<Item = &'p ContainerPort> {
    // Of the init containers, only those that keep running serve one.
    let sidecars = pod.spec.init_containers.iter().flatten();
    let sidecars = sidecars.filter(|container| container.restart_policy.as_deref() == Some("Always"));
    pod.spec.containers.iter().chain(sidecars).flat_map(|container| container.ports.iter().flatten())
}

fn has_port(pod: &Pod<'_>, name: &str) -> bool {
    ports(pod).any(|port| port.name.as_deref() == Some(name))
}

/// The API server refuses a Service of several ports of which one has no name, or another's.
pub(super) fn service_port_names(set: &Set<'_>, findings: &mut Vec<Finding>) {
    for (object, service) in set.all::<Service>() {
        let ports = service.spec.as_ref().and_then(|spec| spec.ports.as_deref()).unwrap_or_default();
        for (index, ServicePort { name, .. }) in ports.iter().enumerate() {
            let path = format!("spec.ports[{index}].name");
            let name = name.as_ref().filter(|name| !name.is_empty());
            if name.is_none() && ports.len() > 1 {
                findings.push(object.finding(path, "needed when there are several ports"));
            } else if name.is_some() && ports.iter().take(index).any(|port| port.name.as_ref() == name) {
                findings.push(object.finding(path, "another port has this name"));
            }
        }
    }
}

/// The API server refuses a workload whose own template lacks a label that it selects.
pub(super) fn workloads(set: &Set<'_>, findings: &mut Vec<Finding>) {
    for pod in &set.pods {
        let Some(selector) = pod.selector else { continue };
        let labels = selector.match_labels.as_ref().is_none_or(BTreeMap::is_empty);
        if labels && selector.match_expressions.as_ref().is_none_or(Vec::is_empty) {
            findings.push(pod.object.finding("spec.selector", "selects every pod"));
        }
        let expressions =
            LabelSelector { match_labels: None, match_expressions: selector.match_expressions.clone() };
        if !selects(&expressions, pod.labels) {
            findings.push(
                pod.object.finding("spec.selector.matchExpressions", "the pod template does not match"),
            );
        }
        for (key, value) in selector.match_labels.iter().flatten() {
            if !carries(pod.labels, key, value) {
                let path = field("spec.selector.matchLabels", key);
                findings.push(pod.object.finding(path, "the pod template lacks this label"));
            }
        }
    }
}

/// Two workloads that select one pod fight over it: each counts it as its own, and may delete it.
pub(super) fn overlaps(set: &Set<'_>, findings: &mut Vec<Finding>) {
    for pod in &set.pods {
        let selecting =
            set.pods.iter().filter(|other| other.selector.is_some_and(|s| selects(s, pod.labels)));
        let selecting: Vec<_> = selecting.collect();
        if let [_, _, ..] = selecting.as_slice() {
            let owners: Vec<_> = selecting.iter().map(|pod| pod.owner()).collect();
            let message = format!("selected by {}", owners.join(" and "));
            findings.push(pod.object.finding(pod.labels_path(), message));
        }
    }
}

/// A budget that selects nothing protects nothing, and nobody notices before a drain.
pub(super) fn disruption_budgets(set: &Set<'_>, findings: &mut Vec<Finding>) {
    for (object, budget) in set.all::<PodDisruptionBudget>() {
        let selector = budget.spec.as_ref().and_then(|spec| spec.selector.as_ref());
        selects_something(set, object, selector, "spec.selector", findings);
    }
}

/// Terms that select nothing spread nothing: two members land on one node. A required affinity to nothing
/// leaves the pod Pending.
pub(super) fn affinities(set: &Set<'_>, findings: &mut Vec<Finding>) {
    for pod in &set.pods {
        let Some(affinity) = &pod.spec.affinity else {
            continue;
        };
        let mut check = |kind: &str,
                         required: Option<&Vec<PodAffinityTerm>>,
                         preferred: Option<&Vec<WeightedPodAffinityTerm>>| {
            let during = "DuringSchedulingIgnoredDuringExecution";
            let required = required.into_iter().flatten().enumerate();
            let required = required.map(|(i, term)| (format!("required{during}[{i}]"), term));
            let preferred = preferred.into_iter().flatten().enumerate();
            let preferred = preferred
                .map(|(i, w)| (format!("preferred{during}[{i}].podAffinityTerm"), &w.pod_affinity_term));
            // A term that names namespaces looks at pods that aren't among the manifests.
            let own = |term: &PodAffinityTerm| term.namespaces.is_none() && term.namespace_selector.is_none();
            for (path, term) in required.chain(preferred).filter(|(_, term)| own(term)) {
                let path = pod.at(&format!("affinity.{kind}.{path}.labelSelector"));
                selects_something(set, pod.object, term.label_selector.as_ref(), &path, findings);
            }
        };
        if let Some(terms) = &affinity.pod_affinity {
            check(
                "podAffinity",
                terms.required_during_scheduling_ignored_during_execution.as_ref(),
                terms.preferred_during_scheduling_ignored_during_execution.as_ref(),
            );
        }
        if let Some(terms) = &affinity.pod_anti_affinity {
            check(
                "podAntiAffinity",
                terms.required_during_scheduling_ignored_during_execution.as_ref(),
                terms.preferred_during_scheduling_ignored_during_execution.as_ref(),
            );
        }
    }
}

/// As with affinities: a constraint that counts no pod is always met.
pub(super) fn topology_spreads(set: &Set<'_>, findings: &mut Vec<Finding>) {
    for pod in &set.pods {
        for (index, spread) in pod.spec.topology_spread_constraints.iter().flatten().enumerate() {
            let path = pod.at(&format!("topologySpreadConstraints[{index}].labelSelector"));
            selects_something(set, pod.object, spread.label_selector.as_ref(), &path, findings);
        }
    }
}

/// An absent selector selects nothing in all of these.
pub(super) fn selects_something(
    set: &Set<'_>,
    object: &Object,
    selector: Option<&LabelSelector>,
    path: &str,
    findings: &mut Vec<Finding>,
) {
    let selects_any = |selector| set.pods.iter().any(|pod| selects(selector, pod.labels));
    if !selector.is_some_and(|selector| set.others || selects_any(selector)) {
        findings.push(object.finding(path, "selects no pod template"));
    }
}
