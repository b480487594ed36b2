//! Rules about what a pod refers to: each ConfigMap, Secret and claim.

use crate::manifest::finding::Finding;
use crate::manifest::set::{Pod, Reference, Set, no_such, references, volumes};

/// A pod waits for ever for a ConfigMap or Secret, or a key of it, that isn't there.
pub(super) fn data(set: &Set<'_>, pod: &Pod<'_>, findings: &mut Vec<Finding>) {
    let needed = |reference: &Reference<'_>| {
        // A reference without a name lacks a required field, which is reported elsewhere.
        let names = !reference.optional && !reference.name.is_empty();
        names && !set.outside(reference.kind, reference.name)
    };
    for reference in references(pod).filter(needed) {
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

/// A pod stays Pending as long as its claim doesn't exist.
pub(super) fn claims(set: &Set<'_>, pod: &Pod<'_>, findings: &mut Vec<Finding>) {
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
