//! Rules about objects and what they name: what one of them names, another must hold.

use std::collections::HashMap;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, RoleBinding, RoleRef, Subject};

use crate::manifest::finding::Finding;
use crate::manifest::object::Object;
use crate::manifest::set::{Set, is_cluster_wide, no_such};

/// Of two objects of one name, `kubectl apply` keeps the last, in silence.
pub(super) fn duplicates(set: &Set<'_>, findings: &mut Vec<Finding>) {
    let mut seen = HashMap::new();
    for object in set.objects {
        if let Some(first) = seen.insert((object.kind(), object.name()), object.document()) {
            let message = format!("{first} also has a {} of this name", object.kind());
            findings.push(object.finding("metadata.name", message));
        }
    }
}

/// Objects refer to each other by name within one namespace: apart, none finds the other.
pub(super) fn namespaces(set: &Set<'_>, findings: &mut Vec<Finding>) {
    let mut objects = set.objects.iter().filter(|object| !is_cluster_wide(object));
    let Some(first) = objects.next() else { return };
    for object in objects.filter(|object| object.namespace() != first.namespace()) {
        let message =
            format!("\"{}\", but {} is in \"{}\"", object.namespace(), first.document(), first.namespace());
        findings.push(object.finding("metadata.namespace", message));
    }
}

/// Without its service account, no pod is created: the workload stays at zero, and says so in an event only.
pub(super) fn service_accounts(set: &Set<'_>, findings: &mut Vec<Finding>) {
    for pod in &set.pods {
        let Some(name) = &pod.spec.service_account_name else {
            continue;
        };
        if !set.contains("ServiceAccount", name) {
            findings.push(pod.object.finding(pod.at("serviceAccountName"), no_such("ServiceAccount", name)));
        }
    }
}

/// A binding may name what doesn't exist: it then grants nothing, and the pods get "forbidden".
pub(super) fn role_bindings(set: &Set<'_>, findings: &mut Vec<Finding>) {
    let mut check = |object: &Object, role: &RoleRef, subjects: Option<&Vec<Subject>>| {
        if !set.contains(&role.kind, &role.name) {
            findings.push(object.finding("roleRef.name", no_such(&role.kind, &role.name)));
        }
        for (index, subject) in subjects.into_iter().flatten().enumerate() {
            // Objects of another namespace are not in this set.
            let elsewhere = subject.namespace.as_deref().is_some_and(|other| !set.may_be_in(other));
            if subject.kind == "ServiceAccount"
                && !elsewhere
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

/// Without its governing Service, a StatefulSet's pods have no DNS name of their own.
pub(super) fn governing_services(set: &Set<'_>, findings: &mut Vec<Finding>) {
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
