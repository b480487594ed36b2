//! The settings of network policies.

use super::conflicts::Conflict;
use super::plan::Plan;
use super::scenario::Scenario;
use super::section::section;
use super::types::{Peers, Switch};

section! {
    /// Who may connect to the pods, and where these may connect to. A cluster whose network enforces no policies takes them and lets everybody through.
    NetworkPolicy, in a layer NetworkPolicyLayer {
        /// Whether network policies are rendered: connections that pgk does not know of are refused.
        enabled: Switch = false, becomes "the NetworkPolicies";
        /// The pods that may connect to PostgreSQL, by their labels. A map of pods and namespaces, which are label selectors, too, is for pods of other namespaces. With `--set`, separated by `;`. The members and `pgk drill` may in any case.
        clients: Option<Peers>, otherwise "every pod of the same namespace", example ["app=web"],
            becomes "spec.ingress of the members' NetworkPolicy";
        /// The pods that may ask Patroni for its state and its metrics, at port 8008; as in `clients`.
        monitoring: Option<Peers>, otherwise "none", example ["app.kubernetes.io/name=prometheus"],
            for Scenario::PATRONI, becomes "spec.ingress of the members' NetworkPolicy";
        /// Whether there are rules for what the pods connect to as well: each other, DNS, the Kubernetes API, the repositories.
        egress: Switch = false, becomes "spec.egress of the NetworkPolicies";
    }
}

impl Plan {
    /// What is set of policies, though there are none.
    pub(super) fn policy_doubts(&self) -> Option<Conflict> {
        let NetworkPolicy { enabled, clients, monitoring, egress } = &self.network_policy;
        if *enabled == Switch::On {
            return None;
        }
        let set = [
            ("clients", clients.is_some()),
            ("monitoring", monitoring.is_some()),
            ("egress", *egress == Switch::On),
        ];
        let (name, _) = set.into_iter().find(|(_, is_set)| *is_set)?;
        let key = format!("network-policy.{name}");
        let what = format!("{key} has no effect: there are no network policies");
        Some(Conflict::new(key, &[], what, "to have them: network-policy.enabled=true"))
    }
}
