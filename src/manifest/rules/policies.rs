//! Rules about network policies: whom they select, and which links they cut.

use k8s_openapi::api::core::v1::{Service, ServicePort};
use k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicyPort, NetworkPolicySpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::labels::{behind, ports, selects_something};
use crate::manifest::finding::Finding;
use crate::manifest::object::Object;
use crate::manifest::set::{Pod, Set, selects};

/// The protocol where none is named.
const TCP: &str = "TCP";

/// A policy, and what it says.
struct Policy<'a> {
    object: &'a Object,
    spec: &'a NetworkPolicySpec,
    /// The spec's own; without one, every pod.
    pods: LabelSelector,
}

impl Policy<'_> {
    /// Whether it is for these pods.
    fn selects(&self, pod: &Pod<'_>) -> bool {
        selects(&self.pods, pod.labels)
    }

    /// Whether nobody may connect to these pods but whom some policy lets in.
    fn isolates(&self) -> bool {
        let types = self.spec.policy_types.as_deref().unwrap_or_default();
        types.is_empty() || types.iter().any(|it| it == "Ingress")
    }

    /// Whether it lets anybody in to this port of the pods. Who that is may be elsewhere.
    fn lets_in(&self, pod: &Pod<'_>, port: i32, protocol: &str) -> bool {
        self.spec.ingress.iter().flatten().any(|rule| {
            let ports = rule.ports.as_deref().unwrap_or_default();
            ports.is_empty() || ports.iter().any(|it| includes(it, pod, port, protocol))
        })
    }
}

/// Whether a rule for `ports` is for this port of the pods.
fn includes(ports: &NetworkPolicyPort, pod: &Pod<'_>, port: i32, protocol: &str) -> bool {
    ports.protocol.as_deref().unwrap_or(TCP) == protocol
        && match &ports.port {
            None => true,
            Some(IntOrString::Int(first)) => (*first..=ports.end_port.unwrap_or(*first)).contains(&port),
            Some(IntOrString::String(name)) => port_named(pod, name, protocol) == Some(port),
        }
}

/// The number of the pods' port of this name.
fn port_named(pod: &Pod<'_>, name: &str, protocol: &str) -> Option<i32> {
    ports(pod)
        .find(|port| {
            port.name.as_deref() == Some(name) && port.protocol.as_deref().unwrap_or(TCP) == protocol
        })
        .map(|port| port.container_port)
}

fn all<'a>(set: &Set<'a>) -> Vec<Policy<'a>> {
    let policies = set.all::<NetworkPolicy>();
    let of = |spec: &NetworkPolicySpec| spec.pod_selector.clone().unwrap_or_default();
    let policies = policies.filter_map(|(object, policy)| Some((object, policy.spec.as_ref()?)));
    policies.map(|(object, spec)| Policy { object, spec, pods: of(spec) }).collect()
}

/// A policy that selects nothing lets everything through, or blocks what another policy was to let through. So does one
/// that names a port that nobody has.
pub(super) fn selections(set: &Set<'_>, findings: &mut Vec<Finding>) {
    // Where there are no pods at all, policies are for pods that come from elsewhere.
    if set.pods.is_empty() {
        return;
    }
    for policy in all(set) {
        selects_something(set, policy.object, Some(&policy.pods), "spec.podSelector", findings);
        let selected: Vec<_> = set.pods.iter().filter(|pod| policy.selects(pod)).collect();
        if selected.is_empty() || set.others {
            continue;
        }
        for (number, rule) in policy.spec.ingress.iter().flatten().enumerate() {
            for (index, port) in rule.ports.iter().flatten().enumerate() {
                let Some(IntOrString::String(name)) = &port.port else { continue };
                let protocol = port.protocol.as_deref().unwrap_or(TCP);
                if !selected.iter().any(|pod| port_named(pod, name, protocol).is_some()) {
                    let path = format!("spec.ingress[{number}].ports[{index}].port");
                    let message = format!("no pod that it selects has a {protocol} port named \"{name}\"");
                    findings.push(policy.object.finding(path, message));
                }
            }
        }
    }
}

/// A Service's port that no policy lets anybody in to: each connection waits until it is given up.
pub(super) fn links(set: &Set<'_>, findings: &mut Vec<Finding>) {
    let policies: Vec<_> = all(set).into_iter().filter(Policy::isolates).collect();
    // What is not known may be a policy of another kind, which lets more in.
    if policies.is_empty() || set.others {
        return;
    }
    for (object, service) in set.all::<Service>() {
        let Some(spec) = &service.spec else { continue };
        let Some(selector) = spec.selector.as_ref().filter(|selector| !selector.is_empty()) else {
            continue;
        };
        let (pods, is_sure) = behind(set, selector);
        for port in spec.ports.iter().flatten() {
            let cut: Vec<_> = pods.iter().filter_map(|pod| cut(&policies, pod, port)).collect();
            // Which of them will get the label isn't known, only that one of them must be reached.
            if !is_sure && cut.len() < pods.len() {
                continue;
            }
            let Some((policy, pod, number)) = cut.first() else { continue };
            let protocol = port.protocol.as_deref().unwrap_or(TCP);
            let to = format!("{protocol} port {number} of {}", pod.owner());
            let message =
                format!("no policy lets anybody in to {to}, which Service/{} leads to", object.name());
            let help = "add a rule with this port to `ingress`, or take the port out of the Service";
            let finding = policy.object.finding("spec.ingress", message);
            findings.push(Finding { help: Some(help.to_owned()), ..finding });
        }
    }
}

/// The first policy for these pods, where none lets anybody in to the Service's port; and that port's number there.
fn cut<'p>(
    policies: &'p [Policy<'p>],
    pod: &'p Pod<'p>,
    port: &ServicePort,
) -> Option<(&'p Policy<'p>, &'p Pod<'p>, i32)> {
    let protocol = port.protocol.as_deref().unwrap_or(TCP);
    let number = match &port.target_port {
        Some(IntOrString::Int(number)) if *number != 0 => *number,
        // A name that the pods do not have is another rule's finding.
        Some(IntOrString::String(name)) => port_named(pod, name, protocol)?,
        _ => port.port,
    };
    let selecting = || policies.iter().filter(|policy| policy.selects(pod));
    let first = selecting().next()?;
    (!selecting().any(|policy| policy.lets_in(pod, number, protocol))).then_some((first, pod, number))
}
