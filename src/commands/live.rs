//! `pgk diff --live`: what applying the manifests would change in the cluster, by a server-side dry run.
//!
//! It asks as `kubectl apply --server-side --dry-run=server` does, under kubectl's name as the manager of fields. So
//! the API server fills in its defaults on both sides, and says itself what it would refuse.

use anyhow::Context as _;
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams};
use kube::core::Status;
use serde_json::Value as Json;

use crate::api::{self, bounded, refusal};
use crate::emit::unified;
use crate::manifest::{objects, replacement};
use crate::render::Document;

/// The manager of fields that `kubectl apply --server-side` names.
const MANAGER: &str = "kubectl";

/// Prints what applying `manifests` would change, and warns of what the API server would refuse; how many objects
/// differ.
///
/// # Errors
/// The cluster does not answer, or does not let this user ask.
pub(super) fn compare(manifests: &[Document]) -> anyhow::Result<usize> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (client, default) = api::connect().await?;
        let mut differences = 0;
        for object in manifests.iter().flat_map(objects) {
            differences += usize::from(one(&client, &default, &object).await?);
        }
        Ok(differences)
    })
}

/// Compares one object; whether it differs.
async fn one(client: &Client, default: &str, object: &Json) -> anyhow::Result<bool> {
    let text = |pointer: &str| object.pointer(pointer).and_then(Json::as_str);
    let (kind, name) = (text("/kind").unwrap_or_default(), text("/metadata/name").unwrap_or_default());
    let (group, version) = match text("/apiVersion").unwrap_or_default() {
        core if !core.contains('/') => ("", core),
        other => other.split_once('/').unwrap_or_default(),
    };
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    let namespace = text("/metadata/namespace").unwrap_or(default);
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
    let what = format!("{kind} {name}");

    let live = bounded(api.get_opt(name)).await.with_context(|| format!("cannot read {what}"))?;
    let live = live.map(serde_json::to_value).transpose()?;
    let mut params =
        PatchParams { dry_run: true, field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    let mut applied = bounded(api.patch(name, &params, &Patch::Apply(object))).await;
    if let Some(status) = applied.as_ref().err().and_then(refusal)
        && status.code == 409
    {
        if conflicts_with_others(status) {
            eprintln!("warning: {what}: {}", status.message);
            eprintln!(
                "help: apply with --force-conflicts to take these fields over; the difference shows them taken"
            );
        }
        params.force = true;
        applied = bounded(api.patch(name, &params, &Patch::Apply(object))).await;
    }
    if let Some(status) = applied.as_ref().err().and_then(refusal)
        && status.code == 422
    {
        eprintln!("warning: {what} cannot be applied: {}", status.message);
        if let Some(live) = &live {
            eprintln!("help: if a field cannot be changed in place: {}", replacement(live, object));
        }
        return Ok(true);
    }
    let applied = applied.with_context(|| format!("cannot try to apply {what}"))?;
    let shown = shown(&what, live.as_ref(), &serde_json::to_value(applied)?);
    super::print(shown.as_deref().unwrap_or_default())?;
    for line in live.iter().flat_map(|live| super::parameters::changed(live, object)) {
        eprintln!("pgk: {line}");
    }
    Ok(shown.is_some())
}

/// Whether it conflicts with more than what `kubectl apply` without `--server-side` did, which kubectl takes over unasked.
fn conflicts_with_others(status: &Status) -> bool {
    let causes = status.details.as_ref().map_or(&[][..], |details| &details.causes);
    let kubectl = r#"conflict with "kubectl-client-side-apply""#;
    causes.is_empty() || causes.iter().any(|cause| !cause.message.starts_with(kubectl))
}

/// The difference between an object as it is, if it is, and as it would be; `None` if there is none.
fn shown(what: &str, live: Option<&Json>, applied: &Json) -> Option<String> {
    let (before, after) = (live.map(own), own(applied));
    if before.as_ref() == Some(&after) {
        return None;
    }
    let verb = if before.is_some() { "changed" } else { "added" };
    let (before, after) = (before.map(|before| hidden(before, &after)), hidden(after.clone(), &after));
    let text = |tree: &Json| {
        let mut text = String::new();
        lines(tree, 0, &mut text);
        text
    };
    let path = format!("live/{}", what.replace(' ', "/"));
    let difference = unified(&path, before.as_ref().map(text).as_deref(), Some(&text(&after)));
    Some(format!("{verb}: {what}\n{difference}"))
}

/// A tree as lines that a person compares: as YAML, and a text of several lines as these.
fn lines(tree: &Json, indent: usize, text: &mut String) {
    let pad = " ".repeat(indent);
    let mut entry = |head: String, value: &Json| match value {
        Json::Object(map) if !map.is_empty() => {
            text.extend([&pad, &head, "\n"]);
            lines(value, indent + 2, text);
        }
        Json::Array(list) if !list.is_empty() => {
            text.extend([&pad, &head, "\n"]);
            lines(value, indent + 2, text);
        }
        Json::String(value) if value.contains('\n') => {
            text.extend([&pad, &head, " |\n"]);
            for line in value.lines() {
                text.extend([&pad, "  ", line, "\n"]);
            }
        }
        Json::String(value) => text.extend([&pad, &head, " ", value, "\n"]),
        other => text.extend([&pad, &head, " ", &other.to_string(), "\n"]),
    };
    match tree {
        Json::Object(map) => map.iter().for_each(|(key, value)| entry(format!("{key}:"), value)),
        Json::Array(list) => list.iter().for_each(|value| entry("-".to_owned(), value)),
        _ => {}
    }
}

/// What somebody applied of an object, without what the cluster keeps there for itself.
fn own(object: &Json) -> Json {
    let mut object = object.clone();
    if let Some(object) = object.as_object_mut() {
        object.shift_remove("status");
    }
    if let Some(metadata) = object.pointer_mut("/metadata").and_then(Json::as_object_mut) {
        for key in ["managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink"]
        {
            metadata.shift_remove(key);
        }
        // A second copy of the whole object, including a Secret's values.
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Json::as_object_mut) {
            annotations.shift_remove("kubectl.kubernetes.io/last-applied-configuration");
            if annotations.is_empty() {
                metadata.shift_remove("annotations");
            }
        }
    }
    object
}

/// A Secret without its values: only whether each is another than in `new`.
fn hidden(mut object: Json, new: &Json) -> Json {
    if object.get("kind").and_then(Json::as_str) != Some("Secret") {
        return object;
    }
    for field in ["data", "stringData"] {
        let new = new.get(field).cloned().unwrap_or_default();
        for (key, value) in object.get_mut(field).and_then(Json::as_object_mut).into_iter().flatten() {
            let same = new.get(key) == Some(value);
            *value = if same { "(hidden)" } else { "(hidden, another)" }.into();
        }
    }
    object
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_the_cluster_keeps_for_itself_does_not_differ() {
        let applied =
            json!({"kind": "Service", "metadata": {"name": "pg"}, "spec": {"clusterIP": "10.0.0.1"}});
        let live = json!({
            "kind": "Service",
            "metadata": {
                "name": "pg",
                "uid": "1",
                "generation": 3,
                "managedFields": [],
                "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"},
            },
            "spec": {"clusterIP": "10.0.0.1"},
            "status": {"loadBalancer": {}},
        });
        assert_eq!(shown("Service pg", Some(&live), &applied), None);
    }

    #[test]
    fn a_difference_is_unified() {
        let with = |replicas| json!({"kind": "StatefulSet", "metadata": {"name": "pg"}, "spec": {"replicas": replicas}});
        assert_eq!(
            shown("StatefulSet pg", Some(&with(2)), &with(3)).unwrap(),
            "changed: StatefulSet pg\n--- live/StatefulSet/pg\n+++ live/StatefulSet/pg\n@@ -2,4 +2,4 @@\n \
            metadata:\n   name: pg\n spec:\n-  replicas: 2\n+  replicas: 3\n"
        );
        assert_eq!(
            shown(
                "ConfigMap pg",
                None,
                &json!({"kind": "ConfigMap", "data": {"a": "b\nc\n", "d": ["e", {}]}})
            )
            .unwrap(),
            "added: ConfigMap pg\n--- /dev/null\n+++ live/ConfigMap/pg\n@@ -0,0 +1,8 @@\n+kind: ConfigMap\n+data:\n\
            +  a: |\n+    b\n+    c\n+  d:\n+    - e\n+    - {}\n"
        );
    }

    #[test]
    fn values_of_a_secret_are_never_shown() {
        let with = |value: &str| {
            json!({
                "kind": "Secret",
                "metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": value}},
                "data": {"password": value, "user": "c2FtZQ=="},
                "stringData": {"more": value},
            })
        };
        for live in [Some(with("b2xk")), None] {
            let text = shown("Secret pg", live.as_ref(), &with("bmV3")).unwrap();
            for value in ["b2xk", "bmV3", "c2FtZQ"] {
                assert!(!text.contains(value), "{text}");
            }
            assert_eq!(text.contains("-  password: (hidden, another)"), live.is_some(), "{text}");
        }
    }
}
