//! Rules about the inside of a pod: what its containers mount, listen on and run.

use std::collections::{BTreeSet, HashSet};

use k8s_openapi::api::core::v1::{Container, ExecAction, VolumeMount};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::manifest::finding::Finding;
use crate::manifest::set::{Place, Pod, Set, containers, files, placed, volumes};

/// The name of all that can be mounted, with its place: claim templates and volumes.
fn mountable<'p>(pod: &'p Pod<'_>) -> impl Iterator<Item = (Place, &'p str)> {
    let claims = placed("spec", "volumeClaimTemplates", pod.claims)
        .map(|(place, claim)| (place, claim.metadata.name.as_deref().unwrap_or_default()));
    claims.chain(volumes(pod).map(|(place, volume)| (place, volume.name.as_str())))
}

/// Two volumes of one name: the API server refuses them, or, of a volume and a claim template, drops one.
pub(super) fn volume_names(pod: &Pod<'_>, findings: &mut Vec<Finding>) {
    let mut seen = HashSet::new();
    for (place, name) in mountable(pod) {
        if !seen.insert(name) {
            let path = place.to_string();
            findings.push(pod.object.finding(path, format!("another volume is named \"{name}\"")));
        }
    }
}

/// A volume that nobody mounts is a mount forgotten: data then goes to the container's own file system.
pub(super) fn unused_volumes(pod: &Pod<'_>, findings: &mut Vec<Finding>) {
    let mut used = HashSet::new();
    for (_, container) in containers(pod) {
        used.extend(container.volume_mounts.iter().flatten().map(|mount| mount.name.as_str()));
        used.extend(container.volume_devices.iter().flatten().map(|device| device.name.as_str()));
    }
    for (place, name) in mountable(pod).filter(|(_, name)| !used.contains(name)) {
        findings.push(pod.object.finding(place.to_string(), format!("no container mounts \"{name}\"")));
    }
}

/// The API server refuses two containers of one name. Two ports of one name it accepts with a warning, and
/// a Service then serves only one of them.
pub(super) fn container_names(pod: &Pod<'_>, findings: &mut Vec<Finding>) {
    let (mut names, mut ports) = (HashSet::new(), HashSet::new());
    for (place, container) in containers(pod) {
        if !names.insert(&container.name) {
            findings.push(pod.object.finding(format!("{place}.name"), "another container has this name"));
        }
        for (index, port) in container.ports.iter().flatten().enumerate() {
            if port.name.as_ref().is_some_and(|name| !ports.insert(name)) {
                let path = format!("{place}.ports[{index}].name");
                findings.push(pod.object.finding(path, "another port has this name"));
            }
        }
    }
}

/// The API server refuses a mount of no volume, or two at one place.
pub(super) fn mounts(pod: &Pod<'_>, place: Place, container: &Container, findings: &mut Vec<Finding>) {
    let mut seen = HashSet::new();
    for (index, mount) in container.volume_mounts.iter().flatten().enumerate() {
        let path = |field: &str| format!("{place}.volumeMounts[{index}].{field}");
        if !mountable(pod).any(|(_, name)| name == mount.name) {
            let message = format!("the pod has no volume named \"{}\"", mount.name);
            findings.push(pod.object.finding(path("name"), message));
        }
        if !seen.insert(folder(mount)) {
            findings.push(pod.object.finding(path("mountPath"), "another volume is mounted here"));
        }
    }
}

/// A `subPath` of a ConfigMap that has no such key becomes an empty folder where a file was meant.
pub(super) fn sub_paths(
    set: &Set<'_>,
    pod: &Pod<'_>,
    place: Place,
    container: &Container,
    findings: &mut Vec<Finding>,
) {
    for (index, mount) in container.volume_mounts.iter().flatten().enumerate() {
        let Some(sub_path) = &mount.sub_path else { continue };
        let volume = pod.spec.volumes.iter().flatten().find(|volume| volume.name == mount.name);
        if let Some(files) = volume.and_then(|volume| files(set, volume))
            && !holds(&files, sub_path)
        {
            let path = format!("{place}.volumeMounts[{index}].subPath");
            findings.push(pod.object.finding(path, format!("the volume has no file \"{sub_path}\"")));
        }
    }
}

fn folder(mount: &VolumeMount) -> &str {
    mount.mount_path.trim_end_matches('/')
}

/// Whether `path` is one of the files, or a folder of some.
fn holds(files: &BTreeSet<&str>, path: &str) -> bool {
    let path = path.trim_end_matches('/');
    path.is_empty()
        || files
            .iter()
            .any(|file| file.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
}

/// A probe or a hook: what the kubelet runs or calls.
struct Handler<'p> {
    /// Its field in the container.
    field: &'static str,
    exec: Option<&'p ExecAction>,
    /// The port of an HTTP or TCP call, with its field.
    ports: Vec<(&'static str, &'p IntOrString)>,
}

fn handlers(container: &Container) -> Vec<Handler<'_>> {
    macro_rules! handler {
        ($name:literal, $action:expr) => {
            $action.map(|action| Handler {
                field: $name,
                exec: action.exec.as_ref(),
                ports: (action.http_get.iter().map(|http| ("httpGet.port", &http.port)))
                    .chain(action.tcp_socket.iter().map(|tcp| ("tcpSocket.port", &tcp.port)))
                    .collect(),
            })
        };
    }
    let lifecycle = container.lifecycle.as_ref();
    [
        handler!("livenessProbe", container.liveness_probe.as_ref()),
        handler!("readinessProbe", container.readiness_probe.as_ref()),
        handler!("startupProbe", container.startup_probe.as_ref()),
        handler!("lifecycle.postStart", lifecycle.and_then(|lifecycle| lifecycle.post_start.as_ref())),
        handler!("lifecycle.preStop", lifecycle.and_then(|lifecycle| lifecycle.pre_stop.as_ref())),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A probe of a port that the container doesn't name always fails: the container is restarted for ever.
pub(super) fn handler_ports(pod: &Pod<'_>, place: Place, container: &Container, findings: &mut Vec<Finding>) {
    for handler in handlers(container) {
        for (field, port) in handler.ports {
            let IntOrString::String(name) = port else { continue };
            if !container.ports.iter().flatten().any(|port| port.name.as_ref() == Some(name)) {
                let message = format!("the container has no port named \"{name}\"");
                let path = format!("{place}.{}.{field}", handler.field);
                findings.push(pod.object.finding(path, message));
            }
        }
    }
}

/// A container told to run a script that its ConfigMap lacks ends at once with "no such file or directory".
pub(super) fn scripts(
    set: &Set<'_>,
    pod: &Pod<'_>,
    place: Place,
    container: &Container,
    findings: &mut Vec<Finding>,
) {
    let handlers = handlers(container).into_iter().filter_map(|handler| {
        let command = handler.exec?.command.as_ref()?;
        Some((handler.field, ".exec.command", command))
    });
    let own = [("command", &container.command), ("args", &container.args)];
    let own = own.into_iter().filter_map(|(field, words)| Some((field, "", words.as_ref()?)));
    for (field, below, words) in own.chain(handlers) {
        for (index, word) in words.iter().enumerate() {
            if let Some(file) = missing_file(set, pod, container, word) {
                let message = format!("the volume mounted there has no file \"{file}\"");
                findings.push(pod.object.finding(format!("{place}.{field}{below}[{index}]"), message));
            }
        }
    }
}

/// The file that a command line starts with, if it is meant to be in a volume and isn't.
fn missing_file<'w>(set: &Set<'_>, pod: &Pod<'_>, container: &Container, line: &'w str) -> Option<&'w str> {
    // An argument may be a line for a shell. What only the shell knows isn't checked.
    let word = line.split(|c: char| c.is_whitespace() || ";&|<>()'\"".contains(c)).next()?;
    if word.contains(['$', '*', '?', '[']) {
        return None;
    }
    let below = |mount: &VolumeMount| word.strip_prefix(folder(mount))?.strip_prefix('/');
    let mounts = container.volume_mounts.iter().flatten();
    if mounts.clone().any(|mount| folder(mount) == word) {
        return None;
    }
    // Of mounts inside one another, the innermost holds the file.
    let mount = mounts.filter(|mount| below(mount).is_some()).max_by_key(|mount| folder(mount).len())?;
    if mount.sub_path.is_some() || mount.sub_path_expr.is_some() {
        return None;
    }
    let volume = pod.spec.volumes.iter().flatten().find(|volume| volume.name == mount.name)?;
    let file = below(mount)?;
    (!holds(&files(set, volume)?, file)).then_some(file)
}
