//! What several fields of an object must keep to together.

use serde_json::Value;

use super::text::{amount, is_subdomain};
use super::{Checker, Path};

/// What is left to say of a kind.
pub(super) fn of_kind(checker: &mut Checker<'_>, tree: &Value) {
    match checker.object.kind() {
        "Deployment" | "ReplicaSet" | "DaemonSet" | "StatefulSet" | "ReplicationController" => {
            workload(checker, tree);
        }
        "Service" => service(checker, tree),
        "ConfigMap" => config_map(checker, tree),
        "Secret" => secret(checker, tree),
        "PodDisruptionBudget" => checker.each(tree, "spec", &Path::Whole, &mut |checker, spec, path| {
            if spec.get("minAvailable").is_some() && spec.get("maxUnavailable").is_some() {
                checker.wrong(path, "only one of minAvailable, maxUnavailable can be there");
            }
        }),
        "HorizontalPodAutoscaler" => checker.each(tree, "spec", &Path::Whole, &mut |checker, spec, path| {
            if let (Some(least), Some(most)) = (number(spec, "minReplicas"), number(spec, "maxReplicas"))
                && most < least
            {
                let message = format!("{most} is less than minReplicas, {least}");
                checker.wrong(&Path::Field(path, "maxReplicas"), message);
            }
        }),
        "Ingress" => ingress(checker, tree),
        "Role" | "ClusterRole" => rules(checker, tree),
        "RoleBinding" | "ClusterRoleBinding" => bindings(checker, tree),
        "NetworkPolicy" => {
            for peers in ["spec.ingress.[].from.[]", "spec.egress.[].to.[]"] {
                checker.each(tree, peers, &Path::Whole, &mut |checker, peer, path| {
                    let others = peer.get("podSelector").is_some() || peer.get("namespaceSelector").is_some();
                    match peer.get("ipBlock") {
                        Some(_) if others => checker.wrong(path, "ipBlock stands by itself"),
                        None if !others && peer.is_object() => {
                            checker.wrong(path, "one of ipBlock, podSelector, namespaceSelector is needed");
                        }
                        _ => {}
                    }
                });
            }
        }
        _ => {}
    }
}

fn number(value: &Value, key: &str) -> Option<i64> {
    value.get(key)?.as_i64()
}

fn text<'v>(value: &'v Value, key: &str) -> Option<&'v str> {
    value.get(key)?.as_str().filter(|text| !text.is_empty())
}

/// What makes pods for as long as it is there takes none that end.
fn workload(checker: &mut Checker<'_>, tree: &Value) {
    checker.each(tree, "spec.template.spec", &Path::Whole, &mut |checker, spec, path| {
        if let Some(policy) = text(spec, "restartPolicy").filter(|policy| *policy != "Always") {
            let message =
                format!("\"{policy}\", but the pods of a {} run for ever: Always", checker.object.kind());
            checker.wrong(&Path::Field(path, "restartPolicy"), message);
        }
        if spec.get("activeDeadlineSeconds").is_some() {
            let message = format!("the pods of a {} run for ever", checker.object.kind());
            checker.wrong(&Path::Field(path, "activeDeadlineSeconds"), message);
        }
    });
    checker.each(tree, "spec", &Path::Whole, &mut |checker, spec, path| {
        if checker.object.kind() != "Deployment" {
            return;
        }
        let (deadline, ready) = (
            number(spec, "progressDeadlineSeconds").unwrap_or(600),
            number(spec, "minReadySeconds").unwrap_or(0),
        );
        if deadline <= ready {
            let message = format!("must be more than minReadySeconds, {ready}");
            checker.wrong(&Path::Field(path, "progressDeadlineSeconds"), message);
        }
    });
    for (strategy, other) in [("spec.strategy", "Recreate"), ("spec.updateStrategy", "OnDelete")] {
        checker.each(tree, strategy, &Path::Whole, &mut |checker, strategy, path| {
            // Only a Deployment minds.
            if other == "Recreate"
                && text(strategy, "type") == Some(other)
                && strategy.get("rollingUpdate").is_some()
            {
                checker.wrong(&Path::Field(path, "rollingUpdate"), "is for the type RollingUpdate");
            }
            let none = |key| {
                strategy
                    .pointer(&format!("/rollingUpdate/{key}"))
                    .is_some_and(|value| value == 0 || value == "0%")
            };
            if none("maxUnavailable") && none("maxSurge") {
                checker.wrong(
                    &Path::Field(path, "rollingUpdate"),
                    "maxUnavailable and maxSurge cannot both be 0",
                );
            }
        });
    }
}

fn service(checker: &mut Checker<'_>, tree: &Value) {
    checker.each(tree, "spec", &Path::Whole, &mut |checker, spec, path| {
        let kind = text(spec, "type").unwrap_or("ClusterIP");
        let ports: &[Value] = spec.get("ports").and_then(Value::as_array).map_or(&[], Vec::as_slice);
        let list = &Path::Field(path, "ports");
        if ports.is_empty() && kind != "ExternalName" && text(spec, "clusterIP") != Some("None") {
            checker.wrong(list, "required field is missing");
        }
        if kind == "ExternalName" && text(spec, "externalName").is_none() {
            checker.wrong(&Path::Field(path, "externalName"), "required field is missing");
        }
        if kind == "ClusterIP" && text(spec, "externalTrafficPolicy").is_some() {
            checker.wrong(
                &Path::Field(path, "externalTrafficPolicy"),
                "is for the types NodePort and LoadBalancer",
            );
        }
        for (index, port) in ports.iter().enumerate() {
            let path = &Path::Item(list, index);
            let key =
                |port: &Value| (number(port, "port"), text(port, "protocol").unwrap_or("TCP").to_owned());
            if number(port, "port").is_some() && ports.iter().take(index).any(|other| key(other) == key(port))
            {
                checker.wrong(&Path::Field(path, "port"), "another port has this number");
            }
            if kind == "ClusterIP" && number(port, "nodePort").is_some_and(|port| port != 0) {
                checker.wrong(&Path::Field(path, "nodePort"), "is for the types NodePort and LoadBalancer");
            }
        }
    });
}

fn config_map(checker: &mut Checker<'_>, tree: &Value) {
    checker.each(tree, "data", &Path::Whole, &mut |checker, data, path| {
        for key in data.as_object().into_iter().flat_map(serde_json::Map::keys) {
            if tree.get("binaryData").is_some_and(|binary| binary.get(key).is_some()) {
                checker.wrong(&Path::Field(path, key), "binaryData has this key too");
            }
        }
    });
}

fn ingress(checker: &mut Checker<'_>, tree: &Value) {
    checker.each(tree, "spec", &Path::Whole, &mut |checker, spec, path| {
        if spec.is_object() && spec.get("defaultBackend").is_none() && spec.get("rules").is_none() {
            checker.wrong(path, "one of defaultBackend, rules is needed");
        }
    });
    checker.each(tree, "spec.rules.[]", &Path::Whole, &mut |checker, rule, path| {
        // One for all hosts of a domain begins with `*.`.
        let host = text(rule, "host").map(|host| host.strip_prefix("*.").unwrap_or(host));
        if host.is_some_and(|host| !is_subdomain(host)) {
            checker.wrong(&Path::Field(path, "host"), "is not an RFC 1123 subdomain");
        }
    });
    checker.each(tree, "spec.rules.[].http.paths.[]", &Path::Whole, &mut |checker, one, path| {
        let exact = text(one, "pathType").is_some_and(|kind| kind != "ImplementationSpecific");
        if exact && !text(one, "path").is_some_and(|path| path.starts_with('/')) {
            checker.wrong(&Path::Field(path, "path"), "is not an absolute path");
        }
    });
}

/// What a Secret of a type must have.
fn secret(checker: &mut Checker<'_>, tree: &Value) {
    let (kind, all): (_, &[&str]) = match text(tree, "type") {
        Some(kind @ "kubernetes.io/tls") => (kind, &["tls.crt", "tls.key"]),
        Some(kind @ "kubernetes.io/dockerconfigjson") => (kind, &[".dockerconfigjson"]),
        Some(kind @ "kubernetes.io/dockercfg") => (kind, &[".dockercfg"]),
        Some(kind @ "kubernetes.io/ssh-auth") => (kind, &["ssh-privatekey"]),
        _ => return,
    };
    let has = |key: &str| {
        ["data", "stringData"].iter().any(|field| tree.get(field).is_some_and(|data| data.get(key).is_some()))
    };
    let path = &Path::Field(&Path::Whole, "data");
    for key in all.iter().copied().filter(|key| !has(key)) {
        checker.wrong(&Path::Field(path, key), format!("a Secret of type {kind} needs this key"));
    }
}

/// What a rule of a role is about.
fn rules(checker: &mut Checker<'_>, tree: &Value) {
    let cluster_wide = checker.object.kind() == "ClusterRole";
    checker.each(tree, "rules.[]", &Path::Whole, &mut |checker, rule, path| {
        let has = |key| rule.get(key).and_then(Value::as_array).is_some_and(|list| !list.is_empty());
        if has("nonResourceURLs") {
            if !cluster_wide {
                checker.wrong(&Path::Field(path, "nonResourceURLs"), "is for a ClusterRole");
            } else if has("resources") || has("apiGroups") {
                checker.wrong(path, "a rule is about resources or about nonResourceURLs");
            }
            return;
        }
        for key in ["apiGroups", "resources"] {
            if rule.is_object() && !has(key) {
                checker.wrong(&Path::Field(path, key), "required field is missing");
            }
        }
    });
}

fn bindings(checker: &mut Checker<'_>, tree: &Value) {
    if checker.object.kind() == "ClusterRoleBinding"
        && tree.pointer("/roleRef/kind").is_some_and(|kind| kind == "Role")
    {
        let role = &Path::Field(&Path::Whole, "roleRef");
        checker.wrong(&Path::Field(role, "kind"), "a ClusterRoleBinding is to a ClusterRole");
    }
    checker.each(tree, "subjects.[]", &Path::Whole, &mut |checker, subject, path| {
        let is_account = text(subject, "kind") == Some("ServiceAccount");
        if is_account && text(subject, "name").is_some_and(|name| !is_subdomain(name)) {
            checker.wrong(&Path::Field(path, "name"), "is not an RFC 1123 subdomain");
        }
        // In a RoleBinding, the namespace that it is in.
        if is_account && text(subject, "namespace").is_none() && checker.object.kind() == "ClusterRoleBinding"
        {
            checker.wrong(&Path::Field(path, "namespace"), "required field is missing");
        }
        let group = text(subject, "apiGroup").unwrap_or_default();
        let wanted = if is_account { "" } else { "rbac.authorization.k8s.io" };
        if !group.is_empty() && group != wanted {
            let message = format!("\"{group}\" is not \"{wanted}\"");
            checker.wrong(&Path::Field(path, "apiGroup"), message);
        }
    });
}

/// A container at `path`, which runs `first` or with the others.
pub(super) fn container(checker: &mut Checker<'_>, container: &Value, path: &Path<'_>, first: bool) {
    // One that runs next to the others.
    let beside = text(container, "restartPolicy") == Some("Always");
    match text(container, "restartPolicy") {
        Some(_) if !first => checker.wrong(&Path::Field(path, "restartPolicy"), "is for init containers"),
        Some(policy) if policy != "Always" => {
            checker.wrong(&Path::Field(path, "restartPolicy"), format!("\"{policy}\" is not Always"));
        }
        _ => {}
    }
    for field in ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"] {
        if first && !beside && container.get(field).is_some() {
            checker.wrong(
                &Path::Field(path, field),
                "an init container ends: this is for those with restartPolicy Always",
            );
        }
    }
    if container.pointer("/readinessProbe/terminationGracePeriodSeconds").is_some() {
        let probe = &Path::Field(path, "readinessProbe");
        checker.wrong(&Path::Field(probe, "terminationGracePeriodSeconds"), "is not for a readiness probe");
    }
    resources(checker, container, path);
    checker.each(container, "env.[]", path, &mut |checker, variable, path| {
        if text(variable, "value").is_some() && variable.get("valueFrom").is_some() {
            checker.wrong(path, "only one of value, valueFrom can be there");
        }
    });
    checker.each(container, "volumeMounts.[]", path, &mut |checker, mount, path| {
        if text(mount, "subPath").is_some() && text(mount, "subPathExpr").is_some() {
            checker.wrong(path, "only one of subPath, subPathExpr can be there");
        }
    });
    if container.pointer("/securityContext/privileged") == Some(&Value::Bool(true))
        && container.pointer("/securityContext/allowPrivilegeEscalation") == Some(&Value::Bool(false))
    {
        let context = &Path::Field(path, "securityContext");
        checker.wrong(
            &Path::Field(context, "allowPrivilegeEscalation"),
            "cannot be false of a privileged container",
        );
    }
}

/// What is requested is within the limit, which stands for the request where there is none.
fn resources(checker: &mut Checker<'_>, container: &Value, path: &Path<'_>) {
    let quantity = |of: &str, key: &str| {
        let value = container.pointer("/resources")?.get(of)?.get(key)?;
        let shown = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
        Some((amount(&shown)?, shown))
    };
    checker.each(container, "resources.requests", path, &mut |checker, requests, path| {
        for key in requests.as_object().into_iter().flat_map(serde_json::Map::keys) {
            let Some((request, request_shown)) = quantity("requests", key) else { continue };
            // Others cannot be shared.
            let shared = matches!(key.as_str(), "cpu" | "memory" | "ephemeral-storage");
            let message = match quantity("limits", key) {
                Some((limit, shown)) if request > limit => {
                    format!("\"{request_shown}\" is more than the limit, \"{shown}\"")
                }
                Some((limit, shown)) if request != limit && !shared => {
                    format!("\"{request_shown}\" is not the limit, \"{shown}\"")
                }
                None if !shared => "the limit of the same amount is missing".to_owned(),
                _ => continue,
            };
            checker.wrong(&Path::Field(path, key), message);
        }
    });
}

/// A pod's specification at `path`, as a whole.
pub(super) fn pod(checker: &mut Checker<'_>, spec: &Value, path: &Path<'_>) {
    checker.each(spec, "volumes.[]", path, &mut |checker, volume, path| {
        let kinds: Vec<_> = volume
            .as_object()
            .into_iter()
            .flat_map(serde_json::Map::keys)
            .filter(|key| *key != "name")
            .collect();
        if let [first, second, ..] = kinds.as_slice() {
            checker.wrong(path, format!("only one of {first}, {second} can be there"));
        }
    });
    checker.each(spec, "volumes.[].projected.sources.[]", path, &mut |checker, source, path| {
        if source.as_object().is_some_and(|source| source.len() > 1) {
            checker.wrong(path, "a source is one thing: put the others into sources of their own");
        }
    });
    checker.each(spec, "tolerations.[]", path, &mut |checker, toleration, path| {
        let exists = text(toleration, "operator") == Some("Exists");
        if text(toleration, "key").is_none() && !exists {
            checker.wrong(&Path::Field(path, "operator"), "without a key, it is Exists");
        }
        if exists && text(toleration, "value").is_some() {
            checker.wrong(&Path::Field(path, "value"), "Exists takes no value");
        }
        if toleration.get("tolerationSeconds").is_some() && text(toleration, "effect") != Some("NoExecute") {
            checker.wrong(&Path::Field(path, "effect"), "tolerationSeconds is for NoExecute");
        }
    });
    if text(spec, "dnsPolicy") == Some("None") && spec.pointer("/dnsConfig/nameservers/0").is_none() {
        checker.wrong(&Path::Field(path, "dnsConfig"), "dnsPolicy None needs nameservers");
    }
    // On the node's network, each port is one of the node's.
    if spec.get("hostNetwork") == Some(&Value::Bool(true)) {
        checker.each(spec, "containers.[].ports.[]", path, &mut |checker, port, path| {
            let (own, host) = (number(port, "containerPort"), number(port, "hostPort"));
            if host.is_some_and(|host| host != 0 && own != Some(host)) {
                checker.wrong(&Path::Field(path, "hostPort"), "with hostNetwork, it is the containerPort");
            }
        });
    }
}
