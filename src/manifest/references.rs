//! Rules about what a pod refers to: each ConfigMap, Secret and claim.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Container, KeyToPath, Volume};

use super::Finding;
use super::links::{Pod, Set, no_such};
use super::pods::{Place, containers, volumes};

pub(super) fn check(set: &Set<'_>, pod: &Pod<'_>, findings: &mut Vec<Finding>) {
    data(set, pod, findings);
    claims(set, pod, findings);
}

/// Something that reads a ConfigMap or Secret.
pub(super) struct Reference<'p> {
    pub(super) kind: &'static str,
    pub(super) name: &'p str,
    /// The field that holds the name.
    path: String,
    /// The keys that it wants, each with its field; none if it takes all.
    keys: Vec<(String, &'p str)>,
    optional: bool,
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
pub(super) fn of<'p>(pod: &'p Pod<'_>) -> impl Iterator<Item = Reference<'p>> {
    let in_containers = containers(pod).flat_map(|(place, container)| container_references(place, container));
    in_containers.chain(volumes(pod).flat_map(|(place, volume)| volume_references(place, volume)))
}

/// A pod waits for ever for a ConfigMap or Secret, or a key of it, that isn't there.
fn data(set: &Set<'_>, pod: &Pod<'_>, findings: &mut Vec<Finding>) {
    let needed = |reference: &Reference<'_>| {
        // One that names nothing lacks a required field, which is found elsewhere.
        let names = !reference.optional && !reference.name.is_empty();
        names && !set.outside(reference.kind, reference.name)
    };
    for reference in of(pod).filter(needed) {
        let Some(keys) = set.keys(reference.kind, reference.name) else {
            findings.push(pod.object.finding(reference.path, no_such(reference.kind, reference.name)));
            continue;
        };
        for (path, key) in reference.keys.into_iter().filter(|(_, key)| !keys.contains(*key)) {
            let message = format!("{} \"{}\" has no key \"{key}\"", reference.kind, reference.name);
            findings.push(pod.object.finding(path, message));
        }
    }
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

/// A pod stays Pending as long as its claim doesn't exist.
fn claims(set: &Set<'_>, pod: &Pod<'_>, findings: &mut Vec<Finding>) {
    for (place, volume) in volumes(pod) {
        let Some(claim) = &volume.persistent_volume_claim else {
            continue;
        };
        let name = &claim.claim_name;
        if !set.contains("PersistentVolumeClaim", name) && !set.pods.iter().any(|pod| makes_claim(pod, name))
        {
            let message = no_such("PersistentVolumeClaim", name);
            findings.push(pod.object.finding(format!("{place}.persistentVolumeClaim.claimName"), message));
        }
    }
}

/// A StatefulSet makes the claims `<template>-<set>-<number>`, which other pods may mount.
fn makes_claim(pod: &Pod<'_>, name: &str) -> bool {
    pod.claims.iter().any(|claim| {
        let prefix = format!("{}-{}-", claim.metadata.name.as_deref().unwrap_or_default(), pod.object.name());
        name.strip_prefix(&prefix).is_some_and(|ordinal| ordinal.parse::<u32>().is_ok())
    })
}
