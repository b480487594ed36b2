//! What cannot be applied in place: fields that the API server lets nobody change, and objects that are no longer
//! among the manifests.

use std::collections::HashMap;

use serde_json::Value;

use super::object::is_foreign_kind;
use crate::yaml;

/// Something that `kubectl apply` alone does not bring about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obstacle {
    /// What it is.
    pub what: String,
    /// How it is done.
    pub help: String,
}

/// What stands in the way of applying `after` where `before` was applied, in the order of `after`, and what is gone
/// last. Texts that cannot be read are left out.
pub fn obstacles<T: AsRef<str>>(
    before: impl IntoIterator<Item = T>,
    after: impl IntoIterator<Item = T>,
) -> Vec<Obstacle> {
    let read = |texts: &mut dyn Iterator<Item = T>| -> Vec<Value> {
        texts.filter_map(|text| yaml::parse(text.as_ref()).ok()).flatten().collect()
    };
    let (before, after) = (read(&mut before.into_iter()), read(&mut after.into_iter()));
    let mut old: HashMap<_, _> = before.iter().map(|object| (key(object), object)).collect();
    let mut obstacles = Vec::new();
    for object in &after {
        if let Some(old) = old.remove(&key(object)) {
            obstacles.extend(obstacle(old, object));
            obstacles.extend(another_lease(old, object));
        }
    }
    for object in before.iter().filter(|object| old.contains_key(&key(object))) {
        let kind = text(object, "/kind");
        // kubectl may call a custom kind by another name.
        if is_foreign_kind(text(object, "/apiVersion"), kind) || kind.is_empty() {
            continue;
        }
        obstacles.push(Obstacle {
            what: format!(
                "{} is no longer rendered, and `kubectl apply` leaves it in the cluster",
                named(object)
            ),
            help: match kind {
                "PersistentVolumeClaim" => {
                    format!("`{}`, which also deletes its data", command("delete", object))
                }
                _ => format!("`{}`", command("delete", object)),
            },
        });
    }
    obstacles
}

/// What two texts must share to be about the same object.
fn key(object: &Value) -> [&str; 3] {
    ["/kind", "/metadata/namespace", "/metadata/name"].map(|pointer| text(object, pointer))
}

fn text<'v>(object: &'v Value, pointer: &str) -> &'v str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// `StatefulSet pg`.
fn named(object: &Value) -> String {
    format!("{} {}", text(object, "/kind"), text(object, "/metadata/name"))
}

/// `kubectl delete statefulset pg`.
fn command(verb: &str, object: &Value) -> String {
    let [kind, _, name] = key(object);
    format!("{} {verb} {} {}", kubectl(object), word(&kind.to_lowercase()), word(name))
}

/// `kubectl`, in the object's namespace.
fn kubectl(object: &Value) -> String {
    match text(object, "/metadata/namespace") {
        "" => "kubectl".to_owned(),
        namespace => format!("kubectl -n {}", word(namespace)),
    }
}

/// One word for a shell: files may hold anything.
fn word(text: &str) -> String {
    shlex::try_quote(text).map(Into::into).unwrap_or_default()
}

/// The fields of `spec` that can be changed, of kinds where the others cannot.
fn changeable(kind: &str) -> Option<&'static [&'static str]> {
    match kind {
        "StatefulSet" => Some(&[
            "replicas",
            "ordinals",
            "template",
            "updateStrategy",
            "revisionHistoryLimit",
            "persistentVolumeClaimRetentionPolicy",
            "minReadySeconds",
        ]),
        "PersistentVolumeClaim" => Some(&["resources", "volumeAttributesClassName"]),
        _ => None,
    }
}

/// The fields that cannot be changed, of kinds where the others can.
fn fixed(object: &Value) -> &'static [&'static str] {
    match text(object, "/kind") {
        "Deployment" | "DaemonSet" | "ReplicaSet" => &["/spec/selector"],
        "Job" => &["/spec/template", "/spec/selector", "/spec/completionMode"],
        "Service" => &["/spec/clusterIP"],
        "RoleBinding" | "ClusterRoleBinding" => &["/roleRef"],
        "StorageClass" => &["/provisioner", "/parameters", "/reclaimPolicy", "/volumeBindingMode"],
        "Secret" if immutable(object) => &["/type", "/data", "/stringData", "/immutable"],
        "Secret" => &["/type"],
        "ConfigMap" if immutable(object) => &["/data", "/binaryData", "/immutable"],
        _ => &[],
    }
}

fn immutable(object: &Value) -> bool {
    object.pointer("/immutable") == Some(&Value::Bool(true))
}

/// What the API server refuses of the change from `old` to `new`.
fn obstacle(old: &Value, new: &Value) -> Option<Obstacle> {
    let kind = text(new, "/kind");
    let mut fields: Vec<String> = Vec::new();
    if let Some(changeable) = changeable(kind) {
        let spec =
            |object: &Value| object.pointer("/spec").and_then(Value::as_object).cloned().unwrap_or_default();
        let (old, new) = (spec(old), spec(new));
        let names = old.keys().chain(new.keys().filter(|name| !old.contains_key(*name)));
        let changed = names.filter(|name| {
            !changeable.contains(&name.as_str())
                && with_default(name, old.get(*name)) != with_default(name, new.get(*name))
        });
        fields.extend(changed.map(|name| format!("spec.{name}")));
    }
    let changed = fixed(old).iter().filter(|pointer| old.pointer(pointer) != new.pointer(pointer));
    fields.extend(changed.map(|pointer| pointer.trim_start_matches('/').replace('/', ".")));
    if fields.is_empty() {
        return None;
    }
    let what = format!("{} of {} cannot be changed in place", fields.join(", "), named(new));
    let volumes = fields.iter().any(|field| field == "spec.volumeClaimTemplates");
    let note = if volumes { "; existing volumes stay as they are" } else { "" };
    Some(Obstacle { what, help: format!("{}{note}", replacement(old, new)) })
}

/// Whether Patroni is to keep its state in objects of another kind (`q2.dcs`). Its running members would go on with the
/// former ones, which they may no longer touch.
fn another_lease(old: &Value, new: &Value) -> Option<Obstacle> {
    let kind = |object: &Value| {
        let patroni = yaml::parse(text(object, "/data/patroni.yaml")).ok()?;
        Some((
            patroni.first()?.pointer("/kubernetes/use_endpoints")?.as_bool()?,
            text(patroni.first()?, "/scope").to_owned(),
        ))
    };
    let (before, after) = (kind(old)?, kind(new)?);
    if before.0 == after.0 {
        return None;
    }
    let kubectl = kubectl(new);
    let (selector, service) = (word(&format!("cluster-name={}", before.1)), word(&before.1));
    Some(Obstacle {
        what: "q2.dcs cannot be changed while the cluster runs: its members would lose their lease"
            .to_owned(),
        help: format!(
            "stop it first: `{kubectl} scale statefulset -l {} --replicas=0`, `{kubectl} wait pod -l {selector} --for=delete`, \
            `{kubectl} delete endpoints,endpointslices {service} --ignore-not-found`, then apply",
            word(&format!(
                "app.kubernetes.io/instance={}",
                text(new, "/metadata/labels/app.kubernetes.io~1instance")
            ))
        ),
    })
}

/// How to apply `new` if the API server refuses to change `old` into it.
pub fn replacement(old: &Value, new: &Value) -> String {
    let delete = command("delete", new);
    match text(new, "/kind") {
        "StatefulSet" if adopts(old, new) => {
            format!("`{delete} --cascade=orphan`, then apply: its pods go on meanwhile")
        }
        "StatefulSet" => {
            format!("`{delete}`, then apply: all its pods are replaced at once; their volumes stay")
        }
        "PersistentVolumeClaim" => {
            "create another claim and copy the data: deleting this one deletes its data".to_owned()
        }
        "Deployment" | "DaemonSet" | "ReplicaSet" => {
            format!("`{delete}`, then apply: all its pods are replaced at once")
        }
        "Service" => format!("`{delete}`, then apply: connections through it fail meanwhile"),
        _ => format!("`{delete}`, then apply"),
    }
}

/// Whether `new` selects the pods that `old` made: others would be in the way of its own, whose names they have.
fn adopts(old: &Value, new: &Value) -> bool {
    let labels = old.pointer("/spec/template/metadata/labels");
    let selected = new.pointer("/spec/selector/matchLabels").and_then(Value::as_object);
    selected
        .into_iter()
        .flatten()
        .all(|(key, value)| labels.and_then(|labels| labels.get(key)) == Some(value))
}

/// What a field of a StatefulSet is where nobody sets it.
fn with_default(name: &str, value: Option<&Value>) -> Option<Value> {
    match (name, value) {
        ("podManagementPolicy", None) => Some("OrderedReady".into()),
        (_, value) => value.cloned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(before: &str, after: &str) -> String {
        let all = obstacles([before], [after]);
        all.into_iter().flat_map(|Obstacle { what, help }| [what, "\n  ".into(), help, "\n".into()]).collect()
    }

    /// An object of this kind, named pg, with this below its metadata.
    fn object(kind: &str, rest: &str) -> String {
        format!("apiVersion: v1\nkind: {kind}\nmetadata: {{name: pg, namespace: db}}\n{rest}\n")
    }

    #[test]
    fn what_can_be_changed_in_place_is_no_obstacle() {
        for (kind, before, after) in [
            ("StatefulSet", "spec: {replicas: 1}", "spec: {replicas: 2, minReadySeconds: 1, template: {}}"),
            ("StatefulSet", "spec: {}", "spec: {podManagementPolicy: OrderedReady}"),
            ("Deployment", "spec: {template: {}}", "spec: {replicas: 2}"),
            ("Service", "spec: {clusterIP: None, ports: []}", "spec: {clusterIP: None}"),
            ("PersistentVolumeClaim", "spec: {resources: {a: 1}}", "spec: {resources: {a: 2}}"),
            ("ConfigMap", "data: {a: b}", "data: {a: c}\nimmutable: true"),
            ("Secret", "data: {a: b}", "data: {a: c}"),
            ("Job", "spec: {parallelism: 1}", "spec: {parallelism: 2}"),
            ("RoleBinding", "subjects: [a]", "subjects: [b]"),
        ] {
            assert_eq!(said(&object(kind, before), &object(kind, after)), "", "{kind} {before} {after}");
        }
        assert_eq!(said("a: b", "["), "");
        assert_eq!(said("", &object("Service", "")), "");
    }

    #[test]
    fn what_cannot_is_said_with_how_to_do_it() {
        for (kind, before, after, expected) in [
            (
                "StatefulSet",
                "spec: {serviceName: a, replicas: 1}",
                "spec: {serviceName: b}",
                "spec.serviceName of StatefulSet pg cannot be changed in place\n  \
                `kubectl -n db delete statefulset pg --cascade=orphan`, then apply: its pods go on meanwhile\n",
            ),
            (
                "StatefulSet",
                "spec: {volumeClaimTemplates: [a]}",
                "spec: {volumeClaimTemplates: [b], podManagementPolicy: Parallel}",
                "spec.volumeClaimTemplates, spec.podManagementPolicy of StatefulSet pg cannot be changed in place\n  \
                `kubectl -n db delete statefulset pg --cascade=orphan`, then apply: its pods go on meanwhile; \
                existing volumes stay as they are\n",
            ),
            (
                "StatefulSet",
                "spec: {template: {metadata: {labels: {a: b}}}, selector: {matchLabels: {a: b}}}",
                "spec: {selector: {matchLabels: {a: c}}}",
                "spec.selector of StatefulSet pg cannot be changed in place\n  \
                `kubectl -n db delete statefulset pg`, then apply: all its pods are replaced at once; their volumes stay\n",
            ),
            (
                "StatefulSet",
                "spec: {template: {metadata: {labels: {a: b, c: d}}}, selector: {matchLabels: {a: b}}}",
                "spec: {selector: {matchLabels: {c: d}}}",
                "spec.selector of StatefulSet pg cannot be changed in place\n  \
                `kubectl -n db delete statefulset pg --cascade=orphan`, then apply: its pods go on meanwhile\n",
            ),
            (
                "Deployment",
                "spec: {selector: {matchLabels: {a: b}}}",
                "spec: {selector: {matchLabels: {a: c}}}",
                "spec.selector of Deployment pg cannot be changed in place\n  \
                `kubectl -n db delete deployment pg`, then apply: all its pods are replaced at once\n",
            ),
            (
                "Service",
                "spec: {clusterIP: None}",
                "spec: {}",
                "spec.clusterIP of Service pg cannot be changed in place\n  \
                `kubectl -n db delete service pg`, then apply: connections through it fail meanwhile\n",
            ),
            (
                "Job",
                "spec: {template: a}",
                "spec: {template: b}",
                "spec.template of Job pg cannot be changed in place\n  `kubectl -n db delete job pg`, then apply\n",
            ),
            (
                "RoleBinding",
                "roleRef: {name: a}",
                "roleRef: {name: b}",
                "roleRef of RoleBinding pg cannot be changed in place\n  \
                `kubectl -n db delete rolebinding pg`, then apply\n",
            ),
            (
                "ConfigMap",
                "data: {a: b}\nimmutable: true",
                "data: {a: c}\nimmutable: true",
                "data of ConfigMap pg cannot be changed in place\n  `kubectl -n db delete configmap pg`, then apply\n",
            ),
            (
                "Secret",
                "type: a",
                "type: b",
                "type of Secret pg cannot be changed in place\n  `kubectl -n db delete secret pg`, then apply\n",
            ),
            (
                "PersistentVolumeClaim",
                "spec: {storageClassName: a}",
                "spec: {storageClassName: b}",
                "spec.storageClassName of PersistentVolumeClaim pg cannot be changed in place\n  \
                create another claim and copy the data: deleting this one deletes its data\n",
            ),
        ] {
            assert_eq!(said(&object(kind, before), &object(kind, after)), expected);
        }
    }

    #[test]
    fn another_kind_of_lease_needs_a_stop() {
        let config = |endpoints: bool| {
            format!(
                "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: pg-config, labels: {{app.kubernetes.io/instance: pg}}}}\n\
                data:\n  patroni.yaml: |\n    scope: pg-rw\n    kubernetes:\n      use_endpoints: {endpoints}\n"
            )
        };
        assert_eq!(said(&config(true), &config(true)), "");
        let help = "q2.dcs cannot be changed while the cluster runs: its members would lose their lease\n  \
            stop it first: `kubectl scale statefulset -l 'app.kubernetes.io/instance=pg' --replicas=0`, \
            `kubectl wait pod -l 'cluster-name=pg-rw' --for=delete`, \
            `kubectl delete endpoints,endpointslices pg-rw --ignore-not-found`, then apply\n";
        assert_eq!(said(&config(true), &config(false)), help);
        assert_eq!(said(&config(false), &config(true)), help);
    }

    #[test]
    fn what_is_gone_stays_in_the_cluster() {
        let gone = "is no longer rendered, and `kubectl apply` leaves it in the cluster";
        assert_eq!(
            said(&object("Service", ""), ""),
            format!("Service pg {gone}\n  `kubectl -n db delete service pg`\n")
        );
        assert_eq!(
            said(&object("PersistentVolumeClaim", "").replace("pg", "a b"), ""),
            format!(
                "PersistentVolumeClaim a b {gone}\n  \
                `kubectl -n db delete persistentvolumeclaim 'a b'`, which also deletes its data\n"
            )
        );
    }
}
