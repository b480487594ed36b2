//! The rules that compare documents with one another.
//!
//! One function per rule; its comment says what goes wrong in a cluster without it.

mod labels;
mod objects;
mod pods;
mod policies;
mod references;

use super::finding::Finding;
use super::object::Object;
use super::set::{External, Set, containers};

/// Applies every rule of what documents say of one another.
pub(super) fn check(all: &[&Object], external: &External<'_>, findings: &mut Vec<Finding>) {
    let set = &Set::new(all, external);
    objects::duplicates(set, findings);
    objects::namespaces(set, findings);
    objects::service_accounts(set, findings);
    objects::role_bindings(set, findings);
    objects::governing_services(set, findings);
    labels::services(set, findings);
    labels::overlaps(set, findings);
    labels::disruption_budgets(set, findings);
    policies::selections(set, findings);
    policies::links(set, findings);
    labels::affinities(set, findings);
    labels::topology_spreads(set, findings);
    for pod in &set.pods {
        references::data(set, pod, findings);
        references::claims(set, pod, findings);
        pods::unused_volumes(pod, findings);
        for (place, container) in containers(pod) {
            pods::sub_paths(set, pod, place, container, findings);
            pods::handler_ports(pod, place, container, findings);
            pods::scripts(set, pod, place, container, findings);
        }
    }
}

/// Applies the rules of what an object says of itself in two places.
pub(super) fn alone(object: &Object) -> Vec<Finding> {
    let (all, external, mut findings) = ([object], External::default(), Vec::new());
    let set = &Set::new(&all, &external);
    labels::service_port_names(set, &mut findings);
    labels::workloads(set, &mut findings);
    for pod in &set.pods {
        pods::volume_names(pod, &mut findings);
        pods::container_names(pod, &mut findings);
        for (place, container) in containers(pod) {
            pods::mounts(pod, place, container, &mut findings);
        }
    }
    findings
}
