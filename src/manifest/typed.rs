//! One document alone: its YAML, its Kubernetes type, its names.

use std::any::Any;
use std::fmt;

use k8s_openapi::Resource;
use k8s_openapi::api::{apps, autoscaling, batch, core, networking, policy, rbac, scheduling, storage};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::kept::Comparison;
use super::{Finding, field, yaml};
use crate::config::similar;
use crate::render::Document;

/// A document that is an object of a known kind.
pub(super) struct Object {
    pub(super) document: String,
    /// The path of the object in its document; empty if it is the whole of it.
    pub(super) within: String,
    pub(super) tree: Value,
    /// Whether somebody else than pgk may have written it, who leaves out what the API server fills in.
    pub(super) foreign: bool,
    /// What [`check`] read it as.
    typed: Option<Box<dyn Typed>>,
    api_version: String,
    kind: String,
    name: String,
    namespace: String,
}

impl Object {
    pub(super) fn new(document: &str, within: String, tree: Value, foreign: bool) -> Self {
        let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
        let metadata = |field| text(tree.get("metadata").and_then(|metadata| metadata.get(field)));
        Self {
            api_version: text(tree.get("apiVersion")),
            kind: text(tree.get("kind")),
            name: metadata("name"),
            namespace: metadata("namespace"),
            document: document.to_owned(),
            within,
            tree,
            foreign,
            typed: None,
        }
    }

    /// The object as its type, if it is of that type and was checked.
    pub(super) fn typed<T: Resource + 'static>(&self) -> Option<&T> {
        (self.typed.as_deref()? as &dyn Any).downcast_ref()
    }

    pub(super) fn kind(&self) -> &str {
        &self.kind
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn api_version(&self) -> &str {
        &self.api_version
    }

    pub(super) fn namespace(&self) -> &str {
        &self.namespace
    }

    pub(super) fn document(&self) -> &str {
        &self.document
    }

    pub(super) fn finding(&self, path: impl Into<String>, message: impl Into<String>) -> Finding {
        Finding { document: self.document.clone(), path: self.path(path), message: message.into() }
    }

    /// The path in the document of what stands at `path` in the object.
    pub(super) fn path(&self, path: impl Into<String>) -> String {
        let within = &self.within;
        match path.into() {
            path if within.is_empty() => path,
            path if path.is_empty() || path.starts_with('[') => format!("{within}{path}"),
            path => format!("{within}.{path}"),
        }
    }
}

/// Reads a document and checks it alone; `None` if it cannot be compared with others.
pub(super) fn read(document: &Document, findings: &mut Vec<Finding>) -> Option<Object> {
    let message = match yaml::parse(&document.text.outline()).map(<[Value; 1]>::try_from) {
        Ok(Ok([tree])) => {
            let mut object = Object::new(&document.path, String::new(), tree, false);
            return check(&mut object, findings).then_some(object);
        }
        Ok(Err(trees)) => format!("{} objects in a file meant for one", trees.len()),
        Err(error) => error.to_string(),
    };
    findings.push(Finding { document: document.path.clone(), path: String::new(), message });
    None
}

/// Checks an object alone; whether it can be compared with others.
pub(super) fn check(object: &mut Object, findings: &mut Vec<Finding>) -> bool {
    let (api_version, kind) = (object.api_version(), object.kind());
    let Some(read_as) = reader_of(api_version, kind) else {
        let message = format!("no known kind of object: apiVersion \"{api_version}\", kind \"{kind}\"");
        findings.push(object.finding("", message));
        return false;
    };
    match read_as(&object.tree) {
        Ok(typed) => {
            let written = &object.tree;
            if typed.compare(Comparison { object, path: &Path::Whole, written, findings }).is_err() {
                findings.push(object.finding("", "its type has it in another form"));
            }
            object.typed = Some(typed);
        }
        Err(error) => {
            let before = findings.len();
            blame(object, read_as, &object.tree, "", &|value| value, findings);
            if findings.len() == before {
                findings.push(object.finding("", error.to_string()));
            }
            return false;
        }
    }
    check_name(object, findings);
    check_keys(object, &object.tree, &Path::Whole, findings);
    true
}

/// Whether there may be a kind of this name that pgk cannot know: the group of a `CustomResourceDefinition` is a
/// domain.
pub(super) fn is_foreign_kind(api_version: &str, kind: &str) -> bool {
    let domain = api_version.split_once('/').is_some_and(|(group, _)| group.contains('.'));
    domain && !kind.is_empty() && reader_of(api_version, kind).is_none()
}

/// The known kind that was probably meant, and its version, if this one is unknown.
pub(super) fn meant_kind(api_version: &str, kind: &str) -> Option<String> {
    if reader_of(api_version, kind).is_some() {
        return None;
    }
    let meant = similar(kind, KINDS.iter().map(|(_, name)| *name))?;
    let (version, _) = KINDS.iter().rfind(|(_, name)| *name == meant)?;
    Some(format!("apiVersion `{version}`, kind `{meant}`"))
}

/// How a tree is read as a type.
type Read = fn(&Value) -> serde_json::Result<Box<dyn Typed>>;

/// What an object was read as.
trait Typed: Any {
    /// Compares the object with it.
    fn compare(&self, comparison: Comparison<'_>) -> Result<(), fmt::Error>;
}

impl<T: Serialize + 'static> Typed for T {
    fn compare(&self, comparison: Comparison<'_>) -> Result<(), fmt::Error> {
        self.serialize(comparison)
    }
}

fn read_as<T: DeserializeOwned + Serialize + 'static>(tree: &Value) -> serde_json::Result<Box<dyn Typed>> {
    Ok(Box::new(T::deserialize(tree)?))
}

/// The kinds that are known: the only list of them.
macro_rules! kinds {
    ($($kind:ty),+ $(,)?) => {
        const KINDS: &[(&str, &str)] = &[$((<$kind as Resource>::API_VERSION, <$kind as Resource>::KIND)),+];

        fn reader_of(api_version: &str, kind: &str) -> Option<Read> {
            $(if api_version == <$kind as Resource>::API_VERSION && kind == <$kind as Resource>::KIND {
                return Some(read_as::<$kind>);
            })+
            None
        }
    };
}

kinds![
    core::v1::ConfigMap,
    core::v1::Endpoints,
    core::v1::LimitRange,
    core::v1::Namespace,
    core::v1::Node,
    core::v1::PersistentVolume,
    core::v1::PersistentVolumeClaim,
    core::v1::Pod,
    core::v1::PodTemplate,
    core::v1::ReplicationController,
    core::v1::ResourceQuota,
    core::v1::Secret,
    core::v1::Service,
    core::v1::ServiceAccount,
    apps::v1::ControllerRevision,
    apps::v1::DaemonSet,
    apps::v1::Deployment,
    apps::v1::ReplicaSet,
    apps::v1::StatefulSet,
    autoscaling::v1::HorizontalPodAutoscaler,
    autoscaling::v2::HorizontalPodAutoscaler,
    batch::v1::CronJob,
    batch::v1::Job,
    networking::v1::Ingress,
    networking::v1::NetworkPolicy,
    policy::v1::PodDisruptionBudget,
    rbac::v1::ClusterRole,
    rbac::v1::ClusterRoleBinding,
    rbac::v1::Role,
    rbac::v1::RoleBinding,
    scheduling::v1::PriorityClass,
    storage::v1::StorageClass,
];

/// Where something stands in an object. It is written out where something is wrong alone: nearly never.
pub(super) enum Path<'a> {
    Whole,
    Field(&'a Path<'a>, &'a str),
    Item(&'a Path<'a>, usize),
}

impl From<&Path<'_>> for String {
    fn from(path: &Path<'_>) -> Self {
        match path {
            Path::Whole => String::new(),
            Path::Field(path, key) => field(&String::from(*path), key),
            Path::Item(path, index) => format!("{}[{index}]", String::from(*path)),
        }
    }
}

/// Finds the fields of which the type refuses the value, since serde's error doesn't say where it is.
///
/// Every field of a k8s-openapi type may be absent, so a document of one branch only (`wrap` puts a value
/// at its place in it) fails if and only if something on that branch is wrong.
fn blame(
    object: &Object,
    read_as: Read,
    value: &Value,
    path: &str,
    wrap: &dyn Fn(Value) -> Value,
    findings: &mut Vec<Finding>,
) {
    let fits = |value| read_as(&wrap(value));
    match value {
        Value::Object(map) if fits(Value::Object(serde_json::Map::new())).is_ok() => {
            for (key, child) in map {
                let wrap = |child| wrap(Value::Object([(key.clone(), child)].into_iter().collect()));
                blame(object, read_as, child, &field(path, key), &wrap, findings);
            }
        }
        Value::Array(items) if fits(Value::Array(Vec::new())).is_ok() => {
            for (index, child) in items.iter().enumerate() {
                let wrap = |child| wrap(Value::Array(vec![child]));
                blame(object, read_as, child, &format!("{path}[{index}]"), &wrap, findings);
            }
        }
        _ => findings.extend(fits(value.clone()).err().map(|error| object.finding(path, error.to_string()))),
    }
}

/// The object's name, as the API server wants it for its kind.
fn check_name(object: &Object, findings: &mut Vec<Finding>) {
    let name = object.name();
    if name.is_empty() {
        findings.push(object.finding("metadata.name", "required field is missing"));
        return;
    }
    let (good, rule) = match object.kind() {
        // These may be named `system:node`.
        "Role" | "RoleBinding" | "ClusterRole" | "ClusterRoleBinding" => {
            (!matches!(name, "." | "..") && !name.contains(['/', '%']), "a path segment")
        }
        "Service" => {
            (is_label_name(name) && !name.starts_with(|c: char| c.is_ascii_digit()), "an RFC 1035 label")
        }
        "Namespace" => (is_label_name(name), "an RFC 1123 label"),
        _ => (is_subdomain(name), "an RFC 1123 subdomain"),
    };
    if !good {
        findings.push(object.finding("metadata.name", format!("\"{name}\" is not {rule}")));
    }
}

/// The syntax of labels and annotations, wherever they stand: also in pod and claim templates.
fn check_keys(object: &Object, value: &Value, path: &Path<'_>, findings: &mut Vec<Finding>) {
    if let Value::Array(items) = value {
        for (index, item) in items.iter().enumerate() {
            check_keys(object, item, &Path::Item(path, index), findings);
        }
    }
    let Value::Object(map) = value else { return };
    for (key, child) in map {
        let path = &Path::Field(path, key);
        let labels = matches!(key.as_str(), "labels" | "matchLabels" | "nodeSelector");
        if labels || key == "annotations" {
            for (key, value) in child.as_object().into_iter().flatten() {
                let path = &Path::Field(path, key);
                if !is_qualified_name(key) {
                    findings.push(object.finding(path, "not a valid key"));
                }
                if labels && !value.as_str().is_some_and(|value| value.is_empty() || is_name(value)) {
                    findings.push(object.finding(path, format!("{value} is not a valid label")));
                }
            }
        }
        check_keys(object, child, path, findings);
    }
}

fn is_label_name(text: &str) -> bool {
    text.len() <= 63 && is_dashed(text)
}

fn is_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_dashed)
}

fn is_dashed(text: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.chars().all(|c| alphanumeric(c) || c == '-')
        && text.starts_with(alphanumeric)
        && text.ends_with(alphanumeric)
}

/// The last part of a label's key, or a label's value.
fn is_name(text: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_alphanumeric();
    text.len() <= 63
        && text.chars().all(|c| alphanumeric(c) || matches!(c, '-' | '_' | '.'))
        && text.starts_with(alphanumeric)
        && text.ends_with(alphanumeric)
}

/// `name` or `example.com/name`.
fn is_qualified_name(text: &str) -> bool {
    let (prefix, name) = text.split_once('/').unwrap_or(("none", text));
    is_subdomain(prefix) && is_name(name)
}
